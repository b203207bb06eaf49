//! MPEG transport streams: tshark's continuity analysis (`mp2t.analysis.skips`) and ffmpeg's
//! `Continuity check failed` say how many packets of a PID are missing. ffmpeg makes the stream, it is
//! damaged here in ways that are known, and all three must say the same.
//!
//! All three reckon modulo 16, PID by PID: sixteen lost in a row are none, and what comes late is a loss
//! of fifteen less. Where the definitions differ (also told in `src/model/continuity.rs`):
//!
//! | | mcscope | tshark 4 | ffmpeg 5 |
//! | --- | --- | --- | --- |
//! | a number repeated (legal, once) | a duplicate | nothing | a failed check, 15 ahead |
//! | fifteen lost in a row | 15 missing: the number is the last one again, its bytes are others | nothing | 15 ahead |
//! | a packet without payload | not looked at: it has no number of its own | taken for one with: a loss around it is one less | compared: a loss around it is two |
//! | the discontinuity indicator | no loss | loss | no loss |
//! | a packet marked as damaged | missing: its number is not to be trusted | followed | followed |
//! | PIDs that no table names | followed | followed | not |

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use mcscope::base::group::Endpoint;
use mcscope::model::sequence::SeqCounts;
use mcscope::wire::ip;
use proptest::prelude::*;

use crate::pcap::{self, Packet};
use crate::support::netns::done;
use crate::{has, replay};

/// Length of a transport packet, and how many of them a datagram carries.
const LEN: usize = 188;
const PER_DATAGRAM: usize = 7;
/// The stuffing's PID.
const NULL: u16 = 0x1fff;
/// ffmpeg follows a PID once a table named it, and reads what is before that twice: this much is whole.
const WHOLE: usize = 700;

type Ts = [u8; LEN];

fn pid(p: &Ts) -> u16 {
    u16::from_be_bytes([p[1], p[2]]) & 0x1fff
}

fn has_payload(p: &Ts) -> bool {
    p[3] & 0x10 != 0
}

fn counter(p: &Ts) -> u8 {
    p[3] & 0x0f
}

/// A picture and two sounds, stuffed to a constant rate: six PIDs and the stuffing's, packets without
/// payload for the clock.
fn stream() -> &'static [Ts] {
    static MADE: OnceLock<Vec<Ts>> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = folder();
        let file = folder.path().join("made.ts");
        let mut command = Command::new("ffmpeg");
        command.args("-nostdin -loglevel error -f lavfi -i testsrc=size=320x240:rate=25".split(' '));
        command.args("-f lavfi -i sine=frequency=440 -f lavfi -i sine=frequency=880 -t 4".split(' '));
        command.args("-map 0 -map 1 -map 2 -c:v mpeg2video -b:v 800k -c:a mp2".split(' '));
        command.args("-muxrate 2000k -f mpegts".split(' ')).arg(&file);
        done(command, "the maker");
        let bytes = std::fs::read(&file).expect("ffmpeg wrote it");
        let (all, rest) = bytes.as_chunks::<LEN>();
        assert!(rest.is_empty() && all.len() > 4 * WHOLE, "{} packets", all.len());
        let of = |is: &dyn Fn(&Ts) -> bool| all.iter().filter(|p| is(p)).count();
        assert!(of(&|p| pid(p) == NULL) > 500, "no stuffing");
        assert!(of(&|p| !has_payload(p)) > 50, "no packets without payload");
        for wanted in [0, 0x11, 0x1000, 256, 257, 258] {
            assert!(of(&|p| pid(p) == wanted) > 8, "no PID {wanted}");
        }
        all.to_vec()
    })
}

fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("mcscope-judges-ts-").tempdir().expect("make a temp folder")
}

/// What a judge says of a stream: packets missing, in how many places, numbers repeated (0 where it does
/// not tell).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Said {
    missing: u64,
    gaps: u64,
    repeated: u64,
}

impl Said {
    fn ours(c: SeqCounts) -> Said {
        assert_eq!((c.lost_here, c.lost_unclear, c.reordered), (0, 0, 0), "{c:?}");
        Said { missing: c.lost, gaps: c.gaps, repeated: c.duplicates }
    }
}

/// A damaged stream, as the datagrams that arrive of it.
struct Arrived(Vec<Vec<Ts>>);

impl Arrived {
    /// Seven packets in each datagram.
    fn of(packets: &[Ts]) -> Arrived {
        Arrived(packets.chunks(PER_DATAGRAM).map(<[Ts]>::to_vec).collect())
    }

    /// What the model, tshark and ffmpeg say of it.
    fn said(&self) -> (Said, Said, Said) {
        let (from, to) =
            (Endpoint::new([10, 0, 1, 1].into(), 5000), Endpoint::new([239, 1, 1, 1].into(), 1234));
        let mut captured = Vec::new();
        for (i, d) in self.0.iter().enumerate() {
            let payload = d.concat();
            let mut bytes = Vec::new();
            ip::build(&mut bytes, (from, to), (1, 0), &payload, payload.len()).expect("one family");
            let time_ns = 1_700_000_000_000_000_000 + i as u64 * 5_000_000;
            captured.push(Packet { time_ns, bytes });
        }
        let model = replay::model(&captured);
        let source = replay::source(&model, to, from).expect("a sender");
        let ours = source.continuity().expect("its counters are followed");
        let folder = folder();
        let file = folder.path().join("arrived.pcap");
        pcap::write(&file, &captured);
        (Said::ours(ours), tshark(&file, to.port), ffmpeg(folder.path(), &self.0.concat()))
    }
}

/// tshark's analysis: a field for each place where packets are missing.
fn tshark(file: &Path, port: u16) -> Said {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(file).arg("-n").arg("-d").arg(format!("udp.port=={port},mp2t"));
    command.args(["-T", "fields", "-e", "mp2t.analysis.skips"]);
    command.env("HOME", file.parent().expect("the file has a folder"));
    let printed = done(command, "the judge");
    let mut said = Said::default();
    for skips in printed.split([',', '\n']).filter(|s| !s.is_empty()) {
        said.missing += skips.trim().parse::<u64>().expect("a number of packets");
        said.gaps += 1;
    }
    said
}

/// ffmpeg's check, each line of it (`repeat`). It reads from a pipe: in a file it would go back and look at
/// the end twice.
fn ffmpeg(folder: &Path, packets: &[Ts]) -> Said {
    let (made, log) = (folder.join("arrived.ts"), folder.join("ffmpeg.log"));
    std::fs::write(&made, packets.concat()).expect("write the stream");
    let mut cat = Command::new("cat");
    let mut cat = cat.arg(&made).stdout(Stdio::piped()).spawn().expect("run cat");
    let mut command = Command::new("ffmpeg");
    command.args("-nostdin -v repeat+debug -f mpegts -i pipe:0 -map 0 -c copy -f null -".split(' '));
    command.stdin(cat.stdout.take().expect("it has one")).stdout(Stdio::null());
    command.stderr(std::fs::File::create(&log).expect("make a log"));
    let status = command.status().expect("run ffmpeg");
    cat.wait().expect("cat ends");
    let log = String::from_utf8_lossy(&std::fs::read(&log).expect("read the log")).into_owned();
    assert!(status.success(), "{status}: {log}");
    let mut said = Said::default();
    for line in log.lines().filter(|l| l.contains("Continuity check failed")) {
        // … for pid 256 expected 7 got 9
        let after = |word: &str| -> u64 {
            let mut words = line.split_whitespace().skip_while(|w| *w != word);
            words.nth(1).and_then(|w| w.parse().ok()).unwrap_or_else(|| panic!("not understood: {line:?}"))
        };
        match (after("got") + 16 - after("expected")) % 16 {
            15 => said.repeated += 1,
            missing => {
                said.missing += missing;
                said.gaps += 1;
            }
        }
    }
    said
}

/// Whether the judges can be asked.
fn judges(test: &str) -> bool {
    has(test, "tshark", "--version") && has(test, "ffmpeg", "-version")
}

/// The stream without the packets that have no payload, which the three judge differently.
fn with_payload() -> Vec<Ts> {
    stream().iter().copied().filter(has_payload).collect()
}

/// Where the `n`th packet with payload of a PID stands, counted behind what has to be whole.
#[track_caller]
fn nth(packets: &[Ts], wanted: u16, n: usize) -> usize {
    let mut all = packets.iter().enumerate().skip(WHOLE).filter(|(_, p)| pid(p) == wanted && has_payload(p));
    all.nth(n).unwrap_or_else(|| panic!("PID {wanted} has no packet {n}")).0
}

/// Takes out `count` packets of a PID in a row.
#[track_caller]
fn lose(packets: &mut Vec<Ts>, wanted: u16, n: usize, count: usize) {
    let gone: Vec<usize> = (n..n + count).map(|n| nth(packets, wanted, n)).collect();
    for at in gone.into_iter().rev() {
        packets.remove(at);
    }
}

#[track_caller]
fn all_say(arrived: &Arrived, missing: u64, gaps: u64) {
    let want = Said { missing, gaps, repeated: 0 };
    assert_eq!(arrived.said(), (want, want, want), "mcscope, tshark, ffmpeg");
}

#[test]
fn a_whole_stream_with_stuffing_and_clock_packets_is_whole() {
    if !judges(test_name!()) {
        return;
    }
    // More than a hundred wraps of the counters.
    all_say(&Arrived::of(stream()), 0, 0);
}

#[test]
fn packets_lost_of_one_pid_are_missing_there() {
    if !judges(test_name!()) {
        return;
    }
    let mut packets = with_payload();
    for (wanted, n, count) in [(256, 10, 1), (256, 60, 3), (256, 100, 14), (257, 40, 2), (258, 7, 1)] {
        lose(&mut packets, wanted, n, count);
    }
    // Tables are numbered too.
    lose(&mut packets, 0, 3, 1);
    lose(&mut packets, 0x1000, 5, 2);
    lose(&mut packets, 0x11, 2, 1);
    // What is not numbered can be lost unseen.
    lose(&mut packets, NULL, 20, 30);
    all_say(&Arrived::of(&packets), 25, 8);
}

#[test]
fn sixteen_lost_in_a_row_are_unseen_by_all_and_seventeen_are_one() {
    if !judges(test_name!()) {
        return;
    }
    let mut packets = with_payload();
    lose(&mut packets, 256, 10, 16);
    lose(&mut packets, 257, 30, 17);
    all_say(&Arrived::of(&packets), 1, 1);
}

#[test]
fn fifteen_lost_in_a_row_are_told_from_a_number_repeated_by_their_bytes() {
    if !judges(test_name!()) {
        return;
    }
    let mut packets = with_payload();
    lose(&mut packets, 256, 10, 15);
    let missing = Said { missing: 15, gaps: 1, ..Said::default() };
    // ffmpeg names the number expected and the one that came, which are the same in both cases.
    let ahead = Said { repeated: 1, ..Said::default() };
    assert_eq!(Arrived::of(&packets).said(), (missing, Said::default(), ahead));
}

#[test]
fn a_lost_datagram_is_its_numbered_packets() {
    if !judges(test_name!()) {
        return;
    }
    let mut arrived = Arrived::of(&with_payload());
    let (mut missing, mut gaps) = (0, 0);
    for at in [600, 500, 400, 300, 200] {
        let gone = arrived.0.remove(at);
        let mut pids: Vec<u16> = gone.iter().map(pid).filter(|p| *p != NULL).collect();
        missing += pids.len() as u64;
        pids.sort_unstable();
        pids.dedup();
        gaps += pids.len() as u64;
    }
    assert!(missing > 15, "the datagrams held stuffing");
    all_say(&arrived, missing, gaps);
}

#[test]
fn a_packet_sent_twice_is_a_duplicate_wherever_the_datagrams_end() {
    if !judges(test_name!()) {
        return;
    }
    for shift in 0..PER_DATAGRAM {
        let mut packets = with_payload().split_off(shift);
        for n in [100, 64, 31, 12] {
            let at = nth(&packets, 256, n);
            packets.insert(at, packets[at]);
        }
        let repeated = Said { repeated: 4, ..Said::default() };
        assert_eq!(Arrived::of(&packets).said(), (repeated, Said::default(), repeated), "shifted by {shift}");
    }
}

#[test]
fn a_datagram_twice_in_a_row_is_no_loss_and_one_late_is_the_same_to_all() {
    if !judges(test_name!()) {
        return;
    }
    // The others see each PID step back in the second copy and call that missing.
    let mut arrived = Arrived::of(&with_payload());
    let numbered = |d: &[Ts]| d.iter().filter(|p| pid(p) != NULL).count() as u64;
    let at = (300..).find(|&i| numbered(&arrived.0[i]) == 7).expect("one without stuffing");
    arrived.0.insert(at, arrived.0[at].clone());
    let (ours, _, _) = arrived.said();
    assert_eq!(ours, Said { repeated: 7, ..Said::default() });
    // Two datagrams in the wrong order: with four bits no telling late from lost.
    let mut arrived = Arrived::of(&with_payload());
    arrived.0.swap(at, at + 1);
    let (ours, theirs, others) = arrived.said();
    assert!(ours.gaps >= 2 && ours.missing >= 14, "{ours:?}");
    assert_eq!((ours.missing, ours.gaps), (theirs.missing, theirs.gaps));
    assert_eq!(ours, others);
}

#[test]
fn a_loss_around_a_packet_without_payload_is_whole() {
    if !judges(test_name!()) {
        return;
    }
    let mut packets = stream().to_vec();
    // One before it and two after it.
    let without = |p: &Ts| pid(p) == 256 && !has_payload(p);
    let at = (WHOLE..packets.len()).find(|&i| without(&packets[i])).expect("the clock's packets");
    let before = (0..at).rev().find(|&i| pid(&packets[i]) == 256).expect("one before");
    assert!(has_payload(&packets[before]));
    let after: Vec<usize> =
        (at..packets.len()).filter(|&i| pid(&packets[i]) == 256).skip(1).take(2).collect();
    assert!(after.iter().all(|&i| has_payload(&packets[i])), "two with payload follow");
    for i in after.into_iter().rev().chain([before]) {
        packets.remove(i);
    }
    let (ours, theirs, others) = Arrived::of(&packets).said();
    assert_eq!(ours, Said { missing: 3, gaps: 1, repeated: 0 });
    assert_eq!(theirs.missing, 2, "tshark takes the packet for one of the missing");
    assert_eq!((others.missing, others.gaps), (3, 2), "ffmpeg sees it between them");
}

#[test]
fn a_jump_that_the_sender_announces_is_no_loss() {
    if !judges(test_name!()) {
        return;
    }
    // A splice: from here on all numbers of the PID are five ahead. The indicator is set in a packet with
    // an adaptation field.
    let mut packets = with_payload();
    let with_flags = |p: &Ts| pid(p) == 256 && p[3] & 0x20 != 0 && p[4] > 0;
    let at = (WHOLE..packets.len()).find(|&i| with_flags(&packets[i])).expect("an adaptation field");
    packets[at][5] |= 0x80;
    for p in packets[at..].iter_mut().filter(|p| pid(p) == 256) {
        p[3] = p[3] & 0xf0 | (counter(p) + 5) & 0x0f;
    }
    let (ours, theirs, others) = Arrived::of(&packets).said();
    assert_eq!((ours, others), (Said::default(), Said::default()));
    assert_eq!((theirs.missing, theirs.gaps), (5, 1), "tshark does not look at the indicator");
    // The jump may as well lead to the number that was the last one: no packet came twice.
    for p in packets[at..].iter_mut().filter(|p| pid(p) == 256) {
        p[3] = p[3] & 0xf0 | (counter(p) + 10) & 0x0f;
    }
    assert_eq!(Arrived::of(&packets).said(), Default::default());
}

#[test]
fn scrambled_packets_count_like_clear_ones() {
    if !judges(test_name!()) {
        return;
    }
    let mut packets = with_payload();
    for p in packets.iter_mut().skip(WHOLE).filter(|p| pid(p) == 256) {
        p[3] |= 0x80;
        let end = LEN;
        let start = if p[3] & 0x20 != 0 { 5 + usize::from(p[4]) } else { 4 };
        p[start..end].iter_mut().for_each(|b| *b = b.wrapping_mul(167) ^ 0x5a);
    }
    lose(&mut packets, 256, 50, 3);
    all_say(&Arrived::of(&packets), 3, 1);
}

#[test]
fn a_packet_marked_as_damaged_is_missing_and_one_that_breaks_the_rules_costs_no_other() {
    if !judges(test_name!()) {
        return;
    }
    let mut packets = with_payload();
    let at = nth(&packets, 256, 50);
    packets[at][1] |= 0x80;
    let (ours, theirs, others) = Arrived::of(&packets).said();
    assert_eq!(ours, Said { missing: 1, gaps: 1, repeated: 0 });
    assert_eq!((theirs, others), Default::default(), "they trust its header");
    // Stuffing that says it has neither adaptation field nor payload is to be discarded (2.4.3.3); what
    // follows it in the datagram is not.
    let mut packets = with_payload();
    for n in [10, 200, 400] {
        let at = nth(&packets, NULL, n);
        packets[at][3] &= 0x0f;
    }
    all_say(&Arrived::of(&packets), 0, 0);
}

proptest! {
    // Each case is a run of tshark and of ffmpeg.
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 0, failure_persistence: None, ..ProptestConfig::default() })]

    /// Packets and datagrams lost at random, up to every tenth.
    #[test]
    fn random_losses_are_what_tshark_and_ffmpeg_say(
        packet_pct in 0u64..10, datagram_pct in 0u64..10, seed in any::<u64>(),
    ) {
        if !judges(test_name!()) {
            return Ok(());
        }
        let mut noise = crate::payload::noise(seed, 16_384).into_iter();
        let mut drawn = |pct: u64| u64::from(noise.next().unwrap_or(255)) * 100 / 256 < pct;
        let mut packets = with_payload();
        let mut i = 0;
        packets.retain(|_| { i += 1; i < WHOLE || !drawn(packet_pct) });
        let mut arrived = Arrived::of(&packets);
        let mut i = 0;
        arrived.0.retain(|_| { i += 1; i < WHOLE / PER_DATAGRAM || !drawn(datagram_pct) });
        let (ours, theirs, others) = arrived.said();
        // Nothing is sent twice here: what looks so to the others is fifteen lost in a row.
        let turns = others.repeated;
        let all = |s: Said| (s.missing + 15 * turns, s.gaps + turns);
        prop_assert_eq!((ours.missing, ours.gaps, ours.repeated), (all(others).0, all(others).1, 0));
        prop_assert_eq!((ours.missing, ours.gaps), all(theirs));
        prop_assert!(packet_pct + datagram_pct < 2 || ours.missing > 0);
    }
}
