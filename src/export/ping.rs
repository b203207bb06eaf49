//! A ping as JSON Lines (`reply` for each answer, `final` for each responder and the whole) and as text.
//! The types are the format's documentation, as in [`crate::export::json`].

use std::fmt::Write;

use serde::Serialize;

use crate::base::group::Endpoint;
use crate::base::time::Wall;
use crate::base::units;
use crate::export::json::line;
use crate::export::table::columns;
use crate::model::ping::{Answer, By, Losses, Peer, Pings, Way};

/// What is pinged.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Group and port.
    pub to: Endpoint,
    /// The interface asked on.
    pub iface: &'a str,
}

#[derive(Serialize)]
struct Reply<'a> {
    group: String,
    port: u16,
    iface: &'a str,
    /// Who answered, as address:port.
    source: String,
    /// `unicast` or `multicast`.
    by: &'static str,
    sequence: u64,
    /// From sending to the kernel's receipt of the answer.
    round_trip_ns: u64,
    /// The round trip less what the responder took to answer.
    network_ns: u64,
    /// What the responder took; `null` if it does not say.
    responder_ns: Option<u64>,
    hops_there: Option<u8>,
    hops_back: Option<u8>,
    ttl: Option<u8>,
    size_bytes: usize,
}

/// The line for an answer.
pub fn reply(at: Wall, target: Target<'_>, ping_ttl: u8, a: &Answer) -> String {
    let body = Reply {
        group: target.to.ip.to_string(),
        port: target.to.port,
        iface: target.iface,
        source: a.from.to_string(),
        by: a.by.word(),
        sequence: a.sequence,
        round_trip_ns: a.round_trip_ns,
        network_ns: a.network_ns(),
        responder_ns: a.report.map(|r| r.stay_ns),
        hops_there: a.hops_there(ping_ttl),
        hops_back: a.hops_back(),
        ttl: a.ttl,
        size_bytes: a.size_bytes,
    };
    line("reply", at, body)
}

/// One way back.
#[derive(Serialize)]
struct WayBody {
    answered: u64,
    duplicates: u64,
    /// Answers so late that they cannot be told from repeats.
    too_late: u64,
    /// Pings before the first answered one: what setting up the tree took.
    setup_lost: Option<u64>,
    /// Those of them that the responder did not hear.
    setup_lost_there: Option<u64>,
    /// Pings from the first answered one on without an answer.
    lost: Option<u64>,
    /// Those of them that were lost on the way there.
    lost_there: Option<u64>,
    /// Those of them whose answer was lost on the way back.
    lost_back: Option<u64>,
    /// Those of them of which it cannot be told.
    lost_unclear: Option<u64>,
    /// Those of them that the responder's rate limit withheld.
    withheld: Option<u64>,
    min_ns: Option<u64>,
    avg_ns: Option<u64>,
    max_ns: Option<u64>,
    deviation_ns: Option<u64>,
    hops_back: Option<u8>,
}

fn way(w: &Way, due: u64) -> WayBody {
    let l = w.losses(due);
    WayBody {
        answered: w.answered(),
        duplicates: w.duplicates(),
        too_late: w.too_late(),
        setup_lost: l.map(|l| l.setup),
        setup_lost_there: l.and_then(|l| l.setup_there),
        lost: l.map(|l| l.lost),
        lost_there: l.and_then(|l| l.there),
        lost_back: l.and_then(|l| l.back),
        lost_unclear: l.map(|l| l.unclear),
        withheld: l.and_then(|l| l.withheld),
        min_ns: w.time.min_ns(),
        avg_ns: w.time.avg_ns(),
        max_ns: w.time.max_ns(),
        deviation_ns: w.time.deviation_ns(),
        hops_back: w.hops,
    }
}

#[derive(Serialize)]
struct Responder<'a> {
    /// `responder`.
    scope: &'static str,
    group: String,
    port: u16,
    iface: &'a str,
    source: String,
    /// Its id, in hexadecimal; `null` of one that reports none.
    responder: Option<String>,
    sent: u64,
    hops_there: Option<u8>,
    /// DSCP that the pings arrive there with.
    dscp_there: Option<u8>,
    unicast: WayBody,
    /// `null` where answers to the group were not asked for.
    multicast: Option<WayBody>,
    /// What the two ways mean, if one of them does not work.
    text: Option<String>,
}

#[derive(Serialize)]
struct Total<'a> {
    /// `total`.
    scope: &'static str,
    group: String,
    port: u16,
    iface: &'a str,
    sent: u64,
    responders: usize,
    /// Answers of responders beyond those with figures.
    more_answers: u64,
}

/// The lines at the end: each responder, then the whole.
pub fn finals(at: Wall, target: Target<'_>, p: &Pings) -> Vec<String> {
    let (group, port, iface) = (target.to.ip.to_string(), target.to.port, target.iface);
    let mut lines: Vec<String> = p
        .peers()
        .iter()
        .map(|peer| {
            let body = Responder {
                scope: "responder",
                group: group.clone(),
                port,
                iface,
                source: peer.from.to_string(),
                responder: peer.responder.map(|id| format!("{id:016x}")),
                sent: p.count(),
                hops_there: peer.hops_there,
                dscp_there: peer.dscp_there,
                unicast: way(&peer.unicast, p.due()),
                multicast: p.multicast.then(|| way(&peer.multicast, p.due())),
                text: p.verdict(peer),
            };
            line("final", at, body)
        })
        .collect();
    let total = Total {
        scope: "total",
        group,
        port,
        iface,
        sent: p.count(),
        responders: p.peers().len(),
        more_answers: p.more(),
    };
    lines.push(line("final", at, total));
    lines
}

/// An answer in plain words.
pub fn reply_text(ping_ttl: u8, a: &Answer) -> String {
    let mut out =
        format!("{}  number {}  {:9}  {}", a.from, a.sequence, a.by.word(), units::duration(a.network_ns()));
    let hops = |n: Option<u8>| units::or_dash(n, |h| h.to_string());
    let _ = write!(out, "  hops {} there, {} back", hops(a.hops_there(ping_ttl)), hops(a.hops_back()));
    if let Some(r) = a.report {
        let _ = write!(out, "  answered after {}", units::duration(r.stay_ns));
    }
    out
}

/// Loss in words: `2 lost (1 there, 1 back)`.
pub fn loss_text(l: &Losses) -> String {
    let mut parts = Vec::new();
    let mut add = |n: Option<u64>, what: &str| {
        if let Some(n) = n.filter(|n| *n > 0) {
            parts.push(format!("{} {what}", units::count(n)));
        }
    };
    add(l.there, "there");
    add(l.back, "back");
    add(l.withheld, "withheld by its rate limit");
    add(Some(l.unclear), "on a way not known");
    if l.lost == 0 {
        return "none lost".to_owned();
    }
    format!("{} lost ({})", units::count(l.lost), parts.join(", "))
}

/// The set-up in words; `None` if the first ping was answered.
pub fn setup_text(l: &Losses) -> Option<String> {
    let there = match l.setup_there {
        Some(n) if n == l.setup => " (there)".to_owned(),
        Some(0) => " (back)".to_owned(),
        Some(n) => format!(" ({n} there, {} back)", l.setup - n),
        None => String::new(),
    };
    let before = "before the first answer";
    (l.setup > 0).then(|| format!("{} lost{there} {before}", units::packets(l.setup)))
}

/// All responders as a table, and what it means in words.
pub fn summary(target: Target<'_>, p: &Pings) -> String {
    let mut out = format!(
        "{} by {}: {} sent, {}\n",
        target.to,
        target.iface,
        units::packets(p.count()),
        units::counted(p.peers().len() as u64, "responder", "responders")
    );
    let head =
        ["responder", "by", "answered", "loss", "min", "avg", "max", "deviation", "hops", "duplicates"];
    let mut rows = Vec::new();
    let mut words = Vec::new();
    for peer in p.peers() {
        let ways = [(By::Unicast, &peer.unicast), (By::Multicast, &peer.multicast)];
        for (by, way) in ways.into_iter().filter(|(by, _)| p.multicast || *by == By::Unicast) {
            rows.push(row(p, peer, by, way));
            let Some(l) = way.losses(p.due()) else { continue };
            let who = format!("{} by {}", peer.from.ip, by.word());
            words.extend(setup_text(&l).map(|t| format!("{who}: {t}; this is kept apart from the loss")));
            if l.lost > 0 {
                words.push(format!("{who}: {}", loss_text(&l)));
            }
        }
        words.extend(p.verdict(peer));
    }
    if p.answered() {
        out.push_str(&columns(&head, &rows));
    }
    if p.more() > 0 {
        words.push(format!("{} answers came of responders beyond these", units::count(p.more())));
    }
    for w in words {
        out.push_str(&w);
        out.push('\n');
    }
    out
}

fn row(p: &Pings, peer: &Peer, by: By, way: &Way) -> Vec<String> {
    let time = |ns: Option<u64>| units::or_dash(ns, units::duration);
    let hops = |n: Option<u8>| units::or_dash(n, |h| h.to_string());
    let loss = way.losses(p.due()).map(|l| {
        let asked = (way.answered() + l.lost).max(1);
        units::percent(units::share_pct(l.lost, asked).unwrap_or(0.0))
    });
    vec![
        peer.from.to_string(),
        by.word().to_owned(),
        units::count(way.answered()),
        units::or_dash(loss, |l| l),
        time(way.time.min_ns()),
        time(way.time.avg_ns()),
        time(way.time.max_ns()),
        time(way.time.deviation_ns()),
        format!("{} / {}", hops(peer.hops_there), hops(way.hops)),
        units::count(way.duplicates()),
    ]
}
