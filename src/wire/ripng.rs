//! RIPng (RFC 2080): the routes of IPv6 routers, to ff02::9, port 521.
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 1 | command: 1 request, 2 response |
//! | 1 | 1 | version 1 |
//! | 2 | 2 | 0 |
//! | 4 | 20 each | prefix (16), tag (2), prefix length (1), metric (1): 16 unreachable, 255 a next hop |

use std::net::Ipv6Addr;

use crate::wire::read::{Tree, be16, bytes, line, put, u8_at};
use crate::wire::{Confidence, Hint, Protocol};

/// Length of a route.
const ROUTE: usize = 20;
/// Routes read of one message: as many as a datagram of 1500 bytes has room for, twice.
const ROUTES_MAX: usize = 146;
/// The metric of what cannot be reached.
const UNREACHABLE: u8 = 16;
/// The metric of an entry that names the next hop of those behind it (section 2.1.1).
const NEXT_HOP: u8 = 255;

/// The row of the table of protocols.
pub static PROTOCOL: Protocol = Protocol {
    id: "ripng",
    name: "RIPng",
    mark: "version 1 and routes of 20 bytes to the end, on port 521",
    detect,
    preview,
    fields: |b| Tree::of(b, fields),
    sequence: None,
};

struct Route {
    at: usize,
    prefix: Ipv6Addr,
    tag: u16,
    length: u8,
    metric: u8,
}

fn routes(b: &[u8]) -> impl Iterator<Item = Route> {
    let one = |at: usize| {
        let prefix: [u8; 16] = bytes(b, at, 16)?.try_into().ok()?;
        let (length, metric) = (u8_at(b, at + 18)?, u8_at(b, at + 19)?);
        Some(Route { at, prefix: prefix.into(), tag: be16(b, at + 16)?, length, metric })
    };
    (4..b.len()).step_by(ROUTE).take(ROUTES_MAX).map_while(one)
}

fn detect(b: &[u8], hint: &Hint) -> Option<Confidence> {
    let head = matches!(u8_at(b, 0)?, 1 | 2) && u8_at(b, 1)? == 1 && be16(b, 2)? == 0;
    let fits = hint.len.checked_sub(4).is_some_and(|n| n >= ROUTE && n.is_multiple_of(ROUTE));
    let sound = |r: Route| r.length <= 128 && matches!(r.metric, 0..=UNREACHABLE | NEXT_HOP);
    (head && fits && hint.to_port(&[521]) && routes(b).all(sound)).then_some(Confidence::Certain)
}

fn command(b: &[u8]) -> Option<&'static str> {
    Some(if u8_at(b, 0)? == 1 { "request" } else { "response" })
}

/// A request with one entry of no prefix and an infinite metric (section 2.4.1).
fn asks_for_all(b: &[u8]) -> bool {
    let mut all = routes(b);
    let first = all.next().is_some_and(|r| r.length == 0 && r.metric == UNREACHABLE);
    u8_at(b, 0) == Some(1) && first && all.next().is_none()
}

fn preview(b: &[u8], out: &mut String) {
    line(out, |l| {
        put!(l, "RIPng {}", command(b)?);
        if asks_for_all(b) {
            put!(l, "  the whole table");
            return Some(());
        }
        let real = || routes(b).filter(|r| r.metric != NEXT_HOP);
        let n = real().count();
        put!(l, "  {n} route{}", if n == 1 { "" } else { "s" });
        let lost = real().filter(|r| r.metric == UNREACHABLE).count();
        if lost > 0 {
            put!(l, "  {lost} unreachable");
        }
        if let Some(r) = real().next() {
            put!(l, "  {}/{} metric {}", r.prefix, r.length, r.metric);
        }
        Some(())
    });
}

fn fields(t: &mut Tree<'_>) -> Option<()> {
    let b = t.b();
    t.add(0..1, "command", command(b)?);
    t.u8(1, "version")?;
    for r in routes(b) {
        let range = r.at..r.at + ROUTE;
        match r.metric {
            NEXT_HOP => t.add(range, "next hop", r.prefix),
            _ if asks_for_all(b) => t.add(range, "request", "the whole table"),
            metric => {
                t.add(range, "route", format_args!("{}/{} metric {metric}", r.prefix, r.length));
                t.add_at(1, r.at + 16..r.at + 18, "tag", r.tag);
            }
        }
    }
    Some(())
}
