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

/// Senders of rows and seconds that are counted apart until they are told; of others only the row and the
/// second are.
const TALLIES: usize = 4096;

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
    tallies: HashMap<(MembershipId, Option<Endpoint>, i64), u64>,
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
                    let (row, second) = (MembershipId(row as u32), second(time));
                    let key = (row, Some(d.source), second);
                    let full = tallies.len() >= TALLIES && !tallies.contains_key(&key);
                    *tallies.entry(if full { (row, None, second) } else { key }).or_default() += 1;
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
        sight.tallies.extend(self.tallies.drain().map(|((row, from, second), packets)| Tally {
            row,
            from,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::group::SourceFilter;
    use crate::wire::ip::build;
    use crossbeam_channel::Receiver;

    fn sorter() -> (Sorter, Sights, Receiver<Box<Sight>>) {
        let (sights, full) = Sights::new();
        (Sorter::new("eth0".into(), Depth::Wire), sights, full)
    }

    fn endpoint(text: &str) -> Endpoint {
        Endpoint::from(text.parse::<std::net::SocketAddr>().unwrap())
    }

    fn packet(from: &str, to: &str, len: usize) -> Vec<u8> {
        let mut b = Vec::new();
        build(&mut b, (endpoint(from), endpoint(to)), (1, 0), &vec![7; len], len).unwrap();
        b
    }

    fn row(id: u32, group: &str, filter: SourceFilter) -> (MembershipId, Arc<Membership>) {
        let e = endpoint(group);
        (MembershipId(id), Arc::new(Membership { group: e.ip, port: e.port, iface: "eth0".into(), filter }))
    }

    #[test]
    fn of_too_many_senders_only_the_number_is_told() {
        let (mut s, sights, full) = sorter();
        let (id, m) = row(3, "239.1.1.1:5004", SourceFilter::Any);
        s.stands(id, m);
        for n in 0..TALLIES + 9 {
            let from = format!("10.0.{}.{}:9", n / 256, n % 256);
            take(&mut s, &sights, &packet(&from, "239.1.1.1:5004", 10), RECEIVED);
        }
        s.settle(&sights);
        let tallies = &full.try_recv().unwrap().tallies;
        let rest: Vec<_> = tallies.iter().filter(|t| t.from.is_none()).map(|t| t.packets).collect();
        assert_eq!((tallies.len(), rest), (TALLIES + 1, vec![9]));
    }

    const RECEIVED: Mark = Mark { outgoing: false, vlan: None };

    fn take(s: &mut Sorter, sights: &Sights, packet: &[u8], mark: Mark) {
        s.take(&Frame { packet, time: Wall(5_500_000_000), verified: false }, mark, false, sights);
    }

    #[test]
    fn what_a_row_takes_comes_as_a_number_and_all_else_whole() {
        let (mut s, sights, full) = sorter();
        let (a, b) = ("10.0.0.1:9", "10.0.0.2:9");
        let (id, m) = row(3, "239.1.1.1:5004", SourceFilter::Include(vec![endpoint(a).ip]));
        s.stands(id, m.clone());
        for from in [a, a, b] {
            take(&mut s, &sights, &packet(from, "239.1.1.1:5004", 10), RECEIVED);
        }
        take(&mut s, &sights, &packet(a, "239.1.1.1:5005", 20), RECEIVED);
        // Of our own sending to a row nothing is to be compared; of a VLAN the row gets nothing.
        take(&mut s, &sights, &packet(a, "239.1.1.1:5004", 30), Mark { outgoing: true, vlan: None });
        take(&mut s, &sights, &packet(a, "239.1.1.1:5004", 40), Mark { outgoing: false, vlan: Some(5) });
        take(&mut s, &sights, &packet(a, "10.0.0.9:5004", 50), RECEIVED);
        s.hand_on(&sights);
        let sight = full.try_recv().unwrap();
        assert_eq!(sight.tallies, [Tally { row: id, from: Some(endpoint(a)), second: 5, packets: 2 }]);
        let seen: Vec<_> = sight
            .batch
            .datagrams()
            .iter()
            .map(|d| (sight.flows[d.membership.0 as usize].to.port, d.source, d.len))
            .collect();
        assert_eq!(seen, [(5004, endpoint(b), 10), (5005, endpoint(a), 20), (5004, endpoint(a), 40)]);
        assert_eq!(sight.flows[2].vlan, Some(5));
        s.left(id, m.endpoint());
        take(&mut s, &sights, &packet(a, "239.1.1.1:5004", 10), RECEIVED);
        s.hand_on(&sights);
        assert_eq!(full.try_recv().unwrap().batch.datagrams().len(), 1, "it is the wire's again");
    }

    #[test]
    fn fragments_are_one_datagram_and_wrong_checksums_are_counted() {
        let (mut s, sights, full) = sorter();
        let whole = packet("10.0.0.1:9", "239.1.1.1:5004", 2000);
        let cut = |at: std::ops::Range<usize>, more: bool| {
            let mut b = whole[..20].to_vec();
            b.extend(&whole[20..][at.clone()]);
            let len = (b.len() as u16).to_be_bytes();
            b[2..4].copy_from_slice(&len);
            let word = (at.start / 8) as u16 | u16::from(more) << 13;
            b[6..8].copy_from_slice(&word.to_be_bytes());
            b[10..12].fill(0);
            let sum = ip::checksum(&[&b[..20]]);
            b[10..12].copy_from_slice(&sum.to_be_bytes());
            b
        };
        take(&mut s, &sights, &cut(0..1480, true), RECEIVED);
        take(&mut s, &sights, &cut(1480..2008, false), RECEIVED);
        let mut bad = packet("10.0.0.1:9", "239.1.1.1:5004", 10);
        *bad.last_mut().unwrap() ^= 1;
        take(&mut s, &sights, &bad, RECEIVED);
        s.settle(&sights);
        let sight = full.try_recv().unwrap();
        let sizes: Vec<u32> = sight.batch.datagrams().iter().map(|d| d.len).collect();
        assert_eq!((sizes, sight.counts.bad_checksums), (vec![2000], 1));
    }

    #[test]
    fn without_a_free_sight_all_is_counted_and_told_when_there_is_one() {
        let (mut s, sights, full) = sorter();
        let held: Vec<_> = std::iter::from_fn(|| sights.take(Duration::ZERO)).collect();
        assert_eq!(held.len(), super::super::SIGHTS);
        let (id, m) = row(3, "239.1.1.1:5004", SourceFilter::Any);
        s.stands(id, m);
        for _ in 0..7 {
            take(&mut s, &sights, &packet("10.0.0.1:9", "239.9.9.9:5004", 100), RECEIVED);
            take(&mut s, &sights, &packet("10.0.0.1:9", "239.1.1.1:5004", 100), RECEIVED);
        }
        s.hand_on(&sights);
        assert!(!s.settle(&sights) && full.try_recv().is_err());
        held.into_iter().take(1).for_each(|h| sights.give(h));
        assert!(s.settle(&sights));
        let sight = full.try_recv().unwrap();
        assert_eq!((sight.counts.not_analysed, sight.counts.not_analysed_bytes), (7, 700));
        assert_eq!(sight.tallies.iter().map(|t| t.packets).sum::<u64>(), 7);
    }

    #[test]
    fn of_membership_messages_only_those_that_hosts_heed_are_heard() {
        // An IGMPv2 report with a router alert, as Linux sends it.
        let igmp = |ttl: u8, group: [u8; 4]| {
            let mut b = vec![0x46, 0xc0, 0, 32, 0, 0, 0x40, 0, ttl, 2, 0, 0, 10, 0, 0, 7];
            b.extend(group);
            b.extend([0x94, 4, 0, 0]);
            let sum = ip::checksum(&[&b]).to_be_bytes();
            b[10..12].copy_from_slice(&sum);
            let mut message = [0x16, 0, 0, 0, group[0], group[1], group[2], group[3]];
            let sum = ip::checksum(&[&message]).to_be_bytes();
            message[2..4].copy_from_slice(&sum);
            b.extend(message);
            b
        };
        let (mut s, sights, full) = sorter();
        let good = igmp(1, [239, 1, 1, 1]);
        take(&mut s, &sights, &good, Mark { outgoing: true, vlan: None });
        take(&mut s, &sights, &igmp(2, [239, 1, 1, 2]), RECEIVED);
        take(&mut s, &sights, &good, Mark { outgoing: false, vlan: Some(5) });
        let mut bad = good.clone();
        bad[31] ^= 1;
        take(&mut s, &sights, &bad, RECEIVED);
        take(&mut s, &sights, &good[..30], RECEIVED);
        s.hand_on(&sights);
        let sight = full.try_recv().unwrap();
        let [heard] = &sight.heard[..] else { panic!("{:?}", sight.heard) };
        assert!(
            heard.outgoing && matches!(&heard.message, Said::V4(from, _) if from.octets() == [10, 0, 0, 7])
        );
        assert_eq!(sight.counts, TapCounts::default());
    }
}
