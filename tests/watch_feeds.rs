//! `mcscope watch --pair` between hosts: two streams as one feed.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use support::netns::{Lab, Options};
use support::program::{interrupt, last, of_type, run, until_total, watch};
use support::run::Sandbox;
use support::traffic::{Payload, Sending, Sent};

/// The same numbers on two networks at once, each leaving out its own.
fn on_two_ways(lab: &Lab, runs: [u64; 2]) -> [Sent; 2] {
    let way = |i: usize, drop_every| {
        let sending = Sending::to("239.1.1.1:5004").on(["net0", "net1"][i]).port(4001);
        sending.payload(Payload::Probe { run: runs[i] }).count(600).pps(2000).drop_every(drop_every)
    };
    let (a, b) = (way(0, 10), way(1, 15));
    lab.inside(1, || {
        std::thread::scope(|s| {
            let a = s.spawn(|| a.go());
            [b.go(), a.join().expect("the sender ends")]
        })
    })
}

#[test]
fn what_each_way_lost_and_what_no_merge_brings_back_is_exact() {
    let Some(lab) = lab!(Options { networks: 2, ..Options::default() }) else { return };
    let sandbox = Sandbox::new();
    let words = "--stats-only --rcvbuf 4MiB --pair 239.1.1.1%net0:5004 239.1.1.1%net1:5004";
    let mut program = watch(&sandbox, Some((&lab, 2)), words, 2);
    let [b, a] = on_two_ways(&lab, [7, 7]);
    assert_eq!((a.dropped, b.dropped), (60, 40));
    until_total(&mut program, 2 * 600 - 100);
    // A number is waited for a second before it is called lost.
    program
        .wait_json("all numbers are decided", |v| v["scope"] == "feed" && v["numbers"].as_u64() >= Some(590));
    let lines = interrupt(program).json();
    let feed = last(&lines, "feed", |_| true);
    // The last numbers may be left out on both, and then nothing tells that they were sent.
    let numbers = feed["numbers"].as_u64().expect("a number");
    assert!((597..=600).contains(&numbers), "{feed}");
    let n = |v: &serde_json::Value| v.as_u64().unwrap_or_else(|| panic!("{v} in {feed}"));
    let tail = 600 - numbers;
    assert!(n(&feed["a"]["lost"]) + tail >= 60 && n(&feed["a"]["lost"]) <= 60, "{feed}");
    assert!(n(&feed["b"]["lost"]) + tail >= 40 && n(&feed["b"]["lost"]) <= 40, "{feed}");
    assert!(n(&feed["lost_both"]) + tail >= 20 && n(&feed["lost_both"]) <= 20, "{feed}");
    assert_eq!(n(&feed["both"]), 600 - 60 - 40 + 20, "{feed}");
    assert_eq!((&feed["standing"], &feed["why"]), (&"comparing".into(), &serde_json::Value::Null));
    assert_eq!((&feed["a"]["iface"], &feed["b"]["iface"]), (&"net0".into(), &"net1".into()));
    assert_eq!(feed["a"]["source"], format!("{}:4001", lab.v4_on(0, 1)));
    let (min, mean, max) = (&feed["skew_min_ns"], &feed["skew_mean_ns"], &feed["skew_max_ns"]);
    assert!(min.as_i64() <= mean.as_i64() && mean.as_i64() <= max.as_i64(), "{feed}");
    assert!(max.as_i64().is_some_and(|ns| ns.abs() < 1_000_000_000), "{feed}");
    let events = of_type(&lines, "event");
    assert!(events.iter().any(|e| e["event"] == "feed_lost"), "{events:?}");
}

#[test]
fn two_streams_that_are_not_one_feed_say_why() {
    let Some(lab) = lab!(Options { networks: 2, ..Options::default() }) else { return };
    let sandbox = Sandbox::new();
    let words = "--stats-only --pair 239.1.1.1%net0:5004 239.1.1.1%net1:5004";
    let mut program = watch(&sandbox, Some((&lab, 2)), words, 2);
    program.wait_json("nobody was heard", |v| v["scope"] == "feed" && v["standing"] == "waiting");
    on_two_ways(&lab, [0x11, 0x22]);
    let apart = program.wait_json("they are apart", |v| v["scope"] == "feed" && v["standing"] == "apart");
    let why = apart["why"].as_str().expect("a reason");
    assert!(why.contains("0x11") && why.contains("0x22"), "{why}");
    assert!(apart["lost_both"].is_null() && apart["a"]["lost"].is_null(), "{apart}");
    interrupt(program);
}

#[test]
fn a_feed_of_one_stream_or_of_many_rows_is_refused() {
    let sandbox = Sandbox::new();
    let twice = run(&sandbox, None, "watch --pair 239.1.1.1%lo:5004 239.1.1.1%lo:5004 --duration 1s").code(2);
    assert!(twice.stderr.contains("A and B are the same stream"), "{}", twice.stderr);
    let many =
        run(&sandbox, None, "watch --pair 239.1.1.1+2%lo:5004 239.1.1.1%lo:5004 --duration 1s").code(2);
    assert!(many.stderr.contains("name one group and one interface"), "{}", many.stderr);
    run(&sandbox, None, "watch --pair 239.1.1.1%lo:5004").code(2);
}
