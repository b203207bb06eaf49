//! PTP grandmasters as they are announced (IEEE 1588-2019 clause 13.5): per interface and domain.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::base::group::Endpoint;
use crate::base::time::SECOND_NS;
use crate::model::source::Stamp;
use crate::wire::ptp::{Announce, ClockId, accuracy};

/// Announcing ports kept over all domains and interfaces; the one not heard for longest makes room.
pub const PORTS_MAX: usize = 64;

/// One port that announces a grandmaster.
#[derive(Clone, Debug)]
pub struct Port {
    /// The interface it is heard on.
    pub iface: Arc<str>,
    /// Who sends.
    pub from: Endpoint,
    /// The clock that the port belongs to, and its number.
    pub port: (ClockId, u16),
    /// What it said last.
    pub announce: Announce,
    /// When that was.
    pub last: Stamp,
}

impl Port {
    /// How long one Announce is good for: announceReceiptTimeout is three intervals by default
    /// (clause 7.7.3.1), two seconds at least here.
    fn timeout_ns(&self) -> u64 {
        let log = self.announce.log_interval.clamp(-7, 7);
        let interval = if log >= 0 { SECOND_NS << log } else { SECOND_NS >> -log };
        (3 * interval).max(2 * SECOND_NS)
    }
}

/// The grandmaster of one domain on one interface.
#[derive(Clone, Debug)]
pub struct Grandmaster {
    /// The interface.
    pub iface: Arc<str>,
    /// The domain.
    pub domain: u8,
    /// What is announced of it.
    pub announce: Announce,
    /// Who sends that.
    pub from: Endpoint,
    /// Since when it is this one.
    pub since: Stamp,
    /// How often it was another one before.
    pub changes: u32,
    /// Another grandmaster that is announced at the same time.
    pub rival: Option<ClockId>,
    /// Whether nothing is announced any more.
    pub lost: bool,
}

/// Everything that announces itself as a clock.
#[derive(Clone, Debug, Default)]
pub struct Clocks {
    ports: Vec<Port>,
    masters: Vec<Grandmaster>,
}

/// The better of two announced clocks, as the best master clock algorithm compares them (clause 9.3.4):
/// priority 1, class, accuracy, variance, priority 2, identity; then fewer steps.
fn better(a: &Announce, b: &Announce) -> Ordering {
    let key = |a: &Announce| {
        (a.priority1, a.class, a.accuracy, a.variance, a.priority2, a.grandmaster.0, a.steps_removed)
    };
    key(a).cmp(&key(b))
}

/// A grandmaster's qualities in a few words.
pub fn describe(a: &Announce) -> String {
    format!(
        "{}  class {}  accuracy {}  priority {}/{}  steps {}",
        a.grandmaster,
        a.class,
        accuracy(a.accuracy),
        a.priority1,
        a.priority2,
        a.steps_removed
    )
}

impl Clocks {
    /// The grandmasters known on an interface, by domain.
    pub fn on<'a>(&'a self, iface: &'a str) -> impl Iterator<Item = &'a Grandmaster> {
        self.masters.iter().filter(move |m| &*m.iface == iface)
    }

    /// All grandmasters.
    pub fn grandmasters(&self) -> &[Grandmaster] {
        &self.masters
    }

    /// Takes an Announce message; what it changed, in words.
    pub(crate) fn take(
        &mut self,
        announce: Announce,
        port: (ClockId, u16),
        from: Endpoint,
        iface: &Arc<str>,
        at: Stamp,
    ) -> Option<String> {
        let same = |p: &Port| p.iface == *iface && p.port == port && p.announce.domain == announce.domain;
        let new = Port { iface: iface.clone(), from, port, announce, last: at };
        match self.ports.iter_mut().find(|p| same(p)) {
            Some(p) => *p = new,
            None => {
                if self.ports.len() == PORTS_MAX {
                    let oldest = (0..PORTS_MAX).min_by_key(|&i| self.ports[i].last.mono).unwrap_or(0);
                    self.ports.swap_remove(oldest);
                }
                self.ports.push(new);
            }
        }
        self.judge(iface, announce.domain, at)
    }

    /// Which grandmaster stands, of all that are announced in a domain.
    fn judge(&mut self, iface: &Arc<str>, domain: u8, at: Stamp) -> Option<String> {
        let here = |p: &&Port| p.iface == *iface && p.announce.domain == domain;
        let live = |p: &&Port| at.mono.since(p.last.mono) <= p.timeout_ns();
        let mut ports: Vec<&Port> = self.ports.iter().filter(here).filter(live).collect();
        ports.sort_by(|a, b| better(&a.announce, &b.announce));
        let place = self.masters.iter().position(|m| m.iface == *iface && m.domain == domain);
        let Some(best) = ports.first() else {
            let m = &mut self.masters[place?];
            if std::mem::replace(&mut m.lost, true) {
                return None;
            }
            m.rival = None;
            let gm = m.announce.grandmaster;
            return Some(format!("PTP domain {domain} on {iface}: grandmaster {gm} is announced no longer"));
        };
        let (now, from) = (best.announce, best.from);
        let rival = ports.iter().map(|p| p.announce.grandmaster).find(|gm| *gm != now.grandmaster);
        let Some(place) = place else {
            if self.masters.len() == PORTS_MAX {
                self.masters.remove(0);
            }
            self.masters.push(Grandmaster {
                iface: iface.clone(),
                domain,
                announce: now,
                from,
                since: at,
                changes: 0,
                rival,
                lost: false,
            });
            return Some(format!("PTP domain {domain} on {iface}: grandmaster {}", describe(&now)));
        };
        let m = &mut self.masters[place];
        let was = std::mem::replace(&mut m.announce, now);
        let (back, before) = (std::mem::take(&mut m.lost), std::mem::replace(&mut m.rival, rival));
        m.from = from;
        let name = format!("PTP domain {domain} on {iface}");
        if was.grandmaster != now.grandmaster {
            m.changes += 1;
            m.since = at;
            // One that flaps is told when the number of its changes doubles.
            return m.changes.is_power_of_two().then(|| {
                format!("{name}: grandmaster changed from {} to {}", was.grandmaster, describe(&now))
            });
        }
        if let Some(rival) = rival.filter(|_| before.is_none()) {
            return Some(format!("{name}: two grandmasters are announced, {} and {rival}", now.grandmaster));
        }
        let quality = |a: &Announce| (a.class, a.accuracy, a.priority1, a.priority2);
        if quality(&was) != quality(&now) {
            return Some(format!("{name}: grandmaster is now {} (was class {})", describe(&now), was.class));
        }
        back.then(|| format!("{name}: grandmaster {} is announced again", now.grandmaster))
    }

    /// Notices what is announced no longer at `now`: the interface, who announced it, and what happened
    /// in words.
    pub(crate) fn settle(&mut self, now: Stamp) -> Vec<(Arc<str>, Endpoint, String)> {
        let due: Vec<(Arc<str>, Endpoint, u8)> =
            self.masters.iter().filter(|m| !m.lost).map(|m| (m.iface.clone(), m.from, m.domain)).collect();
        let judge = |(iface, from, domain)| {
            let text = self.judge(&iface, domain, now)?;
            Some((iface, from, text))
        };
        due.into_iter().filter_map(judge).collect()
    }
}

#[cfg(test)]
#[path = "clocks_tests.rs"]
mod tests;
