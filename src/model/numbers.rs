//! Which numbers of a run were seen: distinct ones, repeats, the range.

/// What became of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Not seen before.
    New,
    /// Seen before.
    Again,
    /// So far behind the highest that it cannot be told: counted as neither.
    TooLate,
}

/// Numbers of one run with a window of `WORDS` × 64 behind the highest, in which repeats are told apart
/// from what comes late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers<const WORDS: usize> {
    range: Option<(u64, u64)>,
    distinct: u64,
    duplicates: u64,
    too_late: u64,
    seen: [u64; WORDS],
}

impl<const WORDS: usize> Default for Numbers<WORDS> {
    fn default() -> Self {
        Numbers { range: None, distinct: 0, duplicates: 0, too_late: 0, seen: [0; WORDS] }
    }
}

impl<const WORDS: usize> Numbers<WORDS> {
    const WINDOW: u64 = WORDS as u64 * 64;

    /// Takes a number.
    pub fn take(&mut self, n: u64) -> Taken {
        let Some((lowest, highest)) = self.range else {
            self.range = Some((n, n));
            return self.mark(n);
        };
        if n > highest {
            if n - highest >= Self::WINDOW {
                self.seen = [0; WORDS];
            } else {
                (highest + 1..n).for_each(|missing| self.clear(missing));
                self.clear(n);
            }
            self.range = Some((lowest, n));
        } else if highest - n >= Self::WINDOW {
            self.too_late += 1;
            return Taken::TooLate;
        } else {
            self.range = Some((lowest.min(n), highest));
        }
        self.mark(n)
    }

    /// The lowest number seen.
    pub fn first(&self) -> Option<u64> {
        self.range.map(|r| r.0)
    }

    /// The highest number seen.
    pub fn highest(&self) -> Option<u64> {
        self.range.map(|r| r.1)
    }

    /// Numbers seen at least once.
    pub fn distinct(&self) -> u64 {
        self.distinct
    }

    /// Repeats.
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Numbers too far behind to tell.
    pub fn too_late(&self) -> u64 {
        self.too_late
    }

    fn place(n: u64) -> (usize, u64) {
        let at = n % Self::WINDOW;
        ((at / 64) as usize, 1 << (at % 64))
    }

    fn clear(&mut self, n: u64) {
        let (word, bit) = Self::place(n);
        self.seen[word] &= !bit;
    }

    fn mark(&mut self, n: u64) -> Taken {
        let (word, bit) = Self::place(n);
        if self.seen[word] & bit != 0 {
            self.duplicates += 1;
            return Taken::Again;
        }
        self.seen[word] |= bit;
        self.distinct += 1;
        Taken::New
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_counts_once_in_any_order() {
        let mut n = Numbers::<2>::default();
        assert_eq!((n.first(), n.highest()), (None, None));
        for k in [5, 3, 9, 4, 8] {
            assert_eq!(n.take(k), Taken::New, "{k}");
        }
        for k in [3, 9, 8] {
            assert_eq!(n.take(k), Taken::Again, "{k}");
        }
        assert_eq!((n.first(), n.highest(), n.distinct(), n.duplicates()), (Some(3), Some(9), 5, 3));
    }

    #[test]
    fn a_window_that_went_round_forgets_what_was_in_it() {
        let mut n = Numbers::<1>::default();
        for k in 0..64 {
            n.take(k);
        }
        // 64 takes the place of 0, and 70 that of 6; 65 to 69 were not seen.
        assert_eq!((n.take(64), n.take(70)), (Taken::New, Taken::New));
        assert_eq!((n.take(66), n.take(70)), (Taken::New, Taken::Again));
        assert_eq!((n.take(7), n.take(6)), (Taken::Again, Taken::TooLate));
        assert_eq!((n.take(1_000_000), n.take(1_000_000)), (Taken::New, Taken::Again));
        assert_eq!((n.distinct(), n.duplicates(), n.too_late()), (68, 3, 1));
    }

    #[test]
    fn the_ends_of_the_range_are_numbers_too() {
        let mut n = Numbers::<4>::default();
        assert_eq!((n.take(0), n.take(u64::MAX), n.take(0)), (Taken::New, Taken::New, Taken::TooLate));
        assert_eq!(n.take(u64::MAX), Taken::Again);
    }
}
