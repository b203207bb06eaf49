//! What the panes share: what is selected (by identity, never by row), the filter, and what they wish
//! from the loop.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::Arc;

use crate::base::group::{Endpoint, MembershipId, SourceFilter};
use crate::model::group::Group;
use crate::model::packets::{Packet, PacketRing};
use crate::ui::action::Action;
use crate::ui::filter::Filter;
use crate::ui::layer::Ctx;

/// A packet that is looked at: a copy, so that it can be read on when the ring has forgotten it.
#[derive(Clone)]
pub struct Held {
    /// The packet.
    pub packet: Packet,
    /// Its payload as far as it was kept.
    pub payload: Vec<u8>,
    /// The payload before it of the same source, if that was still kept.
    pub before: Option<Vec<u8>>,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Held({} of {:?})", self.packet.number, self.packet.datagram)
    }
}

/// What the panes share.
#[derive(Debug, Default)]
pub struct Shared {
    group: Option<MembershipId>,
    /// The selected source of the selected group.
    pub source: Option<Endpoint>,
    /// The stream that was marked as A, until another is marked as B.
    pub marked: Option<(MembershipId, Endpoint)>,
    /// Show packets of this source only.
    pub only_source: Option<Endpoint>,
    /// The selected packet of the selected group; `None` follows the newest.
    pub held: Option<Held>,
    /// The selected event; `None` follows the newest.
    pub event: Option<u64>,
    /// The selected interface.
    pub iface: Option<Arc<str>>,
    /// Bytes of the field that is selected.
    pub field: Range<usize>,
    /// Place of that field in the list.
    pub field_place: usize,
    /// Whether the pane that is drawn has the whole screen.
    pub zoomed: bool,
    /// Show what differs from the packet before.
    pub diff: bool,
    /// Packets that were marked, as copies: the ring forgets them within seconds on a fast group.
    pub marks: BTreeMap<(MembershipId, u64), Held>,
    /// What was let through on rows before only one source was.
    pub before_only: BTreeMap<MembershipId, SourceFilter>,
    /// What is shown.
    pub filter: Filter,
    /// Addresses on the screen whose names are not known.
    pub unnamed: Vec<IpAddr>,
    /// What the loop should do.
    pub actions: Vec<Action>,
    /// A line for the person, in place of the footer.
    pub message: Option<String>,
}

impl Shared {
    /// The selected group's number.
    pub fn group_id(&self) -> Option<MembershipId> {
        self.group
    }

    /// The selected group.
    pub fn group<'a>(&self, ctx: &Ctx<'a>) -> Option<&'a Group> {
        ctx.model.group(self.group?)
    }

    /// Selects a group; what was selected within another one is forgotten.
    pub fn select_group(&mut self, id: Option<MembershipId>) {
        if self.group != id {
            self.group = id;
            self.source = None;
            self.only_source = None;
            (self.field, self.field_place) = (0..0, 0);
            self.hold(None);
        }
    }

    /// Selects a packet, or follows the newest. The field that is lit up stays so.
    pub fn hold(&mut self, held: Option<Held>) {
        self.held = held;
    }

    /// The packet to look at: the selected one, or else the newest that is shown.
    pub fn packet<'a>(&'a self, ctx: &Ctx<'a>) -> Option<(&'a Packet, &'a [u8])> {
        if let Some(h) = &self.held {
            return Some((&h.packet, &h.payload));
        }
        let ring = &self.group(ctx)?.packets;
        let only = self.only_source;
        let p = match only {
            None => ring.newest(0),
            Some(from) => ring.iter().rev().take(SEARCHED).find(|p| p.datagram.source == from),
        }?;
        Some((p, ring.payload(p)))
    }

    /// A copy of the packet to look at.
    pub fn copied(&self, ctx: &Ctx<'_>) -> Option<Held> {
        let (p, payload) = self.packet(ctx)?;
        let before = self.before(ctx).map(<[u8]>::to_vec);
        Some(Held { packet: *p, payload: payload.to_vec(), before })
    }

    /// The payload before the one looked at, of the same source.
    pub fn before<'a>(&'a self, ctx: &Ctx<'a>) -> Option<&'a [u8]> {
        if let Some(h) = &self.held {
            return h.before.as_deref();
        }
        let (p, _) = self.packet(ctx)?;
        before(&self.group(ctx)?.packets, p)
    }

    /// The name of an address where it is known; otherwise it will be asked for.
    pub fn name(&mut self, ip: IpAddr, ctx: &Ctx<'_>) -> Option<Arc<str>> {
        match ctx.names.get(&ip) {
            Some(name) => name.clone(),
            None => {
                self.unnamed.push(ip);
                None
            }
        }
    }
}

/// The payload of the packet before this one of the same source, as far as both are kept.
pub fn before<'a>(ring: &'a PacketRing, p: &Packet) -> Option<&'a [u8]> {
    let earlier = (0..p.number).rev().take(SEARCHED).map_while(|n| ring.get(n));
    let found = earlier.into_iter().find(|e| e.datagram.source == p.datagram.source)?;
    Some(ring.payload(found))
}

/// Packets searched for the newest of one source, newest first.
const SEARCHED: usize = 2_000;
