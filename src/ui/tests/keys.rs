//! What keys and mouse do.

use crossterm::event::MouseEventKind;

use crate::base::group::MembershipId;
use crate::engine::command::Respond;
use crate::model::counter::{Choice, Counter};
use crate::ui::action::Action;
use crate::ui::fixture::{Desk, World, endpoint, rtp, steady, studio};

const AUDIO: MembershipId = MembershipId(0);
const FAILED: MembershipId = MembershipId(4);

fn desk() -> Desk {
    Desk::new(studio(), 120, 36)
}

/// The line that holds the selection mark of the pane that begins with this title.
fn marked(d: &Desk, title: &str) -> String {
    let lines = d.lines();
    let from =
        lines.iter().position(|l| l.contains(title)).unwrap_or_else(|| panic!("{title}:\n{}", d.text()));
    let line = lines[from..].iter().find(|l| l.contains('▌'));
    line.unwrap_or_else(|| panic!("no mark under {title}:\n{}", d.text())).clone()
}

#[test]
fn keys_become_actions_on_the_selected_group() {
    let mut d = desk();
    assert_eq!(d.keys("s"), [Action::SendTest(AUDIO)]);
    assert_eq!(d.keys("L"), [Action::Leave(vec![AUDIO])]);
    d.expect("u brings it back");
    assert_eq!(d.keys("u"), [Action::Undo]);
    assert_eq!(d.keys("r"), [Action::Respond(AUDIO, Respond::Probes)]);
    assert_eq!(d.keys("x"), [Action::Reset(Some(AUDIO))]);
    assert_eq!(d.keys("X"), [Action::Reset(None)]);
    assert_eq!(d.keys("c"), [Action::Copy("239.1.1.1%eth0:5004".into())]);
    assert_eq!(d.keys("jjjjt"), [Action::Retry(FAILED)]);
    assert_eq!(d.keys("c"), [Action::Copy("bring the interface up: ip link set eth2 up".into())]);
    assert_eq!(
        d.keys("<ctrl-z><ctrl-l>q<ctrl-c>"),
        [Action::Suspend, Action::Redraw, Action::Quit, Action::Quit]
    );
}

#[test]
fn what_does_not_work_here_says_so_and_does_nothing() {
    let mut d = desk();
    assert_eq!(d.keys("t"), []);
    d.expect("nothing to do that to here");
    assert_eq!(d.keys("b"), []);
    let mut d = Desk::new(World::new(), 80, 24);
    assert_eq!(d.keys("sLrxSb<enter>"), []);
    d.keys("j");
    assert!(!d.lines()[23].contains("leave"), "{}", d.text());
    assert!(d.lines()[23].contains("J join"));
}

#[test]
fn a_source_is_blocked_and_let_through_again() {
    let mut d = desk();
    let ip = "10.1.2.20".parse().unwrap();
    assert_eq!(d.keys("<enter>b"), [Action::Block(AUDIO, ip)]);
    let mut m = (*d.world.model.group(AUDIO).unwrap().membership).clone();
    m.filter = crate::base::group::SourceFilter::Exclude(vec![ip]);
    d.world.model.filter_changed(AUDIO, m.into(), "blocked".into(), crate::ui::fixture::at(65_000));
    assert_eq!(d.keys("b"), [Action::Unblock(AUDIO, ip)]);
    d.expect("⊘ 10.1.2.20:5004");
    d.resize(200, 60);
    d.expect("RTP audio · without 10.1.2.20");
}

#[test]
fn the_selection_stays_with_its_group_when_the_order_changes() {
    let mut d = desk();
    d.keys("j");
    assert!(marked(&d, "Groups").contains("239.255.0.17"));
    // Turned around, that row stands elsewhere and is still the selected one.
    d.keys("o");
    assert!(marked(&d, "Groups").contains("239.255.0.17"), "{}", d.text());
    d.expect("Sources of 239.255.0.17:9999");
    // Sorted by port the first row is another.
    d.keys("o<<<<<<<");
    assert!(marked(&d, "Groups").contains("239.255.0.17"), "{}", d.text());
}

#[test]
fn a_group_that_is_left_gives_the_selection_to_another() {
    let mut d = desk();
    d.world.model.left(AUDIO, crate::ui::fixture::at(65_000));
    d.draw();
    assert!(marked(&d, "Groups").contains("239.255.0.17"), "{}", d.text());
}

#[test]
fn every_column_can_be_sorted_by_both_ways() {
    let mut d = Desk::new(studio(), 200, 60);
    let first = |d: &Desk| d.lines()[4].clone();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..15 {
        d.keys(">");
        let a = first(&d);
        seen.insert(d.lines()[2].clone());
        d.keys("o");
        let b = first(&d);
        d.keys("o");
        assert!(a.len() > 10 && b.len() > 10);
    }
    assert_eq!(seen.len(), 15, "each column says that it is sorted by");
    // By group address, ascending.
    let mut d = Desk::new(studio(), 120, 36);
    d.click(6, 3);
    d.expect("sorted by group ▾");
    d.click(6, 3);
    d.expect("sorted by group ▴");
    assert!(d.lines()[4].contains("239.1.1.1"), "{}", d.text());
}

#[test]
fn enter_goes_from_group_to_stream_to_its_packets_to_their_bytes_and_esc_back() {
    let mut d = desk();
    d.keys("<enter>");
    assert!(marked(&d, "Sources of").contains("10.1.2.20"));
    d.keys("j<enter>");
    d.expect("● 10.1.2.21:5004 (cam-b.local) to 239.1.1.1:5004 on eth0");
    d.expect("24 lost between sender and this host; nothing was dropped here");
    d.keys("<enter>");
    d.expect("Packets of 10.1.2.21:5004 to 239.1.1.1:5004");
    let packets = d.lines()[2..18].join("\n");
    assert!(packets.contains("10.1.2.21") && !packets.contains("10.1.2.20:"), "{packets}");
    d.keys("j<enter>");
    d.expect("Bytes of 16:01:04.940 000");
    d.expect("Fields");
    d.keys("<esc>");
    d.expect("Last minute");
    d.keys("<esc>");
    d.expect("╭ Groups");
    d.expect("Packets to 239.1.1.1:5004");
}

#[test]
fn fields_are_jumped_through_lit_up_and_copied() {
    let mut d = desk();
    d.keys("3j");
    // Version and what follows it stand in the first byte, the number in the third and fourth.
    d.keys("n");
    let all = d.keys("C");
    assert!(matches!(&all[..], [Action::Copy(t)] if t.len() == 2), "{all:?}");
    let mut seen = Vec::new();
    for _ in 0..12 {
        seen.extend(d.keys("nC"));
    }
    // The selected packet has the number 42 248.
    assert!(seen.contains(&Action::Copy("a5 08".into())), "{seen:?}");
    assert_eq!(d.keys("nNC"), [seen.last().unwrap().clone()]);
    // Without a field the whole payload is copied; as text it is made visible.
    let mut d = desk();
    d.keys("1j3j");
    let hex = d.keys("C");
    assert!(
        matches!(&hex[..], [Action::Copy(t)] if t.starts_with("6f 75 72 73") || t.starts_with("68 65 6c 6c 6f")),
        "{hex:?}"
    );
    let text = d.keys("<enter>c");
    assert!(matches!(&text[..], [Action::Copy(t)] if t.contains("hello") && t.contains('␛')), "{text:?}");
}

#[test]
fn the_difference_to_the_packet_before_is_shown_on_request() {
    use ratatui::style::Style;
    let mut d = desk();
    d.keys("1j3jjjj");
    d.expect("D: difference to the packet before");
    d.keys("D");
    // "hello 9 …" to "hello 10 …": the number.
    let line = d.lines().into_iter().find(|l| l.contains("differ from the packet before")).unwrap();
    let n: usize =
        line.split("differ").next().unwrap().split_whitespace().rev().nth(3).unwrap().parse().unwrap();
    assert!((1..=3).contains(&n), "{line}");
    let silent = Style::new().patch(d.theme.silent).fg.unwrap();
    let y = d.lines().iter().position(|l| l.contains("│ 0000  ")).unwrap() as u16;
    let row: Vec<u16> = (0..120).filter(|&x| d.buffer()[(x, y)].fg == silent).collect();
    assert_eq!(row.len(), 3 * n, "two digits and a character each: {row:?}");
    d.keys("D");
    d.expect("D: difference");
    // The first packet of a source has none before it.
    d.keys("<end>D");
    d.expect("no packet before it is kept");
}

#[test]
fn packets_are_marked_and_found_again() {
    let mut d = desk();
    d.keys("3jjM");
    let chosen = marked(&d, "Packets to");
    assert!(chosen.contains('◆'), "{chosen}");
    d.keys("jjjjM<home>f'");
    let newest = marked(&d, "Packets to");
    assert!(newest.contains('◆') && newest[20..] == chosen[20..], "{newest}\n{chosen}");
    d.keys("'");
    assert_ne!(marked(&d, "Packets to"), newest);
    d.keys("M''M'");
    d.expect("no packet of this group is marked");
}

#[test]
fn a_stream_can_be_taken_for_another_protocol() {
    let mut d = desk();
    let from = endpoint("10.1.2.20:5004");
    d.keys("<enter>P");
    d.expect("What 10.1.2.20:5004 is");
    d.expect("RTP, certain");
    d.expect("version 2 and an RTP payload type");
    d.expect("counts by the protocol's own");
    assert_eq!(d.keys("mpeg<enter>"), [Action::SetProtocol(AUDIO, from, Some("mpegts"))]);
    d.world.model.set_protocol(AUDIO, from, crate::wire::by_id("mpegts"));
    d.keys("<enter>");
    d.expect("you say so");
    assert_eq!(d.keys("P<enter>"), [Action::SetProtocol(AUDIO, from, None)]);
    d.keys("Pzzz<enter>");
    d.expect("no protocol of that name");
}

#[test]
fn the_counter_of_a_stream_can_be_named_switched_off_and_left_to_be_found() {
    let mut d = desk();
    let from = endpoint("10.1.2.20:5004");
    d.keys("<enter>Pseq:2:2");
    // RTP's own counter: the last of the fixture's 2500 datagrams from 41000 on.
    d.expect("2 bytes at 2, big endian · now 43 499");
    let counter = Counter { offset: 2, width: 2, little_endian: false, step: 1 };
    assert_eq!(d.keys("<enter>"), [Action::ChooseCounter(AUDIO, from, Choice::At(counter))]);
    d.world.model.choose_counter(AUDIO, from, Choice::At(counter));
    d.keys("P");
    d.expect("2 bytes at 2, big endian, named by you");
    d.keys("seq:2:9");
    d.expect("the width is 1 to 8 bytes");
    assert_eq!(d.keys("<enter>"), [], "what is wrong cannot be taken");
    d.keys("<esc>Pseq:400:4");
    d.expect("no payload is so long");
    assert_eq!(d.keys("<esc>Pseq:o<enter>"), [Action::ChooseCounter(AUDIO, from, Choice::Off)]);
    d.world.model.choose_counter(AUDIO, from, Choice::Off);
    d.keys("<enter>");
    d.expect("counter switched off by you");
    assert_eq!(d.keys("Pauto<enter>"), [Action::ChooseCounter(AUDIO, from, Choice::Find)]);
}

#[test]
fn the_stream_under_the_cursor_is_the_one_looked_at() {
    let mut d = desk();
    d.keys("<enter>");
    assert_eq!(d.screen.looked_at(), Some((AUDIO, endpoint("10.1.2.20:5004"))));
    d.keys("j");
    assert_eq!(d.screen.looked_at(), Some((AUDIO, endpoint("10.1.2.21:5004"))));
}

#[test]
fn the_stream_view_steps_through_the_senders_and_shows_only_their_events() {
    let mut d = desk();
    d.keys("2");
    d.expect("stream 1 of 2");
    d.keys("j");
    d.expect("stream 2 of 2");
    d.expect("◆ marking changed");
    d.keys("k");
    d.expect("● 10.1.2.20:5004 (cam-a.local)");
    d.expect("no number is missing");
    d.expect_not("◆ marking changed");
    // A payload without a counter has no losses that could be seen: a dash and the words for it.
    d.keys("1j2");
    d.expect("to 239.255.0.17:9999");
    d.expect("no counter is known in this payload");
    // Nobody sends here.
    d.keys("1jjj2");
    d.expect("nobody has sent to 239.3.3.3:319 on eth2");
}

#[test]
fn a_selected_packet_stays_while_new_ones_arrive_and_f_follows_again() {
    let mut d = desk();
    d.keys("3jjj");
    let chosen = marked(&d, "Packets to");
    let line = d.lines().iter().position(|l| *l == chosen);
    d.world.feed(steady(AUDIO, "10.1.2.20:5004", 65_000, 66_000, 20, |n| rtp(n + 2500, 0x5a01, 300)), 66_000);
    d.draw();
    assert_eq!(d.lines().iter().position(|l| *l == chosen), line, "{}", d.text());
    d.expect("standing still");
    d.keys("f");
    d.expect("following");
    assert!(d.lines()[4].contains("16:01:05.980 000"), "{}", d.text());
}

#[test]
fn a_packet_that_the_ring_forgot_can_still_be_read() {
    let mut d = desk();
    d.keys("3jj");
    let bytes: Vec<String> = d.lines().iter().filter(|l| l.contains("│ 0000  ")).cloned().collect();
    let flood = steady(AUDIO, "10.1.2.99:1", 65_000, 75_000, 1, |_| vec![9; 1400]);
    d.world.feed(flood, 75_000);
    d.draw();
    d.expect("is forgotten, a copy is shown");
    assert!(!bytes.is_empty());
    for line in bytes {
        d.expect(line.split("│ 0000").nth(1).unwrap());
    }
}

#[test]
fn list_fields_and_bytes_scroll_on_their_own() {
    let mut d = desk();
    d.keys("3jj<tab><tab>jjj");
    d.expect("4–17 of 21 rows");
    d.expect("1–14 of 21 ");
    // A field that lies elsewhere brings its bytes into view, once.
    d.keys("<tab><tab>j");
    d.expect("1–14 of 21 rows");
    d.keys("<tab>jj<tab><tab><tab>");
    d.expect("3–16 of 21 rows");
}

#[test]
fn the_filter_narrows_as_it_is_typed_and_esc_forgets_it() {
    let mut d = desk();
    d.keys("/mdn");
    d.expect("1 of 6 match “mdn”");
    d.keys("<esc>");
    d.expect_not("match");
    d.keys("/eth0 RTP<enter>");
    d.expect("1 of 6 match");
    assert!(marked(&d, "Groups").contains("239.1.1.1"));
    d.keys("<esc>");
    d.expect_not("match");
}

#[test]
fn the_filter_narrows_sources_packets_and_events() {
    let mut d = desk();
    d.keys("/cam-b<enter>");
    assert!(d.text().contains("10.1.2.21:5004") && !d.text().contains("10.1.2.20:5004"), "{}", d.text());
    d.keys("<esc>/stage<enter>");
    d.expect("nothing here matches");
    let mut d = desk();
    d.keys("j3/hello 12<space>stage<enter>");
    let rows = d.lines().iter().filter(|l| l.contains(" hello ") && l.contains("10.1.2.30")).count();
    assert!(rows >= 10 && d.lines().iter().all(|l| !l.contains("hello 99")), "{}", d.text());
    let mut d = desk();
    d.keys("6/marking<enter>");
    let body = d.lines()[3..34].join("\n");
    assert!(body.contains("DSCP changed") && !body.contains("joined"), "{body}");
}

#[test]
fn a_filter_compares_and_what_it_looked_for_in_payloads_is_lit_up() {
    let mut d = desk();
    d.keys("/lost > 0 or ttl 255<enter>");
    d.expect("2 of 6 match");
    d.keys("<esc>/lost > 0<enter>");
    d.expect("1 of 6 match");
    assert!(d.text().contains("10.1.2.21:5004") && !d.text().contains("10.1.2.20:5004"), "{}", d.text());
    let mut d = desk();
    d.keys("3/source cam-b not dscp EF<enter>");
    let rows: Vec<String> = d.lines()[4..17].to_vec();
    assert!(rows.iter().all(|l| l.contains("10.1.2.21")), "{rows:#?}");
}

#[test]
fn a_filter_that_cannot_be_read_says_where_and_the_last_one_stays() {
    let mut d = desk();
    d.keys("/lost > 0");
    d.expect("1 of 6 match");
    d.keys(" and sise > 5");
    // As long as it could be read, it was a word that nothing has.
    d.expect("0 of 6 match “lost > 0 and sise”");
    let lines = d.lines();
    assert_eq!(lines[34], " /lost > 0 and sise > 5", "{}", d.text());
    assert!(lines[35].starts_with("               ^^^^ this is no property"), "{}", lines[35]);
    assert!(lines[35].contains("size"), "{}", lines[35]);
    d.keys("<enter>");
    d.expect("^^^^");
    d.keys("<esc>");
    d.expect_not("match");
    d.expect_not("^^^^");
}

#[test]
fn letters_are_text_while_the_filter_is_typed() {
    let mut d = desk();
    assert_eq!(d.keys("/qLs"), []);
    d.expect("match “qLs”");
}

#[test]
fn dialogs_take_the_keys_until_they_close() {
    let mut d = desk();
    assert_eq!(d.keys("J"), []);
    d.expect("<the join dialog>");
    assert_eq!(d.keys("qL"), []);
    d.keys("<esc>");
    d.expect_not("<the join dialog>");
    d.keys("+");
    d.expect("<the join dialog>");
    assert_eq!(d.keys("<ctrl-c>"), [Action::Quit]);
    d.keys("<esc>S");
    d.expect("<the send dialog for 0>");
}

#[test]
fn the_palette_runs_any_action_by_its_name() {
    let mut d = desk();
    d.keys(":view-ev<enter>");
    d.expect("╭ Events");
    assert_eq!(d.keys(":quit<enter>"), [Action::Quit]);
    d.keys(":nonsense");
    d.expect("no action of that name");
}

#[test]
fn help_has_what_works_here_first() {
    let mut d = Desk::new(studio(), 200, 60);
    d.keys("?");
    let text = d.text();
    let place = |what: &str| text.find(what).unwrap_or_else(|| panic!("{what}:\n{text}"));
    assert!(place("leave the selected group") < place("Not here"));
    // The list is longer than the screen.
    d.keys("<end>");
    let text = text + &d.text();
    d.keys("<esc>");
    d.expect_not("What works here");
    for b in crate::ui::keys::table() {
        assert!(text.contains(b.help), "help lacks {}", b.name);
    }
}

#[test]
fn columns_can_be_taken_away_and_come_back() {
    let mut d = desk();
    let head = |d: &Desk| d.lines()[3].clone();
    assert!(head(&d).contains("PORT"));
    d.keys("wj<space><esc>");
    assert!(!head(&d).contains("PORT") && head(&d).contains("GROUP"), "{}", d.text());
    d.keys("wj<space><esc>");
    assert!(head(&d).contains("PORT"));
    // What a row is cannot be taken away.
    d.keys("w<space><esc>");
    assert!(head(&d).contains("GROUP"));
}

#[test]
fn zoom_gives_a_pane_the_whole_screen() {
    let mut d = desk();
    d.keys("<tab><tab>z");
    d.expect_not("╭ Groups");
    assert!(d.lines()[2].starts_with("╭ Packets"), "{}", d.text());
    d.keys("<esc>");
    d.expect("╭ Groups");
}

#[test]
fn the_mouse_selects_scrolls_and_changes_views() {
    let mut d = desk();
    let row = |d: &Desk, what: &str| d.lines().iter().position(|l| l.contains(what)).unwrap() as u16;
    let y = row(&d, "239.255.0.17");
    d.click(20, y);
    assert!(marked(&d, "Groups").contains("239.255.0.17"));
    d.mouse(MouseEventKind::ScrollDown, 20, 30);
    d.expect("standing still");
    let events = d.lines()[1].find("6 Events").unwrap() as u16;
    d.click(events + 2, 1);
    d.expect("╭ Events");
}

#[test]
fn names_are_asked_for_once_and_not_too_many_at_a_time() {
    let mut d = desk();
    d.asks();
    d.keys("j");
    // This host's own name need not be asked for.
    assert_eq!(d.asks(), [Action::Resolve("10.1.2.30".parse().unwrap())]);
    d.draw();
    assert_eq!(d.asks(), []);
    let mut w = World::new();
    let id = w.join("239.1.1.1:5004", "eth0", None);
    let crowd = (0..40u64).flat_map(|i| steady(id, &format!("10.0.0.{i}:9"), 10 + i, 11 + i, 1, |_| vec![1]));
    w.feed(crowd.collect(), 1_000);
    let mut d = Desk::new(w, 120, 60);
    d.keys("<tab>z");
    d.draw();
    let first = d.asks().len();
    assert!((1..=16).contains(&first), "{first}");
    d.world.to(2_000);
    d.draw();
    assert!(!d.asks().is_empty(), "the others come in the next second");
}

#[test]
fn names_show_as_soon_as_they_are_known() {
    let mut d = desk();
    d.keys("j");
    d.expect_not("stage-box.local");
    d.names.insert(endpoint("10.1.2.30:1").ip, Some("stage-box.local".into()));
    d.draw();
    d.expect("stage-box.local");
}

#[test]
fn a_terminal_that_shrinks_and_grows_keeps_its_place() {
    let mut d = desk();
    d.keys("j<tab><tab>j");
    d.resize(79, 20);
    d.expect("this terminal has 79 and 20");
    d.resize(80, 24);
    d.resize(200, 60);
    assert!(marked(&d, "Groups").contains("239.255.0.17"), "{}", d.text());
    d.expect("standing still");
}

#[test]
fn a_hundred_thousand_sources_stay_usable() {
    let mut w = World::new();
    let id = w.join("239.1.1.1:5004", "eth0", None);
    let crowd = (0..100_000u64).flat_map(|i| {
        let from = format!("10.{}.{}.{}:9", i >> 16 & 255, i >> 8 & 255, i & 255);
        steady(id, &from, 10 + i / 200, 11 + i / 200, 1, |_| vec![1; (1 + i % 7) as usize])
    });
    w.feed(crowd.collect(), 1_000);
    let mut d = Desk::new(w, 120, 36);
    d.keys("<tab>");
    d.keys("<end>");
    assert!(marked(&d, "Sources of").contains("10."), "{}", d.text());
    d.keys("<home><down><down>");
    assert!(marked(&d, "Sources of").contains(":9"));
}

#[test]
fn a_message_gives_the_footer_back_by_itself_or_at_the_next_key() {
    let mut d = desk();
    d.keys("s");
    assert!(d.lines()[35].contains("sending a test message to 239.1.1.1:5004 by eth0"));
    d.world.to(70_000);
    d.draw();
    d.expect("sending a test message");
    d.world.to(74_000);
    d.draw();
    assert!(d.lines()[35].contains("J join"), "{}", d.text());
    d.keys("sj");
    assert!(d.lines()[35].contains("J join"), "{}", d.text());
}
