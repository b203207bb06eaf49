//! A packet socket for a short look at an interface: what arrives for some groups, and what the kernel
//! says of each frame beside its bytes. Linux, with CAP_NET_RAW; elsewhere opening it says so.
//!
//! The ring ([`super::ring`]) is for counting at full speed and has only what this host takes in. This
//! one also has what explains why a frame is not taken in: that it is addressed to another station, that
//! it carries a VLAN tag, that its checksum is wrong. And it has outgoing packets: whether a report left.

use std::net::IpAddr;
use std::time::Duration;

use super::error::NetError;

/// To whom a frame was addressed on the link (`sll_pkttype`, packet(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressed {
    /// To this host, to a group, or to everybody.
    Here,
    /// To another station.
    Elsewhere,
    /// Sent by this host.
    Outgoing,
}

/// A frame, from the IP header on.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// The packet, cut at the buffer's size, with whatever padding the link added.
    pub packet: &'a [u8],
    /// To whom.
    pub addressed: Addressed,
    /// The VLAN it is tagged with; a priority tag is none.
    pub vlan: Option<u16>,
    /// Whether the transport checksum stands in the packet as the sender meant it; false for what a
    /// sender on this machine left to be filled in, true also where nobody verified it yet.
    pub checksum_is_there: bool,
}

/// Whether a look can be had here.
///
/// # Errors
/// Without CAP_NET_RAW, or where the kernel has no packet sockets.
pub fn available() -> Result<(), NetError> {
    imp::available()
}

/// A look at one interface. Promiscuous mode is not asked for.
pub struct Look {
    imp: imp::Look,
}

impl Look {
    /// Looks at an interface from now on: UDP to these groups and its fragments, and IGMP, MLD and PIM.
    ///
    /// # Errors
    /// Without CAP_NET_RAW, or without the interface.
    pub fn open(iface: &str, ifindex: u32, groups: &[IpAddr]) -> Result<Look, NetError> {
        Ok(Look { imp: imp::Look::open(iface, ifindex, groups)? })
    }

    /// The next frame, without waiting; `None` when there is none. What the socket tells of the
    /// interface (that it went down) is passed over.
    pub fn take(&mut self) -> Option<Frame<'_>> {
        self.imp.take()
    }

    /// Waits for a frame, at most so long; a signal ends the wait early.
    pub fn wait(&self, timeout: Duration) {
        self.imp.wait(timeout);
    }

    /// Frames that found the buffer full since this was last asked.
    pub fn drops(&self) -> u64 {
        self.imp.drops()
    }
}

#[cfg(target_os = "linux")]
mod imp {
    use std::io;
    use std::mem::offset_of;
    use std::net::IpAddr;
    use std::time::Duration;

    use socket2::{Domain, MsgHdrMut, SockAddr, SockAddrStorage, Socket, Type};

    use super::{Addressed, Frame};
    use crate::net::cmsg::Messages;
    use crate::net::error::NetError;
    use crate::net::privilege::{self, Capability};
    use crate::net::ring::{attach, bind, filter};
    use crate::net::sys::{self, Opt, Want};

    const AUXDATA: Opt = Opt { level: libc::SOL_PACKET, name: libc::PACKET_AUXDATA, text: "PACKET_AUXDATA" };
    const STATISTICS: Opt =
        Opt { level: libc::SOL_PACKET, name: libc::PACKET_STATISTICS, text: "PACKET_STATISTICS" };
    /// Bytes of receive buffer to ask for: some tenths of a second of a fast stream.
    const BUFFER: usize = 8 << 20;
    /// Room for the largest packet.
    const ROOM: usize = 65_536;
    /// Room for a `tpacket_auxdata` and its header, with some to spare.
    const CONTROL: usize = 64;
    /// Bytes of the address that comes with a frame.
    const LINK_ADDRESS: libc::socklen_t = size_of::<libc::sockaddr_ll>() as libc::socklen_t;

    pub fn available() -> Result<(), NetError> {
        socket().map(drop).map_err(|e| refused("any interface", "socket AF_PACKET", e))
    }

    fn socket() -> io::Result<Socket> {
        privilege::retry(&[Capability::NetRaw], || Socket::new(Domain::PACKET, Type::DGRAM, None))
    }

    fn refused(iface: &str, operation: &'static str, source: io::Error) -> NetError {
        NetError::Look { iface: iface.to_owned(), operation, source }
    }

    pub struct Look {
        socket: Socket,
        packet: Box<[u8]>,
    }

    impl Look {
        pub fn open(iface: &str, ifindex: u32, groups: &[IpAddr]) -> Result<Look, NetError> {
            let failed = |operation| move |source| refused(iface, operation, source);
            let socket = socket().map_err(failed("socket AF_PACKET"))?;
            socket.set_nonblocking(true).map_err(failed("O_NONBLOCK"))?;
            sys::set_int(&socket, AUXDATA, 1).map_err(failed(AUXDATA.text))?;
            // What is not granted costs frames only when they come faster than they are read.
            let _ = crate::net::socket::ask_for_buffer(&socket, BUFFER);
            // Before the socket is bound, so that nothing comes in unfiltered.
            attach(&socket, &filter::look(groups)).map_err(failed("SO_ATTACH_FILTER"))?;
            bind(&socket, ifindex).map_err(failed("bind"))?;
            Ok(Look { socket, packet: vec![0; ROOM].into_boxed_slice() })
        }

        pub fn take(&mut self) -> Option<Frame<'_>> {
            let mut control = [std::mem::MaybeUninit::new(0u8); CONTROL];
            // SAFETY: the storage is longer than this, and zeros are a valid sockaddr_ll; the kernel
            // writes at most as much.
            let mut from = unsafe { SockAddr::new(SockAddrStorage::zeroed(), LINK_ADDRESS) };
            let (len, told) = loop {
                // SAFETY: a byte slice may be seen as one that need not be initialised; the kernel only
                // writes to it.
                let room = unsafe { &mut *(&raw mut *self.packet as *mut [std::mem::MaybeUninit<u8>]) };
                let mut buffers = [socket2::MaybeUninitSlice::new(room)];
                let mut message = MsgHdrMut::new()
                    .with_addr(&mut from)
                    .with_buffers(&mut buffers)
                    .with_control(&mut control);
                match self.socket.recvmsg(&mut message, 0) {
                    Ok(n) => break (n, message.control_len()),
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => return None,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    // Told once (ENETDOWN); the next call goes on.
                    Err(_) => return None,
                }
            };
            let control = control.map(|b| {
                // SAFETY: every byte was initialised above.
                unsafe { b.assume_init() }
            });
            let kind = kind_of(&from);
            let (vlan, checksum_is_there) = aux(&control[..told.min(CONTROL)]);
            let addressed = match kind {
                libc::PACKET_HOST | libc::PACKET_BROADCAST | libc::PACKET_MULTICAST => Addressed::Here,
                libc::PACKET_OTHERHOST => Addressed::Elsewhere,
                _ => Addressed::Outgoing,
            };
            Some(Frame { packet: &self.packet[..len.min(ROOM)], addressed, vlan, checksum_is_there })
        }

        pub fn wait(&self, timeout: Duration) {
            // That the wait fails is told by the next look, which finds nothing.
            let _ = sys::poll([(sys::handle(&self.socket), Want::Read)], Some(timeout));
        }

        pub fn drops(&self) -> u64 {
            let mut stats = [0; size_of::<libc::tpacket_stats>()];
            match sys::get_bytes(&self.socket, STATISTICS, &mut stats) {
                Ok(len) if len >= 8 => {
                    let at = offset_of!(libc::tpacket_stats, tp_drops);
                    stats[at..].first_chunk().map_or(0, |b| u64::from(u32::from_ne_bytes(*b)))
                }
                _ => 0,
            }
        }
    }

    /// The packet type in a `sockaddr_ll`.
    fn kind_of(from: &SockAddr) -> u8 {
        // SAFETY: the storage was zeroed and is larger than a sockaddr_ll, of which any bytes are valid.
        unsafe { (*from.as_ptr().cast::<libc::sockaddr_ll>()).sll_pkttype }
    }

    /// VLAN and state of the checksum in a `tpacket_auxdata`.
    fn aux(control: &[u8]) -> (Option<u16>, bool) {
        let found = Messages::of(control).find(|m| m.0 == AUXDATA.level && m.1 == AUXDATA.name);
        let Some((_, _, data)) = found else { return (None, true) };
        let status = data.first_chunk().map_or(0, |b| u32::from_ne_bytes(*b));
        let tci = data.get(offset_of!(libc::tpacket_auxdata, tp_vlan_tci)..).and_then(<[u8]>::first_chunk);
        let vlan = tci.map_or(0, |b| u16::from_ne_bytes(*b) & 0xfff);
        let tagged = status & libc::TP_STATUS_VLAN_VALID != 0 && vlan != 0;
        (tagged.then_some(vlan), status & libc::TP_STATUS_CSUMNOTREADY == 0)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_tag_and_an_unfinished_checksum_are_read() {
            let message = |status: u32, tci: u16| {
                let mut data = [0u8; size_of::<libc::tpacket_auxdata>()];
                data[..4].copy_from_slice(&status.to_ne_bytes());
                let at = offset_of!(libc::tpacket_auxdata, tp_vlan_tci);
                data[at..at + 2].copy_from_slice(&tci.to_ne_bytes());
                let mut m = (16 + data.len()).to_ne_bytes().to_vec();
                m.extend(AUXDATA.level.to_ne_bytes());
                m.extend(AUXDATA.name.to_ne_bytes());
                m.extend(data);
                m
            };
            let valid = libc::TP_STATUS_VLAN_VALID;
            assert_eq!(aux(&message(valid, 0x2007)), (Some(7), true));
            assert_eq!(aux(&message(valid, 0xe000)), (None, true));
            assert_eq!(aux(&message(0, 7)), (None, true));
            assert_eq!(aux(&message(libc::TP_STATUS_CSUMNOTREADY, 0)), (None, false));
            assert_eq!(aux(&[]), (None, true));
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod imp {
    use std::convert::Infallible;
    use std::net::IpAddr;
    use std::time::Duration;

    use super::Frame;
    use crate::net::error::NetError;

    pub fn available() -> Result<(), NetError> {
        Err(NetError::NoLook)
    }

    pub struct Look(Infallible);

    impl Look {
        pub fn open(_: &str, _: u32, _: &[IpAddr]) -> Result<Look, NetError> {
            Err(NetError::NoLook)
        }

        pub fn take(&mut self) -> Option<Frame<'_>> {
            match self.0 {}
        }

        pub fn wait(&self, _: Duration) {
            match self.0 {}
        }

        pub fn drops(&self) -> u64 {
            match self.0 {}
        }
    }
}
