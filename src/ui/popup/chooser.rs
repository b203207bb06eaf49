//! The column chooser of a table.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::layout::Rect;

use crate::ui::layer::{Ctx, Layer, Outcome};
use crate::ui::pane::Choice;
use crate::ui::widget::frame::{Words, popup, put};

/// The chooser: shares the set of hidden columns with the table.
pub struct Chooser {
    choice: Choice,
    selected: usize,
}

impl Chooser {
    /// A chooser for these columns.
    pub fn new(choice: Choice) -> Chooser {
        Chooser { choice, selected: 0 }
    }
}

impl Layer for Chooser {
    fn key(&mut self, key: KeyEvent, _ctx: &Ctx<'_>) -> Outcome {
        let last = self.choice.columns.len() - 1;
        match key.code {
            KeyCode::Esc | KeyCode::Char('w' | 'q') => return Outcome::Close(vec![]),
            KeyCode::Up | KeyCode::Char('k') => self.selected = self.selected.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.selected = (self.selected + 1).min(last),
            // The first column says what the row is: without it nothing could be selected.
            KeyCode::Char(' ') | KeyCode::Enter if self.selected > 0 => {
                let hidden = &self.choice.hidden;
                hidden.set(hidden.get() ^ 1 << self.selected);
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
        let size = (46, self.choice.columns.len() as u16 + 2);
        let buf = frame.buffer_mut();
        let inner = popup(area, buf, theme, size, &words);
        for ((i, c), y) in self.choice.columns.iter().enumerate().zip(inner.top()..inner.bottom()) {
            let on = self.choice.hidden.get() & (1 << i) == 0;
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
