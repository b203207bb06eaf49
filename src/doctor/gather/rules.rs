//! The packet filter's rules, by the program `nft`.

use std::io::{ErrorKind, Read};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use super::nft;
use crate::doctor::facts::Unseen;
use crate::doctor::ruleset::Ruleset;

/// How long `nft` may take.
pub const NFT_WITHIN: Duration = Duration::from_secs(3);
/// Bytes of rules that are read: a list of blocked networks may be long.
const RULES_MAX: u64 = 64 << 20;

/// Where nft is when the search path of an ordinary user does not say.
const PLACES: [&str; 3] = ["nft", "/usr/sbin/nft", "/sbin/nft"];

/// Reads the rules.
pub fn read() -> Result<Ruleset, Unseen> {
    let privilege = || Unseen {
        reason: "needs CAP_NET_ADMIN (run as root) to read the packet filter's rules".into(),
        remedy: None,
    };
    // Only root can ask, and asking in vain would only cost time.
    if !crate::net::limits::capabilities().net_admin {
        return Err(privilege());
    }
    let mut last = Unseen { reason: "the program nft is not installed".into(), remedy: None };
    for place in PLACES {
        match run(place) {
            Ok(text) => {
                let mut rules = nft::parse(&text)
                    .ok_or_else(|| Unseen { reason: "nft told something unexpected".into(), remedy: None })?;
                rules.legacy = legacy();
                return Ok(rules);
            }
            Err(Failed::Missing) => {}
            Err(Failed::Refused) => return Err(privilege()),
            Err(Failed::Other(reason)) => {
                last = Unseen { reason, remedy: None };
                break;
            }
        }
    }
    Err(last)
}

enum Failed {
    Missing,
    Refused,
    Other(String),
}

fn run(program: &str) -> Result<String, Failed> {
    let other = |what: &str, e: &dyn std::fmt::Display| Failed::Other(format!("cannot {what} nft: {e}"));
    let mut child = Command::new(program)
        .args(["-j", "list", "ruleset"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| if e.kind() == ErrorKind::NotFound { Failed::Missing } else { other("run", &e) })?;
    let (tell, told) = mpsc::channel();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    // Ends with the program, which is killed below at the latest.
    std::thread::Builder::new()
        .name("nft".into())
        .spawn(move || {
            let read = |from: Option<&mut dyn Read>| {
                let mut text = Vec::new();
                from.map(|f| f.take(RULES_MAX).read_to_end(&mut text));
                String::from_utf8_lossy(&text).into_owned()
            };
            let (mut stdout, mut stderr) = (stdout, stderr);
            let out = read(stdout.as_mut().map(|s| s as &mut dyn Read));
            let err = read(stderr.as_mut().map(|s| s as &mut dyn Read));
            // Nobody waits any more when it took too long.
            let _ = tell.send((out, err));
        })
        .map_err(|e| other("read from", &e))?;
    let text = told.recv_timeout(NFT_WITHIN);
    // Harmless when it has ended; and it is waited for either way, so that none is left behind.
    let _ = child.kill();
    let status = child.wait();
    match text {
        Ok((out, _)) if out.contains("\"nftables\"") => Ok(out),
        Ok((_, err)) if err.contains("not permitted") => Err(Failed::Refused),
        Ok((_, err)) => {
            let line = crate::base::text::visible(err.lines().next().unwrap_or_default(), 200);
            Err(Failed::Other(format!(
                "nft failed ({}): {line}",
                status.map_or_else(|e| e.to_string(), |s| s.to_string())
            )))
        }
        Err(_) => Err(Failed::Other(format!("nft took more than {} s", NFT_WITHIN.as_secs()))),
    }
}

/// Whether tables of the older iptables are loaded, whose rules nft does not list.
fn legacy() -> bool {
    ["/proc/thread-self/net/ip_tables_names", "/proc/thread-self/net/ip6_tables_names"]
        .iter()
        .any(|f| std::fs::read_to_string(f).is_ok_and(|t| !t.trim().is_empty()))
}
