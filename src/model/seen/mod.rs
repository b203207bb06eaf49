//! What taps see on the wire: groups that nobody here joined, and of joined ones how many datagrams
//! should have been delivered.
//!
//! A tap sorts what it sees ([`Sight`]): datagrams that no row of ours takes come whole, of the others
//! only their number comes ([`Tally`]). So a datagram is counted once: on the row that joined its group,
//! as delivered there, or on a row of its own here ([`Wire`]). The figures of joined rows know nothing of
//! taps, but for the comparison in [`compare`], and that a missing number which it explains was lost on this
//! host ([`crate::model::here`]).
//!
//! Bounds: [`GROUPS_MAX`] groups and [`SOURCES_MAX`] senders an interface. When there are more, the group
//! that was quiet for longest makes room if it was so for [`QUIET_NS`]; otherwise the new one is counted on
//! the interface only. Both are counted and shown.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::base::batch::Batch;
use crate::base::group::{Endpoint, MembershipId};
use crate::base::tap::Depth;
use crate::base::time::{SECOND_NS, Wall};
use crate::model::rate::Rate;
use crate::model::source::{Counters, Stamp};
use crate::wire::igmp::Message;

pub mod compare;
mod take;
#[cfg(test)]
mod tests;
mod wire;

pub use wire::{Tapped, Wire};

/// Groups that nobody joined, kept for an interface.
pub const GROUPS_MAX: usize = 1024;
/// Their senders, kept for an interface.
pub const SOURCES_MAX: usize = 16_384;
/// Senders of such a group that are kept with [`crate::model::detail::Detail`].
pub const DETAILED: usize = 4;
/// A group may be forgotten for another when it was quiet for so long, in nanoseconds.
pub const QUIET_NS: u64 = 10 * SECOND_NS;

/// What the tap of an interface is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TapState {
    /// There is none.
    #[default]
    Off,
    /// It looks.
    On {
        /// How deep.
        depth: Depth,
        /// Bytes of its ring.
        ring_bytes: u64,
        /// Since when.
        since: Stamp,
    },
    /// It cannot be had.
    Failed {
        /// What failed, in one line.
        error: String,
        /// What to do about it.
        remedy: Option<String>,
    },
}

impl TapState {
    /// How deep it looks.
    pub fn depth(&self) -> Depth {
        match self {
            TapState::On { depth, .. } => *depth,
            _ => Depth::Off,
        }
    }
}

/// Datagrams that belong together on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Where they go.
    pub to: Endpoint,
    /// The VLAN they were tagged with.
    pub vlan: Option<u16>,
    /// Whether this host sends them.
    pub outgoing: bool,
}

/// Datagrams that a joined row should have got: seen on its interface, and passing its filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// The row.
    pub row: MembershipId,
    /// Who sent them; `None` where there were too many to keep apart.
    pub from: Option<Endpoint>,
    /// The second of wall-clock time in which the kernel received them.
    pub second: i64,
    /// How many.
    pub packets: u64,
}

/// A membership message that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// When the kernel received or sent it.
    pub at: Wall,
    /// Whether this host did.
    pub outgoing: bool,
    /// What it says.
    pub message: Said,
}

/// What a membership message says, and who says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// IGMP.
    V4(Ipv4Addr, Message<Ipv4Addr>),
    /// MLD.
    V6(Ipv6Addr, Message<Ipv6Addr>),
}

/// What a tap counts beside datagrams; each since the sight before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TapCounts {
    /// Frames that found the tap's ring full.
    pub drops: u64,
    /// Datagrams counted, not looked at: the model did not keep up, or their group found no place.
    pub not_analysed: u64,
    /// Their UDP payload, in bytes.
    pub not_analysed_bytes: u64,
    /// Multicast datagrams with a wrong UDP checksum: no host takes them.
    pub bad_checksums: u64,
    /// Fragmented datagrams that were never complete.
    pub incomplete: u64,
}

impl std::ops::AddAssign for TapCounts {
    fn add_assign(&mut self, o: TapCounts) {
        self.drops += o.drops;
        self.not_analysed += o.not_analysed;
        self.not_analysed_bytes += o.not_analysed_bytes;
        self.bad_checksums += o.bad_checksums;
        self.incomplete += o.incomplete;
    }
}

/// What a tap hands over at a time. Memory that is used again and again, as a batch is.
pub struct Sight {
    /// The interface.
    pub iface: Arc<str>,
    /// Datagrams that no row of ours takes; [`crate::base::batch::Datagram::membership`] is the place of
    /// their flow in `flows`.
    pub batch: Batch,
    /// Their flows.
    pub flows: Vec<Flow>,
    /// Numbers of the datagrams that rows of ours take.
    pub tallies: Vec<Tally>,
    /// IGMP and MLD.
    pub heard: Vec<Heard>,
    /// What was counted beside.
    pub counts: TapCounts,
}

impl Default for Sight {
    fn default() -> Self {
        Sight {
            iface: "".into(),
            batch: Batch::new(),
            flows: Vec::new(),
            tallies: Vec::new(),
            heard: Vec::new(),
            counts: TapCounts::default(),
        }
    }
}

impl Sight {
    /// Forgets the contents; the memory stays.
    pub fn clear(&mut self) {
        self.batch.clear();
        self.flows.clear();
        self.tallies.clear();
        self.heard.clear();
        self.counts = TapCounts::default();
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty()
            && self.tallies.is_empty()
            && self.heard.is_empty()
            && self.counts == TapCounts::default()
    }
}

/// What is seen on the wire and not joined, in one line of figures. Frames of VLANs are apart: an
/// interface of the VLAN may show them too.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WireTotals {
    /// Groups, a port each, as far as they are kept.
    pub groups: usize,
    /// Their senders.
    pub sources: usize,
    /// What was analysed, of groups that are forgotten by now as well.
    pub counters: Counters,
    /// The last second; `None` before one is complete.
    pub rate: Option<Rate>,
    /// What taps counted beside.
    pub counts: TapCounts,
    /// Groups forgotten because there were too many.
    pub evicted: u64,
    /// Datagrams of VLANs, with a tag: in none of the other figures.
    pub tagged: u64,
}
