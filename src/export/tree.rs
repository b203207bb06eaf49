//! How long the tree took: from the join to the first datagram, from the leave to the last.

use std::fmt::Write;
use std::sync::Arc;

use serde::Serialize;

use crate::base::time::Wall;
use crate::base::units;
use crate::export::json;

/// `tree`: one run.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// Its number, from 1.
    pub run: u32,
    /// The group's address.
    pub group: String,
    /// Its UDP port.
    pub port: u16,
    /// The interface.
    pub iface: Arc<str>,
    /// From the join to the first datagram; `null` when none came.
    pub join_to_first_ns: Option<u64>,
    /// Who sent it.
    pub source: Option<String>,
    /// Whether the time is counted from this host's report on the wire, rather than from the call.
    pub from_report: bool,
    /// From the leave to the last datagram on the wire; 0 when none came after it, `null` when it cannot
    /// be told.
    pub leave_to_last_ns: Option<u64>,
    /// Datagrams on the wire after the leave.
    pub after_leave: Option<u64>,
    /// Why something cannot be told, or what is odd about it.
    pub note: Option<String>,
}

/// `tree_summary`: all runs.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// Runs made.
    pub runs: u32,
    /// Runs in which a datagram came.
    pub answered: u32,
    /// Join to first datagram: the shortest.
    pub join_min_ns: Option<u64>,
    /// The mean.
    pub join_mean_ns: Option<u64>,
    /// The longest.
    pub join_max_ns: Option<u64>,
    /// Leave to last datagram: the shortest.
    pub leave_min_ns: Option<u64>,
    /// The mean.
    pub leave_mean_ns: Option<u64>,
    /// The longest.
    pub leave_max_ns: Option<u64>,
}

/// Shortest, mean and longest.
fn three(list: impl Iterator<Item = u64>) -> [Option<u64>; 3] {
    let all: Vec<u64> = list.collect();
    let mean = |n: usize| (all.iter().map(|&v| u128::from(v)).sum::<u128>() / n as u128) as u64;
    [all.iter().copied().min(), (!all.is_empty()).then(|| mean(all.len())), all.iter().copied().max()]
}

impl Summary {
    /// Of these runs.
    pub fn of(runs: &[Run]) -> Summary {
        let [join_min_ns, join_mean_ns, join_max_ns] = three(runs.iter().filter_map(|r| r.join_to_first_ns));
        let [leave_min_ns, leave_mean_ns, leave_max_ns] =
            three(runs.iter().filter_map(|r| r.leave_to_last_ns));
        Summary {
            runs: runs.len() as u32,
            answered: runs.iter().filter(|r| r.join_to_first_ns.is_some()).count() as u32,
            join_min_ns,
            join_mean_ns,
            join_max_ns,
            leave_min_ns,
            leave_mean_ns,
            leave_max_ns,
        }
    }

    /// As a JSON line.
    pub fn json(&self, at: Wall) -> String {
        json::line("tree_summary", at, self)
    }

    /// In lines for people.
    pub fn plain(&self) -> String {
        let time = |ns: Option<u64>| units::or_dash(ns, units::duration);
        let row = |name: &str, min, mean, max| {
            format!("{name}  min {}  mean {}  max {}\n", time(min), time(mean), time(max))
        };
        let mut out = format!(
            "{} of {} had traffic\n",
            self.answered,
            units::counted(u64::from(self.runs), "run", "runs")
        );
        out.push_str(&row("join to first datagram ", self.join_min_ns, self.join_mean_ns, self.join_max_ns));
        out.push_str(&row(
            "leave to last datagram ",
            self.leave_min_ns,
            self.leave_mean_ns,
            self.leave_max_ns,
        ));
        out
    }
}

impl Run {
    /// As a JSON line.
    pub fn json(&self, at: Wall) -> String {
        json::line("tree", at, self)
    }

    /// In a line for people.
    pub fn plain(&self) -> String {
        let mut out = format!("run {:>3}  {} on {}", self.run, self.group, self.iface);
        // Writing to a string cannot fail.
        let _ = match (self.join_to_first_ns, &self.source) {
            (Some(ns), Some(from)) => write!(out, "  first after {} from {from}", units::duration(ns)),
            (Some(ns), None) => write!(out, "  first after {}", units::duration(ns)),
            (None, _) => write!(out, "  nothing came"),
        };
        let _ = match (self.leave_to_last_ns, self.after_leave) {
            (Some(0), _) => write!(out, "  nothing after the leave"),
            (Some(ns), Some(n)) => {
                write!(out, "  last {} after the leave ({})", units::duration(ns), units::packets(n))
            }
            (Some(ns), None) => write!(out, "  last {} after the leave", units::duration(ns)),
            (None, _) => Ok(()),
        };
        if let Some(note) = &self.note {
            let _ = write!(out, "  · {note}");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(join: Option<u64>, leave: Option<u64>) -> Run {
        Run {
            run: 1,
            group: "239.1.1.1".into(),
            port: 5004,
            iface: "eth0".into(),
            join_to_first_ns: join,
            source: None,
            from_report: true,
            leave_to_last_ns: leave,
            after_leave: None,
            note: None,
        }
    }

    #[test]
    fn the_summary_leaves_out_what_could_not_be_told() {
        let s = Summary::of(&[run(Some(10), None), run(None, None), run(Some(20), Some(5))]);
        assert_eq!((s.runs, s.answered), (3, 2));
        assert_eq!((s.join_min_ns, s.join_mean_ns, s.join_max_ns), (Some(10), Some(15), Some(20)));
        assert_eq!((s.leave_min_ns, s.leave_mean_ns, s.leave_max_ns), (Some(5), Some(5), Some(5)));
        assert_eq!(Summary::of(&[]).join_mean_ns, None);
    }
}
