//! In the steady state a datagram costs no memory: what receives it, counts it and keeps it for the
//! screen allocates nothing, however many come.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use mcscope::base::batch::{Batch, Datagram, SLOTS};
use mcscope::base::group::{Endpoint, Membership, MembershipId, SourceFilter};
use mcscope::base::time::{Mono, Now, Wall};
use mcscope::engine::pool::Pool;
use mcscope::model::group::{Buffer, Origin};
use mcscope::model::{Model, Settings};
use mcscope::net::socket::{GroupSocket, SocketOptions};

/// Counts what this thread asks for.
struct Counting;

thread_local! {
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator as it came; counting touches no memory of it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ASKED.try_with(|n| n.set(n.get() + 1));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        let _ = ASKED.try_with(|n| n.set(n.get() + 1));
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// How often `f` asks for memory.
fn asked(f: impl FnOnce()) -> u64 {
    let before = ASKED.with(Cell::get);
    f();
    ASKED.with(Cell::get) - before
}

const START: Now = Now { mono: Mono(1_000_000_000_000), wall: Wall(1_700_000_000_000_000_000) };

fn membership(group: Ipv4Addr, port: u16, iface: &str) -> Membership {
    Membership { group: IpAddr::V4(group), port, iface: iface.into(), filter: SourceFilter::Any }
}

/// RTP from `sources` senders, `count` datagrams a millisecond apart.
fn feed(model: &mut Model, batch: &mut Batch, next: &mut u64, sources: u64, count: u64) {
    let mut payload = [0x5a; 200];
    payload[..2].copy_from_slice(&[0x80, 96]);
    for _ in 0..count {
        let (n, source) = (*next / sources, *next % sources);
        payload[2..4].copy_from_slice(&(n as u16).to_be_bytes());
        payload[4..8].copy_from_slice(&((n * 160) as u32).to_be_bytes());
        let now = Now {
            mono: Mono(START.mono.0 + *next * 1_000_000),
            wall: Wall(START.wall.0 + (*next * 1_000_000) as i64),
        };
        let from = Endpoint::new(IpAddr::V4(Ipv4Addr::from(0x0a00_0001 + source as u32)), 5004);
        batch.push_copy(Datagram::new(MembershipId(0), now.wall, from, 200), &payload);
        *next += 1;
        if batch.datagrams().len() == SLOTS {
            batch.received = now;
            model.apply(batch);
            batch.clear();
        }
    }
}

#[test]
fn counting_a_datagram_allocates_nothing() {
    for (sources, keep_packets) in [(1, false), (1, true), (500, false), (500, true)] {
        let mut model = Model::new(Settings { keep_packets }, START);
        let group = membership(Ipv4Addr::new(239, 1, 1, 1), 5004, "eth0");
        model.add(MembershipId(0), Arc::new(group), Origin::User, None);
        model.joined(MembershipId(0), Buffer::default(), START);
        let (mut batch, mut next) = (Batch::new(), 0);
        // Until every sender is known and recognised, and what is kept has reached its bound.
        feed(&mut model, &mut batch, &mut next, sources, 120_000);
        let many = asked(|| feed(&mut model, &mut batch, &mut next, sources, 64_000));
        assert_eq!(many, 0, "{sources} senders, packets kept: {keep_packets}");
    }
}

#[test]
fn receiving_a_datagram_allocates_nothing() {
    let group = Ipv4Addr::new(239, 255, 77, 77);
    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
    let Ok(lo) = nix_index("lo") else { return };
    let port = sender.local_addr().unwrap().port();
    let mut socket =
        GroupSocket::open(&membership(group, port, "lo"), lo, &SocketOptions::default()).expect("join on lo");
    socket2::SockRef::from(&sender).set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
    let waker = mcscope::net::wake::Waker::new().unwrap();
    let pool = Pool::default();
    let mut got = 0;
    let mut round = |datagrams: usize| {
        for _ in 0..datagrams {
            sender.send_to(&[7; 300], (group, port)).unwrap();
        }
        let mut left = datagrams;
        while left > 0 && socket.wait(&waker, Some(Duration::from_secs(5))).unwrap().socket {
            let mut batch = pool.take().unwrap();
            let taken = socket.receive(&mut batch, MembershipId(0)).unwrap().kept;
            (left, got) = (left.saturating_sub(taken), got + taken);
            pool.give(batch);
        }
        assert_eq!(left, 0, "what was sent on the loopback came");
    };
    round(40);
    let many = asked(|| (0..50).for_each(|_| round(40)));
    assert_eq!((got, many), (51 * 40, 0));
}

#[cfg(target_os = "linux")]
fn nix_index(name: &str) -> Result<u32, ()> {
    nix::net::if_::if_nametoindex(name).map_err(drop)
}

#[cfg(not(target_os = "linux"))]
fn nix_index(_: &str) -> Result<u32, ()> {
    Err(())
}
