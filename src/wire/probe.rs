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
//! | 6 | 2 | flags: bit 0 asks for a multicast answer (ping only), bit 1 the padding is text, bit 2 a report follows the header (reply only) |
//! | 8 | 8 | run id, random for each run of a sender |
//! | 16 | 8 | sequence, from 0 |
//! | 24 | 8 | wall-clock send time, ns since 1970 |
//! | 32 | 8 | monotonic send time, ns |
//! | 40 | 1 | TTL or hop limit it was sent with |
//! | 41 | 1 | DSCP it was sent with (0 to 63) |
//! | 42 | 2 | reserved, 0 |
//! | 44 | – | padding, text or report |
//!
//! A reply is the request with kind 3 and with the TTL and DSCP that the reply was sent with: run,
//! sequence and both times come back as they were, so that the asker needs no state. It is cut to
//! the header where the request was longer, never longer than the request.
//!
//! To a ping of at least [`WITH_REPORT`] bytes the answer carries a [`Report`] of what the responder
//! has heard of this run, so that the asker can tell the loss on the way there from that on the way
//! back. Who does not know of it ignores the flag and what follows the header.
//!
//! | offset | bytes | field of the report |
//! | --- | --- | --- |
//! | 44 | 8 | responder id, random for each run of a responder |
//! | 52 | 8 | the lowest number heard of this run |
//! | 60 | 8 | how many distinct numbers were heard, this one included |
//! | 68 | 8 | time from the request's arrival to this answer, ns |
//! | 76 | 4 | answers of this run withheld by the responder's rate limit |
//! | 80 | 1 | TTL or hop limit that the request arrived with, 0 if unknown |
//! | 81 | 1 | DSCP that the request arrived with, 255 if unknown |
//! | 82 | 2 | reserved, 0 |

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

/// Flag: a [`Report`] follows the header.
pub const FLAG_REPORT: u16 = 4;
/// Length of a reply with its report, and so of the shortest ping that gets one, in bytes.
pub const WITH_REPORT: usize = HEADER + 40;

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

/// What a responder says of the run that it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Which responder, for as long as it runs: several may share an address.
    pub responder: u64,
    /// The lowest number that it heard of this run.
    pub first: u64,
    /// Distinct numbers that it heard of this run, the answered one included.
    pub heard: u64,
    /// From the request's arrival to the sending of this answer, in nanoseconds.
    pub stay_ns: u64,
    /// Answers of this run that its rate limit withheld.
    pub withheld: u32,
    /// TTL or hop limit that the request arrived with.
    pub ttl: Option<u8>,
    /// DSCP that the request arrived with.
    pub dscp: Option<u8>,
}

impl Report {
    /// Reads the report of a reply; `None` if it has none.
    pub fn parse(b: &[u8]) -> Option<Report> {
        let probe = Probe::parse(b)?;
        if probe.kind != Kind::Reply || probe.flags & FLAG_REPORT == 0 {
            return None;
        }
        let r: &[u8; WITH_REPORT - HEADER] = b.get(HEADER..WITH_REPORT)?.try_into().ok()?;
        let u64_at = |at: usize| u64::from_be_bytes(r[at..at + 8].try_into().expect("eight bytes"));
        Some(Report {
            responder: u64_at(0),
            first: u64_at(8),
            heard: u64_at(16),
            stay_ns: u64_at(24),
            withheld: u32::from_be_bytes([r[32], r[33], r[34], r[35]]),
            ttl: (r[36] != 0).then_some(r[36]),
            dscp: (r[37] < 64).then_some(r[37]),
        })
    }

    /// Turns a ping into its answer with this report, in place, as [`Probe::answer`] does; a test, and a
    /// ping too short for it, is answered without.
    pub fn answer(&self, datagram: &mut [u8], ttl: u8, dscp: u8) -> Option<usize> {
        let fits = datagram.len() >= WITH_REPORT;
        let ping = Probe::parse(datagram).is_some_and(|p| p.kind == Kind::Ping);
        let length = Probe::answer(datagram, ttl, dscp)?;
        if !ping || !fits {
            return Some(length);
        }
        datagram[6..8].copy_from_slice(&FLAG_REPORT.to_be_bytes());
        let r = &mut datagram[HEADER..WITH_REPORT];
        r[..8].copy_from_slice(&self.responder.to_be_bytes());
        r[8..16].copy_from_slice(&self.first.to_be_bytes());
        r[16..24].copy_from_slice(&self.heard.to_be_bytes());
        r[24..32].copy_from_slice(&self.stay_ns.to_be_bytes());
        r[32..36].copy_from_slice(&self.withheld.to_be_bytes());
        r[36] = self.ttl.unwrap_or(0);
        r[37] = self.dscp.unwrap_or(u8::MAX);
        r[38..].fill(0);
        Some(WITH_REPORT)
    }
}

/// The row of the table of protocols.
pub static PROTOCOL: Protocol = Protocol {
    id: "probe",
    name: "probe",
    mark: "mcscope's own mark at its head",
    detect,
    preview,
    fields,
    sequence: Some(sequence),
};

fn detect(b: &[u8], _: &Hint) -> Option<Confidence> {
    Probe::parse(b).map(|_| Confidence::Certain)
}

fn preview(b: &[u8], out: &mut String) {
    line(out, |l| {
        let p = Probe::parse(b)?;
        put!(l, "probe {} seq {}  run {:08x}", p.kind.word(), p.sequence, p.run as u32);
        if let Some(r) = Report::parse(b) {
            put!(l, "  heard {} from {} on", r.heard, r.first);
        } else if p.flags & FLAG_TEXT != 0 {
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
        if let Some(r) = Report::parse(b) {
            t.add(44..52, "responder", format_args!("{:016x}", r.responder));
            t.add(52..60, "lowest number heard", r.first);
            t.add(60..68, "numbers heard", r.heard);
            t.add(68..76, "time to answer", format_args!("{} ns", r.stay_ns));
            t.add(76..80, "answers withheld", r.withheld);
            t.add(80..81, "TTL on arrival", b[80]);
            t.add(81..82, "DSCP on arrival", b[81]);
            t.rest(WITH_REPORT, "padding");
        } else if p.flags & FLAG_TEXT != 0 {
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

    #[test]
    fn a_report_goes_to_pings_that_have_room_for_it_and_to_nothing_else() {
        let report = Report {
            responder: 0x1112_1314_1516_1718,
            first: 2,
            heard: 5,
            stay_ns: 70_000,
            withheld: 1,
            ttl: Some(7),
            dscp: None,
        };
        let mut b = vec![0xee; 400];
        sample().write(&mut b);
        assert_eq!(Report::parse(&b), None, "a ping has none");
        assert_eq!(report.answer(&mut b, 64, 0), Some(WITH_REPORT));
        assert_eq!(Report::parse(&b[..WITH_REPORT]), Some(report));
        assert_eq!((b[44], b[59], b[67], b[80], b[81]), (0x11, 2, 5, 7, 255));
        assert_eq!(Report::parse(&b[..WITH_REPORT - 1]), None);
        assert_eq!(Probe::parse(&b).map(|p| (p.kind, p.flags)), Some((Kind::Reply, FLAG_REPORT)));
        let mut short = vec![0; WITH_REPORT - 1];
        sample().write(&mut short);
        assert_eq!(report.answer(&mut short, 64, 0), Some(HEADER));
        let mut test = vec![0; 400];
        Probe { kind: Kind::Test, ..sample() }.write(&mut test);
        assert_eq!(report.answer(&mut test, 64, 0), Some(HEADER));
        assert_eq!(Report::parse(&test), None);
    }
}
