use proptest::prelude::*;
use ratatui::style::Modifier;

use super::*;
use crate::base::group::SourceFilter;
use crate::base::registry::Row;
use crate::ui::dialog::testing::{Host, closed, draw, draw_at_all_sizes, membership, press, screen};

fn dialog(host: &Host, prefill: &str) -> JoinDialog {
    JoinDialog::new(&host.ctx(), prefill)
}

fn join(memberships: Vec<Membership>, typed: &str, keep: bool) -> Vec<Action> {
    vec![Action::Join { memberships, typed: typed.to_owned(), keep }]
}

/// The row of the screen that holds this.
fn row_with<'s>(shown: &'s str, what: &str) -> &'s str {
    shown.lines().find(|l| l.contains(what)).unwrap_or_else(|| panic!("no {what} in\n{shown}"))
}

#[test]
fn a_typed_group_is_joined_on_all_candidates() {
    let host = Host::new();
    let mut d = dialog(&host, "");
    let actions = closed(press(&mut d, &host, "239.2.2.2:9999<enter>"));
    let rows = vec![membership("239.2.2.2", 9999, "eth0"), membership("239.2.2.2", 9999, "eth1")];
    assert_eq!(actions, join(rows, "239.2.2.2:9999", false));
}

#[test]
fn the_interface_chosen_and_the_box_ticked_count() {
    let host = Host::new();
    let mut d = dialog(&host, "");
    // From "all that are up" to eth1, then to the box.
    let actions = closed(press(&mut d, &host, "239.2.2.2:9999<tab><left><tab><space><enter>"));
    let rows = vec![membership("239.2.2.2", 9999, "eth1")];
    assert_eq!(actions, join(rows, "239.2.2.2%eth1:9999", true));
}

#[test]
fn an_interface_that_is_no_candidate_can_still_be_chosen() {
    let host = Host::new();
    let mut d = dialog(&host, "239.2.2.2:9999");
    press(&mut d, &host, "<tab>d");
    let shown = screen(&mut d, &host, 80, 24);
    assert!(shown.contains("(•) docker0"), "{shown}");
    assert!(shown.contains("docker0 is a container bridge: joined only because it was named"), "{shown}");
    let actions = closed(press(&mut d, &host, "<enter>"));
    assert_eq!(
        actions,
        join(vec![membership("239.2.2.2", 9999, "docker0")], "239.2.2.2%docker0:9999", false)
    );
}

#[test]
fn an_interface_in_the_text_overrides_the_choice_and_is_shown() {
    let host = Host::new();
    let mut d = dialog(&host, "");
    press(&mut d, &host, "239.2.2.2:9999<tab><home><s-tab><end>%eth1");
    let shown = screen(&mut d, &host, 80, 24);
    assert!(row_with(&shown, "eth0").contains("(•) eth1"), "{shown}");
    assert!(shown.contains("the group names it: %eth1"), "{shown}");
    // Choosing another one beside it changes nothing.
    press(&mut d, &host, "<tab><left>");
    let actions = closed(press(&mut d, &host, "<enter>"));
    assert_eq!(actions, join(vec![membership("239.2.2.2", 9999, "eth1")], "239.2.2.2:9999%eth1", false));
}

#[test]
fn source_specific_joins_say_so_and_ssm_without_a_source_too() {
    let host = Host::new();
    let mut d = dialog(&host, "");
    press(&mut d, &host, "10.1.2.20@232.1.1.1:5004%eth0");
    let shown = screen(&mut d, &host, 80, 24);
    assert!(shown.contains("source-specific: only 10.1.2.20 · 232/8 is the SSM range"), "{shown}");
    assert!(shown.contains("Will join (10.1.2.20, 232.1.1.1) port 5004 on eth0"), "{shown}");
    let mut wanted = membership("232.1.1.1", 5004, "eth0");
    wanted.filter = SourceFilter::Include(vec!["10.1.2.20".parse().unwrap()]);
    assert_eq!(
        closed(press(&mut d, &host, "<enter>")),
        join(vec![wanted], "10.1.2.20@232.1.1.1:5004%eth0", false)
    );
    let shown = screen(&mut dialog(&host, "232.1.1.1:5004"), &host, 80, 24);
    assert!(shown.contains("a join without a source"), "{shown}");
}

#[test]
fn a_wrong_part_is_marked_while_typing_and_a_beginning_is_not() {
    let host = Host::new();
    let mut d = dialog(&host, "");
    for c in "234.2.2.25".chars() {
        press(&mut d, &host, &c.to_string());
        assert!(!screen(&mut d, &host, 80, 24).contains('^'), "at {c}");
    }
    press(&mut d, &host, "<bs>99");
    let shown = screen(&mut d, &host, 80, 24);
    let lines: Vec<&str> = shown.lines().collect();
    let at = lines.iter().position(|l| l.contains("234.2.2.299")).unwrap();
    let text = lines[at].chars().collect::<Vec<_>>();
    let mark = lines[at + 1].chars().collect::<Vec<_>>();
    let from = mark.iter().position(|c| *c == '^').unwrap();
    assert_eq!(text[from..from + 3], ['2', '9', '9']);
    let buf = draw(&mut d, &host, 80, 24);
    for x in 0..80 {
        let cell = &buf[(x, at as u16)];
        let marked = (from..from + 3).contains(&usize::from(x));
        assert_eq!(cell.modifier.contains(Modifier::UNDERLINED), marked, "column {x}");
    }
    assert!(lines[at + 1].contains("^^^ an IPv4 number goes up to 255"), "{shown}");
    assert_eq!(press(&mut d, &host, "<enter>"), Outcome::Consumed);
    assert_eq!(press(&mut d, &host, "<esc>"), Outcome::Close(vec![]));
}

#[test]
fn a_missing_port_is_asked_for_with_the_usual_ones() {
    let host = Host::new();
    let mut d = dialog(&host, "");
    press(&mut d, &host, "239.255.255.250");
    let shown = screen(&mut d, &host, 80, 24);
    assert!(
        shown.contains("the port is missing") && shown.contains("1900") && shown.contains("3702"),
        "{shown}"
    );
    // Not an error while the cursor is there, one when Enter asks for it.
    assert!(!shown.contains('^'), "{shown}");
    assert_eq!(press(&mut d, &host, "<enter>"), Outcome::Consumed);
    assert!(screen(&mut d, &host, 80, 24).contains("^ the port is missing"));
    let actions = closed(press(&mut d, &host, ":1900%eth0<enter>"));
    assert_eq!(
        actions,
        join(vec![membership("239.255.255.250", 1900, "eth0")], "239.255.255.250:1900%eth0", false)
    );
}

#[test]
fn known_groups_complete_by_tab_by_right_and_by_picking() {
    let host = Host::new();
    for keys in ["ssd<tab>", "ssd<right>", "ssd<down><enter>", "ssd<down><tab>"] {
        let mut d = dialog(&host, "");
        press(&mut d, &host, keys);
        assert_eq!(d.form.text(Item::Group), "ssdp", "{keys}");
        assert_eq!(d.form.focus(), Item::Group, "{keys}");
    }
    // What was joined before comes first; Up leaves the list again.
    let mut d = dialog(&host, "");
    press(&mut d, &host, "<down><down><up><enter>");
    assert_eq!(d.form.text(Item::Group), "239.7.7.7:5004%eth1");
    let actions = closed(press(&mut d, &host, "<enter>"));
    assert_eq!(actions, join(vec![membership("239.7.7.7", 5004, "eth1")], "239.7.7.7:5004%eth1", false));
    // What is right already is not completed away: Tab goes on.
    let mut d = dialog(&host, "");
    press(&mut d, &host, "mdns<tab>");
    assert_eq!((d.form.text(Item::Group), d.form.focus()), ("mdns", Item::On));
}

#[test]
fn every_known_group_that_is_offered_can_be_joined() {
    let host = Host::new();
    let registry = Registry::builtin();
    let names: Vec<&Row> = registry.rows().iter().filter(|r| r.is_joinable()).collect();
    for row in names {
        for entry in known(&row.id, &[], registry).into_iter().chain(known(&row.name, &[], registry)) {
            let d = dialog(&host, &entry.text);
            assert!(!d.rows.is_empty(), "{} is offered for {}", entry.text, row.id);
        }
    }
}

#[test]
fn what_is_joined_already_is_said_and_not_joined_again() {
    let host = Host::new();
    let mut d = dialog(&host, "239.1.1.1:5004");
    let shown = screen(&mut d, &host, 80, 24);
    assert!(row_with(&shown, "port 5004 on eth0").contains("joined already"), "{shown}");
    let rows = vec![membership("239.1.1.1", 5004, "eth1")];
    assert_eq!(closed(press(&mut d, &host, "<enter>")), join(rows, "239.1.1.1:5004", false));
    // All of it is: Enter says so and stays.
    let mut d = dialog(&host, "239.1.1.1:5004%eth0");
    assert_eq!(press(&mut d, &host, "<enter>"), Outcome::Consumed);
    assert!(screen(&mut d, &host, 80, 24).contains("Joined already: (*, 239.1.1.1) port 5004 on eth0"));
}

#[test]
fn a_row_that_failed_is_tried_again_instead_of_joined_twice() {
    let mut host = Host::new();
    let now = host.model.now();
    host.model.failed(MembershipId(0), "cannot join".to_owned(), None, now);
    let mut d = dialog(&host, "239.1.1.1:5004%eth0");
    let shown = screen(&mut d, &host, 80, 24);
    assert!(shown.contains("failed, is tried again"), "{shown}");
    assert_eq!(closed(press(&mut d, &host, "<enter>")), vec![Action::Retry(MembershipId(0))]);
}

#[test]
fn ranges_are_previewed_in_part_and_joined_whole() {
    let host = Host::new();
    let mut d = dialog(&host, "239.5.0.0+18%eth0:5004");
    let shown = screen(&mut d, &host, 80, 24);
    assert!(
        shown.contains("Will join (*, 239.5.0.0) port 5004 on eth0") && shown.contains("and 14 more"),
        "{shown}"
    );
    match &closed(press(&mut d, &host, "<enter>"))[..] {
        [Action::Join { memberships, .. }] => assert_eq!(memberships.len(), 18),
        other => panic!("{other:?}"),
    }
}

#[test]
fn pasted_urls_are_understood() {
    let host = Host::new();
    let mut d = dialog(&host, "");
    d.paste("udp://@239.3.3.3:1234\n", &host.ctx());
    let rows = vec![membership("239.3.3.3", 1234, "eth0"), membership("239.3.3.3", 1234, "eth1")];
    assert_eq!(closed(press(&mut d, &host, "<enter>")), join(rows, "udp://@239.3.3.3:1234", false));
}

#[test]
fn interfaces_that_come_later_are_offered() {
    let mut host = Host::new();
    let all: Vec<Iface> = host.model.ifaces().iter().map(|i| i.iface.clone()).collect();
    host.set_ifaces(Vec::new());
    let mut d = dialog(&host, "239.2.2.2:9999");
    assert_eq!(press(&mut d, &host, "<enter>"), Outcome::Consumed);
    host.set_ifaces(all.into_iter().filter(|i| &*i.name != "eth1").collect());
    let shown = screen(&mut d, &host, 80, 24);
    assert!(
        shown.contains("(•) eth0") && shown.contains("Will join (*, 239.2.2.2) port 9999 on eth0"),
        "{shown}"
    );
}

#[test]
fn other_keys_end_and_suspend_but_nothing_below_sees_a_letter() {
    let host = Host::new();
    let mut d = dialog(&host, "");
    assert_eq!(press(&mut d, &host, "<c-c>"), Outcome::Passed);
    assert_eq!(press(&mut d, &host, "q"), Outcome::Consumed);
    assert_eq!(d.form.text(Item::Group), "q");
}

#[test]
fn it_looks_like_this() {
    let host = Host::new();
    for (name, text) in [
        ("empty", ""),
        ("ssm", "10.1.2.20@232.1.1.1:5004"),
        ("wrong", "234.2.2.299"),
        ("begun", "ssd"),
        ("range", "239.5.0.0+18:5004"),
    ] {
        let mut d = dialog(&host, text);
        insta::assert_snapshot!(format!("join_{name}_80x24"), screen(&mut d, &host, 80, 24));
        insta::assert_snapshot!(format!("join_{name}_120x36"), screen(&mut d, &host, 120, 36));
    }
}

#[test]
fn it_draws_at_any_size() {
    let host = Host::new();
    for text in ["", "239.5.0.0+18:5004", "234.2.2.299", "mdns"] {
        draw_at_all_sizes(&mut dialog(&host, text), &host);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn no_text_panics(text in "\\PC{0,40}|[0-9a-f.:%@+,\\[\\]a-z/-]{0,24}|.{0,12}", size in (1u16..100, 1u16..40)) {
        let host = Host::new();
        let mut d = dialog(&host, &text);
        draw(&mut d, &host, size.0, size.1);
        d.paste(&text, &host.ctx());
        press(&mut d, &host, "<down><up><right><tab><tab><left>");
        draw(&mut d, &host, size.0, size.1);
        press(&mut d, &host, "<enter>");
    }
}
