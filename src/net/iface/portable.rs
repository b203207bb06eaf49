//! macOS and Windows: through `netdev`; changes are noticed by listing again.

use std::time::{Duration, Instant};

use netdev::interface::types::InterfaceType;

use super::{Change, kind};
use crate::base::iface::{Iface, IfaceAddr, IfaceKind};
use crate::net::error::NetError;
use crate::net::wake::Waker;

/// How often the interfaces are listed to notice a change.
const PERIOD: Duration = Duration::from_secs(2);

pub fn list() -> Result<Vec<Iface>, NetError> {
    let mut out: Vec<Iface> = netdev::get_interfaces().iter().map(iface).collect();
    out.sort_by_key(|i| i.index);
    Ok(out)
}

pub fn details() -> Result<Vec<super::Details>, NetError> {
    Ok(Vec::new())
}

fn iface(i: &netdev::Interface) -> Iface {
    // Windows names interfaces by GUID; people know the friendly name.
    let name = i.friendly_name.as_deref().filter(|_| cfg!(windows)).unwrap_or(&i.name);
    let v4 = i.ipv4.iter().map(|n| IfaceAddr { ip: n.addr().into(), prefix_len: n.prefix_len() });
    let v6 = i.ipv6.iter().map(|n| IfaceAddr { ip: n.addr().into(), prefix_len: n.prefix_len() });
    let kind = kind_of(i, name);
    Iface {
        index: i.index,
        name: name.into(),
        up: i.is_up(),
        carrier: Some(i.is_running()),
        multicast: i.is_multicast(),
        kind,
        master: None,
        mtu: i.mtu,
        mac: i.mac_addr.map(|mac| mac.octets()).filter(|mac| mac.iter().any(|&b| b != 0)),
        addrs: v4.chain(v6).collect(),
    }
}

fn kind_of(i: &netdev::Interface, name: &str) -> IfaceKind {
    match i.if_type {
        InterfaceType::Loopback => IfaceKind::Loopback,
        InterfaceType::Wireless80211 => IfaceKind::Wireless,
        InterfaceType::Tunnel => IfaceKind::Tunnel,
        InterfaceType::Ppp => IfaceKind::PointToPoint,
        _ if i.is_loopback() => IfaceKind::Loopback,
        // macOS: utun, gif and stf are tunnels, awdl and llw Apple's own peer-to-peer Wi-Fi.
        _ if ["utun", "gif", "stf", "ipsec"].iter().any(|p| name.starts_with(p)) => IfaceKind::Tunnel,
        _ if ["awdl", "llw"].iter().any(|p| name.starts_with(p)) => IfaceKind::PointToPoint,
        _ if kind::is_container_bridge(name) || name.starts_with("vEthernet (") => IfaceKind::ContainerBridge,
        InterfaceType::Bridge => IfaceKind::Bridge,
        _ if cfg!(target_os = "macos") && name.starts_with("bridge") => IfaceKind::Bridge,
        _ if i.is_point_to_point() => IfaceKind::PointToPoint,
        _ => IfaceKind::Wired,
    }
}

/// The list as it was last seen.
pub struct Watch {
    last: Vec<Iface>,
    next: Instant,
}

impl Watch {
    pub fn open() -> Result<Watch, NetError> {
        Ok(Watch { last: list()?, next: Instant::now() + PERIOD })
    }

    pub fn wait(&mut self, waker: &Waker, timeout: Option<Duration>) -> Result<Change, NetError> {
        let end = timeout.and_then(|t| Instant::now().checked_add(t));
        loop {
            let until = end.map_or(self.next, |end| end.min(self.next));
            let left = until.saturating_duration_since(Instant::now());
            if waker.wait(Some(left))? {
                return Ok(Change { woken: true, ..Change::default() });
            }
            if Instant::now() >= self.next {
                self.next = Instant::now() + PERIOD;
                let now = list()?;
                if now != self.last {
                    let last = std::mem::replace(&mut self.last, now);
                    let lost_carrier = lost(&last, &self.last);
                    return Ok(Change { changed: true, woken: false, lost_carrier });
                }
            }
            if end.is_some_and(|end| Instant::now() >= end) {
                return Ok(Change::default());
            }
        }
    }
}

/// The interfaces that had a carrier and have none now, or are gone.
fn lost(before: &[Iface], now: &[Iface]) -> Vec<u32> {
    let has_carrier = |i: &Iface| i.up && i.carrier != Some(false);
    before
        .iter()
        .filter(|i| has_carrier(i) && !now.iter().any(|n| n.index == i.index && has_carrier(n)))
        .map(|i| i.index)
        .collect()
}
