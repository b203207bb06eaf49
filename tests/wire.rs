//! The tap: every group on the wire with what was sent to it, joined or not; wire and socket compared;
//! nothing told to the network by looking; and what it says without the capability.

#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use mcscope::base::group::Endpoint;
use mcscope::wire::ip;
use serde_json::Value;
use support::netns::{Join, Lab, Options, done, index};
use support::program::{counted, dashboard, interrupt, last, of_type, run, start, wait_row, watch};
use support::pty::{Term, text};
use support::run::{Outcome, Running, Sandbox};
use support::skip;
use support::traffic::{Payload, Sending, Sent, total};

/// Waits until taps look at so many interfaces.
#[track_caller]
fn until_tapped(running: &mut Running, taps: usize) {
    for n in 1..=taps {
        running.wait_json(&format!("tap {n} of {taps}"), |v| v["type"] == "event" && v["event"] == "tap");
    }
}

/// Waits until so many datagrams were seen on an interface.
#[track_caller]
fn until_seen(running: &mut Running, iface: &str, packets: u64) {
    running.wait_json(&format!("{packets} packets on {iface}"), |v| {
        v["scope"] == "wire" && v["iface"] == iface && v["packets"].as_u64() >= Some(packets)
    });
}

fn sending(to: &str, iface: &str, sizes: &[usize]) -> Sending {
    Sending::to(to).on(iface).payload(Payload::Probe { run: 3 }).sizes(sizes).count(120).pps(800)
}

/// The final line of a group on an interface.
#[track_caller]
fn group<'v>(lines: &'v [Value], group: &str, port: u16, iface: &str) -> &'v Value {
    last(lines, "group", |v| v["group"] == group && v["port"] == port && v["iface"] == iface)
}

/// That the figures of each sender on the wire are those of what it sent.
#[track_caller]
fn as_sent(lines: &[Value], iface: &str, all: &[Sent]) {
    for sent in all {
        for (flow, count) in &sent.counts {
            let (to, port) = (flow.to.ip().to_string(), flow.to.port());
            let line = last(lines, "source", |v| {
                v["group"] == *to
                    && v["port"] == port
                    && v["iface"] == iface
                    && v["source"] == flow.from.to_string()
            });
            assert_eq!(counted(line), *count, "{line}");
            assert_eq!(line["joined"], false, "{line}");
        }
    }
}

fn packets(all: &[Sent]) -> u64 {
    all.iter().map(|s| total(&s.counts).packets).sum()
}

/// A capture of the membership messages on a host's interface, until it is read.
struct Reports {
    child: std::process::Child,
    file: std::path::PathBuf,
}

impl Reports {
    fn listen(test: &str, lab: &Lab, sandbox: &Sandbox, host: u8, iface: &str) -> Option<Reports> {
        for tool in ["dumpcap", "tshark"] {
            if let Err(e) = Command::new(tool).arg("--version").output() {
                skip(test, &format!("cannot run {tool}: {e}"), "MCSCOPE_REQUIRE_TOOLS");
                return None;
            }
        }
        let file = sandbox.path("reports.pcap");
        let mut command = lab.cmd(host, "dumpcap");
        command.args(["-q", "-P", "-i", iface, "-f", "igmp or ip6 proto 0", "-w"]).arg(&file);
        command.stderr(std::process::Stdio::piped());
        let mut child = command.spawn().expect("start the capture");
        let errors = std::io::BufReader::new(child.stderr.take().expect("stderr is a pipe"));
        let begun = std::io::BufRead::lines(errors).map_while(Result::ok).any(|l| l.starts_with("File:"));
        assert!(begun, "the capture does not begin");
        Some(Reports { child, file })
    }

    /// Each message in words, as tshark has it: sender, kind and groups.
    fn read(mut self) -> String {
        // SAFETY: kill takes numbers only; the child is not yet waited for.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGINT) };
        self.child.wait().expect("the capture ends");
        let mut command = Command::new("tshark");
        command.args(["-n", "-r"]).arg(&self.file);
        done(command, "tshark")
    }
}

impl Drop for Reports {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn without_joining_every_group_is_seen_as_it_was_sent_and_nothing_is_reported() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let Some(reports) = Reports::listen(test_name!(), &lab, &sandbox, 2, "net0") else { return };
    // Something to find: a report that is sent, so that one that is not means something.
    let member = lab.inside(1, || support::traffic::Listener::join("239.99.0.1:7000", "net0"));
    let mut running = watch(&sandbox, Some((&lab, 1)), "--no-join --stats-only", 0);
    until_tapped(&mut running, 1);
    let sizes = [44, 1472, 1473, 5000, 30_000];
    let theirs: Vec<Sent> = lab.inside(2, || {
        vec![
            sending("239.1.1.1:5004", "net0", &sizes).tos(0xb8).go(),
            sending("239.1.1.1:5004", "net0", &[200]).port(4999).drop_every(9).go(),
            sending("239.1.1.1:5005", "net0", &[60]).go(),
            sending("224.0.0.251:5353", "net0", &[80]).go(),
            sending("[ff05::77]:5004", "net0", &sizes).go(),
            sending("[ff02::fb]:5353", "net0", &[90]).go(),
        ]
    });
    let own = lab.inside(1, || sending("239.2.2.2:5004", "net0", &[100, 4000]).go());
    let sent = packets(&theirs) + packets(std::slice::from_ref(&own));
    until_seen(&mut running, "net0", sent);
    let table = |name: &str| {
        lab.inside(1, || std::fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap())
    };
    assert!(
        !table("igmp").contains("010101EF") && !table("igmp6").contains("ff050000000000000000000000000077")
    );
    let lines = interrupt(running).json();
    as_sent(&lines, "net0", &theirs);
    as_sent(&lines, "net0", std::slice::from_ref(&own));
    let wire = last(&lines, "wire", |v| v["iface"] == "net0");
    assert_eq!(wire["packets"].as_u64(), Some(sent), "{wire}");
    assert_eq!((wire["groups"].as_u64(), wire["sources"].as_u64()), (Some(6), Some(7)), "{wire}");
    assert_eq!((wire["socket_drops"].as_u64(), wire["not_analysed"].as_u64()), (Some(0), Some(0)));
    let joined = last(&lines, "total", |_| true);
    assert_eq!((joined["groups"].as_u64(), joined["packets"].as_u64()), (Some(0), Some(0)), "{joined}");
    let gaps =
        &last(&lines, "source", |v| v["source"].as_str().is_some_and(|s| s.ends_with(":4999")))["lost"];
    assert_eq!(gaps.as_u64(), Some(theirs[1].dropped), "loss is found on the wire as well");
    let mine = last(&lines, "source", |v| v["group"] == "239.2.2.2");
    assert_eq!(mine["ours"], true, "{mine}");
    drop(member);
    let told = reports.read();
    assert!(told.contains("239.99.0.1"), "the judge sees reports:\n{told}");
    for group in ["239.1.1.1", "239.2.2.2", "224.0.0.251", "ff05::77", "ff02::fb"] {
        assert!(!told.contains(group), "a report for {group}:\n{told}");
    }
}

#[test]
fn joined_groups_keep_their_figures_and_are_on_the_wire_once() {
    let Some(lab) = lab!(Options::default()) else { return };
    lab.ip(2, "addr add 10.99.0.3/24 dev net0");
    let sandbox = Sandbox::new();
    let groups = "239.1.1.1:5004%net0 [ff05::77%net0]:5004 10.99.0.2@232.1.1.1:5004%net0";
    let mut running = watch(&sandbox, Some((&lab, 1)), &format!("--wire --stats-only {groups}"), 0);
    let (mut joined, mut tapped) = (0, false);
    running.wait_json("three memberships and the tap", |v| {
        joined += u32::from(v["type"] == "joined");
        tapped |= v["event"] == "tap";
        joined == 3 && tapped
    });
    let at = |to: &str, from: [u8; 4]| sending(to, "net0", &[500]).source(from, 0);
    let (mine, other, blocked) = lab.inside(2, || {
        let mine = vec![
            at("239.1.1.1:5004", [10, 99, 0, 2]).go(),
            sending("[ff05::77]:5004", "net0", &[3000]).go(),
            at("232.1.1.1:5004", [10, 99, 0, 2]).go(),
        ];
        let other = vec![at("239.1.1.1:5006", [10, 99, 0, 2]).go()];
        (mine, other, at("232.1.1.1:5004", [10, 99, 0, 3]).go())
    });
    until_seen(&mut running, "net0", packets(&other) + packets(std::slice::from_ref(&blocked)));
    let lines = interrupt(running).json();
    let whole = last(&lines, "total", |_| true);
    assert_eq!(whole["packets"].as_u64(), Some(packets(&mine)), "delivered, and nothing twice: {whole}");
    as_sent(&lines, "net0", &other);
    // What the source filter keeps away is on the wire all the same, and not joined.
    as_sent(&lines, "net0", std::slice::from_ref(&blocked));
    for to in ["239.1.1.1", "ff05::77"] {
        let line = group(&lines, to, 5004, "net0");
        assert_eq!((&line["joined"], &line["sources"]), (&Value::from(true), &Value::from(1)), "{line}");
    }
}

#[test]
fn what_is_on_the_wire_and_not_delivered_is_told() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let mut running =
        watch(&sandbox, Some((&lab, 1)), "--wire --stats-only 239.1.1.1:5004%net0 239.1.1.2:5004%net0", 2);
    // One of five is dropped in the host, of one group.
    lab.sh(
        1,
        "nft add table inet f; nft add chain inet f in '{ type filter hook input priority 0; }'; \
         nft add rule inet f in ip daddr 239.1.1.2 numgen inc mod 5 == 0 drop",
    );
    let send = |to: &'static str| move || Sending::to(to).on("net0").sizes(&[100]).count(2000).pps(400).go();
    std::thread::scope(|s| {
        let (a, b) = (send("239.1.1.1:5004"), send("239.1.1.2:5004"));
        let lab = &lab;
        let one = s.spawn(move || lab.inside(2, a));
        lab.inside(2, b);
        one.join().unwrap();
    });
    let told = running.wait_json("the event", |v| v["event"] == "not_delivered");
    assert_eq!(told["group"], "239.1.1.2", "{told}");
    let n = |v: &Value, k: &str| v[k].as_u64().unwrap_or_else(|| panic!("{k} in {v}"));
    running.wait_json("the comparison of all seconds", |v| {
        v["scope"] == "group" && v["group"] == "239.1.1.2" && v["wire_packets"].as_u64() >= Some(400)
    });
    let lines = interrupt(running).json();
    let whole = group(&lines, "239.1.1.1", 5004, "net0");
    assert!(n(whole, "wire_packets") > 300, "{whole}");
    assert_eq!(n(whole, "not_delivered"), 0, "{whole}");
    let cut = group(&lines, "239.1.1.2", 5004, "net0");
    let (seen, missed) = (n(cut, "wire_packets"), n(cut, "not_delivered"));
    // Whole seconds are compared: a fifth of them, up to one at each end.
    assert!(missed.abs_diff(seen / 5) <= 2, "{missed} of {seen}: {cut}");
    assert_eq!(n(cut, "socket_drops"), 0);
}

#[test]
fn a_number_that_was_on_the_wire_and_not_delivered_is_no_loss_of_the_network() {
    let Some(lab) = lab!(Options::default()) else { return };
    lab.ip(2, "addr add 10.99.0.3/24 dev net0");
    let sandbox = Sandbox::new();
    let mut running = watch(&sandbox, Some((&lab, 1)), "--wire --stats-only 239.1.1.1:5004%net0", 1);
    let of_group = |v: &Value, name: &str| if v["scope"] == "group" { v[name].as_u64() } else { None };
    // Of both senders every 50th number is lost on the way, in the same seconds in which this host keeps
    // others of the first one from the socket.
    let send = |from: u8| {
        let lab = &lab;
        move || {
            let s = sending("239.1.1.1:5004", "net0", &[100]).source([10, 99, 0, from], 5000);
            lab.inside(2, || s.count(3000).pps(400).drop_every(50).go())
        }
    };
    let (dropped, first) = std::thread::scope(|s| {
        let (a, b) = (s.spawn(send(2)), s.spawn(send(3)));
        running.wait_json("the comparison", |v| of_group(v, "wire_packets") > Some(0));
        lab.sh(
            1,
            "nft add table inet f; nft add counter inet f n; \
             nft add chain inet f in '{ type filter hook input priority 0; }'; \
             nft add rule inet f in ip saddr 10.99.0.2 ip daddr 239.1.1.1 numgen inc mod 7 == 3 counter name n drop",
        );
        running.wait_json("enough of it", |v| of_group(v, "not_delivered") > Some(60));
        lab.sh(1, "nft flush chain inet f in");
        b.join().unwrap();
        let dropped = lab.sh(1, "nft list counter inet f n | grep -o 'packets [0-9]*' | grep -o '[0-9]*'");
        (dropped.trim().parse::<u64>().expect("a number"), a.join().unwrap())
    });
    running.wait_json("the comparison of the last second", |v| of_group(v, "not_delivered") == Some(dropped));
    let lines = interrupt(running).json();
    let of = |from: &str| last(&lines, "source", |v| v["source"] == from);
    let figures = |v: &Value| ["lost", "lost_here", "lost_unclear"].map(|k| v[k].as_u64());
    // The last number of all is one of those that were lost: nothing shows it.
    let on_the_way = Some(first.dropped - 1);
    assert_eq!(figures(of("10.99.0.2:5000")), [on_the_way, Some(dropped), Some(0)], "{dropped} were dropped");
    assert_eq!(figures(of("10.99.0.3:5000")), [on_the_way, Some(0), Some(0)]);
}

#[test]
fn only_the_groups_that_are_named_are_shown_and_a_count_ends_it() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let mut running =
        start(&sandbox, Some((&lab, 1)), "watch --no-join --format json --count 40 239.1.1.1:5004%net0");
    until_tapped(&mut running, 1);
    lab.inside(2, || {
        sending("239.1.1.2:5004", "net0", &[100]).go();
        sending("239.1.1.1:5004", "net0", &[100]).go();
    });
    let lines = running.wait().code(0).json();
    let shown = of_type(&lines, "packet");
    assert_eq!(shown.len(), 40);
    assert!(shown.iter().all(|p| p["group"] == "239.1.1.1" && p["joined"] == false));
    assert_eq!(last(&lines, "wire", |_| true)["packets"].as_u64(), Some(40));
}

#[test]
fn the_interfaces_that_are_named_are_watched_and_no_others() {
    let Some(lab) = lab!(Options { networks: 2, ..Options::default() }) else { return };
    let sandbox = Sandbox::new();
    let everywhere = || {
        lab.inside(2, || {
            sending("239.1.1.1:5004", "net0", &[100]).go();
            (sending("239.1.1.1:5004", "net1", &[100]).go(), sending("239.1.1.2:5004", "net1", &[100]).go())
        })
    };
    let mut running = watch(&sandbox, Some((&lab, 1)), "--no-join -I net1 --stats-only", 0);
    until_tapped(&mut running, 1);
    let (one, two) = everywhere();
    let sent = packets(&[one, two]);
    until_seen(&mut running, "net1", sent);
    let lines = interrupt(running).json();
    let of_net0 = |v: &&Value| v["iface"] == "net0";
    assert_eq!(lines.iter().find(of_net0), None, "not even a tap is opened there");
    // A group that names no interface is on the named one.
    let mut running =
        watch(&sandbox, Some((&lab, 1)), "--no-join --iface net1 --stats-only 239.1.1.1:5004", 0);
    until_tapped(&mut running, 1);
    let (one, _) = everywhere();
    until_seen(&mut running, "net1", packets(std::slice::from_ref(&one)));
    let lines = interrupt(running).json();
    as_sent(&lines, "net1", &[one]);
    assert!(lines.iter().all(|v| v["group"] != "239.1.1.2" && v["iface"] != "net0"), "{lines:#?}");
    // One that joins pass over is taken when it is named.
    let mut running = watch(&sandbox, Some((&lab, 1)), "--no-join --iface lo --stats-only", 0);
    until_tapped(&mut running, 1);
    let sent = packets(&[lab.inside(1, || sending("239.1.1.1:5004", "lo", &[100]).go())]);
    until_seen(&mut running, "lo", sent);
    interrupt(running);
    let mut term = dashboard(&sandbox, Some((&lab, 1)), "--no-join --iface net1", (36, 120));
    term.wait_text("tap on");
    everywhere();
    wait_row(&mut term, &["239.1.1.1", "net1"]);
    wait_row(&mut term, &["239.1.1.2", "net1"]);
    assert!(!term.text().lines().any(|l| l.contains("239.1.1.1") && l.contains("net0")));
    term.type_keys("q");
    let unknown = run(&sandbox, Some((&lab, 1)), "watch --no-join --iface net7").code(3);
    unknown.complains("--iface net7: there is no interface net7").complains("net1");
    run(&sandbox, Some((&lab, 1)), "watch --wire --iface net1 239.1.1.1:5004").code(2).complains("--no-join");
}

#[test]
fn behind_a_switch_that_snoops_only_what_is_let_through_is_seen_and_nothing_changes_at_the_switch() {
    let join = Join::Switch { snooping: true, querier: true };
    let Some(lab) = lab!(Options { hosts: 3, join, ..Options::default() }) else { return };
    let sandbox = Sandbox::new();
    // A bridge floods until its querier had an answer's time, 10 s unless told otherwise.
    lab.on_switch(
        0,
        "ip link set br0 type bridge mcast_query_response_interval 20; \
         ip link set br0 type bridge mcast_querier 0; ip link set br0 type bridge mcast_querier 1",
    );
    let snoops_from = std::time::Instant::now() + std::time::Duration::from_millis(400);
    // Host 3 joins: the switch knows the group, and that host 1 did not.
    let member = lab.inside(3, || support::traffic::Listener::join("239.5.5.5:5004", "net0"));
    let entries = || lab.on_switch(0, "bridge mdb show dev br0 | grep -o 'port [^ ]* grp [^ ]*' | sort");
    let until = std::time::Instant::now() + support::DEADLINE;
    while !entries().contains("port p3 grp 239.5.5.5") {
        assert!(std::time::Instant::now() < until, "the switch does not learn: {}", entries());
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let mut running = watch(&sandbox, Some((&lab, 1)), "--no-join --wire=all --stats-only", 0);
    until_tapped(&mut running, 1);
    std::thread::sleep(snoops_from.saturating_duration_since(std::time::Instant::now()));
    let (kept, flooded) = lab.inside(2, || {
        (sending("239.5.5.5:5004", "net0", &[100]).go(), sending("224.0.0.77:5004", "net0", &[100]).go())
    });
    until_seen(&mut running, "net0", packets(std::slice::from_ref(&flooded)));
    assert_eq!(member.collect(packets(std::slice::from_ref(&kept))).len(), 1, "host 3 gets it");
    assert!(!entries().contains("port p1 grp 239.5.5.5"), "{}", entries());
    let heard = running.wait_json("the querier's question", |v| {
        v["type"] == "event" && v["text"].as_str().is_some_and(|t| t.contains("quer"))
    });
    assert_eq!(heard["iface"], "net0");
    let lines = interrupt(running).json();
    as_sent(&lines, "net0", &[flooded]);
    let all = of_type(&lines, "final");
    assert!(all.iter().all(|v| v["group"] != "239.5.5.5"), "the switch keeps it away: {all:#?}");
}

/// Runs mcscope without CAP_NET_RAW.
fn unprivileged(sandbox: &Sandbox, args: &[&str]) -> Command {
    let mcscope = sandbox.mcscope(args);
    let mut command = sandbox.command("setpriv");
    command.args(["--bounding-set=-net_raw", "--inh-caps=-net_raw", "--"]);
    command.arg(mcscope.get_program()).args(mcscope.get_args());
    // SAFETY: the call takes nothing and cannot fail.
    let root = unsafe { libc::geteuid() } == 0;
    if root { command } else { mcscope }
}

#[test]
fn without_the_capability_it_says_how_to_grant_it() {
    let sandbox = Sandbox::new();
    let refused = |args: &[&str]| -> Outcome { sandbox.run(unprivileged(&sandbox, args)).code(3) };
    for args in [&["watch", "--no-join"][..], &["watch", "--wire", "239.1.1.1:5004%lo"]] {
        let outcome = refused(args);
        assert!(outcome.stdout.is_empty());
        outcome.complains("cannot tap").complains("sudo setcap cap_net_raw=ep /");
    }
}

/// Sets its flag when it goes.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn without_the_capability_the_network_view_says_what_a_tap_would_show_and_what_it_takes() {
    let sandbox = Sandbox::new();
    let mut term = Term::spawn(unprivileged(&sandbox, &["239.1.1.1:5004%lo"]), 36, 120);
    term.wait_text("239.1.1.1");
    term.type_keys("4");
    term.wait_text("tap off");
    for words in
        ["every group that is on the wire here", "sudo setcap cap_net_raw=ep /", "operation not permitted"]
    {
        term.wait_text(words);
    }
    term.type_keys("<tab><tab><tab>c");
    term.wait_until("the command in the clipboard", |s| {
        text(s).contains("copied: sudo setcap cap_net_raw=ep /")
    });
    term.type_keys("W");
    term.wait_text("cannot tap");
    term.type_keys("q");
}

#[test]
fn the_dashboard_shows_what_is_on_the_wire_and_joins_it_with_a_key() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let mut term = dashboard(&sandbox, Some((&lab, 1)), "239.1.1.1:5004%net0", (36, 120));
    term.wait_text("239.1.1.1");
    term.type_keys("W");
    term.wait_text("◇ tap on");
    let ended = AtomicBool::new(false);
    let sender = || {
        lab.inside(2, || {
            while !ended.load(Ordering::Relaxed) {
                Sending::to("239.7.7.7:5004").on("net0").port(6001).sizes(&[100]).count(20).pps(400).go();
            }
        });
    };
    std::thread::scope(|s| {
        s.spawn(sender);
        // Whatever fails below, the sender ends.
        let _end = Ending(&ended);
        wait_row(&mut term, &["◇", "239.7.7.7", "net0"]);
        // One row up or down it stands; the filter leaves no other.
        term.type_keys("/239.7.7.7\r");
        term.wait_text("Sources of 239.7.7.7:5004");
        term.type_keys("+");
        wait_row(&mut term, &["●", "239.7.7.7", "net0"]);
        term.wait_until("no row of the wire any more", |s| !text(s).contains("◇ 239.7.7.7"));
        assert!(
            lab.inside(1, || std::fs::read_to_string("/proc/thread-self/net/igmp").unwrap())
                .contains("070707EF")
        );
        term.type_keys("L");
        wait_row(&mut term, &["◇", "239.7.7.7", "net0"]);
        term.type_keys("q");
    });
}

/// Puts a whole Ethernet frame on an interface.
fn send_frame(iface: &str, frame: &[u8]) {
    // SAFETY: socket takes numbers only; the descriptor it gives is owned from here on.
    let socket = unsafe {
        let fd = libc::socket(libc::AF_PACKET, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0);
        assert!(fd >= 0, "open a packet socket: {}", std::io::Error::last_os_error());
        OwnedFd::from_raw_fd(fd)
    };
    let to = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: 0,
        sll_ifindex: index(iface) as i32,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: [0; 8],
    };
    // SAFETY: both pointers come with the length of what they point to, and outlive the call.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            frame.as_ptr().cast(),
            frame.len(),
            0,
            (&raw const to).cast(),
            size_of_val(&to) as libc::socklen_t,
        )
    };
    assert_eq!(sent, frame.len() as isize, "{}", std::io::Error::last_os_error());
}

#[test]
fn tagged_frames_are_shown_with_their_vlan_and_apart_from_the_sums() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let mut running = watch(&sandbox, Some((&lab, 1)), "--wire --stats-only 239.1.1.1:5004%net0", 1);
    let frame = |tag: Option<u16>| {
        let at = |s: &str| Endpoint::from(s.parse::<SocketAddr>().expect("an endpoint"));
        let mut f = vec![1, 0, 0x5e, 1, 1, 1, 2, 0, 0, 0, 0, 2];
        if let Some(tag) = tag {
            f.extend([0x81, 0]);
            f.extend(tag.to_be_bytes());
        }
        f.extend([8, 0]);
        let ends = (at("10.99.0.2:6000"), at("239.1.1.1:5004"));
        let mut packet = Vec::new();
        ip::build(&mut packet, ends, (1, 0), &[7; 60], 60).expect("a packet");
        f.extend(packet);
        f
    };
    lab.inside(2, || {
        // VLAN 5, VLAN 5 with a priority, a priority alone (no VLAN), and no tag.
        for tag in [Some(5), Some(0xe005), Some(0xe000), None] {
            send_frame("net0", &frame(tag));
        }
    });
    running.wait_json("the tagged ones", |v| v["scope"] == "wire" && v["tagged_packets"] == 2);
    running.wait_json("the others", |v| v["scope"] == "total" && v["packets"] == 2);
    let lines = interrupt(running).json();
    let wire = last(&lines, "wire", |_| true);
    assert_eq!((&wire["packets"], &wire["tagged_packets"]), (&0.into(), &2.into()), "{wire}");
    let tagged = last(&lines, "group", |v| v["joined"] == false);
    assert_eq!((&tagged["vlan"], &tagged["packets"]), (&5.into(), &2.into()), "{tagged}");
}
