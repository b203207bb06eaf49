//! The picture of the path: where each station's name and figure stand in a line of text.

use super::finding::{Funnel, Passage, Scope, Station};
use crate::base::units::count;

/// A station in the picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Columns from the left.
    pub column: usize,
    /// The station.
    pub station: Station,
    /// What was counted there; "?" where it is not known, empty where no packet gets to.
    pub figure: String,
    /// Whether packets pass.
    pub passage: Passage,
    /// What dies here and why.
    pub note: Option<String>,
}

/// The stations side by side, `gap` columns between them.
pub fn cells(funnel: &Funnel, gap: usize) -> Vec<Cell> {
    let mut column = 0;
    let mut cells = Vec::with_capacity(funnel.stages.len());
    for s in &funnel.stages {
        let figure = match (s.passage, s.count) {
            (Passage::Dies, Some(n)) if s.scope == Scope::Group => format!("✕ {}", count(n)),
            (Passage::Dies, _) => "✕".to_owned(),
            (Passage::Unreached, _) => String::new(),
            (Passage::Unknown, _) | (_, None) => "?".to_owned(),
            (_, Some(n)) => format!("+{}", count(n)),
        };
        // Every character of a name and a figure takes one column.
        let width = s.station.word().len().max(figure.chars().count());
        let dies = s.passage == Passage::Dies;
        let note = dies.then(|| s.note.clone().unwrap_or_else(|| "they die here".into()));
        cells.push(Cell { column, station: s.station, figure, passage: s.passage, note });
        column += width + gap;
    }
    cells
}

/// The arrow between two stations, `width` columns wide with a blank at each end.
pub fn arrow(width: usize) -> String {
    match width {
        0..4 => " ".repeat(width),
        _ => format!(" {}▶ ", "─".repeat(width - 3)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::{Fate, Stage};

    #[test]
    fn figures_stand_under_their_names_and_widen_their_column() {
        let stage = |station, n, passage| Stage {
            station,
            count: Some(n),
            scope: Scope::Host,
            passage,
            note: Some("why".into()),
        };
        let funnel = Funnel {
            stages: vec![
                stage(Station::Ip, 123_456, Passage::Passes),
                stage(Station::Group, 5, Passage::Dies),
                stage(Station::Port, 5, Passage::Unreached),
            ],
            fate: Fate::Unclear,
            cannot_separate: String::new(),
        };
        let cells = cells(&funnel, 5);
        let first = cells[0].figure.chars().count();
        assert!(first > 2, "wider than the name: {}", cells[0].figure);
        assert_eq!(cells[1].column, first + 5);
        assert_eq!((cells[1].figure.as_str(), cells[1].note.as_deref()), ("✕", Some("why")));
        assert_eq!((cells[2].figure.as_str(), cells[2].column), ("", first + 5 + 5 + 5));
        assert_eq!(arrow(5), " ──▶ ");
    }
}
