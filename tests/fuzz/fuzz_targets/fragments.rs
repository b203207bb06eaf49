//! A sequence of IP packets, each behind two bytes of length, put together where they are fragments: no
//! panic, and no packet longer than IP has it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use mcscope::base::time::Wall;
use mcscope::wire::input::input;
use mcscope::wire::reassembly::Reassembler;

fuzz_target!(|b: &[u8]| {
    let (mut r, mut rest, mut n) = (Reassembler::default(), b, 0);
    while let [high, low, tail @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(tail.len());
        let (packet, after) = tail.split_at(length);
        if let Some((whole, _)) = r.add(packet, Wall(n), true) {
            assert!(whole.len() <= 65_535 + 40);
            let _ = input(whole, false);
        }
        let _ = input(packet, true);
        (rest, n) = (after, n + 1_000_000);
    }
});
