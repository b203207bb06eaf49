//! View 3: packets with the fields and bytes of one.

use ratatui::layout::{Constraint, Layout, Rect};

use crate::ui::pane::fields::Fields;
use crate::ui::pane::hex::Hex;
use crate::ui::pane::packets::Packets;
use crate::ui::pane::{Kind, Pane};
use crate::ui::view::Plan;

/// Its panes.
pub fn panes() -> Vec<Box<dyn Pane>> {
    vec![Box::<Packets>::default(), Box::<Fields>::default(), Box::<Hex>::default()]
}

/// The list above, fields and bytes below it, or beside it where there is width. On a narrow screen
/// fields and bytes share a place: the one with the focus has it.
pub fn layout(area: Rect, plan: &Plan) -> Vec<Rect> {
    if area.width >= 180 {
        let [list, detail] = Layout::horizontal([Constraint::Min(0), Constraint::Length(78)]).areas(area);
        let [fields, bytes] = Layout::vertical([Constraint::Fill(3), Constraint::Fill(2)]).areas(detail);
        return vec![list, fields, bytes];
    }
    let [list, detail] = Layout::vertical([Constraint::Fill(1), Constraint::Fill(1)]).areas(area);
    if area.width >= 116 {
        let [fields, bytes] = Layout::horizontal([Constraint::Min(0), Constraint::Length(78)]).areas(detail);
        return vec![list, fields, bytes];
    }
    let none = Rect::default();
    if plan.focus == Kind::Fields { vec![list, detail, none] } else { vec![list, none, detail] }
}
