//! The generator, a role of the benchmark's own program: a known number of datagrams at a steady
//! rate, to consecutive groups in turn.

use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use socket2::{Domain, SockAddr, Socket, Type};

use super::lab::{self, Lab};
use super::process;

/// The first group.
pub const GROUP: Ipv4Addr = Ipv4Addr::new(239, 99, 0, 1);
/// The port of all groups.
pub const PORT: u16 = 5004;
/// Payload of each datagram, in bytes.
pub const SIZE: usize = 200;
/// Datagrams a call, at most.
const BATCH: usize = 64;
/// The longest time that a sender runs.
const LONGEST: Duration = Duration::from_secs(60);

/// What to send.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// Consecutive groups, from [`GROUP`].
    pub groups: u32,
    /// Datagrams a second over all groups.
    pub rate: u64,
    /// For so long.
    pub time: Duration,
    /// Whether it waits by watching the clock (exact, keeps the CPU busy) and not asleep.
    pub busy: bool,
}

/// What was sent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent {
    /// Datagrams.
    pub packets: u64,
    /// Datagrams a second that this came to.
    pub rate: u64,
    /// Times that it was held up for more than a millisecond; it goes on at its rate then.
    pub late: u64,
}

impl Sent {
    /// How many of them went to the group with this number, from 0.
    pub fn to_group(self, group: u32, groups: u32) -> u64 {
        (self.packets + u64::from(groups - 1 - group)) / u64::from(groups)
    }
}

/// The group with this number, from 0.
pub fn group(n: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(GROUP) + n)
}

impl Job {
    /// A command that does it in the sender's host.
    pub fn command(&self, lab: &Lab) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe().context("find the benchmark itself")?);
        command.arg("sender");
        for n in [u64::from(self.groups), self.rate, self.time.as_millis() as u64, u64::from(self.busy)] {
            command.arg(n.to_string());
        }
        lab.enter(lab::SENDER, &mut command)?;
        Ok(command)
    }

    /// Does it, and waits for its end.
    pub fn send(&self, lab: &Lab) -> Result<Sent> {
        let o = self.command(lab)?.output().context("start the sender")?;
        ensure!(o.status.success(), "the sender failed: {}", String::from_utf8_lossy(&o.stderr).trim());
        Sent::read(&String::from_utf8_lossy(&o.stdout))
    }
}

impl Sent {
    /// Reads what the sender printed.
    pub fn read(text: &str) -> Result<Sent> {
        let [packets, rate, late] = process::numbers(text).context("read the sender's count")?;
        Ok(Sent { packets, rate, late })
    }
}

/// The role: groups, rate, milliseconds, whether to wait busily.
pub fn main(args: &[String]) -> Result<()> {
    let [groups, rate, millis, busy] = process::numbers(&args.join(" "))?;
    ensure!(groups > 0 && groups <= 65_536 && rate > 0, "nothing to send");
    let time = Duration::from_millis(millis).min(LONGEST);
    // SAFETY: the call takes numbers only.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1000) };
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).context("open a socket")?;
    let iface = nix::net::if_::if_nametoindex(lab::IFACE).context("find the interface")?;
    let mreqn = libc::ip_mreqn {
        imr_multiaddr: libc::in_addr { s_addr: 0 },
        imr_address: libc::in_addr { s_addr: 0 },
        imr_ifindex: iface as i32,
    };
    process::set_option(&socket, libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &mreqn)
        .context("IP_MULTICAST_IF")?;
    process::set_option(&socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, &(4i32 << 20))
        .context("SO_SNDBUFFORCE")?;
    socket.set_multicast_ttl_v4(1).context("IP_MULTICAST_TTL")?;
    socket.set_multicast_loop_v4(false).context("IP_MULTICAST_LOOP")?;
    let sent = blast(&socket, groups, rate, time, busy != 0)?;
    println!("{} {} {}", sent.packets, sent.rate, sent.late);
    Ok(())
}

fn blast(socket: &Socket, groups: u64, rate: u64, time: Duration, busy: bool) -> Result<Sent> {
    let to: Vec<SockAddr> =
        (0..groups as u32).map(|g| std::net::SocketAddr::from((group(g), PORT)).into()).collect();
    // Some 10 us between calls: a steady rate, as senders of media keep it. In bursts of 100 us even a
    // receiver that never gathers would find ten datagrams for each wake-up.
    let batch = (rate / 100_000).clamp(1, BATCH as u64) as usize;
    let mut payload = vec![[0xa5u8; SIZE]; batch];
    let mut iov = vec![libc::iovec { iov_base: std::ptr::null_mut(), iov_len: SIZE }; batch];
    // SAFETY: a header of zeros is valid: null pointers with lengths of 0.
    let mut headers: Vec<libc::mmsghdr> = vec![unsafe { std::mem::zeroed() }; batch];
    let begun = Instant::now();
    let (mut start, end) = (begun, begun + time);
    let (mut sent, mut late, mut refused) = (0u64, 0, 0u64);
    loop {
        let now = Instant::now();
        if now >= end {
            break;
        }
        let due = start + Duration::from_nanos((sent as u128 * 1_000_000_000 / u128::from(rate)) as u64);
        if now < due {
            if busy {
                std::hint::spin_loop();
            } else {
                std::thread::sleep(due - now);
            }
            continue;
        }
        if now - due > Duration::from_millis(1) {
            late += 1;
            start += now - due;
        }
        let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        for i in 0..batch {
            let n = sent + i as u64;
            payload[i][..8].copy_from_slice(&(n / groups).to_be_bytes());
            payload[i][8..16].copy_from_slice(&(clock as u64).to_be_bytes());
            iov[i].iov_base = payload[i].as_mut_ptr().cast();
            let to = &to[(n % groups) as usize];
            let h = &mut headers[i].msg_hdr;
            (h.msg_name, h.msg_namelen) = (to.as_ptr().cast_mut().cast(), to.len());
            (h.msg_iov, h.msg_iovlen) = (&raw mut iov[i], 1);
        }
        let mut done = 0;
        while done < batch {
            let left = &mut headers[done..];
            // SAFETY: the headers in bounds point to live addresses, and to one iovec each of a live
            // payload; the kernel writes only the headers' lengths.
            let n = unsafe { libc::sendmmsg(socket.as_raw_fd(), left.as_mut_ptr(), left.len() as u32, 0) };
            if n < 0 {
                let e = io::Error::last_os_error();
                refused += 1;
                if !matches!(e.raw_os_error(), Some(libc::EINTR | libc::ENOBUFS | libc::EAGAIN))
                    || refused > 1_000_000
                {
                    bail!("sendmmsg: {e}");
                }
            } else {
                done += n as usize;
            }
        }
        sent += batch as u64;
    }
    let rate = (sent as f64 / begun.elapsed().as_secs_f64()) as u64;
    Ok(Sent { packets: sent, rate, late })
}
