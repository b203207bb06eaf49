//! What went wrong at a socket or an interface: the operation, the object, the option, and what a
//! person can do about it.

use std::io;
use std::net::IpAddr;

use thiserror::Error;

use super::sys::errno;
use crate::base::group::Endpoint;
use crate::net::privilege;

/// An operation on a socket or on the list of interfaces that failed.
///
/// It prints as one line with the remedy, as in "cannot join 239.1.1.1 on eth7 (MCAST_JOIN_GROUP): no
/// such device; `mcscope interfaces` lists them". [`NetError::reason`] leaves the remedy out, for
/// where it is shown apart.
#[derive(Debug, Error)]
pub enum NetError {
    /// No socket could be made.
    #[error("cannot open {what}: {}", self.rest())]
    Open {
        /// What was to be opened, as in "an IPv6 socket".
        what: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// A socket option was refused.
    #[error("cannot set {option} for {object}: {}", self.rest())]
    Option {
        /// The option's name, as in `IP_PKTINFO`.
        option: &'static str,
        /// The group or endpoint whose socket it is.
        object: String,
        /// The system's error.
        source: io::Error,
    },
    /// An address or port could not be taken.
    #[error("cannot bind to {at}{on}: {}", self.rest())]
    Bind {
        /// The address and port.
        at: Endpoint,
        /// " on eth0" where the address means something only together with an interface.
        on: String,
        /// The system's error.
        source: io::Error,
    },
    /// A group could not be joined.
    #[error("cannot join {group}{from} on {iface} ({option}): {}", self.rest())]
    Join {
        /// The group.
        group: IpAddr,
        /// " from 10.0.0.1" for a source-specific join.
        from: String,
        /// The interface.
        iface: String,
        /// The option: `MCAST_JOIN_GROUP` or `MCAST_JOIN_SOURCE_GROUP`.
        option: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// One more sender could not be put on the membership's filter: the system's limit is reached.
    #[error("cannot filter {group} on {iface} by {count} sources ({option}): {}", self.rest())]
    TooManySources {
        /// The group.
        group: IpAddr,
        /// The interface.
        iface: String,
        /// How many sources there would be.
        count: usize,
        /// The option that was refused.
        option: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// A sender could not be blocked or unblocked.
    #[error("cannot {verb} {sender} in {group} on {iface} ({option}): {}", self.rest())]
    Filter {
        /// "block" or "unblock".
        verb: &'static str,
        /// The sender.
        sender: IpAddr,
        /// The group.
        group: IpAddr,
        /// The interface.
        iface: String,
        /// The option: `MCAST_BLOCK_SOURCE` or `MCAST_UNBLOCK_SOURCE`.
        option: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// A block was asked for where only named senders are let through.
    #[error("cannot block {sender} in {group} on {iface}: only named sources are let through; {}", self.remedy().unwrap_or_default())]
    BlockInInclude {
        /// The sender.
        sender: IpAddr,
        /// The group.
        group: IpAddr,
        /// The interface.
        iface: String,
    },
    /// Receiving failed.
    #[error("cannot receive from {object}: {}", self.rest())]
    Receive {
        /// The membership or endpoint.
        object: String,
        /// The system's error.
        source: io::Error,
    },
    /// Waiting failed.
    #[error("cannot wait for {object}: {}", self.rest())]
    Wait {
        /// What was waited for.
        object: String,
        /// The system's error.
        source: io::Error,
    },
    /// Sending failed.
    #[error("cannot send {len} bytes to {to} on {iface}: {}", self.rest())]
    Send {
        /// The receiver.
        to: Endpoint,
        /// The interface.
        iface: String,
        /// Bytes of payload.
        len: usize,
        /// The system's error.
        source: io::Error,
    },
    /// The interfaces could not be listed or watched.
    #[error("cannot {what}: {}", self.rest())]
    Interfaces {
        /// "list the interfaces", "watch the interfaces".
        what: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The route to an address could not be asked for.
    #[error("cannot find the route to {to}: {}", self.rest())]
    Route {
        /// The address.
        to: IpAddr,
        /// The system's error.
        source: io::Error,
    },
    /// A packet ring could not be had.
    #[error("cannot open the packet ring on {iface} ({operation}): {}", self.rest())]
    Ring {
        /// The interface.
        iface: String,
        /// What was refused, as in `PACKET_RX_RING`.
        operation: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// The wire cannot be looked at.
    #[error("cannot tap {iface} ({operation}): {}", self.rest())]
    Tap {
        /// The interface.
        iface: String,
        /// What was refused, as in `PACKET_RX_RING`.
        operation: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// This system has no taps.
    #[error("taps exist on Linux only; leave `--wire` and `--no-join` out")]
    NoTap,
    /// This system has no packet ring.
    #[error("the packet ring exists on Linux only; leave `--capture` out")]
    NoRing,
    /// An interface could not be looked at.
    #[error("cannot look at {iface} ({operation}): {}", self.rest())]
    Look {
        /// The interface.
        iface: String,
        /// What was refused, as in "socket AF_PACKET".
        operation: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// This system has no packet sockets.
    #[error("what is on the wire can be looked at on Linux only")]
    NoLook,
    /// A limit of the process could not be read or raised.
    #[error("cannot {what}: {}", self.rest())]
    Limit {
        /// The operation, as in "raise the limit on open files".
        what: &'static str,
        /// The system's error.
        source: io::Error,
    },
}

/// The remedy where a capability was there at the start.
const GIVEN_UP: &str = "it needs a capability that was given up: start again without `--drop-privileges`";

/// What kind of failure it is: for counting failures, and for the remedy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A capability or privilege is missing, or a packet filter refuses.
    NotPermitted,
    /// Somebody holds the port and does not share it.
    InUse,
    /// The interface does not exist, or not any more.
    NoSuchInterface,
    /// No such address on this host, or none that can be sent from.
    NoAddress,
    /// The address family is not available.
    NoFamily,
    /// No route, or the interface is down.
    Unreachable,
    /// A queue is full, or the memory for a membership is used up.
    NoBuffer,
    /// The datagram is too large.
    TooLong,
    /// Too many open files.
    TooManyFiles,
    /// The receiver's host has nobody at that port.
    Refused,
    /// Arguments that the system does not take.
    Invalid,
    /// The system does not know the option.
    NotSupported,
    /// Anything else.
    Other,
}

impl Kind {
    /// What the system's error means.
    pub fn of(error: &io::Error) -> Kind {
        match error.raw_os_error() {
            Some(errno::ACCES | errno::PERM) => Kind::NotPermitted,
            Some(errno::ADDRINUSE) => Kind::InUse,
            Some(errno::NODEV | errno::NXIO) => Kind::NoSuchInterface,
            Some(errno::ADDRNOTAVAIL) => Kind::NoAddress,
            Some(errno::AFNOSUPPORT) => Kind::NoFamily,
            Some(errno::NETUNREACH | errno::HOSTUNREACH | errno::NETDOWN) => Kind::Unreachable,
            Some(errno::NOBUFS | errno::NOMEM) => Kind::NoBuffer,
            Some(errno::MSGSIZE) => Kind::TooLong,
            Some(errno::MFILE | errno::NFILE) => Kind::TooManyFiles,
            Some(errno::CONNREFUSED) => Kind::Refused,
            Some(errno::INVAL) => Kind::Invalid,
            Some(errno::NOPROTOOPT) => Kind::NotSupported,
            // A send buffer that stays full.
            _ if error.kind() == io::ErrorKind::WouldBlock => Kind::NoBuffer,
            _ => Kind::Other,
        }
    }

    /// The words shown for it.
    pub fn word(self) -> &'static str {
        match self {
            Kind::NotPermitted => "not permitted",
            Kind::InUse => "port in use",
            Kind::NoSuchInterface => "no such interface",
            Kind::NoAddress => "no usable address",
            Kind::NoFamily => "address family unavailable",
            Kind::Unreachable => "unreachable",
            Kind::NoBuffer => "no buffer space",
            Kind::TooLong => "too long",
            Kind::TooManyFiles => "too many open files",
            Kind::Refused => "refused",
            Kind::Invalid => "invalid",
            Kind::NotSupported => "not supported",
            Kind::Other => "other",
        }
    }
}

impl NetError {
    /// What kind of failure it is.
    pub fn kind(&self) -> Kind {
        self.cause().map_or(Kind::Invalid, Kind::of)
    }

    /// The line without the remedy.
    pub fn reason(&self) -> String {
        let whole = self.to_string();
        match self.remedy() {
            Some(remedy) => whole.strip_suffix(&format!("; {remedy}")).map_or(whole.clone(), str::to_owned),
            None => whole,
        }
    }

    /// What can be done about it, where something is known: a command or a setting.
    pub fn remedy(&self) -> Option<String> {
        let linux = cfg!(target_os = "linux");
        match (self, self.kind()) {
            (NetError::BlockInInclude { sender, .. }, _) => {
                Some(format!("join the group again without {sender}"))
            }
            (NetError::NoRing, _) => Some("leave `--capture` out".into()),
            (NetError::Ring { .. } | NetError::Look { .. }, Kind::NotPermitted) if privilege::given_up() => {
                Some(GIVEN_UP.into())
            }
            (NetError::Look { .. }, Kind::NotPermitted) => {
                Some(format!("it needs a capability: `sudo setcap cap_net_raw+ep {}`", this_program()))
            }
            (NetError::Bind { at, .. }, Kind::NotPermitted)
                if linux && at.port != 0 && privilege::given_up() =>
            {
                Some(GIVEN_UP.into())
            }
            (NetError::Tap { .. }, Kind::NotPermitted) if privilege::given_up() => Some(GIVEN_UP.into()),
            (NetError::NoTap, _) => Some("leave `--wire` and `--no-join` out".into()),
            (NetError::Tap { .. }, Kind::NotPermitted) => {
                Some(format!("it needs a capability: `sudo setcap cap_net_raw=ep {}`", this_program()))
            }
            (NetError::Ring { .. }, Kind::NotPermitted) => Some(format!(
                "it needs a capability: `sudo setcap cap_net_raw+ep {}`; without it, leave `--capture` out",
                this_program()
            )),
            (NetError::Ring { .. } | NetError::Tap { .. }, Kind::NoBuffer) => {
                Some("ask for a smaller ring with `--rcvbuf`, as in `--rcvbuf 2MiB`".into())
            }
            (_, Kind::TooManyFiles) => Some(if cfg!(unix) {
                "`ulimit -n` shows the limit on open files; raise its hard limit (`ulimit -Hn`)".into()
            } else {
                "close other programs".into()
            }),
            (_, Kind::NoFamily) if linux => {
                Some("IPv6 is switched off here: `sysctl net.ipv6.conf.all.disable_ipv6`".into())
            }
            (NetError::Bind { at, .. }, Kind::NotPermitted) if linux && at.port != 0 => Some(format!(
                "ports below {} need a capability: `sudo setcap cap_net_bind_service+ep {}`",
                unprivileged_port_start(),
                this_program()
            )),
            (NetError::Bind { .. }, Kind::NotPermitted) if cfg!(windows) => {
                Some("another program holds the port for itself alone (SO_EXCLUSIVEADDRUSE)".into())
            }
            (NetError::Bind { at, .. }, Kind::InUse) => Some(if linux {
                format!(
                    "another program holds port {0} unshared; `sudo ss -ulpn sport = :{0}` shows which",
                    at.port
                )
            } else if cfg!(windows) {
                format!(
                    "another program holds the port unshared; `netstat -ano -p UDP` shows who has :{}",
                    at.port
                )
            } else {
                format!(
                    "another program holds the port unshared; `sudo lsof -nP -iUDP:{}` shows which",
                    at.port
                )
            }),
            (NetError::Bind { .. }, Kind::NoAddress) => {
                Some("`mcscope interfaces` lists the addresses of this host".into())
            }
            (
                NetError::Join { .. } | NetError::Send { .. } | NetError::Bind { .. },
                Kind::NoSuchInterface,
            )
            | (NetError::Option { option: "IP_MULTICAST_IF" | "IPV6_MULTICAST_IF", .. }, _) => {
                Some("`mcscope interfaces` lists them".into())
            }
            (NetError::Join { group, .. }, Kind::NoBuffer) if linux => Some(if group.is_ipv4() {
                "more memberships a socket: `sudo sysctl -w net.ipv4.igmp_max_memberships=20`; more memory for \
                 them: `sudo sysctl -w net.core.optmem_max=131072`"
                    .into()
            } else {
                "more memory for memberships: `sudo sysctl -w net.core.optmem_max=131072`".into()
            }),
            (NetError::TooManySources { group, count, .. }, _) if linux => Some(format!(
                "`sudo sysctl -w {}={count}` allows them",
                if group.is_ipv4() { "net.ipv4.igmp_max_msf" } else { "net.ipv6.mld_max_msf" }
            )),
            (NetError::Send { iface, to, .. }, Kind::Unreachable)
                if linux && to.ip.is_ipv6() && iface == "lo" =>
            {
                Some("Linux has no route for IPv6 multicast there: `sudo ip -6 route add ff00::/8 dev lo table local`".into())
            }
            (NetError::Send { iface, to, .. }, Kind::Unreachable) => Some(if linux {
                format!(
                    "is {iface} up, with an address? `ip address show {iface}`; which way? `ip route get {}`",
                    to.ip
                )
            } else {
                format!("check that {iface} is up and has an address")
            }),
            (NetError::Send { .. }, Kind::NotPermitted) => Some(if linux {
                "a packet filter refuses it: `sudo nft list ruleset` (hook output)".into()
            } else {
                "a packet filter refuses it".into()
            }),
            (NetError::Send { iface, to, .. }, Kind::NoAddress) => Some(format!(
                "{iface} has no usable {} address; `mcscope interfaces` lists them",
                if to.ip.is_ipv4() { "IPv4" } else { "IPv6" }
            )),
            (NetError::Send { .. }, Kind::NoBuffer) => {
                Some("the interface cannot keep up; send at a lower rate".into())
            }
            (NetError::Send { to, .. }, Kind::TooLong) => Some(format!(
                "a datagram carries at most {} bytes of payload",
                if to.ip.is_ipv4() { 65_507 } else { 65_527 }
            )),
            (NetError::Send { .. }, Kind::Refused) => Some("nobody listens at that port".into()),
            _ => None,
        }
    }

    fn cause(&self) -> Option<&io::Error> {
        match self {
            NetError::Open { source, .. }
            | NetError::Option { source, .. }
            | NetError::Bind { source, .. }
            | NetError::Join { source, .. }
            | NetError::TooManySources { source, .. }
            | NetError::Filter { source, .. }
            | NetError::Receive { source, .. }
            | NetError::Wait { source, .. }
            | NetError::Send { source, .. }
            | NetError::Interfaces { source, .. }
            | NetError::Ring { source, .. }
            | NetError::Route { source, .. }
            | NetError::Look { source, .. }
            | NetError::Tap { source, .. }
            | NetError::Limit { source, .. } => Some(source),
            NetError::BlockInInclude { .. } | NetError::NoRing | NetError::NoLook | NetError::NoTap => None,
        }
    }

    /// The system's words and the remedy.
    fn rest(&self) -> String {
        let words = self.cause().map(words).unwrap_or_default();
        match self.remedy() {
            Some(remedy) => format!("{words}; {remedy}"),
            None => words,
        }
    }
}

/// The system's words for an error, as part of a sentence: "no such device".
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.rfind(" (os error ").map_or(&text[..], |at| &text[..at]);
    let mut chars = text.trim_end_matches('.').chars();
    match chars.next() {
        // Not the first letter of an abbreviation.
        Some(first) if !chars.as_str().starts_with(char::is_uppercase) => {
            first.to_lowercase().chain(chars).collect()
        }
        Some(first) => std::iter::once(first).chain(chars).collect(),
        None => String::new(),
    }
}

/// The program's own file, for the command that grants it a capability.
pub fn this_program() -> String {
    std::env::current_exe().map_or_else(|_| "mcscope".into(), |path| path.display().to_string())
}

fn unprivileged_port_start() -> u16 {
    std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start")
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    fn join(code: i32) -> NetError {
        NetError::Join {
            group: "239.1.1.1".parse().unwrap(),
            from: String::new(),
            iface: "eth7".into(),
            option: "MCAST_JOIN_GROUP",
            source: io::Error::from_raw_os_error(code),
        }
    }

    fn send(code: i32, to: &str) -> NetError {
        NetError::Send {
            to: to.parse::<std::net::SocketAddr>().unwrap().into(),
            iface: "eth0".into(),
            len: 70_000,
            source: io::Error::from_raw_os_error(code),
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_failed_join_reads_as_the_design_has_it() {
        let e = join(errno::NODEV);
        assert_eq!(
            e.to_string(),
            "cannot join 239.1.1.1 on eth7 (MCAST_JOIN_GROUP): no such device; `mcscope interfaces` lists them"
        );
        assert_eq!(e.reason(), "cannot join 239.1.1.1 on eth7 (MCAST_JOIN_GROUP): no such device");
        assert_eq!(e.kind(), Kind::NoSuchInterface);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn remedies_name_the_setting_that_helps() {
        assert!(join(errno::NOBUFS).remedy().unwrap().contains("net.ipv4.igmp_max_memberships"));
        assert!(join(errno::NOMEM).remedy().unwrap().contains("net.core.optmem_max"));
        assert!(join(errno::MFILE).remedy().unwrap().contains("ulimit -n"));
        let bind = |code| NetError::Bind {
            at: Endpoint::new("224.0.1.129".parse().unwrap(), 319),
            on: String::new(),
            source: io::Error::from_raw_os_error(code),
        };
        assert!(bind(errno::ACCES).remedy().unwrap().contains("setcap cap_net_bind_service+ep /"));
        assert!(bind(errno::ADDRINUSE).remedy().unwrap().contains("ss -ulpn sport = :319"));
        let filter = NetError::TooManySources {
            group: "232.1.1.1".parse().unwrap(),
            iface: "eth0".into(),
            count: 11,
            option: "MCAST_JOIN_SOURCE_GROUP",
            source: io::Error::from_raw_os_error(errno::NOBUFS),
        };
        assert!(filter.remedy().unwrap().contains("net.ipv4.igmp_max_msf=11"));
    }

    #[test]
    fn send_errors_have_a_kind_and_a_remedy_each() {
        for (code, kind) in [
            (errno::NETUNREACH, Kind::Unreachable),
            (errno::PERM, Kind::NotPermitted),
            (errno::ADDRNOTAVAIL, Kind::NoAddress),
            (errno::NOBUFS, Kind::NoBuffer),
            (errno::MSGSIZE, Kind::TooLong),
            (errno::CONNREFUSED, Kind::Refused),
        ] {
            let e = send(code, "[ff02::1]:9");
            assert_eq!(e.kind(), kind, "{e}");
            assert!(e.remedy().is_some(), "{e}");
        }
        assert!(send(errno::MSGSIZE, "239.1.1.1:9").to_string().contains("65507"));
        assert!(send(errno::MSGSIZE, "[ff02::1]:9").to_string().contains("65527"));
    }

    #[test]
    fn an_abbreviation_keeps_its_capitals() {
        assert_eq!(words(&io::Error::other("RTNETLINK says no.")), "RTNETLINK says no");
        assert_eq!(words(&io::Error::other("Permission denied (os error 13)")), "permission denied");
        assert_eq!(words(&io::Error::other("")), "");
    }
}
