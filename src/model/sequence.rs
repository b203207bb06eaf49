//! Continuity of one numbered stream: what is missing, what came twice, what came late.
//!
//! * `lost` is the number of distinct numbers missing between the first and the highest seen. A
//!   missing number counts once it is older than [`REORDER_NS`]; if it comes later after all, it
//!   stops counting. A duplicate never offsets a loss.
//! * `duplicates` is how often a number was seen again.
//! * `reordered` is how many arrived after a higher number (RFC 4737), also those that fill a gap;
//!   `late_max` and `late_max_ns` are how late the latest of them was.
//!
//! * A missing number is the network's (`lost`), this host's (`lost_here`) or either's
//!   (`lost_unclear`): [`crate::model::here`] says which.
//!
//! A number far from what is expected is believed only when the next one follows it: then the
//! sender restarted (RFC 3550 appendix A.1 does the same). Until then it is a stray. One that begins
//! anew with numbers just sent has restarted when several of them came again in a row
//! (`model/rerun.rs`).

use crate::base::time::{Mono, SECOND_NS};
use crate::model::here::Here;
use crate::model::rerun::{Rerun, Restart};
use crate::wire::SeqSample;

/// A missing number is not called lost before this many nanoseconds have passed.
pub const REORDER_NS: u64 = SECOND_NS / 5;

/// Numbers behind the highest that are remembered one by one.
const WINDOW: u64 = 2048;
const WORDS: usize = (WINDOW / 64) as usize;
/// Gaps that are remembered: those young enough to be filled, and of the others as many as there is
/// room for, so that what comes late after all has its lateness told. When more come, the oldest is
/// lost at once.
const PENDING: usize = 11;
/// A jump ahead of up to this many numbers is always loss (RFC 3550's MAX_DROPOUT).
const MAX_DROPOUT: u64 = 3000;
/// Numbers in a row that make a stream "seen whole": until then, or for [`START_NS`], losses may come
/// from the way being set up.
const START_RUN: u8 = 16;
const START_NS: u64 = SECOND_NS;
/// Numbers before the first one seen that may still come late, until the stream was seen whole: one from
/// further back, or later, is of a sender that began anew.
const BEFORE_MAX: u64 = 16;

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
    /// The most by which one of these was behind the highest, in numbers.
    pub late_max: u64,
    /// The longest time in nanoseconds by which one came after the first higher number (RFC 4737
    /// section 4.2.3, late time offset), as far as its gap was still remembered.
    pub late_max_ns: u64,
    /// Gaps in which numbers were called lost, wherever these went, however long.
    pub gaps: u64,
    /// The most numbers in a row that were called lost.
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

impl SeqCounts {
    /// In a sum, takes `after` in the place of `before`. Maxima stay until the sum is made anew, and what
    /// every number moves (`expected`, `received`) is left out.
    pub(crate) fn replace(&mut self, before: SeqCounts, after: SeqCounts) {
        let swap =
            |sum: &mut u64, before: u64, after: u64| *sum = sum.wrapping_sub(before).wrapping_add(after);
        swap(&mut self.lost, before.lost, after.lost);
        swap(&mut self.lost_here, before.lost_here, after.lost_here);
        swap(&mut self.lost_unclear, before.lost_unclear, after.lost_unclear);
        swap(&mut self.lost_at_start, before.lost_at_start, after.lost_at_start);
        swap(&mut self.duplicates, before.duplicates, after.duplicates);
        swap(&mut self.reordered, before.reordered, after.reordered);
        swap(&mut self.gaps, before.gaps, after.gaps);
        self.raise(&after);
        self.restarts = self.restarts.wrapping_sub(before.restarts).wrapping_add(after.restarts);
        self.strays = self.strays.wrapping_sub(before.strays).wrapping_add(after.strays);
    }

    /// Raises the maxima to those of `other`.
    pub(crate) fn raise(&mut self, other: &SeqCounts) {
        self.longest_gap = self.longest_gap.max(other.longest_gap);
        self.late_max = self.late_max.max(other.late_max);
        self.late_max_ns = self.late_max_ns.max(other.late_max_ns);
    }

    /// Without the maxima.
    pub(crate) fn summed(self) -> SeqCounts {
        SeqCounts { longest_gap: 0, late_max: 0, late_max_ns: 0, ..self }
    }

    /// Without what every number moves.
    pub(crate) fn events(self) -> SeqCounts {
        SeqCounts { expected: 0, received: 0, ..self }
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
        self.late_max = self.late_max.max(o.late_max);
        self.late_max_ns = self.late_max_ns.max(o.late_max_ns);
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
    /// Whether what is open was called lost.
    lost: bool,
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
    /// Whether one of them may not have been called lost yet.
    waits: bool,
    /// The number that would confirm a restart.
    probation: Option<u64>,
    /// Numbers that came again in a row.
    rerun: Rerun,
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
            waits: false,
            probation: None,
            rerun: Rerun::default(),
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
        self.waits = false;
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
            if let Some(g) = self.pending[i].take().filter(|g| !g.lost) {
                self.lose(&g, here);
            }
        }
        self.probation = None;
    }

    fn lose(&mut self, g: &Gap, here: &mut Here) {
        self.counts.gaps += 1;
        self.counts.longest_gap = self.counts.longest_gap.max(self.longest_run(g));
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

    /// The most numbers of a gap in a row that are missing. Where the window has moved on it is all
    /// that are.
    fn longest_run(&self, g: &Gap) -> u64 {
        if g.open == g.len || self.highest.wrapping_sub(g.first) >= WINDOW {
            return g.open;
        }
        let (mut longest, mut run) = (0, 0);
        for k in 0..g.len {
            run = if self.get(g.first.wrapping_add(k)) { 0 } else { run + 1 };
            longest = longest.max(run);
        }
        longest
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

    /// Takes the next number in the order of arrival. True if it is the next one: then only `expected` and
    /// `received` of the counts have moved.
    #[inline]
    pub fn offer(&mut self, s: SeqSample, at: Mono, here: &mut Here) -> bool {
        let next = self.highest.wrapping_add(1);
        let ahead = s.value.wrapping_sub(next) & self.mask();
        if ahead == 0 && s.count == 1 && !s.restart {
            // Nearly all there is: the next one.
            self.counts.received += 1;
            self.probation = None;
            self.rerun.clear();
            self.highest = next;
            self.set(next, true);
            self.last_at = at;
            if self.whole_at.is_none() {
                self.run += 1;
                if self.run >= START_RUN {
                    self.whole_at = Some(at);
                }
            }
            return true;
        }
        self.unusual(s, ahead, at, here);
        false
    }

    /// Takes a number that is not the next one but so many ahead of it.
    fn unusual(&mut self, s: SeqSample, ahead: u64, at: Mono, here: &mut Here) {
        self.run = 0;
        if s.restart {
            self.close(here);
            self.begin(s, at);
            self.counts.received += u64::from(s.count);
            self.last_at = at;
            return;
        }
        let behind = self.mask().wrapping_sub(ahead).wrapping_add(1) & self.mask();
        if behind != 0 && behind <= self.reach() && !self.too_early(behind) {
            let number = self.highest.wrapping_add(1).wrapping_sub(behind);
            let before = self.counts;
            self.late(behind, at, here);
            let c = &self.counts;
            let old = c.duplicates > before.duplicates || c.missing() < before.missing();
            let counts = (before, self.counts);
            if let Some(restart) = self.rerun.take((number, s.count), old, at.since(self.last_at), counts) {
                self.begin_again(&restart, s, at, here);
            }
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

    /// Whether a number so far behind lies too far before the first one to be of the same run.
    fn too_early(&self, behind: u64) -> bool {
        let before = self.base.wrapping_sub(self.highest.wrapping_add(1).wrapping_sub(behind));
        let early = before != 0 && before <= self.reach();
        early && (self.whole_at.is_some() || before > BEFORE_MAX)
    }

    /// The sender began anew: what was taken for late and doubled is of the new run.
    fn begin_again(&mut self, restart: &Restart, s: SeqSample, at: Mono, here: &mut Here) {
        self.counts = restart.counts;
        self.counts.restarts += 1;
        self.close(here);
        let [first, rest @ ..] = &restart.numbers;
        self.begin(SeqSample { value: first & self.mask(), count: restart.count, ..s }, at);
        for number in rest {
            let next = self.highest.wrapping_add(1);
            let ahead = number.wrapping_sub(next) & self.mask();
            let behind = next.wrapping_sub(*number) & self.mask();
            if behind != 0 && behind <= self.reach() {
                self.late(behind, at, here);
            } else {
                self.forward(ahead, u64::from(restart.count), at, here);
            }
        }
    }

    fn forward(&mut self, gap: u64, count: u64, at: Mono, here: &mut Here) {
        self.probation = None;
        self.rerun.clear();
        let next = self.highest.wrapping_add(1);
        if gap > 0 {
            self.remember(self.gap(next, gap, at), here);
        }
        for k in 0..gap.min(WINDOW) {
            self.set(next.wrapping_add(gap - 1 - k), false);
        }
        for k in 0..count.min(WINDOW) {
            self.set(next.wrapping_add(gap + count - 1 - k), true);
        }
        self.highest = self.highest.wrapping_add(gap + count);
    }

    /// A gap of `len` numbers from `first` on that was noticed at `at`.
    fn gap(&self, first: u64, len: u64, at: Mono) -> Gap {
        Gap { at, before: self.last_at, first, len, open: len, lost: false }
    }

    /// One came after a higher number, the first such `since` nanoseconds before if that is known.
    fn reordered(&mut self, number: u64, since: Option<u64>) {
        let behind = self.highest.wrapping_sub(number);
        let c = &mut self.counts;
        c.reordered += 1;
        c.late_max = c.late_max.max(behind);
        c.late_max_ns = c.late_max_ns.max(since.unwrap_or(0));
    }

    fn late(&mut self, behind: u64, at: Mono, here: &mut Here) {
        let number = self.highest.wrapping_add(1).wrapping_sub(behind);
        let before_first = self.base.wrapping_sub(number);
        if before_first != 0 && before_first <= self.reach() {
            // Older than the first seen: the stream began earlier than it seemed.
            self.reordered(number, Some(at.since(self.first_at)));
            if before_first > 1 {
                self.remember(self.gap(number.wrapping_add(1), before_first - 1, at), here);
                for k in 1..before_first {
                    self.set(number.wrapping_add(k), false);
                }
            }
            self.base = number;
            self.set(number, true);
        } else if self.get(number) {
            self.counts.duplicates += 1;
        } else {
            self.set(number, true);
            let since = self.fill(number).map(|noticed| at.since(noticed));
            self.reordered(number, since);
        }
    }

    /// Fills a number in; when its gap was noticed, if that is still remembered.
    fn fill(&mut self, number: u64) -> Option<Mono> {
        let mut noticed = None;
        for slot in &mut self.pending {
            if let Some(g) = slot
                && number.wrapping_sub(g.first) < g.len
            {
                let (at, lost) = (g.at, g.lost);
                g.open -= 1;
                if g.open == 0 {
                    *slot = None;
                }
                if !lost {
                    return Some(at);
                }
                noticed = Some(at);
                break;
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
        noticed
    }

    fn remember(&mut self, gap: Gap, here: &mut Here) {
        self.settle(gap.at, here);
        let slot = match self.pending.iter().position(Option::is_none) {
            Some(free) => free,
            None => {
                // What was called lost needs its place least.
                let key = |g: Gap| (!g.lost, g.at);
                let oldest = (0..PENDING).min_by_key(|&i| self.pending[i].map(key)).unwrap_or(0);
                if let Some(g) = self.pending[oldest].take().filter(|g| !g.lost) {
                    self.lose(&g, here);
                }
                oldest
            }
        };
        self.pending[slot] = Some(gap);
        self.waits = true;
    }

    /// Whether a number is missing that may still come, so that a [`SeqTracker::settle`] is due.
    pub(crate) fn waits(&self) -> bool {
        self.waits
    }

    /// Calls lost what has been missing for longer than [`REORDER_NS`] at `now`.
    pub fn settle(&mut self, now: Mono, here: &mut Here) {
        if !std::mem::take(&mut self.waits) {
            return;
        }
        for i in 0..PENDING {
            if let Some(g) = &mut self.pending[i]
                && !g.lost
            {
                if now.since(g.at) < REORDER_NS {
                    self.waits = true;
                    continue;
                }
                g.lost = true;
                let g = *g;
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
#[path = "sequence_tests.rs"]
mod tests;
