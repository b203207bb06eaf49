//! Continuity of one stream, number by number.

use super::*;
use proptest::prelude::*;

fn run(bits: u8, values: &[u64]) -> SeqCounts {
    let sample = |value| SeqSample { stream: 0, value, bits, count: 1, restart: false, mark: 0 };
    let here = &mut Here::default();
    let mut t = SeqTracker::new(sample(values[0]), Mono(0));
    for (i, &v) in values.iter().enumerate().skip(1) {
        t.offer(sample(v), Mono(i as u64 * 1_000_000), here);
    }
    t.settle(Mono(u64::MAX), here);
    t.counts()
}

#[test]
fn a_clean_stream_through_the_wrap_loses_nothing() {
    for bits in [4u8, 8, 16, 32] {
        let top = 1u64 << bits;
        let values: Vec<u64> = (0..40).map(|i| (2 * top - 9 + i) % top).collect();
        assert_eq!(run(bits, &values), clean(40), "{bits} bits");
    }
    let values: Vec<u64> = (0..40u64).map(|i| (u64::MAX - 20).wrapping_add(i)).collect();
    assert_eq!(run(64, &values), clean(40));
}

fn clean(n: u64) -> SeqCounts {
    SeqCounts { expected: n, received: n, ..SeqCounts::default() }
}

#[test]
fn rfc_3550_takes_duplicates_for_what_was_expected() {
    // Two lost, three duplicates: cumulative loss of -1 (appendix A.3).
    let c = run(16, &[65534, 65535, 0, 0, 0, 3, 4, 4]);
    assert_eq!((c.rfc3550_lost(), c.lost, c.duplicates), (-1, 2, 3));
    // A restart begins a new count.
    let c = run(16, &[100, 101, 103, 40_000, 40_001, 40_003]);
    assert_eq!((c.rfc3550_lost(), c.lost, c.restarts), (2, 2, 1));
}

#[test]
fn a_gap_with_drops_here_across_it_is_put_down_to_this_host() {
    let sample = |value| SeqSample { stream: 0, value, bits: 16, count: 1, restart: false, mark: 0 };
    let here = &mut Here::default();
    let mut t = SeqTracker::new(sample(1), Mono(0));
    here.moved(Mono(5), Mono(15), 2, crate::model::here::Drops::Numbered);
    t.offer(sample(5), Mono(10), here);
    t.offer(sample(7), Mono(20), here);
    t.settle(Mono(u64::MAX), here);
    let c = t.counts();
    assert_eq!((c.lost, c.lost_here, c.lost_unclear, c.missing()), (2, 2, 0, 4));
}

#[test]
fn losses_before_a_stream_was_seen_whole_are_kept_apart() {
    let values: Vec<u64> = (0..100).filter(|n| ![3, 4, 9, 60].contains(n)).collect();
    let c = run(16, &values);
    assert_eq!((c.lost, c.lost_at_start), (4, 3));
}

#[test]
fn lost_counts_numbers_not_gaps_and_duplicates_do_not_offset_it() {
    let c = run(16, &[1, 2, 2, 2, 6, 7, 9]);
    assert_eq!((c.lost, c.gaps, c.longest_gap, c.duplicates, c.reordered), (4, 2, 3, 2, 0));
}

#[test]
fn what_only_came_late_is_no_gap_and_what_is_filled_in_parts_one() {
    let c = run(16, &[1, 3, 2, 4, 6, 5, 7]);
    assert_eq!((c.gaps, c.longest_gap), (0, 0));
    // Of 2 to 9, 5 comes late: 2 to 4 and 6 to 9 stay missing.
    let c = run(16, &[1, 10, 5, 11]);
    assert_eq!((c.lost, c.gaps, c.longest_gap), (7, 1, 4));
}

#[test]
fn late_is_reordered_and_not_lost() {
    let c = run(16, &[1, 3, 2, 4, 6, 5, 7]);
    assert_eq!((c.lost, c.reordered, c.duplicates), (0, 2, 0));
    let c = run(16, &[5, 4, 6, 7]);
    assert_eq!((c.lost, c.reordered), (0, 1));
}

#[test]
fn what_comes_after_it_was_called_lost_is_lost_no_longer() {
    let sample = |value| SeqSample { stream: 0, value, bits: 16, count: 1, restart: false, mark: 0 };
    let here = &mut Here::default();
    let mut t = SeqTracker::new(sample(1), Mono(0));
    t.offer(sample(3), Mono(1), here);
    t.settle(Mono(REORDER_NS + 1), here);
    assert_eq!(t.counts().lost, 1);
    t.offer(sample(2), Mono(REORDER_NS + 2), here);
    assert_eq!((t.counts().lost, t.counts().reordered), (0, 1));
    assert_eq!((t.counts().late_max, t.counts().late_max_ns), (1, REORDER_NS + 1));
}

#[test]
fn how_late_is_told_in_numbers_and_in_time_from_the_first_higher_one() {
    // A millisecond apart: 3 comes 3 ms after 4, with 6 the highest; 5 comes at once after 6.
    let c = run(16, &[1, 2, 4, 6, 5, 3, 7]);
    assert_eq!((c.reordered, c.late_max, c.late_max_ns), (2, 3, 3_000_000));
    let c = run(16, &[5, 4, 6, 7]);
    assert_eq!((c.late_max, c.late_max_ns), (1, 1_000_000));
}

#[test]
fn more_gaps_than_are_remembered_lose_none_and_take_none_back_twice() {
    let sample = |value| SeqSample { stream: 0, value, bits: 16, count: 1, restart: false, mark: 0 };
    let here = &mut Here::default();
    let mut t = SeqTracker::new(sample(0), Mono(0));
    // Every second number is missing; all are called lost, some of them while they are remembered.
    for i in 1..=40u64 {
        t.offer(sample(2 * i), Mono(i * REORDER_NS / 4), here);
    }
    t.settle(Mono(u64::MAX), here);
    assert_eq!(t.counts().lost, 40);
    for i in 0..40u64 {
        t.offer(sample(2 * i + 1), Mono(20 * REORDER_NS + i), here);
    }
    assert_eq!((t.counts().lost, t.counts().reordered), (0, 40));
}

#[test]
fn a_missing_number_is_waited_for_before_it_is_lost() {
    let sample = |value| SeqSample { stream: 0, value, bits: 16, count: 1, restart: false, mark: 0 };
    let here = &mut Here::default();
    let mut t = SeqTracker::new(sample(1), Mono(0));
    t.offer(sample(3), Mono(1), here);
    t.settle(Mono(REORDER_NS - 1), here);
    assert_eq!(t.counts().lost, 0);
}

#[test]
fn a_restart_is_no_loss_and_a_stray_is_neither() {
    let mut values: Vec<u64> = (50_000..50_100).collect();
    values.extend(100..200);
    let c = run(16, &values);
    assert_eq!((c.lost, c.restarts, c.strays), (0, 1, 0));
    let mut values: Vec<u64> = (50_000..50_100).collect();
    values.push(7);
    values.extend(50_100..50_200);
    let c = run(16, &values);
    assert_eq!((c.lost, c.restarts, c.strays), (0, 0, 1));
}

/// Each value a millisecond after the one before, and with `pause` more before the `at`th.
fn run_with_pause(bits: u8, values: &[u64], at: usize, pause: u64) -> SeqCounts {
    let sample = |value| SeqSample { stream: 0, value, bits, count: 1, restart: false, mark: 0 };
    let here = &mut Here::default();
    let mut t = SeqTracker::new(sample(values[0]), Mono(0));
    for (i, &v) in values.iter().enumerate().skip(1) {
        let paused = if i >= at { pause } else { 0 };
        let now = Mono(i as u64 * 1_000_000 + paused);
        t.settle(now, here);
        t.offer(sample(v), now, here);
    }
    t.settle(Mono(u64::MAX), here);
    t.counts()
}

#[test]
fn a_restart_with_numbers_just_sent_is_no_duplicate() {
    for (bits, first, before, lost) in
        [(16u8, 0u64, 500u64, 3), (32, 0, 1500, 3), (64, 7, 900, 3), (16, 65_400, 300, 3), (8, 3, 19, 0)]
    {
        let wrap = |n: u64| if bits < 64 { n & ((1 << bits) - 1) } else { n };
        let mut values: Vec<u64> = (first..first + before).map(wrap).collect();
        // As much again from the first number on, with losses before, after, and in the new beginning.
        let mut again: Vec<u64> = (first..first + before + 100).map(wrap).collect();
        if lost > 0 {
            values.remove(5);
            again.remove(60);
            again.remove(3);
            again.swap(7, 8);
        }
        let at = values.len();
        values.extend(again);
        let c = run_with_pause(bits, &values, at, SECOND_NS / 4);
        let swapped = u64::from(lost > 0);
        assert_eq!((c.lost, c.duplicates, c.reordered, c.restarts), (lost, 0, swapped, 1), "{bits} bits");
    }
}

#[test]
fn a_restart_from_before_the_first_number_seen_is_one() {
    let mut values: Vec<u64> = (100..400).collect();
    values.extend(0..500);
    let c = run(16, &values);
    assert_eq!((c.lost, c.duplicates, c.reordered, c.restarts, c.strays), (0, 0, 0, 1, 0));
}

#[test]
fn what_the_network_doubles_stays_duplicates() {
    // Every number twice, the second time fifty numbers later; and a short burst again.
    let mut values: Vec<u64> = (0..50).collect();
    for n in 50..600 {
        values.extend([n, n - 50]);
    }
    // The end of the second way comes when the first has nothing more; then a burst comes twice.
    values.extend(550..600);
    values.extend(600..650);
    values.extend(600..650);
    let c = run_with_pause(16, &values, 1150, SECOND_NS);
    assert_eq!((c.lost, c.duplicates, c.restarts), (0, 650, 0));
}

#[test]
fn a_restart_that_the_sender_announces_is_no_loss() {
    let sample = |value, restart| SeqSample { stream: 0, value, bits: 32, count: 1, restart, mark: 0 };
    let here = &mut Here::default();
    let mut t = SeqTracker::new(sample(1, false), Mono(0));
    for (i, (value, restart)) in [(2, false), (500, true), (501, false)].into_iter().enumerate() {
        t.offer(sample(value, restart), Mono(i as u64), here);
    }
    t.settle(Mono(u64::MAX), here);
    assert_eq!(t.counts(), clean(4));
}

#[test]
fn a_long_outage_of_a_fast_stream_is_loss() {
    let sample = |value| SeqSample { stream: 0, value, bits: 16, count: 1, restart: false, mark: 0 };
    let here = &mut Here::default();
    let mut t = SeqTracker::new(sample(0), Mono(0));
    for i in 1..1000u64 {
        t.offer(sample(i), Mono(i * 1_000_000), here);
    }
    t.offer(sample(6000), Mono(6_000 * 1_000_000), here);
    t.settle(Mono(u64::MAX), here);
    assert_eq!(t.counts().lost, 5000);
}

#[test]
fn a_packet_of_several_messages_takes_up_as_many_numbers() {
    let s = |value, count| SeqSample { stream: 0, value, bits: 64, count, restart: false, mark: 0 };
    let here = &mut Here::default();
    let mut t = SeqTracker::new(s(10, 3), Mono(0));
    t.offer(s(13, 2), Mono(1), here);
    t.offer(s(15, 0), Mono(2), here); // a heartbeat names the next number
    t.offer(s(18, 1), Mono(3), here);
    t.settle(Mono(u64::MAX), here);
    assert_eq!(t.counts().lost, 3);
}

proptest! {
    /// Whatever is dropped, doubled and locally swapped, the counts are those of the recipe.
    #[test]
    fn counts_are_exact(seed in any::<u64>(), start in any::<u16>()) {
        let mut rng = seed | 1;
        let mut next = || { rng ^= rng << 13; rng ^= rng >> 7; rng ^= rng << 17; rng };
        let (mut sent, mut lost, mut dup, mut swapped) = (Vec::new(), 0u64, 0u64, 0u64);
        for i in 0..1000u64 {
            let v = u64::from(start).wrapping_add(i) & 0xffff;
            let edge = !(3..997).contains(&i);
            match next() % 20 {
                0 | 1 if !edge => lost += 1,
                2 if !edge => { sent.extend([v, v]); dup += 1; }
                _ => sent.push(v),
            }
        }
        let mut i = 3;
        while i + 4 < sent.len() {
            if next() % 10 == 0 && sent[i] != sent[i + 1] && sent[i - 1] != sent[i]
                && sent[i + 1] != sent[i + 2] {
                sent.swap(i, i + 1);
                swapped += 1;
                i += 3;
            }
            i += 1;
        }
        let c = run(16, &sent);
        prop_assert_eq!((c.lost, c.duplicates, c.reordered), (lost, dup, swapped));
    }
}
