//! Faults of the interface: down, no carrier, no multicast flag, too small an MTU, a carrier that
//! flapped, an interface made anew.

use std::time::{Duration, Instant};

use super::case::*;
use super::craft;
use super::support::DEADLINE;
use super::support::netns::{Join, Lab, Options};
use super::support::run::{Running, Sandbox};
use super::support::traffic::{Listener, Sending};

const SWITCH: Join = Join::Switch { snooping: false, querier: false };

/// Hosts at a switch: a fault at one port is none of the sender's.
fn at_a_switch() -> Options {
    Options { join: SWITCH, ..Options::default() }
}

/// Starts the doctor with a longer look, and waits until the group has so many members.
#[track_caller]
fn start(lab: &Lab, sandbox: &Sandbox, group: &str, members: u32) -> Running {
    let mut command = sandbox.mcscope(["doctor", "--json", "--for", "6s", group]);
    lab.enter(2, &mut command);
    let running = sandbox.spawn(command);
    let until = Instant::now() + DEADLINE;
    while joined(lab) < members {
        assert!(Instant::now() < until, "the doctor does not join 239.1.1.1");
        std::thread::sleep(Duration::from_millis(10));
    }
    running
}

/// How many sockets of host 2 are members of 239.1.1.1.
fn joined(lab: &Lab) -> u32 {
    let table = lab.sh(2, "cat /proc/net/igmp");
    let row = table.lines().find(|l| l.contains("010101EF"));
    row.map_or(0, |l| l.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("the number of users"))
}

#[test]
fn an_interface_that_is_down() {
    let Some(lab) = lab!(at_a_switch()) else { return };
    lab.ip(2, "link set net0 down");
    for (group, to) in [(GROUP, TO), (GROUP6, TO6)] {
        let traffic = Traffic::to(to);
        dead(&lab, to, &traffic);
        let report = ask(&lab, group, &traffic);
        let first = report.leads_with("fail", "if.down").shows(&["net0", "down"]);
        assert_eq!(first.command(), "ip link set net0 up");
        assert_eq!(report.outcome.status.code(), Some(1), "{report}");
    }
    let report = ask(&lab, GROUP, &Traffic::Nothing);
    report.leads_with("fail", "if.down").cure(&lab);
    flows(&lab, TO, &Traffic::to(TO));
    flows(&lab, TO6, &Traffic::to(TO6));
}

#[test]
fn the_only_interface_is_down_and_nobody_names_it() {
    let Some(lab) = lab!(Options::default()) else { return };
    lab.ip(2, "link set net0 down");
    // A join would take the loopback; whoever asks does not mean that.
    for words in ["239.1.1.1:5004", "[ff15::1]:5004", ""] {
        let report = ask(&lab, words, &Traffic::Nothing);
        report.leads_with("fail", "if.down").shows(&["net0"]);
        assert!(report.outcome.stderr.is_empty(), "{report}");
    }
    ask(&lab, "239.1.1.1:5004", &Traffic::Nothing).leads_with("fail", "if.down").cure(&lab);
    flows(&lab, TO, &Traffic::to(TO));
    // The route went with the interface.
    lab.ip(2, "route replace 224.0.0.0/4 dev net0");
    lab.ip(2, "link set net0 multicast off");
    let report = ask(&lab, "239.1.1.1:5004", &Traffic::to(TO));
    report.tells("if.nomulticast").shows(&["net0"]).cure(&lab);
    ask(&lab, "239.1.1.1:5004", &Traffic::to(TO)).is_well();
}

#[test]
fn one_of_two_interfaces_is_down_and_nobody_names_it() {
    let Some(lab) = lab!(Options { networks: 2, ..Options::default() }) else { return };
    lab.ip(2, "link set net1 down");
    let report = ask(&lab, "239.1.1.1:5004", &Traffic::Nothing);
    report.leads_with("warn", "net.sender").shows(&["net1 is down"]);
}

#[test]
fn no_carrier() {
    let Some(lab) = lab!(at_a_switch()) else { return };
    lab.on_switch(0, "ip link set p2 down");
    for (group, to) in [(GROUP, TO), (GROUP6, TO6)] {
        let traffic = Traffic::to(to);
        dead(&lab, to, &traffic);
        let report = ask(&lab, group, &traffic);
        let first = report.leads_with("fail", "if.carrier").shows(&["net0", "carrier"]);
        // Nothing on this host helps: the cable and the port are looked at.
        assert!(first.remedy().contains("cable"), "{report}");
    }
    lab.on_switch(0, "ip link set p2 up");
    flows(&lab, TO, &Traffic::to(TO));
}

#[test]
fn an_interface_without_the_multicast_flag() {
    let Some(lab) = lab!(Options::default()) else { return };
    lab.ip(2, "link set net0 multicast off");
    let report = ask(&lab, GROUP, &Traffic::to(TO));
    let first = report.tells("if.nomulticast").shows(&["net0", "MULTICAST"]);
    assert_eq!(first.command(), "ip link set net0 multicast on");
    first.cure(&lab);
    ask(&lab, GROUP, &Traffic::to(TO)).is_well();
}

#[test]
fn frames_larger_than_the_mtu() {
    let Some(lab) = lab!(Options::default()) else { return };
    lab.ip(1, "link set net0 mtu 9000");
    let packet = craft::datagram(lab.v4(1).into(), address(TO), 5004, &[0; 4000]);
    let traffic = Traffic::packets(vec![packet]);
    dead(&lab, TO, &traffic);
    let report = ask(&lab, GROUP, &traffic);
    let first = report.findings.first().expect("a finding");
    assert_eq!(first.id, "if.mtu", "{report}");
    first.shows(&["net0", "1500", "rx_dropped"]);
    assert!(first.remedy().contains("mtu 9000"), "{report}");
    first.cure(&lab);
    flows(&lab, TO, &traffic);
}

#[test]
fn a_carrier_that_flaps_makes_the_kernel_report_nothing() {
    let Some(lab) = lab!(at_a_switch()) else { return };
    let sandbox = Sandbox::new();
    // Another program's membership, which nobody announces again.
    let held = lab.inside(2, || Listener::join(TO, "net0"));
    let running = start(&lab, &sandbox, GROUP, 2);
    lab.on_switch(0, "ip link set p2 down");
    lab.on_switch(0, "ip link set p2 up");
    let report = Report::read(running.wait());
    drop(held);
    report.has("warn", "if.flap").shows(&["net0"]).remedy();
}

#[test]
fn an_interface_made_anew_leaves_a_program_without_its_membership() {
    let Some(lab) = lab!(Options::default()) else { return };
    let orphan = lab.inside(2, || Listener::join(TO, "net0"));
    lab.delete_link(2, 0);
    lab.recreate_links(0);
    assert_eq!(joined(&lab), 0, "the membership went with the interface");
    let report = ask(&lab, GROUP, &Traffic::to(TO));
    let heard = orphan.next(Instant::now() + Duration::from_millis(20));
    let first = &report.leads_with("fail", "igmp.notjoined");
    first.shows(&["239.1.1.1", "(pid "]).remedy();
    drop(heard);
}

#[test]
fn an_interface_made_anew_while_the_doctor_looks() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let running = start(&lab, &sandbox, GROUP, 1);
    lab.delete_link(2, 0);
    lab.recreate_links(0);
    let report = Report::read(running.wait());
    report.tells("if.index").shows(&["net0"]);
}

#[test]
fn a_datagram_with_ttl_0_never_leaves_its_host() {
    let Some(lab) = lab!(Options::default()) else { return };
    let traffic = Traffic::Plain(Sending::to(TO).on("net0").port(5000).ttl(0));
    // Linux looks at it where it hands a copy to members of its own; without one it is sent with TTL 0.
    let member = lab.inside(1, || Listener::join(TO, "net0"));
    dead(&lab, TO, &traffic);
    // On the host of the sender, which hears itself.
    let report = under(&lab, &traffic, |_| ask_in(&lab, 1, "1s", GROUP));
    let first = report.findings.first().expect("a finding");
    assert_eq!((&*first.verdict, &*first.id), ("warn", "ttl.one"), "{report}");
    first.shows(&["TTL 0"]).remedy();
    // On the other host nothing moves: the TTL is one of the reasons told.
    let report = ask(&lab, GROUP, &traffic);
    let first = report.findings.first().expect("a finding");
    assert!(first.whole.to_string().contains("TTL"), "{report}");
    drop(member);
}

#[test]
fn a_datagram_with_ttl_1_is_noted_not_warned_of() {
    let Some(lab) = lab!(Options::default()) else { return };
    let report = ask(&lab, GROUP, &Traffic::Plain(Sending::to(TO).on("net0").port(5000).ttl(1)));
    report.is_well();
    report.has("note", "ttl.one").shows(&["1"]);
    let report = ask(&lab, GROUP, &Traffic::Plain(Sending::to(TO).on("net0").port(5000).ttl(8)));
    assert!(!report.findings.iter().any(|f| f.id == "ttl.one" && f.verdict != "ok"), "{report}");
}

#[test]
fn frames_of_a_vlan_that_this_host_has_not() {
    let Some(lab) = lab!(Options::default()) else { return };
    let packet = craft::datagram(lab.v4(1).into(), address(TO), 5004, b"here");
    // VLAN 77, then the type that stood there (IEEE 802.1Q).
    let tagged = [&[0, 77, 8, 0], &packet[..]].concat();
    let traffic = Traffic::Frame(craft::ethernet(&packet), 0x8100, tagged);
    dead(&lab, TO, &traffic);
    let report = ask(&lab, GROUP, &traffic);
    report.leads_with("fail", "snoop.vlan").shows(&["net0", "77"]).remedy();
}

#[test]
fn frames_to_another_station() {
    let Some(lab) = lab!(Options::default()) else { return };
    let packet = craft::datagram(lab.v4(1).into(), address(TO), 5004, b"here");
    let traffic = Traffic::Frame([2, 0, 0, 0, 0, 9], libc::ETH_P_IP as u16, packet);
    dead(&lab, TO, &traffic);
    let report = ask(&lab, GROUP, &traffic);
    report.leads_with("fail", "if.dstmac").shows(&["another station"]).remedy();
}
