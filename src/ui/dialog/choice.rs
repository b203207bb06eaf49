//! One of several, as rows of radio buttons: moving chooses.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr;

use super::form::option_style;
use super::popup::{clip, put};
use crate::ui::theme::Theme;

/// Blank columns between two options.
const GAP: u16 = 3;
/// Columns of the button before an option.
const BUTTON: u16 = 4;

/// An option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choose {
    /// What it is.
    pub text: String,
    /// What is known of it, dim.
    pub note: String,
    /// Not recommended.
    pub dim: bool,
}

impl Choose {
    /// An option without a note.
    pub fn plain(text: &str) -> Self {
        Choose { text: text.to_owned(), note: String::new(), dim: false }
    }

    fn width(&self) -> u16 {
        let note = if self.note.is_empty() { 0 } else { 2 + self.note.width() };
        u16::try_from(self.text.width() + note).unwrap_or(u16::MAX).saturating_add(BUTTON)
    }
}

/// One of several options.
#[derive(Clone, Debug)]
pub struct Choice {
    options: Vec<Choose>,
    at: usize,
    max_rows: u16,
    /// Row and column of each option as last drawn.
    places: Vec<(u16, u16)>,
    scroll: u16,
}

impl Choice {
    /// A choice of these with the first chosen, in at most `max_rows` rows.
    pub fn new(options: Vec<Choose>, max_rows: u16) -> Self {
        Choice { options, at: 0, max_rows: max_rows.max(1), places: Vec::new(), scroll: 0 }
    }

    /// The options.
    pub fn options(&self) -> &[Choose] {
        &self.options
    }

    /// The place of the one chosen.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Chooses the option at this place, if there is one.
    pub fn choose(&mut self, at: usize) {
        if at < self.options.len() {
            self.at = at;
        }
    }

    /// Puts other options in place of these; the one chosen stays where it is, if it can.
    pub fn replace(&mut self, options: Vec<Choose>) {
        self.at = self.at.min(options.len().saturating_sub(1));
        self.options = options;
    }

    /// Takes a key: arrows move from one to the next and from row to row, Space goes on to the next, a letter or digit to the
    /// next option that begins with it. False if the key moves nothing.
    pub fn key(&mut self, key: KeyEvent) -> bool {
        let last = self.options.len().saturating_sub(1);
        let next = match key.code {
            _ if key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) => None,
            KeyCode::Left => self.at.checked_sub(1),
            KeyCode::Right => Some(self.at + 1),
            KeyCode::Up => self.beside(-1),
            KeyCode::Down => self.beside(1),
            KeyCode::Home => Some(0),
            KeyCode::End => Some(last),
            KeyCode::Char(' ') => Some(if self.at == last { 0 } else { self.at + 1 }),
            KeyCode::Char(c) => {
                let begins = |i: &usize| {
                    let first = self.options[*i].text.chars().next();
                    first.is_some_and(|f| f.eq_ignore_ascii_case(&c))
                };
                (self.at + 1..=last).chain(0..self.at).find(begins)
            }
            _ => None,
        };
        let next = next.filter(|n| *n <= last && *n != self.at);
        if let Some(n) = next {
            self.at = n;
        }
        next.is_some()
    }

    /// Draws it from the top of `area`; returns the rows taken.
    pub fn draw(&mut self, buf: &mut Buffer, area: Rect, focused: bool, theme: &Theme) -> u16 {
        if self.options.is_empty() {
            return 0;
        }
        self.place(area.width);
        let rows = self.places.last().map_or(0, |(row, _)| row + 1);
        let shown = rows.min(self.max_rows);
        let row = self.places.get(self.at).map_or(0, |(row, _)| *row);
        self.scroll = self.scroll.clamp((row + 1).saturating_sub(shown), row).min(rows - shown);
        let mut hidden = 0;
        for (i, (option, &(row, x))) in self.options.iter().zip(&self.places).enumerate() {
            let Some(y) = row.checked_sub(self.scroll).filter(|y| *y < shown) else {
                hidden += 1;
                continue;
            };
            let chosen = i == self.at;
            let style = option_style(theme, option.dim, focused && chosen);
            let room = usize::from(area.width.saturating_sub(x));
            let button = if chosen { "(•) " } else { "( ) " };
            let text = clip(&format!("{button}{}", option.text), room);
            let end = put(buf, area, x, y, &text, style);
            let room = usize::from(area.width.saturating_sub(end + 2));
            if !option.note.is_empty() && room > 0 {
                put(buf, area, end + 2, y, &clip(&option.note, room), theme.dim);
            }
        }
        if hidden > 0 {
            put(buf, area, 0, shown, &format!("↑↓ and {hidden} more"), theme.dim);
            return shown + 1;
        }
        shown
    }

    /// Puts the options one behind the other, a new row where the next does not fit.
    fn place(&mut self, width: u16) {
        let (mut row, mut x) = (0u16, 0u16);
        self.places.clear();
        for option in &self.options {
            let wide = option.width();
            if x > 0 && x.saturating_add(wide) > width {
                row = row.saturating_add(1);
                x = 0;
            }
            self.places.push((row, x));
            x = x.saturating_add(wide).saturating_add(GAP);
        }
    }

    /// The option nearest in the next row or the one before.
    fn beside(&self, by: i16) -> Option<usize> {
        let (row, x) = *self.places.get(self.at)?;
        let row = row.checked_add_signed(by)?;
        let places = self.places.iter().enumerate().filter(|(_, (r, _))| *r == row);
        places.min_by_key(|(_, (_, other))| other.abs_diff(x)).map(|(i, _)| i)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(choice: &mut Choice, code: KeyCode) -> bool {
        choice.key(KeyEvent::new(code, KeyModifiers::NONE))
    }

    fn drawn(choice: &mut Choice, width: u16, height: u16) -> (Vec<String>, u16) {
        let area = Rect::new(0, 0, width, height);
        let mut buf = Buffer::empty(area);
        let rows = choice.draw(&mut buf, area, true, &Theme::mono());
        let line = |y| (0..width).map(|x| buf[(x, y)].symbol()).collect::<String>().trim_end().to_owned();
        ((0..height).map(line).collect(), rows)
    }

    #[test]
    fn arrows_move_among_the_rows_as_drawn_and_stop_at_its_edges() {
        let mut c = Choice::new(["a", "b", "c", "d", "e"].map(Choose::plain).into(), 9);
        let (lines, rows) = drawn(&mut c, 14, 3);
        assert_eq!(lines, ["(•) a   ( ) b", "( ) c   ( ) d", "( ) e"]);
        assert_eq!(rows, 3);
        assert!(!press(&mut c, KeyCode::Up) && !press(&mut c, KeyCode::Left));
        assert!(press(&mut c, KeyCode::Down));
        assert_eq!(c.at(), 2);
        assert!(press(&mut c, KeyCode::Down) && !press(&mut c, KeyCode::Down));
        assert!(press(&mut c, KeyCode::Char('B')));
        assert_eq!(c.at(), 1);
        assert!(!press(&mut c, KeyCode::Char('x')));
    }

    #[test]
    fn many_options_scroll_and_say_how_many_are_hidden() {
        let options = (0..40).map(|i| Choose::plain(&format!("veth{i}"))).collect();
        let mut c = Choice::new(options, 2);
        c.choose(39);
        let (lines, rows) = drawn(&mut c, 16, 4);
        assert_eq!(lines, ["( ) veth38", "(•) veth39", "↑↓ and 38 more", ""]);
        assert_eq!(rows, 3);
    }
}
