//! Faults of memberships: limits, versions forced, groups that need a source, groups that share an
//! Ethernet address.

use super::case::*;
use super::support::netns::Options;

#[test]
fn no_membership_is_left() {
    let Some(lab) = lab!(Options::default()) else { return };
    set(&lab, "net.ipv4.igmp_max_memberships", "0");
    let report = ask(&lab, GROUP, &Traffic::to(TO));
    let first = report.leads_with("fail", "igmp.maxmemberships").shows(&["igmp_max_memberships"]);
    first.cure(&lab);
    flows(&lab, TO, &Traffic::to(TO));
    ask(&lab, GROUP, &Traffic::to(TO)).is_well();
}

#[test]
fn more_groups_than_one_socket_may_hold() {
    let Some(lab) = lab!(Options::default()) else { return };
    assert_eq!(setting(&lab, "net.ipv4.igmp_max_memberships"), "20");
    let report = ask(&lab, "239.1.1.1+25%net0:5004", &Traffic::Nothing);
    let told = report.tells("igmp.maxmemberships");
    told.shows(&["20", "25"]).cure(&lab);
    let limit: u32 = setting(&lab, "net.ipv4.igmp_max_memberships").parse().expect("a number");
    assert!(limit >= 25);
}

#[test]
fn a_version_that_is_forced() {
    let Some(lab) = lab!(Options::default()) else { return };
    for scope in ["all", "net0"] {
        let name = format!("net.ipv4.conf.{scope}.force_igmp_version");
        set(&lab, &name, "2");
        let report = ask(&lab, GROUP, &Traffic::to(TO));
        report.leads_with("warn", "igmp.forced").shows(&[&name]);
        // With a source it matters: the report on the wire says nothing of it.
        let to = "232.1.1.1:5004";
        let report = ask(&lab, "10.99.0.1@232.1.1.1%net0:5004", &Traffic::to(to));
        report.leads_with("fail", "igmp.forced").shows(&[&name]).cure(&lab);
        assert_eq!(setting(&lab, &name), "0");
    }
    set(&lab, "net.ipv6.conf.net0.force_mld_version", "1");
    let report = ask(&lab, GROUP6, &Traffic::to(TO6));
    let told = report.findings.iter().find(|f| f.verdict == "warn");
    let told = told.unwrap_or_else(|| panic!("no warning\n{report}"));
    assert!(["igmp.forced", "mld.version"].contains(&&*told.id), "{report}");
    told.shows(&["net.ipv6.conf.net0.force_mld_version"]).cure(&lab);
    ask(&lab, GROUP6, &Traffic::to(TO6)).is_well();
}

#[test]
fn a_group_that_needs_a_source() {
    let Some(lab) = lab!(Options::default()) else { return };
    let report = ask(&lab, "232.1.1.1%net0:5004", &Traffic::to("232.1.1.1:5004"));
    let first = report.tells("ssm.nosource").shows(&["232.1.1.1"]);
    // The source that was heard is the one to name.
    assert!(first.remedy().contains("10.99.0.1@232.1.1.1"), "{report}");
    let report = ask(&lab, "[ff3e::77%net0]:5004", &Traffic::to("[ff3e::77]:5004"));
    report.tells("ssm.nosource").shows(&["ff3e::77"]);
}

#[test]
fn a_group_that_shares_its_ethernet_address() {
    let Some(lab) = lab!(Options::default()) else { return };
    let report = ask(&lab, "239.128.0.251%net0:5004", &Traffic::to("239.128.0.251:5004"));
    report.tells("snoop.macoverlap").shows(&["239.128.0.251", "224.0.0.251", "01:00:5e:00:00:fb"]);
    let report = ask(&lab, "239.1.1.1%net0:5004 239.129.1.1%net0:5004", &Traffic::to(TO));
    report.tells("snoop.macoverlap").shows(&["239.1.1.1", "239.129.1.1", "01:00:5e:01:01:01"]);
}

#[test]
fn more_sources_than_a_filter_may_hold() {
    let Some(lab) = lab!(Options::default()) else { return };
    assert_eq!(setting(&lab, "net.ipv4.igmp_max_msf"), "10");
    let sources: Vec<String> = (1..=12).map(|n| format!("10.99.0.{n}")).collect();
    let spec = format!("{}@232.1.1.1%net0:5004", sources.join(","));
    let report = ask(&lab, &spec, &Traffic::to("232.1.1.1:5004"));
    let first = report.leads_with("fail", "igmp.maxmsf").shows(&["igmp_max_msf", "12"]);
    first.cure(&lab);
    ask(&lab, &spec, &Traffic::to("232.1.1.1:5004")).is_well();
}
