//! The join dialog: a group as people write it, where to join it, and what that comes to.

use std::collections::HashMap;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseEvent};
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr;

use super::choice::Choice;
use super::form::{Control, Did, Field, Form};
use super::ifaces::IfaceOptions;
use super::popup::{FRAME, Popup, clip, is_global, put};
use super::value::Trouble;
use crate::base::group::{Membership, MembershipId, is_ssm};
use crate::base::iface::{Iface, candidates};
use crate::base::registry::Registry;
use crate::base::resolve::{self, Check, Context, Resolved, check, resolve};
use crate::base::spec::{IfaceChoice, Spec, SpecError};
use crate::base::text::visible;
use crate::base::units;
use crate::model::group::{Group, JoinState};
use crate::ui::action::Action;
use crate::ui::layer::{Ctx, Layer, Outcome};
use crate::ui::theme::Theme;

mod known;
#[cfg(test)]
mod tests;

use known::{Known, known};

/// Columns of the content, at most.
const WIDTH: u16 = 92;
/// Rows of the content: the same for any text, so that nothing jumps while typing.
const HEIGHT: u16 = 20;
/// Columns of a label.
const LABEL: u16 = 9;
/// Entries of the list of known groups in view at most.
const KNOWN_ROWS: u16 = 6;
/// Rows of the preview at most.
const PREVIEW_ROWS: u16 = 5;
/// From so many rows on the dialog says what they cost.
const MANY: usize = 256;

/// The fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    Group,
    On,
    Keep,
}

/// What Enter would do to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Join,
    /// It is in the table, and stands or is being joined.
    Already,
    /// It is in the table and failed.
    Retry(MembershipId),
}

/// The dialog.
#[derive(Debug)]
pub struct JoinDialog {
    form: Form<Item>,
    ifaces: Vec<Iface>,
    options: IfaceOptions,
    /// What the text comes to on the interface chosen.
    rows: Vec<(Membership, Fate)>,
    known: Vec<Known>,
    picked: Option<usize>,
    /// Enter was pressed though there was nothing left to join.
    nothing_new: bool,
}

impl JoinDialog {
    /// A dialog with `prefill` in its line.
    pub fn new(ctx: &Ctx<'_>, prefill: &str) -> Self {
        let group = Field::line(Item::Group, "Group", prefill)
            .at(0, LABEL, u16::MAX)
            .placeholder("239.1.1.1:5004, SOURCE@GROUP:PORT, [ff02::fb]:5353, a name …");
        let on = Field::choice(Item::On, "On", Choice::new(Vec::new(), 3)).at(0, LABEL, u16::MAX);
        let keep = Field::check(Item::Keep, "", false, "keep for next time").at(0, LABEL, u16::MAX);
        let mut dialog = JoinDialog {
            form: Form::new(vec![vec![group], vec![on], vec![keep]], Item::Group),
            ifaces: Vec::new(),
            options: IfaceOptions::default(),
            rows: Vec::new(),
            known: Vec::new(),
            picked: None,
            nothing_new: false,
        };
        dialog.refresh(ctx);
        dialog
    }

    /// Takes over the interfaces if they changed.
    fn take_ifaces(&mut self, ctx: &Ctx<'_>) -> bool {
        let now = ctx.model.ifaces();
        if !self.ifaces.is_empty() && now.iter().map(|i| &i.iface).eq(&self.ifaces) {
            return false;
        }
        let (before, at) = (std::mem::take(&mut self.options), self.form.chosen(Item::On));
        self.ifaces = now.iter().map(|i| i.iface.clone()).collect();
        self.options = IfaceOptions::new(now, true);
        let usual = candidates(&self.ifaces);
        let usual = match usual[..] {
            [only] => self.options.place(&only.name),
            _ => self.options.place_of_all(),
        };
        let same = before.name(at).and_then(|name| self.options.place(name));
        if let Control::Choice(choice) = &mut self.form.field_mut(Item::On).control {
            choice.replace(self.options.options());
            choice.choose(same.or(usual).unwrap_or(0));
        }
        true
    }

    /// Brings everything that follows from the text and the choice up to date.
    fn refresh(&mut self, ctx: &Ctx<'_>) {
        self.take_ifaces(ctx);
        self.nothing_new = false;
        let text = self.form.text(Item::Group).to_owned();
        let registry = Registry::builtin();
        self.known = known(&text, ctx.recent, registry);
        self.picked = None;
        let context = Context { registry, ifaces: &self.ifaces, commands: &[] };
        let spec = Spec::parse(&text).ok();
        let mut checked = check(&text, &context);
        if let Some(spec) = &spec
            && let Some(choice) = self.choice(spec)
            && let Ok(resolved) = resolve(&spec.clone().on(choice), registry, &self.ifaces)
        {
            checked = Check::Ok(resolved);
        }
        self.follow(spec.as_ref());
        let (trouble, notes, resolved) = match checked {
            Check::Ok(resolved) => (None, notes(&resolved, registry), resolved),
            Check::Incomplete(e) => {
                // Of an address the rest is plain; what an address lacks is worth a word.
                let notes = if matches!(spec, Some(Spec::Group(_))) { missing(&e) } else { Vec::new() };
                (Some(Trouble { unfinished: true, ..e.into() }), notes, Resolved::default())
            }
            Check::Wrong(e) => {
                (Some(Trouble::from(e.clone())), e.help.into_iter().collect(), Resolved::default())
            }
        };
        self.form.set_trouble(Item::Group, trouble);
        self.form.field_mut(Item::Group).notes = notes;
        self.rows = fates(resolved.memberships, ctx);
    }

    /// The interfaces chosen below, if the text leaves that open.
    fn choice(&self, spec: &Spec) -> Option<IfaceChoice> {
        let at = self.form.chosen(Item::On);
        match (spec.ifaces(), self.options.name(at)) {
            (IfaceChoice::Unnamed, Some(name)) => Some(IfaceChoice::Named(vec![name.to_string()])),
            _ => None,
        }
    }

    /// Lets the choice show what the text names.
    fn follow(&mut self, spec: Option<&Spec>) {
        let named = match spec.map(Spec::ifaces) {
            None | Some(IfaceChoice::Unnamed) => {
                self.form.field_mut(Item::On).notes.clear();
                return;
            }
            Some(IfaceChoice::All) => {
                self.options.place_of_all().into_iter().for_each(|at| self.form.choose(Item::On, at));
                "all".to_owned()
            }
            Some(IfaceChoice::Named(names)) => {
                let place = names.first().and_then(|name| self.options.place(name));
                place.into_iter().for_each(|at| self.form.choose(Item::On, at));
                names.join(", ")
            }
        };
        self.form.field_mut(Item::On).notes = vec![format!("the group names it: %{named}")];
    }

    /// Puts the known group that is picked, or the first, into the line.
    fn complete(&mut self, ctx: &Ctx<'_>) -> Outcome {
        if let Some(entry) = self.known.get(self.picked.unwrap_or(0)) {
            let text = entry.text.clone();
            self.form.set_text(Item::Group, &text);
            self.refresh(ctx);
        }
        Outcome::Consumed
    }

    /// Whether Tab or Right would complete: something is picked, or what is typed is nothing yet.
    fn completes(&self) -> bool {
        let begun = !self.form.text(Item::Group).trim().is_empty() && self.rows.is_empty();
        self.picked.is_some() || (begun && !self.known.is_empty())
    }

    /// Moves in the list of known groups; false where it ends.
    fn pick(&mut self, down: bool) -> bool {
        let next = match (self.picked, down) {
            (None, true) => Some(0),
            (Some(at), true) => Some((at + 1).min(self.known.len().saturating_sub(1))),
            (Some(at), false) => at.checked_sub(1),
            (None, false) => return false,
        };
        let moved = !self.known.is_empty();
        self.picked = next.filter(|_| moved);
        moved
    }

    fn submit(&mut self, ctx: &Ctx<'_>) -> Outcome {
        if self.rows.is_empty() {
            self.form.first_trouble();
            return Outcome::Consumed;
        }
        let of = |fate: Fate| self.rows.iter().filter(move |(_, f)| *f == fate).map(|(m, _)| m.clone());
        let memberships: Vec<Membership> = of(Fate::Join).collect();
        let retries = self.rows.iter().filter_map(|(_, fate)| match fate {
            Fate::Retry(id) => Some(Action::Retry(*id)),
            _ => None,
        });
        let mut actions: Vec<Action> = Vec::new();
        if !memberships.is_empty() {
            let (typed, keep) = (self.typed(), self.form.checked(Item::Keep));
            actions.push(Action::Join { memberships, typed, keep });
        }
        actions.extend(retries);
        if actions.is_empty() {
            self.refresh(ctx);
            self.nothing_new = true;
            return Outcome::Consumed;
        }
        Outcome::Close(actions)
    }

    /// The text that means the same again, without a choice beside it.
    fn typed(&self) -> String {
        let text = self.form.text(Item::Group).trim();
        match Spec::parse(text).ok().and_then(|spec| self.choice(&spec).map(|choice| spec.on(choice))) {
            Some(spec) => spec.to_string(),
            None => text.to_owned(),
        }
    }

    fn did(&mut self, did: Did<Item>, ctx: &Ctx<'_>) -> Outcome {
        match did {
            Did::Submit => return self.submit(ctx),
            Did::Changed(Item::Group | Item::On) => self.refresh(ctx),
            Did::Moved => self.picked = None,
            Did::Changed(Item::Keep) | Did::Nothing => {}
        }
        Outcome::Consumed
    }

    fn draw_known(&self, buf: &mut Buffer, area: Rect, theme: &Theme) {
        let rows = usize::from(area.height);
        let first = self.picked.map_or(0, |at| (at + 1).saturating_sub(rows));
        let shown = self.known.iter().enumerate().skip(first).take(rows);
        let text_width = shown.clone().map(|(_, k)| k.text.width()).max().unwrap_or(0).min(30);
        let group_width = shown.clone().map(|(_, k)| k.group.width()).max().unwrap_or(0).min(30);
        put(buf, area, 0, 0, "Known", theme.dim);
        for (y, (i, k)) in (0..).zip(shown) {
            let picked = self.picked == Some(i);
            let style = if picked { theme.text.patch(theme.selected) } else { theme.text };
            let sign = if picked { "▌" } else { " " };
            let text = clip(&visible(&k.text, 200), text_width);
            let mut x = put(buf, area, LABEL - 1, y, sign, theme.accent);
            x = put(buf, area, x, y, &format!("{text:text_width$}"), style);
            if group_width > 0 {
                let group = clip(&k.group, group_width);
                x = put(buf, area, x + 2, y, &format!("{group:group_width$}"), theme.dim);
            }
            let room = usize::from(area.width.saturating_sub(x + 2));
            put(buf, area, x + 2, y, &clip(&k.purpose, room), theme.dim);
        }
        let hidden = self.known.len().saturating_sub(rows);
        if hidden > 0 && area.height > 1 {
            put(buf, area, 0, 1, &format!("{hidden} more"), theme.dim);
        }
    }

    fn draw_preview(&self, buf: &mut Buffer, area: Rect, theme: &Theme) {
        const HEAD: &str = "Will join";
        if self.rows.is_empty() {
            put(buf, area, 0, 0, "Nothing to join yet.", theme.dim);
            return;
        }
        let fresh = self.rows.iter().any(|(_, fate)| *fate != Fate::Already);
        let head = if fresh { HEAD } else { "Joined already:" };
        let x = put(buf, area, 0, 0, head, if self.nothing_new { theme.silent } else { theme.dim }) + 1;
        let rows = usize::from(area.height);
        let shown = if self.rows.len() > rows { rows.saturating_sub(1).max(1) } else { rows };
        // What is new first: that is what Enter does.
        let order = self.rows.iter().filter(|(_, f)| *f != Fate::Already);
        let order = order.chain(self.rows.iter().filter(|(_, f)| *f == Fate::Already));
        for (y, (membership, fate)) in (0..).zip(order.take(shown)) {
            let (style, remark) = match fate {
                Fate::Join => (theme.text, ""),
                Fate::Already if fresh => (theme.dim, "joined already"),
                Fate::Already => (theme.dim, ""),
                Fate::Retry(_) => (theme.text, "failed, is tried again"),
            };
            let end = put(buf, area, x, y, &phrase(membership), style);
            put(buf, area, end + 2, y, remark, theme.silent);
        }
        let more = self.rows.len().saturating_sub(shown);
        if more > 0 && rows > 1 {
            let cost = if self.rows.len() >= MANY { ": each row takes a socket" } else { "" };
            let text = format!("and {} more{cost}", units::count(more as u64));
            put(buf, area, x, shown as u16, &text, theme.dim);
        }
    }
}

impl Layer for JoinDialog {
    fn key(&mut self, key: KeyEvent, ctx: &Ctx<'_>) -> Outcome {
        if is_global(key) {
            return Outcome::Passed;
        }
        if key.code == KeyCode::Esc {
            return Outcome::Close(Vec::new());
        }
        if self.form.focus() == Item::Group && key.modifiers == KeyModifiers::NONE {
            match key.code {
                KeyCode::Down | KeyCode::Up if self.pick(key.code == KeyCode::Down) => {
                    return Outcome::Consumed;
                }
                KeyCode::Enter if self.picked.is_some() => return self.complete(ctx),
                KeyCode::Tab if self.completes() => return self.complete(ctx),
                KeyCode::Right if self.form.at_end() && self.completes() => return self.complete(ctx),
                _ => {}
            }
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
        if self.take_ifaces(ctx) {
            self.refresh(ctx);
        }
        let theme = ctx.theme;
        let wanted = WIDTH.min(area.width.saturating_sub(FRAME.0 + 4)).max(1);
        let sheet = self.form.sheet(wanted, theme);
        let keys: &[(&str, &str)] = if self.form.focus() == Item::Group && self.completes() {
            &[("↑↓", "pick"), ("Tab", "complete"), ("Enter", "join"), ("Esc", "close")]
        } else {
            &[("↑↓", "pick"), ("Tab", "next"), ("Enter", "join"), ("Esc", "close")]
        };
        let inner = Popup { title: "Join", width: wanted, height: HEIGHT, keys }.open(frame, area, theme);
        let buf = frame.buffer_mut();
        // From the bottom: the preview, a blank row, the known groups, a blank row; the form has the
        // rest, and what it does not need goes to the known groups.
        let preview = PREVIEW_ROWS.min(u16::try_from(self.rows.len()).unwrap_or(u16::MAX).max(1));
        let preview = preview.min((inner.height / 3).max(1)).min(inner.height);
        let form = sheet.height.min(inner.height.saturating_sub(preview + 1).max(1)).min(inner.height);
        let top = Rect { height: form, ..inner };
        self.form.show(&sheet, buf, top, theme);
        let bottom = Rect { y: inner.bottom() - preview, height: preview, ..inner };
        if inner.height > preview {
            self.draw_preview(buf, bottom, theme);
        }
        let room = inner.height.saturating_sub(form + preview + 2).min(KNOWN_ROWS);
        if room > 0 && !self.known.is_empty() {
            self.draw_known(buf, Rect { y: inner.y + form + 1, height: room, ..inner }, theme);
        }
    }
}

/// What Enter would do to each row.
fn fates(memberships: Vec<Membership>, ctx: &Ctx<'_>) -> Vec<(Membership, Fate)> {
    if memberships.is_empty() {
        return Vec::new();
    }
    let have: HashMap<&Membership, &Group> = ctx.model.groups().map(|g| (&*g.membership, g)).collect();
    let fate = |m: Membership| {
        let fate = match have.get(&m) {
            None => Fate::Join,
            Some(Group { id, join: JoinState::Failed { .. }, .. }) => Fate::Retry(*id),
            Some(_) => Fate::Already,
        };
        (m, fate)
    };
    memberships.into_iter().map(fate).collect()
}

/// `(10.1.2.20, 232.1.1.1) port 5004 on eth0`; an asterisk stands for any source (RFC 7761 section 2.1).
fn phrase(m: &Membership) -> String {
    let source = match m.filter.sources() {
        [] => "*".to_owned(),
        [one] => one.to_string(),
        [first, rest @ ..] => format!("{first} and {} more", rest.len()),
    };
    format!("({source}, {}) port {} on {}", m.group, m.port, m.iface)
}

/// What there is to say of a text that is right.
fn notes(resolved: &Resolved, registry: &Registry) -> Vec<String> {
    let mut out = Vec::new();
    let Some(first) = resolved.memberships.first() else { return out };
    if let [source] = first.filter.sources() {
        let range = if !is_ssm(first.group) {
            String::new()
        } else if first.group.is_ipv4() {
            " · 232/8 is the SSM range".to_owned()
        } else {
            " · ff3x::/32 is the SSM range".to_owned()
        };
        out.push(format!("source-specific: only {source}{range}"));
    } else if first.filter.sources().len() > 1 {
        out.push(format!("source-specific: only these {} sources", first.filter.sources().len()));
    }
    let to = first.endpoint();
    let row = registry.label(to).filter(|row| row.has_port(to.port)).or_else(|| registry.range_at(to));
    // Of the SSM range it is said already.
    let row = row.filter(|row| row.is_group() || out.is_empty() || !is_ssm(first.group));
    out.extend(row.map(|row| format!("{}: {}", row.name, row.purpose)));
    out.extend(resolved.notes.iter().map(resolve::Note::to_string));
    out
}

/// What is still missing, for a hint while typing.
fn missing(e: &SpecError) -> Vec<String> {
    match &e.help {
        Some(help) => vec![format!("{}; {help}", e.message)],
        None => vec![e.message.clone()],
    }
}
