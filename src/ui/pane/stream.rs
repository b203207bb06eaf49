//! One stream: what it is, its figures, what it lost and where.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use crate::base::dscp;
use crate::base::text::visible;
use crate::base::units::{self, ABSENT};
use crate::model::group::Group;
use crate::model::source::Source;
use crate::ui::keys::Cmd;
use crate::ui::layer::Ctx;
use crate::ui::pane::feed;
use crate::ui::pane::groups::spec;
use crate::ui::pane::{Kind, Pane, Reply};
use crate::ui::reading;
use crate::ui::shared::Shared;
use crate::ui::widget::frame::{Words, empty, frame, put};
use crate::ui::{forecast, format};

/// Cells of the names at the left.
const NAMES: u16 = 10;

/// The pane.
#[derive(Default)]
pub struct Stream;

/// The stream looked at: the selected source, or else the busiest of the group.
pub fn selected<'a>(at: &Shared, ctx: &Ctx<'a>) -> Option<(&'a Group, &'a Source)> {
    let g = at.group(ctx)?;
    let s = match at.source.and_then(|from| g.sources.get(from)) {
        Some(s) => s,
        None => g.sources.list().iter().max_by_key(|s| s.counters.payload_bytes)?,
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

type Part = (String, Style);

/// Puts parts one after the other, two blanks between.
fn line(buf: &mut Buffer, area: Rect, y: u16, name: &str, parts: &[Part], ctx: &Ctx<'_>) {
    if y >= area.bottom() {
        return;
    }
    put(buf, area.x + 1, y, NAMES as usize, name, ctx.theme.dim);
    let mut x = area.x + 1 + NAMES;
    for (text, style) in parts {
        let room = area.right().saturating_sub(x) as usize;
        put(buf, x, y, room, text, *style);
        x = x.saturating_add(text.width() as u16 + 2);
    }
}

fn pick(part: Option<u64>) -> String {
    units::or_dash(part, units::duration_short)
}

impl Stream {
    fn figures(&self, buf: &mut Buffer, area: Rect, g: &Group, s: &Source, ctx: &Ctx<'_>) {
        let theme = ctx.theme;
        let now = ctx.model.now().mono;
        let wide = area.width >= 110;
        let plain = theme.text;
        let text = |t: String| (t, plain);
        let dim = |t: &str| (t.to_owned(), theme.dim);
        let mut y = area.y;
        let mut next = |buf: &mut Buffer, name: &str, parts: &[Part]| {
            line(buf, area, y, name, parts, ctx);
            y += 1;
        };
        let what = s.protocol().map_or_else(|| "unknown payload".to_owned(), |p| p.name.to_owned());
        let label = g.label.as_deref().map(|l| visible(l, 40)).unwrap_or_default();
        let label = if label.is_empty() { label } else { format!("({label})") };
        let reason = reading::recognition(s);
        next(buf, "what", &[(what, theme.title), text(label), (reason, theme.dim)]);
        let payload = s.detail.as_ref().map(|d| format::of_payload(s.protocol(), d.last_payload(), 200));
        next(
            buf,
            "last",
            &[
                (units::age(now.since(s.last.mono)), plain),
                (payload.unwrap_or_else(|| ABSENT.to_string()), theme.dim),
            ],
        );
        let rate = g.since.and_then(|since| s.rate.rate(now, since.mono));
        let mut parts = vec![
            text(units::or_dash(rate.map(|r| r.packets_pps), units::packets_per_s)),
            text(units::or_dash(rate.map(|r| r.payload_bps), units::bits_per_s)),
        ];
        if wide {
            let with = units::or_dash(rate.map(|r| r.ip_bps), units::bits_per_s);
            parts.push((format!("{with} with headers"), theme.dim));
        }
        parts.push(dim("in all"));
        parts.push(text(format!(
            "{}, {}",
            units::packets(s.counters.packets),
            units::bytes(s.counters.payload_bytes)
        )));
        next(buf, "rate", &parts);
        let changed = |m: &crate::model::source::Marking| match m.changes {
            0 => ("".to_owned(), plain),
            n => (format!("changed {n} ×"), theme.silent),
        };
        let sizes = match format::sizes(&s.counters) {
            one if s.counters.size_min == s.counters.size_max => format!("{one} B"),
            three => format!("{three} B (min/mean/max)"),
        };
        let tos = s.tos.last.map(|t| format!("{} ({})", dscp::label(t >> 2), t >> 2));
        let ecn = s.tos.last.map_or_else(String::new, |t| format!("ECN {}", t & 3));
        let mut parts = vec![text(sizes), dim("TTL"), text(units::or_dash(s.ttl.last, |t| t.to_string()))];
        parts.push(changed(&s.ttl));
        parts.extend([dim("DSCP"), text(units::or_dash(tos, |t| t)), changed(&s.tos)]);
        if wide {
            parts.push((ecn, theme.dim));
        }
        if s.counters.truncated > 0 {
            parts.push((format!("{} cut", units::packets(s.counters.truncated)), theme.silent));
        }
        parts.retain(|p| !p.0.is_empty());
        next(buf, "size", &parts);
        let gaps = s.detail.as_ref().map(|d| &d.gaps).filter(|q| !q.is_empty());
        // A percentile is the middle of its cell: never beyond what was measured.
        let exact = |n: u64| n.clamp(s.gaps.min_ns, s.gaps.max_ns.max(s.gaps.min_ns));
        let q = |share: f64| pick(gaps.and_then(|q| q.quantile(share)).map(exact));
        let some = |n: u64| (s.gaps.count > 0).then_some(n);
        let mut parts = vec![dim("min"), text(pick(some(s.gaps.min_ns))), dim("p50"), text(q(0.5))];
        if wide {
            parts.extend([dim("mean"), text(pick(s.gaps.mean_ns())), dim("p90"), text(q(0.9))]);
        }
        parts.extend([dim("p99"), text(q(0.99)), dim("longest"), text(pick(some(s.gaps.max_ns)))]);
        next(buf, "gap", &parts);
        let c = s.continuity();
        let n = |v: Option<u64>| units::or_dash(v, units::count);
        let bad = |v: Option<u64>| if v.unwrap_or(0) > 0 { theme.bad } else { plain };
        let missing = c.map(|c| c.missing());
        let share = c.and_then(|c| units::share_pct(c.missing(), c.missing() + s.counters.packets));
        let share = share.filter(|_| missing.unwrap_or(0) > 0).map(|p| format!("({})", units::percent(p)));
        let mut parts = vec![(n(missing), bad(missing)), (share.unwrap_or_default(), theme.bad)];
        for (name, v) in [
            ("longest gap", c.map(|c| c.longest_gap)),
            ("duplicates", c.map(|c| c.duplicates)),
            ("reordered", c.map(|c| c.reordered)),
            ("restarts", c.map(|c| u64::from(c.restarts))),
        ] {
            if name == "restarts" && !wide && v.unwrap_or(0) == 0 {
                continue;
            }
            parts.extend([dim(name), (n(v), plain)]);
        }
        parts.retain(|p| !p.0.is_empty());
        next(buf, "missing", &parts);
        let nic = ctx.model.iface(&g.membership.iface).and_then(|i| i.nic_drops);
        let (reading, is_bad) = reading::loss(c, &g.drops, nic);
        let style = if is_bad { theme.bad } else { theme.live };
        let sign = if is_bad { "✕" } else { "●" };
        let style = if c.is_none() && !is_bad { theme.dim } else { style };
        let sign = if c.is_none() && !is_bad { "–" } else { sign };
        next(buf, "", &[(format!("{sign} {reading}"), style)]);
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
        self.figures(buf, inner, g, s, ctx);
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
