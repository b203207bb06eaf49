//! RTP (RFC 3550 section 5.1).
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 1 | version 2 (2 bits), padding, extension, number of CSRC (4 bits) |
//! | 1 | 1 | marker, payload type (7 bits) |
//! | 2 | 2 | sequence number |
//! | 4 | 4 | timestamp |
//! | 8 | 4 | SSRC |
//! | 12 | 4 each | CSRC |
//! | – | – | extension: profile (2), length in words (2), words; payload; padding with its count |
//!
//! One datagram alone looks like RTP by chance far too often, so it is never more than a guess,
//! except where an MPEG transport stream stands in it. What makes it sure is the stream: the same
//! SSRC with numbers that count up by one (appendix A.1).

use std::ops::Range;

use crate::wire::read::{Hex, Tree, be16, be32, line, put, u8_at};
use crate::wire::{Confidence, Field, Hint, Protocol, SeqSample, ts};

/// Length of the header without CSRC and extension, in bytes.
pub const HEADER: usize = 12;

/// The row of the table of protocols.
pub static PROTOCOL: Protocol = Protocol {
    id: "rtp",
    name: "RTP",
    mark: "version 2 and an RTP payload type",
    detect,
    preview,
    fields,
    sequence: Some(sequence),
};

/// The header of an RTP packet and where its payload stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rtp {
    /// M: for video the last packet of a frame, for audio the first after silence.
    pub marker: bool,
    /// PT: the payload type.
    pub payload_type: u8,
    /// The sequence number.
    pub sequence: u16,
    /// The media time, in units of the payload's clock.
    pub timestamp: u32,
    /// The synchronisation source.
    pub ssrc: u32,
    /// Number of contributing sources.
    pub csrc_count: u8,
    /// Profile and place of the header extension, if there is one.
    pub extension: Option<(u16, Range<usize>)>,
    /// The payload without padding.
    pub payload: Range<usize>,
    /// Bytes of padding, its count included.
    pub padding: usize,
}

impl Rtp {
    /// Reads the header; `None` if it breaks a rule of RFC 3550 appendix A.1. Padding that was cut
    /// off is not checked.
    pub fn parse(b: &[u8]) -> Option<Rtp> {
        let (b0, b1) = (u8_at(b, 0)?, u8_at(b, 1)?);
        if b0 & 0xc0 != 0x80 {
            return None;
        }
        let csrc_count = b0 & 0x0f;
        let mut start = HEADER + 4 * usize::from(csrc_count);
        let mut extension = None;
        if b0 & 0x10 != 0 {
            let (profile, words) = (be16(b, start)?, be16(b, start + 2)?);
            let end = start + 4 + 4 * usize::from(words);
            extension = Some((profile, start + 4..end));
            start = end;
        }
        let room = b.len().checked_sub(start)?;
        let padding = if b0 & 0x20 != 0 { usize::from(*b.last()?) } else { 0 };
        if b0 & 0x20 != 0 && (padding == 0 || padding > room) {
            return None;
        }
        Some(Rtp {
            marker: b1 & 0x80 != 0,
            payload_type: b1 & 0x7f,
            sequence: be16(b, 2)?,
            timestamp: be32(b, 4)?,
            ssrc: be32(b, 8)?,
            csrc_count,
            extension,
            payload: start..b.len() - padding,
            padding,
        })
    }
}

/// Where the payload of a packet begins.
pub(crate) fn payload_at(b: &[u8]) -> Option<usize> {
    let b0 = u8_at(b, 0).filter(|b0| b0 & 0xc0 == 0x80)?;
    let at = HEADER + 4 * usize::from(b0 & 0x0f);
    Some(if b0 & 0x10 != 0 { at + 4 + 4 * usize::from(be16(b, at + 2)?) } else { at })
}

/// What IANA's registry says of a static payload type (RFC 3551 section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaticType {
    /// The encoding's name.
    pub encoding: &'static str,
    /// The rate of the timestamp, in Hz.
    pub clock_hz: u32,
    /// Number of audio channels; `None` for video.
    pub channels: Option<u8>,
}

/// The static payload type of this number.
pub fn static_type(payload_type: u8) -> Option<StaticType> {
    let (encoding, clock_hz, channels) = match payload_type {
        0 => ("PCMU", 8000, Some(1)),
        3 => ("GSM", 8000, Some(1)),
        4 => ("G723", 8000, Some(1)),
        5 => ("DVI4", 8000, Some(1)),
        6 => ("DVI4", 16_000, Some(1)),
        7 => ("LPC", 8000, Some(1)),
        8 => ("PCMA", 8000, Some(1)),
        // Sampled at 16 kHz; the registered clock is 8000 by an old mistake (RFC 3551 4.5.2).
        9 => ("G722", 8000, Some(1)),
        10 => ("L16", 44_100, Some(2)),
        11 => ("L16", 44_100, Some(1)),
        12 => ("QCELP", 8000, Some(1)),
        13 => ("CN", 8000, Some(1)),
        14 => ("MPA", 90_000, None),
        15 => ("G728", 8000, Some(1)),
        16 => ("DVI4", 11_025, Some(1)),
        17 => ("DVI4", 22_050, Some(1)),
        18 => ("G729", 8000, Some(1)),
        25 => ("CelB", 90_000, None),
        26 => ("JPEG", 90_000, None),
        28 => ("nv", 90_000, None),
        31 => ("H261", 90_000, None),
        32 => ("MPV", 90_000, None),
        33 => ("MP2T", 90_000, None),
        34 => ("H263", 90_000, None),
        _ => return None,
    };
    Some(StaticType { encoding, clock_hz, channels })
}

/// Whether the bytes may be an RTP packet: the header holds, and the payload type is one that is
/// assigned or dynamic. 64 to 95 are RTCP's on a shared port (RFC 5761 section 4).
fn plausible(b: &[u8]) -> Option<Rtp> {
    Rtp::parse(b).filter(|r| !(35..96).contains(&r.payload_type))
}

fn detect(b: &[u8], hint: &Hint) -> Option<Confidence> {
    let r = plausible(b)?;
    let transport = r.payload_type == 33 && ts::in_rtp(&b[r.payload], hint.is_cut(b));
    Some(if transport { Confidence::Certain } else { Confidence::Guess })
}

fn preview(b: &[u8], out: &mut String) {
    line(out, |l| {
        let r = Rtp::parse(b)?;
        put!(l, "RTP PT {}", r.payload_type);
        if let Some(t) = static_type(r.payload_type) {
            put!(l, " {}", t.encoding);
        }
        put!(l, "  seq {}  ts {}  ssrc {:08x}", r.sequence, r.timestamp, r.ssrc);
        if r.marker {
            put!(l, "  M");
        }
        if r.payload_type == 33 && ts::packets(b).next().is_some() {
            put!(l, "  TS ");
            ts::summary(b, l);
        } else {
            put!(l, "  {} B", r.payload.len());
        }
        Some(())
    });
}

fn fields(b: &[u8]) -> Vec<Field> {
    Tree::of(b, |t| {
        let r = Rtp::parse(b)?;
        let transport = r.payload_type == 33;
        tree(t, &r, None, |t| if transport { ts::tree(t) } else { Some(()) })
    })
}

/// The fields of a packet, its payload's from `media`. `announced` is what a session description calls
/// the encoding.
pub(crate) fn tree<'a>(
    t: &mut Tree<'a>,
    r: &Rtp,
    announced: Option<&str>,
    media: impl FnOnce(&mut Tree<'a>) -> Option<()>,
) -> Option<()> {
    let b = t.b();
    t.add(0..1, "version", 2);
    t.add(0..1, "padding", if r.padding > 0 { "yes" } else { "no" });
    t.add(0..1, "extension", if r.extension.is_some() { "yes" } else { "no" });
    t.add(0..1, "CSRC count", r.csrc_count);
    t.add(1..2, "marker", if r.marker { "yes" } else { "no" });
    match (announced, static_type(r.payload_type)) {
        (Some(name), _) => {
            t.add(1..2, "payload type", format_args!("{} ({name}, as announced)", r.payload_type));
        }
        (None, Some(s)) => t.add(
            1..2,
            "payload type",
            format_args!("{} ({}, clock {} Hz)", r.payload_type, s.encoding, s.clock_hz),
        ),
        (None, None) => t.add(1..2, "payload type", r.payload_type),
    }
    t.add(2..4, "sequence number", r.sequence);
    t.add(4..8, "timestamp", r.timestamp);
    t.add(8..12, "SSRC", format_args!("0x{:08x}", r.ssrc));
    for i in 0..usize::from(r.csrc_count) {
        let at = HEADER + 4 * i;
        t.add(at..at + 4, format_args!("CSRC {i}"), format_args!("0x{:08x}", be32(b, at)?));
    }
    if let Some((profile, words)) = &r.extension {
        t.add(words.start - 4..words.start - 2, "extension profile", format_args!("0x{profile:04x}"));
        t.add(words.start - 2..words.start, "extension length", format_args!("{} bytes", words.len()));
        t.add(words.clone(), "extension", Hex(b.get(words.clone())?, ""));
    }
    t.add(r.payload.clone(), "payload", format_args!("{} bytes", r.payload.len()));
    // What is missing within the payload leaves the padding where it is.
    let whole = t.within(r.payload.clone(), media);
    if r.padding > 0 {
        t.add(r.payload.end..b.len(), "padding", format_args!("{} bytes", r.padding));
    }
    whole
}

fn sequence(b: &[u8], f: &mut dyn FnMut(SeqSample)) {
    // Not the whole check: in a stream that is RTP, a padding count cut off must not look like loss.
    if let (Some(b0), Some(number), Some(ssrc)) = (u8_at(b, 0), be16(b, 2), be32(b, 8))
        && b0 & 0xc0 == 0x80
    {
        f(SeqSample::one(u64::from(ssrc), u64::from(number), 16));
    }
}
