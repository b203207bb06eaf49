//! No bytes do harm: every function of every row on arbitrary, cut and mutated payloads.

use proptest::prelude::*;

use super::*;
use crate::wire::read::{FIELDS_MAX, PREVIEW_MAX, VALUE_MAX};
use crate::wire::{PROTOCOLS, preview_unknown};

/// Ports that some detection looks at, and one that none does.
const PORTS: [u16; 14] = [9999, 123, 319, 320, 1900, 3671, 3702, 3792, 5004, 5353, 5355, 5683, 8649, 9875];

/// The payload of every sample, read once.
fn samples() -> &'static [Vec<u8>] {
    static ALL: std::sync::OnceLock<Vec<Vec<u8>>> = std::sync::OnceLock::new();
    ALL.get_or_init(|| {
        let dir = format!("{}/tests/fuzz/corpus/payload", env!("CARGO_MANIFEST_DIR"));
        let mut paths: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
        paths.sort();
        paths.iter().map(|p| std::fs::read(p).unwrap()).collect()
    })
}

/// Puts one payload through everything and checks the bounds.
fn try_all(b: &[u8], len: usize) {
    for port in PORTS {
        let h = hint("239.1.1.1", port, len);
        for p in PROTOCOLS {
            let _ = (p.detect)(b, &h);
        }
    }
    for p in PROTOCOLS {
        let line = preview(p, b);
        assert!(line.len() <= PREVIEW_MAX, "{}: {} bytes", p.id, line.len());
        let fields = (p.fields)(b);
        // A protocol within another adds its own tree.
        assert!(fields.len() <= 2 * FIELDS_MAX + 20, "{}: {} fields", p.id, fields.len());
        for f in &fields {
            assert!(f.range.start <= f.range.end && f.range.end <= b.len(), "{}: {f:?}", p.id);
            assert!(f.name.len() <= VALUE_MAX && f.value.len() <= VALUE_MAX, "{}: {f:?}", p.id);
        }
        let samples = numbers(p, b);
        assert!(samples.len() <= b.len(), "{}: {} numbers", p.id, samples.len());
        for s in samples {
            assert!((1..=64).contains(&s.bits), "{}: {s:?}", p.id);
            assert!(s.bits == 64 || s.value >> s.bits == 0, "{}: {s:?}", p.id);
        }
    }
    let mut line = String::new();
    preview_unknown(b, &mut line);
    assert!(line.len() <= PREVIEW_MAX && !line.is_empty());
}

#[test]
fn a_sample_cut_anywhere_does_no_harm() {
    for b in samples() {
        for n in 0..b.len().min(240) {
            // Cut by the sender, or by the capture.
            try_all(&b[..n], if n % 2 == 0 { n } else { b.len() });
        }
    }
}

#[test]
fn the_largest_payloads_do_no_harm() {
    for fill in [0, b'<', b'{', b'[', 0x47, 0x80, 0xff, 0xc0, 0x81, b'"', b'\n', b'a'] {
        try_all(&vec![fill; 65_507], 65_507);
    }
    for head in samples() {
        let big: Vec<u8> = head.iter().copied().cycle().take(16_000).collect();
        try_all(&big, big.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_do_no_harm(b in prop::collection::vec(any::<u8>(), 0..600), more in 0usize..100) {
        try_all(&b, b.len() + more);
    }

    #[test]
    fn a_mutated_sample_does_no_harm(
        which in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        tail in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut b = which.get(samples()).clone();
        for (at, value) in changes {
            let at = at.index(b.len());
            b[at] = value;
        }
        let len = b.len();
        try_all(&b, len);
        b.truncate(cut.index(len) + 1);
        b.extend(tail);
        try_all(&b, b.len());
    }
}
