//! Random traffic: whatever senders do, the figures are those of the truth, and how the datagrams
//! were put into batches does not matter.

use proptest::prelude::*;

use crate::language;
use crate::{difference, run};

/// One `from` line, with things that happen to single numbers apart from each other, so that what
/// is dropped, doubled or swapped stays exactly that.
fn sender(i: usize) -> impl Strategy<Value = String> {
    let kind = prop_oneof![
        (any::<u16>(), any::<u16>())
            .prop_map(|(seq, ssrc)| format!("rtp ssrc={ssrc} seq={}", range(seq.into(), 16))),
        (any::<u64>(), any::<u64>())
            .prop_map(|(seq, run)| format!("probe run={run} seq={}", range(seq >> 1, 64))),
        any::<u32>().prop_map(|seq| format!("lcm seq={}", range(seq.into(), 32))),
        any::<u8>().prop_map(|seq| format!("sacn seq={}", range(seq.into(), 8))),
    ];
    let thing = |name: &'static str, at: u64| {
        (12u64..40, any::<bool>()).prop_map(move |(each, on)| {
            if on { format!(" {name}=*{}/{at}", each * 4) } else { String::new() }
        })
    };
    (kind, 1u64..4000, 100u64..5000, thing("drop", 2), thing("dup", 7), thing("swap", 13)).prop_map(
        move |(kind, start, every, drop, dup, swap)| {
            format!("at {start}us from 10.0.0.{}:5000 {kind} every={every}us{drop}{dup}{swap}\n", i + 1)
        },
    )
}

/// 200 numbers from `first` on, through the wrap if it comes.
fn range(first: u64, bits: u32) -> String {
    let last = first.wrapping_add(199);
    format!("{first}..{}", if bits < 64 { last & ((1 << bits) - 1) } else { last })
}

fn traffic() -> impl Strategy<Value = String> {
    prop::collection::vec(any::<()>(), 1..6)
        .prop_flat_map(|n| (0..n.len()).map(sender).collect::<Vec<_>>())
        .prop_map(|lines| format!("group 239.1.1.1:5004\n{}expect exact\n", lines.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn figures_are_exact_and_do_not_depend_on_the_batches(
        text in traffic(),
        batch in 1usize..=32,
        keep_packets in any::<bool>(),
    ) {
        let scenario = language::parse(&text).map_err(TestCaseError::fail)?;
        let one = run::run(&scenario, run::How { batch: 1, keep_packets: true });
        prop_assert_eq!(one.problems, Vec::<String>::new(), "{}", text);
        let other = run::run(&scenario, run::How { batch, keep_packets });
        prop_assert_eq!(difference(&one.figures, &other.figures), None, "{}", text);
        let again = run::run(&scenario, run::How { batch, keep_packets });
        prop_assert_eq!(difference(&other.figures, &again.figures), None, "{}", text);
    }
}
