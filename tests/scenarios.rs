//! The specification of the statistics: every file `tests/scenarios/*.txt` says what is sent, when,
//! and what the model must say of it. `tests/scenarios/README.md` explains the language.
//!
//! Each scenario runs several times: once for each batch size, without kept packets, and twice the
//! same way. All runs must give the same figures to the last digit.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use mcscope::base::batch::SLOTS;

#[path = "scenarios/expect.rs"]
mod expect;
#[path = "scenarios/language.rs"]
mod language;
#[path = "scenarios/payload.rs"]
mod payload;
#[path = "scenarios/random.rs"]
mod random;
#[path = "scenarios/run.rs"]
mod run;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios")
}

#[test]
fn every_scenario_gives_the_figures_it_says() {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder())
        .expect("tests/scenarios is there")
        .map(|e| e.expect("its entries are readable").path())
        .filter(|p| p.extension().is_some_and(|e| e == "txt"))
        .collect();
    files.sort();
    assert!(files.len() >= 10, "only {} scenarios were found", files.len());
    let mut report = String::new();
    for file in &files {
        let name = file.file_name().expect("a file").to_string_lossy().into_owned();
        let text = std::fs::read_to_string(file).expect("a scenario is readable text");
        for problem in check(&text) {
            let _ = writeln!(report, "{name}{problem}");
        }
    }
    assert!(report.is_empty(), "scenarios that do not hold:\n{report}");
}

/// What does not hold in a scenario, each as `:line: what`.
fn check(text: &str) -> Vec<String> {
    let scenario = match language::parse(text) {
        Ok(s) => s,
        Err(e) => return vec![e],
    };
    let first = run::run(&scenario, run::How { batch: SLOTS, keep_packets: true });
    let mut problems = first.problems;
    for how in [
        run::How { batch: SLOTS, keep_packets: true },
        run::How { batch: 1, keep_packets: true },
        run::How { batch: 7, keep_packets: true },
        run::How { batch: SLOTS, keep_packets: false },
    ] {
        let again = run::run(&scenario, how);
        if let Some(difference) = difference(&first.figures, &again.figures) {
            problems.push(format!(": with {how:?} the figures differ: {difference}"));
        }
    }
    problems
}

/// The first line in which two snapshots differ.
fn difference(a: &str, b: &str) -> Option<String> {
    let mut lines = a.lines().zip(b.lines());
    if let Some((x, y)) = lines.find(|(x, y)| x != y) {
        let at = x.bytes().zip(y.bytes()).position(|(p, q)| p != q).unwrap_or(0);
        let cut = |s: &str| s.get(at.saturating_sub(60)..(at + 60).min(s.len())).unwrap_or(s).to_owned();
        return Some(format!("\n    {}\n    {}", cut(x), cut(y)));
    }
    (a.len() != b.len()).then(|| format!("{} and {} bytes of figures", a.len(), b.len()))
}

// ---- the runner itself: a check that cannot fail is worth nothing ------------------------------

const SMALL: &str = "group 239.1.1.1:5004\nat 0s from 10.0.0.1:5000 rtp seq=0..9 drop=4\n";

#[test]
fn a_wrong_expectation_is_told_with_line_and_figures() {
    assert_eq!(check(&format!("{SMALL}expect source 10.0.0.1:5000 lost=1 packets=9\n")), [""; 0]);
    assert_eq!(
        check(&format!("{SMALL}expect source 10.0.0.1:5000 lost=2\n")),
        [":3: source 10.0.0.1:5000: lost is 1, expected 2"]
    );
    assert_eq!(
        check(&format!("{SMALL}expect source 10.0.0.9:5000 lost=2\n")),
        [":3: source 10.0.0.9:5000: there is no such source"]
    );
    assert_eq!(
        check(&format!("{SMALL}expect group socket_drops=1~2\n")),
        [":3: group 239.1.1.1:5004: socket_drops is -, expected 1~2"]
    );
}

#[test]
fn a_line_that_is_not_understood_is_an_error_and_not_skipped() {
    for (line, error) in [
        ("at 0s from 10.0.0.1:5000 rtp seq=0..9 dorp=4", ":3: rtp does not know dorp="),
        ("at 0s from 10.0.0.1:5000 rtq seq=0..9", ":3: there is no payload rtq"),
        ("expect source 10.0.0.1:5000 lots=4", ":3: source 10.0.0.1:5000: there is no figure lots"),
        ("after 3s reset", ":3: a line begins with group, rule, at, until, expect or #, not with after"),
    ] {
        assert_eq!(check(&format!("{SMALL}{line}\n")), [error], "{line}");
    }
}
