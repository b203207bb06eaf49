//! Tables: their order, their columns, the selected row.

use crate::base::group::MembershipId;
use crate::ui::action::Action;
use crate::ui::fixture::{Desk, studio};

const AUDIO: MembershipId = MembershipId(0);

fn desk() -> Desk {
    Desk::new(studio(), 120, 36)
}

#[test]
fn the_selection_stays_with_its_group_when_the_order_changes() {
    let mut d = desk();
    d.keys("j");
    assert!(d.marked("Groups").contains("239.255.0.17"));
    // Turned around, that row stands elsewhere and is still the selected one.
    d.keys("o");
    assert!(d.marked("Groups").contains("239.255.0.17"), "{}", d.text());
    d.expect("Sources of 239.255.0.17:9999");
    // Sorted by port the first row is another.
    d.keys("o<<<<<<<");
    assert!(d.marked("Groups").contains("239.255.0.17"), "{}", d.text());
}

#[test]
fn a_group_that_is_left_gives_the_selection_to_another() {
    let mut d = desk();
    d.world.model.left(AUDIO, crate::ui::fixture::at(65_000));
    d.draw();
    assert!(d.marked("Groups").contains("239.255.0.17"), "{}", d.text());
}

#[test]
fn also_on_views_without_the_table_of_groups() {
    for view in ["4", "5", "6"] {
        let mut d = desk();
        assert_eq!(d.keys(&format!("{view}L")), [Action::Leave(vec![AUDIO])]);
        d.world.model.left(AUDIO, crate::ui::fixture::at(65_000));
        d.draw();
        let next = d.keys("L");
        assert!(matches!(&next[..], [Action::Leave(other)] if *other != [AUDIO]), "{view}: {next:?}");
    }
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
fn how_tables_are_arranged_can_be_taken_to_another_screen() {
    let mut d = desk();
    assert!(d.screen.arrangements().is_empty(), "as at first");
    d.keys("<home>o>");
    d.keys("w");
    // The column is the third of the list.
    d.keys("jj<space><esc>");
    d.keys("4o");
    let all = d.screen.arrangements();
    assert_eq!(all.keys().collect::<Vec<_>>(), ["live groups", "network interfaces"]);
    assert_eq!(all["live groups"].hidden, ["interface"]);
    let mut other = desk();
    other.screen.arrange(&all);
    other.draw();
    assert_eq!(other.screen.arrangements(), all);
    assert!(!other.lines()[3].contains("IFACE"), "{}", other.text());
    other.expect(&format!("sorted by {} ▴", all["live groups"].sort));
}
