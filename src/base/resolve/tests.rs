use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::base::iface::IfaceAddr;
use crate::base::spec::tests::any_group;

fn iface(index: u32, name: &str, kind: IfaceKind, addrs: &[&str]) -> Iface {
    let addr = |ip: &&str| IfaceAddr { ip: ip.parse().unwrap(), prefix_len: 24 };
    Iface {
        index,
        name: name.into(),
        up: true,
        carrier: Some(true),
        multicast: true,
        kind,
        master: None,
        mtu: Some(1500),
        mac: None,
        addrs: addrs.iter().map(addr).collect(),
    }
}

fn host() -> Vec<Iface> {
    vec![
        iface(1, "lo", IfaceKind::Loopback, &["127.0.0.1", "::1"]),
        iface(2, "eth0", IfaceKind::Wired, &["10.1.2.3", "fe80::2"]),
        iface(3, "eth1", IfaceKind::Wired, &["10.9.0.3"]),
        iface(4, "wlan0", IfaceKind::Wireless, &["192.168.1.9", "fe80::4"]),
        iface(5, "wg0", IfaceKind::Tunnel, &["10.8.0.1"]),
    ]
}

fn context(ifaces: &[Iface]) -> Context<'_> {
    Context { registry: Registry::builtin(), ifaces, commands: &[] }
}

/// The memberships of a text as texts.
fn rows(text: &str, ifaces: &[Iface]) -> Vec<String> {
    let resolved = resolve_text(text, &context(ifaces)).unwrap_or_else(|e| panic!("{}", e.caret()));
    resolved.memberships.iter().map(ToString::to_string).collect()
}

fn notes(text: &str) -> Vec<String> {
    let resolved = resolve_text(text, &context(&host())).unwrap_or_else(|e| panic!("{}", e.caret()));
    resolved.notes.iter().map(ToString::to_string).collect()
}

fn wrong(text: &str) -> SpecError {
    resolve_text(text, &context(&host())).expect_err(text)
}

#[test]
fn interfaces_are_those_named_or_the_candidates() {
    let host = host();
    for (text, want) in [
        ("239.1.1.1:5004%eth1", &["239.1.1.1%eth1:5004"][..]),
        ("239.1.1.1%wg0:5004", &["239.1.1.1%wg0:5004"]),
        ("239.1.1.1%3:5004", &["239.1.1.1%eth1:5004"]),
        ("239.1.1.1%3,eth1:5004", &["239.1.1.1%eth1:5004"]),
        ("239.1.1.1:5004", &["239.1.1.1%eth0:5004", "239.1.1.1%eth1:5004", "239.1.1.1%wlan0:5004"]),
        ("239.1.1.1%all:5004", &["239.1.1.1%eth0:5004", "239.1.1.1%eth1:5004", "239.1.1.1%wlan0:5004"]),
        ("[ff15::7%wlan0,eth0]:9", &["[ff15::7%eth0]:9", "[ff15::7%wlan0]:9"]),
        ("239.1.1.255+2%eth0:9", &["239.1.1.255%eth0:9", "239.1.2.0%eth0:9"]),
        ("10.0.0.2,10.0.0.1@232.1.1.1%eth0:9", &["10.0.0.1,10.0.0.2@232.1.1.1%eth0:9"]),
    ] {
        assert_eq!(rows(text, &host), want, "{text}");
    }
    assert_eq!(rows("239.1.1.1:5004", &host[..1]), ["239.1.1.1%lo:5004"]);
}

#[test]
fn an_unknown_interface_lists_those_that_exist() {
    let error = wrong("239.1.1.1%eth0,eth7:5004");
    assert_eq!(error.message, "there is no interface eth7");
    assert_eq!((error.part(), error.span.clone()), ("eth7", 15..19));
    assert_eq!(error.help.unwrap(), "lo, eth0, eth1, wlan0, wg0 exist");
    // Pointed at where it was typed, not where it would be printed.
    assert_eq!(wrong("  239.1.1.1:5004%eth").span, 17..20);
    assert_eq!(wrong("udp://@[ff02::1%25eth7]:5004/").span, 18..22);
    assert_eq!(wrong("mdns%eth7").span, 5..9);
    let none = resolve_text("239.1.1.1:5004", &context(&[])).unwrap_err();
    assert_eq!(none.message, "no interface here can join by itself");
}

#[test]
fn a_name_is_joined_in_both_families() {
    let host = host();
    assert_eq!(rows("mdns%eth0", &host), ["224.0.0.251%eth0:5353", "[ff02::fb%eth0]:5353"]);
    assert_eq!(rows("mdns%eth0,eth1", &host).len(), 3);
    assert_eq!(notes("mdns%eth1"), ["eth1 has no IPv6 address: the IPv6 groups of mdns are left out there"]);
    // Nothing else to join: it is tried.
    assert_eq!(rows("mdns-link%eth1", &host), ["[ff02::fb%eth1]:5353"]);
    let bare = [iface(2, "eth0", IfaceKind::Wired, &[])];
    assert_eq!(rows("mdns", &bare).len(), 2);
    assert_eq!(
        rows("ptp%eth1", &host),
        ["224.0.1.129%eth1:319", "224.0.1.129%eth1:320"],
        "every port of the row"
    );
    assert_eq!(rows("meshtastic%eth1", &host), ["224.0.0.69%eth1:4403"]);
    assert_eq!(
        notes("meshtastic%eth1"),
        ["239.0.0.69 of meshtastic is left out: no UDP port is usual there"]
    );
}

#[test]
fn a_name_that_cannot_be_joined_says_why() {
    for (text, message) in [
        ("pim", "pim has no usual UDP port"),
        ("sacn", "sacn is a range of addresses, it cannot be joined"),
        ("cme-market-data", "CME market data is a range of addresses, it cannot be joined"),
        ("nosuch", "there is no group of this name"),
    ] {
        let error = wrong(text);
        assert_eq!((&*error.message, error.part()), (message, text));
        assert!(error.help.is_some());
    }
    assert_eq!(wrong("mdsn").help.unwrap(), "nearest: the group mdns");
    assert_eq!(wrong("eth0").help.unwrap(), "eth0 is an interface: write GROUP%eth0");
    let host = host();
    let with_commands = Context { commands: &["watch", "send", "sap"], ..context(&host) };
    let error = resolve_text("sned", &with_commands).unwrap_err();
    assert_eq!(error.message, "this is neither a command nor a group");
    assert_eq!(error.help.unwrap(), "nearest: the command send");
}

#[test]
fn the_registry_fills_in_the_port_where_it_is_sure() {
    let host = host();
    assert_eq!(rows("224.0.0.251%eth0", &host), ["224.0.0.251%eth0:5353"]);
    assert_eq!(notes("224.0.0.251%eth0"), ["port 5353 is that of mdns"]);
    assert_eq!(rows("ff02::fb%eth0", &host), ["[ff02::fb%eth0]:5353"]);
    assert_eq!(rows("224.0.1.129+2%eth1", &host).len(), 4);
    assert_eq!(notes("224.0.1.129%eth1"), ["ports 319 320 are those of ptp"]);
    for (text, message, help) in [
        ("239.1.1.1", "the port is missing", "write 239.1.1.1:PORT"),
        ("ff15::9", "the port is missing", "write [ff15::9]:PORT"),
        (
            "239.255.0.17",
            "the port is missing",
            "usual here: 4321 (dante-audio), 5568 (sacn); write 239.255.0.17:PORT",
        ),
        (
            "224.0.0.5",
            "the port is missing",
            "ospf-all (All OSPF routers (IP protocol 89)) has no usual UDP port; write 224.0.0.5:PORT",
        ),
        (
            "ff02::fb:5353",
            "the port is missing",
            "if 5353 is the port, write [ff02::fb]:5353; else [ff02::fb:5353]:PORT",
        ),
    ] {
        let error = wrong(text);
        assert_eq!((&*error.message, &**error.help.as_ref().unwrap()), (message, help), "{text}");
        assert_eq!(error.span, text.len()..text.len());
    }
    let error = wrong("239.255.255.250");
    assert_eq!(error.message, "the port is missing, several are usual");
    assert_eq!(
        error.help.unwrap(),
        "usual here: 1900 (ssdp), 1982 (yeelight), 3702 (ws-discovery), 37020 (hik-sadp), 4001 (govee); \
         write 239.255.255.250:PORT"
    );
    // A range is joined only where every group has its port.
    assert_eq!(wrong("224.0.0.251+9").message, "the port is missing");
}

#[test]
fn sources_and_ranges_that_do_not_go_together_are_noted() {
    assert_eq!(
        notes("10.0.0.1@239.1.1.1+3%eth0:9"),
        [
            "239.1.1.1 is outside the SSM range (232/8): the source filter is kept, but routers and switches may \
          still carry every sender"
        ]
    );
    assert_eq!(
        notes("[ff3e::1+2%eth0]:9"),
        ["ff3e::1 is in the SSM range (ff3x::/32): a join without a source reaches only senders on this \
          link; write SOURCE@ff3e::1"]
    );
    assert_eq!(notes("10.0.0.1@232.1.1.1%eth0:9"), [""; 0]);
    assert_eq!(notes("239.1.1.1%wg0:9"), ["wg0 is a tunnel: joined only because it was named"]);
    assert_eq!(notes("239.1.1.1%lo:9"), [""; 0]);
}

#[test]
fn several_texts_become_one_sorted_list() {
    let host = host();
    let texts = ["239.1.1.2%eth0:5", "239.1.1.1+2%eth0:5", "mdns%eth1"];
    let all = resolve_all(texts, &context(&host)).unwrap();
    let all: Vec<String> = all.memberships.iter().map(ToString::to_string).collect();
    assert_eq!(all, ["224.0.0.251%eth1:5353", "239.1.1.1%eth0:5", "239.1.1.2%eth0:5"]);
    assert_eq!(resolve_all(["mdns", "239.1.1.1:0"], &context(&host)).unwrap_err().text, "239.1.1.1:0");
}

#[test]
fn without_groups_the_discovery_groups_are_joined() {
    let registry = Registry::builtin();
    let shown = |ifaces: &[Iface]| -> Vec<String> {
        defaults(registry, ifaces).iter().map(ToString::to_string).collect()
    };
    let host = host();
    assert_eq!(
        shown(&host[..2]),
        [
            "224.0.0.251%eth0:5353",
            "224.0.0.252%eth0:5355",
            "224.2.127.254%eth0:9875",
            "239.255.255.250%eth0:1900",
            "239.255.255.250%eth0:3702",
            "[ff02::c%eth0]:1900",
            "[ff02::c%eth0]:3702",
            "[ff02::fb%eth0]:5353",
            "[ff02::1:3%eth0]:5355",
            "[ff02::2:7ffe%eth0]:9875",
        ]
    );
    // No IPv6 on eth1; no Wi-Fi while there is a wire; no tunnel.
    let all = shown(&host);
    assert_eq!(all.len(), 15);
    assert!(all.iter().all(|row| !row.contains("wlan0") && !row.contains("wg0")));
    assert!(all.iter().all(|row| !row.contains("[") || row.contains("eth0")));
    assert_eq!(shown(&host[3..]).len(), 10, "Wi-Fi alone is used");
    assert_eq!(shown(&host[..1]).len(), 10, "the loopback when nothing else is there");
}

#[test]
fn sending_needs_one_interface() {
    let host = host();
    let on = |text: &str, ifaces: &[Iface]| {
        one_iface(&Spec::parse(text).unwrap(), ifaces).map(|i| i.name.to_string())
    };
    assert_eq!(on("[ff02::1%eth1]:5", &host).unwrap(), "eth1");
    assert_eq!(on("239.1.1.1:5", &host[..2]).unwrap(), "eth0");
    let error = on("[ff02::1]:5", &host).unwrap_err();
    assert_eq!(error.message, "one interface must be named of eth0, eth1, wlan0");
    assert_eq!(error.help.unwrap(), "write [ff02::1%eth0]:5");
    let error = on("239.1.1.1%eth0,eth1:5", &host).unwrap_err();
    assert_eq!((&*error.message, error.part()), ("one interface must be named of eth0, eth1", "%eth0,eth1"));
    assert_eq!(on("239.1.1.1%eth9:5", &host).unwrap_err().message, "there is no interface eth9");
}

#[test]
fn while_typing_the_unfinished_is_not_wrong() {
    let host = host();
    let context = context(&host);
    for text in [
        "",
        "2",
        "23",
        "239",
        "239.",
        "239.1.1",
        "239.1.1.",
        "239.1.1.1",
        "239.1.1.1:",
        "239.1.1.1+",
        "239.1.1.1%",
        "239.1.1.1%e",
        "239.1.1.1:5%eth",
        "239.1.1.1%eth0,",
        "239.1.1.1%al",
        "10.1.2.20",
        "10.1.2.20,",
        "10.1.2.20@",
        "10.1.2.20@10",
        "fe80::1",
        "f",
        "ff",
        "ff0",
        "ff02:",
        "ff02::",
        "ff02::fb:5",
        "[",
        "[ff",
        "[ff02::fb",
        "[ff02::fb%",
        "[ff02::fb]:",
        "u",
        "udp",
        "udp:",
        "udp://",
        "udp://@",
        "udp://@[ff02::1%2",
        "m",
        "md",
        "ws-",
        "2001",
        "2001:db8::1@f",
        "mdns%w",
    ] {
        assert!(matches!(check(text, &context), Check::Incomplete(_)), "{text}: {:?}", check(text, &context));
    }
    for text in
        ["239.1.1.1:5", "mdns", "ff02::fb", "[ff02::fb]", "10.1.2.20@232.1.1.1:5004", "udp://@239.1.1.1:5/"]
    {
        assert!(matches!(check(text, &context), Check::Ok(_)), "{text}: {:?}", check(text, &context));
    }
    for (text, part) in [
        ("234.2.2.299", "299"),
        ("239.1.1.1:0", "0"),
        ("239.1.1.1:65536", "65536"),
        ("10.1.2.20:", "10.1.2.20"),
        ("10.1.2.20@10.1.2.3", "10.1.2.3"),
        ("239.1.1.1%x", "x"),
        ("239.1.1.1%et:5", "et"),
        ("239.1.1.1+0", "0"),
        ("zzz", "zzz"),
        ("mdnsx", "mdnsx"),
        ("pim", "pim"),
        ("10.0.0.1@ff02::1", "10.0.0.1"),
        ("ff02::1::", "::"),
        ("[ff02::fb]5", "5"),
    ] {
        match check(text, &context) {
            Check::Wrong(error) => assert_eq!(error.part(), part, "{text}"),
            other => panic!("{text}: {other:?}"),
        }
    }
}

proptest! {
    #[test]
    fn no_prefix_of_what_resolves_is_wrong(spec in any_group(), pick in 0usize..6, small in 1u32..20) {
        let host = host();
        let context = context(&host);
        let choice = [None, Some("%all"), Some("%eth0"), Some("%wlan0,eth1"), Some("%wg0"), Some("%lo")][pick];
        let ifaces = match choice {
            None => IfaceChoice::Unnamed,
            Some("%all") => IfaceChoice::All,
            Some(names) => IfaceChoice::Named(names[1..].split(',').map(str::to_owned).collect()),
        };
        let spec = GroupSpec { ifaces, count: small, port: spec.port.or(Some(5004)), ..spec };
        let text = spec.to_string();
        for end in 0..text.len() {
            let state = check(&text[..end], &context);
            prop_assert!(!matches!(state, Check::Wrong(_)), "{}: {:?}", &text[..end], state);
        }
        let state = check(&text, &context);
        let Check::Ok(resolved) = state else { panic!("{text}: {state:?}") };
        let per_group = match &spec.ifaces { IfaceChoice::Named(names) => names.len(), _ => 3 };
        prop_assert_eq!(resolved.memberships.len(), small as usize * per_group);
        prop_assert!(resolved.memberships.is_sorted());
        // Each membership is a spec of its own that resolves to itself.
        for membership in &resolved.memberships {
            let again = resolve_text(&membership.to_string(), &context).unwrap();
            prop_assert_eq!(&again.memberships[..], std::slice::from_ref(membership));
        }
    }

    #[test]
    fn checking_never_panics(text in "([0-9a-f.:@%+,/\\[\\]]|239\\.1\\.1\\.1|ff02::|udp://|mdns|eth0|é){0,8}|.{0,20}") {
        let host = host();
        let _ = check(&text, &context(&host));
        let _ = check(&text, &context(&[]));
    }

    #[test]
    fn every_group_has_a_label_or_a_range(v4 in 0xe000_0000u32..=0xefff_ffff, v6: u128) {
        let v6 = Ipv6Addr::from_bits(v6 | 0xff << 120);
        let registry = Registry::builtin();
        prop_assert!(registry.range(Ipv4Addr::from_bits(v4).into()).is_some());
        prop_assert!(registry.range(v6.into()).is_some());
    }
}
