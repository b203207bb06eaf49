//! What is allowed, but worth a word.

use std::fmt;
use std::mem::discriminant;
use std::net::IpAddr;

use crate::base::iface::NotCandidate;

/// A remark on a resolved spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A source filter on a group outside the SSM ranges (RFC 4607): allowed since IGMPv3 and MLDv2.
    SourceOutsideSsm {
        /// The group, the first of several.
        group: IpAddr,
    },
    /// A group of an SSM range joined without a source: routers ignore that (RFC 4607 section 4.1).
    SsmWithoutSource {
        /// The group, the first of several.
        group: IpAddr,
    },
    /// The port was left out and the registry knew it.
    PortFromRegistry {
        /// The name of the row.
        name: String,
        /// Its ports.
        ports: String,
    },
    /// An interface is joined that would not be, had it not been named.
    NotCandidate {
        /// The interface's name.
        iface: String,
        /// Why not.
        reason: NotCandidate,
    },
    /// A group of the name is left out: nothing says on which port to listen.
    NoPort {
        /// The name.
        name: String,
        /// The group left out.
        group: IpAddr,
    },
    /// Groups of a family are left out on an interface that has no address of it.
    NoAddress {
        /// The interface's name.
        iface: String,
        /// Which family: IPv6 or IPv4.
        ipv6: bool,
        /// The name.
        name: String,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::SourceOutsideSsm { group } => write!(
                f,
                "{group} is outside the SSM range ({}): the source filter is kept, but routers and switches \
                 may still carry every sender",
                ssm_range(*group)
            ),
            Note::SsmWithoutSource { group } => write!(
                f,
                "{group} is in the SSM range ({}): a join without a source reaches only senders on this \
                 link; write SOURCE@{group}",
                ssm_range(*group)
            ),
            Note::PortFromRegistry { name, ports } if ports.contains([' ', '-']) => {
                write!(f, "ports {ports} are those of {name}")
            }
            Note::PortFromRegistry { name, ports } => write!(f, "port {ports} is that of {name}"),
            Note::NotCandidate { iface, reason } => {
                write!(f, "{iface} {reason}: joined only because it was named")
            }
            Note::NoPort { name, group } => {
                write!(f, "{group} of {name} is left out: no UDP port is usual there")
            }
            Note::NoAddress { iface, ipv6, name } => {
                let family = if *ipv6 { "IPv6" } else { "IPv4" };
                write!(f, "{iface} has no {family} address: the {family} groups of {name} are left out there")
            }
        }
    }
}

/// The SSM range of a group's family.
fn ssm_range(group: IpAddr) -> &'static str {
    if group.is_ipv4() { "232/8" } else { "ff3x::/32" }
}

/// Adds a note that is not there yet.
pub(super) fn add(notes: &mut Vec<Note>, note: Note) {
    if !notes.contains(&note) {
        notes.push(note);
    }
}

/// Adds a note unless one of its kind is there: one line stands for a whole range of groups.
pub(super) fn add_first(notes: &mut Vec<Note>, note: Note) {
    if !notes.iter().any(|other| discriminant(other) == discriminant(&note)) {
        notes.push(note);
    }
}
