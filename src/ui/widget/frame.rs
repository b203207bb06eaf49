//! A pane's frame: thin, rounded, with words in the border; and how lines of text are put.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Line;
use ratatui::widgets::{Block, BorderType, Clear, Widget};
use unicode_width::UnicodeWidthStr;

use crate::ui::format::clip;
use crate::ui::theme::Theme;

/// The words in a frame's border.
#[derive(Default)]
pub struct Words {
    /// Top left.
    pub title: String,
    /// Top right.
    pub right: String,
    /// Bottom left.
    pub bottom: String,
    /// Bottom right.
    pub bottom_right: String,
}

/// Draws the frame and gives the room inside. Where words meet, the right ones give way.
pub fn frame(area: Rect, buf: &mut Buffer, theme: &Theme, focused: bool, words: &Words) -> Rect {
    let border = if focused { theme.accent } else { theme.dim };
    let block = Block::bordered().border_type(BorderType::Rounded).border_style(border);
    let inner = block.inner(area);
    block.render(area, buf);
    let room = area.width.saturating_sub(4) as usize;
    let title = if focused { theme.title.patch(theme.accent) } else { theme.title };
    let used = edge(buf, area.x, area.y, room, &words.title, title);
    edge_right(buf, area, area.y, room - used, &words.right, theme.dim);
    if area.height > 1 {
        let y = area.bottom() - 1;
        let used = edge(buf, area.x, y, room, &words.bottom, theme.dim);
        edge_right(buf, area, y, room - used, &words.bottom_right, theme.dim);
    }
    inner
}

fn edge(buf: &mut Buffer, x: u16, y: u16, room: usize, text: &str, style: Style) -> usize {
    if text.is_empty() || room < 4 {
        return 0;
    }
    let text = format!(" {} ", clip(text, room - 2));
    put(buf, x + 1, y, room, &text, style);
    text.width()
}

fn edge_right(buf: &mut Buffer, area: Rect, y: u16, room: usize, text: &str, style: Style) {
    if text.is_empty() || text.width() + 3 > room {
        return;
    }
    let text = format!(" {text} ");
    let x = area.right() - 2 - text.width() as u16;
    put(buf, x, y, room, &text, style);
}

/// Puts a text at a place, cut to `width` cells.
pub fn put(buf: &mut Buffer, x: u16, y: u16, width: usize, text: &str, style: Style) {
    if buf.area.contains((x, y).into()) {
        let width = width.min((buf.area.right() - x) as usize);
        buf.set_stringn(x, y, clip(text, width), width, style);
    }
}

/// Puts a text so that it ends before `right`.
pub fn put_right(buf: &mut Buffer, right: u16, y: u16, width: usize, text: &str, style: Style) {
    let text = clip(text, width);
    let x = right.saturating_sub(text.width() as u16);
    put(buf, x, y, width, &text, style);
}

/// Puts a styled line, cut to `width` cells.
pub fn put_line(buf: &mut Buffer, x: u16, y: u16, width: u16, line: &Line<'_>) {
    buf.set_line(x, y, line, width);
}

/// Breaks a text into lines of at most `width` cells, at blanks where there are any.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let mut word = word;
        if !line.is_empty() && line.width() + 1 + word.width() > width {
            lines.push(std::mem::take(&mut line));
        }
        while word.width() > width && width > 0 {
            let mut end = 0;
            for (i, c) in word.char_indices() {
                if word[..i + c.len_utf8()].width() > width {
                    break;
                }
                end = i + c.len_utf8();
            }
            if end == 0 {
                break;
            }
            lines.push(word[..end].to_owned());
            word = &word[end..];
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// What an empty pane says: a few lines in its middle.
pub fn empty(buf: &mut Buffer, area: Rect, lines: &[String], style: Style) {
    let wrapped: Vec<String> =
        lines.iter().flat_map(|l| wrap(l, area.width.saturating_sub(4) as usize)).collect();
    let top = area.y + area.height.saturating_sub(wrapped.len() as u16) / 2;
    for (i, line) in wrapped.iter().enumerate() {
        let y = top + i as u16;
        if y < area.bottom() {
            let x = area.x + area.width.saturating_sub(line.width() as u16) / 2;
            put(buf, x, y, area.width as usize, line, style);
        }
    }
}

/// Clears and frames a pop-up of this size in the middle of `area`; gives the room inside.
pub fn popup(area: Rect, buf: &mut Buffer, theme: &Theme, size: (u16, u16), words: &Words) -> Rect {
    let (w, h) = (size.0.min(area.width), size.1.min(area.height));
    let at = Rect::new(area.x + (area.width - w) / 2, area.y + (area.height - h) / 2, w, h);
    Clear.render(at, buf);
    frame(at, buf, theme, true, words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_the_border_give_way_from_the_right() {
        let words = Words { title: "Groups".into(), right: "sorted by bit/s".into(), ..Words::default() };
        let mut buf = Buffer::empty(Rect::new(0, 0, 32, 3));
        let inner = frame(buf.area, &mut buf, &Theme::mono(), true, &words);
        assert_eq!(inner, Rect::new(1, 1, 30, 1));
        let row = |b: &Buffer| (0..b.area.width).map(|x| b[(x, 0)].symbol()).collect::<String>();
        assert_eq!(row(&buf), "╭ Groups ──── sorted by bit/s ─╮");
        let mut buf = Buffer::empty(Rect::new(0, 0, 20, 3));
        frame(buf.area, &mut buf, &Theme::mono(), true, &words);
        assert_eq!(row(&buf), "╭ Groups ──────────╮");
    }

    #[test]
    fn text_is_wrapped_at_blanks_and_long_words_are_broken() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefghij k", 4), ["abcd", "efgh", "ij k"]);
    }
}
