//! The pieces that a preview must hold, by the fields that tshark reads in the same packet.

/// The fields that the previews are held against.
pub const FIELDS: &[&str] = &[
    "frame.protocols",
    "rtp.p_type",
    "rtp.ssrc",
    "rtp.seq",
    "rtp.timestamp",
    "rtp.marker",
    "rtcp.senderssrc",
    "rtcp.sender.packetcount",
    "mp2t.pid",
    "mpeg_descr.svc.svc_name",
    "mpeg_pat.prog_num",
    "mpeg_pat.tsid",
    "mpeg_pmt.stream.elementary_pid",
    "dns.flags.response",
    "dns.qry.name",
    "dns.resp.name",
    "ptp.v2.messagetype",
    "ptp.v2.sequenceid",
    "ptp.v2.domainnumber",
    "ptp.v2.clockidentity",
    "ptp.v2.sourceportid",
    "ptp.v2.an.grandmasterclockidentity",
    "ptp.v2.an.grandmasterclockclass",
    "ptp.v2.an.localstepsremoved",
    "ntp.flags.vn",
    "ntp.flags.mode",
    "ntp.stratum",
    "ntp.ppoll",
    "sap.flags.t",
    "sdp.session_name",
    "sdp.connection_info.address",
    "sdp.media.port",
    "rtps.version.major",
    "rtps.version.minor",
    "rtps.guidPrefix.src",
    "rtps.sm.seqNumber",
    "rtps.sm.wrEntityId",
    "rtps.param.status_info",
    "acn.dmx.universe",
    "acn.dmx.priority",
    "acn.dmx.seq_number",
    "acn.dmx.source_name",
    "cemi.sa",
    "cemi.da",
    "knxip.loss",
    "knxip.busy.time",
    "coap.code",
    "coap.mid",
    "coap.opt.uri_path",
    "coap.opt.uri_query",
    "rip.command",
    "rip.ip",
    "rip.metric",
    "syslog.facility",
    "syslog.level",
    "syslog.msg",
    "artnet.header.opcode",
    "artnet.output.sequence",
    "artnet.output.universe",
    "artnet.output.length",
    "hsrp.group",
    "hsrp.priority",
    "hsrp.virt_ip",
    "hsrp2.group",
    "hsrp2.priority",
    "hsrp2.virt_ip",
    "glbp.group",
    "glbp.ownerid",
    "moldudp64.session",
    "moldudp64.sequence",
    "moldudp64.count",
    "pathport.src",
    "pathport.seq",
    "pathport.arp.ip",
    "lsd.infohash",
    "lsd.port",
    "http.request.line",
    "http.server",
];

/// One packet's fields by tshark.
pub struct Told<'t>(pub &'t [String]);

impl<'t> Told<'t> {
    /// All values of a field.
    fn all(&self, field: &str) -> Vec<&'t str> {
        let at =
            FIELDS.iter().position(|f| *f == field).unwrap_or_else(|| panic!("{field} was not asked for"));
        self.0.get(at).map_or(Vec::new(), |v| v.split('|').filter(|v| !v.is_empty()).collect())
    }

    pub fn first(&self, field: &str) -> Option<&'t str> {
        self.all(field).first().copied()
    }

    fn number(&self, field: &str) -> Option<u64> {
        self.first(field).and_then(number)
    }

    /// The value of a header line of SSDP.
    fn header(&self, name: &str) -> Option<&'t str> {
        self.all("http.request.line").into_iter().find_map(|l| {
            let (is, value) = l.split_once(':')?;
            is.eq_ignore_ascii_case(name).then(|| value.trim_end_matches("\\r\\n").trim())
        })
    }
}

/// `12` or `0x0c`.
fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The pieces that a preview must hold, by what tshark reads in the packet.
pub fn essentials(id: &str, t: &Told<'_>) -> Vec<String> {
    let mut out = Vec::new();
    let mut say = |piece: Option<String>| out.extend(piece);
    let numbered = |before: &str, field: &str| t.number(field).map(|n| format!("{before}{n}"));
    match id {
        "rtp" => {
            say(numbered("RTP PT ", "rtp.p_type"));
            say(t.number("rtp.ssrc").map(|n| format!("  ssrc {n:08x}  ")));
            say(numbered("  seq ", "rtp.seq"));
            say(numbered("  ts ", "rtp.timestamp"));
            let marked = t.first("rtp.marker").is_some_and(|m| m != "0" && m != "False");
            say(marked.then(|| "  M  ".to_owned()));
            transport(t, &mut say);
        }
        "mpegts" => {
            transport(t, &mut say);
            let n = t.all("mp2t.pid").len();
            say((n > 0).then(|| format!("TS {n} pkts")));
        }
        "rtcp" => {
            say(t.number("rtcp.senderssrc").map(|n| format!("ssrc {n:08x}")));
            say(numbered("pkts ", "rtcp.sender.packetcount"));
        }
        "mdns" | "llmnr" => {
            let response = t.first("dns.flags.response").is_some_and(|r| r == "1" || r == "True");
            say(Some(if response { " resp " } else { " query " }.to_owned()));
            say(t.first(if response { "dns.resp.name" } else { "dns.qry.name" }).map(str::to_owned));
        }
        "ptp" if t.first("ptp.v2.messagetype").is_some() => {
            let kind = match t.number("ptp.v2.messagetype") {
                Some(0) => "Sync",
                Some(1) => "Delay_Req",
                Some(2) => "Pdelay_Req",
                Some(3) => "Pdelay_Resp",
                Some(8) => "Follow_Up",
                Some(9) => "Delay_Resp",
                Some(10) => "Pdelay_Resp_Follow_Up",
                Some(11) => "Announce",
                _ => "",
            };
            say(Some(format!("PTPv2 {kind} ")));
            say(numbered("  dom ", "ptp.v2.domainnumber"));
            let clock = |field| {
                let id = t.number(field)?.to_be_bytes().map(|b| format!("{b:02x}"));
                Some(id.join("-"))
            };
            if kind == "Announce" {
                say(clock("ptp.v2.an.grandmasterclockidentity").map(|c| format!("  GM {c}")));
                say(numbered("  class ", "ptp.v2.an.grandmasterclockclass"));
                say(numbered("  steps ", "ptp.v2.an.localstepsremoved"));
            } else {
                say(numbered(" seq ", "ptp.v2.sequenceid"));
                let port = t.number("ptp.v2.sourceportid");
                say(clock("ptp.v2.clockidentity").zip(port).map(|(c, port)| format!("  from {c}:{port}")));
            }
        }
        "ntp" => {
            say(numbered("NTP v", "ntp.flags.vn"));
            say((t.number("ntp.flags.mode") == Some(5)).then(|| " broadcast ".to_owned()));
            say(numbered("  stratum ", "ntp.stratum"));
            say(t.number("ntp.ppoll").map(|n| format!("poll {} s", 1u64 << n)));
        }
        "sap" => {
            let deletes = t.first("sap.flags.t").is_some_and(|f| f == "1" || f == "True");
            say(Some(if deletes { "SAP delete" } else { "SAP announce" }.to_owned()));
            // tshark takes SDP for ASCII and prints what is not as U+FFFD.
            let session = t.first("sdp.session_name").and_then(|n| n.split('\u{fffd}').next());
            say(session.map(|n| format!("\"{n}")));
            let group = t.first("sdp.connection_info.address").map(|a| a.split('/').next().unwrap_or(a));
            say(group.zip(t.first("sdp.media.port")).map(|(group, port)| {
                if group.contains(':') { format!("[{group}]:{port}") } else { format!("{group}:{port}") }
            }));
        }
        "rtps" => {
            let version = t.number("rtps.version.major").zip(t.number("rtps.version.minor"));
            say(version.map(|(a, b)| format!("RTPS {a}.{b} ")));
            say(t.first("rtps.guidPrefix.src").map(|p| format!("prefix {}", p.replace(':', ""))));
            let writer = t.number("rtps.sm.wrEntityId");
            say(writer.map(|w| format!("(w {w:08x} ")));
            let data = t.first("rtps.sm.seqNumber").filter(|_| t.all("rtps.sm.seqNumber").len() == 1);
            say(data.map(|n| format!(" seq {n}")));
            let status = t.number("rtps.param.status_info").unwrap_or(0);
            say((status & 1 != 0).then(|| " disposed".to_owned()));
            say((status & 2 != 0).then(|| " unregistered".to_owned()));
        }
        "sacn" => {
            say(numbered("sACN univ ", "acn.dmx.universe"));
            say(t.first("acn.dmx.source_name").map(|n| format!("\"{n}\"")));
            say(numbered("  prio ", "acn.dmx.priority"));
            say(numbered("  seq ", "acn.dmx.seq_number"));
        }
        "knx" => {
            let three = |n: u64, bits: (u32, u32), dot: &str| {
                let (main, rest) = (n >> (bits.0 + bits.1), n & ((1 << (bits.0 + bits.1)) - 1));
                format!("{main}{dot}{}{dot}{}", rest >> bits.1, rest & ((1 << bits.1) - 1))
            };
            say(t.number("cemi.sa").map(|n| format!("KNX {} -> ", three(n, (4, 8), "."))));
            say(t.number("cemi.da").map(|n| format!(" -> {} ", three(n, (3, 8), "/"))));
            say(numbered("lost: ", "knxip.loss"));
            say(t.number("knxip.busy.time").map(|n| format!("wait {n} ms")));
        }
        "coap" => {
            let code = t.number("coap.code").unwrap_or(0);
            let method = ["", "GET", "POST", "PUT", "DELETE"].get(code as usize).map(|m| format!(" {m} "));
            say(method.or_else(|| Some(format!(" {}.{:02} ", code >> 5, code & 31))));
            say(numbered("  mid ", "coap.mid"));
            let path: String = t.all("coap.opt.uri_path").iter().map(|p| format!("/{p}")).collect();
            let query = t.all("coap.opt.uri_query").join("&");
            say(Some(if query.is_empty() { path } else { format!("{path}?{query}") }));
        }
        "rip" => {
            let asks = t.number("rip.command") == Some(1);
            say(Some(if asks { "RIPv2 request" } else { "RIPv2 response" }.to_owned()));
            let n = t.all("rip.metric").len();
            say((!asks).then(|| format!("  {n} route")));
            say(t.first("rip.ip").filter(|_| !asks).map(|ip| format!("  {ip}/")));
        }
        "syslog" => {
            let facility = t.number("syslog.facility").and_then(|n| {
                let names =
                    ["kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron"];
                names
                    .get(n as usize)
                    .map(|n| (*n).to_owned())
                    .or_else(|| (16..24).contains(&n).then(|| format!("local{}", n - 16)))
            });
            let levels = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];
            let level = t.number("syslog.level").and_then(|n| levels.get(n as usize));
            say(facility.zip(level).map(|(f, l)| format!("syslog {f}.{l} ")));
            say(t
                .first("syslog.msg")
                .and_then(|m| m.trim_end_matches("\\n").split(' ').next_back())
                .map(str::to_owned));
        }
        "artnet" => {
            let kind = match t.number("artnet.header.opcode") {
                Some(0x5000) => "DMX",
                Some(0x2000) => "Poll",
                Some(0x2100) => "PollReply",
                Some(0x9700) => "TimeCode",
                _ => "",
            };
            say(Some(format!("Art-Net {kind}")));
            say(numbered(" univ ", "artnet.output.universe"));
            say(numbered("  seq ", "artnet.output.sequence"));
            say(t.number("artnet.output.length").map(|n| format!("  {n} ch")));
        }
        "hsrp" => {
            for v in ["hsrp", "hsrp2"] {
                say(numbered(" group ", &format!("{v}.group")));
                say(numbered("  prio ", &format!("{v}.priority")));
                say(t.first(&format!("{v}.virt_ip")).map(|ip| format!("VIP {ip}")));
            }
        }
        "glbp" => {
            say(numbered("group ", "glbp.group"));
            say(t.first("glbp.ownerid").map(|m| format!("owner {m}")));
        }
        "moldudp64" => {
            say(t.first("moldudp64.session").map(|s| format!("Mold64 {s}  ")));
            say(numbered("  seq ", "moldudp64.sequence"));
            let n = t.number("moldudp64.count");
            say(n.map(|n| if n == 0 { "heartbeat".to_owned() } else { format!("{n} msg") }));
        }
        "pathport" => {
            say(t.number("pathport.src").map(|n| format!("from {n:08x}")));
            say(numbered("  seq ", "pathport.seq"));
            say(t.first("pathport.arp.ip").map(str::to_owned));
        }
        "bt-lsd" => {
            say(t.first("lsd.infohash").map(str::to_owned));
            say(numbered("port ", "lsd.port"));
        }
        "ssdp" => {
            let kind = t.header("NTS").and_then(|nts| nts.strip_prefix("ssdp:"));
            say(kind.map(|k| format!("SSDP {k} ")));
            for name in ["ST", "NT"] {
                say(t.header(name).map(|what| match what.strip_prefix("urn:") {
                    // Of a long name the device and its version.
                    Some(urn) => urn
                        .rsplitn(3, ':')
                        .take(2)
                        .collect::<Vec<_>>()
                        .into_iter()
                        .rev()
                        .collect::<Vec<_>>()
                        .join(":"),
                    None => what.to_owned(),
                }));
            }
            let uuid = t.header("USN").and_then(|u| u.strip_prefix("uuid:")?.get(..8));
            say(uuid.map(|u| format!("  uuid {u}")));
            let age = t.header("CACHE-CONTROL").and_then(|c| c.split('=').nth(1));
            say(age.map(|a| format!("  max-age {}", a.trim())));
        }
        _ => {}
    }
    out
}

/// What a transport stream's preview must name: programmes, services and streams where there are
/// tables, else the PIDs.
fn transport(t: &Told<'_>, say: &mut dyn FnMut(Option<String>)) {
    for name in t.all("mpeg_descr.svc.svc_name") {
        say(Some(format!("\"{name}\"")));
    }
    for n in t.all("mpeg_pat.prog_num") {
        say(number(n).map(|n| format!("prog {n}")));
    }
    say(t.number("mpeg_pat.tsid").map(|n| format!("TSID {n}")));
    for pid in t.all("mpeg_pmt.stream.elementary_pid") {
        say(number(pid).map(|pid| format!("pid {pid}")));
    }
    let tables = ["mpeg_descr.svc.svc_name", "mpeg_pat.prog_num", "mpeg_pmt.stream.elementary_pid"];
    if tables.iter().all(|f| t.first(f).is_none()) {
        let pids = t.all("mp2t.pid");
        for pid in pids.into_iter().filter_map(number).filter(|&pid| pid != 0x1fff) {
            say(Some(format!(" {pid}")));
        }
    }
}
