//! Sockets and interfaces where the sender is on another host: several listeners on one port, each with
//! its own traffic, so that a watched application loses nothing to us; a carrier that is lost and comes
//! back; an interface that is made anew. On the loopback interface none of this can be seen: what is
//! looped back takes another way through the kernel than what arrives.
//!
//! Needs root for two network namespaces; skipped with the reason otherwise, which is a failure if
//! `MCSCOPE_REQUIRE_NETNS=1`.

#![cfg(target_os = "linux")]

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use mcscope::base::batch::Batch;
use mcscope::base::group::{Endpoint, Membership, MembershipId, SourceFilter};
use mcscope::base::iface::Iface;
use mcscope::net::iface;
use mcscope::net::send::{SendOptions, SendSocket};
use mcscope::net::socket::{Drained, GroupSocket, SocketOptions};
use mcscope::net::wake::Waker;
use nix::sched::{CloneFlags, setns};
use socket2::{Domain, InterfaceIndexOrAddress, Socket, Type};

/// Datagrams of a burst, each from a port of its own so that a choice by hash would show.
const BURST: usize = 20;

/// Two hosts, joined by two links: `va`-`vb` (10.1.0.0/24, fd01::/64) and `wa`-`wb` (10.2.0.0/24,
/// fd02::/64). The listener has .1, the sender .2, on the first link also .3. Gone when dropped.
struct Hosts {
    listener: String,
    sender: String,
}

impl Hosts {
    /// `None`: it cannot be made here, and the test is skipped.
    fn new(test: &str) -> Option<Hosts> {
        let name = |host| format!("mcshare{}{test}{host}", std::process::id());
        let hosts = Hosts { listener: name('a'), sender: name('b') };
        let (a, b) = (&hosts.listener, &hosts.sender);
        let made = sh(&format!("ip netns add {a}; ip netns add {b}"))
            .and_then(|()| hosts.link("v", 1))
            .and_then(|()| hosts.link("w", 2))
            .and_then(|()| sh(&format!("ip -n {b} addr add 10.1.0.3/24 dev vb")));
        let Err(reason) = made else { return Some(hosts) };
        let required = std::env::var_os("MCSCOPE_REQUIRE_NETNS").is_some_and(|v| v == "1");
        assert!(!required, "no network namespaces: {reason}");
        eprintln!("skipped: no network namespaces: {reason}");
        None
    }

    /// Makes one of the links, and waits until it can be used.
    fn link(&self, p: &str, n: u8) -> Result<(), String> {
        let (a, b) = (&self.listener, &self.sender);
        sh(&format!(
            "ip -n {a} link add {p}a type veth peer name {p}b netns {b}
             ip -n {a} link set {p}a up; ip -n {b} link set {p}b up
             ip -n {a} addr add 10.{n}.0.1/24 dev {p}a; ip -n {b} addr add 10.{n}.0.2/24 dev {p}b
             ip -n {a} addr add fd0{n}::1/64 dev {p}a nodad; ip -n {b} addr add fd0{n}::2/64 dev {p}b nodad"
        ))?;
        self.wait_for_addresses();
        Ok(())
    }

    /// IPv6 addresses come with the carrier, the link-local one by itself.
    fn wait_for_addresses(&self) {
        for host in [&self.listener, &self.sender] {
            within(host, || {
                let mut watch = iface::Watch::open().unwrap();
                let waker = Waker::new().unwrap();
                for _ in 0..1000 {
                    let all = iface::list().unwrap();
                    let ready = |i: &&Iface| {
                        i.carrier == Some(true) && i.addrs.iter().filter(|a| a.ip.is_ipv6()).count() >= 2
                    };
                    if all.iter().filter(|i| i.name.starts_with(['v', 'w'])).all(|i| ready(&i)) {
                        return;
                    }
                    watch.wait(&waker, Some(Duration::from_millis(20))).unwrap();
                }
                panic!("the addresses do not come up");
            });
        }
    }

    /// Runs `f` in the listener's host.
    fn listen<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        within(&self.listener, f)
    }

    /// A burst to the group and port out of `name`, from this address or any.
    fn send(&self, name: &str, from: Option<&str>, to: Endpoint) {
        within(&self.sender, || {
            for _ in 0..BURST {
                let source_ip = from.map(|f| f.parse().unwrap());
                let options = SendOptions { source_ip, ..SendOptions::new(to, index(name), name) };
                SendSocket::open(&options).unwrap().send(name.as_bytes()).unwrap();
            }
        });
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for host in [&self.listener, &self.sender] {
            let _ = Command::new("ip").args(["netns", "del", host]).output();
        }
    }
}

/// Runs `f` on a thread that is in this namespace; its sockets stay there.
fn within<T: Send>(host: &str, f: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            setns(File::open(format!("/run/netns/{host}")).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
            f()
        });
        thread.join().unwrap()
    })
}

fn sh(script: &str) -> Result<(), String> {
    match Command::new("sh").args(["-ec", script]).output() {
        Ok(out) if out.status.success() => Ok(()),
        Ok(out) => Err(String::from_utf8_lossy(&out.stderr).into_owned()),
        Err(e) => Err(e.to_string()),
    }
}

fn index(name: &str) -> u32 {
    iface::list().unwrap().iter().find(|i| &*i.name == name).unwrap().index
}

fn open(group: IpAddr, name: &str, filter: SourceFilter) -> GroupSocket {
    let m = Membership { group, port: 5004, iface: name.into(), filter };
    GroupSocket::open(&m, index(name), &SocketOptions::default()).unwrap()
}

/// Takes a burst, waiting for it, and whatever is there beside; every payload must be `expected`.
fn take(socket: &mut GroupSocket, expected: &str) -> usize {
    let (waker, mut batch, mut count) = (Waker::new().unwrap(), Batch::new(), 0);
    loop {
        // veth hands over at once: the wait is for a burst that does not come.
        let patience = if count < BURST { Duration::from_secs(2) } else { Duration::ZERO };
        if !socket.wait(&waker, Some(patience)).unwrap().socket {
            return count;
        }
        batch.clear();
        let received = socket.receive(&mut batch, MembershipId(0)).unwrap();
        assert_eq!(received.taken, received.kept, "datagrams of others reached the socket");
        assert!(batch.datagrams().iter().all(|d| batch.payload(d) == expected.as_bytes()));
        count += received.kept;
    }
}

#[test]
fn the_same_group_on_two_interfaces_is_two_memberships_with_each_its_own_traffic() {
    let Some(hosts) = Hosts::new("two") else { return };
    for group in ["239.1.2.3", "ff05::77", "ff02::77", "ff3e::77"] {
        let to = Endpoint::new(group.parse().unwrap(), 5004);
        let (mut v, mut w) =
            hosts.listen(|| (open(to.ip, "va", SourceFilter::Any), open(to.ip, "wa", SourceFilter::Any)));
        hosts.send("vb", None, to);
        hosts.send("wb", None, to);
        assert_eq!((take(&mut v, "vb"), take(&mut w, "wb")), (BURST, BURST), "{group}");
    }
}

#[test]
fn memberships_that_differ_in_their_sources_do_not_take_from_each_other() {
    let Some(hosts) = Hosts::new("ssm") else { return };
    let to = Endpoint::new("232.1.2.3".parse().unwrap(), 5004);
    let include = |source: &str| SourceFilter::Include(vec![source.parse().unwrap()]);
    let mut sockets = hosts
        .listen(|| ["10.1.0.2", "10.1.0.3", "10.1.0.4"].map(|source| open(to.ip, "va", include(source))));
    hosts.send("vb", Some("10.1.0.2"), to);
    hosts.send("vb", Some("10.1.0.3"), to);
    let [two, three, nobody] = &mut sockets;
    assert_eq!((take(two, "vb"), take(three, "vb")), (BURST, BURST));
    assert!(!nobody.wait(&Waker::new().unwrap(), Some(Duration::ZERO)).unwrap().socket);
}

#[test]
fn an_application_on_another_interface_loses_nothing_to_us() {
    let Some(hosts) = Hosts::new("app") else { return };
    let group: Ipv4Addr = "239.1.2.4".parse().unwrap();
    let to = Endpoint::new(group.into(), 5004);
    for (reuse_address, first) in [(true, true), (true, false), (false, true), (false, false)] {
        let app = || application(group, 5004, "wa", reuse_address);
        let (app, mut ours) = hosts.listen(|| {
            let before = first.then(app);
            let ours = open(to.ip, "va", SourceFilter::Any);
            (before.unwrap_or_else(app), ours)
        });
        hosts.send("vb", None, to);
        hosts.send("wb", None, to);
        let case = format!("SO_REUSEADDR {reuse_address}, there first {first}");
        assert_eq!(take(&mut ours, "vb"), BURST, "{case}");
        let received = (0..BURST).take_while(|_| app.recv(&mut [0; 9]).is_ok()).count();
        assert_eq!(received, BURST, "{case}: the application lost datagrams");
    }
}

/// Joins as many programs do, with SO_REUSEPORT.
fn application(group: Ipv4Addr, port: u16, name: &str, reuse_address: bool) -> UdpSocket {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    socket.set_reuse_address(reuse_address).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.set_multicast_all_v4(false).unwrap();
    socket.bind(&SocketAddr::from((group, port)).into()).unwrap();
    socket.join_multicast_v4_n(&group, &InterfaceIndexOrAddress::Index(index(name))).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    socket.into()
}

#[test]
fn a_carrier_lost_and_back_is_told_and_the_membership_can_be_joined_again() {
    let Some(hosts) = Hosts::new("flap") else { return };
    let to = Endpoint::new("239.1.2.5".parse().unwrap(), 5004);
    let (mut watch, mut socket, va) =
        hosts.listen(|| (iface::Watch::open().unwrap(), open(to.ip, "va", SourceFilter::Any), index("va")));
    sh(&format!("ip -n {0} link set vb down; ip -n {0} link set vb up", hosts.sender)).unwrap();
    let waker = Waker::new().unwrap();
    let told = (0..1000).any(|_| {
        let change = watch.wait(&waker, Some(Duration::from_secs(10))).unwrap();
        assert!(change.changed, "nothing was told within ten seconds");
        change.lost_carrier.contains(&va)
    });
    assert!(told);
    assert_eq!(socket.rejoin(va).unwrap(), Drained::default());
    // The sender's link may take a second until it sends again.
    let arrives = (0..100).any(|_| {
        hosts.send("vb", None, to);
        socket.wait(&waker, Some(Duration::from_millis(100))).unwrap().socket
    });
    assert!(arrives);
}

#[test]
fn an_interface_made_anew_is_moved_to_and_what_was_queued_is_counted() {
    for group in ["239.1.2.6", "232.1.2.6", "ff02::78", "ff05::78"] {
        let Some(hosts) = Hosts::new("anew") else { return };
        let to = Endpoint::new(group.parse().unwrap(), 5004);
        let filter = if group == "232.1.2.6" {
            SourceFilter::Include(vec!["10.1.0.2".parse().unwrap()])
        } else {
            SourceFilter::Any
        };
        let mut socket = hosts.listen(|| open(to.ip, "va", filter.clone()));
        hosts.send("vb", None, to);
        sh(&format!("ip -n {} link del va", hosts.listener)).unwrap();
        hosts.link("v", 1).unwrap();
        let old = socket.ifindex();
        // New sockets are made in the namespace of the thread.
        let drained = hosts.listen(|| socket.rejoin(index("va"))).unwrap();
        assert_ne!(socket.ifindex(), old, "the interface has a new index");
        assert_eq!(drained, Drained { packets: BURST as u64, bytes: 2 * BURST as u64 }, "{group}");
        hosts.send("vb", None, to);
        assert_eq!(take(&mut socket, "vb"), BURST, "{group}");
        assert_eq!(socket.drops(), Some(0));
    }
}
