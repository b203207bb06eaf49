//! What becomes an event: new sources, changed markings, silence and its end, drops, interfaces.
//!
//! Events are for people. What happens again and again is told when its number doubles, and what
//! happens to very many at once is told as a number.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Range;

use crate::base::dscp;
use crate::base::group::Endpoint;
use crate::base::iface::Iface;
use crate::base::time::{Now, SECOND_NS};
use crate::model::event::{Event, EventKind, EventLog};
use crate::model::group::{Buffer, Group, JoinState};
use crate::model::notes;
use crate::model::source::{Noticed, Stamp, State};

/// Sources from which on each is brought up to date once a second only …
const MANY: usize = 64;
/// … and from which on a part of them at a time …
const PART: usize = 1024;
/// … in so many parts.
const PARTS: usize = 16;
/// Events of new sources that a group may write each second; the others are told as a number.
const APPEARED_A_SECOND: u32 = 32;

fn event(kind: EventKind, g: &Group, source: Option<Endpoint>, at: Stamp, text: String) -> Event {
    Event {
        number: 0,
        time: at.wall,
        kind,
        membership: Some(g.membership.clone()),
        source,
        iface: None,
        text,
    }
}

pub(super) fn tell(events: &mut EventLog, g: &mut Group, from: Endpoint, new: bool, n: Noticed, at: Stamp) {
    if new {
        g.appeared += 1;
        if g.appeared > APPEARED_A_SECOND {
            g.appeared_hidden += 1;
            return;
        }
        let ours = g.sources.get(from).is_some_and(|s| s.ours);
        let text = format!("{from} sends to {}{}", g.membership, if ours { " (ours)" } else { "" });
        events.push(event(EventKind::SourceAppeared, g, Some(from), at, text));
    }
    let Some(s) = g.sources.get(from) else { return };
    let ecn = |v: u8| match dscp::ecn(v) {
        "CE" => "CE (congestion was met)".to_owned(),
        other => other.to_owned(),
    };
    let plain = |v: u8| v.to_string();
    let changes = [
        ("TTL", n.ttl_was, s.ttl, &plain as &dyn Fn(u8) -> String),
        ("DSCP", n.dscp_was, s.dscp, &plain),
        ("ECN", n.ecn_was, s.ecn, &ecn),
    ];
    for (name, was, marking, word) in changes {
        // A marking that flaps is told when its number of changes doubles, not each time.
        if let (Some(was), Some(is)) = (was, marking.last)
            && marking.changes.is_power_of_two()
        {
            let text =
                format!("{from} on {}: {name} changed from {} to {}", g.membership, word(was), word(is));
            events.push(event(EventKind::MarkingChanged, g, Some(from), at, text));
        }
    }
}

pub(super) fn settle_group(events: &mut EventLog, g: &mut Group, now: Now) {
    let at = Stamp { mono: now.mono, wall: now.wall };
    let was = g.state;
    g.state = g.judge(now.mono);
    let heard = g.counters.packets > 0;
    if g.state == State::Silent && was != State::Silent {
        let text = match g.last {
            Some(last) => {
                let s = now.mono.since(last.mono) / SECOND_NS;
                format!("{} went silent: nothing for {s} s", g.membership)
            }
            None => format!("{} is silent: nothing since it was joined", g.membership),
        };
        events.push(event(EventKind::GroupSilent, g, None, at, text));
    } else if was == State::Silent && heard && matches!(g.state, State::Live) {
        let text = format!("{} has traffic again", g.membership);
        events.push(event(EventKind::GroupBack, g, None, at, text));
    }
    let lost_here = g.drops.socket_drops.unwrap_or(0) + g.drops.not_analysed;
    // A large table is gone through in parts, so that no turn takes long; what is due is done.
    let mut due = 0;
    let mut whole = false;
    while now.mono >= g.scan_at && due < PARTS {
        due += 1;
        let (first, len) = (g.scan_from, g.sources.len());
        let part = if len > PART { len.div_ceil(PARTS).max(PART) } else { len };
        let end = (first + part).min(len);
        let round = SECOND_NS / if len > MANY { 1 } else { 4 };
        let next = round / len.div_ceil(part.max(1)).max(1) as u64;
        let late = now.mono.since(g.scan_at) > SECOND_NS;
        g.scan_at = if len <= PART || late && due == PARTS { now.mono } else { g.scan_at }.plus(next);
        g.scan_from = if end >= len { 0 } else { end };
        whole |= g.scan_from == 0;
        settle_sources(events, g, first..end, now);
    }
    if !whole {
        return;
    }
    if lost_here > g.drops_told {
        let clamped = match &g.join {
            JoinState::Joined(Buffer { clamped: Some(why), .. }) => format!("; {why}"),
            _ => String::new(),
        };
        let text = format!(
            "{}: {} dropped at the socket buffer, {} counted but not analysed{clamped}",
            g.membership,
            g.drops.socket_drops.map_or_else(|| "–".into(), |n| n.to_string()),
            g.drops.not_analysed
        );
        // Told again when it has doubled: an overload that lasts is one story, not a thousand.
        g.drops_told = lost_here * 2;
        events.push(event(EventKind::Dropped, g, None, at, text));
    }
    g.appeared = 0;
    if g.appeared_hidden > 0 {
        let text = format!("{}: {} more sources appeared", g.membership, g.appeared_hidden);
        g.appeared_hidden = 0;
        events.push(event(EventKind::SourceAppeared, g, None, at, text));
    }
    g.place_again(now.mono);
    note(events, g, at);
    g.sources.promote(now.mono, &mut g.here);
}

/// As [`settle_group`] at its due time, with every source.
pub(super) fn settle_whole_group(events: &mut EventLog, g: &mut Group, now: Now) {
    (g.scan_at, g.scan_from) = (now.mono, 0);
    settle_group(events, g, now);
    let rest = g.scan_from;
    if rest > 0 {
        settle_sources(events, g, rest..g.sources.len(), now);
    }
}

/// Brings the sources at these places up to date.
fn settle_sources(events: &mut EventLog, g: &mut Group, places: Range<usize>, now: Now) {
    let expects = g.expects_traffic();
    let Group { membership, sources, here, .. } = g;
    for place in places {
        let was = sources.change_at(place, |s| {
            let expected = expects && membership.filter.passes(s.endpoint.ip);
            s.settle(now.mono, expected, here)
        });
        let s = &sources.list()[place];
        let (kind, text) = match (was, s.state) {
            (before, State::Silent) if before != State::Silent => {
                let quiet = now.mono.since(s.last.mono) / SECOND_NS;
                let text = format!("{} on {membership} went silent: nothing for {quiet} s", s.endpoint);
                (EventKind::SourceSilent, text)
            }
            (State::Silent, State::Live) => {
                (EventKind::SourceBack, format!("{} on {membership} sends again", s.endpoint))
            }
            _ => continue,
        };
        events.push(Event {
            number: 0,
            time: now.wall,
            kind,
            membership: Some(membership.clone()),
            source: Some(s.endpoint),
            iface: None,
            text,
        });
    }
}

/// Notes of a group that are remembered as told.
const NOTED_MAX: usize = 16;

/// Looks once a second for what a person should know about a group; what is new is told once.
fn note(events: &mut EventLog, g: &mut Group, at: Stamp) {
    if at.mono < g.notes_at {
        return;
    }
    g.notes_at = at.mono.plus(SECOND_NS);
    g.notes = notes::of(g, at.mono);
    for n in g.notes.clone() {
        if g.noted.contains(&n) || g.noted.len() == NOTED_MAX {
            continue;
        }
        let text = format!("{}: {}", g.membership, n.text());
        let kind = if n.is_conflict() { EventKind::Conflict } else { EventKind::Feed };
        g.noted.push(n);
        events.push(event(kind, g, None, at, text));
    }
}

/// What changed on an interface, in words; `None` if nothing did that matters.
pub(super) fn iface_change(old: Option<&Iface>, new: &Iface) -> Option<String> {
    let name = &new.name;
    let Some(old) = old else { return Some(format!("{name} appeared")) };
    let mut parts = Vec::new();
    if old.index != new.index {
        parts.push("was made anew".to_owned());
    }
    if old.up != new.up {
        parts.push(if new.up { "is up" } else { "is down" }.to_owned());
    }
    if old.carrier != new.carrier && new.up {
        match new.carrier {
            Some(true) => parts.push("has its carrier back".to_owned()),
            Some(false) => parts.push("lost its carrier".to_owned()),
            None => {}
        }
    }
    let list = |i: &Iface| i.addrs.iter().map(|a| a.ip).collect::<BTreeSet<IpAddr>>();
    let (before, after) = (list(old), list(new));
    for gone in before.difference(&after) {
        parts.push(format!("lost the address {gone}"));
    }
    for got in after.difference(&before) {
        parts.push(format!("got the address {got}"));
    }
    (!parts.is_empty()).then(|| format!("{name} {}", parts.join(", ")))
}
