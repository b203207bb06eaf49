//! What keys and mouse do.

use crossterm::event::MouseEventKind;

use crate::base::group::MembershipId;
use crate::engine::command::Respond;
use crate::model::counter::{Choice, Counter};
use crate::ui::action::Action;
use crate::ui::fixture::{Desk, World, endpoint, steady, studio};

const AUDIO: MembershipId = MembershipId(0);
const FAILED: MembershipId = MembershipId(4);

fn desk() -> Desk {
    Desk::new(studio(), 120, 36)
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
    d.expect("the join of this group did not fail");
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
    assert!(d.marked("Groups").contains("239.255.0.17"));
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
    assert!(d.marked("Groups").contains("239.255.0.17"), "{}", d.text());
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
    assert!(d.marked("Sources of").contains("10."), "{}", d.text());
    d.keys("<home><down><down>");
    assert!(d.marked("Sources of").contains(":9"));
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
