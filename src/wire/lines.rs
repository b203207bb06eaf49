//! Protocols of text lines: syslog (RFC 5424, RFC 3164), StatsD, NMEA 0183 and its multicast form
//! IEC 61162-450.

use crate::wire::read::{Text, Tree, bytes, line, put, until_nul};
use crate::wire::{Confidence, Hint, Protocol};

/// Lines looked at.
const LINES_MAX: usize = 200;

/// The row of syslog.
pub static SYSLOG: Protocol = Protocol {
    id: "syslog",
    name: "syslog",
    mark: "a priority in angle brackets at offset 0",
    detect: detect_syslog,
    preview: preview_syslog,
    fields: |b| Tree::of(b, fields_syslog),
    sequence: None,
};

/// The row of StatsD.
pub static STATSD: Protocol = Protocol {
    id: "statsd",
    name: "StatsD",
    mark: "lines of name:value|type",
    detect: detect_statsd,
    preview: preview_statsd,
    fields: |b| Tree::of(b, fields_statsd),
    sequence: None,
};

/// The row of NMEA 0183, bare or within IEC 61162-450.
pub static NMEA: Protocol = Protocol {
    id: "nmea",
    name: "NMEA 0183",
    mark: "a sentence of NMEA 0183 with its checksum",
    detect: detect_nmea,
    preview: preview_nmea,
    fields: |b| Tree::of(b, fields_nmea),
    sequence: None,
};

/// The lines that are not empty, without white space around them, with their places.
fn text_lines(b: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    b.split(|&c| c == b'\n')
        .map(move |l| {
            let start = at + l.len() - l.trim_ascii_start().len();
            at += l.len() + 1;
            (start, l.trim_ascii())
        })
        .filter(|(_, l)| !l.is_empty())
        .take(LINES_MAX)
}

/// Priority and the length of `<n>`.
fn priority(b: &[u8]) -> Option<(u8, usize)> {
    let end = b.iter().take(5).position(|&c| c == b'>')?;
    let digits = b.get(1..end)?;
    if b[0] != b'<' || !(1..=3).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value: u16 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (value <= 191).then_some((value as u8, end + 1))
}

const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "ntp", "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];
const SEVERITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];
const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// The parts of a message: their names and places.
fn syslog_parts(b: &[u8]) -> Option<Vec<(&'static str, std::ops::Range<usize>)>> {
    let (_, at) = priority(b)?;
    let end = b.strip_suffix(&[0]).unwrap_or(b).trim_ascii_end().len().max(at);
    let rest = &b[at..end];
    let mut parts = Vec::new();
    let mut from = at;
    let mut word = |name, from: &mut usize| {
        let n = b[*from..end].iter().position(|&c| c == b' ').unwrap_or(end - *from);
        parts.push((name, *from..*from + n));
        *from = (*from + n + 1).min(end);
    };
    if rest.starts_with(b"1 ") {
        for name in ["version", "timestamp", "host", "application", "process id", "message id"] {
            word(name, &mut from);
        }
        // Structured data: "-", or elements in brackets whose values may hold brackets in quotes.
        let data = structured(&b[from..end]);
        parts.push(("structured data", from..from + data));
        from = (from + data + 1).min(end);
    } else if MONTHS.iter().any(|m| rest.starts_with(m)) && rest.len() > 16 && rest[15] == b' ' {
        parts.push(("timestamp", from..from + 15));
        from += 16;
        let n = b[from..end].iter().position(|&c| c == b' ').unwrap_or(end - from);
        parts.push(("host", from..from + n));
        from = (from + n + 1).min(end);
    }
    parts.push(("message", from..end));
    Some(parts)
}

fn structured(b: &[u8]) -> usize {
    if b.first() != Some(&b'[') {
        return b.iter().position(|&c| c == b' ').unwrap_or(b.len());
    }
    let (mut quoted, mut escaped) = (false, false);
    for (i, &c) in b.iter().enumerate() {
        match c {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b']' if !quoted && b.get(i + 1) != Some(&b'[') => return i + 1,
            _ => {}
        }
    }
    b.len()
}

fn detect_syslog(b: &[u8], hint: &Hint) -> Option<Confidence> {
    let parts = syslog_parts(b)?;
    let (_, at) = priority(b)?;
    // With its date or version it is certain; a message alone is likely on its port only.
    match parts.len() {
        1 if hint.either_port(&[514]) => Some(Confidence::Likely),
        1 => (b.len() > at + 4 && std::str::from_utf8(b).is_ok()).then_some(Confidence::Guess),
        _ => Some(Confidence::Certain),
    }
}

fn preview_syslog(b: &[u8], out: &mut String) {
    line(out, |l| {
        let (priority, _) = priority(b)?;
        let facility = FACILITIES.get(usize::from(priority / 8))?;
        put!(l, "syslog {facility}.{}", SEVERITIES[usize::from(priority % 8)]);
        for (name, range) in syslog_parts(b)? {
            let text = &b[range];
            match name {
                "host" | "application" if text != b"-" => put!(l, " {}", Text(text)),
                "message" => put!(l, "  {}", Text(text)),
                _ => {}
            }
        }
        Some(())
    });
}

fn fields_syslog(t: &mut Tree<'_>) -> Option<()> {
    let b = t.b();
    let (value, end) = priority(b)?;
    t.add(0..end, "facility", FACILITIES.get(usize::from(value / 8))?);
    t.add(0..end, "severity", SEVERITIES[usize::from(value % 8)]);
    for (name, range) in syslog_parts(b)? {
        t.text(range, name)?;
    }
    Some(())
}

/// `name:value|type` with what may follow: `|@rate`, `|#tags`.
fn metric(l: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let colon = l.iter().position(|&c| c == b':')?;
    let mut parts = l[colon + 1..].split(|&c| c == b'|');
    let (name, value, kind) = (&l[..colon], parts.next()?, parts.next()?);
    let named = !name.is_empty() && name.iter().all(|c| c.is_ascii_graphic() && *c != b'|');
    let valued = !value.is_empty()
        && (kind == b"s" || value.iter().all(|c| c.is_ascii_digit() || b"+-.eE:".contains(c)));
    let typed = matches!(kind, b"c" | b"g" | b"ms" | b"h" | b"s" | b"d");
    let tail = parts.all(|p| matches!(p.first(), Some(b'@' | b'#' | b'c' | b'T' | b'e')));
    (named && valued && typed && tail).then_some((name, value, kind))
}

fn detect_statsd(b: &[u8], hint: &Hint) -> Option<Confidence> {
    let mut n = 0;
    for (_, l) in text_lines(b) {
        // The last line of a datagram that was cut may be half a metric.
        if metric(l).is_none() && !(hint.is_cut(b) && n > 0) {
            return None;
        }
        n += 1;
    }
    match n {
        0 => None,
        _ if hint.either_port(&[8125]) => Some(Confidence::Certain),
        _ => Some(if b.len() >= 8 { Confidence::Likely } else { Confidence::Guess }),
    }
}

fn preview_statsd(b: &[u8], out: &mut String) {
    line(out, |l| {
        let mut metrics = text_lines(b).filter_map(|(_, l)| metric(l));
        let (name, value, kind) = metrics.next()?;
        put!(l, "StatsD {} = {} ({})", Text(name), Text(value), kind_name(kind));
        let more = metrics.count();
        if more > 0 {
            put!(l, "  +{more} more");
        }
        Some(())
    });
}

fn kind_name(kind: &[u8]) -> &'static str {
    match kind {
        b"c" => "counter",
        b"g" => "gauge",
        b"ms" => "ms",
        b"h" => "histogram",
        b"s" => "set",
        _ => "distribution",
    }
}

fn fields_statsd(t: &mut Tree<'_>) -> Option<()> {
    for (at, l) in text_lines(t.b()) {
        let Some((name, value, kind)) = metric(l) else { continue };
        t.add(at..at + l.len(), Text(name), format_args!("{} ({})", Text(value), kind_name(kind)));
    }
    Some(())
}

/// The headers of IEC 61162-450: sentences, and two kinds of files.
const HEADERS_450: [&[u8]; 3] = [b"UdPbC\0", b"RaUdP\0", b"RrUdP\0"];

/// A sentence: its body between `$` or `!` and `*`, and whether the checksum behind it holds.
fn sentence(l: &[u8]) -> Option<(&[u8], Option<bool>)> {
    if !matches!(l.first(), Some(b'$' | b'!')) {
        return None;
    }
    let star = l.iter().position(|&c| c == b'*');
    let body = &l[1..star.unwrap_or(l.len())];
    let comma = body.iter().position(|&c| c == b',')?;
    let talker = (5..=8).contains(&comma)
        && body[..comma].iter().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
    if !talker || !body.iter().all(|c| (0x20..0x7f).contains(c)) {
        return None;
    }
    let sum = body.iter().fold(0, |x, c| x ^ c);
    let told = star.and_then(|i| std::str::from_utf8(bytes(l, i + 1, 2)?).ok());
    Some((body, told.and_then(|t| u8::from_str_radix(t, 16).ok()).map(|t| t == sum)))
}

/// The sentence of a line of IEC 61162-450, behind its tag block `\s:VD0001,n:1*hh\`.
fn after_tag(l: &[u8]) -> &[u8] {
    match l.strip_prefix(b"\\") {
        Some(rest) => rest.iter().position(|&c| c == b'\\').map_or(l, |i| &rest[i + 1..]),
        None => l,
    }
}

fn body_450(b: &[u8]) -> Option<usize> {
    HEADERS_450.iter().find(|h| b.starts_with(h)).map(|h| h.len())
}

fn detect_nmea(b: &[u8], _: &Hint) -> Option<Confidence> {
    if body_450(b).is_some() {
        return Some(Confidence::Certain);
    }
    let (_, first) = text_lines(b).next()?;
    match sentence(after_tag(first))?.1 {
        Some(true) => Some(Confidence::Certain),
        _ => Some(Confidence::Guess),
    }
}

fn preview_nmea(b: &[u8], out: &mut String) {
    line(out, |l| {
        match body_450(b) {
            Some(_) if !b.starts_with(HEADERS_450[0]) => {
                put!(l, "IEC 61162-450 {}  {} B", Text(until_nul(b)), b.len());
                return Some(());
            }
            Some(_) => put!(l, "IEC 61162-450 "),
            None => put!(l, "NMEA "),
        }
        let mut all = text_lines(&b[body_450(b).unwrap_or(0)..]).filter_map(|(_, l)| sentence(after_tag(l)));
        let (body, good) = all.next()?;
        put!(l, "{}", Text(body));
        if good == Some(false) {
            put!(l, "  bad checksum");
        }
        let more = all.count();
        if more > 0 {
            put!(l, "  +{more} more");
        }
        Some(())
    });
}

fn fields_nmea(t: &mut Tree<'_>) -> Option<()> {
    let b = t.b();
    let start = body_450(b).unwrap_or(0);
    if start > 0 {
        t.text(0..start, "header")?;
    }
    for (at, l) in text_lines(&b[start..]) {
        let plain = after_tag(l);
        let at = start + at;
        if plain.len() < l.len() {
            t.text(at..at + l.len() - plain.len(), "tag block")?;
        }
        let Some((body, good)) = sentence(plain) else { continue };
        let at = at + l.len() - plain.len() + 1;
        t.add(at..at + body.len(), "sentence", Text(body));
        match good {
            Some(good) => {
                let word = if good { "good" } else { "bad" };
                t.add(at + body.len() + 1..at + body.len() + 3, "checksum", word);
            }
            None => t.add(at + body.len()..at + body.len(), "checksum", "none"),
        }
    }
    Some(())
}
