//! The filter line.

use crate::ui::fixture::{Desk, studio};

fn desk() -> Desk {
    Desk::new(studio(), 120, 36)
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
    assert!(d.marked("Groups").contains("239.1.1.1"));
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
fn the_hint_under_the_filter_is_whole_at_every_width() {
    for (width, height) in [(80, 24), (120, 36)] {
        let mut d = Desk::new(studio(), width, height);
        d.keys("/");
        d.expect("lost > 0");
        d.expect("↵ keeps, Esc forgets");
    }
}

#[test]
fn letters_are_text_while_the_filter_is_typed() {
    let mut d = desk();
    assert_eq!(d.keys("/qLs"), []);
    d.expect("match “qLs”");
}
