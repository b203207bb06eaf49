//! What was read of the host: plain values, so that judging them needs no host. Gathering fills this
//! ([`super::gather`]); checks read it ([`super::checks`]).

use std::net::IpAddr;
use std::sync::Arc;

use super::counters::Counters;
use super::ruleset::Ruleset;
use crate::base::group::{Endpoint, Membership};
use crate::base::iface::Iface;
use crate::base::joined::Process;
use crate::base::time::Wall;
use crate::net::Kind;
use crate::net::iface::Details;
use crate::net::route::Route;

/// Why something was not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// What is missing, in words: "CAP_NET_RAW", or the system's error.
    pub reason: String,
    /// The command that grants it, if there is one.
    pub remedy: Option<String>,
}

/// Everything.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// How long was measured, in ns; 0 if nothing was.
    pub window_ns: u64,
    /// The interfaces.
    pub ifaces: Vec<IfaceFacts>,
    /// The interfaces asked for beside those of groups.
    pub asked: Vec<Arc<str>>,
    /// Increase of the kernel's counters of this network namespace during the measurement.
    pub counters: Option<Counters>,
    /// What each processor dropped before IP during the measurement.
    pub softnet: Vec<Softnet>,
    /// UDP sockets of all programs, without our own.
    pub sockets: Option<Vec<UdpSocket>>,
    /// Groups that the host was a member of before the measurement joined any.
    pub members: Option<Vec<Member>>,
    /// The kernel's settings.
    pub settings: Settings,
    /// What kind of host this is.
    pub host: Host,
    /// The packet filter's rules.
    pub rules: Option<Result<Ruleset, Unseen>>,
    /// The groups asked for.
    pub targets: Vec<Target>,
    /// Queries heard, newest last.
    pub queries: Vec<QueryHeard>,
    /// How long queries were listened for, in ns; or why they were not.
    pub listened: Option<Result<u64, Unseen>>,
    /// Seconds east of UTC of the local time, in which findings tell the time of day.
    pub utc_offset_s: i32,
    /// The system is one that the doctor can ask.
    pub supported: bool,
}

impl Facts {
    /// The interface of this name.
    pub fn iface(&self, name: &str) -> Option<&IfaceFacts> {
        self.ifaces.iter().find(|i| &*i.iface.name == name)
    }

    /// The interface of this index.
    pub fn by_index(&self, index: u32) -> Option<&IfaceFacts> {
        self.ifaces.iter().find(|i| i.iface.index == index)
    }

    /// The interface that has this address as its own.
    pub fn owner(&self, ip: IpAddr) -> Option<&IfaceFacts> {
        self.ifaces.iter().find(|i| i.iface.addrs.iter().any(|a| a.ip == ip))
    }

    /// Increase of a counter, as in "Udp InDatagrams".
    pub fn counted(&self, name: &str) -> Option<u64> {
        self.counters.as_ref()?.get(name)
    }
}

/// One interface.
#[derive(Clone, Debug)]
pub struct IfaceFacts {
    /// Name, addresses, kind.
    pub iface: Iface,
    /// What rtnetlink says besides, at the end of the measurement.
    pub details: Option<Details>,
    /// The same at its start.
    pub before: Option<Details>,
    /// Settings of IPv4 for it.
    pub v4: IfaceSettings,
    /// `net.ipv6.conf.IF.disable_ipv6`; `None` where the system has no IPv6.
    pub ipv6_off: Option<bool>,
    /// `force_mld_version`, of this interface.
    pub force_mld: Option<u32>,
    /// A link-local IPv6 address: none, not ready yet (tentative), a duplicate, or usable.
    pub link_local: LinkLocal,
    /// IGMP version that the kernel speaks on it: 1, 2 or 3 (/proc/net/igmp).
    pub igmp_version: Option<u8>,
    /// MLD queries received during the measurement (Icmp6InType130 of /proc/net/dev_snmp6).
    pub mld_queries: Option<u64>,
    /// Losses of its carrier since this host last reported its groups, from whoever watched; `None` if there
    /// were none or nobody did.
    pub unreported: Option<CarrierLosses>,
}

impl IfaceFacts {
    /// Increase of one of its counters during the measurement.
    pub fn counted(&self, which: impl Fn(&crate::net::iface::Stats) -> u64) -> Option<u64> {
        let (after, before) = (self.details.as_ref()?.stats?, self.before.as_ref()?.stats?);
        Some(which(&after).saturating_sub(which(&before)))
    }

    /// Carrier losses during the measurement.
    pub fn losses(&self) -> Option<u32> {
        let (after, before) = (self.details.as_ref()?, self.before.as_ref()?);
        Some(after.carrier_losses?.saturating_sub(before.carrier_losses?))
    }
}

/// Losses of an interface's carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CarrierLosses {
    /// How many.
    pub count: u64,
    /// How long ago the last one was, in ns.
    pub age_ns: u64,
}

/// What is to be expected of a group on a segment where no querier asks, or asks in vain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Why.
    pub why: CutWhy,
    /// When a snooping switch cuts the group, at the earliest; `None` if the last report was before anybody
    /// listened.
    pub at: Option<Wall>,
}

/// Why a cut is to be expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutWhy {
    /// No querier was heard for so long, in ns.
    NoQuerier(u64),
    /// A querier asked so long ago, in ns, and no report of this host followed.
    Unanswered(u64),
}

/// Settings of IPv4 for an interface, or for "all" (/proc/sys/net/ipv4/conf).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IfaceSettings {
    /// Reverse path filter: 0 off, 1 strict, 2 loose.
    pub rp_filter: Option<u32>,
    /// Whether packets from own addresses are accepted.
    pub accept_local: Option<u32>,
    /// IGMP version forced; 0 none.
    pub force_igmp: Option<u32>,
    /// Whether this host routes multicast.
    pub mc_forwarding: Option<u32>,
}

/// State of the link-local address of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LinkLocal {
    /// Not known.
    #[default]
    Unknown,
    /// None.
    Missing,
    /// Being checked for duplicates.
    Tentative,
    /// Another host has it.
    Duplicate,
    /// Usable.
    Ready,
}

/// A processor's share of the softirq backlog (/proc/net/softnet_stat), as increases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Softnet {
    /// Which processor.
    pub cpu: u32,
    /// Packets dropped because the backlog was full.
    pub dropped: u64,
    /// Times that it ran out of time or budget.
    pub squeezed: u64,
}

/// A UDP socket (/proc/net/udp, /proc/net/udp6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpSocket {
    /// What it is bound to.
    pub local: Endpoint,
    /// The user's number.
    pub uid: u32,
    /// The socket's inode.
    pub inode: u64,
    /// Datagrams dropped at its buffer during the measurement.
    pub drops: u64,
    /// Datagrams dropped since it was made.
    pub drops_ever: u64,
    /// Connected to a peer, and so deaf to others.
    pub connected: bool,
    /// Who has it, where that may be known.
    pub program: Option<Process>,
}

impl UdpSocket {
    /// "avahi-daemon (pid 812)", or what is known.
    pub fn owner(&self) -> String {
        match &self.program {
            Some(p) => format!("{} (pid {})", p.name, p.pid),
            None => format!("a program of user {}", self.uid),
        }
    }
}

/// A group that the host is a member of on an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The interface.
    pub iface: Arc<str>,
    /// The group.
    pub group: IpAddr,
    /// Sockets that joined it.
    pub users: u32,
}

/// Settings that are not an interface's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Those of `conf/all`.
    pub all: IfaceSettings,
    /// `force_mld_version` of `conf/all`.
    pub force_mld: Option<u32>,
    /// net.ipv4.igmp_max_memberships.
    pub igmp_max_memberships: Option<u64>,
    /// net.ipv4.igmp_max_msf.
    pub igmp_max_msf: Option<u64>,
    /// net.ipv6.mld_max_msf.
    pub mld_max_msf: Option<u64>,
    /// net.ipv4.igmp_link_local_mcast_reports.
    pub igmp_link_local_reports: Option<u64>,
    /// net.core.optmem_max, in bytes.
    pub optmem_max: Option<u64>,
    /// net.core.rmem_max, in bytes.
    pub rmem_max: Option<u64>,
    /// net.core.rmem_default, in bytes.
    pub rmem_default: Option<u64>,
    /// net.core.netdev_max_backlog, in packets.
    pub netdev_max_backlog: Option<u64>,
    /// net.ipv4.ipfrag_high_thresh, in bytes.
    pub ipfrag_high_thresh: Option<u64>,
    /// net.ipv4.ipfrag_time, in seconds.
    pub ipfrag_time_s: Option<u64>,
    /// Interfaces that multicast is routed by (/proc/net/ip_mr_vif).
    pub multicast_vifs: Option<Vec<String>>,
}

/// What kind of host this is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Host {
    /// What says that this is a container, as in "/.dockerenv".
    pub container: Option<String>,
    /// The kernel is that of Windows Subsystem for Linux.
    pub wsl: bool,
    /// The hypervisor or cloud that the firmware names.
    pub machine: Option<String>,
    /// Whether there is a default route for IPv4.
    pub default_route: Option<bool>,
}

/// A query heard on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryHeard {
    /// The interface.
    pub iface: Arc<str>,
    /// The querier.
    pub from: IpAddr,
    /// Version of IGMP, or of MLD if the querier's address is IPv6.
    pub version: u8,
    /// How often it asks (QQI), in s, where the query says it.
    pub interval_s: Option<u32>,
    /// Within which time hosts answer, in ms.
    pub max_response_ms: u32,
    /// How long ago, in ns.
    pub age_ns: u64,
}

/// A group asked for on an interface, with what came of it.
#[derive(Clone, Debug)]
pub struct Target {
    /// What was joined.
    pub membership: Arc<Membership>,
    /// Whether the user named the interface.
    pub named: bool,
    /// Whether joining worked.
    pub join: Result<(), Refusal>,
    /// Whether the interface's index changed while the group was joined.
    pub moved: bool,
    /// Datagrams that our socket received.
    pub packets: u64,
    /// Where they came from, at most [`SOURCES_MAX`].
    pub sources: Vec<Source>,
    /// Datagrams that our own socket dropped.
    pub drops: u64,
    /// Packets that had come before just so, of [`Wire::told_apart`].
    pub duplicates: u64,
    /// What was on the wire.
    pub wire: Option<Result<Wire, Unseen>>,
    /// Frames to the group and port that were seen on other interfaces, which may be none for want of a
    /// membership there.
    pub elsewhere: Vec<Elsewhere>,
    /// Where the kernel would send to the group, had the program named no interface.
    pub route: Option<Option<Route>>,
    /// How long ago the group was joined when it fell silent, in ns, from whoever watched.
    pub silent_after_ns: Option<u64>,
    /// When a snooping switch will cut it, where somebody listened for long enough to know.
    pub cut: Option<Cut>,
    /// What became of a datagram that this host sent to itself; `None` if none was asked for.
    pub probe: Option<Result<Probe, Unseen>>,
}

/// What became of a self-probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// It came back.
    Returned,
    /// It was sent and did not come back.
    Lost,
    /// The packet filter did not let it out; the system's words.
    Refused(String),
}

/// Frames of a group on an interface where it was not asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Elsewhere {
    /// The interface.
    pub iface: Arc<str>,
    /// The busiest sender.
    pub source: IpAddr,
    /// Frames of all senders.
    pub frames: u64,
}

/// Sources kept of a group.
pub const SOURCES_MAX: usize = 64;

/// A sender that our socket heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Who.
    pub from: Endpoint,
    /// Datagrams.
    pub packets: u64,
    /// TTL or hop limit of the last one.
    pub ttl: Option<u8>,
}

/// Why a group could not be joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What kind of failure.
    pub kind: Kind,
    /// At the port rather than at the group.
    pub at_port: bool,
    /// At the list of sources rather than at the group.
    pub at_sources: bool,
    /// The whole sentence.
    pub text: String,
}

/// What the wire carried for a group during the measurement.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wire {
    /// By sender, port and how it was addressed; at most [`FLOWS_MAX`].
    pub flows: Vec<Flow>,
    /// Frames that were not looked at: the buffer was full, or there were too many flows.
    pub missed: u64,
    /// Packets that can be told from one another, and so from copies of themselves.
    pub told_apart: u64,
    /// Whether a report for the group left this host.
    pub report_left: bool,
    /// PIM hellos heard on the interface.
    pub pim: bool,
}

/// Flows kept of a group.
pub const FLOWS_MAX: usize = 256;

/// Frames of one sender to one port of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flow {
    /// The sender's address.
    pub source: IpAddr,
    /// The port; `None` for a fragment without it.
    pub port: Option<u16>,
    /// Addressed to another station on the link.
    pub elsewhere: bool,
    /// VLAN tag.
    pub vlan: Option<u16>,
    /// Frames.
    pub frames: u64,
    /// Fragments among them.
    pub fragments: u64,
    /// With a wrong UDP checksum, of those that were looked at.
    pub bad_checksum: u64,
    /// With a UDP length beyond the packet.
    pub bad_length: u64,
    /// TTL or hop limit of the last one.
    pub ttl: u8,
    /// The longest packet, in bytes.
    pub longest: usize,
    /// The way back to the sender; `None` inside: there is none.
    pub route_back: Option<Option<Route>>,
}
