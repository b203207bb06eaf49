//! How much later B brings a number than A: exact extremes and mean, percentiles, the last minute.

use crate::base::time::Mono;
use crate::model::quantile::Quantiles;
use crate::model::rate::STRIP_SECONDS;

const RING: u64 = STRIP_SECONDS as u64 + 1;

/// The arrival at B less the arrival at A, in nanoseconds: above 0 where A was first.
#[derive(Clone, Debug, Default)]
pub struct Skew {
    count: u64,
    last_ns: i64,
    min_ns: i64,
    max_ns: i64,
    sum_ns: i128,
    a_first: u64,
    b_first: u64,
    /// How far B was behind, and how far A was; together they are the distribution.
    behind: [Quantiles; 2],
}

impl Skew {
    pub(super) fn add(&mut self, ns: i64) {
        (self.min_ns, self.max_ns) =
            if self.count == 0 { (ns, ns) } else { (self.min_ns.min(ns), self.max_ns.max(ns)) };
        self.count += 1;
        self.last_ns = ns;
        self.sum_ns += i128::from(ns);
        self.a_first += u64::from(ns > 0);
        self.b_first += u64::from(ns < 0);
        self.behind[usize::from(ns < 0)].add(ns.unsigned_abs());
    }

    fn some<T>(&self, value: T) -> Option<T> {
        (self.count > 0).then_some(value)
    }

    /// Numbers that both brought.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Numbers that A brought before B.
    pub fn a_first(&self) -> u64 {
        self.a_first
    }

    /// Numbers that B brought before A.
    pub fn b_first(&self) -> u64 {
        self.b_first
    }

    /// That of the last number both brought; `None` before there is one, as in all that follow.
    pub fn last_ns(&self) -> Option<i64> {
        self.some(self.last_ns)
    }

    /// The smallest, which may be below 0.
    pub fn min_ns(&self) -> Option<i64> {
        self.some(self.min_ns)
    }

    /// The largest.
    pub fn max_ns(&self) -> Option<i64> {
        self.some(self.max_ns)
    }

    /// The mean, below 0 where B is ahead on the whole.
    pub fn mean_ns(&self) -> Option<i64> {
        (self.count > 0).then(|| (self.sum_ns / i128::from(self.count)) as i64)
    }

    /// The largest distance either way: so much a receiver has to hold back to merge without a gap.
    pub fn widest_ns(&self) -> Option<u64> {
        self.some(self.max_ns.unsigned_abs().max(self.min_ns.unsigned_abs()))
    }

    /// What a share `q` (0 to 1) of all stays at or below, right to 1/64 of its value and never beyond
    /// the extremes.
    pub fn quantile_ns(&self, q: f64) -> Option<i64> {
        let [later, earlier] = &self.behind;
        let (n, all) = (earlier.len(), earlier.len() + later.len());
        if all == 0 {
            return None;
        }
        let rank = ((q * all as f64).ceil() as u64).clamp(1, all);
        // The longest lead of B is the smallest of all.
        let value = if rank <= n {
            let share = (n - rank + 1) as f64 / n as f64;
            -(earlier.quantile(share)? as i64)
        } else {
            later.quantile((rank - n) as f64 / (all - n) as f64)? as i64
        };
        Some(value.clamp(self.min_ns, self.max_ns))
    }

    /// How often B was later by how much, and how often earlier: each as (least in ns, width in ns,
    /// count), shortest first.
    pub fn cells(&self) -> [Vec<(u64, u64, u32)>; 2] {
        [self.behind[0].cells().collect(), self.behind[1].cells().collect()]
    }
}

/// What one second had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Second {
    /// The smallest and largest skew of the numbers that became complete in it, in nanoseconds.
    pub skew_ns: Option<(i64, i64)>,
    /// Numbers that A did not bring, counted in the second in which they went missing.
    pub lost_a: u32,
    /// Numbers that B did not bring.
    pub lost_b: u32,
    /// Numbers that neither brought.
    pub lost_both: u32,
}

/// The seconds of the last minute. Losses are known a second late and belong to an earlier one.
#[derive(Clone, Debug)]
pub struct Minute {
    from: u64,
    current: u64,
    ring: [Second; RING as usize],
}

impl Minute {
    pub(super) fn new(since: Mono) -> Self {
        let from = since.second();
        Minute { from, current: from, ring: [Second::default(); RING as usize] }
    }

    /// The second of `at`, if it is not over for a minute.
    fn at(&mut self, at: Mono) -> Option<&mut Second> {
        let s = at.second();
        if s > self.current {
            for k in 0..(s - self.current).min(RING) {
                self.ring[((s - k) % RING) as usize] = Second::default();
            }
            self.current = s;
        }
        (s + RING > self.current).then(|| &mut self.ring[(s % RING) as usize])
    }

    pub(super) fn skew(&mut self, at: Mono, ns: i64) {
        if let Some(s) = self.at(at) {
            let (low, high) = s.skew_ns.unwrap_or((ns, ns));
            s.skew_ns = Some((low.min(ns), high.max(ns)));
        }
    }

    pub(super) fn lost(&mut self, at: Mono, lost: [bool; 2], numbers: u64) {
        let n = u32::try_from(numbers).unwrap_or(u32::MAX);
        if let Some(s) = self.at(at) {
            let add = |c: &mut u32, yes: bool| *c = c.saturating_add(if yes { n } else { 0 });
            add(&mut s.lost_a, lost[0]);
            add(&mut s.lost_b, lost[1]);
            add(&mut s.lost_both, lost == [true; 2]);
        }
    }

    /// The second that lies `back` complete seconds before `now` (0: the last complete one). `None`
    /// where the two were not marked yet.
    pub fn second(&self, now: Mono, back: usize) -> Option<Second> {
        let s = now.second().checked_sub(back as u64 + 1)?;
        if s < self.from || back >= STRIP_SECONDS {
            return None;
        }
        if s > self.current || s + RING <= self.current {
            return Some(Second::default());
        }
        Some(self.ring[(s % RING) as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_run_from_the_longest_lead_of_b_to_its_longest_lag() {
        let mut s = Skew::default();
        for ms in -20..80i64 {
            s.add(ms * 1_000_000);
        }
        let near = |q: f64, ms: f64| {
            let got = s.quantile_ns(q).unwrap() as f64 / 1e6;
            assert!((got - ms).abs() <= ms.abs() / 32.0 + 1e-3, "{q}: {got} for {ms}");
        };
        near(0.01, -20.0);
        near(0.10, -11.0);
        near(0.21, 0.0);
        near(0.50, 29.0);
        near(1.0, 79.0);
        assert_eq!((s.a_first(), s.b_first(), s.count()), (79, 20, 100));
        assert_eq!((s.min_ns(), s.max_ns()), (Some(-20_000_000), Some(79_000_000)));
        assert_eq!((s.mean_ns(), s.widest_ns()), (Some(29_500_000), Some(79_000_000)));
        assert_eq!(Skew::default().quantile_ns(0.5), None);
        assert_eq!(Skew::default().min_ns(), None);
    }

    #[test]
    fn a_percentile_is_never_beyond_what_was_measured() {
        let mut s = Skew::default();
        s.add(1_000_001);
        assert_eq!(s.quantile_ns(0.5), Some(1_000_001));
    }

    #[test]
    fn a_loss_stands_in_the_second_in_which_it_happened() {
        let at = |ms: u64| Mono(ms * 1_000_000);
        let mut m = Minute::new(at(10_000));
        m.skew(at(12_500), 4);
        m.skew(at(12_600), -3);
        m.lost(at(11_900), [true, false], 2);
        m.lost(at(11_950), [true, true], 1);
        let s = |back| m.second(at(13_100), back);
        assert_eq!(s(0).unwrap().skew_ns, Some((-3, 4)));
        let lost = s(1).unwrap();
        assert_eq!((lost.lost_a, lost.lost_b, lost.lost_both, lost.skew_ns), (3, 1, 1, None));
        assert_eq!((s(2), s(3)), (Some(Second::default()), None));
    }
}
