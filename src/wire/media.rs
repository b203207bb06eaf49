//! Media clocks: the sender's own time that some protocols carry in each datagram.

use crate::wire::read::{be32, u8_at};
use crate::wire::{Protocol, rtp, ts};

/// A reading of a sender's media clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MediaSample {
    /// Tells the streams apart that one source mixes on one port (SSRC, PID).
    pub stream: u64,
    /// The time, in ticks.
    pub timestamp: u64,
    /// The number of ticks at which it wraps.
    pub wrap: u64,
    /// Ticks a second; `None` where only a session description says it.
    pub clock_hz: Option<u32>,
    /// Whether every datagram has a time of its own, as RFC 3550's jitter needs it.
    pub every: bool,
}

/// Reads the clock of a datagram, if it carries one.
pub type MediaClock = fn(&[u8]) -> Option<MediaSample>;

/// The reader of a protocol's media clock; `None` if it has none.
pub fn clock(p: &Protocol) -> Option<MediaClock> {
    match p.id {
        "rtp" => Some(rtp_clock),
        "mpegts" => Some(program_clock),
        _ => None,
    }
}

/// RTP's timestamp (RFC 3550 section 5.1).
fn rtp_clock(b: &[u8]) -> Option<MediaSample> {
    let (b0, b1) = (u8_at(b, 0)?, u8_at(b, 1)?);
    if b0 & 0xc0 != 0x80 {
        return None;
    }
    let known = rtp::static_type(b1 & 0x7f);
    Some(MediaSample {
        stream: be32(b, 8)?.into(),
        timestamp: be32(b, 4)?.into(),
        wrap: 1 << 32,
        clock_hz: known.map(|k| k.clock_hz),
        every: true,
    })
}

/// The first program clock reference of a datagram (ISO/IEC 13818-1 2.4.3.5).
fn program_clock(b: &[u8]) -> Option<MediaSample> {
    ts::packets(b).find_map(|p| {
        Some(MediaSample {
            stream: p.pid.into(),
            timestamp: p.pcr?,
            wrap: (1 << 33) * 300,
            clock_hz: Some(27_000_000),
            every: false,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtp_says_its_clock_where_the_payload_type_is_static() {
        let mut b = [0x80, 8, 0, 1, 0, 0, 1, 0, 0, 0, 0, 9];
        let s = rtp_clock(&b).unwrap();
        assert_eq!((s.stream, s.timestamp, s.clock_hz), (9, 256, Some(8000)));
        b[1] = 96;
        assert_eq!(rtp_clock(&b).unwrap().clock_hz, None);
        assert_eq!(rtp_clock(&b[..11]), None);
    }
}
