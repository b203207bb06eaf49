//! One numbered stream on two ways: which number came by which, and which by none.
//!
//! Numbers are unwrapped onto one axis that both ways share. Each number that was seen, or that a
//! higher one shows to exist, has a slot; a slot is decided [`WAIT_NS`] after it appeared, and what a
//! way has not brought by then it has lost. Counting begins with the first number found on both.
//!
//! A number that has no place on the axis is believed only when its successor follows by the same way
//! (as RFC 3550 appendix A.1 has it): then a second axis begins beside the first. When the other way
//! brings a number of it too, the sender has begun anew and the second axis replaces the first; when
//! the way returns to the first axis, it was late by more than can be merged.

use std::collections::VecDeque;

use crate::base::time::{Mono, SECOND_NS};
use crate::model::pair::{Counts, Record};
use crate::wire::SeqSample;

/// How long a number is waited for on the other way. SMPTE ST 2022-7 allows up to 450 ms (class C).
pub const WAIT_NS: u64 = SECOND_NS;

/// Slots of one axis at most: more numbers than this in [`WAIT_NS`] are decided sooner.
pub const SLOTS_MAX: usize = 1 << 17;

/// A jump ahead of up to this many numbers is always loss (RFC 3550's MAX_DROPOUT).
const MAX_DROPOUT: u64 = 3000;

/// "Did not come."
const NEVER: u64 = u64::MAX;

/// One number.
#[derive(Clone, Copy, Debug)]
struct Slot {
    /// When it came first, or was first known to exist.
    since: Mono,
    /// When A and B brought it; [`NEVER`] if they have not.
    at: [u64; 2],
}

/// What came of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Came {
    First,
    Matched,
    Again,
    TooLate,
}

/// The numbers since the sender last began anew.
#[derive(Clone, Debug)]
struct Epoch {
    /// The number of the first slot, unwrapped to 64 bits: its lower bits are the number sent.
    base: u64,
    slots: VecDeque<Slot>,
    /// The first number that was found on both.
    from: Option<u64>,
    /// The highest number of each way.
    highest: [Option<u64>; 2],
    first: (u64, Mono),
    last_at: Mono,
}

impl Epoch {
    fn new(value: u64, at: Mono) -> Self {
        Epoch {
            base: value,
            slots: VecDeque::new(),
            from: None,
            highest: [None; 2],
            first: (value, at),
            last_at: at,
        }
    }

    /// The number after the highest known.
    fn end(&self) -> u64 {
        self.base.wrapping_add(self.slots.len() as u64)
    }

    /// How far ahead a number may be and still be loss: what the time since the last one makes
    /// plausible at the rate seen so far, four times over.
    fn dropout(&self, at: Mono) -> u64 {
        let numbers = self.end().wrapping_sub(self.first.0).max(1);
        let per_number = (self.last_at.since(self.first.1) / numbers).max(1);
        MAX_DROPOUT + 4 * (at.since(self.last_at) / per_number).min(1 << 40)
    }

    /// Where a number stands on this axis, if it has a place there.
    fn place(&self, value: u64, bits: u8, at: Mono) -> Option<u64> {
        let end = self.end();
        let shift = 64 - u32::from(bits);
        // The distance to the next one, the shorter way round.
        let ahead = ((value.wrapping_sub(end) << shift) as i64) >> shift;
        let back = self.slots.len() as i64;
        let fits = if ahead >= 0 { ahead as u64 <= self.dropout(at) } else { ahead >= -back };
        fits.then(|| end.wrapping_add(ahead as u64))
    }

    /// Makes slots up to `end`, not included.
    fn reach(&mut self, end: u64, at: Mono, most: usize, r: &mut Record<'_>) {
        let more = end.wrapping_sub(self.end());
        if more > most as u64 {
            // A leap over more numbers than there are slots for: nobody brought those between.
            self.drain(r);
            let skipped = more - most as u64;
            if self.from.is_some() {
                r.lost(at, [true; 2], skipped);
                r.counts.compared += skipped;
            }
            self.base = self.base.wrapping_add(skipped);
        }
        let missing = Slot { since: at, at: [NEVER; 2] };
        for _ in 0..end.wrapping_sub(self.end()) {
            self.slots.push_back(missing);
        }
        while self.slots.len() > most {
            self.decide(true, r);
        }
    }

    /// Takes a number that has a place.
    fn take(&mut self, number: u64, leg: usize, at: Mono, most: usize, r: &mut Record<'_>) -> Came {
        let after = number.wrapping_add(1);
        if after.wrapping_sub(self.end()) as i64 > 0 {
            self.reach(after, at, most, r);
        }
        self.pass(number, leg, at);
        let place = number.wrapping_sub(self.base) as usize;
        let Some(slot) = self.slots.get_mut(place) else { return Came::TooLate };
        if slot.at[leg] != NEVER {
            return Came::Again;
        }
        if at.since(slot.since) > WAIT_NS {
            return Came::TooLate;
        }
        slot.at[leg] = at.0;
        // A batch of one way may be looked at before an earlier one of the other.
        slot.since = slot.since.min(at);
        let [a, b] = slot.at;
        if a == NEVER || b == NEVER {
            return Came::First;
        }
        self.from.get_or_insert(number);
        r.skew(Mono(a.max(b)), b.wrapping_sub(a) as i64);
        Came::Matched
    }

    /// A way is known to have come as far as this number.
    fn pass(&mut self, number: u64, leg: usize, at: Mono) {
        let highest = self.highest[leg].get_or_insert(number);
        if number.wrapping_sub(*highest) as i64 > 0 {
            *highest = number;
        }
        self.last_at = self.last_at.max(at);
    }

    /// Takes the first slot away and counts it. Without `waited` only a way that has come further has
    /// lost it.
    fn decide(&mut self, waited: bool, r: &mut Record<'_>) {
        let Some(slot) = self.slots.pop_front() else { return };
        let number = self.base;
        self.base = self.base.wrapping_add(1);
        if self.from.is_none_or(|from| (number.wrapping_sub(from) as i64) < 0) {
            return;
        }
        let passed = |leg: usize| self.highest[leg].is_some_and(|h| h.wrapping_sub(number) as i64 > 0);
        let known = [0, 1].map(|leg| slot.at[leg] != NEVER || waited || passed(leg));
        let lost = [0, 1].map(|leg| slot.at[leg] == NEVER && known[leg]);
        r.counts.compared += u64::from(known == [true; 2]);
        if lost != [false; 2] {
            r.lost(slot.since, lost, 1);
        }
    }

    /// Decides what was waited for long enough at `now`.
    fn settle(&mut self, now: Mono, r: &mut Record<'_>) {
        while self.slots.front().is_some_and(|s| now.since(s.since) > WAIT_NS) {
            self.decide(true, r);
        }
    }

    fn drain(&mut self, r: &mut Record<'_>) {
        while !self.slots.is_empty() {
            self.decide(true, r);
        }
    }
}

/// A number without a place that waits for its successor.
#[derive(Clone, Copy, Debug)]
struct Stray {
    value: u64,
    next: u64,
    at: Mono,
}

/// A second numbering that one way has begun.
#[derive(Clone, Debug)]
struct Beside {
    epoch: Epoch,
    leg: usize,
    numbers: u64,
}

/// One stream (SSRC, session, run …) of the two.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    pub(super) stream: u64,
    pub(super) bits: u8,
    epoch: Epoch,
    beside: Option<Beside>,
    strays: [Option<Stray>; 2],
    /// The last number of each way, as it was sent.
    pub(super) last: [Option<u64>; 2],
    pub(super) last_at: Mono,
}

impl Axis {
    pub(super) fn new(s: &SeqSample, at: Mono) -> Self {
        Axis {
            stream: s.stream,
            bits: s.bits,
            epoch: Epoch::new(s.value, at),
            beside: None,
            strays: [None; 2],
            last: [None; 2],
            last_at: at,
        }
    }

    /// Whether a number was found on both.
    pub(super) fn is_common(&self) -> bool {
        self.epoch.from.is_some()
    }

    /// Slots at most: half the counter's range, so that older and newer can be told apart.
    fn most(&self) -> usize {
        let half = 1usize << (u32::from(self.bits).min(20) - 1);
        half.min(SLOTS_MAX)
    }

    fn mask(&self) -> u64 {
        if self.bits >= 64 { u64::MAX } else { (1 << self.bits) - 1 }
    }

    /// Takes the next number by the way of `leg`, in its order of arrival.
    pub(super) fn offer(&mut self, s: &SeqSample, leg: usize, at: Mono, r: &mut Record<'_>) {
        let most = self.most();
        let count = u64::from(s.count).min(most as u64);
        self.last[leg] = Some(s.value);
        self.last_at = self.last_at.max(at);
        if s.count == 0 {
            // A heartbeat names the number that comes next: all before it exist.
            if let Some(next) = self.epoch.place(s.value, s.bits, at) {
                if next.wrapping_sub(self.epoch.end()) as i64 > 0 {
                    self.epoch.reach(next, at, most, r);
                }
                self.epoch.pass(next.wrapping_sub(1), leg, at);
            }
            return;
        }
        // Announced anew: it has no place unless the other way has begun there already.
        let here =
            if s.restart && self.beside.is_none() { None } else { self.epoch.place(s.value, s.bits, at) };
        if let Some(number) = here {
            self.returned(leg, r);
            for k in 0..count {
                let came = self.epoch.take(number.wrapping_add(k), leg, at, most, r);
                r.came(leg, came == Came::Again, came == Came::TooLate);
            }
            return;
        }
        let bits = s.bits;
        let there =
            self.beside.as_mut().and_then(|b| b.epoch.place(s.value, bits, at).map(|number| (b, number)));
        let Some((b, number)) = there else { return self.stray(s, leg, at, r) };
        let mut matched = false;
        for k in 0..count {
            let came = b.epoch.take(number.wrapping_add(k), leg, at, most, r);
            r.came(leg, came == Came::Again, came == Came::TooLate);
            matched |= came == Came::Matched;
        }
        b.numbers += if leg == b.leg { count } else { 0 };
        self.strays[leg] = None;
        if matched && let Some(b) = self.beside.take() {
            // Both have gone over: what is open on the old axis does not come any more.
            self.epoch.drain(r);
            r.counts.restarts += u64::from(self.is_common());
            self.epoch = b.epoch;
            self.strays = [None; 2];
        }
    }

    /// A way brought a number of the first axis: what it brought beside was late.
    fn returned(&mut self, leg: usize, r: &mut Record<'_>) {
        if self.strays[leg].take().is_some() {
            r.late(leg, u64::from(self.is_common()));
        }
        if self.beside.as_ref().is_some_and(|b| b.leg == leg)
            && let Some(b) = self.beside.take()
        {
            r.late(leg, if self.is_common() { b.numbers } else { 0 });
        }
    }

    fn stray(&mut self, s: &SeqSample, leg: usize, at: Mono, r: &mut Record<'_>) {
        let next = s.value.wrapping_add(u64::from(s.count)) & self.mask();
        let before = self.strays[leg].replace(Stray { value: s.value, next, at });
        let follows = before.filter(|b| b.next == s.value);
        if follows.is_none() && !s.restart {
            r.counts.legs[leg].received += 1;
            if before.is_some() {
                r.late(leg, u64::from(self.is_common()));
            }
            return;
        }
        // Another numbering beside is given up for this one only if it is this way's, or quiet.
        if let Some(b) = &self.beside
            && b.leg != leg
            && at.since(b.epoch.last_at) < 2 * WAIT_NS
        {
            r.counts.legs[leg].received += 1;
            return;
        }
        self.strays[leg] = None;
        let (first, since) = follows.map_or((s.value, at), |b| (b.value, b.at));
        let most = self.most();
        let mut epoch = Epoch::new(first, since);
        let before = s.value.wrapping_sub(first) & self.mask();
        let numbers = (before + u64::from(s.count)).min(most as u64);
        for k in 0..numbers {
            let when = if k < before { since } else { at };
            epoch.take(first.wrapping_add(k), leg, when, most, r);
        }
        r.counts.legs[leg].received += u64::from(s.count);
        if let Some(old) = self.beside.replace(Beside { epoch, leg, numbers }) {
            r.late(old.leg, if self.is_common() { old.numbers } else { 0 });
        }
    }

    /// Numbers that are held.
    #[cfg(test)]
    pub(super) fn slots(&self) -> usize {
        self.epoch.slots.len() + self.beside.as_ref().map_or(0, |b| b.epoch.slots.len())
    }

    /// Decides what was waited for long enough at `now`.
    pub(super) fn settle(&mut self, now: Mono, r: &mut Record<'_>) {
        self.epoch.settle(now, r);
        if let Some(b) = &mut self.beside {
            b.epoch.settle(now, r);
        }
    }

    /// Decides all that is open, once nothing more will come: what a way had not reached yet is not
    /// lost.
    pub(super) fn finish(&mut self, now: Mono, r: &mut Record<'_>) {
        self.settle(now, r);
        for leg in 0..2 {
            self.returned(leg, r);
        }
        while !self.epoch.slots.is_empty() {
            self.epoch.decide(false, r);
        }
    }

    /// Forgets what is open: counting begins again with the next number found on both.
    pub(super) fn clear(&mut self) {
        self.beside = None;
        self.strays = [None; 2];
        let (end, at) = (self.epoch.end(), self.last_at);
        self.epoch = Epoch::new(end, at);
    }
}

impl Record<'_> {
    fn came(&mut self, leg: usize, again: bool, late: bool) {
        let c: &mut Counts = self.counts;
        c.legs[leg].received += 1;
        c.legs[leg].duplicates += u64::from(again);
        c.legs[leg].late += u64::from(late);
    }

    fn late(&mut self, leg: usize, numbers: u64) {
        self.counts.legs[leg].late += numbers;
    }
}
