//! `mcscope watch` as a program: what it prints, in which form, and how it ends. On the loopback
//! interface, which needs no privilege.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;

use support::DEADLINE;
use support::netns::Options;
use support::program::{
    counted, interrupt, last, of_type, on_lo, own_group, run, sending_on_lo, start, until_total, watch,
};
use support::run::Sandbox;
use support::traffic::{Count, Payload, total};

/// The names of a line's fields.
fn fields(line: &Value) -> BTreeSet<&str> {
    line.as_object().expect("a line is an object").keys().map(String::as_str).collect()
}

/// The names of the fields that are null.
fn nulls(line: &Value) -> BTreeSet<&str> {
    let all = line.as_object().expect("a line is an object");
    all.iter().filter(|(_, v)| v.is_null()).map(|(k, _)| k.as_str()).collect()
}

fn set(words: &str) -> BTreeSet<&str> {
    words.split_whitespace().collect()
}

/// RFC 3339 in UTC with nanoseconds.
fn is_time(v: &Value) -> bool {
    let t = v.as_str().unwrap_or_default().as_bytes();
    t.len() == "2026-01-02T03:04:05.123456789Z".len()
        && t.iter().enumerate().all(|(i, c)| match i {
            4 | 7 => *c == b'-',
            10 => *c == b'T',
            13 | 16 => *c == b':',
            19 => *c == b'.',
            29 => *c == b'Z',
            _ => c.is_ascii_digit(),
        })
}

const STATS: &str = "v type time scope group port iface source sources name notes state packets payload_bytes ip_bytes \
    joined vlan groups wire_packets not_delivered bad_checksums groups_evicted tagged_packets \
    lag_p50_ns lag_p99_ns lag_max_ns \
    truncated fragmented size_min_bytes size_mean_bytes size_max_bytes lost lost_here lost_unclear \
    lost_at_start duplicates reordered socket_drops nic_drops not_analysed not_analysed_bytes ttl dscp \
    protocol ours gap_min_ns gap_mean_ns gap_max_ns first_time last_time packets_interval payload_interval_bytes packets_pps payload_bps ip_bps lines_dropped \
    loss_events longest_gap rfc3550_lost late_max late_max_ns restarts strays counter counter_by \
    counter_confidence confidence reason jitter_ns jitter_mean_ns jitter_max_ns clock_hz drift_ppm gap_p50_ns \
    gap_p90_ns gap_p99_ns gap_p999_ns silence_max_ns peak_1ms_packets peak_1ms_bps peak_10ms_packets \
    peak_10ms_bps peak_100ms_packets peak_100ms_bps ttl_min ttl_max ttl_changes dscp_changes ecn ecn_changes";

/// What `final` lines have beside these.
const SHAPE: &str = "sizes gaps streams reading";

/// What is null where nothing numbered was sent and nothing has a media clock.
const UNNUMBERED: &str = "lost lost_here lost_unclear lost_at_start duplicates reordered loss_events longest_gap \
    rfc3550_lost late_max late_max_ns restarts strays counter counter_by counter_confidence confidence reason \
    jitter_ns jitter_mean_ns jitter_max_ns clock_hz drift_ppm streams";

#[test]
fn json_lines_have_the_fields_units_and_nulls_of_the_specification() {
    let (sandbox, group) = (Sandbox::new(), own_group(21001));
    let mut program = watch(&sandbox, None, &format!("--snap 4 {}", on_lo(group)), 1);
    let sending = sending_on_lo(group).payload(Payload::Bytes(b"hello, world".into()));
    let sent = sending.sizes(&[12, 300, 0]).count(3).ttl(9).tos(0xb8).go();
    until_total(&mut program, 3);
    let lines = interrupt(program).json();

    let first = &lines[0];
    assert_eq!(first["type"], "joined", "a membership is told before anything else");
    assert_eq!(fields(first), set("v type time group port iface sources rcvbuf_bytes capture"));
    assert_eq!((&first["group"], &first["port"]), (&group.ip().to_string().into(), &21001.into()));
    assert_eq!((&first["iface"], &first["sources"]), (&"lo".into(), &Value::Array(vec![])));
    assert!(first["rcvbuf_bytes"].as_u64() > Some(1000), "{first}");
    for line in &lines {
        assert_eq!(line["v"], 1, "{line}");
        assert!(is_time(&line["time"]), "{line}");
    }

    let from = sent.counts.keys().next().expect("a flow").from;
    let events = of_type(&lines, "event");
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(fields(events[0]), set("v type time event group port iface source text"));
    assert_eq!(events[0]["event"], "source_appeared");
    assert_eq!(events[0]["source"], from.to_string());
    assert!(events[0]["text"].as_str().is_some_and(|t| t.contains(&from.to_string())), "{:?}", events[0]);

    let packets = of_type(&lines, "packet");
    let sizes: Vec<u64> = packets.iter().filter_map(|p| p["size_bytes"].as_u64()).collect();
    assert_eq!(sizes, [12, 300, 0]);
    let hex: Vec<&str> = packets.iter().filter_map(|p| p["payload_hex"].as_str()).collect();
    assert_eq!(hex, ["68656c6c", "68656c6c", ""], "the first --snap bytes");
    for p in &packets {
        assert_eq!(
            fields(p),
            set(
                "v type time group port iface joined source size_bytes ttl dscp ours protocol preview payload_hex"
            )
        );
        assert_eq!(nulls(p), set("protocol"), "{p}");
        assert_eq!((&p["group"], &p["port"]), (&group.ip().to_string().into(), &21001.into()));
        assert_eq!((&p["iface"], &p["source"]), (&"lo".into(), &from.to_string().into()));
        assert_eq!((&p["ttl"], &p["dscp"], &p["ours"]), (&9.into(), &46.into(), &false.into()));
    }
    assert!(packets[0]["preview"].as_str().is_some_and(|t| t.contains("hello, world")), "{}", packets[0]);

    let finals = of_type(&lines, "final");
    let scopes: Vec<&str> = finals.iter().filter_map(|f| f["scope"].as_str()).collect();
    assert_eq!(scopes, ["total", "interface", "group", "source"], "every scope once, and at the end");
    assert_eq!(lines[lines.len() - 4..].iter().collect::<Vec<_>>(), finals);
    for f in &finals {
        assert_eq!(fields(f), set(&format!("{STATS} {SHAPE}")));
        assert_eq!(counted(f), total(&sent.counts), "{f}");
        assert_eq!(f["ip_bytes"], 312 + 3 * 28, "{f}");
        assert_eq!((&f["size_min_bytes"], &f["size_mean_bytes"]), (&0.into(), &104.0.into()));
        assert_eq!((&f["size_max_bytes"], &f["truncated"]), (&300.into(), &0.into()));
        assert_eq!((&f["packets_interval"], &f["payload_interval_bytes"]), (&0.into(), &0.into()));
        let rate = |name: &str| f[name].as_f64().unwrap_or_else(|| panic!("{name} in {f}"));
        assert!(rate("packets_pps") > 0.0 && rate("ip_bps") > rate("payload_bps"), "{f}");
    }
    // Nothing numbered was sent: its loss cannot be known. What belongs to another scope is absent.
    let marks = "ttl dscp protocol ours ttl_min ttl_max ttl_changes dscp_changes ecn ecn_changes";
    let times = "gap_min_ns gap_mean_ns gap_max_ns first_time last_time gap_p50_ns gap_p90_ns gap_p99_ns \
        gap_p999_ns silence_max_ns peak_1ms_packets peak_1ms_bps peak_10ms_packets peak_10ms_bps \
        peak_100ms_packets peak_100ms_bps sizes gaps";
    // Without a tap nothing is known of the wire.
    let wire = "name vlan wire_packets not_delivered bad_checksums groups_evicted tagged_packets";
    let nothing_of =
        |more: &str| format!("{UNNUMBERED} {wire} notes joined source state {marks} {times} reading {more}");
    let lag = "lag_p50_ns lag_p99_ns lag_max_ns";
    assert_eq!(nulls(finals[0]), set(&nothing_of("group port iface")));
    let ns = |name: &str| finals[0][name].as_u64().unwrap_or_else(|| panic!("{name}"));
    // Not before it arrived, and not after it was told. Percentiles are right to 1/64.
    assert!(ns("lag_p50_ns") > 0 && ns("lag_p50_ns") <= ns("lag_p99_ns"));
    assert!(ns("lag_p99_ns") <= ns("lag_max_ns") / 63 * 64 + 64 && ns("lag_max_ns") < 60_000_000_000);
    assert_eq!(nulls(finals[1]), set(&nothing_of(&format!("group port lines_dropped {lag}"))));
    assert_eq!(
        nulls(finals[2]),
        set(&format!("{UNNUMBERED} {wire} groups {marks} source nic_drops lines_dropped reading {lag}"))
    );
    let elsewhere =
        "notes socket_drops nic_drops not_analysed not_analysed_bytes sources lines_dropped protocol";
    assert_eq!(nulls(finals[3]), set(&format!("{UNNUMBERED} {wire} groups {elsewhere} {lag}")));
    let sizes = |f: &Value| -> Vec<u64> {
        f["sizes"].as_array().expect("classes").iter().filter_map(|c| c["packets"].as_u64()).collect()
    };
    for f in &finals[2..] {
        assert_eq!(
            sizes(f),
            [2, 0, 0, 1, 0, 0, 0, 0, 0],
            "12, 300 and 0 bytes in classes up to 64, 128, 256, 512"
        );
        assert_eq!(f["sizes"][3]["to_bytes"], 512);
        let gaps: u64 = f["gaps"].as_array().expect("gaps").iter().filter_map(|g| g["count"].as_u64()).sum();
        assert_eq!(gaps, 2, "three datagrams have two gaps between them");
        assert!(f["gap_p99_ns"].as_u64() <= f["gap_max_ns"].as_u64(), "{f}");
        assert!(f["silence_max_ns"].as_u64() >= f["gap_max_ns"].as_u64(), "{f}");
        assert!(f["peak_1ms_bps"].as_f64() >= Some(300.0 * 8.0 * 1000.0), "300 bytes in a millisecond: {f}");
        assert!(f["peak_100ms_packets"].as_u64() <= Some(3), "{f}");
    }
    assert_eq!(
        (&finals[3]["ecn"], &finals[3]["ttl_min"], &finals[3]["ttl_max"]),
        (&0.into(), &9.into(), &9.into())
    );
    assert_eq!((&finals[3]["ttl_changes"], &finals[3]["dscp_changes"]), (&0.into(), &0.into()));
    let said = finals[3]["reading"].as_str().expect("a reading");
    assert!(said.contains("no counter is known in this payload"), "{said}");
    assert_eq!((&finals[2]["state"], &finals[3]["state"]), (&"live".into(), &"live".into()));
    assert_eq!((&finals[3]["ttl"], &finals[3]["dscp"]), (&9.into(), &46.into()));
    assert_eq!(finals[0]["lines_dropped"], 0);
    assert!(is_time(&finals[3]["first_time"]) && is_time(&finals[3]["last_time"]), "{}", finals[3]);
}

#[test]
fn statistics_come_every_interval_and_say_what_belongs_to_it() {
    let (sandbox, group) = (Sandbox::new(), own_group(21002));
    let mut program = watch(&sandbox, None, &format!("--stats-only {}", on_lo(group)), 1);
    // Whether anything came or not.
    for _ in 0..3 {
        program.wait_json("statistics of the whole", |v| v["type"] == "stats" && v["scope"] == "total");
    }
    for _ in 0..2 {
        let before = sending_on_lo(group).sizes(&[10]).count(5).go();
        assert_eq!(total(&before.counts).packets, 5);
    }
    until_total(&mut program, 10);
    program.wait_json("statistics of the quiet after it", |v| {
        v["type"] == "stats" && v["scope"] == "total" && v["packets_interval"] == 0
    });
    let lines = interrupt(program).json();
    assert!(of_type(&lines, "packet").is_empty(), "--stats-only prints no packets");
    let stats = of_type(&lines, "stats");
    assert!(stats.iter().all(|s| fields(s) == set(STATS)));
    for scope in ["total", "interface", "group"] {
        let of_scope = || stats.iter().filter(|s| s["scope"] == scope);
        let sum = |name: &str| of_scope().filter_map(|s| s[name].as_u64()).sum::<u64>();
        assert_eq!((sum("packets_interval"), sum("payload_interval_bytes")), (10, 100), "{scope}");
        let counts: Vec<u64> = of_scope().filter_map(|s| s["packets"].as_u64()).collect();
        assert!(counts.is_sorted() && counts.last() == Some(&10), "cumulative: {counts:?}");
    }
    // A group that is quiet and unchanged says nothing, the whole always does.
    let of = |scope: &str| stats.iter().filter(|s| s["scope"] == scope).count();
    assert!(of("group") < of("total"), "{} of {}", of("group"), of("total"));
    assert!(stats.iter().any(|s| s["packets_pps"].as_f64() > Some(0.0)));
}

#[test]
fn probes_are_recognised_and_a_source_says_what_it_lost() {
    let (sandbox, group) = (Sandbox::new(), own_group(21003));
    let mut program = watch(&sandbox, None, &on_lo(group), 1);
    let sending = sending_on_lo(group).payload(Payload::Probe { run: 5 }).count(300).pps(3000);
    let sent = sending.drop_every(10).dup_every(7).swap_every(4).go();
    until_total(&mut program, total(&sent.counts).packets);
    let lines = interrupt(program).json();
    for scope in ["source", "group", "interface", "total"] {
        let f = last(&lines, scope, |_| true);
        assert_eq!(counted(f), total(&sent.counts));
        assert_eq!(f["duplicates"], sent.duplicated, "{f}");
        assert_eq!(f["reordered"], sent.swapped, "{f}");
        // The last number is left out, and nobody can miss what comes after the highest seen.
        assert_eq!(f["lost"], sent.dropped - 1, "{f}");
    }
    let source = last(&lines, "source", |_| true);
    assert_eq!(source["protocol"], of_type(&lines, "packet")[0]["protocol"]);
    assert_eq!((&source["confidence"], &source["counter_by"]), (&"certain".into(), &"protocol".into()));
    assert!(source["reason"].as_str().is_some_and(|r| r.contains("mcscope's own mark")), "{source}");
    assert_eq!((&source["longest_gap"], &source["loss_events"]), (&1.into(), &source["lost"]), "{source}");
    assert!(source["late_max"].as_u64() > Some(0) && source["late_max_ns"].as_u64() > Some(0), "{source}");
    assert_eq!((&source["lost_here"], &source["lost_unclear"]), (&0.into(), &0.into()), "{source}");
    let said = format!("{} lost between sender and this host; nothing was dropped here", sent.dropped - 1);
    assert!(source["reading"].as_str().is_some_and(|r| r.starts_with(&said)), "{source}");
    let streams = source["streams"].as_array().expect("one run of the probe");
    assert_eq!((streams.len(), &streams[0]["lost"]), (1, &source["lost"]), "{streams:?}");
    assert!(streams[0]["rfc3550_lost"].is_null(), "only RTP has it");
    assert!(of_type(&lines, "packet")[0]["protocol"].is_string());
}

#[test]
fn what_the_user_says_of_a_stream_comes_before_recognition() {
    let (sandbox, group) = (Sandbox::new(), own_group(21014));
    let text = "[[protocol]]\nhex = \"4d 53\"\nname = \"house feed\"\nseq = \"seq:2:2:le\"\n";
    let settings = sandbox.write("settings.toml", text);
    let words = format!("--config {} --filter protocol=house-feed {}", settings.display(), on_lo(group));
    let mut program = watch(&sandbox, None, &words, 1);
    for n in [250u16, 251, 255, 256, 257] {
        let payload = [b"MS".as_slice(), &n.to_le_bytes()].concat();
        sending_on_lo(group).payload(Payload::Bytes(payload)).sizes(&[4]).count(1).port(30_014).go();
    }
    until_total(&mut program, 5);
    let lines = interrupt(program).json();
    let packets = of_type(&lines, "packet");
    assert_eq!(packets.len(), 5, "the filter knows the name");
    assert!(packets.iter().all(|p| p["protocol"] == "house-feed"), "{packets:?}");
    let source = last(&lines, "source", |_| true);
    assert_eq!((&source["lost"], &source["counter"]), (&3.into(), &"seq:2:2:le".into()), "{source}");
    assert_eq!((&source["counter_by"], &source["confidence"]), (&"user".into(), &"certain".into()));
    assert_eq!(source["reason"], "your rule says so (settings, line 1)");

    // The command line comes first.
    let words = format!("{words} --protocol :21014=seq:off --duration 1s");
    let program = watch(&sandbox, None, &words, 1);
    sending_on_lo(group).payload(Payload::Bytes(b"MS\x01\x00".to_vec())).count(3).go();
    let lines = program.wait().code(0).json();
    assert!(last(&lines, "source", |_| true)["lost"].is_null());

    let wrong = run(&sandbox, None, &format!("watch {} --protocol :21014=rpt", on_lo(group))).code(2);
    wrong.complains(":21014=rpt\n       ^^^ no protocol of this name is known");
    sandbox.write("settings.toml", "# rules\n[[protocol]]\nport = 1\nseq = \"seq:4:9\"\n");
    let wrong = run(&sandbox, None, &format!("watch --config {} {}", settings.display(), on_lo(group)));
    wrong.code(2).complains("line 4: seq = \"seq:4:9\": the width is 1 to 8 bytes");
}

#[test]
fn count_ends_after_exactly_so_many_datagrams() {
    let (sandbox, group) = (Sandbox::new(), own_group(21004));
    let words = format!("--count 7 {}", on_lo(group));
    let program = watch(&sandbox, None, &words, 1);
    sending_on_lo(group).count(50).go();
    let lines = program.wait().code(0).json();
    assert_eq!(of_type(&lines, "packet").len(), 7);
    let all = last(&lines, "total", |_| true);
    assert_eq!(counted(all), Count { packets: 7, bytes: 700 });
    assert_eq!(last(&lines, "source", |_| true)["packets"], 7);
}

#[test]
fn a_filter_chooses_what_is_printed_and_counted_but_statistics_are_of_all() {
    let (sandbox, group) = (Sandbox::new(), own_group(21013));
    let program = watch(&sandbox, None, &format!("--count 3 --filter size>100 {}", on_lo(group)), 1);
    // Of every two one is large: the third large one is the sixth of all.
    sending_on_lo(group).sizes(&[50, 150]).count(20).go();
    let lines = program.wait().code(0).json();
    let packets = of_type(&lines, "packet");
    assert_eq!(packets.len(), 3);
    assert!(packets.iter().all(|p| p["size_bytes"] == 150), "{packets:?}");
    let all = last(&lines, "total", |_| true);
    assert!(all["packets"].as_u64() >= Some(6), "{all}");

    let outcome = run(&sandbox, None, "watch 239.1.1.1:5004 --filter size>5q").code(2);
    outcome.complains("size>5q\n      ^ this is not a unit of size");
}

#[test]
fn count_is_over_all_groups() {
    let (sandbox, one, other) = (Sandbox::new(), own_group(21005), own_group(21006));
    let mut program = watch(&sandbox, None, &format!("--count 10 {} {}", on_lo(one), on_lo(other)), 2);
    sending_on_lo(one).count(4).go();
    until_total(&mut program, 4);
    sending_on_lo(other).count(20).go();
    let lines = program.wait().code(0).json();
    assert_eq!(last(&lines, "total", |_| true)["packets"], 10);
    assert_eq!(last(&lines, "group", |g| g["port"] == 21005)["packets"], 4);
    assert_eq!(last(&lines, "group", |g| g["port"] == 21006)["packets"], 6);
}

#[test]
fn a_duration_ends_it_with_its_results() {
    let (sandbox, group) = (Sandbox::new(), own_group(21007));
    let begun = Instant::now();
    let outcome = run(&sandbox, None, &format!("watch --format json --duration 300ms {}", on_lo(group)));
    assert!(begun.elapsed() >= Duration::from_millis(300), "it ended early");
    let lines = outcome.code(0).json();
    let all = last(&lines, "total", |_| true);
    assert_eq!(counted(all), Count { packets: 0, bytes: 0 });
    // Of nothing there is no smallest and no mean.
    for absent in ["size_min_bytes", "size_mean_bytes", "size_max_bytes", "lost"] {
        assert!(all[absent].is_null(), "{absent} in {all}");
    }
    assert_eq!(last(&lines, "group", |_| true)["state"], "idle");
}

#[test]
fn signals_end_it_with_results_and_their_own_exit_code() {
    for (signal, code, port) in [(libc::SIGINT, 130, 21008), (libc::SIGTERM, 143, 21009)] {
        let (sandbox, group) = (Sandbox::new(), own_group(port));
        let mut program = watch(&sandbox, None, &on_lo(group), 1);
        sending_on_lo(group).count(3).go();
        until_total(&mut program, 3);
        program.signal(signal);
        let lines = program.wait().code(code).json();
        assert_eq!(counted(last(&lines, "total", |_| true)), Count { packets: 3, bytes: 300 });
    }
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let (sandbox, group) = (Sandbox::new(), own_group(21010));
    let program = env!("CARGO_BIN_EXE_mcscope");
    let mut sh = sandbox.command("bash");
    let line = format!(
        "{program} watch --format json --interval 50ms {} | head -n 1; echo ${{PIPESTATUS[0]}}",
        on_lo(group)
    );
    sh.args(["-c", &line]);
    let outcome = sandbox.run(sh).code(0);
    let lines: Vec<&str> = outcome.stdout.lines().collect();
    assert!(lines[0].contains("\"joined\"") && lines[1..] == ["0"], "{outcome}");
    assert_eq!(outcome.stderr, "", "{outcome}");
}

#[test]
fn a_reader_that_stops_reading_costs_lines_but_no_count() {
    let (sandbox, group) = (Sandbox::new(), own_group(21011));
    let words = format!("watch --format json --rcvbuf 4MiB --snap 9000 --count 800 {}", on_lo(group));
    let mut command = sandbox.mcscope(words.split_whitespace());
    command.stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
    let mut child = command.spawn().expect("start mcscope");
    let mut out = BufReader::new(child.stdout.take().expect("a pipe"));
    let mut text = String::new();
    out.read_line(&mut text).expect("read the first line");
    assert!(text.contains("\"joined\""), "{text}");
    // More than 16 kB of text for each, and nobody reads it.
    let sent = sending_on_lo(group).sizes(&[8000]).count(800).pps(2000).go();
    // It has counted all of them when its listener's thread has ended: until then a program that
    // waits for its reader would stand still.
    let until = Instant::now() + DEADLINE;
    let listens = || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id())).expect("list the threads");
        let name = |t: std::fs::DirEntry| std::fs::read_to_string(t.path().join("comm")).unwrap_or_default();
        tasks.flatten().any(|t| name(t).starts_with("listen-"))
    };
    while listens() {
        assert!(Instant::now() < until, "not all is counted while the reader sleeps");
        std::thread::sleep(Duration::from_millis(5));
    }
    out.read_to_string(&mut text).expect("read the rest");
    assert_eq!(child.wait().expect("wait for mcscope").code(), Some(0));
    let lines: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
    let all = last(&lines, "total", |_| true);
    assert_eq!(counted(all), total(&sent.counts), "{all}");
    let dropped = all["lines_dropped"].as_u64().expect("a count");
    assert!(dropped > 0, "{all}");
    assert_eq!(of_type(&lines, "packet").len() as u64 + dropped, 800, "{all}");
}

#[test]
fn csv_has_a_heading_and_a_row_for_each_packet_or_statistic() {
    let (sandbox, group) = (Sandbox::new(), own_group(21012));
    let mut program = start(&sandbox, None, &format!("watch --format csv --count 2 {}", on_lo(group)));
    let heading = program.wait_line("the heading", |_| true);
    assert_eq!(
        heading,
        "time,group,port,iface,source,size_bytes,ttl,dscp,protocol,preview,payload_hex,joined"
    );
    // CSV has no line for a join: the system's own list says when it stands.
    joined(group);
    let sent = sending_on_lo(group).payload(Payload::Bytes(br#"a "b", c"#.into())).sizes(&[8]).count(2).go();
    let outcome = program.wait().code(0);
    let from = sent.counts.keys().next().expect("a flow").from;
    let rows: Vec<&str> = outcome.stdout.lines().skip(1).collect();
    assert_eq!(rows.len(), 2, "{outcome}");
    let (time, rest) = rows[0].split_once(',').expect("columns");
    assert!(is_time(&time.into()), "{outcome}");
    let begins = format!("{},21012,lo,{from},8,1,0,,\"", group.ip());
    assert!(rest.starts_with(&begins), "{outcome}");
    assert!(rest.contains(r#"a ""b"", c"#) && rest.ends_with(",61202262222c2063,true"), "{outcome}");

    let words = format!("watch --format csv --stats-only --interval 50ms --duration 300ms {}", on_lo(group));
    let outcome = run(&sandbox, None, &words).code(0);
    let mut lines = outcome.stdout.lines();
    let columns = lines.next().expect("a heading").split(',').count();
    assert!(outcome.stdout.starts_with("time,scope,group,port,iface,source,"), "{outcome}");
    let rows: Vec<Vec<&str>> = lines.map(|l| l.split(',').collect()).collect();
    assert!(rows.len() > 3 && rows.iter().all(|r| r.len() == columns && is_time(&r[0].into())), "{outcome}");
    assert!(rows.iter().any(|r| r[1] == "group" && r[3] == "21012"), "{outcome}");
}

/// Waits until a group is joined on the loopback interface.
#[track_caller]
fn joined(group: std::net::SocketAddr) {
    let std::net::IpAddr::V4(ip) = group.ip() else { panic!("IPv4 only") };
    let row = format!("{:08X}", u32::from_le_bytes(ip.octets()));
    let until = Instant::now() + DEADLINE;
    while !std::fs::read_to_string("/proc/net/igmp").expect("read the memberships").contains(&row) {
        assert!(Instant::now() < until, "{group} is not joined");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn text_is_for_people() {
    let (sandbox, group) = (Sandbox::new(), own_group(21013));
    let mut program = start(&sandbox, None, &format!("watch --count 1 {}", on_lo(group)));
    program.wait_line("the join", |l| l.contains("joined") && l.contains("lo"));
    let hostile = b"plain \x1b[2J\x1b]0;title\x07 \xe2\x80\xae end";
    sending_on_lo(group).payload(Payload::Bytes(hostile.to_vec())).sizes(&[hostile.len()]).ttl(3).go();
    let outcome = program.wait().code(0).prints("ttl 3").prints("plain").prints(&format!("> {group}"));
    let outcome = outcome.prints("1 group, 1 source, 1 packet,").prints("GROUP");
    assert!(!outcome.stdout.contains(['\x1b', '\x07', '\u{202e}']), "raw control characters\n{outcome}");
}

#[test]
fn wrong_groups_end_with_2_and_a_mark_under_the_wrong_part() {
    let sandbox = Sandbox::new();
    for (spec, mark, reason) in [
        ("10.1.2.3:5004", "^^^^^^^^", "multicast"),
        ("239.1.1.1:0", "^", "port"),
        ("239.1.1.1:70000", "^^^^^", "port"),
        ("239.1.1.1", "^", "port"),
        ("fe80::1@239.1.1.1:5004", "^^^^^^^", "IPv4"),
        ("239.9.9.9@239.1.1.1:5004", "^^^^^^^^^", "multicast"),
        ("239.1.1.300:5004", "^^^", "255"),
        ("mdsn", "^^^^", "mdns"),
    ] {
        let outcome = run(&sandbox, None, &format!("watch {spec}")).code(2).complains(spec).complains(mark);
        assert!(outcome.stderr.contains(reason), "{spec}: {reason:?} is missing\n{outcome}");
        assert_eq!(outcome.stdout, "", "{outcome}");
        let lines: Vec<&str> = outcome.stderr.lines().collect();
        let at = lines.iter().position(|l| l.trim_start().starts_with('^')).expect("a line of marks");
        let column = lines[at].find('^').expect("a mark");
        assert!(lines[at - 1].len() >= column, "the mark is under the text\n{outcome}");
    }
    for words in ["watch", "watch --format xml 239.1.1.1:5004", "watch --count 0 239.1.1.1:5004"] {
        run(&sandbox, None, words).code(2).complains("error: ");
    }
    run(&sandbox, None, "watch --interval 0s 239.1.1.1:5004").code(2).complains("more than nothing");
}

#[test]
fn an_unknown_interface_ends_with_3_and_the_list_of_those_that_are() {
    let outcome = run(&Sandbox::new(), None, "watch 239.1.1.1%nosuch7:5004").code(3);
    outcome.complains("no interface nosuch7").complains("lo").complains("^^^^^^^");
}

#[test]
fn when_every_join_fails_it_ends_with_3_and_says_what_helps() {
    let Some(lab) = lab!(Options { route: false, networks: 0, ..Options::default() }) else { return };
    let sandbox = Sandbox::new();
    let mut command = sandbox.mcscope(["watch", "--format", "json", "224.0.1.129%lo:319"]);
    lab.enter(1, &mut command);
    // Without the capability to bind to a port below 1024, as for every user but root.
    // SAFETY: the closure runs in the child between fork and exec and makes one system call.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_CAPBSET_DROP, 10, 0, 0, 0) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    let outcome = sandbox.run(command).code(3).complains("setcap cap_net_bind_service");
    let lines = outcome.json();
    let failed = of_type(&lines, "event");
    assert_eq!((&failed[0]["event"], &failed[0]["port"]), (&"failed".into(), &319.into()), "{outcome}");
    assert_eq!(last(&lines, "group", |_| true)["state"], "failed");
}
