//! A sender that begins anew with numbers it sent a moment ago.
//!
//! A number a little below the highest is late or a duplicate, and of one such number nothing else can be
//! known. But a run of numbers that were all seen already, each the next of the one before, with nothing
//! new in between, is a sender that was started again: what the network doubles comes beside what is
//! new.

/// Numbers in a row that make it sure.
pub(crate) const RUN: u8 = 8;

/// The run of numbers seen again, as far as it has come.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rerun {
    first: u64,
    next: u64,
    run: u8,
}

impl Rerun {
    /// Something new came: what was seen again was no new beginning.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.run = 0;
    }

    /// A number was seen again that takes up `count`. The first of the run when it is long enough.
    pub(crate) fn again(&mut self, number: u64, count: u64) -> Option<u64> {
        if self.run == 0 || number != self.next {
            *self = Rerun { first: number, next: number, run: 0 };
        }
        self.next = number.wrapping_add(count);
        self.run += 1;
        (self.run == RUN).then_some(self.first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_in_a_row_are_a_new_beginning_and_less_is_not() {
        let mut r = Rerun::default();
        let first = |r: &mut Rerun, numbers: &[u64]| numbers.iter().find_map(|&n| r.again(n, 1));
        assert_eq!(first(&mut r, &[5, 6, 7, 8, 9, 10, 11]), None);
        assert_eq!(first(&mut r, &[20, 21, 22, 23, 24, 25, 26]), None, "from elsewhere");
        r.clear();
        assert_eq!(first(&mut r, &[27, 28, 29, 30, 31, 32, 33]), None, "something new between");
        assert_eq!(r.again(34, 1), Some(27));
    }
}
