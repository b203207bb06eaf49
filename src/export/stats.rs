//! Statistics lines: which scopes are due, with rates over the time since they were last told.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

use crate::base::group::{Endpoint, MembershipId};
use crate::base::time::{Mono, SECOND_NS, Wall};
use crate::export::health::{Health, Shape};
use crate::model::group::Group;
use crate::model::seen::WireTotals;
use crate::model::seen::compare::Compared;
use crate::model::source::{Counters, Source, State};
use crate::model::{Model, Totals};

/// What a statistics line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// Everything.
    Total,
    /// All rows of one interface.
    Interface,
    /// One row.
    Group,
    /// One sender to one row.
    Source,
    /// What a tap sees on one interface and nobody here joined, all together. None of it is in `total` and
    /// `interface`, which are of joined rows.
    Wire,
}

/// One statistics line. Counters are cumulative since the start (or the last reset); rates are over
/// the time since the last line of the same scope, in the `final` line over the whole time watched.
/// What cannot be known is absent: `null` in JSON, empty in CSV.
#[derive(Clone, Debug, Serialize)]
pub struct Stats {
    /// What the line is about.
    pub scope: Scope,
    /// The group's address; for `group` and `source`.
    pub group: Option<String>,
    /// Its UDP port.
    pub port: Option<u16>,
    /// The interface; for all but `total`.
    pub iface: Option<Arc<str>>,
    /// What the group is called: by the session that announces it (SAP), else by the registry; for
    /// `group` and `source`.
    pub name: Option<Arc<str>>,
    /// What to know about the group, in words: senders that should be one, a payload that is not what it
    /// is registered or announced for; for `group`.
    pub notes: Option<Vec<String>>,
    /// Whether it is joined, or else seen on the wire; for `group` and `source`.
    pub joined: Option<bool>,
    /// The VLAN whose tag its frames carry; for `group` and `source` seen on the wire.
    pub vlan: Option<u16>,
    /// Number of groups; for all but `group` and `source`.
    pub groups: Option<usize>,
    /// The sender, as address:port; for `source`.
    pub source: Option<String>,
    /// Number of senders; for all but `source`.
    pub sources: Option<usize>,
    /// `live`, `idle`, `silent`, `failed` or `joining`; for `group` and `source`.
    pub state: Option<&'static str>,
    /// Datagrams analysed.
    pub packets: u64,
    /// Their UDP payload.
    pub payload_bytes: u64,
    /// With IP and UDP headers, per fragment (at this interface's MTU).
    pub ip_bytes: u64,
    /// Datagrams of which not the whole payload was captured.
    pub truncated: u64,
    /// Datagrams too long for one packet at the interface's MTU, which must have come in fragments.
    pub fragmented: u64,
    /// Smallest payload.
    pub size_min_bytes: Option<u32>,
    /// Mean payload.
    pub size_mean_bytes: Option<f64>,
    /// Largest payload.
    pub size_max_bytes: Option<u32>,
    /// NET: distinct numbers missing between the first and the highest seen. `null` while no counter
    /// is known in the payload.
    pub lost: Option<u64>,
    /// Numbers missing that were dropped on this host; no part of `lost`.
    pub lost_here: Option<u64>,
    /// Numbers missing of which it cannot be told whether the network or this host dropped them; no
    /// part of the other two.
    pub lost_unclear: Option<u64>,
    /// How many of all three went missing before the stream was first seen whole (16 numbers in a
    /// row, or a second); for `group` and `source`.
    pub lost_at_start: Option<u64>,
    /// Numbers seen again.
    pub duplicates: Option<u64>,
    /// Numbers that came after a higher one.
    pub reordered: Option<u64>,
    /// SOCK: dropped at the socket buffer, for `wire` at the tap's ring; for all but `source`.
    pub socket_drops: Option<u64>,
    /// NIC: dropped at the interface; for `interface` and `total`.
    pub nic_drops: Option<u64>,
    /// OURS: counted, not analysed; for all but `source`.
    pub not_analysed: Option<u64>,
    /// Their UDP payload.
    pub not_analysed_bytes: Option<u64>,
    /// Datagrams of a joined `group` that a tap saw on its interface, over the seconds in which both were
    /// watched; `null` without a tap.
    pub wire_packets: Option<u64>,
    /// How many of these were not delivered to the row.
    pub not_delivered: Option<u64>,
    /// Datagrams with a wrong UDP checksum, which no host takes; for `wire`.
    pub bad_checksums: Option<u64>,
    /// Groups forgotten because there were too many; for `wire`.
    pub groups_evicted: Option<u64>,
    /// Datagrams with a VLAN's tag, which are in no other figure of `wire`.
    pub tagged_packets: Option<u64>,
    /// TTL or hop limit of the last datagram; for `source`.
    pub ttl: Option<u8>,
    /// DSCP of the last datagram, 0 to 63; for `source`.
    pub dscp: Option<u8>,
    /// The payload's protocol; for `source`.
    pub protocol: Option<&'static str>,
    /// Whether this host sends it; for `source`.
    pub ours: Option<bool>,
    /// Shortest time between two datagrams; for `group` and `source`.
    pub gap_min_ns: Option<u64>,
    /// Mean time between two datagrams.
    pub gap_mean_ns: Option<u64>,
    /// Longest time between two datagrams.
    pub gap_max_ns: Option<u64>,
    /// Arrival of the first datagram, RFC 3339.
    pub first_time: Option<String>,
    /// Arrival of the last datagram, RFC 3339.
    pub last_time: Option<String>,
    /// Datagrams since the last line.
    pub packets_interval: u64,
    /// Their UDP payload.
    pub payload_interval_bytes: u64,
    /// Datagrams a second.
    pub packets_pps: Option<f64>,
    /// UDP payload a second, in bits.
    pub payload_bps: Option<f64>,
    /// With headers, in bits a second.
    pub ip_bps: Option<f64>,
    /// Packet lines that were left out because the reader was too slow; for `total`.
    pub lines_dropped: Option<u64>,
    /// From a datagram's arrival until it was counted, the median; for `total`.
    pub lag_p50_ns: Option<u64>,
    /// The 99th percentile.
    pub lag_p99_ns: Option<u64>,
    /// The longest.
    pub lag_max_ns: Option<u64>,
    /// The health of a stream; for `source`, and as far as it has them for `group`.
    #[serde(flatten)]
    pub health: Health,
    /// Only in `final` lines: how things are distributed.
    #[serde(flatten)]
    pub shape: Option<Shape>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Total,
    Interface(Arc<str>),
    Group(MembershipId),
    Wire(Arc<str>),
    Source(MembershipId, Endpoint),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Told {
    at: Mono,
    packets: u64,
    payload_bytes: u64,
    ip_bytes: u64,
    other: [u64; 6],
    state: Option<State>,
}

/// Scopes remembered before those are forgotten that are no more.
const REMEMBERED: usize = 65_536;

/// Remembers what was told of each scope.
#[derive(Debug)]
pub struct Reporter {
    told: HashMap<Key, Told>,
    begun: Mono,
}

impl Reporter {
    /// A reporter whose first interval begins at `begun`.
    pub fn new(begun: Mono) -> Self {
        Reporter { told: HashMap::new(), begun }
    }

    /// The lines due at the model's time: the whole, and each scope that had traffic or changed. With
    /// `last`, every scope, with rates over the whole time.
    pub fn report(&mut self, model: &Model, lines_dropped: u64, last: bool, mut tell: impl FnMut(Stats)) {
        let now = model.now().mono;
        let no_shape = last.then(Shape::default);
        let mut total = of_totals(Scope::Total, &model.totals());
        total.shape = no_shape.clone();
        total.lines_dropped = Some(lines_dropped);
        let lag = model.lag();
        (total.lag_p50_ns, total.lag_p99_ns) = (lag.quantile(0.5), lag.quantile(0.99));
        total.lag_max_ns = lag.max_ns();
        if let Some(s) = self.due(Key::Total, total, None, self.begun, now, last, true) {
            tell(s);
        }
        let mut names: Vec<Arc<str>> = model.groups().map(|g| g.membership.iface.clone()).collect();
        names.sort();
        names.dedup();
        for name in names {
            let mut s = of_totals(Scope::Interface, &model.totals_of_iface(&name));
            (s.iface, s.shape) = (Some(name.clone()), no_shape.clone());
            if let Some(s) = self.due(Key::Interface(name), s, None, self.begun, now, last, false) {
                tell(s);
            }
        }
        for (name, _) in model.wire().ifaces().filter(|(_, t)| t.state.depth().shows_groups()) {
            let s = of_wire(name, &model.wire_totals(Some(name)));
            if let Some(s) = self.due(Key::Wire(name.clone()), s, None, self.begun, now, last, false) {
                tell(s);
            }
        }
        self.forget(model);
        for g in model.rows() {
            let since = g.since.map_or(now, |s| s.mono);
            let s = of_group(g, model.compared(g.id), now, last);
            if let Some(s) = self.due(Key::Group(g.id), s, Some(g.state), since, now, last, false) {
                tell(s);
            }
            for source in g.sources.list() {
                let key = Key::Source(g.id, source.endpoint);
                let s = of_source(g, source, model, last);
                if let Some(s) = self.due(key, s, Some(source.state), source.first.mono, now, last, false) {
                    tell(s);
                }
            }
        }
    }

    /// Rows that come and go without end on the wire are not remembered for ever.
    fn forget(&mut self, model: &Model) {
        let gone = |id: &MembershipId| id.is_wire() && model.group(*id).is_none();
        if self.told.len() > REMEMBERED {
            self.told.retain(|key, _| !matches!(key, Key::Group(id) | Key::Source(id, _) if gone(id)));
        }
    }

    #[allow(clippy::too_many_arguments, reason = "one call shape for four scopes")]
    fn due(
        &mut self,
        key: Key,
        mut s: Stats,
        state: Option<State>,
        since: Mono,
        now: Mono,
        last: bool,
        always: bool,
    ) -> Option<Stats> {
        let is = Told {
            at: now,
            packets: s.packets,
            payload_bytes: s.payload_bytes,
            ip_bytes: s.ip_bytes,
            other: [
                s.lost.unwrap_or(0),
                s.socket_drops.unwrap_or(0),
                s.nic_drops.unwrap_or(0),
                s.not_analysed.unwrap_or(0),
                s.wire_packets.unwrap_or(0),
                [s.bad_checksums, s.groups_evicted, s.tagged_packets].into_iter().flatten().sum(),
            ],
            state,
        };
        let zero = Told { at: since, packets: 0, payload_bytes: 0, ip_bytes: 0, other: [0; 6], state: None };
        let was = self.told.get(&key).copied().unwrap_or(zero);
        if !last && !always && (Told { at: was.at, ..is }) == was {
            // Quiet: the next rate is over the interval in which it sends again.
            self.told.insert(key, is);
            return None;
        }
        self.told.insert(key, is);
        s.packets_interval = is.packets.saturating_sub(was.packets);
        s.payload_interval_bytes = is.payload_bytes.saturating_sub(was.payload_bytes);
        let from = if last { zero } else { was };
        let ns = now.since(from.at);
        if ns > 0 {
            let seconds = ns as f64 / SECOND_NS as f64;
            let rate = |is: u64, was: u64| Some(is.saturating_sub(was) as f64 / seconds);
            s.packets_pps = rate(is.packets, from.packets);
            s.payload_bps = rate(is.payload_bytes * 8, from.payload_bytes * 8);
            s.ip_bps = rate(is.ip_bytes * 8, from.ip_bytes * 8);
        }
        Some(s)
    }
}

fn blank(scope: Scope, c: &Counters) -> Stats {
    let any = c.packets > 0;
    Stats {
        scope,
        group: None,
        port: None,
        iface: None,
        name: None,
        notes: None,
        joined: None,
        vlan: None,
        groups: None,
        source: None,
        sources: None,
        state: None,
        packets: c.packets,
        payload_bytes: c.payload_bytes,
        ip_bytes: c.ip_bytes,
        truncated: c.truncated,
        fragmented: c.fragmented,
        size_min_bytes: any.then_some(c.size_min),
        size_mean_bytes: c.size_mean(),
        size_max_bytes: any.then_some(c.size_max),
        lost: None,
        lost_here: None,
        lost_unclear: None,
        lost_at_start: None,
        duplicates: None,
        reordered: None,
        socket_drops: None,
        nic_drops: None,
        not_analysed: None,
        not_analysed_bytes: None,
        wire_packets: None,
        not_delivered: None,
        bad_checksums: None,
        groups_evicted: None,
        tagged_packets: None,
        ttl: None,
        dscp: None,
        protocol: None,
        ours: None,
        gap_min_ns: None,
        gap_mean_ns: None,
        gap_max_ns: None,
        first_time: None,
        last_time: None,
        packets_interval: 0,
        payload_interval_bytes: 0,
        packets_pps: None,
        payload_bps: None,
        ip_bps: None,
        lines_dropped: None,
        lag_p50_ns: None,
        lag_p99_ns: None,
        lag_max_ns: None,
        health: Health::default(),
        shape: None,
    }
}

fn of_totals(scope: Scope, t: &Totals) -> Stats {
    Stats {
        groups: Some(t.groups),
        sources: Some(t.sources),
        lost: t.lost,
        lost_here: t.lost_here,
        lost_unclear: t.lost_unclear,
        duplicates: t.duplicates,
        reordered: t.reordered,
        socket_drops: t.socket_drops,
        nic_drops: t.nic_drops,
        not_analysed: Some(t.not_analysed),
        not_analysed_bytes: Some(t.not_analysed_bytes),
        ..blank(scope, &t.counters)
    }
}

fn of_wire(name: &Arc<str>, t: &WireTotals) -> Stats {
    Stats {
        iface: Some(name.clone()),
        groups: Some(t.groups),
        sources: Some(t.sources),
        socket_drops: Some(t.counts.drops),
        not_analysed: Some(t.counts.not_analysed),
        not_analysed_bytes: Some(t.counts.not_analysed_bytes),
        bad_checksums: Some(t.counts.bad_checksums),
        groups_evicted: Some(t.evicted),
        tagged_packets: Some(t.tagged),
        ..blank(Scope::Wire, &t.counters)
    }
}

fn time(wall: Option<Wall>) -> Option<String> {
    wall.map(|w| w.rfc3339().to_string())
}

fn of_group(g: &Group, compared: Option<Compared>, now: Mono, last: bool) -> Stats {
    let n = g.continuity();
    let gaps = (g.gaps.count > 0).then_some(g.gaps);
    Stats {
        group: Some(g.membership.group.to_string()),
        port: Some(g.membership.port),
        iface: Some(g.membership.iface.clone()),
        name: g.name().map(Arc::from),
        notes: Some(g.notes.iter().map(|n| n.text()).collect()),
        joined: Some(g.is_joined()),
        vlan: g.vlan,
        wire_packets: compared.map(|c| c.wire),
        not_delivered: compared.map(|c| c.not_delivered),
        sources: Some(g.sources.len()),
        state: Some(g.state.word()),
        lost: n.map(|n| n.lost),
        lost_here: n.map(|n| n.lost_here),
        lost_unclear: n.map(|n| n.lost_unclear),
        lost_at_start: n.map(|n| n.lost_at_start),
        duplicates: n.map(|n| n.duplicates),
        reordered: n.map(|n| n.reordered),
        socket_drops: g.drops.socket_drops,
        // Of the wire's own groups it is known for the interface only.
        not_analysed: g.is_joined().then_some(g.drops.not_analysed),
        not_analysed_bytes: g.is_joined().then_some(g.drops.not_analysed_bytes),
        gap_min_ns: gaps.map(|g| g.min_ns),
        gap_mean_ns: gaps.and_then(|g| g.mean_ns()),
        gap_max_ns: gaps.map(|g| g.max_ns),
        first_time: time(g.first.map(|s| s.wall)),
        last_time: time(g.last.map(|s| s.wall)),
        health: Health::of_group(g, n, now),
        shape: last.then(|| Shape::of_group(g)),
        ..blank(Scope::Group, &g.counters)
    }
}

fn of_source(g: &Group, s: &Source, model: &Model, last: bool) -> Stats {
    let now = model.now().mono;
    let n = s.continuity();
    let gaps = (s.gaps.count > 0).then_some(s.gaps);
    Stats {
        group: Some(g.membership.group.to_string()),
        port: Some(g.membership.port),
        iface: Some(g.membership.iface.clone()),
        name: g.name().map(Arc::from),
        joined: Some(g.is_joined()),
        vlan: g.vlan,
        source: Some(s.endpoint.to_string()),
        state: Some(s.state.word()),
        lost: n.map(|n| n.lost),
        lost_here: n.map(|n| n.lost_here),
        lost_unclear: n.map(|n| n.lost_unclear),
        lost_at_start: n.map(|n| n.lost_at_start),
        duplicates: n.map(|n| n.duplicates),
        reordered: n.map(|n| n.reordered),
        ttl: s.ttl.last,
        dscp: s.dscp.last,
        protocol: s.protocol().map(|p| p.id),
        ours: Some(s.ours),
        gap_min_ns: gaps.map(|g| g.min_ns),
        gap_mean_ns: gaps.and_then(|g| g.mean_ns()),
        gap_max_ns: gaps.map(|g| g.max_ns),
        first_time: time(Some(s.first.wall)),
        last_time: time(Some(s.last.wall)),
        health: Health::of_source(g, s, n, now),
        shape: last.then(|| Shape::of_source(g, s, model)),
        ..blank(Scope::Source, &s.counters)
    }
}

/// The columns of the statistics as CSV, in the order of [`csv`].
pub const CSV_HEADER: &str = "time,scope,group,port,iface,source,sources,state,packets,payload_bytes,ip_bytes,truncated,size_min_bytes,size_mean_bytes,size_max_bytes,lost,duplicates,reordered,socket_drops,nic_drops,not_analysed,not_analysed_bytes,ttl,dscp,protocol,packets_interval,payload_interval_bytes,packets_pps,payload_bps,ip_bps,lost_here,lost_unclear,lost_at_start,rfc3550_lost,longest_gap,restarts,jitter_ns,jitter_max_ns,drift_ppm,gap_min_ns,gap_mean_ns,gap_max_ns,gap_p50_ns,gap_p99_ns,silence_max_ns,peak_1ms_bps,peak_10ms_bps,peak_100ms_bps,fragmented,confidence,counter,joined,vlan,groups,wire_packets,not_delivered,bad_checksums,groups_evicted,tagged_packets,lag_p50_ns,lag_p99_ns,lag_max_ns";

/// One statistics line as CSV (RFC 4180), without the line's end.
pub fn csv(at: Wall, s: &Stats) -> String {
    fn o<T: ToString>(v: Option<T>) -> String {
        v.map_or_else(String::new, |v| v.to_string())
    }
    fn f(v: Option<f64>) -> String {
        v.map_or_else(String::new, |v| format!("{v:.3}"))
    }
    let scope = match s.scope {
        Scope::Total => "total",
        Scope::Interface => "interface",
        Scope::Group => "group",
        Scope::Source => "source",
        Scope::Wire => "wire",
    };
    [
        at.rfc3339().to_string(),
        scope.to_owned(),
        o(s.group.as_ref()),
        o(s.port),
        s.iface.as_deref().map_or_else(String::new, super::json::csv_field),
        o(s.source.as_ref()),
        o(s.sources),
        o(s.state),
        s.packets.to_string(),
        s.payload_bytes.to_string(),
        s.ip_bytes.to_string(),
        s.truncated.to_string(),
        o(s.size_min_bytes),
        f(s.size_mean_bytes),
        o(s.size_max_bytes),
        o(s.lost),
        o(s.duplicates),
        o(s.reordered),
        o(s.socket_drops),
        o(s.nic_drops),
        o(s.not_analysed),
        o(s.not_analysed_bytes),
        o(s.ttl),
        o(s.dscp),
        o(s.protocol),
        s.packets_interval.to_string(),
        s.payload_interval_bytes.to_string(),
        f(s.packets_pps),
        f(s.payload_bps),
        f(s.ip_bps),
        o(s.lost_here),
        o(s.lost_unclear),
        o(s.lost_at_start),
        o(s.health.rfc3550_lost),
        o(s.health.longest_gap),
        o(s.health.restarts),
        o(s.health.jitter_ns),
        o(s.health.jitter_max_ns),
        f(s.health.drift_ppm),
        o(s.gap_min_ns),
        o(s.gap_mean_ns),
        o(s.gap_max_ns),
        o(s.health.gap_p50_ns),
        o(s.health.gap_p99_ns),
        o(s.health.silence_max_ns),
        f(s.health.peak_1ms_bps),
        f(s.health.peak_10ms_bps),
        f(s.health.peak_100ms_bps),
        s.fragmented.to_string(),
        o(s.health.confidence),
        o(s.health.counter.as_ref()),
        o(s.joined),
        o(s.vlan),
        o(s.groups),
        o(s.wire_packets),
        o(s.not_delivered),
        o(s.bad_checksums),
        o(s.groups_evicted),
        o(s.tagged_packets),
        o(s.lag_p50_ns),
        o(s.lag_p99_ns),
        o(s.lag_max_ns),
    ]
    .join(",")
}
