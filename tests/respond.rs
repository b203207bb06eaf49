//! `mcscope respond`, and the round trip with `mcscope send --await-reply`: whether both directions
//! work, asked as a person asks it, and what is never answered.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::time::{Duration, Instant};

use mcscope::wire::probe::{FLAG_MULTICAST_REPLY, Kind, Probe};
use support::judge::Judge;
use support::netns::{Join, Lab, Options};
use support::program::{interrupt, run, start};
use support::run::{Running, Sandbox};
use support::traffic::{Flow, Listener, Payload, Sending, total};

/// Starts the responder in host 2 and waits until so many memberships stand.
#[track_caller]
fn respond(sandbox: &Sandbox, lab: &Lab, words: &str, joined: usize) -> Running {
    let mut program = start(sandbox, Some((lab, 2)), &format!("respond {words}"));
    for _ in 0..joined {
        program.wait_line("a join", |l| l.contains("joined"));
    }
    program
}

/// A probe as the specification lays it out.
fn probe(kind: u8, flags: u16, size: usize) -> Vec<u8> {
    let mut bytes = b"mcSc\x01".to_vec();
    bytes.push(kind);
    bytes.extend_from_slice(&flags.to_be_bytes());
    bytes.resize(size, 0);
    bytes
}

#[test]
fn a_round_trip_over_both_families_says_who_answered_from_where_and_after_how_long() {
    let Some(lab) = lab!(Options::default()) else { return };
    let Some(judge) = Judge::listen(test_name!(), &lab, 1, "net0") else { return };
    let sandbox = Sandbox::new();
    let program = respond(&sandbox, &lab, "224.0.0.123%net0:7645 [ff02::123%net0]:7645", 2);
    for (group, address) in [
        ("224.0.0.123%net0:7645", format!("{}:", lab.v4(2))),
        // To a group of the link's scope the answer comes from the address of the link's scope.
        ("[ff02::123%net0]:7645", format!("[{}]:", lab.link_local(2, "net0"))),
    ] {
        let words = format!("send {group} -c 3 --rate 50 --await-reply 700ms");
        let outcome = run(&sandbox, Some((&lab, 1)), &words).code(0).prints("3 packets sent");
        let answers: Vec<&str> = outcome.stdout.lines().filter(|l| l.contains("answer to number")).collect();
        assert_eq!(answers.len(), 3, "{outcome}");
        for (n, line) in answers.iter().enumerate() {
            assert!(line.contains(&format!("to number {n} from {address}")), "{outcome}");
            assert!(line.contains(" after ") && line.contains("s, 0 hops away, 44 bytes"), "{outcome}");
        }
    }
    let outcome = interrupt(program);
    for group in ["224.0.0.123%net0:7645", "[ff02::123%net0]:7645"] {
        assert!(outcome.stdout.contains(&format!("{group}: 3 datagrams heard, 3 answered")), "{outcome}");
    }
    // Three questions to each group, and three answers by unicast to each asker.
    let judged = judge.counts();
    let multicast = |f: &&Flow| f.to.ip().is_multicast();
    assert_eq!(judged.keys().filter(multicast).count(), 2, "{judged:#?}");
    for (question, count) in judged.iter().filter(|(f, _)| f.to.ip().is_multicast()) {
        assert_eq!((count.packets, count.bytes), (3, 3 * 44));
        let (_, answers) = judged.iter().find(|(f, _)| f.to == question.from).expect("answers");
        assert_eq!((answers.packets, answers.bytes), (3, 3 * 44));
    }
    assert_eq!(judged.len(), 4, "{judged:#?}");
}

#[test]
fn without_an_answer_it_ends_with_1_and_says_so() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let words = "send 224.0.0.123%net0:7645 --await-reply 100ms";
    run(&sandbox, Some((&lab, 1)), words).code(1).prints("1 packet sent").prints("nobody answered");
    // A listener that does not respond is no answer either.
    let program = support::program::watch(&sandbox, Some((&lab, 2)), "224.0.0.123%net0:7645", 1);
    run(&sandbox, Some((&lab, 1)), words).code(1).prints("nobody answered");
    interrupt(program);
}

#[test]
fn everybody_who_responds_is_named() {
    let switch = Join::Switch { snooping: false, querier: false };
    let Some(lab) = lab!(Options { hosts: 4, join: switch, ..Options::default() }) else { return };
    let sandbox = Sandbox::new();
    let programs: Vec<Running> = [2, 3, 4]
        .map(|host| {
            let mut program = start(&sandbox, Some((&lab, host)), "respond 239.1.1.1%net0:7645");
            program.wait_line("a join", |l| l.contains("joined"));
            program
        })
        .into();
    let outcome = run(&sandbox, Some((&lab, 1)), "send 239.1.1.1%net0:7645 --await-reply 500ms").code(0);
    for host in [2, 3, 4] {
        assert!(outcome.stdout.contains(&format!("answer to number 0 from {}:", lab.v4(host))), "{outcome}");
    }
    programs.into_iter().for_each(|p| drop(interrupt(p)));
}

#[test]
fn probes_are_answered_and_other_datagrams_only_when_told_so() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let asker = lab.inside(1, || Listener::bind("0.0.0.0:0"));
    let to = "239.1.1.1:7645".parse().expect("an address");
    let ask = |bytes: &[u8]| lab.inside(1, || asker.send(bytes, to, Some("net0")));

    let program = respond(&sandbox, &lab, "239.1.1.1%net0:7645", 1);
    ask(b"hello");
    // Another's answer is not answered, or two responders would talk forever.
    ask(&probe(3, 0, 44));
    ask(&probe(1, 0, 1000));
    let heard = asker.wait();
    let answer = Probe::parse(&heard.payload).expect("a probe");
    assert_eq!((answer.kind, heard.from.ip(), answer.ttl), (Kind::Reply, lab.v4(2).into(), 64));
    assert!(heard.payload.len() <= 1000, "an answer is never longer than its question");
    let outcome = interrupt(program);
    assert!(outcome.stdout.contains("3 datagrams heard, 1 answered"), "{outcome}");

    let program = respond(&sandbox, &lab, "--any 239.1.1.1%net0:7645", 1);
    let long: Vec<u8> = (0..5000u32).map(|i| i as u8).collect();
    for bytes in [&b"hello"[..], b"", &long] {
        ask(bytes);
        let heard = asker.wait();
        assert_eq!((heard.payload.as_slice(), heard.from.ip()), (bytes, lab.v4(2).into()));
    }
    ask(&probe(3, 0, 44));
    ask(&probe(2, 0, 44));
    assert_eq!(Probe::parse(&asker.wait().payload).map(|p| p.kind), Some(Kind::Reply));
    let outcome = interrupt(program);
    assert!(outcome.stdout.contains("5 datagrams heard, 4 answered"), "{outcome}");
    // The program's own question is answered by an echo as well.
    let program = respond(&sandbox, &lab, "--any 239.1.1.1%net0:7645", 1);
    let words = "send 239.1.1.1%net0:7645 --text hello --await-reply 500ms";
    run(&sandbox, Some((&lab, 1)), words)
        .code(0)
        .prints(&format!("answer from {}:", lab.v4(2)))
        .prints("5 bytes");
    interrupt(program);
}

#[test]
fn a_multicast_answer_is_sent_only_to_a_ping_that_asks_for_one() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let mut program = respond(&sandbox, &lab, "239.1.1.1%net0:7645", 1);
    let asker = lab.inside(1, || Listener::bind("0.0.0.0:0"));
    let group = lab.inside(1, || Listener::join("239.1.1.1:7645", "net0"));
    let ask = |bytes: &[u8]| lab.inside(1, || asker.send(bytes, group.address(), Some("net0")));
    for bytes in [probe(1, FLAG_MULTICAST_REPLY, 44), probe(2, 0, 44), probe(2, FLAG_MULTICAST_REPLY, 44)] {
        ask(&bytes);
        assert_eq!(Probe::parse(&asker.wait().payload).map(|p| p.kind), Some(Kind::Reply));
        // What was sent comes back to the own host.
        assert_eq!(group.wait().payload, bytes);
    }
    let heard = group.wait();
    assert_eq!(
        (heard.from.ip(), Probe::parse(&heard.payload).map(|p| p.kind)),
        (lab.v4(2).into(), Some(Kind::Reply))
    );
    // The responder hears its own multicast answer, and does not answer that.
    program.wait_line("its own answer", |l| l.contains(&format!("{} sends to", heard.from)));
    let outcome = interrupt(program);
    assert!(outcome.stdout.contains("4 datagrams heard, 3 answered"), "{outcome}");
    assert!(group.next(Instant::now()).is_none(), "one multicast answer only");
}

#[test]
fn the_own_host_is_never_answered() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let mut program = respond(&sandbox, &lab, "--any 239.1.1.1%net0:7645 [ff15::1%net0]:7645", 2);
    for group in ["239.1.1.1:7645", "[ff15::1]:7645"] {
        let own = Sending::to(group).on("net0").count(5);
        lab.inside(2, || own.go());
        let other = Sending::to(group).on("net0").payload(Payload::Bytes(b"end".into()));
        lab.inside(1, || other.go());
        program.wait_line("the other host's datagram", |l| l.contains("sends to"));
        program.wait_line("the other host's datagram", |l| l.contains("sends to"));
    }
    let outcome = interrupt(program);
    assert_eq!(outcome.stdout.matches("6 datagrams heard, 1 answered").count(), 2, "{outcome}");
}

#[test]
fn answers_are_bounded_to_two_hundred_a_second() {
    let Some(lab) = lab!(Options::default()) else { return };
    let Some(judge) = Judge::listen(test_name!(), &lab, 1, "net0") else { return };
    let sandbox = Sandbox::new();
    let mut program = respond(&sandbox, &lab, "--rcvbuf 4MiB 239.1.1.1%net0:7645", 1);
    let begun = Instant::now();
    let flood = Sending::to("239.1.1.1:7645").on("net0").port(4000).payload(Payload::Probe { run: 1 });
    let sent = lab.inside(1, || flood.count(1000).pps(10_000).go());
    program.wait_line("a word about it", |l| l.contains("more than 200 answers a second"));
    let outcome = interrupt(program);
    let span = begun.elapsed();
    let words = outcome.stdout.lines().last().expect("a line").split(' ').collect::<Vec<_>>();
    let number = |i: usize| words[i].parse::<u64>().unwrap_or_else(|e| panic!("{e}\n{outcome}"));
    let (heard, answered) = (number(1), number(4));
    assert!(heard > 300 && heard <= total(&sent.counts).packets, "{outcome}");
    let most = 201 + span.as_millis() as u64 * 200 / 1000;
    assert!((200..=most).contains(&answered), "{answered} of {most} in {span:?}\n{outcome}");
    // As many as it says, on the wire.
    let judged = judge.counts();
    let answers: u64 = judged.iter().filter(|(f, _)| !f.to.ip().is_multicast()).map(|(_, c)| c.packets).sum();
    assert_eq!(answers, answered);
}

#[test]
fn it_ends_after_its_duration_by_a_signal_or_when_it_cannot_join() {
    let sandbox = Sandbox::new();
    let group = support::program::on_lo(support::program::own_group(22001));
    let begun = Instant::now();
    run(&sandbox, None, &format!("respond {group} --duration 200ms")).code(0).prints("0 datagrams heard");
    assert!(begun.elapsed() >= Duration::from_millis(200));
    for (signal, code) in [(libc::SIGINT, 130), (libc::SIGTERM, 143)] {
        let mut program = start(&sandbox, None, &format!("respond {group}"));
        program.wait_line("the join", |l| l.contains("joined"));
        program.signal(signal);
        program.wait().code(code).prints("0 datagrams heard, 0 answered");
    }
    run(&sandbox, None, "respond 239.1.1.1%nosuch7:5004").code(3).complains("no interface nosuch7");
    run(&sandbox, None, "respond 10.0.0.1:5004").code(2).complains("not a multicast group");
    run(&sandbox, None, "respond").code(2);
}
