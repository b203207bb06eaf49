//! One sender to one group: exact counters, marking, timing, continuity, recognition.

use crate::base::batch::Datagram;
use crate::base::group::Endpoint;
use crate::base::time::{Mono, SECOND_NS, Wall};
use crate::model::counter::{Choice, Counter};
use crate::model::detail::Detail;
use crate::model::here::{Correction, Here};
use crate::model::rate::{RateWindow, Weight};
use crate::model::rules::Rule;
use crate::model::sequence::SeqCounts;
use crate::wire::essence::Format;
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

/// What a datagram is on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnWire {
    /// Bytes with IP and UDP headers, per fragment.
    pub ip_bytes: u64,
    /// Whether it is too long for one packet.
    pub fragmented: bool,
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
    /// Datagrams too long for one packet at this interface's MTU: they must have come in fragments.
    /// That a sender cut shorter ones cannot be seen behind a socket.
    pub fragmented: u64,
    /// Smallest payload, in bytes; meaningful once `packets` is above 0.
    pub size_min: u32,
    /// Largest payload, in bytes.
    pub size_max: u32,
}

impl Counters {
    pub(crate) fn add(&mut self, len: u32, wire: OnWire, truncated: bool) {
        self.size_min = if self.packets == 0 { len } else { self.size_min.min(len) };
        self.size_max = self.size_max.max(len);
        self.packets += 1;
        self.payload_bytes += u64::from(len);
        self.ip_bytes += wire.ip_bytes;
        self.truncated += u64::from(truncated);
        self.fragmented += u64::from(wire.fragmented);
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
    /// Takes the next value; the last one, if it differs from that.
    fn take(&mut self, value: Option<u8>) -> Option<u8> {
        let v = value?;
        let was = self.last.replace(v).filter(|&last| last != v);
        if self.changes == 0 && was.is_none() {
            (self.min, self.max) = (v, v);
        }
        self.min = self.min.min(v);
        self.max = self.max.max(v);
        self.changes += u32::from(was.is_some());
        was
    }

    /// Begins to count anew, with the last value as the only one.
    fn reset(&mut self) {
        let v = self.last.unwrap_or(0);
        (self.min, self.max, self.changes) = (v, v, 0);
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

/// Whoever was heard within this time is live.
pub const LIVE_NS: u64 = 2 * SECOND_NS;
/// Whoever was heard within this time is not silent.
pub const NOT_SILENT_NS: u64 = 5 * SECOND_NS;

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
        if quiet_ns <= live_for(usual_ns) {
            State::Live
        } else if may_be_silent && packets >= 10 && quiet_ns > not_silent_for(p99_ns) {
            State::Silent
        } else {
            State::Idle
        }
    }

    /// How long after its last datagram something in this state, of which [`State::of`] said so `quiet_ns`
    /// after it, has to be looked at again if nothing comes, in nanoseconds; `None` if it stays so.
    fn until(
        self,
        packets: u64,
        quiet_ns: u64,
        usual_ns: u64,
        p99_ns: u64,
        may_be_silent: bool,
    ) -> Option<u64> {
        match self {
            State::Live => Some(live_for(usual_ns)),
            // Before that time its percentiles were not looked at.
            State::Idle if may_be_silent && packets >= 10 && quiet_ns <= NOT_SILENT_NS => Some(NOT_SILENT_NS),
            State::Idle if may_be_silent && packets >= 10 => Some(not_silent_for(p99_ns)),
            _ => None,
        }
    }
}

fn live_for(usual_ns: u64) -> u64 {
    LIVE_NS.max(usual_ns.saturating_mul(10))
}

fn not_silent_for(p99_ns: u64) -> u64 {
    NOT_SILENT_NS.max(p99_ns.saturating_mul(10))
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
    /// DSCP, 0 to 63: the upper six bits of the TOS or traffic class byte.
    pub dscp: Marking,
    /// ECN, the lower two: 0 not capable, 1 and 2 capable, 3 congestion was met (RFC 3168).
    pub ecn: Marking,
    /// Inter-arrival times.
    pub gaps: Gaps,
    /// The last second.
    pub rate: RateWindow,
    /// Counters of streams that were given up to make room.
    pub(crate) retired: SeqCounts,
    /// What it carries.
    pub verdict: Verdict,
    /// What the user said of its counter.
    pub choice: Choice,
    /// Which of its row's rules was found to hold for it.
    rule: Option<u16>,
    /// Whether this host sent it.
    pub ours: bool,
    /// As of the last look at it.
    pub state: State,
    /// Our own filter kept it out until now.
    kept_out: bool,
    /// The rest, where it is kept.
    pub detail: Option<Box<Detail>>,
}

/// What a datagram changed that is worth an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noticed {
    /// TTL before, if it changed.
    pub ttl_was: Option<u8>,
    /// DSCP before, if it changed.
    pub dscp_was: Option<u8>,
    /// ECN before, if it changed.
    pub ecn_was: Option<u8>,
    /// Nanoseconds since the datagram before.
    pub gap_ns: Option<u64>,
    /// Its numbers were not simply the next ones: [`Source::continuity`] may have changed in more than
    /// what every number moves.
    pub(crate) discontinuous: bool,
}

impl Noticed {
    /// Whether the marking changed.
    pub(crate) fn is_marking(&self) -> bool {
        self.ttl_was.is_some() || self.dscp_was.is_some() || self.ecn_was.is_some()
    }
}

impl Source {
    pub(crate) fn new(endpoint: Endpoint, at: Stamp, ours: bool, detailed: bool) -> Self {
        Source {
            endpoint,
            counters: Counters::default(),
            first: at,
            last: at,
            ttl: Marking::default(),
            dscp: Marking::default(),
            ecn: Marking::default(),
            gaps: Gaps::default(),
            rate: RateWindow::default(),
            retired: SeqCounts::default(),
            verdict: Verdict::default(),
            choice: Choice::Find,
            rule: None,
            ours,
            state: State::Live,
            kept_out: false,
            detail: detailed.then(|| Box::new(Detail::new(at.mono))),
        }
    }

    /// Looks for a rule of the user's that holds for it; the first one found stays.
    fn obey(&mut self, rules: &[Rule], payload: &[u8]) {
        if self.rule.is_some() || !self.verdict.looks() {
            return;
        }
        let Some(i) = rules.iter().position(|r| r.holds(self.endpoint.ip, payload)) else { return };
        self.rule = u16::try_from(i).ok();
        if let Some(p) = rules[i].protocol {
            self.verdict = Verdict::ruled(p);
        }
        if self.choice == Choice::Find {
            self.choice = rules[i].counter;
        }
    }

    /// The rule that holds for it, of those of its row.
    pub fn rule<'a>(&self, rules: &'a [Rule]) -> Option<&'a Rule> {
        rules.get(usize::from(self.rule?))
    }

    /// The user takes it for this protocol, or (`None`) lets it be recognised again, rules first.
    pub(crate) fn take_for(&mut self, protocol: Option<&'static Protocol>) {
        self.verdict = protocol.map_or_else(Verdict::default, Verdict::given);
        self.rule = None;
    }

    #[allow(clippy::too_many_arguments, reason = "the row's own fields, borrowed apart")]
    pub(crate) fn record(
        &mut self,
        d: &Datagram,
        payload: &[u8],
        at: Stamp,
        wire: OnWire,
        to: Endpoint,
        rules: &[Rule],
        formats: &[Format],
        here: &mut Here,
    ) -> Noticed {
        let mut noticed = Noticed::default();
        here.of(self.endpoint);
        if std::mem::take(&mut self.kept_out) {
            noticed.discontinuous = true;
            if let Some(detail) = &mut self.detail {
                detail.interrupted(&mut self.retired, here);
            }
        } else if self.counters.packets > 0 {
            let gap = at.mono.since(self.last.mono);
            self.gaps.add(gap);
            noticed.gap_ns = Some(gap);
        }
        self.counters.add(d.len, wire, d.is_truncated());
        if d.ttl != self.ttl.last {
            noticed.ttl_was = self.ttl.take(d.ttl);
        }
        let (dscp, ecn) = (d.tos.map(|t| t >> 2), d.tos.map(|t| t & 3));
        if (dscp, ecn) != (self.dscp.last, self.ecn.last) {
            noticed.dscp_was = self.dscp.take(dscp);
            noticed.ecn_was = self.ecn.take(ecn);
        }
        self.last = at;
        self.rate
            .add(at.mono, Weight { packets: 1, payload_bytes: u64::from(d.len), ip_bytes: wire.ip_bytes });
        if !rules.is_empty() {
            self.obey(rules, payload);
        }
        self.verdict.observe(payload, &Hint { to, from: self.endpoint, len: d.len as usize });
        if let Some(detail) = &mut self.detail {
            let chosen = detail.choose(self.choice);
            let gap = noticed.gap_ns;
            let usual =
                detail.record(d, payload, at.mono, gap, &self.verdict, formats, &mut self.retired, here);
            noticed.discontinuous |= !(chosen && usual);
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

    /// What of its continuity is in the sum of all sources of the group.
    pub(crate) fn told(&self) -> Option<SeqCounts> {
        match &self.detail {
            Some(detail) => detail.told,
            None => self.continuity().map(SeqCounts::events),
        }
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

    /// Our own filter lets it through again: what it sent meanwhile is no loss and no silence of its.
    pub(crate) fn let_through_again(&mut self) {
        self.kept_out = true;
    }

    /// Brings what depends on time up to date; returns the state before, and when it has to be looked at
    /// again if nothing comes until then.
    pub(crate) fn settle(&mut self, now: Mono, may_be_silent: bool, here: &mut Here) -> (State, Mono) {
        here.of(self.endpoint);
        if let Some(detail) = &mut self.detail {
            detail.settle(now, here);
            let missing = self.retired.missing() + detail.counts().map_or(0, |c| c.missing());
            detail.history.missing(now, missing);
        }
        self.settle_state(now, may_be_silent)
    }

    /// As [`Source::settle`], where nothing is missing and nothing came that was.
    pub(crate) fn settle_state(&mut self, now: Mono, may_be_silent: bool) -> (State, Mono) {
        let quiet = now.since(self.last.mono);
        let mut p99 = self.gaps.usual_ns;
        // Percentiles are only looked at when they can matter: one is at most half a cell, a 64th, above
        // the longest.
        let longest = self.gaps.max_ns.saturating_add(self.gaps.max_ns / 32 + 32);
        if quiet > NOT_SILENT_NS
            && not_silent_for(longest) > NOT_SILENT_NS
            && let Some(detail) = &self.detail
        {
            p99 = detail.gaps.high_quantile(0.99, self.gaps.max_ns).unwrap_or(p99);
        }
        let was = self.state;
        let (packets, usual) = (self.counters.packets, self.gaps.usual_ns);
        self.state = State::of(packets, quiet, usual, p99, may_be_silent);
        let until = self.state.until(packets, quiet, usual, p99, may_be_silent);
        (was, until.map_or(Mono(u64::MAX), |ns| self.last.mono.plus(ns).plus(1)))
    }

    /// Whether [`Source::settle`] would change nothing.
    pub(crate) fn is_settled(&self, now: Mono, may_be_silent: bool) -> bool {
        let quiet = now.since(self.last.mono);
        let gaps = self.detail.as_ref().filter(|_| quiet > NOT_SILENT_NS).map(|d| &d.gaps);
        let p99 = gaps.and_then(|g| g.quantile(0.99)).unwrap_or(self.gaps.usual_ns);
        let state = State::of(self.counters.packets, quiet, self.gaps.usual_ns, p99, may_be_silent);
        state == self.state && !self.waits()
    }

    /// Whether a number is missing that may still come.
    pub(crate) fn waits(&self) -> bool {
        self.detail.as_ref().is_some_and(|d| d.waits())
    }

    /// Ends the waiting for late numbers.
    pub(crate) fn finish(&mut self, here: &mut Here) {
        here.of(self.endpoint);
        if let Some(detail) = &mut self.detail {
            detail.settle(Mono(u64::MAX), here);
        }
    }

    /// Some of what is missing went elsewhere than it was put.
    pub(crate) fn correct(&mut self, c: &Correction) {
        let mut left = c.count;
        if let Some(detail) = &mut self.detail {
            left = detail.correct(c.from, c.to, left);
        }
        self.retired.put(c.from, c.to, left);
    }

    /// Gives up what is kept only for some; what it counted stays.
    pub(crate) fn demote(&mut self, here: &mut Here) -> Option<Box<Detail>> {
        let mut detail = self.detail.take()?;
        here.of(self.endpoint);
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
        for marking in [&mut self.ttl, &mut self.dscp, &mut self.ecn] {
            marking.reset();
        }
        if let Some(detail) = &mut self.detail {
            detail.reset();
        }
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

    #[test]
    fn a_state_lasts_until_it_is_said_to_and_no_longer() {
        let ms = SECOND_NS / 1000;
        for (packets, silent) in [(100, true), (9, true), (100, false)] {
            for (usual, p99) in [(ms, ms), (SECOND_NS, SECOND_NS), (ms, 3 * SECOND_NS), (800 * ms, ms)] {
                let of = |quiet| State::of(packets, quiet, usual, p99, silent);
                for quiet in (0..60_000).step_by(250).map(|q| q * ms) {
                    let state = of(quiet);
                    match state.until(packets, quiet, usual, p99, silent) {
                        // It may be asked for more often than it changes, never less.
                        Some(until) => {
                            assert!(until >= quiet);
                            assert!((quiet..=until).step_by(50 * ms as usize).all(|q| of(q) == state));
                        }
                        None => assert_eq!(of(1 << 60), state),
                    }
                }
            }
        }
    }
}
