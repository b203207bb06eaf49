//! Routers among themselves, over UDP: HSRP (RFC 2281 and its version 2), GLBP, RIPv2 (RFC 2453).

use std::net::Ipv4Addr;

use crate::wire::read::{Hex, Text, Tree, be16, be32, bytes, line, put, u8_at, until_nul};
use crate::wire::{Confidence, Hint, Protocol};

/// Routes of one RIP message (RFC 2453 section 4).
const ROUTES_MAX: usize = 25;
/// Length of a route.
const ROUTE: usize = 20;
/// The metric of what cannot be reached.
const UNREACHABLE: u32 = 16;

/// The row of HSRP.
pub static HSRP: Protocol = Protocol {
    id: "hsrp",
    name: "HSRP",
    mark: "an HSRP version, state and hold time, on port 1985",
    detect: |b, hint| (hint.to_port(&[1985]) && Hsrp::parse(b).is_some()).then_some(Confidence::Certain),
    preview: preview_hsrp,
    fields: |b| Tree::of(b, fields_hsrp),
    sequence: None,
};

/// The row of GLBP.
pub static GLBP: Protocol = Protocol {
    id: "glbp",
    name: "GLBP",
    mark: "GLBP's version 1 at offset 0, on port 3222",
    detect: detect_glbp,
    preview: preview_glbp,
    fields: |b| Tree::of(b, fields_glbp),
    sequence: None,
};

/// The row of RIPv2.
pub static RIP: Protocol = Protocol {
    id: "rip",
    name: "RIPv2",
    mark: "version 2 and routes of 20 bytes to the end, on port 520",
    detect: detect_rip,
    preview: preview_rip,
    fields: |b| Tree::of(b, fields_rip),
    sequence: None,
};

/// What both versions of HSRP say.
struct Hsrp<'a> {
    version: u8,
    operation: u8,
    state: &'static str,
    group: u16,
    priority: u32,
    /// The virtual address: four or sixteen bytes.
    address: &'a [u8],
}

impl<'a> Hsrp<'a> {
    fn parse(b: &'a [u8]) -> Option<Hsrp<'a>> {
        if b.starts_with(&[0]) && b.len() == 20 {
            let state = match u8_at(b, 2)? {
                0 => "initial",
                1 => "learn",
                2 => "listen",
                4 => "speak",
                8 => "standby",
                16 => "active",
                _ => return None,
            };
            let operation = u8_at(b, 1).filter(|o| *o <= 3)?;
            // A hello is sent before the hold time ends (RFC 2281 section 5.1).
            if u8_at(b, 3)? == 0 || u8_at(b, 4)? <= u8_at(b, 3)? {
                return None;
            }
            let (group, priority) = (u16::from(u8_at(b, 6)?), u32::from(u8_at(b, 5)?));
            return Some(Hsrp { version: 1, operation, state, group, priority, address: bytes(b, 16, 4)? });
        }
        if b.starts_with(&[1, 40, 2]) {
            let states = ["", "initial", "learn", "listen", "speak", "standby", "active"];
            let state = states.get(usize::from(u8_at(b, 4)?)).filter(|s| !s.is_empty())?;
            let operation = u8_at(b, 3).filter(|o| *o <= 3)?;
            let address = bytes(b, 26, if u8_at(b, 5)? == 6 { 16 } else { 4 })?;
            let (group, priority) = (be16(b, 6)?, be32(b, 14)?);
            return Some(Hsrp { version: 2, operation, state, group, priority, address });
        }
        None
    }

    fn operation(&self) -> &'static str {
        ["hello", "coup", "resign", "advertise"][usize::from(self.operation & 3)]
    }

    fn address(&self) -> String {
        match (<[u8; 4]>::try_from(self.address), <[u8; 16]>::try_from(self.address)) {
            (Ok(v4), _) => Ipv4Addr::from(v4).to_string(),
            (_, Ok(v6)) => std::net::Ipv6Addr::from(v6).to_string(),
            _ => Hex(self.address, "").to_string(),
        }
    }
}

fn preview_hsrp(b: &[u8], out: &mut String) {
    line(out, |l| {
        let h = Hsrp::parse(b)?;
        put!(l, "HSRPv{} {} group {}", h.version, h.operation(), h.group);
        put!(l, "  {}  prio {}  VIP {}", h.state, h.priority, h.address());
        Some(())
    });
}

fn fields_hsrp(t: &mut Tree<'_>) -> Option<()> {
    let b = t.b();
    let h = Hsrp::parse(b)?;
    if h.version == 1 {
        t.u8(0, "version")?;
        t.add(1..2, "operation", h.operation());
        t.add(2..3, "state", h.state);
        t.add(3..4, "hello time", format_args!("{} s", u8_at(b, 3)?));
        t.add(4..5, "hold time", format_args!("{} s", u8_at(b, 4)?));
        t.u8(5, "priority")?;
        t.u8(6, "group")?;
        t.text(8..16, "authentication")?;
        t.add(16..20, "virtual address", h.address());
        return Some(());
    }
    t.u8(2, "version")?;
    t.add(3..4, "operation", h.operation());
    t.add(4..5, "state", h.state);
    t.u8(5, "IP version")?;
    t.be16(6, "group")?;
    t.hex(8..14, "identifier")?;
    t.be32(14, "priority")?;
    t.add(18..22, "hello time", format_args!("{} ms", be32(b, 18)?));
    t.add(22..26, "hold time", format_args!("{} ms", be32(b, 22)?));
    t.add(26..26 + h.address.len(), "virtual address", h.address());
    Some(())
}

fn detect_glbp(b: &[u8], hint: &Hint) -> Option<Confidence> {
    let place = hint.to_port(&[3222]) && b.starts_with(&[1, 0]) && be16(b, 4) == Some(0) && b.len() >= 12;
    place.then_some(if hint.to_v4([224, 0, 0, 102]) { Confidence::Certain } else { Confidence::Likely })
}

fn preview_glbp(b: &[u8], out: &mut String) {
    line(out, |l| {
        put!(l, "GLBP group {}  owner {}", be16(b, 2)?, Hex(bytes(b, 6, 6)?, ":"));
        Some(())
    });
}

fn fields_glbp(t: &mut Tree<'_>) -> Option<()> {
    t.u8(0, "version")?;
    t.be16(2, "group")?;
    t.add(6..12, "owner", Hex(bytes(t.b(), 6, 6)?, ":"));
    t.rest(12, "TLVs")
}

fn detect_rip(b: &[u8], hint: &Hint) -> Option<Confidence> {
    let head = matches!(u8_at(b, 0)?, 1 | 2) && u8_at(b, 1)? == 2 && hint.len >= 4 + ROUTE;
    let fits = hint.len.checked_sub(4).is_some_and(|n| n.is_multiple_of(ROUTE));
    let family = matches!(be16(b, 4)?, 0 | 2 | 0xffff);
    (head && fits && family && hint.to_port(&[520])).then_some(Confidence::Certain)
}

/// Where the routes stand; an authentication entry (family ffff) is none.
fn routes(b: &[u8]) -> impl Iterator<Item = usize> {
    (4..b.len()).step_by(ROUTE).take(ROUTES_MAX).filter(|at| at + ROUTE <= b.len())
}

/// A request with one entry of no family and an infinite metric (RFC 2453 section 3.9.1).
fn asks_for_all(b: &[u8]) -> bool {
    let mut entries = routes(b).filter(|at| be16(b, *at) != Some(0xffff));
    let (first, more) = (entries.next(), entries.next().is_some());
    u8_at(b, 0) == Some(1)
        && !more
        && first.is_some_and(|at| be16(b, at) == Some(0) && be32(b, at + 16) == Some(UNREACHABLE))
}

fn preview_rip(b: &[u8], out: &mut String) {
    line(out, |l| {
        put!(l, "RIPv2 {}", if u8_at(b, 0)? == 1 { "request" } else { "response" });
        if asks_for_all(b) {
            put!(l, "  the whole table");
            return Some(());
        }
        let families = || routes(b).filter(|at| be16(b, *at) != Some(0xffff));
        let n = families().count();
        put!(l, "  {n} route{}", if n == 1 { "" } else { "s" });
        let lost = families().filter(|at| be32(b, at + 16) == Some(UNREACHABLE)).count();
        if lost > 0 {
            put!(l, "  {lost} unreachable");
        }
        if let Some(at) = families().next() {
            put!(l, "  {}", route(b, at)?);
        }
        Some(())
    });
}

fn route(b: &[u8], at: usize) -> Option<String> {
    let prefix = Ipv4Addr::from(be32(b, at + 4)?);
    let mask = be32(b, at + 8)?;
    Some(format!("{prefix}/{} metric {}", mask.count_ones(), be32(b, at + 16)?))
}

fn fields_rip(t: &mut Tree<'_>) -> Option<()> {
    let b = t.b();
    t.add(0..1, "command", if u8_at(b, 0)? == 1 { "request" } else { "response" });
    t.u8(1, "version")?;
    for at in routes(b) {
        if be16(b, at)? == 0xffff {
            t.add(at..at + ROUTE, "authentication", Text(until_nul(bytes(b, at + 4, 16)?)));
            continue;
        }
        if asks_for_all(b) {
            t.add(at..at + ROUTE, "request", "the whole table");
            continue;
        }
        t.add(at..at + ROUTE, "route", route(b, at)?);
        t.nest(|t| {
            t.be16(at, "address family")?;
            t.be16(at + 2, "tag")?;
            t.add(at + 12..at + 16, "next hop", Ipv4Addr::from(be32(b, at + 12)?));
            Some(())
        })?;
    }
    Some(())
}
