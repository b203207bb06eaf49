//! A sequence of payloads out of any bytes, fed to the model: what the fuzz target `sequence` does, and an
//! ordinary test with its corpus.
//!
//! The first byte says what the user has chosen: 0 lets a counter be found, 1 switches that off, any other
//! pins the field that the next two bytes say. Then follow datagrams: a byte of length, one of milliseconds
//! since the last, and the payload. A length of 255 stands for a run of the last payload: how many, the
//! place of a field of four bytes, and what is added to it each time; so that few bytes make a long stream.

use std::sync::Arc;

use mcscope::base::batch::{Batch, Datagram};
use mcscope::base::group::{Endpoint, Membership, MembershipId, SourceFilter};
use mcscope::base::time::{Mono, Now, Wall};
use mcscope::model::counter::{Choice, Counter};
use mcscope::model::group::{Buffer, Origin};
use mcscope::model::{Model, Settings};

/// Datagrams fed of one input at most.
const DATAGRAMS_MAX: u64 = 3000;
/// The bytes of a payload that are searched for a counter.
const SEARCHED: u16 = 64;

/// What became of a sequence.
#[derive(Debug, Default)]
pub struct Fed {
    /// Datagrams.
    pub datagrams: u64,
    /// The counter that is told at the end.
    pub counter: Option<Counter>,
    /// Numbers missing.
    pub missing: u64,
    /// Numbers seen again.
    pub duplicates: u64,
}

struct Feeding {
    model: Model,
    batch: Batch,
    ms: u64,
    pinned: bool,
    choice: Choice,
    fed: Fed,
}

const ID: MembershipId = MembershipId(0);

fn sender() -> Endpoint {
    Endpoint::new([10, 0, 0, 1].into(), 40_000)
}

impl Feeding {
    fn new(choice: Choice) -> Feeding {
        let mut model = Model::new(Settings { keep_packets: false }, at(0));
        let group = [239, 1, 1, 1].into();
        let m = Membership { group, port: 9999, iface: "net0".into(), filter: SourceFilter::Any };
        model.add(ID, Arc::new(m), Origin::User, None);
        model.joined(ID, Buffer::default(), at(0));
        let pinned = matches!(choice, Choice::At(_));
        Feeding { model, batch: Batch::new(), ms: 0, pinned, choice, fed: Fed::default() }
    }

    /// Feeds one datagram and looks at what is said of the stream.
    fn say(&mut self, payload: &[u8], after_ms: u64) {
        if self.fed.datagrams == DATAGRAMS_MAX {
            return;
        }
        self.ms += after_ms;
        self.fed.datagrams += 1;
        self.batch.clear();
        self.batch.received = at(self.ms);
        let d = Datagram::new(ID, at(self.ms).wall, sender(), payload.len() as u32);
        self.batch.push_copy(d, payload);
        self.model.apply(&self.batch);
        if self.fed.datagrams == 1 {
            self.model.choose_counter(ID, sender(), self.choice);
        }
        self.look();
    }

    fn look(&mut self) {
        let s = self.model.group(ID).and_then(|g| g.sources.get(sender())).expect("it was heard");
        self.fed.counter = s.counter().map(|(c, _)| c);
        if let Some(c) = self.fed.counter {
            let end = c.offset.saturating_add(u16::from(c.width));
            assert!(self.pinned || end <= SEARCHED && (1..=16).contains(&c.step), "{c:?}");
            assert!((1..=8).contains(&c.width), "{c:?}");
        }
        if let Some(c) = s.continuity() {
            let seen = c.duplicates + c.reordered;
            // A datagram may carry many numbers; one for each byte at most.
            assert!(seen <= self.fed.datagrams * 256, "{c:?} of {} datagrams", self.fed.datagrams);
            assert!(c.longest_gap <= c.missing() || c.missing() == 0, "{c:?}");
            assert!(c.lost_at_start <= c.missing(), "{c:?}");
            (self.fed.missing, self.fed.duplicates) = (c.missing(), c.duplicates);
        }
    }
}

fn at(ms: u64) -> Now {
    let ns = ms * 1_000_000;
    Now { mono: Mono(1_000_000_000 + ns), wall: Wall(1_700_000_000_000_000_000 + ns as i64) }
}

/// Feeds the sequence that these bytes are.
pub fn feed(input: &[u8]) -> Fed {
    let mut bytes = input.iter().copied();
    let mut next = || bytes.next();
    let choice = match next() {
        None | Some(0) => Choice::Find,
        Some(1) => Choice::Off,
        Some(n) => {
            let (offset, shape) = (next().unwrap_or(0), next().unwrap_or(0));
            let (width, little_endian) = (1 + shape % 8, shape & 8 != 0);
            Choice::At(Counter { offset: offset.into(), width, little_endian, step: 1 + u32::from(n & 3) })
        }
    };
    let mut feeding = Feeding::new(choice);
    let mut payload: Vec<u8> = Vec::new();
    while let Some(length) = next() {
        if length == 255 {
            let (n, place, step) = (next().unwrap_or(0), next().unwrap_or(0), next().unwrap_or(0));
            for _ in 0..n {
                let end = payload.len().min(usize::from(place) + 4);
                // The lowest byte last, as most senders have it.
                let mut carry = u16::from(step);
                for b in payload.get_mut(usize::from(place)..end).unwrap_or_default().iter_mut().rev() {
                    carry += u16::from(*b);
                    *b = carry as u8;
                    carry >>= 8;
                }
                feeding.say(&payload, 7);
            }
            continue;
        }
        let ms = next().unwrap_or(0);
        payload = (0..length).map_while(|_| next()).collect();
        feeding.say(&payload, ms.into());
    }
    feeding.model.advance(at(feeding.ms + 10_000));
    if feeding.fed.datagrams > 0 {
        feeding.look();
    }
    feeding.fed
}
