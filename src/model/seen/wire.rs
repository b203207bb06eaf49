//! The groups that are seen on the wire and not joined, found by interface, destination and VLAN.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::base::group::{Endpoint, Membership, MembershipId, SourceFilter};
use crate::base::registry::Registry;
use crate::base::time::Mono;
use crate::model::given::take_rules;
use crate::model::group::Group;
use crate::model::packets::{RING_MAX, RING_MIN};
use crate::model::rules::Rule;
use crate::model::seen::{DETAILED, GROUPS_MAX, QUIET_NS, SOURCES_MAX, TapCounts, TapState, WireTotals};
use crate::model::source::{Counters, Stamp};
use crate::model::sources::Limits;

/// Bytes that the packets of all these rows together may hold.
const BUDGET_BYTES: usize = 16 << 20;

/// What is known of an interface with a tap.
#[derive(Clone, Debug, Default)]
pub struct Tapped {
    /// What the tap is doing.
    pub state: TapState,
    pub(super) counts: TapCounts,
    /// Counters of groups that are forgotten.
    retired: Counters,
    pub(super) evicted: u64,
    tagged: u64,
    index: HashMap<(Endpoint, Option<u16>), MembershipId>,
    sources: usize,
    /// No look for a group that may be forgotten before this: there was none.
    crowded_until: Mono,
    pub(super) told: Told,
}

/// Events told of an interface.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Told {
    pub second: u64,
    pub groups: u32,
    pub hidden: u64,
    /// So many evictions and it is told again.
    pub evicted_at: u64,
}

/// Everything that taps see and nobody joined.
#[derive(Clone, Debug, Default)]
pub struct Wire {
    /// Why no tap can be had here, with the remedy.
    pub(super) refused: Option<(String, Option<String>)>,
    pub(super) ifaces: BTreeMap<Arc<str>, Tapped>,
    pub(in crate::model) rows: BTreeMap<MembershipId, Box<Group>>,
    next: u32,
    /// With `--no-join` and groups named: only these are shown.
    only: HashMap<(Arc<str>, Endpoint), Vec<SourceFilter>>,
    /// The user's rules: they hold for what is not joined as well.
    pub(in crate::model) rules: Vec<Rule>,
    /// Joined a moment ago: a tap may not know of it yet.
    pub(super) fresh: Vec<(Arc<Membership>, Mono)>,
}

impl Wire {
    /// The rows, in the order of their appearance.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = &Group> + '_ {
        self.rows.values().map(|g| &**g)
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The interfaces that have or had a tap, or were refused one.
    pub fn ifaces(&self) -> impl Iterator<Item = (&Arc<str>, &Tapped)> + '_ {
        self.ifaces.iter()
    }

    /// What is known of an interface's tap.
    pub fn iface(&self, name: &str) -> Option<&Tapped> {
        self.ifaces.get(name)
    }

    /// Why no tap can be had on this host, and what to do about it; `None` where nothing is known
    /// against it.
    pub fn refused(&self) -> Option<(&str, Option<&str>)> {
        self.refused.as_ref().map(|(error, remedy)| (error.as_str(), remedy.as_deref()))
    }

    /// The deepest look that any tap takes at present.
    pub fn depth(&self) -> crate::base::tap::Depth {
        self.ifaces.values().map(|t| t.state.depth()).max().unwrap_or_default()
    }

    /// Shows these only; an empty list lifts that.
    pub(super) fn show_only(&mut self, list: &[Membership]) {
        self.only.clear();
        for m in list {
            self.only.entry((m.iface.clone(), m.endpoint())).or_default().push(m.filter.clone());
        }
    }

    /// Whether a flow is to be shown.
    pub(super) fn shows(&self, iface: &Arc<str>, to: Endpoint, from: std::net::IpAddr) -> bool {
        self.only.is_empty()
            || self
                .only
                .get(&(iface.clone(), to))
                .is_some_and(|filters| filters.iter().any(|f| f.passes(from)))
    }

    /// The row of a flow, made if it is new (then the second value is true); `None` if there is no room.
    pub(super) fn place(
        &mut self,
        iface: &Arc<str>,
        to: Endpoint,
        vlan: Option<u16>,
        at: Stamp,
    ) -> Option<(MembershipId, bool)> {
        let tapped = self.ifaces.get_mut(iface)?;
        if let Some(&id) = tapped.index.get(&(to, vlan)) {
            return Some((id, false));
        }
        if tapped.index.len() >= GROUPS_MAX {
            self.make_room(iface, at.mono)?;
        }
        let id = self.next_id();
        let tapped = self.ifaces.get_mut(iface)?;
        tapped.index.insert((to, vlan), id);
        let membership =
            Membership { group: to.ip, port: to.port, iface: iface.clone(), filter: SourceFilter::Any };
        let label = Registry::builtin().label(to).map(|row| Arc::from(row.name.as_str()));
        let mut group = Group::seen(id, Arc::new(membership), label, vlan, at);
        take_rules(&mut group, &self.rules);
        self.rows.insert(id, Box::new(group));
        Some((id, true))
    }

    /// Numbers are used again only after two thousand million others.
    fn next_id(&mut self) -> MembershipId {
        loop {
            let id = MembershipId(MembershipId::WIRE | self.next);
            self.next = (self.next + 1) & !MembershipId::WIRE;
            if !self.rows.contains_key(&id) {
                return id;
            }
        }
    }

    /// Forgets the group that was quiet for longest.
    fn make_room(&mut self, iface: &Arc<str>, now: Mono) -> Option<()> {
        let tapped = self.ifaces.get_mut(iface)?;
        if now < tapped.crowded_until {
            return None;
        }
        let last = |id: &MembershipId| self.rows.get(id).and_then(|g| g.last).map_or(Mono(0), |l| l.mono);
        let oldest = tapped.index.values().copied().min_by_key(|id| (last(id), *id))?;
        let quiet = now.since(last(&oldest));
        if quiet < QUIET_NS {
            tapped.crowded_until = now.plus((QUIET_NS - quiet).min(QUIET_NS / 10));
            return None;
        }
        tapped.evicted += 1;
        self.forget(oldest);
        Some(())
    }

    /// Takes a row away; what it counted stays in the interface's sums.
    pub(super) fn forget(&mut self, id: MembershipId) {
        let Some(g) = self.rows.remove(&id) else { return };
        let Some(t) = self.ifaces.get_mut(&g.membership.iface) else { return };
        t.index.remove(&(g.membership.endpoint(), g.vlan));
        t.sources = t.sources.saturating_sub(g.sources.len());
        match g.vlan {
            Some(_) => t.tagged += g.counters.packets,
            None => add(&mut t.retired, &g.counters),
        }
    }

    /// Takes all rows of an interface away.
    pub(super) fn forget_all(&mut self, iface: &str) {
        let ids: Vec<MembershipId> =
            self.rows.values().filter(|g| &*g.membership.iface == iface).map(|g| g.id).collect();
        ids.into_iter().for_each(|id| self.forget(id));
    }

    /// The row is joined now: it is seen there from now on.
    pub(super) fn joined(&mut self, m: &Membership) {
        let of = |t: &Tapped| t.index.get(&(m.endpoint(), None)).copied();
        if let Some(id) = self.ifaces.get(&m.iface).and_then(of) {
            self.forget(id);
        }
    }

    /// A row with the room that its senders may take.
    pub(super) fn row(&mut self, id: MembershipId) -> Option<&mut Group> {
        let g = self.rows.get_mut(&id)?;
        let all = self.ifaces.get(&g.membership.iface).map_or(0, |t| t.sources);
        let left = SOURCES_MAX.saturating_sub(all);
        g.sources.limit(Limits { sources: g.sources.len() + left, detailed: DETAILED });
        Some(g)
    }

    /// So many new senders found room.
    pub(super) fn appeared(&mut self, iface: &str, sources: usize) {
        if let Some(t) = self.ifaces.get_mut(iface) {
            t.sources += sources;
        }
    }

    /// Bytes of packets that a row may keep.
    pub(super) fn ring(&self) -> usize {
        (BUDGET_BYTES / self.rows.len().max(1)).clamp(RING_MIN / 4, RING_MAX)
    }

    pub(in crate::model) fn reset(&mut self) {
        for g in self.rows.values_mut() {
            g.reset();
        }
        for t in self.ifaces.values_mut() {
            (t.counts, t.retired, t.evicted, t.tagged) = (TapCounts::default(), Counters::default(), 0, 0);
            t.told = Told::default();
        }
    }

    /// The sums of one interface, or of all.
    pub fn totals(&self, iface: Option<&str>, now: Mono) -> WireTotals {
        let wanted = |name: &str| iface.is_none_or(|i| i == name);
        let mut t = WireTotals::default();
        for (_, tapped) in self.ifaces.iter().filter(|(name, _)| wanted(name)) {
            add(&mut t.counters, &tapped.retired);
            t.counts += tapped.counts;
            t.evicted += tapped.evicted;
            t.tagged += tapped.tagged;
        }
        for g in self.rows.values().filter(|g| wanted(&g.membership.iface)) {
            t.groups += 1;
            t.sources += g.sources.len();
            if g.vlan.is_some() {
                t.tagged += g.counters.packets;
                continue;
            }
            add(&mut t.counters, &g.counters);
            if let Some(r) = g.rate(now) {
                *t.rate.get_or_insert_default() += r;
            }
        }
        t
    }
}

/// Adds counters up.
fn add(sum: &mut Counters, c: &Counters) {
    if c.packets == 0 {
        return;
    }
    sum.size_min = if sum.packets == 0 { c.size_min } else { sum.size_min.min(c.size_min) };
    sum.size_max = sum.size_max.max(c.size_max);
    sum.packets += c.packets;
    sum.payload_bytes += c.payload_bytes;
    sum.ip_bytes += c.ip_bytes;
    sum.truncated += c.truncated;
}
