//! Hostile payloads on the dashboard: whatever a sender puts into them, the screen gets visible characters
//! only.

use crate::base::registry::Registry;
use crate::ui::fixture::{Desk, World, endpoint, steady};

/// An escape sequence, a C1 control, an override of the direction and an invisible character; all UTF-8, so
/// that nothing else makes them harmless.
const POISON: &str = "\u{1b}]0;x\u{7}\u{9b}31m\u{202e}\u{200b}\r\n";

/// Of every sample its bytes with poison in the middle of its text, and its group.
fn poisoned() -> Vec<(String, Vec<u8>)> {
    let dir = format!("{}/tests/fuzz/corpus/payload", env!("CARGO_MANIFEST_DIR"));
    let mut all: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    all.sort();
    let poison = |path: std::path::PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let mut b = std::fs::read(path).unwrap();
        // Over the longest run of letters, so that marks and lengths at the head stay right.
        let letters = |c: &u8| c.is_ascii_alphanumeric() || *c == b'.' || *c == b' ';
        let runs = b.chunk_by(|x, y| letters(x) == letters(y));
        let (mut at, mut longest) = (0, 0..0);
        for run in runs {
            if letters(&run[0]) && run.len() > longest.len() {
                longest = at..at + run.len();
            }
            at += run.len();
        }
        let n = POISON.len().min(longest.len());
        b[longest.start + longest.len() - n..longest.end].copy_from_slice(&POISON.as_bytes()[..n]);
        (name, b)
    };
    all.into_iter().map(poison).collect()
}

#[track_caller]
fn only_visible(d: &Desk, name: &str) {
    let hidden = |c: char| c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}');
    for cell in d.buffer().content() {
        assert!(!cell.symbol().contains(hidden), "{name}: {:?}\n{}", cell.symbol(), d.text());
    }
}

#[test]
fn poisoned_samples_show_as_visible_characters() {
    let (mut reached, mut pictured) = (0, 0);
    for (name, payload) in poisoned() {
        // To the group of its protocol where the registry has one, so that it is taken for what it is.
        let word = name.split('-').next().unwrap();
        let row = Registry::builtin().rows().iter().find(|r| r.is_group() && r.name.contains(word));
        let to = row.and_then(|r| Some((r.address, r.each_port().next()?)));
        let to = to.map_or("239.1.1.1:9999".to_owned(), |(ip, port)| {
            if ip.is_ipv6() { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
        });
        let mut world = World::new();
        let id = world.join(&to, "eth0", None);
        world.feed(steady(id, "10.1.2.20:5004", 0, 400, 100, |_| payload.clone()), 1000);
        assert_eq!(world.model.group(id).unwrap().membership.endpoint(), endpoint(&to));
        let mut d = Desk::new(world, 120, 36);
        only_visible(&d, &name);
        let mut poison = d.shows("␛");
        // From the group to its packets, to the bytes and fields of one, and through all of the fields.
        for keys in ["<enter>", "<enter>", "<enter>", "nnnn", "<end>"] {
            d.keys(keys);
            only_visible(&d, &name);
            poison |= d.shows("␛");
        }
        reached += usize::from(d.shows("Fields"));
        pictured += usize::from(poison);
    }
    assert!(reached > 60, "the fields of {reached} samples were shown");
    assert!(pictured > 20, "of {pictured} samples the poison was seen, made visible");
}
