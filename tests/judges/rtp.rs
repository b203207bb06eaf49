//! RTP: tshark's `-z rtp,streams` prints packets, losses and jitter of each stream. All of it is
//! compared to the printed digit.
//!
//! Where the definitions differ (also told in `src/model/media.rs` and `src/model/sequence.rs`):
//!
//! | | RFC 3550, and so mcscope | tshark 4 |
//! | --- | --- | --- |
//! | jitter of a dynamic payload type | as soon as the clock is recognised from its ticks | only with a session description |
//! | jitter of 11,025, 22,050 and 44,100 Hz | by the true rate | by 11, 22 and 44 kHz |
//! | mean and greatest jitter | over all datagrams | datagrams with the marker, and those before the first timestamp, are left out |
//! | a clock that jumps by 10 s and more | a new run, no jitter | jitter of seconds |
//! | lost | from the first to the highest number | from the first to the last that came |
//! | lost, with late numbers around the wrap | as elsewhere | 65,536 more (it counts the wrap again) |
//! | a restart | a new count | whatever the two numbers differ by |

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mcscope::base::group::{Endpoint, Membership, MembershipId, SourceFilter};
use mcscope::engine::command::{Command as EngineCommand, Update};
use mcscope::engine::{Engine, Options as EngineOptions};
use mcscope::model::group::Origin;
use mcscope::model::{Model, Settings};
use mcscope::net::iface;
use mcscope::wire::ip;
use proptest::prelude::*;

use crate::language::{self, Item, Scope};
use crate::pcap::{self, Packet};
use crate::support::DEADLINE;
use crate::support::judge::Judge;
use crate::support::netns::{Lab, Options, done};
use crate::support::run::Sandbox;
use crate::{has, payload, replay};

/// What tshark prints of a stream, as it prints it.
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    pub packets: u64,
    pub lost: i64,
    pub jitter_mean_ms: f64,
    pub jitter_max_ms: f64,
}

/// Sender, destination, SSRC.
type Key = (Endpoint, Endpoint, u32);

/// tshark's account of the RTP streams of a capture. Ports without an agreed meaning must be named.
#[track_caller]
pub fn judge_streams(file: &Path, ports: &[u16]) -> BTreeMap<Key, Judged> {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(file).args(["-n", "-q", "-z", "rtp,streams"]);
    for port in ports {
        command.arg("-d").arg(format!("udp.port=={port},rtp"));
    }
    command.env("HOME", file.parent().expect("the file has a folder"));
    let printed = done(command, "the judge");
    let read = |line: &str| -> Option<(Key, Judged)> {
        // start end source port destination port ssrc payload packets lost (share) deltas jitters
        let words: Vec<&str> = line.split_whitespace().collect();
        let endpoint = |at: usize| {
            let ip = words.get(at)?.parse().ok()?;
            Some(Endpoint::new(ip, words.get(at + 1)?.parse().ok()?))
        };
        let ssrc = u32::from_str_radix(words.get(6)?.strip_prefix("0x")?, 16).ok()?;
        let share = words.iter().position(|w| w.starts_with('('))?;
        let number = |at: usize| words.get(at)?.parse::<f64>().ok();
        let judged = Judged {
            packets: words[share - 2].parse().ok()?,
            lost: words[share - 1].parse().ok()?,
            jitter_mean_ms: number(share + 5)?,
            jitter_max_ms: number(share + 6)?,
        };
        Some(((endpoint(2)?, endpoint(4)?, ssrc), judged))
    };
    let lines = printed.lines().filter(|l| l.contains(" 0x"));
    lines.map(|l| read(l).unwrap_or_else(|| panic!("not understood of tshark: {l:?}"))).collect()
}

/// What the model says of the same, in the same units.
#[derive(Debug)]
struct Ours {
    packets: u64,
    lost: Option<i64>,
    jitter_mean_ms: Option<f64>,
    jitter_max_ms: Option<f64>,
}

/// The model's figures of a stream. Each sender here has one.
fn ours(model: &Model, (from, to, _): Key) -> Option<Ours> {
    let s = replay::source(model, to, from)?;
    let media = s.detail.as_ref().and_then(|d| d.media().first());
    let ms = |ns: Option<f64>| ns.map(|ns| ns / 1e6);
    Some(Ours {
        packets: s.counters.packets,
        lost: s.rfc3550_lost(),
        jitter_mean_ms: ms(media.and_then(|m| m.jitter_mean_ns())),
        jitter_max_ms: ms(media.and_then(|m| m.jitter_max_ns())),
    })
}

/// Every stream that differs from what tshark says, a line each. Three decimals are printed: half of
/// the last one, and what two orders of the same sum may differ by.
fn differences(model: &Model, judged: &BTreeMap<Key, Judged>) -> String {
    let mut out = String::new();
    for (key, j) in judged {
        let near = |is: Option<f64>, printed: f64| is.is_some_and(|is| (is - printed).abs() <= 0.000_500_1);
        let is = ours(model, *key);
        let same = is.as_ref().is_some_and(|is| {
            is.packets == j.packets
                && is.lost == Some(j.lost)
                && near(is.jitter_mean_ms, j.jitter_mean_ms)
                && near(is.jitter_max_ms, j.jitter_max_ms)
        });
        if !same {
            let _ = writeln!(out, "{} > {} ssrc {:08x}: {is:?}, tshark {j:?}", key.0, key.1, key.2);
        }
    }
    out
}

/// A folder of the test's own.
fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("mcscope-judges-").tempdir().expect("make a temp folder")
}

/// The datagrams of a scenario as a capture.
fn capture_of(scenario: &language::Scenario) -> Vec<Packet> {
    let mut packets = Vec::new();
    for (at, item) in &scenario.items {
        let Item::Datagram { row, from, payload, len, ttl, tos } = item else { continue };
        let mut bytes = Vec::new();
        let (ends, marking) = ((*from, scenario.rows[*row].to), (ttl.unwrap_or(1), tos.unwrap_or(0)));
        ip::build(&mut bytes, ends, marking, payload, *len as usize).expect("one family");
        packets.push(Packet { time_ns: 1_700_000_000_000_000_000 + at, bytes });
    }
    packets
}

/// The figures in `tests/scenarios/tshark.txt` are tshark's own, to the last digit it prints.
#[test]
fn the_scenario_of_tshark_holds_what_tshark_prints() {
    if !has(test_name!(), "tshark", "--version") {
        return;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/tshark.txt");
    let scenario = language::parse(&std::fs::read_to_string(path).expect("the scenario is there"))
        .expect("the scenario is understood");
    let folder = folder();
    let file = folder.path().join("scenario.pcap");
    let packets = capture_of(&scenario);
    pcap::write(&file, &packets);
    let ports: Vec<u16> = scenario.rows.iter().map(|r| r.to.port).collect();
    let judged = judge_streams(&file, &ports);
    assert_eq!(differences(&replay::model(&packets), &judged), "");
    let (mut told, mut wrong) = (0, String::new());
    for (_, item) in &scenario.items {
        let Item::Expect { line, scope: Scope::Source(row, from), wants } = item else { continue };
        let found = judged.iter().find(|((f, t, _), _)| f == from && *t == scenario.rows[*row].to);
        let (_, j) = found.unwrap_or_else(|| panic!("line {line}: tshark knows no stream of {from}"));
        for (key, want) in wants {
            let (value, by) = want.split_once('~').unwrap_or((want, ""));
            let printed = match key.as_str() {
                "packets" => j.packets.to_string(),
                "rfc3550_lost" => j.lost.to_string(),
                "jitter_mean_ms" => format!("{:.3}", j.jitter_mean_ms),
                "jitter_max_ms" => format!("{:.3}", j.jitter_max_ms),
                // What tshark does not print.
                _ => continue,
            };
            if value != printed {
                let _ = writeln!(wrong, "line {line}: {key} of {from} is {printed} by tshark");
            }
            assert!(!key.starts_with("jitter") || by == "0.0005", "line {line}: {key} to the printed digit");
            told += 1;
        }
    }
    assert_eq!(wrong, "");
    assert!(told >= 32, "only {told} figures of tshark");
}

/// A stream of one sender, drawn at random.
#[derive(Clone, Debug)]
struct Stream {
    payload_type: u8,
    ticks: u32,
    every_us: u64,
    first: u16,
    timestamp: u32,
    packets: u64,
    jitter_us: u64,
    lost_pct: u64,
    twice_pct: u64,
    late_pct: u64,
    seed: u64,
}

fn stream() -> impl Strategy<Value = Stream> {
    // Payload type, ticks a datagram, its length: the clock is a whole number of kHz, which is all
    // that tshark reckons with.
    let kinds = prop::sample::select(vec![
        (0u8, 160u32, 20_000u64),
        (8, 80, 10_000),
        (9, 160, 20_000),
        (6, 320, 20_000),
        (14, 2160, 24_000),
        (26, 3600, 40_000),
        (33, 450, 5_000),
    ]);
    (
        kinds,
        any::<u16>(),
        prop_oneof![any::<u32>(), u32::MAX - 10_000..u32::MAX],
        20u64..400,
        0u64..8_000,
        0u64..20,
        0u64..10,
        (0u64..10, any::<u64>()),
    )
        .prop_map(
            |(
                (payload_type, ticks, every_us),
                first,
                timestamp,
                packets,
                jitter_us,
                lost_pct,
                twice_pct,
                (late_pct, seed),
            )| Stream {
                payload_type,
                ticks,
                every_us,
                // Where late numbers come around the wrap, tshark counts it twice: 65,536 more lost.
                first: if late_pct > 0 { first % 60_000 } else { first },
                timestamp,
                packets,
                jitter_us,
                lost_pct,
                twice_pct,
                late_pct,
                seed,
            },
        )
}

impl Stream {
    /// What arrives of it, and when. The first and the last number arrive, once and in order: at the
    /// ends tshark and RFC 3550 count differently.
    fn arrivals(&self) -> Vec<(u64, Vec<u8>)> {
        let mut noise = payload::noise(self.seed, self.packets as usize * 4).into_iter();
        let mut drawn = |below: u64| u64::from(noise.next().unwrap_or(0)) * below / 256;
        let mut out = Vec::new();
        for i in 0..self.packets {
            let inner = (1..self.packets - 1).contains(&i);
            let (kind, jitter) = (drawn(100), drawn(self.jitter_us * 1000 + 1));
            if inner && kind < self.lost_pct {
                continue;
            }
            let late = inner && i + 3 < self.packets && drawn(100) < self.late_pct;
            let jitter = jitter + if late { self.every_us * 2500 } else { 0 };
            // The last comes after all that was held up.
            let end = if i + 1 == self.packets { self.jitter_us * 1000 + self.every_us * 3000 } else { 0 };
            let at = i * self.every_us * 1000 + if inner { jitter } else { end };
            let mut b = vec![0x80, self.payload_type];
            b.extend(self.first.wrapping_add(i as u16).to_be_bytes());
            b.extend(self.timestamp.wrapping_add(i as u32 * self.ticks).to_be_bytes());
            b.extend(0x1234_5678u32.to_be_bytes());
            b.extend(payload::noise(self.seed ^ i, 40));
            if inner && drawn(100) < self.twice_pct {
                out.push((at + self.every_us * 100, b.clone()));
            }
            out.push((at, b));
        }
        out.sort_by_key(|(at, _)| *at);
        out
    }
}

proptest! {
    // Each case is up to 40 streams and one run of tshark.
    #![proptest_config(ProptestConfig { cases: 8, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() })]

    /// Streams with losses, duplicates, late datagrams, wraps and jitter of all kinds.
    #[test]
    fn random_streams_have_the_figures_of_tshark(streams in prop::collection::vec(stream(), 20..40)) {
        if !has(test_name!(), "tshark", "--version") {
            return Ok(());
        }
        let to = Endpoint::new([239, 1, 1, 1].into(), 5004);
        let mut packets = Vec::new();
        for (i, s) in streams.iter().enumerate() {
            let from = Endpoint::new([10, 0, 1, i as u8 + 1].into(), 5000);
            for (at, payload) in s.arrivals() {
                let mut bytes = Vec::new();
                ip::build(&mut bytes, (from, to), (1, 0), &payload, payload.len()).expect("one family");
                packets.push(Packet { time_ns: 1_700_000_000_000_000_000 + at, bytes });
            }
        }
        packets.sort_by_key(|p| p.time_ns);
        let folder = folder();
        let file = folder.path().join("random.pcap");
        pcap::write(&file, &packets);
        let judged = judge_streams(&file, &[to.port]);
        prop_assert_eq!(judged.len(), streams.len());
        let wrong = differences(&replay::model(&packets), &judged);
        let which: Vec<&Stream> = wrong.lines().filter_map(|l| {
            let host: usize = l.split('.').nth(3)?.split(':').next()?.parse().ok()?;
            streams.get(host - 1)
        }).collect();
        prop_assert!(wrong.is_empty(), "{}\n{:#?}", wrong, which);
    }
}

/// Sends datagrams to a group at their times, from a port of its own.
fn send(port: u16, to: Endpoint, arrivals: &[(u64, Vec<u8>)]) {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).expect("open a sender");
    let began = Instant::now();
    for (at, payload) in arrivals {
        std::thread::sleep(Duration::from_nanos(*at).saturating_sub(began.elapsed()));
        socket.send_to(payload, (to.ip, to.port)).expect("send to the group");
    }
}

/// mcscope receives by its own sockets what tcpdump captures on the same interface: both get the
/// kernel's receive times, and tshark reads the capture.
#[test]
fn live_streams_have_the_figures_of_tshark() {
    if !has(test_name!(), "ffmpeg", "-version") {
        return;
    }
    let Some(lab) = lab!(Options::default()) else { return };
    let Some(judge) = Judge::listen(test_name!(), &lab, 2, "net0") else { return };
    let to = Endpoint::new([239, 1, 1, 1].into(), 5004);
    let mut live = Live::join(&lab, to);
    let own = |payload_type, ticks, every_us, lost_pct, twice_pct, late_pct, seed| Stream {
        payload_type,
        ticks,
        every_us,
        first: 65_400,
        timestamp: u32::MAX - 5000,
        packets: 2_000_000 / every_us,
        jitter_us: 3000,
        lost_pct,
        twice_pct,
        late_pct,
        seed,
    };
    // Where late numbers come around the wrap, tshark counts it twice.
    let late = Stream { first: 7, ..own(0, 80, 10_000, 5, 3, 5, 3) };
    let streams = [own(0, 160, 20_000, 0, 0, 0, 1), own(33, 450, 5_000, 10, 5, 0, 2), late];
    let sandbox = Sandbox::new();
    let sines = ["-ar 8000 -ac 1 -c:a pcm_mulaw", "-ar 8000 -ac 1 -c:a pcm_alaw"];
    std::thread::scope(|scope| {
        for (i, s) in streams.iter().enumerate() {
            let lab = &lab;
            scope.spawn(move || lab.inside(1, || send(6000 + i as u16, to, &s.arrivals())));
        }
        for (i, codec) in sines.into_iter().enumerate() {
            let (lab, sandbox) = (&lab, &sandbox);
            scope.spawn(move || {
                let mut command = sandbox.command("ffmpeg");
                command.args("-nostdin -loglevel error -re -f lavfi -i sine=frequency=440 -t 2".split(' '));
                command.args(codec.split(' ')).args(["-f", "rtp"]);
                command.arg(format!("rtp://239.1.1.1:5004?localport={}&ttl=1", 7000 + 2 * i));
                lab.enter(1, &mut command);
                sandbox.run(command).code(0);
            });
        }
    });
    let folder = folder();
    let file = folder.path().join("live.pcap");
    judge.save(&file);
    let judged = judge_streams(&file, &[to.port]);
    assert_eq!(judged.len(), streams.len() + sines.len(), "{judged:#?}");
    let sent: u64 = judged.values().map(|j| j.packets).sum();
    live.until(sent);
    assert_eq!(differences(&live.model, &judged), "");
}

/// The engine's own sockets and the model behind them, joined to one group in host 2.
struct Live {
    engine: Engine,
    model: Model,
}

impl Live {
    #[track_caller]
    fn join(lab: &Lab, to: Endpoint) -> Live {
        let engine = lab.inside(2, || {
            Engine::start(iface::list().expect("interfaces"), EngineOptions::default())
                .expect("start the engine")
        });
        let m = Membership { group: to.ip, port: to.port, iface: "net0".into(), filter: SourceFilter::Any };
        let (id, m) = (MembershipId(0), Arc::new(m));
        let now = mcscope::net::clock::now();
        let mut model = Model::new(Settings { keep_packets: false }, now);
        model.add(id, m.clone(), Origin::User, None);
        assert!(engine.command(EngineCommand::Join { id, membership: m }));
        let until = Instant::now() + DEADLINE;
        loop {
            match engine.updates().recv_deadline(until) {
                Ok(Update::Joined(id, buffer)) => {
                    model.joined(id, buffer, mcscope::net::clock::now());
                    return Live { engine, model };
                }
                Ok(Update::Failed { error, .. }) => panic!("{error}"),
                Ok(_) => {}
                Err(e) => panic!("no membership: {e}"),
            }
        }
    }

    /// Takes what was received until there are this many datagrams, and ends the waiting for more.
    #[track_caller]
    fn until(&mut self, packets: u64) {
        let until = Instant::now() + DEADLINE;
        while self.model.totals().counters.packets < packets {
            let batch = self.engine.batches().recv_deadline(until);
            let batch = batch.unwrap_or_else(|e| panic!("{:?} of {packets}: {e}", self.model.totals()));
            self.model.apply(&batch);
            self.engine.recycle(batch);
        }
        self.model.finish();
    }
}
