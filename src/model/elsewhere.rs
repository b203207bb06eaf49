//! One stream that comes on two rows: two groups, or one group on two interfaces. Nobody marked them as a
//! feed, and perhaps they are one (SMPTE ST 2022-7), or somebody sends twice by mistake.
//!
//! Two streams are the same if
//! * both are RTP with the same SSRC and payload type, and their numbers are within what comes in a second;
//!   where the SSRC is no random one (RFC 3550 section 8.1 wants it to be) a datagram has to be the same too;
//! * or both come from one address, a counter was found in them, and a datagram of the one has the same
//!   length and the same first bytes, counter included, as one of the other at the same moment.
//!
//! Streams without any counter are not compared: the same bytes again and again prove nothing.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::base::group::{Endpoint, MembershipId};
use crate::base::time::{Mono, Now, SECOND_NS};
use crate::model::Model;
use crate::model::group::Group;
use crate::model::notes::{Note, payload_type};
use crate::model::source::{Source, State};
use crate::wire::Confidence;

/// Looks are so far apart.
const EVERY_NS: u64 = SECOND_NS / 4;
/// What was the same is taken to be so for this long: datagrams on two ways are rarely caught level.
const HOLDS_NS: u64 = 10 * SECOND_NS;
/// Senders that are looked at, over all rows.
const LOOKED_AT: usize = 4096;
/// Streams that are remembered as the same as another.
const TWINS_MAX: usize = 64;
/// An SSRC up to this was not drawn at random: many devices give small ones to all their streams.
const GIVEN_SSRC_MAX: u32 = 0xffff;
/// RTP streams apart by less than this many numbers may be one, however slow they are.
const NEAR: u16 = 16;

/// One stream: a sender to a row.
type Stream = (MembershipId, Endpoint);

/// Two streams that are the same.
#[derive(Clone, Debug)]
struct Twin {
    streams: [Stream; 2],
    what: String,
    at: Mono,
}

/// Streams that come on two rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Twins {
    list: Vec<Twin>,
    look_at: Mono,
    /// The rows that were told.
    told: Vec<MembershipId>,
}

/// What streams that may be the same have in common.
#[derive(PartialEq, Eq, Hash)]
enum Alike<'a> {
    Rtp(u32, u8),
    Bytes(IpAddr, u64, &'a [u8]),
}

impl Alike<'_> {
    fn words(&self) -> String {
        match self {
            Alike::Rtp(ssrc, _) => format!("same SSRC {ssrc:#06x}, numbers in step"),
            Alike::Bytes(..) => "same payload and counter".to_owned(),
        }
    }
}

/// A stream as it is compared.
struct Candidate<'a> {
    stream: Stream,
    row: &'a Group,
    /// Its highest number and how far it goes in a second.
    number: u16,
    reach: u16,
    /// The beginning of a datagram that has to be the other's as well.
    proof: Option<&'a [u8]>,
}

impl Candidate<'_> {
    /// Whether two may be one that is received twice. One group on one interface is received once,
    /// however many rows take it.
    fn may_be(&self, other: &Candidate<'_>) -> bool {
        let (a, b) = (&self.row.membership, &other.row.membership);
        let apart = a.endpoint() != b.endpoint()
            || a.iface != b.iface && self.row.vlan.is_none() && other.row.vlan.is_none();
        // They wrap.
        let ahead = self.number.wrapping_sub(other.number);
        let near = ahead.min(ahead.wrapping_neg()) <= self.reach.min(other.reach);
        apart && near && self.proof == other.proof
    }
}

/// What a stream is compared by; `None` where nothing proves anything.
fn alike<'a>(g: &'a Group, s: &'a Source, now: Mono) -> Option<(Alike<'a>, Candidate<'a>)> {
    let d = s.detail.as_ref()?;
    let stream = (g.id, s.endpoint);
    match s.verdict.protocol() {
        Some((p, Confidence::Certain)) if p.id == "rtp" => {
            let t = d.streams().iter().max_by_key(|t| t.last_at())?;
            let ssrc = t.stream() as u32;
            let pps = s.rate.rate(now, s.first.mono).map_or(0.0, |r| r.packets_pps);
            // A quarter of the numbers at most: half of them is neither ahead nor behind.
            let (number, reach) = (t.highest() as u16, (NEAR + pps as u16).min(1 << 14));
            let proof = (ssrc <= GIVEN_SSRC_MAX).then(|| d.last_payload());
            let key = Alike::Rtp(ssrc, payload_type(s, ssrc)?);
            Some((key, Candidate { stream, row: g, number, reach, proof }))
        }
        _ => {
            s.counter()?;
            let key = Alike::Bytes(s.endpoint.ip, u64::from(d.last_size()), d.last_payload());
            Some((key, Candidate { stream, row: g, number: 0, reach: 0, proof: None }))
        }
    }
}

impl Model {
    /// Looks for streams that come on two rows, and tells the rows.
    pub(super) fn settle_twins(&mut self, now: Now) {
        if now.mono < self.twins.look_at {
            return;
        }
        self.twins.look_at = now.mono.plus(EVERY_NS);
        let mut list = std::mem::take(&mut self.twins.list);
        self.find_twins(now.mono, &mut list);
        list.retain(|t| {
            let there = |&(row, _): &Stream| self.group(row).is_some();
            let marked = self.pairs().iter().any(|p| {
                let leg = |s: &Stream| p.leg_of(s.0, s.1);
                leg(&t.streams[0]).is_some() && leg(&t.streams[1]).is_some()
            });
            now.mono.since(t.at) < HOLDS_NS && !marked && t.streams.iter().all(there)
        });
        self.twins.list = list;
        self.tell_twins();
    }

    fn find_twins(&self, now: Mono, list: &mut Vec<Twin>) {
        if self.group_count() + self.wire().len() < 2 {
            return;
        }
        let mut seen: HashMap<Alike<'_>, Vec<Candidate<'_>>> = HashMap::new();
        let live = |s: &&Source| s.state == State::Live && s.detail.is_some();
        let all = self.rows().flat_map(|g| g.sources.list().iter().filter(live).map(move |s| (g, s)));
        for (key, c) in all.take(LOOKED_AT).filter_map(|(g, s)| alike(g, s, now)) {
            let same = seen.entry(key).or_default();
            if same.len() < 4 {
                same.push(c);
            }
        }
        for (key, same) in seen.iter().filter(|(_, same)| same.len() > 1) {
            for (i, b) in same.iter().enumerate().skip(1) {
                let Some(a) = same[..i].iter().find(|a| a.may_be(b)) else { continue };
                let streams = [a.stream, b.stream];
                match list.iter().position(|t| t.streams == streams) {
                    Some(i) => list[i].at = now,
                    None if list.len() == TWINS_MAX => return,
                    None => list.push(Twin { streams, what: key.words(), at: now }),
                }
            }
        }
        // The map's own order differs from run to run.
        list.sort_by_key(|t| t.streams);
    }

    fn tell_twins(&mut self) {
        let rows: Vec<MembershipId> = self.twins.list.iter().flat_map(|t| t.streams.map(|s| s.0)).collect();
        let before = std::mem::replace(&mut self.twins.told, rows);
        let mut all: Vec<MembershipId> = before.into_iter().chain(self.twins.told.clone()).collect();
        all.sort_unstable();
        all.dedup();
        for row in all {
            let notes = self.twins.list.iter().filter_map(|t| {
                let [a, b] = t.streams;
                let (this, other) = match row {
                    r if r == a.0 => (a, b),
                    r if r == b.0 => (b, a),
                    _ => return None,
                };
                let to = self.group(other.0)?.membership.clone();
                let other = (to.endpoint(), to.iface.clone(), other.1);
                Some(Note::Elsewhere { sender: this.1, other, what: t.what.clone() })
            });
            let notes = notes.collect();
            if let Some(g) = self.group_mut(row)
                && g.elsewhere != notes
            {
                (g.elsewhere, g.noted_of) = (notes, None);
                // What is to know about it is another thing now.
                g.notes_at = Mono(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::batch::{Batch, Datagram};
    use crate::base::group::{Membership, SourceFilter};
    use crate::base::time::Wall;
    use crate::model::Settings;
    use crate::model::group::{Buffer, Origin};

    fn now(ms: u64) -> Now {
        Now { mono: Mono(1_000 * SECOND_NS + ms * 1_000_000), wall: Wall(ms as i64 * 1_000_000) }
    }

    /// The notes of two rows after three seconds in which both get what `payload` says of a row and a
    /// number.
    fn notes(rows: [(&str, &str); 2], payload: impl Fn(usize, u16) -> Vec<u8>) -> Vec<Note> {
        let mut m = Model::new(Settings { keep_packets: false }, now(0));
        for (i, (group, iface)) in rows.into_iter().enumerate() {
            let id = MembershipId(i as u32);
            let group = group.parse().unwrap();
            let m_ = Membership { group, port: 5004, iface: iface.into(), filter: SourceFilter::Any };
            m.add(id, m_.into(), Origin::User, None);
            m.joined(id, Buffer::default(), now(0));
        }
        let from = Endpoint::new([10, 0, 0, 1].into(), 5000);
        for n in 0..300u16 {
            let at = now(u64::from(n) * 10);
            for row in 0..2 {
                let bytes = payload(row, n);
                let mut batch = Batch::new();
                batch.received = at;
                let d = Datagram::new(MembershipId(row as u32), at.wall, from, bytes.len() as u32);
                batch.push_copy(d, &bytes);
                m.apply(&batch);
            }
            m.advance(at);
        }
        m.groups().flat_map(|g| g.notes.clone()).collect()
    }

    fn rtp(seq: u16, ssrc: u32, fill: u8) -> Vec<u8> {
        let mut b = vec![0x80, 97];
        b.extend(seq.to_be_bytes());
        b.extend((u32::from(seq) * 480).to_be_bytes());
        b.extend(ssrc.to_be_bytes());
        b.resize(60, fill);
        b
    }

    const TWO: [(&str, &str); 2] = [("239.1.1.1", "eth0"), ("239.1.1.2", "eth0")];

    #[test]
    fn only_what_proves_it_makes_two_streams_one() {
        let random = 0x1234_5678;
        // Both wrap, one a little behind the other.
        let both =
            notes(TWO, |row, n| rtp(n.wrapping_add(65_400).wrapping_add(row as u16 * 3), random, n as u8));
        assert_eq!(both.len(), 2, "{both:?}");
        let none = |what: &str, rows, payload: &dyn Fn(usize, u16) -> Vec<u8>| {
            let all = notes(rows, payload);
            assert!(all.is_empty(), "{what}: {all:?}");
        };
        none("numbers far apart", TWO, &|row, n| rtp(n + row as u16 * 9000, random, 7));
        none("a device's own SSRC, other contents", TWO, &|row, n| rtp(n, 1, row as u8));
        assert_eq!(notes(TWO, |_, n| rtp(n, 1, n as u8)).len(), 2, "the same contents");
        let one = [("239.1.1.1", "eth0"), ("239.1.1.1", "eth0")];
        none("two rows of one group on one interface", one, &|_, n| rtp(n, random, 7));
        none("the same text again and again", TWO, &|_, _| b"status ok, nothing to say".to_vec());
        let counted = |row: u8, n: u16| {
            let mut b = vec![0xe7, row, 0x5c];
            b.extend(u32::from(n).to_be_bytes());
            b.extend([0x91; 40]);
            b
        };
        assert_eq!(notes(TWO, |_, n| counted(0, n)).len(), 2, "a counter that was found");
        none("two counters in step", TWO, &|row, n| counted(row as u8, n));
    }
}
