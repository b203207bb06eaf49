//! A soak of one membership: does its traffic go on past the time after which switches forget?
//!
//! It looks at arrivals only, so that it judges any payload. A pause is a time without datagrams that is
//! much longer than the usual gap; the verdict compares pauses with the timers that were in force.

use crate::base::time::{Mono, SECOND_NS};
use crate::model::memberships::timers::Timers;
use crate::model::source::Stamp;

/// Pauses kept one by one.
pub const PAUSES_MAX: usize = 20;
/// A pause is at least so long unless told otherwise, in ns.
const LEAST_NS: u64 = 2 * SECOND_NS;
/// And so many times the usual gap.
const TIMES_USUAL: u64 = 10;
/// Switches count in steps of their own: a cut may come so much later than the timers say, in ns.
const SLACK_NS: u64 = 5 * SECOND_NS;

/// A time without traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// The last datagram before it.
    pub from: Stamp,
    /// The first datagram after it; `None` while it lasts.
    pub to: Option<Stamp>,
}

impl Pause {
    /// How long it was, or is, in ns.
    pub fn ns(&self, now: Mono) -> u64 {
        self.to.map_or(now, |t| t.mono).since(self.from.mono)
    }
}

/// How a soak came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The membership does not stand.
    NotJoined,
    /// No datagram came.
    Nothing,
    /// Traffic stopped and did not come back.
    Stopped(Pause),
    /// Traffic paused and came back.
    Paused,
    /// Traffic went on, but not for long enough to prove anything.
    Short,
    /// Traffic went on past the time of every cut.
    Held,
}

impl Verdict {
    /// The word in JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::NotJoined => "not_joined",
            Verdict::Nothing => "nothing",
            Verdict::Stopped(_) => "stopped",
            Verdict::Paused => "paused",
            Verdict::Short => "short",
            Verdict::Held => "held",
        }
    }
}

/// The arrivals of one membership.
#[derive(Clone, Debug, Default)]
pub struct Soak {
    /// What counts as a pause, in ns; `None` goes by the usual gap.
    limit_ns: Option<u64>,
    /// When the membership stood.
    pub joined: Option<Stamp>,
    /// The first datagram.
    pub first: Option<Stamp>,
    /// The last datagram.
    pub last: Option<Stamp>,
    /// Datagrams.
    pub packets: u64,
    /// The longest time between two, in ns; `None` before there were two.
    pub longest_ns: Option<u64>,
    usual_ns: u64,
    pauses: Vec<Pause>,
    /// Pauses in all that came to an end.
    pub pause_count: u64,
}

impl Soak {
    /// A soak that has not begun; `limit_ns` is what counts as a pause.
    pub fn new(limit_ns: Option<u64>) -> Soak {
        Soak { limit_ns, ..Soak::default() }
    }

    /// The membership stands, the first time it is told.
    pub fn joined(&mut self, at: Stamp) {
        self.joined.get_or_insert(at);
    }

    /// A datagram arrived.
    pub fn arrived(&mut self, at: Stamp) {
        if let Some(last) = self.last {
            let gap = at.mono.since(last.mono);
            self.longest_ns = Some(self.longest_ns.map_or(gap, |l| l.max(gap)));
            if gap > self.limit_ns() {
                self.pause_count += 1;
                if self.pauses.len() < PAUSES_MAX {
                    self.pauses.push(Pause { from: last, to: Some(at) });
                }
            } else {
                // A pause is not the usual.
                self.usual_ns =
                    if self.usual_ns == 0 { gap } else { self.usual_ns - self.usual_ns / 16 + gap / 16 };
            }
        }
        self.first.get_or_insert(at);
        self.last = Some(at);
        self.packets += 1;
    }

    /// What counts as a pause at present, in ns.
    pub fn limit_ns(&self) -> u64 {
        self.limit_ns.unwrap_or_else(|| LEAST_NS.max(self.usual_ns.saturating_mul(TIMES_USUAL)))
    }

    /// The pauses that are kept, the first ones.
    pub fn pauses(&self) -> &[Pause] {
        &self.pauses
    }

    /// The pause that lasts at `now`.
    pub fn pausing(&self, now: Mono) -> Option<Pause> {
        let from = self.last?;
        (now.since(from.mono) > self.limit_ns()).then_some(Pause { from, to: None })
    }

    /// How long a soak has to last to prove something, in ns: the latest cut, and a little.
    pub fn needed_ns(timers: &Timers) -> u64 {
        timers.membership_late_ns().saturating_add(SLACK_NS)
    }

    /// Whether a stop this long after the join looks like a switch that forgot.
    pub fn looks_cut(timers: &Timers, after_join_ns: u64) -> bool {
        let least = timers.membership_ns().saturating_sub(SLACK_NS);
        (least..=Soak::needed_ns(timers)).contains(&after_join_ns)
    }

    /// The verdict at `now`, by the timers that were in force.
    pub fn verdict(&self, timers: &Timers, now: Mono) -> Verdict {
        let Some(joined) = self.joined else { return Verdict::NotJoined };
        if self.last.is_none() {
            return Verdict::Nothing;
        }
        if let Some(pause) = self.pausing(now) {
            return Verdict::Stopped(pause);
        }
        if self.pause_count > 0 {
            return Verdict::Paused;
        }
        if now.since(joined.mono) < Soak::needed_ns(timers) { Verdict::Short } else { Verdict::Held }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Wall;

    fn ms(n: u64) -> Stamp {
        Stamp { mono: Mono(n * 1_000_000), wall: Wall(0) }
    }

    fn soak(from_ms: u64, to_ms: u64, every_ms: u64) -> Soak {
        let mut s = Soak::new(None);
        s.joined(ms(0));
        (from_ms..to_ms).step_by(every_ms as usize).for_each(|at| s.arrived(ms(at)));
        s
    }

    #[test]
    fn a_stream_that_goes_on_holds_once_the_timers_have_passed() {
        let t = Timers::default();
        let s = soak(100, 274_000, 100);
        assert_eq!(s.verdict(&t, ms(274_000).mono), Verdict::Short);
        let s = soak(100, 276_000, 100);
        assert_eq!(s.verdict(&t, ms(276_000).mono), Verdict::Held);
        assert_eq!((s.pause_count, s.longest_ns), (0, Some(100_000_000)));
    }

    #[test]
    fn a_stop_is_told_with_its_time_and_looks_like_a_cut_at_the_time_of_one() {
        let t = Timers::default();
        let s = soak(100, 262_000, 100);
        let Verdict::Stopped(pause) = s.verdict(&t, ms(300_000).mono) else { panic!() };
        assert_eq!(pause.from.mono, ms(261_900 + 100 - 100).mono);
        assert!(Soak::looks_cut(&t, pause.from.mono.since(s.joined.unwrap().mono)));
        assert!(!Soak::looks_cut(&t, 120 * SECOND_NS));
    }

    #[test]
    fn a_pause_that_ends_is_counted_and_a_sparse_stream_has_none() {
        let t = Timers::default();
        let mut s = soak(0, 10_000, 100);
        s.arrived(ms(15_000));
        assert_eq!(s.verdict(&t, ms(15_100).mono), Verdict::Paused);
        assert_eq!(s.pauses()[0].ns(Mono(0)), 5_100_000_000);
        let s = {
            let mut s = Soak::new(Some(60 * SECOND_NS));
            s.joined(ms(0));
            (0..300_000).step_by(20_000).for_each(|at| s.arrived(ms(at)));
            s
        };
        assert_eq!(s.verdict(&t, ms(300_000).mono), Verdict::Held);
    }

    #[test]
    fn nothing_and_not_joined_are_told_apart() {
        let mut s = Soak::new(None);
        assert_eq!(s.verdict(&Timers::default(), ms(9_000).mono), Verdict::NotJoined);
        s.joined(ms(0));
        assert_eq!(s.verdict(&Timers::default(), ms(9_000).mono), Verdict::Nothing);
    }

    #[test]
    fn the_pauses_kept_are_bounded_and_all_are_counted() {
        let mut s = soak(0, 5_000, 100);
        (1..100).for_each(|n| s.arrived(ms(5_000 + n * 10_000)));
        assert_eq!((s.pauses().len(), s.pause_count), (PAUSES_MAX, 99));
    }
}
