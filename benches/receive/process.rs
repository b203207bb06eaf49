//! Programs that are measured: started in a host, watched from outside, ended, and what they cost.

use std::io::{self, Read};
use std::mem;
use std::os::fd::AsRawFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use socket2::Socket;

use super::sender::PORT;

/// How long a program may take to be ready, to drain and to end.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at a program.
const LOOK: Duration = Duration::from_millis(5);

/// What a program wrote, and when each piece came out (wall clock, ns since 1970).
#[derive(Default)]
pub struct Written {
    /// All bytes.
    pub bytes: Vec<u8>,
    /// Where each piece that was read ends, and when it was read.
    pub pieces: Vec<(usize, u64)>,
}

impl Written {
    /// The bytes as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Whole lines, each with the time at which its end came out.
    pub fn lines(&self) -> impl Iterator<Item = (u64, &str)> {
        let mut at = 0;
        let mut pieces = self.pieces.iter().peekable();
        self.bytes.split_inclusive(|&b| b == b'\n').filter(|l| l.ends_with(b"\n")).map(move |line| {
            at += line.len();
            while pieces.peek().is_some_and(|p| p.0 < at) {
                pieces.next();
            }
            let time = pieces.peek().map_or(0, |p| p.1);
            (time, std::str::from_utf8(line).unwrap_or_default().trim_end())
        })
    }
}

type Shared = Arc<Mutex<Written>>;

/// A running program.
pub struct Process {
    child: Option<Child>,
    pid: i32,
    name: String,
    /// Standard output.
    out: Shared,
    /// Standard error.
    err: Shared,
    readers: Vec<JoinHandle<()>>,
}

/// How a program ended.
pub struct Ended {
    /// Standard output.
    pub out: Written,
    /// Standard error.
    pub err: Written,
    /// CPU time of all threads from start to end, in ns.
    pub cpu_ns: u64,
    /// Times that a thread of it waited for something.
    pub waits: u64,
    /// The most memory it had, in KiB.
    pub rss_kib: u64,
}

impl Process {
    /// Starts a program with its output read.
    pub fn start(command: &mut Command) -> Result<Process> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut p = Self::start_as_is(command)?;
        if let Some(child) = &mut p.child {
            let (out, err) = (child.stdout.take(), child.stderr.take());
            p.readers.extend(out.map(|f| reader(f, p.out.clone())));
            p.readers.extend(err.map(|f| reader(f, p.err.clone())));
        }
        Ok(p)
    }

    /// Starts a program whose input and output the caller has set up.
    pub fn start_as_is(command: &mut Command) -> Result<Process> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("start {name}"))?;
        let pid = child.id() as i32;
        Ok(Process {
            child: Some(child),
            pid,
            name,
            out: Shared::default(),
            err: Shared::default(),
            readers: Vec::new(),
        })
    }

    /// Has standard output, or what a terminal got, read as well.
    pub fn read_from(&mut self, file: impl Read + Send + 'static) {
        self.readers.push(reader(file, self.out.clone()));
    }

    /// Waits until this is so.
    pub fn wait_until(&mut self, what: &str, mut is: impl FnMut(&Process) -> bool) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            // In this order: what it did last counts as well.
            let ended = self.has_ended();
            if is(self) {
                return Ok(());
            }
            if ended || Instant::now() > until {
                bail!("{}: {what}: not seen{}", self.name, self.last_words());
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Lines of standard output, or of standard error, that hold this text.
    pub fn lines_with(&self, text: &str) -> usize {
        let count = |w: &Shared| lock(w).text().lines().filter(|l| l.contains(text)).count();
        count(&self.out) + count(&self.err)
    }

    /// CPU time of all its threads so far, also of those that ended, in ns.
    pub fn cpu_ns(&self) -> Result<u64> {
        let mut clock = 0;
        let mut t = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: both pointers are to live values of the types that the calls write.
        let failed = unsafe {
            libc::clock_getcpuclockid(self.pid, &raw mut clock) != 0
                || libc::clock_gettime(clock, &raw mut t) != 0
        };
        ensure!(!failed, "{}: cannot read its CPU time{}", self.name, self.last_words());
        Ok(t.tv_sec as u64 * 1_000_000_000 + t.tv_nsec as u64)
    }

    /// The UDP sockets of its host that are bound to our port: (how many, bytes queued, drops).
    pub fn sockets(&self) -> (usize, u64, u64) {
        let table = std::fs::read_to_string(format!("/proc/{}/net/udp", self.pid)).unwrap_or_default();
        let port = format!(":{PORT:04X}");
        let mut sum = (0, 0, 0);
        for line in table.lines().skip(1) {
            let f: Vec<&str> = line.split_whitespace().collect();
            let (Some(local), Some(queues), Some(drops)) = (f.get(1), f.get(4), f.last()) else { continue };
            if local.ends_with(&port) {
                let queued = queues.split(':').nth(1).and_then(|q| u64::from_str_radix(q, 16).ok());
                sum.0 += 1;
                sum.1 += queued.unwrap_or(0);
                sum.2 += drops.parse().unwrap_or(0);
            }
        }
        sum
    }

    /// How many multicast groups its host has joined, all interfaces and users together.
    pub fn memberships(&self) -> usize {
        let table = std::fs::read_to_string(format!("/proc/{}/net/igmp", self.pid)).unwrap_or_default();
        table.lines().filter(|l| l.starts_with("\t\t")).count()
    }

    /// Waits until nothing is queued at its sockets, and a little longer for what it has taken.
    pub fn wait_drained(&mut self) -> Result<()> {
        self.wait_until("empty socket buffers", |p| p.sockets().1 == 0)?;
        std::thread::sleep(Duration::from_millis(150));
        Ok(())
    }

    /// Ends it, by its input's end and with this signal, and waits for it.
    pub fn end(mut self, signal: Option<i32>) -> Result<Ended> {
        if let Some(child) = &mut self.child {
            drop(child.stdin.take());
        }
        if let Some(signal) = signal {
            self.kill(signal);
        }
        let until = Instant::now() + PATIENCE;
        let usage = loop {
            if let Some(usage) = self.reap(libc::WNOHANG)? {
                break usage;
            }
            if Instant::now() > until {
                bail!("{} does not end{}", self.name, self.last_words());
            }
            std::thread::sleep(LOOK);
        };
        for r in mem::take(&mut self.readers) {
            let _ = r.join();
        }
        let ns = |t: libc::timeval| t.tv_sec as u64 * 1_000_000_000 + t.tv_usec as u64 * 1000;
        Ok(Ended {
            out: mem::take(&mut lock(&self.out)),
            err: mem::take(&mut lock(&self.err)),
            cpu_ns: ns(usage.ru_utime) + ns(usage.ru_stime),
            waits: usage.ru_nvcsw as u64,
            rss_kib: usage.ru_maxrss as u64,
        })
    }

    fn kill(&self, signal: i32) {
        if self.child.is_some() {
            // SAFETY: the call takes numbers only; the child has not been waited for, so that the id
            // is its own.
            unsafe { libc::kill(self.pid, signal) };
        }
    }

    /// Takes the ended child with what it used, as `Child::wait` cannot.
    fn reap(&mut self, flags: i32) -> Result<Option<libc::rusage>> {
        // SAFETY: a rusage of zeros is valid.
        let mut usage: libc::rusage = unsafe { mem::zeroed() };
        let mut status = 0;
        // SAFETY: both pointers are to live values of the types that the call writes.
        let got = unsafe { libc::wait4(self.pid, &raw mut status, flags, &raw mut usage) };
        match got {
            0 => Ok(None),
            n if n == self.pid => {
                self.child = None;
                Ok(Some(usage))
            }
            _ => Err(io::Error::last_os_error()).with_context(|| format!("wait for {}", self.name)),
        }
    }

    /// Whether it has ended, without waiting for it.
    pub fn has_ended(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        // The state follows the name, which stands in brackets (proc_pid_stat(5)).
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
    }

    fn last_words(&self) -> String {
        let text = lock(&self.err).text();
        let tail = text.trim_end().lines().last().unwrap_or_default().to_owned();
        if tail.is_empty() { tail } else { format!(" (it said: {tail})") }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill(libc::SIGKILL);
            let _ = self.reap(0);
        }
    }
}

fn lock(w: &Shared) -> std::sync::MutexGuard<'_, Written> {
    w.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads to the end, noting when each piece came. A terminal ends with an error.
fn reader(mut file: impl Read + Send + 'static, to: Shared) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(n @ 1..) = file.read(&mut buffer) {
            let now = wall_ns();
            let mut w = lock(&to);
            w.bytes.extend_from_slice(&buffer[..n]);
            let end = w.bytes.len();
            w.pieces.push((end, now));
        }
    })
}

/// The wall clock, in ns since 1970.
pub fn wall_ns() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos() as u64
}

/// Exactly `N` numbers, with blanks between.
pub fn numbers<const N: usize>(text: &str) -> Result<[u64; N]> {
    let list: Vec<u64> = text
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()
        .with_context(|| format!("{text:?}"))?;
    list.try_into().map_err(|_| anyhow::anyhow!("{text:?} is not {N} numbers"))
}

/// How long a CPU was busy so far, in ns, to the clock tick: everything that ran there, interrupts and
/// what the hypervisor took included.
pub fn busy_ns(cpu: usize) -> u64 {
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let name = format!("cpu{cpu} ");
    let Some(line) = stat.lines().find_map(|l| l.strip_prefix(&name)) else { return 0 };
    let f: Vec<u64> = line.split_whitespace().filter_map(|n| n.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal (proc_stat(5)), in hundredths of a second.
    let busy: u64 = f.iter().take(8).sum::<u64>() - f.iter().skip(3).take(2).sum::<u64>();
    busy * 10_000_000
}

/// Sets an option whose value is of a type without padding.
pub fn set_option<T: Copy>(socket: &Socket, level: i32, option: i32, value: &T) -> io::Result<()> {
    // SAFETY: pointer and length are those of a live value, which the call reads only.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const *value).cast(),
            mem::size_of::<T>() as libc::socklen_t,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What a socket has dropped since it was made.
pub fn socket_drops(socket: &Socket) -> io::Result<u32> {
    let mut info = [0u32; libc::SK_MEMINFO_DROPS as usize + 1];
    let mut len = mem::size_of_val(&info) as libc::socklen_t;
    // SAFETY: pointer and length are those of a live array, which the call writes.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            info.as_mut_ptr().cast(),
            &raw mut len,
        )
    };
    if done == 0 { Ok(info[libc::SK_MEMINFO_DROPS as usize]) } else { Err(io::Error::last_os_error()) }
}

/// Raises the soft limit on open files to the hard one.
pub fn raise_open_files() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointers are to a live value.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}
