//! Makes the pictures under `assets/` from the real program in a pseudo-terminal:
//!
//! ```sh
//! cargo test --test pictures -- --ignored
//! ```
#![cfg(target_os = "linux")]

mod support;

use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;
use support::pty::{Term, shell_code, text};
use support::run::Sandbox;
use support::svg::picture;

/// How long the demo runs before its picture is taken: its strips show the last minute.
const RECORDED: Duration = Duration::from_secs(65);
/// A frame can come in pieces: the text that was waited for may stand in the first one.
const WHOLE: Duration = Duration::from_millis(400);

fn save(term: &Term, name: &str, title: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets").join(name);
    std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("make assets/");
    std::fs::write(&path, picture(term.screen(), title)).unwrap_or_else(|e| panic!("write {path:?}: {e}"));
    println!("wrote {}", path.display());
}

#[test]
#[ignore = "writes assets/*.svg and takes a minute"]
fn pictures_of_the_demo() {
    let sandbox = Sandbox::new();
    let mut term = Term::spawn(sandbox.mcscope(["--demo"]), 36, 120);
    term.wait_text("Groups");
    term.watch(RECORDED);
    save(&term, "dashboard.svg", "mcscope's dashboard with the demo's groups, sources and packets");
    term.type_keys("J");
    term.wait_text("Join");
    term.type_keys("239.77.7.7:5004");
    term.wait_text("239.77.7.7:5004");
    term.watch(WHOLE);
    save(&term, "join.svg", "mcscope's dialog to join a group");
    // Esc and a key sent at once would be Alt and that key.
    term.type_keys("<esc>");
    term.wait_no_text("239.77.7.7:5004");
    let dashboard = term.text().lines().nth(3).map(str::to_string);
    term.type_keys("?");
    term.wait_until("the help", |s| text(s).lines().nth(3).map(str::to_string) != dashboard);
    term.watch(WHOLE);
    save(&term, "help.svg", "mcscope's help: the keys that work now");
    term.signal(Signal::SIGTERM);
    assert_eq!(shell_code(term.wait_exit()), 143, "{}", term.report());
    term.assert_restored();
}
