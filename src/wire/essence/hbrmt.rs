//! High bit rate media (SMPTE ST 2022-6): SDI as it is, in pieces of 1376 bytes.
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 1 | words of header extension (4 bits), F: a source format follows (1), VSID: 0 first, 1 second stream (3) |
//! | 1 | 1 | frame count |
//! | 2 | 2 | reference of the timestamp (2 bits), scrambling (2), FEC (3), frequency of its clock (4), reserved (5) |
//! | 4 | 4 | if F: mapping (4 bits), frame (8), frame rate (8), sampling (4), reserved (8) |
//! | – | 4 | timestamp, if the frequency is not 0 |
//! | – | 4 each | header extension |
//! | – | 1376 | media |
//!
//! Codes of the source format are shown as they are: the tables are the standard's.

use crate::wire::read::{Line, Tree, be16, be32, put, u8_at};

/// Bytes of media in each packet.
const MEDIA: usize = 1376;

/// The header.
struct Header {
    extension_words: u8,
    stream: u8,
    frame_count: u8,
    flags: u16,
    format: Option<u32>,
    timestamp: Option<u32>,
    /// Its length with all that belongs to it, in bytes.
    len: usize,
}

impl Header {
    fn read(b: &[u8]) -> Option<Header> {
        let (b0, flags) = (u8_at(b, 0)?, be16(b, 2)?);
        let mut len = 4;
        let mut next = |there: bool| {
            if !there {
                return Some(None);
            }
            let v = be32(b, len)?;
            len += 4;
            Some(Some(v))
        };
        let format = next(b0 & 0x08 != 0)?;
        let timestamp = next(flags >> 5 & 0x0f != 0)?;
        let extension_words = b0 >> 4;
        Some(Header {
            extension_words,
            stream: b0 & 0x07,
            frame_count: u8_at(b, 1)?,
            flags,
            format,
            timestamp,
            len: len + 4 * usize::from(extension_words),
        })
    }
}

pub(super) fn put_hbrmt(b: &[u8], len: Option<usize>, l: &mut Line<'_>) -> Option<()> {
    let h = Header::read(b)?;
    put!(l, ", frame {}", h.frame_count);
    if let Some(f) = h.format {
        put!(l, ", format 0x{:02x} rate 0x{:02x} sampling {}", f >> 20 & 0xff, f >> 12 & 0xff, f >> 8 & 0x0f);
    }
    match len? {
        len if len == h.len + MEDIA => put!(l, ", {MEDIA} B"),
        len => put!(l, ", but {} B of media, not {MEDIA}", len.saturating_sub(h.len)),
    }
    Some(())
}

pub(super) fn tree(t: &mut Tree<'_>, len: Option<usize>) -> Option<()> {
    let h = Header::read(t.b())?;
    t.add(0..1, "header extension", format_args!("{} words", h.extension_words));
    t.add(0..1, "source format", if h.format.is_some() { "follows" } else { "not told" });
    t.add(0..1, "stream", h.stream);
    t.add(1..2, "frame count", h.frame_count);
    t.add(2..3, "timestamp reference", h.flags >> 14);
    t.add(2..3, "scrambling", h.flags >> 12 & 3);
    t.add(2..3, "FEC", h.flags >> 9 & 7);
    t.add(2..4, "clock frequency", format_args!("code {}", h.flags >> 5 & 0x0f));
    if let Some(f) = h.format {
        t.add(4..5, "mapping", f >> 28);
        t.add(4..6, "frame", format_args!("code 0x{:02x}", f >> 20 & 0xff));
        t.add(5..7, "frame rate", format_args!("code 0x{:02x}", f >> 12 & 0xff));
        t.add(6..7, "sampling", format_args!("code {}", f >> 8 & 0x0f));
    }
    if let Some(ts) = h.timestamp {
        let at = if h.format.is_some() { 8 } else { 4 };
        t.add(at..at + 4, "video timestamp", ts);
    }
    let media = len.map_or(t.b().len(), |len| len).saturating_sub(h.len);
    match media {
        MEDIA => t.add(h.len..t.b().len(), "media", format_args!("{media} bytes")),
        _ => t.add(h.len..t.b().len(), "media", format_args!("{media} bytes, not {MEDIA}: not as announced")),
    }
    Some(())
}
