//! The harness tested on simple programs: what it reports must be true before it judges mcscope.

#[cfg_attr(target_os = "linux", macro_use)]
mod support;

use std::time::Duration;

use support::run::Sandbox;

/// The message with which this fails, as it must.
fn failure<R>(f: impl FnOnce() -> R) -> String {
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).err();
    *failed.expect("it must fail").downcast::<String>().expect("a message that was put together")
}

#[cfg(unix)]
#[test]
fn a_run_has_its_own_home_and_shows_all_of_it_when_it_fails() {
    let sandbox = Sandbox::new();
    let mut sh = sandbox.command("sh");
    sh.args(["-c", "echo out; echo err >&2; echo kept > note; echo $HOME $XDG_STATE_HOME; exit 3"]);
    let outcome = sandbox.run(sh).code(3).prints("out").complains("err");
    assert!(outcome.stdout.contains(&format!("{}/home", sandbox.path("").display()).replace("//", "/")));
    let report = failure(|| outcome.code(0));
    for part in
        ["expected exit code 0", "sh -c 'echo out", "exit status: 3", "  out", "  err", "work/note (5 bytes)"]
    {
        assert!(report.contains(part), "{part} is missing in:\n{report}");
    }
}

#[cfg(unix)]
#[test]
fn a_run_past_its_deadline_is_killed_with_its_children() {
    let sandbox = Sandbox::new();
    let mut sh = sandbox.command("sh");
    sh.args(["-c", "echo begun; sleep 600 & sleep 600"]);
    let report = failure(|| sandbox.run_within(sh, Duration::from_millis(300)));
    assert!(report.contains("still running") && report.contains("begun"), "{report}");
}

#[cfg(unix)]
#[test]
fn lines_are_awaited_while_the_program_runs_and_a_signal_ends_it() {
    let sandbox = Sandbox::new();
    let mut sh = sandbox.command("sh");
    sh.args(["-c", r#"trap 'echo "{\"type\":\"final\"}"; exit 143' TERM; echo '{"type":"joined","port":5004}'; while :; do sleep 0.05; done"#]);
    let mut running = sandbox.spawn(sh);
    let joined = running.wait_json("the joined line", |v| v["type"] == "joined");
    assert_eq!(joined["port"], 5004);
    running.signal(libc::SIGTERM);
    let outcome = running.wait().code(143);
    assert_eq!(outcome.json().last().expect("a line")["type"], "final");
}

#[cfg(target_os = "linux")]
mod terminal {
    use nix::sys::signal::Signal;

    use super::failure;
    use super::support::pty::{Term, encode, shell_code};
    use super::support::run::Sandbox;

    /// Takes the terminal as a full-screen program does, shows what is typed, and gives it back on
    /// `q`, on SIGTERM and on a hang-up. Says its size when it changes.
    const PROGRAM: &str = r#"
import os, signal, sys, termios, tty
out = lambda s: os.write(1, s.encode())
def size(*_): out("\x1b[3;1Hsize %dx%d " % os.get_terminal_size()[::1])
old = termios.tcgetattr(0)
def leave(*_):
    out("\x1b[?1004l\x1b[?1006l\x1b[?1000l\x1b[?2004l\x1b[?25h\x1b[?1049l")
    termios.tcsetattr(0, termios.TCSADRAIN, old)
    sys.exit(0)
def hup(*_):
    open("hung-up", "w").close()
    os._exit(7)
signal.signal(signal.SIGTERM, leave); signal.signal(signal.SIGHUP, hup); signal.signal(signal.SIGWINCH, size)
tty.setraw(0)
out("\x1b[?1049h\x1b[?25l\x1b[?2004h\x1b[?1000h\x1b[?1006h\x1b[?1004h\x1b[6n\x1b[1;1Hready\x1b[2;1H")
size()
got = b""
while True:
    key = os.read(0, 1)
    if key == b"q": break
    if key == b"\x1a": termios.tcsetattr(0, termios.TCSADRAIN, old); os.kill(0, signal.SIGTSTP); tty.setraw(0); out("\x1b[2;1Hback ")
    got += key
    out("\x1b[5;1H" + repr(got))
leave()
"#;

    fn program(sandbox: &Sandbox) -> Term {
        let mut python = sandbox.command("python3");
        python.args(["-c", PROGRAM]);
        let mut term = Term::spawn(python, 24, 80);
        term.wait_text("size 80x24");
        term
    }

    #[test]
    fn keys_reach_the_program_and_questions_are_answered() {
        let sandbox = Sandbox::new();
        let mut term = program(&sandbox);
        // The program asked where the cursor was before it wrote its first word.
        term.wait_text(r"[1;1R");
        term.type_keys("J<up><ctrl-c>");
        term.wait_text(r"J\x1b[A\x03");
        let taken = term.state();
        assert!(!taken.cooked && taken.alternate_screen && taken.cursor_hidden && taken.bracketed_paste);
        assert_eq!(taken.other_modes, [1004]);
        assert!(failure(|| term.assert_restored()).contains("not restored"));
        term.type_keys("q");
        assert_eq!(shell_code(term.wait_exit()), 0);
        term.assert_restored();
    }

    #[test]
    fn a_new_size_is_told_and_drawn() {
        let sandbox = Sandbox::new();
        let mut term = program(&sandbox);
        term.resize(36, 120);
        term.wait_text("size 120x36");
        assert_eq!(term.screen().size().0.get(), 36);
    }

    #[test]
    fn a_signal_and_a_hang_up_reach_the_program() {
        let sandbox = Sandbox::new();
        let mut term = program(&sandbox);
        term.signal(Signal::SIGTERM);
        assert_eq!(shell_code(term.wait_exit()), 0);
        term.assert_restored();
        let mut term = program(&sandbox);
        term.hangup();
        assert_eq!(shell_code(term.wait_exit()), 7);
        assert!(sandbox.path("work/hung-up").exists());
    }

    #[test]
    fn a_job_is_suspended_and_comes_back_in_a_shell() {
        let sandbox = Sandbox::new();
        sandbox.write("work/program.py", PROGRAM);
        let mut term = Term::shell(&sandbox, 24, 80);
        let cooked = term.state();
        term.type_keys("python3 program.py<enter>");
        term.wait_text("size 80x24");
        term.type_keys("<ctrl-z>");
        term.wait_until("the shell's word of the stopped job", |s| s.contents().contains("Stopped"));
        term.type_keys("fg<enter>");
        term.wait_text("back");
        term.type_keys("q");
        term.wait_prompt();
        assert!(term.state().cooked == cooked.cooked && !term.state().cursor_hidden);
    }

    #[test]
    fn a_screen_that_never_comes_is_printed() {
        let sandbox = Sandbox::new();
        let mut sh = sandbox.command("sh");
        sh.args(["-c", "echo something else"]);
        let mut term = Term::spawn(sh, 5, 40);
        let report = failure(|| term.wait_text("wanted"));
        assert!(report.contains("│something else"), "{report}");
        assert!(report.contains("the program ended") && report.contains("sh -c"), "{report}");
    }

    #[test]
    fn keys_are_what_a_terminal_sends() {
        assert_eq!(encode("a<lt><enter><alt-x><ctrl-z>é"), "a<\r\x1bx\x1aé".as_bytes());
    }
}

#[cfg(target_os = "linux")]
mod network {
    use std::net::{Ipv4Addr, SocketAddr};
    use std::process::Stdio;
    use std::time::Instant;

    use super::failure;
    use super::support::judge::Judge;
    use super::support::netns::{Join, Options, index};
    use super::support::pty::Term;
    use super::support::run::Sandbox;
    use super::support::traffic::{Count, Listener, Payload, Sending, total};

    #[test]
    fn what_one_host_sends_the_other_hears_and_the_judge_counts() {
        let Some(lab) = lab!(Options::default()) else { return };
        let Some(judge) = Judge::listen(test_name!(), &lab, 2, "net0") else { return };
        let v4 = lab.inside(2, || Listener::join("239.1.1.1:5004", "net0"));
        let v6 = lab.inside(2, || Listener::join("[ff15::1]:5004", "net0"));
        let local = lab.inside(2, || Listener::join("[ff02::123]:7645", "net0"));
        // A program that names no interface: the route decides. Fragmented at MTU 1500.
        let plain = Sending::to("234.2.2.2:8888").port(9999).sizes(&[1473]);
        let probe = Payload::Probe { run: 7 };
        let four =
            Sending::to_all(["239.1.1.1:5004", "239.1.1.2:5004"]).on("net0").sizes(&[44, 1400]).count(100);
        let four = four.payload(probe).drop_every(10).dup_every(11).swap_every(4).ttl(8).tos(0xb8);
        let six = Sending::to("[ff15::1]:5004").on("net0").sizes(&[3000]).count(3);
        let link = Sending::to("[ff02::123]:7645").on("net0").source(lab.link_local(1, "net0"), 7000);
        let (plain, four, six, link) = lab.inside(1, || (plain.go(), four.go(), six.go(), link.go()));

        assert_eq!((four.dropped, four.duplicated), (10, 9));
        assert!(four.swapped > 0);
        assert_eq!(total(&four.counts).packets, 2 * 99);
        assert_eq!(total(&plain.counts), Count { packets: 1, bytes: 1473 });
        let from = plain.counts.keys().next().expect("a flow").from;
        assert_eq!(from, SocketAddr::new(lab.v4(1).into(), 9999));

        let mut sent = plain.counts;
        for other in [four.counts, six.counts.clone(), link.counts.clone()] {
            sent.extend(other);
        }
        let heard = v4.collect(99);
        assert!(heard.iter().all(|(flow, count)| sent[flow] == *count) && heard.len() == 1, "{heard:?}");
        assert_eq!(v6.collect(3), six.counts);
        let heard = local.collect(1);
        assert_eq!(total(&heard), total(&link.counts));
        let mut judged = judge.counts();
        // mDNS and the like cannot be here: nobody runs but this test.
        assert_eq!(
            judged.remove_entry(sent.keys().next().expect("a flow")).map(|(_, c)| c),
            sent.values().next().copied()
        );
        sent.pop_first();
        assert_eq!(judged, sent);
    }

    #[test]
    fn a_probe_has_the_layout_of_the_specification_and_the_numbers_the_order_asked_for() {
        let Some(lab) = lab!(Options { ipv6: false, ..Options::default() }) else { return };
        let listener = lab.inside(2, || Listener::join("239.1.1.1:5004", "net0"));
        let sending = Sending::to("239.1.1.1:5004").on("net0").payload(Payload::Probe { run: 0xabcd });
        lab.inside(1, || sending.count(6).drop_every(3).dup_every(5).swap_every(2).ttl(9).tos(0x28).go());
        let mut numbers = Vec::new();
        for _ in 0..5 {
            let heard = listener.wait();
            let probe = mcscope::wire::probe::Probe::parse(&heard.payload).expect("a probe");
            assert_eq!((probe.run, probe.ttl, probe.dscp), (0xabcd, 9, 10));
            numbers.push(probe.sequence);
        }
        // 2 and 5 are left out (so nothing changes places with 2), 4 is sent twice, 1 precedes 0.
        assert_eq!(numbers, [1, 0, 3, 4, 4]);
    }

    #[test]
    fn a_child_process_sees_its_host_only() {
        let Some(lab) = lab!(Options { networks: 2, ..Options::default() }) else { return };
        assert_eq!(lab.sh(1, "ls /sys/class/net | sort | xargs").trim(), "lo net0 net1");
        assert!(lab.ip(2, "-4 addr show net1").contains("10.98.0.2/16"));
        assert_eq!(lab.v6_on(1, 2).to_string(), "fd98::2");
        assert!(lab.ip(2, "-6 addr show net1").contains("fd98::2/64"));
        let names = lab.inside(1, || std::fs::read_dir("/sys/class/net").expect("readable").count());
        assert_eq!(names, 3);
    }

    #[test]
    fn links_fall_return_and_are_made_anew_with_another_index() {
        let Some(lab) = lab!(Options::default()) else { return };
        lab.link(2, "net0", false);
        assert!(lab.ip(1, "link show net0").contains("NO-CARRIER"));
        lab.link(2, "net0", true);
        let before = lab.inside(1, || index("net0"));
        lab.delete_link(1, 0);
        assert!(!lab.sh(2, "ls /sys/class/net").contains("net0"));
        lab.recreate_links(0);
        assert_ne!(lab.inside(1, || index("net0")), before);
        let listener = lab.inside(2, || Listener::join("239.1.1.1:5004", "net0"));
        lab.inside(1, || Sending::to("239.1.1.1:5004").go());
        assert_eq!(listener.wait().from.ip(), lab.v4(1));
    }

    #[test]
    fn losses_are_exact_and_ranges_can_be_sent_from() {
        let Some(lab) = lab!(Options::default()) else { return };
        if lab.cmd(2, "nft").arg("-v").stdout(Stdio::null()).status().is_err() {
            return super::support::skip(test_name!(), "nft is not installed", "MCSCOPE_REQUIRE_TOOLS");
        }
        lab.drop_every(2, 5);
        lab.own_range(1, "172.31.0.0/16");
        let source = Ipv4Addr::new(172, 31, 5, 5);
        let listener = lab.inside(2, || Listener::join("239.1.1.1:5004", "net0"));
        lab.inside(1, || Sending::to("239.1.1.1:5004").on("net0").source(source, 4000).count(100).go());
        let heard = listener.collect(80);
        assert_eq!(total(&heard).packets, 80);
        assert!(heard.keys().all(|f| f.from == SocketAddr::new(source.into(), 4000)));
        assert!(listener.next(Instant::now()).is_none());
        // A rule that stays would take the fifth of these.
        lab.drop_every(2, 0);
        lab.inside(1, || Sending::to("239.1.1.1:5004").on("net0").count(10).go());
        assert_eq!(total(&listener.collect(10)).packets, 10);
    }

    #[test]
    fn a_snooping_switch_passes_what_was_reported_and_answers_come_back() {
        let switch = Join::Switch { snooping: true, querier: true };
        let Some(lab) = lab!(Options { hosts: 3, join: switch, ..Options::default() }) else { return };
        let listener = lab.inside(2, || Listener::join("224.0.0.123:7645", "net0"));
        let asker = lab.inside(3, || Listener::bind("0.0.0.0:0"));
        let to = listener.address();
        lab.inside(3, || asker.send(b"anyone there", to, Some("net0")));
        let question = listener.wait();
        assert_eq!(question.from.ip(), lab.v4(3));
        lab.inside(2, || listener.send(b"yes", question.from, None));
        assert_eq!(asker.wait().payload, b"yes");
        assert!(lab.on_switch(0, "ip -d link show br0").contains("mcast_snooping 1"));
    }

    #[test]
    fn a_terminal_can_stand_in_a_host() {
        let Some(lab) = lab!(Options::default()) else { return };
        let sandbox = Sandbox::new();
        let mut sh = sandbox.command("sh");
        sh.args(["-c", "tty; ls /sys/class/net | xargs; ip -br -4 addr show net0"]);
        lab.enter(2, &mut sh);
        let mut term = Term::spawn(sh, 10, 80);
        term.wait_text("10.99.0.2/16");
        assert!(term.text().contains("/dev/pts/") && term.text().contains("lo net0"), "{}", term.report());
    }

    #[test]
    fn a_panic_in_a_host_is_the_tests() {
        let Some(lab) = lab!(Options { route: false, ..Options::default() }) else { return };
        let report = failure(|| lab.inside(1, || Sending::to("239.1.1.1:5004").go()));
        assert!(report.contains("239.1.1.1:5004") && report.contains("unreachable"), "{report}");
    }
}

mod pictures {
    use std::num::NonZeroU16;

    use super::support::svg::picture;

    #[test]
    fn a_picture_has_the_text_its_colours_and_lines_as_shapes() {
        let size = |n| NonZeroU16::new(n).expect("not zero");
        let mut parser = vt100::Parser::new(size(3), size(20), 0);
        parser.process(
            "╭─────╮\x1b[31;1m<a> & b\x1b[m\r\n│\x1b[48;2;1;2;3m▁█\x1b[m\x1b[38;5;42m⠿\x1b[2mdim".as_bytes(),
        );
        let svg = picture(parser.screen(), "a & b");
        for part in
            ["&lt;a&gt; &amp; b", "#010203", "<title>a &amp; b</title>", "#f14c4c", "#00d787", ">dim</text>"]
        {
            assert!(svg.contains(part), "{part} is missing in:\n{svg}");
        }
        for drawn in ['╭', '─', '│', '▁', '█', '⠿'] {
            assert!(!svg.contains(drawn), "{drawn} is left to the viewer's font");
        }
        assert!(svg.contains("h40"), "five dashes are one stroke:\n{svg}");
    }
}
