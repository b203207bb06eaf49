//! Which memberships a snooping switch will cut, and when.
//!
//! A switch that snoops forgets a membership when no report came for its lifetime, and hosts report
//! only when they join and when a querier asks. Without a querier every stream therefore stops 260 to
//! 275 s after the join. That can be foretold by whoever hears the queries: from the last report of
//! this host and the timers in force. A switch that does not snoop, or floods while it knows no
//! querier, cuts nothing: what happened is told when the time has come.

use std::net::IpAddr;

use crate::base::time::{Mono, SECOND_NS};
use crate::model::memberships::{Ear, Link};
use crate::model::source::Stamp;

/// Switches count in steps of their own: so much sooner or later a cut may be, in ns.
const SLACK_NS: u64 = 5 * SECOND_NS;
/// Traffic that was quiet for this long may have stopped, in ns.
const STOPPED_NS: u64 = 2 * SECOND_NS;
/// An answer may be under way for this long after the time it may take, in ns; no longer than that time.
const LATE_ANSWER_NS: u64 = 2 * SECOND_NS;

/// What is to be expected of a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forecast {
    /// No switch cuts it.
    Exempt(Exempt),
    /// It cannot be known.
    Unknown(Unknown),
    /// Queries come, and it holds as long as they do.
    Holds {
        /// The last general query.
        asked: Stamp,
        /// How long it holds at least, even if no other query comes.
        until: Mono,
    },
    /// A snooping switch will cut it.
    Cut(Cut),
    /// The time has come, and this is what happened.
    Over {
        /// The cut that was foretold.
        cut: Cut,
        /// What came of it.
        outcome: Outcome,
    },
}

/// Why no switch cuts a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exempt {
    /// Switches flood it to all: 224.0.0.0/24 (RFC 4541 section 2.1.2) and ff02::1 (section 3).
    Flooded,
    /// It never leaves the host: the loopback interface, or interface-local scope.
    Local,
}

/// Why nothing can be foretold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// Queries cannot be heard on this interface.
    Deaf {
        /// A sign of a query that the kernel gave nonetheless: a timer of an old version ran.
        sign: Option<Stamp>,
    },
    /// Nobody has asked yet, and it is too early to say that nobody will.
    TooEarly {
        /// When it will be known.
        known_at: Mono,
    },
}

/// A cut that is to be expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Why.
    pub why: CutWhy,
    /// When, at the earliest; `None` if the last report was before anybody listened.
    pub at: Option<Mono>,
    /// When, at the latest.
    pub late: Option<Mono>,
}

/// Why a cut is to be expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutWhy {
    /// No querier asks.
    NoQuerier {
        /// Since when nobody asked: the last query, or the begin of listening.
        quiet_since: Mono,
        /// Whether there was a querier before.
        was_one: bool,
    },
    /// A querier asks, but no report of this host follows.
    Unanswered {
        /// The query that was not answered.
        asked: Stamp,
    },
}

/// What came of a forecast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The traffic stopped.
    Stopped {
        /// The last datagram.
        last: Stamp,
    },
    /// The traffic went on: no switch on the way cuts it.
    WentOn,
    /// There was no traffic by which to tell.
    NoTraffic,
}

/// What is remembered of a membership to foretell its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Watched {
    /// When it was joined or renewed: a report left then.
    pub joined: Option<Stamp>,
    /// The cut that was told.
    pub told: Option<Cut>,
    /// What came of it.
    pub outcome: Option<Outcome>,
}

/// What became of a forecast when time passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Foretold for the first time.
    Told(Cut),
    /// It will not happen: a query came.
    Off,
    /// The time has come.
    Over(Outcome),
}

/// Whether a group is exempt on every interface.
pub fn exempt(group: IpAddr, loopback: bool) -> Option<Exempt> {
    let (flooded, local) = match group {
        IpAddr::V4(ip) => (ip.octets()[..3] == [224, 0, 0], false),
        IpAddr::V6(ip) => {
            let s = ip.segments();
            (s == [0xff02, 0, 0, 0, 0, 0, 0, 1], s[0] & 0xff0f == 0xff00 || s[0] & 0xff0f == 0xff01)
        }
    };
    match (loopback || local, flooded) {
        (true, _) => Some(Exempt::Local),
        (false, true) => Some(Exempt::Flooded),
        _ => None,
    }
}

impl Link {
    /// What is to be expected of a group that this host has joined here.
    pub fn forecast(&self, group: IpAddr, now: Mono) -> Forecast {
        if let Some(w) = self.watched.get(&group)
            && let (Some(cut), Some(outcome)) = (w.told, w.outcome)
        {
            return Forecast::Over { cut, outcome };
        }
        self.expected(group, now)
    }

    fn expected(&self, group: IpAddr, now: Mono) -> Forecast {
        if let Some(why) = exempt(group, self.loopback) {
            return Forecast::Exempt(why);
        }
        let side = self.side(group);
        let ear = self.ear(group);
        let Some(since) = ear.since() else {
            return Forecast::Unknown(Unknown::Deaf { sign: self.host.sign_of_query(group) });
        };
        let timers = side.queriers.timers(now);
        let asked = self.last_asked(group);
        let quiet_since = asked.map_or(since.mono, |a| a.mono.max(since.mono));
        let refreshed = self.refreshed(group, asked, ear);
        let cut = |why| {
            let after = |ns| refreshed.map(|at: Stamp| at.mono.plus(ns));
            let (at, late) = (after(timers.membership_ns()), after(timers.membership_late_ns()));
            Forecast::Cut(Cut { why, at, late })
        };
        if now.since(quiet_since) > timers.overdue_ns() {
            return cut(CutWhy::NoQuerier { quiet_since, was_one: asked.is_some() });
        }
        let Some(asked) = asked else {
            return Forecast::Unknown(Unknown::TooEarly { known_at: since.mono.plus(timers.overdue_ns()) });
        };
        let answer_ns = timers.response_ns.saturating_add(timers.response_ns.min(LATE_ANSWER_NS));
        let reported = refreshed.map(|r| r.mono);
        // Not the last query: that one may still be answered, and would hide that the one before was not.
        if let (Ear::Wire(_), Some(asked)) = (ear, side.queriers.due_since(reported, now, answer_ns))
            && !self.other_answered(group, asked)
        {
            return cut(CutWhy::Unanswered { asked });
        }
        Forecast::Holds { asked, until: asked.mono.plus(timers.membership_ns()) }
    }

    /// The last moment at which a switch has certainly heard that this host wants the group; `None` if that
    /// was before anybody watched, or cannot be told.
    pub fn reported(&self, group: IpAddr) -> Option<Stamp> {
        self.refreshed(group, self.last_asked(group), self.ear(group))
    }

    fn refreshed(&self, group: IpAddr, asked: Option<Stamp>, ear: Ear) -> Option<Stamp> {
        let joined = self.watched.get(&group).and_then(|w| w.joined);
        // When another program held the group before, no report left with the join.
        let joined =
            joined.filter(|_| !self.host.held_before(group)).or_else(|| self.host.seen_to_join(group));
        let reported = match ear {
            Ear::Wire(_) => self.side(group).members.our_report(group),
            // Every host answers within the time that the query gives it.
            _ => asked,
        };
        joined.into_iter().chain(reported).max_by_key(|s| s.mono)
    }

    /// Whether another member of an old version answered in this host's place (RFC 2236 section 3).
    fn other_answered(&self, group: IpAddr, asked: Stamp) -> bool {
        let newest = if group.is_ipv4() { 3 } else { 2 };
        let others = self.side(group).members.of(group).iter();
        others.filter(|m| m.version < newest).any(|m| m.last.mono >= asked.mono)
    }

    /// Follows the forecast of a group that is watched. `last` is its last datagram, `usual_ns` the usual
    /// time between two.
    pub(super) fn step(
        &mut self,
        group: IpAddr,
        last: Option<Stamp>,
        usual_ns: u64,
        now: Mono,
    ) -> Option<Step> {
        let expected = self.expected(group, now);
        let w = self.watched.get_mut(&group)?;
        match (expected, w.told) {
            (Forecast::Cut(cut), None) => {
                w.told = Some(cut);
                // What is past already cannot be foretold any more.
                if cut.late.is_some_and(|late| now > late.plus(SLACK_NS)) {
                    w.told = None;
                    return None;
                }
                Some(Step::Told(cut))
            }
            (Forecast::Cut(cut), Some(told)) => {
                let same = cut.at == told.at;
                if !same {
                    // Joined anew meanwhile: another time.
                    (w.told, w.outcome) = (Some(cut), None);
                    return Some(Step::Told(cut));
                }
                if w.outcome.is_some() {
                    return None;
                }
                let (at, late) = (told.at?, told.late?);
                let judged = late.plus(SLACK_NS);
                if now < judged {
                    return None;
                }
                let quiet_ns = STOPPED_NS.max(usual_ns.saturating_mul(10));
                let outcome = match last {
                    Some(last) if last.mono >= judged => Outcome::WentOn,
                    // It may be sparse: it has stopped when it was quiet for much longer than usual.
                    Some(last) if now.since(last.mono) < quiet_ns => return None,
                    Some(last) if last.mono.plus(SLACK_NS) >= at => Outcome::Stopped { last },
                    _ => Outcome::NoTraffic,
                };
                w.outcome = Some(outcome);
                Some(Step::Over(outcome))
            }
            (_, Some(_)) => {
                let was_over = w.outcome.is_some();
                (w.told, w.outcome) = (None, None);
                (!was_over).then_some(Step::Off)
            }
            (_, None) => None,
        }
    }
}
