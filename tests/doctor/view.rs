//! The doctor's view on the dashboard, as a person uses it: the fault is there, its remedy is copied and
//! carried out, and the view turns well.

use super::case::*;
use super::craft;
use super::support::netns::Options;
use super::support::program::dashboard;
use super::support::pty::{shell_code, text};
use super::support::run::Sandbox;

/// A source that the way back to leads by another interface.
const FAR: std::net::Ipv4Addr = std::net::Ipv4Addr::new(10, 55, 0, 1);

/// What mends it, and the same as a terminal's clipboard takes it.
const REMEDY: &str = "sysctl -w net.ipv4.conf.net0.rp_filter=2";
const COPIED: &str = "c3lzY3RsIC13IG5ldC5pcHY0LmNvbmYubmV0MC5ycF9maWx0ZXI9Mg==";

#[test]
fn a_fault_is_shown_its_remedy_copied_and_after_it_all_is_well() {
    let Some(lab) = lab!(Options { networks: 2, ..Options::default() }) else { return };
    lab.ip(2, "route add 10.55.0.0/24 dev net1");
    set(&lab, "net.ipv4.conf.net0.rp_filter", "1");
    let traffic = Traffic::packets(vec![craft::datagram(FAR.into(), address(TO), 5004, b"here")]);
    dead(&lab, TO, &traffic);
    let sandbox = Sandbox::new();
    for size in [(24, 80), (36, 120)] {
        set(&lab, "net.ipv4.conf.net0.rp_filter", "1");
        under(&lab, &traffic, |_| {
            let mut term = dashboard(&sandbox, Some((&lab, 2)), &format!("{GROUP} --no-resolve"), size);
            term.wait_until("the join", |s| text(s).contains("239.1.1.1") && !text(s).contains("joining"));
            term.type_keys("5");
            term.wait_text("Why is 239.1.1.1:5004 silent on net0?");
            // The first finding, right below the picture of the way.
            term.wait_until("the fault first", |s| {
                let all = text(s);
                all.lines()
                    .find(|l| l.contains('✕') && l.contains("net0"))
                    .is_some_and(|l| l.contains("10.55.0.1"))
            });
            term.wait_text("rp.filter");
            term.type_keys("c");
            term.wait_text("copied");
            // By OSC 52, in base64.
            assert_eq!(term.clipboard().last().map(String::as_str), Some(COPIED), "{}", term.report());
            term.wait_text(REMEDY);
            lab.sh(2, REMEDY);
            term.wait_text("239.1.1.1:5004 arrives on net0");
            term.wait_until("no fault", |s| !text(s).contains('✕') && !text(s).contains("rp.filter"));
            term.type_keys("q");
            assert_eq!(shell_code(term.wait_exit()), 0, "{}", term.report());
        });
    }
}

#[test]
fn a_plain_host_is_not_warned_of_anything() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    under(&lab, &Traffic::to(TO), |_| {
        let mut term = dashboard(&sandbox, Some((&lab, 2)), &format!("{GROUP} --no-resolve"), (36, 120));
        term.wait_until("the group", |s| text(s).contains("● 239.1.1.1"));
        term.type_keys("5");
        term.wait_text("239.1.1.1:5004 arrives on net0");
        term.wait_text("checks are fine");
        let all = term.text();
        assert!(!all.contains("! ") && !all.contains('✕'), "{}", term.report());
        term.type_keys("q");
        assert_eq!(shell_code(term.wait_exit()), 0, "{}", term.report());
    });
}
