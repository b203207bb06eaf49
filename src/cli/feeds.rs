//! `--pair`: two streams that are A and B of one feed from the start.

use clap::Args;

use crate::base::group::Membership;
use crate::base::iface::Iface;
use crate::cli::session::Session;
use crate::cli::wire::WireArgs;
use crate::cli::{CliError, resolve_groups};

/// Streams that are compared from the start.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Feeds {
    /// Two streams that are A and B of one feed, as in --pair 10.0.0.1@232.1.1.1:5004%eth0
    /// 10.0.0.1@232.1.1.1:5004%eth1: skew, what each lost, what both lost. Both are joined; with SOURCE@ it
    /// is that sender's stream, without it the first that is heard. Can be given again for another feed
    #[arg(long, num_args = 2, value_names = ["A", "B"], action = clap::ArgAction::Append)]
    pub pair: Vec<String>,
}

impl Feeds {
    /// The two sides of each.
    ///
    /// # Errors
    /// 2: a side that is not one membership, or nothing is to be joined.
    pub fn legs(&self, ifaces: &[Iface], wire: &WireArgs) -> Result<Vec<[Membership; 2]>, CliError> {
        if wire.no_join && !self.pair.is_empty() {
            return Err(CliError::usage("--pair joins both of its streams: leave --no-join out"));
        }
        let two = |p: &[String]| Ok([leg(&p[0], ifaces)?, leg(&p[1], ifaces)?]);
        self.pair.chunks_exact(2).map(two).collect()
    }
}

/// Joins and marks what is to be compared.
///
/// # Errors
/// 2: two that are the same, or too many.
pub(super) fn pair(session: &mut Session, legs: &[[Membership; 2]]) -> Result<(), CliError> {
    for [a, b] in legs {
        session.pair(a, b).map_err(|e| CliError::usage(format!("--pair: {e}")))?;
    }
    Ok(())
}

/// One side of `--pair`: exactly one membership.
fn leg(spec: &str, ifaces: &[Iface]) -> Result<Membership, CliError> {
    let mut found = resolve_groups(&[spec.to_owned()], ifaces)?;
    match (found.pop(), found.first()) {
        (Some(one), None) => Ok(one),
        (Some(one), Some(other)) => Err(CliError::usage(format!(
            "--pair: {spec} stands for {} rows (as {other} and {one}): name one group and one interface",
            found.len() + 1
        ))),
        (None, _) => Err(CliError::usage(format!("--pair: {spec} stands for no group"))),
    }
}
