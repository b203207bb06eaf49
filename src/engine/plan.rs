//! When which number is sent: rates, bursts, the ladder, the soak, and exact impairment. Pure.

use std::time::Duration;

use crate::engine::command::{Impair, Plan};

/// Bursts of the ladder, after its rates.
const LADDER_BURSTS: [u32; 6] = [2, 4, 8, 16, 32, 64];
/// Rate of the ladder's bursts, in bursts a second.
const LADDER_BURST_RATE: f64 = 2.0;
/// Rate of the soak, in datagrams a second.
const SOAK_PPS: f64 = 1.0;

/// A stretch of steady sending.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stretch {
    rate_pps: f64,
    burst: u32,
    begins: Duration,
    ends: Option<Duration>,
    /// Numbers sent before it begins.
    before: u64,
}

/// The schedule of a send: how many numbers are due at a time since the start.
#[derive(Clone, Debug)]
pub struct Schedule {
    stretches: Vec<Stretch>,
    count: Option<u64>,
}

impl Schedule {
    /// The schedule of a plan, nowhere faster than `limit_pps`.
    pub fn new(plan: &Plan, limit_pps: u32) -> Schedule {
        let limit = f64::from(limit_pps.max(1));
        let capped = |rate: f64| if rate.is_finite() { rate.clamp(1e-6, limit) } else { limit };
        match *plan {
            Plan::Steady { rate_pps, burst, count, duration } => Schedule {
                stretches: vec![Stretch {
                    rate_pps: capped(rate_pps),
                    burst: burst.max(1),
                    begins: Duration::ZERO,
                    ends: duration,
                    before: 0,
                }],
                count,
            },
            Plan::Soak { duration } => Schedule {
                stretches: vec![Stretch {
                    rate_pps: capped(SOAK_PPS),
                    burst: 1,
                    begins: Duration::ZERO,
                    ends: Some(duration),
                    before: 0,
                }],
                count: None,
            },
            Plan::Ladder { step } => {
                let mut rungs = Vec::new();
                let mut rate = 1.0;
                while rate < limit {
                    rungs.push((rate, 1));
                    rate *= 10.0;
                }
                rungs.push((limit, 1));
                rungs.extend(LADDER_BURSTS.iter().map(|&b| (capped(LADDER_BURST_RATE * f64::from(b)), b)));
                let mut stretches: Vec<Stretch> = Vec::with_capacity(rungs.len());
                for (i, (rate_pps, burst)) in rungs.into_iter().enumerate() {
                    let begins = step * i as u32;
                    let before = stretches.last().map_or(0, |s| s.before + s.in_all().unwrap_or(0));
                    stretches.push(Stretch { rate_pps, burst, begins, ends: Some(begins + step), before });
                }
                Schedule { stretches, count: None }
            }
        }
    }

    fn stretch(&self, at: Duration) -> &Stretch {
        self.stretches.iter().rev().find(|s| s.begins <= at).unwrap_or(&self.stretches[0])
    }

    /// How many numbers should have been sent at `at`; the first is due at once.
    pub fn due(&self, at: Duration) -> u64 {
        let s = self.stretch(at);
        let at = s.ends.map_or(at, |e| at.min(e));
        let due = s.before + s.due(at - s.begins);
        self.count.map_or(due, |c| due.min(c))
    }

    /// When the number after `sent` others is due.
    pub fn next_at(&self, sent: u64) -> Duration {
        let s = self.stretches.iter().rev().find(|s| s.before <= sent).unwrap_or(&self.stretches[0]);
        let bursts = (sent - s.before) / u64::from(s.burst);
        let seconds = bursts as f64 * f64::from(s.burst) / s.rate_pps;
        // A nanosecond late rather than early: at this time the number is due, whatever was rounded.
        s.begins + Duration::from_nanos((seconds * 1e9).ceil() as u64 + u64::from(bursts > 0))
    }

    /// Numbers in all, if there is an end to them.
    pub fn total(&self) -> Option<u64> {
        let last = self.stretches.last()?;
        let by_time = last.in_all().map(|n| last.before + n);
        match (by_time, self.count) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// How long it takes, if there is an end to it.
    pub fn duration(&self) -> Option<Duration> {
        let by_time = self.stretches.last().and_then(|s| s.ends);
        let by_count = self.count.map(|c| self.next_at(c.saturating_sub(1)));
        match (by_time, by_count) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }
}

impl Stretch {
    fn due(&self, since: Duration) -> u64 {
        let bursts = (since.as_secs_f64() * self.rate_pps / f64::from(self.burst)).floor() as u64 + 1;
        self.in_all().map_or(bursts * u64::from(self.burst), |all| all.min(bursts * u64::from(self.burst)))
    }

    /// Numbers within the stretch, if it ends.
    fn in_all(&self) -> Option<u64> {
        let span = (self.ends? - self.begins).as_secs_f64();
        let bursts = (span * self.rate_pps / f64::from(self.burst)).ceil().max(1.0) as u64;
        Some(bursts * u64::from(self.burst))
    }
}

/// What becomes of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Sent.
    Send,
    /// Left out.
    Drop,
    /// Sent twice.
    Double,
    /// Sent after its successor.
    Hold,
}

/// What becomes of the number `n` (from 0). Leaving out comes before doubling, doubling before
/// swapping.
pub fn fate(impair: &Impair, n: u64) -> Fate {
    let hits = |every: u64| every > 0 && (n + 1).is_multiple_of(every);
    if hits(impair.drop_every) {
        Fate::Drop
    } else if hits(impair.dup_every) {
        Fate::Double
    } else if hits(impair.swap_every) {
        Fate::Hold
    } else {
        Fate::Send
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);
    const NS: Duration = Duration::from_nanos(1);

    fn steady(rate_pps: f64, burst: u32, count: Option<u64>, duration: Option<Duration>) -> Schedule {
        Schedule::new(&Plan::Steady { rate_pps, burst, count, duration }, 1000)
    }

    #[test]
    fn a_steady_rate_is_steady_and_the_first_goes_at_once() {
        let s = steady(10.0, 1, Some(25), None);
        assert_eq!((s.due(Duration::ZERO), s.due(S / 20), s.due(S), s.due(10 * S)), (1, 1, 11, 25));
        assert_eq!(s.next_at(1), S / 10 + NS);
        assert_eq!((s.total(), s.duration()), (Some(25), Some(S * 24 / 10 + NS)));
    }

    #[test]
    fn bursts_go_back_to_back_and_keep_the_mean_rate() {
        let s = steady(10.0, 5, None, Some(2 * S));
        assert_eq!((s.due(Duration::ZERO), s.due(S / 4), s.due(S / 2)), (5, 5, 10));
        assert_eq!((s.next_at(3), s.next_at(5)), (Duration::ZERO, S / 2 + NS));
        assert_eq!(s.total(), Some(20));
    }

    #[test]
    fn the_guard_caps_every_rate() {
        assert_eq!(steady(f64::INFINITY, 1, None, None).due(S), 1001);
        assert_eq!(steady(1e9, 1, None, None).due(S), 1001);
    }

    #[test]
    fn the_ladder_climbs_to_the_guard_and_then_bursts() {
        let s = Schedule::new(&Plan::Ladder { step: S }, 100);
        assert_eq!(s.due(Duration::ZERO), 1);
        assert_eq!(s.due(S), 2);
        assert_eq!(s.due(2 * S), 12);
        assert_eq!(s.duration(), Some(9 * S));
        let total = s.total().unwrap();
        assert_eq!(s.due(60 * S), total);
        let mut last = Duration::ZERO;
        for n in 0..total {
            assert!(s.next_at(n) >= last, "number {n}");
            last = s.next_at(n);
            assert!(s.due(last) > n, "number {n} is due at {last:?}");
        }
    }

    #[test]
    fn impairment_is_exact() {
        let impair = Impair { drop_every: 10, dup_every: 4, swap_every: 3 };
        let fates: Vec<Fate> = (0..20).map(|n| fate(&impair, n)).collect();
        let count = |f| fates.iter().filter(|&&x| x == f).count();
        assert_eq!((count(Fate::Drop), count(Fate::Double), count(Fate::Hold)), (2, 4, 5));
        assert_eq!((fates[9], fates[3], fates[2]), (Fate::Drop, Fate::Double, Fate::Hold));
    }
}
