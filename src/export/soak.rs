//! What a soak found: as an object for programs, and in lines for people.

use std::fmt::Write;
use std::sync::Arc;

use serde::Serialize;

use crate::base::time::{Mono, SECOND_NS};
use crate::base::units;
use crate::export::json;
use crate::model::Model;
use crate::model::group::{Group, JoinState};
use crate::model::memberships::forecast::{CutWhy, Forecast, Outcome};
use crate::model::memberships::timers::Timers;
use crate::model::memberships::{Ear, Link};
use crate::model::soak::{Soak, Verdict};

/// `soak`: the outcome for one membership. Times are since the join.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The group's address.
    pub group: String,
    /// Its UDP port.
    pub port: u16,
    /// The interface.
    pub iface: Arc<str>,
    /// `held`, `short`, `paused`, `stopped`, `nothing` or `not_joined`.
    pub verdict: &'static str,
    /// The same in a sentence.
    pub text: String,
    /// What to do about it.
    pub remedy: Option<String>,
    /// How long it was watched.
    pub watched_ns: u64,
    /// After this time every switch that forgets has forgotten, by the timers in force.
    pub needed_ns: u64,
    /// Datagrams.
    pub packets: u64,
    /// Their UDP payload.
    pub payload_bytes: u64,
    /// NET: numbers missing on the way; `null` while no counter is known in the payload.
    pub lost: Option<u64>,
    /// Dropped at the socket buffer.
    pub socket_drops: Option<u64>,
    /// The first datagram.
    pub first_after_ns: Option<u64>,
    /// The last datagram.
    pub last_after_ns: Option<u64>,
    /// The longest time between two datagrams.
    pub longest_gap_ns: Option<u64>,
    /// What counted as a pause.
    pub pause_limit_ns: u64,
    /// Pauses that ended.
    pub pauses: u64,
    /// The first of them, and the one that lasts.
    pub pause_list: Vec<PauseBody>,
    /// Whether queries could be heard: `wire`, `counter` (MLD, that there were some) or `no`.
    pub heard: &'static str,
    /// The elected querier.
    pub querier: Option<String>,
    /// Its version.
    pub querier_version: Option<u8>,
    /// How often it asks.
    pub query_interval_ns: Option<u64>,
    /// General queries heard; `null` where they cannot be.
    pub queries: Option<u64>,
    /// Reports of this host for the group seen; `null` where they cannot be.
    pub reports: Option<u64>,
}

/// A pause.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PauseBody {
    /// When it began.
    pub after_ns: u64,
    /// How long it was.
    pub length_ns: u64,
    /// Whether it lasted to the end.
    pub lasts: bool,
}

/// To the second: what is a moment short of 2 s, because the join took it, is not 1 s.
fn whole(ns: u64) -> String {
    units::duration(ns.saturating_add(SECOND_NS / 2) / SECOND_NS * SECOND_NS)
}

impl Report {
    /// The outcome of one membership at `now`.
    pub fn of(model: &Model, g: &Group, soak: &Soak, now: Mono) -> Report {
        let m = &g.membership;
        let link = model.memberships().link(&m.iface);
        let timers = link.map(|l| l.timers(m.group, now)).unwrap_or_default();
        let verdict = soak.verdict(&timers, now);
        let joined = soak.joined.map_or(now, |j| j.mono);
        let after = |at: Option<crate::model::source::Stamp>| at.map(|s| s.mono.since(joined));
        let pause = |p: &crate::model::soak::Pause| PauseBody {
            after_ns: p.from.mono.since(joined),
            length_ns: p.ns(now),
            lasts: p.to.is_none(),
        };
        let ear = link.map_or(Ear::Deaf, |l| l.ear(m.group));
        let wire = link.filter(|_| matches!(ear, Ear::Wire(_)));
        let side = wire.map(|l| l.side(m.group));
        let elected = side.and_then(|s| s.queriers.elected(now));
        let ours = side.map(|s| s.members.of(m.group).iter().filter(|m| m.ours).map(|m| m.reports).sum());
        let mut report = Report {
            group: m.group.to_string(),
            port: m.port,
            iface: m.iface.clone(),
            verdict: verdict.word(),
            text: String::new(),
            remedy: None,
            watched_ns: now.since(joined),
            needed_ns: Soak::needed_ns(&timers),
            packets: soak.packets,
            payload_bytes: g.counters.payload_bytes,
            lost: g.continuity().map(|c| c.lost),
            socket_drops: g.drops.socket_drops,
            first_after_ns: after(soak.first),
            last_after_ns: after(soak.last),
            longest_gap_ns: soak.longest_ns,
            pause_limit_ns: soak.limit_ns(),
            pauses: soak.pause_count,
            pause_list: soak.pauses().iter().chain(soak.pausing(now).iter()).map(pause).collect(),
            heard: match ear {
                Ear::Deaf => "no",
                Ear::Counter(_) => "counter",
                Ear::Wire(_) => "wire",
            },
            querier: elected.map(|q| q.address.to_string()),
            querier_version: elected.map(|q| q.version),
            query_interval_ns: elected.and_then(|q| q.interval_ns()),
            queries: side.map(|s| s.queriers.list().iter().map(|q| q.general).sum()),
            reports: ours,
        };
        (report.text, report.remedy) = report.sentence(g, link, &verdict, &timers, now);
        report
    }

    fn sentence(
        &self,
        g: &Group,
        link: Option<&Link>,
        verdict: &Verdict,
        timers: &Timers,
        now: Mono,
    ) -> (String, Option<String>) {
        let family = if g.membership.group.is_ipv4() { "IGMP" } else { "MLD" };
        let nobody_asks = link.is_some_and(|l| {
            l.ear(g.membership.group) != Ear::Deaf && l.last_asked(g.membership.group).is_none()
        });
        let querier = match (&self.querier, nobody_asks) {
            (Some(q), _) => format!("; {family} querier {q} asks"),
            (None, true) if self.watched_ns > timers.overdue_ns() => {
                format!("; no {family} querier was heard")
            }
            _ => String::new(),
        };
        match verdict {
            Verdict::NotJoined => {
                let (error, remedy) = match &g.join {
                    JoinState::Failed { error, remedy } => (error.clone(), remedy.clone()),
                    _ => ("the membership never stood".to_owned(), None),
                };
                (error, remedy)
            }
            Verdict::Nothing => (
                format!("nothing came in {}", whole(self.watched_ns)),
                Some(format!(
                    "does anybody send to {}? mcscope doctor tells how far packets get",
                    g.membership
                )),
            ),
            Verdict::Stopped(_) => {
                let after = self.last_after_ns.unwrap_or(0);
                let foretold = link.map(|l| l.forecast(g.membership.group, now));
                let unanswered = match foretold {
                    Some(Forecast::Over { cut, outcome: Outcome::Stopped { .. } }) => {
                        Some(matches!(cut.why, CutWhy::Unanswered { .. }))
                    }
                    _ => None,
                };
                let cut = unanswered.is_some() || Soak::looks_cut(timers, after);
                let why = match (unanswered, cut) {
                    (Some(true), _) => {
                        ": a switch that snoops forgot the membership, for no report of this host answered the queries"
                    }
                    (_, true) => {
                        ", which is when a switch that snoops forgets a membership that it heard no report for"
                    }
                    (_, false) => "",
                };
                let remedy = cut.then(|| {
                    "enable a querier on one switch or router of this network, or let reports and queries through its \
                     firewalls; leaving and joining brings the traffic back until then"
                        .to_owned()
                });
                (format!("stopped {} after the join{why}{querier}", whole(after)), remedy)
            }
            Verdict::Paused => {
                let longest = self.pause_list.iter().max_by_key(|p| p.length_ns);
                let longest = longest.map_or_else(String::new, |p| {
                    format!(
                        ", the longest {} at {} after the join",
                        units::duration(p.length_ns),
                        whole(p.after_ns)
                    )
                });
                let n = units::counted(self.pauses, "pause", "pauses");
                (format!("{n} longer than {}{longest}{querier}", units::duration(self.pause_limit_ns)), None)
            }
            Verdict::Short => (
                format!(
                    "went on for {}{querier}; that is too short to prove that it stays: switches forget within {}",
                    whole(self.watched_ns),
                    whole(self.needed_ns)
                ),
                Some(format!("--for {}s", self.needed_ns.div_ceil(SECOND_NS))),
            ),
            Verdict::Held => (
                format!(
                    "went on for {}, past the {} within which switches forget{querier}",
                    whole(self.watched_ns),
                    whole(self.needed_ns)
                ),
                None,
            ),
        }
    }

    /// As a JSON line.
    pub fn json(&self, at: crate::base::time::Wall) -> String {
        json::line("soak", at, self)
    }

    /// In lines for people.
    pub fn plain(&self) -> String {
        let dash = || "–".to_owned();
        let time = |ns: Option<u64>| ns.map_or_else(dash, units::duration);
        let mut out = String::new();
        // Writing to a string cannot fail.
        let to = crate::base::group::Endpoint::new(
            self.group.parse().unwrap_or(std::net::Ipv4Addr::UNSPECIFIED.into()),
            self.port,
        );
        let _ = writeln!(out, "{to} on {}: {}", self.iface, self.verdict.to_uppercase().replace('_', " "));
        let _ = writeln!(out, "  {}", self.text);
        if let Some(remedy) = &self.remedy {
            let _ = writeln!(out, "  remedy   {remedy}");
        }
        let _ = writeln!(
            out,
            "  traffic  {}, {}; first {} and last {} after the join; longest gap {}; lost {}, socket drops {}",
            units::packets(self.packets),
            units::bytes(self.payload_bytes),
            time(self.first_after_ns),
            time(self.last_after_ns),
            time(self.longest_gap_ns),
            units::or_dash(self.lost, units::count),
            units::or_dash(self.socket_drops, units::count),
        );
        let querier = match (&self.querier, self.heard) {
            (Some(q), _) => format!(
                "{q} in version {}, every {}",
                units::or_dash(self.querier_version, |v| v.to_string()),
                time(self.query_interval_ns)
            ),
            (None, "wire") => "none heard".to_owned(),
            (None, "counter") => "only counted: who asks needs CAP_NET_RAW".to_owned(),
            (None, _) => "cannot be heard without CAP_NET_RAW".to_owned(),
        };
        let _ = writeln!(
            out,
            "  querier  {querier}; {} heard, {} of this host seen",
            units::or_dash(self.queries, |n| units::counted(n, "query", "queries")),
            units::or_dash(self.reports, |n| units::counted(n, "report", "reports")),
        );
        for p in &self.pause_list {
            let word = if p.lasts { "stopped" } else { "pause" };
            let _ = writeln!(
                out,
                "  {word}  {} after the join, for {}",
                units::duration(p.after_ns),
                units::duration(p.length_ns)
            );
        }
        let listed = self.pause_list.iter().filter(|p| !p.lasts).count() as u64;
        if self.pauses > listed {
            let _ =
                writeln!(out, "  and {}", units::counted(self.pauses - listed, "more pause", "more pauses"));
        }
        out
    }
}
