//! `mcscope soak`: keeps memberships for as long as switches remember and longer, and says whether the
//! traffic went on.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use clap::Args;
use crossbeam_channel::select;

use crate::base::batch::Batch;
use crate::base::group::MembershipId;
use crate::base::units;
use crate::cli::session::Session;
use crate::cli::signals::{self, Signal};
use crate::cli::{CliError, Common, Exit, interfaces, local_offset, print, resolve_groups, settings, wire};
use crate::export::soak::Report;
use crate::export::{json, plain};
use crate::model::event::EventKind;
use crate::model::group::{JoinState, Origin};
use crate::model::soak::{Soak, Verdict};
use crate::model::source::Stamp;
use crate::model::{Model, Settings};
use crate::net::clock;

/// Event lines printed at most; what comes on top is counted.
const EVENTS_MAX: usize = 500;
/// The progress line is drawn this often.
const PROGRESS: Duration = Duration::from_secs(1);
/// Time moves on in the model this often.
const TICK: Duration = Duration::from_millis(250);

const EXAMPLES: &str = "Examples:
  mcscope soak 239.1.1.1:5004                               past the time after which switches forget
  mcscope soak 239.1.1.1+4%eth0:5004 --for 1h --json
  sudo mcscope soak 239.1.1.1:5004 --pause 500ms            with the queries heard on the wire";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SoakArgs {
    /// Groups to keep
    #[arg(value_name = "GROUP", required = true)]
    groups: Vec<String>,

    /// How long, as in 10m; switches forget a membership within 4 min 35 s of its last report
    #[arg(long = "for", alias = "duration", value_name = "TIME", default_value = "10m", value_parser = super::duration)]
    span: Duration,

    /// A time without datagrams that counts as a pause; ten times the usual gap without it, and at least
    /// 2 s
    #[arg(long, value_name = "TIME", value_parser = super::duration)]
    pause: Option<Duration>,

    /// One JSON object a line: what happens, then a "soak" line for each membership
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    common: Common,
}

type Soaks = BTreeMap<MembershipId, Soak>;

pub(super) fn run(args: &SoakArgs) -> Result<Exit, CliError> {
    let (config, _) = settings(&args.common)?;
    let ifaces = interfaces()?;
    let rows = resolve_groups(&args.groups, &ifaces)?;
    let keep = Settings { keep_packets: false };
    let mut session = wire::start(&ifaces, &args.common, &config, keep, wire::ears())?;
    let mut soaks = Soaks::new();
    let limit = args.pause.map(|p| u64::try_from(p.as_nanos()).unwrap_or(u64::MAX));
    for m in rows {
        let (id, _) = session.join(m, Origin::User, None);
        soaks.entry(id).or_insert_with(|| Soak::new(limit));
    }
    let signals = signals::listen(false);
    let begun = Instant::now();
    let end = begun + args.span;
    let mut teller = Teller::new(args);
    let mut next_progress = begun;
    let exit = loop {
        session.pump(|_, _| {}, |model, batch| take(&mut soaks, model, batch));
        session.model.advance(clock::now());
        for g in session.model.groups() {
            if let (Some(since), Some(soak)) = (g.since, soaks.get_mut(&g.id)) {
                soak.joined(since);
            }
        }
        teller.events(&session.model);
        let now = Instant::now();
        if now >= end {
            break Exit::Done;
        }
        if session.model.groups().all(|g| matches!(g.join, JoinState::Failed { .. }) && g.since.is_none()) {
            break Exit::CouldNotRun;
        }
        if now >= next_progress {
            next_progress = now + PROGRESS;
            teller.progress(&session, &soaks, now - begun);
        }
        let wait = end.saturating_duration_since(now).min(TICK);
        select! {
            recv(signals) -> s => if let Ok(Signal::End(code)) = s { break Exit::Signal(code) },
            recv(session.engine().updates()) -> u => if let Ok(u) = u { session.update(u) },
            recv(session.engine().batches()) -> b => if let Ok(b) = b { session.hold(b) },
            recv(session.engine().sights()) -> s => if let Ok(s) = s { session.hold_sight(s) },
            default(wait) => {}
        }
    };
    // The verdict is of this moment: leaving takes the memberships away.
    session.pump(|_, _| {}, |model, batch| take(&mut soaks, model, batch));
    session.model.advance(clock::now());
    teller.events(&session.model);
    teller.clear();
    let now = session.model.now();
    let mut worst = exit;
    for g in session.model.groups() {
        let Some(soak) = soaks.get(&g.id) else { continue };
        let report = Report::of(&session.model, g, soak, now.mono);
        print(&if args.json { report.json(now.wall) + "\n" } else { report.plain() })?;
        let timers = session.model.memberships().link(&g.membership.iface);
        let timers = timers.map(|l| l.timers(g.membership.group, now.mono)).unwrap_or_default();
        let unmet = matches!(
            soak.verdict(&timers, now.mono),
            Verdict::NotJoined | Verdict::Nothing | Verdict::Stopped(_) | Verdict::Paused
        );
        if unmet && worst == Exit::Done {
            worst = Exit::Unmet;
        }
    }
    session.stop(|_, _| {}, |_, _| {});
    Ok(worst)
}

/// Counts a batch.
fn take(soaks: &mut Soaks, model: &Model, batch: &Batch) {
    for d in batch.datagrams() {
        let (Some(g), Some(soak)) = (model.group(d.membership), soaks.get_mut(&d.membership)) else {
            continue;
        };
        if let Some(since) = g.since {
            soak.joined(since);
        }
        soak.arrived(Stamp { mono: g.arrival(d, batch.received), wall: d.time });
    }
}

/// What is said while it runs.
struct Teller<'a> {
    args: &'a SoakArgs,
    next_event: u64,
    told: usize,
    left_out: u64,
    utc_offset_s: i32,
    /// Whether a progress line stands on the terminal.
    drawn: bool,
    progress: bool,
}

impl<'a> Teller<'a> {
    fn new(args: &'a SoakArgs) -> Teller<'a> {
        let utc_offset_s = local_offset(clock::now().wall);
        let progress = std::io::stderr().is_terminal();
        Teller { args, next_event: 0, told: 0, left_out: 0, utc_offset_s, drawn: false, progress }
    }

    fn events(&mut self, model: &Model) {
        for e in model.events().since(self.next_event) {
            // Who sends is in the outcome; very many senders would hide what matters here.
            if matches!(e.kind, EventKind::SourceAppeared | EventKind::SourceSilent | EventKind::SourceBack) {
                continue;
            }
            if self.told >= EVENTS_MAX {
                self.left_out += 1;
                continue;
            }
            self.told += 1;
            self.clear();
            let stands = e.membership.as_deref().filter(|_| e.kind == EventKind::Joined);
            let line = match (self.args.json, stands.and_then(|m| model.find(m))) {
                (true, Some(g)) => json::joined(e.time, g),
                (true, None) => json::event(e),
                (false, _) => plain::event(e, self.utc_offset_s),
            };
            // A reader that went away does not end the soak before its time.
            let _ = print(&(line + "\n"));
        }
        self.next_event = model.events().next();
    }

    /// Takes the progress line away.
    fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            eprint!("\r\x1b[K");
        }
    }

    fn progress(&mut self, session: &Session, soaks: &Soaks, elapsed: Duration) {
        if !self.progress {
            return;
        }
        let whole = |d: Duration| units::duration(d.as_secs() * 1_000_000_000);
        let now = session.model.now().mono;
        let packets: u64 = soaks.values().map(|s| s.packets).sum();
        let paused = soaks.values().filter(|s| s.pausing(now).is_some()).count();
        let mut line =
            format!("{} of {}: {}", whole(elapsed), whole(self.args.span), units::packets(packets));
        if paused > 0 {
            line.push_str(&format!(
                ", {paused} of {} without traffic",
                units::counted(soaks.len() as u64, "group", "groups")
            ));
        }
        if let Some(g) = session.model.groups().next()
            && let Some(link) = session.model.memberships().link(&g.membership.iface)
        {
            match link.last_asked(g.membership.group) {
                Some(at) => {
                    line.push_str(&format!(", asked {} ago", whole(Duration::from_nanos(now.since(at.mono)))))
                }
                None => line.push_str(", no query yet"),
            }
        }
        if self.left_out > 0 {
            line.push_str(&format!(", {} left out", units::counted(self.left_out, "event", "events")));
        }
        eprint!("\r\x1b[K{line}");
        let _ = std::io::stderr().flush();
        self.drawn = true;
    }
}
