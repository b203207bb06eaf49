//! What is known of a network interface, and whether it is a candidate for joins that name none.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// One interface of this host, as last enumerated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Iface {
    /// The kernel's index.
    pub index: u32,
    /// The name, as in `eth0`.
    pub name: Arc<str>,
    /// Administratively up.
    pub up: bool,
    /// Carrier present (IFF_LOWER_UP or the system's equal); `None` where the system does not say.
    pub carrier: Option<bool>,
    /// Claims to support multicast (IFF_MULTICAST).
    pub multicast: bool,
    /// What it is.
    pub kind: IfaceKind,
    /// The bridge or bond it is enslaved to.
    pub master: Option<Arc<str>>,
    /// Largest IP datagram in bytes, where known.
    pub mtu: Option<u32>,
    /// Hardware address, where it has one.
    pub mac: Option<[u8; 6]>,
    /// Addresses with their prefix lengths.
    pub addrs: Vec<IfaceAddr>,
}

/// One address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IfaceAddr {
    /// The address.
    pub ip: IpAddr,
    /// Length of its network prefix, in bits.
    pub prefix_len: u8,
}

impl fmt::Display for IfaceAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ip, self.prefix_len)
    }
}

/// The kinds of interface that joining treats differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IfaceKind {
    /// Wired, or anything that behaves like it (veth, VLAN, bond, team, macvlan).
    Wired,
    /// IEEE 802.11.
    Wireless,
    /// The loopback interface.
    Loopback,
    /// A bridge of the user's own.
    Bridge,
    /// A bridge that a container or virtual-machine engine made (docker0, cni0, virbr0 …).
    ContainerBridge,
    /// Tunnels, WireGuard, VXLAN, TUN: they rarely carry multicast of a LAN.
    Tunnel,
    /// A point-to-point link (PPP).
    PointToPoint,
}

impl IfaceKind {
    /// The word shown for it.
    pub fn word(self) -> &'static str {
        match self {
            IfaceKind::Wired => "wired",
            IfaceKind::Wireless => "Wi-Fi",
            IfaceKind::Loopback => "loopback",
            IfaceKind::Bridge => "bridge",
            IfaceKind::ContainerBridge => "container bridge",
            IfaceKind::Tunnel => "tunnel",
            IfaceKind::PointToPoint => "point-to-point",
        }
    }
}

/// Why a join that names no interface passes one over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotCandidate {
    /// Administratively down.
    Down,
    /// Without the MULTICAST flag.
    NoMulticast,
    /// The loopback interface.
    Loopback,
    /// Enslaved to this bridge or bond, which is joined instead.
    Enslaved(Arc<str>),
    /// A container engine's bridge.
    ContainerBridge,
    /// A tunnel.
    Tunnel,
    /// A point-to-point link.
    PointToPoint,
}

impl fmt::Display for NotCandidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotCandidate::Down => f.write_str("is down"),
            NotCandidate::NoMulticast => f.write_str("has no MULTICAST flag"),
            NotCandidate::Loopback => f.write_str("is the loopback"),
            NotCandidate::Enslaved(master) => write!(f, "is a port of {master}"),
            NotCandidate::ContainerBridge => f.write_str("is a container bridge"),
            NotCandidate::Tunnel => f.write_str("is a tunnel"),
            NotCandidate::PointToPoint => f.write_str("is a point-to-point link"),
        }
    }
}

impl Iface {
    /// Whether a join that names no interface takes this one; otherwise why not.
    ///
    /// # Errors
    /// The first reason that applies, the most telling first.
    pub fn candidate(&self) -> Result<(), NotCandidate> {
        if self.kind == IfaceKind::Loopback {
            return Err(NotCandidate::Loopback);
        }
        if let Some(master) = &self.master {
            return Err(NotCandidate::Enslaved(master.clone()));
        }
        match self.kind {
            IfaceKind::ContainerBridge => return Err(NotCandidate::ContainerBridge),
            IfaceKind::Tunnel => return Err(NotCandidate::Tunnel),
            IfaceKind::PointToPoint => return Err(NotCandidate::PointToPoint),
            _ => {}
        }
        if !self.up {
            return Err(NotCandidate::Down);
        }
        if !self.multicast {
            return Err(NotCandidate::NoMulticast);
        }
        Ok(())
    }

    /// Whether only its state keeps it from being a candidate: it is down, or has no MULTICAST flag.
    pub fn is_unfit(&self) -> bool {
        matches!(self.candidate(), Err(NotCandidate::Down | NotCandidate::NoMulticast))
    }

    /// Whether it has an address of the family of `like`.
    pub fn has_family(&self, like: IpAddr) -> bool {
        self.addrs.iter().any(|a| a.ip.is_ipv4() == like.is_ipv4())
    }
}

/// The interfaces a join takes that names none: every candidate, or the loopback when there is none.
pub fn candidates(ifaces: &[Iface]) -> Vec<&Iface> {
    let found: Vec<&Iface> = ifaces.iter().filter(|i| i.candidate().is_ok()).collect();
    if found.is_empty() { ifaces.iter().filter(|i| i.kind == IfaceKind::Loopback).collect() } else { found }
}

/// The interfaces that a diagnosis looks at where none is named: every candidate. With none, whoever asks
/// means an interface that would be one: those that are down or without the flag, and only then what a
/// join would fall back to.
pub fn to_examine(ifaces: &[Iface]) -> Vec<&Iface> {
    let found: Vec<&Iface> = ifaces.iter().filter(|i| i.candidate().is_ok()).collect();
    if !found.is_empty() {
        return found;
    }
    let unfit: Vec<&Iface> = ifaces.iter().filter(|i| i.is_unfit()).collect();
    if unfit.is_empty() { candidates(ifaces) } else { unfit }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn iface(name: &str, kind: IfaceKind) -> Iface {
        Iface {
            index: 1,
            name: name.into(),
            up: true,
            carrier: Some(true),
            multicast: true,
            kind,
            master: None,
            mtu: Some(1500),
            mac: None,
            addrs: vec![],
        }
    }

    #[test]
    fn candidates_are_what_the_specification_says() {
        let mut port = iface("veth1", IfaceKind::Wired);
        port.master = Some("br0".into());
        let mut down = iface("eth1", IfaceKind::Wired);
        down.up = false;
        let all = [
            iface("lo", IfaceKind::Loopback),
            iface("eth0", IfaceKind::Wired),
            port,
            down,
            iface("br0", IfaceKind::Bridge),
            iface("docker0", IfaceKind::ContainerBridge),
            iface("wg0", IfaceKind::Tunnel),
            iface("wlan0", IfaceKind::Wireless),
        ];
        let names: Vec<&str> = candidates(&all).iter().map(|i| &*i.name).collect();
        assert_eq!(names, ["eth0", "br0", "wlan0"]);
        assert_eq!(all[2].candidate().unwrap_err().to_string(), "is a port of br0");
    }

    #[test]
    fn with_no_candidate_left_the_loopback_is_taken() {
        let all = [iface("lo", IfaceKind::Loopback), iface("wg0", IfaceKind::Tunnel)];
        assert_eq!(&*candidates(&all)[0].name, "lo");
        assert_eq!(&*to_examine(&all)[0].name, "lo");
    }

    #[test]
    fn a_diagnosis_looks_at_what_is_down_rather_than_at_the_loopback() {
        let mut eth = iface("eth0", IfaceKind::Wired);
        eth.up = false;
        let mut all = vec![iface("lo", IfaceKind::Loopback), eth, iface("wg0", IfaceKind::Tunnel)];
        let names = |all: &[Iface]| to_examine(all).iter().map(|i| i.name.to_string()).collect::<Vec<_>>();
        assert_eq!(names(&all), ["eth0"]);
        all.push(iface("eth1", IfaceKind::Wired));
        assert_eq!(names(&all), ["eth1"], "where there is a candidate it is as for a join");
    }
}
