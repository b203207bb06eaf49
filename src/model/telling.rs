//! What becomes an event: new sources, changed markings, silence and its end, drops, interfaces.
//!
//! Events are for people. What happens again and again is told when its number doubles, and what
//! happens to very many at once is told as a number.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use crate::base::dscp;
use crate::base::group::{Endpoint, MembershipId};
use crate::base::iface::Iface;
use crate::base::time::{Mono, Now, SECOND_NS};
use crate::model::Model;
use crate::model::event::{Event, EventKind, EventLog};
use crate::model::group::{Buffer, Group, JoinState};
use crate::model::notes;
use crate::model::sessions::Named;
use crate::model::source::{Noticed, Stamp, State};

/// Sources from which on each is brought up to date once a second only …
const MANY: usize = 64;
/// … and from which on a part of them at a time …
const PART: usize = 1024;
/// … in so many parts.
const PARTS: usize = 16;
/// Events of new sources that a group may write each second, and as many of sources that fell silent or
/// send again; the others are told as a number.
const TOLD_A_SECOND: u32 = 32;
/// Events of sources that fell silent or send again which all groups together may write in a turn.
const TOLD_A_TURN: u32 = 256;
/// Sources that are compared with each other in a turn, over all groups: where there are more, a group is
/// looked at less often than once a second.
const COMPARED_A_TURN: usize = 4096;

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
        if g.appeared > TOLD_A_SECOND {
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

/// What was told in a turn of the model.
#[derive(Default)]
pub(super) struct Turn {
    sources: u32,
}

pub(super) fn settle_group(events: &mut EventLog, g: &mut Group, now: Now, turn: &mut Turn) {
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
        g.scan_at = match len <= PART {
            true => slot(g.id, now.mono, next),
            false => if late && due == PARTS { now.mono } else { g.scan_at }.plus(next),
        };
        g.scan_from = if end >= len { 0 } else { end };
        whole |= g.scan_from == 0;
        settle_sources(events, g, first..end, now, turn);
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
    let told = std::mem::take(&mut g.told);
    if told.silent_hidden > 0 {
        let text = format!("{}: {} more sources went silent", g.membership, told.silent_hidden);
        events.push(event(EventKind::SourceSilent, g, None, at, text));
    }
    if told.back_hidden > 0 {
        let text = format!("{}: {} more sources send again", g.membership, told.back_hidden);
        events.push(event(EventKind::SourceBack, g, None, at, text));
    }
    g.sources.round(now.mono, &mut g.here);
}

/// The next of the times of a group whose sources are looked at every `every` nanoseconds: another one than
/// that of its neighbours, so that not all are looked at in the same turn.
fn slot(id: MembershipId, now: Mono, every: u64) -> Mono {
    let own = u64::from(id.0 % PARTS as u32) * every / PARTS as u64;
    now.plus(every - (now.0 + every - own) % every)
}

/// As [`settle_group`] at its due time, with every source.
pub(super) fn settle_whole_group(events: &mut EventLog, g: &mut Group, now: Now, turn: &mut Turn) {
    (g.scan_at, g.scan_from) = (now.mono, 0);
    settle_group(events, g, now, turn);
    let rest = g.scan_from;
    if rest > 0 {
        settle_sources(events, g, rest..g.sources.len(), now, turn);
    }
}

/// What was told of a group's sources in the last second.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    events: u32,
    silent_hidden: u64,
    back_hidden: u64,
}

/// Brings the sources at these places up to date.
fn settle_sources(events: &mut EventLog, g: &mut Group, places: Range<usize>, now: Now, turn: &mut Turn) {
    let expects = g.expects_traffic();
    let Group { membership, sources, here, told, .. } = g;
    let expected = |ip| expects && membership.filter.passes(ip);
    sources.settle(places, now.mono, expected, here, |s, was| {
        let (kind, hidden) = match (was, s.state) {
            (_, State::Silent) => (EventKind::SourceSilent, &mut told.silent_hidden),
            (State::Silent, State::Live) => (EventKind::SourceBack, &mut told.back_hidden),
            _ => return,
        };
        (told.events, turn.sources) = (told.events + 1, turn.sources + 1);
        if told.events > TOLD_A_SECOND || turn.sources > TOLD_A_TURN {
            *hidden += 1;
            return;
        }
        let text = if kind == EventKind::SourceSilent {
            let quiet = now.mono.since(s.last.mono) / SECOND_NS;
            format!("{} on {membership} went silent: nothing for {quiet} s", s.endpoint)
        } else {
            format!("{} on {membership} sends again", s.endpoint)
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
    });
}

/// Notes of a group that are remembered as told.
const NOTED_MAX: usize = 16;

/// What the notes of a group were made of.
#[derive(Clone, Debug)]
pub(crate) struct NotedOf {
    at: Mono,
    last: Option<Stamp>,
    changes: u64,
    announced: Option<Arc<Named>>,
}

impl Model {
    /// Looks once a second for what a person should know about a group; those come first that waited
    /// longest.
    pub(super) fn settle_notes(&mut self, now: Now) {
        let due = self.rows().filter(|g| now.mono >= g.notes_at).map(|g| (g.notes_at, g.id));
        let mut due: Vec<(Mono, MembershipId)> = due.collect();
        due.sort_unstable();
        let mut compared = 0;
        let Model { groups, wire, events, .. } = self;
        for (_, id) in due {
            let g = match id.is_wire() {
                true => wire.rows.get_mut(&id),
                false => groups.get_mut(id.0 as usize).and_then(Option::as_mut),
            };
            if let Some(g) = g.filter(|_| compared < COMPARED_A_TURN) {
                compared += note(events, g, Stamp { mono: now.mono, wall: now.wall });
            }
        }
    }
}

/// Looks for what a person should know about a group; what is new is told once. Returns how many sources
/// were compared for it.
fn note(events: &mut EventLog, g: &mut Group, at: Stamp) -> usize {
    g.notes_at = at.mono.plus(SECOND_NS);
    let same = |n: &NotedOf| {
        let announced = n.announced.as_ref().map(Arc::as_ptr) == g.announced.as_ref().map(Arc::as_ptr);
        let old = n.last.is_none_or(|last| n.at.since(last.mono) >= notes::FRESH_NS);
        n.last == g.last && n.changes == g.sources.changes() && announced && old
    };
    if g.noted_of.as_ref().is_some_and(same) {
        return 0;
    }
    let (changes, announced) = (g.sources.changes(), g.announced.clone());
    g.noted_of = Some(NotedOf { at: at.mono, last: g.last, changes, announced });
    g.notes = notes::of(g, at.mono);
    for n in g.notes.clone() {
        if g.noted.contains(&n) || g.noted.len() == NOTED_MAX {
            continue;
        }
        let text = format!("{}: {}", g.membership, n.text());
        g.noted.push(n);
        events.push(event(EventKind::Conflict, g, None, at, text));
    }
    g.sources.len().min(notes::COMPARED)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::batch::{Batch, Datagram};
    use crate::base::group::{Membership, SourceFilter};
    use crate::base::time::Wall;
    use crate::model::Settings;
    use crate::model::group::Origin;

    const ID: MembershipId = MembershipId(7);

    fn at(ms: u64) -> Now {
        let ns = ms * 1_000_000;
        Now { mono: Mono(5_000_000_000_000 + ns), wall: Wall(1_700_000_000_000_000_000 + ns as i64) }
    }

    fn send(model: &mut Model, ms: u64, senders: u8) {
        for sender in 0..senders {
            let mut batch = Batch::new();
            batch.received = at(ms);
            let from = Endpoint::new([10, 0, 0, sender].into(), 4000);
            batch.push_copy(Datagram::new(ID, at(ms).wall, from, 3), b"abc");
            model.apply(&batch);
        }
        model.advance(at(ms));
    }

    #[test]
    fn many_that_fall_silent_together_are_told_as_a_number_and_so_is_their_return() {
        const SENDERS: u8 = 100;
        let mut model = Model::new(Settings::default(), at(0));
        let group = "239.1.1.1".parse().unwrap();
        let m = Membership { group, port: 5004, iface: "eth0".into(), filter: SourceFilter::Any };
        model.add(ID, m.into(), Origin::User, None);
        model.joined(ID, Buffer::default(), at(0));
        for n in 0..20 {
            send(&mut model, n * 100, SENDERS);
        }
        let told = |model: &Model, kind, words: &str| {
            let (mut one_by_one, mut more) = (0, 0);
            for e in model.events().iter().filter(|e| e.kind == kind) {
                match e.source {
                    Some(_) => one_by_one += 1,
                    None => {
                        let n = e.text.strip_suffix(words).and_then(|t| t.rsplit(' ').next());
                        more += n.unwrap_or_default().parse::<u32>().unwrap_or_else(|_| panic!("{}", e.text));
                    }
                }
            }
            (one_by_one, more)
        };
        for n in 20..120 {
            model.advance(at(n * 100));
        }
        let silent = model.group(ID).unwrap().sources.list().iter().filter(|s| s.state == State::Silent);
        assert_eq!(silent.count(), usize::from(SENDERS));
        let (one_by_one, more) = told(&model, EventKind::SourceSilent, " more sources went silent");
        assert_eq!((one_by_one, one_by_one + more), (TOLD_A_SECOND, u32::from(SENDERS)));
        for n in 0..20 {
            send(&mut model, 12_000 + n * 100, SENDERS);
        }
        let (one_by_one, more) = told(&model, EventKind::SourceBack, " more sources send again");
        assert_eq!((one_by_one, one_by_one + more), (TOLD_A_SECOND, u32::from(SENDERS)));
    }
}
