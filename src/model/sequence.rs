//! Continuity of one numbered stream: what is missing, what came twice, what came late.
//!
//! * `lost` is the number of distinct numbers missing between the first and the highest seen. A
//!   missing number counts once it is older than [`REORDER_NS`]; if it comes later after all, it
//!   stops counting. A duplicate never offsets a loss.
//! * `duplicates` is how often a number was seen again.
//! * `reordered` is how many arrived after a higher number (RFC 4737), also those that fill a gap.
//!
//! * A missing number is the network's (`lost`), this host's (`lost_here`) or either's
//!   (`lost_unclear`): [`crate::model::here`] says which.
//!
//! A number far from what is expected is believed only when the next one follows it: then the
//! sender restarted (RFC 3550 appendix A.1 does the same). Until then it is a stray.

use crate::base::time::{Mono, SECOND_NS};
use crate::model::here::Here;
use crate::wire::SeqSample;

/// A missing number is not called lost before this many nanoseconds have passed.
pub const REORDER_NS: u64 = SECOND_NS / 5;

/// Numbers behind the highest that are remembered one by one.
const WINDOW: u64 = 2048;
const WORDS: usize = (WINDOW / 64) as usize;
/// Gaps young enough to be filled that are remembered; an older one is lost at once when more come.
const PENDING: usize = 12;
/// A jump ahead of up to this many numbers is always loss (RFC 3550's MAX_DROPOUT).
const MAX_DROPOUT: u64 = 3000;
/// Numbers in a row that make a stream "seen whole": until then, or for [`START_NS`], losses may come
/// from the way being set up.
const START_RUN: u8 = 16;
const START_NS: u64 = SECOND_NS;

/// Exact counters of continuity; they add up over the streams of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeqCounts {
    /// Numbers missing on the way here that will not be waited for any longer.
    pub lost: u64,
    /// Numbers missing that this host dropped.
    pub lost_here: u64,
    /// Numbers missing that this host or the network dropped.
    pub lost_unclear: u64,
    /// How many of all these went missing before the stream was first seen whole: the tree may not
    /// have been built yet, or the sender was starting.
    pub lost_at_start: u64,
    /// Numbers seen again.
    pub duplicates: u64,
    /// Numbers that came after a higher one.
    pub reordered: u64,
    /// Gaps, however long.
    pub gaps: u64,
    /// The longest gap, in numbers.
    pub longest_gap: u64,
    /// Times the sender began anew.
    pub restarts: u32,
    /// Numbers far off that nothing followed.
    pub strays: u32,
    /// Numbers from the first received to the highest (RFC 3550 appendix A.3).
    pub expected: u64,
    /// Numbers received, duplicates and late ones too (RFC 3550 appendix A.3).
    pub received: u64,
}

impl SeqCounts {
    /// RFC 3550's "cumulative number of packets lost": expected less received, below 0 where
    /// duplicates outweigh the losses (appendix A.3). Only RTP has it.
    ///
    /// It is what tshark prints as lost (`-z rtp,streams`), but for three of its ways: it counts up to the
    /// last number that came where the RFC takes the highest; it takes the wrap for a second one when late
    /// numbers come around it, and has 65,536 more; and a restart is no new count there.
    pub fn rfc3550_lost(&self) -> i64 {
        self.expected.wrapping_sub(self.received) as i64
    }

    /// All numbers missing, wherever they went.
    pub fn missing(&self) -> u64 {
        self.lost + self.lost_here + self.lost_unclear
    }
}

impl std::ops::AddAssign for SeqCounts {
    fn add_assign(&mut self, o: SeqCounts) {
        self.lost += o.lost;
        self.lost_here += o.lost_here;
        self.lost_unclear += o.lost_unclear;
        self.lost_at_start += o.lost_at_start;
        self.expected = self.expected.wrapping_add(o.expected);
        self.received = self.received.wrapping_add(o.received);
        self.duplicates += o.duplicates;
        self.reordered += o.reordered;
        self.gaps += o.gaps;
        self.longest_gap = self.longest_gap.max(o.longest_gap);
        self.restarts += o.restarts;
        self.strays += o.strays;
    }
}

#[derive(Clone, Copy, Debug)]
struct Gap {
    /// When the number behind it came, and the one before it.
    at: Mono,
    before: Mono,
    first: u64,
    len: u64,
    open: u64,
}

/// The state of one stream.
#[derive(Clone, Debug)]
pub struct SeqTracker {
    stream: u64,
    bits: u8,
    /// The first and the highest number, unwrapped to 64 bits.
    base: u64,
    highest: u64,
    seen: [u64; WORDS],
    pending: [Option<Gap>; PENDING],
    /// The number that would confirm a restart.
    probation: Option<u64>,
    counts: SeqCounts,
    first_at: Mono,
    last_at: Mono,
    /// The first number received, which stays the first for RFC 3550's sake.
    received_first: u64,
    /// Numbers in a row, up to [`START_RUN`].
    run: u8,
    /// When the stream was first seen whole.
    whole_at: Option<Mono>,
}

impl SeqTracker {
    /// Begins with the first number of a stream.
    pub fn new(s: SeqSample, at: Mono) -> Self {
        let mut t = SeqTracker {
            stream: s.stream,
            bits: s.bits.clamp(1, 64),
            base: 0,
            highest: 0,
            seen: [0; WORDS],
            pending: [None; PENDING],
            probation: None,
            counts: SeqCounts::default(),
            first_at: at,
            last_at: at,
            received_first: 0,
            run: 0,
            whole_at: None,
        };
        t.begin(s, at);
        t.counts.received = u64::from(s.count);
        t
    }

    /// The stream this tracker follows.
    pub fn stream(&self) -> u64 {
        self.stream
    }

    /// When its last number came.
    pub fn last_at(&self) -> Mono {
        self.last_at
    }

    fn begin(&mut self, s: SeqSample, at: Mono) {
        // Far from 0, so that numbers before the first can be told from wrapped ones.
        self.base = s.value.wrapping_add(if self.bits < 64 { 1 << self.bits } else { 0 });
        self.highest = self.base.wrapping_add(u64::from(s.count)).wrapping_sub(1);
        self.seen = [u64::MAX; WORDS];
        self.pending = [None; PENDING];
        self.first_at = at;
        self.received_first = self.base;
    }

    /// What RFC 3550 would have expected since the last restart.
    fn expected(&self) -> u64 {
        self.highest.wrapping_sub(self.received_first).wrapping_add(1)
    }

    /// Ends the count of a run before a restart; what is waited for is decided.
    fn close(&mut self, here: &mut Here) {
        self.counts.expected = self.counts.expected.wrapping_add(self.expected());
        for i in 0..PENDING {
            if let Some(g) = self.pending[i].take() {
                self.lose(&g, here);
            }
        }
        self.probation = None;
    }

    fn lose(&mut self, g: &Gap, here: &mut Here) {
        let placed = here.claim(g.before, g.at, g.open);
        self.counts.lost += g.open - placed.here - placed.unclear;
        self.counts.lost_here += placed.here;
        self.counts.lost_unclear += placed.unclear;
        let start = match self.whole_at {
            Some(whole) => g.at < whole,
            None => g.at.since(self.first_at) < START_NS,
        };
        if start {
            self.counts.lost_at_start += g.open;
        }
    }

    fn mask(&self) -> u64 {
        if self.bits == 64 { u64::MAX } else { (1 << self.bits) - 1 }
    }

    /// How far back a number may be and still be "late" and not "far ahead" or a restart.
    fn reach(&self) -> u64 {
        match self.bits {
            0..=4 => 1,
            // E1.31 section 6.7.2 gives 20 for its 8 bits.
            5..=8 => 20,
            9..=16 => 1000,
            _ => WINDOW,
        }
    }

    /// How far ahead a number may be and still be loss: what the time since the last one makes
    /// plausible at the rate seen so far, four times over.
    fn dropout(&self, at: Mono) -> u64 {
        let range = self.mask() - self.reach().min(self.mask());
        let numbers = self.highest.wrapping_sub(self.base).max(1);
        let per_number = (self.last_at.since(self.first_at) / numbers).max(1);
        (MAX_DROPOUT + 4 * (at.since(self.last_at) / per_number).min(1 << 40)).min(range)
    }

    /// Takes the next number in the order of arrival.
    pub fn offer(&mut self, s: SeqSample, at: Mono, here: &mut Here) {
        let next = self.highest.wrapping_add(1);
        let ahead = s.value.wrapping_sub(next) & self.mask();
        if ahead == 0 && s.count == 1 && !s.restart {
            // Nearly all there is: the next one.
            self.counts.received += 1;
            self.probation = None;
            self.highest = next;
            self.set(next, true);
            self.last_at = at;
            if self.whole_at.is_none() {
                self.run += 1;
                if self.run >= START_RUN {
                    self.whole_at = Some(at);
                }
            }
            return;
        }
        self.run = 0;
        if s.restart {
            self.close(here);
            self.begin(s, at);
            self.counts.received += u64::from(s.count);
            self.last_at = at;
            return;
        }
        let behind = self.mask().wrapping_sub(ahead).wrapping_add(1) & self.mask();
        if behind != 0 && behind <= self.reach() {
            self.late(behind, at, here);
        } else if ahead <= self.dropout(at) {
            self.forward(ahead, u64::from(s.count), at, here);
        } else if self.probation == Some(s.value) {
            self.counts.restarts += 1;
            self.counts.strays = self.counts.strays.saturating_sub(1);
            self.close(here);
            let before = SeqSample { value: s.value.wrapping_sub(1) & self.mask(), count: 1, ..s };
            self.begin(before, at);
            self.counts.received += 1;
            self.forward(0, u64::from(s.count), at, here);
        } else {
            self.counts.strays += 1;
            self.probation = Some(s.value.wrapping_add(u64::from(s.count)) & self.mask());
            return;
        }
        self.counts.received += u64::from(s.count);
        self.last_at = at;
    }

    fn forward(&mut self, gap: u64, count: u64, at: Mono, here: &mut Here) {
        self.probation = None;
        let next = self.highest.wrapping_add(1);
        if gap > 0 {
            self.counts.gaps += 1;
            self.counts.longest_gap = self.counts.longest_gap.max(gap);
            self.remember(Gap { at, before: self.last_at, first: next, len: gap, open: gap }, here);
        }
        for k in 0..gap.min(WINDOW) {
            self.set(next.wrapping_add(gap - 1 - k), false);
        }
        for k in 0..count.min(WINDOW) {
            self.set(next.wrapping_add(gap + count - 1 - k), true);
        }
        self.highest = self.highest.wrapping_add(gap + count);
    }

    fn late(&mut self, behind: u64, at: Mono, here: &mut Here) {
        let number = self.highest.wrapping_add(1).wrapping_sub(behind);
        let before_first = self.base.wrapping_sub(number);
        if before_first != 0 && before_first <= self.reach() {
            // Older than the first seen: the stream began earlier than it seemed.
            self.counts.reordered += 1;
            if before_first > 1 {
                let open = before_first - 1;
                let first = number.wrapping_add(1);
                self.remember(Gap { at, before: self.last_at, first, len: open, open }, here);
                for k in 1..before_first {
                    self.set(number.wrapping_add(k), false);
                }
            }
            self.base = number;
            self.set(number, true);
        } else if self.get(number) {
            self.counts.duplicates += 1;
        } else {
            self.counts.reordered += 1;
            self.set(number, true);
            self.fill(number);
        }
    }

    fn fill(&mut self, number: u64) {
        for slot in &mut self.pending {
            if let Some(g) = slot
                && number.wrapping_sub(g.first) < g.len
            {
                g.open -= 1;
                if g.open == 0 {
                    *slot = None;
                }
                return;
            }
        }
        // It was lost already. What comes late was held up on the way, not dropped here.
        let c = &mut self.counts;
        for lost in [&mut c.lost, &mut c.lost_unclear, &mut c.lost_here] {
            if *lost > 0 {
                *lost -= 1;
                break;
            }
        }
        c.lost_at_start = c.lost_at_start.min(c.missing());
    }

    fn remember(&mut self, gap: Gap, here: &mut Here) {
        self.settle(gap.at, here);
        let slot = match self.pending.iter().position(Option::is_none) {
            Some(free) => free,
            None => {
                let oldest = (0..PENDING).min_by_key(|&i| self.pending[i].map(|g| g.at)).unwrap_or(0);
                if let Some(g) = self.pending[oldest].take() {
                    self.lose(&g, here);
                }
                oldest
            }
        };
        self.pending[slot] = Some(gap);
    }

    /// Calls lost what has been missing for longer than [`REORDER_NS`] at `now`.
    pub fn settle(&mut self, now: Mono, here: &mut Here) {
        for i in 0..PENDING {
            if let Some(g) = self.pending[i]
                && now.since(g.at) >= REORDER_NS
            {
                self.pending[i] = None;
                self.lose(&g, here);
            }
        }
    }

    /// The counters as of the last [`SeqTracker::settle`].
    pub fn counts(&self) -> SeqCounts {
        SeqCounts { expected: self.counts.expected.wrapping_add(self.expected()), ..self.counts }
    }

    fn set(&mut self, number: u64, seen: bool) {
        let (word, bit) = ((number / 64) as usize % WORDS, number % 64);
        if seen {
            self.seen[word] |= 1 << bit;
        } else {
            self.seen[word] &= !(1 << bit);
        }
    }

    fn get(&self, number: u64) -> bool {
        self.seen[(number / 64) as usize % WORDS] >> (number % 64) & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(bits: u8, values: &[u64]) -> SeqCounts {
        let sample = |value| SeqSample { stream: 0, value, bits, count: 1, restart: false };
        let here = &mut Here::default();
        let mut t = SeqTracker::new(sample(values[0]), Mono(0));
        for (i, &v) in values.iter().enumerate().skip(1) {
            t.offer(sample(v), Mono(i as u64 * 1_000_000), here);
        }
        t.settle(Mono(u64::MAX), here);
        t.counts()
    }

    #[test]
    fn a_clean_stream_through_the_wrap_loses_nothing() {
        for bits in [4u8, 8, 16, 32] {
            let top = 1u64 << bits;
            let values: Vec<u64> = (0..40).map(|i| (2 * top - 9 + i) % top).collect();
            assert_eq!(run(bits, &values), clean(40), "{bits} bits");
        }
        let values: Vec<u64> = (0..40u64).map(|i| (u64::MAX - 20).wrapping_add(i)).collect();
        assert_eq!(run(64, &values), clean(40));
    }

    fn clean(n: u64) -> SeqCounts {
        SeqCounts { expected: n, received: n, ..SeqCounts::default() }
    }

    #[test]
    fn rfc_3550_takes_duplicates_for_what_was_expected() {
        // Two lost, three duplicates: cumulative loss of -1 (appendix A.3).
        let c = run(16, &[65534, 65535, 0, 0, 0, 3, 4, 4]);
        assert_eq!((c.rfc3550_lost(), c.lost, c.duplicates), (-1, 2, 3));
        // A restart begins a new count.
        let c = run(16, &[100, 101, 103, 40_000, 40_001, 40_003]);
        assert_eq!((c.rfc3550_lost(), c.lost, c.restarts), (2, 2, 1));
    }

    #[test]
    fn a_gap_with_drops_here_across_it_is_put_down_to_this_host() {
        let sample = |value| SeqSample { stream: 0, value, bits: 16, count: 1, restart: false };
        let here = &mut Here::default();
        let mut t = SeqTracker::new(sample(1), Mono(0));
        here.moved(Mono(5), Mono(15), 2, true);
        t.offer(sample(5), Mono(10), here);
        t.offer(sample(7), Mono(20), here);
        t.settle(Mono(u64::MAX), here);
        let c = t.counts();
        assert_eq!((c.lost, c.lost_here, c.lost_unclear, c.missing()), (2, 2, 0, 4));
    }

    #[test]
    fn losses_before_a_stream_was_seen_whole_are_kept_apart() {
        let values: Vec<u64> = (0..100).filter(|n| ![3, 4, 9, 60].contains(n)).collect();
        let c = run(16, &values);
        assert_eq!((c.lost, c.lost_at_start), (4, 3));
    }

    #[test]
    fn lost_counts_numbers_not_gaps_and_duplicates_do_not_offset_it() {
        let c = run(16, &[1, 2, 2, 2, 6, 7, 9]);
        assert_eq!((c.lost, c.gaps, c.longest_gap, c.duplicates, c.reordered), (4, 2, 3, 2, 0));
    }

    #[test]
    fn late_is_reordered_and_not_lost() {
        let c = run(16, &[1, 3, 2, 4, 6, 5, 7]);
        assert_eq!((c.lost, c.reordered, c.duplicates), (0, 2, 0));
        let c = run(16, &[5, 4, 6, 7]);
        assert_eq!((c.lost, c.reordered), (0, 1));
    }

    #[test]
    fn what_comes_after_it_was_called_lost_is_lost_no_longer() {
        let sample = |value| SeqSample { stream: 0, value, bits: 16, count: 1, restart: false };
        let here = &mut Here::default();
        let mut t = SeqTracker::new(sample(1), Mono(0));
        t.offer(sample(3), Mono(1), here);
        t.settle(Mono(REORDER_NS + 1), here);
        assert_eq!(t.counts().lost, 1);
        t.offer(sample(2), Mono(REORDER_NS + 2), here);
        assert_eq!((t.counts().lost, t.counts().reordered), (0, 1));
    }

    #[test]
    fn a_missing_number_is_waited_for_before_it_is_lost() {
        let sample = |value| SeqSample { stream: 0, value, bits: 16, count: 1, restart: false };
        let here = &mut Here::default();
        let mut t = SeqTracker::new(sample(1), Mono(0));
        t.offer(sample(3), Mono(1), here);
        t.settle(Mono(REORDER_NS - 1), here);
        assert_eq!(t.counts().lost, 0);
    }

    #[test]
    fn a_restart_is_no_loss_and_a_stray_is_neither() {
        let mut values: Vec<u64> = (50_000..50_100).collect();
        values.extend(100..200);
        let c = run(16, &values);
        assert_eq!((c.lost, c.restarts, c.strays), (0, 1, 0));
        let mut values: Vec<u64> = (50_000..50_100).collect();
        values.push(7);
        values.extend(50_100..50_200);
        let c = run(16, &values);
        assert_eq!((c.lost, c.restarts, c.strays), (0, 0, 1));
    }

    #[test]
    fn a_restart_that_the_sender_announces_is_no_loss() {
        let sample = |value, restart| SeqSample { stream: 0, value, bits: 32, count: 1, restart };
        let here = &mut Here::default();
        let mut t = SeqTracker::new(sample(1, false), Mono(0));
        for (i, (value, restart)) in [(2, false), (500, true), (501, false)].into_iter().enumerate() {
            t.offer(sample(value, restart), Mono(i as u64), here);
        }
        t.settle(Mono(u64::MAX), here);
        assert_eq!(t.counts(), clean(4));
    }

    #[test]
    fn a_long_outage_of_a_fast_stream_is_loss() {
        let sample = |value| SeqSample { stream: 0, value, bits: 16, count: 1, restart: false };
        let here = &mut Here::default();
        let mut t = SeqTracker::new(sample(0), Mono(0));
        for i in 1..1000u64 {
            t.offer(sample(i), Mono(i * 1_000_000), here);
        }
        t.offer(sample(6000), Mono(6_000 * 1_000_000), here);
        t.settle(Mono(u64::MAX), here);
        assert_eq!(t.counts().lost, 5000);
    }

    #[test]
    fn a_packet_of_several_messages_takes_up_as_many_numbers() {
        let s = |value, count| SeqSample { stream: 0, value, bits: 64, count, restart: false };
        let here = &mut Here::default();
        let mut t = SeqTracker::new(s(10, 3), Mono(0));
        t.offer(s(13, 2), Mono(1), here);
        t.offer(s(15, 0), Mono(2), here); // a heartbeat names the next number
        t.offer(s(18, 1), Mono(3), here);
        t.settle(Mono(u64::MAX), here);
        assert_eq!(t.counts().lost, 3);
    }

    proptest! {
        /// Whatever is dropped, doubled and locally swapped, the counts are those of the recipe.
        #[test]
        fn counts_are_exact(seed in any::<u64>(), start in any::<u16>()) {
            let mut rng = seed | 1;
            let mut next = || { rng ^= rng << 13; rng ^= rng >> 7; rng ^= rng << 17; rng };
            let (mut sent, mut lost, mut dup, mut swapped) = (Vec::new(), 0u64, 0u64, 0u64);
            for i in 0..1000u64 {
                let v = u64::from(start).wrapping_add(i) & 0xffff;
                let edge = !(3..997).contains(&i);
                match next() % 20 {
                    0 | 1 if !edge => lost += 1,
                    2 if !edge => { sent.extend([v, v]); dup += 1; }
                    _ => sent.push(v),
                }
            }
            let mut i = 3;
            while i + 4 < sent.len() {
                if next() % 10 == 0 && sent[i] != sent[i + 1] && sent[i - 1] != sent[i]
                    && sent[i + 1] != sent[i + 2] {
                    sent.swap(i, i + 1);
                    swapped += 1;
                    i += 3;
                }
                i += 1;
            }
            let c = run(16, &sent);
            prop_assert_eq!((c.lost, c.duplicates, c.reordered), (lost, dup, swapped));
        }
    }
}
