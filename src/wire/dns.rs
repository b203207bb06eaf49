//! Multicast DNS (RFC 6762) with DNS-SD (RFC 6763), and LLMNR (RFC 4795): both speak DNS messages
//! (RFC 1035 section 4).
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 2 | id |
//! | 2 | 2 | flags: 0x8000 response, 0x7800 opcode, 0x0400 authoritative (LLMNR: conflict), 0x0200 truncated |
//! | 4 | 2 | questions |
//! | 6 | 2 | answers |
//! | 8 | 2 | authority records |
//! | 10 | 2 | additional records |
//! | 12 | – | questions, then records |

use std::fmt::{self, Display};
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::wire::read::{Hex, Line, Text, Tree, be16, be32, bytes, line, put, u8_at};
use crate::wire::{Confidence, Field, Hint, Protocol};

/// Length of the header in bytes.
const HEADER: usize = 12;
/// Compression pointers followed in one name. Real names need two or three.
const JUMPS_MAX: usize = 16;
/// Bytes of a name (RFC 1035 section 2.3.4).
const NAME_MAX: usize = 255;
/// Questions and records of one message: a 9000-byte datagram holds fewer.
const RECORDS_MAX: usize = 1000;

/// The row of mDNS.
pub static MDNS: Protocol = Protocol {
    id: "mdns",
    name: "mDNS",
    mark: "a DNS message whose names and records fill it to the last byte",
    detect: detect_mdns,
    preview: preview_mdns,
    fields,
    sequence: None,
};

/// The row of LLMNR.
pub static LLMNR: Protocol = Protocol {
    id: "llmnr",
    name: "LLMNR",
    mark: "a DNS message with one question, on port 5355",
    detect: detect_llmnr,
    preview: preview_llmnr,
    fields,
    sequence: None,
};

/// A domain name, read and bounded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Name(Vec<u8>);

impl Name {
    /// Reads the name at `at`; the offset after it. Pointers must go backwards (RFC 1035 4.1.4), so
    /// none can be followed twice.
    fn read(b: &[u8], at: usize) -> Option<(Name, usize)> {
        let mut name = Vec::new();
        let (mut pos, mut after, mut lowest, mut jumps) = (at, None, at, 0);
        loop {
            let n = usize::from(u8_at(b, pos)?);
            match n & 0xc0 {
                0 if n == 0 => break,
                0 => {
                    if !name.is_empty() {
                        name.push(b'.');
                    }
                    name.extend_from_slice(bytes(b, pos + 1, n)?);
                    if name.len() > NAME_MAX {
                        return None;
                    }
                    pos += 1 + n;
                }
                0xc0 => {
                    let target = usize::from(be16(b, pos)? & 0x3fff);
                    after.get_or_insert(pos + 2);
                    jumps += 1;
                    if target >= lowest || target < HEADER || jumps > JUMPS_MAX {
                        return None;
                    }
                    (pos, lowest) = (target, target);
                }
                _ => return None,
            }
        }
        Some((Name(name), after.unwrap_or(pos + 1)))
    }
}

impl Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str(".") } else { Text(&self.0).fmt(f) }
    }
}

/// A question or a record.
struct Entry {
    name: Name,
    kind: u16,
    class: u16,
    /// `None` for a question.
    ttl: Option<u32>,
    start: usize,
    /// Where the name ends.
    fixed: usize,
    /// The record's data; empty for a question.
    data: std::ops::Range<usize>,
}

/// The flags and counts of the header.
struct Header {
    flags: u16,
    counts: [usize; 4],
}

impl Header {
    fn read(b: &[u8]) -> Option<Header> {
        let count = |at| be16(b, at).map(usize::from);
        Some(Header { flags: be16(b, 2)?, counts: [count(4)?, count(6)?, count(8)?, count(10)?] })
    }

    fn is_response(&self) -> bool {
        self.flags & 0x8000 != 0
    }

    fn total(&self) -> usize {
        self.counts.iter().sum()
    }

    /// The section that the `i`th entry belongs to: 0 questions … 3 additional.
    fn section(&self, i: usize) -> usize {
        let mut end = 0;
        self.counts
            .iter()
            .position(|n| {
                end += n;
                i < end
            })
            .unwrap_or(3)
    }
}

fn read_entry(b: &[u8], at: usize, question: bool) -> Option<(Entry, usize)> {
    let (name, fixed) = Name::read(b, at)?;
    let (kind, class) = (be16(b, fixed)?, be16(b, fixed + 2)?);
    if question {
        let end = fixed + 4;
        return Some((Entry { name, kind, class, ttl: None, start: at, fixed, data: end..end }, end));
    }
    let (ttl, len) = (be32(b, fixed + 4)?, usize::from(be16(b, fixed + 8)?));
    let data = fixed + 10..fixed + 10 + len;
    b.get(data.clone())?;
    let end = data.end;
    Some((Entry { name, kind, class, ttl: Some(ttl), start: at, fixed, data }, end))
}

/// Reads entry after entry; says whether all of them were read and where they end.
fn walk(b: &[u8], header: &Header, mut f: impl FnMut(usize, Entry)) -> (bool, usize) {
    let mut at = HEADER;
    for i in 0..header.total().min(RECORDS_MAX) {
        match read_entry(b, at, i < header.counts[0]) {
            Some((entry, end)) => {
                at = end;
                f(i, entry);
            }
            None => return (false, at),
        }
    }
    (header.total() <= RECORDS_MAX, at)
}

/// Whether the message is a DNS message from end to end: `Some(true)` if exactly, `Some(false)` if
/// its first entry reads well and the rest was cut off.
fn structure(b: &[u8], hint: &Hint) -> Option<bool> {
    let header = Header::read(b)?;
    // Opcode 0, response code 0: the only ones these protocols use (RFC 6762 18.3, RFC 4795 2.1.1).
    if header.flags & 0x780f != 0 || header.total() == 0 || header.total() > RECORDS_MAX {
        return None;
    }
    let mut read = 0;
    let (whole, end) = walk(b, &header, |_, e| read += usize::from(e.class & 0x7fff != 0));
    if whole && end == b.len() && read == header.total() && !hint.is_cut(b) {
        Some(true)
    } else if read > 0 && hint.is_cut(b) {
        Some(false)
    } else {
        None
    }
}

fn detect_mdns(b: &[u8], hint: &Hint) -> Option<Confidence> {
    let known = hint.either_port(&[5353]) || hint.to_v4([224, 0, 0, 251]) || hint.to_v6(0xfb);
    match (structure(b, hint)?, known) {
        (true, true) => Some(Confidence::Certain),
        (false, true) => Some(Confidence::Likely),
        // On a port of its own only what names the local domain is multicast DNS.
        (true, false) => {
            let mut local = false;
            walk(b, &Header::read(b)?, |_, e| local |= e.name.0.ends_with(b".local"));
            local.then_some(Confidence::Likely)
        }
        (false, false) => None,
    }
}

fn detect_llmnr(b: &[u8], hint: &Hint) -> Option<Confidence> {
    if !hint.either_port(&[5355]) || Header::read(b)?.counts[0] != 1 {
        return None;
    }
    structure(b, hint).map(|whole| if whole { Confidence::Certain } else { Confidence::Likely })
}

/// The mnemonic of a record type (IANA dns-parameters), else TYPEn (RFC 3597 section 5).
fn kind_name(kind: u16) -> std::borrow::Cow<'static, str> {
    match kind {
        1 => "A",
        2 => "NS",
        5 => "CNAME",
        6 => "SOA",
        12 => "PTR",
        13 => "HINFO",
        16 => "TXT",
        28 => "AAAA",
        33 => "SRV",
        41 => "OPT",
        47 => "NSEC",
        64 => "SVCB",
        65 => "HTTPS",
        255 => "ANY",
        n => return format!("TYPE{n}").into(),
    }
    .into()
}

/// The data of a record as text.
fn data_text(b: &[u8], e: &Entry) -> Option<String> {
    let (at, d) = (e.data.start, b.get(e.data.clone())?);
    let mut out = String::new();
    let mut l = Line::new(&mut out, 240);
    match (e.kind, d.len()) {
        (1, 4) => put!(l, "{}", Ipv4Addr::from(be32(d, 0)?)),
        (28, 16) => put!(l, "{}", Ipv6Addr::from(<[u8; 16]>::try_from(d).ok()?)),
        (2 | 5 | 12, _) => put!(l, "{}", Name::read(b, at)?.0),
        (33, 7..) => put!(l, "{}:{}", Name::read(b, at + 6)?.0, be16(d, 4)?),
        (16, _) => {
            let (mut i, mut first) = (0, true);
            // Each string takes at least its length byte, so the data bounds the loop.
            while let Some(n) = u8_at(d, i).map(usize::from) {
                if n > 0 {
                    put!(l, "{}{}", if first { "" } else { "  " }, Text(bytes(d, i + 1, n)?));
                    first = false;
                }
                i += 1 + n;
            }
        }
        (47, _) => {
            let (_, mut i) = Name::read(b, at)?;
            let mut first = true;
            while i + 2 <= e.data.end {
                let (window, len) = (u16::from(u8_at(b, i)?), usize::from(u8_at(b, i + 1)?));
                for (n, byte) in bytes(b, i + 2, len)?.iter().enumerate().take(32) {
                    for bit in (0..8u16).filter(|bit| byte & (0x80 >> bit) != 0) {
                        let kind = window << 8 | (n as u16) << 3 | bit;
                        put!(l, "{}{}", if first { "" } else { " " }, kind_name(kind));
                        first = false;
                    }
                }
                i += 2 + len;
            }
        }
        _ => put!(l, "{}", Hex(d, "")),
    }
    Some(out)
}

/// A record's data as the preview has it: what a PTR points to, without the name it belongs to.
fn short(b: &[u8], e: &Entry) -> String {
    let text = data_text(b, e).unwrap_or_default();
    if e.kind != 12 {
        return text;
    }
    let owner = format!(".{}", e.name);
    match text.strip_suffix(&owner) {
        Some(instance) => format!("\"{instance}\""),
        None => text,
    }
}

fn preview_mdns(b: &[u8], out: &mut String) {
    line(out, |l| {
        let header = Header::read(b)?;
        if header.is_response() { response(b, &header, l) } else { query(b, &header, l) }
    });
}

fn response(b: &[u8], header: &Header, l: &mut Line<'_>) -> Option<()> {
    put!(l, "mDNS resp");
    let mut first = None;
    walk(b, header, |i, e| {
        if header.section(i) > 0 && first.is_none() {
            first = Some(e);
        }
    });
    let e = first?;
    put!(l, "  {} {} {}", e.name, kind_name(e.kind), short(b, &e));
    let more = header.total() - header.counts[0] - 1;
    if more > 0 {
        put!(l, "  +{more} more");
    }
    match e.ttl? {
        0 => put!(l, "  goodbye"),
        ttl => put!(l, "  ttl {ttl}"),
    }
    Some(())
}

fn query(b: &[u8], header: &Header, l: &mut Line<'_>) -> Option<()> {
    put!(l, "mDNS query");
    let (mut name, mut kinds, mut others, mut unicast) = (None, Vec::new(), 0, false);
    walk(b, header, |i, e| {
        if header.section(i) > 0 {
            return;
        }
        unicast |= e.class & 0x8000 != 0;
        let first = name.get_or_insert_with(|| e.name.clone());
        if *first != e.name {
            others += 1;
        } else if kinds.len() < 4 {
            kinds.push(kind_name(e.kind));
        }
    });
    if let Some(name) = name {
        put!(l, "  {name} {}", kinds.join("/"));
    }
    if unicast {
        put!(l, " (QU)");
    }
    if others > 0 {
        put!(l, "  +{others} more");
    }
    // A query with records in the authority section asks whether a name is free (RFC 6762 8.2).
    if header.counts[2] > 0 {
        put!(l, "  probing");
    } else if header.counts[1] > 0 {
        put!(l, "  {} known", header.counts[1]);
    }
    Some(())
}

fn preview_llmnr(b: &[u8], out: &mut String) {
    line(out, |l| {
        let header = Header::read(b)?;
        put!(l, "LLMNR {}", if header.is_response() { "resp" } else { "query" });
        let (mut asked, mut answer) = (None, None);
        walk(b, &header, |i, e| match header.section(i) {
            0 => asked = Some(e),
            1 if answer.is_none() => answer = Some(e),
            _ => {}
        });
        let e = asked?;
        put!(l, " {} {}", e.name, kind_name(e.kind));
        if let Some(a) = answer {
            put!(l, " {}", short(b, &a));
        }
        if header.flags & 0x0400 != 0 {
            put!(l, "  conflict");
        }
        Some(())
    });
}

fn fields(b: &[u8]) -> Vec<Field> {
    Tree::of(b, |t| {
        let header = Header::read(b)?;
        t.be16(0, "id")?;
        let what = if header.is_response() { "response" } else { "query" };
        t.add(2..4, "flags", format_args!("0x{:04x} {what}", header.flags));
        for (i, name) in SECTIONS.iter().enumerate() {
            t.add(4 + 2 * i..6 + 2 * i, name, header.counts[i]);
        }
        let mut end = HEADER;
        walk(b, &header, |i, e| {
            end = e.data.end;
            if !t.full() {
                entry_fields(t, &e, SINGULAR[header.section(i)]);
            }
        });
        t.rest(end, "not understood");
        Some(())
    })
}

const SECTIONS: [&str; 4] = ["questions", "answers", "authority records", "additional records"];
const SINGULAR: [&str; 4] = ["question", "answer", "authority", "additional"];

fn entry_fields(t: &mut Tree<'_>, e: &Entry, section: &str) {
    let b = t.b();
    t.add(e.start..e.data.end, section, format_args!("{} {}", e.name, kind_name(e.kind)));
    let _ = t.nest(|t| {
        let f = e.fixed;
        t.add(e.start..f, "name", &e.name);
        t.add(f..f + 2, "type", kind_name(e.kind));
        // The top bit is no part of the class (RFC 6762 sections 5.4 and 10.2).
        let mark = match (e.class & 0x8000 != 0, e.ttl) {
            (false, _) => "",
            (true, None) => ", unicast reply wanted",
            (true, Some(_)) => ", cache flush",
        };
        match e.class & 0x7fff {
            1 => t.add(f + 2..f + 4, "class", format_args!("IN{mark}")),
            255 => t.add(f + 2..f + 4, "class", format_args!("ANY{mark}")),
            n => t.add(f + 2..f + 4, "class", format_args!("{n}{mark}")),
        }
        let ttl = e.ttl?;
        t.add(f + 4..f + 8, "ttl", format_args!("{ttl} s"));
        t.add(f + 8..f + 10, "length", e.data.len());
        match data_text(b, e) {
            Some(text) => t.add(e.data.clone(), "data", text),
            None => t.add(e.data.clone(), "data", Hex(b.get(e.data.clone())?, "")),
        }
        Some(())
    });
}
