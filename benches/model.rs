//! What the model costs a datagram: batches from memory, RTP of 200 bytes, from one, a hundred and a
//! hundred thousand senders, with and without kept packets.
//!
//! `cargo bench --bench model -- --quick`; the figure to look at is elements (datagrams) a second.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mcscope::base::batch::{Batch, Datagram, SLOTS};
use mcscope::base::group::{Endpoint, Membership, MembershipId, SourceFilter};
use mcscope::base::time::{Mono, Now, Wall};
use mcscope::model::group::{Buffer, Origin};
use mcscope::model::{Model, Settings};

const START: u64 = 1_000_000_000_000;
const WALL: i64 = 1_700_000_000_000_000_000;
/// Nanoseconds between two datagrams.
const STEP: u64 = 200;
const PAYLOAD: usize = 200;

struct Traffic {
    sources: u32,
    next: u64,
    payload: [u8; PAYLOAD],
}

impl Traffic {
    fn new(sources: u32) -> Self {
        let mut payload = [0x5a; PAYLOAD];
        payload[..2].copy_from_slice(&[0x80, 96]);
        Traffic { sources, next: 0, payload }
    }

    fn fill(&mut self, batch: &mut Batch) {
        batch.clear();
        for _ in 0..SLOTS {
            let at = self.next * STEP;
            let (source, n) =
                ((self.next % u64::from(self.sources)) as u32, self.next / u64::from(self.sources));
            self.payload[2..4].copy_from_slice(&(n as u16).to_be_bytes());
            self.payload[4..8].copy_from_slice(&((n * 160) as u32).to_be_bytes());
            let ip = IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + source));
            let wall = Wall(WALL + at as i64);
            let mut d = Datagram::new(MembershipId(0), wall, Endpoint::new(ip, 5004), PAYLOAD as u32);
            (d.ttl, d.tos) = (Some(8), Some(0));
            batch.push_copy(d, &self.payload);
            batch.received = Now { mono: Mono(START + at), wall };
            self.next += 1;
        }
    }
}

fn model(keep_packets: bool) -> Model {
    let now = Now { mono: Mono(START), wall: Wall(WALL) };
    let mut model = Model::new(Settings { keep_packets }, now);
    let membership = Membership {
        group: "239.1.1.1".parse().expect("an address"),
        port: 5004,
        iface: "eth0".into(),
        filter: SourceFilter::Any,
    };
    model.add(MembershipId(0), Arc::new(membership), Origin::User, None);
    model.joined(MembershipId(0), Buffer::default(), now);
    model
}

fn apply(c: &mut Criterion) {
    let mut g = c.benchmark_group("apply");
    g.throughput(Throughput::Elements(SLOTS as u64));
    g.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    for sources in [1u32, 100, 100_000] {
        for keep in [false, true] {
            let name = BenchmarkId::new(if keep { "kept" } else { "counted" }, sources);
            let (mut model, mut traffic, mut batch) = (model(keep), Traffic::new(sources), Batch::new());
            // Until every sender is known and recognised.
            for _ in 0..u64::from(sources) * 6 / SLOTS as u64 + 8 {
                traffic.fill(&mut batch);
                model.apply(&batch);
            }
            g.bench_function(name, |b| {
                b.iter_custom(|rounds| {
                    let mut spent = Duration::ZERO;
                    for _ in 0..rounds {
                        traffic.fill(&mut batch);
                        let start = std::time::Instant::now();
                        model.apply(&batch);
                        spent += start.elapsed();
                    }
                    spent
                });
            });
        }
    }
    g.finish();
}

criterion_group!(benches, apply);
criterion_main!(benches);
