//! What the group's address says: scope, source-specific range, plan; and how far its packets may go.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Case, Check, Judged, Subject, fail, note, ok, one, unseen, untold, warn, warn_if};
use crate::base::group::is_ssm;
use crate::base::spec::what_is;
use crate::doctor::finding::Fate;
use crate::doctor::funnel::{meant, wire_of};

pub(super) const CHECKS: &[Check] = &[
    Check { id: "ttl.one", subject: Subject::Group, why: TTL, judge: ttl },
    Check { id: "ttl.threshold", subject: Subject::Group, why: THRESHOLD, judge: threshold },
    Check { id: "scope.v4", subject: Subject::Group, why: SCOPE, judge: scope_v4 },
    Check { id: "scope.v6", subject: Subject::Group, why: SCOPE, judge: scope_v6 },
    Check { id: "ssm.nosource", subject: Subject::Group, why: SSM, judge: no_source },
    Check { id: "ssm.wrongsource", subject: Subject::Group, why: WRONG, judge: wrong_source },
    Check { id: "addr.plan", subject: Subject::Group, why: PLAN, judge: plan },
];

const TTL: &str = "the usual TTL of multicast is 1: it ends at the first router";
const THRESHOLD: &str = "a boundary drops packets whose TTL is below its threshold; by custom 32 keeps a site, 64 a region, \
                         128 a continent together (replaced by address scopes, RFC 2365)";
const SCOPE: &str = "the scope says how far routers may carry the group";
const SSM: &str = "routers ignore a join without a source in the source-specific range (RFC 4604 section 2): it reaches \
                   only senders on this link";
const WRONG: &str = "a source-specific membership lets only the named sources through";
const PLAN: &str = "some ranges belong to whoever has an AS number or a network, others are reserved";

/// TTL or hop limit on arrival, the greatest of all senders.
fn greatest_ttl(c: &Case<'_>) -> Option<u8> {
    let t = c.target?;
    let wire = wire_of(t).into_iter().flat_map(|w| meant(w, &t.membership)).map(|f| f.ttl);
    t.sources.iter().filter_map(|s| s.ttl).chain(wire).max()
}

fn ttl(c: &Case<'_>) -> Vec<Judged> {
    let Some(m) = c.membership() else { return Vec::new() };
    let word = if m.group.is_ipv4() { "TTL" } else { "hop limit" };
    one(match greatest_ttl(c) {
        None => super::unknown(format!("the {word} of {} on arrival", m.group)).seen("no packet was seen"),
        // Linux looks at it only where it hands a copy to members on the sending host itself.
        Some(0) => warn(format!("{} is sent with {word} 0: it does not leave the host that sends it", m.group))
            .seen(format!("{word} 0 on arrival"))
            .advise("raise it at the sender to 1 for this link, to more across routers: IP_MULTICAST_TTL or IPV6_MULTICAST_HOPS"),
        Some(n) if n <= 1 => note(format!("{} arrives with {word} {n}: behind one more router nobody gets it", m.group))
            .seen(format!("{word} {n} on arrival"))
            .advise("to cross routers, raise it at the sender: IP_MULTICAST_TTL or IPV6_MULTICAST_HOPS, as in `mcscope send --ttl 16`"),
        Some(n) => ok(format!("{} arrives with {word} {n}", m.group)).seen(format!("{word} {n} on arrival")),
    })
}

fn threshold(c: &Case<'_>) -> Vec<Judged> {
    let Some(m) = c.membership() else { return Vec::new() };
    match greatest_ttl(c) {
        Some(n) => one(ok(format!("{} passes boundaries with a threshold up to {n}", m.group))
            .seen(format!("{n} on arrival"))),
        None => Vec::new(),
    }
}

fn scope_v4(c: &Case<'_>) -> Vec<Judged> {
    let Some(IpAddr::V4(g)) = c.membership().map(|m| m.group) else { return Vec::new() };
    one(ok(format!("{g}: {}", scope_of(g))).seen("RFC 5771, RFC 2365"))
}

fn scope_of(g: Ipv4Addr) -> &'static str {
    match g.octets() {
        [224, 0, 0, _] => "link scope, never forwarded",
        [239, 253..=255, ..] => "local scope: one site",
        [239, 192..=251, ..] => "organization scope",
        [239, ..] => "administratively scoped: as far as your own routers let it",
        [232, ..] => "source-specific, global scope",
        _ => "global scope",
    }
}

fn scope_v6(c: &Case<'_>) -> Vec<Judged> {
    let Some(IpAddr::V6(g)) = c.membership().map(|m| m.group) else { return Vec::new() };
    let scope = match g.octets()[1] & 0x0f {
        0 | 15 => "reserved scope",
        1 => {
            return one(warn_if(
                c.is_silent(),
                format!("{g} is of interface scope: it never leaves its host"),
            )
            .seen("scope 1 (RFC 7346)")
            .advise("choose a wider scope: ff02 for the link, ff05 for the site")
            .explaining(c.is(Fate::NothingComes)));
        }
        2 => "link scope",
        3 => "realm scope",
        4 => "admin scope",
        5 => "site scope",
        8 => "organization scope",
        14 => "global scope",
        _ => "unassigned scope",
    };
    one(ok(format!("{g}: {scope}")).seen("RFC 7346"))
}

fn no_source(c: &Case<'_>) -> Vec<Judged> {
    let Some(m) = c.membership().filter(|m| is_ssm(m.group)) else { return Vec::new() };
    let range = if m.group.is_ipv4() { "232.0.0.0/8" } else { "ff3x::/32" };
    // Who was heard is who to name.
    let source = c.target.and_then(|t| t.sources.first()).map_or("SOURCE".into(), |s| s.from.ip.to_string());
    one(if m.filter.sources().is_empty() {
        warn_if(c.is_silent(), format!("{} is source-specific: name the sender", m.group))
            .seen(format!("in {range} (RFC 4607), joined for any source"))
            .advise(format!("join {source}@{}, or choose a group outside {range}", m.endpoint()))
            .explaining(c.is(Fate::NothingComes))
    } else {
        ok(format!("{} is source-specific, and a source is named", m.group)).seen(range)
    })
}

fn wrong_source(c: &Case<'_>) -> Vec<Judged> {
    let (Some(t), Some(m)) = (c.target, c.membership()) else { return Vec::new() };
    if m.filter.sources().is_empty() {
        return Vec::new();
    }
    let asked: Vec<String> = m.filter.sources().iter().map(ToString::to_string).collect();
    let asked = asked.join(", ");
    let wire = match &t.wire {
        Some(Ok(wire)) => wire,
        _ if t.packets > 0 => {
            return one(ok(format!("{} comes from a source that was asked for", m.group)).seen(asked));
        }
        Some(Err(why)) => return one(unseen(&format!("which sources send to {}", m.group), why)),
        None => return one(untold(&format!("which sources send to {}", m.group))),
    };
    let other = meant(wire, m).find(|f| !m.filter.passes(f.source));
    one(match other {
        Some(f) => {
            let title = format!("you asked for {asked}; packets for {} come from {}", m.group, f.source);
            let found = if c.is(Fate::SourceFilter) { fail(title) } else { note(title) };
            found
                .seen(format!("{} frames on the wire in {}", f.frames, c.window()))
                .advise(format!("join {}@{}:{}", f.source, m.group, m.port))
                .explaining(c.is(Fate::SourceFilter))
        }
        None => {
            ok(format!("nobody but the named sources sends to {}", m.group)).seen("looked at on the wire")
        }
    })
}

fn plan(c: &Case<'_>) -> Vec<Judged> {
    let Some(m) = c.membership() else { return Vec::new() };
    let meaning = match m.group {
        IpAddr::V4(g) => plan_v4(g),
        IpAddr::V6(g) => plan_v6(g),
    };
    one(match meaning {
        Plan::Fine(text) => ok(format!("{}: {text}", m.group)).seen(what_is(m.group)),
        Plan::Reserved => note(format!("{} is in a range that IANA holds in reserve", m.group))
            .seen("225.0.0.0-231.255.255.255 or 235.0.0.0-238.255.255.255 (RFC 5771)")
            .advise("choose a group of 239.0.0.0/8 for your own use"),
    })
}

enum Plan {
    Fine(String),
    Reserved,
}

fn plan_v4(g: Ipv4Addr) -> Plan {
    match g.octets() {
        [233, a, b, _] if a < 252 => {
            Plan::Fine(format!("GLOP, of autonomous system {} (RFC 3180)", u32::from(a) * 256 + u32::from(b)))
        }
        [234, a, b, d] => Plan::Fine(format!("of whoever has {a}.{b}.{d}.0/24 (RFC 6034)")),
        [225..=231, ..] | [235..=238, ..] => Plan::Reserved,
        _ => Plan::Fine(scope_of(g).into()),
    }
}

fn plan_v6(g: Ipv6Addr) -> Plan {
    let o = g.octets();
    let s = g.segments();
    let prefix = || Ipv6Addr::new(s[2], s[3], s[4], s[5], 0, 0, 0, 0);
    match o[1] >> 4 {
        // Embedded rendezvous point (RFC 3956 section 3): its last four bits stand before the length.
        7 if o[2] & 0x0f != 0 => {
            let mut rp = prefix().octets();
            rp[15] |= o[2] & 0x0f;
            Plan::Fine(format!("its rendezvous point is {} (RFC 3956)", Ipv6Addr::from(rp)))
        }
        3 if o[3] == 0xff => Plan::Fine("link-scoped by an interface's identifier (RFC 4489)".into()),
        3 if o[3] != 0 => Plan::Fine(format!("of whoever has {}/{} (RFC 3306)", prefix(), o[3])),
        3 => Plan::Fine("source-specific (RFC 4607)".into()),
        1 => Plan::Fine("transient: not assigned by IANA (RFC 4291)".into()),
        0 => Plan::Fine("assigned by IANA (RFC 4291)".into()),
        _ => Plan::Fine(what_is(g.into()).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan_of(text: &str) -> String {
        let plan = match text.parse::<IpAddr>().unwrap() {
            IpAddr::V4(g) => plan_v4(g),
            IpAddr::V6(g) => plan_v6(g),
        };
        match plan {
            Plan::Fine(text) => text,
            Plan::Reserved => "reserved".into(),
        }
    }

    #[test]
    fn addresses_tell_whose_they_are() {
        for (group, part) in [
            ("233.1.2.3", "autonomous system 258"),
            ("234.192.0.2", "192.0.2.0/24"),
            ("226.1.1.1", "reserved"),
            ("239.255.1.1", "one site"),
            ("239.192.1.1", "organization"),
            ("ff3e:30:2001:db8:1::1", "2001:db8:1::/48"),
            ("ff7e:140:2001:db8:beef:feed::1234", "2001:db8:beef:feed::1 "),
            ("ff32:ff:211:22ff:fe33:4455::1", "RFC 4489"),
        ] {
            assert!(plan_of(group).contains(part), "{group}: {}", plan_of(group));
        }
    }
}
