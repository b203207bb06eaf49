//! MPEG-2 transport streams (ISO/IEC 13818-1), bare in UDP or in RTP (payload type 33, RFC 2250).
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 1 | sync byte 0x47 |
//! | 1 | 2 | transport error, payload unit start, priority, PID (13 bits) |
//! | 3 | 1 | scrambling (2 bits), adaptation field, payload, continuity counter (4 bits) |
//! | 4 | 1 | adaptation field: its length |
//! | 5 | 1 | its flags: 0x80 discontinuity, 0x40 random access, 0x10 PCR |
//! | 6 | 6 | PCR: base (33 bits, 90 kHz), reserved (6), extension (9 bits, 27 MHz) |
//!
//! Packets of 188 bytes, of 204 with error correction behind, or of 192 with a time code before.
//!
//! **What the reader of the continuity counters has to do**, as one datagram cannot: a number equal
//! to the last one of its PID is a legal duplicate once (2.4.3.3), neither loss nor fault; the number
//! missing is `(value − expected) mod 16`, a lower bound, because sixteen lost packets look like none;
//! with four bits there is no telling late from lost, so no reorder window. Told here already:
//! packets without payload do not count, the null PID has no counter, packets marked as damaged are
//! left out, and a discontinuity is a restart.

use std::ops::Range;

use crate::wire::read::{Line, Tree, be16, be32, line, put, u8_at};
use crate::wire::{Confidence, Field, Hint, Protocol, SeqSample, rtp};
use crate::wire::{psi, sections};

/// Length of a packet without what stands before or behind it.
pub const PACKET: usize = 188;
/// The sync byte.
const SYNC: u8 = 0x47;
/// The PID of stuffing.
pub const NULL_PID: u16 = 0x1fff;
/// PIDs told apart in one preview.
const PIDS_MAX: usize = 16;

/// The row of the table of protocols.
pub static PROTOCOL: Protocol = Protocol {
    id: "mpegts",
    name: "MPEG-TS",
    mark: "47 at the head of every packet of 188, 192 or 204 bytes",
    detect,
    preview,
    fields,
    sequence: Some(sequence),
};

/// The header of a transport packet and what its adaptation field says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Where the sync byte stands.
    pub at: usize,
    /// What it belongs to.
    pub pid: u16,
    /// Damaged on the way, says a receiver before us.
    pub error: bool,
    /// A section or PES packet begins in it.
    pub unit_start: bool,
    /// 0 clear, 2 even key, 3 odd key.
    pub scrambling: u8,
    /// The continuity counter.
    pub counter: u8,
    /// The sender says that counter or clock jump here.
    pub discontinuity: bool,
    /// Decoding can begin here.
    pub random_access: bool,
    /// The program clock, in 27 MHz ticks; it wraps after 26.5 hours.
    pub pcr: Option<u64>,
    /// The payload, `None` for a packet that has an adaptation field only.
    pub payload: Option<Range<usize>>,
    /// The adaptation field with its length byte.
    pub adaptation: Option<Range<usize>>,
}

impl Packet {
    /// Reads the packet whose sync byte is at `at`; `None` if it is not whole or breaks a rule.
    pub fn parse(b: &[u8], at: usize) -> Option<Packet> {
        let end = at.checked_add(PACKET)?;
        if u8_at(b, at)? != SYNC || end > b.len() {
            return None;
        }
        let (word, last) = (be16(b, at + 1)?, u8_at(b, at + 3)?);
        let mut start = at + 4;
        let (mut adaptation, mut flags, mut pcr) = (None, 0, None);
        if last & 0x20 != 0 {
            let length = usize::from(u8_at(b, start)?);
            // 183 fill the packet; with a payload one byte at least is left for it (2.4.3.5).
            if length > if last & 0x10 != 0 { 182 } else { 183 } {
                return None;
            }
            if length > 0 {
                flags = u8_at(b, start + 1)?;
            }
            if flags & 0x10 != 0 && length >= 7 {
                let (high, low) = (u64::from(be32(b, start + 2)?), u64::from(be16(b, start + 6)?));
                pcr = Some((high << 1 | low >> 15) * 300 + (low & 0x1ff));
            }
            adaptation = Some(start..start + 1 + length);
            start += 1 + length;
        }
        Some(Packet {
            at,
            pid: word & 0x1fff,
            error: word & 0x8000 != 0,
            unit_start: word & 0x4000 != 0,
            scrambling: last >> 6,
            counter: last & 0x0f,
            discontinuity: flags & 0x80 != 0,
            random_access: flags & 0x40 != 0,
            pcr,
            // 00 is reserved: such packets are to be discarded.
            payload: match last & 0x30 {
                0 => return None,
                0x20 => None,
                _ => Some(start..end),
            },
            adaptation,
        })
    }
}

/// Where the first sync byte stands, and how far it is to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    first: usize,
    stride: usize,
}

const LAYOUTS: [Layout; 3] =
    [Layout { first: 0, stride: 188 }, Layout { first: 0, stride: 204 }, Layout { first: 4, stride: 192 }];

/// The layout of a payload of `len` bytes and the number of packets seen in it, all of them valid.
fn layout(b: &[u8], len: usize) -> Option<(Layout, usize)> {
    LAYOUTS.into_iter().filter(|l| len > 0 && len.is_multiple_of(l.stride)).find_map(|l| {
        let starts = (l.first..b.len()).step_by(l.stride);
        let whole = starts.take_while(|at| at + PACKET <= b.len());
        let mut n = 0;
        for at in whole {
            Packet::parse(b, at)?;
            n += 1;
        }
        (n > 0).then_some((l, n))
    })
}

/// The transport packets of a payload, bare or in RTP. One that is none is left out: it is to be
/// discarded (2.4.3.3), and no reason to take those behind it for lost.
pub fn packets(b: &[u8]) -> impl Iterator<Item = Packet> {
    let range = within(b);
    let b = &b[..range.end];
    let at = range.start;
    // A datagram that was cut has no length to go by: the second sync byte says it.
    let second =
        |l: &Layout| b.get(at + l.first) == Some(&SYNC) && b.get(at + l.first + l.stride) == Some(&SYNC);
    let found = layout(&b[at..], b.len() - at).map(|(l, _)| l).or_else(|| LAYOUTS.into_iter().find(second));
    let l = found.unwrap_or(LAYOUTS[0]);
    (at + l.first..b.len()).step_by(l.stride).filter_map(|at| Packet::parse(b, at))
}

/// Where the transport stream stands in a payload: all of it, or what RTP carries.
fn within(b: &[u8]) -> Range<usize> {
    match rtp::Rtp::parse(b) {
        Some(r) if r.payload_type == 33 => r.payload,
        _ => 0..b.len(),
    }
}

/// Whether a payload of a protocol carries a transport stream: its own, or RTP of payload type 33.
pub fn carried_by(p: &Protocol, payload: &[u8]) -> bool {
    std::ptr::eq(p, &PROTOCOL)
        || std::ptr::eq(p, &rtp::PROTOCOL) && u8_at(payload, 1).is_some_and(|b| b & 0x7f == 33)
}

/// Whether this is a transport stream that RTP carries, with its number of packets.
pub(crate) fn in_rtp(payload: &[u8], cut: bool) -> bool {
    if cut {
        return payload.len() >= 2 * PACKET && Packet::parse(payload, 0).is_some() && payload[PACKET] == SYNC;
    }
    layout(payload, payload.len()).is_some()
}

fn detect(b: &[u8], hint: &Hint) -> Option<Confidence> {
    match layout(b, hint.len)?.1 {
        1 if hint.to.port == 1234 || hint.to.port >= 5000 => Some(Confidence::Guess),
        1 => None,
        2 => Some(Confidence::Likely),
        _ => Some(Confidence::Certain),
    }
}

fn preview(b: &[u8], out: &mut String) {
    line(out, |l| {
        put!(l, "TS ");
        summary(b, l);
        Some(())
    });
}

/// What one datagram's packets are, as the previews of TS and of RTP have it.
pub(crate) fn summary(b: &[u8], l: &mut Line<'_>) {
    let (mut all, mut null, mut scrambled, mut damaged) = (0usize, 0usize, false, false);
    let mut pids: Vec<(u16, usize)> = Vec::with_capacity(PIDS_MAX);
    for p in packets(b) {
        all += 1;
        scrambled |= p.scrambling & 2 != 0;
        damaged |= p.error;
        match pids.iter().position(|(pid, _)| *pid == p.pid) {
            _ if p.pid == NULL_PID => null += 1,
            Some(i) => pids[i].1 += 1,
            None if pids.len() < PIDS_MAX => pids.push((p.pid, 1)),
            None => {}
        }
    }
    put!(l, "{all} pkts");
    let mut tables = false;
    for p in packets(b) {
        for table in psi::tables(b, &p) {
            tables = true;
            let later = || sections::joined(b, &p, packets(b)).and_then(|(s, _)| psi::whole(p.pid, &s));
            psi::put(&table.crc.is_none().then(later).flatten().unwrap_or(table), l);
        }
    }
    // The tables name the PIDs better than their numbers do.
    if !tables && !pids.is_empty() {
        put!(l, "  pid");
        for (pid, n) in pids {
            put!(l, " {pid}");
            if n > 1 {
                put!(l, "×{n}");
            }
        }
    }
    if null > 0 {
        put!(l, "  null {} %", (null * 100 + all / 2) / all);
    }
    if scrambled {
        put!(l, "  scrambled");
    }
    if damaged {
        put!(l, "  damaged");
    }
}

fn fields(b: &[u8]) -> Vec<Field> {
    Tree::of(b, tree)
}

/// The fields of the packets; RTP has them within its own.
pub(crate) fn tree(t: &mut Tree<'_>) -> Option<()> {
    for p in packets(t.b()) {
        if t.full() {
            break;
        }
        let (name, gap) = (psi::pid_name(p.pid), if psi::pid_name(p.pid).is_empty() { "" } else { " " });
        t.add(p.at..p.at + PACKET, "packet", format_args!("PID {}{gap}{name}", p.pid));
        let _ = t.nest(|t| packet_fields(t, &p));
    }
    Some(())
}

fn packet_fields(t: &mut Tree<'_>, p: &Packet) -> Option<()> {
    let (b, at) = (t.b(), p.at);
    let yes = |on| if on { "yes" } else { "no" };
    t.add(at..at + 1, "sync byte", "0x47");
    t.add(at + 1..at + 2, "transport error", yes(p.error));
    t.add(at + 1..at + 2, "payload unit start", yes(p.unit_start));
    t.add(at + 1..at + 3, "PID", format_args!("{} (0x{:04x})", p.pid, p.pid));
    let key = ["clear", "reserved", "even key", "odd key"][usize::from(p.scrambling & 3)];
    t.add(at + 3..at + 4, "scrambling", key);
    t.add(at + 3..at + 4, "continuity counter", p.counter);
    if let Some(a) = &p.adaptation {
        t.add(a.clone(), "adaptation field", format_args!("{} bytes", a.len()));
        t.nest(|t| {
            if a.len() > 1 {
                t.add(a.start + 1..a.start + 2, "discontinuity", yes(p.discontinuity));
                t.add(a.start + 1..a.start + 2, "random access", yes(p.random_access));
            }
            if let Some(pcr) = p.pcr {
                let seconds = pcr as f64 / 27e6;
                t.add(a.start + 2..a.start + 8, "PCR", format_args!("{pcr} ({seconds:.6} s)"));
            }
            Some(())
        })?;
    }
    if let Some(payload) = &p.payload {
        t.add(payload.clone(), "payload", format_args!("{} bytes", payload.len()));
    }
    for table in psi::tables(b, p) {
        psi::fields(t, &table);
        let Some((section, n)) = table.crc.is_none().then(|| sections::joined(b, p, packets(b))).flatten()
        else {
            continue;
        };
        if let Some(whole) = psi::whole(p.pid, &section) {
            t.add(table.range.clone(), "joined", format_args!("{} bytes from {n} packets", section.len()));
            t.unpacked(table.range, &section, |t| {
                psi::fields(t, &whole);
                Some(())
            });
        }
    }
    Some(())
}

/// A mark of a packet by some of its bytes, never 0. Those that a clock of the stream stands in are left
/// out: in a packet sent twice they differ (2.4.3.3).
fn mark(packet: &[u8]) -> u16 {
    const PLACES: [usize; 4] = [44, 92, 140, PACKET - 8];
    let word = |at: usize| {
        packet.get(at..at + 8).map_or(0, |w| u64::from_le_bytes(w.try_into().unwrap_or_default()))
    };
    let mixed =
        PLACES.iter().fold(0u64, |h, &at| (h.rotate_left(5) ^ word(at)).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    ((mixed >> 48) as u16).max(1)
}

fn sequence(b: &[u8], f: &mut dyn FnMut(SeqSample)) {
    for p in packets(b).filter(|p| p.pid != NULL_PID && !p.error) {
        let mut sample = SeqSample::one(u64::from(p.pid), u64::from(p.counter), 4);
        sample.restart = p.discontinuity;
        sample.mark = mark(&b[p.at..]);
        if p.payload.is_none() {
            if !p.discontinuity {
                continue;
            }
            sample.value = (sample.value + 1) & 0x0f;
            sample.count = 0;
        }
        f(sample);
    }
}
