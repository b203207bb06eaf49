//! A form: fields in rows, one of which has the focus and takes the keys.
//!
//! Tab and Shift-Tab go through the fields, Up and Down from row to row, Left and Right move the
//! cursor or choose, Space ticks, Enter submits. What is wrong with a field stands under it.

use std::ops::Range;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use unicode_width::UnicodeWidthStr;

use super::choice::Choice;
use super::input::{Edit, LineInput, Look};
use super::popup::{put, wrap};
use super::value::Trouble;
use crate::ui::theme::Theme;

/// Rows that a form has at most, with its notes and errors.
const MAX_ROWS: u16 = 160;

/// What a field is edited by.
#[derive(Clone, Debug)]
pub enum Control {
    /// A line of text.
    Line(LineInput),
    /// One of several.
    Choice(Choice),
    /// Yes or no, with its words behind the box.
    Check(bool, &'static str),
}

/// A field of a form.
#[derive(Clone, Debug)]
pub struct Field<K> {
    /// What it is.
    pub key: K,
    /// The words before it.
    pub label: &'static str,
    /// The column where the label begins.
    pub column: u16,
    /// Columns of the label with the blank behind it.
    pub label_width: u16,
    /// Columns of a line's text; the rest of the row if `None`.
    pub width: Option<u16>,
    /// What it is edited by.
    pub control: Control,
    /// Shown in an empty line.
    pub placeholder: String,
    /// What may be written, for whoever has the focus on it.
    pub hint: &'static str,
    /// Left out for now.
    pub hidden: bool,
    /// What is wrong with it.
    pub trouble: Option<Trouble>,
    /// What follows from it, under it.
    pub notes: Vec<String>,
}

impl<K> Field<K> {
    fn new(key: K, label: &'static str, control: Control) -> Self {
        Field {
            key,
            label,
            column: 0,
            label_width: 10,
            width: None,
            control,
            placeholder: String::new(),
            hint: "",
            hidden: false,
            trouble: None,
            notes: Vec::new(),
        }
    }

    /// A line of text.
    pub fn line(key: K, label: &'static str, text: &str) -> Self {
        Field::new(key, label, Control::Line(LineInput::new(text)))
    }

    /// One of several.
    pub fn choice(key: K, label: &'static str, choice: Choice) -> Self {
        Field::new(key, label, Control::Choice(choice))
    }

    /// A box to tick.
    pub fn check(key: K, label: &'static str, on: bool, words: &'static str) -> Self {
        Field::new(key, label, Control::Check(on, words))
    }

    /// At this column, with so many columns for its label and for its text.
    #[must_use]
    pub fn at(self, column: u16, label_width: u16, width: u16) -> Self {
        Field { column, label_width, width: Some(width), ..self }
    }

    /// With this shown while it is empty.
    #[must_use]
    pub fn placeholder(self, text: &str) -> Self {
        Field { placeholder: text.to_owned(), ..self }
    }

    /// With this said while it has the focus.
    #[must_use]
    pub fn hint(self, hint: &'static str) -> Self {
        Field { hint, ..self }
    }

    /// Whether what is wrong with it is to be said: what is unfinished is none while it is typed.
    fn is_wrong(&self, focused: bool) -> bool {
        self.trouble.as_ref().is_some_and(|t| !(t.unfinished && focused))
    }
}

/// What a form did with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Did<K> {
    /// Nothing: the dialog may use it.
    Nothing,
    /// The cursor or the focus moved.
    Moved,
    /// This field has another value.
    Changed(K),
    /// Enter was pressed.
    Submit,
}

/// Fields in rows.
#[derive(Clone, Debug)]
pub struct Form<K> {
    rows: Vec<Vec<Field<K>>>,
    focus: K,
    /// Enter was pressed on something wrong: nothing is excused as unfinished until the next change.
    strict: bool,
    scroll: u16,
}

/// A form drawn at full height, to be shown through a window.
#[derive(Clone, Debug)]
pub struct Sheet {
    buffer: Buffer,
    /// Rows in all.
    pub height: u16,
    focus: Range<u16>,
}

impl<K: Copy + PartialEq> Form<K> {
    /// A form with the focus on `focus`.
    pub fn new(rows: Vec<Vec<Field<K>>>, focus: K) -> Self {
        Form { rows, focus, strict: false, scroll: 0 }
    }

    /// All fields.
    pub fn fields(&self) -> impl DoubleEndedIterator<Item = &Field<K>> {
        self.rows.iter().flatten()
    }

    /// A field.
    ///
    /// # Panics
    /// If the form was made without it.
    pub fn field(&self, key: K) -> &Field<K> {
        self.fields().find(|f| f.key == key).expect("a form has each of its keys")
    }

    /// A field, to be changed.
    ///
    /// # Panics
    /// If the form was made without it.
    pub fn field_mut(&mut self, key: K) -> &mut Field<K> {
        let mut fields = self.rows.iter_mut().flatten();
        fields.find(|f| f.key == key).expect("a form has each of its keys")
    }

    /// The text of a line; empty for other fields.
    pub fn text(&self, key: K) -> &str {
        match &self.field(key).control {
            Control::Line(line) => line.value(),
            _ => "",
        }
    }

    /// The place of what is chosen; 0 for other fields.
    pub fn chosen(&self, key: K) -> usize {
        match &self.field(key).control {
            Control::Choice(choice) => choice.at(),
            _ => 0,
        }
    }

    /// Whether a box is ticked.
    pub fn checked(&self, key: K) -> bool {
        matches!(self.field(key).control, Control::Check(true, _))
    }

    /// Puts a text into a line, the cursor behind it.
    pub fn set_text(&mut self, key: K, text: &str) {
        if let Control::Line(line) = &mut self.field_mut(key).control {
            line.set(text);
        }
    }

    /// Chooses the option at this place.
    pub fn choose(&mut self, key: K, at: usize) {
        if let Control::Choice(choice) = &mut self.field_mut(key).control {
            choice.choose(at);
        }
    }

    /// Ticks a box or not.
    pub fn check(&mut self, key: K, on: bool) {
        if let Control::Check(ticked, _) = &mut self.field_mut(key).control {
            *ticked = on;
        }
    }

    /// Leaves a field out or shows it. The focus leaves a hidden field.
    pub fn hide(&mut self, key: K, hidden: bool) {
        self.field_mut(key).hidden = hidden;
        if hidden && self.focus == key {
            self.step(1);
        }
    }

    /// Says what is wrong with a field, or that nothing is.
    pub fn set_trouble(&mut self, key: K, trouble: Option<Trouble>) {
        self.field_mut(key).trouble = trouble;
    }

    /// The field with the focus.
    pub fn focus(&self) -> K {
        self.focus
    }

    /// Whether the cursor stands behind the text of the line with the focus.
    pub fn at_end(&self) -> bool {
        matches!(&self.field(self.focus).control, Control::Line(line) if line.at_end())
    }

    /// Puts the focus on a field.
    pub fn set_focus(&mut self, key: K) {
        if !self.field(key).hidden {
            self.focus = key;
        }
    }

    /// The first visible field with something wrong, unfinished or not; it gets the focus, the cursor
    /// at the wrong part, and is shown as wrong from now on.
    pub fn first_trouble(&mut self) -> Option<K> {
        let key = self.fields().find(|f| !f.hidden && f.trouble.is_some())?.key;
        self.focus = key;
        self.strict = true;
        let field = self.field_mut(key);
        if let (Control::Line(line), Some(trouble)) = (&mut field.control, &field.trouble) {
            line.move_to(trouble.span.end);
        }
        Some(key)
    }

    /// What is said of the field with the focus: how to write it, or what to do about its error.
    pub fn hint(&self) -> &str {
        let field = self.field(self.focus);
        let help = field.trouble.as_ref().and_then(|t| t.help.as_deref());
        let wrong = field.is_wrong(!self.strict);
        help.filter(|_| wrong || field.hint.is_empty()).unwrap_or(field.hint)
    }

    /// Takes a key.
    pub fn key(&mut self, key: KeyEvent) -> Did<K> {
        let focus = self.focus;
        match key.code {
            KeyCode::Enter => return Did::Submit,
            KeyCode::Tab => return self.step(1),
            KeyCode::BackTab => return self.step(-1),
            _ => {}
        }
        let control = &mut self.field_mut(focus).control;
        let changed = match control {
            Control::Line(line) => match line.key(key) {
                Edit::Changed => true,
                Edit::Moved => return Did::Moved,
                Edit::Ignored => return self.arrow(key),
            },
            Control::Choice(choice) => choice.key(key),
            Control::Check(on, _) if key.code == KeyCode::Char(' ') => {
                *on = !*on;
                true
            }
            Control::Check(..) => false,
        };
        if changed {
            self.strict = false;
            return Did::Changed(focus);
        }
        self.arrow(key)
    }

    /// Takes pasted text, if a line has the focus.
    pub fn paste(&mut self, text: &str) -> Did<K> {
        let focus = self.focus;
        let Control::Line(line) = &mut self.field_mut(focus).control else { return Did::Nothing };
        if line.paste(text) != Edit::Changed {
            return Did::Nothing;
        }
        self.strict = false;
        Did::Changed(focus)
    }

    /// The arrow keys, where the field itself had no use for them.
    fn arrow(&mut self, key: KeyEvent) -> Did<K> {
        let line = matches!(self.field(self.focus).control, Control::Line(_));
        match key.code {
            _ if key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) => Did::Nothing,
            KeyCode::Up => self.row(-1),
            KeyCode::Down => self.row(1),
            KeyCode::Left if !line => self.step(-1),
            KeyCode::Right if !line => self.step(1),
            _ => Did::Nothing,
        }
    }

    /// The next or the last field before, around the ends.
    fn step(&mut self, by: isize) -> Did<K> {
        let all: Vec<(K, bool)> = self.fields().map(|f| (f.key, f.hidden)).collect();
        let Some(at) = all.iter().position(|(key, _)| *key == self.focus) else { return Did::Nothing };
        let ring = (1..all.len()).map(|n| {
            let n = n as isize * by;
            all[(at as isize + n).rem_euclid(all.len() as isize) as usize]
        });
        match ring.into_iter().find(|(_, hidden)| !hidden) {
            Some((key, _)) => {
                self.focus = key;
                Did::Moved
            }
            None => Did::Nothing,
        }
    }

    /// The field of the next or the last row before whose column is nearest.
    fn row(&mut self, by: isize) -> Did<K> {
        let shown = |row: &&Vec<Field<K>>| row.iter().any(|f| !f.hidden);
        let rows: Vec<&Vec<Field<K>>> = self.rows.iter().filter(shown).collect();
        let Some(at) = rows.iter().position(|row| row.iter().any(|f| f.key == self.focus)) else {
            return Did::Nothing;
        };
        let Some(next) = at.checked_add_signed(by).and_then(|n| rows.get(n)) else { return Did::Nothing };
        let column = self.field(self.focus).column;
        let fields = next.iter().filter(|f| !f.hidden);
        let Some(key) = fields.min_by_key(|f| f.column.abs_diff(column)).map(|f| f.key) else {
            return Did::Nothing;
        };
        self.focus = key;
        Did::Moved
    }

    /// Draws the whole form, `width` columns wide.
    pub fn sheet(&mut self, width: u16, theme: &Theme) -> Sheet {
        let area = Rect::new(0, 0, width.max(1), MAX_ROWS);
        let mut sheet = Sheet { buffer: Buffer::empty(area), height: 0, focus: 0..0 };
        let (focus, strict) = (self.focus, self.strict);
        for row in &mut self.rows {
            let top = sheet.height;
            let mut height = 0;
            let mut marks = Vec::new();
            for (i, field) in row.iter_mut().enumerate().filter(|(_, f)| !f.hidden) {
                let focused = field.key == focus;
                let wrong = field.is_wrong(focused && !strict);
                let (rows, mark) = draw_field(&mut sheet.buffer, area, top, field, focused, wrong, theme);
                height = height.max(rows);
                if wrong {
                    marks.push((focused, i, mark));
                }
            }
            sheet.height = top + height;
            // One error a row: that of the field with the focus, otherwise the first.
            marks.sort_by_key(|(focused, i, _)| (!focused, *i));
            if let Some((_, i, mark)) = marks.into_iter().next() {
                draw_trouble(&mut sheet, area, &row[i], mark, theme);
            }
            for field in row.iter().filter(|f| !f.hidden) {
                let x = field.column + field.label_width;
                for note in &field.notes {
                    for line in wrap(note, usize::from(width.saturating_sub(x))) {
                        put(&mut sheet.buffer, area, x, sheet.height, &line, theme.dim);
                        sheet.height += 1;
                    }
                }
            }
            if row.iter().any(|f| f.key == focus) {
                sheet.focus = top..sheet.height;
            }
        }
        sheet.height = sheet.height.min(MAX_ROWS);
        sheet
    }

    /// Shows the part of the form around the focus that fits into `area`.
    pub fn show(&mut self, sheet: &Sheet, buf: &mut Buffer, area: Rect, theme: &Theme) {
        let area = area.intersection(buf.area);
        let most = sheet.height.saturating_sub(area.height);
        let scroll = self.scroll.max(sheet.focus.end.saturating_sub(area.height));
        self.scroll = scroll.min(sheet.focus.start).min(most);
        for y in 0..area.height.min(sheet.height) {
            for x in 0..area.width.min(sheet.buffer.area.width) {
                buf[(area.x + x, area.y + y)] = sheet.buffer[(x, self.scroll + y)].clone();
            }
        }
        let right = area.width.saturating_sub(1);
        if self.scroll > 0 {
            put(buf, area, right, 0, "↑", theme.accent);
        }
        if self.scroll < most {
            put(buf, area, right, area.height.saturating_sub(1), "↓", theme.accent);
        }
    }
}

/// Draws one field; returns its rows and the columns of its wrong part.
fn draw_field<K>(
    buf: &mut Buffer,
    area: Rect,
    top: u16,
    field: &mut Field<K>,
    focused: bool,
    wrong: bool,
    theme: &Theme,
) -> (u16, Option<Range<u16>>) {
    let label = if focused { theme.accent.add_modifier(Modifier::BOLD) } else { theme.dim };
    put(buf, area, field.column, top, field.label, label);
    let x = field.column + field.label_width;
    let room = area.width.saturating_sub(x);
    let place = Rect {
        x: x.min(area.right()),
        y: top.min(area.bottom()),
        width: field.width.unwrap_or(room).min(room),
        height: area.height.saturating_sub(top),
    };
    match &mut field.control {
        Control::Line(line) => {
            let bad = theme.bad.add_modifier(Modifier::UNDERLINED);
            let mark = field.trouble.as_ref().filter(|_| wrong).map(|t| (&t.span, bad));
            let look = Look { theme, focused, mark, placeholder: &field.placeholder };
            let columns = line.draw(buf, place, look);
            (1, columns.map(|c| x + c.start..x + c.end))
        }
        Control::Choice(choice) => (choice.draw(buf, place, focused, theme), None),
        Control::Check(on, words) => {
            let text = format!("{} {words}", if *on { "[x]" } else { "[ ]" });
            let style = if focused { theme.text.patch(theme.selected) } else { theme.text };
            put(buf, place, 0, 0, &text, style);
            (1, None)
        }
    }
}

/// Marks the wrong part from below and says what is wrong.
fn draw_trouble<K>(sheet: &mut Sheet, area: Rect, field: &Field<K>, mark: Option<Range<u16>>, theme: &Theme) {
    let Some(trouble) = &field.trouble else { return };
    let left = field.column + field.label_width;
    let carets = mark.unwrap_or(left..left);
    let marks = "^".repeat(usize::from(carets.end - carets.start));
    let mut x = put(&mut sheet.buffer, area, carets.start, sheet.height, &marks, theme.bad);
    if !marks.is_empty() {
        x += 1;
    }
    let fits = usize::from(x) + trouble.message.width() <= usize::from(area.width);
    if fits {
        put(&mut sheet.buffer, area, x, sheet.height, &trouble.message, theme.bad);
        sheet.height += 1;
        return;
    }
    if !marks.is_empty() {
        sheet.height += 1;
    }
    // Too long to stand behind the mark: under it, from as far left as it needs.
    let left = left.min(10).min(area.width / 2);
    for line in wrap(&trouble.message, usize::from(area.width - left)) {
        put(&mut sheet.buffer, area, left, sheet.height, &line, theme.bad);
        sheet.height += 1;
    }
}

/// The style of an option that is chosen and one that is not.
pub(super) fn option_style(theme: &Theme, dim: bool, focused: bool) -> Style {
    let style = if dim { theme.dim } else { theme.text };
    if focused { style.patch(theme.selected) } else { style }
}
