//! The timers of IGMP and MLD, as the last query sets them.
//!
//! | name | formula | default | source |
//! | --- | --- | --- | --- |
//! | membership lifetime | RV × QI + QRI | 260 s | RFC 3376 section 8.4, RFC 2710 section 7.4 |
//! | the same, revised | RV × QI + 2 × QRI | 270 s | RFC 9776 section 8.4, RFC 9777 section 9.4 |
//! | other querier present | RV × QI + QRI / 2 | 255 s | RFC 9776 section 8.5, RFC 9777 section 9.5 |
//! | a query is overdue | QI + QRI | 135 s | one interval, and the time hosts take to answer |

use crate::base::time::SECOND_NS;
use crate::wire::igmp::Query;

/// The timers in force on an interface for one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// Robustness variable: how many queries or reports may be lost.
    pub robustness: u8,
    /// Query interval, in ns.
    pub interval_ns: u64,
    /// Query response interval: the time hosts may take to answer a general query, in ns.
    pub response_ns: u64,
    /// Whether a query said the interval and the robustness; otherwise they are the defaults, or what
    /// was measured between queries.
    pub told: bool,
}

impl Default for Timers {
    /// RFC 9776 sections 8.1 to 8.3, the same in all versions of both protocols.
    fn default() -> Self {
        Timers { robustness: 2, interval_ns: 125 * SECOND_NS, response_ns: 10 * SECOND_NS, told: false }
    }
}

impl Timers {
    /// What a general query says; `measured_ns` is the time between the queries of a querier whose
    /// version does not tell its interval.
    pub fn of_query<A>(q: &Query<A>, measured_ns: Option<u64>) -> Timers {
        let default = Timers::default();
        let response_ns = match u64::from(q.max_response_ms) * 1_000_000 {
            0 => default.response_ns,
            ns => ns,
        };
        match q.newest {
            // QRV or QQIC of 0: the querier does not say; the default holds (RFC 9776 sections 4.1.6,
            // 4.1.7).
            Some(t) => Timers {
                robustness: if t.robustness == 0 { default.robustness } else { t.robustness },
                interval_ns: if t.interval_s == 0 {
                    default.interval_ns
                } else {
                    u64::from(t.interval_s) * SECOND_NS
                },
                response_ns,
                told: t.robustness != 0 && t.interval_s != 0,
            },
            None => {
                let interval_ns = measured_ns.map_or(default.interval_ns, |m| m.max(response_ns));
                Timers { interval_ns, response_ns, ..default }
            }
        }
    }

    fn robust_ns(&self) -> u64 {
        u64::from(self.robustness).saturating_mul(self.interval_ns)
    }

    /// How long a switch or router keeps a membership after a report at least, in ns.
    pub fn membership_ns(&self) -> u64 {
        self.robust_ns().saturating_add(self.response_ns)
    }

    /// The same by the revised standards, in ns: by then it is gone.
    pub fn membership_late_ns(&self) -> u64 {
        self.membership_ns().saturating_add(self.response_ns)
    }

    /// How long a querier counts as present after its last query, in ns.
    pub fn other_querier_ns(&self) -> u64 {
        self.robust_ns().saturating_add(self.response_ns / 2)
    }

    /// A general query that has not come after this time is overdue, in ns.
    pub fn overdue_ns(&self) -> u64 {
        self.interval_ns.saturating_add(self.response_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::igmp::QueryTimers;

    fn query(version: u8, max_response_ms: u32, newest: Option<(u8, u32)>) -> Query<u32> {
        let newest =
            newest.map(|(robustness, interval_s)| QueryTimers { suppress: false, robustness, interval_s });
        Query { version, group: None, max_response_ms, newest, sources: vec![] }
    }

    #[test]
    fn the_defaults_are_the_standards_figures() {
        let t = Timers::default();
        let s = |ns: u64| ns / SECOND_NS;
        assert_eq!(
            [s(t.membership_ns()), s(t.membership_late_ns()), s(t.other_querier_ns()), s(t.overdue_ns())],
            [260, 270, 255, 135]
        );
    }

    #[test]
    fn a_query_of_the_newest_version_sets_them_and_its_zeros_do_not() {
        let t = Timers::of_query(&query(3, 2_000, Some((3, 20))), None);
        assert_eq!((t.membership_ns(), t.told), (62 * SECOND_NS, true));
        let t = Timers::of_query(&query(3, 2_000, Some((0, 0))), None);
        assert_eq!((t.membership_ns(), t.told), (252 * SECOND_NS, false));
    }

    #[test]
    fn an_older_query_tells_no_interval_so_that_the_measured_one_is_taken() {
        let t = Timers::of_query(&query(2, 10_000, None), None);
        assert_eq!((t.interval_ns, t.told), (125 * SECOND_NS, false));
        let t = Timers::of_query(&query(2, 10_000, None), Some(60 * SECOND_NS));
        assert_eq!(t.interval_ns, 60 * SECOND_NS);
        // Version 1 says no response time.
        assert_eq!(Timers::of_query(&query(1, 0, None), None).response_ns, 10 * SECOND_NS);
    }

    #[test]
    fn no_figure_of_a_hostile_query_overflows() {
        let t = Timers::of_query(&query(3, u32::MAX, Some((255, u32::MAX))), Some(u64::MAX));
        assert!(t.membership_late_ns() >= t.membership_ns());
    }
}
