//! An independent judge of what was on the wire: tcpdump captures, tshark counts.
//!
//! The capture is complete by construction, not by waiting a while: it begins when tcpdump says that
//! it listens, and ends when a mark sent after the last datagram is in the file. Packets that the
//! capture itself lost make the test fail.

use std::io::{BufRead, BufReader, Read};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use super::netns::{Lab, done, index};
use super::traffic::{Count, Counts, Flow};
use super::{DEADLINE, required, skip};

/// The ethertype set aside for local experiments (IEEE 802), which nothing else here sends.
const MARK_TYPE: u16 = 0x88b5;

/// A running capture.
pub struct Judge<'lab> {
    lab: &'lab Lab,
    host: u8,
    iface: String,
    dir: tempfile::TempDir,
    child: Child,
    errors: Receiver<String>,
}

impl<'lab> Judge<'lab> {
    /// Starts to capture UDP on a host's interface. `None` if the tools are missing: then the test
    /// is skipped and should return, or fails if `MCSCOPE_REQUIRE_TOOLS=1`.
    pub fn listen(test: &str, lab: &'lab Lab, host: u8, iface: &str) -> Option<Self> {
        for tool in ["tcpdump", "tshark"] {
            let version = Command::new(tool).arg("--version").output();
            if let Err(e) = version {
                skip(test, &format!("cannot run {tool}: {e}"), "MCSCOPE_REQUIRE_TOOLS");
                return None;
            }
        }
        let dir = tempfile::Builder::new().prefix("mcscope-judge-").tempdir().expect("make a temp folder");
        // tcpdump gives up root for a user that a user namespace does not have; dumpcap stays.
        let tcpdump = !required("MCSCOPE_TEST_IN_USER_NAMESPACE");
        let mut command = lab.cmd(host, if tcpdump { "tcpdump" } else { "dumpcap" });
        if tcpdump {
            // Immediate mode sets aside a slot of this length for each packet: of the default, 256 KiB, a few
            // dozen would fill the buffer.
            command.args(["-n", "-U", "-s", "9216", "-B", "32768", "--immediate-mode", "-Z", "root"]);
            // The kernel's own times, which the program under test gets too.
            command.arg("--time-stamp-precision=nano");
        } else {
            command.args(["-q", "-P", "-B", "16"]);
        }
        command.args(["-i", iface, "-w"]).arg(dir.path().join("capture.pcap"));
        let filter = format!("udp or ip[6:2] & 0x1fff != 0 or ip6 proto 44 or ether proto {MARK_TYPE:#x}");
        if tcpdump {
            command.arg(filter)
        } else {
            command.args(["-f", &filter])
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("start the capture");
        let stderr = child.stderr.take().expect("stderr is a pipe");
        let (send, errors) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        let judge = Judge { lab, host, iface: iface.into(), dir, child, errors };
        let until = Instant::now() + DEADLINE;
        let mut said = Vec::new();
        loop {
            match judge.errors.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains("listening on") || line.starts_with("File:") => return Some(judge),
                Ok(line) => said.push(line),
                Err(e) => panic!("the capture does not begin ({e}): {}", said.join("\n")),
            }
        }
    }

    /// Ends the capture and counts each flow's datagrams.
    ///
    /// # Panics
    /// If the capture lost packets.
    #[track_caller]
    pub fn counts(mut self) -> Counts {
        self.finish();
        let mut command = Command::new("tshark");
        command.arg("-r").arg(self.file()).args(["-n", "-Y", "udp and not icmp and not icmpv6"]);
        command.args(["-T", "fields", "-E", "separator=,", "-E", "occurrence=f"]);
        for field in ["ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "udp.srcport", "udp.dstport", "udp.length"]
        {
            command.args(["-e", field]);
        }
        command.env("HOME", self.dir.path());
        let mut counts = Counts::new();
        for line in done(command, "the judge").lines() {
            let f: Vec<&str> = line.split(',').collect();
            let read = || -> Option<(Flow, u64)> {
                let v4 = !f.first()?.is_empty();
                let (from, to) = if v4 { (f[0], *f.get(1)?) } else { (*f.get(2)?, *f.get(3)?) };
                let ip = |s: &str| s.parse::<IpAddr>().ok();
                let port = |i: usize| f.get(i)?.parse::<u16>().ok();
                let from = SocketAddr::new(ip(from)?, port(4)?);
                let to = SocketAddr::new(ip(to)?, port(5)?);
                // The length in the UDP header counts its own eight bytes.
                Some((Flow { from, to }, f.get(6)?.parse::<u64>().ok()?.checked_sub(8)?))
            };
            let (flow, bytes) = read().unwrap_or_else(|| panic!("not understood of tshark: {line:?}"));
            let c: &mut Count = counts.entry(flow).or_default();
            c.packets += 1;
            c.bytes += bytes;
        }
        counts
    }

    /// Ends the capture and keeps it as a file.
    ///
    /// # Panics
    /// If the capture lost packets.
    #[track_caller]
    pub fn save(mut self, to: &Path) {
        self.finish();
        std::fs::copy(self.file(), to)
            .unwrap_or_else(|e| panic!("copy the capture to {}: {e}", to.display()));
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("capture.pcap")
    }

    /// Sends the mark, waits until it is in the file, ends the capture and reads its account.
    #[track_caller]
    fn finish(&mut self) {
        let mark = format!("the last packet of capture {} {:?}", self.child.id(), Instant::now());
        self.lab.inside(self.host, || send_mark(&self.iface, mark.as_bytes()));
        let until = Instant::now() + DEADLINE;
        let mut held = Vec::new();
        let mut file = std::fs::File::open(self.file()).expect("open the capture");
        loop {
            let from = held.len().saturating_sub(mark.len());
            file.read_to_end(&mut held).expect("read the capture");
            if held[from..].windows(mark.len()).any(|w| w == mark.as_bytes()) {
                break;
            }
            assert!(Instant::now() < until, "the mark did not reach the capture file in {DEADLINE:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
        // SAFETY: kill takes numbers only; the child is not yet waited for.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGINT) };
        let mut account = None;
        while let Ok(line) = self.errors.recv_timeout(until.saturating_duration_since(Instant::now())) {
            // "0 packets dropped by kernel", or "received/dropped on interface 'net0': 7/0 (…".
            if line.contains("dropped") {
                account = Some((line.starts_with("0 packets") || line.contains("/0 ("), line));
            }
        }
        self.child.wait().expect("wait for the capture's end");
        let (whole, account) = account.expect("the capture's program says what it lost");
        assert!(whole, "the judge itself lost packets: {account}");
    }
}

impl Drop for Judge<'_> {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Puts a frame of our own type on an interface, to an address that nobody has.
fn send_mark(iface: &str, text: &[u8]) {
    // SAFETY: socket takes numbers only; the descriptor it gives is owned from here on.
    let socket = unsafe {
        let fd = libc::socket(libc::AF_PACKET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        assert!(fd >= 0, "open a packet socket: {}", std::io::Error::last_os_error());
        OwnedFd::from_raw_fd(fd)
    };
    let to = libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: MARK_TYPE.to_be(),
        sll_ifindex: index(iface) as i32,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: [2, 0, 0, 0, 0xff, 0xff, 0, 0],
    };
    // SAFETY: both pointers come with the length of what they point to, and outlive the call.
    let sent = unsafe {
        libc::sendto(
            socket.as_raw_fd(),
            text.as_ptr().cast(),
            text.len(),
            0,
            (&raw const to).cast(),
            size_of_val(&to) as libc::socklen_t,
        )
    };
    assert_eq!(sent, text.len() as isize, "send the mark on {iface}: {}", std::io::Error::last_os_error());
}
