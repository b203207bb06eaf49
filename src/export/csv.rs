//! Statistics as comma-separated values (RFC 4180): one line for each scope.

use crate::base::time::Wall;
use crate::export::stats::{Scope, Stats};

/// The columns of the statistics as CSV, in the order of [`row`].
pub const HEADER: &str = "time,scope,group,port,iface,source,sources,state,packets,payload_bytes,ip_bytes,truncated,size_min_bytes,size_mean_bytes,size_max_bytes,lost,duplicates,reordered,socket_drops,nic_drops,not_analysed,not_analysed_bytes,ttl,dscp,protocol,packets_interval,payload_interval_bytes,packets_pps,payload_bps,ip_bps,lost_here,lost_unclear,lost_at_start,rfc3550_lost,longest_gap,restarts,jitter_ns,jitter_max_ns,drift_ppm,gap_min_ns,gap_mean_ns,gap_max_ns,gap_p50_ns,gap_p99_ns,silence_max_ns,peak_1ms_bps,peak_10ms_bps,peak_100ms_bps,fragmented,confidence,counter,joined,vlan,groups,wire_packets,not_delivered,bad_checksums,groups_evicted,tagged_packets,lag_p50_ns,lag_p99_ns,lag_max_ns";

/// One statistics line as CSV (RFC 4180), without the line's end.
pub fn row(at: Wall, s: &Stats) -> String {
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
