//! The probe: mcscope's own test message, version 1.
//!
//! Any mcscope that hears one can tell loss (sequence), hops (sent minus received TTL), re-marked
//! DSCP, and delay where the clocks allow it. All numbers are big endian.
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 4 | magic `mcSc` |
//! | 4 | 1 | version, 1 |
//! | 5 | 1 | kind: 1 test, 2 ping, 3 reply |
//! | 6 | 2 | flags: bit 0 asks for a multicast answer (ping only), bit 1 the padding is text |
//! | 8 | 8 | run id, random for each run of a sender |
//! | 16 | 8 | sequence, from 0 |
//! | 24 | 8 | wall-clock send time, ns since 1970 |
//! | 32 | 8 | monotonic send time, ns |
//! | 40 | 1 | TTL or hop limit it was sent with |
//! | 41 | 1 | DSCP it was sent with (0 to 63) |
//! | 42 | 2 | reserved, 0 |
//! | 44 | – | padding or text |
//!
//! A reply is the request with kind 3 and with the TTL and DSCP that the reply was sent with: run,
//! sequence and both times come back as they were, so that the asker needs no state. It is cut to
//! the header where the request was longer, never longer than the request.

use crate::base::time::{Mono, Wall};
use crate::wire::read::{Text, Tree, line, put};
use crate::wire::{Confidence, Field, Hint, Protocol, SeqSample};

/// The first four bytes.
pub const MAGIC: [u8; 4] = *b"mcSc";
/// The version spoken here.
pub const VERSION: u8 = 1;
/// Length of the header, the shortest probe, in bytes.
pub const HEADER: usize = 44;
/// Flag: the answer is wanted by multicast as well.
pub const FLAG_MULTICAST_REPLY: u16 = 1;
/// Flag: what follows the header is UTF-8 text.
pub const FLAG_TEXT: u16 = 2;

/// What a probe is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Sent to be seen.
    Test,
    /// Sent to be answered.
    Ping,
    /// An answer.
    Reply,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Kind::Test => 1,
            Kind::Ping => 2,
            Kind::Reply => 3,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Kind::Test => "test",
            Kind::Ping => "ping",
            Kind::Reply => "reply",
        }
    }
}

/// The header of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What it is for.
    pub kind: Kind,
    /// [`FLAG_MULTICAST_REPLY`], [`FLAG_TEXT`].
    pub flags: u16,
    /// The sender's run.
    pub run: u64,
    /// The number within the run, from 0.
    pub sequence: u64,
    /// When it was sent, by the sender's wall clock.
    pub sent_wall: Wall,
    /// When it was sent, by the sender's monotonic clock.
    pub sent_mono: Mono,
    /// The TTL or hop limit it was sent with.
    pub ttl: u8,
    /// The DSCP it was sent with.
    pub dscp: u8,
}

impl Probe {
    /// Reads the header; `None` if it is not a probe of a version and kind known here.
    pub fn parse(b: &[u8]) -> Option<Probe> {
        if b.len() < HEADER || b[..4] != MAGIC || b[4] != VERSION {
            return None;
        }
        let kind = match b[5] {
            1 => Kind::Test,
            2 => Kind::Ping,
            3 => Kind::Reply,
            _ => return None,
        };
        let u64_at = |at: usize| u64::from_be_bytes(b[at..at + 8].try_into().expect("eight bytes"));
        Some(Probe {
            kind,
            flags: u16::from_be_bytes([b[6], b[7]]),
            run: u64_at(8),
            sequence: u64_at(16),
            sent_wall: Wall(u64_at(24) as i64),
            sent_mono: Mono(u64_at(32)),
            ttl: b[40],
            dscp: b[41],
        })
    }

    /// Writes the header over the first [`HEADER`] bytes of `out`; the rest stays as it is.
    ///
    /// # Panics
    /// If `out` is shorter than [`HEADER`].
    pub fn write(&self, out: &mut [u8]) {
        out[..4].copy_from_slice(&MAGIC);
        out[4] = VERSION;
        out[5] = self.kind.code();
        out[6..8].copy_from_slice(&self.flags.to_be_bytes());
        out[8..16].copy_from_slice(&self.run.to_be_bytes());
        out[16..24].copy_from_slice(&self.sequence.to_be_bytes());
        out[24..32].copy_from_slice(&self.sent_wall.0.to_be_bytes());
        out[32..40].copy_from_slice(&self.sent_mono.0.to_be_bytes());
        out[40] = self.ttl;
        out[41] = self.dscp;
        out[42..44].fill(0);
    }

    /// Turns a request into its answer, in place: kind reply, the reply's own TTL and DSCP. Returns
    /// the answer's length in bytes, which is the header's, or `None` if `datagram` is no test or
    /// ping.
    pub fn answer(datagram: &mut [u8], ttl: u8, dscp: u8) -> Option<usize> {
        let mut probe = Probe::parse(datagram)?;
        if probe.kind == Kind::Reply {
            return None;
        }
        probe.kind = Kind::Reply;
        probe.flags = 0;
        probe.ttl = ttl;
        probe.dscp = dscp;
        probe.write(datagram);
        Some(HEADER)
    }
}

/// The row of the table of protocols.
pub static PROTOCOL: Protocol =
    Protocol { id: "probe", name: "probe", detect, preview, fields, sequence: Some(sequence) };

fn detect(b: &[u8], _: &Hint) -> Option<Confidence> {
    Probe::parse(b).map(|_| Confidence::Certain)
}

fn preview(b: &[u8], out: &mut String) {
    line(out, |l| {
        let p = Probe::parse(b)?;
        put!(l, "probe {} seq {}  run {:08x}", p.kind.word(), p.sequence, p.run as u32);
        if p.flags & FLAG_TEXT != 0 {
            put!(l, "  \"{}\"", Text(&b[HEADER..]));
        }
        Some(())
    });
}

fn fields(b: &[u8]) -> Vec<Field> {
    Tree::of(b, |t| {
        let p = Probe::parse(b)?;
        t.add(0..4, "magic", "mcSc");
        t.add(4..5, "version", VERSION);
        t.add(5..6, "kind", p.kind.word());
        t.add(6..8, "flags", format_args!("0x{:04x}", p.flags));
        t.add(8..16, "run id", format_args!("{:016x}", p.run));
        t.add(16..24, "sequence", p.sequence);
        t.add(24..32, "sent (wall clock)", p.sent_wall.rfc3339());
        t.add(32..40, "sent (monotonic)", format_args!("{} ns", p.sent_mono.0));
        t.add(40..41, "sent TTL", p.ttl);
        t.add(41..42, "sent DSCP", p.dscp);
        if p.flags & FLAG_TEXT != 0 {
            t.add(HEADER..b.len(), "text", Text(&b[HEADER..]));
        } else {
            t.rest(HEADER, "padding");
        }
        Some(())
    })
}

fn sequence(b: &[u8], f: &mut dyn FnMut(SeqSample)) {
    if let Some(p) = Probe::parse(b) {
        // Answers of many responders to one run share its numbers: they are no stream of their own.
        if p.kind != Kind::Reply {
            f(SeqSample::one(p.run, p.sequence, 64));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Probe {
        Probe {
            kind: Kind::Ping,
            flags: FLAG_TEXT,
            run: 0x0102_0304_0506_0708,
            sequence: 7,
            sent_wall: Wall(1_700_000_000_000_000_000),
            sent_mono: Mono(42),
            ttl: 8,
            dscp: 46,
        }
    }

    #[test]
    fn what_is_written_is_read_back_and_the_offsets_are_fixed() {
        let mut b = vec![0xee; HEADER + 2];
        sample().write(&mut b);
        assert_eq!(&b[..8], b"mcSc\x01\x02\x00\x02");
        assert_eq!(&b[8..16], &[1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!((b[23], b[40], b[41], b[44]), (7, 8, 46, 0xee));
        assert_eq!(Probe::parse(&b), Some(sample()));
        assert_eq!(Probe::parse(&b[..HEADER - 1]), None);
    }

    #[test]
    fn an_answer_is_no_longer_than_its_request_and_is_not_answered_again() {
        let mut b = vec![0; 400];
        sample().write(&mut b);
        assert_eq!(Probe::answer(&mut b, 64, 0), Some(HEADER));
        let reply = Probe::parse(&b).unwrap();
        assert_eq!((reply.kind, reply.run, reply.sequence, reply.ttl), (Kind::Reply, sample().run, 7, 64));
        assert_eq!(Probe::answer(&mut b, 64, 0), None);
    }
}
