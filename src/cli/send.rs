//! `mcscope send`: test messages from the command line.

use std::io::{IsTerminal, Write};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use clap::Args;

use crate::base::dscp;
use crate::base::group::{Endpoint, Membership};
use crate::base::iface::Iface;
use crate::base::registry::Registry;
use crate::base::resolve::{self, Context};
use crate::base::spec::{IfaceChoice, Spec};
use crate::base::text;
use crate::base::units::{self, Rate};
use crate::cli::signals::{self, Signal};
use crate::cli::{CliError, Exit, interfaces, print, privileges, refuse};
use crate::engine::command::{
    DEFAULT_LIMIT_PPS, Impair, Payload, Plan, SendJob, SendProgress, SendState, Size,
};
use crate::engine::sender::{self, Told};
use crate::net::privilege;
use crate::net::wake::Waker;

const EXAMPLES: &str = "Examples:
  mcscope send 239.1.1.1:5004                                one probe
  mcscope send 239.1.1.1%eth0:5004 --rate 100 --duration 10s
  mcscope send 239.1.1.1:5004 --text 'hello\\n' --ttl 16     past routers
  mcscope send 239.1.1.1:5004 --ping --await-reply           who answers";

/// Groups that one command sends to.
const TARGETS_MAX: usize = 64;
/// The progress bar appears when a send takes longer than this.
const MOMENT: Duration = Duration::from_millis(700);
/// Largest UDP payload over IPv4 and IPv6.
const LARGEST: u64 = 65_507;

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SendArgs {
    /// The group to send to, as 239.1.1.1:5004 or 239.1.1.1%eth0:5004
    #[arg(value_name = "GROUP")]
    group: String,

    /// Send this text (\n, \t, \\, \xNN and \u{…} are understood) instead of a numbered probe
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["hex", "file"])]
    text: Option<String>,

    /// Send these bytes, as in "de ad be ef"
    #[arg(long, value_name = "HEX", conflicts_with = "file")]
    hex: Option<String>,

    /// Send what this file holds, as one datagram
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,

    /// Probes that ask for an answer of every mcscope that responds
    #[arg(long, conflicts_with_all = ["text", "hex", "file"])]
    ping: bool,

    /// So many datagrams; 1 if neither a rate nor a time says more
    #[arg(long, short = 'c', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Datagrams a second (as in 100, 5k) or bits a second (as in 20Mbit)
    #[arg(long, value_name = "RATE", conflicts_with = "send_interval")]
    rate: Option<String>,

    /// Time between datagrams (or bursts), as in 10ms
    #[arg(long = "interval", short = 'i', id = "send_interval", value_name = "TIME", value_parser = super::duration)]
    interval: Option<Duration>,

    /// Datagrams back to back at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    burst: u32,

    /// Stop after this time
    #[arg(long, alias = "for", value_name = "TIME", value_parser = super::duration)]
    duration: Option<Duration>,

    /// Payload size in bytes, or a range as in 100-1400 for a random one each time
    #[arg(long, short = 's', value_name = "BYTES")]
    size: Option<String>,

    /// TTL or hop limit; 1 stops at the first router
    #[arg(long, short = 't', default_value_t = 1)]
    ttl: u8,

    /// DSCP as a number (0 to 63) or a name (EF, AF41, CS6)
    #[arg(long, value_name = "DSCP", default_value = "0")]
    dscp: String,

    /// Send from this port
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    source_port: Option<u16>,

    /// Send from this address of this host
    #[arg(long, value_name = "ADDR")]
    source: Option<IpAddr>,

    /// Receivers on this host do not get it
    #[arg(long)]
    no_loop: bool,

    /// Leave out each Nth number
    #[arg(long, value_name = "N", default_value_t = 0)]
    drop_every: u64,

    /// Send each Nth number twice
    #[arg(long, value_name = "N", default_value_t = 0)]
    dup_every: u64,

    /// Send each Nth number after its successor
    #[arg(long, value_name = "N", default_value_t = 0)]
    swap_every: u64,

    /// The rate guard, in datagrams a second: nothing is sent faster
    #[arg(long, value_name = "PPS", default_value_t = DEFAULT_LIMIT_PPS, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,

    /// Preset: rates of 1, 10, 100 … up to the guard, then bursts of 2 … 64, each for this long
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "5s", value_parser = super::duration,
          conflicts_with_all = ["count", "rate", "send_interval", "burst", "duration", "soak"])]
    ladder: Option<Duration>,

    /// Preset: one datagram a second for longer than several query intervals
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "10m", value_parser = super::duration,
          conflicts_with_all = ["count", "rate", "send_interval", "burst", "duration"])]
    soak: Option<Duration>,

    /// Wait this long for answers and print who answered, from where, after how long
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "2s", value_parser = super::duration)]
    await_reply: Option<Duration>,
}

pub(super) fn run(args: &SendArgs) -> Result<Exit, CliError> {
    let ifaces = interfaces()?;
    let (targets, iface) = targets(&args.group, &ifaces)?;
    let job = job(args, targets[0], iface)?;
    let signals = signals::listen(false);
    let waker = Waker::new().map_err(|e| CliError::could_not(e.to_string()))?;
    let stop = Arc::new(AtomicBool::new(false));
    let ended = {
        let (waker, stop) = (waker.clone(), stop.clone());
        let code = Arc::new(std::sync::atomic::AtomicU8::new(0));
        let tell = code.clone();
        let _ = std::thread::Builder::new().name("end".into()).spawn(move || {
            if let Ok(Signal::End(signal)) = signals.recv() {
                tell.store(signal, Ordering::Release);
                stop.store(true, Ordering::Release);
                waker.wake();
            }
        });
        code
    };
    let bar = std::io::stderr().is_terminal();
    let unopened = AtomicUsize::new(targets.len());
    // A send waits by its schedule, so a few threads are cheap; each has its own socket.
    let done: Vec<SendProgress> = std::thread::scope(|scope| {
        let running: Vec<_> = targets
            .iter()
            .enumerate()
            .map(|(i, &to)| {
                let job = SendJob { to, ..job.clone() };
                let (waker, stop, unopened) = (&waker, &*stop, &unopened);
                scope.spawn(move || {
                    let mut tell = |told: Told<'_>| {
                        if let Told::From(_) = told
                            && unopened.fetch_sub(1, Ordering::AcqRel) == 1
                        {
                            privileges::sockets_open();
                        }
                        if let Told::Progress(p) = told
                            && bar
                            && i == 0
                            && p.elapsed > MOMENT
                        {
                            draw_bar(p);
                        }
                    };
                    sender::run(&job, iface.index, waker, stop, &mut tell)
                })
            })
            .collect();
        running.into_iter().filter_map(|t| t.join().ok()).collect()
    });
    if bar {
        let _ = write!(std::io::stderr(), "\r\x1b[K");
    }
    let mut text = String::new();
    done.iter().for_each(|p| report(p, &job, &mut text));
    print(&text)?;
    let signal = ended.load(Ordering::Acquire);
    if signal > 0 {
        return Ok(Exit::Signal(signal));
    }
    if let Some(SendState::Failed(error)) =
        done.iter().map(|p| &p.state).find(|s| matches!(s, SendState::Failed(_)))
    {
        return Err(CliError::could_not(error.clone()));
    }
    let errors = done.iter().any(|p| !p.errors.is_empty());
    let unanswered = args.await_reply.is_some() && done.iter().any(|p| p.reply_count == 0);
    Ok(if errors || unanswered { Exit::Unmet } else { Exit::Done })
}

/// The endpoints that a spec means, and the one interface to send by.
fn targets<'i>(text: &str, ifaces: &'i [Iface]) -> Result<(Vec<Endpoint>, &'i Iface), CliError> {
    let (memberships, iface) = on_one_iface(text, ifaces)?;
    let mut all: Vec<Endpoint> = memberships.iter().map(Membership::endpoint).collect();
    all.dedup();
    if all.len() > TARGETS_MAX {
        let text = format!("{text} means {} groups: one command sends to {TARGETS_MAX} at most", all.len());
        return Err(CliError::usage(text));
    }
    Ok((all, iface))
}

/// What a spec means on the one interface that it names, or that is the only candidate.
pub(super) fn on_one_iface<'i>(
    text: &str,
    ifaces: &'i [Iface],
) -> Result<(Vec<Membership>, &'i Iface), CliError> {
    let spec = Spec::parse(text).map_err(|e| refuse("", &e))?;
    let context = Context { registry: Registry::builtin(), ifaces, commands: &[] };
    resolve::resolve_text(text, &context).map_err(|e| refuse("", &e))?;
    let iface = resolve::one_iface(&spec, ifaces).map_err(|e| refuse("", &e))?;
    let spec = spec.on(IfaceChoice::Named(vec![iface.name.to_string()]));
    let found = resolve::resolve(&spec, context.registry, ifaces).map_err(|e| refuse("", &e))?;
    Ok((found.memberships, iface))
}

fn job(args: &SendArgs, to: Endpoint, iface: &Iface) -> Result<SendJob, CliError> {
    let payload = if let Some(t) = &args.text {
        Payload::Bytes(text::unescape(t).map_err(|e| refuse("--text", &e))?.into())
    } else if let Some(h) = &args.hex {
        Payload::Bytes(text::parse_hex(h).map_err(|e| refuse("--hex", &e))?.into())
    } else if let Some(path) = &args.file {
        Payload::Bytes(read(path)?.into())
    } else {
        Payload::Probe { ping: args.ping || args.await_reply.is_some(), text: None }
    };
    let size = args.size.as_deref().map(size).transpose()?;
    let natural = match (&payload, size) {
        (_, Some(Size::Fixed(n) | Size::Random(_, n))) => n as usize,
        (Payload::Bytes(b), None) => b.len(),
        (Payload::Probe { .. }, None) => crate::wire::probe::HEADER,
    };
    Ok(SendJob {
        to,
        iface: iface.name.clone(),
        payload,
        size,
        plan: plan(args, natural)?,
        ttl: args.ttl,
        dscp: dscp::parse(&args.dscp).map_err(|e| refuse("--dscp", &e))?,
        source_port: args.source_port,
        source_ip: args.source,
        loopback: !args.no_loop,
        impair: Impair {
            drop_every: args.drop_every,
            dup_every: args.dup_every,
            swap_every: args.swap_every,
        },
        limit_pps: args.limit,
        await_reply: args.await_reply,
    })
}

pub(super) fn read(path: &std::path::Path) -> Result<Vec<u8>, CliError> {
    let bytes = privilege::read(path)
        .map_err(|e| CliError::could_not(format!("cannot read {}: {e}", path.display())))?;
    if bytes.len() as u64 > LARGEST {
        let text =
            format!("{} holds {} bytes: a datagram holds {LARGEST} at most", path.display(), bytes.len());
        return Err(CliError::usage(text));
    }
    Ok(bytes)
}

fn size(text: &str) -> Result<Size, CliError> {
    let one = |t: &str| -> Result<u32, CliError> {
        let n = units::parse_size(t).map_err(|e| CliError::usage(format!("--size: {}", e.in_a_line())))?;
        if n > LARGEST {
            return Err(CliError::usage(format!("--size {t}: a datagram holds {LARGEST} bytes at most")));
        }
        Ok(n as u32)
    };
    match text.split_once('-') {
        None => Ok(Size::Fixed(one(text)?)),
        Some((low, high)) => {
            let (low, high) = (one(low)?, one(high)?);
            if low > high {
                return Err(CliError::usage(format!(
                    "--size {text}: the smaller comes first, as in 100-1400"
                )));
            }
            Ok(Size::Random(low, high))
        }
    }
}

fn plan(args: &SendArgs, size: usize) -> Result<Plan, CliError> {
    if let Some(step) = args.ladder {
        return Ok(Plan::Ladder { step });
    }
    if let Some(duration) = args.soak {
        return Ok(Plan::Soak { duration });
    }
    let rate_pps = match (&args.rate, args.interval) {
        (Some(text), _) => {
            match units::parse_rate(text)
                .map_err(|e| CliError::usage(format!("--rate: {}", e.in_a_line())))?
            {
                Rate::Packets(pps) => pps,
                Rate::Bits(bps) => bps / 8.0 / size.max(1) as f64,
            }
        }
        (None, Some(interval)) => f64::from(args.burst) / interval.as_secs_f64(),
        (None, None) => 10.0_f64.max(f64::from(args.burst)),
    };
    if rate_pps > f64::from(args.limit) && (args.rate.is_some() || args.interval.is_some()) {
        let text = format!(
            "{} is above the guard of {}: --limit {} allows it, where the network can take it",
            units::packets_per_s(rate_pps),
            units::packets_per_s(f64::from(args.limit)),
            rate_pps.ceil()
        );
        return Err(CliError::usage(text));
    }
    let endless =
        args.count.is_none() && args.duration.is_none() && args.rate.is_none() && args.interval.is_none();
    let count = args.count.or(endless.then_some(u64::from(args.burst)));
    Ok(Plan::Steady { rate_pps, burst: args.burst, count, duration: args.duration })
}

fn draw_bar(p: &SendProgress) {
    const WIDTH: usize = 30;
    let share = match (p.total, p.duration) {
        (Some(total), _) if total > 0 => Some((p.sent + p.dropped_on_purpose) as f64 / total as f64),
        (_, Some(d)) if !d.is_zero() => Some(p.elapsed.as_secs_f64() / d.as_secs_f64()),
        _ => None,
    };
    let bar = share.map_or_else(String::new, |s| {
        let full = (s.clamp(0.0, 1.0) * WIDTH as f64) as usize;
        format!("{}{} {:3.0} %  ", "█".repeat(full), "░".repeat(WIDTH - full), s.min(1.0) * 100.0)
    });
    let rate = p.sent as f64 / p.elapsed.as_secs_f64().max(0.001);
    let mut err = std::io::stderr();
    let _ = write!(
        err,
        "\r\x1b[K{bar}{} sent  {}  {} s  Ctrl-C stops",
        p.sent,
        units::packets_per_s(rate),
        p.elapsed.as_secs()
    );
    let _ = err.flush();
}

fn report(p: &SendProgress, job: &SendJob, out: &mut String) {
    use std::fmt::Write;
    let to = p.to.map_or_else(|| job.to.to_string(), |t| t.to_string());
    if matches!(p.state, SendState::Failed(_)) {
        return;
    }
    let from = p.from.map_or_else(String::new, |f| format!(" from {f}"));
    let _ = writeln!(
        out,
        "{to} by {}{from}: {} sent, {} of payload, in {}{}",
        job.iface,
        units::packets(p.sent),
        units::bytes(p.sent_bytes),
        units::duration(p.elapsed.as_nanos() as u64),
        if p.state == SendState::Stopped { ", stopped" } else { "" }
    );
    let on_purpose = [
        ("left out", p.dropped_on_purpose),
        ("sent twice", p.doubled_on_purpose),
        ("swapped", p.swapped_on_purpose),
    ];
    let told: Vec<String> =
        on_purpose.iter().filter(|(_, n)| *n > 0).map(|(what, n)| format!("{n} {what}")).collect();
    if !told.is_empty() {
        let _ = writeln!(out, "  on purpose: {}", told.join(", "));
    }
    for e in &p.errors {
        let remedy = e.remedy.as_ref().map_or_else(String::new, |r| format!("; {r}"));
        let _ = writeln!(out, "  failed {}: {}{remedy}", units::counted(e.count, "time", "times"), e.kind);
    }
    for r in &p.replies {
        let number = r.sequence.map_or_else(String::new, |n| format!(" to number {n}"));
        let hops = r
            .hops
            .map_or_else(String::new, |h| format!(", {} away", units::counted(u64::from(h), "hop", "hops")));
        let _ = writeln!(
            out,
            "  answer{number} from {} after {}{hops}, {} bytes",
            r.from,
            units::duration(r.round_trip.as_nanos() as u64),
            r.size_bytes
        );
    }
    if job.await_reply.is_some() && p.reply_count == 0 {
        let _ = writeln!(out, "  nobody answered");
    }
    if p.reply_count > p.replies.len() as u64 {
        let _ = writeln!(
            out,
            "  and {}",
            units::counted(p.reply_count - p.replies.len() as u64, "more answer", "more answers")
        );
    }
}
