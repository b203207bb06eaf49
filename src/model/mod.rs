//! What is known: groups, sources, rates, continuity, packets and events.
//!
//! One thread owns the [`Model`]. It takes batches ([`Model::apply`]) and time
//! ([`Model::advance`]) and is read between them. It calls no clock: replaying the same batches
//! gives the same figures to the last digit.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::base::batch::{Batch, Capture, SLOTS};
use crate::base::group::{Endpoint, Membership, MembershipId};
use crate::base::time::{Mono, Now, SECOND_NS};

mod announce;
pub mod clocks;
pub mod continuity;
pub mod counter;
pub mod detail;
mod doubt;
mod due;
mod elsewhere;
pub mod event;
pub mod filter;
pub mod finder;
mod given;
pub mod group;
pub mod here;
pub mod history;
mod ifaces;
pub mod lag;
pub mod media;
pub mod memberships;
pub mod notes;
pub mod numbers;
pub mod packets;
pub mod pair;
pub mod pairs;
pub mod ping;
pub mod programs;
pub mod quantile;
pub mod rate;
pub mod reading;
pub(crate) mod rerun;
pub mod rules;
pub mod seen;
pub mod sequence;
pub mod sessions;
pub mod shape;
pub mod soak;
pub mod source;
pub mod sources;
mod sums;
mod telling;

use event::{Event, EventKind, EventLog};
use group::{Buffer, Group, JoinState, Origin};
pub use ifaces::IfaceState;
use ifaces::RingDrops;
use memberships::Memberships;
use packets::{BUDGET_BYTES, RING_MAX, RING_MIN};
use pair::Pair;
use rate::Rate;
use seen::Wire;
use source::{Counters, Stamp, State};
use sources::NO_HINT;

/// Own sending endpoints remembered: a running send has one, a test message another.
const OWN_MAX: usize = 4096;

/// What the model should keep.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Keep packets for looking at.
    pub keep_packets: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { keep_packets: true }
    }
}

/// The whole, or a part of it, in one line of figures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// Rows.
    pub groups: usize,
    /// Sources.
    pub sources: usize,
    /// What was analysed.
    pub counters: Counters,
    /// The last second; `None` before one is complete.
    pub rate: Option<Rate>,
    /// NET: numbers missing on the way; `None` while no counter is known.
    pub lost: Option<u64>,
    /// Numbers missing that this host dropped.
    pub lost_here: Option<u64>,
    /// Numbers missing that this host or the network dropped: it cannot be told.
    pub lost_unclear: Option<u64>,
    /// Numbers seen again.
    pub duplicates: Option<u64>,
    /// Numbers that came late.
    pub reordered: Option<u64>,
    /// NIC: interface receive drops.
    pub nic_drops: Option<u64>,
    /// SOCK: socket or ring drops.
    pub socket_drops: Option<u64>,
    /// OURS: counted, not analysed.
    pub not_analysed: u64,
    /// Their UDP payload, in bytes.
    pub not_analysed_bytes: u64,
}

/// Everything that is known.
#[derive(Clone, Debug)]
pub struct Model {
    settings: Settings,
    groups: Vec<Option<Box<Group>>>,
    order: Vec<MembershipId>,
    ifaces: Vec<IfaceState>,
    rings: BTreeMap<Arc<str>, RingDrops>,
    memberships: Memberships,
    capture: Capture,
    events: EventLog,
    own: BTreeSet<Endpoint>,
    announced: announce::Announcements,
    pairs: Vec<Pair>,
    next_pair: u32,
    /// Pairs that come by one row: the row, and their senders.
    feeds: Vec<(MembershipId, [Endpoint; 2])>,
    twins: elsewhere::Twins,
    /// The addresses of this host.
    here_ips: BTreeSet<IpAddr>,
    wire: Wire,
    lag: lag::Lag,
    now: Now,
    clock_offset_ns: i64,
}

impl Model {
    /// An empty model at `now`.
    pub fn new(settings: Settings, now: Now) -> Self {
        Model {
            settings,
            groups: Vec::new(),
            order: Vec::new(),
            ifaces: Vec::new(),
            rings: BTreeMap::new(),
            memberships: Memberships::default(),
            capture: Capture::default(),
            events: EventLog::default(),
            own: BTreeSet::new(),
            announced: announce::Announcements::default(),
            pairs: Vec::new(),
            next_pair: 0,
            feeds: Vec::new(),
            twins: elsewhere::Twins::default(),
            here_ips: BTreeSet::new(),
            wire: Wire::default(),
            lag: lag::Lag::default(),
            now,
            clock_offset_ns: now.offset_ns(),
        }
    }

    /// The time of the last [`Model::advance`].
    pub fn now(&self) -> Now {
        self.now
    }

    /// How far counting was behind arrival.
    pub fn lag(&self) -> &lag::Lag {
        &self.lag
    }

    /// Takes notice of when a batch was counted.
    pub fn counted(&mut self, batch: &Batch, now: Now) {
        self.lag.take(batch, now.wall);
    }

    /// The joined rows, in the order in which they were asked for.
    pub fn groups(&self) -> impl DoubleEndedIterator<Item = &Group> + '_ {
        self.order.iter().filter_map(|id| self.group(*id))
    }

    /// Number of joined rows.
    pub fn group_count(&self) -> usize {
        self.order.len()
    }

    /// The row of this number, joined or seen on the wire.
    pub fn group(&self, id: MembershipId) -> Option<&Group> {
        if id.is_wire() {
            return self.wire.rows.get(&id).map(|g| &**g);
        }
        self.groups.get(id.0 as usize)?.as_deref()
    }

    fn group_mut(&mut self, id: MembershipId) -> Option<&mut Group> {
        if id.is_wire() {
            return self.wire.rows.get_mut(&id).map(|g| &mut **g);
        }
        self.groups.get_mut(id.0 as usize)?.as_deref_mut()
    }

    /// The row that joins exactly this, if there is one.
    pub fn find(&self, membership: &Membership) -> Option<&Group> {
        self.groups().find(|g| *g.membership == *membership)
    }

    /// How datagrams come: as the last membership that stood has it.
    pub fn capture(&self) -> Capture {
        self.capture
    }

    /// The event log.
    pub fn events(&self) -> &EventLog {
        &self.events
    }

    /// The interfaces as last enumerated.
    pub fn ifaces(&self) -> &[IfaceState] {
        &self.ifaces
    }

    /// The interface of this name.
    pub fn iface(&self, name: &str) -> Option<&IfaceState> {
        self.ifaces.iter().find(|i| &*i.iface.name == name)
    }

    // ---- what the engine tells -------------------------------------------------------------

    /// A row was asked for: it stands as joining.
    pub fn add(
        &mut self,
        id: MembershipId,
        membership: Arc<Membership>,
        origin: Origin,
        label: Option<Arc<str>>,
    ) {
        let place = id.0 as usize;
        if self.groups.len() <= place {
            self.groups.resize_with(place + 1, || None);
        }
        let mtu = self.iface(&membership.iface).and_then(|i| i.iface.mtu);
        let mut group = Group::new(id, membership, origin, label);
        group.set_mtu(mtu);
        group.announced = self.sessions().named(group.membership.endpoint()).cloned();
        given::take_rules(&mut group, &self.wire.rules);
        self.groups[place] = Some(Box::new(group));
        self.order.push(id);
    }

    /// A membership stands, for the first time or after a failure. Each is told as joined once: what
    /// stood before is joined again, and why is told by [`Model::rejoined`] unless it was asked for.
    pub fn joined(&mut self, id: MembershipId, buffer: Buffer, now: Now) {
        let at = Stamp { mono: now.mono, wall: now.wall };
        let Some(g) = self.group_mut(id) else { return };
        let (stood_before, asked) = (g.since.is_some(), g.join == JoinState::Joining);
        let capture = buffer.capture;
        g.stood(buffer, at);
        let membership = g.membership.clone();
        self.capture = capture;
        self.stands(id, now);
        self.memberships.joined(&membership.iface, membership.group, at);
        match (stood_before, asked) {
            (false, _) => self.note_group(EventKind::Joined, id, now, format!("joined {membership}")),
            (true, true) => {
                self.note_group(EventKind::Rejoined, id, now, format!("joined {membership} again"));
            }
            (true, false) => {}
        }
    }

    /// The receive buffer of a membership is another one now.
    pub fn buffer(&mut self, id: MembershipId, buffer: Buffer) {
        if let Some(g) = self.group_mut(id)
            && let JoinState::Joined(b) = &mut g.join
        {
            *b = buffer;
        }
    }

    /// A membership was renewed on an interface that changed; `why` is a short phrase.
    pub fn rejoined(&mut self, id: MembershipId, why: &str, now: Now) {
        let Some(g) = self.group(id) else { return };
        let text = format!("joined {} again: {why}", g.membership);
        let (iface, group) = (g.membership.iface.clone(), g.membership.group);
        self.stands(id, now);
        self.memberships.joined(&iface, group, Stamp { mono: now.mono, wall: now.wall });
        self.note_group(EventKind::Rejoined, id, now, text);
    }

    /// A membership could not be had, or was lost.
    pub fn failed(&mut self, id: MembershipId, error: String, remedy: Option<String>, now: Now) {
        let Some(g) = self.group_mut(id) else { return };
        let text = match &remedy {
            Some(r) => format!("{error}; {r}"),
            None => error.clone(),
        };
        g.join = JoinState::Failed { error, remedy };
        g.state = State::Failed;
        g.compare = None;
        self.note_group(EventKind::Failed, id, now, text);
    }

    /// A failed row is tried again.
    pub fn retrying(&mut self, id: MembershipId) {
        if let Some(g) = self.group_mut(id) {
            g.join = JoinState::Joining;
            g.state = State::Joining;
        }
    }

    /// A row was given up.
    pub fn left(&mut self, id: MembershipId, now: Now) {
        let Some(g) = self.group(id) else { return };
        let text = format!("left {}", g.membership);
        let (iface, group) = (g.membership.iface.clone(), g.membership.group);
        self.note_group(EventKind::Left, id, now, text);
        self.row_left(id, now);
        self.falls(id);
        self.groups[id.0 as usize] = None;
        self.order.retain(|&o| o != id);
        if !self.groups().any(|g| g.membership.group == group && g.membership.iface == iface) {
            self.memberships.left(&iface, group);
        }
    }

    /// The membership's filter changed (a source was blocked or unblocked).
    pub fn filter_changed(&mut self, id: MembershipId, membership: Arc<Membership>, text: String, now: Now) {
        if let Some(g) = self.group_mut(id) {
            let before = std::mem::replace(&mut g.membership, membership);
            let filter = &g.membership.filter;
            let again = |ip| !before.filter.passes(ip) && filter.passes(ip);
            g.sources.change_each(|s| {
                if again(s.endpoint.ip) {
                    s.let_through_again();
                }
            });
            let m = g.membership.clone();
            self.stands(id, now);
            let untold = self.filter_untold(&m).map_or_else(String::new, |u| format!("; {u}"));
            self.note_group(EventKind::Note, id, now, text + &untold);
        }
    }

    /// The responder was switched on or off for a row.
    pub fn responding(&mut self, id: MembershipId, on: bool) {
        if let Some(g) = self.group_mut(id) {
            g.responding = on;
        }
    }

    /// So many answers were sent on a row.
    pub fn answered(&mut self, id: MembershipId, count: u64) {
        if let Some(g) = self.group_mut(id) {
            g.answered = count;
        }
    }

    /// This endpoint is a sender of ours: what comes from it is marked.
    pub fn own(&mut self, endpoint: Endpoint) {
        if self.own.len() >= OWN_MAX {
            self.own.pop_first();
        }
        self.own.insert(endpoint);
        for g in self.groups.iter_mut().flatten() {
            g.sources.change(endpoint, |s| s.ours = true);
        }
    }

    /// Adds an event about no row in particular.
    pub fn note(&mut self, kind: EventKind, iface: Option<Arc<str>>, text: String, now: Now) {
        self.events.push(Event {
            number: 0,
            time: now.wall,
            kind,
            membership: None,
            source: None,
            iface,
            text,
        });
    }

    /// Adds an event about a row.
    pub fn note_group(&mut self, kind: EventKind, id: MembershipId, now: Now, text: String) {
        let membership = self.group(id).map(|g| g.membership.clone());
        self.events.push(Event {
            number: 0,
            time: now.wall,
            kind,
            membership,
            source: None,
            iface: None,
            text,
        });
    }

    // ---- traffic and time ------------------------------------------------------------------

    /// Counts a batch.
    pub fn apply(&mut self, batch: &Batch) {
        let received = batch.received;
        let ring = self
            .settings
            .keep_packets
            .then(|| (BUDGET_BYTES / self.order.len().max(1)).clamp(RING_MIN, RING_MAX));
        for a in &batch.accounts {
            if let Some(g) = self.group_mut(a.membership) {
                g.dropped(a, received.mono);
            }
        }
        let Model { groups, own, events, pairs, announced, .. } = self;
        for run in batch.datagrams().chunk_by(|a, b| a.membership == b.membership) {
            let id = run[0].membership.0 as usize;
            // A row that was left while its last batch was under way has no place any more.
            let Some(group) = groups.get_mut(id).and_then(Option::as_deref_mut) else { continue };
            let mut hints = [NO_HINT; SLOTS];
            group.sources.hints(run.iter().map(|d| d.source), &mut hints);
            let paired = pairs.iter().any(|p| p.is_of(group.id));
            for (i, d) in run.iter().enumerate() {
                let at = Stamp { mono: group.arrival(d, received), wall: d.time };
                let hint = hints.get(i).copied().unwrap_or(NO_HINT);
                let found = group.record(d, batch.payload(d), at, hint, || own.contains(&d.source), ring);
                if let Some((_, new, noticed)) = found
                    && (new || noticed.is_marking())
                {
                    telling::tell(events, group, d.source, new, noticed, at);
                }
                let Some((place, ..)) = found else { continue };
                announced.take(events, group, place, d, batch.payload(d), at);
                if paired {
                    pairs::take(pairs, group, place, d, batch.payload(d), at.mono);
                }
            }
            group.clock(received.offset_ns());
        }
        for a in &batch.accounts {
            if let Some(g) = self.group_mut(a.membership) {
                g.account(a, received.mono);
            }
        }
        if self.wire.depth().shows_groups() {
            self.delivered(batch);
        }
    }

    /// Brings everything that depends on time up to date: states, events of silence, losses that
    /// are not waited for any longer.
    pub fn advance(&mut self, now: Now) {
        let step = now.offset_ns().wrapping_sub(self.clock_offset_ns);
        if step.unsigned_abs() > 1_000_000 {
            let text = format!("the wall clock was set by {:+.3} s", step as f64 / SECOND_NS as f64);
            self.note(EventKind::ClockStep, None, text, now);
        }
        self.clock_offset_ns = now.offset_ns();
        self.now = now;
        let mut turn = telling::Turn::default();
        let Model { groups, events, .. } = self;
        for g in groups.iter_mut().flatten() {
            telling::settle_group(events, g, now, &mut turn);
        }
        self.settle_wire(now, &mut turn);
        self.settle_notes(now);
        self.follow_memberships(now);
        self.settle_pairs(now);
        self.settle_twins(now);
        self.settle_announced();
    }

    /// Ends the waiting for late datagrams: to be called once when nothing more will come, so that
    /// the last figures, states and events are final.
    pub fn finish(&mut self) {
        let mut turn = telling::Turn::default();
        let Model { groups, events, now, .. } = self;
        for g in groups.iter_mut().flatten() {
            telling::settle_whole_group(events, g, *now, &mut turn);
            let Group { sources, here, .. } = &mut **g;
            sources.change_each(|s| s.finish(here));
            g.place_again(Mono(u64::MAX));
        }
        self.settle_notes(self.now);
        self.finish_pairs();
    }

    /// Sets the counters of one row, or of all, to zero.
    pub fn reset(&mut self, which: Option<MembershipId>) {
        self.reset_pairs(which);
        match which {
            Some(id) => {
                if let Some(g) = self.group_mut(id) {
                    g.reset();
                }
                self.compare_anew(id);
            }
            None => {
                self.lag = lag::Lag::default();
                for g in self.groups.iter_mut().flatten() {
                    g.reset();
                }
                self.wire.reset();
                for ring in self.rings.values_mut() {
                    (ring.before_reset, ring.tell_at) = (ring.cumulative, 0);
                }
                for i in &mut self.ifaces {
                    i.nic_base = i.nic_base.map(|b| b + i.nic_drops.unwrap_or(0));
                    i.nic_drops = i.nic_drops.map(|_| 0);
                }
                self.order.clone().into_iter().for_each(|id| self.compare_anew(id));
            }
        }
    }
}
