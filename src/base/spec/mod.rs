//! Group specs: how people write which groups they mean, the same on the command line, in the join
//! dialog and in the configuration.
//!
//! ```text
//! [SOURCE{,SOURCE}@] ADDR [+N] [%IFACE{,IFACE}] [:PORT]           IPv4; %IFACE may also follow the port
//! [SOURCE{,SOURCE}@] '[' ADDR [+N] [%IFACE{,IFACE}] ']' [:PORT]   IPv6 with a port
//! [SOURCE{,SOURCE}@] ADDR [+N] [%IFACE{,IFACE}]                   IPv6 without a port
//! udp://[SOURCE]@ADDR:PORT  rtp://…                               as players write them; %25 stands for %
//! NAME[%IFACE]                                                    a name of the registry
//! ```
//!
//! `+N` is the number of groups in all, counted upwards; `%all` is every candidate interface. A URL may
//! end in a slash or a query, which are passed over. What a spec means on this host (its interfaces, its
//! default port, the groups of a name) is settled by [`crate::base::resolve`].

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::base::text::TextError;

mod address;
mod finish;
mod parse;
#[cfg(test)]
pub(crate) mod tests;

pub use address::what_is;
pub(crate) use parse::{is_hex_word, parse_open};

/// Most groups in one range: a socket each is already far beyond what a host can open.
pub const MAX_COUNT: u32 = 65_536;

/// What is wrong with a group spec, and where.
pub type SpecError = TextError;

/// On which interfaces a spec wants its groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum IfaceChoice {
    /// None named: a join goes to every candidate, sending needs the only one.
    #[default]
    Unnamed,
    /// `%all`: every candidate.
    All,
    /// These, in the order named, each once.
    Named(Vec<String>),
}

/// A group spec as written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Spec {
    /// Groups by address.
    Group(GroupSpec),
    /// Groups by a name of the registry.
    Name(NameSpec),
}

/// Groups by address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GroupSpec {
    /// The senders wanted, each once; empty for any. Of the group's family and not multicast.
    pub sources: Vec<IpAddr>,
    /// The first group.
    pub group: IpAddr,
    /// How many groups from there on upwards: 1 to [`MAX_COUNT`], all within the multicast space.
    pub count: u32,
    /// On which interfaces.
    pub ifaces: IfaceChoice,
    /// The UDP port, not 0.
    pub port: Option<u16>,
}

/// Groups by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NameSpec {
    /// The name as written; whether the registry has it is not known yet.
    pub name: String,
    /// On which interfaces.
    pub ifaces: IfaceChoice,
}

impl Spec {
    /// Reads a spec.
    ///
    /// # Errors
    /// The part that is wrong. A bare word is never wrong here: it may be a name.
    pub fn parse(text: &str) -> Result<Spec, SpecError> {
        parse_open(text).map_err(|fail| fail.error)
    }

    /// On which interfaces.
    pub fn ifaces(&self) -> &IfaceChoice {
        match self {
            Spec::Group(group) => &group.ifaces,
            Spec::Name(name) => &name.ifaces,
        }
    }

    /// The same on other interfaces, as chosen in a dialog.
    #[must_use]
    pub fn on(mut self, choice: IfaceChoice) -> Spec {
        match &mut self {
            Spec::Group(group) => group.ifaces = choice,
            Spec::Name(name) => name.ifaces = choice,
        }
        self
    }
}

impl FromStr for Spec {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Spec, SpecError> {
        Spec::parse(text)
    }
}

impl GroupSpec {
    /// A single group from anybody, on the interfaces that joins take by themselves.
    pub fn new(group: IpAddr, port: Option<u16>) -> Self {
        GroupSpec { sources: Vec::new(), group, count: 1, ifaces: IfaceChoice::Unnamed, port }
    }

    /// The groups, in ascending order.
    pub fn groups(&self) -> impl Iterator<Item = IpAddr> + use<> {
        let first = self.group;
        (0..self.count).map(move |n| match first {
            IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits().wrapping_add(n)).into(),
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits().wrapping_add(n.into())).into(),
        })
    }
}

impl fmt::Display for IfaceChoice {
    /// With the percent sign, if there is anything to say.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IfaceChoice::Unnamed => Ok(()),
            IfaceChoice::All => f.write_str("%all"),
            IfaceChoice::Named(names) => write!(f, "%{}", names.join(",")),
        }
    }
}

impl fmt::Display for GroupSpec {
    /// In the grammar's own form, so that it reads back as the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, source) in self.sources.iter().enumerate() {
            write!(f, "{}{source}", if i > 0 { "," } else { "" })?;
        }
        if !self.sources.is_empty() {
            f.write_str("@")?;
        }
        let bracket = self.group.is_ipv6() && self.port.is_some();
        if bracket {
            f.write_str("[")?;
        }
        write!(f, "{}", self.group)?;
        if self.count > 1 {
            write!(f, "+{}", self.count)?;
        }
        write!(f, "{}", self.ifaces)?;
        if bracket {
            f.write_str("]")?;
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Spec::Group(group) => group.fmt(f),
            Spec::Name(name) => write!(f, "{}{}", name.name, name.ifaces),
        }
    }
}
