//! The shape of traffic: bursts in short windows, and sizes.

use crate::base::time::{Mono, SECOND_NS};

/// Lengths of the windows, in nanoseconds: 1, 10 and 100 ms.
pub const WINDOWS_NS: [u64; 3] = [1_000_000, 10_000_000, 100_000_000];

/// The most that came within one window. Windows lie end to end from the clock's start: a burst
/// across a border counts for each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peak {
    /// Datagrams.
    pub packets: u32,
    /// UDP payload in bytes.
    pub payload_bytes: u32,
}

impl Peak {
    /// The UDP payload as a rate over the window, in bit/s.
    pub fn bps(&self, window_ns: u64) -> f64 {
        f64::from(self.payload_bytes) * 8.0 * SECOND_NS as f64 / window_ns as f64
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Window {
    /// When the one at hand ends.
    until: Mono,
    now: Peak,
    most: Peak,
}

/// Peaks in windows of [`WINDOWS_NS`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Peaks([Window; 3]);

impl Peaks {
    /// Counts a datagram by its arrival.
    pub fn add(&mut self, at: Mono, len: u32) {
        for (w, width) in self.0.iter_mut().zip(WINDOWS_NS) {
            if at >= w.until {
                (w.until, w.now) = (Mono((at.0 / width + 1).saturating_mul(width)), Peak::default());
            }
            w.now.packets += 1;
            w.now.payload_bytes = w.now.payload_bytes.saturating_add(len);
            w.most.packets = w.most.packets.max(w.now.packets);
            w.most.payload_bytes = w.most.payload_bytes.max(w.now.payload_bytes);
        }
    }

    /// The peak in windows of this length, one of [`WINDOWS_NS`].
    pub fn peak(&self, window_ns: u64) -> Option<Peak> {
        WINDOWS_NS.iter().position(|&w| w == window_ns).map(|i| self.0[i].most)
    }
}

/// Upper ends of the classes of [`Sizes`], in bytes of UDP payload; the last class has none. 1472
/// fills an Ethernet frame over IPv4, 8972 a jumbo frame.
pub const SIZE_CLASSES: [u32; 9] = [64, 128, 256, 512, 1024, 1280, 1472, 8972, u32::MAX];

/// How many datagrams were of which size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes([u64; SIZE_CLASSES.len()]);

impl Sizes {
    /// Counts a datagram of `len` bytes.
    pub fn add(&mut self, len: u32) {
        let class = SIZE_CLASSES.iter().position(|&top| len <= top).unwrap_or(SIZE_CLASSES.len() - 1);
        self.0[class] += 1;
    }

    /// The counts, in the order of [`SIZE_CLASSES`].
    pub fn counts(&self) -> &[u64; SIZE_CLASSES.len()] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_seen_in_the_window_it_fills() {
        let mut p = Peaks::default();
        for i in 0..1000u64 {
            p.add(Mono(i * 1_000_000), 100);
        }
        for i in 0..50u64 {
            p.add(Mono(1_500_000_000 + i * 1000), 200);
        }
        assert_eq!(p.peak(1_000_000), Some(Peak { packets: 50, payload_bytes: 10_000 }));
        assert_eq!(p.peak(10_000_000), Some(Peak { packets: 50, payload_bytes: 10_000 }));
        assert_eq!(p.peak(100_000_000), Some(Peak { packets: 100, payload_bytes: 10_000 }));
        assert_eq!(p.peak(7), None);
    }

    #[test]
    fn sizes_fall_into_the_class_that_ends_at_them() {
        let mut s = Sizes::default();
        for len in [0, 64, 65, 1472, 1473, 8972, 65_507] {
            s.add(len);
        }
        assert_eq!(s.counts(), &[2, 1, 0, 0, 0, 0, 1, 2, 1]);
    }
}
