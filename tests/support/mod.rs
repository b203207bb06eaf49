//! What the tests that run the real binary share: a fresh folder, a pseudo-terminal, network
//! namespaces, exact traffic, an independent judge of it, and pictures.
//!
//! Every wait here waits for a condition and has a deadline; none sleeps for a time and hopes.

// Each test file is a crate of its own and uses its part of this.
#![allow(dead_code)]

use std::io::Write as _;
use std::time::Duration;

pub mod run;
pub mod svg;

#[cfg(target_os = "linux")]
pub mod judge;
#[cfg(target_os = "linux")]
#[macro_use]
pub mod netns;
#[cfg(target_os = "linux")]
pub mod program;
#[cfg(target_os = "linux")]
pub mod pty;
#[cfg(target_os = "linux")]
pub mod traffic;

/// How long a condition is waited for before the test fails. Long, because a busy machine is no
/// defect: a passing test does not wait for it.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Whether the environment variable is set to something other than nothing and `0`.
pub fn required(variable: &str) -> bool {
    std::env::var_os(variable).is_some_and(|v| !v.is_empty() && v != "0")
}

/// A test that cannot run here: says why on the test's output, and fails instead when the
/// environment variable `unless` asks for it.
pub fn skip(test: &str, why: &str, unless: &str) {
    assert!(!required(unless), "{test} must not be skipped ({unless} is set), but: {why}");
    // Straight to standard error: what `eprintln!` says is shown of failing tests only.
    let _ = writeln!(std::io::stderr(), "SKIPPED {test}: {why}");
}
