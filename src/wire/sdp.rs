//! Session descriptions (RFC 8866), as SAP carries them: what is announced, on which groups.

use std::net::IpAddr;
use std::ops::Range;

use crate::wire::read::{Line, Text, Tree, line, put};
use crate::wire::{Confidence, Hint, Protocol};

/// Lines read of one description.
const LINES_MAX: usize = 400;
/// Media of one description that are kept.
const MEDIA_MAX: usize = 32;
/// Formats of one media line that are kept.
const FORMATS_MAX: usize = 32;
/// Sources of one `source-filter` that are kept.
const SOURCES_MAX: usize = 32;
/// Bytes kept of one value.
const TEXT_MAX: usize = 200;

/// Times are in seconds since 1900.
const NTP_TO_UNIX_S: u64 = 2_208_988_800;

/// The row of a bare session description.
pub static PROTOCOL: Protocol = Protocol {
    id: "sdp",
    name: "SDP",
    mark: "“v=0” on the first line",
    detect,
    preview,
    fields: |b| Tree::of(b, tree),
    sequence: None,
};

/// A session description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// `s=`: the session's name.
    pub name: String,
    /// `i=`: what it is about.
    pub info: String,
    /// `o=`: who made it; [`Origin::key`] stays the same when the description changes.
    pub origin: Origin,
    /// `m=` and what belongs to it, in order, at most 32.
    pub media: Vec<Media>,
    /// The end of the last `t=`, in seconds since 1970; `None` for a session without one (section 5.9).
    pub ends_s: Option<u64>,
}

/// The `o=` line (RFC 8866 section 5.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Who made it.
    pub user: String,
    /// The session's id.
    pub id: String,
    /// Rises with every change.
    pub version: String,
    /// The host that made it.
    pub host: String,
}

/// One media line with its attributes; those of the session where it has none of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Media {
    /// `audio`, `video`, `application` …
    pub kind: String,
    /// The UDP port, 0 if the media is not sent.
    pub port: u16,
    /// `RTP/AVP`, `udp` …
    pub proto: String,
    /// The formats: for RTP the payload types.
    pub formats: Vec<String>,
    /// `c=`: where it is sent to.
    pub connection: Option<Connection>,
    /// `a=rtpmap`: payload type and encoding, as in (97, `L24/48000/2`).
    pub rtpmap: Vec<(u8, String)>,
    /// `a=source-filter: incl`: the senders that are let through (RFC 4570).
    pub sources: Vec<IpAddr>,
    /// `a=ptime`: media in one packet, in ms, as written.
    pub ptime: Option<String>,
    /// `a=ts-refclk` (RFC 7273), as written: `ptp=IEEE1588-2008:GMID:DOMAIN`.
    pub clock: Option<String>,
}

/// The `c=` line (RFC 8866 section 5.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The address, a group for what SAP announces.
    pub ip: IpAddr,
    /// The TTL it is sent with; IPv6 has none.
    pub ttl: Option<u8>,
    /// The number of groups in all, counted upwards.
    pub count: u16,
}

impl Origin {
    /// What identifies the session over all its versions.
    pub fn key(&self) -> String {
        format!("{} {} {}", self.user, self.id, self.host)
    }
}

impl Media {
    /// The encoding of an RTP payload type as announced: `L24/48000/2`.
    pub fn encoding(&self, payload_type: u8) -> Option<&str> {
        self.rtpmap.iter().find(|(pt, _)| *pt == payload_type).map(|(_, e)| e.as_str())
    }

    /// One word for what it carries: the first format's encoding, or its format, or its kind.
    pub fn what(&self) -> &str {
        let first = self.formats.first();
        let mapped = first.and_then(|f| f.parse().ok()).and_then(|pt: u8| {
            self.encoding(pt).or_else(|| crate::wire::rtp::static_type(pt).map(|s| s.encoding))
        });
        mapped.or(first.map(String::as_str)).unwrap_or(&self.kind)
    }
}

impl Session {
    /// Reads a description; `None` if it does not begin with `v=0`.
    pub fn parse(b: &[u8]) -> Option<Session> {
        if !starts(b) {
            return None;
        }
        let mut s = Session::default();
        let mut top = Media::default();
        let mut bounded = true;
        for (range, key) in lines(b) {
            let value = &b[range.start + 2..range.end];
            match key {
                b's' => s.name = own(value),
                b'i' if s.media.is_empty() => s.info = own(value),
                b'o' => s.origin = origin(value),
                b'm' if s.media.len() < MEDIA_MAX => s.media.push(media(value)),
                b'm' => break,
                b't' => match number::<u64>(word(value, 1)) {
                    Some(stop @ 1..) => s.ends_s = s.ends_s.max(Some(stop.saturating_sub(NTP_TO_UNIX_S))),
                    _ => bounded = false,
                },
                _ => attribute(key, value, s.media.last_mut().unwrap_or(&mut top)),
            }
        }
        s.ends_s = s.ends_s.filter(|_| bounded);
        for m in &mut s.media {
            m.connection = m.connection.or(top.connection);
            m.ptime = m.ptime.take().or_else(|| top.ptime.clone());
            m.clock = m.clock.take().or_else(|| top.clock.clone());
            if m.sources.is_empty() {
                m.sources.clone_from(&top.sources);
            }
        }
        Some(s)
    }

    /// The groups and ports it announces, each with its media.
    pub fn streams(&self) -> impl Iterator<Item = (IpAddr, u16, &Media)> {
        self.media
            .iter()
            .filter(|m| m.port != 0)
            .filter_map(|m| m.connection.filter(|c| c.ip.is_multicast()).map(|c| (c.ip, m.port, m)))
    }

    /// Writes what the previews have in common: `"Studio A"  239.69.1.1:5004  L24/48000/2  ptime 1`.
    pub(crate) fn put(&self, l: &mut Line<'_>) {
        put!(l, "\"{}\"", self.name);
        if let Some(m) = self.media.first() {
            match m.connection.map(|c| c.ip) {
                Some(IpAddr::V4(ip)) => put!(l, "  {ip}:{}", m.port),
                Some(IpAddr::V6(ip)) => put!(l, "  [{ip}]:{}", m.port),
                None => put!(l, "  port {}", m.port),
            }
            put!(l, "  {}", m.what());
            if let Some(ptime) = &m.ptime {
                put!(l, "  ptime {ptime}");
            }
            if let Some(clock) = &m.clock {
                put!(l, "  {}", short_clock(clock));
            }
        }
        if self.media.len() > 1 {
            put!(l, "  +{} media", self.media.len() - 1);
        }
    }
}

/// `ptp=IEEE1588-2008:39-A7-94-FF-FE-07-CB-D0:0` as `ptp 39-A7-94-FF-FE-07-CB-D0:0`.
fn short_clock(clock: &str) -> String {
    match clock.split_once('=') {
        Some(("ptp", rest)) => format!("ptp {}", rest.split_once(':').map_or(rest, |(_, gm)| gm)),
        Some((kind, rest)) => format!("{kind} {rest}"),
        None => clock.to_string(),
    }
}

/// Whether the bytes begin as every description does.
pub fn starts(b: &[u8]) -> bool {
    b.starts_with(b"v=0\r") || b.starts_with(b"v=0\n")
}

fn own(value: &[u8]) -> String {
    let mut out = String::new();
    put!(Line::new(&mut out, TEXT_MAX), "{}", Text(value));
    out
}

fn word(value: &[u8], n: usize) -> &[u8] {
    words(value).nth(n).unwrap_or_default()
}

fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&c| c == b' ').filter(|w| !w.is_empty())
}

fn number<T: std::str::FromStr>(word: &[u8]) -> Option<T> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// The lines `x=…`: where each stands and its letter.
fn lines(b: &[u8]) -> impl Iterator<Item = (Range<usize>, u8)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = b.get(at..).filter(|r| !r.is_empty())?;
        let n = rest.iter().position(|&c| matches!(c, b'\r' | b'\n')).unwrap_or(rest.len());
        let range = at..at + n;
        at += n + 1;
        Some(range)
    })
    .filter(|r| r.len() >= 2 && b[r.start + 1] == b'=')
    .map(|r| (r.clone(), b[r.start]))
    .take(LINES_MAX)
}

fn origin(value: &[u8]) -> Origin {
    Origin {
        user: own(word(value, 0)),
        id: own(word(value, 1)),
        version: own(word(value, 2)),
        host: own(word(value, 5)),
    }
}

fn media(value: &[u8]) -> Media {
    // "port/number" announces several ports; the first is what the rest counts from.
    let port = word(value, 1).split(|&c| c == b'/').next().unwrap_or_default();
    Media {
        kind: own(word(value, 0)),
        port: number(port).unwrap_or(0),
        proto: own(word(value, 2)),
        formats: words(value).skip(3).take(FORMATS_MAX).map(own).collect(),
        ..Media::default()
    }
}

fn attribute(key: u8, value: &[u8], m: &mut Media) {
    match key {
        b'c' => m.connection = connection(value),
        b'a' => {
            let colon = value.iter().position(|&c| c == b':').unwrap_or(value.len());
            let (name, value) = (&value[..colon], value.get(colon + 1..).unwrap_or_default());
            match name {
                b"rtpmap" if m.rtpmap.len() < FORMATS_MAX => {
                    if let Some(pt) = number(word(value, 0)) {
                        m.rtpmap.push((pt, own(word(value, 1))));
                    }
                }
                b"ptime" => m.ptime = Some(own(value.trim_ascii())),
                b"ts-refclk" => m.clock = Some(own(value.trim_ascii())),
                // "incl IN IP4 GROUP SOURCE…"
                b"source-filter" if word(value, 0) == b"incl" => {
                    m.sources.extend(words(value).skip(4).take(SOURCES_MAX).filter_map(number::<IpAddr>));
                    m.sources.truncate(SOURCES_MAX);
                }
                _ => {}
            }
        }
        _ => {}
    }
}

/// `IN IP4 239.1.1.1/32/3` (TTL, number of groups), `IN IP6 ff15::1/3` (number of groups).
fn connection(value: &[u8]) -> Option<Connection> {
    let mut parts = word(value, 2).split(|&c| c == b'/');
    let ip: IpAddr = number(parts.next()?)?;
    let ttl = if ip.is_ipv4() { parts.next().and_then(number) } else { None };
    let count = parts.next().and_then(number).unwrap_or(1);
    Some(Connection { ip, ttl, count })
}

fn detect(b: &[u8], _: &Hint) -> Option<Confidence> {
    // "v=0" and the "o=" that must follow it (RFC 8866 section 9).
    let second = starts(b) && lines(b).nth(1).is_some_and(|(_, key)| key == b'o');
    second.then_some(Confidence::Certain)
}

fn preview(b: &[u8], out: &mut String) {
    line(out, |l| {
        let s = Session::parse(b)?;
        put!(l, "SDP ");
        s.put(l);
        Some(())
    });
}

/// The fields of a description; SAP has them within its own.
pub(crate) fn tree(t: &mut Tree<'_>) -> Option<()> {
    let b = t.b();
    for (range, key) in lines(b) {
        let value = &b[range.start + 2..range.end];
        let name = match key {
            b'v' => "version",
            b'o' => "origin",
            b's' => "session name",
            b'i' => "information",
            b'u' => "URI",
            b'e' => "email",
            b'p' => "phone",
            b'c' => "connection",
            b'b' => "bandwidth",
            b't' => "time",
            b'r' => "repeat",
            b'k' => "key",
            b'a' => "attribute",
            b'm' => "media",
            _ => "line",
        };
        t.add(range, name, Text(value));
    }
    Some(())
}
