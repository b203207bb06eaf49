//! `mcscope watch`: the engine without a screen.

use std::time::{Duration, Instant};

use crossbeam_channel::select;

use crate::base::batch::{Batch, Capture};
use crate::base::group::Membership;
use crate::base::time::Wall;
use crate::cli::output::{Output, Rank};
use crate::cli::session::Session;
use crate::cli::signals::{self, Signal};
use crate::cli::{CliError, Exit, Format, local_offset};
use crate::engine;
use crate::export::stats::Reporter;
use crate::export::{csv, feed, json, plain};
use crate::model::Model;
use crate::model::event::{Event, EventKind};
use crate::model::filter::{Expr, Packeted};
use crate::model::group::{Group, JoinState};
use crate::model::seen::TapState;
use crate::net::clock;

/// What to print and when to end.
#[derive(Clone, Debug)]
pub struct Watch {
    /// In which form.
    pub format: Format,
    /// Statistics this often.
    pub interval: Duration,
    /// End after this time.
    pub duration: Option<Duration>,
    /// End after so many datagrams.
    pub count: Option<u64>,
    /// No packets, only events and statistics.
    pub stats_only: bool,
    /// Bytes of payload in a packet line.
    pub snap: usize,
    /// Which packets are printed and counted by `count`; statistics and events are of all.
    pub filter: Expr,
}

impl Watch {
    /// How many datagrams are taken at most. With a filter it is not known before they are looked at
    /// which of them count.
    fn taken(&self) -> Option<u64> {
        self.count.filter(|_| !self.filter.is_set())
    }
}

/// While datagrams come, the next look is this much later: many batches a turn, one wake-up.
const NAP: Duration = Duration::from_millis(1);
/// The same where the sockets of many groups are emptied in rounds, tens of milliseconds long.
const LONG_NAP: Duration = Duration::from_millis(5);
/// From so many groups on.
const MANY: usize = 100;
/// Silence is noticed within this.
const TICK: Duration = Duration::from_millis(250);

struct Printer<'a> {
    watch: &'a Watch,
    out: Output,
    reporter: Reporter,
    utc_offset_s: i32,
    next_event: u64,
    counted: u64,
}

/// Runs until it is told to end; the exit code.
///
/// # Errors
/// When the writer cannot be started.
pub fn run(mut session: Session, watch: &Watch) -> Result<Exit, CliError> {
    let signals = signals::listen(false);
    let now = clock::now();
    let mut printer = Printer {
        watch,
        out: Output::start()
            .map_err(|e| CliError::could_not(format!("cannot start the output thread: {e}")))?,
        reporter: Reporter::new(now.mono),
        utc_offset_s: local_offset(now.wall),
        next_event: 0,
        counted: 0,
    };
    printer.heading();
    let begun = Instant::now();
    let end = watch.duration.map(|d| begun + d);
    let mut next_stats = begun + watch.interval;
    let mut next_tick = begun + TICK;
    let exit = loop {
        let count = watch.taken();
        let busy = {
            let counted = std::cell::Cell::new(printer.counted);
            let p = std::cell::RefCell::new(&mut printer);
            session.pump(
                |_, batch| limit(batch, count, &counted),
                |model, batch| p.borrow_mut().packets(model, batch),
            )
        };
        let now = Instant::now();
        if now >= next_tick {
            next_tick = now + TICK;
            session.model.advance(clock::now());
        }
        printer.events(&session.model);
        if printer.out.is_broken() {
            break Exit::Done;
        }
        if watch.count.is_some_and(|n| printer.counted >= n) || end.is_some_and(|e| now >= e) {
            break Exit::Done;
        }
        if nothing_joined(&session.model) || nothing_seen(&session.model) {
            break Exit::CouldNotRun;
        }
        if now >= next_stats {
            // Behind by more than an interval (a stopped process): skip, do not catch up.
            while next_stats <= now {
                next_stats += watch.interval;
            }
            session.model.advance(clock::now());
            printer.stats(&session.model, false);
        }
        let wait = next_stats.min(next_tick).min(end.unwrap_or(next_tick)).saturating_duration_since(now);
        // A ring hands over many batches at a time, and the next ones milliseconds later.
        let signal = if busy && session.model.capture() == Capture::Sockets {
            let nap = if session.model.group_count() < MANY { NAP } else { LONG_NAP };
            engine::nap(nap.min(wait));
            signals.try_recv().ok()
        } else {
            select! {
                recv(signals) -> s => s.ok(),
                recv(printer.out.gone()) -> _ => None,
                recv(session.engine().updates()) -> u => {
                    if let Ok(u) = u { session.update(u) }
                    None
                }
                recv(session.engine().batches()) -> b => {
                    if let Ok(b) = b { session.hold(b) }
                    None
                }
                recv(session.engine().sights()) -> s => {
                    if let Ok(s) = s { session.hold_sight(s) }
                    None
                }
                default(wait) => None,
            }
        };
        if let Some(Signal::End(code)) = signal {
            break Exit::Signal(code);
        }
    };
    let count = watch.taken();
    {
        let counted = std::cell::Cell::new(printer.counted);
        let p = std::cell::RefCell::new(&mut printer);
        session.stop(
            |_, batch| limit(batch, count, &counted),
            |model, batch| p.borrow_mut().packets(model, batch),
        );
    }
    printer.events(&session.model);
    printer.stats(&session.model, true);
    printer.out.finish();
    Ok(exit)
}

/// With `--count N`, what comes after the Nth datagram is not counted.
fn limit(batch: &mut Batch, count: Option<u64>, counted: &std::cell::Cell<u64>) {
    let Some(n) = count else { return };
    let left = usize::try_from(n.saturating_sub(counted.get())).unwrap_or(usize::MAX);
    batch.truncate(left);
    counted.set(counted.get() + batch.datagrams().len() as u64);
}

/// Whether every join has failed.
fn nothing_joined(model: &Model) -> bool {
    model.group_count() > 0
        && model.groups().all(|g| matches!(g.join, JoinState::Failed { .. }) && g.since.is_none())
}

/// Whether nothing was to be joined, and every tap has failed.
fn nothing_seen(model: &Model) -> bool {
    let mut taps = model.wire().ifaces().peekable();
    model.group_count() == 0
        && taps.peek().is_some()
        && taps.all(|(_, t)| matches!(t.state, TapState::Failed { .. }))
}

impl Printer<'_> {
    fn heading(&self) {
        if self.watch.format == Format::Csv {
            let heading = if self.watch.stats_only { csv::HEADER } else { json::Packet::CSV_HEADER };
            self.out.line(Rank::Must, heading.to_owned());
        }
    }

    fn packets(&mut self, model: &Model, batch: &Batch) {
        let watch = self.watch;
        let narrowed = watch.filter.is_set();
        if !narrowed {
            self.counted += batch.datagrams().len() as u64;
        }
        if (watch.stats_only && !narrowed) || batch.datagrams().is_empty() {
            return;
        }
        // The memberships of these datagrams stand, and that must be said first.
        self.events(model);
        if self.out.is_behind() && !narrowed {
            self.out.count_dropped(batch.datagrams().len() as u64);
            return;
        }
        let now = batch.received.mono;
        for d in batch.datagrams() {
            let Some(g) = model.group(d.membership) else { continue };
            let (source, payload) = (g.sources.get(d.source), batch.payload(d));
            let protocol = json::protocol(&g.membership, d, payload, source.and_then(|s| s.protocol()));
            if narrowed {
                let (gap_ns, host) = (None, None);
                let subject = Packeted { group: g, datagram: d, payload, protocol, gap_ns, host, now };
                if watch.count.is_some_and(|n| self.counted >= n) || !watch.filter.passes(&subject) {
                    continue;
                }
                self.counted += 1;
                if watch.stats_only {
                    continue;
                }
                if self.out.is_behind() {
                    self.out.count_dropped(1);
                    continue;
                }
            }
            let ours = source.is_some_and(|s| s.ours);
            let told = g.told(d.source.ip, d.len);
            let p = json::packet(&g.membership, d, payload, protocol, &told, ours, watch.snap);
            let line = match self.watch.format {
                Format::Json => p.json(d.time),
                Format::Csv => p.csv(d.time),
                Format::Text => plain::packet(d.time, &p, &g.membership, self.utc_offset_s),
            };
            self.out.line(Rank::Packet, line);
        }
    }

    fn events(&mut self, model: &Model) {
        if model.events().next() == self.next_event {
            return;
        }
        for e in model.events().since(self.next_event) {
            self.event(model, e);
        }
        self.next_event = model.events().next();
    }

    fn event(&self, model: &Model, e: &Event) {
        let joined = (e.kind == EventKind::Joined)
            .then(|| e.membership.as_deref().and_then(|m: &Membership| model.find(m)))
            .flatten();
        let line = match (self.watch.format, joined) {
            (Format::Json, Some(g)) => json::joined(e.time, g),
            (Format::Text, Some(g)) => self.joined_text(e.time, g),
            (Format::Json, None) => json::event(e),
            (Format::Text, None) => plain::event(e, self.utc_offset_s),
            // CSV has one kind of row only; who needs events takes JSON.
            (Format::Csv, _) => {
                if e.kind == EventKind::Failed {
                    eprintln!("mcscope: {}", e.text);
                }
                return;
            }
        };
        if e.kind == EventKind::Failed {
            eprintln!("mcscope: {}", e.text);
        }
        self.out.line(Rank::Must, line);
    }

    fn joined_text(&self, at: Wall, g: &Group) -> String {
        plain::joined(at, g, self.utc_offset_s)
    }

    fn stats(&mut self, model: &Model, last: bool) {
        let at = model.now().wall;
        let rank = if last { Rank::Must } else { Rank::Stats };
        let (out, watch) = (&self.out, self.watch);
        match watch.format {
            Format::Json => {
                self.reporter.report(model, out.dropped(), last, |s| {
                    out.line(rank, json::stats(at, &s, last));
                });
                feed::json(model, at, last).for_each(|line| {
                    out.line(rank, line);
                });
            }
            Format::Csv if watch.stats_only => self.reporter.report(model, out.dropped(), last, |s| {
                out.line(rank, csv::row(at, &s));
            }),
            Format::Csv => {}
            Format::Text => {
                let mut text = plain::summary(model, self.utc_offset_s);
                text.push_str(&feed::plain(model));
                if out.dropped() > 0 {
                    text.push_str(&format!("{} lines left out: the reader is too slow\n", out.dropped()));
                }
                out.line(rank, text);
            }
        }
    }
}
