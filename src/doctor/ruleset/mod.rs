//! The packet filter's rules, and what becomes of a datagram in them. Pure: the rules come from
//! [`super::gather`].
//!
//! Not every match can be judged from outside (limits, marks, connection state of another kind): such a
//! rule *may* apply, and what follows from it is told as possible, not as certain.

mod compare;
mod packet;
#[cfg(test)]
mod tests;
mod walk;

use std::net::IpAddr;

pub use packet::{Drop, Packet, Traffic};

/// The places where the kernel asks the packet filter, in the order of the way in and of the way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    /// Of one device, before IP.
    Ingress,
    /// Before routing, and so before the membership is looked at.
    Prerouting,
    /// Before delivery to this host.
    Input,
    /// Of what this host sends.
    Output,
    /// After routing, of what leaves.
    Postrouting,
}

impl Hook {
    /// nft's word.
    pub fn word(self) -> &'static str {
        match self {
            Hook::Ingress => "ingress",
            Hook::Prerouting => "prerouting",
            Hook::Input => "input",
            Hook::Output => "output",
            Hook::Postrouting => "postrouting",
        }
    }
}

/// All chains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// Those of nftables, also where iptables-nft made them.
    pub chains: Vec<Chain>,
    /// Tables of the older iptables are loaded as well, whose rules are not here.
    pub legacy: bool,
}

/// A chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// ip, ip6, inet, netdev …
    pub family: String,
    /// The table's name.
    pub table: String,
    /// The chain's name.
    pub name: String,
    /// Where the kernel enters it; `None` for one that others jump to.
    pub hook: Option<Hook>,
    /// The devices of an ingress chain; none where they were not told.
    pub devices: Vec<String>,
    /// The order among the chains of a hook.
    pub priority: i64,
    /// Whether what reaches its end is dropped.
    pub drops: bool,
    /// The rules in order.
    pub rules: Vec<Rule>,
}

impl Chain {
    /// As nft names it: "inet filter input".
    pub fn name(&self) -> String {
        format!("{} {} {}", self.family, self.table, self.name)
    }
}

/// A rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// By which nft names it.
    pub handle: u64,
    /// All must hold.
    pub matches: Vec<Match>,
    /// What happens then.
    pub actions: Vec<Action>,
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Lets it go on, past this chain.
    Accept,
    /// Drops it (or rejects, or queues it to a program that may).
    Drop,
    /// Goes through another chain of the table and comes back.
    Jump(String),
    /// Goes on in another chain for good.
    Goto(String),
    /// Comes back to where this chain was jumped to from.
    Return,
    /// Chooses by a property: the first value that matches.
    Map(What, Vec<(Value, Action)>),
}

/// A property of a datagram that rules ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Destination address, of IPv6 if set.
    Destination(bool),
    /// Source address, of IPv6 if set.
    Source(bool),
    /// Destination port of UDP.
    DestinationPort,
    /// The transport protocol: "udp" or 17.
    Transport,
    /// The network protocol: "ip", "ipv4" or "ip6", "ipv6".
    Network,
    /// The interface's name or index that it came by.
    Interface,
    /// The interface's name or index that it leaves by.
    OutInterface,
    /// The type of an IGMP message, or of ICMPv6 if set.
    MessageType(bool),
    /// "multicast".
    PacketType,
    /// "new".
    State,
    /// Something that no packet here has: a TCP port, an ICMP type.
    Foreign,
    /// Something that cannot be judged here.
    Opaque,
}

/// A value that a property is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Number(u64),
    /// A word or an address.
    Word(String),
    /// A network.
    Prefix(IpAddr, u8),
    /// From one to another.
    Range(Box<Value>, Box<Value>),
}

/// A comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Of what.
    pub what: What,
    /// With any of these.
    pub values: Vec<Value>,
    /// It must be none of them.
    pub negated: bool,
}

impl Match {
    /// One that may hold or not.
    pub fn opaque() -> Match {
        Match { what: What::Opaque, values: Vec::new(), negated: false }
    }
}
