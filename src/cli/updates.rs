//! What the engine tells: to the model, and in words.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::base::units;
use crate::engine::command::{PingProgress, Respond, SendId, SendProgress, SendState, Update};
use crate::model::Model;
use crate::net::clock;

/// Names of addresses that are remembered; all are forgotten when there are more.
const NAMES_MAX: usize = 65_536;

/// How a send ended, in one line; `None` while it runs.
pub(super) fn send_ended(p: &SendProgress) -> Option<String> {
    let to = p.to.map_or_else(String::new, |t| format!(" to {t}"));
    let fault = p.errors.first().map_or_else(String::new, |e| {
        let remedy = e.remedy.as_ref().map_or_else(String::new, |r| format!("; {r}"));
        format!(", {} failed: {}{remedy}", e.count, e.kind)
    });
    match &p.state {
        SendState::Running => None,
        SendState::Failed(error) => Some(error.clone()),
        SendState::Done | SendState::Stopped => {
            let stopped = if p.state == SendState::Stopped { ", stopped" } else { "" };
            Some(format!("sent {}{to}{stopped}{fault}", units::packets(p.sent)))
        }
    }
}

/// How a ping ended, in one line.
pub(super) fn ping_ended(p: &PingProgress) -> String {
    match &p.state {
        SendState::Failed(error) => error.clone(),
        _ => {
            let n = p.pings.peers().len() as u64;
            format!(
                "pinged {} by {}: {} sent, {}",
                p.job.to,
                p.job.iface,
                units::packets(p.pings.count()),
                units::counted(n, "responder", "responders")
            )
        }
    }
}

/// Tells the model, or keeps, what the engine says.
pub(super) fn take(
    model: &mut Model,
    names: &mut HashMap<IpAddr, Option<Arc<str>>>,
    sends: &mut [(SendId, SendProgress)],
    update: Update,
) {
    let now = clock::now();
    match update {
        Update::Joined(id, buffer) => model.joined(id, buffer, now),
        Update::Buffer(id, buffer) => model.buffer(id, buffer),
        Update::Rejoined(id, why) => model.rejoined(id, &why, now),
        Update::Failed { id, error, remedy } => model.failed(id, error, remedy, now),
        // The front end took the row out of the model when it asked for this.
        Update::Left(_) => {}
        Update::Filter(id, membership, text) => model.filter_changed(id, membership, text, now),
        Update::Responding(id, mode) => model.responding(id, mode != Respond::Off),
        Update::Answered(id, count) => model.answered(id, count),
        Update::Ifaces(list) => model.set_ifaces(list, now),
        Update::CarrierLost(iface) => model.carrier_lost(&iface, now),
        Update::NicDrops(list) => {
            for (name, drops) in list {
                model.nic_drops(&name, drops);
            }
        }
        Update::Tap(iface, state) => model.tap(&iface, state, now),
        Update::RingDrops(iface, drops) => model.ring_drops(&iface, drops, now),
        Update::HostJoins(reading) => model.host_joins(reading, now),
        Update::Own(endpoint) => model.own(endpoint),
        Update::Sending(id, progress) => {
            if let Some((_, p)) = sends.iter_mut().find(|(i, _)| *i == id) {
                *p = progress;
            }
        }
        // The session keeps it itself: see `Session::update`.
        Update::Pinging(..) | Update::Examined(..) => {}
        Update::Name(ip, name) => {
            if names.len() >= NAMES_MAX {
                names.clear();
            }
            // A name comes from the network: nothing of it reaches the terminal raw.
            let name = name.map(|n| Arc::from(crate::base::text::visible(&n, 255)));
            names.insert(ip, name);
        }
        Update::Note(kind, Some(id), text) => model.note_group(kind, id, now, text),
        Update::Note(kind, None, text) => model.note(kind, None, text, now),
    }
}
