//! The packets kept for looking at: for each group a ring of bytes, newest kept, oldest forgotten.

use std::collections::VecDeque;

use crate::base::batch::Datagram;
use crate::base::time::Mono;
use crate::wire::Protocol;

/// Bytes that all rings together may hold.
pub const BUDGET_BYTES: usize = 32 << 20;
/// Bytes that a ring may hold at most, however few groups there are.
pub const RING_MAX: usize = 2 << 20;
/// Bytes that a ring may hold at least, however many groups there are.
pub const RING_MIN: usize = 32 << 10;
/// A ring starts with this and doubles when it is full, up to its limit.
const RING_START: usize = 4 << 10;

/// One packet kept.
#[derive(Clone, Copy)]
pub struct Packet {
    /// Its number within the group, from 0: stays the same while others come and go.
    pub number: u64,
    /// What the kernel said of it.
    pub datagram: Datagram,
    /// Arrival by the monotonic clock.
    pub mono: Mono,
    /// Nanoseconds since the previous datagram of the same source, if there was one.
    pub gap_ns: Option<u64>,
    /// The protocol its stream was known to carry.
    pub protocol: Option<&'static Protocol>,
    /// Whether this host sent it.
    pub ours: bool,
    at: u64,
    kept: u32,
}

/// A ring of packets with their payloads.
#[derive(Clone, Default)]
pub struct PacketRing {
    data: Vec<u8>,
    entries: VecDeque<Packet>,
    /// Absolute position of the next byte; position modulo capacity is the place in `data`.
    head: u64,
    next: u64,
}

impl PacketRing {
    /// Keeps a packet and forgets the oldest as far as needed. A payload longer than a quarter of
    /// `limit` is cut to that when kept.
    pub fn push(&mut self, mut p: Packet, payload: &[u8], limit: usize) {
        let keep = payload.len().min(limit / 4).max(payload.len().min(64));
        if self.data.len() > limit {
            *self = PacketRing { next: self.next, ..PacketRing::default() };
        }
        while self.data.len() < limit && self.used() + keep + entry_cost() > self.data.len() {
            self.grow(limit);
        }
        let cap = self.data.len() as u64;
        // A payload never wraps: what does not fit before the end starts anew at the front.
        if self.head % cap + keep as u64 > cap {
            self.head += cap - self.head % cap;
        }
        let end = self.head + keep as u64;
        while let Some(oldest) = self.entries.front() {
            if oldest.at + cap < end || self.entries.len() * entry_cost() >= limit {
                self.entries.pop_front();
            } else {
                break;
            }
        }
        let place = (self.head % cap) as usize;
        self.data[place..place + keep].copy_from_slice(&payload[..keep]);
        p.at = self.head;
        p.kept = keep as u32;
        p.number = self.next;
        self.next += 1;
        self.head = end;
        self.entries.push_back(p);
    }

    fn used(&self) -> usize {
        self.entries.front().map_or(0, |oldest| (self.head - oldest.at) as usize)
            + self.entries.len() * entry_cost()
    }

    fn grow(&mut self, limit: usize) {
        let size = (self.data.len() * 2).clamp(RING_START, limit);
        let mut data = vec![0; size];
        let mut head = 0u64;
        for e in &mut self.entries {
            let kept = e.kept as usize;
            let from = (e.at % self.data.len() as u64) as usize;
            data[head as usize..head as usize + kept].copy_from_slice(&self.data[from..from + kept]);
            e.at = head;
            head += kept as u64;
        }
        self.data = data;
        self.head = head;
    }

    /// Number of packets kept.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many packets were ever kept, including those forgotten since.
    pub fn ever(&self) -> u64 {
        self.next
    }

    /// Oldest first; `rev()` for newest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Packet> + ExactSizeIterator {
        self.entries.iter()
    }

    /// The packet of this number, unless it is forgotten.
    pub fn get(&self, number: u64) -> Option<&Packet> {
        let first = self.entries.front()?.number;
        self.entries.get(usize::try_from(number.checked_sub(first)?).ok()?)
    }

    /// The packet that came `back` places before the newest (0: the newest).
    pub fn newest(&self, back: usize) -> Option<&Packet> {
        self.entries.get(self.entries.len().checked_sub(back + 1)?)
    }

    /// The payload kept of a packet of this ring.
    pub fn payload(&self, p: &Packet) -> &[u8] {
        let place = (p.at % self.data.len().max(1) as u64) as usize;
        &self.data[place..place + p.kept as usize]
    }

    /// Forgets all packets; numbers go on.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}

impl std::fmt::Debug for PacketRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PacketRing({} of {} packets)", self.entries.len(), self.next)
    }
}

fn entry_cost() -> usize {
    size_of::<Packet>()
}

impl Packet {
    /// A packet to be kept; its number and place are given by [`PacketRing::push`].
    pub fn new(datagram: Datagram, mono: Mono) -> Self {
        Packet { number: 0, datagram, mono, gap_ns: None, protocol: None, ours: false, at: 0, kept: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::group::{Endpoint, MembershipId};
    use crate::base::time::Wall;

    fn packet(len: usize) -> Packet {
        let from = Endpoint::new("10.0.0.1".parse().unwrap(), 1);
        Packet::new(Datagram::new(MembershipId(0), Wall(0), from, len as u32), Mono(0))
    }

    #[test]
    fn the_newest_packets_are_kept_whole_and_the_ring_stays_in_its_bound() {
        let mut ring = PacketRing::default();
        for i in 0..20_000usize {
            let len = (i * 37) % 1500;
            ring.push(packet(len), &vec![i as u8; len], 64 << 10);
            assert!(ring.data.len() <= 64 << 10);
            assert!(ring.entries.len() * entry_cost() <= (64 << 10) + entry_cost());
        }
        assert!(ring.len() > 20, "{} kept", ring.len());
        for p in ring.iter() {
            let payload = ring.payload(p);
            assert_eq!(payload.len(), p.datagram.len as usize);
            assert!(payload.iter().all(|&b| b == p.number as u8), "packet {}", p.number);
        }
        assert_eq!(ring.newest(0).unwrap().number, 19_999);
        assert_eq!(ring.get(19_990).unwrap().number, 19_990);
        assert!(ring.get(0).is_none());
    }

    #[test]
    fn empty_payloads_and_the_largest_are_kept() {
        let mut ring = PacketRing::default();
        ring.push(packet(0), &[], RING_MAX);
        ring.push(packet(65_507), &vec![7; 65_507], RING_MAX);
        assert!(ring.payload(ring.newest(1).unwrap()).is_empty());
        assert_eq!(ring.payload(ring.newest(0).unwrap()).len(), 65_507);
    }

    #[test]
    fn when_the_limit_shrinks_the_ring_follows() {
        let mut ring = PacketRing::default();
        for _ in 0..500 {
            ring.push(packet(1000), &[1; 1000], RING_MAX);
        }
        ring.push(packet(1000), &[2; 1000], RING_MIN);
        assert_eq!((ring.len(), ring.ever()), (1, 501));
    }
}
