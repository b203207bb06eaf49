//! mcscope without a screen: started in a host or on the loopback interface, and its lines read.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::Value;

use super::netns::Lab;
use super::pty::{Term, text};
use super::run::{Outcome, Running, Sandbox};
use super::traffic::{Count, Sending};

/// A group on the loopback interface that no other test run on this machine uses, and no other test
/// of this run whose port differs in its last six bits.
pub fn own_group(port: u16) -> SocketAddr {
    let own = (std::process::id() & 0xffff) << 6 | u32::from(port & 63);
    SocketAddr::new(Ipv4Addr::from(u32::from(Ipv4Addr::new(239, 192, 0, 0)) | own).into(), port)
}

/// The group as it is named on a command line.
pub fn on_lo(group: SocketAddr) -> String {
    format!("{}%lo:{}", group.ip(), group.port())
}

/// A sender to a group on the loopback interface.
pub fn sending_on_lo(group: SocketAddr) -> Sending {
    Sending::to(&group.to_string()).on("lo").source(Ipv4Addr::LOCALHOST, 0)
}

/// Starts mcscope with blank-separated words, in a host if there is a lab.
pub fn start(sandbox: &Sandbox, place: Option<(&Lab, u8)>, words: &str) -> Running {
    let mut command = sandbox.mcscope(words.split_whitespace());
    if let Some((lab, host)) = place {
        lab.enter(host, &mut command);
    }
    sandbox.spawn(command)
}

/// Runs mcscope with blank-separated words to its end, in a host if there is a lab.
pub fn run(sandbox: &Sandbox, place: Option<(&Lab, u8)>, words: &str) -> Outcome {
    start(sandbox, place, words).wait()
}

/// Starts `watch --format json` with these words and statistics ten times a second, and waits until
/// so many memberships stand.
#[track_caller]
pub fn watch(sandbox: &Sandbox, place: Option<(&Lab, u8)>, words: &str, joined: usize) -> Running {
    let mut running = start(sandbox, place, &format!("watch --format json --interval 100ms {words}"));
    for n in 1..=joined {
        running.wait_json(&format!("membership {n} of {joined}"), |v| v["type"] == "joined");
    }
    running
}

/// Waits until the statistics of everything say so many packets.
#[track_caller]
pub fn until_total(running: &mut Running, packets: u64) {
    running.wait_json(&format!("a total of {packets} packets"), |v| {
        v["type"] == "stats" && v["scope"] == "total" && v["packets"].as_u64() >= Some(packets)
    });
}

/// Ends it with SIGINT, as Ctrl-C does.
#[track_caller]
pub fn interrupt(running: Running) -> Outcome {
    running.signal(libc::SIGINT);
    running.wait().code(130)
}

/// The lines of a type.
pub fn of_type<'v>(lines: &'v [Value], kind: &str) -> Vec<&'v Value> {
    lines.iter().filter(|v| v["type"] == kind).collect()
}

/// The only `final` line of a scope for which `is` holds.
#[track_caller]
pub fn last<'v>(lines: &'v [Value], scope: &str, is: impl Fn(&Value) -> bool) -> &'v Value {
    let all = of_type(lines, "final");
    let found: Vec<&Value> = all.iter().copied().filter(|v| v["scope"] == scope && is(v)).collect();
    assert_eq!(found.len(), 1, "final lines of scope {scope} of the wanted object in {all:#?}");
    found[0]
}

/// The packets and bytes of a statistics line.
pub fn counted(line: &Value) -> Count {
    let field = |name: &str| line[name].as_u64().unwrap_or_else(|| panic!("{name} in {line}"));
    Count { packets: field("packets"), bytes: field("payload_bytes") }
}

/// Starts the dashboard with blank-separated words in a terminal of this size, in a host if there is a
/// lab.
pub fn dashboard(
    sandbox: &Sandbox,
    place: Option<(&Lab, u8)>,
    words: &str,
    (rows, cols): (u16, u16),
) -> Term {
    let mut command = sandbox.mcscope(words.split_whitespace());
    if let Some((lab, host)) = place {
        lab.enter(host, &mut command);
    }
    Term::spawn(command, rows, cols)
}

/// Waits until a row of the screen holds all of these, and gives it.
#[track_caller]
pub fn wait_row(term: &mut Term, words: &[&str]) -> String {
    let row = |s: &vt100::Screen| {
        let all = text(s);
        all.lines().find(|l| words.iter().all(|w| l.contains(w))).map(str::to_owned)
    };
    term.wait_until(&format!("a row with {words:?}"), |s| row(s).is_some());
    row(term.screen()).expect("it was there")
}
