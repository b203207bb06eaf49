//! What a host's IP input takes in and what it refuses: the checks that stand between a frame and a UDP
//! socket, for packets that were captured before them (RFC 1122 sections 3.2.1 and 4.1.3, RFC 8200, RFC
//! 768). Made for the many: one look at each field, no allocation.
//!
//! What a host refuses besides, it refuses by its settings (reverse path filter, firewall, source routes),
//! and a packet does not show it.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;

use crate::base::group::Endpoint;
use crate::wire::ip::{self, IPV4_HEADER, Ip, UDP, UDP_HEADER};
use crate::wire::read::be16;

/// A UDP datagram as a socket would get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The sender.
    pub source: Endpoint,
    /// The destination.
    pub destination: Endpoint,
    /// TTL or hop limit.
    pub ttl: u8,
    /// TOS or traffic class byte.
    pub tos: u8,
    /// Where the payload stands in the packet.
    pub payload: Range<usize>,
}

/// What becomes of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// It is delivered.
    Datagram(Datagram),
    /// It is a piece of a packet, to this address.
    Fragment(IpAddr),
    /// It carries something else, or is refused: cut, or in contradiction with itself.
    Nothing,
}

/// Looks at a packet; with `verified` its UDP checksum needs no look.
#[inline]
pub fn input(b: &[u8], verified: bool) -> Input {
    let found = match b.first() {
        Some(v) if v >> 4 == 4 => input_v4(b),
        Some(v) if v >> 4 == 6 => input_v6(b),
        _ => None,
    };
    match found {
        Some(Input::Datagram(d)) if !verified && !checksum_holds(b, &d) => Input::Nothing,
        Some(found) => found,
        None => Input::Nothing,
    }
}

fn input_v4(b: &[u8]) -> Option<Input> {
    let h: &[u8; IPV4_HEADER] = b.first_chunk()?;
    let header = usize::from(h[0] & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([h[2], h[3]]));
    if header < IPV4_HEADER || total < header || ip::checksum(&[b.get(..header)?]) != 0 {
        return None;
    }
    // What follows the packet is the link's padding.
    let b = b.get(..total)?;
    let source = Ipv4Addr::new(h[12], h[13], h[14], h[15]);
    let destination = Ipv4Addr::new(h[16], h[17], h[18], h[19]);
    if source.is_multicast() || source.is_broadcast() || h[9] != UDP {
        return None;
    }
    // More fragments, or an offset.
    if u16::from_be_bytes([h[6], h[7]]) & 0x3fff != 0 {
        return Some(Input::Fragment(destination.into()));
    }
    udp(b, header, (source.into(), destination.into()), (h[8], h[1]))
}

fn input_v6(b: &[u8]) -> Option<Input> {
    let ip = Ip::parse(b).ok()?;
    if ip.payload.len() < ip.payload_len || ip.source.is_multicast() {
        return None;
    }
    if ip.fragment.is_some() {
        return Some(Input::Fragment(ip.destination));
    }
    if ip.protocol != UDP {
        return None;
    }
    let b = b.get(..ip.payload.end)?;
    udp(b, ip.payload.start, (ip.source, ip.destination), (ip.ttl, ip.tos))
}

/// The UDP header at `at` of a packet that ends with `b`.
fn udp(b: &[u8], at: usize, (source, destination): (IpAddr, IpAddr), (ttl, tos): (u8, u8)) -> Option<Input> {
    let u: &[u8; UDP_HEADER] = b.get(at..)?.first_chunk()?;
    let length = match usize::from(u16::from_be_bytes([u[4], u[5]])) {
        // A jumbogram (RFC 2675 section 4).
        0 if source.is_ipv6() => b.len() - at,
        n => n,
    };
    if length < UDP_HEADER || length > b.len() - at {
        return None;
    }
    Some(Input::Datagram(Datagram {
        source: Endpoint::new(source, u16::from_be_bytes([u[0], u[1]])),
        destination: Endpoint::new(destination, u16::from_be_bytes([u[2], u[3]])),
        ttl,
        tos,
        payload: at + UDP_HEADER..at + length,
    }))
}

/// Whether the UDP checksum is right. Over IPv4 it may be left out; over IPv6 it must not (RFC 8200 section
/// 8.1).
fn checksum_holds(b: &[u8], d: &Datagram) -> bool {
    let Some(message) = b.get(d.payload.start - UDP_HEADER..d.payload.end) else { return false };
    match be16(message, 6) {
        Some(0) => d.source.ip.is_ipv4(),
        _ => ip::transport_checksum(d.source.ip, d.destination.ip, UDP, message) == 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packet(from: &str, to: &str, payload: &[u8]) -> Vec<u8> {
        let e = |s: &str| Endpoint::from(s.parse::<std::net::SocketAddr>().unwrap());
        let mut b = Vec::new();
        ip::build(&mut b, (e(from), e(to)), (7, 0xb8), payload, payload.len()).unwrap();
        b
    }

    fn v4() -> Vec<u8> {
        packet("10.0.0.1:4000", "239.1.1.1:5004", b"hello")
    }

    fn v6() -> Vec<u8> {
        packet("[fd00::1]:4000", "[ff05::77]:5004", b"hello")
    }

    fn delivered(b: &[u8], verified: bool) -> Option<Datagram> {
        match input(b, verified) {
            Input::Datagram(d) => Some(d),
            _ => None,
        }
    }

    /// With the header's checksum made right again.
    fn headed(mut b: Vec<u8>) -> Vec<u8> {
        let header = usize::from(b[0] & 15) * 4;
        b[10..12].fill(0);
        let sum = ip::checksum(&[&b[..header]]);
        b[10..12].copy_from_slice(&sum.to_be_bytes());
        b
    }

    #[test]
    fn a_datagram_is_delivered_without_the_links_padding() {
        for mut b in [v4(), v6()] {
            let whole = b.len();
            b.extend([0xee; 18]);
            let d = delivered(&b, false).unwrap();
            assert_eq!(&b[d.payload.clone()], b"hello");
            assert_eq!((d.payload.end, d.ttl, d.tos), (whole, 7, 0xb8));
            assert_eq!((d.source.port, d.destination.port), (4000, 5004));
            for cut in 0..whole {
                assert_eq!(delivered(&b[..cut], true), None, "cut at {cut}");
            }
        }
    }

    #[test]
    fn options_and_extension_headers_are_passed_over() {
        let mut b = v4();
        b[0] = 0x46;
        b[3] += 4;
        b.splice(20..20, [0x94, 4, 0, 0]);
        let b = headed(b);
        assert_eq!(&b[delivered(&b, false).unwrap().payload], b"hello");
        let mut b = v6();
        b[5] += 8;
        b[6] = 60;
        b.splice(40..40, [17, 0, 1, 4, 0, 0, 0, 0]);
        assert_eq!(&b[delivered(&b, false).unwrap().payload], b"hello");
    }

    #[test]
    fn wrong_checksums_are_refused_where_they_are_looked_at() {
        for mut b in [v4(), v6()] {
            *b.last_mut().unwrap() ^= 1;
            assert_eq!(delivered(&b, false), None);
            assert!(delivered(&b, true).is_some(), "left to the adapter");
        }
        let mut b = v4();
        b[26..28].fill(0);
        assert!(delivered(&b, false).is_some(), "IPv4 may go without");
        let mut b = v6();
        b[46..48].fill(0);
        assert_eq!(delivered(&b, false), None, "IPv6 may not");
        let mut b = v4();
        b[8] ^= 1;
        assert_eq!(delivered(&b, true), None, "the header's own");
    }

    #[test]
    fn lengths_that_contradict_each_other_are_refused() {
        for (at, value) in [(3, 200), (3, 19), (3, 27), (25, 7), (25, 200), (25, 0)] {
            let mut b = v4();
            b[at] = value;
            assert_eq!(input(&headed(b), true), Input::Nothing, "byte {at} is {value}");
        }
        for (at, value) in [(5, 200), (5, 7), (45, 7), (45, 200)] {
            let mut b = v6();
            b[at] = value;
            assert_eq!(input(&b, true), Input::Nothing, "byte {at} is {value}");
        }
    }

    #[test]
    fn senders_that_cannot_be_are_refused() {
        for from in ["224.0.0.1:1", "255.255.255.255:1"] {
            assert_eq!(input(&packet(from, "239.1.1.1:5004", b""), true), Input::Nothing, "{from}");
        }
        assert_eq!(input(&packet("[ff02::1]:1", "[ff05::77]:5004", b""), true), Input::Nothing);
    }

    #[test]
    fn fragments_are_told_with_their_group() {
        for word in [0x2000u16, 1, 0x1fff] {
            let mut b = v4();
            b[6..8].copy_from_slice(&word.to_be_bytes());
            assert_eq!(input(&headed(b), true), Input::Fragment("239.1.1.1".parse().unwrap()));
        }
        let mut dont = v4();
        dont[6] = 0x40;
        assert!(delivered(&headed(dont), false).is_some(), "don't fragment is no fragment");
    }

    proptest! {
        #[test]
        fn nothing_panics_and_what_is_delivered_lies_within(
            mut b in prop::collection::vec(any::<u8>(), 0..200),
            kind in 0u8..4,
        ) {
            // Most random bytes are no IP: help them past the first checks.
            if let Some(first) = b.first_mut() {
                *first = [0x45, 0x46, 0x60, *first][usize::from(kind)];
            }
            if kind < 2 && b.len() > 24 {
                let total = (b.len() as u16).to_be_bytes();
                b[2..4].copy_from_slice(&total);
                b[9] = 17;
                b = headed(b);
            }
            for verified in [true, false] {
                if let Input::Datagram(d) = input(&b, verified) {
                    prop_assert!(d.payload.start <= d.payload.end && d.payload.end <= b.len());
                }
            }
        }
    }
}
