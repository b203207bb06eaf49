use std::collections::{HashMap, HashSet};

use super::*;

fn at(ip: &str, port: u16) -> Endpoint {
    Endpoint::new(ip.parse().unwrap(), port)
}

fn ids<'a>(rows: impl IntoIterator<Item = &'a Row>) -> Vec<&'a str> {
    rows.into_iter().map(|row| &*row.id).collect()
}

#[test]
fn the_table_holds_together() {
    let registry = Registry::builtin();
    assert!(registry.rows().len() > 400);
    let mut uses: HashMap<(IpAddr, u8, u16), &str> = HashMap::new();
    let mut keys: HashMap<String, &str> = HashMap::new();
    for row in registry.rows() {
        // Two rows never claim the same port of the same address or range.
        for port in row.each_port() {
            let other = uses.insert((row.address, row.prefix_len, port), &row.id);
            assert_eq!(other, None, "{} claims {} again", row.id, row.address);
        }
        for text in [&row.name, &row.protocol, &row.purpose, &row.reference] {
            assert_eq!(text.trim(), text, "{}", row.id);
            assert!(text.is_ascii(), "{}", row.id);
        }
        assert!(!row.purpose.is_empty(), "{}", row.id);
        assert!(row.protocol != "range" || !row.is_group(), "{} is one address", row.id);
        // Names that only differ in case or punctuation would be one name to the user.
        let same = keys.entry(key(&row.name)).or_insert(&row.name);
        assert_eq!(*same, row.name);
    }
}

#[test]
fn every_id_and_name_leads_to_its_row() {
    let registry = Registry::builtin();
    for row in registry.rows() {
        let by_name = registry.by_name(&row.name);
        assert!(by_name.contains(&row) && by_name.iter().all(|r| r.name == row.name), "{}", row.id);
        // An id is either nobody's name, or that of its own row.
        let by_id = registry.by_name(&row.id);
        assert!(by_id.contains(&row), "{} leads to {:?}", row.id, ids(by_id));
    }
}

#[test]
fn a_name_covers_both_families() {
    let registry = Registry::builtin();
    for (word, groups) in [
        ("mdns", &["224.0.0.251", "ff02::fb"][..]),
        ("llmnr", &["224.0.0.252", "ff02::1:3"]),
        ("ssdp", &["239.255.255.250", "ff02::c"]),
        ("ws-discovery", &["239.255.255.250", "ff02::c"]),
        ("WS Discovery", &["239.255.255.250", "ff02::c"]),
        ("sap", &["224.2.127.254", "ff02::2:7ffe"]),
        ("mDNS-site", &["ff05::fb"]),
        ("mdns-link", &["ff02::fb"]),
        ("nosuch", &[]),
        ("", &[]),
    ] {
        let found: Vec<String> = registry.by_name(word).iter().map(|r| r.address.to_string()).collect();
        assert_eq!(found, groups, "{word}");
    }
}

#[test]
fn a_label_goes_by_port_before_address() {
    let registry = Registry::builtin();
    for (ip, port, id) in [
        ("224.0.0.251", 5353, Some("mdns")),
        ("224.0.0.251", 9999, Some("mdns")),
        ("ff02::fb", 5353, Some("mdns-link")),
        ("239.255.255.250", 1900, Some("ssdp")),
        ("239.255.255.250", 3702, Some("ws-discovery")),
        // Five uses, none of them on this port.
        ("239.255.255.250", 9999, None),
        ("224.0.0.1", 5800, Some("raymarine-beacon")),
        ("224.0.0.1", 9999, Some("all-systems")),
        ("224.0.0.230", 8705, Some("dante-ctl")),
        // Only in ranges.
        ("239.255.0.17", 5568, None),
        ("10.0.0.1", 5353, None),
    ] {
        assert_eq!(registry.label(at(ip, port)).map(|r| &*r.id), id, "{ip} {port}");
    }
}

#[test]
fn the_most_specific_range_encloses() {
    let registry = Registry::builtin();
    for (ip, id) in [
        ("224.0.0.77", Some("local-control")),
        ("239.255.0.17", Some("ipv4-local")),
        ("239.69.1.2", Some("aes67-dante")),
        ("224.0.25.9", Some("cme-224-0-25")),
        ("239.1.1.1", Some("admin-expansion-1")),
        ("ff02::1:ff12:3456", Some("solicited-node")),
        ("ff02::77", Some("scope-link")),
        ("ff3e::1", Some("ssm-global")),
        ("10.0.0.1", None),
        ("::1", None),
    ] {
        assert_eq!(registry.range(ip.parse().unwrap()).map(|r| &*r.id), id, "{ip}");
    }
    assert_eq!(registry.range_at(at("239.255.0.17", 5568)).unwrap().id, "sacn");
    assert_eq!(registry.range_at(at("239.255.0.17", 1)).unwrap().id, "ipv4-local");
    // The whole multicast space is covered, so no group is without a word for it.
    for ip in ["224.99.1.1", "227.1.1.1", "231.0.0.1", "235.0.0.1", "238.1.1.1", "ffff::1"] {
        assert!(registry.range(ip.parse().unwrap()).is_some(), "{ip}");
    }
}

#[test]
fn ports_come_with_the_row_that_knows_them() {
    let registry = Registry::builtin();
    let ports = |ip: &str| -> Vec<(u16, u16, String)> {
        let found = registry.ports_of(ip.parse().unwrap());
        found.into_iter().map(|(low, high, row)| (low, high, row.id.clone())).collect()
    };
    assert_eq!(ports("224.0.1.129"), [(319, 319, "ptp".into()), (320, 320, "ptp".into())]);
    assert_eq!(ports("224.0.0.230"), [(8700, 8708, "dante-ctl".into())]);
    assert_eq!(ports("239.255.0.17"), [(4321, 4321, "dante-audio".into()), (5568, 5568, "sacn".into())]);
    assert_eq!(ports("225.1.1.1"), []);
    let row = registry.by_name("dante-ctl")[0];
    assert_eq!((row.ports_text(), row.each_port().count()), ("8700-8708".into(), 9));
}

#[test]
fn search_puts_the_meant_row_first() {
    let registry = Registry::builtin();
    for (query, first) in [
        ("mdns", "mdns"),
        ("MDNS", "mdns"),
        ("5353", "mdns"),
        ("239.255.255.250", "ssdp"),
        ("239.255.0.17", "ipv4-local"),
        ("ptp", "ptp"),
        ("dante heart", "dante-heartbeat"),
        ("zenoh", "zenoh-scout"),
        ("minecraft", "minecraft-lan"),
        ("onvif", "ws-discovery"),
    ] {
        assert_eq!(registry.search(query).first().map(|r| &*r.id), Some(first), "{query}");
    }
    assert_eq!(registry.search("").len(), registry.rows().len());
    assert!(registry.search("nosuchthing").is_empty());
    // Each word must fit.
    assert_eq!(ids(registry.search("dante 8702")), ["dante-ctl", "dante-info", "dante-ctl-232"]);
}

#[test]
fn only_groups_with_ports_are_joined_by_name() {
    let registry = Registry::builtin();
    let words: HashSet<&str> = registry.joinable_words().into_iter().collect();
    assert!(words.contains("mdns") && words.contains("ws-discovery") && words.contains("lsl-site"));
    for range_or_portless in ["sacn", "ipv4-local", "pim", "cme-224-0-25"] {
        assert!(!words.contains(range_or_portless), "{range_or_portless}");
    }
    assert_eq!(registry.nearest("mdsn").first(), Some(&"mdns"));
    assert_eq!(registry.nearest("ws-discovry").first(), Some(&"ws-discovery"));
    assert!(registry.nearest("qqqqqqqq").is_empty());
}

#[test]
fn a_wrong_line_is_named() {
    let head = COLUMNS.join(",");
    for (line, message) in [
        ("a,224.0.0.1,32,,n,p,u", "7 fields instead of 8"),
        ("A,224.0.0.1,32,,n,p,u,r", "the id `A` is not of a-z, 0-9 and -"),
        ("a,10.0.0.1,32,,n,p,u,r", "10.0.0.1 is not multicast"),
        ("a,224.0.0.1,33,,n,p,u,r", "`33` is not a prefix length"),
        ("a,224.0.0.1,24,,n,p,u,r", "224.0.0.1 has bits beyond its prefix of 24"),
        ("a,224.0.0.1,32,0,n,p,u,r", "`0` is not a port or range of ports"),
        ("a,224.0.0.1,32,9-8,n,p,u,r", "`9-8` is not a port or range of ports"),
        ("a,224.0.0.1,32,,n,p,\"u,r", "a quote is not closed"),
        ("a,224.0.0.1,32,,n\x1b,p,u,r", "a control character"),
        ("a,224.0.0.1,32,,,p,u,r", "name and reference must not be empty"),
    ] {
        let error = Registry::parse(&format!("{head}\n{line}\n")).unwrap_err();
        assert_eq!((error.line, &*error.message), (2, message), "{line}");
    }
    let twice = format!("{head}\na,224.0.0.1,32,,n,p,u,r\na,224.0.0.2,32,,n,p,u,r\n");
    assert_eq!(Registry::parse(&twice).unwrap_err().message, "the id a comes twice");
    assert_eq!(Registry::parse("x\n").unwrap_err().line, 1);
    let quoted = format!("{head}\na,224.0.0.0,4,1 3-5,n,p,\"say \"\"u\"\", then\",r\n");
    assert_eq!(Registry::parse(&quoted).unwrap().rows()[0].purpose, "say \"u\", then");
}
