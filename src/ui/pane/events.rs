//! The event log, newest on top.

use std::hash::{DefaultHasher, Hash, Hasher};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::base::group::Membership;
use crate::base::text::visible;
use crate::base::units;
use crate::model::event::EventKind;
use crate::model::filter::Happening;
use crate::ui::format::clock;
use crate::ui::keys::Cmd;
use crate::ui::layer::Ctx;
use crate::ui::pane::scan::Scan;
use crate::ui::pane::{Kind, Pane, Reply, movement, nothing_matches};
use crate::ui::shared::Shared;
use crate::ui::theme::Theme;
use crate::ui::widget::feed::{Feed, Rows};
use crate::ui::widget::frame::{Words, empty, frame, put, wrap};

/// Characters of an event that are shown and looked at.
const TEXT_MAX: usize = 1_000;

/// The pane.
#[derive(Default)]
pub struct Events {
    /// Only those of the selected stream, and of its group where no sender is named.
    of_stream: bool,
    feed: Feed,
    scan: Scan,
    rows: Vec<u64>,
    body: Rect,
    drawn: Vec<u64>,
}

/// The style and the sign of an event.
fn look(kind: EventKind, theme: &Theme) -> (Style, &'static str) {
    match kind {
        EventKind::Failed | EventKind::Dropped | EventKind::FeedLost | EventKind::NotDelivered => {
            (theme.bad, "✕")
        }
        EventKind::SourceSilent | EventKind::GroupSilent | EventKind::Conflict => (theme.silent, "◌"),
        EventKind::WireSeen | EventKind::Tap => (theme.wire, "◇"),
        EventKind::SourceAppeared | EventKind::SourceBack | EventKind::GroupBack => (theme.live, "●"),
        EventKind::Feed
        | EventKind::Session
        | EventKind::Grandmaster
        | EventKind::MarkingChanged
        | EventKind::InterfaceChanged
        | EventKind::ClockStep => (theme.accent, "◆"),
        EventKind::Joined | EventKind::Rejoined => (theme.text, "+"),
        EventKind::Forecast => (theme.silent, "⧗"),
        EventKind::Querier => (theme.accent, "?"),
        EventKind::Query => (theme.dim, "?"),
        EventKind::Report | EventKind::HostMembership => (theme.dim, "!"),
        EventKind::Left => (theme.dim, "-"),
        EventKind::Send => (theme.ours, "→"),
        EventKind::Note => (theme.dim, "·"),
    }
}

impl Events {
    /// The events of the selected stream.
    pub fn of_stream() -> Events {
        Events { of_stream: true, ..Events::default() }
    }

    /// What is to be shown, in the order of time.
    fn rows(&mut self, at: &Shared, ctx: &Ctx<'_>) -> Rows<'_> {
        let log = ctx.model.events();
        let (first, end) = (log.forgotten(), log.next());
        self.rows.clear();
        if !at.filter.is_set() && !self.of_stream {
            self.rows.extend(log.order());
            return Rows::Some(&self.rows);
        }
        let stream = at.group(ctx).filter(|_| self.of_stream).map(|g| (g.membership.clone(), at.source));
        let mut hash = DefaultHasher::new();
        at.filter.text().hash(&mut hash);
        if self.of_stream {
            (at.group_id(), at.source).hash(&mut hash);
        }
        self.scan.run(hash.finish(), first, end, |n| {
            let Some(e) = log.get(n) else { return false };
            let here = stream.as_ref().is_none_or(|(m, from)| {
                // Blocking a source makes another membership of the same group.
                let same = |o: &Membership| o.endpoint() == m.endpoint() && o.iface == m.iface;
                e.membership.as_deref().is_some_and(same) && (e.source.is_none() || e.source == *from)
            });
            here && at.filter.expr().passes(&Happening(e))
        });
        let found = self.scan.matches();
        self.rows.extend(log.order().filter(|n| found.binary_search(n).is_ok()));
        Rows::Some(&self.rows)
    }

    fn shift(&mut self, by: isize, at: &mut Shared, ctx: &Ctx<'_>) {
        let feed = self.feed;
        at.event = feed.moved(&self.rows(at, ctx), at.event, by);
    }
}

impl Pane for Events {
    fn kind(&self) -> Kind {
        Kind::Events
    }

    fn draw(&mut self, area: Rect, buf: &mut Buffer, focused: bool, at: &mut Shared, ctx: &Ctx<'_>) {
        let log = ctx.model.events();
        let (theme, inside) = (ctx.theme, area.inner(ratatui::layout::Margin::new(1, 1)));
        self.body = inside;
        let chosen = at.event.and_then(|n| log.get(n));
        let whole =
            chosen.map(|e| wrap(&visible(&e.text, TEXT_MAX), inside.width.saturating_sub(4) as usize));
        // Only what does not fit on its row is written out below.
        let room = inside.width.saturating_sub(30) as usize;
        let below = whole.filter(|_| chosen.is_some_and(|e| e.text.chars().count() > room));
        let below = below.unwrap_or_default();
        self.body.height = self.body.height.saturating_sub(below.len().min(6) as u16);
        let mut feed = self.feed;
        let height = self.body.height as usize;
        let selected = at.event;
        let rows = self.rows(at, ctx);
        let found = rows.len();
        let window = feed.window(&rows, selected, height);
        let drawn: Vec<u64> = window.filter_map(|place| rows.at(place)).collect();
        (self.feed, self.drawn) = (feed, drawn);
        let forgotten = match log.forgotten() {
            0 => String::new(),
            n => format!("{} older ones are forgotten", units::count(n)),
        };
        let words = Words {
            title: match self.of_stream {
                true => format!("Events of this stream  {}", units::count(found as u64)),
                false => format!("Events  {}", units::count(log.next())),
            },
            right: if selected.is_none() {
                "following ▾".into()
            } else {
                format!("standing still · {} follows", ctx.key(Cmd::Follow))
            },
            bottom: forgotten,
            bottom_right: if at.filter.is_set() || self.of_stream {
                String::new()
            } else {
                "/ event query · event forecast or event report …".to_owned()
            },
        };
        let inner = frame(area, buf, theme, focused, &words);
        if self.drawn.is_empty() {
            let line = if self.of_stream && !at.filter.is_set() {
                "nothing has happened to this stream yet".into()
            } else if at.filter.is_set() && log.next() > 0 {
                nothing_matches(at, ctx)
            } else {
                "nothing has happened yet: joins, new sources, silence and interface changes stand here"
                    .into()
            };
            return empty(buf, inner, &[line], theme.dim);
        }
        for (i, &n) in self.drawn.iter().enumerate() {
            let Some(e) = log.get(n) else { continue };
            let y = self.body.y + i as u16;
            let (style, sign) = look(e.kind, theme);
            if selected == Some(n) {
                if focused {
                    buf.set_style(Rect { y, height: 1, ..inner }, theme.selected);
                }
                put(buf, inner.x, y, 1, "▌", if focused { theme.accent } else { theme.dim });
            }
            put(buf, inner.x + 1, y, 8, &clock(e.time, ctx.utc_offset_s), theme.dim);
            put(buf, inner.x + 10, y, 1, sign, style);
            put(buf, inner.x + 12, y, 17, &e.kind.word().replace('_', " "), style);
            let text = if e.kind.is_bad() { style } else { theme.text };
            put(buf, inner.x + 30, y, room, &visible(&e.text, TEXT_MAX), text);
        }
        for (line, y) in below.iter().zip(self.body.bottom()..inside.bottom()) {
            put(buf, inner.x + 2, y, inner.width as usize - 2, line, theme.text);
        }
        at.filter.highlight(buf, self.body, theme.matched);
    }

    fn command(&mut self, cmd: Cmd, at: &mut Shared, ctx: &Ctx<'_>) -> Reply {
        if let Some(by) = movement(cmd, self.feed.height) {
            self.shift(by, at, ctx);
            return Reply::Done;
        }
        match cmd {
            Cmd::Follow => at.event = None,
            _ => return Reply::Ignored,
        }
        Reply::Done
    }

    fn click(&mut self, _x: u16, y: u16, at: &mut Shared, _ctx: &Ctx<'_>) {
        let line = y.checked_sub(self.body.y).map(usize::from);
        if let Some(&n) = line.and_then(|l| self.drawn.get(l)) {
            at.event = Some(n);
        }
    }

    fn wheel(&mut self, lines: isize, at: &mut Shared, ctx: &Ctx<'_>) {
        self.shift(lines, at, ctx);
    }

    fn copy(&self, at: &Shared, ctx: &Ctx<'_>) -> Option<String> {
        let number = at.event.or(self.drawn.first().copied())?;
        let e = ctx.model.events().get(number)?;
        Some(format!("{} {} {}", e.time.rfc3339(), e.kind.word(), e.text))
    }
}
