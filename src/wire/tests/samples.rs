//! What each sample is taken for, and its line.

use super::*;
use crate::wire::Confidence::{Certain, Guess, Likely};

/// Sample, group, port, the protocol it must be taken for and how surely, its preview.
type Row = (&'static str, &'static str, u16, &'static str, Confidence, &'static str);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("artnet-dmx", "239.1.1.1", 6454, "artnet", Certain, "Art-Net DMX univ 1  seq 9  512 ch  max 255@12"),
    ("artnet-poll", "239.1.1.1", 6454, "artnet", Certain, "Art-Net Poll"),
    ("artnet-reply", "239.1.1.1", 6454, "artnet", Certain, "Art-Net PollReply  \"node\""),
    ("artnet-timecode", "239.1.1.1", 6454, "artnet", Certain, "Art-Net TimeCode  01:30:59:24"),
    ("babel-hello", "ff02::1:6", 6696, "babel", Certain, "Babel  hello seq 4711  every 4.00 s  IHU fe80::21d:c1ff:fe12:3456  rxcost 256"),
    ("babel-update", "224.0.0.111", 6696, "babel", Certain, "Babel  update 2001:db8:1::/48  metric 96  update 10.1.2.0/24  retracted  route request any/0"),
    ("bt-lsd-search", "239.192.152.143", 6771, "bt-lsd", Certain, "BitTorrent search  info hash 2ffe7ec5ad83b2ad6b7e26c6d3fcac5a0a0f4ac6  port 6881"),
    ("cbor-described", "239.1.1.1", 9999, "cbor", Certain, "CBOR  array of 3"),
    ("cbor-map", "239.1.1.1", 9999, "cbor", Certain, "CBOR  id 7  temp 21.5  unit \"C\"  +1 more"),
    ("coap-content", "ff02::fd", 5683, "coap", Guess, "CoAP ACK 2.05  mid 4661  observe 12  4 B"),
    ("coap-get", "224.0.1.187", 5683, "coap", Certain, "CoAP NON GET /.well-known/core?rt=temp  mid 4660"),
    ("coap-get", "239.1.1.1", 5683, "coap", Likely, "CoAP NON GET /.well-known/core?rt=temp  mid 4660"),
    ("cot-event", "239.2.3.1", 6969, "cot", Certain, "CoT a-f-G-U-C  ANDROID-1 \"ALPHA\"  47.5, 8.25"),
    ("ganglia-load", "239.2.11.71", 8649, "ganglia", Certain, "ganglia host1 load_one = 0.42"),
    ("ganglia-request", "239.2.11.71", 9999, "ganglia", Likely, "ganglia host1 cpu  request"),
    ("glbp-hello", "224.0.0.102", 3222, "glbp", Certain, "GLBP group 5  owner 00:11:22:33:44:55"),
    ("hazelcast-join", "224.2.2.3", 54327, "hazelcast", Likely, "hazelcast join  192.168.1.7"),
    ("hsrp-v1-hello", "224.0.0.2", 1985, "hsrp", Certain, "HSRPv1 hello group 1  active  prio 110  VIP 10.0.0.1"),
    ("hsrp-v2-hello", "224.0.0.102", 1985, "hsrp", Certain, "HSRPv2 hello group 20  active  prio 120  VIP 10.0.20.1"),
    ("json-lines", "239.1.1.1", 9999, "json", Certain, "JSON  a 1  a 2"),
    ("json-telemetry", "239.1.1.1", 9999, "json", Certain, "JSON  id 7  unit \"C\"  temp 21.5"),
    ("knx-busy", "224.0.23.12", 3671, "knx", Certain, "KNX routing busy: wait 100 ms"),
    ("knx-lost", "224.0.23.12", 3671, "knx", Certain, "KNX routing lost: 12 messages"),
    ("knx-search", "224.0.23.12", 3671, "knx", Certain, "KNX search request"),
    ("knx-write", "224.0.23.12", 3671, "knx", Certain, "KNX 1.1.1 -> 1/2/3 write 01"),
    ("knx-write-long", "224.0.23.12", 3671, "knx", Certain, "KNX 1.1.5 -> 0/1/200 write 0c1a"),
    ("lcm-first", "239.255.76.67", 7667, "lcm", Certain, "LCM IMAGE  seq 78  fragment 1 of 3  30 B"),
    ("lcm-later", "239.255.76.67", 7667, "lcm", Certain, "LCM  seq 78  fragment 2 of 3  30 B"),
    ("lcm-short", "239.255.76.67", 7667, "lcm", Certain, "LCM POSE  seq 77  12 B"),
    ("llmnr-answer", "224.0.0.252", 5355, "llmnr", Certain, "LLMNR resp desk A 10.0.0.9"),
    ("llmnr-query", "ff02::1:3", 5355, "llmnr", Certain, "LLMNR query wpad A"),
    ("mavlink-v1", "239.1.1.1", 14550, "mavlink", Certain, "MAVLink 1 HEARTBEAT  system 1 component 1  seq 5"),
    ("mavlink-v2-two", "239.1.1.1", 9999, "mavlink", Guess, "MAVLink 2 ATTITUDE  system 1 component 1  seq 6  +1 more"),
    ("mdns-goodbye", "224.0.0.251", 5353, "mdns", Certain, "mDNS resp  _http._tcp.local PTR \"Web\"  goodbye"),
    ("mdns-probe", "ff02::fb", 5353, "mdns", Certain, "mDNS query  host.local ANY (QU)  probing"),
    ("mdns-query", "224.0.0.251", 5353, "mdns", Certain, "mDNS query  host.local A/AAAA (QU)"),
    ("mdns-query", "239.1.1.1", 9999, "mdns", Likely, "mDNS query  host.local A/AAAA (QU)"),
    ("mdns-response", "224.0.0.251", 5353, "mdns", Certain, "mDNS resp  _ipp._tcp.local PTR \"Office\"  +4 more  ttl 4500"),
    ("minecraft-game", "224.0.2.60", 4445, "minecraft", Certain, "Minecraft \"A game\"  port 52130"),
    ("moldudp64-data", "233.54.12.111", 26477, "moldudp64", Certain, "Mold64 ABCD000001  seq 12345  2 msgs"),
    ("moldudp64-heartbeat", "233.54.12.111", 26477, "moldudp64", Guess, "Mold64 ABCD000001  seq 12347  heartbeat"),
    ("mpegts-null", "239.1.1.1", 1234, "mpegts", Certain, "TS 7 pkts  pid 256×3  null 57 %"),
    ("mpegts-parity", "239.1.1.1", 1234, "mpegts", Certain, "TS 7 pkts  SDT prog 100 \"News HD\"  PAT TSID 1 prog 100  PMT prog 100  video MPEG-2 pid 256  audio AAC pid 257"),
    ("mpegts-tables", "239.1.1.1", 1234, "mpegts", Certain, "TS 7 pkts  SDT prog 100 \"News HD\"  PAT TSID 1 prog 100  PMT prog 100  video MPEG-2 pid 256  audio AAC pid 257"),
    ("mpegts-timecode", "239.1.1.1", 1234, "mpegts", Certain, "TS 7 pkts  SDT prog 1 \"Service01\"  PAT TSID 1 prog 1  PMT prog 1  video MPEG-2 pid 4113  data private pid 4352"),
    ("nmea-450", "239.192.0.2", 60002, "nmea", Certain, "IEC 61162-450 GPGLL,4916.45,N,12311.12,W,225444,A  bad checksum"),
    ("nmea-gll", "239.192.0.1", 10110, "nmea", Certain, "NMEA GPGLL,4916.45,N,12311.12,W,225444,A"),
    ("ntp-broadcast", "224.0.1.1", 123, "ntp", Certain, "NTP v4 broadcast  stratum 1  ref GPS  poll 64 s"),
    ("ntp-broadcast", "239.1.1.1", 123, "ntp", Likely, "NTP v4 broadcast  stratum 1  ref GPS  poll 64 s"),
    ("pathport-data", "239.255.237.1", 3792, "pathport", Certain, "Pathport data  from 0a000007  seq 513  2 ch @ 0"),
    ("pathport-reply", "239.255.237.2", 3792, "pathport", Certain, "Pathport ARP reply  from 0a000007  seq 1  0a000007 is at 10.0.0.7"),
    ("ptp-announce", "224.0.1.129", 320, "ptp", Certain, "PTPv2 Announce  dom 127  GM 00-1d-c1-ff-fe-12-34-56  class 6  acc 100 ns  steps 0"),
    ("ptp-delay-resp", "224.0.1.129", 320, "ptp", Certain, "PTPv2 Delay_Resp seq 77  dom 0  from 00-1d-c1-ff-fe-12-34-56:1"),
    ("ptp-follow-up", "224.0.1.129", 320, "ptp", Certain, "PTPv2 Follow_Up seq 4711  dom 0  from 00-1d-c1-ff-fe-12-34-56:1"),
    ("ptp-sync", "224.0.1.129", 319, "ptp", Certain, "PTPv2 Sync seq 4711 two-step  dom 0  from 00-1d-c1-ff-fe-12-34-56:1"),
    ("ptp-sync", "239.1.1.1", 9999, "ptp", Guess, "PTPv2 Sync seq 4711 two-step  dom 0  from 00-1d-c1-ff-fe-12-34-56:1"),
    ("ptp-v1-sync", "224.0.1.129", 319, "ptp", Certain, "PTPv1 Sync seq 33"),
    ("rip-request", "224.0.0.9", 520, "rip", Certain, "RIPv2 request  the whole table"),
    ("rip-response", "224.0.0.9", 520, "rip", Certain, "RIPv2 response  2 routes  1 unreachable  10.1.0.0/16 metric 1"),
    ("ripng-request", "ff02::9", 521, "ripng", Certain, "RIPng request  the whole table"),
    ("ripng-response", "ff02::9", 521, "ripng", Certain, "RIPng response  2 routes  1 unreachable  2001:db8:1::/48 metric 2"),
    ("rtcp-rr-bye", "239.1.1.1", 5005, "rtcp", Certain, "RTCP RR ssrc 00000009  BYE ending"),
    ("rtcp-sr-sdes", "239.1.1.1", 5005, "rtcp", Certain, "RTCP SR ssrc 11223344  pkts 12345  lost 0.4 %  jitter 96  SDES host@10.1."),
    ("rtp-l24", "239.1.1.1", 5004, "rtp", Guess, "RTP PT 97  seq 51234  ts 9012  ssrc 1a2b3c4d  M  288 B"),
    ("rtp-mp2t", "239.1.1.1", 5004, "rtp", Certain, "RTP PT 33 MP2T  seq 4711  ts 90000  ssrc cafebabe  TS 7 pkts  pid 257×3 256×3  null 14 %"),
    ("rtp-pcmu-csrc-ext-pad", "239.1.1.1", 5004, "rtp", Guess, "RTP PT 0 PCMU  seq 65535  ts 160  ssrc 00000007  160 B"),
    ("rtps-data", "239.255.0.1", 7400, "rtps", Certain, "RTPS 2.3 Cyclone  prefix 01100c5a1b2c3d4e5f600001  INFO_TS DATA(w 000100c2 participants seq 5)"),
    ("rtps-dispose", "239.255.0.1", 7400, "rtps", Certain, "RTPS 2.3 Cyclone  prefix 01100c5a1b2c3d4e5f600001  DATA(w 000100c2 participants seq 6 disposed, unregistered)"),
    ("rtps-heartbeat", "239.255.0.1", 7400, "rtps", Certain, "RTPS 2.1 Connext  prefix 01100c5a1b2c3d4e5f600001  HEARTBEAT(w 000003c2 publications last 12)"),
    ("sacn-data", "239.255.0.7", 5568, "sacn", Certain, "sACN univ 7  \"Desk A\"  prio 100  seq 41  512 ch  max 255@12"),
    ("sacn-discovery", "239.255.250.214", 5568, "sacn", Certain, "sACN discovery  \"Desk A\"  3 universes"),
    ("sacn-sync", "239.255.0.7", 5568, "sacn", Certain, "sACN sync univ 7  seq 3"),
    ("sacn-terminated", "239.255.0.7", 5568, "sacn", Certain, "sACN univ 7  \"Desk A\"  prio 100  seq 42  terminated  24 ch  max 0@1"),
    ("sadp-probe", "239.255.255.250", 37020, "sadp", Certain, "SADP Probe  inquiry"),
    ("sap-aes67", "239.255.255.255", 9875, "sap", Certain, "SAP announce  \"Studio A\"  239.69.1.1:5004  L24/48000/2  ptime 1  ptp 00-1D-C1-FF-FE-12-34-56:0"),
    ("sap-bomb", "224.2.127.254", 9875, "sap", Certain, "SAP announce  compressed, not opened: more than 32 KiB, from 192.168.1.1"),
    ("sap-compressed", "224.2.127.254", 9875, "sap", Certain, "SAP announce  \"Studio A\"  239.69.1.1:5004  L24/48000/2  ptime 1  ptp 00-1D-C1-FF-FE-12-34-56:0"),
    ("sap-delete", "224.2.127.254", 9875, "sap", Certain, "SAP delete  session - 1311738121 192.168.1.1"),
    ("sap-encrypted", "224.2.127.254", 9875, "sap", Likely, "SAP announce  encrypted, from 10.1.1.1"),
    ("sap-v6-auth", "ff0e::2:7ffe", 9875, "sap", Certain, "SAP announce  \"Call\"  [ff15::101]:5100  MP2T  +1 media"),
    ("sdp-bare", "239.1.1.1", 9999, "sdp", Certain, "SDP \"Studio A\"  239.69.1.1:5004  L24/48000/2  ptime 1  ptp 00-1D-C1-FF-FE-12-34-56:0"),
    ("sma-meter", "239.12.255.254", 9522, "sma", Certain, "SMA Speedwire meter  serial 1901234567"),
    ("sood-query", "239.255.90.90", 9003, "sood", Certain, "Roon query  query_service_id 00720724"),
    ("ssdp-alive", "239.255.255.250", 1900, "ssdp", Certain, "SSDP alive  MediaRenderer:1  uuid 2f402f80  max-age 1800  Linux/5.4 UPnP/1.0 Player/2"),
    ("ssdp-answer", "239.255.255.250", 1900, "ssdp", Certain, "SSDP answer  upnp:rootdevice  uuid 0011"),
    ("ssdp-answer", "239.255.255.250", 9, "ssdp", Likely, "SSDP answer  upnp:rootdevice  uuid 0011"),
    ("ssdp-byebye", "ff02::c", 1900, "ssdp", Certain, "SSDP byebye  upnp:rootdevice  uuid 2f402f80"),
    ("ssdp-search", "239.255.255.250", 1900, "ssdp", Certain, "SSDP search  ssdp:all  mx 3"),
    ("statsd-metrics", "239.1.1.1", 8125, "statsd", Certain, "StatsD api.hits = 1 (counter)  +2 more"),
    ("statsd-metrics", "239.1.1.1", 9999, "statsd", Likely, "StatsD api.hits = 1 (counter)  +2 more"),
    ("syslog-3164", "239.1.1.1", 514, "syslog", Certain, "syslog auth.crit mymachine  su: 'su root' failed for lonvick"),
    ("syslog-5424", "239.1.1.1", 9999, "syslog", Certain, "syslog auth.crit mymachine.example.com su  'su root' failed"),
    ("syslog-bare", "239.1.1.1", 514, "syslog", Likely, "syslog user.notice  something happened"),
    ("text-chat", "239.1.1.1", 9999, "text", Likely, "hello from the café, number 42"),
    ("totem-join", "239.192.1.1", 5405, "totem", Certain, "totem node 2 join"),
    ("wsd-hello", "239.255.255.250", 3702, "wsd", Certain, "WSD Hello urn:uuid:98190dc2-0890-4ef8-ac9a-5940995e6119  types wsdp:Device"),
    ("wsd-probe", "239.255.255.250", 3702, "wsd", Certain, "WSD Probe  dn:NetworkVideoTransmitter"),
    ("xml-status", "239.1.1.1", 9999, "xml", Likely, "XML <status>  host=a1  unit=C  temp 21.5  load 0.3"),
    ("xplane-beacon", "239.255.1.1", 49707, "xplane", Certain, "X-Plane \"pilot\"  master  version 120106  port 49000"),
];

#[test]
fn samples_are_taken_for_what_they_are() {
    for &(name, group, port, id, confidence, line) in ROWS {
        let b = sample(name);
        let found = recognise(&b, &hint(group, port, b.len())).map(|(p, c)| (p.id, c));
        assert_eq!(found, Some((id, confidence)), "{name} to {group}:{port}");
        assert_eq!(preview(by_id(id).unwrap(), &b), line, "{name}");
    }
}

#[test]
fn every_sample_has_a_row_and_every_protocol_a_sample() {
    let dir = format!("{}/tests/fuzz/corpus/payload", env!("CARGO_MANIFEST_DIR"));
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(ROWS.iter().any(|row| row.0 == name), "no row says what {name} is");
    }
    // The probe's bytes are fixed in its own file.
    for p in crate::wire::PROTOCOLS.iter().filter(|p| p.id != "probe") {
        assert!(ROWS.iter().any(|row| row.3 == p.id), "no sample of {}", p.id);
    }
}

#[test]
fn every_protocol_says_what_it_is_told_by() {
    for (i, p) in crate::wire::PROTOCOLS.iter().enumerate() {
        assert!(p.mark.len() > 10 && p.mark.chars().count() <= 72, "{}: {:?}", p.id, p.mark);
        assert!(crate::wire::PROTOCOLS[i + 1..].iter().all(|q| q.mark != p.mark), "{}: as another's", p.id);
    }
}

/// Where a mark names bytes at an offset, every certain sample has them there.
#[test]
fn marks_that_name_bytes_are_true() {
    let mut held = 0;
    for &(name, group, port, id, confidence, _) in ROWS {
        let (p, b) = (by_id(id).unwrap(), sample(name));
        let Some((text, at)) = p.mark.strip_prefix('“').and_then(|m| m.split_once("” at offset ")) else {
            continue;
        };
        let Ok(at) = at.parse::<usize>() else { continue };
        assert_eq!(confidence, Certain);
        assert!(b[at..].starts_with(text.as_bytes()), "{name} to {group}:{port}: {:?}", p.mark);
        held += 1;
    }
    assert!(held > 8, "{held} marks were looked at");
}

#[test]
fn ids_are_words_and_belong_to_one_protocol_each() {
    for (i, p) in crate::wire::PROTOCOLS.iter().enumerate() {
        assert!(p.id.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-'), "{}", p.id);
        assert!(crate::wire::PROTOCOLS[i + 1..].iter().all(|q| q.id != p.id), "{} twice", p.id);
    }
}

/// Prints what is found in each sample: `cargo test -- --ignored --nocapture print_samples`.
#[test]
#[ignore = "prints, to look at by eye"]
fn print_samples() {
    for &(name, group, port, ..) in ROWS {
        let b = sample(name);
        if let Some((p, c)) = recognise(&b, &hint(group, port, b.len())) {
            println!("{name} {} {c:?} {}\n{}{:?}", p.id, preview(p, &b), tree(p, &b), numbers(p, &b));
        }
    }
}
