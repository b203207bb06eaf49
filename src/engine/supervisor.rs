//! The supervisor: one thread that joins and leaves, follows the interfaces and owns all others.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, select};

use crate::base::batch::{Account, Capture};
use crate::base::group::{Membership, MembershipId};
use crate::base::iface::Iface;
use crate::base::tap::Depth;
use crate::doctor::{self, Examination};
use crate::engine::command::{
    Command, PingId, PingJob, PingProgress, Respond, SendId, SendProgress, SendState, Update,
};
use crate::engine::joins::Joins;
use crate::engine::listener::{Change, Listener, Message, Shared, Start};
use crate::engine::names::Names;
use crate::engine::pingd::{self, Servers};
use crate::engine::ring::{Order, RingListener};
use crate::engine::tap::{Sights, Taps};
use crate::engine::task::Task;
use crate::engine::{pinger, sender};
use crate::model::event::EventKind;
use crate::net::iface::{self, Watch};
use crate::net::wake::Waker;
use crate::net::{NetError, counters};

/// Interface counters are read this often.
const COUNTERS_EVERY: Duration = Duration::from_secs(1);
/// Sends that may run at once.
const SENDS_MAX: usize = 32;
/// Pings that may run at once.
const PINGS_MAX: usize = 8;

struct Row {
    membership: Arc<Membership>,
    listener: Option<Listener>,
    ifindex: u32,
    respond: Respond,
    account: Account,
}

impl Row {
    /// What its receiver begins with.
    fn start(&self, id: MembershipId, ifindex: u32, own: Arc<[IpAddr]>, again: Option<String>) -> Start {
        let Row { account, respond, .. } = *self;
        Start { id, membership: self.membership.clone(), ifindex, account, respond, own, again }
    }
}

/// What the watch thread tells.
struct Changed {
    ifaces: Vec<Iface>,
    lost_carrier: Vec<u32>,
}

pub(super) struct Supervisor {
    commands: Receiver<Command>,
    shared: Shared,
    rows: BTreeMap<MembershipId, Row>,
    /// The listeners of packet rings, by the interface's index.
    rings: BTreeMap<u32, RingListener>,
    /// What the rings of each interface dropped that are no more.
    ring_drops: BTreeMap<Arc<str>, u64>,
    sends: BTreeMap<SendId, Task>,
    pings: BTreeMap<PingId, Task>,
    /// For clients of other programs.
    servers: Servers,
    /// Whether they are asked for without a row.
    serves: bool,
    examination: Option<Examination>,
    ifaces: Vec<Iface>,
    own: Arc<[IpAddr]>,
    names: Option<Names>,
    /// Indexes that lost their carrier and have not got it back.
    dark: Vec<u32>,
    taps: Taps,
}

impl Supervisor {
    pub fn spawn(
        commands: Receiver<Command>,
        shared: Shared,
        ifaces: Vec<Iface>,
        (depth, sights): (Depth, Sights),
    ) -> std::io::Result<JoinHandle<()>> {
        std::thread::Builder::new().name("supervisor".into()).spawn(move || {
            let own = own_addresses(&ifaces);
            let names = Names::spawn(shared.updates.clone()).ok();
            let taps = Taps::new(depth, shared.options.rcvbuf, sights, shared.updates.clone());
            let supervisor = Supervisor {
                commands,
                shared,
                rows: BTreeMap::new(),
                rings: BTreeMap::new(),
                ring_drops: BTreeMap::new(),
                sends: BTreeMap::new(),
                pings: BTreeMap::new(),
                servers: Servers::default(),
                serves: false,
                examination: None,
                ifaces,
                own,
                names,
                dark: Vec::new(),
                taps,
            };
            supervisor.run();
        })
    }

    fn run(mut self) {
        let (tell, changes) = bounded(16);
        let watch = match Watching::spawn(tell) {
            Ok(w) => Some(w),
            Err(e) => {
                let text = format!("interface changes are not noticed: {e}");
                self.say(Update::Note(EventKind::Note, None, text));
                None
            }
        };
        self.say(Update::Ifaces(self.ifaces.clone()));
        // Without it less is known, and the screen says so.
        let joins = Joins::spawn(self.shared.updates.clone()).ok();
        self.taps.follow(&self.ifaces);
        let mut next_counters = Instant::now();
        loop {
            if Instant::now() >= next_counters {
                next_counters = Instant::now() + COUNTERS_EVERY;
                if let Some(list) = counters::nic_drops() {
                    let _ = self.shared.updates.try_send(Update::NicDrops(list));
                }
                self.sends.retain(|_, s| !s.ended());
                self.pings.retain(|_, p| !p.ended());
            }
            select! {
                recv(self.commands) -> command => match command {
                    Ok(command) => self.command(command),
                    // The engine's handle is gone: the end.
                    Err(_) => break,
                },
                recv(changes) -> changed => match changed {
                    Ok(changed) => self.changed(changed),
                    Err(_) => std::thread::park_timeout(COUNTERS_EVERY),
                },
                default(next_counters.saturating_duration_since(Instant::now())) => {}
            }
        }
        self.end();
        if let Some(j) = joins {
            j.join();
        }
        if let Some(w) = watch {
            w.join();
        }
    }

    /// Ends everything, in this order: no new datagrams, no more sending.
    fn end(&mut self) {
        for row in self.rows.values() {
            row.listener.iter().for_each(Listener::stop);
        }
        self.rings.values().for_each(RingListener::stop);
        self.sends.values().for_each(Task::stop);
        self.pings.values().for_each(Task::stop);
        self.servers.end();
        self.examination.iter().for_each(Examination::stop);
        for row in std::mem::take(&mut self.rows).into_values() {
            row.listener.map(Listener::join);
        }
        self.shared.gatherers.end();
        for ring in std::mem::take(&mut self.rings).into_values() {
            ring.join();
        }
        for send in std::mem::take(&mut self.sends).into_values() {
            send.join();
        }
        for ping in std::mem::take(&mut self.pings).into_values() {
            ping.join();
        }
        // Ends its measurement, and waits for it.
        self.examination = None;
        self.taps.end();
    }

    fn command(&mut self, command: Command) {
        match command {
            Command::Join { id, membership } => {
                let account =
                    Account { membership: id, socket_drops: None, not_analysed: 0, not_analysed_bytes: 0 };
                let respond = Respond::Off;
                self.rows.insert(id, Row { membership, listener: None, ifindex: 0, respond, account });
                self.open(id, None);
            }
            Command::Leave(id) => {
                if let Some(row) = self.rows.remove(&id) {
                    row.listener.map(Listener::join);
                    if let Some(ring) = self.rings.get(&row.ifindex) {
                        ring.remove(id);
                        if self.rows.values().all(|r| r.ifindex != row.ifindex) {
                            self.end_ring(row.ifindex, &row.membership.iface);
                        }
                    }
                    self.say(Update::Left(id));
                    self.serve();
                }
            }
            Command::Retry(id) => self.open(id, None),
            Command::Block(id, ip) => self.tell(id, Message::Filter(Change::Block(ip))),
            Command::Unblock(id, ip) => self.tell(id, Message::Filter(Change::Unblock(ip))),
            Command::Filter(id, filter) => self.tell(id, Message::Filter(Change::To(filter))),
            Command::Respond(id, mode) => {
                if let Some(row) = self.rows.get_mut(&id) {
                    row.respond = mode;
                    self.tell(id, Message::Respond(mode));
                    self.serve();
                }
            }
            Command::ServePings => {
                self.serves = true;
                self.serve();
            }
            Command::Send(id, job) => self.send(id, *job),
            Command::StopSend(id) => {
                if let Some(s) = self.sends.get(&id) {
                    s.stop();
                }
            }
            Command::Ping(id, job) => self.ping(id, *job),
            Command::StopPing(id) => {
                if let Some(p) = self.pings.get(&id) {
                    p.stop();
                }
            }
            Command::Examine(id, request) => self.examine(id, *request),
            Command::StopExamining => {
                if let Some(e) = &self.examination {
                    e.stop();
                }
            }
            Command::Tap(depth) => self.taps.set_depth(depth, &self.ifaces),
            Command::TapOn(names) => self.taps.look_at(names, &self.ifaces),
            Command::TapOnly(names) => self.taps.look_only_at(names, &self.ifaces),
            Command::Stands(id, membership) => self.taps.stands(id, membership, &self.ifaces),
            Command::Resolve(ip) => {
                if let Some(names) = &self.names {
                    names.ask(ip);
                }
            }
        }
    }

    fn say(&self, update: Update) {
        let _ = self.shared.updates.send(update);
    }

    fn tell(&self, id: MembershipId, message: Message) {
        let Some(row) = self.rows.get(&id) else { return };
        if let Some(l) = &row.listener {
            l.tell(message);
        } else if let Some(ring) = self.rings.get(&row.ifindex) {
            ring.order(Order::Tell(id, message));
        }
    }

    /// Opens a row's socket on a listener of its own; `again` says why if it had one before.
    fn open(&mut self, id: MembershipId, again: Option<String>) {
        let Some(row) = self.rows.get_mut(&id) else { return };
        if let Some(old) = row.listener.take()
            && let Some(account) = old.join()
        {
            row.account = account;
        }
        let name = row.membership.iface.clone();
        let Some(ifindex) = index_of(&self.ifaces, &name) else {
            let error =
                format!("cannot join {}: {}", row.membership.endpoint(), no_such(&self.ifaces, &name));
            let remedy = Some("it is joined by itself when the interface appears".to_owned());
            self.say(Update::Failed { id, error, remedy });
            return;
        };
        let before = std::mem::replace(&mut row.ifindex, ifindex);
        if self.shared.capture == Capture::Ring {
            if before != ifindex {
                self.end_ring(before, &name);
            }
            return self.open_on_ring(id, ifindex, again);
        }
        let start = row.start(id, ifindex, self.own.clone(), again);
        match Listener::spawn(start, self.shared.clone()) {
            Ok(listener) => row.listener = Some(listener),
            Err(e) => {
                let error = format!("cannot start a listener thread for {}: {e}", row.membership);
                // No thread is to be had: the system says "try again". Without a descriptor the error
                // brings its own remedy.
                let remedy = (e.kind() == std::io::ErrorKind::WouldBlock).then(|| {
                    "raise the limit of threads (ulimit -u, kernel.threads-max, the cgroup's pids.max)".into()
                });
                self.say(Update::Failed { id, error, remedy });
            }
        }
    }

    /// Joins a row on the ring of its interface, which is opened for the first one.
    fn open_on_ring(&mut self, id: MembershipId, ifindex: u32, again: Option<String>) {
        let Some(name) = self.rows.get(&id).map(|r| r.membership.iface.clone()) else { return };
        if self.rings.get(&ifindex).is_some_and(RingListener::ended) {
            self.end_ring(ifindex, &name);
        }
        if !self.rings.contains_key(&ifindex) {
            let drops = self.ring_drops.get(&name).copied().unwrap_or(0);
            match RingListener::spawn(&name, ifindex, drops, self.shared.clone()) {
                Ok(ring) => {
                    self.rings.insert(ifindex, ring);
                }
                Err(e) => {
                    self.say(Update::Failed { id, error: e.reason(), remedy: e.remedy() });
                    return;
                }
            }
        }
        let (Some(row), Some(ring)) = (self.rows.get(&id), self.rings.get(&ifindex)) else { return };
        let start = row.start(id, ifindex, self.own.clone(), again);
        ring.order(Order::Add(Box::new(start)));
    }

    /// Ends the ring of an interface, if there is one, and keeps what it counted.
    fn end_ring(&mut self, ifindex: u32, name: &Arc<str>) {
        let Some(end) = self.rings.remove(&ifindex).and_then(RingListener::join) else { return };
        self.ring_drops.insert(name.clone(), end.drops);
        for account in end.accounts {
            if let Some(row) = self.rows.get_mut(&account.membership) {
                row.account = account;
            }
        }
    }

    fn send(&mut self, id: SendId, job: crate::engine::command::SendJob) {
        let refuse = |text: String| {
            let state = SendState::Failed(text);
            Update::Sending(id, SendProgress { to: Some(job.to), state, ..SendProgress::default() })
        };
        self.sends.retain(|_, s| !s.ended());
        if self.sends.len() >= SENDS_MAX {
            self.say(refuse(format!("{SENDS_MAX} sends run already: stop one of them")));
            return;
        }
        let Some(ifindex) = index_of(&self.ifaces, &job.iface) else {
            self.say(refuse(format!("cannot send to {}: {}", job.to, no_such(&self.ifaces, &job.iface))));
            return;
        };
        match sender::spawn(id, job.clone(), ifindex, self.shared.updates.clone()) {
            Ok(sending) => {
                self.sends.insert(id, sending);
            }
            Err(e) => self.say(refuse(format!("cannot start a sender thread: {e}"))),
        }
    }

    fn examine(&mut self, id: Option<MembershipId>, request: doctor::Request) {
        if self.examination.as_ref().is_some_and(|e| !e.is_done()) {
            return self.say(Update::Examined(id, Err("another examination is still running".into())));
        }
        let updates = self.shared.updates.clone();
        let started = Examination::start(request, move |reports| {
            let report = reports.map_err(|e| e.to_string()).and_then(|mut all| match all.is_empty() {
                true => Err("nothing was examined".to_owned()),
                false => Ok(Box::new(all.remove(0))),
            });
            let _ = updates.send(Update::Examined(id, report));
        });
        match started {
            Ok(e) => self.examination = Some(e),
            Err(e) => self.say(Update::Examined(id, Err(format!("cannot start a thread to examine: {e}")))),
        }
    }

    fn ping(&mut self, id: PingId, job: PingJob) {
        self.pings.retain(|_, p| !p.ended());
        let refused = if self.pings.len() >= PINGS_MAX {
            format!("{PINGS_MAX} pings run already: stop one of them")
        } else if let Some(ifindex) = index_of(&self.ifaces, &job.iface) {
            match pinger::spawn(id, job.clone(), ifindex, self.shared.updates.clone()) {
                Ok(pinging) => {
                    self.pings.insert(id, pinging);
                    return;
                }
                Err(e) => format!("cannot start a thread to ping: {e}"),
            }
        } else {
            format!("cannot ping {}: {}", job.to, no_such(&self.ifaces, &job.iface))
        };
        let state = SendState::Failed(refused);
        self.say(Update::Pinging(id, Box::new(PingProgress { state, ..PingProgress::new(&job) })));
    }

    /// Answers clients of other programs where a row on their port answers, or where that is asked for.
    fn serve(&mut self) {
        let answering = |r: &&Row| r.respond != Respond::Off && pingd::is_theirs(&r.membership);
        let groups: BTreeSet<IpAddr> =
            self.rows.values().filter(answering).map(|r| r.membership.group).collect();
        let wanted = (self.serves || !groups.is_empty()).then_some(groups);
        let (limiter, updates) = (&self.shared.limiter, &self.shared.updates);
        self.servers.set(wanted, (&self.ifaces, &self.own), (limiter, updates));
    }

    /// Follows what happened to the interfaces.
    fn changed(&mut self, changed: Changed) {
        if changed.ifaces == self.ifaces && changed.lost_carrier.is_empty() {
            return;
        }
        let before = std::mem::replace(&mut self.ifaces, changed.ifaces);
        let own = std::mem::replace(&mut self.own, own_addresses(&self.ifaces));
        if own != self.own {
            let (limiter, updates) = (&self.shared.limiter, &self.shared.updates);
            self.servers.restart((&self.ifaces, &self.own), (limiter, updates));
        }
        self.say(Update::Ifaces(self.ifaces.clone()));
        self.taps.follow(&self.ifaces);
        for index in &changed.lost_carrier {
            // Who takes an interface down has the kernel report anew when it is up again.
            if let Some(i) = self.ifaces.iter().find(|i| i.index == *index && i.up) {
                self.say(Update::CarrierLost(i.name.clone()));
            }
        }
        self.dark.extend(changed.lost_carrier);
        let ids: Vec<MembershipId> = self.rows.keys().copied().collect();
        for id in ids {
            self.tell(id, Message::Own(self.own.clone()));
            self.follow(id, &before);
        }
        let dark = |i: &u32| self.ifaces.iter().any(|f| f.index == *i && f.carrier == Some(false));
        self.dark = self.dark.iter().copied().filter(dark).collect();
    }

    fn follow(&mut self, id: MembershipId, before: &[Iface]) {
        let Some(row) = self.rows.get(&id) else { return };
        let name = row.membership.iface.clone();
        let now = self.ifaces.iter().find(|i| i.name == name);
        let was = before.iter().any(|i| i.name == name);
        let ifindex = row.ifindex;
        let running = match &row.listener {
            Some(l) => !l.ended(),
            None => self.rings.get(&ifindex).is_some_and(|r| !r.ended()),
        };
        match now {
            None if was => {
                self.end_ring(ifindex, &name);
                if let Some(row) = self.rows.get_mut(&id)
                    && let Some(account) = row.listener.take().and_then(Listener::join)
                {
                    row.account = account;
                }
                let error = format!("the interface {name} vanished");
                let remedy = Some("it is joined again by itself when the interface returns".to_owned());
                self.say(Update::Failed { id, error, remedy });
            }
            None => {}
            Some(iface) if iface.index != row.ifindex || !was => {
                let why = if was { "the interface was made anew" } else { "the interface returned" };
                self.open(id, Some(why.to_owned()));
            }
            // Linux sends no IGMP report of itself when a carrier returns.
            Some(iface)
                if running
                    && self.dark.contains(&iface.index)
                    && iface.carrier != Some(false)
                    && iface.up =>
            {
                let why = format!("{name} has its carrier back");
                self.tell(id, Message::Rejoin { ifindex: iface.index, why });
            }
            Some(_) => {}
        }
    }
}

fn index_of(ifaces: &[Iface], name: &str) -> Option<u32> {
    ifaces.iter().find(|i| &*i.name == name).map(|i| i.index)
}

/// "there is no interface eth7 (lo, eth0 exist)".
fn no_such(ifaces: &[Iface], name: &str) -> String {
    let names: Vec<&str> = ifaces.iter().map(|i| &*i.name).collect();
    format!("there is no interface {name} ({} exist)", names.join(", "))
}

/// The addresses that a reply must never go to: this host's own and its networks' broadcasts.
fn own_addresses(ifaces: &[Iface]) -> Arc<[IpAddr]> {
    let mut all = Vec::new();
    for a in ifaces.iter().flat_map(|i| &i.addrs) {
        all.push(a.ip);
        if let IpAddr::V4(ip) = a.ip
            && a.prefix_len < 31
        {
            let hosts = u32::MAX.checked_shr(u32::from(a.prefix_len)).unwrap_or(0);
            all.push(IpAddr::V4((u32::from(ip) | hosts).into()));
        }
    }
    all.into()
}

/// The thread that waits for interface changes.
struct Watching {
    waker: Waker,
    thread: JoinHandle<()>,
}

impl Watching {
    fn spawn(tell: Sender<Changed>) -> Result<Watching, NetError> {
        let waker = Waker::new()?;
        let mut watch = Watch::open()?;
        let w = waker.clone();
        let thread = std::thread::Builder::new()
            .name("watch".into())
            .spawn(move || {
                // What changed between the program's first look and the opening of the watch.
                let mut lost_carrier = Vec::new();
                loop {
                    if let Ok(ifaces) = iface::list()
                        && tell.send(Changed { ifaces, lost_carrier }).is_err()
                    {
                        return;
                    }
                    lost_carrier = loop {
                        let Ok(change) = watch.wait(&w, None) else { return };
                        if change.woken {
                            return;
                        }
                        if change.changed || !change.lost_carrier.is_empty() {
                            break change.lost_carrier;
                        }
                    };
                }
            })
            .map_err(|source| NetError::Limit {
                what: "start a thread that watches the interfaces",
                source,
            })?;
        Ok(Watching { waker, thread })
    }

    fn join(self) {
        self.waker.wake();
        let _ = self.thread.join();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::iface::{IfaceAddr, IfaceKind};

    #[test]
    fn own_addresses_include_directed_broadcasts() {
        let addr = |ip: &str, prefix_len| IfaceAddr { ip: ip.parse().unwrap(), prefix_len };
        let iface = Iface {
            index: 2,
            name: "eth0".into(),
            up: true,
            carrier: None,
            multicast: true,
            kind: IfaceKind::Wired,
            master: None,
            mtu: None,
            mac: None,
            addrs: vec![addr("10.1.2.3", 24), addr("fe80::1", 64), addr("10.9.9.9", 32)],
        };
        let own = own_addresses(&[iface]);
        let want: Vec<IpAddr> =
            ["10.1.2.3", "10.1.2.255", "fe80::1", "10.9.9.9"].iter().map(|s| s.parse().unwrap()).collect();
        assert_eq!(&own[..], &want[..]);
    }
}
