//! The responder: answers what arrives on a group with a unicast reply to its sender.
//!
//! Bounded as the specification says: a reply is never longer than its request, a reply to the sender
//! never goes to a multicast, broadcast or own address, and all replies of this program, those to the
//! group included, count against one limit.
//!
//! Pings are answered with a report of what was heard of their run, so that the asker can tell loss on
//! the way there from loss on the way back.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Mutex;

use crate::base::batch::{Batch, Datagram};
use crate::base::group::{Endpoint, Membership, MembershipId};
use crate::base::time::{Mono, SECOND_NS};
use crate::engine::command::Respond;
use crate::engine::sender::run_id;
use crate::model::numbers::Numbers;
use crate::net::clock;
use crate::net::error::NetError;
use crate::net::send::{SendOptions, SendSocket};
use crate::wire::probe::{self, Kind, Probe, Report};

/// Runs of askers that are followed at a time on one group; the longest quiet one makes room.
const RUNS_MAX: usize = 256;
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
    /// Answer by unicast.
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

/// What was heard of one asker's run.
#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    numbers: Numbers<4>,
    withheld: u32,
    withheld_multicast: u32,
    at: Mono,
}

/// The responder of one listener.
pub struct Responder {
    mode: Respond,
    own: Arc<[IpAddr]>,
    limiter: Arc<Limiter>,
    unicast: Option<SendSocket>,
    /// The socket for answers to the group, and the TTL that it sends with.
    multicast: Option<(u8, SendSocket)>,
    reply: Vec<u8>,
    /// Tells this responder from others on the same host.
    id: u64,
    runs: BTreeMap<(Endpoint, u64), Heard>,
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
            id: run_id(0),
            runs: BTreeMap::new(),
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
            self.runs.clear();
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
        let offset = batch.received.offset_ns();
        for d in batch.datagrams().iter().filter(|d| d.membership == id) {
            let request = batch.payload(d);
            let verdict = judge(self.mode, request, d.source, &self.own);
            let Verdict::Answer { multicast } = verdict else { continue };
            let arrived = d.time.to_mono(offset);
            let run = self.hear(request, d.source, arrived);
            if !self.limiter.allow(batch.received.mono) {
                trouble = Some(format!("more than {REPLIES_PPS} answers a second were asked for"));
                self.refused += 1;
                if let Some(heard) = run.and_then(|r| self.runs.get_mut(&r)) {
                    heard.withheld = heard.withheld.saturating_add(1);
                    heard.withheld_multicast = heard.withheld_multicast.saturating_add(u32::from(multicast));
                }
                continue;
            }
            let to_group = multicast && self.limiter.allow(batch.received.mono);
            if let Some(heard) = run.and_then(|r| self.runs.get_mut(&r)) {
                heard.withheld_multicast += u32::from(multicast && !to_group);
            }
            let request = Request { bytes: request, d, arrived, run };
            match self.send(&request, membership, ifindex, to_group) {
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

    /// Notes the number of a ping; its run.
    fn hear(&mut self, request: &[u8], from: Endpoint, at: Mono) -> Option<(Endpoint, u64)> {
        let probe = Probe::parse(request).filter(|p| p.kind == Kind::Ping)?;
        let key = (from, probe.run);
        if !self.runs.contains_key(&key) && self.runs.len() >= RUNS_MAX {
            let quietest = self.runs.iter().min_by_key(|(_, h)| h.at).map(|(k, _)| *k);
            quietest.and_then(|k| self.runs.remove(&k));
        }
        let heard = self.runs.entry(key).or_default();
        heard.numbers.take(probe.sequence);
        heard.at = at;
        Some(key)
    }

    /// Writes the answer to a request; its length in bytes.
    fn write(&mut self, request: &Request<'_>, ttl: u8, multicast: bool) -> usize {
        self.reply.clear();
        self.reply.extend_from_slice(request.bytes);
        let length = match request.run.and_then(|r| self.runs.get(&r)) {
            None => Probe::answer(&mut self.reply, ttl, 0),
            Some(heard) => {
                let report = Report {
                    responder: self.id,
                    first: heard.numbers.first().unwrap_or(0),
                    heard: heard.numbers.distinct(),
                    stay_ns: clock::now().mono.since(request.arrived),
                    withheld: if multicast { heard.withheld_multicast } else { heard.withheld },
                    ttl: request.d.ttl,
                    dscp: request.d.tos.map(|t| t >> 2),
                };
                report.answer(&mut self.reply, ttl, 0)
            }
        };
        length.unwrap_or(self.reply.len())
    }

    fn send(
        &mut self,
        request: &Request<'_>,
        membership: &Membership,
        ifindex: u32,
        multicast: bool,
    ) -> Result<(), NetError> {
        let length = self.write(request, REPLY_TTL, false);
        let to = request.d.source;
        if self.unicast.is_none() {
            self.unicast = Some(open(to, membership, ifindex, REPLY_TTL)?);
        }
        if let Some(socket) = &self.unicast {
            socket.send_to(&self.reply[..length], to)?;
        }
        if multicast {
            // As far as the ping was meant to go, and no further.
            let ttl = Probe::parse(request.bytes).map_or(1, |p| p.ttl.clamp(1, REPLY_TTL));
            let length = self.write(request, ttl, true);
            let group = membership.endpoint();
            if self.multicast.as_ref().is_none_or(|(t, _)| *t != ttl) {
                self.multicast = Some((ttl, open(group, membership, ifindex, ttl)?));
            }
            if let Some((_, socket)) = &self.multicast {
                socket.send_to(&self.reply[..length], group)?;
            }
        }
        Ok(())
    }
}

/// A datagram that is to be answered.
struct Request<'a> {
    bytes: &'a [u8],
    d: &'a Datagram,
    arrived: Mono,
    /// Where its run is kept, of a ping.
    run: Option<(Endpoint, u64)>,
}

fn open(to: Endpoint, membership: &Membership, ifindex: u32, ttl: u8) -> Result<SendSocket, NetError> {
    let iface = membership.iface.clone();
    SendSocket::open(&SendOptions { ttl, iface, ..SendOptions::new(to, ifindex, "") })
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
