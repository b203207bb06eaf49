//! The dashboard as a person uses it: the real program in a pseudo-terminal, keys typed, the screen
//! read, and the network looked at to see that what the screen says is so.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::num::NonZeroU16;
use std::os::unix::process::CommandExt;
use std::time::Instant;

use mcscope::wire::probe::{Kind, Probe};
use support::DEADLINE;
use support::netns::{Lab, Options};
use support::program::{dashboard, run, wait_row};
use support::pty::{Term, shell_code, text};
use support::run::Sandbox;
use support::traffic::{Listener, Payload, Sending, total};

const SIZE: (u16, u16) = (36, 120);

/// Whether host 2 has joined an IPv4 group, waited for.
#[track_caller]
fn wait_joined(lab: &Lab, group: &str, joined: bool) {
    let ip: std::net::Ipv4Addr = group.parse().expect("an address");
    let row = format!("{:08X}", u32::from_le_bytes(ip.octets()));
    let until = Instant::now() + DEADLINE;
    loop {
        let list = lab.inside(2, || std::fs::read_to_string("/proc/thread-self/net/igmp"));
        if list.expect("read the memberships").contains(&row) == joined {
            return;
        }
        assert!(Instant::now() < until, "{group} joined is not {joined}");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// The dashboard in host 2 on these groups, each standing.
#[track_caller]
fn watching(sandbox: &Sandbox, lab: &Lab, groups: &str) -> Term {
    let mut term = dashboard(sandbox, Some((lab, 2)), &format!("{groups} --no-resolve"), SIZE);
    term.wait_until("the joins", |s| {
        let all = text(s);
        all.contains("Groups") && !all.contains("joining")
    });
    term
}

#[track_caller]
fn quit(mut term: Term) {
    term.type_keys("q");
    assert_eq!(shell_code(term.wait_exit()), 0, "{}", term.report());
    term.assert_restored();
}

#[test]
fn the_first_frame_lists_every_group_as_joining_and_then_they_stand() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let groups = ["239.1.1.1", "239.1.1.2", "239.1.1.3", "ff15::1"];
    let mut term = watching(&sandbox, &lab, "239.1.1.1+3%net0:5004 [ff15::1%net0]:5004");
    // The first frame, taken out of all that was written.
    let raw = String::from_utf8_lossy(term.raw()).into_owned();
    let end = raw.find("\x1b[?2026l").expect("the end of a frame");
    let size = |n| NonZeroU16::new(n).expect("not zero");
    let mut first = vt100::Parser::new(size(SIZE.0), size(SIZE.1), 0);
    first.process(&raw.as_bytes()[..end]);
    let frame = text(first.screen());
    for group in groups {
        let row = frame.lines().find(|l| l.contains(group) && l.contains("5004"));
        assert!(row.is_some_and(|r| r.contains("joining")), "{group} in the first frame:\n{frame}");
    }
    assert!(frame.contains("4 groups"), "{frame}");
    for group in groups {
        wait_row(&mut term, &[group, "5004", "net0"]);
    }
    lab.inside(1, || Sending::to("239.1.1.2:5004").on("net0").count(7).go());
    let row = wait_row(&mut term, &["239.1.1.2", "●", " 7 "]);
    assert!(row.contains("now") || row.contains(" s "), "{row}");
    wait_row(&mut term, &["mcscope", "4 groups", "1 source"]);
    quit(term);
}

#[test]
fn groups_are_joined_left_and_brought_back_from_the_screen() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let mut term = watching(&sandbox, &lab, "239.1.1.1%net0:5004");
    term.type_keys("J");
    term.wait_text("keep for next time");
    // What is wrong is told while it is typed, and is not joined.
    term.type_keys("10.1.2.3:5004");
    term.wait_text("not a multicast group");
    term.type_keys("<enter>");
    term.type_keys("<ctrl-u>");
    term.wait_no_text("10.1.2.3");
    term.type_keys("239.7.7.7:6000");
    term.wait_text("Will join (*, 239.7.7.7) port 6000 on net0");
    term.type_keys("<enter>");
    term.wait_no_text("keep for next time");
    wait_row(&mut term, &["239.7.7.7", "6000", "net0"]);
    wait_joined(&lab, "239.7.7.7", true);
    lab.inside(1, || Sending::to("239.7.7.7:6000").on("net0").count(3).go());
    wait_row(&mut term, &["●", "239.7.7.7", " 3 "]);

    // The first row is selected: the group that was there first has no traffic and comes second.
    term.type_keys("<home>");
    wait_row(&mut term, &["▌", "239."]);
    let selected = text(term.screen()).lines().find(|l| l.contains('▌')).map(str::to_owned);
    let left = if selected.is_some_and(|l| l.contains("239.7.7.7")) { "239.7.7.7" } else { "239.1.1.1" };
    let other = if left == "239.7.7.7" { "239.1.1.1" } else { "239.7.7.7" };
    term.type_keys("L");
    wait_joined(&lab, left, false);
    term.wait_until("the row to go", |s| !text(s).lines().any(|l| l.contains(left) && l.contains("net0 ")));
    wait_joined(&lab, other, true);
    term.type_keys("u");
    wait_joined(&lab, left, true);
    wait_row(&mut term, &[left, "net0"]);
    // What came back is the selected row, also where no table of groups is shown.
    term.type_keys("5L");
    wait_joined(&lab, left, false);
    term.type_keys("u");
    wait_joined(&lab, left, true);
    term.type_keys("L");
    wait_joined(&lab, left, false);
    wait_joined(&lab, other, true);
    term.type_keys("u");
    wait_joined(&lab, left, true);
    // The event log tells all of it.
    term.type_keys("6");
    wait_row(&mut term, &["joined 239.7.7.7%net0:6000"]);
    wait_row(&mut term, &[&format!("left {left}")]);
    quit(term);
    wait_joined(&lab, "239.7.7.7", false);
}

#[test]
fn a_test_message_comes_back_marked_as_ours_and_reaches_the_other_host() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let there = lab.inside(1, || Listener::join("239.1.1.1:5004", "net0"));
    let mut term = watching(&sandbox, &lab, "239.1.1.1%net0:5004");
    term.type_keys("s");
    let heard = there.wait();
    let probe = Probe::parse(&heard.payload).expect("a probe");
    assert_eq!((probe.kind, heard.from.ip()), (Kind::Test, lab.v4(2).into()));
    wait_row(&mut term, &["→", &heard.from.to_string(), "this host"]);
    wait_row(&mut term, &["→", &heard.from.to_string(), "probe test seq 0", "mcscope test from"]);
    wait_row(&mut term, &["sent 1 packet to 239.1.1.1:5004"]);
    // What another host sends is not ours.
    let other = Sending::to("239.1.1.1:5004").on("net0").port(4321);
    lab.inside(1, || other.go());
    let row = wait_row(&mut term, &[&format!("{}:4321", lab.v4(1)), "100 %"][..1]);
    assert!(!row.contains('→') && !row.contains("this host"), "{row}");
    quit(term);
}

#[test]
fn the_send_dialog_sends_what_it_says_and_the_list_of_sends_tells_how_it_went() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let there = lab.inside(1, || Listener::join("239.1.1.1:5004", "net0"));
    let mut term = watching(&sandbox, &lab, "239.1.1.1%net0:5004");
    term.type_keys("S");
    term.wait_text("Send to 239.1.1.1:5004");
    term.wait_text("10 probes of 44 B to 239.1.1.1:5004 by net0");
    term.type_keys("<enter>");
    term.wait_no_text("Send to 239.1.1.1:5004");
    assert_eq!(total(&there.collect(10)).packets, 10);
    term.wait_text("sent 10 packets to 239.1.1.1:5004");
    term.type_keys("T");
    wait_row(&mut term, &["239.1.1.1:5004", "10", "net0"][..2]);
    term.type_keys("<esc>");
    wait_row(&mut term, &["●", "239.1.1.1", " 10 "]);
    assert!(there.next(Instant::now()).is_none());
    quit(term);
}

#[test]
fn the_responder_is_turned_on_and_off_by_a_key() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let mut term = watching(&sandbox, &lab, "239.1.1.1%net0:5004");
    let ask = || run(&sandbox, Some((&lab, 1)), "send 239.1.1.1%net0:5004 --await-reply 300ms");
    ask().code(1).prints("nobody answered");
    term.type_keys("r");
    let until = Instant::now() + DEADLINE;
    let answered = loop {
        term.wait_text("Groups");
        let outcome = ask();
        if outcome.status.success() {
            break outcome;
        }
        assert!(Instant::now() < until, "{outcome}\n{}", term.report());
    };
    answered.prints(&format!("from {}:", lab.v4(2)));
    wait_row(&mut term, &["239.1.1.1", "↩ answers"]);
    term.type_keys("r");
    term.wait_no_text("↩ answers");
    while ask().status.success() {
        assert!(Instant::now() < until, "it still answers\n{}", term.report());
    }
    quit(term);
}

#[test]
fn a_filter_narrows_what_is_shown_and_escape_brings_it_back() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let mut term = watching(&sandbox, &lab, "239.1.1.1%net0:5004 239.2.2.2%net0:6000");
    term.type_keys("/");
    term.type_keys("2.2.2");
    term.wait_until("one row", |s| {
        let all = text(s);
        all.contains("239.2.2.2") && !all.lines().any(|l| l.contains("239.1.1.1") && l.contains("net0 "))
    });
    term.type_keys("<enter>");
    wait_row(&mut term, &["239.2.2.2", "net0"]);
    // What is not shown is counted all the same.
    lab.inside(1, || Sending::to("239.1.1.1:5004").on("net0").count(4).go());
    wait_row(&mut term, &["4 packets"]);
    term.type_keys("<esc>");
    wait_row(&mut term, &["239.1.1.1", "net0", "●", " 4 "]);
    wait_row(&mut term, &["239.2.2.2", "net0"]);
    quit(term);
}

#[test]
fn a_paused_screen_stands_still_and_loses_no_count() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let mut term = watching(&sandbox, &lab, "239.1.1.1%net0:5004");
    lab.inside(1, || Sending::to("239.1.1.1:5004").on("net0").count(5).go());
    wait_row(&mut term, &["●", "239.1.1.1", " 5 "]);
    term.type_keys("<space>");
    term.wait_text("paused");
    let there = lab.inside(1, || Listener::join("239.1.1.1:5004", "net0"));
    lab.inside(1, || Sending::to("239.1.1.1:5004").on("net0").count(37).go());
    // Its own message is sent, so that it has certainly taken what came before; the screen stands still.
    term.type_keys("s");
    while Probe::parse(&there.wait().payload).is_none() {}
    term.wait_text("sent 1 packet to");
    let row = wait_row(&mut term, &["239.1.1.1", "net0"]);
    assert!(row.contains(" 5 "), "{row}");
    term.type_keys("<space>");
    term.wait_no_text("paused");
    wait_row(&mut term, &["●", "239.1.1.1", " 43 "]);
    quit(term);
}

#[test]
fn counters_are_set_to_zero_one_row_or_all() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let mut term = watching(&sandbox, &lab, "239.1.1.1%net0:5004 239.2.2.2%net0:6000");
    let send = |to: &str, count| {
        let to = to.to_owned();
        lab.inside(1, move || Sending::to(&to).on("net0").count(count).go());
    };
    send("239.1.1.1:5004", 11);
    send("239.2.2.2:6000", 13);
    wait_row(&mut term, &["all: 24 packets"]);
    term.type_keys("x");
    term.wait_text("set to zero");
    term.wait_until("one row at zero", |s| {
        let all = text(s);
        all.contains("all: 13 packets") || all.contains("all: 11 packets")
    });
    term.type_keys("X");
    wait_row(&mut term, &["all: 0 packets"]);
    send("239.1.1.1:5004", 2);
    wait_row(&mut term, &["all: 2 packets"]);
    quit(term);
}

#[test]
fn views_help_palette_zoom_columns_and_sorting_work() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let mut term = watching(&sandbox, &lab, "239.1.1.1%net0:5004 239.2.2.2%net0:6000");
    let text_message = Payload::Bytes(b"who moved the light?".to_vec());
    let sending = Sending::to("239.1.1.1:5004").on("net0").payload(text_message).sizes(&[20]);
    lab.inside(1, || sending.count(3).go());
    wait_row(&mut term, &["●", "239.1.1.1", " 3 "]);

    term.type_keys("?");
    term.wait_text("What works here");
    term.wait_text("join a group");
    term.type_keys("<esc>");
    term.wait_no_text("What works here");

    for (key, words) in
        [("3", "who moved the light?"), ("4", "10.99.0.2"), ("6", "joined 239.1.1.1%net0:5004")]
    {
        term.type_keys(key);
        term.wait_text(words);
    }
    term.type_keys("1");
    term.wait_text("Sources of");

    // Zoom gives the table the whole screen.
    term.type_keys("z");
    term.wait_no_text("Sources of");
    term.type_keys("z");
    term.wait_text("Sources of");

    // Any action by its name.
    term.type_keys(":");
    term.wait_text("freeze the screen");
    term.type_keys("pause");
    term.wait_no_text("join a group");
    term.type_keys("<enter>");
    term.wait_text("paused");
    term.type_keys("<space>");
    term.wait_no_text("paused");

    // A column goes and comes back.
    term.type_keys("w");
    term.wait_text("[x] port");
    term.type_keys("<down><space>");
    term.wait_text("[ ] port");
    term.type_keys("<esc>");
    term.wait_until("the column to go", |s| !text(s).contains("PORT") && !text(s).contains("[ ] port"));
    term.type_keys("w");
    term.wait_text("[ ] port");
    term.type_keys("<down><space>");
    term.wait_text("[x] port");
    term.type_keys("<esc>");
    term.wait_no_text("[x] port");
    term.wait_text("PORT");

    // Sorted by the group's name, up and down.
    term.wait_text("sorted by bit/s ▾");
    for _ in 0..20 {
        if text(term.screen()).contains("sorted by group") {
            break;
        }
        let before = text(term.screen());
        term.type_keys("<lt>");
        term.wait_until("another column", |s| text(s) != before);
    }
    let order = |s: &vt100::Screen| {
        let all = text(s);
        let at = |g: &str| all.lines().position(|l| l.contains(g) && l.contains("net0 "));
        at("239.1.1.1").zip(at("239.2.2.2")).map(|(a, b)| a < b)
    };
    let ascending = order(term.screen()).expect("both rows");
    term.type_keys("o");
    term.wait_until("the other order", |s| order(s) == Some(!ascending));
    quit(term);
}

#[test]
fn enter_looks_into_a_group_and_a_packet_and_escape_goes_back() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let mut term = watching(&sandbox, &lab, "239.1.1.1%net0:5004");
    let sending =
        Sending::to("239.1.1.1:5004").on("net0").port(4000).payload(Payload::Probe { run: 0xabcdef });
    lab.inside(1, || sending.count(2).ttl(5).go());
    wait_row(&mut term, &["●", "239.1.1.1", " 2 "]);
    // From the group to its source, to its stream or packets, to a packet's bytes.
    term.type_keys("<enter><enter><enter>");
    term.wait_text("6d 63 53 63");
    wait_row(&mut term, &["sent TTL", "5"]);
    wait_row(&mut term, &["run id", "0000000000abcdef"]);
    wait_row(&mut term, &["sequence"]);
    // And back again, a step at a time.
    for _ in 0..3 {
        let bytes = term.text().contains("Bytes of");
        let stream = term.text().contains("Last minute");
        if !bytes && !stream {
            break;
        }
        term.type_keys("<esc>");
        term.wait_until("one step back", |s| {
            bytes && !text(s).contains("Bytes of") || stream && !text(s).contains("Last minute")
        });
    }
    term.wait_text("Sources of 239.1.1.1");
    wait_row(&mut term, &["239.1.1.1", "net0", " 2 "]);
    quit(term);
}

#[test]
fn a_join_that_fails_says_why_and_can_be_tried_again() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let mut command = sandbox.mcscope(["224.0.1.129%net0:319", "--no-resolve"]);
    lab.enter(2, &mut command);
    // Without the capability to bind to a port below 1024, as for every user but root.
    // SAFETY: the closure runs in the child between fork and exec and makes one system call.
    unsafe {
        command.pre_exec(|| match libc::prctl(libc::PR_CAPBSET_DROP, 10, 0, 0, 0) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    let mut term = Term::spawn(command, SIZE.0, SIZE.1);
    wait_row(&mut term, &["224.0.1.129", "319", "failed"][..2]);
    term.wait_text("permission denied");
    term.wait_text("cap_net_bind_service");
    wait_row(&mut term, &["t try again"]);
    term.type_keys("t");
    term.wait_text("permission denied");
    // The reason goes away.
    lab.sh(2, "echo 0 > /proc/sys/net/ipv4/ip_unprivileged_port_start");
    term.type_keys("t");
    wait_joined(&lab, "224.0.1.129", true);
    term.wait_until("the failure to go", |s| {
        !text(s).lines().any(|l| l.contains("224.0.1.129") && l.contains("permission"))
    });
    lab.inside(1, || Sending::to("224.0.1.129:319").on("net0").count(6).go());
    wait_row(&mut term, &["●", "224.0.1.129", " 6 "]);
    quit(term);
}

#[test]
fn an_interface_that_vanishes_and_returns_is_followed_on_the_screen() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let mut term = watching(&sandbox, &lab, "239.1.1.1%net0:5004");
    lab.delete_link(2, 0);
    term.wait_text("the interface net0 vanished");
    lab.recreate_links(0);
    term.wait_no_text("the interface net0 vanished");
    wait_joined(&lab, "239.1.1.1", true);
    lab.inside(1, || Sending::to("239.1.1.1:5004").on("net0").count(6).go());
    wait_row(&mut term, &["●", "239.1.1.1", " 6 "]);
    quit(term);
}

#[test]
fn with_no_groups_the_lans_own_are_joined_and_never_called_silent() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let mut term = watching(&sandbox, &lab, "");
    for (group, port) in [
        ("224.0.0.251", "5353"),
        ("224.0.0.252", "5355"),
        ("239.255.255.250", "1900"),
        ("239.255.255.250", "3702"),
        ("224.2.127.254", "9875"),
        ("ff02::fb", "5353"),
    ] {
        term.type_keys("<home>");
        // The table may be longer than its pane.
        for _ in 0..20 {
            if text(term.screen()).lines().any(|l| l.contains(group) && l.contains(port)) {
                break;
            }
            term.type_keys("<down>");
            term.watch(std::time::Duration::from_millis(30));
        }
        wait_row(&mut term, &[group, port]);
    }
    assert!(!term.text().contains("silent"), "{}", term.report());
    quit(term);
}
