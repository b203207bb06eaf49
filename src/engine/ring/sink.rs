//! Where the datagrams of a ring go: into batches, each for its row, or into the row's account.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::table::Table;
use crate::base::batch::{Account, Batch, Datagram};
use crate::base::group::{Membership, MembershipId};
use crate::base::time::Wall;
use crate::engine::command::Update;
use crate::engine::listener::Shared;
use crate::engine::responder::Responder;
use crate::model::event::EventKind;
use crate::net::clock;
use crate::net::ring::Member;
use crate::wire::input;

/// While half of the ring is free, a batch is waited for so long; what comes meanwhile waits in the ring.
const PATIENCE: Duration = Duration::from_millis(20);
/// What the last figures may wait for the front end.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// A row on the interface.
pub struct Row {
    pub id: MembershipId,
    pub membership: Arc<Membership>,
    pub account: Account,
    pub responder: Responder,
    /// `None` until it has joined.
    pub member: Option<Member>,
    ifindex: u32,
    /// Whether the account has to be told.
    moved: bool,
}

impl Row {
    pub fn new(
        id: MembershipId,
        membership: Arc<Membership>,
        ifindex: u32,
        account: Account,
        responder: Responder,
    ) -> Row {
        // An account from before is told again: it may not have been.
        let moved = account.not_analysed > 0;
        Row { id, membership, account, responder, member: None, ifindex, moved }
    }

    fn count(&mut self, len: u32) {
        self.account.not_analysed += 1;
        self.account.not_analysed_bytes += u64::from(len);
        self.moved = true;
    }
}

/// The rows and the batch that is being filled.
pub struct Sink {
    shared: Shared,
    table: Table,
    rows: Vec<Option<Row>>,
    batch: Option<Box<Batch>>,
    /// Whether any account has to be told.
    moved: bool,
    /// Whether a batch is not waited for.
    hurry: bool,
    responders: usize,
}

impl Sink {
    pub fn new(shared: Shared) -> Sink {
        Sink {
            shared,
            table: Table::default(),
            rows: Vec::new(),
            batch: None,
            moved: false,
            hurry: false,
            responders: 0,
        }
    }

    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    // ---- rows ------------------------------------------------------------------------------

    /// Adds a row that stands since then; its place.
    pub fn add(&mut self, row: Row, since: Wall) -> usize {
        let place = self.rows.iter().position(Option::is_none).unwrap_or(self.rows.len());
        let m = &row.membership;
        self.table.add(place, m.endpoint(), m.filter.clone(), since);
        if place == self.rows.len() {
            self.rows.push(None);
        }
        self.moved |= row.moved;
        self.rows[place] = Some(row);
        self.count_responders();
        place
    }

    pub fn row(&mut self, place: usize) -> Option<&mut Row> {
        self.rows.get_mut(place)?.as_mut()
    }

    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().flatten()
    }

    /// Takes a row out, with what was received for it handed on; its account.
    pub fn remove(&mut self, place: usize) -> Option<Account> {
        self.hand_on();
        let row = self.rows.get_mut(place)?.take()?;
        self.table.remove(place, row.membership.endpoint());
        self.count_responders();
        Some(row.account)
    }

    /// A row's membership has another filter now.
    pub fn filter_changed(&mut self, place: usize) {
        if let Some(Some(row)) = self.rows.get(place) {
            self.table.set_filter(place, row.membership.endpoint(), &row.membership.filter);
        }
    }

    /// Nothing from before a row's join is in the ring any more.
    pub fn settle_row(&mut self, place: usize) {
        if let Some(Some(row)) = self.rows.get(place) {
            self.table.settle(place, row.membership.endpoint());
        }
    }

    /// To be called when a responder was switched.
    pub fn count_responders(&mut self) {
        self.responders = self.rows().filter(|r| r.responder.is_on()).count();
    }

    pub fn groups(&self) -> Vec<IpAddr> {
        self.table.groups()
    }

    pub fn has_group(&self, group: IpAddr) -> bool {
        self.table.has_group(group)
    }

    // ---- datagrams -------------------------------------------------------------------------

    /// Whether there is no time to wait for a batch.
    pub fn hurry(&mut self, hurry: bool) {
        self.hurry = hurry;
    }

    /// Puts a datagram into the batch once for each row that it is for.
    #[inline]
    pub fn datagram(&mut self, packet: &[u8], d: &input::Datagram, time: Wall) {
        let Some(payload) = packet.get(d.payload.clone()) else { return };
        let Sink { table, rows, batch, moved, hurry, shared, responders } = self;
        table.deliver(d.destination, d.source.ip, time, |place| {
            let Some(Some(row)) = rows.get_mut(place) else { return };
            let len = payload.len() as u32;
            let mut entry = Datagram::new(row.id, time, d.source, len);
            (entry.ifindex, entry.ttl, entry.tos) = (row.ifindex, Some(d.ttl), Some(d.tos));
            if batch.as_mut().is_some_and(|b| b.pack(entry, payload)) {
                return;
            }
            hand_on(batch, rows, moved, shared, *responders);
            *batch = if *hurry { shared.pool.take() } else { shared.pool.take_within(PATIENCE) };
            match batch {
                // An empty batch has room for any.
                Some(b) => _ = b.pack(entry, payload),
                None => {
                    // Once waited for in vain is enough: the others are behind too.
                    *hurry = true;
                    if let Some(Some(row)) = rows.get_mut(place) {
                        row.count(len);
                    }
                    *moved = true;
                }
            }
        });
    }

    /// Gives what there is to the model.
    pub fn hand_on(&mut self) {
        let Sink { rows, batch, moved, shared, responders, .. } = self;
        hand_on(batch, rows, moved, shared, *responders);
    }

    /// Tells accounts that moved; whether all are told.
    pub fn settle(&mut self) -> bool {
        if self.moved {
            if self.batch.is_none() {
                self.batch = self.shared.pool.take();
            }
            self.hand_on();
        }
        !self.moved
    }

    /// Hands on what there is and tells all accounts, at the end: the last figures are complete.
    pub fn last(&mut self) {
        self.hand_on();
        if self.moved {
            let mut batch = self.shared.pool.take().unwrap_or_default();
            batch.received = clock::now();
            batch.accounts.extend(self.rows().filter(|r| r.moved).map(|r| r.account));
            let _ = self.shared.batches.send_timeout(batch, LAST_PATIENCE);
        }
    }

    /// What must not be lost; the front end takes updates at all times until it ends.
    pub fn say(&self, update: Update) {
        let _ = self.shared.updates.send(update);
    }

    /// What comes again if it is lost.
    pub fn try_say(&self, update: Update) -> bool {
        self.shared.updates.try_send(update).is_ok()
    }
}

/// Answers if asked to, adds the accounts that moved, and gives the batch to the model.
fn hand_on(
    batch: &mut Option<Box<Batch>>,
    rows: &mut [Option<Row>],
    moved: &mut bool,
    shared: &Shared,
    responders: usize,
) {
    let Some(mut out) = batch.take() else { return };
    out.received = clock::now();
    if responders > 0 {
        for row in rows.iter_mut().flatten().filter(|r| r.responder.is_on()) {
            answer(row, &out, shared);
        }
    }
    if *moved {
        out.accounts.extend(rows.iter().flatten().filter(|r| r.moved).map(|r| r.account));
    }
    if out.is_empty() {
        shared.pool.give(out);
        return;
    }
    match shared.batches.try_send(out) {
        Ok(()) if *moved => {
            rows.iter_mut().flatten().for_each(|r| r.moved = false);
            *moved = false;
        }
        Ok(()) => {}
        Err(refused) => {
            let out = refused.into_inner();
            for d in out.datagrams() {
                if let Some(row) = rows.iter_mut().flatten().find(|r| r.id == d.membership) {
                    row.count(d.len);
                }
            }
            *moved = true;
            shared.pool.give(out);
        }
    }
}

fn answer(row: &mut Row, batch: &Batch, shared: &Shared) {
    let before = row.responder.answered();
    let said = row.responder.answer(batch, row.id, &row.membership, row.ifindex);
    if row.responder.answered() != before {
        let _ = shared.updates.try_send(Update::Answered(row.id, row.responder.answered()));
    }
    if let Some(text) = said {
        let _ = shared.updates.try_send(Update::Note(EventKind::Send, Some(row.id), text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::batch::Capture;
    use crate::base::group::{Endpoint, SourceFilter};
    use crate::engine::command::Respond;
    use crossbeam_channel::{Receiver, bounded};

    const LEN: usize = 100;

    fn sink() -> (Sink, Receiver<Box<Batch>>) {
        let (batches, received) = bounded(crate::engine::pool::BATCHES);
        let shared = Shared {
            pool: Default::default(),
            batches,
            updates: bounded(16).0,
            options: Default::default(),
            listeners: Default::default(),
            gatherers: Default::default(),
            capture: Capture::Ring,
            limiter: Default::default(),
        };
        (Sink::new(shared), received)
    }

    fn add(sink: &mut Sink, id: u32, group: &str, filter: SourceFilter) {
        let id = MembershipId(id);
        let m = Membership { group: group.parse().unwrap(), port: 5004, iface: "lo".into(), filter };
        let account = Account { membership: id, socket_drops: None, not_analysed: 0, not_analysed_bytes: 0 };
        let responder = Responder::new(Respond::Off, [].into(), sink.shared.limiter.clone());
        sink.add(Row::new(id, m.into(), 1, account, responder), Wall(0));
    }

    fn put(sink: &mut Sink, group: &str, times: usize) {
        let d = input::Datagram {
            source: Endpoint::new("10.0.0.1".parse().unwrap(), 9),
            destination: Endpoint::new(group.parse().unwrap(), 5004),
            ttl: 3,
            tos: 4,
            payload: 28..28 + LEN,
        };
        for _ in 0..times {
            sink.datagram(&[7; 28 + LEN + 6], &d, Wall(1));
        }
    }

    #[test]
    fn each_row_gets_its_own_copy_and_the_rest_is_passed_over() {
        let (mut sink, received) = sink();
        add(&mut sink, 1, "239.1.1.1", SourceFilter::Any);
        add(&mut sink, 2, "239.1.1.1", SourceFilter::Include(vec!["10.0.0.1".parse().unwrap()]));
        add(&mut sink, 3, "239.1.1.1", SourceFilter::Exclude(vec!["10.0.0.1".parse().unwrap()]));
        put(&mut sink, "239.1.1.1", 2);
        put(&mut sink, "239.1.1.2", 2);
        sink.hand_on();
        let batch = received.try_recv().unwrap();
        let ids: Vec<u32> = batch.datagrams().iter().map(|d| d.membership.0).collect();
        assert_eq!(ids, [1, 2, 1, 2]);
        let d = batch.datagrams()[0];
        assert_eq!((batch.payload(&d), d.len, d.ttl, d.tos), (&[7; LEN][..], LEN as u32, Some(3), Some(4)));
        assert!(received.try_recv().is_err());
    }

    #[test]
    fn what_finds_no_batch_is_counted_on_its_row_and_told_when_there_is_one_again() {
        let (mut sink, received) = sink();
        add(&mut sink, 1, "239.1.1.1", SourceFilter::Any);
        add(&mut sink, 2, "239.1.1.2", SourceFilter::Any);
        let mut held: Vec<_> = std::iter::from_fn(|| sink.shared.pool.take()).collect();
        sink.hurry(true);
        put(&mut sink, "239.1.1.1", 5);
        put(&mut sink, "239.1.1.2", 3);
        assert!(!sink.settle(), "there is nothing to tell it by");
        sink.shared.pool.give(held.pop().unwrap());
        assert!(sink.settle());
        let mut batch = received.try_recv().unwrap();
        batch.accounts.sort_by_key(|a| a.membership.0);
        let told: Vec<_> =
            batch.accounts.iter().map(|a| (a.membership.0, a.not_analysed, a.not_analysed_bytes)).collect();
        assert_eq!(told, [(1, 5, 5 * LEN as u64), (2, 3, 3 * LEN as u64)]);
        assert!(sink.settle() && received.try_recv().is_err(), "told once");
    }

    #[test]
    fn a_refused_batch_is_counted_and_told_at_the_end_though_all_batches_are_under_way() {
        let (mut sink, received) = sink();
        add(&mut sink, 1, "239.1.1.1", SourceFilter::Any);
        let mut sent = 0;
        // Until the channel is full and the pool is empty.
        for _ in 0..crate::engine::pool::BATCHES + 2 {
            sink.hurry(true);
            put(&mut sink, "239.1.1.1", 1);
            sink.hand_on();
            sent += 1;
        }
        // The front end takes them while the last figures come.
        let counted = std::thread::spawn(move || {
            let (mut packets, mut not_analysed) = (0, 0);
            while let Ok(b) = received.recv() {
                packets += b.datagrams().len() as u64;
                not_analysed = b.accounts.iter().map(|a| a.not_analysed).max().unwrap_or(not_analysed);
            }
            (packets, not_analysed)
        });
        sink.last();
        drop(sink);
        assert_eq!(counted.join().unwrap(), (sent - 2, 2));
    }
}
