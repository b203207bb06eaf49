//! The bounds, and that joined rows and the wire do not get into each other's way.

use std::sync::Arc;

use std::net::IpAddr;

use super::*;
use crate::base::batch::{Batch, Datagram};
use crate::base::group::{Membership, SourceFilter};
use crate::base::time::{Mono, Now};
use crate::model::event::EventKind;
use crate::model::group::{Buffer, Origin};
use crate::model::{Model, Settings};

fn now(ms: u64) -> Now {
    Now {
        mono: Mono(1_000_000_000_000 + ms * 1_000_000),
        wall: Wall(1_795_359_600_000_000_000 + ms as i64 * 1_000_000),
    }
}

fn eth0() -> Arc<str> {
    "eth0".into()
}

fn on(depth: Depth, ms: u64) -> TapState {
    TapState::On { depth, ring_bytes: 1 << 20, since: Stamp { mono: now(ms).mono, wall: now(ms).wall } }
}

fn tapped() -> Model {
    let mut m = Model::new(Settings::default(), now(0));
    m.tap(&eth0(), on(Depth::Wire, 0), now(0));
    m
}

fn to(group: &str) -> Endpoint {
    Endpoint::new(group.parse().unwrap(), 5004)
}

fn from(n: u32) -> Endpoint {
    Endpoint::new(IpAddr::V4((0x0a00_0000 + n).into()), 9999)
}

/// What a tap hands over at a time: a datagram each.
fn sight(ms: u64, all: &[(Endpoint, Option<u16>, Endpoint)]) -> Sight {
    let mut s = Sight { iface: eth0(), ..Sight::default() };
    s.batch.received = now(ms);
    for &(to, vlan, from) in all {
        let flow = Flow { to, vlan, outgoing: false };
        let place = s.flows.iter().position(|f| *f == flow).unwrap_or_else(|| {
            s.flows.push(flow);
            s.flows.len() - 1
        });
        let d = Datagram::new(MembershipId(place as u32), now(ms).wall, from, 100);
        assert!(s.batch.pack(d, &[7; 100]));
    }
    s
}

fn show(m: &mut Model, ms: u64, all: &[(Endpoint, Option<u16>, Endpoint)]) {
    let mut s = sight(ms, all);
    m.sort(&mut s);
    m.saw(&s);
    m.advance(now(ms));
}

fn join(m: &mut Model, id: u32, group: &str, ms: u64) -> MembershipId {
    let (id, e) = (MembershipId(id), to(group));
    let membership = Membership { group: e.ip, port: e.port, iface: eth0(), filter: SourceFilter::Any };
    m.add(id, membership.into(), Origin::User, None);
    m.joined(id, Buffer::default(), now(ms));
    id
}

#[test]
fn a_group_on_the_wire_has_a_row_and_touches_no_figure_of_the_joined() {
    let mut m = tapped();
    join(&mut m, 0, "239.1.1.1", 0);
    m.advance(now(3000));
    let before = m.totals();
    let (a, b) = (to("239.9.9.9"), to("ff05::77"));
    for i in 0..50 {
        show(&mut m, 3000 + i * 100, &[(a, None, from(1)), (a, None, from(2)), (b, None, from(3))]);
    }
    assert_eq!(m.totals(), before);
    let t = m.wire_totals(None);
    assert_eq!((t.groups, t.sources, t.counters.packets, t.counters.payload_bytes), (2, 3, 150, 15_000));
    assert_eq!(t.rate.map(|r| r.packets_pps.round()), Some(30.0));
    let row = m.wire().rows().next().unwrap();
    assert!(row.id.is_wire() && !row.is_joined() && row.sources.len() == 2);
    assert_eq!(m.rows().count(), 3);
    assert_eq!(m.group(row.id).map(|g| g.counters.packets), Some(100));
    let told = m.events().since(0).filter(|e| e.kind == EventKind::WireSeen).count();
    assert_eq!(told, 2, "each group once, no sender");
}

#[test]
fn a_group_that_is_joined_has_one_row_and_what_was_seen_of_it_stays_in_the_sum() {
    let mut m = tapped();
    let g = to("239.9.9.9");
    show(&mut m, 100, &[(g, None, from(1)); 5]);
    let id = join(&mut m, 0, "239.9.9.9", 200);
    assert_eq!(m.rows().map(|g| g.id).collect::<Vec<_>>(), [id]);
    assert_eq!(m.wire_totals(None).counters.packets, 5);
    // The tap has not heard of the join yet.
    show(&mut m, 300, &[(g, None, from(1)); 3]);
    assert_eq!((m.wire().len(), m.wire_totals(None).counters.packets), (0, 5));
    m.left(id, now(5000));
    show(&mut m, 5100, &[(g, None, from(1)); 2]);
    assert_eq!((m.wire().len(), m.wire_totals(None).counters.packets), (1, 7));
}

#[test]
fn a_group_that_is_left_soon_after_its_join_is_seen_on_the_wire_at_once() {
    let mut m = tapped();
    let id = join(&mut m, 0, "239.9.9.9", 200);
    m.left(id, now(300));
    show(&mut m, 400, &[(to("239.9.9.9"), None, from(1)); 3]);
    assert_eq!(m.wire_totals(None).counters.packets, 3);
}

#[test]
fn groups_are_bounded_and_the_quietest_makes_room_only_when_it_was_quiet_for_long() {
    let mut m = tapped();
    let group = |n: usize| Endpoint::new(IpAddr::V4((0xef00_0000 + n as u32).into()), 5004);
    for n in 0..GROUPS_MAX {
        show(&mut m, n as u64, &[(group(n), None, from(1))]);
    }
    assert_eq!((m.wire().len(), m.wire_totals(None).evicted), (GROUPS_MAX, 0));
    // All were heard a moment ago: the next ones are counted on the interface only.
    for n in 0..100 {
        show(&mut m, 2000, &[(group(GROUPS_MAX + n), None, from(1))]);
    }
    let t = m.wire_totals(None);
    assert_eq!(
        (t.groups, t.evicted, t.counts.not_analysed, t.counts.not_analysed_bytes),
        (GROUPS_MAX, 0, 100, 10_000)
    );
    // Later the one that was quiet for longest is forgotten, and what it had stays in the sum.
    show(&mut m, 20_000, &[(group(0), None, from(1))]);
    show(&mut m, 20_001, &[(group(9999), None, from(1))]);
    let t = m.wire_totals(None);
    assert_eq!((t.groups, t.evicted, t.counters.packets), (GROUPS_MAX, 1, GROUPS_MAX as u64 + 2));
    let there = |e: Endpoint| m.wire().rows().any(|g| g.membership.endpoint() == e);
    assert!(there(group(0)) && there(group(9999)) && !there(group(1)));
    assert!(m.events().since(0).any(|e| e.text.contains("forgotten")));
}

#[test]
fn senders_are_bounded_over_all_groups_of_the_wire_and_joined_rows_keep_theirs() {
    let mut m = tapped();
    let id = join(&mut m, 0, "239.1.1.1", 0);
    for n in 0..(SOURCES_MAX as u32 + 2000) / 200 {
        let all: Vec<_> = (0..200).map(|i| (to("239.9.9.9"), None, from(n * 200 + i))).collect();
        show(&mut m, u64::from(n), &all);
    }
    let t = m.wire_totals(None);
    assert_eq!(t.sources, SOURCES_MAX);
    assert!(t.counters.packets > SOURCES_MAX as u64 + 1000, "all are counted on the group");
    let row = m.wire().rows().next().unwrap();
    assert_eq!(row.unattributed, t.counters.packets - SOURCES_MAX as u64);
    assert!(row.sources.detailed() <= DETAILED, "{}", row.sources.detailed());
    show(&mut m, 500, &[(to("239.8.8.8"), None, from(1))]);
    assert_eq!(m.wire_totals(None).groups, 2, "the group is there, its sender found no room");
    assert!(m.group(id).is_some_and(|g| g.sources.is_empty()));
}

#[test]
fn frames_of_a_vlan_have_rows_of_their_own_and_are_in_no_sum() {
    let mut m = tapped();
    let g = to("239.9.9.9");
    show(
        &mut m,
        100,
        &[(g, None, from(1)), (g, Some(5), from(1)), (g, Some(5), from(1)), (g, Some(6), from(1))],
    );
    let rows: Vec<_> = m.wire().rows().map(|g| (g.vlan, g.counters.packets)).collect();
    assert_eq!(rows, [(None, 1), (Some(5), 2), (Some(6), 1)]);
    let t = m.wire_totals(None);
    assert_eq!((t.counters.packets, t.tagged), (1, 3));
    join(&mut m, 0, "239.9.9.9", 200);
    assert_eq!(m.wire().len(), 2, "the VLANs' groups are not joined by that");
}

#[test]
fn a_tap_that_is_switched_off_leaves_nothing_behind() {
    let mut m = tapped();
    show(&mut m, 100, &[(to("239.9.9.9"), None, from(1))]);
    let mut late = sight(200, &[(to("239.9.9.9"), None, from(1))]);
    m.tap(&eth0(), on(Depth::Ears, 150), now(150));
    assert_eq!((m.wire().len(), m.wire().depth()), (0, Depth::Ears));
    m.sort(&mut late);
    m.saw(&late);
    assert_eq!(m.wire().len(), 0, "what was under way is passed over");
}

#[test]
fn of_groups_that_were_named_only_these_are_shown() {
    let mut m = tapped();
    let named = Membership {
        group: "239.9.9.9".parse().unwrap(),
        port: 5004,
        iface: eth0(),
        filter: SourceFilter::Include(vec![from(1).ip]),
    };
    m.show_only(&[named]);
    let mut s = sight(
        100,
        &[
            (to("239.9.9.9"), None, from(1)),
            (to("239.9.9.9"), None, from(2)),
            (to("239.8.8.8"), None, from(1)),
        ],
    );
    m.sort(&mut s);
    assert_eq!(s.batch.datagrams().len(), 1);
    m.saw(&s);
    assert_eq!(m.wire_totals(None).counters.packets, 1);
}

#[test]
fn wire_and_socket_are_compared_and_what_no_counter_explains_is_told() {
    let mut m = tapped();
    let id = join(&mut m, 0, "239.1.1.1", 0);
    assert_eq!(m.compared(id), Some(Default::default()));
    let mut batch = Batch::new();
    for ms in (3000..8000).step_by(10) {
        let second = compare::second(now(ms).wall);
        let s = Sight {
            tallies: vec![Tally { row: id, from: Some(from(1)), second, packets: 1 }],
            ..sight(ms, &[])
        };
        m.saw(&s);
        // Every tenth does not arrive.
        if ms % 100 != 0 {
            batch.clear();
            batch.received = now(ms);
            let mut d = Datagram::new(id, now(ms).wall, from(1), 10);
            d.ttl = Some(1);
            batch.push_copy(d, &[1; 10]);
            m.apply(&batch);
        }
        m.advance(now(ms));
    }
    m.advance(now(12_000));
    let c = m.compared(id).unwrap();
    assert_eq!((c.wire, c.delivered, c.not_delivered, c.dropped_here), (500, 450, 50, 0));
    let told: Vec<_> = m.events().since(0).filter(|e| e.kind == EventKind::NotDelivered).collect();
    assert!(!told.is_empty() && told.len() < 6, "told again when it has doubled: {}", told.len());
    m.reset(None);
    assert_eq!(m.compared(id), Some(Default::default()));
    m.tap(&eth0(), TapState::Off, now(12_000));
    assert_eq!(m.compared(id), None);
}

/// An RTP datagram.
fn rtp(seq: u16) -> Vec<u8> {
    let mut p = vec![0x80, 97];
    p.extend(seq.to_be_bytes());
    p.extend((u32::from(seq) * 480).to_be_bytes());
    p.extend([0, 0, 0, 7]);
    p.extend([0; 20]);
    p
}

#[test]
fn a_number_that_was_on_the_wire_and_not_delivered_is_lost_here_and_no_other_is() {
    let mut m = tapped();
    let id = join(&mut m, 0, "239.1.1.1", 0);
    let mut batch = Batch::new();
    let mut tallies = Vec::new();
    for i in 0..1000u64 {
        let ms = 2500 + i * 10;
        for n in [1, 2] {
            // Of both, 1 of 100 never gets here, and of the first 1 of 50 not past this host's firewall;
            // for a second and a half nothing of it does.
            let (on_the_way, here) = (i % 100 == 99, n == 1 && (i % 50 == 20 || (400..550).contains(&i)));
            if on_the_way {
                continue;
            }
            let second = compare::second(now(ms).wall);
            tallies.push(Tally { row: id, from: Some(from(n)), second, packets: 1 });
            if here {
                continue;
            }
            batch.clear();
            batch.received = now(ms);
            batch.push_copy(Datagram::new(id, now(ms).wall, from(n), 32), &rtp(i as u16));
            m.apply(&batch);
        }
        if i % 10 == 9 {
            m.saw(&Sight { tallies: std::mem::take(&mut tallies), ..sight(ms, &[]) });
        }
        m.advance(now(ms));
    }
    m.advance(now(15_500));
    let group = m.group(id).unwrap();
    let lost = |n| {
        let c = group.sources.get(from(n)).and_then(|s| s.continuity()).unwrap();
        (c.lost, c.lost_here, c.lost_unclear)
    };
    // The last number is not missing to anybody: 9 of 10 are.
    assert_eq!(lost(2), (9, 0, 0));
    // Of the second and a half three would have been kept out anyway, and one never got here.
    assert_eq!(lost(1), (9, 20 - 3 + 150 - 1, 0));
    let all = group.continuity().unwrap();
    assert_eq!((all.lost, all.lost_here), (18, 166));
}

/// A datagram to a wire row with this payload.
fn told(ms: u64, to: Endpoint, from: Endpoint, payload: &[u8]) -> Sight {
    let mut s = Sight { iface: eth0(), ..Sight::default() };
    s.batch.received = now(ms);
    s.flows.push(Flow { to, vlan: None, outgoing: false });
    let d = Datagram::new(MembershipId(0), now(ms).wall, from, payload.len() as u32);
    assert!(s.batch.pack(d, payload));
    s
}

fn shown(m: &mut Model, mut s: Sight) {
    m.sort(&mut s);
    m.saw(&s);
}

#[test]
fn a_session_announced_on_the_wire_names_its_group_there() {
    let mut m = tapped();
    let mut sap = vec![0x20, 0, 0x12, 0x34, 10, 0, 0, 1];
    sap.extend(b"application/sdp\0v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=Studio A\r\nt=0 0\r\n");
    sap.extend(b"c=IN IP4 239.69.1.1/32\r\nm=audio 5004 RTP/AVP 97\r\na=rtpmap:97 L24/48000/2\r\n");
    let announce = Endpoint::new("224.2.127.254".parse().unwrap(), 9875);
    shown(&mut m, told(100, announce, from(1), &sap));
    shown(&mut m, told(200, to("239.69.1.1"), from(2), &rtp(1)));
    m.advance(now(1500));
    let named =
        |m: &Model| m.wire().rows().find(|g| g.membership.port == 5004).unwrap().name().map(str::to_owned);
    assert_eq!(named(&m).as_deref(), Some("Studio A"));
    assert_eq!(m.events().since(0).filter(|e| e.kind == EventKind::Session).count(), 1);
}

#[test]
fn a_feed_on_the_wire_goes_on_when_its_group_is_joined_and_ends_with_the_tap() {
    use crate::model::pair::Who;
    let mut m = tapped();
    let groups = ["239.1.1.1", "239.1.1.2"];
    let send = |m: &mut Model, numbers: std::ops::Range<u64>, on: &[usize]| {
        for n in numbers {
            for &leg in on {
                // B leaves out each tenth.
                if leg == 0 || n % 10 != 5 {
                    shown(m, told(100 + n * 10, to(groups[leg]), from(1), &rtp(n as u16)));
                }
            }
            m.advance(now(100 + n * 10));
        }
    };
    send(&mut m, 0..1, &[0, 1]);
    let row =
        |m: &Model, group: &str| m.wire().rows().find(|g| g.membership.endpoint() == to(group)).unwrap().id;
    let leg = |row| (row, Who::Sender(from(1)));
    let (a, b) = (leg(row(&m, groups[0])), leg(row(&m, groups[1])));
    m.mark_pair(a, b, now(110)).unwrap();
    send(&mut m, 1..300, &[0, 1]);
    // A is joined: the socket brings it now.
    let id = join(&mut m, 0, groups[0], 3092);
    m.advance(now(3093));
    let mut batch = Batch::new();
    for n in 300..400u64 {
        let ms = 100 + n * 10;
        batch.clear();
        batch.received = now(ms);
        batch.push_copy(Datagram::new(id, now(ms).wall, from(1), 32), &rtp(n as u16));
        m.apply(&batch);
        send(&mut m, n..n + 1, &[1]);
    }
    m.advance(now(9000));
    // The first number of all came before it was known what it is.
    let (legs, c) = (&m.pairs()[0].legs, m.pairs()[0].counts());
    assert_eq!((legs[0].row, legs[1].row.is_wire()), (id, true));
    assert_eq!((c.legs[0].lost, c.legs[1].lost, c.legs[0].packets, c.compared), (0, 40, 399, 398));
    m.tap(&eth0(), TapState::Off, now(9100));
    m.advance(now(9101));
    assert!(m.pairs().is_empty(), "B is seen no more");
}
