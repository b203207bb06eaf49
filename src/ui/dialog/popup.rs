//! The frame around a dialog and the placing of text in it: all of it clips, so that no size of
//! terminal is too small to draw on.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Margin, Rect};
use ratatui::style::Style;
use ratatui::widgets::{Block, BorderType, Clear, Widget};
use unicode_width::UnicodeWidthStr;

use crate::ui::theme::Theme;

/// Columns and rows that the frame takes: a border and a blank column at each side, a border above,
/// the keys and a border below.
pub const FRAME: (u16, u16) = (4, 3);

/// The frame of a dialog: what it is called, how large it would like its content to be, and its keys.
#[derive(Clone, Copy, Debug)]
pub struct Popup<'a> {
    /// The title in the border.
    pub title: &'a str,
    /// Columns of content.
    pub width: u16,
    /// Rows of content.
    pub height: u16,
    /// Keys and what they do, for the last row.
    pub keys: &'a [(&'a str, &'a str)],
}

impl Popup<'_> {
    /// Draws the frame in the middle of `screen` and returns the place of the content, which is
    /// smaller than asked where the screen is.
    pub fn open(&self, frame: &mut Frame<'_>, screen: Rect, theme: &Theme) -> Rect {
        let screen = screen.intersection(frame.area());
        let width = self.width.saturating_add(FRAME.0).min(screen.width);
        let height = self.height.saturating_add(FRAME.1).min(screen.height);
        let outer = Rect {
            x: screen.x + (screen.width - width) / 2,
            y: screen.y + (screen.height - height) / 2,
            width,
            height,
        };
        Clear.render(outer, frame.buffer_mut());
        let title = clip(self.title, usize::from(width.saturating_sub(4)));
        let mut block = Block::bordered().border_type(BorderType::Rounded).border_style(theme.dim);
        if !title.is_empty() {
            block = block.title_top(ratatui::text::Span::styled(format!(" {title} "), theme.title));
        }
        block.render(outer, frame.buffer_mut());
        let inner = outer.inner(Margin::new(2, 1));
        self.draw_keys(frame.buffer_mut(), inner, theme);
        Rect { height: inner.height.saturating_sub(1), ..inner }
    }

    /// The keys, at the right of the last row; what does not fit is left out from the left.
    fn draw_keys(&self, buf: &mut Buffer, inner: Rect, theme: &Theme) {
        let Some(y) = inner.height.checked_sub(1) else { return };
        let mut right = inner.width;
        for (key, what) in self.keys.iter().rev() {
            let len = (key.width() + 1 + what.width()) as u16;
            let Some(x) = right.checked_sub(len) else { return };
            let after = put(buf, inner, x, y, key, theme.accent);
            put(buf, inner, after + 1, y, what, theme.dim);
            right = x.saturating_sub(3);
        }
    }
}

/// Writes `text` at column `x` and row `y` of `area`, cut at its right edge; returns the column after
/// it. Outside of the area nothing is drawn.
pub fn put(buf: &mut Buffer, area: Rect, x: u16, y: u16, text: &str, style: Style) -> u16 {
    let area = area.intersection(buf.area);
    if x >= area.width || y >= area.height {
        return x;
    }
    let room = usize::from(area.width - x);
    let (end, _) = buf.set_stringn(area.x + x, area.y + y, text, room, style);
    end - area.x
}

/// The beginning of `text` in at most `width` columns, the last an ellipsis if it was cut.
pub fn clip(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 1;
    for c in text.chars() {
        let w = UnicodeWidthStr::width(c.encode_utf8(&mut [0; 4]) as &str);
        if used + w > width {
            break;
        }
        used += w;
        out.push(c);
    }
    if width > 0 {
        out.push('…');
    }
    out
}

/// `text` in lines of at most `width` columns, broken at spaces where there are any.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        let mut used = 0;
        for word in paragraph.split(' ') {
            let len = word.width();
            if used > 0 && used + 1 + len > width {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            if len <= width {
                line.push_str(word);
                used += len;
                continue;
            }
            // A word longer than a line is cut where the line ends.
            for c in word.chars() {
                let w = UnicodeWidthStr::width(c.encode_utf8(&mut [0; 4]) as &str);
                if used > 0 && used + w > width {
                    lines.push(std::mem::take(&mut line));
                    used = 0;
                }
                line.push(c);
                used += w;
            }
        }
        lines.push(line);
    }
    lines
}

/// Whether a key is none of a dialog's business though a dialog is open: end, suspend, redraw.
pub fn is_global(key: KeyEvent) -> bool {
    key.modifiers.contains(KeyModifiers::CONTROL) && matches!(key.code, KeyCode::Char('c' | 'z' | 'l'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_breaks_at_spaces_and_long_words_are_cut() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
        assert_eq!(wrap("a\n\nb", 9), ["a", "", "b"]);
        assert_eq!(wrap("漢字 漢字", 5), ["漢字", "漢字"]);
        for line in wrap("漢字かな交じり文 with words", 3) {
            assert!(line.width() <= 3, "{line}");
        }
    }

    #[test]
    fn a_cut_text_says_so() {
        assert_eq!(clip("eth0", 4), "eth0");
        assert_eq!(clip("eth0.100", 5), "eth0…");
        assert_eq!(clip("漢字漢字", 4), "漢…");
        assert_eq!((clip("ab", 1), clip("ab", 0)), ("…".into(), String::new()));
    }
}
