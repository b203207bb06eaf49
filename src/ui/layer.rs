//! Pop-ups are layers: the top one sees a key first and consumes it or passes it on.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crossterm::event::{KeyEvent, MouseEvent};
use ratatui::Frame;
use ratatui::layout::Rect;

use crate::base::group::MembershipId;
use crate::base::time::Now;
use crate::engine::command::{Examined, PingProgress, SendId, SendProgress};
use crate::model::Model;
use crate::ui::action::Action;
use crate::ui::keymap::KeyMap;
use crate::ui::keys::Cmd;
use crate::ui::theme::Theme;

/// What every part of the screen may read while it draws or handles a key.
#[derive(Clone, Copy)]
pub struct Ctx<'a> {
    /// What is known: the live model, or the one frozen while the screen is paused.
    pub model: &'a Model,
    /// Colours.
    pub theme: &'a Theme,
    /// Which key does what.
    pub keys: &'a KeyMap,
    /// The present.
    pub now: Now,
    /// Seconds east of UTC of the local time.
    pub utc_offset_s: i32,
    /// Names of addresses, as far as they were looked up; `None` inside means it has none.
    pub names: &'a HashMap<IpAddr, Option<Arc<str>>>,
    /// The sends of this run, oldest first.
    pub sends: &'a [(SendId, SendProgress)],
    /// The ping of a group, running or ended.
    pub ping: Option<&'a PingProgress>,
    /// What the doctor says of the selected row, or of the host.
    pub examined: Option<&'a Examined>,
    /// Groups of earlier runs and joins, the last first, as they were typed.
    pub recent: &'a [String],
    /// This host's name.
    pub host: &'a str,
    /// The row selected in the view below.
    pub selected: Option<MembershipId>,
}

impl<'a> Ctx<'a> {
    /// The key of an action, as it is shown.
    pub fn key(&self, cmd: Cmd) -> String {
        self.keys.cap(cmd)
    }

    /// The name of an address, where it is known.
    pub fn name(&self, ip: IpAddr) -> Option<&'a str> {
        self.names.get(&ip)?.as_deref()
    }
}

/// What a layer did with an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Dealt with.
    Consumed,
    /// Not for this layer: the next one below may have it.
    Passed,
    /// Dealt with, and the loop has something to do.
    Act(Vec<Action>),
    /// Close this layer, then do this (often nothing).
    Close(Vec<Action>),
}

/// A pop-up.
pub trait Layer {
    /// A key was pressed.
    fn key(&mut self, key: KeyEvent, ctx: &Ctx<'_>) -> Outcome;

    /// Text was pasted.
    fn paste(&mut self, _text: &str, _ctx: &Ctx<'_>) -> Outcome {
        Outcome::Passed
    }

    /// The mouse was used.
    fn mouse(&mut self, _event: MouseEvent, _ctx: &Ctx<'_>) -> Outcome {
        Outcome::Passed
    }

    /// Draws itself somewhere within `area`, the whole screen.
    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, ctx: &Ctx<'_>);
}
