//! What a person should know about a group: senders that look like one, and payloads that are not what
//! the group is registered or announced for.
//!
//! Senders are compared only where the protocol says who they are: several of them are the rule for
//! mDNS, SSDP and whatever else a LAN announces.

use crate::base::group::Endpoint;
use crate::base::registry::{Registry, Row};
use crate::base::time::{Mono, SECOND_NS};
use crate::model::detail::LAST_PAYLOAD;
use crate::model::group::Group;
use crate::model::source::{Source, State};
use crate::wire::read::{be16, u8_at};
use crate::wire::{Confidence, Protocol, rtp::Rtp};

/// Senders of a group that are compared with each other.
pub(super) const COMPARED: usize = 256;
/// Notes of a group.
const NOTES_MAX: usize = 8;
/// Identities of senders that are compared.
const IDENTITIES_MAX: usize = 1024;
/// A stream that was quiet for so long is no sender any more: it may have begun anew elsewhere.
pub(super) const FRESH_NS: u64 = 2 * SECOND_NS;

/// Something to know about a group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Note {
    /// Several senders that should be one, or disturb each other.
    SameStream {
        /// Two of them.
        senders: [Endpoint; 2],
        /// How many there are.
        count: usize,
        /// What they have in common: `same SSRC 0x5a01, same payload type`.
        what: String,
    },
    /// The registry has the group for something else.
    NotAsRegistered {
        /// What it is registered as.
        name: String,
        /// Who sends something else, and what.
        sender: Endpoint,
        /// The protocol's name.
        carries: &'static str,
    },
    /// A session announces something else.
    NotAsAnnounced {
        /// The session's name.
        name: String,
        /// What it announces.
        announced: String,
        /// Who sends something else.
        sender: Endpoint,
        /// The protocol's name.
        carries: &'static str,
    },
}

impl Note {
    /// One line in plain words.
    pub fn text(&self) -> String {
        match self {
            Note::SameStream { count: 2, what, .. } => format!("two senders on one group: {what}"),
            Note::SameStream { count, what, .. } => format!("{count} senders on one group: {what}"),
            Note::NotAsRegistered { name, sender, carries } => {
                format!("registered as {name}, but {sender} sends {carries}")
            }
            Note::NotAsAnnounced { name, announced, sender, carries } => {
                format!("announced as {announced} (\"{name}\"), but {sender} sends {carries}")
            }
        }
    }
}

/// Who a sender says it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Identity {
    Ssrc(u32),
    Session(u64),
    Universe(u16, u8),
    Pid(u16),
}

/// Everything to know about a group at `now`.
pub(super) fn of(g: &Group, now: Mono) -> Vec<Note> {
    let mut notes = same_streams(g, now);
    notes.extend(registered(g));
    notes.extend(announced(g));
    notes.truncate(NOTES_MAX);
    notes
}

fn live(g: &Group) -> impl Iterator<Item = &Source> {
    let list = g.sources.list();
    list.iter().take(COMPARED).filter(|s| s.state == State::Live)
}

fn same_streams(g: &Group, now: Mono) -> Vec<Note> {
    if g.sources.len() < 2 {
        return Vec::new();
    }
    let mut all: Vec<(Identity, &Source)> = Vec::new();
    for s in live(g) {
        identities(s, now, |id| {
            if all.len() < IDENTITIES_MAX {
                all.push((id, s));
            }
        });
    }
    all.sort_by_key(|(id, s)| (*id, s.first.mono));
    let mut notes: Vec<Note> = Vec::new();
    let mut pids: Vec<(Vec<Endpoint>, Vec<u16>)> = Vec::new();
    for same in all.chunk_by(|a, b| a.0 == b.0).filter(|c| c.len() > 1) {
        let senders = [same[0].1.endpoint, same[1].1.endpoint];
        let what = match same[0].0 {
            Identity::Ssrc(ssrc) => {
                let types: Vec<Option<u8>> = same.iter().map(|(_, s)| payload_type(s, ssrc)).collect();
                let known: Vec<u8> = types.iter().flatten().copied().collect();
                match &known[..] {
                    [a, rest @ ..] if known.len() == types.len() && rest.iter().all(|b| a == b) => {
                        format!("same SSRC {ssrc:#06x}, same payload type")
                    }
                    _ => format!("same SSRC {ssrc:#06x}"),
                }
            }
            Identity::Session(_) => "same MoldUDP64 session".to_owned(),
            Identity::Universe(universe, priority) => {
                format!("same sACN universe {universe}, same priority {priority}")
            }
            Identity::Pid(pid) => {
                // One note for all PIDs that the same senders share.
                let who: Vec<Endpoint> = same.iter().map(|(_, s)| s.endpoint).collect();
                match pids.iter_mut().find(|(w, _)| *w == who) {
                    Some((_, list)) => list.push(pid),
                    None => pids.push((who, vec![pid])),
                }
                continue;
            }
        };
        notes.push(Note::SameStream { senders, count: same.len(), what });
    }
    for (who, list) in pids {
        let shown: Vec<String> = list.iter().take(4).map(u16::to_string).collect();
        let more = if list.len() > 4 { format!(" and {} more", list.len() - 4) } else { String::new() };
        let what = format!("same MPEG-TS PIDs {}{more}", shown.join(", "));
        notes.push(Note::SameStream { senders: [who[0], who[1]], count: who.len(), what });
    }
    notes
}

/// Tells the identities of a sender, as far as its protocol has any and is sure.
fn identities(s: &Source, now: Mono, mut tell: impl FnMut(Identity)) {
    let (Some((p, sure)), Some(d)) = (s.verdict.protocol(), &s.detail) else { return };
    if sure < Confidence::Certain {
        return;
    }
    let payload = d.last_payload();
    let streams = || d.streams().iter().filter(|t| now.since(t.last_at()) < FRESH_NS);
    match p.id {
        "rtp" => streams().for_each(|t| tell(Identity::Ssrc(t.stream() as u32))),
        "moldudp64" => streams().for_each(|t| tell(Identity::Session(t.stream()))),
        // A preview or the last packet of a sender disturbs nobody (E1.31 section 6.2.6).
        "sacn" if u8_at(payload, 112).is_some_and(|options| options & 0xc0 == 0) => {
            if let (Some(universe), Some(priority)) = (be16(payload, 113), u8_at(payload, 108)) {
                tell(Identity::Universe(universe, priority));
            }
        }
        // Tables have PIDs that every transport stream has, and ffff is stuffing.
        "mpegts" => {
            d.pids().filter(|pid| (0x20..0x1fff).contains(pid)).for_each(|pid| tell(Identity::Pid(pid)))
        }
        _ => {}
    }
}

fn payload_type(s: &Source, ssrc: u32) -> Option<u8> {
    let head = s.detail.as_ref()?.last_payload();
    // The padding of a payload that is kept in part is out of reach: only the header counts.
    let mut first = [0; LAST_PAYLOAD];
    let first = first.get_mut(..head.len())?;
    first.copy_from_slice(head);
    *first.first_mut()? &= !0x20;
    Rtp::parse(first).filter(|r| r.ssrc == ssrc).map(|r| r.payload_type)
}

/// The protocols that what is registered under this name is carried by; empty where mcscope cannot
/// tell.
fn of_registry(protocol: &str) -> &'static [&'static str] {
    match protocol {
        "mDNS" => &["mdns"],
        "LLMNR" => &["llmnr"],
        "SSDP" | "UPnP" => &["ssdp"],
        "WS-Discovery" => &["wsd"],
        "SAP" | "SAP/SDP" => &["sap", "sdp"],
        "PTP" => &["ptp"],
        "NTP" => &["ntp"],
        "E1.31 sACN" => &["sacn"],
        "Pathport" => &["pathport"],
        "KNX" => &["knx"],
        "CoAP" => &["coap"],
        "RTPS" | "DDS" => &["rtps"],
        "RIP" => &["rip"],
        "HSRP" => &["hsrp", "glbp"],
        "SOOD" => &["sood"],
        "SMA" => &["sma"],
        "Totem" => &["totem"],
        _ => &[],
    }
}

/// Payloads that say what they look like and not what they are: nothing follows from them. Our own
/// probe is sent anywhere.
const SHAPES: [&str; 5] = ["text", "json", "cbor", "xml", "probe"];

/// The first sender that certainly sends something else.
fn other<'a>(g: &'a Group, fits: &[&str]) -> Option<(&'a Source, &'static Protocol)> {
    live(g).find_map(|s| {
        let (p, sure) = s.verdict.protocol()?;
        let differs = !fits.contains(&p.id) && !SHAPES.contains(&p.id);
        (sure == Confidence::Certain && differs && !s.verdict.is_given()).then_some((s, p))
    })
}

/// What the group is registered for, by its port as well where that is known.
fn registry_row(to: Endpoint) -> Option<&'static Row> {
    let registry = Registry::builtin();
    let row = registry.label(to).or_else(|| registry.range_at(to))?;
    row.has_port(to.port).then_some(row)
}

fn registered(g: &Group) -> Option<Note> {
    let row = registry_row(g.membership.endpoint())?;
    let fits = of_registry(&row.protocol);
    let (s, p) = if fits.is_empty() { None } else { other(g, fits) }?;
    Some(Note::NotAsRegistered { name: row.name.clone(), sender: s.endpoint, carries: p.name })
}

fn announced(g: &Group) -> Option<Note> {
    let named = g.announced.as_ref()?;
    let fits: &[&str] = match named.proto.split('/').next()? {
        "RTP" => &["rtp", "rtcp"],
        _ if named.what == "33" || named.what == "MP2T" => &["mpegts", "rtp"],
        _ => return None,
    };
    let (s, p) = other(g, fits)?;
    Some(Note::NotAsAnnounced {
        name: named.name.to_string(),
        announced: format!("{} {}", named.proto, named.what),
        sender: s.endpoint,
        carries: p.name,
    })
}
