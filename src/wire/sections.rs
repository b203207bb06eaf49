//! Sections that go on over several packets of a transport stream (ISO/IEC 13818-1 section 2.4.4): a large
//! PMT or SDT. Parts are kept by PID until the section is whole.
//!
//! | rule | source |
//! | --- | --- |
//! | a packet with unit start has a pointer: so many bytes end the section before | 2.4.4.2 |
//! | a section of PAT and PMT has 1024 bytes at most, so has one of the SDT | 2.4.4.3, EN 300 468 5.1.1 |
//! | a packet may come twice; one that is missing makes an end of the section | 2.4.3.3 |

use std::ops::Range;

use crate::wire::read::{be16, u8_at};
use crate::wire::ts::Packet;

/// Bytes of one section at most; a longer one is none that is read here.
pub const SECTION_MAX: usize = 1024;
/// PIDs on which a section is waited for at a time; the one waited for longest makes room.
pub const PARTS_MAX: usize = 2;
/// Bytes of a section that say how long it is.
const HEAD: usize = 3;

/// The begun section of one PID.
#[derive(Clone, Debug)]
struct Part {
    pid: u16,
    counter: u8,
    bytes: Vec<u8>,
}

/// The begun sections of one stream.
#[derive(Clone, Debug, Default)]
pub struct Sections {
    parts: Vec<Part>,
}

/// How long the section is that begins so; `None` while that is not said, and for one that is too long or
/// none at all.
fn length(b: &[u8]) -> Option<usize> {
    Some(HEAD + usize::from(be16(b, 1)? & 0x0fff))
}

/// Whether a section of the long form can begin here: it is no stuffing, and not too long.
fn begins(b: &[u8]) -> bool {
    let long = u8_at(b, 1).is_none_or(|c| c & 0x80 != 0);
    b.first().is_some_and(|id| *id != 0xff) && long && length(b).is_none_or(|n| n <= SECTION_MAX)
}

impl Sections {
    /// Bytes on the heap at most.
    pub const HEAP_MAX: usize = PARTS_MAX * (size_of::<Part>() + SECTION_MAX);

    /// Takes a packet of a PID that carries sections, and calls back with each section that is whole by it.
    /// Its checksum is not looked at.
    pub fn take(&mut self, b: &[u8], p: &Packet, mut whole: impl FnMut(&[u8])) {
        let part = self.parts.iter().position(|part| part.pid == p.pid);
        let Some(payload) = p.payload.clone().filter(|_| !p.error && p.scrambling == 0) else {
            // Without a payload there is nothing of it here; damaged or scrambled, it cannot be read on.
            if let Some(i) = part.filter(|_| p.error || p.payload.is_some()) {
                self.parts.remove(i);
            }
            return;
        };
        let mut at = payload.start;
        let mut before = payload.clone();
        if p.unit_start {
            let Some(pointer) = u8_at(b, at) else { return };
            at += 1;
            before = at..payload.end.min(at + usize::from(pointer));
            at = before.end;
        }
        if let Some(i) = part {
            let part = &mut self.parts[i];
            let step = p.counter.wrapping_sub(part.counter) & 0x0f;
            // The same packet once more.
            if step == 0 {
                return;
            }
            part.counter = p.counter;
            if step > 1 || part.grow(&b[before], &mut whole) || p.unit_start {
                self.parts.remove(i);
            }
        }
        if p.unit_start {
            self.begin(b, at..payload.end, p, whole);
        }
    }

    /// The sections that begin in a packet.
    fn begin(&mut self, b: &[u8], mut range: Range<usize>, p: &Packet, mut whole: impl FnMut(&[u8])) {
        while let Some(rest) = b.get(range.clone()).filter(|rest| begins(rest)) {
            let Some(section) = length(rest).and_then(|n| rest.get(..n)) else {
                if self.parts.len() == PARTS_MAX {
                    self.parts.remove(0);
                }
                self.parts.push(Part { pid: p.pid, counter: p.counter, bytes: rest.to_vec() });
                return;
            };
            whole(section);
            range.start += section.len();
        }
    }
}

impl Part {
    /// Adds what comes next; whether the section is done with: whole, or none after all.
    fn grow(&mut self, more: &[u8], whole: &mut impl FnMut(&[u8])) -> bool {
        let room = SECTION_MAX - self.bytes.len().min(SECTION_MAX);
        self.bytes.extend_from_slice(&more[..more.len().min(room)]);
        if !begins(&self.bytes) {
            return true;
        }
        let Some(section) = length(&self.bytes).and_then(|n| self.bytes.get(..n)) else { return false };
        whole(section);
        true
    }
}

/// The section that begins last in packet `p` and goes on in later packets of the same datagram, if all of it
/// is there; and how many packets it is in.
pub fn joined(b: &[u8], p: &Packet, all: impl Iterator<Item = Packet>) -> Option<(Vec<u8>, usize)> {
    let (mut sections, mut found, mut packets) = (Sections::default(), None, 1);
    sections.take(b, p, |_| {});
    if sections.parts.is_empty() {
        return None;
    }
    for next in all.filter(|next| next.pid == p.pid && next.at > p.at) {
        packets += usize::from(next.payload.is_some());
        sections.take(b, &next, |s| found = found.take().or_else(|| Some(s.to_vec())));
        if found.is_some() || sections.parts.is_empty() {
            break;
        }
    }
    found.map(|s| (s, packets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::psi::crc32;
    use crate::wire::ts;

    /// A section of `n` bytes in all.
    fn section(n: usize, mark: u8) -> Vec<u8> {
        let mut b = vec![2, 0xb0 | ((n - HEAD) >> 8) as u8, (n - HEAD) as u8, 0, mark, 0xc1, 0, 0];
        b.resize(n - 4, mark);
        b.extend(crc32(&b).to_be_bytes());
        b
    }

    /// The packets of one PID that carry these sections one right behind the other.
    pub(crate) fn packets(pid: u16, sections: &[Vec<u8>], first: u8) -> Vec<[u8; 188]> {
        let starts: Vec<usize> = sections
            .iter()
            .scan(0, |at, s| {
                *at += s.len();
                Some(*at - s.len())
            })
            .collect();
        let stream = sections.concat();
        let (mut out, mut at) = (Vec::new(), 0);
        while at < stream.len() {
            let begin = starts.iter().find(|&&s| s >= at && s < at + 183);
            let mut b = [0xff; 188];
            b[..4].copy_from_slice(&[
                0x47,
                (pid >> 8) as u8,
                pid as u8,
                0x10 | (first + out.len() as u8) & 15,
            ]);
            let head = if let Some(s) = begin {
                b[1] |= 0x40;
                b[4] = (s - at) as u8;
                5
            } else {
                4
            };
            let n = (188 - head).min(stream.len() - at);
            b[head..head + n].copy_from_slice(&stream[at..at + n]);
            out.push(b);
            at += n;
        }
        out
    }

    fn taken(all: &[[u8; 188]]) -> Vec<Vec<u8>> {
        let (mut s, mut found) = (Sections::default(), Vec::new());
        for b in all {
            s.take(b, &Packet::parse(b, 0).unwrap(), |section| found.push(section.to_vec()));
            assert!(s.parts.len() <= PARTS_MAX && s.parts.iter().all(|p| p.bytes.len() <= SECTION_MAX));
        }
        found
    }

    #[test]
    fn sections_over_several_packets_come_out_whole_and_one_right_behind_the_other() {
        for sizes in
            [&[100][..], &[183], &[184], &[1024], &[400, 30, 500], &[182, 190, 12, 700], &[1024, 1024]]
        {
            let all: Vec<_> = sizes.iter().zip(1..).map(|(n, mark)| section(*n, mark)).collect();
            assert_eq!(taken(&packets(256, &all, 14)), all, "{sizes:?}");
        }
    }

    #[test]
    fn a_packet_twice_does_no_harm_and_a_missing_one_makes_an_end() {
        let all = [section(700, 1), section(90, 2)];
        let sent = packets(256, &all, 0);
        let twice: Vec<_> = sent.iter().flat_map(|b| [*b, *b]).collect();
        assert_eq!(taken(&twice), all);
        for gone in 0..3 {
            let mut less = sent.clone();
            less.remove(gone);
            assert_eq!(taken(&less), [all[1].clone()], "without packet {gone}");
        }
    }

    #[test]
    fn lengths_that_cannot_be_are_not_waited_for() {
        let mut long = section(1024, 1);
        long[1] |= 0x0f;
        assert_eq!(taken(&packets(256, &[long], 0)), Vec::<Vec<u8>>::new());
        // A section begun on very many PIDs.
        let many: Vec<_> = (32..300).map(|pid| packets(pid, &[section(500, 1)], 0)[0]).collect();
        assert_eq!(taken(&many), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn within_one_datagram_a_section_is_joined() {
        let all = [section(500, 7)];
        let b = packets(256, &all, 0).concat();
        let first = Packet::parse(&b, 0).unwrap();
        assert_eq!(joined(&b, &first, ts::packets(&b)), Some((all[0].clone(), 3)));
        assert_eq!(joined(&b[..376], &first, ts::packets(&b[..376])), None);
    }
}
