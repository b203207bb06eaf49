//! What becomes an event: queries, joins and leaves on the wire and on this host, queriers that come, go
//! or change, forecasts and what came of them.
//!
//! A timeline, not a flood: queries of an interface are told every [`QUERY_EVERY_NS`] at most with the
//! number of those between, what hosts change within a second is one line a host, and the answers to a
//! query are one line in all.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::base::time::{Mono, Now, SECOND_NS, Wall};
use crate::base::units;
use crate::model::Model;
use crate::model::event::{Event, EventKind};
use crate::model::memberships::Side;
use crate::model::memberships::forecast::{CutWhy, Outcome, Step};
use crate::model::memberships::host::HostChange;
use crate::model::memberships::members::{Report, Said};
use crate::model::memberships::queriers::Change;
use crate::model::source::Stamp;
use crate::wire::igmp::Query;

/// Queries of one interface and family are told this often at most, in ns.
const QUERY_EVERY_NS: u64 = 10 * SECOND_NS;
/// Changes are collected for this long, in ns.
const COLLECT_NS: u64 = SECOND_NS;
/// Hosts whose changes are told one by one, of what was collected.
const HOSTS_TOLD: usize = 8;
/// Groups that one line names.
const GROUPS_TOLD: usize = 4;

/// Something about a querier that a person should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum QuerierNews {
    Appeared { who: IpAddr, version: u8, beside: Option<IpAddr>, elected: Option<IpAddr> },
    Version { who: IpAddr, was: u8, is: u8 },
}

/// The protocol's name with its version.
pub(super) fn protocol(like: IpAddr, version: u8) -> String {
    format!("{}v{version}", family(like))
}

/// The protocol's name.
pub(super) fn family(like: IpAddr) -> &'static str {
    if like.is_ipv4() { "IGMP" } else { "MLD" }
}

/// A querier's address; some switches have none.
fn name(who: IpAddr) -> String {
    if who.is_unspecified() { "a switch without an address".to_owned() } else { who.to_string() }
}

impl QuerierNews {
    pub fn of(change: Change, who: IpAddr, version: u8, elected: Option<IpAddr>) -> Option<QuerierNews> {
        match change {
            Change::None => None,
            Change::Appeared { beside } => Some(QuerierNews::Appeared { who, version, beside, elected }),
            Change::Version { was } => Some(QuerierNews::Version { who, was, is: version }),
        }
    }
}

impl fmt::Display for QuerierNews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            QuerierNews::Appeared { who, version, beside, elected } => {
                write!(f, "{} asks as {} querier", name(who), protocol(who, version))?;
                match (beside, elected) {
                    (Some(other), Some(winner)) => {
                        write!(f, " beside {}: ", name(other))?;
                        if winner.is_unspecified() {
                            f.write_str("neither has an address")
                        } else {
                            write!(f, "{winner} is elected, the lowest address")
                        }
                    }
                    _ => Ok(()),
                }
            }
            QuerierNews::Version { who, was, is } => {
                write!(
                    f,
                    "querier {} asks in {} now, {} before",
                    name(who),
                    protocol(who, is),
                    protocol(who, was)
                )?;
                let useless = is < if who.is_ipv4() { 3 } else { 2 };
                if useless { f.write_str(": source filters do not reach the wire") } else { Ok(()) }
            }
        }
    }
}

/// What one host changed.
#[derive(Clone, Debug)]
struct Changes {
    who: IpAddr,
    ours: bool,
    version: u8,
    parts: Vec<String>,
    more: usize,
}

/// What waits to be told of one interface and family.
#[derive(Clone, Debug, Default)]
pub struct Pending {
    /// Queries to be told, with their texts; of each kind one at most between two turns of the rate.
    queries: Vec<(Wall, String)>,
    /// Of general queries, and of those for one group.
    query_told_at: [Option<Mono>; 2],
    queries_between: [u32; 2],
    /// The general query whose answers are counted, until when.
    answers: Option<(Stamp, Mono)>,
    /// Reports are answers until then: to the last query, told or not.
    answers_until: Option<Mono>,
    changes: Vec<Changes>,
    changed_at: Option<Stamp>,
    changes_more: usize,
}

impl Pending {
    /// Whether a general query may still be answered.
    pub(super) fn is_asked(&self, now: Mono) -> bool {
        self.answers_until.is_some_and(|until| now <= until)
    }

    pub(super) fn query<A: fmt::Display>(&mut self, from: IpAddr, q: &Query<A>, at: Stamp) {
        let response_ns = u64::from(q.max_response_ms) * 1_000_000;
        self.answers_until = Some(at.mono.plus(response_ns + COLLECT_NS));
        let kind = usize::from(q.group.is_some());
        if self.query_told_at[kind].is_some_and(|told| at.mono.since(told) < QUERY_EVERY_NS) {
            self.queries_between[kind] += 1;
            return;
        }
        let mut text = format!("{} query by {}", protocol(from, q.version), name(from));
        match &q.group {
            Some(group) => text.push_str(&format!(" for {group}")),
            None => text.push_str(" for all groups"),
        }
        if !q.sources.is_empty() {
            text.push_str(", ");
            text.push_str(&units::counted(q.sources.len() as u64, "source", "sources"));
        }
        text.push_str(&format!(", {} to answer", units::duration(response_ns)));
        if let Some(t) = q.newest {
            text.push_str(&format!(", every {} s, robustness {}", t.interval_s, t.robustness));
        }
        match std::mem::take(&mut self.queries_between[kind]) {
            0 => {}
            n => text.push_str(&format!("; {n} more since the last told")),
        }
        self.query_told_at[kind] = Some(at.mono);
        self.queries.push((at.wall, text));
        if q.group.is_none() && self.answers.is_none() {
            self.answers = self.answers_until.map(|until| (at, until));
        }
    }

    pub(super) fn report(&mut self, r: &Report<'_>, said: Said) {
        let part = match said {
            Said::Again => return,
            Said::Joined => format!("joined {}{}", r.group, with(r, true)),
            Said::Left => format!("left {}", r.group),
            Said::Filter => format!("changed {}{}", r.group, with(r, false)),
        };
        self.changed_at.get_or_insert(r.at);
        let full = self.changes.len() >= HOSTS_TOLD;
        let known = self.changes.iter_mut().find(|c| c.who == r.from && c.ours == r.ours);
        match known {
            Some(c) if c.parts.len() < GROUPS_TOLD => c.parts.push(part),
            Some(c) => c.more += 1,
            None if !full => self.changes.push(Changes {
                who: r.from,
                ours: r.ours,
                version: r.version,
                parts: vec![part],
                more: 0,
            }),
            None => self.changes_more += 1,
        }
    }

    /// Takes what is due at `now`.
    fn due(
        &mut self,
        now: Mono,
        answered: impl Fn(Stamp) -> (usize, usize),
    ) -> Vec<(EventKind, Wall, String)> {
        let mut out = Vec::new();
        for (at, text) in std::mem::take(&mut self.queries) {
            out.push((EventKind::Query, at, text));
        }
        if let Some((asked, until)) = self.answers
            && now >= until
        {
            self.answers = None;
            let wall = Wall(asked.wall.0.saturating_add(until.since(asked.mono) as i64));
            let text = match answered(asked) {
                (0, _) => "no report was heard in answer to the query".to_owned(),
                (hosts, groups) => format!(
                    "{} heard in answer to the query, for {}",
                    units::counted(hosts as u64, "host", "hosts"),
                    units::counted(groups as u64, "group", "groups")
                ),
            };
            out.push((EventKind::Report, wall, text));
        }
        if let Some(since) = self.changed_at
            && now.since(since.mono) >= COLLECT_NS
        {
            self.changed_at = None;
            for c in std::mem::take(&mut self.changes) {
                let who = match (c.ours, c.who.is_unspecified()) {
                    (true, _) => "this host".to_owned(),
                    (false, true) => "a host without an address".to_owned(),
                    (false, false) => c.who.to_string(),
                };
                let mut text = format!("{who} {}", c.parts.join(", "));
                if c.more > 0 {
                    text.push_str(&format!(" and {} more", c.more));
                }
                text.push_str(&format!(" ({})", protocol(c.who, c.version)));
                out.push((EventKind::Report, since.wall, text));
            }
            match std::mem::take(&mut self.changes_more) {
                0 => {}
                n => {
                    let text =
                        units::counted(n as u64, "more change by other hosts", "more changes by other hosts");
                    out.push((EventKind::Report, since.wall, text));
                }
            }
        }
        out
    }
}

/// The sources of a report, in words.
fn with(r: &Report<'_>, new: bool) -> String {
    use crate::wire::igmp::RecordKind::{Allow, Block, IsExclude, IsInclude, ToExclude, ToInclude};
    let word = match r.kind {
        IsInclude | ToInclude => "only",
        Allow if new => "only",
        Allow => "and",
        IsExclude | ToExclude => "without",
        Block => "no longer",
        _ => return String::new(),
    };
    match r.sources {
        [] => String::new(),
        [one] => format!(" {word} {one}"),
        [one, rest @ ..] => format!(" {word} {one} and {} more sources", rest.len()),
    }
}

/// Some groups by name, the others by number: `239.1.1.1, 239.1.1.2 and 7 more`.
fn groups(list: &[IpAddr]) -> String {
    let named: Vec<String> = list.iter().take(GROUPS_TOLD).map(ToString::to_string).collect();
    match list.len().saturating_sub(GROUPS_TOLD) {
        0 => named.join(", "),
        n => format!("{} and {n} more", named.join(", ")),
    }
}

impl Model {
    /// An event about an interface, or about the one row that is meant.
    fn tell(&mut self, kind: EventKind, iface: &Arc<str>, about: &[IpAddr], at: Wall, text: String) {
        let row = match about {
            [one] => self
                .groups()
                .find(|g| g.membership.group == *one && g.membership.iface == *iface)
                .map(|g| g.membership.clone()),
            _ => None,
        };
        self.events.push(Event {
            number: 0,
            time: at,
            kind,
            membership: row,
            source: None,
            iface: Some(iface.clone()),
            text,
        });
    }

    pub(super) fn tell_querier(&mut self, iface: &Arc<str>, news: QuerierNews, at: Stamp) {
        self.tell(EventKind::Querier, iface, &[], at.wall, format!("{iface}: {news}"));
    }

    pub(super) fn tell_pending(&mut self, now: Now) {
        let mut out = Vec::new();
        for link in self.memberships.links.values_mut() {
            for side in [&mut link.igmp, &mut link.mld] {
                let Side { pending, members, .. } = side;
                let answered = |asked: Stamp| {
                    let mut hosts = std::collections::BTreeSet::new();
                    let mut count = 0;
                    for (_, list) in members.groups() {
                        let answers = list.iter().filter(|m| m.last.mono >= asked.mono);
                        let before = hosts.len();
                        let any = answers.map(|m| hosts.insert((m.address, m.ours))).count() > 0;
                        count += usize::from(any || hosts.len() > before);
                    }
                    (hosts.len(), count)
                };
                for (kind, at, text) in pending.due(now.mono, answered) {
                    out.push((link.name.clone(), kind, at, text));
                }
            }
        }
        for (iface, kind, at, text) in out {
            self.tell(kind, &iface, &[], at, format!("{iface}: {text}"));
        }
    }

    pub(super) fn tell_host(&mut self, iface: &Arc<str>, changes: Vec<HostChange>, at: Stamp) {
        let (mut joined, mut left) = (Vec::new(), Vec::new());
        for change in changes {
            match change {
                HostChange::Joined(g) => joined.push((g.group, g.held_by())),
                HostChange::Left(group) => left.push(group),
                HostChange::Version { was, is } => {
                    let why = match is {
                        3 => "no older querier is heard any more, or it was set by hand",
                        _ => {
                            "a querier of that version was heard, or it was set by hand; source filters do not reach the wire"
                        }
                    };
                    let text = format!("{iface}: this host speaks IGMPv{is} now, IGMPv{was} before: {why}");
                    self.tell(EventKind::Querier, iface, &[], at.wall, text);
                }
            }
        }
        if !joined.is_empty() {
            let holders: Vec<&str> =
                joined.iter().map(|(_, by)| by.as_str()).filter(|b| !b.is_empty()).collect();
            let by = holders.first().map_or_else(
                || "another program on this host".to_owned(),
                |first| {
                    if holders.iter().all(|h| h == first) {
                        (*first).to_owned()
                    } else {
                        "other programs on this host".to_owned()
                    }
                },
            );
            let list: Vec<IpAddr> = joined.iter().map(|(g, _)| *g).collect();
            let text = format!("{iface}: {by} joined {}", groups(&list));
            self.tell(EventKind::HostMembership, iface, &list, at.wall, text);
        }
        if !left.is_empty() {
            let text = format!("{iface}: nobody on this host has joined {} any more", groups(&left));
            self.tell(EventKind::HostMembership, iface, &left, at.wall, text);
        }
    }

    pub(super) fn tell_gone_queriers(&mut self, now: Now) {
        let mut out = Vec::new();
        for link in self.memberships.links.values_mut() {
            // Without ears nobody can be missed.
            if link.wire.is_none() {
                continue;
            }
            for side in [&mut link.igmp, &mut link.mld] {
                for q in side.queriers.list_mut() {
                    if !q.gone_told && !q.is_present(now.mono) {
                        q.gone_told = true;
                        let quiet = units::duration(now.mono.since(q.last.mono) / SECOND_NS * SECOND_NS);
                        let text = format!(
                            "querier {} has not asked for {quiet}: it counts as gone",
                            name(q.address)
                        );
                        out.push((link.name.clone(), text));
                    }
                }
            }
        }
        for (iface, text) in out {
            self.tell(EventKind::Querier, &iface, &[], now.wall, format!("{iface}: {text}"));
        }
    }

    /// Forecasts of one interface that came, went or came true, alike ones in one line.
    pub(super) fn tell_forecasts(&mut self, iface: &Arc<str>, list: &[(IpAddr, Step)], now: Now) {
        let whole = |ns: u64| units::duration(ns / SECOND_NS * SECOND_NS);
        // A line for each family and kind of news; of cuts, for each second in which they fall.
        let key = |(group, step): &(IpAddr, Step)| {
            let (kind, second) = match step {
                Step::Told(cut) => {
                    (u8::from(matches!(cut.why, CutWhy::Unanswered { .. })), cut.at.map(Mono::second))
                }
                Step::Off => (2, None),
                Step::Over(Outcome::Stopped { .. }) => (3, None),
                Step::Over(Outcome::WentOn) => (4, None),
                Step::Over(Outcome::NoTraffic) => (5, None),
            };
            (group.is_ipv6(), kind, second)
        };
        let mut list = list.to_vec();
        list.sort_by_key(key);
        for alike in list.chunk_by(|a, b| key(a) == key(b)) {
            let about: Vec<IpAddr> = alike.iter().map(|(g, _)| *g).collect();
            let (like, step) = alike[0];
            let (names, family) = (groups(&about), family(like));
            let text = match step {
                Step::Told(cut) => {
                    let why = match cut.why {
                        CutWhy::NoQuerier { quiet_since, was_one } => {
                            let quiet = whole(now.mono.since(quiet_since));
                            let kind = if was_one { "asked" } else { "heard" };
                            format!("no {family} querier {kind} for {quiet}")
                        }
                        CutWhy::Unanswered { .. } => {
                            format!("an {family} query came, but this host's report did not leave")
                        }
                    };
                    match cut.at {
                        Some(at) if at.since(now.mono) >= SECOND_NS => format!(
                            "{why}: a snooping switch will cut {names} in {}",
                            whole(at.since(now.mono))
                        ),
                        Some(_) => format!("{why}: a snooping switch will cut {names} at any moment"),
                        None => format!(
                            "{why}: a snooping switch will cut {names}, joined before it could be seen"
                        ),
                    }
                }
                Step::Off => format!("an {family} query came: {names} will not be cut"),
                Step::Over(Outcome::Stopped { last }) => {
                    let quiet = whole(now.mono.since(last.mono));
                    format!(
                        "as foretold, {names} stopped {quiet} ago: a switch that snoops cut it; leave and join brings it back, a querier keeps it"
                    )
                }
                Step::Over(Outcome::WentOn) => {
                    format!("{names} went on past the forecast: no switch on the way cuts it")
                }
                Step::Over(Outcome::NoTraffic) => {
                    format!(
                        "the time foretold for {names} is past; without traffic it cannot be told what happened"
                    )
                }
            };
            self.tell(EventKind::Forecast, iface, &about, now.wall, format!("{iface}: {text}"));
        }
    }
}
