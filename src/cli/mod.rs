//! The command line: arguments, and the one place where the layers meet.
//!
//! Exit codes: 0 done; 1 a condition was not met (no reply, something could not be sent); 2 wrong
//! usage; 3 could not run (no permission, no such interface, no terminal); 130 and 143 ended by
//! SIGINT and SIGTERM, with results printed.

use std::ffi::OsString;
use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::base::group::Membership;
use crate::base::iface::{Iface, IfaceKind};
use crate::base::registry::Registry;
use crate::base::resolve::{self, Context, Resolved};
use crate::base::tap::Depth;
use crate::base::time::Wall;
use crate::config::{self, Config, Places};
use crate::export::table;
use crate::model::group::Origin;
use crate::model::rules::Rule;
use crate::model::{Settings, filter};
use crate::net::socket::{Receiver, SocketOptions};
use crate::net::{iface, limits};
use crate::ui::theme::Theme;

mod args;
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
mod updates;
mod watch;
mod wire;

pub use args::Format;
use args::{CaptureArg, Cli, Command, Common, duration};
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
            let rows = if args.wire.no_join {
                args.wire.groups(&args.groups, &ifaces)?
            } else {
                resolve_groups(&args.groups, &ifaces)?
            };
            let legs = args.feeds.legs(&ifaces, &args.wire)?;
            let keep = Settings { keep_packets: false };
            args.wire.available()?;
            // Who asks and who answers is part of the timeline, where it may be heard.
            let depth = args.wire.depth().max(wire::ears());
            let at_start = args.wire.at_start(depth);
            let mut session = wire::start(&ifaces, &args.common, &config, keep, at_start)?;
            if args.wire.no_join {
                args.wire.watch_only(&mut session, &rows, depth);
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

fn socket_options(common: &Common, config: &Config) -> SocketOptions {
    // The settings were checked when they were read.
    let by_settings = || config.rcvbuf.as_deref().and_then(|text| config::buffer(text).ok());
    SocketOptions { rcvbuf: common.rcvbuf.or_else(by_settings), receiver: Receiver::Native }
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
    theme: Option<Theme>,
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
