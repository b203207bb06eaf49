//! IGMP and MLD on this host: versions, limits, memberships, queriers.

use std::net::IpAddr;

use super::{Case, Check, Judged, Subject, fail, note, ok, one, unknown, unseen, untold, warn, warn_if};
use crate::base::group::SourceFilter;
use crate::base::iface::IfaceKind;
use crate::base::units::{count, counted, duration};
use crate::doctor::facts::QueryHeard;
use crate::net::Kind;

pub(super) const CHECKS: &[Check] = &[
    Check { id: "igmp.version", subject: Subject::Iface, why: VERSION, judge: version },
    Check { id: "igmp.forced", subject: Subject::Iface, why: VERSION, judge: forced },
    Check { id: "mld.version", subject: Subject::Iface, why: VERSION, judge: mld_version },
    Check { id: "igmp.maxmemberships", subject: Subject::Group, why: MEMBERSHIPS, judge: memberships },
    Check { id: "igmp.maxmsf", subject: Subject::Group, why: SOURCES, judge: sources },
    Check { id: "igmp.notjoined", subject: Subject::Group, why: NOTJOINED, judge: not_joined },
    Check { id: "igmp.llreports", subject: Subject::Host, why: LOCAL, judge: local_reports },
    Check { id: "igmp.querier", subject: Subject::Iface, why: QUERIER, judge: querier },
    Check { id: "igmp.lowestquerier", subject: Subject::Iface, why: QUERIERS, judge: queriers },
];

const VERSION: &str =
    "in the older versions reports name no sources: source filters have no effect on the network";
const MEMBERSHIPS: &str =
    "a socket that would exceed the limit cannot join (ENOBUFS); mcscope takes a socket for each group";
const SOURCES: &str = "a filter of more sources than the limit is refused (ENOBUFS)";
const NOTJOINED: &str = "the host takes in a group only where some socket has joined it";
const LOCAL: &str = "switches flood 224.0.0.0/24 whether or not it is reported (RFC 4541 section 2.1.2)";
const QUERIER: &str = "without queries hosts report once only, and a snooping switch forgets them after 260 s (RFC 3376 \
                       section 8.4)";
const QUERIERS: &str = "the lowest address should be the only one that asks (RFC 3376 section 6.6.2); two that go on \
                        do not hear each other";

/// Query interval and query response interval where no query says them (RFC 3376 sections 8.2, 8.3), in ns.
const QUERY_INTERVAL_NS: u64 = 125_000_000_000;
const RESPONSE_INTERVAL_NS: u64 = 10_000_000_000;

fn wants_sources(c: &Case<'_>) -> bool {
    c.membership().is_some_and(|m| matches!(m.filter, SourceFilter::Include(_)))
}

fn version(c: &Case<'_>) -> Vec<Judged> {
    let Some(i) = c.iface.filter(|i| i.iface.kind != IfaceKind::Loopback) else { return Vec::new() };
    if c.membership().is_some_and(|m| m.group.is_ipv6()) {
        return Vec::new();
    }
    let name = c.name();
    let Some(version) = i.igmp_version else {
        return one(untold(&format!("the IGMP version on {name}")));
    };
    let seen = format!("Querier column of /proc/net/igmp: V{version}");
    if version >= 3 {
        return one(ok(format!("{name} speaks IGMPv3")).seen(format!("{seen} (also where no querier is)")));
    }
    // Where that version is forced, no querier is at fault: `igmp.forced` tells it.
    let forced = [c.facts.settings.all.force_igmp, i.v4.force_igmp].contains(&Some(u32::from(version)));
    if forced {
        return one(note(format!("{name} is in IGMPv{version} mode, which is forced")).seen(seen));
    }
    let by = c.facts.queries.iter().rev().find(|q| *q.iface == *name && q.from.is_ipv4() && q.version < 3);
    let heard = by.map_or(String::new(), |q| format!("; {} asks in version {}", q.from, q.version));
    let title =
        format!("{name} is in IGMPv{version} mode: an IGMPv{version} querier was heard in the last 260 s");
    let found = if wants_sources(c) { fail(title) } else { warn(title) };
    one(found
        .seen(seen + &heard)
        .because("source filters are not told to the network in this version, and the mode lasts 260 s after the last such query")
        .advise("raise the querier's version: on a Linux bridge `ip link set BRIDGE type bridge mcast_igmp_version 3`, on a router or switch `ip igmp version 3`")
        .explaining(c.is_silent() && wants_sources(c) && c.is(crate::doctor::finding::Fate::NothingComes)))
}

fn forced(c: &Case<'_>) -> Vec<Judged> {
    let Some(i) = c.iface else { return Vec::new() };
    let name = c.name();
    let mut out = Vec::new();
    let v6 = c.membership().map(|m| m.group.is_ipv6());
    let families = [
        ("ipv4", "force_igmp_version", i.v4.force_igmp, c.facts.settings.all.force_igmp, 3, v6 != Some(true)),
        ("ipv6", "force_mld_version", i.force_mld, c.facts.settings.force_mld, 2, v6 != Some(false)),
    ];
    let mut read = Vec::new();
    for (family, setting, own, all, newest, wanted) in families {
        if !wanted {
            continue;
        }
        for (scope, value) in [("all", all), (name, own)] {
            let Some(value) = value else { continue };
            let path = format!("net.{family}.conf.{scope}.{setting}");
            if value == 0 || value >= newest {
                read.push(format!("{path} = {value}"));
                continue;
            }
            let title = format!("version {value} is forced: {path}");
            let found = if wants_sources(c) { fail(title) } else { warn(title) };
            out.push(found.seen(format!("{path} = {value}")).run(format!("sysctl -w {path}=0")));
        }
    }
    if out.is_empty() {
        return one(match read.is_empty() {
            true => untold(&format!("whether a version is forced on {name}")),
            false => ok(format!("no version of IGMP or MLD is forced on {name}")).seen(read.join(", ")),
        });
    }
    out
}

fn mld_version(c: &Case<'_>) -> Vec<Judged> {
    let Some(i) = c.iface.filter(|i| i.iface.kind != IfaceKind::Loopback) else { return Vec::new() };
    if !c.membership().is_none_or(|m| m.group.is_ipv6()) || i.ipv6_off == Some(true) {
        return Vec::new();
    }
    let name = c.name();
    let heard = c.facts.queries.iter().rev().find(|q| *q.iface == *name && q.from.is_ipv6());
    one(match (heard, &c.facts.listened) {
        (Some(q), _) if q.version < 2 => {
            let title = format!("{name} is in MLDv1 mode: {} asks in version 1", q.from);
            let found = if wants_sources(c) { fail(title) } else { warn(title) };
            found
                .seen(format!("query heard {} ago", duration(q.age_ns)))
                .advise("raise the querier's version: on a Linux bridge `ip link set BRIDGE type bridge mcast_mld_version 2`")
        }
        (Some(q), _) => ok(format!("{name} hears MLDv2 queries")).seen(format!("from {}", q.from)),
        (None, Some(Ok(ns))) => unknown(format!("the MLD version on {name}"))
            .seen(format!("no query heard in {}; the kernel has no column for it", super::window(*ns))),
        (None, Some(Err(why))) => unseen(&format!("the MLD version on {name}"), why),
        (None, None) => untold(&format!("the MLD version on {name}")),
    })
}

fn refused(c: &Case<'_>, at_sources: bool) -> Option<String> {
    let refusal = c.target?.join.as_ref().err()?;
    let limit = matches!(refusal.kind, Kind::NoBuffer);
    (limit && !refusal.at_port && refusal.at_sources == at_sources).then(|| refusal.text.clone())
}

fn memberships(c: &Case<'_>) -> Vec<Judged> {
    let Some(m) = c.membership() else { return Vec::new() };
    let limit = c.facts.settings.igmp_max_memberships;
    let seen = format!(
        "net.ipv4.igmp_max_memberships = {}, net.core.optmem_max = {} bytes",
        limit.map_or("untold".into(), |n| n.to_string()),
        c.facts.settings.optmem_max.map_or("untold".into(), |n| n.to_string())
    );
    if let Some(text) = refused(c, false) {
        return one(fail(format!("{} cannot be joined: the limit of memberships is reached", m.group))
            .seen(format!("{text}; {seen}"))
            .run(if m.group.is_ipv4() {
                "sysctl -w net.ipv4.igmp_max_memberships=200"
            } else {
                "sysctl -w net.core.optmem_max=1048576"
            })
            .explaining(true));
    }
    if m.group.is_ipv6() {
        return one(ok("IPv6 has no limit of memberships but memory").seen(seen));
    }
    let asked: std::collections::BTreeSet<IpAddr> =
        c.facts.targets.iter().map(|t| t.membership.group).filter(IpAddr::is_ipv4).collect();
    one(match limit {
        None => untold("the limit of memberships"),
        Some(n) if asked.len() as u64 > n => {
            note(format!("{} groups are more than one socket of a program can join ({n})", asked.len()))
                .seen(seen)
                .run(format!("sysctl -w net.ipv4.igmp_max_memberships={}", asked.len()))
                .on("this host")
        }
        Some(n) => ok(format!("a socket may join {}", counted(n, "group", "groups"))).seen(seen),
    })
}

fn sources(c: &Case<'_>) -> Vec<Judged> {
    let Some(m) = c.membership() else { return Vec::new() };
    let (setting, limit) = if m.group.is_ipv4() {
        ("net.ipv4.igmp_max_msf", c.facts.settings.igmp_max_msf)
    } else {
        ("net.ipv6.mld_max_msf", c.facts.settings.mld_max_msf)
    };
    let n = m.filter.sources().len();
    let asked = counted(n as u64, "source", "sources");
    let seen = format!("{setting} = {}; {asked} asked for", limit.map_or("untold".into(), |n| n.to_string()));
    if let Some(text) = refused(c, true) {
        return one(fail(format!("the filter of {asked} is more than the limit"))
            .seen(format!("{text}; {seen}"))
            .run(format!("sysctl -w {setting}={}", n.max(64)))
            .explaining(true));
    }
    one(match limit {
        // Seen in the first namespace only; the limit holds everywhere.
        None => unknown("the limit of sources in a filter").seen(format!("{setting} cannot be read here")),
        Some(_) => ok("the source filter is within the limit").seen(seen),
    })
}

fn not_joined(c: &Case<'_>) -> Vec<Judged> {
    let (Some(t), Some(m)) = (c.target, c.membership()) else { return Vec::new() };
    let Some(members) = &c.facts.members else {
        return one(untold(&format!("where {} is joined", m.group)));
    };
    let mut out = Vec::new();
    let on: Vec<&str> = members.iter().filter(|h| h.group == m.group).map(|h| &*h.iface).collect();
    let here = on.contains(&&*m.iface);
    let table = if m.group.is_ipv4() { "/proc/net/igmp" } else { "/proc/net/igmp6" };
    // A program that is bound to the group wants it; wildcard sockets say nothing.
    let bound = c.facts.sockets.iter().flatten().find(|s| s.local.ip == m.group && s.local.port == m.port);
    if let (Some(s), true) = (bound, on.is_empty()) {
        out.push(
            fail(format!("{} is bound to {} but has not joined it on any interface", s.owner(), m.endpoint()))
                .seen(format!("no line of {} in {table} before this measurement", m.group))
                .because("it never joined, or the interface that it joined on was made anew: memberships do not come back by themselves")
                .advise("restart the program, or make it join again")
                .on(s.owner())
                .explaining(true),
        );
    } else if let (Some(s), false) = (bound, here) {
        out.push(
            warn_if(
                t.packets > 0,
                format!("{} has joined {} on {}, not on {}", s.owner(), m.group, on.join(", "), m.iface),
            )
            .seen(format!("{table} before this measurement"))
            .advise(format!("make it join on {}, where you look", m.iface))
            .on(s.owner()),
        );
    }
    if t.join.is_ok() && out.is_empty() {
        let title = if here {
            format!("{} was joined on {} before", m.group, m.iface)
        } else {
            format!("no program has joined {} on {}; mcscope did for the measurement", m.group, m.iface)
        };
        out.push(if here { ok(title) } else { note(title) }.seen(table));
    } else if let Err(r) = &t.join
        && !matches!(r.kind, Kind::NoBuffer)
        && !r.at_port
    {
        out.push(
            fail(format!("{} cannot be joined on {}", m.group, m.iface))
                .seen(r.text.clone())
                .explaining(true)
                .advise("the evidence names the operation and what helps"),
        );
    }
    out
}

fn local_reports(c: &Case<'_>) -> Vec<Judged> {
    one(match c.facts.settings.igmp_link_local_reports {
        None => untold("whether groups of 224.0.0.0/24 are reported"),
        Some(0) => note("groups of 224.0.0.0/24 are not reported")
            .seen("net.ipv4.igmp_link_local_mcast_reports = 0")
            .run("sysctl -w net.ipv4.igmp_link_local_mcast_reports=1"),
        Some(n) => ok("groups of 224.0.0.0/24 are reported")
            .seen(format!("net.ipv4.igmp_link_local_mcast_reports = {n}")),
    })
}

/// Queries on the case's interface, of the group's family or of both.
fn heard<'f>(c: &Case<'f>) -> Vec<&'f QueryHeard> {
    let v4 = c.membership().map(|m| m.group.is_ipv4());
    let name = c.iface.map(|i| &i.iface.name);
    c.facts
        .queries
        .iter()
        .filter(|q| Some(&q.iface) == name && v4.is_none_or(|v4| v4 == q.from.is_ipv4()))
        .collect()
}

fn querier(c: &Case<'_>) -> Vec<Judged> {
    let Some(i) = c.iface.filter(|i| i.iface.kind != IfaceKind::Loopback) else { return Vec::new() };
    let name = c.name();
    let protocol = |q: &QueryHeard| if q.from.is_ipv4() { "IGMP" } else { "MLD" };
    if let Some(q) = heard(c).iter().min_by_key(|q| q.age_ns) {
        let every = q.interval_s.map_or(String::new(), |s| format!(", every {s} s"));
        // Its own timers say when the next one is overdue.
        let interval_ns = q.interval_s.map_or(QUERY_INTERVAL_NS, |s| u64::from(s) * 1_000_000_000);
        let overdue = interval_ns.saturating_mul(2).saturating_add(u64::from(q.max_response_ms) * 1_000_000);
        if q.age_ns > overdue {
            return one(warn(format!("the querier of {name}, {}, has fallen silent", q.from))
                .seen(format!("last query {} ago{every}", duration(q.age_ns)))
                .because("twice its interval has passed, and what hosts may take to answer: snooping switches forget the groups now")
                .advise(format!("see why {} stopped asking, or enable another querier on the segment", q.from)));
        }
        return one(ok(format!("{} is the {}v{} querier on {name}", q.from, protocol(q), q.version))
            .seen(format!("last query {} ago{every}", duration(q.age_ns))));
    }
    let title = format!("whether there is a querier on {name}");
    let hint = match i.mld_queries {
        Some(n) if n > 0 => Some(format!(
            "{n} MLD queries came (/proc/net/dev_snmp6/{name}): what asks for MLD usually asks for IGMP too"
        )),
        _ => None,
    };
    let old = i
        .igmp_version
        .filter(|&v| v < 3)
        .map(|v| format!("an IGMPv{v} query was heard in the last 260 s (/proc/net/igmp)"));
    if let Some(seen) = old.or(hint) {
        return one(ok(format!("there is a querier on {name}")).seen(seen));
    }
    one(match &c.facts.listened {
        // The first query comes within its interval and what hosts may take to answer.
        Some(Ok(ns)) if *ns >= QUERY_INTERVAL_NS + RESPONSE_INTERVAL_NS => {
            // Told with its time by `snoop.noquerier` where that is known.
            let foretold = c.target.is_some_and(|t| t.cut.is_some());
            let title = format!("no querier on {name}: a snooping switch will cut its groups off");
            if foretold { note(title) } else { warn(title) }
                .seen(format!("no query heard in {}", super::window(*ns)))
                .advise("enable an IGMP and MLD querier on one switch or router of the segment; on a Linux bridge `ip link set BRIDGE type bridge mcast_querier 1 mcast_igmp_version 3`")
        }
        Some(Ok(ns)) => unknown(title).seen(format!(
            "no query heard in {}; the next may take {} (`mcscope doctor --for 135s` waits for it)",
            super::window(*ns),
            duration(QUERY_INTERVAL_NS)
        )),
        Some(Err(why)) => unseen(&title, why),
        None => untold(&title),
    })
}

fn queriers(c: &Case<'_>) -> Vec<Judged> {
    if c.iface.is_none_or(|i| i.iface.kind == IfaceKind::Loopback) {
        return Vec::new();
    }
    let name = c.name();
    let queries = heard(c);
    for v4 in [true, false] {
        let mut from: Vec<IpAddr> = queries
            .iter()
            .map(|q| q.from)
            // Queries from 0.0.0.0 are a snooping switch's own and stand in no election.
            .filter(|ip| ip.is_ipv4() == v4 && !ip.is_unspecified())
            .collect();
        from.sort_unstable();
        from.dedup();
        if let [lowest, .., _] = from[..] {
            let list: Vec<String> = from
                .iter()
                .map(|ip| format!("{ip} ({}x)", queries.iter().filter(|q| q.from == *ip).count()))
                .collect();
            // The election takes one query; who repeats after 255 s (RFC 3376 section 8.5) has not heard it.
            let settled = matches!(c.facts.listened, Some(Ok(ns)) if ns > 255_000_000_000);
            let title = format!("{} queriers on {name}; {lowest} should be the only one", from.len());
            let found = if settled { warn(title) } else { note(title) };
            return one(found
                .seen(format!("queries from {}", list.join(", ")))
                .advise(format!("turn the querier off on all but {lowest}")));
        }
    }
    if let Some(q) = queries.iter().find(|q| q.from.is_unspecified()) {
        return one(note(format!(
            "queries on {name} come from {}: a snooping switch asks in place of a router",
            q.from
        ))
        .seen(format!("{} heard", count(queries.len() as u64))));
    }
    one(match (&c.facts.listened, queries.is_empty()) {
        (_, false) => ok(format!("one querier on {name}")).seen(queries[0].from.to_string()),
        (Some(Ok(ns)), true) => unknown(format!("whether several queriers ask on {name}"))
            .seen(format!("no query heard in {}", super::window(*ns))),
        (Some(Err(why)), true) => unseen(&format!("whether several queriers ask on {name}"), why),
        (None, true) => untold(&format!("whether several queriers ask on {name}")),
    })
}
