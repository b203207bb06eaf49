//! Which rows a datagram is for. Pure.

use std::cell::Cell;
use std::net::IpAddr;

use hashbrown::HashMap;

use crate::base::group::{Endpoint, SourceFilter};
use crate::base::time::Wall;

/// A row that a destination leads to.
struct Target {
    row: usize,
    filter: SourceFilter,
    /// Its membership stands since then: what the ring held from before is not the row's.
    since: Option<Wall>,
}

/// Destinations and the rows that joined them: several, where they differ in their sources.
#[derive(Default)]
pub struct Table {
    places: HashMap<Endpoint, usize>,
    /// The rows of each destination; an empty place is free.
    targets: Vec<(Endpoint, Vec<Target>)>,
    /// Where the last datagram went: the next one mostly goes there too, and need not be looked up.
    last: Cell<usize>,
    /// How many rows joined each group, whatever the port.
    groups: HashMap<IpAddr, usize>,
}

impl Table {
    /// Adds a row.
    pub fn add(&mut self, row: usize, to: Endpoint, filter: SourceFilter, since: Wall) {
        let Table { places, targets, .. } = self;
        let place = *places.entry(to).or_insert_with(|| {
            targets.iter().position(|(_, rows)| rows.is_empty()).unwrap_or_else(|| {
                targets.push((to, Vec::new()));
                targets.len() - 1
            })
        });
        targets[place].0 = to;
        targets[place].1.push(Target { row, filter, since: Some(since) });
        *self.groups.entry(to.ip).or_default() += 1;
    }

    /// Takes a row out.
    pub fn remove(&mut self, row: usize, to: Endpoint) {
        let Some(&place) = self.places.get(&to) else { return };
        let list = &mut self.targets[place].1;
        let before = list.len();
        list.retain(|t| t.row != row);
        let removed = before - list.len();
        if list.is_empty() {
            self.places.remove(&to);
        }
        if let Some(n) = self.groups.get_mut(&to.ip) {
            *n -= removed;
            if *n == 0 {
                self.groups.remove(&to.ip);
            }
        }
    }

    /// A row's filter is another now.
    pub fn set_filter(&mut self, row: usize, to: Endpoint, filter: &SourceFilter) {
        if let Some(t) = self.target(row, to) {
            t.filter = filter.clone();
        }
    }

    /// Nothing from before a row's join is in the ring any more: its times are not looked at from now on,
    /// so that a clock that is set back does no harm.
    pub fn settle(&mut self, row: usize, to: Endpoint) {
        if let Some(t) = self.target(row, to) {
            t.since = None;
        }
    }

    fn target(&mut self, row: usize, to: Endpoint) -> Option<&mut Target> {
        self.targets[*self.places.get(&to)?].1.iter_mut().find(|t| t.row == row)
    }

    /// Calls `f` with each row that a datagram is for.
    #[inline]
    pub fn deliver(&self, to: Endpoint, from: IpAddr, time: Wall, mut f: impl FnMut(usize)) {
        let place = match self.targets.get(self.last.get()) {
            Some((last, _)) if *last == to => self.last.get(),
            _ => match self.places.get(&to) {
                Some(&place) => place,
                None => return,
            },
        };
        self.last.set(place);
        for t in &self.targets[place].1 {
            if t.since.is_none_or(|s| time >= s) && t.filter.passes(from) {
                f(t.row);
            }
        }
    }

    /// Whether any row joined this group.
    pub fn has_group(&self, group: IpAddr) -> bool {
        self.groups.contains_key(&group)
    }

    /// The groups joined.
    pub fn groups(&self) -> Vec<IpAddr> {
        self.groups.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(text: &str) -> Endpoint {
        Endpoint::from(text.parse::<std::net::SocketAddr>().unwrap())
    }

    fn rows(t: &Table, dest: &str, from: &str, time: i64) -> Vec<usize> {
        let mut out = Vec::new();
        t.deliver(to(dest), from.parse().unwrap(), Wall(time), |row| out.push(row));
        out
    }

    #[test]
    fn rows_on_one_group_get_what_their_filters_let_through() {
        let mut t = Table::default();
        let (group, a, b) = ("239.1.1.1:5004", "10.0.0.1", "10.0.0.2");
        let list = |s: &str| vec![s.parse().unwrap()];
        t.add(0, to(group), SourceFilter::Any, Wall(0));
        t.add(1, to(group), SourceFilter::Include(list(a)), Wall(0));
        t.add(2, to(group), SourceFilter::Exclude(list(a)), Wall(0));
        t.add(3, to("239.1.1.1:5005"), SourceFilter::Any, Wall(0));
        assert_eq!(rows(&t, group, a, 1), [0, 1]);
        assert_eq!(rows(&t, group, b, 1), [0, 2]);
        assert_eq!(rows(&t, "239.1.1.1:5005", b, 1), [3]);
        assert!(rows(&t, "239.1.1.1:5006", b, 1).is_empty() && rows(&t, "239.1.1.2:5004", b, 1).is_empty());
        t.set_filter(0, to(group), &SourceFilter::Exclude(list(b)));
        assert_eq!(rows(&t, group, b, 1), [2]);
        t.remove(2, to(group));
        assert!(rows(&t, group, b, 1).is_empty());
        t.remove(0, to(group));
        t.remove(1, to(group));
        assert!(t.has_group("239.1.1.1".parse().unwrap()), "another port is still joined");
        t.remove(3, to("239.1.1.1:5005"));
        assert!(t.groups().is_empty() && t.places.is_empty());
        assert!(rows(&t, group, a, 1).is_empty(), "where the last one went nobody is any more");
        t.add(4, to("239.1.1.3:5004"), SourceFilter::Any, Wall(0));
        assert_eq!(rows(&t, "239.1.1.3:5004", b, 1), [4], "in the place of another");
        assert!(rows(&t, group, a, 1).is_empty());
    }

    #[test]
    fn what_is_from_before_the_join_is_not_the_rows() {
        let mut t = Table::default();
        let group = "[ff05::77]:5004";
        t.add(0, to(group), SourceFilter::Any, Wall(100));
        assert!(rows(&t, group, "fd00::1", 99).is_empty());
        assert_eq!(rows(&t, group, "fd00::1", 100), [0]);
        t.settle(0, to(group));
        assert_eq!(rows(&t, group, "fd00::1", 5), [0], "the clock was set back");
    }
}
