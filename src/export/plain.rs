//! Plain lines for people: `watch --format text` and the demo without a terminal.

use std::fmt::Write;

use crate::base::batch::Capture;
use crate::base::group::Membership;
use crate::base::time::Wall;
use crate::base::units;
use crate::export::json::Packet;
use crate::export::table::columns;
use crate::model::Model;
use crate::model::event::Event;
use crate::model::group::{Group, JoinState};

/// A time of day with microseconds, `utc_offset_s` seconds east of UTC.
pub fn clock(at: Wall, utc_offset_s: i32) -> String {
    let c = at.civil(utc_offset_s);
    format!("{:02}:{:02}:{:02}.{:06}", c.hour, c.minute, c.second, c.ns / 1000)
}

/// A membership that stands.
pub fn joined(at: Wall, g: &Group, utc_offset_s: i32) -> String {
    let label = g.label.as_deref().map_or_else(String::new, |l| format!("  ({l})"));
    let by = match &g.join {
        JoinState::Joined(b) if b.capture == Capture::Ring => "  by packet ring",
        _ => "",
    };
    format!("{}  joined {}{label}{by}", clock(at, utc_offset_s), g.membership)
}

/// An event.
pub fn event(e: &Event, utc_offset_s: i32) -> String {
    format!("{}  {}", clock(e.time, utc_offset_s), e.text)
}

/// A datagram.
pub fn packet(at: Wall, p: &Packet, m: &Membership, utc_offset_s: i32) -> String {
    let mut line = format!("{}  {} > {}", clock(at, utc_offset_s), p.source, m.endpoint());
    let _ = write!(line, "  {}  {} B", p.iface, p.size_bytes);
    if let Some(ttl) = p.ttl {
        let _ = write!(line, "  ttl {ttl}");
    }
    let wire = if p.joined { "" } else { "  ◇ not joined" };
    let _ = write!(line, "{}{wire}  {}", if p.ours { "  ours" } else { "" }, p.preview);
    line
}

fn groups(n: usize) -> String {
    units::counted(n as u64, "group", "groups")
}

fn sources(n: usize) -> String {
    units::counted(n as u64, "source", "sources")
}

/// The groups and their sources as a table, with the whole in the first line.
pub fn summary(model: &Model, utc_offset_s: i32) -> String {
    let now = model.now();
    let t = model.totals();
    let dash = || "–".to_owned();
    let count = |v: Option<u64>| v.map_or_else(dash, |n| n.to_string());
    let rate = t.rate.unwrap_or_default();
    let joined = if model.wire().depth().shows_groups() { "joined: " } else { "" };
    let mut out = format!(
        "{}  {joined}{}, {}, {}, {}, {}   NET {}  NIC {}  SOCK {}  OURS {}\n",
        clock(now.wall, utc_offset_s),
        groups(t.groups),
        sources(t.sources),
        units::packets(t.counters.packets),
        units::packets_per_s(rate.packets_pps),
        units::bits_per_s(rate.payload_bps),
        count(t.lost),
        count(t.nic_drops),
        count(t.socket_drops),
        t.not_analysed
    );
    let mut rows = Vec::new();
    if model.wire().depth().shows_groups() {
        let t = model.wire_totals(None);
        let rate = t.rate.unwrap_or_default();
        let _ = writeln!(
            out,
            "◇ on the wire, not joined: {}, {}, {}, {}, {}",
            groups(t.groups),
            sources(t.sources),
            units::packets(t.counters.packets),
            units::packets_per_s(rate.packets_pps),
            units::bits_per_s(rate.payload_bps),
        );
        for (count, what) in [
            (t.counts.drops, "dropped at the tap's ring"),
            (t.counts.not_analysed, "counted, not analysed"),
            (t.counts.bad_checksums, "with a wrong UDP checksum"),
            (t.tagged, "of VLANs, not in these figures"),
            (t.evicted, "groups forgotten for others"),
        ] {
            if count > 0 {
                let _ = writeln!(out, "  {count} {what}");
            }
        }
    }
    for g in model.rows() {
        let r = g.rate(now.mono);
        let wire = if g.is_joined() { "" } else { "◇ " };
        let vlan = g.vlan.map_or_else(String::new, |v| format!(" VLAN {v}"));
        rows.push(vec![
            format!("{wire}{}", g.membership.endpoint()),
            format!("{}{vlan}", g.membership.iface),
            g.name().unwrap_or("–").to_owned(),
            g.state.word().to_owned(),
            g.counters.packets.to_string(),
            r.map_or_else(dash, |r| units::si(r.packets_pps)),
            r.map_or_else(dash, |r| units::si(r.payload_bps)),
            count(g.continuity().map(|c| c.lost)),
            count(g.drops.socket_drops),
        ]);
        for s in g.sources.list().iter().take(SOURCES_SHOWN) {
            let r = g.since.and_then(|since| s.rate.rate(now.mono, since.mono));
            rows.push(vec![
                format!("  {}", s.endpoint),
                String::new(),
                s.protocol().map_or("–", |p| p.name).to_owned(),
                s.state.word().to_owned(),
                s.counters.packets.to_string(),
                r.map_or_else(dash, |r| units::si(r.packets_pps)),
                r.map_or_else(dash, |r| units::si(r.payload_bps)),
                count(s.continuity().map(|c| c.lost)),
                dash(),
            ]);
        }
        if let Some(c) = model.compared(g.id).filter(|c| c.not_delivered > 0) {
            rows.push(vec![format!("  {} of {} on the wire were not delivered", c.not_delivered, c.wire)]);
        }
        if g.sources.len() > SOURCES_SHOWN {
            let more = g.sources.len() - SOURCES_SHOWN;
            rows.push(vec![format!("  and {} more", sources(more))]);
        }
    }
    out.push_str(&columns(
        &["GROUP", "IFACE", "WHAT", "STATE", "PACKETS", "PKT/S", "BIT/S", "NET", "SOCK"],
        &rows,
    ));
    out
}

/// Sources of a group that a summary lists.
const SOURCES_SHOWN: usize = 20;
