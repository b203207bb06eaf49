//! Addresses: what reports leave with, and what the reverse path filter needs.

use super::{Case, Check, Judged, Subject, fail, note, ok, one, untold, warn};
use crate::base::iface::IfaceKind;
use crate::doctor::facts::LinkLocal;
use crate::doctor::finding::Fate;
use crate::doctor::funnel::rp_filter;

pub(super) const CHECKS: &[Check] = &[
    Check { id: "addr.v4none", subject: Subject::Iface, why: NONE, judge: none },
    Check { id: "addr.v6ll", subject: Subject::Iface, why: LINK_LOCAL, judge: link_local },
];

const NONE: &str =
    "IGMP reports leave as 0.0.0.0, which some switches ignore; with rp_filter on, every datagram is dropped";
const LINK_LOCAL: &str =
    "MLD reports must come from a link-local address (RFC 3590 lets switches learn from `::` only)";

fn none(c: &Case<'_>) -> Vec<Judged> {
    let Some(i) = c.iface else { return Vec::new() };
    if c.membership().is_some_and(|m| m.group.is_ipv6()) {
        return Vec::new();
    }
    let name = c.name();
    if let Some(a) = i.iface.addrs.iter().find(|a| a.ip.is_ipv4()) {
        return one(ok(format!("{name} has an IPv4 address")).seen(a.to_string()));
    }
    let filter = rp_filter(c.facts, i).unwrap_or(0);
    let explains = c.is(Fate::ReversePath);
    let seen = format!("no IPv4 address on {name} (rtnetlink); rp_filter in force {filter}");
    // No address can be invented that suits the network: what can be run is the other half.
    let advice =
        format!("give {name} an address of its network, as in `ip address add 10.0.0.5/24 dev {name}`");
    one(if explains || filter != 0 && c.is_silent() {
        fail(format!("{name} has no IPv4 address, and the reverse path filter then drops every datagram"))
            .seen(seen)
            .run(format!("sysctl -w net.ipv4.conf.all.rp_filter=0\nsysctl -w net.ipv4.conf.{name}.rp_filter=0"))
            .because(format!("with rp_filter on, an interface without an address takes in nothing; better than turning it off: {advice}"))
            .explaining(explains)
    } else if c.is_silent() {
        warn(format!("{name} has no IPv4 address")).seen(seen).advise(advice)
    } else {
        note(format!("{name} has no IPv4 address")).seen(seen).advise(advice)
    })
}

fn link_local(c: &Case<'_>) -> Vec<Judged> {
    let Some(i) = c.iface.filter(|i| i.iface.kind != IfaceKind::Loopback) else { return Vec::new() };
    let name = c.name();
    let wanted = c.membership().is_some_and(|m| m.group.is_ipv6());
    if c.membership().is_some() && !wanted {
        return Vec::new();
    }
    let setting = format!("net.ipv6.conf.{name}.disable_ipv6");
    if i.ipv6_off == Some(true) {
        let title = format!("IPv6 is off on {name}");
        let found = if wanted { fail(title) } else { note(title) };
        return one(found
            .seen(format!("{setting} = 1; joins succeed all the same"))
            .because("IPv6 packets are discarded while the interface has IPv6 turned off")
            .run(format!("sysctl -w {setting}=0"))
            .explaining(c.is(Fate::Ipv6Off)));
    }
    one(match i.link_local {
        LinkLocal::Ready => ok(format!("{name} has a link-local address")).seen("/proc/net/if_inet6"),
        LinkLocal::Tentative => {
            let title = format!("the link-local address of {name} is still being checked");
            let found = if wanted && c.is_silent() { warn(title) } else { note(title) };
            found.seen("flag tentative (/proc/net/if_inet6)").advise("wait some seconds and look again")
        }
        LinkLocal::Duplicate => {
            let title = format!("another host has the link-local address of {name}");
            let found = if wanted { warn(title) } else { note(title) };
            found
                .seen("flag dadfailed (/proc/net/if_inet6)")
                .advise("give one of the two hosts another MAC or link-local address")
        }
        LinkLocal::Missing => {
            let title = format!("{name} has no link-local address");
            let found = if wanted && c.is_silent() { warn(title) } else { note(title) };
            // Setting the mode anew makes the kernel generate the address, and leaves the others alone.
            let setting = format!("net.ipv6.conf.{name}.addr_gen_mode");
            found
                .seen("none in /proc/net/if_inet6")
                .run(format!("sysctl -w {setting}=1\nsysctl -w {setting}=0"))
        }
        LinkLocal::Unknown => untold(&format!("the link-local address of {name}")),
    })
}
