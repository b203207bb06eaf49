//! What a stream is taken for: one datagram may mislead, several that agree do not.
//!
//! - A certain or likely recognition stands at once.
//! - A guess needs [`AGREE`] datagrams in a row. Where the protocol has a counter, they must count up
//!   by one, and it is then certain; where it has none, they must differ from each other, and it is
//!   then likely. The same bytes sent again prove nothing, and a number that came twice, late or
//!   after a small gap neither proves nor disproves. Several streams mixed on one port count each
//!   for itself.
//! - What stands stays, and is looked at only now and then. [`CONTRADICT`] datagrams in a row that
//!   speak against it open the question again.

use crate::wire::read::stream_id;
use crate::wire::{Confidence, Hint, Protocol, SeqSample, recognise};

/// Datagrams that must agree on a guess (RFC 3550 appendix A.1 asks for two in sequence; one more
/// makes chance negligible).
pub const AGREE: u8 = 3;
/// Datagrams in a row that overturn a verdict.
pub const CONTRADICT: u8 = 8;
/// Of so many datagrams …
const PERIOD: u32 = 64;
/// … these are looked at once the first [`PERIOD`] are through: enough for a guess to be proved.
const LOOK: u32 = 4;
/// A stream that nothing was recognised in for so long …
const LONG: u32 = 1024;
/// … is looked at as seldom as this: the whole table is asked each time.
const LONG_PERIOD: u32 = 512;
/// Bytes at the head of RTP up to the end of its number.
const HEAD: usize = 4;
/// Streams mixed on one port whose numbers are followed while a guess is being proved.
const STREAMS: usize = 3;
/// So far from the expected number one that is late or behind a gap may be.
const NEAR: u64 = 16;
/// Bytes that two datagrams are told apart by.
const COMPARED: usize = 512;

/// What a verdict rests on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ground {
    /// Nothing: there is no verdict.
    #[default]
    None,
    /// A datagram whose bytes are certain by themselves.
    Mark,
    /// A datagram whose structure adds up, or whose port says so as well.
    Structure,
    /// Several datagrams of the same shape whose numbers count up.
    Counting,
    /// Several different datagrams of the same shape.
    Agreement,
    /// The user has said so for this stream.
    Given,
    /// A rule of the user's.
    Rule,
}

/// The verdict on one stream, with what it rests on.
#[derive(Clone, Copy, Default)]
pub struct Verdict {
    standing: Option<(&'static Protocol, Confidence)>,
    guess: Option<&'static Protocol>,
    agree: u8,
    against: u8,
    ground: Ground,
    seen: u32,
    /// Streams and the numbers expected next.
    next: [Option<(u64, u64)>; STREAMS],
    last: u64,
}

impl Ground {
    /// That of one datagram that is more than a guess.
    fn of(confidence: Confidence) -> Ground {
        if confidence == Confidence::Certain { Ground::Mark } else { Ground::Structure }
    }
}

/// What a number says of a guess.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It is the one expected.
    Next,
    /// It is the last one once more.
    Again,
    /// It may well be: late, behind a gap, or the first of its stream.
    Near,
    /// It is none of these.
    Far,
}

impl std::fmt::Debug for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Verdict({:?})", self.standing.map(|(p, c)| (p.id, c)))
    }
}

impl Verdict {
    /// A verdict that the user has given: it stands until it is replaced.
    pub fn given(protocol: &'static Protocol) -> Self {
        Verdict::fixed(protocol, Ground::Given)
    }

    /// A verdict that a rule of the user's has given.
    pub fn ruled(protocol: &'static Protocol) -> Self {
        Verdict::fixed(protocol, Ground::Rule)
    }

    fn fixed(protocol: &'static Protocol, ground: Ground) -> Self {
        // A given verdict is never looked at: the period never ends.
        let standing = Some((protocol, Confidence::Certain));
        Verdict { standing, ground, seen: u32::MAX, ..Verdict::default() }
    }

    /// Whether the user has given it, for the stream or by a rule.
    pub fn is_given(&self) -> bool {
        self.seen == u32::MAX
    }

    /// What it rests on.
    pub fn ground(&self) -> Ground {
        self.ground
    }

    /// Whether the next datagram is looked at.
    pub fn looks(&self) -> bool {
        let period = if self.standing.is_none() && self.seen >= LONG { LONG_PERIOD } else { PERIOD };
        self.seen != u32::MAX && (self.seen < PERIOD || self.against > 0 || self.seen % period < LOOK)
    }

    /// What the stream is taken for.
    pub fn protocol(&self) -> Option<(&'static Protocol, Confidence)> {
        self.standing
    }

    /// How many datagrams it has seen; it starts over at some point.
    pub fn seen(&self) -> u32 {
        self.seen
    }

    /// The protocol whose numbers are worth following: the one it is taken for, or else the one that
    /// is being proved. What was followed on a guess is good for nothing unless the guess is proved.
    pub fn followed(&self) -> Option<&'static Protocol> {
        self.standing.map(|(p, _)| p).or(self.guess)
    }

    /// Takes notice of the next datagram. Cheap for all but the first ones.
    pub fn observe(&mut self, payload: &[u8], hint: &Hint) {
        if self.seen == u32::MAX {
            return;
        }
        let look = self.looks();
        self.seen = if self.seen + 1 == u32::MAX { PERIOD } else { self.seen + 1 };
        if !look || payload.is_empty() {
            return;
        }
        let Some((protocol, confidence)) = self.standing else {
            return self.decide(payload, hint);
        };
        match (protocol.detect)(payload, hint) {
            Some(now) => {
                self.against = 0;
                // A likely one becomes certain when a datagram says so.
                if now > confidence {
                    self.standing = Some((protocol, now));
                    self.ground = Ground::of(now);
                }
            }
            None => {
                self.against += 1;
                if self.against == CONTRADICT {
                    *self = Verdict::default();
                    self.decide(payload, hint);
                }
            }
        }
    }

    fn decide(&mut self, payload: &[u8], hint: &Hint) {
        let Some((protocol, confidence)) = recognise(payload, hint) else {
            (self.guess, self.agree, self.next) = (None, 0, [None; STREAMS]);
            return;
        };
        if confidence > Confidence::Guess {
            (self.standing, self.ground) = (Some((protocol, confidence)), Ground::of(confidence));
            return;
        }
        if self.guess.is_none_or(|g| g.id != protocol.id) {
            (self.guess, self.agree, self.next) = (Some(protocol), 0, [None; STREAMS]);
        }
        let proved = match protocol.sequence {
            Some(sequence) => {
                let mut step = None;
                sequence(payload, &mut |s| {
                    let told = self.step(&s);
                    step = step.or(Some(told));
                });
                // A counter in a head that is else fixed can stand where RTP has its own; but in RTP
                // the time or the media behind it changes as well.
                let print = stream_id(&[payload.get(HEAD..payload.len().min(COMPARED)).unwrap_or_default()]);
                let news = print != self.last;
                self.agree = match step {
                    Some(Step::Next) if news => self.agree + 1,
                    Some(Step::Near) => self.agree.max(1),
                    // A number that stands still while the rest changes numbers nothing.
                    Some(Step::Again) if !news => self.agree.max(1),
                    _ => 1,
                };
                self.last = print;
                Confidence::Certain
            }
            None => {
                let print = stream_id(&[&payload[..payload.len().min(COMPARED)]]);
                self.agree += u8::from(print != self.last || self.agree == 0);
                self.last = print;
                Confidence::Likely
            }
        };
        if self.agree >= AGREE {
            self.standing = Some((protocol, proved));
            self.ground = match proved {
                Confidence::Certain => Ground::Counting,
                _ => Ground::Agreement,
            };
        }
    }

    /// Where a number stands in its stream.
    fn step(&mut self, s: &SeqSample) -> Step {
        let mask = if s.bits >= 64 { u64::MAX } else { (1 << s.bits) - 1 };
        let after = s.value.wrapping_add(u64::from(s.count)) & mask;
        let known = self.next.iter_mut().flatten().find(|(stream, _)| *stream == s.stream);
        let Some((_, next)) = known else {
            self.next.rotate_right(1);
            self.next[0] = Some((s.stream, after));
            return Step::Near;
        };
        let near = NEAR.min(mask / 4);
        let (ahead, behind) = (s.value.wrapping_sub(*next) & mask, next.wrapping_sub(s.value) & mask);
        if behind != 0 && behind <= near {
            return if s.count > 0 && behind == u64::from(s.count) { Step::Again } else { Step::Near };
        }
        *next = after;
        match ahead {
            0 => Step::Next,
            n if n <= near => Step::Near,
            _ => Step::Far,
        }
    }
}
