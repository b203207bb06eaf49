//! Protocol names and what the previews say, against tshark's dissectors, on the captures in
//! `tests/captures`: programs that were really run, and the samples of every decoder.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use mcscope::base::group::Endpoint;
use mcscope::wire::verdict::Verdict;
use mcscope::wire::{Hint, Protocol, recognise};

use crate::essentials::{FIELDS, Told, essentials};
use crate::has;
use crate::pcap::{self, Packet};
use crate::replay::{self, Udp};
use crate::support::netns::done;

/// What tshark must be told that a port or a first glance does not say.
const OPTIONS: [&str; 8] = [
    "--enable-heuristic",
    "rtp_udp",
    "--enable-heuristic",
    "acn",
    "-d",
    "udp.port==26400,moldudp64",
    "-d",
    "udp.port==5405,corosync_totemnet",
];

/// Our word for what tshark calls a protocol right above UDP.
const SAME: &[(&str, &str)] = &[
    ("acn", "sacn"),
    ("artnet", "artnet"),
    ("babel", "babel"),
    ("coap", "coap"),
    ("corosync_totemnet", "totem"),
    ("glbp", "glbp"),
    ("hsrp", "hsrp"),
    ("json", "json"),
    ("kip", "knx"),
    ("llmnr", "llmnr"),
    ("lsd", "bt-lsd"),
    ("mdns", "mdns"),
    ("moldudp64", "moldudp64"),
    ("mp2t", "mpegts"),
    ("ntp", "ntp"),
    ("pathport", "pathport"),
    ("ptp", "ptp"),
    ("rip", "rip"),
    ("ripng", "ripng"),
    ("rtcp", "rtcp"),
    ("rtp", "rtp"),
    ("rtps", "rtps"),
    ("sap", "sap"),
    ("ssdp", "ssdp"),
    ("syslog", "syslog"),
];

/// Where the two differ, and why. `data` is what tshark does not know, `-` what mcscope does not.
const DIFFERENT: &[(&str, &str, &str)] = &[
    ("data", "-", "OLA's SandNet and one-byte RTPS wake-ups: neither knows them"),
    ("data", "cot", "tshark 4.0 has no dissector of Cursor on Target"),
    ("data", "ganglia", "tshark 4.0 has no dissector of gmond's XDR"),
    ("data", "json", "the heuristic of JSON asks for more than numbers in lines"),
    ("data", "lcm", "tshark 4.0 has no dissector of LCM"),
    ("data", "mavlink", "tshark has one only as a plug-in"),
    ("data", "minecraft", "tshark 4.0 has no dissector of the LAN announcement"),
    ("data", "mpegts", "packets of 204 and 192 bytes: tshark takes 188 only"),
    ("data", "nmea", "tshark 4.0 has no dissector of NMEA 0183"),
    ("data", "sacn", "synchronisation and discovery: tshark 4.0 takes root vector 4 only"),
    ("data", "sadp", "tshark 4.0 has no dissector of SADP"),
    ("data", "sma", "tshark 4.0 has no dissector of Speedwire"),
    ("data", "sood", "its dissector listens on the port only with a session"),
    ("data", "bt-lsd", "its heuristic asks for the header lines in another order"),
    ("data", "statsd", "tshark 4.0 has no dissector of StatsD"),
    ("data", "wsd", "tshark 4.0 has no dissector of WS-Discovery"),
    ("data", "xplane", "tshark 4.0 has no dissector of X-Plane's beacon"),
    ("data", "cbor", "tshark dissects CBOR within other protocols only"),
    ("data", "sdp", "an SDP without SAP: tshark looks for it within other protocols only"),
    ("data", "text", "text is no protocol to tshark"),
    ("data", "xml", "the heuristic of XML is off"),
    ("wg", "hazelcast", "a first byte of 4 and three zeroes are all that tshark asks of WireGuard"),
];

fn capture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures").join(name)
}

/// The fields of each packet of a capture by tshark, the values of one field joined by `|`.
#[track_caller]
fn dissect(file: &Path, fields: &[&str]) -> Vec<Vec<String>> {
    let mut command = Command::new("tshark");
    command.arg("-r").arg(file).arg("-n").args(OPTIONS).args([
        "-T",
        "fields",
        "-E",
        "separator=/t",
        "-E",
        "aggregator=|",
    ]);
    for field in fields {
        command.args(["-e", field]);
    }
    // It prints what the locale can print.
    command.env("HOME", std::env::temp_dir()).env("LC_ALL", "C.UTF-8");
    done(command, "the judge").lines().map(|l| l.split('\t').map(str::to_owned).collect()).collect()
}

fn hint(d: &Udp<'_>) -> Hint {
    Hint { to: d.to, from: d.from, len: d.len }
}

/// What each datagram is taken for: as a stream by its whole, or each for itself.
fn taken(packets: &[Packet], as_streams: bool) -> Vec<Option<&'static Protocol>> {
    let all: Vec<Udp<'_>> = replay::datagrams(packets).collect();
    assert_eq!(all.len(), packets.len(), "a capture of UDP only");
    if !as_streams {
        return all.iter().map(|d| recognise(d.payload, &hint(d)).map(|(p, _)| p)).collect();
    }
    let mut verdicts: BTreeMap<(Endpoint, Endpoint), Verdict> = BTreeMap::new();
    for d in &all {
        verdicts.entry((d.from, d.to)).or_default().observe(d.payload, &hint(d));
    }
    all.iter().map(|d| verdicts[&(d.from, d.to)].protocol().map(|(p, _)| p)).collect()
}

#[test]
fn names_and_previews_say_what_tshark_says() {
    if !has(test_name!(), "tshark", "--version") {
        return;
    }
    let mut wrong = String::new();
    let (mut named, mut pieces) = (0, 0);
    let mut used: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for (file, as_streams) in [("programs.pcap", true), ("samples.pcap", false)] {
        let packets = pcap::read(&capture(file));
        let theirs = dissect(&capture(file), FIELDS);
        assert_eq!(packets.len(), theirs.len(), "{file}");
        let ours = taken(&packets, as_streams);
        let of_both = replay::datagrams(&packets).zip(&ours).zip(&theirs);
        for (i, ((d, ours), theirs)) in of_both.enumerate() {
            let told = Told(theirs);
            let layers = told.first("frame.protocols").unwrap_or_default();
            let above = layers.split(":udp:").nth(1).unwrap_or("data");
            let name = above.split(':').next().unwrap_or(above);
            let id = ours.map_or("-", |p| p.id);
            if SAME.contains(&(name, id)) {
                named += 1;
            } else if let Some((name, id, _)) = DIFFERENT.iter().find(|(n, i, _)| (*n, *i) == (name, id)) {
                *used.entry((name, id)).or_default() += 1;
            } else {
                let _ = writeln!(wrong, "{file} {}: {id}, tshark {layers}", i + 1);
            }
            let Some(p) = ours else { continue };
            let mut line = String::new();
            (p.preview)(d.payload, &mut line);
            for piece in essentials(p.id, &told) {
                pieces += 1;
                if !line.contains(&piece) {
                    let _ = writeln!(wrong, "{file} {}: {line:?} does not say {piece:?}", i + 1);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(named > 450 && pieces > 1500, "only {named} names and {pieces} pieces were compared");
    for (name, id, why) in DIFFERENT {
        assert!(used.contains_key(&(*name, *id)), "no packet is {id} here and {name} there any more: {why}");
    }
}
