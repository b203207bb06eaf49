//! Finds a counter in payloads of an unknown protocol: offset, width, byte order, step.
//!
//! 1. **Collect** the heads of the first payloads.
//! 2. **Search** them for a field that counts up: nearly always by the same step, otherwise as
//!    losses, late ones or identical repeats would have it. One field may be read at several widths
//!    (a byte that counts beside a byte that stays the same may be one field of two bytes); all
//!    readings stay in the run.
//! 3. **Verify** on every further payload; a reading that is contradicted too often is given up, and
//!    so is the finding when none is left. Loss is told once some more have borne it out.
//!
//! A wrong finding is worse than none. What counts is a small step, never the steps of a clock: a
//! field that stands still or moves on while nothing was lost is a time or a value.

use crate::base::time::{Mono, SECOND_NS};
use crate::model::counter::Counter;
use crate::model::here::Here;
use crate::model::sequence::{SeqCounts, SeqTracker};
use crate::wire::{Confidence, SeqSample};

/// Payloads that are collected before the search.
const SAMPLES: usize = 24;
/// Bytes of each that are searched.
const HEAD: usize = 64;
/// Of the [`SAMPLES`] − 1 steps so many must be the usual one.
const USUAL: usize = 16;
/// Payloads that bear a finding out before it is likely, and before it is certain.
const LIKELY: u64 = 64;
const CERTAIN: u64 = 512;
/// Steps up to which a field may be a counter.
const STEP_MAX: u64 = 16;
/// A number may be so many steps ahead (lost) or behind (late) without contradicting.
const AHEAD: u64 = 64;
const BEHIND: u64 = 32;
/// After a search without result so many payloads pass before the next; the time doubles.
const REST: u64 = 1024;
/// Searches before it is given up for good.
const TRIES: u8 = 4;
/// Readings of one field.
const READINGS: usize = 4;

impl Counter {
    /// A value of the field as a number that counts by one.
    pub(crate) fn sample(&self, value: u64) -> SeqSample {
        sample(self, value)
    }

    /// Where `value` stands after `last`.
    fn judge(&self, last: u64, value: u64, same: bool) -> Step {
        let step = u64::from(self.step);
        let ahead = value.wrapping_sub(last) & self.mask();
        let behind = last.wrapping_sub(value) & self.mask();
        // The narrower the field, the more of all values would pass.
        let reach = |most: u64| most.min(self.mask() / step / 8);
        match ahead {
            0 if same => Step::Possible,
            // The field stands still and the payload does not.
            0 => Step::Impossible,
            _ if ahead == step => Step::Usual,
            _ if ahead.is_multiple_of(step) && ahead / step <= reach(AHEAD) => Step::Possible,
            _ if behind.is_multiple_of(step) && behind / step <= reach(BEHIND) => Step::Possible,
            _ => Step::Impossible,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Usual,
    Possible,
    Impossible,
}

/// One payload's head.
#[derive(Clone, Copy, Debug)]
struct Head {
    at: Mono,
    len: u32,
    kept: u8,
    bytes: [u8; HEAD],
}

impl Head {
    fn new(payload: &[u8], len: u32, at: Mono) -> Self {
        let kept = payload.len().min(HEAD);
        let mut bytes = [0; HEAD];
        bytes[..kept].copy_from_slice(&payload[..kept]);
        Head { at, len, kept: kept as u8, bytes }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.kept)]
    }

    fn same(&self, other: &Head) -> bool {
        self.len == other.len && self.bytes() == other.bytes()
    }
}

/// A reading of the field that is being verified.
#[derive(Clone, Copy, Debug)]
struct Reading {
    counter: Counter,
    highest: u64,
    against: u32,
}

/// What is being verified.
#[derive(Clone, Debug)]
struct Finding {
    /// The widest first.
    readings: Vec<Reading>,
    last: Head,
    seen: u64,
    tracker: SeqTracker,
    /// Of readings that were given up for a narrower one.
    earlier: SeqCounts,
    pinned: bool,
}

#[derive(Clone, Debug)]
enum State {
    Collecting(Vec<Head>),
    Resting(u64),
    Found(Box<Finding>),
    Off,
}

/// The finder of one source.
#[derive(Clone, Debug)]
pub struct Finder {
    state: State,
    tries: u8,
}

impl Default for Finder {
    fn default() -> Self {
        Finder { state: State::Collecting(Vec::new()), tries: 0 }
    }
}

impl Finder {
    /// A finder that never looks.
    pub fn off() -> Self {
        Finder { state: State::Off, tries: TRIES }
    }

    /// A finder that takes what the user says for the counter.
    pub fn pinned(counter: Counter) -> Self {
        let reading = Reading { counter, highest: 0, against: 0 };
        let head = Head::new(&[], 0, Mono(0));
        let sample = SeqSample::one(0, 0, counter.bits());
        Finder {
            state: State::Found(Box::new(Finding {
                readings: vec![reading],
                last: head,
                seen: 0,
                tracker: SeqTracker::new(sample, Mono(0)),
                earlier: SeqCounts::default(),
                pinned: true,
            })),
            tries: 0,
        }
    }

    /// The counter that was found and how sure that is; a guess is not told.
    pub fn counter(&self) -> Option<(Counter, Confidence)> {
        let State::Found(f) = &self.state else { return None };
        let sure = match f.seen {
            _ if f.pinned => Confidence::Certain,
            CERTAIN.. => Confidence::Certain,
            LIKELY.. => Confidence::Likely,
            _ => return None,
        };
        f.readings.first().map(|r| (r.counter, sure))
    }

    /// Continuity by the counter; `None` while none is told.
    pub fn counts(&self) -> Option<SeqCounts> {
        self.counter()?;
        let State::Found(f) = &self.state else { return None };
        if f.seen == 0 {
            return None;
        }
        let mut sum = f.earlier;
        sum += f.tracker.counts();
        Some(sum)
    }

    /// Forgets the figures, not the finding.
    pub(crate) fn reset(&mut self) {
        if let State::Found(f) = &mut self.state {
            f.earlier = SeqCounts::default();
            let (counter, value) = (f.readings[0].counter, f.readings[0].highest);
            f.tracker = begin(&counter, value, f.last.at);
        }
    }

    /// Takes the next payload in the order of arrival.
    pub(crate) fn look(&mut self, payload: &[u8], len: u32, at: Mono, here: &mut Here) {
        match &mut self.state {
            State::Off => {}
            State::Resting(left) => {
                *left -= 1;
                if *left == 0 {
                    self.state = State::Collecting(Vec::new());
                }
            }
            State::Collecting(heads) => {
                if heads.capacity() == 0 {
                    heads.reserve_exact(SAMPLES);
                }
                heads.push(Head::new(payload, len, at));
                if heads.len() == SAMPLES {
                    let found = search(heads, here);
                    self.settle_for(found);
                }
            }
            State::Found(f) => {
                if !f.verify(Head::new(payload, len, at), payload, here) {
                    self.settle_for(None);
                }
            }
        }
    }

    fn settle_for(&mut self, found: Option<Finding>) {
        self.state = match found {
            Some(f) => State::Found(Box::new(f)),
            None => {
                self.tries += 1;
                if self.tries >= TRIES { State::Off } else { State::Resting(REST << (2 * self.tries)) }
            }
        };
    }

    /// Calls lost what is not waited for any longer at `now`.
    pub(crate) fn settle(&mut self, now: Mono, here: &mut Here) {
        if let State::Found(f) = &mut self.state {
            f.tracker.settle(now, here);
        }
    }

    /// Bytes that it takes up on the heap at most.
    pub const HEAP_MAX: usize = {
        let collecting = SAMPLES * size_of::<Head>();
        let found = size_of::<Finding>() + READINGS * size_of::<Reading>();
        // Searching needs both for a moment.
        collecting + found
    };
}

/// The numbers of a counter by its steps, so that its tracker sees ones.
fn begin(counter: &Counter, value: u64, at: Mono) -> SeqTracker {
    SeqTracker::new(sample(counter, value), at)
}

fn sample(counter: &Counter, value: u64) -> SeqSample {
    if counter.step.is_power_of_two() {
        let shift = counter.step.trailing_zeros();
        return SeqSample::one(0, value >> shift, (u32::from(counter.bits()) - shift) as u8);
    }
    // Another step has no whole number of values before the wrap: as wide as it is, in steps.
    SeqSample::one(0, value / u64::from(counter.step), 64)
}

impl Finding {
    /// The usual case, quickly: the best reading is the widest and went up by one step, so the narrower
    /// ones, which share its low byte, did as well. False, and nothing done, otherwise.
    fn follows(&mut self, head: &Head, payload: &[u8], here: &mut Here) -> bool {
        let Reading { counter, highest, .. } = self.readings[0];
        let Some(value) = counter.read(payload) else { return false };
        let usual = value == highest.wrapping_add(u64::from(counter.step)) & counter.mask();
        if !usual || self.readings.iter().any(|r| r.counter.width > counter.width) {
            return false;
        }
        for r in &mut self.readings {
            r.highest = value & r.counter.mask();
        }
        self.seen += 1;
        self.last = *head;
        self.tracker.offer(sample(&counter, value), head.at, here);
        true
    }

    /// Whether what was found still stands after this payload.
    fn verify(&mut self, head: Head, payload: &[u8], here: &mut Here) -> bool {
        if !self.pinned && self.follows(&head, payload, here) {
            return true;
        }
        let same = self.seen > 0 && head.same(&self.last);
        if self.pinned {
            let counter = self.readings[0].counter;
            if let Some(value) = counter.read(payload) {
                let s = sample(&counter, value);
                if self.seen == 0 {
                    self.tracker = SeqTracker::new(s, head.at);
                } else {
                    self.tracker.offer(s, head.at, here);
                }
                self.readings[0].highest = value;
                self.seen += 1;
                self.last = head;
            }
            return true;
        }
        self.seen += 1;
        self.last = head;
        let best = self.readings[0].counter;
        // A few that do not fit are a restart or strays; more of them mean that it was no counter.
        let bearable = 2 + (self.seen / 200) as u32;
        self.readings.retain_mut(|r| {
            let Some(value) = r.counter.read(payload) else {
                r.against += 1;
                return r.against <= bearable;
            };
            match r.counter.judge(r.highest, value, same) {
                Step::Usual => r.highest = value,
                Step::Possible
                    if (value.wrapping_sub(r.highest) & r.counter.mask()) <= r.counter.mask() / 2 =>
                {
                    r.highest = value;
                }
                Step::Possible => {}
                Step::Impossible => {
                    r.against += 1;
                    r.highest = value;
                }
            }
            r.against <= bearable
        });
        // Of two readings the one that fits better; at its wrap a narrow field shows what it is.
        self.readings.sort_by_key(|r| (r.against, std::cmp::Reverse(r.counter.width)));
        let Some(now) = self.readings.first().map(|r| r.counter) else { return false };
        let Some(value) = now.read(payload) else { return true };
        if now == best {
            self.tracker.offer(sample(&now, value), self.last.at, here);
        } else {
            // The wide reading mistook the wrap: what it made of it is not told.
            self.tracker.settle(self.last.at, here);
            self.earlier += self.tracker.counts();
            self.tracker = begin(&now, value, self.last.at);
        }
        true
    }
}

fn search(heads: &[Head], here: &mut Here) -> Option<Finding> {
    let kept = heads.iter().map(|h| usize::from(h.kept)).min()?;
    let mut best: Option<(usize, Counter)> = None;
    for width in [1u8, 2, 4, 8] {
        for offset in 0..=kept.saturating_sub(usize::from(width)) {
            for little_endian in [false, true] {
                if width == 1 && little_endian || kept < usize::from(width) {
                    continue;
                }
                let field = Counter { offset: offset as u16, width, little_endian, step: 1 };
                if let Some((usual, counter)) = fits(field, heads)
                    && best.is_none_or(|(most, b)| usual > most || usual == most && width > b.width)
                {
                    best = Some((usual, counter));
                }
            }
        }
    }
    let (_, found) = best?;
    if clock_like(&found, heads) {
        return None;
    }
    // The other widths of the same field: those that share its low byte.
    let low = |c: &Counter| if c.little_endian { c.offset } else { c.offset + u16::from(c.width) - 1 };
    let readings: Vec<Reading> = [8u8, 4, 2, 1]
        .into_iter()
        .filter_map(|width| {
            let offset = if found.little_endian {
                low(&found)
            } else {
                (low(&found) + 1).checked_sub(width.into())?
            };
            let (_, counter) = fits(Counter { offset, width, ..found }, heads)?;
            // Wide fields stand at a multiple of half their width, and count from near 0.
            let likely =
                width == 1 || (offset.is_multiple_of(u16::from(width).div_ceil(2)) && small(&counter, heads));
            let highest = counter.read(heads[SAMPLES - 1].bytes())?;
            likely.then_some(Reading { counter, highest, against: 0 })
        })
        .collect();
    let first = readings.first()?.counter;
    let mut tracker = begin(&first, first.read(heads[0].bytes())?, heads[0].at);
    for h in &heads[1..] {
        tracker.offer(sample(&first, first.read(h.bytes())?), h.at, here);
    }
    Some(Finding {
        readings,
        last: heads[SAMPLES - 1],
        seen: SAMPLES as u64,
        tracker,
        earlier: SeqCounts::default(),
        pinned: false,
    })
}

/// Whether a field of more than four bytes is a number rather than a number behind something else.
fn small(c: &Counter, heads: &[Head]) -> bool {
    c.width < 8 || c.read(heads[0].bytes()).is_some_and(|v| v >> 40 == 0)
}

/// How many of the steps are the usual one, with the field's step; `None` if it is no counter.
fn fits(field: Counter, heads: &[Head]) -> Option<(usize, Counter)> {
    let mut steps = [0u64; SAMPLES - 1];
    for (step, pair) in steps.iter_mut().zip(heads.windows(2)) {
        let (a, b) = (field.read(pair[0].bytes())?, field.read(pair[1].bytes())?);
        *step = b.wrapping_sub(a) & field.mask();
    }
    // The usual step is the median's: more than half are equal.
    let mut sorted = steps;
    sorted.sort_unstable();
    let step = sorted[sorted.len() / 2];
    if step == 0 || step > STEP_MAX {
        return None;
    }
    let counter = Counter { step: step as u32, ..field };
    let usual = steps.iter().filter(|&&s| s == step).count();
    if usual < USUAL {
        return None;
    }
    let mut highest = field.read(heads[0].bytes())?;
    for pair in heads.windows(2) {
        let value = field.read(pair[1].bytes())?;
        match counter.judge(highest, value, pair[0].same(&pair[1])) {
            Step::Impossible => return None,
            Step::Possible if (value.wrapping_sub(highest) & field.mask()) > field.mask() / 2 => {}
            _ => highest = value,
        }
    }
    Some((usual, counter))
}

/// Whether a field with a step above one rises by a round number a second, as a clock does: what
/// looks like loss would then be a sender that paused.
fn clock_like(c: &Counter, heads: &[Head]) -> bool {
    let passed = heads[SAMPLES - 1].at.since(heads[0].at);
    let (Some(a), Some(b)) = (c.read(heads[0].bytes()), c.read(heads[SAMPLES - 1].bytes())) else {
        return true;
    };
    if passed == 0 || c.step == 1 {
        return false;
    }
    let hz = (b.wrapping_sub(a) & c.mask()) as f64 * SECOND_NS as f64 / passed as f64;
    [1.0, 10.0, 50.0, 60.0, 100.0, 1000.0, 8000.0, 10_000.0, 44_100.0, 48_000.0, 90_000.0, 1e5, 1e6]
        .iter()
        .any(|r| (hz / r - 1.0).abs() < 0.02)
}

#[cfg(test)]
#[path = "finder_tests.rs"]
mod tests;
