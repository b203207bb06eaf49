//! WS-Discovery (OASIS 1.1, and the draft of April 2005 that most devices speak): SOAP in a datagram.

use std::ops::Range;

use crate::wire::read::{Text, Tree, line, put};
use crate::wire::xml::{self, Scanner, Token};
use crate::wire::{Confidence, Field, Hint, Protocol, SeqSample, read::stream_id};

/// The namespaces of the two versions.
const NAMESPACES: [&[u8]; 2] = [
    b"http://docs.oasis-open.org/ws-dd/ns/discovery/2009/01",
    b"http://schemas.xmlsoap.org/ws/2005/04/discovery",
];
/// Bytes in which the namespace is looked for: it stands in the first tags or in the action.
const LOOK_MAX: usize = 4096;

/// The row of the table of protocols.
pub static PROTOCOL: Protocol = Protocol {
    id: "wsd",
    name: "WS-Discovery",
    mark: "XML in the namespace of WS-Discovery",
    detect,
    preview,
    fields,
    sequence: Some(sequence),
};

fn contains(b: &[u8], needle: &[u8]) -> bool {
    b.windows(needle.len()).any(|w| w == needle)
}

fn detect(b: &[u8], hint: &Hint) -> Option<Confidence> {
    if xml::local(xml::root(b)?) != b"Envelope" {
        return None;
    }
    let head = &b[..b.len().min(LOOK_MAX)];
    if NAMESPACES.iter().any(|n| contains(head, n)) {
        return Some(Confidence::Certain);
    }
    hint.either_port(&[3702]).then_some(Confidence::Likely)
}

/// The texts of the elements wanted, by local name, the first of each.
fn texts<'a, const N: usize>(b: &'a [u8], wanted: [&str; N]) -> [Option<(&'a [u8], Range<usize>)>; N] {
    let mut found = [const { None }; N];
    let mut open: Option<usize> = None;
    for (range, token) in Scanner::new(b) {
        match token {
            Token::Open { name, .. } => {
                open = wanted.iter().position(|w| w.as_bytes() == xml::local(name));
            }
            Token::Close(_) => open = None,
            Token::Text(text) => {
                if let Some(slot) = open.and_then(|i| found.get_mut(i)).filter(|s| s.is_none()) {
                    *slot = Some((text, range));
                }
            }
        }
    }
    found
}

fn last_segment(text: &[u8]) -> &[u8] {
    text.rsplit(|&c| c == b'/').next().unwrap_or(text)
}

fn preview(b: &[u8], out: &mut String) {
    line(out, |l| {
        let [action, address, types, xaddrs] = texts(b, ["Action", "Address", "Types", "XAddrs"]);
        let action = last_segment(action.map_or(b"", |a| a.0));
        put!(l, "WSD {}", Text(action));
        // The first address of a probe is where it was sent to; of the others the device that speaks.
        let device = address.map(|a| a.0).filter(|a| a.starts_with(b"urn:") || a.starts_with(b"uuid:"));
        if let Some(device) = device.filter(|d| !d.ends_with(b":discovery") && !d.ends_with(b"/discovery")) {
            put!(l, " {}", Text(device));
        }
        if let Some((types, _)) = types {
            put!(l, "  {}{}", if action == b"Probe" { "" } else { "types " }, Text(types));
        }
        if let Some((xaddrs, _)) = xaddrs {
            put!(l, "  {}", Text(xaddrs));
        }
        Some(())
    });
}

fn fields(b: &[u8]) -> Vec<Field> {
    const NAMES: [&str; 8] =
        ["Action", "MessageID", "RelatesTo", "Address", "Types", "Scopes", "XAddrs", "MetadataVersion"];
    let mut top = Tree::of(b, |t| {
        for (found, name) in texts(b, NAMES).into_iter().zip(NAMES) {
            if let Some((text, range)) = found {
                t.add(range, name, Text(text));
            }
        }
        Some(())
    });
    top.extend((xml::PROTOCOL.fields)(b));
    top
}

/// `AppSequence` (section 7 of both versions): the number counts within the instance and, if given,
/// the sequence.
fn sequence(b: &[u8], f: &mut dyn FnMut(SeqSample)) {
    for (_, token) in Scanner::new(b) {
        let Token::Open { name, attributes, .. } = token else { continue };
        if xml::local(name) != b"AppSequence" {
            continue;
        }
        let (mut instance, mut sub, mut number): (&[u8], &[u8], Option<u32>) = (b"", b"", None);
        for (name, value, _) in xml::attributes(b, attributes) {
            match name {
                b"InstanceId" => instance = value,
                b"SequenceId" => sub = value,
                b"MessageNumber" => number = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok()),
                _ => {}
            }
        }
        if let Some(number) = number {
            f(SeqSample::one(stream_id(&[instance, sub]), u64::from(number), 32));
        }
        return;
    }
}
