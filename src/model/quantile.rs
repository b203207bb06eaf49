//! A histogram of durations with bounded memory, for percentiles of inter-arrival times.
//!
//! Log-linear: each power of two is cut into 32 equal cells, so a percentile is right to 1/64 of
//! its value (1.6 %) from 1 µs to 36 minutes; what is outside counts into the first or last cell.

use std::fmt;

const SUB_BITS: u32 = 5;
const SUB: usize = 1 << SUB_BITS;
/// Values are in units of 1 µs / 32, so that the first linear stretch ends at 1 µs.
const UNIT_SHIFT: u32 = 5;
const OCTAVES: usize = 32;
const CELLS: usize = OCTAVES * SUB;

/// A histogram of durations in nanoseconds: 4 KiB, from the first one on.
#[derive(Clone, Default)]
pub struct Quantiles {
    cells: Option<Box<[u32; CELLS]>>,
    total: u64,
}

impl fmt::Debug for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quantiles({} samples)", self.total)
    }
}

fn cell(ns: u64) -> usize {
    let v = ns >> UNIT_SHIFT;
    if v < SUB as u64 {
        return v as usize;
    }
    let octave = 63 - v.leading_zeros() - SUB_BITS;
    let sub = (v >> octave) as usize - SUB;
    (((octave as usize + 1) << SUB_BITS) + sub).min(CELLS - 1)
}

/// The lower end of a cell and its width, in nanoseconds.
fn span(cell: usize) -> (u64, u64) {
    if cell < SUB {
        return ((cell as u64) << UNIT_SHIFT, 1 << UNIT_SHIFT);
    }
    let octave = (cell >> SUB_BITS) as u32 - 1;
    let low = ((SUB + (cell & (SUB - 1))) as u64) << octave;
    (low << UNIT_SHIFT, 1u64 << (octave + UNIT_SHIFT))
}

impl Quantiles {
    /// Counts one duration.
    #[inline]
    pub fn add(&mut self, ns: u64) {
        self.add_many(ns, 1);
    }

    /// Counts a duration so many times.
    #[inline]
    pub fn add_many(&mut self, ns: u64, times: u32) {
        let cells = self.cells.get_or_insert_with(|| Box::new([0; CELLS]));
        let c = &mut cells[cell(ns)];
        *c = c.saturating_add(times);
        let full = *c == u32::MAX;
        self.total += u64::from(times);
        if full {
            self.halve();
        }
    }

    /// A cell is full: all are halved, which leaves every percentile where it was.
    fn halve(&mut self) {
        let cells = self.cells.iter_mut().flat_map(|c| c.iter_mut());
        self.total = 0;
        for c in cells {
            *c /= 2;
            self.total += u64::from(*c);
        }
    }

    /// How many were counted; half of them are forgotten whenever a cell is full.
    pub fn len(&self) -> u64 {
        self.total
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Which duration in order, from 1, is the one that a share `q` stays at or below.
    fn rank(&self, q: f64) -> Option<u64> {
        (self.total > 0).then(|| ((q * self.total as f64).ceil() as u64).clamp(1, self.total))
    }

    /// The duration in nanoseconds that a share `q` (0 to 1) of all stays at or below: the middle of
    /// the cell that holds it. `None` without samples.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        let rank = self.rank(q)?;
        let mut seen = 0u64;
        for (i, &n) in self.cells.as_ref()?.iter().enumerate() {
            seen += u64::from(n);
            if seen >= rank {
                let (low, width) = span(i);
                return Some(low + width / 2);
            }
        }
        None
    }

    /// As [`Quantiles::quantile`], where no duration was longer than `longest_ns`: looked for from above,
    /// which for a high share is soon found.
    pub fn high_quantile(&self, q: f64, longest_ns: u64) -> Option<u64> {
        let (above, cells) = (self.total - self.rank(q)?, self.cells.as_ref()?);
        let mut seen = 0u64;
        for i in (0..=cell(longest_ns)).rev() {
            seen += u64::from(cells[i]);
            if seen > above {
                let (low, width) = span(i);
                return Some(low + width / 2);
            }
        }
        None
    }

    /// The cells that hold something, as (lowest duration in ns, width in ns, count), shortest first.
    pub fn cells(&self) -> impl Iterator<Item = (u64, u64, u32)> + '_ {
        self.cells.iter().flat_map(|c| c.iter()).enumerate().filter(|(_, n)| **n > 0).map(|(i, &n)| {
            let (low, width) = span(i);
            (low, width, n)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn percentiles_of_a_known_set_are_right_within_a_cell() {
        let mut q = Quantiles::default();
        for i in 1..=1000u64 {
            q.add(i * 10_000);
        }
        for (p, want) in [(0.5, 5_000_000u64), (0.99, 9_900_000), (1.0, 10_000_000)] {
            let got = q.quantile(p).unwrap();
            assert!(got.abs_diff(want) as f64 <= want as f64 / 32.0, "p{p}: {got} for {want}");
        }
        assert_eq!(Quantiles::default().quantile(0.5), None);
    }

    #[test]
    fn a_full_cell_does_not_end_the_counting() {
        let mut q = Quantiles::default();
        q.add(1_000_000);
        q.cells.as_mut().unwrap()[cell(100)] = u32::MAX - 1;
        q.total = u64::from(u32::MAX);
        q.add(100);
        q.add(100);
        assert!(q.quantile(0.5).unwrap().abs_diff(100) < 32, "{:?}", q.quantile(0.5));
        assert!(q.quantile(1.0).is_some());
    }

    proptest! {
        #[test]
        fn every_duration_falls_into_the_cell_that_spans_it(ns in 0u64..2_000_000_000_000) {
            let (low, width) = span(cell(ns));
            prop_assert!(low <= ns && ns < low + width);
            prop_assert!(ns < 1_000 || width as f64 <= ns as f64 / 32.0 + 1.0);
        }

        #[test]
        fn from_above_a_percentile_is_the_same(
            list in prop::collection::vec(prop_oneof![0u64..100_000, 0u64..3_000_000_000_000], 0..300),
            q in 0.0..=1.0,
        ) {
            let mut all = Quantiles::default();
            list.iter().for_each(|&ns| all.add(ns));
            let longest = list.iter().copied().max().unwrap_or(0);
            prop_assert_eq!(all.high_quantile(q, longest), all.quantile(q));
        }

        #[test]
        fn no_duration_is_too_long(ns in any::<u64>()) {
            prop_assert!(cell(ns) < CELLS);
        }
    }
}
