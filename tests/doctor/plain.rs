//! The doctor as text, its exit codes, and what it says when it may not look.

use super::case::*;
use super::support::netns::{Lab, Options};
use super::support::run::{Outcome, Sandbox};

/// Runs the doctor in host 2 with these words while host 1 sends.
#[track_caller]
fn text(lab: &Lab, words: &str, traffic: &Traffic) -> Outcome {
    let sandbox = Sandbox::new();
    let mut command = sandbox.mcscope(["doctor", "--for", "1s"]);
    command.args(words.split_whitespace());
    lab.enter(2, &mut command);
    under(lab, traffic, |_| sandbox.run(command))
}

#[test]
fn the_text_tells_the_fault_and_the_remedy_and_the_code_follows() {
    let Some(lab) = lab!(Options::default()) else { return };
    text(&lab, GROUP, &Traffic::to(TO)).code(0).prints("239.1.1.1");
    text(&lab, &format!("--strict {GROUP}"), &Traffic::to(TO)).code(0);
    // Nobody sends: a warning, which counts only when asked to.
    text(&lab, GROUP, &Traffic::Nothing).code(0).prints("nobody sends");
    text(&lab, &format!("--strict {GROUP}"), &Traffic::Nothing).code(1);
    lab.ip(2, "link set net0 down");
    let outcome = text(&lab, GROUP, &Traffic::Nothing).code(1).prints("ip link set net0 up");
    assert!(!outcome.stdout.contains('\x1b'), "no colours where there is no terminal\n{outcome}");
    // The verdict comes before the details.
    let (fault, detail) = (outcome.stdout.find("net0 is down"), outcome.stdout.find("if.down"));
    assert!(fault.is_some() && fault <= detail.or(fault), "{outcome}");
}

#[test]
fn mistakes_are_named() {
    let Some(lab) = lab!(Options::default()) else { return };
    text(&lab, "10.0.0.1:5004", &Traffic::Nothing).code(2).complains("10.0.0.1");
    let sandbox = Sandbox::new();
    let mut command = sandbox.mcscope(["doctor", "--for", "never", "239.1.1.1"]);
    lab.enter(2, &mut command);
    sandbox.run(command).code(2).complains("never");
    text(&lab, "239.1.1.1%nothere:5004", &Traffic::Nothing).code(3).complains("nothere");
}

#[test]
fn without_a_privilege_it_says_what_it_cannot_know() {
    let Some(lab) = lab!(Options::default()) else { return };
    let ask = |traffic: &Traffic| ask_as_nobody(&lab, GROUP, traffic);
    let report = ask(&Traffic::to(TO));
    report.is_well();
    let unknown: Vec<_> = report.findings.iter().filter(|f| f.verdict == "unknown").collect();
    assert!(unknown.iter().any(|f| f.whole.to_string().contains("CAP_NET_RAW")), "{report}");
    // Whether a firewall drops it is known without its rules while it arrives, and only then.
    let rules = |r: &Report| {
        let unknown = r.findings.iter().filter(|f| f.verdict == "unknown" && f.id.starts_with("fw."));
        unknown.filter(|f| f.whole.to_string().contains("CAP_NET_ADMIN")).count()
    };
    assert_eq!(rules(&report), 0, "{report}");
    let report = ask(&Traffic::Nothing);
    assert!(rules(&report) > 0, "{report}");
    // Counters are for everybody: the filter is found without the source's address. But they are the whole
    // host's: that it is this group which suffers is likely, not certain.
    set(&lab, "net.ipv4.conf.net0.rp_filter", "1");
    lab.ip(2, "route del 10.99.0.0/16 dev net0");
    dead(&lab, TO, &Traffic::to(TO));
    let report = ask(&Traffic::to(TO));
    let first = report.leads_with("warn", "rp.filter").shows(&["strict", "net0"]);
    // Whether there is a way back at all is not known either.
    first.cure(&lab);
    flows(&lab, TO, &Traffic::to(TO));
    // A firewall: its place is known, its rule is not.
    lab.sh(
        2,
        "nft 'add table inet t; add chain inet t c { type filter hook input priority 0; policy drop; }'",
    );
    let report = ask(&Traffic::to(TO));
    report.leads_with("warn", "fw.input").shows(&["perhaps"]).remedy();
}
