//! Sockets: ports, buffers, and what UDP refuses.

use super::{Case, Check, Judged, Subject, fail, note, ok, one, unseen, untold, warn, warn_if};
use crate::base::units::{bytes, count, counted};
use crate::doctor::facts::UdpSocket;
use crate::doctor::finding::Fate;
use crate::doctor::funnel::{Counts, meant, wire_of};
use crate::net::Kind;

pub(super) const CHECKS: &[Check] = &[
    Check { id: "sock.inuse", subject: Subject::Group, why: INUSE, judge: in_use },
    Check { id: "sock.port", subject: Subject::Group, why: PORT, judge: port },
    Check { id: "sock.bind", subject: Subject::Group, why: BIND, judge: bind },
    Check { id: "sock.reuseport", subject: Subject::Group, why: REUSE, judge: reuse },
    Check { id: "sock.crosstalk", subject: Subject::Group, why: CROSSTALK, judge: crosstalk },
    Check { id: "sock.rcvbuf", subject: Subject::Group, why: RCVBUF, judge: rcvbuf },
    Check { id: "sock.udpmem", subject: Subject::Host, why: UDPMEM, judge: udp_memory },
    Check { id: "sock.csum", subject: Subject::Group, why: CSUM, judge: checksum },
    Check { id: "sock.length", subject: Subject::Group, why: LENGTH, judge: length },
    Check { id: "ip.frag", subject: Subject::Group, why: FRAG, judge: fragments },
];

const INUSE: &str = "a port is shared only if every socket on it set SO_REUSEADDR, or every one SO_REUSEPORT, before it bound";
const PORT: &str = "a group has many ports; a socket gets only what is sent to its own";
const BIND: &str =
    "on Linux a socket that is bound to a unicast address gets no multicast, even when it has joined";
const REUSE: &str =
    "multicast is copied to every matching socket, whichever way the port is shared; only unicast is not";
const CROSSTALK: &str = "unless it sets IP_MULTICAST_ALL to 0, a socket bound to no address gets every group that any \
                         program joined, if the port matches";
const RCVBUF: &str = "a full receive buffer drops datagrams that have come all the way; a datagram is charged more than \
                      its length (about 2.3 kB for 1,400 bytes)";
const UDPMEM: &str =
    "when all UDP sockets together exceed net.ipv4.udp_mem, datagrams are dropped whatever buffer they go to";
const CSUM: &str = "a wrong checksum is noticed when the datagram is delivered, and drops it";
const LENGTH: &str = "a datagram that claims to be longer than its packet is dropped";
const FRAG: &str = "one lost fragment loses the whole datagram, and the kernel says so only 30 s later";

/// Sockets of other programs that a datagram to the group's port would look for.
fn on_port<'f>(c: &Case<'f>) -> Option<Vec<&'f UdpSocket>> {
    let m = c.membership()?;
    let same = |s: &&UdpSocket| {
        // An IPv6 socket bound to no address takes IPv4 too, unless it says otherwise.
        s.local.port == m.port && (s.local.ip.is_ipv4() == m.group.is_ipv4() || s.local.ip.is_unspecified())
    };
    c.facts.sockets.as_ref().map(|all| all.iter().filter(same).collect())
}

fn in_use(c: &Case<'_>) -> Vec<Judged> {
    let (Some(t), Some(m)) = (c.target, c.membership()) else { return Vec::new() };
    match &t.join {
        Err(r) if r.at_port && r.kind == Kind::InUse => {
            let holder = on_port(c)
                .unwrap_or_default()
                .into_iter()
                .find(|s| s.local.ip.is_unspecified() || s.local.ip == m.group);
            let (title, object) = match holder {
                Some(s) => (
                    format!("UDP port {} is held by {}, which does not share it", m.port, s.owner()),
                    s.owner(),
                ),
                None => (
                    format!("UDP port {} is held by a program that does not share it", m.port),
                    format!("port {}", m.port),
                ),
            };
            let seen = holder.map_or(r.text.clone(), |s| {
                format!("{}; it is bound to {} (/proc/net/udp)", r.text, s.local)
            });
            let found = fail(title).seen(seen).explaining(true).on(object);
            one(match holder.and_then(|s| s.program.as_ref()) {
                Some(p) => found
                    .because(format!("{INUSE}: end it, or have it set SO_REUSEADDR"))
                    .run(format!("kill {}", p.pid)),
                None => found.advise(format!(
                    "`ss -ulpn sport = :{}` as root shows who has it; end it, or have it set SO_REUSEADDR",
                    m.port
                )),
            })
        }
        Err(r) if r.at_port => one(fail(format!("port {} cannot be taken", m.port))
            .seen(r.text.clone())
            .explaining(true)
            .advise("the evidence names the operation and what helps")),
        _ => {
            one(ok(format!("UDP port {} can be shared", m.port)).seen("mcscope's own socket is bound to it"))
        }
    }
}

fn port(c: &Case<'_>) -> Vec<Judged> {
    let (Some(t), Some(m)) = (c.target, c.membership()) else { return Vec::new() };
    let others: Vec<(u16, u64)> = wire_of(t).map_or(Vec::new(), |w| {
        let mut list: Vec<(u16, u64)> = Vec::new();
        for f in w.flows.iter().filter(|f| f.port != Some(m.port)) {
            let Some(port) = f.port else { continue };
            match list.iter_mut().find(|(p, _)| *p == port) {
                Some((_, n)) => *n += f.frames,
                None => list.push((port, f.frames)),
            }
        }
        list
    });
    let ignored = Counts::of(c.facts, m.group.is_ipv4()).map(|n| n.ignored);
    let nowhere = ignored.map_or(String::new(), |n| format!("; Udp IgnoredMulti +{n} in {}", c.window()));
    if c.is(Fate::OtherPort) {
        let (title, seen) = match others.first() {
            Some((port, n)) => (
                format!("traffic to {} arrives on port {port}, not on {}", m.group, m.port),
                format!("{} frames to port {port} on the wire{nowhere}", count(*n)),
            ),
            None => (
                format!(
                    "multicast arrives that no program takes: probably {} on another port than {}",
                    m.group, m.port
                ),
                format!("Udp IgnoredMulti +{} in {} (/proc/net/snmp)", ignored.unwrap_or(0), c.window()),
            ),
        };
        let found = fail(title).seen(seen).explaining(true);
        let ask = match others.first() {
            Some((port, _)) => crate::base::group::Endpoint::new(m.group, *port).to_string(),
            None => {
                return one(found.advise("ask the sender for its port; with CAP_NET_RAW the doctor names it"));
            }
        };
        return one(found.advise(format!("listen on {ask}, or have the sender send to port {}", m.port)));
    }
    if let Some((port, n)) = others.first() {
        return one(note(format!("{} has traffic on port {port} too", m.group))
            .seen(format!("{} on the wire", counted(*n, "frame", "frames"))));
    }
    one(match (t.packets > 0, &t.wire) {
        (true, _) => ok(format!("{} comes on port {}", m.group, m.port)).seen(counted(
            t.packets,
            "datagram",
            "datagrams",
        )),
        (false, Some(Ok(_))) => {
            ok(format!("{} comes on no other port", m.group)).seen("looked at on the wire")
        }
        (false, Some(Err(why))) => unseen(&format!("whether {} comes on another port", m.group), why),
        (false, None) => untold(&format!("whether {} comes on another port", m.group)),
    })
}

fn bind(c: &Case<'_>) -> Vec<Judged> {
    let (Some(t), Some(m)) = (c.target, c.membership()) else { return Vec::new() };
    let Some(sockets) = on_port(c) else { return one(untold(&format!("who is bound to port {}", m.port))) };
    let hears = |s: &&&UdpSocket| s.local.ip.is_unspecified() || s.local.ip == m.group;
    let joined = c.facts.members.iter().flatten().any(|h| h.group == m.group);
    // Sockets of a program that wants the group and cannot hear it: nobody else on the port does.
    let deaf: Vec<&&UdpSocket> =
        sockets.iter().filter(|s| !s.local.ip.is_unspecified() && !s.local.ip.is_multicast()).collect();
    if let (Some(s), None, true) = (deaf.first(), sockets.iter().find(hears), joined) {
        return one(warn_if(
            t.packets > 0,
            format!("{} is bound to {}: it gets no multicast", s.owner(), s.local),
        )
        .seen(format!("{} (/proc/net/udp); {} is joined by some program", s.local, m.group))
        .advise(format!("have it bind to {} or to no address", m.group))
        .on(s.owner()));
    }
    let peers: Vec<&&UdpSocket> = sockets.iter().filter(hears).filter(|s| s.connected).collect();
    if let Some(s) = peers.first() {
        return one(note(format!("{} is connected to one peer: it gets only what that sends", s.owner()))
            .seen("/proc/net/udp")
            .on(s.owner()));
    }
    one(ok(format!("no program on port {} is bound where multicast does not come", m.port))
        .seen(format!("{} sockets in /proc/net/udp", sockets.len())))
}

fn reuse(c: &Case<'_>) -> Vec<Judged> {
    let Some(m) = c.membership() else { return Vec::new() };
    let Some(sockets) = on_port(c) else { return one(untold(&format!("who shares port {}", m.port))) };
    one(match sockets.len() {
        0 => ok(format!("nobody else listens on port {}", m.port)).seen("/proc/net/udp"),
        n => ok(format!("port {} is shared; every socket gets its own copy", m.port))
            .seen(format!("{n} sockets beside mcscope's (/proc/net/udp)")),
    })
}

fn crosstalk(c: &Case<'_>) -> Vec<Judged> {
    let Some(m) = c.membership() else { return Vec::new() };
    let Some(sockets) = on_port(c) else { return one(untold("who hears groups of others")) };
    let open = sockets.iter().find(|s| s.local.ip.is_unspecified() && !s.connected);
    one(match open {
        Some(s) => note(format!("{} hears every group joined on this host, on port {}", s.owner(), m.port))
            .seen(format!(
                "bound to {} (/proc/net/udp); whether it set IP_MULTICAST_ALL cannot be read",
                s.local
            ))
            .advise(format!("if that troubles it, have it bind to {} or set IP_MULTICAST_ALL to 0", m.group))
            .on(s.owner()),
        None => ok(format!("no program on port {} hears groups of others", m.port)).seen("/proc/net/udp"),
    })
}

fn rcvbuf(c: &Case<'_>) -> Vec<Judged> {
    let (Some(t), Some(m)) = (c.target, c.membership()) else { return Vec::new() };
    let max = c.facts.settings.rmem_max;
    let limits = format!(
        "net.core.rmem_max {}, rmem_default {}",
        max.map_or("untold".into(), bytes),
        c.facts.settings.rmem_default.map_or("untold".into(), bytes)
    );
    let mut out = Vec::new();
    if t.drops > 0 {
        out.push(
            fail(format!(
                "the receive buffer of mcscope's socket overflowed: {} dropped",
                counted(t.drops, "datagram", "datagrams")
            ))
            .seen(format!(
                "{limits}; {} received, {} dropped in {}",
                count(t.packets),
                count(t.drops),
                c.window()
            ))
            .run("sysctl -w net.core.rmem_max=26214400")
            .explaining(c.is(Fate::Buffer)),
        );
    }
    for s in on_port(c).unwrap_or_default().into_iter().filter(|s| s.drops > 0) {
        out.push(
            fail(format!("{} loses datagrams: its receive buffer is full", s.owner()))
                .seen(format!("drops +{} in {} on {} (/proc/net/udp); {limits}", s.drops, c.window(), s.local))
                .because(format!("{RCVBUF}; the program must ask for a larger buffer (SO_RCVBUF) or read faster, and the limit must allow it"))
                .run("sysctl -w net.core.rmem_max=26214400\nsysctl -w net.core.rmem_default=26214400")
                .on(s.owner()),
        );
    }
    if out.is_empty() {
        let small = max.is_some_and(|n| n < 1 << 20);
        out.push(if small {
            note("receive buffers cannot be made large on this host")
                .seen(limits)
                .run("sysctl -w net.core.rmem_max=26214400")
                .on("this host")
        } else {
            ok(format!("no socket on port {} overflows", m.port)).seen(limits)
        });
    }
    out
}

fn udp_memory(c: &Case<'_>) -> Vec<Judged> {
    let counted = [c.facts.counted("Udp MemErrors"), c.facts.counted("Udp6MemErrors")];
    let n: u64 = counted.iter().flatten().sum();
    one(match counted {
        [None, None] => untold("whether UDP has memory enough"),
        _ if n > 0 => warn("UDP has no memory left and drops datagrams")
            .seen(format!("MemErrors +{n} in {}", c.window()))
            .run("sysctl -w net.ipv4.udp_mem='262144 524288 1048576'"),
        _ => ok("UDP has memory enough").seen("MemErrors +0"),
    })
}

fn checksum(c: &Case<'_>) -> Vec<Judged> {
    let (Some(t), Some(m)) = (c.target, c.membership()) else { return Vec::new() };
    let Some(counts) = Counts::of(c.facts, m.group.is_ipv4()) else {
        return one(untold("whether UDP checksums are wrong"));
    };
    let bad: Option<(std::net::IpAddr, u64)> =
        wire_of(t).and_then(|w| meant(w, m).find(|f| f.bad_checksum > 0).map(|f| (f.source, f.bad_checksum)));
    let seen = format!("InCsumErrors +{} in {}", counts.checksum, c.window());
    let explains = c.is(Fate::Checksum);
    one(match (counts.checksum, bad) {
        (0, _) => ok("UDP checksums hold").seen(seen),
        (n, who) => {
            let title = match who {
                Some((ip, _)) => format!("datagrams from {ip} are dropped: their UDP checksum is wrong"),
                None => format!(
                    "{} dropped: their UDP checksum is wrong",
                    counted(n, "datagram is", "datagrams are")
                ),
            };
            let found = if explains { fail(title) } else { warn(title) };
            let seen = who.map_or(seen.clone(), |(ip, n)| {
                format!("{seen}; {n} frames from {ip} on the wire with a wrong checksum")
            });
            found
                .seen(seen)
                .advise("at the sender: `ethtool -K IFACE tx off` (virtual adapters), or mend the program that builds its own packets; on the way: replace what changes packets")
                .explaining(explains)
        }
    })
}

fn length(c: &Case<'_>) -> Vec<Judged> {
    let (Some(t), Some(m)) = (c.target, c.membership()) else { return Vec::new() };
    let Some(counts) = Counts::of(c.facts, m.group.is_ipv4()) else {
        return one(untold("whether UDP lengths are wrong"));
    };
    let other = counts.errors.saturating_sub(counts.rcvbuf + counts.checksum + counts.memory);
    let who = wire_of(t).and_then(|w| meant(w, m).find(|f| f.bad_length > 0));
    let seen = format!(
        "Udp InErrors +{} of which {other} neither for buffers nor checksums, in {}",
        counts.errors,
        c.window()
    );
    one(if c.is(Fate::Length) || other > 0 && who.is_some() {
        let from = who.map_or(String::new(), |f| format!(" from {}", f.source));
        let title = format!("datagrams{from} are dropped: their UDP length exceeds the packet");
        let found = if c.is(Fate::Length) { fail(title) } else { warn(title) };
        found.seen(seen).advise("mend the program that builds its own packets").explaining(c.is(Fate::Length))
    } else {
        ok("UDP lengths hold").seen(seen)
    })
}

fn fragments(c: &Case<'_>) -> Vec<Judged> {
    let (Some(t), Some(m)) = (c.target, c.membership()) else { return Vec::new() };
    let Some(n) = Counts::of(c.facts, m.group.is_ipv4()) else {
        return one(untold("whether fragments are lost"));
    };
    let seen = format!(
        "ReasmReqds +{}, ReasmOKs +{}, ReasmFails +{} in {}",
        n.fragments,
        n.reassembled,
        n.fragments_failed,
        c.window()
    );
    let mtu = c.iface.and_then(|i| i.iface.mtu).unwrap_or(1500);
    let headers: u32 = if m.group.is_ipv4() { 28 } else { 48 };
    let advice = format!(
        "send datagrams of at most {} bytes; every fragment must pass: look for a firewall on the way that drops the later \
         ones, which have no port",
        mtu.saturating_sub(headers)
    );
    if c.is(Fate::Fragments) {
        let frames: u64 = wire_of(t).map_or(0, |w| meant(w, m).map(|f| f.fragments).sum());
        let seen = if frames > 0 {
            format!("{seen}; {} on the wire", counted(frames, "fragment", "fragments"))
        } else {
            seen
        };
        return one(fail(format!("datagrams to {} come in fragments, and not all fragments come", m.group))
            .seen(seen)
            .advise(advice)
            .explaining(true));
    }
    if n.fragments_failed > 0 {
        return one(warn("datagrams are given up for lack of a fragment")
            .seen(seen)
            .advise(advice)
            .on("this host"));
    }
    one(if n.reassembled > 0 {
        note("datagrams come in fragments, and all of them").seen(seen).advise(advice)
    } else {
        ok("no datagram comes in fragments").seen(seen)
    })
}
