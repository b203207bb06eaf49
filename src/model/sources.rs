//! The senders of one group: found by endpoint, listed in the order of their appearance, and which of
//! them are kept with [`Detail`].

use std::cmp::Reverse;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::ops::Range;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::base::batch::SLOTS;
use crate::base::group::Endpoint;
use crate::base::time::Mono;
use crate::model::detail::Detail;
use crate::model::due::{Dues, Look};
use crate::model::here::Here;
use crate::model::sequence::SeqCounts;
use crate::model::source::{Source, Stamp, State};

/// The sources of a group, found by endpoint, listed in the order of their appearance.
#[derive(Clone, Debug, Default)]
pub struct SourceTable {
    /// Places in `list`, found by the endpoint that stands there: small, so that it stays near.
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
    list: Vec<Source>,
    last: u32,
    /// The one that somebody looks at: it is kept with detail whatever it sends.
    looked_at: Option<u32>,
    limits: Limits,
    /// Continuity over all, kept up to date source by source: with very many of them a sum at every
    /// look would cost more than the look.
    sum: SeqCounts,
    /// Those whose continuity is known.
    numbered: usize,
    /// The place of the one that sent most.
    busiest: u32,
    /// Which of them have to be looked at with the next turns.
    dues: Dues,
    changes: u64,
    /// The busiest of those without detail that were heard in this round, packets a second first.
    busy: Vec<(u64, u32)>,
    /// The places of those with detail, once not all have it.
    kept: Vec<u32>,
}

/// How many senders a group keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// At most; what more send is counted on the group only.
    pub sources: usize,
    /// With [`Detail`]: the first ones as they appear, later the busiest ones.
    pub detailed: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { sources: SOURCES_MAX, detailed: DETAILED }
    }
}

/// Sources of a group that are kept with [`Detail`]: the first ones as they appear, later the busiest
/// ones.
pub const DETAILED: usize = 4096;
/// Sources that change places at a time: a turn stays short.
const MOVED: usize = 256;
/// Sources from which on their records do not stay in the cache.
const FAR: usize = 1024;
/// No hint for [`SourceTable::place`].
pub(crate) const NO_HINT: u32 = u32::MAX;
/// Sources that a group keeps; what more send is counted on the group only.
pub const SOURCES_MAX: usize = 1_000_000;

/// An IPv4 endpoint is one word to the hasher, not five pieces.
fn hash(hasher: &DefaultHashBuilder, e: Endpoint) -> u64 {
    match e.ip {
        IpAddr::V4(ip) => hasher.hash_one(u64::from(u32::from(ip)) << 16 | u64::from(e.port)),
        IpAddr::V6(ip) => hasher.hash_one((u128::from(ip), e.port)),
    }
}

/// Packets a second.
fn packets_pps(s: &Source, now: Mono) -> u64 {
    s.rate.rate(now, s.first.mono).map_or(0, |r| r.packets_pps as u64)
}

/// The order of those that may be given detail.
fn busiest_first(&(pps, place): &(u64, u32)) -> (Reverse<u64>, u32) {
    (Reverse(pps), place)
}

impl SourceTable {
    /// The place of a source, made if it is new (then the second value is true); `None` when the
    /// table is full. `hint` may say where it is.
    pub(crate) fn place(
        &mut self,
        from: Endpoint,
        hint: u32,
        at: Stamp,
        ours: impl FnOnce() -> bool,
    ) -> Option<(usize, bool)> {
        let here = |i: u32| self.list.get(i as usize).is_some_and(|s| s.endpoint == from);
        let known = [hint, self.last].into_iter().find(|&i| here(i)).or_else(|| self.find(from));
        if let Some(i) = known {
            self.last = i;
            return Some((i as usize, false));
        }
        if self.list.len() >= self.limits.sources {
            return None;
        }
        let i = self.list.len() as u32;
        self.list.push(Source::new(from, at, ours(), self.list.len() < self.limits.detailed));
        self.dues.push();
        let (hasher, list) = (&self.hasher, &self.list);
        self.index.insert_unique(hash(hasher, from), i, |&i| hash(hasher, list[i as usize].endpoint));
        self.last = i;
        Some((i as usize, true))
    }

    fn find(&self, from: Endpoint) -> Option<u32> {
        let hash = hash(&self.hasher, from);
        self.index.find(hash, |&i| self.list[i as usize].endpoint == from).copied()
    }

    /// Finds several senders at once, for [`SourceTable::place`], and reads a little of what counting
    /// their datagrams will touch. With very many senders each is far away in memory: asked for
    /// together, the waits overlap instead of adding up.
    pub(crate) fn hints(&self, from: impl Iterator<Item = Endpoint>, hints: &mut [u32; SLOTS]) {
        if self.list.len() < FAR {
            return;
        }
        let mut n = 0;
        for (hint, from) in hints.iter_mut().zip(from) {
            *hint = self.find(from).unwrap_or(NO_HINT);
            n += 1;
        }
        let mut sum = 0;
        for s in hints[..n].iter().filter_map(|&i| self.list.get(i as usize)) {
            sum ^= s.counters.packets ^ s.gaps.count ^ s.last.mono.0 ^ s.rate.current();
            sum ^= u64::from(s.verdict.seen() ^ s.dscp.changes) ^ u64::from(s.detail.is_some());
        }
        std::hint::black_box(sum);
    }

    /// Sets other limits than the usual ones; who is there stays.
    pub(crate) fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    pub(crate) fn at_mut(&mut self, place: usize) -> &mut Source {
        &mut self.list[place]
    }

    /// Changes the source at this place, and what all add up to.
    pub(crate) fn change_at<T>(&mut self, place: usize, f: impl FnOnce(&mut Source) -> T) -> T {
        self.dues.open(place);
        self.changes += 1;
        self.change_known(place, f)
    }

    fn change_known<T>(&mut self, place: usize, f: impl FnOnce(&mut Source) -> T) -> T {
        let before = self.list[place].told();
        let out = f(&mut self.list[place]);
        self.tell(place, before);
        out
    }

    /// Changes every source, and what all add up to.
    pub(crate) fn change_each(&mut self, mut f: impl FnMut(&mut Source)) {
        (0..self.list.len()).for_each(|place| self.change_at(place, &mut f));
        self.find_maxima();
    }

    /// Makes the maxima over all sources anew.
    fn find_maxima(&mut self) {
        self.sum = self.sum.summed();
        for told in self.list.iter().filter_map(Source::told) {
            self.sum.raise(&told);
        }
    }

    /// Changes the source of this endpoint, if there is one.
    pub(crate) fn change<T>(&mut self, from: Endpoint, f: impl FnOnce(&mut Source) -> T) -> Option<T> {
        self.find(from).map(|place| self.change_at(place as usize, f))
    }

    /// Takes notice of what a datagram that arrived at `at` changed at this place.
    #[inline]
    pub(crate) fn counted(&mut self, place: usize, at: Mono, discontinuous: bool) {
        let bytes = |i: usize| self.list[i].counters.payload_bytes;
        if bytes(place) > bytes(self.busiest as usize) {
            self.busiest = place as u32;
        }
        let mut open = self.list[place].state != State::Live;
        if let Some(detail) = &self.list[place].detail {
            if discontinuous {
                // Only then a number can have gone missing; the source stays open while one is waited for.
                open |= detail.waits();
                let before = detail.told.map_or(0, |c| c.late_max);
                open |= self.tell(place, detail.told);
                // What was taken for late turned out to be of a sender that began anew.
                if self.list[place].told().is_some_and(|c| c.late_max < before) {
                    self.find_maxima();
                }
            } else {
                debug_assert_eq!(detail.told, self.list[place].continuity().map(SeqCounts::events));
            }
        }
        self.dues.heard(place, at, open);
    }

    /// Puts what is known of the source at this place into the sum, instead of what was told before;
    /// whether it differs.
    fn tell(&mut self, place: usize, before: Option<SeqCounts>) -> bool {
        let s = &mut self.list[place];
        let after = s.continuity().map(SeqCounts::events);
        if let Some(detail) = &mut s.detail {
            detail.told = after;
        }
        if before != after {
            self.sum.replace(before.unwrap_or_default(), after.unwrap_or_default());
            self.numbered = self.numbered + usize::from(after.is_some()) - usize::from(before.is_some());
        }
        before != after
    }

    /// Brings the sources at these places up to date, as far as they need it; tells those whose state
    /// changed, with the state before. `expected` says whose silence is a fault.
    pub(crate) fn settle(
        &mut self,
        places: Range<usize>,
        now: Mono,
        expected: impl Fn(IpAddr) -> bool,
        here: &mut Here,
        mut changed: impl FnMut(&Source, State),
    ) {
        let crowded = self.list.len() > self.limits.detailed;
        let whole = places == (0..self.list.len());
        for place in places {
            let look = self.dues.look(place, now);
            debug_assert!(
                matches!(look, Look::Whole(_) | Look::State(_))
                    || self.list[place].is_settled(now, expected(self.list[place].endpoint.ip)),
                "what is passed over has nothing to tell"
            );
            let heard = match look {
                Look::None => continue,
                Look::Heard => true,
                Look::Whole(heard) | Look::State(heard) => {
                    let expected = expected(self.list[place].endpoint.ip);
                    let whole = matches!(look, Look::Whole(_));
                    let (was, due) = match whole {
                        true => self.change_known(place, |s| s.settle(now, expected, here)),
                        false => self.list[place].settle_state(now, expected),
                    };
                    let s = &self.list[place];
                    self.dues.at(place, due, whole && s.waits());
                    if was != s.state {
                        self.changes += 1;
                        changed(s, was);
                    }
                    heard
                }
            };
            if crowded && heard {
                self.candidate(place, now);
            }
        }
        if whole {
            self.dues.all();
        }
    }

    /// How often something changed that was not a datagram.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// One was heard that may be busier than those that have detail.
    fn candidate(&mut self, place: usize, now: Mono) {
        let s = &self.list[place];
        let pps = if s.detail.is_none() { packets_pps(s, now) } else { 0 };
        if pps == 0 {
            return;
        }
        self.busy.push((pps, place as u32));
        if self.busy.len() >= 4 * MOVED {
            self.busy.select_nth_unstable_by_key(MOVED, busiest_first);
            self.busy.truncate(MOVED);
        }
    }

    /// Continuity over all sources, but for `expected` and `received`, which are a source's; `None` while
    /// no source has a known counter.
    pub fn continuity(&self) -> Option<SeqCounts> {
        debug_assert_eq!(
            self.list.iter().filter_map(Source::continuity).fold(SeqCounts::default(), |mut sum, c| {
                sum += c.events().summed();
                sum
            }),
            self.sum.summed(),
            "the sum over all sources"
        );
        (self.numbered > 0).then_some(self.sum)
    }

    /// The source that sent most.
    pub fn busiest(&self) -> Option<&Source> {
        self.list.get(self.busiest as usize)
    }

    /// Somebody looks at this sender, or no more at any: it is kept with detail.
    pub(crate) fn look_at(&mut self, from: Option<Endpoint>, now: Mono) {
        self.looked_at = from.and_then(|f| self.find(f));
        if let Some(i) = self.looked_at {
            let known = self.list[i as usize].detail.is_some();
            self.change_at(i as usize, |s| {
                s.detail.get_or_insert_with(|| Box::new(Detail::new(now)));
            });
            if !known && !self.kept.is_empty() {
                self.kept.push(i);
            }
        }
    }

    /// How many are kept with [`Detail`].
    pub fn detailed(&self) -> usize {
        let all = self.list.len() <= self.limits.detailed;
        if all { self.list.len() } else { self.list.iter().filter(|s| s.detail.is_some()).count() }
    }

    /// Every source had its turn. Gives the detail of the quietest to the busiest, where there are more
    /// than [`DETAILED`]. It takes half as much traffic again, so that equals do not change places for ever.
    pub(crate) fn round(&mut self, now: Mono, here: &mut Here) {
        self.dues.round();
        if self.list.len() <= self.limits.detailed {
            return;
        }
        if self.kept.is_empty() {
            let with = self.list.iter().zip(0..).filter(|(s, _)| s.detail.is_some());
            self.kept = with.map(|(_, i)| i).collect();
        }
        let mut busy = std::mem::take(&mut self.busy);
        busy.iter_mut().for_each(|(pps, i)| *pps = packets_pps(&self.list[*i as usize], now));
        busy.retain(|&(_, i)| self.list[i as usize].detail.is_none());
        busy.sort_unstable_by_key(busiest_first);
        busy.dedup();
        busy.truncate(MOVED);
        self.exchange(&busy, now, here);
        busy.clear();
        self.busy = busy;
    }

    fn exchange(&mut self, busy: &[(u64, u32)], now: Mono, here: &mut Here) {
        // One that was looked at before may be one too many.
        let places = self.limits.detailed.saturating_sub(usize::from(self.looked_at.is_some()));
        let quiet = self.kept.iter().zip(0..).filter(|(i, _)| self.looked_at != Some(**i));
        let mut quiet: Vec<(u64, u32, usize)> =
            quiet.map(|(&i, k)| (packets_pps(&self.list[i as usize], now), i, k)).collect();
        let over = quiet.len().saturating_sub(places);
        let wanted = (over + busy.len()).min(quiet.len());
        if wanted == 0 {
            return;
        }
        quiet.select_nth_unstable(wanted - 1);
        quiet.truncate(wanted);
        quiet.sort_unstable();
        for (&(was, from, k), &(is, to)) in quiet[over..].iter().zip(busy) {
            if is <= was + was / 2 {
                break;
            }
            if let Some(mut detail) = self.change_at(from as usize, |s| s.demote(here)) {
                *detail = Detail::new(now);
                self.change_at(to as usize, |s| s.detail = Some(detail));
                self.kept[k] = to;
            }
        }
        for &(_, i, _) in &quiet[..over] {
            self.change_at(i as usize, |s| s.demote(here));
        }
        if over > 0 {
            let list = &self.list;
            self.kept.retain(|&i| list[i as usize].detail.is_some());
        }
    }

    /// All sources, in the order of their appearance.
    pub fn list(&self) -> &[Source] {
        &self.list
    }

    /// The source of this endpoint.
    pub fn get(&self, from: Endpoint) -> Option<&Source> {
        self.find(from).map(|i| &self.list[i as usize])
    }

    /// Number of sources kept.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}
