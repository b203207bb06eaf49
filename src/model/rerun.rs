//! A sender that begins anew with numbers it sent a moment ago.
//!
//! A number a little below the highest is late or a duplicate, and of one such number nothing else can be
//! known. But after a silence a run of numbers that were all seen already or given up as lost, each
//! a little above the one before and with nothing new in between, is a sender that was started again: what
//! the network doubles comes beside what is new, or goes on where the last doubled one was.

use crate::base::time::SECOND_NS;
use crate::model::sequence::SeqCounts;

/// Numbers in a row that make it sure.
const RUN: usize = 8;
/// The silence before it: shorter than any program needs to start again, longer than two ways to here
/// usually differ by.
const QUIET_NS: u64 = SECOND_NS / 20;
/// So far one number may be from the one before: lost and swapped ones in between.
const NEAR: u64 = 4;

/// What eight numbers may do to the counters: told apart from them, so that it can be taken back.
type Changes = [u8; 6];

/// The run of numbers seen again, as far as it has come. Small, as each stream has one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rerun {
    /// The first number, how far the others are from it, and how many each takes up.
    first: u64,
    others: [i8; RUN],
    count: u16,
    len: u8,
    /// Whether there was a last number that came from behind, and which.
    any: bool,
    last: u64,
    changes: Changes,
    /// How late the latest was before it, in numbers and in nanoseconds.
    late: (u64, u64),
}

/// What was taken for late and doubled numbers, and the counters without them.
pub(crate) struct Restart {
    pub(crate) numbers: [u64; RUN],
    pub(crate) count: u32,
    pub(crate) counts: SeqCounts,
}

/// The counters that a number from behind raises, and those that it lowers.
fn touched(c: &mut SeqCounts) -> ([&mut u64; 2], [&mut u64; 4]) {
    (
        [&mut c.duplicates, &mut c.reordered],
        [&mut c.lost, &mut c.lost_here, &mut c.lost_unclear, &mut c.lost_at_start],
    )
}

impl Rerun {
    /// Something new came: what was seen again was no new beginning.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// A number came from behind that takes up `count`, `quiet_ns` after the datagram before: `old` if it
    /// was seen already or given up. The counters are as they were before and as they are now.
    pub(crate) fn take(
        &mut self,
        (number, count): (u64, u32),
        old: bool,
        quiet_ns: u64,
        (mut before, mut now): (SeqCounts, SeqCounts),
    ) -> Option<Restart> {
        let last = self.any.then_some(self.last);
        (self.any, self.last) = (true, number);
        let Ok(count) = u16::try_from(count) else { return None };
        let follows = |n: u64| number.wrapping_sub(n).wrapping_add(NEAR) <= 2 * NEAR;
        let goes_on = self.len > 0 && last.is_some_and(follows) && count == self.count;
        if !old || !goes_on && (quiet_ns < QUIET_NS || last.is_some_and(follows)) {
            self.len = 0;
            return None;
        }
        if !goes_on {
            (self.first, self.count, self.len, self.changes) = (number, count, 0, Changes::default());
            self.late = (before.late_max, before.late_max_ns);
        }
        // At most RUN steps of NEAR from the first.
        self.others[usize::from(self.len)] = number.wrapping_sub(self.first) as i8;
        self.len += 1;
        let ((was_up, was_down), (up, down)) = (touched(&mut before), touched(&mut now));
        let raised = up.iter().zip(&was_up).map(|(now, was)| (**now - **was).min(1));
        let lowered = down.iter().zip(&was_down).map(|(now, was)| was.saturating_sub(**now));
        for (sum, change) in self.changes.iter_mut().zip(raised.chain(lowered)) {
            *sum = sum.saturating_add(change as u8);
        }
        if usize::from(self.len) < RUN {
            return None;
        }
        (self.len, self.any) = (0, false);
        // A block held up on the way fills gaps; a new beginning repeats what came.
        if usize::from(self.changes[0]) < RUN / 2 {
            return None;
        }
        // As many that stand still or go down are no run.
        if self.others.windows(2).filter(|w| w[1] > w[0]).count() < RUN / 2 {
            return None;
        }
        let (up, down) = touched(&mut now);
        let mut changes = self.changes.iter().map(|&c| u64::from(c));
        up.into_iter().zip(changes.by_ref()).for_each(|(counter, by)| *counter = counter.saturating_sub(by));
        down.into_iter().zip(changes).for_each(|(counter, by)| *counter += by);
        // What is of the new run was not late in the old one.
        (now.late_max, now.late_max_ns) = self.late;
        let numbers = self.others.map(|by| self.first.wrapping_add_signed(by.into()));
        Some(Restart { numbers, count: count.into(), counts: now })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(numbers: &[u64], quiet_ns: u64, r: &mut Rerun) -> Option<u64> {
        let doubled = SeqCounts { duplicates: 8, ..SeqCounts::default() };
        let mut quiet = quiet_ns;
        numbers.iter().find_map(|&n| {
            let found = r.take((n, 1), true, quiet, (SeqCounts::default(), doubled));
            quiet = 1_000_000;
            found.map(|f| f.numbers[0])
        })
    }

    #[test]
    fn eight_in_a_row_after_a_silence_are_a_new_beginning() {
        let r = &mut Rerun::default();
        assert_eq!(first(&[5, 6, 7, 8, 9, 10, 11], QUIET_NS, r), None, "too few");
        r.clear();
        assert_eq!(first(&[12, 13, 14, 15, 16, 17, 18, 19], QUIET_NS, r), None, "it goes on there");
        assert_eq!(first(&[50, 51, 52, 53, 54, 55, 56, 57], 0, r), None, "no silence");
        assert_eq!(first(&[20, 21, 23, 22, 24, 24, 25, 29], QUIET_NS, r), Some(20));
        assert_eq!(first(&[70, 70, 70, 70, 70, 70, 70, 70], QUIET_NS, r), None, "one again and again");
    }
}
