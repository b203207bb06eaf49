//! The lines above and below the views: totals, tabs and losses, keys.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use unicode_width::UnicodeWidthStr;

use crate::base::batch::Capture;
use crate::base::tap::Depth;
use crate::base::time::Wall;
use crate::base::units;
use crate::engine::command::SendState;
use crate::model::{Model, Totals};
use crate::ui::format::{clip, clock, tally};
use crate::ui::keys::{self, Situation};
use crate::ui::layer::Ctx;
use crate::ui::view::{VIEWS, ViewRow};
use crate::ui::widget::frame::put;

/// Puts styled parts one after the other; returns where the next would stand.
fn run(buf: &mut Buffer, mut x: u16, y: u16, end: u16, parts: &[(String, Style)]) -> u16 {
    for (text, style) in parts {
        let room = end.saturating_sub(x) as usize;
        let text = clip(text, room);
        put(buf, x, y, room, &text, *style);
        x += text.width() as u16;
    }
    x
}

fn width(parts: &[(String, Style)]) -> u16 {
    parts.iter().map(|p| p.0.width() as u16).sum()
}

/// Interfaces in use or that joins would take, with their first address.
fn addresses(model: &Model) -> Vec<String> {
    let used = |name: &str| model.groups().any(|g| &*g.membership.iface == name);
    model
        .ifaces()
        .iter()
        .filter(|i| i.iface.candidate().is_ok() || used(&i.iface.name))
        .map(|i| {
            let list = &i.iface.addrs;
            match list.iter().find(|a| a.ip.is_ipv4()).or(list.first()) {
                Some(a) => format!("{} {}", i.iface.name, a.ip),
                None => i.iface.name.to_string(),
            }
        })
        .collect()
}

/// The first line: who and where, how much, what time it is.
pub fn header(buf: &mut Buffer, area: Rect, t: &Totals, ctx: &Ctx<'_>) {
    let theme = ctx.theme;
    let tapped = ctx.model.wire().depth().shows_groups();
    let wire = tapped.then(|| ctx.model.wire_totals(None));
    // Where nothing is joined, the line is about the wire; otherwise about what is joined.
    let only_wire = wire.filter(|_| t.groups == 0);
    let whole = only_wire.map_or(t.rate, |w| w.rate);
    let rate = whole.unwrap_or_default();
    let (pps, bps) = match whole {
        Some(_) => (units::packets_per_s(rate.packets_pps), units::bits_per_s(rate.payload_bps)),
        None => ("– pkt/s".to_owned(), "– bit/s".to_owned()),
    };
    // Rates are right-aligned in a fixed place: the line does not move when they do.
    let (groups, sources) = only_wire.map_or((t.groups, t.sources), |w| (w.groups, w.sources));
    let counts = format!(
        "{}  {}",
        units::counted(groups as u64, "group", "groups"),
        units::counted(sources as u64, "source", "sources")
    );
    let beside = match (wire, only_wire) {
        (_, Some(_)) if area.width < 100 => ("◇ ".to_owned(), String::new()),
        (_, Some(_)) => ("◇ on the wire: ".to_owned(), String::new()),
        (Some(w), None) if area.width < 100 => (String::new(), format!("  ◇ {}", w.groups)),
        (Some(w), None) => (String::new(), format!("  ◇ {} on the wire", w.groups)),
        (None, None) => (String::new(), String::new()),
    };
    let right = vec![
        (beside.0, theme.wire),
        (counts, theme.text),
        (beside.1, theme.wire),
        (format!(" {pps:>13} {bps:>13}  "), theme.text),
        (format!("{} ", clock(ctx.now.wall, ctx.utc_offset_s)), theme.title),
    ];
    let start = area.right().saturating_sub(width(&right));
    run(buf, start, area.y, area.right(), &right);
    let mut left = vec![(" mcscope".to_owned(), theme.title.patch(theme.accent))];
    let room = start.saturating_sub(area.x + 2);
    left.push((format!("  {}", ctx.host), theme.text));
    for text in addresses(ctx.model) {
        let part = (format!("  {text}"), theme.dim);
        if width(&left) + part.0.width() as u16 > room {
            if width(&left) + 3 <= room {
                left.push(("  …".to_owned(), theme.dim));
            }
            break;
        }
        left.push(part);
    }
    run(buf, area.x, area.y, start.saturating_sub(1), &left);
}

/// What the second line says beside the tabs.
pub struct Status<'a> {
    /// The key of the view shown.
    pub view: char,
    /// When the screen was frozen.
    pub paused: Option<Wall>,
    /// The filter.
    pub filter: &'a str,
}

/// The second line: tabs, the four places of loss, watching or paused. Returns where each tab stands.
pub fn tabs(buf: &mut Buffer, area: Rect, t: &Totals, s: &Status<'_>, ctx: &Ctx<'_>) -> Vec<(char, Rect)> {
    let theme = ctx.theme;
    let mut right = Vec::new();
    let running = ctx.sends.iter().filter(|(_, p)| p.state == SendState::Running).count();
    if running > 0 {
        right.push((format!("→ {running} sending   "), theme.ours));
    }
    for (word, n) in
        [("NET", t.lost), ("NIC", t.nic_drops), ("SOCK", t.socket_drops), ("OURS", Some(t.not_analysed))]
    {
        let style = if n.unwrap_or(0) > 0 { theme.bad.add_modifier(Modifier::BOLD) } else { theme.text };
        right.push((format!("{word} "), theme.dim));
        right.push((format!("{:<3} ", units::or_dash(n, tally)), style));
    }
    match s.paused {
        Some(at) => {
            let since = clock(at, ctx.utc_offset_s);
            let more = if area.width >= 120 { ", counting goes on" } else { "" };
            right.push((format!(" ❚❚ paused {since}{more} "), theme.silent));
        }
        None => {
            let by = if ctx.model.capture() == Capture::Ring { "by ring " } else { "" };
            right.push((format!(" ● watching {by}"), theme.live));
            let (text, style) = match ctx.model.wire().depth() {
                Depth::All => ("◇ tap on, all ", theme.wire),
                Depth::Wire => ("◇ tap on ", theme.wire),
                _ => ("", theme.dim),
            };
            right.push((text.to_owned(), style));
        }
    }
    let mut x = area.x + 1;
    let mut places = Vec::new();
    let start = area.right().saturating_sub(width(&right));
    // Short of room some tabs keep their keys only, never the one that is shown.
    let name = |v: &ViewRow| v.title.width() as u16 + 1;
    let cap = |v: &ViewRow| ctx.key(v.binding.cmd);
    let alone = |v: &ViewRow| cap(v).width() as u16 + 2;
    let least = VIEWS.iter().map(|v| alone(v) + if v.key() == s.view { name(v) } else { 0 }).sum::<u16>();
    let mut spare = start.saturating_sub(x + least);
    for v in VIEWS {
        let here = v.key() == s.view;
        let style =
            if here { theme.title.patch(theme.accent).add_modifier(Modifier::UNDERLINED) } else { theme.dim };
        let named = here || name(v) <= spare;
        if named && !here {
            spare -= name(v);
        }
        let text = if named { format!("{} {}", cap(v), v.title) } else { cap(v) };
        places.push((v.key(), Rect::new(x, area.y, text.width() as u16, 1)));
        x = run(buf, x, area.y, start, &[(text, style)]) + 2;
    }
    if !s.filter.is_empty() && x + 4 < start {
        run(
            buf,
            x,
            area.y,
            start - 1,
            &[("/".to_owned(), theme.accent), (s.filter.to_owned(), theme.accent)],
        );
    }
    run(buf, start, area.y, area.right(), &right);
    places
}

/// The last line: the keys that work now, the most useful first, as many as fit.
pub fn footer(buf: &mut Buffer, area: Rect, situation: &Situation, ctx: &Ctx<'_>) {
    let theme = ctx.theme;
    let mut rows: Vec<_> = keys::table().iter().filter(|b| b.footer > 0 && b.works(situation)).collect();
    rows.sort_by_key(|b| b.footer);
    let mut x = area.x + 1;
    // An action that was left without a key is not offered here.
    rows.retain(|b| !ctx.keys.keys(b.cmd).is_empty());
    let width = |b: &keys::Binding| (ctx.keys.cap(b.cmd).width() + b.short.width() + 3) as u16;
    // Who does not know what to do needs these two most: they have their room before any other.
    let kept = |b: &keys::Binding| matches!(b.cmd, keys::Cmd::Help | keys::Cmd::Quit);
    let mut reserved: u16 = rows.iter().filter(|b| kept(b)).map(|b| width(b)).sum();
    for b in rows {
        if kept(b) {
            reserved -= width(b);
        }
        let cap = ctx.keys.cap(b.cmd);
        let text = format!(" {}  ", b.short);
        if x + width(b) - 2 + reserved > area.right() {
            continue;
        }
        run(
            buf,
            x,
            area.y,
            area.right(),
            &[(cap.clone(), theme.accent), (format!(" {}", b.short), theme.dim)],
        );
        x += (cap.width() + text.width()) as u16;
    }
}
