//! Timing against the sender's media clock: jitter by RFC 3550 and the drift of its clock.
//!
//! Jitter is RFC 3550's (6.4.1, appendix A.8): of every datagram in the order of arrival, also where
//! many share one timestamp (a video frame), where it mostly shows how long a frame's burst is. Drift
//! is the slope of arrival less media time, from each second's least delayed datagram.
//!
//! Jitter is that of tshark (`-z rtp,streams`) to the digit it prints, but for these of its ways, which
//! are not RFC 3550's (tshark 4.0):
//! - it has none for a dynamic payload type that no session description explains; here the clock is
//!   recognised from its ticks, and the jitter begins then;
//! - it reckons in whole kHz: at 11,025, 22,050 and 44,100 Hz its figures are of a clock up to 0.3 %
//!   slower;
//! - it leaves datagrams with the marker bit, and those with a time before the first one's, out of mean
//!   and maximum;
//! - a media time that jumps by ten seconds and more is a jitter of seconds there; here a new run.

use crate::base::time::{Mono, SECOND_NS};
use crate::wire::media::MediaSample;

/// Clocks of one source that are followed; the longest quiet one makes room for another.
pub const CLOCKS_MAX: usize = 4;
/// Drift is told from this many seconds on.
pub const DRIFT_AFTER_S: u32 = 30;
/// A media time that is off by this much is of a new run: the sender began anew.
const JUMP_NS: f64 = 10e9;
/// The rates that a clock is recognised as where nothing says its rate, in Hz.
const RATES: [u32; 12] =
    [8000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 88_200, 90_000, 96_000, 192_000];
/// How long the ticks of an unknown clock are counted at least, and how near a rate they must come.
const GUESS_AFTER_NS: u64 = SECOND_NS;
const GUESS_WITHIN: f64 = 0.004;

/// The state of one media clock.
#[derive(Clone, Debug)]
pub struct Media {
    stream: u64,
    clock_hz: Option<u32>,
    every: bool,
    last_at: Mono,
    last: u64,
    /// Ticks since `origin`.
    ticks: i64,
    origin: Mono,
    jitter_ns: f64,
    jitter_max_ns: f64,
    jitter_sum_ns: f64,
    jitters: u64,
    drift: Slope,
}

/// Least squares over one point a second: seconds since the start, nanoseconds of delay.
#[derive(Clone, Copy, Debug, Default)]
struct Slope {
    second: u64,
    least: Option<(f64, f64)>,
    first_s: f64,
    last_s: f64,
    n: u32,
    sums: [f64; 4],
}

impl Slope {
    fn add(&mut self, since_ns: u64, delay_ns: f64) {
        let second = since_ns / SECOND_NS;
        if second != self.second
            && let Some((x, y)) = self.least.take()
        {
            if self.n == 0 {
                self.first_s = x;
            }
            self.last_s = x;
            self.n += 1;
            for (sum, term) in self.sums.iter_mut().zip([x, y, x * x, x * y]) {
                *sum += term;
            }
        }
        self.second = second;
        if self.least.is_none_or(|(_, least)| delay_ns < least) {
            self.least = Some((since_ns as f64 / SECOND_NS as f64, delay_ns));
        }
    }

    /// In nanoseconds a second.
    fn slope(&self) -> Option<f64> {
        let [x, y, xx, xy] = self.sums;
        let n = f64::from(self.n);
        let below = n * xx - x * x;
        let long = self.n >= 3 && self.last_s - self.first_s >= f64::from(DRIFT_AFTER_S) - 1.5;
        (long && below > 0.0).then(|| (n * xy - x * y) / below)
    }
}

impl Media {
    /// Begins with the first reading of a clock.
    pub fn new(s: &MediaSample, at: Mono) -> Self {
        Media {
            stream: s.stream,
            clock_hz: s.clock_hz,
            every: s.every,
            last_at: at,
            last: s.timestamp,
            ticks: 0,
            origin: at,
            jitter_ns: 0.0,
            jitter_max_ns: 0.0,
            jitter_sum_ns: 0.0,
            jitters: 0,
            drift: Slope::default(),
        }
    }

    /// The stream (SSRC, PID) this clock is of.
    pub fn stream(&self) -> u64 {
        self.stream
    }

    /// Takes the next reading in the order of arrival.
    pub fn take(&mut self, s: &MediaSample, at: Mono) {
        let ahead = s.timestamp.wrapping_sub(self.last) % s.wrap;
        let ahead = if s.timestamp >= self.last { ahead } else { s.wrap - (self.last - s.timestamp) };
        let step = if ahead > s.wrap / 2 { -((s.wrap - ahead) as i64) } else { ahead as i64 };
        let passed = at.0 as i64 - self.last_at.0 as i64;
        self.last = s.timestamp;
        self.last_at = at;
        self.ticks += step;
        self.clock_hz = s.clock_hz.or(self.clock_hz);
        let Some(hz) = self.clock_hz else {
            if step != 0 {
                self.guess();
            }
            return;
        };
        let tick_ns = 1e9 / f64::from(hz);
        let d = passed as f64 - step as f64 * tick_ns;
        if d.abs() >= JUMP_NS {
            (self.origin, self.ticks, self.drift) = (at, 0, Slope::default());
            return;
        }
        if self.every {
            self.jitter_ns += (d.abs() - self.jitter_ns) / 16.0;
            self.jitter_max_ns = self.jitter_max_ns.max(self.jitter_ns);
            self.jitter_sum_ns += self.jitter_ns;
            self.jitters += 1;
        }
        let since = at.since(self.origin);
        self.drift.add(since, since as f64 - self.ticks as f64 * tick_ns);
    }

    /// Takes an unknown clock for the rate that its ticks come near to.
    fn guess(&mut self) {
        let passed = self.last_at.since(self.origin);
        if passed < GUESS_AFTER_NS || self.ticks <= 0 {
            return;
        }
        let hz = self.ticks as f64 * 1e9 / passed as f64;
        self.clock_hz = RATES.into_iter().find(|&r| (hz / f64::from(r) - 1.0).abs() < GUESS_WITHIN);
        (self.origin, self.ticks) =
            if self.clock_hz.is_some() { (self.last_at, 0) } else { (self.origin, self.ticks) };
    }

    /// Ticks a second: as the payload type says, or as recognised from the ticks.
    pub fn clock_hz(&self) -> Option<u32> {
        self.clock_hz
    }

    /// RFC 3550's interarrival jitter in nanoseconds; `None` while the clock is unknown, or where not
    /// every datagram has a time of its own.
    pub fn jitter_ns(&self) -> Option<f64> {
        (self.jitters > 0).then_some(self.jitter_ns)
    }

    /// The largest it was.
    pub fn jitter_max_ns(&self) -> Option<f64> {
        (self.jitters > 0).then_some(self.jitter_max_ns)
    }

    /// Its mean over all datagrams.
    pub fn jitter_mean_ns(&self) -> Option<f64> {
        (self.jitters > 0).then(|| self.jitter_sum_ns / self.jitters as f64)
    }

    /// How much faster the sender's clock runs than ours, in parts per million; `None` before
    /// [`DRIFT_AFTER_S`] seconds.
    pub fn drift_ppm(&self) -> Option<f64> {
        self.drift.slope().map(|s| -s / 1000.0)
    }
}

/// Feeds a reading to its clock, in a list of at most [`CLOCKS_MAX`]; the jitter it has then.
pub(crate) fn offer(list: &mut Vec<Media>, s: &MediaSample, at: Mono) -> Option<f64> {
    if let Some(m) = list.iter_mut().find(|m| m.stream == s.stream) {
        m.take(s, at);
        return m.jitter_ns();
    }
    if list.len() == CLOCKS_MAX {
        let quietest = (0..CLOCKS_MAX).min_by_key(|&i| list[i].last_at).unwrap_or(0);
        list.swap_remove(quietest);
    }
    list.reserve_exact(1);
    list.push(Media::new(s, at));
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(timestamp: u64, clock_hz: Option<u32>) -> MediaSample {
        MediaSample { stream: 1, timestamp: timestamp & 0xffff_ffff, wrap: 1 << 32, clock_hz, every: true }
    }

    #[test]
    fn jitter_is_that_of_appendix_a_8() {
        // 20 ms of PCMU each, every second datagram 3 ms late; the reference is the appendix's own
        // formula in floating point.
        let mut m = Media::new(&sample(u64::from(u32::MAX) - 300, Some(8000)), Mono(0));
        let mut want = 0.0;
        for i in 1..500u64 {
            let at = i * 20_000_000 + if i % 2 == 1 { 3_000_000 } else { 0 };
            m.take(&sample(u64::from(u32::MAX) - 300 + i * 160, Some(8000)), Mono(at));
            want += (3.0 - want) / 16.0;
            assert!((m.jitter_ns().unwrap() / 1e6 - want).abs() < 1e-9);
        }
        assert!((m.jitter_ns().unwrap() - 3e6).abs() < 1.0);
    }

    #[test]
    fn an_unknown_clock_is_recognised_and_a_strange_one_is_not() {
        for (step, want) in [(480u64, Some(48_000)), (900, Some(90_000)), (1234, None)] {
            let mut m = Media::new(&sample(0, None), Mono(0));
            for i in 1..400u64 {
                m.take(&sample(i * step, None), Mono(i * 10_000_000));
            }
            assert_eq!((m.clock_hz(), m.jitter_ns().is_some()), (want, want.is_some()), "{step}");
        }
    }

    #[test]
    fn drift_is_told_after_thirty_seconds_and_not_before() {
        let mut m = Media::new(&sample(0, Some(90_000)), Mono(0));
        let ppm = 42.0;
        for i in 1..=40_000u64 {
            let due = i as f64 * 1e6 / (1.0 + ppm * 1e-6);
            let late = (i * 7919 % 400_000) as f64;
            m.take(&sample(i * 90, Some(90_000)), Mono((due + late) as u64));
            if i == 29_000 {
                assert_eq!(m.drift_ppm(), None);
            }
        }
        assert!((m.drift_ppm().unwrap() - ppm).abs() < 1.0, "{:?}", m.drift_ppm());
    }

    #[test]
    fn a_sender_that_begins_anew_is_no_jitter() {
        let mut m = Media::new(&sample(0, Some(8000)), Mono(0));
        for i in 1..50u64 {
            m.take(
                &sample(i * 160 + if i > 20 { 2_000_000_000 } else { 0 }, Some(8000)),
                Mono(i * 20_000_000),
            );
        }
        assert_eq!(m.jitter_ns().unwrap().round(), 0.0);
    }
}
