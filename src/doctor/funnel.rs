//! How far the packets of a group get: from the increases of the kernel's counters, and from what was on
//! the wire where that could be seen. Pure.
//!
//! Where a datagram dies decides which counters move (measured on Linux 6.18, +1 for each datagram):
//!
//! | it dies because | Ip InReceives | IpExt InMcastPkts | Ip InDelivers | Udp InDatagrams | other |
//! | --- | --- | --- | --- | --- | --- |
//! | it does not | +1 | +1 | +1 | +1 | |
//! | group not joined, own source, bad source, PREROUTING | +1 | | | | |
//! | reverse path filter | +1 | | | | TcpExt IPReversePathFilter |
//! | INPUT | +1 | +1 | | | |
//! | no socket on the port | +1 | +1 | +1 | | Udp IgnoredMulti |
//! | socket buffer full | +1 | +1 | +1 | | Udp RcvbufErrors |
//! | bad checksum, bad length | +1 | +1 | +1 | | Udp InErrors |
//! | a fragment is missing | +n | +n | | | Ip ReasmReqds without ReasmOKs |
//! | ingress filter, other VLAN, other MAC | | | | | link rx_packets |
//! | longer than the MTU | | | | | link rx_dropped |
//! | it never came | | | | | |
//!
//! IPv6 has the same shape but counts a group that is not joined in InMcastPkts too. The counters are the
//! host's, not the group's: other traffic moves them as well, and what that leaves open is said.

use std::net::IpAddr;

use super::facts::{Facts, Flow, IfaceFacts, Target, Wire};
use super::finding::{Fate, Funnel, Passage, Scope, Stage, Station};
use super::ruleset::{Drop, Hook, Packet, Traffic};
use crate::base::group::Membership;
use crate::base::iface::IfaceKind;

/// The counters of one family.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets that came to the IP layer.
    pub received: u64,
    /// Multicast packets among them that this host takes in (IPv6: all).
    pub multicast: u64,
    /// Packets handed to a transport protocol.
    pub delivered: u64,
    /// Datagrams put into sockets, once for each.
    pub datagrams: u64,
    /// Multicast datagrams that no socket wanted.
    pub ignored: u64,
    /// Datagrams with an error, those below among them.
    pub errors: u64,
    /// Dropped at a full buffer.
    pub rcvbuf: u64,
    /// With a wrong checksum.
    pub checksum: u64,
    /// Dropped for lack of memory for all of UDP.
    pub memory: u64,
    /// Dropped by the reverse path filter; IPv6 has none.
    pub reverse_path: u64,
    /// Fragments that came.
    pub fragments: u64,
    /// Packets put together.
    pub reassembled: u64,
    /// Packets given up, for lack of a fragment.
    pub fragments_failed: u64,
    /// Packets that went missing between IP and the transport with no counter saying why.
    pub vanished: u64,
}

impl Counts {
    /// Those of a family; `None` where the system does not say.
    pub fn of(facts: &Facts, v4: bool) -> Option<Counts> {
        let all = facts.counters.as_ref()?;
        let get = |name4: &str, name6: &str| all.get(if v4 { name4 } else { name6 });
        let or_none = |name4: &str, name6: &str| get(name4, name6).unwrap_or(0);
        let received = get("Ip InReceives", "Ip6InReceives")?;
        let delivered = get("Ip InDelivers", "Ip6InDelivers")?;
        let fragments = or_none("Ip ReasmReqds", "Ip6ReasmReqds");
        let reassembled = or_none("Ip ReasmOKs", "Ip6ReasmOKs");
        let reverse_path = if v4 { all.get("TcpExt IPReversePathFilter").unwrap_or(0) } else { 0 };
        let accounted = [
            delivered,
            fragments.saturating_sub(reassembled),
            reverse_path,
            or_none("Ip ForwDatagrams", "Ip6OutForwDatagrams"),
            or_none("Ip InHdrErrors", "Ip6InHdrErrors"),
            or_none("Ip InAddrErrors", "Ip6InAddrErrors"),
            or_none("Ip InDiscards", "Ip6InDiscards"),
            or_none("Ip InUnknownProtos", "Ip6InUnknownProtos"),
            or_none("IpExt InNoRoutes", "Ip6InNoRoutes"),
            or_none("IpExt InTruncatedPkts", "Ip6InTruncatedPkts"),
        ];
        Some(Counts {
            received,
            multicast: or_none("IpExt InMcastPkts", "Ip6InMcastPkts"),
            delivered,
            datagrams: or_none("Udp InDatagrams", "Udp6InDatagrams"),
            ignored: or_none("Udp IgnoredMulti", "Udp6IgnoredMulti"),
            errors: or_none("Udp InErrors", "Udp6InErrors"),
            rcvbuf: or_none("Udp RcvbufErrors", "Udp6RcvbufErrors"),
            checksum: or_none("Udp InCsumErrors", "Udp6InCsumErrors"),
            memory: or_none("Udp MemErrors", "Udp6MemErrors"),
            reverse_path,
            fragments,
            reassembled,
            fragments_failed: or_none("Ip ReasmFails", "Ip6ReasmFails"),
            vanished: received.saturating_sub(accounted.iter().sum()),
        })
    }
}

/// The frames on the wire that are meant for the membership: to its port, or fragments whose port is not
/// known.
pub fn meant<'w>(wire: &'w Wire, m: &Membership) -> impl Iterator<Item = &'w Flow> {
    let port = m.port;
    wire.flows.iter().filter(move |f| f.port.is_none_or(|p| p == port))
}

/// The look at the wire, where it was had.
pub fn wire_of(t: &Target) -> Option<&Wire> {
    t.wire.as_ref()?.as_ref().ok()
}

/// Whether it is the loopback, where this host talks to itself from any address of its own.
pub fn is_loopback(iface: &IfaceFacts) -> bool {
    iface.iface.kind == IfaceKind::Loopback
}

/// Whether a host may not send from this address to this group (RFC 1122 section 3.2.1.3). Linux takes
/// 0.0.0.0 for groups of 224.0.0.0/24 (net/ipv4/route.c, ip_mc_validate_source).
pub fn is_bad_source(source: IpAddr, group: IpAddr) -> bool {
    match (source, group) {
        (IpAddr::V4(s), IpAddr::V4(g)) => {
            let local = g.octets()[..3] == [224, 0, 0];
            (s.octets()[0] == 0 && !(s.is_unspecified() && local))
                || s.is_loopback()
                || s.is_multicast()
                || s.octets()[0] >= 240
        }
        (IpAddr::V6(s), _) => s.is_multicast() || s.is_unspecified() || s.is_loopback(),
        _ => false,
    }
}

/// The reverse path filter in force on an interface: the greater of its own and that of all
/// (Documentation/networking/ip-sysctl.rst).
pub fn rp_filter(facts: &Facts, iface: &IfaceFacts) -> Option<u32> {
    Some(iface.v4.rp_filter?.max(facts.settings.all.rp_filter.unwrap_or(0)))
}

/// Whether packets from own addresses are accepted on an interface. On the loopback they come with the
/// route that they were sent by, and no source is validated (net/ipv4/route.c).
pub fn accepts_local(facts: &Facts, iface: &IfaceFacts) -> bool {
    is_loopback(iface)
        || iface.v4.accept_local.is_some_and(|v| v != 0)
        || facts.settings.all.accept_local.is_some_and(|v| v != 0)
}

/// What the packet filter's rules, where they could be read, do with the group's packets.
pub fn filtered(facts: &Facts, t: &Target) -> Option<Drop> {
    let m = &t.membership;
    let source = wire_of(t).and_then(|w| meant(w, m).next()).map(|f| f.source);
    dropped(facts, t, m.group, Traffic::Datagram(m.port), source)
}

/// What the packet filter's rules do with the membership protocol's packets: reports that leave, or
/// queries that come.
pub fn filtered_protocol(facts: &Facts, t: &Target, traffic: Traffic) -> Option<Drop> {
    let to = match (t.membership.group.is_ipv4(), traffic) {
        (true, Traffic::Query) => IpAddr::from([224, 0, 0, 1]),
        (true, _) => IpAddr::from([224, 0, 0, 22]),
        (false, Traffic::Query) => IpAddr::from([0xff02, 0, 0, 0, 0, 0, 0, 1]),
        (false, _) => IpAddr::from([0xff02, 0, 0, 0, 0, 0, 0, 0x16]),
    };
    dropped(facts, t, to, traffic, None)
}

fn dropped(
    facts: &Facts,
    t: &Target,
    group: IpAddr,
    traffic: Traffic,
    source: Option<IpAddr>,
) -> Option<Drop> {
    let rules = facts.rules.as_ref()?.as_ref().ok()?;
    let iface = &t.membership.iface;
    let ifindex = facts.iface(iface).map_or(0, |i| i.iface.index);
    rules.drops(&Packet { group, traffic, source, iface, ifindex })
}

/// What became of the packets, and what the measurement leaves open.
struct Decision {
    fate: Fate,
    open: String,
}

fn surely(fate: Fate) -> Decision {
    Decision { fate, open: String::new() }
}

fn or(fate: Fate, open: impl Into<String>) -> Decision {
    Decision { fate, open: open.into() }
}

/// The funnel of a group.
pub fn of(facts: &Facts, t: &Target) -> Funnel {
    let m = &t.membership;
    let counts = Counts::of(facts, m.group.is_ipv4());
    let iface = facts.iface(&m.iface);
    let decision = decide(facts, t, iface, counts.as_ref());
    Funnel {
        stages: stages(facts, t, iface, counts.as_ref(), decision.fate),
        fate: decision.fate,
        cannot_separate: decision.open,
    }
}

fn decide(facts: &Facts, t: &Target, iface: Option<&IfaceFacts>, counts: Option<&Counts>) -> Decision {
    if t.packets > 0 {
        return surely(Fate::Arrives);
    }
    if t.join.is_err() {
        return surely(Fate::NotJoined);
    }
    let Some(iface) = iface else { return surely(Fate::NotJoined) };
    if !iface.iface.up {
        return surely(Fate::Down);
    }
    if iface.iface.carrier == Some(false) {
        return surely(Fate::NoCarrier);
    }
    if t.membership.group.is_ipv6() && iface.ipv6_off == Some(true) {
        return surely(Fate::Ipv6Off);
    }
    match wire_of(t) {
        Some(wire) if !wire.flows.is_empty() || wire.missed == 0 => by_wire(facts, t, iface, counts, wire),
        _ => by_counters(facts, t, iface, counts),
    }
}

/// With the frames in view, most is certain.
fn by_wire(facts: &Facts, t: &Target, iface: &IfaceFacts, counts: Option<&Counts>, wire: &Wire) -> Decision {
    let m = &t.membership;
    let too_long = iface.counted(|s| s.rx_dropped + s.rx_length_errors + s.rx_over_errors).unwrap_or(0);
    if wire.flows.is_empty() {
        return if too_long > 0 {
            or(Fate::TooLong, "the interface's drops count every frame, not only those of the group")
        } else {
            surely(Fate::NothingComes)
        };
    }
    let ours: Vec<&Flow> = meant(wire, m).collect();
    if !ours.iter().any(|f| f.port.is_some()) {
        // Only other ports, or pieces whose first one never came.
        return surely(if wire.flows.iter().any(|f| f.port.is_some()) {
            Fate::OtherPort
        } else {
            Fate::Fragments
        });
    }
    let here: Vec<&&Flow> = ours.iter().filter(|f| !f.elsewhere && f.vlan.is_none()).collect();
    if here.is_empty() {
        let tagged = ours.iter().any(|f| f.vlan.is_some() && !f.elsewhere);
        return surely(if tagged { Fate::OtherVlan } else { Fate::OtherStation });
    }
    if here.iter().all(|f| !m.filter.passes(f.source)) {
        return surely(Fate::SourceFilter);
    }
    let here: Vec<&&Flow> = here.into_iter().filter(|f| m.filter.passes(f.source)).collect();
    if !is_loopback(iface) && here.iter().all(|f| is_bad_source(f.source, m.group)) {
        return surely(Fate::BadSource);
    }
    if m.group.is_ipv4() {
        if !accepts_local(facts, iface) && here.iter().all(|f| facts.owner(f.source).is_some()) {
            return surely(Fate::OwnSource);
        }
        // The counter is the host's: it accuses only where the routes do not acquit.
        let counted = counts.is_none_or(|c| c.reverse_path > 0);
        if counted && reverse_path_drops(facts, iface, &here) {
            return surely(Fate::ReversePath);
        }
    }
    let frames: u64 = here.iter().map(|f| f.frames).sum();
    let fragments: u64 = here.iter().map(|f| f.fragments).sum();
    if let Some(c) = counts {
        if c.received < frames {
            return surely(Fate::Ingress);
        }
        if fragments > 0 && c.fragments > c.reassembled && c.reassembled == 0 {
            return surely(Fate::Fragments);
        }
    }
    let drop = filtered(facts, t);
    if let Some(d) = drop.as_ref().filter(|d| d.certain) {
        return surely(by_hook(d.hook));
    }
    if here.iter().all(|f| f.bad_length > 0) {
        return surely(Fate::Length);
    }
    if counts.is_none_or(|c| c.checksum > 0) && here.iter().any(|f| f.bad_checksum > 0) {
        return surely(Fate::Checksum);
    }
    if t.drops > 0 {
        return surely(Fate::Buffer);
    }
    // What came to IP was not dropped at the ingress.
    if let Some(d) = drop.filter(|d| d.hook != Hook::Ingress) {
        return or(by_hook(d.hook), "the rule has a condition that cannot be judged from outside");
    }
    match counts {
        None => surely(Fate::Unclear),
        Some(c) if m.group.is_ipv6() => match c.vanished {
            0 => surely(Fate::Unclear),
            _ => {
                or(Fate::Input, "IPv6 counts nothing between the packet filter's hooks prerouting and input")
            }
        },
        Some(c) if c.vanished == 0 => surely(Fate::Unclear),
        // The counters are read one after the other while packets come: about as many is as many.
        Some(c) if c.multicast.saturating_mul(2) >= frames => surely(Fate::Input),
        Some(_) => surely(Fate::Prerouting),
    }
}

/// Whether the reverse path filter may drop all of these, by what the routes say.
fn reverse_path_drops(facts: &Facts, iface: &IfaceFacts, flows: &[&&Flow]) -> bool {
    flows.iter().all(|f| fails_reverse_path(facts, iface, f) != Some(false))
}

/// Whether the reverse path filter drops a flow: by the way back to its sender, and because an interface
/// without an address lets nothing through while the filter is on (net/ipv4/fib_frontend.c). `None` where
/// the way back is not known.
pub fn fails_reverse_path(facts: &Facts, iface: &IfaceFacts, flow: &Flow) -> Option<bool> {
    let filter = rp_filter(facts, iface)?;
    if filter == 0 {
        return Some(false);
    }
    if !iface.iface.addrs.iter().any(|a| a.ip.is_ipv4()) {
        return Some(true);
    }
    match flow.route_back? {
        None => Some(true),
        Some(r) => Some(filter == 1 && r.ifindex != iface.iface.index),
    }
}

fn by_hook(hook: Hook) -> Fate {
    match hook {
        Hook::Ingress => Fate::Ingress,
        Hook::Prerouting => Fate::Prerouting,
        // A datagram that arrives meets none of the hooks of the way out.
        Hook::Input | Hook::Output | Hook::Postrouting => Fate::Input,
    }
}

/// Without a look at the wire: by the counters alone, the most telling one first.
fn by_counters(facts: &Facts, t: &Target, iface: &IfaceFacts, counts: Option<&Counts>) -> Decision {
    const WIRE: &str = "CAP_NET_RAW would show the frames themselves";
    let Some(c) = counts else {
        return or(Fate::Unclear, "this system does not tell its counters");
    };
    let m = &t.membership;
    if t.drops > 0 {
        return surely(Fate::Buffer);
    }
    if c.reverse_path > 0 {
        return or(Fate::ReversePath, format!("the counter is the host's; {WIRE} and so the sender"));
    }
    if c.checksum > 0 {
        return or(Fate::Checksum, format!("the counter is the host's; {WIRE}"));
    }
    if c.errors > c.rcvbuf + c.checksum + c.memory {
        return or(Fate::Length, format!("the counter is the host's; {WIRE}"));
    }
    if c.fragments > 0 && c.reassembled == 0 {
        return or(Fate::Fragments, format!("the counter is the host's; {WIRE}"));
    }
    let drop = filtered(facts, t).filter(|d| d.certain);
    if let Some(d) = &drop
        && (c.vanished > 0 || d.hook == Hook::Ingress)
    {
        return surely(by_hook(d.hook));
    }
    if c.ignored > 0 {
        let open = format!(
            "datagrams of other groups that no program wants count there too; {WIRE} and so the port"
        );
        return or(Fate::OtherPort, open);
    }
    if c.vanished > 0 {
        if m.group.is_ipv6() {
            let open = "a packet filter in prerouting or input, or a group that is not joined: IPv6 counts nothing between";
            return or(Fate::Input, open);
        }
        // Unicast that is dropped counts as vanished too; for the most part it is to be multicast.
        if c.multicast.saturating_mul(2) >= c.vanished {
            return or(Fate::Input, format!("unicast that the packet filter drops counts there too; {WIRE}"));
        }
        let open = format!(
            "a source that is this host's own address or no valid one, {}or a packet filter in prerouting: nothing counts \
             between; {WIRE}",
            if m.filter.sources().is_empty() { "" } else { "a source that the membership does not name, " }
        );
        return or(Fate::Unclear, open);
    }
    let rx = iface.counted(|s| s.rx_packets).unwrap_or(0);
    let ip: u64 = [true, false].iter().filter_map(|&v4| Counts::of(facts, v4)).map(|c| c.received).sum();
    // Frames of other protocols (ARP, LLDP) are few; more than that is a stream.
    if rx >= 5 && ip < rx / 2 {
        let open =
            format!("a filter at the interface's ingress, a VLAN tag, or frames for another station; {WIRE}");
        return or(Fate::Ingress, open);
    }
    if iface.counted(|s| s.rx_dropped + s.rx_length_errors + s.rx_over_errors).unwrap_or(0) > 0 {
        return or(
            Fate::TooLong,
            "frames of protocols that this host does not speak (LLDP, STP) count there too",
        );
    }
    surely(Fate::NothingComes)
}

fn stages(
    facts: &Facts,
    t: &Target,
    iface: Option<&IfaceFacts>,
    counts: Option<&Counts>,
    fate: Fate,
) -> Vec<Stage> {
    let m = &t.membership;
    let wire = wire_of(t);
    let on_wire = wire.map(|w| match fate {
        Fate::OtherPort => w.flows.iter().map(|f| f.frames).sum(),
        _ => meant(w, m).map(|f| f.frames).sum(),
    });
    let rx = iface.and_then(|i| i.counted(|s| s.rx_packets));
    let dies = fate.station();
    let stage = |station: Station| {
        let (count, scope) = match station {
            Station::Wire => (on_wire, Scope::Group),
            Station::Interface => (rx, Scope::Interface),
            Station::Ip => (counts.map(|c| c.received), Scope::Host),
            Station::Group => (counts.map(|c| c.multicast), Scope::Host),
            Station::Firewall => (counts.map(|c| c.delivered), Scope::Host),
            Station::Port => (counts.map(|c| c.datagrams), Scope::Host),
            Station::Buffer => (Some(t.drops), Scope::Group),
            Station::Here => (Some(t.packets), Scope::Group),
        };
        let passage = match dies {
            None => Passage::Passes,
            Some(at) if station == at => Passage::Dies,
            Some(at) if station > at => Passage::Unreached,
            // Before an interface that is down, or a group that is not joined, nothing can be told.
            Some(_) if count == Some(0) && scope == Scope::Group => Passage::Unknown,
            Some(_) => Passage::Passes,
        };
        let note = (passage == Passage::Dies).then(|| note(facts, t, iface, counts, fate));
        Stage { station, count, scope, passage, note }
    };
    Station::ALL.into_iter().map(stage).collect()
}

/// A few words for the picture.
fn note(
    facts: &Facts,
    t: &Target,
    iface: Option<&IfaceFacts>,
    counts: Option<&Counts>,
    fate: Fate,
) -> String {
    let count = |n: Option<u64>| n.map_or(String::new(), |n| format!(" {n}"));
    match fate {
        Fate::Arrives => "arrives".into(),
        Fate::NotJoined => "not joined".into(),
        Fate::Down => "down".into(),
        Fate::NoCarrier => "no carrier".into(),
        Fate::Ipv6Off => "IPv6 is off".into(),
        Fate::NothingComes => "nothing comes".into(),
        Fate::TooLong => format!("dropped{}", count(iface.and_then(|i| i.counted(|s| s.rx_dropped)))),
        Fate::OtherStation => "for another station".into(),
        Fate::OtherVlan => "in another VLAN".into(),
        Fate::Ingress => "dropped before IP".into(),
        Fate::ReversePath => format!("rp_filter dropped{}", count(counts.map(|c| c.reverse_path))),
        Fate::OwnSource => "from this host's own address".into(),
        Fate::BadSource => "from an invalid address".into(),
        Fate::SourceFilter => "from a source that was not asked for".into(),
        Fate::Fragments => "a fragment is missing".into(),
        Fate::Prerouting | Fate::Input => match filtered(facts, t) {
            Some(d) => format!("dropped by nftables {}", d.chain),
            None => "dropped".into(),
        },
        Fate::Checksum => "wrong checksum".into(),
        Fate::Length => "wrong length".into(),
        Fate::OtherPort => match wire_of(t).and_then(|w| w.flows.iter().find_map(|f| f.port)) {
            Some(port) => format!("comes on port {port}"),
            None => "comes on another port".into(),
        },
        Fate::Buffer => format!("dropped {}", t.drops),
        Fate::Unclear => "dropped, the place is not known".into(),
    }
}
