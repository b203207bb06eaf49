//! IP and UDP headers, read from the wire and written for capture files: IPv4 (RFC 791), IPv6 with its
//! extension headers (RFC 8200), UDP (RFC 768), and their checksum (RFC 1071).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use crate::base::group::Endpoint;
use crate::wire::read::{be16, bytes, u8_at};

/// Protocol number of IGMP.
pub const IGMP: u8 = 2;
/// Protocol number of UDP.
pub const UDP: u8 = 17;
/// Protocol number of ICMPv6, which carries MLD.
pub const ICMPV6: u8 = 58;

/// Length of a UDP header in bytes.
pub const UDP_HEADER: usize = 8;
/// Length of an IPv4 header without options, in bytes.
pub const IPV4_HEADER: usize = 20;
/// Length of an IPv6 header without extensions, in bytes.
pub const IPV6_HEADER: usize = 40;

/// Extension headers followed: RFC 8200 section 4.1 lists seven in all.
const EXTENSIONS_MAX: usize = 8;
/// Options read of one header.
const OPTIONS_MAX: usize = 32;

/// Why bytes are no IP packet or UDP datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IpError {
    /// The bytes end before the header does.
    #[error("IP header needs {need} bytes, {have} are there")]
    Short {
        /// Bytes that the header takes.
        need: usize,
        /// Bytes that there are.
        have: usize,
    },
    /// Neither 4 nor 6.
    #[error("IP version {0} is neither 4 nor 6")]
    Version(u8),
    /// A length field contradicts the header it stands in.
    #[error("the length {0} in the IP or UDP header is shorter than the header")]
    Length(usize),
    /// More extension headers than any packet has.
    #[error("more than {EXTENSIONS_MAX} IPv6 extension headers")]
    Extensions,
}

/// A piece of a fragmented packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// What its siblings have in common, with the addresses and the protocol.
    pub id: u32,
    /// Where it stands in the packet, in bytes.
    pub offset: usize,
    /// Whether another follows.
    pub more: bool,
}

/// An IP header with all its extensions, and where what it carries stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ip {
    /// The sender.
    pub source: IpAddr,
    /// The destination.
    pub destination: IpAddr,
    /// TTL or hop limit.
    pub ttl: u8,
    /// TOS or traffic class: DSCP in the upper six bits, ECN in the lower two.
    pub tos: u8,
    /// What it carries; for a later fragment, what the whole packet carries.
    pub protocol: u8,
    /// Present if this is a piece of a packet.
    pub fragment: Option<Fragment>,
    /// Whether a router alert asks every router to look at it (RFC 2113, RFC 2711).
    pub router_alert: bool,
    /// What it carries, as far as it is there.
    pub payload: Range<usize>,
    /// True length of what it carries, in bytes, even if cut.
    pub payload_len: usize,
}

impl Ip {
    /// Reads the header at the start of `b`. What follows the packet (Ethernet's padding) is left out.
    ///
    /// # Errors
    /// If the header is not whole, or contradicts itself.
    pub fn parse(b: &[u8]) -> Result<Ip, IpError> {
        match b.first().map(|v| v >> 4) {
            Some(4) => Ip::parse_v4(b),
            Some(6) => Ip::parse_v6(b),
            Some(v) => Err(IpError::Version(v)),
            None => Err(IpError::Short { need: 1, have: 0 }),
        }
    }

    fn parse_v4(b: &[u8]) -> Result<Ip, IpError> {
        let short = |need| IpError::Short { need, have: b.len() };
        let h = b.get(..IPV4_HEADER).ok_or(short(IPV4_HEADER))?;
        let header = usize::from(h[0] & 0x0f) * 4;
        if header < IPV4_HEADER {
            return Err(IpError::Length(header));
        }
        let options = b.get(IPV4_HEADER..header).ok_or(short(header))?;
        // Segmentation left to the adapter leaves a 0 here: the packet is then all that was captured.
        let total = match usize::from(u16::from_be_bytes([h[2], h[3]])) {
            0 => b.len(),
            n if n < header => return Err(IpError::Length(n)),
            n => n,
        };
        let word = u16::from_be_bytes([h[6], h[7]]);
        let (more, offset) = (word & 0x2000 != 0, usize::from(word & 0x1fff) * 8);
        let id = u32::from(u16::from_be_bytes([h[4], h[5]]));
        Ok(Ip {
            source: Ipv4Addr::new(h[12], h[13], h[14], h[15]).into(),
            destination: Ipv4Addr::new(h[16], h[17], h[18], h[19]).into(),
            ttl: h[8],
            tos: h[1],
            protocol: h[9],
            fragment: (more || offset > 0).then_some(Fragment { id, offset, more }),
            router_alert: has_option_v4(options, 0x94),
            payload: header..total.clamp(header, b.len()),
            payload_len: total - header,
        })
    }

    fn parse_v6(b: &[u8]) -> Result<Ip, IpError> {
        let short = |need| IpError::Short { need, have: b.len() };
        let h = b.get(..IPV6_HEADER).ok_or(short(IPV6_HEADER))?;
        let address = |at: usize| {
            let mut a = [0; 16];
            a.copy_from_slice(&h[at..at + 16]);
            IpAddr::from(Ipv6Addr::from(a))
        };
        // 0 is a jumbogram (RFC 2675) or segmentation left to the adapter: all that was captured.
        let total = match usize::from(u16::from_be_bytes([h[4], h[5]])) {
            0 if h[6] != 59 => b.len(),
            n => IPV6_HEADER + n,
        };
        let mut ip = Ip {
            source: address(8),
            destination: address(24),
            ttl: h[7],
            tos: h[0] << 4 | h[1] >> 4,
            protocol: h[6],
            fragment: None,
            router_alert: false,
            payload: 0..0,
            payload_len: 0,
        };
        let mut at = IPV6_HEADER;
        for n in 0.. {
            let length = match ip.protocol {
                // Hop-by-hop options, routing, destination options; in words of 8 bytes minus 1.
                0 | 43 | 60 => 8 * (1 + usize::from(u8_at(b, at + 1).ok_or(short(at + 2))?)),
                44 => 8,
                // Authentication (RFC 4302): in words of 4 bytes minus 2.
                51 => 4 * (2 + usize::from(u8_at(b, at + 1).ok_or(short(at + 2))?)),
                _ => break,
            };
            if n == EXTENSIONS_MAX {
                return Err(IpError::Extensions);
            }
            let header = bytes(b, at, length).ok_or(short(at + length))?;
            if at + length > total {
                return Err(IpError::Length(total - IPV6_HEADER));
            }
            if ip.protocol == 0 {
                ip.router_alert |= has_option_v6(&header[2..], 5);
            }
            let is_fragment = ip.protocol == 44;
            ip.protocol = header[0];
            at += length;
            if is_fragment {
                let word = u16::from_be_bytes([header[2], header[3]]);
                let (more, offset) = (word & 1 != 0, usize::from(word & 0xfff8));
                let id = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
                // A packet in one fragment is whole (RFC 6946).
                ip.fragment = (more || offset > 0).then_some(Fragment { id, offset, more });
                // What follows a later fragment's header is the middle of something.
                if offset > 0 {
                    break;
                }
            }
        }
        ip.payload = at..total.clamp(at, b.len());
        ip.payload_len = total - at;
        Ok(ip)
    }

    /// The bytes it carries, as far as they are there.
    pub fn payload<'a>(&self, b: &'a [u8]) -> &'a [u8] {
        b.get(self.payload.clone()).unwrap_or_default()
    }
}

/// Whether an IPv4 option of this type is there.
fn has_option_v4(mut o: &[u8], wanted: u8) -> bool {
    for _ in 0..OPTIONS_MAX {
        match o {
            [0, ..] | [] => return false,
            [1, rest @ ..] => o = rest,
            [kind, ..] if *kind == wanted => return true,
            [_, n, ..] if *n >= 2 => o = o.get(usize::from(*n)..).unwrap_or_default(),
            _ => return false,
        }
    }
    false
}

/// Whether an IPv6 option of this type is there (RFC 8200 section 4.2).
fn has_option_v6(mut o: &[u8], wanted: u8) -> bool {
    for _ in 0..OPTIONS_MAX {
        match o {
            [] => return false,
            [0, rest @ ..] => o = rest,
            [kind, ..] if *kind == wanted => return true,
            [_, n, ..] => o = o.get(2 + usize::from(*n)..).unwrap_or_default(),
            _ => return false,
        }
    }
    false
}

/// A UDP header and where its payload stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Udp {
    /// The sender's port.
    pub source: u16,
    /// The destination's port.
    pub destination: u16,
    /// The checksum as it stands there; 0 over IPv4 says that there is none.
    pub checksum: u16,
    /// The payload, as far as it is there.
    pub payload: Range<usize>,
    /// True length of the payload in bytes, even if cut.
    pub payload_len: usize,
}

impl Udp {
    /// Reads the header at the start of `b`, which IP carries as `ip_len` bytes in all.
    ///
    /// # Errors
    /// If the header is not whole, or its length is shorter than itself.
    pub fn parse(b: &[u8], ip_len: usize) -> Result<Udp, IpError> {
        let field = |at| be16(b, at).ok_or(IpError::Short { need: UDP_HEADER, have: b.len() });
        let (source, destination, length, checksum) = (field(0)?, field(2)?, field(4)?, field(6)?);
        let length = match usize::from(length) {
            // A jumbogram (RFC 2675 section 4), or left to the adapter.
            0 => ip_len,
            n if n < UDP_HEADER => return Err(IpError::Length(n)),
            n => n,
        };
        let payload = UDP_HEADER..length.clamp(UDP_HEADER, b.len().max(UDP_HEADER));
        let payload_len = length.saturating_sub(UDP_HEADER);
        Ok(Udp { source, destination, checksum, payload, payload_len })
    }
}

/// A UDP datagram on the wire: who to whom, and its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The IP header. If `ip.fragment` is there, the payload is only its first part.
    pub ip: Ip,
    /// The sender.
    pub source: Endpoint,
    /// The destination.
    pub destination: Endpoint,
    /// Where the payload stands, as far as it is there.
    pub payload: Range<usize>,
    /// True length of the payload in bytes.
    pub payload_len: usize,
}

/// Reads an IP packet that carries UDP; `None` for another protocol and for a fragment that is not
/// the first, which has no UDP header.
///
/// # Errors
/// If a header is not whole, or contradicts itself.
pub fn datagram(b: &[u8]) -> Result<Option<Datagram>, IpError> {
    let ip = Ip::parse(b)?;
    if ip.protocol != UDP || ip.fragment.is_some_and(|f| f.offset > 0) {
        return Ok(None);
    }
    let udp = Udp::parse(ip.payload(b), ip.payload_len)?;
    let start = ip.payload.start;
    let end = (start + udp.payload.end).min(ip.payload.end);
    Ok(Some(Datagram {
        source: Endpoint::new(ip.source, udp.source),
        destination: Endpoint::new(ip.destination, udp.destination),
        payload: start + udp.payload.start..end,
        payload_len: udp.payload_len,
        ip,
    }))
}

/// Appends IP and UDP headers and the payload, as the datagram may have been on the wire before it
/// was fragmented. `len` is the payload's true length where `payload` was cut; the UDP checksum is
/// then left at 0, as it cannot be known. `None`, and nothing appended, if the families differ or
/// the length fits in no IP packet.
pub fn build(
    out: &mut Vec<u8>,
    (from, to): (Endpoint, Endpoint),
    (ttl, tos): (u8, u8),
    payload: &[u8],
    len: usize,
) -> Option<()> {
    let udp_len = UDP_HEADER + len;
    let udp_word = u16::try_from(udp_len).ok()?;
    let start = out.len();
    match (from.ip, to.ip) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let total = u16::try_from(IPV4_HEADER + udp_len).ok()?;
            out.extend([0x45, tos]);
            out.extend(total.to_be_bytes());
            out.extend([0, 0, 0, 0, ttl, UDP, 0, 0]);
            out.extend(source.octets());
            out.extend(destination.octets());
            let sum = checksum(&[&out[start..]]);
            out[start + 10..start + 12].copy_from_slice(&sum.to_be_bytes());
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            out.extend([0x60 | tos >> 4, tos << 4, 0, 0]);
            out.extend(udp_word.to_be_bytes());
            out.extend([UDP, ttl]);
            out.extend(source.octets());
            out.extend(destination.octets());
        }
        _ => return None,
    }
    let at = out.len();
    out.extend(from.port.to_be_bytes());
    out.extend(to.port.to_be_bytes());
    out.extend(udp_word.to_be_bytes());
    out.extend([0, 0]);
    out.extend(payload);
    if payload.len() == len {
        // 0 would say "none", so its complement stands for it (RFC 768).
        let sum = match transport_checksum(from.ip, to.ip, UDP, &out[at..]) {
            0 => 0xffff,
            sum => sum,
        };
        out[at + 6..at + 8].copy_from_slice(&sum.to_be_bytes());
    }
    Some(())
}

/// The Internet checksum over parts as if they were one (RFC 1071): 0 over data that holds its own.
pub fn checksum(parts: &[&[u8]]) -> u16 {
    let (mut sum, mut odd) = (0u64, false);
    for part in parts {
        let mut part = *part;
        if odd && let Some((first, rest)) = part.split_first() {
            sum += u64::from(*first);
            (part, odd) = (rest, false);
        }
        // Words of 4 bytes add up to the same as words of 2 (RFC 1071 section 2 (C)), in fewer steps.
        let words = part.chunks_exact(4);
        let rest = words.remainder();
        sum += words.map(|w| u64::from(u32::from_be_bytes([w[0], w[1], w[2], w[3]]))).sum::<u64>();
        for &c in rest {
            sum += if odd { u64::from(c) } else { u64::from(c) << 8 };
            odd = !odd;
        }
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// The checksum of UDP or ICMPv6 with the pseudo-header of its family (RFC 768, RFC 8200 section
/// 8.1): 0 over a message that holds its own.
pub fn transport_checksum(source: IpAddr, destination: IpAddr, protocol: u8, message: &[u8]) -> u16 {
    let length = (message.len() as u32).to_be_bytes();
    let (mut a, mut b) = ([0; 16], [0; 16]);
    let mut octets = |ip: IpAddr, first: bool| {
        let target = if first { &mut a } else { &mut b };
        match ip {
            IpAddr::V4(ip) => target[..4].copy_from_slice(&ip.octets()),
            IpAddr::V6(ip) => *target = ip.octets(),
        }
    };
    octets(source, true);
    octets(destination, false);
    // The zeros between do not change the sum, so one form does for both families.
    checksum(&[&a, &b, &length, &[0, 0, 0, protocol], message])
}

/// Whether the UDP checksum holds. `None` where it cannot be told: the
/// packet was cut or fragmented, or says that it has none.
pub fn udp_checksum_holds(b: &[u8], d: &Datagram) -> Option<bool> {
    let whole = d.ip.fragment.is_none() && d.ip.payload.len() == d.ip.payload_len;
    let message = d.ip.payload(b);
    if !whole || be16(message, 6)? == 0 {
        return None;
    }
    Some(transport_checksum(d.ip.source, d.ip.destination, UDP, message) == 0)
}
