//! The figures of one stream, a row for each subject. Where there is little room, what matters least
//! gives way: within a row the figures of the highest rank, of the rows those of the highest rank.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use crate::base::dscp;
use crate::base::text::visible;
use crate::base::units::{self, ABSENT};
use crate::model::group::Group;
use crate::model::media::Media;
use crate::model::reading;
use crate::model::shape::WINDOWS_NS;
use crate::model::source::{Marking, Source};
use crate::ui::format;
use crate::ui::layer::Ctx;
use crate::ui::widget::frame::put;

/// Cells of the names of the rows.
const NAMES: u16 = 10;

/// One figure: what it is called, and its value with its unit.
struct Figure {
    label: &'static str,
    value: String,
    style: Style,
    rank: u8,
}

impl Figure {
    fn width(&self) -> usize {
        self.value.width() + if self.label.is_empty() { 0 } else { self.label.width() + 1 }
    }
}

/// A row of figures about one subject.
pub(super) struct Row {
    name: &'static str,
    rank: u8,
    figures: Vec<Figure>,
    plain: Style,
}

impl Row {
    fn new(name: &'static str, rank: u8, plain: Style) -> Row {
        Row { name, rank, figures: Vec::new(), plain }
    }

    /// One more figure; nothing for an empty value.
    fn push(&mut self, rank: u8, label: &'static str, value: impl Into<String>, style: Style) {
        let value = value.into();
        if !value.is_empty() {
            self.figures.push(Figure { label, value, style, rank });
        }
    }

    fn add(&mut self, rank: u8, label: &'static str, value: impl Into<String>) {
        self.push(rank, label, value, self.plain);
    }

    /// How many cells lie between two figures, and how many cells all of it then takes up.
    fn spread(&self, width: usize) -> (usize, usize) {
        let all: usize = self.figures.iter().map(Figure::width).sum();
        let between = self.figures.len().saturating_sub(1);
        let gap = if all + between * 3 <= width { 3 } else { 2 };
        (gap, all + between * gap)
    }

    fn draw(mut self, buf: &mut Buffer, area: Rect, y: u16, dim: Style) {
        put(buf, area.x + 1, y, NAMES as usize, self.name, dim);
        let mut x = area.x + 1 + NAMES;
        let width = usize::from(area.right().saturating_sub(x + 1));
        while self.spread(width).1 > width {
            let Some(rank) = self.figures.iter().map(|f| f.rank).max().filter(|&r| r > 0) else { break };
            if let Some(last) = self.figures.iter().rposition(|f| f.rank == rank) {
                self.figures.remove(last);
            }
        }
        let gap = self.spread(width).0 as u16;
        for f in &self.figures {
            let room = |x: u16| usize::from(area.right().saturating_sub(x + 1));
            if !f.label.is_empty() {
                put(buf, x, y, room(x), f.label, dim);
                x += f.label.width() as u16 + 1;
            }
            put(buf, x, y, room(x), &f.value, f.style);
            x = x.saturating_add(f.value.width() as u16 + gap);
        }
    }
}

/// Draws as many rows as there is room for.
pub(super) fn draw(buf: &mut Buffer, area: Rect, g: &Group, s: &Source, ctx: &Ctx<'_>) {
    let mut list = rows(g, s, ctx);
    while list.len() > usize::from(area.height) {
        let Some(rank) = list.iter().map(|r| r.rank).max() else { break };
        if let Some(last) = list.iter().rposition(|r| r.rank == rank) {
            list.remove(last);
        }
    }
    for (row, y) in list.into_iter().zip(area.y..) {
        row.draw(buf, area, y, ctx.theme.dim);
    }
}

/// All rows, in their order.
fn rows(g: &Group, s: &Source, ctx: &Ctx<'_>) -> Vec<Row> {
    let mut all = vec![
        what(g, s, ctx),
        loss(g, s, ctx),
        numbers(s, ctx),
        order(s, ctx),
        rate(g, s, ctx),
        peak(s, ctx),
        gap(s, ctx),
        jitter(s, ctx),
        size(s, ctx),
        marking(s, ctx),
        last(g, s, ctx),
    ];
    all.extend(carries(s, ctx));
    all
}

fn what(g: &Group, s: &Source, ctx: &Ctx<'_>) -> Row {
    let theme = ctx.theme;
    let mut row = Row::new("what", 0, theme.text);
    let protocol = s.verdict.protocol();
    let name = protocol.map_or_else(|| "unknown payload".to_owned(), |(p, _)| visible(p.name, 40));
    row.push(0, "", name, theme.title);
    if let Some(label) = g.label.as_deref().map(|l| visible(l, 40)).filter(|l| !l.is_empty()) {
        row.add(0, "", format!("({label})"));
    }
    let sure = protocol.map_or("", |(_, sure)| reading::confidence(sure));
    row.push(1, "", sure, theme.dim);
    row.push(3, "", reading::reason(s, &g.rules, g.membership.port), theme.dim);
    row
}

fn loss(g: &Group, s: &Source, ctx: &Ctx<'_>) -> Row {
    let theme = ctx.theme;
    let mut row = Row::new("", 0, theme.text);
    let nic = ctx.model.iface(&g.membership.iface).and_then(|i| i.nic_drops);
    let c = s.continuity();
    let (text, bad) = reading::loss(c, &g.drops, nic);
    let (sign, style) = match (bad, c) {
        (true, _) => ("✕", theme.bad),
        (false, None) => (ABSENT, theme.dim),
        (false, Some(_)) => ("●", theme.live),
    };
    row.push(0, "", format!("{sign} {text}"), style);
    row
}

fn numbers(s: &Source, ctx: &Ctx<'_>) -> Row {
    let theme = ctx.theme;
    let mut row = Row::new("missing", 0, theme.text);
    let c = s.continuity();
    let bad = |n: u64| if n > 0 { theme.bad } else { theme.text };
    let Some(c) = c else {
        row.push(0, "", ABSENT, theme.text);
        row.push(1, "counter", reading::counter(s), theme.dim);
        return row;
    };
    let missing = c.missing();
    row.push(0, "", units::count(missing), bad(missing));
    if missing > 0 {
        let share = units::share_pct(missing, missing + s.counters.packets);
        row.push(0, "", share.map_or_else(String::new, |p| format!("({})", units::percent(p))), theme.bad);
        row.add(1, "at most", format!("{} in a row", units::count(c.longest_gap)));
        row.add(2, "in", format!("{} gaps", units::count(c.gaps)));
    }
    if let Some(n) = s.rfc3550_lost() {
        row.add(2, "by RFC 3550", n.to_string());
    }
    // A counter that no protocol vouches for stands with the loss that is read from it.
    let rank = if s.verdict.protocol().is_none() { 0 } else { 3 };
    row.add(rank, "counter", reading::counter(s));
    row
}

fn order(s: &Source, ctx: &Ctx<'_>) -> Row {
    let mut row = Row::new("order", 1, ctx.theme.text);
    let Some(c) = s.continuity() else {
        row.add(0, "", ABSENT);
        return row;
    };
    row.add(0, "reordered", units::count(c.reordered));
    if c.reordered > 0 {
        let numbers = if c.late_max == 1 { "number" } else { "numbers" };
        row.add(1, "at most", format!("{} {numbers} late", units::count(c.late_max)));
        if c.late_max_ns > 0 {
            row.add(1, "", units::duration(c.late_max_ns));
        }
    }
    row.add(0, "duplicates", units::count(c.duplicates));
    row.add(0, "restarts", units::count(c.restarts.into()));
    if c.strays > 0 {
        row.add(2, "strays", units::count(c.strays.into()));
    }
    row
}

fn rate(g: &Group, s: &Source, ctx: &Ctx<'_>) -> Row {
    let mut row = Row::new("rate", 0, ctx.theme.text);
    let now = ctx.model.now().mono;
    let rate = g.since.and_then(|since| s.rate.rate(now, since.mono));
    row.add(0, "", units::or_dash(rate.map(|r| r.packets_pps), units::packets_per_s));
    row.add(0, "", units::or_dash(rate.map(|r| r.payload_bps), units::bits_per_s));
    if let Some(r) = rate {
        row.add(2, "with headers", units::bits_per_s(r.ip_bps));
    }
    let all = format!("{}, {}", units::packets(s.counters.packets), units::bytes(s.counters.payload_bytes));
    row.add(1, "in all", all);
    row
}

fn peak(s: &Source, ctx: &Ctx<'_>) -> Row {
    let mut row = Row::new("peak", 2, ctx.theme.text);
    let Some(d) = &s.detail else {
        row.add(0, "", ABSENT);
        return row;
    };
    for (window_ns, label) in WINDOWS_NS.into_iter().zip(["in 1 ms", "in 10 ms", "in 100 ms"]) {
        let Some(p) = d.peaks.peak(window_ns).filter(|p| p.packets > 0) else { continue };
        row.add(0, label, units::bits_per_s(p.bps(window_ns)));
        row.add(2, "", format!("{} pkt", units::count(p.packets.into())));
    }
    if row.figures.is_empty() {
        row.add(0, "", ABSENT);
    }
    row
}

fn gap(s: &Source, ctx: &Ctx<'_>) -> Row {
    let mut row = Row::new("gap", 0, ctx.theme.text);
    let gaps = s.detail.as_ref().map(|d| &d.gaps).filter(|q| !q.is_empty());
    // A percentile is the middle of its cell: never beyond what was measured.
    let exact = |n: u64| n.clamp(s.gaps.min_ns, s.gaps.max_ns.max(s.gaps.min_ns));
    let short = |n: Option<u64>| units::or_dash(n, units::duration_short);
    let q = |share: f64| short(gaps.and_then(|q| q.quantile(share)).map(exact));
    let any = |n: u64| short((s.gaps.count > 0).then_some(n));
    row.add(0, "min", any(s.gaps.min_ns));
    row.add(0, "p50", q(0.5));
    row.add(2, "mean", short(s.gaps.mean_ns()));
    row.add(3, "p90", q(0.9));
    row.add(0, "p99", q(0.99));
    row.add(3, "p99.9", q(0.999));
    row.add(1, "longest", any(s.longest_silence_ns(ctx.model.now().mono)));
    row
}

fn jitter(s: &Source, ctx: &Ctx<'_>) -> Row {
    let theme = ctx.theme;
    let mut row = Row::new("jitter", 1, theme.text);
    let clocks = s.detail.as_ref().map_or(&[][..], |d| d.media());
    let Some(m) = clocks.first() else {
        row.add(0, "", ABSENT);
        row.push(1, "", "no media clock is known in this payload", theme.dim);
        return row;
    };
    let ns = |n: Option<f64>| units::or_dash(n, |n| units::duration_short(n.round() as u64));
    row.add(0, "", ns(m.jitter_ns()));
    if m.jitter_ns().is_some() {
        row.add(1, "mean", ns(m.jitter_mean_ns()));
        row.add(0, "largest", ns(m.jitter_max_ns()));
    }
    let clock = m.clock_hz().map_or_else(|| "of an unknown rate".to_owned(), |hz| format!("{}Hz", si(hz)));
    row.add(0, "clock", clock);
    row.add(0, "drift", drift(m));
    if clocks.len() > 1 {
        row.push(2, "", format!("the first of {} clocks", clocks.len()), theme.dim);
    }
    row
}

/// A rate in Hz with its prefix, exact where it is a whole number of kHz.
fn si(hz: u32) -> String {
    match hz {
        0..1_000_000 if hz.is_multiple_of(1000) => format!("{} k", hz / 1000),
        1_000_000.. if hz.is_multiple_of(1_000_000) => format!("{} M", hz / 1_000_000),
        _ => format!("{} ", units::count(hz.into())),
    }
}

fn drift(m: &Media) -> String {
    m.drift_ppm().map_or_else(|| "– until 30 s are measured".to_owned(), |ppm| format!("{ppm:+.1} ppm"))
}

fn size(s: &Source, ctx: &Ctx<'_>) -> Row {
    let theme = ctx.theme;
    let mut row = Row::new("size", 1, theme.text);
    let c = &s.counters;
    match c.size_mean() {
        Some(_) if c.size_min == c.size_max => row.add(0, "", format!("{} B", c.size_min)),
        Some(mean) => {
            row.add(0, "min", format!("{} B", c.size_min));
            row.add(0, "mean", format!("{mean:.0} B"));
            row.add(0, "max", format!("{} B", c.size_max));
        }
        None => row.add(0, "", ABSENT),
    }
    if c.fragmented > 0 {
        row.push(1, "in fragments", units::packets(c.fragmented), theme.silent);
    }
    if c.truncated > 0 {
        row.push(1, "cut", units::packets(c.truncated), theme.silent);
    }
    if let Some(d) = &s.detail
        && c.size_min != c.size_max
    {
        let (ends, counts) = (crate::model::shape::SIZE_CLASSES, d.sizes.counts());
        let all: u64 = counts.iter().sum();
        for (i, &n) in counts.iter().enumerate().filter(|(_, n)| **n > 0) {
            let share = units::share_pct(n, all).map_or_else(String::new, units::percent);
            let class = match ends[i] {
                u32::MAX => format!("{share} above {} B", ends[i - 1]),
                end => format!("{share} to {end} B"),
            };
            row.push(3 + i as u8, "", class, theme.dim);
        }
    }
    row
}

fn marking(s: &Source, ctx: &Ctx<'_>) -> Row {
    let theme = ctx.theme;
    let mut row = Row::new("marking", 1, theme.text);
    let mut one = |label, m: &Marking, value: Option<String>| {
        row.add(0, label, units::or_dash(value, |v| v));
        if m.changes > 0 {
            let times = format!("changed {} ×", units::count(m.changes.into()));
            row.push(1, "", times, theme.silent);
            row.push(2, "", format!("between {} and {}", m.min, m.max), theme.dim);
        }
    };
    one("TTL", &s.ttl, s.ttl.last.map(|t| t.to_string()));
    let dscp = s.dscp.last.map(|d| match dscp::name(d) {
        Some(name) => format!("{name} ({d})"),
        None => d.to_string(),
    });
    one("DSCP", &s.dscp, dscp);
    one("ECN", &s.ecn, s.ecn.last.map(|e| dscp::ecn(e).to_owned()));
    row
}

/// What a transport stream says that it carries; nothing for other streams.
fn carries(s: &Source, ctx: &Ctx<'_>) -> Option<Row> {
    let programs = s.detail.as_ref()?.programs()?;
    let mut row = Row::new("carries", 2, ctx.theme.text);
    row.add(0, "", programs.describe());
    Some(row)
}

fn last(g: &Group, s: &Source, ctx: &Ctx<'_>) -> Row {
    let theme = ctx.theme;
    let mut row = Row::new("last", 3, theme.text);
    row.add(0, "", units::age(ctx.model.now().mono.since(s.last.mono)));
    row.push(0, "", units::or_dash(format::last_payload(g, s, 200), |p| p), theme.dim);
    row
}
