//! MLD, the membership protocol of IPv6: version 1 (RFC 2710), version 2 (RFC 9777, before it RFC
//! 3810). It is ICMPv6 behind a hop-by-hop header with a router alert.
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 1 | type: 130 query, 131 report 1, 132 done, 143 report 2 |
//! | 2 | 2 | checksum |
//! | 4 | 2 | maximum response delay or code; report 2: reserved |
//! | 6 | 2 | report 2: records, which follow at 8 |
//! | 8 | 16 | group |
//! | 24 | 1 | query 2: suppress 0x08, robustness 0x07 |
//! | 25 | 1 | query 2: querier's interval code |
//! | 26 | 2 | query 2: sources, which follow |

use std::net::Ipv6Addr;

use crate::wire::igmp::{self, Message, Query};
use crate::wire::read::{be16, bytes, u8_at};

/// Length of a version 1 message, and of a version 2 query without sources, in bytes.
const V1: usize = 24;
const QUERY_V2: usize = 28;

fn address(b: &[u8], at: usize) -> Option<Ipv6Addr> {
    let octets: [u8; 16] = bytes(b, at, 16)?.try_into().ok()?;
    Some(octets.into())
}

/// The value of a 16-bit code in ms: itself below 32768, then a float (RFC 9777 section 5.1.3).
pub fn decode_code(code: u16) -> u32 {
    let c = u32::from(code);
    if c < 0x8000 { c } else { (c & 0x0fff | 0x1000) << ((c >> 12 & 7) + 3) }
}

/// Reads an ICMPv6 message; `None` if it is not MLD's or ends before its header does. The checksum
/// needs the addresses: see [`crate::wire::ip::transport_checksum`].
pub fn parse(b: &[u8]) -> Option<Message<Ipv6Addr>> {
    let kind = u8_at(b, 0)?;
    if kind == 143 {
        be16(b, 6)?;
        let (records, cut) = igmp::records(b, address, 16);
        return Some(Message::Records { records, cut });
    }
    let group = address(b, V1 - 16)?;
    Some(match kind {
        130 => {
            let code = be16(b, 4)?;
            let second = b.len() >= QUERY_V2;
            let (newest, sources) = match igmp::timers(b, V1, address, 16).filter(|_| second) {
                Some((timers, sources)) => (Some(timers), sources),
                None => (None, Vec::new()),
            };
            Message::Query(Query {
                version: if second { 2 } else { 1 },
                group: (!group.is_unspecified()).then_some(group),
                max_response_ms: if second { decode_code(code) } else { u32::from(code) },
                newest,
                sources,
            })
        }
        131 => Message::Report { version: 1, group },
        132 => Message::Leave { group },
        _ => return None,
    })
}
