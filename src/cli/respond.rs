//! `mcscope respond`: answers without a screen.

use std::time::{Duration, Instant};

use clap::Args;
use crossbeam_channel::select;

use crate::base::units;
use crate::cli::session::Session;
use crate::cli::signals::{self, Signal};
use crate::cli::{CliError, Common, Exit, interfaces, local_offset, print, resolve_groups, settings, start};
use crate::engine::command::{Command, Respond};
use crate::export::plain;
use crate::model::Settings;
use crate::model::group::{JoinState, Origin};
use crate::net::clock;

const EXAMPLES: &str = "Examples:
  mcscope respond 239.1.1.1:5004
  mcscope respond 239.1.1.1%eth0:5004 --any --duration 1h   also what is no probe";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct RespondArgs {
    /// Groups to answer on
    #[arg(value_name = "GROUP", required_unless_present = "ssmping")]
    groups: Vec<String>,

    /// Answer any datagram, by sending it back; without it only mcscope's own probes
    #[arg(long)]
    any: bool,

    /// Answer ssmping, asmping and omping clients too, at UDP port 4321 of each address of this host: on the
    /// groups of these programs, 232.43.211.234, ff3e::4321:1234 and all that end in .234 or ::4321:1234.
    /// Naming a group with port 4321 does the same and answers on that group as well
    #[arg(long)]
    ssmping: bool,

    /// End after this time, as in 30s
    #[arg(long, alias = "for", value_name = "TIME", value_parser = super::duration)]
    duration: Option<Duration>,

    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &RespondArgs) -> Result<Exit, CliError> {
    let (config, _) = settings(&args.common)?;
    let ifaces = interfaces()?;
    let rows = resolve_groups(&args.groups, &ifaces)?;
    let mut session = start(&ifaces, &args.common, &config, Settings { keep_packets: false })?;
    let mode = if args.any { Respond::Any } else { Respond::Probes };
    for m in rows {
        let (id, _) = session.join(m, Origin::User, None);
        session.respond(id, mode);
    }
    if args.ssmping {
        session.command(Command::ServePings);
    }
    let signals = signals::listen(false);
    let end = args.duration.map(|d| Instant::now() + d);
    let offset = local_offset(clock::now().wall);
    let mut told = 0;
    let exit = loop {
        session.pump(|_, _| {}, |_, _| {});
        session.model.advance(clock::now());
        tell(&session, &mut told, offset);
        let now = Instant::now();
        if end.is_some_and(|e| now >= e) {
            break Exit::Done;
        }
        if !args.ssmping && session.model.groups().all(|g| matches!(g.join, JoinState::Failed { .. })) {
            break Exit::CouldNotRun;
        }
        let tick = Duration::from_secs(1);
        let wait = end.map_or(tick, |e| e.saturating_duration_since(now).min(tick));
        select! {
            recv(signals) -> s => if let Ok(Signal::End(code)) = s { break Exit::Signal(code) },
            recv(session.engine().updates()) -> u => if let Ok(u) = u { session.update(u) },
            recv(session.engine().batches()) -> b => if let Ok(b) = b { session.hold(b) },
            default(wait) => {}
        }
    };
    session.stop(|_, _| {}, |_, _| {});
    tell(&session, &mut told, offset);
    for g in session.model.groups() {
        let text = format!(
            "{}: {} heard, {} answered\n",
            g.membership,
            units::counted(g.counters.packets, "datagram", "datagrams"),
            units::count(g.answered)
        );
        print(&text)?;
    }
    Ok(exit)
}

fn tell(session: &Session, told: &mut u64, utc_offset_s: i32) {
    for e in session.model.events().since(*told) {
        // A reader that went away does not stop the answering.
        let _ = print(&(plain::event(e, utc_offset_s) + "\n"));
    }
    *told = session.model.events().next();
}
