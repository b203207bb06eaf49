//! One sender to one group: exact counters, marking, timing, continuity, recognition.

use std::hash::BuildHasher;
use std::net::IpAddr;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::base::batch::{Datagram, SLOTS};
use crate::base::group::Endpoint;
use crate::base::time::{Mono, SECOND_NS, Wall};
use crate::model::detail::Detail;
use crate::model::finder::Counter;
use crate::model::here::Here;
use crate::model::rate::{RateWindow, Weight};
use crate::model::sequence::SeqCounts;
use crate::wire::verdict::Verdict;
use crate::wire::{Confidence, Hint, Protocol};

/// A moment by both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// For gaps and ages.
    pub mono: Mono,
    /// For showing and writing.
    pub wall: Wall,
}

/// What was counted, exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams analysed.
    pub packets: u64,
    /// Their UDP payload, in bytes.
    pub payload_bytes: u64,
    /// With IP and UDP headers, per fragment, in bytes.
    pub ip_bytes: u64,
    /// Datagrams of which not the whole payload was captured.
    pub truncated: u64,
    /// Smallest payload, in bytes; meaningful once `packets` is above 0.
    pub size_min: u32,
    /// Largest payload, in bytes.
    pub size_max: u32,
}

impl Counters {
    pub(crate) fn add(&mut self, len: u32, ip_bytes: u64, truncated: bool) {
        self.size_min = if self.packets == 0 { len } else { self.size_min.min(len) };
        self.size_max = self.size_max.max(len);
        self.packets += 1;
        self.payload_bytes += u64::from(len);
        self.ip_bytes += ip_bytes;
        self.truncated += u64::from(truncated);
    }

    /// Mean payload in bytes, `None` without datagrams.
    pub fn size_mean(&self) -> Option<f64> {
        (self.packets > 0).then(|| self.payload_bytes as f64 / self.packets as f64)
    }
}

/// A marking that should stay the same: the last value, its range, how often it changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marking {
    /// The last value; `None` where the system does not tell.
    pub last: Option<u8>,
    /// The smallest seen.
    pub min: u8,
    /// The largest seen.
    pub max: u8,
    /// How often it differed from the one before.
    pub changes: u32,
}

impl Marking {
    /// Takes the next value; true if it differs from the last.
    fn take(&mut self, value: Option<u8>) -> bool {
        let Some(v) = value else { return false };
        let changed = match self.last {
            None => {
                (self.min, self.max) = (v, v);
                false
            }
            Some(last) => last != v,
        };
        self.last = Some(v);
        self.min = self.min.min(v);
        self.max = self.max.max(v);
        self.changes += u32::from(changed);
        changed
    }
}

/// Inter-arrival times in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// How many were measured: one less than the datagrams.
    pub count: u64,
    /// The shortest.
    pub min_ns: u64,
    /// The longest.
    pub max_ns: u64,
    /// All together.
    pub sum_ns: u64,
    /// The usual one: a running mean over some 16 gaps.
    pub usual_ns: u64,
}

impl Gaps {
    pub(crate) fn add(&mut self, ns: u64) {
        self.min_ns = if self.count == 0 { ns } else { self.min_ns.min(ns) };
        self.max_ns = self.max_ns.max(ns);
        self.sum_ns = self.sum_ns.saturating_add(ns);
        self.usual_ns = if self.count == 0 {
            ns
        } else {
            (self.usual_ns as i64 + (ns as i64 - self.usual_ns as i64) / 16) as u64
        };
        self.count += 1;
    }

    /// The mean in nanoseconds, `None` without gaps.
    pub fn mean_ns(&self) -> Option<u64> {
        self.sum_ns.checked_div(self.count)
    }
}

/// States of a source or group; what they mean is in [`State::of`] and [`crate::model::group`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// The membership is being set up.
    Joining,
    /// Traffic within 2 s, or within ten times its usual gap.
    Live,
    /// Quiet for longer; nothing wrong in that.
    Idle,
    /// Traffic should be there and is not.
    Silent,
    /// The join failed.
    Failed,
}

impl State {
    /// The word shown and written.
    pub fn word(self) -> &'static str {
        match self {
            State::Joining => "joining",
            State::Live => "live",
            State::Idle => "idle",
            State::Silent => "silent",
            State::Failed => "failed",
        }
    }

    /// The state of something that sent `packets` datagrams, the last of them `quiet_ns` ago, with
    /// this usual and 99th percentile gap.
    pub fn of(packets: u64, quiet_ns: u64, usual_ns: u64, p99_ns: u64, may_be_silent: bool) -> State {
        if quiet_ns <= (2 * SECOND_NS).max(usual_ns.saturating_mul(10)) {
            State::Live
        } else if may_be_silent && packets >= 10 && quiet_ns > (5 * SECOND_NS).max(p99_ns.saturating_mul(10))
        {
            State::Silent
        } else {
            State::Idle
        }
    }
}

/// One sender to one group.
#[derive(Clone, Debug)]
pub struct Source {
    /// Who it is.
    pub endpoint: Endpoint,
    /// What it sent.
    pub counters: Counters,
    /// Its first datagram.
    pub first: Stamp,
    /// Its last datagram.
    pub last: Stamp,
    /// TTL or hop limit on arrival.
    pub ttl: Marking,
    /// TOS or traffic class byte: DSCP in the upper six bits.
    pub tos: Marking,
    /// Inter-arrival times.
    pub gaps: Gaps,
    /// The last second.
    pub rate: RateWindow,
    /// Counters of streams that were given up to make room.
    pub(crate) retired: SeqCounts,
    /// What it carries.
    pub verdict: Verdict,
    /// Whether this host sent it.
    pub ours: bool,
    /// As of the last look at it.
    pub state: State,
    /// The rest, where it is kept.
    pub detail: Option<Box<Detail>>,
}

/// What a datagram changed that is worth an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noticed {
    /// TTL before, if it changed.
    pub ttl_was: Option<u8>,
    /// TOS before, if it changed.
    pub tos_was: Option<u8>,
    /// Nanoseconds since the datagram before.
    pub gap_ns: Option<u64>,
}

impl Source {
    fn new(endpoint: Endpoint, at: Stamp, ours: bool, detailed: bool) -> Self {
        Source {
            endpoint,
            counters: Counters::default(),
            first: at,
            last: at,
            ttl: Marking::default(),
            tos: Marking::default(),
            gaps: Gaps::default(),
            rate: RateWindow::default(),
            retired: SeqCounts::default(),
            verdict: Verdict::default(),
            ours,
            state: State::Live,
            detail: detailed.then(|| Box::new(Detail::new(at.mono))),
        }
    }

    pub(crate) fn record(
        &mut self,
        d: &Datagram,
        payload: &[u8],
        at: Stamp,
        ip_bytes: u64,
        to: Endpoint,
        here: &mut Here,
    ) -> Noticed {
        let mut noticed = Noticed::default();
        if self.counters.packets > 0 {
            let gap = at.mono.since(self.last.mono);
            self.gaps.add(gap);
            noticed.gap_ns = Some(gap);
        }
        self.counters.add(d.len, ip_bytes, d.is_truncated());
        let (ttl, tos) = (self.ttl.last, self.tos.last);
        if self.ttl.take(d.ttl) {
            noticed.ttl_was = ttl;
        }
        if self.tos.take(d.tos) {
            noticed.tos_was = tos;
        }
        self.last = at;
        self.rate.add(at.mono, Weight { packets: 1, payload_bytes: u64::from(d.len), ip_bytes });
        self.verdict.observe(payload, &Hint { to, from: self.endpoint, len: d.len as usize });
        if let Some(detail) = &mut self.detail {
            detail.record(d, payload, at.mono, noticed.gap_ns, &self.verdict, &mut self.retired, here);
        }
        noticed
    }

    /// Continuity over all its streams; `None` while no counter is known to be there.
    pub fn continuity(&self) -> Option<SeqCounts> {
        let followed = self.detail.as_ref().and_then(|d| d.counts());
        if followed.is_none() && self.retired == SeqCounts::default() {
            return None;
        }
        let mut sum = self.retired;
        if let Some(counts) = followed {
            sum += counts;
        }
        Some(sum)
    }

    /// RFC 3550's cumulative number of packets lost, which a duplicate makes up for; `None` where the
    /// payload is not RTP.
    pub fn rfc3550_lost(&self) -> Option<i64> {
        self.protocol().filter(|p| p.id == "rtp").and(self.continuity()).map(|c| c.rfc3550_lost())
    }

    /// The counter that was found in an unknown payload, or that the user named, and how sure that is.
    pub fn counter(&self) -> Option<(Counter, Confidence)> {
        self.detail.as_ref()?.finder()?.counter()
    }

    /// The longest time without a datagram in nanoseconds, the one that lasts at `now` included.
    pub fn longest_silence_ns(&self, now: Mono) -> u64 {
        self.gaps.max_ns.max(now.since(self.last.mono))
    }

    /// The protocol it carries, if that is known.
    pub fn protocol(&self) -> Option<&'static Protocol> {
        self.verdict.protocol().map(|(p, _)| p)
    }

    /// Brings what depends on time up to date; returns the state before.
    pub(crate) fn settle(&mut self, now: Mono, may_be_silent: bool, here: &mut Here) -> State {
        let quiet = now.since(self.last.mono);
        let mut p99 = self.gaps.usual_ns;
        if let Some(detail) = &mut self.detail {
            detail.settle(now, here);
            let missing = self.retired.missing() + detail.counts().map_or(0, |c| c.missing());
            detail.history.missing(now, missing);
            // Percentiles are only looked at when they can matter.
            if quiet > 5 * SECOND_NS {
                p99 = detail.gaps.quantile(0.99).unwrap_or(p99);
            }
        }
        let was = self.state;
        self.state = State::of(self.counters.packets, quiet, self.gaps.usual_ns, p99, may_be_silent);
        was
    }

    /// Ends the waiting for late numbers.
    pub(crate) fn finish(&mut self, here: &mut Here) {
        if let Some(detail) = &mut self.detail {
            detail.settle(Mono(u64::MAX), here);
        }
    }

    /// Gives up what is kept only for some; what it counted stays.
    fn demote(&mut self, here: &mut Here) -> Option<Box<Detail>> {
        let mut detail = self.detail.take()?;
        detail.settle(Mono(u64::MAX), here);
        if let Some(counts) = detail.counts() {
            self.retired += counts;
        }
        Some(detail)
    }

    pub(crate) fn reset(&mut self) {
        self.counters = Counters::default();
        self.gaps = Gaps::default();
        self.retired = SeqCounts::default();
        self.ttl.changes = 0;
        self.tos.changes = 0;
        if let Some(detail) = &mut self.detail {
            detail.reset();
        }
    }
}

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
            sum ^= u64::from(s.verdict.seen() ^ s.tos.changes) ^ u64::from(s.detail.is_some());
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

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Source> {
        self.list.iter_mut()
    }

    /// Somebody looks at this sender, or no more at any: it is kept with detail.
    pub(crate) fn look_at(&mut self, from: Option<Endpoint>, now: Mono) {
        self.looked_at = from.and_then(|f| self.find(f));
        if let Some(i) = self.looked_at {
            self.list[i as usize].detail.get_or_insert_with(|| Box::new(Detail::new(now)));
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
            self.list[i].demote(here);
        }
        for (&(was, from), &(is, to)) in quiet[over..].iter().zip(&busy) {
            if is <= was + was / 2 {
                break;
            }
            if let Some(mut detail) = self.list[from].demote(here) {
                *detail = Detail::new(now);
                self.list[to].detail = Some(detail);
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

    pub(crate) fn get_mut(&mut self, from: Endpoint) -> Option<&mut Source> {
        self.find(from).map(|i| &mut self.list[i as usize])
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_without_detail_stays_within_512_bytes() {
        // An index at most 7/16 full has 16/7 places of 4 bytes and a control byte each.
        assert!(size_of::<Source>() + 12 <= 512, "{}", size_of::<Source>());
    }

    #[test]
    fn states_follow_the_specification() {
        let s = SECOND_NS;
        assert_eq!(State::of(1, 2 * s, 0, 0, true), State::Live);
        assert_eq!(State::of(1, 3 * s, 0, 0, true), State::Idle);
        assert_eq!(State::of(100, 9 * s, s, s, true), State::Live);
        assert_eq!(State::of(100, 11 * s, s, s, true), State::Silent);
        assert_eq!(State::of(100, 11 * s, s, 2 * s, true), State::Idle);
        assert_eq!(State::of(100, 6 * s, s / 1000, s / 1000, true), State::Silent);
        assert_eq!(State::of(9, 6 * s, s / 1000, s / 1000, true), State::Idle);
        assert_eq!(State::of(100, 60 * s, s / 1000, s / 1000, false), State::Idle);
    }
}
