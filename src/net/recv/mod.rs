//! Receiving many datagrams a call into a batch, and telling ours from others.
//!
//! A thread that receives has areas that the kernel writes addresses and control messages to: a few
//! KiB, used again for every call. Payload goes straight into the batch.

use std::cell::RefCell;
use std::io;
use std::net::IpAddr;

use socket2::Socket;

use super::cmsg;
use super::sys;
use crate::base::batch::{Batch, Datagram, LARGE};
use crate::base::group::{Endpoint, MembershipId, SourceFilter};
use crate::base::time::Wall;

#[cfg(target_os = "linux")]
mod mmsg;
mod portable;

#[cfg(unix)]
#[path = "recvmsg.rs"]
mod message;
#[cfg(windows)]
#[path = "wsarecvmsg.rs"]
mod message;

/// How datagrams are taken from the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Receiver {
    /// The fastest way of the system: many a call on Linux, else one by one.
    #[default]
    Native,
    /// One by one on every system.
    Portable,
}

/// What one receive call took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// Datagrams taken from the kernel.
    pub taken: usize,
    /// Those of them that are ours: put into the batch, or counted. The others were sent to another
    /// group, arrived on another interface or come from a sender that is filtered.
    pub kept: usize,
    /// Whether nothing was left in the socket.
    pub dry: bool,
}

/// Datagrams counted without keeping them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drained {
    /// How many.
    pub packets: u64,
    /// Their UDP payload, in bytes.
    pub bytes: u64,
}

/// What the kernel says where, for one datagram: aligned for control messages.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Area {
    control: [u8; cmsg::CONTROL],
    name: [u8; sys::NAME],
}

impl Area {
    const EMPTY: Area = Area { control: [0; cmsg::CONTROL], name: [0; sys::NAME] };
}

/// Which datagrams belong to a membership.
pub(super) struct Ours<'a> {
    pub group: IpAddr,
    /// The interface joined on.
    pub ifindex: u32,
    pub filter: &'a SourceFilter,
    pub membership: MembershipId,
}

impl Ours<'_> {
    /// What the kernel said of a datagram of `len` bytes, or `None` if it is not ours: sent to
    /// another group, arrived on another interface, or from a sender that is filtered.
    ///
    /// The kernel filters all that too, but not what was queued before a filter changed, not on
    /// every system, and not between the options being set. What the kernel did not tell is taken
    /// as ours.
    fn accept(&self, name: &[u8], control: &[u8], len: usize, now: &mut Option<Wall>) -> Option<Datagram> {
        let source = sys::endpoint(name)?;
        let told = cmsg::read(control);
        if told.destination.is_some_and(|to| to != self.group)
            || (told.ifindex != 0 && told.ifindex != self.ifindex)
            || !self.filter.passes(source.ip)
        {
            return None;
        }
        let time = told.time.unwrap_or_else(|| *now.get_or_insert_with(|| super::clock::now().wall));
        let mut d = Datagram::new(self.membership, time, source, u32::try_from(len).unwrap_or(u32::MAX));
        d.captured = len.min(LARGE) as u32;
        d.ifindex = told.ifindex;
        d.ttl = told.ttl;
        d.tos = told.tos;
        Some(d)
    }
}

/// A datagram that came to a sender's own port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Bytes in the buffer; a longer datagram was cut.
    pub len: usize,
    /// Who sent it.
    pub from: Endpoint,
    /// TTL or hop limit on arrival.
    pub ttl: Option<u8>,
    /// Kernel receive time; the receive call's time where the system has none.
    pub time: Wall,
    /// The interface it arrived on, 0 if unknown.
    pub ifindex: u32,
}

/// One datagram: its length in the buffer, the sender's address and the control messages.
struct One<'a> {
    len: usize,
    name: &'a [u8],
    control: &'a [u8],
}

/// Takes replies, one a call.
pub(super) struct ReplyReceiver(portable::Single);

impl ReplyReceiver {
    pub fn new() -> ReplyReceiver {
        ReplyReceiver(portable::Single::new())
    }

    /// Takes one datagram without waiting; `None` when there is none.
    pub fn take(&mut self, socket: &Socket, buf: &mut [u8]) -> io::Result<Option<Reply>> {
        let Some(one) = self.0.take_one(socket, buf)? else { return Ok(None) };
        let told = cmsg::read(one.control);
        let time = told.time.unwrap_or_else(|| super::clock::now().wall);
        let Some(from) = sys::endpoint(one.name) else { return Ok(None) };
        Ok(Some(Reply { len: one.len, from, ttl: told.ttl, time, ifindex: told.ifindex }))
    }
}

/// What a raw socket received.
#[cfg(target_os = "linux")]
pub(super) struct Raw {
    /// Bytes in the buffer.
    pub len: usize,
    /// Who sent it.
    pub from: Option<IpAddr>,
    /// What else the kernel said.
    pub told: cmsg::Told,
}

/// Takes what raw sockets receive, one a call.
#[cfg(target_os = "linux")]
pub(super) struct RawReceiver(portable::Single);

#[cfg(target_os = "linux")]
impl RawReceiver {
    pub fn new() -> RawReceiver {
        RawReceiver(portable::Single::new())
    }

    /// Takes one packet without waiting; `None` when there is none.
    pub fn take(&mut self, socket: &Socket, buf: &mut [u8]) -> io::Result<Option<Raw>> {
        let Some(one) = self.0.take_one(socket, buf)? else { return Ok(None) };
        let from = sys::endpoint(one.name).map(|e| e.ip);
        Ok(Some(Raw { len: one.len, from, told: cmsg::read(one.control) }))
    }
}

/// Where the kernel writes addresses and control messages. It carries nothing from call to call.
enum Scratch {
    #[cfg(target_os = "linux")]
    Many(mmsg::Many),
    Single(portable::Single),
}

thread_local! {
    /// One for each way that this thread receives, not one for each socket: a thread that goes round
    /// many sockets finds it in the processor's cache.
    static SCRATCH: RefCell<[Option<Scratch>; 2]> = const { RefCell::new([None, None]) };
}

/// Fills the free slots of a batch with what is queued.
pub(super) fn receive(
    how: Receiver,
    socket: &Socket,
    ours: &Ours<'_>,
    batch: &mut Batch,
) -> io::Result<Received> {
    with_scratch(how, |scratch| scratch.receive(socket, ours, batch))
}

/// Takes what is queued without keeping it.
pub(super) fn drain(
    how: Receiver,
    socket: &Socket,
    ours: &Ours<'_>,
    drained: &mut Drained,
) -> io::Result<Received> {
    with_scratch(how, |scratch| scratch.drain(socket, ours, drained))
}

fn with_scratch<T>(how: Receiver, f: impl FnOnce(&mut Scratch) -> T) -> T {
    SCRATCH.with_borrow_mut(|all| f(all[how as usize].get_or_insert_with(|| Scratch::new(how))))
}

impl Scratch {
    fn new(how: Receiver) -> Scratch {
        match how {
            #[cfg(target_os = "linux")]
            Receiver::Native => Scratch::Many(mmsg::Many::new()),
            _ => Scratch::Single(portable::Single::new()),
        }
    }

    fn receive(&mut self, socket: &Socket, ours: &Ours<'_>, batch: &mut Batch) -> io::Result<Received> {
        match self {
            #[cfg(target_os = "linux")]
            Scratch::Many(many) => many.receive(socket, ours, batch),
            Scratch::Single(single) => single.receive(socket, ours, batch),
        }
    }

    fn drain(&mut self, socket: &Socket, ours: &Ours<'_>, drained: &mut Drained) -> io::Result<Received> {
        match self {
            #[cfg(target_os = "linux")]
            Scratch::Many(many) => many.drain(socket, ours, drained),
            Scratch::Single(single) => single.drain(socket, ours, drained),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::sys::sockaddr;

    #[test]
    fn only_datagrams_of_the_membership_are_ours() {
        let filter = SourceFilter::Exclude(vec!["10.0.0.9".parse().unwrap()]);
        let ours = Ours {
            group: "239.1.1.1".parse().unwrap(),
            ifindex: 3,
            filter: &filter,
            membership: MembershipId(0),
        };
        let mut clock = Some(Wall(42));
        let good = sockaddr("10.0.0.1:5000".parse().unwrap());
        let d = ours.accept(&good, &[], 7, &mut clock).expect("nothing says it is not ours");
        assert_eq!((d.len, d.time, d.source.port), (7, Wall(42), 5000));
        let blocked = sockaddr("10.0.0.9:5000".parse().unwrap());
        assert_eq!(ours.accept(&blocked, &[], 7, &mut clock), None);
        assert_eq!(ours.accept(&[0; 28], &[], 7, &mut clock), None, "no address at all");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn another_group_or_interface_is_not_ours() {
        let ours = Ours {
            group: "239.1.1.1".parse().unwrap(),
            ifindex: 3,
            filter: &SourceFilter::Any,
            membership: MembershipId(0),
        };
        let from = sockaddr("10.0.0.1:5000".parse().unwrap());
        let pktinfo = |ifindex: u32, group: [u8; 4]| {
            let mut c = 28usize.to_ne_bytes().to_vec();
            c.extend(0u32.to_ne_bytes());
            c.extend(8u32.to_ne_bytes());
            c.extend(ifindex.to_ne_bytes());
            c.extend([0; 4]);
            c.extend(group);
            c.extend([0; 4]);
            c
        };
        let is_ours =
            |ifindex, group| ours.accept(&from, &pktinfo(ifindex, group), 1, &mut Some(Wall(0))).is_some();
        assert!(is_ours(3, [239, 1, 1, 1]));
        assert!(is_ours(0, [239, 1, 1, 1]), "an interface that is not told");
        assert!(!is_ours(4, [239, 1, 1, 1]));
        assert!(!is_ours(3, [239, 1, 1, 2]));
    }

    #[test]
    fn a_thread_that_receives_costs_less_than_64_kib() {
        assert!(size_of::<Area>() * crate::base::batch::SLOTS + size_of::<Scratch>() < 16 * 1024);
    }
}
