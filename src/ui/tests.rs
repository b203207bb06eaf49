//! The dashboard as a person meets it: whole screens and keystrokes.

use super::fixture::{Desk, studio};

#[test]
fn dump() {
    for (w, h) in [(80, 24), (120, 36), (200, 60)] {
        let d = Desk::new(studio(), w, h);
        println!("{}", d.text());
        std::fs::write(format!("/tmp/ui-{w}.ans"), d.ansi()).unwrap();
    }
}
