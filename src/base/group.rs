//! Multicast addresses, endpoints and memberships: who is meant when a row of the table is named.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::sync::Arc;

/// A sender or receiver: address and UDP port. IPv6 zones are not part of it: a membership has one
/// interface, which settles the zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// The address.
    pub ip: IpAddr,
    /// The UDP port.
    pub port: u16,
}

impl Endpoint {
    /// An endpoint from its parts.
    pub fn new(ip: IpAddr, port: u16) -> Self {
        Endpoint { ip, port }
    }

    /// The socket address to send to; `ifindex` becomes the zone of a link-local IPv6 address.
    pub fn to_socket_addr(self, ifindex: u32) -> SocketAddr {
        match self.ip {
            IpAddr::V4(ip) => SocketAddr::V4(SocketAddrV4::new(ip, self.port)),
            IpAddr::V6(ip) => {
                let zone = if needs_zone(ip) { ifindex } else { 0 };
                SocketAddr::V6(SocketAddrV6::new(ip, self.port, 0, zone))
            }
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(addr: SocketAddr) -> Self {
        Endpoint { ip: addr.ip(), port: addr.port() }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            IpAddr::V4(ip) => write!(f, "{ip}:{}", self.port),
            IpAddr::V6(ip) => write!(f, "[{ip}]:{}", self.port),
        }
    }
}

/// Whether an address only means something together with an interface: link-local unicast, and
/// multicast of interface-local or link-local scope (RFC 4007, RFC 4291 section 2.7).
pub fn needs_zone(ip: Ipv6Addr) -> bool {
    let o = ip.octets();
    (o[0] == 0xfe && o[1] & 0xc0 == 0x80) || (o[0] == 0xff && matches!(o[1] & 0x0f, 1 | 2))
}

/// Whether a group lies in a range set aside for source-specific multicast: 232/8 (RFC 4607) or
/// ff3x::/32 (RFC 4607 section 1).
pub fn is_ssm(group: IpAddr) -> bool {
    match group {
        IpAddr::V4(ip) => ip.octets()[0] == 232,
        IpAddr::V6(ip) => {
            let s = ip.segments();
            s[0] & 0xfff0 == 0xff30 && s[1] == 0
        }
    }
}

/// Which senders a membership lets through (RFC 3376 section 3).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SourceFilter {
    /// Everybody: EXCLUDE of nothing.
    #[default]
    Any,
    /// Only these senders: a source-specific join.
    Include(Vec<IpAddr>),
    /// Everybody but these senders.
    Exclude(Vec<IpAddr>),
}

impl SourceFilter {
    /// Whether a datagram of this sender passes.
    pub fn passes(&self, source: IpAddr) -> bool {
        match self {
            SourceFilter::Any => true,
            SourceFilter::Include(list) => list.contains(&source),
            SourceFilter::Exclude(list) => !list.contains(&source),
        }
    }

    /// The sources listed, none for [`SourceFilter::Any`].
    pub fn sources(&self) -> &[IpAddr] {
        match self {
            SourceFilter::Any => &[],
            SourceFilter::Include(list) | SourceFilter::Exclude(list) => list,
        }
    }
}

impl SourceFilter {
    /// Only this sender.
    pub fn only(source: IpAddr) -> SourceFilter {
        SourceFilter::Include(vec![source])
    }

    /// The filter that keeps out a sender that this one lets through, or lets through one that it keeps
    /// out; `None` where nobody would be left.
    pub fn toggled(&self, source: IpAddr) -> Option<SourceFilter> {
        let with = |list: &[IpAddr]| list.iter().copied().chain([source]).collect();
        let without = |list: &[IpAddr]| list.iter().copied().filter(|a| *a != source).collect::<Vec<_>>();
        match self {
            SourceFilter::Any => Some(SourceFilter::Exclude(vec![source])),
            SourceFilter::Exclude(list) if !list.contains(&source) => Some(SourceFilter::Exclude(with(list))),
            SourceFilter::Exclude(list) if list.len() == 1 => Some(SourceFilter::Any),
            SourceFilter::Exclude(list) => Some(SourceFilter::Exclude(without(list))),
            SourceFilter::Include(list) if !list.contains(&source) => Some(SourceFilter::Include(with(list))),
            SourceFilter::Include(list) if list.len() == 1 => None,
            SourceFilter::Include(list) => Some(SourceFilter::Include(without(list))),
        }
    }
}

impl fmt::Display for SourceFilter {
    /// In words: `everybody`, `only 10.1.2.20`, `everybody but 10.1.2.20 and 2 more`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SourceFilter::Any | SourceFilter::Exclude(_) => "everybody",
            SourceFilter::Include(_) => "only",
        })?;
        let (first, more) = match self.sources() {
            [] => return Ok(()),
            [first, more @ ..] => (first, more.len()),
        };
        f.write_str(if matches!(self, SourceFilter::Exclude(_)) { " but " } else { " " })?;
        write!(f, "{first}")?;
        if more > 0 { write!(f, " and {more} more") } else { Ok(()) }
    }
}

/// The number of a row for as long as the program runs; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MembershipId(pub u32);

impl MembershipId {
    /// From this number on a row is no membership, but a group that a tap sees on the wire.
    pub const WIRE: u32 = 1 << 31;

    /// Whether it is the number of a group that is seen on the wire and not joined.
    pub fn is_wire(self) -> bool {
        self.0 >= Self::WIRE
    }
}

/// What one row of the groups table joins: a group and port on one interface, with its filter.
///
/// The interface is known by name: its index changes when it is made anew.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Membership {
    /// The multicast address.
    pub group: IpAddr,
    /// The UDP port.
    pub port: u16,
    /// The interface's name.
    pub iface: Arc<str>,
    /// Which senders are let through.
    pub filter: SourceFilter,
}

impl Membership {
    /// Group and port as an endpoint.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint { ip: self.group, port: self.port }
    }
}

impl fmt::Display for Membership {
    /// Group specs grammar: `10.1.2.20@232.1.1.1%eth0:5004`, `[ff02::fb%eth0]:5353`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let SourceFilter::Include(sources) = &self.filter {
            for (i, s) in sources.iter().enumerate() {
                write!(f, "{}{s}", if i > 0 { "," } else { "" })?;
            }
            f.write_str("@")?;
        }
        match self.group {
            IpAddr::V4(ip) => write!(f, "{ip}%{}:{}", self.iface, self.port),
            IpAddr::V6(ip) => write!(f, "[{ip}%{}]:{}", self.iface, self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssm_ranges_are_those_of_rfc_4607() {
        for (text, ssm) in [
            ("232.0.0.0", true),
            ("232.255.255.255", true),
            ("233.0.0.1", false),
            ("ff3e::1234", true),
            ("ff32::1", true),
            ("ff3e:20:1::1", false),
            ("ff0e::1", false),
        ] {
            assert_eq!(is_ssm(text.parse().unwrap()), ssm, "{text}");
        }
    }

    #[test]
    fn only_link_scope_needs_a_zone() {
        for (text, zone) in [
            ("ff02::fb", true),
            ("ff12::1", true),
            ("ff01::1", true),
            ("ff05::2", false),
            ("fe80::1", true),
            ("fd00::1", false),
        ] {
            assert_eq!(needs_zone(text.parse().unwrap()), zone, "{text}");
        }
    }

    #[test]
    fn a_membership_reads_back_as_its_spec() {
        let m = Membership {
            group: "ff02::fb".parse().unwrap(),
            port: 5353,
            iface: "eth0".into(),
            filter: SourceFilter::Any,
        };
        assert_eq!(m.to_string(), "[ff02::fb%eth0]:5353");
        let m = Membership {
            group: "232.1.1.1".parse().unwrap(),
            port: 5004,
            iface: "eth0".into(),
            filter: SourceFilter::Include(vec!["10.1.2.20".parse().unwrap()]),
        };
        assert_eq!(m.to_string(), "10.1.2.20@232.1.1.1%eth0:5004");
    }

    #[test]
    fn a_toggled_filter_turns_one_sender_around_and_never_keeps_everybody_out() {
        let a: IpAddr = "10.0.0.1".parse().unwrap();
        let b: IpAddr = "10.0.0.2".parse().unwrap();
        let filters = [
            SourceFilter::Any,
            SourceFilter::Exclude(vec![a]),
            SourceFilter::Exclude(vec![a, b]),
            SourceFilter::only(b),
            SourceFilter::Include(vec![a, b]),
        ];
        for f in filters {
            let t = f.toggled(a).unwrap();
            assert_eq!((t.passes(a), t.passes(b)), (!f.passes(a), f.passes(b)), "{f}");
            // And back again, to what lets the same through.
            assert_eq!(t.toggled(a).map(|u| u.passes(a)), Some(f.passes(a)), "{f}");
        }
        assert_eq!(SourceFilter::only(a).toggled(a), None);
        let words = |f: SourceFilter| f.to_string();
        assert_eq!(words(SourceFilter::Any), "everybody");
        assert_eq!(words(SourceFilter::only(a)), "only 10.0.0.1");
        assert_eq!(words(SourceFilter::Exclude(vec![a, b])), "everybody but 10.0.0.1 and 1 more");
    }

    #[test]
    fn filters_pass_what_they_say() {
        let a: IpAddr = "10.0.0.1".parse().unwrap();
        let b: IpAddr = "10.0.0.2".parse().unwrap();
        assert!(SourceFilter::Any.passes(a));
        assert!(SourceFilter::Include(vec![a]).passes(a) && !SourceFilter::Include(vec![a]).passes(b));
        assert!(!SourceFilter::Exclude(vec![a]).passes(a) && SourceFilter::Exclude(vec![a]).passes(b));
    }
}
