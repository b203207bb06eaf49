//! Joining, leaving, blocking: RFC 3678's protocol-independent calls, always by interface index.

use std::io;
use std::net::IpAddr;

use socket2::Socket;

use crate::base::group::{Membership, SourceFilter};
use crate::net::error::{Kind, NetError};
use crate::net::sys::{self, GroupRequest, Opt};

/// Joins for any source, or each named source; then blocks the excluded ones. What fails half-way is
/// undone.
pub fn join(socket: &Socket, membership: &Membership, ifindex: u32) -> Result<(), NetError> {
    let done = try_join(socket, membership, ifindex);
    if done.is_err() {
        leave(socket, membership, ifindex);
    }
    done
}

fn try_join(socket: &Socket, membership: &Membership, ifindex: u32) -> Result<(), NetError> {
    let Membership { group, iface, filter, .. } = membership;
    if let SourceFilter::Include(sources) = filter {
        for (i, &source) in sources.iter().enumerate() {
            let option = option(*group, sys::MCAST_JOIN_SOURCE_GROUP, "MCAST_JOIN_SOURCE_GROUP");
            request(socket, option, ifindex, *group, Some(source)).map_err(|e| {
                // Only the second one can meet the limit on sources; the first one meets the limit
                // on memberships.
                if i > 0 && Kind::of(&e) == Kind::NoBuffer {
                    too_many(*group, iface, sources.len(), option, e)
                } else {
                    refused(*group, format!(" from {source}"), iface, option, e)
                }
            })?;
        }
        return Ok(());
    }
    let option = option(*group, sys::MCAST_JOIN_GROUP, "MCAST_JOIN_GROUP");
    request(socket, option, ifindex, *group, None)
        .map_err(|e| refused(*group, String::new(), iface, option, e))?;
    for &sender in filter.sources() {
        block(socket, *group, iface, ifindex, sender, filter.sources().len())?;
    }
    Ok(())
}

/// Leaves. Errors mean that there is nothing to leave: the interface is gone, or the join failed.
pub fn leave(socket: &Socket, membership: &Membership, ifindex: u32) {
    let group = membership.group;
    if let SourceFilter::Include(sources) = &membership.filter {
        let option = option(group, sys::MCAST_LEAVE_SOURCE_GROUP, "MCAST_LEAVE_SOURCE_GROUP");
        for &source in sources {
            let _ = request(socket, option, ifindex, group, Some(source));
        }
    } else {
        let option = option(group, sys::MCAST_LEAVE_GROUP, "MCAST_LEAVE_GROUP");
        let _ = request(socket, option, ifindex, group, None);
    }
}

/// Blocks one sender and puts it on the membership's filter; nothing changes if it is there.
pub fn exclude(
    socket: &Socket,
    membership: &mut Membership,
    ifindex: u32,
    sender: IpAddr,
) -> Result<(), NetError> {
    let Membership { group, iface, filter, .. } = membership;
    if let SourceFilter::Include(_) = filter {
        return Err(NetError::BlockInInclude { sender, group: *group, iface: iface.to_string() });
    }
    if filter.sources().contains(&sender) {
        return Ok(());
    }
    block(socket, *group, iface, ifindex, sender, filter.sources().len() + 1)?;
    match filter {
        SourceFilter::Exclude(list) => list.push(sender),
        _ => *filter = SourceFilter::Exclude(vec![sender]),
    }
    Ok(())
}

/// Makes this the filter of the membership, in one step where the system can: nobody else's datagrams come
/// in between, and none of those who pass both filters are missed.
#[cfg(target_os = "linux")]
pub fn set_filter(
    socket: &Socket,
    membership: &mut Membership,
    ifindex: u32,
    filter: SourceFilter,
) -> Result<(), NetError> {
    let group = membership.group;
    let include = matches!(filter, SourceFilter::Include(_));
    let option = option(group, sys::MCAST_MSFILTER, "MCAST_MSFILTER");
    let bytes = sys::group_filter(ifindex, group, include, filter.sources());
    sys::set_bytes(socket, option, &bytes).map_err(|e| {
        if Kind::of(&e) == Kind::NoBuffer {
            too_many(group, &membership.iface, filter.sources().len(), option, e)
        } else {
            refused(group, format!(" for {filter}"), &membership.iface, option, e)
        }
    })?;
    membership.filter = filter;
    Ok(())
}

/// Makes this the filter of the membership: leaves, and joins with it. What cannot be joined is joined
/// again as it was.
#[cfg(not(target_os = "linux"))]
pub fn set_filter(
    socket: &Socket,
    membership: &mut Membership,
    ifindex: u32,
    filter: SourceFilter,
) -> Result<(), NetError> {
    leave(socket, membership, ifindex);
    let wanted = Membership { filter, ..membership.clone() };
    match join(socket, &wanted, ifindex) {
        Ok(()) => {
            *membership = wanted;
            Ok(())
        }
        Err(e) => {
            join(socket, membership, ifindex)?;
            Err(e)
        }
    }
}

/// Unblocks one sender and takes it from the membership's filter; nothing changes if it is not there.
pub fn readmit(
    socket: &Socket,
    membership: &mut Membership,
    ifindex: u32,
    sender: IpAddr,
) -> Result<(), NetError> {
    let Membership { group, iface, filter, .. } = membership;
    let SourceFilter::Exclude(list) = filter else { return Ok(()) };
    let Some(at) = list.iter().position(|&s| s == sender) else { return Ok(()) };
    unblock(socket, *group, iface, ifindex, sender)?;
    list.remove(at);
    if list.is_empty() {
        *filter = SourceFilter::Any;
    }
    Ok(())
}

/// Blocks one sender; `count` is how many there are with it.
pub fn block(
    socket: &Socket,
    group: IpAddr,
    iface: &str,
    ifindex: u32,
    sender: IpAddr,
    count: usize,
) -> Result<(), NetError> {
    let option = option(group, sys::MCAST_BLOCK_SOURCE, "MCAST_BLOCK_SOURCE");
    request(socket, option, ifindex, group, Some(sender)).map_err(|e| {
        if Kind::of(&e) == Kind::NoBuffer {
            too_many(group, iface, count, option, e)
        } else {
            filter("block", sender, group, iface, option, e)
        }
    })
}

/// Unblocks one sender.
pub fn unblock(
    socket: &Socket,
    group: IpAddr,
    iface: &str,
    ifindex: u32,
    sender: IpAddr,
) -> Result<(), NetError> {
    let option = option(group, sys::MCAST_UNBLOCK_SOURCE, "MCAST_UNBLOCK_SOURCE");
    request(socket, option, ifindex, group, Some(sender))
        .map_err(|e| filter("unblock", sender, group, iface, option, e))
}

fn option(group: IpAddr, name: i32, text: &'static str) -> Opt {
    Opt { level: sys::group_level(group), name, text }
}

fn request(
    socket: &Socket,
    option: Opt,
    ifindex: u32,
    group: IpAddr,
    source: Option<IpAddr>,
) -> io::Result<()> {
    sys::set_bytes(socket, option, GroupRequest::new(ifindex, group, source).bytes())
}

fn refused(group: IpAddr, from: String, iface: &str, option: Opt, source: io::Error) -> NetError {
    NetError::Join { group, from, iface: iface.to_owned(), option: option.text, source }
}

fn too_many(group: IpAddr, iface: &str, count: usize, option: Opt, source: io::Error) -> NetError {
    NetError::TooManySources { group, iface: iface.to_owned(), count, option: option.text, source }
}

fn filter(
    verb: &'static str,
    sender: IpAddr,
    group: IpAddr,
    iface: &str,
    option: Opt,
    source: io::Error,
) -> NetError {
    NetError::Filter { verb, sender, group, iface: iface.to_owned(), option: option.text, source }
}
