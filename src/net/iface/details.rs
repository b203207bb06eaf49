//! What rtnetlink says of a link beyond name, flags and addresses: its state, its counters, who filters
//! on it, and what it is as a bridge or as a port of one.
//!
//! From netlink and not from /sys: /sys shows the network namespace of whoever mounted it.

#[cfg(target_os = "linux")]
use super::rtnl::{IFINFO, attributes, text, u32_at};

/// Counters of an interface since it was made (`rtnl_link_stats64`, linux/if_link.h).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Frames received.
    pub rx_packets: u64,
    /// Multicast frames received, where the driver counts them: not all do, veth never does.
    pub multicast: u64,
    /// Dropped by the kernel or the driver without an error of the frame.
    pub rx_dropped: u64,
    /// Longer than the interface takes.
    pub rx_length_errors: u64,
    /// The receiver's ring was overrun.
    pub rx_over_errors: u64,
    /// With a wrong checksum of the frame.
    pub rx_crc_errors: u64,
    /// The receiver's FIFO was full.
    pub rx_fifo_errors: u64,
    /// Missed by the receiver.
    pub rx_missed_errors: u64,
    /// Dropped because no protocol took them.
    pub rx_nohandler: u64,
}

/// A Linux bridge's way with multicast (`IFLA_BR_MCAST_…`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bridge {
    /// Whether it snoops.
    pub snooping: bool,
    /// Whether it asks the queries itself.
    pub querier: bool,
    /// The IGMP version of its queries, where the kernel says it.
    pub igmp_version: Option<u8>,
    /// The MLD version of its queries.
    pub mld_version: Option<u8>,
    /// How long a membership lasts without a report, in ms.
    pub membership_ms: Option<u64>,
    /// How often it asks, in ms.
    pub query_ms: Option<u64>,
}

/// A port of a Linux bridge (`IFLA_BRPORT_…`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BridgePort {
    /// Whether multicast that nobody reported goes out here too.
    pub mcast_flood: Option<bool>,
    /// Whether it exchanges nothing with other isolated ports.
    pub isolated: Option<bool>,
}

/// What the kernel says of a link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// The kernel's index.
    pub index: u32,
    /// The name.
    pub name: String,
    /// IFF_… flags.
    pub flags: u32,
    /// RFC 2863 state: 0 unknown, 1 not present, 2 down, 3 lower layer down, 4 testing, 5 dormant, 6 up.
    pub operstate: Option<u8>,
    /// The driver's kind, as in "veth"; none for hardware.
    pub driver: Option<String>,
    /// How often promiscuous mode was asked for and not given back.
    pub promiscuity: Option<u32>,
    /// How often all multicast was asked for (Linux 6.0).
    pub allmulti: Option<u32>,
    /// How often the carrier was lost (Linux 4.16).
    pub carrier_losses: Option<u32>,
    /// Whether its other end is in another network namespace, as a container's usually is.
    pub peer_elsewhere: bool,
    /// Whether an XDP program takes frames first.
    pub xdp: bool,
    /// The queueing discipline through which filters see arriving frames: "clsact", "ingress".
    pub ingress: Option<String>,
    /// Its counters.
    pub stats: Option<Stats>,
    /// Set for a bridge.
    pub bridge: Option<Bridge>,
    /// Set for a port of a bridge.
    pub port: Option<BridgePort>,
}

#[cfg(target_os = "linux")]
mod at {
    //! Attributes (linux/if_link.h, linux/rtnetlink.h).
    pub const IFNAME: u16 = 3;
    pub const OPERSTATE: u16 = 16;
    pub const LINKINFO: u16 = 18;
    pub const STATS64: u16 = 23;
    pub const PROMISCUITY: u16 = 30;
    pub const LINK_NETNSID: u16 = 37;
    pub const XDP: u16 = 43;
    pub const CARRIER_DOWN_COUNT: u16 = 48;
    pub const ALLMULTI: u16 = 61;
    pub const INFO_KIND: u16 = 1;
    pub const INFO_DATA: u16 = 2;
    pub const INFO_SLAVE_KIND: u16 = 4;
    pub const INFO_SLAVE_DATA: u16 = 5;
    pub const XDP_ATTACHED: u16 = 2;
    pub const BR_SNOOPING: u16 = 23;
    pub const BR_QUERIER: u16 = 25;
    pub const BR_MEMBERSHIP: u16 = 31;
    pub const BR_QUERY: u16 = 33;
    pub const BR_IGMP_VERSION: u16 = 43;
    pub const BR_MLD_VERSION: u16 = 44;
    pub const BRPORT_MCAST_FLOOD: u16 = 27;
    pub const BRPORT_ISOLATED: u16 = 33;
    pub const TCA_KIND: u16 = 1;
}

/// Reads the body of an RTM_NEWLINK.
#[cfg(target_os = "linux")]
pub(super) fn link(body: &[u8]) -> Option<Details> {
    let mut d = Details { index: u32_at(body, 4)?, flags: u32_at(body, 8)?, ..Details::default() };
    for (kind, data) in attributes(body.get(IFINFO..)?) {
        match kind {
            at::IFNAME => d.name = text(data),
            at::OPERSTATE => d.operstate = data.first().copied(),
            at::STATS64 => d.stats = stats(data),
            at::PROMISCUITY => d.promiscuity = u32_at(data, 0),
            at::ALLMULTI => d.allmulti = u32_at(data, 0),
            at::CARRIER_DOWN_COUNT => d.carrier_losses = u32_at(data, 0),
            at::LINK_NETNSID => d.peer_elsewhere = u32_at(data, 0).is_some_and(|id| (id as i32) >= 0),
            at::XDP => {
                d.xdp = attributes(data)
                    .any(|(k, d)| k == at::XDP_ATTACHED && d.first().is_some_and(|&b| b != 0));
            }
            at::LINKINFO => info(&mut d, data),
            _ => {}
        }
    }
    Some(d)
}

#[cfg(target_os = "linux")]
fn info(d: &mut Details, data: &[u8]) {
    let find = |wanted: u16| attributes(data).find(|(k, _)| *k == wanted).map(|(_, d)| d);
    d.driver = find(at::INFO_KIND).map(text);
    if d.driver.as_deref() == Some("bridge")
        && let Some(data) = find(at::INFO_DATA)
    {
        let find = |wanted: u16| attributes(data).find(|(k, _)| *k == wanted).map(|(_, d)| d);
        let byte = |wanted| find(wanted).and_then(|d| d.first().copied());
        // Times are in 1/100 s.
        let ms = |wanted| find(wanted).and_then(|d| u64_at(d, 0)).map(|n| n.saturating_mul(10));
        d.bridge = Some(Bridge {
            snooping: byte(at::BR_SNOOPING) == Some(1),
            querier: byte(at::BR_QUERIER) == Some(1),
            igmp_version: byte(at::BR_IGMP_VERSION),
            mld_version: byte(at::BR_MLD_VERSION),
            membership_ms: ms(at::BR_MEMBERSHIP),
            query_ms: ms(at::BR_QUERY),
        });
    }
    if find(at::INFO_SLAVE_KIND).map(text).as_deref() == Some("bridge")
        && let Some(data) = find(at::INFO_SLAVE_DATA)
    {
        let flag = |wanted: u16| {
            attributes(data).find(|(k, _)| *k == wanted).and_then(|(_, d)| d.first().map(|&b| b != 0))
        };
        d.port = Some(BridgePort {
            mcast_flood: flag(at::BRPORT_MCAST_FLOOD),
            isolated: flag(at::BRPORT_ISOLATED),
        });
    }
}

/// Index and kind of an RTM_NEWQDISC that stands at the interface's ingress.
#[cfg(target_os = "linux")]
pub(super) fn ingress(body: &[u8]) -> Option<(u32, String)> {
    // A tcmsg: family, padding, index, handle, parent, information; TC_H_INGRESS and TC_H_CLSACT are
    // the same parent.
    const TCMSG: usize = 20;
    const TC_H_INGRESS: u32 = 0xffff_fff1;
    let (index, parent) = (u32_at(body, 4)?, u32_at(body, 12)?);
    let kind = attributes(body.get(TCMSG..)?).find(|(k, _)| *k == at::TCA_KIND).map(|(_, d)| text(d))?;
    (parent == TC_H_INGRESS).then_some((index, kind))
}

/// Reads a `rtnl_link_stats64`: 64-bit counters in a fixed order, appended to over the versions.
#[cfg(target_os = "linux")]
fn stats(data: &[u8]) -> Option<Stats> {
    let field = |n: usize| u64_at(data, n * 8);
    Some(Stats {
        rx_packets: field(0)?,
        rx_dropped: field(6)?,
        multicast: field(8)?,
        rx_length_errors: field(10)?,
        rx_over_errors: field(11)?,
        rx_crc_errors: field(12)?,
        rx_fifo_errors: field(14)?,
        rx_missed_errors: field(15)?,
        rx_nohandler: field(23).unwrap_or(0),
    })
}

#[cfg(target_os = "linux")]
fn u64_at(data: &[u8], at: usize) -> Option<u64> {
    data.get(at..)?.first_chunk().copied().map(u64::from_ne_bytes)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn attribute(kind: u16, data: &[u8]) -> Vec<u8> {
        let mut out = ((data.len() + 4) as u16).to_ne_bytes().to_vec();
        out.extend(kind.to_ne_bytes());
        out.extend(data);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }

    fn body(attributes: &[Vec<u8>]) -> Vec<u8> {
        let mut out = vec![0; IFINFO];
        out[4..8].copy_from_slice(&7u32.to_ne_bytes());
        out[8..12].copy_from_slice(&0x1003u32.to_ne_bytes());
        out.extend(attributes.concat());
        out
    }

    #[test]
    fn a_bridge_and_its_port_tell_how_they_treat_multicast() {
        let data = [
            attribute(at::BR_SNOOPING, &[1]),
            attribute(at::BR_QUERIER, &[0]),
            attribute(at::BR_MEMBERSHIP, &26_000u64.to_ne_bytes()),
            attribute(at::BR_IGMP_VERSION, &[2]),
        ]
        .concat();
        let info = [attribute(at::INFO_KIND, b"bridge\0"), attribute(at::INFO_DATA, &data)].concat();
        let d = link(&body(&[attribute(at::IFNAME, b"br0\0"), attribute(at::LINKINFO, &info)])).unwrap();
        assert_eq!((d.index, d.name.as_str(), d.flags), (7, "br0", 0x1003));
        let bridge = d.bridge.unwrap();
        assert_eq!((bridge.snooping, bridge.querier), (true, false));
        assert_eq!((bridge.membership_ms, bridge.igmp_version), (Some(260_000), Some(2)));
        let data = attribute(at::BRPORT_MCAST_FLOOD, &[0]);
        let info =
            [attribute(at::INFO_SLAVE_KIND, b"bridge\0"), attribute(at::INFO_SLAVE_DATA, &data)].concat();
        let d = link(&body(&[attribute(at::LINKINFO, &info)])).unwrap();
        assert_eq!(d.port, Some(BridgePort { mcast_flood: Some(false), isolated: None }));
    }

    #[test]
    fn counters_are_those_that_proc_has() {
        // Name, then bytes, packets, errs, drop … received: the kernel's own table of the same counters.
        let table = || {
            let text = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
            let line = text.lines().find_map(|l| l.trim().strip_prefix("lo:")).expect("a loopback");
            let n: Vec<u64> = line.split_whitespace().map(|w| w.parse().unwrap()).collect();
            (n[1], n[3])
        };
        let before = table();
        let lo = super::super::details().unwrap().into_iter().find(|d| d.name == "lo").unwrap();
        let stats = lo.stats.unwrap();
        assert!((before.0..=table().0).contains(&stats.rx_packets), "{stats:?}");
        assert!((before.1..=table().1).contains(&stats.rx_dropped), "{stats:?}");
        assert!(super::stats(&[0; 40]).is_none());
    }

    #[test]
    fn only_a_discipline_at_the_ingress_counts() {
        let message = |parent: u32| {
            let mut b = vec![0; 20];
            b[4..8].copy_from_slice(&3u32.to_ne_bytes());
            b[12..16].copy_from_slice(&parent.to_ne_bytes());
            b.extend(attribute(at::TCA_KIND, b"clsact\0"));
            b
        };
        assert_eq!(ingress(&message(0xffff_fff1)), Some((3, "clsact".into())));
        assert_eq!(ingress(&message(0xffff_ffff)), None);
        assert_eq!(ingress(&[]), None);
    }
}
