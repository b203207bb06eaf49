//! Rates over the last second and strips of the last minute, without a timer: both roll forward
//! when a datagram arrives or when they are read.

use crate::base::time::{Mono, SECOND_NS};

/// Length of a rate bucket: rates move four times a second and cover one whole second.
pub const BUCKET_NS: u64 = SECOND_NS / 4;
const BUCKETS: usize = 4;

/// Seconds that a strip covers.
pub const STRIP_SECONDS: usize = 60;

/// What passed in a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rate {
    /// Datagrams a second.
    pub packets_pps: f64,
    /// UDP payload in bit/s.
    pub payload_bps: f64,
    /// With IP and UDP headers, per fragment, in bit/s.
    pub ip_bps: f64,
}

impl std::ops::AddAssign for Rate {
    fn add_assign(&mut self, other: Rate) {
        self.packets_pps += other.packets_pps;
        self.payload_bps += other.payload_bps;
        self.ip_bps += other.ip_bps;
    }
}

/// How much one or several datagrams weigh.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    /// Datagrams.
    pub packets: u64,
    /// UDP payload in bytes.
    pub payload_bytes: u64,
    /// With IP and UDP headers, per fragment, in bytes.
    pub ip_bytes: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    packets: u32,
    payload_bytes: u32,
    ip_bytes: u32,
}

/// A sliding window of one second in four buckets and the one being filled.
#[derive(Clone, Debug, Default)]
pub struct RateWindow {
    /// Number of the bucket being filled, counted from the clock's start.
    current: u64,
    /// When that one is over; reckoned once, not with every datagram.
    until: Mono,
    /// Where it lies in the ring.
    slot: u32,
    ring: [Bucket; BUCKETS + 1],
}

impl RateWindow {
    /// Counts `w` at `at`. What comes late (older than the window) counts into the present bucket.
    pub fn add(&mut self, at: Mono, w: Weight) {
        if at >= self.until {
            self.roll(at.0 / BUCKET_NS);
        }
        let b = &mut self.ring[self.slot as usize];
        b.packets = b.packets.saturating_add(w.packets as u32);
        b.payload_bytes = b.payload_bytes.saturating_add(u32::try_from(w.payload_bytes).unwrap_or(u32::MAX));
        b.ip_bytes = b.ip_bytes.saturating_add(u32::try_from(w.ip_bytes).unwrap_or(u32::MAX));
    }

    /// Number of the bucket being filled.
    pub(crate) fn current(&self) -> u64 {
        self.current
    }

    fn roll(&mut self, to: u64) {
        let steps = (to - self.current).min(BUCKETS as u64 + 1);
        for k in 0..steps {
            self.ring[((to - k) % (BUCKETS as u64 + 1)) as usize] = Bucket::default();
        }
        self.current = to;
        self.slot = (to % (BUCKETS as u64 + 1)) as u32;
        self.until = Mono((to + 1).saturating_mul(BUCKET_NS));
    }

    /// The rate over the last complete second at `now`, or over what is complete of it when
    /// counting began at `since` less than a second ago; `None` before the first bucket is complete.
    pub fn rate(&self, now: Mono, since: Mono) -> Option<Rate> {
        let (present, first) = (now.0 / BUCKET_NS, since.0.div_ceil(BUCKET_NS));
        let complete = present.saturating_sub(first).min(BUCKETS as u64);
        if complete == 0 {
            return None;
        }
        let mut sum = [0u64; 3];
        for n in present - complete..present {
            // Buckets that the ring has not reached yet are empty, those that it has left are gone.
            if n <= self.current && n + BUCKETS as u64 >= self.current {
                let b = self.ring[(n % (BUCKETS as u64 + 1)) as usize];
                sum[0] += u64::from(b.packets);
                sum[1] += u64::from(b.payload_bytes);
                sum[2] += u64::from(b.ip_bytes);
            }
        }
        let seconds = complete as f64 * BUCKET_NS as f64 / SECOND_NS as f64;
        Some(Rate {
            packets_pps: sum[0] as f64 / seconds,
            payload_bps: sum[1] as f64 * 8.0 / seconds,
            ip_bps: sum[2] as f64 * 8.0 / seconds,
        })
    }
}

/// Datagrams and bytes of each of the last [`STRIP_SECONDS`] seconds.
#[derive(Clone, Debug)]
pub struct Strip {
    from: u64,
    current: u64,
    /// When the second being filled is over; reckoned once, not with every datagram.
    until: Mono,
    /// Where it lies.
    slot: u32,
    packets: [u32; STRIP_SECONDS + 1],
    bytes: [u32; STRIP_SECONDS + 1],
}

/// Where a second lies in a strip.
fn place(second: u64) -> usize {
    (second % (STRIP_SECONDS as u64 + 1)) as usize
}

/// When a second is over.
fn end_of(second: u64) -> Mono {
    Mono((second + 1).saturating_mul(SECOND_NS))
}

impl Strip {
    /// A strip whose watching begins at `since`: seconds before it are "not watching", not empty.
    pub fn new(since: Mono) -> Self {
        Strip {
            from: since.second(),
            current: since.second(),
            until: end_of(since.second()),
            slot: place(since.second()) as u32,
            packets: [0; STRIP_SECONDS + 1],
            bytes: [0; STRIP_SECONDS + 1],
        }
    }

    /// Counts at `at`; what comes late counts into the present second.
    pub fn add(&mut self, at: Mono, packets: u64, payload_bytes: u64) {
        if at >= self.until {
            let s = at.second();
            let steps = (s - self.current).min(STRIP_SECONDS as u64 + 1);
            for k in 0..steps {
                let i = place(s - k);
                self.packets[i] = 0;
                self.bytes[i] = 0;
            }
            (self.current, self.until, self.slot) = (s, end_of(s), place(s) as u32);
        }
        let i = self.slot as usize;
        self.packets[i] = self.packets[i].saturating_add(u32::try_from(packets).unwrap_or(u32::MAX));
        self.bytes[i] = self.bytes[i].saturating_add(u32::try_from(payload_bytes).unwrap_or(u32::MAX));
    }

    /// Datagrams and payload bytes in the second that lies `back` complete seconds before `now`
    /// (0: the last complete one). `None` where nobody was watching yet.
    pub fn second(&self, now: Mono, back: usize) -> Option<(u32, u32)> {
        let s = now.second().checked_sub(back as u64 + 1)?;
        if s < self.from || back >= STRIP_SECONDS {
            return None;
        }
        if s > self.current || s + (STRIP_SECONDS as u64) < self.current {
            return Some((0, 0));
        }
        let i = place(s);
        Some((self.packets[i], self.bytes[i]))
    }

    /// The last `n` complete seconds, oldest first, packets only.
    pub fn packets(&self, now: Mono, n: usize) -> impl Iterator<Item = Option<u32>> + '_ {
        (0..n).rev().map(move |back| self.second(now, back).map(|(p, _)| p))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const W: Weight = Weight { packets: 1, payload_bytes: 100, ip_bytes: 128 };

    fn ms(n: u64) -> Mono {
        Mono(n * 1_000_000)
    }

    #[test]
    fn a_steady_stream_shows_its_rate_and_falls_to_nothing_when_it_stops() {
        let mut w = RateWindow::default();
        for t in (0..2_000).step_by(10) {
            w.add(ms(t), W);
        }
        let r = w.rate(ms(2_000), ms(0)).unwrap();
        assert_eq!((r.packets_pps, r.payload_bps, r.ip_bps), (100.0, 80_000.0, 102_400.0));
        assert_eq!(w.rate(ms(2_600), ms(0)).unwrap().packets_pps, 50.0);
        assert_eq!(w.rate(ms(3_000), ms(0)).unwrap().packets_pps, 0.0);
        assert_eq!(w.rate(ms(900_000), ms(0)).unwrap().packets_pps, 0.0);
    }

    #[test]
    fn before_anything_is_complete_there_is_no_rate_and_soon_after_it_is_right() {
        let mut w = RateWindow::default();
        for t in (1_000..1_500).step_by(10) {
            w.add(ms(t), W);
        }
        assert_eq!(w.rate(ms(1_200), ms(1_000)), None);
        assert_eq!(w.rate(ms(1_500), ms(1_000)).unwrap().packets_pps, 100.0);
    }

    #[test]
    fn the_strip_tells_no_packet_from_not_watching() {
        let mut s = Strip::new(ms(10_000));
        s.add(ms(10_500), 7, 700);
        s.add(ms(12_100), 3, 300);
        let seen: Vec<_> = s.packets(ms(13_200), 5).collect();
        assert_eq!(seen, [None, None, Some(7), Some(0), Some(3)]);
        let later: Vec<_> = s.packets(ms(200_000), 3).collect();
        assert_eq!(later, [Some(0), Some(0), Some(0)]);
    }

    #[test]
    fn the_strip_forgets_what_is_older_than_a_minute() {
        let mut s = Strip::new(ms(0));
        s.add(ms(500), 5, 5);
        s.add(ms(60_500), 1, 1);
        assert_eq!(s.second(ms(60_900), 59), Some((5, 5)));
        assert_eq!(s.second(ms(61_000), 59), Some((0, 0)));
        assert_eq!(s.second(ms(61_000), 0), Some((1, 1)));
    }
}
