//! Whether the network is told of a row's source filter.
//!
//! Only IGMPv3 and MLDv2 reports name sources. Where a host has to speak an older version (RFC 9776
//! section 7.2.1, RFC 9777 section 8.2.1), a filter is applied by the host itself and nowhere else: what it
//! keeps out still arrives on the wire.

use std::fmt;
use std::net::IpAddr;

use super::Link;
use crate::base::group::{Membership, SourceFilter};
use crate::base::time::Mono;
use crate::model::Model;

/// Why a filter stays on this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Untold {
    /// `IGMP` or `MLD`.
    protocol: &'static str,
    version: u8,
    /// Whether the version was set by hand; a querier of that version was heard otherwise.
    forced: bool,
}

impl Untold {
    /// The version in force: `IGMPv2`.
    pub fn name(&self) -> String {
        format!("{}v{}", self.protocol, self.version)
    }
}

impl fmt::Display for Untold {
    /// `IGMPv2 is in force (set by hand): the network is not told of sources, this host alone sorts them`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = if self.forced { "set by hand" } else { "an old querier asks" };
        write!(
            f,
            "{} is in force ({why}): the network is not told of sources, this host alone keeps them out",
            self.name()
        )
    }
}

impl Link {
    /// Whether reports of this group leave without their sources.
    pub fn untold(&self, group: IpAddr, now: Mono) -> Option<Untold> {
        let (protocol, forced, in_force, full) = match group {
            IpAddr::V4(_) => ("IGMP", self.host.igmp_forced, self.host.igmp_version, 3),
            IpAddr::V6(_) => ("MLD", self.host.mld_forced, None, 2),
        };
        let forced = Some(forced).filter(|v| *v > 0);
        // The kernel's word counts most; it says nothing of MLD.
        let version = in_force.or(forced).or_else(|| {
            let present = self.side(group).queriers.list().iter().filter(|q| q.is_present(now));
            present.map(|q| q.version).min()
        })?;
        (version < full).then_some(Untold { protocol, version, forced: forced == Some(version) })
    }
}

impl Model {
    /// Why the network is not told of a membership's filter; `None` when it is, as far as is known, and when
    /// there is none to tell.
    pub fn filter_untold(&self, m: &Membership) -> Option<Untold> {
        if m.filter == SourceFilter::Any {
            return None;
        }
        self.version_without_sources(m)
    }

    /// The same for a filter that is still to come.
    pub fn version_without_sources(&self, m: &Membership) -> Option<Untold> {
        self.memberships.link(&m.iface)?.untold(m.group, self.now.mono)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn untold(group: &str, igmp: Option<u8>, forced: u8) -> Option<String> {
        let mut link = Link::new("eth0".into());
        link.host.igmp_version = igmp;
        (link.host.igmp_forced, link.host.mld_forced) = (forced, forced);
        link.untold(group.parse().unwrap(), Mono(0)).map(|u| u.to_string())
    }

    #[test]
    fn versions_that_know_no_sources_are_told_with_their_reason() {
        assert_eq!(untold("239.1.1.1", Some(3), 0), None);
        assert_eq!(untold("239.1.1.1", None, 0), None, "nothing known is no warning");
        assert!(
            untold("239.1.1.1", Some(2), 0).unwrap().starts_with("IGMPv2 is in force (an old querier asks)")
        );
        assert!(untold("239.1.1.1", Some(2), 2).unwrap().starts_with("IGMPv2 is in force (set by hand)"));
        assert!(untold("ff15::1", Some(3), 1).unwrap().starts_with("MLDv1 is in force (set by hand)"));
        assert_eq!(untold("ff15::1", Some(2), 2), None, "what IGMP does is not MLD's business");
    }
}
