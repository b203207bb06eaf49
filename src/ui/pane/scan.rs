//! Which rows of a long list pass a filter: looked at a bounded number a frame, remembered by number.

use std::collections::VecDeque;

/// Rows looked at in one frame at most.
pub const A_FRAME: usize = 2_000;

/// The rows that pass, as far as they were looked at.
#[derive(Debug, Default)]
pub struct Scan {
    stamp: u64,
    matches: VecDeque<u64>,
    /// Looked at: all from `low` up to, not including, `high`.
    low: u64,
    high: u64,
}

impl Scan {
    /// Looks further; `stamp` is what is looked for, `first..end` the rows there are. Newer rows come
    /// first; when more arrive than can be looked at, those between are passed over.
    pub fn run(&mut self, stamp: u64, first: u64, end: u64, mut passes: impl FnMut(u64) -> bool) {
        if stamp != self.stamp || end < self.high {
            *self = Scan { stamp, low: end, high: end, ..Scan::default() };
        }
        let mut budget = A_FRAME as u64;
        let from = self.high.max(end.saturating_sub(budget)).max(first);
        if from > self.high {
            // A stretch was missed: what is older starts anew below it.
            self.matches.clear();
            self.low = from;
        }
        for n in from..end {
            if passes(n) {
                self.matches.push_back(n);
            }
        }
        budget -= end - from;
        self.high = end;
        let stop = self.low.saturating_sub(budget).max(first);
        for n in (stop..self.low).rev() {
            if passes(n) {
                self.matches.push_front(n);
            }
        }
        self.low = self.low.min(stop).max(first);
        while self.matches.front().is_some_and(|&n| n < first) {
            self.matches.pop_front();
        }
    }

    /// The numbers that pass, ascending.
    pub fn matches(&mut self) -> &[u64] {
        self.matches.make_contiguous()
    }

    /// Whether older rows are still to be looked at.
    pub fn is_partial(&self, first: u64) -> bool {
        self.low > first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_finds_new_rows_at_once_and_old_ones_over_some_frames() {
        let mut s = Scan::default();
        let even = |n: u64| n.is_multiple_of(1_000);
        s.run(1, 0, 5_000, even);
        assert_eq!(s.matches(), [3_000, 4_000]);
        assert!(s.is_partial(0));
        s.run(1, 0, 5_001, even);
        s.run(1, 0, 5_001, even);
        assert_eq!(s.matches(), [0, 1_000, 2_000, 3_000, 4_000, 5_000]);
        assert!(!s.is_partial(0));
        s.run(1, 1_500, 5_001, even);
        assert_eq!(s.matches()[0], 2_000);
        s.run(2, 1_500, 5_001, |_| false);
        assert!(s.matches().is_empty());
    }

    #[test]
    fn a_flood_is_looked_at_from_its_newest_end_in_bounded_work() {
        let mut s = Scan::default();
        s.run(1, 0, 10, |_| true);
        let mut looked = 0;
        s.run(1, 90_000, 100_000, |_| {
            looked += 1;
            true
        });
        assert_eq!(looked, A_FRAME);
        let found = s.matches();
        assert_eq!((found.first(), found.last()), (Some(&98_000), Some(&99_999)));
    }
}
