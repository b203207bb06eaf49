//! Linux: one descriptor that counts.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::net::sys::Handle;

#[derive(Debug)]
pub struct Event(OwnedFd);

impl Event {
    pub fn new() -> io::Result<Event> {
        // SAFETY: the call takes no pointers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just made and belongs to nobody else.
        Ok(Event(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Fails only where the counter is full: then it is awake already.
    pub fn set(&self) {
        let one = 1u64;
        // SAFETY: eight bytes are read from a live u64.
        unsafe { libc::write(self.0.as_raw_fd(), (&raw const one).cast(), 8) };
    }

    /// Fails only where the counter is 0: then it sleeps already.
    pub fn clear(&self) {
        let mut count = 0u64;
        // SAFETY: eight bytes are written to a live u64.
        unsafe { libc::read(self.0.as_raw_fd(), (&raw mut count).cast(), 8) };
    }

    pub fn handle(&self) -> Handle {
        self.0.as_raw_fd()
    }
}
