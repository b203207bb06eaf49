//! The bytes of the packet looked at, as hex and text.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::base::text::{visible, visible_bytes};
use crate::base::units;
use crate::ui::format::{clip, clock_us};
use crate::ui::keys::Cmd;
use crate::ui::layer::Ctx;
use crate::ui::pane::{Kind, Pane, Reply, fields, movement};
use crate::ui::shared::Shared;
use crate::ui::widget::frame::{Words, empty, frame};
use crate::ui::widget::hex;
use crate::wire::Field;

/// Characters of a field in the title.
const NAMED: usize = 34;

/// The pane.
#[derive(Default)]
pub struct Hex {
    top: usize,
    height: usize,
    shown: Option<u64>,
    field: std::ops::Range<usize>,
}

impl Hex {
    fn shift(&mut self, by: isize, at: &Shared, ctx: &Ctx<'_>) {
        let rows = at.packet(ctx).map_or(0, |(_, b)| hex::rows(b.len()));
        self.top = self.top.saturating_add_signed(by).min(rows.saturating_sub(self.height));
    }
}

/// A field in the title: its name and its value as far as it is short.
fn named(f: &Field) -> String {
    let text = format!("{} {}", visible(&f.name, NAMED), visible(&f.value, NAMED));
    clip(text.trim_end(), NAMED).into_owned()
}

impl Pane for Hex {
    fn kind(&self) -> Kind {
        Kind::Hex
    }

    fn draw(&mut self, area: Rect, buf: &mut Buffer, focused: bool, at: &mut Shared, ctx: &Ctx<'_>) {
        let field = fields::lit(at, ctx);
        let Some((p, bytes)) = at.packet(ctx) else {
            let words = Words { title: "Bytes".into(), ..Words::default() };
            let inner = frame(area, buf, ctx.theme, focused, &words);
            return empty(buf, inner, &["select a packet to see its bytes".to_owned()], ctx.theme.dim);
        };
        let rows = hex::rows(bytes.len());
        self.height = area.height.saturating_sub(2) as usize;
        let number = at.held.as_ref().map(|h| h.packet.number);
        if number != self.shown {
            (self.shown, self.top) = (number, 0);
        }
        // A field newly selected comes into view; after that the bytes scroll freely.
        if at.field != self.field {
            self.field = at.field.clone();
            let row = self.field.start / hex::ROW;
            if !self.field.is_empty() && !(self.top..self.top + self.height).contains(&row) {
                self.top = row.saturating_sub(self.height / 3);
            }
        }
        self.top = self.top.min(rows.saturating_sub(self.height));
        let cut = if bytes.len() < p.datagram.len as usize {
            format!(" · {} of {} kept", bytes.len(), units::bytes(u64::from(p.datagram.len)))
        } else {
            String::new()
        };
        let scrolled = if rows > self.height {
            format!("{}–{} of {rows} rows", self.top + 1, (self.top + self.height).min(rows))
        } else {
            String::new()
        };
        let before = if at.diff { at.before(ctx) } else { None };
        let time = format!("Bytes of {}", clock_us(p.datagram.time, ctx.utc_offset_s));
        let words = Words {
            bottom: match (at.diff, before) {
                (false, _) => "D: difference to the packet before".to_owned(),
                (true, None) => "no packet before it is kept of this source".to_owned(),
                (true, Some(b)) => {
                    let n = hex::differences(bytes, b);
                    format!("{n} of {} differ from the packet before", units::bytes(bytes.len() as u64))
                }
            },
            title: match field {
                // Where the list of fields has no room, the light alone would not say what is lit.
                Some(f) => format!("{time} · {}", named(&f)),
                None => time,
            },
            right: format!("{} B{cut}", p.datagram.len),
            bottom_right: scrolled,
        };
        let inner = frame(area, buf, ctx.theme, focused, &words);
        let padded = Rect { x: inner.x + 1, width: inner.width.saturating_sub(1), ..inner };
        if bytes.is_empty() {
            return empty(buf, inner, &["an empty datagram".to_owned()], ctx.theme.dim);
        }
        let found = at.filter.expr().found_in(bytes);
        let marks = hex::Marks { field: std::slice::from_ref(&at.field), found: &found, before };
        hex::draw(buf, padded, bytes, self.top, marks, ctx.theme);
    }

    fn command(&mut self, cmd: Cmd, at: &mut Shared, ctx: &Ctx<'_>) -> Reply {
        match movement(cmd, self.height) {
            Some(by) => self.shift(by, at, ctx),
            None => return Reply::Ignored,
        }
        Reply::Done
    }

    fn click(&mut self, _x: u16, _y: u16, _at: &mut Shared, _ctx: &Ctx<'_>) {}

    fn wheel(&mut self, lines: isize, at: &mut Shared, ctx: &Ctx<'_>) {
        self.shift(lines, at, ctx);
    }

    fn copy(&self, at: &Shared, ctx: &Ctx<'_>) -> Option<String> {
        let (_, bytes) = at.packet(ctx)?;
        Some(visible_bytes(bytes, usize::MAX / 8))
    }
}
