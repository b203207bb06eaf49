//! The one table of what a person can do: key map, footer, help, palette and settings all read it.

use std::sync::LazyLock;

use crate::model::source::State;
use crate::ui::keymap::KeyMap;
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
    /// The keys it has unless the settings say otherwise, as [`parse_key`](crate::ui::keymap::parse_key)
    /// reads them.
    pub keys: &'static [&'static str],
    /// One or two words for the footer.
    pub short: &'static str,
    /// One line for help and palette.
    pub help: &'static str,
    /// Place in the footer, 1 first; 0 stays out of it.
    pub footer: u8,
    /// What it needs to do anything.
    pub need: Need,
}

impl Binding {
    /// Whether it does anything now.
    pub fn works(&self, s: &Situation) -> bool {
        self.need.met(s)
    }
}

/// What a command needs to do anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Nothing.
    Nothing,
    /// A group, joined or seen on the wire.
    Group,
    /// A row: a group that is joined, or is to be.
    Row,
    /// A row that failed.
    FailedRow,
    /// A group that is only seen on the wire.
    SeenGroup,
    /// A group that did not fail.
    WorkingGroup,
    /// A row that did not fail.
    WorkingRow,
    /// A sender, in a pane about senders.
    Source,
    /// A sender to a row.
    SourceOfRow,
    /// A pane about packets.
    Packet,
    /// A table.
    Table,
    /// A list that stands still.
    Frozen,
    /// Something to look into.
    Inside,
}

impl Need {
    /// Whether it is there.
    pub fn met(self, s: &Situation) -> bool {
        let group = s.group.is_some();
        let works = s.group.is_some_and(|g| g != State::Failed);
        match self {
            Need::Nothing => true,
            Need::Group => group,
            Need::Row => group && s.joined,
            Need::FailedRow => s.group == Some(State::Failed),
            Need::SeenGroup => group && !s.joined,
            Need::WorkingGroup => works,
            Need::WorkingRow => works && s.joined,
            Need::Source => matches!(s.pane, Kind::Sources | Kind::Stream | Kind::Feed) && s.source,
            Need::SourceOfRow => Need::Source.met(s) && s.joined,
            Need::Packet => group && matches!(s.pane, Kind::Packets | Kind::Fields | Kind::Hex),
            Need::Table => matches!(
                s.pane,
                Kind::Groups | Kind::Wire | Kind::Sources | Kind::Ifaces | Kind::Queriers | Kind::Memberships
            ),
            Need::Frozen => matches!(s.pane, Kind::Packets | Kind::Events) && s.frozen,
            Need::Inside => match s.pane {
                Kind::Groups | Kind::Wire | Kind::Packets => group,
                Kind::Sources | Kind::Stream | Kind::Feed => s.source,
                Kind::Ifaces | Kind::Queriers | Kind::Memberships | Kind::Doctor => true,
                Kind::Fields | Kind::Hex | Kind::Events | Kind::Charts | Kind::Histogram | Kind::Notes => {
                    false
                }
            },
        }
    }

    /// What is missing where it is not met, and how to come by it.
    pub fn missing(self, s: &Situation, keys: &KeyMap) -> String {
        let group = s.group.is_some();
        match self {
            Need::FailedRow if group => "the join of this group did not fail".to_owned(),
            Need::Source | Need::SourceOfRow if group && (s.joined || self == Need::Source) => {
                format!("it is for one sender: {} on the group goes to its senders", keys.cap(Cmd::Open))
            }
            Need::WorkingGroup | Need::WorkingRow if group && s.joined => {
                format!("the join failed · {} tries it again", keys.cap(Cmd::Retry))
            }
            Need::Row | Need::WorkingRow | Need::SourceOfRow if group => {
                format!("the group is not joined · {} joins it", keys.cap(Cmd::JoinNow))
            }
            Need::Packet if group => {
                format!("it is for packets: {} goes to them", keys.cap(Cmd::View('3')))
            }
            Need::Table => format!("it is for tables: {} goes to the next pane", keys.cap(Cmd::NextPane)),
            Need::Frozen => "the list follows the newest row already".to_owned(),
            Need::Inside if group => "there is nothing further to look into here".to_owned(),
            _ => format!("no group is selected · {} joins one", keys.cap(Cmd::Join)),
        }
    }
}

macro_rules! row {
    ($cmd:ident, $name:literal, $keys:expr, $short:literal, $help:literal, $footer:literal, $need:ident) => {
        Binding {
            cmd: Cmd::$cmd,
            name: $name,
            keys: &$keys,
            short: $short,
            help: $help,
            footer: $footer,
            need: Need::$need,
        }
    };
}

#[rustfmt::skip]
static FIXED: &[Binding] = &[
    row!(JoinNow, "join-this", ["+"], "join it", "join the selected group of the wire at once", 1, SeenGroup),
    row!(Join, "join", ["J"], "join", "join a group; one of the wire is filled in", 2, Nothing),
    row!(Retry, "retry", ["t"], "try again", "try the failed join again", 1, FailedRow),
    row!(Leave, "leave", ["L", "-"], "leave", "leave the selected group", 3, Row),
    row!(Undo, "undo", ["u"], "undo", "bring back the groups left last", 0, Nothing),
    row!(Sessions, "sessions", ["a"], "announced", "list the announced sessions (SAP); Enter joins one", 20, Nothing),
    row!(SendTest, "send-test", ["s"], "test", "send a test message to the selected group now", 4, WorkingGroup),
    row!(Send, "send", ["S"], "send…", "open the send dialog", 8, Group),
    row!(Sends, "sends", ["T"], "sends", "list the sends of this run: progress, errors, answers, stop", 0, Nothing),
    row!(Ping, "ping", ["p"], "ping", "ping the selected group: who answers, and how fast", 11, WorkingRow),
    row!(Why, "why", ["d"], "why?", "why is the selected group silent, and what to do", 12, Nothing),
    row!(Respond, "respond", ["r"], "respond", "answer probes on the selected group, on or off", 0, WorkingRow),
    row!(Block, "block", ["b"], "block", "block or unblock the selected source", 1, SourceOfRow),
    row!(Only, "only", ["i"], "only this", "let only the selected source through, or go back", 2, SourceOfRow),
    row!(Everybody, "everybody", ["I"], "all sources", "let every source of the group through again", 0, WorkingRow),
    row!(Protocol, "protocol", ["P"], "protocol", "why this protocol; another one, or where it counts", 18, Source),
    row!(Feed, "feed", ["m"], "mark A/B", "mark a stream as A, another as B of one feed; again: unmark", 19, Group),
    row!(Tap, "tap", ["W"], "wire", "tap on/off: show every group on the wire, joined or not", 0, Nothing),
    row!(TapAll, "tap-all", ["A"], "all multicast", "ask the adapters for all multicast, or no more", 0, Nothing),
    row!(Pause, "pause", ["space"], "pause", "freeze the screen or go on; counting never stops", 7, Nothing),
    row!(Follow, "follow", ["f"], "follow", "follow the newest row again", 1, Frozen),
    row!(Filter, "filter", ["/"], "filter", "narrow what is shown: words, or lost > 0 …", 6, Nothing),
    row!(Open, "open", ["enter"], "open", "look into it: group, source, packet, interface", 5, Inside),
    row!(Back, "back", ["esc"], "back", "one step back: zoom, one source, filter, first pane", 0, Nothing),
    row!(NextPane, "next-pane", ["tab"], "next pane", "focus the next pane", 11, Nothing),
    row!(PrevPane, "previous-pane", ["backtab"], "previous pane", "focus the pane before", 0, Nothing),
    row!(SortLeft, "sort-left", ["<"], "sort", "sort by the column to the left", 0, Table),
    row!(SortRight, "sort-right", [">"], "sort", "sort by the column to the right", 12, Table),
    row!(SortOrder, "sort-order", ["o"], "order", "turn the sort order around", 13, Table),
    row!(Columns, "columns", ["w"], "columns", "choose the columns of this table", 14, Table),
    row!(Zoom, "zoom", ["z"], "zoom", "give this pane the whole screen, or take it back", 15, Nothing),
    row!(Copy, "copy", ["c"], "copy", "copy what is selected to the clipboard", 16, Nothing),
    row!(CopyHex, "copy-hex", ["C"], "copy hex", "copy the bytes of the packet, or of its field, as hex", 0, Packet),
    row!(Diff, "diff", ["D"], "diff", "show what differs from the packet before of its source", 1, Packet),
    row!(NextField, "next-field", ["n"], "field", "to the next field of the packet", 1, Packet),
    row!(PrevField, "previous-field", ["N"], "field", "to the field before", 0, Packet),
    row!(Mark, "mark", ["M"], "mark", "mark the packet, or take the mark away", 2, Packet),
    row!(NextMark, "next-mark", ["'"], "next mark", "to the next older marked packet, then the newest", 0, Packet),
    row!(Reset, "reset", ["x"], "reset", "set the selected group's counters to zero", 0, Group),
    row!(ResetAll, "reset-all", ["X"], "reset all", "set all counters to zero", 0, Nothing),
    row!(Up, "up", ["up", "k"], "up", "one row up", 0, Nothing),
    row!(Down, "down", ["down", "j"], "down", "one row down", 0, Nothing),
    row!(Left, "left", ["left", "h"], "left", "to the left", 0, Nothing),
    row!(Right, "right", ["right", "l"], "right", "to the right", 0, Nothing),
    row!(PageUp, "page-up", ["pgup"], "page up", "a page up", 0, Nothing),
    row!(PageDown, "page-down", ["pgdn"], "page down", "a page down", 0, Nothing),
    row!(Home, "home", ["home", "g"], "first", "to the first row; in packets and events: the newest", 0, Nothing),
    row!(End, "end", ["end", "G"], "last", "to the last row", 0, Nothing),
    row!(Palette, "palette", [":"], "actions", "find any action by its name", 17, Nothing),
    row!(Help, "help", ["?"], "help", "what works here", 9, Nothing),
    row!(Redraw, "redraw", ["ctrl-l"], "redraw", "draw everything anew", 0, Nothing),
    row!(Suspend, "suspend", ["ctrl-z"], "suspend", "back to the shell; fg returns", 0, Nothing),
    row!(Quit, "quit", ["q", "ctrl-c"], "quit", "end the program", 10, Nothing),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_view_has_its_row() {
        for v in VIEWS {
            assert_eq!(of(v.binding.cmd).map(|b| b.name), Some(v.binding.name));
        }
    }
}
