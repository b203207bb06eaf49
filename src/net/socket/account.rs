//! The receive buffer and the drop counter.

use socket2::Socket;

use crate::base::group::Membership;
use crate::net::error::NetError;
#[cfg(target_os = "linux")]
use crate::net::privilege::{self, Capability};
#[cfg(target_os = "linux")]
use crate::net::sys;

/// The receive buffer of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RcvBuf {
    /// Bytes asked for; `None`: the system's default was left.
    pub asked: Option<usize>,
    /// Bytes granted, in the measure of what is asked for.
    pub granted: usize,
    /// The same in the kernel's own measure, which datagrams are charged against with their
    /// overhead. Linux: twice as much.
    pub kernel: usize,
    /// Set when less was granted than asked for.
    pub clamped: Option<Clamped>,
}

/// A receive buffer that came out smaller than asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clamped {
    /// The most that is granted, in bytes.
    pub limit: usize,
    /// The setting that says so.
    pub setting: &'static str,
}

impl RcvBuf {
    /// What raises the limit, when it was met.
    pub fn remedy(&self) -> Option<String> {
        let (clamped, asked) = (self.clamped?, self.asked?);
        Some(format!("`sudo sysctl -w {}={asked}` allows more", clamped.setting))
    }
}

/// The setting that caps receive buffers.
const SETTING: &str = if cfg!(target_os = "linux") { "net.core.rmem_max" } else { "kern.ipc.maxsockbuf" };

/// How often the kernel's own measure holds what was asked for.
const DOUBLED: usize = if cfg!(target_os = "linux") { 2 } else { 1 };

/// Asks for a receive buffer, reads back what was granted.
pub fn set_rcvbuf(
    socket: &Socket,
    asked: Option<usize>,
    membership: &Membership,
) -> Result<RcvBuf, NetError> {
    let failed = |source| NetError::Option { option: "SO_RCVBUF", object: membership.to_string(), source };
    if let Some(bytes) = asked {
        request(socket, bytes).map_err(failed)?;
    }
    let kernel = socket.recv_buffer_size().map_err(failed)?;
    let granted = kernel / DOUBLED;
    let clamped = asked.filter(|&a| granted < a).map(|_| Clamped { limit: granted, setting: SETTING });
    Ok(RcvBuf { asked, granted, kernel, clamped })
}

/// Linux clamps silently, except for whoever has CAP_NET_ADMIN and forces it.
#[cfg(target_os = "linux")]
pub fn request(socket: &Socket, bytes: usize) -> std::io::Result<()> {
    let asked = i32::try_from(bytes).unwrap_or(i32::MAX);
    socket.set_recv_buffer_size(asked as usize)?;
    if socket.recv_buffer_size()? / DOUBLED < asked as usize {
        // Without the capability it stays clamped, and the caller reads back how far.
        let force = move |s: &Socket| sys::set_int(s, sys::RCVBUFFORCE, asked);
        let _ = privilege::on(socket, &[Capability::NetAdmin], force);
    }
    Ok(())
}

/// Elsewhere too large a request fails: the largest that is granted is found by halving.
#[cfg(not(target_os = "linux"))]
fn request(socket: &Socket, bytes: usize) -> std::io::Result<()> {
    let mut bytes = bytes;
    loop {
        match socket.set_recv_buffer_size(bytes) {
            Err(_) if bytes > 16 * 1024 => bytes /= 2,
            result => return result,
        }
    }
}

/// What the kernel says of a socket's receive memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Bytes queued, with their overhead.
    pub queued: u32,
    /// Datagrams dropped since the socket was made; wraps.
    pub drops: u32,
}

/// Asks the kernel: `SO_MEMINFO`, linux/sock_diag.h. Unlike the SO_RXQ_OVFL message, which comes only
/// with the next datagram, it also tells the last drops of a stream that fell silent.
#[cfg(target_os = "linux")]
pub fn memory(socket: &Socket) -> Option<Memory> {
    const FIELDS: usize = libc::SK_MEMINFO_DROPS as usize + 1;
    let mut bytes = [0; FIELDS * 4];
    let len = sys::get_bytes(socket, sys::MEMINFO, &mut bytes).ok()?;
    let field = |i: i32| {
        let at = i as usize * 4;
        bytes[..len].get(at..)?.first_chunk().copied().map(u32::from_ne_bytes)
    };
    Some(Memory { queued: field(libc::SK_MEMINFO_RMEM_ALLOC)?, drops: field(libc::SK_MEMINFO_DROPS)? })
}

/// No system but Linux says.
#[cfg(not(target_os = "linux"))]
pub fn memory(_: &Socket) -> Option<Memory> {
    None
}

/// A wrapping 32-bit counter read into a 64-bit one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter {
    last: u32,
    total: u64,
}

impl Counter {
    /// The total with this reading.
    pub fn read(&mut self, now: u32) -> u64 {
        self.total += u64::from(now.wrapping_sub(self.last));
        self.last = now;
        self.total
    }

    /// The next reading counts from 0: of a new socket.
    pub fn restart(&mut self) {
        self.last = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counter_goes_on_past_32_bits_and_past_a_new_socket() {
        let mut c = Counter::default();
        assert_eq!(c.read(u32::MAX - 1), u64::from(u32::MAX) - 1);
        assert_eq!(c.read(3), u64::from(u32::MAX) + 4);
        c.restart();
        assert_eq!(c.read(5), u64::from(u32::MAX) + 9);
    }

    #[test]
    fn a_clamped_buffer_names_its_limit_and_remedy() {
        let clamped = Some(Clamped { limit: 100, setting: "net.core.rmem_max" });
        let buf = RcvBuf { asked: Some(400), granted: 100, kernel: 200, clamped };
        assert_eq!(buf.remedy().unwrap(), "`sudo sysctl -w net.core.rmem_max=400` allows more");
        assert_eq!(RcvBuf { clamped: None, ..buf }.remedy(), None);
    }
}
