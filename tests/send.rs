//! `mcscope send` as a program: what leaves the host is what was asked for, to the datagram and the
//! byte, and what could not be sent is told with its remedy.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::net::SocketAddr;
use std::time::Instant;

use serde_json::Value;

use mcscope::wire::probe::{Kind, Probe};
use support::judge::Judge;
use support::netns::{Lab, Options};
use support::program::{interrupt, last, of_type, run, start, until_total, watch};
use support::run::{Outcome, Sandbox};
use support::traffic::{Listener, total};

/// The lab of most tests here, and a plain listener in host 2 for each of these groups.
fn listening<const N: usize>(test: &str, groups: [&str; N]) -> Option<(Lab, Sandbox, [Listener; N])> {
    let lab = Lab::new(test, Options::default())?;
    let listeners = lab.inside(2, || groups.map(|g| Listener::join(g, "net0")));
    Some((lab, Sandbox::new(), listeners))
}

/// Runs `mcscope send` in host 1 with these arguments, the first of them the group.
#[track_caller]
fn send(sandbox: &Sandbox, lab: &Lab, args: &[&str]) -> Outcome {
    let mut command = sandbox.mcscope(["send"].iter().chain(args));
    lab.enter(1, &mut command);
    sandbox.run(command)
}

/// When packets arrived at the kernel, in nanoseconds since the first, from the lines of `watch`.
fn arrivals(lines: &[Value]) -> Vec<u64> {
    let ns = |p: &Value| {
        let t = p["time"].as_str().expect("a time");
        // The time of day: no test runs for a day, and midnight is taken care of below.
        let of = |from: usize, to: usize| t[from..to].parse::<u64>().expect("digits");
        (of(11, 13) * 3600 + of(14, 16) * 60 + of(17, 19)) * 1_000_000_000 + of(20, 29)
    };
    let all: Vec<u64> = of_type(lines, "packet").into_iter().map(ns).collect();
    let day = 86_400_000_000_000;
    all.iter().map(|t| (t + day - all[0]) % day).collect()
}

#[test]
fn texts_hex_and_files_are_sent_as_they_are_from_the_port_that_was_asked_for() {
    let Some((lab, sandbox, [v4, v6])) = listening(test_name!(), ["239.1.1.1:5004", "[ff15::1]:5004"]) else {
        return;
    };
    let every_byte: Vec<u8> = (0..=255).collect();
    let file = sandbox.write("work/message.bin", &every_byte);
    let file = file.to_str().expect("a path in UTF-8");
    let cases: [(&[&str], &[u8]); 7] = [
        (&["--text", r"tab\t nul\0 \x41 \u{e4} \\ end\n"], "tab\t nul\0 A ä \\ end\n".as_bytes()),
        (&["--hex", "de ad BE:ef"], &[0xde, 0xad, 0xbe, 0xef]),
        (&["--file", file], &every_byte),
        (&["--text", ""], b""),
        (&["--text", "abcdef", "--size", "3"], b"abc"),
        (&["--text", "ab", "--size", "4"], b"ab\0\0"),
        (&["--text", "x", "--source-port", "9999"], b"x"),
    ];
    for (args, payload) in cases {
        for (listener, group, from) in [
            (&v4, "239.1.1.1%net0:5004", lab.v4(1).to_string()),
            (&v6, "[ff15::1%net0]:5004", format!("[{}]", lab.v6(1))),
        ] {
            let outcome = send(&sandbox, &lab, &[&[group], args].concat()).code(0);
            let heard = listener.wait();
            assert_eq!(heard.payload, payload, "{outcome}");
            assert!(heard.from.to_string().starts_with(&from), "from {}\n{outcome}", heard.from);
            // What it says of itself is what was heard.
            assert!(outcome.stdout.contains(&format!("from {}: 1 packet sent", heard.from)), "{outcome}");
            if args.contains(&"9999") {
                assert_eq!(heard.from.port(), 9999);
            }
        }
    }
}

#[test]
fn counts_and_sizes_are_what_the_judge_sees_on_the_wire() {
    let Some(lab) = lab!(Options::default()) else { return };
    let Some(judge) = Judge::listen(test_name!(), &lab, 2, "net0") else { return };
    let sandbox = Sandbox::new();
    let cases: [(&str, &[&str], u64, Option<u64>); 5] = [
        ("239.1.1.1%net0:5001", &["-c", "40", "--rate", "1000"], 40, Some(40 * 44)),
        ("239.1.1.2%net0:5001", &["-c", "5", "--size", "65507", "--interval", "1ms"], 5, Some(5 * 65_507)),
        ("[ff15::1%net0]:5001", &["-c", "7", "--size", "3000", "--rate", "1k"], 7, Some(21_000)),
        ("239.1.1.3%net0:5001", &["--burst", "30"], 30, Some(30 * 44)),
        ("239.1.1.4%net0:5001", &["-c", "60", "--size", "100-200", "--rate", "1000"], 60, None),
    ];
    let mut said: Vec<(SocketAddr, SocketAddr, u64, Option<u64>)> = Vec::new();
    for (group, args, packets, bytes) in cases {
        let outcome = send(&sandbox, &lab, &[&[group], args].concat()).code(0);
        let words: Vec<&str> = outcome.stdout.split_whitespace().collect();
        assert_eq!((words[1], words[2], words[3]), ("by", "net0", "from"), "{outcome}");
        let to = words[0].parse().unwrap_or_else(|e| panic!("{e}\n{outcome}"));
        let from = words[4].trim_end_matches(':').parse().unwrap_or_else(|e| panic!("{e}\n{outcome}"));
        assert!(outcome.stdout.contains(&format!("{packets} packets sent")), "{outcome}");
        said.push((from, to, packets, bytes));
    }
    let judged = judge.counts();
    assert_eq!(judged.len(), said.len(), "{judged:#?}");
    for (from, to, packets, bytes) in said {
        let count = judged[&support::traffic::Flow { from, to }];
        assert_eq!(count.packets, packets, "{to}");
        match bytes {
            Some(bytes) => assert_eq!(count.bytes, bytes, "{to}"),
            // Sixty sizes at random between these are neither all the least nor all the largest.
            None => assert!((60 * 100 + 1..60 * 200).contains(&count.bytes), "{count:?}"),
        }
    }
}

#[test]
fn random_sizes_stay_in_their_range_and_differ() {
    let Some((lab, sandbox, [listener])) = listening(test_name!(), ["239.1.1.1:5004"]) else { return };
    let args = ["239.1.1.1%net0:5004", "-c", "50", "--size", "1000-1003", "--rate", "1000"];
    send(&sandbox, &lab, &args).code(0);
    let mut sizes: Vec<usize> = (0..50).map(|_| listener.wait().payload.len()).collect();
    sizes.sort_unstable();
    sizes.dedup();
    assert_eq!(sizes, [1000, 1001, 1002, 1003], "all sizes of the range and no others");
}

#[test]
fn ttl_and_dscp_are_on_the_wire_and_in_the_probe() {
    let Some((lab, sandbox, [v4, v6])) = listening(test_name!(), ["239.1.1.1:5004", "[ff15::1]:5004"]) else {
        return;
    };
    if std::process::Command::new("tcpdump").arg("--version").output().is_err()
        || support::required("MCSCOPE_TEST_IN_USER_NAMESPACE")
    {
        return support::skip(test_name!(), "tcpdump cannot run here", "MCSCOPE_REQUIRE_TOOLS");
    }
    let mut judge = sandbox.command("sh");
    judge.args(["-c", "exec tcpdump -n -l -v -i net0 -Z root udp port 5004 2>&1"]);
    lab.enter(2, &mut judge);
    let mut judge = sandbox.spawn(judge);
    judge.wait_line("the capture", |l| l.contains("listening on"));
    send(&sandbox, &lab, &["239.1.1.1%net0:5004", "--ttl", "5", "--dscp", "EF"]).code(0);
    // EF is 46, in the upper six bits of the byte: 0xb8.
    judge.wait_line("the IPv4 datagram", |l| l.contains("tos 0xb8") && l.contains("ttl 5"));
    send(&sandbox, &lab, &["[ff15::1%net0]:5004", "--ttl", "77", "--dscp", "10"]).code(0);
    judge.wait_line("the IPv6 datagram", |l| l.contains("class 0x28") && l.contains("hlim 77"));
    for (listener, ttl, dscp) in [(&v4, 5, 46), (&v6, 77, 10)] {
        let probe = Probe::parse(&listener.wait().payload).expect("a probe is sent by default");
        assert_eq!((probe.kind, probe.ttl, probe.dscp, probe.sequence), (Kind::Test, ttl, dscp, 0));
    }
}

#[test]
fn without_loop_the_own_host_does_not_hear_it() {
    let Some((lab, sandbox, [there])) = listening(test_name!(), ["239.1.1.1:5004"]) else { return };
    let here = lab.inside(1, || Listener::join("239.1.1.1:5004", "net0"));
    send(&sandbox, &lab, &["239.1.1.1%net0:5004", "--no-loop", "--text", "out"]).code(0);
    send(&sandbox, &lab, &["239.1.1.1%net0:5004", "--text", "both"]).code(0);
    assert_eq!([there.wait().payload, there.wait().payload], [&b"out"[..], b"both"]);
    assert_eq!(here.wait().payload, b"both", "the first thing heard at home");
}

#[test]
fn a_rate_is_kept_and_bursts_come_together() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let watching = || watch(&sandbox, Some((&lab, 2)), "239.1.1.1%net0:5004", 1);
    // Not faster on the whole than asked, by half at most for a start that was late on a busy machine;
    // how much slower depends on that machine.
    let mut program = watching();
    send(&sandbox, &lab, &["239.1.1.1%net0:5004", "-c", "101", "--rate", "500"]).code(0);
    until_total(&mut program, 101);
    let times = arrivals(&interrupt(program).json());
    assert_eq!(times.len(), 101);
    assert!(times[100] >= 100_000_000, "100 gaps at 500/s took {} ns", times[100]);
    // In bits: 44 bytes at 70,400 bit/s are 200 a second.
    let mut program = watching();
    send(&sandbox, &lab, &["239.1.1.1%net0:5004", "-c", "41", "--rate", "70400bit"]).code(0);
    until_total(&mut program, 41);
    let times = arrivals(&interrupt(program).json());
    assert!(times[40] >= 100_000_000, "40 gaps at 200/s took {} ns", times[40]);
    // Five at a time, 60 ms between the first of each.
    let mut program = watching();
    send(&sandbox, &lab, &["239.1.1.1%net0:5004", "-c", "20", "--burst", "5", "--interval", "60ms"]).code(0);
    until_total(&mut program, 20);
    let times = arrivals(&interrupt(program).json());
    let within: u64 = times.chunks(5).map(|burst| burst[4] - burst[0]).sum();
    assert!(times[19] - within > within, "not together: {times:?}");
    assert!(times[15] >= 90_000_000, "{times:?}");
}

#[test]
fn a_duration_ends_it_and_presets_send_all_their_steps() {
    let Some((lab, sandbox, [listener])) = listening(test_name!(), ["239.1.1.1:5004"]) else { return };
    let group = "239.1.1.1%net0:5004";
    let outcome = send(&sandbox, &lab, &[group, "--rate", "100", "--duration", "200ms"]).code(0);
    assert!(outcome.stdout.contains("20 packets sent"), "{outcome}");
    // One and ten a second, then bursts of 2, 4 … 64, each step at least once.
    let outcome = send(&sandbox, &lab, &[group, "--ladder", "20ms", "--limit", "10"]).code(0);
    assert!(outcome.stdout.contains("128 packets sent"), "{outcome}");
    let outcome = send(&sandbox, &lab, &[group, "--soak", "1500ms"]).code(0);
    assert!(outcome.stdout.contains("2 packets sent"), "{outcome}");
    assert_eq!(total(&listener.collect(150)).packets, 150);
    for wrong in [["--ladder", "-c", "3"], ["--soak", "--rate", "5"], ["--ladder", "--soak", "1s"]] {
        send(&sandbox, &lab, &[&[group], &wrong[..]].concat()).code(2).complains("cannot be used with");
    }
}

#[test]
fn impairment_is_exact_and_the_watcher_finds_it() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    for group in ["239.1.1.1%net0:5004", "[ff15::1%net0]:5004"] {
        for (drop, dup, swap) in [(10, 0, 0), (0, 7, 0), (0, 0, 4), (10, 7, 4)] {
            let mut program = watch(&sandbox, Some((&lab, 2)), &format!("--rcvbuf 4MiB {group}"), 1);
            let [d, u, s] = [drop, dup, swap].map(|n: u64| n.to_string());
            // The last number is none of those picked: the end of a loss can be seen.
            let args = [
                group,
                "-c",
                "401",
                "--rate",
                "4000",
                "--limit",
                "4000",
                "--drop-every",
                &d,
                "--dup-every",
                &u,
                "--swap-every",
                &s,
            ];
            let outcome = send(&sandbox, &lab, &args).code(0);
            let hits = |every: u64, n: u64| every > 0 && n.is_multiple_of(every);
            let numbers = 1..=401u64;
            let dropped = numbers.clone().filter(|&n| hits(drop, n)).count() as u64;
            let doubled = numbers.clone().filter(|&n| hits(dup, n) && !hits(drop, n)).count() as u64;
            let swapped =
                numbers.filter(|&n| hits(swap, n) && !hits(drop, n) && !hits(dup, n)).count() as u64;
            for (n, what) in [(dropped, "left out"), (doubled, "sent twice"), (swapped, "swapped")] {
                assert!(n == 0 || outcome.stdout.contains(&format!("{n} {what}")), "{outcome}");
            }
            let packets = 401 - dropped + doubled;
            assert!(outcome.stdout.contains(&format!("{packets} packets sent")), "{outcome}");
            until_total(&mut program, packets);
            let lines = interrupt(program).json();
            let source = last(&lines, "source", |_| true);
            let seen = ["packets", "lost", "duplicates"].map(|name| source[name].as_u64());
            assert_eq!(seen, [Some(packets), Some(dropped), Some(doubled)], "{group} {drop}/{dup}/{swap}");
            // A number held back whose successor is left out or doubled still comes after one higher.
            if drop == 0 && dup == 0 {
                assert_eq!(source["reordered"], swapped, "{group}");
            } else {
                assert!(source["reordered"].as_u64() <= Some(swapped + doubled), "{source}");
            }
        }
    }
}

#[test]
fn a_rate_above_the_guard_is_refused_until_the_guard_is_raised() {
    let Some((lab, sandbox, [listener])) = listening(test_name!(), ["239.1.1.1:5004"]) else { return };
    let group = "239.1.1.1%net0:5004";
    for rate in ["5000", "5k", "20Mbit"] {
        let outcome = send(&sandbox, &lab, &[group, "-c", "3", "--rate", rate]).code(2).complains("--limit ");
        assert!(outcome.stderr.contains("guard") && outcome.stdout.is_empty(), "{outcome}");
    }
    send(&sandbox, &lab, &[group, "-c", "3", "--interval", "1us"]).code(2).complains("--limit 1000000");
    assert!(listener.next(Instant::now()).is_none(), "nothing was sent");
    send(&sandbox, &lab, &[group, "-c", "3", "--rate", "5k", "--limit", "5000"]).code(0);
    assert_eq!(total(&listener.collect(3)).packets, 3);
}

#[test]
fn what_cannot_be_sent_is_counted_by_kind_with_its_remedy() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let group = "239.1.1.1%net0:5004";
    // Linux has no route for IPv6 multicast on the loopback.
    let outcome = send(&sandbox, &lab, &["[ff15::1%lo]:5004", "-c", "2"]).code(1).prints("failed 2 times");
    outcome.prints("unreachable").prints("ip -6 route add ff00::/8 dev lo");
    if lab.cmd(1, "nft").arg("-v").output().is_ok() {
        lab.sh(1, "nft 'add table inet t; add chain inet t o { type filter hook output priority 0; }'");
        lab.sh(1, "nft add rule inet t o meta l4proto udp drop");
        let outcome = send(&sandbox, &lab, &[group, "-c", "4", "--rate", "1000"]).code(1);
        outcome
            .prints("0 packets sent")
            .prints("failed 4 times")
            .prints("not permitted")
            .prints("nft list ruleset");
        lab.sh(1, "nft delete table inet t");
    } else {
        support::skip(test_name!(), "the refusal by a filter: nft is not installed", "MCSCOPE_REQUIRE_TOOLS");
    }
    lab.link(1, "net0", false);
    let outcome = send(&sandbox, &lab, &[group]).code(1).prints("failed 1 time: ").prints("unreachable");
    outcome.prints("is net0 up, with an address?");
}

#[test]
fn what_cannot_begin_ends_with_3_and_what_cannot_be_meant_with_2() {
    let Some(lab) = lab!(Options { networks: 2, ..Options::default() }) else { return };
    let sandbox = Sandbox::new();
    let group = "239.1.1.1%net0:5004";
    send(&sandbox, &lab, &["239.1.1.1%nosuch7:5004"])
        .code(3)
        .complains("no interface nosuch7")
        .complains("net0");
    send(&sandbox, &lab, &[group, "--source", "192.0.2.7"])
        .code(3)
        .complains("192.0.2.7")
        .complains("mcscope interfaces");
    send(&sandbox, &lab, &[group, "--file", "/nosuch"]).code(3).complains("/nosuch");
    // Two candidates: one has to be named.
    let outcome = send(&sandbox, &lab, &["239.1.1.1:5004"]).code(2);
    outcome.complains("one interface must be named").complains("239.1.1.1%net");
    for (args, reason) in [
        (["--text", r"a\q"], "^^ there is no such escape"),
        (["--hex", "abc"], "odd number"),
        (["--size", "65508"], "65507"),
        (["--size", "200-100"], "smaller comes first"),
        (["--dscp", "64"], "63"),
        (["--rate", "fast"], "--rate"),
        (["--count", "0"], "--count"),
        (["--ttl", "256"], "--ttl"),
        (["--source-port", "0"], "--source-port"),
    ] {
        let outcome = send(&sandbox, &lab, &[&[group], &args[..]].concat()).code(2).complains(reason);
        assert!(outcome.stdout.is_empty(), "{outcome}");
    }
    send(&sandbox, &lab, &[group, "--text", "a", "--hex", "00"]).code(2).complains("cannot be used with");
    send(&sandbox, &lab, &["10.0.0.1:5004"]).code(2).complains("not a multicast group");
    sandbox.write("work/large", vec![0; 65_508]);
    send(&sandbox, &lab, &[group, "--file", "large"]).code(2).complains("65507");
}

#[test]
fn a_signal_stops_it_with_what_was_sent_so_far() {
    let Some((lab, sandbox, [listener])) = listening(test_name!(), ["239.1.1.1:5004"]) else { return };
    for (signal, code) in [(libc::SIGINT, 130), (libc::SIGTERM, 143)] {
        let words = "send 239.1.1.1%net0:5004 --rate 100 --duration 1h";
        let program = start(&sandbox, Some((&lab, 1)), words);
        for _ in 0..3 {
            listener.wait();
        }
        program.signal(signal);
        let outcome = program.wait().code(code).prints("stopped").prints("packets sent");
        let sent = outcome.stdout.split(": ").nth(1).and_then(|t| t.split(' ').next()).expect("a number");
        let rest = sent.parse::<u64>().expect("a number") - 3;
        assert_eq!(total(&listener.collect(rest)).packets, rest, "{outcome}");
        assert!(listener.next(Instant::now()).is_none(), "it sent more than it said\n{outcome}");
    }
}

#[test]
fn a_range_of_groups_gets_each_its_own_numbers() {
    let Some((lab, sandbox, [a, b])) = listening(test_name!(), ["239.1.1.1:5004", "239.1.1.2:5004"]) else {
        return;
    };
    let outcome = send(&sandbox, &lab, &["239.1.1.1+2%net0:5004", "-c", "3", "--rate", "100"]).code(0);
    assert_eq!(outcome.stdout.matches("3 packets sent").count(), 2, "{outcome}");
    for listener in [&a, &b] {
        let numbers: Vec<u64> =
            (0..3).map(|_| Probe::parse(&listener.wait().payload).expect("a probe").sequence).collect();
        assert_eq!(numbers, [0, 1, 2]);
    }
    run(&sandbox, Some((&lab, 1)), "send 239.1.0.0+65%net0:5004").code(2).complains("64 at most");
}
