//! The Precision Time Protocol, version 2 (IEEE 1588-2008, -2019 clause 13) and version 1
//! (IEEE 1588-2002), over UDP ports 319 and 320.
//!
//! | offset | bytes | field, version 2 |
//! | --- | --- | --- |
//! | 0 | 1 | majorSdoId (4 bits), message type (4 bits) |
//! | 1 | 1 | minor version (4 bits), version 2 (4 bits) |
//! | 2 | 2 | message length |
//! | 4 | 1 | domain |
//! | 6 | 2 | flags |
//! | 8 | 8 | correction, ns × 65536 |
//! | 20 | 10 | source port identity: clock (8), port (2) |
//! | 30 | 2 | sequence id |
//! | 33 | 1 | log2 of the message interval |
//! | 34 | 10 | timestamp: seconds (6), nanoseconds (4) |
//!
//! Each message type of each port counts for itself. Answers repeat the number of their request, so
//! they are no sequence of their own.

use std::fmt;

use crate::wire::read::{Tree, be16, be32, be48, be64, bytes, line, put, stream_id, u8_at};
use crate::wire::{Confidence, Field, Hint, Protocol, SeqSample};

/// Length of the header of version 2, in bytes.
const HEADER: usize = 34;
/// Length of the shortest message of version 1: its header.
const HEADER_V1: usize = 40;

/// The row of the table of protocols.
pub static PROTOCOL: Protocol = Protocol {
    id: "ptp",
    name: "PTP",
    mark: "PTP's version, message type and length at its head",
    detect,
    preview,
    fields,
    sequence: Some(sequence),
};

/// A clock's identity, in the way it is printed on devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClockId(pub [u8; 8]);

impl fmt::Display for ClockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, c) in self.0.iter().enumerate() {
            write!(f, "{}{c:02x}", if i > 0 { "-" } else { "" })?;
        }
        Ok(())
    }
}

/// What an Announce message of version 2 says of the grandmaster (clause 13.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announce {
    /// The domain.
    pub domain: u8,
    /// The grandmaster.
    pub grandmaster: ClockId,
    /// clockClass: 6 is locked to a primary reference.
    pub class: u8,
    /// clockAccuracy, an enumeration.
    pub accuracy: u8,
    /// offsetScaledLogVariance.
    pub variance: u16,
    /// priority1.
    pub priority1: u8,
    /// priority2.
    pub priority2: u8,
    /// Boundary clocks between it and the sender.
    pub steps_removed: u16,
    /// Seconds that UTC is behind PTP time.
    pub utc_offset: i16,
    /// log2 of the seconds between two of them; a timeout is three of them by default.
    pub log_interval: i8,
}

impl Announce {
    /// Reads it; `None` for any other message.
    pub fn parse(b: &[u8]) -> Option<Announce> {
        if !is_v2(b)? || u8_at(b, 0)? & 0x0f != 0x0b {
            return None;
        }
        Some(Announce {
            domain: u8_at(b, 4)?,
            grandmaster: clock_id(b, 53)?,
            class: u8_at(b, 48)?,
            accuracy: u8_at(b, 49)?,
            variance: be16(b, 50)?,
            priority1: u8_at(b, 47)?,
            priority2: u8_at(b, 52)?,
            steps_removed: be16(b, 61)?,
            utc_offset: be16(b, 44)? as i16,
            log_interval: u8_at(b, 33)? as i8,
        })
    }
}

fn clock_id(b: &[u8], at: usize) -> Option<ClockId> {
    bytes(b, at, 8)?.try_into().ok().map(ClockId)
}

fn is_v2(b: &[u8]) -> Option<bool> {
    Some(u8_at(b, 1)? & 0x0f == 2)
}

/// Name and least length of a message type of version 2.
fn kind(b0: u8) -> Option<(&'static str, usize)> {
    Some(match b0 & 0x0f {
        0 => ("Sync", 44),
        1 => ("Delay_Req", 44),
        2 => ("Pdelay_Req", 54),
        3 => ("Pdelay_Resp", 54),
        8 => ("Follow_Up", 44),
        9 => ("Delay_Resp", 54),
        0xa => ("Pdelay_Resp_Follow_Up", 54),
        0xb => ("Announce", 64),
        0xc => ("Signaling", 44),
        0xd => ("Management", 48),
        _ => return None,
    })
}

fn kind_v1(control: u8) -> Option<&'static str> {
    ["Sync", "Delay_Req", "Follow_Up", "Delay_Resp", "Management"].get(usize::from(control)).copied()
}

/// Whether the type has a timestamp at 34.
fn has_time(b0: u8) -> bool {
    matches!(b0 & 0x0f, 0..=3 | 8..=0xb)
}

fn detect(b: &[u8], hint: &Hint) -> Option<Confidence> {
    let port = hint.either_port(&[319, 320]);
    if is_v1(b) {
        return Some(if port { Confidence::Certain } else { Confidence::Likely });
    }
    let (_, least) = kind(u8_at(b, 0)?)?;
    let length = usize::from(be16(b, 2)?);
    // Two bytes of padding follow over IPv6 (annex E); other senders pad more.
    if !is_v2(b)? || length < least || length > hint.len || hint.len - length > 16 {
        return None;
    }
    if has_time(b[0]) && be32(b, 40).is_none_or(|ns| ns >= 1_000_000_000) {
        return None;
    }
    match port {
        true => Some(Confidence::Certain),
        // Off its ports the structure alone has to do: version, type, exact length, time.
        false => (length == hint.len && b[1] >> 4 <= 1).then_some(Confidence::Guess),
    }
}

fn is_v1(b: &[u8]) -> bool {
    b.len() >= HEADER_V1
        && b.starts_with(&[0, 1])
        && be16(b, 2) == Some(1)
        && (b[4..].starts_with(b"_DFLT") || b[4..].starts_with(b"_ALT"))
        && kind_v1(b[32]).is_some()
}

/// The port that sent a message of version 2: its clock and its number.
pub fn source_port(b: &[u8]) -> Option<(ClockId, u16)> {
    Some((clock_id(b, 20)?, be16(b, 28)?))
}

/// clockAccuracy (table 5) in words.
pub fn accuracy(code: u8) -> &'static str {
    match code {
        0x17 => "1 ps",
        0x18 => "2.5 ps",
        0x19 => "10 ps",
        0x1a => "25 ps",
        0x1b => "100 ps",
        0x1c => "250 ps",
        0x1d => "1 ns",
        0x1e => "2.5 ns",
        0x1f => "10 ns",
        0x20 => "25 ns",
        0x21 => "100 ns",
        0x22 => "250 ns",
        0x23 => "1 µs",
        0x24 => "2.5 µs",
        0x25 => "10 µs",
        0x26 => "25 µs",
        0x27 => "100 µs",
        0x28 => "250 µs",
        0x29 => "1 ms",
        0x2a => "2.5 ms",
        0x2b => "10 ms",
        0x2c => "25 ms",
        0x2d => "100 ms",
        0x2e => "250 ms",
        0x2f => "1 s",
        0x30 => "10 s",
        0x31 => "over 10 s",
        _ => "unknown",
    }
}

fn preview(b: &[u8], out: &mut String) {
    line(out, |l| {
        if is_v1(b) {
            put!(l, "PTPv1 {} seq {}", kind_v1(b[32])?, be16(b, 30)?);
            return Some(());
        }
        let (name, _) = kind(u8_at(b, 0)?)?;
        put!(l, "PTPv2 {name}");
        if let Some(a) = Announce::parse(b) {
            put!(l, "  dom {}  GM {}  class {}", a.domain, a.grandmaster, a.class);
            put!(l, "  acc {}  steps {}", accuracy(a.accuracy), a.steps_removed);
            return Some(());
        }
        put!(l, " seq {}", be16(b, 30)?);
        if be16(b, 6)? & 0x0200 != 0 {
            put!(l, " two-step");
        }
        put!(l, "  dom {}  from {}:{}", u8_at(b, 4)?, clock_id(b, 20)?, be16(b, 28)?);
        Some(())
    });
}

fn fields(b: &[u8]) -> Vec<Field> {
    Tree::of(b, |t| if is_v1(b) { fields_v1(t) } else { fields_v2(t) })
}

fn fields_v1(t: &mut Tree<'_>) -> Option<()> {
    let b = t.b();
    t.be16(0, "version")?;
    t.be16(2, "network version")?;
    t.text(4..20, "subdomain")?;
    t.add(20..21, "message class", if u8_at(b, 20)? == 1 { "event" } else { "general" });
    t.u8(21, "communication technology")?;
    t.hex(22..28, "source uuid")?;
    t.be16(28, "source port")?;
    t.be16(30, "sequence id")?;
    t.add(32..33, "control", kind_v1(u8_at(b, 32)?)?);
    t.hex(34..36, "flags")?;
    t.be32(40, "seconds")?;
    t.be32(44, "nanoseconds")?;
    Some(())
}

const FLAGS: [(u16, &str); 9] = [
    (0x0100, "alternate master"),
    (0x0200, "two-step"),
    (0x0400, "unicast"),
    (0x0001, "leap 61"),
    (0x0002, "leap 59"),
    (0x0004, "UTC offset valid"),
    (0x0008, "PTP timescale"),
    (0x0010, "time traceable"),
    (0x0020, "frequency traceable"),
];

fn fields_v2(t: &mut Tree<'_>) -> Option<()> {
    let b = t.b();
    let (b0, b1) = (u8_at(b, 0)?, u8_at(b, 1)?);
    t.add(0..1, "majorSdoId", b0 >> 4);
    t.add(0..1, "message type", kind(b0)?.0);
    t.add(1..2, "version", format_args!("{}.{}", b1 & 0x0f, b1 >> 4));
    t.be16(2, "message length")?;
    t.u8(4, "domain")?;
    let flags = be16(b, 6)?;
    let words: Vec<&str> = FLAGS.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, word)| *word).collect();
    t.add(6..8, "flags", format_args!("0x{flags:04x} {}", words.join(", ")));
    let correction = be64(b, 8)? as i64;
    t.add(8..16, "correction", format_args!("{:.3} ns", correction as f64 / 65_536.0));
    t.add(20..28, "source clock", clock_id(b, 20)?);
    t.be16(28, "source port")?;
    t.be16(30, "sequence id")?;
    t.u8(32, "control")?;
    t.add(33..34, "log message interval", u8_at(b, 33)? as i8);
    if has_time(b0) {
        let (seconds, ns) = (be48(b, HEADER)?, be32(b, 40)?);
        t.add(HEADER..44, "timestamp", format_args!("{seconds}.{ns:09} s"));
    }
    match b0 & 0x0f {
        0xb => {
            let a = Announce::parse(b)?;
            t.add(44..46, "UTC offset", format_args!("{} s", a.utc_offset));
            t.add(47..48, "priority 1", a.priority1);
            t.add(48..49, "clock class", a.class);
            t.add(49..50, "clock accuracy", format_args!("0x{:02x} ({})", a.accuracy, accuracy(a.accuracy)));
            t.be16(50, "variance")?;
            t.add(52..53, "priority 2", a.priority2);
            t.add(53..61, "grandmaster", a.grandmaster);
            t.add(61..63, "steps removed", a.steps_removed);
            t.add(63..64, "time source", format_args!("0x{:02x}", u8_at(b, 63)?));
        }
        3 | 9 | 0xa => {
            t.add(44..52, "requesting clock", clock_id(b, 44)?);
            t.be16(52, "requesting port")?;
        }
        _ => {}
    }
    Some(())
}

fn sequence(b: &[u8], f: &mut dyn FnMut(SeqSample)) {
    let sample = || {
        if is_v1(b) {
            // Version 1 counts all event messages of a port together, and a Follow_Up has its own.
            let control = u8_at(b, 32)?;
            let ours = matches!(control, 0..=2);
            return ours.then_some((stream_id(&[bytes(b, 4, 26)?, &[control]]), be16(b, 30)?));
        }
        let kind = u8_at(b, 0)? & 0x0f;
        let ours = is_v2(b)? && matches!(kind, 0..=2 | 8 | 0xb);
        ours.then_some((stream_id(&[bytes(b, 20, 10)?, &[kind, u8_at(b, 4)?]]), be16(b, 30)?))
    };
    if let Some((stream, number)) = sample() {
        f(SeqSample::one(stream, u64::from(number), 16));
    }
}
