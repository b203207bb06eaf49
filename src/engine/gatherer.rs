//! Threads that empty the sockets of many listeners in rounds.
//!
//! A thread a group costs a wake-up a group. With hundreds of groups of a medium rate each that is most
//! of the cost of receiving: waking a thread into cold caches takes longer than receiving what it was
//! woken for. So a listener that would only let its traffic gather hands its socket to one of these
//! threads and sleeps itself, until its group falls quiet (and is to be received at once again),
//! becomes so busy that it is better off alone, or somebody wants something of it.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use crate::base::batch::Batch;
use crate::engine::gather::longest;
use crate::engine::intake::{CROWDED, Intake};
use crate::engine::listener::{Message, STACK, Shared};

/// Sockets that one thread empties. More threads than processors do no harm: they sleep.
const GUESTS: usize = 128;
/// A group that brings more in one round is better off with its own thread …
pub(super) const BUSY: u64 = 1024;
/// … and one that was silent in so many rounds is waited for at once again.
const SILENT_ROUNDS: u32 = 5;

/// A listener's socket on loan.
pub(super) struct Guest {
    pub intake: Box<Intake>,
    /// The listener's messages: it reads them when it has its socket back.
    pub inbox: Receiver<Message>,
    /// Whether the listener is to end.
    pub stop: Arc<AtomicBool>,
    /// The way back.
    pub home: Sender<Box<Intake>>,
}

/// All such threads of an engine.
#[derive(Default)]
pub(super) struct Gatherers(Mutex<Vec<Gatherer>>);

struct Gatherer {
    /// Guests that arrive; nobody arriving only draws attention.
    door: Sender<Option<Guest>>,
    guests: Arc<AtomicUsize>,
    thread: JoinHandle<()>,
}

impl Gatherers {
    /// Takes a socket on loan; gives it back when no thread can be had.
    pub fn take(&self, guest: Guest, shared: &Shared) -> Result<(), Guest> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let free = all.iter().position(|g| g.guests.load(Ordering::Relaxed) < GUESTS);
        let place = match free {
            Some(place) => place,
            None => {
                let Ok(gatherer) = Gatherer::spawn(all.len(), shared.clone()) else { return Err(guest) };
                all.push(gatherer);
                all.len() - 1
            }
        };
        all[place].guests.fetch_add(1, Ordering::Relaxed);
        match all[place].door.send(Some(guest)) {
            Ok(()) => Ok(()),
            // Its thread has ended: the next one gets a new thread.
            Err(refused) => {
                all.remove(place);
                refused.into_inner().map_or(Ok(()), Err)
            }
        }
    }

    /// A listener is wanted: whoever has its socket is to look before the round is over.
    pub fn look_up(&self) {
        for gatherer in &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = gatherer.door.send(None);
        }
    }

    /// Ends the threads; to be called when no listener is left.
    pub fn end(&self) {
        let all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for gatherer in all {
            drop(gatherer.door);
            let _ = gatherer.thread.join();
        }
    }
}

/// The two ends of the way back of a socket on loan.
pub(super) fn way_home() -> (Sender<Box<Intake>>, Receiver<Box<Intake>>) {
    bounded(1)
}

impl Gatherer {
    fn spawn(number: usize, shared: Shared) -> std::io::Result<Gatherer> {
        let (door, arriving) = unbounded();
        let guests = Arc::new(AtomicUsize::new(0));
        let count = guests.clone();
        let thread = std::thread::Builder::new()
            .name(format!("gather-{number}"))
            .stack_size(STACK)
            .spawn(move || run(&shared, &arriving, &count))?;
        Ok(Gatherer { door, guests, thread })
    }
}

/// A guest, and the rounds in which it was silent lately.
type Seat = (Guest, u32);

/// Goes round the guests until nobody is left and nobody can come any more.
fn run(shared: &Shared, arriving: &Receiver<Option<Guest>>, count: &AtomicUsize) {
    let mut guests: Vec<Seat> = Vec::new();
    let mut next = Instant::now();
    let round = || longest(shared.listeners.load(Ordering::Relaxed));
    loop {
        let arrived = if guests.is_empty() {
            next = Instant::now() + round();
            arriving.recv().map_err(|_| RecvTimeoutError::Disconnected)
        } else {
            arriving.recv_deadline(next)
        };
        match arrived {
            Ok(Some(guest)) => {
                guests.push((guest, 0));
                continue;
            }
            Ok(None) => {
                see_off(&mut guests, shared, count, |(guest, _), _| !guest.is_wanted());
                continue;
            }
            Err(RecvTimeoutError::Disconnected) if guests.is_empty() => return,
            // The engine has ended; the last guests are wanted, or soon will be.
            Err(RecvTimeoutError::Disconnected) => std::thread::park_timeout(round()),
            Err(RecvTimeoutError::Timeout) => {}
        }
        next = Instant::now() + round();
        see_off(&mut guests, shared, count, visit);
    }
}

/// Goes round once and sends home who does not stay.
fn see_off(
    guests: &mut Vec<Seat>,
    shared: &Shared,
    count: &AtomicUsize,
    mut stays: impl FnMut(&mut Seat, &mut Option<Box<Batch>>) -> bool,
) {
    let mut batch = None;
    let mut i = 0;
    while i < guests.len() {
        if stays(&mut guests[i], &mut batch) {
            i += 1;
            continue;
        }
        let (guest, _) = guests.swap_remove(i);
        count.fetch_sub(1, Ordering::Relaxed);
        // What was received here goes before what its own thread will hand on.
        shared.hand_on(&mut batch);
        let _ = guest.home.send(guest.intake);
    }
    shared.hand_on(&mut batch);
}

/// Takes what one guest's socket holds; whether it stays.
fn visit((guest, silent): &mut Seat, batch: &mut Option<Box<Batch>>) -> bool {
    if guest.is_wanted() {
        return false;
    }
    let crowded = guest.intake.fill().is_some_and(|f| f > CROWDED);
    // An error that is still there when its own thread looks is told there.
    let Ok((turn, _)) = guest.intake.turn(batch) else { return false };
    *silent = if turn.packets == 0 && !turn.starved { *silent + 1 } else { 0 };
    !crowded && turn.packets <= BUSY && *silent < SILENT_ROUNDS
}

impl Guest {
    /// Whether its listener has something else to do.
    fn is_wanted(&self) -> bool {
        self.stop.load(Ordering::Acquire) || !self.inbox.is_empty()
    }
}
