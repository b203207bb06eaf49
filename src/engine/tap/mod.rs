//! One thread for each interface with a tap: reads what is on the wire, sorts it by who takes it, and hands
//! it to the model as [`Sight`]s. It joins nothing and sends nothing.
//!
//! It has memory and a channel of its own: however much is on the wire, the joined groups' batches are not
//! touched. What finds no free sight waits in the ring while half of that is free, and is counted after
//! that.

mod sort;
mod taps;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::base::group::{Endpoint, Membership, MembershipId};
use crate::base::tap::Depth;
use crate::engine::command::Update;
use crate::engine::listener::STACK;
use crate::model::seen::{Sight, TapState};
use crate::model::source::Stamp;
use crate::net::NetError;
use crate::net::clock;
use crate::net::ring::Ring;
use crate::net::wake::Waker;
use sort::Sorter;
pub(super) use taps::Taps;

/// Sights in all: 16,384 datagrams of room between the taps and the model.
const SIGHTS: usize = 64;
/// The last sights of taps that end may be one more each.
const LAST: usize = 64;
/// Orders that may wait.
const ORDERS: usize = 256;
/// Blocks taken before orders have their turn.
const BLOCKS_A_TURN: usize = 16;
/// Counters are read this often while there is traffic.
const COUNT_EVERY: Duration = Duration::from_millis(100);
/// Bytes of a ring that only has to hold IGMP and MLD: the least there is.
const EARS_BYTES: usize = 0;

/// Where taps get their memory and where they hand it.
#[derive(Clone)]
pub(super) struct Sights {
    free: (Sender<Box<Sight>>, Receiver<Box<Sight>>),
    full: Sender<Box<Sight>>,
    made: Arc<AtomicUsize>,
}

impl Sights {
    /// And the end that the front end reads.
    pub fn new() -> (Sights, Receiver<Box<Sight>>) {
        let (full, sights) = bounded(SIGHTS + LAST);
        (Sights { free: bounded(SIGHTS + LAST), full, made: Arc::default() }, sights)
    }

    /// An empty one, waited for so long; `None` when all are under way.
    fn take(&self, patience: Duration) -> Option<Box<Sight>> {
        if let Ok(sight) = self.free.1.try_recv() {
            return Some(sight);
        }
        if self.made.load(Ordering::Relaxed) < SIGHTS {
            self.made.fetch_add(1, Ordering::Relaxed);
            return Some(Box::default());
        }
        if patience.is_zero() { None } else { self.free.1.recv_timeout(patience).ok() }
    }

    /// Gives one back.
    pub fn give(&self, mut sight: Box<Sight>) {
        sight.clear();
        // Room for all that are made; what is more is freed.
        let _ = self.free.0.try_send(sight);
    }

    /// Hands one to the model. There is room for all that are made.
    fn hand_on(&self, sight: Box<Sight>) {
        let _ = self.full.try_send(sight);
    }
}

/// What the supervisor tells a tap.
enum Order {
    /// This row takes what passes its filter from now on.
    Stands(MembershipId, Arc<Membership>),
    /// It does no more.
    Left(MembershipId, Endpoint),
}

/// The supervisor's end of a tap.
struct Tap {
    /// How deep it looks.
    depth: Depth,
    orders: Sender<Order>,
    waker: Waker,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// Where a tap is to be opened.
struct At {
    pub iface: Arc<str>,
    pub ifindex: u32,
    pub depth: Depth,
    pub loopback: bool,
    /// Bytes of the ring; `None` for the usual size.
    pub bytes: Option<usize>,
}

impl Tap {
    /// Opens the ring and starts the thread; `rows` stand on the interface already.
    ///
    /// # Errors
    /// When there can be no tap, or no thread.
    pub fn spawn(
        at: At,
        rows: impl Iterator<Item = (MembershipId, Arc<Membership>)>,
        sights: Sights,
        updates: Sender<Update>,
    ) -> Result<Tap, NetError> {
        let bytes = if at.depth.shows_groups() { at.bytes } else { Some(EARS_BYTES) };
        let ring = Ring::tap(&at.iface, at.ifindex, (at.depth, at.loopback), bytes)?;
        let waker = Waker::new()?;
        let (orders, inbox) = bounded(ORDERS);
        let stop = Arc::new(AtomicBool::new(false));
        let mut sorter = Sorter::new(at.iface.clone(), at.depth);
        rows.for_each(|(id, m)| sorter.stands(id, m));
        let now = clock::now();
        let state = TapState::On {
            depth: at.depth,
            ring_bytes: ring.bytes() as u64,
            since: Stamp { mono: now.mono, wall: now.wall },
        };
        let run = Run {
            iface: at.iface.clone(),
            inbox,
            waker: waker.clone(),
            stop: stop.clone(),
            drops_told: 0,
            sorter,
            sights,
            updates: updates.clone(),
        };
        let thread = std::thread::Builder::new()
            .name(format!("tap-{}", at.iface))
            .stack_size(STACK)
            .spawn(move || run.run(ring))
            .map_err(|source| NetError::Limit { what: "start a thread for the tap", source })?;
        let _ = updates.send(Update::Tap(at.iface, state));
        Ok(Tap { depth: at.depth, orders, waker, stop, thread })
    }

    /// Gives an order, waiting while many wait already.
    pub fn order(&self, order: Order) {
        let _ = self.orders.send(order);
        self.waker.wake();
    }

    /// Asks it to end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Waits for its end.
    pub fn join(self) {
        self.stop();
        drop(self.orders);
        let _ = self.thread.join();
    }

    /// Whether the thread has ended by itself: the ring failed.
    pub fn ended(&self) -> bool {
        self.thread.is_finished()
    }
}

struct Run {
    iface: Arc<str>,
    inbox: Receiver<Order>,
    waker: Waker,
    stop: Arc<AtomicBool>,
    drops_told: u64,
    sorter: Sorter,
    sights: Sights,
    updates: Sender<Update>,
}

impl Run {
    fn run(mut self, mut ring: Ring) {
        if let Err(e) = self.listen(&mut ring) {
            let state = TapState::Failed { error: e.reason(), remedy: e.remedy() };
            let _ = self.updates.send(Update::Tap(self.iface.clone(), state));
        }
        // What the ring still holds belongs to the last figures.
        self.turn(&mut ring);
        self.count(&mut ring);
        self.sorter.last(&self.sights);
    }

    fn listen(&mut self, ring: &mut Ring) -> Result<(), NetError> {
        let mut last_count = Instant::now();
        let mut unsettled = true;
        loop {
            let ready = ring.wait(&self.waker, unsettled.then_some(COUNT_EVERY))?;
            if self.stop.load(Ordering::Acquire) {
                return Ok(());
            }
            if ready.woken {
                self.waker.clear();
                while let Ok(order) = self.inbox.try_recv() {
                    match order {
                        Order::Stands(id, m) => self.sorter.stands(id, m),
                        Order::Left(id, to) => self.sorter.left(id, to),
                    }
                }
            }
            if ready.received {
                self.turn(ring);
                unsettled = true;
            }
            let now = Instant::now();
            if now - last_count >= COUNT_EVERY {
                last_count = now;
                self.count(ring);
                unsettled = !self.sorter.settle(&self.sights) || ready.received;
            }
        }
    }

    /// Takes what is there, within bounds.
    fn turn(&mut self, ring: &mut Ring) {
        for _ in 0..BLOCKS_A_TURN {
            let hurry = ring.is_half_full() || self.stop.load(Ordering::Relaxed);
            let Some(block) = ring.block() else { break };
            for (frame, mark) in block.frames().marked() {
                self.sorter.take(&frame, mark, hurry, &self.sights);
            }
        }
        self.sorter.hand_on(&self.sights);
    }

    fn count(&mut self, ring: &mut Ring) {
        let drops = ring.drops();
        self.sorter.dropped(drops - self.drops_told);
        self.drops_told = drops;
    }
}
