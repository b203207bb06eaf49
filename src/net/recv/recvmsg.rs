//! Unix: `recvmsg`.

use std::io;
use std::os::fd::AsRawFd;
use std::ptr;

use socket2::Socket;

use super::Area;
use crate::net::{cmsg, sys};

/// How long the parts of one datagram are.
pub struct Taken {
    pub len: usize,
    pub name_len: usize,
    pub control_len: usize,
}

/// Takes one datagram without waiting, its bytes into `first` and then `second`; `None` when
/// there is none.
pub fn take(
    area: &mut Area,
    socket: &Socket,
    first: &mut [u8],
    second: &mut [u8],
) -> io::Result<Option<Taken>> {
    let mut iov = [
        libc::iovec { iov_base: first.as_mut_ptr().cast(), iov_len: first.len() },
        libc::iovec { iov_base: second.as_mut_ptr().cast(), iov_len: second.len() },
    ];
    // SAFETY: a header of zeros is valid: null pointers with lengths of 0.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_name = (&raw mut area.name).cast();
    header.msg_namelen = sys::NAME as libc::socklen_t;
    header.msg_control = (&raw mut area.control).cast();
    header.msg_controllen = cmsg::CONTROL as _;
    header.msg_iov = iov.as_mut_ptr();
    header.msg_iovlen = iov.len() as _;
    // SAFETY: every pointer in the header is that of a live, exclusively borrowed area of the
    // length beside it, and they do not overlap.
    let n = unsafe { libc::recvmsg(socket.as_raw_fd(), ptr::from_mut(&mut header), libc::MSG_DONTWAIT) };
    if n < 0 {
        let error = io::Error::last_os_error();
        return match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(None),
            _ => Err(error),
        };
    }
    Ok(Some(Taken {
        len: n as usize,
        name_len: header.msg_namelen as usize,
        control_len: header.msg_controllen as usize,
    }))
}
