//! Unix without an eventfd: a pipe whose reading end is waited on.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};

use crate::net::sys::Handle;

#[derive(Debug)]
pub struct Event {
    reader: io::PipeReader,
    writer: io::PipeWriter,
}

impl Event {
    pub fn new() -> io::Result<Event> {
        let (reader, writer) = io::pipe()?;
        nonblocking(reader.as_raw_fd())?;
        nonblocking(writer.as_raw_fd())?;
        Ok(Event { reader, writer })
    }

    /// Fails only where the pipe is full: then it is awake already.
    pub fn set(&self) {
        let _ = (&self.writer).write(&[1]);
    }

    pub fn clear(&self) {
        let mut buf = [0; 1024];
        while matches!((&self.reader).read(&mut buf), Ok(1..)) {}
    }

    pub fn handle(&self) -> Handle {
        self.reader.as_raw_fd()
    }
}

fn nonblocking(fd: RawFd) -> io::Result<()> {
    // SAFETY: F_GETFL takes no further argument and only reads the flags of an open descriptor.
    let flags = unsafe { libc::fcntl(fd, libc::F_GETFL) };
    // SAFETY: F_SETFL takes an int and only sets the flags of an open descriptor.
    if flags < 0 || unsafe { libc::fcntl(fd, libc::F_SETFL, flags | libc::O_NONBLOCK) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}
