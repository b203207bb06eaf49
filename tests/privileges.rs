//! Least privilege, read off the running program: which thread holds what, that the calls that need a
//! capability still get it, and that `--drop-privileges` leaves nothing. As root, as a user with file
//! capabilities, and as a user without any.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use support::netns::{Lab, Options};
use support::program::{interrupt, start, watch};
use support::run::{Running, Sandbox};
use support::traffic::Sending;

/// Bits of a set (linux/capability.h).
const BIND: u64 = 1 << 10;
const ADMIN: u64 = 1 << 12;
const RAW: u64 = 1 << 13;
/// What is kept of root's: the three of the network and two that only read.
const KEPT: u64 = BIND | ADMIN | RAW | 1 << 2 | 1 << 19;

/// A thread with its sets.
#[derive(Debug)]
struct Thread {
    name: String,
    permitted: u64,
    effective: u64,
    inheritable: u64,
    ambient: u64,
    no_new_privileges: bool,
}

/// The threads of a process.
fn threads(process: u32) -> Vec<Thread> {
    let all = std::fs::read_dir(format!("/proc/{process}/task")).expect("the threads");
    let one = |task: PathBuf| {
        // One that has just ended is none.
        let status = std::fs::read_to_string(task.join("status")).ok()?;
        let field = |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).map(str::trim);
        let set = |name: &str| u64::from_str_radix(field(name).expect("a set"), 16).expect("hexadecimal");
        Some(Thread {
            name: field("Name:")?.to_owned(),
            permitted: set("CapPrm:"),
            effective: set("CapEff:"),
            inheritable: set("CapInh:"),
            ambient: set("CapAmb:"),
            no_new_privileges: field("NoNewPrivs:") == Some("1"),
        })
    };
    all.filter_map(|entry| one(entry.ok()?.path())).collect()
}

/// Fails unless one thread holds `kept` without using it, and the others have nothing.
#[track_caller]
fn held_by_one(process: u32, kept: u64) {
    let all = threads(process);
    assert!(all.len() > 3, "{all:#?}");
    for t in &all {
        let may = if t.name == "privileges" { kept } else { 0 };
        let sets = (t.permitted, t.effective, t.inheritable, t.ambient);
        assert_eq!(sets, (may, 0, 0, 0), "{t:#?}");
    }
    assert_eq!(all.iter().filter(|t| t.name == "privileges").count(), 1, "{all:#?}");
}

/// Waits until no thread has anything.
#[track_caller]
fn held_by_none(process: u32) {
    let until = std::time::Instant::now() + support::DEADLINE;
    loop {
        let all = threads(process);
        if all.iter().all(|t| t.permitted | t.effective | t.inheritable == 0 && t.name != "privileges") {
            assert!(all.iter().all(|t| t.no_new_privileges), "{all:#?}");
            return;
        }
        assert!(std::time::Instant::now() < until, "{all:#?}");
        std::thread::yield_now();
    }
}

/// The receive buffer that a join was granted, in bytes.
fn granted(joined: &Value) -> u64 {
    joined["rcvbuf_bytes"].as_u64().unwrap_or_else(|| panic!("a size in {joined}"))
}

fn rmem_max() -> u64 {
    let text = std::fs::read_to_string("/proc/sys/net/core/rmem_max").expect("the limit");
    text.trim().parse().expect("a number")
}

#[test]
fn root_keeps_the_network_capabilities_in_one_thread_and_can_do_all_it_could() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let large = rmem_max() * 2;
    let words = format!("--rcvbuf {large} 224.0.1.129%net0:319 239.1.1.1%net0:5004");
    let mut program =
        start(&sandbox, Some((&lab, 1)), &format!("watch --format json --interval 100ms {words}"));
    for _ in 0..2 {
        let joined = program.wait_json("a join", |v| v["type"] == "joined" || v["event"] == "failed");
        assert_eq!(granted(&joined), large, "a buffer beyond the limit: {joined}");
    }
    held_by_one(program.id(), KEPT);
    // The interface is made anew while it runs: the socket, its port and its buffer as well.
    lab.delete_link(1, 0);
    program.wait_json("the loss", |v| v["event"] == "failed");
    lab.recreate_links(0);
    for _ in 0..2 {
        program.wait_json("the return", |v| v["event"] == "rejoined");
    }
    lab.inside(2, || Sending::to("224.0.1.129:319").on("net0").go());
    program.wait_json("a packet", |v| v["type"] == "packet" && v["port"] == 319);
    held_by_one(program.id(), KEPT);
    interrupt(program);
    // The packet ring is opened by its thread's request.
    let program = watch(&sandbox, Some((&lab, 1)), "--capture ring 239.1.1.1%net0:5004", 1);
    held_by_one(program.id(), KEPT);
    interrupt(program);
    let program = start(&sandbox, Some((&lab, 1)), "send 239.1.1.1%net0:5004 --source-port 77 -c 3");
    program.wait().code(0).prints("3 packets sent");
}

#[test]
fn given_up_they_are_gone_from_every_thread_and_what_needs_them_says_so() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let words = "--drop-privileges 224.0.1.129%net0:319 239.1.1.1%net0:5004";
    let mut program = watch(&sandbox, Some((&lab, 1)), words, 2);
    let told = program.wait_json("a word about it", |v| {
        v["type"] == "event" && v["text"].as_str().is_some_and(|t| t.starts_with("privileges given up"))
    });
    for what in ["packet rings", "ports below 1024", "receive buffers beyond net.core.rmem_max"] {
        assert!(told["text"].as_str().is_some_and(|t| t.contains(what)), "{told}");
    }
    held_by_none(program.id());
    // What is open goes on, at its low port too.
    lab.inside(2, || Sending::to("224.0.1.129:319").on("net0").go());
    program.wait_json("a packet", |v| v["type"] == "packet" && v["port"] == 319);
    // What has to be opened anew cannot be, and says why; what needs nothing returns.
    lab.delete_link(1, 0);
    program.wait_json("the loss", |v| v["event"] == "failed");
    lab.recreate_links(0);
    let failed = program.wait_json("the low port's failure", |v| {
        v["event"] == "failed" && v["port"] == 319 && v["text"].as_str().is_some_and(|t| t.contains("bind"))
    });
    assert!(failed["text"].as_str().is_some_and(|t| t.contains("without `--drop-privileges`")), "{failed}");
    let lines = interrupt(program).json();
    assert!(lines.iter().any(|v| v["event"] == "rejoined" && v["port"] == 5004), "{lines:#?}");
}

#[test]
fn each_command_gives_them_up_when_asked() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let mut program = start(&sandbox, Some((&lab, 2)), "respond --drop-privileges 239.1.1.1%net0:5004");
    program.wait_line("a word about it", |l| l.contains("privileges given up"));
    held_by_none(program.id());
    let words = "ping --drop-privileges 239.1.1.1%net0:5004 --interval 50ms --json";
    let mut ping = start(&sandbox, Some((&lab, 1)), words);
    ping.wait_json("an answer", |v| v["type"] == "reply");
    held_by_none(ping.id());
    interrupt(ping);
    let words = "send --drop-privileges 239.1.1.1+3%net0:5004 --rate 20 --duration 20s";
    let send = start(&sandbox, Some((&lab, 1)), words);
    held_by_none(send.id());
    interrupt(send);
    interrupt(program);
}

/// mcscope as a user without a name, with these file capabilities on a copy of the program.
fn as_nobody(sandbox: &Sandbox, lab: &Lab, capabilities: &str, words: &str) -> Option<Running> {
    let program = sandbox.path("mcscope");
    if !program.exists() {
        std::fs::copy(env!("CARGO_BIN_EXE_mcscope"), &program).expect("copy the program");
    }
    for dir in [sandbox.path(""), sandbox.work(), sandbox.path("state"), sandbox.path("config")] {
        std::fs::set_permissions(&dir, PermissionsExt::from_mode(0o755)).expect("open the folder");
    }
    let mut setcap = Command::new("setcap");
    let done = match capabilities {
        "" => setcap.arg("-r").arg(&program).output(),
        _ => setcap.arg(capabilities).arg(&program).output(),
    };
    let done = done.ok().filter(|d| d.status.success() || capabilities.is_empty());
    if done.is_none() {
        support::skip("file capabilities", "setcap cannot give any here", "MCSCOPE_REQUIRE_TOOLS");
        return None;
    }
    let mut command = sandbox.command("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    command.arg(&program).args(words.split_whitespace());
    lab.enter(1, &mut command);
    Some(sandbox.spawn(command))
}

#[test]
fn with_file_capabilities_a_user_has_just_those_and_without_any_it_says_what_is_missing() {
    let Some(lab) = lab!(Options::default()) else { return };
    if support::netns::uids() < 65_535 {
        // A user namespace with one user has nobody else to be.
        return support::skip(test_name!(), "there is one user only here", "MCSCOPE_REQUIRE_ROOT");
    }
    let sandbox = Sandbox::new();
    let large = rmem_max() * 2;
    let common = format!("watch --format json --rcvbuf {large}");
    let group = "239.1.1.1%net0:5004";
    let caps = "cap_net_raw,cap_net_admin=ep";
    let Some(mut some) = as_nobody(&sandbox, &lab, caps, &format!("{common} {group}")) else { return };
    let joined = some.wait_json("a join", |v| v["type"] == "joined");
    assert_eq!(granted(&joined), large);
    held_by_one(some.id(), RAW | ADMIN);
    interrupt(some);
    let ring = format!("watch --format json --capture ring {group}");
    let Some(mut ringed) = as_nobody(&sandbox, &lab, caps, &ring) else { return };
    ringed.wait_json("a join", |v| v["type"] == "joined" && v["capture"] == "ring");
    held_by_one(ringed.id(), RAW | ADMIN);
    interrupt(ringed);
    // The low port was not among them.
    let low = format!("{common} 224.0.1.129%net0:319");
    let Some(mut refused) = as_nobody(&sandbox, &lab, caps, &low) else { return };
    refused.wait_json("a failure with its remedy", |v| {
        v["event"] == "failed" && v["text"].as_str().is_some_and(|t| t.contains("cap_net_bind_service+ep"))
    });
    refused.wait();
    // Nothing at all: there is no keeper, and the rest goes on.
    let Some(mut none) = as_nobody(&sandbox, &lab, "", &format!("{common} {group}")) else { return };
    let joined = none.wait_json("a join", |v| v["type"] == "joined");
    assert!(granted(&joined) <= rmem_max(), "{joined}");
    let all = threads(none.id());
    assert!(all.iter().all(|t| t.permitted == 0 && t.name != "privileges"), "{all:#?}");
    interrupt(none);
    let Some(no_ring) = as_nobody(&sandbox, &lab, "", &ring) else { return };
    no_ring.wait().code(3).complains("cap_net_raw+ep");
}
