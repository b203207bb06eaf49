//! The packet filter's rules, and what becomes of a datagram in them. Pure: the rules come from
//! [`super::gather`].
//!
//! Not every match can be judged from outside (limits, marks, connection state of another kind): such a
//! rule *may* apply, and what follows from it is told as possible, not as certain.

use std::net::IpAddr;

/// The places where the kernel asks the packet filter, in the order of the way in and of the way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    /// Of one device, before IP.
    Ingress,
    /// Before routing, and so before the membership is looked at.
    Prerouting,
    /// Before delivery to this host.
    Input,
    /// Of what this host sends.
    Output,
    /// After routing, of what leaves.
    Postrouting,
}

impl Hook {
    /// nft's word.
    pub fn word(self) -> &'static str {
        match self {
            Hook::Ingress => "ingress",
            Hook::Prerouting => "prerouting",
            Hook::Input => "input",
            Hook::Output => "output",
            Hook::Postrouting => "postrouting",
        }
    }
}

/// All chains.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    /// Those of nftables, also where iptables-nft made them.
    pub chains: Vec<Chain>,
    /// Tables of the older iptables are loaded as well, whose rules are not here.
    pub legacy: bool,
}

/// A chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// ip, ip6, inet, netdev …
    pub family: String,
    /// The table's name.
    pub table: String,
    /// The chain's name.
    pub name: String,
    /// Where the kernel enters it; `None` for one that others jump to.
    pub hook: Option<Hook>,
    /// The devices of an ingress chain; none where they were not told.
    pub devices: Vec<String>,
    /// The order among the chains of a hook.
    pub priority: i64,
    /// Whether what reaches its end is dropped.
    pub drops: bool,
    /// The rules in order.
    pub rules: Vec<Rule>,
}

impl Chain {
    /// As nft names it: "inet filter input".
    pub fn name(&self) -> String {
        format!("{} {} {}", self.family, self.table, self.name)
    }
}

/// A rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// By which nft names it.
    pub handle: u64,
    /// All must hold.
    pub matches: Vec<Match>,
    /// What happens then.
    pub actions: Vec<Action>,
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Lets it go on, past this chain.
    Accept,
    /// Drops it (or rejects, or queues it to a program that may).
    Drop,
    /// Goes through another chain of the table and comes back.
    Jump(String),
    /// Goes on in another chain for good.
    Goto(String),
    /// Comes back to where this chain was jumped to from.
    Return,
    /// Chooses by a property: the first value that matches.
    Map(What, Vec<(Value, Action)>),
}

/// A property of a datagram that rules ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Destination address, of IPv6 if set.
    Destination(bool),
    /// Source address, of IPv6 if set.
    Source(bool),
    /// Destination port of UDP.
    DestinationPort,
    /// The transport protocol: "udp" or 17.
    Transport,
    /// The network protocol: "ip", "ipv4" or "ip6", "ipv6".
    Network,
    /// The interface's name or index that it came by.
    Interface,
    /// The interface's name or index that it leaves by.
    OutInterface,
    /// The type of an IGMP message, or of ICMPv6 if set.
    MessageType(bool),
    /// "multicast".
    PacketType,
    /// "new".
    State,
    /// Something that no packet here has: a TCP port, an ICMP type.
    Foreign,
    /// Something that cannot be judged here.
    Opaque,
}

/// A value that a property is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Number(u64),
    /// A word or an address.
    Word(String),
    /// A network.
    Prefix(IpAddr, u8),
    /// From one to another.
    Range(Box<Value>, Box<Value>),
}

/// A comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Of what.
    pub what: What,
    /// With any of these.
    pub values: Vec<Value>,
    /// It must be none of them.
    pub negated: bool,
}

impl Match {
    /// One that may hold or not.
    pub fn opaque() -> Match {
        Match { what: What::Opaque, values: Vec::new(), negated: false }
    }
}

/// What a packet carries, and which way it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Traffic {
    /// A UDP datagram to this port, that arrives.
    Datagram(u16),
    /// A query of IGMP or MLD, that arrives.
    Query,
    /// A report of IGMPv3 or MLDv2, that leaves.
    Report,
}

impl Traffic {
    fn passes(self, hook: Hook) -> bool {
        match self {
            Traffic::Datagram(_) | Traffic::Query => hook <= Hook::Input,
            Traffic::Report => hook > Hook::Input,
        }
    }
}

/// A multicast packet.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Where it is sent to.
    pub group: IpAddr,
    /// What it is.
    pub traffic: Traffic,
    /// The sender, where it is known.
    pub source: Option<IpAddr>,
    /// The interface's name.
    pub iface: &'a str,
    /// Its index.
    pub ifindex: u32,
}

/// Where a datagram is dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drop {
    /// The base chain that it entered by: an accept at its head saves the datagram.
    pub base: String,
    /// The hook of that chain.
    pub hook: Hook,
    /// The chain with the rule.
    pub chain: String,
    /// The rule; `None`: the chain's policy.
    pub handle: Option<u64>,
    /// Whether it surely applies, or only may.
    pub certain: bool,
}

impl std::fmt::Display for Drop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.handle {
            Some(handle) => {
                write!(f, "rule handle {handle} of nftables chain {} (hook {})", self.chain, self.hook.word())
            }
            None => write!(f, "policy drop of nftables chain {} (hook {})", self.chain, self.hook.word()),
        }
    }
}

/// Whether something holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Yes,
    No,
    Maybe,
}

/// How a walk through a chain ended.
enum End {
    Accepted,
    Dropped(Option<u64>, String, bool),
    /// Ran out of rules, or came back.
    Fell,
}

/// Jumps followed: the kernel allows 16 (NFT_JUMP_STACK_SIZE).
const DEPTH: usize = 16;

impl Ruleset {
    /// Where a datagram is dropped first: certain drops before possible ones, in the order of the hooks.
    pub fn drops(&self, packet: &Packet<'_>) -> Option<Drop> {
        let mut bases: Vec<&Chain> = self.chains.iter().filter(|c| applies(c, packet)).collect();
        bases.sort_by_key(|c| (c.hook, c.priority));
        let mut possible = None;
        for base in bases {
            let Some(hook) = base.hook else { continue };
            let mut doubt = None;
            let end = self.walk(base, packet, 0, &mut doubt);
            let (handle, chain, certain) = match end {
                End::Dropped(handle, chain, certain) => (handle, chain, certain),
                End::Fell if base.drops => (None, base.name(), true),
                End::Accepted | End::Fell => match doubt {
                    Some((handle, chain)) => (handle, chain, false),
                    None => continue,
                },
            };
            let certain = certain && (hook != Hook::Ingress || !base.devices.is_empty());
            let drop = Drop { base: base.name(), hook, chain, handle, certain };
            if drop.certain {
                return Some(drop);
            }
            possible.get_or_insert(drop);
        }
        possible
    }

    /// `doubt` takes the first drop that may apply; after an accept that may apply no drop is certain.
    fn walk(
        &self,
        chain: &Chain,
        packet: &Packet<'_>,
        depth: usize,
        doubt: &mut Option<(Option<u64>, String)>,
    ) -> End {
        let mut may_be_accepted = false;
        for rule in &chain.rules {
            let mut holds = Holds::Yes;
            for m in &rule.matches {
                match self.holds(m, packet) {
                    Holds::No => holds = Holds::No,
                    Holds::Maybe if holds == Holds::Yes => holds = Holds::Maybe,
                    _ => {}
                }
            }
            if holds == Holds::No {
                continue;
            }
            for action in &rule.actions {
                let (action, holds) = match action {
                    Action::Map(what, entries) => match self.choose(*what, entries, packet) {
                        Some((action, h)) => (action, if holds == Holds::Yes { h } else { holds }),
                        None => continue,
                    },
                    other => (other, holds),
                };
                let sure = holds == Holds::Yes && !may_be_accepted;
                match action {
                    Action::Accept if holds == Holds::Yes => return End::Accepted,
                    Action::Accept => may_be_accepted = true,
                    Action::Drop if sure => return End::Dropped(Some(rule.handle), chain.name(), true),
                    Action::Drop if holds == Holds::Yes => {
                        return End::Dropped(Some(rule.handle), chain.name(), false);
                    }
                    Action::Drop => {
                        doubt.get_or_insert((Some(rule.handle), chain.name()));
                    }
                    Action::Return if holds == Holds::Yes => return End::Fell,
                    Action::Return => may_be_accepted = true,
                    Action::Jump(to) | Action::Goto(to) => {
                        let next = self
                            .chains
                            .iter()
                            .find(|c| c.family == chain.family && c.table == chain.table && c.name == *to);
                        let Some(next) = next.filter(|_| depth < DEPTH) else { continue };
                        match self.walk(next, packet, depth + 1, doubt) {
                            End::Accepted if holds == Holds::Yes => return End::Accepted,
                            End::Accepted => may_be_accepted = true,
                            End::Dropped(handle, name, certain) if holds == Holds::Yes => {
                                return End::Dropped(handle, name, certain && sure);
                            }
                            End::Dropped(handle, name, _) => {
                                doubt.get_or_insert((handle, name));
                            }
                            End::Fell => {}
                        }
                        if matches!(action, Action::Goto(_)) && holds == Holds::Yes {
                            return End::Fell;
                        }
                    }
                    Action::Map(..) => {}
                }
            }
        }
        End::Fell
    }

    fn choose<'r>(
        &self,
        what: What,
        entries: &'r [(Value, Action)],
        packet: &Packet<'_>,
    ) -> Option<(&'r Action, Holds)> {
        if what == What::Opaque {
            // Any may be chosen: a drop among them is the one to tell of.
            let drop = entries.iter().find(|(_, a)| *a == Action::Drop);
            return drop.or(entries.first()).map(|(_, a)| (a, Holds::Maybe));
        }
        entries.iter().find(|(v, _)| compare(what, v, packet) == Holds::Yes).map(|(_, a)| (a, Holds::Yes))
    }

    fn holds(&self, m: &Match, packet: &Packet<'_>) -> Holds {
        let found = match m.what {
            What::Opaque => return Holds::Maybe,
            What::Foreign => return Holds::No,
            // A header of the other family is not there, whatever it is compared with.
            What::Destination(v6) | What::Source(v6) if v6 != packet.group.is_ipv6() => return Holds::No,
            what => m.values.iter().map(|v| compare(what, v, packet)).fold(Holds::No, |all, one| {
                match (all, one) {
                    (Holds::Yes, _) | (_, Holds::Yes) => Holds::Yes,
                    (Holds::Maybe, _) | (_, Holds::Maybe) => Holds::Maybe,
                    _ => Holds::No,
                }
            }),
        };
        match (found, m.negated) {
            (Holds::Yes, true) => Holds::No,
            (Holds::No, true) => Holds::Yes,
            (holds, _) => holds,
        }
    }
}

fn applies(chain: &Chain, packet: &Packet<'_>) -> bool {
    let family = match chain.family.as_str() {
        "inet" | "netdev" => true,
        "ip" => packet.group.is_ipv4(),
        "ip6" => packet.group.is_ipv6(),
        _ => false,
    };
    family
        && match chain.hook {
            None => false,
            Some(hook) if !packet.traffic.passes(hook) => false,
            // nft up to 1.0.6 does not tell the devices in JSON.
            Some(Hook::Ingress) => {
                chain.devices.is_empty() || chain.devices.iter().any(|d| d == packet.iface)
            }
            Some(_) => true,
        }
}

fn compare(what: What, value: &Value, packet: &Packet<'_>) -> Holds {
    let yes = |b| if b { Holds::Yes } else { Holds::No };
    match what {
        What::Destination(_) => address(value, packet.group),
        What::Source(_) => packet.source.map_or(Holds::Maybe, |ip| address(value, ip)),
        What::DestinationPort => match packet.traffic {
            Traffic::Datagram(port) => number(value, u64::from(port)),
            _ => Holds::No,
        },
        What::Transport => match (packet.traffic, packet.group.is_ipv4()) {
            (Traffic::Datagram(_), _) => word_or(value, &["udp"], 17),
            (_, true) => word_or(value, &["igmp"], 2),
            (_, false) => word_or(value, &["ipv6-icmp", "icmpv6"], 58),
        },
        What::MessageType(v6) if v6 != packet.group.is_ipv6() => Holds::No,
        What::MessageType(v6) => match (packet.traffic, v6) {
            (Traffic::Datagram(_), _) => Holds::No,
            (Traffic::Query, false) => word_or(value, &["membership-query"], 0x11),
            (Traffic::Query, true) => word_or(value, &["mld-listener-query"], 130),
            (Traffic::Report, false) => word_or(value, &["membership-report-v3"], 0x22),
            (Traffic::Report, true) => word_or(value, &["mld2-listener-report"], 143),
        },
        What::Network if packet.group.is_ipv4() => word_or(value, &["ip", "ipv4"], 2),
        What::Network => word_or(value, &["ip6", "ipv6"], 10),
        What::Interface | What::OutInterface
            if (what == What::OutInterface) != (packet.traffic == Traffic::Report) =>
        {
            Holds::No
        }
        What::Interface | What::OutInterface => match value {
            Value::Word(w) => {
                yes(w.strip_suffix('*').map_or(w == packet.iface, |p| packet.iface.starts_with(p)))
            }
            other => number(other, u64::from(packet.ifindex)),
        },
        What::PacketType => word_or(value, &["multicast"], 2),
        What::State => word_or(value, &["new"], 8),
        What::Foreign => Holds::No,
        What::Opaque => Holds::Maybe,
    }
}

fn word_or(value: &Value, words: &[&str], as_number: u64) -> Holds {
    match value {
        Value::Word(w) if words.contains(&w.as_str()) => Holds::Yes,
        Value::Word(_) => Holds::No,
        other => number(other, as_number),
    }
}

fn number(value: &Value, n: u64) -> Holds {
    let bound = |v: &Value| match v {
        Value::Number(n) => Some(*n),
        _ => None,
    };
    let holds = match value {
        Value::Number(v) => Some(*v == n),
        Value::Range(a, b) => bound(a).zip(bound(b)).map(|(a, b)| (a..=b).contains(&n)),
        _ => None,
    };
    holds.map_or(Holds::Maybe, |b| if b { Holds::Yes } else { Holds::No })
}

fn address(value: &Value, ip: IpAddr) -> Holds {
    let one = |v: &Value| match v {
        Value::Word(w) => w.parse::<IpAddr>().ok(),
        _ => None,
    };
    let holds = match value {
        Value::Word(_) => one(value).map(|v| v == ip),
        Value::Prefix(net, len) => Some(within(ip, *net, *len)),
        Value::Range(a, b) => one(a).zip(one(b)).map(|(a, b)| (a..=b).contains(&ip)),
        Value::Number(_) => None,
    };
    holds.map_or(Holds::Maybe, |b| if b { Holds::Yes } else { Holds::No })
}

/// Whether an address lies in a network.
fn within(ip: IpAddr, net: IpAddr, len: u8) -> bool {
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => u128::from(u32::from(ip)) << 96,
        IpAddr::V6(ip) => ip.into(),
    };
    let same = bits(ip) ^ bits(net);
    ip.is_ipv4() == net.is_ipv4() && (len == 0 || same >> (128 - u32::from(len.min(128))) == 0)
}

#[cfg(test)]
mod tests {
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
}
