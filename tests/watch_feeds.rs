//! `mcscope watch` between hosts: two streams as one feed (`--pair`), two senders that should be one, and
//! groups that a session names.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use support::netns::{Lab, Options};
use support::program::{dashboard, interrupt, last, of_type, run, until_total, wait_row, watch};
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
    let csv = run(&sandbox, None, "watch --format csv --pair 239.1.1.1%lo:5004 239.1.1.2%lo:5004").code(2);
    assert!(csv.stderr.contains("--pair has no rows in CSV"), "{}", csv.stderr);
}

/// A SAP announcement (RFC 2974) of one RTP stream.
fn sap(deletion: bool) -> Vec<u8> {
    let mut b = vec![0x20 | if deletion { 4 } else { 0 }, 0, 0x12, 0x34, 10, 99, 0, 1];
    b.extend(b"application/sdp\0v=0\r\no=- 1 1 IN IP4 10.99.0.1\r\ns=Studio A\r\nt=0 0\r\n");
    b.extend(b"c=IN IP4 239.69.1.1/32\r\nm=audio 5004 RTP/AVP 97\r\na=rtpmap:97 L24/48000/2\r\n");
    b
}

#[test]
fn a_session_names_its_group_and_two_senders_of_one_stream_are_pointed_out() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let words = "--stats-only 239.69.1.1%net0:5004 224.2.127.254%net0:9875";
    let mut program = watch(&sandbox, Some((&lab, 2)), words, 2);
    let announce = |deletion| {
        let sending = Sending::to("224.2.127.254:9875").on("net0").port(9875);
        lab.inside(1, || sending.payload(Payload::Bytes(sap(deletion))).sizes(&[sap(deletion).len()]).go())
    };
    announce(false);
    lab.inside(1, || {
        let socket = |last: u16| {
            let s = std::net::UdpSocket::bind((lab.v4(1), 6000 + last)).expect("a socket");
            s.connect("239.69.1.1:5004").expect("a route for multicast");
            s
        };
        let two = [socket(1), socket(2)];
        for n in 0..200u16 {
            for (i, s) in two.iter().enumerate() {
                let mut b = vec![0x80, 97];
                b.extend((n + 500 * i as u16).to_be_bytes());
                b.extend(u32::from(n).to_be_bytes());
                b.extend(0x5a01u32.to_be_bytes());
                b.resize(100, n as u8);
                s.send(&b).expect("sent");
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    });
    let group = program.wait_json("the group has notes and a name", |v| {
        v["type"] == "stats" && v["scope"] == "group" && v["name"] == "Studio A" && !v["notes"][0].is_null()
    });
    assert_eq!(group["notes"][0], "two senders on one group: same SSRC 0x5a01, same payload type");
    announce(true);
    program.wait_json("the session is deleted", |v| {
        v["event"] == "session" && v["text"].as_str().is_some_and(|t| t.contains("deleted"))
    });
    let lines = interrupt(program).json();
    let conflicts = of_type(&lines, "event").iter().filter(|e| e["event"] == "conflict").count();
    assert_eq!(conflicts, 1, "told once");
}

#[test]
fn on_the_wire_alone_a_session_names_its_group_and_one_stream_on_two_groups_is_pointed_out() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let mut program = watch(&sandbox, Some((&lab, 2)), "--no-join --wire --stats-only", 0);
    program.wait_json("the tap", |v| v["event"] == "tap");
    lab.inside(1, || {
        Sending::to("224.2.127.254:9875")
            .on("net0")
            .port(9875)
            .payload(Payload::Bytes(sap(false)))
            .sizes(&[sap(false).len()])
            .go();
        let s = std::net::UdpSocket::bind((lab.v4(1), 6001)).expect("a socket");
        for n in 0..200u16 {
            let mut b = vec![0x80, 97];
            b.extend(n.to_be_bytes());
            b.extend((u32::from(n) * 480).to_be_bytes());
            b.extend(0x1234_5a01u32.to_be_bytes());
            b.resize(100, n as u8);
            for to in ["239.69.1.1:5004", "239.69.1.2:5004"] {
                s.send_to(&b, to).expect("sent");
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    });
    let group = program.wait_json("a name and a note", |v| {
        v["scope"] == "group"
            && v["group"] == "239.69.1.1"
            && v["name"] == "Studio A"
            && !v["notes"][0].is_null()
    });
    assert_eq!(group["joined"], false, "{group}");
    let from = format!("{}:6001", lab.v4(1));
    let note = format!(
        "{from} sends the same stream to 239.69.1.2:5004 on net0: same SSRC 0x12345a01, numbers in step"
    );
    assert_eq!(group["notes"][0], note);
    interrupt(program);
}

#[test]
fn the_dashboard_compares_from_the_start_what_is_named_as_a_feed() {
    let Some(lab) = lab!(Options { networks: 2, ..Options::default() }) else { return };
    let sandbox = Sandbox::new();
    let words = "--pair 239.1.1.1%net0:5004 239.1.1.1%net1:5004";
    let mut term = dashboard(&sandbox, Some((&lab, 2)), words, (36, 120));
    wait_row(&mut term, &["239.1.1.1", "net0"]);
    wait_row(&mut term, &["239.1.1.1", "net1"]);
    on_two_ways(&lab, [7, 7]);
    term.type_keys("2");
    term.wait_text("Feed: two streams as one");
    term.wait_text("lost on both; the merge makes up for");
    term.type_keys("q");
    let twice = run(&sandbox, None, "--pair 239.1.1.1%lo:5004 239.1.1.1+2%lo:5004").code(2);
    assert!(twice.stderr.contains("name one group and one interface"), "{}", twice.stderr);
    run(&sandbox, None, "--demo --pair 239.1.1.1%lo:5004 239.1.1.2%lo:5004").code(2);
    let joins = run(&sandbox, None, "watch --no-join --pair 239.1.1.1%lo:5004 239.1.1.2%lo:5004").code(2);
    assert!(joins.stderr.contains("leave --no-join out"), "{}", joins.stderr);
}
