//! The packet filter.

use std::net::{IpAddr, Ipv6Addr};

use super::{Case, Check, Judged, Subject, fail, note, ok, one, unknown, unseen, warn};
use crate::base::group::Membership;
use crate::base::iface::IfaceKind;
use crate::base::units::{count, counted, packets};
use crate::doctor::facts::{LinkLocal, Probe, Target};
use crate::doctor::finding::{Fate, Verdict};
use crate::doctor::funnel::{Counts, filtered, filtered_protocol, meant, wire_of};
use crate::doctor::ruleset::{Drop, Hook, Traffic};

pub(super) const CHECKS: &[Check] = &[
    Check { id: "fw.ingress", subject: Subject::Group, why: INGRESS, judge: ingress },
    Check { id: "fw.prerouting", subject: Subject::Group, why: PREROUTING, judge: prerouting },
    Check { id: "fw.input", subject: Subject::Group, why: INPUT, judge: input },
    Check { id: "fw.igmp", subject: Subject::Group, why: IGMP, judge: reports },
];

const INGRESS: &str = "what a filter at the interface drops never reaches IP, and no counter of IP moves";
const PREROUTING: &str = "what is dropped before routing leaves no trace in the counters";
const INPUT: &str = "the host takes the packets in, and the packet filter drops them before any socket";
const IGMP: &str =
    "a join succeeds although no report leaves: routers and snooping switches then never learn of it";

/// What lets the group through: at the head of the very chain that drops it, since an accept elsewhere
/// does not outweigh a drop.
fn accept(drop: &Drop, m: &Membership) -> String {
    let family = if m.group.is_ipv4() { "ip" } else { "ip6" };
    format!("nft insert rule {} {family} daddr {} udp dport {} accept", drop.base, m.group, m.port)
}

fn by_rules(c: &Case<'_>, fate: Fate, hook: Hook, what: &str) -> Vec<Judged> {
    let (Some(t), Some(m)) = (c.target, c.membership()) else { return Vec::new() };
    let drop = filtered(c.facts, t).filter(|d| d.hook == hook);
    let counts = Counts::of(c.facts, m.group.is_ipv4());
    let vanished = counts.map_or(String::new(), |n| {
        format!(
            "{} came to IP in {}, {} of them vanished uncounted; ",
            packets(n.received),
            c.window(),
            count(n.vanished)
        )
    });
    let explains = c.is(fate);
    if let Some(d) = drop {
        if explains {
            return one(fail(format!("the packet filter drops {} in {what}", m.group))
                .seen(format!("{vanished}{d} (nft list ruleset)"))
                .run(accept(&d, m))
                .explaining(true));
        }
        if t.packets == 0 && d.certain {
            return one(warn(format!("the packet filter would drop {} in {what}", m.group))
                .seen(format!("{d} (nft list ruleset)"))
                .run(accept(&d, m)));
        }
    } else if explains {
        let (rules, command) = match &c.facts.rules {
            Some(Err(why)) => (format!("its rules could not be read: {}", why.reason), None),
            Some(Ok(r)) if r.legacy => (
                "tables of the older iptables are loaded, whose rules nft does not list".into(),
                legacy(m, hook),
            ),
            _ => ("no rule of nftables was found that does it: tc, XDP or eBPF may".into(), None),
        };
        let whose = if wire_of(t).is_some() { "of" } else { "and perhaps those of" };
        let found =
            fail(format!("packets {whose} {} vanish where the packet filter stands ({what})", m.group))
                .seen(format!("{vanished}{rules}"))
                .explaining(true);
        return one(match command {
            Some(command) => found.run(command),
            None => found.advise(format!(
                "see the rules with `nft list ruleset`; in the chain that drops it: `nft insert rule FAMILY TABLE CHAIN {} daddr {} accept`",
                if m.group.is_ipv4() { "ip" } else { "ip6" },
                m.group
            )),
        });
    }
    let fine = || ok(format!("nothing drops {} in {what}", m.group));
    one(match &c.facts.rules {
        _ if t.packets > 0 => fine().seen("its packets arrive"),
        Some(Ok(r)) if r.legacy => unknown(format!("whether something drops {} in {what}", m.group)).seen(
            "tables of the older iptables are loaded, whose rules are not read; `iptables-legacy-save` lists them",
        ),
        Some(Ok(r)) => fine().seen(format!("{} chains of nftables looked through", r.chains.len())),
        Some(Err(why)) => unseen(&format!("whether something drops {} in {what}", m.group), why),
        None => {
            unknown(format!("whether something drops {} in {what}", m.group)).seen("the rules were not read")
        }
    })
}

fn legacy(m: &Membership, hook: Hook) -> Option<String> {
    // Plain `iptables` may be the one of nftables, whose accept does not outweigh a drop here.
    let program = if m.group.is_ipv4() { "iptables-legacy" } else { "ip6tables-legacy" };
    match hook {
        Hook::Input => Some(format!("{program} -I INPUT -d {} -p udp --dport {} -j ACCEPT", m.group, m.port)),
        Hook::Prerouting => Some(format!("{program} -t raw -I PREROUTING -d {} -j ACCEPT", m.group)),
        Hook::Ingress | Hook::Output | Hook::Postrouting => None,
    }
}

fn prerouting(c: &Case<'_>) -> Vec<Judged> {
    by_rules(c, Fate::Prerouting, Hook::Prerouting, "prerouting")
}

fn input(c: &Case<'_>) -> Vec<Judged> {
    let mut found = by_rules(c, Fate::Input, Hook::Input, "input");
    let Some(probed) = self_probe(c) else { return found };
    let bad = |j: &Judged| matches!(j.verdict, Verdict::Warn | Verdict::Fail);
    let certain = |j: &Judged| j.verdict == Verdict::Fail;
    // What was tried says more than what the rules let expect, unless these packets were seen to die.
    match probed.verdict {
        Verdict::Fail => found.retain(certain),
        _ => found.retain(bad),
    }
    if !(bad(&probed) && found.iter().any(certain)) {
        found.push(probed);
    }
    found
}

/// What the self-probe says, where one was asked for.
fn self_probe(c: &Case<'_>) -> Option<Judged> {
    let (t, m) = (c.target?, c.membership()?);
    let title = || format!("a datagram of this host to {} by {}", m.endpoint(), m.iface);
    let drop = filtered(c.facts, t);
    let help = |found: Judged| match &drop {
        Some(d) => found.run(accept(d, m)),
        None => match legacy(m, Hook::Input).filter(|_| matches!(&c.facts.rules, Some(Ok(r)) if r.legacy)) {
            Some(command) => found.run(command),
            None => found.advise("see the rules as root: `nft list ruleset`, `iptables-legacy-save`"),
        },
    };
    let by = drop.as_ref().map_or(String::new(), |d| format!("; {d} (nft list ruleset)"));
    Some(match t.probe.as_ref()? {
        Ok(Probe::Returned) => ok(format!("{} comes back", title()))
            .seen("self-probe: sent with TTL 0, received by the socket that joined")
            .because("it took the way of the group's packets through the packet filter to the socket"),
        // What arrives speaks louder: the filter lets others through.
        Ok(Probe::Lost) if t.packets > 0 => note(format!("{} does not come back", title()))
            .seen(format!("self-probe: sent with TTL 0, lost on this host; packets of others arrive{by}")),
        Ok(Probe::Lost) => help(
            fail(format!("{} does not come back: a packet filter here drops it", title()))
                .seen(format!("self-probe: sent with TTL 0, lost between the interface and the socket{by}"))
                .explaining(c.is_silent()),
        ),
        Ok(Probe::Refused(why)) => unknown(format!("whether {} would come back", title()))
            .seen(format!("self-probe: {why}; the packet filter drops it on its way out (output)")),
        Err(why) => unseen(&format!("whether {} would come back", title()), why),
    })
}

fn ingress(c: &Case<'_>) -> Vec<Judged> {
    let (Some(t), Some(m), Some(i)) = (c.target, c.membership(), c.iface) else { return Vec::new() };
    let name = c.name();
    let (xdp, qdisc) = i.details.as_ref().map_or((false, None), |d| (d.xdp, d.ingress.as_deref()));
    let drop = filtered(c.facts, t).filter(|d| d.hook == Hook::Ingress);
    let mut stands = Vec::new();
    if xdp {
        stands.push(format!("an XDP program on {name} (ip -details link show {name})"));
    }
    if let Some(kind) = qdisc {
        stands.push(format!("a {kind} qdisc on {name} (tc filter show dev {name} ingress)"));
    }
    if c.is(Fate::Ingress) {
        let rx = i.counted(|s| s.rx_packets).map_or(String::new(), |n| format!("rx_packets +{n}"));
        let ip = Counts::of(c.facts, m.group.is_ipv4())
            .map_or(String::new(), |n| format!(", InReceives +{}", n.received));
        let wire = wire_of(t).map_or(String::new(), |w| {
            format!(
                ", {} of the group on the wire",
                counted(meant(w, m).map(|f| f.frames).sum(), "frame", "frames")
            )
        });
        let seen = format!("{rx}{ip}{wire} in {}", c.window());
        let found = match &drop {
            Some(d) => fail(format!("a filter at the ingress of {name} drops {} before IP", m.group))
                .seen(format!("{seen}; {d} (nft list ruleset)"))
                .run(accept(d, m)),
            None if !stands.is_empty() => fail(format!("{} dies at the ingress of {name}, before IP", m.group))
                .seen(format!("{seen}; there is {}", stands.join(" and ")))
                .advise(format!("see what drops there: `tc -s filter show dev {name} ingress`, `ip -details link show {name}`")),
            None if wire_of(t).is_some() => fail(format!("{} dies between {name} and IP", m.group))
                .seen(seen)
                .advise(format!("see `nft list ruleset` (family netdev), `tc -s filter show dev {name} ingress`, `ip -details link show {name}`")),
            None => warn(format!("frames arrive on {name} and do not reach IP"))
                .seen(seen)
                .advise(format!(
                    "an ingress filter, a VLAN tag or frames for another station: `nft list ruleset` (family netdev), \
                     `tc -s filter show dev {name} ingress`; as root or with CAP_NET_RAW the doctor tells which"
                )),
        };
        return one(found.explaining(true));
    }
    one(if stands.is_empty() {
        ok(format!("nothing filters at the ingress of {name}"))
            .seen("no XDP program, no ingress qdisc (rtnetlink)")
    } else {
        note(format!("something may filter at the ingress of {name}")).seen(stands.join("; "))
    })
}

fn reports(c: &Case<'_>) -> Vec<Judged> {
    let (Some(t), Some(m), Some(i)) = (c.target, c.membership(), c.iface) else { return Vec::new() };
    if t.join.is_err() || !i.iface.up || i.iface.kind == IfaceKind::Loopback {
        return Vec::new();
    }
    let mut out = one(report_leaves(c, t, m));
    // Without queries the report is the last one: it works for some minutes, and then no longer.
    if let Some(d) = filtered_protocol(c.facts, t, Traffic::Query).filter(|d| d.certain) {
        let protocol = protocol(m);
        out.push(
            warn(format!("the packet filter drops {protocol} queries on {}", m.iface))
                .seen(format!("{d} (nft list ruleset)"))
                .because(
                    "a host that hears no query reports once only: a snooping switch forgets it after 260 s",
                )
                .run(accept_protocol(&d, m)),
        );
    }
    out
}

fn protocol(m: &Membership) -> &'static str {
    if m.group.is_ipv4() { "IGMP" } else { "MLD" }
}

/// What lets the membership protocol through, at the head of the chain that drops it.
fn accept_protocol(drop: &Drop, m: &Membership) -> String {
    let what = if m.group.is_ipv4() {
        "meta l4proto igmp"
    } else {
        "icmpv6 type { mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report }"
    };
    // Braces and blanks are the shell's too.
    format!("nft insert rule {} '{what} accept'", drop.base)
}

/// Whether the group needs no report at all.
fn is_exempt(c: &Case<'_>, group: IpAddr) -> bool {
    match group {
        IpAddr::V4(g) => {
            g.octets() == [224, 0, 0, 1]
                || g.octets()[..3] == [224, 0, 0] && c.facts.settings.igmp_link_local_reports == Some(0)
        }
        // Neither all nodes nor what never leaves the host (RFC 9777 section 6).
        IpAddr::V6(g) => g.octets()[1] & 0x0f < 2 || g == Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1),
    }
}

fn report_leaves(c: &Case<'_>, t: &Target, m: &Membership) -> Judged {
    let protocol = protocol(m);
    let what = format!("whether {protocol} reports for {} leave {}", m.group, m.iface);
    if is_exempt(c, m.group) {
        return ok(format!("{} needs no report", m.group))
            .seen("exempt by the protocol, or by net.ipv4.igmp_link_local_mcast_reports = 0");
    }
    let drop = filtered_protocol(c.facts, t, Traffic::Report);
    let explains = c.is(Fate::NothingComes);
    let bad = |title: String| if explains { fail(title) } else { warn(title) };
    let wire = match &t.wire {
        Some(Ok(wire)) if wire.report_left => {
            return ok(format!("the {protocol} report for {} left {}", m.group, m.iface))
                .seen("seen on the wire, outgoing");
        }
        other => other,
    };
    if let Some(d) = drop.as_ref().filter(|d| d.certain) {
        return bad(format!("the packet filter drops the {protocol} reports of this host: no switch or router learns that it wants {}", m.group))
            .seen(format!("{d} (nft list ruleset)"))
            .run(accept_protocol(d, m))
            .explaining(explains);
    }
    match wire {
        Some(Ok(_)) => {}
        Some(Err(why)) => return unseen(&what, why),
        None => return unknown(what).seen("the wire was not looked at"),
    }
    // The host reports a group when its first socket joins it.
    let held = |h: &super::super::facts::Member| h.group == m.group && h.iface == m.iface;
    if c.facts.members.as_ref().is_none_or(|all| all.iter().any(held)) {
        return unknown(what).seen("the group was joined before, and no query came that would be answered");
    }
    // The second report of IGMPv3 comes within a second of the first.
    if c.facts.window_ns < 1_200_000_000 {
        return unknown(what).seen(format!("measured for {} only", c.window()));
    }
    if m.group.is_ipv6() && c.iface.is_some_and(|i| i.link_local != LinkLocal::Ready) {
        return unknown(what)
            .seen("the interface has no usable link-local address yet, and reports wait for one");
    }
    let found = bad(format!("{} was joined on {}, but no {protocol} report left", m.group, m.iface))
        .seen(format!("no outgoing report on the wire in {}", c.window()))
        .explaining(explains);
    match drop {
        Some(d) => found.run(accept_protocol(&d, m)),
        None => found.advise(
            "something between the kernel and the wire drops it: see `nft list ruleset`, `tc -s filter show`",
        ),
    }
}
