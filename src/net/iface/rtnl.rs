//! Messages of NETLINK_ROUTE (rtnetlink(7), linux/rtnetlink.h): bytes to links and addresses.
//!
//! Pure functions over what the kernel wrote. What is cut off or unknown is passed over; nothing
//! panics. Numbers are in host order.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::base::iface::IfaceAddr;

/// Bytes of a `nlmsghdr`, an `ifinfomsg` and an `ifaddrmsg`.
const HEADER: usize = 16;
pub const IFINFO: usize = 16;
const IFADDR: usize = 8;
/// Bytes of a `tcmsg` (linux/rtnetlink.h).
const TCMSG: usize = 20;

/// Attributes (linux/if_link.h, linux/if_addr.h).
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_CARRIER_DOWN_COUNT: u16 = 48;
const IFLA_INFO_KIND: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;

/// One link, as told by RTM_NEWLINK or RTM_DELLINK.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub name: String,
    /// IFF_… flags.
    pub flags: u32,
    /// ARPHRD_… type.
    pub hardware: u16,
    pub driver: Option<String>,
    pub master: Option<u32>,
    pub mtu: Option<u32>,
    pub mac: Option<[u8; 6]>,
    /// How often the carrier was lost (Linux 4.16).
    pub carrier_losses: Option<u32>,
}

/// What one message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A link there is, or that changed.
    NewLink(Link),
    /// A link that is gone.
    DelLink(Link),
    /// An address of the link with this index.
    NewAddr(u32, IfaceAddr),
    /// An address that is gone.
    DelAddr(u32, IfaceAddr),
    /// The end of a dump.
    Done,
    /// An error number, positive; 0 acknowledges.
    Error(i32),
    /// Anything else.
    Other,
}

/// A request to dump all links (`RTM_GETLINK`) or addresses (`RTM_GETADDR`) of both families.
pub fn dump_request(kind: u16, sequence: u32) -> Vec<u8> {
    let body = match kind {
        libc::RTM_GETLINK => IFINFO,
        libc::RTM_GETQDISC => TCMSG,
        _ => IFADDR,
    };
    // AF_UNSPEC and no filter: all zero.
    request(kind, (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16, sequence, &[0; IFINFO + 4][..body])
}

/// A request with this body.
pub fn request(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER + body.len());
    out.extend(((HEADER + body.len()) as u32).to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(flags.to_ne_bytes());
    out.extend(sequence.to_ne_bytes());
    out.extend(0u32.to_ne_bytes());
    out.extend(body);
    out
}

/// The messages of one datagram, and whether the kernel says with one that the dump was torn by a
/// change (NLM_F_DUMP_INTR) and must be asked for again.
pub fn messages(bytes: &[u8]) -> impl Iterator<Item = (Message, bool)> {
    bodies(bytes).map(|(kind, body, torn)| (message_of(kind, body), torn))
}

/// Type and body of each message of one datagram, and whether the dump was torn.
pub fn bodies(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8], bool)> {
    std::iter::from_fn(move || {
        let len = u32_at(rest, 0)? as usize;
        let message = rest.get(..len).filter(|m| m.len() >= HEADER)?;
        let kind = u16_at(message, 4)?;
        let torn = i32::from(u16_at(message, 6)?) & libc::NLM_F_DUMP_INTR != 0;
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, &message[HEADER..], torn))
    })
}

/// What a message of this type and body says.
pub fn message_of(kind: u16, body: &[u8]) -> Message {
    let parsed = match kind {
        libc::RTM_NEWLINK => link(body).map(Message::NewLink),
        libc::RTM_DELLINK => link(body).map(Message::DelLink),
        libc::RTM_NEWADDR => addr(body).map(|(i, a)| Message::NewAddr(i, a)),
        libc::RTM_DELADDR => addr(body).map(|(i, a)| Message::DelAddr(i, a)),
        k if i32::from(k) == libc::NLMSG_DONE => Some(Message::Done),
        k if i32::from(k) == libc::NLMSG_ERROR => {
            u32_at(body, 0).map(|code| Message::Error((code as i32).saturating_neg()))
        }
        _ => None,
    };
    parsed.unwrap_or(Message::Other)
}

fn link(body: &[u8]) -> Option<Link> {
    let mut link = Link {
        hardware: u16_at(body, 2)?,
        index: u32_at(body, 4)?,
        flags: u32_at(body, 8)?,
        ..Link::default()
    };
    for (kind, data) in attributes(body.get(IFINFO..)?) {
        match kind {
            IFLA_IFNAME => link.name = text(data),
            IFLA_MTU => link.mtu = u32_at(data, 0),
            IFLA_CARRIER_DOWN_COUNT => link.carrier_losses = u32_at(data, 0),
            IFLA_MASTER => link.master = u32_at(data, 0).filter(|&m| m != 0),
            IFLA_ADDRESS => {
                link.mac = <[u8; 6]>::try_from(data).ok().filter(|mac| mac.iter().any(|&b| b != 0));
            }
            IFLA_LINKINFO => {
                link.driver = attributes(data).find(|(k, _)| *k == IFLA_INFO_KIND).map(|(_, d)| text(d));
            }
            _ => {}
        }
    }
    Some(link)
}

fn addr(body: &[u8]) -> Option<(u32, IfaceAddr)> {
    let (family, prefix_len) = (*body.first()?, *body.get(1)?);
    let index = u32_at(body, 4)?;
    let (mut local, mut address) = (None, None);
    for (kind, data) in attributes(body.get(IFADDR..)?) {
        match kind {
            IFA_LOCAL => local = ip(family, data),
            IFA_ADDRESS => address = ip(family, data),
            _ => {}
        }
    }
    // On a point-to-point link IFA_ADDRESS is the other end; IPv6 tells IFA_LOCAL only there.
    Some((index, IfaceAddr { ip: local.or(address)?, prefix_len }))
}

/// An address of a family, as an attribute has it.
pub fn ip(family: u8, data: &[u8]) -> Option<IpAddr> {
    match i32::from(family) {
        libc::AF_INET => Some(Ipv4Addr::from(*data.first_chunk::<4>()?).into()),
        libc::AF_INET6 => Some(Ipv6Addr::from(*data.first_chunk::<16>()?).into()),
        _ => None,
    }
}

/// Type and data of each attribute (`rtattr`).
pub fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = usize::from(u16_at(rest, 0)?);
        // The upper two bits are flags (NLA_F_NESTED, NLA_F_NET_BYTEORDER).
        let kind = u16_at(rest, 2)? & 0x3fff;
        let data = rest.get(4..len)?;
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, data))
    })
}

pub fn text(data: &[u8]) -> String {
    let end = data.iter().position(|&b| b == 0).unwrap_or(data.len());
    String::from_utf8_lossy(&data[..end]).into_owned()
}

pub fn u16_at(data: &[u8], at: usize) -> Option<u16> {
    data.get(at..)?.first_chunk().copied().map(u16::from_ne_bytes)
}

pub fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    data.get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, data: &[u8]) -> Vec<u8> {
        let mut out = ((data.len() + 4) as u16).to_ne_bytes().to_vec();
        out.extend(kind.to_ne_bytes());
        out.extend(data);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }

    fn message(kind: u16, flags: u16, body: &[u8]) -> Vec<u8> {
        let mut out = ((body.len() + HEADER) as u32).to_ne_bytes().to_vec();
        out.extend(kind.to_ne_bytes());
        out.extend(flags.to_ne_bytes());
        out.extend([0; 8]);
        out.extend(body);
        out.resize(out.len().next_multiple_of(4), 0);
        out
    }

    fn parse(bytes: &[u8]) -> (Vec<Message>, bool) {
        let (found, torn): (Vec<_>, Vec<_>) = messages(bytes).unzip();
        (found, torn.contains(&true))
    }

    fn new_link() -> Vec<u8> {
        let mut body = vec![0, 0];
        body.extend(1u16.to_ne_bytes());
        body.extend(7u32.to_ne_bytes());
        body.extend(0x1_1003u32.to_ne_bytes());
        body.extend([0; 4]);
        body.extend(attribute(IFLA_IFNAME, b"wg-test\0"));
        body.extend(attribute(IFLA_MTU, &1420u32.to_ne_bytes()));
        body.extend(attribute(IFLA_MASTER, &3u32.to_ne_bytes()));
        body.extend(attribute(IFLA_ADDRESS, &[2, 0, 0, 0, 0, 1]));
        body.extend(attribute(IFLA_CARRIER_DOWN_COUNT, &5u32.to_ne_bytes()));
        body.extend(attribute(99, &[1, 2, 3]));
        let info = [attribute(2, &[0]), attribute(IFLA_INFO_KIND, b"veth\0")].concat();
        body.extend(attribute(IFLA_LINKINFO | 0x8000, &info));
        message(libc::RTM_NEWLINK, 0, &body)
    }

    #[test]
    fn a_link_is_read_with_everything_that_is_used() {
        let expected = Link {
            index: 7,
            name: "wg-test".into(),
            flags: 0x1_1003,
            hardware: 1,
            driver: Some("veth".into()),
            master: Some(3),
            mtu: Some(1420),
            mac: Some([2, 0, 0, 0, 0, 1]),
            carrier_losses: Some(5),
        };
        assert_eq!(parse(&new_link()), (vec![Message::NewLink(expected)], false));
    }

    #[test]
    fn the_local_end_of_a_point_to_point_address_counts() {
        let mut body = vec![libc::AF_INET as u8, 32, 0, 0];
        body.extend(4u32.to_ne_bytes());
        body.extend(attribute(IFA_ADDRESS, &[10, 0, 0, 2]));
        body.extend(attribute(IFA_LOCAL, &[10, 0, 0, 1]));
        let v4 = message(libc::RTM_NEWADDR, 0, &body);
        let mut body = vec![libc::AF_INET6 as u8, 64, 0, 0];
        body.extend(4u32.to_ne_bytes());
        body.extend(attribute(IFA_ADDRESS, &"fe80::1".parse::<Ipv6Addr>().unwrap().octets()));
        let v6 = message(libc::RTM_DELADDR, 0, &body);
        let (found, _) = parse(&[v4, v6].concat());
        assert_eq!(
            found,
            [
                Message::NewAddr(4, IfaceAddr { ip: "10.0.0.1".parse().unwrap(), prefix_len: 32 }),
                Message::DelAddr(4, IfaceAddr { ip: "fe80::1".parse().unwrap(), prefix_len: 64 }),
            ]
        );
    }

    #[test]
    fn the_end_an_error_and_a_torn_dump_are_told() {
        let torn = libc::NLM_F_DUMP_INTR as u16;
        let bytes = [
            message(libc::NLMSG_ERROR as u16, 0, &(-libc::EPERM).to_ne_bytes()),
            message(libc::NLMSG_DONE as u16, torn, &[0; 4]),
        ]
        .concat();
        assert_eq!(parse(&bytes), (vec![Message::Error(libc::EPERM), Message::Done], true));
    }

    #[test]
    fn cut_and_senseless_bytes_never_panic_and_never_loop() {
        let whole = [new_link(), new_link()].concat();
        for cut in 0..whole.len() {
            assert!(parse(&whole[..cut]).0.len() < 2, "cut at {cut}");
        }
        for at in 0..whole.len() {
            for value in [0u8, 1, 0xff] {
                let mut bad = whole.clone();
                bad[at] = value;
                assert!(parse(&bad).0.len() <= whole.len() / HEADER);
            }
        }
    }
}
