//! This host's own memberships on one interface: the kernel's last reading, and what changed from one
//! reading to the next.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::base::joined::{JoinedGroup, JoinedIface};
use crate::base::time::SECOND_NS;
use crate::model::source::Stamp;

/// A timer that runs this long after a join is no longer the join's own (RFC 2236 section 8.10: the
/// unsolicited report is repeated within 10 s).
const JOINING_NS: u64 = 12 * SECOND_NS;

/// A group in the kernel's table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostGroup {
    /// As read last.
    pub joined: JoinedGroup,
    /// When it was first in the table.
    pub first: Stamp,
    /// Whether it was there at the first reading: since when is not known.
    pub before_watching: bool,
    /// Whether somebody else had joined it when it was first seen.
    others_first: bool,
}

/// The MLD queries that the kernel counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counted {
    since: Stamp,
    value: u64,
    last: Option<Stamp>,
}

/// One interface's part of the readings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// The IGMP version in force; see [`JoinedIface::igmp_version`].
    pub igmp_version: Option<u8>,
    /// The IGMP version set by hand, 0 for none.
    pub igmp_forced: u8,
    /// The MLD version set by hand, 0 for none.
    pub mld_forced: u8,
    groups: BTreeMap<IpAddr, HostGroup>,
    /// Whether a reading was taken.
    read: bool,
    mld: Option<Counted>,
    /// When a timer showed that somebody asked, of either family.
    signs: [Option<Stamp>; 2],
}

/// What changed from one reading to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HostChange {
    /// A group was joined by somebody on this host.
    Joined(JoinedGroup),
    /// It was left.
    Left(IpAddr),
    /// The version in force changed.
    Version {
        /// What it was.
        was: u8,
        /// What it is.
        is: u8,
    },
}

fn family(group: IpAddr) -> usize {
    usize::from(group.is_ipv6())
}

impl Host {
    /// The groups, IPv4 first.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = &HostGroup> {
        self.groups.values()
    }

    /// One of them.
    pub fn group(&self, group: IpAddr) -> Option<&HostGroup> {
        self.groups.get(&group)
    }

    /// When an IPv4 timer last showed that somebody asked for this group's family.
    pub(super) fn sign_of_query(&self, group: IpAddr) -> Option<Stamp> {
        self.signs[family(group)]
    }

    /// Since when the kernel's counter of MLD queries is read, and when it last moved.
    pub(super) fn mld_counter(&self) -> Option<(Stamp, Option<Stamp>)> {
        self.mld.map(|c| (c.since, c.last))
    }

    /// Whether others on this host had joined the group before it was first seen.
    pub(super) fn held_before(&self, group: IpAddr) -> bool {
        self.groups.get(&group).is_some_and(|g| g.others_first)
    }

    /// When somebody on this host was seen to join it.
    pub(super) fn seen_to_join(&self, group: IpAddr) -> Option<Stamp> {
        self.groups.get(&group).filter(|g| !g.before_watching).map(|g| g.first)
    }

    /// Takes a reading made at `at`; `rows` tells how many joins of a group are rows of ours.
    pub(super) fn take(
        &mut self,
        is: JoinedIface,
        rows: impl Fn(IpAddr) -> u32,
        at: Stamp,
    ) -> Vec<HostChange> {
        let first_reading = !std::mem::replace(&mut self.read, true);
        let mut changes = Vec::new();
        if let (Some(was), Some(now)) = (self.igmp_version, is.igmp_version)
            && was != now
        {
            changes.push(HostChange::Version { was, is: now });
        }
        (self.igmp_version, self.igmp_forced, self.mld_forced) =
            (is.igmp_version, is.igmp_forced, is.mld_forced);
        if let Some(value) = is.mld_queries {
            match &mut self.mld {
                // A smaller count: the interface was down meanwhile.
                Some(c) => {
                    if value > c.value {
                        c.last = Some(at);
                    }
                    c.value = value;
                }
                None => self.mld = Some(Counted { since: at, value, last: None }),
            }
        }
        let mut before = std::mem::take(&mut self.groups);
        for joined in is.groups {
            let group = joined.group;
            let old = before.remove(&group);
            let started = match (&old, joined.timer_ns) {
                (Some(o), Some(left)) => {
                    at.mono.since(o.first.mono) > JOINING_NS && o.joined.timer_ns.is_none_or(|was| left > was)
                }
                _ => false,
            };
            if started {
                self.signs[family(group)] = Some(at);
            }
            let entry = match old {
                Some(old) => HostGroup { joined, ..old },
                None => {
                    let others_first = joined.users > rows(group);
                    if !first_reading && others_first {
                        changes.push(HostChange::Joined(joined.clone()));
                    }
                    HostGroup { joined, first: at, before_watching: first_reading, others_first }
                }
            };
            self.groups.insert(group, entry);
        }
        changes.extend(
            before.into_values().filter(|g| g.others_first).map(|g| HostChange::Left(g.joined.group)),
        );
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::{Mono, Wall};

    fn s(n: u64) -> Stamp {
        Stamp { mono: Mono(n * SECOND_NS), wall: Wall(0) }
    }

    fn reading(version: u8, queries: u64, groups: &[(&str, u32, Option<u64>)]) -> JoinedIface {
        let group = |&(group, users, timer): &(&str, u32, Option<u64>)| JoinedGroup {
            group: group.parse().unwrap(),
            users,
            timer_ns: timer.map(|t| t * SECOND_NS),
            last_reporter: false,
            sources: vec![],
            holders: vec![],
        };
        JoinedIface {
            name: "eth0".into(),
            igmp_version: Some(version),
            igmp_forced: 0,
            mld_forced: 0,
            mld_queries: Some(queries),
            groups: groups.iter().map(group).collect(),
        }
    }

    #[test]
    fn what_others_on_this_host_join_and_leave_is_told_and_our_own_rows_are_not() {
        let mut h = Host::default();
        let ours = |g: IpAddr| u32::from(g.to_string() == "239.1.1.1");
        assert_eq!(h.take(reading(3, 0, &[("224.0.0.251", 1, None)]), ours, s(0)), []);
        let two = reading(3, 0, &[("224.0.0.251", 1, None), ("239.1.1.1", 1, None), ("239.2.2.2", 1, None)]);
        let changes = h.take(two, ours, s(2));
        assert!(matches!(&changes[..], [HostChange::Joined(g)] if g.group.to_string() == "239.2.2.2"));
        let changes = h.take(reading(2, 0, &[("224.0.0.251", 1, None)]), ours, s(4));
        let left = HostChange::Left("239.2.2.2".parse().unwrap());
        assert_eq!(changes, [HostChange::Version { was: 3, is: 2 }, left]);
        assert!(!h.held_before("239.1.1.1".parse().unwrap()));
    }

    #[test]
    fn a_timer_is_a_sign_of_a_query_once_the_join_is_over() {
        let group: IpAddr = "239.1.1.1".parse().unwrap();
        let mut h = Host::default();
        h.take(reading(2, 0, &[("239.1.1.1", 1, Some(7))]), |_| 1, s(0));
        h.take(reading(2, 0, &[("239.1.1.1", 1, Some(9))]), |_| 1, s(2));
        assert_eq!(h.sign_of_query(group), None, "the join repeats its report");
        h.take(reading(2, 0, &[("239.1.1.1", 1, None)]), |_| 1, s(20));
        h.take(reading(2, 0, &[("239.1.1.1", 1, Some(5))]), |_| 1, s(60));
        h.take(reading(2, 0, &[("239.1.1.1", 1, Some(3))]), |_| 1, s(62));
        assert_eq!(h.sign_of_query(group), Some(s(60)));
    }

    #[test]
    fn the_counter_of_mld_queries_tells_when_it_moved_and_survives_a_restart() {
        let mut h = Host::default();
        for (at, value) in [(0, 5), (2, 5), (4, 6), (6, 6), (8, 0)] {
            h.take(reading(3, value, &[]), |_| 0, s(at));
        }
        assert_eq!(h.mld_counter(), Some((s(0), Some(s(4)))));
    }
}
