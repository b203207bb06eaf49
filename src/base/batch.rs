//! The batch: many datagrams received in one call, with what the kernel said of each.
//!
//! A batch is a piece of memory that is used again and again. A receiver fills it in place, the
//! model reads it, and it goes back to the pool: no datagram is copied or allocated on that way.
//!
//! Each slot has a small area of [`SMALL`] bytes, dense so that usual traffic stays in the cache,
//! and a large one of [`LARGE`] bytes that the operating system backs with memory only when a
//! datagram needs it.

use crate::base::group::{Endpoint, MembershipId};
use crate::base::time::{Now, Wall};

/// Datagrams in a batch. More in one call gain little: measured, 32 is past the knee.
pub const SLOTS: usize = 32;

/// Datagrams in a batch that is packed ([`Batch::pack`]).
pub const PACKED: usize = 256;

/// Bytes of a slot's dense area: an Ethernet MTU of 1500 fits.
pub const SMALL: usize = 2048;

/// Bytes of a slot's large area: the largest UDP payload (65,507 bytes over IPv4, 65,527 over IPv6)
/// fits.
pub const LARGE: usize = 65_536;

/// What the kernel said of one datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The membership it was received for.
    pub membership: MembershipId,
    /// Kernel receive time (wall clock); the receive call's time where the system has none.
    pub time: Wall,
    /// Who sent it.
    pub source: Endpoint,
    /// The interface it arrived on, 0 if unknown.
    pub ifindex: u32,
    /// True length of the UDP payload in bytes, even if cut.
    pub len: u32,
    /// Bytes of it that are in the batch.
    pub captured: u32,
    /// TTL (IPv4) or hop limit (IPv6) on arrival.
    pub ttl: Option<u8>,
    /// TOS (IPv4) or traffic class (IPv6) byte: DSCP in the upper six bits, ECN in the lower two.
    pub tos: Option<u8>,
    /// Where the payload begins in its area.
    at: u32,
}

/// How datagrams come from the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Capture {
    /// By a socket for each membership.
    #[default]
    Sockets,
    /// By a memory-mapped packet ring for each interface.
    Ring,
}

impl Capture {
    /// The word that chooses it.
    pub fn word(self) -> &'static str {
        match self {
            Capture::Sockets => "sockets",
            Capture::Ring => "ring",
        }
    }
}

/// The running account of a membership: what its receiver counted beside the datagrams.
///
/// Cumulative since the row was asked for, over all sockets it had; a later account replaces an
/// earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Whose account it is.
    pub membership: MembershipId,
    /// Datagrams that the kernel dropped at this socket's buffer; `None` where the system does not
    /// say, and with a packet ring, whose drops are the interface's.
    pub socket_drops: Option<u64>,
    /// Datagrams counted by the receiver but not handed on.
    pub not_analysed: u64,
    /// Their UDP payload, in bytes.
    pub not_analysed_bytes: u64,
}

/// Datagrams on their way from a receiver to the model.
pub struct Batch {
    datagrams: Vec<Datagram>,
    /// Accounts that moved since they were last told.
    pub accounts: Vec<Account>,
    /// Both clocks when the batch was received: they convert its kernel times.
    pub received: Now,
    small: Box<[u8]>,
    large: Box<[u8]>,
    /// What is packed: bytes of the small areas, and large areas.
    packed: (usize, usize),
}

impl Default for Batch {
    fn default() -> Self {
        Self::new()
    }
}

impl Batch {
    /// An empty batch of [`SLOTS`] slots. The zeroed areas are asked for in one piece, so that the
    /// operating system can leave them unbacked until they are written.
    pub fn new() -> Self {
        Batch {
            datagrams: Vec::with_capacity(SLOTS),
            accounts: Vec::with_capacity(1),
            received: Now::default(),
            small: vec![0; SLOTS * SMALL].into_boxed_slice(),
            large: vec![0; SLOTS * LARGE].into_boxed_slice(),
            packed: (0, 0),
        }
    }

    /// Forgets the contents; the memory stays.
    pub fn clear(&mut self) {
        self.datagrams.clear();
        self.accounts.clear();
        self.packed = (0, 0);
    }

    /// The datagrams, in the order of their arrival.
    pub fn datagrams(&self) -> &[Datagram] {
        &self.datagrams
    }

    /// Whether no slot is free.
    pub fn is_full(&self) -> bool {
        self.datagrams.len() >= SLOTS
    }

    /// Whether there is nothing in it: neither datagrams nor accounts.
    pub fn is_empty(&self) -> bool {
        self.datagrams.is_empty() && self.accounts.is_empty()
    }

    /// The bytes of a datagram of this batch that were captured.
    pub fn payload(&self, d: &Datagram) -> &[u8] {
        let (at, captured) = (d.at as usize, d.captured as usize);
        if captured <= SMALL { &self.small[at..][..captured] } else { &self.large[at..][..captured] }
    }

    /// Keeps the datagrams that `keep` says, which may also give them to another row.
    pub fn retain(&mut self, keep: impl FnMut(&mut Datagram) -> bool) {
        self.datagrams.retain_mut(keep);
    }

    /// Keeps the first `n` datagrams.
    pub fn truncate(&mut self, n: usize) {
        self.datagrams.truncate(n);
    }

    /// The two areas of each slot from `first` on, to be filled one after the other: the first
    /// [`SMALL`] bytes of a datagram go into the first area, what is longer into the second. Then
    /// [`Batch::push`] says what is there.
    pub fn areas(&mut self, first: usize) -> impl Iterator<Item = (&mut [u8], &mut [u8])> {
        let small = self.small.chunks_exact_mut(SMALL).skip(first);
        let large = self.large.chunks_exact_mut(LARGE).skip(first);
        small.zip(large.map(|l| &mut l[SMALL..]))
    }

    /// Adds the datagram that lies in `slot`: `d.captured` bytes, of which the first [`SMALL`] are
    /// in the small area. One longer than that is made contiguous here, at the price of copying its
    /// first [`SMALL`] bytes.
    ///
    /// # Panics
    /// If `slot` is not below [`SLOTS`] or `captured` is above [`LARGE`].
    pub fn push(&mut self, slot: usize, mut d: Datagram) {
        assert!(slot < SLOTS && d.captured as usize <= LARGE, "slot {slot}, {} bytes", d.captured);
        if d.captured as usize > SMALL {
            self.large[slot * LARGE..][..SMALL].copy_from_slice(&self.small[slot * SMALL..][..SMALL]);
        }
        d.at = place(slot, d.captured as usize);
        self.datagrams.push(d);
    }

    /// Adds a datagram with a copy of its payload right behind the one before, so that up to
    /// [`PACKED`] find room; `d.captured` is set to what was copied. False, and nothing added, if there
    /// is no room for it: an empty batch has room for any. Not to be mixed with other ways of adding.
    pub fn pack(&mut self, mut d: Datagram, payload: &[u8]) -> bool {
        let n = payload.len().min(LARGE);
        let (used, slots) = &mut self.packed;
        if self.datagrams.len() >= PACKED {
            return false;
        }
        if n <= SMALL {
            let Some(room) = self.small.get_mut(*used..*used + n) else { return false };
            room.copy_from_slice(&payload[..n]);
            d.at = *used as u32;
            *used += n;
        } else {
            if *slots == SLOTS {
                return false;
            }
            self.large[*slots * LARGE..][..n].copy_from_slice(&payload[..n]);
            d.at = place(*slots, n);
            *slots += 1;
        }
        d.captured = n as u32;
        self.datagrams.push(d);
        true
    }

    /// Adds a datagram with a copy of its payload, for sources that are not sockets: generated
    /// traffic, capture files, tests. `d.captured` is set to what was copied.
    ///
    /// # Panics
    /// If the batch is full.
    pub fn push_copy(&mut self, mut d: Datagram, payload: &[u8]) {
        let slot = self.datagrams.len();
        let n = payload.len().min(LARGE);
        let area = if n <= SMALL {
            &mut self.small[slot * SMALL..][..n]
        } else {
            &mut self.large[slot * LARGE..][..n]
        };
        area.copy_from_slice(&payload[..n]);
        d.captured = n as u32;
        d.at = place(slot, n);
        self.datagrams.push(d);
    }
}

/// Where a slot's payload of `n` bytes begins in its area.
fn place(slot: usize, n: usize) -> u32 {
    (slot * if n <= SMALL { SMALL } else { LARGE }) as u32
}

impl Datagram {
    /// A datagram of `len` bytes, all captured, without marking.
    pub fn new(membership: MembershipId, time: Wall, source: Endpoint, len: u32) -> Self {
        Datagram { membership, time, source, ifindex: 0, len, captured: len, ttl: None, tos: None, at: 0 }
    }

    /// Whether less than the whole payload was captured.
    pub fn is_truncated(&self) -> bool {
        self.captured < self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(len: u32) -> Datagram {
        Datagram::new(MembershipId(0), Wall(0), Endpoint::new("10.0.0.1".parse().unwrap(), 9), len)
    }

    #[test]
    fn a_long_datagram_received_into_two_areas_reads_as_one() {
        let mut batch = Batch::new();
        let (small, large) = batch.areas(3).next().unwrap();
        small.fill(1);
        large[..952].fill(2);
        batch.push(3, datagram(3000));
        let payload = batch.payload(&batch.datagrams()[0]);
        assert_eq!(payload.len(), 3000);
        assert!(payload[..SMALL].iter().all(|&b| b == 1) && payload[SMALL..].iter().all(|&b| b == 2));
    }

    #[test]
    fn packed_datagrams_of_all_sizes_read_back_until_there_is_no_room() {
        for sizes in [&[0usize, 1, 200, 1472, 2048][..], &[2049, 65_507], &[60_000, 7, 9000], &[200]] {
            let mut batch = Batch::new();
            for _ in 0..2 {
                batch.clear();
                let payload = |i: usize| vec![i as u8; sizes[i % sizes.len()]];
                let mut count = 0;
                while batch.pack(datagram(payload(count).len() as u32), &payload(count)) {
                    count += 1;
                }
                assert!((SLOTS..=PACKED).contains(&count), "{count} of {sizes:?}");
                for (i, d) in batch.datagrams().iter().enumerate() {
                    assert!(batch.payload(d) == payload(i), "{i} of {sizes:?}");
                }
            }
        }
    }

    #[test]
    fn the_largest_datagram_is_kept_whole() {
        let mut batch = Batch::new();
        let bytes: Vec<u8> = (0..65_507u32).map(|i| i as u8).collect();
        batch.push_copy(datagram(65_507), &bytes);
        batch.push_copy(datagram(0), &[]);
        assert_eq!(batch.payload(&batch.datagrams()[0]), &bytes[..]);
        assert!(batch.payload(&batch.datagrams()[1]).is_empty());
    }
}
