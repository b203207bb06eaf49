//! Fragments put together: IPv4 (RFC 791, RFC 815) and IPv6 (RFC 8200 section 4.5).
//!
//! Bounds: [`PACKETS`] packets at a time and [`MEMORY`] bytes; the oldest makes room for a new one. What is
//! not complete [`TIMEOUT_V4_NS`] or [`TIMEOUT_V6_NS`] after its first fragment is given up; time is that of
//! the packets. A piece that was there already changes nothing; pieces that overlap otherwise make an end
//! of their packet and of whatever else comes of it (RFC 5722, which Linux holds IPv4 to as well).

use std::net::IpAddr;
use std::ops::Range;

use crate::base::time::{SECOND_NS, Wall};
use crate::wire::ip::{self, IPV4_HEADER, IPV6_HEADER, Ip};

/// Packets under way at a time.
pub const PACKETS: usize = 256;
/// Bytes that they may take.
pub const MEMORY: usize = 4 << 20;
/// What an IPv4 packet is waited for, in nanoseconds: as long as Linux does (net.ipv4.ipfrag_time).
pub const TIMEOUT_V4_NS: u64 = 30 * SECOND_NS;
/// What an IPv6 packet is waited for, in nanoseconds (RFC 8200 section 4.5).
pub const TIMEOUT_V6_NS: u64 = 60 * SECOND_NS;

/// Stretches that a packet may be known in; senders make their fragments in order, so that more is hostile.
const STRETCHES: usize = 64;
/// The largest packet without its header, and the largest IPv4 packet with it.
const LARGEST: usize = 65_535;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    /// IPv6 leaves the protocol out.
    protocol: u8,
    id: u32,
}

struct Partial {
    key: Key,
    since: Wall,
    /// A header without options or extensions, and behind it what is known.
    packet: Vec<u8>,
    /// What is known, behind the header: apart from each other and in order.
    known: Vec<Range<usize>>,
    /// Where it ends, once that is known.
    end: Option<usize>,
    /// From the first fragment: what the packet carries, TTL, TOS.
    head: Option<(u8, u8, u8)>,
    /// The ECN code points seen, a bit each.
    ecn: u8,
    verified: bool,
    /// Overlapped: what still comes of it is passed over.
    dead: bool,
}

/// Packets under way.
#[derive(Default)]
pub struct Reassembler {
    partial: Vec<Partial>,
    memory: usize,
    /// The packet that was completed last, and memory to use again.
    done: Vec<u8>,
    given_up: u64,
}

/// A piece of a packet, with what its header says of the whole.
struct Piece<'a> {
    key: Key,
    header: usize,
    range: Range<usize>,
    more: bool,
    bytes: &'a [u8],
    ttl: u8,
    tos: u8,
    protocol: u8,
}

impl Reassembler {
    /// Takes a fragment: a whole IP packet `b` that [`crate::wire::input::input`] calls one, received at
    /// `now`. If its packet is now complete: that packet, with a header that has neither options nor
    /// extensions, and whether all of its fragments were `verified`.
    pub fn add(&mut self, b: &[u8], now: Wall, verified: bool) -> Option<(&[u8], bool)> {
        let piece = piece(b)?;
        self.expire(now);
        let at = match self.partial.iter().position(|p| p.key == piece.key) {
            Some(at) => at,
            None => self.begin(&piece, now),
        };
        let p = &mut self.partial[at];
        if p.dead {
            return None;
        }
        p.verified &= verified;
        let before = p.packet.capacity();
        let outcome = p.put(&piece);
        self.memory = self.memory - before + p.packet.capacity();
        match outcome {
            Put::More => {
                while self.memory > MEMORY && self.drop_oldest(Some(piece.key)) {}
                None
            }
            Put::Bad => {
                self.memory -= p.packet.capacity();
                (p.dead, p.packet, p.known) = (true, Vec::new(), Vec::new());
                self.given_up += 1;
                None
            }
            Put::Complete => {
                let p = self.partial.swap_remove(at);
                self.memory -= p.packet.capacity();
                let verified = p.verified;
                self.done = p.finish()?;
                Some((&self.done, verified))
            }
        }
    }

    /// Packets that were never complete, so far.
    pub fn given_up(&self) -> u64 {
        self.given_up
    }

    fn expire(&mut self, now: Wall) {
        let Reassembler { partial, memory, given_up, .. } = self;
        partial.retain(|p| {
            let patience = if p.key.source.is_ipv4() { TIMEOUT_V4_NS } else { TIMEOUT_V6_NS };
            // A clock that was set back makes them neither older nor younger.
            let keep = now.0.saturating_sub(p.since.0) <= patience as i64;
            if !keep {
                *memory -= p.packet.capacity();
                *given_up += u64::from(!p.dead);
            }
            keep
        });
    }

    fn begin(&mut self, piece: &Piece<'_>, now: Wall) -> usize {
        if self.partial.len() == PACKETS {
            self.drop_oldest(None);
        }
        let mut packet = std::mem::take(&mut self.done);
        packet.clear();
        self.memory += packet.capacity();
        self.partial.push(Partial {
            key: piece.key,
            since: now,
            packet,
            known: Vec::new(),
            end: None,
            head: None,
            ecn: 0,
            verified: true,
            dead: false,
        });
        self.partial.len() - 1
    }

    /// Gives up the packet that has waited longest, but for this one; whether there was one.
    fn drop_oldest(&mut self, but: Option<Key>) -> bool {
        let others = (0..self.partial.len()).filter(|&i| Some(self.partial[i].key) != but);
        let Some(oldest) = others.min_by_key(|&i| self.partial[i].since.0) else { return false };
        let p = self.partial.swap_remove(oldest);
        self.memory -= p.packet.capacity();
        self.given_up += u64::from(!p.dead);
        true
    }
}

enum Put {
    More,
    Complete,
    Bad,
}

impl Partial {
    fn put(&mut self, piece: &Piece<'_>) -> Put {
        let Range { start, end } = piece.range;
        if self.known.iter().any(|k| k.start <= start && end <= k.end) {
            // Seen before; it may still say where the end is.
            return if piece.more { Put::More } else { self.ends_at(end) };
        }
        let at = self.known.partition_point(|k| k.end <= start);
        if self.known.get(at).is_some_and(|k| k.start < end) {
            return Put::Bad;
        }
        if self.end.is_some_and(|e| end > e) {
            return Put::Bad;
        }
        let header = piece.header;
        if self.packet.len() < header + end {
            self.packet.resize(header + end, 0);
        }
        self.packet[header + start..header + end].copy_from_slice(piece.bytes);
        self.ecn |= 1 << (piece.tos & 3);
        if start == 0 {
            self.head = Some((piece.protocol, piece.ttl, piece.tos));
        }
        // Joined with the neighbours that it touches.
        let with_next = self.known.get(at).is_some_and(|k| k.start == end);
        let with_last = at > 0 && self.known[at - 1].end == start;
        match (with_last, with_next) {
            (true, true) => {
                self.known[at - 1].end = self.known[at].end;
                self.known.remove(at);
            }
            (true, false) => self.known[at - 1].end = end,
            (false, true) => self.known[at].start = start,
            (false, false) if self.known.len() == STRETCHES => return Put::Bad,
            (false, false) => self.known.insert(at, start..end),
        }
        if piece.more { self.complete() } else { self.ends_at(end) }
    }

    /// The last fragment says where the packet ends.
    fn ends_at(&mut self, end: usize) -> Put {
        let beyond = self.known.last().is_some_and(|k| k.end > end);
        if beyond || self.end.is_some_and(|e| e != end) {
            return Put::Bad;
        }
        self.end = Some(end);
        self.complete()
    }

    fn complete(&self) -> Put {
        match (&self.known[..], self.end) {
            ([only], Some(end)) if only.start == 0 && only.end == end => Put::Complete,
            _ => Put::More,
        }
    }

    /// The whole packet, with its header.
    fn finish(self) -> Option<Vec<u8>> {
        let (protocol, ttl, tos) = self.head?;
        // RFC 3168 section 5.3: congestion that one fragment met, the packet met; those that know no
        // congestion do not mix with those that do.
        const NOT_ECT: u8 = 1;
        const CE: u8 = 1 << 3;
        let tos = match self.ecn {
            mixed if mixed & NOT_ECT != 0 && mixed != NOT_ECT => return None,
            marked if marked & CE != 0 => tos | 3,
            _ => tos,
        };
        let mut b = self.packet;
        match (self.key.source, self.key.destination) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let total = u16::try_from(b.len()).ok()?.to_be_bytes();
                b[..10].copy_from_slice(&[0x45, tos, total[0], total[1], 0, 0, 0, 0, ttl, protocol]);
                b[10..12].fill(0);
                b[12..16].copy_from_slice(&from.octets());
                b[16..20].copy_from_slice(&to.octets());
                let sum = ip::checksum(&[&b[..IPV4_HEADER]]).to_be_bytes();
                b[10..12].copy_from_slice(&sum);
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let len = u16::try_from(b.len() - IPV6_HEADER).ok()?.to_be_bytes();
                b[..8].copy_from_slice(&[0x60 | tos >> 4, tos << 4, 0, 0, len[0], len[1], protocol, ttl]);
                b[8..24].copy_from_slice(&from.octets());
                b[24..40].copy_from_slice(&to.octets());
            }
            _ => return None,
        }
        Some(b)
    }
}

/// Reads a fragment; `None` if it can be none of a packet.
fn piece(b: &[u8]) -> Option<Piece<'_>> {
    let parsed = Ip::parse(b).ok()?;
    let fragment = parsed.fragment?;
    let v4 = parsed.source.is_ipv4();
    let (header, start, protocol) = if v4 {
        (IPV4_HEADER, parsed.payload.start, parsed.protocol)
    } else {
        let (start, next) = behind_fragment_header(b)?;
        (IPV6_HEADER, start, next)
    };
    let mut bytes = b.get(start..parsed.payload.end)?;
    let whole = parsed.payload.len() == parsed.payload_len;
    if fragment.more && bytes.len() % 8 != 0 {
        // RFC 8200 section 4.5 refuses it; of IPv4, what is beyond the last 8 is left out.
        if !v4 {
            return None;
        }
        bytes = &bytes[..bytes.len() / 8 * 8];
    }
    let range = fragment.offset..fragment.offset + bytes.len();
    let largest = if v4 { LARGEST - IPV4_HEADER } else { LARGEST };
    if !whole || range.is_empty() || range.end > largest {
        return None;
    }
    let key = Key {
        source: parsed.source,
        destination: parsed.destination,
        protocol: if v4 { protocol } else { 0 },
        id: fragment.id,
    };
    let Ip { ttl, tos, .. } = parsed;
    Some(Piece { key, header, range, more: fragment.more, bytes, ttl, tos, protocol })
}

/// Where an IPv6 fragment's bytes begin, and what they begin with: headers that follow the fragment header
/// belong to them.
fn behind_fragment_header(b: &[u8]) -> Option<(usize, u8)> {
    let (mut at, mut next) = (IPV6_HEADER, *b.get(6)?);
    // As many as a packet can have, and then the fragment header.
    for _ in 0..8 {
        let (following, length) = (*b.get(at)?, usize::from(*b.get(at + 1)?));
        match next {
            44 => return Some((at + 8, following)),
            0 | 43 | 60 => at += 8 * (1 + length),
            _ => return None,
        }
        next = following;
    }
    None
}

#[cfg(test)]
mod tests;
