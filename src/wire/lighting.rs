//! Stage lighting: sACN (ANSI E1.31), Art-Net 4, Pathport.
//!
//! sACN, a universe of up to 512 channels:
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 16 | preamble size 0x0010, postamble 0, `ASC-E1.17` |
//! | 18 | 4 | root vector: 4 data, 8 extended |
//! | 22 | 16 | CID of the sender |
//! | 40 | 4 | framing vector: 2 data; extended 1 synchronisation, 2 discovery |
//! | 44 | 64 | source name |
//! | 108 | 1 | priority |
//! | 109 | 2 | synchronisation universe |
//! | 111 | 1 | sequence |
//! | 112 | 1 | options: 0x80 preview, 0x40 terminated, 0x20 force |
//! | 113 | 2 | universe |
//! | 123 | 2 | property count: channels + 1 |
//! | 125 | 1 | start code |
//! | 126 | – | levels |

use std::net::Ipv4Addr;

use crate::wire::read::{
    Hex, Line, Text, Tree, be16, be32, bytes, le16, line, put, stream_id, u8_at, until_nul,
};
use crate::wire::{Confidence, Hint, Protocol, SeqSample};

/// Preamble, postamble and identifier of an ACN packet.
const ACN: [u8; 16] = *b"\0\x10\0\0ASC-E1.17\0\0\0";
/// Universes listed of one discovery page: it has at most 512.
const UNIVERSES_MAX: usize = 512;

/// The row of sACN.
pub static SACN: Protocol = Protocol {
    id: "sacn",
    name: "sACN",
    mark: "“ASC-E1.17” at offset 4",
    detect: |b, _| b.starts_with(&ACN).then_some(Confidence::Certain),
    preview: preview_sacn,
    fields: |b| Tree::of(b, fields_sacn),
    sequence: Some(sequence_sacn),
};

/// The row of Art-Net.
pub static ARTNET: Protocol = Protocol {
    id: "artnet",
    name: "Art-Net",
    mark: "“Art-Net” at offset 0",
    detect: |b, _| (b.starts_with(b"Art-Net\0") && b.len() >= 10).then_some(Confidence::Certain),
    preview: preview_artnet,
    fields: |b| Tree::of(b, fields_artnet),
    sequence: Some(sequence_artnet),
};

/// The row of Pathport.
pub static PATHPORT: Protocol = Protocol {
    id: "pathport",
    name: "Pathport",
    mark: "ed 01 at offset 0, on port 3792",
    detect: detect_pathport,
    preview: preview_pathport,
    fields: |b| Tree::of(b, fields_pathport),
    // The header has a number, but OLA sends 1 in every datagram: followed, all would be duplicates.
    sequence: None,
};

/// What an ACN packet is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Acn {
    Data,
    Sync,
    Discovery,
    Other(u32),
}

fn acn(b: &[u8]) -> Option<Acn> {
    if !b.starts_with(&ACN) {
        return None;
    }
    Some(match (be32(b, 18)?, be32(b, 40)) {
        (4, Some(2)) => Acn::Data,
        (8, Some(1)) => Acn::Sync,
        (8, Some(2)) => Acn::Discovery,
        (root, _) => Acn::Other(root),
    })
}

/// The channels' levels: the highest and where it is, counted from 1.
fn highest(levels: &[u8]) -> Option<(u8, usize)> {
    let max = *levels.iter().max()?;
    levels.iter().position(|&v| v == max).map(|i| (max, i + 1))
}

fn put_levels(l: &mut Line<'_>, levels: &[u8]) {
    put!(l, "  {} ch", levels.len());
    if let Some((max, at)) = highest(levels) {
        put!(l, "  max {max}@{at}");
    }
}

fn preview_sacn(b: &[u8], out: &mut String) {
    line(out, |l| {
        put!(l, "sACN");
        match acn(b)? {
            Acn::Data => {
                put!(l, " univ {}  \"{}\"", be16(b, 113)?, Text(until_nul(bytes(b, 44, 64)?)));
                put!(l, "  prio {}  seq {}", u8_at(b, 108)?, u8_at(b, 111)?);
                let options = u8_at(b, 112)?;
                if options & 0x80 != 0 {
                    put!(l, "  preview");
                }
                if options & 0x40 != 0 {
                    put!(l, "  terminated");
                }
                match u8_at(b, 125)? {
                    0 => {}
                    0xdd => put!(l, "  per-channel priority"),
                    code => put!(l, "  start code {code:02x}"),
                }
                let count = usize::from(be16(b, 123)?).saturating_sub(1);
                put_levels(l, b.get(126..)?.get(..count).unwrap_or(&b[126..]));
            }
            Acn::Sync => put!(l, " sync univ {}  seq {}", be16(b, 45)?, u8_at(b, 44)?),
            Acn::Discovery => {
                put!(l, " discovery  \"{}\"", Text(until_nul(bytes(b, 44, 64)?)));
                put!(l, "  {} universes", b.len().saturating_sub(120) / 2);
            }
            Acn::Other(root) => put!(l, " ACN root vector {root}"),
        }
        Some(())
    });
}

fn fields_sacn(t: &mut Tree<'_>) -> Option<()> {
    let b = t.b();
    let kind = acn(b)?;
    t.text(4..16, "identifier")?;
    t.add(16..18, "root length", be16(b, 16)? & 0x0fff);
    t.be32(18, "root vector")?;
    t.hex(22..38, "CID")?;
    t.add(38..40, "framing length", be16(b, 38)? & 0x0fff);
    t.be32(40, "framing vector")?;
    match kind {
        Acn::Data => {
            t.text(44..108, "source name")?;
            t.u8(108, "priority")?;
            t.be16(109, "synchronisation universe")?;
            t.u8(111, "sequence")?;
            t.add(112..113, "options", format_args!("0x{:02x}", u8_at(b, 112)?));
            t.be16(113, "universe")?;
            t.add(115..117, "DMP length", be16(b, 115)? & 0x0fff);
            t.be16(119, "first address")?;
            t.be16(123, "property count")?;
            t.add(125..126, "start code", format_args!("0x{:02x}", u8_at(b, 125)?));
            level_fields(t, 126, usize::from(be16(b, 123)?).saturating_sub(1))
        }
        Acn::Sync => {
            t.u8(44, "sequence")?;
            t.be16(45, "synchronisation universe").map(drop)
        }
        Acn::Discovery => {
            t.text(44..108, "source name")?;
            t.u8(118, "page")?;
            t.u8(119, "last page")?;
            for at in (120..b.len().saturating_sub(1)).step_by(2).take(UNIVERSES_MAX) {
                t.be16(at, "universe")?;
            }
            Some(())
        }
        Acn::Other(_) => t.rest(44, "data"),
    }
}

/// Sixteen channels a field: one each would drown the rest.
fn level_fields(t: &mut Tree<'_>, start: usize, count: usize) -> Option<()> {
    let b = t.b();
    let end = (start + count).min(b.len());
    let levels = b.get(start..end)?;
    match highest(levels) {
        Some((max, at)) => {
            t.add(start..end, "levels", format_args!("{} channels, highest {max} at {at}", levels.len()));
        }
        None => t.add(start..end, "levels", "none"),
    }
    t.nest(|t| {
        for (i, row) in levels.chunks(16).enumerate() {
            let at = start + 16 * i;
            t.add(at..at + row.len(), format_args!("from {}", 16 * i + 1), Hex(row, " "));
        }
        Some(())
    })
}

fn sequence_sacn(b: &[u8], f: &mut dyn FnMut(SeqSample)) {
    let sample = || {
        // Each universe of each sender counts for itself (6.7.2); other start codes share its count.
        let (universe, number) = match acn(b)? {
            Acn::Data => (bytes(b, 113, 2)?, u8_at(b, 111)?),
            _ => return None,
        };
        Some((stream_id(&[bytes(b, 22, 16)?, universe]), number))
    };
    if let Some((stream, number)) = sample() {
        f(SeqSample::one(stream, u64::from(number), 8));
    }
}

fn opcode(code: u16) -> &'static str {
    match code {
        0x2000 => "Poll",
        0x2100 => "PollReply",
        0x2300 => "DiagData",
        0x2400 => "Command",
        0x5000 => "DMX",
        0x5100 => "Nzs",
        0x5200 => "Sync",
        0x6000 => "Address",
        0x7000 => "Input",
        0x8000 => "TodRequest",
        0x8100 => "TodData",
        0x8200 => "TodControl",
        0x8300 => "Rdm",
        0x8400 => "RdmSub",
        0x9700 => "TimeCode",
        0x9800 => "TimeSync",
        0x9900 => "Trigger",
        _ => "opcode",
    }
}

/// Net and sub-universe in one number.
fn universe(b: &[u8]) -> Option<u16> {
    Some(u16::from(u8_at(b, 15)? & 0x7f) << 8 | u16::from(u8_at(b, 14)?))
}

fn preview_artnet(b: &[u8], out: &mut String) {
    line(out, |l| {
        let code = le16(b, 8)?;
        put!(l, "Art-Net {}", opcode(code));
        match code {
            0x5000 => {
                put!(l, " univ {}", universe(b)?);
                match u8_at(b, 12)? {
                    0 => put!(l, "  no seq"),
                    number => put!(l, "  seq {number}"),
                }
                let count = usize::from(be16(b, 16)?);
                put_levels(l, b.get(18..)?.get(..count).unwrap_or(&b[18..]));
            }
            0x2100 => put!(l, "  \"{}\"", Text(until_nul(bytes(b, 26, 18)?))),
            0x9700 => {
                let two = |at| u8_at(b, at);
                put!(l, "  {:02}:{:02}:{:02}:{:02}", two(17)?, two(16)?, two(15)?, two(14)?);
            }
            _ if opcode(code) == "opcode" => put!(l, " 0x{code:04x}"),
            _ => {}
        }
        Some(())
    });
}

fn fields_artnet(t: &mut Tree<'_>) -> Option<()> {
    let b = t.b();
    let code = le16(b, 8)?;
    t.text(0..8, "identifier")?;
    t.add(8..10, "opcode", format_args!("0x{code:04x} {}", opcode(code)));
    match code {
        0x5000 => {
            t.be16(10, "protocol version")?;
            t.u8(12, "sequence")?;
            t.u8(13, "physical port")?;
            t.add(14..16, "universe", universe(b)?);
            let count = t.be16(16, "length")?;
            level_fields(t, 18, usize::from(count))
        }
        0x2100 => {
            let ip: [u8; 4] = bytes(b, 10, 4)?.try_into().ok()?;
            t.add(10..14, "IP address", std::net::Ipv4Addr::from(ip));
            t.add(14..16, "port", le16(b, 14)?);
            t.text(26..44, "short name")?;
            t.text(44..108, "long name")?;
            t.text(108..172, "report").map(drop)
        }
        0x9700 => {
            t.be16(10, "protocol version")?;
            for (at, name) in [(17, "hours"), (16, "minutes"), (15, "seconds"), (14, "frames")] {
                t.u8(at, name)?;
            }
            Some(())
        }
        _ => {
            t.be16(10, "protocol version")?;
            t.rest(12, "data")
        }
    }
}

/// The numbers run from 1 to 255; 0 says that they are not used. So 255 takes up 0 as well: the next
/// expected is 1. A lost 255 then counts as two.
fn sequence_artnet(b: &[u8], f: &mut dyn FnMut(SeqSample)) {
    if le16(b, 8) == Some(0x5000)
        && let (Some(universe), Some(number)) = (universe(b), u8_at(b, 12))
        && number != 0
    {
        let count = if number == 255 { 2 } else { 1 };
        f(SeqSample { count, ..SeqSample::one(u64::from(universe), u64::from(number), 8) });
    }
}

fn detect_pathport(b: &[u8], hint: &Hint) -> Option<Confidence> {
    let magic = b.starts_with(&[0xed, 0x01]) && b.len() >= 20;
    (magic && hint.either_port(&[3792])).then_some(Confidence::Certain)
}

fn preview_pathport(b: &[u8], out: &mut String) {
    line(out, |l| {
        put!(l, "Pathport");
        let kind = be16(b, 20);
        match kind {
            Some(0x0100) => put!(l, " data"),
            Some(0x0301) => put!(l, " ARP request"),
            Some(0x0302) => put!(l, " ARP reply"),
            Some(kind) => put!(l, " type 0x{kind:04x}"),
            None => {}
        }
        put!(l, "  from {:08x}  seq {}", be32(b, 12)?, be16(b, 4)?);
        match kind {
            Some(0x0100) => put!(l, "  {} ch @ {}", be16(b, 26)?, be16(b, 30)?),
            Some(0x0302) => put!(l, "  {:08x} is at {}", be32(b, 24)?, Ipv4Addr::from(be32(b, 28)?)),
            _ => {}
        }
        Some(())
    });
}

fn fields_pathport(t: &mut Tree<'_>) -> Option<()> {
    let b = t.b();
    t.hex(0..2, "protocol")?;
    t.be16(2, "version")?;
    t.be16(4, "sequence")?;
    t.hex(12..16, "source")?;
    t.hex(16..20, "destination")?;
    t.hex(20..22, "PDU type")?;
    t.be16(22, "PDU length")?;
    match be16(b, 20)? {
        0x0100 => {
            t.hex(24..26, "encoding")?;
            t.be16(26, "channels")?;
            t.u8(29, "start code")?;
            t.be16(30, "first channel")?;
            t.rest(32, "levels")
        }
        0x0302 => {
            t.hex(24..28, "device")?;
            t.add(28..32, "IP address", Ipv4Addr::from(be32(b, 28)?));
            t.rest(32, "kind of device")
        }
        _ => t.rest(24, "PDU"),
    }
}
