//! Queriers: none, of an older version, two of them; switches that snoop.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::case::*;
use super::craft::{igmp_query, mld_query};
use super::support::DEADLINE;
use super::support::netns::{Join, Lab, Options};
use super::support::run::Sandbox;

const A: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 101);
const B: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 102);

/// The stream, and these queries among it, each tenth time.
fn with_queries(lab: &Lab, to: &'static str, queries: Vec<Vec<u8>>) -> Traffic {
    let source = if to == TO6 { lab.v6(1).into() } else { lab.v4(1).into() };
    let stream = super::craft::datagram(source, address(to), 5004, b"here");
    Traffic::Crafted(
        "net0",
        Box::new(move |time| {
            let mut all = vec![stream.clone()];
            if time % 10 == 0 {
                all.extend_from_slice(&queries);
            }
            all
        }),
    )
}

#[test]
fn a_querier_is_named() {
    let Some(lab) = lab!(Options::default()) else { return };
    let report = ask(&lab, GROUP, &with_queries(&lab, TO, vec![igmp_query(A, 3, 100, 60)]));
    report.is_well();
    report.has("ok", "igmp.querier").shows(&["10.99.0.101", "IGMPv3", "60 s"]);
    let from = lab.link_local(1, "net0");
    let report = ask(&lab, GROUP6, &with_queries(&lab, TO6, vec![mld_query(from, 2, 10_000, 60)]));
    report.is_well();
    let told = report.findings.iter().find(|f| f.evidence.contains(&from.to_string()));
    told.unwrap_or_else(|| panic!("the querier {from} is not told\n{report}")).shows(&["MLDv2"]);
}

#[test]
fn no_querier_heard_is_unknown_for_as_long_as_one_may_come() {
    let Some(lab) = lab!(Options::default()) else { return };
    let report = ask(&lab, GROUP, &Traffic::to(TO));
    report.is_well();
    // After two seconds nobody can know: a query comes every 125 s.
    report.has("unknown", "igmp.querier").shows(&["no query heard", "135s"]);
}

#[test]
fn a_querier_that_asks_no_more() {
    let Some(lab) = lab!(Options::default()) else { return };
    // It asks every second, and a member is forgotten 2.1 s after its last report (RFC 3376, 8.4).
    let asks = Arc::new(AtomicBool::new(true));
    let asking = asks.clone();
    let query = igmp_query(A, 3, 1, 1);
    let traffic = Traffic::Crafted(
        "net0",
        Box::new(move |_| if asking.load(Ordering::Relaxed) { vec![query.clone()] } else { Vec::new() }),
    );
    let sandbox = Sandbox::new();
    let mut command = sandbox.mcscope(["doctor", "--json", "--for", "8s", GROUP]);
    lab.enter(2, &mut command);
    let report = under(&lab, &traffic, |sent| {
        let running = sandbox.spawn(command);
        let until = Instant::now() + DEADLINE;
        while !lab.sh(2, "cat /proc/net/igmp").contains("010101EF") {
            assert!(Instant::now() < until, "the doctor does not join 239.1.1.1");
            std::thread::sleep(Duration::from_millis(10));
        }
        after(sent, 20);
        asks.store(false, Ordering::Relaxed);
        Report::read(running.wait())
    });
    report.has("warn", "igmp.querier").shows(&["10.99.0.101"]).remedy();
}

#[test]
fn a_querier_of_an_older_version() {
    for version in [1u8, 2] {
        let Some(lab) = lab!(Options::default()) else { return };
        let traffic = with_queries(&lab, TO, vec![igmp_query(A, version, 100, 0)]);
        let report = ask(&lab, GROUP, &traffic);
        let table = lab.sh(2, "cat /proc/net/igmp");
        assert!(table.contains(&format!("V{version}")), "the fault is none:\n{table}");
        let first = report.leads_with("warn", "igmp.version").shows(&["net0", &format!("IGMPv{version}")]);
        first.remedy();
        // The column stands for minutes: the querier need not be heard again.
        let report = ask(&lab, "10.99.0.1@232.1.1.1%net0:5004", &Traffic::to("232.1.1.1:5004"));
        report.leads_with("fail", "igmp.version").shows(&["net0"]);
    }
}

#[test]
fn a_querier_of_an_older_version_of_mld() {
    let Some(lab) = lab!(Options::default()) else { return };
    let from = lab.link_local(1, "net0");
    let traffic = with_queries(&lab, TO6, vec![mld_query(from, 1, 10_000, 0)]);
    let report = ask(&lab, GROUP6, &traffic);
    report.leads_with("warn", "mld.version").shows(&["MLDv1", "net0"]).remedy();
}

#[test]
fn two_queriers() {
    let Some(lab) = lab!(Options::default()) else { return };
    let queries = vec![igmp_query(B, 3, 100, 125), igmp_query(A, 3, 100, 125)];
    let report = ask(&lab, GROUP, &with_queries(&lab, TO, queries));
    let told = report.tells("igmp.lowestquerier");
    told.shows(&["10.99.0.101", "10.99.0.102"]);
}

#[test]
fn a_querier_without_an_address() {
    let Some(lab) = lab!(Options::default()) else { return };
    let queries = vec![igmp_query(Ipv4Addr::UNSPECIFIED, 3, 100, 125)];
    let report = ask(&lab, GROUP, &with_queries(&lab, TO, queries));
    report.is_well();
    report.has("note", "igmp.lowestquerier").shows(&["0.0.0.0"]);
}

#[test]
fn this_hosts_own_bridge_snoops_and_nobody_queries() {
    let switch = Join::Switch { snooping: true, querier: false };
    let Some(lab) = lab!(Options { join: switch, ..Options::default() }) else { return };
    // The switch itself is the third host.
    let report = ask_in(&lab, 3, "1s", "239.1.1.1%br0:5004");
    let told = report.tells("snoop.linuxbridge");
    told.shows(&["br0"]);
    lab.on_switch(0, told.command());
    let state = lab.on_switch(0, "ip -d link show br0");
    assert!(state.contains("mcast_querier 1") || state.contains("mcast_snooping 0"), "{state}");
}

#[test]
fn a_port_that_is_not_flooded() {
    let switch = Join::Switch { snooping: true, querier: false };
    let Some(lab) = lab!(Options { join: switch, ..Options::default() }) else { return };
    // As on a switch that filters and has forgotten the member: its reports do not count either.
    lab.on_switch(0, "bridge link set dev p2 mcast_flood off; ip link set br0 type bridge mcast_snooping 0");
    let traffic = Traffic::to(TO);
    dead(&lab, TO, &traffic);
    let report = ask(&lab, GROUP, &traffic);
    // From the host nothing of it can be seen but that nothing comes.
    let first = report.leads_with("warn", "net.sender");
    assert!(first.whole.to_string().contains("switch"), "{report}");
}
