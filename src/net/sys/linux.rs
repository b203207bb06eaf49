//! Linux's numbers.

use super::Opt;

pub const SOCKADDR_HAS_LEN: bool = false;

/// Where the group stands in a `group_req`: aligned as `sockaddr_storage` is.
pub const GROUP_REQ_ADDR: usize = align_of::<usize>();

/// Control messages are aligned to, and their header padded to, this many bytes.
pub const CMSG_ALIGN: usize = align_of::<usize>();

const IP: i32 = libc::IPPROTO_IP;
const IP6: i32 = libc::IPPROTO_IPV6;
const SOCKET: i32 = libc::SOL_SOCKET;

pub const MCAST_BLOCK_SOURCE: i32 = libc::MCAST_BLOCK_SOURCE;
pub const MCAST_JOIN_GROUP: i32 = libc::MCAST_JOIN_GROUP;
pub const MCAST_JOIN_SOURCE_GROUP: i32 = libc::MCAST_JOIN_SOURCE_GROUP;
pub const MCAST_LEAVE_GROUP: i32 = libc::MCAST_LEAVE_GROUP;
pub const MCAST_LEAVE_SOURCE_GROUP: i32 = libc::MCAST_LEAVE_SOURCE_GROUP;
/// The whole filter at once; libc does not have it.
pub const MCAST_MSFILTER: i32 = 48;
pub const MCAST_UNBLOCK_SOURCE: i32 = libc::MCAST_UNBLOCK_SOURCE;

/// `IPV6_MULTICAST_ALL` of linux/in6.h, which libc does not have for this target.
const IPV6_MULTICAST_ALL: i32 = 29;

/// Whether sockets get groups that other sockets joined: on unless turned off.
pub const MULTICAST_ALL: Opt = Opt::new(IP, libc::IP_MULTICAST_ALL, "IP_MULTICAST_ALL");
pub const MULTICAST_ALL6: Opt = Opt::new(IP6, IPV6_MULTICAST_ALL, "IPV6_MULTICAST_ALL");
pub const BINDTOIFINDEX: Opt = Opt::new(SOCKET, libc::SO_BINDTOIFINDEX, "SO_BINDTOIFINDEX");
pub const MEMINFO: Opt = Opt::new(SOCKET, libc::SO_MEMINFO, "SO_MEMINFO");
pub const RCVBUFFORCE: Opt = Opt::new(SOCKET, libc::SO_RCVBUFFORCE, "SO_RCVBUFFORCE");

/// Being told the destination and the arrival interface.
pub const TELL_PKTINFO: Opt = Opt::new(IP, libc::IP_PKTINFO, "IP_PKTINFO");
pub const TELL_PKTINFO6: Opt = Opt::new(IP6, libc::IPV6_RECVPKTINFO, "IPV6_RECVPKTINFO");

/// Being told the receive time, TTL and TOS.
pub const TELL_V4: [Opt; 3] = [
    Opt::new(SOCKET, libc::SO_TIMESTAMPNS, "SO_TIMESTAMPNS"),
    Opt::new(IP, libc::IP_RECVTTL, "IP_RECVTTL"),
    Opt::new(IP, libc::IP_RECVTOS, "IP_RECVTOS"),
];
/// The same for IPv6.
pub const TELL_V6: [Opt; 3] = [
    Opt::new(SOCKET, libc::SO_TIMESTAMPNS, "SO_TIMESTAMPNS"),
    Opt::new(IP6, libc::IPV6_RECVHOPLIMIT, "IPV6_RECVHOPLIMIT"),
    Opt::new(IP6, libc::IPV6_RECVTCLASS, "IPV6_RECVTCLASS"),
];

/// The types that these arrive as.
pub mod told {
    /// Receive time: `timespec`.
    pub const TIME: Option<i32> = Some(libc::SCM_TIMESTAMPNS);
    /// A nanosecond second part.
    pub const TIME_IS_NS: bool = true;
    pub const PKTINFO: i32 = libc::IP_PKTINFO;
    /// Where `in_pktinfo` has the index and the destination.
    pub const PKTINFO_INDEX: usize = 0;
    pub const PKTINFO_ADDR: usize = 8;
    pub const TTL: [i32; 1] = [libc::IP_TTL];
    pub const TOS: [i32; 1] = [libc::IP_TOS];
    pub const PKTINFO6: i32 = libc::IPV6_PKTINFO;
    pub const HOPLIMIT: [i32; 1] = [libc::IPV6_HOPLIMIT];
    pub const TCLASS: [i32; 1] = [libc::IPV6_TCLASS];
}
