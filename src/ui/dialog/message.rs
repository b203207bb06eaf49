//! Something went wrong: what, and what to do about it, ready to be copied.

use crossterm::event::{KeyCode, KeyEvent, MouseEvent};
use ratatui::Frame;
use ratatui::layout::Rect;

use super::popup::{FRAME, Popup, is_global, put, wrap};
use crate::base::group::MembershipId;
use crate::base::text::visible;
use crate::model::group::{Group, JoinState};
use crate::ui::action::Action;
use crate::ui::layer::{Ctx, Layer, Outcome};

/// Columns of the text at most.
const WIDTH: u16 = 70;
/// Characters shown at most, of the text and of the remedy.
const MAX_CHARS: usize = 2000;

/// The dialog.
#[derive(Clone, Debug)]
pub struct MessageDialog {
    title: String,
    text: String,
    remedy: Option<String>,
    retry: Option<MembershipId>,
    copied: bool,
}

impl MessageDialog {
    /// Says `text` and, if there is one, the remedy.
    pub fn new(title: &str, text: &str, remedy: Option<&str>) -> Self {
        MessageDialog {
            title: title.to_owned(),
            text: text.to_owned(),
            remedy: remedy.map(str::to_owned),
            retry: None,
            copied: false,
        }
    }

    /// Why a join failed, with the key that tries it again; `None` if it has not failed.
    pub fn failed_join(group: &Group) -> Option<Self> {
        let JoinState::Failed { error, remedy } = &group.join else { return None };
        let title = format!("{} is not joined", group.membership);
        Some(MessageDialog { retry: Some(group.id), ..MessageDialog::new(&title, error, remedy.as_deref()) })
    }
}

impl Layer for MessageDialog {
    fn key(&mut self, key: KeyEvent, _ctx: &Ctx<'_>) -> Outcome {
        if is_global(key) {
            return Outcome::Passed;
        }
        match (key.code, &self.remedy, self.retry) {
            (KeyCode::Char('c'), Some(remedy), _) => {
                self.copied = true;
                Outcome::Act(vec![Action::Copy(remedy.clone())])
            }
            (KeyCode::Char('r'), _, Some(id)) => Outcome::Close(vec![Action::Retry(id)]),
            (KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q'), ..) => Outcome::Close(Vec::new()),
            _ => Outcome::Consumed,
        }
    }

    fn mouse(&mut self, _event: MouseEvent, _ctx: &Ctx<'_>) -> Outcome {
        Outcome::Consumed
    }

    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, ctx: &Ctx<'_>) {
        const INDENT: u16 = 8;
        let theme = ctx.theme;
        let width = WIDTH.min(area.width.saturating_sub(FRAME.0));
        // Line breaks of ours stay, everything else that a terminal could obey is shown.
        let shown = |text: &str, width: u16| -> Vec<String> {
            let paragraphs = text.lines().map(|l| visible(l, MAX_CHARS));
            paragraphs.flat_map(|p| wrap(&p, usize::from(width))).collect()
        };
        let text = shown(&self.text, width);
        let remedy = self.remedy.as_deref().map(|r| shown(r, width.saturating_sub(INDENT)));
        let below = remedy.as_ref().map_or(0, |r| r.len() + 1);
        let rows = u16::try_from(text.len() + below + 1).unwrap_or(u16::MAX);
        let mut keys = Vec::new();
        if self.remedy.is_some() {
            keys.push(("c", if self.copied { "copied" } else { "copy remedy" }));
        }
        if self.retry.is_some() {
            keys.push(("r", "try again"));
        }
        keys.push(("Esc", "close"));
        let title = visible(&self.title, MAX_CHARS);
        let inner = Popup { title: &title, width: WIDTH, height: rows, keys: &keys }.open(frame, area, theme);
        let buf = frame.buffer_mut();
        let mut y = 0;
        for line in &text {
            put(buf, inner, 0, y, line, theme.bad);
            y += 1;
        }
        if let Some(remedy) = remedy {
            y += 1;
            put(buf, inner, 0, y, "remedy", theme.dim);
            for line in remedy {
                put(buf, inner, INDENT, y, &line, theme.text);
                y += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::dialog::testing::{Host, draw_at_all_sizes, press, screen};

    const ERROR: &str = "cannot join 239.1.1.1 on eth0 (bind to port 123): permission denied";
    const REMEDY: &str = "setcap cap_net_bind_service=+ep /usr/local/bin/mcscope";

    fn failed() -> (Host, MessageDialog) {
        let mut host = Host::new();
        let now = host.model.now();
        host.model.failed(MembershipId(0), ERROR.to_owned(), Some(REMEDY.to_owned()), now);
        let dialog = MessageDialog::failed_join(host.model.group(MembershipId(0)).unwrap()).unwrap();
        (host, dialog)
    }

    #[test]
    fn the_remedy_can_be_copied_and_the_join_tried_again() {
        let (host, mut d) = failed();
        assert_eq!(press(&mut d, &host, "c"), Outcome::Act(vec![Action::Copy(REMEDY.to_owned())]));
        assert!(screen(&mut d, &host, 80, 24).contains("c copied"));
        assert_eq!(press(&mut d, &host, "r"), Outcome::Close(vec![Action::Retry(MembershipId(0))]));
        assert_eq!(press(&mut d, &host, "<esc>"), Outcome::Close(vec![]));
    }

    #[test]
    fn a_row_that_did_not_fail_has_no_message_and_a_plain_one_nothing_to_copy() {
        let host = Host::new();
        assert!(MessageDialog::failed_join(host.model.group(MembershipId(0)).unwrap()).is_none());
        let mut d = MessageDialog::new("File", "cannot read /tmp/\x1b[2Jx: no such file", None);
        assert_eq!(press(&mut d, &host, "cr"), Outcome::Consumed);
        assert!(screen(&mut d, &host, 80, 24).contains("/tmp/␛[2Jx"));
    }

    #[test]
    fn it_looks_like_this() {
        let (host, mut d) = failed();
        insta::assert_snapshot!("message_80x24", screen(&mut d, &host, 80, 24));
        insta::assert_snapshot!("message_120x36", screen(&mut d, &host, 120, 36));
        draw_at_all_sizes(&mut d, &host);
    }
}
