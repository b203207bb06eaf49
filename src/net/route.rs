//! The way to an address, as the kernel would choose it: RTM_GETROUTE, what `ip route get` asks.

use std::net::IpAddr;

use super::error::NetError;

/// What the routing table says of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The index of the interface that packets to it leave by; 0 if there is none.
    pub ifindex: u32,
    /// The address is this host's own.
    pub local: bool,
    /// The next router, if it is not on the link.
    pub gateway: Option<IpAddr>,
    /// The source address that would be used.
    pub source: Option<IpAddr>,
}

/// The route to an address; `None` when there is none.
///
/// # Errors
/// When the system cannot be asked. Only Linux can.
pub fn to(address: IpAddr) -> Result<Option<Route>, NetError> {
    imp::to(address).map_err(|source| NetError::Route { to: address, source })
}

#[cfg(target_os = "linux")]
mod imp {
    use std::io::{self, Read};
    use std::net::IpAddr;

    use super::Route;
    use crate::net::iface::rtnl;

    /// Bytes of an `rtmsg` (linux/rtnetlink.h).
    const RTMSG: usize = 12;
    /// Attributes of a route.
    const RTA_DST: u16 = 1;
    const RTA_OIF: u16 = 4;
    const RTA_GATEWAY: u16 = 5;
    const RTA_PREFSRC: u16 = 7;
    /// Types of a route.
    const RTN_LOCAL: u8 = 2;
    const RTN_BLACKHOLE: u8 = 6;
    const RTN_PROHIBIT: u8 = 8;

    pub fn to(address: IpAddr) -> io::Result<Option<Route>> {
        let socket = crate::net::iface::route_socket()?;
        socket.send(&request(address))?;
        let mut buffer = [0; 4096];
        let len = (&socket).read(&mut buffer)?;
        let answer = rtnl::bodies(&buffer[..len]).next();
        let (kind, body, _) = answer.ok_or_else(|| io::Error::other("an answer without a message"))?;
        match rtnl::message_of(kind, body) {
            // No route, or one that refuses (EINVAL is what a blackhole answers).
            rtnl::Message::Error(
                libc::ENETUNREACH | libc::EHOSTUNREACH | libc::EACCES | libc::EINVAL | libc::ENETDOWN,
            ) => Ok(None),
            rtnl::Message::Error(code) => Err(io::Error::from_raw_os_error(code)),
            _ => Ok(route(body)),
        }
    }

    fn request(address: IpAddr) -> Vec<u8> {
        let (family, bytes) = match address {
            IpAddr::V4(ip) => (libc::AF_INET, ip.octets().to_vec()),
            IpAddr::V6(ip) => (libc::AF_INET6, ip.octets().to_vec()),
        };
        let mut body = vec![0; RTMSG];
        (body[0], body[1]) = (family as u8, bytes.len() as u8 * 8);
        body.extend((bytes.len() as u16 + 4).to_ne_bytes());
        body.extend(RTA_DST.to_ne_bytes());
        body.extend(bytes);
        rtnl::request(libc::RTM_GETROUTE, libc::NLM_F_REQUEST as u16, 1, &body)
    }

    pub fn route(body: &[u8]) -> Option<Route> {
        let (family, kind) = (*body.first()?, *body.get(7)?);
        if (RTN_BLACKHOLE..=RTN_PROHIBIT).contains(&kind) {
            return None;
        }
        let mut route = Route { ifindex: 0, local: kind == RTN_LOCAL, gateway: None, source: None };
        for (attribute, data) in rtnl::attributes(body.get(RTMSG..)?) {
            match attribute {
                RTA_OIF => route.ifindex = rtnl::u32_at(data, 0)?,
                RTA_GATEWAY => route.gateway = rtnl::ip(family, data),
                RTA_PREFSRC => route.source = rtnl::ip(family, data),
                _ => {}
            }
        }
        Some(route)
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use std::io;
    use std::net::IpAddr;

    use super::Route;

    pub fn to(_: IpAddr) -> io::Result<Option<Route>> {
        Err(io::Error::new(io::ErrorKind::Unsupported, "routes are asked for on Linux only"))
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_address_is_the_hosts_own() {
        let route = to("127.0.0.1".parse().unwrap()).unwrap().expect("a route to 127.0.0.1");
        assert!(route.local && route.ifindex == 1, "{route:?}");
    }

    #[test]
    fn a_route_that_refuses_is_none() {
        let mut body = [0; 12];
        body[0] = libc::AF_INET as u8;
        for (kind, is_route) in [(1, true), (2, true), (6, false), (7, false), (8, false)] {
            body[7] = kind;
            assert_eq!(imp::route(&body).is_some(), is_route, "type {kind}");
        }
    }
}
