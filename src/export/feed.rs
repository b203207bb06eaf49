//! Statistics of feeds: two streams that are compared as A and B of one.

use std::fmt::Write;
use std::sync::Arc;

use serde::Serialize;

use crate::base::time::{Mono, Wall};
use crate::base::units;
use crate::model::Model;
use crate::model::pair::{Leg, LegCounts, Pair, Skew, class_of};
use crate::model::pairs;

/// A `stats` or `final` line of scope `feed`. Counters are cumulative since the two were marked (or
/// the last reset); what cannot be known is `null`. A skew is the arrival at B less the arrival at A
/// of the same number, by the kernel's receive times: above 0 where A was first.
#[derive(Clone, Debug, Serialize)]
pub struct Feed {
    /// `feed`.
    pub scope: &'static str,
    /// The feed's number, from 0, in the order in which they were marked.
    pub feed: u32,
    /// `comparing`; `waiting` for datagrams; `looking` for common numbers; `apart`: there are none.
    pub standing: &'static str,
    /// Why they cannot be compared, in words.
    pub why: Option<String>,
    /// The first way.
    pub a: Way,
    /// The second way.
    pub b: Way,
    /// Numbers that were decided: brought by at least one, or known to be missing on both. Each is
    /// waited for a second.
    pub numbers: u64,
    /// Numbers that neither brought: lost after a hitless merge. `null` while nothing is compared.
    pub lost_both: Option<u64>,
    /// Times the sender began anew.
    pub restarts: u64,
    /// Numbers that both brought: those that the skew was measured of.
    pub both: u64,
    /// How many of them A brought first.
    pub a_first: u64,
    /// How many of them B brought first.
    pub b_first: u64,
    /// The skew of the last number.
    pub skew_last_ns: Option<i64>,
    /// The smallest.
    pub skew_min_ns: Option<i64>,
    /// The mean.
    pub skew_mean_ns: Option<i64>,
    /// The median, within 1.6 %, as all percentiles.
    pub skew_p50_ns: Option<i64>,
    /// 99 % stay at or below.
    pub skew_p99_ns: Option<i64>,
    /// The largest.
    pub skew_max_ns: Option<i64>,
    /// The smallest class of SMPTE ST 2022-7 receivers that bears the widest skew: `D` (150 µs), `A`
    /// (10 ms), `B` (50 ms), `C` (450 ms); `null` if none does.
    pub class: Option<&'static str>,
}

/// One of the two ways of a [`Feed`].
#[derive(Clone, Debug, Serialize)]
pub struct Way {
    /// The group's address.
    pub group: String,
    /// Its UDP port.
    pub port: u16,
    /// The interface.
    pub iface: Arc<str>,
    /// The sender, as address:port; `null` before it was heard.
    pub source: Option<String>,
    /// Datagrams.
    pub packets: u64,
    /// Numbers of the feed that it did not bring; `null` while nothing is compared.
    pub lost: Option<u64>,
    /// Numbers that it brought again.
    pub duplicates: u64,
    /// Numbers that came more than a second behind the other way, or had no place in the numbering.
    pub late: u64,
}

fn way(l: &Leg, c: &LegCounts, compared: bool) -> Way {
    Way {
        group: l.membership.group.to_string(),
        port: l.membership.port,
        iface: l.membership.iface.clone(),
        source: l.from.map(|f| f.to_string()),
        packets: c.packets,
        lost: compared.then_some(c.lost),
        duplicates: c.duplicates,
        late: c.late,
    }
}

/// The line of a pair at `now`.
pub fn of_pair(p: &Pair, now: Mono) -> Feed {
    let (c, s) = (p.counts(), p.skew());
    let compared = c.compared > 0;
    let standing = p.standing(now);
    Feed {
        scope: "feed",
        feed: p.id.0,
        standing: standing.word(),
        why: standing.why(),
        a: way(&p.legs[0], &c.legs[0], compared),
        b: way(&p.legs[1], &c.legs[1], compared),
        numbers: c.compared,
        lost_both: compared.then_some(c.lost_both),
        restarts: c.restarts,
        both: s.count(),
        a_first: s.a_first(),
        b_first: s.b_first(),
        skew_last_ns: s.last_ns(),
        skew_min_ns: s.min_ns(),
        skew_mean_ns: s.mean_ns(),
        skew_p50_ns: s.quantile_ns(0.5),
        skew_p99_ns: s.quantile_ns(0.99),
        skew_max_ns: s.max_ns(),
        class: s.widest_ns().and_then(class_of).map(|(class, _)| class),
    }
}

/// The lines of all feeds as JSON.
pub fn json(model: &Model, at: Wall, last: bool) -> impl Iterator<Item = String> + '_ {
    let now = model.now().mono;
    let kind = if last { "final" } else { "stats" };
    model.pairs().iter().map(move |p| super::json::line(kind, at, of_pair(p, now)))
}

/// A time that may lie before 0, with its sign: `+1.02 ms`, `-250 µs`.
pub fn signed(ns: i64) -> String {
    let sign = if ns < 0 { "-" } else { "+" };
    format!("{sign}{}", units::duration(ns.unsigned_abs()))
}

/// Who is ahead and by how much: `A ahead by 1.02 ms (median), first with 98.1 %`.
pub fn ahead(s: &Skew) -> Option<String> {
    let median = s.quantile_ns(0.5)?;
    let of = |n: u64| units::share_pct(n, s.count()).map_or_else(String::new, units::percent);
    Some(match median {
        0 => "A and B come together".to_owned(),
        1.. => {
            format!("A ahead by {} (median), first with {}", units::duration(median as u64), of(s.a_first()))
        }
        _ => format!(
            "B ahead by {} (median), first with {}",
            units::duration(median.unsigned_abs()),
            of(s.b_first())
        ),
    })
}

/// All feeds as lines for people; empty without any.
pub fn plain(model: &Model) -> String {
    let now = model.now().mono;
    let mut out = String::new();
    for p in model.pairs() {
        let (c, s) = (p.counts(), p.skew());
        let _ = writeln!(out, "{}: {}", pairs::title(p), pairs::reading(p, now).0);
        for (name, (leg, n)) in ["A", "B"].iter().zip(p.legs.iter().zip(&c.legs)) {
            let lost = match units::share_pct(n.lost, c.compared) {
                Some(pct) => format!("{} lost of {} ({})", n.lost, c.compared, units::percent(pct)),
                None => "– lost".to_owned(),
            };
            let _ = write!(out, "  {name}  {}  {}, {lost}", leg.describe(), units::packets(n.packets));
            let _ = writeln!(out, ", {} duplicates, {} late", n.duplicates, n.late);
        }
        if let (Some(who), Some(min), Some(mean), Some(p99), Some(max)) =
            (ahead(s), s.min_ns(), s.mean_ns(), s.quantile_ns(0.99), s.max_ns())
        {
            let _ = writeln!(
                out,
                "  skew (B after A)  min {}  mean {}  p99 {}  max {}; {who}",
                signed(min),
                signed(mean),
                signed(p99),
                signed(max)
            );
        }
    }
    out
}
