//! Systems whose counters and tables the doctor does not read: everything is left out, and the checks
//! say that it could not be looked at.

use super::{Once, Snapshot};
use crate::base::iface::Iface;
use crate::doctor::facts::{IfaceFacts, UdpSocket, Unseen};
use crate::doctor::ruleset::Ruleset;

pub fn once() -> Once {
    Once::default()
}

pub fn snapshot(_: &[Iface]) -> Snapshot {
    Snapshot::default()
}

pub fn iface_facts(facts: IfaceFacts) -> IfaceFacts {
    facts
}

pub fn name_programs(_: &mut [UdpSocket], _: &[u16]) {}

pub fn rules() -> Result<Ruleset, Unseen> {
    Err(Unseen { reason: "the packet filter's rules are read on Linux only".into(), remedy: None })
}
