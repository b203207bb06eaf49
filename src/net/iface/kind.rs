//! What kind an interface is, from what the kernel says of it and from its name.

use crate::base::iface::IfaceKind;

/// What the kernel says that tells the kind.
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "elsewhere only names are judged"))]
pub struct Facts<'a> {
    /// The name.
    pub name: &'a str,
    /// The driver's kind (IFLA_INFO_KIND): "bridge", "wireguard"; none for hardware.
    pub driver: Option<&'a str>,
    /// The hardware type (ARPHRD_…).
    pub hardware: u16,
    /// IFF_LOOPBACK.
    pub loopback: bool,
    /// IFF_POINTOPOINT.
    pub point_to_point: bool,
    /// Known to be IEEE 802.11.
    pub wireless: bool,
}

/// Tunnels by the kernel's name for their driver; "tun" is both TUN and TAP.
const TUNNELS: &[&str] = &[
    "amt",
    "bareudp",
    "erspan",
    "geneve",
    "gre",
    "gretap",
    "gtp",
    "ip6erspan",
    "ip6gre",
    "ip6gretap",
    "ip6tnl",
    "ipip",
    "ovpn",
    "ovpn-dco",
    "sit",
    "vti",
    "vti6",
    "vxlan",
    "wireguard",
    "xfrm",
];

/// Hardware types (linux/if_arp.h).
const ARPHRD_PPP: u16 = 512;
const ARPHRD_RAWIP: u16 = 519;
const ARPHRD_TUNNEL: u16 = 768;
const ARPHRD_TUNNEL6: u16 = 769;
const ARPHRD_LOOPBACK: u16 = 772;
const ARPHRD_SIT: u16 = 776;
const ARPHRD_IPGRE: u16 = 778;
const ARPHRD_IEEE80211: u16 = 801;
const ARPHRD_IEEE80211_RADIOTAP: u16 = 803;
const ARPHRD_IP6GRE: u16 = 823;
const ARPHRD_NONE: u16 = 0xfffe;

#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "elsewhere only names are judged"))]
impl Facts<'_> {
    /// The kind, by the most telling fact.
    pub fn kind(&self) -> IfaceKind {
        if self.loopback || self.hardware == ARPHRD_LOOPBACK {
            return IfaceKind::Loopback;
        }
        match self.driver {
            Some("bridge") if is_container_bridge(self.name) => return IfaceKind::ContainerBridge,
            Some("bridge" | "openvswitch") => return IfaceKind::Bridge,
            Some("ppp") => return IfaceKind::PointToPoint,
            Some(driver) if TUNNELS.contains(&driver) => return IfaceKind::Tunnel,
            // With Ethernet frames it is a TAP, which is as good as a cable.
            Some("tun") if self.hardware == ARPHRD_NONE => return IfaceKind::Tunnel,
            _ => {}
        }
        match self.hardware {
            ARPHRD_PPP | ARPHRD_RAWIP => IfaceKind::PointToPoint,
            ARPHRD_TUNNEL | ARPHRD_TUNNEL6 | ARPHRD_SIT | ARPHRD_IPGRE | ARPHRD_IP6GRE => IfaceKind::Tunnel,
            // Neither a link layer nor a driver that is known otherwise.
            ARPHRD_NONE => IfaceKind::Tunnel,
            ARPHRD_IEEE80211..=ARPHRD_IEEE80211_RADIOTAP => IfaceKind::Wireless,
            _ if self.wireless => IfaceKind::Wireless,
            _ if self.point_to_point => IfaceKind::PointToPoint,
            _ => IfaceKind::Wired,
        }
    }
}

/// Whether a bridge of this name was made by a container or virtual-machine engine.
pub fn is_container_bridge(name: &str) -> bool {
    const PREFIXES: &[&str] = &[
        "cbr",
        "cni",
        "docker",
        "incusbr",
        "kube-bridge",
        "lxcbr",
        "lxdbr",
        "mpqemubr",
        "mpbr",
        "nerdctl",
        "podman",
        "virbr",
        "waydroid",
        "weave",
    ];
    if PREFIXES.iter().any(|p| name.starts_with(p)) {
        return true;
    }
    // Docker's and Podman's networks of the user: "br-" and the first 12 digits of their id.
    name.strip_prefix("br-").is_some_and(|id| id.len() == 12 && id.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn container_bridges_are_known_by_name_and_the_users_own_are_not() {
        for name in ["docker0", "docker_gwbridge", "br-0123456789ab", "cni0", "virbr0", "lxdbr0", "podman1"] {
            assert!(is_container_bridge(name), "{name}");
        }
        for name in ["br0", "br-lan", "br-0123456789a", "br-lan-uplink1", "vmbr0", "bridge0", "lan"] {
            assert!(!is_container_bridge(name), "{name}");
        }
    }

    #[test]
    fn kinds_follow_driver_then_hardware() {
        let ether = 1;
        for (name, driver, hardware, kind) in [
            ("lo", None, 772, IfaceKind::Loopback),
            ("eth0", None, ether, IfaceKind::Wired),
            ("veth1", Some("veth"), ether, IfaceKind::Wired),
            ("eth0.7", Some("vlan"), ether, IfaceKind::Wired),
            ("bond0", Some("bond"), ether, IfaceKind::Wired),
            ("tap0", Some("tun"), ether, IfaceKind::Wired),
            ("tun0", Some("tun"), 0xfffe, IfaceKind::Tunnel),
            ("tailscale0", Some("tun"), 0xfffe, IfaceKind::Tunnel),
            ("wg0", Some("wireguard"), 0xfffe, IfaceKind::Tunnel),
            ("gre1", Some("gre"), 778, IfaceKind::Tunnel),
            ("gretap1", Some("gretap"), ether, IfaceKind::Tunnel),
            ("sit0", None, 776, IfaceKind::Tunnel),
            ("flannel.1", Some("vxlan"), ether, IfaceKind::Tunnel),
            ("ppp0", Some("ppp"), 512, IfaceKind::PointToPoint),
            ("wwan0", None, 519, IfaceKind::PointToPoint),
            ("br0", Some("bridge"), ether, IfaceKind::Bridge),
            ("docker0", Some("bridge"), ether, IfaceKind::ContainerBridge),
            // A name alone does not make a bridge.
            ("docker0", Some("veth"), ether, IfaceKind::Wired),
        ] {
            let facts = Facts { name, driver, hardware, ..Facts::default() };
            assert_eq!(facts.kind(), kind, "{name}");
        }
        let wlan = Facts { name: "wlp3s0", hardware: ether, wireless: true, ..Facts::default() };
        assert_eq!(wlan.kind(), IfaceKind::Wireless);
    }
}
