//! Routes: which interface a program gets that names none. mcscope names one, so none of these keeps
//! packets from it.

use std::net::IpAddr;

use super::{Case, Check, Judged, Subject, note, ok, one, untold, warn};
use crate::base::group::needs_zone;
use crate::base::iface::IfaceKind;
use crate::doctor::facts::Target;

pub(super) const CHECKS: &[Check] = &[
    Check { id: "route.v4none", subject: Subject::Group, why: NONE, judge: none },
    Check { id: "route.wrongif", subject: Subject::Group, why: WRONG, judge: wrong },
    Check { id: "route.v6", subject: Subject::Group, why: V6, judge: v6 },
];

const NONE: &str = "a program that names no interface cannot join (ENODEV) and cannot send (ENETUNREACH)";
const WRONG: &str = "a program that names no interface joins where the route to the group leads";
const V6: &str = "without %INTERFACE the kernel picks one of several by its routes, silently";

fn none(c: &Case<'_>) -> Vec<Judged> {
    let (Some(t), Some(m)) = (c.target, c.membership()) else { return Vec::new() };
    if m.group.is_ipv6() {
        return Vec::new();
    }
    one(match t.route {
        None => untold(&format!("the route to {}", m.group)),
        Some(Some(r)) => ok(format!("there is a route to {}", m.group))
            .seen(format!("by {} (RTM_GETROUTE)", name_of(c, r.ifindex))),
        Some(None) => {
            warn(format!("there is no route to {}: programs that name no interface cannot join it", m.group))
                .seen("RTM_GETROUTE: network unreachable; mcscope joins by interface and needs none")
                .run(format!("ip route add 224.0.0.0/4 dev {}", m.iface))
        }
    })
}

fn name_of(c: &Case<'_>, index: u32) -> String {
    c.facts.by_index(index).map_or_else(|| format!("interface {index}"), |i| i.iface.name.to_string())
}

/// The same group asked for on the interface with this index.
fn asked_on<'f>(c: &Case<'f>, group: IpAddr, index: u32) -> Option<&'f Target> {
    let name = &c.facts.by_index(index)?.iface.name;
    c.facts.targets.iter().find(|t| t.membership.group == group && t.membership.iface == *name)
}

fn wrong(c: &Case<'_>) -> Vec<Judged> {
    let (Some(t), Some(m), Some(i)) = (c.target, c.membership(), c.iface) else { return Vec::new() };
    // For IPv6 each interface has its own route to ff00::/8: `route.v6` speaks of that.
    let (true, Some(Some(r))) = (m.group.is_ipv4(), t.route) else { return Vec::new() };
    let other = name_of(c, r.ifindex);
    let seen = format!("route to {}: by {other} (RTM_GETROUTE)", m.group);
    if r.ifindex == i.iface.index {
        return one(ok(format!("a program that names no interface joins on {other} too")).seen(seen));
    }
    let there = asked_on(c, m.group, r.ifindex).map(|t| t.packets > 0);
    let odd = c.facts.by_index(r.ifindex).is_some_and(|i| {
        matches!(i.iface.kind, IfaceKind::Tunnel | IfaceKind::PointToPoint | IfaceKind::ContainerBridge)
    });
    let held = c
        .facts
        .members
        .as_ref()
        .is_some_and(|all| all.iter().any(|h| h.group == m.group && h.iface == m.iface));
    let title = format!("{} leads to {other}, you listen on {}", m.group, m.iface);
    // It arrives here and not where the route leads: a program that leaves the choice to the kernel is
    // deaf. Where somebody has joined here by name, there is no such program to warn of.
    let bad = t.packets > 0 && there != Some(true) && !held
        || odd && !c.facts.targets.iter().any(|t| t.packets > 0);
    let found = if bad { warn(title) } else { note(title) };
    one(found.seen(seen).run(format!("ip route replace 224.0.0.0/4 dev {}", m.iface)))
}

fn v6(c: &Case<'_>) -> Vec<Judged> {
    let (Some(t), Some(m), Some(i)) = (c.target, c.membership(), c.iface) else { return Vec::new() };
    let IpAddr::V6(group) = m.group else { return Vec::new() };
    let Some(route) = t.route else { return one(untold(&format!("the route to {group}"))) };
    let seen = match route {
        Some(r) => format!("route to {group}: by {} (RTM_GETROUTE)", name_of(c, r.ifindex)),
        None => format!("no route to {group} (RTM_GETROUTE)"),
    };
    if i.iface.kind == IfaceKind::Loopback {
        return one(note("Linux has no route for IPv6 multicast on the loopback")
            .seen(seen)
            .run("ip -6 route add ff00::/8 dev lo table local"));
    }
    let able = c
        .facts
        .ifaces
        .iter()
        .filter(|i| i.iface.up && i.iface.kind != IfaceKind::Loopback && i.ipv6_off == Some(false))
        .count();
    let here = route.is_some_and(|r| r.ifindex == i.iface.index);
    one(if here || able < 2 && route.is_some() {
        ok(format!("{group} leads to {}", m.iface)).seen(seen)
    } else {
        let write = if needs_zone(group) {
            format!("write {group}%{}", m.iface)
        } else {
            format!("name {} in every program", m.iface)
        };
        note(format!("{group} without %{} leads elsewhere", m.iface)).seen(seen).advise(write)
    })
}
