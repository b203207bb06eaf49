//! The send dialog: what to send to the selected group, how fast, how often, and a sentence that
//! says what will happen.

use std::cell::RefCell;
use std::rc::Rc;

use crossterm::event::{KeyEvent, MouseEvent};
use ratatui::Frame;
use ratatui::layout::Rect;

use super::choice::{Choice, Choose};
use super::form::{Control, Did, Field, Form};
use super::ifaces::IfaceOptions;
use super::popup::{FRAME, Popup, clip, is_global, put, wrap};
use crate::engine::command::DEFAULT_LIMIT_PPS;
use crate::ui::action::Action;
use crate::ui::layer::{Ctx, Layer, Outcome};

mod read;
mod target;
#[cfg(test)]
mod tests;

use read::{Reading, reading};

/// Columns of the form.
const WIDTH: u16 = 74;
/// Rows that the summary, its warnings and the hint take at most.
const BELOW: u16 = 7;

const KIND_PROBE: usize = 0;
const KIND_PING: usize = 1;
const KIND_TEXT: usize = 2;
const KIND_HEX: usize = 3;
const KIND_FILE: usize = 4;
const PLAN_LADDER: usize = 1;
const PLAN_SOAK: usize = 2;

/// The fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item {
    /// Group and port.
    To,
    /// The interface.
    On,
    /// Probe, ping, text, hex or file.
    Kind,
    /// The text of the first three.
    Text,
    /// Bytes in hex.
    Hex,
    /// The path of a file.
    File,
    /// Steady, ladder or soak.
    Plan,
    /// How many.
    Count,
    /// How fast, or how far apart.
    Rate,
    /// How many at a time.
    Burst,
    /// For how long.
    For,
    /// How long a rung of the ladder lasts.
    Step,
    /// How long the soak lasts.
    Soak,
    /// Payload size.
    Size,
    /// TTL or hop limit.
    Ttl,
    /// DSCP.
    Dscp,
    /// Source port.
    From,
    /// Whether this host hears it.
    Loop,
    /// Leave out each Nth.
    Drop,
    /// Send each Nth twice.
    Dup,
    /// Swap each Nth with its successor.
    Swap,
    /// Wait for answers.
    Wait,
    /// The rate guard.
    Guard,
}

/// The fields that a dialog takes over from the one before; the target and the interface follow the
/// selection instead.
const REMEMBERED: [Item; 21] = [
    Item::Kind,
    Item::Text,
    Item::Hex,
    Item::File,
    Item::Plan,
    Item::Count,
    Item::Rate,
    Item::Burst,
    Item::For,
    Item::Step,
    Item::Soak,
    Item::Size,
    Item::Ttl,
    Item::Dscp,
    Item::From,
    Item::Loop,
    Item::Drop,
    Item::Dup,
    Item::Swap,
    Item::Wait,
    Item::Guard,
];

/// What a field holds.
#[derive(Clone, Debug)]
enum Held {
    Text(String),
    At(usize),
    On(bool),
}

/// What was entered last, for as long as the program runs. A clone is a handle to the same values:
/// the screen keeps one and gives each dialog another.
#[derive(Clone, Debug, Default)]
pub struct SendDefaults(Rc<RefCell<Vec<(Item, Held)>>>);

impl SendDefaults {
    fn keep(&self, form: &Form<Item>) {
        let held = REMEMBERED.iter().map(|&item| {
            let held = match &form.field(item).control {
                Control::Line(line) => Held::Text(line.value().to_owned()),
                Control::Choice(choice) => Held::At(choice.at()),
                Control::Check(on, _) => Held::On(*on),
            };
            (item, held)
        });
        *self.0.borrow_mut() = held.collect();
    }

    fn fill(&self, form: &mut Form<Item>) {
        for (item, held) in self.0.borrow().iter() {
            match held {
                Held::Text(text) => form.set_text(*item, text),
                Held::At(at) => form.choose(*item, *at),
                Held::On(on) => form.check(*item, *on),
            }
        }
    }
}

/// The dialog.
#[derive(Debug)]
pub struct SendDialog {
    form: Form<Item>,
    options: IfaceOptions,
    reading: Reading,
    defaults: SendDefaults,
    /// The interface was settled: by the row, because there is no other, or by the user.
    settled: bool,
}

impl SendDialog {
    /// A dialog for the selected row, the other fields as they were last.
    pub fn new(ctx: &Ctx<'_>, defaults: &SendDefaults) -> Self {
        let row = ctx.selected.and_then(|id| ctx.model.group(id));
        let to = row.map_or(String::new(), |g| g.membership.endpoint().to_string());
        let mut form = form(&to);
        defaults.fill(&mut form);
        let mut dialog = SendDialog {
            form,
            options: IfaceOptions::default(),
            reading: Reading::default(),
            defaults: defaults.clone(),
            settled: false,
        };
        dialog.refresh(ctx);
        if let Some(place) = row.and_then(|g| dialog.options.place(&g.membership.iface)) {
            dialog.form.choose(Item::On, place);
            dialog.settled = true;
        }
        if !to.is_empty() {
            dialog.form.set_focus(Item::Kind);
        }
        dialog.refresh(ctx);
        dialog
    }

    /// Brings everything that follows from the fields and the interfaces up to date.
    fn refresh(&mut self, ctx: &Ctx<'_>) {
        let options = IfaceOptions::new(ctx.model.ifaces(), false);
        if options != self.options {
            let chosen = self.options.name(self.form.chosen(Item::On)).cloned();
            if let Control::Choice(choice) = &mut self.form.field_mut(Item::On).control {
                choice.replace(options.options());
                choice.choose(chosen.and_then(|name| options.place(&name)).unwrap_or(0));
            }
            self.options = options;
        }
        let (kind, plan) = (self.form.chosen(Item::Kind), self.form.chosen(Item::Plan));
        self.form.hide(Item::Text, kind > KIND_TEXT);
        self.form.hide(Item::Hex, kind != KIND_HEX);
        self.form.hide(Item::File, kind != KIND_FILE);
        for item in [Item::Count, Item::Rate, Item::Burst, Item::For] {
            self.form.hide(item, matches!(plan, PLAN_LADDER | PLAN_SOAK));
        }
        self.form.hide(Item::Step, plan != PLAN_LADDER);
        self.form.hide(Item::Soak, plan != PLAN_SOAK);
        let optional = if kind == KIND_TEXT { "" } else { "none" };
        optional.clone_into(&mut self.form.field_mut(Item::Text).placeholder);
        let wait = if kind == KIND_PING { "2s" } else { "not awaited" };
        wait.clone_into(&mut self.form.field_mut(Item::Wait).placeholder);

        let only = ctx.model.ifaces().iter().filter(|i| i.iface.candidate().is_ok()).count() < 2;
        self.reading = reading(&self.form, ctx.model.ifaces(), &self.options, self.settled || only);
        if let Some(place) = self.reading.named.as_deref().and_then(|name| self.options.place(name)) {
            self.form.choose(Item::On, place);
        }
        let note = self.reading.named.as_ref().map(|name| format!("{name} is named in the target"));
        self.form.field_mut(Item::On).notes = note.into_iter().collect();
        for item in REMEMBERED.into_iter().chain([Item::To, Item::On]) {
            let trouble = self.reading.troubles.iter().find(|(i, _)| *i == item);
            self.form.set_trouble(item, trouble.map(|(_, t)| t.clone()));
        }
    }

    fn did(&mut self, did: Did<Item>, ctx: &Ctx<'_>) -> Outcome {
        match did {
            Did::Submit => return self.submit(ctx),
            Did::Changed(item) => {
                self.settled |= item == Item::On;
                self.refresh(ctx);
            }
            Did::Moved | Did::Nothing => {}
        }
        Outcome::Consumed
    }

    fn submit(&mut self, ctx: &Ctx<'_>) -> Outcome {
        // Enter on the interfaces takes the one shown there.
        self.settled |= self.form.focus() == Item::On;
        self.refresh(ctx);
        let Some(job) = self.reading.job.take() else {
            self.form.first_trouble();
            return Outcome::Consumed;
        };
        self.defaults.keep(&self.form);
        let job = Box::new(job);
        Outcome::Close(vec![match self.reading.file.take() {
            Some(path) => Action::SendFile { path, job },
            None => Action::Send(job),
        }])
    }
}

impl Layer for SendDialog {
    fn key(&mut self, key: KeyEvent, ctx: &Ctx<'_>) -> Outcome {
        use crossterm::event::KeyCode;
        if is_global(key) {
            return Outcome::Passed;
        }
        if key.code == KeyCode::Esc {
            return Outcome::Close(Vec::new());
        }
        let did = self.form.key(key);
        self.did(did, ctx)
    }

    fn paste(&mut self, text: &str, ctx: &Ctx<'_>) -> Outcome {
        let did = self.form.paste(text);
        self.did(did, ctx)
    }

    fn mouse(&mut self, _event: MouseEvent, _ctx: &Ctx<'_>) -> Outcome {
        Outcome::Consumed
    }

    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, ctx: &Ctx<'_>) {
        self.refresh(ctx);
        let theme = ctx.theme;
        let width = WIDTH.min(area.width.saturating_sub(FRAME.0)).max(1);
        let sheet = self.form.sheet(width, theme);
        let title = match &self.reading.job {
            Some(job) => format!("Send to {}", job.to),
            None => "Send".to_owned(),
        };
        let keys = [("Tab", "next"), ("Enter", "send"), ("Esc", "close")];
        let popup = Popup { title: &title, width: WIDTH, height: sheet.height + BELOW, keys: &keys };
        let inner = popup.open(frame, area, theme);
        let buf = frame.buffer_mut();
        let below = BELOW.min(inner.height / 3);
        let top = Rect { height: inner.height - below, ..inner };
        self.form.show(&sheet, buf, top, theme);
        let bottom = Rect { y: inner.y + top.height, height: below, ..inner };
        let columns = usize::from(bottom.width);
        let mut lines = Vec::new();
        match &self.reading.job {
            Some(_) => {
                lines.extend(wrap(&self.reading.summary, columns).into_iter().map(|l| (l, theme.text)));
                lines.push((self.reading.guard.clone(), theme.dim));
                let warnings = self.reading.warnings.iter().flat_map(|w| wrap(&format!("! {w}"), columns));
                lines.extend(warnings.map(|l| (l, theme.silent)));
            }
            None => {
                let wrong = self.form.fields().find(|f| !f.hidden && f.trouble.is_some());
                let (label, message) = wrong
                    .and_then(|f| Some((f.label, f.trouble.as_ref()?.message.as_str())))
                    .unwrap_or_default();
                let text = format!("Nothing to send yet. {label}: {message}");
                lines.extend(wrap(&text, columns).into_iter().map(|l| (l, theme.dim)));
            }
        }
        let rows = bottom.height.saturating_sub(1);
        for (y, (line, style)) in (1..rows).zip(lines) {
            put(buf, bottom, 0, y, &line, style);
        }
        put(buf, bottom, 0, rows, &clip(self.form.hint(), columns), theme.dim);
    }
}

/// The fields as they are at first.
fn form(to: &str) -> Form<Item> {
    let choice = |options: &[&str]| Choice::new(options.iter().map(|o| Choose::plain(o)).collect(), 3);
    let first = |field: Field<Item>| field.at(0, 10, 12);
    let second = |field: Field<Item>| field.at(24, 12, 12);
    let third = |field: Field<Item>| field.at(50, 10, 14);
    let rows = vec![
        vec![Field::line(Item::To, "To", to).hint("Group and port, a name, or any address and port")],
        vec![Field::choice(Item::On, "On", Choice::new(Vec::new(), 3)).hint("The interface it leaves by")],
        vec![
            Field::choice(Item::Kind, "Send", choice(&["probe", "ping", "text", "hex", "file"]))
                .hint("A probe shows loss, hops and delay; a ping asks for an answer as well"),
        ],
        vec![
            Field::line(Item::Text, "Text", "").hint(r"Escapes: \n \r \t \0 \\ \xNN \u{NNNN}"),
            Field::line(Item::Hex, "Bytes", "").hint("Pairs of hex digits: de ad be ef"),
            Field::line(Item::File, "File", "").hint("The path of a file: each datagram carries all of it"),
        ],
        vec![
            Field::choice(Item::Plan, "Plan", choice(&["steady", "ladder", "soak"]))
                .hint("Ladder: rates up to the guard, then bursts. Soak: one a second, for long"),
        ],
        vec![
            first(Field::line(Item::Count, "Count", "10"))
                .placeholder("no end")
                .hint("How many; empty: until stopped"),
            second(Field::line(Item::Rate, "Rate", "10/s"))
                .hint("10/s, 30/min, 5k, 20Mbit; an interval: 100ms; or max"),
            third(Field::line(Item::Burst, "Burst", "1"))
                .hint("So many back to back at a time; the rate stays the average"),
            first(Field::line(Item::Step, "Step", "10s")).hint("How long each rate of the ladder lasts"),
            first(Field::line(Item::Soak, "For", "10m"))
                .hint("Longer than several query intervals (125 s each)"),
        ],
        vec![
            first(Field::line(Item::For, "For", ""))
                .placeholder("no end")
                .hint("Stop after this time: 30s, 5m"),
            second(Field::line(Item::Size, "Size", "").placeholder("as it is"))
                .hint("Payload in bytes: 200, 1.2k; random: 100-1400"),
            third(Field::line(Item::From, "From port", "")).placeholder("any").hint("The port to send from"),
        ],
        vec![
            first(Field::line(Item::Ttl, "TTL", "1")).hint("TTL or hop limit: 1 stops at the first router"),
            second(Field::line(Item::Dscp, "DSCP", "BE"))
                .hint("0 to 63, 0x2e, or a name: EF, AF41, CS6, VA, LE"),
            third(Field::check(Item::Loop, "Loop back", true, ""))
                .hint("Programs on this host get it as well"),
        ],
        vec![
            first(Field::line(Item::Drop, "Drop each", ""))
                .placeholder("never")
                .hint("Leave out each Nth number on purpose"),
            second(Field::line(Item::Dup, "Double each", ""))
                .placeholder("never")
                .hint("Send each Nth number twice on purpose"),
            third(Field::line(Item::Swap, "Swap each", ""))
                .placeholder("never")
                .hint("Send each Nth number after its successor on purpose"),
        ],
        vec![
            first(Field::line(Item::Wait, "Answers", ""))
                .hint("Wait for answers after the last one: 2s; 0 does not"),
            second(Field::line(Item::Guard, "Guard pkt/s", &DEFAULT_LIMIT_PPS.to_string()))
                .hint("No faster than this, in packets a second: raise it here"),
        ],
    ];
    Form::new(rows, Item::To)
}
