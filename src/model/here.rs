//! Losses on this host, and which gaps they explain.
//!
//! The receiver's account and the interface's counters say how many datagrams were dropped here
//! between two readings, not which. A gap that spans such a time is put down to this host as far as
//! the drops go, each drop explaining one missing number at most; the rest is the network's.
//! Where drops cannot be tied to the numbered streams of this row (other senders of the row carry no
//! numbers, or the counter is the interface's and counts everybody's frames), what they might
//! explain is unclear.

use crate::base::time::{Mono, SECOND_NS};

/// Times of drops that are remembered apart; older ones are taken together.
const MOVES: usize = 8;
/// Receivers read the counters at least this often while there is traffic, twice over.
const READ_EVERY_NS: u64 = SECOND_NS;

/// Where missing numbers went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Placed {
    /// Dropped on this host.
    pub here: u64,
    /// Here or on the way: it cannot be told.
    pub unclear: u64,
}

/// Drops between two readings that no gap has claimed yet.
#[derive(Clone, Copy, Debug)]
struct Move {
    from: Mono,
    to: Mono,
    left: u64,
    certain: bool,
}

/// The drops of a row that gaps may claim.
#[derive(Clone, Debug, Default)]
pub struct Here {
    moves: Vec<Move>,
    read_at: Option<Mono>,
}

impl Here {
    /// A counter was read at `to`. Returns since when it can have moved.
    pub(crate) fn since(&self, to: Mono) -> Mono {
        let earliest = Mono(to.0.saturating_sub(READ_EVERY_NS));
        self.read_at.map_or(earliest, |read| read.max(earliest))
    }

    /// A counter was read at `to` and had moved by `drops`; `certain` if they can only be datagrams
    /// of this row's numbered streams.
    pub(crate) fn moved(&mut self, from: Mono, to: Mono, drops: u64, certain: bool) {
        if drops == 0 {
            return;
        }
        if self.moves.len() == MOVES {
            let oldest = self.moves.remove(0);
            let next = &mut self.moves[0];
            next.from = next.from.min(oldest.from);
            next.left = next.left.saturating_add(oldest.left);
            next.certain &= oldest.certain;
        }
        self.moves.push(Move { from, to, left: drops, certain });
    }

    /// The account was read at `at`, moved or not.
    pub(crate) fn read(&mut self, at: Mono) {
        self.read_at = Some(at);
    }

    /// Claims drops for `missing` numbers between two arrivals, those at `before` and `at`.
    pub(crate) fn claim(&mut self, before: Mono, at: Mono, missing: u64) -> Placed {
        let mut placed = Placed::default();
        if self.moves.is_empty() {
            return placed;
        }
        let mut open = missing;
        for certain in [true, false] {
            for m in self.moves.iter_mut().filter(|m| m.certain == certain) {
                if m.to < before || at < m.from {
                    continue;
                }
                let n = open.min(m.left);
                m.left -= n;
                open -= n;
                if certain {
                    placed.here += n;
                } else {
                    placed.unclear += n;
                }
            }
        }
        self.moves.retain(|m| m.left > 0);
        placed
    }

    /// Forgets what was not claimed.
    pub(crate) fn clear(&mut self) {
        self.moves.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(n: u64) -> Mono {
        Mono(n * SECOND_NS)
    }

    #[test]
    fn each_drop_explains_one_missing_number_at_most() {
        let mut here = Here::default();
        here.moved(s(10), s(11), 5, true);
        assert_eq!(here.claim(s(9), s(10), 3), Placed { here: 3, unclear: 0 });
        assert_eq!(here.claim(s(10), s(12), 3), Placed { here: 2, unclear: 0 });
        assert_eq!(here.claim(s(10), s(12), 3), Placed::default());
    }

    #[test]
    fn drops_at_another_time_explain_nothing() {
        let mut here = Here::default();
        here.moved(s(10), s(11), 5, true);
        assert_eq!(here.claim(s(8), s(9), 3), Placed::default());
        assert_eq!(here.claim(s(12), s(13), 3), Placed::default());
    }

    #[test]
    fn what_cannot_be_told_is_claimed_last() {
        let mut here = Here::default();
        here.moved(s(10), s(11), 5, false);
        here.moved(s(10), s(11), 2, true);
        assert_eq!(here.claim(s(10), s(11), 4), Placed { here: 2, unclear: 2 });
    }

    #[test]
    fn the_memory_is_bounded_and_loses_no_drop() {
        let mut here = Here::default();
        for i in 0..100 {
            here.moved(s(i), s(i + 1), 1, true);
        }
        assert!(here.moves.len() <= MOVES);
        assert_eq!(here.claim(s(0), s(200), 500).here, 100);
    }
}
