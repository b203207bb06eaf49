//! What is asked of the rules, and what they say.

use std::net::IpAddr;

use super::Hook;

/// What a packet carries, and which way it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// A UDP datagram to this port, that arrives.
    Datagram(u16),
    /// A query of IGMP or MLD, that arrives.
    Query,
    /// A report of IGMPv3 or MLDv2, that leaves.
    Report,
}

impl Traffic {
    pub(super) fn passes(self, hook: Hook) -> bool {
        match self {
            Traffic::Datagram(_) | Traffic::Query => hook <= Hook::Input,
            Traffic::Report => hook > Hook::Input,
        }
    }
}

/// A multicast packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Where it is sent to.
    pub group: IpAddr,
    /// What it is.
    pub traffic: Traffic,
    /// The sender, where it is known.
    pub source: Option<IpAddr>,
    /// The interface's name.
    pub iface: &'a str,
    /// Its index.
    pub ifindex: u32,
}

/// Where a datagram is dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drop {
    /// The base chain that it entered by: an accept at its head saves the datagram.
    pub base: String,
    /// The hook of that chain.
    pub hook: Hook,
    /// The chain with the rule.
    pub chain: String,
    /// The rule; `None`: the chain's policy.
    pub handle: Option<u64>,
    /// Whether it surely applies, or only may.
    pub certain: bool,
}

impl std::fmt::Display for Drop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.handle {
            Some(handle) => {
                write!(f, "rule handle {handle} of nftables chain {} (hook {})", self.chain, self.hook.word())
            }
            None => write!(f, "policy drop of nftables chain {} (hook {})", self.chain, self.hook.word()),
        }
    }
}
