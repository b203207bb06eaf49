//! View 1: groups, the sources of one, its packets.

use ratatui::layout::{Constraint, Layout, Rect};

use crate::ui::pane::groups::Groups;
use crate::ui::pane::hex::Hex;
use crate::ui::pane::packets::Packets;
use crate::ui::pane::sources::Sources;
use crate::ui::pane::{Kind, Pane};
use crate::ui::view::Plan;

/// Its panes.
pub fn panes() -> Vec<Box<dyn Pane>> {
    vec![Box::new(Groups::all()), Box::<Sources>::default(), Box::<Packets>::default(), Box::<Hex>::default()]
}

/// One above the other; packets where there is height, bytes where there is width. On a small screen
/// the packets take the place of the sources when they have the focus.
pub fn layout(area: Rect, plan: &Plan) -> Vec<Rect> {
    let h = area.height;
    let wanted = u16::try_from(plan.groups).unwrap_or(u16::MAX).saturating_add(4);
    let small = h < 28;
    let groups = if small { h.saturating_sub(9) } else { wanted.clamp(8, h * 2 / 5) };
    let [top, rest] = Layout::vertical([Constraint::Length(groups), Constraint::Min(0)]).areas(area);
    if small {
        let packets = matches!(plan.focus, Kind::Packets | Kind::Hex);
        let none = Rect::default();
        return if packets { vec![top, none, rest, none] } else { vec![top, rest, none, none] };
    }
    let sources = (rest.height * 2 / 5).clamp(7, 12);
    let [middle, bottom] = Layout::vertical([Constraint::Length(sources), Constraint::Min(0)]).areas(rest);
    if area.width < 180 {
        return vec![top, middle, bottom, Rect::default()];
    }
    let [packets, bytes] = Layout::horizontal([Constraint::Min(0), Constraint::Length(78)]).areas(bottom);
    vec![top, middle, packets, bytes]
}
