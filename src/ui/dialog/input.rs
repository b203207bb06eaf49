//! A line of text that is edited: cursor, paste, horizontal scroll, and a mark under a wrong part.

use std::ops::Range;

use crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use tui_input::backend::crossterm::to_input_request;
use tui_input::{Input, InputRequest};
use unicode_width::UnicodeWidthStr;

use super::popup::put;
use crate::base::text::visible;
use crate::ui::theme::Theme;

/// Characters that a line holds at most; what is typed or pasted beyond is not taken.
pub const MAX_CHARS: usize = 4096;

/// What a key did to a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Nothing: it is not an editing key, or there was nothing to move or delete.
    Ignored,
    /// The cursor moved.
    Moved,
    /// The text changed.
    Changed,
}

/// One line of text with a cursor.
#[derive(Clone, Debug, Default)]
pub struct LineInput {
    input: Input,
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// Colours.
    pub theme: &'a Theme,
    /// Whether it takes the keys: the cursor is shown and kept in view.
    pub focused: bool,
    /// The part to mark, in bytes, and its style.
    pub mark: Option<(&'a Range<usize>, Style)>,
    /// Shown dim while the line is empty.
    pub placeholder: &'a str,
}

/// A character of the text as it is shown.
struct Shown {
    at: usize,
    text: String,
    columns: Range<usize>,
}

impl LineInput {
    /// A line with the cursor behind `text`.
    pub fn new(text: &str) -> Self {
        let mut line = LineInput::default();
        line.set(text);
        line
    }

    /// The text.
    pub fn value(&self) -> &str {
        self.input.value()
    }

    /// Puts `text` in place of what is there, the cursor behind it.
    pub fn set(&mut self, text: &str) {
        self.input = Input::new(text.chars().filter(|c| !c.is_control()).take(MAX_CHARS).collect());
    }

    /// Whether the cursor stands behind the last character.
    pub fn at_end(&self) -> bool {
        self.input.cursor() == self.value().chars().count()
    }

    /// Moves the cursor before this byte of the text.
    pub fn move_to(&mut self, byte: usize) {
        let chars = self.value().char_indices().take_while(|(at, _)| *at < byte).count();
        self.input.handle(InputRequest::SetCursor(chars));
    }

    /// Takes an editing key: a character, Left, Right, Home, End, Backspace, Delete, with Ctrl by
    /// words, and Ctrl-A, E, U, K, W, Y.
    pub fn key(&mut self, key: KeyEvent) -> Edit {
        if let KeyCode::Char(c) = key.code {
            let typed = !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT);
            if c.is_control() || (typed && self.value().chars().count() >= MAX_CHARS) {
                return Edit::Ignored;
            }
        }
        let Some(request) = to_input_request(&Event::Key(key)) else { return Edit::Ignored };
        match self.input.handle(request) {
            Some(change) if change.value => Edit::Changed,
            Some(_) => Edit::Moved,
            None => Edit::Ignored,
        }
    }

    /// Inserts pasted text at the cursor: the line break at its end is dropped, other control
    /// characters become spaces.
    pub fn paste(&mut self, text: &str) -> Edit {
        let room = MAX_CHARS.saturating_sub(self.value().chars().count());
        let text = text.trim_end_matches(['\r', '\n']).replace("\r\n", "\n");
        let text: String = text.chars().take(room).map(|c| if c.is_control() { ' ' } else { c }).collect();
        if text.is_empty() {
            return Edit::Ignored;
        }
        let cursor = self.input.cursor();
        let at = self.value().char_indices().nth(cursor).map_or(self.value().len(), |(at, _)| at);
        let (before, after) = self.value().split_at(at);
        let whole = format!("{before}{text}{after}");
        self.input = Input::new(whole).with_cursor(cursor + text.chars().count());
        Edit::Changed
    }

    /// The text as it is shown, character by character: nothing pasted reaches the terminal raw.
    fn shown(&self) -> Vec<Shown> {
        let mut column = 0;
        let characters = self.value().char_indices();
        let shown = characters.map(|(at, c)| {
            let text = visible(c.encode_utf8(&mut [0; 4]), usize::MAX);
            let start = column;
            column += text.width().max(1);
            Shown { at, text, columns: start..column }
        });
        shown.collect()
    }

    /// Draws it into the first row of `area`. Returns the columns of the marked part, counted from
    /// the left edge of `area` and as far as they are in view.
    pub fn draw(&self, buf: &mut Buffer, area: Rect, look: Look<'_>) -> Option<Range<u16>> {
        let area = area.intersection(buf.area);
        if area.is_empty() {
            return None;
        }
        let shown = self.shown();
        let width = usize::from(area.width);
        let total = shown.last().map_or(0, |s| s.columns.end);
        let cursor = shown.get(self.input.cursor());
        let cursor_columns = cursor.map_or(total..total + 1, |s| s.columns.clone());
        // The cursor behind the text needs a column of its own, and so does the ellipsis at a cut end.
        let more = usize::from(cursor_columns.end < total);
        let first = if look.focused { (cursor_columns.end + more).saturating_sub(width) } else { 0 };
        let from = if first > 0 { first + 1 } else { 0 };
        let cut = total > first + width;
        let to = first + width - usize::from(cut);
        if total == 0 {
            put(buf, area, 0, 0, look.placeholder, look.theme.dim);
        }
        for s in shown.iter().filter(|s| s.columns.start >= from && s.columns.end <= to) {
            let marked = look.mark.filter(|(span, _)| span.contains(&s.at)).map(|(_, style)| style);
            let style = look.theme.text.patch(marked.unwrap_or_default());
            put(buf, area, (s.columns.start - first) as u16, 0, &s.text, style);
        }
        if first > 0 {
            put(buf, area, 0, 0, "…", look.theme.dim);
        }
        if cut {
            put(buf, area, area.width - 1, 0, "…", look.theme.dim);
        }
        let view = |columns: &Range<usize>| {
            let start = columns.start.max(first) - first;
            let end = columns.end.saturating_sub(first).min(width);
            (start < end).then_some(start as u16..end as u16)
        };
        if look.focused
            && let Some(columns) = view(&cursor_columns)
        {
            let place = Rect { x: area.x + columns.start, y: area.y, width: columns.len() as u16, height: 1 };
            buf.set_style(place.intersection(area), Style::new().add_modifier(Modifier::REVERSED));
        }
        let (span, _) = look.mark?;
        view(&self.columns(&shown, span))
    }

    /// The columns of a part of the text; of nothing, the one where it is missing.
    fn columns(&self, shown: &[Shown], span: &Range<usize>) -> Range<usize> {
        let total = shown.last().map_or(0, |s| s.columns.end);
        let start = shown.iter().find(|s| s.at >= span.start).map_or(total, |s| s.columns.start);
        let within = shown.iter().filter(|s| span.contains(&s.at));
        let end = within.map(|s| s.columns.end).max().unwrap_or(start + 1);
        start..end.max(start + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(line: &LineInput, width: u16, mark: Option<Range<usize>>) -> (String, Option<Range<u16>>) {
        let area = Rect::new(0, 0, width, 1);
        let mut buf = Buffer::empty(area);
        let theme = Theme::mono();
        let mark = mark.as_ref().map(|m| (m, theme.bad));
        let look = Look { theme: &theme, focused: true, mark, placeholder: "" };
        let columns = line.draw(&mut buf, area, look);
        let text = (0..width).map(|x| buf[(x, 0)].symbol().to_owned()).collect::<String>();
        (text, columns)
    }

    fn cursor_column(line: &LineInput, width: u16) -> Option<u16> {
        let area = Rect::new(0, 0, width, 1);
        let mut buf = Buffer::empty(area);
        let theme = Theme::mono();
        line.draw(&mut buf, area, Look { theme: &theme, focused: true, mark: None, placeholder: "" });
        (0..width).find(|&x| buf[(x, 0)].modifier.contains(Modifier::REVERSED))
    }

    #[test]
    fn keys_edit_the_text_at_the_cursor() {
        let mut line = LineInput::new("239.1.1");
        let key = |code| KeyEvent::new(code, KeyModifiers::NONE);
        assert_eq!(line.key(key(KeyCode::Char('.'))), Edit::Changed);
        assert_eq!(line.key(key(KeyCode::Home)), Edit::Moved);
        assert_eq!(line.key(key(KeyCode::Delete)), Edit::Changed);
        assert_eq!(line.key(key(KeyCode::Left)), Edit::Ignored);
        assert_eq!(line.key(key(KeyCode::F(1))), Edit::Ignored);
        assert_eq!(line.value(), "39.1.1.");
        line.key(KeyEvent::new(KeyCode::Char('k'), KeyModifiers::CONTROL));
        assert_eq!(line.value(), "");
    }

    #[test]
    fn pasted_text_goes_in_at_the_cursor_without_its_controls() {
        let mut line = LineInput::new("ab");
        line.key(KeyEvent::new(KeyCode::Left, KeyModifiers::NONE));
        assert_eq!(line.paste("1\r\n2\x1b3\n"), Edit::Changed);
        assert_eq!(line.value(), "a1 2 3b");
        assert_eq!(line.paste("\n"), Edit::Ignored);
        line.paste(&"x".repeat(10_000));
        assert_eq!(line.value().chars().count(), MAX_CHARS);
        assert_eq!(line.key(KeyEvent::new(KeyCode::Char('y'), KeyModifiers::NONE)), Edit::Ignored);
    }

    #[test]
    fn the_cursor_stays_in_view_and_cut_ends_are_shown() {
        let mut line = LineInput::new("0123456789");
        assert_eq!(drawn(&line, 8, None).0, "…456789 ");
        assert_eq!(cursor_column(&line, 8), Some(7));
        line.key(KeyEvent::new(KeyCode::Home, KeyModifiers::NONE));
        assert_eq!(drawn(&line, 8, None).0, "0123456…");
        assert_eq!(cursor_column(&line, 8), Some(0));
    }

    #[test]
    fn the_mark_follows_what_is_shown_not_the_bytes() {
        let line = LineInput::new("a\u{202e}é9");
        let span = "a\u{202e}é".len().."a\u{202e}é9".len();
        let (text, columns) = drawn(&line, 20, Some(span));
        assert!(text.starts_with("a‹U+202E›é9"), "{text}");
        assert_eq!(columns, Some(10..11));
        // Something is missing at the end: the place behind the text is marked.
        assert_eq!(drawn(&LineInput::new("ab"), 20, Some(2..2)).1, Some(2..3));
    }
}
