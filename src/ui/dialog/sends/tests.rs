use super::*;
use crate::base::group::Endpoint;
use crate::engine::command::SendFault;
use crate::ui::dialog::testing::{Host, draw_at_all_sizes, press, screen};

fn at(text: &str) -> Endpoint {
    text.parse::<std::net::SocketAddr>().unwrap().into()
}

fn reply(from: &str, sequence: u64, micros: u64) -> Reply {
    Reply {
        from: at(from),
        sequence: Some(sequence),
        round_trip: Duration::from_micros(micros),
        ttl: Some(63),
        hops: Some(1),
        size_bytes: 44,
    }
}

fn host() -> Host {
    let mut host = Host::new();
    host.names.insert("10.1.2.20".parse().unwrap(), Some("cam-a.local".into()));
    let done = SendProgress {
        to: Some(at("239.1.1.1:5004")),
        from: Some(at("10.1.2.3:40001")),
        state: SendState::Done,
        sent: 100,
        sent_bytes: 4400,
        total: Some(100),
        elapsed: Duration::from_secs(10),
        ..SendProgress::default()
    };
    let running = SendProgress {
        to: Some(at("[ff02::123]:7645")),
        from: Some(at("[fe80::1]:40002")),
        state: SendState::Running,
        sent: 45,
        sent_bytes: 9000,
        dropped_on_purpose: 5,
        doubled_on_purpose: 2,
        total: Some(100),
        elapsed: Duration::from_millis(4_500),
        duration: Some(Duration::from_secs(10)),
        errors: vec![SendFault {
            kind: "network is unreachable".to_owned(),
            remedy: Some("ip route add 224.0.0.0/4 dev eth0".to_owned()),
            count: 2,
        }],
        replies: vec![
            reply("10.1.2.20:7645", 1, 412),
            Reply { hops: None, ttl: None, sequence: None, ..reply("10.1.2.21:7645", 1, 1_840) },
        ],
        reply_count: 2,
        ..SendProgress::default()
    };
    host.sends = vec![(SendId(1), done), (SendId(2), running)];
    host
}

#[test]
fn the_newest_comes_first_and_tells_all() {
    let host = host();
    let shown = screen(&mut SendsLayer::new(), &host, 120, 36);
    let lines: Vec<&str> = shown.lines().filter(|l| l.contains('●') || l.contains('✓')).collect();
    assert!(lines[0].contains("▌● [ff02::123]:7645") && lines[0].contains("45 of 100"), "{shown}");
    assert!(lines[0].contains("10.0 pkt/s") || lines[0].contains("10 pkt/s"), "{shown}");
    assert!(lines[1].contains("done") && lines[1].contains("━━━━━━━━━━━━━━━━"), "{shown}");
    for part in [
        "running · from [fe80::1]:40002 · 4.50 s of 10 s",
        "on purpose: 5 left out, 2 doubled",
        "✕ 2 × network is unreachable",
        "remedy  ip route add 224.0.0.0/4 dev eth0",
        "10.1.2.20:7645  cam-a.local",
        "412 µs",
    ] {
        assert!(shown.contains(part), "no {part} in\n{shown}");
    }
}

#[test]
fn a_running_send_can_be_stopped_and_a_finished_one_not() {
    let host = host();
    let mut layer = SendsLayer::new();
    assert_eq!(press(&mut layer, &host, "x"), Outcome::Act(vec![Action::StopSend(SendId(2))]));
    assert_eq!(press(&mut layer, &host, "jx"), Outcome::Consumed);
    assert_eq!(press(&mut layer, &host, "jjkx"), Outcome::Act(vec![Action::StopSend(SendId(2))]));
    assert_eq!(press(&mut layer, &host, "<esc>"), Outcome::Close(vec![]));
}

#[test]
fn the_selection_stays_on_its_send_when_another_begins() {
    let mut host = host();
    let mut layer = SendsLayer::new();
    press(&mut layer, &host, "<down><up>");
    host.sends.push((SendId(3), SendProgress::default()));
    assert_eq!(press(&mut layer, &host, "x"), Outcome::Act(vec![Action::StopSend(SendId(2))]));
}

#[test]
fn the_remedy_is_copied() {
    let host = host();
    let mut layer = SendsLayer::new();
    let expected = Action::Copy("ip route add 224.0.0.0/4 dev eth0".to_owned());
    assert_eq!(press(&mut layer, &host, "c"), Outcome::Act(vec![expected]));
    assert!(screen(&mut layer, &host, 80, 24).contains("c copied"));
    assert_eq!(press(&mut layer, &host, "jc"), Outcome::Consumed);
}

#[test]
fn answers_scroll_back_and_the_newest_are_shown_first() {
    let mut host = host();
    let many = (0..200).map(|n| reply(&format!("10.0.0.1:{}", 1000 + n), n, n + 1));
    host.sends[1].1.replies = many.collect();
    host.sends[1].1.reply_count = 200;
    let mut layer = SendsLayer::new();
    let shown = screen(&mut layer, &host, 80, 24);
    assert!(shown.contains("10.0.0.1:1199") && !shown.contains("10.0.0.1:1000"), "{shown}");
    for _ in 0..300 {
        press(&mut layer, &host, "<pgup>");
        draw_once(&mut layer, &host);
    }
    let shown = screen(&mut layer, &host, 80, 24);
    assert!(shown.contains("10.0.0.1:1000") && !shown.contains("10.0.0.1:1199"), "{shown}");
}

fn draw_once(layer: &mut SendsLayer, host: &Host) {
    screen(layer, host, 80, 24);
}

#[test]
fn progress_counts_numbers_or_time_and_never_more_than_all() {
    let base = SendProgress { total: Some(10), sent: 6, doubled_on_purpose: 1, ..SendProgress::default() };
    assert_eq!(share(&base), Some(0.5));
    assert_eq!(share(&SendProgress { dropped_on_purpose: 100, ..base.clone() }), Some(1.0));
    let timed = SendProgress {
        elapsed: Duration::from_secs(3),
        duration: Some(Duration::from_secs(4)),
        ..SendProgress::default()
    };
    assert_eq!(share(&timed), Some(0.75));
    assert_eq!(share(&SendProgress::default()), None);
    assert_eq!(share(&SendProgress { state: SendState::Done, ..base }), Some(1.0));
}

#[test]
fn a_send_that_could_not_begin_says_why() {
    let mut host = host();
    let why = "cannot send to 239.1.1.1:5004 from port 80 (bind): permission denied";
    let failed = SendProgress { state: SendState::Failed(why.to_owned()), ..SendProgress::default() };
    host.sends.push((SendId(9), failed));
    let shown = screen(&mut SendsLayer::new(), &host, 80, 24);
    assert!(shown.contains("failed") && shown.contains("✕ cannot send to 239.1.1.1:5004"), "{shown}");
}

#[test]
fn it_looks_like_this() {
    let mut host = host();
    insta::assert_snapshot!("sends_80x24", screen(&mut SendsLayer::new(), &host, 80, 24));
    insta::assert_snapshot!("sends_120x36", screen(&mut SendsLayer::new(), &host, 120, 36));
    draw_at_all_sizes(&mut SendsLayer::new(), &host);
    host.sends.clear();
    insta::assert_snapshot!("sends_empty_80x24", screen(&mut SendsLayer::new(), &host, 80, 24));
    draw_at_all_sizes(&mut SendsLayer::new(), &host);
}
