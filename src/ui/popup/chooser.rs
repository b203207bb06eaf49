//! The column chooser of a table.

use std::cell::Cell;
use std::rc::Rc;

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::layout::Rect;

use crate::ui::layer::{Ctx, Layer, Outcome};
use crate::ui::widget::frame::{Words, popup, put};
use crate::ui::widget::table::Column;

/// The chooser: shares the set of hidden columns with the table.
pub struct Chooser {
    columns: &'static [Column],
    /// Those taken away, a bit each.
    hidden: Rc<Cell<u64>>,
    selected: usize,
}

impl Chooser {
    /// A chooser for these columns.
    pub fn new(columns: &'static [Column], hidden: Rc<Cell<u64>>) -> Chooser {
        Chooser { columns, hidden, selected: 0 }
    }
}

impl Layer for Chooser {
    fn key(&mut self, key: KeyEvent, _ctx: &Ctx<'_>) -> Outcome {
        let last = self.columns.len() - 1;
        match key.code {
            KeyCode::Esc | KeyCode::Char('w' | 'q') => return Outcome::Close(vec![]),
            KeyCode::Up | KeyCode::Char('k') => self.selected = self.selected.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.selected = (self.selected + 1).min(last),
            // The first column says what the row is: without it nothing could be selected.
            KeyCode::Char(' ') | KeyCode::Enter if self.selected > 0 => {
                self.hidden.set(self.hidden.get() ^ 1 << self.selected);
            }
            _ => {}
        }
        Outcome::Consumed
    }

    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, ctx: &Ctx<'_>) {
        let theme = ctx.theme;
        let words = Words {
            title: "Columns".to_owned(),
            right: "Space on/off, Esc closes".to_owned(),
            bottom: "what does not fit goes by itself".to_owned(),
            ..Words::default()
        };
        let size = (46, self.columns.len() as u16 + 2);
        let buf = frame.buffer_mut();
        let inner = popup(area, buf, theme, size, &words);
        for ((i, c), y) in self.columns.iter().enumerate().zip(inner.top()..inner.bottom()) {
            let on = self.hidden.get() & (1 << i) == 0;
            if i == self.selected {
                buf.set_style(Rect { y, height: 1, ..inner }, theme.selected);
                put(buf, inner.x, y, 1, "▌", theme.accent);
            }
            let mark = if on { "[x]" } else { "[ ]" };
            put(buf, inner.x + 2, y, 3, mark, if on { theme.live } else { theme.dim });
            put(buf, inner.x + 6, y, 38, c.name, if on { theme.text } else { theme.dim });
        }
    }
}
