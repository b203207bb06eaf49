//! A socket that receives one membership: a group and port on one interface, with its filter.
//!
//! One socket a membership, so that the number of groups has no limit of the socket's and each has
//! its own drop counter. It shares its port with whoever else listens there.

mod account;
pub(super) mod membership;
mod share;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

pub use super::recv::{Drained, Received, Receiver};
pub use super::wake::Ready;
pub use account::{Clamped, RcvBuf};

use super::error::NetError;
use super::privilege::{self, Capability};
use super::recv::{self, Ours};
use super::sys;
use super::wake::{self, Waker};
use crate::base::batch::Batch;
use crate::base::group::{Endpoint, Membership, MembershipId, SourceFilter};
pub(super) use account::Counter;
#[cfg(target_os = "linux")]
pub(super) use account::request as ask_for_buffer;

/// Drains before a membership moves to another interface, at most: far more than a buffer holds.
const DRAINS: usize = 1024;

/// How a group's socket is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct SocketOptions {
    /// Bytes of receive buffer to ask for; `None` leaves the system's default.
    pub rcvbuf: Option<usize>,
    /// How datagrams are taken.
    pub receiver: Receiver,
}

/// A socket that has joined one membership.
///
/// Dropping it leaves the group.
pub struct GroupSocket {
    socket: Socket,
    membership: Membership,
    ifindex: u32,
    options: SocketOptions,
    rcvbuf: RcvBuf,
    drops: Counter,
    /// Taken from the old interface by a [`GroupSocket::rejoin`] that then failed.
    moved: Drained,
}

impl GroupSocket {
    /// Binds to the group and port, sharing them, and joins on the interface with this index, whose
    /// name is that of the membership.
    ///
    /// A membership whose filter excludes senders is joined for any source, and they are blocked.
    ///
    /// # Errors
    /// What the system refuses, with the remedy where one is known.
    pub fn open(
        membership: &Membership,
        ifindex: u32,
        options: &SocketOptions,
    ) -> Result<GroupSocket, NetError> {
        let (socket, rcvbuf) = bound(membership, ifindex, options)?;
        membership::join(&socket, membership, ifindex)?;
        Ok(GroupSocket {
            socket,
            membership: membership.clone(),
            ifindex,
            options: *options,
            rcvbuf,
            drops: Counter::default(),
            moved: Drained::default(),
        })
    }

    /// What it has joined; the filter follows [`GroupSocket::block`] and [`GroupSocket::unblock`].
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    pub(super) fn handle(&self) -> sys::Handle {
        sys::handle(&self.socket)
    }

    /// The index of the interface it is joined on.
    pub fn ifindex(&self) -> u32 {
        self.ifindex
    }

    /// Waits until there is something to receive or the waker is awake, at most `timeout` (`None`:
    /// without end). A signal to the thread ends the wait early.
    ///
    /// # Errors
    /// When the system cannot wait.
    pub fn wait(&self, waker: &Waker, timeout: Option<Duration>) -> Result<Ready, NetError> {
        wake::wait(sys::handle(&self.socket), waker, timeout, || self.membership.to_string())
    }

    /// Fills the free slots of the batch with what is queued, without waiting. What the batch already
    /// holds stays. Sets the batch's clock offset.
    ///
    /// Datagrams of another destination or interface and of filtered senders are passed over.
    ///
    /// # Errors
    /// What the system tells, once; the socket stays usable.
    pub fn receive(&mut self, batch: &mut Batch, id: MembershipId) -> Result<Received, NetError> {
        let GroupSocket { socket, membership, ifindex, options, .. } = self;
        let ours =
            Ours { group: membership.group, ifindex: *ifindex, filter: &membership.filter, membership: id };
        recv::receive(options.receiver, socket, &ours, batch)
            .map_err(|source| NetError::Receive { object: membership.to_string(), source })
    }

    /// Takes what is queued, counting it and not keeping it: for when there is no batch. Bounded, so
    /// that a fast sender cannot hold the thread; [`Received::dry`] says whether anything is left.
    ///
    /// # Errors
    /// As [`GroupSocket::receive`].
    pub fn drain(&mut self, drained: &mut Drained) -> Result<Received, NetError> {
        let GroupSocket { socket, membership, ifindex, options, .. } = self;
        let ours = Ours {
            group: membership.group,
            ifindex: *ifindex,
            filter: &membership.filter,
            membership: MembershipId(0),
        };
        recv::drain(options.receiver, socket, &ours, drained)
            .map_err(|source| NetError::Receive { object: membership.to_string(), source })
    }

    /// Datagrams dropped because the receive buffer was full, since the membership was opened; `None`
    /// where the system does not say.
    ///
    /// The kernel's counter has 32 bits: ask at least once in 2^32 drops. It is exact at once, also
    /// when the stream has fallen silent since.
    pub fn drops(&mut self) -> Option<u64> {
        let info = account::memory(&self.socket)?;
        Some(self.drops.read(info.drops))
    }

    /// What waits in the receive buffer, in the kernel's own measure (payload and its overhead), to
    /// be compared with [`RcvBuf::kernel`]; `None` where the system does not say.
    pub fn queued(&self) -> Option<u32> {
        account::memory(&self.socket).map(|info| info.queued)
    }

    /// The receive buffer: asked for and granted.
    pub fn rcvbuf(&self) -> RcvBuf {
        self.rcvbuf
    }

    /// Asks for another receive buffer and says what was granted.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn set_rcvbuf(&mut self, bytes: usize) -> Result<RcvBuf, NetError> {
        self.rcvbuf = account::set_rcvbuf(&self.socket, Some(bytes), &self.membership)?;
        self.options.rcvbuf = Some(bytes);
        Ok(self.rcvbuf)
    }

    /// Leaves and joins again. With the same index: after the carrier was lost and is back, since
    /// Linux sends no IGMP report of its own then. With another index: the interface was made anew.
    ///
    /// With another index, what was still queued is taken and counted without being kept, and
    /// returned: call [`GroupSocket::receive`] until it is dry before. Counters go on.
    ///
    /// # Errors
    /// When the group cannot be joined; `rejoin` may be tried again, and returns the count of both.
    pub fn rejoin(&mut self, ifindex: u32) -> Result<Drained, NetError> {
        if ifindex == self.ifindex {
            membership::leave(&self.socket, &self.membership, ifindex);
            membership::join(&self.socket, &self.membership, ifindex)?;
            return Ok(std::mem::take(&mut self.moved));
        }
        let mut drained = self.moved;
        // The old interface is gone and nothing more arrives on it: once is enough for what fits into
        // a buffer, and a bound holds where it is not gone after all.
        for _ in 0..DRAINS {
            let dry = self.drain(&mut drained)?.dry;
            self.moved = drained;
            if dry {
                break;
            }
        }
        // On Linux a socket is tied to its interface for good: a new one takes its place.
        let options = SocketOptions { rcvbuf: self.rcvbuf.asked, ..self.options };
        let (socket, rcvbuf) = bound(&self.membership, ifindex, &options)?;
        membership::join(&socket, &self.membership, ifindex)?;
        self.drops();
        self.drops.restart();
        (self.socket, self.rcvbuf, self.ifindex) = (socket, rcvbuf, ifindex);
        Ok(std::mem::take(&mut self.moved))
    }

    /// Lets a sender through no longer. Blocking one that is blocked changes nothing.
    ///
    /// # Errors
    /// On a membership of named sources, and when the system's limit is reached.
    pub fn block(&mut self, sender: IpAddr) -> Result<(), NetError> {
        membership::exclude(&self.socket, &mut self.membership, self.ifindex, sender)
    }

    /// Lets just these senders through from now on.
    ///
    /// # Errors
    /// When the system's limit on sources is reached; the filter is as it was then.
    pub fn set_filter(&mut self, filter: SourceFilter) -> Result<(), NetError> {
        membership::set_filter(&self.socket, &mut self.membership, self.ifindex, filter)
    }

    /// Lets a blocked sender through again. Unblocking one that is not blocked changes nothing.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn unblock(&mut self, sender: IpAddr) -> Result<(), NetError> {
        membership::readmit(&self.socket, &mut self.membership, self.ifindex, sender)
    }
}

/// Datagrams that the kernel dropped at a socket's buffer since it was made; wraps.
#[cfg(target_os = "linux")]
pub(super) fn kernel_drops(socket: &Socket) -> Option<u32> {
    account::memory(socket).map(|m| m.drops)
}

/// A socket for a membership, bound and told what to tell, not yet joined.
fn bound(
    membership: &Membership,
    ifindex: u32,
    options: &SocketOptions,
) -> Result<(Socket, RcvBuf), NetError> {
    let v4 = membership.group.is_ipv4();
    let domain = if v4 { Domain::IPV4 } else { Domain::IPV6 };
    let what = if v4 { "an IPv4 socket" } else { "an IPv6 socket" };
    let open = |source| NetError::Open { what, source };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP)).map_err(open)?;
    socket.set_nonblocking(true).map_err(open)?;
    let failed = |option| move |source| NetError::Option { option, object: membership.to_string(), source };
    if !v4 {
        socket.set_only_v6(true).map_err(failed("IPV6_V6ONLY"))?;
    }
    #[cfg(target_os = "linux")]
    {
        // Else every group that any process joined comes in. Kernels without the option (IPv6 before
        // 4.20) leave it to the check of each datagram.
        let option = if v4 { sys::MULTICAST_ALL } else { sys::MULTICAST_ALL6 };
        match sys::set_int(&socket, option, 0) {
            Err(e) if e.raw_os_error() != Some(sys::errno::NOPROTOOPT) => return Err(failed(option.text)(e)),
            _ => {}
        }
        // Only this interface, once more: IPv6 looks at the groups that a socket joined, not at the
        // interfaces (net/ipv6/mcast.c, inet6_mc_check), so that the same group on another interface
        // would fill this buffer and count as its drops; and it keeps this socket out of the
        // SO_REUSEPORT groups of others (see `share`). Before Linux 5.7 this needs a privilege, and then
        // the check of each datagram has to do.
        let tie = move |s: &Socket| sys::set_int(s, sys::BINDTOIFINDEX, ifindex as i32);
        let _ = privilege::on(&socket, &[Capability::NetRaw], tie);
    }
    sys::tell(&socket, v4).map_err(|(option, e)| failed(option.text)(e))?;
    let rcvbuf = account::set_rcvbuf(&socket, options.rcvbuf, membership)?;
    let at = bind_address(membership, ifindex);
    let bind = move |s: &Socket| share::bind(s, &at.into());
    privilege::on(&socket, &[Capability::NetBindService], bind).map_err(|source| NetError::Bind {
        at: Endpoint::from(at),
        on: match at {
            SocketAddr::V6(a) if a.scope_id() != 0 => format!(" on {}", membership.iface),
            _ => String::new(),
        },
        source,
    })?;
    Ok((socket, rcvbuf))
}

/// On Unix the group itself, which keeps other groups and unicast away; Windows refuses that.
fn bind_address(membership: &Membership, ifindex: u32) -> SocketAddr {
    if cfg!(windows) {
        return match membership.group {
            IpAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, membership.port)),
            IpAddr::V6(_) => SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, membership.port, 0, 0)),
        };
    }
    membership.endpoint().to_socket_addr(ifindex)
}
