//! The command line: arguments, and the one place where the layers meet.
//!
//! Exit codes: 0 done; 1 a condition was not met (no reply, something could not be sent); 2 wrong
//! usage; 3 could not run (no permission, no such interface, no terminal); 130 and 143 ended by
//! SIGINT and SIGTERM, with results printed.

use std::ffi::OsString;
use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::base::batch::Capture;
use crate::base::group::Membership;
use crate::base::iface::{Iface, IfaceKind};
use crate::base::registry::Registry;
use crate::base::resolve::{self, Context, Resolved};
use crate::base::tap::Depth;
use crate::base::time::Wall;
use crate::base::units;
use crate::config::{Config, Places};
use crate::export::table;
use crate::model::group::Origin;
use crate::model::rules::Rule;
use crate::model::{Settings, filter};
use crate::net::socket::{Receiver, SocketOptions};
use crate::net::{iface, limits};

mod dashboard;
mod demo;
mod doctor;
mod examination;
mod feeds;
mod output;
mod ping;
mod privileges;
mod respond;
mod send;
mod session;
mod signals;
mod soak;
mod tree;
mod watch;
mod wire;

use feeds::{Feeds, pair};
use session::Session;
use wire::WireArgs;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0.
    Done,
    /// 1: a condition was not met.
    Unmet,
    /// 3: could not run.
    CouldNotRun,
    /// 128 and the signal's number.
    Signal(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(match exit {
            Exit::Done => 0,
            Exit::Unmet => 1,
            Exit::CouldNotRun => 3,
            Exit::Signal(code) => code,
        })
    }
}

/// Why a command did not run, with its exit code.
#[derive(Debug)]
pub struct CliError {
    code: u8,
    text: String,
}

impl CliError {
    /// 2: the person wrote something that cannot be meant.
    pub fn usage(text: impl Into<String>) -> CliError {
        CliError { code: 2, text: text.into() }
    }

    /// 3: it was meant, but cannot be done here.
    pub fn could_not(text: impl Into<String>) -> CliError {
        CliError { code: 3, text: text.into() }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

const GROUPS_HELP: &str = "Groups: 239.1.1.1:5004 · 10.1.2.20@232.1.1.1:5004 (source-specific) · \
239.1.1.1+16:5004 (sixteen of them) · 239.1.1.1%eth0:5004 · [ff02::fb%eth0]:5353 · rtp://@239.1.1.1:5004 · \
mdns (a name of `mcscope groups`). Without an interface a group is joined on every one that carries a LAN; \
`mcscope interfaces` lists them.\n\nExit codes: 0 done, 1 a condition was not met, 2 wrong usage, 3 could not \
run, 130 or 143 ended by a signal with results printed.";

const FILTER_HELP: &str = "Print only packets that match; --count counts these, statistics and events are \
of all. Words must all occur (in addresses, names, protocol, preview); a property is compared with =, !=, <, <=, \
>, >= or by writing its value behind it: group, source, port, source-port, interface, protocol, size, ttl, dscp, \
lost, duplicates, reordered, packets, rate, bps, pps, state; text and hex look into the payload; and, or, not and \
parentheses join them. As in: 'rtp and lost > 0', 'source 10.1.2.0/24 or iface eth1', \
'size >= 1000 not port 5353', 'hex \"de ad\"', 'rate > 1.5Mbit'. lost, rate and other counts are those of the \
packet's source at the moment. A comparison with what a packet does not have is false.";

const RULE_HELP: &str = "What streams are, or where they count, before mcscope recognises them by itself: \
[WHERE=]WHAT. WHERE is a group (239.1.1.1), a range of them (239.1.0.0/16), either with :PORT behind ([ff15::1]:5004), \
or :PORT alone; everywhere without it. WHAT is a protocol (rtp, mpegts, json …, as in the filter), a counter \
(seq:OFFSET:WIDTH[:le|be][:STEP] in bytes from the start of the payload, big endian without le; seq:off for none), or \
both with a comma between, as in 239.1.1.1:5004=rtp or :9000=seq:4:2:le. Can be given several times: the first that \
holds for a stream counts, then the [[protocol]] rules of the settings file, which can also look at the sender and \
at bytes of the payload.";

/// An oscilloscope for IP multicast: join groups, see who sends what and what is lost.
#[derive(Parser)]
#[command(name = "mcscope", version, about, after_help = GROUPS_HELP, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    /// Groups to watch on the dashboard; without any, what announces itself on a LAN
    #[arg(value_name = "GROUP")]
    groups: Vec<String>,

    /// Watch built-in senders on the loopback interface: no network and no privilege needed
    #[arg(long)]
    demo: bool,

    /// Colours: dark, light or mono
    #[arg(long, value_name = "NAME")]
    theme: Option<String>,

    /// Give up all privileges for good once the first sockets are open. Afterwards no packet ring, no port below
    /// 1024 and no receive buffer beyond net.core.rmem_max can be had any more, also not for a group that is
    /// joined later or an interface that returns. Without it one thread keeps the network capabilities and uses
    /// them for such calls alone
    #[arg(long, global = true)]
    drop_privileges: bool,

    #[command(flatten)]
    feeds: Feeds,

    #[command(flatten)]
    wire: WireArgs,

    #[command(flatten)]
    common: Common,
}

/// What every command that receives can be told.
#[derive(Args, Clone, Debug)]
struct Common {
    /// Receive buffer to ask for, for each group (as in 4MiB), or for each packet ring; the system's
    /// default without it, 8 MiB for a ring
    #[arg(long, value_name = "BYTES")]
    rcvbuf: Option<String>,

    /// How to receive: a socket for each group, or one packet ring for each interface, which is many times
    /// cheaper but needs CAP_NET_RAW and sees what the firewall would keep away
    #[arg(long, value_enum, value_name = "HOW", default_value_t = CaptureArg::Sockets)]
    capture: CaptureArg,

    /// What a stream is, or where it counts, before mcscope recognises it by itself: [WHERE=]WHAT, as in
    /// 239.1.1.1:5004=rtp or :9000=seq:4:2:le; can be given several times, the first that holds counts
    #[arg(long = "protocol", value_name = "RULE", long_help = RULE_HELP)]
    protocols: Vec<String>,

    /// Do not look up the names of senders
    #[arg(long)]
    no_resolve: bool,

    /// Read the settings from this file
    #[arg(long, value_name = "FILE", env = "MCSCOPE_CONFIG")]
    config: Option<PathBuf>,
}

/// The ways to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CaptureArg {
    /// A socket for each group
    Sockets,
    /// A memory-mapped packet ring for each interface (Linux, CAP_NET_RAW)
    Ring,
}

impl From<CaptureArg> for Capture {
    fn from(arg: CaptureArg) -> Capture {
        match arg {
            CaptureArg::Sockets => Capture::Sockets,
            CaptureArg::Ring => Capture::Ring,
        }
    }
}

#[derive(Subcommand)]
enum Command {
    /// Watch groups without a screen: packets, events and statistics on standard output
    Watch(WatchArgs),
    /// Send test messages to a group
    Send(Box<send::SendArgs>),
    /// Ask who answers on a group: round trips, loss each way, hops, of every mcscope that responds
    Ping(ping::PingArgs),
    /// Answer what arrives on groups with a unicast reply to its sender
    Respond(respond::RespondArgs),
    /// Keep memberships past the time after which switches forget, and say whether traffic went on
    Soak(soak::SoakArgs),
    /// Measure how long it takes from a join to the first datagram, and from the leave to the last
    Tree(tree::TreeArgs),
    /// Say why a group does not arrive, and what to do about it
    Doctor(doctor::DoctorArgs),
    /// List the interfaces, their addresses, and which are joined by default
    Interfaces {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Search the registry of well-known groups
    Groups {
        /// Words to look for: a name, an address, a protocol
        query: Vec<String>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// The same as --demo
    Demo {
        /// Colours: dark, light or mono
        #[arg(long, value_name = "NAME")]
        theme: Option<String>,
    },
    /// Print the completions of a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page (roff)
    Man,
}

#[derive(Args)]
struct WatchArgs {
    /// Groups to watch
    #[arg(value_name = "GROUP", required_unless_present_any = ["pair", "wire", "no_join"])]
    groups: Vec<String>,

    #[command(flatten)]
    feeds: Feeds,

    #[command(flatten)]
    wire: WireArgs,

    /// json is one object a line
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,

    /// Statistics this often
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    interval: Duration,

    /// End after this time, as in 30s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    duration: Option<Duration>,

    /// Print only packets that match, as in 'rtp and lost > 0'; --count counts these, statistics and
    /// events are of all
    #[arg(long, value_name = "FILTER", long_help = FILTER_HELP)]
    filter: Option<String>,

    /// End after so many datagrams over all groups
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,

    /// No packets, only events and statistics
    #[arg(long)]
    stats_only: bool,

    /// Bytes of payload in a packet line
    #[arg(long, value_name = "BYTES", default_value_t = 256)]
    snap: usize,

    #[command(flatten)]
    common: Common,
}

/// The forms of `watch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// JSON Lines.
    Json,
    /// Plain lines for people.
    Text,
    /// Comma-separated values: packets, or statistics with `--stats-only`.
    Csv,
}

fn duration(text: &str) -> Result<Duration, String> {
    match units::parse_duration(text) {
        Ok(d) if d.is_zero() => Err("it must be more than nothing".to_owned()),
        Ok(d) => Ok(d),
        Err(e) => Err(explain(&e)),
    }
}

/// A text error in one line with its help.
fn explain(e: &crate::base::text::TextError) -> String {
    match &e.help {
        Some(help) => format!("{}; {help}", e.message),
        None => e.message.clone(),
    }
}

/// The error for a text that is wrong, with the wrong part marked. A wrong interface is no wrong
/// usage: the same line is right on another host.
fn refuse(flag: &str, e: &crate::base::text::TextError) -> CliError {
    let text = format!("{flag}{}{}\n\n{}", if flag.is_empty() { "" } else { ": " }, e.message, e.caret());
    if e.message.contains("no interface") { CliError::could_not(text) } else { CliError::usage(text) }
}

/// Runs the program with these arguments.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(e) => {
            let _ = e.print();
            return ExitCode::from(if e.use_stderr() { 2 } else { 0 });
        }
    };
    // A thread and a descriptor for each group: the soft limit is for programs that use select().
    let _ = limits::raise_open_files();
    let held = match privileges::hold(cli.drop_privileges) {
        Ok(held) => held,
        Err(e) => {
            eprintln!("mcscope: {e}");
            return ExitCode::from(e.code);
        }
    };
    let outcome = dispatch(cli);
    held.release();
    match outcome {
        Ok(exit) => exit.into(),
        Err(e) => {
            eprintln!("mcscope: {e}");
            ExitCode::from(e.code)
        }
    }
}

fn dispatch(cli: Cli) -> Result<Exit, CliError> {
    match cli.command {
        None => {
            if cli.demo && !cli.groups.is_empty() {
                return Err(CliError::usage("--demo brings its own groups: leave the others out"));
            }
            if cli.demo && !cli.feeds.pair.is_empty() {
                return Err(CliError::usage("--demo brings its own groups: m marks two streams as one feed"));
            }
            if cli.demo && cli.wire.no_join {
                return Err(CliError::usage("--demo joins groups of its own: leave --no-join out"));
            }
            dashboard(cli.groups, cli.demo, cli.theme, (&cli.wire, &cli.feeds), &cli.common)
        }
        Some(Command::Demo { theme }) => {
            let common = Common {
                rcvbuf: None,
                capture: CaptureArg::Sockets,
                protocols: Vec::new(),
                no_resolve: false,
                config: None,
            };
            dashboard(Vec::new(), true, theme, (&WireArgs::default(), &Feeds::default()), &common)
        }
        Some(Command::Watch(args)) => {
            // The settings may name protocols, which the filter may ask for.
            let (config, _) = settings(&args.common)?;
            let filter = match &args.filter {
                Some(text) => filter::parse(text).map_err(|e| refuse("--filter", &e))?,
                None => filter::Expr::default(),
            };
            if args.format == Format::Csv && !args.feeds.pair.is_empty() {
                return Err(CliError::usage(
                    "--pair has no rows in CSV: --format json or text tells of feeds",
                ));
            }
            let ifaces = interfaces()?;
            let rows =
                if args.groups.is_empty() { Vec::new() } else { resolve_groups(&args.groups, &ifaces)? };
            let legs = args.feeds.legs(&ifaces, &args.wire)?;
            let keep = Settings { keep_packets: false };
            args.wire.available()?;
            // Who asks and who answers is part of the timeline, where it may be heard.
            let depth = args.wire.depth().max(wire::ears());
            let mut session = wire::start(&ifaces, &args.common, &config, keep, depth)?;
            if args.wire.no_join {
                args.wire.watch_only(&mut session, &rows);
            } else {
                for m in rows {
                    session.join(m, Origin::User, None);
                }
            }
            pair(&mut session, &legs)?;
            let watch = watch::Watch {
                format: args.format,
                interval: args.interval,
                duration: args.duration,
                count: args.count,
                stats_only: args.stats_only,
                snap: args.snap,
                filter,
            };
            watch::run(session, &watch)
        }
        Some(Command::Send(args)) => send::run(&args),
        Some(Command::Ping(args)) => ping::run(&args),
        Some(Command::Respond(args)) => respond::run(&args),
        Some(Command::Soak(args)) => soak::run(&args),
        Some(Command::Tree(args)) => tree::run(&args),
        Some(Command::Doctor(args)) => doctor::run(&args),
        Some(Command::Interfaces { json }) => {
            let list = interfaces()?;
            print(&if json { table::interfaces_json(&list) + "\n" } else { table::interfaces(&list) })
        }
        Some(Command::Groups { query, json }) => {
            let registry = Registry::builtin();
            let query = query.join(" ");
            let rows =
                if query.is_empty() { registry.rows().iter().collect() } else { registry.search(&query) };
            if rows.is_empty() && !json {
                eprintln!("mcscope: the registry knows nothing like \"{query}\"");
                return Ok(Exit::Unmet);
            }
            print(&if json { table::groups_json(&rows) + "\n" } else { table::groups(&rows) })
        }
        Some(Command::Completions { shell }) => {
            let mut out = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "mcscope", &mut out);
            print(&String::from_utf8_lossy(&out))
        }
        Some(Command::Man) => {
            let mut out = Vec::new();
            clap_mangen::Man::new(Cli::command())
                .render(&mut out)
                .map_err(|e| CliError::could_not(format!("cannot write the manual page: {e}")))?;
            print(&String::from_utf8_lossy(&out))
        }
    }
}

/// Prints; a reader that went away is no error.
fn print(text: &str) -> Result<Exit, CliError> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(CliError::could_not(format!("cannot write to standard output: {e}")))
        }
        _ => Ok(Exit::Done),
    }
}

fn interfaces() -> Result<Vec<Iface>, CliError> {
    iface::list().map_err(|e| CliError::could_not(e.to_string()))
}

/// The loopback interface.
fn loopback(ifaces: &[Iface]) -> Result<&Iface, CliError> {
    let lo = ifaces.iter().find(|i| i.kind == IfaceKind::Loopback);
    let lo = lo.ok_or_else(|| CliError::could_not("there is no loopback interface"))?;
    if !lo.up {
        let text = format!("the loopback interface {0} is down: ip link set {0} up", lo.name);
        return Err(CliError::could_not(text));
    }
    Ok(lo)
}

fn settings(common: &Common) -> Result<(Config, Option<Places>), CliError> {
    let places = Places::find();
    let config = match (&common.config, &places) {
        (Some(named), _) => Config::load(named, true),
        (None, Some(places)) => Config::load(&places.config_file(), false),
        (None, None) => Ok(Config::default()),
    };
    Ok((config.map_err(|e| CliError::usage(e.to_string()))?, places))
}

/// Group specs to memberships; notes go to standard error.
fn resolve_groups(texts: &[String], ifaces: &[Iface]) -> Result<Vec<Membership>, CliError> {
    let found = resolved(texts, ifaces)?;
    for note in &found.notes {
        eprintln!("mcscope: note: {note}");
    }
    Ok(found.memberships)
}

/// Group specs to memberships and notes.
fn resolved(texts: &[String], ifaces: &[Iface]) -> Result<Resolved, CliError> {
    let commands: Vec<String> = Cli::command().get_subcommands().map(|c| c.get_name().to_owned()).collect();
    let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
    let context = Context { registry: Registry::builtin(), ifaces, commands: &commands };
    resolve::resolve_all(texts.iter().map(String::as_str), &context).map_err(|e| refuse("", &e))
}

fn socket_options(common: &Common, config: &Config) -> Result<SocketOptions, CliError> {
    let rcvbuf = match common.rcvbuf.as_ref().or(config.rcvbuf.as_ref()) {
        None => None,
        Some(text) => {
            let bytes = units::parse_size(text)
                .map_err(|e| CliError::usage(format!("--rcvbuf {text}: {}", explain(&e))))?;
            Some(usize::try_from(bytes).unwrap_or(usize::MAX).min(1 << 30))
        }
    };
    Ok(SocketOptions { rcvbuf, receiver: Receiver::Native })
}

fn start(ifaces: &[Iface], common: &Common, config: &Config, keep: Settings) -> Result<Session, CliError> {
    wire::start(ifaces, common, config, keep, Depth::Off)
}

/// The rules of the command line, then those of the settings.
fn rules(common: &Common, config: &Config) -> Result<Vec<Rule>, CliError> {
    let typed = common.protocols.iter().map(|text| Rule::parse(text).map_err(|e| refuse("--protocol", &e)));
    typed.chain(config.rules.iter().cloned().map(Ok)).collect()
}

/// Seconds east of UTC of local time at a moment.
fn local_offset(at: Wall) -> i32 {
    let zone = jiff::tz::TimeZone::system();
    jiff::Timestamp::from_nanosecond(i128::from(at.0)).map_or(0, |t| zone.to_offset(t).seconds())
}

fn dashboard(
    groups: Vec<String>,
    demo: bool,
    theme: Option<String>,
    (wire, feeds): (&WireArgs, &Feeds),
    common: &Common,
) -> Result<Exit, CliError> {
    use std::io::IsTerminal;
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        if demo {
            return demo::run(common);
        }
        // A mistyped command is told as that, in a script too.
        let ifaces = interfaces()?;
        resolve_groups(&groups, &ifaces)?;
        feeds.legs(&ifaces, wire)?;
        return Err(CliError::could_not(
            "the dashboard needs a terminal; `mcscope watch GROUP…` works without one",
        ));
    }
    dashboard::run(groups, demo, theme, (wire, feeds), common)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_hold_together() {
        Cli::command().debug_assert();
    }
}
