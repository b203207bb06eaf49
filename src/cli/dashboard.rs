//! The dashboard's loop: the model's only owner takes what the engine received, what the keyboard
//! says and what the clock says, and draws.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::ui::screen::Event;
use crossbeam_channel::{TryRecvError, select};

use crate::base::group::{Endpoint, MembershipId};
use crate::base::iface::Iface;
use crate::base::registry::Registry;
use crate::base::resolve;
use crate::base::tap::Depth;
use crate::base::time::Now;
use crate::cli::feeds::{self, Feeds};
use crate::cli::session::Session;
use crate::cli::signals::{self, Signal};
use crate::cli::wire::WireArgs;
use crate::cli::{CliError, Common, Exit, interfaces, local_offset, loopback, resolve_groups, settings};
use crate::config::Places;
use crate::engine::command::{Command, DEFAULT_LIMIT_PPS, Impair, Payload, PingJob, Plan, SendJob};
use crate::engine::demo::{self, Demo};
use crate::model::counter::Choice;
use crate::model::event::EventKind;
use crate::model::group::Origin;
use crate::model::pair::Who;
use crate::model::{Model, Settings};
use crate::net::{clock, limits, ring};
use crate::ui::action::Action;
use crate::ui::dialogs::Standard;
use crate::ui::keymap::KeyMap;
use crate::ui::layer::Ctx;
use crate::ui::screen::{self, Screen};
use crate::ui::terminal::{self, Terminal};
use crate::ui::theme::Theme;
use crate::wire;

/// What changed by itself is drawn this often.
const FRAME: Duration = Duration::from_millis(100);
/// When nothing came, only ages and the clock move.
const IDLE: Duration = Duration::from_millis(500);
/// What a key changed is drawn at once, but not more often than this.
const QUICK: Duration = Duration::from_millis(16);
/// While datagrams come, the next look at them is this much later.
const NAP: Duration = Duration::from_millis(2);

/// Runs the dashboard until it is quit.
///
/// # Errors
/// Wrong groups, no terminal, no thread.
pub fn run(
    groups: Vec<String>,
    demo: bool,
    theme: Option<Theme>,
    (wire, compared): (&WireArgs, &Feeds),
    common: &Common,
) -> Result<Exit, CliError> {
    let (config, places) = settings(common)?;
    let theme = match theme.or_else(|| Theme::named(config.theme.as_deref()?)) {
        Some(theme) => theme,
        // https://no-color.org: present and not empty.
        None if std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty()) => Theme::mono(),
        None => Theme::dark(),
    };
    let ifaces = interfaces()?;
    let mut kept = config.groups.clone();
    kept.extend(places.as_ref().map(Places::kept).unwrap_or_default());
    let legs = compared.legs(&ifaces, wire)?;
    let rows = match wire.no_join || (groups.is_empty() && kept.is_empty() && !legs.is_empty()) {
        true => Vec::new(),
        false => first_rows(&groups, &kept, demo, &ifaces)?,
    };
    let no_tap = ring::tap_available().err();
    if let (Some(e), true) = (&no_tap, wire.no_join) {
        // Neither joins nor taps: there would be nothing to see.
        return Err(CliError::could_not(e.to_string()));
    }
    // Without a tap for groups it hears IGMP and MLD at least, where it may.
    let depth = if no_tap.is_some() { Depth::Off } else { wire.depth().max(Depth::Ears) };
    let senders = match demo {
        true => {
            let lo = loopback(&ifaces)?;
            let senders = Demo::start(&lo.name, lo.index, std::process::id());
            Some(senders.map_err(|e| CliError::could_not(e.to_string()))?)
        }
        false => None,
    };
    let mut session = super::wire::start(&ifaces, common, &config, Settings::default(), depth)?;
    session.model.tap_refused(no_tap.map(|e| (e.reason(), e.remedy())));
    if wire.no_join {
        wire.watch_only(&mut session, &resolve_groups(&groups, &ifaces)?);
    }
    for (m, origin, label) in rows {
        session.join(m, origin, label);
    }
    feeds::pair(&mut session, &legs)?;
    let no_terminal = |e: std::io::Error| CliError::could_not(format!("cannot use the terminal: {e}"));
    let terminal = Terminal::enter().map_err(no_terminal)?;
    let mut recent = groups;
    for spec in places.as_ref().map(Places::recent).unwrap_or_default() {
        if !recent.contains(&spec) {
            recent.push(spec);
        }
    }
    let mut dash = Dashboard {
        scene: Scene {
            session,
            theme,
            keys: config.keymap.clone(),
            recent,
            host: limits::hostname().unwrap_or_else(|| "this host".to_owned()),
            frozen: None,
            utc_offset_s: 0,
        },
        screen: Screen::new(screen::Settings { dialogs: Box::new(Standard::default()) }),
        terminal,
        places: places.filter(|_| !demo),
        resolve: !common.no_resolve && config.resolve.unwrap_or(true),
        looked_at: None,
        exit: None,
    };
    match dash.places.as_ref().map(Places::tables) {
        Some(Ok(tables)) => dash.screen.arrange(&tables),
        Some(Err(e)) => dash.note(format!("the tables are as at first: {e}")),
        None => {}
    }
    let outcome = dash.run();
    dash.terminal.leave();
    // The senders before the listeners: nothing is sent that nobody would count.
    drop(senders);
    dash.scene.session.stop(|_, _| {}, |_, _| {});
    if let Some(places) = &dash.places {
        let recent = &dash.scene.recent;
        let kept = if recent.is_empty() { Ok(()) } else { places.remember(recent) };
        for e in
            [kept, places.remember_tables(&dash.screen.arrangements())].into_iter().filter_map(Result::err)
        {
            eprintln!("mcscope: {e}");
        }
    }
    outcome.map_err(no_terminal)?;
    Ok(dash.exit.unwrap_or(Exit::Done))
}

type FirstRow = (crate::base::group::Membership, Origin, Option<&'static str>);

/// What is joined at the start: the demo's groups, those named and kept, or what announces itself on
/// a LAN.
fn first_rows(
    groups: &[String],
    kept: &[String],
    demo: bool,
    ifaces: &[Iface],
) -> Result<Vec<FirstRow>, CliError> {
    if demo {
        let lo = loopback(ifaces)?;
        let all = demo::memberships(&lo.name, std::process::id());
        return Ok(all.into_iter().map(|(m, label)| (m, Origin::User, Some(label))).collect());
    }
    let wanted: Vec<String> = kept.iter().chain(groups).cloned().collect();
    if wanted.is_empty() {
        let all = resolve::defaults(Registry::builtin(), ifaces);
        return Ok(all.into_iter().map(|m| (m, Origin::Default, None)).collect());
    }
    Ok(resolve_groups(&wanted, ifaces)?.into_iter().map(|m| (m, Origin::User, None)).collect())
}

/// What the screen may read.
struct Scene {
    session: Session,
    theme: Theme,
    keys: KeyMap,
    recent: Vec<String>,
    host: String,
    /// The model as it was when the screen was paused.
    frozen: Option<Box<Model>>,
    utc_offset_s: i32,
}

impl Scene {
    fn ctx(&self, selected: Option<MembershipId>) -> Ctx<'_> {
        let live = &self.session.model;
        Ctx {
            model: self.frozen.as_deref().unwrap_or(live),
            theme: &self.theme,
            keys: &self.keys,
            now: live.now(),
            utc_offset_s: self.utc_offset_s,
            names: &self.session.names,
            sends: &self.session.sends,
            ping: self.session.ping.as_ref().map(|(_, p)| &**p),
            examined: Some(&self.session.examined),
            recent: &self.recent,
            host: &self.host,
            selected,
        }
    }
}

struct Dashboard {
    scene: Scene,
    screen: Screen,
    terminal: Terminal,
    places: Option<Places>,
    resolve: bool,
    /// The stream that the model was last told of as looked at.
    looked_at: Option<(MembershipId, Endpoint)>,
    exit: Option<Exit>,
}

impl Dashboard {
    fn run(&mut self) -> std::io::Result<()> {
        let signals = signals::listen(true);
        let (tell, input) = crossbeam_channel::bounded::<Option<Event>>(256);
        let stop = Arc::new(AtomicBool::new(false));
        self.advance();
        self.draw()?;
        terminal::read_input(stop.clone(), move |event| tell.send(event).is_ok())?;
        let mut drawn = Instant::now();
        let (mut key_waits, mut moved) = (false, true);
        while self.exit.is_none() {
            let busy = self.scene.session.pump(|_, _| {}, |_, _| {});
            moved |= busy;
            let now = Instant::now();
            let pace = match (key_waits, moved) {
                (true, _) => QUICK,
                (false, true) => FRAME,
                (false, false) => IDLE,
            };
            let due = drawn + pace;
            if now >= due {
                self.advance();
                for text in std::mem::take(&mut self.scene.session.ended) {
                    self.screen.say(text);
                }
                if self.draw()? {
                    key_waits = false;
                }
                moved = false;
                drawn = now;
            }
            if self.terminal.is_closed() {
                self.exit = Some(Exit::Done);
                break;
            }
            let wait = due.saturating_duration_since(now);
            let mut event = None;
            if busy {
                // A wait at a channel spins before it sleeps, which costs more than all the rest of a short one.
                std::thread::sleep(NAP.min(wait));
                event = match input.try_recv() {
                    Ok(e) => Some(e),
                    Err(TryRecvError::Disconnected) => Some(None),
                    Err(TryRecvError::Empty) => None,
                };
                if let Ok(s) = signals.try_recv() {
                    self.signal(s)?;
                }
            } else {
                select! {
                    recv(input) -> e => event = Some(e.unwrap_or(None)),
                    recv(signals) -> s => if let Ok(s) = s { self.signal(s)? },
                    recv(self.scene.session.engine().updates()) -> u => if let Ok(u) = u {
                        self.scene.session.update(u);
                        moved = true;
                    },
                    recv(self.scene.session.engine().batches()) -> b => if let Ok(b) = b { self.scene.session.hold(b) },
                    recv(self.scene.session.engine().sights()) -> s => if let Ok(s) = s { self.scene.session.hold_sight(s) },
                    default(wait) => {}
                }
            }
            match event {
                Some(Some(e)) => {
                    self.input(e)?;
                    // A held key or a paste brings many: all of them belong to the next frame.
                    while let Ok(Some(e)) = input.try_recv() {
                        self.input(e)?;
                    }
                    key_waits = true;
                }
                Some(None) => self.exit = Some(Exit::Done),
                None => {}
            }
        }
        stop.store(true, Ordering::Release);
        Ok(())
    }

    fn advance(&mut self) {
        let now = clock::now();
        self.scene.session.model.advance(now);
        // Twice a year it changes; a look in the system's table is cheap.
        self.scene.utc_offset_s = local_offset(now.wall);
    }

    fn draw(&mut self) -> std::io::Result<bool> {
        let Dashboard { scene, screen, terminal, .. } = self;
        let ctx = scene.ctx(screen.selected());
        let drawn = terminal.draw(|frame| screen.draw(frame, &ctx))?;
        if drawn {
            self.look();
            if let Some(of) = self.screen.examines() {
                self.scene.session.examine(of);
            }
            for action in self.screen.asks(self.scene.session.model.now()) {
                self.act(action)?;
            }
        }
        Ok(drawn)
    }

    /// Tells the model which stream somebody looks at, and which no more.
    fn look(&mut self) {
        let (at, model) = (self.screen.looked_at(), &mut self.scene.session.model);
        if at == self.looked_at {
            return;
        }
        if let Some((id, _)) = self.looked_at {
            model.look_at(id, None);
        }
        if let Some((id, from)) = at {
            model.look_at(id, Some(from));
        }
        self.looked_at = at;
    }

    fn input(&mut self, event: Event) -> std::io::Result<()> {
        let Dashboard { scene, screen, .. } = self;
        let actions = screen.handle(&event, &scene.ctx(screen.selected()));
        for action in actions {
            self.act(action)?;
        }
        match (self.screen.paused().is_some(), &self.scene.frozen) {
            (true, None) => self.scene.frozen = Some(Box::new(self.scene.session.model.clone())),
            (false, Some(_)) => self.scene.frozen = None,
            _ => {}
        }
        Ok(())
    }

    fn act(&mut self, action: Action) -> std::io::Result<()> {
        match action {
            Action::Join { .. } if self.scene.session.refuses_joins() => {
                self.screen.say("nothing is joined: it was started with --no-join");
            }
            Action::Join { memberships, typed, keep } => {
                let from_wire = self.screen.selected().filter(|id| id.is_wire());
                for m in memberships {
                    let of_wire = from_wire.and_then(|id| self.scene.session.model.group(id));
                    let same = of_wire.is_some_and(|g| {
                        (g.membership.endpoint(), &g.membership.iface) == (m.endpoint(), &m.iface)
                    });
                    let (id, _) = self.scene.session.join(m, Origin::User, None);
                    if same {
                        // It is one row from now on, and stays the selected one.
                        self.screen.select(Some(id));
                    }
                }
                self.scene.recent.retain(|r| *r != typed);
                if keep
                    && let Some(places) = &self.places
                    && let Err(e) = places.keep(&typed)
                {
                    self.note(format!("not kept for next time: {e}"));
                }
                self.scene.recent.insert(0, typed);
            }
            Action::Pair([a, b]) => {
                let leg = |(row, from)| (row, Who::Sender(from));
                if let Err(e) = self.scene.session.model.mark_pair(leg(a), leg(b), clock::now()) {
                    self.screen.say(e.to_string());
                }
            }
            Action::Unpair(id) => self.scene.session.model.unmark_pair(id, clock::now()),
            Action::Leave(ids) => self.scene.session.leave(&ids),
            Action::Undo => match self.scene.session.undo().first() {
                Some(&back) => self.screen.select(Some(back)),
                None => self.screen.say("no group was left that could be joined again"),
            },
            Action::Tap(depth) => self.scene.session.command(Command::Tap(depth)),
            Action::Retry(id) => self.scene.session.retry(id),
            Action::Reset(which) => self.scene.session.model.reset(which),
            Action::Send(job) => {
                self.scene.session.send(*job);
            }
            Action::SendFile { path, job } => self.send_file(&path, *job),
            Action::SendTest(id) => self.send_test(id),
            Action::StopSend(id) => self.scene.session.command(Command::StopSend(id)),
            Action::Ping(id, ttl) => self.ping(id, ttl),
            Action::StopPing => self.scene.session.stop_ping(),
            Action::Respond(id, mode) => self.scene.session.respond(id, mode),
            Action::Block(id, ip) => self.scene.session.command(Command::Block(id, ip)),
            Action::Unblock(id, ip) => self.scene.session.command(Command::Unblock(id, ip)),
            Action::Filter(id, f) => self.scene.session.command(Command::Filter(id, f)),
            Action::SetProtocol(id, from, word) => {
                let protocol = word.and_then(wire::by_id);
                if self.scene.session.model.set_protocol(id, from, protocol) {
                    let what = protocol.map_or("what it is recognised as", |p| p.name);
                    self.screen.say(format!("{from} is taken for {what} · P: another"));
                }
            }
            Action::ChooseCounter(id, from, choice) => {
                if self.scene.session.model.choose_counter(id, from, choice) {
                    let how = match choice {
                        Choice::Find => "by the protocol's own counter, or by one that is found".to_owned(),
                        Choice::Off => "by nothing: no losses are told".to_owned(),
                        Choice::At(c) => format!("by {}", c.words()),
                    };
                    self.screen.say(format!("{from} is counted {how} · P: another"));
                }
            }
            Action::Resolve(ip) => {
                if self.resolve {
                    self.scene.session.command(Command::Resolve(ip));
                }
            }
            Action::Copy(text) => self.terminal.copy(&text)?,
            Action::Suspend => self.suspend()?,
            Action::Redraw => self.terminal.clear()?,
            Action::Quit => self.exit = Some(Exit::Done),
        }
        Ok(())
    }

    fn note(&mut self, text: String) {
        let now: Now = clock::now();
        self.scene.session.model.note(EventKind::Note, None, text, now);
    }

    /// Reads the file that a send is to carry.
    fn send_file(&mut self, path: &std::path::Path, job: SendJob) {
        match super::send::read(path) {
            Ok(bytes) => {
                self.scene.session.send(SendJob { payload: Payload::Bytes(bytes.into()), ..job });
            }
            Err(e) => {
                self.note(e.to_string());
                self.screen.say(e.to_string());
            }
        }
    }

    /// One probe to the row's group, by the row's interface.
    fn send_test(&mut self, id: MembershipId) {
        let Some(g) = self.scene.session.model.group(id) else { return };
        let m = g.membership.clone();
        let text = format!("mcscope test from {}", self.scene.host);
        self.scene.session.send(SendJob {
            to: m.endpoint(),
            iface: m.iface.clone(),
            payload: Payload::Probe { ping: false, text: Some(text) },
            size: None,
            plan: Plan::Steady { rate_pps: 1.0, burst: 1, count: Some(1), duration: None },
            ttl: 1,
            dscp: 0,
            source_port: None,
            source_ip: None,
            loopback: true,
            impair: Impair::default(),
            limit_pps: DEFAULT_LIMIT_PPS,
            await_reply: None,
        });
    }

    /// Pings the row's group by the row's interface.
    fn ping(&mut self, id: MembershipId, ttl: u8) {
        let Some(g) = self.scene.session.model.group(id) else { return };
        let m = g.membership.clone();
        let job = PingJob { ttl, filter: m.filter.clone(), ..PingJob::new(m.endpoint(), m.iface.clone()) };
        self.scene.session.start_ping(job);
    }

    fn signal(&mut self, signal: Signal) -> std::io::Result<()> {
        match signal {
            Signal::End(code) => self.exit = Some(Exit::Signal(code)),
            Signal::Stop => self.suspend()?,
            Signal::Continue => self.terminal.clear()?,
        }
        Ok(())
    }

    /// Stops as a job of the shell; goes on from here after `fg`.
    fn suspend(&mut self) -> std::io::Result<()> {
        self.terminal.leave();
        signals::stop_self();
        self.terminal.come_back()
    }
}
