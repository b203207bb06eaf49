//! Switches and bridges: snooping, shared MAC addresses, VLANs, packets that come twice.

use std::net::IpAddr;

use super::{Case, Check, Judged, Subject, fail, group_name, note, ok, one, unknown, unseen, untold, warn};
use crate::base::group::Membership;
use crate::base::units::{count, counted, duration, packets, percent, share_pct};
use crate::doctor::facts::{Cut, CutWhy};
use crate::doctor::finding::Fate;
use crate::doctor::funnel::{meant, wire_of};

pub(super) const CHECKS: &[Check] = &[
    Check { id: "snoop.noquerier", subject: Subject::Group, why: NOQUERIER, judge: no_querier },
    Check { id: "snoop.linuxbridge", subject: Subject::Iface, why: BRIDGE, judge: bridge },
    Check { id: "snoop.macoverlap", subject: Subject::Group, why: OVERLAP, judge: overlap },
    Check { id: "snoop.224-0-0", subject: Subject::Group, why: LINK, judge: link_scope },
    Check { id: "snoop.vlan", subject: Subject::Group, why: VLAN, judge: vlan },
    Check { id: "dup.paths", subject: Subject::Group, why: TWICE, judge: twice },
];

const NOQUERIER: &str = "a snooping switch forgets a group 260 s (270 s by RFC 9776) after the last report, and without \
                         queries nobody reports again";
const BRIDGE: &str = "a Linux bridge filters while it knows a querier, and floods while it knows none";
const OVERLAP: &str = "32 IPv4 groups share one MAC address: adapters and MAC-based snooping cannot tell them apart \
                       (RFC 1112 section 6.4)";
const LINK: &str =
    "routers never forward 224.0.0.0/24 and ff02::/16 (RFC 5771 section 4, RFC 4291 section 2.7)";
const VLAN: &str = "a frame with a VLAN tag is for that VLAN's interface; without one it is dropped";
const TWICE: &str = "what comes twice costs twice and confuses programs that count";

/// When a snooping switch forgets, counted from the join (RFC 3376 and RFC 9776 section 8.4), with what the
/// second report and the timers' grain add, in ns.
const FORGETS_NS: std::ops::RangeInclusive<u64> = 255_000_000_000..=275_000_000_000;

fn no_querier(c: &Case<'_>) -> Vec<Judged> {
    let (Some(t), Some(m)) = (c.target, c.membership()) else { return Vec::new() };
    let queried = c.facts.queries.iter().any(|q| q.iface == m.iface && q.from.is_ipv4() == m.group.is_ipv4());
    if let Some(cut) = t.cut {
        return one(foretold(c, m, cut));
    }
    if queried {
        return one(ok("a querier keeps the memberships alive").seen("queries were heard"));
    }
    match t.silent_after_ns {
        Some(ns) if FORGETS_NS.contains(&ns) => one(fail(format!("{} fell silent {} after the join, when snooping switches forget", m.group, duration(ns)))
            .seen(format!("no query heard on {}", m.iface))
            .advise("enable an IGMP querier on the segment, or turn snooping off on that VLAN; joining again helps for as long once more")
            .explaining(true)),
        Some(ns) => one(ok(format!("{} fell silent at another time than snooping switches forget", m.group)).seen(format!("{} after the join", duration(ns)))),
        None => one(unknown("whether a snooping switch will forget the group")
            .seen(format!("measured for {}; it shows 260 s after the join", c.window()))
            .advise(format!("`mcscope watch '{m}' --stats-only --duration 300s` waits for it"))),
    }
}

/// What is to be expected where nobody asks, or asks in vain.
fn foretold(c: &Case<'_>, m: &Membership, cut: Cut) -> Judged {
    let protocol = if m.group.is_ipv4() { "IGMP" } else { "MLD" };
    let when = cut.at.map_or("some minutes after its last report".to_owned(), |at| {
        let t = at.civil(c.facts.utc_offset_s);
        format!("at {:02}:{:02}:{:02}", t.hour, t.minute, t.second)
    });
    match cut.why {
        CutWhy::NoQuerier(ns) => warn(format!(
            "no {protocol} querier heard on {} for {}: a snooping switch cuts {} {when}",
            m.iface,
            super::window(ns),
            m.group
        ))
        .seen("the time is counted from this host's last report, by the timers in force (RFC 9776 section 8.4)")
        .advise("enable a querier on one switch or router of the segment; on a Linux bridge `ip link set BRIDGE type bridge mcast_querier 1 mcast_igmp_version 3`; or turn snooping off on that VLAN"),
        CutWhy::Unanswered(ns) => warn(format!(
            "a query on {} was not answered for {}: a snooping switch cuts it {when}",
            m.iface, m.group
        ))
        .seen(format!("{protocol} query {} ago, and no report of this host on the wire", duration(ns)))
        .advise("see what keeps the report back: `nft list ruleset` (output), and whether the query reaches the kernel (input)"),
    }
}

fn bridge(c: &Case<'_>) -> Vec<Judged> {
    let Some(i) = c.iface else { return Vec::new() };
    let name = c.name();
    let Some(d) = &i.details else { return Vec::new() };
    let mut out = Vec::new();
    if let Some(b) = d.bridge {
        let seen = format!(
            "mcast_snooping {}, mcast_querier {}, igmp version {}, mld version {}, membership interval {} (rtnetlink)",
            u8::from(b.snooping),
            u8::from(b.querier),
            b.igmp_version.map_or("untold".into(), |v| v.to_string()),
            b.mld_version.map_or("untold".into(), |v| v.to_string()),
            b.membership_ms.map_or("untold".into(), |ms| duration(ms * 1_000_000)),
        );
        let old = b.igmp_version.is_some_and(|v| v < 3) || b.mld_version.is_some_and(|v| v < 2);
        out.push(if b.snooping && b.querier && old {
            note(format!("{name} asks in old versions and so keeps all hosts from telling their sources"))
                .seen(seen)
                .run(format!("ip link set {name} type bridge mcast_igmp_version 3 mcast_mld_version 2"))
        } else if b.snooping && !b.querier {
            note(format!(
                "{name} snoops and does not ask: when a querier elsewhere falls silent, groups are cut off"
            ))
            .seen(seen)
            .run(format!(
                "ip link set {name} type bridge mcast_querier 1 mcast_igmp_version 3 mcast_mld_version 2"
            ))
        } else {
            ok(format!("{name} treats multicast soundly")).seen(seen)
        });
        for port in c.facts.ifaces.iter().filter(|p| p.iface.master.as_deref() == Some(name)) {
            let flood = port.details.as_ref().and_then(|d| d.port).and_then(|p| p.mcast_flood);
            if flood == Some(false) {
                out.push(
                    note(format!("{} gets only groups that were reported behind it", port.iface.name))
                        .seen("mcast_flood off (rtnetlink)")
                        .run(format!("bridge link set dev {} mcast_flood on", port.iface.name))
                        .on(port.iface.name.to_string()),
                );
            }
        }
    } else if d.port.is_some() {
        let bridge = i.iface.master.as_deref().unwrap_or("a bridge");
        out.push(
            super::warn_if(
                c.is_silent(),
                format!("{name} is a port of {bridge}: its frames go to {bridge}, not to IP here"),
            )
            .seen("IFLA_MASTER, slave kind bridge (rtnetlink)")
            .advise(format!("join on {bridge}"))
            .explaining(c.is_silent() && wire_of_case(c)),
        );
    }
    out
}

fn wire_of_case(c: &Case<'_>) -> bool {
    c.target.and_then(wire_of).is_some_and(|w| !w.flows.is_empty())
}

/// The bits of an IPv4 group that its MAC address has: the low 23 (RFC 1112 section 6.4).
fn mac_bits(ip: IpAddr) -> Option<u32> {
    match ip {
        IpAddr::V4(ip) => Some(u32::from(ip) & 0x007f_ffff),
        IpAddr::V6(_) => None,
    }
}

fn overlap(c: &Case<'_>) -> Vec<Judged> {
    let Some(m) = c.membership() else { return Vec::new() };
    let Some(bits) = mac_bits(m.group) else { return Vec::new() };
    let [_, b1, b2, b3] = bits.to_be_bytes();
    let mac = format!("01:00:5e:{b1:02x}:{b2:02x}:{b3:02x}");
    let IpAddr::V4(group) = m.group else { return Vec::new() };
    // The same MAC address as a group of 224.0.0.0/24, which switches flood.
    if bits < 0x100 && group.octets()[..3] != [224, 0, 0] {
        return one(note(format!(
            "{group} shares its MAC address with 224.0.0.{b3}: switches flood it everywhere"
        ))
        .seen(mac)
        .advise("choose a group that differs in its low 23 bits"));
    }
    let members = c.facts.members.iter().flatten().map(|h| (h.group, &h.iface));
    let targets = c.facts.targets.iter().map(|t| (t.membership.group, &t.membership.iface));
    let other = members
        .chain(targets)
        .find(|(ip, iface)| *ip != m.group && **iface == m.iface && mac_bits(*ip) == Some(bits));
    one(match other {
        Some((ip, _)) => note(format!("{group} and {ip}, both joined, share one MAC address"))
            .seen(mac)
            .advise("choose groups that differ in their low 23 bits"),
        None => ok(format!("no other group joined here shares the MAC address of {group}")).seen(mac),
    })
}

fn link_scope(c: &Case<'_>) -> Vec<Judged> {
    let (Some(t), Some(m), Some(i)) = (c.target, c.membership(), c.iface) else { return Vec::new() };
    let local = match m.group {
        IpAddr::V4(g) => g.octets()[..3] == [224, 0, 0],
        IpAddr::V6(g) => g.octets()[1] & 0x0f == 2,
    };
    if !local {
        return Vec::new();
    }
    let foreign = m.filter.sources().iter().find(|s| {
        !s.is_loopback()
            && i.iface.has_family(**s)
            && !i.iface.addrs.iter().any(|a| same_network(a.ip, **s, a.prefix_len))
    });
    one(match foreign {
        Some(s) => super::warn_if(
            t.packets == 0,
            format!("{} never crosses a router, and {s} is on another network than {}", m.group, m.iface),
        )
        .seen("the membership's source against the interface's addresses")
        .advise("choose a group of a wider scope, as in 239.255.0.0/16"),
        None => ok(format!("{} stays on the link, as its senders must", m.group)).seen("link scope"),
    })
}

pub(super) fn same_network(a: IpAddr, b: IpAddr, len: u8) -> bool {
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)) << 96,
        IpAddr::V6(ip) => ip.into(),
    };
    let differ = bits(a) ^ bits(b);
    a.is_ipv4() == b.is_ipv4() && (len == 0 || differ >> (128 - u32::from(len.min(128))) == 0)
}

fn vlan(c: &Case<'_>) -> Vec<Judged> {
    let (Some(t), Some(m)) = (c.target, c.membership()) else { return Vec::new() };
    let what = format!("whether {} comes in another VLAN", m.group);
    let wire = match &t.wire {
        Some(Ok(wire)) => wire,
        Some(Err(why)) if t.packets == 0 => return one(unseen(&what, why)),
        Some(Err(_)) => {
            return one(ok(format!("{} comes without a foreign VLAN tag", m.group)).seen("it arrives"));
        }
        None => return one(untold(&what)),
    };
    let tagged = meant(wire, m).find_map(|f| Some((f.vlan?, f.frames)));
    one(match tagged {
        None => ok(format!("{} carries no foreign VLAN tag", m.group)).seen("looked at on the wire"),
        Some((id, frames)) => {
            let title = format!("{} comes to {} in VLAN {id}", m.group, m.iface);
            let found = if c.is(Fate::OtherVlan) { fail(title) } else { note(title) };
            found
                .seen(format!("{} tagged {id} in {}", counted(frames, "frame", "frames"), c.window()))
                .run(format!(
                    "ip link add link {0} name {0}.{id} type vlan id {id}\nip link set {0}.{id} up",
                    m.iface
                ))
                .explaining(c.is(Fate::OtherVlan))
        }
    })
}

fn twice(c: &Case<'_>) -> Vec<Judged> {
    let (Some(t), Some(m)) = (c.target, c.membership()) else { return Vec::new() };
    // The same senders on two interfaces: the host is twice on one segment.
    let elsewhere = c.facts.targets.iter().find(|o| {
        o.membership.endpoint() == m.endpoint()
            && o.membership.iface != m.iface
            && o.packets > 0
            && o.sources.iter().any(|s| t.sources.iter().any(|mine| mine.from == s.from))
    });
    if let Some(o) = elsewhere {
        return one(note(format!(
            "{} comes by {} and by {} from the same sender: both are on its segment",
            m.endpoint(),
            m.iface,
            o.membership.iface
        ))
        .seen(format!(
            "{} on {}, {} on {}",
            counted(t.packets, "datagram", "datagrams"),
            m.iface,
            count(o.packets),
            o.membership.iface
        ))
        .advise("join on one of them only"));
    }
    let Some(wire) = wire_of(t) else {
        return one(match &t.wire {
            Some(Err(why)) => unseen(&format!("whether packets of {} come twice", m.group), why),
            _ => untold(&format!("whether packets of {} come twice", m.group)),
        });
    };
    let frames: u64 = meant(wire, m).map(|f| f.frames).sum();
    if frames > 0 && wire.told_apart == 0 {
        return one(unknown(format!("whether packets of {} come twice", group_name(m))).seen(
            "they carry no identification (IPv6, or 0 in IPv4) by which a copy differs from a repetition",
        ));
    }
    let frames = wire.told_apart;
    // Half of what comes twice is the first of two.
    let share = share_pct(t.duplicates, frames).unwrap_or(0.0);
    let seen = format!("{} of {} were there before within 1 s", count(t.duplicates), packets(frames));
    one(if share > 1.0 {
        warn(format!("{} of the packets of {} come twice", percent(share), group_name(m))).seen(seen).advise(
            "look for a loop, a mirrored switch port, a bond of two links, or two copies of the sender",
        )
    } else {
        ok(format!("packets of {} come once", m.group)).seen(seen)
    })
}
