//! Linux and macOS: options by `setsockopt`, waiting by `poll`.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use socket2::Socket;

use super::{Opt, millis};

#[cfg(target_os = "linux")]
#[path = "linux.rs"]
mod numbers;
#[cfg(target_os = "macos")]
#[path = "macos.rs"]
mod numbers;
pub use numbers::*;

pub const AF_INET: u16 = libc::AF_INET as u16;
pub const AF_INET6: u16 = libc::AF_INET6 as u16;
pub const IPPROTO_IP: i32 = libc::IPPROTO_IP;
pub const IPPROTO_IPV6: i32 = libc::IPPROTO_IPV6;
pub const SOL_SOCKET: i32 = libc::SOL_SOCKET;

/// What is waited on.
pub type Handle = RawFd;

/// The error numbers that a user can do something about.
pub mod errno {
    pub const ACCES: i32 = libc::EACCES;
    pub const PERM: i32 = libc::EPERM;
    pub const ADDRINUSE: i32 = libc::EADDRINUSE;
    pub const ADDRNOTAVAIL: i32 = libc::EADDRNOTAVAIL;
    pub const AFNOSUPPORT: i32 = libc::EAFNOSUPPORT;
    pub const CONNREFUSED: i32 = libc::ECONNREFUSED;
    pub const HOSTUNREACH: i32 = libc::EHOSTUNREACH;
    pub const INVAL: i32 = libc::EINVAL;
    pub const MFILE: i32 = libc::EMFILE;
    pub const NFILE: i32 = libc::ENFILE;
    pub const MSGSIZE: i32 = libc::EMSGSIZE;
    pub const NETDOWN: i32 = libc::ENETDOWN;
    pub const NETUNREACH: i32 = libc::ENETUNREACH;
    pub const NOBUFS: i32 = libc::ENOBUFS;
    pub const NODEV: i32 = libc::ENODEV;
    pub const NOMEM: i32 = libc::ENOMEM;
    pub const NOPROTOOPT: i32 = libc::ENOPROTOOPT;
    pub const NXIO: i32 = libc::ENXIO;
}

/// The handle of a socket.
pub fn handle(socket: &Socket) -> Handle {
    socket.as_raw_fd()
}

/// Sets an option to these bytes.
pub fn set_bytes(socket: &Socket, opt: Opt, value: &[u8]) -> io::Result<()> {
    // SAFETY: pointer and length are those of a live slice, which the kernel only reads.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            opt.level,
            opt.name,
            value.as_ptr().cast(),
            value.len() as libc::socklen_t,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Sets an option that is a C `int`.
pub fn set_int(socket: &Socket, opt: Opt, value: i32) -> io::Result<()> {
    set_bytes(socket, opt, &value.to_ne_bytes())
}

/// Reads an option into `out`; returns how many bytes it has.
#[cfg(target_os = "linux")]
pub fn get_bytes(socket: &Socket, opt: Opt, out: &mut [u8]) -> io::Result<usize> {
    let mut len = out.len() as libc::socklen_t;
    // SAFETY: the pointer is that of a live, exclusively borrowed slice of `len` bytes; the kernel
    // writes at most that many and puts the number into `len`.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), opt.level, opt.name, out.as_mut_ptr().cast(), &mut len)
    };
    if result == 0 { Ok(len as usize) } else { Err(io::Error::last_os_error()) }
}

/// The interface that multicast is sent on, by index: `ip_mreqn` {group, address, index}. It needs no
/// route.
pub fn set_multicast_if_v4(socket: &Socket, ifindex: u32) -> io::Result<()> {
    let mut mreqn = [0; 12];
    mreqn[8..].copy_from_slice(&ifindex.to_ne_bytes());
    set_bytes(socket, Opt::new(IPPROTO_IP, libc::IP_MULTICAST_IF, "IP_MULTICAST_IF"), &mreqn)
}

/// The traffic class byte of what is sent.
pub fn set_tclass(socket: &Socket, tclass: u32) -> io::Result<()> {
    set_int(socket, Opt::new(IPPROTO_IPV6, libc::IPV6_TCLASS, "IPV6_TCLASS"), tclass as i32)
}

/// What is awaited of a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Something to receive.
    Read,
    /// Room to send.
    Write,
}

/// Waits until one of `wanted` is ready or has an error, or for `timeout` (`None`: without end).
/// A signal ends the wait early, with nothing ready.
pub fn poll<const N: usize>(wanted: [(Handle, Want); N], timeout: Option<Duration>) -> io::Result<[bool; N]> {
    let mut fds = wanted.map(|(fd, want)| libc::pollfd {
        fd,
        events: match want {
            Want::Read => libc::POLLIN,
            Want::Write => libc::POLLOUT,
        },
        revents: 0,
    });
    // SAFETY: the pointer and the length are those of a live array of pollfd.
    let n = unsafe { libc::poll(fds.as_mut_ptr(), N as libc::nfds_t, millis(timeout)) };
    if n < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::Interrupted { Ok([false; N]) } else { Err(error) };
    }
    Ok(fds.map(|fd| fd.revents != 0))
}

#[cfg(test)]
mod tests {
    #[test]
    fn group_requests_have_the_systems_layout() {
        use super::super::GroupRequest;
        let any = GroupRequest::new(7, "239.1.1.1".parse().unwrap(), None);
        assert_eq!(any.bytes().len(), size_of::<libc::group_req>());
        assert_eq!(super::super::GROUP_REQ_ADDR, std::mem::offset_of!(libc::group_req, gr_group));
        let ssm = GroupRequest::new(7, "232.1.1.1".parse().unwrap(), Some("10.0.0.1".parse().unwrap()));
        assert_eq!(ssm.bytes().len(), size_of::<libc::group_source_req>());
        assert_eq!(
            super::super::GROUP_REQ_ADDR + super::super::STORAGE,
            std::mem::offset_of!(libc::group_source_req, gsr_source)
        );
    }
}
