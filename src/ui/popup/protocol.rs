//! What a stream is and why, and the chooser for who knows better: of its protocol, and of the place
//! where it counts.

use crossterm::event::{Event, KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;

use crate::base::group::{Endpoint, MembershipId};
use crate::base::text::visible;
use crate::base::units;
use crate::model::counter::Choice;
use crate::model::reading;
use crate::model::source::Source;
use crate::ui::action::Action;
use crate::ui::layer::{Ctx, Layer, Outcome};
use crate::ui::widget::frame::{Words, popup, put, wrap};
use crate::wire::Protocol;
use crate::wire::own::protocols;

/// Cells of the names at the left.
const NAMES: u16 = 18;
/// Cells of the box.
const WIDTH: u16 = 76;
/// Rows above the list: what it is, why (up to two), where it counts, the line to type in, a blank.
const HEAD: u16 = 6;

/// What can be chosen.
#[derive(Clone, Debug, PartialEq)]
enum Row {
    /// Whatever the stream is recognised as.
    Recognise,
    /// This protocol.
    Protocol(&'static Protocol),
    /// A counter, or none.
    Counter(Choice),
    /// What was typed is no counter, and why.
    Wrong(String),
}

/// The chooser.
pub struct ProtocolChooser {
    of: (MembershipId, Endpoint),
    input: Input,
    selected: usize,
}

impl ProtocolChooser {
    /// A chooser for this stream.
    pub fn new(id: MembershipId, from: Endpoint) -> ProtocolChooser {
        ProtocolChooser { of: (id, from), input: Input::default(), selected: 0 }
    }

    /// What the text typed leaves.
    fn rows(&self) -> Vec<Row> {
        let typed = self.input.value().trim().to_lowercase();
        if typed.starts_with("seq:") && typed.len() > 4 {
            let found = [Choice::Off, Choice::Find].into_iter().map(|c| (word(c), Row::Counter(c)));
            let found: Vec<Row> = found.filter(|(w, _)| w.starts_with(&typed)).map(|(_, row)| row).collect();
            return match Choice::parse(&typed) {
                _ if !found.is_empty() => found,
                Ok(choice) => vec![Row::Counter(choice)],
                Err(e) => vec![Row::Wrong(e.message)],
            };
        }
        let fits = |p: &Protocol| p.id.contains(&typed) || p.name.to_lowercase().contains(&typed);
        let counters = [Choice::Find, Choice::Off].into_iter().filter(|c| word(*c).contains(&typed));
        let first = typed.is_empty().then_some(Row::Recognise);
        let list = protocols().filter(|p| fits(p)).map(Row::Protocol);
        first.into_iter().chain(counters.map(Row::Counter)).chain(list).collect()
    }

    fn source<'a>(&self, ctx: &Ctx<'a>) -> Option<(&'a Source, String)> {
        let g = ctx.model.group(self.of.0)?;
        let s = g.sources.get(self.of.1)?;
        Some((s, reading::reason(s, &g.rules, g.membership.port)))
    }

    /// What the stream is taken for and why; returns the rows used.
    fn head(&self, buf: &mut Buffer, area: Rect, ctx: &Ctx<'_>) -> u16 {
        let theme = ctx.theme;
        let Some((s, reason)) = self.source(ctx) else {
            put(buf, area.x + 2, area.y, 60, "this stream is no longer there", theme.dim);
            return 1;
        };
        let room = usize::from(area.width.saturating_sub(14));
        let mut y = area.y;
        let mut line = |name: &str, text: &str, style| {
            put(buf, area.x + 2, y, 10, name, theme.dim);
            put(buf, area.x + 12, y, room, text, style);
            y += 1;
        };
        match s.verdict.protocol() {
            Some((p, sure)) => {
                line("is", &format!("{}, {}", visible(p.name, 40), reading::confidence(sure)), theme.title);
            }
            None => line("is", "not recognised", theme.title),
        }
        for (i, part) in wrap(&reason, room).iter().take(2).enumerate() {
            line(if i == 0 { "for" } else { "" }, part, theme.text);
        }
        line("counts by", &reading::counter(s), theme.text);
        y - area.y
    }
}

/// The word for a choice that is no field.
fn word(choice: Choice) -> String {
    match choice {
        Choice::Find => "seq:auto".to_owned(),
        Choice::Off => "seq:off".to_owned(),
        Choice::At(c) => c.to_string(),
    }
}

/// What a choice means, for a stream whose last payload is known.
fn meaning(choice: Choice, s: Option<&Source>) -> String {
    match choice {
        Choice::Find => "by the protocol's own counter, or one that is found".to_owned(),
        Choice::Off => "it has no counter: no losses are told".to_owned(),
        Choice::At(c) => {
            let end = u32::from(c.offset) + u32::from(c.width);
            let value = s.and_then(|s| s.detail.as_ref()).and_then(|d| c.read(d.last_payload()));
            let reads = match (value, s) {
                (Some(n), _) => format!(" · now {}", units::count(n)),
                (None, Some(s)) if s.counters.size_max < end => " · no payload is so long".to_owned(),
                // Of the last payload only the head is kept.
                (None, _) => String::new(),
            };
            format!("{}{reads}", c.words())
        }
    }
}

impl Layer for ProtocolChooser {
    fn key(&mut self, key: KeyEvent, _ctx: &Ctx<'_>) -> Outcome {
        let rows = self.rows();
        match key.code {
            KeyCode::Esc => return Outcome::Close(vec![]),
            KeyCode::Enter => {
                let (id, from) = self.of;
                return match rows.get(self.selected) {
                    Some(Row::Recognise) => Outcome::Close(vec![Action::SetProtocol(id, from, None)]),
                    Some(Row::Protocol(p)) => Outcome::Close(vec![Action::SetProtocol(id, from, Some(p.id))]),
                    Some(Row::Counter(c)) => Outcome::Close(vec![Action::ChooseCounter(id, from, *c)]),
                    Some(Row::Wrong(_)) | None => Outcome::Consumed,
                };
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
            title: format!("What {} is", self.of.1),
            bottom: "a protocol, or seq:OFFSET:WIDTH[:le] in bytes".to_owned(),
            bottom_right: "↵ takes it, Esc closes".to_owned(),
            ..Words::default()
        };
        let all = protocols().count() as u16 + 3;
        let size = (WIDTH, area.height.saturating_sub(4).min(all + HEAD + 2));
        let buf = frame.buffer_mut();
        let inner = popup(area, buf, theme, size, &words);
        let typed = inner.y + self.head(buf, inner, ctx);
        put(buf, inner.x + 2, typed, 11, "take for", theme.dim);
        put(buf, inner.x + 12, typed, inner.width as usize - 13, self.input.value(), theme.text);
        let rows = self.rows();
        let top = typed + 1;
        let list = Rect { y: top, height: inner.bottom().saturating_sub(top), ..inner };
        if rows.is_empty() {
            put(buf, list.x + 2, list.y, 60, "no protocol of that name", theme.dim);
        }
        let source = self.source(ctx).map(|(s, _)| s);
        let from = (self.selected + 1).saturating_sub(list.height as usize);
        for ((i, row), y) in rows.iter().enumerate().skip(from).zip(list.top()..list.bottom()) {
            if i == self.selected {
                buf.set_style(Rect { y, height: 1, ..list }, theme.selected);
                put(buf, list.x, y, 1, "▌", theme.accent);
            }
            let (name, says, style) = match row {
                Row::Recognise => {
                    ("anything".to_owned(), "whatever it is recognised as".to_owned(), theme.dim)
                }
                Row::Protocol(p) => (p.id.to_owned(), p.name.to_owned(), theme.dim),
                Row::Counter(c) => (word(*c), meaning(*c, source), theme.dim),
                Row::Wrong(why) => ("no counter".to_owned(), why.clone(), theme.bad),
            };
            put(buf, list.x + 2, y, NAMES as usize - 1, &visible(&name, 40), theme.text);
            let room = usize::from(list.width.saturating_sub(NAMES + 3));
            put(buf, list.x + 2 + NAMES, y, room, &visible(&says, 80), style);
        }
        frame.set_cursor_position((inner.x + 12 + self.input.visual_cursor() as u16, typed));
    }
}
