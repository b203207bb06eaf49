//! Continuity of all numbered streams that one source mixes on one port.
//!
//! Wide counters (5 bits and more) have a [`SeqTracker`] each, with a window for what comes late. The
//! four bits of MPEG-TS (ISO/IEC 13818-1 2.4.3.3) allow no such window: a number that is not the next
//! one is a gap of `(number − expected) mod 16`, which is a lower bound; a packet that repeats the
//! one before is a duplicate and no gap.

use crate::base::time::Mono;
use crate::model::here::Here;
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
    value: u8,
}

/// The state of all streams of a source.
#[derive(Clone, Debug, Default)]
pub struct Continuity {
    wide: Vec<SeqTracker>,
    narrow: Vec<Narrow>,
    /// Of narrow counters, and of wide ones that were given up.
    others: SeqCounts,
    narrow_at: Mono,
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

    /// Takes the next number of a datagram. `again` says that the datagram's bytes are those of the
    /// one before.
    #[inline]
    pub(crate) fn offer(&mut self, s: SeqSample, at: Mono, again: bool, here: &mut Here) {
        if s.bits <= 4 {
            return self.offer_narrow(s, at, again, here);
        }
        if let Some(t) = self.wide.iter_mut().find(|t| t.stream() == s.stream) {
            t.offer(s, at, here);
            return;
        }
        if self.wide.len() == STREAMS_MAX {
            let quietest = (0..STREAMS_MAX).min_by_key(|&i| self.wide[i].last_at()).unwrap_or(0);
            let mut gone = self.wide.swap_remove(quietest);
            gone.settle(Mono(u64::MAX), here);
            self.others += gone.counts();
        }
        self.wide.push(SeqTracker::new(s, at));
    }

    fn offer_narrow(&mut self, s: SeqSample, at: Mono, again: bool, here: &mut Here) {
        let c = &mut self.others;
        let before = std::mem::replace(&mut self.narrow_at, at);
        let value = s.value as u8 & 0x0f;
        // Without a count it names the number that comes next.
        let last = if s.count == 0 { value.wrapping_sub(1) & 0x0f } else { value };
        let stream = s.stream as u16;
        let Some(n) = self.narrow.iter_mut().find(|n| n.stream == stream) else {
            if self.narrow.len() < PIDS_MAX {
                self.narrow.push(Narrow { stream, value: last });
            }
            return;
        };
        let missing = u64::from(value.wrapping_sub(n.value).wrapping_sub(1) & 0x0f);
        if again || (missing == 15 && s.count > 0) {
            c.duplicates += u64::from(s.count);
            return;
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
    }

    /// Calls lost what is not waited for any longer at `now`.
    pub(crate) fn settle(&mut self, now: Mono, here: &mut Here) {
        for s in &mut self.wide {
            s.settle(now, here);
        }
    }

    /// Forgets all streams and their counters.
    pub(crate) fn clear(&mut self) {
        self.wide.clear();
        self.narrow.clear();
        self.others = SeqCounts::default();
    }
}
