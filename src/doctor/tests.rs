//! Judging made-up facts: for each fault the finding that explains it comes first, and a host with
//! nothing wrong gets no warning.

use std::net::IpAddr;
use std::sync::Arc;

use super::checks;
use super::counters::Counters;
use super::facts::*;
use super::finding::{Fate, Finding, Report, Station, Verdict};
use super::judge;
use super::ruleset::{Action, Chain, Hook, Rule, Ruleset};
use crate::base::group::{Endpoint, Membership, SourceFilter};
use crate::base::iface::{Iface, IfaceAddr, IfaceKind};
use crate::base::joined::Process;
use crate::net::Kind;
use crate::net::iface::{Details, Stats};
use crate::net::route::Route;

const SENDER: &str = "10.0.0.9";
const WINDOW_NS: u64 = 3_000_000_000;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn iface(index: u32, name: &str, addr: &str) -> IfaceFacts {
    let addrs = [(addr, 24), ("fe80::1", 64)].map(|(a, prefix_len)| IfaceAddr { ip: ip(a), prefix_len });
    let details = Details {
        index,
        name: name.into(),
        flags: 0x11043,
        operstate: Some(6),
        promiscuity: Some(0),
        allmulti: Some(0),
        carrier_losses: Some(0),
        stats: Some(Stats::default()),
        ..Details::default()
    };
    IfaceFacts {
        iface: Iface {
            index,
            name: name.into(),
            up: true,
            carrier: Some(true),
            multicast: true,
            kind: IfaceKind::Wired,
            master: None,
            mtu: Some(1500),
            mac: None,
            addrs: addrs.to_vec(),
        },
        details: Some(details.clone()),
        before: Some(details),
        v4: IfaceSettings {
            rp_filter: Some(0),
            accept_local: Some(0),
            force_igmp: Some(0),
            mc_forwarding: Some(0),
        },
        ipv6_off: Some(false),
        force_mld: Some(0),
        link_local: LinkLocal::Ready,
        igmp_version: Some(3),
        mld_queries: Some(0),
        unreported: None,
    }
}

fn route(ifindex: u32) -> Option<Route> {
    Some(Route { ifindex, local: false, gateway: None, source: None })
}

fn flow(port: u16, frames: u64) -> Flow {
    Flow {
        source: ip(SENDER),
        port: Some(port),
        elsewhere: false,
        vlan: None,
        frames,
        fragments: 0,
        bad_checksum: 0,
        bad_length: 0,
        ttl: 4,
        longest: 200,
        route_back: Some(route(2)),
    }
}

/// A host on which 30 datagrams of the group arrive in 3 s.
fn healthy() -> Facts {
    let settings = IfaceSettings {
        rp_filter: Some(0),
        accept_local: Some(0),
        force_igmp: Some(0),
        mc_forwarding: Some(0),
    };
    Facts {
        window_ns: WINDOW_NS,
        ifaces: vec![iface(2, "eth0", "10.0.0.1"), iface(3, "eth1", "10.0.1.1")],
        counters: Some(counters(30, 30, 30, 30, &[])),
        sockets: Some(Vec::new()),
        members: Some(Vec::new()),
        settings: Settings {
            all: settings,
            force_mld: Some(0),
            igmp_max_memberships: Some(20),
            igmp_max_msf: Some(10),
            mld_max_msf: Some(64),
            igmp_link_local_reports: Some(1),
            optmem_max: Some(131_072),
            rmem_max: Some(4 << 20),
            rmem_default: Some(212_992),
            netdev_max_backlog: Some(1000),
            ipfrag_high_thresh: Some(4 << 20),
            ipfrag_time_s: Some(30),
            multicast_vifs: Some(Vec::new()),
        },
        host: Host { default_route: Some(true), ..Host::default() },
        rules: Some(Ok(Ruleset::default())),
        targets: vec![Target {
            membership: Arc::new(Membership {
                group: ip("239.1.1.1"),
                port: 5004,
                iface: "eth0".into(),
                filter: SourceFilter::Any,
            }),
            named: true,
            join: Ok(()),
            moved: false,
            packets: 30,
            sources: vec![Source { from: Endpoint::new(ip(SENDER), 9999), packets: 30, ttl: Some(4) }],
            drops: 0,
            duplicates: 0,
            wire: Some(Ok(Wire { flows: vec![flow(5004, 30)], report_left: true, ..Wire::default() })),
            elsewhere: Vec::new(),
            route: Some(route(2)),
            silent_after_ns: None,
            cut: None,
            probe: None,
        }],
        listened: Some(Ok(WINDOW_NS)),
        supported: true,
        ..Facts::default()
    }
}

/// Increases: received by IP, multicast, delivered, datagrams, and others by name.
fn counters(received: u64, multicast: u64, delivered: u64, datagrams: u64, more: &[(&str, u64)]) -> Counters {
    let mut all = vec![
        ("Ip InReceives", received),
        ("IpExt InMcastPkts", multicast),
        ("Ip InDelivers", delivered),
        ("Udp InDatagrams", datagrams),
        ("Ip6InReceives", 0),
        ("Ip6InDelivers", 0),
    ];
    all.extend(more);
    Counters::made_up(&all)
}

/// What this check found.
fn finding(f: &Facts, id: &str) -> Finding {
    report(f).findings.into_iter().find(|f| f.id == id).unwrap()
}

/// The same host with nothing of the group arriving at a socket.
fn silent(counters: Counters) -> Facts {
    let mut f = healthy();
    f.counters = Some(counters);
    (f.targets[0].packets, f.targets[0].sources) = (0, Vec::new());
    f
}

/// Without CAP_NET_RAW.
fn blind(mut f: Facts) -> Facts {
    let why = Unseen { reason: "needs CAP_NET_RAW".into(), remedy: Some("setcap cap_net_raw+ep x".into()) };
    f.targets[0].wire = Some(Err(why.clone()));
    (f.listened, f.rules) = (Some(Err(why.clone())), Some(Err(why)));
    f
}

fn wire(f: &mut Facts) -> &mut Wire {
    f.targets[0].wire.as_mut().unwrap().as_mut().unwrap()
}

fn report(f: &Facts) -> Report {
    judge(f).remove(0)
}

#[track_caller]
fn first(f: &Facts, id: &str, verdict: Verdict) -> Finding {
    let r = report(f);
    let found = r.findings[0].clone();
    assert_eq!((found.id, found.verdict), (id, verdict), "{found:#?}\n{:?}", r.funnel);
    assert!(found.explains && !found.evidence.is_empty(), "{found:#?}");
    found
}

fn drop_chain(hook: Hook) -> Chain {
    Chain {
        family: if hook == Hook::Ingress { "netdev" } else { "inet" }.into(),
        table: "t".into(),
        name: "c".into(),
        hook: Some(hook),
        devices: if hook == Hook::Ingress { vec!["eth0".into()] } else { Vec::new() },
        rules: vec![Rule { handle: 5, matches: Vec::new(), actions: vec![Action::Drop] }],
        ..Chain::default()
    }
}

#[test]
fn every_check_has_a_name_of_its_own_and_says_why() {
    let mut ids: Vec<&str> = checks::all().map(|c| c.id).collect();
    assert!(ids.len() >= 50, "{} checks", ids.len());
    assert!(checks::all().all(|c| c.why.len() > 20 && c.id.contains('.')));
    ids.sort_unstable();
    let count = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

#[test]
fn with_nothing_wrong_there_is_no_warning() {
    for f in [healthy(), blind(healthy())] {
        let r = report(&f);
        let bad: Vec<_> = r.findings.iter().filter(|f| f.verdict <= Verdict::Warn || f.explains).collect();
        assert!(bad.is_empty(), "{bad:#?}");
        assert_eq!(r.funnel.unwrap().fate, Fate::Arrives);
    }
    let mut host = healthy();
    host.targets.clear();
    host.asked = vec!["eth0".into(), "eth1".into()];
    let r = report(&host);
    assert!(r.findings.iter().all(|f| f.verdict > Verdict::Warn), "{:#?}", r.findings);
    assert!(r.findings.iter().any(|f| f.object == "eth1"));
}

#[test]
fn what_needs_a_privilege_is_unknown_and_names_it() {
    let r = report(&blind(silent(counters(0, 0, 0, 0, &[]))));
    for id in ["igmp.querier", "fw.input", "fw.igmp", "rp.acceptlocal", "snoop.vlan", "net.pim"] {
        let f = r.findings.iter().find(|f| f.id == id).unwrap();
        assert_eq!(f.verdict, Verdict::Unknown, "{f:#?}");
        assert!(f.evidence.contains("CAP_NET_RAW"), "{f:#?}");
    }
}

#[test]
fn the_reverse_path_filter_is_told_with_sender_and_way_back() {
    let dropped = [("TcpExt IPReversePathFilter", 30)];
    let mut f = silent(counters(30, 0, 0, 0, &dropped));
    f.ifaces[0].v4.rp_filter = Some(1);
    wire(&mut f).flows[0].route_back = Some(route(3));
    let found = first(&f, "rp.filter", Verdict::Fail);
    assert_eq!(
        found.title,
        "eth0 drops packets from 10.0.0.9 before any program sees them: rp_filter is strict (1), and the way \
         back to 10.0.0.9 leaves by eth1"
    );
    assert_eq!(found.remedy.unwrap().command(), Some("sysctl -w net.ipv4.conf.eth0.rp_filter=2"));
    // No way back at all: loose is not enough.
    wire(&mut f).flows[0].route_back = Some(None);
    let found = first(&f, "rp.filter", Verdict::Fail);
    assert_eq!(found.remedy.unwrap().command(), Some("ip route add 10.0.0.9/32 dev eth0"));
    // Without a look the counter alone accuses, which is the host's; the default route decides what helps.
    let found = first(&blind(f.clone()), "rp.filter", Verdict::Warn);
    assert!(found.evidence.contains("needs CAP_NET_RAW"), "{found:#?}");
    assert_eq!(found.remedy.unwrap().command(), Some("sysctl -w net.ipv4.conf.eth0.rp_filter=2"));
    f.host.default_route = Some(false);
    let found = first(&blind(f.clone()), "rp.filter", Verdict::Warn);
    assert!(found.remedy.unwrap().text().contains("conf.all.rp_filter=0"));
    // Somebody else's packets are dropped: ours die elsewhere.
    wire(&mut f).flows[0].route_back = Some(route(2));
    f.rules = Some(Ok(Ruleset { chains: vec![drop_chain(Hook::Prerouting)], legacy: false }));
    first(&f, "fw.prerouting", Verdict::Fail);
}

#[test]
fn an_interface_without_address_is_the_reason_and_the_filter_beside_it() {
    let mut f = silent(counters(30, 0, 0, 0, &[("TcpExt IPReversePathFilter", 30)]));
    f.settings.all.rp_filter = Some(1);
    f.ifaces[0].iface.addrs.retain(|a| a.ip.is_ipv6());
    first(&f, "addr.v4none", Verdict::Fail);
    assert!(report(&f).findings[..2].iter().any(|f| f.id == "rp.filter"));
}

#[test]
fn a_rule_that_drops_is_named_and_opened_where_it_stands() {
    for (hook, id, c) in [
        (Hook::Input, "fw.input", counters(30, 30, 0, 0, &[])),
        (Hook::Prerouting, "fw.prerouting", counters(30, 0, 0, 0, &[])),
        (Hook::Ingress, "fw.ingress", counters(0, 0, 0, 0, &[])),
    ] {
        let mut f = silent(c);
        f.rules = Some(Ok(Ruleset { chains: vec![drop_chain(hook)], legacy: false }));
        let found = first(&f, id, Verdict::Fail);
        assert!(found.evidence.contains("rule handle 5"), "{found:#?}");
        let family = if hook == Hook::Ingress { "netdev" } else { "inet" };
        let want = format!("nft insert rule {family} t c ip daddr 239.1.1.1 udp dport 5004 accept");
        assert_eq!(found.remedy.unwrap().command(), Some(&want[..]));
        // The counters alone tell input too, and say that the rules were not read.
        f.rules = Some(Err(Unseen { reason: "needs CAP_NET_ADMIN".into(), remedy: None }));
        let found = first(&f, id, Verdict::Fail);
        assert!(hook == Hook::Ingress || found.evidence.contains("needs CAP_NET_ADMIN"), "{found:#?}");
    }
}

#[test]
fn without_a_look_the_counters_tell_where_and_what_stays_open() {
    let cases: [(&str, Counters, Station); 5] = [
        ("fw.input", counters(30, 30, 0, 0, &[]), Station::Firewall),
        ("sock.port", counters(30, 30, 30, 0, &[("Udp IgnoredMulti", 30)]), Station::Port),
        (
            "sock.csum",
            counters(30, 30, 30, 0, &[("Udp InErrors", 30), ("Udp InCsumErrors", 30)]),
            Station::Port,
        ),
        ("sock.length", counters(30, 30, 30, 0, &[("Udp InErrors", 30)]), Station::Port),
        ("ip.frag", counters(30, 30, 0, 0, &[("Ip ReasmReqds", 30)]), Station::Ip),
    ];
    for (id, c, station) in cases {
        let f = blind(silent(c));
        // Others' packets may have moved the counters.
        first(&f, id, Verdict::Warn);
        let funnel = report(&f).funnel.unwrap();
        assert_eq!(funnel.dies_at(), Some(station), "{id}");
        assert!(!funnel.cannot_separate.is_empty(), "{id}");
    }
    let mut f = blind(silent(counters(0, 0, 0, 0, &[])));
    f.ifaces[0].details.as_mut().unwrap().stats = Some(Stats { rx_packets: 30, ..Stats::default() });
    first(&f, "fw.ingress", Verdict::Warn);
}

#[test]
fn traffic_on_another_port_is_named() {
    let mut f = silent(counters(30, 30, 30, 0, &[("Udp IgnoredMulti", 30)]));
    wire(&mut f).flows = vec![flow(5001, 30)];
    let found = first(&f, "sock.port", Verdict::Fail);
    assert_eq!(found.title, "traffic to 239.1.1.1 arrives on port 5001, not on 5004");
}

#[test]
fn each_kind_of_source_that_is_refused_is_told() {
    let mut f = silent(counters(30, 0, 0, 0, &[]));
    wire(&mut f).flows[0].source = ip("10.0.1.1");
    let found = first(&f, "rp.acceptlocal", Verdict::Fail);
    assert!(found.title.contains("own address, on eth1"), "{found:#?}");
    wire(&mut f).flows[0].source = ip("0.0.0.0");
    first(&f, "rp.badsource", Verdict::Fail);
    wire(&mut f).flows[0].source = ip(SENDER);
    let asked = SourceFilter::Include(vec![ip("10.0.0.7")]);
    Arc::make_mut(&mut f.targets[0].membership).filter = asked;
    let found = first(&f, "ssm.wrongsource", Verdict::Fail);
    assert!(found.title.contains("you asked for 10.0.0.7"), "{found:#?}");
}

#[test]
fn frames_for_others_are_told_by_station_and_vlan() {
    let mut f = silent(counters(0, 0, 0, 0, &[]));
    wire(&mut f).flows[0].elsewhere = true;
    first(&f, "if.dstmac", Verdict::Fail);
    wire(&mut f).flows[0].elsewhere = false;
    wire(&mut f).flows[0].vlan = Some(7);
    let found = first(&f, "snoop.vlan", Verdict::Fail);
    assert!(found.remedy.unwrap().text().contains("type vlan id 7"));
}

#[test]
fn the_interface_itself_may_be_the_reason() {
    let none = || {
        let mut f = silent(counters(0, 0, 0, 0, &[]));
        wire(&mut f).flows.clear();
        f
    };
    let mut f = none();
    f.ifaces[0].iface.up = false;
    first(&f, "if.down", Verdict::Fail);
    let mut f = none();
    f.ifaces[0].iface.carrier = Some(false);
    first(&f, "if.carrier", Verdict::Fail);
    let mut f = none();
    f.ifaces[0].details.as_mut().unwrap().stats = Some(Stats { rx_dropped: 30, ..Stats::default() });
    // Frames of protocols that are not spoken here count there too.
    first(&f, "if.mtu", Verdict::Warn);
    let mut f = none();
    f.targets[0].elsewhere = vec![Elsewhere { iface: "eth1".into(), source: ip(SENDER), frames: 30 }];
    let found = first(&f, "net.sender", Verdict::Fail);
    assert!(found.title.ends_with("does not come by eth0, but by eth1"), "{found:#?}");
    let found = first(&none(), "net.sender", Verdict::Warn);
    assert!(found.title.contains("nothing of 239.1.1.1:5004 reaches eth0"), "{found:#?}");
}

#[test]
fn properties_of_the_host_are_notes_unless_nothing_comes() {
    let mut f = healthy();
    f.host.container = Some("/.dockerenv".into());
    f.ifaces[0].iface.kind = IfaceKind::Wireless;
    let details = f.ifaces[1].details.as_mut().unwrap();
    (details.peer_elsewhere, details.driver) = (true, Some("veth".into()));
    let verdict = |f: &Facts, id: &str| report(f).findings.iter().find(|f| f.id == id).unwrap().verdict;
    assert_eq!((verdict(&f, "env.container"), verdict(&f, "if.wifi")), (Verdict::Note, Verdict::Note));
    f.targets[0].packets = 0;
    wire(&mut f).flows.clear();
    assert_eq!((verdict(&f, "env.container"), verdict(&f, "if.wifi")), (Verdict::Warn, Verdict::Warn));
}

#[test]
fn a_refused_join_names_limit_or_holder() {
    let refused = |kind, at_port, at_sources| {
        let mut f = silent(counters(0, 0, 0, 0, &[]));
        f.targets[0].join = Err(Refusal { kind, at_port, at_sources, text: "cannot".into() });
        f
    };
    first(&refused(Kind::NoBuffer, false, false), "igmp.maxmemberships", Verdict::Fail);
    first(&refused(Kind::NoBuffer, false, true), "igmp.maxmsf", Verdict::Fail);
    first(&refused(Kind::NoSuchInterface, false, false), "igmp.notjoined", Verdict::Fail);
    let mut f = refused(Kind::InUse, true, false);
    f.sockets = Some(vec![socket("0.0.0.0", 0)]);
    let found = first(&f, "sock.inuse", Verdict::Fail);
    assert!(found.title.contains("held by player (pid 812)"), "{found:#?}");
}

fn socket(bound: &str, drops: u64) -> UdpSocket {
    UdpSocket {
        local: Endpoint::new(ip(bound), 5004),
        uid: 1000,
        inode: 1,
        drops,
        drops_ever: drops,
        connected: false,
        program: Some(Process { pid: 812, name: "player".into() }),
    }
}

#[test]
fn other_programs_troubles_are_told_by_name() {
    let mut f = healthy();
    f.sockets = Some(vec![socket("239.1.1.1", 88)]);
    f.members = Some(vec![Member { iface: "eth0".into(), group: ip("239.1.1.1"), users: 1 }]);
    let found = finding(&f, "sock.rcvbuf");
    assert_eq!((found.verdict, &found.object[..]), (Verdict::Fail, "player (pid 812)"));
    assert!(found.evidence.contains("drops +88"), "{found:#?}");
    // Bound to the group and joined nowhere: it lost its membership, or never had one.
    f.members = Some(Vec::new());
    assert_eq!(finding(&f, "igmp.notjoined").verdict, Verdict::Fail);
    f.sockets = Some(vec![socket("10.0.0.1", 0)]);
    f.members = Some(vec![Member { iface: "eth0".into(), group: ip("239.1.1.1"), users: 1 }]);
    let found = finding(&f, "sock.bind");
    assert_eq!(found.verdict, Verdict::Warn);
    assert!(found.title.contains("gets no multicast"), "{found:#?}");
}

#[test]
fn queriers_are_judged_by_their_own_timers() {
    let mut f = healthy();
    let query = |from: &str, age_s: u64, version| QueryHeard {
        iface: "eth0".into(),
        from: ip(from),
        version,
        interval_s: Some(1),
        max_response_ms: 100,
        age_ns: age_s * 1_000_000_000,
    };
    f.queries = vec![query("10.0.0.254", 1, 3)];
    assert_eq!(finding(&f, "igmp.querier").verdict, Verdict::Ok);
    f.queries = vec![query("10.0.0.254", 5, 3)];
    assert_eq!(finding(&f, "igmp.querier").verdict, Verdict::Warn);
    f.queries.push(query("10.0.0.253", 0, 3));
    let found = finding(&f, "igmp.lowestquerier");
    assert_eq!(found.verdict, Verdict::Note);
    assert!(found.title.contains("10.0.0.253 should be the only one"), "{found:#?}");
    // None for longer than any first query takes.
    f.queries.clear();
    f.listened = Some(Ok(136_000_000_000));
    assert_eq!(finding(&f, "igmp.querier").verdict, Verdict::Warn);
    f.ifaces[0].igmp_version = Some(2);
    assert_eq!(finding(&f, "igmp.version").verdict, Verdict::Warn);
    Arc::make_mut(&mut f.targets[0].membership).filter = SourceFilter::Include(vec![ip(SENDER)]);
    assert_eq!(finding(&f, "igmp.version").verdict, Verdict::Fail);
}

#[test]
fn silence_when_switches_forget_is_recognised() {
    let mut f = silent(counters(0, 0, 0, 0, &[]));
    wire(&mut f).flows.clear();
    f.targets[0].silent_after_ns = Some(261_000_000_000);
    first(&f, "snoop.noquerier", Verdict::Fail);
    f.targets[0].silent_after_ns = Some(100_000_000_000);
    first(&f, "net.sender", Verdict::Warn);
}

#[test]
fn a_cut_that_is_foretold_is_one_warning_with_its_time() {
    let mut f = healthy();
    f.listened = Some(Ok(140_000_000_000));
    f.utc_offset_s = 3600;
    let at = Some(crate::base::time::Wall((14 * 3600 + 42 * 60 + 10) * 1_000_000_000));
    f.targets[0].cut = Some(Cut { why: CutWhy::NoQuerier(140_000_000_000), at });
    let told = finding(&f, "snoop.noquerier");
    assert_eq!(told.verdict, Verdict::Warn);
    let says = "no IGMP querier heard on eth0 for 140 s: a snooping switch cuts 239.1.1.1 at 15:42:10";
    assert_eq!(told.title.replace("2 min 20 s", "140 s"), says);
    assert_eq!(finding(&f, "igmp.querier").verdict, Verdict::Note);
    f.targets[0].cut = Some(Cut { why: CutWhy::Unanswered(5_000_000_000), at: None });
    assert!(finding(&f, "snoop.noquerier").title.contains("was not answered for 239.1.1.1"));
}

#[test]
fn a_carrier_loss_without_a_report_since_matters_to_ipv4_until_a_query_comes() {
    let mut f = silent(counters(0, 0, 0, 0, &[]));
    wire(&mut f).flows.clear();
    f.ifaces[0].unreported = Some(CarrierLosses { count: 2, age_ns: 9_000_000_000 });
    let told = first(&f, "if.flap", Verdict::Warn);
    assert!(told.title.contains("twice") || told.title.contains("2 times"), "{told:?}");
    let query = |age_ns| QueryHeard {
        iface: "eth0".into(),
        from: ip("10.0.0.1"),
        version: 3,
        interval_s: Some(125),
        max_response_ms: 10_000,
        age_ns,
    };
    f.queries = vec![query(10_000_000_000)];
    assert_eq!(finding(&f, "if.flap").verdict, Verdict::Warn, "it came before");
    f.queries = vec![query(3_000_000_000)];
    assert_eq!(finding(&f, "if.flap").verdict, Verdict::Note);
    f.queries.clear();
    Arc::make_mut(&mut f.targets[0].membership).group = ip("ff15::1");
    assert_eq!(finding(&f, "if.flap").verdict, Verdict::Ok);
}

#[test]
fn ipv6_off_is_told_for_ipv6_groups_only() {
    let mut f = silent(counters(0, 0, 0, 0, &[]));
    f.ifaces[0].ipv6_off = Some(true);
    assert!(report(&f).findings.iter().all(|f| f.id != "addr.v6ll"));
    Arc::make_mut(&mut f.targets[0].membership).group = ip("ff15::1");
    let found = first(&f, "addr.v6ll", Verdict::Fail);
    assert_eq!(found.remedy.unwrap().command(), Some("sysctl -w net.ipv6.conf.eth0.disable_ipv6=0"));
}
