//! Source validation: what the kernel thinks of the sender's address.

use std::net::IpAddr;

use super::{Case, Check, Judged, Subject, fail, note, ok, one, unknown, unseen, untold, warn};
use crate::base::units::count;
use crate::doctor::facts::{Flow, IfaceFacts, Target};
use crate::doctor::finding::Fate;
use crate::doctor::funnel::{
    Counts, accepts_local, fails_reverse_path, is_bad_source, is_loopback, meant, rp_filter, wire_of,
};

pub(super) const CHECKS: &[Check] = &[
    Check { id: "rp.filter", subject: Subject::Group, why: RP, judge: reverse_path },
    Check { id: "rp.acceptlocal", subject: Subject::Group, why: LOCAL, judge: accept_local },
    Check { id: "rp.badsource", subject: Subject::Group, why: BAD, judge: bad_source },
];

const RP: &str = "the reverse path filter drops datagrams whose sender would be answered another way, before any program \
                  sees them";
const LOCAL: &str = "Linux takes a datagram from one of its own addresses, come from outside, for forged and drops it \
                     without counting";
const BAD: &str =
    "a host may not send from such an address (RFC 1122 section 3.2.1.3); Linux drops it without counting";

/// Senders whose frames are addressed to us.
fn senders(t: &Target) -> Vec<&Flow> {
    let Some(wire) = wire_of(t) else { return Vec::new() };
    let mut list: Vec<&Flow> =
        meant(wire, &t.membership).filter(|f| !f.elsewhere && f.vlan.is_none()).collect();
    list.dedup_by_key(|f| f.source);
    list
}

fn word(filter: u32) -> &'static str {
    match filter {
        0 => "off",
        1 => "strict",
        _ => "loose",
    }
}

fn reverse_path(c: &Case<'_>) -> Vec<Judged> {
    let (Some(t), Some(m), Some(i)) = (c.target, c.membership(), c.iface) else { return Vec::new() };
    if m.group.is_ipv6() {
        return Vec::new();
    }
    let name = c.name();
    let Some(filter) = rp_filter(c.facts, i) else {
        return one(untold(&format!("the reverse path filter of {name}")));
    };
    let dropped = Counts::of(c.facts, true).map(|c| c.reverse_path);
    let settings = format!(
        "net.ipv4.conf.{name}.rp_filter = {}, all = {}",
        i.v4.rp_filter.unwrap_or(0),
        c.facts.settings.all.rp_filter.unwrap_or(0)
    );
    let counted = dropped.map_or(String::new(), |n| format!("; IPReversePathFilter +{n} in {}", c.window()));
    let explains = c.is(Fate::ReversePath);
    if filter == 0 && !explains {
        return one(
            ok(format!("{name} takes senders of any address (rp_filter is off)")).seen(settings + &counted)
        );
    }
    // The sender to name: one that does not pass.
    let senders = senders(t);
    let refused = senders.iter().find(|f| fails_reverse_path(c.facts, i, f) == Some(true));
    match refused {
        Some(f) => {
            let back = f.route_back.flatten();
            let addressless = !i.iface.addrs.iter().any(|a| a.ip.is_ipv4());
            let (way, route) = match back {
                _ if addressless => (format!("{name} has no IPv4 address"), "not asked for".into()),
                Some(r) => {
                    let by = c
                        .facts
                        .by_index(r.ifindex)
                        .map_or_else(|| format!("interface {}", r.ifindex), |i| i.iface.name.to_string());
                    (format!("the way back to {} leaves by {by}", f.source), by)
                }
                None => (format!("there is no way back to {}", f.source), "none".into()),
            };
            let title = format!(
                "{name} drops packets from {} before any program sees them: rp_filter is {} ({filter}), and {way}",
                f.source,
                word(filter)
            );
            let verdict = if explains { fail(title) } else { warn(title) };
            one(remedied(verdict, c, i, filter, Some(f.source), back.is_some() && !addressless)
                .seen(format!("{settings}{counted}; route to {}: {route}", f.source))
                .explaining(explains))
        }
        None if explains => {
            let whose = match &t.wire {
                Some(Err(why)) => format!("; whose cannot be said: looking at the wire {}", why.reason),
                _ => String::new(),
            };
            let title = format!(
                "{name} drops packets before any program sees them: rp_filter is {} ({filter}), and the way back to their sender leads elsewhere or nowhere",
                word(filter)
            );
            let back = c.facts.host.default_route == Some(true) && filter == 1;
            one(remedied(fail(title), c, i, filter, None, back)
                .seen(format!("{settings}{counted}{whose}"))
                .explaining(true))
        }
        None if filter == 1 && dropped.is_some_and(|n| n > 0) => {
            // Somebody's packets are dropped, but not those of this group.
            one(note(format!(
                "rp_filter drops packets of others on this host ({})",
                count(dropped.unwrap_or(0))
            ))
            .seen(settings + &counted))
        }
        None if senders.is_empty()
            && t.packets == 0
            && filter == 1
            && c.facts.ifaces.iter().filter(|i| i.iface.up).count() > 2 =>
        {
            one(note(format!("rp_filter on {name} is strict, and this host has several interfaces"))
                .seen(settings + &counted)
                .run(format!("sysctl -w net.ipv4.conf.{name}.rp_filter=2")))
        }
        None => one(ok(format!("{name} lets the senders through (rp_filter is {})", word(filter)))
            .seen(settings + &counted)),
    }
}

/// What makes the filter pass the sender. Loose is enough where there is a way back at all: the greater
/// of both settings counts, and 2 is the greatest.
fn remedied(
    found: Judged,
    c: &Case<'_>,
    i: &IfaceFacts,
    filter: u32,
    sender: Option<IpAddr>,
    way_back: bool,
) -> Judged {
    let name = c.name();
    if way_back && filter == 1 {
        return found.run(format!("sysctl -w net.ipv4.conf.{name}.rp_filter=2"));
    }
    match sender {
        // A route to the sender needs an address to send from.
        Some(ip) if i.iface.addrs.iter().any(|a| a.ip.is_ipv4()) => {
            found.run(format!("ip route add {ip}/32 dev {name}"))
        }
        _ => found.run(format!(
            "sysctl -w net.ipv4.conf.all.rp_filter=0\nsysctl -w net.ipv4.conf.{name}.rp_filter=0"
        )),
    }
}

fn accept_local(c: &Case<'_>) -> Vec<Judged> {
    let (Some(t), Some(m), Some(i)) = (c.target, c.membership(), c.iface) else { return Vec::new() };
    if m.group.is_ipv6() {
        return Vec::new();
    }
    let name = c.name();
    let settings = format!(
        "net.ipv4.conf.{name}.accept_local = {}, all = {}",
        i.v4.accept_local.unwrap_or(0),
        c.facts.settings.all.accept_local.unwrap_or(0)
    );
    if accepts_local(c.facts, i) {
        return one(ok(format!("{name} takes packets from this host's own addresses")).seen(settings));
    }
    let own = senders(t).into_iter().find_map(|f| Some((f, c.facts.owner(f.source)?)));
    one(match (own, &t.wire) {
        (Some((f, owner)), _) => {
            let title = format!(
                "{name} drops packets from {}: that is this host's own address, on {}",
                f.source, owner.iface.name
            );
            let found = if c.is(Fate::OwnSource) { fail(title) } else { warn(title) };
            found
                .seen(format!("{} frames from {} in {}; {settings}", count(f.frames), f.source, c.window()))
                .run(format!("sysctl -w net.ipv4.conf.{name}.accept_local=1"))
                .explaining(c.is(Fate::OwnSource))
        }
        (None, _) if t.packets > 0 => ok("no sender uses an address of this host").seen(settings),
        (None, Some(Ok(_))) => ok("no sender uses an address of this host").seen(settings),
        (None, Some(Err(why))) => unseen("whether a sender uses an address of this host", why),
        (None, None) => {
            unknown("whether a sender uses an address of this host").seen("the wire was not looked at")
        }
    })
}

fn bad_source(c: &Case<'_>) -> Vec<Judged> {
    let (Some(t), Some(m)) = (c.target, c.membership()) else { return Vec::new() };
    let here = c.iface.is_some_and(is_loopback);
    let bad = senders(t).into_iter().find(|f| !here && is_bad_source(f.source, m.group));
    one(match (bad, &t.wire) {
        (Some(f), _) => {
            let title = format!("{} comes from {}, which is no address to send from", m.group, f.source);
            let found = if c.is(Fate::BadSource) { fail(title) } else { warn(title) };
            found
                .seen(format!("{} frames in {}", count(f.frames), c.window()))
                .advise("give the sender's interface an address")
                .explaining(c.is(Fate::BadSource))
        }
        (None, _) if t.packets > 0 => {
            ok("the senders' addresses are valid").seen(format!("{} heard", t.sources.len()))
        }
        (None, Some(Ok(_))) => ok("no sender uses an invalid address").seen("looked at on the wire"),
        (None, Some(Err(why))) => unseen("whether a sender uses an invalid address", why),
        (None, None) => {
            unknown("whether a sender uses an invalid address").seen("the wire was not looked at")
        }
    })
}
