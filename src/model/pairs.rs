//! The pairs of a model: marking two streams as one feed, and taking the mark away.

use std::fmt;

use crate::base::batch::Datagram;
use crate::base::group::{Endpoint, MembershipId};
use crate::base::time::{Mono, Now};
use crate::model::Model;
use crate::model::event::EventKind;
use crate::model::group::Group;
use crate::model::pair::{Arrival, Leg, Pair, PairId, Standing, Who};
use crate::model::source::Source;

/// Pairs at a time.
pub const PAIRS_MAX: usize = 16;

/// Why two streams cannot be marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairError {
    /// A row of them is not there any more.
    NoRow,
    /// They are the same.
    Same,
    /// There are [`PAIRS_MAX`] already.
    TooMany,
}

impl fmt::Display for PairError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PairError::NoRow => f.write_str("one of the two streams is gone: its group was left"),
            PairError::Same => f.write_str("A and B are the same stream: mark two different ones"),
            PairError::TooMany => write!(f, "{PAIRS_MAX} feeds are compared already: take one away first"),
        }
    }
}

impl Model {
    /// The pairs that are compared, in the order in which they were marked.
    pub fn pairs(&self) -> &[Pair] {
        &self.pairs
    }

    /// The pair that a stream is part of, and as which leg (0 is A, 1 is B).
    pub fn pair_of(&self, row: MembershipId, from: Endpoint) -> Option<(&Pair, usize)> {
        self.pairs.iter().find_map(|p| Some((p, p.leg_of(row, from)?)))
    }

    /// Marks two streams as A and B of one feed: from now on they are compared number by number.
    ///
    /// # Errors
    /// When a row is not there, when both are the same, when there are [`PAIRS_MAX`].
    pub fn mark_pair(
        &mut self,
        a: (MembershipId, Who),
        b: (MembershipId, Who),
        now: Now,
    ) -> Result<PairId, PairError> {
        if a == b {
            return Err(PairError::Same);
        }
        if self.pairs.len() == PAIRS_MAX {
            return Err(PairError::TooMany);
        }
        let leg = |(row, who): (MembershipId, Who)| {
            let g = self.group(row).ok_or(PairError::NoRow)?;
            Ok(Leg::new(row, g.membership.clone(), who))
        };
        let legs = [leg(a)?, leg(b)?];
        let text = format!("compared as one feed: A {}, B {}", legs[0].describe(), legs[1].describe());
        let id = PairId(self.next_pair);
        self.next_pair += 1;
        self.pairs.push(Pair::new(id, legs, now.mono));
        self.note(EventKind::Feed, None, text, now);
        Ok(id)
    }

    /// Takes the mark away.
    pub fn unmark_pair(&mut self, id: PairId, now: Now) {
        if let Some(i) = self.pairs.iter().position(|p| p.id == id) {
            let p = self.pairs.remove(i);
            self.note(EventKind::Feed, None, format!("{}: not compared any more", title(&p)), now);
        }
    }

    /// A row was left: what it was a leg of is one feed no longer.
    pub(super) fn row_left(&mut self, row: MembershipId, now: Now) {
        while let Some(p) = self.pairs.iter().find(|p| p.is_of(row)) {
            self.unmark_pair(p.id, now);
        }
    }

    pub(super) fn reset_pairs(&mut self, row: Option<MembershipId>) {
        let now = self.now.mono;
        for p in self.pairs.iter_mut().filter(|p| row.is_none_or(|r| p.is_of(r))) {
            p.reset(now);
        }
    }

    /// Rows that are seen on the wire come and go by themselves: what was a leg of one goes on by the row
    /// that joins the group now, or ends with it.
    fn follow_rows(&mut self, now: Now) {
        let gone = |model: &Model, l: &Leg| model.group(l.row).is_none();
        while let Some(i) = self.pairs.iter().position(|p| p.legs.iter().any(|l| gone(self, l))) {
            let p = &self.pairs[i];
            let found = p.legs.each_ref().map(|l| {
                let passes = |g: &Group| l.from.is_none_or(|f| g.lets_through(f.ip));
                let same = |g: &Group| {
                    let (is, was) = (&g.membership, &l.membership);
                    is.endpoint() == was.endpoint() && is.iface == was.iface && passes(g)
                };
                let row = self.group(l.row).or_else(|| self.groups().find(|g| same(g)));
                row.map(|g| (g.id, g.membership.clone()))
            });
            let [Some(a), Some(b)] = found else {
                self.unmark_pair(p.id, now);
                continue;
            };
            for (l, (row, membership)) in self.pairs[i].legs.iter_mut().zip([a, b]) {
                (l.row, l.membership) = (row, membership);
            }
        }
    }

    /// Tells the rows which of their senders are one feed.
    fn tell_rows(&mut self) {
        let mut feeds = Vec::new();
        for Pair { legs: [a, b], .. } in &self.pairs {
            if let (true, Some(from_a), Some(from_b)) = (a.row == b.row, a.from, b.from) {
                feeds.push((a.row, [from_a, from_b]));
            }
        }
        if feeds == self.feeds {
            return;
        }
        let before = std::mem::replace(&mut self.feeds, feeds);
        for row in before.iter().chain(&self.feeds.clone()).map(|f| f.0) {
            let of_row: Vec<_> = self.feeds.iter().filter(|f| f.0 == row).map(|f| f.1).collect();
            if let Some(g) = self.group_mut(row) {
                (g.feeds, g.noted_of) = (of_row, None);
                // What is to know about it is another thing now.
                g.notes_at = Mono(0);
            }
        }
    }

    /// Brings the pairs up to date and tells what nobody could have merged.
    pub(super) fn settle_pairs(&mut self, now: Now) {
        self.follow_rows(now);
        self.tell_rows();
        let mut told = Vec::new();
        for p in &mut self.pairs {
            p.settle(now.mono);
            let lost = p.counts().lost_both;
            if lost >= p.tell_at {
                // Told again when it has doubled: an outage that lasts is one story.
                p.tell_at = lost * 2;
                told.push(format!("{}: {lost} of {} numbers lost on both", title(p), p.counts().compared));
            }
        }
        for text in told {
            self.note(EventKind::FeedLost, None, text, now);
        }
    }

    pub(super) fn finish_pairs(&mut self) {
        let now = self.now;
        for p in &mut self.pairs {
            p.finish(now.mono);
        }
        self.settle_pairs(now);
    }
}

/// A pair in a few words.
pub fn title(p: &Pair) -> String {
    let [a, b] = &p.legs;
    let (to_a, to_b) = (a.membership.endpoint(), b.membership.endpoint());
    let on = format!("{}/{}", a.membership.iface, b.membership.iface);
    match (to_a == to_b, a.membership.iface == b.membership.iface) {
        (true, true) => {
            let who = |l: &Leg| l.from.map_or_else(|| "anyone".to_owned(), |f| f.to_string());
            format!("feed {}/{} → {to_a} on {}", who(a), who(b), a.membership.iface)
        }
        (true, false) => format!("feed {to_a} on {on}"),
        (false, true) => format!("feed {to_a}/{to_b} on {}", a.membership.iface),
        (false, false) => format!("feed {to_a} on {}/{to_b} on {}", a.membership.iface, b.membership.iface),
    }
}

/// One line on how the two stand, and whether it is bad.
pub fn reading(p: &Pair, now: Mono) -> (String, bool) {
    use crate::base::units::count;
    let standing = p.standing(now);
    if let Some(why) = standing.why() {
        return (why, true);
    }
    if standing == Standing::Looking {
        return ("looking for numbers that both have".to_owned(), false);
    }
    let c = p.counts();
    if c.compared == 0 {
        return ("the first numbers were found on both".to_owned(), false);
    }
    let alone = |leg: usize| c.legs[leg].lost - c.lost_both;
    let each = match (alone(0), alone(1)) {
        (0, 0) => String::new(),
        (a, 0) => format!("; the merge makes up for {} on A", count(a)),
        (0, b) => format!("; the merge makes up for {} on B", count(b)),
        (a, b) => format!("; the merge makes up for {} on A, {} on B", count(a), count(b)),
    };
    let whole = match c.lost_both {
        0 => "nothing is lost on both".to_owned(),
        n => format!("{} lost on both", count(n)),
    };
    (whole + &each, c.lost_both > 0)
}

/// Shows the pairs a datagram that was counted just now.
pub(super) fn take(pairs: &mut [Pair], g: &Group, place: usize, d: &Datagram, payload: &[u8], at: Mono) {
    let Some(s) = g.sources.list().get(place) else { return };
    let (counter, named) = counter(s);
    for p in pairs.iter_mut().filter(|p| p.is_of(g.id)) {
        let protocol = s.protocol();
        p.take(&Arrival { row: g.id, from: d.source, at, payload, protocol, counter, named });
    }
}

/// The counter that a source's numbers are read by where its protocol has none, and whether the user
/// named it.
fn counter(s: &Source) -> (Option<crate::model::counter::Counter>, bool) {
    let named = s.detail.as_ref().is_some_and(|d| d.is_named());
    if !named && s.protocol().is_some_and(|p| p.sequence.is_some()) {
        return (None, false);
    }
    (s.counter().map(|(c, _)| c), named)
}
