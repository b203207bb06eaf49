//! The sends of this run: how far each has come, what went wrong, who answered.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, MouseEvent};
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use super::popup::{FRAME, Popup, clip, is_global, put, wrap};
use crate::base::text::visible;
use crate::base::units;
use crate::engine::command::{REPLIES_MAX, Reply, SendId, SendProgress, SendState};
use crate::ui::action::Action;
use crate::ui::keys::Cmd;
use crate::ui::layer::{Ctx, Layer, Outcome};
use crate::ui::theme::Theme;

#[cfg(test)]
mod tests;

/// Columns of the content, at most.
const WIDTH: u16 = 108;
/// Sends in view, at most.
const LIST_ROWS: u16 = 6;
/// From so many columns on there is room for words and long bars.
const ROOMY: u16 = 90;
/// Rows of the content at least, so that the frame does not jump when the first answers come.
const LEAST_ROWS: u16 = 12;
/// Columns of a long progress bar.
const BAR: usize = 16;
/// Characters of an error or remedy that are shown, at most.
const MAX_CHARS: usize = 400;

/// The list of sends with the details of one.
#[derive(Clone, Debug, Default)]
pub struct SendsLayer {
    /// The one looked at; the newest if `None`.
    at: Option<SendId>,
    /// Answers scrolled back from the newest.
    back: usize,
    /// Rows of answers as last drawn.
    page: usize,
    copied: bool,
}

impl SendsLayer {
    /// The list with the newest send selected.
    pub fn new() -> Self {
        SendsLayer::default()
    }

    /// The place of the selected send in the list, which goes from the newest to the oldest.
    fn place(&self, sends: &[(SendId, SendProgress)]) -> usize {
        let place = self.at.and_then(|at| sends.iter().rev().position(|(id, _)| *id == at));
        place.unwrap_or(0)
    }

    fn selected<'c>(&self, ctx: &Ctx<'c>) -> Option<&'c (SendId, SendProgress)> {
        ctx.sends.iter().rev().nth(self.place(ctx.sends))
    }

    fn step(&mut self, by: isize, ctx: &Ctx<'_>) {
        let next = self.place(ctx.sends).saturating_add_signed(by);
        if let Some((id, _)) = ctx.sends.iter().rev().nth(next) {
            *self = SendsLayer { at: Some(*id), page: self.page, ..SendsLayer::default() };
        }
    }

    fn draw_list(&self, buf: &mut Buffer, area: Rect, ctx: &Ctx<'_>) {
        let theme = ctx.theme;
        let place = self.place(ctx.sends);
        let first = (place + 1).saturating_sub(usize::from(area.height));
        let rows = ctx.sends.iter().rev().enumerate().skip(first).take(area.height.into());
        let widest = |text: &dyn Fn(&SendProgress) -> String| {
            ctx.sends.iter().map(|(_, p)| text(p).width()).max().unwrap_or(0)
        };
        let (targets, amounts) = (widest(&target).min(27), widest(&amount));
        let bar = if area.width < ROOMY { BAR / 2 } else { BAR };
        for (y, (i, (_, p))) in (0..).zip(rows) {
            let row = Rect { y: area.y + y, height: 1, ..area };
            if i == place {
                put(buf, row, 0, 0, "▌", theme.accent);
                buf.set_style(row.intersection(buf.area), theme.selected);
            }
            let (sign, word, style) = state(p, theme);
            put(buf, row, 1, 0, sign, style);
            let mut x = put(buf, row, 3, 0, &format!("{:targets$}", clip(&target(p), targets)), theme.text);
            if area.width >= ROOMY {
                x = put(buf, row, x + 2, 0, &format!("{word:7}"), style);
            }
            x = draw_bar(buf, row, x + 2, bar, p, theme);
            x = put(buf, row, x + 2, 0, &format!("{:>amounts$}", amount(p)), theme.text);
            let rate = rate(p).map_or(String::new(), units::packets_per_s);
            x = put(buf, row, x + 2, 0, &format!("{rate:>9}"), theme.dim);
            let errors: u64 = p.errors.iter().map(|e| e.count).sum();
            if errors > 0 {
                x = put(buf, row, x + 2, 0, &format!("{} failed", units::count(errors)), theme.bad);
            }
            if p.reply_count > 0 {
                put(buf, row, x + 2, 0, &replies(p.reply_count), theme.live);
            }
        }
    }

    /// What is to be told of a send, above its answers.
    fn story(&self, p: &SendProgress, width: u16, theme: &Theme) -> Vec<(String, Style)> {
        let width = usize::from(width);
        let mut out = Vec::new();
        let mut say = |text: &str, style| out.extend(wrap(text, width).into_iter().map(|l| (l, style)));
        let from = p.from.map_or("no socket yet".to_owned(), |from| format!("from {from}"));
        let of = p.duration.map_or(String::new(), |d| format!(" of {}", time(d)));
        let (_, word, _) = state(p, theme);
        say(
            &format!("{word} · {from} · {}{of} · {}", time(p.elapsed), units::bytes(p.sent_bytes)),
            theme.dim,
        );
        let purpose = [
            (p.dropped_on_purpose, "left out"),
            (p.doubled_on_purpose, "doubled"),
            (p.swapped_on_purpose, "swapped"),
        ];
        let purpose = purpose.iter().filter(|(n, _)| *n > 0);
        let purpose: Vec<String> = purpose.map(|(n, what)| format!("{} {what}", units::count(*n))).collect();
        if !purpose.is_empty() {
            say(&format!("on purpose: {}", purpose.join(", ")), theme.text);
        }
        if let SendState::Failed(why) = &p.state {
            say(&format!("✕ {}", visible(why, MAX_CHARS)), theme.bad);
        }
        for e in &p.errors {
            say(&format!("✕ {} × {}", units::count(e.count), visible(&e.kind, MAX_CHARS)), theme.bad);
            if let Some(remedy) = &e.remedy {
                say(&format!("  remedy  {}", visible(remedy, MAX_CHARS)), theme.text);
            }
        }
        out
    }

    fn draw_replies(&mut self, buf: &mut Buffer, area: Rect, p: &SendProgress, ctx: &Ctx<'_>) {
        let theme = ctx.theme;
        if area.height < 2 {
            return;
        }
        let page = usize::from(area.height - 1);
        self.page = page;
        self.back = self.back.min(p.replies.len().saturating_sub(page));
        let last = p.replies.len() - self.back;
        let shown = &p.replies[last.saturating_sub(page)..last];
        let names: Vec<String> = shown.iter().map(|r| who(r, ctx)).collect();
        let width = names.iter().map(|n| n.width()).max().unwrap_or(0).clamp(6, 44);
        let heading = format!("{:width$}  ROUND TRIP  HOPS  TTL     SEQ   SIZE", "ANSWER");
        let end = put(buf, area, 0, 0, &heading, theme.dim);
        let kept = if p.reply_count > p.replies.len() as u64 {
            format!("the first {REPLIES_MAX} of {}", units::count(p.reply_count))
        } else if self.back > 0 {
            format!("{} below", self.back)
        } else {
            String::new()
        };
        put(buf, area, end + 2, 0, &kept, theme.dim);
        for (y, (reply, name)) in (1..).zip(shown.iter().zip(&names)) {
            let row = format!(
                "{:width$}  {:>10}  {:>4}  {:>3}  {:>6}  {:>5}",
                clip(name, width),
                time(reply.round_trip),
                units::or_dash(reply.hops, |h| h.to_string()),
                units::or_dash(reply.ttl, |t| t.to_string()),
                units::or_dash(reply.sequence, |s| s.to_string()),
                reply.size_bytes,
            );
            put(buf, area, 0, y, &row, theme.text);
        }
    }
}

impl Layer for SendsLayer {
    fn key(&mut self, key: KeyEvent, ctx: &Ctx<'_>) -> Outcome {
        if is_global(key) {
            return Outcome::Passed;
        }
        let selected = self.selected(ctx);
        match key.code {
            KeyCode::Esc | KeyCode::Char('q') => return Outcome::Close(Vec::new()),
            KeyCode::Down | KeyCode::Char('j') => self.step(1, ctx),
            KeyCode::Up | KeyCode::Char('k') => self.step(-1, ctx),
            KeyCode::Home | KeyCode::Char('g') => self.step(isize::MIN, ctx),
            KeyCode::PageUp => self.back = self.back.saturating_add(self.page.max(1)),
            KeyCode::PageDown => self.back = self.back.saturating_sub(self.page.max(1)),
            KeyCode::Char('x') | KeyCode::Delete => {
                if let Some((id, p)) = selected
                    && p.state == SendState::Running
                {
                    return Outcome::Act(vec![Action::StopSend(*id)]);
                }
            }
            KeyCode::Char('c') => {
                if let Some(remedy) = selected.and_then(|(_, p)| remedy(p)) {
                    self.copied = true;
                    return Outcome::Act(vec![Action::Copy(remedy.to_owned())]);
                }
            }
            _ => {}
        }
        Outcome::Consumed
    }

    fn mouse(&mut self, _event: MouseEvent, _ctx: &Ctx<'_>) -> Outcome {
        Outcome::Consumed
    }

    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, ctx: &Ctx<'_>) {
        let theme = ctx.theme;
        let selected = self.selected(ctx);
        let mut keys = Vec::new();
        if ctx.sends.len() > 1 {
            keys.push(("↑↓", "choose"));
        }
        if selected.is_some_and(|(_, p)| p.state == SendState::Running) {
            keys.push(("x", "stop"));
        }
        if selected.is_some_and(|(_, p)| remedy(p).is_some()) {
            keys.push(("c", if self.copied { "copied" } else { "copy remedy" }));
        }
        if selected.is_some_and(|(_, p)| p.replies.len() > 1) {
            keys.push(("PgUp PgDn", "answers"));
        }
        keys.push(("Esc", "close"));
        let width = WIDTH.min(area.width.saturating_sub(FRAME.0));
        let story = selected.map_or(Vec::new(), |(_, p)| self.story(p, width, theme));
        let list = ctx.sends.len().min(LIST_ROWS.into());
        let answers = selected.map_or(0, |(_, p)| p.replies.len());
        let rows = u16::try_from(list + story.len() + answers + 3).unwrap_or(u16::MAX);
        let height = rows.clamp(LEAST_ROWS, area.height.saturating_sub(FRAME.1).max(LEAST_ROWS));
        let inner = Popup { title: "Sends", width, height, keys: &keys }.open(frame, area, theme);
        let buf = frame.buffer_mut();
        let Some((_, p)) = selected else {
            let text = format!(
                "Nothing was sent yet: {} sends a test message to the selected group, {} asks for more.",
                ctx.key(Cmd::SendTest),
                ctx.key(Cmd::Send)
            );
            for (y, line) in (0..).zip(wrap(&text, inner.width.into())) {
                put(buf, inner, 0, y, &line, theme.dim);
            }
            return;
        };
        let list = Rect { height: (list as u16).min(inner.height), ..inner };
        self.draw_list(buf, list, ctx);
        let top = list.height + 1;
        let rest = inner.height.saturating_sub(top);
        // Answers keep at least a third of the room, whatever went wrong.
        let least = if p.replies.is_empty() { 0 } else { rest / 3 };
        let told = u16::try_from(story.len()).unwrap_or(u16::MAX).min(rest - least);
        for (y, (line, style)) in (0..told).zip(&story) {
            put(buf, inner, 0, top + y, line, *style);
        }
        let below = top + told + 1;
        if !p.replies.is_empty() && below < inner.height {
            let place = Rect { y: inner.y + below, height: inner.height - below, ..inner };
            self.draw_replies(buf, place, p, ctx);
        }
    }
}

fn target(p: &SendProgress) -> String {
    units::or_dash(p.to, |to| to.to_string())
}

fn time(d: Duration) -> String {
    units::duration(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
}

fn replies(n: u64) -> String {
    units::counted(n, "answer", "answers")
}

fn remedy(p: &SendProgress) -> Option<&str> {
    p.errors.iter().find_map(|e| e.remedy.as_deref())
}

/// The sign, the word and the style of how a send stands.
fn state(p: &SendProgress, theme: &Theme) -> (&'static str, &'static str, Style) {
    match p.state {
        SendState::Running => ("●", "running", theme.live),
        SendState::Done => ("✓", "done", theme.dim),
        SendState::Stopped => ("■", "stopped", theme.silent),
        SendState::Failed(_) => ("✕", "failed", theme.bad),
    }
}

/// Datagrams sent, of how many where that is known.
fn amount(p: &SendProgress) -> String {
    match p.total {
        Some(total) => format!("{} of {}", units::count(p.sent), units::count(total)),
        None => units::count(p.sent),
    }
}

/// Datagrams a second on average; `None` before there is one.
fn rate(p: &SendProgress) -> Option<f64> {
    let seconds = p.elapsed.as_secs_f64();
    (seconds > 0.0 && p.sent > 1).then(|| p.sent as f64 / seconds)
}

/// The share done, 0 to 1: by numbers where their total is known, otherwise by time. Numbers left out on
/// purpose and those that failed are done as well, a doubled one once.
fn share(p: &SendProgress) -> Option<f64> {
    let by_number = p.total.filter(|t| *t > 0).map(|total| {
        let failed: u64 = p.errors.iter().map(|e| e.count).sum();
        let done = p.sent.saturating_sub(p.doubled_on_purpose).saturating_add(p.dropped_on_purpose);
        done.saturating_add(failed) as f64 / total as f64
    });
    let time = p.duration.filter(|d| !d.is_zero());
    let by_time = time.map(|d| p.elapsed.as_secs_f64() / d.as_secs_f64());
    let share = by_number.into_iter().chain(by_time).reduce(f64::max)?;
    Some(if p.state == SendState::Done { 1.0 } else { share.min(1.0) })
}

/// Draws the bar, blank where no end is known; returns the column after it.
fn draw_bar(buf: &mut Buffer, row: Rect, x: u16, width: usize, p: &SendProgress, theme: &Theme) -> u16 {
    let Some(share) = share(p) else {
        return put(buf, row, x, 0, &format!("{:width$}", "no end"), theme.dim);
    };
    let full = (share * width as f64) as usize;
    let x = put(buf, row, x, 0, &"━".repeat(full), theme.accent);
    put(buf, row, x, 0, &"─".repeat(width - full.min(width)), theme.dim)
}

/// Who answered: the endpoint and its name, if it has one.
fn who(reply: &Reply, ctx: &Ctx<'_>) -> String {
    match ctx.names.get(&reply.from.ip) {
        Some(Some(name)) => format!("{}  {}", reply.from, visible(name, 60)),
        _ => reply.from.to_string(),
    }
}
