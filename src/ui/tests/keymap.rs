//! Keys that the settings changed: what they do, and that the screen names them.

use crate::base::group::MembershipId;
use crate::ui::action::Action;
use crate::ui::fixture::{Desk, World, studio};
use crate::ui::keymap::KeyMap;

fn desk(world: World, width: u16, height: u16, changes: &[(&str, &[&str])]) -> Desk {
    let owned = |keys: &[&str]| keys.iter().map(|k| (*k).to_owned()).collect();
    let changes: Vec<(&str, Vec<String>)> = changes.iter().map(|(n, k)| (*n, owned(k))).collect();
    let mut d = Desk::new(world, width, height);
    d.keymap = KeyMap::with(&changes).unwrap();
    d.draw();
    d
}

#[test]
fn a_changed_key_works_and_the_old_one_does_not() {
    let mut d = desk(studio(), 120, 36, &[("leave", &["f8", "D"]), ("diff", &[]), ("view-events", &["e"])]);
    assert_eq!(d.keys("L"), []);
    assert_eq!(d.keys("<f8>"), [Action::Leave(vec![MembershipId(0)])]);
    assert_eq!(d.keys("D"), [Action::Leave(vec![MembershipId(0)])]);
    d.keys("e");
    d.expect("Events ");
}

#[test]
fn footer_help_tabs_and_hints_name_the_changed_key() {
    let changes: &[(&str, &[&str])] = &[
        ("join", &["f2"]),
        ("leave", &["f8", "D"]),
        ("diff", &[]),
        ("undo", &["U"]),
        ("view-events", &["e"]),
        ("why", &["y"]),
    ];
    let mut d = desk(studio(), 120, 36, changes);
    let footer = d.lines()[35].clone();
    assert!(footer.contains("F2 join") && footer.contains("F8 leave"), "{footer}");
    assert!(d.lines()[1].contains("e Events"), "{}", d.lines()[1]);
    d.expect("y: why?");
    d.keys("<f8>");
    d.expect("U brings it back");
    d.keys("?");
    d.expect("F8 D");
    d.keys("<esc>:show what differs");
    let line = d.lines().into_iter().find(|l| l.contains("show what differs from")).unwrap();
    assert!(line.contains("diff") && !line.contains(" D "), "it has no key: {line}");
    let mut d = desk(World::new(), 80, 24, &[("join", &["f2"])]);
    d.expect("F2 joins one");
    d.keys("x");
    d.expect("reset: no group is selected · F2 joins one");
}
