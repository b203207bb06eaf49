//! SSDP (UPnP Device Architecture 1.1, section 1) and BitTorrent's local discovery (BEP 14): both
//! are the header lines of HTTP/1.1 in a datagram.

use std::ops::Range;

use crate::wire::read::{Text, Tree, line, put};
use crate::wire::{Confidence, Field, Hint, Protocol};

/// Header lines read: devices send about ten.
const LINES_MAX: usize = 64;

/// The row of SSDP.
pub static SSDP: Protocol = Protocol {
    id: "ssdp",
    name: "SSDP",
    mark: "a first line of SSDP: NOTIFY, M-SEARCH or HTTP/1.1 200",
    detect: detect_ssdp,
    preview: preview_ssdp,
    fields,
    sequence: None,
};

/// The row of BitTorrent local service discovery.
pub static BT_LSD: Protocol = Protocol {
    id: "bt-lsd",
    name: "BitTorrent discovery",
    mark: "“BT-SEARCH * HTTP/1.” at offset 0",
    detect: detect_lsd,
    preview: preview_lsd,
    fields,
    sequence: None,
};

fn detect_ssdp(b: &[u8], hint: &Hint) -> Option<Confidence> {
    if b.starts_with(b"M-SEARCH * HTTP/1.") || b.starts_with(b"NOTIFY * HTTP/1.") {
        return Some(Confidence::Certain);
    }
    // Any HTTP answer begins like this one; only the port or the headers make it a discovery's.
    if b.starts_with(b"HTTP/1.1 200") || b.starts_with(b"HTTP/1.0 200") {
        let known = hint.either_port(&[1900, 1982, 32410, 32412, 32413, 32414]);
        return match (known, header(b, "usn").or_else(|| header(b, "st"))) {
            (true, _) => Some(Confidence::Certain),
            (false, Some(_)) => Some(Confidence::Likely),
            (false, None) => None,
        };
    }
    None
}

fn detect_lsd(b: &[u8], _: &Hint) -> Option<Confidence> {
    b.starts_with(b"BT-SEARCH * HTTP/1.").then_some(Confidence::Certain)
}

/// A header line: its name and its value, each with its place.
struct Header<'a> {
    name: &'a [u8],
    value: &'a [u8],
    at: usize,
    value_at: usize,
}

/// The lines after the first, up to the empty one. Line ends may lack the carriage return.
fn headers(b: &[u8]) -> impl Iterator<Item = Header<'_>> {
    lines(b).skip(1).take_while(|r| !r.is_empty()).filter_map(|r| {
        let text = &b[r.clone()];
        let colon = text.iter().position(|&c| c == b':')?;
        let name = text[..colon].trim_ascii();
        let rest = &text[colon + 1..];
        let lead = rest.len() - rest.trim_ascii_start().len();
        Some(Header { name, value: rest.trim_ascii(), at: r.start, value_at: r.start + colon + 1 + lead })
    })
}

fn lines(b: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = b.get(at..).filter(|r| !r.is_empty())?;
        let n = rest.iter().position(|&c| c == b'\n');
        let end = at + n.unwrap_or(rest.len());
        let start = at;
        at = n.map_or(b.len(), |n| start + n + 1);
        let bare = end - usize::from(end > start && b[end - 1] == b'\r');
        Some(start..bare)
    })
    .take(LINES_MAX)
}

fn header<'a>(b: &'a [u8], name: &str) -> Option<&'a [u8]> {
    headers(b).find(|h| h.name.eq_ignore_ascii_case(name.as_bytes())).map(|h| h.value)
}

/// A search target or notification type without what all of them have in common.
fn target(value: &[u8]) -> String {
    let text = Text(value).to_string();
    match text.strip_prefix("urn:schemas-upnp-org:") {
        Some(rest) => rest.strip_prefix("device:").unwrap_or(rest).to_string(),
        None => text,
    }
}

fn preview_ssdp(b: &[u8], out: &mut String) {
    line(out, |l| {
        if b.starts_with(b"M-SEARCH") {
            put!(l, "SSDP search  {}", target(header(b, "st").unwrap_or_default()));
            if let Some(mx) = header(b, "mx") {
                put!(l, "  mx {}", Text(mx));
            }
            if let Some(agent) = header(b, "user-agent") {
                put!(l, "  {}", Text(agent));
            }
            return Some(());
        }
        let what = match header(b, "nts") {
            Some(nts) => Text(nts.strip_prefix(b"ssdp:").unwrap_or(nts)).to_string(),
            None if b.starts_with(b"NOTIFY") => "notify".into(),
            None => "answer".into(),
        };
        put!(l, "SSDP {what}");
        if let Some(nt) = header(b, "nt").or_else(|| header(b, "st")) {
            put!(l, "  {}", target(nt));
        }
        if let Some(usn) = header(b, "usn") {
            let id = usn.split(|&c| c == b':').nth(1).filter(|_| usn.starts_with(b"uuid:"));
            if let Some(id) = id {
                put!(l, "  uuid {}", Text(&id[..id.len().min(8)]));
            }
        }
        if let Some(cache) = header(b, "cache-control") {
            let age = cache.split(|&c| c == b'=').nth(1).unwrap_or(cache);
            put!(l, "  max-age {}", Text(age.trim_ascii()));
        }
        if let Some(server) = header(b, "server") {
            put!(l, "  {}", Text(server));
        }
        Some(())
    });
}

fn preview_lsd(b: &[u8], out: &mut String) {
    line(out, |l| {
        put!(l, "BitTorrent search");
        put!(l, "  info hash {}", Text(header(b, "infohash")?));
        put!(l, "  port {}", Text(header(b, "port")?));
        Some(())
    });
}

fn fields(b: &[u8]) -> Vec<Field> {
    Tree::of(b, |t| {
        let first = lines(b).next()?;
        t.text(first, "start line")?;
        for h in headers(b) {
            t.add(h.at..h.value_at + h.value.len(), Text(h.name), Text(h.value));
        }
        Some(())
    })
}
