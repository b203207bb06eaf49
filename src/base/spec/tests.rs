use proptest::prelude::*;

use super::*;

fn group(text: &str) -> GroupSpec {
    match Spec::parse(text) {
        Ok(Spec::Group(spec)) => spec,
        other => panic!("{text}: {other:?}"),
    }
}

fn named(names: &[&str]) -> IfaceChoice {
    IfaceChoice::Named(names.iter().map(|n| (*n).to_owned()).collect())
}

#[test]
fn every_form_of_the_grammar_is_read() {
    // Text, sources, group, count, interfaces, port.
    let none: &[&str] = &[];
    let unnamed = || IfaceChoice::Unnamed;
    for (text, sources, ip, count, ifaces, port) in [
        ("239.1.1.1:5004", none, "239.1.1.1", 1, unnamed(), Some(5004)),
        ("239.1.1.1", none, "239.1.1.1", 1, unnamed(), None),
        ("  239.1.1.1:5004 ", none, "239.1.1.1", 1, unnamed(), Some(5004)),
        ("239.1.1.1+4:5004", none, "239.1.1.1", 4, unnamed(), Some(5004)),
        ("239.1.1.1+4%eth0:5004", none, "239.1.1.1", 4, named(&["eth0"]), Some(5004)),
        ("239.1.1.1%eth0,eth1:5004", none, "239.1.1.1", 1, named(&["eth0", "eth1"]), Some(5004)),
        ("239.1.1.1:5004%eth0,eth0", none, "239.1.1.1", 1, named(&["eth0"]), Some(5004)),
        ("239.1.1.1%all:5004", none, "239.1.1.1", 1, IfaceChoice::All, Some(5004)),
        ("239.1.1.1%eth0.100", none, "239.1.1.1", 1, named(&["eth0.100"]), None),
        ("239.1.1.1:5004%Ethernet 2", none, "239.1.1.1", 1, named(&["Ethernet 2"]), Some(5004)),
        ("239.1.1.1%2:5004", none, "239.1.1.1", 1, named(&["2"]), Some(5004)),
        ("10.1.2.20@232.1.1.1:5004", &["10.1.2.20"], "232.1.1.1", 1, unnamed(), Some(5004)),
        ("10.0.0.1,10.0.0.2@232.1.1.1", &["10.0.0.1", "10.0.0.2"], "232.1.1.1", 1, unnamed(), None),
        ("10.0.0.1,10.0.0.1@232.1.1.1", &["10.0.0.1"], "232.1.1.1", 1, unnamed(), None),
        ("[ff02::fb]:5353", none, "ff02::fb", 1, unnamed(), Some(5353)),
        ("[FF02::FB%eth0]:5353", none, "ff02::fb", 1, named(&["eth0"]), Some(5353)),
        ("[ff15::1+16%eth0,eth1]:5353", none, "ff15::1", 16, named(&["eth0", "eth1"]), Some(5353)),
        ("[ff02::fb]", none, "ff02::fb", 1, unnamed(), None),
        ("ff02::fb", none, "ff02::fb", 1, unnamed(), None),
        ("ff02::fb%eth0", none, "ff02::fb", 1, named(&["eth0"]), None),
        ("ff02::1+3%all", none, "ff02::1", 3, IfaceChoice::All, None),
        // Not a port: an address may end like one.
        ("ff02::fb:5353", none, "ff02::fb:5353", 1, unnamed(), None),
        ("2001:db8::1@ff3e::1", &["2001:db8::1"], "ff3e::1", 1, unnamed(), None),
        ("[2001:db8::1]@[ff3e::1]:9", &["2001:db8::1"], "ff3e::1", 1, unnamed(), Some(9)),
        ("udp://@239.1.1.1:1234", none, "239.1.1.1", 1, unnamed(), Some(1234)),
        ("udp://239.1.1.1:1234/", none, "239.1.1.1", 1, unnamed(), Some(1234)),
        ("RTP://10.0.0.1@239.1.1.1:5004?pkt_size=1316", &["10.0.0.1"], "239.1.1.1", 1, unnamed(), Some(5004)),
        ("udp://@239.1.1.1:1234/?a=b/c@d#e", none, "239.1.1.1", 1, unnamed(), Some(1234)),
        ("udp://@[ff02::1%25eth0]:5004", none, "ff02::1", 1, named(&["eth0"]), Some(5004)),
        ("udp://@[ff02::1%eth0]:5004", none, "ff02::1", 1, named(&["eth0"]), Some(5004)),
        ("udp://@239.1.1.1%25eth0:5004", none, "239.1.1.1", 1, named(&["eth0"]), Some(5004)),
        ("udp://[fe80::9]@[ff02::1]:5004", &["fe80::9"], "ff02::1", 1, unnamed(), Some(5004)),
        ("239.255.255.255+1:1", none, "239.255.255.255", 1, unnamed(), Some(1)),
        ("239.0.0.0+65536:65535", none, "239.0.0.0", 65_536, unnamed(), Some(65_535)),
    ] {
        let sources = sources.iter().map(|s| s.parse().unwrap()).collect();
        let want = GroupSpec { sources, group: ip.parse().unwrap(), count, ifaces, port };
        assert_eq!(group(text), want, "{text}");
    }
    for (text, name, ifaces) in [
        ("mdns", "mdns", unnamed()),
        ("ws-discovery%eth0", "ws-discovery", named(&["eth0"])),
        ("ssdp%all", "ssdp", IfaceChoice::All),
        ("deadbeef", "deadbeef", unnamed()),
    ] {
        assert_eq!(Spec::parse(text), Ok(Spec::Name(NameSpec { name: name.into(), ifaces })), "{text}");
    }
}

/// Text, where the error lies, what it says.
type Wrong = (&'static str, std::ops::Range<usize>, &'static str);

fn all_wrong(cases: &[Wrong]) {
    for (text, span, message) in cases {
        let error = Spec::parse(text).expect_err(text);
        assert_eq!((&*error.message, &error.span), (*message, span), "{text}\n{}", error.caret());
    }
}

#[test]
fn a_wrong_ipv4_address_is_pointed_at() {
    all_wrong(&[
        ("", 0..0, "a group is missing"),
        ("   ", 3..3, "a group is missing"),
        ("234.2.2.299", 8..11, "an IPv4 number goes up to 255"),
        ("999.2.2.2:5", 0..3, "an IPv4 number goes up to 255"),
        ("239.1.1", 0..7, "an IPv4 address has four numbers, this has 3"),
        ("239.1.1:5004", 0..7, "an IPv4 address has four numbers, this has 3"),
        ("239.1.1.1.1", 9..11, "an IPv4 address has four numbers"),
        ("239..1.1", 4..4, "a number is missing here"),
        ("239.1.1.", 8..8, "a number is missing here"),
        ("239.01.1.1", 4..6, "a leading zero could mean octal"),
        ("239.1.x.1", 6..7, "this is not part of an IPv4 address"),
        ("239.1.0x1.1", 7..8, "this is not part of an IPv4 address"),
        ("239.1.1.1 5004", 9..10, "this is not part of an IPv4 address"),
        ("239.1.1.0/24", 9..12, "a range of groups is written with their number"),
        ("239.1.1.1-9", 9..10, "this is not part of an IPv4 address"),
    ]);
    assert_eq!(Spec::parse("239.1.1.0/24").unwrap_err().help.unwrap(), "write 239.1.1.0+256");
    assert_eq!(Spec::parse("239.01.1.1").unwrap_err().help.unwrap(), "write 1");
    let caret = Spec::parse("234.2.2.299").unwrap_err().caret();
    assert_eq!(caret, "234.2.2.299\n        ^^^ an IPv4 number goes up to 255");
}

#[test]
fn a_wrong_ipv6_address_is_pointed_at() {
    all_wrong(&[
        ("ff02::fg", 7..8, "this is not part of an IPv6 address"),
        ("ff02:::1", 4..7, "three colons: :: stands for the parts left out"),
        ("ff02::1::2", 7..9, ":: may stand only once in an address"),
        ("ff02::12345", 6..11, "a part of an IPv6 address has at most four hex digits"),
        ("ff02:1:2", 0..8, "an IPv6 address has eight parts (or :: for some), this has 3"),
        ("ff02:1:2:3:4:5:6:7:8", 19..20, "an IPv6 address has eight parts"),
        (
            "ff02:1:2:3::4:5:6:7",
            0..19,
            "an IPv6 address has eight parts: nothing is left for :: to stand for",
        ),
        ("ff02:1:", 7..7, "a part of the address is missing here"),
        (":ff02::1", 0..1, "an IPv6 address does not begin with one colon"),
        ("ff02::1.2.3.256", 12..15, "an IPv4 number goes up to 255"),
        ("ff02::1.2.3.4:1", 6..13, "an IPv4 address may only stand at the end of an IPv6 address"),
        ("[ff02::1", 0..1, "this bracket is not closed"),
        ("[]:5", 0..2, "an IPv6 address is missing in the brackets"),
        ("[239.1.1.1]:5004", 0..11, "brackets are for IPv6"),
        ("[ff02::1]x", 9..10, "only :PORT may follow the bracket"),
        ("[ff02::1]%eth0:5353", 9..19, "the interface of an IPv6 group goes inside the brackets"),
        ("ff02::fb%eth0:5353", 13..18, "an IPv6 group with a port stands in brackets"),
        ("ff02::fb+4:5353", 10..15, "an IPv6 group with a port stands in brackets"),
    ]);
    let help = |text: &str| Spec::parse(text).unwrap_err().help.unwrap();
    assert_eq!(help("ff02::fb%eth0:5353"), "write [ff02::fb%eth0]:5353");
    assert_eq!(help("[ff02::1]%eth0:5353"), "write [ff02::1%eth0]:PORT");
}

#[test]
fn what_is_not_multicast_is_named() {
    for (ip, what) in [
        ("10.1.2.3", "a private unicast address"),
        ("172.16.0.1", "a private unicast address"),
        ("172.32.0.1", "a public unicast address"),
        ("192.168.1.1", "a private unicast address"),
        ("8.8.8.8", "a public unicast address"),
        ("127.0.0.1", "a loopback address"),
        ("169.254.3.4", "a link-local unicast address"),
        ("255.255.255.255", "the limited broadcast address"),
        ("0.0.0.0", "the unspecified address"),
        ("203.0.113.9", "a documentation address"),
        ("100.64.0.1", "a shared unicast address (carrier NAT)"),
        ("240.0.0.1", "a reserved address"),
        ("223.255.255.255", "a public unicast address"),
        ("::", "the unspecified address"),
        ("::1", "the loopback address"),
        ("fe80::1", "a link-local unicast address"),
        ("fd00::1", "a private (unique local) unicast address"),
        ("2001:db8::1", "a documentation address"),
        ("2a00::1", "a global unicast address"),
        ("::ffff:239.1.1.1", "an IPv4 address written as IPv6"),
    ] {
        let error = Spec::parse(ip).expect_err(ip);
        assert_eq!(error.message, format!("this is not a multicast group, it is {what}"), "{ip}");
        assert_eq!(error.span, 0..ip.len(), "{ip}");
        assert!(error.help.is_some(), "{ip}");
    }
    assert_eq!(Spec::parse("::ffff:239.1.1.1").unwrap_err().help.unwrap(), "write 239.1.1.1");
    assert_eq!(Spec::parse("[fe80::1]:5").unwrap_err().span, 1..8);
    assert_eq!(Spec::parse("10.0.0.1@10.0.0.2:5").unwrap_err().span, 9..17);
    assert_eq!(Spec::parse("udp://@10.0.0.2:5/").unwrap_err().span, 7..15);
}

#[test]
fn wrong_ports_counts_and_interfaces_are_pointed_at() {
    all_wrong(&[
        ("239.1.1.1:0", 10..11, "nothing can be received on port 0"),
        ("239.1.1.1:65536", 10..15, "a port goes up to 65535"),
        ("239.1.1.1:99999999999999999999", 10..30, "a port goes up to 65535"),
        ("239.1.1.1:http", 10..14, "a port is a number from 1 to 65535"),
        ("239.1.1.1:", 10..10, "the port is missing after the colon"),
        ("239.1.1.1:5004,5005", 10..19, "a port is a number from 1 to 65535"),
        ("239.1.1.1:-1", 10..12, "a port is a number from 1 to 65535"),
        ("239.1.1.1:05", 10..12, "a port has no leading zero"),
        ("239.1.1.1:5004:5005", 14..19, "a port is given twice"),
        ("239.1.1.1:5004%eth0:5005", 19..24, "a port is given twice"),
        ("239.1.1.1:5004+4", 14..16, "the number of groups goes behind the address"),
        ("[ff02::1]:0", 10..11, "nothing can be received on port 0"),
        ("[ff02::1]:", 10..10, "the port is missing after the colon"),
        ("239.1.1.1+0:5004", 10..11, "the number of groups in all starts at 1"),
        ("239.1.1.1+:5004", 10..10, "the number of groups is missing after the +"),
        ("239.1.1.1+x:5004", 10..11, "the number of groups is not a number"),
        ("239.1.1.1+65537:5004", 10..15, "a range has at most 65,536 groups"),
        ("239.1.1.1+99999999999999999999", 10..30, "a range has at most 65,536 groups"),
        (
            "239.255.255.254+3:5",
            16..17,
            "this range runs past 239.255.255.255: from 239.255.255.254 on 2 are left",
        ),
        (
            "239.255.255.255+2:5",
            16..17,
            "this range runs past 239.255.255.255: from 239.255.255.255 on it is the last",
        ),
        (
            "[ff02:ffff:ffff:ffff:ffff:ffff:ffff:ffff+2]:5",
            41..42,
            "this range runs past ff02:ffff:ffff:ffff:ffff:ffff:ffff:ffff: \
             from ff02:ffff:ffff:ffff:ffff:ffff:ffff:ffff on it is the last",
        ),
        ("239.1.1.1%:5004", 10..10, "the name of an interface is missing here"),
        ("239.1.1.1%eth0,,eth1", 15..15, "the name of an interface is missing here"),
        ("239.1.1.1%eth0,:5004", 15..15, "the name of an interface is missing here"),
        ("239.1.1.1%eth0%eth1", 14..15, "several interfaces are separated by commas"),
        ("239.1.1.1%eth0:5004%eth1", 19..24, "interfaces are given twice"),
        ("239.1.1.1%all,eth0", 10..18, "`all` stands for every candidate by itself"),
        ("239.1.1.1%et/h", 12..13, "this cannot be part of an interface's name"),
        ("239.1.1.1%e\x1b", 11..12, "this cannot be part of an interface's name"),
        ("mdns%", 5..5, "the name of an interface is missing here"),
    ]);
}

#[test]
fn wrong_sources_are_pointed_at() {
    all_wrong(&[
        ("@239.1.1.1:5004", 0..1, "a source is missing before the @"),
        ("10.0.0.1@", 9..9, "the group is missing after the @"),
        ("10.0.0.1,@239.1.1.1", 9..9, "a source is missing here"),
        (",10.0.0.1@239.1.1.1", 0..0, "a source is missing here"),
        ("239.1.1.2@239.1.1.1:5", 0..9, "a source is one sender's address, this is multicast"),
        ("10.0.0.1,ff02::1@ff02::2", 9..16, "a source is one sender's address, this is multicast"),
        ("0.0.0.0@239.1.1.1", 0..7, "a source is one sender's address, this is the unspecified address"),
        ("255.255.255.255@239.1.1.1", 0..15, "a source is one sender's address, this is broadcast"),
        ("10.0.0.256@239.1.1.1", 7..10, "an IPv4 number goes up to 255"),
        ("fe80::1%eth0@ff02::1", 7..12, "a source has no interface"),
        ("fe80::1@239.1.1.1:5", 0..7, "an IPv6 source cannot send to an IPv4 group"),
        ("fe80::1,10.0.0.1@ff02::1", 8..16, "an IPv4 source cannot send to an IPv6 group"),
        ("::ffff:10.0.0.1@239.1.1.1", 0..15, "this is an IPv4 address written as IPv6"),
        ("cam@239.1.1.1", 0..3, "a source is an address, not a name"),
        ("10.0.0.1@mdns", 9..13, "this must be a group's address"),
        ("[fe80::1@ff02::1", 0..1, "this bracket is not closed"),
        ("10.0.0.1,10.0.0.2", 17..17, "the group is missing after the sources"),
        ("239.1.1.1,239.1.1.2", 0..9, "a source is one sender's address, this is multicast"),
    ]);
}

#[test]
fn wrong_urls_and_names_are_pointed_at() {
    all_wrong(&[
        ("http://239.1.1.1:80", 0..4, "only udp:// and rtp:// can name a group"),
        ("udp://", 6..6, "the group is missing in this URL"),
        ("udp:///", 6..6, "the group is missing in this URL"),
        ("udp://@", 7..7, "the group is missing after the @"),
        ("udp://@239.1.1.1:5004/live", 21..26, "a path means nothing here"),
        ("udp://@239.1.1.299:5004/", 15..18, "an IPv4 number goes up to 255"),
        ("udp://@mdns:5", 7..13, "this must be a group's address"),
        ("mdns:5353", 4..9, "only an address takes a port"),
        ("mdns%eth0:5353", 9..14, "only an address takes a port"),
        ("mdns+4", 4..6, "a name has no range"),
        ("md!ns", 2..3, "this can be neither a group nor a name"),
        ("%eth0", 0..5, "a group is missing before this"),
        ("+4", 0..2, "a group is missing before this"),
        ("日本\x1b", 6..7, "this can be neither a group nor a name"),
    ]);
}

#[test]
fn a_range_counts_upwards() {
    let groups: Vec<String> = group("239.1.1.254+4:5").groups().map(|g| g.to_string()).collect();
    assert_eq!(groups, ["239.1.1.254", "239.1.1.255", "239.1.2.0", "239.1.2.1"]);
    let groups: Vec<String> = group("ff15::ffff+2").groups().map(|g| g.to_string()).collect();
    assert_eq!(groups, ["ff15::ffff", "ff15::1:0"]);
}

fn any_choice() -> impl Strategy<Value = IfaceChoice> {
    let name = "[a-z][a-z0-9.+_-]{0,14}".prop_filter("reserved", |n| n != "all");
    prop_oneof![
        Just(IfaceChoice::Unnamed),
        Just(IfaceChoice::All),
        proptest::collection::btree_set(name, 1..4)
            .prop_map(|names| IfaceChoice::Named(names.into_iter().collect())),
    ]
}

/// Any valid spec by address.
pub(crate) fn any_group() -> impl Strategy<Value = GroupSpec> {
    let v4 = (proptest::collection::btree_set(1u32..0x7e00_0000, 0..3), 0xe000_0000u32..0xefff_0000);
    let v6 = (
        proptest::collection::btree_set(0x2000u128 << 112..0x3ffe << 112, 0..3),
        0xff00u128 << 112..u128::MAX - (1 << 112),
    );
    let v4 = v4.prop_map(|(sources, group)| {
        let sources = sources.into_iter().map(|s| Ipv4Addr::from_bits(s).into()).collect::<Vec<IpAddr>>();
        (sources, IpAddr::V4(Ipv4Addr::from_bits(group)))
    });
    let v6 = v6.prop_map(|(sources, group)| {
        let sources = sources.into_iter().map(|s| Ipv6Addr::from_bits(s).into()).collect::<Vec<IpAddr>>();
        // Room above for any count, zeros for the short forms.
        (sources, IpAddr::V6(Ipv6Addr::from_bits(group & !(0xffff_ffff << 64) & !0xffff_0000)))
    });
    let count = prop_oneof![Just(1), 1..=MAX_COUNT];
    let port = proptest::option::of(1u16..);
    (prop_oneof![v4, v6], count, any_choice(), port)
        .prop_map(|((sources, group), count, ifaces, port)| GroupSpec { sources, group, count, ifaces, port })
}

proptest! {
    #[test]
    fn a_spec_reads_back_as_itself(spec in any_group()) {
        let text = spec.to_string();
        prop_assert_eq!(Spec::parse(&text), Ok(Spec::Group(spec)), "{}", text);
    }

    #[test]
    fn a_prefix_of_a_spec_is_only_unfinished(spec in any_group(), url: bool) {
        let text = match (url, spec.sources.len()) {
            (true, 0) => format!("udp://@{spec}").replace('%', "%25"),
            (true, 1) => format!("rtp://{spec}").replace('%', "%25"),
            _ => spec.to_string(),
        };
        prop_assert_eq!(Spec::parse(&text), Ok(Spec::Group(spec)), "{}", text);
        for end in 0..text.len() {
            if let Err(fail) = parse_open(&text[..end]) {
                prop_assert!(fail.open, "{}", fail.error.caret());
            }
        }
    }

    #[test]
    fn parsing_never_panics(text in "([0-9a-f.:@%+,/\\[\\]?]|239\\.1\\.1\\.|ff02::|udp://|é| ){0,12}|.{0,20}") {
        match Spec::parse(&text) {
            Ok(spec) => {
                let again = spec.to_string();
                prop_assert_eq!(Spec::parse(&again), Ok(spec), "{} became {}", text, again);
            }
            Err(error) => {
                prop_assert!(error.text.get(error.span.clone()).is_some());
                prop_assert!(!error.caret().is_empty());
            }
        }
    }
}
