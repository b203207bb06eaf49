//! What the answers to a ping of a group tell: who answers, after how long, from how far, and where
//! pings and answers are lost.
//!
//! A ping goes to the group; each responder answers by unicast and, where the ping asks for it, to the
//! group as well. The two ways back have their own figures. An answer that carries a
//! [`Report`] says how many pings its responder has heard, so that loss is put down to the way there or
//! the way back; without one it is told as a whole.
//!
//! Numbers before the first answer are kept apart as the set-up: a multicast tree, a snooping switch or
//! a program that starts late takes the first ones, and that says nothing about the steady state.

use crate::base::group::Endpoint;
use crate::model::numbers::{Numbers, Taken};
use crate::wire::probe::Report;

/// Responders with figures of their own; answers of further ones are only counted.
pub const PEERS_MAX: usize = 256;

/// How an answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// To the asker's own port.
    Unicast,
    /// To the group.
    Multicast,
}

impl By {
    /// The word in text and JSON.
    pub fn word(self) -> &'static str {
        match self {
            By::Unicast => "unicast",
            By::Multicast => "multicast",
        }
    }
}

/// One answer to a ping of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Who answered.
    pub from: Endpoint,
    /// How.
    pub by: By,
    /// The number of the ping.
    pub sequence: u64,
    /// From the sending of the ping to the kernel's receipt of the answer, in nanoseconds.
    pub round_trip_ns: u64,
    /// TTL or hop limit on arrival.
    pub ttl: Option<u8>,
    /// TTL or hop limit that it says it was sent with.
    pub sent_ttl: u8,
    /// Payload in bytes.
    pub size_bytes: usize,
    /// What the responder says of the run.
    pub report: Option<Report>,
}

impl Answer {
    /// The time on the network: the round trip less what the responder says it took to answer.
    pub fn network_ns(&self) -> u64 {
        self.round_trip_ns.saturating_sub(self.report.map_or(0, |r| r.stay_ns))
    }

    /// Routers on the way back.
    pub fn hops_back(&self) -> Option<u8> {
        self.ttl.map(|t| self.sent_ttl.saturating_sub(t))
    }

    /// Routers on the way there, of a ping sent with this TTL.
    pub fn hops_there(&self, ping_ttl: u8) -> Option<u8> {
        self.report?.ttl.map(|t| ping_ttl.saturating_sub(t))
    }
}

/// Least, mean, greatest and standard deviation of times, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    count: u64,
    min: u64,
    max: u64,
    mean: f64,
    /// Sum of squared distances from the mean (Welford's method).
    squares: f64,
}

impl Spread {
    /// Takes one.
    pub fn add(&mut self, ns: u64) {
        self.min = if self.count == 0 { ns } else { self.min.min(ns) };
        self.max = self.max.max(ns);
        self.count += 1;
        let off = ns as f64 - self.mean;
        self.mean += off / self.count as f64;
        self.squares += off * (ns as f64 - self.mean);
    }

    fn some<T>(&self, value: T) -> Option<T> {
        (self.count > 0).then_some(value)
    }

    /// The least.
    pub fn min_ns(&self) -> Option<u64> {
        self.some(self.min)
    }

    /// The mean.
    pub fn avg_ns(&self) -> Option<u64> {
        self.some(self.mean.round() as u64)
    }

    /// The greatest.
    pub fn max_ns(&self) -> Option<u64> {
        self.some(self.max)
    }

    /// The standard deviation of what was seen (divided by the count, as `ping` does).
    pub fn deviation_ns(&self) -> Option<u64> {
        self.some((self.squares / self.count as f64).sqrt().round() as u64)
    }
}

/// Where pings and their answers stayed, of one responder and one way back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    /// Numbers before the first answered one.
    pub setup: u64,
    /// Those of them that came before the first one that the responder heard; `None` if it does not say.
    pub setup_there: Option<u64>,
    /// Numbers from the first answered one on without an answer in time.
    pub lost: u64,
    /// Those of them that the responder did not hear; `None` if it does not say.
    pub there: Option<u64>,
    /// Those of them that it answered, but whose answer did not come.
    pub back: Option<u64>,
    /// Those of them that it heard and did not answer because of its rate limit.
    pub withheld: Option<u64>,
    /// Those of them of which nothing is known: sent after the last answer.
    pub unclear: u64,
}

/// The figures of one way back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Way {
    numbers: Numbers<64>,
    /// Times on the network of answers that came first.
    pub time: Spread,
    /// The newest of these, in nanoseconds.
    pub last_ns: Option<u64>,
    /// Routers on the way back, by the newest answer.
    pub hops: Option<u8>,
    /// Reports of the first answer and of that to the highest number.
    reports: Option<[(u64, Report); 2]>,
    /// What earlier reports said was lost on the way there, before the responder forgot the run.
    there_before: u64,
}

impl Way {
    fn take(&mut self, a: &Answer) -> bool {
        if self.numbers.take(a.sequence) != Taken::New {
            return false;
        }
        self.time.add(a.network_ns());
        self.last_ns = Some(a.network_ns());
        self.hops = a.hops_back().or(self.hops);
        let Some(report) = a.report else { return true };
        let here = (a.sequence, report);
        match &mut self.reports {
            None => self.reports = Some([here; 2]),
            Some([_, last]) if last.0 > a.sequence => {}
            Some(both) if report.heard < both[1].1.heard => {
                // It counts from anew: the run was quiet for so long that others took its place.
                self.there_before += missing(both);
                *both = [here; 2];
            }
            Some([_, last]) => *last = here,
        }
        true
    }

    /// Numbers answered.
    pub fn answered(&self) -> u64 {
        self.numbers.distinct()
    }

    /// Answers that came more than once.
    pub fn duplicates(&self) -> u64 {
        self.numbers.duplicates()
    }

    /// Answers so late that they cannot be told from repeats.
    pub fn too_late(&self) -> u64 {
        self.numbers.too_late()
    }

    /// What was lost of the first `due` numbers; `None` while there is no answer.
    pub fn losses(&self, due: u64) -> Option<Losses> {
        let (first, highest) = (self.numbers.first()?, self.numbers.highest()?);
        let due = due.max(highest + 1);
        let lost = (due - first).saturating_sub(self.answered());
        let mut out = Losses { setup: first, lost, unclear: lost, ..Losses::default() };
        if let Some(both) = &self.reports {
            let [(_, base), (at, last)] = both;
            out.setup_there = Some(base.first.min(first));
            out.unclear = (due - at - 1).min(lost);
            let told = lost - out.unclear;
            let there = (missing(both) + self.there_before).min(told);
            let withheld = u64::from(last.withheld.saturating_sub(base.withheld)).min(told - there);
            out.there = Some(there);
            out.withheld = Some(withheld);
            out.back = Some(told - there - withheld);
        }
        Some(out)
    }
}

/// Numbers between two reports that the responder did not hear.
fn missing([(from, base), (to, last)]: &[(u64, Report); 2]) -> u64 {
    (to - from).saturating_sub(last.heard.saturating_sub(base.heard))
}

/// One responder.
#[derive(Clone, Debug, PartialEq)]
pub struct Peer {
    /// The endpoint of its first unicast answer, or else of its first one.
    pub from: Endpoint,
    /// Its id, where it reports one.
    pub responder: Option<u64>,
    /// Routers on the way there, by its newest report.
    pub hops_there: Option<u8>,
    /// DSCP that pings arrive with, by its newest report.
    pub dscp_there: Option<u8>,
    /// Answers to us.
    pub unicast: Way,
    /// Answers to the group.
    pub multicast: Way,
}

impl Peer {
    /// The way back that has the most to say: unicast if anything came by it.
    pub fn main(&self) -> (By, &Way) {
        if self.unicast.answered() > 0 {
            (By::Unicast, &self.unicast)
        } else {
            (By::Multicast, &self.multicast)
        }
    }

    fn verdict(&self) -> Option<String> {
        let ip = self.from.ip;
        match (self.unicast.answered(), self.multicast.answered()) {
            // One answer may have been overtaken.
            (0..2, 0) | (0, 0..2) => None,
            (_, 0) => Some(format!(
                "unicast works, multicast does not: the group's pings reach {ip} and its answers to us \
                 arrive, its answers to the group do not"
            )),
            (0, _) => Some(format!(
                "multicast works, unicast does not: {ip} answers to the group, its answers to us do not arrive"
            )),
            _ => None,
        }
    }

    fn is(&self, a: &Answer) -> bool {
        match (self.responder, a.report) {
            (Some(id), Some(r)) => id == r.responder && self.from.ip == a.from.ip,
            (None, None) => self.from == a.from,
            _ => false,
        }
    }
}

/// A ping of a group and all that answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pings {
    /// TTL or hop limit of the pings.
    pub ttl: u8,
    /// Whether answers to the group were asked for and are listened for.
    pub multicast: bool,
    sent: u64,
    due: u64,
    peers: Vec<Peer>,
    more: u64,
}

impl Pings {
    /// None sent so far.
    pub fn new(ttl: u8, multicast: bool) -> Pings {
        Pings { ttl, multicast, ..Pings::default() }
    }

    /// So many were sent, and `due` of them so long ago that an answer that is still to come is late.
    pub fn sent(&mut self, sent: u64, due: u64) {
        (self.sent, self.due) = (sent, due.min(sent));
    }

    /// Takes an answer; false if it is none of ours: to a number that was not sent.
    pub fn take(&mut self, a: &Answer) -> bool {
        if a.sequence >= self.sent {
            return false;
        }
        let at = match self.peers.iter().position(|p| p.is(a)) {
            Some(at) => at,
            None if self.peers.len() == PEERS_MAX => {
                self.more += 1;
                return true;
            }
            None => {
                let way = Way::default();
                self.peers.push(Peer {
                    from: a.from,
                    responder: a.report.map(|r| r.responder),
                    hops_there: None,
                    dscp_there: None,
                    unicast: way.clone(),
                    multicast: way,
                });
                self.peers.len() - 1
            }
        };
        let peer = &mut self.peers[at];
        peer.hops_there = a.hops_there(self.ttl).or(peer.hops_there);
        peer.dscp_there = a.report.and_then(|r| r.dscp).or(peer.dscp_there);
        match a.by {
            By::Unicast => {
                if peer.unicast.answered() == 0 {
                    peer.from = a.from;
                }
                peer.unicast.take(a);
            }
            By::Multicast => {
                peer.multicast.take(a);
            }
        }
        true
    }

    /// Pings sent.
    pub fn count(&self) -> u64 {
        self.sent
    }

    /// Pings sent so long ago that what has not come is lost.
    pub fn due(&self) -> u64 {
        self.due
    }

    /// Who answered, in the order of their first answers.
    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// Answers of responders beyond [`PEERS_MAX`].
    pub fn more(&self) -> u64 {
        self.more
    }

    /// What the two ways back together mean, in words; `None` while nothing is wrong, too little is known,
    /// or no answers to the group were asked for.
    pub fn verdict(&self, peer: &Peer) -> Option<String> {
        if self.multicast { peer.verdict() } else { None }
    }

    /// Whether anybody answered.
    pub fn answered(&self) -> bool {
        !self.peers.is_empty()
    }
}

#[cfg(test)]
#[path = "ping_tests.rs"]
mod tests;
