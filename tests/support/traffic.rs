//! Exact multicast traffic: a sender that says what it sent, to the datagram and the byte, and a
//! plain receiver. Both work in the namespace of the calling thread (see `Lab::inside`).

use std::collections::BTreeMap;
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant, SystemTime};

use socket2::{Domain, InterfaceIndexOrAddress, Protocol, SockAddr, Socket, Type};

use super::DEADLINE;
use super::netns::index;

/// Who sent to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flow {
    /// The source.
    pub from: SocketAddr,
    /// The destination.
    pub to: SocketAddr,
}

/// How much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// UDP datagrams, a fragmented one counted once.
    pub packets: u64,
    /// Bytes of their UDP payloads.
    pub bytes: u64,
}

/// Packets and bytes of each flow. Scope identifiers of link-local addresses are left out, so that
/// what was sent, heard and judged can be compared.
pub type Counts = BTreeMap<Flow, Count>;

/// Adds one datagram to the counts.
pub fn count(counts: &mut Counts, from: SocketAddr, to: SocketAddr, bytes: usize) {
    let flow = Flow { from: unscoped(from), to: unscoped(to) };
    let c = counts.entry(flow).or_default();
    c.packets += 1;
    c.bytes += bytes as u64;
}

/// All flows together.
pub fn total(counts: &Counts) -> Count {
    let add = |a: Count, b: &Count| Count { packets: a.packets + b.packets, bytes: a.bytes + b.bytes };
    counts.values().fold(Count::default(), add)
}

fn unscoped(a: SocketAddr) -> SocketAddr {
    SocketAddr::new(a.ip(), a.port())
}

/// What the datagrams carry.
#[derive(Clone, Debug)]
pub enum Payload {
    /// These bytes, cut or filled with zeroes to the size.
    Bytes(Vec<u8>),
    /// mcscope's probe of kind test, laid out here by hand from the specification, so that the
    /// program's own encoder is not its own judge. Sizes below 44 bytes are raised to that.
    Probe {
        /// The run id.
        run: u64,
    },
}

/// What to send. The defaults: one datagram of 100 bytes, TTL 1, looped back, as fast as it goes.
#[derive(Clone, Debug)]
pub struct Sending {
    groups: Vec<SocketAddr>,
    iface: Option<String>,
    source: Option<IpAddr>,
    source_port: u16,
    sizes: Vec<usize>,
    payload: Payload,
    count: u64,
    pps: Option<u32>,
    ttl: u32,
    tos: u32,
    looped: bool,
    drop_every: u64,
    dup_every: u64,
    swap_every: u64,
}

/// What was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Each flow's datagrams on the wire (duplicates counted, those left out not).
    pub counts: Counts,
    /// Sequence numbers left out, for each group.
    pub dropped: u64,
    /// Sequence numbers sent twice, for each group.
    pub duplicated: u64,
    /// Pairs of sequence numbers sent in the wrong order, for each group.
    pub swapped: u64,
}

impl Sending {
    /// To one destination, as `239.1.1.1:5004` or `[ff05::1]:5004`.
    pub fn to(group: &str) -> Self {
        Self::to_all([group])
    }

    /// To several destinations of one family: each gets every sequence number.
    pub fn to_all<'g>(groups: impl IntoIterator<Item = &'g str>) -> Self {
        let parse = |g: &str| g.parse().unwrap_or_else(|e| panic!("{g}: {e}"));
        Sending {
            groups: groups.into_iter().map(parse).collect(),
            iface: None,
            source: None,
            source_port: 0,
            sizes: vec![100],
            payload: Payload::Bytes(Vec::new()),
            count: 1,
            pps: None,
            ttl: 1,
            tos: 0,
            looped: true,
            drop_every: 0,
            dup_every: 0,
            swap_every: 0,
        }
    }

    /// By this interface; without it the routing table decides.
    pub fn on(mut self, iface: &str) -> Self {
        self.iface = Some(iface.into());
        self
    }

    /// From this address, which must be the host's own, and port (0: any).
    pub fn source(mut self, source: impl Into<IpAddr>, port: u16) -> Self {
        self.source = Some(source.into());
        self.source_port = port;
        self
    }

    /// From this port and whatever address the kernel chooses.
    pub fn port(mut self, port: u16) -> Self {
        self.source_port = port;
        self
    }

    /// Payload sizes in bytes, taken in turn.
    pub fn sizes(mut self, sizes: &[usize]) -> Self {
        self.sizes = sizes.to_vec();
        self
    }

    /// What is in them.
    pub fn payload(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    /// The number of sequence numbers used up for each destination.
    pub fn count(mut self, count: u64) -> Self {
        self.count = count;
        self
    }

    /// Sequence numbers a second (for each destination).
    pub fn pps(mut self, pps: u32) -> Self {
        self.pps = Some(pps);
        self
    }

    /// TTL or hop limit.
    pub fn ttl(mut self, ttl: u32) -> Self {
        self.ttl = ttl;
        self
    }

    /// TOS or traffic class byte: DSCP in the upper six bits.
    pub fn tos(mut self, tos: u32) -> Self {
        self.tos = tos;
        self
    }

    /// Not to be heard on the sending host itself.
    pub fn not_looped(mut self) -> Self {
        self.looped = false;
        self
    }

    /// Every `n`th number (n−1, 2n−1 …) is left out; 0 is never, as below.
    pub fn drop_every(mut self, n: u64) -> Self {
        self.drop_every = n;
        self
    }

    /// Every `n`th number is sent twice.
    pub fn dup_every(mut self, n: u64) -> Self {
        self.dup_every = n;
        self
    }

    /// Every `n`th number changes places with the one before it.
    pub fn swap_every(mut self, n: u64) -> Self {
        assert_ne!(n, 1, "with each number swapped there is no order to break");
        self.swap_every = n;
        self
    }

    /// Sends all of it.
    ///
    /// # Panics
    /// On any error of a socket, naming the step.
    #[track_caller]
    pub fn go(&self) -> Sent {
        let first = *self.groups.first().expect("a sender has a destination");
        let socket = self.open(first).unwrap_or_else(|e| panic!("open a sender to {first}: {e}"));
        let scope = self.iface.as_deref().map_or(0, index);
        let began = Instant::now();
        let mut sent = Sent::default();
        let mut from: BTreeMap<SocketAddr, SocketAddr> = BTreeMap::new();
        for (turn, (number, copies)) in self.order(&mut sent).into_iter().enumerate() {
            if let Some(pps) = self.pps {
                let due = began + Duration::from_secs(1).mul_f64(turn as f64 / f64::from(pps));
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            let bytes = self.datagram(number);
            for &to in &self.groups {
                let target = match to {
                    SocketAddr::V6(a) => SocketAddrV6::new(*a.ip(), a.port(), 0, scope).into(),
                    v4 => v4,
                };
                let source = *from.entry(to).or_insert_with(|| self.source_of(&socket, target));
                for _ in 0..copies {
                    let n = send(&socket, &bytes, target)
                        .unwrap_or_else(|e| panic!("send {} bytes to {to}: {e}", bytes.len()));
                    assert_eq!(n, bytes.len(), "the kernel took a part of the datagram");
                    count(&mut sent.counts, source, to, n);
                }
            }
        }
        sent
    }

    /// The numbers in the order in which they leave, with how often each.
    fn order(&self, sent: &mut Sent) -> Vec<(u64, u32)> {
        let hit = |n: u64, every: u64| every > 0 && n % every == every - 1;
        let mut order: Vec<(u64, u32)> = Vec::new();
        for n in 0..self.count {
            if hit(n, self.drop_every) {
                sent.dropped += 1;
                continue;
            }
            let copies = if hit(n, self.dup_every) { 2 } else { 1 };
            sent.duplicated += u64::from(copies - 1);
            order.push((n, copies));
            let last = order.len() - 1;
            if hit(n, self.swap_every) && last > 0 && order[last - 1].0 + 1 == n {
                order.swap(last - 1, last);
                sent.swapped += 1;
            }
        }
        order
    }

    fn datagram(&self, number: u64) -> Vec<u8> {
        let size = self.sizes[(number % self.sizes.len() as u64) as usize];
        match &self.payload {
            Payload::Bytes(b) => {
                let mut out = b.clone();
                out.resize(size, 0);
                out
            }
            Payload::Probe { run } => {
                let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
                let wall = wall.as_nanos() as u64;
                let mut out = b"mcSc\x01\x01\x00\x00".to_vec();
                // The monotonic time has no meaning outside the sender: the wall clock's will do.
                for field in [*run, number, wall, wall] {
                    out.extend_from_slice(&field.to_be_bytes());
                }
                out.extend_from_slice(&[self.ttl as u8, (self.tos >> 2) as u8, 0, 0]);
                out.resize(size.max(out.len()), 0);
                out
            }
        }
    }

    fn open(&self, to: SocketAddr) -> io::Result<Socket> {
        let socket = Socket::new(Domain::for_address(to), Type::DGRAM, Some(Protocol::UDP))?;
        if self.source_port != 0 {
            socket.set_reuse_address(true)?;
        }
        let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
        let local = SocketAddr::new(self.source.unwrap_or(any), self.source_port);
        match (local, self.iface.as_deref()) {
            (SocketAddr::V6(a), Some(iface)) if a.ip().is_unicast_link_local() => {
                socket.bind(&SocketAddrV6::new(*a.ip(), a.port(), 0, index(iface)).into())?;
            }
            _ => socket.bind(&local.into())?,
        }
        if to.is_ipv4() {
            socket.set_multicast_ttl_v4(self.ttl)?;
            socket.set_multicast_loop_v4(self.looped)?;
            socket.set_tos_v4(self.tos)?;
        } else {
            socket.set_multicast_hops_v6(self.ttl)?;
            socket.set_multicast_loop_v6(self.looped)?;
            socket.set_tclass_v6(self.tos)?;
        }
        if let Some(iface) = &self.iface {
            multicast_by(&socket, to, index(iface))?;
        }
        Ok(socket)
    }

    /// The source that the kernel gives datagrams to this destination, asked for by connecting a
    /// socket of the same settings.
    fn source_of(&self, socket: &Socket, to: SocketAddr) -> SocketAddr {
        let port = local(socket).port();
        if let Some(source) = self.source {
            return SocketAddr::new(source, port);
        }
        let ask = || -> io::Result<SocketAddr> {
            let ask = Socket::new(Domain::for_address(to), Type::DGRAM, Some(Protocol::UDP))?;
            if let Some(iface) = &self.iface {
                multicast_by(&ask, to, index(iface))?;
            }
            ask.connect(&to.into())?;
            Ok(local(&ask))
        };
        let ip = ask().unwrap_or_else(|e| panic!("find the source address towards {to}: {e}")).ip();
        SocketAddr::new(ip, port)
    }
}

/// Sends one datagram. A full queue of the device is waited for: the sender's figures are exact.
fn send(socket: &Socket, bytes: &[u8], to: SocketAddr) -> io::Result<usize> {
    let until = Instant::now() + DEADLINE;
    loop {
        match socket.send_to(bytes, &to.into()) {
            Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(1));
            }
            done => return done,
        }
    }
}

/// Sets the interface that multicast leaves by.
fn multicast_by(socket: &Socket, to: SocketAddr, index: u32) -> io::Result<()> {
    if to.is_ipv6() {
        return socket.set_multicast_if_v6(index);
    }
    // By index, which socket2 does not offer for IPv4: an address may be missing, or stand on two
    // interfaces.
    let none = libc::in_addr { s_addr: 0 };
    let request = libc::ip_mreqn { imr_multiaddr: none, imr_address: none, imr_ifindex: index as i32 };
    // SAFETY: the pointer and the length describe `request`, which outlives the call.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_MULTICAST_IF,
            (&raw const request).cast(),
            size_of_val(&request) as libc::socklen_t,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn local(socket: &Socket) -> SocketAddr {
    internet(&socket.local_addr().expect("a bound socket has an address"))
}

/// A datagram that was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Who sent it.
    pub from: SocketAddr,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// A plain program's socket: bound to the group or to the wildcard address, joined or not.
pub struct Listener {
    socket: Socket,
    to: SocketAddr,
}

impl Listener {
    /// Joins a group on an interface, any source; bound to the group.
    #[track_caller]
    pub fn join(group: &str, iface: &str) -> Self {
        let to: SocketAddr = group.parse().unwrap_or_else(|e| panic!("{group}: {e}"));
        let scope = index(iface);
        let open = || -> io::Result<Socket> {
            let socket = Socket::new(Domain::for_address(to), Type::DGRAM, Some(Protocol::UDP))?;
            socket.set_reuse_address(true)?;
            match to {
                SocketAddr::V4(a) => {
                    socket.bind(&to.into())?;
                    socket.join_multicast_v4_n(a.ip(), &InterfaceIndexOrAddress::Index(scope))?;
                }
                SocketAddr::V6(a) => {
                    socket.bind(&SocketAddrV6::new(*a.ip(), a.port(), 0, scope).into())?;
                    socket.join_multicast_v6(a.ip(), scope)?;
                }
            }
            Ok(socket)
        };
        let socket = open().unwrap_or_else(|e| panic!("join {group} on {iface}: {e}"));
        Listener { socket, to }
    }

    /// A unicast socket, as a program that sends and waits for an answer has it.
    #[track_caller]
    pub fn bind(address: &str) -> Self {
        let to: SocketAddr = address.parse().unwrap_or_else(|e| panic!("{address}: {e}"));
        let open = || -> io::Result<Socket> {
            let socket = Socket::new(Domain::for_address(to), Type::DGRAM, Some(Protocol::UDP))?;
            socket.bind(&to.into())?;
            Ok(socket)
        };
        let socket = open().unwrap_or_else(|e| panic!("bind {address}: {e}"));
        let to = local(&socket);
        Listener { socket, to }
    }

    /// Where it listens, with the port that the kernel chose.
    pub fn address(&self) -> SocketAddr {
        self.to
    }

    /// Sends from this socket, so that an answer comes here; a group by this interface.
    #[track_caller]
    pub fn send(&self, bytes: &[u8], to: SocketAddr, iface: Option<&str>) {
        let mut to = to;
        if let Some(iface) = iface {
            let index = index(iface);
            multicast_by(&self.socket, to, index).unwrap_or_else(|e| panic!("send by {iface}: {e}"));
            if let SocketAddr::V6(a) = &mut to {
                a.set_scope_id(index);
            }
        }
        send(&self.socket, bytes, to).unwrap_or_else(|e| panic!("send to {to}: {e}"));
    }

    /// The next datagram; `None` if none came before the deadline.
    pub fn next(&self, deadline: Instant) -> Option<Heard> {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.socket.set_read_timeout(Some(left)).expect("set a timeout");
        let mut buffer = [MaybeUninit::<u8>::uninit(); 65_536];
        match self.socket.recv_from(&mut buffer) {
            Ok((n, from)) => {
                // SAFETY: the kernel has written the first `n` bytes.
                let bytes = buffer[..n].iter().map(|b| unsafe { b.assume_init() }).collect();
                Some(Heard { from: internet(&from), payload: bytes })
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => None,
            Err(e) => panic!("receive on {}: {e}", self.to),
        }
    }

    /// The next datagram, which must come within [`DEADLINE`].
    #[track_caller]
    pub fn wait(&self) -> Heard {
        self.next(Instant::now() + DEADLINE).unwrap_or_else(|| panic!("nothing came to {}", self.to))
    }

    /// What comes until there are this many packets, or [`DEADLINE`].
    pub fn collect(&self, packets: u64) -> Counts {
        let until = Instant::now() + DEADLINE;
        let mut counts = Counts::new();
        for _ in 0..packets {
            let Some(heard) = self.next(until) else { break };
            count(&mut counts, heard.from, self.to, heard.payload.len());
        }
        counts
    }
}

fn internet(a: &SockAddr) -> SocketAddr {
    a.as_socket().expect("an internet address")
}
