//! The bare receiver, a role of the benchmark's own program: what receiving datagrams with their
//! control messages and a count for each source costs when nothing else is done. A thread and a
//! socket for each group, which waits in `recvmmsg` itself.

use std::io::{self, Read, Write};
use std::mem;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};

use anyhow::{Context, Result, ensure};
use socket2::{Domain, InterfaceIndexOrAddress, Socket, Type};

use super::lab::{self, Lab};
use super::process;
use super::sender::{self, PORT};

/// Messages a call.
const MESSAGES: usize = 32;
/// Bytes of each message that are kept.
const SNAP: usize = 2048;
/// Room for the control messages of a datagram.
const CONTROL: usize = 256;
/// Places for sources of a group.
const PLACES: usize = 64;
/// Stack of each thread.
const STACK: usize = 64 << 10;

/// A command that receives so many groups in the receiver's host, until its input ends.
pub fn command(lab: &Lab, groups: u32, rcvbuf: usize) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("find the benchmark itself")?);
    command.arg("bare").arg(groups.to_string()).arg(rcvbuf.to_string());
    lab.enter(lab::RECEIVER, &mut command)?;
    Ok(command)
}

/// What it counted, printed when its input ends.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    /// Datagrams received.
    pub packets: u64,
    /// Dropped at the socket buffers.
    pub drops: u64,
}

impl Counted {
    /// Reads what it printed after "ready".
    pub fn read(text: &str) -> Result<Counted> {
        let line = text.lines().last().unwrap_or_default();
        let [packets, drops] = process::numbers(line).context("read the bare receiver's count")?;
        Ok(Counted { packets, drops })
    }
}

/// The role: number of groups, receive buffer in bytes.
pub fn main(args: &[String]) -> Result<()> {
    let [groups, rcvbuf] = process::numbers(&args.join(" "))?;
    ensure!(groups > 0 && groups <= 65_536, "nothing to receive");
    process::raise_open_files();
    let stop = Arc::new(AtomicBool::new(false));
    let ready = Arc::new(Barrier::new(groups as usize + 1));
    let mut listeners = Vec::new();
    for g in 0..groups as u32 {
        let socket = Arc::new(open(sender::group(g), rcvbuf as i32)?);
        let (s, stop, ready) = (socket.clone(), stop.clone(), ready.clone());
        let thread = std::thread::Builder::new().stack_size(STACK).spawn(move || {
            ready.wait();
            Listener::new().run(&s, &stop)
        });
        listeners.push((socket, thread.context("start a thread")?));
    }
    ready.wait();
    println!("ready");
    io::stdout().flush()?;
    io::stdin().read_to_end(&mut Vec::new())?;
    stop.store(true, Ordering::Release);
    let (mut packets, mut drops) = (0, 0);
    for (socket, _) in &listeners {
        // Says that it is not connected, and wakes the thread that waits in it all the same.
        let _ = socket.shutdown(std::net::Shutdown::Read);
    }
    for (socket, thread) in listeners {
        let listener = thread.join().map_err(|_| anyhow::anyhow!("a listener panicked"))?;
        packets += listener.context("recvmmsg")?;
        drops += u64::from(process::socket_drops(&socket).context("SO_MEMINFO")?);
    }
    println!("{packets} {drops}");
    Ok(())
}

fn open(group: Ipv4Addr, rcvbuf: i32) -> Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).context("open a socket")?;
    for (level, option, value) in [
        (libc::IPPROTO_IP, libc::IP_MULTICAST_ALL, 0),
        (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1),
        (libc::IPPROTO_IP, libc::IP_PKTINFO, 1),
        (libc::IPPROTO_IP, libc::IP_RECVTTL, 1),
        (libc::IPPROTO_IP, libc::IP_RECVTOS, 1),
        (libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, rcvbuf),
    ] {
        process::set_option(&socket, level, option, &value).with_context(|| format!("option {option}"))?;
    }
    socket.bind(&std::net::SocketAddr::from((group, PORT)).into()).context("bind")?;
    let index = nix::net::if_::if_nametoindex(lab::IFACE).context("find the interface")?;
    socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index)).context("join")?;
    Ok(socket)
}

/// Where the kernel writes one datagram, apart from its payload.
#[repr(align(8))]
struct Area {
    control: [u8; CONTROL],
}

struct Listener {
    payload: Vec<u8>,
    names: Vec<libc::sockaddr_in>,
    areas: Vec<Area>,
    iov: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
    table: Table,
}

impl Listener {
    fn new() -> Listener {
        Listener {
            payload: vec![0; MESSAGES * SNAP],
            // SAFETY: an address and a header of zeros are valid.
            names: vec![unsafe { mem::zeroed() }; MESSAGES],
            areas: (0..MESSAGES).map(|_| Area { control: [0; CONTROL] }).collect(),
            iov: vec![libc::iovec { iov_base: std::ptr::null_mut(), iov_len: SNAP }; MESSAGES],
            // SAFETY: as above.
            headers: vec![unsafe { mem::zeroed() }; MESSAGES],
            table: Table::new(),
        }
    }

    /// Receives until it is told to stop; how many that were.
    fn run(mut self, socket: &Socket, stop: &AtomicBool) -> io::Result<u64> {
        loop {
            for (i, payload) in self.payload.chunks_exact_mut(SNAP).enumerate() {
                self.iov[i].iov_base = payload.as_mut_ptr().cast();
                let h = &mut self.headers[i].msg_hdr;
                h.msg_name = (&raw mut self.names[i]).cast();
                h.msg_namelen = mem::size_of::<libc::sockaddr_in>() as u32;
                h.msg_control = self.areas[i].control.as_mut_ptr().cast();
                h.msg_controllen = CONTROL as _;
                (h.msg_iov, h.msg_iovlen) = (&raw mut self.iov[i], 1);
            }
            // SAFETY: each header points to areas of this listener that live and are as long as said,
            // a set each; nothing else touches them until the call returns.
            let n = unsafe {
                libc::recvmmsg(
                    socket.as_raw_fd(),
                    self.headers.as_mut_ptr(),
                    MESSAGES as u32,
                    libc::MSG_WAITFORONE as _,
                    std::ptr::null_mut(),
                )
            };
            // Woken by the shutdown: what it returns then is no datagram.
            if stop.load(Ordering::Acquire) {
                return Ok(self.table.packets());
            }
            if n < 0 {
                match io::Error::last_os_error() {
                    e if e.kind() == io::ErrorKind::Interrupted => continue,
                    e => return Err(e),
                }
            }
            for i in 0..n as usize {
                let seen = self.read(i);
                // The payload is looked at as any receiver would that looks for its kind.
                let first = u64::from(self.payload[i * SNAP]);
                self.table.count(&seen, first);
            }
        }
    }

    /// What the control messages of a datagram say.
    fn read(&self, i: usize) -> Seen {
        let (h, from) = (&self.headers[i], &self.names[i]);
        let mut seen = Seen {
            from: u64::from(from.sin_addr.s_addr) << 16 | u64::from(from.sin_port),
            bytes: h.msg_len,
            ..Seen::default()
        };
        // SAFETY: the header is as the kernel left it: its control area holds whole messages up to
        // its length, which is what the walk stays within, and each kind has the type read here.
        unsafe {
            let mut at = libc::CMSG_FIRSTHDR(&h.msg_hdr);
            while let Some(c) = at.as_ref() {
                let data = libc::CMSG_DATA(c);
                match (c.cmsg_level, c.cmsg_type) {
                    (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                        let t = data.cast::<libc::timespec>().read_unaligned();
                        seen.time_ns = t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64;
                    }
                    (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                        let p = data.cast::<libc::in_pktinfo>().read_unaligned();
                        (seen.to, seen.iface) = (p.ipi_addr.s_addr, p.ipi_ifindex);
                    }
                    (libc::IPPROTO_IP, libc::IP_TTL) => {
                        seen.ttl = data.cast::<i32>().read_unaligned() as u8;
                    }
                    (libc::IPPROTO_IP, libc::IP_TOS) => seen.tos = data.read(),
                    _ => {}
                }
                at = libc::CMSG_NXTHDR(&h.msg_hdr, c);
            }
        }
        seen
    }
}

#[derive(Clone, Copy, Default)]
struct Seen {
    from: u64,
    time_ns: u64,
    bytes: u32,
    to: u32,
    iface: i32,
    ttl: u8,
    tos: u8,
}

/// What is known of a source; free while it has no packets.
#[derive(Clone, Copy, Default)]
struct Place {
    packets: u64,
    bytes: u64,
    payload: u64,
    last: Seen,
}

/// Sources by address and port, in open addressing.
struct Table {
    places: Vec<Place>,
}

impl Table {
    fn new() -> Table {
        Table { places: vec![Place::default(); PLACES] }
    }

    fn count(&mut self, seen: &Seen, payload: u64) {
        let mut at = (seen.from.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize % PLACES;
        // The benchmark's sender is one source: the table is never full.
        loop {
            let place = &mut self.places[at];
            if place.packets == 0 || place.last.from == seen.from {
                place.packets += 1;
                place.bytes += u64::from(seen.bytes);
                place.payload ^= payload;
                place.last = *seen;
                return;
            }
            at = (at + 1) % PLACES;
        }
    }

    /// The sum over all sources. Every field is looked at, so that none is optimised away.
    fn packets(&self) -> u64 {
        std::hint::black_box(&self.places).iter().map(|p| p.packets).sum()
    }
}
