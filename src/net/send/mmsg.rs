//! Linux: many datagrams in one `sendmmsg` call.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use socket2::{SockAddr, Socket};

/// Datagrams in one call.
const CALL: usize = 64;

/// Sends the first of these datagrams; returns how many.
pub fn send(socket: &Socket, to: SocketAddr, payloads: &[&[u8]]) -> io::Result<usize> {
    let to = SockAddr::from(to);
    let n = payloads.len().min(CALL);
    let mut iov = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; CALL];
    for (iov, payload) in iov.iter_mut().zip(&payloads[..n]) {
        // The kernel only reads what is sent.
        *iov = libc::iovec { iov_base: payload.as_ptr().cast_mut().cast(), iov_len: payload.len() };
    }
    let mut headers: [libc::mmsghdr; CALL] = std::array::from_fn(|i| {
        // SAFETY: a header of zeros is valid: null pointers with lengths of 0.
        let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
        header.msg_hdr.msg_name = to.as_ptr().cast_mut().cast();
        header.msg_hdr.msg_namelen = to.len();
        header.msg_hdr.msg_iov = &raw mut iov[i];
        header.msg_hdr.msg_iovlen = 1;
        header
    });
    // SAFETY: `n` headers are in bounds; each points to the live address and to a live buffer of
    // the length beside it, which the kernel only reads.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), n as libc::c_uint, 0) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(sent as usize) }
}
