//! Windows: a UDP socket on the loopback address, connected to itself. It can be waited on together
//! with other sockets, which a Win32 event cannot.

use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::windows::io::AsRawSocket;

use crate::net::sys::Handle;

#[derive(Debug)]
pub struct Event(UdpSocket);

impl Event {
    pub fn new() -> io::Result<Event> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        // Connected to itself: nobody else's datagrams are taken.
        socket.connect(socket.local_addr()?)?;
        socket.set_nonblocking(true)?;
        Ok(Event(socket))
    }

    /// Fails only where the buffer is full: then it is awake already.
    pub fn set(&self) {
        let _ = self.0.send(&[1]);
    }

    pub fn clear(&self) {
        let mut buf = [0; 16];
        while self.0.recv(&mut buf).is_ok() {}
    }

    pub fn handle(&self) -> Handle {
        self.0.as_raw_socket() as Handle
    }
}
