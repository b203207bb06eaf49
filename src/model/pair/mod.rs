//! Two streams as one feed: what each lost, what both lost, which one is ahead and by how much.
//!
//! The two are what SMPTE ST 2022-7 and exchanges send: the same numbered datagrams on two ways (two
//! groups, two interfaces, two senders). A receiver that takes each number from whichever way brings
//! it first has lost what neither brought: that is `lost_both`, the loss after a hitless merge.
//!
//! A pair costs nothing until it is marked, and then only for the datagrams of its two streams: at
//! most [`STREAMS_MAX`] numberings of [`SLOTS_MAX`] numbers, of which only those of the last second
//! are held.

use std::sync::Arc;

use crate::base::group::{Endpoint, Membership, MembershipId};
use crate::base::time::{Mono, SECOND_NS};
use crate::model::counter::Counter;
use crate::wire::{Protocol, SeqSample};
use axis::Axis;
pub use axis::{SLOTS_MAX, WAIT_NS};
pub use skew::{Minute, Second, Skew};

mod axis;
mod skew;

/// Streams (SSRC, session, run …) of one pair that are compared; the longest quiet one makes room for
/// another.
pub const STREAMS_MAX: usize = 8;

/// A leg that is not bound to one sender turns to another when its own was quiet for so long.
const REBIND_NS: u64 = 5 * SECOND_NS;

/// The number of a pair for as long as the program runs; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PairId(pub u32);

/// Whose datagrams a leg is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// This sender's.
    Sender(Endpoint),
    /// The first sender's that is heard; another's when that one fell silent.
    Anyone,
}

/// What a leg brought and what it lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LegCounts {
    /// Datagrams.
    pub packets: u64,
    /// Numbers, with those that came twice or late.
    pub received: u64,
    /// Numbers of the feed that it did not bring, or not within [`WAIT_NS`].
    pub lost: u64,
    /// Numbers that it brought again.
    pub duplicates: u64,
    /// Numbers that came too late to be merged, or had no place in the numbering.
    pub late: u64,
}

/// Exact counters of a pair.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// A and B.
    pub legs: [LegCounts; 2],
    /// Numbers that were decided: brought by at least one, or known to be missing on both.
    pub compared: u64,
    /// Numbers that neither brought: lost after a hitless merge.
    pub lost_both: u64,
    /// Times the sender began anew on both.
    pub restarts: u64,
}

/// Where the streams of a pair write what they find.
struct Record<'a> {
    counts: &'a mut Counts,
    skew: &'a mut Skew,
    minute: &'a mut Minute,
}

impl Record<'_> {
    fn lost(&mut self, at: Mono, lost: [bool; 2], numbers: u64) {
        for (leg, lost) in self.counts.legs.iter_mut().zip(lost) {
            leg.lost += if lost { numbers } else { 0 };
        }
        self.counts.lost_both += if lost == [true; 2] { numbers } else { 0 };
        self.minute.lost(at, lost, numbers);
    }

    fn skew(&mut self, at: Mono, ns: i64) {
        self.skew.add(ns);
        self.minute.skew(at, ns);
    }
}

/// One of the two streams.
#[derive(Clone, Debug)]
pub struct Leg {
    /// The row it comes by.
    pub row: MembershipId,
    /// What that row joins.
    pub membership: Arc<Membership>,
    /// Whose datagrams count.
    pub who: Who,
    /// The sender that is followed, once it was heard.
    pub from: Option<Endpoint>,
    /// Its first and last datagram since it was marked.
    pub heard: Option<(Mono, Mono)>,
    protocol: Option<&'static Protocol>,
    /// Whether it had numbers, and whether they were too narrow to be compared.
    numbered: bool,
    narrow: bool,
}

impl Leg {
    pub(crate) fn new(row: MembershipId, membership: Arc<Membership>, who: Who) -> Self {
        let from = match who {
            Who::Sender(e) => Some(e),
            Who::Anyone => None,
        };
        Leg { row, membership, who, from, heard: None, protocol: None, numbered: false, narrow: false }
    }

    /// Whether a datagram of this sender is one of this leg.
    fn takes(&mut self, from: Endpoint, at: Mono) -> bool {
        if self.who != Who::Anyone {
            return self.from == Some(from);
        }
        let quiet = self.heard.is_none_or(|(_, last)| at.since(last) > REBIND_NS);
        if self.from.is_none() || quiet {
            self.from = Some(from);
        }
        self.from == Some(from)
    }

    /// What it is, for a person: `10.0.0.1:5004 → 239.1.1.1:5004 on eth0`.
    pub fn describe(&self) -> String {
        let to = format!("{} on {}", self.membership.endpoint(), self.membership.iface);
        match self.from {
            Some(from) => format!("{from} → {to}"),
            None => format!("anyone → {to}"),
        }
    }
}

/// How far the comparison has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// One of them, or both, had no datagram since they were marked.
    Waiting {
        /// Whether A was not heard, and B.
        unheard: [bool; 2],
    },
    /// Both are heard, and it is not long enough to say more.
    Looking,
    /// Numbers were found on both.
    Comparing,
    /// They have no common numbering.
    Apart(Apart),
}

/// Why two streams cannot be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apart {
    /// A counter is known in neither or only one of the payloads: in A's, in B's.
    NoNumbers([bool; 2]),
    /// The counters have four bits or less, as MPEG-TS has: they wrap within the skew.
    Narrow,
    /// What they carry is not the same.
    Protocols([&'static str; 2]),
    /// Their streams (SSRC, session, run …) have different names.
    Streams([u64; 2]),
    /// The same stream, but the numbers are not the same within [`WAIT_NS`].
    Numbers([u64; 2]),
}

impl Standing {
    /// The word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Standing::Waiting { .. } => "waiting",
            Standing::Looking => "looking",
            Standing::Comparing => "comparing",
            Standing::Apart(_) => "apart",
        }
    }

    /// What keeps them from being compared, in plain words; `None` while nothing does.
    pub fn why(self) -> Option<String> {
        let text = match self {
            Standing::Comparing | Standing::Looking => return None,
            Standing::Waiting { unheard: [true, true] } => "neither A nor B was heard yet".to_owned(),
            Standing::Waiting { unheard: [true, false] } => "A was not heard yet".to_owned(),
            Standing::Waiting { .. } => "B was not heard yet".to_owned(),
            Standing::Apart(why) => match why {
                Apart::NoNumbers([false, false]) => {
                    "no counter is known in either payload: they cannot be compared number by number"
                        .to_owned()
                }
                Apart::NoNumbers([a, _]) => {
                    let leg = if a { "B" } else { "A" };
                    format!("no counter is known in the payload of {leg}")
                }
                Apart::Narrow => "their counters have four bits, as in MPEG-TS: too few to tell which \
                                  datagram belongs to which"
                    .to_owned(),
                Apart::Protocols([a, b]) => format!("A carries {a} and B {b}: not one feed"),
                Apart::Streams([a, b]) => {
                    format!(
                        "A is stream {a:#x} and B {b:#x} (SSRC, session or run): two legs of one feed have the same"
                    )
                }
                Apart::Numbers([a, b]) => {
                    format!("A is at number {a} and B at {b}, more than {} s apart", WAIT_NS / SECOND_NS)
                }
            },
        };
        Some(text)
    }
}

/// Two streams that were marked as one feed.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Its number.
    pub id: PairId,
    /// A and B.
    pub legs: [Leg; 2],
    /// When they were marked.
    pub since: Mono,
    counts: Counts,
    skew: Skew,
    minute: Minute,
    streams: Vec<Axis>,
    /// The counter that was found in an unknown payload: both are read by the same one.
    found: Option<Counter>,
    /// When a number was last found on both.
    matched_at: Option<Mono>,
    /// Events told of a loss on both: the next at so many.
    pub(crate) tell_at: u64,
}

/// A datagram of a leg as [`Pair::take`] wants it.
pub(crate) struct Arrival<'a> {
    pub row: MembershipId,
    pub from: Endpoint,
    pub at: Mono,
    pub payload: &'a [u8],
    /// What it is taken for.
    pub protocol: Option<&'static Protocol>,
    /// The counter found in it or named by the user.
    pub counter: Option<Counter>,
    /// Whether the user named it: then it comes before the protocol's own.
    pub named: bool,
}

impl Pair {
    pub(crate) fn new(id: PairId, legs: [Leg; 2], now: Mono) -> Self {
        Pair {
            id,
            legs,
            since: now,
            counts: Counts::default(),
            skew: Skew::default(),
            minute: Minute::new(now),
            streams: Vec::new(),
            found: None,
            matched_at: None,
            tell_at: 1,
        }
    }

    /// Exact counters.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// How much later B is than A.
    pub fn skew(&self) -> &Skew {
        &self.skew
    }

    /// The last minute.
    pub fn minute(&self) -> &Minute {
        &self.minute
    }

    /// Whether datagrams of this row matter.
    pub(crate) fn is_of(&self, row: MembershipId) -> bool {
        self.legs.iter().any(|l| l.row == row)
    }

    /// Which leg this stream is: 0 is A, 1 is B.
    pub fn leg_of(&self, row: MembershipId, from: Endpoint) -> Option<usize> {
        self.legs.iter().position(|l| l.row == row && l.from == Some(from))
    }

    /// Takes a datagram, if it is one of the two streams'.
    pub(crate) fn take(&mut self, d: &Arrival<'_>) {
        let leg = (0..2).find(|&i| self.legs[i].row == d.row && self.legs[i].takes(d.from, d.at));
        let Some(leg) = leg else { return };
        let l = &mut self.legs[leg];
        let first = l.heard.map_or(d.at, |(first, _)| first);
        l.heard = Some((first, d.at));
        // A row that joins what was seen on the wire has to recognise the sender anew: until then it is
        // what it was.
        l.protocol = d.protocol.or(l.protocol);
        let protocol = l.protocol;
        self.counts.legs[leg].packets += 1;
        match protocol.and_then(|p| p.sequence).filter(|_| !d.named) {
            Some(read) => read(d.payload, &mut |s| self.offer(&s, leg, d.at)),
            None => self.by_counter(leg, d),
        }
    }

    /// Reads the number of an unknown payload: by A's counter, where that is known, for both. One
    /// that finds the same numbers on both is proved by that: another reading of the same field (a
    /// gap may look like the wrap of a narrower one) does not take its place.
    fn by_counter(&mut self, leg: usize, d: &Arrival<'_>) {
        let proved = self.matched_at.is_some_and(|at| d.at.since(at) < 2 * WAIT_NS);
        if let Some(c) = d.counter
            && (self.found.is_none() || leg == 0 && (d.named || !proved))
            && self.found != Some(c)
        {
            // What was read by another counter before has nothing to do with this one.
            self.streams.clear();
            self.found = Some(c);
        }
        if let Some(c) = self.found
            && let Some(value) = c.read(d.payload)
        {
            self.offer(&c.sample(value), leg, d.at);
        }
    }

    fn offer(&mut self, s: &SeqSample, leg: usize, at: Mono) {
        let l = &mut self.legs[leg];
        l.numbered = true;
        if s.bits <= 4 {
            l.narrow = true;
            return;
        }
        let Pair { streams, counts, skew, minute, .. } = self;
        let r = &mut Record { counts, skew, minute };
        let known = streams.iter().position(|a| a.stream == s.stream && a.bits == s.bits);
        let place = known.unwrap_or_else(|| {
            if streams.len() == STREAMS_MAX {
                let quietest = (0..STREAMS_MAX).min_by_key(|&i| streams[i].last_at).unwrap_or(0);
                streams.swap_remove(quietest).finish(at, r);
            }
            streams.push(Axis::new(s, at));
            streams.len() - 1
        });
        let matched = r.skew.count();
        streams[place].offer(s, leg, at, r);
        if skew.count() > matched {
            self.matched_at = Some(at);
        }
    }

    /// Decides what was waited for long enough at `now`.
    pub(crate) fn settle(&mut self, now: Mono) {
        let Pair { streams, counts, skew, minute, .. } = self;
        let r = &mut Record { counts, skew, minute };
        for a in streams {
            a.settle(now, r);
        }
    }

    /// Decides everything, once nothing more will come.
    pub(crate) fn finish(&mut self, now: Mono) {
        let Pair { streams, counts, skew, minute, .. } = self;
        let r = &mut Record { counts, skew, minute };
        for a in streams {
            a.finish(now, r);
        }
    }

    /// Sets the figures to zero.
    pub(crate) fn reset(&mut self, now: Mono) {
        self.counts = Counts::default();
        self.skew = Skew::default();
        self.minute = Minute::new(now);
        self.tell_at = 1;
        for a in &mut self.streams {
            a.clear();
        }
    }

    /// How far the comparison has come at `now`.
    pub fn standing(&self, now: Mono) -> Standing {
        if self.skew.count() > 0 || self.streams.iter().any(Axis::is_common) {
            return Standing::Comparing;
        }
        let unheard = [0, 1].map(|i| self.legs[i].heard.is_none());
        if unheard != [false; 2] {
            return Standing::Waiting { unheard };
        }
        let later = self.legs.iter().filter_map(|l| l.heard).map(|(first, _)| first).max();
        // Unknown payloads need some datagrams before a counter is found.
        if later.is_some_and(|first| now.since(first) < 2 * WAIT_NS + SECOND_NS) {
            return Standing::Looking;
        }
        Standing::Apart(self.apart())
    }

    fn apart(&self) -> Apart {
        let [a, b] = &self.legs;
        if let (Some(x), Some(y)) = (a.protocol, b.protocol)
            && x.id != y.id
        {
            return Apart::Protocols([x.name, y.name]);
        }
        if !a.numbered || !b.numbered {
            return Apart::NoNumbers([a.numbered, b.numbered]);
        }
        if a.narrow || b.narrow {
            return Apart::Narrow;
        }
        if let Some([Some(x), Some(y)]) = self.streams.iter().map(|s| s.last).find(|l| !l.contains(&None)) {
            return Apart::Numbers([x, y]);
        }
        let newest = |leg: usize| {
            let mine = self.streams.iter().filter(|s| s.last[leg].is_some());
            mine.max_by_key(|s| s.last_at).map_or(0, |s| s.stream)
        };
        Apart::Streams([newest(0), newest(1)])
    }
}

/// The class of SMPTE ST 2022-7 receivers that a skew fits, with its limit in nanoseconds: the
/// smallest that is enough.
pub fn class_of(widest_ns: u64) -> Option<(&'static str, u64)> {
    [("D", 150_000), ("A", 10_000_000), ("B", 50_000_000), ("C", 450_000_000)]
        .into_iter()
        .find(|(_, limit)| widest_ns <= *limit)
}

#[cfg(test)]
mod tests;
