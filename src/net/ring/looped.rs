//! What local senders' datagrams come back as: a raw UDP socket a family, tied to the interface.

use std::io;
use std::net::IpAddr;

use socket2::{Domain, Protocol, Socket, Type};

use super::Frame;
use super::filter;
use super::linux::attach;
use crate::net::privilege::{self, Capability};
use crate::net::recv::RawReceiver;
use crate::net::socket::Counter;
use crate::net::sys::{self, Handle};
use crate::net::{clock, socket};

/// Bytes of receive buffer to ask for when nothing else is asked for.
const BUFFER: usize = 1 << 20;
/// Bytes of an IPv6 header, which a raw socket leaves out.
const V6_HEADER: usize = 40;
/// Room for the largest packet.
const ROOM: usize = 65_536 + V6_HEADER;

struct Family {
    socket: Socket,
    drops: Counter,
}

/// The sockets, and where a datagram is put together.
pub struct Looped {
    v4: Option<Family>,
    v6: Option<Family>,
    ifindex: u32,
    receiver: RawReceiver,
    packet: Box<[u8]>,
}

impl Looped {
    pub fn open(ifindex: u32, rcvbuf: Option<usize>) -> io::Result<Looped> {
        let family = |domain| -> io::Result<Option<Family>> {
            let open = move || Socket::new(domain, Type::RAW, Some(Protocol::UDP));
            let socket = match privilege::retry(&[Capability::NetRaw], open) {
                // No such family on this host: nothing of it is looped.
                Err(e) if e.raw_os_error() == Some(sys::errno::AFNOSUPPORT) => return Ok(None),
                other => other?,
            };
            attach(&socket, &filter::looped(&[], domain == Domain::IPV4))?;
            let tie = move |s: &Socket| sys::set_int(s, sys::BINDTOIFINDEX, ifindex as i32);
            privilege::on(&socket, &[Capability::NetRaw], tie)?;
            sys::tell(&socket, domain == Domain::IPV4).map_err(|(_, e)| e)?;
            socket::ask_for_buffer(&socket, rcvbuf.unwrap_or(BUFFER))?;
            Ok(Some(Family { socket, drops: Counter::default() }))
        };
        Ok(Looped {
            v4: family(Domain::IPV4)?,
            v6: family(Domain::IPV6)?,
            ifindex,
            receiver: RawReceiver::new(),
            packet: vec![0; ROOM].into_boxed_slice(),
        })
    }

    /// Lets these groups through.
    pub fn set_groups(&self, groups: &[IpAddr]) -> io::Result<()> {
        for (family, v4) in [(&self.v4, true), (&self.v6, false)] {
            if let Some(f) = family {
                attach(&f.socket, &filter::looped(groups, v4))?;
            }
        }
        Ok(())
    }

    /// What to wait on.
    pub fn handles(&self) -> [Option<Handle>; 2] {
        [&self.v4, &self.v6].map(|f| f.as_ref().map(|f| sys::handle(&f.socket)))
    }

    /// Takes one datagram, as an IP packet; what arrived on another interface before the socket was tied to
    /// this one is passed over.
    pub fn take(&mut self) -> io::Result<Option<Frame<'_>>> {
        let Looped { v4, v6, ifindex, receiver, packet } = self;
        let mut end = None;
        for (family, start) in [(v4, 0), (v6, V6_HEADER)] {
            let Some(Family { socket, .. }) = family else { continue };
            while let Some(raw) = receiver.take(socket, &mut packet[start..])? {
                if raw.told.ifindex != *ifindex {
                    continue;
                }
                if start > 0 {
                    let (Some(IpAddr::V6(from)), Some(IpAddr::V6(to))) = (raw.from, raw.told.destination)
                    else {
                        continue;
                    };
                    let tos = raw.told.tos.unwrap_or(0);
                    packet[..4].copy_from_slice(&[0x60 | tos >> 4, tos << 4, 0, 0]);
                    packet[4..6].copy_from_slice(&(raw.len as u16).to_be_bytes());
                    packet[6..8].copy_from_slice(&[libc::IPPROTO_UDP as u8, raw.told.ttl.unwrap_or(0)]);
                    packet[8..24].copy_from_slice(&from.octets());
                    packet[24..40].copy_from_slice(&to.octets());
                }
                end = Some((start + raw.len, raw.told.time));
                break;
            }
            if end.is_some() {
                break;
            }
        }
        Ok(end.map(|(len, time)| Frame {
            packet: &packet[..len],
            time: time.unwrap_or_else(|| clock::now().wall),
            // The kernel looks at no checksum of what it loops back.
            verified: true,
        }))
    }

    /// Datagrams that found the buffer full.
    pub fn drops(&mut self) -> u64 {
        let read = |f: &mut Option<Family>| {
            let Some(f) = f else { return 0 };
            socket::kernel_drops(&f.socket).map_or(0, |n| f.drops.read(n))
        };
        read(&mut self.v4) + read(&mut self.v6)
    }
}
