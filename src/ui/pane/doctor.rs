//! Why the selected group does not arrive: the path with the place where its packets die, and the
//! findings, what explains it first.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::base::units;
use crate::doctor::checks::window;
use crate::doctor::finding::{Finding, Funnel, Passage, Report, Verdict};
use crate::doctor::picture::{arrow, cells};
use crate::engine::command::Examined;
use crate::ui::keys::Cmd;
use crate::ui::layer::Ctx;
use crate::ui::pane::{Kind, Pane, Reply, movement};
use crate::ui::shared::Shared;
use crate::ui::theme::Theme;
use crate::ui::widget::frame::{Words, empty, frame, put, wrap};

/// Columns before a finding's words, and before what belongs to it.
const INDENT: u16 = 3;
const LABEL: u16 = 7;

/// A finding that can be selected, by what stays when it is measured again.
type Name = (&'static str, String);

/// The pane.
#[derive(Default)]
pub struct Doctor {
    /// The finding that is selected; `None` is the first.
    selected: Option<Name>,
    /// Show also what is fine, or could not be looked at.
    all: bool,
    /// The first line shown.
    top: usize,
    /// The lines drawn last, with the finding each belongs to.
    drawn: Vec<Option<Name>>,
    body: Rect,
}

/// A line: what it is made of, with the column of each part, and the finding it belongs to.
struct Row {
    parts: Vec<(u16, String, Style)>,
    of: Option<Name>,
}

fn name(f: &Finding) -> Name {
    (f.id, f.object.clone())
}

/// Sign and style of a verdict.
fn look(v: Verdict, theme: &Theme) -> (&'static str, Style) {
    match v {
        Verdict::Fail => ("✕", theme.bad),
        Verdict::Warn => ("!", theme.silent),
        Verdict::Unknown => ("?", theme.dim),
        Verdict::Note => ("·", theme.text),
        Verdict::Ok => ("✓", theme.live),
    }
}

/// The report of what is selected, if it is that one's.
fn report<'a>(at: &Shared, ctx: &Ctx<'a>) -> Option<&'a Report> {
    match ctx.examined.filter(|e| e.of == at.group_id())?.outcome.as_ref()? {
        Ok(report) => Some(report),
        Err(_) => None,
    }
}

impl Doctor {
    /// The findings that are shown, in order.
    fn shown<'r>(&self, report: &'r Report) -> Vec<&'r Finding> {
        let shows = |f: &&Finding| {
            self.all || f.explains || f.verdict < Verdict::Unknown || f.verdict == Verdict::Note
        };
        report.findings.iter().filter(shows).collect()
    }

    /// The place of the selected one among those shown; one that is gone gives way to the first.
    fn place(&self, shown: &[&Finding]) -> usize {
        let is = |s: &Name| shown.iter().position(|f| (f.id, &f.object) == (s.0, &s.1));
        self.selected.as_ref().and_then(is).unwrap_or(0)
    }

    fn rows(&self, report: &Report, width: usize, theme: &Theme) -> Vec<Row> {
        let mut rows = Vec::new();
        if let Some(funnel) = &report.funnel {
            picture(&mut rows, funnel, width, theme);
        }
        let shown = self.shown(report);
        let place = self.place(&shown);
        for (n, f) in shown.iter().enumerate() {
            finding(&mut rows, f, n == place, width, theme);
        }
        if !self.all {
            hidden(&mut rows, report, width, theme);
        }
        rows
    }

    fn step(&mut self, by: isize, report: &Report) {
        let shown = self.shown(report);
        let last = shown.len().saturating_sub(1) as isize;
        let to = (self.place(&shown) as isize).saturating_add(by).clamp(0, last);
        self.selected = shown.get(to as usize).map(|f| name(f));
    }

    /// Moves the window so that the selected finding is in it; the first one with what stands above it.
    fn scroll(&mut self, rows: &[Row], selected: Option<&Name>, height: usize) {
        let first = rows.iter().position(|r| r.of.is_some());
        let begin = rows.iter().position(|r| r.of.is_some() && r.of.as_ref() == selected).unwrap_or(0);
        let end = rows.iter().rposition(|r| r.of.is_some() && r.of.as_ref() == selected).unwrap_or(0);
        if Some(begin) == first || begin == 0 {
            self.top = 0;
        }
        if end >= self.top + height {
            self.top = end + 1 - height;
        }
        self.top = self.top.min(begin).min(rows.len().saturating_sub(height));
    }
}

/// The stations side by side, the figures under them, and what dies where.
fn picture(rows: &mut Vec<Row>, funnel: &Funnel, width: usize, theme: &Theme) {
    rows.push(Row { parts: Vec::new(), of: None });
    // As wide as there is room: the names and figures at their narrowest, and seven gaps.
    let extent = |gap| {
        let cells = cells(funnel, gap);
        cells.last().map_or(0, |c| c.column + c.station.word().len().max(c.figure.chars().count()))
    };
    let gap = (3..=9).rev().find(|&gap| extent(gap) + 2 * INDENT as usize <= width).unwrap_or(3);
    let indent = if extent(gap) + 2 * INDENT as usize <= width { INDENT } else { 0 };
    let (mut names, mut figures, mut below) = (Vec::new(), Vec::new(), Vec::new());
    for c in cells(funnel, gap) {
        let x = indent + c.column as u16;
        let style = match c.passage {
            Passage::Dies => theme.bad,
            Passage::Unreached => theme.dim,
            _ => theme.text,
        };
        if c.column > 0 {
            names.push((x.saturating_sub(gap as u16), arrow(gap), theme.dim));
        }
        names.push((x, c.station.word().to_owned(), style));
        figures.push((x, c.figure, if c.passage == Passage::Dies { theme.bad } else { theme.dim }));
        if let Some(note) = c.note {
            // What would run over the edge begins further left.
            let text = format!("└ {note}");
            let most = (width as u16).saturating_sub(text.chars().count() as u16);
            below.push((x.min(most), text, theme.bad));
        }
    }
    for parts in [names, figures, below] {
        if !parts.is_empty() {
            rows.push(Row { parts, of: None });
        }
    }
    if !funnel.cannot_separate.is_empty() {
        let text = format!("cannot be told apart: {}", funnel.cannot_separate);
        for line in wrap(&text, width.saturating_sub(2 * INDENT as usize)) {
            rows.push(Row { parts: vec![(INDENT, line, theme.dim)], of: None });
        }
    }
    rows.push(Row { parts: Vec::new(), of: None });
}

fn finding(rows: &mut Vec<Row>, f: &Finding, selected: bool, width: usize, theme: &Theme) {
    let of = || Some(name(f));
    let (sign, style) = look(f.verdict, theme);
    let words = if f.verdict == Verdict::Fail { theme.title } else { theme.text };
    for (n, line) in wrap(&f.title, width.saturating_sub(INDENT as usize + 1)).into_iter().enumerate() {
        let mut parts = vec![(INDENT, line, words)];
        if n == 0 {
            parts.push((1, sign.to_owned(), style));
            if selected {
                parts.push((0, "▌".to_owned(), theme.accent));
            }
        }
        rows.push(Row { parts, of: of() });
    }
    if !selected {
        return;
    }
    let mut put_words = |label: &str, text: &str, style: Style| {
        let room = width.saturating_sub((INDENT + LABEL) as usize + 1);
        for (n, line) in wrap(text, room).into_iter().enumerate() {
            let mut parts = vec![(INDENT + LABEL, line, style)];
            if n == 0 {
                parts.push((INDENT, label.to_owned(), theme.dim));
            }
            rows.push(Row { parts, of: of() });
        }
    };
    put_words("check", &format!("{} · {}", f.id, f.object), theme.dim);
    put_words("seen", &f.evidence, theme.text);
    if f.verdict != Verdict::Ok {
        put_words("why", &f.why, theme.text);
    }
    if let Some(remedy) = &f.remedy {
        let style = if remedy.command().is_some() { theme.accent } else { theme.text };
        let mut label = "remedy";
        for line in remedy.text().lines() {
            put_words(label, line, style);
            label = "";
        }
    }
    rows.push(Row { parts: Vec::new(), of: of() });
}

/// What is not shown: by what is missing where something could not be looked at, and how many are fine.
fn hidden(rows: &mut Vec<Row>, report: &Report, width: usize, theme: &Theme) {
    let mut line = |sign: &str, style: Style, text: String| {
        for (n, part) in wrap(&text, width.saturating_sub(INDENT as usize + 1)).into_iter().enumerate() {
            let mut parts = vec![(INDENT, part, theme.dim)];
            if n == 0 {
                parts.push((1, sign.to_owned(), style));
            }
            rows.push(Row { parts, of: None });
        }
    };
    let unknown: Vec<&Finding> =
        report.findings.iter().filter(|f| f.verdict == Verdict::Unknown && !f.explains).collect();
    let mut reasons: Vec<(&str, usize)> = Vec::new();
    for f in &unknown {
        // The others are told by more time, or by a packet that they could look at.
        let reason = if f.evidence.contains("needs CAP_") { f.evidence.as_str() } else { "" };
        match reasons.iter_mut().find(|(r, _)| *r == reason) {
            Some((_, n)) => *n += 1,
            None => reasons.push((reason, 1)),
        }
    }
    let checks = |n: usize| units::counted(n as u64, "check", "checks");
    for (reason, n) in reasons {
        let (sign, style) = look(Verdict::Unknown, theme);
        line(
            sign,
            style,
            match (reason, n) {
                ("", n) => {
                    let need = units::counted(n as u64, "check needs", "checks need");
                    format!("{need} more time, or a packet to look at")
                }
                (reason, n) => format!("{} could not look: {reason}", checks(n)),
            },
        );
    }
    let fine = report.findings.iter().filter(|f| f.verdict == Verdict::Ok && !f.explains).count();
    if fine > 0 {
        let (sign, style) = look(Verdict::Ok, theme);
        let are = if fine == 1 { "is" } else { "are" };
        line(sign, style, format!("{} {are} fine · ↵ shows all", checks(fine)));
    }
}

/// What stands in the frame.
fn words(at: &Shared, ctx: &Ctx<'_>, e: Option<&Examined>, report: Option<&Report>) -> Words {
    let measured =
        report.filter(|r| r.window_ns > 0).map(|r| format!("  measured for {}", window(r.window_ns)));
    let measured = measured.unwrap_or_default();
    let title = match (at.group(ctx).map(|g| &g.membership), report.map(|r| r.packets)) {
        (None, _) => format!("This host{measured}"),
        (Some(m), Some(1..)) => format!("{} arrives on {}{measured}", m.endpoint(), m.iface),
        (Some(m), Some(0)) => format!("Why is {} silent on {}?{measured}", m.endpoint(), m.iface),
        (Some(m), None) => format!("{} on {}", m.endpoint(), m.iface),
    };
    let right = match e {
        Some(e) if e.running && report.is_some() => "measuring again …".to_owned(),
        Some(e) if e.running => "measuring …".to_owned(),
        _ => String::new(),
    };
    Words {
        title,
        right,
        bottom_right: format!("{}: copy the remedy", ctx.key(Cmd::Copy)),
        ..Words::default()
    }
}

impl Pane for Doctor {
    fn kind(&self) -> Kind {
        Kind::Doctor
    }

    fn draw(&mut self, area: Rect, buf: &mut Buffer, focused: bool, at: &mut Shared, ctx: &Ctx<'_>) {
        let theme = ctx.theme;
        let e = ctx.examined.filter(|e| e.of == at.group_id());
        let report = report(at, ctx);
        let inner = frame(area, buf, theme, focused, &words(at, ctx, e, report));
        self.body = inner;
        self.drawn.clear();
        if at.group(ctx).is_some_and(|g| !g.is_joined()) {
            let line = format!(
                "this group is seen on the wire and not joined: {} joins it, then it can be examined",
                ctx.key(Cmd::JoinNow)
            );
            return empty(buf, inner, &[line], theme.dim);
        }
        let Some(report) = report else {
            let lines = match e.and_then(|e| e.outcome.as_ref()) {
                Some(Err(error)) => vec![error.clone()],
                _ => vec![
                    "measuring for 3 s: what the kernel counts, and where packets die".to_owned(),
                    "the group is joined meanwhile; nothing else is sent or changed".to_owned(),
                ],
            };
            return empty(buf, inner, &lines, theme.dim);
        };
        let rows = self.rows(report, inner.width as usize, theme);
        let shown = self.shown(report);
        let selected = shown.get(self.place(&shown)).map(|f| name(f));
        self.scroll(&rows, selected.as_ref(), inner.height as usize);
        for (n, row) in rows.iter().skip(self.top).take(inner.height as usize).enumerate() {
            let y = inner.y + n as u16;
            for (x, text, style) in &row.parts {
                let room = inner.width.saturating_sub(*x) as usize;
                put(buf, inner.x + x, y, room, text, *style);
            }
            self.drawn.push(row.of.clone());
        }
    }

    fn command(&mut self, cmd: Cmd, at: &mut Shared, ctx: &Ctx<'_>) -> Reply {
        if cmd == Cmd::Open {
            self.all ^= true;
            return Reply::Done;
        }
        let Some(by) = movement(cmd, 4) else { return Reply::Ignored };
        if let Some(report) = report(at, ctx) {
            self.step(by, report);
        }
        Reply::Done
    }

    fn click(&mut self, _x: u16, y: u16, _at: &mut Shared, _ctx: &Ctx<'_>) {
        let row = y.checked_sub(self.body.y).and_then(|n| self.drawn.get(n as usize));
        if let Some(Some(name)) = row {
            self.selected = Some(name.clone());
        }
    }

    fn wheel(&mut self, lines: isize, at: &mut Shared, ctx: &Ctx<'_>) {
        if let Some(report) = report(at, ctx) {
            self.step(lines.signum(), report);
        }
    }

    fn copy(&self, at: &Shared, ctx: &Ctx<'_>) -> Option<String> {
        let shown = self.shown(report(at, ctx)?);
        let f = shown.get(self.place(&shown))?;
        Some(f.remedy.as_ref().map_or_else(|| f.title.clone(), |r| r.text().to_owned()))
    }
}
