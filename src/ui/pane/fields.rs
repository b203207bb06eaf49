//! The fields of the packet looked at: what the kernel said of it, then what its protocol says.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::base::dscp;
use crate::base::text::visible;
use crate::base::units;
use crate::model::packets::Packet;
use crate::ui::format::clock_us;
use crate::ui::keys::Cmd;
use crate::ui::layer::Ctx;
use crate::ui::pane::groups::spec;
use crate::ui::pane::{Kind, Pane, Reply, movement};
use crate::ui::shared::Shared;
use crate::ui::widget::frame::{Words, empty, frame, put};
use crate::wire::{Field, essence};

/// Characters of a field's value that are shown.
const VALUE_MAX: usize = 400;

/// The pane.
#[derive(Default)]
pub struct Fields {
    top: usize,
    height: usize,
    body: Rect,
}

fn of_kernel(p: &Packet, at: &Shared, ctx: &Ctx<'_>) -> Vec<Field> {
    let mut list = Vec::new();
    let mut add = |name: &str, value: String| {
        list.push(Field { depth: 1, name: name.into(), value, range: 0..0 });
    };
    let d = &p.datagram;
    add("time", clock_us(d.time, ctx.utc_offset_s));
    add("source", format!("{}{}", d.source, if p.ours { "  (ours)" } else { "" }));
    if let Some(g) = at.group(ctx) {
        add("group", spec(&g.membership));
        let m = &g.membership;
        add("interface", format!("{} (index {})", m.iface, d.ifindex));
    }
    let cut = if d.is_truncated() { format!(", {} captured", d.captured) } else { String::new() };
    add("size", format!("{} B{cut}", d.len));
    add("TTL", units::or_dash(d.ttl, |t| t.to_string()));
    add("DSCP", units::or_dash(d.tos, |t| format!("{} ({}), ECN {}", dscp::label(t >> 2), t >> 2, t & 3)));
    add("gap", units::or_dash(p.gap_ns, units::duration));
    add("number", format!("{} of this group", units::count(p.number)));
    list
}

fn fields(at: &Shared, ctx: &Ctx<'_>) -> Option<Vec<Field>> {
    let (p, payload) = at.packet(ctx)?;
    let head = |name: &str| Field { depth: 0, name: name.into(), value: String::new(), range: 0..0 };
    let mut list = vec![];
    if let Some(protocol) = p.protocol {
        list.push(head(protocol.name));
        let d = &p.datagram;
        let told = at.group(ctx).map(|g| g.told(d.source.ip, d.len)).unwrap_or_default();
        let fields = essence::fields(protocol, payload, &told);
        list.extend(fields.into_iter().map(|f| Field { depth: f.depth + 1, ..f }));
    }
    list.push(head("datagram"));
    list.extend(of_kernel(p, at, ctx));
    Some(list)
}

/// The field that is lit up. Where it stands in the packet looked at is noted: in another one it may
/// stand elsewhere.
pub fn lit(at: &mut Shared, ctx: &Ctx<'_>) -> Option<Field> {
    if at.field.is_empty() {
        return None;
    }
    let field = fields(at, ctx)?.into_iter().nth(at.field_place);
    at.field = field.as_ref().map_or(0..0, |f| f.range.clone());
    field.filter(|f| !f.range.is_empty())
}

/// Selects the field `by` places on.
fn shift(by: isize, at: &mut Shared, ctx: &Ctx<'_>) {
    let Some(list) = fields(at, ctx) else { return };
    at.field_place = at.field_place.saturating_add_signed(by).min(list.len().saturating_sub(1));
    at.field = list.get(at.field_place).map_or(0..0, |f| f.range.clone());
}

/// Selects the next field that stands in the payload, or the one before; round at the ends.
pub fn jump(forward: bool, at: &mut Shared, ctx: &Ctx<'_>) {
    let list = fields(at, ctx).unwrap_or_default();
    let n = list.len();
    let from = if at.field.is_empty() && forward { n.saturating_sub(1) } else { at.field_place.min(n) };
    let place = |k: usize| if forward { (from + k) % n } else { (from + n - k % n) % n };
    match (1..=n).map(place).find(|&i| !list[i].range.is_empty()) {
        Some(i) => (at.field_place, at.field) = (i, list[i].range.clone()),
        None => at.message = Some("no field is known in this payload".to_owned()),
    }
}

impl Pane for Fields {
    fn kind(&self) -> Kind {
        Kind::Fields
    }

    fn draw(&mut self, area: Rect, buf: &mut Buffer, focused: bool, at: &mut Shared, ctx: &Ctx<'_>) {
        let mut words = Words { title: "Fields".into(), ..Words::default() };
        let Some(list) = fields(at, ctx) else {
            let inner = frame(area, buf, ctx.theme, focused, &words);
            return empty(buf, inner, &["select a packet to see its fields".to_owned()], ctx.theme.dim);
        };
        self.height = area.height.saturating_sub(2) as usize;
        at.field_place = at.field_place.min(list.len() - 1);
        self.top = self.top.min(at.field_place).max((at.field_place + 1).saturating_sub(self.height));
        self.top = self.top.min(list.len().saturating_sub(self.height));
        if list.len() > self.height {
            words.bottom_right =
                format!("{}–{} of {}", self.top + 1, (self.top + self.height).min(list.len()), list.len());
        }
        let inner = frame(area, buf, ctx.theme, focused, &words);
        self.body = inner;
        let names = list.iter().map(|f| f.name.chars().count() + 2 * f.depth as usize).max().unwrap_or(0);
        let names = names.clamp(8, (inner.width as usize / 2).max(8));
        let lines = list.iter().enumerate().skip(self.top).take(self.height);
        for ((i, f), y) in lines.zip(inner.y..) {
            if i == at.field_place {
                if focused {
                    buf.set_style(Rect { y, height: 1, ..inner }, ctx.theme.selected);
                }
                put(buf, inner.x, y, 1, "▌", if focused { ctx.theme.accent } else { ctx.theme.dim });
            }
            let indent = 2 * f.depth as usize;
            let style = if f.depth == 0 { ctx.theme.title } else { ctx.theme.dim };
            let room = (names + 1).saturating_sub(indent).max(4);
            let x = inner.x + 1 + indent as u16;
            put(
                buf,
                x,
                y,
                room.min((inner.right().saturating_sub(x)) as usize),
                &visible(&f.name, 60),
                style,
            );
            let x = inner.x + 2 + names as u16;
            let room = inner.right().saturating_sub(x) as usize;
            put(buf, x, y, room, &visible(&f.value, VALUE_MAX), ctx.theme.text);
        }
    }

    fn command(&mut self, cmd: Cmd, at: &mut Shared, ctx: &Ctx<'_>) -> Reply {
        match movement(cmd, self.height) {
            Some(by) => shift(by, at, ctx),
            None => return Reply::Ignored,
        }
        Reply::Done
    }

    fn click(&mut self, _x: u16, y: u16, at: &mut Shared, ctx: &Ctx<'_>) {
        if let Some(line) = y.checked_sub(self.body.y).filter(|l| *l < self.body.height) {
            at.field_place = self.top + line as usize;
            shift(0, at, ctx);
        }
    }

    fn wheel(&mut self, lines: isize, at: &mut Shared, ctx: &Ctx<'_>) {
        shift(lines, at, ctx);
    }

    fn copy(&self, at: &Shared, ctx: &Ctx<'_>) -> Option<String> {
        let list = fields(at, ctx)?;
        let f = list.get(at.field_place)?;
        Some(if f.value.is_empty() { f.name.clone() } else { format!("{}: {}", f.name, f.value) })
    }
}
