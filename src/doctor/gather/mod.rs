//! Reading the host and measuring: the only part of the doctor that does I/O.
//!
//! A gathering takes the measurement's time and little more: files under /proc, three dumps by rtnetlink,
//! one program (`nft`, for at most 3 s). It changes nothing but that the groups asked for are joined
//! meanwhile; it sends nothing, unless a self-probe is asked for.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::counters::Counters;
use super::facts::{
    CarrierLosses, Cut, CutWhy, Facts, Host, IfaceFacts, Member, QueryHeard, Refusal, SOURCES_MAX, Settings,
    Softnet, Source, Target, UdpSocket, Unseen,
};
use crate::base::batch::Batch;
use crate::base::group::{Endpoint, Membership, MembershipId};
use crate::base::iface::{Iface, IfaceKind, candidates};
use crate::base::time::Wall;
use crate::model::memberships::forecast::exempt;
use crate::model::memberships::timers::Timers;
use crate::net::iface::Details;
use crate::net::packet::{self, Look};
use crate::net::socket::{GroupSocket, SocketOptions};
use crate::net::wake::Waker;
use crate::net::{Kind, NetError, clock, iface, route};

#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod imp;
#[cfg(not(target_os = "linux"))]
#[path = "portable.rs"]
mod imp;
#[cfg(any(target_os = "linux", test))]
mod nft;
mod probe;
#[cfg(target_os = "linux")]
mod rules;
mod wire;

use wire::Observer;

/// Between two looks at the sockets: short, so that their buffers do not fill.
const TURN: Duration = Duration::from_millis(2);
/// Datagrams and frames taken in a turn of one socket, so that a fast one does not hold up the rest.
const TAKEN_MAX: usize = 20_000;
/// Receive buffer to ask for: what is dropped at our own socket would only blur the picture.
const RCVBUF: usize = 4 << 20;

/// What to look into.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The groups, each with whether the user named its interface.
    pub groups: Vec<(Arc<Membership>, bool)>,
    /// Interfaces to listen for queries on beside those of the groups.
    pub ifaces: Vec<Arc<str>>,
    /// How long to measure.
    pub window: Duration,
    /// Whether to send a datagram to each group that stays on this host, and see whether it comes back.
    pub probe: bool,
    /// Seconds east of UTC of the local time.
    pub utc_offset_s: i32,
    /// What whoever asks has seen before.
    pub known: Known,
}

/// What a program that has watched for a while knows, and a short measurement cannot find out.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// General queries heard before, each querier's last one at least, with their age now.
    pub queries: Vec<QueryHeard>,
    /// How long queries have been listened for, in ns; `None` if they were not.
    pub listened_ns: Option<u64>,
    /// How often an interface lost its carrier since the groups on it were last reported, with the time since
    /// now, of each that did.
    pub losses: Vec<(Arc<str>, CarrierLosses)>,
    /// When a snooping switch will cut a group.
    pub cuts: Vec<(Arc<Membership>, Cut)>,
    /// How long after its join a group fell silent, in ns.
    pub silent_after_ns: Vec<(Arc<Membership>, u64)>,
}

/// What is read twice, before and after.
#[derive(Clone, Debug, Default)]
struct Snapshot {
    counters: Option<Counters>,
    softnet: Vec<Softnet>,
    sockets: Option<Vec<UdpSocket>>,
    details: Vec<Details>,
    igmp_versions: Vec<(Arc<str>, u8)>,
    /// Icmp6InType130 of each interface.
    mld_queries: HashMap<Arc<str>, u64>,
}

/// What is read once.
#[derive(Clone, Debug, Default)]
struct Once {
    members: Option<Vec<Member>>,
    settings: Settings,
    host: Host,
}

/// A group while it is measured.
struct Joined {
    membership: Arc<Membership>,
    named: bool,
    ifindex: Option<u32>,
    socket: Result<GroupSocket, Refusal>,
    packets: u64,
    sources: HashMap<Endpoint, Source>,
}

/// Reads and measures, in the calling thread. It ends early when the waker is awake; what was measured
/// till then counts.
///
/// # Errors
/// When the interfaces cannot be listed: then nothing can be said.
pub fn gather(request: &Request, stop: &Waker) -> Result<Facts, NetError> {
    let ifaces = iface::list()?;
    // Before anything is joined here.
    let mut once = imp::once();
    let privilege = packet::available().map_err(|e| unseen(&e, "CAP_NET_RAW"));
    let start = Instant::now();
    let mut looks = match &privilege {
        Ok(()) => looks(request, &ifaces),
        Err(_) => Vec::new(),
    };
    let joined_at = clock::now().wall;
    let mut groups: Vec<Joined> = request.groups.iter().map(|(m, named)| join(m, *named, &ifaces)).collect();
    let before = imp::snapshot(&ifaces);
    let opened = Instant::now();
    let mut batch = Batch::new();
    // Frames are compared with the counters' increases: none may count that came before these were read.
    turn(&mut [], &mut looks, &mut batch, start);
    looks.iter_mut().for_each(|(_, observer)| observer.begin());
    let end = opened + request.window;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        // A signal that ends the wait early does no harm; that the waker cannot be waited on ends all.
        if left.is_zero() || stop.wait(Some(left.min(TURN))).unwrap_or(true) {
            break;
        }
        turn(&mut groups, &mut looks, &mut batch, start);
    }
    turn(&mut groups, &mut looks, &mut batch, start);
    let window = opened.elapsed();
    let known = &request.known;
    let after = imp::snapshot(&ifaces);
    // When all is counted: it would be counted, too.
    let mut probes = match request.probe {
        true => probe::probe(&mut groups, &ifaces, stop).into_iter().map(Some).collect(),
        false => Vec::new(),
    };
    probes.resize(groups.len(), None);
    let now_listed = iface::list().unwrap_or_default();
    let mut facts = Facts {
        window_ns: ns(window),
        asked: request.ifaces.clone(),
        counters: increase(before.counters.as_ref(), after.counters.as_ref()),
        softnet: after.softnet.iter().map(|s| softnet_since(s, &before.softnet)).collect(),
        members: once.members.take(),
        rules: Some(imp::rules()),
        queries: queries(known, &looks, start.elapsed()),
        listened: Some(match (&privilege, known.listened_ns) {
            // What was listened to before goes on, with or without a look of our own.
            (_, Some(before)) => Ok(before.saturating_add(ns(start.elapsed()))),
            (Ok(()), None) => Ok(ns(start.elapsed())),
            (Err(why), None) => Err(why.clone()),
        }),
        utc_offset_s: request.utc_offset_s,
        supported: cfg!(target_os = "linux"),
        ..Facts::default()
    };
    facts.sockets = sockets_since(before.sockets, after.sockets);
    let ports: Vec<u16> = request.groups.iter().map(|(m, _)| m.port).collect();
    if let Some(sockets) = &mut facts.sockets {
        imp::name_programs(sockets, &ports);
    }
    facts.ifaces = ifaces
        .into_iter()
        .map(|i| {
            let find = |list: &[Details]| list.iter().find(|d| d.index == i.index).cloned();
            let mld = after
                .mld_queries
                .get(&i.name)
                .map(|n| n.saturating_sub(before.mld_queries.get(&i.name).copied().unwrap_or(0)));
            let version = after.igmp_versions.iter().find(|(n, _)| *n == i.name).map(|v| v.1);
            let (details, earlier) = (find(&after.details), find(&before.details));
            imp::iface_facts(IfaceFacts {
                details,
                before: earlier,
                v4: Default::default(),
                ipv6_off: None,
                force_mld: None,
                link_local: Default::default(),
                igmp_version: version,
                mld_queries: mld,
                unreported: known.losses.iter().find(|(n, _)| *n == i.name).map(|l| l.1),
                iface: i,
            })
        })
        .collect();
    facts.targets = groups.into_iter().map(|g| target(g, &mut looks, &privilege, &now_listed)).collect();
    let members = facts.members.as_deref().unwrap_or_default();
    let held =
        |t: &Target| members.iter().any(|h| h.group == t.membership.group && h.iface == t.membership.iface);
    let loopback = |t: &Target| {
        let of = facts.ifaces.iter().find(|i| i.iface.name == t.membership.iface);
        of.is_some_and(|i| i.iface.kind == IfaceKind::Loopback)
    };
    for (t, probe) in facts.targets.iter_mut().zip(probes) {
        t.probe = probe;
        let silent = known.silent_after_ns.iter().find(|(m, _)| *m == t.membership);
        t.silent_after_ns = silent.map(|s| s.1);
        let told = known.cuts.iter().find(|(m, _)| *m == t.membership);
        t.cut = match known.listened_ns {
            Some(_) => told.map(|c| c.1),
            None => foretell(t, &facts.queries, &facts.listened, (held(t), loopback(t)), joined_at),
        };
    }
    (facts.settings, facts.host) = (once.settings, once.host);
    Ok(facts)
}

/// When a snooping switch will cut a group that was joined just now, if it was listened for long enough to
/// know that nobody asks.
fn foretell(
    t: &Target,
    queries: &[QueryHeard],
    listened: &Option<Result<u64, Unseen>>,
    (held_before, loopback): (bool, bool),
    joined_at: Wall,
) -> Option<Cut> {
    let (m, timers) = (&t.membership, Timers::default());
    let of_it = |q: &QueryHeard| q.iface == m.iface && q.from.is_ipv4() == m.group.is_ipv4();
    let Some(Ok(listened)) = listened else { return None };
    let spared = t.join.is_err() || exempt(m.group, loopback).is_some();
    if spared || *listened < timers.overdue_ns() || queries.iter().any(of_it) {
        return None;
    }
    // With a group that was joined before, no report left.
    let at = (!held_before).then(|| Wall(joined_at.0.saturating_add(timers.membership_ns() as i64)));
    Some(Cut { why: CutWhy::NoQuerier(*listened), at })
}

/// Queries known before, as much older as this took, and those of the looks.
fn queries(known: &Known, looks: &[Looked], took: Duration) -> Vec<QueryHeard> {
    let older = |q: &QueryHeard| QueryHeard { age_ns: q.age_ns.saturating_add(ns(took)), ..q.clone() };
    known.queries.iter().map(older).chain(looks.iter().flat_map(|(_, o)| o.queries(took))).collect()
}

type Looked = (Look, Observer);

/// Looks at each interface that matters: those of the groups and those asked for, and, as a group may come
/// by another one than was thought, every candidate. One that cannot be looked at is left out, and said so
/// later.
fn looks(request: &Request, ifaces: &[Iface]) -> Vec<Looked> {
    let mut groups: Vec<IpAddr> = request.groups.iter().map(|(m, _)| m.group).collect();
    groups.sort_unstable();
    groups.dedup();
    let mut names: Vec<&Arc<str>> =
        request.groups.iter().map(|(m, _)| &m.iface).chain(&request.ifaces).collect();
    if !groups.is_empty() {
        names.extend(candidates(ifaces).into_iter().map(|i| &i.name));
    }
    names.sort_unstable();
    names.dedup();
    let open = |name: &Arc<str>| {
        let iface = ifaces.iter().find(|i| i.name == *name)?;
        let look = Look::open(name, iface.index, &groups).ok()?;
        Some((look, Observer::new(name, &groups)))
    };
    names.into_iter().filter_map(open).collect()
}

fn join(membership: &Arc<Membership>, named: bool, ifaces: &[Iface]) -> Joined {
    let ifindex = ifaces.iter().find(|i| i.name == membership.iface).map(|i| i.index);
    let options = SocketOptions { rcvbuf: Some(RCVBUF), ..SocketOptions::default() };
    let socket = match ifindex {
        Some(index) => GroupSocket::open(membership, index, &options).map_err(|e| Refusal {
            kind: e.kind(),
            at_port: matches!(e, NetError::Bind { .. }),
            at_sources: matches!(e, NetError::TooManySources { .. } | NetError::Filter { .. }),
            text: e.to_string(),
        }),
        None => Err(Refusal {
            kind: Kind::NoSuchInterface,
            at_port: false,
            at_sources: false,
            text: format!("there is no interface {}", membership.iface),
        }),
    };
    Joined { membership: membership.clone(), named, ifindex, socket, packets: 0, sources: HashMap::new() }
}

/// Takes what waits in the sockets and looks.
fn turn(groups: &mut [Joined], looks: &mut [Looked], batch: &mut Batch, start: Instant) {
    for g in groups {
        let Ok(socket) = &mut g.socket else { continue };
        let mut taken = 0;
        while taken < TAKEN_MAX {
            batch.clear();
            // An error is told once; what it means shows in what arrives.
            let Ok(received) = socket.receive(batch, MembershipId(0)) else { break };
            taken += received.taken;
            for d in batch.datagrams() {
                g.packets += 1;
                let known = g.sources.len();
                let source = match g.sources.get_mut(&d.source) {
                    Some(s) => s,
                    None if known >= SOURCES_MAX => continue,
                    None => {
                        g.sources.entry(d.source).or_insert(Source { from: d.source, packets: 0, ttl: None })
                    }
                };
                source.packets += 1;
                source.ttl = d.ttl;
            }
            if received.dry {
                break;
            }
        }
    }
    let at = start.elapsed();
    for (look, observer) in looks {
        for _ in 0..TAKEN_MAX {
            let Some(frame) = look.take() else { break };
            observer.take(&frame, at);
        }
    }
}

fn target(
    mut g: Joined,
    looks: &mut [Looked],
    privilege: &Result<(), Unseen>,
    now_listed: &[Iface],
) -> Target {
    let m = &g.membership;
    let mut duplicates = 0;
    let wire = match privilege {
        Err(why) => Err(why.clone()),
        Ok(()) => match looks.iter_mut().find(|(_, o)| o.is_of(&m.iface)) {
            Some((look, observer)) => {
                let (mut wire, twice) = observer.wire(m.group, look.drops());
                duplicates = twice;
                for flow in &mut wire.flows {
                    flow.route_back = route::to(flow.source).ok();
                }
                Ok(wire)
            }
            None => Err(Unseen { reason: format!("{} could not be looked at", m.iface), remedy: None }),
        },
    };
    let elsewhere = looks
        .iter()
        .filter(|(_, o)| !o.is_of(&m.iface))
        .filter_map(|(_, o)| o.elsewhere(m.group, m.port))
        .collect();
    let drops = g.socket.as_mut().ok().and_then(GroupSocket::drops).unwrap_or(0);
    let mut sources: Vec<Source> = g.sources.into_values().collect();
    sources.sort_by_key(|s| (std::cmp::Reverse(s.packets), s.from));
    let index_now = now_listed.iter().find(|i| i.name == m.iface).map(|i| i.index);
    Target {
        named: g.named,
        moved: g.ifindex.is_some() && index_now != g.ifindex,
        join: g.socket.map(drop),
        packets: g.packets,
        sources,
        drops,
        duplicates,
        wire: Some(wire),
        elsewhere,
        route: route::to(m.group).ok(),
        silent_after_ns: None,
        cut: None,
        probe: None,
        membership: g.membership,
    }
}

fn unseen(e: &NetError, capability: &str) -> Unseen {
    match e.kind() {
        Kind::NotPermitted => Unseen {
            reason: if crate::net::privilege::given_up() {
                format!("needs {capability}, which was given up (--drop-privileges)")
            } else {
                format!("needs {capability}")
            },
            remedy: Some(format!("setcap cap_net_raw+ep {}", crate::net::error::this_program())),
        },
        _ => Unseen { reason: e.reason(), remedy: None },
    }
}

fn ns(d: Duration) -> u64 {
    u64::try_from(d.as_nanos()).unwrap_or(u64::MAX)
}

fn increase(before: Option<&Counters>, after: Option<&Counters>) -> Option<Counters> {
    Some(after?.since(before?))
}

fn softnet_since(now: &Softnet, before: &[Softnet]) -> Softnet {
    let old = before.iter().find(|s| s.cpu == now.cpu).copied().unwrap_or(*now);
    Softnet {
        cpu: now.cpu,
        dropped: now.dropped.saturating_sub(old.dropped),
        squeezed: now.squeezed.saturating_sub(old.squeezed),
    }
}

/// The sockets there are now, with their drops since `before`: one that is new has dropped all of them
/// since.
fn sockets_since(before: Option<Vec<UdpSocket>>, after: Option<Vec<UdpSocket>>) -> Option<Vec<UdpSocket>> {
    let old: HashMap<u64, u64> = before?.into_iter().map(|s| (s.inode, s.drops_ever)).collect();
    let mut after = after?;
    for s in &mut after {
        s.drops = s.drops_ever.saturating_sub(old.get(&s.inode).copied().unwrap_or(0));
    }
    Some(after)
}
