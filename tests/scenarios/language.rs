//! Reads a scenario: lines to things that happen at a time. See `README.md` for the language.

use std::collections::BTreeMap;
use std::net::IpAddr;

use mcscope::base::group::Endpoint;
use mcscope::base::time::SECOND_NS;
use mcscope::model::counter::Choice;
use mcscope::model::rules::Rule;

use crate::payload::{self, Sender};

/// One thing that happens.
#[derive(Clone, Debug)]
pub enum Item {
    /// A datagram arrives.
    Datagram { row: usize, from: Endpoint, payload: Vec<u8>, len: u32, ttl: Option<u8>, tos: Option<u8> },
    /// The receiver tells its account, cumulative.
    Account { row: usize, socket_drops: Option<u64>, not_analysed: u64, not_analysed_bytes: u64 },
    /// The interface's drop counter is read, cumulative.
    Nic { drops: u64 },
    /// The wall clock is set by so many nanoseconds.
    Clock { step_ns: i64 },
    /// The counters of a row, or of all, are set to zero.
    Reset { row: Option<usize> },
    /// A row's membership stands.
    Join { row: usize },
    /// A row's membership fails.
    Fail { row: usize },
    /// Somebody looks at a source.
    Look { row: usize, from: Endpoint },
    /// The user says where the counter is, or that there is none.
    Counter { row: usize, from: Endpoint, choice: Choice },
    /// Two streams are marked as one feed.
    Pair { a: (usize, Endpoint), b: (usize, Endpoint) },
    /// Or are not any more.
    Unpair,
    /// A comparison.
    Expect { line: usize, scope: Scope, wants: Vec<(String, String)> },
}

/// What an expectation is about.
#[derive(Clone, Debug)]
pub enum Scope {
    /// A sender to a row.
    Source(usize, Endpoint),
    /// A row.
    Group(usize),
    /// A feed, by its place among those marked.
    Pair(usize),
    /// The whole.
    Total,
    /// The event log: how many events of each kind there are.
    Events,
    /// Every sender against what was really sent.
    Exact,
}

/// A row of the table.
#[derive(Clone, Debug)]
pub struct Row {
    pub to: Endpoint,
    pub iface: String,
    pub user: bool,
    pub joins: bool,
}

/// What a sender really did: the truth that `expect exact` compares with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Truth {
    pub packets: u64,
    pub lost: u64,
    pub duplicates: u64,
    pub reordered: u64,
}

/// A scenario, read.
#[derive(Clone, Debug, Default)]
pub struct Scenario {
    pub rows: Vec<Row>,
    /// The user's rules, in their order.
    pub rules: Vec<Rule>,
    /// In the order of time; at one time in the order of the lines.
    pub items: Vec<(u64, Item)>,
    pub truth: BTreeMap<(usize, Endpoint), Truth>,
    pub until: u64,
}

/// Reads a scenario; the error begins with `:line: `.
pub fn parse(text: &str) -> Result<Scenario, String> {
    let mut s = Scenario::default();
    let mut last_expects = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or("");
        let words: Vec<&str> = line.split_whitespace().collect();
        let n = i + 1;
        let done = match words.split_first() {
            None => Ok(()),
            Some((&"group", rest)) => group(&mut s, rest),
            Some((&"rule", rest)) => Rule::parse(&rest.concat())
                .map(|rule| s.rules.push(rule))
                .map_err(|e| format!("{}\n{}", e.message, e.caret())),
            Some((&"until", rest)) => rest.first().ok_or("until needs a time".to_owned()).and_then(|t| {
                s.until = time(t)?;
                Ok(())
            }),
            Some((&"expect", rest)) => expect(&s, rest, n).map(|item| last_expects.push(item)),
            Some((&"at", rest)) => at(&mut s, rest, n),
            Some((word, _)) => {
                Err(format!("a line begins with group, rule, at, until, expect or #, not with {word}"))
            }
        };
        done.map_err(|e| format!(":{n}: {e}"))?;
    }
    s.items.sort_by_key(|(at, item)| (*at, matches!(item, Item::Expect { .. })));
    let end = s.items.iter().map(|(at, _)| *at).max().unwrap_or(0);
    s.until = s.until.max(end + SECOND_NS / 2);
    s.items.extend(last_expects.into_iter().map(|item| (u64::MAX, item)));
    Ok(s)
}

/// `1.5s`, `10ms`, `250us`, `7ns`.
pub fn time(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit {
        "s" => 1e9,
        "ms" => 1e6,
        "us" => 1e3,
        "ns" => 1.0,
        "m" => 60e9,
        "h" => 3600e9,
        _ => return Err(format!("{text} is no time: 1.5s, 10ms, 250us, 7ns")),
    };
    let number: f64 = number.parse().map_err(|_| format!("{text} is no time"))?;
    Ok((number * factor).round() as u64)
}

fn endpoint(text: &str) -> Result<Endpoint, String> {
    let addr: std::net::SocketAddr = text.parse().map_err(|_| format!("{text} is no ADDRESS:PORT"))?;
    Ok(addr.into())
}

fn group(s: &mut Scenario, words: &[&str]) -> Result<(), String> {
    let (to, rest) = words.split_first().ok_or("group needs ADDRESS:PORT")?;
    let (mut user, mut iface, mut joins) = (true, "eth0".to_owned(), true);
    for w in rest {
        match *w {
            "user" => user = true,
            "default" => user = false,
            "unjoined" => joins = false,
            w => match w.strip_prefix('%') {
                Some(name) => iface = name.to_owned(),
                None => return Err(format!("a group is user, default, unjoined or on %IFACE, not {w}")),
            },
        }
    }
    s.rows.push(Row { to: endpoint(to)?, iface, user, joins });
    Ok(())
}

/// The row that `to=` names, else the only one or the first.
fn row(s: &Scenario, to: Option<&str>) -> Result<usize, String> {
    match to {
        None if s.rows.is_empty() => Err("no group was named yet".to_owned()),
        None => Ok(0),
        Some(to) => {
            // The same group may be joined on two interfaces.
            let (name, iface) = to.split_once('%').map_or((to, None), |(n, i)| (n, Some(i)));
            let name = endpoint(name)?;
            let fits = |r: &Row| r.to == name && iface.is_none_or(|i| r.iface == i);
            s.rows.iter().position(fits).ok_or_else(|| format!("there is no group {to}"))
        }
    }
}

fn pairs<'a>(words: &[&'a str]) -> Result<Vec<(&'a str, &'a str)>, String> {
    words.iter().map(|w| w.split_once('=').ok_or_else(|| format!("{w} is no NAME=VALUE"))).collect()
}

fn expect(s: &Scenario, words: &[&str], line: usize) -> Result<Item, String> {
    let (scope, rest) = words.split_first().ok_or("expect source, group, pair, total, events or exact")?;
    let (scope, rest) = match *scope {
        "exact" => (Scope::Exact, rest),
        "events" => (Scope::Events, rest),
        "total" => (Scope::Total, rest),
        "pair" => match rest.split_first() {
            Some((n, more)) if !n.contains('=') => {
                let n: usize = n.parse().map_err(|_| format!("{n} is no number of a feed"))?;
                (Scope::Pair(n.saturating_sub(1)), more)
            }
            _ => (Scope::Pair(0), rest),
        },
        "group" => match rest.split_first() {
            Some((to, rest)) if !to.contains('=') => (Scope::Group(row(s, Some(to))?), rest),
            _ => (Scope::Group(row(s, None)?), rest),
        },
        "source" => {
            let (from, rest) = rest.split_first().ok_or("expect source ADDRESS:PORT")?;
            match rest.split_first() {
                Some((to, more)) if to.starts_with("to=") => {
                    (Scope::Source(row(s, Some(&to[3..]))?, endpoint(from)?), more)
                }
                _ => (Scope::Source(row(s, None)?, endpoint(from)?), rest),
            }
        }
        other => return Err(format!("expect source, group, pair, total, events or exact, not {other}")),
    };
    let wants = pairs(rest)?.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    Ok(Item::Expect { line, scope, wants })
}

fn at(s: &mut Scenario, words: &[&str], line: usize) -> Result<(), String> {
    let [when, what, rest @ ..] = words else { return Err("at TIME what".to_owned()) };
    let when = time(when)?;
    let item = match *what {
        "from" => return from(s, when, rest),
        "expect" => expect(s, rest, line)?,
        "account" => {
            let p = pairs(rest)?;
            let mut to = None;
            let (mut socket_drops, mut not_analysed, mut not_analysed_bytes) = (None, 0, 0);
            for (k, v) in p {
                let number = || v.parse().map_err(|_| format!("{v} is no number"));
                match k {
                    "to" => to = Some(v),
                    "socket_drops" => socket_drops = Some(number()?),
                    "not_analysed" => not_analysed = number()?,
                    "not_analysed_bytes" => not_analysed_bytes = number()?,
                    _ => return Err(format!("account does not know {k}=")),
                }
            }
            Item::Account { row: row(s, to)?, socket_drops, not_analysed, not_analysed_bytes }
        }
        "nic" => {
            let p = pairs(rest)?;
            let [("drops", n)] = p[..] else { return Err("nic drops=N".to_owned()) };
            Item::Nic { drops: n.parse().map_err(|_| format!("{n} is no number"))? }
        }
        "clock" => {
            let step = rest.first().ok_or("clock +TIME or -TIME")?;
            let size = time(step.trim_start_matches(['+', '-']))? as i64;
            Item::Clock { step_ns: if step.starts_with('-') { -size } else { size } }
        }
        "reset" => Item::Reset { row: rest.first().map(|to| row(s, Some(to))).transpose()? },
        "join" => Item::Join { row: row(s, rest.first().copied())? },
        "fail" => Item::Fail { row: row(s, rest.first().copied())? },
        "pair" => {
            let [a, b] = rest else { return Err("pair SENDER@GROUP SENDER@GROUP".to_owned()) };
            Item::Pair { a: stream(s, a)?, b: stream(s, b)? }
        }
        "unpair" => Item::Unpair,
        "look" => {
            let from = rest.first().ok_or("look ADDRESS:PORT")?;
            Item::Look { row: row(s, rest.get(1).copied())?, from: endpoint(from)? }
        }
        "counter" => {
            let [from, spec, to @ ..] = rest else { return Err("counter ADDRESS:PORT SPEC".to_owned()) };
            Item::Counter { row: row(s, to.first().copied())?, from: endpoint(from)?, choice: counter(spec)? }
        }
        other => return Err(format!("there is no {other} at a time")),
    };
    s.items.push((when, item));
    Ok(())
}

/// `10.0.0.1:5000@239.1.1.1:5004[%eth0]`.
fn stream(s: &Scenario, text: &str) -> Result<(usize, Endpoint), String> {
    let (from, to) = text.split_once('@').ok_or_else(|| format!("{text} is no SENDER@GROUP"))?;
    Ok((row(s, Some(to))?, endpoint(from)?))
}

/// `OFFSET:WIDTH[:le|be]`, `off` or `auto`.
fn counter(spec: &str) -> Result<Choice, String> {
    Choice::parse(&format!("seq:{spec}")).map_err(|e| e.message)
}

/// `from 10.0.0.1:5000 …`, or `from 10.0.0.1-100:5000 …`: that many senders, each a little later.
fn from(s: &mut Scenario, when: u64, words: &[&str]) -> Result<(), String> {
    let [who, kind, rest @ ..] = words else { return Err("from ADDRESS:PORT PAYLOAD …".to_owned()) };
    let mut p = pairs(rest)?;
    let mut take = |name: &str| {
        let i = p.iter().position(|(k, _)| *k == name)?;
        Some(p.remove(i).1)
    };
    let to = row(s, take("to"))?;
    let sender = Sender::read(kind, &mut take)?;
    if let Some((k, _)) = p.first() {
        return Err(format!("{kind} does not know {k}="));
    }
    let (host, port) = who.rsplit_once(':').ok_or_else(|| format!("{who} is no ADDRESS:PORT"))?;
    let (first, count) = match host.split_once('-') {
        Some((first, last)) => {
            let tail: u32 = first.rsplit('.').next().and_then(|t| t.parse().ok()).unwrap_or(0);
            let last: u32 = last.parse().map_err(|_| format!("{who} is no range of addresses"))?;
            // Past 255 it goes on in the next network: 10.0.0.0-5000 are 5001 senders.
            (first, last.checked_sub(tail).ok_or("a range counts upwards")? + 1)
        }
        None => (host, 1),
    };
    let first = endpoint(&format!("{first}:{port}"))?;
    for i in 0..count {
        let ip = match first.ip {
            IpAddr::V4(ip) => IpAddr::from((u32::from(ip) + i).to_be_bytes()),
            IpAddr::V6(ip) => IpAddr::from((u128::from(ip) + u128::from(i)).to_be_bytes()),
        };
        let from = Endpoint::new(ip, first.port);
        let start = when + u64::from(i) * 37_000;
        let truth = s.truth.entry((to, from)).or_default();
        payload::send(&sender, u64::from(i), truth, |at, payload, len| {
            let (ttl, tos) = (sender.ttl, sender.tos);
            s.items.push((start + at, Item::Datagram { row: to, from, payload, len, ttl, tos }));
        });
    }
    Ok(())
}
