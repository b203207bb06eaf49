//! RTCP (RFC 3550 section 6): compound packets of sender and receiver reports, descriptions and the
//! rest.
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 1 | version 2 (2 bits), padding, count (5 bits) |
//! | 1 | 1 | packet type: 200 SR, 201 RR, 202 SDES, 203 BYE, 204 APP, 205 RTPFB, 206 PSFB, 207 XR |
//! | 2 | 2 | length in words of 4 bytes, minus 1 |
//! | 4 | 4 | SSRC of the sender |
//! | 8 | 20 | SR only: NTP time (8), RTP time (4), packets (4), bytes (4) |
//! | – | 24 each | SR and RR: report blocks |

use std::ops::Range;

use crate::wire::read::{Text, Tree, be16, be24, be32, be64, bytes, line, put, u8_at};
use crate::wire::{Confidence, Field, Hint, Protocol};

/// Packets read of one compound.
const PACKETS_MAX: usize = 64;
/// Items read of one description.
const ITEMS_MAX: usize = 64;
/// Length of a report block.
const BLOCK: usize = 24;

/// The row of the table of protocols.
pub static PROTOCOL: Protocol = Protocol {
    id: "rtcp",
    name: "RTCP",
    mark: "version 2, an RTCP type at offset 1, lengths that add up",
    detect,
    preview,
    fields,
    sequence: None,
};

/// One packet of a compound.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Packet {
    kind: u8,
    count: usize,
    padding: bool,
    range: Range<usize>,
}

/// A report block: what a receiver says of one source (section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// The source reported on.
    pub ssrc: u32,
    /// Lost since the last report, in 256ths.
    pub fraction_lost: u8,
    /// Lost in all; negative when there were duplicates.
    pub lost: i32,
    /// Extended highest sequence number.
    pub highest: u32,
    /// Jitter, in timestamp units.
    pub jitter: u32,
}

impl Block {
    fn read(b: &[u8], at: usize) -> Option<Block> {
        let lost = be24(b, at + 5)?;
        Some(Block {
            ssrc: be32(b, at)?,
            fraction_lost: u8_at(b, at + 4)?,
            lost: ((lost << 8) as i32) >> 8,
            highest: be32(b, at + 8)?,
            jitter: be32(b, at + 12)?,
        })
    }
}

/// A sender report's own part (section 6.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SenderInfo {
    /// Who sends.
    pub ssrc: u32,
    /// The sender's clock: seconds since 1900 and their fraction in 2^-32.
    pub ntp: u64,
    /// The same moment in the media's clock.
    pub rtp: u32,
    /// RTP packets sent in all: compare with what was received.
    pub packets: u32,
    /// Payload bytes sent in all.
    pub bytes: u32,
}

/// The first sender report of a compound.
pub fn sender_info(b: &[u8]) -> Option<SenderInfo> {
    let p = packets(b).find(|p| p.kind == 200)?;
    let at = p.range.start;
    Some(SenderInfo {
        ssrc: be32(b, at + 4)?,
        ntp: be64(b, at + 8)?,
        rtp: be32(b, at + 16)?,
        packets: be32(b, at + 20)?,
        bytes: be32(b, at + 24)?,
    })
}

fn packets(b: &[u8]) -> impl Iterator<Item = Packet> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (b0, kind, words) = (u8_at(b, at)?, u8_at(b, at + 1)?, be16(b, at + 2)?);
        if b0 & 0xc0 != 0x80 || !(192..=223).contains(&kind) {
            return None;
        }
        let range = at..at + 4 + 4 * usize::from(words);
        at = range.end;
        Some(Packet { kind, count: usize::from(b0 & 0x1f), padding: b0 & 0x20 != 0, range })
    })
    .take(PACKETS_MAX)
}

/// Where the report blocks of an SR or RR begin; `None` for other packets.
fn blocks_at(p: &Packet) -> Option<usize> {
    match p.kind {
        200 => Some(p.range.start + 28),
        201 => Some(p.range.start + 8),
        _ => None,
    }
}

fn detect(b: &[u8], hint: &Hint) -> Option<Confidence> {
    // The checks of appendix A.2: the first is an SR or RR without padding, only the last may be
    // padded, and the lengths add up to the datagram; besides, the blocks counted fit.
    let (mut end, mut n, mut padded) = (0, 0, false);
    for p in packets(b) {
        let fits = blocks_at(&p).is_none_or(|at| at + BLOCK * p.count <= p.range.end);
        if padded || !fits || (n == 0 && (blocks_at(&p).is_none() || p.padding)) {
            return None;
        }
        padded = p.padding;
        end = p.range.end;
        n += 1;
    }
    match n {
        0 => None,
        1 if end == hint.len => Some(Confidence::Likely),
        _ if end == hint.len || (hint.is_cut(b) && end > b.len() && end <= hint.len) => {
            Some(Confidence::Certain)
        }
        _ => None,
    }
}

fn kind_name(kind: u8) -> &'static str {
    match kind {
        200 => "SR",
        201 => "RR",
        202 => "SDES",
        203 => "BYE",
        204 => "APP",
        205 => "RTPFB",
        206 => "PSFB",
        207 => "XR",
        _ => "other",
    }
}

/// The items of a description: type, value, place.
fn items<'a>(b: &'a [u8], p: &Packet) -> impl Iterator<Item = (u8, &'a [u8], usize)> {
    let end = p.range.end.min(b.len());
    // Each chunk is an SSRC and items, ended by zero bytes up to the next word.
    let mut at = p.range.start + 8;
    std::iter::from_fn(move || {
        while at + 2 <= end {
            match u8_at(b, at)? {
                // The end of the chunk: the next one's items follow its SSRC.
                0 => at = (at / 4 + 1) * 4 + 4,
                kind => {
                    let value = bytes(&b[..end], at + 2, usize::from(u8_at(b, at + 1)?))?;
                    let start = at;
                    at += 2 + value.len();
                    return Some((kind, value, start));
                }
            }
        }
        None
    })
    .take(ITEMS_MAX)
}

fn preview(b: &[u8], out: &mut String) {
    line(out, |l| {
        put!(l, "RTCP");
        for (i, p) in packets(b).enumerate() {
            let at = p.range.start;
            put!(l, "{}{}", if i == 0 { " " } else { "  " }, kind_name(p.kind));
            if i == 0 {
                put!(l, " ssrc {:08x}", be32(b, at + 4)?);
            }
            match p.kind {
                200 => put!(l, "  pkts {}", be32(b, at + 20)?),
                203 => {
                    // The reason, if there is one, follows the list of sources.
                    let reason = at + 4 + 4 * p.count;
                    if reason < p.range.end {
                        put!(l, " {}", Text(bytes(b, reason + 1, usize::from(u8_at(b, reason)?))?));
                    }
                }
                202 => {
                    if let Some((_, cname, _)) = items(b, &p).find(|(kind, ..)| *kind == 1) {
                        put!(l, " {}", Text(cname));
                    }
                }
                _ => {}
            }
            if p.count > 0
                && let Some(block) = blocks_at(&p).and_then(|at| Block::read(b, at))
            {
                let percent = f64::from(block.fraction_lost) * 100.0 / 256.0;
                put!(l, "  lost {percent:.1} %  jitter {}", block.jitter);
            }
        }
        Some(())
    });
}

fn fields(b: &[u8]) -> Vec<Field> {
    Tree::of(b, |t| {
        for p in packets(b) {
            t.add(p.range.clone(), kind_name(p.kind), format_args!("{} bytes", p.range.len()));
            // A packet that was cut ends its own fields, not the others.
            let _ = t.nest(|t| packet_fields(t, &p));
        }
        Some(())
    })
}

fn packet_fields(t: &mut Tree<'_>, p: &Packet) -> Option<()> {
    let (b, at) = (t.b(), p.range.start);
    t.add(at..at + 1, "count", p.count);
    t.add(at + 1..at + 2, "packet type", format_args!("{} ({})", p.kind, kind_name(p.kind)));
    t.add(at + 2..at + 4, "length", format_args!("{} bytes", p.range.len()));
    t.add(at + 4..at + 8, "SSRC", format_args!("0x{:08x}", be32(b, at + 4)?));
    match p.kind {
        200 => {
            let ntp = be64(b, at + 8)?;
            t.add(at + 8..at + 16, "NTP time", crate::wire::ntp::Stamp(ntp));
            t.be32(at + 16, "RTP time")?;
            t.be32(at + 20, "packets sent")?;
            t.be32(at + 24, "bytes sent")?;
        }
        202 => {
            for (kind, value, at) in items(b, p) {
                let name = match kind {
                    1 => "CNAME",
                    2 => "NAME",
                    3 => "EMAIL",
                    4 => "PHONE",
                    5 => "LOC",
                    6 => "TOOL",
                    7 => "NOTE",
                    8 => "PRIV",
                    _ => "item",
                };
                t.add(at..at + 2 + value.len(), name, Text(value));
            }
        }
        204 => {
            t.text(at + 8..at + 12, "name")?;
        }
        _ => {}
    }
    for i in 0..blocks_at(p).map_or(0, |_| p.count) {
        let at = blocks_at(p)? + BLOCK * i;
        let block = Block::read(b, at)?;
        t.add(at..at + BLOCK, "report block", format_args!("of 0x{:08x}", block.ssrc));
        t.nest(|t| {
            let percent = f64::from(block.fraction_lost) * 100.0 / 256.0;
            t.add(at + 4..at + 5, "fraction lost", format_args!("{percent:.1} %"));
            t.add(at + 5..at + 8, "cumulative lost", block.lost);
            t.add(at + 8..at + 12, "extended highest sequence", block.highest);
            t.add(at + 12..at + 16, "jitter", format_args!("{} timestamp units", block.jitter));
            t.add(at + 16..at + 20, "last SR", format_args!("0x{:08x}", be32(b, at + 16)?));
            let delay = f64::from(be32(b, at + 20)?) / 65_536.0;
            t.add(at + 20..at + 24, "delay since last SR", format_args!("{delay:.3} s"));
            Some(())
        })?;
    }
    Some(())
}
