//! Counters that are there are found; where there is none, none is.

use proptest::prelude::*;

use super::*;

struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.next() as u8).collect()
    }
}

const MS: u64 = 1_000_000;

fn run(payloads: impl Iterator<Item = Vec<u8>>) -> Finder {
    let (mut f, mut here) = (Finder::default(), Here::default());
    for (i, p) in payloads.enumerate() {
        f.look(&p, p.len() as u32, Mono(i as u64 * 7 * MS), &mut here);
    }
    f.settle(Mono(u64::MAX), &mut here);
    f
}

fn put(b: &mut [u8], c: &Counter, value: u64) {
    for i in 0..usize::from(c.width) {
        let shift = if c.little_endian { i } else { usize::from(c.width) - 1 - i } * 8;
        b[usize::from(c.offset) + i] = (value >> shift) as u8;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// A counter between noise is found with its place and step, and its losses are exact.
    #[test]
    fn a_counter_is_found_and_its_losses_are_exact(
        seed in any::<u64>(),
        place in 0u16..10,
        width in prop::sample::select(vec![1u8, 2, 4, 8]),
        little_endian in any::<bool>(),
        start in any::<u32>(),
        step in prop::sample::select(vec![1u64, 1, 1, 2, 4]),
    ) {
        let offset = place * u16::from(width).min(4);
        let little_endian = little_endian && width > 1;
        let c = Counter { offset, width, little_endian, step: step as u32 };
        let start = u64::from(start & 0xffff) & (c.mask() / step * step);
        let mut noise = Noise(seed);
        let (mut lost, mut duplicates) = (0, 0);
        let mut payloads = Vec::new();
        for i in 0..900u64 {
            let mut b = noise.bytes(96);
            put(&mut b, &c, start.wrapping_add(i * step));
            match noise.next() % 40 {
                0 if i > 2 && i < 890 => { lost += 1; continue; }
                1 => { payloads.push(b.clone()); duplicates += 1; }
                _ => {}
            }
            payloads.push(b);
        }
        let f = run(payloads.into_iter());
        let found = f.counter();
        prop_assert!(found.is_some(), "{c:?} was not found");
        let (found, sure) = found.unwrap();
        prop_assert_eq!(sure, Confidence::Certain);
        prop_assert_eq!((found.offset, found.width, found.step), (c.offset, c.width, c.step));
        prop_assert_eq!(found.little_endian, c.little_endian);
        let n = f.counts().unwrap();
        prop_assert_eq!((n.lost, n.duplicates), (lost, duplicates));
    }
}

/// Of very many streams without a counter so many are allowed to be taken for one that has it.
fn none_in(streams: u64, mut payload: impl FnMut(&mut Noise, u64, u64) -> Vec<u8>) {
    let mut wrong = Vec::new();
    for stream in 0..streams {
        let mut noise = Noise(stream.wrapping_mul(0x1234_5678_9abc_def1));
        let f = run((0..300u64).map(|i| payload(&mut noise, stream, i)));
        if let Some(found) = f.counter() {
            wrong.push((stream, found));
        }
    }
    assert!(wrong.is_empty(), "{} of {streams} streams: {:?}", wrong.len(), &wrong[..wrong.len().min(3)]);
}

#[test]
fn none_in_random_and_encrypted_payloads() {
    none_in(2000, |n, _, _| n.bytes(64));
    // An encrypted one with a fixed header.
    none_in(1000, |n, s, _| {
        let mut b = s.to_be_bytes().to_vec();
        b.extend(n.bytes(48));
        b
    });
}

#[test]
fn none_in_constant_payloads() {
    none_in(1000, |_, s, _| Noise(s).bytes(64));
    none_in(100, |_, s, _| vec![s as u8; (s % 80) as usize]);
}

#[test]
fn none_in_text() {
    none_in(1000, |n, s, i| {
        format!("{{\"id\":{s},\"n\":{i},\"temp\":{}.{},\"ok\":true}}", n.next() % 30, n.next() % 10)
            .into_bytes()
    });
    none_in(300, |_, s, i| format!("line {:05} of stream {s}", i * 3).into_bytes());
}

#[test]
fn none_in_values_and_times() {
    // A measured value that wanders.
    let mut value = 1000u64;
    none_in(500, |n, _, i| {
        value = if i == 0 { 1000 } else { value + n.next() % 3 }.saturating_sub(1);
        (value as u32).to_be_bytes().to_vec()
    });
    // Microseconds, and milliseconds by an even clock, that go on whether anything is sent or not.
    none_in(300, |n, s, i| (s * 1_000_000 + i * 7000 + n.next() % 40).to_be_bytes().to_vec());
    none_in(300, |_, s, i| {
        let mut b = (s * 1000 + i * 7).to_be_bytes().to_vec();
        b.extend([0; 8]);
        b
    });
    // Ten steps in a circle.
    none_in(300, |_, s, i| vec![(s + i) as u8 % 10, 1, 2, 3]);
}

#[test]
fn a_finding_that_is_contradicted_is_withdrawn() {
    let f = run((0..400u64).map(|i| {
        let mut b = Noise(i).bytes(32);
        // It counts for a while, and then it does not.
        let value = if i < 100 { i } else { Noise(i).next() };
        b[4..8].copy_from_slice(&(value as u32).to_be_bytes());
        b
    }));
    assert_eq!(f.counter(), None);
    assert_eq!(f.counts(), None);
}

#[test]
fn what_the_user_says_is_the_counter_from_the_first_payload_on() {
    let c = Counter { offset: 2, width: 2, little_endian: true, step: 1 };
    let (mut f, mut here) = (Finder::pinned(c), Here::default());
    assert_eq!(f.counts(), None);
    for (i, n) in [65_534u16, 65_535, 2, 3].into_iter().enumerate() {
        let mut b = vec![0; 8];
        put(&mut b, &c, n.into());
        f.look(&b, 8, Mono(i as u64 * MS), &mut here);
    }
    f.settle(Mono(u64::MAX), &mut here);
    assert_eq!(f.counts().unwrap().lost, 2);
    assert_eq!(f.counter(), Some((c, Confidence::Certain)));
    let mut off = Finder::off();
    for i in 0..200u32 {
        off.look(&i.to_be_bytes(), 4, Mono(u64::from(i)), &mut here);
    }
    assert_eq!(off.counter(), None);
}

#[test]
fn the_byte_that_carries_says_the_order_whatever_stands_beside_it() {
    // A constant byte beside the low one reads as the high byte of the other order, until it carries.
    for (field, width, little_endian) in [(2usize, 2u8, true), (2, 4, true), (2, 2, false), (4, 4, false)] {
        let f = run((0..600u64).map(|i| {
            let mut b = vec![0xee; 12];
            let c = Counter { offset: field as u16, width, little_endian, step: 1 };
            put(&mut b, &c, i + 1);
            b.extend(Noise(i).bytes(20));
            b
        }));
        let (c, _) = f.counter().unwrap();
        let low = |offset: u16, width: u8| offset + if little_endian { 0 } else { u16::from(width) - 1 };
        assert_eq!((low(c.offset, c.width), c.little_endian), (low(field as u16, width), little_endian));
        assert_eq!(f.counts().unwrap().missing(), 0);
    }
}

#[test]
fn a_long_gap_leaves_the_counter_the_field_that_it_is() {
    // Also gaps after which the low byte stands a little ahead, a little behind, or right behind itself.
    for gap in [100u64, 232, 250, 256, 257, 262, 500, 999, 1000, 1010, 1030, 2048, 2900] {
        for (width, little_endian, start) in
            [(4u8, false, 70_000u64), (4, true, 70_000), (2, false, 1000), (8, false, 9)]
        {
            // Before and after the low byte has carried once while it was watched.
            for before in [450u64, 800] {
                let c = Counter { offset: 4, width, little_endian, step: 1 };
                let mut noise = Noise(gap ^ before);
                let payloads = (0..2200u64).map(|i| {
                    let mut b = noise.bytes(40);
                    put(&mut b, &c, start + i + if i < before { 0 } else { gap });
                    b
                });
                let f = run(payloads);
                let told = f.counter().map(|(c, _)| (c.offset, c.width, c.little_endian));
                assert_eq!(told, Some((4, width, little_endian)), "a gap of {gap} after {before}");
                let n = f.counts().unwrap();
                assert_eq!((n.lost, n.gaps, n.restarts), (gap, 1, 0), "a gap of {gap} after {before}");
            }
        }
    }
}

#[test]
fn a_byte_beside_bytes_that_stay_is_found_for_what_it_is_when_it_comes_round() {
    let c = Counter { offset: 7, width: 1, little_endian: false, step: 1 };
    let mut noise = Noise(3);
    let mut payloads = Vec::new();
    for i in 0..1500u64 {
        // Some are lost right where it comes round.
        if (254..260).contains(&(i % 512)) {
            continue;
        }
        let mut b = vec![0, 0, 0, 9, 0, 0, 0, 0];
        b.extend(noise.bytes(30));
        put(&mut b, &c, i & 0xff);
        payloads.push(b);
    }
    let f = run(payloads.into_iter());
    assert_eq!(f.counter().map(|(c, _)| c), Some(c));
    assert_eq!(f.counts().unwrap().restarts, 0);
}
