//! The groups joined on the selected interface: by this host, by which process, by others as far as
//! they were heard, and what is to be expected of them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr;

use crate::base::group::{Endpoint, SourceFilter};
use crate::base::registry::Registry;
use crate::base::units::{self, ABSENT};
use crate::model::filter::Interface;
use crate::model::memberships::host::HostGroup;
use crate::model::memberships::members::Member;
use crate::model::memberships::{Ear, Link};
use crate::ui::forecast;
use crate::ui::format::{clip_middle, tally};
use crate::ui::keys::Cmd;
use crate::ui::layer::Ctx;
use crate::ui::pane::ifaces::first;
use crate::ui::pane::{Choice, Kind, Pane, Reply, movement, nothing_matches};
use crate::ui::shared::Shared;
use crate::ui::widget::frame::{Words, empty, frame, put};
use crate::ui::widget::table::{Column, Grid, Key, Widths};

const GROUP: usize = 0;
const NAME: usize = 1;
const HERE: usize = 2;
const BY: usize = 3;
const FILTER: usize = 4;
const OTHERS: usize = 5;
const WHO: usize = 6;
const HEARD: usize = 7;
const EXPECT: usize = 8;

static COLUMNS: &[Column] = &[
    Column::text("GROUP", "group", 15, 39, 0),
    Column::text("WHAT", "name of the group", 20, 24, 7),
    Column::number("HERE", "joins on this host", 4, 0),
    Column::text("BY", "process of this host", 12, 40, 2),
    Column::text("SOURCES", "source filter of this host", 12, 40, 4),
    Column::number("OTHERS", "other members heard", 6, 1),
    Column::text("WHO", "other members", 18, 60, 6),
    Column::number("REPORT", "last report heard", 6, 3),
    Column::text("FORECAST", "forecast", 20, 34, 0),
];

/// Rows that the widths are measured of.
const FITTED: usize = 64;
/// Members named in a cell.
const NAMED: usize = 3;

/// A group of the interface, with all that is known of it.
struct Row<'a> {
    host: Option<&'a HostGroup>,
    members: &'a [Member],
}

impl Row<'_> {
    fn others(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|m| !m.ours)
    }

    fn last_report(&self) -> Option<crate::base::time::Mono> {
        self.members.iter().map(|m| m.last.mono).max()
    }
}

/// The pane.
pub struct Memberships {
    grid: Grid,
    groups: Vec<IpAddr>,
    selected: Option<IpAddr>,
}

impl Default for Memberships {
    fn default() -> Self {
        Memberships { grid: Grid::new(GROUP, false), groups: Vec::new(), selected: None }
    }
}

/// Who wants it besides this host: `10.0.0.2 v3, 10.0.0.7 v2 only 10.1.1.1 and 3 more`.
fn who(row: &Row<'_>) -> String {
    let mut out = Vec::new();
    for m in row.others().take(NAMED) {
        let address =
            if m.address.is_unspecified() { "(no address)".to_owned() } else { m.address.to_string() };
        let more = if m.filter_cut { " …" } else { "" };
        let list = |l: &[IpAddr]| l.iter().take(NAMED).map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let filter = match &m.filter {
            SourceFilter::Any => String::new(),
            SourceFilter::Include(l) => format!(" only {}{more}", list(l)),
            SourceFilter::Exclude(l) => format!(" not {}{more}", list(l)),
        };
        out.push(format!("{address} v{}{filter}", m.version));
    }
    match row.others().count().saturating_sub(NAMED) {
        0 => out.join(", "),
        n => format!("{} and {n} more", out.join(", ")),
    }
}

fn by(host: Option<&HostGroup>) -> String {
    let Some(h) = host else { return String::new() };
    match h.joined.held_by() {
        // The kernel itself, or a socket that is bound to neither the group nor a port known for it.
        none if none.is_empty() => ABSENT.to_owned(),
        some => some,
    }
}

fn label(group: IpAddr) -> String {
    let rows = Registry::builtin().at(group);
    let names: Vec<&str> = rows.map(|r| r.name.as_str()).take(1).collect();
    names.first().map_or_else(String::new, |n| (*n).to_owned())
}

impl Memberships {
    fn link<'a>(at: &Shared, ctx: &Ctx<'a>) -> Option<&'a Link> {
        ctx.model.memberships().link(at.iface.as_deref()?)
    }

    fn row<'a>(link: &'a Link, group: IpAddr) -> Row<'a> {
        Row { host: link.host.group(group), members: link.side(group).members.of(group) }
    }

    /// Other members heard; `None` where nobody can be.
    fn others(link: &Link, group: IpAddr) -> Option<u64> {
        let n = Self::row(link, group).others().count() as u64;
        (n > 0 || matches!(link.ear(group), Ear::Wire(_))).then_some(n)
    }

    fn collect(&mut self, link: Option<&Link>, at: &Shared) {
        self.groups.clear();
        let Some(link) = link else { return };
        self.groups.extend(link.host.groups().map(|g| g.joined.group));
        self.groups.extend([&link.igmp, &link.mld].iter().flat_map(|s| s.members.groups()).map(|(g, _)| g));
        self.groups.sort_unstable();
        self.groups.dedup();
        if at.filter.is_set() {
            self.groups.retain(|&g| {
                let row = Self::row(link, g);
                let words = format!("{g}\n{}\n{}\n{}", label(g), by(row.host), who(&row));
                at.filter.expr().passes(&Interface { name: &link.name, words: &words })
            });
        }
    }

    fn key(link: &Link, group: IpAddr, column: usize, ctx: &Ctx<'_>) -> Key<'static> {
        let row = Self::row(link, group);
        let text = |t: String| if t.is_empty() { Key::Absent } else { Key::Text(t.into()) };
        match column {
            GROUP => Key::endpoint(Endpoint { ip: group, port: 0 }),
            NAME => text(label(group)),
            HERE => Key::num(row.host.map(|h| f64::from(h.joined.users))),
            BY => text(by(row.host)),
            FILTER => text(row.host.map(|h| h.joined.filter_words()).unwrap_or_default()),
            OTHERS => Key::num(Self::others(link, group).map(|n| n as f64)),
            WHO => text(who(&row)),
            HEARD => Key::num(row.last_report().map(|m| m.0 as f64)),
            EXPECT => text(forecast::short(&link.forecast(group, ctx.model.now().mono), ctx)),
            _ => Key::Absent,
        }
    }

    fn draw_row(&self, buf: &mut Buffer, y: u16, link: &Link, group: IpAddr, ctx: &Ctx<'_>) {
        let (theme, now) = (ctx.theme, ctx.model.now().mono);
        let row = Self::row(link, group);
        let f = link.forecast(group, now);
        let plain = if row.host.is_some() { theme.text } else { theme.wire };
        let sign = if row.host.is_some() { ("●", theme.live) } else { ("◇", theme.wire) };
        put(buf, self.grid.placed().first().map_or(0, |p| p.x - 2), y, 1, sign.0, sign.1);
        for p in self.grid.placed() {
            let (text, style) = match p.column {
                GROUP => (clip_middle(&group.to_string(), p.width as usize).into_owned(), plain),
                NAME => (label(group), theme.dim),
                HERE => (units::or_dash(row.host.map(|h| h.joined.users), |n| n.to_string()), plain),
                BY => (by(row.host), theme.text),
                FILTER => match row.host.map(|h| h.joined.filter_words()) {
                    Some(f) if f.is_empty() => ("any".to_owned(), theme.dim),
                    Some(f) => (f, theme.text),
                    None => (ABSENT.to_owned(), theme.dim),
                },
                // Without ears nobody is heard, which is not the same as nobody being there.
                OTHERS => (units::or_dash(Self::others(link, group), tally), plain),
                WHO => (who(&row), plain),
                HEARD => (units::or_dash(row.last_report(), |at| units::age(now.since(at))), plain),
                EXPECT if row.host.is_some() => (forecast::short(&f, ctx), forecast::style(&f, theme)),
                EXPECT => ("not joined here".to_owned(), theme.dim),
                _ => continue,
            };
            self.grid.cell(buf, p, COLUMNS, y, &text, style);
        }
    }

    fn place(&self) -> Option<u32> {
        let selected = self.selected?;
        self.groups.iter().position(|g| *g == selected).map(|i| i as u32)
    }

    fn select(&mut self, place: Option<u32>) {
        if let Some(group) = place.and_then(|p| self.groups.get(p as usize)) {
            self.selected = Some(*group);
        }
    }

    /// Texts take the room that the longest of them needs.
    fn fit(&self, columns: &mut [Column], link: &Link, ctx: &Ctx<'_>) {
        let now = ctx.model.now().mono;
        let mut needs = [0usize; COLUMNS.len()];
        for &group in self.groups.iter().take(FITTED) {
            let row = Self::row(link, group);
            let texts = [
                (NAME, label(group)),
                (BY, by(row.host)),
                (FILTER, row.host.map(|h| h.joined.filter_words()).unwrap_or_default()),
                (WHO, who(&row)),
                (EXPECT, forecast::short(&link.forecast(group, now), ctx)),
            ];
            for (column, text) in texts {
                needs[column] = needs[column].max(text.width());
            }
        }
        for (column, need) in needs.into_iter().enumerate() {
            if let Widths::Range(least, most) = columns[column].widths
                && column != GROUP
            {
                columns[column].widths = Widths::Range(least, (need as u16).clamp(least, most));
            }
        }
    }

    /// What is not shown, and why.
    fn missing(link: &Link, ctx: &Ctx<'_>) -> String {
        let mut parts = Vec::new();
        match ctx.model.memberships().host {
            None => parts.push("what this host has joined is not known here".to_owned()),
            Some(h) => {
                if h.left_out > 0 {
                    parts.push(format!("{} groups are left out", units::count(h.left_out as u64)));
                }
                let hidden = |g: &HostGroup| g.joined.holders.iter().any(|h| h.process.is_none());
                if !h.sees_all_processes && link.host.groups().any(hidden) {
                    parts.push("processes of other users need CAP_SYS_PTRACE: sudo mcscope".to_owned());
                }
            }
        }
        let not_kept = link.igmp.members.not_kept + link.mld.members.not_kept;
        if not_kept > 0 {
            parts.push(format!("{} members more than are kept", units::count(not_kept)));
        }
        parts.join(" · ")
    }
}

/// The version that this host speaks on an interface, where it is known.
fn version(link: &Link) -> String {
    match (link.host.igmp_version, link.host.igmp_forced) {
        (Some(v), 0) if v < 3 => format!("IGMPv{v}: source filters do not reach the wire"),
        (Some(v), 0) => format!("IGMPv{v}"),
        (Some(v), _) => format!("IGMPv{v}, set by hand"),
        (None, _) => String::new(),
    }
}

impl Pane for Memberships {
    fn kind(&self) -> Kind {
        Kind::Memberships
    }

    fn draw(&mut self, area: Rect, buf: &mut Buffer, focused: bool, at: &mut Shared, ctx: &Ctx<'_>) {
        if at.iface.is_none() {
            at.iface = first(ctx);
        }
        let link = Self::link(at, ctx);
        self.collect(link, at);
        let mut columns = COLUMNS.to_vec();
        let widest = self.groups.iter().map(|g| g.to_string().len()).max().unwrap_or(0) as u16;
        let most = if area.width < 100 { 15 } else { 39 };
        columns[GROUP].widths = Widths::Range(widest.clamp(11, most), widest.clamp(11, most));
        let name = at.iface.clone().unwrap_or_else(|| Arc::from("no interface"));
        let words = Words {
            title: format!("Joined on {name}  {}", link.map(version).unwrap_or_default()),
            right: self.grid.words(COLUMNS),
            bottom: link.map(|l| Self::missing(l, ctx)).unwrap_or_default(),
            ..Words::default()
        };
        let inner = frame(area, buf, ctx.theme, focused, &words);
        let (Some(link), false) = (link, self.groups.is_empty()) else {
            let line = if at.filter.is_set() {
                nothing_matches(at)
            } else {
                "nothing is joined on this interface, and nobody was heard to: J joins a group".to_owned()
            };
            return empty(buf, inner, &[line], ctx.theme.dim);
        };
        self.fit(&mut columns, link, ctx);
        self.grid.lay(inner, &columns);
        let mut hash = DefaultHasher::new();
        (&name, &self.groups).hash(&mut hash);
        let (groups, place) = (&self.groups, self.place());
        self.grid.order(ctx.model.now().mono, hash.finish(), place, |sort| {
            groups.iter().zip(0u32..).map(|(g, i)| (Self::key(link, *g, sort, ctx), i)).collect::<Vec<_>>()
        });
        let settled = self.grid.settled(self.place());
        self.select(settled);
        self.grid.draw_head(buf, &columns, ctx.theme, |_| None);
        for (y, r) in self.grid.window(settled) {
            let Some(&group) = self.groups.get(r as usize) else { continue };
            self.draw_row(buf, y, link, group, ctx);
            if settled == Some(r) {
                self.grid.mark(buf, y, focused, ctx.theme);
            }
        }
        at.filter.highlight(buf, inner, ctx.theme.matched);
    }

    fn command(&mut self, cmd: Cmd, at: &mut Shared, ctx: &Ctx<'_>) -> Reply {
        if let Some(by) = movement(cmd, self.grid.height()) {
            self.select(self.grid.moved(self.place(), by));
            return Reply::Done;
        }
        match cmd {
            // The row of the group, where it is one that is watched.
            Cmd::Open => {
                let of = |g: &&crate::model::group::Group| {
                    Some(g.membership.group) == self.selected
                        && Some(&g.membership.iface) == at.iface.as_ref()
                };
                let Some(id) = ctx.model.groups().find(of).map(|g| g.id) else {
                    at.message = Some("mcscope does not watch this group: J joins it".to_owned());
                    return Reply::Done;
                };
                at.select_group(Some(id));
                Reply::Focus(Kind::Sources)
            }
            _ if self.grid.sort_command(cmd) => Reply::Done,
            _ => Reply::Ignored,
        }
    }

    fn click(&mut self, x: u16, y: u16, _at: &mut Shared, _ctx: &Ctx<'_>) {
        if !self.grid.click_head(x, y) {
            self.select(self.grid.row_at(y));
        }
    }

    fn wheel(&mut self, lines: isize, _at: &mut Shared, _ctx: &Ctx<'_>) {
        self.select(self.grid.moved(self.place(), lines));
    }

    fn choice(&self) -> Option<Choice> {
        Some(Choice { columns: COLUMNS, hidden: self.grid.hidden.clone() })
    }

    fn copy(&self, at: &Shared, ctx: &Ctx<'_>) -> Option<String> {
        let (link, group) = (Self::link(at, ctx)?, self.selected?);
        let row = Self::row(link, group);
        let f = forecast::short(&link.forecast(group, ctx.model.now().mono), ctx);
        Some(format!(
            "{group} on {}: {} here, {}; {}; {f}",
            link.name,
            row.host.map_or(0, |h| h.joined.users),
            by(row.host),
            who(&row)
        ))
    }
}
