//! Tests over all protocols: what real bytes are taken for and shown as, and that no bytes at all do
//! harm.
//!
//! The samples under `tests/fuzz/corpus` are built by the script beside them from the
//! standards; tshark's dissectors took every one for what it is said to be.

use std::net::IpAddr;

use crate::base::group::Endpoint;
use crate::wire::{Confidence, Hint, Protocol, SeqSample, by_id, recognise};

mod hostile;
mod media;
mod packets;
mod samples;
mod streams;

/// A hint as a datagram to `to` would have it.
pub fn hint(to: &str, port: u16, len: usize) -> Hint {
    let to: IpAddr = to.parse().expect("an address");
    Hint {
        to: Endpoint::new(to, port),
        from: Endpoint::new("10.0.0.1".parse().expect("an address"), 40_000),
        len,
    }
}

/// The bytes of a sample payload.
pub fn sample(name: &str) -> Vec<u8> {
    corpus(&format!("payload/{name}"))
}

/// The bytes of a file of the corpus.
pub fn corpus(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fuzz/corpus/{name}.bin", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}; tests/fuzz/corpus/make.py writes it"))
}

/// The preview of a payload.
pub fn preview(p: &Protocol, b: &[u8]) -> String {
    let mut out = String::new();
    (p.preview)(b, &mut out);
    out
}

/// The fields of a payload, a line each: indented name, value, range.
pub fn tree(p: &Protocol, b: &[u8]) -> String {
    (p.fields)(b)
        .iter()
        .map(|f| {
            let indent = "  ".repeat(usize::from(f.depth));
            format!("{indent}{}: {} [{}..{}]\n", f.name, f.value, f.range.start, f.range.end)
        })
        .collect()
}

/// The sequence numbers of a payload.
pub fn numbers(p: &Protocol, b: &[u8]) -> Vec<SeqSample> {
    let mut all = Vec::new();
    if let Some(sequence) = p.sequence {
        sequence(b, &mut |s| all.push(s));
    }
    all
}
