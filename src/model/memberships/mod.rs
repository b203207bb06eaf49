//! Memberships and queriers: who asks, who answers, what this host has joined, and what is to be
//! expected of it. One [`Link`] for each interface, with a [`Side`] for IGMP and one for MLD.
//!
//! Three things feed it: decoded messages from the wire ([`Model::heard`]), the kernel's tables
//! ([`Model::host_joins`]), and the rows of the model itself. None of them is needed for another.

use std::cell::OnceCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::base::iface::{Iface, IfaceKind};
use crate::base::joined::{HostJoins, JoinedIface};
use crate::base::time::{Mono, Now, SECOND_NS};
use crate::model::Model;
use crate::model::group::JoinState;
use crate::model::source::Stamp;
use crate::wire::igmp::{Message, RecordKind};

pub mod filtering;
pub mod forecast;
pub mod host;
pub mod members;
pub mod queriers;
mod telling;
#[cfg(test)]
mod tests;
pub mod timers;

use forecast::{Forecast, Step, Watched};
use host::Host;
use members::{Members, Report};
use queriers::{Change, Queriers};
use telling::Pending;
use timers::Timers;

/// Forecasts are followed this often, in ns.
const FOLLOW_EVERY_NS: u64 = SECOND_NS;
/// Members that no querier asks for are forgotten after this long, in ns.
const FORGET_MEMBERS_NS: u64 = 1800 * SECOND_NS;
/// Losses of its carrier that are remembered of an interface.
const LOSSES_MAX: usize = 256;

/// One family of an interface.
#[derive(Clone, Debug, Default)]
pub struct Side {
    /// Who asks.
    pub queriers: Queriers,
    /// Who answers.
    pub members: Members,
    /// Messages heard.
    pub messages: u64,
    pending: Pending,
}

/// By what the queries of a family are known on an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ear {
    /// By nothing.
    Deaf,
    /// By the kernel's counter of MLD queries, since then: that there was one, not by whom.
    Counter(Stamp),
    /// From the wire, since then.
    Wire(Stamp),
}

impl Ear {
    /// Since when.
    pub fn since(self) -> Option<Stamp> {
        match self {
            Ear::Deaf => None,
            Ear::Counter(at) | Ear::Wire(at) => Some(at),
        }
    }
}

/// What is known of one interface.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its name.
    pub name: Arc<str>,
    /// IGMP.
    pub igmp: Side,
    /// MLD.
    pub mld: Side,
    /// This host's own memberships, by its kernel.
    pub host: Host,
    loopback: bool,
    wire: Option<Stamp>,
    addresses: Vec<IpAddr>,
    watched: BTreeMap<IpAddr, Watched>,
    /// When its carrier was lost, the oldest first; at most [`LOSSES_MAX`], the newest.
    carrier_losses: VecDeque<Mono>,
}

impl Link {
    fn new(name: Arc<str>) -> Link {
        Link {
            name,
            igmp: Side::default(),
            mld: Side::default(),
            host: Host::default(),
            loopback: false,
            wire: None,
            addresses: Vec::new(),
            watched: BTreeMap::new(),
            carrier_losses: VecDeque::new(),
        }
    }

    /// How often its carrier was lost after this moment, or ever since somebody watched, and when last. Linux
    /// sends MLD reports anew when it is back, but no IGMP report.
    pub fn carrier_losses(&self, after: Option<Mono>) -> Option<(usize, Mono)> {
        let later = self.carrier_losses.iter().filter(|&&at| after.is_none_or(|a| at > a));
        Some((later.count(), *self.carrier_losses.back()?)).filter(|(n, _)| *n > 0)
    }

    fn know(&mut self, iface: &Iface) {
        self.loopback = iface.kind == IfaceKind::Loopback;
        self.addresses = iface.addrs.iter().map(|a| a.ip).collect();
    }

    /// The side of an address' family.
    pub fn side(&self, like: IpAddr) -> &Side {
        if like.is_ipv4() { &self.igmp } else { &self.mld }
    }

    fn side_mut(&mut self, v4: bool) -> &mut Side {
        if v4 { &mut self.igmp } else { &mut self.mld }
    }

    /// By what queries of an address' family are known.
    pub fn ear(&self, like: IpAddr) -> Ear {
        match (self.wire, self.host.mld_counter().filter(|_| like.is_ipv6())) {
            // The counter may have been read for longer, but tells less.
            (Some(at), _) => Ear::Wire(at),
            (None, Some((since, _))) => Ear::Counter(since),
            (None, None) => Ear::Deaf,
        }
    }

    /// The last general query of an address' family, by whichever ear.
    pub fn last_asked(&self, like: IpAddr) -> Option<Stamp> {
        let heard = self.side(like).queriers.last_general().map(|(at, _)| at);
        let counted = self.host.mld_counter().filter(|_| like.is_ipv6()).and_then(|(_, last)| last);
        heard.into_iter().chain(counted).max_by_key(|at| at.mono)
    }

    /// The timers in force for an address' family.
    pub fn timers(&self, like: IpAddr, now: Mono) -> Timers {
        self.side(like).queriers.timers(now)
    }

    /// Whether it is the loopback interface: nothing of it leaves this host.
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }

    /// Whether there is anything to show of it.
    pub fn is_empty(&self) -> bool {
        self.host.groups().len() == 0
            && [&self.igmp, &self.mld].iter().all(|s| s.members.is_empty() && s.queriers.list().is_empty())
    }
}

/// All interfaces.
#[derive(Clone, Debug, Default)]
pub struct Memberships {
    links: BTreeMap<Arc<str>, Link>,
    followed_at: Option<Mono>,
    /// Whether the kernel's tables were read, and whether every process could be seen.
    pub host: Option<HostReading>,
}

/// What is known of the last reading of the kernel's tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostReading {
    /// When.
    pub at: Stamp,
    /// Groups that are not listed because there are more than are kept.
    pub left_out: usize,
    /// Whether processes of other users can be seen.
    pub sees_all_processes: bool,
}

impl Memberships {
    /// The interfaces, by name.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// One interface.
    pub fn link(&self, iface: &str) -> Option<&Link> {
        self.links.get(iface)
    }

    fn link_mut(&mut self, iface: &Arc<str>) -> &mut Link {
        self.links.entry(iface.clone()).or_insert_with(|| Link::new(iface.clone()))
    }

    /// The interfaces as they are now; those that vanished are forgotten.
    pub(super) fn set_ifaces<'a>(&mut self, list: impl Iterator<Item = &'a Iface>) {
        let mut before = std::mem::take(&mut self.links);
        for iface in list {
            let mut link = before.remove(&iface.name).unwrap_or_else(|| Link::new(iface.name.clone()));
            link.know(iface);
            self.links.insert(iface.name.clone(), link);
        }
    }

    /// A row stands: a report of it left.
    pub(super) fn joined(&mut self, iface: &Arc<str>, group: IpAddr, at: Stamp) {
        let w = self.link_mut(iface).watched.entry(group).or_default();
        *w = Watched { joined: Some(at), ..Watched::default() };
    }

    /// The last row of a group was left.
    pub(super) fn left(&mut self, iface: &str, group: IpAddr) {
        if let Some(link) = self.links.get_mut(iface) {
            link.watched.remove(&group);
        }
    }
}

impl Model {
    /// Memberships and queriers of all interfaces.
    pub fn memberships(&self) -> &Memberships {
        &self.memberships
    }

    /// What is to be expected of a group that this host has joined on an interface; `None` if the
    /// interface is not known.
    pub fn forecast(&self, iface: &str, group: IpAddr) -> Option<Forecast> {
        Some(self.memberships.link(iface)?.forecast(group, self.now.mono))
    }

    /// An interface lost its carrier.
    pub fn carrier_lost(&mut self, iface: &Arc<str>, now: Now) {
        let losses = &mut self.memberships.link_mut(iface).carrier_losses;
        if losses.len() >= LOSSES_MAX {
            losses.pop_front();
        }
        losses.push_back(now.mono);
    }

    /// Whether IGMP and MLD are heard from the wire of an interface from now on, or no more.
    pub fn hearing(&mut self, iface: &Arc<str>, on: bool, now: Now) {
        let link = self.memberships.link_mut(iface);
        let at = Stamp { mono: now.mono, wall: now.wall };
        link.wire = if on { link.wire.or(Some(at)) } else { None };
    }

    /// An IGMP or MLD message was on the wire of an interface: `from` is its IP source, `outgoing`
    /// whether this host sent it, `at` its arrival. Only valid ones belong here: the checksum holds,
    /// and the TTL or hop limit was 1 (RFC 9776 section 4, RFC 9777 section 5).
    pub fn heard<A: Copy + Into<IpAddr> + fmt::Display>(
        &mut self,
        iface: &Arc<str>,
        from: A,
        message: &Message<A>,
        outgoing: bool,
        at: Stamp,
    ) {
        let from: IpAddr = from.into();
        let v4 = from.is_ipv4();
        let link = self.memberships.link_mut(iface);
        // What is sent on the loopback comes back as received, and only this host sends there, by
        // whichever address: one of the two tells, and it is ours.
        if link.loopback && !outgoing {
            return;
        }
        let ours = link.loopback || outgoing && (from.is_unspecified() || link.addresses.contains(&from));
        let lifetime = link.side(from).queriers.timers(at.mono).membership_late_ns();
        let side = link.side_mut(v4);
        side.messages += 1;
        match message {
            Message::Query(q) => {
                let change = side.queriers.heard(from, q, at);
                side.pending.query(from, q, at);
                let text = side.querier_text(change, from, at);
                if let Some(text) = text {
                    self.tell_querier(iface, text, at);
                }
            }
            Message::Report { version, group } => {
                // The old versions have one report for both: an answer, if somebody asked just now.
                let group = (*group).into();
                let asked = side.pending.is_asked(at.mono);
                let kind = if asked { RecordKind::IsExclude } else { RecordKind::ToExclude };
                let r = Report { from, version: *version, group, kind, sources: &[], ours, at };
                side.report(&r, lifetime);
            }
            Message::Leave { group } => {
                let (group, kind) = ((*group).into(), RecordKind::ToInclude);
                let version = if v4 { 2 } else { 1 };
                let r = Report { from, version, group, kind, sources: &[], ours, at };
                side.report(&r, lifetime);
            }
            Message::Records { records, .. } => {
                for record in records {
                    let sources = Report::sources(record);
                    let r = Report {
                        from,
                        version: if v4 { 3 } else { 2 },
                        group: record.group.into(),
                        kind: record.kind,
                        sources: &sources,
                        ours,
                        at,
                    };
                    side.report(&r, lifetime);
                }
            }
        }
    }

    /// The kernel's tables of this host's own memberships were read.
    pub fn host_joins(&mut self, reading: HostJoins, now: Now) {
        let at = Stamp { mono: now.mono, wall: now.wall };
        let HostJoins { ifaces, left_out, sees_all_processes } = reading;
        self.memberships.host = Some(HostReading { at, left_out, sees_all_processes });
        // An interface that is not in the tables has no group any more.
        let gone = self.memberships.links.keys().filter(|n| ifaces.iter().all(|i| i.name != **n));
        let gone: Vec<JoinedIface> = gone.map(|name| JoinedIface::none(name.clone())).collect();
        for iface in ifaces.into_iter().chain(gone) {
            let name = iface.name.clone();
            let Model { memberships, groups, .. } = self;
            // Counted once a reading, and only if a group is new.
            let counted = OnceCell::new();
            let rows = |group: IpAddr| {
                let of_iface = groups.iter().flatten().filter(|g| g.membership.iface == name);
                let joined = of_iface.filter(|g| matches!(g.join, JoinState::Joined(_)));
                let count = || {
                    joined.fold(BTreeMap::new(), |mut all, g| {
                        *all.entry(g.membership.group).or_insert(0) += 1;
                        all
                    })
                };
                counted.get_or_init(count).get(&group).copied().unwrap_or(0)
            };
            let changes = memberships.link_mut(&name).host.take(iface, rows, at);
            self.tell_host(&name, changes, at);
        }
    }

    /// What time brings: forecasts and their outcomes, what was collected for the event log.
    pub(super) fn follow_memberships(&mut self, now: Now) {
        self.tell_pending(now);
        let due = self.memberships.followed_at.is_none_or(|at| now.mono.since(at) >= FOLLOW_EVERY_NS);
        if !due {
            return;
        }
        self.memberships.followed_at = Some(now.mono);
        let mut steps: BTreeMap<Arc<str>, Vec<(IpAddr, Step)>> = BTreeMap::new();
        let Model { memberships, groups, .. } = self;
        // Two rows of a group differ in their ports: the traffic of either tells.
        let mut traffic: BTreeMap<(&str, IpAddr), (Option<Stamp>, u64)> = BTreeMap::new();
        for g in groups.iter().flatten().filter(|g| matches!(g.join, JoinState::Joined(_))) {
            let t = traffic.entry((&*g.membership.iface, g.membership.group)).or_default();
            t.0 = t.0.into_iter().chain(g.last).max_by_key(|s| s.mono);
            t.1 = t.1.max(g.gaps.usual_ns);
        }
        for ((iface, group), (last, usual_ns)) in traffic {
            let Some(link) = memberships.links.get_mut(iface) else { continue };
            if let Some(step) = link.step(group, last, usual_ns, now.mono) {
                steps.entry(link.name.clone()).or_default().push((group, step));
            }
        }
        for (iface, list) in steps {
            self.tell_forecasts(&iface, &list, now);
        }
        for link in self.memberships.links.values_mut() {
            for side in [&mut link.igmp, &mut link.mld] {
                side.members.forget_older(now.mono, FORGET_MEMBERS_NS);
            }
        }
        self.tell_gone_queriers(now);
    }
}

impl Side {
    fn report(&mut self, r: &Report<'_>, lifetime_ns: u64) {
        if let Some(said) = self.members.heard(r, lifetime_ns) {
            self.pending.report(r, said);
        }
    }

    fn querier_text(&self, change: Change, from: IpAddr, at: Stamp) -> Option<telling::QuerierNews> {
        let version = self.queriers.list().iter().find(|q| q.address == from).map_or(0, |q| q.version);
        telling::QuerierNews::of(change, from, version, self.queriers.elected(at.mono).map(|q| q.address))
    }
}
