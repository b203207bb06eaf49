//! The demo without a terminal: its statistics as text for ten seconds.

use std::time::Duration;

use crate::cli::watch::{self, Watch};
use crate::cli::{CliError, Common, Exit, Format, interfaces, loopback, settings, start};
use crate::engine::demo::{self, Demo};
use crate::model::Settings;
use crate::model::group::Origin;

/// How long it prints.
const SPAN: Duration = Duration::from_secs(10);

/// Runs the demo's senders and prints what is heard of them.
///
/// # Errors
/// Without a loopback interface, or when no socket can be had.
pub fn run(common: &Common) -> Result<Exit, CliError> {
    let (config, _) = settings(common)?;
    let ifaces = interfaces()?;
    let lo = loopback(&ifaces)?;
    let salt = std::process::id();
    let mut session = start(&ifaces, common, &config, Settings { keep_packets: false })?;
    for (m, label) in demo::memberships(&lo.name, salt) {
        session.join(m, Origin::User, Some(label));
    }
    let _senders = Demo::start(&lo.name, lo.index, salt).map_err(|e| CliError::could_not(e.to_string()))?;
    let watch = Watch {
        format: Format::Text,
        interval: Duration::from_secs(1),
        duration: Some(SPAN),
        count: None,
        stats_only: true,
        snap: 0,
        filter: crate::model::filter::Expr::default(),
    };
    watch::run(session, &watch)
}
