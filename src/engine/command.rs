//! What a front end asks of the engine ([`Command`]) and what the engine tells it ([`Update`]).
//!
//! Datagrams do not come this way: they travel in batches on a channel of their own.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::base::group::{Endpoint, Membership, MembershipId, SourceFilter};
use crate::base::iface::Iface;
use crate::base::joined::HostJoins;
use crate::base::tap::Depth;
use crate::base::time::Mono;
use crate::doctor;
use crate::doctor::finding::Report;
use crate::model::event::EventKind;
use crate::model::group::Buffer;
use crate::model::seen::TapState;

pub use crate::engine::pinger::{PingId, PingJob, PingProgress};

/// The number of a send for as long as the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SendId(pub u32);

/// What a front end asks for. Nothing here blocks: the outcome comes as an [`Update`].
#[derive(Clone, Debug)]
pub enum Command {
    /// Join this; the number is the caller's and not used before.
    Join {
        /// The row's number.
        id: MembershipId,
        /// What to join.
        membership: Arc<Membership>,
    },
    /// Leave a row.
    Leave(MembershipId),
    /// Try a failed row again.
    Retry(MembershipId),
    /// Stop letting a source through on a row.
    Block(MembershipId, IpAddr),
    /// Let a blocked source through again.
    Unblock(MembershipId, IpAddr),
    /// Let just these senders of a row through.
    Filter(MembershipId, SourceFilter),
    /// Answer what arrives on a row.
    Respond(MembershipId, Respond),
    /// Answer ssmping, asmping and omping clients from now on, whatever rows there are.
    ServePings,
    /// Start to send.
    Send(SendId, Box<SendJob>),
    /// Stop a send.
    StopSend(SendId),
    /// Start to ping a group.
    Ping(PingId, Box<PingJob>),
    /// Stop a ping.
    StopPing(PingId),
    /// Look at the wire of each interface that joins take or that a row is on, so deep.
    Tap(Depth),
    /// Taps look at these interfaces too, whatever joins would take.
    TapOn(Vec<Arc<str>>),
    /// Taps look at these interfaces alone, and at those that a row stands on.
    TapOnly(Vec<Arc<str>>),
    /// A row stands with this membership (`Some`), or does not any more: a tap counts what it takes apart.
    /// The front end says it, which is the one that hears of it from the listeners.
    Stands(MembershipId, Option<Arc<Membership>>),
    /// Examine why a group does not arrive; one at a time, and one [`Update::Examined`] follows.
    Examine(Option<MembershipId>, Box<doctor::Request>),
    /// End the examination that runs; its report still comes, of what was measured till then.
    StopExamining,
    /// Look up the name of an address; at most one [`Update::Name`] follows.
    Resolve(IpAddr),
}

/// The examination that the dashboard shows: the last one of a row, or of the host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Examined {
    /// Of which row; `None`: of the host.
    pub of: Option<MembershipId>,
    /// What it found last, or why nothing; `None` before the first is through.
    pub outcome: Option<Result<Box<Report>, String>>,
    /// When it was through.
    pub at: Mono,
    /// Whether one runs now.
    pub running: bool,
}

/// What the responder answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Respond {
    /// Nothing.
    #[default]
    Off,
    /// Our own test and ping probes.
    Probes,
    /// Any datagram, by sending it back.
    Any,
}

/// What the engine tells.
#[derive(Clone, Debug)]
pub enum Update {
    /// A membership stands.
    Joined(MembershipId, Buffer),
    /// The receive buffer of a membership is another one now.
    Buffer(MembershipId, Buffer),
    /// A membership was renewed; the phrase says why.
    Rejoined(MembershipId, String),
    /// A join failed or a membership was lost.
    Failed {
        /// The row.
        id: MembershipId,
        /// One line.
        error: String,
        /// What to do about it.
        remedy: Option<String>,
    },
    /// A row is given up: no batch of it comes after this.
    Left(MembershipId),
    /// A row's filter is now this membership's; the text says what happened.
    Filter(MembershipId, Arc<Membership>, String),
    /// The responder of a row is in this mode now.
    Responding(MembershipId, Respond),
    /// Answers sent on a row since it was joined.
    Answered(MembershipId, u64),
    /// The interfaces, whenever something about them changed.
    Ifaces(Vec<Iface>),
    /// An interface lost its carrier, whether or not it has it back.
    CarrierLost(Arc<str>),
    /// Cumulative receive drops of interfaces, once a second.
    NicDrops(Vec<(Arc<str>, u64)>),
    /// Cumulative drops of an interface's packet ring, over all rings it had.
    RingDrops(Arc<str>, u64),
    /// What this host has joined, every two seconds where its kernel tells it.
    HostJoins(HostJoins),
    /// What the tap of an interface is doing.
    Tap(Arc<str>, TapState),
    /// A socket of ours sends from here.
    Own(Endpoint),
    /// How a send is getting on: several times a second, and once when it ends.
    Sending(SendId, SendProgress),
    /// How a ping is getting on: several times a second, and once when it ends.
    Pinging(PingId, Box<PingProgress>),
    /// What an examination found, of a row or of the host; or why it found nothing.
    Examined(Option<MembershipId>, Result<Box<Report>, String>),
    /// The name of an address, or that it has none.
    Name(IpAddr, Option<Arc<str>>),
    /// Something for the event log.
    Note(EventKind, Option<MembershipId>, String),
}

/// What to send.
#[derive(Clone, Debug, PartialEq)]
pub struct SendJob {
    /// Group and port, or any endpoint.
    pub to: Endpoint,
    /// The interface it leaves by.
    pub iface: Arc<str>,
    /// What is in it.
    pub payload: Payload,
    /// Payload size in bytes; `None` leaves it as the payload has it. Probes and texts are padded,
    /// what is longer is cut.
    pub size: Option<Size>,
    /// How fast and how many.
    pub plan: Plan,
    /// TTL or hop limit.
    pub ttl: u8,
    /// DSCP, 0 to 63.
    pub dscp: u8,
    /// The port to send from; any if `None`.
    pub source_port: Option<u16>,
    /// The address to send from; the interface's if `None`.
    pub source_ip: Option<IpAddr>,
    /// Whether receivers on this host get it too.
    pub loopback: bool,
    /// Numbers left out, doubled and swapped on purpose.
    pub impair: Impair,
    /// The rate guard: no faster than this, in datagrams a second.
    pub limit_pps: u32,
    /// Wait this long for answers after the last datagram; `None` does not listen.
    pub await_reply: Option<Duration>,
}

/// The guard that a send starts with, in datagrams a second.
pub const DEFAULT_LIMIT_PPS: u32 = 1000;

/// What a datagram carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// The probe message, numbered and stamped; `ping` asks for an answer. The text, if any, follows
    /// the header.
    Probe {
        /// Whether it is a ping rather than a test.
        ping: bool,
        /// Text behind the header.
        text: Option<String>,
    },
    /// These bytes, as they are.
    Bytes(Arc<[u8]>),
}

/// How long the payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Always this many bytes.
    Fixed(u32),
    /// Between these, both included, anew for each datagram.
    Random(u32, u32),
}

/// How fast and how many.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Plan {
    /// One steady rate.
    Steady {
        /// Datagrams a second on average; `f64::INFINITY` is as fast as the guard allows.
        rate_pps: f64,
        /// Datagrams sent back to back at a time, at least 1.
        burst: u32,
        /// Stop after so many numbers.
        count: Option<u64>,
        /// Stop after this time.
        duration: Option<Duration>,
    },
    /// Rates of 1, 10, 100 … up to the guard, each for `step`, then bursts of 2, 4, 8 … 64.
    Ladder {
        /// How long each rung lasts.
        step: Duration,
    },
    /// One datagram a second for longer than several query intervals (RFC 9776 section 8: 125 s),
    /// so that a membership that is not refreshed shows.
    Soak {
        /// How long.
        duration: Duration,
    },
}

/// Exact impairment: every so many numbers; 0 never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Impair {
    /// Leave out each Nth number.
    pub drop_every: u64,
    /// Send each Nth number twice.
    pub dup_every: u64,
    /// Send each Nth number after its successor.
    pub swap_every: u64,
}

/// How far a send has come.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SendProgress {
    /// Where it sends to.
    pub to: Option<Endpoint>,
    /// The endpoint it sends from, once the socket stands.
    pub from: Option<Endpoint>,
    /// Running, or how it ended.
    pub state: SendState,
    /// Datagrams that the kernel took.
    pub sent: u64,
    /// Their payload in bytes.
    pub sent_bytes: u64,
    /// Numbers left out on purpose.
    pub dropped_on_purpose: u64,
    /// Numbers sent twice on purpose.
    pub doubled_on_purpose: u64,
    /// Numbers swapped on purpose.
    pub swapped_on_purpose: u64,
    /// Numbers in all, where that is known.
    pub total: Option<u64>,
    /// Time since the first datagram.
    pub elapsed: Duration,
    /// Time in all, where that is known.
    pub duration: Option<Duration>,
    /// What went wrong, by kind.
    pub errors: Vec<SendFault>,
    /// Answers, in the order of their arrival; at most [`REPLIES_MAX`].
    pub replies: Vec<Reply>,
    /// Answers in all.
    pub reply_count: u64,
}

/// Answers that are kept one by one.
pub const REPLIES_MAX: usize = 1000;

/// Whether a send runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SendState {
    /// It sends, or waits for answers.
    #[default]
    Running,
    /// All is sent.
    Done,
    /// It was stopped.
    Stopped,
    /// It could not begin.
    Failed(String),
}

/// A kind of send error with its count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendFault {
    /// What it is, as in "network is unreachable".
    pub kind: String,
    /// What to do about it.
    pub remedy: Option<String>,
    /// How often.
    pub count: u64,
}

/// One answer to a probe or datagram of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Who answered.
    pub from: Endpoint,
    /// The number of the probe it answers, if it says so.
    pub sequence: Option<u64>,
    /// Time from sending to the kernel's receipt of the answer.
    pub round_trip: Duration,
    /// TTL or hop limit on arrival.
    pub ttl: Option<u8>,
    /// Routers passed on the way back: the TTL that the answer says it was sent with, less the TTL
    /// on arrival.
    pub hops: Option<u8>,
    /// Payload in bytes.
    pub size_bytes: usize,
}
