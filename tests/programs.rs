//! Real programs as peers, on the interface that was named, with tcpdump as the judge of the counts.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::collections::BTreeMap;
use std::process::{Command, Stdio};

use serde_json::Value;

use support::judge::Judge;
use support::netns::{Lab, Options};
use support::program::{counted, interrupt, of_type, run, start, until_total, watch};
use support::run::Sandbox;
use support::traffic::{Counts, total};

/// Whether a program can be run here; otherwise the test is skipped, or fails if it must not be.
fn has(test: &str, program: &str, argument: &str) -> bool {
    let tried = Command::new(program).arg(argument).stdout(Stdio::null()).stderr(Stdio::null()).status();
    match tried {
        Ok(_) => true,
        Err(e) => {
            support::skip(test, &format!("cannot run {program}: {e}"), "MCSCOPE_REQUIRE_TOOLS");
            false
        }
    }
}

/// Packets and bytes by "source > group:port" of the last lines of the sources.
fn heard(lines: &[Value]) -> BTreeMap<String, (u64, u64)> {
    let of_source = |v: &&Value| v["scope"] == "source";
    let row = |v: &Value| {
        let (group, count) = (v["group"].as_str().expect("a group"), counted(v));
        let group = if group.contains(':') { format!("[{group}]") } else { group.into() };
        let name = format!("{} > {group}:{}", v["source"].as_str().expect("a source"), v["port"]);
        (name, (count.packets, count.bytes))
    };
    of_type(lines, "final").into_iter().filter(of_source).map(row).collect()
}

fn judged(counts: &Counts) -> BTreeMap<String, (u64, u64)> {
    counts.iter().map(|(f, c)| (format!("{} > {}", f.from, f.to), (c.packets, c.bytes))).collect()
}

/// Encodes two seconds of a test picture and sends it from host 1, to its end.
#[track_caller]
fn ffmpeg(sandbox: &Sandbox, lab: &Lab, format: &str, url: &str) {
    let mut command = sandbox.command("ffmpeg");
    command.args("-nostdin -loglevel error -f lavfi -i testsrc=size=320x240:rate=25 -t 2".split(' '));
    command.args("-c:v mpeg2video -b:v 1M -threads 1 -f".split(' ')).args([format, url]);
    lab.enter(1, &mut command);
    sandbox.run(command).code(0);
}

#[test]
fn the_streams_of_ffmpeg_are_counted_and_recognised() {
    if !has(test_name!(), "ffmpeg", "-version") {
        return;
    }
    let Some(lab) = lab!(Options { networks: 2, ..Options::default() }) else { return };
    let Some(judge) = Judge::listen(test_name!(), &lab, 2, "net1") else { return };
    let sandbox = Sandbox::new();
    // The interface that is not the route's, named by its address as ffmpeg does it.
    let specs = "--stats-only --rcvbuf 4MiB 239.1.1.1+2%net1:5004 239.1.1.1%net1:5005 239.1.1.1+3%net0:5004";
    let mut program = watch(&sandbox, Some((&lab, 2)), specs, 6);
    let local = lab.v4_on(1, 1);
    let options = format!("localaddr={local}&ttl=4&pkt_size=1316");
    ffmpeg(&sandbox, &lab, "rtp_mpegts", &format!("rtp://239.1.1.1:5004?{options}"));
    ffmpeg(&sandbox, &lab, "mpegts", &format!("udp://239.1.1.2:5004?{options}"));
    let mut sent = judge.counts();
    sent.retain(|f, _| f.from.ip() == local);
    assert!(total(&sent).packets > 100, "{sent:#?}");
    until_total(&mut program, total(&sent).packets);
    let lines = interrupt(program).json();
    assert_eq!(heard(&lines), judged(&sent));
    let source = |group: &str, port: u16| {
        let is = |v: &&&Value| v["scope"] == "source" && v["group"] == group && v["port"] == port;
        let finals = of_type(&lines, "final");
        (*finals.iter().find(is).unwrap_or_else(|| panic!("no source of {group}:{port}"))).clone()
    };
    let (rtp, ts) = (source("239.1.1.1", 5004), source("239.1.1.2", 5004));
    assert_eq!((&rtp["protocol"], &rtp["lost"], &rtp["ttl"]), (&"rtp".into(), &0.into(), &4.into()), "{rtp}");
    assert!(ts["protocol"].as_str().is_some_and(|p| p.contains("ts")), "{ts}");
    assert_eq!((&ts["iface"], &ts["size_max_bytes"]), (&"net1".into(), &1316.into()), "{ts}");
    assert_eq!(source("239.1.1.1", 5005)["protocol"], "rtcp");
}

#[test]
fn avahi_announces_its_host_and_says_goodbye() {
    if !has(test_name!(), "avahi-daemon", "--version") {
        return;
    }
    if support::required("MCSCOPE_TEST_IN_USER_NAMESPACE") {
        let why = "avahi-daemon does not run as root of a user namespace";
        return support::skip(test_name!(), why, "MCSCOPE_REQUIRE_TOOLS");
    }
    let Some(lab) = lab!(Options::default()) else { return };
    let Some(judge) = Judge::listen(test_name!(), &lab, 2, "net0") else { return };
    let sandbox = Sandbox::new();
    let file = sandbox.write(
        "work/avahi.conf",
        "[server]\nhost-name=testhost\nuse-ipv4=yes\nuse-ipv6=yes\nenable-dbus=no\nallow-interfaces=net0\n\
         [publish]\npublish-workstation=yes\n",
    );
    let mut program = watch(&sandbox, Some((&lab, 2)), "mdns%net0", 2);
    // It keeps its process number in /run, which is one of its own here.
    let mut avahi = sandbox.command("sh");
    let line = "mount -t tmpfs none /run && exec avahi-daemon -f \"$0\" --no-drop-root --no-chroot --no-rlimits 2>&1";
    avahi.args(["-c", line]).arg(&file);
    lab.enter(1, &mut avahi);
    let avahi = sandbox.spawn(avahi);
    for group in ["224.0.0.251", "ff02::fb"] {
        let said = program.wait_json("an answer with the host's name", |v| {
            v["type"] == "packet"
                && v["group"] == group
                && v["preview"].as_str().is_some_and(|p| p.contains("mDNS resp") && p.contains("testhost"))
        });
        assert_eq!(
            (&said["ttl"], &said["iface"], &said["port"]),
            (&255.into(), &"net0".into(), &5353.into())
        );
        assert_eq!(said["protocol"], "mdns");
    }
    avahi.signal(libc::SIGTERM);
    avahi.wait().code(0);
    program.wait_json("its goodbye", |v| v["preview"].as_str().is_some_and(|p| p.contains("goodbye")));
    let sent = judge.counts();
    until_total(&mut program, total(&sent).packets);
    let lines = interrupt(program).json();
    assert_eq!(total(&sent).packets, of_type(&lines, "packet").len() as u64);
    let (mut said, judged) = (heard(&lines), judged(&sent));
    // Link-local sources have their interface behind them.
    said = said.into_iter().map(|(k, v)| (k.replace("%net0", ""), v)).collect();
    assert_eq!(said, judged);
}

/// A plain program: binds to port 9999, names no interface, sends one large datagram to a group, then
/// waits for an answer to its question and prints what it got.
const PYTHON_SENDS: &str = r#"
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 9999))
s.sendto(bytes(i % 251 for i in range(1473)), ("234.2.2.2", 8888))
s.settimeout(20)
print("asked", flush=True)
sys.stdin.readline()
s.sendto(b"hello", ("234.2.2.2", 8889))
print(s.recvfrom(2000), flush=True)
"#;

#[test]
fn a_plain_program_sends_1473_bytes_from_port_9999_and_gets_an_answer() {
    if !has(test_name!(), "python3", "--version") {
        return;
    }
    let Some(lab) = lab!(Options::default()) else { return };
    let Some(judge) = Judge::listen(test_name!(), &lab, 2, "net0") else { return };
    let sandbox = Sandbox::new();
    let mut program = watch(&sandbox, Some((&lab, 2)), "--snap 2000 234.2.2.2%net0:8888", 1);
    let mut responder = start(&sandbox, Some((&lab, 2)), "respond --any 234.2.2.2%net0:8889");
    responder.wait_line("the join", |l| l.contains("joined"));
    let mut python = sandbox.command("python3");
    python.args(["-c", PYTHON_SENDS]);
    lab.enter(1, &mut python);
    // Its line of input is there from the start.
    let line = sandbox.write("work/line", "\n");
    python.stdin(std::fs::File::open(line).expect("open a file"));
    let outcome = sandbox.run(python).code(0);
    assert!(outcome.stdout.contains(&format!("(b'hello', ('{}', ", lab.v4(2))), "{outcome}");
    let packet = program.wait_json("the datagram", |v| v["type"] == "packet");
    assert_eq!(packet["source"], format!("{}:9999", lab.v4(1)));
    assert_eq!((&packet["size_bytes"], &packet["iface"]), (&1473.into(), &"net0".into()));
    let whole: String = (0..1473).map(|i| format!("{:02x}", i % 251)).collect();
    assert_eq!(packet["payload_hex"], whole, "fragmented at an MTU of 1500, and whole again");
    until_total(&mut program, 1);
    let lines = interrupt(program).json();
    drop(interrupt(responder));
    let mut sent = judge.counts();
    sent.retain(|f, _| f.to.port() == 8888);
    assert_eq!(heard(&lines), judged(&sent));
}

/// A plain program that joins a group by its interface's address, as most do.
const PYTHON_LISTENS: &str = r#"
import socket, struct, sys
group, local = sys.argv[1:]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 5004))
s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + socket.inet_aton(local))
s.settimeout(20)
print("listening", flush=True)
for _ in range(3):
    data, source = s.recvfrom(70000)
    print(len(data), source[0], data[:5].decode(), flush=True)
"#;

#[test]
fn a_plain_program_hears_what_is_sent() {
    if !has(test_name!(), "python3", "--version") {
        return;
    }
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let mut python = sandbox.command("python3");
    python.args(["-c", PYTHON_LISTENS, "239.1.1.1", &lab.v4(2).to_string()]);
    lab.enter(2, &mut python);
    let mut python = sandbox.spawn(python);
    python.wait_line("the join", |l| l == "listening");
    for (words, line) in
        [("--text hello", "5 hello"), ("--text hello --size 9000", "9000 hello"), ("", "44 mcSc\u{1}")]
    {
        run(&sandbox, Some((&lab, 1)), &format!("send 239.1.1.1%net0:5004 {words}")).code(0);
        let (size, text) = line.split_once(' ').expect("two words");
        let wanted = format!("{size} {} {text}", lab.v4(1));
        python.wait_line(&wanted, |l| l == wanted);
    }
    python.wait().code(0);
}
