//! Real multicast on the loopback interface, as an ordinary user, by both receivers.

use std::net::UdpSocket;

use super::*;
use crate::base::batch::{Batch, Datagram, SLOTS};
use crate::base::group::SourceFilter;
use crate::net::error::Kind;
use crate::net::send::{SendOptions, SendSocket};

const LO: u32 = 1;
const ID: MembershipId = MembershipId(7);
const BOTH: [Receiver; 2] = [Receiver::Native, Receiver::Portable];

/// A port that no other test, in whatever process, has at the same time: held on the loopback address,
/// where a socket bound to a group does not clash with it.
struct Port(UdpSocket);

impl Port {
    fn new() -> Port {
        Port(UdpSocket::bind("127.0.0.1:0").unwrap())
    }

    fn number(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn membership(group: &str, port: &Port, filter: SourceFilter) -> Membership {
    Membership { group: ip(group), port: port.number(), iface: "lo".into(), filter }
}

fn open(group: &str, port: &Port, filter: SourceFilter, receiver: Receiver) -> GroupSocket {
    let options = SocketOptions { receiver, ..SocketOptions::default() };
    GroupSocket::open(&membership(group, port, filter), LO, &options).unwrap()
}

fn sender(group: &str, port: &Port, from: &str) -> SendSocket {
    let to = Endpoint::new(ip(group), port.number());
    SendSocket::open(&SendOptions { source_ip: Some(ip(from)), ..SendOptions::new(to, LO, "lo") }).unwrap()
}

/// What is in the socket now: on loopback a datagram is there when the send call returns.
fn all(socket: &mut GroupSocket) -> Vec<(Datagram, Vec<u8>)> {
    let mut out = Vec::new();
    let mut batch = Batch::new();
    for _ in 0..1000 {
        batch.clear();
        let received = socket.receive(&mut batch, ID).unwrap();
        assert_eq!(received.kept, batch.datagrams().len());
        out.extend(batch.datagrams().iter().map(|d| (*d, batch.payload(d).to_vec())));
        if received.dry {
            return out;
        }
    }
    panic!("never dry");
}

fn payloads(socket: &mut GroupSocket) -> Vec<String> {
    all(socket).into_iter().map(|(_, p)| String::from_utf8(p).unwrap()).collect()
}

#[test]
fn a_datagram_comes_with_its_source_size_ttl_tos_time_and_interface() {
    for receiver in BOTH {
        let port = Port::new();
        let mut socket = open("239.255.71.1", &port, SourceFilter::Any, receiver);
        let to = Endpoint::new(ip("239.255.71.1"), port.number());
        let options = SendOptions { ttl: 5, dscp: 46, ..SendOptions::new(to, LO, "lo") };
        let tx = SendSocket::open(&options).unwrap();
        let before = crate::net::clock::now();
        assert_eq!(tx.send(b"hello").unwrap(), 5);
        let mut batch = Batch::new();
        let received = socket.receive(&mut batch, ID).unwrap();
        // Not before receiving: the kernel begins to stamp a moment after the first socket asks.
        let after = crate::net::clock::now();
        assert_eq!(received, Received { taken: 1, kept: 1, dry: true }, "{receiver:?}");
        let d = batch.datagrams()[0];
        assert_eq!(batch.payload(&d), b"hello");
        assert_eq!(d.source, Endpoint::new(ip("127.0.0.1"), tx.local().port));
        assert_eq!(d.source, tx.local());
        assert_eq!((d.membership, d.len, d.captured, d.ifindex), (ID, 5, 5, LO));
        assert_eq!((d.ttl, d.tos), (Some(5), Some(46 << 2)));
        assert!(before.wall <= d.time && d.time <= after.wall, "{before:?} {:?} {after:?}", d.time);
        let offset = batch.received.offset_ns() - after.offset_ns();
        assert!(offset.abs() < 1_000_000, "the batch's clock offset is off by {offset} ns");
    }
}

#[test]
fn the_shortest_and_the_longest_datagram_are_received_whole() {
    for receiver in BOTH {
        let port = Port::new();
        let mut socket = open("239.255.71.2", &port, SourceFilter::Any, receiver);
        let tx = sender("239.255.71.2", &port, "127.0.0.1");
        for len in [0usize, 1, 1473, 2047, 2048, 2049, 9000, 65_507] {
            let sent: Vec<u8> = (0..len).map(|i| (i * 7 + len) as u8).collect();
            tx.send(&sent).unwrap();
            let got = all(&mut socket);
            assert_eq!(got.len(), 1, "{receiver:?}, {len} bytes");
            assert_eq!((got[0].0.len as usize, got[0].0.is_truncated()), (len, false));
            assert!(got[0].1 == sent, "{receiver:?}, {len} bytes: payload differs");
        }
        assert!(tx.send(&vec![0; 65_508]).is_err_and(|e| e.kind() == Kind::TooLong));
    }
}

#[test]
fn a_burst_comes_in_order_and_fills_a_batch_that_holds_some() {
    for receiver in BOTH {
        let port = Port::new();
        let mut socket = open("239.255.71.3", &port, SourceFilter::Any, receiver);
        let tx = sender("239.255.71.3", &port, "127.0.0.1");
        tx.send(b"first").unwrap();
        let mut batch = Batch::new();
        assert!(socket.receive(&mut batch, ID).unwrap().dry);
        let texts: Vec<String> = (0..SLOTS).map(|i| format!("{i}")).collect();
        let texts: Vec<&[u8]> = texts.iter().map(|t| t.as_bytes()).collect();
        assert_eq!(tx.send_many(&texts).unwrap(), SLOTS);
        let received = socket.receive(&mut batch, ID).unwrap();
        assert_eq!(received, Received { taken: SLOTS - 1, kept: SLOTS - 1, dry: false });
        assert!(batch.is_full());
        assert_eq!(
            socket.receive(&mut batch, ID).unwrap(),
            Received::default(),
            "a full batch takes nothing"
        );
        let got: Vec<&[u8]> = batch.datagrams().iter().map(|d| batch.payload(d)).collect();
        assert_eq!(got[0], b"first");
        assert_eq!(&got[1..], &texts[..SLOTS - 1]);
        batch.clear();
        assert_eq!(socket.receive(&mut batch, ID).unwrap(), Received { taken: 1, kept: 1, dry: true });
        assert_eq!(batch.payload(&batch.datagrams()[0]), texts[SLOTS - 1]);
    }
}

#[test]
fn another_group_on_the_same_port_is_not_received() {
    for receiver in BOTH {
        let port = Port::new();
        let mut socket = open("239.255.71.4", &port, SourceFilter::Any, receiver);
        let mut other = open("239.255.71.5", &port, SourceFilter::Any, receiver);
        sender("239.255.71.5", &port, "127.0.0.1").send(b"other").unwrap();
        sender("239.255.71.4", &port, "127.0.0.1").send(b"ours").unwrap();
        assert_eq!(payloads(&mut socket), ["ours"]);
        assert_eq!(payloads(&mut other), ["other"]);
    }
}

#[test]
fn two_sockets_of_one_group_both_receive() {
    let port = Port::new();
    let mut first = open("239.255.71.6", &port, SourceFilter::Any, Receiver::Native);
    let mut second = open("239.255.71.6", &port, SourceFilter::Any, Receiver::Portable);
    sender("239.255.71.6", &port, "127.0.0.1").send(b"x").unwrap();
    assert_eq!(payloads(&mut first), ["x"]);
    assert_eq!(payloads(&mut second), ["x"]);
}

#[test]
fn a_source_specific_membership_has_only_its_sources() {
    for receiver in BOTH {
        let port = Port::new();
        let filter = SourceFilter::Include(vec![ip("127.0.0.2"), ip("127.0.0.3")]);
        let mut socket = open("232.71.0.1", &port, filter, receiver);
        for from in ["127.0.0.1", "127.0.0.2", "127.0.0.3"] {
            sender("232.71.0.1", &port, from).send(from.as_bytes()).unwrap();
        }
        assert_eq!(payloads(&mut socket), ["127.0.0.2", "127.0.0.3"]);
        let refused = socket.block(ip("127.0.0.2")).unwrap_err().to_string();
        assert!(refused.contains("join the group again without 127.0.0.2"), "{refused}");
    }
}

#[test]
fn blocking_and_unblocking_a_sender_takes_effect_at_once() {
    for receiver in BOTH {
        let port = Port::new();
        let group = "239.255.71.7";
        let mut socket = open(group, &port, SourceFilter::Exclude(vec![ip("127.0.0.3")]), receiver);
        let round = |socket: &mut GroupSocket| {
            for from in ["127.0.0.1", "127.0.0.2", "127.0.0.3"] {
                sender(group, &port, from).send(from.as_bytes()).unwrap();
            }
            payloads(socket)
        };
        assert_eq!(round(&mut socket), ["127.0.0.1", "127.0.0.2"]);
        socket.block(ip("127.0.0.2")).unwrap();
        socket.block(ip("127.0.0.2")).unwrap();
        assert_eq!(round(&mut socket), ["127.0.0.1"]);
        socket.unblock(ip("127.0.0.2")).unwrap();
        socket.unblock(ip("127.0.0.3")).unwrap();
        socket.unblock(ip("127.0.0.3")).unwrap();
        assert_eq!(round(&mut socket), ["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
        assert_eq!(socket.membership().filter, SourceFilter::Any);
    }
}

#[test]
fn what_was_queued_before_a_block_is_passed_over_and_the_rest_keeps_its_bytes() {
    for receiver in BOTH {
        let port = Port::new();
        let group = "239.255.71.8";
        let mut socket = open(group, &port, SourceFilter::Any, receiver);
        let (good, bad) = (sender(group, &port, "127.0.0.1"), sender(group, &port, "127.0.0.2"));
        let long = vec![9u8; 5000];
        for _ in 0..5 {
            bad.send(b"no").unwrap();
            good.send(b"yes").unwrap();
            good.send(&long).unwrap();
        }
        socket.block(ip("127.0.0.2")).unwrap();
        let mut batch = Batch::new();
        assert_eq!(socket.receive(&mut batch, ID).unwrap(), Received { taken: 15, kept: 10, dry: true });
        for pair in batch.datagrams().chunks(2) {
            assert_eq!(batch.payload(&pair[0]), b"yes");
            assert!(batch.payload(&pair[1]) == long, "{receiver:?}");
        }
        // The slots left free are usable.
        good.send(b"later").unwrap();
        assert_eq!(socket.receive(&mut batch, ID).unwrap().kept, 1);
        assert_eq!(batch.payload(&batch.datagrams()[10]), b"later");
        assert_eq!(batch.payload(&batch.datagrams()[8]), b"yes");
    }
}

#[test]
fn draining_counts_exactly_and_only_what_is_ours() {
    for receiver in BOTH {
        let port = Port::new();
        let group = "239.255.71.9";
        let mut socket = open(group, &port, SourceFilter::Any, receiver);
        let (good, bad) = (sender(group, &port, "127.0.0.1"), sender(group, &port, "127.0.0.2"));
        let mut expected = Drained::default();
        for i in 0..70usize {
            let len = if i == 20 { 60_000 } else { i };
            good.send(&vec![0; len]).unwrap();
            expected.packets += 1;
            expected.bytes += len as u64;
        }
        for _ in 0..3 {
            bad.send(b"no").unwrap();
        }
        socket.block(ip("127.0.0.2")).unwrap();
        let mut drained = Drained::default();
        let received = socket.drain(&mut drained).unwrap();
        assert_eq!(received, Received { taken: 73, kept: 70, dry: true }, "{receiver:?}");
        assert_eq!(drained, expected);
        assert_eq!(socket.drain(&mut drained).unwrap(), Received { taken: 0, kept: 0, dry: true });
        assert_eq!(drained, expected);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn every_datagram_is_received_or_counted_as_dropped() {
    for receiver in BOTH {
        let port = Port::new();
        let group = "239.255.71.10";
        let mut socket = open(group, &port, SourceFilter::Any, receiver);
        let granted = socket.set_rcvbuf(20_000).unwrap();
        assert_eq!((granted.asked, granted.granted, granted.clamped), (Some(20_000), 20_000, None));
        assert_eq!((socket.drops(), socket.queued()), (Some(0), Some(0)));
        let tx = sender(group, &port, "127.0.0.1");
        let payload = [0u8; 500];
        let (mut sent, mut received) = (0, 0);
        for _ in 0..3 {
            sent += tx.send_many(&[&payload[..]; 200]).unwrap() as u64;
            assert!(socket.queued().unwrap() > 0);
            // Silent since: the last drops are told all the same.
            let drops = socket.drops().unwrap();
            received += all(&mut socket).len() as u64;
            assert_eq!(received + drops, sent, "{receiver:?}");
            assert!(drops > 0 && received > 0);
        }
        assert_eq!(socket.queued(), Some(0));
    }
}

#[test]
fn waiting_tells_the_socket_from_the_waker() {
    let port = Port::new();
    let mut socket = open("239.255.71.11", &port, SourceFilter::Any, Receiver::Native);
    let waker = Waker::new().unwrap();
    let now = Some(Duration::ZERO);
    assert_eq!(socket.wait(&waker, now).unwrap(), Ready { socket: false, woken: false });
    waker.wake();
    assert_eq!(socket.wait(&waker, None).unwrap(), Ready { socket: false, woken: true });
    sender("239.255.71.11", &port, "127.0.0.1").send(b"x").unwrap();
    assert_eq!(socket.wait(&waker, None).unwrap(), Ready { socket: true, woken: true });
    waker.clear();
    assert_eq!(socket.wait(&waker, None).unwrap(), Ready { socket: true, woken: false });
    assert_eq!(payloads(&mut socket), ["x"]);
    assert_eq!(socket.wait(&waker, now).unwrap(), Ready::default());
}

#[test]
fn joining_again_keeps_the_filter_and_goes_on_receiving() {
    for filter in [
        SourceFilter::Any,
        SourceFilter::Exclude(vec![ip("127.0.0.2")]),
        SourceFilter::Include(vec![ip("127.0.0.1")]),
    ] {
        let port = Port::new();
        let mut socket = open("239.255.71.12", &port, filter.clone(), Receiver::Native);
        assert_eq!(socket.rejoin(LO).unwrap(), Drained::default());
        for from in ["127.0.0.1", "127.0.0.2"] {
            sender("239.255.71.12", &port, from).send(from.as_bytes()).unwrap();
        }
        let expected: &[&str] =
            if filter == SourceFilter::Any { &["127.0.0.1", "127.0.0.2"] } else { &["127.0.0.1"] };
        assert_eq!(payloads(&mut socket), expected, "{filter:?}");
    }
}

#[test]
fn an_interface_that_does_not_exist_is_named_and_can_be_tried_again() {
    let port = Port::new();
    let m = Membership { iface: "eth7".into(), ..membership("239.255.71.13", &port, SourceFilter::Any) };
    let error = GroupSocket::open(&m, 999_999, &SocketOptions::default()).err().unwrap();
    assert_eq!(error.kind(), Kind::NoSuchInterface);
    assert!(
        error.to_string().starts_with("cannot join 239.255.71.13 on eth7 (MCAST_JOIN_GROUP): "),
        "{error}"
    );
    assert!(error.remedy().unwrap().contains("mcscope interfaces"));

    // Moving there fails; what is received and counted stays exact all the same.
    let mut socket = open("239.255.71.13", &port, SourceFilter::Any, Receiver::Native);
    let tx = sender("239.255.71.13", &port, "127.0.0.1");
    tx.send(b"queued").unwrap();
    assert!(socket.rejoin(999_999).is_err());
    tx.send(b"meanwhile").unwrap();
    assert_eq!(socket.rejoin(LO).unwrap(), Drained { packets: 1, bytes: 6 });
    tx.send(b"again").unwrap();
    assert_eq!(payloads(&mut socket), ["meanwhile", "again"]);
    assert_eq!(socket.rejoin(LO).unwrap(), Drained::default());
}

#[cfg(target_os = "linux")]
#[test]
fn too_many_sources_say_how_many_and_which_setting_helps() {
    let limit = std::fs::read_to_string("/proc/sys/net/ipv4/igmp_max_msf").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    if limit > 200 {
        return;
    }
    let port = Port::new();
    let sources: Vec<IpAddr> = (0..=limit).map(|i| IpAddr::from([127, 0, 1, i as u8 + 1])).collect();
    let m = membership("232.71.0.2", &port, SourceFilter::Include(sources.clone()));
    let error = GroupSocket::open(&m, LO, &SocketOptions::default()).err().unwrap();
    let text = error.to_string();
    assert!(text.contains(&format!("by {} sources (MCAST_JOIN_SOURCE_GROUP)", limit + 1)), "{text}");
    assert!(text.contains(&format!("net.ipv4.igmp_max_msf={}", limit + 1)), "{text}");
}

#[test]
fn a_port_held_unshared_is_told_with_the_way_to_find_who() {
    let group = "239.255.71.15";
    let holder = UdpSocket::bind((group.parse::<Ipv4Addr>().unwrap(), 0));
    // Windows binds to no group.
    let Ok(holder) = holder else { return };
    let m = Membership {
        group: ip(group),
        port: holder.local_addr().unwrap().port(),
        iface: "lo".into(),
        filter: SourceFilter::Any,
    };
    let error = GroupSocket::open(&m, LO, &SocketOptions::default()).err().unwrap();
    assert_eq!(error.kind(), Kind::InUse);
    assert!(error.to_string().contains(&format!("cannot bind to {group}:{}", m.port)), "{error}");
    assert!(error.remedy().unwrap().contains(&format!("{}", m.port)), "{error}");
}
