//! The ping's pop-up: what it shows of known answers, and what its keys ask for.

use super::super::testing::{Host, draw_at_all_sizes, press, screen};
use super::*;
use crate::base::group::Endpoint;
use crate::engine::command::PingJob;
use crate::wire::probe::Report;

fn answer(by: By, sequence: u64, heard: u64) -> Answer {
    let report = Report { responder: 7, heard, ttl: Some(1), dscp: Some(0), ..Report::default() };
    Answer {
        from: Endpoint::new("10.1.2.20".parse().unwrap(), 4000),
        by,
        sequence,
        round_trip_ns: 2_000_000,
        ttl: Some(63),
        sent_ttl: 64,
        size_bytes: 84,
        report: Some(report),
    }
}

fn host(answers: &[Answer], sent: u64) -> Host {
    let mut host = Host::new();
    let to = Endpoint::new("239.1.1.1".parse().unwrap(), 5004);
    let mut p = PingProgress::new(&PingJob::new(to, "eth0".into()));
    p.pings.sent(sent, sent);
    for a in answers {
        assert!(p.pings.take(a));
        p.recent.push_back(*a);
    }
    host.ping = Some(p);
    host
}

#[test]
fn it_shows_who_answers_how_fast_and_where_the_others_stayed() {
    let answers = [answer(By::Unicast, 0, 1), answer(By::Unicast, 1, 2), answer(By::Unicast, 4, 4)];
    let h = host(&answers, 5);
    let text = screen(&mut PingLayer::new(MembershipId(0)), &h, 120, 36);
    for want in ["Ping 239.1.1.1:5004 on eth0", "10.1.2.20:4000", "2.00 ms", "40.0 %", "0/1"] {
        assert!(text.contains(want), "{want} in\n{text}");
    }
    assert!(text.contains("1 lost on the way there, 1 on the way back"), "{text}");
    assert!(text.contains("unicast works, multicast does not"), "{text}");
    assert!(text.contains("number    4  unicast"), "{text}");
}

#[test]
fn without_answers_it_says_what_may_be_missing() {
    let text = screen(&mut PingLayer::new(MembershipId(0)), &host(&[], 1), 80, 24);
    assert!(text.contains("waiting for the first answer"), "{text}");
    let text = screen(&mut PingLayer::new(MembershipId(0)), &host(&[], 3), 80, 24);
    assert!(
        text.contains("Nobody has answered") && text.contains("mcscope respond 239.1.1.1:5004"),
        "{text}"
    );
}

#[test]
fn p_stops_and_begins_again_t_goes_further_and_esc_stops_and_closes() {
    let mut h = host(&[], 1);
    let mut layer = PingLayer::new(MembershipId(0));
    assert_eq!(press(&mut layer, &h, "p"), Outcome::Act(vec![Action::StopPing]));
    assert_eq!(press(&mut layer, &h, "t"), Outcome::Act(vec![Action::Ping(MembershipId(0), 16)]));
    if let Some(p) = &mut h.ping {
        p.state = SendState::Stopped;
    }
    assert_eq!(press(&mut layer, &h, "p"), Outcome::Act(vec![Action::Ping(MembershipId(0), 16)]));
    assert_eq!(press(&mut layer, &h, "<esc>"), Outcome::Close(vec![Action::StopPing]));
}

#[test]
fn it_fits_every_terminal() {
    let many: Vec<Answer> = (0..60)
        .map(|n| Answer {
            report: Some(Report { responder: n, heard: 1, ..Report::default() }),
            ..answer(By::Unicast, 0, 1)
        })
        .collect();
    draw_at_all_sizes(&mut PingLayer::new(MembershipId(0)), &host(&many, 5));
}
