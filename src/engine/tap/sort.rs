//! Who takes what is seen: rows of ours, by number only; the wire's own rows, with all of it; the model of
//! memberships.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;

use super::Sights;
use crate::base::batch::Datagram;
use crate::base::group::{Endpoint, Membership, MembershipId};
use crate::base::tap::Depth;
use crate::base::time::Wall;
use crate::engine::ring::table::Table;
use crate::model::seen::compare::second;
use crate::model::seen::{Flow, Heard, Said, Sight, Tally, TapCounts};
use crate::net::clock;
use crate::net::ring::{Frame, Mark};
use crate::wire::igmp;
use crate::wire::input::{self, Input, input};
use crate::wire::ip::{self, Ip};
use crate::wire::mld;
use crate::wire::reassembly::Reassembler;

/// While half of the ring is free, a sight is waited for so long.
const PATIENCE: Duration = Duration::from_millis(20);
/// Membership messages that wait for a sight; a flood of them is no news.
const HEARD_MAX: usize = 4096;

/// Sorts what a tap sees.
pub struct Sorter {
    iface: Arc<str>,
    depth: Depth,
    rows: BTreeMap<MembershipId, Arc<Membership>>,
    table: Table,
    fragments: Reassembler,
    given_up: u64,
    sight: Option<Box<Sight>>,
    /// Places in the sight's list of flows.
    flows: HashMap<Flow, u32>,
    last_flow: Option<(Flow, u32)>,
    tallies: HashMap<(MembershipId, i64), u64>,
    heard: Vec<Heard>,
    counts: TapCounts,
    /// A sight was waited for in vain.
    hurry: bool,
}

impl Sorter {
    pub fn new(iface: Arc<str>, depth: Depth) -> Sorter {
        Sorter {
            iface,
            depth,
            rows: BTreeMap::new(),
            table: Table::default(),
            fragments: Reassembler::default(),
            given_up: 0,
            sight: None,
            flows: HashMap::new(),
            last_flow: None,
            tallies: HashMap::new(),
            heard: Vec::new(),
            counts: TapCounts::default(),
            hurry: false,
        }
    }

    /// A row stands, or has another filter now.
    pub fn stands(&mut self, id: MembershipId, m: Arc<Membership>) {
        if let Some(before) = self.rows.get(&id) {
            self.table.remove(id.0 as usize, before.endpoint());
        }
        self.table.add(id.0 as usize, m.endpoint(), m.filter.clone(), Wall(i64::MIN));
        self.rows.insert(id, m);
    }

    /// A row stands no more.
    pub fn left(&mut self, id: MembershipId, to: Endpoint) {
        self.table.remove(id.0 as usize, to);
        self.rows.remove(&id);
    }

    /// So many more frames found the ring full.
    pub fn dropped(&mut self, frames: u64) {
        self.counts.drops += frames;
    }

    /// Takes a frame.
    pub fn take(&mut self, frame: &Frame<'_>, mark: Mark, hurry: bool, sights: &Sights) {
        self.hurry |= hurry;
        match input(frame.packet, frame.verified) {
            Input::Datagram(d) => self.datagram(frame.packet, &d, frame.time, mark, sights),
            Input::Fragment(_) => {
                let mut fragments = std::mem::take(&mut self.fragments);
                if let Some((packet, verified)) = fragments.add(frame.packet, frame.time, frame.verified) {
                    match input(packet, verified) {
                        Input::Datagram(d) => self.datagram(packet, &d, frame.time, mark, sights),
                        _ => self.refused(packet, verified),
                    }
                }
                self.fragments = fragments;
            }
            Input::Nothing => {
                if !self.hear(frame, mark) {
                    self.refused(frame.packet, frame.verified);
                }
            }
        }
    }

    /// Counts what no host takes because of its UDP checksum.
    fn refused(&mut self, packet: &[u8], verified: bool) {
        if !verified && matches!(input(packet, true), Input::Datagram(_)) {
            self.counts.bad_checksums += 1;
        }
    }

    fn datagram(&mut self, packet: &[u8], d: &input::Datagram, time: Wall, mark: Mark, sights: &Sights) {
        if !self.depth.shows_groups() || !d.destination.ip.is_multicast() {
            return;
        }
        if mark.vlan.is_none() {
            let (mut taken, tallies) = (false, &mut self.tallies);
            self.table.deliver(d.destination, d.source.ip, time, |row| {
                taken = true;
                // What leaves here is looped back to the row, if it is: there is nothing to compare.
                if !mark.outgoing {
                    *tallies.entry((MembershipId(row as u32), second(time))).or_default() += 1;
                }
            });
            if taken {
                return;
            }
        }
        let Some(payload) = packet.get(d.payload.clone()) else { return };
        let flow = Flow { to: d.destination, vlan: mark.vlan, outgoing: mark.outgoing };
        for _ in 0..2 {
            let place = self.place(flow, sights);
            let Some((sight, place)) = self.sight.as_mut().zip(place) else { break };
            let mut entry = Datagram::new(MembershipId(place), time, d.source, payload.len() as u32);
            (entry.ttl, entry.tos) = (Some(d.ttl), Some(d.tos));
            if sight.batch.pack(entry, payload) {
                return;
            }
            // It is full. The next one has room for any.
            self.hand_on(sights);
        }
        self.counts.not_analysed += 1;
        self.counts.not_analysed_bytes += payload.len() as u64;
    }

    /// The place of a flow in the sight at hand, which is fetched if there is none; `None` if none is to be
    /// had.
    fn place(&mut self, flow: Flow, sights: &Sights) -> Option<u32> {
        if let Some((last, place)) = self.last_flow
            && last == flow
        {
            return Some(place);
        }
        self.fetch(sights);
        let flows = &mut self.sight.as_mut()?.flows;
        let place = *self.flows.entry(flow).or_insert_with(|| {
            flows.push(flow);
            flows.len() as u32 - 1
        });
        self.last_flow = Some((flow, place));
        Some(place)
    }

    /// Fetches a sight if none is at hand.
    fn fetch(&mut self, sights: &Sights) {
        if self.sight.is_none() {
            let patience = if self.hurry { Duration::ZERO } else { PATIENCE };
            match sights.take(patience) {
                Some(sight) => self.sight = Some(sight),
                // Once in vain is enough for this turn: the model is behind.
                None => self.hurry = true,
            }
        }
    }

    /// Listens to IGMP and MLD; false if it is neither. Messages of VLANs are not about this interface.
    fn hear(&mut self, frame: &Frame<'_>, mark: Mark) -> bool {
        let Some(message) = said(frame.packet) else { return false };
        if let (Some(message), None) = (message, mark.vlan)
            && self.heard.len() < HEARD_MAX
        {
            self.heard.push(Heard { at: frame.time, outgoing: mark.outgoing, message });
        }
        true
    }

    /// Gives what there is to the model.
    pub fn hand_on(&mut self, sights: &Sights) {
        if !self.heard.is_empty() {
            self.fetch(sights);
        }
        self.pass(sights);
        self.hurry = false;
    }

    /// Tells numbers that moved; whether all are told.
    pub fn settle(&mut self, sights: &Sights) -> bool {
        let given_up = self.fragments.given_up();
        self.counts.incomplete += given_up - std::mem::replace(&mut self.given_up, given_up);
        let waiting = |s: &Sorter| !s.tallies.is_empty() || s.counts != TapCounts::default();
        if waiting(self) {
            self.hurry = true;
            self.fetch(sights);
            self.pass(sights);
            self.hurry = false;
        }
        !waiting(self)
    }

    /// Hands on what there is at the end, in memory of its own if need be.
    pub fn last(&mut self, sights: &Sights) {
        self.settle(sights);
        if self.sight.is_none() && (!self.tallies.is_empty() || self.counts != TapCounts::default()) {
            self.sight = Some(Box::default());
        }
        self.pass(sights);
    }

    fn pass(&mut self, sights: &Sights) {
        let Some(mut sight) = self.sight.take() else { return };
        self.flows.clear();
        self.last_flow = None;
        sight.iface = self.iface.clone();
        sight.heard.append(&mut self.heard);
        sight.tallies.extend(self.tallies.drain().map(|((row, second), packets)| Tally {
            row,
            second,
            packets,
        }));
        sight.counts = std::mem::take(&mut self.counts);
        sight.batch.received = clock::now();
        if sight.is_empty() { sights.give(sight) } else { sights.hand_on(sight) }
    }
}

/// Reads an IP packet with a membership message; `None` if it has another, and no message if it is one that
/// no host may heed: with a wrong checksum, or from beyond a router (RFC 9776 section 4, RFC 9777 section 5:
/// TTL and hop limit are 1).
fn said(packet: &[u8]) -> Option<Option<Said>> {
    let ip = Ip::parse(packet).ok()?;
    let body = packet.get(ip.payload.clone())?;
    if ip.fragment.is_some() {
        return None;
    }
    let heed = ip.ttl == 1 && ip.payload.len() == ip.payload_len;
    match (ip.protocol, ip.source, ip.destination) {
        (ip::IGMP, IpAddr::V4(from), _) => {
            let message = igmp::parse(body).filter(|m| heed && m.checksum_holds);
            Some(message.map(|m| Said::V4(from, m.message)))
        }
        (ip::ICMPV6, IpAddr::V6(from), _) => {
            let holds = || ip::transport_checksum(ip.source, ip.destination, ip::ICMPV6, body) == 0;
            let message = mld::parse(body).filter(|_| heed && holds());
            Some(message.map(|m| Said::V6(from, m)))
        }
        _ => None,
    }
}
