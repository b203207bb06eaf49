//! View 2: one stream on one screen.

use ratatui::layout::{Constraint, Layout, Rect};

use crate::ui::pane::charts::Charts;
use crate::ui::pane::events::Events;
use crate::ui::pane::feed::{self, Feed};
use crate::ui::pane::histogram::Histogram;
use crate::ui::pane::stream::Stream;
use crate::ui::pane::{Kind, Pane};
use crate::ui::view::Plan;

/// Its panes.
pub fn panes() -> Vec<Box<dyn Pane>> {
    vec![
        Box::new(Stream),
        Box::new(Feed),
        Box::new(Charts),
        Box::new(Histogram),
        Box::new(Events::of_stream()),
    ]
}

/// What it is on top, then the feed it is part of, the minute, then gaps beside events. On a small
/// screen the one with the focus takes the place of the minute, or of the feed where there is one.
pub fn layout(area: Rect, plan: &Plan) -> Vec<Rect> {
    let none = Rect::default();
    let split = |area, top| Layout::vertical([Constraint::Length(top), Constraint::Min(0)]).areas(area);
    let small = area.height < 30;
    // All eleven rows of figures, or what leaves the charts enough.
    let [top, rest]: [Rect; 2] = split(area, if small { 12 } else { 13 });
    if small {
        let mut places = vec![top, none, none, none, none];
        let shown = match plan.focus {
            Kind::Charts => 2,
            Kind::Histogram => 3,
            Kind::Events => 4,
            _ if plan.feed => 1,
            _ => 2,
        };
        places[shown] = rest;
        return places;
    }
    let (mut both, mut rest) = (none, rest);
    if plan.feed {
        let high = if rest.height >= 44 { feed::HIGH } else { feed::LOW };
        [both, rest] = split(rest, high);
    }
    // Short of height the minute gives way to the feed's, unless it is looked at.
    if plan.feed && rest.height < 20 {
        let mut places = vec![top, both, none, none, none];
        match plan.focus {
            Kind::Charts => places[2] = rest,
            _ => {
                [places[3], places[4]] =
                    Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(rest)
            }
        }
        return places;
    }
    let [charts, bottom]: [Rect; 2] = split(rest, (rest.height * 11 / 20).clamp(11, 26));
    let [gaps, events] = Layout::horizontal([Constraint::Fill(1), Constraint::Fill(1)]).areas(bottom);
    vec![top, both, charts, gaps, events]
}
