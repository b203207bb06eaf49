//! Threads and channels: the listeners, the supervisor that joins and leaves, the senders, the
//! responder, the demo.
//!
//! ```text
//! front end --commands--> supervisor --messages--> listeners --batches--> front end
//!                             |--> senders               '--updates--> front end
//! ```
//!
//! Every channel is bounded. Batches are offered, never waited with: a listener that finds no free
//! batch goes on draining its socket and counts. Updates are few; who sends one waits for the front
//! end, which takes them until it ends.
//!
//! With a packet ring ([`Capture::Ring`]) there is one listener for each interface instead of one for
//! each membership; nothing else differs.
//!
//! Taps ([`Command::Tap`]) are beside all that: a thread for each interface that looks at the wire, with
//! memory and a channel of its own ([`Engine::sights`]).
//!
//! The end, in this order: the front end drops its command channel; the supervisor stops the
//! listeners and senders and waits for each; the front end waits for the supervisor. Each thread
//! wakes at once and waits for nothing but a system call that does not block.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::base::batch::{Batch, Capture};
use crate::base::iface::Iface;
use crate::base::tap::Depth;
use crate::model::seen::Sight;
use crate::net::socket::SocketOptions;

pub mod command;
pub mod demo;
pub mod gather;
mod gatherer;
mod intake;
mod joins;
mod listener;
mod names;
mod pingd;
pub mod pinger;
pub mod plan;
pub mod pool;
pub mod responder;
mod ring;
pub mod sender;
mod supervisor;
mod tap;
mod task;

use command::{Command, Update};
use listener::Shared;
use pool::{BATCHES, Pool};
use supervisor::Supervisor;
use tap::Sights;

/// Commands that may wait: a range of groups is joined by one command each.
const COMMANDS: usize = 65_536;
/// Updates that may wait.
const UPDATES: usize = 4096;

/// How the engine receives.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// By sockets, or by a packet ring on each interface; never chosen silently.
    pub capture: Capture,
    /// How sockets are made. Of a ring, the receive buffer's size is the ring's.
    pub sockets: SocketOptions,
    /// How deep the wire is looked at from the start ([`Command::Tap`] changes it).
    pub tap: Depth,
}

/// The running engine, as its front end holds it.
pub struct Engine {
    commands: Option<Sender<Command>>,
    updates: Receiver<Update>,
    batches: Receiver<Box<Batch>>,
    pool: Pool,
    sights: (Sights, Receiver<Box<Sight>>),
    supervisor: Option<JoinHandle<()>>,
}

impl Engine {
    /// Starts the supervisor on these interfaces.
    ///
    /// # Errors
    /// When no thread can be had.
    pub fn start(ifaces: Vec<Iface>, options: Options) -> std::io::Result<Engine> {
        let (commands, to_do) = bounded(COMMANDS);
        let (say, updates) = bounded(UPDATES);
        let (hand_on, batches) = bounded(BATCHES);
        let pool = Pool::default();
        let shared = Shared {
            pool: pool.clone(),
            batches: hand_on,
            updates: say,
            options: options.sockets,
            capture: options.capture,
            listeners: Arc::new(AtomicUsize::new(0)),
            gatherers: Arc::default(),
            limiter: Arc::default(),
        };
        let sights = Sights::new();
        let taps = (options.tap, sights.0.clone());
        let supervisor = Some(Supervisor::spawn(to_do, shared, ifaces, taps)?);
        Ok(Engine { commands: Some(commands), updates, batches, pool, sights, supervisor })
    }

    /// Asks for something; false if the engine does not keep up or has ended.
    pub fn command(&self, command: Command) -> bool {
        self.commands.as_ref().is_some_and(|c| c.try_send(command).is_ok())
    }

    /// What the engine tells.
    pub fn updates(&self) -> &Receiver<Update> {
        &self.updates
    }

    /// Datagrams on their way; each batch goes back by [`Engine::recycle`].
    pub fn batches(&self) -> &Receiver<Box<Batch>> {
        &self.batches
    }

    /// What taps saw; each goes back by [`Engine::recycle_sight`].
    pub fn sights(&self) -> &Receiver<Box<Sight>> {
        &self.sights.1
    }

    /// Gives a sight back to the taps.
    pub fn recycle_sight(&self, sight: Box<Sight>) {
        self.sights.0.give(sight);
    }

    /// Gives a batch back to the pool.
    pub fn recycle(&self, batch: Box<Batch>) {
        self.pool.give(batch);
    }

    /// Stops receiving and sending and waits for all threads, handing what they still tell to
    /// `update` and what they still received to `batch`: the last figures are complete.
    pub fn stop(&mut self, mut update: impl FnMut(Update), mut batch: impl FnMut(&mut Batch)) {
        self.commands = None;
        let Some(supervisor) = self.supervisor.take() else { return };
        loop {
            let ended = supervisor.is_finished();
            for u in self.updates.try_iter() {
                update(u);
            }
            for mut b in self.batches.try_iter() {
                batch(&mut b);
                self.pool.give(b);
            }
            if ended {
                break;
            }
            // Whichever comes first; the supervisor's end closes no channel that is read here while
            // the resolver still holds one, so the wait is bounded.
            crossbeam_channel::select! {
                recv(self.updates) -> u => if let Ok(u) = u { update(u) },
                recv(self.batches) -> b => if let Ok(mut b) = b { batch(&mut b); self.pool.give(b) },
                default(Duration::from_millis(5)) => {}
            }
        }
        let _ = supervisor.join();
    }
}

/// Lets batches gather for a moment before the next look at them.
pub fn nap(time: Duration) {
    // A wait at their channel spins before it sleeps, which costs more than all the rest of a short one.
    std::thread::sleep(time);
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop(|_| {}, |_| {});
    }
}
