//! What a person reads off a ping: each kind of trouble provoked by hand.

use super::*;

const MS: u64 = 1_000_000;

fn report(heard: u64, first: u64) -> Report {
    Report { responder: 9, first, heard, stay_ns: MS / 2, withheld: 0, ttl: Some(3), dscp: Some(0) }
}

fn answer(by: By, sequence: u64, report: Option<Report>) -> Answer {
    Answer {
        from: Endpoint::new("10.0.0.2".parse().unwrap(), if by == By::Unicast { 4000 } else { 4001 }),
        by,
        sequence,
        round_trip_ns: 2 * MS,
        ttl: Some(62),
        sent_ttl: 64,
        size_bytes: 84,
        report,
    }
}

/// A run of pings to which the responder heard `heard` and whose answers to `answered` came.
fn run(sent: u64, heard: &[u64], answered: &[u64]) -> Pings {
    let mut p = Pings::new(5, true);
    p.sent(sent, sent);
    for (i, n) in heard.iter().enumerate() {
        if answered.contains(n) {
            assert!(p.take(&answer(By::Unicast, *n, Some(report(i as u64 + 1, heard[0])))));
        }
    }
    p
}

fn losses(p: &Pings) -> Losses {
    p.peers()[0].unicast.losses(p.due()).unwrap()
}

#[test]
fn loss_on_the_way_there_and_back_and_the_set_up_are_three_figures() {
    // 0 to 2 before the tree stood, 3 heard but its answer lost, then 5 and 7 lost there, 6 and 8 back.
    let p = run(11, &[3, 4, 6, 8, 9, 10], &[4, 9, 10]);
    let want = Losses {
        setup: 4,
        setup_there: Some(3),
        lost: 4,
        there: Some(2),
        back: Some(2),
        withheld: Some(0),
        unclear: 0,
    };
    assert_eq!(losses(&p), want);
    assert_eq!((p.peers()[0].hops_there, p.peers()[0].unicast.hops), (Some(2), Some(2)));
}

#[test]
fn after_the_last_answer_the_way_is_not_known() {
    let p = run(10, &[0, 1, 2], &[0, 1, 2]);
    assert_eq!(
        (losses(&p).lost, losses(&p).unclear, losses(&p).there, losses(&p).back),
        (7, 7, Some(0), Some(0))
    );
    // An answer that is still on its way is no loss.
    let mut p = run(10, &[0, 1, 2], &[0, 1, 2]);
    p.sent(10, 4);
    assert_eq!((losses(&p).lost, losses(&p).unclear), (1, 1));
}

#[test]
fn withheld_answers_are_not_lost_on_the_way_back() {
    let mut p = Pings::new(1, false);
    p.sent(5, 5);
    for (n, withheld) in [(0, 0), (4, 2)] {
        p.take(&answer(By::Unicast, n, Some(Report { withheld, ..report(n + 1, 0) })));
    }
    assert_eq!((losses(&p).lost, losses(&p).withheld, losses(&p).back), (3, Some(2), Some(1)));
}

#[test]
fn without_a_report_loss_is_told_as_a_whole() {
    let mut p = Pings::new(1, false);
    p.sent(5, 5);
    for n in [1, 2, 4] {
        p.take(&answer(By::Unicast, n, None));
    }
    let l = losses(&p);
    assert_eq!((l.setup, l.setup_there, l.lost, l.there, l.back, l.unclear), (1, None, 1, None, None, 1));
}

#[test]
fn a_responder_that_forgot_the_run_and_counts_anew_adds_no_loss() {
    let mut p = Pings::new(1, false);
    p.sent(8, 8);
    // 1 is lost there; after 3 it counts from 1 again.
    for (n, heard, first) in [(0, 1, 0), (2, 2, 0), (3, 3, 0), (4, 1, 4), (7, 3, 4)] {
        p.take(&answer(By::Unicast, n, Some(report(heard, first))));
    }
    assert_eq!((losses(&p).lost, losses(&p).there, losses(&p).back), (3, Some(2), Some(1)));
}

#[test]
fn times_are_those_of_the_network_and_repeats_are_no_times() {
    let mut p = Pings::new(1, false);
    p.sent(4, 4);
    for (n, ms) in [(0, 1), (1, 3), (2, 5)] {
        let a = Answer { round_trip_ns: ms * MS + MS / 2, ..answer(By::Unicast, n, Some(report(n + 1, 0))) };
        p.take(&a);
        p.take(&Answer { round_trip_ns: 900 * MS, ..a });
    }
    let way = &p.peers()[0].unicast;
    let t = way.time;
    assert_eq!((t.min_ns(), t.avg_ns(), t.max_ns()), (Some(MS), Some(3 * MS), Some(5 * MS)));
    assert_eq!(t.deviation_ns(), Some(1_632_993));
    assert_eq!((way.answered(), way.duplicates(), way.last_ns), (3, 3, Some(5 * MS)));
    assert_eq!(Spread::default().avg_ns(), None);
}

#[test]
fn one_responder_is_one_whatever_ports_its_answers_come_from() {
    let mut p = Pings::new(1, true);
    p.sent(2, 2);
    p.take(&answer(By::Multicast, 0, Some(report(1, 0))));
    p.take(&answer(By::Unicast, 0, Some(report(1, 0))));
    assert_eq!((p.peers().len(), p.peers()[0].from.port), (1, 4000));
    // Another one on the same host, and one that has no id.
    p.take(&answer(By::Unicast, 0, Some(Report { responder: 10, ..report(1, 0) })));
    p.take(&answer(By::Unicast, 0, None));
    assert_eq!(p.peers().len(), 3);
}

#[test]
fn which_way_works_is_said_in_words() {
    let both = |unicast: u64, multicast: u64| {
        let mut p = Pings::new(1, true);
        p.sent(10, 10);
        for (by, count) in [(By::Unicast, unicast), (By::Multicast, multicast)] {
            for n in 0..count {
                assert!(p.take(&answer(by, n, Some(report(n + 1, 0)))));
            }
        }
        p.verdict(&p.peers()[0]).unwrap_or_default()
    };
    assert!(both(5, 0).starts_with("unicast works, multicast does not"));
    assert!(both(0, 5).starts_with("multicast works, unicast does not"));
    assert_eq!((both(5, 5), both(1, 0), both(5, 3)), Default::default());
}

#[test]
fn answers_to_what_was_not_sent_are_none_and_responders_have_a_bound() {
    let mut p = Pings::new(1, false);
    p.sent(2, 2);
    assert!(!p.take(&answer(By::Unicast, 2, None)) && !p.answered());
    for i in 0..PEERS_MAX as u64 + 5 {
        p.take(&answer(By::Unicast, 0, Some(Report { responder: i, ..report(1, 0) })));
    }
    assert_eq!((p.peers().len(), p.more()), (PEERS_MAX, 5));
}
