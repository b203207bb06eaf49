//! The network around: queriers, memberships and forecasts on the screen.

use std::net::Ipv4Addr;

use insta::assert_snapshot;

use crate::base::joined::{Holder, HostJoins, JoinedGroup, JoinedIface, JoinedSource, Process};
use crate::model::source::Stamp;
use crate::ui::fixture::{Desk, World, at, rtp, steady};
use crate::wire::igmp::{Message, Query, QueryTimers, Record, RecordKind};

const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 1, 2, 1);

fn stamp(ms: u64) -> Stamp {
    let now = at(ms);
    Stamp { mono: now.mono, wall: now.wall }
}

fn joined(group: &str, users: u32, holders: Vec<Holder>, sources: &[&str]) -> JoinedGroup {
    let source = |s: &&str| JoinedSource { ip: s.parse().unwrap(), include: 1, exclude: 0 };
    JoinedGroup {
        group: group.parse().unwrap(),
        users,
        timer_ns: None,
        last_reporter: false,
        sources: sources.iter().map(source).collect(),
        holders,
    }
}

/// A network with a querier that fell silent: eth0 is heard, eth1 is not.
fn around() -> World {
    let mut w = World::new();
    let id = w.join("239.1.1.1:5004", "eth0", None);
    w.join("239.7.7.7:5004", "eth1", None);
    let eth0: std::sync::Arc<str> = "eth0".into();
    w.model.hearing(&eth0, true, at(0));
    let process = Some(Process { pid: 812, name: "player".into() });
    let holder = |process| Holder { port: 5004, by_address: true, uid: 110, process };
    let eth0_joins = JoinedIface {
        igmp_version: Some(3),
        groups: vec![
            joined("224.0.0.1", 1, vec![], &[]),
            joined("239.1.1.1", 1, vec![holder(process)], &[]),
            joined("232.1.1.1", 1, vec![holder(None)], &["10.1.2.20"]),
        ],
        ..JoinedIface::none(eth0.clone())
    };
    let eth1_joins =
        JoinedIface { groups: vec![joined("239.7.7.7", 1, vec![], &[])], ..JoinedIface::none("eth1".into()) };
    let reading = HostJoins { ifaces: vec![eth0_joins, eth1_joins], left_out: 0, sees_all_processes: false };
    w.model.host_joins(reading, at(10));
    let newest = Some(QueryTimers { suppress: false, robustness: 2, interval_s: 60 });
    let query = Query { version: 3, group: None, max_response_ms: 10_000, newest, sources: vec![] };
    let query: Message<Ipv4Addr> = Message::Query(query);
    let report = |group: &str, kind, sources: &[&str]| Message::Records {
        records: vec![Record {
            kind,
            group: group.parse().unwrap(),
            sources: sources.iter().map(|s| s.parse().unwrap()).collect(),
        }],
        cut: false,
    };
    let us = Ipv4Addr::new(10, 1, 2, 3);
    for ms in [1_000, 61_000] {
        w.feed(steady(id, "10.1.2.20:5004", w.now_ms, ms, 100, |n| rtp(n, 1, 200)), ms);
        w.model.heard(&eth0, ROUTER, &query, false, stamp(ms));
        let mine = report("239.1.1.1", RecordKind::IsExclude, &[]);
        w.model.heard(&eth0, us, &mine, true, stamp(ms + 2_000));
        let other = report("239.1.1.1", RecordKind::IsExclude, &[]);
        w.model.heard(&eth0, Ipv4Addr::new(10, 1, 2, 40), &other, false, stamp(ms + 3_000));
        let foreign = report("239.9.9.9", RecordKind::IsInclude, &["10.1.2.20"]);
        w.model.heard(&eth0, Ipv4Addr::new(10, 1, 2, 41), &foreign, false, stamp(ms + 3_000));
    }
    w.feed(steady(id, "10.1.2.20:5004", w.now_ms, 140_000, 100, |n| rtp(n, 1, 200)), 140_000);
    w
}

fn screen(width: u16, height: u16, keys: &str) -> String {
    let mut d = Desk::new(around(), width, height);
    d.keys(keys);
    d.text()
}

#[test]
fn queriers_memberships_and_forecasts_at_three_sizes() {
    assert_snapshot!("around_80x24", screen(80, 24, "4<tab>"));
    assert_snapshot!("around_joined_80x24", screen(80, 24, "4<tab><tab>"));
    assert_snapshot!("around_120x36", screen(120, 36, "4"));
    assert_snapshot!("around_200x60", screen(200, 60, "4"));
}

#[test]
fn a_cut_to_come_is_told_at_the_group_before_it_happens_and_explained_afterwards() {
    let mut d = Desk::new(around(), 120, 36);
    // The last report left at 63 s; robustness 2, every 60 s, 10 s to answer: 130 s later.
    d.expect("⧗ cut at 16:03:13");
    d.expect("no IGMP querier has asked for 1 min 19 s on eth0");
    d.expect("in 53 s");
    d.keys("2");
    d.expect("⧗ cut at 16:03:13 by a switch that snoops");
    d.keys("1");
    let id = d.world.model.groups().next().unwrap().id;
    d.world.feed(steady(id, "10.1.2.20:5004", 140_000, 195_000, 100, |n| rtp(n, 1, 200)), 195_000);
    d.world.to(230_000);
    d.draw();
    d.expect("stopped at 16:03:14, as foretold: a switch that snoops has cut it");
    d.keys("6");
    d.expect("as foretold, 239.1.1.1 stopped");
    d.keys("/event forecast<enter>");
    d.expect_not("group silent");
    d.expect("forecast");
}

#[test]
fn what_cannot_be_heard_says_why_and_what_grants_it() {
    let mut w = around();
    let remedy = "it needs a capability: sudo setcap cap_net_raw+ep mcscope".to_owned();
    w.model.hearing(&"eth0".into(), false, at(140_000));
    w.model.tap_refused(Some(("operation not permitted".into(), Some(remedy))));
    let mut d = Desk::new(w, 120, 36);
    d.keys("4");
    d.expect("cannot be heard: operation not permitted");
    d.expect("sudo setcap cap_net_raw+ep mcscope");
    d.expect("processes of other users need CAP_SYS_PTRACE");
    // Of eth1 nobody was ever heard: that is no zero.
    d.keys("j");
    d.expect("Joined on eth1");
    let lines = d.lines();
    let row = lines.iter().find(|l| l.contains("239.7.7.7") && !l.contains("5004"));
    assert!(row.is_some_and(|r| r.contains("any               –")), "{}", d.text());
}

#[test]
fn a_membership_leads_to_its_row_and_a_foreign_one_says_how_to_join_it() {
    let mut d = Desk::new(around(), 120, 36);
    d.keys("4<tab><tab>jjj<enter>");
    d.expect("J joins it");
    d.keys("k<enter>");
    d.keys("<enter>");
    d.expect("10.1.2.20:5004");
}
