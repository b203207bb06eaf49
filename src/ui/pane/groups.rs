//! The groups table: a row for each membership.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use crate::base::group::{Membership, MembershipId, SourceFilter};
use crate::base::text::visible;
use crate::base::time::{Mono, SECOND_NS};
use crate::base::units::{self, ABSENT};
use crate::model::filter::group_passes;
use crate::model::group::{Group, JoinState};
use crate::model::source::State;
use crate::ui::forecast;
use crate::ui::format::{clip_middle, tally};
use crate::ui::keys::Cmd;
use crate::ui::layer::Ctx;
use crate::ui::pane::advice::{advice, advice_style, message};
use crate::ui::pane::{Kind, Pane, Reply, movement, nothing_matches};
use crate::ui::shared::Shared;
use crate::ui::theme::Theme;
use crate::ui::widget::frame::{Words, empty, frame, put, wrap};
use crate::ui::widget::strip::{self, Cut, Scaling};
use crate::ui::widget::table::{Column, Grid, Key, Placed, Widths};

const GROUP: usize = 0;
const PORT: usize = 1;
const IFACE: usize = 2;
const WHAT: usize = 3;
const SOURCES: usize = 4;
const PPS: usize = 5;
const BPS: usize = 6;
const STRIP: usize = 7;
const LAST: usize = 8;
const NET: usize = 9;
const SOCK: usize = 10;
const OURS: usize = 11;
const PACKETS: usize = 12;
const BYTES: usize = 13;
const IP_BPS: usize = 14;
const MISSED: usize = 15;

static COLUMNS: &[Column] = &[
    Column::text("GROUP", "group", 15, 15, 0),
    Column::number("PORT", "port", 5, 0),
    Column::text("IFACE", "interface", 6, 6, 2),
    Column::text("WHAT", "what", 16, 60, 1),
    Column::number("SRC", "sources", 3, 1),
    Column::number("PKT/S", "pkt/s", 6, 0),
    Column::number("BIT/S", "bit/s", 6, 1),
    Column::steps("60 s", "last minute", &[20, 30, 60], 3),
    Column::number("LAST", "last seen", 6, 6),
    Column::number("NET", "NET (lost)", 4, 4),
    Column::number("SOCK", "SOCK (socket drops)", 5, 7),
    Column::number("OURS", "OURS (not analysed)", 5, 8),
    Column::number("PACKETS", "packets", 7, 9),
    Column::number("BYTES", "bytes", 6, 10),
    Column::number("IP BIT/S", "bit/s with headers", 8, 11),
    Column::number("MISSED", "on the wire, not delivered", 6, 5),
];

/// Below this width interface and name share a column.
const NARROW: u16 = 100;
/// Figures that need a look at every source are kept this long.
const KEEP_NS: u64 = SECOND_NS / 4;
/// Rows that figures and states are remembered of.
const REMEMBERED: usize = 4_096;

#[derive(Clone, Copy)]
struct Figures {
    at: Mono,
    lost: Option<u64>,
    protocol: Option<&'static str>,
}

/// Which rows a table shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scope {
    /// All of them, joined or seen on the wire.
    All,
    /// The memberships on the selected interface.
    Joined,
    /// What is seen on its wire and not joined.
    Wire,
}

/// The pane.
pub struct Groups {
    grid: Grid,
    scope: Scope,
    figures: HashMap<MembershipId, Figures>,
    states: HashMap<MembershipId, (State, Mono)>,
}

impl Groups {
    /// All groups.
    pub fn all() -> Groups {
        Groups {
            grid: Grid::new(BPS, true),
            scope: Scope::All,
            figures: HashMap::new(),
            states: HashMap::new(),
        }
    }

    /// Those of the selected interface.
    pub fn of_iface() -> Groups {
        Groups { scope: Scope::Joined, ..Groups::all() }
    }

    /// Those that are on the wire of the selected interface, and not joined.
    pub fn of_wire() -> Groups {
        Groups { scope: Scope::Wire, ..Groups::all() }
    }

    fn shows(&self, g: &Group, at: &Shared) -> bool {
        let here = || at.iface.as_deref().is_none_or(|i| i == &*g.membership.iface);
        match self.scope {
            Scope::All => true,
            Scope::Joined => g.is_joined() && here(),
            Scope::Wire => !g.is_joined() && here(),
        }
    }

    fn figures(&mut self, g: &Group, now: Mono) -> Figures {
        if let Some(f) = self.figures.get(&g.id)
            && now >= f.at
            && now.since(f.at) < KEEP_NS
        {
            return *f;
        }
        let protocol = g.sources.busiest().and_then(|s| s.protocol()).map(|p| p.name);
        let f = Figures { at: now, lost: g.continuity().map(|c| c.lost), protocol };
        if self.figures.len() > REMEMBERED {
            // Rows that were left stay behind here otherwise.
            self.figures.clear();
        }
        self.figures.insert(g.id, f);
        f
    }

    fn key<'a>(&mut self, g: &'a Group, column: usize, now: Mono, missed: Option<u64>) -> Key<'a> {
        match column {
            GROUP => Key::endpoint(g.membership.endpoint()),
            PORT => Key::Num(f64::from(g.membership.port)),
            IFACE => Key::Text((&*g.membership.iface).into()),
            WHAT => match self.what(g, now) {
                t if t.is_empty() => Key::Absent,
                t => Key::Text(t.into()),
            },
            SOURCES => Key::Num(g.sources.len() as f64),
            PPS | STRIP => Key::num(g.rate(now).map(|r| r.packets_pps)),
            BPS => Key::num(g.rate(now).map(|r| r.payload_bps)),
            IP_BPS => Key::num(g.rate(now).map(|r| r.ip_bps)),
            LAST => Key::num(g.last.map(|l| l.mono.0 as f64)),
            NET => Key::num(self.figures(g, now).lost.map(|n| n as f64)),
            SOCK => Key::num(g.drops.socket_drops.map(|n| n as f64)),
            OURS => Key::Num(g.drops.not_analysed as f64),
            PACKETS => Key::Num(g.counters.packets as f64),
            BYTES => Key::Num(g.counters.payload_bytes as f64),
            MISSED => Key::num(missed.map(|n| n as f64)),
            _ => Key::Absent,
        }
    }

    /// What the group is: the registry's name, the protocol, how the membership is filtered.
    fn what(&mut self, g: &Group, now: Mono) -> String {
        let protocol = self.figures(g, now).protocol;
        let mut out = String::new();
        let mut add = |part: &str| {
            if !part.is_empty() {
                out.push_str(if out.is_empty() { "" } else { " · " });
                out.push_str(part);
            }
        };
        if g.responding {
            add("↩ answers");
        }
        let announced = g.announced.as_ref().filter(|n| !n.name.is_empty());
        add(&announced.map_or_else(String::new, |n| format!("“{}”", visible(&n.name, 60))));
        if let Some(vlan) = g.vlan {
            add(&format!("VLAN {vlan}"));
        }
        let label = g.label.as_deref().map(|l| visible(l, 60)).unwrap_or_default();
        add(&label);
        if let Some(p) = protocol
            && !label.to_lowercase().contains(&p.to_lowercase())
        {
            add(p);
        }
        match &g.membership.filter {
            SourceFilter::Any => {}
            SourceFilter::Include(list) if list.len() == 1 => add(&format!("only {}", list[0])),
            SourceFilter::Include(list) => add(&format!("only {} sources", list.len())),
            SourceFilter::Exclude(list) if list.len() == 1 => add(&format!("without {}", list[0])),
            SourceFilter::Exclude(list) => add(&format!("without {} sources", list.len())),
        }
        out
    }

    fn refresh_order(&mut self, at: &Shared, ctx: &Ctx<'_>) {
        let now = ctx.model.now().mono;
        let mut hash = DefaultHasher::new();
        at.filter.text().hash(&mut hash);
        if self.scope != Scope::All {
            at.iface.hash(&mut hash);
        }
        for g in ctx.model.rows() {
            g.id.hash(&mut hash);
        }
        let selected = at.group_id().map(|id| id.0);
        let mut grid = std::mem::replace(&mut self.grid, Grid::new(0, false));
        grid.order(now, hash.finish(), selected, |sort| {
            let shown: Vec<&Group> =
                ctx.model.rows().filter(|g| self.shows(g, at) && passes(g, at, ctx)).collect();
            let missed = |g: &Group| (sort == MISSED).then(|| missed(g, ctx)).flatten();
            shown.into_iter().map(|g| (self.key(g, sort, now, missed(g)), g.id.0)).collect::<Vec<_>>()
        });
        self.grid = grid;
    }

    fn row(&mut self, buf: &mut Buffer, columns: &[Column], y: u16, g: &Group, look: &Look<'_>) {
        let (ctx, now) = (look.ctx, look.ctx.model.now().mono);
        let theme = ctx.theme;
        let figures = self.figures(g, now);
        let what = forecast::before(g, self.what(g, now) + &filter_note(g, ctx), ctx);
        let rate = g.rate(now).filter(|_| g.state != State::Silent);
        let (style, sign) = sign(g, theme);
        let bad = |n: Option<u64>| if n.unwrap_or(0) > 0 { theme.bad } else { theme.dim };
        let plain = if matches!(g.state, State::Idle | State::Joining) { theme.idle } else { theme.text };
        if let Some(left) = self.grid.placed().first().map(|p| p.x) {
            put(buf, left - 2, y, 1, sign, style);
        }
        let placed = self.grid.placed().to_vec();
        let message = message(g, ctx);
        let room_right = placed.last().map_or(0, |p| p.x + p.width);
        for p in &placed {
            let (text, style) = match p.column {
                GROUP => (clip_middle(&g.membership.group.to_string(), p.width as usize).into_owned(), plain),
                PORT => (g.membership.port.to_string(), plain),
                IFACE => (g.membership.iface.to_string(), plain),
                WHAT if look.narrow && !look.one_iface => (join(&g.membership.iface, &what), plain),
                WHAT => (if what.is_empty() { ABSENT.to_owned() } else { what.clone() }, plain),
                // From here on a row without a membership has no figures: it says why instead.
                _ if matches!(g.state, State::Failed | State::Joining) => {
                    let room = (room_right - p.x) as usize;
                    put(buf, p.x + 1, y, room.saturating_sub(1), &message, style);
                    break;
                }
                // Without a packet there is neither strip nor loss to show: the hint has the room.
                SOURCES if g.state == State::Silent && g.last.is_none() => {
                    let room = (room_right - p.x) as usize;
                    put(
                        buf,
                        p.x + 1,
                        y,
                        room - 1,
                        &format!(
                            "{message} · {}: send a test · {}: network",
                            ctx.key(Cmd::SendTest),
                            ctx.key(Cmd::View('4'))
                        ),
                        style,
                    );
                    break;
                }
                SOURCES if g.state == State::Silent => {
                    let end = placed.iter().find(|q| q.column == STRIP).map_or(room_right, |q| q.x - 1);
                    let room = (end - p.x) as usize;
                    put(buf, p.x, y, room, &format!("{message:>room$}"), style);
                    continue;
                }
                PPS | BPS | IP_BPS if g.state == State::Silent => continue,
                SOURCES => (tally(g.sources.len() as u64), plain),
                PPS => (units::or_dash(rate.map(|r| r.packets_pps), figure), plain),
                BPS => (units::or_dash(rate.map(|r| r.payload_bps), figure), plain),
                IP_BPS => (units::or_dash(rate.map(|r| r.ip_bps), figure), plain),
                STRIP => {
                    let text = look.cut.zip(g.strip.as_ref()).map(|(cut, s)| look.scaling.text(s, now, cut));
                    (text.unwrap_or_default(), theme.chart)
                }
                LAST => {
                    let age = g.last.map(|l| units::age(now.since(l.mono)));
                    (units::or_dash(age, |a| a), plain)
                }
                NET => (units::or_dash(figures.lost, tally), bad(figures.lost)),
                SOCK => (units::or_dash(g.drops.socket_drops, tally), bad(g.drops.socket_drops)),
                OURS if !g.is_joined() => (ABSENT.to_owned(), theme.dim),
                OURS => (tally(g.drops.not_analysed), bad(Some(g.drops.not_analysed))),
                MISSED => {
                    let n = missed(g, ctx);
                    (units::or_dash(n, tally), bad(n))
                }
                PACKETS => (tally(g.counters.packets), plain),
                BYTES => (units::si_column(g.counters.payload_bytes as f64), plain),
                _ => continue,
            };
            self.grid.cell(buf, p, columns, y, &text, style);
        }
    }

    /// Whether a row changed its state within the last second.
    fn flashes(&mut self, g: &Group, now: Mono) -> bool {
        if self.states.len() > REMEMBERED {
            self.states.clear();
        }
        let seen = self.states.entry(g.id).or_insert((g.state, Mono(0)));
        if seen.0 != g.state {
            *seen = (g.state, now);
        }
        seen.1 > Mono(0) && now.since(seen.1) < SECOND_NS
    }

    fn select(&self, row: Option<u32>, at: &mut Shared) {
        if let Some(r) = row {
            at.select_group(Some(MembershipId(r)));
        }
    }

    fn words(&self, shown: usize, at: &Shared, ctx: &Ctx<'_>) -> Words {
        let all = ctx.model.rows().filter(|g| self.shows(g, at)).count();
        let mut title = match &at.iface {
            Some(i) if self.scope == Scope::Joined => format!("Watched on {i}"),
            Some(i) if self.scope == Scope::Wire => format!("On the wire of {i}, not joined"),
            _ => "Groups".to_owned(),
        };
        if at.filter.is_set() {
            title.push_str(&format!("  {shown} of {all} match “{}”", at.filter.text()));
        }
        let sum = |packets: u64, bytes: u64| format!("{}  {}", units::packets(packets), units::bytes(bytes));
        // Each datagram once: of a joined group as delivered, of another as seen on the wire.
        let whole = |joined: bool| {
            let rows = ctx.model.rows().filter(|g| g.is_joined() == joined && self.shows(g, at));
            rows.fold((0, 0), |t, g| (t.0 + g.counters.packets, t.1 + g.counters.payload_bytes))
        };
        let (joined, wire) = (whole(true), whole(false));
        let bottom = match self.scope {
            Scope::All if ctx.model.wire().depth().shows_groups() => {
                format!("joined: {}  ◇ only on the wire: {}", sum(joined.0, joined.1), sum(wire.0, wire.1))
            }
            Scope::Wire => super::wire::account(at, ctx),
            _ => format!("all: {}", sum(joined.0, joined.1)),
        };
        let bottom_right = at.group(ctx).filter(|g| self.shows(g, at)).map_or_else(String::new, |g| {
            format!("{}: {}", spec(&g.membership), sum(g.counters.packets, g.counters.payload_bytes))
        });
        Words { title, right: self.grid.words(COLUMNS), bottom, bottom_right }
    }
}

/// What a row needs beside itself.
struct Look<'a> {
    ctx: &'a Ctx<'a>,
    narrow: bool,
    /// All rows are on one interface: it need not be said in each.
    one_iface: bool,
    scaling: Scaling,
    cut: Option<Cut>,
}

fn figure(v: f64) -> String {
    units::si_column(v)
}

fn join(a: &str, b: &str) -> String {
    if b.is_empty() { a.to_owned() } else { format!("{a} {b}") }
}

/// Group and port as written.
pub fn spec(m: &Membership) -> String {
    m.endpoint().to_string()
}

/// The style and the sign of a row.
fn sign(g: &Group, theme: &Theme) -> (Style, &'static str) {
    match g.is_joined() {
        true => theme.state(g.state),
        false if g.state == State::Live => (theme.wire, "◇"),
        false => (theme.idle, "◇"),
    }
}

/// Datagrams that were seen on the wire of a joined row and not delivered to it.
fn missed(g: &Group, ctx: &Ctx<'_>) -> Option<u64> {
    ctx.model.compared(g.id).map(|c| c.not_delivered)
}

/// Beside a filter that the network is not told of, the version that is to blame.
fn filter_note(g: &Group, ctx: &Ctx<'_>) -> String {
    ctx.model.filter_untold(&g.membership).map_or_else(String::new, |u| format!(" ({}: only here)", u.name()))
}

fn passes(g: &Group, at: &Shared, ctx: &Ctx<'_>) -> bool {
    !at.filter.is_set() || group_passes(at.filter.expr(), g, &|ip| ctx.name(ip), ctx.model.now().mono)
}

impl Pane for Groups {
    fn kind(&self) -> Kind {
        if self.scope == Scope::Wire { Kind::Wire } else { Kind::Groups }
    }

    fn draw(&mut self, area: Rect, buf: &mut Buffer, focused: bool, at: &mut Shared, ctx: &Ctx<'_>) {
        let now = ctx.model.now().mono;
        let narrow = area.width < NARROW;
        // Only joining and leaving changes the width of the addresses.
        let widest = ctx.model.rows().map(|g| g.membership.group.to_string().len()).max().unwrap_or(0);
        let group = (widest as u16).clamp(11, if narrow { 15 } else { 39 });
        let mut columns = COLUMNS.to_vec();
        columns[GROUP].widths = Widths::Range(group, group);
        let faces = ctx.model.rows().map(|g| g.membership.iface.len()).max().unwrap_or(0);
        if narrow {
            columns[WHAT].widths = Widths::Range(8, 40);
        }
        // What a group is comes before how many packets it had.
        let rows: Vec<&Group> = ctx.model.rows().take(REMEMBERED / 64).collect();
        let what = rows.iter().map(|g| (self.what(g, now) + &filter_note(g, ctx)).width()).max().unwrap_or(0);
        if !narrow {
            columns[WHAT].widths = Widths::Range((what as u16).clamp(16, 30), 60);
        }
        let first = ctx.model.rows().next().map(|g| &g.membership.iface);
        let one_iface = ctx.model.rows().all(|g| Some(&g.membership.iface) == first);
        let iface = (faces as u16).clamp(5, 15);
        columns[IFACE].widths = Widths::Range(iface, iface);
        let hidden = self.grid.hidden.get();
        let tapped = ctx.model.wire().depth().shows_groups() && self.scope != Scope::Wire;
        let away = u64::from(narrow) << IFACE | u64::from(!tapped) << MISSED;
        self.grid.hidden.set(hidden | away);
        let selected = at.group_id().map(|id| id.0);
        let inner_of = |a: Rect| Rect {
            x: a.x + 1,
            y: a.y + 1,
            width: a.width.saturating_sub(2),
            height: a.height.saturating_sub(2),
        };
        self.grid.lay(inner_of(area), &columns);
        self.refresh_order(at, ctx);
        // Two tables side by side: the one with the other's row selected leaves it alone.
        let others = match self.scope {
            Scope::All => false,
            Scope::Joined => !focused && at.group(ctx).is_some_and(|g| !g.is_joined()),
            Scope::Wire => !focused,
        };
        let settled = if others { selected } else { self.grid.settled(selected) };
        if settled != selected {
            at.select_group(settled.map(MembershipId));
        }
        let shown = self.grid.rows().len();
        let inner = frame(area, buf, ctx.theme, focused, &self.words(shown, at, ctx));
        if shown == 0 {
            let lines = if at.filter.is_set() {
                vec![nothing_matches(at, ctx)]
            } else if self.scope == Scope::Joined {
                vec![format!("no group is joined here · {} joins one", ctx.key(Cmd::Join))]
            } else if self.scope == Scope::Wire {
                super::wire::quiet(at, ctx)
            } else {
                vec![
                    "no group is joined".to_owned(),
                    format!(
                        "{} joins one: 239.1.1.1:5004, [ff02::fb]:5353, or a name such as mdns",
                        ctx.key(Cmd::Join)
                    ),
                ]
            };
            self.grid.hidden.set(hidden);
            return empty(buf, inner, &lines, ctx.theme.dim);
        }
        // What a switch did to it explains its silence better than silence does.
        let foretold = |g| forecast::advice(g, ctx).map(|text| (text, ctx.theme.silent));
        let stands = |g: &Group| {
            let compared = ctx.model.compared(g.id);
            let style = match compared {
                Some(c) if c.not_delivered > 0 => ctx.theme.bad,
                _ => advice_style(g, ctx),
            };
            Some((advice(g, compared, ctx)?, style))
        };
        let shown_group = at.group(ctx).filter(|g| self.shows(g, at));
        // Its row has room for a word of it only.
        let untold = |g: &Group| {
            let found = ctx.model.filter_untold(&g.membership)?;
            Some((format!("source filter: {found}"), ctx.theme.silent))
        };
        let advice = shown_group.and_then(|g| foretold(g).or_else(|| stands(g)).or_else(|| untold(g)));
        let mut table = inner;
        if let Some((text, style)) = advice {
            let lines = wrap(&text, inner.width.saturating_sub(4) as usize);
            let n = lines.len().min(4).min(inner.height.saturating_sub(3) as usize);
            table.height -= n as u16;
            for (i, line) in lines[..n].iter().enumerate() {
                let x = inner.x + if i == 0 { 1 } else { 3 };
                put(buf, x, table.bottom() + i as u16, inner.width as usize - 3, line, style);
            }
        }
        self.grid.lay(table, &columns);
        self.grid.hidden.set(hidden);
        let window = self.grid.window(at.group_id().map(|id| id.0));
        let strip = self.grid.placed().iter().find(|p| p.column == STRIP);
        let cut = strip.map(|p| Scaling::cut(at.zoomed, p.width as usize, !narrow));
        let groups = || window.iter().filter_map(|&(y, r)| Some((y, ctx.model.group(MembershipId(r))?)));
        let highest = cut.map_or(0.0, |cut| {
            let strips = groups().filter_map(|(_, g)| g.strip.as_ref());
            strips.flat_map(|s| strip::cells(s, now, cut)).flatten().fold(0.0, f64::max)
        });
        let scaling = if at.zoomed { Scaling::Own } else { Scaling::Shared(strip::scale(highest)) };
        self.grid.draw_head(buf, &columns, ctx.theme, |p: &Placed| match p.column {
            STRIP => cut.map(|c| scaling.heading(c)),
            WHAT if narrow && !one_iface => Some("IFACE WHAT".into()),
            _ => None,
        });
        let look = Look { ctx, narrow, one_iface, scaling, cut };
        let listed: Vec<(u16, &Group)> = groups().collect();
        for (y, g) in listed {
            self.row(buf, &columns, y, g, &look);
            if at.group_id() == Some(g.id) {
                self.grid.mark(buf, y, focused, ctx.theme);
            }
            if self.flashes(g, now) {
                buf.set_style(Rect { y, height: 1, x: inner.x + 1, width: 2 }, ctx.theme.flash);
            }
        }
        at.filter.highlight(buf, table, ctx.theme.matched);
    }

    fn command(&mut self, cmd: Cmd, at: &mut Shared, ctx: &Ctx<'_>) -> Reply {
        if let Some(by) = movement(cmd, self.grid.height()) {
            let selected = at.group_id().map(|id| id.0);
            if by.unsigned_abs() > self.grid.height() {
                self.refresh_order(at, ctx);
            }
            self.select(self.grid.moved(selected, by), at);
            return Reply::Done;
        }
        match cmd {
            Cmd::Open => Reply::Focus(Kind::Sources),
            _ if self.grid.sort_command(cmd) => Reply::Done,
            _ => Reply::Ignored,
        }
    }

    fn click(&mut self, x: u16, y: u16, at: &mut Shared, _ctx: &Ctx<'_>) {
        if !self.grid.click_head(x, y) {
            self.select(self.grid.row_at(y), at);
        }
    }

    fn wheel(&mut self, lines: isize, at: &mut Shared, _ctx: &Ctx<'_>) {
        self.select(self.grid.moved(at.group_id().map(|id| id.0), lines), at);
    }

    fn table(&mut self) -> Option<(&'static [Column], &mut Grid)> {
        Some((COLUMNS, &mut self.grid))
    }

    fn copy(&self, at: &Shared, ctx: &Ctx<'_>) -> Option<String> {
        let g = at.group(ctx)?;
        match &g.join {
            JoinState::Failed { remedy: Some(r), .. } => Some(r.clone()),
            _ => Some(g.membership.to_string()),
        }
    }
}
