//! The numbers of macOS.

use super::Opt;

pub const SOCKADDR_HAS_LEN: bool = true;

/// Where the group stands in a `group_req`: netinet/in.h packs it to four bytes.
pub const GROUP_REQ_ADDR: usize = 4;

/// Control messages are aligned to, and their header padded to, this many bytes.
pub const CMSG_ALIGN: usize = 4;

const IP: i32 = libc::IPPROTO_IP;
const IP6: i32 = libc::IPPROTO_IPV6;
const SOCKET: i32 = libc::SOL_SOCKET;

pub const MCAST_BLOCK_SOURCE: i32 = libc::MCAST_BLOCK_SOURCE;
pub const MCAST_JOIN_GROUP: i32 = libc::MCAST_JOIN_GROUP;
pub const MCAST_JOIN_SOURCE_GROUP: i32 = libc::MCAST_JOIN_SOURCE_GROUP;
pub const MCAST_LEAVE_GROUP: i32 = libc::MCAST_LEAVE_GROUP;
pub const MCAST_LEAVE_SOURCE_GROUP: i32 = libc::MCAST_LEAVE_SOURCE_GROUP;
pub const MCAST_UNBLOCK_SOURCE: i32 = libc::MCAST_UNBLOCK_SOURCE;

/// Being told the destination and the arrival interface.
pub const TELL_PKTINFO: Opt = Opt::new(IP, libc::IP_PKTINFO, "IP_PKTINFO");
pub const TELL_PKTINFO6: Opt = Opt::new(IP6, libc::IPV6_RECVPKTINFO, "IPV6_RECVPKTINFO");

/// Being told the receive time, TTL and TOS.
pub const TELL_V4: [Opt; 3] = [
    Opt::new(SOCKET, libc::SO_TIMESTAMP, "SO_TIMESTAMP"),
    Opt::new(IP, libc::IP_RECVTTL, "IP_RECVTTL"),
    Opt::new(IP, libc::IP_RECVTOS, "IP_RECVTOS"),
];
/// The same for IPv6.
pub const TELL_V6: [Opt; 3] = [
    Opt::new(SOCKET, libc::SO_TIMESTAMP, "SO_TIMESTAMP"),
    Opt::new(IP6, libc::IPV6_RECVHOPLIMIT, "IPV6_RECVHOPLIMIT"),
    Opt::new(IP6, libc::IPV6_RECVTCLASS, "IPV6_RECVTCLASS"),
];

/// The types that these arrive as.
pub mod told {
    /// Receive time: `timeval`.
    pub const TIME: Option<i32> = Some(libc::SCM_TIMESTAMP);
    /// A microsecond second part.
    pub const TIME_IS_NS: bool = false;
    pub const PKTINFO: i32 = libc::IP_PKTINFO;
    /// Where `in_pktinfo` has the index and the destination.
    pub const PKTINFO_INDEX: usize = 0;
    pub const PKTINFO_ADDR: usize = 8;
    pub const TTL: [i32; 1] = [libc::IP_RECVTTL];
    pub const TOS: [i32; 1] = [libc::IP_RECVTOS];
    pub const PKTINFO6: i32 = libc::IPV6_PKTINFO;
    pub const HOPLIMIT: [i32; 1] = [libc::IPV6_HOPLIMIT];
    pub const TCLASS: [i32; 1] = [libc::IPV6_TCLASS];
}
