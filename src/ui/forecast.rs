//! Forecasts in words: when a switch will cut a membership, and what came of it.

use std::net::IpAddr;

use ratatui::style::Style;

use crate::base::time::{Mono, SECOND_NS};
use crate::base::units;
use crate::model::group::Group;
use crate::model::memberships::forecast::{Cut, CutWhy, Exempt, Forecast, Outcome, Unknown};
use crate::ui::format::clock;
use crate::ui::layer::Ctx;
use crate::ui::theme::Theme;

/// Whole seconds of a time, for a person.
fn whole(ns: u64) -> String {
    if ns < SECOND_NS { "less than 1 s".to_owned() } else { units::duration(ns / SECOND_NS * SECOND_NS) }
}

/// How long ago.
fn ago(ns: u64) -> String {
    if ns < SECOND_NS { "just now".to_owned() } else { format!("{} ago", whole(ns)) }
}

/// Local time of day of a moment.
fn time(at: Mono, ctx: &Ctx<'_>) -> String {
    clock(at.to_wall(ctx.model.now().offset_ns()), ctx.utc_offset_s)
}

/// A forecast in a few words.
pub fn short(f: &Forecast, ctx: &Ctx<'_>) -> String {
    let now = ctx.model.now().mono;
    match *f {
        Forecast::Exempt(Exempt::Flooded) => "never cut: flooded".to_owned(),
        Forecast::Exempt(Exempt::Local) => "stays on this host".to_owned(),
        Forecast::Unknown(Unknown::Deaf { sign: None }) => "unknown: queries are not heard".to_owned(),
        Forecast::Unknown(Unknown::Deaf { sign: Some(at) }) => {
            format!("unknown: asked {}, as a timer showed", ago(now.since(at.mono)))
        }
        Forecast::Unknown(Unknown::TooEarly { known_at }) => {
            format!("known in {}", whole(known_at.since(now) + SECOND_NS - 1))
        }
        Forecast::Holds { asked, .. } => format!("holds: asked {}", ago(now.since(asked.mono))),
        Forecast::Cut(cut) => due(&cut, now, ctx),
        Forecast::Over { outcome: Outcome::Stopped { last }, .. } => {
            format!("was cut {}", clock(last.wall, ctx.utc_offset_s))
        }
        Forecast::Over { cut, outcome: Outcome::WentOn } => match cut.at {
            Some(at) => format!("went on past {}", time(at, ctx)),
            None => "went on".to_owned(),
        },
        Forecast::Over { cut, outcome: Outcome::NoTraffic } => match cut.at {
            Some(at) => format!("due {}: no traffic to tell", time(at, ctx)),
            None => "no traffic to tell".to_owned(),
        },
    }
}

fn due(cut: &Cut, now: Mono, ctx: &Ctx<'_>) -> String {
    match cut.at {
        Some(at) if at > now => format!("cut {} in {}", time(at, ctx), whole(at.since(now))),
        Some(at) => format!("cut was due {}", time(at, ctx)),
        None => "cut by a snooping switch".to_owned(),
    }
}

/// The style that fits a forecast.
pub fn style(f: &Forecast, theme: &Theme) -> Style {
    match f {
        Forecast::Cut(_) => theme.silent,
        Forecast::Over { outcome: Outcome::Stopped { .. }, .. } => theme.bad,
        Forecast::Holds { .. } => theme.live,
        _ => theme.dim,
    }
}

/// What a person should know of a group before it happens, and when it has: `None` if nothing.
pub fn warning(g: &Group, ctx: &Ctx<'_>) -> Option<String> {
    let f = ctx.model.forecast(&g.membership.iface, g.membership.group)?;
    match f {
        Forecast::Cut(Cut { at: Some(at), .. }) if at > ctx.model.now().mono => {
            Some(format!("⧗ cut at {}", time(at, ctx)))
        }
        Forecast::Over { outcome: Outcome::Stopped { .. }, .. } => Some(format!("⧗ {}", short(&f, ctx))),
        _ => None,
    }
}

/// A warning before what else is said of the group.
pub fn before(g: &Group, what: String, ctx: &Ctx<'_>) -> String {
    match warning(g, ctx) {
        Some(warning) if what.is_empty() => warning,
        Some(warning) => format!("{warning} · {what}"),
        None => what,
    }
}

/// The same in whole sentences, with what to do.
pub fn advice(g: &Group, ctx: &Ctx<'_>) -> Option<String> {
    let (iface, group) = (&g.membership.iface, g.membership.group);
    let now = ctx.model.now().mono;
    let remedy = "a querier on one switch or router keeps it (Linux bridge: ip link set BRIDGE type bridge mcast_querier 1)";
    match ctx.model.forecast(iface, group)? {
        Forecast::Cut(cut) if cut.at.is_some_and(|at| at > now) => {
            let why = why(&cut, group, now);
            let at = cut.at.unwrap_or(now);
            Some(format!(
                "⧗ {why} on {iface}: a switch that snoops will cut this group at {}, in {} · {remedy}",
                time(at, ctx),
                whole(at.since(now))
            ))
        }
        Forecast::Over { outcome: Outcome::Stopped { last }, .. } => Some(format!(
            "⧗ stopped at {}, as foretold: a switch that snoops has cut it · L then u joins anew; {remedy}",
            clock(last.wall, ctx.utc_offset_s)
        )),
        _ => None,
    }
}

/// Why a cut is to be expected.
fn why(cut: &Cut, group: IpAddr, now: Mono) -> String {
    let family = if group.is_ipv4() { "IGMP" } else { "MLD" };
    match cut.why {
        CutWhy::NoQuerier { quiet_since, was_one } => {
            let word = if was_one { "has asked" } else { "heard" };
            format!("no {family} querier {word} for {}", whole(now.since(quiet_since)))
        }
        CutWhy::Unanswered { .. } => {
            format!("an {family} query came, but this host's report did not leave (a firewall?)")
        }
    }
}
