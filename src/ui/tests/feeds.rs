//! Two streams marked as one feed, from the keys to the figures on the screen.

use insta::assert_snapshot;

use crate::base::group::MembershipId;
use crate::model::pair::Who;
use crate::ui::action::Action;
use crate::ui::fixture::{Desk, Say, World, at, endpoint, rtp, steady};

const A: MembershipId = MembershipId(0);
const B: MembershipId = MembershipId(1);

/// The same stream on two interfaces; A loses 4, B 6, both 2 numbers.
fn two_ways() -> World {
    let mut w = World::new();
    let (a, b) = (w.join("239.1.1.1:5004", "eth0", None), w.join("239.1.1.1:5004", "eth1", None));
    let lose = |list: Vec<Say>, lost: &'static [usize], late: u64| {
        let kept = list.into_iter().enumerate().filter(|(n, _)| !lost.contains(n));
        kept.map(move |(_, s)| Say { ms: s.ms + late, ..s }).collect::<Vec<_>>()
    };
    let stream = |to| steady(to, "10.1.2.20:5004", 1_000, 41_000, 20, |n| rtp(n, 0x5a01, 332));
    let mut list = lose(stream(a), &[300, 301, 700, 701], 0);
    list.extend(lose(stream(b), &[301, 302, 303, 700, 1200, 1300], 3));
    w.feed(Vec::new(), 500);
    let leg = |row| (row, Who::Sender(endpoint("10.1.2.20:5004")));
    w.model.mark_pair(leg(a), leg(b), at(500)).unwrap();
    w.feed(list, 44_000);
    w
}

#[test]
fn the_feed_stands_in_the_stream_view_at_three_sizes() {
    let screen = |width, height| {
        let mut d = Desk::new(two_ways(), width, height);
        d.keys("2");
        d.text()
    };
    assert_snapshot!("feed_80x24", screen(80, 24));
    assert_snapshot!("feed_120x36", screen(120, 36));
    assert_snapshot!("feed_200x60", screen(200, 60));
}

#[test]
fn m_marks_a_then_b_and_takes_both_back() {
    let mut w = two_ways();
    let pair = w.model.pairs()[0].id;
    w.model.unmark_pair(pair, at(44_000));
    let mut d = Desk::new(w, 80, 24);
    let from = endpoint("10.1.2.20:5004");
    assert_eq!(d.keys("m"), []);
    d.expect("A is marked: select the other stream, m marks it as B");
    d.keys("h");
    d.expect("A is marked · m marks the selected stream as B");
    d.expect("A 10.1.2.20:5004");
    // On the same stream it is taken back.
    assert_eq!(d.keys("m"), []);
    d.expect("A is taken back");
    assert_eq!(d.keys("mjm"), [Action::Pair([(A, from), (B, from)])]);
    d.expect("B is marked: 2 shows both as one feed");
    let leg = |row| (row, Who::Sender(from));
    let id = d.world.model.mark_pair(leg(A), leg(B), at(44_000)).unwrap();
    d.draw();
    d.expect("B 10.1.2.20:5004");
    assert_eq!(d.keys("m"), [Action::Unpair(id)]);
    d.expect("feed 239.1.1.1:5004 on eth0/eth1 is not compared any more");
}

#[test]
fn a_feed_is_gone_through_with_left_and_right_and_copied() {
    let mut d = Desk::new(two_ways(), 120, 36);
    d.keys("2<tab>");
    d.keys("l");
    d.expect("10.1.2.20:5004 (cam-a.local) to 239.1.1.1:5004 on eth1 · B of a feed");
    d.keys("h");
    d.expect("to 239.1.1.1:5004 on eth0 · A of a feed");
    let copied = d.keys("c");
    assert!(
        matches!(&copied[..], [Action::Copy(t)] if t.contains("4 lost on A, 6 on B, 2 on both")),
        "{copied:?}"
    );
    // A feed that is marked goes with its row.
    d.world.model.left(A, at(44_000));
    d.draw();
    assert!(d.world.model.pairs().is_empty());
    d.expect_not("Feed: two streams as one");
}

#[test]
fn without_a_stream_there_is_nothing_to_mark() {
    let mut w = World::new();
    w.join("239.1.1.1:5004", "eth0", None);
    let mut d = Desk::new(w, 80, 24);
    assert_eq!(d.keys("m"), []);
    d.expect("there is no stream to mark");
}

/// Two senders of one stream on one group.
fn two_senders() -> World {
    let mut w = World::new();
    let id = w.join("239.1.1.1:5004", "eth0", None);
    let stream = |from| steady(id, from, 1_000, 5_000, 20, |n| rtp(n, 0x5a01, 332));
    let mut list = stream("10.1.2.20:5004");
    list.extend(stream("10.1.2.21:5004"));
    w.feed(list, 5_000);
    w
}

#[test]
fn a_feed_of_two_senders_is_no_conflict() {
    let mut d = Desk::new(two_senders(), 120, 36);
    let conflict = "two senders on one group: same SSRC 0x5a01";
    d.expect(conflict);
    let leg = |from| (A, Who::Sender(endpoint(from)));
    let (a, b) = (leg("10.1.2.20:5004"), leg("10.1.2.21:5004"));
    let id = d.world.model.mark_pair(a, b, at(5_000)).unwrap();
    d.world.to(5_300);
    d.world.to(5_600);
    d.draw();
    d.expect_not(conflict);
    d.expect("A and B of one feed");
    d.keys("2");
    d.expect_not(conflict);
    d.keys("1");
    d.world.model.unmark_pair(id, at(5_600));
    d.world.to(5_900);
    d.world.to(6_200);
    d.draw();
    d.expect(conflict);
}

#[test]
fn one_stream_on_two_rows_is_pointed_out_with_the_key_that_compares_them() {
    let w = two_ways();
    let pair = w.model.pairs()[0].id;
    let mut d = Desk::new(w, 120, 36);
    let more = |from: u64| {
        let both = [A, B].map(|to| {
            steady(to, "10.1.2.20:5004", from, from + 1_000, 20, |n| rtp(from / 20 + n, 0x5a01, 332))
        });
        both.concat()
    };
    d.world.feed(more(44_000), 45_000);
    d.draw();
    d.expect_not("same SSRC");
    d.world.model.unmark_pair(pair, at(45_000));
    d.world.feed(more(45_000), 46_000);
    d.draw();
    d.expect("10.1.2.20:5004 sends the same stream to 239.1.1.1:5004 on eth1: same SSRC 0x5a01");
    d.expect("same stream on 239.1.1.1:5004 eth1 · m marks A, then B");
    d.keys("2");
    d.expect("10.1.2.20:5004 sends the same stream to 239.1.1.1:5004 on eth1");
    d.expect("m marks this stream as A; m on the other one then compares both");
    let told: Vec<_> =
        d.world.model.events().since(0).filter(|e| e.text.contains("the same stream")).collect();
    assert_eq!(told.len(), 2, "once for each row: {told:?}");
}
