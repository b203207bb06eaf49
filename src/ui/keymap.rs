//! Which key does what: the table's keys, and what the settings change of them.

use std::collections::HashMap;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::base::text::nearest;
use crate::ui::keys::{Cmd, table};

type Key = (KeyCode, KeyModifiers);

/// The names of keys that are no character, and how each is shown.
const NAMED: &[(&str, KeyCode, &str)] = &[
    ("space", KeyCode::Char(' '), "Space"),
    ("enter", KeyCode::Enter, "↵"),
    ("esc", KeyCode::Esc, "Esc"),
    ("tab", KeyCode::Tab, "Tab"),
    ("backtab", KeyCode::BackTab, "Shift-Tab"),
    ("up", KeyCode::Up, "↑"),
    ("down", KeyCode::Down, "↓"),
    ("left", KeyCode::Left, "←"),
    ("right", KeyCode::Right, "→"),
    ("pgup", KeyCode::PageUp, "PgUp"),
    ("pgdn", KeyCode::PageDown, "PgDn"),
    ("home", KeyCode::Home, "Home"),
    ("end", KeyCode::End, "End"),
    ("ins", KeyCode::Insert, "Ins"),
    ("del", KeyCode::Delete, "Del"),
    ("backspace", KeyCode::Backspace, "Backspace"),
];

/// Which key does what.
#[derive(Clone, Debug, PartialEq)]
pub struct KeyMap {
    map: HashMap<Key, Cmd>,
    /// The keys of the actions that were given others, as written.
    changed: HashMap<Cmd, Vec<String>>,
}

impl Default for KeyMap {
    fn default() -> Self {
        let keys = table().iter().flat_map(|b| b.keys.iter().map(|k| (parse_key(k), b.cmd)));
        KeyMap { map: keys.filter_map(|(k, cmd)| Some((k?, cmd))).collect(), changed: HashMap::new() }
    }
}

impl KeyMap {
    /// The table's keys, but those of these actions: each loses its own for the ones given.
    ///
    /// # Errors
    /// The place of the change that is wrong, and why: an action or a key that does not exist, or a key
    /// that two actions would have.
    pub fn with(changes: &[(&str, Vec<String>)]) -> Result<KeyMap, (usize, String)> {
        let mut changed = HashMap::new();
        for (i, (name, keys)) in changes.iter().enumerate() {
            let Some(b) = table().iter().find(|b| b.name == *name) else {
                let near = nearest(name, table().iter().map(|b| b.name), 3);
                let near =
                    if near.is_empty() { String::new() } else { format!(" (nearest: {})", near.join(", ")) };
                let all = "the palette, key :, lists all";
                return Err((i, format!("there is no action \"{name}\"{near}; {all}")));
            };
            if let Some(no_key) = keys.iter().find(|k| parse_key(k).is_none()) {
                let names: Vec<&str> = NAMED.iter().map(|n| n.0).collect();
                return Err((
                    i,
                    format!(
                        "{name} = \"{no_key}\" is no key: write one character, ctrl- or alt- and a character, \
                         f1 to f12, or {}",
                        names.join(", ")
                    ),
                ));
            }
            if b.cmd != Cmd::Quit && keys.iter().any(|k| parse_key(k) == parse_key("ctrl-c")) {
                return Err((i, format!("{name} = \"ctrl-c\": this key always quits")));
            }
            changed.insert(b.cmd, keys.clone());
        }
        let mut made = KeyMap { map: HashMap::new(), changed };
        let mut given: HashMap<Key, &'static str> = HashMap::new();
        for b in table() {
            for key in made.keys(b.cmd) {
                let Some(parsed) = parse_key(&key) else { continue };
                if let Some(other) = given.insert(parsed, b.name).filter(|other| *other != b.name) {
                    let place = |name| changes.iter().position(|(n, _)| *n == name);
                    let (mine, other, at) = match (place(b.name), place(other)) {
                        (Some(at), _) => (b.name, other, at),
                        (None, at) => (other, b.name, at.unwrap_or(0)),
                    };
                    return Err((
                        at,
                        format!("{mine} = \"{key}\": this is the key of {other} too; give that one another"),
                    ));
                }
                made.map.insert(parsed, b.cmd);
            }
        }
        Ok(made)
    }

    /// What this key does.
    pub fn get(&self, key: KeyEvent) -> Option<Cmd> {
        let mut mods = key.modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT);
        let mut code = key.code;
        if let KeyCode::Char(c) = code
            && mods.contains(KeyModifiers::CONTROL)
        {
            code = KeyCode::Char(c.to_ascii_lowercase());
        }
        // Some terminals tell Shift-Tab as Tab with the modifier.
        if code == KeyCode::Tab && key.modifiers.contains(KeyModifiers::SHIFT) {
            (code, mods) = (KeyCode::BackTab, KeyModifiers::NONE);
        }
        self.map.get(&(code, mods)).copied()
    }

    /// The keys of an action as they are written; none if it was left without.
    pub fn keys(&self, cmd: Cmd) -> Vec<String> {
        match self.changed.get(&cmd) {
            Some(keys) => keys.clone(),
            None => {
                let row = table().iter().find(|b| b.cmd == cmd);
                row.map_or_else(Vec::new, |b| b.keys.iter().map(|k| (*k).to_owned()).collect())
            }
        }
    }

    /// The first key of an action as it is shown; without a key the action's name as the palette takes it.
    pub fn cap(&self, cmd: Cmd) -> String {
        match self.keys(cmd).first() {
            Some(key) => shown(key),
            None => {
                table().iter().find(|b| b.cmd == cmd).map_or_else(String::new, |b| format!(":{}", b.name))
            }
        }
    }
}

/// Reads a key as the table writes it: one character, a name, or `ctrl-` or `alt-` and a character.
pub fn parse_key(text: &str) -> Option<Key> {
    if let Some(c) = text.strip_prefix("ctrl-") {
        return single(c).map(|c| (KeyCode::Char(c.to_ascii_lowercase()), KeyModifiers::CONTROL));
    }
    if let Some(c) = text.strip_prefix("alt-") {
        return single(c).map(|c| (KeyCode::Char(c), KeyModifiers::ALT));
    }
    let function = || text.strip_prefix('f')?.parse::<u8>().ok().filter(|n| (1..=12).contains(n));
    let code = match NAMED.iter().find(|n| n.0 == text) {
        Some(named) => named.1,
        None => match function() {
            Some(n) => KeyCode::F(n),
            None => KeyCode::Char(single(text)?),
        },
    };
    Some((code, KeyModifiers::NONE))
}

fn single(text: &str) -> Option<char> {
    let mut chars = text.chars();
    chars.next().filter(|c| !c.is_control() && chars.next().is_none())
}

/// A key as it is shown: `↵` for Enter, `Ctrl-L`, `PgUp`.
pub fn shown(key: &str) -> String {
    if let Some(named) = NAMED.iter().find(|n| n.0 == key) {
        return named.2.to_owned();
    }
    match (key.strip_prefix("ctrl-"), key.strip_prefix("alt-")) {
        (Some(c), _) => format!("Ctrl-{}", c.to_uppercase()),
        (_, Some(c)) => format!("Alt-{c}"),
        _ if key.len() > 1 && key.is_ascii() => key.to_uppercase(),
        _ => key.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn key(text: &str) -> KeyEvent {
        let (code, mods) = parse_key(text).unwrap_or_else(|| panic!("{text} is no key"));
        KeyEvent::new(code, mods)
    }

    fn wrong(changes: &[(&str, &[&str])]) -> (usize, String) {
        let owned = |keys: &[&str]| keys.iter().map(|k| (*k).to_owned()).collect();
        let changes: Vec<(&str, Vec<String>)> = changes.iter().map(|(n, k)| (*n, owned(k))).collect();
        KeyMap::with(&changes).expect_err("it is wrong")
    }

    #[test]
    fn no_key_and_no_name_stands_for_two_actions() {
        let (mut keys, mut names) = (HashSet::new(), HashSet::new());
        for b in table() {
            assert!(names.insert(b.name), "{} twice", b.name);
            assert!(!b.keys.is_empty(), "{} has no key", b.name);
            for k in b.keys {
                let parsed = parse_key(k).unwrap_or_else(|| panic!("{k} is no key"));
                assert!(keys.insert(parsed), "{k} twice");
            }
        }
        assert_eq!(KeyMap::with(&[]), Ok(KeyMap::default()));
    }

    #[test]
    fn shift_is_part_of_the_character_and_control_ignores_case() {
        let map = KeyMap::default();
        let key = |c, m| KeyEvent::new(KeyCode::Char(c), m);
        assert_eq!(map.get(key('J', KeyModifiers::SHIFT)), Some(Cmd::Join));
        assert_eq!(map.get(key('j', KeyModifiers::NONE)), Some(Cmd::Down));
        assert_eq!(map.get(key('C', KeyModifiers::CONTROL | KeyModifiers::SHIFT)), Some(Cmd::Quit));
        assert_eq!(map.get(key('c', KeyModifiers::ALT)), None);
    }

    #[test]
    fn an_action_loses_its_keys_for_those_it_is_given() {
        let changes = [
            ("leave", vec!["f8".to_owned(), "alt-x".to_owned()]),
            ("join", vec!["L".to_owned()]),
            ("tap", vec![]),
        ];
        let map = KeyMap::with(&changes).unwrap();
        for (text, cmd) in [
            ("f8", Some(Cmd::Leave)),
            ("alt-x", Some(Cmd::Leave)),
            ("-", None),
            ("L", Some(Cmd::Join)),
            ("J", None),
            ("W", None),
            ("q", Some(Cmd::Quit)),
        ] {
            assert_eq!(map.get(key(text)), cmd, "{text}");
        }
        assert_eq!(
            [Cmd::Leave, Cmd::Join, Cmd::Tap, Cmd::Open].map(|c| map.cap(c)),
            ["F8", "L", ":tap", "↵"]
        );
    }

    #[test]
    fn what_is_wrong_names_the_action_the_key_and_the_remedy() {
        let (at, text) = wrong(&[("up", &["K"]), ("levae", &["x"])]);
        assert!(at == 1 && text.contains("no action \"levae\" (nearest: leave"), "{text}");
        let (_, text) = wrong(&[("leave", &["shift-x"])]);
        assert!(text.contains("leave = \"shift-x\" is no key") && text.contains("f1 to f12"), "{text}");
        let (at, text) = wrong(&[("up", &["K"]), ("leave", &["s"])]);
        assert!(at == 1 && text.contains("leave = \"s\": this is the key of send-test too"), "{text}");
        let (_, text) = wrong(&[("leave", &["Z"]), ("join", &["Z"])]);
        assert!(text.contains("\"Z\"") && text.contains("leave") && text.contains("join"), "{text}");
        assert!(wrong(&[("leave", &["ctrl-C"])]).1.contains("always quits"));
    }
}
