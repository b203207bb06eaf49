//! What one membership receives: its socket, the turn that empties it, and the account of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::batch::{Account, Batch, Capture};
use crate::base::group::{Membership, MembershipId};
use crate::engine::command::{Respond, Update};
use crate::engine::listener::{Change, Shared, Start};
use crate::engine::responder::Responder;
use crate::model::event::EventKind;
use crate::model::group::Buffer;
use crate::net::clock;
use crate::net::error::NetError;
use crate::net::recv::Drained;
use crate::net::socket::{GroupSocket, RcvBuf};

/// Receive buffer asked for when nobody says how large. It is a limit and no memory: the kernel
/// charges what waits in it. 4 MiB hold some 10 ms at 400,000 datagrams a second.
const BUFFER: usize = 4 << 20;
/// A buffer that fills is made larger up to this.
const BUFFER_MAX: usize = 64 << 20;
/// A buffer this full at the start of a turn is made larger.
pub(super) const CROWDED: f64 = 0.25;
/// What the kernel charges at the most for a datagram of up to an Ethernet frame; longer ones cost no
/// more than twice their length beside.
const CHARGE: u64 = 4096;
/// Without a free batch datagrams wait in the socket's buffer up to this share of it.
const STARVED_UP_TO: f64 = 0.5;
/// Batches that a turn fills at the most: a sender faster than this thread must not keep it from
/// looking up.
const BATCHES_A_TURN: usize = 512;
/// A socket's drop counter is read this often while there is traffic, and once this long after it.
pub(super) const ACCOUNT_EVERY: Duration = Duration::from_millis(100);

/// What a turn took from the socket.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Turn {
    /// Datagrams taken from the kernel, analysed or not.
    pub packets: u64,
    /// Their UDP payload, in bytes.
    pub bytes: u64,
    /// No batch was free: some was left in the socket.
    pub starved: bool,
}

/// The receiving side of one row. It belongs to one thread at a time.
pub(super) struct Intake {
    pub id: MembershipId,
    pub membership: Arc<Membership>,
    pub ifindex: u32,
    pub socket: GroupSocket,
    pub responder: Responder,
    shared: Shared,
    /// What earlier sockets of this row counted.
    before: Account,
    account: Account,
    told: Account,
    drained: Drained,
    /// Whether the buffer may grow: nobody said how large it is to be, and more is to be had.
    growing: bool,
    /// What the kernel charged, at the most, for what the last turn took.
    charged: u64,
    last_turn: Instant,
    last_account: Instant,
}

impl Intake {
    /// Opens the socket and joins.
    pub fn open(start: &Start, shared: &Shared) -> Result<Intake, NetError> {
        let mut options = shared.options;
        options.rcvbuf = options.rcvbuf.or(Some(BUFFER));
        let socket = GroupSocket::open(&start.membership, start.ifindex, &options)?;
        let now = Instant::now();
        Ok(Intake {
            id: start.id,
            membership: start.membership.clone(),
            ifindex: start.ifindex,
            socket,
            responder: Responder::new(start.respond, start.own.clone(), shared.limiter.clone()),
            growing: shared.options.rcvbuf.is_none(),
            shared: shared.clone(),
            before: start.account,
            account: start.account,
            told: start.account,
            drained: Drained::default(),
            charged: u64::MAX,
            last_turn: now,
            last_account: now,
        })
    }

    /// The account of the row so far.
    pub fn account(&self) -> Account {
        self.account
    }

    /// The receive buffer as the model tells it.
    pub fn buffer(&self) -> Buffer {
        buffer(self.socket.rcvbuf())
    }

    /// How full the socket's buffer is, 0 to 1; `None` where the system does not say. A buffer that
    /// fills is made larger. The kernel is asked only where it may be filling: a turn that took little
    /// says so without a system call.
    pub fn fill(&mut self) -> Option<f64> {
        let size = self.socket.rcvbuf().kernel as f64;
        let fill = match self.charged as f64 / size {
            few if few < CROWDED / 4.0 => Some(few),
            _ => self.filled(),
        };
        if self.growing && fill.is_some_and(|f| f > CROWDED) {
            self.grow();
        }
        fill
    }

    fn filled(&self) -> Option<f64> {
        let (queued, size) = (self.socket.queued()?, self.socket.rcvbuf().kernel);
        Some(f64::from(queued) / size.max(1) as f64)
    }

    /// Asks for twice the buffer, as long as the system gives it.
    fn grow(&mut self) {
        let had = self.socket.rcvbuf().granted;
        let got = self.socket.set_rcvbuf(had.saturating_mul(2)).map(|r| r.granted);
        self.growing = got.is_ok_and(|g| g > had && g < BUFFER_MAX);
        self.say(Update::Buffer(self.id, self.buffer()));
    }

    /// Takes all that the socket holds into `batch`, handing full ones on. What is left in `batch` at
    /// the end is the caller's to hand on, before this row's next turn in another batch. The time since
    /// the turn before is returned beside.
    pub fn turn(&mut self, batch: &mut Option<Box<Batch>>) -> Result<(Turn, Duration), NetError> {
        let mut turn = Turn::default();
        let outcome = self.take(batch, &mut turn);
        self.charged = turn.packets * CHARGE + turn.bytes * 2;
        let now = Instant::now();
        let elapsed = now - std::mem::replace(&mut self.last_turn, now);
        if now - self.last_account >= ACCOUNT_EVERY {
            self.settle(batch);
        }
        outcome.map(|()| (turn, elapsed))
    }

    fn take(&mut self, slot: &mut Option<Box<Batch>>, turn: &mut Turn) -> Result<(), NetError> {
        for _ in 0..BATCHES_A_TURN {
            if slot.is_none() {
                *slot = self.shared.pool.take();
            }
            let Some(batch) = slot else {
                // The socket's own buffer is the better place to wait, as long as it has room.
                if self.filled().is_some_and(|f| f < STARVED_UP_TO) {
                    turn.starved = true;
                    return Ok(());
                }
                let before = self.drained;
                let dry = self.socket.drain(&mut self.drained)?.dry;
                turn.packets += self.drained.packets - before.packets;
                turn.bytes += self.drained.bytes - before.bytes;
                self.count_drained();
                if dry {
                    return Ok(());
                }
                continue;
            };
            let had = batch.datagrams().len();
            let (mut dry, mut outcome) = (false, Ok(()));
            while !dry && !batch.is_full() && outcome.is_ok() {
                match self.socket.receive(batch, self.id) {
                    Ok(r) => {
                        turn.packets += r.taken as u64;
                        dry = r.dry;
                    }
                    Err(e) => outcome = Err(e),
                }
            }
            turn.bytes += batch.datagrams()[had..].iter().map(|d| u64::from(d.len)).sum::<u64>();
            if self.responder.is_on() {
                self.answer(slot);
            }
            if slot.as_ref().is_some_and(|b| b.is_full()) {
                self.tell_account(slot);
                self.shared.hand_on(slot);
            }
            outcome?;
            if dry {
                break;
            }
        }
        Ok(())
    }

    fn count_drained(&mut self) {
        self.account.not_analysed = self.before.not_analysed + self.drained.packets;
        self.account.not_analysed_bytes = self.before.not_analysed_bytes + self.drained.bytes;
    }

    /// Answers what the batch holds for this row. A row that answers receives on its own thread, each
    /// time into an empty batch, so that nothing is answered twice.
    fn answer(&mut self, slot: &Option<Box<Batch>>) {
        let Some(batch) = slot else { return };
        let before = self.responder.answered();
        let said = self.responder.answer(batch, self.id, &self.membership, self.ifindex);
        if self.responder.answered() != before {
            let _ = self.shared.updates.try_send(Update::Answered(self.id, self.responder.answered()));
        }
        if let Some(text) = said {
            let _ = self.shared.updates.try_send(Update::Note(EventKind::Send, Some(self.id), text));
        }
    }

    /// Puts the account into the batch, or one from the pool, if it moved.
    fn tell_account(&mut self, slot: &mut Option<Box<Batch>>) {
        if self.account == self.told {
            return;
        }
        if slot.is_none() {
            *slot = self.shared.pool.take();
        }
        if let Some(batch) = slot {
            if batch.is_empty() {
                batch.received = clock::now();
            }
            batch.accounts.push(self.account);
            self.told = self.account;
        }
    }

    /// Reads the drop counter and tells the account if it moved.
    pub fn settle(&mut self, batch: &mut Option<Box<Batch>>) {
        self.last_account = Instant::now();
        if let Some(drops) = self.socket.drops() {
            self.account.socket_drops = Some(self.before.socket_drops.unwrap_or(0) + drops);
        }
        self.tell_account(batch);
    }

    /// Leaves and joins again on this interface.
    pub fn rejoin(&mut self, ifindex: u32, why: String) {
        match self.socket.rejoin(ifindex) {
            Ok(drained) => {
                self.drained.packets += drained.packets;
                self.drained.bytes += drained.bytes;
                self.count_drained();
                self.ifindex = ifindex;
                self.say(Update::Rejoined(self.id, why));
            }
            Err(e) => self.say(Update::Failed { id: self.id, error: e.reason(), remedy: e.remedy() }),
        }
    }

    /// Changes how it answers.
    pub fn respond(&mut self, mode: Respond) {
        self.responder.set(mode);
        self.say(Update::Responding(self.id, mode));
    }

    /// Changes who is let through.
    pub fn filter(&mut self, change: Change) {
        let words = change.words();
        let outcome = match change {
            Change::Block(ip) => self.socket.block(ip),
            Change::Unblock(ip) => self.socket.unblock(ip),
            Change::To(filter) => self.socket.set_filter(filter),
        };
        if let Err(e) = outcome {
            return self.say(Update::Note(EventKind::Note, Some(self.id), e.to_string()));
        }
        self.membership = Arc::new(self.socket.membership().clone());
        let text = format!("{} on {}: {words}", self.membership.endpoint(), self.membership.iface);
        self.say(Update::Filter(self.id, self.membership.clone(), text));
    }

    /// What must not be lost; the front end takes updates at all times until it ends.
    pub fn say(&self, update: Update) {
        let _ = self.shared.updates.send(update);
    }
}

impl Shared {
    /// Gives a batch to the model; an empty one goes back to the pool.
    ///
    /// There is room for every batch of the pool, so it is refused only when nobody reads any more.
    pub fn hand_on(&self, slot: &mut Option<Box<Batch>>) {
        let Some(batch) = slot.take() else { return };
        if batch.is_empty() {
            self.pool.give(batch);
        } else if let Err(refused) = self.batches.try_send(batch) {
            self.pool.give(refused.into_inner());
        }
    }
}

fn buffer(r: RcvBuf) -> Buffer {
    let clamped = r.clamped.map(|c| {
        let remedy = r.remedy().unwrap_or_default();
        format!("asked for {} bytes, the system grants {}; {remedy}", r.asked.unwrap_or(0), c.limit)
    });
    Buffer { capture: Capture::Sockets, granted_bytes: Some(r.granted as u64), clamped }
}
