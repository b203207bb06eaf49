//! One line on what IP carries that is not UDP: IGMP, MLD, PIM (RFC 7761), OSPF (RFC 2328, RFC 5340),
//! VRRP (RFC 3768, RFC 9568), EIGRP (RFC 7868).
//!
//! Only a tap on the wire sees these; the doctor reads from them who routes and who asks.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::wire::ip::{self, Ip};
use crate::wire::read::{Line, be16, be24, be32, bytes, line, put, u8_at};
use crate::wire::{igmp, mld};

/// Protocol numbers (IANA protocol-numbers).
const EIGRP: u8 = 88;
const OSPF: u8 = 89;
const PIM: u8 = 103;
const VRRP: u8 = 112;

/// Options, groups and addresses read of one message.
const ITEMS_MAX: usize = 64;
/// Groups or addresses named in a line.
const SHOWN: usize = 4;

/// Appends one line on the packet whose header is `ip`; whether its protocol is known here. A later
/// fragment is not: it has no header of its own.
pub fn preview(ip: &Ip, packet: &[u8], out: &mut String) -> bool {
    if ip.fragment.is_some_and(|f| f.offset > 0) {
        return false;
    }
    let (b, before) = (ip.payload(packet), out.len());
    line(out, |l| match ip.protocol {
        ip::IGMP => {
            let m = igmp::parse(b)?;
            put!(l, "IGMP {}", m.message);
            if !m.checksum_holds {
                put!(l, ", bad checksum");
            }
            Some(())
        }
        ip::ICMPV6 => {
            put!(l, "MLD {}", mld::parse(b)?);
            Some(())
        }
        PIM => pim(b, l),
        OSPF => ospf(b, l),
        VRRP => vrrp(b, ip.source.is_ipv6(), l),
        EIGRP => eigrp(b, l),
        _ => None,
    });
    out.len() > before
}

/// An encoded address of PIM (RFC 7761 section 4.9.1): family, encoding, and for groups and sources
/// flags and mask. Its text and the offset after it.
fn pim_address(b: &[u8], at: usize, extra: usize) -> Option<(IpAddr, usize)> {
    let start = at + 2 + extra;
    match u8_at(b, at)? {
        1 => Some((Ipv4Addr::from(be32(b, start)?).into(), start + 4)),
        2 => {
            let octets: [u8; 16] = bytes(b, start, 16)?.try_into().ok()?;
            Some((Ipv6Addr::from(octets).into(), start + 16))
        }
        _ => None,
    }
}

fn pim(b: &[u8], l: &mut Line<'_>) -> Option<()> {
    let b0 = u8_at(b, 0)?;
    if b0 >> 4 != 2 {
        return None;
    }
    let names = [
        "hello",
        "register",
        "register-stop",
        "join/prune",
        "bootstrap",
        "assert",
        "graft",
        "graft-ack",
        "candidate-RP",
        "state refresh",
        "DF election",
    ];
    put!(l, "PIM {}", names.get(usize::from(b0 & 0x0f)).unwrap_or(&"message"));
    match b0 & 0x0f {
        0 => {
            let mut at = 4;
            for _ in 0..ITEMS_MAX {
                let (kind, length) = (be16(b, at)?, usize::from(be16(b, at + 2)?));
                match (kind, length) {
                    (1, 2) => put!(l, "  hold {} s", be16(b, at + 4)?),
                    (19, 4) => put!(l, "  DR prio {}", be32(b, at + 4)?),
                    (20, 4) => put!(l, "  generation {:08x}", be32(b, at + 4)?),
                    _ => {}
                }
                at += 4 + length;
            }
        }
        3 => {
            let (neighbour, at) = pim_address(b, 4, 0)?;
            put!(l, "  to {neighbour}");
            let groups = usize::from(u8_at(b, at + 1)?);
            let mut at = at + 4;
            for i in 0..groups.min(ITEMS_MAX) {
                let (group, next) = pim_address(b, at, 2)?;
                let (joined, pruned) = (usize::from(be16(b, next)?), usize::from(be16(b, next + 2)?));
                if i < SHOWN {
                    let what = if joined > 0 { "join" } else { "prune" };
                    put!(l, "  {what} {group}");
                }
                at = next + 4;
                for _ in 0..joined + pruned {
                    at = pim_address(b, at, 2)?.1;
                }
            }
            if groups > SHOWN {
                put!(l, "  {} more", groups - SHOWN);
            }
        }
        5 => {
            let (group, at) = pim_address(b, 4, 2)?;
            put!(l, "  {group} from {}", pim_address(b, at, 0)?.0);
        }
        _ => {}
    }
    Some(())
}

fn ospf(b: &[u8], l: &mut Line<'_>) -> Option<()> {
    let version = u8_at(b, 0).filter(|v| matches!(v, 2 | 3))?;
    let names = ["", "hello", "database description", "request", "update", "acknowledge"];
    let name = names.get(usize::from(u8_at(b, 1)?)).filter(|n| !n.is_empty())?;
    put!(l, "OSPFv{version} {name}  router {}", Ipv4Addr::from(be32(b, 4)?));
    put!(l, "  area {}", Ipv4Addr::from(be32(b, 8)?));
    if *name == "hello" {
        // Interval, dead interval, designated router, where the neighbours begin.
        let (interval, dead, dr, first) = match version {
            2 => (be16(b, 28)?, be32(b, 32)?, be32(b, 36)?, 44),
            _ => (be16(b, 24)?, u32::from(be16(b, 26)?), be32(b, 28)?, 36),
        };
        put!(l, "  every {interval} s  dead {dead} s  DR {}", Ipv4Addr::from(dr));
        let end = usize::from(be16(b, 2)?).min(b.len());
        put!(l, "  {} neighbours", end.saturating_sub(first) / 4);
    }
    Some(())
}

/// Hundredths of a second as seconds.
struct Centi(u16);

impl fmt::Display for Centi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", f64::from(self.0) / 100.0)
    }
}

fn vrrp(b: &[u8], v6: bool, l: &mut Line<'_>) -> Option<()> {
    let version = match u8_at(b, 0)? {
        0x21 => 2,
        0x31 => 3,
        _ => return None,
    };
    put!(l, "VRRPv{version} id {}  prio {}", u8_at(b, 1)?, u8_at(b, 2)?);
    if u8_at(b, 2)? == 0 {
        put!(l, " (leaving)");
    }
    match version {
        2 => put!(l, "  every {} s", u8_at(b, 5)?),
        _ => put!(l, "  every {}", Centi(be16(b, 4)? & 0x0fff)),
    }
    for i in 0..usize::from(u8_at(b, 3)?).min(SHOWN) {
        if v6 {
            let octets: [u8; 16] = bytes(b, 8 + 16 * i, 16)?.try_into().ok()?;
            put!(l, "  VIP {}", Ipv6Addr::from(octets));
        } else {
            put!(l, "  VIP {}", Ipv4Addr::from(be32(b, 8 + 4 * i)?));
        }
    }
    Some(())
}

fn eigrp(b: &[u8], l: &mut Line<'_>) -> Option<()> {
    if u8_at(b, 0)? != 2 {
        return None;
    }
    let name = match u8_at(b, 1)? {
        1 => "update",
        3 => "query",
        4 => "reply",
        5 => "hello",
        10 => "SIA query",
        11 => "SIA reply",
        _ => "message",
    };
    put!(l, "EIGRP {name}  AS {}", be16(b, 18)?);
    // The parameters of a hello: metric weights and hold time.
    if be24(b, 20).is_some_and(|t| t >> 8 == 1) && name == "hello" {
        put!(l, "  hold {} s", be16(b, 30)?);
    }
    Some(())
}
