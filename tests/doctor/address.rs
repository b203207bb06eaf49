//! Faults of addresses, routes and of the checks that a source must pass.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use super::case::*;
use super::craft;
use super::support::netns::{Lab, Options};
use super::support::traffic::Sending;

/// A sender that host 2 has no route of its own to.
const FAR: Ipv4Addr = Ipv4Addr::new(10, 55, 0, 1);

/// Two networks; the sender is on net0.
fn two_networks() -> Options {
    Options { networks: 2, ..Options::default() }
}

fn from(source: Ipv4Addr) -> Traffic {
    Traffic::packets(vec![craft::datagram(source.into(), address(TO), 5004, b"here")])
}

#[test]
fn no_ipv4_address_and_a_reverse_path_filter() {
    for value in ["1", "2"] {
        let Some(lab) = lab!(Options::default()) else { return };
        lab.ip(2, "-4 addr flush dev net0");
        set(&lab, "net.ipv4.conf.net0.rp_filter", value);
        let traffic = Traffic::to(TO);
        dead(&lab, TO, &traffic);
        let report = ask(&lab, GROUP, &traffic);
        let first = report.leads_with("fail", "addr.v4none").shows(&["net0", "IPv4 address"]);
        // What address it should have nobody can guess: the filter is what a command can change.
        assert!(first.whole.to_string().contains(" dev net0"), "{report}");
        first.cure(&lab);
        flows(&lab, TO, &traffic);
    }
}

#[test]
fn no_ipv4_address_alone_hinders_nothing() {
    let Some(lab) = lab!(Options::default()) else { return };
    lab.ip(2, "-4 addr flush dev net0");
    let traffic = Traffic::to(TO);
    flows(&lab, TO, &traffic);
    let report = ask(&lab, GROUP, &traffic);
    let told = report.tells("addr.v4none");
    assert!(["note", "warn"].contains(&&*told.verdict), "{report}");
    told.shows(&["net0"]);
}

#[test]
fn ipv6_is_off() {
    let Some(lab) = lab!(Options::default()) else { return };
    set(&lab, "net.ipv6.conf.net0.disable_ipv6", "1");
    let traffic = Traffic::to(TO6);
    dead(&lab, TO6, &traffic);
    let report = ask(&lab, GROUP6, &traffic);
    let first = report.leads_with("fail", "addr.v6ll").shows(&["net0", "disable_ipv6"]);
    assert_eq!(first.remedy(), "sysctl -w net.ipv6.conf.net0.disable_ipv6=0");
    first.cure(&lab);
    flows(&lab, TO6, &traffic);
    // It is no matter for an IPv4 group.
    set(&lab, "net.ipv6.conf.net0.disable_ipv6", "1");
    ask(&lab, GROUP, &Traffic::to(TO)).is_well();
}

#[test]
fn no_link_local_address() {
    let Some(lab) = lab!(Options::default()) else { return };
    let local = lab.link_local(2, "net0");
    lab.ip(2, &format!("-6 addr del {local}/64 dev net0"));
    let report = ask(&lab, GROUP6, &Traffic::to(TO6));
    // What arrives needs none: it is the reports that do.
    let told = report.tells("addr.v6ll");
    told.cure(&lab);
    lab.wait_for_link(2, "net0");
    lab.link_local(2, "net0");
    assert!(lab.ip(2, "-6 addr show dev net0").contains("fd99::2"), "the remedy costs the other addresses");
}

/// The filter in both of its places; `to`, the group, may be one that never leaves the link.
fn strict(all: &str, own: &str, to: &str) {
    let Some(lab) = Lab::new("address::a_strict_reverse_path_filter", two_networks()) else { return };
    lab.ip(2, "route add 10.55.0.0/24 dev net1");
    set(&lab, "net.ipv4.conf.all.rp_filter", all);
    set(&lab, "net.ipv4.conf.net0.rp_filter", own);
    let traffic = Traffic::packets(vec![craft::datagram(FAR.into(), address(to), 5004, b"here")]);
    dead(&lab, to, &traffic);
    let report = ask(&lab, &to.replace(':', "%net0:"), &traffic);
    let first = report.leads_with("fail", "rp.filter");
    first.shows(&["strict", "net0", "10.55.0.1", "net1"]);
    assert!(first.remedy().contains("sysctl -w net.ipv4.conf.net0.rp_filter=2"), "{report}");
    first.cure(&lab);
    flows(&lab, to, &traffic);
}

#[test]
fn a_strict_reverse_path_filter() {
    strict("0", "1", TO);
    strict("1", "0", TO);
    strict("1", "1", "224.0.0.77:5004");
}

#[test]
fn a_loose_reverse_path_filter_and_no_route_to_the_source() {
    for (all, own) in [("0", "2"), ("2", "0")] {
        let Some(lab) = lab!(two_networks()) else { return };
        set(&lab, "net.ipv4.conf.all.rp_filter", all);
        set(&lab, "net.ipv4.conf.net0.rp_filter", own);
        let traffic = from(FAR);
        dead(&lab, TO, &traffic);
        let report = ask(&lab, GROUP, &traffic);
        let first = report.leads_with("fail", "rp.filter").shows(&["loose", "net0", "10.55.0.1"]);
        first.cure(&lab);
        flows(&lab, TO, &traffic);
    }
}

#[test]
fn a_strict_filter_that_lets_the_sender_pass_is_no_fault() {
    let Some(lab) = lab!(Options::default()) else { return };
    set(&lab, "net.ipv4.conf.all.rp_filter", "1");
    ask(&lab, GROUP, &Traffic::to(TO)).is_well();
}

#[test]
fn the_source_is_an_address_of_this_host() {
    let Some(lab) = lab!(Options::default()) else { return };
    lab.ip(2, "addr add 10.99.0.1/32 dev lo");
    let traffic = Traffic::to(TO);
    dead(&lab, TO, &traffic);
    let report = ask(&lab, GROUP, &traffic);
    let first = report.leads_with("fail", "rp.acceptlocal").shows(&["10.99.0.1"]);
    assert!(first.remedy().contains("net.ipv4.conf.net0.accept_local=1"), "{report}");
    first.cure(&lab);
    flows(&lab, TO, &traffic);
}

#[test]
fn the_source_is_no_address_at_all() {
    for source in [Ipv4Addr::UNSPECIFIED, Ipv4Addr::LOCALHOST, Ipv4Addr::new(239, 9, 9, 9)] {
        let Some(lab) = lab!(Options::default()) else { return };
        let traffic = from(source);
        dead(&lab, TO, &traffic);
        let report = ask(&lab, GROUP, &traffic);
        report.leads_with("fail", "rp.badsource").shows(&[&source.to_string()]).remedy();
    }
}

/// What a program gets that joins a group and leaves the choice of the interface to the kernel.
fn joins_somewhere(lab: &Lab) -> std::io::Result<String> {
    lab.inside(2, || {
        let socket = UdpSocket::bind("239.1.1.1:5004")?;
        socket.join_multicast_v4(&"239.1.1.1".parse().expect("an address"), &Ipv4Addr::UNSPECIFIED)?;
        let table = std::fs::read_to_string("/proc/thread-self/net/igmp")?;
        let upto = &table[..table.find("010101EF").expect("it is joined")];
        let device = upto.lines().rev().find(|l| !l.starts_with('\t')).expect("a row of an interface");
        Ok(device.split_whitespace().nth(1).expect("its name").into())
    })
}

#[test]
fn the_route_for_multicast_leads_elsewhere() {
    let Some(lab) = lab!(two_networks()) else { return };
    lab.ip(2, "route replace 224.0.0.0/4 dev net1");
    assert_eq!(joins_somewhere(&lab).expect("it joins"), "net1");
    let report = ask(&lab, GROUP, &Traffic::to(TO));
    let first = report.leads_with("warn", "route.wrongif").shows(&["239.1.1.1", "net1", "net0"]);
    first.cure(&lab);
    assert_eq!(joins_somewhere(&lab).expect("it joins"), "net0");
    ask(&lab, GROUP, &Traffic::to(TO)).is_well();
}

#[test]
fn no_route_for_multicast() {
    let Some(lab) = lab!(Options { route: false, ..Options::default() }) else { return };
    let error = joins_somewhere(&lab).expect_err("there is no route");
    assert_eq!(error.raw_os_error(), Some(libc::ENODEV));
    let report = ask(&lab, GROUP, &Traffic::to(TO));
    let told = report.tells("route.v4none");
    told.shows(&["239.1.1.1"]).cure(&lab);
    assert_eq!(joins_somewhere(&lab).expect("it joins"), "net0");
}

#[test]
fn a_group_of_the_link_without_an_interface_where_there_are_two() {
    let Some(lab) = lab!(two_networks()) else { return };
    let traffic = Traffic::Plain(Sending::to("[ff02::77]:5004").on("net0").port(5000));
    let report = ask(&lab, "[ff02::77]:5004", &traffic);
    let told = report.tells("route.v6");
    assert!(told.remedy().contains("ff02::77%net"), "{report}");
}

#[test]
fn another_source_than_the_one_asked_for() {
    let Some(lab) = lab!(Options::default()) else { return };
    let to = "232.1.1.1:5004";
    let (there, asked): (IpAddr, &str) = (lab.v4(1).into(), "10.99.0.9@232.1.1.1%net0:5004");
    let traffic = Traffic::to(to);
    flows(&lab, to, &traffic);
    let report = ask(&lab, asked, &traffic);
    let first = report.leads_with("fail", "ssm.wrongsource");
    first.shows(&["10.99.0.9", &there.to_string()]);
    assert!(first.remedy().contains("10.99.0.1@232.1.1.1"), "{report}");
    ask(&lab, "10.99.0.1@232.1.1.1%net0:5004", &traffic).is_well();
}
