//! Babel (RFC 8966): a routing protocol of meshes and homes, to 224.0.0.111 and ff02::1:6, port 6696.
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 1 | magic 42 |
//! | 1 | 1 | version 2 |
//! | 2 | 2 | length of the body |
//! | 4 | – | TLVs: type (1), length (1), value; type 0 is one byte of padding |
//!
//! A router numbers its multicast Hellos one by one (section 3.4.1); their losses are what it takes a link's
//! quality from.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::wire::read::{Hex, Tree, be16, bytes, line, put, u8_at};
use crate::wire::{Confidence, Hint, Protocol, SeqSample};

/// TLVs read of one datagram.
const TLVS_MAX: usize = 256;
/// TLVs named in a line.
const SHOWN: usize = 3;

/// The row of the table of protocols.
pub static PROTOCOL: Protocol = Protocol {
    id: "babel",
    name: "Babel",
    mark: "2a 02 at offset 0 and a body that adds up, on port 6696",
    detect,
    preview,
    fields: |b| Tree::of(b, fields),
    sequence: Some(sequence),
};

/// A TLV: where it stands, its type, its value.
struct Tlv<'a> {
    at: usize,
    kind: u8,
    value: &'a [u8],
}

/// The body, as far as it was not cut off.
fn body(b: &[u8]) -> Option<&[u8]> {
    let end = 4 + usize::from(be16(b, 2)?);
    b.get(..end.min(b.len()))
}

/// The TLVs; one that is cut off ends them.
fn tlvs(b: &[u8]) -> impl Iterator<Item = Tlv<'_>> {
    let (b, mut at) = (body(b).unwrap_or_default(), 4);
    std::iter::from_fn(move || {
        // Padding of one byte each, of which there may be many.
        at += b.get(at..)?.iter().take_while(|kind| **kind == 0).count();
        let (start, kind, length) = (at, u8_at(b, at)?, usize::from(u8_at(b, at + 1)?));
        let value = bytes(b, at + 2, length)?;
        at += 2 + length;
        Some(Tlv { at: start, kind, value })
    })
    .take(TLVS_MAX)
}

fn detect(b: &[u8], hint: &Hint) -> Option<Confidence> {
    let head = b.starts_with(&[42, 2]) && hint.len >= 4 + usize::from(be16(b, 2)?);
    // The TLVs fill the body to its last byte.
    let end = tlvs(b).last().map_or(4, |t| t.at + 2 + t.value.len());
    let whole = hint.is_cut(b) || body(b)?.get(end..)?.iter().all(|c| *c == 0) || tlvs(b).count() == TLVS_MAX;
    (head && whole && hint.either_port(&[6696])).then_some(Confidence::Certain)
}

/// An address or prefix of this encoding (section 4.1.4); what is left out of it is said by an ellipsis.
fn address(encoding: u8, bytes: &[u8], omitted: u8) -> String {
    let (start, mut v6) = (usize::from(omitted).min(16), [0u8; 16]);
    let n = bytes.len().min(16 - start);
    v6[start..start + n].copy_from_slice(&bytes[..n]);
    let before = if omitted > 0 { "…" } else { "" };
    match encoding {
        0 => "any".to_owned(),
        1 => {
            let mut v4 = [0; 4];
            v4.copy_from_slice(&v6[..4]);
            format!("{before}{}", Ipv4Addr::from(v4))
        }
        2 => format!("{before}{}", Ipv6Addr::from(v6)),
        3 => {
            // A link-local address goes without its first half.
            let mut local = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            let n = bytes.len().min(8);
            local[8..8 + n].copy_from_slice(&bytes[..n]);
            Ipv6Addr::from(local).to_string()
        }
        _ => Hex(bytes, "").to_string(),
    }
}

fn seconds(centiseconds: u16) -> String {
    format!("{}.{:02} s", centiseconds / 100, centiseconds % 100)
}

impl Tlv<'_> {
    fn name(&self) -> &'static str {
        match self.kind {
            1 => "padding",
            2 => "acknowledgement request",
            3 => "acknowledgement",
            4 => "hello",
            5 => "IHU",
            6 => "router id",
            7 => "next hop",
            8 => "update",
            9 => "route request",
            10 => "seqno request",
            _ => "TLV",
        }
    }

    /// What it says; empty where the name is all.
    fn says(&self) -> Option<String> {
        let (v, tail) = (self.value, |from: usize| self.value.get(from..).unwrap_or_default());
        Some(match self.kind {
            4 => format!("seq {}  every {}", be16(v, 2)?, seconds(be16(v, 4)?)),
            5 => format!("{}  rxcost {}", address(u8_at(v, 0)?, tail(6), 0), be16(v, 2)?),
            6 => Hex(bytes(v, 2, 8)?, ":").to_string(),
            7 => address(u8_at(v, 0)?, tail(2), 0),
            8 => {
                let to = address(u8_at(v, 0)?, tail(10), u8_at(v, 3)?);
                let metric = match be16(v, 8)? {
                    u16::MAX => "retracted".to_owned(),
                    n => format!("metric {n}"),
                };
                format!("{to}/{}  {metric}", u8_at(v, 2)?)
            }
            9 => format!("{}/{}", address(u8_at(v, 0)?, tail(2), 0), u8_at(v, 1)?),
            10 => format!("{}/{}  seq {}", address(u8_at(v, 0)?, tail(14), 0), u8_at(v, 1)?, be16(v, 2)?),
            _ => String::new(),
        })
    }
}

fn preview(b: &[u8], out: &mut String) {
    line(out, |l| {
        put!(l, "Babel");
        let of_note = || tlvs(b).filter(|t| !matches!(t.kind, 1 | 6 | 7));
        for t in of_note().take(SHOWN) {
            put!(l, "  {} {}", t.name(), t.says().unwrap_or_default());
        }
        let more = of_note().count().saturating_sub(SHOWN);
        if more > 0 {
            put!(l, "  +{more} more");
        }
        Some(())
    });
}

fn fields(t: &mut Tree<'_>) -> Option<()> {
    t.u8(0, "magic")?;
    t.u8(1, "version")?;
    t.be16(2, "body length")?;
    for tlv in tlvs(t.b()) {
        let range = tlv.at..tlv.at + 2 + tlv.value.len();
        t.add(range.clone(), tlv.name(), tlv.says().unwrap_or_default());
        t.add_at(1, range.start..range.start + 1, "type", tlv.kind);
        if tlv.kind == 8 {
            let at = range.start + 2;
            t.add_at(1, at + 4..at + 6, "interval", seconds(be16(tlv.value, 4)?));
            t.add_at(1, at + 6..at + 8, "seqno", be16(tlv.value, 6)?);
        }
    }
    Some(())
}

fn sequence(b: &[u8], f: &mut dyn FnMut(SeqSample)) {
    // Those to one router are numbered apart (section 3.4.1).
    let multicast = |t: &Tlv<'_>| t.kind == 4 && be16(t.value, 0).is_some_and(|flags| flags & 0x8000 == 0);
    if let Some(number) = tlvs(b).find(multicast).and_then(|t| be16(t.value, 2)) {
        f(SeqSample::one(0, u64::from(number), 16));
    }
}
