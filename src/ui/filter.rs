//! The filter line: words that must all occur, in any case, in what a row stands for.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

/// Words that must all occur. Without words everything passes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    text: String,
    words: Vec<String>,
}

impl Filter {
    /// A filter as typed.
    pub fn new(text: &str) -> Filter {
        Filter { text: text.to_owned(), words: text.split_whitespace().map(str::to_lowercase).collect() }
    }

    /// As typed, without blanks around it.
    pub fn text(&self) -> &str {
        self.text.trim()
    }

    /// Whether it narrows anything.
    pub fn is_set(&self) -> bool {
        !self.words.is_empty()
    }

    /// Whether all words occur in the text, which is lower-cased in place. Pieces of it are to be set
    /// apart by newlines, which no word contains.
    pub fn passes(&self, text: &mut String) -> bool {
        if text.is_ascii() {
            text.make_ascii_lowercase();
        } else {
            *text = text.to_lowercase();
        }
        self.words.iter().all(|w| text.contains(w.as_str()))
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
            for word in &self.words {
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
    fn all_words_must_occur_in_any_case_and_order() {
        let f = Filter::new("  cam 5004 ");
        assert!(f.passes(&mut "239.1.1.1\n5004\nCAM-A.local".to_owned()));
        assert!(!f.passes(&mut "239.1.1.1\n5004".to_owned()));
        assert!(Filter::new(" ").passes(&mut "x".to_owned()) && !Filter::new(" ").is_set());
        assert!(Filter::new("ÉTAGE").passes(&mut "étage 3".to_owned()));
    }

    #[test]
    fn the_matching_part_is_marked_and_nothing_else() {
        let mut buf = Buffer::with_lines(["a CAM-A cam", "nothing"]);
        let bold = Style::new().add_modifier(Modifier::BOLD);
        Filter::new("cam").highlight(&mut buf, Rect::new(0, 0, 11, 2), bold);
        let marked: Vec<u16> = (0..11).filter(|&x| buf[(x, 0)].modifier.contains(Modifier::BOLD)).collect();
        assert_eq!(marked, [2, 3, 4, 8, 9, 10]);
        assert!((0..11).all(|x| buf[(x, 1)].modifier.is_empty()));
    }
}
