//! The part of a statistics line that says whether a stream is intact. What the percentiles, clocks,
//! peaks and counters are is said in `src/model`; absent is `null`, also where a source is one of so
//! many that no detail is kept of it.

use serde::Serialize;

use crate::base::time::Mono;
use crate::model::Model;
use crate::model::group::Group;
use crate::model::media::Media;
use crate::model::quantile::Quantiles;
use crate::model::reading;
use crate::model::sequence::SeqCounts;
use crate::model::shape::{Peaks, SIZE_CLASSES, Sizes, WINDOWS_NS};
use crate::model::source::{Gaps, Source};

/// The health of a stream.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Health {
    /// How often numbers went missing, however many at a time; for `group` and `source`, as all up to
    /// `strays`.
    pub loss_events: Option<u64>,
    /// The most numbers that went missing at a time.
    pub longest_gap: Option<u64>,
    /// RTP's own figure: expected less received (RFC 3550 appendix A.3), below 0 where duplicates
    /// outweigh the losses; for `source`.
    pub rfc3550_lost: Option<i64>,
    /// The most by which a reordered number was behind the highest, in numbers.
    pub late_max: Option<u64>,
    /// The longest time by which one came after the first higher number (RFC 4737 section 4.2.3).
    pub late_max_ns: Option<u64>,
    /// How often the sender began to count anew.
    pub restarts: Option<u32>,
    /// Numbers far off that nothing followed.
    pub strays: Option<u32>,
    /// Where an unknown payload counts, as found or as the user says: `seq:OFFSET:WIDTH:ORDER`, with
    /// the step behind where it is not 1; for `source`, as all that follow but gaps and peaks.
    pub counter: Option<String>,
    /// `protocol`, `found` or `user`: who says where it counts.
    pub counter_by: Option<&'static str>,
    /// `likely` or `certain`: how sure the counter that was found is.
    pub counter_confidence: Option<&'static str>,
    /// `likely` or `certain`: how sure `protocol` is.
    pub confidence: Option<&'static str>,
    /// Why it is taken for that, in plain words.
    pub reason: Option<String>,
    /// RFC 3550's interarrival jitter (6.4.1) of the first media clock, as of the last datagram.
    pub jitter_ns: Option<u64>,
    /// Its mean over all datagrams.
    pub jitter_mean_ns: Option<u64>,
    /// The largest it was.
    pub jitter_max_ns: Option<u64>,
    /// The rate of that media clock, in Hz.
    pub clock_hz: Option<u32>,
    /// How much faster the sender's clock runs than ours, in parts per million; from 30 s on.
    pub drift_ppm: Option<f64>,
    /// Half of all times between two datagrams are at most this long (right to 1.6 %); for `group`
    /// and `source`, as all that follow up to the peaks.
    pub gap_p50_ns: Option<u64>,
    /// Nine of ten are.
    pub gap_p90_ns: Option<u64>,
    /// 99 of a hundred.
    pub gap_p99_ns: Option<u64>,
    /// 999 of a thousand.
    pub gap_p999_ns: Option<u64>,
    /// The longest time without a datagram, the present one included.
    pub silence_max_ns: Option<u64>,
    /// The most datagrams within one millisecond.
    pub peak_1ms_packets: Option<u32>,
    /// The most UDP payload within one millisecond, as a rate.
    pub peak_1ms_bps: Option<f64>,
    /// The most datagrams within 10 ms.
    pub peak_10ms_packets: Option<u32>,
    /// The most payload within 10 ms, as a rate.
    pub peak_10ms_bps: Option<f64>,
    /// The most datagrams within 100 ms.
    pub peak_100ms_packets: Option<u32>,
    /// The most payload within 100 ms, as a rate.
    pub peak_100ms_bps: Option<f64>,
    /// The smallest TTL or hop limit; for `source`, as all that follow.
    pub ttl_min: Option<u8>,
    /// The largest.
    pub ttl_max: Option<u8>,
    /// How often it differed from the one before.
    pub ttl_changes: Option<u32>,
    /// How often DSCP did.
    pub dscp_changes: Option<u32>,
    /// ECN of the last datagram: 0 not capable, 1 and 2 capable, 3 congestion was met (RFC 3168).
    pub ecn: Option<u8>,
    /// How often it differed from the one before.
    pub ecn_changes: Option<u32>,
}

impl Health {
    /// That of a row, over all its senders.
    pub(super) fn of_group(g: &Group, n: Option<SeqCounts>, now: Mono) -> Health {
        let mut h = Health::default();
        h.continuity(n);
        h.timing(&g.gaps, g.gap_quantiles.as_ref());
        h.silence_max_ns = g.last.map(|l| g.gaps.max_ns.max(now.since(l.mono)));
        h.peaks(g.last.map(|_| &g.peaks));
        h
    }

    /// That of a sender.
    pub(super) fn of_source(g: &Group, s: &Source, n: Option<SeqCounts>, now: Mono) -> Health {
        let mut h = Health::default();
        h.continuity(n);
        h.rfc3550_lost = s.rfc3550_lost();
        h.timing(&s.gaps, s.detail.as_ref().map(|d| &d.gaps));
        h.silence_max_ns = Some(s.longest_silence_ns(now));
        h.peaks(s.detail.as_ref().map(|d| &d.peaks));
        if let Some((_, sure)) = s.verdict.protocol() {
            h.confidence = Some(reading::confidence(sure));
            h.reason = Some(reading::reason(s, &g.rules, g.membership.port));
        }
        if let Some((counter, sure)) = s.counter() {
            h.counter = Some(counter.to_string());
            h.counter_confidence = Some(reading::confidence(sure));
        }
        h.counter_by = reading::counted_by(s).map(reading::CountedBy::word);
        if let Some(m) = s.detail.as_ref().and_then(|d| d.media().first()) {
            h.jitter_ns = whole(m.jitter_ns());
            h.jitter_mean_ns = whole(m.jitter_mean_ns());
            h.jitter_max_ns = whole(m.jitter_max_ns());
            h.clock_hz = m.clock_hz();
            h.drift_ppm = m.drift_ppm();
        }
        if s.ttl.last.is_some() {
            (h.ttl_min, h.ttl_max) = (Some(s.ttl.min), Some(s.ttl.max));
            h.ttl_changes = Some(s.ttl.changes);
        }
        h.dscp_changes = s.dscp.last.map(|_| s.dscp.changes);
        (h.ecn, h.ecn_changes) = (s.ecn.last, s.ecn.last.map(|_| s.ecn.changes));
        h
    }

    fn continuity(&mut self, n: Option<SeqCounts>) {
        let Some(n) = n else { return };
        self.loss_events = Some(n.gaps);
        self.longest_gap = Some(n.longest_gap);
        self.restarts = Some(n.restarts);
        self.strays = Some(n.strays);
        if n.reordered > 0 {
            self.late_max = Some(n.late_max);
            self.late_max_ns = Some(n.late_max_ns);
        }
    }

    fn timing(&mut self, gaps: &Gaps, q: Option<&Quantiles>) {
        // A percentile is the middle of its cell: never beyond what was measured.
        let at = |share| q.and_then(|q| q.quantile(share)).map(|ns| ns.clamp(gaps.min_ns, gaps.max_ns));
        self.gap_p50_ns = at(0.5);
        self.gap_p90_ns = at(0.9);
        self.gap_p99_ns = at(0.99);
        self.gap_p999_ns = at(0.999);
    }

    fn peaks(&mut self, peaks: Option<&Peaks>) {
        let Some(peaks) = peaks else { return };
        let of = |window_ns: u64| {
            let peak = peaks.peak(window_ns)?;
            Some((peak.packets, peak.bps(window_ns)))
        };
        let [one, ten, hundred] = WINDOWS_NS.map(of).map(Option::unzip);
        (self.peak_1ms_packets, self.peak_1ms_bps) = one;
        (self.peak_10ms_packets, self.peak_10ms_bps) = ten;
        (self.peak_100ms_packets, self.peak_100ms_bps) = hundred;
    }
}

fn whole(ns: Option<f64>) -> Option<u64> {
    ns.map(|ns| ns.round() as u64)
}

/// How things are distributed, and what each numbered stream of a sender says by itself: only in
/// `final` lines.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Shape {
    /// Datagrams by the size of their payload; for `group` and `source`.
    pub sizes: Option<Vec<SizeClass>>,
    /// Times between two datagrams, shortest first; for `group` and `source`.
    pub gaps: Option<Vec<GapClass>>,
    /// The media clocks and numbered streams (RTP's SSRC) that a sender mixes on the port; for
    /// `source`, `null` where there is none.
    pub streams: Option<Vec<Stream>>,
    /// Where numbers were lost, in one line; for `source`.
    pub reading: Option<String>,
}

/// A class of sizes: above the class before, at most `to_bytes`.
#[derive(Clone, Debug, Serialize)]
pub struct SizeClass {
    /// The largest size of the class; `null` for the last one, which has no end.
    pub to_bytes: Option<u32>,
    /// Datagrams.
    pub packets: u64,
}

/// A class of times.
#[derive(Clone, Debug, Serialize)]
pub struct GapClass {
    /// From this on.
    pub from_ns: u64,
    /// And below this.
    pub to_ns: u64,
    /// How many there were.
    pub count: u32,
}

/// One of the streams that a sender mixes on one port.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Stream {
    /// RTP's SSRC, MPEG-TS's PID; of other protocols a number that tells them apart.
    pub stream: u64,
    /// NET, as for the source; `null` where only the clock is followed, as all up to `restarts`.
    pub lost: Option<u64>,
    /// Dropped on this host.
    pub lost_here: Option<u64>,
    /// Either's.
    pub lost_unclear: Option<u64>,
    /// Expected less received (RFC 3550 appendix A.3); `null` for what is not RTP.
    pub rfc3550_lost: Option<i64>,
    /// Numbers from the first to the highest.
    pub expected: Option<u64>,
    /// Numbers received, duplicates and late ones too.
    pub received: Option<u64>,
    /// Numbers seen again.
    pub duplicates: Option<u64>,
    /// Numbers that came after a higher one.
    pub reordered: Option<u64>,
    /// How often it began anew.
    pub restarts: Option<u32>,
    /// The rate of its media clock, in Hz; `null` while it is not known.
    pub clock_hz: Option<u32>,
    /// RFC 3550's jitter, as of the last datagram.
    pub jitter_ns: Option<u64>,
    /// Its mean.
    pub jitter_mean_ns: Option<u64>,
    /// Its largest.
    pub jitter_max_ns: Option<u64>,
    /// How much faster the sender's clock runs than ours, in parts per million.
    pub drift_ppm: Option<f64>,
}

impl Shape {
    /// That of a row.
    pub(super) fn of_group(g: &Group) -> Shape {
        let any = g.counters.packets > 0;
        Shape {
            sizes: any.then(|| sizes(&g.sizes)),
            gaps: g.gap_quantiles.as_ref().map(gaps),
            ..Shape::default()
        }
    }

    /// That of a sender.
    pub(super) fn of_source(g: &Group, s: &Source, model: &Model) -> Shape {
        let nic = model.iface(&g.membership.iface).and_then(|i| i.nic_drops);
        let reading = Some(reading::loss(s.continuity(), &g.drops, nic).0);
        let Some(d) = &s.detail else { return Shape { reading, ..Shape::default() } };
        Shape {
            sizes: Some(sizes(&d.sizes)),
            gaps: Some(gaps(&d.gaps)),
            streams: Some(streams(s)).filter(|list| !list.is_empty()),
            reading,
        }
    }
}

fn sizes(s: &Sizes) -> Vec<SizeClass> {
    let class = |(&to, &packets)| SizeClass { to_bytes: (to < u32::MAX).then_some(to), packets };
    SIZE_CLASSES.iter().zip(s.counts()).map(class).collect()
}

fn gaps(q: &Quantiles) -> Vec<GapClass> {
    q.cells().map(|(from_ns, width, count)| GapClass { from_ns, to_ns: from_ns + width, count }).collect()
}

fn streams(s: &Source) -> Vec<Stream> {
    let Some(d) = &s.detail else { return Vec::new() };
    // Of a counter that the user named the protocol's streams say nothing.
    let followed =
        if reading::counted_by(s) == Some(reading::CountedBy::Protocol) { d.streams() } else { &[] };
    let rtp = s.protocol().is_some_and(|p| p.id == "rtp");
    let mut list: Vec<Stream> = followed
        .iter()
        .map(|t| {
            let n = t.counts();
            Stream {
                stream: t.stream(),
                lost: Some(n.lost),
                lost_here: Some(n.lost_here),
                lost_unclear: Some(n.lost_unclear),
                rfc3550_lost: rtp.then(|| n.rfc3550_lost()),
                expected: Some(n.expected),
                received: Some(n.received),
                duplicates: Some(n.duplicates),
                reordered: Some(n.reordered),
                restarts: Some(n.restarts),
                ..Stream::default()
            }
        })
        .collect();
    for m in d.media() {
        let at = list.iter().position(|s| s.stream == m.stream()).unwrap_or_else(|| {
            list.push(Stream { stream: m.stream(), ..Stream::default() });
            list.len() - 1
        });
        clock(&mut list[at], m);
    }
    list
}

fn clock(s: &mut Stream, m: &Media) {
    s.clock_hz = m.clock_hz();
    s.jitter_ns = whole(m.jitter_ns());
    s.jitter_mean_ns = whole(m.jitter_mean_ns());
    s.jitter_max_ns = whole(m.jitter_max_ns());
    s.drift_ppm = m.drift_ppm();
}
