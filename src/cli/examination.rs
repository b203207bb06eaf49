//! What the dashboard asks of the doctor, with what the model knows and a short measurement cannot find
//! out.

use std::time::Duration;

use crate::base::group::{Membership, MembershipId};
use crate::base::iface::candidates;
use crate::cli::local_offset;
use crate::doctor::facts::{CarrierLosses, Cut, CutWhy, QueryHeard};
use crate::doctor::{Known, Request};
use crate::model::Model;
use crate::model::memberships::forecast::{self, Forecast};
use crate::model::memberships::{Ear, Link};
use crate::model::source::State;

/// How long one measures.
const WINDOW: Duration = Duration::from_secs(3);

/// The request for a row, or for the host.
pub(super) fn request(model: &Model, of: Option<MembershipId>) -> Request {
    let group = of.and_then(|id| model.group(id)).filter(|g| g.is_joined());
    let now = model.now().mono;
    let mut known = Known::default();
    let ifaces = match group {
        // Both families' queriers belong to its interface.
        Some(g) => vec![g.membership.iface.clone()],
        None => {
            let listed: Vec<_> = model.ifaces().iter().map(|i| i.iface.clone()).collect();
            candidates(&listed).into_iter().map(|i| i.name.clone()).collect()
        }
    };
    let memberships = model.memberships();
    for link in ifaces.iter().filter_map(|name| memberships.link(name)) {
        known.queries.extend(queries(link, now));
    }
    if let Some(g) = group {
        let link = memberships.link(&g.membership.iface);
        // A counter says that somebody asked, not who.
        if let Some(Ear::Wire(since)) = link.map(|l| l.ear(g.membership.group)) {
            known.listened_ns = Some(now.since(since.mono));
        }
        known.cuts.extend(cut(model, &g.membership).map(|cut| (g.membership.clone(), cut)));
        // Only IGMP waits for a query when the carrier is back.
        if let Some(link) = link.filter(|_| g.membership.group.is_ipv4()) {
            let lost = link.carrier_losses(link.reported(g.membership.group).map(|at| at.mono));
            known.losses.extend(lost.map(|(count, last)| {
                (link.name.clone(), CarrierLosses { count: count as u64, age_ns: now.since(last) })
            }));
        }
        if let (State::Silent, Some(joined), Some(last)) = (g.state, g.since, g.last) {
            known.silent_after_ns.push((g.membership.clone(), last.mono.since(joined.mono)));
        }
    }
    let groups = group.map(|g| (g.membership.clone(), true)).into_iter().collect();
    let utc_offset_s = local_offset(model.now().wall);
    Request { groups, ifaces, window: WINDOW, probe: false, utc_offset_s, known }
}

/// When a snooping switch will cut a group, as the dashboard foretells it.
fn cut(model: &Model, m: &Membership) -> Option<Cut> {
    let now = model.now();
    let Forecast::Cut(cut) = model.forecast(&m.iface, m.group)? else { return None };
    let why = match cut.why {
        forecast::CutWhy::NoQuerier { quiet_since, .. } => CutWhy::NoQuerier(now.mono.since(quiet_since)),
        forecast::CutWhy::Unanswered { asked } => CutWhy::Unanswered(now.mono.since(asked.mono)),
    };
    Some(Cut { why, at: cut.at.map(|at| at.to_wall(now.offset_ns())) })
}

/// The last general query of each querier on an interface.
fn queries(link: &Link, now: crate::base::time::Mono) -> impl Iterator<Item = QueryHeard> {
    [&link.igmp, &link.mld].into_iter().flat_map(|side| side.queriers.list()).filter_map(move |q| {
        Some(QueryHeard {
            iface: link.name.clone(),
            from: q.address,
            version: q.version,
            interval_s: q.interval_ns().map(|ns| (ns / 1_000_000_000) as u32).filter(|&s| s > 0),
            max_response_ms: (q.timers.response_ns / 1_000_000) as u32,
            age_ns: now.since(q.last_general?.mono),
        })
    })
}
