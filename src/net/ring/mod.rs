//! The memory-mapped packet ring: what arrives on an interface, read from memory that the kernel
//! writes, without a system call for each packet. Linux, with CAP_NET_RAW; elsewhere opening it says so.
//!
//! One ring serves all groups joined on an interface. Three things belong together:
//!
//! | part | what it brings |
//! | --- | --- |
//! | [`Ring`], received | frames that arrived by the interface: an `AF_PACKET` socket (packet(7)) with a `TPACKET_V3` ring, a filter for the groups joined |
//! | [`Ring`], looped | what senders on this host sent to groups joined here, exactly as the kernel loops it back |
//! | [`Member`] | a membership without a port: it makes the host receive the group and fills no buffer |
//!
//! # The loop switch
//!
//! A packet socket sees each datagram that a local sender sends out, whether or not the sender's
//! `IP_MULTICAST_LOOP` is on, and never the looped copy (`PACKET_LOOPBACK`, net/packet/af_packet.c).
//! Whether a stream is looped cannot be told from the frames. So outgoing frames are left out, and the
//! looped copies are taken where the kernel delivers them: from one raw UDP socket a family, tied to the
//! interface, whose filter lets looped packets through and nothing else. The switch, TTL 0, the
//! firewall's rules for local traffic and the sender's fragmentation are then the kernel's own business,
//! and the figures are those of a socket. On the loopback interface everything arrives as received.
//!
//! The price: the kernel makes a reference copy (no payload) of each UDP datagram that this host takes in
//! on that interface before the filter refuses it, and local senders are read one by one.
//!
//! # What differs from a socket
//!
//! The ring sees frames before the firewall, `rp_filter` and whatever else the host does on input
//! (a bridge or bond that the interface is a port of takes its frames away after the ring). Datagrams
//! that arrive glued together by segmentation offload (`UDP_SEGMENT` on the other end of a virtual
//! link) are one datagram here.
//!
//! # The tap
//!
//! The same ring with another filter is a tap ([`Ring::tap`]): it joins nothing, looks at every group, and
//! takes what local senders send as it leaves, since nothing of it is looped back where nobody joined.

use crate::base::time::Wall;

#[cfg(not(target_os = "linux"))]
mod absent;
#[cfg(any(target_os = "linux", test))]
pub(super) mod filter;
#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod looped;
mod member;

#[cfg(not(target_os = "linux"))]
pub use absent::{Block, Frames, Ring, available, tap_available};
#[cfg(target_os = "linux")]
pub use linux::{Block, Frames, Ring, available, tap_available};
#[cfg(target_os = "linux")]
pub(super) use linux::{attach, bind};
pub use member::Member;

/// Bytes of a ring when nothing else is asked for: a quarter of a second of small packets at 100,000 a
/// second.
pub const DEFAULT_BYTES: usize = 8 << 20;

/// An IP packet as the ring has it.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// From the IP header on, with whatever padding the link added behind it.
    pub packet: &'a [u8],
    /// When the kernel received it.
    pub time: Wall,
    /// Whether the UDP checksum needs no look: the adapter or the kernel verified it, or the packet comes
    /// from a sender on this machine that left it to be filled in.
    pub verified: bool,
}

/// What a tap wants to know of a frame besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// This host sent it.
    pub outgoing: bool,
    /// The VLAN whose tag it came with, 1 to 4095; the kernel has taken the tag off.
    pub vlan: Option<u16>,
}

/// What is there to be taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// A block of the ring (or an error to tell).
    pub received: bool,
    /// Something looped back.
    pub looped: bool,
    /// The waker is awake.
    pub woken: bool,
}
