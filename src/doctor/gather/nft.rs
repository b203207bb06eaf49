//! The rules of nftables as `nft -j list ruleset` tells them (libnftables-json(5)).

use std::collections::HashMap;
use std::net::IpAddr;

use serde_json::Value as Json;

use crate::doctor::ruleset::{Action, Chain, Hook, Match, Rule, Ruleset, Value, What};

/// Elements kept of a set: an address list of a blocker may have millions.
const ELEMENTS_MAX: usize = 100_000;

/// Named sets by family, table and name.
type Sets<'j> = HashMap<(&'j str, &'j str, &'j str), &'j [Json]>;

/// Reads the rules; `None` if this is not what nft prints.
pub fn parse(text: &str) -> Option<Ruleset> {
    let json: Json = serde_json::from_str(text).ok()?;
    let objects = json.get("nftables")?.as_array()?;
    let mut sets = Sets::new();
    let mut ruleset = Ruleset::default();
    for o in objects {
        if let Some(set) = o.get("set").or_else(|| o.get("map")) {
            let elements = set.get("elem").and_then(Json::as_array).map_or(&[][..], Vec::as_slice);
            sets.insert((str_of(set, "family"), str_of(set, "table"), str_of(set, "name")), elements);
        }
        if let Some(c) = o.get("chain") {
            ruleset.chains.push(chain(c));
        }
    }
    for r in objects.iter().filter_map(|o| o.get("rule")) {
        let (family, table, name) = (str_of(r, "family"), str_of(r, "table"), str_of(r, "chain"));
        let chain =
            ruleset.chains.iter_mut().find(|c| c.family == family && c.table == table && c.name == name);
        if let Some(chain) = chain {
            chain.rules.push(rule(r, &sets, (family, table)));
        }
    }
    Some(ruleset)
}

fn str_of<'j>(o: &'j Json, key: &str) -> &'j str {
    o.get(key).and_then(Json::as_str).unwrap_or_default()
}

fn chain(c: &Json) -> Chain {
    let devices = match c.get("dev") {
        Some(Json::String(one)) => vec![one.clone()],
        Some(Json::Array(all)) => all.iter().filter_map(Json::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    };
    Chain {
        family: str_of(c, "family").into(),
        table: str_of(c, "table").into(),
        name: str_of(c, "name").into(),
        hook: match str_of(c, "hook") {
            "ingress" => Some(Hook::Ingress),
            "prerouting" => Some(Hook::Prerouting),
            "input" => Some(Hook::Input),
            "output" => Some(Hook::Output),
            "postrouting" => Some(Hook::Postrouting),
            _ => None,
        },
        devices,
        priority: c.get("prio").and_then(Json::as_i64).unwrap_or(0),
        drops: str_of(c, "policy") == "drop",
        rules: Vec::new(),
    }
}

fn rule(r: &Json, sets: &Sets<'_>, of: (&str, &str)) -> Rule {
    let mut out = Rule { handle: r.get("handle").and_then(Json::as_u64).unwrap_or(0), ..Rule::default() };
    for e in r.get("expr").and_then(Json::as_array).into_iter().flatten() {
        let Some((kind, body)) = e.as_object().and_then(|o| o.iter().next()) else { continue };
        match kind.as_str() {
            "match" => out.matches.push(compared(body, sets, of)),
            "vmap" => {
                let what = body.get("key").map_or(What::Opaque, what);
                let entries = match body.get("data") {
                    Some(Json::String(name)) => {
                        let name = name.trim_start_matches('@');
                        sets.get(&(of.0, of.1, name)).copied().unwrap_or_default()
                    }
                    Some(data) => data.get("set").and_then(Json::as_array).map_or(&[][..], Vec::as_slice),
                    None => &[],
                };
                let entry = |e: &Json| {
                    let (key, verdict) = (e.get(0)?, e.get(1)?);
                    let (kind, body) = verdict.as_object()?.iter().next()?;
                    Some((value(key)?, action(kind, body)?))
                };
                out.actions.push(Action::Map(what, entries.iter().filter_map(entry).collect()));
            }
            // What depends on rates, sets filled at run time or other modules.
            "limit" | "quota" | "xt" | "connlimit" | "ct count" => out.matches.push(Match::opaque()),
            _ => out.actions.extend(action(kind, body)),
        }
    }
    out
}

fn action(kind: &str, body: &Json) -> Option<Action> {
    let target = || str_of(body, "target").to_owned();
    Some(match kind {
        "accept" => Action::Accept,
        "drop" | "reject" | "queue" => Action::Drop,
        "return" => Action::Return,
        "jump" => Action::Jump(target()),
        "goto" => Action::Goto(target()),
        _ => return None,
    })
}

fn compared(body: &Json, sets: &Sets<'_>, of: (&str, &str)) -> Match {
    let what = body.get("left").map_or(What::Opaque, what);
    let negated = match str_of(body, "op") {
        "!=" => true,
        "==" | "in" => false,
        // Less, greater, bits of a mask.
        _ => return Match::opaque(),
    };
    let values = match body.get("right") {
        Some(Json::String(name)) if name.starts_with('@') => {
            match sets.get(&(of.0, of.1, name.trim_start_matches('@'))) {
                Some(elements) => list(elements),
                None => None,
            }
        }
        Some(Json::Array(all)) => list(all),
        Some(right) => match right.get("set") {
            Some(Json::Array(all)) => list(all),
            Some(one) => value(one).map(|v| vec![v]),
            None => value(right).map(|v| vec![v]),
        },
        None => None,
    };
    match values {
        Some(values) => Match { what, values, negated },
        None => Match::opaque(),
    }
}

fn list(elements: &[Json]) -> Option<Vec<Value>> {
    (elements.len() <= ELEMENTS_MAX).then(|| elements.iter().map(value).collect())?
}

/// A value; `None` for what is none (a concatenation, an expression).
fn value(v: &Json) -> Option<Value> {
    match v {
        Json::Number(n) => n.as_u64().map(Value::Number),
        Json::String(s) => Some(Value::Word(s.clone())),
        Json::Object(o) => {
            let (kind, body) = o.iter().next()?;
            match kind.as_str() {
                "prefix" => {
                    let ip: IpAddr = str_of(body, "addr").parse().ok()?;
                    Some(Value::Prefix(ip, u8::try_from(body.get("len")?.as_u64()?).ok()?))
                }
                "range" => Some(Value::Range(Box::new(value(body.get(0)?)?), Box::new(value(body.get(1)?)?))),
                "elem" => value(body.get("val")?),
                _ => None,
            }
        }
        _ => None,
    }
}

fn what(left: &Json) -> What {
    let Some((kind, body)) = left.as_object().and_then(|o| o.iter().next()) else { return What::Opaque };
    match kind.as_str() {
        "payload" => match (str_of(body, "protocol"), str_of(body, "field")) {
            ("ip", "daddr") => What::Destination(false),
            ("ip6", "daddr") => What::Destination(true),
            ("ip", "saddr") => What::Source(false),
            ("ip6", "saddr") => What::Source(true),
            ("ip", "protocol") | ("ip6", "nexthdr") => What::Transport,
            ("udp" | "th", "dport") => What::DestinationPort,
            ("igmp", "type") => What::MessageType(false),
            ("icmpv6", "type") => What::MessageType(true),
            ("tcp" | "icmp" | "sctp" | "dccp" | "arp", _) => What::Foreign,
            _ => What::Opaque,
        },
        "meta" => match str_of(body, "key") {
            "l4proto" => What::Transport,
            "nfproto" | "protocol" => What::Network,
            "iif" | "iifname" => What::Interface,
            "oif" | "oifname" => What::OutInterface,
            "pkttype" => What::PacketType,
            _ => What::Opaque,
        },
        "ct" if str_of(body, "key") == "state" => What::State,
        // `fib daddr type multicast`.
        "fib" if str_of(body, "result") == "type" => match body.get("flags") {
            Some(Json::Array(flags)) if flags.len() == 1 && flags[0] == "daddr" => What::PacketType,
            Some(Json::String(flag)) if flag == "daddr" => What::PacketType,
            _ => What::Opaque,
        },
        _ => What::Opaque,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::ruleset::{Packet, Traffic};

    /// What nft 1.1 prints for a small firewall.
    const TEXT: &str = r#"{"nftables": [
      {"metainfo": {"version": "1.1.3", "json_schema_version": 1}},
      {"table": {"family": "inet", "name": "filter", "handle": 1}},
      {"set": {"family": "inet", "name": "good", "table": "filter", "type": "ipv4_addr", "handle": 3,
        "flags": ["interval"], "elem": [{"prefix": {"addr": "239.2.0.0", "len": 16}}]}},
      {"chain": {"family": "inet", "table": "filter", "name": "input", "handle": 2, "type": "filter",
        "hook": "input", "prio": 0, "policy": "drop"}},
      {"rule": {"family": "inet", "table": "filter", "chain": "input", "handle": 4, "expr": [
        {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}},
        {"accept": null}]}},
      {"rule": {"family": "inet", "table": "filter", "chain": "input", "handle": 5, "expr": [
        {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "daddr"}}, "right": "@good"}},
        {"counter": {"packets": 0, "bytes": 0}}, {"accept": null}]}},
      {"rule": {"family": "inet", "table": "filter", "chain": "input", "handle": 6, "expr": [
        {"match": {"op": "==", "left": {"payload": {"protocol": "udp", "field": "dport"}},
          "right": {"set": [53, {"range": [6000, 6100]}]}}}, {"accept": null}]}}
    ]}"#;

    fn dropped(group: &str, port: u16) -> Option<String> {
        let traffic = Traffic::Datagram(port);
        let packet =
            Packet { group: group.parse().unwrap(), traffic, source: None, iface: "eth0", ifindex: 2 };
        parse(TEXT).unwrap().drops(&packet).map(|d| d.to_string())
    }

    #[test]
    fn a_firewall_as_nft_prints_it_is_understood() {
        let policy = "policy drop of nftables chain inet filter input (hook input)";
        assert_eq!(dropped("239.1.1.1", 5004).as_deref(), Some(policy));
        assert_eq!(dropped("239.2.9.9", 5004), None);
        assert_eq!(dropped("239.1.1.1", 6050), None);
        assert_eq!(dropped("ff15::1", 5004).as_deref(), Some(policy));
    }

    #[test]
    fn what_is_not_nfts_is_refused() {
        assert_eq!(parse("{}"), None);
        assert_eq!(parse("Error: syntax"), None);
        assert_eq!(parse(r#"{"nftables": []}"#), Some(Ruleset::default()));
    }
}
