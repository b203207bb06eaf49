//! Every protocol's functions on any payload: no panic, previews bounded, ranges within the payload.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use mcscope::base::group::Endpoint;
use mcscope::base::registry::Registry;
use mcscope::wire::read::PREVIEW_MAX;
use mcscope::wire::{Hint, PROTOCOLS, preview_unknown};

/// Ports that make a detection listen and are no group's in the registry, and one that none listens for.
const PORTS: [u16; 7] = [9999, 514, 520, 521, 1985, 6696, 8125];

/// Where a datagram may be sent: every group of the registry with each of its ports.
fn everywhere() -> &'static [Endpoint] {
    static ALL: OnceLock<Vec<Endpoint>> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut all: Vec<_> = PORTS.map(|port| Endpoint::new([239, 1, 1, 1].into(), port)).to_vec();
        for row in Registry::builtin().rows() {
            all.extend(row.each_port().take(64).map(|port| Endpoint::new(row.address, port)));
        }
        all
    })
}

fuzz_target!(|b: &[u8]| {
    let from = Endpoint::new([10, 0, 0, 1].into(), 40_000);
    for &to in everywhere() {
        let hint = Hint { to, from, len: b.len() };
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
