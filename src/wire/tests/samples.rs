//! What each sample is taken for, and its line.

use super::*;
use crate::wire::Confidence::{Certain, Guess, Likely};

/// Sample, group, port, the protocol it must be taken for and how surely, its preview.
type Row = (&'static str, &'static str, u16, &'static str, Confidence, &'static str);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("bt-lsd-search", "239.192.152.143", 6771, "bt-lsd", Certain, "BitTorrent search  info hash 2ffe7ec5ad83b2ad6b7e26c6d3fcac5a0a0f4ac6  port 6881"),
    ("cot-event", "239.2.3.1", 6969, "cot", Certain, "CoT a-f-G-U-C  ANDROID-1 \"ALPHA\"  47.5, 8.25"),
    ("json-lines", "239.1.1.1", 9999, "json", Certain, "JSON  a 1  a 2"),
    ("json-telemetry", "239.1.1.1", 9999, "json", Certain, "JSON  id 7  unit \"C\"  temp 21.5"),
    ("llmnr-answer", "224.0.0.252", 5355, "llmnr", Certain, "LLMNR resp desk A 10.0.0.9"),
    ("llmnr-query", "ff02::1:3", 5355, "llmnr", Certain, "LLMNR query wpad A"),
    ("mdns-goodbye", "224.0.0.251", 5353, "mdns", Certain, "mDNS resp  _http._tcp.local PTR \"Web\"  goodbye"),
    ("mdns-probe", "ff02::fb", 5353, "mdns", Certain, "mDNS query  host.local ANY (QU)  probing"),
    ("mdns-query", "224.0.0.251", 5353, "mdns", Certain, "mDNS query  host.local A/AAAA (QU)"),
    ("mdns-query", "239.1.1.1", 9999, "mdns", Likely, "mDNS query  host.local A/AAAA (QU)"),
    ("mdns-response", "224.0.0.251", 5353, "mdns", Certain, "mDNS resp  _ipp._tcp.local PTR \"Office\"  +4 more  ttl 4500"),
    ("ntp-broadcast", "224.0.1.1", 123, "ntp", Certain, "NTP v4 broadcast  stratum 1  ref GPS  poll 64 s"),
    ("ntp-broadcast", "239.1.1.1", 123, "ntp", Likely, "NTP v4 broadcast  stratum 1  ref GPS  poll 64 s"),
    ("rtcp-rr-bye", "239.1.1.1", 5005, "rtcp", Certain, "RTCP RR ssrc 00000009  BYE ending"),
    ("rtcp-sr-sdes", "239.1.1.1", 5005, "rtcp", Certain, "RTCP SR ssrc 11223344  pkts 12345  lost 0.4 %  jitter 96  SDES host@10.1."),
    ("rtp-l24", "239.1.1.1", 5004, "rtp", Guess, "RTP PT 97  ssrc 1a2b3c4d  seq 51234  ts 9012  M  288 B"),
    ("rtp-pcmu-csrc-ext-pad", "239.1.1.1", 5004, "rtp", Guess, "RTP PT 0 PCMU  ssrc 00000007  seq 65535  ts 160  160 B"),
    ("sap-aes67", "239.255.255.255", 9875, "sap", Certain, "SAP announce  \"Studio A\"  239.69.1.1:5004  L24/48000/2  ptime 1  ptp 00-1D-C1-FF-FE-12-34-56:0"),
    ("sap-delete", "224.2.127.254", 9875, "sap", Certain, "SAP delete  session - 1311738121 192.168.1.1"),
    ("sap-encrypted", "224.2.127.254", 9875, "sap", Likely, "SAP announce  encrypted, from 10.1.1.1"),
    ("sap-v6-auth", "ff0e::2:7ffe", 9875, "sap", Certain, "SAP announce  \"Call\"  [ff15::101]:5100  MP2T  +1 media"),
    ("sdp-bare", "239.1.1.1", 9999, "sdp", Certain, "SDP \"Studio A\"  239.69.1.1:5004  L24/48000/2  ptime 1  ptp 00-1D-C1-FF-FE-12-34-56:0"),
    ("ssdp-alive", "239.255.255.250", 1900, "ssdp", Certain, "SSDP alive  MediaRenderer:1  uuid 2f402f80  max-age 1800  Linux/5.4 UPnP/1.0 Player/2"),
    ("ssdp-answer", "239.255.255.250", 9, "ssdp", Likely, "SSDP answer  upnp:rootdevice  uuid 0011"),
    ("ssdp-answer", "239.255.255.250", 1900, "ssdp", Certain, "SSDP answer  upnp:rootdevice  uuid 0011"),
    ("ssdp-byebye", "ff02::c", 1900, "ssdp", Certain, "SSDP byebye  upnp:rootdevice  uuid 2f402f80"),
    ("ssdp-search", "239.255.255.250", 1900, "ssdp", Certain, "SSDP search  ssdp:all  mx 3"),
    ("text-chat", "239.1.1.1", 9999, "text", Likely, "hello from the café, number 42"),
    ("wsd-hello", "239.255.255.250", 3702, "wsd", Certain, "WSD Hello urn:uuid:98190dc2-0890-4ef8-ac9a-5940995e6119  types wsdp:Device"),
    ("wsd-probe", "239.255.255.250", 3702, "wsd", Certain, "WSD Probe  dn:NetworkVideoTransmitter"),
    ("xml-status", "239.1.1.1", 9999, "xml", Likely, "XML <status>  host=a1  unit=C  temp 21.5  load 0.3"),
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
