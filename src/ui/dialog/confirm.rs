//! A question with two answers. Nothing happens unless it is answered with yes.

use crossterm::event::{KeyCode, KeyEvent, MouseEvent};
use ratatui::Frame;
use ratatui::layout::Rect;

use super::popup::{FRAME, Popup, is_global, put, wrap};
use crate::ui::action::Action;
use crate::ui::layer::{Ctx, Layer, Outcome};

/// Columns of the text at most.
const WIDTH: u16 = 60;

/// The dialog.
#[derive(Clone, Debug)]
pub struct ConfirmDialog {
    title: String,
    question: String,
    /// The words for yes: what will be done.
    yes: String,
    actions: Vec<Action>,
    /// Whether Enter means yes.
    on_yes: bool,
}

impl ConfirmDialog {
    /// Asks `question`; `yes` names what is done then, as in "leave all", by these actions.
    pub fn new(title: &str, question: &str, yes: &str, actions: Vec<Action>) -> Self {
        let [title, question, yes] = [title, question, yes].map(str::to_owned);
        ConfirmDialog { title, question, yes, actions, on_yes: false }
    }

    fn answer(&mut self, yes: bool) -> Outcome {
        Outcome::Close(if yes { std::mem::take(&mut self.actions) } else { Vec::new() })
    }
}

impl Layer for ConfirmDialog {
    fn key(&mut self, key: KeyEvent, _ctx: &Ctx<'_>) -> Outcome {
        if is_global(key) {
            return Outcome::Passed;
        }
        match key.code {
            KeyCode::Char('y' | 'Y') => self.answer(true),
            KeyCode::Char('n' | 'N' | 'q') | KeyCode::Esc => self.answer(false),
            KeyCode::Enter => self.answer(self.on_yes),
            KeyCode::Left | KeyCode::Right | KeyCode::Tab | KeyCode::BackTab | KeyCode::Char('h' | 'l') => {
                self.on_yes = !self.on_yes;
                Outcome::Consumed
            }
            _ => Outcome::Consumed,
        }
    }

    fn mouse(&mut self, _event: MouseEvent, _ctx: &Ctx<'_>) -> Outcome {
        Outcome::Consumed
    }

    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, ctx: &Ctx<'_>) {
        let theme = ctx.theme;
        let width = WIDTH.min(area.width.saturating_sub(FRAME.0));
        let lines = wrap(&self.question, usize::from(width));
        let rows = u16::try_from(lines.len()).unwrap_or(u16::MAX);
        let keys = [("y", self.yes.as_str()), ("n", "no"), ("←→ Enter", "choose")];
        let popup = Popup { title: &self.title, width: WIDTH, height: rows.saturating_add(3), keys: &keys };
        let inner = popup.open(frame, area, theme);
        let buf = frame.buffer_mut();
        for (y, line) in (0..).zip(&lines) {
            put(buf, inner, 0, y, line, theme.text);
        }
        let style = |chosen: bool| if chosen { theme.text.patch(theme.selected) } else { theme.dim };
        let y = inner.height.saturating_sub(2);
        let sign = |chosen: bool| if chosen { "▌" } else { " " };
        let (yes, no) = (self.on_yes, !self.on_yes);
        let x = put(buf, inner, 0, y, &format!("{} {} ", sign(yes), self.yes), style(yes));
        put(buf, inner, x + 2, y, &format!("{} no ", sign(no)), style(no));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::dialog::testing::{Host, draw_at_all_sizes, press, screen};

    fn dialog() -> ConfirmDialog {
        let question = "Reset the counters of all 5 groups? Totals begin at zero again.";
        ConfirmDialog::new("Reset", question, "reset all", vec![Action::Reset(None)])
    }

    #[test]
    fn only_yes_does_it() {
        let host = Host::new();
        for (keys, does) in [
            ("y", true),
            ("<tab><enter>", true),
            ("<right><left><enter>", false),
            ("<enter>", false),
            ("n", false),
            ("<esc>", false),
        ] {
            let expected = if does { vec![Action::Reset(None)] } else { vec![] };
            assert_eq!(press(&mut dialog(), &host, keys), Outcome::Close(expected), "{keys}");
        }
        assert_eq!(press(&mut dialog(), &host, "x"), Outcome::Consumed);
        assert_eq!(press(&mut dialog(), &host, "<c-c>"), Outcome::Passed);
    }

    #[test]
    fn it_looks_like_this() {
        let host = Host::new();
        insta::assert_snapshot!("confirm_80x24", screen(&mut dialog(), &host, 80, 24));
        insta::assert_snapshot!("confirm_120x36", screen(&mut dialog(), &host, 120, 36));
        draw_at_all_sizes(&mut dialog(), &host);
    }
}
