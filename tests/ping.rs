//! `mcscope ping` against `mcscope respond` over real wires: round trips, hops, loss put down to the way
//! it happened on, the set-up kept apart, and what is said when one of the ways does not work.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::netns::{Join, Lab, Options};
use support::program::{interrupt, last, of_type, run, start};
use support::run::{Running, Sandbox};

const GROUP: &str = "239.1.1.1%net0:7645";

#[track_caller]
fn respond(sandbox: &Sandbox, lab: &Lab, host: u8, group: &str) -> Running {
    let mut program = start(sandbox, Some((lab, host)), &format!("respond {group}"));
    program.wait_line("a join", |l| l.contains("joined"));
    program
}

/// The figures of the only responder.
#[track_caller]
fn only(lines: &[Value]) -> &Value {
    last(lines, "responder", |_| true)
}

#[track_caller]
fn number(v: &Value) -> u64 {
    v.as_u64().unwrap_or_else(|| panic!("a number, not {v}"))
}

#[test]
fn both_ways_back_have_round_trips_hops_and_no_loss_over_both_families() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    for (group, from) in [(GROUP, lab.v4(2).to_string()), ("[ff15::7%net0]:7645", lab.v6(2).to_string())] {
        let program = respond(&sandbox, &lab, 2, group);
        let words = format!("ping {group} -c 5 --interval 20ms --wait 400ms --ttl 9 --json");
        let lines = run(&sandbox, Some((&lab, 1)), &words).code(0).json();
        let replies = of_type(&lines, "reply");
        assert_eq!(replies.len(), 10, "{lines:#?}");
        for r in &replies {
            assert!(r["source"].as_str().is_some_and(|s| s.contains(&from)), "{r}");
            assert!(number(&r["network_ns"]) < number(&r["round_trip_ns"]), "{r}");
            assert_eq!((&r["hops_there"], &r["hops_back"]), (&0.into(), &0.into()), "{r}");
        }
        let f = only(&lines);
        for way in [&f["unicast"], &f["multicast"]] {
            assert_eq!((number(&way["answered"]), number(&way["lost"])), (5, 0), "{f}");
            assert_eq!((number(&way["setup_lost"]), number(&way["duplicates"])), (0, 0), "{f}");
            let [min, avg, max] = ["min_ns", "avg_ns", "max_ns"].map(|n| number(&way[n]));
            assert!(0 < min && min <= avg && avg <= max && max < 400_000_000, "{f}");
        }
        assert_eq!((&f["text"], number(&f["sent"])), (&Value::Null, 5));
        interrupt(program);
    }
}

#[test]
fn loss_is_put_down_to_the_way_that_it_happened_on() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let program = respond(&sandbox, &lab, 2, GROUP);
    let words = format!("ping {GROUP} -c 60 --interval 5ms --wait 400ms --unicast-only --json");
    // Every third datagram that reaches a host is dropped before any socket.
    lab.drop_every(2, 3);
    let there = run(&sandbox, Some((&lab, 1)), &words).code(0).json();
    lab.drop_every(2, 0);
    lab.drop_every(1, 3);
    let back = run(&sandbox, Some((&lab, 1)), &words).code(0).json();
    lab.drop_every(1, 0);
    for (lines, lossy, clean) in [(&there, "lost_there", "lost_back"), (&back, "lost_back", "lost_there")] {
        let way = &only(lines)["unicast"];
        assert_eq!(number(&way[clean]), 0, "{way}");
        // The last one may be among them, and then the way is not known.
        let lost = number(&way[lossy]) + number(&way["lost_unclear"]);
        assert!((19..=20).contains(&lost) && number(&way["lost_unclear"]) <= 1, "{way}");
        assert_eq!(number(&way["lost"]), lost, "{way}");
    }
    interrupt(program);
}

#[test]
fn a_responder_that_comes_later_costs_set_up_and_no_loss() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let words = format!("ping {GROUP} --interval 50ms --wait 300ms --json");
    let mut ping = start(&sandbox, Some((&lab, 1)), &words);
    // Time for some to go unheard: the ping itself says nothing until it is answered.
    std::thread::sleep(Duration::from_millis(600));
    let program = respond(&sandbox, &lab, 2, GROUP);
    ping.wait_json("an answer", |v| v["type"] == "reply" && number(&v["sequence"]) > 20);
    let lines = interrupt(ping).json();
    let f = only(&lines);
    for way in [&f["unicast"], &f["multicast"]] {
        assert!(number(&way["setup_lost"]) >= 5, "{f}");
        assert_eq!((&way["setup_lost"], number(&way["lost"])), (&way["setup_lost_there"], 0), "{f}");
    }
    interrupt(program);
}

#[test]
fn which_way_does_not_work_is_said_in_words() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let program = respond(&sandbox, &lab, 2, GROUP);
    let words = format!("ping {GROUP} -c 4 --interval 20ms --wait 300ms");
    let block = |what: &str| {
        lab.sh(
            1,
            &format!(
                "nft add table inet way; nft add chain inet way in '{{ type filter hook input priority 0; }}'; \
                 nft add rule inet way in meta l4proto udp {what} drop"
            ),
        );
    };
    block("ip daddr 239.1.1.1");
    let one = run(&sandbox, Some((&lab, 1)), &words).code(0);
    assert!(one.stdout.contains("unicast works, multicast does not"), "{one}");
    lab.sh(1, "nft delete table inet way");
    block("ip daddr != 224.0.0.0/4");
    let other = run(&sandbox, Some((&lab, 1)), &words).code(0);
    assert!(other.stdout.contains("multicast works, unicast does not"), "{other}");
    interrupt(program);
}

#[test]
fn all_who_respond_have_figures_of_their_own() {
    let switch = Join::Switch { snooping: false, querier: false };
    let Some(lab) = lab!(Options { hosts: 4, join: switch, ..Options::default() }) else { return };
    let sandbox = Sandbox::new();
    let mut programs: Vec<Running> = [2, 3, 4].map(|host| respond(&sandbox, &lab, host, GROUP)).into();
    // A second one on the same host is another responder.
    programs.push(respond(&sandbox, &lab, 4, GROUP));
    let words = format!("ping {GROUP} -c 3 --interval 50ms --wait 300ms --json");
    let lines = run(&sandbox, Some((&lab, 1)), &words).code(0).json();
    let finals: Vec<&Value> =
        of_type(&lines, "final").into_iter().filter(|v| v["scope"] == "responder").collect();
    assert_eq!(finals.len(), 4, "{finals:#?}");
    for f in finals {
        assert_eq!((number(&f["unicast"]["answered"]), number(&f["multicast"]["answered"])), (3, 3), "{f}");
    }
    assert_eq!(last(&lines, "total", |_| true)["responders"], 4);
    programs.into_iter().for_each(|p| drop(interrupt(p)));
}

#[test]
fn the_responders_limit_counts_answers_to_the_group_and_is_told_apart_from_loss() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let program = respond(&sandbox, &lab, 2, GROUP);
    let words = format!("ping {GROUP} -c 600 --interval 1ms --wait 500ms --json");
    let begun = Instant::now();
    let lines = run(&sandbox, Some((&lab, 1)), &words).code(0).json();
    let most = 201 + begun.elapsed().as_millis() as u64 * 200 / 1000;
    let f = only(&lines);
    let [unicast, multicast] = ["unicast", "multicast"].map(|w| number(&f[w]["answered"]));
    assert!(unicast + multicast <= most && unicast >= 90, "{unicast} and {multicast} of {most}: {f}");
    assert!(number(&f["unicast"]["withheld"]) > 100, "{f}");
    assert_eq!((number(&f["unicast"]["lost_there"]), number(&f["unicast"]["lost_back"])), (0, 0), "{f}");
    interrupt(program);
}

#[test]
fn an_ssmping_server_is_asked_in_its_own_words() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let mut server = lab.cmd(2, "ssmpingd");
    server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut server = match server.spawn() {
        Ok(server) => server,
        // Few have it: no requirement, not even of CI.
        Err(e) => {
            return support::skip(
                test_name!(),
                &format!("cannot run ssmpingd: {e}"),
                "MCSCOPE_REQUIRE_SSMPING",
            );
        }
    };
    for (group, address) in [
        ("232.43.211.234%net0:4321", lab.v4(2).to_string()),
        ("239.1.1.234%net0:4321", lab.v4(2).to_string()),
        ("[ff15::4321:1234%net0]:4321", lab.v6(2).to_string()),
    ] {
        let words = format!("ping {group} --ssmping {address} -c 20 --interval 50ms --wait 400ms --json");
        let lines = run(&sandbox, Some((&lab, 1)), &words).code(0).json();
        let f = only(&lines);
        for way in [&f["unicast"], &f["multicast"]] {
            // The server may start later than the first is asked, and is asked faster than it likes.
            assert!(number(&way["answered"]) >= 5, "{f}");
            assert_eq!((number(&way["duplicates"]), &way["hops_back"]), (0, &0.into()), "{f}");
            assert!(number(&way["avg_ns"]) < 400_000_000, "{f}");
        }
    }
    server.kill().expect("end ssmpingd");
    server.wait().expect("ssmpingd's end");
    let words = "ping 239.1.1.1%net0:4321 --ssmping 10.0.0.1";
    run(&sandbox, Some((&lab, 1)), words).code(2).complains("groups that end in .234");
}

/// What a program prints that is ended by an interrupt after this time at the latest; `None` without it.
fn other_program(lab: &Lab, host: u8, words: &str) -> Option<String> {
    let (program, arguments) = words.split_once(' ').expect("a program and its words");
    let mut command = lab.cmd(host, "timeout");
    command.args(["-s", "INT", "10", program]).args(arguments.split(' ')).stdin(Stdio::null());
    let output = command.output().expect("run timeout");
    // As `timeout` says that there is no such program.
    (output.status.code() != Some(127)).then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn clients_of_ssmping_and_asmping_are_answered_over_both_families() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let mut program = start(&sandbox, Some((&lab, 2)), "respond --ssmping");
    // Three addresses, one of them the link's own, in whatever order.
    for _ in 0..3 {
        program.wait_line("its word", |l| l.contains("omping clients at"));
    }
    for words in [
        format!("ssmping -c 2 {}", lab.v4(2)),
        format!("ssmping -c 2 {}", lab.v6(2)),
        format!("asmping -c 2 239.5.5.234 {}", lab.v4(2)),
    ] {
        let Some(said) = other_program(&lab, 1, &words) else {
            return support::skip(test_name!(), "cannot run ssmping", "MCSCOPE_REQUIRE_SSMPING");
        };
        let ways: Vec<&str> = said.lines().filter(|l| l.contains("packets received")).collect();
        assert_eq!(ways.len(), 2, "{words}:\n{said}");
        assert!(ways.iter().all(|l| l.contains("2 packets received, 0% packet loss")), "{words}:\n{said}");
        assert_eq!(said.matches(" dist=0 ").count(), 4, "{words}:\n{said}");
    }
    let outcome = interrupt(program);
    assert!(outcome.stdout.contains("asks by ssmping"), "{outcome}");
    assert!(outcome.stdout.contains(&format!("{}:4321: 4 questions of ssmping", lab.v4(2))), "{outcome}");
}

#[test]
fn omping_and_mcscope_ask_each_other() {
    let Some(lab) = lab!(Options { route: true, ..Options::default() }) else { return };
    let sandbox = Sandbox::new();
    // A responder on a row of their port does it as well, and answers on that group besides.
    let mut program = start(&sandbox, Some((&lab, 2)), "respond 239.7.7.7%net0:4321");
    program.wait_line("its word", |l| l.contains(&format!("omping clients at {}:4321", lab.v4(2))));
    for group in ["232.43.211.234", "239.7.7.7"] {
        let words = format!("omping -c 2 -m {group} {} {}", lab.v4(1), lab.v4(2));
        let Some(said) = other_program(&lab, 1, &words) else {
            return support::skip(test_name!(), "cannot run omping", "MCSCOPE_REQUIRE_OMPING");
        };
        assert_eq!(said.matches("xmt/rcv/%loss = 2/2/0%").count(), 2, "{said}");
        assert!(said.contains("multicast, seq=2") && said.contains("dist=0"), "{said}");
    }
    interrupt(program);
    let mut omping = lab.cmd(2, "omping");
    omping.args([lab.v4(1).to_string(), lab.v4(2).to_string()]);
    let mut omping = omping
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("start omping");
    let words = |group: &str| format!("ping {group}%net0:4321 --omping {} -c 3 -i 50ms --json", lab.v4(2));
    let lines = run(&sandbox, Some((&lab, 1)), &words("232.43.211.234")).code(0).json();
    for way in ["unicast", "multicast"] {
        let way = &only(&lines)[way];
        assert_eq!((number(&way["answered"]), number(&way["lost"]), &way["hops_back"]), (3, 0, &0.into()));
    }
    run(&sandbox, Some((&lab, 1)), &words("239.1.1.1")).code(3).complains("is about 232.43.211.234, not");
    omping.kill().expect("end omping");
    omping.wait().expect("omping's end");
}

#[test]
fn both_protocols_of_other_programs_are_spoken_between_two_mcscope() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let mut program = start(&sandbox, Some((&lab, 2)), "respond --ssmping");
    // Three addresses, one of them the link's own, in whatever order.
    for _ in 0..3 {
        program.wait_line("its word", |l| l.contains("omping clients at"));
    }
    for protocol in ["ssmping", "omping"] {
        for (group, address) in [
            ("232.43.211.234%net0:4321", lab.v4(2).to_string()),
            ("[ff15::4321:1234%net0]:4321", lab.v6(2).to_string()),
        ] {
            let words = format!("ping {group} --{protocol} {address} -c 5 -i 20ms --wait 400ms --json");
            let lines = run(&sandbox, Some((&lab, 1)), &words).code(0).json();
            for way in ["unicast", "multicast"] {
                let way = &only(&lines)[way];
                assert_eq!((number(&way["answered"]), number(&way["lost"])), (5, 0), "{protocol} {way}");
                assert_eq!(way["hops_back"], 0, "{protocol} {way}");
            }
        }
    }
    // A group that no user named and that is not theirs is answered by nobody.
    let words = format!("ping 239.1.1.1%net0:4321 --omping {} -c 1", lab.v4(2));
    run(&sandbox, Some((&lab, 1)), &words).code(3).complains("is about 232.43.211.234, not about 239.1.1.1");
    interrupt(program);
}

#[test]
fn wrong_words_are_2_no_answer_is_1_and_what_cannot_run_is_3() {
    let sandbox = Sandbox::new();
    for (words, says) in [
        ("ping", "GROUP"),
        ("ping 239.1.1.1%lo:7645 --size 10", "44 to 65507"),
        ("ping 239.1.1.1%lo:7645 --interval 10us", "1ms is the least"),
        ("ping 239.1.1.1%lo:7645 --wait 2min", "60s is the most"),
        ("ping 239.1.1.1+4%lo:7645", "a ping asks one"),
        ("ping 10.0.0.1:7645", "not a multicast group"),
    ] {
        run(&sandbox, None, words).code(2).complains(says);
    }
    run(&sandbox, None, "ping 239.1.1.1%nosuch7:7645").code(3).complains("no interface nosuch7");
    let group = support::program::on_lo(support::program::own_group(22171));
    run(&sandbox, None, &format!("ping {group} -c 2 --interval 10ms --wait 50ms"))
        .code(1)
        .complains("nobody answered")
        .complains("mcscope respond");
}
