//! Linux: a dump by netlink, and its announcements.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::Change;
use super::details::{self, Details};
use super::kind::Facts;
use super::rtnl::{self, Link, Message};
use crate::base::iface::{Iface, IfaceAddr, IfaceKind};
use crate::net::error::NetError;
use crate::net::sys;
use crate::net::wake::{self, Waker};

/// Bytes of one netlink datagram at most: the kernel fills dumps up to 32 KiB.
const BUFFER: usize = 64 * 1024;

/// How often a dump is asked for again that a change has torn.
const TRIES: usize = 10;

/// Datagrams of one dump at most.
const DATAGRAMS: usize = 100_000;

const IFF_UP: u32 = libc::IFF_UP as u32;
const IFF_LOOPBACK: u32 = libc::IFF_LOOPBACK as u32;
const IFF_POINTOPOINT: u32 = libc::IFF_POINTOPOINT as u32;
const IFF_MULTICAST: u32 = libc::IFF_MULTICAST as u32;
const IFF_LOWER_UP: u32 = libc::IFF_LOWER_UP as u32;

const LIST: &str = "list the interfaces";
const WATCH: &str = "watch the interfaces";

pub fn list() -> Result<Vec<Iface>, NetError> {
    try_list().map_err(|source| NetError::Interfaces { what: LIST, source })
}

fn try_list() -> io::Result<Vec<Iface>> {
    let (links, addrs) = dump_all()?;
    Ok(ifaces(&links, &addrs, is_wireless))
}

/// All links, and all addresses with the index of their link.
type Dump = (Vec<Link>, Vec<(u32, IfaceAddr)>);

fn dump_all() -> io::Result<Dump> {
    let socket = route_socket()?;
    let mut buffer = vec![0; BUFFER];
    for _ in 0..TRIES {
        let mut links = Vec::new();
        let mut addrs = Vec::new();
        let whole = dump(&socket, &mut buffer, libc::RTM_GETLINK, |message| {
            if let Message::NewLink(link) = message {
                links.push(link);
            }
        })? && dump(&socket, &mut buffer, libc::RTM_GETADDR, |message| {
            if let Message::NewAddr(index, addr) = message {
                addrs.push((index, addr));
            }
        })?;
        if whole {
            return Ok((links, addrs));
        }
    }
    Err(io::Error::new(io::ErrorKind::Interrupted, "they keep changing"))
}

pub fn details() -> Result<Vec<Details>, NetError> {
    try_details().map_err(|source| NetError::Interfaces { what: LIST, source })
}

fn try_details() -> io::Result<Vec<Details>> {
    let socket = route_socket()?;
    let mut buffer = vec![0; BUFFER];
    for _ in 0..TRIES {
        let mut links: Vec<Details> = Vec::new();
        let whole = dump_bodies(&socket, &mut buffer, libc::RTM_GETLINK, |kind, body| {
            if kind == libc::RTM_NEWLINK {
                links.extend(details::link(body));
            }
        })? && dump_bodies(&socket, &mut buffer, libc::RTM_GETQDISC, |kind, body| {
            if kind == libc::RTM_NEWQDISC
                && let Some((index, qdisc)) = details::ingress(body)
                && let Some(link) = links.iter_mut().find(|l| l.index == index)
            {
                link.ingress = Some(qdisc);
            }
        })?;
        if whole {
            links.sort_by_key(|l| l.index);
            return Ok(links);
        }
    }
    Err(io::Error::new(io::ErrorKind::Interrupted, "they keep changing"))
}

/// A socket to ask NETLINK_ROUTE by.
pub fn route_socket() -> io::Result<Socket> {
    let socket =
        Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, Some(Protocol::from(libc::NETLINK_ROUTE)))?;
    // The kernel answers at once; this only bounds the wait should it not.
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    Ok(socket)
}

/// Asks for one dump and takes its answer. Whether it is whole.
fn dump(socket: &Socket, buffer: &mut [u8], kind: u16, mut each: impl FnMut(Message)) -> io::Result<bool> {
    dump_bodies(socket, buffer, kind, |kind, body| each(rtnl::message_of(kind, body)))
}

/// The same, by type and body.
fn dump_bodies(
    socket: &Socket,
    buffer: &mut [u8],
    kind: u16,
    mut each: impl FnMut(u16, &[u8]),
) -> io::Result<bool> {
    socket.send(&rtnl::dump_request(kind, 1))?;
    let mut torn = false;
    for _ in 0..DATAGRAMS {
        let len = (&*socket).read(buffer)?;
        for (kind, body, tears) in rtnl::bodies(&buffer[..len]) {
            torn |= tears;
            match i32::from(kind) {
                libc::NLMSG_DONE => return Ok(!torn),
                libc::NLMSG_ERROR => match rtnl::message_of(kind, body) {
                    Message::Error(code) if code != 0 => return Err(io::Error::from_raw_os_error(code)),
                    _ => {}
                },
                _ => each(kind, body),
            }
        }
    }
    Err(io::Error::other("the list does not end"))
}

/// Puts links and addresses together, by index.
fn ifaces(links: &[Link], addrs: &[(u32, IfaceAddr)], is_wireless: impl Fn(&Link) -> bool) -> Vec<Iface> {
    let mut out: Vec<Iface> = links
        .iter()
        .map(|link| {
            let kind = Facts {
                name: &link.name,
                driver: link.driver.as_deref(),
                hardware: link.hardware,
                loopback: link.flags & IFF_LOOPBACK != 0,
                point_to_point: link.flags & IFF_POINTOPOINT != 0,
                wireless: is_wireless(link),
            }
            .kind();
            Iface {
                index: link.index,
                name: link.name.as_str().into(),
                up: link.flags & IFF_UP != 0,
                carrier: Some(link.flags & IFF_LOWER_UP != 0),
                multicast: link.flags & IFF_MULTICAST != 0,
                kind,
                master: master(links, link),
                mtu: link.mtu,
                mac: link.mac.filter(|_| kind != IfaceKind::Loopback),
                addrs: addrs.iter().filter(|(i, _)| *i == link.index).map(|(_, a)| *a).collect(),
            }
        })
        .collect();
    out.sort_by_key(|i| i.index);
    out
}

/// The bridge or bond that takes a link's frames. A VRF is a master too, but only sets the routing
/// table: the link itself stays the one to join on.
fn master(links: &[Link], link: &Link) -> Option<Arc<str>> {
    let index = link.master?;
    match links.iter().find(|l| l.index == index) {
        Some(master) if master.driver.as_deref() == Some("vrf") => None,
        Some(master) => Some(master.name.as_str().into()),
        None => Some(format!("interface {index}").into()),
    }
}

/// Whether a link is IEEE 802.11, which netlink does not say. /sys does, but may show another
/// network namespace: it is believed only where index and hardware address agree.
fn is_wireless(link: &Link) -> bool {
    if link.driver.is_some() || link.name.contains('/') {
        return false;
    }
    let dir = format!("/sys/class/net/{}", link.name);
    let read = |file: &str| fs::read_to_string(format!("{dir}/{file}")).unwrap_or_default();
    let mac = link.mac.unwrap_or_default().map(|b| format!("{b:02x}")).join(":");
    read("ifindex").trim() == link.index.to_string()
        && read("address").trim() == mac
        && (fs::exists(format!("{dir}/phy80211")).unwrap_or(false)
            || fs::exists(format!("{dir}/wireless")).unwrap_or(false)
            || read("uevent").lines().any(|line| line == "DEVTYPE=wlan"))
}

/// A netlink socket in the groups for links and addresses.
pub struct Watch {
    socket: OwnedFd,
    buffer: Box<[u8]>,
    losses: Losses,
}

/// How often each link has lost its carrier, by index. A loss that is over within a second may be
/// announced only once it is over (net/core/link_watch.c); the count tells it all the same.
type Losses = HashMap<u32, u32>;

impl Watch {
    pub fn open() -> Result<Watch, NetError> {
        let failed = |source| NetError::Interfaces { what: WATCH, source };
        // SAFETY: the call takes no pointers.
        let fd = unsafe {
            libc::socket(
                libc::AF_NETLINK,
                libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK,
                libc::NETLINK_ROUTE,
            )
        };
        if fd < 0 {
            return Err(failed(io::Error::last_os_error()));
        }
        // SAFETY: the descriptor was just made and belongs to nobody else.
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: an address of zeros is valid: the kernel chooses the port id.
        let mut addr: libc::sockaddr_nl = unsafe { std::mem::zeroed() };
        addr.nl_family = libc::AF_NETLINK as libc::sa_family_t;
        addr.nl_groups = (libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR) as u32;
        // SAFETY: pointer and length are those of a live sockaddr_nl.
        let result = unsafe {
            libc::bind(
                socket.as_raw_fd(),
                (&raw const addr).cast(),
                size_of::<libc::sockaddr_nl>() as libc::socklen_t,
            )
        };
        if result < 0 {
            return Err(failed(io::Error::last_os_error()));
        }
        // After the groups were joined, so that no loss falls between.
        let mut losses = Losses::new();
        for link in dump_all().map_err(failed)?.0 {
            losses.extend(link.carrier_losses.map(|n| (link.index, n)));
        }
        Ok(Watch { socket, buffer: vec![0; BUFFER / 4].into_boxed_slice(), losses })
    }

    pub fn wait(&mut self, waker: &Waker, timeout: Option<Duration>) -> Result<Change, NetError> {
        let ready = wake::wait(self.socket.as_raw_fd(), waker, timeout, || "interface changes".into())?;
        let mut change = Change { woken: ready.woken, ..Change::default() };
        if ready.socket {
            self.take(&mut change).map_err(|source| NetError::Interfaces { what: WATCH, source })?;
        }
        Ok(change)
    }

    /// Takes what was announced, at most so many datagrams: what is left wakes the next wait.
    fn take(&mut self, change: &mut Change) -> io::Result<()> {
        for _ in 0..1000 {
            // SAFETY: pointer and length are those of a live, exclusively borrowed slice.
            let n = unsafe {
                libc::recv(
                    self.socket.as_raw_fd(),
                    self.buffer.as_mut_ptr().cast(),
                    self.buffer.len(),
                    libc::MSG_DONTWAIT | libc::MSG_TRUNC,
                )
            };
            if n < 0 {
                let error = io::Error::last_os_error();
                match error.raw_os_error() {
                    // Announcements were lost: anything may have changed.
                    Some(sys::errno::NOBUFS) => change.changed = true,
                    _ if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                    _ if error.kind() == io::ErrorKind::Interrupted => {}
                    _ => return Err(error),
                }
                continue;
            }
            let n = n as usize;
            // MSG_TRUNC asks for the true length: what does not fit is told all the same.
            change.changed |= n > self.buffer.len();
            note(
                change,
                &mut self.losses,
                rtnl::messages(&self.buffer[..n.min(self.buffer.len())]).map(|(m, _)| m),
            );
        }
        Ok(())
    }
}

/// Adds what the messages say to a change.
fn note(change: &mut Change, losses: &mut Losses, messages: impl Iterator<Item = Message>) {
    for message in messages {
        let lost = match message {
            Message::NewLink(link) => {
                let before = link.carrier_losses.and_then(|n| losses.insert(link.index, n));
                let more = before.is_some() && before != link.carrier_losses;
                let down = link.flags & IFF_UP == 0 || link.flags & IFF_LOWER_UP == 0;
                (more || down).then_some(link.index)
            }
            Message::DelLink(link) => {
                losses.remove(&link.index);
                Some(link.index)
            }
            Message::NewAddr(..) | Message::DelAddr(..) => None,
            Message::Done | Message::Error(_) | Message::Other => continue,
        };
        change.changed = true;
        if let Some(index) = lost
            && !change.lost_carrier.contains(&index)
        {
            change.lost_carrier.push(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(index: u32, name: &str, driver: Option<&str>, master: Option<u32>) -> Link {
        Link {
            index,
            name: name.into(),
            flags: IFF_UP | IFF_LOWER_UP | IFF_MULTICAST,
            hardware: 1,
            driver: driver.map(Into::into),
            master,
            mtu: Some(1500),
            mac: Some([2, 0, 0, 0, 0, index as u8]),
            carrier_losses: Some(1),
        }
    }

    #[test]
    fn ports_have_their_master_and_vrf_members_have_none() {
        let links = [
            link(5, "veth1", Some("veth"), Some(2)),
            link(2, "br0", Some("bridge"), None),
            link(3, "blue", Some("vrf"), None),
            link(4, "eth1", None, Some(3)),
        ];
        let addr = IfaceAddr { ip: "10.0.0.1".parse().unwrap(), prefix_len: 24 };
        let all = ifaces(&links, &[(4, addr)], |_| false);
        let shown: Vec<_> = all.iter().map(|i| (i.index, &*i.name, i.master.as_deref(), i.kind)).collect();
        assert_eq!(
            shown,
            [
                (2, "br0", None, IfaceKind::Bridge),
                (3, "blue", None, IfaceKind::Wired),
                (4, "eth1", None, IfaceKind::Wired),
                (5, "veth1", Some("br0"), IfaceKind::Wired),
            ]
        );
        assert_eq!(all[2].addrs, [addr]);
        assert_eq!((all[2].up, all[2].carrier, all[2].multicast), (true, Some(true), true));
    }

    #[test]
    fn a_carrier_that_is_back_already_is_still_told() {
        let up = link(4, "eth1", None, None);
        let mut down = up.clone();
        down.flags &= !IFF_LOWER_UP;
        let addr = IfaceAddr { ip: "10.0.0.1".parse().unwrap(), prefix_len: 24 };
        let mut losses = Losses::from([(4, 1), (6, 1)]);
        let mut told = |messages: Vec<Message>| {
            let mut change = Change::default();
            note(&mut change, &mut losses, messages.into_iter());
            change
        };
        let change = told(vec![
            Message::NewLink(down.clone()),
            Message::NewLink(down),
            Message::NewLink(up.clone()),
            Message::DelLink(link(9, "tmp", None, None)),
            Message::NewAddr(5, addr),
        ]);
        assert_eq!(change, Change { changed: true, woken: false, lost_carrier: vec![4, 9] });
        // Lost and back between two announcements: only the count has moved.
        let again = Link { carrier_losses: Some(2), ..up };
        assert_eq!(told(vec![Message::NewLink(again.clone())]).lost_carrier, [4]);
        assert_eq!(told(vec![Message::NewLink(again)]).lost_carrier, Vec::<u32>::new());
        // New ones have lost nothing.
        let new = told(vec![Message::NewLink(link(10, "new", None, None))]);
        assert_eq!(new, Change { changed: true, woken: false, lost_carrier: vec![] });
        assert_eq!(told(vec![Message::Other, Message::Done]), Change::default());
    }
}
