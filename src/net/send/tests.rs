//! Sending and replying on the loopback interface.

use std::net::UdpSocket;

use super::*;
use crate::net::error::Kind;

const LO: u32 = 1;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn to(text: &str) -> Endpoint {
    text.parse::<SocketAddr>().unwrap().into()
}

#[test]
fn a_reply_comes_back_with_who_and_how_far() {
    let peer = UdpSocket::bind("127.0.0.2:0").unwrap();
    let group = to("239.255.72.1:7645");
    let mut tx = SendSocket::open(&SendOptions::new(group, LO, "lo")).unwrap();
    assert_eq!(tx.local().ip, ip("127.0.0.1"));
    assert!(tx.local().port > 0);
    let before = crate::net::clock::now().wall;
    peer.send_to(b"pong", tx.local().to_socket_addr(0)).unwrap();
    let waker = Waker::new().unwrap();
    let mut buf = [0; 100];
    let reply = tx.receive_reply(&mut buf, &waker, Some(Duration::from_secs(60))).unwrap().unwrap();
    assert_eq!(&buf[..reply.len], b"pong");
    assert_eq!(reply.from, Endpoint::from(peer.local_addr().unwrap()));
    assert_eq!((reply.ttl, reply.ifindex), (Some(64), LO));
    let after = crate::net::clock::now().wall;
    assert!(before <= reply.time && reply.time <= after, "{before:?} {:?} {after:?}", reply.time);

    waker.wake();
    assert_eq!(tx.receive_reply(&mut buf, &waker, None).unwrap(), None);
    waker.clear();
    assert_eq!(tx.receive_reply(&mut buf, &waker, Some(Duration::ZERO)).unwrap(), None);
}

#[test]
fn a_sender_answers_one_host_from_the_same_port() {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let tx = SendSocket::open(&SendOptions::new(to("239.255.72.2:7645"), LO, "lo")).unwrap();
    tx.send_to(b"answer", peer.local_addr().unwrap().into()).unwrap();
    let mut buf = [0; 100];
    let (n, from) = peer.recv_from(&mut buf).unwrap();
    assert_eq!((&buf[..n], from.port()), (&b"answer"[..], tx.local().port));
}

#[test]
fn somebody_elses_group_on_the_senders_port_is_no_reply() {
    let group: Ipv4Addr = "239.255.72.3".parse().unwrap();
    let source_ip = Some(ip("0.0.0.0"));
    let options = SendOptions { source_ip, ..SendOptions::new(to("239.255.72.3:7645"), LO, "lo") };
    let mut tx = SendSocket::open(&options).unwrap();
    // Another socket joins; the group's traffic goes to the sender's own port.
    let other = UdpSocket::bind("0.0.0.0:0").unwrap();
    other.join_multicast_v4(&group, &Ipv4Addr::LOCALHOST).unwrap();
    let there = Endpoint::new(group.into(), tx.local().port);
    let to_it = SendSocket::open(&SendOptions::new(there, LO, "lo")).unwrap();
    to_it.send(b"not for you").unwrap();
    let waker = Waker::new().unwrap();
    assert_eq!(tx.receive_reply(&mut [0; 100], &waker, Some(Duration::ZERO)).unwrap(), None);
}

#[test]
fn the_source_port_is_the_one_asked_for_even_beside_a_listener() {
    let listener = UdpSocket::bind("127.0.0.3:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let options = SendOptions {
        source_port: Some(port),
        source_ip: Some(ip("127.0.0.4")),
        ..SendOptions::new(to("239.255.72.4:7645"), LO, "lo")
    };
    let tx = SendSocket::open(&options).unwrap();
    assert_eq!(tx.local(), Endpoint::new(ip("127.0.0.4"), port));
    // Twice the same is allowed too.
    SendSocket::open(&options).unwrap();
}

#[test]
fn many_are_sent_in_order_and_a_bad_one_is_told_with_its_size() {
    let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
    peer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let options = SendOptions::new(peer.local_addr().unwrap().into(), LO, "lo");
    let tx = SendSocket::open(&options).unwrap();
    let too_long = vec![0; 70_000];
    let texts: Vec<String> = (0..100).map(|i| i.to_string()).collect();
    let mut payloads: Vec<&[u8]> = texts.iter().map(|t| t.as_bytes()).collect();
    payloads.push(&too_long);
    assert_eq!(tx.send_many(&payloads).unwrap(), 100);
    let mut buf = [0; 100];
    for text in &texts {
        let n = peer.recv(&mut buf).unwrap();
        assert_eq!(&buf[..n], text.as_bytes());
    }
    let error = tx.send_many(&payloads[100..]).unwrap_err();
    assert_eq!(error.kind(), Kind::TooLong);
    assert!(error.to_string().starts_with("cannot send 70000 bytes to 127.0.0.1:"), "{error}");
    assert_eq!(tx.send_many(&[]).unwrap(), 0);
}

#[test]
fn an_interface_that_does_not_exist_is_told_at_once() {
    let error = SendSocket::open(&SendOptions::new(to("239.255.72.5:9"), 999_999, "eth7")).err().unwrap();
    let text = error.to_string();
    assert!(text.starts_with("cannot set IP_MULTICAST_IF for 239.255.72.5:9 on eth7: "), "{text}");
    assert!(text.ends_with("`mcscope interfaces` lists them"), "{text}");
}
