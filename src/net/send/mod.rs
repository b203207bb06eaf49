//! A socket that sends to a group on a named interface, without needing a route, and takes the
//! unicast replies.

#[cfg(target_os = "linux")]
#[path = "mmsg.rs"]
mod many;
#[cfg(not(target_os = "linux"))]
#[path = "one_by_one.rs"]
mod many;
#[cfg(test)]
mod tests;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::error::NetError;
use super::privilege::{self, Capability};
pub use super::recv::Reply;
use super::recv::ReplyReceiver;
use super::socket::GroupSocket;
use super::sys::{self, Want};
use super::wake::Waker;
use crate::base::group::{Endpoint, needs_zone};

/// How long a full send buffer is waited for: longer means that the interface takes nothing.
const ROOM: Duration = Duration::from_millis(200);

/// How a sender's socket is made.
#[derive(Clone, Debug)]
pub struct SendOptions {
    /// Where [`SendSocket::send`] sends to: a group, or one host.
    pub to: Endpoint,
    /// The index of the interface to send on.
    pub ifindex: u32,
    /// Its name, for messages.
    pub iface: Arc<str>,
    /// TTL or hop limit of what goes to `to`. 0 stays on this host. What [`SendSocket::send_to`]
    /// sends to a single host has the system's default if `to` is a group.
    pub ttl: u8,
    /// DSCP (RFC 2474), 0 to 63.
    pub dscp: u8,
    /// Whether sockets on this host get a copy. On Windows the receiver decides that, not the sender.
    pub loopback: bool,
    /// The UDP port to send from; `None`: any.
    pub source_port: Option<u16>,
    /// The address to send from; `None`: one of the interface's.
    pub source_ip: Option<IpAddr>,
}

impl SendOptions {
    /// The defaults: TTL 1, DSCP 0, seen on this host too, any port.
    pub fn new(to: Endpoint, ifindex: u32, iface: &str) -> SendOptions {
        SendOptions {
            to,
            ifindex,
            iface: iface.into(),
            ttl: 1,
            dscp: 0,
            loopback: true,
            source_port: None,
            source_ip: None,
        }
    }
}

/// What [`SendSocket::wait_beside`] found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Beside {
    /// A reply, or an error to tell.
    pub reply: bool,
    /// The group's socket has something.
    pub group: bool,
    /// The waker is awake.
    pub woken: bool,
}

/// A socket that sends.
pub struct SendSocket {
    socket: Socket,
    options: SendOptions,
    to: SocketAddr,
    port: u16,
    replies: ReplyReceiver,
}

impl SendSocket {
    /// Binds and sets everything up. Nothing is sent.
    ///
    /// On the loopback interface IPv4 is sent from 127.0.0.1 unless `source_ip` says otherwise: an
    /// unbound sender would have 0.0.0.0 there.
    ///
    /// # Errors
    /// What the system refuses, with the remedy where one is known.
    pub fn open(options: &SendOptions) -> Result<SendSocket, NetError> {
        let v4 = options.to.ip.is_ipv4();
        let domain = if v4 { Domain::IPV4 } else { Domain::IPV6 };
        let what = if v4 { "an IPv4 socket" } else { "an IPv6 socket" };
        let open = |source| NetError::Open { what, source };
        let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP)).map_err(open)?;
        socket.set_nonblocking(true).map_err(open)?;
        set_up(&socket, options)?;
        let at = source_address(options);
        let bind = move |s: &Socket| s.bind(&at.into());
        privilege::on(&socket, &[Capability::NetBindService], bind).map_err(|source| NetError::Bind {
            at: Endpoint::from(at),
            on: match at {
                SocketAddr::V6(a) if a.scope_id() != 0 => format!(" on {}", options.iface),
                _ => String::new(),
            },
            source,
        })?;
        let port = socket.local_addr().map_err(open)?.as_socket().map_or(0, |a| a.port());
        Ok(SendSocket {
            socket,
            options: options.clone(),
            to: options.to.to_socket_addr(options.ifindex),
            port,
            replies: ReplyReceiver::new(),
        })
    }

    /// What it was opened with.
    pub fn options(&self) -> &SendOptions {
        &self.options
    }

    /// The address and port that receivers see: what the kernel takes when it sends to `to` now. The
    /// address is unspecified while nothing can be sent (the interface is down or has none).
    pub fn local(&self) -> Endpoint {
        let ip = self.options.source_ip.or_else(|| kernel_source(&self.options)).unwrap_or({
            if self.to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
        });
        Endpoint { ip, port: self.port }
    }

    /// Sends one datagram; returns its length. A full send buffer is waited for shortly.
    ///
    /// # Errors
    /// What the system refuses; [`NetError::kind`] sorts them, [`NetError::remedy`] says what helps.
    pub fn send(&self, payload: &[u8]) -> Result<usize, NetError> {
        self.send_addr(payload, self.to)
    }

    /// Sends one datagram to somebody else: the reply to whoever asked.
    ///
    /// # Errors
    /// As [`SendSocket::send`].
    pub fn send_to(&self, payload: &[u8], to: Endpoint) -> Result<usize, NetError> {
        self.send_addr(payload, to.to_socket_addr(self.options.ifindex))
    }

    fn send_addr(&self, payload: &[u8], to: SocketAddr) -> Result<usize, NetError> {
        let addr = SockAddr::from(to);
        self.when_room(|| self.socket.send_to(payload, &addr))
            .map_err(|source| self.failed(to, payload.len(), source))
    }

    /// Sends these datagrams in their order, as many a call as the system allows; returns how many
    /// were sent. Fewer than all: the next one failed, and sending from it on tells why.
    ///
    /// # Errors
    /// When the first one cannot be sent, as [`SendSocket::send`].
    pub fn send_many(&self, payloads: &[&[u8]]) -> Result<usize, NetError> {
        let mut sent = 0;
        let mut result = Ok(0);
        while sent < payloads.len() {
            match self.when_room(|| many::send(&self.socket, self.to, &payloads[sent..])) {
                Ok(0) => break,
                Ok(n) => sent += n,
                Err(source) => {
                    result = Err(self.failed(self.to, payloads[sent].len(), source));
                    break;
                }
            }
        }
        if sent > 0 { Ok(sent) } else { result }
    }

    /// Waits for a datagram to this socket's own port: a reply. `None` after `timeout` (`None`:
    /// without end), when the waker is awake, or after a signal. Longer ones are cut to `buf`.
    ///
    /// # Errors
    /// When the system cannot wait or receive.
    pub fn receive_reply(
        &mut self,
        buf: &mut [u8],
        waker: &Waker,
        timeout: Option<Duration>,
    ) -> Result<Option<Reply>, NetError> {
        let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
        // A datagram that is announced may be gone when its checksum is wrong: then wait on.
        loop {
            let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
            let ready =
                super::wake::wait(sys::handle(&self.socket), waker, left, || self.local().to_string())?;
            if !ready.socket {
                return Ok(None);
            }
            let taken = self.replies.take(&self.socket, buf);
            match taken {
                Ok(None) if ready.woken || deadline.is_some_and(|d| Instant::now() >= d) => return Ok(None),
                Ok(None) => {}
                Ok(reply) => return Ok(reply),
                // Somebody whom we sent to has nobody at that port: no reply, and no end.
                Err(e)
                    if matches!(
                        e.kind(),
                        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset
                    ) => {}
                Err(source) => return Err(NetError::Receive { object: self.local().to_string(), source }),
            }
        }
    }

    /// Waits until there is a reply, the group has something or the waker is awake, at most `timeout`.
    /// What is there is to be taken by [`SendSocket::take_reply`] and [`GroupSocket::receive`].
    ///
    /// # Errors
    /// When the system cannot wait.
    pub fn wait_beside(
        &self,
        group: Option<&GroupSocket>,
        waker: &Waker,
        timeout: Duration,
    ) -> Result<Beside, NetError> {
        let own = sys::handle(&self.socket);
        // The waker stands in for the group that is not there.
        let other = group.map_or(waker.handle(), GroupSocket::handle);
        let handles = [own, waker.handle(), other].map(|h| (h, Want::Read));
        match sys::poll(handles, Some(timeout)) {
            Ok([reply, woken, other]) => Ok(Beside { reply, woken, group: other && group.is_some() }),
            Err(source) => Err(NetError::Wait { object: self.local().to_string(), source }),
        }
    }

    /// Takes a reply without waiting; `None` when there is none. Longer ones are cut to `buf`.
    ///
    /// # Errors
    /// When the system cannot receive.
    pub fn take_reply(&mut self, buf: &mut [u8]) -> Result<Option<Reply>, NetError> {
        match self.replies.take(&self.socket, buf) {
            // Somebody whom we sent to has nobody at that port.
            Err(e)
                if matches!(e.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset) =>
            {
                Ok(None)
            }
            Err(source) => Err(NetError::Receive { object: self.local().to_string(), source }),
            Ok(reply) => Ok(reply),
        }
    }

    /// Does it, and once more when the full send buffer has room.
    fn when_room<T>(&self, mut send: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        let deadline = Instant::now() + ROOM;
        loop {
            match send() {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(e);
                    }
                    sys::poll([(sys::handle(&self.socket), Want::Write)], Some(left))?;
                }
                result => return result,
            }
        }
    }

    fn failed(&self, to: SocketAddr, len: usize, source: io::Error) -> NetError {
        NetError::Send { to: to.into(), iface: self.options.iface.to_string(), len, source }
    }
}

/// Sets the options that decide where and how it is sent.
fn set_up(socket: &Socket, options: &SendOptions) -> Result<(), NetError> {
    let failed = |option| {
        move |source| NetError::Option {
            option,
            object: format!("{} on {}", options.to, options.iface),
            source,
        }
    };
    let v4 = options.to.ip.is_ipv4();
    let multicast = options.to.ip.is_multicast();
    let (ttl, tos) = (u32::from(options.ttl), u32::from(options.dscp & 0x3f) << 2);
    if options.source_port.is_some() {
        // A listener on this host may have the same port, bound to its group.
        socket.set_reuse_address(true).map_err(failed("SO_REUSEADDR"))?;
        // Elsewhere the two ports only go together if both have this too. Not on Linux, where replies
        // would be shared out among all sockets that have it.
        #[cfg(all(unix, not(target_os = "linux")))]
        socket.set_reuse_port(true).map_err(failed("SO_REUSEPORT"))?;
    }
    #[cfg(target_os = "linux")]
    {
        // Else groups that other sockets joined come in as if they were replies.
        let option = if v4 { sys::MULTICAST_ALL } else { sys::MULTICAST_ALL6 };
        match sys::set_int(socket, option, 0) {
            Err(e) if e.raw_os_error() != Some(sys::errno::NOPROTOOPT) => return Err(failed(option.text)(e)),
            _ => {}
        }
    }
    sys::tell(socket, v4).map_err(|(option, e)| failed(option.text)(e))?;
    if !v4 {
        socket.set_only_v6(true).map_err(failed("IPV6_V6ONLY"))?;
    }
    if multicast && v4 {
        sys::set_multicast_if_v4(socket, options.ifindex).map_err(failed("IP_MULTICAST_IF"))?;
        socket.set_multicast_ttl_v4(ttl).map_err(failed("IP_MULTICAST_TTL"))?;
        socket.set_multicast_loop_v4(options.loopback).map_err(failed("IP_MULTICAST_LOOP"))?;
    } else if multicast {
        socket.set_multicast_if_v6(options.ifindex).map_err(failed("IPV6_MULTICAST_IF"))?;
        socket.set_multicast_hops_v6(ttl).map_err(failed("IPV6_MULTICAST_HOPS"))?;
        socket.set_multicast_loop_v6(options.loopback).map_err(failed("IPV6_MULTICAST_LOOP"))?;
    } else if v4 {
        socket.set_ttl_v4(ttl.max(1)).map_err(failed("IP_TTL"))?;
    } else {
        socket.set_unicast_hops_v6(ttl.max(1)).map_err(failed("IPV6_UNICAST_HOPS"))?;
    }
    if tos != 0 {
        if v4 {
            socket.set_tos_v4(tos).map_err(failed("IP_TOS"))?;
        } else {
            sys::set_tclass(socket, tos).map_err(failed("IPV6_TCLASS"))?;
        }
    }
    Ok(())
}

/// Where the socket binds to.
fn source_address(options: &SendOptions) -> SocketAddr {
    let port = options.source_port.unwrap_or(0);
    match (options.to.ip, options.source_ip) {
        (_, Some(IpAddr::V4(ip))) => SocketAddr::from((ip, port)),
        (_, Some(IpAddr::V6(ip))) => {
            let zone = if needs_zone(ip) { options.ifindex } else { 0 };
            SocketAddr::V6(SocketAddrV6::new(ip, port, 0, zone))
        }
        (IpAddr::V4(to), None) if to.is_multicast() && sys::is_loopback(options.ifindex) => {
            SocketAddr::from((Ipv4Addr::LOCALHOST, port))
        }
        (IpAddr::V4(_), None) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
        (IpAddr::V6(_), None) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
    }
}

/// The address that the kernel sends from: a second socket, connected, knows it. Nothing is sent.
fn kernel_source(options: &SendOptions) -> Option<IpAddr> {
    let domain = if options.to.ip.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP)).ok()?;
    set_up(&socket, &SendOptions { source_port: None, ..options.clone() }).ok()?;
    socket.bind(&source_address(&SendOptions { source_port: None, ..options.clone() }).into()).ok()?;
    socket.connect(&options.to.to_socket_addr(options.ifindex).into()).ok()?;
    let ip = socket.local_addr().ok()?.as_socket()?.ip();
    (!ip.is_unspecified()).then_some(ip)
}
