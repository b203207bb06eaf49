//! What stands in RTP that a session description explains: the media itself.
//!
//! Nothing here has a mark of its own. Without an announcement (SAP) that says what a payload type is,
//! the packet stays plain RTP; with one, the payload is read by the rules of its encoding:
//!
//! | encoding | rules |
//! | --- | --- |
//! | `L8`, `L16`, `L20`, `L24` | RFC 3551 section 4.5, RFC 3190; AES67 section 7, ST 2110-30 |
//! | `raw` video | RFC 4175, ST 2110-20 |
//! | `smpte291` | RFC 8331, ST 2110-40 |
//! | `SMPTE2022-6` | ST 2022-6 |
//!
//! What is announced and what is sent may differ, so lengths are checked against the announcement, and
//! what does not fit is said.

use std::fmt::{self, Display};

use crate::base::text::visible;
use crate::wire::read::{Line, Tree, be16, be32, line, put, u8_at};
use crate::wire::rtp::Rtp;
use crate::wire::sdp::Media;
use crate::wire::{Field, Protocol, SeqSample, rtp};

mod hbrmt;
mod video;

/// Cells of an announced encoding that are shown.
const SHOWN: usize = 60;

/// What an announcement says of one RTP payload type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Format {
    /// The payload type.
    pub payload_type: u8,
    /// The encoding as announced: `L24/48000/2`. Only visible characters.
    pub encoding: String,
    /// What that means.
    pub kind: Kind,
}

/// The kinds of media.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Linear audio: one sample of each channel after the other.
    Audio(Audio),
    /// Uncompressed video (RFC 4175).
    Video,
    /// Ancillary data (RFC 8331).
    Ancillary,
    /// SDI as it is (ST 2022-6).
    Hbrmt,
    /// Anything else: only its name is known.
    Other,
}

/// Linear audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Audio {
    /// Bits of one sample of one channel.
    pub bits: u8,
    /// Samples a second.
    pub rate_hz: u32,
    /// Channels.
    pub channels: u16,
}

/// What is known of a datagram beside its bytes, where it is to be shown.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told<'a> {
    /// What is announced for its stream; empty if nothing is.
    pub formats: &'a [Format],
    /// True length of the datagram in bytes, where its bytes were cut.
    pub len: usize,
}

impl Format {
    /// What a media line says of its RTP payload types; nothing if it is not RTP.
    pub fn of(media: &Media) -> Vec<Format> {
        if !media.proto.starts_with("RTP/") {
            return Vec::new();
        }
        let mapped = media.rtpmap.iter().map(|(payload_type, encoding)| Format {
            payload_type: *payload_type,
            encoding: visible(encoding, SHOWN),
            kind: Kind::of(encoding, &media.kind),
        });
        mapped.collect()
    }
}

impl Kind {
    fn of(encoding: &str, media: &str) -> Kind {
        let mut parts = encoding.split('/');
        let (name, rate) = (parts.next().unwrap_or_default(), parts.next().and_then(|r| r.parse().ok()));
        // Without a number it is one channel (RFC 8866 section 6.6).
        let channels = parts.next().map_or(Some(1), |c| c.parse().ok());
        // Names of encodings are the same in either case (RFC 4855 section 3).
        let bits = match name.to_ascii_uppercase().as_str() {
            "L8" => 8,
            "L16" => 16,
            "L20" => 20,
            "L24" => 24,
            "RAW" if media.eq_ignore_ascii_case("video") => return Kind::Video,
            "SMPTE291" => return Kind::Ancillary,
            "SMPTE2022-6" => return Kind::Hbrmt,
            _ => return Kind::Other,
        };
        match (rate, channels) {
            (Some(rate_hz @ 1..), Some(channels @ 1..)) => Kind::Audio(Audio { bits, rate_hz, channels }),
            _ => Kind::Other,
        }
    }
}

impl Kind {
    /// Whether its payloads begin with the upper half of the sequence number.
    fn is_extended(&self) -> bool {
        matches!(self, Kind::Video | Kind::Ancillary)
    }
}

impl Audio {
    /// Bits that one sample of all channels takes.
    fn frame_bits(&self) -> usize {
        usize::from(self.bits) * usize::from(self.channels)
    }

    /// Samples of each channel in so many bytes; `None` if they are no whole number.
    pub fn samples(&self, bytes: usize) -> Option<usize> {
        let bits = bytes * 8;
        bits.is_multiple_of(self.frame_bits()).then(|| bits / self.frame_bits())
    }
}

/// Milliseconds to a thousandth, without zeros behind.
struct Millis(f64);

impl Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.3}", self.0);
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// A packet with what was announced of it.
struct Explained<'a> {
    rtp: Rtp,
    format: &'a Format,
    /// True length of the payload; `None` where the packet was cut and how much is padding with it.
    len: Option<usize>,
}

impl<'a> Explained<'a> {
    fn of(p: &Protocol, b: &[u8], told: &Told<'a>) -> Option<Self> {
        if told.formats.is_empty() || *p != rtp::PROTOCOL {
            return None;
        }
        let cut = told.len.saturating_sub(b.len());
        let rtp = Rtp::parse(b)?;
        let format = told.formats.iter().find(|f| f.payload_type == rtp.payload_type)?;
        let len = (cut == 0 || rtp.padding == 0).then_some(rtp.payload.len() + cut);
        Some(Explained { rtp, format, len })
    }

    fn put(&self, b: &[u8], l: &mut Line<'_>) -> Option<()> {
        let payload = b.get(self.rtp.payload.clone())?;
        put!(l, "RTP {}", self.format.encoding);
        let len = self.len.unwrap_or(payload.len());
        let r = &self.rtp;
        // Where bytes are missing, what was written until then stays.
        let _ = match &self.format.kind {
            Kind::Audio(a) => self.put_audio(a, l),
            Kind::Video => video::put_video(payload, len, l),
            Kind::Ancillary => video::put_ancillary(payload, l),
            Kind::Hbrmt => hbrmt::put_hbrmt(payload, self.len, l),
            Kind::Other => {
                put!(l, "  {len} B");
                None
            }
        };
        put!(l, "  ssrc {:08x}  seq ", r.ssrc);
        match video::extended(payload, r.sequence).filter(|_| self.format.kind.is_extended()) {
            Some(number) => put!(l, "0x{number:08x}"),
            None => put!(l, "{}", r.sequence),
        }
        put!(l, "  ts {}", r.timestamp);
        if r.marker {
            put!(l, "  M");
        }
        Some(())
    }

    fn put_audio(&self, a: &Audio, l: &mut Line<'_>) -> Option<()> {
        put!(l, ", {} channel{}", a.channels, if a.channels == 1 { "" } else { "s" });
        let len = self.len?;
        match a.samples(len) {
            Some(n) => {
                put!(l, ", {n} samples ({} ms)", Millis(n as f64 * 1000.0 / f64::from(a.rate_hz)));
            }
            None => put!(l, ", but {len} B are no whole samples"),
        }
        Some(())
    }

    fn tree<'b>(&self, t: &mut Tree<'b>) -> Option<()> {
        match &self.format.kind {
            Kind::Audio(a) => self.audio(a, t),
            Kind::Video => video::video(t, self.rtp.sequence, self.len),
            Kind::Ancillary => video::ancillary(t, self.rtp.sequence, self.len),
            Kind::Hbrmt => hbrmt::tree(t, self.len),
            Kind::Other => Some(()),
        }
    }

    fn audio(&self, a: &Audio, t: &mut Tree<'_>) -> Option<()> {
        let all = 0..t.b().len();
        t.add(all.clone(), "channels", a.channels);
        t.add(all.clone(), "bits per sample", a.bits);
        let len = self.len?;
        let Some(n) = a.samples(len) else {
            let one = a.frame_bits().div_ceil(8);
            t.add(all, "samples", format_args!("{len} B are no whole number of {one} B: not as announced"));
            return None;
        };
        t.add(all.clone(), "samples", n);
        t.add(all, "time", format_args!("{} ms", Millis(n as f64 * 1000.0 / f64::from(a.rate_hz))));
        // The first sample of each channel: whether there is anything but silence, and where it stands.
        let bytes = usize::from(a.bits / 8);
        if a.bits.is_multiple_of(8) && n > 0 {
            for c in 0..usize::from(a.channels) {
                if t.full() {
                    break;
                }
                let at = c * bytes..(c + 1) * bytes;
                let value = t.b().get(at.clone())?;
                t.add(at, format_args!("first sample, channel {}", c + 1), linear(value));
            }
        }
        Some(())
    }
}

/// A signed number, big endian (RFC 3551 section 4.5.11); L8 is offset by 128 (section 4.5.10).
fn linear(b: &[u8]) -> i64 {
    let unsigned = b.iter().fold(0i64, |v, c| v << 8 | i64::from(*c));
    match b.len() {
        1 => unsigned - 128,
        n if unsigned >> (8 * n - 1) != 0 => unsigned - (1 << (8 * n)),
        _ => unsigned,
    }
}

/// One line that says what the datagram is, appended to the string: as its protocol has it, unless an
/// announcement says more.
pub fn preview(p: &Protocol, b: &[u8], told: &Told<'_>, out: &mut String) {
    match Explained::of(p, b, told) {
        Some(e) => line(out, |l| e.put(b, l)),
        None => (p.preview)(b, out),
    }
}

/// The field tree: that of its protocol, with the media in it where an announcement says what it is.
pub fn fields(p: &Protocol, b: &[u8], told: &Told<'_>) -> Vec<Field> {
    match Explained::of(p, b, told) {
        Some(e) => Tree::of(b, |t| rtp::tree(t, &e.rtp, Some(&e.format.encoding), |t| e.tree(t))),
        None => (p.fields)(b),
    }
}

/// The upper half of an RTP packet's sequence number, where an announcement says that its payload begins
/// with it.
pub fn upper_half(b: &[u8], formats: &[Format]) -> Option<u16> {
    let payload_type = u8_at(b, 1)? & 0x7f;
    formats.iter().find(|f| f.payload_type == payload_type && f.kind.is_extended())?;
    be16(b, rtp::payload_at(b)?)
}

/// The sequence number of such a packet in its whole width (RFC 4175 section 4.2, RFC 8331 section 2.1).
pub fn sequence(b: &[u8], f: &mut dyn FnMut(SeqSample)) {
    if let (Some(at), Some(low), Some(ssrc)) = (rtp::payload_at(b), be16(b, 2), be32(b, 8))
        && let Some(high) = be16(b, at)
    {
        f(SeqSample::one(u64::from(ssrc), u64::from(high) << 16 | u64::from(low), 32));
    }
}

#[cfg(test)]
mod tests;
