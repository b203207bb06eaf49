//! `mcscope tree`: how long it takes from a join to the first datagram, and from the leave to the last
//! one on the wire; the same group again and again, or a fresh one a run.

use std::time::{Duration, Instant};

use clap::Args;
use crossbeam_channel::select;

use crate::base::group::{Membership, MembershipId};
use crate::base::tap::Depth;
use crate::base::time::{Mono, Now};
use crate::cli::session::Session;
use crate::cli::signals::{self, Signal};
use crate::cli::{CliError, Common, Exit, interfaces, print, resolve_groups, settings, wire};
use crate::export::tree::{Run, Summary};
use crate::model::Settings;
use crate::model::group::{Group, JoinState, Origin};
use crate::model::source::{Source, Stamp};
use crate::net::{clock, ring};

/// Time moves on in the model this often.
const TICK: Duration = Duration::from_millis(50);
/// The wire is quiet when nothing came for so long, in ns, or for so many times the usual gap.
const QUIET_NS: u64 = 2_000_000_000;
const TIMES_USUAL: u64 = 10;
/// What came so shortly before the join was flowing already, in ns.
const FLOWING_NS: u64 = 1_000_000_000;

const EXAMPLES: &str = "Examples:
  mcscope tree 239.1.1.1%eth0:5004                          the same group three times
  mcscope tree 239.1.1.1+8%eth0:5004                        a fresh group a run
  mcscope tree 239.1.1.1%eth0:5004 --runs 20 --rest 5s --json";

#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct TreeArgs {
    /// The group; with +N a fresh one a run, so that no switch or router remembers it: 239.1.1.1+8:5004
    #[arg(value_name = "GROUP")]
    group: String,

    /// Runs; as many as there are groups without it, and 3 for a single one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: Option<u32>,

    /// Wait so long for the first datagram, and for the last
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = super::duration)]
    wait: Duration,

    /// Stay joined for so long after the first datagram
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = super::duration)]
    stay: Duration,

    /// Rest for so long between two runs
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = super::duration)]
    rest: Duration,

    /// One JSON object a line: a "tree" line for each run, then a "tree_summary"
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    common: Common,
}

/// What ends the runs early.
enum End {
    Signal(u8),
    /// A run could not be made; the reason was told.
    CouldNotRun,
}

pub(super) fn run(args: &TreeArgs) -> Result<Exit, CliError> {
    let (config, _) = settings(&args.common)?;
    let ifaces = interfaces()?;
    let rows = resolve_groups(std::slice::from_ref(&args.group), &ifaces)?;
    if let (Some(first), Some(other)) = (rows.first(), rows.iter().find(|m| m.iface != rows[0].iface)) {
        let text = format!(
            "{} is on several interfaces: name one, as in {}%{} or %{}",
            args.group, first.group, first.iface, other.iface
        );
        return Err(CliError::usage(text));
    }
    // What is still on the wire when nobody is joined is seen by a tap only, and only if the adapter lets
    // it through.
    let tap = ring::tap_available();
    if let Err(e) = &tap {
        eprintln!("mcscope: note: the time from the leave to the last datagram is not measured: {e}");
    }
    let depth = if tap.is_ok() { Depth::All } else { Depth::Off };
    let mut session = wire::start(&ifaces, &args.common, &config, Settings { keep_packets: false }, depth)?;
    let runs = args.runs.unwrap_or(if rows.len() > 1 { rows.len() as u32 } else { 3 });
    let mut lab = Lab { args, signals: signals::listen(false), tap: tap.is_ok(), session: &mut session };
    let mut done = Vec::new();
    let mut exit = Exit::Done;
    for (n, m) in (1..=runs).zip(rows.iter().cycle()) {
        match lab.run(n, m) {
            Ok(run) => {
                let now = lab.session.model.now().wall;
                print(&(if args.json { run.json(now) } else { run.plain() } + "\n"))?;
                done.push(run);
            }
            Err(End::Signal(code)) => {
                exit = Exit::Signal(code);
                break;
            }
            Err(End::CouldNotRun) => {
                exit = Exit::CouldNotRun;
                break;
            }
        }
    }
    let summary = Summary::of(&done);
    let now = session.model.now().wall;
    print(&if args.json { summary.json(now) + "\n" } else { summary.plain() })?;
    session.stop(|_, _| {}, |_, _| {});
    Ok(if exit == Exit::Done && summary.answered < summary.runs { Exit::Unmet } else { exit })
}

struct Lab<'a> {
    args: &'a TreeArgs,
    signals: crossbeam_channel::Receiver<Signal>,
    tap: bool,
    session: &'a mut Session,
}

/// The first datagram of a row, and its sender.
fn first(g: &Group) -> Option<&Source> {
    g.sources.list().iter().min_by_key(|s| s.first.mono)
}

impl Lab<'_> {
    /// Lets time pass until `done` holds; whether it did before `most` was over.
    fn until(&mut self, most: Duration, mut done: impl FnMut(&Session, Now) -> bool) -> Result<bool, End> {
        let end = Instant::now() + most;
        loop {
            self.session.pump(|_, _| {}, |_, _| {});
            let now = clock::now();
            self.session.model.advance(now);
            if done(self.session, now) {
                return Ok(true);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            let session = &mut *self.session;
            select! {
                recv(self.signals) -> s => if let Ok(Signal::End(code)) = s { return Err(End::Signal(code)) },
                recv(session.engine().updates()) -> u => if let Ok(u) = u { session.update(u) },
                recv(session.engine().batches()) -> b => if let Ok(b) = b { session.hold(b) },
                recv(session.engine().sights()) -> s => if let Ok(s) = s { session.hold_sight(s) },
                default(left.min(TICK)) => {}
            }
        }
    }

    /// What is on the wire of a group that is not joined: the last datagram, how many there were, and the
    /// usual gap.
    fn on_wire(session: &Session, m: &Membership) -> Option<(Stamp, u64, u64)> {
        let of = |g: &&Group| g.membership.endpoint() == m.endpoint() && g.membership.iface == m.iface;
        let rows = session.model.wire().rows().filter(of);
        rows.filter_map(|g| Some((g.last?, g.counters.packets, g.gaps.usual_ns))).max_by_key(|r| r.0.mono)
    }

    fn run(&mut self, n: u32, m: &Membership) -> Result<Run, End> {
        let mut notes: Vec<String> = Vec::new();
        if n > 1 {
            self.until(self.args.rest, |_, _| false)?;
        } else if self.tap {
            // The tap stands before the first join, and sees what flows without it.
            let iface = m.iface.clone();
            self.until(Duration::from_secs(2), |s, _| s.model.wire().is_on(&iface))?;
            self.until(Duration::from_nanos(FLOWING_NS), |_, _| false)?;
        }
        let called = clock::now();
        let flowing = Self::on_wire(self.session, m)
            .is_some_and(|(last, ..)| called.mono.since(last.mono) < FLOWING_NS);
        let (id, _) = self.session.join(m.clone(), Origin::User, None);
        let wait = self.args.wait;
        let came = self.until(wait, |s, _| {
            s.model
                .group(id)
                .is_some_and(|g| first(g).is_some() || matches!(g.join, JoinState::Failed { .. }))
        })?;
        if let Some(JoinState::Failed { error, remedy }) =
            self.session.model.group(id).map(|g| g.join.clone())
        {
            let remedy = remedy.map_or_else(String::new, |r| format!("; {r}"));
            eprintln!("mcscope: {error}{remedy}");
            return Err(End::CouldNotRun);
        }
        if came {
            self.until(self.args.stay, |_, _| false)?;
        }
        let mut run = Run {
            run: n,
            group: m.group.to_string(),
            port: m.port,
            iface: m.iface.clone(),
            join_to_first_ns: None,
            source: None,
            from_report: false,
            leave_to_last_ns: None,
            after_leave: None,
            note: None,
        };
        self.joined(&mut run, id, m, called);
        if flowing {
            notes.push("it was on the wire before the join: nothing keeps it away here".to_owned());
        }
        self.leave(&mut run, &mut notes, id, m)?;
        run.note = (!notes.is_empty()).then(|| notes.join("; "));
        Ok(run)
    }

    /// From the join to the first datagram.
    fn joined(&self, run: &mut Run, id: MembershipId, m: &Membership, called: Now) {
        let Some(source) = self.session.model.group(id).and_then(first) else { return };
        let at = source.first.mono;
        // The report is what the network answers to; it leaves a moment after the call.
        let ours = self.session.model.memberships().link(&m.iface).and_then(|l| {
            let members = l.side(m.group).members.of(m.group);
            members.iter().filter(|m| m.ours).map(|m| m.first.mono).max()
        });
        let report = ours.filter(|r| *r >= called.mono && *r <= at);
        run.from_report = report.is_some();
        run.join_to_first_ns = Some(at.since(report.unwrap_or(called.mono)));
        run.source = Some(source.endpoint.to_string());
    }

    /// From the leave to the last datagram on the wire.
    fn leave(
        &mut self,
        run: &mut Run,
        notes: &mut Vec<String>,
        id: MembershipId,
        m: &Membership,
    ) -> Result<(), End> {
        let before = Self::on_wire(self.session, m).map_or(0, |(_, packets, _)| packets);
        let left: Mono = clock::now().mono;
        self.session.leave(&[id]);
        if run.join_to_first_ns.is_none() {
            return Ok(());
        }
        if !self.tap {
            notes.push(
                "what came after the leave is not seen: a socket hears nothing then, and a tap takes CAP_NET_RAW"
                    .to_owned(),
            );
            return Ok(());
        }
        // That nothing more comes is seen only after it did not come for a while.
        let most = self.args.wait;
        let quiet = self.until(most + Duration::from_nanos(QUIET_NS) + TICK, |s, now| {
            let (last, usual) =
                Self::on_wire(s, m).map_or((left, 0), |(last, _, usual)| (last.mono.max(left), usual));
            now.mono.since(last) > QUIET_NS.max(usual.saturating_mul(TIMES_USUAL))
        })?;
        let link = self.session.model.memberships().link(&m.iface);
        let held = link.and_then(|l| l.host.group(m.group)).is_some_and(|g| g.joined.users > 0);
        if held {
            notes.push("another program on this host holds the group: no leave was sent".to_owned());
        }
        let Some((last, packets, _)) = Self::on_wire(self.session, m) else {
            (run.leave_to_last_ns, run.after_leave) = (Some(0), Some(0));
            return Ok(());
        };
        run.after_leave = Some(packets.saturating_sub(before));
        if quiet {
            run.leave_to_last_ns = Some(last.mono.since(left));
        } else {
            let most = crate::base::units::duration(most.as_nanos() as u64);
            notes.push(format!(
                "still on the wire {most} after the leave: another member behind the same port, or no switch that snoops"
            ));
        }
        Ok(())
    }
}
