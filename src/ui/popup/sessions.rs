//! The sessions that announce themselves (SAP), to be joined with one key.

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::layout::Rect;

use crate::base::group::Membership;
use crate::base::text::visible;
use crate::base::units;
use crate::model::sessions::Announced;
use crate::ui::action::Action;
use crate::ui::format::clip_middle;
use crate::ui::keys::Cmd;
use crate::ui::layer::{Ctx, Layer, Outcome};
use crate::ui::widget::frame::{Words, empty, popup, put, put_right};

/// What an empty list says.
fn nothing(ctx: &Ctx<'_>) -> [String; 2] {
    [
        "no session is announced on the groups that are joined".to_owned(),
        format!(
            "{} joins sap: SAP announcements are heard there, usually within half a minute to five minutes",
            ctx.key(Cmd::Join)
        ),
    ]
}

/// Lines of the list at most.
const ROWS_MAX: usize = 2_000;

/// The list.
#[derive(Default)]
pub struct SessionsLayer {
    selected: usize,
    height: usize,
}

/// One line: a group of a session.
struct Row<'a> {
    session: &'a Announced,
    membership: Membership,
    what: &'a str,
}

fn rows<'a>(ctx: &Ctx<'a>) -> Vec<Row<'a>> {
    let mut out = Vec::new();
    for session in ctx.model.sessions().list() {
        out.extend(session.groups().map(|(to, media)| Row {
            session,
            membership: session.membership(to, media),
            what: media.what(),
        }));
        if out.len() >= ROWS_MAX {
            out.truncate(ROWS_MAX);
            break;
        }
    }
    out.sort_by(|a, b| {
        let key = |r: &Row<'_>| (r.session.session.name.to_lowercase(), r.membership.endpoint());
        key(a).cmp(&key(b))
    });
    out
}

impl Layer for SessionsLayer {
    fn key(&mut self, key: KeyEvent, ctx: &Ctx<'_>) -> Outcome {
        let rows = rows(ctx);
        let last = rows.len().saturating_sub(1);
        let page = self.height.max(1);
        // As the empty list says: the dialog opens above it.
        if ctx.keys.get(key) == Some(Cmd::Join) {
            return Outcome::Passed;
        }
        self.selected = match key.code {
            KeyCode::Esc | KeyCode::Char('a' | 'q') => return Outcome::Close(vec![]),
            KeyCode::Enter => {
                let Some(r) = rows.get(self.selected) else { return Outcome::Consumed };
                let typed = r.membership.to_string();
                let memberships = vec![r.membership.clone()];
                return Outcome::Act(vec![Action::Join { memberships, typed, keep: false }]);
            }
            KeyCode::Char('c') => {
                let Some(r) = rows.get(self.selected) else { return Outcome::Consumed };
                return Outcome::Act(vec![Action::Copy(r.membership.to_string())]);
            }
            KeyCode::Up | KeyCode::Char('k') => self.selected.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => (self.selected + 1).min(last),
            KeyCode::PageUp => self.selected.saturating_sub(page),
            KeyCode::PageDown => (self.selected + page).min(last),
            KeyCode::Home => 0,
            KeyCode::End => last,
            _ => self.selected,
        };
        Outcome::Consumed
    }

    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, ctx: &Ctx<'_>) {
        let theme = ctx.theme;
        let rows = rows(ctx);
        self.selected = self.selected.min(rows.len().saturating_sub(1));
        let sessions = ctx.model.sessions();
        let chosen = rows.get(self.selected);
        let words = Words {
            title: format!("Sessions  {}", sessions.list().len()),
            right: "↵ joins, c copies, Esc closes".to_owned(),
            bottom: chosen.map_or_else(String::new, |r| about(r.session, ctx)),
            bottom_right: match sessions.forgotten() {
                _ if rows.len() == ROWS_MAX => format!("the first {ROWS_MAX} groups"),
                0 => String::new(),
                n => format!("{n} had to make room"),
            },
        };
        let height = (rows.len() as u16).max(4).saturating_add(3).min(area.height.saturating_sub(4));
        let buf = frame.buffer_mut();
        let inner = popup(area, buf, theme, (area.width.saturating_sub(4).min(130), height), &words);
        if rows.is_empty() {
            return empty(buf, inner, &nothing(ctx), theme.dim);
        }
        // What stands at the right has its width; the names share the rest.
        let (x, end) = (inner.x + 2, inner.right() - 1);
        let wide = inner.width >= 100;
        let (state, age, by, media) = (8u16, 7u16, if wide { 22u16 } else { 0 }, if wide { 20 } else { 12 });
        let group = if wide { 30u16 } else { 21 };
        let name = (end - x).saturating_sub(state + age + by + media + group + 2);
        let columns = [x, x + name + 1, x + name + 1 + group, x + name + 1 + group + media];
        let heads = ["SESSION", "GROUP", "MEDIA", if wide { "ANNOUNCED BY" } else { "" }];
        for (at, head) in columns.iter().zip(heads) {
            put(buf, *at, inner.y, 14, head, theme.dim);
        }
        put_right(buf, end - state, inner.y, 6, "HEARD", theme.dim);
        put_right(buf, end, inner.y, 7, "HERE", theme.dim);
        let list = Rect { y: inner.y + 1, height: inner.height - 1, ..inner };
        self.height = list.height as usize;
        let top = (self.selected + 1).saturating_sub(self.height);
        let now = ctx.model.now().mono;
        for ((i, r), y) in rows.iter().enumerate().skip(top).zip(list.top()..list.bottom()) {
            if i == self.selected {
                buf.set_style(Rect { y, height: 1, ..list }, theme.selected);
                put(buf, list.x, y, 1, "▌", theme.accent);
            }
            put(buf, columns[0], y, name as usize, &visible(&r.session.session.name, 100), theme.text);
            let to = format!("{}%{}", r.membership.endpoint(), r.membership.iface);
            let to = if wide { to } else { r.membership.endpoint().to_string() };
            put(buf, columns[1], y, group as usize - 1, &clip_middle(&to, group as usize - 1), theme.text);
            put(buf, columns[2], y, media as usize - 1, &visible(r.what, 60), theme.text);
            if wide {
                put(buf, columns[3], y, by as usize - 1, &r.session.origin.to_string(), theme.dim);
            }
            let heard = units::age(now.since(r.session.last.mono));
            put_right(buf, end - state, y, 6, &heard, theme.dim);
            let joined = ctx.model.groups().find(|g| {
                g.membership.endpoint() == r.membership.endpoint() && g.membership.iface == r.membership.iface
            });
            if let Some(g) = joined {
                let (style, _) = theme.state(g.state);
                put_right(buf, end, y, state as usize - 1, g.state.word(), style);
            }
        }
    }
}

/// The selected session in a line.
fn about(s: &Announced, ctx: &Ctx<'_>) -> String {
    let now = ctx.model.now().mono;
    let every =
        s.interval_ns.map_or_else(|| "once".to_owned(), |ns| format!("every {}", units::duration(ns)));
    let left = s.timeout_ns().saturating_sub(now.since(s.last.mono));
    let info = if s.session.info.is_empty() { String::new() } else { format!(" · {}", s.session.info) };
    let text = format!(
        "{} on {} · {every}, {} × · forgotten in {} if not heard{info}",
        s.origin,
        s.iface,
        s.count,
        units::duration(left)
    );
    visible(&text, 200)
}
