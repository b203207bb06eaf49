//! The tables of a transport stream: PAT and PMT (ISO/IEC 13818-1 section 2.4.4), SDT (ETSI EN
//! 300 468 section 5.2.3).
//!
//! A section is read where it begins. One that goes on in a later packet is joined
//! ([`crate::wire::sections`]) if that is in the same datagram, or else cut off and said to be.

use std::ops::Range;

use crate::wire::read::{Line, Tree, be16, be24, be32, bytes, put, u8_at};
use crate::wire::ts::Packet;

/// Sections read of one packet.
const SECTIONS_MAX: usize = 8;
/// Entries kept of one table.
const ENTRIES_MAX: usize = 64;
/// Descriptors looked at in one entry.
const DESCRIPTORS_MAX: usize = 64;

/// What a section says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Where the section stands, as far as this packet has it.
    pub range: Range<usize>,
    /// Transport stream id (PAT, SDT) or program number (PMT).
    pub id: u16,
    /// Rises with every change, modulo 32.
    pub version: u8,
    /// Whether all of it is in this packet and its CRC holds; `None` where it goes on elsewhere.
    pub crc: Option<bool>,
    /// Its contents.
    pub kind: Kind,
}

/// The tables known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Programs and the PIDs of their PMTs; program 0 is the network's table.
    Pat(Vec<(u16, u16)>),
    /// The elementary streams of a program.
    Pmt {
        /// The PID that carries the program's clock.
        pcr_pid: u16,
        /// The streams.
        streams: Vec<Stream>,
    },
    /// The names of services, by program number.
    Sdt(Vec<Service>),
}

/// An elementary stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its PID.
    pub pid: u16,
    /// Its type's number.
    pub stream_type: u8,
    /// `video`, `audio` or `data`.
    pub class: &'static str,
    /// The coding: `H.264`, `AAC` …
    pub coding: &'static str,
    /// Where the entry stands.
    pub range: Range<usize>,
}

/// A service and its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The program number.
    pub program: u16,
    /// Who provides it.
    pub provider: String,
    /// What it is called.
    pub name: String,
    /// Where the entry stands.
    pub range: Range<usize>,
}

/// What a PID is for by standard, or nothing.
pub fn pid_name(pid: u16) -> &'static str {
    match pid {
        0 => "PAT",
        1 => "CAT",
        2 => "TSDT",
        0x10 => "NIT",
        0x11 => "SDT",
        0x12 => "EIT",
        0x14 => "TDT",
        0x1ffb => "PSIP",
        0x1fff => "null",
        _ => "",
    }
}

/// Class and coding of a stream type; private data is told by its descriptors.
fn stream_type(kind: u8, descriptors: &[u8]) -> (&'static str, &'static str) {
    match kind {
        0x01 => ("video", "MPEG-1"),
        0x02 => ("video", "MPEG-2"),
        0x03 | 0x04 => ("audio", "MPEG"),
        0x06 => descriptors_of(descriptors)
            .find_map(|(tag, d)| match tag {
                0x6a => Some(("audio", "AC-3")),
                0x7a => Some(("audio", "E-AC-3")),
                0x56 => Some(("data", "teletext")),
                0x59 => Some(("data", "subtitles")),
                0x05 if d == b"KLVA" => Some(("data", "KLV")),
                0x05 if d == b"Opus" => Some(("audio", "Opus")),
                _ => None,
            })
            .unwrap_or(("data", "private")),
        0x0f => ("audio", "AAC"),
        0x10 => ("video", "MPEG-4"),
        0x11 => ("audio", "LATM AAC"),
        0x15 => ("data", "metadata"),
        0x1b => ("video", "H.264"),
        0x21 => ("video", "JPEG 2000"),
        0x24 => ("video", "HEVC"),
        0x33 => ("video", "VVC"),
        0x81 => ("audio", "AC-3"),
        0x86 => ("data", "SCTE-35"),
        0x87 => ("audio", "E-AC-3"),
        _ => ("data", "unknown"),
    }
}

fn descriptors_of(d: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (tag, len) = (u8_at(d, at)?, usize::from(u8_at(d, at + 1)?));
        let body = bytes(d, at + 2, len)?;
        at += 2 + len;
        Some((tag, body))
    })
    .take(DESCRIPTORS_MAX)
}

/// CRC-32/MPEG-2 (ISO/IEC 13818-1 annex A): 0 over a section with its CRC.
pub fn crc32(b: &[u8]) -> u32 {
    b.iter().fold(u32::MAX, |crc, &c| {
        (0..8)
            .fold(crc ^ u32::from(c) << 24, |crc, _| crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 })
    })
}

/// Text of EN 300 468 annex A: UTF-8 where it says so, else near enough to Latin.
fn dvb_text(b: &[u8]) -> String {
    let latin = |b: &[u8]| b.iter().filter(|c| !matches!(c, 0x80..=0x9f)).map(|&c| char::from(c)).collect();
    match b.first() {
        Some(0x15) => String::from_utf8_lossy(&b[1..]).into_owned(),
        Some(0x10) => latin(b.get(3..).unwrap_or_default()),
        Some(0..=0x1f) => latin(&b[1..]),
        _ => latin(b),
    }
}

/// The tables that begin in this packet.
pub fn tables(b: &[u8], p: &Packet) -> Vec<Table> {
    let mut all = Vec::new();
    let Some(payload) = p.payload.clone().filter(|_| p.unit_start && !p.error && p.scrambling == 0) else {
        return all;
    };
    let Some(pointer) = u8_at(b, payload.start) else { return all };
    let mut at = payload.start + 1 + usize::from(pointer);
    while at + 8 <= payload.end && all.len() < SECTIONS_MAX {
        let (Some(id), Some(length)) = (u8_at(b, at), be16(b, at + 1)) else { break };
        // Every table here has the section syntax bit; a PES packet begins with 00 00 01.
        if id == 0xff || length & 0x8000 == 0 {
            break;
        }
        let end = at + 3 + usize::from(length & 0x0fff);
        if let Some(table) = section(b, p.pid, id, at..end, payload.end) {
            all.push(table);
        }
        at = end;
    }
    all
}

/// The table in a section that is whole, if it is known and its CRC holds.
pub fn whole(pid: u16, b: &[u8]) -> Option<Table> {
    section(b, pid, *b.first()?, 0..b.len(), b.len()).filter(|t| t.crc == Some(true))
}

fn section(b: &[u8], pid: u16, id: u8, range: Range<usize>, limit: usize) -> Option<Table> {
    let at = range.start;
    let whole = range.end <= limit;
    let crc = whole.then(|| b.get(range.clone()).is_some_and(|s| crc32(s) == 0));
    // Without a good CRC only a table on its own PID is believed.
    let body = at + 8..if whole { range.end.checked_sub(4)? } else { limit };
    let b = &b[..limit];
    let kind = match id {
        0 if pid == 0 => Kind::Pat(
            body.clone()
                .step_by(4)
                .filter(|i| i + 4 <= body.end)
                .take(ENTRIES_MAX)
                .map_while(|i| Some((be16(b, i)?, be16(b, i + 2)? & 0x1fff)))
                .collect(),
        ),
        2 if crc != Some(false) => pmt(b, body)?,
        0x42 if pid == 0x11 => Kind::Sdt(services(b, body)),
        _ => return None,
    };
    let version = u8_at(b, at + 5)? >> 1 & 0x1f;
    Some(Table { range: at..range.end.min(limit), id: be16(b, at + 3)?, version, crc, kind })
}

fn pmt(b: &[u8], body: Range<usize>) -> Option<Kind> {
    let pcr_pid = be16(b, body.start)? & 0x1fff;
    let mut at = body.start + 4 + usize::from(be16(b, body.start + 2)? & 0x0fff);
    let mut streams = Vec::new();
    while at + 5 <= body.end && streams.len() < ENTRIES_MAX {
        let (kind, pid, len) = (u8_at(b, at)?, be16(b, at + 1)? & 0x1fff, be16(b, at + 3)? & 0x0fff);
        let end = at + 5 + usize::from(len);
        let descriptors = b.get(at + 5..end.min(body.end)).unwrap_or_default();
        let (class, coding) = stream_type(kind, descriptors);
        streams.push(Stream { pid, stream_type: kind, class, coding, range: at..end.min(body.end) });
        at = end;
    }
    Some(Kind::Pmt { pcr_pid, streams })
}

fn services(b: &[u8], body: Range<usize>) -> Vec<Service> {
    let mut all = Vec::new();
    // The original network id and a reserved byte come first.
    let mut at = body.start + 3;
    while at + 5 <= body.end && all.len() < ENTRIES_MAX {
        let (Some(program), Some(len)) = (be16(b, at), be16(b, at + 3)) else { break };
        let end = at + 5 + usize::from(len & 0x0fff);
        let descriptors = b.get(at + 5..end.min(body.end)).unwrap_or_default();
        if let Some((provider, name)) = descriptors_of(descriptors).find_map(service_name) {
            all.push(Service { program, provider, name, range: at..end.min(body.end) });
        }
        at = end;
    }
    all
}

/// The service descriptor: type, provider, name.
fn service_name((tag, d): (u8, &[u8])) -> Option<(String, String)> {
    if tag != 0x48 {
        return None;
    }
    let n = usize::from(u8_at(d, 1)?);
    let m = usize::from(u8_at(d, 2 + n)?);
    Some((dvb_text(bytes(d, 2, n)?), dvb_text(bytes(d, 3 + n, m)?)))
}

/// Appends a table to a preview.
pub(crate) fn put(table: &Table, l: &mut Line<'_>) {
    match &table.kind {
        Kind::Pat(programs) => {
            put!(l, "  PAT TSID {}", table.id);
            for (program, _) in programs.iter().filter(|(program, _)| *program != 0).take(4) {
                put!(l, " prog {program}");
            }
        }
        Kind::Pmt { streams, .. } => {
            put!(l, "  PMT prog {}", table.id);
            for s in streams.iter().take(6) {
                put!(l, "  {} {} pid {}", s.class, s.coding, s.pid);
            }
        }
        Kind::Sdt(services) => {
            put!(l, "  SDT");
            for s in services.iter().take(4) {
                put!(l, " prog {} \"{}\"", s.program, s.name);
            }
        }
    }
    if table.crc == Some(false) {
        put!(l, "  bad CRC");
    }
}

/// Adds a table to a tree.
pub(crate) fn fields(t: &mut Tree<'_>, table: &Table) {
    let (r, id) = (table.range.clone(), table.id);
    match &table.kind {
        Kind::Pat(_) => t.add(r.clone(), "PAT", format_args!("transport stream {id}")),
        Kind::Pmt { .. } => t.add(r.clone(), "PMT", format_args!("program {id}")),
        Kind::Sdt(_) => t.add(r.clone(), "SDT", format_args!("transport stream {id}")),
    }
    let _ = t.nest(|t| {
        let b = t.b();
        t.add(r.start + 1..r.start + 3, "section length", be24(b, r.start)? & 0x0fff);
        t.add(r.start + 5..r.start + 6, "version", table.version);
        match &table.kind {
            Kind::Pat(programs) => {
                for (i, (program, pid)) in programs.iter().enumerate() {
                    let at = r.start + 8 + 4 * i;
                    let name = if *program == 0 { "network" } else { "program" };
                    t.add(at..at + 4, name, format_args!("{program} in PID {pid}"));
                }
            }
            Kind::Pmt { pcr_pid, streams } => {
                t.add(r.start + 8..r.start + 10, "PCR PID", pcr_pid);
                for s in streams {
                    let what =
                        format_args!("{} {} (0x{:02x}) in PID {}", s.class, s.coding, s.stream_type, s.pid);
                    t.add(s.range.clone(), "stream", what);
                }
            }
            Kind::Sdt(services) => {
                for s in services {
                    let what = format_args!("program {} \"{}\" of \"{}\"", s.program, s.name, s.provider);
                    t.add(s.range.clone(), "service", what);
                }
            }
        }
        match table.crc {
            Some(good) => {
                let word = if good { "good" } else { "bad" };
                let crc = be32(b, r.end.checked_sub(4)?)?;
                t.add(r.end - 4..r.end, "CRC", format_args!("0x{crc:08x} ({word})"));
            }
            None => t.add(r.end..r.end, "CRC", "in a later packet"),
        }
        Some(())
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_is_that_of_the_standard() {
        // The check value of CRC-32/MPEG-2 in the catalogue of CRC algorithms.
        assert_eq!(crc32(b"123456789"), 0x0376_e6e7);
    }

    #[test]
    fn names_follow_their_character_table() {
        assert_eq!(dvb_text(b"\x15Gr\xc3\xbcn"), "Grün");
        assert_eq!(dvb_text(b"\x05Gr\xfcn"), "Grün");
        assert_eq!(dvb_text(b"\x10\0\x01N\x86ews\x87"), "News");
        assert_eq!(dvb_text(b""), "");
    }
}
