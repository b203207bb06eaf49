//! The chooser of a stream's protocol, for who knows better.

use crossterm::event::{Event, KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::layout::Rect;
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;

use crate::base::group::{Endpoint, MembershipId};
use crate::ui::action::Action;
use crate::ui::layer::{Ctx, Layer, Outcome};
use crate::ui::widget::frame::{Words, popup, put};
use crate::wire::{PROTOCOLS, Protocol};

/// The chooser.
pub struct ProtocolChooser {
    of: (MembershipId, Endpoint),
    /// Why the stream is taken for what it is.
    reason: String,
    input: Input,
    selected: usize,
}

impl ProtocolChooser {
    /// A chooser for this stream; `reason` says what it is taken for and why.
    pub fn new(id: MembershipId, from: Endpoint, reason: String) -> ProtocolChooser {
        ProtocolChooser { of: (id, from), reason, input: Input::default(), selected: 0 }
    }

    /// What the text typed leaves; `None` lets the stream be recognised.
    fn rows(&self) -> Vec<Option<&'static Protocol>> {
        let typed = self.input.value().trim().to_lowercase();
        let fits = |p: &Protocol| p.id.contains(&typed) || p.name.to_lowercase().contains(&typed);
        let list = PROTOCOLS.iter().copied().filter(|p| fits(p)).map(Some);
        typed.is_empty().then_some(None).into_iter().chain(list).collect()
    }
}

impl Layer for ProtocolChooser {
    fn key(&mut self, key: KeyEvent, _ctx: &Ctx<'_>) -> Outcome {
        let rows = self.rows();
        match key.code {
            KeyCode::Esc => return Outcome::Close(vec![]),
            KeyCode::Enter => {
                let Some(p) = rows.get(self.selected) else { return Outcome::Consumed };
                let (id, from) = self.of;
                return Outcome::Close(vec![Action::SetProtocol(id, from, p.map(|p| p.id))]);
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

    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, ctx: &Ctx<'_>) {
        let theme = ctx.theme;
        let words = Words {
            title: format!("Take {} for", self.of.1),
            right: "↵ takes, Esc closes".to_owned(),
            bottom: self.reason.clone(),
            ..Words::default()
        };
        let size = (72, area.height.saturating_sub(4).min(PROTOCOLS.len() as u16 + 4));
        let buf = frame.buffer_mut();
        let inner = popup(area, buf, theme, size, &words);
        put(buf, inner.x + 1, inner.y, 1, ":", theme.accent);
        put(buf, inner.x + 2, inner.y, inner.width as usize - 3, self.input.value(), theme.text);
        let rows = self.rows();
        let list = Rect { y: inner.y + 1, height: inner.height.saturating_sub(1), ..inner };
        if rows.is_empty() {
            put(buf, list.x + 2, list.y, 60, "no protocol of that name", theme.dim);
        }
        let top = (self.selected + 1).saturating_sub(list.height as usize);
        for ((i, row), y) in rows.iter().enumerate().skip(top).zip(list.top()..list.bottom()) {
            if i == self.selected {
                buf.set_style(Rect { y, height: 1, ..list }, theme.selected);
                put(buf, list.x, y, 1, "▌", theme.accent);
            }
            match row {
                Some(p) => {
                    put(buf, list.x + 2, y, 16, p.id, theme.text);
                    put(buf, list.x + 20, y, 48, p.name, theme.dim);
                }
                None => put(buf, list.x + 2, y, 60, "whatever it is recognised as", theme.text),
            }
        }
        frame.set_cursor_position((inner.x + 2 + self.input.visual_cursor() as u16, inner.y));
    }
}
