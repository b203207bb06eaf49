//! The last minute of one source, second by second: its longest gap, its jitter and what went missing.

use crate::base::time::Mono;
use crate::model::rate::STRIP_SECONDS;

const RING: usize = STRIP_SECONDS + 1;

/// What a second had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Second {
    /// The longest gap that ended in it, in nanoseconds; 0 if none did.
    pub gap_max_ns: u64,
    /// Numbers that were given up in it (a little after they went missing).
    pub missing: u32,
    /// The largest jitter (RFC 3550) it had in it, in nanoseconds, at most 4.29 s; 0 without a media
    /// clock.
    pub jitter_max_ns: u32,
}

/// The seconds of the last minute.
#[derive(Clone, Debug)]
pub struct History {
    from: u64,
    current: u64,
    ring: [Second; RING],
    /// Numbers missing as of the last look.
    told: u64,
}

impl History {
    /// A history that begins at `since`.
    pub fn new(since: Mono) -> Self {
        let from = since.second();
        History { from, current: from, ring: [Second::default(); RING], told: 0 }
    }

    fn at(&mut self, at: Mono) -> &mut Second {
        let s = at.second();
        if s > self.current {
            for k in 0..(s - self.current).min(RING as u64) {
                self.ring[((s - k) % RING as u64) as usize] = Second::default();
            }
            self.current = s;
        }
        &mut self.ring[(self.current % RING as u64) as usize]
    }

    /// A gap ended at `at`.
    #[inline]
    pub(crate) fn gap(&mut self, at: Mono, ns: u64) {
        let s = self.at(at);
        s.gap_max_ns = s.gap_max_ns.max(ns);
    }

    /// The jitter at `at`.
    #[inline]
    pub(crate) fn jitter(&mut self, at: Mono, ns: f64) {
        let s = self.at(at);
        // Beyond the range `as` keeps to its end.
        s.jitter_max_ns = s.jitter_max_ns.max(ns as u32);
    }

    /// So many numbers are missing in all, as of `at`. What came late after all is taken back from
    /// the count, not from the second it was counted in.
    pub(crate) fn missing(&mut self, at: Mono, total: u64) {
        let more = total.saturating_sub(self.told);
        self.told = total;
        if more > 0 {
            let s = self.at(at);
            s.missing = s.missing.saturating_add(u32::try_from(more).unwrap_or(u32::MAX));
        }
    }

    /// The second that lies `back` complete seconds before `now` (0: the last complete one). `None`
    /// where nobody was watching yet.
    pub fn second(&self, now: Mono, back: usize) -> Option<Second> {
        let s = now.second().checked_sub(back as u64 + 1)?;
        if s < self.from || back >= STRIP_SECONDS {
            return None;
        }
        if s > self.current || s + (STRIP_SECONDS as u64) < self.current {
            return Some(Second::default());
        }
        Some(self.ring[(s % RING as u64) as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Mono {
        Mono(n * 1_000_000)
    }

    #[test]
    fn gaps_and_losses_stand_in_their_second_until_a_minute_is_over() {
        let mut h = History::new(ms(10_000));
        h.gap(ms(10_100), 7);
        h.gap(ms(10_900), 5);
        h.missing(ms(12_200), 3);
        h.missing(ms(12_300), 3);
        h.missing(ms(13_100), 2);
        h.missing(ms(13_200), 4);
        let at = |back| h.second(ms(14_000), back).map(|s| (s.gap_max_ns, s.missing));
        assert_eq!(at(4), None);
        assert_eq!([at(3), at(2), at(1), at(0)], [Some((7, 0)), Some((0, 0)), Some((0, 3)), Some((0, 2))]);
        assert_eq!(h.second(ms(90_000), 3), Some(Second::default()));
        h.jitter(ms(91_000), 5e5);
        h.jitter(ms(91_500), 7e12);
        assert_eq!(h.second(ms(92_000), 0).map(|s| s.jitter_max_ns), Some(u32::MAX));
    }
}
