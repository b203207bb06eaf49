//! A list whose newest row stands on top: packets, events. Rows are known by their number. While
//! none is selected it follows the newest; a selected row stays where it is while others arrive.

use std::ops::Range;

/// The rows there are, by number.
#[derive(Clone, Copy, Debug)]
pub enum Rows<'a> {
    /// All from `first` up to, not including, `end`.
    All {
        /// The oldest kept.
        first: u64,
        /// One past the newest.
        end: u64,
    },
    /// Only these, the oldest first: ascending but for a few that were told late.
    Some(&'a [u64]),
}

impl Rows<'_> {
    /// How many.
    pub fn len(&self) -> usize {
        match self {
            Rows::All { first, end } => (end - first) as usize,
            Rows::Some(list) => list.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The number of the row at this place, 0 the newest.
    pub fn at(&self, place: usize) -> Option<u64> {
        let i = self.len().checked_sub(place + 1)?;
        match self {
            Rows::All { first, .. } => Some(first + i as u64),
            Rows::Some(list) => list.get(i).copied(),
        }
    }

    /// The place of this row or, if it is gone, of the next older one; the last place if none is.
    pub fn place(&self, number: u64) -> usize {
        let not_above = match self {
            Rows::All { first, end } => (number + 1).clamp(*first, *end) - first,
            Rows::Some(list) => {
                let at = list.partition_point(|&n| n <= number);
                let place = match at.checked_sub(1).and_then(|i| list.get(i)) {
                    Some(&n) if n == number => at,
                    _ => list.iter().rposition(|&n| n == number).map_or(at, |i| i + 1),
                };
                place as u64
            }
        } as usize;
        (self.len() - not_above).min(self.len().saturating_sub(1))
    }
}

/// Where such a list stands.
#[derive(Clone, Copy, Debug, Default)]
pub struct Feed {
    /// Number of the topmost row while the list stands still.
    top: Option<u64>,
    /// Rows that were visible last.
    pub height: usize,
}

impl Feed {
    /// The places to draw.
    pub fn window(&mut self, rows: &Rows<'_>, selected: Option<u64>, height: usize) -> Range<usize> {
        self.height = height.max(1);
        let Some(selected) = selected else {
            self.top = None;
            return 0..rows.len().min(height);
        };
        let place = rows.place(selected);
        let mut top = self.top.map_or(place, |t| rows.place(t));
        // Following ends with the selection where it is: the newest row was on top.
        if place < top {
            top = place;
        } else if place >= top + self.height {
            top = place + 1 - self.height;
        }
        top = top.min(rows.len().saturating_sub(self.height));
        self.top = rows.at(top);
        top..rows.len().min(top + height)
    }

    /// The row selected after moving by `by` places (down is older); `None` follows the newest.
    pub fn moved(&self, rows: &Rows<'_>, selected: Option<u64>, by: isize) -> Option<u64> {
        if rows.is_empty() {
            return None;
        }
        match selected {
            None if by <= 0 => None,
            None => rows.at((by as usize).min(rows.len() - 1)),
            Some(s) => match rows.place(s).checked_add_signed(by) {
                None => None,
                Some(place) => rows.at(place.min(rows.len() - 1)),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selected_row_stays_on_its_line_while_new_ones_arrive() {
        let mut feed = Feed::default();
        let rows = |end| Rows::All { first: 0, end };
        assert_eq!(feed.window(&rows(100), None, 10), 0..10);
        let s = feed.moved(&rows(100), None, 3);
        assert_eq!(s, Some(96));
        // The first window after following shows the selection with what was above it gone by.
        let w = feed.window(&rows(100), s, 10);
        let line = rows(100).place(96) - w.start;
        let w = feed.window(&rows(5_000), s, 10);
        assert_eq!(rows(5_000).place(96) - w.start, line);
    }

    #[test]
    fn moving_above_the_newest_follows_again() {
        let feed = Feed { top: None, height: 5 };
        let rows = Rows::Some(&[3, 8, 9]);
        assert_eq!(feed.moved(&rows, Some(8), -1), Some(9));
        assert_eq!(feed.moved(&rows, Some(9), -1), None);
        assert_eq!(feed.moved(&rows, Some(9), 50), Some(3));
        assert_eq!(feed.moved(&Rows::Some(&[]), None, 1), None);
        let late = Rows::Some(&[3, 9, 8, 10]);
        assert_eq!([3, 9, 8, 10].map(|n| late.place(n)), [3, 2, 1, 0]);
        assert_eq!(feed.moved(&late, Some(8), 1), Some(9));
    }

    #[test]
    fn forgotten_rows_leave_the_selection_at_the_oldest_kept() {
        let mut feed = Feed { top: Some(20), height: 5 };
        let rows = Rows::All { first: 50, end: 60 };
        assert_eq!(feed.window(&rows, Some(20), 5), 5..10);
        assert_eq!(rows.place(20), 9);
    }
}
