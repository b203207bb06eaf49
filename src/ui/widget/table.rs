//! A table: which columns fit, in which order the rows stand, which of them are visible.
//!
//! Rows are known by a number of their own (`u32`), never by their place. Sorting costs one key a row
//! and is done at most once a second; of many rows only those near the window are put in order.

use std::borrow::Cow;
use std::cell::Cell;
use std::cmp::Ordering;
use std::net::IpAddr;
use std::rc::Rc;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::base::group::Endpoint;
use crate::base::time::{Mono, SECOND_NS};
use crate::ui::keys::Cmd;
use crate::ui::theme::Theme;
use crate::ui::widget::frame::{put, put_right};

/// Cells at the left edge for the mark of the selected row and a sign.
pub const EDGE: u16 = 3;

/// A column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// The heading, with the unit.
    pub head: &'static str,
    /// What it is, in the column chooser and in the words of the order.
    pub name: &'static str,
    /// How wide it may be.
    pub widths: Widths,
    /// Numbers stand on the right.
    pub right: bool,
    /// When room is short the highest goes first; 0 stays.
    pub rank: u8,
}

/// How wide a column may be.
#[derive(Clone, Copy, Debug)]
pub enum Widths {
    /// One of these, ascending.
    Steps(&'static [u16]),
    /// Anything from the first to the second.
    Range(u16, u16),
}

impl Column {
    /// A column of the widths listed.
    pub const fn steps(head: &'static str, name: &'static str, widths: &'static [u16], rank: u8) -> Column {
        Column { head, name, widths: Widths::Steps(widths), right: false, rank }
    }

    /// A column of numbers.
    pub const fn number(head: &'static str, name: &'static str, width: u16, rank: u8) -> Column {
        Column { head, name, widths: Widths::Range(width, width), right: true, rank }
    }

    /// A column of text that takes any width from the first to the second.
    pub const fn text(head: &'static str, name: &'static str, least: u16, most: u16, rank: u8) -> Column {
        Column { head, name, widths: Widths::Range(least, most), right: false, rank }
    }

    fn least(&self) -> u16 {
        match self.widths {
            Widths::Steps(list) => list.first().copied().unwrap_or(0),
            Widths::Range(least, _) => least,
        }
    }

    /// The width it takes when `room` is there, which is at least the least.
    fn grown(&self, room: u16) -> u16 {
        match self.widths {
            Widths::Steps(list) => list.iter().copied().filter(|&w| w <= room).max().unwrap_or(0),
            Widths::Range(_, most) => most.min(room),
        }
        .max(self.least())
    }
}

/// A column in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its number.
    pub column: usize,
    /// Its left edge.
    pub x: u16,
    /// Its width.
    pub width: u16,
}

/// Which columns fit into `width` cells and where, one blank apart. Spare room goes to those that
/// can grow: strips, then texts, the most important first.
pub fn place(columns: &[Column], hidden: u64, x: u16, width: u16) -> Vec<Placed> {
    let mut chosen: Vec<usize> = (0..columns.len()).filter(|i| hidden & (1 << i) == 0).collect();
    let need = |c: &[usize]| c.iter().map(|&i| columns[i].least() + 1).sum::<u16>().saturating_sub(1);
    while need(&chosen) > width {
        let Some(worst) = (0..chosen.len()).max_by_key(|&k| (columns[chosen[k]].rank, k)) else { break };
        if columns[chosen[worst]].rank == 0 {
            break;
        }
        chosen.remove(worst);
    }
    let mut spare = width.saturating_sub(need(&chosen));
    let mut widths: Vec<u16> = chosen.iter().map(|&i| columns[i].least()).collect();
    // Strips first: they grow in steps and leave what is between two steps to the texts.
    let mut by_rank: Vec<usize> = (0..chosen.len()).collect();
    by_rank.sort_by_key(|&k| {
        let c = &columns[chosen[k]];
        (matches!(c.widths, Widths::Range(..)), c.rank)
    });
    for k in by_rank {
        let c = &columns[chosen[k]];
        let grown = c.grown(widths[k] + spare);
        spare -= grown - widths[k];
        widths[k] = grown;
    }
    let mut at = x;
    let mut placed = Vec::with_capacity(chosen.len());
    for (column, width) in chosen.into_iter().zip(widths) {
        placed.push(Placed { column, x: at, width });
        at += width + 1;
    }
    placed
}

/// What a row is sorted by. What is absent comes last either way.
#[derive(Clone, Debug, PartialEq)]
pub enum Key<'a> {
    /// Nothing to sort by.
    Absent,
    /// A figure.
    Num(f64),
    /// An address and port.
    Addr(u8, u128, u16),
    /// A text.
    Text(Cow<'a, str>),
}

impl Key<'_> {
    /// An optional figure.
    pub fn num(n: Option<f64>) -> Self {
        n.map_or(Key::Absent, Key::Num)
    }

    /// An endpoint, IPv4 first.
    pub fn endpoint(e: Endpoint) -> Self {
        match e.ip {
            IpAddr::V4(ip) => Key::Addr(4, u128::from(u32::from(ip)), e.port),
            IpAddr::V6(ip) => Key::Addr(6, u128::from(ip), e.port),
        }
    }

    /// The key as a word that sorts as it does, where one is enough: with many rows that is several times
    /// cheaper. A column has either figures or addresses.
    fn word(&self, descending: bool) -> Option<u64> {
        let word = match self {
            Key::Absent => return Some(u64::MAX),
            // The order of `f64::total_cmp`.
            Key::Num(n) => match n.to_bits() {
                bits if bits >> 63 == 0 => bits | 1 << 63,
                bits => !bits,
            },
            Key::Addr(4, ip, port) => (*ip as u64) << 16 | u64::from(*port),
            Key::Addr(..) | Key::Text(_) => return None,
        };
        Some(if descending { !word } else { word }).filter(|&w| w != u64::MAX)
    }

    /// The key that has this word, in a column of figures or one of addresses.
    fn of_word(word: u64, descending: bool, addresses: bool) -> Self {
        let plain = if descending { !word } else { word };
        match word {
            u64::MAX => Key::Absent,
            _ if addresses => Key::Addr(4, u128::from(plain >> 16), plain as u16),
            _ if plain >> 63 == 1 => Key::Num(f64::from_bits(plain & !(1 << 63))),
            _ => Key::Num(f64::from_bits(!plain)),
        }
    }

    fn order(&self, other: &Self, descending: bool) -> Ordering {
        let by = match (self, other) {
            (Key::Absent, Key::Absent) => Ordering::Equal,
            (Key::Absent, _) => return Ordering::Greater,
            (_, Key::Absent) => return Ordering::Less,
            (Key::Num(a), Key::Num(b)) => a.total_cmp(b),
            (Key::Addr(a, b, c), Key::Addr(d, e, f)) => (a, b, c).cmp(&(d, e, f)),
            (Key::Text(a), Key::Text(b)) => a.cmp(b),
            _ => Ordering::Equal,
        };
        if descending { by.reverse() } else { by }
    }
}

/// A table's state.
pub struct Grid {
    /// Columns that the user took away, a bit each; shared with the column chooser.
    pub hidden: Rc<Cell<u64>>,
    /// The column sorted by.
    pub sort: usize,
    /// Whether the largest stands first.
    pub descending: bool,
    offset: usize,
    rows: Vec<u32>,
    /// What they were put in order by last: the memory is used again.
    words: Vec<(u64, u32)>,
    sorted: usize,
    made: Option<(Mono, u64)>,
    placed: Vec<Placed>,
    head: Rect,
    body: Rect,
}

impl Grid {
    /// A table sorted by this column.
    pub fn new(sort: usize, descending: bool) -> Grid {
        Grid {
            hidden: Rc::default(),
            sort,
            descending,
            offset: 0,
            rows: Vec::new(),
            words: Vec::new(),
            sorted: 0,
            made: None,
            placed: Vec::new(),
            head: Rect::default(),
            body: Rect::default(),
        }
    }

    /// The rows in order, as far as they are in order.
    pub fn rows(&self) -> &[u32] {
        &self.rows
    }

    /// Columns in their places, as drawn last.
    pub fn placed(&self) -> &[Placed] {
        &self.placed
    }

    /// Rows visible last.
    pub fn height(&self) -> usize {
        self.body.height.max(1) as usize
    }

    /// Lays out heading and body within `area`; returns the body.
    pub fn lay(&mut self, area: Rect, columns: &[Column]) -> Rect {
        self.head = Rect { height: area.height.min(1), ..area };
        self.body = Rect { y: area.y + self.head.height, height: area.height - self.head.height, ..area };
        let room = area.width.saturating_sub(EDGE + 1);
        self.placed = place(columns, self.hidden.get(), area.x + EDGE, room);
        self.body
    }

    /// Brings the order up to date when it is a second old, when `stamp` (what is shown and how it is
    /// sorted) changed, or when rows further down are looked at than are in order.
    pub fn order<'a, K: IntoIterator<Item = (Key<'a>, u32)>>(
        &mut self,
        now: Mono,
        stamp: u64,
        selected: Option<u32>,
        keys: impl FnOnce(usize) -> K,
    ) {
        let stamp = stamp ^ (self.sort as u64) << 56 ^ u64::from(self.descending) << 63;
        let need = self.offset + self.height();
        let place = selected.and_then(|s| self.rows.iter().position(|&r| r == s));
        let fresh = self.made.is_some_and(|(at, s)| s == stamp && now >= at && now.since(at) < SECOND_NS);
        let reached = |n: usize| n <= self.sorted || self.sorted == self.rows.len();
        if fresh && reached(need) && place.is_none_or(|p| reached(p + 1)) {
            return;
        }
        let descending = self.descending;
        let mut words = std::mem::take(&mut self.words);
        words.clear();
        let mut keys = keys(self.sort).into_iter();
        let beyond = keys.by_ref().find_map(|(key, row)| match key.word(descending) {
            Some(word) => {
                words.push((word, row));
                None
            }
            None => Some((key, row)),
        });
        match beyond {
            None => self.arrange(&mut words, need, selected, Ord::cmp, |k| k.1),
            // One that is no word: all of them are compared as they are.
            Some(first) => {
                let addresses = matches!(first.0, Key::Addr(..));
                let known = words.iter().map(|&(word, row)| (Key::of_word(word, descending, addresses), row));
                let mut all: Vec<(Key<'_>, u32)> = known.chain([first]).chain(keys).collect();
                let by =
                    |a: &(Key<'_>, u32), b: &(Key<'_>, u32)| a.0.order(&b.0, descending).then(a.1.cmp(&b.1));
                self.arrange(&mut all, need, selected, by, |k| k.1);
            }
        }
        self.words = words;
        self.made = Some((now, stamp));
    }

    /// Puts the first rows in order, `need` at least and as far as the selected one.
    fn arrange<T>(
        &mut self,
        keys: &mut [T],
        need: usize,
        selected: Option<u32>,
        by: impl Fn(&T, &T) -> Ordering + Copy,
        row: impl Fn(&T) -> u32,
    ) {
        let mut need = need.max(64) * 2;
        if let Some(s) = selected.and_then(|s| keys.iter().find(|k| row(k) == s)) {
            need = need.max(keys.iter().filter(|k| by(k, s) == Ordering::Less).count() + self.height() + 1);
        }
        if need < keys.len() / 2 {
            keys.select_nth_unstable_by(need, by);
            keys[..need].sort_unstable_by(by);
            self.sorted = need;
        } else {
            keys.sort_unstable_by(by);
            self.sorted = keys.len();
        }
        self.rows.clear();
        self.rows.extend(keys.iter().map(row));
    }

    /// The selected row if it is shown, else the one that now stands in its place, else the first.
    pub fn settled(&self, selected: Option<u32>) -> Option<u32> {
        match selected {
            Some(s) if self.rows.contains(&s) => Some(s),
            _ => self.rows.get(self.offset).or(self.rows.first()).copied(),
        }
    }

    /// The visible rows, moved so that the selected one is among them.
    pub fn window(&mut self, selected: Option<u32>) -> Vec<(u16, u32)> {
        let height = self.body.height as usize;
        if height == 0 {
            return Vec::new();
        }
        if let Some(place) = selected.and_then(|s| self.rows.iter().position(|&r| r == s)) {
            if place < self.offset {
                self.offset = place;
            } else if place >= self.offset + height {
                self.offset = place + 1 - height;
            }
        }
        self.offset = self.offset.min(self.rows.len().saturating_sub(height));
        let visible = self.rows.iter().skip(self.offset).take(height);
        visible.enumerate().map(|(i, &r)| (self.body.y + i as u16, r)).collect()
    }

    /// The row `by` places from the selected one.
    pub fn moved(&self, selected: Option<u32>, by: isize) -> Option<u32> {
        let place = selected.and_then(|s| self.rows.iter().position(|&r| r == s));
        let to = match place {
            Some(p) => p.saturating_add_signed(by).min(self.rows.len().saturating_sub(1)),
            None => 0,
        };
        self.rows.get(to).copied()
    }

    /// The row drawn at this line.
    pub fn row_at(&self, y: u16) -> Option<u32> {
        let line = y.checked_sub(self.body.y).filter(|l| *l < self.body.height)?;
        self.rows.get(self.offset + line as usize).copied()
    }

    /// Sorts by the column whose heading is here; again turns the order around. Whether there is one.
    pub fn click_head(&mut self, x: u16, y: u16) -> bool {
        let hit = self.placed.iter().find(|p| x >= p.x && x < p.x + p.width);
        match hit {
            Some(p) if self.head.height > 0 && y == self.head.y => {
                let column = p.column;
                self.descending = if self.sort == column { !self.descending } else { self.descending };
                self.sort = column;
                true
            }
            _ => false,
        }
    }

    /// Does what one of the sort commands asks for; false for any other command.
    pub fn sort_command(&mut self, cmd: Cmd) -> bool {
        match cmd {
            Cmd::SortLeft => self.sort_by(-1),
            Cmd::SortRight => self.sort_by(1),
            Cmd::SortOrder => self.descending = !self.descending,
            _ => return false,
        }
        true
    }

    /// Sorts by the visible column `by` places from the present one.
    fn sort_by(&mut self, by: isize) {
        if self.placed.is_empty() {
            return;
        }
        let at = self.placed.iter().position(|p| p.column == self.sort).unwrap_or(0) as isize;
        let to = (at + by).rem_euclid(self.placed.len() as isize);
        self.sort = self.placed[to as usize].column;
    }

    /// Draws the headings; `head` may say another word for a column.
    pub fn draw_head(
        &self,
        buf: &mut Buffer,
        columns: &[Column],
        theme: &Theme,
        head: impl Fn(&Placed) -> Option<String>,
    ) {
        for p in &self.placed {
            let c = &columns[p.column];
            let style = if p.column == self.sort { theme.accent } else { theme.dim };
            let text = head(p).map_or(Cow::Borrowed(c.head), Cow::Owned);
            self.cell_in(buf, p, self.head.y, c.right, &text, style);
        }
    }

    /// Draws one cell.
    pub fn cell(&self, buf: &mut Buffer, p: &Placed, columns: &[Column], y: u16, text: &str, style: Style) {
        self.cell_in(buf, p, y, columns[p.column].right, text, style);
    }

    fn cell_in(&self, buf: &mut Buffer, p: &Placed, y: u16, right: bool, text: &str, style: Style) {
        if right {
            put_right(buf, p.x + p.width, y, p.width as usize, text, style);
        } else {
            put(buf, p.x, y, p.width as usize, text, style);
        }
    }

    /// Draws the mark of the selected row, and over the whole line its background.
    pub fn mark(&self, buf: &mut Buffer, y: u16, focused: bool, theme: &Theme) {
        if focused {
            buf.set_style(Rect { y, height: 1, ..self.body }, theme.selected);
        }
        let style = if focused { theme.accent } else { theme.dim };
        put(buf, self.body.x, y, 1, "▌", style);
    }

    /// How it is sorted, in words.
    pub fn words(&self, columns: &[Column]) -> String {
        let arrow = if self.descending { "▾" } else { "▴" };
        format!("sorted by {} {arrow}", columns[self.sort].name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[
        Column::text("GROUP", "group", 10, 10, 0),
        Column::text("WHAT", "what", 4, 12, 1),
        Column::number("PKT/S", "pkt/s", 6, 0),
        Column::steps("60 s", "strip", &[20, 30, 60], 3),
        Column::number("OURS", "ours", 4, 5),
    ];

    fn shape(width: u16) -> Vec<(usize, u16)> {
        place(COLUMNS, 0, 0, width).iter().map(|p| (p.column, p.width)).collect()
    }

    #[test]
    fn columns_go_by_rank_and_grow_in_their_steps() {
        assert_eq!(shape(22), [(0, 10), (1, 4), (2, 6)]);
        assert_eq!(shape(27), [(0, 10), (1, 9), (2, 6)]);
        assert_eq!(shape(48), [(0, 10), (1, 4), (2, 6), (3, 20), (4, 4)]);
        assert_eq!(shape(66), [(0, 10), (1, 12), (2, 6), (3, 30), (4, 4)]);
        assert_eq!(place(COLUMNS, 0b10, 3, 20)[1], Placed { column: 2, x: 14, width: 6 });
    }

    fn numbers(list: &[Option<f64>]) -> Vec<(Key<'static>, u32)> {
        list.iter().enumerate().map(|(i, n)| (Key::num(*n), i as u32)).collect()
    }

    #[test]
    fn sorting_is_stable_absent_last_and_at_most_once_a_second() {
        let mut g = Grid::new(2, true);
        g.lay(Rect::new(0, 0, 60, 10), COLUMNS);
        let t = |ms: u64| Mono(ms * 1_000_000);
        let list = [Some(1.0), None, Some(7.0), Some(1.0)];
        g.order(t(0), 0, None, |_| numbers(&list));
        assert_eq!(g.rows(), [2, 0, 3, 1]);
        g.order(t(900), 0, None, |_| -> Vec<(Key<'_>, u32)> { panic!("not yet") });
        g.order(t(1000), 0, None, |_| numbers(&[Some(9.0), None, Some(7.0), None]));
        assert_eq!(g.rows(), [0, 2, 1, 3]);
        g.descending = false;
        g.order(t(1001), 0, None, |_| numbers(&list));
        assert_eq!(g.rows(), [0, 3, 2, 1]);
    }

    #[test]
    fn words_sort_as_keys_do_and_are_given_up_where_they_cannot() {
        let v6 = |n: u16| Key::Addr(6, u128::from(n) << 100, n);
        let v4 = |ip: u32, port: u16| Key::Addr(4, u128::from(ip), port);
        let text = |t: &'static str| Key::Text(t.into());
        let columns = [
            vec![Key::Num(-1.5), Key::Num(0.0), Key::Absent, Key::Num(1e300), Key::Num(-0.0), Key::Num(7.0)],
            vec![v4(9, 1), v4(1, 9), v4(u32::MAX, u16::MAX), v4(9, 0), v4(0, 0)],
            vec![v4(9, 1), v6(2), v4(1, 9), v6(1), v4(u32::MAX, u16::MAX)],
            vec![Key::Absent, text("b"), Key::Absent, text("a"), text("")],
        ];
        for keys in columns {
            for descending in [false, true] {
                let mut want: Vec<u32> = (0..keys.len() as u32).collect();
                want.sort_by(|&a, &b| keys[a as usize].order(&keys[b as usize], descending).then(a.cmp(&b)));
                let mut g = Grid::new(0, descending);
                g.lay(Rect::new(0, 0, 60, 10), COLUMNS);
                g.order(Mono(0), 0, None, |_| keys.iter().cloned().zip(0..));
                assert_eq!(g.rows(), want, "{keys:?}, {descending}");
            }
        }
    }

    #[test]
    fn of_many_rows_those_near_the_window_and_the_selection_are_in_order() {
        let mut g = Grid::new(2, true);
        g.lay(Rect::new(0, 0, 60, 11), COLUMNS);
        let keys =
            || (0..100_000u32).map(|i| (Key::Num(f64::from(i * 7919 % 100_003)), i)).collect::<Vec<_>>();
        let mut whole = keys();
        whole.sort_by(|a, b| a.0.order(&b.0, true).then(a.1.cmp(&b.1)));
        g.order(Mono(0), 0, None, |_| keys());
        let first: Vec<u32> = g.window(None).iter().map(|r| r.1).collect();
        assert_eq!(first, whole[..10].iter().map(|k| k.1).collect::<Vec<_>>());
        let deep = whole[3_000].1;
        g.order(Mono(2_000_000_000), 0, Some(deep), |_| keys());
        let around: Vec<u32> = g.window(Some(deep)).iter().map(|r| r.1).collect();
        assert_eq!(around, whole[2_991..3_001].iter().map(|k| k.1).collect::<Vec<_>>());
        assert_eq!(g.moved(Some(deep), -1), Some(whole[2_999].1));
    }
}
