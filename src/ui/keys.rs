//! The one table of what a person can do: key map, footer, help and palette all read it.

use std::collections::HashMap;
use std::sync::LazyLock;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::model::source::State;
use crate::ui::pane::Kind;
use crate::ui::view::VIEWS;

/// Everything that can be asked of the screen by a key or by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cmd {
    /// One row up, and so on.
    Up,
    /// One row down.
    Down,
    /// To the left, or fold.
    Left,
    /// To the right, or unfold.
    Right,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// To the first row.
    Home,
    /// To the last row.
    End,
    /// The next pane.
    NextPane,
    /// The pane before.
    PrevPane,
    /// Look into the selected thing.
    Open,
    /// One step back.
    Back,
    /// To the view of this key.
    View(char),
    /// Open the join dialog.
    Join,
    /// Join what is selected without asking.
    JoinNow,
    /// Look at the wire, or stop it.
    Tap,
    /// Ask the adapter for all multicast, or stop it.
    TapAll,
    /// Leave the selected group.
    Leave,
    /// Bring back what was left last.
    Undo,
    /// Try a failed join again.
    Retry,
    /// Send one test message.
    SendTest,
    /// Open the send dialog.
    Send,
    /// Open the list of sends.
    Sends,
    /// Ping the group.
    Ping,
    /// Why the selected group does not arrive.
    Why,
    /// Responder on or off.
    Respond,
    /// Block or unblock the selected source.
    Block,
    /// Only the selected source, or back to what was let through before.
    Only,
    /// Let every source through again.
    Everybody,
    /// Mark a stream as A or B of a feed.
    Feed,
    /// List the announced sessions.
    Sessions,
    /// Choose a stream's protocol.
    Protocol,
    /// Freeze the screen.
    Pause,
    /// Follow the newest row again.
    Follow,
    /// Narrow what is shown.
    Filter,
    /// Sort by the column to the left.
    SortLeft,
    /// Sort by the column to the right.
    SortRight,
    /// Turn the order around.
    SortOrder,
    /// Choose columns.
    Columns,
    /// Zero the selected row's counters.
    Reset,
    /// Zero all counters.
    ResetAll,
    /// Copy the selected thing.
    Copy,
    /// Copy the bytes as hex.
    CopyHex,
    /// Show what differs from the packet before.
    Diff,
    /// To the next field.
    NextField,
    /// To the field before.
    PrevField,
    /// Mark the packet, or take the mark away.
    Mark,
    /// To the next marked packet.
    NextMark,
    /// Give the pane the whole screen.
    Zoom,
    /// What works here.
    Help,
    /// Any action by name.
    Palette,
    /// Draw everything anew.
    Redraw,
    /// Stop like a shell job.
    Suspend,
    /// End the program.
    Quit,
}

/// What the rows of the table may ask about the moment to say whether they work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Situation {
    /// The pane with the focus.
    pub pane: Kind,
    /// State of the selected group; `None` without one.
    pub group: Option<State>,
    /// Whether the selected group is joined, or is to be; otherwise it is seen on the wire.
    pub joined: bool,
    /// Whether a source is selected.
    pub source: bool,
    /// Whether a list stands still while new rows arrive above it.
    pub frozen: bool,
}

/// A row of the table.
pub struct Binding {
    /// What it does.
    pub cmd: Cmd,
    /// Its name in the palette and in the config.
    pub name: &'static str,
    /// The keys, as [`parse_key`] reads them.
    pub keys: &'static [&'static str],
    /// One or two words for the footer.
    pub short: &'static str,
    /// One line for help and palette.
    pub help: &'static str,
    /// Place in the footer, 1 first; 0 stays out of it.
    pub footer: u8,
    /// Whether it does anything now.
    pub works: fn(&Situation) -> bool,
}

fn always(_: &Situation) -> bool {
    true
}

fn on_group(s: &Situation) -> bool {
    s.group.is_some()
}

fn on_failed(s: &Situation) -> bool {
    s.group == Some(State::Failed)
}

fn on_row(s: &Situation) -> bool {
    s.group.is_some() && s.joined
}

fn on_sendable(s: &Situation) -> bool {
    s.group.is_some_and(|g| g != State::Failed)
}

fn on_joined(s: &Situation) -> bool {
    on_sendable(s) && s.joined
}

fn on_seen(s: &Situation) -> bool {
    s.group.is_some() && !s.joined
}

fn on_source(s: &Situation) -> bool {
    matches!(s.pane, Kind::Sources | Kind::Stream | Kind::Feed) && s.source
}

fn on_joined_source(s: &Situation) -> bool {
    on_source(s) && s.joined
}

fn on_packet(s: &Situation) -> bool {
    s.group.is_some() && matches!(s.pane, Kind::Packets | Kind::Fields | Kind::Hex)
}

fn on_table(s: &Situation) -> bool {
    matches!(
        s.pane,
        Kind::Groups | Kind::Wire | Kind::Sources | Kind::Ifaces | Kind::Queriers | Kind::Memberships
    )
}

fn on_feed(s: &Situation) -> bool {
    matches!(s.pane, Kind::Packets | Kind::Events) && s.frozen
}

fn can_open(s: &Situation) -> bool {
    match s.pane {
        Kind::Groups | Kind::Wire | Kind::Packets => on_group(s),
        Kind::Sources | Kind::Stream | Kind::Feed => s.source,
        Kind::Ifaces | Kind::Doctor | Kind::Queriers | Kind::Memberships => true,
        Kind::Fields | Kind::Hex | Kind::Events | Kind::Charts | Kind::Histogram | Kind::Notes => false,
    }
}

macro_rules! row {
    ($cmd:ident, $name:literal, $keys:expr, $short:literal, $help:literal, $footer:literal, $works:ident) => {
        Binding {
            cmd: Cmd::$cmd,
            name: $name,
            keys: &$keys,
            short: $short,
            help: $help,
            footer: $footer,
            works: $works,
        }
    };
}

#[rustfmt::skip]
static FIXED: &[Binding] = &[
    row!(JoinNow, "join-this", ["+"], "join it", "join the selected group of the wire at once", 1, on_seen),
    row!(Join, "join", ["J"], "join", "join a group; one of the wire is filled in", 2, always),
    row!(Retry, "retry", ["t"], "try again", "try the failed join again", 1, on_failed),
    row!(Leave, "leave", ["L", "-"], "leave", "leave the selected group", 3, on_row),
    row!(Undo, "undo", ["u"], "undo", "bring back the groups left last", 0, always),
    row!(Sessions, "sessions", ["a"], "announced", "list the announced sessions (SAP); Enter joins one", 20, always),
    row!(SendTest, "send-test", ["s"], "test", "send a test message to the selected group now", 4, on_sendable),
    row!(Send, "send", ["S"], "send…", "open the send dialog", 8, on_group),
    row!(Sends, "sends", ["T"], "sends", "list the sends of this run: progress, errors, answers, stop", 0, always),
    row!(Ping, "ping", ["p"], "ping", "ping the selected group: who answers, and how fast", 11, on_joined),
    row!(Why, "why", ["d"], "why?", "why is the selected group silent, and what to do", 12, always),
    row!(Respond, "respond", ["r"], "respond", "answer probes on the selected group, on or off", 0, on_joined),
    row!(Block, "block", ["b"], "block", "block or unblock the selected source", 1, on_joined_source),
    row!(Only, "only", ["i"], "only this", "let only the selected source through, or go back", 2, on_joined_source),
    row!(Everybody, "everybody", ["I"], "all sources", "let every source of the group through again", 0, on_joined),
    row!(Protocol, "protocol", ["P"], "protocol", "why this protocol; another one, or where it counts", 18, on_source),
    row!(Feed, "feed", ["m"], "mark A/B", "mark a stream as A, another as B of one feed; again: unmark", 19, on_group),
    row!(Tap, "tap", ["W"], "wire", "tap on/off: show every group on the wire, joined or not", 0, always),
    row!(TapAll, "tap-all", ["A"], "all multicast", "ask the adapters for all multicast, or no more", 0, always),
    row!(Pause, "pause", ["space"], "pause", "freeze the screen or go on; counting never stops", 7, always),
    row!(Follow, "follow", ["f"], "follow", "follow the newest row again", 1, on_feed),
    row!(Filter, "filter", ["/"], "filter", "narrow what is shown: words, or lost > 0 …", 6, always),
    row!(Open, "open", ["enter"], "open", "look into it: group, source, packet, interface", 5, can_open),
    row!(Back, "back", ["esc"], "back", "one step back: zoom, one source, filter, first pane", 0, always),
    row!(NextPane, "next-pane", ["tab"], "next pane", "focus the next pane", 11, always),
    row!(PrevPane, "previous-pane", ["backtab"], "previous pane", "focus the pane before", 0, always),
    row!(SortLeft, "sort-left", ["<"], "sort", "sort by the column to the left", 0, on_table),
    row!(SortRight, "sort-right", [">"], "sort", "sort by the column to the right", 12, on_table),
    row!(SortOrder, "sort-order", ["o"], "order", "turn the sort order around", 13, on_table),
    row!(Columns, "columns", ["w"], "columns", "choose the columns of this table", 14, on_table),
    row!(Zoom, "zoom", ["z"], "zoom", "give this pane the whole screen, or take it back", 15, always),
    row!(Copy, "copy", ["c"], "copy", "copy what is selected to the clipboard", 16, always),
    row!(CopyHex, "copy-hex", ["C"], "copy hex", "copy the bytes of the packet, or of its field, as hex", 0, on_packet),
    row!(Diff, "diff", ["D"], "diff", "show what differs from the packet before of its source", 1, on_packet),
    row!(NextField, "next-field", ["n"], "field", "to the next field of the packet", 1, on_packet),
    row!(PrevField, "previous-field", ["N"], "field", "to the field before", 0, on_packet),
    row!(Mark, "mark", ["M"], "mark", "mark the packet, or take the mark away", 2, on_packet),
    row!(NextMark, "next-mark", ["'"], "next mark", "to the next older marked packet, then the newest", 0, on_packet),
    row!(Reset, "reset", ["x"], "reset", "set the selected group's counters to zero", 0, on_group),
    row!(ResetAll, "reset-all", ["X"], "reset all", "set all counters to zero", 0, always),
    row!(Up, "up", ["up", "k"], "up", "one row up", 0, always),
    row!(Down, "down", ["down", "j"], "down", "one row down", 0, always),
    row!(Left, "left", ["left", "h"], "left", "to the left", 0, always),
    row!(Right, "right", ["right", "l"], "right", "to the right", 0, always),
    row!(PageUp, "page-up", ["pgup"], "page up", "a page up", 0, always),
    row!(PageDown, "page-down", ["pgdn"], "page down", "a page down", 0, always),
    row!(Home, "home", ["home", "g"], "first", "to the first row; in packets and events: the newest", 0, always),
    row!(End, "end", ["end", "G"], "last", "to the last row", 0, always),
    row!(Palette, "palette", [":"], "actions", "find any action by its name", 17, always),
    row!(Help, "help", ["?"], "help", "what works here", 9, always),
    row!(Redraw, "redraw", ["ctrl-l"], "redraw", "draw everything anew", 0, always),
    row!(Suspend, "suspend", ["ctrl-z"], "suspend", "back to the shell; fg returns", 0, always),
    row!(Quit, "quit", ["q", "ctrl-c"], "quit", "end the program", 10, always),
];

static TABLE: LazyLock<Vec<&'static Binding>> = LazyLock::new(|| {
    let views = VIEWS.iter().map(|v| -> &'static Binding { &v.binding });
    let (head, tail) = FIXED.split_at(FIXED.iter().position(|b| b.cmd == Cmd::Up).unwrap_or(0));
    head.iter().chain(views).chain(tail).collect()
});

/// All rows, in the order of the help.
pub fn table() -> &'static [&'static Binding] {
    &TABLE
}

/// The row of a command.
pub fn of(cmd: Cmd) -> Option<&'static Binding> {
    table().iter().copied().find(|b| b.cmd == cmd)
}

type Key = (KeyCode, KeyModifiers);

/// Which key does what.
#[derive(Clone, Debug)]
pub struct KeyMap {
    map: HashMap<Key, Cmd>,
}

impl Default for KeyMap {
    fn default() -> Self {
        let mut map = HashMap::new();
        for b in table() {
            for k in b.keys {
                if let Some(k) = parse_key(k) {
                    map.insert(k, b.cmd);
                }
            }
        }
        KeyMap { map }
    }
}

impl KeyMap {
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
}

/// Reads a key as the table writes it: one character, a name, or `ctrl-` and a character.
pub fn parse_key(text: &str) -> Option<Key> {
    if let Some(c) = text.strip_prefix("ctrl-") {
        return single(c).map(|c| (KeyCode::Char(c), KeyModifiers::CONTROL));
    }
    let code = match text {
        "space" => KeyCode::Char(' '),
        "enter" => KeyCode::Enter,
        "esc" => KeyCode::Esc,
        "tab" => KeyCode::Tab,
        "backtab" => KeyCode::BackTab,
        "up" => KeyCode::Up,
        "down" => KeyCode::Down,
        "left" => KeyCode::Left,
        "right" => KeyCode::Right,
        "pgup" => KeyCode::PageUp,
        "pgdn" => KeyCode::PageDown,
        "home" => KeyCode::Home,
        "end" => KeyCode::End,
        "backspace" => KeyCode::Backspace,
        _ => KeyCode::Char(single(text)?),
    };
    Some((code, KeyModifiers::NONE))
}

fn single(text: &str) -> Option<char> {
    let mut chars = text.chars();
    chars.next().filter(|_| chars.next().is_none())
}

/// A key as it is shown: `↵` for Enter, `Ctrl-L`, `PgUp`.
pub fn shown(key: &str) -> String {
    match key {
        "enter" => "↵".into(),
        "up" => "↑".into(),
        "down" => "↓".into(),
        "left" => "←".into(),
        "right" => "→".into(),
        "pgup" => "PgUp".into(),
        "pgdn" => "PgDn".into(),
        "backtab" => "Shift-Tab".into(),
        _ => match key.strip_prefix("ctrl-") {
            Some(c) => format!("Ctrl-{}", c.to_uppercase()),
            None if key.len() > 1 => key[..1].to_uppercase() + &key[1..],
            None => key.to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

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
    }

    #[test]
    fn every_view_has_its_row() {
        for v in VIEWS {
            assert_eq!(of(v.binding.cmd).map(|b| b.name), Some(v.binding.name));
        }
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
}
