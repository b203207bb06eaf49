//! Every protocol's functions on any payload: no panic, previews bounded, ranges within the payload.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcscope::base::group::Endpoint;
use mcscope::wire::read::PREVIEW_MAX;
use mcscope::wire::{Hint, PROTOCOLS, preview_unknown};

/// Ports that make a detection listen.
const PORTS: [u16; 12] = [9999, 123, 319, 514, 520, 1985, 5353, 5355, 5683, 9875, 14_550, 54_327];

fuzz_target!(|b: &[u8]| {
    let from = Endpoint::new([10, 0, 0, 1].into(), 40_000);
    for port in PORTS {
        let hint = Hint { to: Endpoint::new([239, 1, 1, 1].into(), port), from, len: b.len() };
        for p in PROTOCOLS {
            let _ = (p.detect)(b, &hint);
        }
    }
    let mut line = String::new();
    for p in PROTOCOLS {
        line.clear();
        (p.preview)(b, &mut line);
        assert!(line.len() <= PREVIEW_MAX, "{}: {line}", p.id);
        for f in (p.fields)(b) {
            assert!(f.range.start <= f.range.end && f.range.end <= b.len(), "{}: {f:?}", p.id);
        }
        if let Some(sequence) = p.sequence {
            sequence(b, &mut |s| assert!(s.bits == 64 || s.value >> s.bits == 0, "{}: {s:?}", p.id));
        }
    }
    line.clear();
    preview_unknown(b, &mut line);
    assert!(line.len() <= PREVIEW_MAX);
});
