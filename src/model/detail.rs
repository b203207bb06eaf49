//! What is kept only of sources that are few, busy or looked at: at most 16 KiB each.

use crate::base::batch::Datagram;
use crate::base::time::Mono;
use crate::model::continuity::Continuity;
use crate::model::counter::Choice;
use crate::model::finder::Finder;
use crate::model::here::{Here, Place};
use crate::model::history::History;
use crate::model::media::{Media, offer as media_offer};
use crate::model::programs::Programs;
use crate::model::quantile::Quantiles;
use crate::model::rate::Strip;
use crate::model::sequence::{SeqCounts, SeqTracker};
use crate::model::shape::{Peaks, Sizes};
use crate::wire::essence::{self, Format};
use crate::wire::media::{self, MediaClock};
use crate::wire::verdict::Verdict;
use crate::wire::{self, Confidence, Protocol, Sequence, rtp, ts};

/// Bytes of the last payload that are kept with a source.
pub const LAST_PAYLOAD: usize = 160;
/// RTP streams that one sender may mix on a port for the tables within them to be followed: with more of
/// them there is no room for both.
const PROGRAM_STREAMS: usize = 2;

/// Which of two counters a missing number is claimed for: each drop explains one number of one of them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Claims {
    /// The protocol's.
    Followed,
    /// That which was found or named.
    Found,
}

/// What is kept only for sources that are few, busy or looked at (see `SPEC.md`, Bounds).
#[derive(Clone, Debug)]
pub struct Detail {
    /// The last minute.
    pub strip: Strip,
    /// Inter-arrival times.
    pub gaps: Quantiles,
    /// Gaps and losses of the last minute.
    pub history: History,
    /// Bursts in short windows.
    pub peaks: Peaks,
    /// How many datagrams were of which size.
    pub sizes: Sizes,
    continuity: Continuity,
    media: Vec<Media>,
    clock: Option<MediaClock>,
    programs: Option<Box<Programs>>,
    finder: Option<Finder>,
    /// The protocol whose numbers `continuity` follows.
    followed: Option<&'static Protocol>,
    /// How sure that is; while it is a guess the figures are not told.
    sure: Option<Confidence>,
    /// Whether the protocol is one that mcscope cannot read: then a counter is looked for.
    opaque: bool,
    /// Whether it is followed in 32 bits, as its announcement has it.
    extended: bool,
    /// What of its continuity is in the sum of all sources of the group.
    pub(crate) told: Option<SeqCounts>,
    /// What the user said of the counter.
    choice: Choice,
    last_payload: [u8; LAST_PAYLOAD],
    last_len: u16,
    last_size: u32,
}

impl Detail {
    pub(crate) fn new(since: Mono) -> Self {
        Detail {
            strip: Strip::new(since),
            gaps: Quantiles::default(),
            history: History::new(since),
            peaks: Peaks::default(),
            sizes: Sizes::default(),
            continuity: Continuity::default(),
            media: Vec::new(),
            clock: None,
            programs: None,
            finder: Some(Finder::default()),
            followed: None,
            sure: None,
            opaque: false,
            extended: false,
            told: None,
            choice: Choice::Find,
            last_payload: [0; LAST_PAYLOAD],
            last_len: 0,
            last_size: 0,
        }
    }

    /// The first bytes of the last payload.
    pub fn last_payload(&self) -> &[u8] {
        &self.last_payload[..self.last_len as usize]
    }

    /// Bytes of the last payload, all of them.
    pub fn last_size(&self) -> u32 {
        self.last_size
    }

    /// The streams whose continuity is followed.
    pub fn streams(&self) -> &[SeqTracker] {
        self.continuity.streams()
    }

    /// What a transport stream says that it carries.
    pub fn programs(&self) -> Option<&Programs> {
        self.programs.as_deref().filter(|p| !p.list().is_empty())
    }

    /// The PIDs of a transport stream that are followed.
    pub fn pids(&self) -> impl Iterator<Item = u16> + '_ {
        self.continuity.pid_list()
    }

    /// Whether a payload has the length and the first bytes of the one before.
    fn is_repeat(&self, payload: &[u8], len: u32) -> bool {
        let kept = payload.len().min(LAST_PAYLOAD);
        self.last_size == len && self.last_payload() == &payload[..kept]
    }

    /// Follows the numbers of a payload; `alike` if its first bytes are those of the one before. True if
    /// they were the next ones and nothing else is told of it than before.
    #[allow(clippy::too_many_arguments, reason = "the source's own fields, borrowed apart")]
    fn follow(
        &mut self,
        verdict: &Verdict,
        payload: &[u8],
        at: Mono,
        alike: bool,
        formats: &[Format],
        retired: &mut SeqCounts,
        here: &mut Here,
    ) -> bool {
        let p = verdict.followed();
        let mut usual = true;
        if self.followed.map(std::ptr::from_ref) != p.map(std::ptr::from_ref) {
            // A sender may turn to something else; but what was likely and then contradicted never was.
            if self.sure == Some(Confidence::Certain) {
                self.continuity.settle(Mono(u64::MAX), here);
                *retired += self.continuity.counts();
            }
            self.continuity.clear();
            self.media.clear();
            self.clock = p.and_then(media::clock);
            self.programs = None;
            (self.followed, self.sure, self.extended) = (p, None, false);
            self.opaque = p.is_some_and(|p| !wire::own::is_known(p));
            usual = false;
        }
        if let Some(s) = self.clock.and_then(|read| read(payload))
            && let Some(jitter_ns) = media_offer(&mut self.media, &s, at)
        {
            self.history.jitter(at, jitter_ns);
        }
        if self.continuity.streams().len() > PROGRAM_STREAMS {
            self.programs = None;
        } else if p.is_some_and(|p| ts::carried_by(p, payload)) {
            self.programs.get_or_insert_default().take(payload, at);
        }
        let sure = verdict.protocol().map(|(_, sure)| sure);
        usual &= std::mem::replace(&mut self.sure, sure) == sure;
        let upper = match formats {
            [] => None,
            _ => essence::upper_half(payload, formats).filter(|_| p == Some(&rtp::PROTOCOL)),
        };
        // Some senders leave the upper half at 0: until it moves, RTP's own number counts.
        let extended = upper.is_some_and(|n| n != 0) || self.extended && !formats.is_empty();
        if self.extended != extended {
            if self.sure == Some(Confidence::Certain) {
                self.continuity.settle(Mono(u64::MAX), here);
                *retired += self.continuity.counts();
            }
            self.continuity.clear();
            self.extended = extended;
            usual = false;
        }
        let own = p.and_then(|p| p.sequence);
        if let Some(read) =
            if extended && upper.is_some() { Some(essence::sequence as Sequence) } else { own }
        {
            let continuity = &mut self.continuity;
            let again = continuity.begin(alike, |f| read(payload, f));
            read(payload, &mut |s| usual &= continuity.offer(s, at, again, here));
        }
        usual
    }

    /// Counts a datagram. True if it was the usual one: [`Detail::counts`] is as before, but for what every
    /// number moves.
    #[allow(clippy::too_many_arguments, reason = "the source's own fields, borrowed apart")]
    pub(crate) fn record(
        &mut self,
        d: &Datagram,
        payload: &[u8],
        at: Mono,
        gap_ns: Option<u64>,
        verdict: &Verdict,
        formats: &[Format],
        retired: &mut SeqCounts,
        here: &mut Here,
    ) -> bool {
        self.strip.add(at, 1, u64::from(d.len));
        self.peaks.add(at, d.len);
        self.sizes.add(d.len);
        if let Some(gap) = gap_ns {
            self.gaps.add(gap);
            self.history.gap(at, gap);
        }
        // Only narrow counters ask for it.
        let alike = self.continuity.pids() > 0 && self.is_repeat(payload, d.len);
        let kept = payload.len().min(LAST_PAYLOAD);
        self.last_payload[..kept].copy_from_slice(&payload[..kept]);
        (self.last_len, self.last_size) = (kept as u16, d.len);
        // Two counters may be watched in one payload: the missing numbers of one of them claim drops.
        let two = self.finder.is_some() && verdict.followed().is_some();
        let claims = two.then(|| self.claims());
        if claims == Some(Claims::Found) {
            here.mute(true);
        }
        let followed = self.follow(verdict, payload, at, alike, formats, retired, here);
        if let Some(claims) = claims {
            here.mute(claims == Claims::Followed);
        }
        let unknown = self.is_unknown();
        let usual = match &mut self.finder {
            Some(finder) if unknown || self.choice != Choice::Find => {
                finder.look(payload, d.len, at, here) && followed
            }
            None if !unknown => followed,
            finder => {
                // What it is is known: nothing has to be found.
                *finder = unknown.then(Finder::default);
                false
            }
        };
        if two {
            here.mute(false);
        }
        usual
    }

    /// Whose missing numbers claim drops, while two counters are watched in one payload.
    fn claims(&self) -> Claims {
        let found = || self.followed.is_none() || self.finder().is_some_and(|f| f.counter().is_some());
        match self.finder {
            Some(_) if !self.tells_known() && found() => Claims::Found,
            _ => Claims::Followed,
        }
    }

    /// Whether the figures told are those of the protocol.
    fn tells_known(&self) -> bool {
        self.choice == Choice::Find && self.sure.is_some() && !self.continuity.is_empty()
    }

    /// Continuity; `None` while no counter is known to be there. What the user names comes first.
    pub(crate) fn counts(&self) -> Option<SeqCounts> {
        let found = self.finder.as_ref().and_then(Finder::counts);
        let known = (self.sure.is_some() && !self.continuity.is_empty()).then(|| self.continuity.counts());
        if self.choice == Choice::Find { known.or(found) } else { found }
    }

    /// The finder of a counter in an unknown payload.
    pub fn finder(&self) -> Option<&Finder> {
        self.finder.as_ref()
    }

    /// Whether nobody has said or recognised how it counts.
    fn is_unknown(&self) -> bool {
        self.sure.is_none() || self.opaque
    }

    /// Whether the user named the counter, or said that there is none.
    pub fn is_named(&self) -> bool {
        self.choice != Choice::Find
    }

    /// What the user says of the counter.
    pub fn choice(&self) -> Choice {
        self.choice
    }

    /// The user names the counter, says that there is none, or leaves it to mcscope.
    ///
    /// False if that changes something.
    pub(crate) fn choose(&mut self, choice: Choice) -> bool {
        if self.choice == choice {
            return true;
        }
        self.choice = choice;
        self.finder = Some(finder_of(choice));
        false
    }

    /// Media clocks with jitter and drift, of what is known to carry them.
    pub fn media(&self) -> &[Media] {
        if self.sure.is_some() { &self.media } else { &[] }
    }

    /// Whether a number is missing that may still come.
    pub(crate) fn waits(&self) -> bool {
        self.continuity.waits() || self.finder.as_ref().is_some_and(Finder::waits)
    }

    pub(crate) fn settle(&mut self, now: Mono, here: &mut Here) {
        let claims = self.claims();
        here.mute(claims == Claims::Found);
        self.continuity.settle(now, here);
        here.mute(claims == Claims::Followed);
        if let Some(finder) = &mut self.finder {
            finder.settle(now, here);
        }
        here.mute(false);
    }

    /// Puts missing numbers elsewhere, of what is told; returns how many were not there.
    pub(crate) fn correct(&mut self, from: Place, to: Place, count: u64) -> u64 {
        if self.tells_known() {
            return self.continuity.correct(from, to, count);
        }
        self.finder.as_mut().map_or(count, |f| f.correct(from, to, count))
    }

    /// What was not received lately was kept out on purpose: counting goes on from the next number, which
    /// is no gap.
    pub(crate) fn interrupted(&mut self, retired: &mut SeqCounts, here: &mut Here) {
        self.settle(Mono(u64::MAX), here);
        if let Some(counts) = self.counts() {
            *retired += counts;
        }
        self.continuity.clear();
        self.media.clear();
        if let Some(finder) = &mut self.finder {
            *finder = finder_of(self.choice);
        }
    }

    pub(crate) fn reset(&mut self) {
        self.continuity.clear();
        self.media.clear();
        self.gaps = Quantiles::default();
        (self.peaks, self.sizes) = (Peaks::default(), Sizes::default());
        if let Some(finder) = &mut self.finder {
            finder.reset();
        }
    }
}

/// What begins to look for a counter as the user says.
fn finder_of(choice: Choice) -> Finder {
    match choice {
        Choice::Find => Finder::default(),
        Choice::At(counter) => Finder::pinned(counter),
        Choice::Off => Finder::off(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::continuity::{NARROW_BYTES, PIDS_MAX, STREAMS_MAX};
    use crate::model::media::CLOCKS_MAX;
    use crate::model::sequence::SeqTracker;

    #[test]
    fn the_detail_of_a_source_stays_within_16_kib() {
        // Each has its clocks and either wide counters or narrow ones, with the tables of their programs.
        let every = size_of::<Detail>() + size_of::<[u32; 1024]>();
        let clocks = CLOCKS_MAX * size_of::<Media>();
        let wide = every + clocks + STREAMS_MAX * size_of::<SeqTracker>();
        let narrow = every + clocks + PIDS_MAX * NARROW_BYTES + size_of::<Programs>() + Programs::HEAP_MAX;
        let in_rtp = every
            + clocks
            + PROGRAM_STREAMS * size_of::<SeqTracker>()
            + size_of::<Programs>()
            + Programs::HEAP_MAX;
        // What is found in an unknown payload has no streams and no clocks.
        let unknown = every + Finder::HEAP_MAX;
        for (what, most) in [("wide", wide), ("narrow", narrow), ("in RTP", in_rtp), ("unknown", unknown)] {
            assert!(most <= 16 << 10, "{what}: {most} bytes");
        }
    }
}
