//! Senders: what they put into their datagrams, and what happens to them on the way.

use std::collections::BTreeSet;

use mcscope::base::time::{Mono, Wall};
use mcscope::wire::probe::{Kind as ProbeKind, Probe};

use crate::language::{Truth, time};

/// What the datagrams carry.
#[derive(Clone, Debug)]
enum Kind {
    Rtp { ssrc: u32, pt: u8, ts: u32, step: u32, frame: u64 },
    Probe { run: u64 },
    Sacn { universe: u16 },
    Lcm,
    Mold { messages: u64 },
    Ts { pids: Vec<u16>, per: usize, pcr: bool },
    Counter { offset: usize, width: usize, little: bool, step: u64, seed: u64 },
    Text,
    Random { seed: u64 },
    Constant,
}

/// Which numbers something happens to.
#[derive(Clone, Debug)]
enum Which {
    /// These, from and to.
    List(Vec<(u64, u64)>),
    /// Each so many-th, beginning with an index; with `..` one more for each further sender.
    Every { each: u64, at: u64, more: bool },
}

/// One `from` line.
#[derive(Clone, Debug)]
pub struct Sender {
    kind: Kind,
    first: u64,
    last: u64,
    every: f64,
    /// The same by the sender's clock.
    nominal: f64,
    size: usize,
    snap: usize,
    jitter: u64,
    drop: Which,
    dup: Which,
    swap: Which,
    delay: Vec<(u64, u64)>,
    again: Vec<(u64, u64)>,
    pub ttl: Option<u8>,
    pub tos: Option<u8>,
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text} is no number that fits"))
}

impl Sender {
    /// Reads the values of a line; `take` gives each once.
    pub fn read<'a>(kind: &str, take: &mut dyn FnMut(&str) -> Option<&'a str>) -> Result<Sender, String> {
        fn or<'a, T: std::str::FromStr>(
            take: &mut dyn FnMut(&str) -> Option<&'a str>,
            name: &str,
            default: T,
        ) -> Result<T, String> {
            take(name).map_or(Ok(default), number)
        }
        let kind = match kind {
            "rtp" => Kind::Rtp {
                ssrc: or(take, "ssrc", 1)?,
                pt: or(take, "pt", 96)?,
                ts: or(take, "ts", 1000)?,
                step: or(take, "ts_step", 160)?,
                frame: or(take, "frame", 1)?,
            },
            "probe" => Kind::Probe { run: or(take, "run", 1)? },
            "sacn" => Kind::Sacn { universe: or(take, "universe", 1)? },
            "lcm" => Kind::Lcm,
            "mold" => Kind::Mold { messages: or(take, "messages", 1)? },
            "ts" => {
                let pids = take("pids").unwrap_or("256").split(',').map(number).collect::<Result<_, _>>()?;
                Kind::Ts { pids, per: or(take, "per", 7)?, pcr: or(take, "pcr", 0)? == 1 }
            }
            "counter" => Kind::Counter {
                offset: or(take, "offset", 0)?,
                width: or(take, "width", 4)?,
                little: take("order") == Some("le"),
                step: or(take, "step", 1)?,
                seed: or(take, "seed", 1)?,
            },
            "text" => Kind::Text,
            "random" => Kind::Random { seed: or(take, "seed", 1)? },
            "constant" => Kind::Constant,
            other => return Err(format!("there is no payload {other}")),
        };
        let (first, last) = take("seq").unwrap_or("0..0").split_once("..").ok_or("seq=FIRST..LAST")?;
        let (first, mut last) = (number(first)?, number(last)?);
        let bits = kind.bits();
        if last < first && bits < 64 {
            last += 1 << bits;
        }
        let every = time(take("every").unwrap_or("1ms"))? as f64;
        let drift: f64 = or(take, "drift_ppm", 0.0)?;
        let s = Sender {
            kind,
            first,
            last,
            // A sender whose clock is fast sends in shorter intervals of ours.
            every: every / (1.0 + drift * 1e-6),
            nominal: every,
            size: or(take, "size", 0)?,
            snap: or(take, "snap", usize::MAX)?,
            jitter: time(take("jitter").unwrap_or("0s"))?,
            drop: which(take("drop"))?,
            dup: which(take("dup"))?,
            swap: which(take("swap"))?,
            delay: moved(take("delay"))?,
            again: moved(take("again"))?,
            ttl: take("ttl").map(number).transpose()?,
            tos: match (take("dscp"), take("ecn")) {
                (None, None) => None,
                (dscp, ecn) => {
                    let read = |t: Option<&str>| t.map_or(Ok(0), number::<u8>);
                    Some(read(dscp)? << 2 | read(ecn)? & 3)
                }
            },
        };
        Ok(s)
    }
}

fn which(text: Option<&str>) -> Result<Which, String> {
    let Some(text) = text else { return Ok(Which::List(Vec::new())) };
    if let Some(pattern) = text.strip_prefix('*') {
        let (pattern, more) = pattern.strip_suffix("..").map_or((pattern, false), |p| (p, true));
        let (each, at) = pattern.split_once('/').unwrap_or((pattern, "1"));
        return Ok(Which::Every { each: number(each)?, at: number(at)?, more });
    }
    let range = |part: &str| {
        let (a, b) = part.split_once('-').unwrap_or((part, part));
        Ok((number(a)?, number(b)?))
    };
    text.split(',').map(range).collect::<Result<_, String>>().map(Which::List)
}

/// `170+300ms,180+1s`.
fn moved(text: Option<&str>) -> Result<Vec<(u64, u64)>, String> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let one = |part: &str| {
        let (n, by) = part.split_once('+').ok_or_else(|| format!("{part} is no NUMBER+TIME"))?;
        Ok((number(n)?, time(by)?))
    };
    text.split(',').map(one).collect()
}

impl Which {
    fn has(&self, n: u64, index: u64, sender: u64, range: u64) -> bool {
        match self {
            // A number after the wrap is meant as it stands in the datagram; so is a range across it.
            Which::List(l) => l.iter().any(|&(a, b)| {
                let n = n % range;
                if a <= b { (a..=b).contains(&n) } else { n >= a || n <= b }
            }),
            Which::Every { each, at, more } => {
                let each = if *more { each + sender } else { *each };
                index % each == at % each
            }
        }
    }
}

impl Kind {
    fn bits(&self) -> u32 {
        match self {
            Kind::Rtp { .. } => 16,
            Kind::Sacn { .. } => 8,
            Kind::Lcm => 32,
            Kind::Counter { width, .. } => *width as u32 * 8,
            _ => 64,
        }
    }

    /// Numbers that one datagram takes up.
    fn count(&self) -> u64 {
        if let Kind::Mold { messages } = self { *messages } else { 1 }
    }

    fn write(&self, n: u64, index: u64, at: u64) -> Vec<u8> {
        match self {
            Kind::Rtp { ssrc, pt, ts, step, frame } => {
                let mut b = vec![0x80, pt & 0x7f];
                b.extend((n as u16).to_be_bytes());
                b.extend(ts.wrapping_add((index / frame) as u32 * step).to_be_bytes());
                b.extend(ssrc.to_be_bytes());
                b
            }
            Kind::Probe { run } => {
                let p = Probe {
                    kind: ProbeKind::Test,
                    flags: 0,
                    run: *run,
                    sequence: n,
                    sent_wall: Wall(at as i64),
                    sent_mono: Mono(at),
                    ttl: 1,
                    dscp: 0,
                };
                let mut b = vec![0; mcscope::wire::probe::HEADER];
                p.write(&mut b);
                b
            }
            Kind::Sacn { universe } => sacn(*universe, n as u8),
            Kind::Lcm => {
                let mut b = b"LC02".to_vec();
                b.extend((n as u32).to_be_bytes());
                b.extend(b"POSE\0data");
                b
            }
            Kind::Mold { messages } => {
                let mut b = b"ABCD000001".to_vec();
                b.extend(n.to_be_bytes());
                b.extend((*messages as u16).to_be_bytes());
                for _ in 0..*messages {
                    b.extend([0, 3, b'x', b'y', b'z']);
                }
                b
            }
            Kind::Ts { pids, per, pcr } => transport(pids, *per, *pcr, index, at),
            Kind::Counter { offset, width, little, step, seed } => {
                let mut b = noise(seed.wrapping_mul(1 << 32) + index, offset + width + 24);
                let value = n.wrapping_mul(*step);
                for i in 0..*width {
                    let shift = if *little { i } else { width - 1 - i } * 8;
                    b[offset + i] = (value >> shift) as u8;
                }
                b
            }
            Kind::Text => format!("sensor {:?} says nothing new today", index.is_multiple_of(3)).into_bytes(),
            Kind::Random { seed } => noise(seed.wrapping_mul(1 << 32) + index, 64),
            Kind::Constant => b"\x01\x02\x03\x04\xff\xfe\xfd\xfc constant".to_vec(),
        }
    }
}

/// Bytes that look random, always the same ones for a seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    // SplitMix64; the seed is mixed first, so that neighbouring seeds have nothing in common.
    let mix = |x: u64| {
        let z = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    let start = mix(seed.wrapping_add(0x9e37_79b9_7f4a_7c15));
    (0..len as u64).map(|i| mix(start.wrapping_add(i.wrapping_mul(0x9e37_79b9_7f4a_7c15))) as u8).collect()
}

fn sacn(universe: u16, number: u8) -> Vec<u8> {
    let mut b = vec![0, 0x10, 0, 0];
    b.extend(b"ASC-E1.17\0\0\0");
    b.extend([0x72, 0x6e, 0, 0, 0, 4]);
    b.extend([7; 16]);
    b.extend([0x72, 0x58, 0, 0, 0, 2]);
    let mut name = b"Desk A".to_vec();
    name.resize(64, 0);
    b.extend(name);
    b.extend([100, 0, 0, number, 0]);
    b.extend(universe.to_be_bytes());
    b.extend([0x72, 0x0b, 2, 0xa1, 0, 0, 0, 1, 2, 1, 0]);
    b.resize(638, 0);
    b
}

/// `per` packets in turn over the PIDs, each PID with its own continuity counter.
fn transport(pids: &[u16], per: usize, pcr: bool, index: u64, at: u64) -> Vec<u8> {
    let mut b = Vec::with_capacity(per * 188);
    for k in 0..per as u64 {
        let packet = index * per as u64 + k;
        let pid = pids[(packet % pids.len() as u64) as usize];
        let counter = (packet / pids.len() as u64) as u8 & 0x0f;
        b.push(0x47);
        b.extend((pid & 0x1fff).to_be_bytes());
        if pcr && k == 0 {
            let ticks = at * 27 / 1000;
            let (base, extension) = (ticks / 300, ticks % 300);
            b.extend([0x30 | counter, 7, 0x10]);
            b.extend(((base >> 1) as u32).to_be_bytes());
            b.extend((((base & 1) << 15 | 0x7e00 | extension) as u16).to_be_bytes());
            b.extend(noise(packet, 176));
        } else {
            b.push(0x10 | counter);
            b.extend(noise(packet, 184));
        }
    }
    b
}

/// Sends: calls back with arrival time after the line's, captured bytes and true length; adds to
/// the truth what it did.
pub fn send(s: &Sender, sender: u64, truth: &mut Truth, mut arrive: impl FnMut(u64, Vec<u8>, u32)) {
    let bits = s.kind.bits();
    let range = if bits < 64 { 1u64 << bits } else { u64::MAX };
    let count = s.kind.count();
    let mut sent: Vec<(u64, u64)> = Vec::new();
    let (mut n, mut index) = (s.first, 0u64);
    loop {
        let due = (index as f64 * s.every).round() as u64;
        let mut at = due + if index % 2 == 1 { s.jitter } else { 0 };
        let gap = s.every as u64;
        if !s.drop.has(n, index, sender, range) {
            let nominal = (index as f64 * s.nominal).round() as u64;
            let mut payload = s.kind.write(n, index, nominal);
            if payload.len() < s.size {
                payload.resize(s.size, 0xa5);
            }
            let len = payload.len() as u32;
            payload.truncate(s.snap);
            if s.swap.has(n, index, sender, range) {
                at += gap + gap / 4;
            }
            at += s.delay.iter().filter(|(m, _)| *m == n).map(|(_, by)| by).sum::<u64>();
            let mut times = vec![at];
            if s.dup.has(n, index, sender, range) {
                times.push(at + gap / 8);
            }
            times.extend(s.again.iter().filter(|(m, _)| *m == n).map(|(_, by)| at + by));
            for at in times {
                sent.push((at, n));
                arrive(at, payload.clone(), len);
            }
        }
        if n == s.last {
            break;
        }
        n = n.wrapping_add(count);
        index += 1;
        assert!(index < 10_000_000, "seq= never reaches its end");
    }
    sent.sort_by_key(|(at, _)| *at);
    count_up(&sent, s.first, s.last, count, truth);
}

/// The truth by the plainest means: a set of numbers, no window, no wrap.
fn count_up(sent: &[(u64, u64)], first: u64, last: u64, count: u64, truth: &mut Truth) {
    let mut seen = BTreeSet::new();
    let mut highest = None;
    for &(_, n) in sent {
        // As a distance from the first, so that a 64 bit wrap counts upwards too.
        let place = n.wrapping_sub(first) / count;
        truth.packets += 1;
        if !seen.insert(place) {
            truth.duplicates += 1;
        } else if highest.is_some_and(|h| place < h) {
            truth.reordered += 1;
        }
        highest = highest.max(Some(place));
    }
    if let (Some(low), Some(high)) = (seen.first(), seen.last()) {
        truth.lost += (high - low + 1 - seen.len() as u64) * count;
    }
    debug_assert!(last.wrapping_sub(first) / count >= highest.unwrap_or(0));
}
