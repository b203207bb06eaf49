//! The interfaces as the model knows them: what changed on them, and what they and their packet rings
//! dropped.

use std::sync::Arc;

use crate::base::iface::Iface;
use crate::base::time::{Mono, Now, SECOND_NS};
use crate::model::event::EventKind;
use crate::model::here::Drops;
use crate::model::{Model, telling};

/// An interface with its counters.
#[derive(Clone, Debug, PartialEq)]
pub struct IfaceState {
    /// What it is.
    pub iface: Iface,
    /// Receive drops since watching began (NIC); `None` where the system does not say.
    pub nic_drops: Option<u64>,
    pub(super) nic_base: Option<u64>,
    pub(super) nic_read_at: Option<Mono>,
}

/// What the packet ring of an interface dropped. It cannot be told which group that belonged to, so it
/// is shown on the interface and the whole, never on a group.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RingDrops {
    pub cumulative: u64,
    pub before_reset: u64,
    /// So many more and it is told again.
    pub tell_at: u64,
}

impl RingDrops {
    pub fn drops(&self) -> u64 {
        self.cumulative.saturating_sub(self.before_reset)
    }
}

impl Model {
    /// The interfaces as they are now; what differs from before becomes events, except the first
    /// time.
    pub fn set_ifaces(&mut self, list: Vec<Iface>, now: Now) {
        let first = self.ifaces.is_empty();
        let before = std::mem::take(&mut self.ifaces);
        for iface in list {
            let old = before.iter().find(|o| o.iface.name == iface.name);
            if !first && let Some(text) = telling::iface_change(old.map(|o| &o.iface), &iface) {
                self.note(EventKind::InterfaceChanged, Some(iface.name.clone()), text, now);
            }
            let same = old.filter(|o| o.iface.index == iface.index);
            self.ifaces.push(IfaceState {
                nic_drops: same.and_then(|o| o.nic_drops),
                nic_base: same.and_then(|o| o.nic_base),
                nic_read_at: same.and_then(|o| o.nic_read_at),
                iface,
            });
        }
        self.here_ips = self.addresses_here();
        self.memberships.set_ifaces(self.ifaces.iter().map(|i| &i.iface));
        for old in &before {
            if self.iface(&old.iface.name).is_none() {
                let text = format!("{} vanished", old.iface.name);
                self.note(EventKind::InterfaceChanged, Some(old.iface.name.clone()), text, now);
            }
        }
        for id in self.order.clone() {
            let mtu = self.group(id).and_then(|g| self.iface(&g.membership.iface)).map(|i| i.iface.mtu);
            if let (Some(mtu), Some(g)) = (mtu, self.group_mut(id)) {
                g.set_mtu(mtu);
            }
        }
    }

    /// The kernel's cumulative receive drops of an interface. The first figure is the zero.
    pub fn nic_drops(&mut self, iface: &str, cumulative: u64) {
        let now = self.now.mono;
        if let Some(i) = self.ifaces.iter_mut().find(|i| &*i.iface.name == iface) {
            let base = *i.nic_base.get_or_insert(cumulative);
            let before = i.nic_drops.replace(cumulative.saturating_sub(base)).unwrap_or(0);
            let moved = cumulative.saturating_sub(base).saturating_sub(before);
            let since = i.nic_read_at.replace(now).unwrap_or(now);
            for g in self.groups.iter_mut().flatten().filter(|g| &*g.membership.iface == iface) {
                // The counter is of all frames of the interface: whose they were is not known.
                // Nor exactly when: the model's time is that of its last turn.
                g.here.moved(since, now.plus(SECOND_NS / 2), moved, Drops::Nic);
            }
        }
    }

    /// The cumulative drops of an interface's packet ring.
    pub fn ring_drops(&mut self, iface: &Arc<str>, cumulative: u64, now: Now) {
        let ring = self.rings.entry(iface.clone()).or_default();
        let moved = cumulative.saturating_sub(std::mem::replace(&mut ring.cumulative, cumulative));
        let since = Mono(now.mono.0.saturating_sub(SECOND_NS));
        for g in self.groups.iter_mut().flatten().filter(|g| g.membership.iface == *iface) {
            // The counter is of all groups joined on the interface: whose they were is not known.
            g.here.moved(since, now.mono, moved, Drops::Buffer);
        }
        let drops = ring.drops();
        if drops > ring.tell_at {
            // Told again when it has doubled: an overload that lasts is one story, not a thousand.
            ring.tell_at = drops * 2;
            let text = format!("{iface}: {drops} dropped at the packet ring");
            self.note(EventKind::Dropped, Some(iface.clone()), text, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::group::{Membership, MembershipId, SourceFilter};
    use crate::base::time::Wall;
    use crate::model::Settings;
    use crate::model::group::Origin;

    #[test]
    fn a_rings_drops_are_shown_on_the_interface_and_the_whole_and_never_on_a_group() {
        let now = Now { mono: Mono(SECOND_NS), wall: Wall(0) };
        let mut model = Model::new(Settings::default(), now);
        let group = "239.1.1.1".parse().unwrap();
        for (id, name) in ["eth0", "eth1"].into_iter().enumerate() {
            let m = Membership { group, port: 5004, iface: name.into(), filter: SourceFilter::Any };
            model.add(MembershipId(id as u32), m.into(), Origin::User, None);
        }
        assert_eq!(model.totals().socket_drops, None, "nothing is known");
        let drops = |m: &Model| {
            ["eth0", "eth1"]
                .map(|n| m.totals_of_iface(n).socket_drops)
                .into_iter()
                .chain([m.totals().socket_drops])
                .collect::<Vec<_>>()
        };
        model.ring_drops(&"eth0".into(), 5, now);
        model.ring_drops(&"eth1".into(), 0, now);
        assert_eq!(drops(&model), [Some(5), Some(0), Some(5)]);
        assert!(model.groups().all(|g| g.drops.socket_drops.is_none()));
        model.ring_drops(&"eth0".into(), 6, now);
        let told = |m: &Model| m.events().since(0).filter(|e| e.kind == EventKind::Dropped).count();
        assert_eq!(told(&model), 1, "told again when it has doubled");
        model.reset(None);
        model.ring_drops(&"eth0".into(), 8, now);
        assert_eq!(drops(&model), [Some(2), Some(0), Some(2)]);
    }
}
