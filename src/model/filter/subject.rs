//! What can be filtered: rows of groups and sources, packets, events.

use std::cell::{OnceCell, RefCell};
use std::fmt::Write as _;
use std::net::IpAddr;

use crate::base::batch::Datagram;
use crate::base::group::{Endpoint, Membership};
use crate::base::time::Mono;
use crate::model::event::Event;
use crate::model::filter::{Expr, Figure, Name, Who, find_text};
use crate::model::group::Group;
use crate::model::sequence::SeqCounts;
use crate::model::source::{Counters, Gaps, Source};
use crate::wire::{self, Protocol, essence};

/// Sources of a group that are looked at.
const SOURCES_MAX: usize = 4_096;

/// The lowest and the highest value of a figure; the same twice for a single one.
pub type Span = (f64, f64);

/// The name of an address, where it is known.
pub type Names<'a> = &'a dyn Fn(IpAddr) -> Option<&'a str>;

/// What a filter may ask of a thing. `None` is what the thing does not have.
pub trait Subject {
    /// An address with its port.
    fn endpoint(&self, who: Who) -> Option<Endpoint>;

    /// The sender's host name.
    fn host(&self) -> Option<&str> {
        None
    }

    /// A name; the protocol has a question of its own.
    fn name(&self, which: Name) -> Option<&str>;

    /// The payload's protocol; `Some(None)` if it was not recognised.
    fn protocol(&self) -> Option<Option<&'static Protocol>>;

    /// A figure, or two of which either counts.
    fn figures(&self, figure: Figure) -> [Option<Span>; 2];

    /// The payload, as far as it is there.
    fn payload(&self) -> Option<&[u8]>;

    /// Appends the texts that bare words are looked for in, set apart by newlines.
    fn describe(&self, out: &mut String);

    /// Whether a bare word, in lower case and without a newline, occurs in one of these texts; `None` where
    /// they have to be written down to tell.
    fn has_word(&self, _word: &str) -> Option<bool> {
        None
    }
}

fn one(v: Option<f64>) -> [Option<Span>; 2] {
    [v.map(|v| (v, v)), None]
}

fn count(c: Option<SeqCounts>, figure: Figure) -> Option<f64> {
    let c = c?;
    Some(match figure {
        Figure::Lost => c.lost,
        Figure::Duplicates => c.duplicates,
        Figure::Reordered => c.reordered,
        _ => return None,
    } as f64)
}

fn sizes(c: &Counters) -> Option<Span> {
    (c.packets > 0).then(|| (f64::from(c.size_min), f64::from(c.size_max)))
}

fn usual(g: &Gaps) -> Option<f64> {
    (g.count > 0).then_some(g.usual_ns as f64)
}

/// The figures of a group itself.
fn of_group(g: &Group, now: Mono, figure: Figure) -> Option<Span> {
    let v = match figure {
        Figure::Size => return sizes(&g.counters),
        Figure::Lost | Figure::Duplicates | Figure::Reordered => count(g.continuity(), figure),
        Figure::Packets => Some(g.counters.packets as f64),
        Figure::Bps => g.rate(now).map(|r| r.payload_bps),
        Figure::Pps => g.rate(now).map(|r| r.packets_pps),
        Figure::Gap => usual(&g.gaps),
        Figure::Port => Some(f64::from(g.membership.port)),
        Figure::SourcePort | Figure::Ttl | Figure::Dscp => None,
    };
    v.map(|v| (v, v))
}

/// The figures of a source of it.
fn of_source(s: &Source, g: &Group, now: Mono, figure: Figure) -> Option<Span> {
    let rate = || s.rate.rate(now, g.since?.mono);
    let v = match figure {
        Figure::Size => return sizes(&s.counters),
        Figure::Ttl => s.ttl.last.map(f64::from),
        Figure::Dscp => s.dscp.last.map(f64::from),
        Figure::Lost | Figure::Duplicates | Figure::Reordered => count(s.told(), figure),
        Figure::Packets => Some(s.counters.packets as f64),
        Figure::Bps => rate().map(|r| r.payload_bps),
        Figure::Pps => rate().map(|r| r.packets_pps),
        Figure::Gap => usual(&s.gaps),
        Figure::Port => Some(f64::from(g.membership.port)),
        Figure::SourcePort => Some(f64::from(s.endpoint.port)),
    };
    v.map(|v| (v, v))
}

// Writing to a string cannot fail.
fn describe_group(m: &Membership, g: &Group, out: &mut String) {
    let label = g.label.as_deref().unwrap_or_default();
    let _ = write!(out, "{m}\n{}\n{}\n{label}\n", m.endpoint(), m.iface);
    if let Some(n) = &g.announced {
        let _ = writeln!(out, "{}", n.name);
    }
    if !g.is_joined() {
        out.push_str("◇ wire\n");
    }
    if let Some(vlan) = g.vlan {
        let _ = writeln!(out, "VLAN {vlan}");
    }
}

fn describe_protocol(p: Option<&Protocol>, out: &mut String) {
    if let Some(p) = p {
        let _ = writeln!(out, "{}\n{}", p.name, p.id);
    }
}

/// What the sources of a group have in common, written down once for all of them, in lower case.
#[derive(Clone, Debug, Default)]
pub struct GroupWords {
    text: OnceCell<String>,
    /// Words that were looked for in it, and whether they occur.
    known: RefCell<Vec<(String, bool)>>,
}

impl GroupWords {
    fn has(&self, word: &str, g: &Group) -> bool {
        let mut known = self.known.borrow_mut();
        if let Some((_, has)) = known.iter().find(|(w, _)| w == word) {
            return *has;
        }
        let text = self.text.get_or_init(|| {
            let mut text = String::new();
            describe_group(&g.membership, g, &mut text);
            text.to_lowercase()
        });
        let has = text.contains(word);
        known.push((word.to_owned(), has));
        has
    }
}

/// Whether a word, in lower case, occurs in a text of either case.
fn occurs(word: &str, text: &str) -> bool {
    if text.is_ascii() {
        find_text(text.as_bytes(), word).is_some()
    } else {
        text.to_lowercase().contains(word)
    }
}

/// Whether a word occurs in an endpoint as it is written.
pub(super) fn occurs_in_endpoint(word: &str, e: Endpoint) -> bool {
    if !word.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b'.' | b':' | b'[' | b']' | b'%')) {
        return false;
    }
    let IpAddr::V4(ip) = e.ip else { return e.to_string().contains(word) };
    // With very many sources the usual way to write it takes too long.
    let (mut text, mut len) = ([0u8; "255.255.255.255:65535".len() + 3], 0);
    for (octet, after) in ip.octets().into_iter().zip(*b"...:") {
        let (digits, n) = OCTETS[usize::from(octet)];
        text[len..len + 3].copy_from_slice(&digits);
        text[len + n] = after;
        len += n + 1;
    }
    let digits = [10_000, 1_000, 100, 10, 1].map(|d| b'0' + (e.port / d % 10) as u8);
    let zeros = digits[..4].iter().take_while(|&&d| d == b'0').count();
    text[len..len + 5 - zeros].copy_from_slice(&digits[zeros..]);
    len += 5 - zeros;
    text[..len].windows(word.len().max(1)).any(|w| w == word.as_bytes())
}

/// The digits of each octet, from the left, and how many they are.
static OCTETS: [([u8; 3], usize); 256] = {
    let mut all = [([0; 3], 0); 256];
    let mut n = 0;
    while n < 256 {
        let digits = [b'0' + (n / 100) as u8, b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8];
        all[n] = match n {
            0..10 => ([digits[2], 0, 0], 1),
            10..100 => ([digits[1], digits[2], 0], 2),
            _ => (digits, 3),
        };
        n += 1;
    }
    all
};

/// A source of a group, or a group by itself.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// The group.
    pub group: &'a Group,
    /// The source.
    pub source: Option<&'a Source>,
    /// It stands for the group: the group's own figures and state count too.
    pub for_group: bool,
    /// The source's host name.
    pub host: Option<&'a str>,
    /// The present.
    pub now: Mono,
    /// What the group is found by.
    pub words: &'a GroupWords,
}

impl Subject for Row<'_> {
    fn endpoint(&self, who: Who) -> Option<Endpoint> {
        match who {
            Who::Group => Some(self.group.membership.endpoint()),
            Who::Source => self.source.map(|s| s.endpoint),
        }
    }

    fn host(&self) -> Option<&str> {
        self.host
    }

    fn name(&self, which: Name) -> Option<&str> {
        match (which, self.source) {
            (Name::Iface, _) => Some(&self.group.membership.iface),
            (Name::State, Some(s)) if !self.for_group => Some(s.state.word()),
            (Name::State, _) => Some(self.group.state.word()),
            (Name::Event | Name::Protocol, _) => None,
        }
    }

    fn protocol(&self) -> Option<Option<&'static Protocol>> {
        self.source.map(Source::protocol)
    }

    fn figures(&self, figure: Figure) -> [Option<Span>; 2] {
        let own = self.for_group.then(|| of_group(self.group, self.now, figure)).flatten();
        [self.source.and_then(|s| of_source(s, self.group, self.now, figure)), own]
    }

    fn payload(&self) -> Option<&[u8]> {
        self.source?.detail.as_ref().map(|d| d.last_payload())
    }

    fn describe(&self, out: &mut String) {
        describe_group(&self.group.membership, self.group, out);
        if self.for_group || self.source.is_none() {
            let _ = writeln!(out, "{}", self.group.state.word());
        }
        if let Some(s) = self.source {
            let _ = writeln!(out, "{}\n{}", s.endpoint, self.host.unwrap_or_default());
            describe_protocol(s.protocol(), out);
        }
    }

    fn has_word(&self, word: &str) -> Option<bool> {
        let of_group = self.for_group || self.source.is_none();
        let of_source = |s: &Source| {
            occurs_in_endpoint(word, s.endpoint)
                || self.host.is_some_and(|h| occurs(word, h))
                || s.protocol().is_some_and(|p| occurs(word, p.name) || occurs(word, p.id))
        };
        let found = self.words.has(word, self.group)
            || of_group && self.group.state.word().contains(word)
            || self.source.is_some_and(of_source);
        Some(found)
    }
}

/// Whether a group passes: one of its sources does, or it does by itself when it has none.
pub fn group_passes(filter: &Expr, group: &Group, names: Names<'_>, now: Mono) -> bool {
    let words = &GroupWords::default();
    let row = Row { group, source: None, for_group: true, host: None, now, words };
    let mut sources = group.sources.list().iter().take(SOURCES_MAX).peekable();
    if sources.peek().is_none() {
        return filter.passes(&row);
    }
    sources.any(|s| filter.passes(&Row { source: Some(s), host: names(s.endpoint.ip), ..row }))
}

/// A datagram to a group.
#[derive(Clone, Copy)]
pub struct Packeted<'a> {
    /// The group.
    pub group: &'a Group,
    /// What the kernel said of it.
    pub datagram: &'a Datagram,
    /// Its payload, as far as it is there.
    pub payload: &'a [u8],
    /// The payload's protocol.
    pub protocol: Option<&'static Protocol>,
    /// Time since the datagram before of the same source, in nanoseconds.
    pub gap_ns: Option<u64>,
    /// The sender's host name.
    pub host: Option<&'a str>,
    /// The present.
    pub now: Mono,
}

impl Subject for Packeted<'_> {
    fn endpoint(&self, who: Who) -> Option<Endpoint> {
        Some(match who {
            Who::Group => self.group.membership.endpoint(),
            Who::Source => self.datagram.source,
        })
    }

    fn host(&self) -> Option<&str> {
        self.host
    }

    fn name(&self, which: Name) -> Option<&str> {
        match which {
            Name::Iface => Some(&self.group.membership.iface),
            Name::State => self.group.sources.get(self.datagram.source).map(|s| s.state.word()),
            Name::Event | Name::Protocol => None,
        }
    }

    fn protocol(&self) -> Option<Option<&'static Protocol>> {
        Some(self.protocol)
    }

    fn figures(&self, figure: Figure) -> [Option<Span>; 2] {
        let d = self.datagram;
        match figure {
            Figure::Size => one(Some(f64::from(d.len))),
            Figure::Ttl => one(d.ttl.map(f64::from)),
            Figure::Dscp => one(d.tos.map(|t| f64::from(t >> 2))),
            Figure::Gap => one(self.gap_ns.map(|n| n as f64)),
            Figure::Port => one(Some(f64::from(self.group.membership.port))),
            Figure::SourcePort => one(Some(f64::from(d.source.port))),
            _ => {
                let source = self.group.sources.get(d.source);
                [source.and_then(|s| of_source(s, self.group, self.now, figure)), None]
            }
        }
    }

    fn payload(&self) -> Option<&[u8]> {
        Some(self.payload)
    }

    fn describe(&self, out: &mut String) {
        describe_group(&self.group.membership, self.group, out);
        let _ = writeln!(out, "{}\n{}", self.datagram.source, self.host.unwrap_or_default());
        describe_protocol(self.protocol, out);
        match self.protocol {
            Some(p) => {
                let d = self.datagram;
                essence::preview(p, self.payload, &self.group.told(d.source.ip, d.len), out);
            }
            None => wire::preview_unknown(self.payload, out),
        }
    }
}

/// An event.
#[derive(Clone, Copy)]
pub struct Happening<'a>(pub &'a Event);

impl Subject for Happening<'_> {
    fn endpoint(&self, who: Who) -> Option<Endpoint> {
        match who {
            Who::Group => self.0.membership.as_ref().map(|m| m.endpoint()),
            Who::Source => self.0.source,
        }
    }

    fn name(&self, which: Name) -> Option<&str> {
        match which {
            Name::Iface => {
                let of_row = self.0.membership.as_ref().map(|m| &*m.iface);
                of_row.or(self.0.iface.as_deref())
            }
            Name::Event => Some(self.0.kind.word()),
            Name::State | Name::Protocol => None,
        }
    }

    fn protocol(&self) -> Option<Option<&'static Protocol>> {
        None
    }

    fn figures(&self, figure: Figure) -> [Option<Span>; 2] {
        match figure {
            Figure::Port => one(self.0.membership.as_ref().map(|m| f64::from(m.port))),
            Figure::SourcePort => one(self.0.source.map(|s| f64::from(s.port))),
            _ => [None, None],
        }
    }

    fn payload(&self) -> Option<&[u8]> {
        None
    }

    fn describe(&self, out: &mut String) {
        let word = self.0.kind.word();
        let _ = write!(out, "{word}\n{}\n{}\n", word.replace('_', " "), self.0.text);
        if let Some(iface) = self.name(Name::Iface) {
            out.push_str(iface);
        }
    }
}

/// An interface with what stands in its row.
#[derive(Clone, Copy, Debug)]
pub struct Interface<'a> {
    /// Its name.
    pub name: &'a str,
    /// What it is found by.
    pub words: &'a str,
}

impl Subject for Interface<'_> {
    fn endpoint(&self, _: Who) -> Option<Endpoint> {
        None
    }

    fn name(&self, which: Name) -> Option<&str> {
        (which == Name::Iface).then_some(self.name)
    }

    fn protocol(&self) -> Option<Option<&'static Protocol>> {
        None
    }

    fn figures(&self, _: Figure) -> [Option<Span>; 2] {
        [None, None]
    }

    fn payload(&self) -> Option<&[u8]> {
        None
    }

    fn describe(&self, out: &mut String) {
        out.push_str(self.words);
    }
}
