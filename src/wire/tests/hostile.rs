//! No bytes do harm: every function of every row on arbitrary, cut, damaged and swollen payloads, sent to
//! every address and port that a detection could listen for.
//!
//! Work is bounded in what it makes (fields, numbers, bytes of text), which is counted; time is not looked
//! at. Whatever is made must be harmless once the screen has made it visible.

use std::sync::OnceLock;

use super::*;
use crate::base::registry::Registry;
use crate::base::text::visible;
use crate::wire::essence::{self, Format, Told};
use crate::wire::read::{FIELDS_MAX, PREVIEW_MAX, VALUE_MAX};
use crate::wire::sdp::Media;
use crate::wire::{Field, PROTOCOLS, preview_unknown};

/// Ports that are no group's in the registry, but that some detection looks at, and one that none does.
const PORTS: [u16; 8] = [9999, 514, 520, 521, 1985, 1234, 6696, 8125];
/// The runs of random payloads that are the same each time.
const SEEDS: std::ops::Range<u64> = 0..6;
/// Payloads of one run.
const RUN: usize = 100;

/// Text that would do harm on a terminal: escape sequences, C1 controls, overrides of the direction,
/// invisible characters, a heap of marks, and bytes that are no UTF-8.
const POISON: [&[u8]; 8] = [
    b"\x1b]0;owned\x07\x1b[2J",
    b"\x9b31m\xc2\x9b31m",
    "\u{202e}\u{2066}\u{200f}".as_bytes(),
    "\u{200b}\u{feff}\u{e0041}".as_bytes(),
    "a\u{300}\u{301}\u{302}\u{303}\u{304}".as_bytes(),
    b"\r\n\x08\x7f\x00",
    b"\xff\xfe\xc0\x80\xed\xa0\x80",
    "\u{2028}\u{fff9}\u{ad}".as_bytes(),
];

/// Random numbers from a seed (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }

    fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.next() as u8).collect()
    }
}

/// The payload of every sample, read once.
fn samples() -> &'static [Vec<u8>] {
    static ALL: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    ALL.get_or_init(|| {
        let dir = format!("{}/tests/fuzz/corpus/payload", env!("CARGO_MANIFEST_DIR"));
        let mut paths: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
        paths.sort();
        paths.iter().map(|p| std::fs::read(p).unwrap()).collect()
    })
}

/// Every group of the registry with each of its ports, and the ports that it does not have.
fn everywhere() -> &'static [Endpoint] {
    static ALL: OnceLock<Vec<Endpoint>> = OnceLock::new();
    ALL.get_or_init(|| {
        let group: IpAddr = [239, 1, 1, 1].into();
        let mut all: Vec<Endpoint> = PORTS.iter().map(|&port| Endpoint::new(group, port)).collect();
        for row in Registry::builtin().rows() {
            all.extend(row.each_port().take(64).map(|port| Endpoint::new(row.address, port)));
        }
        all.sort_unstable();
        all.dedup();
        all
    })
}

/// Whether a terminal could be harmed or misled by the character; said a second time here, apart from
/// the text layer's own list.
fn harms(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

fn check_text(p: &str, text: &str, most: usize) {
    assert!(text.len() <= most, "{p}: {} bytes of text: {text:?}", text.len());
    let shown = visible(text, most);
    assert!(!shown.contains(harms), "{p}: {shown:?}");
}

fn check_fields(p: &Protocol, fields: &[Field], b: &[u8]) {
    // A protocol within another adds its own tree.
    assert!(fields.len() <= 2 * FIELDS_MAX + 20, "{}: {} fields", p.id, fields.len());
    for f in fields {
        assert!(f.range.start <= f.range.end && f.range.end <= b.len(), "{}: {f:?}", p.id);
        check_text(p.id, &f.name, VALUE_MAX);
        check_text(p.id, &f.value, VALUE_MAX);
    }
}

/// Asks every detection, for a datagram to an endpoint and for one from its port.
fn detect_at(b: &[u8], len: usize, to: Endpoint) {
    let mut h = hint("239.1.1.1", 9999, len);
    h.from.port = to.port;
    for h in [h, Hint { to, from: Endpoint::new([10, 0, 0, 1].into(), 40_000), len }] {
        for p in PROTOCOLS {
            let _ = (p.detect)(b, &h);
        }
    }
}

/// Puts one payload through what every protocol makes of it, and checks the bounds.
fn decode_all(b: &[u8]) {
    for p in PROTOCOLS {
        check_text(p.id, &preview(p, b), PREVIEW_MAX);
        check_fields(p, &(p.fields)(b), b);
        let samples = numbers(p, b);
        assert!(samples.len() <= b.len(), "{}: {} numbers", p.id, samples.len());
        for s in samples {
            assert!((1..=64).contains(&s.bits), "{}: {s:?}", p.id);
            assert!(s.bits == 64 || s.value >> s.bits == 0, "{}: {s:?}", p.id);
        }
        if let Some(clock) = crate::wire::media::clock(p) {
            let _ = clock(b);
        }
    }
    // The payload types of the samples, and those that a changed byte makes of them.
    let rtp = by_id("rtp").expect("RTP is known");
    for encoding in
        ["L16/48000/2", "L24/48000/8", "L20/1/65535", "raw/90000", "smpte291/90000", "SMPTE2022-6/1"]
    {
        let payload_type = b.get(1).map_or(0, |b| b & 0x7f);
        let kind = "video".to_owned();
        let media = Media {
            kind,
            proto: "RTP/AVP".into(),
            rtpmap: vec![(payload_type, encoding.into())],
            ..Media::default()
        };
        let formats = Format::of(&media);
        // Every second one was cut.
        let len = b.len() + 1000 * (b.len() % 2);
        let (told, mut line) = (Told { formats: &formats, len }, String::new());
        essence::preview(rtp, b, &told, &mut line);
        check_text(encoding, &line, PREVIEW_MAX);
        check_fields(rtp, &essence::fields(rtp, b, &told), b);
    }
    let mut line = String::new();
    preview_unknown(b, &mut line);
    assert!(!line.is_empty());
    check_text("unknown", &line, PREVIEW_MAX);
}

/// Puts one payload through everything; detection at a few places, others each time.
fn try_all(b: &[u8], len: usize) {
    static TURN: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let all = everywhere();
    let turn = TURN.fetch_add(8, std::sync::atomic::Ordering::Relaxed);
    for to in all.iter().cycle().skip(turn % all.len()).take(8) {
        detect_at(b, len, *to);
    }
    decode_all(b);
}

#[test]
fn every_port_that_matters_is_among_those_tried() {
    let ports: Vec<u16> = everywhere().iter().map(|e| e.port).collect();
    for port in [123, 319, 320, 514, 520, 521, 1900, 1985, 3671, 3702, 5353, 5568, 6696, 9875, 14_550, 54_327]
    {
        assert!(ports.contains(&port), "{port}");
    }
    assert!(ports.len() > 150, "the registry has more ports than these {}", ports.len());
}

#[test]
fn a_sample_sent_anywhere_does_no_harm() {
    for b in samples() {
        for to in everywhere() {
            detect_at(b, b.len(), *to);
        }
    }
}

#[test]
fn a_sample_cut_anywhere_does_no_harm() {
    for b in samples() {
        for n in 0..b.len().min(160) {
            // Cut by the sender, or by the capture.
            try_all(&b[..n], if n % 2 == 0 { n } else { b.len() });
        }
    }
}

#[test]
fn a_sample_with_its_lengths_and_counts_at_their_limits_does_no_harm() {
    for b in samples() {
        let p = recognise(b, &hint("239.1.1.1", 9999, b.len())).map(|(p, _)| p);
        for at in 0..b.len().min(64) {
            for limit in [0x00, 0x7f, 0x80, 0xff] {
                for width in [1, 2, 4] {
                    let mut b = b.clone();
                    let end = b.len().min(at + width);
                    b[at..end].fill(limit);
                    // What reads it is its own protocol first of all.
                    if let Some(p) = p {
                        check_text(p.id, &preview(p, &b), PREVIEW_MAX);
                        check_fields(p, &(p.fields)(&b), &b);
                        assert!(numbers(p, &b).len() <= b.len());
                    }
                    if (at + width).is_multiple_of(16) {
                        try_all(&b, b.len());
                    }
                }
            }
        }
    }
}

#[test]
fn the_largest_payloads_do_no_harm() {
    for fill in [0, b'<', b'{', b'[', 0x47, 0x80, 0xff, 0xc0, 0x81, b'"', b'\n', b'a', b'\\', 0x1b] {
        try_all(&vec![fill; 65_507], 65_507);
    }
    for head in samples() {
        let big: Vec<u8> = head.iter().copied().cycle().take(8_000).collect();
        try_all(&big, big.len());
        for fill in [0x00, 0xff] {
            let mut big = head.clone();
            big.resize(4000.max(head.len()), fill);
            try_all(&big, big.len());
        }
    }
}

#[test]
fn hostile_text_in_any_place_is_made_visible() {
    for b in samples() {
        for (i, poison) in POISON.iter().enumerate() {
            // In place, so that lengths stay right; and put in between, so that they do not.
            for at in (i..b.len().min(300)).step_by(37) {
                let mut over = b.clone();
                let end = over.len().min(at + poison.len());
                over[at..end].copy_from_slice(&poison[..end - at]);
                try_all(&over, over.len());
            }
            let mut between = b.clone();
            let at = b.len() * i / POISON.len();
            between.splice(at..at, poison.iter().copied());
            try_all(&between, between.len());
        }
    }
}

/// A payload of a kind that does harm in practice.
fn payload(r: &mut Random) -> Vec<u8> {
    let n = r.below(samples().len());
    let mut b = samples()[n].clone();
    match r.below(6) {
        0 => {
            let n = r.below(600);
            return r.bytes(n);
        }
        // Bits flipped, all over or in the head.
        1 => {
            for _ in 0..=r.below(12) {
                let reach = if r.below(2) == 0 { b.len() } else { b.len().min(48) };
                let at = r.below(reach);
                b[at] ^= 1 << r.below(8);
            }
        }
        // Cut, with a tail of noise.
        2 => {
            b.truncate(r.below(b.len()) + 1);
            let n = r.below(60);
            b.extend(r.bytes(n));
        }
        // Bytes put in, taken out, or written over.
        3 => {
            for _ in 0..=r.below(4) {
                let at = r.below(b.len());
                match r.below(3) {
                    0 => b.insert(at, r.next() as u8),
                    1 if b.len() > 1 => drop(b.remove(at)),
                    _ => b[at] = [0, 0xff, 0x7f, 0x80, 1][r.below(5)],
                }
            }
        }
        // The head of one and the tail of another.
        4 => {
            let other = &samples()[r.below(samples().len())];
            b.truncate(r.below(b.len()) + 1);
            b.extend(&other[r.below(other.len())..]);
        }
        // Poisoned text.
        _ => {
            for _ in 0..=r.below(5) {
                let (at, poison) = (r.below(b.len()), POISON[r.below(POISON.len())]);
                b.splice(at..at, poison.iter().copied());
            }
        }
    }
    b
}

/// Says the seed if what runs while it lives fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "failed with seed {:#x}: put it into `a_random_run_…` in place of the random one",
                self.0
            );
        }
    }
}

fn run(seed: u64) {
    let _said = Seed(seed);
    let mut r = Random(seed);
    for _ in 0..RUN {
        let b = payload(&mut r);
        let cut = if r.below(4) == 0 { r.below(100) } else { 0 };
        try_all(&b, b.len() + cut);
    }
}

#[test]
fn the_same_random_runs_each_time_do_no_harm() {
    SEEDS.for_each(run);
}

#[test]
fn a_random_run_each_time_another_does_no_harm() {
    use std::hash::{BuildHasher, Hasher};
    run(std::hash::RandomState::new().build_hasher().finish());
}
