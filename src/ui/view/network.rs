//! View 4: the interfaces, who asks for memberships on them, what is joined on the selected one, and
//! the groups watched there.

use ratatui::layout::{Constraint, Layout, Rect};

use crate::ui::pane::groups::Groups;
use crate::ui::pane::ifaces::Ifaces;
use crate::ui::pane::memberships::Memberships;
use crate::ui::pane::queriers::Queriers;
use crate::ui::pane::{Kind, Pane};
use crate::ui::view::Plan;

/// Its panes.
pub fn panes() -> Vec<Box<dyn Pane>> {
    vec![
        Box::<Ifaces>::default(),
        Box::<Queriers>::default(),
        Box::<Memberships>::default(),
        Box::new(Groups::of_iface()),
    ]
}

/// One above the other. On a small screen the lower three share a place: the one with the focus has it,
/// else the queriers, which say most.
pub fn layout(area: Rect, plan: &Plan) -> Vec<Rect> {
    let wanted = u16::try_from(plan.ifaces).unwrap_or(u16::MAX).saturating_add(3);
    let none = Rect::default();
    let small = area.height < 30;
    let ifaces = wanted.clamp(6, (area.height / if small { 2 } else { 4 }).max(6));
    let [top, rest] = Layout::vertical([Constraint::Length(ifaces), Constraint::Min(0)]).areas(area);
    if small {
        return match plan.focus {
            Kind::Memberships => vec![top, none, rest, none],
            Kind::Groups => vec![top, none, none, rest],
            _ => vec![top, rest, none, none],
        };
    }
    // One line a family of each interface, and a second querier now and then.
    let lines = u16::try_from(plan.ifaces * 2).unwrap_or(u16::MAX).saturating_add(4);
    let queriers = lines.clamp(6, (area.height / 5).max(6));
    let [queriers, joined, watched] =
        Layout::vertical([Constraint::Length(queriers), Constraint::Fill(3), Constraint::Fill(2)])
            .areas(rest);
    vec![top, queriers, joined, watched]
}
