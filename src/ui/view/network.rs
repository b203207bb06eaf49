//! View 4: the interfaces, and the memberships on the selected one.

use ratatui::layout::{Constraint, Layout, Rect};

use crate::ui::pane::Pane;
use crate::ui::pane::groups::Groups;
use crate::ui::pane::ifaces::Ifaces;
use crate::ui::view::Plan;

/// Its panes.
pub fn panes() -> Vec<Box<dyn Pane>> {
    vec![Box::<Ifaces>::default(), Box::new(Groups::of_iface())]
}

/// One above the other.
pub fn layout(area: Rect, plan: &Plan) -> Vec<Rect> {
    let wanted = u16::try_from(plan.ifaces).unwrap_or(u16::MAX).saturating_add(3);
    let ifaces = wanted.clamp(6, (area.height / 2).max(6));
    let [top, rest] = Layout::vertical([Constraint::Length(ifaces), Constraint::Min(0)]).areas(area);
    vec![top, rest]
}
