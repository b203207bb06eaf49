//! Counters are the whole host's: what other groups suffer must not be told as this group's fault.

use std::net::{IpAddr, Ipv4Addr};

use super::case::*;
use super::craft;
use super::support::netns::{Lab, Options};
use super::support::traffic::Listener;

/// Another group, which sends, while the group that is asked for has no sender at all.
const OTHER: &str = "239.7.7.7:7000";

/// Fails unless the doctor says that nothing of the group arrives, and accuses nothing else.
#[track_caller]
fn accuses_nobody(lab: &Lab, noise: &Traffic) {
    let report = ask(lab, GROUP, noise);
    report.leads_with("warn", "net.sender").shows(&["239.1.1.1"]);
    let accused: Vec<_> = report.findings[1..].iter().filter(|f| f.verdict == "fail").collect();
    assert!(accused.is_empty(), "{accused:#?}\n{report}");
}

#[test]
fn nobody_sends_anything() {
    let Some(lab) = lab!(Options::default()) else { return };
    accuses_nobody(&lab, &Traffic::Nothing);
}

#[test]
fn another_group_that_nobody_here_has_joined() {
    let Some(lab) = lab!(Options::default()) else { return };
    let before = counter(&lab, "Ip:", "InReceives");
    accuses_nobody(&lab, &Traffic::to(OTHER));
    assert!(counter(&lab, "Ip:", "InReceives") > before + 10);
}

#[test]
fn another_group_that_is_joined_and_flows() {
    let Some(lab) = lab!(Options::default()) else { return };
    let other = lab.inside(2, || Listener::join(OTHER, "net0"));
    accuses_nobody(&lab, &Traffic::to(OTHER));
    drop(other);
}

#[test]
fn another_group_that_nobody_has_a_port_for() {
    let Some(lab) = lab!(Options::default()) else { return };
    let other = lab.inside(2, || Listener::join("239.7.7.7:7001", "net0"));
    let before = counter(&lab, "Udp:", "IgnoredMulti");
    accuses_nobody(&lab, &Traffic::to(OTHER));
    assert!(counter(&lab, "Udp:", "IgnoredMulti") > before + 10);
    drop(other);
}

#[test]
fn another_group_whose_source_the_reverse_path_filter_drops() {
    let Some(lab) = lab!(Options::default()) else { return };
    set(&lab, "net.ipv4.conf.net0.rp_filter", "1");
    let source: IpAddr = Ipv4Addr::new(10, 55, 0, 1).into();
    let noise = Traffic::packets(vec![craft::datagram(source, address(OTHER), 7000, b"there")]);
    // The filter looks at what is joined only.
    let other = lab.inside(2, || Listener::join(OTHER, "net0"));
    let before = counter(&lab, "TcpExt:", "IPReversePathFilter");
    accuses_nobody(&lab, &noise);
    assert!(counter(&lab, "TcpExt:", "IPReversePathFilter") > before + 10);
    drop(other);
}

#[test]
fn another_group_with_bad_checksums() {
    let Some(lab) = lab!(Options::default()) else { return };
    let other = lab.inside(2, || Listener::join(OTHER, "net0"));
    let noise = Traffic::packets(vec![craft::falsified(lab.v4(1).into(), address(OTHER), 7000, b"there")]);
    let before = counter(&lab, "Udp:", "InCsumErrors");
    accuses_nobody(&lab, &noise);
    assert!(counter(&lab, "Udp:", "InCsumErrors") > before + 10);
    drop(other);
}

#[test]
fn another_group_that_a_firewall_drops() {
    let Some(lab) = lab!(Options::default()) else { return };
    let other = lab.inside(2, || Listener::join(OTHER, "net0"));
    lab.sh(
        2,
        "nft 'add table inet t; add chain inet t c { type filter hook input priority 0; }; \
         add rule inet t c udp dport 7000 drop'",
    );
    accuses_nobody(&lab, &Traffic::to(OTHER));
    drop(other);
}

#[test]
fn without_a_privilege_others_cannot_be_told_apart_and_nobody_is_accused_for_sure() {
    let Some(lab) = lab!(Options { networks: 2, ..Options::default() }) else { return };
    // On another port, behind a firewall, refused for its source: three faults of others.
    let other = lab.inside(2, || Listener::join("239.7.7.7:7001", "net0"));
    let source: IpAddr = Ipv4Addr::new(10, 55, 0, 1).into();
    let refused = Traffic::packets(vec![craft::datagram(source, address(OTHER), 7000, b"there")]);
    for (noise, rule, filter) in
        [(Traffic::to(OTHER), "accept", "0"), (Traffic::to(OTHER), "drop", "0"), (refused, "accept", "1")]
    {
        lab.sh(2, "nft flush ruleset");
        let chain = "add table inet t; add chain inet t c { type filter hook input priority 0; }";
        lab.sh(2, &format!("nft '{chain}; add rule inet t c udp dport 7000 {rule}'"));
        set(&lab, "net.ipv4.conf.net0.rp_filter", filter);
        let report = ask_as_nobody(&lab, GROUP, &noise);
        assert_eq!(report.findings.first().map(|f| &*f.verdict), Some("warn"), "{report}");
        assert!(!report.findings.iter().any(|f| f.verdict == "fail"), "{report}");
        assert_eq!(report.outcome.status.code(), Some(0), "{report}");
    }
    drop(other);
}

#[test]
fn the_same_group_on_another_interface_is_told() {
    let Some(lab) = lab!(Options { networks: 2, ..Options::default() }) else { return };
    let traffic = Traffic::Crafted("net1", {
        let packet = craft::datagram(lab.v4_on(1, 1).into(), address(TO), 5004, b"here");
        Box::new(move |_| vec![packet.clone()])
    });
    let report = ask(&lab, GROUP, &traffic);
    let first = report.findings.first().expect("a finding");
    assert_eq!(first.verdict, "fail", "{report}");
    // Where it is to be had: that is the whole answer.
    assert!(first.evidence.contains("net1") && first.remedy().contains("%net1"), "{report}");
}
