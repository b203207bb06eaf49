//! Panes: the parts that views are made of.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::ui::keys::Cmd;
use crate::ui::layer::Ctx;
use crate::ui::shared::Shared;
use crate::ui::widget::table::{Column, Grid};

pub mod advice;
pub mod charts;
pub mod doctor;
pub mod events;
pub mod feed;
pub mod fields;
mod figures;
pub mod groups;
pub mod hex;
pub mod histogram;
pub mod ifaces;
pub mod memberships;
pub mod notes;
pub mod packets;
pub mod queriers;
pub mod scan;
pub mod sources;
pub mod stream;
pub mod wire;

/// What a pane shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The groups table.
    Groups,
    /// The groups on the wire of the selected interface.
    Wire,
    /// The sources of the selected group.
    Sources,
    /// The packets of the selected group.
    Packets,
    /// The fields of the selected packet.
    Fields,
    /// The bytes of the selected packet.
    Hex,
    /// The interfaces.
    Ifaces,
    /// Who asks for memberships.
    Queriers,
    /// What is joined on an interface.
    Memberships,
    /// The event log.
    Events,
    /// What a stream is.
    Stream,
    /// Its last minute.
    Charts,
    /// Its gaps.
    Histogram,
    /// Two streams as one feed.
    Feed,
    /// What else is known of a stream.
    Notes,
    /// Why the selected group does not arrive.
    Doctor,
}

impl Kind {
    /// Its word, where a pane is named.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Groups => "groups",
            Kind::Wire => "wire",
            Kind::Sources => "sources",
            Kind::Packets => "packets",
            Kind::Fields => "fields",
            Kind::Hex => "bytes",
            Kind::Ifaces => "interfaces",
            Kind::Queriers => "queriers",
            Kind::Memberships => "memberships",
            Kind::Events => "events",
            Kind::Stream => "stream",
            Kind::Charts => "charts",
            Kind::Histogram => "gaps",
            Kind::Feed => "feed",
            Kind::Notes => "notes",
            Kind::Doctor => "doctor",
        }
    }
}

/// What a pane made of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Dealt with.
    Done,
    /// Not for this pane.
    Ignored,
    /// The pane of this kind should have the focus, in another view if this one has none.
    Focus(Kind),
}

/// A part of a view.
pub trait Pane {
    /// What it shows.
    fn kind(&self) -> Kind;

    /// Draws itself with its frame.
    fn draw(&mut self, area: Rect, buf: &mut Buffer, focused: bool, at: &mut Shared, ctx: &Ctx<'_>);

    /// A command, while it has the focus.
    fn command(&mut self, cmd: Cmd, at: &mut Shared, ctx: &Ctx<'_>) -> Reply;

    /// A click within it.
    fn click(&mut self, x: u16, y: u16, at: &mut Shared, ctx: &Ctx<'_>);

    /// The wheel over it, lines downwards.
    fn wheel(&mut self, lines: isize, at: &mut Shared, ctx: &Ctx<'_>);

    /// Its columns and how they are arranged, if it is a table.
    fn table(&mut self) -> Option<(&'static [Column], &mut Grid)> {
        None
    }

    /// What the clipboard gets from it.
    fn copy(&self, at: &Shared, ctx: &Ctx<'_>) -> Option<String>;
}

/// How far a movement goes, in rows; `None` if the command is no movement.
pub fn movement(cmd: Cmd, height: usize) -> Option<isize> {
    let page = height.saturating_sub(1).max(1) as isize;
    Some(match cmd {
        Cmd::Up => -1,
        Cmd::Down => 1,
        Cmd::PageUp => -page,
        Cmd::PageDown => page,
        // Far enough for every list there is, and safe to add to any place.
        Cmd::Home => isize::MIN / 2,
        Cmd::End => isize::MAX / 2,
        _ => return None,
    })
}

/// What a pane says that is empty because of the filter.
pub fn nothing_matches(at: &Shared, ctx: &Ctx<'_>) -> String {
    format!("nothing here matches “{}” · {} clears the filter", at.filter.text(), ctx.key(Cmd::Back))
}
