//! What this host has joined, as its kernel tells it: every interface with its groups, their users,
//! timers and source filters, and the processes that hold them as far as they can be known.

use std::net::IpAddr;
use std::sync::Arc;

/// One reading of the kernel's tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostJoins {
    /// The interfaces that have any group, in the kernel's order.
    pub ifaces: Vec<JoinedIface>,
    /// Groups that are not listed because there are more than are kept.
    pub left_out: usize,
    /// Whether processes of other users can be seen as well.
    pub sees_all_processes: bool,
}

/// An interface with the groups that this host has joined on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedIface {
    /// The name.
    pub name: Arc<str>,
    /// The IGMP version in force, 1 to 3; `None` where the system does not say. 3 is the default and
    /// says nothing about a querier; a lower one means that a querier of that version was heard
    /// within the last 260 s (RFC 3376 section 8.12), or that it was set by hand.
    pub igmp_version: Option<u8>,
    /// The IGMP version that was set by hand (`force_igmp_version`); 0 for none.
    pub igmp_forced: u8,
    /// The MLD version that was set by hand (`force_mld_version`); 0 for none.
    pub mld_forced: u8,
    /// MLD queries received since the interface came up; `None` where the system does not count.
    pub mld_queries: Option<u64>,
    /// The groups, IPv4 first.
    pub groups: Vec<JoinedGroup>,
}

/// A group that this host has joined on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedGroup {
    /// The group.
    pub group: IpAddr,
    /// How many joins the kernel counts: sockets, and its own.
    pub users: u32,
    /// Time until this host reports the group, in ns, while such a timer runs: a query asked for the
    /// group itself, or for all in an old version, or the group was just joined in an old version.
    pub timer_ns: Option<u64>,
    /// Whether this host sent the last report of an old version.
    pub last_reporter: bool,
    /// The source filters of all joins together, one entry for each source that any of them names.
    pub sources: Vec<JoinedSource>,
    /// Sockets that seem to hold it.
    pub holders: Vec<Holder>,
}

/// A source that joins of a group name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinedSource {
    /// The source.
    pub ip: IpAddr,
    /// Joins that ask for it.
    pub include: u32,
    /// Joins that refuse it.
    pub exclude: u32,
}

/// A socket that seems to hold a membership. The kernel does not say which sockets joined what: one
/// that is bound to the group's address is taken to be one of them, and so is one bound to a port that
/// is the group's by the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The UDP port it is bound to.
    pub port: u16,
    /// Whether it is bound to the group's own address, rather than only to its port.
    pub by_address: bool,
    /// Its owner's user id.
    pub uid: u32,
    /// The process, where it may be seen.
    pub process: Option<Process>,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its name, as its own system tells it (at most 15 bytes on Linux).
    pub name: Arc<str>,
}

impl JoinedIface {
    /// An interface without any group, of which nothing else is known.
    pub fn none(name: Arc<str>) -> JoinedIface {
        JoinedIface {
            name,
            igmp_version: None,
            igmp_forced: 0,
            mld_forced: 0,
            mld_queries: None,
            groups: Vec::new(),
        }
    }
}

impl JoinedGroup {
    /// Who holds it, in words: `mcscope (pid 812), a process of uid 110`; empty when nothing is known.
    pub fn held_by(&self) -> String {
        let mut all: Vec<String> = Vec::new();
        for h in &self.holders {
            let text = match &h.process {
                Some(p) => format!("{} (pid {})", crate::base::text::visible(&p.name, 32), p.pid),
                None => format!("a process of uid {}", h.uid),
            };
            if !all.contains(&text) {
                all.push(text);
            }
        }
        all.join(", ")
    }

    /// The source filters in words: `only 10.0.0.1`, `not 10.0.0.2`; empty when nobody filters.
    pub fn filter_words(&self) -> String {
        let named = |wanted: bool| {
            let list = self.sources.iter().filter(|s| if wanted { s.include > 0 } else { s.exclude > 0 });
            list.map(|s| s.ip.to_string()).collect::<Vec<_>>().join(" ")
        };
        // A join that includes names at least one source: with fewer namings than users some join
        // takes every source.
        let namings: u32 = self.sources.iter().map(|s| s.include + s.exclude).sum();
        let (include, exclude) = (named(true), named(false));
        match (include.is_empty(), exclude.is_empty()) {
            (true, true) => String::new(),
            (false, true) if namings >= self.users => format!("only {include}"),
            (false, true) => format!("any, and {include} by name"),
            (true, false) => format!("not {exclude}"),
            (false, false) => format!("{include} by name, not {exclude}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(users: u32, sources: &[(&str, u32, u32)], holders: Vec<Holder>) -> JoinedGroup {
        let source = |&(ip, include, exclude): &(&str, u32, u32)| JoinedSource {
            ip: ip.parse().unwrap(),
            include,
            exclude,
        };
        JoinedGroup {
            group: "239.1.1.1".parse().unwrap(),
            users,
            timer_ns: None,
            last_reporter: false,
            sources: sources.iter().map(source).collect(),
            holders,
        }
    }

    #[test]
    fn filters_read_as_what_they_let_through() {
        assert_eq!(group(2, &[], vec![]).filter_words(), "");
        assert_eq!(group(1, &[("10.0.0.1", 1, 0)], vec![]).filter_words(), "only 10.0.0.1");
        assert_eq!(group(2, &[("10.0.0.1", 1, 0)], vec![]).filter_words(), "any, and 10.0.0.1 by name");
        assert_eq!(group(1, &[("10.0.0.2", 0, 1)], vec![]).filter_words(), "not 10.0.0.2");
    }

    #[test]
    fn a_process_is_named_once_however_many_sockets_it_has() {
        let process = Some(Process { pid: 812, name: "avahi\u{1b}[31m".into() });
        let holder = |process, uid| Holder { port: 5353, by_address: false, uid, process };
        let all = vec![holder(process.clone(), 110), holder(process, 110), holder(None, 0)];
        let text = group(3, &[], all).held_by();
        assert!(text.starts_with("avahi") && text.ends_with("(pid 812), a process of uid 0"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
    }
}
