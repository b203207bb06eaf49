//! The palette: any action by its name.

use std::cell::Cell;
use std::rc::Rc;

use crossterm::event::{Event, KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::layout::Rect;
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;

use crate::ui::keymap::shown;
use crate::ui::keys::{self, Binding, Cmd, Situation};
use crate::ui::layer::{Ctx, Layer, Outcome};
use crate::ui::widget::frame::{Words, popup, put, put_right};

/// The palette. What was chosen is put where the screen finds it when the palette has closed.
pub struct Palette {
    input: Input,
    situation: Situation,
    selected: usize,
    chosen: Rc<Cell<Option<Cmd>>>,
}

impl Palette {
    /// A palette for this moment.
    pub fn new(situation: Situation, chosen: Rc<Cell<Option<Cmd>>>) -> Palette {
        Palette { input: Input::default(), situation, selected: 0, chosen }
    }

    /// The rows that the words typed leave; those that work now first, then by where the name begins.
    fn rows(&self) -> Vec<&'static Binding> {
        let typed = self.input.value().trim();
        let words: Vec<String> = typed.split_whitespace().map(str::to_lowercase).collect();
        let mut rows: Vec<_> = keys::table()
            .iter()
            .copied()
            .filter(|b| {
                let text = format!("{}\n{}\n{}", b.name, b.name.replace('-', " "), b.help).to_lowercase();
                words.iter().all(|w| text.contains(w.as_str()))
            })
            .collect();
        rows.sort_by_key(|b| (!b.works(&self.situation), !b.name.starts_with(typed)));
        rows
    }
}

impl Layer for Palette {
    fn key(&mut self, key: KeyEvent, _ctx: &Ctx<'_>) -> Outcome {
        let rows = self.rows();
        match key.code {
            KeyCode::Esc => return Outcome::Close(vec![]),
            KeyCode::Enter => {
                let Some(b) = rows.get(self.selected) else { return Outcome::Consumed };
                if !b.works(&self.situation) {
                    return Outcome::Consumed;
                }
                self.chosen.set(Some(b.cmd));
                return Outcome::Close(vec![]);
            }
            KeyCode::Up => self.selected = self.selected.saturating_sub(1),
            KeyCode::Down => self.selected = (self.selected + 1).min(rows.len().saturating_sub(1)),
            _ => {
                self.input.handle_event(&Event::Key(key));
                self.selected = 0;
            }
        }
        Outcome::Consumed
    }

    fn paste(&mut self, text: &str, _ctx: &Ctx<'_>) -> Outcome {
        let typed: String = text.chars().filter(|c| !c.is_control()).take(80).collect();
        self.input = Input::new(format!("{}{typed}", self.input.value()));
        Outcome::Consumed
    }

    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, ctx: &Ctx<'_>) {
        let theme = ctx.theme;
        let words = Words {
            title: "Actions".to_owned(),
            right: "↵ does it, Esc closes".to_owned(),
            ..Words::default()
        };
        let rows = self.rows();
        let buf = frame.buffer_mut();
        let inner = popup(area, buf, theme, (76, 20), &words);
        let room = inner.width.saturating_sub(4) as usize;
        let scroll = self.input.visual_scroll(room);
        put(buf, inner.x + 1, inner.y, 1, ":", theme.accent);
        let visible: String = self.input.value().chars().skip(scroll).collect();
        put(buf, inner.x + 2, inner.y, room, &visible, theme.text);
        let height = inner.height.saturating_sub(1) as usize;
        let top = (self.selected + 1).saturating_sub(height);
        if rows.is_empty() {
            put(buf, inner.x + 2, inner.y + 1, room, "no action of that name", theme.dim);
        }
        for (i, b) in rows.iter().enumerate().skip(top).take(height) {
            let y = inner.y + 1 + (i - top) as u16;
            let works = b.works(&self.situation);
            if i == self.selected {
                buf.set_style(Rect { y, height: 1, ..inner }, theme.selected);
                put(buf, inner.x, y, 1, "▌", theme.accent);
            }
            put(buf, inner.x + 2, y, 15, b.name, if works { theme.accent } else { theme.dim });
            put(buf, inner.x + 18, y, 47, b.help, if works { theme.text } else { theme.dim });
            let keys = ctx.keys.keys(b.cmd).first().map_or_else(String::new, |k| shown(k));
            put_right(buf, inner.right() - 1, y, 9, &keys, theme.dim);
        }
        let x = inner.x + 2 + (self.input.visual_cursor().saturating_sub(scroll)) as u16;
        frame.set_cursor_position((x, inner.y));
    }
}
