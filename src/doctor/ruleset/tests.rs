//! Rules as administrators write them.

use super::compare::within;
use super::*;

const PACKET: Packet<'_> = Packet {
    group: IpAddr::V4(std::net::Ipv4Addr::new(239, 1, 1, 1)),
    traffic: Traffic::Datagram(5004),
    source: None,
    iface: "eth0",
    ifindex: 2,
};

fn rule(handle: u64, matches: Vec<Match>, action: Action) -> Rule {
    Rule { handle, matches, actions: vec![action] }
}

fn is(what: What, value: &str) -> Match {
    let value = value.parse().map_or_else(|_| Value::Word(value.into()), Value::Number);
    Match { what, values: vec![value], negated: false }
}

fn input(drops: bool, rules: Vec<Rule>) -> Chain {
    Chain {
        family: "inet".into(),
        table: "t".into(),
        name: "in".into(),
        hook: Some(Hook::Input),
        drops,
        rules,
        ..Chain::default()
    }
}

fn fate(chains: Vec<Chain>) -> Option<(Option<u64>, bool)> {
    let ruleset = Ruleset { chains, legacy: false };
    ruleset.drops(&PACKET).map(|d| (d.handle, d.certain))
}

#[test]
fn the_first_rule_that_holds_decides() {
    let drop = || rule(2, vec![is(What::Transport, "udp")], Action::Drop);
    assert_eq!(fate(vec![input(false, vec![drop()])]), Some((Some(2), true)));
    let accept = |m| rule(1, vec![m], Action::Accept);
    assert_eq!(fate(vec![input(false, vec![accept(is(What::DestinationPort, "5004")), drop()])]), None);
    assert_eq!(
        fate(vec![input(false, vec![accept(is(What::DestinationPort, "53")), drop()])]),
        Some((Some(2), true))
    );
    let net = |ip: &str, len| Match {
        what: What::Destination(false),
        values: vec![Value::Prefix(ip.parse().unwrap(), len)],
        negated: false,
    };
    assert_eq!(fate(vec![input(true, vec![accept(net("224.0.0.0", 4))])]), None);
    assert_eq!(fate(vec![input(true, vec![accept(net("224.0.0.0", 24))])]), Some((None, true)));
    assert_eq!(fate(vec![input(true, vec![accept(is(What::Foreign, "22"))])]), Some((None, true)));
}

#[test]
fn what_cannot_be_judged_makes_a_drop_possible_and_never_certain() {
    assert_eq!(
        fate(vec![input(false, vec![rule(3, vec![Match::opaque()], Action::Drop)])]),
        Some((Some(3), false))
    );
    let doubtful = rule(1, vec![Match::opaque()], Action::Accept);
    assert_eq!(
        fate(vec![input(false, vec![doubtful, rule(2, vec![], Action::Drop)])]),
        Some((Some(2), false))
    );
}

#[test]
fn jumps_maps_and_other_families_are_followed() {
    let mut sub = input(false, vec![rule(9, vec![is(What::State, "new")], Action::Drop)]);
    (sub.name, sub.hook) = ("sub".into(), None);
    let main = input(false, vec![rule(1, vec![], Action::Jump("sub".into()))]);
    assert_eq!(fate(vec![main, sub]), Some((Some(9), true)));
    let map = Action::Map(
        What::State,
        vec![
            (Value::Word("established".into()), Action::Accept),
            (Value::Word("invalid".into()), Action::Drop),
        ],
    );
    assert_eq!(fate(vec![input(false, vec![rule(1, vec![], map)])]), None);
    let mut v6 = input(true, vec![]);
    v6.family = "ip6".into();
    assert_eq!(fate(vec![v6]), None);
    // A jump in a circle ends.
    let circle = input(false, vec![rule(1, vec![], Action::Jump("in".into()))]);
    assert_eq!(fate(vec![circle]), None);
}

#[test]
fn an_ingress_chain_is_that_of_its_device_and_comes_first() {
    let mut ingress = input(true, vec![]);
    (ingress.family, ingress.hook) = ("netdev".into(), Some(Hook::Ingress));
    assert_eq!(fate(vec![ingress.clone()]), Some((None, false)), "whose it is was not told");
    ingress.devices = vec!["eth1".into()];
    assert_eq!(fate(vec![ingress.clone()]), None);
    ingress.devices = vec!["eth0".into()];
    let ruleset = Ruleset { chains: vec![input(true, vec![]), ingress], legacy: false };
    let drop = ruleset.drops(&PACKET).unwrap();
    assert_eq!(drop.hook, Hook::Ingress);
    assert_eq!(drop.to_string(), "policy drop of nftables chain netdev t in (hook ingress)");
}

#[test]
fn reports_go_out_and_queries_come_in() {
    let chain = |hook, rules| Chain { hook: Some(hook), ..input(false, rules) };
    let igmp = || rule(7, vec![is(What::Transport, "igmp")], Action::Drop);
    let fate = |chain: Chain, traffic| {
        let ruleset = Ruleset { chains: vec![chain], legacy: false };
        ruleset.drops(&Packet { traffic, ..PACKET }).map(|d| d.hook)
    };
    let out = || chain(Hook::Output, vec![igmp()]);
    assert_eq!(fate(out(), Traffic::Report), Some(Hook::Output));
    assert_eq!(fate(out(), Traffic::Query), None);
    assert_eq!(fate(out(), Traffic::Datagram(5004)), None);
    let by_type = rule(8, vec![is(What::MessageType(false), "membership-query")], Action::Drop);
    assert_eq!(fate(chain(Hook::Input, vec![by_type]), Traffic::Query), Some(Hook::Input));
    let by_way = rule(9, vec![is(What::OutInterface, "eth0")], Action::Drop);
    assert_eq!(fate(chain(Hook::Postrouting, vec![by_way]), Traffic::Report), Some(Hook::Postrouting));
    let by_way = rule(9, vec![is(What::OutInterface, "eth0")], Action::Drop);
    assert_eq!(fate(chain(Hook::Input, vec![by_way]), Traffic::Query), None);
}

#[test]
fn networks_are_compared_by_their_prefix() {
    let ip = |t: &str| t.parse::<IpAddr>().unwrap();
    assert!(within(ip("239.1.1.1"), ip("224.0.0.0"), 4) && within(ip("10.0.0.1"), ip("0.0.0.0"), 0));
    assert!(!within(ip("10.0.0.1"), ip("224.0.0.0"), 4) && !within(ip("ff02::1"), ip("224.0.0.0"), 4));
    assert!(within(ip("ff02::1"), ip("ff00::"), 8) && !within(ip("ff02::1"), ip("ff02::2"), 128));
}
