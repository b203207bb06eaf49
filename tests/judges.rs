//! Other programs judge the health figures and the payload decoders: tshark's RTP analysis and its
//! dissectors, ffmpeg's reader of transport streams. They know nothing of mcscope; where the two
//! disagree, one is wrong or the difference is one of definition, and then it is named here and in the
//! documentation of the figure.
//!
//! `tests/captures/README.md` says what the captures hold and how they were made.

#![cfg(target_os = "linux")]

#[macro_use]
mod support;

// The language of the scenarios: a sender is described once and judged by both.
#[allow(dead_code, reason = "written for the scenarios; a part of it is used here")]
#[path = "scenarios/expect.rs"]
mod expect;
#[allow(dead_code, reason = "as above")]
#[path = "scenarios/language.rs"]
mod language;
#[allow(dead_code, reason = "as above")]
#[path = "scenarios/payload.rs"]
mod payload;

#[path = "judges/essentials.rs"]
mod essentials;
#[path = "judges/live.rs"]
mod live;
#[path = "judges/names.rs"]
mod names;
#[path = "judges/pcap.rs"]
mod pcap;
#[path = "judges/replay.rs"]
mod replay;
#[path = "judges/rtp.rs"]
mod rtp;
#[path = "judges/ts.rs"]
mod ts;

use std::process::{Command, Stdio};

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
