//! Linux: `TPACKET_V3` (Documentation/networking/packet_mmap.rst).
//!
//! The ring is a row of blocks. The kernel fills one, and hands it over by its status word: when it is
//! full, or [`RETIRE_MS`] after its first packet at the latest. The reader walks it and hands it back.

use std::io;
use std::marker::PhantomData;
use std::mem::offset_of;
use std::net::IpAddr;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use libc::{tpacket_block_desc, tpacket_hdr_v1, tpacket_req3, tpacket_stats_v3, tpacket3_hdr};
use socket2::{Domain, SockAddr, SockAddrStorage, SockFilter, Socket, Type};

use super::filter::{self, Op};
use super::looped::Looped;
use super::{DEFAULT_BYTES, Frame, Mark, Ready};
use crate::base::tap::Depth;
use crate::base::time::{SECOND_NS, Wall};
use crate::net::error::NetError;
use crate::net::privilege::{self, Capability};
use crate::net::sys::{self, Opt, Want};
use crate::net::wake::Waker;

/// Bytes of a block: a power of two of pages, and several times the largest packet. Small enough that a
/// busy link fills a block within the time below, large enough that blocks are few.
const BLOCK: usize = 256 << 10;
/// Blocks at least: one is filled while others are read.
const BLOCKS_MIN: usize = 4;
/// A block that has a packet is handed over after this time, though not full, in milliseconds; the kernel
/// may take twice as long. It bounds both what a packet waits and how often the reader wakes.
const RETIRE_MS: u32 = 4;

const PACKET: i32 = libc::SOL_PACKET;
const VERSION: Opt = Opt { level: PACKET, name: libc::PACKET_VERSION, text: "PACKET_VERSION" };
const RX_RING: Opt = Opt { level: PACKET, name: libc::PACKET_RX_RING, text: "PACKET_RX_RING" };
const STATISTICS: Opt = Opt { level: PACKET, name: libc::PACKET_STATISTICS, text: "PACKET_STATISTICS" };
const IGNORE_OUTGOING: Opt =
    Opt { level: PACKET, name: libc::PACKET_IGNORE_OUTGOING, text: "PACKET_IGNORE_OUTGOING" };
const ADD_MEMBERSHIP: Opt =
    Opt { level: PACKET, name: libc::PACKET_ADD_MEMBERSHIP, text: "PACKET_ADD_MEMBERSHIP" };

/// Where reports and leaves go that are not sent to the group itself, as Ethernet has it: 224.0.0.22 and
/// 224.0.0.2 (RFC 9776 section 4.2.15, RFC 2236 section 3), ff02::16 and ff02::2 (RFC 9777, RFC 2710).
const REPORTS_GO_TO: [[u8; 6]; 4] = [
    [0x01, 0x00, 0x5e, 0, 0, 0x16],
    [0x01, 0x00, 0x5e, 0, 0, 0x02],
    [0x33, 0x33, 0, 0, 0, 0x16],
    [0x33, 0x33, 0, 0, 0, 0x02],
];

/// `TPACKET_V3` of linux/if_packet.h.
const TPACKET_V3: i32 = libc::tpacket_versions::TPACKET_V3 as i32;
/// Every protocol: both families in one ring.
const ETH_P_ALL: u16 = libc::ETH_P_ALL as u16;

/// Where a block's header has its fields.
mod at {
    use super::*;
    const HEADER: usize = offset_of!(tpacket_block_desc, hdr);
    pub const STATUS: usize = HEADER + offset_of!(tpacket_hdr_v1, block_status);
    pub const PACKETS: usize = HEADER + offset_of!(tpacket_hdr_v1, num_pkts);
    pub const FIRST: usize = HEADER + offset_of!(tpacket_hdr_v1, offset_to_first_pkt);
}

/// Whether a ring can be opened here.
///
/// # Errors
/// Without CAP_NET_RAW, or where the kernel has no packet sockets.
pub fn available() -> Result<(), NetError> {
    socket().map(drop).map_err(|e| refused("any interface", "socket AF_PACKET", e))
}

/// Whether a tap can be opened here.
///
/// # Errors
/// As [`available`].
pub fn tap_available() -> Result<(), NetError> {
    socket().map(drop).map_err(|source| NetError::Tap {
        iface: "any interface".to_owned(),
        operation: "socket AF_PACKET",
        source,
    })
}

/// A packet socket that receives nothing yet.
fn socket() -> io::Result<Socket> {
    privilege::retry(&[Capability::NetRaw], || Socket::new(Domain::PACKET, Type::DGRAM, None))
}

fn refused(iface: &str, operation: &'static str, source: io::Error) -> NetError {
    NetError::Ring { iface: iface.to_owned(), operation, source }
}

/// The ring of one interface.
pub struct Ring {
    // Dropped before the socket: the kernel keeps the memory until it is unmapped.
    map: Map,
    socket: Socket,
    /// A tap has none: it takes what is sent as it leaves.
    looped: Option<Looped>,
    iface: Arc<str>,
    /// The block that is read next.
    next: usize,
    drops: u64,
}

impl Ring {
    /// Opens a ring of about `bytes` bytes (`None`: [`DEFAULT_BYTES`]) on an interface. Nothing passes its
    /// filter before [`Ring::set_groups`].
    ///
    /// # Errors
    /// Without CAP_NET_RAW, without the memory, or without the interface.
    pub fn open(iface: &Arc<str>, ifindex: u32, bytes: Option<usize>) -> Result<Ring, NetError> {
        let mut ring = Ring::opened(iface, ifindex, bytes, &filter::received(&[]), true)?;
        let failed = |source| refused(iface, "a raw socket", source);
        ring.looped = Some(Looped::open(ifindex, bytes).map_err(failed)?);
        Ok(ring)
    }

    /// Opens a ring of about `bytes` bytes that joins nothing and sees what of this depth is on the
    /// interface, in both directions; `loopback` says that the interface is the loopback.
    ///
    /// To hear what the adapter's filter would keep away it asks the adapter, and nobody else: for the
    /// addresses that IGMP and MLD reports go to, and for all multicast if that is asked for.
    ///
    /// # Errors
    /// As [`Ring::open`].
    pub fn tap(
        iface: &Arc<str>,
        ifindex: u32,
        (depth, loopback): (Depth, bool),
        bytes: Option<usize>,
    ) -> Result<Ring, NetError> {
        let as_tap = |e| match e {
            NetError::Ring { iface, operation, source } => NetError::Tap { iface, operation, source },
            other => other,
        };
        let ring = Ring::opened(iface, ifindex, bytes, &filter::tapped(depth, loopback), loopback)
            .map_err(as_tap)?;
        let ask = |kind: i32, address: &[u8]| {
            // packet_mreq: index, type, length of the address, address.
            let mut mreq = [0; size_of::<libc::packet_mreq>()];
            mreq[..4].copy_from_slice(&(ifindex as i32).to_ne_bytes());
            mreq[4..6].copy_from_slice(&(kind as u16).to_ne_bytes());
            mreq[6..8].copy_from_slice(&(address.len() as u16).to_ne_bytes());
            mreq[8..8 + address.len()].copy_from_slice(address);
            sys::set_bytes(&ring.socket, ADD_MEMBERSHIP, &mreq)
        };
        for address in REPORTS_GO_TO {
            // An interface without a filter of addresses refuses, and has none to be opened.
            let _ = ask(libc::PACKET_MR_MULTICAST, &address);
        }
        if depth == Depth::All {
            let failed = |source| as_tap(refused(iface, "PACKET_MR_ALLMULTI", source));
            ask(libc::PACKET_MR_ALLMULTI, &[]).map_err(failed)?;
        }
        Ok(ring)
    }

    fn opened(
        iface: &Arc<str>,
        ifindex: u32,
        bytes: Option<usize>,
        program: &[Op],
        ignore_outgoing: bool,
    ) -> Result<Ring, NetError> {
        let failed = |operation| move |source| refused(iface, operation, source);
        let socket = socket().map_err(failed("socket AF_PACKET"))?;
        let set = |opt: Opt, value: &[u8]| sys::set_bytes(&socket, opt, value).map_err(failed(opt.text));
        set(VERSION, &TPACKET_V3.to_ne_bytes())?;
        let blocks = (bytes.unwrap_or(DEFAULT_BYTES) / BLOCK).max(BLOCKS_MIN);
        // tpacket_req3: block size, blocks, frame size, frames, timeout, private bytes, features. With
        // version 3 packets are packed: the frame size only has to fit the block size.
        const FRAME: usize = 2048;
        let request = [BLOCK, blocks, FRAME, BLOCK / FRAME * blocks, RETIRE_MS as usize, 0, 0];
        let mut req = [0; size_of::<tpacket_req3>()];
        for (bytes, field) in req.chunks_exact_mut(4).zip(request) {
            bytes.copy_from_slice(&(field as u32).to_ne_bytes());
        }
        set(RX_RING, &req)?;
        let map = Map::new(&socket, BLOCK * blocks).map_err(failed("mmap"))?;
        // Before the socket is bound, so that nothing comes in unfiltered.
        attach(&socket, program).map_err(failed("SO_ATTACH_FILTER"))?;
        if ignore_outgoing {
            // The filter refuses outgoing packets too; kernels before 4.20 leave it to that.
            let _ = sys::set_int(&socket, IGNORE_OUTGOING, 1);
        }
        bind(&socket, ifindex).map_err(failed("bind"))?;
        Ok(Ring { map, socket, looped: None, iface: iface.clone(), next: 0, drops: 0 })
    }

    /// Bytes of memory that the ring has.
    pub fn bytes(&self) -> usize {
        self.map.len
    }

    /// Lets these groups through. Nothing that is on its way is lost.
    ///
    /// # Errors
    /// What the system refuses.
    pub fn set_groups(&self, groups: &[IpAddr]) -> Result<(), NetError> {
        attach(&self.socket, &filter::received(groups))
            .and_then(|()| self.looped.as_ref().map_or(Ok(()), |l| l.set_groups(groups)))
            .map_err(|e| refused(&self.iface, "SO_ATTACH_FILTER", e))
    }

    /// Waits until there is something to take or the waker is awake, at most `timeout` (`None`: without
    /// end). A signal to the thread ends the wait early.
    ///
    /// # Errors
    /// When the system cannot wait, or the socket has failed. That the interface went down is no failure:
    /// it goes on when it is up again.
    pub fn wait(&self, waker: &Waker, timeout: Option<Duration>) -> Result<Ready, NetError> {
        let families = self.looped.as_ref().map_or([None; 2], Looped::handles);
        // The waker stands in for a family that the host does not have.
        let [v4, v6] = families.map(|h| h.unwrap_or(waker.handle()));
        let handles = [sys::handle(&self.socket), waker.handle(), v4, v6];
        let [received, woken, v4, v6] =
            sys::poll(handles.map(|h| (h, Want::Read)), timeout).map_err(|source| NetError::Wait {
                object: format!("the packet ring on {}", self.iface),
                source,
            })?;
        if received && !self.is_filled(self.next) {
            match self.socket.take_error() {
                Ok(Some(e)) | Err(e) if e.raw_os_error() != Some(sys::errno::NETDOWN) => {
                    return Err(refused(&self.iface, "poll", e));
                }
                _ => {}
            }
        }
        let looped = v4 && families[0].is_some() || v6 && families[1].is_some();
        Ok(Ready { received, looped, woken })
    }

    /// The next block that the kernel has handed over; it goes back when it is dropped.
    pub fn block(&mut self) -> Option<Block<'_>> {
        if !self.is_filled(self.next) {
            return None;
        }
        let base = self.map.block(self.next);
        self.next = (self.next + 1) % self.map.blocks();
        // SAFETY: `base` is the start of a block of the mapping, which lives as long as `self`. Its status
        // was read with acquire ordering and says that it is ours, so the kernel neither writes to it nor
        // reads it until the status is set back, which only the drop of this block does; and `self` stays
        // borrowed until then, so that no second one is made.
        Some(unsafe { Block::new(base) })
    }

    /// Whether less than half of the ring is free: then packets had better be counted than kept waiting.
    pub fn is_half_full(&self) -> bool {
        self.is_filled((self.next + self.map.blocks() / 2) % self.map.blocks())
    }

    /// Takes one datagram that was looped back; `None` when there is none.
    ///
    /// # Errors
    /// What the system tells, once; the socket stays usable.
    pub fn looped(&mut self) -> Result<Option<Frame<'_>>, NetError> {
        let Some(looped) = &mut self.looped else { return Ok(None) };
        looped.take().map_err(|source| NetError::Receive {
            object: format!("the packet ring on {} (looped)", self.iface),
            source,
        })
    }

    /// Packets dropped because the ring, or the buffer for what is looped back, was full, since it was
    /// opened. They passed the filter: groups that are joined on the interface, of any port and source; a
    /// fragment counts as one.
    ///
    /// The kernel's counters have 32 bits: ask at least once in 2^32 drops.
    pub fn drops(&mut self) -> u64 {
        // Reading sets the kernel's counter to zero.
        let mut stats = [0; size_of::<tpacket_stats_v3>()];
        if let Ok(len) = sys::get_bytes(&self.socket, STATISTICS, &mut stats)
            && let Some(drops) = stats[..len].get(offset_of!(tpacket_stats_v3, tp_drops)..)
            && let Some(drops) = drops.first_chunk()
        {
            self.drops += u64::from(u32::from_ne_bytes(*drops));
        }
        self.drops + self.looped.as_mut().map_or(0, Looped::drops)
    }

    fn is_filled(&self, block: usize) -> bool {
        // SAFETY: a block of the mapping, alive as long as `self`.
        let status = unsafe { status(self.map.block(block)) };
        // Acquire: what the kernel wrote into the block before it set the status is seen after this.
        status.load(Ordering::Acquire) & libc::TP_STATUS_USER != 0
    }
}

/// Lets through what a program does.
pub fn attach(socket: &Socket, program: &[Op]) -> io::Result<()> {
    let program: Vec<SockFilter> = program.iter().map(|o| SockFilter::new(o.code, o.jt, o.jf, o.k)).collect();
    socket.attach_filter(&program)
}

/// Binds a packet socket to an interface, for every protocol.
pub fn bind(socket: &Socket, ifindex: u32) -> io::Result<()> {
    let mut storage = SockAddrStorage::zeroed();
    // SAFETY: sockaddr_ll fits into the storage, and zeros are a valid one.
    let ll = unsafe { storage.view_as::<libc::sockaddr_ll>() };
    ll.sll_family = libc::AF_PACKET as _;
    ll.sll_protocol = ETH_P_ALL.to_be();
    ll.sll_ifindex = ifindex as i32;
    // SAFETY: the storage holds a sockaddr_ll of this length.
    let addr = unsafe { SockAddr::new(storage, size_of::<libc::sockaddr_ll>() as libc::socklen_t) };
    socket.bind(&addr)
}

/// The ring's memory.
struct Map {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: the mapping belongs to this value alone and is not tied to a thread.
unsafe impl Send for Map {}

impl Map {
    fn new(socket: &Socket, len: usize) -> io::Result<Map> {
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                sys::handle(socket),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or_else(|| io::Error::other("mapped to nowhere"))?;
        Ok(Map { base, len })
    }

    fn blocks(&self) -> usize {
        self.len / BLOCK
    }

    /// The start of a block.
    fn block(&self, n: usize) -> NonNull<u8> {
        debug_assert!(n < self.blocks());
        // SAFETY: block `n` lies within the mapping: every caller counts modulo `blocks`.
        unsafe { self.base.add(n * BLOCK) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        // SAFETY: the mapping was made with this address and length, and nothing borrows from it any more:
        // blocks borrow the ring that owns it.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// The status word of a block, which the kernel writes too.
///
/// # Safety
/// `block` must be the start of a block of a mapping that outlives `'a`.
unsafe fn status<'a>(block: NonNull<u8>) -> &'a AtomicU32 {
    // SAFETY: the word lies within the block, and is aligned: blocks start on a page and the field's offset
    // is a multiple of 4. Both sides access it atomically only.
    unsafe { AtomicU32::from_ptr(block.add(at::STATUS).cast().as_ptr()) }
}

/// A block that the kernel has handed over.
pub struct Block<'r> {
    base: NonNull<u8>,
    ring: PhantomData<&'r mut Ring>,
}

impl Block<'_> {
    /// # Safety
    /// `base` must be the start of a block of a mapping that outlives `'r`, whose status says that it is
    /// ours, and no other value of it may exist.
    unsafe fn new(base: NonNull<u8>) -> Self {
        Block { base, ring: PhantomData }
    }

    /// What is in it, in the order of arrival.
    pub fn frames(&self) -> Frames<'_> {
        // SAFETY: the block has this many bytes, they are initialised (the kernel hands out zeroed pages),
        // and while this value exists the kernel does not write to them (see `Block::new`). Nobody takes
        // the status word, which is among them, for writing before this value is dropped.
        let bytes = unsafe { std::slice::from_raw_parts(self.base.as_ptr(), BLOCK) };
        let field = |at: usize| bytes[at..].first_chunk().map_or(0, |b| u32::from_ne_bytes(*b));
        Frames { bytes, at: field(at::FIRST) as usize, left: field(at::PACKETS) }
    }
}

impl Drop for Block<'_> {
    fn drop(&mut self) {
        // SAFETY: as `Block::new` was promised.
        let status = unsafe { status(self.base) };
        // Release: what was read from the block was read before this.
        status.store(libc::TP_STATUS_KERNEL, Ordering::Release);
    }
}

/// The packets of a block. What does not lie within the block ends the walk.
pub struct Frames<'a> {
    bytes: &'a [u8],
    at: usize,
    left: u32,
}

impl<'a> Frames<'a> {
    /// The frames, each with what a tap wants to know besides.
    pub fn marked(mut self) -> impl Iterator<Item = (Frame<'a>, Mark)> {
        std::iter::from_fn(move || {
            let header = self.bytes.get(self.at..)?;
            let frame = self.next()?;
            Some((frame, mark(header)))
        })
    }
}

/// What the header of a packet and the address behind it say.
fn mark(header: &[u8]) -> Mark {
    // A sockaddr_ll follows the header at the next multiple of 16 (TPACKET_ALIGNMENT).
    const ADDRESS: usize = size_of::<tpacket3_hdr>().next_multiple_of(16);
    let kind = header.get(ADDRESS + offset_of!(libc::sockaddr_ll, sll_pkttype));
    let status = header.get(offset_of!(tpacket3_hdr, tp_status)..).and_then(|b| b.first_chunk());
    let status = status.map_or(0, |b| u32::from_ne_bytes(*b));
    const TAG: usize = offset_of!(tpacket3_hdr, hv1) + offset_of!(libc::tpacket_hdr_variant1, tp_vlan_tci);
    let tag = header.get(TAG..).and_then(|b| b.first_chunk());
    let vlan = tag.map_or(0, |b| u32::from_ne_bytes(*b)) as u16 & 0xfff;
    Mark {
        outgoing: kind.is_some_and(|&k| u32::from(k) == filter::OUTGOING),
        // A priority tag is no VLAN.
        vlan: (status & libc::TP_STATUS_VLAN_VALID != 0 && vlan > 0).then_some(vlan),
    }
}

impl<'a> Iterator for Frames<'a> {
    type Item = Frame<'a>;

    #[inline]
    fn next(&mut self) -> Option<Frame<'a>> {
        self.left = self.left.checked_sub(1)?;
        let frame = self.bytes.get(self.at..)?;
        let header: &[u8; size_of::<tpacket3_hdr>()] = frame.first_chunk()?;
        let word = |at: usize| {
            let b = [header[at], header[at + 1], header[at + 2], header[at + 3]];
            u32::from_ne_bytes(b)
        };
        let net = offset_of!(tpacket3_hdr, tp_net);
        let start = usize::from(u16::from_ne_bytes([header[net], header[net + 1]]));
        let len = word(offset_of!(tpacket3_hdr, tp_snaplen)) as usize;
        let packet = frame.get(start..)?.get(..len)?;
        let seconds = u64::from(word(offset_of!(tpacket3_hdr, tp_sec)));
        let nanoseconds = u64::from(word(offset_of!(tpacket3_hdr, tp_nsec)));
        let status = word(offset_of!(tpacket3_hdr, tp_status));
        match word(offset_of!(tpacket3_hdr, tp_next_offset)) as usize {
            0 => self.left = 0,
            n => self.at += n,
        }
        Some(Frame {
            packet,
            time: Wall((seconds * SECOND_NS + nanoseconds) as i64),
            verified: status & (libc::TP_STATUS_CSUM_VALID | libc::TP_STATUS_CSUMNOTREADY) != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet as the kernel lays it out: header, address, IP packet.
    fn frame(next: usize, start: u16, packet: &[u8]) -> Vec<u8> {
        let mut f = vec![0; 96];
        f[..4].copy_from_slice(&(next as u32).to_ne_bytes());
        f[4..8].copy_from_slice(&7u32.to_ne_bytes());
        f[8..12].copy_from_slice(&5u32.to_ne_bytes());
        f[12..16].copy_from_slice(&(packet.len() as u32).to_ne_bytes());
        f[20..24].copy_from_slice(&(libc::TP_STATUS_USER | libc::TP_STATUS_CSUM_VALID).to_ne_bytes());
        f[26..28].copy_from_slice(&start.to_ne_bytes());
        f.extend_from_slice(packet);
        f
    }

    fn read(bytes: &[u8], left: u32) -> Vec<&[u8]> {
        Frames { bytes, at: 0, left }.map(|f| f.packet).collect()
    }

    #[test]
    fn packets_are_walked_with_their_times() {
        let mut b = frame(112, 96, b"first");
        b.resize(112, 0);
        b.extend(frame(0, 96, b"second"));
        assert_eq!(read(&b, 2), [&b"first"[..], b"second"]);
        let first = Frames { bytes: &b, at: 0, left: 2 }.next().unwrap();
        assert_eq!((first.time, first.verified), (Wall(7_000_000_005), true));
        assert_eq!(read(&b, 9), [&b"first"[..], b"second"], "a number too high");
    }

    #[test]
    fn what_points_out_of_the_block_ends_the_walk() {
        for bad in [frame(0, 97, b"five5"), frame(0, u16::MAX, b"five5"), frame(0, 96, b"")[..40].to_vec()] {
            assert!(read(&bad, 1).is_empty());
        }
        let far = frame(1 << 30, 96, b"first");
        assert_eq!(read(&far, 3), [&b"first"[..]]);
        assert!(Frames { bytes: &far, at: usize::MAX, left: 1 }.next().is_none());
    }
}
