//! What announces itself in the traffic: sessions (SAP) and clocks (PTP). Only datagrams of these two
//! protocols are looked into.

use std::sync::Arc;

use crate::base::batch::Datagram;
use crate::base::time::{Mono, SECOND_NS};
use crate::model::Model;
use crate::model::clocks::Clocks;
use crate::model::event::{Event, EventKind, EventLog};
use crate::model::group::Group;
use crate::model::sessions::{Announced, Change, Sessions};
use crate::model::source::Stamp;
use crate::wire::ptp::{self, Announce};
use crate::wire::sap::{self, Announcement};

/// Bytes of an announcement that is looked into. RFC 2974 section 6 recommends 1 kB at most; what a
/// session holds in memory is a small multiple of this.
const ANNOUNCEMENT_MAX: usize = 8 << 10;
/// Names are given anew this often at most.
const RENAME_NS: u64 = SECOND_NS / 4;

/// Events of announcements that are written a second; the others are told as a number.
const TOLD_A_SECOND: u32 = 32;

/// Compressed announcements that are opened a second: each costs as much as a thousand other datagrams.
/// All that a LAN may announce by RFC 2974 section 3.1 (4000 bit/s) is a fraction of it.
const OPENED_A_SECOND: u32 = 128;

/// What is announced.
#[derive(Clone, Debug, Default)]
pub(super) struct Announcements {
    pub sessions: Sessions,
    pub clocks: Clocks,
    rename_at: Mono,
    wire_at: Mono,
    second: u64,
    told: u32,
    hidden: u64,
    opened: u32,
    unopened: u64,
}

impl Announcements {
    /// Takes a datagram that was counted just now.
    pub(super) fn take(
        &mut self,
        events: &mut EventLog,
        g: &Group,
        place: usize,
        d: &Datagram,
        payload: &[u8],
        at: Stamp,
    ) {
        let protocol = g.sources.list().get(place).and_then(|s| s.protocol());
        let Some(p) = protocol else { return };
        let iface = &g.membership.iface;
        if std::ptr::eq(p, &sap::PROTOCOL) && payload.len() <= ANNOUNCEMENT_MAX {
            if sap::is_compressed(payload) && !self.may_open(at) {
                return;
            }
            let heard = Announcement::parse(payload);
            if let Some((change, s)) = heard.and_then(|a| self.sessions.take(a, d.source, iface, at)) {
                self.tell(events, g, d, EventKind::Session, at, session_text(&change, &s));
            }
        } else if std::ptr::eq(p, &ptp::PROTOCOL)
            && let Some(a) = Announce::parse(payload)
            && let Some(port) = ptp::source_port(payload)
            && let Some(text) = self.clocks.take(a, port, d.source, iface, at)
        {
            self.tell(events, g, d, EventKind::Grandmaster, at, text);
        }
    }

    /// Starts the counts of a second anew where one begins.
    fn begin(&mut self, at: Stamp) {
        if std::mem::replace(&mut self.second, at.mono.second()) != at.mono.second() {
            (self.told, self.opened) = (0, 0);
        }
    }

    /// Whether another compressed announcement is opened in this second; counts what is not.
    fn may_open(&mut self, at: Stamp) -> bool {
        self.begin(at);
        let may = self.opened < OPENED_A_SECOND;
        if may {
            self.opened += 1;
        } else {
            self.unopened += 1;
        }
        may
    }

    fn tell(
        &mut self,
        events: &mut EventLog,
        g: &Group,
        d: &Datagram,
        kind: EventKind,
        at: Stamp,
        text: String,
    ) {
        self.begin(at);
        self.told += 1;
        if self.told > TOLD_A_SECOND {
            self.hidden += 1;
            return;
        }
        events.push(Event {
            number: 0,
            time: at.wall,
            kind,
            membership: Some(g.membership.clone()),
            source: Some(d.source),
            iface: None,
            text,
        });
    }
}

fn session_text(change: &Change, s: &Announced) -> String {
    let what = match change {
        Change::New => "is announced",
        Change::Changed => "has changed",
        Change::Deleted => "is announced no longer: deleted",
    };
    format!("session {} {what} by {}", s.describe(), s.origin)
}

impl Model {
    /// The sessions that are announced.
    pub fn sessions(&self) -> &Sessions {
        &self.announced.sessions
    }

    /// The PTP grandmasters that are announced.
    pub fn clocks(&self) -> &Clocks {
        &self.announced.clocks
    }

    /// Takes out what is announced no longer, and gives the groups the names that are.
    pub(super) fn settle_announced(&mut self) {
        let now = Stamp { mono: self.now.mono, wall: self.now.wall };
        let mut told = Vec::new();
        for s in self.announced.sessions.settle(now.mono, now.wall) {
            let text = format!("session {} by {}: not announced any more", s.describe(), s.origin);
            told.push((EventKind::Session, s.iface.clone(), text));
        }
        for (iface, from, text) in self.announced.clocks.settle(now) {
            // It belongs to the row by which it was announced.
            let row = self.groups().find(|g| g.membership.iface == iface && g.sources.get(from).is_some());
            let membership = row.map(|g| g.membership.clone());
            let (time, kind, source) = (now.wall, EventKind::Grandmaster, Some(from));
            self.events.push(Event { number: 0, time, kind, membership, source, iface: Some(iface), text });
        }
        if self.announced.hidden > 0 {
            let n = std::mem::take(&mut self.announced.hidden);
            told.push((EventKind::Session, Arc::from(""), format!("{n} more announcements changed")));
        }
        if self.announced.unopened > 0 {
            let n = std::mem::take(&mut self.announced.unopened);
            let text = format!(
                "{n} compressed announcements were not opened: more than {OPENED_A_SECOND} came in a second"
            );
            told.push((EventKind::Session, Arc::from(""), text));
        }
        let now = self.now;
        for (kind, iface, text) in told {
            self.note(kind, Some(iface).filter(|i| !i.is_empty()), text, now);
        }
        let renamed = now.mono >= self.announced.rename_at && self.announced.sessions.rename();
        if renamed {
            self.announced.rename_at = now.mono.plus(RENAME_NS);
        }
        let Model { groups, wire, announced, .. } = self;
        let name = |g: &mut Group| g.announced = announced.sessions.named(g.membership.endpoint()).cloned();
        if renamed {
            groups.iter_mut().flatten().for_each(|g| name(g));
        }
        // Rows of the wire come and go by themselves.
        if renamed || now.mono >= announced.wire_at {
            announced.wire_at = now.mono.plus(SECOND_NS);
            wire.rows.values_mut().for_each(|g| name(g));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::batch::Batch;
    use crate::base::group::{Endpoint, Membership, MembershipId, SourceFilter};
    use crate::base::time::{Now, Wall};
    use crate::model::{Origin, Settings};

    const ID: MembershipId = MembershipId(0);

    fn at(ms: u64) -> Now {
        Now { mono: Mono(ms * 1_000_000), wall: Wall(ms as i64 * 1_000_000) }
    }

    /// A model that heard these payloads on SAP's group, all at one time.
    fn heard(payloads: &[Vec<u8>]) -> Model {
        let mut model = Model::new(Settings::default(), at(0));
        let group = "239.255.255.255".parse().unwrap();
        let m = Membership { group, port: 9875, iface: "eth0".into(), filter: SourceFilter::Any };
        model.add(ID, Arc::new(m), Origin::User, None);
        for b in payloads {
            let mut batch = Batch::new();
            batch.received = at(1000);
            let from = Endpoint::new([10, 0, 0, 1].into(), 9875);
            batch.push_copy(Datagram::new(ID, at(1000).wall, from, b.len() as u32), b);
            model.apply(&batch);
        }
        model.advance(at(2000));
        model
    }

    fn compressed() -> Vec<u8> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus/payload/sap-compressed.bin");
        std::fs::read(path).unwrap()
    }

    #[test]
    fn a_compressed_announcement_names_its_group_and_can_be_joined() {
        let model = heard(&[compressed()]);
        let to = Endpoint::new("239.69.1.1".parse().unwrap(), 5004);
        assert_eq!(model.sessions().named(to).map(|n| &*n.name), Some("Studio A"));
        let (to, media) = model.sessions().list()[0].groups().next().unwrap();
        assert_eq!(model.sessions().list()[0].membership(to, media).port, 5004);
    }

    #[test]
    fn of_a_flood_of_compressed_announcements_a_bounded_number_is_opened_and_the_rest_told() {
        let flood: Vec<_> = (0..500u16)
            .map(|n| {
                let mut b = compressed();
                b[2..4].copy_from_slice(&n.to_be_bytes());
                b
            })
            .collect();
        let model = heard(&flood);
        assert_eq!(model.sessions().list()[0].count, u64::from(OPENED_A_SECOND));
        let told: Vec<_> = model.events().since(0).map(|e| e.text.clone()).collect();
        let want = "372 compressed announcements were not opened: more than 128 came in a second";
        assert!(told.iter().any(|t| t == want), "{told:?}");
    }

    /// Hears a session with video, then its packets of these whole numbers; the row that carries them.
    fn video(announced: bool, numbers: impl Iterator<Item = (u16, u16)>) -> Model {
        let mut description = b"\x20\0\0\x07\x0a\0\0\x01application/sdp\0".to_vec();
        description.extend(
            b"v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=Camera\r\nc=IN IP4 239.20.0.1/15\r\n\
              m=video 5004 RTP/AVP 96\r\na=rtpmap:96 raw/90000\r\n",
        );
        let mut model = heard(&if announced { vec![description] } else { vec![] });
        let (id, group) = (MembershipId(1), "239.20.0.1".parse().unwrap());
        let m = Membership { group, port: 5004, iface: "eth0".into(), filter: SourceFilter::Any };
        model.add(id, Arc::new(m), Origin::User, None);
        let from = Endpoint::new([10, 0, 0, 1].into(), 5004);
        for (i, (high, low)) in numbers.enumerate() {
            let mut b = vec![0x80, 96];
            b.extend(low.to_be_bytes());
            b.extend([0, 0, 0, i as u8, 0, 0, 0, 9]);
            b.extend(high.to_be_bytes());
            b.extend([0, 4, 0, 17, 0, 0, 1, 2, 3, 4]);
            let mut batch = Batch::new();
            batch.received = at(2001 + i as u64);
            batch.push_copy(Datagram::new(id, batch.received.wall, from, b.len() as u32), &b);
            model.apply(&batch);
        }
        model.advance(at(60_000));
        model
    }

    fn lost(model: &Model) -> (u64, u64) {
        let c = model.group(MembershipId(1)).unwrap().continuity().unwrap();
        (c.lost, c.restarts.into())
    }

    /// 100 packets, then `missing` that are not there, then 100 more.
    fn hole(from: u32, missing: u32) -> impl Iterator<Item = (u16, u16)> {
        let numbers = (from..from + 100).chain(from + 100 + missing..from + 200 + missing);
        numbers.map(|n| ((n >> 16) as u16, n as u16))
    }

    #[test]
    fn announced_video_is_counted_in_32_bits_over_a_whole_turn_of_16() {
        assert_eq!(lost(&video(true, hole(0x0012_ff00, 0))), (0, 0));
        assert_eq!(lost(&video(true, hole(0x0012_ff90, 20))), (20, 0));
        // So many at once are told as a sender that begins anew, as for every counter.
        assert_eq!(lost(&video(true, hole(0x0012_ffe0, 0x1_0000))), (0, 1));
        // RTP's own number says nothing of it.
        assert_eq!(lost(&video(false, hole(0x0012_ffe0, 0x1_0000))), (0, 0));
    }

    #[test]
    fn a_sender_that_leaves_the_upper_half_at_0_loses_nothing_at_its_turn() {
        let low = (0xffb0..=0xffffu32).chain(0..100).map(|n| (0, n as u16));
        assert_eq!(lost(&video(true, low)), (0, 0));
        // Nor one whose upper half moves for the first time.
        assert_eq!(lost(&video(true, hole(0xffc0, 0))), (0, 0));
    }
}
