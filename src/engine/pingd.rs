//! A server for ssmping, asmping and omping clients: answers by unicast and to the group that they listen on.
//!
//! One thread and one socket for each address of this host, so that an answer comes from the address that was
//! asked: a client that joined a source-specific group hears no other. Bounded as the responder is: no answer
//! to a multicast, broadcast or own address, one limit for all answers of this program; none to a group but
//! those of the protocol and those that the user named; none to a group for an omping client without a session,
//! which only who receives at his address can have. An answer is never longer than its question, but for the
//! response that brings the session, which is 19 bytes longer.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::Sender;

use crate::base::group::{Endpoint, Membership};
use crate::base::iface::{Iface, IfaceKind};
use crate::engine::command::{Respond, Update};
use crate::engine::responder::{Limiter, Verdict, judge};
use crate::engine::task::Task;
use crate::model::event::EventKind;
use crate::net::NetError;
use crate::net::clock;
use crate::net::send::{SendOptions, SendSocket};
use crate::net::wake::Waker;
use crate::wire::omping::{self, Kind};
use crate::wire::ssmping::{self, PORT, TTL};

/// Addresses served: one thread each.
const ADDRESSES_MAX: usize = 64;
/// Clients told of by name; later ones are answered without a word.
const NAMED_MAX: usize = 256;
/// What an omping client is told this is.
const NAME: &str = concat!("mcscope ", env!("CARGO_PKG_VERSION"));

/// Whether a responder on this row is one for these clients as well: theirs is the port that it is on.
pub fn is_theirs(m: &Membership) -> bool {
    m.port == PORT
}

/// The running servers.
#[derive(Default)]
pub(super) struct Servers {
    tasks: Vec<Task>,
    /// Groups that are answered on beside the protocol's own; `None` while nothing is served.
    groups: Option<BTreeSet<IpAddr>>,
}

/// What a server begins with.
struct Start {
    at: Endpoint,
    iface: Arc<str>,
    ifindex: u32,
    groups: BTreeSet<IpAddr>,
    own: Arc<[IpAddr]>,
    limiter: Arc<Limiter>,
    updates: Sender<Update>,
}

impl Servers {
    /// Serves on these groups beside the protocol's own, or ends.
    pub fn set(
        &mut self,
        groups: Option<BTreeSet<IpAddr>>,
        (ifaces, own): (&[Iface], &Arc<[IpAddr]>),
        (limiter, updates): (&Arc<Limiter>, &Sender<Update>),
    ) {
        if groups != self.groups {
            self.groups = groups;
            self.restart((ifaces, own), (limiter, updates));
        }
    }

    /// The addresses of this host are others.
    pub fn restart(
        &mut self,
        (ifaces, own): (&[Iface], &Arc<[IpAddr]>),
        (limiter, updates): (&Arc<Limiter>, &Sender<Update>),
    ) {
        self.end();
        let Some(groups) = &self.groups else { return };
        let served = ifaces.iter().filter(|i| i.up && i.kind != IfaceKind::Loopback);
        let addresses: Vec<(&Iface, IpAddr)> =
            served.flat_map(|i| i.addrs.iter().map(move |a| (i, a.ip))).collect();
        let note = |text| drop(updates.send(Update::Note(EventKind::Send, None, text)));
        if addresses.is_empty() {
            note("no ssmping or omping client is answered: this host has no address but loopback".to_owned());
        }
        if addresses.len() > ADDRESSES_MAX {
            note(format!(
                "ssmping and omping clients are answered at the first {ADDRESSES_MAX} of {} addresses",
                addresses.len()
            ));
        }
        for (iface, ip) in addresses.into_iter().take(ADDRESSES_MAX) {
            let start = Start {
                at: Endpoint::new(ip, PORT),
                iface: iface.name.clone(),
                ifindex: iface.index,
                groups: groups.clone(),
                own: own.clone(),
                limiter: limiter.clone(),
                updates: updates.clone(),
            };
            match Task::spawn("pingd".to_owned(), move |waker, stop| start.serve(waker, stop)) {
                Ok(task) => self.tasks.push(task),
                Err(e) => note(format!("cannot start a thread that answers at {ip}: {e}")),
            }
        }
    }

    /// Ends them all, and waits for that.
    pub fn end(&mut self) {
        self.tasks.iter().for_each(Task::stop);
        self.tasks.drain(..).for_each(Task::join);
    }
}

/// What goes out for a question.
#[derive(Debug, PartialEq, Eq)]
enum Reply {
    /// Nothing.
    None,
    /// To the client.
    Client,
    /// To the client, and to this group at the client's port.
    Both(IpAddr),
}

impl Start {
    fn note(&self, text: String) {
        let _ = self.updates.send(Update::Note(EventKind::Send, None, text));
    }

    fn serve(self, waker: &Waker, stop: &AtomicBool) {
        let at = self.at;
        if let Err(e) = self.run(waker, stop) {
            let help = e.remedy().map_or_else(String::new, |r| format!("; {r}"));
            self.note(format!("ssmping and omping clients are not answered at {at}: {e}{help}"));
        }
    }

    fn run(&self, waker: &Waker, stop: &AtomicBool) -> Result<(), NetError> {
        let group: IpAddr =
            if self.at.ip.is_ipv4() { ssmping::SSM_V4.into() } else { ssmping::SSM_V6.into() };
        let options = SendOptions {
            ttl: TTL,
            source_ip: Some(self.at.ip),
            source_port: Some(PORT),
            // A client on this host is not answered.
            loopback: false,
            ..SendOptions::new(Endpoint::new(group, PORT), self.ifindex, &self.iface)
        };
        let mut socket = SendSocket::open(&options)?;
        self.note(format!("answers ssmping and omping clients at {}", self.at));
        // Nobody else can make a session that holds here.
        let secret = RandomState::new();
        let (mut asked, mut answered) = (0u64, 0u64);
        let mut clients = BTreeSet::new();
        let (mut heard, mut reply) = (vec![0; 65_536], Vec::new());
        while !stop.load(Ordering::Acquire) {
            let Some(d) = socket.receive_reply(&mut heard, waker, None)? else { continue };
            let question = &heard[..d.len.min(heard.len())];
            if judge(Respond::Any, question, d.from, &self.own) == Verdict::Ignore {
                continue;
            }
            reply.clear();
            let to = answer(&mut reply, question, d.from, &self.groups, &secret);
            if to == Reply::None {
                continue;
            }
            asked += 1;
            if clients.len() < NAMED_MAX && clients.insert(d.from.ip) {
                self.note(format!("{} asks by {}", d.from, program(question)));
            }
            if !self.limiter.allow(clock::now().mono) {
                continue;
            }
            // Who is gone or cannot be reached has no answer; that ends nothing for others.
            let mut sent = socket.send_to(&reply, d.from).is_ok();
            if let Reply::Both(group) = to
                && self.limiter.allow(clock::now().mono)
            {
                sent &= socket.send_to(&reply, Endpoint::new(group, d.from.port)).is_ok();
            }
            answered += u64::from(sent);
        }
        self.note(format!("{}: {asked} questions of ssmping and omping, {answered} answered", self.at));
        Ok(())
    }
}

/// Who asks so.
fn program(question: &[u8]) -> &'static str {
    if ssmping::asked_on(question).is_some() { "ssmping" } else { "omping" }
}

/// Writes what is to be said to a question.
fn answer(
    out: &mut Vec<u8>,
    question: &[u8],
    from: Endpoint,
    groups: &BTreeSet<IpAddr>,
    secret: &RandomState,
) -> Reply {
    let takes = |group: &IpAddr| {
        group.is_ipv4() == from.ip.is_ipv4() && (ssmping::answers_on(*group) || groups.contains(group))
    };
    if let Some(group) = ssmping::asked_on(question) {
        if !takes(&group) {
            return Reply::None;
        }
        out.extend_from_slice(question);
        ssmping::turn(out);
        return Reply::Both(group);
    }
    let Some(m) = omping::Message::parse(question) else { return Reply::None };
    // A client asks again and again with the same words: its session must be another for each time that it
    // introduces itself, and is so by the name that it makes up for that.
    let session = || session(secret, from, m.client.unwrap_or_default());
    match m.kind {
        Kind::Init => {
            let ours: IpAddr =
                if from.ip.is_ipv4() { ssmping::SSM_V4.into() } else { ssmping::SSM_V6.into() };
            match m.prefixes.iter().copied().find(takes) {
                Some(group) => m.respond(out, Ok((group, &session())), NAME),
                None => m.respond(out, Err(ours), NAME),
            }
            Reply::Client
        }
        Kind::Query => match m.group.filter(takes) {
            Some(group) if m.number.is_some() && m.session == Some(&session()[..]) => {
                let now = clock::now().wall.0;
                let time = m
                    .wants_time
                    .then_some(((now / 1_000_000_000) as u32, (now % 1_000_000_000 / 1_000) as u32));
                omping::answer(out, question, TTL, time);
                Reply::Both(group)
            }
            _ => {
                m.stop(out);
                Reply::Client
            }
        },
        // No client asks here: nobody was asked.
        Kind::Response | Kind::Answer => Reply::None,
    }
}

/// The session of a client: what it has to say with each query, and cannot know without having been told at
/// its address. Nothing is kept of it.
fn session(secret: &RandomState, from: Endpoint, client: &[u8]) -> [u8; omping::SESSION] {
    let mut out = [0; omping::SESSION];
    for (n, half) in out.chunks_exact_mut(8).enumerate() {
        half.copy_from_slice(&secret.hash_one((n, from, client)).to_be_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: IpAddr = IpAddr::V4(ssmping::SSM_V4);

    fn asks(question: &[u8], from: Endpoint, secret: &RandomState) -> (Reply, Vec<u8>) {
        let mut out = Vec::new();
        let named = BTreeSet::from(["239.7.7.7".parse().unwrap()]);
        (answer(&mut out, question, from, &named, secret), out)
    }

    #[test]
    fn ssmping_is_answered_on_its_own_groups_and_on_those_named() {
        let (from, secret) = (Endpoint::new("10.0.0.9".parse().unwrap(), 4000), RandomState::new());
        for (group, answered) in [
            ("232.43.211.234", true),
            ("239.7.7.7", true),
            ("239.7.7.8", false),
            ("224.0.0.1", false),
            ("10.0.0.234", false),
            ("ff3e::4321:1234", false),
        ] {
            let group: IpAddr = group.parse().unwrap();
            let mut question = Vec::new();
            ssmping::Message { client: 7, number: 1, stamp: 3, group }.query(&mut question);
            let (reply, said) = asks(&question, from, &secret);
            assert_eq!(reply, if answered { Reply::Both(group) } else { Reply::None }, "{group}");
            assert_eq!(said.len(), if answered { question.len() } else { 0 }, "{group}");
        }
        assert_eq!(asks(b"hello", from, &secret).0, Reply::None);
    }

    #[test]
    fn omping_gets_an_answer_to_the_group_only_with_the_session_that_it_was_given() {
        let (from, secret) = (Endpoint::new("10.0.0.9".parse().unwrap(), 4321), RandomState::new());
        let mut question = Vec::new();
        omping::init(&mut question, b"client", GROUP);
        let (reply, said) = asks(&question, from, &secret);
        let given = omping::Message::parse(&said).unwrap();
        assert_eq!((reply, given.kind, given.group), (Reply::Client, Kind::Response, Some(GROUP)));
        let query = |client: &[u8], group, session: &[u8]| {
            let mut out = Vec::new();
            omping::query(&mut out, client, 1, 5, group, session);
            out
        };
        let session = given.session.unwrap();
        let (reply, said) = asks(&query(b"client", GROUP, session), from, &secret);
        assert_eq!(reply, Reply::Both(GROUP));
        assert_eq!(omping::Message::parse(&said).map(|m| (m.kind, m.ttl)), Some((Kind::Answer, Some(TTL))));
        let elsewhere = Endpoint::new("10.0.0.8".parse().unwrap(), 4321);
        for (question, from) in [
            (query(b"client", GROUP, &[0; 16]), from),
            (query(b"another", GROUP, session), from),
            (query(b"client", "239.1.1.1".parse().unwrap(), session), from),
            (query(b"client", GROUP, session), elsewhere),
        ] {
            let (reply, said) = asks(&question, from, &secret);
            let told = omping::Message::parse(&said).unwrap();
            assert_eq!((reply, told.kind, told.session), (Reply::Client, Kind::Response, None));
            assert!(said.len() < question.len());
        }
        // Another group than any that is answered on: the one that would be is named.
        question.clear();
        omping::init(&mut question, b"client", "239.1.1.1".parse().unwrap());
        let (reply, said) = asks(&question, from, &secret);
        let told = omping::Message::parse(&said).unwrap();
        assert_eq!((reply, told.session, &told.prefixes[..]), (Reply::Client, None, &[GROUP][..]));
    }
}
