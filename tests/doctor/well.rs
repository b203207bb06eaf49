//! Nothing is wrong: nothing is warned of.

use super::case::*;
use super::support::netns::{Join, Options};
use super::support::traffic::Listener;

#[test]
fn two_hosts_on_a_cable() {
    let Some(lab) = lab!(Options::default()) else { return };
    for (group, to) in [(GROUP, TO), (GROUP6, TO6), ("224.0.0.77%net0:5004", "224.0.0.77:5004")] {
        let report = ask(&lab, group, &Traffic::to(to));
        report.is_well();
    }
}

#[test]
fn hosts_at_a_switch_that_snoops_and_queries() {
    let switch = Join::Switch { snooping: true, querier: true };
    let Some(lab) = lab!(Options { join: switch, hosts: 3, ..Options::default() }) else { return };
    for (group, to) in [(GROUP, TO), (GROUP6, TO6)] {
        ask(&lab, group, &Traffic::to(to)).is_well();
    }
    ask(&lab, "10.99.0.1@232.1.1.1%net0:5004", &Traffic::to("232.1.1.1:5004")).is_well();
}

#[test]
fn hosts_at_a_plain_switch() {
    let switch = Join::Switch { snooping: false, querier: false };
    let Some(lab) = lab!(Options { join: switch, ..Options::default() }) else { return };
    for (group, to) in [(GROUP, TO), (GROUP6, TO6)] {
        ask(&lab, group, &Traffic::to(to)).is_well();
    }
}

#[test]
fn beside_a_program_that_has_joined_already() {
    let Some(lab) = lab!(Options::default()) else { return };
    for (group, to) in [(GROUP, TO), (GROUP6, TO6)] {
        // The kernel has one record of the group: the doctor's own joining reports nothing.
        let held = lab.inside(2, || Listener::join(to, "net0"));
        ask(&lab, group, &Traffic::to(to)).is_well();
        drop(held);
    }
}

#[test]
fn several_groups_at_once() {
    let Some(lab) = lab!(Options::default()) else { return };
    let both = ["239.1.1.1:5004", "239.2.2.2:5004"];
    let traffic = Traffic::Plain(super::support::traffic::Sending::to_all(both).on("net0").port(5000));
    let report = ask(&lab, "239.1.1.1%net0:5004 239.2.2.2%net0:5004", &traffic);
    report.is_well();
    for group in both {
        let group = &group[..9];
        let told = report
            .findings
            .iter()
            .any(|f| f.id == "net.sender" && f.verdict == "ok" && f.title.contains(group));
        assert!(told, "nothing is said of {group}\n{report}");
    }
}

#[test]
fn what_only_a_host_is_like_is_noted() {
    let Some(lab) = lab!(Options::default()) else { return };
    lab.ip(2, "link set net0 allmulticast on");
    let report = ask(&lab, GROUP, &Traffic::to(TO));
    report.is_well();
    report.has("note", "if.allmulti").shows(&["net0"]);
}

#[test]
fn every_finding_says_what_it_is_about() {
    let Some(lab) = lab!(Options::default()) else { return };
    let report = ask(&lab, GROUP, &Traffic::to(TO));
    assert!(report.findings.len() > 10, "{report}");
    for f in &report.findings {
        let id: Vec<&str> = f.id.split('.').collect();
        assert!(id.len() == 2 && id.iter().all(|p| !p.is_empty()), "{:#}", f.whole);
        assert!(!f.evidence.is_empty() && f.whole.get("object").is_some(), "{:#}", f.whole);
        let names: Vec<&str> = f.whole.as_object().expect("an object").keys().map(String::as_str).collect();
        for field in ["id", "verdict", "title", "evidence", "why", "remedy", "object"] {
            assert!(names.contains(&field), "{field} is missing in {:#}", f.whole);
        }
    }
}
