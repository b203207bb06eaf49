//! How far counting is behind arrival: what an oscilloscope has to know of itself.

use crate::base::batch::Batch;
use crate::base::time::Wall;
use crate::model::quantile::Quantiles;

/// Times from a datagram's arrival (the kernel's time stamp) until it was counted.
///
/// Those of a batch are counted together: the time is that of the one that waited longest, for all of
/// them, so that the figures are upper bounds. When the wall clock is set, what is under way shows it.
#[derive(Clone, Debug, Default)]
pub struct Lag {
    times: Quantiles,
    max_ns: u64,
}

impl Lag {
    /// Takes a batch that was counted at `now`.
    pub(crate) fn take(&mut self, batch: &Batch, now: Wall) {
        let datagrams = batch.datagrams();
        let Some(oldest) = datagrams.iter().map(|d| d.time).min() else { return };
        let ns = u64::try_from(now.0.saturating_sub(oldest.0)).unwrap_or(0);
        self.times.add_many(ns, datagrams.len() as u32);
        self.max_ns = self.max_ns.max(ns);
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
    fn a_batch_is_as_late_as_the_one_that_waited_longest() {
        let mut lag = Lag::default();
        assert_eq!((lag.quantile(0.5), lag.max_ns()), (None, None));
        lag.take(&batch(&[]), Wall(5));
        assert_eq!(lag.max_ns(), None, "nothing came");
        lag.take(&batch(&[2_000_000, 1_000_000, 3_000_000]), Wall(3_000_000));
        lag.take(&batch(&[9_000_000]), Wall(8_000_000));
        assert_eq!(lag.max_ns(), Some(2_000_000));
        assert!(lag.quantile(0.75).unwrap().abs_diff(2_000_000) < 2_000_000 / 32, "three of four");
        assert!(lag.quantile(0.25).unwrap() < 32, "a clock that was set back is no lag");
    }
}
