//! View 6: the event log.

use ratatui::layout::Rect;

use crate::ui::pane::Pane;
use crate::ui::pane::events::Events;
use crate::ui::view::Plan;

/// Its panes.
pub fn panes() -> Vec<Box<dyn Pane>> {
    vec![Box::<Events>::default()]
}

/// All of the room.
pub fn layout(area: Rect, _plan: &Plan) -> Vec<Rect> {
    vec![area]
}
