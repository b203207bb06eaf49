//! The queriers of each interface, and what follows from them for the groups of this host.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::base::group::Endpoint;
use crate::base::text::visible;
use crate::base::time::{Mono, SECOND_NS};
use crate::base::units;
use crate::model::filter::Interface;
use crate::model::memberships::forecast::Forecast;
use crate::model::memberships::queriers::Querier;
use crate::model::memberships::{Ear, Link};
use crate::model::seen::TapState;
use crate::ui::format::{clip_middle, tally};
use crate::ui::keys::Cmd;
use crate::ui::layer::Ctx;
use crate::ui::pane::{Choice, Kind, Pane, Reply, movement, nothing_matches};
use crate::ui::shared::Shared;
use crate::ui::widget::frame::{Words, empty, frame, put};
use crate::ui::widget::table::{Column, Grid, Key, Widths};

const IFACE: usize = 0;
const PROTOCOL: usize = 1;
const QUERIER: usize = 2;
const LAST: usize = 3;
const EVERY: usize = 4;
const WITHIN: usize = 5;
const LIFETIME: usize = 6;
const QUERIES: usize = 7;
const STANDING: usize = 8;

static COLUMNS: &[Column] = &[
    Column::text("IFACE", "interface", 5, 15, 0),
    Column::text("PROTO", "protocol and version", 6, 6, 0),
    Column::text("QUERIER", "querier", 11, 39, 0),
    Column::number("LAST", "last query", 6, 1),
    Column::number("EVERY", "time between queries", 6, 2),
    Column::number("WITHIN", "time to answer", 6, 4),
    Column::number("LIFE", "membership lifetime", 6, 3),
    Column::number("QUERIES", "queries heard", 7, 5),
    Column::text("STANDING", "standing", 28, 90, 0),
];

/// A row: a querier, or a family of an interface without one.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Row {
    iface: Arc<str>,
    v4: bool,
    querier: Option<IpAddr>,
}

/// Stands for a family where there is no address.
fn family(v4: bool) -> IpAddr {
    if v4 { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

/// The pane.
pub struct Queriers {
    grid: Grid,
    rows: Vec<Row>,
    selected: Option<Row>,
}

impl Default for Queriers {
    fn default() -> Self {
        Queriers { grid: Grid::new(IFACE, false), rows: Vec::new(), selected: None }
    }
}

/// How many groups of an interface and family will be cut, and the first of these moments.
fn cuts(link: &Link, v4: bool, now: Mono) -> (usize, Option<Mono>) {
    let mine = link.host.groups().map(|g| g.joined.group).filter(|g| g.is_ipv4() == v4);
    let at = mine.filter_map(|g| match link.forecast(g, now) {
        Forecast::Cut(cut) => cut.at.filter(|at| *at > now),
        _ => None,
    });
    at.fold((0, None), |(n, first), at| (n + 1, Some(first.map_or(at, |f: Mono| f.min(at)))))
}

/// Why the queries of an interface are not heard.
fn deaf(link: &Link, ctx: &Ctx<'_>) -> String {
    let wire = ctx.model.wire();
    match (wire.refused(), wire.iface(&link.name).map(|t| &t.state)) {
        (_, Some(TapState::Failed { error, .. })) => visible(error, 200),
        (Some((error, _)), _) => visible(error, 200),
        _ => "the tap is off".to_owned(),
    }
}

fn standing(link: &Link, row: &Row, q: Option<&Querier>, ctx: &Ctx<'_>) -> (String, Style) {
    let (now, theme) = (ctx.model.now().mono, ctx.theme);
    let like = family(row.v4);
    let whole = |ns: u64| units::duration(ns / SECOND_NS * SECOND_NS);
    let cut = match cuts(link, row.v4, now) {
        (0, _) | (_, None) => String::new(),
        (n, Some(at)) => {
            let at = crate::ui::format::clock(at.to_wall(ctx.model.now().offset_ns()), ctx.utc_offset_s);
            format!(" · {n} {} cut from {at}", if n == 1 { "group" } else { "groups" })
        }
    };
    if let Some(q) = q {
        let elected = link.side(like).queriers.elected(now).map(|e| e.address);
        let quiet = now.since(q.last.mono);
        return if !q.is_present(now) {
            (format!("gone{cut}"), theme.silent)
        } else if elected == Some(q.address) && quiet > q.timers.overdue_ns() {
            (format!("overdue{cut}"), theme.silent)
        } else if elected == Some(q.address) && q.address.is_unspecified() {
            ("asks without an address".to_owned(), theme.text)
        } else if elected == Some(q.address) {
            ("elected".to_owned(), theme.live)
        } else if now.since(q.first.mono) > q.timers.other_querier_ns() {
            ("asks on beside the elected one".to_owned(), theme.silent)
        } else {
            ("not elected: higher address".to_owned(), theme.dim)
        };
    }
    match link.ear(like) {
        Ear::Deaf => (format!("cannot be heard: {}", deaf(link, ctx)), theme.dim),
        ear => {
            let since = ear.since().map_or(now, |s| s.mono);
            let asked = link.last_asked(like).map(|a| a.mono);
            let overdue = link.timers(like, now).overdue_ns();
            let quiet = now.since(asked.unwrap_or(since));
            if asked.is_some() && quiet <= overdue {
                return ("somebody asks: the kernel counted it".to_owned(), theme.live);
            }
            if quiet <= overdue {
                let left = since.plus(overdue).since(now) + SECOND_NS - 1;
                return (format!("none yet · known in {}", whole(left)), theme.dim);
            }
            (format!("no querier for {}{cut}", whole(quiet)), theme.silent)
        }
    }
}

impl Queriers {
    fn collect(&mut self, at: &Shared, ctx: &Ctx<'_>) {
        self.rows.clear();
        for link in ctx.model.memberships().links() {
            let iface = ctx.model.iface(&link.name).map(|i| &i.iface);
            let plays = iface.is_some_and(|i| i.up && i.candidate().is_ok())
                || ctx.model.groups().any(|g| g.membership.iface == link.name && !link.is_loopback());
            for v4 in [true, false] {
                let list = link.side(family(v4)).queriers.list();
                let row = |querier| Row { iface: link.name.clone(), v4, querier };
                let joined = || link.host.groups().any(|g| g.joined.group.is_ipv4() == v4);
                if list.is_empty() && plays && (joined() || ctx.model.memberships().host.is_none()) {
                    self.rows.push(row(None));
                }
                self.rows.extend(list.iter().map(|q| row(Some(q.address))));
            }
        }
        if at.filter.is_set() {
            self.rows.retain(|r| {
                let q = r.querier.map(|q| q.to_string()).unwrap_or_default();
                let words = format!("{}\n{}\n{q}", r.iface, if r.v4 { "IGMP" } else { "MLD" });
                at.filter.expr().passes(&Interface { name: &r.iface, words: &words })
            });
        }
    }

    fn get<'a>(row: &Row, ctx: &Ctx<'a>) -> Option<(&'a Link, Option<&'a Querier>)> {
        let link = ctx.model.memberships().link(&row.iface)?;
        let list = link.side(family(row.v4)).queriers.list();
        Some((link, row.querier.and_then(|a| list.iter().find(|q| q.address == a))))
    }

    fn key<'a>(row: &'a Row, column: usize, ctx: &Ctx<'_>) -> Key<'a> {
        let q = Self::get(row, ctx).and_then(|(_, q)| q);
        match column {
            IFACE => Key::Text(format!("{} {}", row.iface, !row.v4).into()),
            PROTOCOL => Key::Num(q.map_or(0.0, |q| f64::from(q.version)) + if row.v4 { 0.0 } else { 10.0 }),
            QUERIER => row.querier.map_or(Key::Absent, |ip| Key::endpoint(Endpoint { ip, port: 0 })),
            LAST => Key::num(q.map(|q| q.last.mono.0 as f64)),
            EVERY => Key::num(q.and_then(|q| q.interval_ns()).map(|n| n as f64)),
            WITHIN => Key::num(q.map(|q| q.timers.response_ns as f64)),
            LIFETIME => Key::num(q.map(|q| q.timers.membership_ns() as f64)),
            QUERIES => Key::num(q.map(|q| (q.general + q.specific) as f64)),
            _ => Key::Absent,
        }
    }

    fn draw_row(&self, buf: &mut Buffer, y: u16, row: &Row, ctx: &Ctx<'_>) {
        let Some((link, q)) = Self::get(row, ctx) else { return };
        let (theme, now) = (ctx.theme, ctx.model.now().mono);
        let (words, style) = standing(link, row, q, ctx);
        let protocol = match (row.v4, q, link.host.igmp_version) {
            (true, Some(q), _) => format!("IGMPv{}", q.version),
            (false, Some(q), _) => format!("MLDv{}", q.version),
            // The version in force says that an older querier was heard.
            (true, None, Some(v)) if v < 3 => format!("IGMPv{v}"),
            (true, None, _) => "IGMP".to_owned(),
            (false, None, _) => "MLD".to_owned(),
        };
        let short = |ns: Option<u64>| units::or_dash(ns, |n| units::duration_short(n).trim().to_owned());
        let last = q.map(|q| q.last).or_else(|| link.last_asked(family(row.v4)));
        put(buf, self.grid.placed().first().map_or(0, |p| p.x - 2), y, 1, "?", style);
        for p in self.grid.placed() {
            let (text, style) = match p.column {
                IFACE => (row.iface.to_string(), theme.text),
                PROTOCOL => (protocol.clone(), theme.text),
                QUERIER => {
                    let address = row.querier.map(|q| q.to_string());
                    (units::or_dash(address, |a| clip_middle(&a, p.width as usize).into_owned()), theme.text)
                }
                LAST => (units::or_dash(last, |at| units::age(now.since(at.mono))), theme.text),
                EVERY => (short(q.and_then(|q| q.interval_ns())), theme.text),
                WITHIN => (short(q.map(|q| q.timers.response_ns)), theme.text),
                LIFETIME => (short(q.map(|q| q.timers.membership_ns())), theme.text),
                QUERIES => (units::or_dash(q.map(|q| q.general + q.specific), tally), theme.text),
                STANDING => (words.clone(), style),
                _ => continue,
            };
            self.grid.cell(buf, p, COLUMNS, y, &text, style);
        }
    }

    fn place(&self) -> Option<u32> {
        let selected = self.selected.as_ref()?;
        self.rows.iter().position(|r| r == selected).map(|i| i as u32)
    }

    fn select(&mut self, place: Option<u32>, at: &mut Shared) {
        if let Some(row) = place.and_then(|p| self.rows.get(p as usize)) {
            at.iface = Some(row.iface.clone());
            self.selected = Some(row.clone());
        }
    }
}

impl Pane for Queriers {
    fn kind(&self) -> Kind {
        Kind::Queriers
    }

    fn draw(&mut self, area: Rect, buf: &mut Buffer, focused: bool, at: &mut Shared, ctx: &Ctx<'_>) {
        self.collect(at, ctx);
        let mut columns = COLUMNS.to_vec();
        let longest = |f: &dyn Fn(&Row) -> usize| self.rows.iter().map(f).max().unwrap_or(0) as u16;
        let iface = longest(&|r| r.iface.len()).clamp(5, 15);
        columns[IFACE].widths = Widths::Range(iface, iface);
        let querier = longest(&|r| r.querier.map_or(0, |q| q.to_string().len()))
            .clamp(8, if area.width < 100 { 15 } else { 39 });
        columns[QUERIER].widths = Widths::Range(querier, querier);
        self.grid.lay(area.inner(ratatui::layout::Margin::new(1, 1)), &columns);
        let mut hash = DefaultHasher::new();
        self.rows.hash(&mut hash);
        let rows = &self.rows;
        self.grid.order(
            ctx.model.now().mono,
            hash.finish(),
            self.selected.as_ref().and_then(|s| rows.iter().position(|r| r == s)).map(|i| i as u32),
            |sort| rows.iter().zip(0u32..).map(|(r, i)| (Self::key(r, sort, ctx), i)).collect::<Vec<_>>(),
        );
        let heard = |r: &Row| {
            r.v4 && ctx.model.memberships().link(&r.iface).is_some_and(|l| l.ear(family(true)) != Ear::Deaf)
        };
        let remedy = ctx.model.wire().refused().and_then(|(_, remedy)| remedy);
        let remedy = remedy.filter(|_| !self.rows.iter().any(heard)).unwrap_or_default().to_owned();
        let words = Words {
            title: "Queriers and what they mean for this host's groups".into(),
            right: self.grid.words(COLUMNS),
            bottom: remedy,
            ..Words::default()
        };
        let inner = frame(area, buf, ctx.theme, focused, &words);
        if self.rows.is_empty() {
            let line = if at.filter.is_set() {
                nothing_matches(at)
            } else {
                "no interface has joined a group: J joins one".to_owned()
            };
            return empty(buf, inner, &[line], ctx.theme.dim);
        }
        let settled = self.grid.settled(self.place());
        if focused {
            self.select(settled, at);
        }
        self.grid.draw_head(buf, &columns, ctx.theme, |_| None);
        for (y, r) in self.grid.window(settled) {
            let Some(row) = self.rows.get(r as usize) else { continue };
            self.draw_row(buf, y, row, ctx);
            if settled == Some(r) && focused {
                self.grid.mark(buf, y, focused, ctx.theme);
            }
        }
        at.filter.highlight(buf, inner, ctx.theme.matched);
    }

    fn command(&mut self, cmd: Cmd, at: &mut Shared, _ctx: &Ctx<'_>) -> Reply {
        if let Some(by) = movement(cmd, self.grid.height()) {
            self.select(self.grid.moved(self.place(), by), at);
            return Reply::Done;
        }
        match cmd {
            Cmd::Open => Reply::Focus(Kind::Memberships),
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
        self.select(self.grid.moved(self.place(), lines), at);
    }

    fn choice(&self) -> Option<Choice> {
        Some(Choice { columns: COLUMNS, hidden: self.grid.hidden.clone() })
    }

    fn copy(&self, _at: &Shared, ctx: &Ctx<'_>) -> Option<String> {
        let row = self.rows.get(self.place()? as usize)?;
        let (link, q) = Self::get(row, ctx)?;
        let who = row.querier.map_or_else(|| "no querier".to_owned(), |q| q.to_string());
        Some(format!(
            "{} {} {who}: {}",
            row.iface,
            if row.v4 { "IGMP" } else { "MLD" },
            standing(link, row, q, ctx).0
        ))
    }
}
