//! Sessions that announce themselves (SAP, RFC 2974): which groups they name, and until when.
//!
//! An announcement is kept until it is deleted, until its own time is over, or until it was not heard
//! for ten times the interval in which it usually comes, but at least an hour (RFC 2974 section 4).
//! A deletion counts only from the sender of the announcement: nothing here is authenticated.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use crate::base::group::{Endpoint, Membership};
use crate::base::text::visible;
use crate::base::time::{Mono, SECOND_NS, Wall};
use crate::model::source::Stamp;
use crate::wire::essence::Format;
use crate::wire::sap::Announcement;
use crate::wire::sdp::{Media, Origin, Session};

/// Announcements kept; the one not heard for longest makes room.
pub const SESSIONS_MAX: usize = 1000;
/// Announcements kept of one sender, so that one cannot displace all others.
pub const PER_SENDER: usize = 250;
/// Groups of one `c=` line (`/ttl/number`) that are named.
const GROUPS_MAX: u16 = 64;
/// Groups that are named in all.
pub const NAMES_MAX: usize = 16_384;

/// Cells of a name or description that are shown.
const DESCRIBED: usize = 120;

const HOUR_NS: u64 = 3600 * SECOND_NS;

/// One announced session.
#[derive(Clone, Debug)]
pub struct Announced {
    /// What is announced.
    pub session: Arc<Session>,
    /// The originating source that the announcement names.
    pub origin: IpAddr,
    /// Who sent it.
    pub sender: Endpoint,
    /// The interface it was heard on.
    pub iface: Arc<str>,
    /// Changes with the description.
    pub hash: u16,
    /// When it was heard first.
    pub first: Stamp,
    /// When it was heard last.
    pub last: Stamp,
    /// How often.
    pub count: u64,
    /// The time between the last two announcements, in nanoseconds; `None` after the first.
    pub interval_ns: Option<u64>,
}

/// What a session says of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The session's name.
    pub name: Arc<str>,
    /// What it carries: `L24/48000/2`.
    pub what: String,
    /// The transport: `RTP/AVP`, `udp` …
    pub proto: String,
    /// Who announces it.
    pub origin: IpAddr,
    /// Senders it lets through; empty for any.
    pub sources: Vec<IpAddr>,
    /// What the media is synchronised to, as written (`a=ts-refclk`).
    pub clock: Option<String>,
    /// What its RTP payload types are; without those that another session calls something else.
    pub formats: Vec<Format>,
    /// Other sessions that announce the same group.
    pub others: usize,
}

impl Named {
    /// What it says of the payloads of this sender: nothing of one that it does not let through.
    pub fn formats_of(&self, sender: IpAddr) -> &[Format] {
        if self.sources.is_empty() || self.sources.contains(&sender) { &self.formats } else { &[] }
    }
}

/// What an announcement did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is new.
    New,
    /// Its description changed.
    Changed,
    /// It is no more.
    Deleted,
}

impl Announced {
    /// The same session, whatever its version: by its `o=` line or, without one, by its hash.
    fn is(&self, iface: &str, a: &Announcement) -> bool {
        let (mine, other) = (&self.session.origin, &a.session.origin);
        let same = if *other == Origin::default() {
            self.hash == a.hash
        } else {
            (&mine.user, &mine.id, &mine.host) == (&other.user, &other.id, &other.host)
        };
        same && &*self.iface == iface && self.origin == a.origin
    }

    /// When it is given up if it is not heard again: in nanoseconds after it was heard last.
    pub fn timeout_ns(&self) -> u64 {
        self.interval_ns.unwrap_or(0).saturating_mul(10).max(HOUR_NS)
    }

    fn is_over(&self, now: Mono, wall: Wall) -> bool {
        let ended = self.session.ends_s.is_some_and(|end| wall.0 / SECOND_NS as i64 > end as i64);
        ended || now.since(self.last.mono) > self.timeout_ns()
    }

    /// The groups it names, each once, with the media sent there.
    pub fn groups(&self) -> impl Iterator<Item = (Endpoint, &Media)> {
        self.session.streams().flat_map(|(first, port, media)| {
            let count = media.connection.map_or(1, |c| c.count.clamp(1, GROUPS_MAX));
            (0..count).filter_map(move |k| Some((Endpoint::new(nth(first, k)?, port), media)))
        })
    }

    /// The membership that brings one of its groups: source-specific where it names the senders.
    pub fn membership(&self, to: Endpoint, media: &Media) -> Membership {
        use crate::base::group::SourceFilter;
        let filter = match media.sources.is_empty() {
            true => SourceFilter::Any,
            false => SourceFilter::Include(media.sources.clone()),
        };
        Membership { group: to.ip, port: to.port, iface: self.iface.clone(), filter }
    }

    /// In a few words: `"Studio A" 239.69.1.1:5004 L24/48000/2`.
    pub fn describe(&self) -> String {
        let mut out = format!("\"{}\"", self.session.name);
        if let Some((to, media)) = self.groups().next() {
            out.push_str(&format!(" {to} {}", media.what()));
        }
        // It comes from the network, and events are printed as they are.
        visible(&out, DESCRIBED)
    }
}

/// The address `k` places further on, if it is a group as well.
fn nth(first: IpAddr, k: u16) -> Option<IpAddr> {
    let ip: IpAddr = match first {
        IpAddr::V4(ip) => IpAddr::V4(u32::from(ip).checked_add(k.into())?.into()),
        IpAddr::V6(ip) => IpAddr::V6(u128::from(ip).checked_add(k.into())?.into()),
    };
    ip.is_multicast().then_some(ip)
}

/// All sessions that are announced now.
#[derive(Clone, Debug, Default)]
pub struct Sessions {
    list: Vec<Announced>,
    names: HashMap<Endpoint, Arc<Named>>,
    /// Announcements that had to make room.
    forgotten: u64,
    /// Whether `names` is behind `list`.
    stale: bool,
}

impl Sessions {
    /// The announcements, in the order in which they were heard first.
    pub fn list(&self) -> &[Announced] {
        &self.list
    }

    /// How many had to make room for others.
    pub fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// What is announced of a group.
    pub fn named(&self, to: Endpoint) -> Option<&Arc<Named>> {
        self.names.get(&to)
    }

    /// Takes an announcement; what changed by it, and the session.
    pub(crate) fn take(
        &mut self,
        a: Announcement,
        sender: Endpoint,
        iface: &Arc<str>,
        at: Stamp,
    ) -> Option<(Change, Announced)> {
        if a.deletion {
            let gone = self.list.iter().position(|s| s.is(iface, &a) && s.sender.ip == sender.ip)?;
            self.stale = true;
            return Some((Change::Deleted, self.list.remove(gone)));
        }
        if let Some(s) = self.list.iter_mut().find(|s| s.is(iface, &a)) {
            // Whoever else sends the same description does not take it over.
            if s.sender.ip != sender.ip {
                return None;
            }
            s.interval_ns = Some(at.mono.since(s.last.mono)).filter(|ns| *ns > 0).or(s.interval_ns);
            (s.last, s.sender) = (at, sender);
            s.count += 1;
            if s.hash == a.hash && *s.session == a.session {
                return None;
            }
            let told = s.session.name != a.session.name || s.session.media != a.session.media;
            (s.hash, s.session) = (a.hash, Arc::new(a.session));
            self.stale |= told;
            return told.then(|| (Change::Changed, s.clone()));
        }
        self.make_room(sender.ip);
        let new = Announced {
            session: Arc::new(a.session),
            origin: a.origin,
            sender,
            iface: iface.clone(),
            hash: a.hash,
            first: at,
            last: at,
            count: 1,
            interval_ns: None,
        };
        self.list.push(new.clone());
        self.stale = true;
        Some((Change::New, new))
    }

    fn make_room(&mut self, sender: IpAddr) {
        let of_sender = self.list.iter().filter(|s| s.sender.ip == sender).count();
        let of_all = self.list.len() >= SESSIONS_MAX;
        if of_sender < PER_SENDER && !of_all {
            return;
        }
        let own = of_sender >= PER_SENDER;
        let candidates = self.list.iter().enumerate().filter(|(_, s)| !own || s.sender.ip == sender);
        if let Some((oldest, _)) = candidates.min_by_key(|(_, s)| s.last.mono) {
            self.list.remove(oldest);
            self.forgotten += 1;
        }
    }

    /// Takes out what is over; what that was.
    pub(crate) fn settle(&mut self, now: Mono, wall: Wall) -> Vec<Announced> {
        let mut gone = Vec::new();
        if self.list.iter().any(|s| s.is_over(now, wall)) {
            self.list.retain(|s| {
                let over = s.is_over(now, wall);
                if over {
                    gone.push(s.clone());
                }
                !over
            });
            self.stale = true;
        }
        gone
    }

    /// Brings the names up to date; whether they changed.
    pub(crate) fn rename(&mut self) -> bool {
        if !std::mem::take(&mut self.stale) {
            return false;
        }
        let mut names: HashMap<Endpoint, Arc<Named>> = HashMap::new();
        for s in &self.list {
            for (to, media) in s.groups() {
                if names.len() >= NAMES_MAX {
                    break;
                }
                let formats = Format::of(media);
                if let Some(known) = names.get_mut(&to) {
                    // Two that contradict each other explain nothing.
                    let denied = |f: &Format| {
                        formats.iter().any(|other| other.payload_type == f.payload_type && other != f)
                    };
                    if known.formats.iter().any(denied) {
                        Arc::make_mut(known).formats.retain(|f| !denied(f));
                    }
                    // The same session heard on two interfaces is one.
                    if *known.name != visible(&s.session.name, DESCRIBED) {
                        Arc::make_mut(known).others += 1;
                    }
                    continue;
                }
                let named = Named {
                    name: visible(&s.session.name, DESCRIBED).into(),
                    what: visible(media.what(), DESCRIBED),
                    proto: media.proto.clone(),
                    origin: s.origin,
                    sources: media.sources.clone(),
                    clock: media.clock.clone(),
                    formats,
                    others: 0,
                };
                names.insert(to, Arc::new(named));
            }
        }
        self.names = names;
        true
    }
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;
