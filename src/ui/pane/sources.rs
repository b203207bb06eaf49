//! The sources of the selected group.

use std::hash::{DefaultHasher, Hash, Hasher};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::base::text::visible;
use crate::base::units::{self, ABSENT};
use crate::model::filter::{GroupWords, Row};
use crate::model::group::Group;
use crate::model::notes::Note;
use crate::model::source::{Source, State};
use crate::ui::format::{self, clip_middle, clock, tally};
use crate::ui::keys::Cmd;
use crate::ui::layer::Ctx;
use crate::ui::pane::feed;
use crate::ui::pane::groups::spec;
use crate::ui::pane::{Kind, Pane, Reply, movement, nothing_matches};
use crate::ui::shared::Shared;
use crate::ui::widget::frame::{Words, empty, frame, put};
use crate::ui::widget::strip::{self, Scaling};
use crate::ui::widget::table::{Column, Grid, Key, Placed, Widths};

const SOURCE: usize = 0;
const HOST: usize = 1;
const PPS: usize = 2;
const BPS: usize = 3;
const SHARE: usize = 4;
const SIZE: usize = 5;
const TTL: usize = 6;
const DSCP: usize = 7;
const GAP: usize = 8;
const NET: usize = 9;
const LAST: usize = 10;
const STRIP: usize = 11;
const FIRST: usize = 12;
const PACKETS: usize = 13;
const BYTES: usize = 14;
const PROTOCOL: usize = 15;
const PAYLOAD: usize = 16;

static COLUMNS: &[Column] = &[
    Column::text("SOURCE", "source", 15, 21, 0),
    Column::text("HOST", "host name", 11, 16, 4),
    Column::number("PKT/S", "pkt/s", 6, 0),
    Column::number("BIT/S", "bit/s", 6, 0),
    Column::number("SHARE", "share of the bytes", 7, 5),
    Column::number("SIZE B", "size: min/avg/max", 12, 1),
    Column::number("TTL", "TTL or hop limit", 4, 1),
    Column::number("DSCP", "DSCP", 5, 1),
    Column::number("GAP p50/p99", "gap: median/99 %", 13, 3),
    Column::number("NET", "NET (lost)", 5, 2),
    Column::number("LAST", "last seen", 6, 1),
    Column::steps("60 s", "last minute", &[20], 6),
    Column::number("FIRST", "first seen", 8, 9),
    Column::number("PACKETS", "packets", 7, 7),
    Column::number("BYTES", "bytes", 6, 8),
    Column::text("PROTOCOL", "protocol", 9, 12, 10),
    Column::text("LAST PAYLOAD", "last payload", 20, 200, 11),
];

/// From this width on there is room for names and strips side by side.
const WIDE: u16 = 118;

/// Rank and widths of the strip while the pane has the whole screen: a minute, with its own scale.
const STRIP_ZOOMED: (u8, Widths) = (2, Widths::Steps(&[27, 37, 67]));

/// From this many sources on it is no news that there are several.
const SENDERS_TOLD: usize = 100;

/// The pane.
pub struct Sources {
    grid: Grid,
    /// Where the selected source stood last in the group's list.
    place: usize,
}

impl Default for Sources {
    fn default() -> Self {
        Sources { grid: Grid::new(BPS, true), place: 0 }
    }
}

fn key<'a>(s: &'a Source, column: usize, g: &Group, ctx: &Ctx<'a>) -> Key<'a> {
    let now = ctx.model.now().mono;
    let rate = || g.since.and_then(|since| s.rate.rate(now, since.mono));
    match column {
        SOURCE => Key::endpoint(s.endpoint),
        HOST => match ctx.names.get(&s.endpoint.ip) {
            Some(Some(name)) => Key::Text((&**name).into()),
            _ => Key::Absent,
        },
        PPS | STRIP => Key::num(rate().map(|r| r.packets_pps)),
        BPS => Key::num(rate().map(|r| r.payload_bps)),
        SHARE | BYTES => Key::Num(s.counters.payload_bytes as f64),
        SIZE => Key::num(s.counters.size_mean()),
        TTL => Key::num(s.ttl.last.map(f64::from)),
        DSCP => Key::num(s.dscp.last.map(f64::from)),
        GAP => Key::num(s.gaps.mean_ns().map(|n| n as f64)),
        NET => Key::num(s.told().map(|c| c.lost as f64)),
        LAST => Key::Num(s.last.mono.0 as f64),
        FIRST => Key::Num(s.first.mono.0 as f64),
        PACKETS => Key::Num(s.counters.packets as f64),
        PROTOCOL => s.protocol().map_or(Key::Absent, |p| Key::Text(p.name.into())),
        _ => Key::Absent,
    }
}

impl Sources {
    fn selected(&self, at: &Shared, g: &Group) -> Option<u32> {
        let (from, list) = (at.source?, g.sources.list());
        // The list only grows: the place remembered is right unless the group is another one.
        if list.get(self.place).is_some_and(|s| s.endpoint == from) {
            return Some(self.place as u32);
        }
        list.iter().position(|s| s.endpoint == from).map(|i| i as u32)
    }

    fn select(&mut self, row: Option<u32>, at: &mut Shared, ctx: &Ctx<'_>) {
        let Some(source) = row.and_then(|r| at.group(ctx)?.sources.list().get(r as usize)) else { return };
        self.place = row.unwrap_or(0) as usize;
        let from = source.endpoint;
        if at.only_source.is_some_and(|o| o != from) {
            at.only_source = Some(from);
            at.hold(None);
        }
        at.source = Some(from);
    }

    fn order(&mut self, at: &Shared, g: &Group, ctx: &Ctx<'_>) {
        let mut hash = DefaultHasher::new();
        // The first source is shown at once.
        (at.filter.text(), g.id, g.sources.is_empty()).hash(&mut hash);
        let selected = self.selected(at, g);
        let words = GroupWords::default();
        self.grid.order(ctx.model.now().mono, hash.finish(), selected, |sort| {
            let now = ctx.model.now().mono;
            let list = g.sources.list().iter().zip(0u32..);
            let words = &words;
            list.filter(move |(s, _)| {
                let host = ctx.name(s.endpoint.ip);
                let row = Row { group: g, source: Some(*s), for_group: false, host, now, words };
                !at.filter.is_set() || at.filter.expr().passes(&row)
            })
            .map(move |(s, i)| (key(s, sort, g, ctx), i))
        });
    }

    fn row(&self, buf: &mut Buffer, y: u16, s: &Source, g: &Group, scaling: Scaling, look: &mut Look<'_>) {
        let (ctx, now) = (look.ctx, look.ctx.model.now().mono);
        let theme = ctx.theme;
        let quiet = matches!(s.state, State::Idle | State::Silent);
        let plain = if quiet { theme.idle } else { theme.text };
        let blocked = !g.lets_through(s.endpoint.ip);
        let (style, sign) = match (s.ours, blocked) {
            (_, true) => (theme.dim, "⊘"),
            (true, _) => (theme.ours, "→"),
            _ => theme.state(s.state),
        };
        if let Some(left) = self.grid.placed().first().map(|p| p.x) {
            // A stream of a feed has its letter there, in the colour of its state.
            let letter = feed::letter(g.id, s.endpoint, look.at, ctx);
            put(buf, left - 2, y, 1, letter.unwrap_or(sign), style);
        }
        let rate = g.since.and_then(|since| s.rate.rate(now, since.mono));
        let lost = s.continuity().map(|c| c.lost);
        let changed = |n: u32| if n > 0 { theme.silent } else { plain };
        for p in self.grid.placed() {
            let (text, style): (String, Style) = match p.column {
                SOURCE => {
                    let text = clip_middle(&s.endpoint.to_string(), p.width as usize).into_owned();
                    (text, if s.ours { theme.ours } else { plain })
                }
                HOST if blocked => ("blocked".into(), theme.dim),
                HOST if s.ours && ctx.names.get(&s.endpoint.ip).is_none_or(Option::is_none) => {
                    ("this host".into(), theme.ours)
                }
                HOST => {
                    let name = look.at.name(s.endpoint.ip, ctx);
                    (name.map_or_else(|| ABSENT.to_owned(), |n| visible(&n, 60)), plain)
                }
                PPS => (units::or_dash(rate.map(|r| r.packets_pps), units::si_column), plain),
                BPS => (units::or_dash(rate.map(|r| r.payload_bps), units::si_column), plain),
                SHARE => {
                    let share = units::share_pct(s.counters.payload_bytes, g.counters.payload_bytes);
                    (units::or_dash(share, units::percent), plain)
                }
                SIZE => (format::sizes(&s.counters), plain),
                TTL => (format::ttl(&s.ttl), changed(s.ttl.changes)),
                DSCP => (format::marking(&s.dscp), changed(s.dscp.changes)),
                GAP => (format::gaps(s), plain),
                NET => {
                    let style = if lost.unwrap_or(0) > 0 { theme.bad } else { theme.dim };
                    (units::or_dash(lost, tally), style)
                }
                LAST => {
                    let style = if s.state == State::Silent { theme.silent } else { plain };
                    (units::age(now.since(s.last.mono)), style)
                }
                STRIP => {
                    let cut = Scaling::cut(look.at.zoomed, p.width as usize, true);
                    let strip = s.detail.as_ref().map(|d| scaling.text(&d.strip, now, cut));
                    let text = strip.unwrap_or_else(|| ABSENT.to_owned());
                    (text, theme.chart)
                }
                FIRST => (clock(s.first.wall, ctx.utc_offset_s), plain),
                PACKETS => (tally(s.counters.packets), plain),
                BYTES => (units::si_column(s.counters.payload_bytes as f64), plain),
                PROTOCOL => (units::or_dash(s.protocol().map(|p| p.name), str::to_owned), plain),
                PAYLOAD => {
                    let last = format::last_payload(g, s, p.width as usize);
                    (last.unwrap_or_else(|| ABSENT.to_owned()), theme.dim)
                }
                _ => continue,
            };
            self.grid.cell(buf, p, COLUMNS, y, &text, style);
        }
    }

    fn words(&self, g: &Group, at: &Shared, ctx: &Ctx<'_>) -> Words {
        let all = g.sources.len();
        let mut title = format!("Sources of {} on {}", spec(&g.membership), g.membership.iface);
        if at.filter.is_set() {
            title.push_str(&format!("  {} of {all} match", self.grid.rows().len()));
        }
        let live = g.sources.list().iter().take(SENDERS_TOLD).filter(|s| s.state == State::Live && !s.ours);
        let mut bottom = match live.count() {
            2 if g.has_feed() && all < SENDERS_TOLD => "A and B of one feed · 2 shows both".to_owned(),
            n @ 2.. if all < SENDERS_TOLD => format!("{n} senders on one group"),
            _ => String::new(),
        };
        if let Some(n) = g.notes.iter().find(|n| matches!(n, Note::SameStream { .. })) {
            bottom = n.text();
        } else if let Some((to, iface, _)) = g.notes.iter().find_map(Note::elsewhere) {
            bottom = format!("same stream on {to} {iface} · m marks A, then B");
        }
        if g.unattributed > 0 {
            bottom = format!("{} of sources that found no place", units::packets(g.unattributed));
        }
        if at.marked.is_some() {
            bottom = format!("A is marked · {} marks the selected stream as B", ctx.key(Cmd::Feed));
        }
        let selected = at.source.and_then(|from| g.sources.get(from));
        let bottom_right = selected.map_or_else(String::new, |s| {
            format!(
                "{}: {}  {}  for {}",
                s.endpoint,
                units::packets(s.counters.packets),
                units::bytes(s.counters.payload_bytes),
                units::duration_short(ctx.model.now().mono.since(s.first.mono))
            )
        });
        Words { title, right: self.grid.words(COLUMNS), bottom, bottom_right }
    }
}

struct Look<'a> {
    ctx: &'a Ctx<'a>,
    at: &'a mut Shared,
}

impl Pane for Sources {
    fn kind(&self) -> Kind {
        Kind::Sources
    }

    fn draw(&mut self, area: Rect, buf: &mut Buffer, focused: bool, at: &mut Shared, ctx: &Ctx<'_>) {
        let now = ctx.model.now().mono;
        let Some(g) = at.group(ctx) else {
            let words = Words { title: "Sources".into(), ..Words::default() };
            let inner = frame(area, buf, ctx.theme, focused, &words);
            return empty(buf, inner, &["select a group to see who sends to it".to_owned()], ctx.theme.dim);
        };
        let widest = g.sources.list().iter().take(64).map(|s| s.endpoint.to_string().len()).max();
        let source = (widest.unwrap_or(0) as u16).clamp(21, if area.width < 100 { 21 } else { 47 });
        let mut columns = COLUMNS.to_vec();
        columns[SOURCE].widths = Widths::Range(source, source);
        if at.zoomed && area.width >= WIDE {
            // The last minute takes the place of the gaps, which the stream's own view has.
            (columns[STRIP].rank, columns[STRIP].widths) = STRIP_ZOOMED;
            columns[HOST].rank = columns[STRIP].rank;
        }
        let inside = area.inner(ratatui::layout::Margin::new(1, 1));
        self.grid.lay(inside, &columns);
        self.order(at, g, ctx);
        let settled = self.grid.settled(self.selected(at, g));
        self.select(settled, at, ctx);
        let inner = frame(area, buf, ctx.theme, focused, &self.words(g, at, ctx));
        if self.grid.rows().is_empty() {
            let line = match g.state {
                _ if at.filter.is_set() && !g.sources.is_empty() => nothing_matches(at, ctx),
                State::Failed => {
                    format!("nothing can be heard: the join failed · {} tries again", ctx.key(Cmd::Retry))
                }
                State::Joining => "joining …".to_owned(),
                _ => format!(
                    "nobody has sent to this group since it was joined · {} sends a test message",
                    ctx.key(Cmd::SendTest)
                ),
            };
            return empty(buf, inner, &[line], ctx.theme.dim);
        }
        let window = self.grid.window(settled);
        let strip = self.grid.placed().iter().find(|p| p.column == STRIP);
        let cut = strip.map(|p| Scaling::cut(at.zoomed, p.width as usize, true));
        let list = g.sources.list();
        let highest = cut.map_or(0.0, |cut| {
            let details = window.iter().filter_map(|&(_, r)| list[r as usize].detail.as_ref());
            details.flat_map(|d| strip::cells(&d.strip, now, cut)).flatten().fold(0.0, f64::max)
        });
        let scaling = if at.zoomed { Scaling::Own } else { Scaling::Shared(strip::scale(highest)) };
        self.grid.draw_head(buf, &columns, ctx.theme, |p: &Placed| match p.column {
            STRIP => cut.map(|c| scaling.heading(c)),
            _ => None,
        });
        for (y, r) in window {
            self.row(buf, y, &list[r as usize], g, scaling, &mut Look { ctx, at });
            if settled == Some(r) {
                self.grid.mark(buf, y, focused, ctx.theme);
            }
        }
        at.filter.highlight(buf, inner, ctx.theme.matched);
    }

    fn command(&mut self, cmd: Cmd, at: &mut Shared, ctx: &Ctx<'_>) -> Reply {
        let Some(g) = at.group(ctx) else { return Reply::Ignored };
        if let Some(by) = movement(cmd, self.grid.height()) {
            let row = self.grid.moved(self.selected(at, g), by);
            self.select(row, at, ctx);
            return Reply::Done;
        }
        match cmd {
            Cmd::Open => Reply::Focus(Kind::Stream),
            _ if self.grid.sort_command(cmd) => Reply::Done,
            _ => Reply::Ignored,
        }
    }

    fn click(&mut self, x: u16, y: u16, at: &mut Shared, ctx: &Ctx<'_>) {
        if !self.grid.click_head(x, y) {
            self.select(self.grid.row_at(y), at, ctx);
        }
    }

    fn wheel(&mut self, lines: isize, at: &mut Shared, ctx: &Ctx<'_>) {
        let selected = at.group(ctx).and_then(|g| self.selected(at, g));
        self.select(self.grid.moved(selected, lines), at, ctx);
    }

    fn table(&mut self) -> Option<(&'static [Column], &mut Grid)> {
        Some((COLUMNS, &mut self.grid))
    }

    fn copy(&self, at: &Shared, _ctx: &Ctx<'_>) -> Option<String> {
        at.source.map(|s| s.to_string())
    }
}
