//! `mcscope watch` while the network changes under it: memberships survive, are renewed and counted
//! on; what is lost on the way is counted exactly.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::time::Instant;

use serde_json::Value;

use support::DEADLINE;
use support::netns::{Join, Lab, Options};
use support::program::{counted, interrupt, last, of_type, until_total, watch};
use support::run::{Running, Sandbox};
use support::traffic::{Count, Payload, Sending, total};

const BOTH: &str = "239.1.1.1%net0:5004 [ff15::1%net0]:5004";

/// Sends to both groups of [`BOTH`] from host 1 until the program has told a packet of each: a link
/// that has just come back may take a moment until it carries something.
#[track_caller]
fn flows_again(lab: &Lab, program: &mut Running) {
    for group in ["239.1.1.1", "ff15::1"] {
        let to = if group.contains(':') { format!("[{group}]:5004") } else { format!("{group}:5004") };
        let until = Instant::now() + DEADLINE;
        loop {
            lab.inside(1, || Sending::to(&to).on("net0").go());
            let line = program.wait_json("a packet or statistics", |v| {
                v["type"] == "packet" && v["group"] == group || v["type"] == "stats" && v["scope"] == "total"
            });
            if line["type"] == "packet" {
                break;
            }
            assert!(Instant::now() < until, "nothing of {group} comes any more");
        }
    }
}

fn events<'v>(lines: &'v [Value], word: &str) -> Vec<&'v Value> {
    of_type(lines, "event").into_iter().filter(|e| e["event"] == word).collect()
}

#[test]
fn memberships_survive_an_interface_that_is_taken_down_and_up() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let mut program = watch(&sandbox, Some((&lab, 2)), BOTH, 2);
    flows_again(&lab, &mut program);
    lab.link(2, "net0", false);
    program.wait_json("the change", |v| v["event"] == "interface_changed" && v["iface"] == "net0");
    lab.link(2, "net0", true);
    // Going down takes the IPv6 addresses away.
    lab.ip(2, "-6 addr replace fd99::2/64 dev net0 nodad");
    flows_again(&lab, &mut program);
    let lines = interrupt(program).json();
    assert!(events(&lines, "failed").is_empty(), "{:?}", events(&lines, "failed"));
    let packets = of_type(&lines, "packet").len();
    assert_eq!(last(&lines, "total", |_| true)["packets"], packets);
}

#[test]
fn a_carrier_lost_and_back_is_followed_by_a_new_report() {
    let switch = Join::Switch { snooping: false, querier: false };
    let Some(lab) = lab!(Options { join: switch, ..Options::default() }) else { return };
    let sandbox = Sandbox::new();
    if std::process::Command::new("tcpdump").arg("--version").output().is_err() {
        return support::skip(test_name!(), "tcpdump is not installed", "MCSCOPE_REQUIRE_TOOLS");
    }
    if support::required("MCSCOPE_TEST_IN_USER_NAMESPACE") {
        return support::skip(
            test_name!(),
            "tcpdump gives up root for an unknown user",
            "MCSCOPE_REQUIRE_TOOLS",
        );
    }
    // On the other host, whose carrier stays: what host 2 reports.
    let mut judge = sandbox.command("sh");
    judge.args(["-c", "exec tcpdump -n -l -v -i net0 -Z root igmp 2>&1"]);
    lab.enter(1, &mut judge);
    let mut judge = sandbox.spawn(judge);
    judge.wait_line("the capture", |l| l.contains("listening on"));
    let mut program = watch(&sandbox, Some((&lab, 2)), BOTH, 2);
    // A join is reported twice. A carrier that returns makes Linux report nothing of itself: the third
    // report is the program's doing.
    let is_report = |l: &str| l.contains("gaddr 239.1.1.1 to_ex");
    for _ in 0..2 {
        judge.wait_line("a report of the join", is_report);
    }
    flows_again(&lab, &mut program);
    lab.on_switch(0, "ip link set p2 down");
    program
        .wait_json("the loss of the carrier", |v| v["event"] == "interface_changed" && v["iface"] == "net0");
    lab.on_switch(0, "ip link set p2 up");
    program.wait_json("the group joined anew", |v| v["event"] == "rejoined" && v["group"] == "239.1.1.1");
    judge.wait_line("a report after the flap", is_report);
    flows_again(&lab, &mut program);
    let lines = interrupt(program).json();
    let again: Vec<&Value> = events(&lines, "rejoined");
    assert_eq!(again.len(), 2, "{again:?}");
    assert!(again.iter().all(|e| e["text"].as_str().is_some_and(|t| t.contains("carrier"))), "{again:?}");
    assert!(events(&lines, "failed").is_empty());
}

#[test]
fn an_interface_deleted_and_made_anew_is_joined_again() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let mut program = watch(&sandbox, Some((&lab, 2)), BOTH, 2);
    flows_again(&lab, &mut program);
    lab.delete_link(2, 0);
    for group in ["239.1.1.1", "ff15::1"] {
        program.wait_json("the failure", |v| v["event"] == "failed" && v["group"] == group);
    }
    lab.recreate_links(0);
    for group in ["239.1.1.1", "ff15::1"] {
        program.wait_json("the renewal", |v| v["event"] == "rejoined" && v["group"] == group);
    }
    flows_again(&lab, &mut program);
    let outcome = interrupt(program);
    let lines = outcome.json();
    // A join that works again is told as such, and what was counted before is counted still.
    let failed = events(&lines, "failed");
    assert!(
        failed[0]["text"].as_str().is_some_and(|t| t.contains("net0") && t.contains("returns")),
        "{failed:?}"
    );
    assert_eq!(of_type(&lines, "joined").len(), 2, "once for each membership");
    let packets = of_type(&lines, "packet").len();
    assert!(packets >= 4);
    assert_eq!(last(&lines, "total", |_| true)["packets"], packets);
    assert_eq!(last(&lines, "group", |g| g["group"] == "239.1.1.1")["state"], "live");
}

#[test]
fn memberships_survive_a_change_of_address() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let mut program = watch(&sandbox, Some((&lab, 2)), BOTH, 2);
    flows_again(&lab, &mut program);
    lab.ip(2, "addr del 10.99.0.2/16 dev net0");
    lab.ip(2, "-6 addr del fd99::2/64 dev net0");
    program.wait_json("the change", |v| v["event"] == "interface_changed" && v["iface"] == "net0");
    flows_again(&lab, &mut program);
    lab.ip(2, "addr add 10.44.0.9/24 dev net0");
    program.wait_json("the new address", |v| {
        v["event"] == "interface_changed" && v["text"].as_str().is_some_and(|t| t.contains("10.44.0.9"))
    });
    flows_again(&lab, &mut program);
    let lines = interrupt(program).json();
    assert!(events(&lines, "failed").is_empty());
}

#[test]
fn an_interface_that_is_missing_at_first_is_joined_when_it_appears() {
    let Some(lab) = lab!(Options { networks: 2, ..Options::default() }) else { return };
    let sandbox = Sandbox::new();
    let specs = "239.1.1.1%net0:5004 239.1.1.1%net1:5004";
    let mut program = watch(&sandbox, Some((&lab, 2)), specs, 2);
    lab.delete_link(2, 1);
    program.wait_json("the failure", |v| v["event"] == "failed" && v["iface"] == "net1");
    // The other row is not disturbed.
    lab.inside(1, || Sending::to("239.1.1.1:5004").on("net0").count(5).go());
    until_total(&mut program, 5);
    lab.recreate_links(1);
    program.wait_json("the renewal", |v| v["event"] == "rejoined" && v["iface"] == "net1");
    lab.inside(1, || Sending::to("239.1.1.1:5004").on("net1").count(4).go());
    until_total(&mut program, 9);
    let lines = interrupt(program).json();
    let of = |iface: &str| counted(last(&lines, "group", |g| g["iface"] == iface));
    assert_eq!(of("net0"), Count { packets: 5, bytes: 500 });
    assert_eq!(of("net1"), Count { packets: 4, bytes: 400 });
}

#[test]
fn what_the_network_loses_is_counted_exactly() {
    let Some(lab) = lab!(Options::default()) else { return };
    if lab.cmd(2, "nft").arg("-v").output().is_err() {
        return support::skip(test_name!(), "nft is not installed", "MCSCOPE_REQUIRE_TOOLS");
    }
    lab.drop_every(2, 8);
    let sandbox = Sandbox::new();
    let words = "--stats-only --rcvbuf 4MiB 239.1.1.1%net0:5004";
    let mut program = watch(&sandbox, Some((&lab, 2)), words, 1);
    let sending = Sending::to("239.1.1.1:5004").on("net0").payload(Payload::Probe { run: 3 });
    // The filter takes the 8th, 16th … 800th; four more show that the last of them is missing.
    let sent = lab.inside(1, || sending.count(804).pps(4000).go());
    until_total(&mut program, 704);
    let lines = interrupt(program).json();
    assert_eq!(total(&sent.counts).packets, 804);
    for scope in ["source", "group", "interface", "total"] {
        let f = last(&lines, scope, |_| true);
        assert_eq!((&f["packets"], &f["lost"]), (&704.into(), &100.into()), "{f}");
        assert_eq!((&f["duplicates"], &f["reordered"]), (&0.into(), &0.into()), "{f}");
    }
}

#[test]
fn what_the_socket_drops_is_told_apart_and_adds_up() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    // A buffer for one datagram or two, and a program that is stopped while they come.
    let words = "--stats-only --rcvbuf 4000 239.1.1.1%net0:5004";
    let mut program = watch(&sandbox, Some((&lab, 2)), words, 1);
    let sending = Sending::to("239.1.1.1:5004").on("net0").payload(Payload::Probe { run: 4 }).sizes(&[1400]);
    lab.inside(1, || sending.clone().count(1).go());
    until_total(&mut program, 1);
    program.signal(libc::SIGSTOP);
    stopped(program.id());
    let sent = lab.inside(1, || sending.port(4444).count(50).go());
    program.signal(libc::SIGCONT);
    program.wait_json("the drops", |v| v["type"] == "stats" && v["socket_drops"].as_u64() > Some(0));
    let lines = interrupt(program).json();
    let group = last(&lines, "group", |_| true);
    let drops = group["socket_drops"].as_u64().expect("a count");
    assert!(drops > 40, "{group}");
    assert_eq!(counted(group).packets + drops, 1 + total(&sent.counts).packets, "{group}");
    let all = last(&lines, "total", |_| true);
    assert_eq!(all["socket_drops"], drops);
    assert!(
        last(&lines, "source", |s| s["source"] == format!("{}:4444", lab.v4(1)))["socket_drops"].is_null()
    );
    assert!(!events(&lines, "dropped").is_empty());
}

/// Waits until a process has stopped.
#[track_caller]
fn stopped(id: u32) {
    let until = Instant::now() + DEADLINE;
    let state = || std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    while !state().contains(") T ") {
        assert!(Instant::now() < until, "not stopped: {}", state());
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}
