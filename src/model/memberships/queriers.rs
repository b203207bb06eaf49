//! The queriers of one interface and family: who asks, which version, how often, who is elected.

use std::net::IpAddr;

use crate::base::time::Mono;
use crate::model::memberships::timers::Timers;
use crate::model::source::Stamp;
use crate::wire::igmp::Query;

/// Queriers remembered of one interface and family. More than two is a fault already; what comes
/// beyond takes the place of the one that was silent for longest.
pub const QUERIERS_MAX: usize = 16;

/// General queries remembered by their times.
const RECENT: usize = 4;

/// One querier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Querier {
    /// Its address; unspecified for a switch that asks without one (RFC 4541 section 2.1.1).
    pub address: IpAddr,
    /// The version of its last query.
    pub version: u8,
    /// The timers of its last general query.
    pub timers: Timers,
    /// Its first query.
    pub first: Stamp,
    /// Its last general query; `None` before one was heard.
    pub last_general: Option<Stamp>,
    /// Its last query of any kind.
    pub last: Stamp,
    /// General queries heard.
    pub general: u64,
    /// Queries for one group heard.
    pub specific: u64,
    /// Time between its last two general queries, and between the two before, in ns.
    gaps_ns: [Option<u64>; 2],
    /// Whether it was told as gone.
    pub(super) gone_told: bool,
}

impl Querier {
    /// Whether it counts as present: it asked within the other-querier-present interval.
    pub fn is_present(&self, now: Mono) -> bool {
        // What was measured is no promise: without one the default holds.
        let timers = if self.timers.told { self.timers } else { Timers::default() };
        now.since(self.last.mono) <= timers.other_querier_ns()
    }

    /// How often it asks, in ns: as it says, or as was measured; `None` while neither is known.
    pub fn interval_ns(&self) -> Option<u64> {
        if self.timers.told { Some(self.timers.interval_ns) } else { self.measured_ns() }
    }

    /// Start-up queries come four times as often (RFC 9776 section 8.6): one gap says nothing, and of
    /// two the longer counts.
    fn measured_ns(&self) -> Option<u64> {
        self.gaps_ns[0].zip(self.gaps_ns[1]).map(|(a, b)| a.max(b))
    }
}

/// What a query changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing of note.
    None,
    /// A querier that was not known, or had gone; with the present one of lower or higher address.
    Appeared { beside: Option<IpAddr> },
    /// The version of its queries was another one before.
    Version { was: u8 },
}

/// The queriers of one interface and family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queriers {
    list: Vec<Querier>,
    /// The last general queries of all of them, newest first.
    recent: [Option<Stamp>; RECENT],
    /// Those that were forgotten to make room.
    pub forgotten: u64,
}

impl Queriers {
    /// All that are remembered, in the order of their addresses.
    pub fn list(&self) -> &[Querier] {
        &self.list
    }

    pub(super) fn list_mut(&mut self) -> &mut [Querier] {
        &mut self.list
    }

    /// The querier that the election leaves: the lowest address of those present (RFC 9776 section
    /// 6.6.2). One without an address takes no part; it counts while there is no other.
    pub fn elected(&self, now: Mono) -> Option<&Querier> {
        let mut present = self.list.iter().filter(|q| q.is_present(now));
        let named = present.clone().find(|q| !q.address.is_unspecified());
        named.or_else(|| present.next())
    }

    /// A general query by any of them: the last, with the timers that it set.
    pub fn last_general(&self) -> Option<(Stamp, Timers)> {
        let all = self.list.iter().filter_map(|q| q.last_general.map(|at| (at, q.timers)));
        all.max_by_key(|(at, _)| at.mono)
    }

    /// The first of the last general queries that came after `since`, and that had to be answered by
    /// now.
    pub(super) fn due_since(&self, since: Option<Mono>, now: Mono, answer_ns: u64) -> Option<Stamp> {
        let later = self.recent.iter().rev().flatten().find(|q| since.is_none_or(|s| q.mono > s));
        later.copied().filter(|q| now > q.mono.plus(answer_ns))
    }

    /// The timers in force: those of the elected querier, or of the last query ever heard.
    pub fn timers(&self, now: Mono) -> Timers {
        let elected = self.elected(now).map(|q| q.timers);
        elected.or_else(|| self.last_general().map(|(_, t)| t)).unwrap_or_default()
    }

    /// Takes a query.
    pub(super) fn heard<A>(&mut self, from: IpAddr, q: &Query<A>, at: Stamp) -> Change {
        let general = q.group.is_none();
        if general {
            self.recent.rotate_right(1);
            self.recent[0] = Some(at);
        }
        let beside = self.elected(at.mono).map(|e| e.address).filter(|a| *a != from);
        let place = match self.list.binary_search_by_key(&from, |k| k.address) {
            Ok(place) => place,
            Err(place) => {
                let place = self.make_room(place);
                let fresh = Querier {
                    address: from,
                    version: q.version,
                    timers: Timers::of_query(q, None),
                    first: at,
                    last_general: general.then_some(at),
                    last: at,
                    general: u64::from(general),
                    specific: u64::from(!general),
                    gaps_ns: [None; 2],
                    gone_told: false,
                };
                // The response time of a query for one group is no general one.
                let timers = if general { fresh.timers } else { Timers::default() };
                self.list.insert(place, Querier { timers, ..fresh });
                return Change::Appeared { beside };
            }
        };
        let k = &mut self.list[place];
        let (was, was_gone) = (k.version, !k.is_present(at.mono) || k.gone_told);
        k.version = q.version;
        k.last = at;
        k.gone_told = false;
        if general {
            if let Some(before) = k.last_general {
                k.gaps_ns = [Some(at.mono.since(before.mono)).filter(|_| !was_gone), k.gaps_ns[0]];
            }
            k.last_general = Some(at);
            k.general += 1;
            k.timers = Timers::of_query(q, k.measured_ns());
        } else {
            k.specific += 1;
        }
        match (was_gone, was == q.version) {
            (true, _) => Change::Appeared { beside },
            (false, false) => Change::Version { was },
            (false, true) => Change::None,
        }
    }

    /// Makes room for one more at `place`; where that is afterwards.
    fn make_room(&mut self, place: usize) -> usize {
        if self.list.len() < QUERIERS_MAX {
            return place;
        }
        let oldest = self.list.iter().enumerate().min_by_key(|(_, q)| q.last.mono).map_or(0, |(i, _)| i);
        self.list.remove(oldest);
        self.forgotten += 1;
        place - usize::from(oldest < place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::{SECOND_NS, Wall};
    use crate::wire::igmp::QueryTimers;

    fn s(n: u64) -> Stamp {
        Stamp { mono: Mono(n * SECOND_NS), wall: Wall(0) }
    }

    fn ask(version: u8, interval_s: u32) -> Query<u32> {
        let newest = (version == 3).then_some(QueryTimers { suppress: false, robustness: 2, interval_s });
        Query { version, group: None, max_response_ms: 10_000, newest, sources: vec![] }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_lowest_address_is_elected_and_one_without_takes_no_part() {
        let mut q = Queriers::default();
        assert_eq!(q.heard(ip("0.0.0.0"), &ask(3, 125), s(1)), Change::Appeared { beside: None });
        assert_eq!(q.elected(s(2).mono).unwrap().address, ip("0.0.0.0"));
        q.heard(ip("10.0.0.9"), &ask(3, 125), s(10));
        let beside = Some(ip("10.0.0.9"));
        assert_eq!(q.heard(ip("10.0.0.2"), &ask(3, 125), s(20)), Change::Appeared { beside });
        assert_eq!(q.elected(s(21).mono).unwrap().address, ip("10.0.0.2"));
        // The lowest falls silent: after 255 s it counts no more.
        q.heard(ip("10.0.0.9"), &ask(3, 125), s(200));
        assert_eq!(q.elected(s(276).mono).unwrap().address, ip("10.0.0.9"));
        assert_eq!(q.elected(s(900).mono), None);
    }

    #[test]
    fn another_version_of_the_same_querier_is_noticed() {
        let mut q = Queriers::default();
        q.heard(ip("10.0.0.2"), &ask(3, 125), s(0));
        assert_eq!(q.heard(ip("10.0.0.2"), &ask(2, 0), s(125)), Change::Version { was: 3 });
        assert_eq!(q.heard(ip("10.0.0.2"), &ask(2, 0), s(250)), Change::None);
    }

    #[test]
    fn the_interval_of_an_old_version_is_measured_and_start_up_queries_do_not_shorten_it() {
        let mut q = Queriers::default();
        for at in [0, 31, 156] {
            q.heard(ip("10.0.0.2"), &ask(2, 0), s(at));
        }
        assert_eq!(q.list()[0].interval_ns(), Some(125 * SECOND_NS));
        q.heard(ip("10.0.0.2"), &ask(2, 0), s(216));
        assert_eq!(q.timers(s(216).mono).interval_ns, 125 * SECOND_NS);
        q.heard(ip("10.0.0.2"), &ask(2, 0), s(276));
        assert_eq!(q.timers(s(276).mono).interval_ns, 60 * SECOND_NS);
    }

    #[test]
    fn a_flood_of_addresses_is_bounded_and_counted() {
        let mut q = Queriers::default();
        for n in 0..100u32 {
            q.heard(
                std::net::Ipv4Addr::from(0x0a00_0000 + n * 7919 % 100).into(),
                &ask(3, 125),
                s(u64::from(n)),
            );
        }
        assert_eq!((q.list().len(), q.forgotten), (QUERIERS_MAX, 84));
        assert!(q.list().windows(2).all(|w| w[0].address < w[1].address));
    }
}
