//! The filter as it was typed, and what of it is lit up. What passes is said by
//! [`crate::model::filter`].

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::base::text::TextError;
use crate::model::filter::{self, Expr};

/// A filter with its text. Without a text everything passes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Filter {
    text: String,
    expr: Expr,
    lights: Vec<String>,
}

impl Filter {
    /// A filter as typed.
    ///
    /// # Errors
    /// The part that cannot be read.
    pub fn new(text: &str) -> Result<Filter, TextError> {
        let expr = filter::parse(text)?;
        Ok(Filter { text: text.to_owned(), lights: expr.lights(), expr })
    }

    /// As typed, without blanks around it.
    pub fn text(&self) -> &str {
        self.text.trim()
    }

    /// What it says.
    pub fn expr(&self) -> &Expr {
        &self.expr
    }

    /// Whether it narrows anything.
    pub fn is_set(&self) -> bool {
        self.expr.is_set()
    }

    /// Marks where words occur in what is drawn in `area`.
    pub fn highlight(&self, buf: &mut Buffer, area: Rect, style: Style) {
        if !self.is_set() {
            return;
        }
        let mut row: Vec<String> = Vec::with_capacity(area.width as usize);
        for y in area.top()..area.bottom() {
            row.clear();
            row.extend((area.left()..area.right()).map(|x| buf[(x, y)].symbol().to_lowercase()));
            for word in &self.lights {
                mark(buf, &row, word, area.left(), y, style);
            }
        }
    }
}

fn mark(buf: &mut Buffer, row: &[String], word: &str, left: u16, y: u16, style: Style) {
    for start in 0..row.len() {
        let (mut rest, mut end) = (word, start);
        while !rest.is_empty() && end < row.len() {
            let Some(more) = rest.strip_prefix(row[end].as_str()).filter(|_| !row[end].is_empty()) else {
                break;
            };
            (rest, end) = (more, end + 1);
        }
        if rest.is_empty() {
            for x in start..end {
                buf[(left + x as u16, y)].set_style(style);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ratatui::style::Modifier;

    use super::*;

    #[test]
    fn the_matching_part_is_marked_and_nothing_else() {
        let mut buf = Buffer::with_lines(["a CAM-A cam", "nothing"]);
        let bold = Style::new().add_modifier(Modifier::BOLD);
        Filter::new("cam not source 1").unwrap().highlight(&mut buf, Rect::new(0, 0, 11, 2), bold);
        let marked: Vec<u16> = (0..11).filter(|&x| buf[(x, 0)].modifier.contains(Modifier::BOLD)).collect();
        assert_eq!(marked, [2, 3, 4, 8, 9, 10]);
        assert!((0..11).all(|x| buf[(x, 1)].modifier.is_empty()));
    }
}
