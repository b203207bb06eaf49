//! The senders of one group: found by endpoint, listed in the order of their appearance, and which of
//! them are kept with [`Detail`].

use std::hash::BuildHasher;
use std::net::IpAddr;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::base::batch::SLOTS;
use crate::base::group::Endpoint;
use crate::base::time::Mono;
use crate::model::detail::Detail;
use crate::model::here::Here;
use crate::model::sequence::SeqCounts;
use crate::model::source::{Source, Stamp};

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

    /// Takes notice of what a datagram changed at this place.
    #[inline]
    pub(crate) fn counted(&mut self, place: usize) {
        let bytes = |i: usize| self.list[i].counters.payload_bytes;
        if bytes(place) > bytes(self.busiest as usize) {
            self.busiest = place as u32;
        }
        if let Some(detail) = &self.list[place].detail {
            let before = detail.told.map_or(0, |c| c.late_max);
            self.tell(place, detail.told);
            // What was taken for late turned out to be of a sender that began anew.
            if self.list[place].told().is_some_and(|c| c.late_max < before) {
                self.find_maxima();
            }
        }
    }

    /// Puts what is known of the source at this place into the sum, instead of what was told before.
    fn tell(&mut self, place: usize, before: Option<SeqCounts>) {
        let s = &mut self.list[place];
        let after = s.continuity().map(SeqCounts::events);
        if let Some(detail) = &mut s.detail {
            detail.told = after;
        }
        if before != after {
            self.sum.replace(before.unwrap_or_default(), after.unwrap_or_default());
            self.numbered = self.numbered + usize::from(after.is_some()) - usize::from(before.is_some());
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
            self.change_at(i as usize, |s| {
                s.detail.get_or_insert_with(|| Box::new(Detail::new(now)));
            });
        }
    }

    /// How many are kept with [`Detail`].
    pub fn detailed(&self) -> usize {
        let all = self.list.len() <= self.limits.detailed;
        if all { self.list.len() } else { self.with_detail().count() }
    }

    fn with_detail(&self) -> impl Iterator<Item = &Source> {
        self.list.iter().filter(|s| s.detail.is_some())
    }

    /// Gives the detail of the quietest to the busiest, where there are more than [`DETAILED`]. It
    /// takes half as much traffic again, so that equals do not change places for ever.
    pub(crate) fn promote(&mut self, now: Mono, here: &mut Here) {
        if self.list.len() <= self.limits.detailed {
            return;
        }
        let rate = |s: &Source| s.rate.rate(now, s.first.mono).map_or(0, |r| r.packets_pps as u64);
        let (mut quiet, mut busy) = (Vec::new(), Vec::new());
        for (i, s) in self.list.iter().enumerate() {
            match &s.detail {
                Some(_) if self.looked_at == Some(i as u32) => {}
                Some(_) => quiet.push((rate(s), i)),
                None => match rate(s) {
                    0 => {}
                    pps => busy.push((pps, i)),
                },
            }
        }
        let by_rate = |x: &(u64, usize)| (std::cmp::Reverse(x.0), x.1);
        if busy.len() > MOVED {
            busy.select_nth_unstable_by_key(MOVED, by_rate);
            busy.truncate(MOVED);
        }
        busy.sort_unstable_by_key(by_rate);
        // One that was looked at before may be one too many.
        let places = self.limits.detailed.saturating_sub(usize::from(self.looked_at.is_some()));
        let over = quiet.len().saturating_sub(places);
        let wanted = (over + busy.len()).min(quiet.len());
        if wanted == 0 {
            return;
        }
        quiet.select_nth_unstable(wanted - 1);
        quiet.truncate(wanted);
        quiet.sort_unstable();
        for &(_, i) in &quiet[..over] {
            self.change_at(i, |s| s.demote(here));
        }
        for (&(was, from), &(is, to)) in quiet[over..].iter().zip(&busy) {
            if is <= was + was / 2 {
                break;
            }
            if let Some(mut detail) = self.change_at(from, |s| s.demote(here)) {
                *detail = Detail::new(now);
                self.change_at(to, |s| s.detail = Some(detail));
            }
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
