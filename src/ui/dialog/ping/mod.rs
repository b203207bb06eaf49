//! The ping of a group: who answers, how fast, from how far, and where it is lost, while it runs.

use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent, MouseEvent};
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use super::popup::{FRAME, Popup, clip, is_global, put, wrap};
use crate::base::group::MembershipId;
use crate::base::text::visible;
use crate::base::units;
use crate::engine::command::{PingProgress, SendState};
use crate::model::ping::{Answer, By, Peer, Way};
use crate::ui::action::Action;
use crate::ui::layer::{Ctx, Layer, Outcome};
use crate::ui::theme::Theme;

#[cfg(test)]
mod tests;

/// Columns of the content, at most.
const WIDTH: u16 = 112;
/// Rows of the content at least, so that the frame does not jump when the first answers come.
const LEAST_ROWS: u16 = 14;
/// Columns from which on the least, greatest and deviation have room beside the mean.
const ROOMY: u16 = 96;
/// Pings without any answer after which it is said what may be missing.
const PATIENT: u64 = 3;
/// The TTLs that `t` goes through: to the first router, across a site, far.
const TTLS: [u8; 3] = [1, 16, 64];
/// Characters of an error that are shown, at most.
const MAX_CHARS: usize = 400;

/// The pop-up of the ping that the loop runs for it.
#[derive(Clone, Debug)]
pub struct PingLayer {
    group: MembershipId,
    ttl: u8,
    /// Rows of answers and words scrolled down.
    down: usize,
}

impl PingLayer {
    /// For a row; the ping itself is begun by [`PingLayer::begin`].
    pub fn new(group: MembershipId) -> PingLayer {
        PingLayer { group, ttl: TTLS[0], down: 0 }
    }

    /// What begins the ping.
    pub fn begin(&self) -> Action {
        Action::Ping(self.group, self.ttl)
    }

    /// The line on how it stands.
    fn state(p: &PingProgress, theme: &Theme) -> (String, Style) {
        let (sign, word, style) = match p.state {
            SendState::Running => ("●", "running", theme.live),
            SendState::Done => ("✓", "done", theme.dim),
            SendState::Stopped => ("■", "stopped", theme.silent),
            SendState::Failed(_) => ("✕", "failed", theme.bad),
        };
        let from = p.from.map_or_else(String::new, |f| format!(" · from {f}"));
        let text = format!(
            "{sign} {word} · {} sent in {} · each {} · TTL {}{from}",
            units::packets(p.pings.count()),
            time(p.elapsed),
            time(p.job.interval),
            p.job.ttl,
        );
        (text, style)
    }

    /// What is to be said in words: what went wrong, what the figures mean, what to do next.
    fn words(p: &PingProgress, theme: &Theme) -> Vec<(String, Style)> {
        let mut out = Vec::new();
        if let SendState::Failed(why) = &p.state {
            out.push((format!("✕ {}", visible(why, MAX_CHARS)), theme.bad));
        }
        for e in &p.errors {
            let remedy = e.remedy.as_ref().map_or_else(String::new, |r| format!(" · {r}"));
            let text = format!("✕ {} × {}{remedy}", units::count(e.count), e.kind);
            out.push((visible(&text, MAX_CHARS), theme.bad));
        }
        if let Some(why) = &p.deaf {
            let text = format!("answers to the group are not asked for: {why}");
            out.push((visible(&text, MAX_CHARS), theme.silent));
        }
        for peer in p.pings.peers() {
            for (by, way) in ways(p, peer) {
                let Some(l) = way.losses(p.pings.due()) else { continue };
                let who = format!("{} by {}", peer.from.ip, by.word());
                if l.setup > 0 {
                    let text = format!(
                        "{who}: {} lost before the first answer (set-up, not counted as loss)",
                        units::packets(l.setup)
                    );
                    out.push((text, theme.dim));
                }
                let unclear =
                    if l.unclear > 0 { format!(", {} on a way not known", l.unclear) } else { String::new() };
                let withheld = match l.withheld.unwrap_or(0) {
                    0 => String::new(),
                    n => format!(", {n} withheld by its rate limit"),
                };
                if let (true, Some(there), Some(back)) = (l.lost > 0, l.there, l.back) {
                    let text = format!(
                        "{who}: {there} lost on the way there, {back} on the way back{withheld}{unclear}"
                    );
                    out.push((text, theme.bad));
                }
            }
            out.extend(p.pings.verdict(peer).map(|v| (v, theme.silent)));
        }
        if !p.pings.answered() && p.pings.count() >= PATIENT {
            let to = p.job.to;
            out.push((
                format!(
                    "Nobody has answered. On another host `mcscope respond {to}`, or r on its dashboard, answers; \
                     this host never answers itself.{}",
                    if p.job.ttl == 1 { " TTL 1 stops at the first router: t goes further." } else { "" }
                ),
                theme.text,
            ));
        }
        if p.pings.more() > 0 {
            let text = format!("{} answers of more responders than are shown", units::count(p.pings.more()));
            out.push((text, theme.dim));
        }
        out
    }

    fn draw_table(buf: &mut Buffer, area: Rect, p: &PingProgress, ctx: &Ctx<'_>) -> u16 {
        let theme = ctx.theme;
        let rows: Vec<(&Peer, By, &Way)> = p
            .pings
            .peers()
            .iter()
            .flat_map(|e| ways(p, e).into_iter().map(move |(by, w)| (e, by, w)))
            .collect();
        if rows.is_empty() {
            return 0;
        }
        let names: Vec<String> = rows.iter().map(|(e, ..)| who(e, ctx)).collect();
        let roomy = area.width >= ROOMY;
        let most = usize::from(area.width).saturating_sub(if roomy { 84 } else { 54 });
        let width = names.iter().map(|n| n.width()).max().unwrap_or(0).clamp(9, most.max(9));
        let times = if roomy { "    MIN      AVG      MAX      DEV  " } else { "    AVG  " };
        let head = format!("{:width$}  BY         ANSWERED  LOST     {times} HOPS  DUP", "RESPONDER");
        put(buf, area, 0, 0, &head, theme.dim);
        let room = usize::from(area.height).saturating_sub(1);
        for (y, ((peer, by, way), name)) in (1..).zip(rows.iter().zip(&names)).take(room) {
            let l = way.losses(p.pings.due());
            let lost =
                l.map(|l| units::percent(units::share_pct(l.lost, way.answered() + l.lost).unwrap_or(0.0)));
            let style = match l {
                None => theme.silent,
                Some(l) if l.lost > 0 => theme.bad,
                Some(_) => theme.text,
            };
            let ns = |v: Option<u64>| format!("{:>7}", units::or_dash(v, units::duration_short));
            let t = &way.time;
            let times = if roomy {
                format!(
                    "{}  {}  {}  {}",
                    ns(t.min_ns()),
                    ns(t.avg_ns()),
                    ns(t.max_ns()),
                    ns(t.deviation_ns())
                )
            } else {
                ns(t.avg_ns())
            };
            let hops = |n: Option<u8>| units::or_dash(n, |h| h.to_string());
            let name = if *by == By::Unicast { clip(name, width) } else { String::new() };
            let row = format!(
                "{name:width$}  {:9}  {:>8}  {:>7}  {times}  {:>5}  {:>3}",
                by.word(),
                units::count(way.answered()),
                units::or_dash(lost, |l| l),
                format!("{}/{}", hops(peer.hops_there), hops(way.hops)),
                units::count(way.duplicates()),
            );
            put(buf, area, 0, y, &row, style);
        }
        (rows.len().min(room) + 1) as u16
    }

    fn draw_answers(buf: &mut Buffer, area: Rect, p: &PingProgress, theme: &Theme) {
        if area.height < 2 || p.recent.is_empty() {
            return;
        }
        put(buf, area, 0, 0, "newest answers", theme.dim);
        for (y, a) in (1..area.height).zip(p.recent.iter().rev()) {
            put(buf, area, 0, y, &answer(a), theme.text);
        }
    }
}

impl Layer for PingLayer {
    fn key(&mut self, key: KeyEvent, ctx: &Ctx<'_>) -> Outcome {
        if is_global(key) {
            return Outcome::Passed;
        }
        let running = ctx.ping.is_some_and(|p| p.state == SendState::Running);
        match key.code {
            KeyCode::Esc | KeyCode::Char('q') => return Outcome::Close(vec![Action::StopPing]),
            KeyCode::Char('p') if running => return Outcome::Act(vec![Action::StopPing]),
            KeyCode::Char('p') => return Outcome::Act(vec![self.begin()]),
            KeyCode::Char('t') => {
                let at = TTLS.iter().position(|t| *t == self.ttl).unwrap_or(0);
                self.ttl = TTLS[(at + 1) % TTLS.len()];
                return Outcome::Act(vec![self.begin()]);
            }
            KeyCode::Down | KeyCode::Char('j') => self.down += 1,
            KeyCode::Up | KeyCode::Char('k') => self.down = self.down.saturating_sub(1),
            KeyCode::Home | KeyCode::Char('g') => self.down = 0,
            _ => {}
        }
        Outcome::Consumed
    }

    fn mouse(&mut self, _event: MouseEvent, _ctx: &Ctx<'_>) -> Outcome {
        Outcome::Consumed
    }

    fn draw(&mut self, frame: &mut Frame<'_>, area: Rect, ctx: &Ctx<'_>) {
        let theme = ctx.theme;
        let Some(p) = ctx.ping else { return };
        let running = p.state == SendState::Running;
        let keys = [
            ("p", if running { "stop" } else { "again" }),
            ("t", "TTL 1, 16, 64"),
            ("↑↓", "words"),
            ("Esc", "stop and close"),
        ];
        let title = format!("Ping {} on {}", p.job.to, p.job.iface);
        let width = WIDTH.min(area.width.saturating_sub(FRAME.0));
        let wrapped = |text: &str| wrap(text, usize::from(width));
        let (state, state_style) = Self::state(p, theme);
        let head = wrapped(&state);
        let words: Vec<(String, Style)> = Self::words(p, theme)
            .into_iter()
            .flat_map(|(t, s)| wrapped(&t).into_iter().map(move |l| (l, s)).collect::<Vec<_>>())
            .collect();
        let table: usize = p.pings.peers().iter().map(|e| ways(p, e).len()).sum();
        let rows = head.len() + table + words.len() + p.recent.len().min(8) + 6;
        let rows = u16::try_from(rows).unwrap_or(u16::MAX);
        let height = rows.clamp(LEAST_ROWS, area.height.saturating_sub(FRAME.1).max(LEAST_ROWS));
        let inner = Popup { title: &title, width, height, keys: &keys }.open(frame, area, theme);
        let buf = frame.buffer_mut();
        let below = |y: u16| Rect {
            y: inner.y + y.min(inner.height),
            height: inner.height.saturating_sub(y),
            ..inner
        };
        let mut y = 0;
        for line in &head {
            put(buf, inner, 0, y, line, state_style);
            y += 1;
        }
        y += 1;
        // The table leaves a third of the room to the words, the words something to the answers.
        let mut place = below(y);
        place.height = place.height.min((inner.height * 2 / 3).max(3));
        let drawn = Self::draw_table(buf, place, p, ctx);
        y += if drawn > 0 { drawn + 1 } else { 0 };
        if drawn == 0 && words.is_empty() {
            put(buf, inner, 0, y, "waiting for the first answer …", theme.dim);
        }
        self.down = self.down.min(words.len().saturating_sub(1));
        let room = below(y).height;
        let told =
            words.len().min(usize::from(room.saturating_sub(if p.recent.is_empty() { 0 } else { 4 })).max(1));
        for (line, style) in words.iter().skip(self.down).take(told) {
            put(buf, inner, 0, y, line, *style);
            y += 1;
        }
        y += u16::from(!words.is_empty());
        Self::draw_answers(buf, below(y), p, theme);
    }
}

/// The ways back that were asked for.
fn ways<'p>(p: &PingProgress, peer: &'p Peer) -> Vec<(By, &'p Way)> {
    let mut all = vec![(By::Unicast, &peer.unicast)];
    if p.pings.multicast {
        all.push((By::Multicast, &peer.multicast));
    }
    all
}

fn answer(a: &Answer) -> String {
    format!(
        "number {:>4}  {:9}  {:>7}  {}",
        a.sequence,
        a.by.word(),
        units::duration_short(a.network_ns()),
        a.from
    )
}

/// The endpoint and its name, if it has one.
fn who(peer: &Peer, ctx: &Ctx<'_>) -> String {
    match ctx.name(peer.from.ip) {
        Some(name) => format!("{}  {}", peer.from, visible(name, 60)),
        None => peer.from.to_string(),
    }
}

fn time(d: Duration) -> String {
    units::duration(u64::try_from(d.as_nanos()).unwrap_or(u64::MAX))
}
