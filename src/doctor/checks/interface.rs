//! The interface: up, with carrier, carrying multicast, dropping nothing.

use super::{Case, Check, Judged, Subject, fail, note, ok, one, unknown, untold, warn, warn_if};
use crate::base::iface::IfaceKind;
use crate::base::units::{count, duration};
use crate::doctor::facts::{IfaceFacts, QueryHeard};
use crate::doctor::finding::Fate;
use crate::doctor::funnel::{meant, wire_of};

pub(super) const CHECKS: &[Check] = &[
    Check { id: "if.down", subject: Subject::Iface, why: DOWN, judge: down },
    Check { id: "if.carrier", subject: Subject::Iface, why: CARRIER, judge: carrier },
    Check { id: "if.flap", subject: Subject::Iface, why: FLAP, judge: flap },
    Check { id: "if.nomulticast", subject: Subject::Iface, why: NOMULTICAST, judge: no_multicast },
    Check { id: "if.allmulti", subject: Subject::Iface, why: ALLMULTI, judge: all_multicast },
    Check { id: "if.index", subject: Subject::Group, why: INDEX, judge: index },
    Check { id: "if.mtu", subject: Subject::Iface, why: MTU, judge: mtu },
    Check { id: "if.nicdrop", subject: Subject::Iface, why: NICDROP, judge: nic_drop },
    Check { id: "if.wifi", subject: Subject::Iface, why: WIFI, judge: wifi },
    Check { id: "if.dstmac", subject: Subject::Group, why: DSTMAC, judge: station },
];

const DOWN: &str = "a join succeeds on an interface that is down, and nothing can arrive";
const CARRIER: &str = "without carrier nothing can arrive, and neither joins nor sends say so";
const FLAP: &str = "after a carrier loss Linux sends no IGMP report by itself: a snooping switch may have forgotten \
                    the group until the next query";
const NOMULTICAST: &str = "Linux receives multicast all the same, but many programs pass such an interface over, and \
                           WireGuard carries none unless AllowedIPs has the group";
const ALLMULTI: &str =
    "the adapter passes all multicast: a capture probably runs, and what works now may not once it ends";
const INDEX: &str = "a membership belongs to an interface's index: when the interface is made anew the socket hears \
                     nothing and gets no error";
const MTU: &str = "frames longer than the interface's MTU are dropped by the driver; longer datagrams come in fragments, \
                   of which each must arrive";
const NICDROP: &str =
    "what the adapter or the kernel's queue drops never reaches IP and is lost to every program";
const WIFI: &str = "multicast on 802.11 is not acknowledged, goes at a low rate, and waits for sleeping stations \
                    (RFC 9119 section 3.1)";
const DSTMAC: &str = "IP drops frames that are addressed to another station, whatever group they carry";

/// Names of RFC 2863 states, by number.
const OPERSTATES: [&str; 7] =
    ["unknown", "not present", "down", "lower layer down", "testing", "dormant", "up"];

fn state(i: &IfaceFacts) -> String {
    let Some(d) = &i.details else { return "as the system lists it".into() };
    let operstate = d.operstate.and_then(|s| OPERSTATES.get(usize::from(s)));
    format!("flags {:#x}, operstate {} (rtnetlink)", d.flags, operstate.unwrap_or(&"untold"))
}

fn down(c: &Case<'_>) -> Vec<Judged> {
    let Some(i) = c.iface else { return Vec::new() };
    let name = c.name();
    one(if i.iface.up {
        ok(format!("{name} is up")).seen(state(i))
    } else {
        fail(format!("{name} is down"))
            .seen(state(i))
            .run(format!("ip link set {name} up"))
            .explaining(c.is(Fate::Down))
    })
}

fn carrier(c: &Case<'_>) -> Vec<Judged> {
    let Some(i) = c.iface.filter(|i| i.iface.up) else { return Vec::new() };
    let name = c.name();
    one(match i.iface.carrier {
        Some(true) => ok(format!("{name} has carrier")).seen(state(i)),
        Some(false) => fail(format!("{name} has no carrier"))
            .seen(format!("NO-CARRIER, {}", state(i)))
            .advise(format!(
                "check the cable and the port at the other end of {name} (a veth's peer, a bridge's ports); \
                 `ethtool {name}` shows the link partner"
            ))
            .explaining(c.is(Fate::NoCarrier)),
        None => untold(&format!("whether {name} has carrier")),
    })
}

fn flap(c: &Case<'_>) -> Vec<Judged> {
    let Some(i) = c.iface else { return Vec::new() };
    let name = c.name();
    // MLD is reported anew by itself; IGMP waits for a query.
    let queried = |within_ns: u64| {
        let heard = |q: &&QueryHeard| *q.iface == *name && q.from.is_ipv4() && q.age_ns < within_ns;
        c.facts.queries.iter().any(|q| heard(&q))
    };
    let rejoin = || {
        format!(
            "leave the group and join it again in every program that has it, or enable an IGMP querier on the segment of {name}"
        )
    };
    if c.membership().is_some_and(|m| m.group.is_ipv6()) {
        return one(ok(format!("a loss of {name}'s carrier does not matter to an IPv6 group"))
            .seen("the kernel reports it anew by MLD when the carrier is back"));
    }
    if let Some(lost) = i.unreported.filter(|l| l.count > 0) {
        let title = title(name, lost.count, "and no IGMP report has left since");
        let ago = duration(lost.age_ns);
        return one(match queried(lost.age_ns) {
            true => note(title).seen(format!("last lost {ago} ago; a query came since, which hosts answer")),
            false => warn(title)
                .seen(format!("last lost {ago} ago; no query heard since"))
                .explaining(c.is(Fate::NothingComes)),
        }
        .advise(rejoin()));
    }
    let queried = queried(c.facts.window_ns);
    one(match (i.losses(), i.details.as_ref().and_then(|d| d.carrier_losses)) {
        (Some(n), _) if n > 0 => {
            let title = title(name, u64::from(n), "during the measurement");
            let found = if queried { note(title) } else { warn(title) };
            found.seen(format!("IFLA_CARRIER_DOWN_COUNT +{n} in {}", c.window())).advise(rejoin())
        }
        // An old loss matters only where a program held the group across it and nothing comes now.
        (_, Some(ever)) if ever > 0 && c.is(Fate::NothingComes) && held_by_others(c) => {
            warn(title(name, u64::from(ever), "since it was made, perhaps while the group was joined"))
                .seen(format!("IFLA_CARRIER_DOWN_COUNT {ever}; the group was joined before this measurement"))
                .advise(rejoin())
        }
        (_, Some(ever)) => ok(format!("{name} keeps its carrier"))
            .seen(format!("IFLA_CARRIER_DOWN_COUNT {ever} since it was made, none in this measurement")),
        (_, None) => untold(&format!("whether {name} lost its carrier")),
    })
}

fn title(name: &str, n: u64, when: &str) -> String {
    let times = if n == 1 { "once".to_owned() } else { format!("{n} times") };
    format!("{name} lost its carrier {times} {when}")
}

/// Whether some program had the group joined here before the measurement.
fn held_by_others(c: &Case<'_>) -> bool {
    let (Some(m), Some(members)) = (c.membership(), &c.facts.members) else { return false };
    members.iter().any(|h| h.iface == m.iface && h.group == m.group)
}

fn no_multicast(c: &Case<'_>) -> Vec<Judged> {
    let Some(i) = c.iface.filter(|i| i.iface.kind != IfaceKind::Loopback) else { return Vec::new() };
    let name = c.name();
    if i.iface.multicast {
        return one(ok(format!("{name} carries multicast")).seen(state(i)));
    }
    let driver = i.details.as_ref().and_then(|d| d.driver.as_deref()).unwrap_or("no driver told");
    let tunnel = matches!(i.iface.kind, IfaceKind::Tunnel | IfaceKind::PointToPoint);
    let title = format!("{name} ({}) has no MULTICAST flag", i.iface.kind.word());
    let found = if tunnel && c.is_silent() {
        fail(title)
    } else if tunnel {
        warn(title)
    } else {
        warn_if(c.is_silent(), title)
    };
    let found = found.seen(format!("{}, driver {driver}", state(i)));
    one(if tunnel {
        found.advise("choose the interface that carries the LAN; for WireGuard, add the group to AllowedIPs of the peer")
    } else {
        found.run(format!("ip link set {name} multicast on"))
    })
}

fn all_multicast(c: &Case<'_>) -> Vec<Judged> {
    let Some(i) = c.iface else { return Vec::new() };
    let name = c.name();
    // As it was before our own look; that asks for neither.
    let Some(d) = i.before.as_ref().or(i.details.as_ref()) else {
        return one(untold(&format!("whether {name} passes all multicast")));
    };
    let (promiscuous, all) = (d.promiscuity.unwrap_or(0), d.allmulti.unwrap_or(0));
    let seen = format!("promiscuity {promiscuous}, allmulti {all} (rtnetlink)");
    // A bridge's port is promiscuous by nature.
    one(if promiscuous + all > 0 && i.iface.master.is_none() && i.iface.kind != IfaceKind::Bridge {
        note(format!("{name} takes in all multicast"))
            .seen(seen)
            .run(format!("ip link set {name} allmulticast off"))
    } else {
        ok(format!("{name} takes in only what was asked for")).seen(seen)
    })
}

fn index(c: &Case<'_>) -> Vec<Judged> {
    let (Some(t), Some(m)) = (c.target, c.membership()) else { return Vec::new() };
    let name = &m.iface;
    if t.moved {
        return one(fail(format!("{name} was made anew while the group was joined"))
            .seen("another index than the membership's (rtnetlink)")
            .advise("join again: memberships do not follow an interface that is made anew")
            .explaining(c.is_silent()));
    }
    // A program that is bound to the group, while no interface is a member: it has not joined, or where
    // it joined is gone. `igmp.notjoined` tells of it.
    match c.iface {
        Some(i) => one(ok(format!("{name} has kept its index")).seen(format!("ifindex {}", i.iface.index))),
        None => Vec::new(),
    }
}

fn mtu(c: &Case<'_>) -> Vec<Judged> {
    let Some(i) = c.iface else { return Vec::new() };
    let name = c.name();
    let Some(mtu) = i.iface.mtu else { return one(untold(&format!("the MTU of {name}"))) };
    let (Some(dropped), Some(long), Some(over)) =
        (i.counted(|s| s.rx_dropped), i.counted(|s| s.rx_length_errors), i.counted(|s| s.rx_over_errors))
    else {
        return one(untold(&format!("whether frames are longer than the MTU of {name}")));
    };
    let seen = format!(
        "mtu {mtu}, rx_dropped +{dropped}, rx_length_errors +{long}, rx_over_errors +{over} in {} (rtnetlink)",
        c.window()
    );
    if c.is(Fate::TooLong) {
        return one(fail(format!(
            "{name} drops frames that are probably longer than its MTU of {mtu} bytes"
        ))
        .seen(seen)
        .run(format!("ip link set {name} mtu 9000"))
        .explaining(true));
    }
    if long + over > 0 {
        return one(warn(format!("{name} drops frames longer than its MTU of {mtu} bytes"))
            .seen(seen)
            .run(format!("ip link set {name} mtu 9000")));
    }
    one(ok(format!("no frame is longer than the MTU of {name}")).seen(seen))
}

fn nic_drop(c: &Case<'_>) -> Vec<Judged> {
    let Some(i) = c.iface else { return Vec::new() };
    let name = c.name();
    let mut out = Vec::new();
    let figures = (
        i.counted(|s| s.rx_missed_errors),
        i.counted(|s| s.rx_fifo_errors),
        i.counted(|s| s.rx_crc_errors),
        i.counted(|s| s.rx_dropped),
    );
    let (Some(missed), Some(fifo), Some(crc), Some(dropped)) = figures else {
        return one(untold(&format!("what {name} drops")));
    };
    let seen = format!(
        "rx_missed_errors +{missed}, rx_fifo_errors +{fifo}, rx_crc_errors +{crc}, rx_dropped +{dropped} in {} (rtnetlink)",
        c.window()
    );
    if missed + fifo > 0 {
        out.push(
            warn(format!("{name} drops frames in its receive ring"))
                .seen(seen.clone())
                .run(format!("ethtool -G {name} rx 4096")),
        );
    }
    if crc > 0 {
        out.push(
            warn(format!("{name} receives damaged frames"))
                .seen(seen.clone())
                .advise("replace the cable or transceiver; check that both ends agree on speed and duplex"),
        );
    }
    let backlog: Vec<_> = c.facts.softnet.iter().filter(|s| s.dropped > 0).collect();
    if !backlog.is_empty() {
        let list: Vec<String> =
            backlog.iter().map(|s| format!("CPU {}: {}", s.cpu, count(s.dropped))).collect();
        let limit = c.facts.settings.netdev_max_backlog;
        out.push(
            warn("the kernel's receive queue is full and drops packets of every interface")
                .seen(format!(
                    "dropped in {}: {} (/proc/net/softnet_stat); net.core.netdev_max_backlog {}",
                    c.window(),
                    list.join(", "),
                    limit.map_or("untold".into(), |n| n.to_string())
                ))
                .run("sysctl -w net.core.netdev_max_backlog=5000")
                .on("this host")
                .explaining(false),
        );
    }
    let squeezed: u64 = c.facts.softnet.iter().map(|s| s.squeezed).sum();
    if squeezed > 0 && out.is_empty() {
        out.push(
            note("the kernel ran out of time while it received packets, without dropping any")
                .seen(format!("time_squeeze +{squeezed} in {} (/proc/net/softnet_stat)", c.window()))
                .run("sysctl -w net.core.netdev_budget=600")
                .on("this host"),
        );
    }
    if out.is_empty() {
        out.push(ok(format!("{name} and the kernel's receive queue drop nothing")).seen(seen));
    }
    out
}

fn wifi(c: &Case<'_>) -> Vec<Judged> {
    let Some(i) = c.iface else { return Vec::new() };
    let name = c.name();
    one(if i.iface.kind == IfaceKind::Wireless {
        warn_if(c.comes_nowhere(), format!("{name} is Wi-Fi: the access point may hold multicast back"))
            .seen("the interface is IEEE 802.11")
            .advise(format!(
                "try a cable; in the access point turn client isolation off and multicast-to-unicast on; \
                 `iw dev {name} set power_save off`"
            ))
    } else {
        ok(format!("{name} is no Wi-Fi")).seen(format!("the interface is {}", i.iface.kind.word()))
    })
}

fn station(c: &Case<'_>) -> Vec<Judged> {
    let (Some(t), Some(m)) = (c.target, c.membership()) else { return Vec::new() };
    let Some(wire) = wire_of(t) else {
        let needs = t.wire.as_ref().and_then(|w| w.as_ref().err());
        return match needs {
            Some(why) => one(super::unseen("whether frames are addressed to another station", why)),
            None => {
                one(unknown("whether frames are addressed to another station")
                    .seen("the wire was not looked at"))
            }
        };
    };
    let elsewhere: u64 = meant(wire, m).filter(|f| f.elsewhere).map(|f| f.frames).sum();
    one(if elsewhere == 0 {
        ok("frames of the group are addressed to its MAC address")
            .seen(format!("{} seen on the wire", count(meant(wire, m).map(|f| f.frames).sum())))
    } else {
        let title = format!("frames of {} come addressed to another station's MAC address", m.group);
        let found = if c.is(Fate::OtherStation) { fail(title) } else { note(title) };
        found
            .seen(format!("{} frames with packet type OTHERHOST in {}", count(elsewhere), c.window()))
            .advise(
                "a multicast-to-unicast conversion (in an access point or bridge) or a static ARP entry at the sender \
                 gives them the wrong address: turn it off there",
            )
            .explaining(c.is(Fate::OtherStation))
    })
}
