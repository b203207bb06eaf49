//! Whole stories: messages, readings and datagrams in, forecasts and events out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::forecast::{Cut, CutWhy, Exempt, Forecast, Outcome, Unknown};
use super::*;
use crate::base::batch::{Batch, Datagram};
use crate::base::group::{Membership, MembershipId, SourceFilter};
use crate::base::iface::IfaceAddr;
use crate::base::joined::JoinedGroup;
use crate::base::time::Wall;
use crate::model::Settings;
use crate::model::event::EventKind;
use crate::model::group::{Buffer, Origin};
use crate::wire::igmp::{Query, QueryTimers, Record};

const US: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 3);
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 1, 1);

fn now(second: u64) -> Now {
    let ns = second * SECOND_NS;
    Now { mono: Mono(ns), wall: Wall(ns as i64) }
}

fn stamp(second: u64) -> Stamp {
    Stamp { mono: now(second).mono, wall: now(second).wall }
}

/// A host with one row, and the time that passes.
struct Story {
    model: Model,
    eth0: Arc<str>,
    second: u64,
}

impl Story {
    /// Joined at second 0, with ears or without.
    fn new(group: &str, ears: bool) -> Story {
        Story::on(IfaceKind::Wired, group, ears)
    }

    /// The same on an interface of this kind.
    fn on(kind: IfaceKind, group: &str, ears: bool) -> Story {
        let mut model = Model::new(Settings::default(), now(0));
        let eth0: Arc<str> = "eth0".into();
        let addrs = [("10.0.0.3", 24), ("fe80::3", 64)];
        let addrs = addrs.map(|(ip, prefix_len)| IfaceAddr { ip: ip.parse().unwrap(), prefix_len });
        let iface = Iface {
            index: 2,
            name: eth0.clone(),
            up: true,
            carrier: Some(true),
            multicast: true,
            kind,
            master: None,
            mtu: Some(1500),
            mac: None,
            addrs: addrs.to_vec(),
        };
        model.set_ifaces(vec![iface], now(0));
        if ears {
            model.hearing(&eth0, true, now(0));
        }
        let group = group.parse().unwrap();
        let m = Membership { group, port: 5004, iface: eth0.clone(), filter: SourceFilter::Any };
        model.add(MembershipId(0), m.into(), Origin::User, None);
        model.joined(MembershipId(0), Buffer::default(), now(0));
        Story { model, eth0, second: 0 }
    }

    /// Lets time pass to this second, with a datagram each second if `traffic`.
    fn to(&mut self, second: u64, traffic: bool) {
        while self.second < second {
            self.second += 1;
            if traffic {
                let mut batch = Batch::new();
                let from = "10.0.0.9:5004".parse::<std::net::SocketAddr>().unwrap().into();
                batch.push_copy(Datagram::new(MembershipId(0), now(self.second).wall, from, 100), &[0; 100]);
                batch.received = now(self.second);
                self.model.apply(&batch);
            }
            self.model.advance(now(self.second));
        }
    }

    fn query(&mut self, from: Ipv4Addr, version: u8, interval_s: u32) {
        let newest = (version == 3).then_some(QueryTimers { suppress: false, robustness: 2, interval_s });
        let q = Query { version, group: None, max_response_ms: 10_000, newest, sources: vec![] };
        let at = stamp(self.second);
        self.model.heard(&self.eth0.clone(), from, &Message::Query(q), false, at);
    }

    fn record(&mut self, from: Ipv4Addr, kind: RecordKind, outgoing: bool) {
        let records = vec![Record { kind, group: GROUP, sources: vec![] }];
        let at = stamp(self.second);
        self.model.heard(&self.eth0.clone(), from, &Message::Records { records, cut: false }, outgoing, at);
    }

    fn forecast(&self) -> Forecast {
        let group = self.model.groups().next().unwrap().membership.group;
        self.model.forecast("eth0", group).unwrap()
    }

    fn told(&self, kind: EventKind) -> Vec<(u64, String)> {
        let all = self.model.events().iter().filter(|e| e.kind == kind);
        all.map(|e| (e.time.0 as u64 / SECOND_NS, e.text.clone())).collect()
    }
}

fn second(at: Option<Mono>) -> Option<u64> {
    at.map(|m| m.second())
}

#[test]
fn without_a_querier_the_cut_is_foretold_after_135_s_and_its_coming_is_told() {
    let mut s = Story::new("239.1.1.1", true);
    s.record(US, RecordKind::ToExclude, true);
    s.to(135, true);
    let known_at = now(135).mono;
    assert_eq!(s.forecast(), Forecast::Unknown(Unknown::TooEarly { known_at }));
    s.to(137, true);
    let Forecast::Cut(cut) = s.forecast() else { panic!("{:?}", s.forecast()) };
    assert_eq!((second(cut.at), second(cut.late)), (Some(260), Some(270)));
    assert!(matches!(cut.why, CutWhy::NoQuerier { was_one: false, .. }));
    let told = s.told(EventKind::Forecast);
    assert_eq!(told[0].0, 136);
    assert_eq!(
        told[0].1,
        "eth0: no IGMP querier heard for 2 min 16 s: a snooping switch will cut 239.1.1.1 in 2 min 04 s"
    );
    // The switch cuts at 262 s.
    s.to(262, true);
    s.to(300, false);
    let Forecast::Over { outcome: Outcome::Stopped { last }, .. } = s.forecast() else {
        panic!("{:?}", s.forecast())
    };
    assert_eq!(last.mono.second(), 262);
    let told = s.told(EventKind::Forecast);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[1].1.contains("as foretold, 239.1.1.1 stopped"), "{told:?}");
    let row = s.model.events().iter().rfind(|e| e.kind == EventKind::Forecast).unwrap();
    assert!(row.membership.is_some(), "it is an event of the row");
}

#[test]
fn traffic_that_goes_on_past_the_time_is_told_and_the_forecast_is_over() {
    let mut s = Story::new("239.1.1.1", true);
    s.to(270, true);
    assert!(matches!(s.forecast(), Forecast::Cut(_)), "a switch may be a few seconds late");
    s.to(280, true);
    assert!(matches!(s.forecast(), Forecast::Over { outcome: Outcome::WentOn, .. }));
    assert!(s.told(EventKind::Forecast)[1].1.contains("went on past the forecast"));
    // A new join begins a new story.
    s.model.rejoined(MembershipId(0), "the carrier is back", now(280));
    s.to(282, true);
    let Forecast::Cut(Cut { at, .. }) = s.forecast() else { panic!("{:?}", s.forecast()) };
    assert_eq!(second(at), Some(540));
}

#[test]
fn a_carrier_loss_counts_until_a_report_of_the_group_leaves() {
    let mut s = Story::new("239.1.1.1", true);
    let group = "239.1.1.1".parse().unwrap();
    let unreported = |s: &Story| {
        let link = s.model.memberships().link("eth0").unwrap();
        link.carrier_losses(link.reported(group).map(|r| r.mono)).map(|(n, _)| n)
    };
    s.to(5, true);
    assert_eq!(unreported(&s), None);
    s.model.carrier_lost(&s.eth0.clone(), now(5));
    s.model.carrier_lost(&s.eth0.clone(), now(6));
    assert_eq!(unreported(&s), Some(2));
    s.model.rejoined(MembershipId(0), "the carrier is back", now(7));
    assert_eq!(unreported(&s), None);
    // Another program had it before: joining anew reports nothing.
    let mut s = Story::new("239.1.1.1", true);
    s.model.host_joins(reading(0, 2, "239.1.1.1", None), now(0));
    s.model.carrier_lost(&s.eth0.clone(), now(5));
    s.model.rejoined(MembershipId(0), "the carrier is back", now(7));
    assert_eq!(unreported(&s), Some(1));
}

#[test]
fn a_group_without_traffic_gives_no_verdict() {
    let mut s = Story::new("239.1.1.1", true);
    s.to(280, false);
    assert!(matches!(s.forecast(), Forecast::Over { outcome: Outcome::NoTraffic, .. }));
}

#[test]
fn a_querier_that_asks_and_is_answered_keeps_the_membership() {
    let mut s = Story::new("239.1.1.1", true);
    for _ in 0..4 {
        s.query(ROUTER, 3, 125);
        s.to(s.second + 5, true);
        s.record(US, RecordKind::IsExclude, true);
        s.to(s.second + 120, true);
        let Forecast::Holds { asked, until } = s.forecast() else { panic!("{:?}", s.forecast()) };
        assert_eq!(until.since(asked.mono), 260 * SECOND_NS);
    }
    assert_eq!(s.told(EventKind::Forecast), []);
    // It falls silent: the cut is counted from our last report.
    let last_report = s.second - 120;
    s.to(s.second + 140, true);
    let Forecast::Cut(cut) = s.forecast() else { panic!("{:?}", s.forecast()) };
    assert_eq!(second(cut.at), Some(last_report + 260));
    assert!(matches!(cut.why, CutWhy::NoQuerier { was_one: true, .. }));
    // It comes back in time.
    s.query(ROUTER, 3, 125);
    s.to(s.second + 1, true);
    assert!(matches!(s.forecast(), Forecast::Holds { .. }));
    assert!(s.told(EventKind::Forecast)[1].1.contains("will not be cut"));
}

#[test]
fn a_query_that_this_host_does_not_answer_is_a_cut_too() {
    let mut s = Story::new("239.1.1.1", true);
    s.to(5, true);
    s.query(ROUTER, 3, 125);
    s.to(17, true);
    assert!(matches!(s.forecast(), Forecast::Holds { .. }), "an answer may be under way");
    s.to(19, true);
    let Forecast::Cut(cut) = s.forecast() else { panic!("{:?}", s.forecast()) };
    assert!(matches!(cut.why, CutWhy::Unanswered { .. }));
    // The next query changes nothing about that.
    s.to(40, true);
    s.query(ROUTER, 3, 125);
    s.to(41, true);
    assert!(matches!(s.forecast(), Forecast::Cut(_)), "{:?}", s.forecast());
    s.record(US, RecordKind::IsExclude, true);
    s.to(42, true);
    assert!(matches!(s.forecast(), Forecast::Holds { .. }), "{:?}", s.forecast());
    // In version 2 another member may have answered in our place.
    let mut s = Story::new("239.1.1.1", true);
    s.to(2, true);
    s.query(ROUTER, 2, 0);
    s.to(4, true);
    let report = Message::Report { version: 2, group: GROUP };
    s.model.heard(&s.eth0.clone(), Ipv4Addr::new(10, 0, 0, 7), &report, false, stamp(4));
    s.to(20, true);
    assert!(matches!(s.forecast(), Forecast::Holds { .. }), "{:?}", s.forecast());
}

#[test]
fn the_queriers_own_timers_set_the_time() {
    let mut s = Story::new("239.1.1.1", true);
    s.query(ROUTER, 3, 20);
    s.to(5, true);
    s.record(US, RecordKind::IsExclude, true);
    s.to(31, true);
    // Robustness 2, every 20 s, 10 s to answer: 50 s after our report.
    let Forecast::Cut(cut) = s.forecast() else { panic!("{:?}", s.forecast()) };
    assert_eq!((second(cut.at), second(cut.late)), (Some(55), Some(65)));
}

#[test]
fn what_switches_flood_or_never_see_is_exempt() {
    let exempt = |group: &str| match Story::new(group, true).forecast() {
        Forecast::Exempt(why) => Some(why),
        _ => None,
    };
    assert_eq!(exempt("224.0.0.251"), Some(Exempt::Flooded));
    assert_eq!(exempt("ff02::1"), Some(Exempt::Flooded));
    assert_eq!(exempt("ff01::99"), Some(Exempt::Local));
    assert_eq!(exempt("ff02::fb"), None, "MLD reports are needed for it");
    assert_eq!(exempt("224.0.1.1"), None);
}

fn reading(queries: u64, users: u32, group: &str, timer_ns: Option<u64>) -> HostJoins {
    let group = JoinedGroup {
        group: group.parse().unwrap(),
        users,
        timer_ns,
        last_reporter: false,
        sources: vec![],
        holders: vec![],
    };
    let iface = JoinedIface {
        igmp_version: Some(3),
        mld_queries: Some(queries),
        groups: vec![group],
        ..JoinedIface::none("eth0".into())
    };
    HostJoins { ifaces: vec![iface], left_out: 0, sees_all_processes: false }
}

#[test]
fn without_privilege_igmp_is_unknown_and_mld_is_foretold_from_the_kernels_counter() {
    let mut s = Story::new("239.1.1.1", false);
    s.model.host_joins(reading(0, 1, "239.1.1.1", None), now(0));
    s.to(400, true);
    assert_eq!(s.forecast(), Forecast::Unknown(Unknown::Deaf { sign: None }));
    let mut s = Story::new("ff15::1", false);
    s.model.host_joins(reading(4, 1, "ff15::1", None), now(0));
    s.to(100, true);
    s.model.host_joins(reading(5, 1, "ff15::1", None), now(100));
    s.to(101, true);
    assert!(matches!(s.forecast(), Forecast::Holds { .. }), "{:?}", s.forecast());
    s.to(240, true);
    let Forecast::Cut(cut) = s.forecast() else { panic!("{:?}", s.forecast()) };
    assert_eq!(second(cut.at), Some(360));
}

#[test]
fn a_group_that_another_program_held_before_sends_no_report_with_our_join() {
    let mut s = Story::new("239.1.1.1", true);
    s.model.host_joins(reading(0, 2, "239.1.1.1", None), now(0));
    s.to(140, true);
    let Forecast::Cut(cut) = s.forecast() else { panic!("{:?}", s.forecast()) };
    assert_eq!(cut.at, None, "when the switch last heard of it is not known");
    assert!(s.told(EventKind::Forecast)[0].1.contains("joined before it could be seen"));
}

#[test]
fn queriers_and_members_are_told_compactly() {
    let mut s = Story::new("239.1.1.1", true);
    s.query(ROUTER, 3, 125);
    s.record(Ipv4Addr::new(10, 0, 0, 7), RecordKind::IsExclude, false);
    s.record(US, RecordKind::IsExclude, true);
    // A second of queries, as a misconfigured querier sends them.
    for _ in 0..50 {
        s.query(ROUTER, 3, 125);
    }
    s.to(20, false);
    s.query(Ipv4Addr::new(10, 0, 0, 9), 3, 125);
    s.query(ROUTER, 2, 0);
    s.record(Ipv4Addr::new(10, 0, 0, 7), RecordKind::ToInclude, false);
    s.to(30, false);
    let queries = s.told(EventKind::Query);
    assert_eq!(queries.len(), 2, "{queries:?}");
    assert!(
        queries[0]
            .1
            .starts_with("eth0: IGMPv3 query by 10.0.0.1 for all groups, 10 s to answer, every 125 s")
    );
    assert!(queries[1].1.ends_with("50 more since the last told"), "{queries:?}");
    let reports = s.told(EventKind::Report);
    assert!(reports[0].1.contains("2 hosts heard in answer to the query, for 1 group"), "{reports:?}");
    assert!(reports.iter().any(|r| r.1 == "eth0: 10.0.0.7 left 239.1.1.1 (IGMPv3)"), "{reports:?}");
    let queriers: Vec<String> = s.told(EventKind::Querier).into_iter().map(|q| q.1).collect();
    assert_eq!(
        queriers,
        [
            "eth0: 10.0.0.1 asks as IGMPv3 querier",
            "eth0: 10.0.0.9 asks as IGMPv3 querier beside 10.0.0.1: 10.0.0.1 is elected, the lowest address",
            "eth0: querier 10.0.0.1 asks in IGMPv2 now, IGMPv3 before: source filters do not reach the wire",
        ]
    );
    s.to(400, false);
    assert!(s.told(EventKind::Querier)[3].1.contains("it counts as gone"));
}

#[test]
fn a_report_of_this_host_is_its_own_also_on_the_loopback_and_before_it_has_an_address() {
    let nobody = Ipv4Addr::UNSPECIFIED;
    for (kind, others) in [(IfaceKind::Loopback, 0), (IfaceKind::Wired, 2)] {
        let mut s = Story::on(kind, "239.1.1.1", true);
        // What leaves is seen leaving; on the loopback it is seen coming back as well.
        for (from, outgoing) in [(US, true), (nobody, true), (US, false), (nobody, false)] {
            s.record(from, RecordKind::ToExclude, outgoing);
        }
        let members = s.model.memberships().link("eth0").unwrap().igmp.members.of(GROUP.into());
        let count = |ours: bool| members.iter().filter(|m| m.ours == ours).count();
        assert_eq!((count(true), count(false)), (2, others), "{kind:?}");
        assert!(members.iter().all(|m| m.reports == 1), "each is counted once: {members:?}");
    }
}

#[test]
fn a_flood_of_joins_is_a_few_lines() {
    let mut s = Story::new("239.1.1.1", true);
    for n in 0..1_000u32 {
        s.record(Ipv4Addr::from(0x0a00_0100 + n), RecordKind::ToExclude, false);
    }
    s.to(3, false);
    let reports = s.told(EventKind::Report);
    assert_eq!(reports.len(), 9);
    assert!(reports[8].1.contains("992 more changes by other hosts"));
}

#[test]
fn mld_goes_the_same_way() {
    let mut s = Story::new("ff15::1", true);
    let newest = Some(QueryTimers { suppress: false, robustness: 2, interval_s: 20 });
    let q = Query { version: 2, group: None, max_response_ms: 10_000, newest, sources: vec![] };
    let router: Ipv6Addr = "fe80::1".parse().unwrap();
    s.model.heard(&s.eth0.clone(), router, &Message::Query(q), false, stamp(0));
    s.to(1, true);
    let group: Ipv6Addr = "ff15::1".parse().unwrap();
    let records = vec![Record { kind: RecordKind::IsExclude, group, sources: vec![] }];
    let us: Ipv6Addr = "fe80::3".parse().unwrap();
    s.model.heard(&s.eth0.clone(), us, &Message::Records { records, cut: false }, true, stamp(1));
    s.to(20, true);
    assert!(matches!(s.forecast(), Forecast::Holds { .. }));
    let link = s.model.memberships().link("eth0").unwrap();
    assert_eq!(link.mld.queriers.list()[0].address, IpAddr::from(router));
    assert!(link.mld.members.our_report(group.into()).is_some() && link.igmp.members.is_empty());
}
