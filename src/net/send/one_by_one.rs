//! Elsewhere: one datagram a call.

use std::io;
use std::net::SocketAddr;

use socket2::{SockAddr, Socket};

/// Sends the first of these datagrams; returns how many.
pub fn send(socket: &Socket, to: SocketAddr, payloads: &[&[u8]]) -> io::Result<usize> {
    let Some(payload) = payloads.first() else { return Ok(0) };
    socket.send_to(payload, &SockAddr::from(to))?;
    Ok(1)
}
