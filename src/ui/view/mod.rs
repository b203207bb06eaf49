//! Views: each is one file here that names its panes and where they stand, and one row in [`VIEWS`].

use ratatui::layout::Rect;

use crate::ui::keys::{Binding, Cmd, Need};
use crate::ui::pane::{Kind, Pane};

pub mod doctor;
pub mod events;
pub mod live;
pub mod network;
pub mod packets;
pub mod stream;

/// A row of the table of views.
pub struct ViewRow {
    /// Its name in the tabs.
    pub title: &'static str,
    /// How it is reached.
    pub binding: Binding,
    /// Makes its panes.
    pub panes: fn() -> Vec<Box<dyn Pane>>,
    /// Where the panes stand, in their order; an empty place hides one.
    pub layout: fn(Rect, &Plan) -> Vec<Rect>,
}

/// What a layout may depend on.
pub struct Plan {
    /// The pane with the focus.
    pub focus: Kind,
    /// Rows of the groups table.
    pub groups: usize,
    /// Interfaces.
    pub ifaces: usize,
    /// Whether the selected stream is part of a feed.
    pub feed: bool,
    /// Rows that what else is known of it wants; 0 if there is nothing.
    pub notes: u16,
}

impl ViewRow {
    /// The key of the tab.
    pub fn key(&self) -> char {
        match self.binding.cmd {
            Cmd::View(c) => c,
            _ => ' ',
        }
    }
}

macro_rules! view {
    ($key:literal, $keys:literal, $title:literal, $name:literal, $help:literal, $module:ident) => {
        ViewRow {
            title: $title,
            binding: Binding {
                cmd: Cmd::View($key),
                name: $name,
                keys: &[$keys],
                short: $title,
                help: $help,
                footer: 0,
                need: Need::Nothing,
            },
            panes: $module::panes,
            layout: $module::layout,
        }
    };
}

/// The views, in the order of the tabs.
pub static VIEWS: &[ViewRow] = &[
    view!('1', "1", "Live", "view-live", "groups, their sources, their packets", live),
    view!('2', "2", "Stream", "view-stream", "one stream: what it is, figures, charts, events", stream),
    view!('3', "3", "Packets", "view-packets", "packets with their fields and bytes", packets),
    view!('4', "4", "Network", "view-network", "interfaces and the memberships on each", network),
    view!('5', "5", "Doctor", "view-doctor", "the doctor: where packets die, findings, remedies", doctor),
    view!('6', "6", "Events", "view-events", "what happened, and when", events),
];
