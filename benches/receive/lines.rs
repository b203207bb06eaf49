//! What packet and join lines tell from outside: how late a datagram comes out, how long joins take,
//! and what is missing after them.

use std::collections::HashMap;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::compare::{self, PROGRAM, finals, mcscope, spec};
use super::lab::Lab;
use super::process::{Ended, Process, Written};
use super::sender::{self, Job, Sent};

/// How late packet lines came out, or datagrams were counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Late {
    /// Lines, or datagrams.
    pub lines: usize,
    /// Of these left out, because more came than could be written or analysed.
    pub left_out: u64,
    /// Median, in ms.
    pub p50_ms: f64,
    /// In ms.
    pub p99_ms: f64,
    /// In ms.
    pub max_ms: f64,
}

/// From the kernel's time of arrival until the line was read from a pipe. The sender sleeps between
/// datagrams, since the reader shares its CPU.
pub fn latency(lab: &Lab, groups: u32, rate: u64, time: Duration) -> Result<Late> {
    let mut p = watch(lab, groups)?;
    p.wait_until("all groups joined", |p| p.lines_with("\"type\":\"joined\"") >= groups as usize)?;
    Job { groups, rate, time, busy: false }.send(lab)?;
    p.wait_drained()?;
    let ended = p.end(Some(libc::SIGINT))?;
    let mut ms: Vec<f64> = Vec::new();
    for (read, line) in of_type(&ended.out, "packet") {
        ms.push((read as i128 - time_ns(&line)?) as f64 / 1e6);
    }
    ensure!(!ms.is_empty(), "no packet line came out: {}", ended.err.text().trim());
    ms.sort_by(f64::total_cmp);
    let at = |share: f64| ms[((ms.len() - 1) as f64 * share) as usize];
    let left_out = total(&ended)["lines_dropped"].as_u64().unwrap_or(0);
    Ok(Late { lines: ms.len(), left_out, p50_ms: at(0.5), p99_ms: at(0.99), max_ms: at(1.0) })
}

/// From the kernel's time of arrival until a datagram was counted in the model, as the program says itself.
pub fn lag(lab: &Lab, groups: u32, rate: u64, time: Duration) -> Result<Late> {
    let (spec, rcvbuf) = (spec(groups), compare::RCVBUF.to_string());
    let args = ["watch", &spec, "--format", "json", "--stats-only", "--no-resolve", "--rcvbuf", &rcvbuf];
    let mut p = Process::start(mcscope(lab, &mut Command::new(PROGRAM), &args)?)?;
    p.wait_until("all groups joined", |p| p.lines_with("\"type\":\"joined\"") >= groups as usize)?;
    Job { groups, rate, time, busy: false }.send(lab)?;
    p.wait_drained()?;
    let all = total(&p.end(Some(libc::SIGINT))?);
    let ms = |name: &str| all[name].as_f64().map(|ns| ns / 1e6).with_context(|| format!("no {name}"));
    Ok(Late {
        lines: all["packets"].as_u64().unwrap_or(0) as usize,
        left_out: all["not_analysed"].as_u64().unwrap_or(0),
        p50_ms: ms("lag_p50_ns")?,
        p99_ms: ms("lag_p99_ns")?,
        max_ms: ms("lag_max_ns")?,
    })
}

/// How long it took from the start of the program, and from the first `joined` line, until the last
/// one was out.
pub fn joins(lab: &Lab, groups: u32) -> Result<(Duration, Duration)> {
    let begun = super::process::wall_ns();
    let mut p = watch(lab, groups)?;
    p.wait_until("all groups joined", |p| p.lines_with("\"type\":\"joined\"") >= groups as usize)?;
    let ended = p.end(Some(libc::SIGINT))?;
    let (mut first, mut last) = (None, begun);
    for (read, _) in of_type(&ended.out, "joined") {
        first.get_or_insert(read);
        last = last.max(read);
    }
    let from = |t: u64| Duration::from_nanos(last.saturating_sub(t));
    Ok((from(begun), from(first.unwrap_or(begun))))
}

/// What became of a running stream after it was joined.
#[derive(Clone, Copy, Debug, Default)]
pub struct AfterJoin {
    /// Groups of which something was received.
    pub groups: usize,
    /// Sent to them from the first datagram that was received on.
    pub sent: u64,
    /// Of these, neither counted nor told as dropped at the socket.
    pub missing: i64,
    /// Told as dropped at the socket.
    pub drops: u64,
    /// Groups whose first packet line was left out, so that nothing can be said.
    pub unknown: usize,
}

/// Joins groups in the middle of their streams. The first packet line of a group has the number of
/// the first datagram that the kernel delivered to it; from there to the last one sent all must be
/// accounted for.
pub fn after_join(lab: &Lab, groups: u32, rate: u64) -> Result<AfterJoin> {
    let job = Job { groups, rate, time: Duration::from_millis(2500), busy: false };
    let mut stream = Process::start(&mut job.command(lab)?)?;
    std::thread::sleep(Duration::from_millis(500));
    let mut p = watch(lab, groups)?;
    p.wait_until("all groups joined", |p| p.lines_with("\"type\":\"joined\"") >= groups as usize)?;
    stream.wait_until("the end of the stream", Process::has_ended)?;
    let sent = Sent::read(&stream.end(None)?.out.text())?;
    p.wait_drained()?;
    let ended = p.end(Some(libc::SIGINT))?;
    let mut first: HashMap<String, u64> = HashMap::new();
    for (_, line) in of_type(&ended.out, "packet") {
        let (Some(group), Some(hex)) = (line["group"].as_str(), line["payload_hex"].as_str()) else {
            continue;
        };
        let number = hex.get(..16).and_then(|h| u64::from_str_radix(h, 16).ok());
        first.entry(group.to_owned()).or_insert(number.context("a payload without a number")?);
    }
    let mut sum = AfterJoin::default();
    let numbers: HashMap<String, u32> = (0..groups).map(|n| (sender::group(n).to_string(), n)).collect();
    for v in finals(&ended.out.text()).filter(|v| v["scope"] == "group") {
        let field = |name: &str| v[name].as_u64().unwrap_or(0);
        let name = v["group"].as_str().unwrap_or_default();
        let Some(&n) = numbers.get(name) else { continue };
        if field("packets") + field("not_analysed") == 0 {
            continue;
        }
        sum.groups += 1;
        let Some(&from) = first.get(name) else {
            sum.unknown += 1;
            continue;
        };
        let owed = sent.to_group(n, groups).saturating_sub(from);
        sum.sent += owed;
        sum.drops += field("socket_drops");
        sum.missing +=
            owed as i64 - (field("packets") + field("not_analysed") + field("socket_drops")) as i64;
    }
    Ok(sum)
}

/// `mcscope watch` with packet lines.
fn watch(lab: &Lab, groups: u32) -> Result<Process> {
    let (spec, rcvbuf) = (spec(groups), compare::RCVBUF.to_string());
    let args = ["watch", &spec, "--format", "json", "--snap", "16", "--no-resolve", "--rcvbuf", &rcvbuf];
    Process::start(mcscope(lab, &mut Command::new(PROGRAM), &args)?)
}

/// The lines of a type, each with the time at which it came out.
fn of_type<'w>(out: &'w Written, kind: &str) -> impl Iterator<Item = (u64, Value)> + use<'w> {
    let mark = format!("\"type\":\"{kind}\"");
    out.lines()
        .filter(move |(_, line)| line.contains(&mark))
        .filter_map(|(t, line)| Some((t, serde_json::from_str(line).ok()?)))
}

fn total(ended: &Ended) -> Value {
    finals(&ended.out.text()).find(|v| v["scope"] == "total").unwrap_or_default()
}

fn time_ns(line: &Value) -> Result<i128> {
    let text = line["time"].as_str().context("a line without a time")?;
    Ok(text.parse::<jiff::Timestamp>().context("read a line's time")?.as_nanosecond())
}
