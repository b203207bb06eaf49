//! Source filters that change while a membership stands: what is counted follows at once, and what the
//! kernel reports on the wire names the sources, as tshark reads it on the other host.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::IpAddr;
use std::process::{Child, Command as Process, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use mcscope::base::batch::Capture;
use mcscope::base::group::{Membership, MembershipId, SourceFilter};
use mcscope::engine::command::{Command, Update};
use mcscope::engine::{Engine, Options as EngineOptions};
use mcscope::net::iface;
use support::DEADLINE;
use support::netns::{Lab, Options};
use support::program::{dashboard, wait_row};
use support::run::Sandbox;
use support::traffic::{Payload, Sending};

const ROW: MembershipId = MembershipId(0);

/// tshark on host 2, a line for each report: group, record types, sources.
struct Reports {
    child: Child,
    lines: Receiver<String>,
}

impl Reports {
    fn listen(test: &str, lab: &Lab, v4: bool) -> Option<Reports> {
        if let Err(e) = Process::new("tshark").arg("--version").output() {
            support::skip(test, &format!("cannot run tshark: {e}"), "MCSCOPE_REQUIRE_TOOLS");
            return None;
        }
        let (filter, fields) = if v4 {
            ("igmp", ["igmp.maddr", "igmp.record_type", "igmp.saddr"])
        } else {
            let mar = ["multicast_address", "record_type", "source_address"];
            ("icmp6 or ip6 proto 0", mar)
        };
        let mut command = lab.cmd(2, "tshark");
        command.args(["-l", "-n", "-i", "net0", "-f", filter, "-T", "fields", "-E", "separator=|"]);
        for field in fields {
            command.arg("-e").arg(if v4 { field.to_owned() } else { format!("icmpv6.mldr.mar.{field}") });
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("start tshark");
        let (tell, lines) = mpsc::channel();
        let out = BufReader::new(child.stdout.take().expect("a pipe"));
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|l| tell.send(l)));
        let mut errors = BufReader::new(child.stderr.take().expect("a pipe")).lines();
        let begun = errors.by_ref().map_while(Result::ok).find(|l| l.contains("Capturing on"));
        assert!(begun.is_some(), "tshark does not capture");
        // It goes on to write there, and must not be stopped by a pipe that nobody reads.
        std::thread::spawn(move || errors.for_each(drop));
        Some(Reports { child, lines })
    }

    /// Waits for a report of the group with this record type (RFC 9776 section 4.2.13) and these sources.
    #[track_caller]
    fn wait(&self, group: &str, record: u8, sources: &[IpAddr]) {
        let mut wanted: Vec<String> = sources.iter().map(ToString::to_string).collect();
        wanted.sort();
        let until = Instant::now() + DEADLINE;
        let mut seen = Vec::new();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("no report of {group}, type {record}, {wanted:?} in {seen:#?}");
            };
            let parts: Vec<&str> = line.split('|').collect();
            if let [g, r, s] = parts[..] {
                let mut told: Vec<String> =
                    s.split(',').filter(|s| !s.is_empty()).map(str::to_owned).collect();
                told.sort();
                if g == group && r == record.to_string() && told == wanted {
                    return;
                }
            }
            seen.push(line);
        }
    }
}

impl Drop for Reports {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An engine in host 1 with one row.
struct Row {
    engine: Engine,
    filter: SourceFilter,
}

impl Row {
    fn join(lab: &Lab, capture: Capture, group: &str) -> Row {
        let options = EngineOptions { capture, ..EngineOptions::default() };
        let engine = lab.inside(1, || Engine::start(iface::list().unwrap(), options).unwrap());
        let filter = SourceFilter::Any;
        let membership = Membership {
            group: group.parse().unwrap(),
            port: 5004,
            iface: "net0".into(),
            filter: filter.clone(),
        };
        assert!(engine.command(Command::Join { id: ROW, membership: membership.into() }));
        let mut row = Row { engine, filter };
        row.until("join", |u| matches!(u, Update::Joined(..)));
        row
    }

    /// Takes updates until one is it; what was received meanwhile is given back.
    #[track_caller]
    fn until(&mut self, what: &str, is: impl Fn(&Update) -> bool) {
        let until = Instant::now() + DEADLINE;
        let mut seen = Vec::new();
        while Instant::now() < until {
            if let Ok(u) = self.engine.updates().recv_timeout(Duration::from_millis(5)) {
                if let Update::Filter(_, m, _) = &u {
                    self.filter = m.filter.clone();
                }
                if is(&u) {
                    return;
                }
                seen.push(u);
            }
            while let Ok(batch) = self.engine.batches().try_recv() {
                self.engine.recycle(batch);
            }
        }
        panic!("no {what}: {seen:#?}");
    }

    /// Asks for a change of the filter and waits until it stands.
    #[track_caller]
    fn change(&mut self, command: Command, wanted: &SourceFilter) {
        assert!(self.engine.command(command));
        self.until("new filter", |u| matches!(u, Update::Filter(..)));
        assert_eq!(self.filter, *wanted);
    }

    /// Both send; how many datagrams of each were received.
    fn heard(&self, lab: &Lab, group: &str, senders: [IpAddr; 2], end: IpAddr) -> [usize; 2] {
        let to = if group.contains(':') { format!("[{group}]:5004") } else { format!("{group}:5004") };
        let mut all = BTreeMap::<IpAddr, usize>::new();
        lab.inside(2, || {
            for s in senders {
                Sending::to(&to).on("net0").source(s, 0).count(5).go();
            }
            // Whoever is let through sends the last one: then nothing is still under way.
            Sending::to(&to).on("net0").source(end, 0).payload(Payload::Bytes(b"end".into())).go();
        });
        let until = Instant::now() + DEADLINE;
        loop {
            let batch = self.engine.batches().recv_deadline(until).expect("the last datagram");
            let ended = batch.datagrams().iter().any(|d| batch.payload(d).starts_with(b"end"));
            for d in batch.datagrams().iter().filter(|d| !batch.payload(d).starts_with(b"end")) {
                *all.entry(d.source.ip).or_default() += 1;
            }
            self.engine.recycle(batch);
            if ended {
                return senders.map(|s| all.get(&s).copied().unwrap_or(0));
            }
        }
    }
}

fn filters_change_on_the_wire_and_in_the_figures(lab: &Lab, reports: &Reports, capture: Capture, v4: bool) {
    let (group, a, b): (&str, IpAddr, IpAddr) = if v4 {
        lab.ip(2, "addr replace 10.99.0.3/24 dev net0");
        ("239.1.1.1", lab.v4(2).into(), "10.99.0.3".parse().unwrap())
    } else {
        lab.ip(2, "-6 addr replace fd99::3/64 dev net0 nodad");
        ("ff15::1", lab.v6(2).into(), "fd99::3".parse().unwrap())
    };
    let mut row = Row::join(lab, capture, group);
    // CHANGE_TO_EXCLUDE_MODE of nobody.
    reports.wait(group, 4, &[]);
    assert_eq!(row.heard(lab, group, [a, b], a), [5, 5]);

    row.change(Command::Block(ROW, a), &SourceFilter::Exclude(vec![a]));
    // BLOCK_OLD_SOURCES.
    reports.wait(group, 6, &[a]);
    assert_eq!(row.heard(lab, group, [a, b], b), [0, 5]);
    // Once more is no change of what is kept out.
    row.change(Command::Block(ROW, a), &SourceFilter::Exclude(vec![a]));
    row.change(Command::Unblock(ROW, a), &SourceFilter::Any);
    // ALLOW_NEW_SOURCES.
    reports.wait(group, 5, &[a]);
    assert_eq!(row.heard(lab, group, [a, b], b), [5, 5]);

    row.change(Command::Filter(ROW, SourceFilter::only(b)), &SourceFilter::only(b));
    // CHANGE_TO_INCLUDE_MODE of the one.
    reports.wait(group, 3, &[b]);
    assert_eq!(row.heard(lab, group, [a, b], b), [0, 5]);
    let both = SourceFilter::Include(vec![b, a]);
    row.change(Command::Filter(ROW, both.clone()), &both);
    reports.wait(group, 5, &[a]);
    assert_eq!(row.heard(lab, group, [a, b], b), [5, 5]);
    row.change(Command::Filter(ROW, SourceFilter::Any), &SourceFilter::Any);
    reports.wait(group, 4, &[]);
    assert_eq!(row.heard(lab, group, [a, b], b), [5, 5]);

    // More sources than the kernel's limit: refused with the setting that allows them, and as it was.
    let many: Vec<IpAddr> = (1..=70u8)
        .map(|n| if v4 { IpAddr::from([10, 99, 1, n]) } else { format!("fd99::1:{n:x}").parse().unwrap() })
        .collect();
    assert!(row.engine.command(Command::Filter(ROW, SourceFilter::Exclude(many))));
    let setting = if v4 { "igmp_max_msf=70" } else { "mld_max_msf=70" };
    row.until("a refusal", |u| matches!(u, Update::Note(_, Some(ROW), text) if text.contains(setting)));
    assert_eq!(row.heard(lab, group, [a, b], b), [5, 5]);
}

#[test]
fn with_sockets() {
    let Some(lab) = lab!(Options::default()) else { return };
    for v4 in [true, false] {
        let Some(reports) = Reports::listen(test_name!(), &lab, v4) else { return };
        filters_change_on_the_wire_and_in_the_figures(&lab, &reports, Capture::Sockets, v4);
    }
}

#[test]
fn with_packet_rings() {
    let Some(lab) = lab!(Options::default()) else { return };
    for v4 in [true, false] {
        let Some(reports) = Reports::listen(test_name!(), &lab, v4) else { return };
        filters_change_on_the_wire_and_in_the_figures(&lab, &reports, Capture::Ring, v4);
    }
}

#[test]
fn one_key_each_on_the_dashboard_and_what_was_kept_out_is_no_loss() {
    let Some(lab) = lab!(Options::default()) else { return };
    lab.ip(2, "addr replace 10.99.0.3/24 dev net0");
    let Some(reports) = Reports::listen(test_name!(), &lab, true) else { return };
    let (a, b): (IpAddr, IpAddr) = (lab.v4(2).into(), "10.99.0.3".parse().unwrap());
    let sandbox = Sandbox::new();
    let mut term = dashboard(&sandbox, Some((&lab, 1)), "239.1.1.1%net0:5004", (40, 160));
    wait_row(&mut term, &["239.1.1.1", "5004", "net0"]);
    reports.wait("239.1.1.1", 4, &[]);
    std::thread::scope(|scope| {
        for (run, from) in [(1, a), (2, b)] {
            let numbered = Sending::to("239.1.1.1:5004").on("net0").payload(Payload::Probe { run });
            let lab = &lab;
            scope.spawn(move || lab.inside(2, || numbered.source(from, 4000).count(600).pps(100).go()));
        }
        wait_row(&mut term, &["10.99.0.3:4000"]);
        wait_row(&mut term, &[&format!("{a}:4000")]);
        // The sources pane, and one of the two in it.
        term.type_keys("<tab><home>");
        term.type_keys("i");
        let row = wait_row(&mut term, &["239.1.1.1", "only "]);
        let (only, other) = if row.contains("only 10.99.0.3") { (b, a) } else { (a, b) };
        reports.wait("239.1.1.1", 3, &[only]);
        wait_row(&mut term, &["⊘", &format!("{other}:4000")]);
        // What comes is one sender's.
        wait_row(&mut term, &["239.1.1.1", " 100 "]);
        term.type_keys("I");
        reports.wait("239.1.1.1", 4, &[]);
        term.wait_no_text("⊘");
        wait_row(&mut term, &["239.1.1.1", " 200 "]);
        term.type_keys("b");
        reports.wait("239.1.1.1", 6, &[only]);
        wait_row(&mut term, &["239.1.1.1", &format!("without {only}")]);
        term.type_keys("b");
        reports.wait("239.1.1.1", 5, &[only]);
        term.wait_no_text("without");
    });
    // Hundreds of numbers were kept out on purpose: none of them was lost.
    wait_row(&mut term, &["NET 0"]);
    term.type_keys("q");
    term.wait_exit();
}
