//! One listener thread for each membership: waits for its socket and has it emptied.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::base::batch::{Account, Batch, Capture};
use crate::base::group::{Membership, MembershipId, SourceFilter};
use crate::engine::command::{Respond, Update};
use crate::engine::gather::{Gather, longest};
use crate::engine::gatherer::{Gatherers, Guest, way_home};
use crate::engine::intake::{ACCOUNT_EVERY, Intake};
use crate::engine::pool::Pool;
use crate::engine::responder::Limiter;
use crate::net::error::NetError;
use crate::net::socket::SocketOptions;
use crate::net::wake::Waker;

/// Stack of a listener: it keeps its buffers on the heap and recurses nowhere.
pub(super) const STACK: usize = 128 << 10;
/// At the end, without a free batch, the next turn comes so much later.
const STARVED: Duration = Duration::from_millis(2);
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
    /// Who empties the sockets of many listeners.
    pub gatherers: Arc<Gatherers>,
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
    Filter(Change),
    Respond(Respond),
    /// The addresses of this host, for the responder.
    Own(Arc<[IpAddr]>),
}

/// A change of who is let through.
pub(super) enum Change {
    Block(IpAddr),
    Unblock(IpAddr),
    /// Just these.
    To(SourceFilter),
}

impl Change {
    /// What it does, in words.
    pub fn words(&self) -> String {
        match self {
            Change::Block(ip) => format!("{ip} is blocked"),
            Change::Unblock(ip) => format!("{ip} is let through"),
            Change::To(filter) => format!("{filter} is let through"),
        }
    }
}

/// The supervisor's end of a listener.
pub(super) struct Listener {
    messages: Sender<Message>,
    waker: Waker,
    gatherers: Arc<Gatherers>,
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
        let (w, s, gatherers) = (waker.clone(), stop.clone(), shared.gatherers.clone());
        let name = format!("listen-{}", start.id.0);
        let thread = std::thread::Builder::new().name(name).stack_size(STACK).spawn(move || {
            Run { start, shared, inbox, waker: w, stop: s, gather: Gather::default() }.run()
        })?;
        Ok(Listener { messages, waker, gatherers, stop, thread })
    }

    /// Tells the listener something; false if it has ended or does not keep up.
    pub fn tell(&self, message: Message) -> bool {
        let sent = self.messages.try_send(message).is_ok();
        self.wake();
        sent
    }

    /// Asks it to end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.wake();
    }

    fn wake(&self) {
        self.waker.wake();
        self.gatherers.look_up();
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

struct Run {
    start: Start,
    shared: Shared,
    inbox: Receiver<Message>,
    waker: Waker,
    stop: Arc<AtomicBool>,
    gather: Gather,
}

/// Why a thread gives its socket away.
enum Turned {
    /// It was told to end.
    Stop,
    /// Its traffic is better gathered together with that of others.
    Share,
}

impl Run {
    fn run(mut self) -> Account {
        let id = self.start.id;
        let mut intake = match Intake::open(&self.start, &self.shared) {
            Ok(intake) => Box::new(intake),
            Err(e) => {
                self.say(Update::Failed { id, error: e.reason(), remedy: e.remedy() });
                return self.start.account;
            }
        };
        self.say(Update::Joined(id, intake.buffer()));
        if let Some(why) = self.start.again.take() {
            self.say(Update::Rejoined(id, why));
        }
        self.shared.listeners.fetch_add(1, Ordering::Relaxed);
        loop {
            match self.listen(&mut intake) {
                Ok(Turned::Share) => match self.lend(intake) {
                    Some(back) => intake = back,
                    None => {
                        let error = "the thread that gathered for it has ended".to_owned();
                        self.say(Update::Failed { id, error, remedy: Some("join it again".into()) });
                        self.shared.listeners.fetch_sub(1, Ordering::Relaxed);
                        return self.start.account;
                    }
                },
                Ok(Turned::Stop) => break,
                Err(e) => {
                    self.say(Update::Failed { id, error: e.reason(), remedy: e.remedy() });
                    break;
                }
            }
        }
        self.shared.listeners.fetch_sub(1, Ordering::Relaxed);
        self.last_turn(&mut intake);
        intake.account()
    }

    fn listen(&mut self, intake: &mut Intake) -> Result<Turned, NetError> {
        // Whether something came since the drop counter was last read.
        let mut unsettled = true;
        loop {
            let ready = intake.socket.wait(&self.waker, unsettled.then_some(ACCOUNT_EVERY))?;
            if self.stop.load(Ordering::Acquire) {
                return Ok(Turned::Stop);
            }
            if ready.woken {
                self.waker.clear();
                self.messages(intake);
            }
            if ready.socket {
                loop {
                    let fill = intake.fill();
                    let mut batch = None;
                    let turn = intake.turn(&mut batch);
                    self.shared.hand_on(&mut batch);
                    let (turn, elapsed) = turn?;
                    unsettled = true;
                    let listeners = self.shared.listeners.load(Ordering::Relaxed);
                    let span = self.gather.next(turn.packets, elapsed, fill, listeners);
                    if (span.is_some() || turn.starved)
                        && self.gather.is_shared(listeners)
                        && !intake.responder.is_on()
                    {
                        return Ok(Turned::Share);
                    }
                    let span = match span {
                        Some(span) => span,
                        // Many that ask again and again would keep the front end from giving any back.
                        None if turn.starved => longest(listeners),
                        None => break,
                    };
                    if self.waker.wait(Some(span))? {
                        break;
                    }
                }
            } else if !ready.woken {
                unsettled = false;
                let mut batch = None;
                intake.settle(&mut batch);
                self.shared.hand_on(&mut batch);
            }
        }
    }

    /// Lends the socket to a thread that gathers for many, and waits until it is back.
    fn lend(&mut self, intake: Box<Intake>) -> Option<Box<Intake>> {
        let (home, back) = way_home();
        let guest = Guest { intake, inbox: self.inbox.clone(), stop: self.stop.clone(), home };
        match self.shared.gatherers.take(guest, &self.shared) {
            Ok(()) => {
                let intake = back.recv().ok()?;
                self.gather.back();
                Some(intake)
            }
            Err(guest) => {
                self.gather.alone();
                Some(guest.intake)
            }
        }
    }

    /// Takes what the socket still holds at the end: received by the kernel for us is analysed or
    /// counted, up to the last datagram.
    fn last_turn(&mut self, intake: &mut Intake) {
        self.waker.clear();
        let mut batch = None;
        for _ in 0..LAST_TURNS {
            match intake.turn(&mut batch) {
                // The front end gives batches back while it waits for us.
                Ok((turn, _)) if turn.starved => drop(self.waker.wait(Some(STARVED))),
                _ => break,
            }
        }
        intake.settle(&mut batch);
        self.shared.hand_on(&mut batch);
    }

    fn messages(&mut self, intake: &mut Intake) {
        while let Ok(message) = self.inbox.try_recv() {
            match message {
                Message::Rejoin { ifindex, why } => intake.rejoin(ifindex, why),
                Message::Filter(change) => intake.filter(change),
                Message::Respond(mode) => intake.respond(mode),
                Message::Own(own) => intake.responder.set_own(own),
            }
        }
    }

    /// What must not be lost; the front end takes updates at all times until it ends.
    fn say(&self, update: Update) {
        let _ = self.shared.updates.send(update);
    }
}
