//! The event log: what happened, when, to what; bounded, and what was forgotten is counted.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::base::group::{Endpoint, Membership};
use crate::base::time::Wall;

/// Events kept.
pub const EVENTS_MAX: usize = 10_000;

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// A membership stands.
    Joined,
    /// A membership was given up.
    Left,
    /// A join or a running membership failed.
    Failed,
    /// A membership was renewed after its interface changed.
    Rejoined,
    /// The first datagram of a source.
    SourceAppeared,
    /// A source that sent steadily stopped.
    SourceSilent,
    /// A silent source sends again.
    SourceBack,
    /// A group that should have traffic has none.
    GroupSilent,
    /// A silent group has traffic again.
    GroupBack,
    /// TTL or DSCP of a source changed.
    MarkingChanged,
    /// An interface appeared, vanished, changed state or address.
    InterfaceChanged,
    /// Datagrams were dropped on this host.
    Dropped,
    /// Datagrams were seen on the wire of a joined group and not delivered, and no counter of ours
    /// says why.
    NotDelivered,
    /// A group that nobody joined was seen on the wire.
    WireSeen,
    /// A tap was switched on or off, or cannot be had.
    Tap,
    /// The wall clock was set.
    ClockStep,
    /// A session is announced, changed, or is announced no longer (SAP).
    Session,
    /// The announced PTP grandmaster appeared, changed or is gone.
    Grandmaster,
    /// Senders that should be one, or a payload that is not what the group is for.
    Conflict,
    /// A query of IGMP or MLD was heard.
    Query,
    /// Hosts joined, left or changed groups on the wire, or answered a query.
    Report,
    /// A querier appeared, changed or is gone; the version in force changed.
    Querier,
    /// Another program on this host joined or left a group.
    HostMembership,
    /// When a membership will be cut, and what came of it.
    Forecast,
    /// Two streams are compared as one feed, or are not any more.
    Feed,
    /// Numbers were lost on both streams of a feed.
    FeedLost,
    /// A send or the responder began, ended or met an error.
    Send,
    /// Something the user should know that fits nowhere else.
    Note,
}

impl EventKind {
    /// The word in JSON and in filters.
    pub fn word(self) -> &'static str {
        match self {
            EventKind::Joined => "joined",
            EventKind::Left => "left",
            EventKind::Failed => "failed",
            EventKind::Rejoined => "rejoined",
            EventKind::SourceAppeared => "source_appeared",
            EventKind::SourceSilent => "source_silent",
            EventKind::SourceBack => "source_back",
            EventKind::GroupSilent => "group_silent",
            EventKind::GroupBack => "group_back",
            EventKind::MarkingChanged => "marking_changed",
            EventKind::InterfaceChanged => "interface_changed",
            EventKind::Dropped => "dropped",
            EventKind::NotDelivered => "not_delivered",
            EventKind::WireSeen => "wire_seen",
            EventKind::Tap => "tap",
            EventKind::ClockStep => "clock_step",
            EventKind::Session => "session",
            EventKind::Grandmaster => "grandmaster",
            EventKind::Conflict => "conflict",
            EventKind::Query => "query",
            EventKind::Report => "report",
            EventKind::Querier => "querier",
            EventKind::HostMembership => "host_membership",
            EventKind::Forecast => "forecast",
            EventKind::Feed => "feed",
            EventKind::FeedLost => "feed_lost",
            EventKind::Send => "send",
            EventKind::Note => "note",
        }
    }

    /// Whether it needs a person: shown in colour.
    pub fn is_bad(self) -> bool {
        matches!(
            self,
            EventKind::Failed
                | EventKind::SourceSilent
                | EventKind::GroupSilent
                | EventKind::Dropped
                | EventKind::FeedLost
                | EventKind::NotDelivered
        )
    }
}

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its number, from 0, without gaps.
    pub number: u64,
    /// When.
    pub time: Wall,
    /// What kind.
    pub kind: EventKind,
    /// The row it is about.
    pub membership: Option<Arc<Membership>>,
    /// The sender it is about.
    pub source: Option<Endpoint>,
    /// The interface it is about, when no row is.
    pub iface: Option<Arc<str>>,
    /// One line in plain words, with the remedy where there is one.
    pub text: String,
}

/// The log.
#[derive(Clone, Debug, Default)]
pub struct EventLog {
    list: VecDeque<Event>,
    /// Their numbers in the order of their times.
    order: VecDeque<u64>,
    next: u64,
}

/// What is told late, because it was collected first, is put before so many later ones at most.
const LATE_MAX: usize = 256;
/// And not when it is older than this, in ns: then the clock was set back.
const LATE_NS: i64 = 10_000_000_000;

impl EventLog {
    /// Adds an event; its number is given here.
    pub fn push(&mut self, mut e: Event) {
        e.number = self.next;
        if self.list.len() == EVENTS_MAX
            && let Some(gone) = self.list.pop_front()
        {
            // The oldest by number is near the oldest by time.
            let place = self.order.iter().position(|&n| n == gone.number);
            place.and_then(|p| self.order.remove(p));
        }
        let first = self.forgotten();
        let after = |n: &&u64| {
            let later = usize::try_from(**n - first).ok().and_then(|i| self.list.get(i)).map(|o| o.time.0);
            later.is_some_and(|t| (1..LATE_NS).contains(&t.saturating_sub(e.time.0)))
        };
        let late = self.order.iter().rev().take(LATE_MAX).take_while(after).count();
        self.order.insert(self.order.len() - late, e.number);
        self.list.push_back(e);
        self.next += 1;
    }

    /// One of them, as long as it is kept.
    pub fn get(&self, number: u64) -> Option<&Event> {
        self.list.get(usize::try_from(number.checked_sub(self.forgotten())?).ok()?)
    }

    /// Their numbers in the order of their times, oldest first: what is told late stands where it belongs.
    pub fn order(&self) -> impl ExactSizeIterator<Item = u64> {
        self.order.iter().copied()
    }

    /// Oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Event> + ExactSizeIterator {
        self.list.iter()
    }

    /// The events from this number on, oldest first.
    pub fn since(&self, number: u64) -> impl DoubleEndedIterator<Item = &Event> {
        let first = self.next - self.list.len() as u64;
        self.list.iter().skip(usize::try_from(number.saturating_sub(first)).unwrap_or(usize::MAX))
    }

    /// The number the next event will have: how many there ever were.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// How many were forgotten.
    pub fn forgotten(&self) -> u64 {
        self.next - self.list.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_is_bounded_and_says_how_many_it_forgot() {
        let mut log = EventLog::default();
        for i in 0..EVENTS_MAX + 5 {
            log.push(Event {
                number: 0,
                time: Wall(i as i64),
                kind: EventKind::Note,
                membership: None,
                source: None,
                iface: None,
                text: String::new(),
            });
        }
        assert_eq!((log.iter().len(), log.forgotten()), (EVENTS_MAX, 5));
        let last: Vec<u64> = log.since(EVENTS_MAX as u64 + 3).map(|e| e.number).collect();
        assert_eq!(last, [EVENTS_MAX as u64 + 3, EVENTS_MAX as u64 + 4]);
        assert_eq!(log.since(0).next().unwrap().number, 5);
        assert!(log.order().eq(5..EVENTS_MAX as u64 + 5));
        assert_eq!((log.get(4), log.get(5).map(|e| e.number)), (None, Some(5)));
    }

    #[test]
    fn what_is_told_late_stands_at_its_time_and_a_clock_set_back_changes_no_order() {
        let mut log = EventLog::default();
        let mut push = |s: i64| {
            log.push(Event {
                number: 0,
                time: Wall(s * 1_000_000_000),
                kind: EventKind::Note,
                membership: None,
                source: None,
                iface: None,
                text: String::new(),
            });
        };
        for s in [100, 103, 101, 103, 20, 21] {
            push(s);
        }
        assert_eq!(log.order().collect::<Vec<_>>(), [0, 2, 1, 3, 4, 5]);
    }
}
