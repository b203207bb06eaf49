//! A running send: one thread that follows a schedule and listens for answers between.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use crate::base::group::Endpoint;
use crate::base::time::Mono;
use crate::engine::command::{
    Payload, REPLIES_MAX, Reply, SendFault, SendId, SendJob, SendProgress, SendState, Size, Update,
};
use crate::engine::plan::{Fate, Schedule, fate};
use crate::engine::task::Task;
use crate::net::clock;
use crate::net::send::{Reply as Heard, SendOptions, SendSocket};
use crate::net::wake::Waker;
use crate::wire::probe::{self, Kind, Probe};

/// Progress is told this often.
const TELL_EVERY: Duration = Duration::from_millis(100);
/// Sending does not look up from its work for more datagrams than this.
const AT_A_TIME: u64 = 64;
/// Longest wait before the thread looks at its stop flag and clock again.
const NAP: Duration = Duration::from_millis(200);
/// Round trips longer than this are no answers to what was sent.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(60);

/// Starts to send on a thread of its own.
pub(super) fn spawn(
    id: SendId,
    job: SendJob,
    ifindex: u32,
    updates: Sender<Update>,
) -> std::io::Result<Task> {
    Task::spawn(format!("send-{}", id.0), move |waker, stop| {
        let last = run(&job, ifindex, waker, stop, &mut |update| match update {
            Told::From(e) => drop(updates.send(Update::Own(e))),
            // Progress may be late or missing, its end may not.
            Told::Progress(p) => drop(updates.try_send(Update::Sending(id, p.clone()))),
        });
        let _ = updates.send(Update::Sending(id, last));
    })
}

/// A number unique enough to tell two runs, or two responders, apart: both clocks and a port.
pub(super) fn run_id(port: u16) -> u64 {
    let now = clock::now();
    (now.wall.0 as u64).rotate_left(17) ^ now.mono.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(port)
}

/// What a send tells while it runs.
pub enum Told<'a> {
    /// The endpoint it sends from.
    From(Endpoint),
    /// How far it is.
    Progress(&'a SendProgress),
}

/// Sends to the end of the job, or until `stop`; blocks. The progress returned is the last.
pub fn run(
    job: &SendJob,
    ifindex: u32,
    waker: &Waker,
    stop: &AtomicBool,
    tell: &mut dyn FnMut(Told<'_>),
) -> SendProgress {
    let mut progress = SendProgress { to: Some(job.to), ..SendProgress::default() };
    let options = SendOptions {
        to: job.to,
        ifindex,
        iface: job.iface.clone(),
        ttl: job.ttl,
        dscp: job.dscp,
        loopback: job.loopback,
        source_port: job.source_port,
        source_ip: job.source_ip,
    };
    let socket = match SendSocket::open(&options) {
        Ok(socket) => socket,
        Err(e) => {
            progress.state = SendState::Failed(e.to_string());
            return progress;
        }
    };
    let from = socket.local();
    progress.from = Some(from);
    tell(Told::From(from));
    let mut run = Run::new(job, socket, progress);
    run.send_all(waker, stop, tell);
    run.await_replies(waker, stop, tell);
    run.progress.state = if stop.load(Ordering::Acquire) { SendState::Stopped } else { SendState::Done };
    run.progress.elapsed = run.begun.elapsed();
    run.progress
}

struct Run<'a> {
    job: &'a SendJob,
    socket: SendSocket,
    progress: SendProgress,
    schedule: Schedule,
    begun: Instant,
    told: Instant,
    id: u64,
    buffer: Vec<u8>,
    random: u64,
    held: Option<u64>,
    faults: BTreeMap<String, SendFault>,
    /// When the last datagram went, for answers that do not say what they answer.
    last_sent: Mono,
    in_buffer: Vec<u8>,
}

impl<'a> Run<'a> {
    fn new(job: &'a SendJob, socket: SendSocket, mut progress: SendProgress) -> Run<'a> {
        let schedule = Schedule::new(&job.plan, job.limit_pps);
        progress.total = schedule.total();
        progress.duration = schedule.duration();
        let now = clock::now();
        let id = run_id(progress.from.map_or(0, |f| f.port));
        let begun = Instant::now();
        Run {
            job,
            socket,
            progress,
            schedule,
            begun,
            told: begun,
            id,
            buffer: Vec::new(),
            random: id | 1,
            held: None,
            faults: BTreeMap::new(),
            last_sent: now.mono,
            in_buffer: vec![0; if job.await_reply.is_some() { 65_536 } else { 0 }],
        }
    }

    fn send_all(&mut self, waker: &Waker, stop: &AtomicBool, tell: &mut dyn FnMut(Told<'_>)) {
        let mut number = 0u64;
        let total = self.schedule.total().unwrap_or(u64::MAX);
        while number < total && !stop.load(Ordering::Acquire) {
            let elapsed = self.begun.elapsed();
            let due = self.schedule.due(elapsed).min(total).min(number + AT_A_TIME);
            while number < due {
                self.number(number);
                number += 1;
            }
            self.tell_sometimes(tell);
            if number < total {
                let wait = self.schedule.next_at(number).saturating_sub(self.begun.elapsed());
                self.rest(wait, waker);
            }
        }
        if let Some(held) = self.held.take() {
            self.one(held);
        }
    }

    /// Sends what becomes of a number.
    fn number(&mut self, n: u64) {
        match fate(&self.job.impair, n) {
            Fate::Drop => self.progress.dropped_on_purpose += 1,
            Fate::Double => {
                self.one(n);
                self.one(n);
                self.progress.doubled_on_purpose += 1;
            }
            Fate::Hold if self.held.is_none() => {
                self.held = Some(n);
                self.progress.swapped_on_purpose += 1;
                return;
            }
            Fate::Hold | Fate::Send => self.one(n),
        }
        if let Some(held) = self.held.take() {
            self.one(held);
        }
    }

    fn one(&mut self, n: u64) {
        self.fill(n);
        match self.socket.send(&self.buffer) {
            Ok(_) => {
                self.progress.sent += 1;
                self.progress.sent_bytes += self.buffer.len() as u64;
            }
            Err(e) => {
                let kind = e.reason();
                let fault = self.faults.entry(kind.clone()).or_insert_with(|| SendFault {
                    remedy: e.remedy(),
                    kind,
                    count: 0,
                });
                fault.count += 1;
            }
        }
    }

    /// Writes the payload of number `n` into the buffer.
    fn fill(&mut self, n: u64) {
        let text = match &self.job.payload {
            Payload::Probe { text, .. } => text.as_deref(),
            Payload::Bytes(_) => None,
        };
        let natural = match &self.job.payload {
            Payload::Probe { .. } => probe::HEADER + text.map_or(0, str::len),
            Payload::Bytes(b) => b.len(),
        };
        let size = match self.job.size {
            None => natural,
            Some(Size::Fixed(n)) => n as usize,
            Some(Size::Random(low, high)) => {
                self.random ^= self.random << 13;
                self.random ^= self.random >> 7;
                self.random ^= self.random << 17;
                low as usize + (self.random % u64::from(high.saturating_sub(low) + 1)) as usize
            }
        };
        self.buffer.clear();
        match &self.job.payload {
            Payload::Bytes(b) => {
                self.buffer.extend_from_slice(&b[..b.len().min(size)]);
                self.buffer.resize(size, 0);
            }
            Payload::Probe { ping, .. } => {
                self.buffer.resize(size.max(probe::HEADER), 0);
                if let Some(t) = text {
                    let room = self.buffer.len() - probe::HEADER;
                    let t = &t.as_bytes()[..t.len().min(room)];
                    self.buffer[probe::HEADER..][..t.len()].copy_from_slice(t);
                }
                let now = clock::now();
                self.last_sent = now.mono;
                let head = Probe {
                    kind: if *ping { Kind::Ping } else { Kind::Test },
                    flags: if text.is_some() { probe::FLAG_TEXT } else { 0 },
                    run: self.id,
                    sequence: n,
                    sent_wall: now.wall,
                    sent_mono: now.mono,
                    ttl: self.job.ttl,
                    dscp: self.job.dscp,
                };
                head.write(&mut self.buffer);
                return;
            }
        }
        self.last_sent = clock::now().mono;
    }

    /// Waits for the next number; answers are taken meanwhile.
    fn rest(&mut self, wait: Duration, waker: &Waker) {
        let until = Instant::now() + wait.min(NAP);
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            if self.job.await_reply.is_none() {
                // Woken or not: the loop above looks at the stop flag.
                let _ = waker.wait(Some(left));
                return;
            }
            match self.socket.receive_reply(&mut self.in_buffer, waker, Some(left)) {
                Ok(Some(r)) => self.reply(r),
                Ok(None) => return,
                Err(e) => {
                    // An ICMP error for an earlier datagram is reported here; it is counted, not fatal.
                    let kind = e.reason();
                    let fault = SendFault { remedy: e.remedy(), kind: kind.clone(), count: 0 };
                    self.faults.entry(kind).or_insert(fault).count += 1;
                }
            }
        }
    }

    fn reply(&mut self, r: Heard) {
        let payload = &self.in_buffer[..r.len.min(self.in_buffer.len())];
        let probe = Probe::parse(payload).filter(|p| p.run == self.id);
        let received = clock::now();
        let arrived = r.time.to_mono(received.offset_ns());
        let sent = probe.map_or(self.last_sent, |p| p.sent_mono);
        let round_trip = Duration::from_nanos(arrived.since(sent));
        if round_trip > ROUND_TRIP_MAX {
            return;
        }
        self.progress.reply_count += 1;
        if self.progress.replies.len() < REPLIES_MAX {
            let hops =
                probe.filter(|p| p.kind == Kind::Reply).zip(r.ttl).map(|(p, t)| p.ttl.saturating_sub(t));
            self.progress.replies.push(Reply {
                from: r.from,
                sequence: probe.map(|p| p.sequence),
                round_trip,
                ttl: r.ttl,
                hops,
                size_bytes: r.len,
            });
        }
    }

    fn await_replies(&mut self, waker: &Waker, stop: &AtomicBool, tell: &mut dyn FnMut(Told<'_>)) {
        let Some(patience) = self.job.await_reply else { return };
        let until = Instant::now() + patience;
        while !stop.load(Ordering::Acquire) {
            let left = until.saturating_duration_since(Instant::now());
            // One answer to the last datagram is not the end: others may answer as well.
            if left.is_zero() {
                return;
            }
            self.rest(left, waker);
            self.tell_sometimes(tell);
        }
    }

    fn tell_sometimes(&mut self, tell: &mut dyn FnMut(Told<'_>)) {
        self.progress.errors = self.faults.values().cloned().collect();
        if self.told.elapsed() >= TELL_EVERY {
            self.told = Instant::now();
            self.progress.elapsed = self.begun.elapsed();
            tell(Told::Progress(&self.progress));
        }
    }
}
