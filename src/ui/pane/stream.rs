//! One stream: what it is, its figures, what it lost and where.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::base::text::visible;
use crate::base::units;
use crate::model::group::Group;
use crate::model::reading;
use crate::model::source::Source;
use crate::ui::forecast;
use crate::ui::keys::Cmd;
use crate::ui::layer::Ctx;
use crate::ui::pane::feed;
use crate::ui::pane::groups::spec;
use crate::ui::pane::{Kind, Pane, Reply, figures};
use crate::ui::shared::Shared;
use crate::ui::widget::frame::{Words, empty, frame};

/// The pane.
#[derive(Default)]
pub struct Stream;

/// The stream looked at: the selected source, or else the busiest of the group.
pub fn selected<'a>(at: &Shared, ctx: &Ctx<'a>) -> Option<(&'a Group, &'a Source)> {
    let g = at.group(ctx)?;
    let s = match at.source.and_then(|from| g.sources.get(from)) {
        Some(s) => s,
        None => g.sources.busiest()?,
    };
    Some((g, s))
}

/// What is said when there is no stream.
fn nobody(at: &Shared, ctx: &Ctx<'_>) -> String {
    match at.group(ctx) {
        None => "select a group in view 1 to look into its streams".to_owned(),
        Some(g) => format!("nobody has sent to {} on {} yet", spec(&g.membership), g.membership.iface),
    }
}

impl Pane for Stream {
    fn kind(&self) -> Kind {
        Kind::Stream
    }

    fn draw(&mut self, area: Rect, buf: &mut Buffer, focused: bool, at: &mut Shared, ctx: &Ctx<'_>) {
        let Some((g, s)) = selected(at, ctx) else {
            let words = Words { title: "Stream".into(), ..Words::default() };
            let inner = frame(area, buf, ctx.theme, focused, &words);
            return empty(buf, inner, &[nobody(at, ctx)], ctx.theme.dim);
        };
        at.source = Some(s.endpoint);
        let name =
            at.name(s.endpoint.ip, ctx).map_or_else(String::new, |n| format!(" ({})", visible(&n, 40)));
        let all = g.sources.len();
        let place = g.sources.list().iter().position(|o| o.endpoint == s.endpoint).unwrap_or(0);
        let (_, sign) = ctx.theme.state(s.state);
        let ours = if s.ours { " → ours" } else { "" };
        let marked = feed::letter(g.id, s.endpoint, at, ctx);
        let marked = marked.map_or_else(String::new, |l| format!(" · {l} of a feed"));
        let words = Words {
            title: format!(
                "{sign} {}{name} to {} on {}{ours}{marked}",
                s.endpoint,
                spec(&g.membership),
                g.membership.iface
            ),
            right: if all > 1 { format!("stream {} of {all} · ↑↓", place + 1) } else { String::new() },
            bottom: format!(
                "{} for {}{}",
                s.state.word(),
                units::duration_short(ctx.model.now().mono.since(s.first.mono)),
                forecast::warning(g, ctx)
                    .map_or_else(String::new, |w| format!("  {w} by a switch that snoops"))
            ),
            bottom_right: "↵ its packets · P protocol".to_owned(),
        };
        let inner = frame(area, buf, ctx.theme, focused, &words);
        figures::draw(buf, inner, g, s, ctx);
    }

    fn command(&mut self, cmd: Cmd, at: &mut Shared, ctx: &Ctx<'_>) -> Reply {
        let Some((g, s)) = selected(at, ctx) else { return Reply::Ignored };
        let list = g.sources.list();
        let place = list.iter().position(|o| o.endpoint == s.endpoint).unwrap_or(0);
        let to = match cmd {
            Cmd::Up => place.saturating_sub(1),
            Cmd::Down => (place + 1).min(list.len() - 1),
            Cmd::Home => 0,
            Cmd::End => list.len() - 1,
            Cmd::Open => {
                at.only_source = Some(s.endpoint);
                at.hold(None);
                return Reply::Focus(Kind::Packets);
            }
            _ => return Reply::Ignored,
        };
        at.source = Some(list[to].endpoint);
        Reply::Done
    }

    fn click(&mut self, _x: u16, _y: u16, _at: &mut Shared, _ctx: &Ctx<'_>) {}

    fn wheel(&mut self, lines: isize, at: &mut Shared, ctx: &Ctx<'_>) {
        self.command(if lines < 0 { Cmd::Up } else { Cmd::Down }, at, ctx);
    }

    fn copy(&self, at: &Shared, ctx: &Ctx<'_>) -> Option<String> {
        let (g, s) = selected(at, ctx)?;
        let nic = ctx.model.iface(&g.membership.iface).and_then(|i| i.nic_drops);
        let (reading, _) = reading::loss(s.continuity(), &g.drops, nic);
        let what = s.protocol().map_or("unknown payload", |p| p.name);
        Some(format!(
            "{} to {}: {what}, {}, {}; {reading}",
            s.endpoint,
            g.membership,
            units::packets(s.counters.packets),
            units::bytes(s.counters.payload_bytes)
        ))
    }
}
