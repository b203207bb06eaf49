//! What a row of the groups table says in words: in place of its figures, and when it is selected.

use ratatui::style::Style;

use crate::base::text::visible;
use crate::base::time::SECOND_NS;
use crate::base::units;
use crate::model::group::{Group, JoinState};
use crate::model::seen::compare::Compared;
use crate::model::source::State;
use crate::ui::keys::Cmd;
use crate::ui::layer::Ctx;

/// What a row says in place of figures.
pub fn message(g: &Group, ctx: &Ctx<'_>) -> String {
    match &g.join {
        JoinState::Joining => "joining …".to_owned(),
        JoinState::Failed { error, remedy } => match remedy {
            Some(r) => visible(&format!("{error} · {r}"), 400),
            None => visible(error, 400),
        },
        JoinState::Joined(_) | JoinState::Seen => {
            let quiet =
                units::duration(g.quiet_ns(ctx.model.now().mono).unwrap_or(0) / SECOND_NS * SECOND_NS);
            format!("silent {quiet} · {}: why?", ctx.key(Cmd::Why))
        }
    }
}

/// What to know about the selected row when something is wrong with it.
pub fn advice(g: &Group, compared: Option<Compared>, ctx: &Ctx<'_>) -> Option<String> {
    let why_key = ctx.key(Cmd::Why);
    if let Some(c) = compared.filter(|c| c.not_delivered > 0) {
        let iface = &g.membership.iface;
        let why = match c.unexplained() {
            0 => "this host's buffer dropped them (SOCK)".to_owned(),
            n if c.dropped_here > 0 => {
                format!("{} dropped at the buffer (SOCK), {n} before it · {why_key}: why?", c.dropped_here)
            }
            _ => format!("something on this host dropped them before the socket · {why_key}: why?"),
        };
        let (missed, wire) = (units::packets(c.not_delivered), c.wire);
        return Some(format!("✕ {missed} of {wire} seen on {iface} were not delivered: {why}"));
    }
    match &g.join {
        JoinState::Failed { error, remedy } => {
            let remedy = remedy.as_ref().map(|r| format!(" · {r}")).unwrap_or_default();
            let (again, copy) = (ctx.key(Cmd::Retry), ctx.key(Cmd::Copy));
            Some(visible(&format!("✕ {error}{remedy} · {again} tries again, {copy} copies"), 1_000))
        }
        JoinState::Joined(_) if g.state == State::Silent => {
            let quiet =
                units::duration(g.quiet_ns(ctx.model.now().mono).unwrap_or(0) / SECOND_NS * SECOND_NS);
            let since = if g.last.is_some() { "nothing for" } else { "nothing since the join," };
            Some(format!(
                "◌ silent: {since} {quiet} · {why_key}: why? the doctor measures where its packets die · {}: a test \
                 message must come back here",
                ctx.key(Cmd::SendTest)
            ))
        }
        _ => g.notes.first().map(|n| {
            let text = match n.is_conflict() {
                true => format!("! {} · {} shows more", n.text(), ctx.key(Cmd::View('2'))),
                false => format!("{} · {} marks A, then B", n.text(), ctx.key(Cmd::Feed)),
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
