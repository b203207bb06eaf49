//! View 2: one stream on one screen.

use ratatui::layout::{Constraint, Layout, Rect};

use crate::ui::pane::charts::Charts;
use crate::ui::pane::events::Events;
use crate::ui::pane::feed::{self, Feed};
use crate::ui::pane::histogram::Histogram;
use crate::ui::pane::notes::Notes;
use crate::ui::pane::stream::Stream;
use crate::ui::pane::{Kind, Pane};
use crate::ui::view::Plan;

/// Its panes.
pub fn panes() -> Vec<Box<dyn Pane>> {
    vec![
        Box::new(Stream),
        Box::new(Notes),
        Box::new(Feed),
        Box::new(Charts),
        Box::new(Histogram),
        Box::new(Events::of_stream()),
    ]
}

/// What it is on top, what else is known of it, the feed it is part of, the minute, then gaps beside
/// events. On a small screen the one with the focus takes the place of the minute, or of the feed where
/// there is one.
pub fn layout(area: Rect, plan: &Plan) -> Vec<Rect> {
    let none = Rect::default();
    let split = |area, top| Layout::vertical([Constraint::Length(top), Constraint::Min(0)]).areas(area);
    // On a small screen a feed needs all the room there is. Else all eleven rows of figures are shown, or
    // what leaves the charts enough.
    let small = area.height < 30;
    let high = match (small, plan.feed) {
        (true, true) => 9,
        (true, false) => 12,
        _ => 13,
    };
    let [top, rest]: [Rect; 2] = split(area, high);
    let wanted = match small {
        true if plan.feed && plan.focus != Kind::Notes => 0,
        true => plan.notes.min(4),
        false => plan.notes,
    };
    let [notes, rest]: [Rect; 2] = split(rest, wanted);
    let mut places = vec![top, notes, none, none, none, none];
    if small {
        let shown = match plan.focus {
            Kind::Charts => 3,
            Kind::Histogram => 4,
            Kind::Events => 5,
            _ if plan.feed => 2,
            _ => 3,
        };
        places[shown] = rest;
        return places;
    }
    let mut rest = rest;
    if plan.feed {
        let high = if rest.height >= 44 { feed::HIGH } else { feed::LOW };
        [places[2], rest] = split(rest, high);
        // Short of height the minute gives way to the feed's, unless it is looked at.
        if rest.height < 20 {
            if plan.focus == Kind::Charts {
                places[3] = rest;
            } else {
                [places[4], places[5]] = beside(rest);
            }
            return places;
        }
    }
    [places[3], rest] = split(rest, (rest.height * 11 / 20).clamp(11, 26));
    [places[4], places[5]] = beside(rest);
    places
}

fn beside(area: Rect) -> [Rect; 2] {
    Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(area)
}
