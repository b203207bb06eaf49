//! Protocols told by a mark at their head and shown by a line: discovery of devices and games. One
//! row each; what deserves more has a file of its own.

use crate::wire::read::{Text, Tree, be16, be32, bytes, le16, le32, line, put, u8_at, until_nul};
use crate::wire::xml;
use crate::wire::{Confidence, Hint, Protocol};

/// Properties read of one Roon message.
const PROPERTIES_MAX: usize = 32;

/// The row of Roon's discovery (SOOD).
pub static SOOD: Protocol = Protocol {
    id: "sood",
    name: "Roon discovery",
    mark: "“SOOD” at offset 0",
    detect: |b, _| (b.starts_with(b"SOOD") && b.len() >= 6).then_some(Confidence::Certain),
    preview: preview_sood,
    fields: |b| Tree::of(b, fields_sood),
    sequence: None,
};

/// The row of SMA Speedwire: energy meters and inverters.
pub static SMA: Protocol = Protocol {
    id: "sma",
    name: "SMA Speedwire",
    mark: "“SMA” and a NUL at offset 0",
    detect: |b, _| (b.starts_with(b"SMA\0") && b.len() >= 16).then_some(Confidence::Certain),
    preview: preview_sma,
    fields: |b| Tree::of(b, fields_sma),
    sequence: None,
};

/// The row of Minecraft's announcement of a game on the LAN.
pub static MINECRAFT: Protocol = Protocol {
    id: "minecraft",
    name: "Minecraft LAN",
    mark: "“[MOTD]” at offset 0",
    detect: |b, _| b.starts_with(b"[MOTD]").then_some(Confidence::Certain),
    preview: preview_minecraft,
    fields: |b| Tree::of(b, fields_minecraft),
    sequence: None,
};

/// The row of X-Plane's beacon.
pub static XPLANE: Protocol = Protocol {
    id: "xplane",
    name: "X-Plane beacon",
    mark: "“BECN” and a NUL at offset 0",
    detect: |b, _| (b.starts_with(b"BECN\0") && b.len() >= 21).then_some(Confidence::Certain),
    preview: preview_xplane,
    fields: |b| Tree::of(b, fields_xplane),
    sequence: None,
};

/// The row of SADP: cameras that answer a `<Probe>` without SOAP around it.
pub static SADP: Protocol = Protocol {
    id: "sadp",
    name: "SADP",
    mark: "an XML <Probe> without SOAP around it, on port 37020",
    detect: detect_sadp,
    preview: preview_sadp,
    fields: |b| (xml::PROTOCOL.fields)(b),
    sequence: None,
};

/// Type, then properties: name length u8, name, value length u16, value.
fn sood(b: &[u8]) -> impl Iterator<Item = (usize, &[u8], &[u8])> {
    let mut at = 6;
    std::iter::from_fn(move || {
        let start = at;
        let name = bytes(b, at + 1, usize::from(u8_at(b, at)?))?;
        at += 1 + name.len();
        // ffff stands for no value at all.
        let length = match be16(b, at)? {
            0xffff => 0,
            n => usize::from(n),
        };
        let value = bytes(b, at + 2, length)?;
        at += 2 + length;
        Some((start, name, value))
    })
    .take(PROPERTIES_MAX)
}

fn sood_kind(b: &[u8]) -> &'static str {
    match b.get(5) {
        Some(b'Q') => "query",
        Some(b'R') => "response",
        _ => "message",
    }
}

fn preview_sood(b: &[u8], out: &mut String) {
    line(out, |l| {
        put!(l, "Roon {}", sood_kind(b));
        for (_, name, value) in sood(b).filter(|(_, name, _)| !name.starts_with(b"_")).take(3) {
            put!(l, "  {} {}", Text(name), Text(value));
        }
        Some(())
    });
}

fn fields_sood(t: &mut Tree<'_>) -> Option<()> {
    let b = t.b();
    t.text(0..4, "magic")?;
    t.u8(4, "version")?;
    t.add(5..6, "type", sood_kind(b));
    for (at, name, value) in sood(b) {
        t.add(at..at + 3 + name.len() + value.len(), Text(name), Text(value));
    }
    Some(())
}

fn sma_kind(b: &[u8]) -> Option<&'static str> {
    Some(match be16(b, 16)? {
        0x6069 => "meter",
        0x6065 => "device",
        _ if be32(b, 8)? == 0xffff_ffff => "discovery",
        _ => "data",
    })
}

fn preview_sma(b: &[u8], out: &mut String) {
    line(out, |l| {
        put!(l, "SMA Speedwire");
        let kind = sma_kind(b)?;
        put!(l, " {kind}");
        if kind == "meter" {
            put!(l, "  serial {}", be32(b, 20)?);
        }
        Some(())
    });
}

fn fields_sma(t: &mut Tree<'_>) -> Option<()> {
    let b = t.b();
    t.text(0..4, "magic")?;
    t.hex(8..12, "group")?;
    t.be16(12, "data length")?;
    t.add(16..18, "protocol", format_args!("0x{:04x} {}", be16(b, 16)?, sma_kind(b)?));
    if sma_kind(b)? == "meter" {
        t.be16(18, "SUSy id")?;
        t.be32(20, "serial number")?;
        t.add(24..28, "ticker", format_args!("{} ms", be32(b, 24)?));
        return t.rest(28, "readings");
    }
    t.rest(18, "data")
}

/// The text between `[TAG]` and `[/TAG]`, with its place.
fn tagged<'a>(b: &'a [u8], tag: &str) -> Option<(usize, &'a [u8])> {
    let find = |b: &[u8], what: &str| b.windows(what.len()).position(|w| w == what.as_bytes());
    let (open, close) = (format!("[{tag}]"), format!("[/{tag}]"));
    let start = find(b, &open)? + open.len();
    let length = find(&b[start..], &close)?;
    Some((start, &b[start..start + length]))
}

fn preview_minecraft(b: &[u8], out: &mut String) {
    line(out, |l| {
        put!(l, "Minecraft \"{}\"", Text(tagged(b, "MOTD")?.1));
        put!(l, "  port {}", Text(tagged(b, "AD")?.1));
        Some(())
    });
}

fn fields_minecraft(t: &mut Tree<'_>) -> Option<()> {
    for (tag, name) in [("MOTD", "name"), ("AD", "port")] {
        let (at, text) = tagged(t.b(), tag)?;
        t.add(at..at + text.len(), name, Text(text));
    }
    Some(())
}

fn role(b: &[u8]) -> Option<&'static str> {
    Some(match le32(b, 15)? {
        1 => "master",
        2 => "external visual",
        3 => "instructor station",
        _ => "unknown role",
    })
}

fn preview_xplane(b: &[u8], out: &mut String) {
    line(out, |l| {
        put!(l, "X-Plane \"{}\"", Text(until_nul(b.get(21..)?)));
        put!(l, "  {}  version {}  port {}", role(b)?, le32(b, 11)?, le16(b, 19)?);
        Some(())
    });
}

fn fields_xplane(t: &mut Tree<'_>) -> Option<()> {
    let b = t.b();
    t.text(0..5, "magic")?;
    t.add(5..7, "beacon version", format_args!("{}.{}", u8_at(b, 5)?, u8_at(b, 6)?));
    t.add(7..11, "application", le32(b, 7)?);
    t.add(11..15, "version", le32(b, 11)?);
    t.add(15..19, "role", role(b)?);
    t.add(19..21, "port", le16(b, 19)?);
    t.text(21..b.len(), "computer").map(drop)
}

fn detect_sadp(b: &[u8], hint: &Hint) -> Option<Confidence> {
    let root = xml::root(b)?;
    let known = root == b"Probe" || root == b"ProbeMatch" || root == b"Hello";
    (known && hint.either_port(&[37020])).then_some(Confidence::Certain)
}

fn preview_sadp(b: &[u8], out: &mut String) {
    line(out, |l| {
        put!(l, "SADP {}", Text(xml::root(b)?));
        for wanted in ["Types", "DeviceDescription", "DeviceSN", "IPv4Address"] {
            if let Some(text) = xml::text_of(b, wanted) {
                put!(l, "  {}", Text(text));
            }
        }
        Some(())
    });
}
