//! The members of groups, as their reports on the wire tell: who, in which version, with which source
//! filter, last heard when.
//!
//! Members that speak an old version keep silent when another of them answers first (RFC 2236 section
//! 3), and a snooping switch keeps reports from other hosts: what is not heard may still be there.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::base::group::SourceFilter;
use crate::base::time::Mono;
use crate::model::source::Stamp;
use crate::wire::igmp::{Record, RecordKind};

/// Members kept of one interface and family, over all groups.
pub const MEMBERS_MAX: usize = 4096;
/// Sources kept of one member's filter.
pub const SOURCES_MAX: usize = 32;

/// One host that wants a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its address; unspecified when it reported before it had one.
    pub address: IpAddr,
    /// The version of its last report.
    pub version: u8,
    /// Which sources it wants, as far as it said; at most [`SOURCES_MAX`] are kept.
    pub filter: SourceFilter,
    /// Whether it named more sources than are kept.
    pub filter_cut: bool,
    /// Its first report.
    pub first: Stamp,
    /// Its last report.
    pub last: Stamp,
    /// Reports heard.
    pub reports: u64,
    /// Whether this host sent them.
    pub ours: bool,
}

/// What a report says of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// The host joined.
    Joined,
    /// It left.
    Left,
    /// It wants other sources than before.
    Filter,
    /// It is still there.
    Again,
}

/// A report about one group, of any version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report<'a> {
    pub from: IpAddr,
    pub version: u8,
    pub group: IpAddr,
    pub kind: RecordKind,
    pub sources: &'a [IpAddr],
    pub ours: bool,
    pub at: Stamp,
}

impl<'a> Report<'a> {
    /// A record's sources in the common form.
    pub fn sources<A: Copy + Into<IpAddr>>(r: &Record<A>) -> Vec<IpAddr> {
        r.sources.iter().map(|s| (*s).into()).collect()
    }
}

/// The groups of one interface and family that anybody reported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    groups: BTreeMap<IpAddr, Vec<Member>>,
    kept: usize,
    /// Members that were not kept because there were too many.
    pub not_kept: u64,
}

impl Members {
    /// The groups with their members, in the order of their addresses.
    pub fn groups(&self) -> impl Iterator<Item = (IpAddr, &[Member])> {
        self.groups.iter().map(|(g, m)| (*g, &m[..]))
    }

    /// Number of groups.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether nobody was heard.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The members of a group.
    pub fn of(&self, group: IpAddr) -> &[Member] {
        self.groups.get(&group).map_or(&[], |m| &m[..])
    }

    /// The last report of this host for a group.
    pub fn our_report(&self, group: IpAddr) -> Option<Stamp> {
        self.of(group).iter().filter(|m| m.ours).map(|m| m.last).max_by_key(|at| at.mono)
    }

    /// Takes a report about a group.
    pub(super) fn heard(&mut self, r: &Report<'_>, lifetime_ns: u64) -> Option<Said> {
        let list = self.groups.get_mut(&r.group);
        let known = list.and_then(|l| l.iter_mut().find(|m| m.address == r.from && m.ours == r.ours));
        let Some(member) = known else {
            let filter = after(None, r)?;
            if self.kept >= MEMBERS_MAX && !r.ours {
                self.forget_older(r.at.mono, lifetime_ns);
                if self.kept >= MEMBERS_MAX {
                    self.not_kept += 1;
                    return None;
                }
            }
            let (filter, filter_cut) = bounded(filter);
            let member = Member {
                address: r.from,
                version: r.version,
                filter,
                filter_cut,
                first: r.at,
                last: r.at,
                reports: 1,
                ours: r.ours,
            };
            self.groups.entry(r.group).or_default().push(member);
            self.kept += 1;
            let state = matches!(r.kind, RecordKind::IsInclude | RecordKind::IsExclude);
            return Some(if state { Said::Again } else { Said::Joined });
        };
        let Some(filter) = after(Some(&member.filter), r) else {
            self.leave(r.group, r.from, r.ours);
            return Some(Said::Left);
        };
        let (filter, filter_cut) = bounded(filter);
        let changed = member.filter != filter;
        (member.filter, member.filter_cut) = (filter, filter_cut);
        (member.version, member.last) = (r.version, r.at);
        member.reports += 1;
        // A report of a change is sent as often as the robustness says: the second changes nothing.
        Some(if changed { Said::Filter } else { Said::Again })
    }

    fn leave(&mut self, group: IpAddr, from: IpAddr, ours: bool) {
        let Some(list) = self.groups.get_mut(&group) else { return };
        let before = list.len();
        list.retain(|m| m.address != from || m.ours != ours);
        self.kept -= before - list.len();
        if list.is_empty() {
            self.groups.remove(&group);
        }
    }

    /// Forgets whoever was not heard for this long.
    pub(super) fn forget_older(&mut self, now: Mono, ns: u64) {
        self.groups.retain(|_, list| {
            list.retain(|m| now.since(m.last.mono) <= ns);
            !list.is_empty()
        });
        self.kept = self.groups.values().map(Vec::len).sum();
    }
}

/// The filter after a report; `None` when the group is wanted no more.
fn after(before: Option<&SourceFilter>, r: &Report<'_>) -> Option<SourceFilter> {
    let list = || r.sources.to_vec();
    let include = |list: Vec<IpAddr>| (!list.is_empty()).then_some(SourceFilter::Include(list));
    let exclude = |list: Vec<IpAddr>| {
        Some(if list.is_empty() { SourceFilter::Any } else { SourceFilter::Exclude(list) })
    };
    let with = |old: &[IpAddr]| {
        let mut all = old.to_vec();
        all.extend(r.sources.iter().filter(|s| !old.contains(s)));
        all
    };
    let without = |old: &[IpAddr]| old.iter().filter(|s| !r.sources.contains(s)).copied().collect::<Vec<_>>();
    match (r.kind, before) {
        (RecordKind::IsInclude | RecordKind::ToInclude, _) => include(list()),
        (RecordKind::IsExclude | RecordKind::ToExclude, _) => exclude(list()),
        (RecordKind::Allow, Some(SourceFilter::Include(old))) => include(with(old)),
        (RecordKind::Allow, Some(SourceFilter::Exclude(old))) => exclude(without(old)),
        (RecordKind::Allow, Some(SourceFilter::Any)) => Some(SourceFilter::Any),
        (RecordKind::Allow, None) => include(list()),
        (RecordKind::Block, Some(SourceFilter::Include(old))) => include(without(old)),
        (RecordKind::Block, Some(SourceFilter::Exclude(old))) => exclude(with(old)),
        (RecordKind::Block, Some(SourceFilter::Any)) => exclude(list()),
        // It may have left its last source, or refuse one more: who was not known is not made up.
        (RecordKind::Block, None) | (RecordKind::Unknown(_), None) => None,
        (RecordKind::Unknown(_), Some(old)) => Some(old.clone()),
    }
}

fn bounded(filter: SourceFilter) -> (SourceFilter, bool) {
    let mut cut = false;
    let mut shorten = |mut list: Vec<IpAddr>| {
        cut = list.len() > SOURCES_MAX;
        list.truncate(SOURCES_MAX);
        list.sort_unstable();
        list
    };
    let filter = match filter {
        SourceFilter::Any => SourceFilter::Any,
        SourceFilter::Include(list) => SourceFilter::Include(shorten(list)),
        SourceFilter::Exclude(list) => SourceFilter::Exclude(shorten(list)),
    };
    (filter, cut)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::{SECOND_NS, Wall};

    const LIFE: u64 = 260 * SECOND_NS;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn say(m: &mut Members, second: u64, from: &str, kind: RecordKind, sources: &[&str]) -> Option<Said> {
        let sources: Vec<IpAddr> = sources.iter().map(|s| ip(s)).collect();
        let at = Stamp { mono: Mono(second * SECOND_NS), wall: Wall(0) };
        let group = ip("239.1.1.1");
        let r = Report { from: ip(from), version: 3, group, kind, sources: &sources, ours: false, at };
        m.heard(&r, LIFE)
    }

    #[test]
    fn source_filters_follow_the_records_of_rfc_9776() {
        use RecordKind::*;
        let mut m = Members::default();
        let filter = |m: &Members| m.of(ip("239.1.1.1")).first().map(|m| m.filter.clone());
        assert_eq!(say(&mut m, 1, "10.0.0.2", Allow, &["10.9.0.1"]), Some(Said::Joined));
        assert_eq!(say(&mut m, 2, "10.0.0.2", Allow, &["10.9.0.2"]), Some(Said::Filter));
        assert_eq!(filter(&m), Some(SourceFilter::Include(vec![ip("10.9.0.1"), ip("10.9.0.2")])));
        assert_eq!(say(&mut m, 3, "10.0.0.2", IsInclude, &["10.9.0.1", "10.9.0.2"]), Some(Said::Again));
        assert_eq!(say(&mut m, 4, "10.0.0.2", Block, &["10.9.0.1"]), Some(Said::Filter));
        assert_eq!(say(&mut m, 5, "10.0.0.2", ToExclude, &[]), Some(Said::Filter));
        assert_eq!(say(&mut m, 6, "10.0.0.2", Block, &["10.9.0.7"]), Some(Said::Filter));
        assert_eq!(filter(&m), Some(SourceFilter::Exclude(vec![ip("10.9.0.7")])));
        assert_eq!(say(&mut m, 7, "10.0.0.2", ToInclude, &[]), Some(Said::Left));
        assert!(m.is_empty());
        assert_eq!(say(&mut m, 8, "10.0.0.2", ToInclude, &[]), None, "the leave is sent twice");
        assert_eq!(say(&mut m, 9, "10.0.0.3", Allow, &["10.9.0.1"]), Some(Said::Joined));
        assert_eq!(say(&mut m, 9, "10.0.0.3", Block, &["10.9.0.1"]), Some(Said::Left));
    }

    #[test]
    fn an_answer_of_a_member_not_known_before_is_no_join() {
        let mut m = Members::default();
        assert_eq!(say(&mut m, 1, "10.0.0.2", RecordKind::IsExclude, &[]), Some(Said::Again));
        assert_eq!(m.of(ip("239.1.1.1")).len(), 1);
    }

    #[test]
    fn a_flood_of_members_is_bounded_and_makes_room_when_they_are_old() {
        let mut m = Members::default();
        for n in 0..(MEMBERS_MAX as u32 + 10) {
            let from = std::net::Ipv4Addr::from(0x0a00_0000 + n).to_string();
            say(&mut m, 1, &from, RecordKind::ToExclude, &[]);
        }
        assert_eq!((m.of(ip("239.1.1.1")).len(), m.not_kept), (MEMBERS_MAX, 10));
        say(&mut m, 300, "10.200.0.1", RecordKind::ToExclude, &[]);
        assert_eq!(
            m.of(ip("239.1.1.1")).len(),
            1,
            "the others were silent for longer than a membership lasts"
        );
    }

    #[test]
    fn a_filter_keeps_so_many_sources_and_says_that_there_were_more() {
        let mut m = Members::default();
        let many: Vec<String> = (0..100).map(|n| format!("10.9.0.{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        say(&mut m, 1, "10.0.0.2", RecordKind::ToInclude, &many);
        let member = &m.of(ip("239.1.1.1"))[0];
        assert_eq!((member.filter.sources().len(), member.filter_cut), (SOURCES_MAX, true));
    }
}
