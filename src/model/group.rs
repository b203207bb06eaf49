//! One row: a membership with its join state, totals, losses on this host, sources and packets.

use std::cell::Cell;
use std::net::IpAddr;
use std::sync::Arc;

use crate::base::batch::{Account, Capture, Datagram};
use crate::base::group::{Endpoint, Membership, MembershipId, SourceFilter};
use crate::base::time::{Mono, SECOND_NS};
use crate::model::here::{self, Correction, Here};
use crate::model::notes::Note;
use crate::model::packets::{Packet, PacketRing};
use crate::model::quantile::Quantiles;
use crate::model::rate::{Rate, RateWindow, Strip, Weight};
use crate::model::rules::Rule;
use crate::model::seen::compare::Compare;
use crate::model::sequence::SeqCounts;
use crate::model::sessions::Named;
use crate::model::shape::{Peaks, Sizes};
use crate::model::source::{Counters, Gaps, Noticed, OnWire, Source, Stamp, State};
use crate::model::sources::SourceTable;
use crate::model::telling::{NotedOf, Told};
use crate::wire::essence;

/// A group that a person joined and that had nothing after this long is silent.
pub const SILENT_AFTER_NS: u64 = 5 * SECOND_NS;

/// Sources up to which it is asked who of them could have lost what was dropped here.
const ASKED: usize = 256;

/// Why a row is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Somebody asked for it: on the screen, on the command line, in the config.
    User,
    /// Joined because nothing was asked for: never called silent.
    Default,
    /// Not joined: a tap sees it on the wire.
    Wire,
}

/// The receive buffer of a membership: its socket's, or the interface's packet ring.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buffer {
    /// Which of the two it is.
    pub capture: Capture,
    /// Bytes the kernel grants; `None` where it does not say.
    pub granted_bytes: Option<u64>,
    /// What was asked for and the limit that clamped it, with the line that lifts it.
    pub clamped: Option<String>,
}

/// How far the join has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinState {
    /// Asked for, not yet done.
    Joining,
    /// Done.
    Joined(Buffer),
    /// Not asked for: a tap sees the group on the wire.
    Seen,
    /// Not possible for now; it can be retried.
    Failed {
        /// What failed, in one line.
        error: String,
        /// What to do about it.
        remedy: Option<String>,
    },
}

/// Losses on this host, each cumulative since the last reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drops {
    /// SOCK: dropped at the socket's buffer; `None` where the system does not say, and with a packet
    /// ring, whose drops are the interface's.
    pub socket_drops: Option<u64>,
    /// OURS: datagrams counted, not split by source.
    pub not_analysed: u64,
    /// Their UDP payload, in bytes.
    pub not_analysed_bytes: u64,
}

/// One row of the groups table.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its number.
    pub id: MembershipId,
    /// What it joins, or would join.
    pub membership: Arc<Membership>,
    /// The VLAN whose tag its frames carry, of a row that is seen on the wire.
    pub vlan: Option<u16>,
    /// Why it is there.
    pub origin: Origin,
    /// The registry's name for it, if it has one.
    pub label: Option<Arc<str>>,
    /// What a session announces of it (SAP).
    pub announced: Option<Arc<Named>>,
    /// What to know about it; looked for once a second.
    pub notes: Vec<Note>,
    pub(crate) notes_at: Mono,
    pub(crate) noted_of: Option<NotedOf>,
    /// Senders of it that are A and B of one feed.
    pub(crate) feeds: Vec<[Endpoint; 2]>,
    /// Of these the streams that come on another row as well.
    pub(crate) elsewhere: Vec<Note>,
    /// Those that were told as events.
    pub(crate) noted: Vec<Note>,
    /// How far the join has come.
    pub join: JoinState,
    /// When watching began: when the membership stood.
    pub since: Option<Stamp>,
    /// What was analysed.
    pub counters: Counters,
    /// Losses on this host.
    pub drops: Drops,
    /// Which gaps they explain.
    pub(crate) here: Here,
    drops_before_reset: Drops,
    last_account: Option<Account>,
    /// Datagrams of sources that found no place in the table.
    pub unattributed: u64,
    /// The last datagram.
    pub last: Option<Stamp>,
    /// The first datagram.
    pub first: Option<Stamp>,
    /// Inter-arrival times over all sources.
    pub gaps: Gaps,
    /// And how they are distributed; `None` before there are any.
    pub gap_quantiles: Option<Quantiles>,
    /// Bursts in short windows, over all sources.
    pub peaks: Peaks,
    /// How many datagrams were of which size.
    pub sizes: Sizes,
    /// The last second, including what was not analysed.
    pub rate: RateWindow,
    /// The last minute; begins when the membership stands.
    pub strip: Option<Strip>,
    /// As of the last look.
    pub state: State,
    /// Whether the responder answers on it.
    pub responding: bool,
    /// Answers sent on it.
    pub answered: u64,
    /// The user's rules that concern it.
    pub rules: Arc<[Rule]>,
    /// Senders.
    pub sources: SourceTable,
    /// The packets kept.
    pub packets: PacketRing,
    /// Wire against socket, while there is a tap.
    pub(crate) compare: Option<Box<Compare>>,
    mtu: u64,
    pub(crate) scan_at: Mono,
    /// The place of the source from which it goes on.
    pub(crate) scan_from: usize,
    pub(crate) appeared: u32,
    pub(crate) appeared_hidden: u64,
    pub(crate) told: Told,
    /// The 99th percentile gap, and how many gaps there were then.
    p99_gap: Cell<(u64, u64)>,
    pub(crate) drops_told: u64,
    clock_offset_ns: i64,
}

impl Group {
    pub(crate) fn new(
        id: MembershipId,
        membership: Arc<Membership>,
        origin: Origin,
        label: Option<Arc<str>>,
    ) -> Self {
        Group {
            id,
            membership,
            vlan: None,
            origin,
            label,
            announced: None,
            notes: Vec::new(),
            notes_at: Mono(0),
            noted_of: None,
            feeds: Vec::new(),
            elsewhere: Vec::new(),
            noted: Vec::new(),
            join: JoinState::Joining,
            since: None,
            counters: Counters::default(),
            drops: Drops::default(),
            here: Here::default(),
            drops_before_reset: Drops::default(),
            last_account: None,
            unattributed: 0,
            last: None,
            first: None,
            gaps: Gaps::default(),
            gap_quantiles: None,
            peaks: Peaks::default(),
            sizes: Sizes::default(),
            rate: RateWindow::default(),
            strip: None,
            state: State::Joining,
            responding: false,
            answered: 0,
            rules: Arc::from([]),
            sources: SourceTable::default(),
            packets: PacketRing::default(),
            compare: None,
            mtu: 1500,
            scan_at: Mono(0),
            scan_from: 0,
            appeared: 0,
            appeared_hidden: 0,
            told: Told::default(),
            p99_gap: Cell::default(),
            drops_told: 0,
            clock_offset_ns: 0,
        }
    }

    /// A row that nobody joined, seen on the wire since `at`.
    pub(crate) fn seen(
        id: MembershipId,
        membership: Arc<Membership>,
        label: Option<Arc<str>>,
        vlan: Option<u16>,
        at: Stamp,
    ) -> Self {
        let mut g = Group::new(id, membership, Origin::Wire, label);
        g.join = JoinState::Seen;
        g.state = State::Live;
        g.since = Some(at);
        g.strip = Some(Strip::new(at.mono));
        g.vlan = vlan;
        g
    }

    /// Whether it is, or is to be, a membership; otherwise it is seen on the wire.
    pub fn is_joined(&self) -> bool {
        self.join != JoinState::Seen
    }

    pub(crate) fn set_mtu(&mut self, mtu: Option<u32>) {
        self.mtu = u64::from(mtu.unwrap_or(1500).max(576));
    }

    /// Size on the wire of a datagram of `len` payload bytes: with IP and UDP headers, cut into
    /// fragments by the interface's MTU. The sender's own fragmentation is not visible behind a
    /// socket; this is what it is when its MTU is ours.
    pub fn on_wire(&self, len: u32) -> OnWire {
        let udp = u64::from(len) + 8;
        let v4 = self.membership.group.is_ipv4();
        let header = if v4 { 20 } else { 40 };
        if udp + header <= self.mtu {
            return OnWire { ip_bytes: udp + header, fragmented: false };
        }
        let fragment_header = if v4 { header } else { header + 8 };
        let room = (self.mtu - fragment_header) & !7;
        OnWire { ip_bytes: udp + udp.div_ceil(room) * fragment_header, fragmented: true }
    }

    pub(crate) fn stood(&mut self, buffer: Buffer, at: Stamp) {
        self.join = JoinState::Joined(buffer);
        self.since.get_or_insert(at);
        self.strip.get_or_insert_with(|| Strip::new(at.mono));
        if self.state == State::Joining || self.state == State::Failed {
            self.state = State::Idle;
        }
    }

    /// Notes what an account says of drops, so that gaps can claim them; to be called before the
    /// datagrams that came with it are counted.
    pub(crate) fn dropped(&mut self, a: &Account, at: Mono) {
        let last = self.last_account;
        let socket = a.socket_drops.unwrap_or(0);
        let socket = socket.saturating_sub(last.and_then(|l| l.socket_drops).unwrap_or(0));
        let ours = a.not_analysed.saturating_sub(last.map_or(0, |l| l.not_analysed));
        let from = self.here.since(at);
        if socket + ours > 0 {
            let what = if self.all_numbered(from) { here::Drops::Numbered } else { here::Drops::Buffer };
            self.here.moved(from, at, socket + ours, what);
        }
        self.here.read(at);
    }

    /// Whether everybody who sent since `from` numbers his datagrams, as far as is known.
    fn all_numbered(&self, from: Mono) -> bool {
        let list = self.sources.list();
        list.len() <= ASKED && list.iter().all(|s| s.last.mono < from || s.continuity().is_some())
    }

    /// Puts missing numbers elsewhere of which it is known by now that they went there.
    pub(crate) fn place_again(&mut self, now: Mono) {
        let mut corrections = Vec::new();
        self.here.settle(now, &mut corrections);
        self.correct(&corrections);
    }

    /// Between two times so many datagrams of a sender were on the wire and not delivered.
    pub(crate) fn undelivered(&mut self, from: Endpoint, span: (Mono, Mono), count: u64) {
        let mut corrections = Vec::new();
        self.here.undelivered(from, span, count, &mut corrections);
        self.correct(&corrections);
    }

    fn correct(&mut self, corrections: &[Correction]) {
        for c in corrections {
            self.sources.change(c.of, |s| s.correct(c));
        }
    }

    pub(crate) fn account(&mut self, a: &Account, at: Mono) {
        let before = self.last_account.map_or((0, 0), |l| (l.not_analysed, l.not_analysed_bytes));
        let (packets, bytes) =
            (a.not_analysed.saturating_sub(before.0), a.not_analysed_bytes.saturating_sub(before.1));
        if packets > 0 {
            let header = if self.membership.group.is_ipv4() { 28 } else { 48 };
            self.rate.add(at, Weight { packets, payload_bytes: bytes, ip_bytes: bytes + packets * header });
            if let Some(strip) = &mut self.strip {
                strip.add(at, packets, bytes);
            }
        }
        self.last_account = Some(*a);
        self.refresh_drops();
    }

    fn refresh_drops(&mut self) {
        let zero = self.drops_before_reset;
        let Some(a) = self.last_account else { return };
        self.drops = Drops {
            socket_drops: a.socket_drops.map(|n| n.saturating_sub(zero.socket_drops.unwrap_or(0))),
            not_analysed: a.not_analysed.saturating_sub(zero.not_analysed),
            not_analysed_bytes: a.not_analysed_bytes.saturating_sub(zero.not_analysed_bytes),
        };
    }

    /// The arrival by the monotonic clock. When the wall clock was set between two batches, a kernel
    /// time may be from before or after that: of the two readings the one that is not in the future
    /// and nearest to the receive call is taken, so that a step is never a gap.
    pub(crate) fn arrival(&self, d: &Datagram, received: crate::base::time::Now) -> Mono {
        let offset = received.offset_ns();
        let new = d.time.to_mono(offset);
        let stepped = (offset - self.clock_offset_ns).unsigned_abs() > 1_000_000;
        let latest = received.mono;
        if !stepped {
            return new.min(latest);
        }
        let old = d.time.to_mono(self.clock_offset_ns);
        match (new <= latest, old <= latest) {
            (true, true) => new.max(old),
            (true, false) => new,
            (false, true) => old,
            (false, false) => latest,
        }
    }

    pub(crate) fn clock(&mut self, offset_ns: i64) {
        self.clock_offset_ns = offset_ns;
    }

    /// Counts a datagram. Returns the source's place and what was noticed; the place is `None` when
    /// the table of sources is full.
    pub(crate) fn record(
        &mut self,
        d: &Datagram,
        payload: &[u8],
        at: Stamp,
        hint: u32,
        ours: impl FnOnce() -> bool,
        ring: Option<usize>,
    ) -> Option<(usize, bool, Noticed)> {
        let wire = self.on_wire(d.len);
        if let Some(last) = self.last {
            let gap = at.mono.since(last.mono);
            self.gaps.add(gap);
            self.gap_quantiles.get_or_insert_default().add(gap);
        }
        self.counters.add(d.len, wire, d.is_truncated());
        self.rate
            .add(at.mono, Weight { packets: 1, payload_bytes: u64::from(d.len), ip_bytes: wire.ip_bytes });
        if let Some(strip) = &mut self.strip {
            strip.add(at.mono, 1, u64::from(d.len));
        }
        self.peaks.add(at.mono, d.len);
        self.sizes.add(d.len);
        self.first.get_or_insert(at);
        self.last = Some(at);
        let to = self.membership.endpoint();
        let formats = self.announced.as_ref().map_or(&[][..], |n| n.formats_of(d.source.ip));
        let found = match self.sources.place(d.source, hint, at, ours) {
            Some((place, new)) => {
                let source = self.sources.at_mut(place);
                let noticed = source.record(d, payload, at, wire, to, &self.rules, formats, &mut self.here);
                self.sources.counted(place, at.mono, noticed.discontinuous);
                Some((place, new, noticed))
            }
            None => {
                self.unattributed += 1;
                None
            }
        };
        if let Some(limit) = ring {
            let mut packet = Packet::new(*d, at.mono);
            if let Some((place, _, noticed)) = found {
                let source = &self.sources.list()[place];
                packet.ours = source.ours;
                packet.gap_ns = noticed.gap_ns;
                packet.protocol = source.protocol();
            }
            self.packets.push(packet, payload, limit);
        }
        found
    }

    /// Whether two of its senders are marked as A and B of one feed.
    pub fn has_feed(&self) -> bool {
        !self.feeds.is_empty()
    }

    /// Whether these two senders of it are marked as A and B of one feed.
    pub fn is_feed(&self, a: Endpoint, b: Endpoint) -> bool {
        self.feeds.iter().any(|f| *f == [a, b] || *f == [b, a])
    }

    /// Its name: that of the session which announces it, else the registry's.
    pub fn name(&self) -> Option<&str> {
        self.announced.as_ref().map(|n| &*n.name).filter(|n| !n.is_empty()).or(self.label.as_deref())
    }

    /// What is known of a datagram of this length that this sender sent here, beside its bytes.
    pub fn told(&self, from: IpAddr, len: u32) -> essence::Told<'_> {
        let formats = self.announced.as_ref().map_or(&[][..], |n| n.formats_of(from));
        essence::Told { formats, len: len as usize }
    }

    /// The rate over the last second; `None` while nothing was watched for long enough.
    pub fn rate(&self, now: Mono) -> Option<Rate> {
        self.rate.rate(now, self.since?.mono)
    }

    /// Continuity over all sources, as [`SourceTable::continuity`] has it.
    pub fn continuity(&self) -> Option<SeqCounts> {
        self.sources.continuity()
    }

    /// Whether the absence of traffic is a fault here.
    pub fn expects_traffic(&self) -> bool {
        self.origin == Origin::User
    }

    /// Whether all who were heard are kept out by our own filter: then their silence is of our making.
    fn keeps_all_out(&self) -> bool {
        self.membership.filter != SourceFilter::Any
            && !self.sources.list().is_empty()
            && !self.sources.list().iter().any(|s| self.lets_through(s.endpoint.ip))
    }

    /// The state at `now`.
    pub(crate) fn judge(&self, now: Mono) -> State {
        match &self.join {
            JoinState::Joining => State::Joining,
            JoinState::Failed { .. } => State::Failed,
            JoinState::Joined(_) | JoinState::Seen => match (self.last, self.since) {
                (Some(last), _) => {
                    let usual = self.gaps.usual_ns;
                    let quiet = now.since(last.mono);
                    // Percentiles are only looked at when they can matter.
                    let p99 = if quiet > SILENT_AFTER_NS { self.p99_gap() } else { usual };
                    let expects =
                        self.expects_traffic() && !(quiet > SILENT_AFTER_NS && self.keeps_all_out());
                    State::of(self.counters.packets, quiet, usual, p99, expects)
                }
                (None, Some(since)) if self.expects_traffic() && now.since(since.mono) >= SILENT_AFTER_NS => {
                    State::Silent
                }
                _ => State::Idle,
            },
        }
    }

    /// The 99th percentile gap: looked for once in a silence.
    fn p99_gap(&self) -> u64 {
        let Some(gaps) = &self.gap_quantiles else { return self.gaps.usual_ns };
        let (of, known) = self.p99_gap.get();
        if of == self.gaps.count {
            return known;
        }
        let ns = gaps.high_quantile(0.99, self.gaps.max_ns).unwrap_or(self.gaps.usual_ns);
        self.p99_gap.set((self.gaps.count, ns));
        ns
    }

    /// How long the row has been without traffic, in nanoseconds; since the join if there never was
    /// any. `None` before the membership stands.
    pub fn quiet_ns(&self, now: Mono) -> Option<u64> {
        self.last.or(self.since).map(|s| now.since(s.mono))
    }

    pub(crate) fn reset(&mut self) {
        self.counters = Counters::default();
        self.gaps = Gaps::default();
        self.gap_quantiles = None;
        self.p99_gap = Cell::default();
        (self.peaks, self.sizes) = (Peaks::default(), Sizes::default());
        self.unattributed = 0;
        self.here.clear();
        if let Some(a) = self.last_account {
            self.drops_before_reset = Drops {
                socket_drops: a.socket_drops,
                not_analysed: a.not_analysed,
                not_analysed_bytes: a.not_analysed_bytes,
            };
        }
        self.refresh_drops();
        self.drops_told = 0;
        self.sources.change_each(Source::reset);
    }

    /// Whether a source's datagrams pass the membership's filter: false for one that was blocked.
    pub fn lets_through(&self, source: IpAddr) -> bool {
        self.membership.filter.passes(source)
    }
}
