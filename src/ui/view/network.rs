//! View 4: the interfaces, who asks for memberships on them, and of the selected one what is joined, what
//! else is on its wire, and the groups watched.

use ratatui::layout::{Constraint, Layout, Rect};

use crate::ui::pane::groups::Groups;
use crate::ui::pane::ifaces::Ifaces;
use crate::ui::pane::memberships::Memberships;
use crate::ui::pane::queriers::Queriers;
use crate::ui::pane::wire::WirePane;
use crate::ui::pane::{Kind, Pane};
use crate::ui::view::Plan;

/// Its panes.
pub fn panes() -> Vec<Box<dyn Pane>> {
    vec![
        Box::<Ifaces>::default(),
        Box::<Queriers>::default(),
        Box::<Memberships>::default(),
        Box::<WirePane>::default(),
        Box::new(Groups::of_iface()),
    ]
}

/// From this height on all panes have a place.
const TALL: u16 = 48;

/// One above the other. On a small screen all but the interfaces share a place: the one with the focus
/// has it, else the queriers, which say most. On a middling one the groups watched take the place of the
/// wire when they have the focus.
pub fn layout(area: Rect, plan: &Plan) -> Vec<Rect> {
    let wanted = u16::try_from(plan.ifaces).unwrap_or(u16::MAX).saturating_add(3);
    let none = Rect::default();
    let small = area.height < 28;
    let ifaces = wanted.clamp(6, (area.height / if small { 2 } else { 4 }).max(6));
    let [top, rest] = Layout::vertical([Constraint::Length(ifaces), Constraint::Min(0)]).areas(area);
    if small {
        let mut places = vec![top, none, none, none, none];
        places[match plan.focus {
            Kind::Memberships => 2,
            Kind::Wire => 3,
            Kind::Groups => 4,
            _ => 1,
        }] = rest;
        return places;
    }
    // One line a family of each interface, and a second querier now and then.
    let lines = u16::try_from(plan.ifaces * 2).unwrap_or(u16::MAX).saturating_add(4);
    let queriers = Constraint::Length(lines.clamp(6, (area.height / 5).max(6)));
    if area.height >= TALL {
        let rows = [queriers, Constraint::Fill(4), Constraint::Fill(3), Constraint::Fill(3)];
        let [queriers, joined, wire, watched] = Layout::vertical(rows).areas(rest);
        return vec![top, queriers, joined, wire, watched];
    }
    let rows = [queriers, Constraint::Fill(3), Constraint::Fill(2)];
    let [queriers, joined, last] = Layout::vertical(rows).areas(rest);
    match plan.focus {
        Kind::Groups => vec![top, queriers, joined, none, last],
        _ => vec![top, queriers, joined, last, none],
    }
}
