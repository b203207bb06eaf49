//! The packet ring against the sockets: on healthy traffic the same figures either way, under overload
//! figures that add up, rows that come and go without harm to others, and interfaces that do.

#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use mcscope::base::batch::Capture;
use mcscope::base::group::{Membership, MembershipId, SourceFilter};
use mcscope::engine::command::{Command, Update};
use mcscope::engine::{Engine, Options as EngineOptions};
use mcscope::net::iface;
use serde_json::Value;
use support::DEADLINE;
use support::netns::{Lab, Options};
use support::run::{Running, Sandbox};
use support::traffic::{Payload, Sending, Sent, total};

/// Starts `watch` in host 1 and waits until all its groups are joined.
fn watch(lab: &Lab, sandbox: &Sandbox, args: &[&str], groups: &[&str]) -> Running {
    let common = ["watch", "--format", "json", "--stats-only", "--interval", "100ms"];
    let mut command = sandbox.mcscope(common.iter().chain(args).chain(groups));
    lab.enter(1, &mut command);
    let mut running = sandbox.spawn(command);
    for _ in groups {
        running.wait_json("a joined line", |v| v["type"] == "joined");
    }
    running
}

/// Waits until all that was sent is accounted for, ends the program and gives its final lines by scope,
/// interface, group, port and source.
fn finals(mut running: Running, sent: u64) -> BTreeMap<[String; 5], Value> {
    let whole = |v: &Value| {
        ["packets", "not_analysed", "socket_drops"].iter().filter_map(|k| v[k].as_u64()).sum::<u64>()
    };
    running.wait_json("all that was sent", |v| v["scope"] == "total" && whole(v) >= sent);
    running.signal(libc::SIGINT);
    let outcome = running.wait().code(130);
    let key = |v: &Value| {
        ["scope", "iface", "group", "port", "source"]
            .map(|k| v[k].as_str().map_or(v[k].to_string(), str::to_owned))
    };
    outcome.json().into_iter().filter(|v| v["type"] == "final").map(|v| (key(&v), v)).collect()
}

fn packets(all: &[Sent]) -> u64 {
    all.iter().map(|s| total(&s.counts).packets).sum()
}

#[test]
fn on_healthy_traffic_the_figures_are_the_same_either_way() {
    let Some(lab) = lab!(Options { networks: 2, ..Options::default() }) else { return };
    lab.ip(2, "addr add 10.99.0.3/24 dev net0");
    let sandbox = Sandbox::new();
    let groups = [
        "239.1.1.1:5004%net0",
        "239.1.1.1:5004%net1",
        "239.1.1.1:5005%net0",
        "10.99.0.2@232.1.1.1:5004%net0",
        "10.99.0.3@232.1.1.1:5004%net0",
        "10.99.0.77@232.1.1.2:5004%net0",
        "[ff05::77%net0]:5004",
        "[ff02::77%net1]:5004",
        "fd99::2@[ff3e::77%net0]:5004",
    ];
    // Both at once: they see the same datagrams.
    let by = |capture| watch(&lab, &sandbox, &["--capture", capture, "--rcvbuf", "32MiB"], &groups);
    let (sockets, ring) = (by("sockets"), by("ring"));
    let sizes = [44, 60, 1400, 1473, 5000, 30_000];
    let from = |host: u8, iface: &str, to: &str| {
        let probe = Payload::Probe { run: 7 };
        Sending::to(to)
            .on(iface)
            .payload(probe)
            .sizes(&sizes[usize::from(host == 3)..])
            .count(125)
            .pps(600)
            .ttl(5)
    };
    let shared: Vec<Sent> = lab.inside(2, || {
        let impaired = |s: Sending| s.drop_every(10).dup_every(7).swap_every(9);
        vec![
            impaired(from(2, "net0", "239.1.1.1:5004").tos(0xb8)).go(),
            from(2, "net1", "239.1.1.1:5004").go(),
            from(2, "net0", "239.1.1.1:5005").ttl(1).go(),
            from(2, "net0", "232.1.1.1:5004").source(lab.v4(2), 0).go(),
            from(2, "net0", "232.1.1.1:5004").source([10, 99, 0, 3], 0).go(),
            impaired(from(2, "net0", "[ff05::77]:5004").tos(0x20)).go(),
            from(2, "net1", "[ff02::77]:5004").go(),
            from(2, "net0", "[ff3e::77]:5004").source(lab.v6(2), 0).go(),
        ]
    });
    // Senders of the listener's own host, of whom some are not looped back.
    let own: Vec<Sent> = lab.inside(1, || {
        vec![from(1, "net0", "239.1.1.1:5004").go(), from(1, "net0", "[ff05::77]:5004").ttl(3).go()]
    });
    lab.inside(1, || {
        from(1, "net0", "239.1.1.1:5004").not_looped().go();
        from(1, "net0", "[ff05::77]:5004").not_looped().go();
    });
    // And what nobody asked for: other groups, ports, sources.
    lab.inside(2, || {
        from(2, "net0", "239.1.1.1:5006").go();
        from(2, "net0", "239.1.1.9:5004").go();
        from(2, "net0", "232.1.1.2:5004").go();
        from(2, "net0", "[ff05::78]:5004").go();
    });
    let sent = packets(&shared) + packets(&own);
    let (sockets, ring) = (finals(sockets, sent), finals(ring, sent));
    assert_eq!(ring.keys().collect::<Vec<_>>(), sockets.keys().collect::<Vec<_>>());
    for (key, by_socket) in &sockets {
        let by_ring = &ring[key];
        for field in [
            "sources",
            "packets",
            "payload_bytes",
            "ip_bytes",
            "truncated",
            "size_min_bytes",
            "size_mean_bytes",
            "size_max_bytes",
            "lost",
            "duplicates",
            "reordered",
            "not_analysed",
            "ttl",
            "dscp",
            "protocol",
            "ours",
        ] {
            assert_eq!(by_ring[field], by_socket[field], "{field} of {key:?} by the ring: {by_ring}");
        }
        // The kernel stamps a datagram once, at its arrival, or that of its last fragment.
        let gap = |v: &Value| v["gap_mean_ns"].as_f64();
        if let (Some(a), Some(b)) = (gap(by_ring), gap(by_socket)) {
            assert!((a - b).abs() < 200_000.0, "mean gap of {key:?}: {a} and {b} ns");
        }
    }
    let whole = &ring[&["total", "null", "null", "null", "null"].map(str::to_owned)];
    assert_eq!((whole["packets"].as_u64(), whole["socket_drops"].as_u64()), (Some(sent), Some(0)));
    let group = ring.values().find(|v| v["scope"] == "group").unwrap();
    assert_eq!(group["socket_drops"], Value::Null, "a ring's drops are not a group's");
    let one = |v: &&Value| {
        v["scope"] == "group" && v["group"] == "239.1.1.1" && v["iface"] == "net0" && v["port"] == 5004
    };
    let lost = &ring.values().find(one).unwrap()["lost"];
    assert_eq!(lost.as_u64(), Some(shared[0].dropped), "what the sender left out");
}

#[test]
fn under_overload_the_figures_add_up_to_what_was_sent() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let running = watch(&lab, &sandbox, &["--capture", "ring", "--rcvbuf", "1MiB"], &["239.1.1.1:5004%net0"]);
    let burst =
        || lab.inside(2, || Sending::to("239.1.1.1:5004").on("net0").sizes(&[200]).count(20_000).go());
    let mut all = vec![burst()];
    // A stall longer than the ring is.
    running.signal(libc::SIGSTOP);
    all.push(burst());
    running.signal(libc::SIGCONT);
    all.push(burst());
    let sent = packets(&all);
    let finals = finals(running, sent);
    let whole = &finals[&["total", "null", "null", "null", "null"].map(str::to_owned)];
    let n = |k: &str| whole[k].as_u64().unwrap();
    assert!(n("socket_drops") > 10_000, "the ring holds 4,000 at most: {whole}");
    assert_eq!(n("packets") + n("not_analysed") + n("socket_drops"), sent, "{whole}");
    let iface = finals.values().find(|v| v["scope"] == "interface").unwrap();
    assert_eq!(iface["socket_drops"], whole["socket_drops"]);
}

#[test]
fn memberships_have_no_port_and_the_group_is_left_at_the_end() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let table = |name: &str| {
        lab.inside(1, || std::fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap())
    };
    let groups = ["239.1.1.1:5004%net0", "[ff05::77%net0]:5004"];
    let running = watch(&lab, &sandbox, &["--capture", "ring"], &groups);
    assert!(
        table("igmp").contains("010101EF") && table("igmp6").contains("ff050000000000000000000000000077")
    );
    assert_eq!((table("udp").lines().count(), table("udp6").lines().count()), (1, 1), "headings only");
    running.signal(libc::SIGTERM);
    running.wait().code(143);
    assert!(!table("igmp").contains("010101EF"));
}

#[test]
fn without_the_capability_it_says_which_one_and_does_not_fall_back() {
    let sandbox = Sandbox::new();
    let mcscope = sandbox.mcscope(["watch", "--capture", "ring", "239.1.1.1:5004%lo"]);
    let mut command = sandbox.command("setpriv");
    command.args(["--bounding-set=-net_raw", "--inh-caps=-net_raw", "--"]);
    command.arg(mcscope.get_program()).args(mcscope.get_args());
    // SAFETY: the call takes nothing and cannot fail.
    let root = unsafe { libc::geteuid() } == 0;
    let outcome = sandbox.run(if root { command } else { mcscope }).code(3);
    assert!(outcome.stdout.is_empty());
    outcome.complains("cannot open the packet ring").complains("sudo setcap cap_net_raw+ep /");
}

/// An engine in host 1, and what it told and received.
struct Watching {
    engine: Engine,
    updates: Vec<Update>,
    packets: BTreeMap<u32, u64>,
}

impl Watching {
    fn start(lab: &Lab) -> Watching {
        let options = EngineOptions { capture: Capture::Ring, ..EngineOptions::default() };
        let engine = lab.inside(1, || Engine::start(iface::list().unwrap(), options).unwrap());
        Watching { engine, updates: Vec::new(), packets: BTreeMap::new() }
    }

    fn join(&self, id: u32, group: &str) {
        let membership = Membership {
            group: group.parse().unwrap(),
            port: 5004,
            iface: "net0".into(),
            filter: SourceFilter::Any,
        };
        let membership = membership.into();
        assert!(self.engine.command(Command::Join { id: MembershipId(id), membership }));
    }

    /// Takes what comes until `done`, which must be before the deadline.
    #[track_caller]
    fn until(&mut self, what: &str, done: impl Fn(&Watching) -> bool) {
        let until = Instant::now() + DEADLINE;
        while !done(self) {
            assert!(Instant::now() < until, "no {what}: {:?} {:?}", self.packets, self.updates);
            if let Ok(batch) = self.engine.batches().recv_timeout(Duration::from_millis(5)) {
                for d in batch.datagrams() {
                    *self.packets.entry(d.membership.0).or_default() += 1;
                }
                assert!(batch.accounts.iter().all(|a| a.not_analysed == 0));
                self.engine.recycle(batch);
            }
            self.updates.extend(self.engine.updates().try_iter());
        }
    }

    fn told(&self, is: impl Fn(&Update) -> bool) -> usize {
        self.updates.iter().filter(|u| is(u)).count()
    }
}

fn joined(u: &Update) -> bool {
    matches!(u, Update::Joined(..))
}

#[test]
fn rows_come_and_go_and_the_others_lose_nothing() {
    let Some(lab) = lab!(Options::default()) else { return };
    let mut w = Watching::start(&lab);
    w.join(0, "239.1.1.1");
    w.until("membership", |w| w.told(joined) == 1);
    let sent = std::thread::scope(|scope| {
        let sender = scope
            .spawn(|| lab.inside(2, || Sending::to("239.1.1.1:5004").on("net0").count(3000).pps(5000).go()));
        for n in 1..=20 {
            w.join(n, &format!("239.1.2.{n}"));
            w.until("membership", |w| w.told(joined) == n as usize + 1);
            if n > 1 {
                w.engine.command(Command::Leave(MembershipId(n - 1)));
                w.until("end of a membership", |w| {
                    w.told(|u| matches!(u, Update::Left(_))) == n as usize - 1
                });
            }
        }
        sender.join().unwrap()
    });
    w.until("traffic", |w| w.packets.get(&0).is_some_and(|&n| n >= packets(std::slice::from_ref(&sent))));
    lab.inside(2, || {
        Sending::to("239.1.2.3:5004").on("net0").count(5).go();
        Sending::to("239.1.2.20:5004").on("net0").count(5).go();
    });
    w.until("traffic of the last row", |w| w.packets.get(&20) == Some(&5));
    assert_eq!(w.packets, BTreeMap::from([(0, 3000), (20, 5)]));
    let drops = |u: &Update| matches!(u, Update::RingDrops(_, n) if *n > 0);
    assert_eq!(w.told(drops), 0);
}

#[test]
fn a_lost_carrier_and_an_interface_made_anew_are_joined_again() {
    let Some(lab) = lab!(Options::default()) else { return };
    let mut w = Watching::start(&lab);
    w.join(0, "239.1.1.1");
    w.join(1, "ff05::77");
    w.until("memberships", |w| w.told(joined) == 2);
    let rejoined = |u: &Update| matches!(u, Update::Rejoined(..));
    lab.link(2, "net0", false);
    w.until("news of the carrier", |w| {
        w.told(|u| matches!(u, Update::Ifaces(l) if l.iter().any(|i| &*i.name == "net0" && i.carrier == Some(false)))) > 0
    });
    lab.link(2, "net0", true);
    w.until("rejoins", |w| w.told(rejoined) == 2);
    let traffic = |to| lab.inside(2, || Sending::to(to).on("net0").count(50).pps(1000).go());
    traffic("239.1.1.1:5004");
    traffic("[ff05::77]:5004");
    w.until("traffic after it", |w| w.packets == BTreeMap::from([(0, 50), (1, 50)]));
    lab.delete_link(1, 0);
    w.until("failures", |w| w.told(|u| matches!(u, Update::Failed { .. })) == 2);
    lab.recreate_links(0);
    w.until("rejoins", |w| w.told(rejoined) >= 4);
    // The carrier of the new interface may come after it, and then there is one more rejoin under way.
    w.until("traffic on the new interface", |w| {
        traffic("239.1.1.1:5004");
        traffic("[ff05::77]:5004");
        w.packets.values().all(|&n| n > 50)
    });
}

#[test]
fn a_sender_is_blocked_and_let_through_again() {
    let Some(lab) = lab!(Options::default()) else { return };
    let mut w = Watching::start(&lab);
    w.join(0, "239.1.1.1");
    w.join(1, "239.1.1.2");
    w.until("memberships", |w| w.told(joined) == 2);
    let sender = lab.v4(2).into();
    let send = || lab.inside(2, || Sending::to("239.1.1.1:5004").on("net0").count(20).pps(2000).go());
    let filters = |w: &Watching| w.told(|u| matches!(u, Update::Filter(..)));
    send();
    w.until("traffic", |w| w.packets == BTreeMap::from([(0, 20)]));
    w.engine.command(Command::Block(MembershipId(0), sender));
    w.until("a filter", |w| filters(w) == 1);
    send();
    // When this one is through, so are those before it.
    lab.inside(2, || Sending::to("239.1.1.2:5004").on("net0").count(1).go());
    w.until("the one after the blocked ones", |w| w.packets.contains_key(&1));
    w.engine.command(Command::Unblock(MembershipId(0), sender));
    w.until("no filter", |w| filters(w) == 2);
    send();
    w.until("traffic again", |w| w.packets[&0] >= 40);
    assert_eq!(w.packets, BTreeMap::from([(0, 40), (1, 1)]), "what was blocked is not counted");
}

#[test]
fn a_responder_answers_from_a_ring_as_from_a_socket() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let words = "respond 239.1.1.1%net0:7645 [ff05::77%net0]:7645 --capture ring";
    let mut program = support::program::start(&sandbox, Some((&lab, 1)), words);
    for _ in 0..2 {
        program.wait_line("a join", |l| l.contains("joined"));
    }
    for group in ["239.1.1.1%net0:7645", "[ff05::77%net0]:7645"] {
        let words = format!("send {group} -c 3 --rate 50 --await-reply 700ms");
        let outcome = support::program::run(&sandbox, Some((&lab, 2)), &words).code(0);
        let answers = outcome.stdout.lines().filter(|l| l.contains("answer to number")).count();
        assert_eq!(answers, 3, "{outcome}");
    }
    support::program::interrupt(program).prints("3 datagrams heard, 3 answered");
}
