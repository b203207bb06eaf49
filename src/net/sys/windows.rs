//! Windows: options by `setsockopt`, waiting by `WSAPoll`.

use std::io;
use std::os::windows::io::AsRawSocket;
use std::time::Duration;

use socket2::Socket;
use windows_sys::Win32::Networking::WinSock as ws;

use super::{Opt, millis};

pub const AF_INET: u16 = ws::AF_INET;
pub const AF_INET6: u16 = ws::AF_INET6;
pub const IPPROTO_IP: i32 = ws::IPPROTO_IP;
pub const IPPROTO_IPV6: i32 = ws::IPPROTO_IPV6;
pub const SOL_SOCKET: i32 = ws::SOL_SOCKET;

pub const SOCKADDR_HAS_LEN: bool = false;

/// Where the group stands in a `group_req`: a SOCKADDR_STORAGE is aligned to eight bytes.
pub const GROUP_REQ_ADDR: usize = 8;

/// Control messages are aligned to, and their header padded to, this many bytes.
pub const CMSG_ALIGN: usize = align_of::<usize>();

pub const MCAST_BLOCK_SOURCE: i32 = ws::MCAST_BLOCK_SOURCE as i32;
pub const MCAST_JOIN_GROUP: i32 = ws::MCAST_JOIN_GROUP as i32;
pub const MCAST_JOIN_SOURCE_GROUP: i32 = ws::MCAST_JOIN_SOURCE_GROUP as i32;
pub const MCAST_LEAVE_GROUP: i32 = ws::MCAST_LEAVE_GROUP as i32;
pub const MCAST_LEAVE_SOURCE_GROUP: i32 = ws::MCAST_LEAVE_SOURCE_GROUP as i32;
pub const MCAST_UNBLOCK_SOURCE: i32 = ws::MCAST_UNBLOCK_SOURCE as i32;

/// Being told the destination and the arrival interface.
pub const TELL_PKTINFO: Opt = Opt::new(IPPROTO_IP, ws::IP_PKTINFO, "IP_PKTINFO");
pub const TELL_PKTINFO6: Opt = Opt::new(IPPROTO_IPV6, ws::IPV6_PKTINFO, "IPV6_PKTINFO");

/// Being told the TTL and TOS. The receive time is the receive call's: the system's own timestamps are
/// ticks of another clock, and not every network card driver has them.
pub const TELL_V4: [Opt; 2] =
    [Opt::new(IPPROTO_IP, ws::IP_RECVTTL, "IP_RECVTTL"), Opt::new(IPPROTO_IP, ws::IP_RECVTOS, "IP_RECVTOS")];
/// The same for IPv6.
pub const TELL_V6: [Opt; 2] = [
    Opt::new(IPPROTO_IPV6, ws::IPV6_HOPLIMIT, "IPV6_HOPLIMIT"),
    Opt::new(IPPROTO_IPV6, ws::IPV6_RECVTCLASS, "IPV6_RECVTCLASS"),
];

/// The types that these arrive as.
pub mod told {
    use windows_sys::Win32::Networking::WinSock as ws;

    /// No receive time is asked for.
    pub const TIME: Option<i32> = None;
    pub const TIME_IS_NS: bool = true;
    pub const PKTINFO: i32 = ws::IP_PKTINFO;
    /// Where `IN_PKTINFO` has the index and the destination.
    pub const PKTINFO_INDEX: usize = 4;
    pub const PKTINFO_ADDR: usize = 0;
    // By the option that sets the field or by the one that asks for it: versions differ.
    pub const TTL: [i32; 2] = [ws::IP_TTL, ws::IP_HOPLIMIT];
    pub const TOS: [i32; 2] = [ws::IP_TOS, ws::IP_RECVTOS];
    pub const PKTINFO6: i32 = ws::IPV6_PKTINFO;
    pub const HOPLIMIT: [i32; 1] = [ws::IPV6_HOPLIMIT];
    pub const TCLASS: [i32; 2] = [ws::IPV6_TCLASS, ws::IPV6_RECVTCLASS];
}

/// The error numbers that a user can do something about. Names of errors that Windows does not have
/// get negative numbers, which no call returns.
pub mod errno {
    use windows_sys::Win32::Networking::WinSock as ws;

    pub const ACCES: i32 = ws::WSAEACCES;
    pub const PERM: i32 = -1;
    pub const ADDRINUSE: i32 = ws::WSAEADDRINUSE;
    pub const ADDRNOTAVAIL: i32 = ws::WSAEADDRNOTAVAIL;
    pub const AFNOSUPPORT: i32 = ws::WSAEAFNOSUPPORT;
    pub const CONNREFUSED: i32 = ws::WSAECONNREFUSED;
    pub const HOSTUNREACH: i32 = ws::WSAEHOSTUNREACH;
    pub const INVAL: i32 = ws::WSAEINVAL;
    pub const MFILE: i32 = ws::WSAEMFILE;
    pub const NFILE: i32 = -2;
    pub const MSGSIZE: i32 = ws::WSAEMSGSIZE;
    pub const NETDOWN: i32 = ws::WSAENETDOWN;
    pub const NETUNREACH: i32 = ws::WSAENETUNREACH;
    pub const NOBUFS: i32 = ws::WSAENOBUFS;
    pub const NODEV: i32 = -3;
    pub const NOMEM: i32 = -4;
    pub const NOPROTOOPT: i32 = ws::WSAENOPROTOOPT;
    pub const NXIO: i32 = -5;
}

/// What is waited on.
pub type Handle = ws::SOCKET;

/// The handle of a socket.
pub fn handle(socket: &Socket) -> Handle {
    socket.as_raw_socket() as Handle
}

/// Sets an option to these bytes.
pub fn set_bytes(socket: &Socket, opt: Opt, value: &[u8]) -> io::Result<()> {
    // SAFETY: pointer and length are those of a live slice, which the system only reads.
    let result =
        unsafe { ws::setsockopt(handle(socket), opt.level, opt.name, value.as_ptr(), value.len() as i32) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sets an option that is a DWORD.
pub fn set_int(socket: &Socket, opt: Opt, value: i32) -> io::Result<()> {
    set_bytes(socket, opt, &value.to_ne_bytes())
}

/// The interface that multicast is sent on: an index is taken as an address 0.x.x.x.
pub fn set_multicast_if_v4(socket: &Socket, ifindex: u32) -> io::Result<()> {
    let opt = Opt::new(IPPROTO_IP, ws::IP_MULTICAST_IF, "IP_MULTICAST_IF");
    set_bytes(socket, opt, &ifindex.to_be_bytes())
}

/// The traffic class byte of what is sent.
pub fn set_tclass(socket: &Socket, tclass: u32) -> io::Result<()> {
    set_int(socket, Opt::new(IPPROTO_IPV6, ws::IPV6_TCLASS, "IPV6_TCLASS"), tclass as i32)
}

/// What is awaited of a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Something to receive.
    Read,
    /// Room to send.
    Write,
}

/// Waits until one of `wanted` is ready or has an error, or for `timeout` (`None`: without end).
pub fn poll<const N: usize>(wanted: [(Handle, Want); N], timeout: Option<Duration>) -> io::Result<[bool; N]> {
    let mut fds = wanted.map(|(fd, want)| ws::WSAPOLLFD {
        fd,
        events: match want {
            Want::Read => ws::POLLRDNORM,
            Want::Write => ws::POLLWRNORM,
        },
        revents: 0,
    });
    // SAFETY: the pointer and the length are those of a live array of WSAPOLLFD.
    let n = unsafe { ws::WSAPoll(fds.as_mut_ptr(), N as u32, millis(timeout)) };
    if n < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(fds.map(|fd| fd.revents != 0))
}
