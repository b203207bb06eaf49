//! A model and an engine that belong together, as every front end needs them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::base::batch::Batch;
use crate::base::group::{Membership, MembershipId};
use crate::base::iface::Iface;
use crate::base::registry::Registry;
use crate::base::tap::Depth;
use crate::cli::examination;
use crate::cli::privileges;
use crate::cli::updates::{ping_ended, send_ended, take};
use crate::doctor::finding::Report;
use crate::engine::command::{
    Command, Examined, PingId, PingJob, PingProgress, Respond, SendId, SendJob, SendProgress, SendState,
    Update,
};
use crate::engine::{Engine, Options};
use crate::model::event::EventKind;
use crate::model::group::{Group, JoinState, Origin};
use crate::model::pair::{PairId, Who};
use crate::model::pairs::PairError;
use crate::model::seen::Sight;
use crate::model::{Model, Settings};
use crate::net::clock;

/// Between two examinations of the same, in ns.
const REST_NS: u64 = 2_000_000_000;
/// Sends that are remembered.
const SENDS_MAX: usize = 100;
/// Sights of taps that are counted before the joined groups have their turn again.
const SIGHTS_A_TURN: usize = 32;
/// Leaves that can be undone.
const UNDO_MAX: usize = 100;

/// What it takes to join a row again.
type LeftRow = (Arc<Membership>, Origin, Option<Arc<str>>);

/// The model with what feeds it.
pub struct Session {
    /// What is known.
    pub model: Model,
    engine: Engine,
    registry: &'static Registry,
    next_row: u32,
    next_send: u32,
    left: Vec<Vec<LeftRow>>,
    held: Option<Box<Batch>>,
    held_sight: Option<Box<Sight>>,
    /// Whether taps were asked for at the start.
    taps: bool,
    /// Nothing is joined, whoever asks.
    no_join: bool,
    /// Names of addresses, as far as they were looked up.
    pub names: HashMap<IpAddr, Option<Arc<str>>>,
    /// The sends of this run, oldest first.
    pub sends: Vec<(SendId, SendProgress)>,
    /// The ping of the dashboard: the running one, or the one before.
    pub ping: Option<(PingId, Box<PingProgress>)>,
    next_ping: u32,
    /// The examination that is shown.
    pub examined: Examined,
    /// What one runs for: not what is shown, if that changed meanwhile.
    examining: Option<Option<MembershipId>>,
    /// How sends ended since the front end last looked, in words.
    pub ended: Vec<String>,
}

impl Session {
    /// Starts the engine on these interfaces.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start(ifaces: &[Iface], options: Options, settings: Settings) -> std::io::Result<Session> {
        let now = clock::now();
        let mut model = Model::new(settings, now);
        model.set_ifaces(ifaces.to_vec(), now);
        Ok(Session {
            model,
            engine: Engine::start(ifaces.to_vec(), options)?,
            registry: Registry::builtin(),
            next_row: 0,
            next_send: 0,
            left: Vec::new(),
            held: None,
            held_sight: None,
            taps: options.tap > Depth::Off,
            no_join: false,
            names: HashMap::new(),
            sends: Vec::new(),
            ping: None,
            next_ping: 0,
            examined: Examined::default(),
            examining: None,
            ended: Vec::new(),
        })
    }

    /// From now on nothing is joined, whoever asks for it.
    pub fn refuse_joins(&mut self) {
        self.no_join = true;
    }

    /// Taps look so deep, at these interfaces alone. For a session whose taps are off: none is opened on
    /// another first.
    pub fn tap_only(&mut self, names: Vec<Arc<str>>, depth: Depth) {
        self.taps = depth > Depth::Off;
        self.engine.command(Command::TapOnly(names));
        self.engine.command(Command::Tap(depth));
    }

    /// Whether nothing is joined, whoever asks.
    pub fn refuses_joins(&self) -> bool {
        self.no_join
    }

    /// The engine's channels, to wait on.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Joins a row, unless there is one for just this membership; its number either way, and whether
    /// it is new.
    pub fn join(
        &mut self,
        membership: Membership,
        origin: Origin,
        label: Option<&str>,
    ) -> (MembershipId, bool) {
        if let Some(g) = self.model.find(&membership) {
            let id = g.id;
            if matches!(g.join, JoinState::Failed { .. }) {
                self.retry(id);
            }
            return (id, false);
        }
        let label: Option<Arc<str>> = label
            .map(Arc::from)
            .or_else(|| self.registry.label(membership.endpoint()).map(|row| Arc::from(row.name.as_str())));
        (self.join_as(Arc::new(membership), origin, label), true)
    }

    /// Joins two rows and marks what comes by them as A and B of one feed. With a source-specific
    /// membership it is that sender's stream, otherwise the first one's that is heard.
    ///
    /// # Errors
    /// When they are the same, or too many are compared already.
    pub fn pair(&mut self, a: &Membership, b: &Membership) -> Result<PairId, PairError> {
        let [a, b] = [a, b].map(|m| (self.join(m.clone(), Origin::User, None).0, Who::Anyone));
        self.model.mark_pair(a, b, clock::now())
    }

    fn join_as(
        &mut self,
        membership: Arc<Membership>,
        origin: Origin,
        label: Option<Arc<str>>,
    ) -> MembershipId {
        let id = MembershipId(self.next_row);
        self.next_row += 1;
        self.model.add(id, membership.clone(), origin, label);
        if self.no_join {
            let remedy = Some("start without --no-join to join groups".to_owned());
            let error = format!("cannot join {membership}: --no-join only watches");
            self.model.failed(id, error, remedy, clock::now());
            return id;
        }
        if !self.engine.command(Command::Join { id, membership }) {
            let error = "the engine does not keep up with so many joins".to_owned();
            self.model.failed(id, error, Some("try again".into()), clock::now());
        }
        id
    }

    /// Leaves rows; [`Session::undo`] brings them back.
    pub fn leave(&mut self, ids: &[MembershipId]) {
        let gone: Vec<_> = ids
            .iter()
            .filter_map(|&id| self.model.group(id))
            .map(|g| (g.membership.clone(), g.origin, g.label.clone()))
            .collect();
        if gone.is_empty() {
            return;
        }
        self.left.push(gone);
        if self.left.len() > UNDO_MAX {
            self.left.remove(0);
        }
        for &id in ids {
            self.engine.command(Command::Leave(id));
            self.engine.command(Command::Stands(id, None));
            self.model.left(id, clock::now());
        }
    }

    /// Joins again what was left last; the rows that are back.
    pub fn undo(&mut self) -> Vec<MembershipId> {
        let rows = self.left.pop().unwrap_or_default();
        rows.into_iter()
            .map(|(membership, origin, label)| match self.model.find(&membership) {
                Some(g) => g.id,
                None => self.join_as(membership, origin, label),
            })
            .collect()
    }

    /// Tries a failed row again.
    pub fn retry(&mut self, id: MembershipId) {
        self.model.retrying(id);
        self.engine.command(Command::Retry(id));
    }

    /// Sets the responder of a row.
    pub fn respond(&mut self, id: MembershipId, mode: Respond) {
        self.engine.command(Command::Respond(id, mode));
    }

    /// Starts a send.
    pub fn send(&mut self, job: SendJob) -> SendId {
        let id = SendId(self.next_send);
        self.next_send += 1;
        let progress = SendProgress { to: Some(job.to), ..SendProgress::default() };
        if self.sends.len() >= SENDS_MAX
            && let Some(done) = self.sends.iter().position(|(_, p)| p.state != SendState::Running)
        {
            self.sends.remove(done);
        }
        self.sends.push((id, progress));
        self.engine.command(Command::Send(id, Box::new(job)));
        id
    }

    /// Starts to ping; one that runs is stopped.
    pub fn start_ping(&mut self, job: PingJob) {
        self.stop_ping();
        let id = PingId(self.next_ping);
        self.next_ping += 1;
        self.ping = Some((id, Box::new(PingProgress::new(&job))));
        self.engine.command(Command::Ping(id, Box::new(job)));
    }

    /// Keeps the examination of a row, or of the host, going: measures anew some time after the last one.
    /// One that runs for something else is ended first.
    /// Rows that are only seen on the wire are not: it would join them.
    pub fn examine(&mut self, of: Option<MembershipId>) {
        if of.and_then(|id| self.model.group(id)).is_some_and(|g| !g.is_joined()) {
            return;
        }
        let now = clock::now().mono;
        if self.examined.of != of {
            self.examined = Examined { of, ..Examined::default() };
        }
        match self.examining {
            Some(other) => {
                if other != of {
                    self.engine.command(Command::StopExamining);
                }
            }
            None if self.examined.outcome.is_some() && now.since(self.examined.at) < REST_NS => {}
            None => {
                let request = examination::request(&self.model, of);
                if self.engine.command(Command::Examine(of, Box::new(request))) {
                    self.examining = Some(of);
                    self.examined.running = true;
                }
            }
        }
    }

    /// Takes the outcome of an examination.
    fn examined(&mut self, of: Option<MembershipId>, outcome: Result<Box<Report>, String>) {
        self.examining = None;
        if self.examined.of == of {
            self.examined = Examined { of, outcome: Some(outcome), at: clock::now().mono, running: false };
        }
    }

    /// Stops the ping; its figures stay.
    pub fn stop_ping(&mut self) {
        if let Some((id, p)) = &self.ping
            && p.state == SendState::Running
        {
            self.engine.command(Command::StopPing(*id));
        }
    }

    /// Passes a command on as it is.
    pub fn command(&self, command: Command) {
        self.engine.command(command);
    }

    /// Takes what the engine tells and what it received, in the right order: a membership stands
    /// before its first datagram is counted. `seen` looks at each batch before it is counted and may
    /// shorten it; `counted` looks at it afterwards. True if there was anything.
    pub fn pump(
        &mut self,
        mut seen: impl FnMut(&Model, &mut Batch),
        mut counted: impl FnMut(&Model, &Batch),
    ) -> bool {
        let mut any = false;
        while let Ok(update) = self.engine.updates().try_recv() {
            self.update(update);
            any = true;
        }
        // No more than there are batches, so that updates have their turn under any load.
        for _ in 0..crate::engine::pool::BATCHES {
            let next = self.held.take().or_else(|| self.engine.batches().try_recv().ok());
            let Some(mut batch) = next else { break };
            any = true;
            // A listener tells that it stands before it hands a batch on.
            while let Ok(update) = self.engine.updates().try_recv() {
                self.update(update);
            }
            seen(&self.model, &mut batch);
            self.model.apply(&batch);
            self.model.counted(&batch, clock::now());
            counted(&self.model, &batch);
            self.engine.recycle(batch);
        }
        // The joined groups came first; a flood on the wire has to wait.
        for _ in 0..SIGHTS_A_TURN {
            let next = self.held_sight.take().or_else(|| self.engine.sights().try_recv().ok());
            let Some(mut sight) = next else { break };
            any = true;
            saw(&mut self.model, &mut sight, &mut seen, &mut counted);
            self.engine.recycle_sight(sight);
        }
        any
    }

    /// Keeps what a tap saw that a loop got while it waited.
    pub fn hold_sight(&mut self, sight: Box<Sight>) {
        self.held_sight = Some(sight);
    }

    /// Keeps a batch that a loop got while it waited; the next [`Session::pump`] counts it first.
    pub fn hold(&mut self, batch: Box<Batch>) {
        self.held = Some(batch);
    }

    /// Takes one update, for a loop that waited on the channel itself.
    pub fn update(&mut self, update: Update) {
        if let Update::Examined(of, outcome) = update {
            return self.examined(of, outcome);
        }
        if let Update::Pinging(id, p) = update {
            if let Some((_, now)) = self.ping.as_mut().filter(|(i, _)| *i == id) {
                if p.state != SendState::Running && now.state == SendState::Running {
                    self.model.note(EventKind::Send, None, ping_ended(&p), clock::now());
                }
                **now = *p;
            }
            return;
        }
        if let Update::Sending(id, p) = &update
            && let Some(text) = send_ended(p)
            && self.sends.iter().any(|(i, _)| i == id)
        {
            self.model.note(EventKind::Send, None, text.clone(), clock::now());
            self.ended.push(text);
        }
        let settled = matches!(update, Update::Joined(..) | Update::Failed { .. } | Update::Tap(..));
        let moved = match &update {
            Update::Joined(id, _) | Update::Failed { id, .. } | Update::Filter(id, ..) => Some(*id),
            _ => None,
        };
        take(&mut self.model, &mut self.names, &mut self.sends, update);
        // What a tap sees of a row that stands is the row's, and else the wire's own.
        if let Some(g) = moved.and_then(|id| self.model.group(id)) {
            let stands = matches!(g.join, JoinState::Joined(_)).then(|| g.membership.clone());
            self.engine.command(Command::Stands(g.id, stands));
        }
        if settled && privileges::to_be_dropped() {
            self.drop_privileges();
        }
    }

    /// Gives up the privileges when every row has its socket or has failed.
    fn drop_privileges(&mut self) {
        if self.model.groups().any(|g| matches!(g.join, JoinState::Joining)) {
            return;
        }
        // Taps are sockets too: the one of a row's interface is opened when the row stands.
        let tapped = |g: &Group| g.since.is_none() || self.model.wire().iface(&g.membership.iface).is_some();
        if self.taps && (self.model.wire().ifaces().next().is_none() || !self.model.groups().all(tapped)) {
            return;
        }
        if let Some(text) = privileges::sockets_open() {
            self.model.note(EventKind::Note, None, text, clock::now());
        }
    }

    /// Ends receiving and sending; what was still under way is counted.
    pub fn stop(
        &mut self,
        mut seen: impl FnMut(&Model, &mut Batch),
        mut counted: impl FnMut(&Model, &Batch),
    ) {
        self.pump(&mut seen, &mut counted);
        let Session { model, engine, names, sends, .. } = self;
        // Both closures need the model: what is told waits until the batches are counted.
        let mut told = Vec::new();
        engine.stop(
            |update| told.push(update),
            |batch| {
                seen(model, batch);
                model.apply(batch);
                counted(model, batch);
            },
        );
        for update in told {
            take(model, names, sends, update);
        }
        while let Some(mut sight) = self.held_sight.take().or_else(|| self.engine.sights().try_recv().ok()) {
            saw(&mut self.model, &mut sight, &mut seen, &mut counted);
        }
        self.model.advance(clock::now());
        self.model.finish();
    }
}

/// Counts what a tap saw, with a look at it before and after.
fn saw(
    model: &mut Model,
    sight: &mut Sight,
    seen: &mut impl FnMut(&Model, &mut Batch),
    counted: &mut impl FnMut(&Model, &Batch),
) {
    model.sort(sight);
    seen(model, &mut sight.batch);
    model.saw(sight);
    counted(model, &sight.batch);
}
