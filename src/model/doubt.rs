//! What speaks against a counter that was found in an unknown payload.
//!
//! - Fewer than half of its steps are the usual one: a value that changes a little, not a number.
//! - It went where no counter goes (back to its start, far ahead), again and again.
//! - Where it rises by a round number a second it may be a clock. A clock jumps without a hole in time
//!   when its ticks and the datagrams drift apart; what was lost leaves one.
//!
//! While there is such doubt the finding is not told; when there is too much it is withdrawn.

use crate::base::time::{Mono, SECOND_NS};

/// Payloads between two that contradict, so that the finding is still told …
const TOLD_EACH: u64 = 400;
/// … and how many contradictions it bears at all: this many, and one more each so many payloads.
const BORNE: u64 = 2;
const BORNE_EACH: u64 = 1000;
/// Steps back in a row that are a circle: of late ones so many are rare.
const CIRCLE: u8 = 8;
/// Jumps without a hole in time that make a clock of it.
const HOLES_MISSING: u32 = 2;
/// Ticks a second of clocks that programs send.
const CLOCKS_HZ: [f64; 15] = [
    1.0, 10.0, 25.0, 30.0, 50.0, 60.0, 100.0, 1000.0, 8000.0, 10_000.0, 44_100.0, 48_000.0, 90_000.0, 1e5,
    1e6,
];
/// How near the rate must be to one of these, beside the tick by which both ends may be off.
const NEAR: f64 = 0.02;

/// How a number stands to those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The next one.
    Usual,
    /// A few ahead, so many: the ones between were lost or are late.
    Ahead(u64),
    /// One that came before, or that is late.
    Behind,
    /// No number of this counter.
    Impossible,
}

/// The doubts about one finding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doubt {
    seen: u64,
    usual: u64,
    /// Times it went round in a small circle, and steps back in a row.
    circles: u64,
    back: u8,
    /// The usual time between two datagrams, where it may be a clock.
    clock_ns: Option<u64>,
    last_at: Mono,
    /// Jumps without a hole in time, less what came late and made up for one.
    unholed: u32,
}

/// Whether so many ticks in so much time are those of a clock that programs send.
pub(crate) fn clock_like(ticks: u64, passed_ns: u64) -> bool {
    let hz = ticks as f64 * SECOND_NS as f64 / passed_ns.max(1) as f64;
    let near = NEAR + 1.0 / ticks.max(1) as f64;
    ticks > 0 && CLOCKS_HZ.iter().any(|r| (hz / r - 1.0).abs() < near)
}

impl Doubt {
    /// Of a finding that rests on payloads until `last_at`; `clock_ns` is their usual distance if it may
    /// be a clock.
    pub(crate) fn new(clock_ns: Option<u64>, last_at: Mono) -> Self {
        Doubt { seen: 0, usual: 0, circles: 0, back: 0, clock_ns, last_at, unholed: 0 }
    }

    /// Takes the next step; whether it has gone round in a small circle with that.
    pub(crate) fn take(&mut self, step: Step, at: Mono) -> bool {
        self.seen += 1;
        let passed = at.since(self.last_at);
        self.last_at = at;
        match step {
            Step::Usual => self.usual += 1,
            Step::Ahead(steps) => {
                // Half of the time that its loss would have left open.
                let hole = self.clock_ns.map(|usual| usual + usual * (steps - 1) / 2);
                self.unholed += u32::from(hole.is_some_and(|hole| passed < hole));
            }
            Step::Behind => self.unholed = self.unholed.saturating_sub(1),
            // How often is for each reading of the field to count.
            Step::Impossible => {}
        }
        self.back = if step == Step::Behind { self.back + 1 } else { 0 };
        let circled = self.back == CIRCLE;
        if circled {
            (self.back, self.circles) = (0, self.circles + 1);
        }
        circled
    }

    /// Whether the finding can be told after all, where so many steps contradicted it.
    pub(crate) fn allows(&self, against: u32) -> bool {
        let against = self.circles + u64::from(against);
        against * TOLD_EACH <= self.seen && self.usual * 2 >= self.seen && self.unholed == 0
    }

    /// Whether it may still be a counter, where so many steps contradicted it.
    pub(crate) fn bears(&self, against: u32) -> bool {
        let against = self.circles + u64::from(against);
        against <= BORNE + self.seen / BORNE_EACH && self.unholed < HOLES_MISSING
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(clock_ns: Option<u64>, steps: impl IntoIterator<Item = (Step, u64)>) -> Doubt {
        let mut d = Doubt::new(clock_ns, Mono(0));
        for (step, ms) in steps {
            let at = d.last_at.plus(ms * 1_000_000);
            d.take(step, at);
        }
        d
    }

    #[test]
    fn a_clock_jumps_without_a_hole_in_time_and_a_loss_leaves_one() {
        let usual = |n: usize| vec![(Step::Usual, 10); n];
        let mut jumps = usual(100);
        jumps.extend([(Step::Ahead(2), 10), (Step::Usual, 10)]);
        let d = after(Some(10_000_000), jumps.clone());
        assert!(!d.allows(0) && d.bears(0));
        jumps.push((Step::Ahead(2), 11));
        assert!(!after(Some(10_000_000), jumps.clone()).bears(0));
        assert!(after(None, jumps).allows(0), "at another rate it is no clock");
        let mut losses = usual(100);
        losses.extend([(Step::Ahead(2), 20), (Step::Ahead(5), 50)]);
        assert!(after(Some(10_000_000), losses).allows(0));
        let mut late = usual(100);
        late.extend([(Step::Ahead(2), 10), (Step::Behind, 1), (Step::Usual, 9)]);
        assert!(after(Some(10_000_000), late).allows(0), "two that changed places");
    }

    #[test]
    fn what_contradicts_now_and_then_is_borne_and_more_is_not() {
        let mut d = after(None, vec![(Step::Usual, 10); 400]);
        assert!(d.allows(1) && !d.allows(2));
        assert!(d.bears(2) && !d.bears(3));
        assert_eq!((0..8).filter(|_| d.take(Step::Behind, Mono(0))).count(), 1);
        assert!(d.allows(0) && !d.allows(1) && d.bears(1) && !d.bears(2));
    }

    #[test]
    fn fewer_than_half_usual_steps_are_not_told() {
        let d = after(None, (0..100).map(|i| (if i % 5 < 2 { Step::Usual } else { Step::Ahead(2) }, 10)));
        assert!(!d.allows(0));
    }

    #[test]
    fn clocks_are_known_by_their_ticks() {
        assert!(clock_like(1000, SECOND_NS) && clock_like(1, SECOND_NS + 9_000_000));
        assert!(clock_like(24, 235_000_000), "23.5 ticks of 10 ms");
        assert!(!clock_like(143, SECOND_NS) && !clock_like(0, SECOND_NS * 9));
    }
}
