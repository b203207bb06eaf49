//! Nothing is wrong: nothing is warned of.

use super::case::*;
use super::support::netns::{Join, Options};

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
