//! Bytes as hex and text, with offsets: 16 bytes a row.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::base::text::ascii_dot;
use crate::ui::theme::Theme;
use crate::ui::widget::frame::put;

/// Bytes in a row.
pub const ROW: usize = 16;

/// Rows that so many bytes take.
pub fn rows(len: usize) -> usize {
    len.div_ceil(ROW)
}

/// What stands out among the bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Marks<'a> {
    /// The selected field.
    pub field: &'a [Range<usize>],
    /// What the filter looked for.
    pub found: &'a [Range<usize>],
    /// The bytes to compare with: what differs stands out.
    pub before: Option<&'a [u8]>,
}

impl Marks<'_> {
    fn style(&self, at: usize, byte: u8, theme: &Theme) -> Option<Style> {
        let within = |list: &[Range<usize>]| list.iter().any(|r| r.contains(&at));
        let changed = self.before.is_some_and(|b| b.get(at) != Some(&byte));
        let mut style = changed.then(|| theme.text.patch(theme.silent));
        if within(self.found) {
            style = Some(style.unwrap_or(theme.text).patch(theme.matched));
        }
        if within(self.field) {
            style = Some(
                style.unwrap_or(theme.text.patch(theme.accent)).patch(theme.matched).patch(theme.selected),
            );
        }
        style
    }
}

/// Bytes that differ, counting those that only one of both has.
pub fn differences(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).filter(|(x, y)| x != y).count() + a.len().abs_diff(b.len())
}

/// Draws the rows from `top` on; what `marks` says stands out. Needs 76 cells for all: offset, hex
/// in two halves, text.
pub fn draw(buf: &mut Buffer, area: Rect, bytes: &[u8], top: usize, marks: Marks<'_>, theme: &Theme) {
    for (line, y) in (area.top()..area.bottom()).enumerate() {
        let start = (top + line) * ROW;
        if start >= bytes.len() {
            break;
        }
        let row = &bytes[start..bytes.len().min(start + ROW)];
        let room = |x: u16| area.right().saturating_sub(x) as usize;
        put(buf, area.x, y, room(area.x), &format!("{start:04x}"), theme.dim);
        for (i, &b) in row.iter().enumerate() {
            let marked = marks.style(start + i, b, theme);
            let style = marked.unwrap_or(if b == 0 { theme.dim } else { theme.text });
            let x = area.x + 6 + (i as u16) * 3 + u16::from(i >= 8);
            if room(x) >= 2 {
                put(buf, x, y, 2, &format!("{b:02x}"), style);
            }
            let x = area.x + 57 + i as u16;
            if room(x) >= 1 {
                let plain = if (0x20..0x7f).contains(&b) { theme.text } else { theme.dim };
                put(buf, x, y, 1, ascii_dot(b).encode_utf8(&mut [0; 4]), marked.unwrap_or(plain));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ratatui::style::Modifier;

    use super::*;

    #[test]
    fn rows_have_offset_hex_and_text_and_marked_bytes_stand_out() {
        let bytes: Vec<u8> = (0x3e..0x52).collect();
        let mut buf = Buffer::empty(Rect::new(0, 0, 74, 2));
        draw(
            &mut buf,
            Rect::new(0, 0, 74, 2),
            &bytes,
            0,
            Marks { field: std::slice::from_ref(&(2..4)), ..Marks::default() },
            &Theme::mono(),
        );
        let row = |y| (0..74).map(|x| buf[(x, y)].symbol()).collect::<String>();
        assert_eq!(row(0), "0000  3e 3f 40 41 42 43 44 45  46 47 48 49 4a 4b 4c 4d   >?@ABCDEFGHIJKLM ");
        assert_eq!(row(1).trim_end(), "0010  4e 4f 50 51                                        NOPQ");
        let marked: Vec<u16> =
            (0..74).filter(|&x| buf[(x, 0)].modifier.contains(Modifier::UNDERLINED)).collect();
        assert_eq!(marked, [12, 13, 15, 16, 59, 60]);
    }

    #[test]
    fn what_differs_from_the_bytes_before_stands_out_in_both_halves() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 74, 1));
        let marks = Marks { before: Some(b"abXd"), ..Marks::default() };
        draw(&mut buf, Rect::new(0, 0, 74, 1), b"abcdE", 0, marks, &Theme::mono());
        let bold: Vec<u16> = (0..74).filter(|&x| buf[(x, 0)].modifier.contains(Modifier::BOLD)).collect();
        assert_eq!(bold, [12, 13, 18, 19, 59, 61]);
        assert_eq!((differences(b"abXd", b"abcdE"), differences(b"", b"")), (2, 0));
    }

    #[test]
    fn it_can_be_scrolled_past_the_end_and_be_too_narrow() {
        let mut buf = Buffer::empty(Rect::new(0, 0, 10, 2));
        draw(&mut buf, Rect::new(0, 0, 10, 2), &[1, 2, 3], 0, Marks::default(), &Theme::dark());
        let before = buf.clone();
        draw(&mut buf, Rect::new(0, 0, 10, 2), &[1, 2, 3], 5, Marks::default(), &Theme::dark());
        assert_eq!(buf, before);
    }
}
