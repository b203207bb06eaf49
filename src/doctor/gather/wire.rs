//! What a look at the wire tells: frames to flows, queries and reports. Pure, but for where the frames
//! come from.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::doctor::facts::{Elsewhere, FLOWS_MAX, Flow, QueryHeard, Wire};
use crate::net::packet::{Addressed, Frame};
use crate::wire::igmp::{self, Message};
use crate::wire::ip::{self, Ip};
use crate::wire::mld;

/// Frames whose checksum is verified, for each look: a fault shows at once, and a fast stream is not
/// slowed down.
const CHECKED_MAX: u64 = 10_000;
/// Datagrams remembered to find those that come twice.
const REMEMBERED: usize = 4096;
/// Within this time the same datagram is the same one come twice.
const TWICE_WITHIN: Duration = Duration::from_secs(1);
/// Queries kept of a look.
const QUERIES_MAX: usize = 1000;
/// PIM, as a protocol number (RFC 7761 section 4.9), and its hello with the version before.
const PIM: u8 = 103;
const PIM_HELLO: u8 = 0x20;

/// What was seen for one group on one interface.
#[derive(Debug, Default)]
struct Group {
    flows: HashMap<FlowKey, Flow>,
    over: u64,
    report_left: bool,
    /// Packets that can be told from one another, and those of them that came twice.
    told_apart: u64,
    duplicates: u64,
}

/// Sender, port, addressed elsewhere, VLAN.
type FlowKey = (IpAddr, Option<u16>, bool, Option<u16>);

/// Takes the frames of one interface.
pub struct Observer {
    iface: Arc<str>,
    groups: HashMap<IpAddr, Group>,
    queries: Vec<(Duration, QueryHeard)>,
    pim: bool,
    checked: u64,
    hasher: RandomState,
    remembered: VecDeque<(Duration, u64)>,
    counts: HashMap<u64, u32>,
}

impl Observer {
    /// For these groups on an interface.
    pub fn new(iface: &Arc<str>, groups: &[IpAddr]) -> Observer {
        Observer {
            iface: iface.clone(),
            groups: groups.iter().map(|g| (*g, Group::default())).collect(),
            queries: Vec::new(),
            pim: false,
            checked: 0,
            hasher: RandomState::new(),
            remembered: VecDeque::new(),
            counts: HashMap::new(),
        }
    }

    /// Forgets the frames of the groups taken so far: the measurement begins. Queries and reports stay.
    pub fn begin(&mut self) {
        for group in self.groups.values_mut() {
            *group = Group { report_left: group.report_left, ..Group::default() };
        }
    }

    /// Takes one frame, seen this long after the start.
    pub fn take(&mut self, frame: &Frame<'_>, at: Duration) {
        let Ok(ip) = Ip::parse(frame.packet) else { return };
        match ip.protocol {
            ip::IGMP => {
                if let Some(m) = igmp::parse(ip.payload(frame.packet)) {
                    self.managed(&ip, m.message, frame.addressed, at, IpAddr::from);
                }
            }
            ip::ICMPV6 => {
                if let Some(m) = mld::parse(ip.payload(frame.packet)) {
                    self.managed(&ip, m, frame.addressed, at, IpAddr::from);
                }
            }
            PIM => {
                let hello = ip.payload(frame.packet).first() == Some(&PIM_HELLO);
                self.pim |= hello && frame.addressed != Addressed::Outgoing;
            }
            ip::UDP if frame.addressed != Addressed::Outgoing => self.datagram(&ip, frame, at),
            _ => {}
        }
    }

    fn managed<A: Copy>(
        &mut self,
        ip: &Ip,
        message: Message<A>,
        addressed: Addressed,
        at: Duration,
        widen: impl Fn(A) -> IpAddr,
    ) {
        if addressed == Addressed::Outgoing {
            let mut left = |group| {
                if let Some(g) = self.groups.get_mut(&widen(group)) {
                    g.report_left = true;
                }
            };
            match message {
                Message::Report { group, .. } => left(group),
                Message::Records { records, .. } => records.iter().for_each(|r| left(r.group)),
                _ => {}
            }
            return;
        }
        if let Message::Query(q) = message
            && q.group.is_none()
            && self.queries.len() < QUERIES_MAX
        {
            self.queries.push((
                at,
                QueryHeard {
                    iface: self.iface.clone(),
                    from: ip.source,
                    version: q.version,
                    interval_s: q.newest.map(|t| t.interval_s).filter(|&s| s > 0),
                    max_response_ms: q.max_response_ms,
                    age_ns: 0,
                },
            ));
        }
    }

    fn datagram(&mut self, ip: &Ip, frame: &Frame<'_>, at: Duration) {
        if !self.groups.contains_key(&ip.destination) {
            return;
        }
        let whole = ip::datagram(frame.packet).ok().flatten();
        let port = whole.as_ref().map(|d| d.destination.port);
        let twice = self.twice(ip, frame.packet, at);
        let Some(group) = self.groups.get_mut(&ip.destination) else { return };
        group.told_apart += u64::from(twice.is_some());
        group.duplicates += u64::from(twice == Some(true));
        let key = (ip.source, port, frame.addressed == Addressed::Elsewhere, frame.vlan);
        if !group.flows.contains_key(&key) && group.flows.len() >= FLOWS_MAX {
            group.over += 1;
            return;
        }
        let flow = group.flows.entry(key).or_insert_with(|| Flow {
            source: ip.source,
            port,
            elsewhere: key.2,
            vlan: frame.vlan,
            frames: 0,
            fragments: 0,
            bad_checksum: 0,
            bad_length: 0,
            ttl: 0,
            longest: 0,
            route_back: None,
        });
        flow.frames += 1;
        flow.ttl = ip.ttl;
        flow.longest = flow.longest.max(ip.payload.start + ip.payload_len);
        flow.fragments += u64::from(ip.fragment.is_some());
        if let Some(d) = whole.filter(|_| ip.fragment.is_none()) {
            flow.bad_length += u64::from(d.payload_len + ip::UDP_HEADER > ip.payload_len);
            if frame.checksum_is_there && self.checked < CHECKED_MAX {
                self.checked += 1;
                flow.bad_checksum += u64::from(ip::udp_checksum_holds(frame.packet, &d) == Some(false));
            }
        }
    }

    /// Whether just this packet was here before, within a second. Only IPv4 tells packets with the same
    /// contents apart, by the identification; where it is 0 nothing can be said.
    fn twice(&mut self, ip: &Ip, packet: &[u8], at: Duration) -> Option<bool> {
        let id = match (ip.source, packet) {
            (IpAddr::V4(_), [_, _, _, _, a, b, c, d, ..]) if (*a, *b) != (0, 0) => [*a, *b, *c & 0x3f, *d],
            _ => return None,
        };
        while let Some((seen, hash)) = self.remembered.front().copied()
            && (self.remembered.len() >= REMEMBERED || at.saturating_sub(seen) > TWICE_WITHIN)
        {
            self.remembered.pop_front();
            if let Some(n) = self.counts.get_mut(&hash) {
                *n -= 1;
                if *n == 0 {
                    self.counts.remove(&hash);
                }
            }
        }
        let hash = self.hasher.hash_one((id, ip.source, ip.destination, ip.payload(packet)));
        self.remembered.push_back((at, hash));
        let n = self.counts.entry(hash).or_insert(0);
        *n += 1;
        Some(*n > 1)
    }

    /// What was seen of a group, and how many of its packets came twice. `missed` are frames of the
    /// interface that found the look's buffer full.
    pub fn wire(&self, group: IpAddr, missed: u64) -> (Wire, u64) {
        let Some(g) = self.groups.get(&group) else { return (Wire::default(), 0) };
        let mut flows: Vec<Flow> = g.flows.values().cloned().collect();
        flows.sort_by_key(|f| (std::cmp::Reverse(f.frames), f.source, f.port));
        let wire = Wire {
            flows,
            missed: missed + g.over,
            told_apart: g.told_apart,
            report_left: g.report_left,
            pim: self.pim,
        };
        (wire, g.duplicates)
    }

    /// Whether this is the interface that it observes.
    pub fn is_of(&self, iface: &str) -> bool {
        *self.iface == *iface
    }

    /// What was seen of a group and port, where they were not asked for on this interface.
    pub fn elsewhere(&self, group: IpAddr, port: u16) -> Option<Elsewhere> {
        let here = |f: &&Flow| f.port == Some(port) && !f.elsewhere && f.vlan.is_none();
        let flows: Vec<&Flow> = self.groups.get(&group)?.flows.values().filter(here).collect();
        let busiest = flows.iter().max_by_key(|f| f.frames)?;
        let frames = flows.iter().map(|f| f.frames).sum();
        Some(Elsewhere { iface: self.iface.clone(), source: busiest.source, frames })
    }

    /// The general queries heard, with their age at `now`.
    pub fn queries(&self, now: Duration) -> impl Iterator<Item = QueryHeard> {
        self.queries.iter().map(move |(at, q)| QueryHeard {
            age_ns: u64::try_from(now.saturating_sub(*at).as_nanos()).unwrap_or(u64::MAX),
            ..q.clone()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::group::Endpoint;

    const GROUP: &str = "239.1.1.1";

    fn udp(port: u16, payload: &[u8], id: u16) -> Vec<u8> {
        let from = Endpoint::new("10.0.0.9".parse().unwrap(), 9999);
        let mut out = Vec::new();
        ip::build(
            &mut out,
            (from, Endpoint::new(GROUP.parse().unwrap(), port)),
            (1, 0),
            payload,
            payload.len(),
        );
        out[4..6].copy_from_slice(&id.to_be_bytes());
        out
    }

    fn frame(packet: &[u8]) -> Frame<'_> {
        Frame { packet, addressed: Addressed::Here, vlan: None, checksum_is_there: true }
    }

    fn observer() -> Observer {
        Observer::new(&"eth0".into(), &[GROUP.parse().unwrap()])
    }

    #[test]
    fn flows_are_told_apart_by_port_station_and_vlan() {
        let mut o = observer();
        let (a, b) = (udp(5004, b"x", 1), udp(5001, b"x", 2));
        o.take(&frame(&a), Duration::ZERO);
        o.take(&frame(&b), Duration::ZERO);
        o.take(&frame(&udp(5001, b"x", 3)), Duration::ZERO);
        o.take(&Frame { vlan: Some(7), ..frame(&b) }, Duration::ZERO);
        o.take(&Frame { addressed: Addressed::Elsewhere, ..frame(&b) }, Duration::ZERO);
        // What this host sends is not what arrives.
        o.take(&Frame { addressed: Addressed::Outgoing, ..frame(&a) }, Duration::ZERO);
        let (wire, _) = o.wire(GROUP.parse().unwrap(), 5);
        let seen: Vec<_> = wire.flows.iter().map(|f| (f.port, f.elsewhere, f.vlan, f.frames)).collect();
        assert_eq!(seen.len(), 4);
        assert_eq!(seen[0], (Some(5001), false, None, 2));
        assert!(seen.contains(&(Some(5004), false, None, 1)) && seen.contains(&(Some(5001), true, None, 1)));
        assert_eq!(wire.missed, 5);
    }

    #[test]
    fn wrong_checksums_and_lengths_are_counted() {
        let mut o = observer();
        let mut bad = udp(5004, b"payload", 1);
        let last = bad.len() - 1;
        bad[last] ^= 0x55;
        o.take(&frame(&bad), Duration::ZERO);
        // Left to be filled in by an adapter that is not there: no fault.
        o.take(&Frame { checksum_is_there: false, ..frame(&bad) }, Duration::ZERO);
        let mut long = udp(5004, b"payload", 2);
        long[25] += 40;
        o.take(&frame(&long), Duration::ZERO);
        let (wire, _) = o.wire(GROUP.parse().unwrap(), 0);
        assert_eq!((wire.flows[0].frames, wire.flows[0].bad_length), (3, 1));
        assert!(wire.flows[0].bad_checksum >= 1);
    }

    #[test]
    fn a_packet_that_comes_twice_within_a_second_is_a_duplicate() {
        let mut o = observer();
        let ms = Duration::from_millis;
        o.take(&frame(&udp(5004, b"same", 7)), ms(0));
        o.take(&frame(&udp(5004, b"same", 7)), ms(5));
        o.take(&frame(&udp(5004, b"same", 8)), ms(6));
        o.take(&frame(&udp(5004, b"same", 7)), ms(2000));
        o.take(&frame(&udp(5004, b"same", 0)), ms(2000));
        o.take(&frame(&udp(5004, b"same", 0)), ms(2000));
        assert_eq!(o.wire(GROUP.parse().unwrap(), 0).1, 1);
    }

    #[test]
    fn queries_come_in_and_reports_go_out() {
        let mut o = observer();
        let igmp = |destination: [u8; 4], body: &[u8]| {
            let mut p = vec![0x45, 0, 0, (20 + body.len()) as u8, 0, 0, 0, 0, 1, 2, 0, 0, 10, 0, 0, 1];
            p.extend(destination);
            p.extend(body);
            p
        };
        let query = igmp([224, 0, 0, 1], &[0x11, 100, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0]);
        o.take(&frame(&query), Duration::from_secs(1));
        let report = igmp([239, 1, 1, 1], &[0x16, 0, 0, 0, 239, 1, 1, 1]);
        o.take(&frame(&report), Duration::ZERO);
        assert!(!o.wire(GROUP.parse().unwrap(), 0).0.report_left, "somebody else's");
        o.take(&Frame { addressed: Addressed::Outgoing, ..frame(&report) }, Duration::ZERO);
        assert!(o.wire(GROUP.parse().unwrap(), 0).0.report_left);
        let heard: Vec<_> = o.queries(Duration::from_secs(3)).collect();
        assert_eq!(heard.len(), 1);
        assert_eq!((heard[0].version, heard[0].interval_s, heard[0].age_ns), (3, Some(125), 2_000_000_000));
    }
}
