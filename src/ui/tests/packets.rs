//! What keys do to packets, their fields and bytes.

use crate::base::group::MembershipId;
use crate::ui::action::Action;
use crate::ui::fixture::{Desk, rtp, steady, studio};

const AUDIO: MembershipId = MembershipId(0);

fn desk() -> Desk {
    Desk::new(studio(), 120, 36)
}

#[test]
fn enter_goes_from_group_to_stream_to_its_packets_to_their_bytes_and_esc_back() {
    let mut d = desk();
    d.keys("<enter>");
    assert!(d.marked("Sources of").contains("10.1.2.20"));
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
    let chosen = d.marked("Packets to");
    assert!(chosen.contains('◆'), "{chosen}");
    d.keys("jjjjM<home>f'");
    let newest = d.marked("Packets to");
    assert!(newest.contains('◆') && newest[20..] == chosen[20..], "{newest}\n{chosen}");
    d.keys("'");
    assert_ne!(d.marked("Packets to"), newest);
    d.keys("M''M'");
    d.expect("no packet of this group is marked");
}

#[test]
fn a_selected_packet_stays_while_new_ones_arrive_and_f_follows_again() {
    let mut d = desk();
    d.keys("3jjj");
    let chosen = d.marked("Packets to");
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
fn a_marked_packet_is_found_again_after_the_ring_forgot_it() {
    let mut d = Desk::new(studio(), 80, 24);
    d.keys("3jjM");
    let bytes = d.lines().into_iter().find(|l| l.contains("│ 0000  ")).unwrap();
    d.keys("f");
    let flood = steady(AUDIO, "10.1.2.99:1", 65_000, 75_000, 1, |_| vec![9; 1400]);
    d.world.feed(flood, 75_000);
    d.draw();
    d.expect("following");
    d.keys("'");
    d.expect("is forgotten, a copy is shown");
    d.expect(bytes.split("│ 0000").nth(1).unwrap());
}

#[test]
fn a_narrow_screen_names_the_field_that_is_lit_up() {
    let mut d = Desk::new(studio(), 80, 24);
    // The fields have no pane of their own here. The selected packet has the number 42 248.
    d.keys("3j");
    for _ in 0..7 {
        d.keys("n");
    }
    d.expect("· sequence number 42248");
    // It stays lit in the next packet of another sender, with the value that it has there.
    d.keys("j");
    d.expect("· sequence number ");
    assert!(!d.text().contains("· sequence number 42248"), "{}", d.text());
    d.keys("f");
    d.expect("following");
    d.expect("· sequence number ");
    // Another group's packets have other fields.
    d.keys("1<home>j3");
    assert!(!d.text().contains("· sequence number"), "{}", d.text());
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
