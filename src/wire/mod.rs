//! Bytes to meaning and back: one file a payload protocol, one row each in [`PROTOCOLS`].
//!
//! Every parser here reads bytes that a stranger sent. The contract of each file: no panic, no
//! recursion or loop without a named bound, no allocation beyond what the preview or the fields
//! need, every access bounds-checked. [`read`] holds the tools that make this the easy way.
//!
//! One datagram is judged by [`recognise`], a stream by [`verdict::Verdict`]. Whoever follows the
//! numbers of [`Protocol::sequence`] keeps a state for each [`SeqSample::stream`] of a source, and
//! reads the notes in [`ts`], where four bits leave no room for a reorder window.

use std::net::IpAddr;
use std::ops::Range;

use crate::base::group::Endpoint;

pub mod babel;
pub mod cbor;
pub mod cluster;
pub mod coap;
pub mod dns;
pub mod essence;
pub mod igmp;
pub mod input;
pub mod ip;
pub mod json;
pub mod knx;
pub mod lighting;
pub mod lines;
pub mod marks;
pub mod media;
pub mod mld;
pub mod mold;
pub mod ntp;
pub mod omping;
pub mod own;
pub mod probe;
pub mod psi;
pub mod ptp;
pub mod read;
pub mod reassembly;
pub mod ripng;
pub mod router;
pub mod routing;
pub mod rtcp;
pub mod rtp;
pub mod rtps;
pub mod sap;
pub mod sdp;
pub mod sections;
pub mod ssdp;
pub mod ssmping;
pub mod text;
pub mod ts;
pub mod verdict;
pub mod wsd;
pub mod xml;

#[cfg(test)]
mod tests;

pub use text::preview_unknown;

/// How sure a recognition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// The shape fits; much else would fit it too. Not shown before several datagrams agree.
    Guess,
    /// The structure adds up, or the port says so as well.
    Likely,
    /// A mark of at least four fixed bytes, or a structure that chance does not make.
    Certain,
}

/// What is known beside the payload's bytes.
#[derive(Clone, Copy, Debug)]
pub struct Hint {
    /// The destination: group and port.
    pub to: Endpoint,
    /// The source.
    pub from: Endpoint,
    /// True length of the payload, where it was cut.
    pub len: usize,
}

impl Hint {
    /// Whether the datagram goes to one of these ports.
    pub fn to_port(&self, ports: &[u16]) -> bool {
        ports.contains(&self.to.port)
    }

    /// Whether it goes to or comes from one of these ports.
    pub fn either_port(&self, ports: &[u16]) -> bool {
        ports.contains(&self.to.port) || ports.contains(&self.from.port)
    }

    /// Whether it goes to this IPv4 group.
    pub fn to_v4(&self, group: [u8; 4]) -> bool {
        self.to.ip == IpAddr::from(group)
    }

    /// Whether it goes to an IPv6 group of this number, in any scope: the last segments of the
    /// address, as in `ff0x::fb`.
    pub fn to_v6(&self, number: u32) -> bool {
        match self.to.ip {
            IpAddr::V6(ip) => {
                let s = ip.segments();
                s[0] & 0xfff0 == 0xff00
                    && s[1..6] == [0; 5]
                    && u32::from(s[6]) << 16 | u32::from(s[7]) == number
            }
            IpAddr::V4(_) => false,
        }
    }

    /// Whether part of the payload is missing at its end.
    pub fn is_cut(&self, payload: &[u8]) -> bool {
        payload.len() < self.len
    }
}

/// A sequence number read from a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SeqSample {
    /// Tells the streams apart that one source mixes on one port (SSRC, PID, writer, run).
    pub stream: u64,
    /// The number.
    pub value: u64,
    /// Its width in bits: it wraps at 2 to that power.
    pub bits: u8,
    /// How many numbers this datagram takes up (a packet of three messages: 3); 0 if it only tells
    /// the number that comes next (a heartbeat).
    pub count: u32,
    /// The sender says that the numbering starts anew here: what lies between this number and the
    /// one before is no loss.
    pub restart: bool,
    /// A mark of the bytes that the number came with, 0 if there is none: where a number of few bits comes
    /// again, it tells the same packet once more from one that is whole turns of the counter later.
    pub mark: u16,
}

impl SeqSample {
    /// One number that carries on from the one before.
    pub fn one(stream: u64, value: u64, bits: u8) -> Self {
        SeqSample { stream, value, bits, count: 1, restart: false, mark: 0 }
    }
}

/// A decoded field: what it is called, what it says, where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Depth in the tree, 0 at the top.
    pub depth: u8,
    /// The field's name in the protocol's own words.
    pub name: String,
    /// Its value with its unit.
    pub value: String,
    /// The bytes of the payload it stands in.
    pub range: Range<usize>,
}

/// Calls back with each sequence number that a payload carries.
pub type Sequence = fn(&[u8], &mut dyn FnMut(SeqSample));

/// A payload protocol: its row in the table.
pub struct Protocol {
    /// The word used in filters, JSON and overrides, lower case.
    pub id: &'static str,
    /// The name shown.
    pub name: &'static str,
    /// What its payloads are told by, in words.
    pub mark: &'static str,
    /// Whether the payload is of this protocol, and how sure that is.
    pub detect: fn(&[u8], &Hint) -> Option<Confidence>,
    /// One line that says what the datagram is, appended to the string.
    pub preview: fn(&[u8], &mut String),
    /// The field tree.
    pub fields: fn(&[u8]) -> Vec<Field>,
    /// The sequence numbers the datagram carries; `None` if the protocol has none.
    pub sequence: Option<Sequence>,
}

/// Each protocol is one of its kind.
impl PartialEq for Protocol {
    fn eq(&self, other: &Protocol) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Protocol {}

impl std::fmt::Debug for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id)
    }
}

/// The protocols, in the order in which they are tried: sure marks first.
pub static PROTOCOLS: &[&Protocol] = &[
    &probe::PROTOCOL,
    &rtps::PROTOCOL,
    &lighting::SACN,
    &lighting::ARTNET,
    &knx::PROTOCOL,
    &cluster::LCM,
    &marks::SOOD,
    &marks::SMA,
    &marks::MINECRAFT,
    &marks::XPLANE,
    &ssdp::SSDP,
    &ssdp::BT_LSD,
    &wsd::PROTOCOL,
    &sap::PROTOCOL,
    &sdp::PROTOCOL,
    &dns::MDNS,
    &dns::LLMNR,
    &rtcp::PROTOCOL,
    &ts::PROTOCOL,
    &ptp::PROTOCOL,
    &ntp::PROTOCOL,
    &coap::PROTOCOL,
    &router::HSRP,
    &router::GLBP,
    &router::RIP,
    &ripng::PROTOCOL,
    &babel::PROTOCOL,
    &cluster::GANGLIA,
    &cluster::TOTEM,
    &cluster::MAVLINK,
    &cluster::HAZELCAST,
    &lighting::PATHPORT,
    &mold::PROTOCOL,
    &lines::SYSLOG,
    &lines::NMEA,
    &lines::STATSD,
    &json::PROTOCOL,
    &cbor::PROTOCOL,
    &xml::COT,
    &marks::SADP,
    &xml::PROTOCOL,
    &text::PROTOCOL,
    &rtp::PROTOCOL,
];

/// The protocol of this word, if there is one; also one that the user named.
pub fn by_id(id: &str) -> Option<&'static Protocol> {
    own::protocols().find(|p| p.id == id)
}

/// The protocol that this one payload speaks for most strongly; the first of the table among equals.
pub fn recognise(payload: &[u8], hint: &Hint) -> Option<(&'static Protocol, Confidence)> {
    let mut best: Option<(&'static Protocol, Confidence)> = None;
    for &p in PROTOCOLS {
        match (p.detect)(payload, hint) {
            Some(Confidence::Certain) => return Some((p, Confidence::Certain)),
            Some(c) if best.is_none_or(|(_, b)| c > b) => best = Some((p, c)),
            _ => {}
        }
    }
    best
}
