//! Faults of the host's firewall, in every place where it can drop.

use super::case::*;
use super::support::netns::{Join, Lab, Options};

/// Loads rules in host 2.
#[track_caller]
fn rules(lab: &Lab, text: &str) {
    lab.sh(2, &format!("nft -f - <<'END'\n{text}\nEND\n"));
}

/// A group of each family is cut by these rules: they are found and opened, where the rules stand.
/// `inside` are words that the remedy must hold.
#[track_caller]
fn cuts(lab: &Lab, text: &str, id: &str, inside: &[&str]) {
    for (group, to) in [(GROUP, TO), (GROUP6, TO6)] {
        let traffic = Traffic::to(to);
        flows(lab, to, &traffic);
        rules(lab, text);
        dead(lab, to, &traffic);
        let report = ask(lab, group, &traffic);
        let first = report.leads_with("fail", id);
        for word in inside {
            assert!(first.remedy().contains(word), "{word:?} in the remedy\n{report}");
        }
        first.cure(lab);
        flows(lab, to, &traffic);
        // The rest of the rules stands: the remedy opens no more than it must.
        let left = lab.sh(2, "nft list ruleset");
        assert!(left.contains("drop"), "{left}");
        lab.sh(2, "nft flush ruleset");
    }
}

#[test]
fn a_rule_in_input() {
    let Some(lab) = lab!(Options::default()) else { return };
    let text = "table inet guard { chain gate {
        type filter hook input priority 0; policy accept;
        meta l4proto udp drop
    }
    }";
    cuts(&lab, text, "fw.input", &["inet guard gate"]);
}

#[test]
fn a_policy_in_input() {
    let Some(lab) = lab!(Options::default()) else { return };
    // As a careful administrator has it: loopback, answers, neighbours, membership messages, a shell.
    let text = "table inet filter { chain input {
        type filter hook input priority 0; policy drop;
        iif lo accept
        ct state established,related accept
        meta l4proto { icmp, ipv6-icmp, igmp } accept
        tcp dport 22 accept
    }
    }";
    cuts(&lab, text, "fw.input", &["inet filter input"]);
}

#[test]
fn a_rule_in_prerouting() {
    let Some(lab) = lab!(Options::default()) else { return };
    let text = "table inet early { chain pre {
        type filter hook prerouting priority -300; policy accept;
        meta l4proto udp drop
    }
    }";
    cuts(&lab, text, "fw.prerouting", &["inet early pre"]);
}

#[test]
fn a_rule_at_the_device() {
    let Some(lab) = lab!(Options::default()) else { return };
    let text = "table netdev first { chain door {
        type filter hook ingress device net0 priority 0; policy accept;
        meta l4proto udp drop
    }
    }";
    cuts(&lab, text, "fw.ingress", &["netdev first door"]);
}

#[test]
fn a_filter_of_traffic_control() {
    let Some(lab) = lab!(Options::default()) else { return };
    let able = lab.sh(
        2,
        "tc qdisc add dev net0 clsact && tc filter add dev net0 ingress protocol ip \
        matchall action drop 2>/dev/null && echo able || echo unable",
    );
    if able.trim() != "able" {
        // The kernel may lack the classifier: nothing else in this suite needs it.
        return;
    }
    let traffic = Traffic::to(TO);
    dead(&lab, TO, &traffic);
    let report = ask(&lab, GROUP, &traffic);
    let first = report.findings.first().expect("a finding");
    assert_eq!(first.id, "fw.ingress", "{report}");
    assert!(first.remedy().contains("tc "), "{report}");
}

#[test]
fn rules_of_the_older_iptables() {
    let Some(lab) = lab!(Options::default()) else { return };
    for (group, to, program) in [(GROUP, TO, "iptables-legacy"), (GROUP6, TO6, "ip6tables-legacy")] {
        let able = lab.sh(2, &format!("{program} -A INPUT -p udp -j DROP 2>/dev/null && echo able || true"));
        if able.trim() != "able" {
            // Neither every system nor every kernel has it any more.
            return;
        }
        let traffic = Traffic::to(to);
        dead(&lab, to, &traffic);
        let report = ask(&lab, group, &traffic);
        // nft does not list these rules: that packets die there is measured, and said so.
        // The counters of IPv6 leave it open whose packets they are.
        let verdict = if group == GROUP { "fail" } else { "warn" };
        let first = report.leads_with(verdict, "fw.input").shows(&["older iptables"]);
        first.cure(&lab);
        flows(&lab, to, &traffic);
        ask(&lab, group, &traffic).is_well();
        // Where nobody sends, only the probe can tell.
        lab.sh(2, &format!("{program} -F INPUT; {program} -A INPUT -p udp -j DROP"));
        ask(&lab, group, &Traffic::Nothing).has("unknown", "fw.input").shows(&["older iptables"]);
        let report = ask(&lab, &format!("--probe {group}"), &Traffic::Nothing);
        report.leads_with("fail", "fw.input").shows(&["self-probe"]).cure(&lab);
        let report = ask(&lab, &format!("--probe {group}"), &Traffic::Nothing);
        report.has("ok", "fw.input").shows(&["self-probe"]);
    }
}

#[test]
fn rules_that_drop_something_else_are_no_fault() {
    let Some(lab) = lab!(Options::default()) else { return };
    rules(
        &lab,
        "table inet guard { chain gate {
            type filter hook input priority 0; policy drop;
            meta l4proto { icmp, ipv6-icmp, igmp, udp } accept
            udp dport 9 drop
        }
        }",
    );
    ask(&lab, GROUP, &Traffic::to(TO)).is_well();
    ask(&lab, GROUP6, &Traffic::to(TO6)).is_well();
}

#[test]
fn reports_that_do_not_leave_the_host() {
    let switch = Join::Switch { snooping: true, querier: true };
    let Some(lab) = lab!(Options { join: switch, ..Options::default() }) else { return };
    // A switch floods until its own first queries have been answered for as long as that may take, 10 s.
    lab.on_switch(
        0,
        "ip link set br0 type bridge mcast_querier 0
        ip link set br0 type bridge mcast_query_response_interval 50
        ip link set br0 type bridge mcast_querier 1",
    );
    let rule = |proto: &str, kinds: &str| {
        format!(
            "table inet guard {{ chain out {{
                type filter hook output priority 0; policy accept;
                meta l4proto {proto} {kinds} drop
            }}
            }}"
        )
    };
    let mld = "icmpv6 type { mld-listener-report, mld2-listener-report }";
    for (group, to, text) in [(GROUP, TO, rule("igmp", "")), (GROUP6, TO6, rule("ipv6-icmp", mld))] {
        rules(&lab, &text);
        let traffic = Traffic::to(to);
        dead_in_the_end(&lab, to, &traffic);
        // A report is sent twice, the second time within a second.
        let report = ask_for(&lab, "2s", group, &traffic);
        let first = report.leads_with("fail", "fw.igmp").shows(&[&address(to).to_string(), "guard out"]);
        first.cure(&lab);
        flows(&lab, to, &traffic);
        lab.sh(2, "nft flush ruleset");
    }
}

#[test]
fn the_self_probe_tries_the_filter_where_nobody_sends_and_no_rule_can_be_read() {
    let Some(lab) = lab!(Options::default()) else { return };
    for (group, to) in [(GROUP, TO), (GROUP6, TO6)] {
        let words = format!("--probe {group}");
        // Without a word nothing is sent, and with it nothing leaves the host.
        let silent = ask_as_nobody(&lab, group, &Traffic::Nothing);
        assert!(silent.findings.iter().all(|f| !f.evidence.contains("self-probe")), "{silent}");
        let listener = lab.inside(1, || super::support::traffic::Listener::join(to, "net0"));
        let report = ask_as_nobody(&lab, &words, &Traffic::Nothing);
        report.has("ok", "fw.input").shows(&["self-probe"]);
        assert!(listener.next(std::time::Instant::now()).is_none(), "it left the host");
        rules(
            &lab,
            "table inet guard { chain gate { type filter hook input priority 0; policy drop;
                iif lo accept
                ct state established,related accept
                meta l4proto { icmp, ipv6-icmp, igmp } accept
            }
            }",
        );
        let report = ask_as_nobody(&lab, &words, &Traffic::Nothing);
        report.leads_with("fail", "fw.input").shows(&["self-probe"]);
        // Who may read the rules is given the remedy, and it works.
        let report = ask(&lab, &words, &Traffic::Nothing);
        report.leads_with("fail", "fw.input").shows(&["self-probe"]).cure(&lab);
        ask_as_nobody(&lab, &words, &Traffic::Nothing).has("ok", "fw.input").shows(&["self-probe"]);
        lab.sh(2, "nft flush ruleset");
        rules(
            &lab,
            "table inet guard { chain out { type filter hook output priority 0; meta l4proto udp drop; }
            }",
        );
        let report = ask_as_nobody(&lab, &words, &Traffic::Nothing);
        report.has("unknown", "fw.input").shows(&["output"]);
        lab.sh(2, "nft flush ruleset");
    }
}
