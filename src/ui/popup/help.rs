//! Help: every action with its keys, those that work here and now first.

use crossterm::event::{KeyCode, KeyEvent, MouseEvent, MouseEventKind};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::ui::keymap::{KeyMap, shown};
use crate::ui::keys::{self, Binding, Situation};
use crate::ui::layer::{Ctx, Layer, Outcome};
use crate::ui::widget::frame::{Words, popup, put};

/// The signs of the screen, in the order of the help.
const SIGNS: &[(&str, &str)] = &[
    ("● ○ ◌ ✕ ◔", "live, idle, silent, failed, joining"),
    ("→ ⊘ !", "sent by this host; blocked source; marking changed"),
    ("▁▂▃ · blank", "packets in a strip; a second without any; not watching yet"),
    ("–", "not known, or cannot be known here: never the same as 0"),
    ("NET", "numbers missing in the streams: lost on the network"),
    ("NIC", "dropped by a network interface"),
    ("SOCK", "dropped at a socket's buffer: this host was too slow"),
    ("OURS", "counted by mcscope but not split by source"),
];

/// The help.
pub struct Help {
    situation: Situation,
    top: usize,
    rows: usize,
    height: usize,
}

impl Help {
    /// Help for this moment.
    pub fn new(situation: Situation) -> Help {
        Help { situation, top: 0, rows: 0, height: 1 }
    }

    fn shift(&mut self, by: isize) {
        self.top = self.top.saturating_add_signed(by).min(self.rows.saturating_sub(self.height));
    }

    fn lines(&self, map: &KeyMap) -> Vec<(String, String, bool)> {
        let line = |b: &&&Binding, works: bool| {
            let keys: Vec<String> = map.keys(b.cmd).iter().map(|k| shown(k)).collect();
            let keys = if keys.is_empty() { map.cap(b.cmd) } else { keys.join(" ") };
            (keys, b.help.to_owned(), works)
        };
        let (here, not): (Vec<_>, Vec<_>) = keys::table().iter().partition(|b| b.works(&self.situation));
        let mut lines: Vec<_> = here.iter().map(|b| line(b, true)).collect();
        lines.push((String::new(), "Signs".to_owned(), true));
        lines.extend(SIGNS.iter().map(|(s, t)| ((*s).to_owned(), (*t).to_owned(), true)));
        if !not.is_empty() {
            lines.push((String::new(), "Not here".to_owned(), false));
            lines.extend(not.iter().map(|b| line(b, false)));
        }
        lines
    }
}

impl Layer for Help {
    fn key(&mut self, key: KeyEvent, _ctx: &Ctx<'_>) -> Outcome {
        let page = self.height as isize;
        match key.code {
            KeyCode::Esc | KeyCode::Enter | KeyCode::Char('?' | 'q') => return Outcome::Close(vec![]),
            KeyCode::Up | KeyCode::Char('k') => self.shift(-1),
            KeyCode::Down | KeyCode::Char('j') => self.shift(1),
            KeyCode::PageUp => self.shift(-page),
            KeyCode::PageDown | KeyCode::Char(' ') => self.shift(page),
            KeyCode::Home | KeyCode::Char('g') => self.shift(isize::MIN / 2),
            KeyCode::End | KeyCode::Char('G') => self.shift(isize::MAX / 2),
            _ => {}
        }
        Outcome::Consumed
    }

    fn mouse(&mut self, event: MouseEvent, _ctx: &Ctx<'_>) -> Outcome {
        match event.kind {
            MouseEventKind::ScrollUp => self.shift(-3),
            MouseEventKind::ScrollDown => self.shift(3),
            _ => {}
        }
        Outcome::Consumed
    }

    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, ctx: &Ctx<'_>) {
        let theme = ctx.theme;
        let lines = self.lines(ctx.keys);
        let two = area.width >= 160;
        let columns = if two { 2 } else { 1 };
        self.rows = lines.len().div_ceil(columns);
        let size = (if two { 152 } else { 78 }, (self.rows as u16 + 2).min(area.height.saturating_sub(2)));
        self.height = size.1.saturating_sub(2) as usize;
        self.shift(0);
        let words = Words {
            title: "What works here".to_owned(),
            right: "? or Esc closes".to_owned(),
            bottom_right: if self.rows > self.height {
                format!("{}–{} of {} · ↓ more", self.top + 1, self.top + self.height, self.rows)
            } else {
                String::new()
            },
            ..Words::default()
        };
        let buf = frame.buffer_mut();
        let inner = popup(area, buf, theme, size, &words);
        for (i, (keys, text, works)) in lines.iter().enumerate() {
            let (column, row) = (i / self.rows, i % self.rows);
            let Some(line) = row.checked_sub(self.top).filter(|l| *l < self.height) else { continue };
            let (x, y) = (inner.x + 1 + column as u16 * 76, inner.y + line as u16);
            let style: Style = if *works { theme.text } else { theme.dim };
            if keys.is_empty() {
                put(buf, x, y, 74, text, theme.title);
                continue;
            }
            put(buf, x, y, 14, keys, if *works { theme.accent } else { theme.dim });
            put(buf, x + 15, y, 59, text, style);
        }
    }
}
