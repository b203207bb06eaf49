//! RTPS, the wire protocol of DDS (OMG DDSI-RTPS 2.5 clause 9).
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 4 | `RTPS` (or `RTPX`) |
//! | 4 | 2 | version |
//! | 6 | 2 | vendor |
//! | 8 | 12 | GUID prefix of the sending participant |
//! | 20 | – | submessages: id (1), flags (1), length (2), contents |
//!
//! A DATA submessage from its start: reader (+8), writer (+12), sequence number (+16, 8 bytes). Flag
//! bit 0 of a submessage says that it is little endian.
//!
//! A writer's numbers may have gaps by right: a filtered reader gets GAPs instead, and a repair
//! repeats an old one.

use crate::wire::read::{Hex, Text, Tree, be16, be32, bytes, le16, le32, line, put, stream_id, u8_at};
use crate::wire::{Confidence, Field, Hint, Protocol, SeqSample};

/// Length of the header in bytes.
const HEADER: usize = 20;
/// Submessages read of one message: a datagram of 64 KiB full of the shortest holds 16,000, real ones
/// ten.
const SUBMESSAGES_MAX: usize = 256;
/// Parameters of one inline QoS.
const PARAMETERS_MAX: usize = 64;
/// Ends a list of parameters.
const PID_SENTINEL: u16 = 1;
/// Says that a sample ends what it is of.
const PID_STATUS_INFO: u16 = 0x71;

/// The row of the table of protocols.
pub static PROTOCOL: Protocol = Protocol {
    id: "rtps",
    name: "RTPS",
    mark: "“RTPS” at offset 0",
    detect,
    preview,
    fields,
    sequence: Some(sequence),
};

/// A submessage and where it stands.
#[derive(Clone, Copy, Debug)]
struct Sub {
    id: u8,
    flags: u8,
    at: usize,
    end: usize,
}

impl Sub {
    fn u16(&self, b: &[u8], at: usize) -> Option<u16> {
        if self.flags & 1 != 0 { le16(b, self.at + at) } else { be16(b, self.at + at) }
    }

    fn u32(&self, b: &[u8], at: usize) -> Option<u32> {
        if self.flags & 1 != 0 { le32(b, self.at + at) } else { be32(b, self.at + at) }
    }

    /// A sequence number: its upper half, signed, then its lower half.
    fn number(&self, b: &[u8], at: usize) -> Option<u64> {
        Some(u64::from(self.u32(b, at)?) << 32 | u64::from(self.u32(b, at + 4)?))
    }

    fn name(&self) -> &'static str {
        match self.id {
            0x01 => "PAD",
            0x06 => "ACKNACK",
            0x07 => "HEARTBEAT",
            0x08 => "GAP",
            0x09 => "INFO_TS",
            0x0c => "INFO_SRC",
            0x0d => "INFO_REPLY_IP4",
            0x0e => "INFO_DST",
            0x0f => "INFO_REPLY",
            0x12 => "NACK_FRAG",
            0x13 => "HEARTBEAT_FRAG",
            0x15 => "DATA",
            0x16 => "DATA_FRAG",
            0x30 => "SEC_BODY",
            0x31 => "SEC_PREFIX",
            0x32 => "SEC_POSTFIX",
            0x33 => "SRTPS_PREFIX",
            0x34 => "SRTPS_POSTFIX",
            _ => "submessage",
        }
    }

    /// The inline QoS of a DATA: where its parameters stand, each as (id, value).
    fn inline_qos(&self, b: &[u8]) -> impl Iterator<Item = (u16, std::ops::Range<usize>)> {
        let start = (self.id == 0x15 && self.flags & 2 != 0)
            .then(|| Some(8 + usize::from(self.u16(b, 6)?)))
            .flatten()
            .map(|after| self.at + after);
        let (sub, mut next) = (*self, start);
        std::iter::from_fn(move || {
            let at = next?;
            let (id, length) = (sub.u16(b, at - sub.at)?, usize::from(sub.u16(b, at - sub.at + 2)?));
            let value = at + 4..at + 4 + length;
            if id == PID_SENTINEL || value.end > sub.end {
                return None;
            }
            next = Some(value.end);
            Some((id, value))
        })
        .take(PARAMETERS_MAX)
    }

    /// What the change of a sample is (PID_STATUS_INFO, 9.6.3.9): always big endian.
    fn status(&self, b: &[u8]) -> u8 {
        let found = self.inline_qos(b).find(|(id, value)| *id == PID_STATUS_INFO && value.len() >= 4);
        found.and_then(|(_, value)| u8_at(b, value.start + 3)).unwrap_or(0)
    }

    /// Where the writer's entity id stands in those that have one.
    fn writer(&self) -> Option<usize> {
        match self.id {
            0x15 | 0x16 => Some(self.at + 12),
            0x06 | 0x07 | 0x08 | 0x12 | 0x13 => Some(self.at + 8),
            _ => None,
        }
    }
}

fn submessages(b: &[u8]) -> impl Iterator<Item = Sub> {
    let mut at = HEADER;
    std::iter::from_fn(move || {
        let (id, flags) = (u8_at(b, at)?, u8_at(b, at + 1)?);
        let sub = Sub { id, flags, at, end: b.len() };
        let length = usize::from(sub.u16(b, 2)?);
        // Length 0 in the last means to the end; PAD and INFO_TS may really be empty (9.4.5.1.3).
        let end = if length == 0 && !matches!(id, 0x01 | 0x09) { b.len() } else { at + 4 + length };
        at = end;
        Some(Sub { end: end.min(b.len()), ..sub })
    })
    .take(SUBMESSAGES_MAX)
}

fn vendor(id: u16) -> Option<&'static str> {
    Some(match id {
        0x0101 => "Connext",
        0x0102 => "OpenSplice",
        0x0103 => "OpenDDS",
        0x0104 => "MilSoft",
        0x0105 => "InterCOM",
        0x0106 => "CoreDX",
        0x0107 => "Lakota",
        0x0108 => "ICOUP",
        0x0109 => "Diamond",
        0x010a => "Connext Micro",
        0x010b => "Vortex Cafe",
        0x010c => "PrismTech",
        0x010d => "Vortex Lite",
        0x010e => "Qeo",
        0x010f => "Fast DDS",
        0x0110 => "Cyclone",
        0x0111 => "GurumDDS",
        0x0112 => "RustDDS",
        0x0113 => "ZRDDS",
        0x0114 => "Dust DDS",
        _ => return None,
    })
}

/// The entities that every participant has (table 9.4).
fn entity(id: u32) -> &'static str {
    match id {
        0x0001_00c2 => " participants",
        0x0000_03c2 => " publications",
        0x0000_04c2 => " subscriptions",
        0x0002_00c2 => " liveliness",
        _ => "",
    }
}

/// The end that a sample's status tells of: the bits 0 and 1.
fn ended(status: u8) -> &'static str {
    match status & 3 {
        1 => " disposed",
        2 => " unregistered",
        3 => " disposed, unregistered",
        _ => "",
    }
}

fn detect(b: &[u8], _: &Hint) -> Option<Confidence> {
    let magic = b.starts_with(b"RTPS") || b.starts_with(b"RTPX");
    (magic && b.len() >= HEADER).then_some(Confidence::Certain)
}

fn preview(b: &[u8], out: &mut String) {
    line(out, |l| {
        let id = be16(b, 6)?;
        put!(l, "RTPS {}.{}", u8_at(b, 4)?, u8_at(b, 5)?);
        match vendor(id) {
            Some(name) => put!(l, " {name}"),
            None => put!(l, " vendor {id:04x}"),
        }
        put!(l, "  prefix {}", Hex(bytes(b, 8, 12)?, ""));
        for (i, s) in submessages(b).enumerate() {
            put!(l, "{}{}", if i == 0 { "  " } else { " " }, s.name());
            if let Some(writer) = s.writer().and_then(|at| be32(b, at)) {
                match s.id {
                    0x15 | 0x16 => {
                        let end = ended(s.status(b));
                        put!(l, "(w {writer:08x}{} seq {}{end})", entity(writer), s.number(b, 16)?);
                    }
                    0x07 => put!(l, "(w {writer:08x}{} last {})", entity(writer), s.number(b, 20)?),
                    _ => put!(l, "(w {writer:08x})"),
                }
            }
        }
        Some(())
    });
}

fn fields(b: &[u8]) -> Vec<Field> {
    Tree::of(b, |t| {
        t.add(0..4, "protocol", Text(bytes(b, 0, 4)?));
        t.add(4..6, "version", format_args!("{}.{}", u8_at(b, 4)?, u8_at(b, 5)?));
        let id = be16(b, 6)?;
        t.add(6..8, "vendor", format_args!("0x{id:04x} {}", vendor(id).unwrap_or("unknown")));
        t.hex(8..20, "GUID prefix")?;
        for s in submessages(b) {
            t.add(s.at..s.end, s.name(), format_args!("{} bytes", s.end - s.at));
            // A submessage that was cut ends its own fields, not the others.
            let _ = t.nest(|t| sub_fields(t, &s));
        }
        Some(())
    })
}

fn sub_fields(t: &mut Tree<'_>, s: &Sub) -> Option<()> {
    let (b, at) = (t.b(), s.at);
    t.add(at..at + 1, "id", format_args!("0x{:02x}", s.id));
    let order = if s.flags & 1 != 0 { "little endian" } else { "big endian" };
    t.add(at + 1..at + 2, "flags", format_args!("0x{:02x} {order}", s.flags));
    t.add(at + 2..at + 4, "length", s.u16(b, 2)?);
    if let Some(writer) = s.writer() {
        for (at, name) in [(writer - 4, "reader"), (writer, "writer")] {
            let id = be32(b, at)?;
            t.add(at..at + 4, name, format_args!("0x{id:08x}{}", entity(id)));
        }
    }
    match s.id {
        0x15 | 0x16 => t.add(at + 16..at + 24, "sequence number", s.number(b, 16)?),
        0x07 => {
            t.add(at + 12..at + 20, "first sequence number", s.number(b, 12)?);
            t.add(at + 20..at + 28, "last sequence number", s.number(b, 20)?);
            t.add(at + 28..at + 32, "count", s.u32(b, 28)?);
        }
        0x08 => t.add(at + 12..at + 20, "gap from", s.number(b, 12)?),
        0x09 if s.flags & 2 == 0 => {
            let (seconds, fraction) = (s.u32(b, 4)?, s.u32(b, 8)?);
            let ns = (u64::from(fraction) * 1_000_000_000) >> 32;
            t.add(at + 4..at + 12, "time", format_args!("{seconds}.{ns:09} s"));
        }
        _ => {}
    }
    if s.id == 0x15 {
        let mut start = at + 8 + usize::from(s.u16(b, 6)?);
        for (id, value) in s.inline_qos(b) {
            let end = ended(if id == PID_STATUS_INFO { s.status(b) } else { 0 });
            t.add(value.start - 4..value.end, "inline QoS", format_args!("0x{id:04x}{end}"));
            start = value.end;
        }
        if s.flags & 2 != 0 {
            // Behind the mark that ends the list.
            start += 4;
        }
        if start < s.end {
            t.add(start..s.end, "data", format_args!("{} bytes", s.end - start));
        }
    }
    Some(())
}

fn sequence(b: &[u8], f: &mut dyn FnMut(SeqSample)) {
    let Some(prefix) = bytes(b, 8, 12) else { return };
    for s in submessages(b).filter(|s| s.id == 0x15) {
        if let (Some(writer), Some(number)) = (bytes(b, s.at + 12, 4), s.number(b, 16)) {
            f(SeqSample::one(stream_id(&[prefix, writer]), number, 64));
        }
    }
}
