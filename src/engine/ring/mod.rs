//! One listener thread for each interface with a packet ring: walks the ring, finds the rows of each
//! datagram, fills batches, and keeps the memberships and accounts of all rows on the interface.

mod sink;
pub(super) mod table;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::base::batch::{Account, Capture};
use crate::base::group::MembershipId;
use crate::engine::command::Update;
use crate::engine::intake::ACCOUNT_EVERY;
use crate::engine::listener::{Change, Message, STACK, Shared, Start};
use crate::engine::responder::Responder;
use crate::model::event::EventKind;
use crate::model::group::Buffer;
use crate::net::NetError;
use crate::net::clock;
use crate::net::ring::{Frame, Member, Ring};
use crate::net::wake::Waker;
use crate::wire::input::{Input, input};
use crate::wire::reassembly::Reassembler;
use sink::{Row, Sink};

/// Orders that may wait.
const ORDERS: usize = 256;
/// Blocks, and looped datagrams, taken before orders have their turn.
const BLOCKS_A_TURN: usize = 16;
const LOOPED_A_TURN: usize = 512;
/// A packet is not longer than this in the ring before its block is handed over.
const FRESH: Duration = Duration::from_millis(100);

/// What the supervisor tells the listener of a ring.
pub(super) enum Order {
    /// Join a row; one that is there is joined anew and its account goes on.
    Add(Box<Start>),
    /// Leave a row. The answer comes when no batch of it will.
    Remove(MembershipId, Sender<()>),
    /// As to the listener of a socket.
    Tell(MembershipId, Message),
}

/// What is left when it ends.
pub(super) struct End {
    /// The accounts of its rows.
    pub accounts: Vec<Account>,
    /// Drops of the interface's rings in all.
    pub drops: u64,
}

/// The supervisor's end of it.
pub(super) struct RingListener {
    orders: Sender<Order>,
    waker: Waker,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<End>,
}

impl RingListener {
    /// Opens the ring and starts the thread; `drops` is what earlier rings of the interface dropped.
    ///
    /// # Errors
    /// When there can be no ring, or no thread.
    pub fn spawn(
        iface: &Arc<str>,
        ifindex: u32,
        drops: u64,
        shared: Shared,
    ) -> Result<RingListener, NetError> {
        let ring = Ring::open(iface, ifindex, shared.options.rcvbuf)?;
        let waker = Waker::new()?;
        let (orders, inbox) = bounded(ORDERS);
        let stop = Arc::new(AtomicBool::new(false));
        let run = Run {
            iface: iface.clone(),
            ifindex,
            inbox,
            waker: waker.clone(),
            stop: stop.clone(),
            places: BTreeMap::new(),
            fresh: Vec::new(),
            fragments: Reassembler::default(),
            given_up_told: 0,
            drops_before: drops,
            drops_told: None,
            sink: Sink::new(shared),
        };
        let thread = std::thread::Builder::new()
            .name(format!("ring-{iface}"))
            .stack_size(STACK)
            .spawn(move || run.run(ring))
            .map_err(|source| NetError::Limit { what: "start a thread for the packet ring", source })?;
        Ok(RingListener { orders, waker, stop, thread })
    }

    /// Gives an order, waiting while many wait already; false if the listener has ended.
    pub fn order(&self, order: Order) -> bool {
        let given = self.orders.send(order).is_ok();
        self.waker.wake();
        given
    }

    /// Leaves a row, and waits until no batch of it comes any more.
    pub fn remove(&self, id: MembershipId) {
        let (done, wait) = bounded(1);
        if self.order(Order::Remove(id, done)) {
            // An error is its end, which is as good.
            let _ = wait.recv();
        }
    }

    /// Asks it to end.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Waits for its end.
    pub fn join(self) -> Option<End> {
        self.stop();
        // Whoever still waits to give an order is let go.
        drop(self.orders);
        self.thread.join().ok()
    }

    /// Whether the thread has ended by itself: the ring failed.
    pub fn ended(&self) -> bool {
        self.thread.is_finished()
    }
}

struct Run {
    iface: Arc<str>,
    ifindex: u32,
    inbox: Receiver<Order>,
    waker: Waker,
    stop: Arc<AtomicBool>,
    /// Where each row stands in the sink.
    places: BTreeMap<MembershipId, usize>,
    /// Rows joined a moment ago.
    fresh: Vec<(Instant, usize)>,
    fragments: Reassembler,
    given_up_told: u64,
    drops_before: u64,
    drops_told: Option<u64>,
    sink: Sink,
}

impl Run {
    fn run(mut self, mut ring: Ring) -> End {
        if let Err(e) = self.listen(&mut ring) {
            for id in self.places.keys() {
                self.sink.say(Update::Failed { id: *id, error: e.reason(), remedy: e.remedy() });
            }
        }
        self.sink.last();
        let drops = self.drops_before + ring.drops();
        self.sink.say(Update::RingDrops(self.iface.clone(), drops));
        End { accounts: self.sink.rows().map(|r| r.account).collect(), drops }
    }

    fn listen(&mut self, ring: &mut Ring) -> Result<(), NetError> {
        let mut last_account = Instant::now();
        // Whether something came since the drop counter was last read.
        let mut unsettled = true;
        loop {
            let ready = ring.wait(&self.waker, unsettled.then_some(ACCOUNT_EVERY))?;
            if self.stop.load(Ordering::Acquire) {
                return Ok(());
            }
            if ready.woken {
                self.waker.clear();
                unsettled = true;
                while let Ok(order) = self.inbox.try_recv() {
                    self.order(order, ring);
                    // A join can take long when others change the host's network.
                    self.turn(ring, true)?;
                }
            }
            if ready.received || ready.looped {
                self.turn(ring, ready.looped)?;
                unsettled = true;
            }
            let now = Instant::now();
            if now - last_account >= ACCOUNT_EVERY {
                last_account = now;
                let settled = self.settle(ring);
                unsettled = !settled || ready.received || ready.looped || ready.woken;
            }
        }
    }

    /// Takes what is there, within bounds.
    fn turn(&mut self, ring: &mut Ring, looped: bool) -> Result<(), NetError> {
        for _ in 0..BLOCKS_A_TURN {
            let hurry = ring.is_half_full() || self.stop.load(Ordering::Relaxed);
            self.sink.hurry(hurry);
            let Some(block) = ring.block() else { break };
            for frame in block.frames() {
                take(&mut self.fragments, &mut self.sink, &frame);
            }
        }
        if looped {
            for _ in 0..LOOPED_A_TURN {
                let Some(frame) = ring.looped()? else { break };
                take(&mut self.fragments, &mut self.sink, &frame);
            }
        }
        self.sink.hand_on();
        Ok(())
    }

    /// Tells what moved; whether all could be told.
    fn settle(&mut self, ring: &mut Ring) -> bool {
        let now = Instant::now();
        let Run { fresh, sink, .. } = self;
        fresh.retain(|&(since, place)| {
            let keep = now - since < FRESH;
            if !keep {
                sink.settle_row(place);
            }
            keep
        });
        let drops = self.drops_before + ring.drops();
        if self.drops_told != Some(drops) && self.sink.try_say(Update::RingDrops(self.iface.clone(), drops)) {
            self.drops_told = Some(drops);
        }
        let given_up = self.fragments.given_up();
        if given_up > self.given_up_told {
            let text = format!("{}: {given_up} fragmented datagrams were never complete", self.iface);
            // Told again when it has doubled.
            self.given_up_told = given_up * 2;
            self.sink.try_say(Update::Note(EventKind::Note, None, text));
        }
        self.sink.settle() && self.drops_told == Some(drops) && self.fresh.is_empty()
    }

    fn order(&mut self, order: Order, ring: &mut Ring) {
        match order {
            Order::Add(start) => self.add(*start, ring),
            Order::Remove(id, done) => {
                self.remove(id);
                self.set_groups(ring);
                let _ = done.send(());
            }
            Order::Tell(id, message) => {
                if let Some(&place) = self.places.get(&id) {
                    self.message(id, place, message);
                }
            }
        }
    }

    fn add(&mut self, start: Start, ring: &mut Ring) {
        let id = start.id;
        let account = self.remove(id).unwrap_or(start.account);
        let responder = Responder::new(start.respond, start.own.clone(), self.sink.shared().limiter.clone());
        let membership = start.membership.clone();
        let row = Row::new(id, membership.clone(), start.ifindex, account, responder);
        let place = self.sink.add(row, clock::now().wall);
        self.places.insert(id, place);
        // First the filter, then the join: nothing of the group is lost.
        let joined = match ring.set_groups(&self.sink.groups()) {
            Ok(()) => Member::join(&membership, self.ifindex),
            Err(e) => Err(e),
        };
        match joined {
            Ok(member) => {
                if let Some(row) = self.sink.row(place) {
                    row.member = Some(member);
                }
                self.fresh.push((Instant::now(), place));
                let buffer = Buffer {
                    capture: Capture::Ring,
                    granted_bytes: Some(ring.bytes() as u64),
                    clamped: None,
                };
                self.sink.say(Update::Joined(id, buffer));
                if let Some(why) = start.again {
                    self.sink.say(Update::Rejoined(id, why));
                }
            }
            Err(e) => {
                self.remove(id);
                self.set_groups(ring);
                self.sink.say(Update::Failed { id, error: e.reason(), remedy: e.remedy() });
            }
        }
    }

    /// Leaves; the row's account so far.
    fn remove(&mut self, id: MembershipId) -> Option<Account> {
        let place = self.places.remove(&id)?;
        self.fresh.retain(|f| f.1 != place);
        self.sink.remove(place)
    }

    /// A filter that lets too much through does no harm.
    fn set_groups(&self, ring: &Ring) {
        let _ = ring.set_groups(&self.sink.groups());
    }

    fn message(&mut self, id: MembershipId, place: usize, message: Message) {
        let Some(row) = self.sink.row(place) else { return };
        let Some(member) = row.member.as_mut() else { return };
        match message {
            Message::Rejoin { why, .. } => {
                let update = match member.rejoin() {
                    Ok(()) => Update::Rejoined(id, why),
                    Err(e) => Update::Failed { id, error: e.reason(), remedy: e.remedy() },
                };
                self.sink.say(update);
            }
            Message::Filter(change) => {
                let words = change.words();
                let outcome = match change {
                    Change::Block(ip) => member.block(ip),
                    Change::Unblock(ip) => member.unblock(ip),
                    Change::To(filter) => member.set_filter(filter),
                };
                let update = match outcome {
                    Err(e) => Update::Note(EventKind::Note, Some(id), e.to_string()),
                    Ok(()) => {
                        let membership = Arc::new(member.membership().clone());
                        row.membership = membership.clone();
                        self.sink.filter_changed(place);
                        let text = format!("{} on {}: {words}", membership.endpoint(), membership.iface);
                        Update::Filter(id, membership, text)
                    }
                };
                self.sink.say(update);
            }
            Message::Respond(mode) => {
                row.responder.set(mode);
                self.sink.count_responders();
                self.sink.say(Update::Responding(id, mode));
            }
            Message::Own(own) => row.responder.set_own(own),
        }
    }
}

/// Takes one packet: looks at it, puts it together if it is a piece, and hands it on.
#[inline]
fn take(fragments: &mut Reassembler, sink: &mut Sink, frame: &Frame<'_>) {
    match input(frame.packet, frame.verified) {
        Input::Datagram(d) => sink.datagram(frame.packet, &d, frame.time),
        Input::Fragment(group) if sink.has_group(group) => {
            if let Some((packet, verified)) = fragments.add(frame.packet, frame.time, frame.verified)
                && let Input::Datagram(d) = input(packet, verified)
            {
                sink.datagram(packet, &d, frame.time);
            }
        }
        _ => {}
    }
}
