//! The doctor's view: what it shows of a report, and what its keys do.

use std::sync::Arc;

use insta::assert_snapshot;

use crate::base::group::MembershipId;
use crate::doctor::finding::{
    Fate, Finding, Funnel, Passage, Remedy, Report, Scope, Stage, Station, Verdict,
};
use crate::engine::command::Examined;
use crate::ui::action::Action;
use crate::ui::fixture::{Desk, studio};

/// The silent row of the studio.
const SILENT: MembershipId = MembershipId(3);

fn finding(id: &'static str, verdict: Verdict, title: &str, remedy: Option<Remedy>) -> Finding {
    Finding {
        id,
        verdict,
        title: title.into(),
        evidence: format!("what was read for {id}"),
        why: format!("why {id} matters"),
        remedy,
        object: "eth1".into(),
        explains: verdict == Verdict::Fail,
    }
}

fn report() -> Report {
    let stage = |(n, station): (usize, Station)| {
        let (passage, count) = match n {
            0 => (Passage::Passes, None),
            1 | 2 => (Passage::Passes, Some(354)),
            3 => (Passage::Dies, Some(0)),
            _ => (Passage::Unreached, Some(0)),
        };
        let note = (n == 3).then(|| "rp_filter dropped 354".into());
        Stage { station, count, scope: Scope::Host, passage, note }
    };
    let command = Remedy::Command("sysctl -w net.ipv4.conf.eth1.rp_filter=2".into());
    let advice = Remedy::Advice("enable an IGMP querier on the segment".into());
    let mut unknown = finding("fw.igmp", Verdict::Unknown, "whether reports leave eth1", None);
    unknown.evidence = "needs CAP_NET_RAW".into();
    Report {
        membership: Some(Arc::new(crate::base::group::Membership {
            group: "239.7.7.7".parse().unwrap(),
            port: 5004,
            iface: "eth1".into(),
            filter: Default::default(),
        })),
        window_ns: 3_020_000_000,
        packets: 0,
        funnel: Some(Funnel {
            stages: Station::ALL.into_iter().enumerate().map(stage).collect(),
            fate: Fate::ReversePath,
            cannot_separate: "the counter is the host's".into(),
        }),
        findings: vec![
            finding(
                "rp.filter",
                Verdict::Fail,
                "eth1 drops packets from 172.31.5.5 before any program sees them: rp_filter is strict (1), and the \
                 way back to 172.31.5.5 leaves by eth0",
                Some(command),
            ),
            finding("igmp.querier", Verdict::Warn, "no querier on eth1", Some(advice)),
            unknown,
            finding("env.vm", Verdict::Note, "this is a virtual machine", None),
            finding("if.down", Verdict::Ok, "eth1 is up", None),
            finding("if.carrier", Verdict::Ok, "eth1 has carrier", None),
        ],
    }
}

fn desk(width: u16, height: u16) -> Desk {
    let mut d = Desk::new(studio(), width, height);
    d.keys("jjj");
    assert_eq!(d.screen.selected(), Some(SILENT));
    assert_eq!(d.screen.examines(), None, "nothing is measured while nobody looks");
    d.keys("d");
    assert_eq!(d.screen.examines(), Some(Some(SILENT)));
    d.expect("measuring for 3 s");
    let outcome = Some(Ok(Box::new(report())));
    d.examined = Some(Examined { of: Some(SILENT), outcome, running: true, ..Examined::default() });
    d.draw();
    d
}

#[test]
fn the_path_and_what_explains_it_at_three_sizes() {
    assert_snapshot!("doctor_80x24", desk(80, 24).text());
    assert_snapshot!("doctor_120x36", desk(120, 36).text());
    assert_snapshot!("doctor_200x60", desk(200, 60).text());
}

#[test]
fn findings_are_gone_through_copied_and_unfolded() {
    let mut d = desk(120, 36);
    d.expect("what was read for rp.filter");
    assert_eq!(d.keys("c"), [Action::Copy("sysctl -w net.ipv4.conf.eth1.rp_filter=2".into())]);
    d.keys("j");
    d.expect("what was read for igmp.querier");
    d.expect_not("what was read for rp.filter");
    assert_eq!(d.keys("c"), [Action::Copy("enable an IGMP querier on the segment".into())]);
    // What is selected stays so when it is measured again and stands elsewhere.
    let mut again = report();
    again.findings.swap(0, 1);
    let outcome = Some(Ok(Box::new(again)));
    d.examined = Some(Examined { of: Some(SILENT), outcome, ..Examined::default() });
    d.draw();
    d.expect("what was read for igmp.querier");
    d.expect_not("eth1 is up");
    d.expect("1 check could not look: needs CAP_NET_RAW");
    d.expect("2 checks are fine");
    d.keys("<enter>");
    d.expect("eth1 is up");
    d.expect("whether reports leave eth1");
    d.expect_not("checks are fine");
    // To the last one; what does not fit scrolls.
    d.keys("G");
    d.expect("what was read for if.carrier");
    d.keys("<esc>");
    assert_eq!(d.screen.examines(), None);
}

#[test]
fn another_rows_report_is_not_shown_and_a_pause_measures_nothing() {
    let mut d = desk(80, 24);
    d.keys("<space>");
    assert_eq!(d.screen.examines(), None);
    d.keys("<space>1kd");
    d.expect_not("rp_filter is strict");
    d.expect("measuring for 3 s");
    let outcome = Some(Err("cannot list the interfaces: permission denied".into()));
    d.examined = Some(Examined { of: Some(MembershipId(2)), outcome, ..Examined::default() });
    d.draw();
    d.expect("cannot list the interfaces: permission denied");
}
