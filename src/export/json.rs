//! JSON Lines, version 1. Each line is an object that begins with `"v":1`, its `"type"` and its
//! `"time"` (RFC 3339 in UTC, nanoseconds). The types here are the format's documentation: a field
//! is named as it is written, its unit ends its name, and what is absent is `null`.

use std::fmt::Write;
use std::sync::Arc;

use serde::Serialize;

use crate::base::batch::{Capture, Datagram};
use crate::base::group::Membership;
use crate::base::time::Wall;
use crate::export::stats::Stats;
use crate::model::event::Event;
use crate::model::group::{Group, JoinState};
use crate::wire::essence::{self, Told};
use crate::wire::{self, Hint, Protocol};

/// The version of the format.
pub const VERSION: u32 = 1;

#[derive(Serialize)]
struct Line<T: Serialize> {
    v: u32,
    #[serde(rename = "type")]
    kind: &'static str,
    time: String,
    #[serde(flatten)]
    body: T,
}

pub(super) fn line<T: Serialize>(kind: &'static str, at: Wall, body: T) -> String {
    let line = Line { v: VERSION, kind, time: at.rfc3339().to_string(), body };
    // Every type here has string keys and finite numbers or none: there is nothing to fail.
    serde_json::to_string(&line)
        .unwrap_or_else(|e| format!("{{\"v\":1,\"type\":\"error\",\"text\":\"{e}\"}}"))
}

/// `joined`: once for each membership, before anything else about it.
#[derive(Serialize)]
pub struct Joined {
    /// The group's address.
    pub group: String,
    /// Its UDP port.
    pub port: u16,
    /// The interface.
    pub iface: Arc<str>,
    /// The senders let through; empty for any.
    pub sources: Vec<String>,
    /// Receive buffer granted, or the packet ring's size; `null` where the system does not say.
    pub rcvbuf_bytes: Option<u64>,
    /// `sockets` or `ring`: what the datagrams come by.
    pub capture: &'static str,
}

/// The line for a membership that stands.
pub fn joined(at: Wall, g: &Group) -> String {
    let m = &g.membership;
    let (rcvbuf_bytes, capture) = match &g.join {
        JoinState::Joined(b) => (b.granted_bytes, b.capture),
        _ => (None, Capture::default()),
    };
    let sources = match &m.filter {
        crate::base::group::SourceFilter::Include(list) => list.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    };
    let body = Joined {
        group: m.group.to_string(),
        port: m.port,
        iface: m.iface.clone(),
        sources,
        rcvbuf_bytes,
        capture: capture.word(),
    };
    line("joined", at, body)
}

/// `event`: something happened. `event` is the kind's word (see
/// [`crate::model::event::EventKind::word`]).
#[derive(Serialize)]
pub struct EventBody<'a> {
    /// What kind.
    pub event: &'static str,
    /// The group it is about.
    pub group: Option<String>,
    /// Its port.
    pub port: Option<u16>,
    /// The interface it is about.
    pub iface: Option<Arc<str>>,
    /// The sender it is about, as address:port.
    pub source: Option<String>,
    /// One line in plain words.
    pub text: &'a str,
}

/// The line for an event.
pub fn event(e: &Event) -> String {
    let m = e.membership.as_deref();
    let body = EventBody {
        event: e.kind.word(),
        group: m.map(|m| m.group.to_string()),
        port: m.map(|m| m.port),
        iface: m.map(|m| m.iface.clone()).or_else(|| e.iface.clone()),
        source: e.source.map(|s| s.to_string()),
        text: &e.text,
    };
    line("event", e.time, body)
}

/// `packet`: one datagram.
#[derive(Serialize)]
pub struct Packet {
    /// The group's address.
    pub group: String,
    /// Its UDP port.
    pub port: u16,
    /// The interface of the membership.
    pub iface: Arc<str>,
    /// Whether its group is joined, or else a tap saw it on the wire.
    pub joined: bool,
    /// The sender, as address:port.
    pub source: String,
    /// True length of the UDP payload, even if cut.
    pub size_bytes: u32,
    /// TTL or hop limit on arrival.
    pub ttl: Option<u8>,
    /// DSCP, 0 to 63.
    pub dscp: Option<u8>,
    /// Whether this host sent it.
    pub ours: bool,
    /// The payload's protocol, `null` if it is not known.
    pub protocol: Option<&'static str>,
    /// One line about the payload.
    pub preview: String,
    /// The payload's first bytes (at most `--snap`), in hexadecimal.
    pub payload_hex: String,
}

/// The protocol of a datagram: what its stream is known to carry, else what it says for itself.
pub fn protocol(
    m: &Membership,
    d: &Datagram,
    payload: &[u8],
    of_stream: Option<&'static Protocol>,
) -> Option<&'static Protocol> {
    let hint = Hint { to: m.endpoint(), from: d.source, len: d.len as usize };
    of_stream.or_else(|| {
        wire::recognise(payload, &hint).filter(|(_, c)| *c > wire::Confidence::Guess).map(|(p, _)| p)
    })
}

/// The packet of a datagram; `protocol` is what [`protocol`] found, `told` what is announced of it, `snap`
/// bounds `payload_hex` in bytes.
pub fn packet(
    m: &Membership,
    d: &Datagram,
    payload: &[u8],
    protocol: Option<&'static Protocol>,
    told: &Told<'_>,
    ours: bool,
    snap: usize,
) -> Packet {
    let mut preview = String::new();
    match protocol {
        Some(p) => essence::preview(p, payload, told, &mut preview),
        None => wire::preview_unknown(payload, &mut preview),
    }
    let kept = &payload[..payload.len().min(snap)];
    let mut payload_hex = String::with_capacity(kept.len() * 2);
    for b in kept {
        let _ = write!(payload_hex, "{b:02x}");
    }
    Packet {
        group: m.group.to_string(),
        port: m.port,
        iface: m.iface.clone(),
        joined: !d.membership.is_wire(),
        source: d.source.to_string(),
        size_bytes: d.len,
        ttl: d.ttl,
        dscp: d.tos.map(|t| t >> 2),
        ours,
        protocol: protocol.map(|p| p.id),
        preview: crate::base::text::visible(&preview, 400),
        payload_hex,
    }
}

impl Packet {
    /// As a JSON line.
    pub fn json(&self, at: Wall) -> String {
        line("packet", at, self)
    }

    /// The columns of [`Packet::csv`].
    pub const CSV_HEADER: &'static str =
        "time,group,port,iface,source,size_bytes,ttl,dscp,protocol,preview,payload_hex,joined";

    /// As a line of CSV (RFC 4180), without its end.
    pub fn csv(&self, at: Wall) -> String {
        let o = |v: Option<u8>| v.map_or_else(String::new, |v| v.to_string());
        [
            at.rfc3339().to_string(),
            self.group.clone(),
            self.port.to_string(),
            csv_field(&self.iface),
            self.source.clone(),
            self.size_bytes.to_string(),
            o(self.ttl),
            o(self.dscp),
            self.protocol.unwrap_or("").to_owned(),
            csv_field(&self.preview),
            self.payload_hex.clone(),
            self.joined.to_string(),
        ]
        .join(",")
    }
}

/// A CSV field, quoted where RFC 4180 section 2 asks for it.
pub fn csv_field(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// `stats`, or `final` at the end: the figures of one scope.
pub fn stats(at: Wall, s: &Stats, last: bool) -> String {
    line(if last { "final" } else { "stats" }, at, s)
}
