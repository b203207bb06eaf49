//! Streams: what is recognised over several datagrams, and what must not be.

use super::*;
use crate::wire::verdict::{AGREE, CONTRADICT, Verdict};

/// Ports that make a detection listen, and some that do not.
const PORTS: [u16; 24] = [
    9999, 5004, 1234, 20_000, 123, 319, 320, 514, 520, 1900, 1985, 3222, 3671, 3702, 3792, 5353, 5355, 5405,
    5683, 8125, 8649, 9875, 14_550, 54_327,
];

/// Groups that do the same.
const GROUPS: [&str; 6] =
    ["239.1.1.1", "224.0.0.251", "224.0.1.1", "224.0.1.187", "224.2.2.3", "224.0.0.102"];

/// A generator of noise with a fixed seed (splitmix64): a failure can be had again.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.next() as u8).collect()
    }
}

/// Lengths that some detection looks for, among others.
fn length(noise: &mut Noise) -> usize {
    match noise.below(4) {
        0 => [20, 44, 48, 188, 376, 384, 408, 1316, 1328, 1344][noise.below(10)],
        1 => 1 + noise.below(40),
        _ => 1 + noise.below(400),
    }
}

/// The verdict after these datagrams.
fn verdict(
    group: &str,
    port: u16,
    datagrams: impl IntoIterator<Item = Vec<u8>>,
) -> Option<(&'static str, Confidence)> {
    let mut v = Verdict::default();
    for b in datagrams {
        v.observe(&b, &hint(group, port, b.len()));
    }
    v.protocol().map(|(p, c)| (p.id, c))
}

#[test]
fn noise_is_taken_for_nothing() {
    let mut noise = Noise(7);
    let mut wrong = Vec::new();
    const STREAMS: usize = 6000;
    for _ in 0..STREAMS {
        let (port, group) = (PORTS[noise.below(PORTS.len())], GROUPS[noise.below(GROUPS.len())]);
        // Encrypted streams have one length or many.
        let fixed = length(&mut noise);
        let same = noise.below(2) == 0;
        let datagrams: Vec<_> = (0..12)
            .map(|_| {
                let n = if same { fixed } else { length(&mut noise) };
                noise.bytes(n)
            })
            .collect();
        wrong.extend(verdict(group, port, datagrams).map(|(id, _)| (id, port)));
    }
    assert!(wrong.len() * 1000 < STREAMS, "{} of {STREAMS}: {wrong:?}", wrong.len());
}

#[test]
fn filling_is_taken_for_nothing() {
    for value in 0..=255u8 {
        for n in (1..=64).chain([188, 262, 265, 376, 384, 408, 512, 1316, 1344, 1472]) {
            let b = vec![value; n];
            for port in PORTS {
                let found = recognise(&b, &hint("239.1.1.1", port, n)).filter(|f| f.1 > Confidence::Guess);
                assert!(found.is_none(), "{n} bytes {value:02x} to port {port}: {}", found.unwrap().0.id);
            }
            // Nor does sending it again make it something.
            if n > 48 {
                continue;
            }
            assert_eq!(verdict("239.1.1.1", 5004, std::iter::repeat_n(b, 3)), None, "{n} bytes {value:02x}");
        }
    }
}

#[test]
fn noise_behind_a_counter_is_taken_for_nothing() {
    let mut noise = Noise(11);
    let mut wrong = Vec::new();
    const STREAMS: u32 = 3000;
    for i in 0..STREAMS {
        let (port, n, tail) = (PORTS[noise.below(PORTS.len())], length(&mut noise), noise.below(2));
        let fixed = noise.bytes(n);
        let start = noise.next() as u32;
        let datagrams: Vec<Vec<u8>> = (0..12u32)
            .map(|k| {
                let number = start.wrapping_add(k);
                let head = if i % 2 == 0 { number.to_be_bytes() } else { number.to_le_bytes() };
                // The rest stays or changes.
                [&head[..], &if tail == 0 { fixed.clone() } else { noise.bytes(n) }].concat()
            })
            .collect();
        wrong.extend(verdict("239.1.1.1", port, datagrams).map(|(id, _)| (id, port)));
    }
    assert!(wrong.len() * 1000 < STREAMS as usize, "{} of {STREAMS}: {wrong:?}", wrong.len());
}

fn rtp(number: u16, ssrc: u32) -> Vec<u8> {
    let mut b = vec![0x80, 97];
    b.extend(number.to_be_bytes());
    b.extend(u32::from(number).to_be_bytes());
    b.extend(ssrc.to_be_bytes());
    b.extend([0; 48]);
    b
}

#[test]
fn rtp_is_certain_after_three_that_count_up_and_not_before() {
    let first = u16::MAX - 1;
    let up = |n: u16| (0..n).map(move |i| rtp(first.wrapping_add(i), 9));
    assert_eq!(verdict("239.1.1.1", 5004, up(u16::from(AGREE) - 1)), None);
    assert_eq!(verdict("239.1.1.1", 5004, up(u16::from(AGREE))), Some(("rtp", Confidence::Certain)));
    // The same number, a number far off, and another source each time prove nothing.
    assert_eq!(verdict("239.1.1.1", 5004, (0..20).map(|_| rtp(5, 9))), None);
    assert_eq!(verdict("239.1.1.1", 5004, (0..20).map(|i| rtp(5 + 2 * i, 9))), None);
    assert_eq!(verdict("239.1.1.1", 5004, (0..20).map(|i| rtp(5 + i, u32::from(i)))), None);
}

#[test]
fn short_texts_are_text_when_they_differ() {
    let texts = |all: &[&str]| verdict("239.1.1.1", 9999, all.iter().map(|t| t.as_bytes().to_vec()));
    assert_eq!(texts(&["hello 01", "hello 02", "hello 03"]), Some(("text", Confidence::Likely)));
    assert_eq!(texts(&["hello 01", "hello 01", "hello 01", "hello 01"]), None);
}

#[test]
fn a_verdict_stands_until_eight_in_a_row_speak_against_it() {
    let mut v = Verdict::default();
    let mut see = |b: &[u8]| {
        v.observe(b, &hint("239.1.1.1", 9999, b.len()));
        v.protocol().map(|(p, _)| p.id)
    };
    let (json, noise) = (sample("json-telemetry"), [0x11; 9]);
    assert_eq!(see(&json), Some("json"));
    for _ in 0..3 {
        for _ in 1..CONTRADICT {
            assert_eq!(see(&noise), Some("json"));
        }
        assert_eq!(see(&json), Some("json"));
    }
    for _ in 1..CONTRADICT {
        see(&noise);
    }
    assert_eq!(see(&noise), None);
    assert_eq!(see(&sample("rtps-data")), Some("rtps"));
}

#[test]
fn a_late_change_is_noticed_and_a_given_verdict_stays() {
    let (json, rtps) = (sample("json-telemetry"), sample("rtps-data"));
    let mut v = Verdict::default();
    let mut given = Verdict::given(by_id("xml").unwrap());
    for _ in 0..1000 {
        v.observe(&json, &hint("239.1.1.1", 9999, json.len()));
    }
    for _ in 0..100 {
        for v in [&mut v, &mut given] {
            v.observe(&rtps, &hint("239.1.1.1", 9999, rtps.len()));
        }
    }
    assert_eq!(v.protocol().unwrap().0.id, "rtps");
    assert_eq!(given.protocol().unwrap().0.id, "xml");
}

#[test]
fn every_sample_that_counts_gives_numbers() {
    let expect: &[(&str, &str, u64, u8, u32)] = &[
        ("artnet", "artnet-dmx", 9, 8, 1),
        ("lcm", "lcm-short", 77, 32, 1),
        ("mavlink", "mavlink-v1", 5, 8, 1),
        ("moldudp64", "moldudp64-data", 12_345, 64, 2),
        ("moldudp64", "moldudp64-heartbeat", 12_347, 64, 0),
        ("ptp", "ptp-announce", 9, 16, 1),
        ("ptp", "ptp-sync", 4711, 16, 1),
        ("ptp", "ptp-v1-sync", 33, 16, 1),
        ("rtp", "rtp-mp2t", 4711, 16, 1),
        ("rtps", "rtps-data", 5, 64, 1),
        ("sacn", "sacn-data", 41, 8, 1),
        ("wsd", "wsd-hello", 7, 32, 1),
    ];
    for &(id, name, value, bits, count) in expect {
        let all = numbers(by_id(id).unwrap(), &sample(name));
        assert_eq!(all.len(), 1, "{name}");
        assert_eq!((all[0].value, all[0].bits, all[0].count), (value, bits, count), "{name}");
    }
    // What repeats another's number, or has none of its own, gives none.
    for (id, name) in
        [("ptp", "ptp-delay-resp"), ("lcm", "lcm-later"), ("sacn", "sacn-sync"), ("rtps", "rtps-heartbeat")]
    {
        assert_eq!(numbers(by_id(id).unwrap(), &sample(name)), [], "{name}");
    }
}

#[test]
fn messages_of_one_ptp_port_count_each_for_their_kind() {
    let ptp = by_id("ptp").unwrap();
    let stream = |name| numbers(ptp, &sample(name))[0].stream;
    assert_ne!(stream("ptp-sync"), stream("ptp-follow-up"));
    let mut other = sample("ptp-sync");
    other[29] = 2;
    assert_ne!(numbers(ptp, &other)[0].stream, stream("ptp-sync"));
}

#[test]
fn artnet_passes_over_zero() {
    let artnet = by_id("artnet").unwrap();
    let mut b = sample("artnet-dmx");
    b[12] = 255;
    assert_eq!(numbers(artnet, &b)[0].count, 2);
    b[12] = 0;
    assert_eq!(numbers(artnet, &b), []);
}
