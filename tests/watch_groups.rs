//! `mcscope watch` between hosts: what is counted is what was sent, and belongs to the right group,
//! source and interface.
#![cfg(target_os = "linux")]

#[macro_use]
mod support;

use serde_json::Value;

use support::judge::Judge;
use support::netns::{Join, Lab, Options};
use support::program::{counted, interrupt, last, of_type, start, until_total, watch};
use support::run::Sandbox;
use support::traffic::{Count, Counts, Flow, Listener, Payload, Sending, total};

/// What the `final` lines of scope `source` say, to be compared with what was sent.
fn sources(lines: &[Value]) -> Counts {
    let of_source = |v: &&Value| v["scope"] == "source";
    let flow = |v: &Value| {
        let text = |name: &str| v[name].as_str().unwrap_or_else(|| panic!("{name} in {v}"));
        let port = v["port"].as_u64().expect("a port") as u16;
        let to = std::net::SocketAddr::new(text("group").parse().expect("a group"), port);
        // A link-local source has its interface behind it.
        let from = match text("source").split_once('%') {
            Some((address, rest)) => format!("{address}]{}", rest.split_once(']').expect("a bracket").1),
            None => text("source").into(),
        };
        (Flow { from: from.parse().unwrap_or_else(|e| panic!("{from}: {e}")), to }, counted(v))
    };
    of_type(lines, "final").into_iter().filter(of_source).map(flow).collect()
}

/// Group, interface and packets of the `final` lines of scope `group`, in order.
fn groups(lines: &[Value]) -> Vec<(&str, &str, u64)> {
    let of_group = |v: &&Value| v["scope"] == "group";
    let finals = of_type(lines, "final").into_iter().filter(of_group);
    let mut rows: Vec<_> = finals
        .filter_map(|v| Some((v["group"].as_str()?, v["iface"].as_str()?, v["packets"].as_u64()?)))
        .collect();
    rows.sort_unstable();
    rows
}

#[test]
fn counts_of_both_families_are_the_senders_and_the_judges() {
    let Some(lab) = lab!(Options::default()) else { return };
    let Some(judge) = Judge::listen(test_name!(), &lab, 2, "net0") else { return };
    let sandbox = Sandbox::new();
    let specs = "239.1.1.1%net0:5004 [ff15::1%net0]:5004 [ff02::123%net0]:7645";
    let mut program = watch(&sandbox, Some((&lab, 2)), &format!("--stats-only --rcvbuf 4MiB {specs}"), 3);
    let sizes = [44, 1400, 0, 700, 2500];
    let v4 = Sending::to("239.1.1.1:5004").on("net0").sizes(&sizes).count(1500).pps(5000);
    let v6 = Sending::to("[ff15::1]:5004").on("net0").sizes(&sizes).count(1000).pps(5000);
    let link = Sending::to("[ff02::123]:7645").on("net0").source(lab.link_local(1, "net0"), 7000).count(9);
    let mut sent = Counts::new();
    for sending in [v4, v6, link] {
        sent.extend(lab.inside(1, || sending.go()).counts);
    }
    until_total(&mut program, total(&sent).packets);
    let lines = interrupt(program).json();
    assert_eq!(sources(&lines), sent);
    assert_eq!(judge.counts(), sent);
    let all = last(&lines, "total", |_| true);
    assert_eq!(counted(all), total(&sent));
    assert_eq!((&all["socket_drops"], &all["not_analysed"]), (&0.into(), &0.into()));
    assert_eq!(last(&lines, "interface", |_| true)["iface"], "net0");
}

#[test]
fn fragmented_largest_and_empty_datagrams_arrive_whole() {
    let Some(lab) = lab!(Options::default()) else { return };
    let Some(judge) = Judge::listen(test_name!(), &lab, 2, "net0") else { return };
    let sandbox = Sandbox::new();
    let words = "--snap 70000 --rcvbuf 4MiB 234.2.2.2%net0:8888 [ff15::2%net0]:8888";
    let mut program = watch(&sandbox, Some((&lab, 2)), words, 2);
    let bytes: Vec<u8> = (0..65_507u32).map(|i| (i % 251) as u8).collect();
    let payload = Payload::Bytes(bytes.clone());
    // A plain program that names no interface, from a port of its own.
    let plain = Sending::to("234.2.2.2:8888").port(9999).payload(payload.clone());
    let plain = plain.sizes(&[1473, 65_507, 0, 1472]).count(4).ttl(1);
    let v6 = Sending::to("[ff15::2]:8888").on("net0").port(9999).payload(payload);
    let v6 = v6.sizes(&[1453, 65_507, 0]).count(3);
    let mut sent = lab.inside(1, || plain.go()).counts;
    sent.extend(lab.inside(1, || v6.go()).counts);
    until_total(&mut program, 7);
    let lines = interrupt(program).json();
    assert_eq!(sources(&lines), sent);
    assert_eq!(judge.counts(), sent);
    for (family, source, sizes) in [
        ("234.2.2.2", format!("{}:9999", lab.v4(1)), vec![1473, 65_507, 0, 1472]),
        ("ff15::2", format!("[{}]:9999", lab.v6(1)), vec![1453, 65_507, 0]),
    ] {
        let packets: Vec<_> =
            of_type(&lines, "packet").into_iter().filter(|p| p["group"] == family).collect();
        let seen: Vec<u64> = packets.iter().filter_map(|p| p["size_bytes"].as_u64()).collect();
        assert_eq!(seen, sizes, "{family}");
        for (p, size) in packets.iter().zip(sizes) {
            assert_eq!(p["source"], source, "{family}");
            let hex: String = bytes[..size as usize].iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(p["payload_hex"].as_str(), Some(&*hex), "{size} bytes to {family} are not as sent");
        }
    }
    // Two fragments of 20 + 8 + 1473 bytes and their second header.
    let ip = |size: u64, fragments: u64| 8 + size + 20 * fragments;
    let v4 = last(&lines, "group", |g| g["group"] == "234.2.2.2");
    assert_eq!(v4["ip_bytes"], ip(1473, 2) + ip(65_507, 45) + ip(0, 1) + ip(1472, 1), "{v4}");
    assert_eq!(v4["truncated"], 0);
}

#[test]
fn two_senders_on_one_group_are_two_sources() {
    let Some(lab) = lab!(Options::default()) else { return };
    let sandbox = Sandbox::new();
    let mut program = watch(&sandbox, Some((&lab, 2)), "239.1.1.1%net0:5004", 1);
    // Each with its own numbers: taken together they would look like loss and duplicates.
    let probe = |run| Payload::Probe { run };
    let one = Sending::to("239.1.1.1:5004").on("net0").port(4001).payload(probe(1)).count(60).pps(2000);
    let other = Sending::to("239.1.1.1:5004").on("net0").port(4002).payload(probe(2)).count(40).pps(2000);
    let (one, other) = lab.inside(1, || {
        std::thread::scope(|s| {
            // A thread of a host's thread is in the host.
            let one = s.spawn(|| one.go());
            (other.go(), one.join().expect("the sender ends"))
        })
    });
    let mut sent = one.counts;
    sent.extend(other.counts);
    until_total(&mut program, 100);
    let lines = interrupt(program).json();
    assert_eq!(sources(&lines), sent);
    let group = last(&lines, "group", |_| true);
    assert_eq!((&group["sources"], &group["packets"]), (&2.into(), &100.into()));
    assert_eq!((&group["lost"], &group["duplicates"]), (&0.into(), &0.into()));
    let appeared = of_type(&lines, "event").iter().filter(|e| e["event"] == "source_appeared").count();
    assert_eq!(appeared, 2);
}

#[test]
fn what_other_programs_joined_is_never_counted_as_ours() {
    let Some(lab) = lab!(Options { networks: 2, ..Options::default() }) else { return };
    let sandbox = Sandbox::new();
    let specs = "239.1.1.1%net0:5004 [ff15::1%net0]:5004";
    let mut program = watch(&sandbox, Some((&lab, 2)), specs, 2);
    // Another program on the same port: another group, and the same group on another interface.
    let others = lab.inside(2, || {
        [
            ("239.1.1.2:5004", "net0"),
            ("239.1.1.1:5004", "net1"),
            ("[ff15::2]:5004", "net0"),
            ("[ff15::1]:5004", "net1"),
        ]
        .map(|(group, iface)| Listener::join(group, iface))
    });
    let mut foreign = 0;
    for (group, iface) in [
        ("239.1.1.2:5004", "net0"),
        ("239.1.1.1:5004", "net1"),
        ("[ff15::2]:5004", "net0"),
        ("[ff15::1]:5004", "net1"),
    ] {
        foreign += total(&lab.inside(1, || Sending::to(group).on(iface).count(5).go()).counts).packets;
    }
    // Unicast to the port is no multicast either.
    lab.inside(1, || Sending::to(&format!("{}:5004", lab.v4(2))).count(5).go());
    assert_eq!(foreign, 20);
    for other in &others {
        assert!(other.wait().payload.len() == 100, "the other program hears it");
    }
    lab.inside(1, || Sending::to("239.1.1.1:5004").on("net0").count(3).go());
    lab.inside(1, || Sending::to("[ff15::1]:5004").on("net0").count(2).go());
    until_total(&mut program, 5);
    let lines = interrupt(program).json();
    assert_eq!(groups(&lines), [("239.1.1.1", "net0", 3), ("ff15::1", "net0", 2)]);
    assert_eq!(last(&lines, "total", |_| true)["packets"], 5);
}

#[test]
fn a_group_on_two_interfaces_is_two_rows_with_each_its_own_traffic() {
    let Some(lab) = lab!(Options { networks: 2, ..Options::default() }) else { return };
    let sandbox = Sandbox::new();
    let specs = "239.1.1.1%net0,net1:5004 [ff15::1%net0,net1]:5004";
    let mut program = watch(&sandbox, Some((&lab, 2)), specs, 4);
    for (group, iface, count) in [
        ("239.1.1.1:5004", "net0", 3),
        ("239.1.1.1:5004", "net1", 5),
        ("[ff15::1]:5004", "net0", 7),
        ("[ff15::1]:5004", "net1", 11),
    ] {
        lab.inside(1, || Sending::to(group).on(iface).count(count).go());
    }
    until_total(&mut program, 26);
    let lines = interrupt(program).json();
    let rows = groups(&lines);
    assert_eq!(
        rows,
        [("239.1.1.1", "net0", 3), ("239.1.1.1", "net1", 5), ("ff15::1", "net0", 7), ("ff15::1", "net1", 11)]
    );
    let of = |iface: &str| last(&lines, "interface", |i| i["iface"] == iface)["packets"].clone();
    assert_eq!((of("net0"), of("net1")), (10.into(), 16.into()));
    let from: Vec<_> = sources(&lines).into_keys().map(|f| f.from.ip()).collect();
    assert!(from.contains(&lab.v4_on(1, 1).into()) && from.contains(&lab.v6_on(1, 1).into()), "{from:?}");
}

#[test]
fn a_source_specific_join_shows_that_source_only() {
    let Some(lab) = lab!(Options::default()) else { return };
    lab.own_range(1, "172.31.0.0/24");
    lab.ip(1, "-6 addr add fd99::51/64 dev net0 nodad");
    let sandbox = Sandbox::new();
    // In the range set aside for it, outside of it, and in both families.
    let specs = "172.31.0.1@232.1.1.1%net0:5004 172.31.0.1,172.31.0.3@239.1.1.1%net0:5004 \
                 fd99::51@[ff3e::8000:1%net0]:5004";
    let mut program = watch(&sandbox, Some((&lab, 2)), specs, 3);
    let v4 = |to: &str, last: u8, n: u64| {
        let sending = Sending::to(to).on("net0").source([172, 31, 0, last], 4000).count(n);
        lab.inside(1, || sending.go());
    };
    for last in 1..=4 {
        v4("232.1.1.1:5004", last, 5);
        v4("239.1.1.1:5004", last, 2);
    }
    for source in [lab.v6(1), "fd99::51".parse().expect("an address")] {
        let sending = Sending::to("[ff3e::8000:1]:5004").on("net0").source(source, 4000).count(4);
        lab.inside(1, || sending.go());
    }
    until_total(&mut program, 5 + 4 + 4);
    let lines = interrupt(program).json();
    assert_eq!(
        groups(&lines),
        [("232.1.1.1", "net0", 5), ("239.1.1.1", "net0", 4), ("ff3e::8000:1", "net0", 4)]
    );
    let from: Vec<String> = sources(&lines).into_keys().map(|f| f.from.to_string()).collect();
    for wanted in ["172.31.0.1:4000", "172.31.0.3:4000", "[fd99::51]:4000"] {
        assert!(from.iter().any(|f| f == wanted), "{wanted} is missing in {from:?}");
    }
    assert_eq!(from.len(), 4, "{from:?}");
    // Listeners stand in any order.
    let joined = of_type(&lines, "joined");
    let told = joined.iter().find(|j| j["group"] == "239.1.1.1").expect("239.1.1.1 is joined");
    assert_eq!(told["sources"], Value::from(vec!["172.31.0.1", "172.31.0.3"]));
}

/// A host with what hosts have: a LAN by cable, another by a bridge, a container engine's bridge, a
/// tunnel where the kernel has one, and an interface that is down. Host 2 of a lab of two networks.
fn crowded(lab: &Lab) {
    lab.sh(
        2,
        "ip addr flush dev net1
         ip link add br0 type bridge mcast_snooping 0
         ip link set br0 addrgenmode none
         ip addr add 10.98.0.2/16 dev br0
         ip link set net1 master br0
         ip link set br0 up
         ip link add docker0 type bridge
         ip addr add 172.17.0.1/16 dev docker0
         ip link set docker0 up
         ip link add veth1 type veth peer name veth2
         ip link set veth1 master docker0 up
         ip link set veth2 down
         ip tuntap add tun0 mode tun && ip addr add 10.8.0.1/24 dev tun0 && ip link set tun0 up || true",
    );
}

#[test]
fn no_group_lands_on_a_bridge_port_a_container_bridge_or_a_tunnel() {
    let Some(lab) = lab!(Options { networks: 2, ..Options::default() }) else { return };
    crowded(&lab);
    let sandbox = Sandbox::new();
    for spec in ["239.1.1.1:5004", "239.1.1.1%all:5004"] {
        let mut program = watch(&sandbox, Some((&lab, 2)), spec, 2);
        lab.inside(1, || Sending::to("239.1.1.1:5004").on("net0").count(3).go());
        lab.inside(1, || Sending::to("239.1.1.1:5004").on("net1").count(4).go());
        until_total(&mut program, 7);
        let lines = interrupt(program).json();
        let rows = groups(&lines);
        assert_eq!(rows, [("239.1.1.1", "br0", 4), ("239.1.1.1", "net0", 3)], "{spec}");
        assert_eq!(of_type(&lines, "joined").len(), 2, "{spec}");
    }
    // Named, they are joined.
    let program = watch(&sandbox, Some((&lab, 2)), "239.1.1.1%docker0,net1:5004", 2);
    interrupt(program);
}

#[test]
fn without_a_candidate_the_loopback_is_joined() {
    let Some(lab) = lab!(Options { networks: 0, route: false, ..Options::default() }) else { return };
    let sandbox = Sandbox::new();
    let mut program = watch(&sandbox, Some((&lab, 1)), "239.1.1.1:5004", 1);
    lab.inside(1, || Sending::to("239.1.1.1:5004").on("lo").go());
    until_total(&mut program, 1);
    assert_eq!(groups(&interrupt(program).json()), [("239.1.1.1", "lo", 1)]);
}

#[test]
fn ranges_urls_and_names_join_what_they_mean() {
    let Some(lab) = lab!(Options { ipv6: true, ..Options::default() }) else { return };
    let sandbox = Sandbox::new();
    let mut program =
        watch(&sandbox, Some((&lab, 2)), "239.1.1.1+3%net0:5004 rtp://@239.2.2.2:6000 mdns%net0", 6);
    for to in ["239.1.1.3:5004", "239.2.2.2:6000", "224.0.0.251:5353", "[ff02::fb]:5353", "239.1.1.4:5004"] {
        lab.inside(1, || Sending::to(to).on("net0").go());
    }
    until_total(&mut program, 4);
    let lines = interrupt(program).json();
    let rows = groups(&lines);
    assert_eq!(
        rows,
        [
            ("224.0.0.251", "net0", 1),
            ("239.1.1.1", "net0", 0),
            ("239.1.1.2", "net0", 0),
            ("239.1.1.3", "net0", 1),
            ("239.2.2.2", "net0", 1),
            ("ff02::fb", "net0", 1)
        ]
    );
}

#[test]
fn a_switch_that_snoops_passes_what_was_joined_and_the_marking_is_told() {
    let switch = Join::Switch { snooping: true, querier: true };
    let Some(lab) = lab!(Options { hosts: 3, join: switch, ..Options::default() }) else { return };
    let sandbox = Sandbox::new();
    let mut program =
        start(&sandbox, Some((&lab, 3)), "watch --format json --interval 100ms 239.1.1.1%net0:5004");
    program.wait_json("the join", |v| v["type"] == "joined");
    // Two senders of other hosts; the second is marked otherwise from its third datagram on.
    let send = |host, tos, count| {
        let sending =
            Sending::to("239.1.1.1:5004").on("net0").port(4000 + u16::from(host)).tos(tos).count(count);
        lab.inside(host, || sending.go())
    };
    // The switch learns of the join from a report; until then it floods or holds back: wait for one.
    let mut heard = false;
    for _ in 0..200 {
        send(1, 0, 1);
        if program_has(&mut program) {
            heard = true;
            break;
        }
    }
    assert!(heard, "nothing passes the switch");
    send(2, 0xb8, 2);
    send(2, 0x28, 1);
    program.wait_json("the change of the marking", |v| {
        v["event"] == "marking_changed" && v["source"] == format!("{}:4002", lab.v4(2))
    });
    let lines = interrupt(program).json();
    let other = last(&lines, "source", |s| s["source"] == format!("{}:4002", lab.v4(2)));
    assert_eq!((counted(other), &other["dscp"]), (Count { packets: 3, bytes: 300 }, &10.into()));
}

/// Whether a packet is told with the next statistics.
fn program_has(program: &mut support::run::Running) -> bool {
    let line = program.wait_json("a packet or statistics", |v| {
        v["type"] == "packet" || v["type"] == "stats" && v["scope"] == "total"
    });
    line["type"] == "packet"
}
