//! Which sources of a group have to be looked at when time passes, and which need not.
//!
//! Most of them have nothing to tell in a turn of the model: who was heard a moment ago is live, and who
//! fell silent stays so until he is heard. Their records lie far apart in memory, and with very many
//! sources a look at each would cost more than all the rest of a turn. So it is noted beside the list
//! when each has to be looked at next, and what was heard of meanwhile: 8 bytes and two bits a source,
//! read in one piece.

use crate::base::time::Mono;
use crate::model::source::LIVE_NS;

/// What a source needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Nothing.
    None,
    /// Nothing: it was heard, and is as live as it was.
    Heard,
    /// Its state may be another one; `true` if it was heard.
    State(bool),
    /// All of it may have changed; `true` if it was heard.
    Whole(bool),
}

/// A bit for each source.
#[derive(Clone, Debug, Default)]
struct Bits(Vec<u64>);

impl Bits {
    fn set(&mut self, place: usize) {
        self.0[place / 64] |= 1 << (place % 64);
    }

    fn take(&mut self, place: usize) -> bool {
        let (word, bit) = (&mut self.0[place / 64], 1 << (place % 64));
        let was = *word & bit != 0;
        *word &= !bit;
        was
    }
}

/// When each source of a group has to be looked at.
#[derive(Clone, Debug)]
pub(crate) struct Dues {
    /// At the latest, when nothing comes.
    at: Vec<Mono>,
    /// Something came since the last look.
    heard: Bits,
    /// What came may have changed more than the time.
    open: Bits,
    /// The earliest arrival that was counted in this round and in the one before.
    earliest: [Mono; 2],
}

impl Default for Dues {
    fn default() -> Self {
        Dues { at: Vec::new(), heard: Bits::default(), open: Bits::default(), earliest: [Mono(u64::MAX); 2] }
    }
}

impl Dues {
    /// There is one source more, to be looked at.
    pub(crate) fn push(&mut self) {
        let place = self.at.len();
        self.at.push(Mono(0));
        if place.is_multiple_of(64) {
            self.heard.0.push(0);
            self.open.0.push(0);
        }
        self.open.set(place);
    }

    /// Something came at `at`; `open` unless it changed nothing but times, rates and sums of a source that
    /// was live.
    #[inline]
    pub(crate) fn heard(&mut self, place: usize, at: Mono, open: bool) {
        self.heard.set(place);
        if open {
            self.open.set(place);
        }
        self.earliest[0] = self.earliest[0].min(at);
    }

    /// It changed otherwise: it is to be looked at with the next turn.
    pub(crate) fn open(&mut self, place: usize) {
        self.open.set(place);
    }

    /// What a source needs at `now`. After [`Look::State`] and [`Look::Whole`] it is to be told when the next one is due.
    #[inline]
    pub(crate) fn look(&mut self, place: usize, now: Mono) -> Look {
        let (heard, open) = (self.heard.take(place), self.open.take(place));
        if open {
            return Look::Whole(heard);
        }
        if heard {
            // It came no earlier than the first of all that came since the round before. That it is live
            // longer than this if it usually takes its time is seen when it is looked at.
            let live_until = self.earliest[0].min(self.earliest[1]).plus(LIVE_NS);
            if now <= live_until {
                self.at[place] = live_until.plus(1);
                return Look::Heard;
            }
            return Look::State(true);
        }
        if now >= self.at[place] { Look::State(false) } else { Look::None }
    }

    /// The next look is due at `at`, unless something comes; `open`: with the next turn.
    pub(crate) fn at(&mut self, place: usize, at: Mono, open: bool) {
        self.at[place] = at;
        if open {
            self.open.set(place);
        }
    }

    /// Every source was looked at in one piece: what came before is done with.
    pub(crate) fn all(&mut self) {
        self.earliest = [Mono(u64::MAX); 2];
    }

    /// Every source had its turn: a round is over.
    pub(crate) fn round(&mut self) {
        self.earliest = [Mono(u64::MAX), self.earliest[0]];
    }
}
