//! Sums over rows: the whole, one interface, any rows together.

use crate::model::group::Group;
use crate::model::{Model, Totals};

impl Model {
    /// The whole: all joined rows, each as delivered to it. What is seen on the wire and not joined is in
    /// [`Model::wire_totals`].
    pub fn totals(&self) -> Totals {
        let mut t = self.totals_of(self.groups());
        for i in &self.ifaces {
            if let Some(n) = i.nic_drops {
                *t.nic_drops.get_or_insert_default() += n;
            }
        }
        for ring in self.rings.values() {
            *t.socket_drops.get_or_insert_default() += ring.drops();
        }
        t
    }

    /// One interface.
    pub fn totals_of_iface(&self, name: &str) -> Totals {
        let mut t = self.totals_of(self.groups().filter(|g| &*g.membership.iface == name));
        t.nic_drops = self.iface(name).and_then(|i| i.nic_drops);
        if let Some(ring) = self.rings.get(name) {
            *t.socket_drops.get_or_insert_default() += ring.drops();
        }
        t
    }

    /// These rows together; without NIC and the drops of packet rings, which are no property of a row.
    pub fn totals_of<'a>(&self, groups: impl Iterator<Item = &'a Group>) -> Totals {
        let mut t = Totals::default();
        for g in groups {
            t.groups += 1;
            t.sources += g.sources.len();
            let c = &mut t.counters;
            if g.counters.packets > 0 {
                c.size_min =
                    if c.packets == 0 { g.counters.size_min } else { c.size_min.min(g.counters.size_min) };
            }
            c.size_max = c.size_max.max(g.counters.size_max);
            c.packets += g.counters.packets;
            c.payload_bytes += g.counters.payload_bytes;
            c.ip_bytes += g.counters.ip_bytes;
            c.truncated += g.counters.truncated;
            c.fragmented += g.counters.fragmented;
            if let Some(r) = g.rate(self.now.mono) {
                *t.rate.get_or_insert_default() += r;
            }
            if let Some(n) = g.continuity() {
                *t.lost.get_or_insert_default() += n.lost;
                *t.lost_here.get_or_insert_default() += n.lost_here;
                *t.lost_unclear.get_or_insert_default() += n.lost_unclear;
                *t.duplicates.get_or_insert_default() += n.duplicates;
                *t.reordered.get_or_insert_default() += n.reordered;
            }
            if let Some(n) = g.drops.socket_drops {
                *t.socket_drops.get_or_insert_default() += n;
            }
            t.not_analysed += g.drops.not_analysed;
            t.not_analysed_bytes += g.drops.not_analysed_bytes;
        }
        t
    }
}
