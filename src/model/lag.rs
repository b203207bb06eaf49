//! How far counting is behind arrival: what an oscilloscope has to know of itself.

use crate::base::batch::Batch;
use crate::base::time::Wall;
use crate::model::quantile::Quantiles;

/// Times from a datagram's arrival (the kernel's time stamp) until it was counted.
///
/// One datagram of eight in a row stands for its neighbours; the longest is that of all. When the wall clock is
/// set, what is under way shows it.
#[derive(Clone, Debug, Default)]
pub struct Lag {
    times: Quantiles,
    max_ns: u64,
    /// Which one of the next few it is.
    turn: usize,
}

/// Of so many datagrams in a row one is looked at.
const EACH: usize = 8;

impl Lag {
    /// Takes a batch that was counted at `now`.
    pub(crate) fn take(&mut self, batch: &Batch, now: Wall) {
        let datagrams = batch.datagrams();
        let Some(oldest) = datagrams.iter().map(|d| d.time).min() else { return };
        let since = |time: Wall| u64::try_from(now.0.saturating_sub(time.0)).unwrap_or(0);
        self.max_ns = self.max_ns.max(since(oldest));
        for few in datagrams.chunks(EACH) {
            self.turn = self.turn.wrapping_add(1);
            self.times.add_many(since(few[self.turn % few.len()].time), few.len() as u32);
        }
    }

    /// The time in nanoseconds that a share `q` (0 to 1) of all datagrams stayed at or below; `None`
    /// without datagrams.
    pub fn quantile(&self, q: f64) -> Option<u64> {
        self.times.quantile(q)
    }

    /// The longest time in nanoseconds; `None` without datagrams.
    pub fn max_ns(&self) -> Option<u64> {
        (!self.times.is_empty()).then_some(self.max_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::batch::Datagram;
    use crate::base::group::{Endpoint, MembershipId};

    fn batch(times: &[i64]) -> Batch {
        let mut batch = Batch::new();
        for &t in times {
            let from = Endpoint::new("10.0.0.1".parse().unwrap(), 9);
            batch.push_copy(Datagram::new(MembershipId(0), Wall(t), from, 1), &[0]);
        }
        batch
    }

    #[test]
    fn a_few_are_told_by_one_of_them_and_the_longest_by_all() {
        let mut lag = Lag::default();
        assert_eq!((lag.quantile(0.5), lag.max_ns()), (None, None));
        lag.take(&batch(&[]), Wall(5));
        assert_eq!(lag.max_ns(), None, "nothing came");
        lag.take(&batch(&[9_000_000]), Wall(8_000_000));
        assert!(lag.quantile(1.0).unwrap() < 32, "a clock that was set back is no lag");
        // In turn each of the three is looked at.
        for _ in 0..3 {
            lag.take(&batch(&[2_000_000, 1_000_000, 3_000_000]), Wall(4_000_000));
        }
        assert_eq!(lag.max_ns(), Some(3_000_000));
        for (share, want) in [(0.4, 1_000_000u64), (0.7, 2_000_000), (1.0, 3_000_000)] {
            let got = lag.quantile(share).unwrap();
            assert!(got.abs_diff(want) < want / 32, "{share}: {got} for {want}");
        }
    }
}
