//! One listener thread for each membership: owns the socket, fills batches, keeps the account.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::base::batch::{Account, Batch, Capture};
use crate::base::group::{Membership, MembershipId};
use crate::engine::command::{Respond, Update};
use crate::engine::gather::Gather;
use crate::engine::pool::Pool;
use crate::engine::responder::{Limiter, Responder};
use crate::model::event::EventKind;
use crate::model::group::Buffer;
use crate::net::clock;
use crate::net::recv::Drained;
use crate::net::socket::{GroupSocket, RcvBuf, SocketOptions};
use crate::net::wake::Waker;

/// Stack of a listener: it keeps its buffers on the heap and recurses nowhere.
pub(super) const STACK: usize = 128 << 10;
/// A socket's drop counter is read this often while there is traffic, and once this long after it.
pub(super) const ACCOUNT_EVERY: Duration = Duration::from_millis(100);
/// Receive buffer asked for when nobody says how large. It is a limit and no memory: the kernel
/// charges what waits in it. 4 MiB hold some 10 ms at 400,000 datagrams a second.
const BUFFER: usize = 4 << 20;
/// A buffer that fills is made larger up to this.
const BUFFER_MAX: usize = 64 << 20;
/// A buffer this full at the start of a turn is made larger.
const CROWDED: f64 = 0.25;
/// What the kernel charges at the most for a datagram of up to an Ethernet frame; longer ones cost no
/// more than twice their length beside.
const CHARGE: u64 = 4096;
/// Without a free batch datagrams wait in the socket's buffer up to this share of it …
const STARVED_UP_TO: f64 = 0.5;
/// … and are asked for again after this.
const STARVED: Duration = Duration::from_millis(2);
/// Batches that a turn fills at the most: a sender faster than this thread must not keep it from
/// looking up.
const BATCHES_A_TURN: usize = 512;
/// Turns that the end waits for free batches.
const LAST_TURNS: usize = 100;
/// Messages that may wait for a listener.
const MESSAGES: usize = 64;

/// What all listeners share.
#[derive(Clone)]
pub(super) struct Shared {
    pub pool: Pool,
    pub batches: Sender<Box<Batch>>,
    pub updates: Sender<Update>,
    pub options: SocketOptions,
    /// Listeners that run at present: the more, the longer each gathers.
    pub listeners: Arc<AtomicUsize>,
    /// How datagrams come.
    pub capture: Capture,
    pub limiter: Arc<Limiter>,
}

/// What the supervisor tells a running listener.
pub(super) enum Message {
    Rejoin {
        ifindex: u32,
        why: String,
    },
    Block(IpAddr),
    Unblock(IpAddr),
    Respond(Respond),
    /// The addresses of this host, for the responder.
    Own(Arc<[IpAddr]>),
}

/// The supervisor's end of a listener.
pub(super) struct Listener {
    messages: Sender<Message>,
    waker: Waker,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Account>,
}

/// What a listener begins with.
pub(super) struct Start {
    pub id: MembershipId,
    pub membership: Arc<Membership>,
    pub ifindex: u32,
    /// What earlier sockets of this row counted.
    pub account: Account,
    pub respond: Respond,
    pub own: Arc<[IpAddr]>,
    /// Why it is opened anew, if it is.
    pub again: Option<String>,
}

impl Listener {
    /// Starts the thread; the socket is opened on it, so that nothing waits for a slow join.
    pub fn spawn(start: Start, shared: Shared) -> std::io::Result<Listener> {
        let waker = Waker::new().map_err(std::io::Error::other)?;
        let (messages, inbox) = bounded(MESSAGES);
        let stop = Arc::new(AtomicBool::new(false));
        let (w, s) = (waker.clone(), stop.clone());
        let name = format!("listen-{}", start.id.0);
        let thread = std::thread::Builder::new()
            .name(name)
            .stack_size(STACK)
            .spawn(move || Run::new(start, shared, inbox, w, s).run())?;
        Ok(Listener { messages, waker, stop, thread })
    }

    /// Tells the listener something; false if it has ended or does not keep up.
    pub fn tell(&self, message: Message) -> bool {
        let sent = self.messages.try_send(message).is_ok();
        self.waker.wake();
        sent
    }

    /// Asks it to end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Waits for its end; the account of the row so far.
    pub fn join(self) -> Option<Account> {
        self.stop();
        self.thread.join().ok()
    }

    /// Whether the thread has ended by itself: the join failed.
    pub fn ended(&self) -> bool {
        self.thread.is_finished()
    }
}

/// What a turn took from the socket.
#[derive(Clone, Copy, Debug, Default)]
struct Turn {
    packets: u64,
    bytes: u64,
    /// No batch was free: some was left in the socket.
    starved: bool,
}

struct Run {
    id: MembershipId,
    start: Start,
    shared: Shared,
    inbox: Receiver<Message>,
    waker: Waker,
    stop: Arc<AtomicBool>,
    account: Account,
    told: Account,
    drained: Drained,
    gather: Gather,
    /// Whether the buffer may grow: nobody said how large it is to be, and more is to be had.
    growing: bool,
    responder: Responder,
}

impl Run {
    fn new(
        start: Start,
        shared: Shared,
        inbox: Receiver<Message>,
        waker: Waker,
        stop: Arc<AtomicBool>,
    ) -> Run {
        let responder = Responder::new(start.respond, start.own.clone(), shared.limiter.clone());
        let account = start.account;
        Run {
            id: start.id,
            account,
            told: account,
            drained: Drained::default(),
            gather: Gather::default(),
            growing: shared.options.rcvbuf.is_none(),
            responder,
            start,
            shared,
            inbox,
            waker,
            stop,
        }
    }

    fn run(mut self) -> Account {
        let mut options = self.shared.options;
        options.rcvbuf = options.rcvbuf.or(Some(BUFFER));
        let opened = GroupSocket::open(&self.start.membership, self.start.ifindex, &options);
        let mut socket = match opened {
            Ok(socket) => socket,
            Err(e) => {
                self.say(Update::Failed { id: self.id, error: e.reason(), remedy: e.remedy() });
                return self.account;
            }
        };
        self.say(Update::Joined(self.id, buffer(socket.rcvbuf())));
        if let Some(why) = self.start.again.take() {
            self.say(Update::Rejoined(self.id, why));
        }
        self.shared.listeners.fetch_add(1, Ordering::Relaxed);
        if let Err(e) = self.listen(&mut socket) {
            self.say(Update::Failed { id: self.id, error: e.reason(), remedy: e.remedy() });
        }
        self.shared.listeners.fetch_sub(1, Ordering::Relaxed);
        self.last_turn(&mut socket);
        self.settle(&mut socket);
        self.account
    }

    fn listen(&mut self, socket: &mut GroupSocket) -> Result<(), crate::net::error::NetError> {
        let mut last_turn = Instant::now();
        let mut last_account = last_turn;
        // Whether something came since the drop counter was last read.
        let mut unsettled = true;
        // What the kernel charged, at the most, for what the last turn took.
        let mut charged = u64::MAX;
        loop {
            let ready = socket.wait(&self.waker, unsettled.then_some(ACCOUNT_EVERY))?;
            if self.stop.load(Ordering::Acquire) {
                return Ok(());
            }
            if ready.woken {
                self.waker.clear();
                self.messages(socket);
            }
            if ready.socket {
                loop {
                    // The kernel is asked only where the buffer may be filling: a turn that took little
                    // says so without a system call.
                    let size = socket.rcvbuf().kernel as f64;
                    let fill = match charged as f64 / size {
                        few if few < CROWDED / 4.0 => Some(few),
                        _ => fill(socket),
                    };
                    if self.growing && fill.is_some_and(|f| f > CROWDED) {
                        self.grow(socket);
                    }
                    let turn = self.turn(socket)?;
                    charged = turn.packets * CHARGE + turn.bytes * 2;
                    let now = Instant::now();
                    let elapsed = now - std::mem::replace(&mut last_turn, now);
                    unsettled = true;
                    if now - last_account >= ACCOUNT_EVERY {
                        last_account = now;
                        self.settle(socket);
                    }
                    let listeners = self.shared.listeners.load(Ordering::Relaxed);
                    let span = match self.gather.next(turn.packets, elapsed, fill, listeners) {
                        None if turn.starved => STARVED,
                        Some(span) => span,
                        None => break,
                    };
                    if self.waker.wait(Some(span))? {
                        break;
                    }
                }
            } else if !ready.woken {
                unsettled = false;
                last_account = Instant::now();
                self.settle(socket);
            }
        }
    }

    /// Asks for twice the buffer, as long as the system gives it.
    fn grow(&mut self, socket: &mut GroupSocket) {
        let had = socket.rcvbuf().granted;
        let got = socket.set_rcvbuf(had.saturating_mul(2)).map(|r| r.granted);
        self.growing = got.is_ok_and(|g| g > had && g < BUFFER_MAX);
        self.say(Update::Buffer(self.id, buffer(socket.rcvbuf())));
    }

    /// Takes all that the socket holds.
    fn turn(&mut self, socket: &mut GroupSocket) -> Result<Turn, crate::net::error::NetError> {
        let mut turn = Turn::default();
        for _ in 0..BATCHES_A_TURN {
            let Some(mut batch) = self.shared.pool.take() else {
                // The socket's own buffer is the better place to wait, as long as it has room.
                if fill(socket).is_some_and(|f| f < STARVED_UP_TO) {
                    turn.starved = true;
                    return Ok(turn);
                }
                let before = self.drained;
                let dry = socket.drain(&mut self.drained)?;
                turn.packets += self.drained.packets - before.packets;
                turn.bytes += self.drained.bytes - before.bytes;
                self.count_drained();
                if dry.dry {
                    return Ok(turn);
                }
                continue;
            };
            let mut dry = false;
            let mut outcome = Ok(());
            while !dry && !batch.is_full() {
                match socket.receive(&mut batch, self.id) {
                    Ok(r) => {
                        turn.packets += r.taken as u64;
                        dry = r.dry;
                    }
                    Err(e) => {
                        outcome = Err(e);
                        break;
                    }
                }
            }
            if batch.datagrams().is_empty() {
                batch.received = clock::now();
            }
            turn.bytes += batch.datagrams().iter().map(|d| u64::from(d.len)).sum::<u64>();
            self.hand_on(batch);
            outcome?;
            if dry {
                return Ok(turn);
            }
        }
        Ok(turn)
    }

    /// Takes what the socket still holds at the end: received by the kernel for us is analysed or
    /// counted, up to the last datagram.
    fn last_turn(&mut self, socket: &mut GroupSocket) {
        self.waker.clear();
        for _ in 0..LAST_TURNS {
            match self.turn(socket) {
                // The front end gives batches back while it waits for us.
                Ok(turn) if turn.starved => drop(self.waker.wait(Some(STARVED))),
                _ => return,
            }
        }
    }

    fn count_drained(&mut self) {
        self.account.not_analysed = self.start.account.not_analysed + self.drained.packets;
        self.account.not_analysed_bytes = self.start.account.not_analysed_bytes + self.drained.bytes;
    }

    /// Answers if asked to, adds the account if it moved, and gives the batch to the model.
    fn hand_on(&mut self, mut batch: Box<Batch>) {
        if self.responder.is_on() {
            let before = self.responder.answered();
            let said = self.responder.answer(&batch, self.id, &self.start.membership, self.start.ifindex);
            if self.responder.answered() != before {
                let _ = self.shared.updates.try_send(Update::Answered(self.id, self.responder.answered()));
            }
            if let Some(text) = said {
                let note = Update::Note(EventKind::Send, Some(self.id), text);
                let _ = self.shared.updates.try_send(note);
            }
        }
        if self.account != self.told {
            batch.accounts.push(self.account);
        }
        if batch.is_empty() {
            self.shared.pool.give(batch);
            return;
        }
        match self.shared.batches.try_send(batch) {
            Ok(()) => self.told = self.account,
            Err(refused) => {
                let batch = refused.into_inner();
                self.drained.packets += batch.datagrams().len() as u64;
                self.drained.bytes += batch.datagrams().iter().map(|d| u64::from(d.len)).sum::<u64>();
                self.count_drained();
                self.shared.pool.give(batch);
            }
        }
    }

    /// Reads the drop counter and tells the account if it moved.
    fn settle(&mut self, socket: &mut GroupSocket) {
        if let Some(drops) = socket.drops() {
            self.account.socket_drops = Some(self.start.account.socket_drops.unwrap_or(0) + drops);
        }
        if self.account != self.told
            && let Some(mut batch) = self.shared.pool.take()
        {
            batch.received = clock::now();
            self.hand_on(batch);
        }
    }

    fn messages(&mut self, socket: &mut GroupSocket) {
        while let Ok(message) = self.inbox.try_recv() {
            match message {
                Message::Rejoin { ifindex, why } => match socket.rejoin(ifindex) {
                    Ok(drained) => {
                        self.drained.packets += drained.packets;
                        self.drained.bytes += drained.bytes;
                        self.count_drained();
                        self.start.ifindex = ifindex;
                        self.say(Update::Rejoined(self.id, why));
                    }
                    Err(e) => {
                        self.say(Update::Failed { id: self.id, error: e.reason(), remedy: e.remedy() });
                    }
                },
                Message::Block(ip) => self.filter(socket.block(ip), ip, true),
                Message::Unblock(ip) => self.filter(socket.unblock(ip), ip, false),
                Message::Respond(mode) => {
                    self.responder.set(mode);
                    self.say(Update::Responding(self.id, mode));
                }
                Message::Own(own) => self.responder.set_own(own),
            }
        }
    }

    fn filter(&mut self, outcome: Result<(), crate::net::error::NetError>, ip: IpAddr, block: bool) {
        use crate::base::group::SourceFilter::{Any, Exclude, Include};
        if let Err(e) = outcome {
            self.say(Update::Note(EventKind::Note, Some(self.id), e.to_string()));
            return;
        }
        let mut m = (*self.start.membership).clone();
        m.filter = match (std::mem::take(&mut m.filter), block) {
            (Any, true) => Exclude(vec![ip]),
            (Any, false) => Any,
            (Exclude(mut list), true) => {
                list.push(ip);
                Exclude(list)
            }
            (Exclude(mut list), false) => {
                list.retain(|&a| a != ip);
                if list.is_empty() { Any } else { Exclude(list) }
            }
            (Include(mut list), true) => {
                list.retain(|&a| a != ip);
                Include(list)
            }
            (Include(mut list), false) => {
                list.push(ip);
                Include(list)
            }
        };
        self.start.membership = Arc::new(m);
        let text =
            format!("{} {ip} on {}", if block { "blocked" } else { "let through" }, self.start.membership);
        self.say(Update::Filter(self.id, self.start.membership.clone(), text));
    }

    /// What must not be lost; the front end takes updates at all times until it ends.
    fn say(&self, update: Update) {
        let _ = self.shared.updates.send(update);
    }
}

/// How full the socket's buffer is, 0 to 1.
fn fill(socket: &GroupSocket) -> Option<f64> {
    let (queued, size) = (socket.queued()?, socket.rcvbuf().kernel);
    Some(f64::from(queued) / size.max(1) as f64)
}

fn buffer(r: RcvBuf) -> Buffer {
    let clamped = r.clamped.map(|c| {
        let remedy = r.remedy().unwrap_or_default();
        format!("asked for {} bytes, the system grants {}; {remedy}", r.asked.unwrap_or(0), c.limit)
    });
    Buffer { capture: Capture::Sockets, granted_bytes: Some(r.granted as u64), clamped }
}
