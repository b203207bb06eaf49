//! Uncompressed video (RFC 4175, ST 2110-20) and ancillary data (RFC 8331, ST 2110-40).
//!
//! Both begin with the upper half of the sequence number. Video (RFC 4175 section 4.3):
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 2 | extended sequence number |
//! | 2 | 6 each | length of the segment, in bytes (2); field (1 bit) and line (15 bits); whether another header follows (1 bit) and the offset in pixels (15 bits) |
//! | – | – | the segments, in the order of their headers |
//!
//! Ancillary data (RFC 8331 section 2.1):
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 2 | extended sequence number |
//! | 2 | 2 | length of the data behind this header, in bytes |
//! | 4 | 1 | number of ANC packets |
//! | 5 | 3 | field (2 bits), reserved |
//! | 8 | – | ANC packets: colour difference (1 bit), line (11), horizontal offset (12), stream flag and number (8); then words of ten bits: DID, SDID, count, the words, checksum; filled up to four bytes |

use crate::wire::read::{Line, Tree, be16, be32, put, u8_at};

/// Segments of one packet that are read: no more lines than that fit in any packet worth its headers.
const SEGMENTS_MAX: usize = 64;
/// ANC packets of one packet that are read: as many as their count can say.
const ANC_MAX: usize = 255;
/// Length of the header before ANC packets, in bytes.
const ANC_HEADER: usize = 8;

/// One segment of a line.
struct Segment {
    /// Where its header stands.
    at: usize,
    length: u16,
    second_field: bool,
    line: u16,
    more: bool,
    offset: u16,
}

impl Segment {
    fn read(b: &[u8], at: usize) -> Option<Segment> {
        let (line, offset) = (be16(b, at + 2)?, be16(b, at + 4)?);
        Some(Segment {
            at,
            length: be16(b, at)?,
            second_field: line & 0x8000 != 0,
            line: line & 0x7fff,
            more: offset & 0x8000 != 0,
            offset: offset & 0x7fff,
        })
    }
}

/// The headers of the segments, as far as they are there.
fn segments(b: &[u8]) -> Vec<Segment> {
    let mut all: Vec<Segment> = Vec::new();
    while all.len() < SEGMENTS_MAX && all.last().is_none_or(|s| s.more) {
        match Segment::read(b, 2 + 6 * all.len()) {
            Some(s) => all.push(s),
            None => break,
        }
    }
    all
}

/// The sequence number with its upper half, which these payloads begin with.
pub(super) fn extended(b: &[u8], low: u16) -> Option<u32> {
    Some(u32::from(be16(b, 0)?) << 16 | u32::from(low))
}

/// What follows the encoding in the preview: `, line 17 from 0, 1200 B`.
pub(super) fn put_video(b: &[u8], len: usize, l: &mut Line<'_>) -> Option<()> {
    let all = segments(b);
    for s in all.iter().take(3) {
        let field = if s.second_field { " field 2" } else { "" };
        put!(l, ", line {}{field} from pixel {}", s.line, s.offset);
    }
    if all.len() > 3 {
        put!(l, ", +{} more", all.len() - 3);
    }
    match fits(&all, len) {
        Some(bytes) => put!(l, ", {bytes} B"),
        None => put!(l, ", but {len} B are too few for its segments"),
    }
    Some(())
}

/// Bytes of the segments together; `None` if they are more than the payload has room for.
fn fits(all: &[Segment], len: usize) -> Option<usize> {
    let bytes: usize = all.iter().map(|s| usize::from(s.length)).sum();
    let whole = !all.is_empty() && all.last().is_some_and(|s| !s.more);
    (whole && 2 + 6 * all.len() + bytes <= len).then_some(bytes)
}

pub(super) fn video(t: &mut Tree<'_>, low: u16, len: Option<usize>) -> Option<()> {
    let b = t.b();
    extension(t, low)?;
    let all = segments(b);
    let mut from = 2 + 6 * all.len();
    for (i, s) in all.iter().enumerate() {
        t.add(s.at..s.at + 6, format_args!("segment {}", i + 1), format_args!("line {}", s.line));
        t.nest(|t| {
            t.add(s.at..s.at + 2, "length", format_args!("{} bytes", s.length));
            t.add(s.at + 2..s.at + 3, "field", if s.second_field { 2 } else { 1 });
            t.add(s.at + 2..s.at + 4, "line", s.line);
            t.add(s.at + 4..s.at + 5, "continuation", if s.more { "another header" } else { "the last" });
            t.add(s.at + 4..s.at + 6, "offset", format_args!("pixel {}", s.offset));
            let end = from + usize::from(s.length);
            t.add(from..end, "samples", format_args!("{} bytes", s.length));
            from = end;
            Some(())
        });
    }
    if let Some(len) = len
        && fits(&all, len).is_none()
    {
        t.add(0..b.len(), "segments", format_args!("do not fit in {len} bytes: not as announced"));
    }
    Some(())
}

fn extension(t: &mut Tree<'_>, low: u16) -> Option<u32> {
    let number = extended(t.b(), low)?;
    t.add(0..2, "extended sequence number", format_args!("{} (0x{number:08x} in all)", number >> 16));
    Some(number)
}

/// One ANC packet.
struct Anc {
    at: usize,
    end: usize,
    colour: bool,
    line: u16,
    offset: u16,
    stream: Option<u8>,
    did: u8,
    sdid: u8,
    count: u8,
}

/// Ten bits from this bit on.
fn word(b: &[u8], bit: usize) -> Option<u16> {
    let two = be16(b, bit / 8)?;
    let shift = 6 - bit % 8;
    Some(two >> shift & 0x3ff)
}

impl Anc {
    fn read(b: &[u8], at: usize) -> Option<Anc> {
        let head = be32(b, at)?;
        // The parity of each word stands in its upper two bits.
        let eight = |n: usize| Some((word(b, 8 * (at + 4) + 10 * n)? & 0xff) as u8);
        let count = eight(2)?;
        let words = 3 + usize::from(count) + 1;
        Some(Anc {
            at,
            end: at + 4 + (10 * words).div_ceil(32) * 4,
            colour: head >> 31 != 0,
            line: (head >> 20 & 0x7ff) as u16,
            offset: (head >> 8 & 0xfff) as u16,
            stream: (head & 0x80 != 0).then_some((head & 0x7f) as u8),
            did: eight(0)?,
            sdid: eight(1)?,
            count,
        })
    }
}

/// The ANC packets that are there, at most as many as are said to be.
fn ancs(b: &[u8], count: usize) -> Vec<Anc> {
    let mut all: Vec<Anc> = Vec::new();
    while all.len() < count.min(ANC_MAX) {
        match Anc::read(b, all.last().map_or(ANC_HEADER, |a| a.end)) {
            Some(a) => all.push(a),
            None => break,
        }
    }
    all
}

/// What is carried under a DID and SDID, of those that are in common use (SMPTE RA registry).
fn carried(did: u8, sdid: u8) -> Option<&'static str> {
    Some(match (did, sdid) {
        (0x41, 0x05) => "AFD and bar data",
        (0x41, 0x07) => "SCTE 104",
        (0x43, 0x02) => "OP-47 subtitles",
        (0x45, 0x01..=0x09) => "audio metadata",
        (0x60, 0x60) => "timecode",
        (0x61, 0x01) => "CEA-708 captions",
        (0x61, 0x02) => "CEA-608 captions",
        _ => return None,
    })
}

pub(super) fn put_ancillary(b: &[u8], l: &mut Line<'_>) -> Option<()> {
    let count = u8_at(b, 4)?;
    put!(l, ", {count} ANC packet{}", if count == 1 { "" } else { "s" });
    for a in ancs(b, count.into()).iter().take(3) {
        put!(l, ", DID {:02x} SDID {:02x}", a.did, a.sdid);
        if let Some(what) = carried(a.did, a.sdid) {
            put!(l, " {what}");
        }
        put!(l, " line {}", a.line);
    }
    Some(())
}

/// In words, the field of RFC 8331 section 2.1.
fn field(bits: u8) -> &'static str {
    match bits {
        0b00 => "progressive or not said",
        0b10 => "1",
        0b11 => "2",
        _ => "not valid",
    }
}

pub(super) fn ancillary(t: &mut Tree<'_>, low: u16, len: Option<usize>) -> Option<()> {
    let b = t.b();
    extension(t, low)?;
    let length = be16(b, 2)?;
    match len.is_none_or(|len| ANC_HEADER + usize::from(length) <= len) {
        true => t.add(2..4, "length", format_args!("{length} bytes")),
        false => t.add(2..4, "length", format_args!("{length} bytes: more than there are, not as announced")),
    }
    let count = t.u8(4, "ANC packets")?;
    t.add(5..6, "field", field(u8_at(b, 5)? >> 6));
    for (i, a) in ancs(b, count.into()).iter().enumerate() {
        if t.full() {
            break;
        }
        let at = a.at;
        let what = carried(a.did, a.sdid).unwrap_or("data");
        t.add(at..a.end, format_args!("ANC packet {}", i + 1), what);
        t.nest(|t| {
            t.add(at..at + 1, "channel", if a.colour { "colour difference" } else { "luma" });
            t.add(at..at + 2, "line", a.line);
            t.add(at + 1..at + 3, "horizontal offset", a.offset);
            if let Some(n) = a.stream {
                t.add(at + 3..at + 4, "stream", n);
            }
            t.add(at + 4..at + 6, "DID", format_args!("0x{:02x}", a.did));
            t.add(at + 5..at + 7, "SDID", format_args!("0x{:02x}", a.sdid));
            t.add(at + 6..at + 8, "data count", format_args!("{} words", a.count));
            Some(())
        });
    }
    Some(())
}
