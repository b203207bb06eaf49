//! View 2: one stream on one screen.

use ratatui::layout::{Constraint, Layout, Rect};

use crate::ui::pane::charts::Charts;
use crate::ui::pane::events::Events;
use crate::ui::pane::histogram::Histogram;
use crate::ui::pane::stream::Stream;
use crate::ui::pane::{Kind, Pane};
use crate::ui::view::Plan;

/// Its panes.
pub fn panes() -> Vec<Box<dyn Pane>> {
    vec![Box::new(Stream), Box::new(Charts), Box::new(Histogram), Box::new(Events::of_stream())]
}

/// What it is on top, then the minute, then gaps beside events. On a small screen the one with the
/// focus takes the place of the minute.
pub fn layout(area: Rect, plan: &Plan) -> Vec<Rect> {
    let none = Rect::default();
    let split = |area, top| Layout::vertical([Constraint::Length(top), Constraint::Min(0)]).areas(area);
    let small = area.height < 30;
    // All eleven rows of figures, or what leaves the charts enough.
    let [top, rest]: [Rect; 2] = split(area, if small { 12 } else { 13 });
    if small {
        return match plan.focus {
            Kind::Histogram => vec![top, none, rest, none],
            Kind::Events => vec![top, none, none, rest],
            _ => vec![top, rest, none, none],
        };
    }
    let [charts, bottom]: [Rect; 2] = split(rest, (rest.height * 11 / 20).clamp(11, 26));
    let [gaps, events] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(bottom);
    vec![top, charts, gaps, events]
}
