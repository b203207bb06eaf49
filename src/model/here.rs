//! Losses on this host, and which gaps they explain.
//!
//! The receiver's account and the interface's counters say how many datagrams were dropped here
//! between two readings, not which. A gap that spans such a time is put down to this host as far as
//! the drops go, each drop explaining one missing number at most; the rest is the network's.
//! Where drops cannot be tied to the numbered streams of this row (other senders of the row carry no
//! numbers, or the counter is the interface's and counts everybody's frames), what they might
//! explain is unclear.
//!
//! A tap says more: how many datagrams of a sender were on the wire of this host in a second, and how
//! many of them were delivered. So many of its missing numbers went missing here, and drops at the
//! receiver's buffer are among them.
//!
//! What is known only after the gap was put down to the network is made up for: gaps are remembered for
//! 5 seconds, at most 1024 of them a row, those of one sender and second as one.

use std::collections::VecDeque;

use crate::base::group::Endpoint;
use crate::base::time::{Mono, SECOND_NS};

/// Times of drops that are remembered apart; older ones are taken together.
const MOVES: usize = 8;
/// Receivers read the counters at least this often while there is traffic, twice over.
const READ_EVERY_NS: u64 = SECOND_NS;
/// Gaps across drops are all called lost by now: what no gap has claimed may explain an earlier one.
const CLAIMED_NS: u64 = SECOND_NS * 5 / 4;
/// How long gaps are remembered: longer than any counter takes to be read.
const LOG_NS: u64 = 5 * SECOND_NS;
/// How many of them. The oldest makes room: it stays where it was put.
const LOG: usize = 1024;
/// Senders of which it is remembered what was not delivered before a gap shows it.
const AHEAD: usize = 64;

/// Where a missing number went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Lost on the way here.
    Net,
    /// Dropped on this host.
    Here,
    /// The one or the other.
    Unclear,
}

/// What a drop counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drops {
    /// Datagrams at the receiver's buffer that can only be of this row's numbered streams.
    Numbered,
    /// Datagrams at a receiver's buffer, of whomever.
    Buffer,
    /// Frames at the interface: no tap saw them.
    Nic,
}

/// Where missing numbers went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Placed {
    /// Dropped on this host.
    pub here: u64,
    /// Here or on the way: it cannot be told.
    pub unclear: u64,
}

/// Missing numbers that went elsewhere than they were put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Correction {
    pub of: Endpoint,
    pub from: Place,
    pub to: Place,
    pub count: u64,
}

/// Drops between two readings that no gap has claimed yet.
#[derive(Clone, Copy, Debug)]
struct Move {
    from: Mono,
    to: Mono,
    left: u64,
    what: Drops,
}

impl Move {
    fn is_certain(&self) -> bool {
        self.what == Drops::Numbered
    }
}

/// Datagrams of a sender that were on the wire and not delivered, and that no gap has shown yet.
#[derive(Clone, Copy, Debug)]
struct Ahead {
    of: Endpoint,
    from: Mono,
    to: Mono,
    left: u64,
}

/// What was missing between two arrivals of a sender, and where it was put.
#[derive(Clone, Copy, Debug)]
struct Missing {
    of: Endpoint,
    before: Mono,
    at: Mono,
    /// Put down to this host because of its counters.
    counted: u64,
    unclear: u64,
    net: u64,
}

impl Missing {
    fn overlaps(&self, from: Mono, to: Mono) -> bool {
        self.before <= to && from <= self.at
    }
}

/// The drops of a row that gaps may claim, and the gaps that may have to be put elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Here {
    moves: Vec<Move>,
    read_at: Option<Mono>,
    ahead: Vec<Ahead>,
    log: VecDeque<Missing>,
    /// Whose numbers are being looked at.
    of: Option<Endpoint>,
    /// These numbers are counted a second time, by another counter.
    mute: bool,
}

impl Here {
    /// From now on gaps are of this sender.
    #[inline]
    pub(crate) fn of(&mut self, sender: Endpoint) {
        self.of = Some(sender);
    }

    /// From now on nothing is claimed and no gap remembered, or (`false`) all are again.
    #[inline]
    pub(crate) fn mute(&mut self, mute: bool) {
        self.mute = mute;
    }

    /// A counter was read at `to`. Returns since when it can have moved.
    pub(crate) fn since(&self, to: Mono) -> Mono {
        let earliest = Mono(to.0.saturating_sub(READ_EVERY_NS));
        self.read_at.map_or(earliest, |read| read.max(earliest))
    }

    /// A counter was read at `to` and had moved by `count`.
    pub(crate) fn moved(&mut self, from: Mono, to: Mono, count: u64, what: Drops) {
        if count == 0 {
            return;
        }
        if self.moves.len() == MOVES {
            let oldest = self.moves.remove(0);
            let next = &mut self.moves[0];
            next.from = next.from.min(oldest.from);
            next.left = next.left.saturating_add(oldest.left);
            if oldest.what != next.what {
                // Of both it can be said only what holds for either.
                next.what = if next.is_certain() { oldest.what } else { next.what };
            }
        }
        self.moves.push(Move { from, to, left: count, what });
    }

    /// The account was read at `at`, moved or not.
    pub(crate) fn read(&mut self, at: Mono) {
        self.read_at = Some(at);
    }

    /// Claims drops for `missing` numbers between two arrivals, those at `before` and `at`.
    pub(crate) fn claim(&mut self, before: Mono, at: Mono, missing: u64) -> Placed {
        if self.mute {
            return Placed::default();
        }
        let mut placed = Placed::default();
        let mut open = missing;
        for a in self.ahead.iter_mut().filter(|a| Some(a.of) == self.of) {
            if a.to < before || at < a.from {
                continue;
            }
            let n = open.min(a.left);
            a.left -= n;
            open -= n;
            placed.here += n;
        }
        self.ahead.retain(|a| a.left > 0);
        let mut counted = 0;
        for certain in [true, false] {
            for m in self.moves.iter_mut().filter(|m| m.is_certain() == certain) {
                if m.to < before || at < m.from {
                    continue;
                }
                let n = open.min(m.left);
                m.left -= n;
                open -= n;
                if certain {
                    counted += n;
                } else {
                    placed.unclear += n;
                }
            }
        }
        self.moves.retain(|m| m.left > 0);
        placed.here += counted;
        if let Some(of) = self.of {
            self.remember(Missing { of, before, at, counted, unclear: placed.unclear, net: open });
        }
        placed
    }

    fn remember(&mut self, m: Missing) {
        if m.counted + m.unclear + m.net == 0 {
            return;
        }
        let within = |k: &Missing| k.of == m.of && k.before.second() == m.at.second();
        if m.before.second() == m.at.second()
            && let Some(k) = self.log.iter_mut().rev().take(AHEAD).find(|k| within(k))
            && k.at.second() == m.at.second()
        {
            (k.before, k.at) = (k.before.min(m.before), k.at.max(m.at));
            k.counted += m.counted;
            k.unclear += m.unclear;
            k.net += m.net;
            return;
        }
        if self.log.len() == LOG {
            self.log.pop_front();
        }
        self.log.push_back(m);
    }

    /// Between `from` and `to` so many datagrams of a sender were on the wire and not delivered. Each is
    /// one missing number at most: one that was put down to this host already, else one that was not.
    pub(crate) fn undelivered(
        &mut self,
        of: Endpoint,
        (from, to): (Mono, Mono),
        count: u64,
        out: &mut Vec<Correction>,
    ) {
        let mut left = count;
        for m in self.log.iter_mut().filter(|m| m.of == of && m.overlaps(from, to)) {
            let n = left.min(m.counted);
            m.counted -= n;
            left -= n;
        }
        // The rest may have been dropped at the receiver's buffer: those drops explain nothing else.
        let mut explained = left;
        let at_buffer = |m: &&mut Move| m.what != Drops::Nic && m.from <= to && from <= m.to;
        for m in self.moves.iter_mut().filter(at_buffer) {
            let n = explained.min(m.left);
            m.left -= n;
            explained -= n;
        }
        self.moves.retain(|m| m.left > 0);
        for place in [Place::Unclear, Place::Net] {
            for m in self.log.iter_mut().filter(|m| m.of == of && m.overlaps(from, to)) {
                let there = if place == Place::Net { &mut m.net } else { &mut m.unclear };
                let n = left.min(*there);
                *there -= n;
                left -= n;
                correct(out, of, (place, Place::Here), n);
            }
        }
        if left == 0 {
            return;
        }
        match self.ahead.iter_mut().find(|a| a.of == of && from.since(a.to) < SECOND_NS) {
            Some(a) => {
                a.to = a.to.max(to);
                a.left += left;
            }
            None => {
                if self.ahead.len() == AHEAD {
                    self.ahead.remove(0);
                }
                self.ahead.push(Ahead { of, from, to, left });
            }
        }
    }

    /// Gives drops that no gap has claimed by `now` to gaps that were put down to the network before the
    /// counters were read.
    pub(crate) fn settle(&mut self, now: Mono, out: &mut Vec<Correction>) {
        for m in self.moves.iter_mut().filter(|m| now.since(m.to) >= CLAIMED_NS) {
            for g in self.log.iter_mut().filter(|g| g.overlaps(m.from, m.to)) {
                let n = m.left.min(g.net);
                m.left -= n;
                g.net -= n;
                let to = if m.is_certain() {
                    g.counted += n;
                    Place::Here
                } else {
                    g.unclear += n;
                    Place::Unclear
                };
                correct(out, g.of, (Place::Net, to), n);
            }
        }
        self.moves.retain(|m| m.left > 0);
        let kept = |g: &Missing| now.since(g.at) < LOG_NS && g.counted + g.unclear + g.net > 0;
        self.log.retain(kept);
        if self.log.is_empty() {
            // A quiet row keeps no memory.
            self.log = VecDeque::new();
        }
    }

    /// Forgets what was not claimed.
    pub(crate) fn clear(&mut self) {
        self.moves.clear();
        self.ahead.clear();
        self.log.clear();
    }
}

fn correct(out: &mut Vec<Correction>, of: Endpoint, (from, to): (Place, Place), count: u64) {
    if count > 0 {
        out.push(Correction { of, from, to, count });
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
        here.moved(s(10), s(11), 5, Drops::Numbered);
        assert_eq!(here.claim(s(9), s(10), 3), Placed { here: 3, unclear: 0 });
        assert_eq!(here.claim(s(10), s(12), 3), Placed { here: 2, unclear: 0 });
        assert_eq!(here.claim(s(10), s(12), 3), Placed::default());
    }

    #[test]
    fn drops_at_another_time_explain_nothing() {
        let mut here = Here::default();
        here.moved(s(10), s(11), 5, Drops::Numbered);
        assert_eq!(here.claim(s(8), s(9), 3), Placed::default());
        assert_eq!(here.claim(s(12), s(13), 3), Placed::default());
    }

    #[test]
    fn what_cannot_be_told_is_claimed_last() {
        let mut here = Here::default();
        here.moved(s(10), s(11), 5, Drops::Buffer);
        here.moved(s(10), s(11), 2, Drops::Numbered);
        assert_eq!(here.claim(s(10), s(11), 4), Placed { here: 2, unclear: 2 });
    }

    fn sender(n: u8) -> Endpoint {
        Endpoint::new([10, 0, 0, n].into(), 5000)
    }

    fn of(sender: Endpoint, from: Place, to: Place, count: u64) -> Correction {
        Correction { of: sender, from, to, count }
    }

    #[test]
    fn a_counter_read_late_takes_a_gap_from_the_network() {
        let (mut here, mut out) = (Here::default(), Vec::new());
        here.of(sender(1));
        assert_eq!(here.claim(s(10), s(11), 5), Placed::default());
        here.moved(s(10), s(11), 2, Drops::Nic);
        here.settle(s(12), &mut out);
        assert_eq!(out, [], "a gap across the drops may still be called lost");
        here.settle(s(13), &mut out);
        assert_eq!(out, [of(sender(1), Place::Net, Place::Unclear, 2)]);
        here.moved(s(10), s(11), 9, Drops::Numbered);
        here.settle(s(14), &mut out);
        assert_eq!(out[1..], [of(sender(1), Place::Net, Place::Here, 3)]);
        assert_eq!(here.claim(s(10), s(11), 9).here, 6, "what is left is there to be claimed");
    }

    #[test]
    fn what_was_on_the_wire_and_not_delivered_was_lost_here_each_number_once() {
        let (mut here, mut out) = (Here::default(), Vec::new());
        let second = (s(10), s(11));
        here.moved(s(10), s(11), 4, Drops::Numbered);
        for (n, missing) in [(1, 3), (2, 5), (3, 5)] {
            here.of(sender(n));
            here.claim(s(10), s(11), missing);
        }
        // Of the first all were dropped at the buffer, of the second one was, and another elsewhere here.
        here.undelivered(sender(1), second, 3, &mut out);
        here.undelivered(sender(2), second, 2, &mut out);
        assert_eq!(out, [of(sender(2), Place::Net, Place::Here, 1)]);
        here.undelivered(sender(3), second, 9, &mut out);
        assert_eq!(out[1..], [of(sender(3), Place::Net, Place::Here, 5)], "no more than are missing");
        here.undelivered(sender(2), (s(20), s(21)), 2, &mut out);
        assert_eq!(out.len(), 2, "at another time");
    }

    #[test]
    fn what_was_not_delivered_waits_for_the_gap_that_shows_it() {
        let (mut here, mut out) = (Here::default(), Vec::new());
        for k in 10..20 {
            here.undelivered(sender(1), (s(k), s(k + 1)), 100, &mut out);
        }
        here.of(sender(2));
        assert_eq!(here.claim(s(10), s(20), 900), Placed::default(), "it is of another sender");
        here.of(sender(1));
        assert_eq!(here.claim(s(10), s(20), 1003), Placed { here: 1000, unclear: 0 });
        assert_eq!(out, []);
    }

    #[test]
    fn a_drop_at_the_buffer_that_the_wire_explains_explains_no_other_gap() {
        let (mut here, mut out) = (Here::default(), Vec::new());
        here.moved(s(10), s(11), 5, Drops::Buffer);
        here.moved(s(10), s(11), 1, Drops::Nic);
        here.undelivered(sender(1), (s(10), s(11)), 5, &mut out);
        here.of(sender(2));
        assert_eq!(here.claim(s(10), s(11), 5), Placed { here: 0, unclear: 1 });
        here.of(sender(1));
        assert_eq!(here.claim(s(10), s(11), 5), Placed { here: 5, unclear: 0 });
    }

    #[test]
    fn what_is_remembered_of_gaps_is_bounded_and_forgotten() {
        let (mut here, mut out) = (Here::default(), Vec::new());
        for k in 0..3000u64 {
            here.of(Endpoint::new([10, 0, (k >> 8) as u8, k as u8].into(), 5000));
            here.claim(Mono(k * 1_000_000), Mono(k * 1_000_000 + 1), 1);
            here.claim(Mono(k * 1_000_000 + 1), Mono(k * 1_000_000 + 2), 1);
            here.undelivered(sender(k as u8), (s(100 + k), s(101 + k)), 1, &mut out);
        }
        assert_eq!((here.log.len(), here.ahead.len()), (LOG, AHEAD));
        assert!(here.log.iter().all(|m| m.net == 2), "those of a sender and second are one");
        here.settle(s(9), &mut out);
        assert_eq!((here.log.len(), here.log.capacity()), (0, 0));
    }

    #[test]
    fn the_memory_is_bounded_and_loses_no_drop() {
        let mut here = Here::default();
        for i in 0..100 {
            here.moved(s(i), s(i + 1), 1, Drops::Numbered);
        }
        assert!(here.moves.len() <= MOVES);
        assert_eq!(here.claim(s(0), s(200), 500).here, 100);
    }
}
