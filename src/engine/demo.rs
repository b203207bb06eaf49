//! The demo: real senders on the loopback interface, heard through real sockets.
//!
//! It needs no privilege and no network, stays off the LAN and ends with the program. Its group
//! addresses hold a byte of the process's number, so that two demos on one host keep apart.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::base::group::{Endpoint, Membership, SourceFilter};
use crate::net::NetError;
use crate::net::send::{SendOptions, SendSocket};
use crate::net::wake::Waker;

/// A stream of the demo.
struct Stream {
    group: u8,
    port: u16,
    source: [u8; 4],
    /// Datagrams a second.
    pps: f64,
    /// Datagrams at a time.
    burst: u32,
    /// Leave out each Nth number; 0 none.
    drop_every: u64,
    /// Swap each Nth number with the next; 0 none.
    swap_every: u64,
    dscp: u8,
    fill: fn(u64, &mut Vec<u8>),
}

/// What each group of the demo is called, by its last byte.
const LABELS: [(u8, u16, &str); 7] = [
    (1, 5004, "steady RTP"),
    (2, 1234, "bursts"),
    (3, 7000, "two senders"),
    (4, 8125, "telemetry"),
    (5, 9000, "chatter"),
    (6, 5006, "RTP with gaps"),
    (7, 5008, "nobody sends"),
];

fn streams() -> Vec<Stream> {
    let s = |group, port, last, pps, fill| Stream {
        group,
        port,
        source: [127, 0, 0, last],
        pps,
        burst: 1,
        drop_every: 0,
        swap_every: 0,
        dscp: 0,
        fill,
    };
    vec![
        Stream { dscp: 46, ..s(1, 5004, 1, 250.0, rtp_a) },
        Stream { burst: 240, ..s(2, 1234, 1, 80.0, transport_stream) },
        s(3, 7000, 1, 20.0, counter_a),
        s(3, 7000, 2, 35.0, counter_b),
        s(4, 8125, 1, 5.0, json_a),
        s(4, 8125, 3, 3.0, json_b),
        s(4, 8125, 4, 2.0, json_c),
        s(5, 9000, 1, 0.8, chatter),
        Stream { drop_every: 50, swap_every: 33, dscp: 34, ..s(6, 5006, 2, 100.0, rtp_b) },
    ]
}

/// The demo's groups, to be joined on the loopback interface of this name; `salt` keeps two demos
/// on one host apart (the process's number).
pub fn memberships(loopback: &str, salt: u32) -> Vec<(Membership, &'static str)> {
    LABELS
        .iter()
        .map(|&(n, port, label)| {
            let group = address(salt, n);
            (Membership { group, port, iface: loopback.into(), filter: SourceFilter::Any }, label)
        })
        .collect()
}

/// 239.255/16 is the IPv4 local scope (RFC 2365 section 6.1): never routed.
fn address(salt: u32, n: u8) -> IpAddr {
    Ipv4Addr::new(239, 255, (salt % 255) as u8, n).into()
}

/// The running demo; dropping it ends the senders.
pub struct Demo {
    stop: Arc<AtomicBool>,
    waker: Waker,
    thread: Option<JoinHandle<()>>,
}

impl Demo {
    /// Starts to send on the loopback interface.
    ///
    /// # Errors
    /// When a socket cannot be had.
    pub fn start(loopback: &str, ifindex: u32, salt: u32) -> Result<Demo, NetError> {
        let mut running = Vec::new();
        for stream in streams() {
            let options = SendOptions {
                to: Endpoint::new(address(salt, stream.group), stream.port),
                ifindex,
                iface: loopback.into(),
                ttl: 1,
                dscp: stream.dscp,
                loopback: true,
                source_port: None,
                source_ip: Some(IpAddr::from(stream.source)),
            };
            let socket = match SendSocket::open(&options) {
                Ok(socket) => socket,
                // Systems other than Linux answer to 127.0.0.1 only.
                Err(_) => SendSocket::open(&SendOptions { source_ip: None, ..options })?,
            };
            running.push((stream, socket, 0u64));
        }
        let waker = Waker::new()?;
        let stop = Arc::new(AtomicBool::new(false));
        let (w, s) = (waker.clone(), stop.clone());
        let thread = std::thread::Builder::new()
            .name("demo".into())
            .spawn(move || send(&mut running, &w, &s))
            .map_err(|source| NetError::Limit { what: "start the demo's thread", source })?;
        Ok(Demo { stop, waker, thread: Some(thread) })
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.waker.wake();
        if let Some(t) = self.thread.take() {
            let _ = t.join();
        }
    }
}

fn send(running: &mut [(Stream, SendSocket, u64)], waker: &Waker, stop: &AtomicBool) {
    let begun = Instant::now();
    let mut payload = Vec::new();
    while !stop.load(Ordering::Acquire) {
        let elapsed = begun.elapsed().as_secs_f64();
        let mut next = elapsed + 0.5;
        for (s, socket, sent) in running.iter_mut() {
            let burst = u64::from(s.burst);
            let due = (elapsed * s.pps / s.burst as f64) as u64 * burst + burst;
            while *sent < due {
                for n in order(s, *sent) {
                    payload.clear();
                    (s.fill)(n, &mut payload);
                    // A full buffer on the loopback is no reason to end a demo.
                    let _ = socket.send(&payload);
                }
                *sent += 1;
            }
            next = next.min((*sent / burst) as f64 * s.burst as f64 / s.pps);
        }
        let wait = Duration::from_secs_f64((next - begun.elapsed().as_secs_f64()).max(0.001));
        if waker.wait(Some(wait)).unwrap_or(true) {
            waker.clear();
        }
    }
}

/// The numbers that go out in the turn of number `n`: none if it is left out, two after a swap.
fn order(s: &Stream, n: u64) -> impl Iterator<Item = u64> {
    let hits = |every: u64, n: u64| every > 0 && (n + 1).is_multiple_of(every);
    let dropped = |n| hits(s.drop_every, n);
    let held = |n| hits(s.swap_every, n) && !dropped(n) && !dropped(n + 1);
    let now = (!dropped(n) && !held(n)).then_some(n);
    let late = (n > 0 && held(n - 1)).then(|| n - 1);
    now.into_iter().chain(late)
}

fn rtp(n: u64, ssrc: u32, pt: u8, samples: u32, size: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&[0x80, pt]);
    out.extend_from_slice(&(n as u16).to_be_bytes());
    out.extend_from_slice(&(n as u32).wrapping_mul(samples).to_be_bytes());
    out.extend_from_slice(&ssrc.to_be_bytes());
    // A tone, so that the payload looks like sound and not like nothing.
    for i in 0..size as u32 / 2 {
        let phase = f64::from((n as u32).wrapping_mul(samples) + i) * 0.0576;
        out.extend_from_slice(&((phase.sin() * 12_000.0) as i16).to_be_bytes());
    }
}

fn rtp_a(n: u64, out: &mut Vec<u8>) {
    rtp(n, 0x5a01_77e1, 96, 192, 768, out);
}

fn rtp_b(n: u64, out: &mut Vec<u8>) {
    rtp(n, 0x0b0b_0001, 11, 441, 882, out);
}

fn transport_stream(n: u64, out: &mut Vec<u8>) {
    for i in 0..7u64 {
        let counter = (n * 7 + i) & 0x0f;
        out.extend_from_slice(&[0x47, 0x01, 0x00, 0x10 | counter as u8]);
        out.extend((0..184u32).map(|b| (b as u8) ^ (n as u8)));
    }
}

fn counter_a(n: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("sensor-a {n:08} {:.2} C\n", 21.0 + (n as f64 / 50.0).sin()).as_bytes());
}

fn counter_b(n: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("sensor-b {n:08} {:.2} C\n", 19.5 + (n as f64 / 80.0).cos()).as_bytes());
}

fn json(device: &str, n: u64, out: &mut Vec<u8>) {
    let volts = 230.0 + (n as f64 / 7.0).sin() * 3.0;
    let text = format!(
        "{{\"device\":\"{device}\",\"seq\":{n},\"volts\":{volts:.1},\"amps\":{:.2},\"ok\":true}}",
        4.2 + (n as f64 / 11.0).cos()
    );
    out.extend_from_slice(text.as_bytes());
}

fn json_a(n: u64, out: &mut Vec<u8>) {
    json("meter-1", n, out);
}

fn json_b(n: u64, out: &mut Vec<u8>) {
    json("meter-2", n, out);
}

fn json_c(n: u64, out: &mut Vec<u8>) {
    json("inverter", n, out);
}

fn chatter(n: u64, out: &mut Vec<u8>) {
    const LINES: [&str; 6] = [
        "hello from the studio",
        "camera 2 is ready",
        "who moved the light?",
        "grüße aus Halle 7",
        "rolling in ten",
        "all quiet here",
    ];
    out.extend_from_slice(LINES[(n % 6) as usize].as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_swaps_of_the_demo_are_exact() {
        let s = streams().into_iter().find(|s| s.drop_every > 0).unwrap();
        let sent: Vec<u64> = (0..1001).flat_map(|n| order(&s, n)).filter(|&n| n < 1000).collect();
        let mut sorted = sent.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!((sent.len(), sorted.len()), (980, 980));
        assert!(sent.windows(2).any(|w| w[1] < w[0]), "something is swapped");
    }

    #[test]
    fn two_demos_keep_apart_and_stay_in_the_local_scope() {
        let a = memberships("lo", 1);
        let b = memberships("lo", 2);
        assert!(a.iter().all(|(m, _)| b.iter().all(|(k, _)| k.group != m.group)));
        assert!(a.iter().all(|(m, _)| m.group.to_string().starts_with("239.255.")));
    }
}
