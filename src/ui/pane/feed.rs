//! Two streams as one feed: A and B side by side, what both lost, the skew and its last minute.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use crate::base::group::{Endpoint, MembershipId};
use crate::base::text::visible;
use crate::base::units::{self, ABSENT};
use crate::model::pair::{Pair, Standing, class_of};
use crate::model::pairs;
use crate::ui::format::clip_middle;
use crate::ui::keys::Cmd;
use crate::ui::layer::Ctx;
use crate::ui::pane::stream;
use crate::ui::pane::{Kind, Pane, Reply};
use crate::ui::shared::Shared;
use crate::ui::widget::chart::bars;
use crate::ui::widget::frame::{Words, frame, put, put_right};

/// Rows of the pane: with a chart of two rows, and of more where there is height.
pub const LOW: u16 = 15;
/// The same with a taller chart.
pub const HIGH: u16 = 19;

/// Cells of the names at the left.
const NAMES: u16 = 11;
/// Rows of the figures above the chart.
const FIGURES: u16 = 8;
/// Seconds of the chart.
const SECONDS: usize = 60;

/// The pane.
pub struct Feed;

/// The pair that the selected stream is part of.
pub fn selected<'a>(at: &Shared, ctx: &Ctx<'a>) -> Option<&'a Pair> {
    if ctx.model.pairs().is_empty() {
        return None;
    }
    let (g, s) = stream::selected(at, ctx)?;
    ctx.model.pair_of(g.id, s.endpoint).map(|(p, _)| p)
}

/// The letter of a stream that is marked: `A` or `B`.
pub fn letter(row: MembershipId, from: Endpoint, at: &Shared, ctx: &Ctx<'_>) -> Option<&'static str> {
    if at.marked == Some((row, from)) {
        return Some("A");
    }
    ctx.model.pair_of(row, from).map(|(_, leg)| ["A", "B"][leg])
}

/// A time with its sign, short: `+1.02 ms`.
fn signed(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "+" };
    format!("{sign}{}", units::duration_short(ns.unsigned_abs()).trim())
}

fn pick(ns: Option<i64>) -> String {
    units::or_dash(ns, signed)
}

struct Drawing<'a, 'b> {
    buf: &'a mut Buffer,
    inner: Rect,
    y: u16,
    ctx: &'a Ctx<'b>,
}

impl Drawing<'_, '_> {
    fn name(&mut self, name: &str) {
        put(self.buf, self.inner.x + 1, self.y, NAMES as usize, name, self.ctx.theme.dim);
    }

    /// Columns of A, B and what becomes of both, under each other.
    fn columns(&mut self, name: &str, parts: [(String, Style); 3]) {
        self.name(name);
        let room = self.inner.width.saturating_sub(NAMES + 2);
        // What becomes of both needs less room than who the two are.
        let wide = room * 3 / 8;
        for (i, (text, style)) in parts.iter().enumerate() {
            let x = self.inner.x + 1 + NAMES + wide * i as u16;
            let cells = if i < 2 { wide.saturating_sub(2) } else { room - 2 * wide } as usize;
            let text = if i < 2 { clip_middle(text, cells).into_owned() } else { text.clone() };
            put(self.buf, x, self.y, cells, &text, *style);
        }
        self.y += 1;
    }

    /// Parts one after the other, two blanks between.
    fn line(&mut self, name: &str, parts: &[(String, Style)]) {
        self.name(name);
        let mut x = self.inner.x + 1 + NAMES;
        for (text, style) in parts {
            let room = self.inner.right().saturating_sub(x) as usize;
            put(self.buf, x, self.y, room, text, *style);
            x = x.saturating_add(text.width() as u16 + 2);
        }
        self.y += 1;
    }
}

fn figures(d: &mut Drawing<'_, '_>, p: &Pair) {
    let theme = d.ctx.theme;
    let now = d.ctx.model.now().mono;
    let (c, s) = (p.counts(), p.skew());
    let plain = theme.text;
    let [a, b] = &p.legs;
    let from = |l: &crate::model::pair::Leg| units::or_dash(l.from, |f| f.to_string());
    let to = |l: &crate::model::pair::Leg| format!("{} on {}", l.membership.endpoint(), l.membership.iface);
    let dim = |t: &str| (t.to_owned(), theme.dim);
    d.columns(
        "",
        [("A".to_owned(), theme.title), ("B".to_owned(), theme.title), ("merged".to_owned(), theme.title)],
    );
    d.columns("from", [(from(a), plain), (from(b), plain), dim("")]);
    d.columns("to", [(to(a), plain), (to(b), plain), dim("")]);
    let heard = |i: usize| {
        let n = &c.legs[i];
        let quiet = p.legs[i].heard.map(|(_, last)| now.since(last));
        let age = quiet.map_or_else(|| "not heard yet".to_owned(), |q| format!("last {}", units::age(q)));
        let style = if quiet.is_none_or(|q| q > 2_000_000_000) { theme.silent } else { plain };
        let more = match (n.duplicates, n.late) {
            (0, 0) => String::new(),
            (d, 0) => format!("  {} dup", units::count(d)),
            (0, l) => format!("  {} late", units::count(l)),
            (d, l) => format!("  {} dup  {} late", units::count(d), units::count(l)),
        };
        (format!("{}, {age}{more}", units::packets(n.packets)), style)
    };
    let numbers = match p.standing(now) {
        Standing::Comparing => format!("{} numbers", units::count(c.compared)),
        _ => ABSENT.to_owned(),
    };
    d.columns("received", [heard(0), heard(1), (numbers, plain)]);
    let lost = |n: u64| {
        let Some(pct) = units::share_pct(n, c.compared) else { return (ABSENT.to_owned(), theme.dim) };
        (format!("{}  ({})", units::count(n), units::percent(pct)), plain)
    };
    let on_one = |n: u64| match lost(n) {
        (text, _) if n > 0 => (text, theme.silent),
        other => other,
    };
    let on_both = match lost(c.lost_both) {
        (text, _) if c.lost_both > 0 => (text, theme.bad),
        (text, style) if c.compared > 0 => (text, style.patch(theme.live)),
        other => other,
    };
    d.columns("lost", [on_one(c.legs[0].lost), on_one(c.legs[1].lost), on_both]);
    let first = |n: u64| match units::share_pct(n, s.count()) {
        Some(pct) => (format!("{}  ({})", units::count(n), units::percent(pct)), plain),
        None => (ABSENT.to_owned(), theme.dim),
    };
    let wide = d.inner.width >= 100;
    let class = match s.widest_ns().map(class_of) {
        Some(Some((class, limit))) if wide => {
            dim(&format!("fits 2022-7 class {class} ({})", units::duration(limit)))
        }
        Some(Some((class, _))) => dim(&format!("2022-7 class {class}")),
        Some(None) => ("over 2022-7's 450 ms".to_owned(), theme.silent),
        None => dim(""),
    };
    d.columns("first", [first(s.a_first()), first(s.b_first()), class]);
    let mut parts = vec![dim("now"), (pick(s.last_ns()), plain), dim("min"), (pick(s.min_ns()), plain)];
    if wide {
        parts.extend([dim("mean"), (pick(s.mean_ns()), plain)]);
    }
    parts.extend([dim("p50"), (pick(s.quantile_ns(0.5)), plain)]);
    if wide {
        parts.extend([dim("p99"), (pick(s.quantile_ns(0.99)), plain)]);
    }
    parts.extend([dim("max"), (pick(s.max_ns()), plain)]);
    d.line("B after A", &parts);
    let (text, bad) = pairs::reading(p, now);
    let comparing = c.compared > 0;
    let (sign, style) = match (bad, comparing) {
        (true, true) => ("✕", theme.bad),
        (true, false) => ("◌", theme.silent),
        (false, true) => ("●", theme.live),
        (false, false) => ("–", theme.dim),
    };
    d.line("", &[(format!("{sign} {}", visible(&text, 300)), style)]);
}

/// Which of `n` seconds stands in a column of `width`.
fn second(column: u16, width: u16, n: usize) -> usize {
    usize::from(column) * n / usize::from(width.max(1))
}

/// The widest skew and the losses of each second of the last minute.
fn minute(buf: &mut Buffer, area: Rect, p: &Pair, ctx: &Ctx<'_>) {
    let theme = ctx.theme;
    let now = ctx.model.now().mono;
    let x = area.x + 1 + NAMES + 6;
    let width = area.right().saturating_sub(x + 1);
    if width < 10 || area.height < 2 {
        return;
    }
    let seconds: Vec<_> = (0..SECONDS).rev().map(|back| p.minute().second(now, back)).collect();
    let of = |c: u16| seconds.get(second(c, width, SECONDS)).copied().flatten();
    let widest = |s: crate::model::pair::Second| {
        s.skew_ns.map(|(low, high)| low.unsigned_abs().max(high.unsigned_abs()) as f64)
    };
    let top = seconds.iter().flatten().filter_map(|s| widest(*s)).fold(0.0, f64::max);
    let skew = Rect { x, width, height: area.height - 2, ..area };
    if skew.height > 0 {
        put(buf, area.x + 1, area.y, NAMES as usize, "SKEW", theme.title);
    }
    if top > 0.0 && skew.height > 0 {
        put_right(buf, x - 1, area.y, 8, units::duration_short(top as u64).trim(), theme.dim);
    }
    if skew.height > 0 {
        bars(buf, skew, (0..width).map(|c| of(c).and_then(widest)), top.max(1.0), theme.chart);
    }
    let y = skew.bottom();
    put(buf, area.x + 1, y, NAMES as usize, "LOST", theme.title);
    for c in 0..width {
        let Some(s) = of(c) else { continue };
        let (text, style) = match (s.lost_both, s.lost_a, s.lost_b) {
            (1.., ..) => ("✕", theme.bad),
            (_, 1.., 1..) => ("±", theme.silent),
            (_, 1.., _) => ("a", theme.silent),
            (_, _, 1..) => ("b", theme.silent),
            _ => ("·", theme.dim),
        };
        put(buf, x + c, y, 1, text, style);
    }
    let y = y + 1;
    let mut end = x;
    for back in [60u16, 45, 30, 15] {
        let text = format!("-{back} s");
        let at = x + width - (back * width).div_ceil(SECONDS as u16);
        put(buf, at, y, text.len(), &text, theme.dim);
        end = at + text.len() as u16;
    }
    let legend = "a lost on A, b on B, ± each some, ✕ both";
    let room = (x + width).saturating_sub(end + 6) as usize;
    if legend.width() <= room {
        put_right(buf, x + width - 4, y, room, legend, theme.dim);
    }
    put_right(buf, x + width, y, 3, "now", theme.dim);
}

impl Pane for Feed {
    fn kind(&self) -> Kind {
        Kind::Feed
    }

    fn draw(&mut self, area: Rect, buf: &mut Buffer, focused: bool, at: &mut Shared, ctx: &Ctx<'_>) {
        let Some(p) = selected(at, ctx) else {
            frame(area, buf, ctx.theme, focused, &Words { title: "Feed".into(), ..Words::default() });
            return;
        };
        let marked = units::duration_short(ctx.model.now().mono.since(p.since));
        let restarts = match p.counts().restarts {
            0 => String::new(),
            n => format!("the sender began anew {n} ×"),
        };
        let words = Words {
            title: "Feed: two streams as one".to_owned(),
            right: format!("marked for {}", marked.trim()),
            bottom: restarts,
            bottom_right: format!("{} takes the mark back", ctx.key(Cmd::Feed)),
        };
        let inner = frame(area, buf, ctx.theme, focused, &words);
        figures(&mut Drawing { buf, inner, y: inner.y, ctx }, p);
        let rest = inner.height.saturating_sub(FIGURES);
        minute(buf, Rect { y: inner.y + FIGURES, height: rest, ..inner }, p, ctx);
    }

    fn command(&mut self, cmd: Cmd, at: &mut Shared, ctx: &Ctx<'_>) -> Reply {
        let Some(p) = selected(at, ctx) else { return Reply::Ignored };
        let leg = match cmd {
            Cmd::Left => &p.legs[0],
            Cmd::Right => &p.legs[1],
            Cmd::Open => return Reply::Focus(Kind::Packets),
            _ => return Reply::Ignored,
        };
        // The stream above is the leg's now.
        at.select_group(Some(leg.row));
        at.source = leg.from;
        Reply::Done
    }

    fn click(&mut self, _x: u16, _y: u16, _at: &mut Shared, _ctx: &Ctx<'_>) {}

    fn wheel(&mut self, _lines: isize, _at: &mut Shared, _ctx: &Ctx<'_>) {}

    fn copy(&self, at: &Shared, ctx: &Ctx<'_>) -> Option<String> {
        let p = selected(at, ctx)?;
        let (c, s) = (p.counts(), p.skew());
        Some(format!(
            "A {}, B {}: {} numbers, {} lost on A, {} on B, {} on both; B after A {} to {}, mean {}",
            p.legs[0].describe(),
            p.legs[1].describe(),
            c.compared,
            c.legs[0].lost,
            c.legs[1].lost,
            c.lost_both,
            pick(s.min_ns()),
            pick(s.max_ns()),
            pick(s.mean_ns())
        ))
    }
}
