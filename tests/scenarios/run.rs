//! Runs a scenario in simulated time.

use std::fmt::Write as _;
use std::sync::Arc;

use mcscope::base::batch::{Account, Batch, Datagram};
use mcscope::base::group::{Membership, MembershipId, SourceFilter};
use mcscope::base::iface::{Iface, IfaceKind};
use mcscope::base::time::{Mono, Now, SECOND_NS, Wall};
use mcscope::model::group::{Buffer, Origin};
use mcscope::model::pair::Who;
use mcscope::model::{Model, Settings};

use crate::expect;
use crate::language::{Item, Scenario};

/// Time 0 of a scenario by the monotonic clock: a whole second, so that strips begin evenly.
const START: u64 = 1000 * SECOND_NS;
/// And by the wall clock.
const WALL: i64 = 1_700_000_000 * SECOND_NS as i64;
/// How often the front end's loop brings the model up to date.
const TICK: u64 = SECOND_NS / 10;

/// How to run it; none of this may matter.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// Datagrams in a batch at most.
    pub batch: usize,
    pub keep_packets: bool,
}

/// What came of it.
pub struct Outcome {
    /// What did not hold.
    pub problems: Vec<String>,
    /// Every figure there is, as text.
    pub figures: String,
}

struct Runner<'a> {
    scenario: &'a Scenario,
    how: How,
    model: Model,
    batch: Batch,
    step_ns: i64,
    problems: Vec<String>,
}

/// Runs it.
pub fn run(scenario: &Scenario, how: How) -> Outcome {
    let start = Now { mono: Mono(START), wall: Wall(WALL) };
    let mut r = Runner {
        scenario,
        how,
        model: Model::new(Settings { keep_packets: how.keep_packets }, start),
        batch: Batch::new(),
        step_ns: 0,
        problems: Vec::new(),
    };
    let mut names: Vec<&str> = scenario.rows.iter().map(|r| &*r.iface).collect();
    names.dedup();
    r.model.set_ifaces(names.into_iter().map(iface).collect(), start);
    r.model.set_rules(scenario.rules.clone());
    for (i, row) in scenario.rows.iter().enumerate() {
        let id = MembershipId(i as u32);
        let m = Membership {
            group: row.to.ip,
            port: row.to.port,
            iface: row.iface.as_str().into(),
            filter: SourceFilter::Any,
        };
        let origin = if row.user { Origin::User } else { Origin::Default };
        r.model.add(id, Arc::new(m), origin, None);
        if row.joins {
            r.model.joined(id, Buffer::default(), start);
        }
    }
    let mut tick = TICK;
    for (at, item) in &scenario.items {
        while tick < (*at).min(scenario.until) {
            r.advance(tick);
            tick += TICK;
        }
        if *at == u64::MAX {
            break;
        }
        r.item(*at, item);
    }
    while tick <= scenario.until {
        r.advance(tick);
        tick += TICK;
    }
    r.model.finish();
    for (_, item) in scenario.items.iter().filter(|(at, _)| *at == u64::MAX) {
        if let Item::Expect { line, scope, wants } = item {
            expect::check(&r.model, scenario, *line, scope, wants, &mut r.problems);
        }
    }
    Outcome { figures: figures(&r.model), problems: r.problems }
}

fn iface(name: &str) -> Iface {
    Iface {
        index: 2,
        name: name.into(),
        up: true,
        carrier: Some(true),
        multicast: true,
        kind: IfaceKind::Wired,
        master: None,
        mtu: Some(1500),
        mac: None,
        addrs: Vec::new(),
    }
}

impl Runner<'_> {
    fn now(&self, at: u64) -> Now {
        Now { mono: Mono(START + at), wall: Wall(WALL + at as i64 + self.step_ns) }
    }

    fn flush(&mut self) {
        if !self.batch.is_empty() {
            self.model.apply(&self.batch);
            self.batch.clear();
        }
    }

    fn advance(&mut self, at: u64) {
        self.flush();
        self.model.advance(self.now(at));
    }

    fn item(&mut self, at: u64, item: &Item) {
        let now = self.now(at);
        match item {
            Item::Datagram { row, from, payload, len, ttl, tos } => {
                let mut d = Datagram::new(MembershipId(*row as u32), now.wall, *from, *len);
                d.ttl = *ttl;
                d.tos = *tos;
                self.batch.push_copy(d, payload);
                self.batch.received = now;
                if self.batch.datagrams().len() == self.how.batch {
                    self.flush();
                }
            }
            Item::Account { row, socket_drops, not_analysed, not_analysed_bytes } => {
                self.flush();
                self.batch.received = now;
                self.batch.accounts.push(Account {
                    membership: MembershipId(*row as u32),
                    socket_drops: *socket_drops,
                    not_analysed: *not_analysed,
                    not_analysed_bytes: *not_analysed_bytes,
                });
                self.flush();
            }
            // A batch may straddle a step: its receiver reads both clocks after the last datagram.
            Item::Clock { step_ns } => self.step_ns += step_ns,
            Item::Nic { drops } => {
                self.flush();
                self.model.nic_drops(&self.scenario.rows[0].iface, *drops);
            }
            Item::Counter { row, from, choice } => {
                self.flush();
                self.model.choose_counter(MembershipId(*row as u32), *from, *choice);
            }
            Item::Reset { row } => {
                self.flush();
                self.model.reset(row.map(|r| MembershipId(r as u32)));
            }
            Item::Join { row } => {
                self.flush();
                self.model.joined(MembershipId(*row as u32), Buffer::default(), now);
            }
            Item::Fail { row } => {
                self.flush();
                let id = MembershipId(*row as u32);
                self.model.failed(id, "cannot join: no such device".to_owned(), None, now);
            }
            Item::Look { row, from } => {
                self.flush();
                self.model.look_at(MembershipId(*row as u32), Some(*from));
            }
            Item::Pair { a, b } => {
                self.flush();
                let leg = |&(row, from): &(usize, _)| (MembershipId(row as u32), Who::Sender(from));
                if let Err(e) = self.model.mark_pair(leg(a), leg(b), now) {
                    self.problems.push(format!(": pair: {e}"));
                }
            }
            Item::Unpair => {
                self.flush();
                let first = self.model.pairs().first().map(|p| p.id);
                first.into_iter().for_each(|id| self.model.unmark_pair(id, now));
            }
            Item::Expect { line, scope, wants } => {
                self.advance(at);
                expect::check(&self.model, self.scenario, *line, scope, wants, &mut self.problems);
            }
        }
    }
}

/// All figures as text, a line for each thing that has any.
pub fn figures(model: &Model) -> String {
    let mut out = String::new();
    let now = model.now().mono;
    let _ = writeln!(out, "{:?}", model.totals());
    for g in model.groups() {
        let strip: Vec<_> = g.strip.iter().flat_map(|s| s.packets(now, 60)).collect();
        let _ = writeln!(
            out,
            "{} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {:?} {strip:?}",
            g.membership,
            g.state,
            g.counters,
            g.drops,
            g.gaps,
            g.rate(now),
            g.continuity(),
            g.first,
            g.last,
        );
        for s in g.sources.list() {
            let _ = writeln!(out, "{s:?} rate {:?}", s.rate.rate(now, s.first.mono));
            if let Some(d) = &s.detail {
                let _ = writeln!(out, "{:?}", d.gaps.cells().collect::<Vec<_>>());
            }
        }
    }
    for p in model.pairs() {
        let _ = writeln!(out, "{:?} {:?} {:?}", p.standing(now), p.counts(), p.skew());
        let seconds: Vec<_> = (0..60).map(|back| p.minute().second(now, back)).collect();
        let _ = writeln!(out, "{:?} {seconds:?}", p.skew().cells());
    }
    for e in model.events().iter() {
        let _ = writeln!(out, "{e:?}");
    }
    out
}
