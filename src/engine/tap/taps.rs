//! The taps of all interfaces: which are open, how deep, and what they know of the rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use crossbeam_channel::Sender;

use super::{At, Order, Sights, Tap};
use crate::base::group::{Membership, MembershipId};
use crate::base::iface::{Iface, IfaceKind, candidates};
use crate::base::tap::Depth;
use crate::engine::command::Update;
use crate::model::event::EventKind;
use crate::model::seen::TapState;
use crate::net::NetError;

/// The supervisor's hold on the taps.
pub(in crate::engine) struct Taps {
    depth: Depth,
    bytes: Option<usize>,
    sights: Sights,
    updates: Sender<Update>,
    /// By the interface's index.
    open: BTreeMap<u32, (Arc<str>, Tap)>,
    /// Refused at this depth: not asked for again before something changes.
    refused: Vec<(u32, Depth)>,
    /// Interfaces that are wanted besides.
    also: Vec<Arc<str>>,
    /// Whether those that joins take are left out.
    only: bool,
    /// Rows that stand.
    standing: BTreeMap<MembershipId, Arc<Membership>>,
}

impl Taps {
    /// None yet: [`Taps::follow`] opens them.
    pub fn new(depth: Depth, bytes: Option<usize>, sights: Sights, updates: Sender<Update>) -> Taps {
        let (open, standing) = (BTreeMap::new(), BTreeMap::new());
        let (refused, also) = (Vec::new(), Vec::new());
        Taps { depth, bytes, sights, updates, open, refused, also, only: false, standing }
    }

    /// They are to look so deep from now on.
    pub fn set_depth(&mut self, depth: Depth, ifaces: &[Iface]) {
        self.depth = depth;
        self.refused.clear();
        self.follow(ifaces);
    }

    /// They are to look at these interfaces too.
    pub fn look_at(&mut self, names: Vec<Arc<str>>, ifaces: &[Iface]) {
        self.also = names;
        self.follow(ifaces);
    }

    /// They are to look at these interfaces, and of the others at those only that a row stands on.
    pub fn look_only_at(&mut self, names: Vec<Arc<str>>, ifaces: &[Iface]) {
        self.only = true;
        self.look_at(names, ifaces);
    }

    /// A row stands, or does not any more.
    pub fn stands(&mut self, id: MembershipId, now: Option<Arc<Membership>>, ifaces: &[Iface]) {
        let before = match &now {
            Some(m) => self.standing.insert(id, m.clone()),
            None => self.standing.remove(&id),
        };
        let tap = |name: &Arc<str>| self.open.values().find(|(n, _)| n == name).map(|(_, tap)| tap);
        match (before, now) {
            (_, Some(m)) => match tap(&m.iface) {
                Some(tap) => tap.order(Order::Stands(id, m)),
                None if self.depth > Depth::Off => self.follow(ifaces),
                None => {}
            },
            (Some(m), None) => {
                if let Some(tap) = tap(&m.iface) {
                    tap.order(Order::Left(id, m.endpoint()));
                }
            }
            (None, None) => {}
        }
    }

    /// Opens and closes taps as the interfaces ask for it: one on each that joins take which name none,
    /// unless others are wanted alone, and on each that a row stands on.
    pub fn follow(&mut self, ifaces: &[Iface]) {
        let mut wanted: BTreeMap<u32, &Iface> = BTreeMap::new();
        if self.depth > Depth::Off {
            let stands = |name: &Arc<str>| self.standing.values().any(|m| m.iface == *name);
            let rows = |i: &&Iface| self.also.contains(&i.name) || stands(&i.name);
            let taken = if self.only { Vec::new() } else { candidates(ifaces) };
            let all = taken.into_iter().chain(ifaces.iter().filter(rows));
            wanted.extend(all.map(|i| (i.index, i)));
        }
        let same = |index: &u32, name: &Arc<str>| wanted.get(index).is_some_and(|i| i.name == *name);
        let gone = self.open.iter().filter(|(i, (name, tap))| !same(i, name) || tap.ended());
        let gone: Vec<u32> = gone.map(|(i, _)| *i).collect();
        for index in gone {
            let Some((name, tap)) = self.open.remove(&index) else { continue };
            // One that ended by itself has told why, and is not opened again before something changes.
            let (failed, depth) = (tap.ended(), tap.depth);
            tap.join();
            if failed {
                self.refused.push((index, depth));
            } else if !wanted.contains_key(&index) {
                let _ = self.updates.send(Update::Tap(name, TapState::Off));
            }
        }
        self.refused.retain(|(index, depth)| wanted.contains_key(index) && *depth == self.depth);
        for (index, iface) in wanted {
            let right = self.open.get(&index).is_some_and(|(_, tap)| tap.depth == self.depth);
            if !right && !self.refused.contains(&(index, self.depth)) {
                self.replace(iface);
            }
        }
    }

    /// Opens a tap of the depth that is wanted in place of another, if there is one.
    fn replace(&mut self, iface: &Iface) {
        let before = self.open.remove(&iface.index);
        // Two that both show groups would count them twice; otherwise the old one hears until the new one
        // does.
        let before = match before {
            Some((_, tap)) if tap.depth.shows_groups() && self.depth.shows_groups() => {
                tap.join();
                None
            }
            other => other,
        };
        match (self.spawn(iface), before) {
            (Ok(tap), before) => {
                self.open.insert(iface.index, (iface.name.clone(), tap));
                if let Some((_, tap)) = before {
                    tap.join();
                }
            }
            (Err(e), Some(before)) if before.1.depth < self.depth => {
                self.refused.push((iface.index, self.depth));
                self.open.insert(iface.index, before);
                let _ = self.updates.send(Update::Note(EventKind::Tap, None, e.to_string()));
            }
            (Err(e), before) => {
                self.refused.push((iface.index, self.depth));
                if let Some((_, tap)) = before {
                    tap.join();
                }
                let state = TapState::Failed { error: e.reason(), remedy: e.remedy() };
                let _ = self.updates.send(Update::Tap(iface.name.clone(), state));
            }
        }
    }

    fn spawn(&self, iface: &Iface) -> Result<Tap, NetError> {
        let at = At {
            iface: iface.name.clone(),
            ifindex: iface.index,
            depth: self.depth,
            loopback: iface.kind == IfaceKind::Loopback,
            bytes: self.bytes,
        };
        let rows = self.standing.iter().filter(|(_, m)| m.iface == iface.name);
        let rows = rows.map(|(id, m)| (*id, m.clone()));
        Tap::spawn(at, rows, self.sights.clone(), self.updates.clone())
    }

    /// Ends all of them; what they saw is handed on before.
    pub fn end(&mut self) {
        self.open.values().for_each(|(_, tap)| tap.stop());
        for (_, tap) in std::mem::take(&mut self.open).into_values() {
            tap.join();
        }
    }
}
