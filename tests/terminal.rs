//! The dashboard and its terminal: given back in whatever way the program ends, of any size, slow or
//! stopped, and never written to by what comes from the network. And what is remembered between runs.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use nix::sys::signal::Signal;
use support::netns::Options;
use support::program::{dashboard, on_lo, own_group, run, sending_on_lo, wait_row};
use support::pty::{Term, shell_code, text};
use support::run::Sandbox;
use support::traffic::{Payload, Sending};

const SIZE: (u16, u16) = (36, 120);

/// The dashboard on a group of the loopback interface that no other test here uses.
#[track_caller]
fn started(sandbox: &Sandbox, port: u16) -> Term {
    let words = format!("{} --no-resolve", on_lo(own_group(port)));
    let mut term = dashboard(sandbox, None, &words, SIZE);
    wait_row(&mut term, &[&port.to_string(), "lo", "○"]);
    term
}

#[test]
fn every_way_to_end_it_gives_the_terminal_back() {
    let sandbox = Sandbox::new();
    for (keys, port) in [("q", 23001), ("<ctrl-c>", 23001)] {
        let mut term = started(&sandbox, port);
        let state = term.state();
        assert!(state.alternate_screen && state.cursor_hidden && !state.cooked, "{state:?}");
        term.type_keys(keys);
        assert_eq!(shell_code(term.wait_exit()), 0, "{}", term.report());
        term.assert_restored();
        assert!(!term.text().contains("Groups"), "{}", term.report());
    }
    // Ctrl-C works in a dialog, where q is a letter.
    let mut term = started(&sandbox, 23001);
    term.type_keys("J");
    term.wait_text("keep for next time");
    term.type_keys("q<ctrl-c>");
    assert_eq!(shell_code(term.wait_exit()), 0, "{}", term.report());
    term.assert_restored();
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130), (Signal::SIGHUP, 129)] {
        let mut term = started(&sandbox, 23001);
        term.signal(signal);
        assert_eq!(shell_code(term.wait_exit()), code, "{signal}\n{}", term.report());
        term.assert_restored();
    }
}

/// Not a test by itself: takes the terminal as the dashboard does, and panics.
#[test]
#[ignore = "started by the test below, in a terminal of its own"]
fn a_program_that_panics() {
    let Ok(place) = std::env::var("MCSCOPE_TEST_PANIC") else { return };
    let _terminal = mcscope::ui::terminal::Terminal::enter().expect("a terminal");
    if place == "thread" {
        let _ = std::thread::spawn(|| panic!("the other thread is at fault")).join();
        // Nobody ends this thread: the hook has to.
        loop {
            std::thread::park();
        }
    }
    panic!("this thread is at fault");
}

#[test]
fn a_panic_of_any_thread_gives_the_terminal_back_before_it_is_told() {
    let sandbox = Sandbox::new();
    for (place, said) in [("here", "this thread is at fault"), ("thread", "the other thread is at fault")] {
        let mut command = sandbox.command(std::env::current_exe().expect("this test"));
        command.args(["--exact", "a_program_that_panics", "--ignored", "--nocapture"]);
        command.env("MCSCOPE_TEST_PANIC", place);
        let mut term = Term::spawn(command, SIZE.0, SIZE.1);
        assert_eq!(shell_code(term.wait_exit()), 101, "{place}\n{}", term.report());
        assert!(String::from_utf8_lossy(term.raw()).contains("\x1b[?1049h"), "the screen was never taken");
        term.assert_restored();
        assert!(term.text().contains(said), "{place}\n{}", term.report());
    }
}

#[test]
fn a_terminal_that_is_closed_ends_it() {
    let sandbox = Sandbox::new();
    let mut term = started(&sandbox, 23002);
    // Whether it is told by a signal or by the end of its input: it does not linger.
    term.hangup();
    term.wait_exit();
}

#[test]
fn wrong_groups_and_themes_leave_the_terminal_alone() {
    let sandbox = Sandbox::new();
    for (words, code, reason) in [
        ("10.0.0.1:5004", 2, "not a multicast group"),
        ("wathc", 2, "nearest: the command watch"),
        ("239.1.1.1%nosuch7:5004", 3, "no interface nosuch7"),
        ("--theme pink", 2, "dark, light and mono"),
        ("--demo 239.1.1.1%lo:5004", 2, "--demo"),
    ] {
        let mut term = dashboard(&sandbox, None, words, SIZE);
        assert_eq!(shell_code(term.wait_exit()), code, "{words}\n{}", term.report());
        term.assert_restored();
        assert!(term.text().contains(reason), "{reason:?} is missing\n{}", term.report());
        assert!(!String::from_utf8_lossy(term.raw()).contains("\x1b[?1049h"), "the screen was taken");
    }
}

/// The process that was started with this argument.
fn process_with(argument: &str) -> i32 {
    let all = std::fs::read_dir("/proc").expect("list the processes").flatten();
    let is = |id: &i32| {
        let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        line.split(|b| *b == 0).any(|a| a == argument.as_bytes())
    };
    all.filter_map(|e| e.file_name().to_str()?.parse().ok()).find(is).expect("the program runs")
}

#[test]
fn it_is_suspended_and_comes_back_in_a_shell() {
    let sandbox = Sandbox::new();
    let mut term = Term::shell(&sandbox, SIZE.0, SIZE.1);
    let before = term.state();
    let program = env!("CARGO_BIN_EXE_mcscope");
    for keys in ["<ctrl-z>", ""] {
        term.type_keys(&format!("{program} --no-resolve {}<enter>", on_lo(own_group(23003))));
        wait_row(&mut term, &["23003", "lo", "○"]);
        if keys.is_empty() {
            // As kill -TSTP does, or another job control.
            let id = nix::unistd::Pid::from_raw(process_with(&on_lo(own_group(23003))));
            nix::sys::signal::kill(id, Signal::SIGTSTP).expect("stop it");
        } else {
            term.type_keys(keys);
        }
        term.wait_until("the shell's word of the stopped job", |s| {
            !s.alternate_screen() && s.contents().contains("Stopped")
        });
        let stopped = term.state();
        assert!(stopped.cooked && !stopped.cursor_hidden && !stopped.bracketed_paste, "{stopped:?}");
        // Counted on while it was in the background? It is stopped: what came is in its socket.
        sending_on_lo(own_group(23003)).count(5).go();
        term.type_keys("fg<enter>");
        term.wait_text("5 packets");
        term.type_keys("q");
        term.wait_prompt();
        let after = term.state();
        assert!(after.cooked && !after.cursor_hidden && after.mouse == before.mouse, "{after:?}");
        // Drawn anew without a question to the terminal, which may be slow to answer.
        assert!(!String::from_utf8_lossy(term.raw()).contains("\x1b[6n"));
        term.type_keys("clear<enter>");
        term.wait_until("a clear screen", |s| !s.contents().contains("Stopped"));
        term.wait_prompt();
    }
}

#[test]
fn every_size_is_drawn_and_a_terminal_too_small_says_what_is_needed() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let mut term = dashboard(&sandbox, Some((&lab, 2)), "239.1.1.1%net0:5004 --no-resolve", SIZE);
    wait_row(&mut term, &["239.1.1.1", "net0", "○"]);
    lab.inside(1, || Sending::to("239.1.1.1:5004").on("net0").count(3).go());
    for (rows, cols) in [(24, 80), (60, 200), (36, 120)] {
        term.resize(rows, cols);
        // The frame fills the new size: its last row is the footer.
        term.wait_until("the footer in the last row", |s| {
            text(s).lines().last().is_some_and(|l| l.contains("J join"))
        });
        wait_row(&mut term, &["239.1.1.1", "●"]);
        wait_row(&mut term, &["mcscope", "1 "]);
    }
    for (rows, cols) in [(20, 60), (5, 20), (1, 1), (3, 200)] {
        term.resize(rows, cols);
        if cols >= 60 {
            term.wait_until("what is needed", |s| text(s).contains("80") && text(s).contains("24"));
        }
    }
    term.resize(24, 80);
    term.wait_until("the dashboard again", |s| {
        text(s).contains("239.1.1.1") && text(s).lines().last().is_some_and(|l| l.contains("J join"))
    });
    // Dialogs at the least size.
    term.type_keys("J");
    term.wait_text("keep for next time");
    term.resize(20, 60);
    term.wait_no_text("keep for next time");
    term.resize(36, 120);
    term.wait_until("the dialog and the footer at their new places", |s| {
        text(s).contains("keep for next time") && text(s).lines().last().is_some_and(|l| l.contains("J join"))
    });
    term.type_keys("<esc>");
    term.wait_no_text("keep for next time");
    term.type_keys("q");
    assert_eq!(shell_code(term.wait_exit()), 0);
    term.assert_restored();
}

#[test]
fn a_terminal_that_stops_reading_stalls_nothing() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let words = "239.1.1.1%net0:5004 --no-resolve --rcvbuf 4MiB";
    let mut term = dashboard(&sandbox, Some((&lab, 2)), words, SIZE);
    wait_row(&mut term, &["239.1.1.1", "net0", "○"]);
    // From here on nobody reads the terminal: its buffer is full after a frame or two. All batches on
    // the way to a loop that stood still would hold less than ten thousand datagrams of these.
    let sending = Sending::to("239.1.1.1:5004").on("net0").payload(Payload::Probe { run: 9 });
    let sent = lab.inside(1, || sending.count(12_000).pps(6000).go());
    assert_eq!(support::traffic::total(&sent.counts).packets, 12_000);
    wait_row(&mut term, &["all: 12", "000 packets"]);
    wait_row(&mut term, &["NET 0", "SOCK 0", "OURS 0"]);

    // It ends although the terminal takes nothing, and sets the line back to what it was.
    lab.inside(1, || Sending::to("239.1.1.1:5004").on("net0").count(2000).pps(2000).go());
    term.signal(Signal::SIGTERM);
    let status = term.wait_exit();
    assert_eq!(shell_code(status), 143);
    assert!(term.state().cooked);
}

/// What a hostile sender would like a terminal to take: a title, colours, a report, the cursor,
/// 8-bit controls, text that runs backwards, and invisible characters.
const HOSTILE: &str = "seen \x1b]0;pwned-title\x07 \x1b[31;42m \x1b[5n \x1b[2J\x1b[1;1H \u{9b}31m \u{9d}0;x\u{9c} \
    \u{202e}txet\u{202c} \u{2066}x\u{2069} \u{200b}\u{feff} \r\n\x08\x7f \x1bP+q544e\x1b\\ \x1bc end";

#[test]
fn what_comes_from_the_network_never_reaches_the_terminal_raw() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let mut term = dashboard(&sandbox, Some((&lab, 2)), "239.1.1.1+3%net0:5004 --no-resolve", SIZE);
    wait_row(&mut term, &["239.1.1.1", "net0", "○"]);
    let json = format!("{{\"text\":{},\"n\":1}}", serde_json::Value::from(HOSTILE));
    let raw_json = format!("{{\"text\":\"{HOSTILE}\"}}");
    for (group, payload) in [("239.1.1.1", HOSTILE), ("239.1.1.2", &json), ("239.1.1.3", &raw_json)] {
        let payload = Payload::Bytes(payload.as_bytes().to_vec());
        let sending = Sending::to(&format!("{group}:5004")).on("net0").sizes(&[json.len()]).payload(payload);
        lab.inside(1, || sending.count(3).go());
    }
    wait_row(&mut term, &["all: 9 packets"]);
    // Every row, in the views that show payloads: as a line, as fields and as bytes.
    for group in ["239.1.1.1", "239.1.1.2", "239.1.1.3"] {
        // The filter leaves this row only, and so selects it.
        term.type_keys(&format!("/<ctrl-u>{group}<enter>"));
        term.wait_text(&format!("Sources of {group}"));
        term.wait_text("seen");
        term.type_keys("3");
        term.wait_text("Fields");
        term.wait_text("73 65 65 6e");
        term.wait_text("pwned");
        term.type_keys("6");
        term.wait_text(&format!("joined {group}"));
        term.type_keys("1");
    }
    let raw = String::from_utf8_lossy(term.raw()).into_owned();
    for bad in ["\x1b]0;", "pwned-title\x07", "\x1b[31;42m", "\x1b[5n", "\x1bP", "\x1bc", "\x7f", "\x07"] {
        assert!(!raw.contains(bad), "{bad:?} was written to the terminal");
    }
    let bad = |c: char| {
        ('\u{80}'..='\u{9f}').contains(&c)
            || ('\u{202a}'..='\u{202e}').contains(&c)
            || ('\u{2066}'..='\u{2069}').contains(&c)
            || ['\u{200b}', '\u{feff}'].contains(&c)
    };
    assert_eq!(raw.chars().find(|c| bad(*c)).map(|c| format!("{c:?}")), None);
    term.type_keys("q");
    assert_eq!(shell_code(term.wait_exit()), 0);
    term.assert_restored();
}

#[test]
fn groups_of_the_settings_and_kept_ones_are_joined_and_recent_ones_offered() {
    let sandbox = Sandbox::new();
    let group = |port| on_lo(own_group(port));
    sandbox
        .write("config/mcscope/config.toml", format!("groups = [\"{}\"]\nresolve = false\n", group(23011)));
    sandbox.write("config/mcscope/kept", format!("# a comment\n{}\n", group(23012)));
    sandbox.write("state/mcscope/recent", format!("{}\n", group(23013)));
    let mut term = dashboard(&sandbox, None, &group(23014), SIZE);
    for port in ["23011", "23012", "23014"] {
        wait_row(&mut term, &[port, "lo", "○"]);
    }
    assert!(
        !term.text().contains("23013"),
        "what was joined before is not joined unasked\n{}",
        term.report()
    );
    term.wait_text("3 groups");
    term.type_keys("J");
    wait_row(&mut term, &["23013", "joined before"]);
    // Another one, to be kept.
    term.type_keys(&group(23015));
    term.wait_text("Will join");
    for _ in 0..6 {
        // With the focus on the box, Space ticks it.
        term.type_keys("<tab>");
        let before = term.text();
        term.type_keys("<space>");
        term.wait_until("an answer to the key", |s| text(s) != before);
        if term.text().contains("[x] keep") {
            break;
        }
    }
    assert!(term.text().contains("[x] keep"), "{}", term.report());
    term.type_keys("<enter>");
    wait_row(&mut term, &["23015", "lo", "○"]);
    term.type_keys("q");
    assert_eq!(shell_code(term.wait_exit()), 0);
    let read = |path: &str| std::fs::read_to_string(sandbox.path(path)).expect("a file");
    let kept = read("config/mcscope/kept");
    assert!(kept.contains(":23012\n") && kept.contains(":23015\n"), "{kept}");
    let recent = read("state/mcscope/recent");
    assert!([":23013", ":23014", ":23015"].iter().all(|p| recent.contains(p)), "{recent}");
    let mut term = dashboard(&sandbox, None, "", SIZE);
    for port in ["23011", "23012", "23015"] {
        wait_row(&mut term, &[port, "lo", "○"]);
    }
    assert!(!term.text().contains("23014"), "{}", term.report());

    // A mistake in the settings is named with its place.
    sandbox.write("config/mcscope/config.toml", "groups = []\ncolour = 1\n");
    let outcome = run(&sandbox, None, &format!("watch {}", group(23011)));
    outcome.code(2).complains("config.toml").complains("line 2").complains("colour");
}

#[test]
fn keys_of_the_settings_hold_and_tables_stay_as_they_were_arranged() {
    let sandbox = Sandbox::new();
    sandbox.write("config/mcscope/config.toml", "[keys]\nsort-order = \"f9\"\nquit = \"Q\"\n");
    let group = on_lo(own_group(23016));
    let mut term = dashboard(&sandbox, None, &group, SIZE);
    wait_row(&mut term, &["23016", "lo", "○"]);
    wait_row(&mut term, &["J join", "Q quit"]);
    term.wait_text("sorted by bit/s ▾");
    term.type_keys("o<f9>");
    term.wait_text("sorted by bit/s ▴");
    term.type_keys("Q");
    assert_eq!(shell_code(term.wait_exit()), 0);
    let mut term = dashboard(&sandbox, None, &group, SIZE);
    wait_row(&mut term, &["23016", "lo", "○"]);
    term.wait_text("sorted by bit/s ▴");
    term.type_keys("<f9>");
    term.wait_text("sorted by bit/s ▾");
    term.type_keys("Q");
    assert_eq!(shell_code(term.wait_exit()), 0);

    sandbox.write("config/mcscope/config.toml", "[keys]\nleave = \"s\"\n");
    let mut term = dashboard(&sandbox, None, &group, SIZE);
    assert_eq!(shell_code(term.wait_exit()), 2);
    assert!(
        term.text().contains("line 2: leave = \"s\": this is the key of send-test too"),
        "{}",
        term.report()
    );
}

#[test]
fn colours_are_left_out_where_they_are_not_wanted() {
    let sandbox = Sandbox::new();
    let coloured = |term: &Term| {
        let (rows, cols) = term.screen().size();
        let cells = (0..rows.get()).flat_map(|r| (0..cols.get()).map(move |c| (r, c)));
        cells
            .filter_map(|(r, c)| term.screen().cell(r, c))
            .any(|c| c.fgcolor() != vt100::Color::Default || c.bgcolor() != vt100::Color::Default)
    };
    for (variable, words, wanted) in
        [("", "", true), ("1", "", false), ("", "--theme mono", false), ("1", "--theme light", true)]
    {
        let mut command =
            sandbox.mcscope(format!("{words} {} --no-resolve", on_lo(own_group(23006))).split_whitespace());
        command.env("NO_COLOR", variable);
        let mut term = Term::spawn(command, SIZE.0, SIZE.1);
        wait_row(&mut term, &["23006", "lo", "○"]);
        assert_eq!(coloured(&term), wanted, "NO_COLOR={variable} {words}\n{}", term.report());
        term.type_keys("q");
        assert_eq!(shell_code(term.wait_exit()), 0);
    }
}
