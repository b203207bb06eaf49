//! Pairs against the plainest account there is: sets of numbers and a list of times.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::base::group::SourceFilter;
use crate::wire;

const MS: u64 = 1_000_000;

fn leg(row: u32, who: Who) -> Leg {
    let m = Membership {
        group: "239.1.1.1".parse().unwrap(),
        port: 5004,
        iface: format!("eth{row}").into(),
        filter: SourceFilter::Any,
    };
    Leg::new(MembershipId(row), m.into(), who)
}

fn sender(last: u8) -> Endpoint {
    Endpoint::new([10, 0, 0, last].into(), 5004)
}

fn pair() -> Pair {
    let legs = [leg(0, Who::Sender(sender(1))), leg(1, Who::Sender(sender(1)))];
    Pair::new(PairId(0), legs, Mono(0))
}

fn rtp(number: u64, ssrc: u32) -> Vec<u8> {
    let mut b = vec![0x80, 96];
    b.extend((number as u16).to_be_bytes());
    b.extend([0; 4]);
    b.extend(ssrc.to_be_bytes());
    b
}

fn give(p: &mut Pair, row: u32, from: Endpoint, at_ns: u64, payload: &[u8]) {
    p.take(&Arrival {
        row: MembershipId(row),
        from,
        at: Mono(at_ns),
        payload,
        protocol: Some(&wire::rtp::PROTOCOL),
        counter: None,
        named: false,
    });
}

fn say(p: &mut Pair, leg: u32, at_ns: u64, number: u64) {
    give(p, leg, sender(1), at_ns, &rtp(number, 7));
}

#[test]
fn the_batches_of_two_listeners_need_not_come_in_the_order_of_time() {
    let mut p = pair();
    // All of B's are looked at before A's, although A was 5 ms ahead.
    for (leg, late) in [(1, 5), (0, 0)] {
        for n in 0..100u64 {
            if n != 40 + u64::from(leg) {
                say(&mut p, leg, (100 + n + late) * MS, n);
            }
        }
    }
    p.finish(Mono(300 * MS));
    let c = p.counts();
    assert_eq!((c.compared, c.legs[0].lost, c.legs[1].lost, c.lost_both), (100, 1, 1, 0));
    assert_eq!((p.skew().min_ns(), p.skew().max_ns()), (Some(5_000_000), Some(5_000_000)));
    assert_eq!((p.skew().a_first(), p.skew().b_first()), (98, 0));
}

#[test]
fn what_a_way_has_not_reached_at_the_end_is_not_lost() {
    let mut p = pair();
    for n in 0..100u64 {
        say(&mut p, 0, n * MS, n);
        if n < 90 && n != 50 {
            say(&mut p, 1, (n + 10) * MS, n);
        }
    }
    p.finish(Mono(100 * MS));
    let c = p.counts();
    assert_eq!((c.legs[0].lost, c.legs[1].lost, c.compared), (0, 1, 90));
}

#[test]
fn a_way_that_dies_loses_everything_from_then_on() {
    let mut p = pair();
    for n in 0..5000u64 {
        say(&mut p, 0, n * MS, n);
        if n < 1000 {
            say(&mut p, 1, n * MS + 1, n);
        }
        p.settle(Mono(n * MS));
    }
    p.settle(Mono(7000 * MS));
    let c = p.counts();
    assert_eq!((c.legs[0].lost, c.legs[1].lost, c.lost_both, c.compared), (0, 4000, 0, 5000));
}

#[test]
fn numbers_before_the_first_common_one_are_nobodys_loss() {
    let mut p = pair();
    for n in 0..500u64 {
        say(&mut p, 0, n * MS, n);
        // B is heard from the 300th on.
        if n >= 300 {
            say(&mut p, 1, n * MS, n);
        }
    }
    p.finish(Mono(5000 * MS));
    let c = p.counts();
    assert_eq!((c.compared, c.legs[0].lost, c.legs[1].lost), (200, 0, 0));
}

#[test]
fn several_streams_of_one_sender_are_compared_each_for_itself() {
    let mut p = pair();
    for n in 0..200u64 {
        for (ssrc, first) in [(7u32, 0u64), (8, 50_000)] {
            for leg in 0..2 {
                if (leg, ssrc, n) != (1, 8, 77) {
                    let at = (10 + n) * MS + u64::from(leg) * 1000;
                    give(&mut p, leg, sender(1), at, &rtp(first + n, ssrc));
                }
            }
        }
    }
    p.finish(Mono(5000 * MS));
    let c = p.counts();
    assert_eq!((c.compared, c.legs[0].lost, c.legs[1].lost), (400, 0, 1));
}

#[test]
fn other_senders_and_rows_do_not_matter_and_a_free_leg_turns_to_another_when_its_own_is_silent() {
    let mut p = Pair::new(PairId(0), [leg(0, Who::Anyone), leg(1, Who::Anyone)], Mono(0));
    assert_eq!(p.standing(Mono(1)), Standing::Waiting { unheard: [true; 2] });
    for n in 0..100u64 {
        give(&mut p, 0, sender(1), n * MS, &rtp(n, 7));
        give(&mut p, 0, sender(9), n * MS, &rtp(n + 20_000, 7));
        give(&mut p, 1, sender(2), n * MS, &rtp(n, 7));
        give(&mut p, 2, sender(2), n * MS, &rtp(n, 7));
    }
    assert_eq!(p.legs.each_ref().map(|l| l.from), [Some(sender(1)), Some(sender(2))]);
    assert_eq!(p.counts().legs[0].packets, 100);
    assert_eq!(p.standing(Mono(1)), Standing::Comparing);
    give(&mut p, 0, sender(9), 6000 * MS, &rtp(20_100, 7));
    assert_eq!(p.leg_of(MembershipId(0), sender(9)), Some(0));
}

#[test]
fn memory_is_bounded_however_fast_and_wide_the_numbers_are() {
    let mut p = pair();
    for n in 0..100_000u64 {
        say(&mut p, 0, 1000 + n, n);
    }
    let slots = |p: &Pair| p.streams.iter().map(|a| a.slots()).sum::<usize>();
    assert!(slots(&p) <= 1 << 15, "{} slots of 16 bit numbers", slots(&p));
    // A leap of a thousand million numbers takes neither time nor memory.
    let mut p = pair();
    for (n, at) in [(5u64, 10u64), (6, 20), (1 << 30, 3600 * SECOND_NS), (u64::MAX, 7200 * SECOND_NS)] {
        p.take(&Arrival {
            row: MembershipId(0),
            from: sender(1),
            at: Mono(at),
            payload: &n.to_be_bytes(),
            protocol: None,
            counter: Some(Counter { offset: 0, width: 8, little_endian: false, step: 1 }),
            named: true,
        });
    }
    assert!(slots(&p) <= SLOTS_MAX);
    for n in 0..100u32 {
        give(&mut p, 0, sender(1), 9000 * SECOND_NS + u64::from(n), &rtp(1, n));
    }
    assert!(p.streams.len() <= STREAMS_MAX);
}

#[test]
fn a_skew_fits_the_smallest_class_that_is_enough() {
    assert_eq!(class_of(100_000), Some(("D", 150_000)));
    assert_eq!(class_of(10_000_000), Some(("A", 10_000_000)));
    assert_eq!(class_of(10_000_001).map(|c| c.0), Some("B"));
    assert_eq!(class_of(500_000_000), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    /// Whatever is dropped, doubled and swapped on either way, the figures are those of plain sets.
    #[test]
    fn counts_are_exact(seed in any::<u64>(), start in any::<u16>(), skew_ms in 0u64..400) {
        let mut rng = seed | 1;
        let mut next = |n: u64| { rng ^= rng << 13; rng ^= rng >> 7; rng ^= rng << 17; rng % n };
        const N: u64 = 2000;
        let mut said: Vec<(u64, u32, u64)> = Vec::new();
        let mut seen = [BTreeSet::new(), BTreeSet::new()];
        let mut first_at: [BTreeMap<u64, u64>; 2] = Default::default();
        let mut doubled = [0u64; 2];
        for leg in 0..2u32 {
            for n in 0..N {
                // The ends are whole, so that it is clear what there was to lose.
                let inner = (10..N - 10).contains(&n);
                let what = if inner { next(12) } else { 11 };
                if what == 0 {
                    continue;
                }
                let at = 1_000 * MS + n * MS + u64::from(leg) * skew_ms * MS
                    + if what == 1 { 7 * MS } else { 0 } + next(MS / 2);
                said.push((at, leg, n));
                first_at[leg as usize].insert(n, at);
                seen[leg as usize].insert(n);
                if what == 2 {
                    doubled[leg as usize] += 1;
                    said.push((at + 3 * MS, leg, n));
                }
            }
        }
        said.sort_unstable();
        let mut p = pair();
        let mut settled = 0;
        for &(at, leg, n) in &said {
            if at / (100 * MS) > settled {
                settled = at / (100 * MS);
                p.settle(Mono(at));
            }
            say(&mut p, leg, at, u64::from(start) + n);
        }
        p.settle(Mono(60 * SECOND_NS));
        let missing = |leg: usize| N - seen[leg].len() as u64;
        let both = (0..N).filter(|n| !seen[0].contains(n) && !seen[1].contains(n)).count() as u64;
        let c = p.counts();
        prop_assert_eq!(
            (c.compared, c.legs[0].lost, c.legs[1].lost, c.lost_both),
            (N, missing(0), missing(1), both)
        );
        prop_assert_eq!([c.legs[0].duplicates, c.legs[1].duplicates], doubled);
        prop_assert_eq!((c.legs[0].late, c.legs[1].late, c.restarts), (0, 0, 0));
        let skews: Vec<i64> = first_at[0].iter()
            .filter_map(|(n, a)| Some(*first_at[1].get(n)? as i64 - *a as i64)).collect();
        prop_assert_eq!(p.skew().count(), skews.len() as u64);
        prop_assert_eq!(p.skew().min_ns(), skews.iter().min().copied());
        prop_assert_eq!(p.skew().max_ns(), skews.iter().max().copied());
        let mean = skews.iter().map(|&s| i128::from(s)).sum::<i128>() / skews.len() as i128;
        prop_assert_eq!(p.skew().mean_ns(), Some(mean as i64));
        prop_assert_eq!(p.skew().a_first(), skews.iter().filter(|s| **s > 0).count() as u64);
    }
}
