//! What the model makes of what taps tell.

use std::net::IpAddr;
use std::sync::Arc;

use crate::base::batch::{Batch, Capture, Datagram};
use crate::base::group::{Endpoint, Membership, MembershipId};
use crate::base::iface::IfaceKind;
use crate::base::tap::Depth;
use crate::base::time::{Mono, Now, SECOND_NS, Wall};
use crate::base::units;
use crate::model::Model;
use crate::model::event::{Event, EventKind, EventLog};
use crate::model::group::{Group, JoinState};
use crate::model::here::Drops;
use crate::model::pairs;
use crate::model::seen::compare::{Compare, Compared, second};
use crate::model::seen::{Flow, Said, Sight, TapState, Wire, WireTotals};
use crate::model::source::Stamp;
use crate::model::sources::NO_HINT;
use crate::model::telling;

/// Events of new groups that an interface may write each second; the others are told as a number.
const TOLD_A_SECOND: u32 = 8;
/// A tap knows of a join after this, in nanoseconds.
const FRESH_NS: u64 = 2 * SECOND_NS;

impl Model {
    /// What is seen on the wire and not joined.
    pub fn wire(&self) -> &Wire {
        &self.wire
    }

    /// All rows: the joined ones, then those that are seen on the wire.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = &Group> + '_ {
        self.groups().chain(self.wire.rows())
    }

    /// What is seen on the wire and not joined, of one interface or of all.
    pub fn wire_totals(&self, iface: Option<&str>) -> WireTotals {
        self.wire.totals(iface, self.now.mono)
    }

    /// Wire and socket of a joined row, over the seconds in which both were watched; `None` without a
    /// tap.
    pub fn compared(&self, id: MembershipId) -> Option<Compared> {
        let g = self.group(id)?;
        let c = g.compare.as_ref()?;
        let (wire, got) = c.sums();
        let delivered = got + g.drops.not_analysed.saturating_sub(c.not_analysed_before);
        let not_delivered = wire.saturating_sub(delivered);
        let dropped = self.dropped(g).saturating_sub(c.dropped_before);
        let delivered = delivered.min(wire);
        Some(Compared { wire, delivered, not_delivered, dropped_here: dropped.min(not_delivered) })
    }

    /// What the buffers before a row dropped: its socket's, or its interface's ring's.
    fn dropped(&self, g: &Group) -> u64 {
        let ring = || self.rings.get(&g.membership.iface).map_or(0, |r| r.drops());
        match &g.join {
            JoinState::Joined(b) if b.capture == Capture::Ring => ring(),
            _ => g.drops.socket_drops.unwrap_or(0),
        }
    }

    // ---- what the engine tells -------------------------------------------------------------

    /// No tap can be had on this host (`Some`, with the remedy), or nothing speaks against it.
    pub fn tap_refused(&mut self, why: Option<(String, Option<String>)>) {
        self.wire.refused = why;
    }

    /// Of what taps see, only these groups are shown; an empty list lifts that.
    pub fn show_only(&mut self, list: &[Membership]) {
        self.wire.show_only(list);
    }

    /// The tap of an interface does something else now.
    pub fn tap(&mut self, iface: &Arc<str>, state: TapState, now: Now) {
        let (depth, t) = (state.depth(), self.wire.ifaces.entry(iface.clone()).or_default());
        let was = std::mem::replace(&mut t.state, state.clone());
        let before = was.depth();
        let text = match &state {
            TapState::Failed { .. } if state == was => None,
            TapState::Failed { error, remedy } => {
                let remedy = remedy.as_ref().map_or_else(String::new, |r| format!("; {r}"));
                Some(format!("{error}{remedy}"))
            }
            _ if depth.shows_groups() && !before.shows_groups() => {
                Some(format!("the tap on {iface} shows all groups on the wire"))
            }
            _ if !depth.shows_groups() && before.shows_groups() => {
                Some(format!("the tap on {iface} shows no groups any more"))
            }
            _ => None,
        };
        if let Some(text) = text {
            self.note(EventKind::Tap, Some(iface.clone()), text, now);
        }
        if !depth.shows_groups() {
            self.wire.forget_all(iface);
        }
        self.hearing(iface, depth >= Depth::Ears, now);
        let ids: Vec<MembershipId> =
            self.groups().filter(|g| g.membership.iface == *iface).map(|g| g.id).collect();
        ids.into_iter().for_each(|id| self.compare_from(id, now));
    }

    /// A membership stands, anew or otherwise: its row is not shown as unjoined, and wire and socket are
    /// compared from now on.
    pub(in crate::model) fn stands(&mut self, id: MembershipId, now: Now) {
        let Some(m) = self.group(id).map(|g| g.membership.clone()) else { return };
        self.wire.joined(&m);
        if self.wire.depth().shows_groups() {
            self.wire.fresh.push((m, now.mono.plus(FRESH_NS)));
        }
        self.compare_from(id, now);
    }

    /// A membership is given up: what comes from now on is on the wire alone.
    pub(in crate::model) fn falls(&mut self, id: MembershipId) {
        let Some(m) = self.group(id).map(|g| g.membership.clone()) else { return };
        self.wire.fresh.retain(|(fresh, _)| *fresh != m);
    }

    /// Begins the comparison of a row anew, from zero.
    pub(in crate::model) fn compare_anew(&mut self, id: MembershipId) {
        if let Some(g) = self.group_mut(id) {
            g.compare = None;
        }
        self.compare_from(id, self.now);
    }

    fn compare_from(&mut self, id: MembershipId, now: Now) {
        let Some(g) = self.group(id) else { return };
        let tapped = self.wire.iface(&g.membership.iface).is_some_and(|t| t.state.depth().shows_groups());
        let stands = tapped && matches!(g.join, JoinState::Joined(_));
        let (dropped, not_analysed) = (self.dropped(g), g.drops.not_analysed);
        let Some(g) = self.group_mut(id) else { return };
        match (&mut g.compare, stands) {
            (Some(c), true) => c.interrupt(now.wall),
            (none, true) => {
                *none = Some(Box::new(Compare::new(now.wall, not_analysed, dropped)));
            }
            (some, false) => *some = None,
        }
    }

    /// Gives what a tap saw to its rows, which are made where they are new: to be called before
    /// [`Model::saw`]. Afterwards [`crate::base::batch::Datagram::membership`] is the row's; what is not to
    /// be shown, or finds no room, is taken out.
    pub fn sort(&mut self, sight: &mut Sight) {
        let received = sight.batch.received;
        let mtu = self.iface(&sight.iface).and_then(|i| i.iface.mtu);
        let Sight { iface, batch, flows, counts, .. } = sight;
        if !self.wire.is_on(iface) {
            // The last of a tap that was switched off.
            return batch.retain(|_| false);
        }
        let Model { wire, events, .. } = self;
        let mut last = None;
        batch.retain(|d| {
            let key = (d.membership, d.source);
            let place = match last {
                Some((k, place)) if k == key => place,
                _ => {
                    let flow = flows.get(d.membership.0 as usize).copied();
                    let place =
                        flow.map_or(Place::Hidden, |f| place(wire, events, (iface, mtu), f, d, received));
                    last = Some((key, place));
                    place
                }
            };
            match place {
                Place::Row(id) => {
                    d.membership = id;
                    return true;
                }
                Place::Full => {
                    counts.not_analysed += 1;
                    counts.not_analysed_bytes += u64::from(d.len);
                }
                Place::Hidden => {}
            }
            false
        });
    }

    /// Counts what a tap saw, after [`Model::sort`].
    pub fn saw(&mut self, sight: &Sight) {
        let received = sight.batch.received;
        let keep = self.settings.keep_packets.then(|| self.wire.ring());
        for t in &sight.tallies {
            if let Some(c) = self.group_mut(t.row).and_then(|g| g.compare.as_mut()) {
                c.on_wire(t.second, t.from, t.packets);
            }
        }
        for h in &sight.heard {
            let at = Stamp { mono: h.at.to_mono(received.offset_ns()).min(received.mono), wall: h.at };
            match &h.message {
                Said::V4(from, message) => self.heard(&sight.iface, *from, message, h.outgoing, at),
                Said::V6(from, message) => self.heard(&sight.iface, *from, message, h.outgoing, at),
            }
        }
        let Model { wire, own, here_ips, events, announced, pairs, .. } = self;
        if let Some(t) = wire.ifaces.get_mut(&sight.iface) {
            t.counts += sight.counts;
        }
        let lost_here = sight.counts.drops + sight.counts.not_analysed;
        if lost_here > 0 {
            // Whose they were is not known: what they might explain is unclear.
            let since = Mono(received.mono.0.saturating_sub(SECOND_NS));
            for g in wire.rows.values_mut().filter(|g| g.membership.iface == sight.iface) {
                g.here.moved(since, received.mono, lost_here, Drops::Buffer);
            }
        }
        for run in sight.batch.datagrams().chunk_by(|a, b| a.membership == b.membership) {
            let Some(g) = wire.row(run[0].membership) else { continue };
            let sources = g.sources.len();
            let paired = pairs.iter().any(|p| p.is_of(g.id));
            let ours = |s: Endpoint| here_ips.contains(&s.ip) || own.contains(&s);
            for d in run {
                let at = Stamp { mono: g.arrival(d, received), wall: d.time };
                let payload = sight.batch.payload(d);
                let Some((place, ..)) = g.record(d, payload, at, NO_HINT, || ours(d.source), keep) else {
                    continue;
                };
                announced.take(events, g, place, d, payload, at);
                if paired {
                    pairs::take(pairs, g, place, d, payload, at.mono);
                }
            }
            g.clock(received.offset_ns());
            let appeared = g.sources.len() - sources;
            wire.appeared(&sight.iface, appeared);
        }
    }

    // ---- time ------------------------------------------------------------------------------

    /// Counts what was delivered to a row whose wire is watched as well. Senders of this host are left
    /// out: what they send is looped back, and leaves by the interface instead of arriving.
    pub(in crate::model) fn delivered(&mut self, batch: &Batch) {
        for run in batch.datagrams().chunk_by(|a, b| a.membership == b.membership) {
            let Some(g) = self.groups.get_mut(run[0].membership.0 as usize).and_then(Option::as_deref_mut)
            else {
                continue;
            };
            let Some(c) = &mut g.compare else { continue };
            let here = &self.here_ips;
            let loopback = self
                .ifaces
                .iter()
                .any(|i| i.iface.kind == IfaceKind::Loopback && i.iface.name == g.membership.iface);
            let counts = |d: &&Datagram| loopback || !here.contains(&d.source.ip);
            let alike = |a: &Datagram, b: &Datagram| a.source == b.source && second(a.time) == second(b.time);
            for same in run.chunk_by(alike).filter(|same| counts(&&same[0])) {
                c.delivered(second(same[0].time), same[0].source, same.len() as u64);
            }
        }
    }

    /// Brings what depends on time up to date.
    pub(in crate::model) fn settle_wire(&mut self, now: Now, turn: &mut telling::Turn) {
        if self.wire.ifaces.is_empty() {
            return;
        }
        self.wire.fresh.retain(|(_, until)| now.mono < *until);
        let mut compared = Vec::new();
        let offset = now.offset_ns();
        let begin = |second: i64| Wall(second.saturating_mul(SECOND_NS as i64)).to_mono(offset);
        for g in self.groups.iter_mut().flatten() {
            let Some(c) = &mut g.compare else { continue };
            compared.push(g.id);
            for u in c.settle(now.wall) {
                g.undelivered(u.of, (begin(u.second), begin(u.second + 1)), u.count);
            }
        }
        for id in compared {
            let Some(n) = self.compared(id).map(|c| c.unexplained()) else { continue };
            let Some(g) = self.group_mut(id) else { continue };
            let m = g.membership.clone();
            if let Some(c) = &mut g.compare
                && n > c.told
            {
                // Told again when it has doubled.
                c.told = n * 2;
                let text = format!(
                    "{m}: {} seen on {} and not delivered",
                    units::counted(n, "datagram was", "datagrams were"),
                    m.iface
                );
                self.note_group(EventKind::NotDelivered, id, now, text);
            }
        }
        let Model { wire, events, .. } = self;
        for g in wire.rows.values_mut() {
            telling::settle_group(events, g, now, turn);
        }
        for (name, t) in &mut wire.ifaces {
            let mut tell = |text| {
                events.push(Event {
                    number: 0,
                    time: now.wall,
                    kind: EventKind::WireSeen,
                    membership: None,
                    source: None,
                    iface: Some(name.clone()),
                    text,
                });
            };
            if t.told.second != now.mono.second() {
                (t.told.second, t.told.groups) = (now.mono.second(), 0);
                if t.told.hidden > 0 {
                    let more = units::counted(
                        t.told.hidden,
                        "more group that nobody joined was",
                        "more groups that nobody joined were",
                    );
                    tell(format!("{more} seen on {name}"));
                    t.told.hidden = 0;
                }
            }
            if t.evicted > t.told.evicted_at {
                t.told.evicted_at = t.evicted * 2;
                let gone =
                    units::counted(t.evicted, "group seen on the wire was", "groups seen on the wire were");
                tell(format!("{name}: {gone} forgotten for others"));
            }
        }
    }

    /// Addresses of this host, of all interfaces.
    pub(in crate::model) fn addresses_here(&self) -> std::collections::BTreeSet<IpAddr> {
        self.ifaces.iter().flat_map(|i| &i.iface.addrs).map(|a| a.ip).collect()
    }
}

/// Where a datagram belongs.
#[derive(Clone, Copy)]
enum Place {
    Row(MembershipId),
    /// It is a joined row's, or of a group that was not asked for.
    Hidden,
    /// There are too many groups.
    Full,
}

fn place(
    wire: &mut Wire,
    events: &mut EventLog,
    (iface, mtu): (&Arc<str>, Option<u32>),
    flow: Flow,
    d: &Datagram,
    received: Now,
) -> Place {
    let joined = |(m, until): &(Arc<Membership>, Mono)| {
        m.iface == *iface && m.endpoint() == flow.to && m.filter.passes(d.source.ip) && received.mono < *until
    };
    if flow.vlan.is_none() && wire.fresh.iter().any(joined) || !wire.shows(iface, flow.to, d.source.ip) {
        return Place::Hidden;
    }
    let at = Stamp { mono: d.time.to_mono(received.offset_ns()).min(received.mono), wall: d.time };
    let Some((id, new)) = wire.place(iface, flow.to, flow.vlan, at) else { return Place::Full };
    if new && let Some(g) = wire.row(id) {
        g.set_mtu(mtu);
        g.clock(received.offset_ns());
        let text = first_seen(g, d.source, flow.outgoing);
        tell_new(wire, events, iface, text, at);
    }
    Place::Row(id)
}

fn first_seen(g: &Group, from: Endpoint, ours: bool) -> String {
    let m = &g.membership;
    let vlan = g.vlan.map_or_else(String::new, |v| format!(", VLAN {v}"));
    let label = g.label.as_deref().map_or_else(String::new, |l| format!(" ({l})"));
    let ours = if ours { " (this host)" } else { "" };
    format!("{} is on the wire of {}{vlan}, not joined{label}: {from} sends{ours}", m.endpoint(), m.iface)
}

fn tell_new(wire: &mut Wire, events: &mut EventLog, iface: &Arc<str>, text: String, at: Stamp) {
    let Some(t) = wire.ifaces.get_mut(iface) else { return };
    if t.told.groups >= TOLD_A_SECOND {
        t.told.hidden += 1;
        return;
    }
    t.told.groups += 1;
    events.push(Event {
        number: 0,
        time: at.wall,
        kind: EventKind::WireSeen,
        membership: None,
        source: None,
        iface: Some(iface.clone()),
        text,
    });
}

impl Wire {
    /// Whether an interface's groups are shown.
    pub fn is_on(&self, iface: &str) -> bool {
        self.iface(iface).is_some_and(|t| t.state.depth() >= Depth::Wire)
    }
}
