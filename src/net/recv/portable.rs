//! Every Unix: one datagram a call, by `recvmsg`.

use std::io;
use std::os::fd::AsRawFd;
use std::ptr;

use socket2::Socket;

use super::{Area, Drained, One, Ours, Received};
use crate::base::batch::{Batch, LARGE, SLOTS};
use crate::base::time::Wall;
use crate::net::{clock, cmsg, sys};

/// Datagrams that one drain takes at most: a sender faster than it must not hold the thread for good.
const DRAIN_PACKETS: usize = 64 * SLOTS;

/// Where the kernel writes address and control messages.
pub struct Single {
    area: Box<Area>,
}

/// One datagram as `recvmsg` told it.
struct Taken {
    len: usize,
    name_len: usize,
    control_len: usize,
}

impl Single {
    pub fn new() -> Single {
        Single { area: Box::new(Area::EMPTY) }
    }

    /// Calls until the batch is full or nothing is left.
    pub fn receive(&mut self, socket: &Socket, ours: &Ours<'_>, batch: &mut Batch) -> io::Result<Received> {
        let free = SLOTS - batch.datagrams().len();
        let mut out = Received::default();
        let mut now = None;
        for _ in 0..free {
            // A slot that held a datagram of others is used again.
            let slot = batch.datagrams().len();
            let (small, large) = batch.areas(slot);
            let taken = match self.take(socket, small, large) {
                Ok(Some(taken)) => taken,
                Ok(None) => {
                    out.dry = true;
                    break;
                }
                // What was taken before is not given up: the error comes again with the next call.
                Err(error) if out.taken == 0 => return Err(error),
                Err(_) => break,
            };
            out.taken += 1;
            if let Some(d) = self.accept(&taken, ours, &mut now) {
                batch.push(slot, d);
                out.kept += 1;
            }
        }
        if out.kept > 0 {
            batch.received = clock::now();
        }
        Ok(out)
    }

    /// Takes what is queued without keeping it. Not every system tells the length of what it cuts,
    /// so there is a buffer for as long as it takes.
    pub fn drain(&mut self, socket: &Socket, ours: &Ours<'_>, drained: &mut Drained) -> io::Result<Received> {
        let mut sink = vec![0u8; LARGE];
        let mut out = Received::default();
        for _ in 0..DRAIN_PACKETS {
            let Some(taken) = self.take(socket, &mut sink, &mut [])? else {
                out.dry = true;
                break;
            };
            out.taken += 1;
            if let Some(d) = self.accept(&taken, ours, &mut Some(Wall(0))) {
                out.kept += 1;
                drained.packets += 1;
                drained.bytes += u64::from(d.len);
            }
        }
        Ok(out)
    }

    /// Takes one datagram of whomever without waiting, its bytes into `buf`; `None` when there is none.
    pub fn take_one(&mut self, socket: &Socket, buf: &mut [u8]) -> io::Result<Option<One<'_>>> {
        let Some(taken) = self.take(socket, buf, &mut [])? else { return Ok(None) };
        let (name, control) = (&self.area.name, &self.area.control);
        Ok(Some(One {
            len: taken.len,
            name: &name[..taken.name_len.min(name.len())],
            control: &control[..taken.control_len.min(control.len())],
        }))
    }

    fn accept(
        &self,
        taken: &Taken,
        ours: &Ours<'_>,
        now: &mut Option<Wall>,
    ) -> Option<crate::base::batch::Datagram> {
        let name = self.area.name.get(..taken.name_len)?;
        let control = self.area.control.get(..taken.control_len)?;
        ours.accept(name, control, taken.len, now)
    }

    /// Takes one datagram without waiting, its bytes into `first` and then `second`; `None` when
    /// there is none.
    fn take(&mut self, socket: &Socket, first: &mut [u8], second: &mut [u8]) -> io::Result<Option<Taken>> {
        let mut iov = [
            libc::iovec { iov_base: first.as_mut_ptr().cast(), iov_len: first.len() },
            libc::iovec { iov_base: second.as_mut_ptr().cast(), iov_len: second.len() },
        ];
        // SAFETY: a header of zeros is valid: null pointers with lengths of 0.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_name = (&raw mut self.area.name).cast();
        header.msg_namelen = sys::NAME as libc::socklen_t;
        header.msg_control = (&raw mut self.area.control).cast();
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
}
