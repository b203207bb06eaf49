//! Finds a counter in payloads of an unknown protocol: offset, width, byte order, step.
//!
//! 1. **Collect** the heads of the first payloads.
//! 2. **Search** them for a field that counts up: nearly always by the same step, otherwise as
//!    losses, late ones or identical repeats would have it. One field may be read at several widths
//!    (a byte that counts beside a byte that stays the same may be one field of two bytes); all
//!    readings stay in the run.
//! 3. **Verify** on every further payload; a reading that is contradicted too often is given up, and
//!    so is the finding when none is left. Loss is told once some more have borne it out, and while
//!    nothing speaks against it (`model/doubt.rs`).
//!
//! A wrong finding is worse than none. What counts is a small step, never the steps of a clock: a
//! field that stands still or moves on while nothing was lost is a time or a value.

use crate::base::time::Mono;
use crate::model::counter::Counter;
use crate::model::doubt::{Doubt, Step, clock_like};
use crate::model::here::{Here, Place};
use crate::model::sequence::{SeqCounts, SeqTracker};
use crate::wire::{Confidence, SeqSample};

/// Payloads that are collected before the search.
const SAMPLES: usize = 24;
/// Bytes of each that are searched.
const HEAD: usize = 64;
/// Of the [`SAMPLES`] − 1 steps so many must be the usual one.
const USUAL: usize = 16;
/// Payloads that bear a finding out before it is likely, and before it is certain.
const LIKELY: u64 = 128;
const CERTAIN: u64 = 512;
/// Steps up to which a field may be a counter.
const STEP_MAX: u64 = 16;
/// A number may be so many steps ahead (lost) or behind (late) without contradicting.
const AHEAD: u64 = 64;
const BEHIND: u64 = 32;
/// A number so many steps ahead of the last is behind a long gap (RFC 3550's MAX_DROPOUT).
const LEAP: u64 = 3000;
/// After a search without result so many payloads pass before the next; the time doubles.
const REST: u64 = 1024;
/// Searches before it is given up for good.
const TRIES: u8 = 4;
/// Seconds since 1970 in the years 2001 to 2065.
const SINCE_1970: std::ops::Range<u64> = 1_000_000_000..3_000_000_000;
/// Readings of one field.
const READINGS: usize = 7;

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
            0 if same => Step::Behind,
            // The field stands still and the payload does not.
            0 => Step::Impossible,
            _ if ahead == step => Step::Usual,
            _ if ahead.is_multiple_of(step) && ahead / step <= reach(AHEAD) => Step::Ahead(ahead / step),
            _ if behind.is_multiple_of(step) && behind / step <= reach(BEHIND) => Step::Behind,
            _ => Step::Impossible,
        }
    }

    /// Whether `value` is so far ahead that many were lost, but not so far that it is anything else.
    fn leaps(&self, last: u64, value: u64) -> bool {
        let (step, ahead) = (u64::from(self.step), value.wrapping_sub(last) & self.mask());
        ahead.is_multiple_of(step) && (AHEAD..=LEAP).contains(&(ahead / step))
    }
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

    /// Becomes the head of another payload; of the bytes only those that are kept are written.
    fn replace(&mut self, payload: &[u8], len: u32, at: Mono) {
        let kept = payload.len().min(HEAD);
        match payload.first_chunk::<HEAD>() {
            // Of a known length it is a few moves instead of a call.
            Some(head) => self.bytes = *head,
            None => self.bytes[..kept].copy_from_slice(&payload[..kept]),
        }
        (self.at, self.len, self.kept) = (at, len, kept as u8);
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
    doubt: Doubt,
    /// Of readings that were given up for a narrower one.
    earlier: SeqCounts,
    pinned: bool,
    /// Whether the first reading is the widest.
    widest_first: bool,
    /// Usual steps that the other readings have still to take.
    behind: u64,
    /// Whether it was told after the last payload.
    told: bool,
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
                doubt: Doubt::new(None, Mono(0)),
                earlier: SeqCounts::default(),
                pinned: true,
                widest_first: false,
                behind: 0,
                told: true,
            })),
            tries: 0,
        }
    }

    /// The counter that was found and how sure that is; a guess is not told.
    pub fn counter(&self) -> Option<(Counter, Confidence)> {
        let State::Found(f) = &self.state else { return None };
        Some((f.readings.first()?.counter, f.sure()?))
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

    /// Takes the next payload in the order of arrival. True if it is the usual one and [`Finder::counts`]
    /// is as before but for what every number moves.
    pub(crate) fn look(&mut self, payload: &[u8], len: u32, at: Mono, here: &mut Here) -> bool {
        match &mut self.state {
            State::Off => {}
            State::Resting(left) => {
                *left -= 1;
                if *left == 0 {
                    self.state = State::Collecting(Vec::new());
                }
            }
            State::Collecting(heads) => {
                if heads.len() == heads.capacity() {
                    heads.reserve_exact(SAMPLES / 3);
                }
                heads.push(Head::new(payload, len, at));
                if heads.len() == SAMPLES {
                    let found = search(heads, here);
                    self.settle_for(found);
                }
            }
            State::Found(f) => {
                if let Some(usual) = f.follows(payload, len, at, here) {
                    let told = f.sure().is_some();
                    return std::mem::replace(&mut f.told, told) == told && usual;
                }
                if f.verify(Head::new(payload, len, at), payload, here) {
                    f.told = f.sure().is_some();
                } else {
                    self.settle_for(None);
                }
            }
        }
        false
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

    /// Whether a number is missing that may still come.
    pub(crate) fn waits(&self) -> bool {
        matches!(&self.state, State::Found(f) if f.tracker.waits())
    }

    /// Calls lost what is not waited for any longer at `now`.
    pub(crate) fn settle(&mut self, now: Mono, here: &mut Here) {
        if let State::Found(f) = &mut self.state {
            f.tracker.settle(now, here);
        }
    }

    /// Puts missing numbers elsewhere; returns how many were not there.
    pub(crate) fn correct(&mut self, from: Place, to: Place, count: u64) -> u64 {
        let State::Found(f) = &mut self.state else { return count };
        let left = f.tracker.correct(from, to, count);
        f.earlier.put(from, to, left)
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

/// Which value of the counter it is: the next one is one more, through the wrap too.
fn sample(counter: &Counter, value: u64) -> SeqSample {
    // A step is a power of two and an odd number. The odd part has an inverse modulo the values that are
    // left, found by Newton's method: each turn doubles the bits that are right, three at first.
    let shift = counter.step.trailing_zeros();
    let (odd, bits) = (u64::from(counter.step >> shift), u32::from(counter.bits()) - shift);
    if odd == 1 {
        return SeqSample::one(0, value >> shift & (u64::MAX >> (64 - bits)), bits as u8);
    }
    let inverse = (0..5).fold(odd, |x, _| x.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(x))));
    SeqSample::one(0, (value >> shift).wrapping_mul(inverse) & (u64::MAX >> (64 - bits)), bits as u8)
}

impl Finding {
    /// How sure it is; a guess is not told.
    fn sure(&self) -> Option<Confidence> {
        match self.seen {
            _ if self.pinned => Some(Confidence::Certain),
            ..LIKELY => None,
            _ if !self.doubt.allows(self.readings[0].against) => None,
            CERTAIN.. => Some(Confidence::Certain),
            LIKELY.. => Some(Confidence::Likely),
        }
    }

    /// The usual case, quickly: the best reading is the widest and went up by one step, and its low byte,
    /// which all readings have, did not carry. `None`, and nothing done, otherwise; else what the tracker
    /// says, which may be waiting for this number to confirm a restart.
    #[inline]
    fn follows(&mut self, payload: &[u8], len: u32, at: Mono, here: &mut Here) -> Option<bool> {
        if self.pinned || !self.widest_first {
            return None;
        }
        let Reading { counter, highest, .. } = self.readings[0];
        let value = counter.read(payload)?;
        let step = u64::from(counter.step);
        let usual = value == highest.wrapping_add(step) & counter.mask();
        let carried = value & 0xff < step;
        if !usual || carried {
            return None;
        }
        self.readings[0].highest = value;
        self.behind += 1;
        self.seen += 1;
        self.last.replace(payload, len, at);
        self.doubt.take(Step::Usual, at);
        Some(self.tracker.offer(sample(&counter, value), at, here))
    }

    /// Lets the other readings take the steps that the first one took alone.
    fn catch_up(&mut self) {
        let behind = std::mem::take(&mut self.behind);
        for r in &mut self.readings[1..] {
            let steps = behind.wrapping_mul(u64::from(r.counter.step));
            r.highest = r.highest.wrapping_add(steps) & r.counter.mask();
        }
    }

    /// Puts the readings into their order: of two the one that fits better, the widest of equals.
    fn sort(&mut self) {
        self.readings.sort_by_key(|r| (r.against, std::cmp::Reverse(r.counter.width)));
        let widest = self.readings.iter().map(|r| r.counter.width).max();
        self.widest_first = self.readings.first().map(|r| r.counter.width) == widest;
    }

    /// Whether what was found still stands after this payload.
    fn verify(&mut self, head: Head, payload: &[u8], here: &mut Here) -> bool {
        self.catch_up();
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
        let before = std::mem::replace(&mut self.last, head);
        let Reading { counter: best, highest, .. } = self.readings[0];
        let step = best.read(payload).map_or(Step::Impossible, |v| best.judge(highest, v, same));
        let circled = !same && self.doubt.take(step, self.last.at);
        // After a long gap a narrow reading of the same field finds some number or other; where it does not
        // simply go on, the gap speaks against it as well.
        let gap = step == Step::Impossible && best.read(payload).is_some_and(|v| best.leaps(highest, v));
        // A few that do not fit are a restart or strays; more of them mean that it was no counter.
        let doubt = self.doubt;
        self.readings.retain_mut(|r| {
            let Some(value) = r.counter.read(payload) else {
                r.against += 1;
                return doubt.bears(r.against);
            };
            let narrower = r.counter.width < best.width;
            if narrower && step == Step::Usual && value < u64::from(r.counter.step) {
                // It came round, and the bytes above it counted that: they are one field.
                return false;
            }
            let own = r.counter.judge(r.highest, value, same);
            let against = own == Step::Impossible || narrower && gap && own != Step::Usual;
            r.against += u32::from(against);
            if against || own != Step::Behind {
                r.highest = value;
            }
            doubt.bears(r.against)
        });
        // Of two readings the one that fits better; at its wrap a narrow field shows what it is.
        self.sort();
        let Some(now) = self.readings.first().map(|r| r.counter) else { return false };
        let Some(value) = now.read(payload) else { return true };
        if now == best {
            self.tracker.offer(sample(&now, value), self.last.at, here);
            if circled {
                self.readings[0].highest = value;
            }
        } else {
            // The wide reading mistook the wrap: what it made of it is not told. The narrow one goes on
            // from the payload before.
            self.tracker.settle(Mono(u64::MAX), here);
            self.earlier += self.tracker.counts();
            self.tracker = begin(&now, now.read(before.bytes()).unwrap_or(value), before.at);
            self.tracker.offer(sample(&now, value), self.last.at, here);
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
    let clock_ns = clock(&found, heads).ok()?;
    let mut readings = readings(&found, heads);
    // The widest first, and of two orders the one that counts from nearer 0.
    readings.sort_by_key(|r| (std::cmp::Reverse(r.counter.width), r.highest));
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
        doubt: Doubt::new(clock_ns, heads[SAMPLES - 1].at),
        earlier: SeqCounts::default(),
        pinned: false,
        widest_first: true,
        behind: 0,
        told: false,
    })
}

/// All that the field may be: every width in both orders that has its low byte. Which it is shows when
/// that byte carries.
fn readings(found: &Counter, heads: &[Head]) -> Vec<Reading> {
    let last = u16::from(found.width) - 1;
    let low = found.offset + if found.little_endian { 0 } else { last };
    let mut readings = Vec::with_capacity(READINGS);
    for (width, little_endian) in
        [(8u8, false), (8, true), (4, false), (4, true), (2, false), (2, true), (1, false)]
    {
        let bytes = u16::from(width);
        let offset = if little_endian { Some(low) } else { (low + 1).checked_sub(bytes) };
        let reading = offset.and_then(|offset| {
            let (_, counter) = fits(Counter { offset, width, little_endian, ..*found }, heads)?;
            let highest = counter.read(heads[SAMPLES - 1].bytes())?;
            natural(&counter, highest).then_some(Reading { counter, highest, against: 0 })
        });
        readings.extend(reading);
    }
    readings
}

/// Whether a wide field is a number rather than a number beside something else: it stands at a multiple
/// of half its width or has not come half way up, and of eight bytes it has not come beyond five.
fn natural(c: &Counter, value: u64) -> bool {
    let aligned = c.offset.is_multiple_of(u16::from(c.width).div_ceil(2));
    c.width == 1 || (aligned || value >> (c.bits() / 2) == 0) && (c.width < 8 || value >> 40 == 0)
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
            Step::Behind => {}
            Step::Usual | Step::Ahead(_) => highest = value,
        }
    }
    Some((usual, counter))
}

/// The usual time between two of the heads if a field rises by a round number a second, as a clock
/// does; with a step above one it is taken for one at once, as what looks like loss would then be a
/// sender that paused (`Err`).
fn clock(c: &Counter, heads: &[Head]) -> Result<Option<u64>, ()> {
    let passed = heads[SAMPLES - 1].at.since(heads[0].at);
    let (Some(a), Some(b)) = (c.read(heads[0].bytes()), c.read(heads[SAMPLES - 1].bytes())) else {
        return Err(());
    };
    if passed == 0 || !clock_like(b.wrapping_sub(a) & c.mask(), passed) {
        return Ok(None);
    }
    if c.step > 1 || SINCE_1970.contains(&a) && c.width >= 4 {
        return Err(());
    }
    let mut times: [u64; SAMPLES - 1] = [0; SAMPLES - 1];
    for (time, pair) in times.iter_mut().zip(heads.windows(2)) {
        *time = pair[1].at.since(pair[0].at);
    }
    times.sort_unstable();
    Ok(Some(times[times.len() / 2]))
}

#[cfg(test)]
#[path = "finder_tests.rs"]
mod tests;
