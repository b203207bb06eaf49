//! One comparison of a rule with a packet.

use std::net::IpAddr;

use super::{Packet, Traffic, Value, What};

/// Whether something holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Yes,
    No,
    Maybe,
}

pub(super) fn compare(what: What, value: &Value, packet: &Packet<'_>) -> Holds {
    let yes = |b| if b { Holds::Yes } else { Holds::No };
    match what {
        What::Destination(_) => address(value, packet.group),
        What::Source(_) => packet.source.map_or(Holds::Maybe, |ip| address(value, ip)),
        What::DestinationPort => match packet.traffic {
            Traffic::Datagram(port) => number(value, u64::from(port)),
            _ => Holds::No,
        },
        What::Transport => match (packet.traffic, packet.group.is_ipv4()) {
            (Traffic::Datagram(_), _) => word_or(value, &["udp"], 17),
            (_, true) => word_or(value, &["igmp"], 2),
            (_, false) => word_or(value, &["ipv6-icmp", "icmpv6"], 58),
        },
        What::MessageType(v6) if v6 != packet.group.is_ipv6() => Holds::No,
        What::MessageType(v6) => match (packet.traffic, v6) {
            (Traffic::Datagram(_), _) => Holds::No,
            (Traffic::Query, false) => word_or(value, &["membership-query"], 0x11),
            (Traffic::Query, true) => word_or(value, &["mld-listener-query"], 130),
            (Traffic::Report, false) => word_or(value, &["membership-report-v3"], 0x22),
            (Traffic::Report, true) => word_or(value, &["mld2-listener-report"], 143),
        },
        What::Network if packet.group.is_ipv4() => word_or(value, &["ip", "ipv4"], 2),
        What::Network => word_or(value, &["ip6", "ipv6"], 10),
        What::Interface | What::OutInterface
            if (what == What::OutInterface) != (packet.traffic == Traffic::Report) =>
        {
            Holds::No
        }
        What::Interface | What::OutInterface => match value {
            Value::Word(w) => {
                yes(w.strip_suffix('*').map_or(w == packet.iface, |p| packet.iface.starts_with(p)))
            }
            other => number(other, u64::from(packet.ifindex)),
        },
        What::PacketType => word_or(value, &["multicast"], 2),
        What::State => word_or(value, &["new"], 8),
        What::Foreign => Holds::No,
        What::Opaque => Holds::Maybe,
    }
}

fn word_or(value: &Value, words: &[&str], as_number: u64) -> Holds {
    match value {
        Value::Word(w) if words.contains(&w.as_str()) => Holds::Yes,
        Value::Word(_) => Holds::No,
        other => number(other, as_number),
    }
}

fn number(value: &Value, n: u64) -> Holds {
    let bound = |v: &Value| match v {
        Value::Number(n) => Some(*n),
        _ => None,
    };
    let holds = match value {
        Value::Number(v) => Some(*v == n),
        Value::Range(a, b) => bound(a).zip(bound(b)).map(|(a, b)| (a..=b).contains(&n)),
        _ => None,
    };
    holds.map_or(Holds::Maybe, |b| if b { Holds::Yes } else { Holds::No })
}

fn address(value: &Value, ip: IpAddr) -> Holds {
    let one = |v: &Value| match v {
        Value::Word(w) => w.parse::<IpAddr>().ok(),
        _ => None,
    };
    let holds = match value {
        Value::Word(_) => one(value).map(|v| v == ip),
        Value::Prefix(net, len) => Some(within(ip, *net, *len)),
        Value::Range(a, b) => one(a).zip(one(b)).map(|(a, b)| (a..=b).contains(&ip)),
        Value::Number(_) => None,
    };
    holds.map_or(Holds::Maybe, |b| if b { Holds::Yes } else { Holds::No })
}

/// Whether an address lies in a network.
pub(super) fn within(ip: IpAddr, net: IpAddr, len: u8) -> bool {
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)) << 96,
        IpAddr::V6(ip) => ip.into(),
    };
    let same = bits(ip) ^ bits(net);
    ip.is_ipv4() == net.is_ipv4() && (len == 0 || same >> (128 - u32::from(len.min(128))) == 0)
}
