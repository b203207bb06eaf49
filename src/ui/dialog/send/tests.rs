use std::path::PathBuf;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::base::group::Endpoint;
use crate::engine::command::{Impair, Payload, Plan, SendJob, Size};
use crate::ui::dialog::testing::{Host, closed, draw, draw_at_all_sizes, press, screen};

fn dialog(host: &Host) -> SendDialog {
    SendDialog::new(&host.ctx(), &SendDefaults::default())
}

fn sent(outcome: Outcome) -> SendJob {
    match closed(outcome).pop() {
        Some(Action::Send(job)) => *job,
        other => panic!("expected a send, not {other:?}"),
    }
}

/// Goes to a field and writes this into it.
fn write(d: &mut SendDialog, host: &Host, item: Item, text: &str) {
    d.form.set_focus(item);
    press(d, host, "<c-u>");
    press(d, host, text);
}

#[test]
fn enter_sends_what_the_fields_say_at_first() {
    let host = Host::new();
    let job = sent(press(&mut dialog(&host), &host, "<enter>"));
    let expected = SendJob {
        to: Endpoint::new("239.1.1.1".parse().unwrap(), 5004),
        iface: "eth0".into(),
        payload: Payload::Probe { ping: false, text: None },
        size: None,
        plan: Plan::Steady { rate_pps: 10.0, burst: 1, count: Some(10), duration: None },
        ttl: 1,
        dscp: 0,
        source_port: None,
        source_ip: None,
        loopback: true,
        impair: Impair::default(),
        limit_pps: DEFAULT_LIMIT_PPS,
        await_reply: None,
    };
    assert_eq!(job, expected);
}

#[test]
fn every_field_reaches_the_job() {
    let host = Host::new();
    let mut d = dialog(&host);
    press(&mut d, &host, "<right>"); // ping
    for (item, text) in [
        (Item::To, "[ff02::123%eth1]:7645"),
        (Item::Text, r"hallo\n"),
        (Item::Count, "100"),
        (Item::Rate, "200ms"),
        (Item::Burst, "4"),
        (Item::For, "1m"),
        (Item::Size, "100-1400"),
        (Item::From, "7000"),
        (Item::Ttl, "32"),
        (Item::Dscp, "ef"),
        (Item::Drop, "10"),
        (Item::Dup, "20"),
        (Item::Swap, "30"),
        (Item::Wait, "500ms"),
        (Item::Guard, "5k"),
    ] {
        write(&mut d, &host, item, text);
    }
    d.form.set_focus(Item::Loop);
    press(&mut d, &host, "<space>");
    let expected = SendJob {
        to: Endpoint::new("ff02::123".parse().unwrap(), 7645),
        iface: "eth1".into(),
        payload: Payload::Probe { ping: true, text: Some("hallo\n".into()) },
        size: Some(Size::Random(100, 1400)),
        plan: Plan::Steady {
            rate_pps: 20.0,
            burst: 4,
            count: Some(100),
            duration: Some(Duration::from_secs(60)),
        },
        ttl: 32,
        dscp: 46,
        source_port: Some(7000),
        source_ip: None,
        loopback: false,
        impair: Impair { drop_every: 10, dup_every: 20, swap_every: 30 },
        limit_pps: 5000,
        await_reply: Some(Duration::from_millis(500)),
    };
    assert_eq!(sent(press(&mut d, &host, "<enter>")), expected);
}

#[test]
fn payloads_of_each_kind_are_read_and_a_file_is_left_to_the_loop() {
    let host = Host::new();
    let mut d = dialog(&host);
    press(&mut d, &host, "t<tab>a\\x00b");
    assert_eq!(sent(press(&mut d, &host, "<enter>")).payload, Payload::Bytes(b"a\0b"[..].into()));
    let mut d = dialog(&host);
    press(&mut d, &host, "h<tab>de ad be ef");
    assert_eq!(
        sent(press(&mut d, &host, "<enter>")).payload,
        Payload::Bytes([0xde, 0xad, 0xbe, 0xef].into())
    );
    let mut d = dialog(&host);
    press(&mut d, &host, "f<tab>/tmp/a b.bin");
    match closed(press(&mut d, &host, "<enter>")).pop() {
        Some(Action::SendFile { path, job }) => {
            assert_eq!(path, PathBuf::from("/tmp/a b.bin"));
            assert_eq!(job.payload, Payload::Bytes([].into()));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_presets_are_jobs_of_their_own() {
    let host = Host::new();
    let mut d = dialog(&host);
    d.form.set_focus(Item::Plan);
    press(&mut d, &host, "l");
    assert_eq!(
        d.reading.summary,
        "probes of 44 B to 239.1.1.1:5004 by eth0, 1, 10, 100, 1000 pkt/s, then bursts of 2 to 64, \
         10 s each, takes 1 min 40 s, TTL 1: stops at the first router"
    );
    write(&mut d, &host, Item::Guard, "50");
    assert!(d.reading.summary.contains("1, 10, 50 pkt/s, then"), "{}", d.reading.summary);
    d.form.set_focus(Item::Plan);
    press(&mut d, &host, "s"); // round to soak
    press(&mut d, &host, "<tab><c-u>5m");
    assert!(d.reading.summary.contains("2 query intervals"), "{}", d.reading.summary);
    let job = sent(press(&mut d, &host, "<enter>"));
    assert_eq!(job.plan, Plan::Soak { duration: Duration::from_secs(300) });
}

#[test]
fn the_summary_says_what_will_happen() {
    let host = Host::new();
    let mut d = dialog(&host);
    write(&mut d, &host, Item::Count, "100");
    write(&mut d, &host, Item::Size, "200");
    assert_eq!(
        d.reading.summary,
        "100 probes of 200 B to 239.1.1.1:5004 by eth0, 10 pkt/s, takes 10 s, TTL 1: stops at the first router"
    );
    assert_eq!(d.reading.guard, "guard 1000 pkt/s, this sends 10 pkt/s");
    write(&mut d, &host, Item::Ttl, "4");
    write(&mut d, &host, Item::Count, "");
    write(&mut d, &host, Item::Rate, "0.5");
    assert!(d.reading.summary.ends_with("0.5 pkt/s, until stopped, TTL 4: passes up to 3 routers"));
    write(&mut d, &host, Item::To, "224.0.0.251:5353");
    assert!(d.reading.summary.ends_with("TTL 4: link-local, no router passes it on"));
}

#[test]
fn the_guard_holds_what_is_faster_and_can_be_raised() {
    let host = Host::new();
    let mut d = dialog(&host);
    write(&mut d, &host, Item::Rate, "5k");
    assert_eq!(d.reading.guard, "guard 1000 pkt/s, this sends 1000 pkt/s");
    assert!(d.reading.warnings[0].starts_with("asked for 5000 pkt/s, held at 1000 pkt/s"));
    write(&mut d, &host, Item::Guard, "10k");
    assert_eq!(d.reading.guard, "guard 10 000 pkt/s, this sends 5000 pkt/s");
    assert!(d.reading.warnings.is_empty());
    // 8 Mbit/s in datagrams of 1000 bytes.
    write(&mut d, &host, Item::Size, "1000");
    write(&mut d, &host, Item::Rate, "8Mbit");
    assert_eq!(d.reading.guard, "guard 10 000 pkt/s, this sends 1000 pkt/s");
    write(&mut d, &host, Item::Size, "1473");
    assert_eq!(d.reading.warnings, ["longer than the MTU of eth0 (1500): it travels in fragments"]);
    d.form.set_focus(Item::Kind);
    press(&mut d, &host, "h<tab>de ad be ef");
    write(&mut d, &host, Item::Size, "2");
    assert!(d.reading.warnings.contains(&"the size cuts what is sent from 4 to 2 bytes".to_owned()));
}

#[test]
fn what_is_wrong_is_marked_at_its_field_and_keeps_the_dialog_open() {
    let host = Host::new();
    for (item, text, message) in [
        (Item::Ttl, "256", "TTL is 0 to 255"),
        (Item::From, "0", "a port is 1 to 65535"),
        (Item::Dscp, "184", "a DSCP goes up to 63"),
        (Item::Size, "43", "a probe has at least 44 bytes"),
        (Item::Size, "70000", "a datagram carries at most 65507 bytes"),
        (Item::Size, "900-100", "the smaller size comes first"),
        (Item::Rate, "10x", "this is not a unit of rate"),
        (Item::Drop, "1", "1 leaves out every number: nothing is sent"),
        (Item::Text, r"\q", ""),
        (Item::To, "10.0.0.1", ""),
        (Item::To, "239.1.1.1%eth7:5004", "there is no interface eth7 (eth0, eth1, lo, docker0, wg0 exist)"),
    ] {
        let mut d = dialog(&host);
        write(&mut d, &host, item, text);
        assert_eq!(press(&mut d, &host, "<enter>"), Outcome::Consumed, "{item:?} {text}");
        assert_eq!(d.form.focus(), item, "{text}");
        let shown = screen(&mut d, &host, 80, 24);
        assert!(shown.contains(message) && shown.contains('^'), "{item:?} {text}: {message}\n{shown}");
        assert_eq!(press(&mut d, &host, "<esc>"), Outcome::Close(vec![]));
    }
}

#[test]
fn what_is_only_begun_is_no_error_until_the_field_is_left() {
    let host = Host::new();
    let mut d = dialog(&host);
    write(&mut d, &host, Item::For, "30");
    assert!(!screen(&mut d, &host, 80, 24).contains("^"));
    press(&mut d, &host, "<tab>");
    assert!(screen(&mut d, &host, 80, 24).contains("^^ 30 of what? a unit is missing"));
    write(&mut d, &host, Item::For, "30s");
    assert!(!screen(&mut d, &host, 80, 24).contains("unit is missing"));
    assert!(d.reading.job.is_some());
}

#[test]
fn an_interface_in_the_target_overrides_the_choice() {
    let host = Host::new();
    let mut d = dialog(&host);
    write(&mut d, &host, Item::To, "239.1.1.1%eth1:5004");
    d.form.set_focus(Item::On);
    press(&mut d, &host, "<left>");
    let shown = screen(&mut d, &host, 80, 24);
    assert!(shown.contains("(•) eth1") && shown.contains("eth1 is named in the target"), "{shown}");
    assert_eq!(&*sent(press(&mut d, &host, "<enter>")).iface, "eth1");
}

#[test]
fn the_last_values_come_back_and_the_target_follows_the_selection() {
    let mut host = Host::new();
    let defaults = SendDefaults::default();
    let mut d = SendDialog::new(&host.ctx(), &defaults);
    press(&mut d, &host, "t<tab>hallo");
    write(&mut d, &host, Item::Count, "7");
    press(&mut d, &host, "<enter>");
    host.selected = None;
    let mut d = SendDialog::new(&host.ctx(), &defaults);
    assert_eq!(d.form.focus(), Item::To);
    press(&mut d, &host, "239.9.9.9:9%eth0");
    let job = sent(press(&mut d, &host, "<enter>"));
    assert_eq!(job.payload, Payload::Bytes(b"hallo"[..].into()));
    assert_eq!(job.to.to_string(), "239.9.9.9:9");
    assert!(matches!(job.plan, Plan::Steady { count: Some(7), .. }));
}

#[test]
fn without_a_row_one_of_several_interfaces_must_be_chosen() {
    let mut host = Host::new();
    host.selected = None;
    let mut d = dialog(&host);
    press(&mut d, &host, "239.9.9.9:9");
    assert_eq!(press(&mut d, &host, "<enter>"), Outcome::Consumed);
    assert_eq!(d.form.focus(), Item::On);
    assert!(screen(&mut d, &host, 80, 24).contains("several are up: choose one"));
    assert_eq!(&*sent(press(&mut d, &host, "<right><enter>")).iface, "eth1");
    // The one shown is taken by a second Enter; a target that names one needs no choice.
    let mut d = dialog(&host);
    assert_eq!(&*sent(press(&mut d, &host, "239.9.9.9:9<enter><enter>")).iface, "eth0");
    let mut d = dialog(&host);
    assert_eq!(&*sent(press(&mut d, &host, "[ff02::9%3]:9<enter>")).iface, "eth1");
    // With one candidate there is nothing to choose.
    let one = host.model.ifaces().iter().map(|i| i.iface.clone()).filter(|i| &*i.name != "eth0");
    host.set_ifaces(one.collect());
    let mut d = dialog(&host);
    assert_eq!(&*sent(press(&mut d, &host, "239.9.9.9:9<enter>")).iface, "eth1");
}

#[test]
fn each_hint_fits_its_line() {
    let host = Host::new();
    for field in dialog(&host).form.fields() {
        let width = unicode_width::UnicodeWidthStr::width(field.hint);
        assert!((1..=usize::from(WIDTH)).contains(&width), "{:?}: {}", field.key, field.hint);
    }
}

#[test]
fn it_looks_like_this() {
    let host = Host::new();
    let mut d = dialog(&host);
    insta::assert_snapshot!("send_80x24", screen(&mut d, &host, 80, 24));
    insta::assert_snapshot!("send_120x36", screen(&mut d, &host, 120, 36));
    write(&mut d, &host, Item::Dscp, "AF44");
    insta::assert_snapshot!("send_wrong_80x24", screen(&mut d, &host, 80, 24));
    write(&mut d, &host, Item::Dscp, "AF41");
    write(&mut d, &host, Item::Rate, "5k");
    d.form.set_focus(Item::Plan);
    insta::assert_snapshot!("send_guard_80x24", screen(&mut d, &host, 80, 24));
    press(&mut d, &host, "l");
    insta::assert_snapshot!("send_ladder_80x24", screen(&mut d, &host, 80, 24));
}

#[test]
fn it_draws_at_any_size_and_without_interfaces() {
    let mut host = Host::new();
    draw_at_all_sizes(&mut dialog(&host), &host);
    host.set_ifaces(Vec::new());
    let mut d = dialog(&host);
    assert_eq!(press(&mut d, &host, "<enter>"), Outcome::Consumed);
    draw(&mut d, &host, 80, 24);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_text_in_any_field_panics(text in "\\PC{0,40}|[0-9a-fx.:%@+\\[\\]\\\\ -]{0,24}", n in 0usize..21, size in (1u16..100, 1u16..40)) {
        let host = Host::new();
        let mut d = dialog(&host);
        let item = REMEMBERED[n];
        d.form.set_focus(item);
        d.paste(&text, &host.ctx());
        draw(&mut d, &host, size.0, size.1);
        d.form.set_focus(Item::To);
        press(&mut d, &host, "<c-u>");
        d.paste(&text, &host.ctx());
        draw(&mut d, &host, size.0, size.1);
        press(&mut d, &host, "<enter>");
    }
}
