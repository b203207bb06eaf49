//! A capture through the model, in simulated time: as if the packets had just been received.

use std::sync::Arc;

use mcscope::base::batch::{Batch, Datagram};
use mcscope::base::group::{Endpoint, Membership, MembershipId, SourceFilter};
use mcscope::base::time::{Mono, Now, Wall};
use mcscope::model::group::{Buffer, Origin};
use mcscope::model::source::Source;
use mcscope::model::{Model, Settings};
use mcscope::wire::ip;

use crate::pcap::Packet;

/// How often the front end's loop brings the model up to date.
const TICK_NS: u64 = 100_000_000;

/// A UDP datagram of a capture.
pub struct Udp<'p> {
    pub time_ns: u64,
    pub from: Endpoint,
    pub to: Endpoint,
    pub payload: &'p [u8],
    /// The payload's true length.
    pub len: usize,
}

/// The unfragmented UDP datagrams of a capture, in its order.
pub fn datagrams(packets: &[Packet]) -> impl Iterator<Item = Udp<'_>> {
    packets.iter().filter_map(|p| {
        let d = ip::datagram(&p.bytes).ok()??;
        Some(Udp {
            time_ns: p.time_ns,
            from: d.source,
            to: d.destination,
            payload: &p.bytes[d.payload.clone()],
            len: d.payload_len,
        })
    })
}

/// A row for each destination, fed with all its datagrams, to the end of the waiting for late ones.
pub fn model(packets: &[Packet]) -> Model {
    let first = packets.first().map_or(0, |p| p.time_ns);
    // Far from 0, as on a machine that has run for a while.
    let now = |ns: u64| Now { mono: Mono(1_000_000_000_000 + ns - first), wall: Wall(ns as i64) };
    let mut model = Model::new(Settings { keep_packets: false }, now(first));
    let mut rows: Vec<Endpoint> = Vec::new();
    let mut batch = Batch::new();
    let mut tick = first;
    for d in datagrams(packets) {
        while tick + TICK_NS < d.time_ns {
            tick += TICK_NS;
            model.advance(now(tick));
        }
        let row = rows.iter().position(|to| *to == d.to).unwrap_or_else(|| {
            let id = MembershipId(rows.len() as u32);
            let m = Membership {
                group: d.to.ip,
                port: d.to.port,
                iface: "net0".into(),
                filter: SourceFilter::Any,
            };
            model.add(id, Arc::new(m), Origin::User, None);
            model.joined(id, Buffer::default(), now(d.time_ns));
            rows.push(d.to);
            rows.len() - 1
        });
        batch.clear();
        batch.received = now(d.time_ns);
        batch.push_copy(
            Datagram::new(MembershipId(row as u32), Wall(d.time_ns as i64), d.from, d.len as u32),
            d.payload,
        );
        model.apply(&batch);
    }
    model.finish();
    model
}

/// The sender's state in the row of a destination.
pub fn source(model: &Model, to: Endpoint, from: Endpoint) -> Option<&Source> {
    let is = |m: &Membership| m.group == to.ip && m.port == to.port;
    model.groups().find(|g| is(&g.membership))?.sources.get(from)
}
