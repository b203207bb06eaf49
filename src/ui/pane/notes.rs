//! What else is known of a stream: the session that announces it, its PTP grandmaster, and what does not
//! fit together.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::base::text::visible;
use crate::base::units;
use crate::model::clocks::Grandmaster;
use crate::model::group::Group;
use crate::model::sessions::Named;
use crate::model::source::Source;
use crate::ui::keys::Cmd;
use crate::ui::layer::Ctx;
use crate::ui::pane::stream;
use crate::ui::pane::{Kind, Pane, Reply};
use crate::ui::shared::Shared;
use crate::ui::widget::frame::{Words, frame, put};
use crate::wire::ptp::accuracy;

/// Lines shown at most.
const LINES_MAX: usize = 4;
/// Cells of the names at the left.
const NAMES: u16 = 12;

/// The pane.
pub struct Notes;

/// A line: its name, its text, whether it needs a person.
type Line = (&'static str, String, bool);

/// Rows that the pane wants with its frame; 0 if there is nothing to say.
pub fn rows(at: &Shared, ctx: &Ctx<'_>) -> u16 {
    let n = stream::selected(at, ctx).map_or(0, |(g, s)| lines(g, s, ctx).len().min(LINES_MAX));
    if n == 0 { 0 } else { n as u16 + 2 }
}

fn lines(g: &Group, s: &Source, ctx: &Ctx<'_>) -> Vec<Line> {
    let mut out: Vec<Line> = Vec::new();
    for n in &g.notes {
        out.push(("note", n.text(), n.is_conflict()));
        if n.elsewhere().is_some() {
            out.push((
                "",
                "m marks this stream as A; m on the other one then compares both".to_owned(),
                false,
            ));
        }
    }
    let clocks = || ctx.model.clocks().on(&g.membership.iface);
    if let Some(n) = &g.announced {
        out.push(("session", session(n), false));
        out.extend(n.clock.as_ref().map(|c| ("", format!("clock {c}"), false)));
        out.extend(n.clock.as_deref().and_then(|c| other_clock(c, clocks())).map(|t| ("note", t, true)));
    }
    if s.protocol().is_some_and(|p| p.id == "ptp") {
        for m in clocks() {
            let [what, rest] = grandmaster(m, ctx);
            let bad = m.lost || m.rival.is_some();
            out.extend([("grandmaster", what, bad), ("", rest, bad)]);
        }
    }
    out
}

/// What a session says of the group.
fn session(n: &Named) -> String {
    let mut text = format!("\"{}\"  {} {}  announced by {}", n.name, n.proto, n.what, n.origin);
    if let [one] = &n.sources[..] {
        text.push_str(&format!("  from {one}"));
    }
    if n.others > 0 {
        text.push_str(&format!("  and {} more of this group", n.others));
    }
    text
}

/// Whether the clock that a session names (`ptp=IEEE1588-2008:GMID:DOMAIN`, RFC 7273) is another one
/// than is announced on the interface.
fn other_clock<'a>(clock: &str, mut seen: impl Iterator<Item = &'a Grandmaster>) -> Option<String> {
    let mut parts = clock.strip_prefix("ptp=")?.split(':').skip(1);
    let (id, domain) = (parts.next()?, parts.next().map_or(Some(0), |d| d.parse::<u8>().ok())?);
    let m = seen.find(|m| m.domain == domain && !m.lost)?;
    let is = m.announce.grandmaster.to_string();
    // "traceable" stands for any clock that is.
    let another = id.len() == is.len() && !id.eq_ignore_ascii_case(&is);
    another.then(|| format!("the session names clock {id}, seen is {is}"))
}

/// What it is, and how long it has been that.
fn grandmaster(m: &Grandmaster, ctx: &Ctx<'_>) -> [String; 2] {
    let a = &m.announce;
    let age = units::duration_short(ctx.model.now().mono.since(m.since.mono));
    let what = format!(
        "domain {}  {}  class {}  accuracy {}",
        m.domain,
        a.grandmaster,
        a.class,
        accuracy(a.accuracy)
    );
    let mut text =
        format!("priority {}/{}  steps {}  for {}", a.priority1, a.priority2, a.steps_removed, age.trim());
    match m.changes {
        0 => {}
        1 => text.push_str("  changed once"),
        n => text.push_str(&format!("  changed {n} ×")),
    }
    if m.lost {
        text.push_str("  announced no longer");
    }
    if let Some(rival) = m.rival {
        text.push_str(&format!("  beside {rival}"));
    }
    [what, text]
}

impl Pane for Notes {
    fn kind(&self) -> Kind {
        Kind::Notes
    }

    fn draw(&mut self, area: Rect, buf: &mut Buffer, focused: bool, at: &mut Shared, ctx: &Ctx<'_>) {
        let theme = ctx.theme;
        let all = stream::selected(at, ctx).map_or_else(Vec::new, |(g, s)| lines(g, s, ctx));
        let inner_rows = area.height.saturating_sub(2) as usize;
        let hidden = all.len().saturating_sub(inner_rows);
        let words = Words {
            title: "Also known".to_owned(),
            bottom_right: if hidden > 0 { format!("{hidden} more · z zooms") } else { String::new() },
            ..Words::default()
        };
        let inner = frame(area, buf, theme, focused, &words);
        for ((name, text, bad), y) in all.iter().zip(inner.top()..inner.bottom()) {
            put(buf, inner.x + 1, y, NAMES as usize, name, theme.dim);
            let style: Style = if *bad { theme.silent } else { theme.text };
            let room = inner.width.saturating_sub(NAMES + 1) as usize;
            put(buf, inner.x + 1 + NAMES, y, room, &visible(text, 400), style);
        }
    }

    fn command(&mut self, _cmd: Cmd, _at: &mut Shared, _ctx: &Ctx<'_>) -> Reply {
        Reply::Ignored
    }

    fn click(&mut self, _x: u16, _y: u16, _at: &mut Shared, _ctx: &Ctx<'_>) {}

    fn wheel(&mut self, _lines: isize, _at: &mut Shared, _ctx: &Ctx<'_>) {}

    fn copy(&self, at: &Shared, ctx: &Ctx<'_>) -> Option<String> {
        let (g, s) = stream::selected(at, ctx)?;
        let all: Vec<String> = lines(g, s, ctx).into_iter().map(|(n, t, _)| format!("{n}: {t}")).collect();
        (!all.is_empty()).then(|| all.join("\n"))
    }
}
