//! Wire and socket of a joined row: what was seen on its interface, and what was delivered.
//!
//! Both sides carry the kernel's receive time of the same frame, so they are compared second by second of
//! that time, each second when it is over for a while: what is still under way on one side never shows as
//! a difference. Only whole seconds count in which both were there from the beginning.
//!
//! They are compared sender by sender as well: what of its numbers is missing and was on the wire was lost
//! here ([`crate::model::here`]). A second with more senders than are kept apart is compared as a whole only.

use std::collections::HashMap;

use crate::base::group::Endpoint;
use crate::base::time::{SECOND_NS, Wall};

/// Seconds that are still open: what comes for older ones is added to the sums at once.
const OPEN: usize = 8;
/// A second is over for good after this many more.
const LATE_S: i64 = 1;

/// Senders of a row that are kept apart in a second.
pub const SENDERS: usize = 512;

/// What is known of a second.
#[derive(Clone, Debug)]
struct Second {
    second: i64,
    wire: u64,
    got: u64,
    /// The same by sender; `None` when there were too many.
    by: Option<HashMap<Endpoint, (u64, u64)>>,
}

/// Of a sender, what was on the wire in a second and not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Undelivered {
    pub of: Endpoint,
    pub second: i64,
    pub count: u64,
}

impl Second {
    fn new(second: i64) -> Second {
        Second { second, wire: 0, got: 0, by: Some(HashMap::new()) }
    }

    fn add(&mut self, from: Option<Endpoint>, wire: u64, got: u64) {
        self.wire += wire;
        self.got += got;
        let Some(by) = &mut self.by else { return };
        match from {
            Some(from) if by.len() < SENDERS || by.contains_key(&from) => {
                let n = by.entry(from).or_default();
                (n.0, n.1) = (n.0 + wire, n.1 + got);
            }
            _ => self.by = None,
        }
    }

    fn undelivered(self, out: &mut Vec<Undelivered>) {
        let second = self.second;
        let from = out.len();
        for (of, (wire, got)) in self.by.into_iter().flatten() {
            if wire > got {
                out.push(Undelivered { of, second, count: wire - got });
            }
        }
        // The map's own order differs from run to run.
        out[from..].sort_unstable_by_key(|u| u.of);
    }
}

/// The comparison.
#[derive(Clone, Debug)]
pub struct Compare {
    from: i64,
    open: Vec<Second>,
    wire: u64,
    got: u64,
    /// The row's own counters when it began.
    pub(crate) not_analysed_before: u64,
    pub(crate) dropped_before: u64,
    /// When it was last told as an event.
    pub(crate) told: u64,
}

/// What it comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Datagrams seen on the interface that the row's filter lets through.
    pub wire: u64,
    /// Of these, what was delivered.
    pub delivered: u64,
    /// What was not.
    pub not_delivered: u64,
    /// How much of that this host's buffers explain (SOCK).
    pub dropped_here: u64,
}

impl Compared {
    /// What was not delivered, and no counter of ours says why.
    pub fn unexplained(&self) -> u64 {
        self.not_delivered.saturating_sub(self.dropped_here)
    }
}

/// The second of wall-clock time that a moment lies in.
pub fn second(at: Wall) -> i64 {
    at.0.div_euclid(SECOND_NS as i64)
}

impl Compare {
    /// A comparison that begins with the second after the next one of `now`: by then both sides stand.
    /// What the row's own counters say so far is from before.
    pub(crate) fn new(now: Wall, not_analysed: u64, dropped: u64) -> Compare {
        Compare {
            from: second(now) + 2,
            open: Vec::with_capacity(OPEN),
            wire: 0,
            got: 0,
            not_analysed_before: not_analysed,
            dropped_before: dropped,
            told: 0,
        }
    }

    /// Something changed on one side: what is open is void, and it goes on a little later.
    pub(crate) fn interrupt(&mut self, now: Wall) {
        self.from = second(now) + 2;
        self.open.clear();
    }

    /// So many were seen on the wire in this second; whose they were may not be known.
    pub(crate) fn on_wire(&mut self, second: i64, from: Option<Endpoint>, n: u64) {
        self.add(second, from, n, 0);
    }

    /// So many were delivered that arrived in this second.
    pub(crate) fn delivered(&mut self, second: i64, from: Endpoint, n: u64) {
        self.add(second, Some(from), 0, n);
    }

    fn add(&mut self, second: i64, from: Option<Endpoint>, wire: u64, got: u64) {
        if second < self.from {
            return;
        }
        if let Some(s) = self.open.iter_mut().find(|s| s.second == second) {
            return s.add(from, wire, got);
        }
        if self.open.len() == OPEN {
            // The wall clock was set, or one side is far behind: the oldest cannot wait any longer.
            if let Some(oldest) = (0..OPEN).min_by_key(|&i| self.open[i].second) {
                let s = self.open.swap_remove(oldest);
                (self.wire, self.got) = (self.wire + s.wire, self.got + s.got);
            }
        }
        let mut new = Second::new(second);
        new.add(from, wire, got);
        self.open.push(new);
    }

    /// Takes the seconds that are over into the sums, and says what was not delivered in them.
    pub(crate) fn settle(&mut self, now: Wall) -> Vec<Undelivered> {
        let over = second(now) - LATE_S;
        let Compare { open, wire, got, .. } = self;
        let mut undelivered = Vec::new();
        open.retain_mut(|s| {
            // A second far ahead is from before the clock was set back.
            let keep = s.second >= over && s.second <= over + OPEN as i64;
            if !keep {
                *wire += s.wire;
                *got += s.got;
                std::mem::replace(s, Second::new(0)).undelivered(&mut undelivered);
            }
            keep
        });
        undelivered
    }

    /// The sums over the seconds that are over: on the wire, delivered.
    pub(crate) fn sums(&self) -> (u64, u64) {
        (self.wire, self.got)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: f64) -> Wall {
        Wall((seconds * 1e9) as i64)
    }

    fn sender(n: u32) -> Endpoint {
        Endpoint::new(std::net::Ipv4Addr::from(0x0a00_0000 + n).into(), 5000)
    }

    #[test]
    fn each_sender_is_compared_by_itself() {
        let mut c = Compare::new(at(0.0), 0, 0);
        for (n, wire, got) in [(1, 10, 7), (2, 10, 10), (3, 5, 9)] {
            c.on_wire(2, Some(sender(n)), wire);
            c.delivered(2, sender(n), got);
        }
        assert_eq!(c.settle(at(3.5)), []);
        assert_eq!(c.settle(at(4.0)), [Undelivered { of: sender(1), second: 2, count: 3 }]);
        assert_eq!(c.settle(at(5.0)), []);
    }

    #[test]
    fn with_too_many_senders_a_second_is_compared_as_a_whole() {
        let mut c = Compare::new(at(0.0), 0, 0);
        for n in 0..SENDERS as u32 + 1 {
            c.on_wire(2, Some(sender(n)), 2);
        }
        c.on_wire(3, None, 7);
        assert_eq!((c.settle(at(9.0)), c.sums()), (vec![], (2 * SENDERS as u64 + 2 + 7, 0)));
    }

    #[test]
    fn what_is_under_way_is_no_difference() {
        let mut c = Compare::new(at(10.2), 0, 0);
        c.on_wire(11, Some(sender(1)), 9);
        assert_eq!(c.sums(), (0, 0), "the tap may have begun within it");
        c.on_wire(12, Some(sender(1)), 100);
        c.settle(at(13.9));
        assert_eq!(c.sums(), (0, 0), "the socket's batch is still to come");
        c.delivered(12, sender(1), 97);
        c.settle(at(14.0));
        assert_eq!(c.sums(), (100, 97));
        c.delivered(12, sender(1), 3);
        c.settle(at(15.0));
        assert_eq!(c.sums(), (100, 100), "what is late is added all the same");
    }

    #[test]
    fn an_interruption_voids_what_is_open_and_keeps_the_sums() {
        let mut c = Compare::new(at(0.0), 0, 0);
        c.on_wire(2, Some(sender(1)), 10);
        c.delivered(2, sender(1), 8);
        c.settle(at(4.0));
        c.on_wire(4, Some(sender(1)), 5);
        c.interrupt(at(4.5));
        for second in 4..8 {
            c.on_wire(second, Some(sender(1)), 1);
        }
        c.settle(at(20.0));
        assert_eq!(c.sums(), (12, 8), "seconds 6 and 7 count");
    }

    #[test]
    fn a_clock_that_is_set_leaves_nothing_open_for_ever() {
        let mut c = Compare::new(at(1000.0), 0, 0);
        c.on_wire(1002, Some(sender(1)), 7);
        c.delivered(1002, sender(1), 7);
        c.settle(at(500.0));
        assert_eq!((c.sums(), c.open.len()), ((7, 7), 0));
        for second in 2000..3000 {
            c.on_wire(second, Some(sender(1)), 1);
        }
        assert!(c.open.len() <= OPEN);
        c.settle(at(4000.0));
        assert_eq!(c.sums(), (1007, 7));
    }
}
