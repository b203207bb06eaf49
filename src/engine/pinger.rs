//! A running ping: one thread that asks a group and takes the answers, those to us and those to the
//! group.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use crate::base::batch::Batch;
use crate::base::group::{Endpoint, Membership, MembershipId, SourceFilter};
use crate::base::time::{Mono, SECOND_NS};
use crate::engine::command::{SendFault, SendState, Update};
use crate::engine::sender::run_id;
use crate::engine::task::Task;
use crate::model::ping::{Answer, By, Pings};
use crate::net::NetError;
use crate::net::clock;
use crate::net::send::{Reply, SendOptions, SendSocket};
use crate::net::socket::{GroupSocket, SocketOptions};
use crate::net::wake::Waker;
use crate::wire::probe::{self, Kind, Probe, Report};
use crate::wire::{omping, ssmping};

/// Progress is told this often.
const TELL_EVERY: Duration = Duration::from_millis(100);
/// Longest wait before the thread looks at its stop flag and clock again.
const NAP: Duration = Duration::from_millis(200);
/// Datagrams taken of a socket before the clock is looked at again.
const AT_A_TIME: usize = 256;
/// Answers that are kept for the screen, the newest.
pub const RECENT_MAX: usize = 64;
/// Shortest time between two pings: the rate guard of a send.
pub const INTERVAL_MIN: Duration = Duration::from_millis(1);
/// An omping server is introduced to this often, and in vain at most this many times if a count of pings was
/// asked for; it passes over what comes sooner.
const INTRODUCE_EVERY: Duration = Duration::from_millis(1100);
const INTRODUCTIONS: u32 = 5;
/// An answer later than this is no answer.
pub const PATIENCE_MAX: Duration = Duration::from_secs(60);

/// The number of a ping for as long as the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PingId(pub u32);

/// A server of another program, that is asked in its own words at port [`ssmping::PORT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where it is.
    pub ip: IpAddr,
    /// What it speaks.
    pub speaks: Speaks,
}

impl Server {
    /// Length of a question to it about this group, in bytes.
    pub fn query_bytes(self, group: IpAddr) -> usize {
        match self.speaks {
            Speaks::Ssmping => ssmping::length(group),
            Speaks::Omping => omping::length(group, size_of::<u64>()),
        }
    }
}

/// The protocol of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    /// That of ssmpingd.
    Ssmping,
    /// That of omping, which wants to be introduced to.
    Omping,
}

/// What to ask.
#[derive(Clone, Debug, PartialEq)]
pub struct PingJob {
    /// Group and port.
    pub to: Endpoint,
    /// The interface to ask on.
    pub iface: Arc<str>,
    /// Whose answers to the group are let through; [`SourceFilter::Any`] is the usual.
    pub filter: SourceFilter,
    /// Stop after so many; `None` goes on until it is stopped.
    pub count: Option<u64>,
    /// Time between two.
    pub interval: Duration,
    /// Payload in bytes, at least [`probe::HEADER`].
    pub size: usize,
    /// TTL or hop limit.
    pub ttl: u8,
    /// DSCP, 0 to 63.
    pub dscp: u8,
    /// Ask for answers to the group as well, and listen for them.
    pub multicast: bool,
    /// Ask this server of another program by unicast instead of every mcscope by the group.
    pub server: Option<Server>,
    /// An answer that takes longer is late, and its ping lost; waited for after the last ping.
    pub patience: Duration,
}

impl PingJob {
    /// The usual: each second, TTL 1, both ways back, until it is stopped.
    pub fn new(to: Endpoint, iface: Arc<str>) -> PingJob {
        PingJob {
            to,
            iface,
            filter: SourceFilter::Any,
            count: None,
            interval: Duration::from_secs(1),
            size: probe::WITH_REPORT,
            ttl: 1,
            dscp: 0,
            multicast: true,
            server: None,
            patience: Duration::from_secs(1),
        }
    }
}

/// How far a ping has come.
#[derive(Clone, Debug, PartialEq)]
pub struct PingProgress {
    /// What was asked.
    pub job: PingJob,
    /// The endpoint it asks from, once the socket stands.
    pub from: Option<Endpoint>,
    /// Running, or how it ended.
    pub state: SendState,
    /// The figures.
    pub pings: Pings,
    /// The newest answers, the newest last; at most [`RECENT_MAX`].
    pub recent: VecDeque<Answer>,
    /// Why answers to the group cannot be heard, if so.
    pub deaf: Option<String>,
    /// What went wrong with sending, by kind.
    pub errors: Vec<SendFault>,
    /// Time since the first ping.
    pub elapsed: Duration,
}

impl PingProgress {
    /// Nothing sent yet.
    pub fn new(job: &PingJob) -> PingProgress {
        PingProgress {
            job: job.clone(),
            from: None,
            state: SendState::Running,
            pings: Pings::new(job.ttl, job.multicast),
            recent: VecDeque::new(),
            deaf: None,
            errors: Vec::new(),
            elapsed: Duration::ZERO,
        }
    }
}

/// Starts to ping on a thread of its own.
pub(super) fn spawn(
    id: PingId,
    job: PingJob,
    ifindex: u32,
    updates: Sender<Update>,
) -> std::io::Result<Task> {
    Task::spawn(format!("ping-{}", id.0), move |waker, stop| {
        let last = run(&job, ifindex, waker, stop, &mut |told| match told {
            Told::From(e) => drop(updates.send(Update::Own(e))),
            Told::Answer(_) => {}
            // Progress may be late or missing, its end may not.
            Told::Progress(p) => drop(updates.try_send(Update::Pinging(id, Box::new(p.clone())))),
        });
        let _ = updates.send(Update::Pinging(id, Box::new(last)));
    })
}

/// What a ping tells while it runs.
pub enum Told<'a> {
    /// The endpoint it asks from.
    From(Endpoint),
    /// An answer.
    Answer(&'a Answer),
    /// How far it is.
    Progress(&'a PingProgress),
}

/// Pings to the end of the job, or until `stop`; blocks. The progress returned is the last.
pub fn run(
    job: &PingJob,
    ifindex: u32,
    waker: &Waker,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(Told<'_>),
) -> PingProgress {
    let mut progress = PingProgress::new(job);
    let options = SendOptions {
        ttl: job.ttl,
        dscp: job.dscp,
        iface: job.iface.clone(),
        ..SendOptions::new(job.server.map_or(job.to, |s| Endpoint::new(s.ip, ssmping::PORT)), ifindex, "")
    };
    let socket = match open(options, job.server.is_some()) {
        Ok(socket) => socket,
        Err(e) => {
            progress.state = SendState::Failed(e.to_string());
            return progress;
        }
    };
    let from = socket.local();
    // Such a server answers to the port that it is asked from, on the group as well.
    let port = if job.server.is_some() { from.port } else { job.to.port };
    let group = job.multicast.then(|| join(job, port, ifindex)).and_then(|joined| match joined {
        Ok(group) => Some((group, Batch::new())),
        Err(e) => {
            progress.deaf = Some(e.to_string());
            progress.pings.multicast = false;
            None
        }
    });
    progress.from = Some(from);
    tell(Told::From(from));
    let mut run = Run {
        job,
        socket,
        group,
        progress,
        id: run_id(from.port),
        session: Vec::new(),
        flying: VecDeque::new(),
        due: 0,
        faults: BTreeMap::new(),
        begun: Instant::now(),
        told: Instant::now(),
        buffer: vec![0; job.size.max(probe::HEADER)],
        heard: vec![0; 65_536],
    };
    if let Err(failed) = run.introduce(waker, stop) {
        run.progress.state = failed;
        return run.progress;
    }
    run.ask(waker, stop, tell);
    run.finish(waker, stop, tell);
    run.progress
}

/// The socket that asks; `shared` where the group is to be heard on the same port, which it shares only when
/// that is asked for by its number.
fn open(options: SendOptions, shared: bool) -> Result<SendSocket, NetError> {
    let socket = SendSocket::open(&options)?;
    if !shared {
        return Ok(socket);
    }
    let source_port = Some(socket.local().port);
    drop(socket);
    SendSocket::open(&SendOptions { source_port, ..options })
}

fn join(job: &PingJob, port: u16, ifindex: u32) -> Result<GroupSocket, NetError> {
    let membership =
        Membership { group: job.to.ip, port, iface: job.iface.clone(), filter: job.filter.clone() };
    GroupSocket::open(&membership, ifindex, &SocketOptions::default())
}

struct Run<'a> {
    job: &'a PingJob,
    socket: SendSocket,
    group: Option<(GroupSocket, Batch)>,
    progress: PingProgress,
    id: u64,
    /// What an omping server gave, and wants to see again.
    session: Vec<u8>,
    /// When the pings went that an answer may still come to.
    flying: VecDeque<Mono>,
    due: u64,
    faults: BTreeMap<String, SendFault>,
    begun: Instant,
    told: Instant,
    buffer: Vec<u8>,
    heard: Vec<u8>,
}

impl Run<'_> {
    /// Has an omping server give a session; others want none.
    fn introduce(&mut self, waker: &Waker, stop: &AtomicBool) -> Result<(), SendState> {
        let Some(Server { ip, speaks: Speaks::Omping }) = self.job.server else { return Ok(()) };
        let (group, client) = (self.job.to.ip, self.id.to_be_bytes());
        let failed = |text: String| Err(SendState::Failed(text));
        let mut tried = 0;
        while !stop.load(Ordering::Acquire) {
            // Without a count it goes on until it is stopped, as omping does.
            if tried == INTRODUCTIONS && self.job.count.is_some() {
                return failed(format!(
                    "{ip} does not answer at UDP port {}: omping is to run there, and to be told of this host",
                    ssmping::PORT
                ));
            }
            tried += 1;
            self.buffer.clear();
            omping::init(&mut self.buffer, &client, group);
            if let Err(e) = self.socket.send(&self.buffer) {
                return failed(e.to_string());
            }
            let until = Instant::now() + INTRODUCE_EVERY;
            while let Some(left) = until.checked_duration_since(Instant::now()).filter(|l| !l.is_zero()) {
                let heard = self.socket.receive_reply(&mut self.heard, waker, Some(left));
                let reply = match heard {
                    Ok(Some(reply)) if reply.from == Endpoint::new(ip, ssmping::PORT) => reply,
                    Ok(_) if stop.load(Ordering::Acquire) => break,
                    Ok(_) => continue,
                    Err(e) => return failed(e.to_string()),
                };
                let message = omping::Message::parse(&self.heard[..reply.len.min(self.heard.len())]);
                let Some(m) = message.filter(|m| m.kind == omping::Kind::Response && self.is_client(m))
                else {
                    continue;
                };
                match (m.session, m.group, &m.prefixes[..]) {
                    (Some(session), Some(its), _) if its == group => {
                        self.session = session.to_vec();
                        return Ok(());
                    }
                    (_, Some(its), _) | (_, _, &[its, ..]) => {
                        return failed(format!(
                            "omping at {ip} is about {its}, not about {group}: ping that"
                        ));
                    }
                    _ => {
                        return failed(format!(
                            "omping at {ip} does not know this host: start it there with this host's address as well"
                        ));
                    }
                }
            }
        }
        Err(SendState::Stopped)
    }

    /// Whether it is for this run.
    fn is_client(&self, m: &omping::Message<'_>) -> bool {
        m.client == Some(&self.id.to_be_bytes()[..])
    }

    fn ask(&mut self, waker: &Waker, stop: &AtomicBool, tell: &mut dyn FnMut(Told<'_>)) {
        let interval = self.job.interval.max(INTERVAL_MIN);
        let total = self.job.count.unwrap_or(u64::MAX);
        let mut next = self.begun;
        // One that cannot be sent is tried, too, or a dead interface would never end it.
        let mut tried = 0;
        while tried < total && !stop.load(Ordering::Acquire) {
            let now = Instant::now();
            if now < next {
                self.rest(next, waker, tell);
                continue;
            }
            self.one();
            tried += 1;
            // What the machine slept through is not made up for.
            next = (next + interval).max(now);
        }
    }

    /// Waits for the answers to the last pings.
    fn finish(&mut self, waker: &Waker, stop: &AtomicBool, tell: &mut dyn FnMut(Told<'_>)) {
        let until = Instant::now() + self.job.patience;
        while !stop.load(Ordering::Acquire) && Instant::now() < until && !self.flying.is_empty() {
            self.rest(until, waker, tell);
        }
        let stopped = stop.load(Ordering::Acquire);
        if !stopped {
            self.settle(Mono(u64::MAX));
        }
        let p = &mut self.progress;
        p.state = if stopped { SendState::Stopped } else { SendState::Done };
        p.elapsed = self.begun.elapsed();
        p.errors = self.faults.values().cloned().collect();
    }

    /// Sends one.
    fn one(&mut self) {
        let number = self.progress.pings.count();
        let now = clock::now();
        if let Some(server) = self.job.server {
            let (group, stamp) = (self.job.to.ip, now.mono.0);
            // Their numbers begin with 1.
            let theirs = number as u32 + 1;
            self.buffer.clear();
            match server.speaks {
                Speaks::Ssmping => {
                    ssmping::Message { client: self.id as u32, number: theirs, stamp, group }
                        .query(&mut self.buffer);
                }
                Speaks::Omping => {
                    let client = self.id.to_be_bytes();
                    omping::query(&mut self.buffer, &client, theirs, stamp, group, &self.session);
                }
            }
            return self.send(number, now.mono);
        }
        let head = Probe {
            kind: Kind::Ping,
            flags: if self.group.is_some() { probe::FLAG_MULTICAST_REPLY } else { 0 },
            run: self.id,
            sequence: number,
            sent_wall: now.wall,
            sent_mono: now.mono,
            ttl: self.job.ttl,
            dscp: self.job.dscp,
        };
        head.write(&mut self.buffer);
        self.send(number, now.mono);
    }

    /// Sends what is in the buffer.
    fn send(&mut self, number: u64, now: Mono) {
        match self.socket.send(&self.buffer) {
            Ok(_) => {
                self.flying.push_back(now);
                self.progress.pings.sent(number + 1, self.due);
            }
            Err(e) => self.fault(&e),
        }
    }

    fn fault(&mut self, e: &NetError) {
        let kind = e.reason();
        let fault = SendFault { remedy: e.remedy(), kind: kind.clone(), count: 0 };
        self.faults.entry(kind).or_insert(fault).count += 1;
    }

    /// Calls lost what no answer is waited for any longer.
    fn settle(&mut self, now: Mono) {
        let patience = self.job.patience.as_nanos() as u64;
        while self.flying.front().is_some_and(|sent| now.since(*sent) > patience) {
            self.flying.pop_front();
            self.due += 1;
        }
        self.progress.pings.sent(self.progress.pings.count(), self.due);
    }

    /// Takes answers for a while, until `until` at the latest.
    fn rest(&mut self, until: Instant, waker: &Waker, tell: &mut dyn FnMut(Told<'_>)) {
        let left = until.saturating_duration_since(Instant::now()).min(NAP);
        match self.socket.wait_beside(self.group.as_ref().map(|g| &g.0), waker, left) {
            Ok(ready) => {
                if ready.reply {
                    self.replies(tell);
                }
                if ready.group {
                    self.group_replies(tell);
                }
            }
            Err(e) => {
                self.fault(&e);
                // A wait that fails at once would be a busy loop.
                let _ = waker.wait(Some(left));
            }
        }
        self.settle(clock::now().mono);
        if self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            self.progress.elapsed = self.begun.elapsed();
            self.progress.errors = self.faults.values().cloned().collect();
            tell(Told::Progress(&self.progress));
        }
    }

    fn replies(&mut self, tell: &mut dyn FnMut(Told<'_>)) {
        for _ in 0..AT_A_TIME {
            match self.socket.take_reply(&mut self.heard) {
                Ok(None) => return,
                Ok(Some(Reply { len, from, ttl, time, .. })) => {
                    let arrived = time.to_mono(clock::now().offset_ns());
                    let payload = &self.heard[..len.min(self.heard.len())];
                    if let Some(a) = self.read(payload, arrived, from, By::Unicast, ttl) {
                        self.answer(a, tell);
                    }
                }
                Err(e) => return self.fault(&e),
            }
        }
    }

    fn group_replies(&mut self, tell: &mut dyn FnMut(Told<'_>)) {
        let Some((mut group, mut batch)) = self.group.take() else { return };
        batch.clear();
        let outcome = group.receive(&mut batch, MembershipId(0));
        let offset = batch.received.offset_ns();
        let found: Vec<Answer> = batch
            .datagrams()
            .iter()
            .filter_map(|d| {
                self.read(batch.payload(d), d.time.to_mono(offset), d.source, By::Multicast, d.ttl)
            })
            .collect();
        self.group = Some((group, batch));
        found.into_iter().for_each(|a| self.answer(a, tell));
        if let Err(e) = outcome {
            self.fault(&e);
        }
    }

    fn answer(&mut self, a: Answer, tell: &mut dyn FnMut(Told<'_>)) {
        if a.round_trip_ns > PATIENCE_MAX.as_nanos() as u64 || !self.progress.pings.take(&a) {
            return;
        }
        if self.progress.recent.len() == RECENT_MAX {
            self.progress.recent.pop_front();
        }
        self.progress.recent.push_back(a);
        tell(Told::Answer(&a));
    }

    /// Reads an answer to a ping of this run; `None` if it is none.
    fn read(&self, payload: &[u8], arrived: Mono, from: Endpoint, by: By, ttl: Option<u8>) -> Option<Answer> {
        let ours = |server: IpAddr| from == Endpoint::new(server, ssmping::PORT);
        let (sequence, asked, sent_ttl) = match self.job.server {
            None => {
                let p = Probe::parse(payload).filter(|p| p.kind == Kind::Reply && p.run == self.id)?;
                (p.sequence, p.sent_mono, p.ttl)
            }
            Some(Server { ip, speaks: Speaks::Ssmping }) => {
                let m = ssmping::Message::answer(payload).filter(|m| m.client == self.id as u32)?;
                let number = m.number.checked_sub(1).filter(|_| ours(ip) && m.group == self.job.to.ip)?;
                (u64::from(number), Mono(m.stamp), ssmping::TTL)
            }
            Some(Server { ip, speaks: Speaks::Omping }) => {
                let m = omping::Message::parse(payload)
                    .filter(|m| ours(ip) && m.kind == omping::Kind::Answer && self.is_client(m))?;
                (u64::from(m.number?.checked_sub(1)?), Mono(m.stamp?), m.ttl?)
            }
        };
        Some(Answer {
            from,
            by,
            sequence,
            // The two clocks were read at different times: an answer may seem to come before its ping.
            round_trip_ns: arrived.since(asked).min(PATIENCE_MAX.as_nanos() as u64 + SECOND_NS),
            ttl,
            sent_ttl,
            size_bytes: payload.len(),
            report: Report::parse(payload),
        })
    }
}
