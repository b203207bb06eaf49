//! The self-probe: a datagram of this host to the group, that never leaves it, and whether it comes back.
//!
//! With TTL 0 the kernel sends nothing, but loops a copy back, which takes the way of any other that arrives
//! on the interface: ingress filters, prerouting, input, the port, the buffer. It does not come by the
//! loopback interface and belongs to no known connection, so that the usual rules for these do not let it
//! pass. Two things it does not try: the reverse path filter (its route is known already) and the switch.
//! Every listener of the group on this host gets it: only whoever is asked to sends it.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use super::{Joined, unseen};
use crate::base::batch::Batch;
use crate::base::group::MembershipId;
use crate::base::iface::{Iface, IfaceKind};
use crate::doctor::facts::{Probe, Unseen};
use crate::net::Kind;
use crate::net::send::{SendOptions, SendSocket};
use crate::net::wake::Waker;

/// It comes back within microseconds; a host that is busy has this long.
const PATIENCE: Duration = Duration::from_millis(500);
/// Between two looks.
const TURN: Duration = Duration::from_millis(2);
/// Groups that are probed of one request.
const GROUPS_MAX: usize = 16;

/// Sends one for each group, and waits for them.
pub fn probe(groups: &mut [Joined], ifaces: &[Iface], stop: &Waker) -> Vec<Result<Probe, Unseen>> {
    let mut batch = Batch::new();
    let of = |(n, g): (usize, &mut Joined)| match n < GROUPS_MAX {
        true => one(g, ifaces, &mut batch, stop),
        false => Err(not_tried(format!("only the first {GROUPS_MAX} groups are probed"))),
    };
    groups.iter_mut().enumerate().map(of).collect()
}

fn not_tried(reason: String) -> Unseen {
    Unseen { reason, remedy: None }
}

fn one(g: &mut Joined, ifaces: &[Iface], batch: &mut Batch, stop: &Waker) -> Result<Probe, Unseen> {
    let m = g.membership.clone();
    let (Ok(socket), Some(ifindex)) = (&mut g.socket, g.ifindex) else {
        return Err(not_tried("the group could not be joined".into()));
    };
    if ifaces.iter().any(|i| i.index == ifindex && i.kind == IfaceKind::Loopback) {
        return Err(not_tried("a loopback interface loops nothing back of TTL 0".into()));
    }
    let options = SendOptions { ttl: 0, ..SendOptions::new(m.endpoint(), ifindex, &m.iface) };
    let sender = SendSocket::open(&options).map_err(|e| unseen(&e, "CAP_NET_RAW"))?;
    let from = sender.local();
    if !m.filter.passes(from.ip) {
        return Err(not_tried(format!("the sources asked for keep this host's own {} out", from.ip)));
    }
    let token = format!("mcscope doctor {:016x}", RandomState::new().hash_one(from));
    match sender.send(token.as_bytes()) {
        Ok(_) => {}
        // Nothing but the packet filter forbids it.
        Err(e) if e.kind() == Kind::NotPermitted => return Ok(Probe::Refused(e.reason())),
        Err(e) => return Err(not_tried(format!("it could not be sent: {e}"))),
    }
    let (sent, mut taken) = (Instant::now(), 0);
    while sent.elapsed() < PATIENCE && taken < super::TAKEN_MAX {
        batch.clear();
        let Ok(received) = socket.receive(batch, MembershipId(0)) else { break };
        taken += received.taken;
        if batch.datagrams().iter().any(|d| batch.payload(d) == token.as_bytes()) {
            return Ok(Probe::Returned);
        }
        if received.dry && stop.wait(Some(TURN)).unwrap_or(true) {
            return Err(not_tried("it was broken off".into()));
        }
    }
    match taken < super::TAKEN_MAX {
        true => Ok(Probe::Lost),
        false => Err(not_tried(format!("too much else came: {taken} datagrams"))),
    }
}
