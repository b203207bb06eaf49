//! Binding to a port that others use too, without taking anything from them.
//!
//! Whoever set neither SO_REUSEADDR nor SO_REUSEPORT shares with nobody; who set one of them shares with
//! those who set the same one. So both are set, and the port is shared with whoever shares at all.
//!
//! On Linux there is a catch. Sockets of one user that are bound alike with SO_REUSEPORT form a group,
//! and unicast is balanced among them. Multicast is copied to every matching socket, but not when
//! exactly one matches: then it is found early (net/ipv4/udp.c, udp_v4_early_demux), and newer kernels
//! hand it to a member of its group by hash (net/inet_hashtables.h, inet_steal_sock), though the others
//! have not joined that group on that interface or filter its sender. Measured on 6.18, IPv4: the same
//! group on two interfaces, a socket each, and half of what arrives goes to the wrong one, lost to the
//! right one. An application that is being watched would lose datagrams to us just so.
//!
//! A socket enters such a group when it is bound, or when another one is bound alike. So:
//!
//! | step | keeps us out of the group of |
//! | --- | --- |
//! | bind with SO_REUSEADDR alone where that is enough | whoever is there already |
//! | only then set SO_REUSEPORT, for who comes later | our own sockets |
//! | be bound to the interface (`SO_BINDTOIFINDEX`) | whoever comes later and is not bound to it |

use std::io;

use socket2::{SockAddr, Socket};

/// Binds and shares.
#[cfg(target_os = "linux")]
pub fn bind(socket: &Socket, at: &SockAddr) -> io::Result<()> {
    socket.set_reuse_address(true)?;
    match socket.bind(at) {
        // Somebody is there who set SO_REUSEPORT alone.
        Err(e) if e.kind() == io::ErrorKind::AddrInUse => {
            socket.set_reuse_port(true)?;
            socket.bind(at)
        }
        Err(e) => Err(e),
        Ok(()) => socket.set_reuse_port(true),
    }
}

/// Binds and shares.
#[cfg(not(target_os = "linux"))]
pub fn bind(socket: &Socket, at: &SockAddr) -> io::Result<()> {
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    socket.bind(at)
}
