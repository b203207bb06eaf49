//! What differs between systems and is no more than a number, a structure or one call.
//!
//! Structures that the kernel reads or writes are made and read as bytes: no layout is assumed that a
//! test does not compare with the system's own.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use socket2::Socket;

use crate::base::group::Endpoint;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub use unix::*;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub use windows::*;

#[cfg(not(any(target_os = "linux", target_os = "macos", windows)))]
compile_error!("mcscope knows the socket options of Linux, macOS and Windows only");

/// A socket option with the name that its errors are told by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opt {
    pub level: i32,
    pub name: i32,
    pub text: &'static str,
}

impl Opt {
    const fn new(level: i32, name: i32, text: &'static str) -> Opt {
        Opt { level, name, text }
    }
}

/// Bytes of a `sockaddr_storage`, on every system.
pub const STORAGE: usize = 128;

/// Bytes that hold the longer of `sockaddr_in` (16) and `sockaddr_in6` (28).
pub const NAME: usize = 32;

/// A socket address as the system's `sockaddr_in` or `sockaddr_in6`, zero behind it.
pub fn sockaddr(addr: SocketAddr) -> [u8; STORAGE] {
    let mut out = [0; STORAGE];
    let (family, len) = match addr {
        SocketAddr::V4(_) => (AF_INET, 16),
        SocketAddr::V6(_) => (AF_INET6, 28),
    };
    if SOCKADDR_HAS_LEN {
        out[0] = len;
        out[1] = family as u8;
    } else {
        out[..2].copy_from_slice(&family.to_ne_bytes());
    }
    out[2..4].copy_from_slice(&addr.port().to_be_bytes());
    match addr {
        SocketAddr::V4(a) => out[4..8].copy_from_slice(&a.ip().octets()),
        SocketAddr::V6(a) => {
            out[8..24].copy_from_slice(&a.ip().octets());
            out[24..28].copy_from_slice(&a.scope_id().to_ne_bytes());
        }
    }
    out
}

/// The endpoint in a `sockaddr_in` or `sockaddr_in6` that the kernel wrote.
pub fn endpoint(name: &[u8]) -> Option<Endpoint> {
    let family = if SOCKADDR_HAS_LEN {
        u16::from(*name.get(1)?)
    } else {
        u16::from_ne_bytes(*name.first_chunk::<2>()?)
    };
    let port = u16::from_be_bytes(*name.get(2..)?.first_chunk()?);
    let ip = match family {
        AF_INET => IpAddr::V4(Ipv4Addr::from(*name.get(4..)?.first_chunk::<4>()?)),
        AF_INET6 => IpAddr::V6(Ipv6Addr::from(*name.get(8..)?.first_chunk::<16>()?)),
        _ => return None,
    };
    Some(Endpoint { ip, port })
}

/// Bytes of a `group_source_req`.
const GROUP_SOURCE_REQ: usize = GROUP_REQ_ADDR + 2 * STORAGE;

/// A request of RFC 3678 section 5: `group_req` {interface, group}, or `group_source_req`
/// {interface, group, source}.
pub struct GroupRequest {
    bytes: [u8; GROUP_SOURCE_REQ],
    len: usize,
}

impl GroupRequest {
    pub fn new(ifindex: u32, group: IpAddr, source: Option<IpAddr>) -> GroupRequest {
        let mut bytes = [0; GROUP_SOURCE_REQ];
        bytes[..4].copy_from_slice(&ifindex.to_ne_bytes());
        bytes[GROUP_REQ_ADDR..][..STORAGE].copy_from_slice(&sockaddr(SocketAddr::new(group, 0)));
        let mut len = GROUP_REQ_ADDR + STORAGE;
        if let Some(source) = source {
            bytes[len..][..STORAGE].copy_from_slice(&sockaddr(SocketAddr::new(source, 0)));
            len += STORAGE;
        }
        GroupRequest { bytes, len }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The whole filter of a membership, RFC 3678 section 5.2.2: `group_filter` {interface, group, mode,
/// number of sources, sources}. `include`: only these senders; otherwise everybody but these.
#[cfg(target_os = "linux")]
pub fn group_filter(ifindex: u32, group: IpAddr, include: bool, sources: &[IpAddr]) -> Vec<u8> {
    let request = GroupRequest::new(ifindex, group, None);
    let mut bytes = request.bytes().to_vec();
    // MCAST_EXCLUDE is 0, MCAST_INCLUDE is 1.
    bytes.extend(u32::from(include).to_ne_bytes());
    bytes.extend((sources.len() as u32).to_ne_bytes());
    for source in sources {
        bytes.extend(sockaddr(SocketAddr::new(*source, 0)));
    }
    bytes
}

/// A timeout for `poll`: whole milliseconds, rounded up so that a wait is never cut short to a spin.
fn millis(timeout: Option<Duration>) -> i32 {
    match timeout {
        None => -1,
        Some(t) => i32::try_from(t.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX),
    }
}

/// Asks to be told of each datagram received: time, destination and arrival interface, TTL, TOS. What
/// the system does not know stays untold, except for the destination, which is needed.
pub fn tell(socket: &Socket, v4: bool) -> Result<(), (Opt, io::Error)> {
    let (destination, more) = if v4 { (TELL_PKTINFO, TELL_V4) } else { (TELL_PKTINFO6, TELL_V6) };
    set_int(socket, destination, 1).map_err(|e| (destination, e))?;
    for option in more {
        match set_int(socket, option, 1) {
            Err(e) if !matches!(e.raw_os_error(), Some(errno::NOPROTOOPT | errno::INVAL)) => {
                return Err((option, e));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether this is the loopback interface: the first one in every network namespace of Linux, on macOS
/// and on Windows.
pub fn is_loopback(ifindex: u32) -> bool {
    ifindex == 1
}

/// The level that the RFC 3678 options of a group's family belong to.
pub fn group_level(group: IpAddr) -> i32 {
    if group.is_ipv4() { IPPROTO_IP } else { IPPROTO_IPV6 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{SocketAddrV4, SocketAddrV6};

    #[test]
    fn timeouts_are_rounded_up_and_never_overflow() {
        assert_eq!(millis(None), -1);
        assert_eq!(millis(Some(Duration::ZERO)), 0);
        assert_eq!(millis(Some(Duration::from_nanos(1))), 1);
        assert_eq!(millis(Some(Duration::from_millis(1500))), 1500);
        assert_eq!(millis(Some(Duration::MAX)), i32::MAX);
    }

    #[test]
    fn socket_addresses_read_back_as_the_endpoint_they_are() {
        for text in ["10.1.2.3:7645", "[ff02::123]:7645", "[fd99::1]:1"] {
            let addr: SocketAddr = text.parse().unwrap();
            assert_eq!(endpoint(&sockaddr(addr)), Some(Endpoint::from(addr)), "{text}");
        }
        assert_eq!(endpoint(&[]), None);
        assert_eq!(endpoint(&sockaddr("10.1.2.3:1".parse().unwrap())[..7]), None);
        assert_eq!(endpoint(&[0xff; NAME]), None);
    }

    #[test]
    fn socket_addresses_have_the_systems_layout() {
        let v4 = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(239, 1, 2, 3), 5004));
        let v6 = SocketAddr::V6(SocketAddrV6::new("ff02::fb".parse().unwrap(), 5353, 0, 7));
        for addr in [v4, v6] {
            let mut storage = socket2::SockAddrStorage::zeroed();
            // SAFETY: the storage is as large as the bytes, and any bytes are a valid storage.
            unsafe { *storage.view_as::<[u8; STORAGE]>() = sockaddr(addr) };
            let len = if addr.is_ipv4() { 16 } else { 28 };
            // SAFETY: the storage holds an address of that length.
            let back = unsafe { socket2::SockAddr::new(storage, len) };
            assert_eq!(back.as_socket(), Some(addr));
        }
    }
}
