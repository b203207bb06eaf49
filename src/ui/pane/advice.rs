//! What a row of the groups table says in words: in place of its figures, and when it is selected.

use ratatui::style::Style;

use crate::base::text::visible;
use crate::base::time::{Mono, SECOND_NS};
use crate::base::units;
use crate::model::group::{Group, JoinState};
use crate::model::seen::compare::Compared;
use crate::model::source::State;
use crate::ui::layer::Ctx;

/// What a row says in place of figures.
pub fn message(g: &Group, now: Mono) -> String {
    match &g.join {
        JoinState::Joining => "joining …".to_owned(),
        JoinState::Failed { error, remedy } => match remedy {
            Some(r) => visible(&format!("{error} · {r}"), 400),
            None => visible(error, 400),
        },
        JoinState::Joined(_) | JoinState::Seen => {
            let quiet = units::duration(g.quiet_ns(now).unwrap_or(0) / SECOND_NS * SECOND_NS);
            format!("silent {quiet} · d: why?")
        }
    }
}

/// What to know about the selected row when something is wrong with it.
pub fn advice(g: &Group, compared: Option<Compared>, now: Mono) -> Option<String> {
    if let Some(c) = compared.filter(|c| c.not_delivered > 0) {
        let iface = &g.membership.iface;
        let why = match c.unexplained() {
            0 => "this host's buffer dropped them (SOCK)".to_owned(),
            n if c.dropped_here > 0 => {
                format!("{} dropped at the buffer (SOCK), {n} before it · d: why?", c.dropped_here)
            }
            _ => "something on this host dropped them before the socket · d: why?".to_owned(),
        };
        let (missed, wire) = (units::packets(c.not_delivered), c.wire);
        return Some(format!("✕ {missed} of {wire} seen on {iface} were not delivered: {why}"));
    }
    match &g.join {
        JoinState::Failed { error, remedy } => {
            let remedy = remedy.as_ref().map(|r| format!(" · {r}")).unwrap_or_default();
            Some(visible(&format!("✕ {error}{remedy} · t tries again, c copies"), 1_000))
        }
        JoinState::Joined(_) if g.state == State::Silent => {
            let quiet = units::duration(g.quiet_ns(now).unwrap_or(0) / SECOND_NS * SECOND_NS);
            let since = if g.last.is_some() { "nothing for" } else { "nothing since the join," };
            Some(format!(
                "◌ silent: {since} {quiet} · d: why? the doctor measures where its packets die · s: a test \
                 message must come back here"
            ))
        }
        _ => g.notes.first().map(|n| {
            let text = match n.is_conflict() {
                true => format!("! {} · 2 shows more", n.text()),
                false => format!("{} · m marks A, then B", n.text()),
            };
            visible(&text, 400)
        }),
    }
}

/// A state that is wrong has its own colour; a note is a warning.
pub fn advice_style(g: &Group, ctx: &Ctx<'_>) -> Style {
    match g.state {
        State::Failed | State::Silent => ctx.theme.state(g.state).0,
        _ => ctx.theme.silent,
    }
}
