//! Memberships, queriers and forecasts on real networks: IGMP and MLD of the kernel on both sides, a
//! switch that snoops, with and without a querier, and tshark as the judge of times.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use support::netns::{Join, Lab, Options};
use support::program::{interrupt, last, of_type, run, start};
use support::run::{Running, Sandbox};
use support::traffic::{Listener, Sending};

const SWITCH: Options = Options {
    hosts: 2,
    networks: 1,
    join: Join::Switch { snooping: true, querier: true },
    mtu: 1500,
    route: true,
    ipv4: true,
    ipv6: true,
};

/// A switch that snoops and asks every 2 s, and forgets 6 s after the last report: as any other, only
/// faster.
fn fast_switch(lab: &Lab) {
    // A new querier lets everything through until hosts had the time to answer: it begins anew with the
    // shorter time.
    let timers = "mcast_query_response_interval 100 mcast_membership_interval 600";
    for change in [timers, "mcast_querier 0", "mcast_querier 1"] {
        lab.on_switch(0, &format!("ip link set br0 type bridge {change}"));
    }
}

/// Watches in host 2, events only, and waits until so many memberships stand.
#[track_caller]
fn timeline(sandbox: &Sandbox, lab: &Lab, groups: &str, joined: usize) -> Running {
    let words = format!("watch --format json --stats-only --interval 10m {groups}");
    let mut program = start(sandbox, Some((lab, 2)), &words);
    for n in 1..=joined {
        program.wait_json(&format!("membership {n} of {joined}"), |v| v["type"] == "joined");
    }
    program
}

/// Waits for an event of this kind whose text has all of these words.
#[track_caller]
fn wait_event(program: &mut Running, kind: &str, words: &[&str]) -> Value {
    program.wait_json(&format!("event {kind} with {words:?}"), |v| {
        v["event"] == kind && v["text"].as_str().is_some_and(|t| words.iter().all(|w| t.contains(w)))
    })
}

/// A sender of 50 datagrams a second that goes on until it is dropped.
struct Steady {
    stop: Arc<AtomicBool>,
}

impl Drop for Steady {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

/// Sends from a host while `work` runs.
fn while_sending<R>(lab: &Lab, host: u8, to: &str, work: impl FnOnce() -> R) -> R {
    let steady = Steady { stop: Arc::default() };
    let stop = steady.stop.clone();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            lab.inside(host, || {
                let until = Instant::now() + Duration::from_secs(120);
                while !stop.load(Ordering::Acquire) && Instant::now() < until {
                    Sending::to(to).on("net0").count(10).pps(50).go();
                }
            });
        });
        let result = work();
        drop(steady);
        result
    })
}

/// mcscope in host 2, without CAP_NET_RAW.
fn unprivileged(sandbox: &Sandbox, lab: &Lab, args: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-net_raw", "--inh-caps=-net_raw", "--"]);
    let inner = sandbox.mcscope(args);
    command.arg(inner.get_program()).args(inner.get_args());
    for (key, value) in inner.get_envs() {
        if let Some(value) = value {
            command.env(key, value);
        }
    }
    lab.enter(2, &mut command);
    command
}

/// From now on no IGMP leaves the host.
fn block_reports(lab: &Lab, host: u8) {
    lab.sh(
        host,
        "nft add table inet mute; \
         nft 'add chain inet mute out { type filter hook output priority 0; }'; \
         nft add rule inet mute out meta l4proto igmp drop",
    );
}

#[test]
fn the_members_of_another_host_are_heard_with_their_sources_until_they_leave() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let mut program = timeline(&sandbox, &lab, "239.1.1.1%net0:5004", 1);
    wait_event(&mut program, "report", &["this host joined 239.1.1.1 (IGMPv3)"]);
    let ear = lab.inside(1, || Listener::join("239.5.5.5:7000", "net0"));
    wait_event(&mut program, "report", &["10.99.0.1 joined 239.5.5.5 (IGMPv3)"]);
    drop(ear);
    wait_event(&mut program, "report", &["10.99.0.1 left 239.5.5.5 (IGMPv3)"]);
    let ear = lab.inside(1, || Listener::join("[ff15::5]:7000", "net0"));
    wait_event(&mut program, "report", &["joined ff15::5 (MLDv2)"]);
    drop(ear);
    wait_event(&mut program, "report", &["left ff15::5 (MLDv2)"]);
    // Its own joins are told as joins of its own, and other programs' as theirs.
    let ear = lab.inside(2, || Listener::join("239.6.6.6:7000", "net0"));
    wait_event(&mut program, "host_membership", &["joined 239.6.6.6", "pid"]);
    drop(ear);
    wait_event(&mut program, "host_membership", &["nobody on this host has joined 239.6.6.6"]);
    let lines = interrupt(program).json();
    let about_own =
        |v: &&Value| v["event"] == "host_membership" && v["text"].as_str().unwrap().contains("239.1.1.1");
    assert_eq!(lines.iter().filter(about_own).count(), 0);
}

#[test]
fn the_querier_is_told_with_its_timers_and_a_second_one_and_an_older_version_are_noted() {
    let Some(lab) = lab!(SWITCH) else { return };
    fast_switch(&lab);
    let sandbox = Sandbox::new();
    let mut program = timeline(&sandbox, &lab, "239.1.1.1%net0:5004 [ff15::1%net0]:5004", 2);
    wait_event(&mut program, "querier", &["10.99.0.254 asks as IGMPv3 querier"]);
    wait_event(
        &mut program,
        "query",
        &["IGMPv3 query by 10.99.0.254 for all groups", "every 2 s, robustness 2"],
    );
    wait_event(&mut program, "report", &["1 host heard in answer to the query"]);
    // The switch falls back.
    lab.on_switch(0, "ip link set br0 type bridge mcast_igmp_version 2");
    wait_event(
        &mut program,
        "querier",
        &["querier 10.99.0.254 asks in IGMPv2 now", "source filters do not reach the wire"],
    );
    wait_event(&mut program, "querier", &["this host speaks IGMPv2 now, IGMPv3 before"]);
    // A second one with a lower address, on the other host.
    send_query(&lab, 1);
    wait_event(
        &mut program,
        "querier",
        &["10.99.0.1 asks as IGMPv3 querier beside 10.99.0.254", "10.99.0.1 is elected"],
    );
    interrupt(program);
}

/// One general IGMPv3 query (RFC 9776 section 4.1) from a host: 10 s to answer, robustness 2, every 20 s.
fn send_query(lab: &Lab, host: u8) {
    use socket2::{Domain, Protocol, Socket, Type};
    let mut query = [0x11, 100, 0, 0, 0, 0, 0, 0, 2, 20, 0, 0];
    let sum: u32 = query.chunks(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]]))).sum();
    query[2..4].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    lab.inside(host, || {
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(2))).expect("a raw socket");
        socket.set_multicast_ttl_v4(1).expect("TTL 1");
        socket.set_multicast_if_v4(&lab.v4(host)).expect("the interface");
        let all = std::net::SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 1), 0);
        socket.send_to(&query, &all.into()).expect("send the query");
    });
}

#[test]
fn a_cut_is_foretold_and_comes_true_when_reports_are_kept_from_leaving() {
    let Some(lab) = lab!(SWITCH) else { return };
    fast_switch(&lab);
    let sandbox = Sandbox::new();
    while_sending(&lab, 1, "239.1.1.1:5004", || {
        let mut program = timeline(&sandbox, &lab, "239.1.1.1%net0:5004", 1);
        wait_event(&mut program, "report", &["1 host heard in answer to the query"]);
        block_reports(&lab, 2);
        let told =
            wait_event(&mut program, "forecast", &["this host's report did not leave", "will cut 239.1.1.1"]);
        assert_eq!(told["group"], "239.1.1.1", "{told}");
        wait_event(&mut program, "forecast", &["as foretold, 239.1.1.1 stopped"]);
        let lines = interrupt(program).json();
        let group = last(&lines, "group", |g| g["group"] == "239.1.1.1");
        let (told, stopped) = (told["time"].as_str(), group["last_time"].as_str());
        assert!(told < stopped, "told at {told:?} of what happened at {stopped:?}");
    });
}

#[test]
fn a_querier_that_goes_is_missed_and_a_switch_that_floods_then_proves_the_forecast_wrong() {
    let Some(lab) = lab!(SWITCH) else { return };
    fast_switch(&lab);
    let sandbox = Sandbox::new();
    while_sending(&lab, 1, "239.1.1.1:5004", || {
        let mut program = timeline(&sandbox, &lab, "239.1.1.1%net0:5004", 1);
        wait_event(&mut program, "report", &["1 host heard in answer to the query"]);
        // Linux floods what it snoops once it knows no querier.
        lab.on_switch(0, "ip link set br0 type bridge mcast_querier 0");
        wait_event(&mut program, "forecast", &["no IGMP querier asked for", "will cut 239.1.1.1 in"]);
        wait_event(&mut program, "querier", &["querier 10.99.0.254 has not asked for", "counts as gone"]);
        wait_event(&mut program, "forecast", &["239.1.1.1 went on past the forecast"]);
        interrupt(program);
    });
}

#[test]
fn without_privilege_nothing_is_foretold_of_igmp_and_mld_queries_are_counted_by_the_kernel() {
    let Some(lab) = lab!(SWITCH) else { return };
    let sandbox = Sandbox::new();
    let soak = |spec: &str| {
        let command = unprivileged(&sandbox, &lab, &["soak", spec, "--for", "5s", "--json"]);
        sandbox.run(command).code(1).json()
    };
    if Command::new("setpriv").arg("--version").output().is_err() {
        return support::skip(test_name!(), "setpriv is not installed", "MCSCOPE_REQUIRE_TOOLS");
    }
    let lines = soak("239.1.1.1%net0:5004");
    let outcome = of_type(&lines, "soak")[0];
    assert_eq!((&outcome["verdict"], &outcome["heard"]), (&"nothing".into(), &"no".into()), "{outcome}");
    assert!(outcome["queries"].is_null() && outcome["reports"].is_null(), "absent is not zero: {outcome}");
    let lines = soak("[ff15::1%net0]:5004");
    assert_eq!(of_type(&lines, "soak")[0]["heard"], "counter", "{lines:?}");
}

#[test]
fn a_soak_past_the_timers_holds_and_one_that_is_cut_says_when_and_why() {
    let Some(lab) = lab!(SWITCH) else { return };
    fast_switch(&lab);
    let sandbox = Sandbox::new();
    while_sending(&lab, 1, "239.1.1.1:5004", || {
        let outcome = run(&sandbox, Some((&lab, 2)), "soak 239.1.1.1%net0:5004 --for 13s --json").code(0);
        let lines = outcome.json();
        let held = of_type(&lines, "soak")[0];
        assert_eq!(held["verdict"], "held", "{held}");
        assert_eq!(
            (&held["querier"], &held["querier_version"]),
            (&"10.99.0.254".into(), &3.into()),
            "{held}"
        );
        assert!(held["queries"].as_u64() >= Some(4) && held["reports"].as_u64() >= Some(4), "{held}");
        // Robustness 2, every 2 s, 1 s to answer, twice that by the revised standard, 5 s of slack.
        assert_eq!(held["needed_ns"], 11_000_000_000u64, "{held}");
        let mut program = start(&sandbox, Some((&lab, 2)), "soak 239.1.1.1%net0:5004 --for 20s --json");
        wait_event(&mut program, "report", &["1 host heard in answer to the query"]);
        block_reports(&lab, 2);
        let lines = program.wait().code(1).json();
        let cut = of_type(&lines, "soak")[0];
        assert_eq!(cut["verdict"], "stopped", "{cut}");
        let text = cut["text"].as_str().unwrap();
        assert!(text.contains("forgot the membership, for no report of this host answered"), "{text}");
        assert!(cut["remedy"].as_str().is_some_and(|r| r.contains("querier")), "{cut}");
        assert_eq!(cut["pause_list"][0]["lasts"], true, "{cut}");
    });
}

#[test]
fn a_soak_says_when_it_was_too_short_when_nothing_came_and_when_it_could_not_join() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    run(&sandbox, Some((&lab, 2)), "soak 239.1.1.1%net0:5004 --for 1s").code(1).prints("NOTHING");
    while_sending(&lab, 1, "239.1.1.1:5004", || {
        let outcome = run(&sandbox, Some((&lab, 2)), "soak 239.1.1.1%net0:5004 --for 2s").code(0);
        outcome.prints("SHORT").prints("--for 275s");
    });
    run(&sandbox, Some((&lab, 2)), "soak 239.1.1.1%nowhere:5004 --for 1s").code(3);
    run(&sandbox, Some((&lab, 2)), "soak 239.1.1.1%net0:5004 --for 0s").code(2);
}

#[test]
fn the_tree_is_timed_as_tshark_sees_it() {
    let Some(lab) = lab!(SWITCH) else { return };
    fast_switch(&lab);
    if Command::new("tshark").arg("--version").output().is_err() {
        return support::skip(test_name!(), "tshark is not installed", "MCSCOPE_REQUIRE_TOOLS");
    }
    let sandbox = Sandbox::new();
    let mut judge = sandbox.command("tshark");
    judge.args([
        "-i",
        "net0",
        "-l",
        "-n",
        "-Q",
        "-T",
        "fields",
        "-e",
        "frame.time_epoch",
        "-e",
        "igmp.type",
        "-e",
        "igmp.maddr",
        "-e",
        "udp.dstport",
        "-e",
        "igmp.record_type",
    ]);
    judge.args(["-f", "igmp or udp port 5004"]);
    lab.enter(2, &mut judge);
    let judge = while_sending(&lab, 1, "239.1.1.1:5004", || {
        let mut judge = sandbox.spawn(judge);
        // A query of the switch shows that it captures.
        judge.wait_line("the capture", |l| l.contains("0x11"));
        let lines = run(&sandbox, Some((&lab, 2)), "tree 239.1.1.1%net0:5004 --runs 1 --json").code(0).json();
        judge.signal(libc::SIGINT);
        (lines, judge.wait())
    });
    let (lines, judge) = judge;
    let tree = of_type(&lines, "tree")[0];
    assert!(tree["from_report"] == true && tree["note"].is_null(), "{tree}");
    let rows: Vec<(f64, bool, bool)> = judge
        .stdout
        .lines()
        .filter_map(|l| {
            let [at, kind, group, port, record] = l.split('\t').collect::<Vec<_>>()[..] else { return None };
            let (report, data) = (kind == "0x22" && group == "239.1.1.1", port == "5004");
            (report || data).then_some((at.parse().ok()?, data, report && record == "3"))
        })
        .collect();
    // The report of the join, then data; the report of the leave, then the last of the data.
    let join = rows.iter().position(|r| !r.1).expect("a report");
    let first = rows[join..].iter().find(|r| r.1).expect("data");
    let ms = |ns: &Value| ns.as_f64().expect("a time") / 1e6;
    let want = (first.0 - rows[join].0) * 1e3;
    assert!((ms(&tree["join_to_first_ns"]) - want).abs() < 1.0, "tshark says {want} ms: {tree}");
    // Last member query time: 2 queries, 1 s each.
    let leave = ms(&tree["leave_to_last_ns"]);
    assert!((1_500.0..3_000.0).contains(&leave), "{tree}");
    // The socket was closed then: only the tap can have seen the last datagram, as tshark did.
    // CHANGE_TO_INCLUDE of nobody (RFC 3376 section 4.2.12), sent again after a while: the first counts.
    let left = rows.iter().position(|r| r.2).expect("the report of the leave");
    let after: Vec<f64> = rows[left..].iter().filter(|r| r.1).map(|r| r.0).collect();
    let want = (after.last().expect("data after the leave") - rows[left].0) * 1e3;
    // The call comes before its report, by a tick of the kernel's and the time the threads take.
    assert!((-1.0..200.0).contains(&(leave - want)), "tshark says {want} ms: {tree}");
    // All that came after the leave was counted, but for what came between the call and its report.
    let counted = tree["after_leave"].as_u64().expect("a count");
    assert!(counted.abs_diff(after.len() as u64) <= 10, "tshark says {}: {tree}", after.len());
    assert_eq!(of_type(&lines, "tree_summary")[0]["answered"], 1);
}

#[test]
fn without_privilege_the_tree_says_that_it_does_not_see_the_end() {
    let Some(lab) = lab!(SWITCH) else { return };
    if Command::new("setpriv").arg("--version").output().is_err() {
        return support::skip(test_name!(), "setpriv is not installed", "MCSCOPE_REQUIRE_TOOLS");
    }
    fast_switch(&lab);
    let sandbox = Sandbox::new();
    let command = unprivileged(&sandbox, &lab, &["tree", "239.1.1.1%net0:5004", "--runs", "1", "--json"]);
    let outcome = while_sending(&lab, 1, "239.1.1.1:5004", || sandbox.run(command).code(0));
    let lines = outcome.json();
    let tree = of_type(&lines, "tree")[0];
    assert!(tree["join_to_first_ns"].is_u64() && tree["from_report"] == false, "{tree}");
    assert!(tree["leave_to_last_ns"].is_null() && tree["after_leave"].is_null(), "absent is not 0: {tree}");
    assert!(tree["note"].as_str().is_some_and(|n| n.contains("after the leave is not seen")), "{tree}");
    outcome.complains("from the leave to the last datagram is not measured").complains("cap_net_raw");
}

#[test]
fn a_tree_that_nobody_sends_to_is_an_unmet_condition() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let outcome =
        run(&sandbox, Some((&lab, 2)), "tree 239.1.1.1+2%net0:5004 --wait 500ms --rest 1ms").code(1);
    outcome.prints("0 of 2 runs had traffic").prints("239.1.1.2 on net0  nothing came");
}
