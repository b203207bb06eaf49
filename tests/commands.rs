//! The commands that only print, the help, and the exit codes: the real binary where there is no
//! terminal.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::time::{Duration, Instant};

use serde_json::Value;

use support::netns::Options;
use support::program::{run, start};
use support::run::{Outcome, Sandbox};

/// The one JSON object that a command printed.
#[track_caller]
fn object(outcome: &Outcome) -> Value {
    let all = outcome.json();
    assert_eq!(all.len(), 1, "{outcome}");
    assert_eq!(all[0]["v"], 1, "{outcome}");
    all[0].clone()
}

/// A row of a table by the word in its second column.
#[track_caller]
fn row<'o>(outcome: &'o Outcome, name: &str) -> &'o str {
    let found = outcome.stdout.lines().find(|l| l.split_whitespace().nth(1) == Some(name));
    found.unwrap_or_else(|| panic!("no row of {name}\n{outcome}"))
}

#[test]
fn interfaces_are_listed_with_their_addresses_and_why_they_are_passed_over() {
    let Some(lab) = lab!(Options { networks: 2, ..Options::default() }) else { return };
    lab.sh(
        1,
        "ip link add br0 type bridge
         ip link set net1 master br0
         ip link set br0 up
         ip link add docker0 type bridge
         ip link set docker0 up
         ip link add veth1 type veth peer name veth2",
    );
    let tunnel =
        lab.cmd(1, "ip").args("tuntap add tun0 mode tun".split(' ')).status().is_ok_and(|s| s.success());
    if tunnel {
        lab.ip(1, "link set tun0 up");
    }
    let sandbox = Sandbox::new();
    let table = run(&sandbox, Some((&lab, 1)), "interfaces").code(0);
    assert!(table.stdout.starts_with("INDEX  NAME"), "{table}");
    assert!(
        row(&table, "net0").contains("10.99.0.1/16") && row(&table, "net0").contains("fd99::1/64"),
        "{table}"
    );
    assert!(row(&table, "net0").contains("wired") && row(&table, "net0").contains("1500"), "{table}");
    for (name, reason) in [
        ("net0", "yes"),
        ("br0", "yes"),
        ("net1", "it is a port of br0"),
        ("docker0", "it is a container bridge"),
        ("veth1", "it is down"),
        ("lo", "it is the loopback"),
    ] {
        assert!(row(&table, name).ends_with(reason), "{name} {reason}\n{table}");
    }
    if tunnel {
        assert!(row(&table, "tun0").ends_with("it is a tunnel"), "{table}");
    }
    let list = object(&run(&sandbox, Some((&lab, 1)), "interfaces --json").code(0));
    let of = |name: &str| {
        let all = list["interfaces"].as_array().expect("a list");
        all.iter().find(|i| i["name"] == name).unwrap_or_else(|| panic!("{name} in {list}")).clone()
    };
    let net0 = of("net0");
    assert_eq!((&net0["candidate"], &net0["reason"]), (&true.into(), &Value::Null));
    assert_eq!(
        (&net0["up"], &net0["carrier"], &net0["multicast"]),
        (&true.into(), &true.into(), &true.into())
    );
    assert_eq!((&net0["mtu_bytes"], &net0["kind"]), (&1500.into(), &"wired".into()));
    assert_eq!(net0["index"], lab.inside(1, || support::netns::index("net0")));
    assert!(net0["mac"].as_str().is_some_and(|m| m.len() == 17), "{net0}");
    assert!(net0["addresses"].as_array().is_some_and(|a| a.contains(&"10.99.0.1/16".into())), "{net0}");
    assert_eq!((&of("net1")["candidate"], &of("net1")["master"]), (&false.into(), &"br0".into()));
    assert_eq!(of("lo")["reason"], "is the loopback");
}

#[test]
fn the_registry_is_searched_by_name_address_and_protocol() {
    let sandbox = Sandbox::new();
    let all = run(&sandbox, None, "groups").code(0).prints("ID ").prints("WHAT IT IS FOR");
    assert!(all.stdout.lines().count() > 100, "{}", all.stdout.lines().count());
    for (query, id, address) in [
        ("mdns", "mdns", "224.0.0.251"),
        ("224.0.0.251", "mdns", "224.0.0.251"),
        ("ff02::fb", "mdns-ipv6", "ff02::fb"),
        ("ws-discovery", "ws-discovery", "239.255.255.250"),
        ("ptp", "ptp", "224.0.1.129"),
    ] {
        let outcome = run(&sandbox, None, &format!("groups {query}")).code(0).prints(address);
        assert!(outcome.stdout.lines().count() < 40, "{query} finds too much\n{outcome}");
        let list = object(&run(&sandbox, None, &format!("groups {query} --json")).code(0));
        let rows = list["groups"].as_array().expect("a list");
        assert!(rows.iter().any(|r| r["address"] == address), "{id} {address} in {list}");
        for r in rows {
            for field in ["id", "name", "address", "prefix_len", "ports", "protocol", "purpose", "reference"]
            {
                assert!(r.get(field).is_some(), "{field} in {r}");
            }
        }
    }
    run(&sandbox, None, "groups qqqqqqqq").code(1).complains("nothing like");
    let none = object(&run(&sandbox, None, "groups qqqqqqqq --json").code(0));
    assert_eq!(none["groups"], Value::Array(vec![]));
}

#[test]
fn help_version_manual_and_completions_name_every_command() {
    let sandbox = Sandbox::new();
    let version = run(&sandbox, None, "--version").code(0);
    assert_eq!(version.stdout, format!("mcscope {}\n", env!("CARGO_PKG_VERSION")));
    let commands = [
        "watch",
        "send",
        "ping",
        "respond",
        "soak",
        "tree",
        "doctor",
        "interfaces",
        "groups",
        "demo",
        "completions",
        "man",
    ];
    let help = run(&sandbox, None, "--help").code(0).prints("Exit codes:").prints("239.1.1.1%eth0:5004");
    for command in commands {
        assert!(help.stdout.lines().any(|l| l.trim_start().starts_with(command)), "{command}\n{help}");
        let own = run(&sandbox, None, &format!("{command} --help")).code(0).prints("Usage: mcscope");
        assert_eq!(own.stderr, "");
        let examples = own.stdout.split_once("Examples:").map(|(_, e)| e).unwrap_or_default();
        assert!(examples.contains(&format!("mcscope {command}")), "{own}");
    }
    run(&sandbox, None, "man").code(0).prints(".TH mcscope 1").prints("watch");
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let outcome = run(&sandbox, None, &format!("completions {shell}")).code(0).prints("mcscope");
        assert!(commands.iter().all(|c| outcome.stdout.contains(c)), "{shell}");
    }
    // What bash is given is a script it can read, and completes a command.
    let program = env!("CARGO_BIN_EXE_mcscope");
    let mut bash = sandbox.command("bash");
    let line = "eval \"$($0 completions bash)\"; COMP_WORDS=(mcscope interf); COMP_CWORD=1; \
                _mcscope mcscope interf mcscope; echo ${COMPREPLY[@]}";
    bash.args(["-c", line, program]);
    sandbox.run(bash).code(0).prints("interfaces");
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_would_be_right() {
    let sandbox = Sandbox::new();
    for (words, reason) in [
        ("--nosuch", "--nosuch"),
        ("send", "<GROUP>"),
        ("wathc", "nearest: the command watch"),
        ("interfaces extra", "extra"),
        ("completions tcsh", "bash"),
        ("watch --config /nosuch/file 239.1.1.1%lo:5004", "/nosuch/file"),
        ("watch --rcvbuf much 239.1.1.1%lo:5004", "--rcvbuf"),
        ("watch --rcvbuf 0 239.1.1.1%lo:5004", "1 byte to 1GiB"),
        ("watch --rcvbuf 2GiB 239.1.1.1%lo:5004", "1 byte to 1GiB"),
        ("watch --protocol x=y 239.1.1.1%lo:5004", "239.1.0.0/16="),
        // Either spelling of a time is understood by all that take one.
        ("watch --for 2 239.1.1.1%lo:5004", "a unit is missing"),
        ("respond --for 2 239.1.1.1%lo:5004", "a unit is missing"),
        ("send --for 2 239.1.1.1%lo:5004", "a unit is missing"),
        ("soak --duration 2 239.1.1.1%lo:5004", "a unit is missing"),
        ("doctor --duration 2 239.1.1.1%lo:5004", "a unit is missing"),
        ("send -c 1 -i 10ms -s 100000 -t 1 239.1.1.1%lo:5004", "65507"),
        ("watch -i 2 -c 1 239.1.1.1%lo:5004", "a unit is missing"),
        ("watch --filter lost> 239.1.1.1%lo:5004", "as in lost > 0"),
        ("--theme pink --demo", "dark, light and mono exist"),
        ("demo --theme pink", "dark, light and mono exist"),
        ("--theme pink", "dark, light and mono exist"),
    ] {
        let outcome = run(&sandbox, None, words).code(2).complains(reason);
        assert!(outcome.stdout.is_empty(), "{outcome}");
    }
}

#[test]
fn without_a_terminal_the_dashboard_names_the_command_that_works() {
    let sandbox = Sandbox::new();
    for words in ["", "239.1.1.1%lo:5004", "--theme mono"] {
        let outcome = run(&sandbox, None, words).code(3).complains("terminal").complains("mcscope watch");
        assert!(outcome.stdout.is_empty(), "{outcome}");
    }
}

#[test]
fn the_demo_without_a_terminal_prints_its_statistics_for_ten_seconds() {
    // In a host of its own: other demos of this machine cannot be mistaken for it, and nothing leaves.
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let count = |iface: &str| {
        let of = |what: &str| {
            let path = format!("/sys/class/net/{iface}/statistics/{what}");
            lab.sh(1, &format!("cat {path}")).trim().parse::<u64>().expect("a count")
        };
        of("tx_packets")
    };
    let before = count("net0");
    let begun = Instant::now();
    let outcome = start(&sandbox, Some((&lab, 1)), "--demo").wait().code(0);
    assert!(begun.elapsed() >= Duration::from_secs(10), "{:?}\n{outcome}", begun.elapsed());
    let summaries: Vec<&str> = outcome.stdout.lines().filter(|l| l.contains("7 groups, ")).collect();
    assert!(summaries.len() >= 8, "one a second and one at the end\n{outcome}");
    let last = summaries.last().expect("a summary");
    assert!(last.contains(" 9 sources, "), "{last}");
    for label in
        ["steady RTP", "bursts", "two senders", "telemetry", "chatter", "RTP with gaps", "nobody sends"]
    {
        assert!(outcome.stdout.contains(&format!("({label})")), "{label}\n{outcome}");
    }
    let end: Vec<&str> = outcome.stdout.lines().rev().take_while(|l| !l.contains("7 groups, ")).collect();
    let figures = |label: &str| {
        let line = end.iter().find(|l| l.contains(label)).unwrap_or_else(|| panic!("{label}\n{outcome}"));
        line.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    // 250 a second for ten seconds, none of them lost; where gaps are sent, gaps are found.
    let steady = figures("steady RTP");
    let state = steady.iter().position(|w| w == "live").expect("a live stream");
    let packets: u64 = steady[state + 1].parse().unwrap_or_else(|e| panic!("{e} in {steady:?}"));
    assert!((2000..=2600).contains(&packets), "{steady:?}");
    assert_eq!(steady[steady.len() - 2], "0", "{steady:?}");
    let gaps = figures("RTP with gaps");
    let lost: u64 = gaps[gaps.len() - 2].parse().unwrap_or_else(|e| panic!("{e} in {gaps:?}"));
    assert!(lost >= 15, "each fiftieth of a thousand: {gaps:?}");
    assert_eq!(figures("nobody sends")[4], "silent");
    // The host's own reports of memberships are all that may have left it: none, as they are on the
    // loopback. IPv6 speaks of itself now and then.
    assert!(count("net0") - before < 20, "the demo left the host");
}
