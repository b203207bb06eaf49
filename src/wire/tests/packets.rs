//! IP, UDP, IGMP and MLD: real packets read and written. Checksums and codes of all of them were
//! confirmed by tshark.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::wire::igmp::{self, Message, QueryTimers, RecordKind};
use crate::wire::ip::{self, Fragment, Ip, IpError};
use crate::wire::mld;
use crate::wire::read::PREVIEW_MAX;
use crate::wire::routing;

fn packet(name: &str) -> Vec<u8> {
    corpus(&format!("packet/{name}"))
}

/// What an IGMP packet says; its checksum has to hold.
fn igmp(name: &str) -> Message<Ipv4Addr> {
    let b = packet(name);
    let ip = Ip::parse(&b).unwrap();
    assert_eq!(ip.protocol, ip::IGMP);
    let m = igmp::parse(ip.payload(&b)).unwrap();
    assert!(m.checksum_holds, "{name}");
    m.message
}

/// What an MLD packet says; its checksum has to hold, and the router alert to be there.
fn mld(name: &str) -> Message<Ipv6Addr> {
    let b = packet(name);
    let ip = Ip::parse(&b).unwrap();
    assert_eq!((ip.protocol, ip.router_alert, ip.ttl), (ip::ICMPV6, true, 1), "{name}");
    let message = ip.payload(&b);
    assert_eq!(ip::transport_checksum(ip.source, ip.destination, ip::ICMPV6, message), 0, "{name}");
    mld::parse(message).unwrap()
}

#[test]
fn a_datagram_is_found_in_its_packet() {
    for (name, from, to, ttl) in [
        ("ipv4-udp", "10.0.0.1:40000", "239.1.1.1:9999", 8),
        ("ipv6-udp", "[fe80::21d:c1ff:fe12:3456]:40000", "[ff3e::1234]:9999", 64),
    ] {
        let mut b = packet(name);
        // Ethernet pads short frames: what follows the packet is no part of it.
        b.extend([0xee; 9]);
        let d = ip::datagram(&b).unwrap().unwrap();
        assert_eq!((d.source.to_string(), d.destination.to_string()), (from.into(), to.into()));
        assert_eq!((d.ip.ttl, d.ip.tos, d.payload_len, d.ip.fragment), (ttl, 0xb8, 5, None));
        assert_eq!(&b[d.payload.clone()], b"hello");
        assert_eq!(ip::udp_checksum_holds(&b, &d), Some(true));
        b[d.payload.start] ^= 1;
        assert_eq!(ip::udp_checksum_holds(&b, &d), Some(false));
    }
}

#[test]
fn a_packet_cut_by_the_capture_keeps_its_true_length() {
    let b = packet("ipv4-udp");
    let d = ip::datagram(&b[..30]).unwrap().unwrap();
    assert_eq!((d.payload.clone(), d.payload_len), (28..30, 5));
    assert_eq!(ip::udp_checksum_holds(&b[..30], &d), None);
    assert_eq!(Ip::parse(&b[..19]), Err(IpError::Short { need: 20, have: 19 }));
    assert_eq!(Ip::parse(&[0x50]), Err(IpError::Version(5)));
    assert_eq!(Ip::parse(&[0x44; 20]), Err(IpError::Length(16)));
}

#[test]
fn fragments_are_told_from_whole_packets() {
    let b = packet("ipv4-first-fragment");
    let d = ip::datagram(&b).unwrap().unwrap();
    assert_eq!(d.ip.fragment, Some(Fragment { id: 0x1234, offset: 0, more: true }));
    // The UDP header tells the length of all fragments together.
    assert_eq!((d.destination.port, d.payload_len, d.payload.len()), (8888, 1280, 792));
    let b = packet("ipv4-later-fragment");
    assert_eq!(Ip::parse(&b).unwrap().fragment, Some(Fragment { id: 0x1234, offset: 800, more: false }));
    assert_eq!(ip::datagram(&b), Ok(None));
    // IPv6: the fragment header stands behind destination options.
    let b = packet("ipv6-fragment");
    let d = ip::datagram(&b).unwrap().unwrap();
    assert_eq!(d.ip.fragment, Some(Fragment { id: 0xdead_beef, offset: 0, more: true }));
    assert_eq!((d.payload_len, d.payload.len()), (1000, 56));
}

#[test]
fn extension_headers_without_end_are_refused() {
    let mut b = vec![0; 40 + 100 * 8];
    b[0] = 0x60;
    b[4..6].copy_from_slice(&800u16.to_be_bytes());
    b[6] = 60;
    for i in 0..100 {
        b[40 + 8 * i] = 60;
    }
    assert_eq!(Ip::parse(&b), Err(IpError::Extensions));
}

#[test]
fn a_header_built_is_the_one_that_was_there() {
    for name in ["ipv4-udp", "ipv6-udp"] {
        let b = packet(name);
        let d = ip::datagram(&b).unwrap().unwrap();
        let mut out = vec![7];
        ip::build(&mut out, (d.source, d.destination), (d.ip.ttl, d.ip.tos), b"hello", 5).unwrap();
        assert_eq!(&out[1..], &b[..], "{name}");
    }
}

#[test]
fn what_was_cut_is_built_with_its_true_length_and_what_cannot_be_is_refused() {
    let ends =
        |a: &str, b: &str| (Endpoint::new(a.parse().unwrap(), 1), Endpoint::new(b.parse().unwrap(), 2));
    let v4 = ends("10.0.0.1", "239.1.1.1");
    let mut out = Vec::new();
    ip::build(&mut out, v4, (1, 0), &[1, 2, 3], 1000).unwrap();
    let d = ip::datagram(&out).unwrap().unwrap();
    assert_eq!((d.payload_len, &out[d.payload.clone()]), (1000, &[1, 2, 3][..]));
    assert_eq!(ip::checksum(&[&out[..20]]), 0);
    let mut out = Vec::new();
    assert_eq!(ip::build(&mut out, v4, (1, 0), &[], 65_507), Some(()));
    out.clear();
    assert_eq!(ip::build(&mut out, v4, (1, 0), &[], 65_508), None);
    assert_eq!(ip::build(&mut out, ends("10.0.0.1", "ff02::1"), (1, 0), &[], 0), None);
    assert!(out.is_empty());
}

#[test]
fn the_checksum_is_that_of_the_rfc() {
    // RFC 1071 section 3.
    let b = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
    assert_eq!(ip::checksum(&[&b]), !0xddf2);
    assert_eq!(ip::checksum(&[&b[..3], &b[3..]]), !0xddf2);
}

#[test]
fn codes_above_half_their_range_are_floats() {
    for (code, value) in [(0, 0), (127, 127), (0x80, 128), (0x8a, 208), (0x8f, 248), (0xff, 31_744)] {
        assert_eq!(igmp::decode_code(code), value, "0x{code:02x}");
    }
    for (code, value) in [(0, 0), (0x7fff, 32_767), (0x8000, 32_768), (0x8123, 35_096), (0xffff, 8_387_584)] {
        assert_eq!(mld::decode_code(code), value, "0x{code:04x}");
    }
}

#[test]
fn igmp_messages_say_what_they_mean() {
    for (name, text) in [
        ("igmp-v1-query", "query all, 10.0 s"),
        ("igmp-v2-query", "query 239.1.1.1, 1.0 s"),
        ("igmp-v2-report", "join 239.1.1.1"),
        ("igmp-v2-leave", "leave 239.1.1.1"),
        ("igmp-v3-query", "query all, 20.8 s, every 248 s, robustness 2"),
        ("igmp-v3-source-query", "query 232.1.1.1 from 10.1.1.1 10.1.1.2, 1.0 s, every 125 s, robustness 2"),
        ("igmp-v3-report", "join 239.1.1.1, join 232.1.1.1 from 10.1.1.1 10.1.1.2, leave 239.9.9.9"),
    ] {
        assert_eq!(igmp(name).to_string(), text, "{name}");
    }
    let versions = ["igmp-v1-query", "igmp-v2-query", "igmp-v3-query"].map(|name| match igmp(name) {
        Message::Query(q) => (q.version, q.newest),
        other => panic!("{other:?}"),
    });
    let newest = QueryTimers { suppress: true, robustness: 2, interval_s: 248 };
    assert_eq!(versions, [(1, None), (2, None), (3, Some(newest))]);
    let Message::Records { records, cut } = igmp("igmp-v3-report") else { panic!("no report") };
    assert!(!cut);
    assert_eq!(
        records.iter().map(|r| (r.kind, r.wants())).collect::<Vec<_>>(),
        [
            (RecordKind::ToExclude, Some(true)),
            (RecordKind::IsInclude, Some(true)),
            (RecordKind::ToInclude, Some(false)),
        ]
    );
}

#[test]
fn mld_messages_say_what_they_mean() {
    for (name, text) in [
        ("mld-v1-query", "query all, 10.0 s"),
        ("mld-v1-report", "join ff3e::1234"),
        ("mld-v1-done", "leave ff3e::1234"),
        ("mld-v2-query", "query ff3e::1234 from fe80::21d:c1ff:fe12:3456, 35.1 s, every 125 s, robustness 2"),
        ("mld-v2-report", "join ff3e::1234, block ff3e::1234 from fe80::21d:c1ff:fe12:3456"),
    ] {
        assert_eq!(mld(name).to_string(), text, "{name}");
    }
}

#[test]
fn router_protocols_are_told_in_a_line() {
    for (name, text) in [
        ("igmp-v2-report", "IGMP join 239.1.1.1"),
        ("mld-v1-done", "MLD leave ff3e::1234"),
        ("pim-hello", "PIM hello  hold 105 s  DR prio 1  generation cafe0001"),
        ("pim-join-prune", "PIM join/prune  to 10.0.0.2  join 239.1.1.1  prune 232.1.1.1"),
        (
            "ospf-hello",
            "OSPFv2 hello  router 1.1.1.1  area 0.0.0.0  every 10 s  dead 40 s  DR 10.0.0.1  1 neighbours",
        ),
        ("vrrp-v3", "VRRPv3 id 7  prio 200  every 1 s  VIP 10.0.0.254"),
        ("eigrp-hello", "EIGRP hello  AS 100  hold 15 s"),
    ] {
        let b = packet(name);
        let mut line = String::new();
        assert!(routing::preview(&Ip::parse(&b).unwrap(), &b, &mut line), "{name}");
        assert_eq!(line, text, "{name}");
    }
    let b = packet("ipv4-udp");
    let mut line = String::new();
    assert!(!routing::preview(&Ip::parse(&b).unwrap(), &b, &mut line) && line.is_empty());
}

#[test]
fn a_report_that_was_cut_says_so_and_a_bad_checksum_shows() {
    let b = packet("igmp-v3-report");
    let whole = &b[24..];
    for n in 8..whole.len() {
        let m = igmp::parse(&whole[..n]).unwrap();
        let Message::Records { records, cut } = m.message else { panic!("no report") };
        assert!(cut && records.len() <= 3, "{n}");
        assert!(!m.checksum_holds, "{n}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_packets_do_no_harm(mut b in prop::collection::vec(any::<u8>(), 0..300), six in any::<bool>()) {
        if let Some(first) = b.first_mut() {
            *first = if six { 0x60 } else { 0x45 | (*first & 0x0f) };
        }
        check_packet(&b);
    }

    #[test]
    fn mutated_packets_do_no_harm(
        which in 0..PACKETS.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut b = packet(PACKETS[which]);
        for (at, value) in changes {
            let at = at.index(b.len());
            b[at] = value;
        }
        b.truncate(cut.index(b.len()) + 1);
        check_packet(&b);
    }
}

#[test]
fn every_packet_of_the_corpus_does_no_harm_wherever_it_is_cut() {
    let dir = format!("{}/tests/fuzz/corpus/packet", env!("CARGO_MANIFEST_DIR"));
    let all: Vec<_> =
        std::fs::read_dir(dir).unwrap().map(|e| std::fs::read(e.unwrap().path()).unwrap()).collect();
    assert!(all.len() > 20, "{} packets", all.len());
    for b in all {
        for n in 0..=b.len().min(160) {
            check_packet(&b[..n]);
        }
        check_packet(&b);
    }
}

const PACKETS: [&str; 12] = [
    "ospf-hello",
    "pim-join-prune",
    "vrrp-v3",
    "igmp-v3-report",
    "igmp-v3-source-query",
    "ipv4-first-fragment",
    "ipv4-udp",
    "ipv6-fragment",
    "ipv6-udp",
    "mld-v1-query",
    "mld-v2-query",
    "mld-v2-report",
];

fn check_packet(b: &[u8]) {
    if let Ok(ip) = Ip::parse(b) {
        assert!(ip.payload.start <= ip.payload.end && ip.payload.end <= b.len(), "{ip:?}");
        assert!(ip.payload.len() <= ip.payload_len, "{ip:?}");
        let _ = igmp::parse(ip.payload(b)).map(|m| m.message.to_string());
        let _ = mld::parse(ip.payload(b)).map(|m| m.to_string());
        let mut line = String::new();
        for protocol in [ip.protocol, 2, 58, 88, 89, 103, 112] {
            line.clear();
            routing::preview(&Ip { protocol, ..ip.clone() }, b, &mut line);
            assert!(line.len() <= PREVIEW_MAX, "{line}");
        }
    }
    if let Ok(Some(d)) = ip::datagram(b) {
        assert!(d.payload.start <= d.payload.end && d.payload.end <= b.len(), "{d:?}");
        assert!(d.payload.len() <= d.payload_len, "{d:?}");
        let _ = ip::udp_checksum_holds(b, &d);
    }
    let _ = igmp::parse(b);
    let _ = mld::parse(b);
}
