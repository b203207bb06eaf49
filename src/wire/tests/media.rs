//! Transport streams and session announcements: what the model reads of them.

use super::*;
use crate::wire::psi::{self, Kind};
use crate::wire::sap::Announcement;
use crate::wire::sdp::{Connection, Session};
use crate::wire::ts::{self, NULL_PID, PACKET, Packet};

fn ts() -> &'static Protocol {
    by_id("mpegts").unwrap()
}

/// A transport packet with an empty adaptation field of `flags`, or none.
fn packet(pid: u16, counter: u8, payload: bool, flags: Option<u8>, fill: u8) -> Vec<u8> {
    let mut b = vec![fill; PACKET];
    b[0] = 0x47;
    b[1..3].copy_from_slice(&pid.to_be_bytes());
    b[3] = counter | if payload { 0x10 } else { 0 } | if flags.is_some() { 0x20 } else { 0 };
    if let Some(flags) = flags {
        b[4] = if payload { 7 } else { 183 };
        b[5] = flags;
    }
    b
}

/// PID, counter, count and restart of each number told.
fn told(packets: &[Vec<u8>]) -> Vec<(u64, u64, u32, bool)> {
    let all = numbers(ts(), &packets.concat());
    assert!(all.iter().all(|s| s.bits == 4));
    all.iter().map(|s| (s.stream, s.value, s.count, s.restart)).collect()
}

#[test]
fn the_counter_counts_packets_with_payload_only() {
    let b = [
        packet(256, 14, true, None, 1),
        packet(NULL_PID, 0, true, None, 2),
        packet(256, 14, false, Some(0), 3),
        packet(256, 15, true, Some(0), 4),
        packet(257, 3, true, None, 5),
        packet(256, 0, true, None, 6),
    ];
    assert_eq!(told(&b), [(256, 14, 1, false), (256, 15, 1, false), (257, 3, 1, false), (256, 0, 1, false)]);
}

#[test]
fn a_discontinuity_is_a_restart_with_payload_and_without() {
    let b = [
        packet(256, 3, true, Some(0x80), 1),
        packet(256, 9, false, Some(0x80), 2),
        packet(256, 10, true, None, 3),
    ];
    assert_eq!(told(&b), [(256, 3, 1, true), (256, 10, 0, true), (256, 10, 1, false)]);
}

#[test]
fn a_duplicate_is_told_and_what_is_damaged_or_no_packet_is_left_out() {
    let mut damaged = packet(256, 7, true, None, 9);
    damaged[1] |= 0x80;
    // Neither adaptation field nor payload: reserved.
    let reserved = packet(256, 8, false, None, 9);
    let b = [
        packet(256, 5, true, None, 1),
        packet(256, 5, true, None, 1),
        packet(256, 6, true, None, 2),
        damaged,
        reserved,
        packet(257, 1, true, None, 3),
    ];
    assert_eq!(told(&b), [(256, 5, 1, false), (256, 5, 1, false), (256, 6, 1, false), (257, 1, 1, false)]);
}

#[test]
fn every_packaging_holds_the_same_packets() {
    let pids = |name| ts::packets(&sample(name)).map(|p| (p.pid, p.counter)).collect::<Vec<_>>();
    assert_eq!(pids("mpegts-parity"), pids("mpegts-tables"));
    assert_eq!(pids("mpegts-tables").len(), 7);
    assert_eq!(pids("mpegts-timecode").len(), 7);
    let rtp = sample("rtp-mp2t");
    let bare: Vec<_> = ts::packets(&rtp[12..]).map(|p| (p.pid, p.counter)).collect();
    assert_eq!(pids("rtp-mp2t"), bare);
    // In RTP only RTP's own numbers count: each loss would else be told several times.
    assert_eq!(numbers(by_id("rtp").unwrap(), &rtp).len(), 1);
}

#[test]
fn tables_and_clock_are_those_of_the_program_that_wrote_them() {
    let b = sample("mpegts-tables");
    let tables: Vec<_> = ts::packets(&b).flat_map(|p| psi::tables(&b, &p)).collect();
    assert!(tables.iter().all(|t| t.crc == Some(true)));
    let kinds: Vec<_> = tables.iter().map(|t| t.kind.clone()).collect();
    let [Kind::Sdt(services), Kind::Pat(programs), Kind::Pmt { pcr_pid, streams }] = &kinds[..] else {
        panic!("{kinds:?}")
    };
    assert_eq!((services[0].program, &*services[0].provider, &*services[0].name), (100, "Lab", "News HD"));
    assert_eq!((&programs[..], *pcr_pid), (&[(100, 4096)][..], 256));
    assert_eq!(
        streams.iter().map(|s| (s.pid, s.coding)).collect::<Vec<_>>(),
        [(256, "MPEG-2"), (257, "AAC")]
    );
    // tshark reads the same clock from the same packet.
    assert_eq!(ts::packets(&b).find_map(|p| p.pcr), Some(0x0123_8cb8));
    let mut bad = b.clone();
    bad[17] ^= 1;
    let first = Packet::parse(&bad, 0).unwrap();
    assert_eq!(psi::tables(&bad, &first)[0].crc, Some(false));
}

#[test]
fn an_announcement_names_its_group_port_and_encoding() {
    let a = Announcement::parse(&sample("sap-aes67")).unwrap();
    assert_eq!((a.deletion, a.hash, a.origin.to_string()), (false, 0xbeef, "192.168.1.1".into()));
    let streams: Vec<_> = a.session.streams().collect();
    let [(group, port, media)] = streams[..] else { panic!("{streams:?}") };
    assert_eq!((group.to_string(), port, &*a.session.name), ("239.69.1.1".into(), 5004, "Studio A"));
    assert_eq!(media.connection, Some(Connection { ip: group, ttl: Some(32), count: 1 }));
    assert_eq!((media.encoding(97), media.what()), (Some("L24/48000/2"), "L24/48000/2"));
    assert_eq!(media.clock.as_deref(), Some("ptp=IEEE1588-2008:00-1D-C1-FF-FE-12-34-56:0"));
    // Its deletion is known by its origin.
    let d = Announcement::parse(&sample("sap-delete")).unwrap();
    assert!(d.deletion);
    assert_eq!(d.session.origin.key(), a.session.origin.key());
}

#[test]
fn an_announcement_over_ipv6_names_its_senders_and_leaves_out_what_is_not_sent() {
    let a = Announcement::parse(&sample("sap-v6-auth")).unwrap();
    let streams: Vec<_> = a.session.streams().collect();
    let [(group, port, media)] = streams[..] else { panic!("{streams:?}") };
    assert_eq!((group.to_string(), port, media.what()), ("ff15::101".into(), 5100, "MP2T"));
    assert_eq!(media.connection.map(|c| (c.ttl, c.count)), Some((None, 3)));
    assert_eq!(media.sources, ["2001:db8::1".parse::<IpAddr>().unwrap()]);
    assert_eq!(Announcement::parse(&sample("sap-encrypted")), None);
}

#[test]
fn a_compressed_announcement_says_what_the_plain_one_says() {
    let (plain, packed) = (sample("sap-aes67"), sample("sap-compressed"));
    assert_eq!(Announcement::parse(&packed), Announcement::parse(&plain));
    // Its fields stand for all of what is packed; their values are the same.
    let sap = by_id("sap").unwrap();
    let lines = |b: &[u8]| -> Vec<String> {
        let all = (sap.fields)(b).into_iter();
        all.filter(|f| f.depth == 2 || f.depth == 1).map(|f| f.name + " " + &f.value).collect()
    };
    let inner: Vec<_> = lines(&packed).into_iter().filter(|l| l != "payload type application/sdp").collect();
    assert_eq!(inner, lines(&plain));
    assert!((sap.fields)(&packed).iter().all(|f| f.depth == 0 || f.range == (8..packed.len())));
    // Cut short anywhere it is not read, and does no harm.
    for n in 8..packed.len() {
        assert_eq!(Announcement::parse(&packed[..n]), None, "cut at {n}");
    }
}

#[test]
fn a_description_that_swells_beyond_bound_is_not_read() {
    use crate::wire::sap::OPENED_MAX;
    let bomb = sample("sap-bomb");
    assert!(bomb.len() < OPENED_MAX / 2, "a bomb is small");
    assert_eq!(Announcement::parse(&bomb), None);
    assert!(tree(by_id("sap").unwrap(), &bomb).contains("not opened: more than 32 KiB"));
}

#[test]
fn media_lines_go_before_those_of_the_session() {
    let text = "v=0\no=- 1 2 IN IP4 10.0.0.1\ns=x\nc=IN IP4 239.0.0.1/1\na=ptime:5\n\
                m=audio 4000 RTP/AVP 0\nm=audio 4002 RTP/AVP 96\nc=IN IP4 239.0.0.2/8/3\na=rtpmap:96 opus/48000/2\na=ptime:20\n";
    let s = Session::parse(text.as_bytes()).unwrap();
    let all: Vec<_> = s
        .streams()
        .map(|(ip, port, m)| (ip.to_string(), port, m.what().to_string(), m.ptime.clone().unwrap()))
        .collect();
    assert_eq!(
        all,
        [
            ("239.0.0.1".into(), 4000, "PCMU".into(), "5".into()),
            ("239.0.0.2".into(), 4002, "opus/48000/2".into(), "20".into()),
        ]
    );
    assert_eq!(s.media[1].connection.unwrap().count, 3);
    assert_eq!(Session::parse(b"v=1\n"), None);
}
