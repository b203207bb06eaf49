//! Network namespaces: hosts joined by a cable or a switch, out of reach of any real network.
//!
//! A host is a namespace held by an open descriptor, not by a name: when the test ends, in whatever
//! way, the kernel takes the namespace and its links away, and no name can collide.
//!
//! As root the namespaces are made directly. Otherwise the test runs itself once more inside a user
//! namespace (`unshare -Urnm`), where it may; that run's result is the test's. Where neither is
//! possible the test is skipped with the reason, or fails if `MCSCOPE_REQUIRE_NETNS=1`.
//!
//! ```ignore
//! let Some(lab) = lab!(Options::default()) else { return };
//! let mut program = sandbox.mcscope(["watch", "239.1.1.1:5004%net0"]);
//! lab.enter(1, &mut program);                          // a child process in host 1
//! let sent = lab.inside(2, || Sending::to("239.1.1.1:5004").on("net0").go());  // a closure in host 2
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags};
use nix::sched::CloneFlags;

use super::run::describe;

/// Set in the second run of a test, the one inside a user namespace.
const IN_USER_NAMESPACE: &str = "MCSCOPE_TEST_IN_USER_NAMESPACE";

/// The name of the test that this is written in, as libtest knows it.
#[macro_export]
macro_rules! test_name {
    () => {{
        let here = std::any::type_name_of_val(&|| {});
        let (_, path) = here.split_once("::").expect("a path starts with its crate");
        path.trim_end_matches("::{{closure}}")
    }};
}

/// A [`Lab`](netns::Lab) for this test; `None` if the test has been run elsewhere or is skipped,
/// and then it should return.
#[macro_export]
macro_rules! lab {
    ($options:expr) => {
        $crate::support::netns::Lab::new($crate::test_name!(), $options)
    };
}

/// What joins the hosts of a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// One veth pair: two hosts.
    Cable,
    /// A bridge.
    Switch {
        /// IGMP and MLD snooping.
        snooping: bool,
        /// Whether it asks the queries as well, every 2 s.
        querier: bool,
    },
}

/// What a lab is like.
#[derive(Clone, Debug)]
pub struct Options {
    /// Number of hosts, counted from 1.
    pub hosts: u8,
    /// Number of networks side by side, each with an interface `net0`, `net1` … on every host.
    pub networks: u8,
    /// What joins the hosts.
    pub join: Join,
    /// The largest IP packet in bytes.
    pub mtu: u32,
    /// Whether hosts have a route for multicast (224.0.0.0/4, by net0), so that a program that
    /// names no interface can send.
    pub route: bool,
    /// Whether hosts have IPv4 addresses.
    pub ipv4: bool,
    /// Whether hosts have IPv6 addresses.
    pub ipv6: bool,
}

impl Default for Options {
    /// Two hosts on one cable, both families, with a route for multicast.
    fn default() -> Self {
        Options { hosts: 2, networks: 1, join: Join::Cable, mtu: 1500, route: true, ipv4: true, ipv6: true }
    }
}

/// Hosts in namespaces.
pub struct Lab {
    options: Options,
    /// One for each host, then one for each switch.
    hosts: Vec<OwnedFd>,
}

impl Lab {
    /// Makes the lab. `None` if the test has been run elsewhere or is skipped. [`lab!`] gives the
    /// test's name.
    ///
    /// # Panics
    /// If the test failed elsewhere, must not be skipped, or a step failed.
    pub fn new(test: &str, options: Options) -> Option<Lab> {
        if let Err(why) = possible() {
            if std::env::var_os(IN_USER_NAMESPACE).is_none() && run_in_user_namespace(test) {
                return None;
            }
            super::skip(test, &why, "MCSCOPE_REQUIRE_NETNS");
            return None;
        }
        let switches = if options.join == Join::Cable { 0 } else { options.networks };
        assert!(options.hosts == 2 || options.join != Join::Cable, "a cable has two ends");
        let hosts = (0..options.hosts + switches).map(|_| namespace()).collect();
        let lab = Lab { options, hosts };
        for network in 0..lab.options.networks {
            lab.join(network);
        }
        for host in 1..=lab.options.hosts {
            lab.ip(host, "link set lo up");
            for network in 0..lab.options.networks {
                lab.settle(host, network);
            }
            if lab.options.route && lab.options.ipv4 {
                lab.ip(host, "route add 224.0.0.0/4 dev net0");
            }
        }
        Some(lab)
    }

    /// The IPv4 address of a host on `net0`.
    pub fn v4(&self, host: u8) -> Ipv4Addr {
        v4(0, host)
    }

    /// The global IPv6 address of a host on `net0`.
    pub fn v6(&self, host: u8) -> Ipv6Addr {
        v6(0, host)
    }

    /// The IPv4 address of a host on `net0`, `net1` …: 10.99.0.HOST, 10.98.0.HOST …
    pub fn v4_on(&self, network: u8, host: u8) -> Ipv4Addr {
        v4(network, host)
    }

    /// The global IPv6 address of a host on `net0`, `net1` …: fd99::HOST, fd98::HOST …
    pub fn v6_on(&self, network: u8, host: u8) -> Ipv6Addr {
        v6(network, host)
    }

    /// The link-local IPv6 address of a host's interface.
    ///
    /// # Panics
    /// If it has none.
    pub fn link_local(&self, host: u8, iface: &str) -> Ipv6Addr {
        let all = self.inside(host, || addresses6(iface));
        let found = all.iter().find(|a| a.address.is_unicast_link_local());
        found.unwrap_or_else(|| panic!("host {host} has no link-local address on {iface}")).address
    }

    /// Makes a command run in a host, with the host's own `/sys`.
    pub fn enter<'c>(&self, host: u8, command: &'c mut Command) -> &'c mut Command {
        let fd = self.fd(host).try_clone_to_owned().expect("duplicate a descriptor");
        // SAFETY: the closure runs in the child between fork and exec and makes system calls only:
        // setns, unshare, umount2, mount, of which none allocates or takes a lock (the paths are
        // short enough for nix to put them on the stack). It owns the descriptor that it uses.
        unsafe { command.pre_exec(move || enter(fd.as_fd())) }
    }

    /// A command that runs in a host.
    pub fn cmd(&self, host: u8, program: &str) -> Command {
        let mut command = Command::new(program);
        self.enter(host, &mut command);
        command
    }

    /// Runs a closure on a fresh thread that is in a host, and gives its value; its panic is the
    /// test's. Of the lists in `/proc` a thread sees its own by `/proc/thread-self/net` only:
    /// `/proc/net` is that of the whole process.
    pub fn inside<R: Send>(&self, host: u8, f: impl FnOnce() -> R + Send) -> R {
        let fd = self.fd(host);
        std::thread::scope(|scope| {
            let entered = scope.spawn(move || {
                enter(fd).unwrap_or_else(|e| panic!("enter host {host}: {e}"));
                f()
            });
            entered.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Runs `ip` in a host with these blank-separated words, and gives what it printed.
    #[track_caller]
    pub fn ip(&self, host: u8, words: &str) -> String {
        let mut command = self.cmd(host, "ip");
        command.args(words.split_whitespace());
        done(command, &format!("host {host}"))
    }

    /// Runs a line of shell in a host, and gives what it printed.
    #[track_caller]
    pub fn sh(&self, host: u8, line: &str) -> String {
        let mut command = self.cmd(host, "sh");
        command.args(["-ec", line]);
        done(command, &format!("host {host}"))
    }

    /// Takes an interface down (no carrier at the other end of a cable) or up again, and in the
    /// latter case waits until it works.
    #[track_caller]
    pub fn link(&self, host: u8, iface: &str, up: bool) {
        self.ip(host, &format!("link set {iface} {}", if up { "up" } else { "down" }));
        if up {
            self.wait_for_link(host, iface);
        }
    }

    /// Deletes a host's interface (at a cable: at both ends).
    #[track_caller]
    pub fn delete_link(&self, host: u8, network: u8) {
        self.ip(host, &format!("link delete net{network}"));
    }

    /// Makes a network's deleted interfaces anew: same names and addresses, new indices.
    #[track_caller]
    pub fn recreate_links(&self, network: u8) {
        self.join(network);
        for host in 1..=self.options.hosts {
            self.settle(host, network);
        }
        if self.options.route && self.options.ipv4 && network == 0 {
            for host in 1..=self.options.hosts {
                self.ip(host, "route replace 224.0.0.0/4 dev net0");
            }
        }
    }

    /// Makes a range of addresses a host's own, so that it can send from them.
    #[track_caller]
    pub fn own_range(&self, host: u8, cidr: &str) {
        self.ip(host, &format!("route replace local {cidr} dev lo"));
    }

    /// From now on every `n`th UDP datagram that reaches a host is dropped there, before any socket;
    /// 0 ends that.
    #[track_caller]
    pub fn drop_every(&self, host: u8, n: u32) {
        self.sh(host, "nft delete table inet lab 2>/dev/null || true");
        if n > 0 {
            let rule = format!("meta l4proto udp numgen inc mod {n} == {} drop", n - 1);
            self.nft(host, &format!("type filter hook input priority 0; {rule};"));
        }
    }

    /// From now on a host drops this share (in percent) of the UDP datagrams that reach it, at random.
    #[track_caller]
    pub fn drop_percent(&self, host: u8, percent: u32) {
        self.sh(host, "nft delete table inet lab 2>/dev/null || true");
        let rule = format!("meta l4proto udp numgen random mod 100 < {percent} drop");
        self.nft(host, &format!("type filter hook input priority 0; {rule};"));
    }

    /// The words of this command run `ip`-like tools on a network's switch.
    #[track_caller]
    pub fn on_switch(&self, network: u8, line: &str) -> String {
        assert_ne!(self.options.join, Join::Cable, "a cable has no switch");
        self.sh(self.options.hosts + 1 + network, line)
    }

    #[track_caller]
    fn nft(&self, host: u8, chain: &str) {
        self.sh(host, &format!("printf 'table inet lab {{ chain in {{\n%s\n}}\n}}\n' '{chain}' | nft -f -"));
    }

    /// The descriptor of a host (from 1) or, after these, of a switch.
    fn fd(&self, host: u8) -> BorrowedFd<'_> {
        let host = self.hosts.get(usize::from(host).wrapping_sub(1));
        host.expect("hosts are counted from 1").as_fd()
    }

    /// How a program in another namespace names a host's.
    fn path(&self, host: u8) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.fd(host).as_raw_fd())
    }

    /// Lays the cable or puts up the switch of a network.
    #[track_caller]
    fn join(&self, network: u8) {
        let name = format!("net{network}");
        let mtu = self.options.mtu;
        match self.options.join {
            Join::Cable => {
                let (end, here, there) = (self.path(2), fresh_index(), fresh_index());
                self.ip(
                    1,
                    &format!(
                        "link add {name} index {here} mtu {mtu} type veth \
                         peer name {name} index {there} mtu {mtu} netns {end}"
                    ),
                );
            }
            Join::Switch { snooping, querier } => {
                let switch = self.options.hosts + 1 + network;
                if self.inside(switch, || nix::net::if_::if_nametoindex("br0").is_err()) {
                    let (snooping, querier) = (u8::from(snooping), u8::from(querier));
                    self.ip(
                        switch,
                        &format!(
                            "link add br0 mtu {mtu} type bridge mcast_snooping {snooping} mcast_querier {querier} \
                             mcast_query_interval 200 mcast_startup_query_interval 50 \
                             mcast_igmp_version 3 mcast_mld_version 2"
                        ),
                    );
                    self.inside(switch, || without_dad("br0"));
                    self.ip(switch, "link set br0 up");
                    if querier == 1 {
                        // Queries from 0.0.0.0 are legal, but many listeners want a real querier.
                        self.ip(switch, &format!("addr add {}/16 dev br0", v4(network, 254)));
                        self.ip(switch, "link set br0 type bridge mcast_query_use_ifaddr 1");
                    }
                }
                for host in 1..=self.options.hosts {
                    let has = self.inside(host, || nix::net::if_::if_nametoindex(name.as_str()).is_ok());
                    if has {
                        continue;
                    }
                    let (end, here, there) = (self.path(host), fresh_index(), fresh_index());
                    self.ip(
                        switch,
                        &format!(
                            "link add p{host} index {here} mtu {mtu} type veth \
                             peer name {name} index {there} mtu {mtu} netns {end}"
                        ),
                    );
                    self.ip(switch, &format!("link set p{host} master br0 up"));
                }
            }
        }
    }

    /// Gives a host's interface its addresses and waits until it works.
    #[track_caller]
    fn settle(&self, host: u8, network: u8) {
        let name = format!("net{network}");
        self.inside(host, || {
            without_dad(&name);
            for scope in ["all", &name] {
                write_setting(&format!("/proc/sys/net/ipv4/conf/{scope}/rp_filter"), "0");
            }
            if !self.options.ipv6 {
                write_setting(&format!("/proc/sys/net/ipv6/conf/{name}/disable_ipv6"), "1");
            }
        });
        if self.options.ipv4 {
            self.ip(host, &format!("addr replace {}/16 dev {name}", v4(network, host)));
        }
        if self.options.ipv6 {
            self.ip(host, &format!("-6 addr replace {}/64 dev {name} nodad", v6(network, host)));
        }
        self.ip(host, &format!("link set {name} up"));
        let last = host == self.options.hosts || self.options.join != Join::Cable;
        // A cable has carrier once both ends are up.
        if last {
            let from = if self.options.join == Join::Cable { 1 } else { host };
            for host in from..=host {
                self.wait_for_link(host, &name);
            }
        }
    }

    /// Waits until an interface has carrier and, where it has IPv6, a link-local address that can
    /// be sent from.
    #[track_caller]
    pub fn wait_for_link(&self, host: u8, iface: &str) {
        let until = Instant::now() + super::DEADLINE;
        let want6 = self.options.ipv6;
        let ready = self.inside(host, || {
            loop {
                let state = std::fs::read_to_string(format!("/sys/class/net/{iface}/operstate"));
                let up = state.as_deref().map(str::trim).is_ok_and(|s| s == "up" || s == "unknown");
                let all = addresses6(iface);
                let local = all.iter().any(|a| a.address.is_unicast_link_local());
                if up && (!want6 || local && all.iter().all(|a| !a.tentative)) {
                    return Ok(());
                }
                if Instant::now() > until {
                    return Err(format!("operstate {state:?}, IPv6 {all:?}"));
                }
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        if let Err(seen) = ready {
            panic!("{iface} of host {host} is not ready: {seen}");
        }
    }
}

/// An interface index that no lab of this process has used. Two ends of a cable with the same index,
/// as the first of two new namespaces would have, make Linux hold back the news of their carrier for
/// up to a second: it takes them for interfaces without another end.
fn fresh_index() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(100);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

fn v4(network: u8, host: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 99 - network, 0, host)
}

fn v6(network: u8, host: u8) -> Ipv6Addr {
    // The decimal digits as they read: fd99, fd98 …
    let tail = u16::from(9 - network % 10) + 16 * 9;
    Ipv6Addr::new(0xfd00 | tail, 0, 0, 0, 0, 0, 0, u16::from(host))
}

/// An IPv6 address of an interface, as the kernel lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Address6 {
    /// The address.
    pub address: Ipv6Addr,
    /// Still being checked for duplicates, or found to be one: nothing can be sent from it.
    pub tentative: bool,
}

/// The IPv6 addresses of an interface in the calling thread's namespace.
pub fn addresses6(iface: &str) -> Vec<Address6> {
    let list = std::fs::read_to_string("/proc/thread-self/net/if_inet6").unwrap_or_default();
    let row = |line: &str| {
        let f: Vec<&str> = line.split_whitespace().collect();
        let (address, flags) =
            (u128::from_str_radix(f.first()?, 16).ok()?, u32::from_str_radix(f.get(4)?, 16).ok()?);
        let tentative = flags & (libc::IFA_F_TENTATIVE | libc::IFA_F_DADFAILED) != 0;
        (*f.get(5)? == iface).then_some(Address6 { address: address.into(), tentative })
    };
    list.lines().filter_map(row).collect()
}

/// The index of an interface in the calling thread's namespace.
///
/// # Panics
/// If there is none of that name.
#[track_caller]
pub fn index(iface: &str) -> u32 {
    nix::net::if_::if_nametoindex(iface).unwrap_or_else(|e| panic!("no interface {iface}: {e}"))
}

/// The address of a host as text with the family's brackets, for a command line.
pub fn spec(address: impl Into<IpAddr>) -> String {
    match address.into() {
        IpAddr::V4(a) => a.to_string(),
        IpAddr::V6(a) => format!("[{a}]"),
    }
}

/// Duplicate address detection keeps an address unusable for a second or two.
fn without_dad(iface: &str) {
    for (key, value) in [("accept_dad", "0"), ("dad_transmits", "0"), ("router_solicitations", "0")] {
        write_setting(&format!("/proc/sys/net/ipv6/conf/{iface}/{key}"), value);
    }
}

fn write_setting(path: &str, value: &str) {
    std::fs::write(path, value).unwrap_or_else(|e| panic!("write {value} to {path}: {e}"));
}

/// A new namespace, made on a thread of its own so that no other is moved.
fn namespace() -> OwnedFd {
    let made = std::thread::spawn(|| -> std::io::Result<OwnedFd> {
        nix::sched::unshare(CloneFlags::CLONE_NEWNET)?;
        Ok(std::fs::File::open("/proc/thread-self/ns/net")?.into())
    });
    made.join().expect("the thread ends").expect("make a network namespace")
}

/// Moves the calling thread into a namespace, and gives it a `/sys` of that namespace.
fn enter(fd: BorrowedFd<'_>) -> std::io::Result<()> {
    nix::sched::setns(fd, CloneFlags::CLONE_NEWNET)?;
    // /sys/class/net shows the namespace that was current when it was mounted.
    nix::sched::unshare(CloneFlags::CLONE_NEWNS)?;
    nix::mount::mount(None::<&str>, "/", None::<&str>, MsFlags::MS_SLAVE | MsFlags::MS_REC, None::<&str>)?;
    // In a user namespace the mounts above are locked in place; the new one then lies on top.
    let _ = nix::mount::umount2("/sys", MntFlags::MNT_DETACH);
    nix::mount::mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), None::<&str>)?;
    Ok(())
}

/// Whether this process can make namespaces, mount their `/sys`, and finds `ip`.
fn possible() -> Result<(), String> {
    let found = Command::new("ip").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.map_err(|e| format!("cannot run `ip` (install iproute2): {e}"))?;
    let tried = std::thread::spawn(|| -> Result<(), String> {
        nix::sched::unshare(CloneFlags::CLONE_NEWNET)
            .map_err(|e| format!("cannot make a network namespace (run as root): {e}"))?;
        let file = std::fs::File::open("/proc/thread-self/ns/net").map_err(|e| e.to_string())?;
        enter(file.as_fd()).map_err(|e| format!("cannot enter a network namespace: {e}"))
    });
    tried.join().expect("the thread ends")
}

/// Runs this one test again as root of a user namespace; whether that was possible.
///
/// # Panics
/// If the test failed there.
fn run_in_user_namespace(test: &str) -> bool {
    let unshare = || {
        let mut c = Command::new("unshare");
        c.args(["--user", "--map-root-user", "--net", "--mount", "--"]);
        c
    };
    let able = unshare().arg("true").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !able.is_ok_and(|s| s.success()) {
        return false;
    }
    let mut again = unshare();
    again.arg(std::env::current_exe().expect("a test knows its own path"));
    again.args(["--exact", test, "--nocapture", "--include-ignored", "--test-threads=1"]);
    let done = again.env(IN_USER_NAMESPACE, "1").output().expect("run unshare");
    let text = String::from_utf8_lossy(&done.stdout).into_owned() + &String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{test} failed in a user namespace:\n{text}");
    // A name that matches no test passes as well: that would be a test that cannot fail.
    assert!(text.contains("1 passed"), "{test} was not run in a user namespace:\n{text}");
    if let Some(skipped) = text.lines().find(|l| l.contains("SKIPPED")) {
        super::skip(test, skipped, "MCSCOPE_REQUIRE_NETNS");
    }
    true
}

/// Runs a command that must succeed, and gives what it printed.
#[track_caller]
pub fn done(mut command: Command, place: &str) -> String {
    let line = describe(&command);
    let o = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{place}: {line}: {e}"));
    let (out, err) = (String::from_utf8_lossy(&o.stdout), String::from_utf8_lossy(&o.stderr));
    assert!(o.status.success(), "{place}: {line}: {}\n{out}{err}", o.status);
    out.into_owned()
}

/// How many users this user namespace has: one where the test made it for itself.
pub fn uids() -> u64 {
    let map = std::fs::read_to_string("/proc/self/uid_map").expect("the map of users");
    map.lines().filter_map(|l| l.split_whitespace().nth(2)?.parse::<u64>().ok()).sum()
}
