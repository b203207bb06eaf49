//! No false sequence: of streams without a counter fewer than one in a thousand may be said to have
//! one, at any time while it is watched. And where there is a counter, it is found, wherever it stands and
//! however it counts, and what is lost of it is told to the number.
//!
//! Each kind of payload runs as some hundred streams; `MCSCOPE_COUNTER_STREAMS=5000` makes it so many
//! each. Everything goes through the model, as received: recognition is a part of it, since what is taken
//! for RTP has its losses told as well.

use std::sync::Arc;

use mcscope::base::batch::{Batch, Datagram};
use mcscope::base::group::{Endpoint, Membership, MembershipId, SourceFilter};
use mcscope::base::time::{Mono, Now, Wall};
use mcscope::model::group::{Buffer, Origin};
use mcscope::model::source::Source;
use mcscope::model::{Model, Settings};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1000 * MS;

/// SplitMix64: the same numbers on every run.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn bytes(&mut self, n: usize) -> Vec<u8> {
        (0..n).map(|_| self.next() as u8).collect()
    }
}

/// A model with one row, fed datagram by datagram.
struct Watched {
    model: Model,
    batch: Batch,
    port: u16,
}

impl Watched {
    fn new(port: u16) -> Self {
        let mut model = Model::new(Settings { keep_packets: false }, at(0));
        let id = MembershipId(0);
        let m = Membership {
            group: [239, 1, 1, 1].into(),
            port,
            iface: "net0".into(),
            filter: SourceFilter::Any,
        };
        model.add(id, Arc::new(m), Origin::User, None);
        model.joined(id, Buffer::default(), at(0));
        Watched { model, batch: Batch::new(), port }
    }

    fn feed(&mut self, from: Endpoint, payload: &[u8], ns: u64) {
        self.batch.clear();
        self.batch.received = at(ns);
        let d = Datagram::new(MembershipId(0), at(ns).wall, from, payload.len() as u32);
        self.batch.push_copy(d, payload);
        self.model.apply(&self.batch);
    }

    fn source(&self, from: Endpoint) -> &Source {
        self.model.groups().next().and_then(|g| g.sources.get(from)).expect("it was heard")
    }
}

fn at(ns: u64) -> Now {
    Now { mono: Mono(1000 * SECOND + ns), wall: Wall((1_700_000_000 * SECOND + ns) as i64) }
}

fn sender(i: u64) -> Endpoint {
    Endpoint::new([10, 1, (i >> 8) as u8, i as u8].into(), 5000)
}

fn streams() -> u64 {
    std::env::var("MCSCOPE_COUNTER_STREAMS").ok().and_then(|n| n.parse().ok()).unwrap_or(200)
}

/// Says nothing of any stream, at any time. The payload is made of noise, the stream's number, the
/// datagram's, and its time; `every` gives the time to the next.
#[track_caller]
fn none(
    what: &str,
    datagrams: u64,
    every: impl Fn(&mut Noise, u64) -> u64,
    mut payload: impl FnMut(&mut Noise, u64, u64, u64) -> Vec<u8>,
) {
    let (n, mut wrong, mut first) = (streams(), 0, String::new());
    for stream in 0..n {
        let port = 9000 + (stream % 50) as u16 * 500;
        let mut w = Watched::new(port);
        let mut noise = Noise(stream.wrapping_mul(0x1234_5678_9abc_def1) ^ datagrams);
        let mut ns = noise.below(SECOND);
        for i in 0..datagrams {
            ns += every(&mut noise, i).max(1);
            w.feed(sender(stream), &payload(&mut noise, stream, i, ns), ns);
            let s = w.source(sender(stream));
            if let Some(counts) = s.continuity() {
                wrong += 1;
                if first.is_empty() {
                    let (counter, protocol) = (s.counter(), s.protocol().map(|p| p.id));
                    first = format!(
                        "stream {stream} to port {}, datagram {i}: {counter:?} {protocol:?} {counts:?}",
                        w.port
                    );
                }
                break;
            }
        }
    }
    assert!(wrong * 1000 <= n.saturating_sub(1), "{what}: {wrong} of {n} streams; {first}");
}

/// Each 10 ms, give or take.
fn regular(noise: &mut Noise, _: u64) -> u64 {
    10 * MS + noise.below(MS / 2)
}

/// Whenever it likes.
fn irregular(noise: &mut Noise, _: u64) -> u64 {
    noise.below(200 * MS)
}

#[test]
fn none_in_random_bytes() {
    none("short", 600, regular, |n, _, _, _| {
        let len = 1 + n.below(24) as usize;
        n.bytes(len)
    });
    none("of one length", 600, regular, |n, s, _, _| n.bytes(8 + (s % 200) as usize));
    none("of any length", 600, irregular, |n, _, _, _| {
        let len = n.below(300) as usize;
        n.bytes(len)
    });
}

#[test]
fn none_in_encrypted_payloads() {
    none("behind a fixed header", 600, regular, |n, s, _, _| {
        let mut b = Noise(s).bytes(4 + (s % 16) as usize);
        b.extend(n.bytes(160));
        b
    });
    none("behind a header that looks like RTP's first bytes", 600, regular, |n, s, _, _| {
        let mut b = vec![0x80, 96 + (s % 32) as u8];
        b.extend(n.bytes(160));
        b
    });
    none("behind a nonce of the time", 600, regular, |n, _, _, ns| {
        let mut b = (ns / 1000).to_be_bytes().to_vec();
        b.extend(n.bytes(64));
        b
    });
}

#[test]
fn none_in_constant_payloads() {
    none("noise", 600, regular, |_, s, _, _| Noise(s).bytes(1 + (s % 120) as usize));
    none("one byte", 600, irregular, |_, s, _, _| vec![s as u8; 1 + (s % 70) as usize]);
    none("two in turn", 600, regular, |_, s, i, _| Noise(s * 2 + i % 2).bytes(40));
    none("seven in turn", 600, regular, |_, s, i, _| Noise(s * 7 + i % 7).bytes(40));
}

#[test]
fn none_in_text_and_json() {
    none("chat", 500, irregular, |n, s, _, _| {
        let words = ["hello", "all", "quiet", "here", "what", "is", "up", "multicast", "works"];
        let count = 3 + n.below(9) as usize;
        let said: Vec<&str> = (0..count).map(|_| words[n.below(9) as usize]).collect();
        format!("<user{s}> {}", said.join(" ")).into_bytes()
    });
    none("telemetry", 500, regular, |n, s, i, ns| {
        let (c, f) = (18 + n.below(9), n.below(10));
        format!("{{\"id\":{s},\"seq\":{i},\"time\":{},\"temp\":{c}.{f},\"ok\":true}}", ns / MS).into_bytes()
    });
    none("numbered lines", 500, regular, |_, s, i, _| format!("{i:06} line of stream {s}").into_bytes());
    none("numbered lines, unpadded", 500, regular, |_, s, i, _| format!("{} of {s}", 7 * i + s).into_bytes());
}

#[test]
fn none_in_measured_values() {
    none("values that wander", 600, regular, |n, s, _, _| {
        let mut b = (s as u32).to_be_bytes().to_vec();
        for channel in 0..8 {
            b.extend((1000 * channel + n.below(40) as u16).to_le_bytes());
        }
        b
    });
    let mut walk = [0i64; 8];
    none("values that walk", 600, regular, |n, _, i, _| {
        let mut b = vec![7, 7];
        for w in &mut walk {
            *w = if i == 0 { 30_000 } else { *w + n.below(3) as i64 - 1 };
            b.extend((*w as u16).to_be_bytes());
        }
        b
    });
    let mut meter = 0;
    none("a meter that only goes up", 600, regular, |n, s, i, _| {
        meter = if i == 0 { s << 12 } else { meter + n.below(3) };
        let mut b = (meter as u32).to_be_bytes().to_vec();
        b.extend((n.below(50) as u16).to_be_bytes());
        b
    });
    none("samples of a sine", 600, regular, |n, s, i, _| {
        let value = |k: f64| {
            (((i as f64 / 40.0 + k + s as f64).sin() * 20_000.0) as i16 + n.0 as i16 % 3).to_le_bytes()
        };
        (0..16).flat_map(|k| value(f64::from(k))).collect()
    });
    none("floats", 600, regular, |n, s, i, _| {
        (0..6u64).flat_map(|k| ((i * k + s) as f32 * 0.25 + n.below(3) as f32).to_be_bytes()).collect()
    });
}

#[test]
fn none_in_times() {
    let clocks: [(&str, u64); 6] = [
        ("nanoseconds", 1),
        ("microseconds", 1000),
        ("milliseconds", MS),
        ("10 ms", 10 * MS),
        ("90 kHz", SECOND / 90_000),
        ("seconds", SECOND),
    ];
    for (name, unit) in clocks {
        for width in [4, 8] {
            none(name, 600, regular, |n, s, _, ns| {
                let mut b = vec![s as u8, 1, 2, 3];
                b.extend(&(ns / unit + (s << 20)).to_be_bytes()[8 - width..]);
                b.extend(n.bytes(8));
                b
            });
        }
    }
    // A loop that sends and sleeps takes a little longer than it sleeps.
    none(
        "seconds since 1970, once a second",
        1500,
        |n, _| SECOND + 300_000 + n.below(MS),
        |n, s, _, ns| {
            let mut b = vec![s as u8; 4];
            b.extend(((1_700_000_000 * SECOND + ns) / SECOND).to_be_bytes());
            b.extend(n.bytes(6));
            b
        },
    );
}

#[test]
fn none_in_what_goes_round() {
    for cycle in [2, 3, 4, 7, 10, 16, 24, 30, 60, 90, 100, 120] {
        none(&format!("{cycle} steps in a circle"), 700, regular, |n, s, i, _| {
            let mut b = vec![s as u8, 9];
            b.extend((((s + i) % cycle) as u16).to_be_bytes());
            b.extend(n.bytes(20));
            b
        });
    }
    // Each frame in so many pieces.
    none("pieces of frames", 700, regular, |n, s, i, _| {
        let pieces = 5 + s % 60;
        let mut b = vec![0xca, 0xfe, (i % pieces) as u8, pieces as u8];
        b.extend(n.bytes(30));
        b
    });
    none("an angle", 700, regular, |n, s, i, _| {
        let mut b = vec![0xff, 0xee];
        b.extend((((s + i * 4) % 360) as u16).to_le_bytes());
        b.extend(n.bytes(30));
        b
    });
}

/// A counter as a sender may have it.
#[derive(Clone, Copy, Debug)]
struct Field {
    offset: usize,
    width: usize,
    little_endian: bool,
    step: u64,
}

/// Every width and order, at even and odd places, with steps of one and more, through the wrap where there
/// is one, between noise or between constant bytes: the losses are told to the number.
#[test]
fn counters_are_found_wherever_they_stand_and_their_losses_are_exact() {
    let (mut wrong, mut tried) = (String::new(), 0);
    for width in [1usize, 2, 4, 8] {
        for offset in [0usize, 1, 3, 5, 8, 13, 30, 51] {
            for (little_endian, step, noisy) in [
                (false, 1, true),
                (true, 1, true),
                (false, 1, false),
                (true, 1, false),
                (false, 2, true),
                (true, 3, true),
                (false, 16, true),
                (false, 5, false),
            ] {
                // A byte that goes up by three or five comes round to another number.
                if width == 1 && (little_endian || !u64::is_power_of_two(step) || step > 2) {
                    continue;
                }
                tried += 1;
                let f = Field { offset, width, little_endian, step };
                if let Err(why) = found(f, noisy, tried) {
                    wrong += &format!("{f:?} noisy {noisy}: {why}\n");
                }
            }
        }
    }
    assert!(wrong.is_empty(), "of {tried}:\n{wrong}");
}

fn found(f: Field, noisy: bool, seed: u64) -> Result<(), String> {
    let mut noise = Noise(seed);
    let mut w = Watched::new(9000);
    let from = sender(seed);
    // Through the wrap of one and two bytes.
    let start = match f.width {
        1 | 2 => (1u64 << (8 * f.width)) - 100 * f.step,
        _ => noise.below(60_000),
    };
    let rest = noise.bytes(80);
    let (mut lost, mut duplicates, mut ns) = (0, 0, 0);
    for i in 0..1500u64 {
        ns += 7 * MS + noise.below(MS);
        let mut b = if noisy { noise.bytes(80) } else { rest.clone() };
        // Something else than the counter changes too.
        b[70] = noise.next() as u8;
        let value = start.wrapping_add(i * f.step);
        for k in 0..f.width {
            let shift = if f.little_endian { k } else { f.width - 1 - k } * 8;
            b[f.offset + k] = (value >> shift) as u8;
        }
        if (3..1490).contains(&i) && noise.below(50) == 0 {
            lost += 1;
            continue;
        }
        w.feed(from, &b, ns);
        if noise.below(70) == 0 {
            w.feed(from, &b, ns + MS / 10);
            duplicates += 1;
        }
    }
    w.model.finish();
    let s = w.source(from);
    let Some((c, _)) = s.counter() else {
        return Err(format!("not found; {:?}", s.protocol().map(|p| p.id)));
    };
    let n = s.continuity().ok_or("no figures")?;
    let low = |offset: usize, width: usize| if c.little_endian { offset } else { offset + width - 1 };
    let same = low(c.offset.into(), c.width.into()) == low(f.offset, f.width)
        && u128::from(c.step) == u128::from(f.step);
    if !same || (n.lost, n.duplicates, n.restarts) != (lost, duplicates, 0) {
        return Err(format!("{c:?} {n:?}, really {lost} lost, {duplicates} twice"));
    }
    Ok(())
}

#[path = "fuzz/sequence.rs"]
mod sequence;

/// The corpus of the fuzz target `sequence`, and what each of its streams must come to.
#[test]
fn the_corpus_of_sequences_is_told_as_it_is() {
    let read = |name: &str| {
        let path = format!("{}/tests/fuzz/corpus/sequence/{name}.bin", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}; tests/fuzz/corpus/make.py writes it"))
    };
    let at = |offset, width, step| {
        Some(mcscope::model::counter::Counter { offset, width, little_endian: false, step })
    };
    // The counter told, what is missing, what came twice.
    let known = [
        ("counter-lost", at(8, 4, 1), 3, 1),
        ("counter-step-4", at(8, 4, 4), 0, 0),
        ("counter-carries", at(8, 4, 1), 0, 0),
        ("counter-breaks", None, 0, 0),
        ("constant", None, 0, 0),
        ("pinned", at(8, 4, 1), 16, 0),
        ("switched-off", None, 0, 0),
        ("rtp-restarts", None, 0, 0),
        ("transport-stream", None, 1, 0),
        ("ends-in-the-middle", None, 0, 0),
    ];
    for (name, counter, missing, duplicates) in known {
        let fed = sequence::feed(&read(name));
        assert_eq!(
            (fed.counter, fed.missing, fed.duplicates),
            (counter, missing, duplicates),
            "{name}: {fed:?}"
        );
    }
    let folder = format!("{}/tests/fuzz/corpus/sequence", env!("CARGO_MANIFEST_DIR"));
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), known.len(), "each of the corpus has its line");
}

/// Streams damaged at random places: cut, bits flipped, bytes written over. Each counts a stream of up to
/// 3000 datagrams, so there are few of them.
#[test]
fn damaged_sequences_do_no_harm() {
    let folder = format!("{}/tests/fuzz/corpus/sequence", env!("CARGO_MANIFEST_DIR"));
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    for (n, path) in paths.iter().enumerate() {
        let whole = std::fs::read(path).unwrap();
        let mut noise = Noise(n as u64);
        for _ in 0..20 {
            let mut b = whole.clone();
            for _ in 0..=noise.below(6) {
                let at = noise.below(b.len() as u64) as usize;
                b[at] = noise.next() as u8;
            }
            b.truncate(1 + noise.below(b.len() as u64) as usize + b.len() / 2);
            sequence::feed(&b);
        }
    }
}
