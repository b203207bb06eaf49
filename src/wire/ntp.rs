//! NTP (RFC 5905 section 7.3): broadcast servers, and the time format that RTCP shares.
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 1 | leap indicator (2 bits), version (3 bits), mode (3 bits) |
//! | 1 | 1 | stratum |
//! | 2 | 1 | poll interval, log2 of seconds |
//! | 3 | 1 | precision, log2 of seconds |
//! | 4 | 4 | root delay, 16.16 s |
//! | 8 | 4 | root dispersion, 16.16 s |
//! | 12 | 4 | reference id |
//! | 16 | 32 | reference, origin, receive and transmit time, 32.32 s each |
//!
//! The header has no sequence number.

use std::fmt;
use std::net::Ipv4Addr;

use crate::base::time::Wall;
use crate::wire::read::{Text, Tree, be32, be64, bytes, line, put, u8_at, until_nul};
use crate::wire::{Confidence, Field, Hint, Protocol};

/// Length of the header in bytes.
const HEADER: usize = 48;
/// Seconds from 1900 to 1970.
const TO_UNIX: i64 = 2_208_988_800;

/// The row of the table of protocols.
pub static PROTOCOL: Protocol = Protocol {
    id: "ntp",
    name: "NTP",
    mark: "an NTP version, mode and stratum, on port 123",
    detect,
    preview,
    fields,
    sequence: None,
};

/// A time of NTP, shown in RFC 3339. Seconds without the top bit are of era 1, which began in 2036.
pub struct Stamp(pub u64);

impl Stamp {
    /// As wall-clock time; `None` for 0, which says "unknown".
    pub fn wall(&self) -> Option<Wall> {
        if self.0 == 0 {
            return None;
        }
        let era = if self.0 >> 63 == 1 { 0 } else { 1i64 << 32 };
        let seconds = (self.0 >> 32) as i64 + era - TO_UNIX;
        let ns = ((self.0 & 0xffff_ffff) * 1_000_000_000) >> 32;
        Some(Wall(seconds.checked_mul(1_000_000_000)?.checked_add(ns as i64)?))
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.wall() {
            Some(wall) => wall.rfc3339().fmt(f),
            None => f.write_str("not set"),
        }
    }
}

fn detect(b: &[u8], hint: &Hint) -> Option<Confidence> {
    let (b0, stratum) = (u8_at(b, 0)?, u8_at(b, 1)?);
    let (version, mode) = (b0 >> 3 & 7, b0 & 7);
    if hint.len < HEADER || !(1..=4).contains(&version) || !(1..=5).contains(&mode) || stratum > 16 {
        return None;
    }
    // Only the port tells it from other bytes, so what else can be judged is: the poll interval and
    // the precision of every clock lie in these ranges (section 7.3).
    let (poll, precision) = (u8_at(b, 2)? as i8, u8_at(b, 3)? as i8);
    if !hint.either_port(&[123]) || !(0..=17).contains(&poll) || !(-32..=0).contains(&precision) {
        return None;
    }
    // Above 16 s a server is not used (MAXDISP, section 7.2).
    if be32(b, 8)? > 16 << 16 {
        return None;
    }
    let group = hint.to_v4([224, 0, 1, 1]) || hint.to_v6(0x101);
    Some(if group && mode == 5 && version >= 3 { Confidence::Certain } else { Confidence::Likely })
}

fn mode_name(mode: u8) -> &'static str {
    match mode {
        1 => "symmetric active",
        2 => "symmetric passive",
        3 => "client",
        4 => "server",
        5 => "broadcast",
        6 => "control",
        _ => "reserved",
    }
}

/// The reference: a name up to stratum 1, an address above (for IPv6 servers part of a hash).
fn reference(b: &[u8]) -> Option<String> {
    let (stratum, id) = (u8_at(b, 1)?, bytes(b, 12, 4)?);
    if stratum <= 1 {
        return Some(Text(until_nul(id)).to_string());
    }
    Some(Ipv4Addr::from(be32(b, 12)?).to_string())
}

fn preview(b: &[u8], out: &mut String) {
    line(out, |l| {
        let (b0, stratum) = (u8_at(b, 0)?, u8_at(b, 1)?);
        put!(l, "NTP v{} {}  stratum {stratum}", b0 >> 3 & 7, mode_name(b0 & 7));
        let poll = u8_at(b, 2)? as i8;
        put!(l, "  ref {}", reference(b)?);
        if (0..=17).contains(&poll) {
            put!(l, "  poll {} s", 1u32 << poll);
        }
        if b0 >> 6 == 3 || stratum >= 16 {
            put!(l, "  unsynchronised");
        }
        Some(())
    });
}

fn fields(b: &[u8]) -> Vec<Field> {
    Tree::of(b, |t| {
        let b0 = u8_at(b, 0)?;
        let leap = ["no warning", "last minute has 61 s", "last minute has 59 s", "unsynchronised"];
        t.add(0..1, "leap indicator", leap[usize::from(b0 >> 6)]);
        t.add(0..1, "version", b0 >> 3 & 7);
        t.add(0..1, "mode", mode_name(b0 & 7));
        t.u8(1, "stratum")?;
        t.add(2..3, "poll", format_args!("2^{} s", u8_at(b, 2)? as i8));
        t.add(3..4, "precision", format_args!("2^{} s", u8_at(b, 3)? as i8));
        for (at, name) in [(4, "root delay"), (8, "root dispersion")] {
            t.add(at..at + 4, name, format_args!("{:.6} s", f64::from(be32(b, at)?) / 65_536.0));
        }
        t.add(12..16, "reference id", reference(b)?);
        for (at, name) in
            [(16, "reference time"), (24, "origin time"), (32, "receive time"), (40, "transmit time")]
        {
            t.add(at..at + 8, name, Stamp(be64(b, at)?));
        }
        t.rest(HEADER, "extensions and authentication");
        Some(())
    })
}
