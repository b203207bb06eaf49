//! Two network namespaces and the cable between them. They are held by descriptors and have no
//! names: however the benchmark ends, the kernel takes them and their links away. The host's own
//! interfaces are never touched.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use nix::mount::{MntFlags, MsFlags};
use nix::sched::{CloneFlags, CpuSet};
use nix::unistd::Pid;

/// The interface at both ends of the cable.
pub const IFACE: &str = "net0";
/// The receiver's namespace.
pub const RECEIVER: usize = 0;
/// The sender's namespace.
pub const SENDER: usize = 1;

/// Of everything that is measured, as nice(1) counts, and as text for the kernel.
const PRIORITY: (i32, &[u8]) = (-15, b"-15");

/// The two hosts, and the CPU that each has.
pub struct Lab {
    hosts: [OwnedFd; 2],
    cpus: [usize; 2],
}

impl Lab {
    /// Makes the namespaces and the cable.
    pub fn new() -> Result<Lab> {
        let cpus = two_cpus()?;
        let lab = Lab { hosts: [namespace()?, namespace()?], cpus };
        let far = format!("/proc/{}/fd/{}", std::process::id(), lab.hosts[SENDER].as_raw_fd());
        // Ends with the same index would take a second to notice each other's carrier.
        lab.ip(
            RECEIVER,
            &format!("link add {IFACE} index 101 type veth peer name {IFACE} index 102 netns {far}"),
        )?;
        for host in [RECEIVER, SENDER] {
            // IPv6 would add its own reports and solicitations to the traffic.
            lab.set(host, "net/ipv6/conf/all/disable_ipv6", "1")?;
            lab.set(host, "net/ipv4/conf/all/rp_filter", "0")?;
            lab.set(host, &format!("net/ipv4/conf/{IFACE}/rp_filter"), "0")?;
            lab.ip(host, "link set lo up")?;
            lab.ip(host, &format!("addr add 10.99.0.{}/16 dev {IFACE}", host + 1))?;
            lab.ip(host, &format!("link set {IFACE} up"))?;
        }
        let until = Instant::now() + Duration::from_secs(10);
        for host in [RECEIVER, SENDER] {
            while !lab.ip(host, &format!("link show dev {IFACE}"))?.contains("LOWER_UP") {
                ensure!(Instant::now() < until, "the cable has no carrier after 10 s");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        Ok(lab)
    }

    /// The CPU of a host.
    pub fn cpu(&self, host: usize) -> usize {
        self.cpus[host]
    }

    /// Makes a command run in a host, on its CPU, ahead of others, as the leader of a session, and end
    /// with the benchmark.
    pub fn enter<'c>(&self, host: usize, command: &'c mut Command) -> Result<&'c mut Command> {
        let fd = self.hosts[host].try_clone().context("duplicate a descriptor")?;
        let mut cpus = CpuSet::new();
        cpus.set(self.cpus[host]).context("name a CPU")?;
        let parent = nix::unistd::getpid();
        // SAFETY: the closure runs in the child between fork and exec and makes system calls only,
        // none of which allocates or takes a lock. It owns what it uses.
        Ok(unsafe {
            command.pre_exec(move || {
                enter(fd.as_fd())?;
                nix::sched::sched_setaffinity(Pid::from_raw(0), &cpus)?;
                nix::unistd::setsid()?;
                ahead()?;
                nix::errno::Errno::result(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
                // The benchmark may have ended before the request stood.
                if nix::unistd::getppid() != parent {
                    return Err(std::io::ErrorKind::Interrupted.into());
                }
                Ok(())
            })
        })
    }

    fn ip(&self, host: usize, words: &str) -> Result<String> {
        let mut command = Command::new("ip");
        self.enter(host, command.args(words.split_whitespace()))?;
        let o = command.stdin(Stdio::null()).output().context("run `ip` (of iproute2)")?;
        if !o.status.success() {
            bail!("`ip {words}`: {}", String::from_utf8_lossy(&o.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&o.stdout).into_owned())
    }

    /// Changes a setting of a host; its network settings are its namespace's own.
    fn set(&self, host: usize, key: &str, value: &str) -> Result<()> {
        let mut command = Command::new("sh");
        command.args(["-c", "printf %s \"$1\" >\"/proc/sys/$0\"", key, value]);
        let status = self.enter(host, &mut command)?.status().context("run a shell")?;
        ensure!(status.success(), "cannot set {key}");
        Ok(())
    }
}

/// The first two CPUs that this process may use; it stays on the first.
fn two_cpus() -> Result<[usize; 2]> {
    let allowed = nix::sched::sched_getaffinity(Pid::from_raw(0)).context("ask for the CPUs")?;
    let mut list = (0..CpuSet::count()).filter(|&c| allowed.is_set(c).unwrap_or(false));
    let (Some(first), Some(second)) = (list.next(), list.next()) else {
        bail!("a sender and a receiver need two CPUs");
    };
    let mut own = CpuSet::new();
    own.set(first).context("name a CPU")?;
    nix::sched::sched_setaffinity(Pid::from_raw(0), &own).context("stay on one CPU")?;
    // In the order of the hosts.
    Ok([second, first])
}

/// A new namespace, made on a thread of its own so that no other is moved.
fn namespace() -> Result<OwnedFd> {
    let made = std::thread::spawn(|| -> Result<OwnedFd> {
        nix::sched::unshare(CloneFlags::CLONE_NEWNET).context("make a network namespace (run as root)")?;
        Ok(std::fs::File::open("/proc/thread-self/ns/net").context("open the namespace")?.into())
    });
    made.join().map_err(|_| anyhow::anyhow!("the thread that makes a namespace panicked"))?
}

/// Moves the calling process into a namespace, and gives it a `/sys` of that namespace.
fn enter(fd: BorrowedFd<'_>) -> std::io::Result<()> {
    nix::sched::setns(fd, CloneFlags::CLONE_NEWNET)?;
    nix::sched::unshare(CloneFlags::CLONE_NEWNS)?;
    nix::mount::mount(None::<&str>, "/", None::<&str>, MsFlags::MS_SLAVE | MsFlags::MS_REC, None::<&str>)?;
    let _ = nix::mount::umount2("/sys", MntFlags::MNT_DETACH);
    nix::mount::mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), None::<&str>)?;
    Ok(())
}

/// Puts the calling process, the leader of a session, ahead of what else runs here, so that less of
/// that is in the figures: both sides of a comparison alike.
fn ahead() -> std::io::Result<()> {
    // SAFETY: the call takes numbers only.
    nix::errno::Errno::result(unsafe { libc::setpriority(libc::PRIO_PROCESS as _, 0, PRIORITY.0) })?;
    // Where the kernel shares the CPUs out among sessions, the above counts within one only (sched(7));
    // elsewhere there is no such file.
    let path = c"/proc/self/autogroup";
    // SAFETY: the path ends with a zero, and pointer and length are those of a constant.
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if fd >= 0 {
            libc::write(fd, PRIORITY.1.as_ptr().cast(), PRIORITY.1.len());
            libc::close(fd);
        }
    }
    Ok(())
}
