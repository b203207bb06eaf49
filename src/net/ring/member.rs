//! A membership that receives nothing itself.

use std::net::IpAddr;

use socket2::{Domain, Protocol, Socket, Type};

use crate::base::group::{Membership, SourceFilter};
use crate::net::error::NetError;
use crate::net::socket::membership;

/// A group joined on an interface by a socket that is bound to no port: the host receives the group, with
/// the membership's source filter told to the network as any other's, and no buffer fills.
///
/// Dropping it leaves the group.
pub struct Member {
    socket: Socket,
    membership: Membership,
    ifindex: u32,
}

impl Member {
    /// Joins on the interface with this index.
    ///
    /// # Errors
    /// What the system refuses, with the remedy where one is known.
    pub fn join(membership: &Membership, ifindex: u32) -> Result<Member, NetError> {
        let v4 = membership.group.is_ipv4();
        let domain = if v4 { Domain::IPV4 } else { Domain::IPV6 };
        let what = if v4 { "an IPv4 socket" } else { "an IPv6 socket" };
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))
            .map_err(|source| NetError::Open { what, source })?;
        membership::join(&socket, membership, ifindex)?;
        Ok(Member { socket, membership: membership.clone(), ifindex })
    }

    /// What is joined, with its filter as it is now.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    /// Leaves and joins again, after the carrier was lost and is back: Linux sends no IGMP report of its
    /// own then.
    ///
    /// # Errors
    /// When the group cannot be joined; it may be tried again.
    pub fn rejoin(&mut self) -> Result<(), NetError> {
        membership::leave(&self.socket, &self.membership, self.ifindex);
        membership::join(&self.socket, &self.membership, self.ifindex)
    }

    /// Lets a sender through no longer.
    ///
    /// # Errors
    /// As [`GroupSocket::block`](crate::net::socket::GroupSocket::block).
    pub fn block(&mut self, sender: IpAddr) -> Result<(), NetError> {
        membership::exclude(&self.socket, &mut self.membership, self.ifindex, sender)
    }

    /// Lets just these senders through from now on.
    ///
    /// # Errors
    /// As [`GroupSocket::set_filter`](crate::net::socket::GroupSocket::set_filter).
    pub fn set_filter(&mut self, filter: SourceFilter) -> Result<(), NetError> {
        membership::set_filter(&self.socket, &mut self.membership, self.ifindex, filter)
    }

    /// Lets a blocked sender through again.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn unblock(&mut self, sender: IpAddr) -> Result<(), NetError> {
        membership::readmit(&self.socket, &mut self.membership, self.ifindex, sender)
    }
}
