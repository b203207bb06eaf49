//! `mcscope ping`: who answers on a group, after how long, from how far, and where it is lost.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Duration;

use clap::Args;

use crate::base::dscp;
use crate::base::group::{Endpoint, SourceFilter, is_ssm};
use crate::base::iface::IfaceKind;
use crate::base::units;
use crate::cli::signals::{self, Signal};
use crate::cli::{CliError, Exit, interfaces, print, privileges, refuse, send};
use crate::engine::command::{PingJob, PingProgress, SendState};
use crate::engine::pinger::{self, INTERVAL_MIN, PATIENCE_MAX, Server, Speaks, Told};
use crate::export::ping::{self as text, Target};
use crate::net::clock;
use crate::net::wake::Waker;
use crate::wire::{probe, ssmping};

const EXAMPLES: &str = "Examples:
  mcscope respond 239.1.1.1:5004                             on the other hosts
  mcscope ping 239.1.1.1:5004 -c 10
  mcscope ping 239.1.1.1%eth0:5004 -c 100 -i 10ms --ttl 16   past routers
  mcscope ping 239.1.1.234%eth0:5004 --ssmping 192.0.2.7     an ssmping server";

/// Largest UDP payload over IPv4.
const LARGEST: u64 = 65_507;

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct PingArgs {
    /// The group to ping, as 239.1.1.1:5004 or 239.1.1.1%eth0:5004; answers come from every mcscope that
    /// responds there (`mcscope respond`, or r on the dashboard)
    #[arg(value_name = "GROUP")]
    group: String,

    /// So many pings; without it until Ctrl-C
    #[arg(long, short = 'c', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// Time between pings, 1ms or more; a responder gives 200 answers a second at most
    #[arg(long, short = 'i', id = "ping_interval", value_name = "TIME", default_value = "1s", value_parser = super::duration)]
    interval: Duration,

    /// Payload in bytes; below 84 there is no room for what tells loss there from loss back
    #[arg(long, short = 's', value_name = "BYTES")]
    size: Option<String>,

    /// TTL or hop limit, also of the answers to the group; 1 stops at the first router. 1 without it, 64 to an
    /// ssmping or omping server
    #[arg(long, short = 't')]
    ttl: Option<u8>,

    /// DSCP as a number (0 to 63) or a name (EF, AF41, CS6)
    #[arg(long, value_name = "DSCP", default_value = "0")]
    dscp: String,

    /// An answer is late after this time, 60s at most; it is waited for so long after the last ping
    #[arg(long, short = 'W', value_name = "TIME", default_value = "1s", value_parser = super::duration)]
    wait: Duration,

    /// Do not ask for answers to the group, and do not join it
    #[arg(long)]
    unicast_only: bool,

    /// Ask this ssmping server (ssmpingd) by unicast, instead of every mcscope by the group; it answers on groups
    /// that end in .234 or ::4321:1234 only, as 239.1.1.234, and on 232.43.211.234
    #[arg(long, value_name = "ADDR", conflicts_with_all = ["size", "unicast_only"])]
    ssmping: Option<IpAddr>,

    /// Ask omping on this host, by unicast and about the group it was started for (232.43.211.234 without -m); it
    /// answers only to hosts that it was started with
    #[arg(long, value_name = "ADDR", conflicts_with_all = ["size", "unicast_only", "ssmping"])]
    omping: Option<IpAddr>,

    /// Only the figures at the end
    #[arg(long, short = 'q')]
    quiet: bool,

    /// JSON Lines: a reply for each answer, a final for each responder and the whole
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &PingArgs) -> Result<Exit, CliError> {
    let ifaces = interfaces()?;
    let (found, iface) = send::on_one_iface(&args.group, &ifaces)?;
    let [membership] = &found[..] else {
        let text = format!("{} means {} groups: a ping asks one", args.group, found.len());
        return Err(CliError::usage(text));
    };
    let mut job = job(args, PingJob::new(membership.endpoint(), iface.name.clone()))?;
    job.filter = membership.filter.clone();
    if let Some(server) = args.server() {
        ask_server(&mut job, server)?;
    }
    let waker = Waker::new().map_err(|e| CliError::could_not(e.to_string()))?;
    let stop = Arc::new(AtomicBool::new(false));
    let ended = on_signal(waker.clone(), stop.clone());
    let target = Target { to: job.to, iface: &job.iface };
    // A reader that went away ends it, as it ends every other writer.
    let mut broken = false;
    let mut say = |line: String| {
        if !broken && !written(&(line + "\n")) {
            broken = true;
            stop.store(true, Ordering::Release);
            waker.wake();
        }
    };
    let last = pinger::run(&job, iface.index, &waker, &stop, &mut |told| match told {
        Told::From(from) => {
            privileges::sockets_open();
            if !args.json {
                say(begun(&job, from));
            }
        }
        Told::Answer(_) if args.quiet => {}
        Told::Answer(a) if args.json => say(text::reply(clock::now().wall, target, job.ttl, a)),
        Told::Answer(a) => say(text::reply_text(job.ttl, a)),
        Told::Progress(_) => {}
    });
    if let SendState::Failed(error) = &last.state {
        return Err(CliError::could_not(error.clone()));
    }
    if args.json {
        for line in text::finals(clock::now().wall, target, &last.pings) {
            print(&(line + "\n"))?;
        }
    } else {
        print(&text::summary(target, &last.pings))?;
    }
    explain_trouble(&last, iface.kind == IfaceKind::Loopback);
    let signal = ended.load(Ordering::Acquire);
    if signal > 0 {
        return Ok(Exit::Signal(signal));
    }
    Ok(if last.pings.answered() { Exit::Done } else { Exit::Unmet })
}

impl PingArgs {
    /// The server of another program that is to be asked.
    fn server(&self) -> Option<Server> {
        let of = |speaks| move |ip| Server { ip, speaks };
        self.ssmping.map(of(Speaks::Ssmping)).or_else(|| self.omping.map(of(Speaks::Omping)))
    }
}

/// Makes it a ping of a server of another program.
fn ask_server(job: &mut PingJob, server: Server) -> Result<(), CliError> {
    let group = job.to.ip;
    let Server { ip, speaks } = server;
    if speaks == Speaks::Ssmping && !ssmping::answers_on(group) {
        return Err(CliError::usage(format!(
            "an ssmping server does not answer on {group}: it takes groups that end in .234 or ::4321:1234, and {}",
            ssmping::SSM_V4
        )));
    }
    if ip.is_ipv4() != group.is_ipv4() || ip.is_multicast() {
        let option = if speaks == Speaks::Ssmping { "--ssmping" } else { "--omping" };
        return Err(CliError::usage(format!("{option} {ip}: one host of {group}'s family is asked")));
    }
    job.server = Some(server);
    job.size = server.query_bytes(group);
    if is_ssm(group) && job.filter == SourceFilter::Any {
        job.filter = SourceFilter::only(ip);
    }
    Ok(())
}

/// The first line.
fn begun(job: &PingJob, from: Endpoint) -> String {
    format!(
        "ping {} by {} from {from}: TTL {}, {} bytes, every {}{}",
        job.to,
        job.iface,
        job.ttl,
        job.size,
        units::duration(job.interval.as_nanos() as u64),
        if job.count.is_none() { "; Ctrl-C ends" } else { "" }
    )
}

/// Writes a line; whether the reader is still there.
fn written(line: &str) -> bool {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).and_then(|()| out.flush()).is_ok()
}

/// Stops the ping when a signal comes; its exit code, 0 while there is none.
fn on_signal(waker: Waker, stop: Arc<AtomicBool>) -> Arc<AtomicU8> {
    let signals = signals::listen(false);
    let code = Arc::new(AtomicU8::new(0));
    let tell = code.clone();
    let _ = std::thread::Builder::new().name("end".into()).spawn(move || {
        if let Ok(Signal::End(signal)) = signals.recv() {
            tell.store(signal, Ordering::Release);
            stop.store(true, Ordering::Release);
            waker.wake();
        }
    });
    code
}

fn job(args: &PingArgs, usual: PingJob) -> Result<PingJob, CliError> {
    let size = match &args.size {
        None => usual.size as u64,
        Some(text) => {
            units::parse_size(text).map_err(|e| CliError::usage(format!("--size: {}", e.in_a_line())))?
        }
    };
    let least = probe::HEADER as u64;
    if !(least..=LARGEST).contains(&size) {
        return Err(CliError::usage(format!("--size {size}: a ping has {least} to {LARGEST} bytes")));
    }
    if args.interval < INTERVAL_MIN {
        return Err(CliError::usage("--interval: 1ms is the least, 1000 pings a second"));
    }
    if args.wait > PATIENCE_MAX {
        return Err(CliError::usage("--wait: 60s is the most"));
    }
    Ok(PingJob {
        count: args.count,
        interval: args.interval,
        size: size as usize,
        // One host that is asked by name is no flood.
        ttl: args.ttl.unwrap_or(if args.server().is_some() { ssmping::TTL } else { usual.ttl }),
        dscp: dscp::parse(&args.dscp).map_err(|e| refuse("--dscp", &e))?,
        multicast: !args.unicast_only,
        patience: args.wait,
        ..usual
    })
}

/// What stood in the way, and what can be looked at when nobody answered.
fn explain_trouble(p: &PingProgress, loopback: bool) {
    for e in &p.errors {
        let remedy = e.remedy.as_ref().map_or_else(String::new, |r| format!("; {r}"));
        eprintln!("mcscope: failed {}: {}{remedy}", units::counted(e.count, "time", "times"), e.kind);
    }
    if let Some(why) = &p.deaf {
        eprintln!("mcscope: answers to the group were not asked for: {why}");
    }
    if p.pings.answered() {
        return;
    }
    let to = p.job.to;
    eprintln!("mcscope: nobody answered on {to}");
    if p.pings.count() == 0 {
        return;
    }
    if let Some(Server { ip, speaks }) = p.job.server {
        let program = if speaks == Speaks::Ssmping { "ssmpingd" } else { "omping" };
        eprintln!("  does {ip} run {program}, and does it answer to UDP port {}?", ssmping::PORT);
        return;
    }
    eprintln!("  who shall answer runs `mcscope respond {to}`; this host never answers itself");
    if loopback {
        eprintln!("  {} is the loopback interface: nobody else is there", p.job.iface);
    } else if p.job.ttl == 1 {
        eprintln!("  TTL 1 stops at the first router: `--ttl 16` goes further");
    }
    if is_ssm(to.ip) {
        eprintln!(
            "  {} is a source-specific group: a responder has to join it with this host's address",
            to.ip
        );
    }
}
