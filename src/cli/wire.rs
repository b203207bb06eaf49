//! The options that look at the wire, and what they need.

use std::sync::Arc;

use clap::{Args, ValueEnum};

use crate::base::batch::Capture;
use crate::base::group::Membership;
use crate::base::iface::Iface;
use crate::base::spec::{IfaceChoice, Spec};
use crate::base::tap::Depth;
use crate::cli::session::Session;
use crate::cli::{CliError, Common, refuse, resolve_groups, rules, socket_options};
use crate::config::Config;
use crate::engine::Options;
use crate::engine::command::Command;
use crate::model::Settings;
use crate::net::ring;

/// Whether and how the wire is looked at.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct WireArgs {
    /// Show every group on the wire as well, joined or not (Linux, CAP_NET_RAW). What arrives by itself is
    /// looked at; --wire=all asks the adapter for all multicast, which tells the network nothing
    #[arg(long, value_enum, value_name = "HOW", num_args = 0..=1, require_equals = true,
          default_missing_value = "arriving")]
    wire: Option<Look>,

    /// Join nothing: only watch the wire. No IGMP or MLD report is sent for any group. Groups that are
    /// named are the only ones shown
    #[arg(long)]
    pub no_join: bool,

    /// With --no-join: watch these interfaces, also those that a join would pass over, and no others but
    /// those that a group names with %. Can be given several times
    #[arg(short = 'I', long, value_name = "NAME", value_delimiter = ',', requires = "no_join")]
    iface: Vec<String>,
}

/// What the adapter is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Look {
    /// What arrives by itself
    Arriving,
    /// All multicast (PACKET_MR_ALLMULTI)
    All,
}

impl WireArgs {
    /// Whether the wire is to be shown.
    pub fn is_set(&self) -> bool {
        self.wire.is_some() || self.no_join
    }

    /// How deep to look from the start.
    pub fn depth(&self) -> Depth {
        match self.wire {
            Some(Look::All) => Depth::All,
            Some(Look::Arriving) => Depth::Wire,
            None if self.no_join => Depth::Wire,
            None => Depth::Off,
        }
    }

    /// That what was asked for can be had.
    ///
    /// # Errors
    /// 3, with the line that grants it.
    pub fn available(&self) -> Result<(), CliError> {
        match self.is_set() {
            true => ring::tap_available().map_err(|e| CliError::could_not(e.to_string())),
            false => Ok(()),
        }
    }

    /// How deep a session's taps look as it starts: with interfaces named, [`WireArgs::watch_only`] opens
    /// them, so that none is opened elsewhere first.
    pub fn at_start(&self, depth: Depth) -> Depth {
        if self.iface.is_empty() { depth } else { Depth::Off }
    }

    /// The groups that are to be shown with `--no-join`: those that name no interface are on the named
    /// ones, if any are.
    ///
    /// # Errors
    /// 2: a group that cannot be read. 3: an interface that does not exist.
    pub fn groups(&self, groups: &[String], ifaces: &[Iface]) -> Result<Vec<Membership>, CliError> {
        exist(&self.iface, ifaces)?;
        if self.iface.is_empty() {
            return resolve_groups(groups, ifaces);
        }
        let placed = |text: &String| {
            let spec = Spec::parse(text).map_err(|e| refuse("", &e))?;
            Ok(match spec.ifaces() {
                IfaceChoice::Unnamed => spec.on(IfaceChoice::Named(self.iface.clone())).to_string(),
                _ => text.clone(),
            })
        };
        resolve_groups(&groups.iter().map(placed).collect::<Result<Vec<_>, CliError>>()?, ifaces)
    }

    /// With `--no-join`: nothing is joined, and of what is seen these groups are shown, or all if there are
    /// none. Their interfaces are looked at though a join would pass them over; those named by `--iface`
    /// and they alone, where there are such.
    pub fn watch_only(&self, session: &mut Session, groups: &[Membership], depth: Depth) {
        session.refuse_joins();
        session.model.show_only(groups);
        let named = self.iface.iter().map(|name| Arc::from(name.as_str()));
        let mut names: Vec<Arc<str>> = groups.iter().map(|m| m.iface.clone()).chain(named).collect();
        names.sort();
        names.dedup();
        match self.iface.is_empty() {
            true => session.command(Command::TapOn(names)),
            false => session.tap_only(names, depth),
        }
    }
}

/// That interfaces named by `--iface` exist.
///
/// # Errors
/// 3, with those that do.
pub(super) fn exist(names: &[String], ifaces: &[Iface]) -> Result<(), CliError> {
    let Some(name) = names.iter().find(|name| !ifaces.iter().any(|i| *i.name == ***name)) else {
        return Ok(());
    };
    let list: Vec<&str> = ifaces.iter().map(|i| &*i.name).collect();
    let verb = if list.len() == 1 { "exists" } else { "exist" };
    let text = format!("--iface {name}: there is no interface {name} ({} {verb})", list.join(", "));
    Err(CliError::could_not(text))
}

/// How deep to look where nothing was asked for: IGMP and MLD, if that may be heard here.
pub(super) fn ears() -> Depth {
    if ring::tap_available().is_ok() { Depth::Ears } else { Depth::Off }
}

/// Starts a session whose taps look so deep.
pub(super) fn start(
    ifaces: &[Iface],
    common: &Common,
    config: &Config,
    keep: Settings,
    tap: Depth,
) -> Result<Session, CliError> {
    let capture = Capture::from(common.capture);
    if capture == Capture::Ring {
        // Before anything is joined: with sockets instead, the figures would be others.
        ring::available().map_err(|e| CliError::could_not(e.to_string()))?;
    }
    let rules = rules(common, config)?;
    let options = Options { capture, sockets: socket_options(common, config), tap };
    let mut session = Session::start(ifaces, options, keep)
        .map_err(|e| CliError::could_not(format!("cannot start a thread: {e}")))?;
    session.model.set_rules(rules);
    Ok(session)
}
