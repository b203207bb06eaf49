//! Packets laid out by hand and put on an interface as they are: false checksums, single fragments,
//! sources that are not ours, queries of any version. No encoder of the program under test has a part
//! in them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::support::netns::index;

/// An interface of the calling thread's namespace that takes whole IP packets.
pub struct Wire {
    socket: OwnedFd,
    index: i32,
}

impl Wire {
    /// Opens it.
    #[track_caller]
    pub fn open(iface: &str) -> Wire {
        // SAFETY: socket takes numbers only; the descriptor it gives is owned from here on.
        let socket = unsafe {
            let fd = libc::socket(libc::AF_PACKET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
            assert!(fd >= 0, "open a packet socket: {}", std::io::Error::last_os_error());
            OwnedFd::from_raw_fd(fd)
        };
        Wire { socket, index: index(iface) as i32 }
    }

    /// Sends one packet to the Ethernet address that belongs to its IP destination, a multicast one.
    /// An interface that is down takes nothing: that is part of some faults.
    pub fn send(&self, packet: &[u8]) -> std::io::Result<()> {
        let kind = if packet[0] >> 4 == 6 { libc::ETH_P_IPV6 } else { libc::ETH_P_IP };
        self.put(ethernet(packet), kind as u16, packet)
    }

    /// Sends these bytes to an Ethernet address, as what their type says.
    pub fn put(&self, to: [u8; 6], kind: u16, bytes: &[u8]) -> std::io::Result<()> {
        let mut address = [0; 8];
        address[..6].copy_from_slice(&to);
        let to = libc::sockaddr_ll {
            sll_family: libc::AF_PACKET as u16,
            sll_protocol: kind.to_be(),
            sll_ifindex: self.index,
            sll_hatype: 0,
            sll_pkttype: 0,
            sll_halen: 6,
            sll_addr: address,
        };
        // SAFETY: both pointers come with the length of what they point to, and outlive the call.
        let sent = unsafe {
            libc::sendto(
                self.socket.as_raw_fd(),
                bytes.as_ptr().cast(),
                bytes.len(),
                0,
                (&raw const to).cast(),
                size_of_val(&to) as libc::socklen_t,
            )
        };
        if sent < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// The Ethernet address of a packet's multicast destination (RFC 1112, 6.4; RFC 2464, 7).
pub fn ethernet(packet: &[u8]) -> [u8; 6] {
    let mut mac = [1, 0, 0x5e, 0, 0, 0];
    if packet[0] >> 4 == 6 {
        mac[..2].copy_from_slice(&[0x33, 0x33]);
        mac[2..].copy_from_slice(&packet[36..40]);
    } else {
        mac[3..].copy_from_slice(&packet[17..20]);
        mac[3] &= 0x7f;
    }
    mac
}

/// A UDP datagram in one IP packet, correct in every field, from port 5000 with TTL 1.
pub fn datagram(from: IpAddr, to: IpAddr, port: u16, payload: &[u8]) -> Vec<u8> {
    let body = udp(from, to, port, payload);
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            ipv4(from, to, libc::IPPROTO_UDP as u8, &[], Part::WHOLE, &body)
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => ipv6(from, to, libc::IPPROTO_UDP as u8, &body),
        _ => panic!("{from} and {to} are of two families"),
    }
}

/// Gives an IPv4 packet an identification.
pub fn identify(packet: &mut [u8], id: u16) {
    packet[4..6].copy_from_slice(&id.to_be_bytes());
    packet[10..12].fill(0);
    let sum = checksum(&packet[..20]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// The same with its UDP checksum falsified.
pub fn falsified(from: IpAddr, to: IpAddr, port: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = datagram(from, to, port, payload);
    let at = if from.is_ipv4() { 20 } else { 40 } + 6;
    // Never zero, which means that there is none.
    packet[at] ^= 0x55;
    packet[at + 1] |= 1;
    packet
}

/// The same with a length in its UDP header that is more than there is.
pub fn overlong(from: Ipv4Addr, to: Ipv4Addr, port: u16, payload: &[u8]) -> Vec<u8> {
    let mut body = udp(from.into(), to.into(), port, payload);
    body[4..8].copy_from_slice(&[0, 200, 0, 0]);
    ipv4(from, to, libc::IPPROTO_UDP as u8, &[], Part::WHOLE, &body)
}

/// The first fragment only of an IPv4 datagram; `id` tells one datagram from another.
pub fn first_fragment(from: Ipv4Addr, to: Ipv4Addr, port: u16, id: u16) -> Vec<u8> {
    let body = udp(from.into(), to.into(), port, &[0; 2000]);
    let part = Part { id, offset: 0, more: true };
    ipv4(from, to, libc::IPPROTO_UDP as u8, &[], part, &body[..1024])
}

/// The same of IPv6 (RFC 8200, 4.5).
pub fn first_fragment6(from: Ipv6Addr, to: Ipv6Addr, port: u16, id: u32) -> Vec<u8> {
    let body = udp(from.into(), to.into(), port, &[0; 2000]);
    // Offset 0, more to come.
    let mut part = vec![libc::IPPROTO_UDP as u8, 0, 0, 1];
    part.extend_from_slice(&id.to_be_bytes());
    part.extend_from_slice(&body[..1024]);
    ipv6(from, to, libc::IPPROTO_FRAGMENT as u8, &part)
}

/// A general membership query. Version 1 and 2 have no interval of their own; the response time is
/// in tenths of a second, the interval in seconds, both below 128 (RFC 3376, 4.1).
pub fn igmp_query(from: Ipv4Addr, version: u8, response: u8, interval: u8) -> Vec<u8> {
    let mut body = vec![0x11, if version == 1 { 0 } else { response }, 0, 0, 0, 0, 0, 0];
    if version == 3 {
        body.extend_from_slice(&[2, interval, 0, 0]);
    }
    let sum = checksum(&body);
    body[2..4].copy_from_slice(&sum.to_be_bytes());
    // The router alert option (RFC 2113), without which some hosts ignore it.
    let options: &[u8] = if version == 1 { &[] } else { &[0x94, 4, 0, 0] };
    ipv4(from, Ipv4Addr::new(224, 0, 0, 1), libc::IPPROTO_IGMP as u8, options, Part::WHOLE, &body)
}

/// A general listener query of MLD version 1 or 2 (RFC 2710, 3; RFC 3810, 5.1), response time in ms.
pub fn mld_query(from: Ipv6Addr, version: u8, response: u16, interval: u8) -> Vec<u8> {
    let to = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let mut body = vec![130, 0, 0, 0];
    body.extend_from_slice(&response.to_be_bytes());
    body.extend_from_slice(&[0; 18]);
    if version == 2 {
        body.extend_from_slice(&[2, interval, 0, 0]);
    }
    let sum = checksum(&pseudo(from.into(), to.into(), libc::IPPROTO_ICMPV6 as u8, &body));
    body[2..4].copy_from_slice(&sum.to_be_bytes());
    // Hop-by-hop options: a router alert for MLD (RFC 2711), padded to eight bytes.
    let mut all = vec![libc::IPPROTO_ICMPV6 as u8, 0, 5, 2, 0, 0, 1, 0];
    all.extend_from_slice(&body);
    ipv6(from, to, libc::IPPROTO_HOPOPTS as u8, &all)
}

/// Which part of a datagram a packet carries.
#[derive(Clone, Copy)]
struct Part {
    id: u16,
    /// In units of eight bytes.
    offset: u16,
    more: bool,
}

impl Part {
    const WHOLE: Part = Part { id: 0, offset: 0, more: false };
}

fn ipv4(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, options: &[u8], part: Part, body: &[u8]) -> Vec<u8> {
    let header = 20 + options.len();
    let mut p = vec![0x40 | (header / 4) as u8, 0];
    p.extend_from_slice(&((header + body.len()) as u16).to_be_bytes());
    p.extend_from_slice(&part.id.to_be_bytes());
    p.extend_from_slice(&(part.offset | u16::from(part.more) << 13).to_be_bytes());
    p.extend_from_slice(&[1, protocol, 0, 0]);
    p.extend_from_slice(&from.octets());
    p.extend_from_slice(&to.octets());
    p.extend_from_slice(options);
    let sum = checksum(&p);
    p[10..12].copy_from_slice(&sum.to_be_bytes());
    p.extend_from_slice(body);
    p
}

fn ipv6(from: Ipv6Addr, to: Ipv6Addr, next: u8, body: &[u8]) -> Vec<u8> {
    let mut p = vec![0x60, 0, 0, 0];
    p.extend_from_slice(&(body.len() as u16).to_be_bytes());
    p.extend_from_slice(&[next, 1]);
    p.extend_from_slice(&from.octets());
    p.extend_from_slice(&to.octets());
    p.extend_from_slice(body);
    p
}

fn udp(from: IpAddr, to: IpAddr, port: u16, payload: &[u8]) -> Vec<u8> {
    let mut u = Vec::new();
    for field in [5000, port, (8 + payload.len()) as u16, 0] {
        u.extend_from_slice(&field.to_be_bytes());
    }
    u.extend_from_slice(payload);
    let sum = match checksum(&pseudo(from, to, libc::IPPROTO_UDP as u8, &u)) {
        0 => 0xffff,
        sum => sum,
    };
    u[6..8].copy_from_slice(&sum.to_be_bytes());
    u
}

/// What a transport checksum is made over: the pseudo header, then the transport's bytes.
fn pseudo(from: IpAddr, to: IpAddr, protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    for address in [from, to] {
        match address {
            IpAddr::V4(a) => all.extend_from_slice(&a.octets()),
            IpAddr::V6(a) => all.extend_from_slice(&a.octets()),
        }
    }
    // As IPv4 and IPv6 order it differently, but to the same sum.
    all.extend_from_slice(&(body.len() as u32).to_be_bytes());
    all.extend_from_slice(&[0, 0, 0, protocol]);
    all.extend_from_slice(body);
    all
}

/// The internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
