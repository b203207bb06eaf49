//! Linux: up to a batch of datagrams in one `recvmmsg` call.

use std::io;
use std::os::fd::AsRawFd;
use std::ptr;

use socket2::Socket;

use super::{Area, Drained, Ours, Received};
use crate::base::batch::{Batch, Datagram, SLOTS, SMALL};
use crate::net::{clock, cmsg, sys};

/// Calls that one drain makes at most: a sender faster than it must not hold the thread for good.
const DRAIN_CALLS: usize = 64;

/// Where the kernel writes addresses and control messages, a slot each.
pub struct Many {
    areas: Box<[Area; SLOTS]>,
}

impl Many {
    pub fn new() -> Many {
        Many { areas: Box::new([Area::EMPTY; SLOTS]) }
    }

    /// One call straight into the free slots of the batch.
    pub fn receive(&mut self, socket: &Socket, ours: &Ours<'_>, batch: &mut Batch) -> io::Result<Received> {
        let first = batch.datagrams().len();
        let free = SLOTS - first;
        if free == 0 {
            return Ok(Received::default());
        }
        let mut buffers = [[NO_BUFFER; 2]; SLOTS];
        for ((small, large), pair) in batch.areas(first).zip(&mut buffers) {
            *pair = [buffer(small), buffer(large)];
        }
        let mut headers = self.headers(|i| (&raw mut buffers[i]).cast(), 2);
        // SAFETY: `free` headers are in bounds. Each points to an address and a control area of
        // `self`, which nothing else touches until the call returns, and to the two areas of a slot
        // of `batch`, which is borrowed exclusively: all live, disjoint and as long as said.
        let taken = unsafe { take(socket, &mut headers, free) }?;
        let (mut kept, mut now) = (0, None);
        for (i, header) in headers[..taken].iter().enumerate() {
            let Some(d) = self.accept(i, header, ours, &mut now) else { continue };
            // Slots are filled without gaps: behind a datagram that is not ours the next ones move.
            let (from, to) = (first + i, first + kept);
            if from != to {
                move_slot(&buffers[i], &buffers[kept], d.captured as usize);
            }
            batch.push(to, d);
            kept += 1;
        }
        if kept > 0 {
            batch.received = clock::now();
        }
        Ok(Received { taken, kept, dry: taken < free })
    }

    /// Takes what is queued without buffers: the kernel says the true lengths.
    pub fn drain(&mut self, socket: &Socket, ours: &Ours<'_>, drained: &mut Drained) -> io::Result<Received> {
        let mut total = Received::default();
        for _ in 0..DRAIN_CALLS {
            let mut headers = self.headers(|_| ptr::null_mut(), 0);
            // SAFETY: as in `receive`, without payload areas.
            let taken = unsafe { take(socket, &mut headers, SLOTS) }?;
            total.taken += taken;
            // Nobody reads the times.
            let mut now = Some(crate::base::time::Wall(0));
            for (i, header) in headers[..taken].iter().enumerate() {
                let Some(d) = self.accept(i, header, ours, &mut now) else { continue };
                total.kept += 1;
                drained.packets += 1;
                drained.bytes += u64::from(d.len);
            }
            if taken < SLOTS {
                total.dry = true;
                break;
            }
        }
        Ok(total)
    }

    /// Headers that point to the areas of `self`, with every length set anew: the kernel leaves in
    /// them what the last datagram had.
    fn headers(
        &mut self,
        mut iov: impl FnMut(usize) -> *mut libc::iovec,
        iovlen: usize,
    ) -> [libc::mmsghdr; SLOTS] {
        let mut i = 0;
        self.areas.each_mut().map(|area| {
            // SAFETY: a header of zeros is valid: null pointers with lengths of 0. (musl has padding
            // in it, so that it cannot be written as a literal.)
            let mut header: libc::mmsghdr = unsafe { std::mem::zeroed() };
            let h = &mut header.msg_hdr;
            h.msg_name = (&raw mut area.name).cast();
            h.msg_namelen = sys::NAME as libc::socklen_t;
            h.msg_control = (&raw mut area.control).cast();
            h.msg_controllen = cmsg::CONTROL as _;
            h.msg_iov = iov(i);
            h.msg_iovlen = iovlen as _;
            i += 1;
            header
        })
    }

    fn accept(
        &self,
        i: usize,
        header: &libc::mmsghdr,
        ours: &Ours<'_>,
        now: &mut Option<crate::base::time::Wall>,
    ) -> Option<Datagram> {
        let area = &self.areas[i];
        let name = area.name.get(..header.msg_hdr.msg_namelen as usize)?;
        #[allow(clippy::unnecessary_cast, reason = "msg_controllen is a u32 with musl")]
        let control = area.control.get(..header.msg_hdr.msg_controllen as usize)?;
        ours.accept(name, control, header.msg_len as usize, now)
    }
}

const NO_BUFFER: libc::iovec = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };

fn buffer(area: &mut [u8]) -> libc::iovec {
    libc::iovec { iov_base: area.as_mut_ptr().cast(), iov_len: area.len() }
}

/// Copies a datagram of `len` bytes from the areas of one slot to those of another.
fn move_slot(from: &[libc::iovec; 2], to: &[libc::iovec; 2], len: usize) {
    let small = len.min(SMALL);
    for (part, len) in [(0, small), (1, len - small)] {
        debug_assert!(len <= from[part].iov_len && len <= to[part].iov_len);
        // SAFETY: both are the same area of two different slots of one batch, so they do not
        // overlap; the batch is borrowed exclusively by the caller, and `len` is what the kernel
        // wrote, so within both.
        unsafe { ptr::copy_nonoverlapping(from[part].iov_base.cast::<u8>(), to[part].iov_base.cast(), len) };
    }
}

/// Takes what is there without waiting; 0 when nothing is. `MSG_TRUNC` asks for true lengths.
///
/// The call's own timeout is never used: the kernel looks at it only after a datagram came.
///
/// # Safety
/// Every pointer in the first `n` headers must be null with length 0, or valid for writes of its
/// length.
unsafe fn take(socket: &Socket, headers: &mut [libc::mmsghdr; SLOTS], n: usize) -> io::Result<usize> {
    let n = n.min(SLOTS);
    // SAFETY: `n` headers are in bounds; the rest is the caller's promise.
    let taken = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            n as libc::c_uint,
            (libc::MSG_DONTWAIT | libc::MSG_TRUNC) as _,
            ptr::null_mut(),
        )
    };
    if taken >= 0 {
        return Ok(taken as usize);
    }
    let error = io::Error::last_os_error();
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(0),
        _ => Err(error),
    }
}
