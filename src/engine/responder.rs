//! The responder: answers what arrives on a group with a unicast reply to its sender.
//!
//! Bounded as the specification says: a reply is never longer than its request, never goes to a
//! multicast, broadcast or own address, and all replies of this program count against one limit.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Mutex;

use crate::base::batch::{Batch, Datagram};
use crate::base::group::{Endpoint, Membership, MembershipId};
use crate::base::time::{Mono, SECOND_NS};
use crate::engine::command::Respond;
use crate::net::send::{SendOptions, SendSocket};
use crate::wire::probe::{self, Kind, Probe};

/// Replies a second, over all groups.
pub const REPLIES_PPS: u64 = 200;
/// TTL of a unicast reply.
const REPLY_TTL: u8 = 64;

/// The limit that all replies share: a bucket of [`REPLIES_PPS`] tokens that fills in a second.
pub struct Limiter {
    state: Mutex<(u64, Mono)>,
    pps: u64,
}

impl Default for Limiter {
    fn default() -> Self {
        Limiter { state: Mutex::new((REPLIES_PPS, Mono(0))), pps: REPLIES_PPS }
    }
}

impl Limiter {
    /// Whether a reply may go now.
    pub fn allow(&self, now: Mono) -> bool {
        let mut state = self.state.lock().unwrap_or_else(|e| e.into_inner());
        let (tokens, since) = &mut *state;
        let more = now.since(*since) / (SECOND_NS / self.pps);
        if more > 0 {
            *tokens = (*tokens + more).min(self.pps);
            *since = now;
        }
        let allowed = *tokens > 0;
        *tokens = tokens.saturating_sub(1);
        allowed
    }
}

/// What to do with a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not to be answered.
    Ignore,
    /// Answer by unicast; the second says whether a multicast answer is asked for as well.
    Answer {
        /// Whether the group gets the answer too.
        multicast: bool,
    },
}

/// Decides on one datagram; `own` are the addresses of this host, `broadcasts` those of its
/// networks.
pub fn judge(mode: Respond, payload: &[u8], from: Endpoint, own: &[IpAddr]) -> Verdict {
    let bad = match from.ip {
        IpAddr::V4(ip) => ip.is_multicast() || ip.is_broadcast() || ip.is_unspecified(),
        IpAddr::V6(ip) => ip.is_multicast() || ip.is_unspecified(),
    };
    if bad || from.port == 0 || own.contains(&from.ip) {
        return Verdict::Ignore;
    }
    match (mode, Probe::parse(payload)) {
        (Respond::Off, _) => Verdict::Ignore,
        // An answer is not answered, or two responders would talk forever.
        (_, Some(p)) if p.kind == Kind::Reply => Verdict::Ignore,
        (_, Some(p)) => {
            Verdict::Answer { multicast: p.kind == Kind::Ping && p.flags & probe::FLAG_MULTICAST_REPLY != 0 }
        }
        (Respond::Any, None) => Verdict::Answer { multicast: false },
        (Respond::Probes, None) => Verdict::Ignore,
    }
}

/// The responder of one listener.
pub struct Responder {
    mode: Respond,
    own: Arc<[IpAddr]>,
    limiter: Arc<Limiter>,
    unicast: Option<SendSocket>,
    multicast: Option<SendSocket>,
    reply: Vec<u8>,
    /// Answers refused by the limit or by the kernel, told when their number doubles.
    refused: u64,
    /// How many of these the next word about it waits for.
    tell_at: u64,
    answered: u64,
}

impl Responder {
    /// A responder in this mode.
    pub fn new(mode: Respond, own: Arc<[IpAddr]>, limiter: Arc<Limiter>) -> Responder {
        Responder {
            mode,
            own,
            limiter,
            unicast: None,
            multicast: None,
            reply: Vec::new(),
            refused: 0,
            tell_at: 1,
            answered: 0,
        }
    }

    /// Whether anything is answered.
    pub fn is_on(&self) -> bool {
        self.mode != Respond::Off
    }

    /// Datagrams answered so far.
    pub fn answered(&self) -> u64 {
        self.answered
    }

    /// Changes the mode; off closes the sockets.
    pub fn set(&mut self, mode: Respond) {
        self.mode = mode;
        if mode == Respond::Off {
            (self.unicast, self.multicast) = (None, None);
        }
    }

    /// The addresses of this host changed.
    pub fn set_own(&mut self, own: Arc<[IpAddr]>) {
        self.own = own;
        (self.unicast, self.multicast) = (None, None);
    }

    /// Answers the datagrams of a batch that came for this row and are to be answered. Returns a line for the event log
    /// when something stood in the way.
    pub fn answer(
        &mut self,
        batch: &Batch,
        id: MembershipId,
        membership: &Membership,
        ifindex: u32,
    ) -> Option<String> {
        let mut trouble = None;
        for d in batch.datagrams().iter().filter(|d| d.membership == id) {
            let verdict = judge(self.mode, batch.payload(d), d.source, &self.own);
            let Verdict::Answer { multicast } = verdict else { continue };
            if !self.limiter.allow(batch.received.mono) {
                trouble = Some(format!("more than {REPLIES_PPS} answers a second were asked for"));
                self.refused += 1;
                continue;
            }
            match self.send(batch.payload(d), d, membership, ifindex, multicast) {
                Ok(()) => self.answered += 1,
                Err(e) => {
                    trouble = Some(e.to_string());
                    self.refused += 1;
                }
            }
        }
        let text = trouble.filter(|_| self.refused >= self.tell_at)?;
        self.tell_at = self.refused * 2;
        Some(format!("{membership}: {} not answered: {text}", self.refused))
    }

    fn send(
        &mut self,
        request: &[u8],
        d: &Datagram,
        membership: &Membership,
        ifindex: u32,
        multicast: bool,
    ) -> Result<(), crate::net::error::NetError> {
        self.reply.clear();
        self.reply.extend_from_slice(request);
        let length = Probe::answer(&mut self.reply, REPLY_TTL, 0).unwrap_or(self.reply.len());
        let socket = open(&mut self.unicast, d.source, membership, ifindex, REPLY_TTL)?;
        socket.send_to(&self.reply[..length], d.source)?;
        if multicast {
            let length = {
                self.reply.clear();
                self.reply.extend_from_slice(request);
                Probe::answer(&mut self.reply, 1, 0).unwrap_or(self.reply.len())
            };
            let group = membership.endpoint();
            let socket = open(&mut self.multicast, group, membership, ifindex, 1)?;
            socket.send_to(&self.reply[..length], group)?;
        }
        Ok(())
    }
}

fn open<'a>(
    slot: &'a mut Option<SendSocket>,
    to: Endpoint,
    membership: &Membership,
    ifindex: u32,
    ttl: u8,
) -> Result<&'a mut SendSocket, crate::net::error::NetError> {
    match slot {
        Some(socket) => Ok(socket),
        None => {
            let options = SendOptions {
                to,
                ifindex,
                iface: membership.iface.clone(),
                ttl,
                dscp: 0,
                loopback: true,
                source_port: None,
                source_ip: None,
            };
            Ok(slot.insert(SendSocket::open(&options)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::time::Wall;

    fn probe(kind: Kind, flags: u16) -> Vec<u8> {
        let mut b = vec![0; probe::HEADER];
        let (sent_wall, sent_mono) = (Wall(0), Mono(0));
        Probe { kind, flags, run: 1, sequence: 0, sent_wall, sent_mono, ttl: 1, dscp: 0 }.write(&mut b);
        b
    }

    #[test]
    fn only_what_may_be_answered_is_answered() {
        let other = Endpoint::new("10.0.0.2".parse().unwrap(), 4000);
        let own: Vec<IpAddr> = vec!["10.0.0.1".parse().unwrap()];
        let yes = Verdict::Answer { multicast: false };
        let ping = probe(Kind::Ping, 0);
        assert_eq!(judge(Respond::Probes, &ping, other, &own), yes);
        assert_eq!(judge(Respond::Probes, &probe(Kind::Test, 0), other, &own), yes);
        assert_eq!(judge(Respond::Probes, b"hello", other, &own), Verdict::Ignore);
        assert_eq!(judge(Respond::Any, b"hello", other, &own), yes);
        assert_eq!(judge(Respond::Off, &ping, other, &own), Verdict::Ignore);
        assert_eq!(judge(Respond::Any, &probe(Kind::Reply, 0), other, &own), Verdict::Ignore);
        let wants = probe(Kind::Ping, probe::FLAG_MULTICAST_REPLY);
        assert_eq!(judge(Respond::Probes, &wants, other, &own), Verdict::Answer { multicast: true });
        let test_wants = probe(Kind::Test, probe::FLAG_MULTICAST_REPLY);
        assert_eq!(judge(Respond::Probes, &test_wants, other, &own), yes);
        for bad in ["10.0.0.1", "224.0.0.1", "255.255.255.255", "0.0.0.0", "ff02::1", "::"] {
            let from = Endpoint::new(bad.parse().unwrap(), 4000);
            assert_eq!(judge(Respond::Any, &ping, from, &own), Verdict::Ignore, "{bad}");
        }
    }

    #[test]
    fn the_limit_holds_and_fills_again() {
        let l = Limiter::default();
        let now = Mono(5 * SECOND_NS);
        assert_eq!((0..1000).filter(|_| l.allow(now)).count() as u64, REPLIES_PPS);
        assert_eq!((0..1000).filter(|_| l.allow(now.plus(SECOND_NS / 2))).count() as u64, REPLIES_PPS / 2);
    }
}
