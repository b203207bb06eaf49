//! The way to here: is anything sent, and is multicast routed?

use super::{Case, Check, Judged, Subject, fail, note, ok, one, unknown, unseen, untold, warn};
use crate::base::units::{count, counted, packets, packets_per_s};
use crate::doctor::finding::Fate;
use crate::doctor::funnel::{Counts, meant, wire_of};

pub(super) const CHECKS: &[Check] = &[
    Check { id: "net.sender", subject: Subject::Group, why: SENDER, judge: sender },
    Check { id: "net.pim", subject: Subject::Group, why: PIM, judge: pim },
    Check { id: "net.mroute", subject: Subject::Host, why: MROUTE, judge: mroute },
];

const SENDER: &str = "what does not reach the interface cannot be mended on this host";
const PIM: &str =
    "between networks only a multicast router carries a group; routers say hello by PIM every 30 s";
const MROUTE: &str = "a host that routes multicast treats groups differently";

fn sender(c: &Case<'_>) -> Vec<Judged> {
    let (Some(t), Some(m)) = (c.target, c.membership()) else { return Vec::new() };
    let seconds = (c.facts.window_ns as f64 / 1e9).max(1e-3);
    if t.packets > 0 {
        let list: Vec<String> = t.sources.iter().take(4).map(|s| s.from.to_string()).collect();
        let more = t.sources.len().saturating_sub(4);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        return one(ok(format!("{} arrives on {}", m.endpoint(), m.iface)).seen(format!(
            "{} in {} ({}) from {}{more}",
            counted(t.packets, "datagram", "datagrams"),
            c.window(),
            packets_per_s(t.packets as f64 / seconds),
            list.join(", ")
        )));
    }
    if c.is(Fate::Unclear) {
        let title = match wire_of(t) {
            Some(_) => format!("{} comes to {} and dies before any socket, uncounted", m.group, m.iface),
            None => {
                format!("packets, perhaps of {}, come to {} and vanish before any socket", m.group, m.iface)
            }
        };
        let counted = Counts::of(c.facts, m.group.is_ipv4()).map_or(String::new(), |n| {
            format!(
                "{} came to IP in {}, {} vanished uncounted",
                packets(n.received),
                c.window(),
                count(n.vanished)
            )
        });
        let open = c.funnel.map_or("", |f| f.cannot_separate.as_str());
        let parts: Vec<&str> = [counted.as_str(), open].into_iter().filter(|p| !p.is_empty()).collect();
        return one(warn(title)
            .seen(parts.join("; it may be "))
            .advise("as root the doctor sees the frames and the packet filter's rules, and tells more")
            .explaining(true));
    }
    if !c.is(Fate::NothingComes) {
        let frames: Option<u64> = wire_of(t).map(|w| meant(w, m).map(|f| f.frames).sum());
        return one(match frames {
            Some(n) if n > 0 => ok(format!("somebody sends to {}", m.group)).seen(format!(
                "{} on the wire in {}",
                counted(n, "frame", "frames"),
                c.window()
            )),
            _ => unknown(format!("whether anybody sends to {}", m.endpoint()))
                .seen("nothing could be heard; see the other findings first"),
        });
    }
    let seen = match &t.wire {
        Some(Ok(_)) => format!("no frame of {} on the wire of {} in {}", m.group, m.iface, c.window()),
        _ => format!("in {} no counter of the host moved that {} would move", c.window(), m.group),
    };
    // Where it comes by another interface, that is the answer.
    let elsewhere = c.facts.targets.iter().find(|o| o.membership.endpoint() == m.endpoint() && o.packets > 0);
    if let Some(o) = elsewhere {
        return one(note(format!(
            "{} does not come by {}, but by {}",
            m.endpoint(),
            m.iface,
            o.membership.iface
        ))
        .seen(format!("{}; {} on {}", seen, counted(o.packets, "datagram", "datagrams"), o.membership.iface))
        .explaining(true));
    }
    if let Some(o) = t.elsewhere.iter().max_by_key(|o| o.frames) {
        let mut there = m.clone();
        there.iface = o.iface.clone();
        return one(fail(format!("{} does not come by {}, but by {}", m.endpoint(), m.iface, o.iface))
            .seen(format!(
                "{seen}; {} from {} on {}",
                counted(o.frames, "frame", "frames"),
                o.source,
                o.iface
            ))
            .because("a membership is of one interface: what comes by another is not delivered for it")
            .advise(format!("join on {}: `mcscope '{there}'`", o.iface))
            .explaining(true));
    }
    // Where the user named none, it may be meant to come by one that was passed over.
    let unfit = c.facts.ifaces.iter().filter(|i| !t.named && i.iface.is_unfit() && i.iface.name != m.iface);
    let passed: Vec<String> =
        unfit.filter_map(|i| Some(format!("{} {}", i.iface.name, i.iface.candidate().err()?))).collect();
    let seen = if passed.is_empty() { seen } else { format!("{seen}; not looked at: {}", passed.join(", ")) };
    one(warn(format!("nothing of {} reaches {}: nobody sends, or it is lost before this host", m.endpoint(), m.iface))
        .seen(seen)
        .advise(format!(
            "at the sender: does it send to {}, with a TTL that suffices, by the right interface? Between: does a snooping \
             switch know this host (it reported the group just now), is the VLAN the same, does a router carry it? \
             `mcscope send {}` from another host tries the way",
            m.endpoint(),
            m.endpoint()
        ))
        .explaining(true))
}

fn pim(c: &Case<'_>) -> Vec<Judged> {
    let (Some(t), Some(m), Some(i)) = (c.target, c.membership(), c.iface) else { return Vec::new() };
    let what = format!("whether a multicast router is on {}", m.iface);
    let wire = match &t.wire {
        Some(Ok(wire)) => wire,
        Some(Err(why)) => return one(unseen(&what, why)),
        None => return one(untold(&what)),
    };
    if wire.pim {
        return one(ok(format!("a multicast router is on {}", m.iface)).seen("PIM hello heard"));
    }
    // Two hellos missed, and the source named is behind a router: then nobody can bring it.
    let remote = m.filter.sources().iter().any(|s| {
        t.sources.is_empty()
            && i.iface.has_family(*s)
            && !i.iface.addrs.iter().any(|a| super::switch::same_network(a.ip, *s, a.prefix_len))
    });
    if remote && c.facts.window_ns >= 65_000_000_000 && c.is(Fate::NothingComes) {
        return one(fail(format!(
            "no multicast router is heard on {}, and the source is on another network",
            m.iface
        ))
        .seen(format!("no PIM hello in {}", c.window()))
        .advise("enable PIM on the router of this network")
        .explaining(true));
    }
    one(unknown(what).seen(format!("no PIM hello in {}; they come every 30 s", c.window())))
}

fn mroute(c: &Case<'_>) -> Vec<Judged> {
    let settings = &c.facts.settings;
    let forwarding = settings.all.mc_forwarding;
    one(match (&settings.multicast_vifs, forwarding) {
        (Some(vifs), _) if !vifs.is_empty() => {
            note("this host routes multicast").seen(format!("by {} (/proc/net/ip_mr_vif)", vifs.join(", ")))
        }
        (_, Some(1..)) => note("this host routes multicast").seen("net.ipv4.conf.all.mc_forwarding = 1"),
        (None, None) => untold("whether this host routes multicast"),
        _ => ok("this host does not route multicast")
            .seen("/proc/net/ip_mr_vif, net.ipv4.conf.all.mc_forwarding"),
    })
}
