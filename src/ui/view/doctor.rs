//! View 5: why the selected group does not arrive.

use ratatui::layout::Rect;

use crate::ui::pane::Pane;
use crate::ui::pane::doctor::Doctor;
use crate::ui::view::Plan;

/// Its panes.
pub fn panes() -> Vec<Box<dyn Pane>> {
    vec![Box::<Doctor>::default()]
}

/// All of the room.
pub fn layout(area: Rect, _plan: &Plan) -> Vec<Rect> {
    vec![area]
}
