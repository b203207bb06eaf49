//! Continuity of all numbered streams that one source mixes on one port.
//!
//! Wide counters (5 bits and more) have a [`SeqTracker`] each, with a window for what comes late. The
//! four bits of MPEG-TS (ISO/IEC 13818-1 2.4.3.3) allow no such window: a number that is not the next
//! one is a gap of `(number − expected) mod 16`, which is a lower bound; a packet that repeats the
//! one before, in its bytes too, is a duplicate and no gap.
//!
//! Of MPEG-TS, ffmpeg's continuity check and tshark's analysis find as many packets missing (the tests
//! compare them), with these differences:
//! * A number repeated with the same bytes, which is legal once, is a duplicate here, nothing to tshark, a
//!   fault to ffmpeg. With other bytes it is fifteen lost in a row here; tshark does not tell that apart. A
//!   whole datagram twice in a row is duplicates here; the others
//!   see each PID step back and call that missing.
//! * A packet without payload has no number of its own and is not looked at. ffmpeg compares its copy of
//!   the last number, so that a gap around it is two; to tshark it is the missing packet itself, and the
//!   gap is one less.
//! * After a discontinuity that the sender announces nothing is missing, as ffmpeg has it; tshark does
//!   not look at the indicator.
//! * A packet marked as damaged (transport error) is missing: its PID and number may be damaged too. The
//!   others trust them.
//! * All PIDs are followed; by ffmpeg only those that a table named.

use crate::base::time::Mono;
use crate::model::here::{Here, Place};
use crate::model::sequence::{SeqCounts, SeqTracker};
use crate::wire::SeqSample;

/// Streams (SSRC, writer, run …) of one source whose continuity is followed; the longest quiet one
/// makes room for another.
pub const STREAMS_MAX: usize = 8;
/// PIDs of one source whose continuity is followed; packets of further ones are not.
pub const PIDS_MAX: usize = 256;

/// A counter of up to four bits.
#[derive(Clone, Copy, Debug)]
struct Narrow {
    stream: u16,
    /// Of the packet with the last number.
    mark: u16,
    value: u8,
}

/// Bytes that a PID costs.
#[cfg(test)]
pub(crate) const NARROW_BYTES: usize = size_of::<Narrow>();

/// The state of all streams of a source.
#[derive(Clone, Debug, Default)]
pub struct Continuity {
    wide: Vec<SeqTracker>,
    narrow: Vec<Narrow>,
    /// Of narrow counters, and of wide ones that were given up.
    others: SeqCounts,
    narrow_at: Mono,
    /// The narrow numbers of the datagram at hand, after it of the last one, folded.
    folded: u64,
}

impl Continuity {
    /// Whether nothing was followed yet.
    pub fn is_empty(&self) -> bool {
        self.wide.is_empty() && self.narrow.is_empty()
    }

    /// The streams that are followed one by one.
    pub fn streams(&self) -> &[SeqTracker] {
        &self.wide
    }

    /// The PIDs that are followed.
    pub fn pid_list(&self) -> impl Iterator<Item = u16> + '_ {
        self.narrow.iter().map(|n| n.stream)
    }

    /// Number of PIDs that are followed.
    pub fn pids(&self) -> usize {
        self.narrow.len()
    }

    /// All streams together.
    pub fn counts(&self) -> SeqCounts {
        let mut sum = self.others;
        for s in &self.wide {
            sum += s.counts();
        }
        sum
    }

    /// A datagram begins whose numbers `read` tells; those of the last one are forgotten. Returns whether
    /// it repeats the last one: its first bytes do (`alike`), its narrow numbers are the same in the same
    /// order, and they do not carry on from the last one. The bytes alone do not say it, as stuffing is
    /// always alike; nor do the numbers where a datagram holds whole turns of the counter.
    pub(crate) fn begin(&mut self, alike: bool, read: impl FnOnce(&mut dyn FnMut(SeqSample))) -> bool {
        let last = std::mem::take(&mut self.folded);
        if !alike || self.narrow.is_empty() {
            return false;
        }
        let (mut now, mut carries_on) = (0, None);
        let narrow = &self.narrow;
        read(&mut |s| {
            now = fold(now, s);
            carries_on.get_or_insert_with(|| {
                let of = narrow.iter().find(|n| u64::from(n.stream) == s.stream);
                of.is_none_or(|n| s.value as u8 & 0x0f == n.value.wrapping_add(1) & 0x0f)
            });
        });
        now == last && carries_on == Some(false)
    }

    /// Takes the next number of a datagram. `again` says that it repeats the one before
    /// ([`Continuity::begin`]). True if it is the next one of its stream, which moves nothing but
    /// `expected` and `received`.
    #[inline]
    pub(crate) fn offer(&mut self, s: SeqSample, at: Mono, again: bool, here: &mut Here) -> bool {
        if s.bits <= 4 {
            return self.offer_narrow(s, at, again, here);
        }
        if let Some(t) = self.wide.iter_mut().find(|t| t.stream() == s.stream) {
            return t.offer(s, at, here);
        }
        if self.wide.len() == STREAMS_MAX {
            let quietest = (0..STREAMS_MAX).min_by_key(|&i| self.wide[i].last_at()).unwrap_or(0);
            let mut gone = self.wide.swap_remove(quietest);
            gone.settle(Mono(u64::MAX), here);
            self.others += gone.counts();
        }
        self.wide.push(SeqTracker::new(s, at));
        false
    }

    fn offer_narrow(&mut self, s: SeqSample, at: Mono, again: bool, here: &mut Here) -> bool {
        self.folded = fold(self.folded, s);
        let c = &mut self.others;
        let before = std::mem::replace(&mut self.narrow_at, at);
        let value = s.value as u8 & 0x0f;
        // Without a count it names the number that comes next.
        let last = if s.count == 0 { value.wrapping_sub(1) & 0x0f } else { value };
        let stream = s.stream as u16;
        let Some(n) = self.narrow.iter_mut().find(|n| n.stream == stream) else {
            if self.narrow.len() < PIDS_MAX {
                self.narrow.push(Narrow { stream, mark: s.mark, value: last });
            }
            return false;
        };
        let missing = u64::from(value.wrapping_sub(n.value).wrapping_sub(1) & 0x0f);
        // The last number again is the same packet twice, or all of a turn but one is missing; its bytes tell.
        // After an announced jump any number may come, the last one too.
        let before_again = missing == 15 && s.count > 0 && !s.restart && s.mark == n.mark;
        if again || before_again {
            c.duplicates += u64::from(s.count);
            return false;
        }
        if missing > 0 && !s.restart {
            let placed = here.claim(before, at, missing);
            c.lost += missing - placed.here - placed.unclear;
            c.lost_here += placed.here;
            c.lost_unclear += placed.unclear;
            c.gaps += 1;
            c.longest_gap = c.longest_gap.max(missing);
        }
        n.value = last;
        if s.count > 0 {
            n.mark = s.mark;
        }
        missing == 0 || s.restart
    }

    /// Whether a number is missing that may still come.
    pub(crate) fn waits(&self) -> bool {
        self.wide.iter().any(SeqTracker::waits)
    }

    /// Calls lost what is not waited for any longer at `now`.
    pub(crate) fn settle(&mut self, now: Mono, here: &mut Here) {
        for s in &mut self.wide {
            s.settle(now, here);
        }
    }

    /// Puts missing numbers elsewhere; returns how many were not there.
    pub(crate) fn correct(&mut self, from: Place, to: Place, count: u64) -> u64 {
        let left = self.others.put(from, to, count);
        self.wide.iter_mut().fold(left, |left, t| t.correct(from, to, left))
    }

    /// Forgets all streams and their counters.
    pub(crate) fn clear(&mut self) {
        self.wide.clear();
        self.narrow.clear();
        self.others = SeqCounts::default();
        self.folded = 0;
    }
}

/// Adds a narrow number to what was folded of those before it (FNV-1a over words).
fn fold(before: u64, s: SeqSample) -> u64 {
    let word = u64::from(s.mark) << 32
        | s.stream << 6
        | u64::from(s.count.min(1)) << 5
        | u64::from(s.restart) << 4
        | s.value & 0x0f;
    (before ^ (word + 1)).wrapping_mul(0x0000_0100_0000_01b3)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The counts after datagrams of one PID, all of them with the same first bytes.
    fn counts(datagrams: &[std::ops::Range<u64>]) -> SeqCounts {
        let (mut c, mut here) = (Continuity::default(), Here::default());
        for (i, d) in datagrams.iter().enumerate() {
            let tell = |f: &mut dyn FnMut(SeqSample)| {
                d.clone().for_each(|v| f(SeqSample::one(256, v & 0x0f, 4)));
            };
            let again = c.begin(i > 0, tell);
            tell(&mut |s| _ = c.offer(s, Mono(i as u64), again, &mut here));
        }
        c.counts()
    }

    #[test]
    fn the_last_number_again_is_a_repeat_only_with_the_same_bytes() {
        let said = |marks: &[u16]| {
            let (mut c, mut here) = (Continuity::default(), Here::default());
            for (i, &mark) in marks.iter().enumerate() {
                let s = SeqSample { mark, ..SeqSample::one(256, 7, 4) };
                c.offer(s, Mono(i as u64), false, &mut here);
            }
            let c = c.counts();
            (c.lost, c.gaps, c.duplicates)
        };
        assert_eq!(said(&[5, 5]), (0, 0, 1));
        assert_eq!(said(&[5, 6]), (15, 1, 0));
        assert_eq!(said(&[5, 6, 6, 5]), (30, 2, 1));
    }

    #[test]
    fn datagrams_that_begin_alike_are_repeats_only_if_their_numbers_are() {
        let said = |d: &[std::ops::Range<u64>]| {
            let c = counts(d);
            (c.lost, c.gaps, c.duplicates)
        };
        assert_eq!(said(&[0..7, 7..14, 14..21]), (0, 0, 0));
        assert_eq!(said(&[0..7, 7..14, 7..14, 14..21]), (0, 0, 7));
        assert_eq!(said(&[0..7, 14..21, 21..28]), (7, 1, 0));
        // Whole turns of the counter: the same numbers each time, and nothing came twice.
        assert_eq!(said(&[0..16, 16..32, 32..48]), (0, 0, 0));
        assert_eq!(said(&[0..32, 32..64]), (0, 0, 0));
    }
}
