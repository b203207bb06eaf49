//! View 4: the interfaces, and of the selected one the memberships and what else is on its wire.

use ratatui::layout::{Constraint, Layout, Rect};

use crate::ui::pane::Kind;
use crate::ui::pane::Pane;
use crate::ui::pane::groups::Groups;
use crate::ui::pane::ifaces::Ifaces;
use crate::ui::pane::wire::WirePane;
use crate::ui::view::Plan;

/// Its panes.
pub fn panes() -> Vec<Box<dyn Pane>> {
    vec![Box::<Ifaces>::default(), Box::new(Groups::of_iface()), Box::<WirePane>::default()]
}

/// One above the other. On a small screen memberships and wire share a place: the wire has it when it has
/// the focus.
pub fn layout(area: Rect, plan: &Plan) -> Vec<Rect> {
    let wanted = u16::try_from(plan.ifaces).unwrap_or(u16::MAX).saturating_add(3);
    let small = area.height < 28;
    let most = if small { area.height / 2 } else { area.height / 3 };
    let ifaces = wanted.clamp(6, most.max(6));
    let [top, rest] = Layout::vertical([Constraint::Length(ifaces), Constraint::Min(0)]).areas(area);
    if small {
        let none = Rect::default();
        return if plan.focus == Kind::Wire { vec![top, none, rest] } else { vec![top, rest, none] };
    }
    let [joined, wire] = Layout::vertical([Constraint::Fill(1), Constraint::Fill(1)]).areas(rest);
    vec![top, joined, wire]
}
