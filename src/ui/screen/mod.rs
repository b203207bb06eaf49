//! The dashboard's state: views with their panes, pop-ups, the filter line, pause. It turns terminal
//! events into [`Action`]s and draws itself from what it is given to read.

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::rc::Rc;

/// What the terminal tells [`Screen::handle`]; the loop passes it on without looking into it.
pub use crossterm::event::Event;
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, MouseButton, MouseEvent, MouseEventKind};
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use tui_input::Input;
use tui_input::backend::crossterm::EventHandler;
use unicode_width::UnicodeWidthStr;

use crate::base::group::{Endpoint, MembershipId};
use crate::base::text::{TextError, visible};
use crate::base::time::{Mono, Now, SECOND_NS, Wall};
use crate::model::Totals;
use crate::model::group::Group;
use crate::ui::action::Action;
use crate::ui::dialogs::Dialogs;
use crate::ui::filter::Filter;
use crate::ui::format::clip;
use crate::ui::header::{self, Status};
use crate::ui::keys::{Cmd, Situation};
use crate::ui::layer::{Ctx, Layer, Outcome};
use crate::ui::pane::{Kind, Pane};
use crate::ui::pane::{feed, notes};
use crate::ui::shared::Shared;
use crate::ui::view::{Plan, VIEWS, ViewRow};
use crate::ui::widget::frame::{empty, put, put_right};
use crate::ui::widget::table::{Arrangement, Column, Grid};

mod run;

/// The smallest terminal that shows everything.
pub const LEAST: (u16, u16) = (80, 24);
/// Names asked for in a second at most.
const NAMES_A_SECOND: usize = 16;
/// Addresses remembered as asked for.
const ASKED_MAX: usize = 16_384;
/// Totals are added up anew this often: they look at every source.
const TOTALS_NS: u64 = SECOND_NS / 4;
/// A message gives the footer back after this long.
const SAID_NS: u64 = 8 * SECOND_NS;
/// What stands under the filter line while all is well: the longest that fits.
const TYPING_HELP: [&str; 2] = [
    "words, or lost > 0 · source 10.1.2.0/24 · size >= 1k · and or not ( ) · ↵ keeps, Esc forgets",
    "words, or lost > 0 · size >= 1k · and or not ( ) · ↵ keeps, Esc forgets",
];
/// Rows that a turn of the wheel moves.
const WHEEL: isize = 3;

/// What the screen is to be made with.
pub struct Settings {
    /// Makes the dialogs.
    pub dialogs: Box<dyn Dialogs>,
}

struct View {
    row: &'static ViewRow,
    panes: Vec<Box<dyn Pane>>,
    focus: usize,
    zoomed: bool,
    places: Vec<Rect>,
}

/// The filter line while it is typed, and the filter before.
struct Typing {
    input: Input,
    before: Filter,
    /// What is wrong with it; the last one that could be read stays.
    error: Option<TextError>,
}

impl Typing {
    /// Reads what was typed.
    fn take(&mut self, filter: &mut Filter) {
        match Filter::new(self.input.value()) {
            Ok(f) => (*filter, self.error) = (f, None),
            Err(e) => self.error = Some(e),
        }
    }
}

/// The dashboard.
pub struct Screen {
    dialogs: Box<dyn Dialogs>,
    views: Vec<View>,
    current: usize,
    /// The views that were opened from one another, as far as they can be gone back through.
    came_from: Vec<usize>,
    shared: Shared,
    layers: Vec<Box<dyn Layer>>,
    typing: Option<Typing>,
    paused: Option<Wall>,
    /// When the message was first shown.
    said: Option<Mono>,
    chosen: Rc<Cell<Option<Cmd>>>,
    tabs: Vec<(char, Rect)>,
    area: Rect,
    totals: Option<(Mono, usize, Totals)>,
    asked: HashSet<IpAddr>,
    asked_in: (u64, usize),
}

impl Screen {
    /// A screen that shows the first view.
    pub fn new(settings: Settings) -> Screen {
        let views = VIEWS.iter().map(|row| {
            let panes = (row.panes)();
            View { row, places: vec![Rect::default(); panes.len()], panes, focus: 0, zoomed: false }
        });
        Screen {
            dialogs: settings.dialogs,
            views: views.collect(),
            current: 0,
            came_from: Vec::new(),
            shared: Shared::default(),
            layers: Vec::new(),
            typing: None,
            paused: None,
            said: None,
            chosen: Rc::default(),
            tabs: Vec::new(),
            area: Rect::default(),
            totals: None,
            asked: HashSet::new(),
            asked_in: (0, 0),
        }
    }

    /// The tables that somebody arranged, by name.
    pub fn arrangements(&mut self) -> BTreeMap<String, Arrangement> {
        let mut all = BTreeMap::new();
        self.each_table(|name, columns, grid| all.extend(grid.arranged(columns).map(|a| (name, a))));
        all
    }

    /// Arranges the tables of these names so.
    pub fn arrange(&mut self, all: &BTreeMap<String, Arrangement>) {
        self.each_table(|name, columns, grid| {
            if let Some(a) = all.get(&name) {
                grid.arrange(columns, a);
            }
        });
    }

    /// All tables, with a name that stays the same from run to run.
    fn each_table(&mut self, mut each: impl FnMut(String, &'static [Column], &mut Grid)) {
        for v in &mut self.views {
            for pane in &mut v.panes {
                let name = format!("{} {}", v.row.title.to_lowercase(), pane.kind().word());
                if let Some((columns, grid)) = pane.table() {
                    each(name, columns, grid);
                }
            }
        }
    }

    /// When the screen was frozen: from then on it is to be given the model as it was.
    pub fn paused(&self) -> Option<Wall> {
        self.paused
    }

    /// Puts a pop-up on top.
    pub fn push_layer(&mut self, layer: Box<dyn Layer>) {
        self.layers.push(layer);
    }

    /// The selected row.
    pub fn selected(&self) -> Option<MembershipId> {
        self.shared.group_id()
    }

    /// The stream that is looked at: all that can be known of it should be kept.
    pub fn looked_at(&self) -> Option<(MembershipId, Endpoint)> {
        self.shared.group_id().zip(self.shared.source)
    }

    /// What is to be examined: the selected row, or with none the host, while that is looked at.
    pub fn examines(&self) -> Option<Option<MembershipId>> {
        (self.focused() == Kind::Doctor && self.paused.is_none()).then(|| self.shared.group_id())
    }

    /// Selects a row, or none.
    pub fn select(&mut self, id: Option<MembershipId>) {
        self.shared.select_group(id);
    }

    /// Shows a line in place of the footer until the next key, but not for long.
    pub fn say(&mut self, text: impl Into<String>) {
        self.shared.message = Some(text.into());
        self.said = None;
    }

    /// What the last frame wants to know: to be asked for after each frame.
    pub fn asks(&mut self, now: Now) -> Vec<Action> {
        if self.asked_in.0 != now.mono.second() {
            self.asked_in = (now.mono.second(), 0);
        }
        let mut list = Vec::new();
        for ip in std::mem::take(&mut self.shared.unnamed) {
            if self.asked_in.1 >= NAMES_A_SECOND {
                break;
            }
            if self.asked.len() >= ASKED_MAX {
                self.asked.clear();
            }
            if self.asked.insert(ip) {
                self.asked_in.1 += 1;
                list.push(Action::Resolve(ip));
            }
        }
        list
    }

    fn ctx<'a>(&self, ctx: &Ctx<'a>) -> Ctx<'a> {
        Ctx { selected: self.shared.group_id(), ..*ctx }
    }

    /// Where no table of groups has chosen another row for one that is gone, its neighbour is selected.
    fn reselect(&mut self, ctx: &Ctx<'_>) {
        let Some(gone) = self.shared.group_id().filter(|&id| ctx.model.group(id).is_none()) else { return };
        let ids = || ctx.model.rows().map(|g| g.id);
        let next = ids().filter(|&id| id > gone).min().or_else(|| ids().max());
        self.shared.select_group(next);
    }

    fn view(&mut self) -> &mut View {
        &mut self.views[self.current]
    }

    fn focused(&self) -> Kind {
        let v = &self.views[self.current];
        v.panes[v.focus].kind()
    }

    fn situation(&self, ctx: &Ctx<'_>) -> Situation {
        let s = &self.shared;
        Situation {
            pane: self.focused(),
            group: s.group(ctx).map(|g| g.state),
            joined: s.group(ctx).is_some_and(Group::is_joined),
            source: s.source.is_some(),
            frozen: match self.focused() {
                Kind::Events => s.event.is_some(),
                _ => s.held.is_some(),
            },
        }
    }

    // ---- events ----------------------------------------------------------------------------

    /// Deals with a terminal event; returns what the loop has to do.
    pub fn handle(&mut self, event: &Event, ctx: &Ctx<'_>) -> Vec<Action> {
        let ctx = &self.ctx(ctx);
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => self.key(*key, ctx),
            Event::Mouse(mouse) => self.mouse(*mouse, ctx),
            Event::Paste(text) => self.paste(text, ctx),
            _ => {}
        }
        if let Some(cmd) = self.chosen.take() {
            self.run(cmd, ctx);
        }
        std::mem::take(&mut self.shared.actions)
    }

    fn key(&mut self, key: KeyEvent, ctx: &Ctx<'_>) {
        self.shared.message = None;
        let cmd = ctx.keys.get(key);
        // These work whatever is open; `q` is a letter in a text.
        if matches!(cmd, Some(Cmd::Suspend | Cmd::Redraw)) || is_ctrl_c(key) {
            return self.run(cmd.unwrap_or(Cmd::Quit), ctx);
        }
        if self.ask_layers(|l| l.key(key, ctx)) {
            return;
        }
        if self.typing.is_some() {
            return self.type_filter(key);
        }
        if let Some(cmd) = cmd {
            self.run(cmd, ctx);
        }
    }

    /// Offers an event to the layers, the top one first; whether one of them dealt with it.
    fn ask_layers(&mut self, mut ask: impl FnMut(&mut dyn Layer) -> Outcome) -> bool {
        for i in (0..self.layers.len()).rev() {
            match ask(self.layers[i].as_mut()) {
                Outcome::Passed => {}
                Outcome::Consumed => return true,
                Outcome::Act(actions) => {
                    self.shared.actions.extend(actions);
                    return true;
                }
                Outcome::Close(actions) => {
                    self.layers.remove(i);
                    self.shared.actions.extend(actions);
                    return true;
                }
            }
        }
        false
    }

    fn paste(&mut self, text: &str, ctx: &Ctx<'_>) {
        if self.ask_layers(|l| l.paste(text, ctx)) {
            return;
        }
        if let Some(t) = &mut self.typing {
            let typed: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
            t.input = Input::new(format!("{}{typed}", t.input.value()));
            t.take(&mut self.shared.filter);
        }
    }

    fn type_filter(&mut self, key: KeyEvent) {
        let Some(t) = &mut self.typing else { return };
        match key.code {
            KeyCode::Enter if t.error.is_none() => self.typing = None,
            KeyCode::Enter => {}
            KeyCode::Esc => {
                self.shared.filter = t.before.clone();
                self.typing = None;
            }
            _ => {
                t.input.handle_event(&Event::Key(key));
                t.take(&mut self.shared.filter);
            }
        }
    }

    fn mouse(&mut self, event: MouseEvent, ctx: &Ctx<'_>) {
        if !self.layers.is_empty() {
            // What lies under a pop-up is out of reach.
            self.ask_layers(|l| l.mouse(event, ctx));
            return;
        }
        let at = Position::new(event.column, event.row);
        let lines = match event.kind {
            MouseEventKind::Down(MouseButton::Left) => 0,
            MouseEventKind::ScrollUp => -WHEEL,
            MouseEventKind::ScrollDown => WHEEL,
            _ => return,
        };
        self.shared.message = None;
        let tab = self.tabs.iter().find(|(_, r)| r.contains(at)).map(|t| t.0);
        if let (Some(key), 0) = (tab, lines) {
            return self.run(Cmd::View(key), ctx);
        }
        let v = &mut self.views[self.current];
        let Some(i) = v.places.iter().position(|r| r.contains(at)) else { return };
        if lines == 0 {
            v.focus = i;
            v.panes[i].click(at.x, at.y, &mut self.shared, ctx);
        } else {
            v.panes[i].wheel(lines, &mut self.shared, ctx);
        }
    }

    // ---- drawing ---------------------------------------------------------------------------

    fn body(&self) -> Rect {
        let a = self.area;
        // While a filter is typed there is a line for it above the last one.
        let below = if self.typing.is_some() { 2 } else { 1 };
        Rect { y: a.y + 2, height: a.height.saturating_sub(2 + below), ..a }
    }

    fn totals(&mut self, ctx: &Ctx<'_>) -> Totals {
        let (now, groups) = (ctx.model.now().mono, ctx.model.group_count());
        match self.totals {
            Some((at, n, t)) if n == groups && now >= at && now.since(at) < TOTALS_NS => t,
            _ => {
                let t = ctx.model.totals();
                self.totals = Some((now, groups, t));
                t
            }
        }
    }

    /// Draws the whole screen.
    pub fn draw(&mut self, frame: &mut Frame<'_>, ctx: &Ctx<'_>) {
        let ctx = &self.ctx(ctx);
        self.area = frame.area();
        let area = self.area;
        if area.width < LEAST.0 || area.height < LEAST.1 {
            let lines = [
                format!("mcscope needs {} columns and {} rows", LEAST.0, LEAST.1),
                format!("this terminal has {} and {}", area.width, area.height),
                "q quits".to_owned(),
            ];
            return empty(frame.buffer_mut(), area, &lines, ctx.theme.text);
        }
        self.shared.unnamed.clear();
        match (&self.shared.message, self.said) {
            (None, _) => self.said = None,
            (Some(_), None) => self.said = Some(ctx.now.mono),
            (Some(_), Some(at)) if ctx.now.mono.since(at) > SAID_NS => self.shared.message = None,
            _ => {}
        }
        let totals = self.totals(ctx);
        let body = self.body();
        let kind = self.focused();
        let v = &mut self.views[self.current];
        v.places = if v.zoomed {
            let mut places = vec![Rect::default(); v.panes.len()];
            places[v.focus] = body;
            places
        } else {
            (v.row.layout)(body, &plan(kind, &self.shared, ctx))
        };
        // A pane that has no place any more (the terminal shrank) cannot keep the focus.
        if v.places[v.focus].area() == 0 {
            v.focus = v.places.iter().position(|r| r.area() > 0).unwrap_or(0);
        }
        self.shared.zoomed = v.zoomed;
        let buf = frame.buffer_mut();
        for (i, pane) in v.panes.iter_mut().enumerate() {
            let place = v.places[i];
            if place.width >= 3 && place.height >= 3 {
                pane.draw(place, buf, i == v.focus, &mut self.shared, ctx);
            }
        }
        self.reselect(ctx);
        let v = self.view();
        let key = v.row.key();
        header::header(buf, Rect { height: 1, ..area }, &totals, ctx);
        let status = Status { view: key, paused: self.paused, filter: self.shared.filter.text() };
        self.tabs = header::tabs(buf, Rect { y: area.y + 1, height: 1, ..area }, &totals, &status, ctx);
        self.bottom(frame, Rect { y: area.bottom() - 1, height: 1, ..area }, ctx);
        let ctx = &self.ctx(ctx);
        for layer in &mut self.layers {
            layer.draw(frame, area, ctx);
        }
    }

    /// The last line: the filter while it is typed, else a message, else the keys.
    fn bottom(&mut self, frame: &mut Frame<'_>, line: Rect, ctx: &Ctx<'_>) {
        let theme = ctx.theme;
        if let Some(t) = &self.typing {
            let room = line.width.saturating_sub(3) as usize;
            let scroll = t.input.visual_scroll(room);
            let shown: String = t.input.value().chars().skip(scroll).collect();
            let buf = frame.buffer_mut();
            let y = line.y - 1;
            put(buf, line.x + 1, y, 1, "/", theme.accent);
            put(buf, line.x + 2, y, room, &shown, theme.text);
            match &t.error {
                Some(e) => wrong(buf, line, scroll, e, ctx),
                None => {
                    let [long, short] = TYPING_HELP;
                    let help = if long.width() <= room { long } else { short };
                    put(buf, line.x + 2, line.y, room, help, theme.dim);
                }
            }
            let cursor = t.input.visual_cursor().saturating_sub(scroll) as u16;
            return frame.set_cursor_position((line.x + 2 + cursor, y));
        }
        let buf = frame.buffer_mut();
        match &self.shared.message {
            Some(text) => {
                let text = clip(text, line.width as usize - 2);
                put(buf, line.x + 1, line.y, line.width as usize, &text, theme.text);
            }
            None => header::footer(buf, line, &self.situation(ctx), ctx),
        }
    }
}

/// Under the typed filter: carets where it is wrong, and why.
fn wrong(buf: &mut Buffer, line: Rect, scroll: usize, e: &TextError, ctx: &Ctx<'_>) {
    let theme = ctx.theme;
    let columns = e.columns();
    let end = columns.end.saturating_sub(scroll);
    let start = columns.start.saturating_sub(scroll).min(end.saturating_sub(1));
    let help = e.help.as_ref().map_or_else(String::new, |h| format!(" · {h}"));
    let message = visible(&format!("{}{help}", e.message), 200);
    let left = line.x + 2;
    let room = line.width.saturating_sub(3) as usize;
    let start = start.min(room.saturating_sub(1));
    let marks = "^".repeat((end.max(start + 1) - start).min(room - start));
    put(buf, left + start as u16, line.y, marks.len(), &marks, theme.bad);
    let (before, after) = (start.saturating_sub(1), room.saturating_sub(start + marks.len() + 1));
    // The message stands behind the carets, or before them where there is more room.
    if after >= message.width() || after >= before {
        put(buf, left + (start + marks.len() + 1) as u16, line.y, after, &message, theme.bad);
    } else {
        put_right(buf, left + before as u16, line.y, before, &message, theme.bad);
    }
}

fn plan(focus: Kind, at: &Shared, ctx: &Ctx<'_>) -> Plan {
    let (groups, ifaces) = (ctx.model.group_count() + ctx.model.wire().len(), ctx.model.ifaces().len());
    let feed = feed::selected(at, ctx).is_some();
    Plan { focus, groups, ifaces, feed, notes: notes::rows(at, ctx) }
}

fn is_ctrl_c(key: KeyEvent) -> bool {
    key.code == KeyCode::Char('c') && key.modifiers.contains(crossterm::event::KeyModifiers::CONTROL)
}
