//! The packets of the selected group, newest on top.

use std::hash::{DefaultHasher, Hash, Hasher};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::base::dscp;
use crate::base::units::{self, ABSENT};
use crate::model::filter::Packeted;
use crate::model::group::Group;
use crate::model::packets::Packet;
use crate::ui::format::{self, clip_middle, clock_us};
use crate::ui::keys::Cmd;
use crate::ui::layer::Ctx;
use crate::ui::pane::groups::spec;
use crate::ui::pane::scan::Scan;
use crate::ui::pane::{Kind, Pane, Reply, movement, nothing_matches};
use crate::ui::shared::{Held, Shared, before};
use crate::ui::widget::feed::{Feed, Rows};
use crate::ui::widget::frame::{Words, empty, frame, put, put_right};

/// From this width on gap, TTL and DSCP have room.
const WIDE: u16 = 120;
/// Characters of a preview that are copied.
const PREVIEW_COPIED: usize = 400;

/// The pane.
#[derive(Default)]
pub struct Packets {
    feed: Feed,
    scan: Scan,
    body: Rect,
    drawn: Vec<u64>,
}

/// The packets kept of a group, by number.
fn bounds(g: &Group) -> (u64, u64) {
    let end = g.packets.ever();
    (end - g.packets.len() as u64, end)
}

fn narrowed(at: &Shared) -> bool {
    at.filter.is_set() || at.only_source.is_some()
}

impl Packets {
    /// The rows to show.
    fn rows(&mut self, g: &Group, at: &Shared, ctx: &Ctx<'_>) -> Rows<'_> {
        let (first, end) = bounds(g);
        if !narrowed(at) {
            return Rows::All { first, end };
        }
        let mut hash = DefaultHasher::new();
        (at.filter.text(), at.only_source, g.id).hash(&mut hash);
        self.scan.run(hash.finish(), first, end, |n| {
            let Some(p) = g.packets.get(n) else { return false };
            if at.only_source.is_some_and(|from| from != p.datagram.source) {
                return false;
            }
            if !at.filter.is_set() {
                return true;
            }
            at.filter.expr().passes(&Packeted {
                group: g,
                datagram: &p.datagram,
                payload: g.packets.payload(p),
                protocol: p.protocol,
                gap_ns: p.gap_ns,
                host: ctx.name(p.datagram.source.ip),
                now: ctx.model.now().mono,
            })
        });
        Rows::Some(self.scan.matches())
    }

    fn hold(number: Option<u64>, at: &mut Shared, ctx: &Ctx<'_>) {
        let held = number.and_then(|n| {
            let ring = &at.group(ctx)?.packets;
            let p = ring.get(n)?;
            let before = before(ring, p).map(<[u8]>::to_vec);
            Some(Held { packet: *p, payload: ring.payload(p).to_vec(), before })
        });
        // A row that is forgotten meanwhile leaves what is looked at as it is.
        if held.is_some() || number.is_none() {
            at.hold(held);
        }
    }

    fn shift(&mut self, by: isize, at: &mut Shared, ctx: &Ctx<'_>) {
        let Some(g) = at.group(ctx) else { return };
        let selected = at.held.as_ref().map(|h| h.packet.number);
        let feed = self.feed;
        let to = feed.moved(&self.rows(g, at, ctx), selected, by);
        Self::hold(to, at, ctx);
    }

    fn words(&self, g: &Group, at: &Shared, partial: bool, ctx: &Ctx<'_>) -> Words {
        let title = match at.only_source {
            Some(from) => format!("Packets of {from} to {}", spec(&g.membership)),
            None => format!("Packets to {} on {}", spec(&g.membership), g.membership.iface),
        };
        let right = match &at.held {
            None => "following ▾".to_owned(),
            Some(_) => format!("standing still · {} follows", ctx.key(Cmd::Follow)),
        };
        let (first, end) = bounds(g);
        let mut bottom = format!("{} kept of {}", units::count(end - first), units::count(end));
        if partial {
            bottom.push_str(" · still searching");
        }
        if at.held.as_ref().is_some_and(|h| g.packets.get(h.packet.number).is_none()) {
            bottom.push_str(" · the selected one is forgotten, a copy is shown");
        }
        Words { title, right, bottom, ..Words::default() }
    }
}

/// What a row of the list needs to be drawn.
struct Row<'a> {
    area: Rect,
    y: u16,
    selected: bool,
    focused: bool,
    marked: bool,
    group: &'a Group,
    ctx: &'a Ctx<'a>,
}

fn draw_row(buf: &mut Buffer, p: &Packet, payload: &[u8], r: &Row<'_>) {
    let (theme, y) = (r.ctx.theme, r.y);
    if r.selected {
        if r.focused {
            buf.set_style(Rect { y, height: 1, ..r.area }, theme.selected);
        }
        let style = if r.focused { theme.accent } else { theme.dim };
        put(buf, r.area.x, y, 1, "▌", style);
    }
    let wide = r.area.width >= WIDE;
    let mut x = r.area.x + 1;
    let mut column = |buf: &mut Buffer, width: u16, text: &str, right: bool, style| {
        let room = r.area.right().saturating_sub(x).min(width);
        if right {
            put_right(buf, x + room, y, room as usize, text, style);
        } else {
            put(buf, x, y, room as usize, text, style);
        }
        x += width + 1;
    };
    column(buf, 16, &clock_us(p.datagram.time, r.ctx.utc_offset_s), false, theme.dim);
    let style = if p.ours { theme.ours } else { theme.text };
    let sign = match (r.marked, p.ours) {
        (true, _) => ("◆", theme.silent),
        (_, true) => ("→", style),
        _ => (" ", style),
    };
    column(buf, 1, sign.0, false, sign.1);
    column(buf, 21, &clip_middle(&p.datagram.source.to_string(), 21), false, style);
    let cut = if p.datagram.is_truncated() { "!" } else { "" };
    column(buf, 6, &format!("{}{cut}", p.datagram.len), true, theme.text);
    if wide {
        column(
            buf,
            8,
            &units::or_dash(p.gap_ns, |n| format!("+{}", units::duration_short(n))),
            true,
            theme.dim,
        );
        column(buf, 3, &units::or_dash(p.datagram.ttl, |t| t.to_string()), true, theme.dim);
        let dscp = p.datagram.tos.map(|t| dscp::label(t >> 2));
        column(buf, 4, &dscp.unwrap_or_else(|| ABSENT.into()), true, theme.dim);
    }
    // Two blanks set the text apart from the figures.
    x += 1;
    let room = r.area.right().saturating_sub(x) as usize;
    put(buf, x, y, room, &format::preview(Some(r.group), p, payload, room), theme.text);
}

fn draw_head(buf: &mut Buffer, area: Rect, ctx: &Ctx<'_>) {
    let wide = if area.width >= WIDE { "     GAP TTL DSCP " } else { "" };
    let text = format!(" {:<18} {:<21} {:>6} {wide} PAYLOAD", "TIME", "SOURCE", "SIZE B");
    put(buf, area.x, area.y, area.width as usize, &text, ctx.theme.dim);
}

impl Pane for Packets {
    fn kind(&self) -> Kind {
        Kind::Packets
    }

    fn draw(&mut self, area: Rect, buf: &mut Buffer, focused: bool, at: &mut Shared, ctx: &Ctx<'_>) {
        self.drawn.clear();
        let Some(g) = at.group(ctx) else {
            let inner =
                frame(area, buf, ctx.theme, focused, &Words { title: "Packets".into(), ..Words::default() });
            return empty(buf, inner, &["select a group to see its packets".to_owned()], ctx.theme.dim);
        };
        let body = area.inner(ratatui::layout::Margin::new(1, 1));
        self.body = Rect { y: body.y + 1, height: body.height.saturating_sub(1), ..body };
        let selected = at.held.as_ref().map(|h| h.packet.number);
        let mut feed = self.feed;
        let height = self.body.height as usize;
        let rows = self.rows(g, at, ctx);
        let window = feed.window(&rows, selected, height);
        let drawn: Vec<u64> = window.filter_map(|place| rows.at(place)).collect();
        (self.feed, self.drawn) = (feed, drawn);
        let partial = narrowed(at) && self.scan.is_partial(bounds(g).0);
        let inner = frame(area, buf, ctx.theme, focused, &self.words(g, at, partial, ctx));
        if self.drawn.is_empty() {
            let line = match () {
                _ if at.filter.is_set() && !g.packets.is_empty() => nothing_matches(at, ctx),
                _ if at.only_source.is_some() && !g.packets.is_empty() => {
                    "no packet of this source is kept any more · Esc shows all".to_owned()
                }
                _ => "no packet yet: they stand here as they arrive".to_owned(),
            };
            return empty(buf, inner, &[line], ctx.theme.dim);
        }
        draw_head(buf, inner, ctx);
        for (i, &n) in self.drawn.iter().enumerate() {
            let Some(p) = g.packets.get(n) else { continue };
            let y = self.body.y + i as u16;
            let marked = at.marks.contains_key(&(g.id, n));
            let row = Row { area: inner, y, selected: selected == Some(n), focused, marked, group: g, ctx };
            draw_row(buf, p, g.packets.payload(p), &row);
        }
        at.filter.highlight(buf, self.body, ctx.theme.matched);
    }

    fn command(&mut self, cmd: Cmd, at: &mut Shared, ctx: &Ctx<'_>) -> Reply {
        if let Some(by) = movement(cmd, self.feed.height) {
            self.shift(by, at, ctx);
            return Reply::Done;
        }
        match cmd {
            Cmd::Follow => at.hold(None),
            Cmd::NextMark => {
                let Some(g) = at.group(ctx) else { return Reply::Done };
                let all = at.marks.range((g.id, 0)..=(g.id, u64::MAX)).rev().map(|m| m.1);
                let here = at.held.as_ref().map_or(u64::MAX, |h| h.packet.number);
                let older = all.clone().find(|h| h.packet.number < here).or(all.clone().next());
                match older.cloned() {
                    Some(marked) => at.hold(Some(marked)),
                    None => {
                        let key = ctx.key(Cmd::Mark);
                        at.message = Some(format!("no packet of this group is marked · {key} marks one"));
                    }
                }
            }
            Cmd::Open => {
                if at.held.is_none() {
                    Self::hold(self.drawn.first().copied(), at, ctx);
                }
                return Reply::Focus(Kind::Hex);
            }
            _ => return Reply::Ignored,
        }
        Reply::Done
    }

    fn click(&mut self, _x: u16, y: u16, at: &mut Shared, ctx: &Ctx<'_>) {
        let line = y.checked_sub(self.body.y).map(usize::from);
        if let Some(&n) = line.and_then(|l| self.drawn.get(l)) {
            Self::hold(Some(n), at, ctx);
        }
    }

    fn wheel(&mut self, lines: isize, at: &mut Shared, ctx: &Ctx<'_>) {
        self.shift(lines, at, ctx);
    }

    fn copy(&self, at: &Shared, ctx: &Ctx<'_>) -> Option<String> {
        let (p, payload) = at.packet(ctx)?;
        let time = clock_us(p.datagram.time, ctx.utc_offset_s);
        let preview = format::preview(at.group(ctx), p, payload, PREVIEW_COPIED);
        Some(format!("{time} {} {} B {preview}", p.datagram.source, p.datagram.len))
    }
}
