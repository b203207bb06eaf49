//! The recognition of streams, their continuity and the counter finder, on any sequence of payloads: no
//! panic, and nothing said of a counter that cannot be.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../sequence.rs"]
mod sequence;

fuzz_target!(|b: &[u8]| {
    let _ = sequence::feed(b);
});
