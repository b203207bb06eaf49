//! Faults behind the firewall: ports, binds, buffers, checksums, fragments.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

use super::case::*;
use super::craft;
use super::support::netns::{Lab, Options, index};
use super::support::traffic::Sending;

/// A program's socket in host 2, bound here and joined on net0, with a buffer of this size if any.
#[track_caller]
fn member(lab: &Lab, bound: &str, group: &str, buffer: Option<usize>) -> Socket {
    let open = || -> std::io::Result<Socket> {
        let bound: SocketAddr = bound.parse().expect("an address");
        let socket = Socket::new(Domain::for_address(bound), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_reuse_address(true)?;
        if let Some(size) = buffer {
            socket.set_recv_buffer_size(size)?;
        }
        socket.bind(&bound.into())?;
        match group.parse().expect("a group") {
            IpAddr::V4(a) => {
                socket.join_multicast_v4_n(&a, &InterfaceIndexOrAddress::Index(index("net0")))?;
            }
            IpAddr::V6(a) => socket.join_multicast_v6(&a, index("net0"))?,
        }
        Ok(socket)
    };
    lab.inside(2, || open().unwrap_or_else(|e| panic!("join {group} at {bound}: {e}")))
}

#[test]
fn another_port() {
    let Some(lab) = lab!(Options::default()) else { return };
    for (group, there, to) in [(GROUP, "239.1.1.1:5006", TO), (GROUP6, "[ff15::1]:5006", TO6)] {
        let traffic = Traffic::to(there);
        dead(&lab, to, &traffic);
        let report = ask(&lab, group, &traffic);
        let first = report.leads_with("fail", "sock.port").shows(&["5006", "5004"]);
        assert!(first.remedy().contains(":5006"), "{report}");
        // The remedy is to ask for the right one.
        ask(&lab, &group.replace(":5004", ":5006"), &traffic).is_well();
    }
}

#[test]
fn a_port_that_another_program_holds_alone() {
    let Some(lab) = lab!(Options::default()) else { return };
    let held = lab.inside(2, || UdpSocket::bind("0.0.0.0:5004").expect("bind"));
    let report = ask(&lab, GROUP, &Traffic::to(TO));
    report.leads_with("fail", "sock.inuse").shows(&["5004", "(pid "]).remedy();
    drop(held);
    ask(&lab, GROUP, &Traffic::to(TO)).is_well();
    let held = lab.inside(2, || UdpSocket::bind("[::]:5004").expect("bind"));
    let report = ask(&lab, GROUP6, &Traffic::to(TO6));
    report.leads_with("fail", "sock.inuse").shows(&["5004", "(pid "]).remedy();
    drop(held);
}

#[test]
fn a_program_bound_to_its_unicast_address() {
    let Some(lab) = lab!(Options::default()) else { return };
    let deaf = member(&lab, "10.99.0.2:5004", "239.1.1.1", None);
    let report = ask(&lab, GROUP, &Traffic::to(TO));
    deaf.set_nonblocking(true).expect("set it");
    assert!(deaf.recv(&mut [std::mem::MaybeUninit::uninit(); 200]).is_err(), "the fault is none");
    report.leads_with("warn", "sock.bind").shows(&["10.99.0.2", "(pid "]).remedy();
}

#[test]
fn a_buffer_that_is_full() {
    let Some(lab) = lab!(Options::default()) else { return };
    for (group, to, bound, joined) in
        [(GROUP, TO, "239.1.1.1:5004", "239.1.1.1"), (GROUP6, TO6, "[::]:5004", "ff15::1")]
    {
        let udp = if to == TO { "Udp:" } else { "Udp6" };
        let before = counter(&lab, udp, "RcvbufErrors");
        let slow = member(&lab, bound, joined, Some(5000));
        let report = ask(&lab, group, &Traffic::to(to));
        assert!(counter(&lab, udp, "RcvbufErrors") > before, "the fault is none");
        let first = report.leads_with("fail", "sock.rcvbuf").shows(&["(pid "]);
        assert!(first.remedy().contains("SO_RCVBUF") || first.remedy().contains("rmem_max"), "{report}");
        drop(slow);
        ask(&lab, group, &Traffic::to(to)).is_well();
    }
}

#[test]
fn a_limit_on_buffers_is_a_property_of_the_host() {
    let Some(lab) = lab!(Options::default()) else { return };
    let report = ask(&lab, GROUP, &Traffic::to(TO));
    report.is_well();
    let limit = lab.sh(
        1,
        "cat /proc/sys/net/core/rmem_max 2>/dev/null || nsenter -t 1 -n cat /proc/sys/net/core/rmem_max",
    );
    let limit: u64 = limit.trim().parse().expect("a number");
    if limit < 1 << 20 {
        let note = report.has("note", "sock.rcvbuf");
        assert!(note.remedy().starts_with("sysctl -w net.core.rmem_max="), "{report}");
    }
}

#[test]
fn datagrams_with_a_bad_checksum() {
    let Some(lab) = lab!(Options::default()) else { return };
    let pairs: [(&str, &str, IpAddr); 2] = [(GROUP, TO, lab.v4(1).into()), (GROUP6, TO6, lab.v6(1).into())];
    for (group, to, source) in pairs {
        let bad = craft::falsified(source, address(to), 5004, b"here");
        let traffic = Traffic::packets(vec![bad]);
        dead(&lab, to, &traffic);
        let report = ask(&lab, group, &traffic);
        report.leads_with("fail", "sock.csum").shows(&["checksum"]).remedy();
        flows(&lab, to, &Traffic::packets(vec![craft::datagram(source, address(to), 5004, b"here")]));
    }
}

#[test]
fn datagrams_that_say_to_be_longer_than_they_are() {
    let Some(lab) = lab!(Options::default()) else { return };
    let (source, IpAddr::V4(to)) = (lab.v4(1), address(TO)) else { unreachable!("an IPv4 group") };
    let traffic = Traffic::packets(vec![craft::overlong(source, to, 5004, b"here")]);
    dead(&lab, TO, &traffic);
    let report = ask(&lab, GROUP, &traffic);
    report.leads_with("fail", "sock.length").shows(&["length"]).remedy();
}

#[test]
fn a_fragment_that_is_lost() {
    let Some(lab) = lab!(Options::default()) else { return };
    // Else the kernel says so half a minute later.
    set(&lab, "net.ipv4.ipfrag_time", "1");
    let (source, IpAddr::V4(to)) = (lab.v4(1), address(TO)) else { unreachable!("an IPv4 group") };
    let half = move |n: u64| vec![craft::first_fragment(source, to, 5004, n as u16 + 1)];
    let traffic = Traffic::Crafted("net0", Box::new(half));
    dead(&lab, TO, &traffic);
    let report = ask_for(&lab, "3s", GROUP, &traffic);
    let first = report.leads_with("fail", "ip.frag");
    assert!(first.remedy().contains("1472"), "{report}");
    // What the remedy says: datagrams that fit.
    flows(&lab, TO, &Traffic::Plain(Sending::to(TO).on("net0").port(5000).sizes(&[1472])));
}

#[test]
fn a_fragment_that_is_lost_of_ipv6() {
    let Some(lab) = lab!(Options::default()) else { return };
    set(&lab, "net.ipv6.ip6frag_time", "1");
    let (source, IpAddr::V6(to)) = (lab.v6(1), address(TO6)) else { unreachable!("an IPv6 group") };
    let half = move |n: u64| vec![craft::first_fragment6(source, to, 5004, n as u32 + 1)];
    let traffic = Traffic::Crafted("net0", Box::new(half));
    dead(&lab, TO6, &traffic);
    let report = ask_for(&lab, "3s", GROUP6, &traffic);
    let first = report.leads_with("fail", "ip.frag");
    assert!(first.remedy().contains("1452"), "{report}");
    assert!(counter(&lab, "Ip6", "ReasmFails") > 0, "the fault is none");
}

#[test]
fn every_datagram_comes_twice() {
    let Some(lab) = lab!(Options::default()) else { return };
    let source: IpAddr = lab.v4(1).into();
    let twice = move |n: u64| {
        let mut packet = craft::datagram(source, address(TO), 5004, &n.to_be_bytes());
        craft::identify(&mut packet, n as u16 + 1);
        vec![packet; 2]
    };
    let report = ask(&lab, GROUP, &Traffic::Crafted("net0", Box::new(twice)));
    report.leads_with("warn", "dup.paths").shows(&["%"]);
    // IPv6 has no identification: the same payload twice may be meant.
    let source: IpAddr = lab.v6(1).into();
    let twice = move |n: u64| vec![craft::datagram(source, address(TO6), 5004, &n.to_be_bytes()); 2];
    let report = ask(&lab, GROUP6, &Traffic::Crafted("net0", Box::new(twice)));
    report.has("unknown", "dup.paths");
}

#[test]
fn datagrams_in_fragments_that_all_arrive_are_noted() {
    let Some(lab) = lab!(Options::default()) else { return };
    let report = ask(&lab, GROUP, &Traffic::Plain(Sending::to(TO).on("net0").port(5000).sizes(&[4000])));
    report.is_well();
    report.has("note", "ip.frag");
}

#[test]
fn a_fault_beside_a_stream_that_flows_is_told_but_not_as_a_silence() {
    let Some(lab) = lab!(Options::default()) else { return };
    // The same host drops datagrams of another group: no matter for this one.
    let deaf = member(&lab, "239.7.7.7:7000", "239.7.7.7", Some(3000));
    let both = Traffic::Crafted("net0", {
        let source: IpAddr = lab.v4(1).into();
        let other: IpAddr = Ipv4Addr::new(239, 7, 7, 7).into();
        Box::new(move |_| {
            vec![
                craft::datagram(source, address(TO), 5004, b"here"),
                craft::datagram(source, other, 7000, b"there"),
            ]
        })
    });
    let report = ask(&lab, GROUP, &both);
    drop(deaf);
    assert!(!report.findings.iter().any(|f| f.verdict == "fail"), "{report}");
}
