//! What the screen writes again and again: times of day, marking, sizes, gaps, previews. Numbers
//! themselves are written by [`crate::base::units`].

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::base::time::Wall;
use crate::base::units;
use crate::base::{dscp, text};
use crate::model::group::Group;
use crate::model::packets::Packet;
use crate::model::source::{Counters, Marking, Source};
use crate::wire::essence::{self, Told};
use crate::wire::{self, Protocol};

/// Local time of day, `15:04:05`.
pub fn clock(at: Wall, utc_offset_s: i32) -> String {
    let c = at.civil(utc_offset_s);
    format!("{:02}:{:02}:{:02}", c.hour, c.minute, c.second)
}

/// Local time of day with microseconds, `15:04:05.123 456`.
pub fn clock_us(at: Wall, utc_offset_s: i32) -> String {
    let c = at.civil(utc_offset_s);
    let us = c.ns / 1000;
    format!("{:02}:{:02}:{:02}.{:03} {:03}", c.hour, c.minute, c.second, us / 1000, us % 1000)
}

/// `text` in at most `width` cells, the last an ellipsis if it was cut.
pub fn clip(text: &str, width: usize) -> Cow<'_, str> {
    if text.width() <= width {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let w = c.width().unwrap_or(0);
        if used + w + 1 > width {
            break;
        }
        used += w;
        out.push(c);
    }
    if width > 0 {
        out.push('…');
    }
    Cow::Owned(out)
}

/// `text` in at most `width` cells, cut in the middle: both ends of an address tell it apart.
pub fn clip_middle(text: &str, width: usize) -> Cow<'_, str> {
    if text.width() <= width || width < 5 {
        return clip(text, width);
    }
    let chars: Vec<char> = text.chars().collect();
    let head = (width - 1) / 2;
    let tail = width - 1 - head;
    let cut: String = chars[..head].iter().chain(&['…']).chain(&chars[chars.len() - tail..]).collect();
    Cow::Owned(cut)
}

/// A counter in at most six cells: exact to 9999, then `12.3 k`.
pub fn tally(n: u64) -> String {
    if n < 10_000 { n.to_string() } else { units::si(n as f64) }
}

/// TTL or hop limit of a source, with `!` when it changed.
pub fn ttl(m: &Marking) -> String {
    match m.last {
        Some(v) if m.changes > 0 => format!("{v}!"),
        Some(v) => v.to_string(),
        None => units::ABSENT.to_string(),
    }
}

/// DSCP of a source, with `!` when it changed.
pub fn marking(m: &Marking) -> String {
    match m.last {
        Some(v) if m.changes > 0 => format!("{}!", dscp::label(v)),
        Some(v) => dscp::label(v),
        None => units::ABSENT.to_string(),
    }
}

/// Sizes in bytes: one number when all are alike, else `min/avg/max`.
pub fn sizes(c: &Counters) -> String {
    match c.size_mean() {
        None => units::ABSENT.to_string(),
        Some(_) if c.size_min == c.size_max => c.size_max.to_string(),
        Some(mean) => format!("{}/{:.0}/{}", c.size_min, mean, c.size_max),
    }
}

/// Median and 99th percentile gap in one unit where they share it, `1.00/1.02 ms`; the shortest and
/// the longest where no percentiles are kept.
pub fn gaps(s: &Source) -> String {
    let pair = match &s.detail {
        Some(d) => d.gaps.quantile(0.5).zip(d.gaps.quantile(0.99)),
        None => (s.gaps.count > 0).then_some((s.gaps.min_ns, s.gaps.max_ns)),
    };
    let Some((a, b)) = pair else { return units::ABSENT.to_string() };
    let (low, high) = (units::duration_short(a), units::duration_short(b));
    match (low.split_once(' '), high.split_once(' ')) {
        (Some((n, u)), Some((m, v))) if u == v => format!("{n}/{m} {v}"),
        _ => format!("{low}/{high}"),
    }
}

/// One line that says what a packet of this group is, made visible.
pub fn preview(g: Option<&Group>, p: &Packet, payload: &[u8], max: usize) -> String {
    let d = &p.datagram;
    let told = g.map(|g| g.told(d.source.ip, d.len)).unwrap_or_default();
    of_payload(p.protocol, payload, &told, max)
}

/// The same for a payload, the protocol it is known to be of, and what is announced of it.
pub fn of_payload(
    protocol: Option<&'static Protocol>,
    payload: &[u8],
    told: &Told<'_>,
    max: usize,
) -> String {
    let mut line = String::new();
    let Some(protocol) = protocol else {
        wire::preview_unknown(payload, &mut line);
        return text::visible(&line, max);
    };
    essence::preview(protocol, payload, told, &mut line);
    let named = line.to_ascii_lowercase().contains(&protocol.name.to_ascii_lowercase());
    let whole = if named { line } else { format!("{} {line}", protocol.name) };
    text::visible(&whole, max)
}

/// The same for the last payload of a sender to this group; `None` where it is not kept.
pub fn last_payload(g: &Group, s: &Source, max: usize) -> Option<String> {
    let d = s.detail.as_ref()?;
    Some(of_payload(s.protocol(), d.last_payload(), &g.told(s.endpoint.ip, d.last_size()), max))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_by_cells_not_by_characters() {
        assert_eq!(clip("日本語", 5), "日本…");
        assert_eq!(clip("日本語", 6), "日本語");
        assert_eq!(clip("abc", 0), "");
        assert_eq!(clip_middle("ff05:1234:5678::9abc", 11), "ff05:…:9abc");
    }

    #[test]
    fn times_are_local_with_microseconds() {
        assert_eq!(clock_us(Wall(1_700_000_000_123_456_789), 3600), "23:13:20.123 456");
    }

    #[test]
    fn payloads_of_strangers_are_never_shown_raw() {
        let line = of_payload(None, b"hi \x1b[31mthere, all of this is text", &Told::default(), 99);
        assert!(line.contains("there") && !line.contains('\x1b'), "{line:?}");
        assert!(of_payload(None, &[0, 1, 2, 255], &Told::default(), 99).starts_with("00 01 02 ff"));
        assert_eq!(of_payload(None, &[], &Told::default(), 99), "empty");
    }
}
