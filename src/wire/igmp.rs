//! IGMP: version 1 (RFC 1112), version 2 (RFC 2236), version 3 (RFC 9776, before it RFC 3376), and
//! the values that MLD shares.
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 1 | type: 11 query, 12 report 1, 16 report 2, 17 leave, 22 report 3 |
//! | 1 | 1 | max response code |
//! | 2 | 2 | checksum |
//! | 4 | 4 | group; report 3: reserved (2), records (2) |
//! | 8 | 1 | query 3: suppress 0x08, robustness 0x07 |
//! | 9 | 1 | query 3: querier's interval code |
//! | 10 | 2 | query 3: sources, which follow |
//!
//! A record: type (1), words of auxiliary data (1), sources (2), group, sources, auxiliary data.

use std::fmt;
use std::net::Ipv4Addr;

use crate::wire::ip::checksum;
use crate::wire::read::{be16, be32, u8_at};

/// Records kept of one report: a frame of 1500 bytes holds 183.
const RECORDS_MAX: usize = 1024;
/// Sources kept of one record or query: a frame of 1500 bytes holds 366.
const SOURCES_MAX: usize = 1024;
/// Sources named where a message is shown.
const SHOWN: usize = 4;

/// A membership message, of IGMP with IPv4 addresses or of MLD with IPv6 ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<A> {
    /// A router asks who is there.
    Query(Query<A>),
    /// A host is a member: IGMP version 1 or 2, MLD version 1.
    Report {
        /// The protocol's version.
        version: u8,
        /// The group.
        group: A,
    },
    /// A host is no member any more: IGMP version 2, MLD version 1 ("done").
    Leave {
        /// The group.
        group: A,
    },
    /// IGMP version 3, MLD version 2: any number of changes and states.
    Records {
        /// The records, in order.
        records: Vec<Record<A>>,
        /// Whether some are missing: the packet was cut, or there are more than are kept.
        cut: bool,
    },
}

/// A query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query<A> {
    /// The protocol's version.
    pub version: u8,
    /// The group asked for; `None` for all.
    pub group: Option<A>,
    /// The time hosts may take to answer, in ms. Version 1 of IGMP does not say it: 10 s.
    pub max_response_ms: u32,
    /// What the newest versions add.
    pub newest: Option<QueryTimers>,
    /// The sources asked for.
    pub sources: Vec<A>,
}

/// What a query of IGMP version 3 or MLD version 2 adds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryTimers {
    /// S: routers must not act on it.
    pub suppress: bool,
    /// QRV: 0 if it exceeds 7.
    pub robustness: u8,
    /// QQI: how often the querier asks, in seconds.
    pub interval_s: u32,
}

/// What a record says of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// MODE_IS_INCLUDE: these sources are wanted.
    IsInclude,
    /// MODE_IS_EXCLUDE: all but these are wanted.
    IsExclude,
    /// CHANGE_TO_INCLUDE_MODE: from now on only these; of none it is a leave.
    ToInclude,
    /// CHANGE_TO_EXCLUDE_MODE: from now on all but these; of none it is a join.
    ToExclude,
    /// ALLOW_NEW_SOURCES: these as well.
    Allow,
    /// BLOCK_OLD_SOURCES: these no more.
    Block,
    /// A type that no RFC knows.
    Unknown(u8),
}

/// A record of a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<A> {
    /// What it says.
    pub kind: RecordKind,
    /// Of which group.
    pub group: A,
    /// The sources it names.
    pub sources: Vec<A>,
}

impl<A> Record<A> {
    /// Whether the host wants the group or part of it after this: `Some(false)` is a leave. `None`
    /// for a block, after which it cannot be told.
    pub fn wants(&self) -> Option<bool> {
        match self.kind {
            RecordKind::IsInclude | RecordKind::ToInclude => Some(!self.sources.is_empty()),
            RecordKind::IsExclude | RecordKind::ToExclude => Some(true),
            RecordKind::Allow => Some(true),
            RecordKind::Block | RecordKind::Unknown(_) => None,
        }
    }
}

impl From<u8> for RecordKind {
    fn from(code: u8) -> Self {
        match code {
            1 => RecordKind::IsInclude,
            2 => RecordKind::IsExclude,
            3 => RecordKind::ToInclude,
            4 => RecordKind::ToExclude,
            5 => RecordKind::Allow,
            6 => RecordKind::Block,
            n => RecordKind::Unknown(n),
        }
    }
}

/// The value of an 8-bit code: itself below 128, then a float (RFC 9776 sections 4.1.1 and 4.1.7).
pub fn decode_code(code: u8) -> u32 {
    let c = u32::from(code);
    if c < 128 { c } else { (c & 0x0f | 0x10) << ((c >> 4 & 7) + 3) }
}

/// A message of IGMP and whether its checksum holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Igmp {
    /// What it says.
    pub message: Message<Ipv4Addr>,
    /// Whether the checksum over all of it holds. A packet that was cut fails it.
    pub checksum_holds: bool,
}

/// Reads the bytes that IP carries; `None` for a type that is no membership's (DVMRP, PIM version 1,
/// mtrace) and for a message that ends before its header does.
pub fn parse(b: &[u8]) -> Option<Igmp> {
    let (kind, code) = (u8_at(b, 0)?, u8_at(b, 1)?);
    let group = Ipv4Addr::from(be32(b, 4)?);
    let message = match kind {
        0x11 => Message::Query(query(b, code, group)?),
        0x12 => Message::Report { version: 1, group },
        0x16 => Message::Report { version: 2, group },
        0x17 => Message::Leave { group },
        0x22 => {
            let (records, cut) = records(b, |b, at| be32(b, at).map(Ipv4Addr::from), 4);
            Message::Records { records, cut }
        }
        _ => return None,
    };
    Some(Igmp { message, checksum_holds: checksum(&[b]) == 0 })
}

fn query(b: &[u8], code: u8, group: Ipv4Addr) -> Option<Query<Ipv4Addr>> {
    // Length and code tell the version (RFC 9776 section 7.1).
    let version = match (b.len(), code) {
        (8, 0) => 1,
        (12.., _) => 3,
        _ => 2,
    };
    let tenths = match version {
        1 => 100,
        2 => u32::from(code),
        _ => decode_code(code),
    };
    let (newest, sources) = match version {
        3 => {
            let (timers, sources) = timers(b, 8, |b, at| be32(b, at).map(Ipv4Addr::from), 4)?;
            (Some(timers), sources)
        }
        _ => (None, Vec::new()),
    };
    let group = (!group.is_unspecified()).then_some(group);
    Some(Query { version, group, max_response_ms: tenths * 100, newest, sources })
}

/// The part of a query that IGMP version 3 and MLD version 2 have in common, at `at`.
pub(crate) fn timers<A>(
    b: &[u8],
    at: usize,
    address: impl Fn(&[u8], usize) -> Option<A>,
    size: usize,
) -> Option<(QueryTimers, Vec<A>)> {
    let (flags, interval) = (u8_at(b, at)?, u8_at(b, at + 1)?);
    let n = usize::from(be16(b, at + 2)?).min(SOURCES_MAX);
    let sources = (0..n).map_while(|i| address(b, at + 4 + i * size)).collect();
    let timers =
        QueryTimers { suppress: flags & 8 != 0, robustness: flags & 7, interval_s: decode_code(interval) };
    Some((timers, sources))
}

/// The records of a report, alike in both protocols: number at 6, first at 8.
pub(crate) fn records<A>(
    b: &[u8],
    address: impl Fn(&[u8], usize) -> Option<A>,
    size: usize,
) -> (Vec<Record<A>>, bool) {
    let told = be16(b, 6).map_or(0, usize::from);
    let mut all = Vec::new();
    let mut at = 8;
    for _ in 0..told.min(RECORDS_MAX) {
        let Some((kind, aux, n)) = u8_at(b, at)
            .zip(u8_at(b, at + 1))
            .zip(be16(b, at + 2))
            .map(|((k, a), n)| (k, usize::from(a), usize::from(n)))
        else {
            return (all, true);
        };
        let Some(group) = address(b, at + 4) else { return (all, true) };
        let first = at + 4 + size;
        let sources: Vec<A> = (0..n.min(SOURCES_MAX)).map_while(|i| address(b, first + i * size)).collect();
        let whole = sources.len() == n;
        all.push(Record { kind: kind.into(), group, sources });
        if !whole {
            return (all, true);
        }
        at = first + n * size + 4 * aux;
    }
    let cut = told > all.len();
    (all, cut)
}

impl<A: fmt::Display> fmt::Display for Message<A> {
    /// `query all, 10.0 s`, `join 239.1.1.1`, `join 232.1.1.1 from 10.0.0.1`, `leave 239.1.1.1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Message::Query(q) => {
                match &q.group {
                    Some(group) => write!(f, "query {group}")?,
                    None => f.write_str("query all")?,
                }
                list(f, " from ", &q.sources)?;
                write!(f, ", {:.1} s", f64::from(q.max_response_ms) / 1000.0)?;
                if let Some(t) = q.newest {
                    write!(f, ", every {} s, robustness {}", t.interval_s, t.robustness)?;
                }
                Ok(())
            }
            Message::Report { group, .. } => write!(f, "join {group}"),
            Message::Leave { group } => write!(f, "leave {group}"),
            Message::Records { records, cut } => {
                for (i, r) in records.iter().take(SHOWN).enumerate() {
                    if i > 0 {
                        f.write_str(", ")?;
                    }
                    match (r.kind, r.sources.is_empty()) {
                        (RecordKind::IsInclude | RecordKind::ToInclude, true) => {
                            write!(f, "leave {}", r.group)?;
                        }
                        (RecordKind::IsExclude | RecordKind::ToExclude, _) => {
                            write!(f, "join {}", r.group)?;
                            list(f, " without ", &r.sources)?;
                        }
                        (RecordKind::Block, _) => {
                            write!(f, "block {}", r.group)?;
                            list(f, " from ", &r.sources)?;
                        }
                        (RecordKind::Unknown(n), _) => write!(f, "record type {n} {}", r.group)?,
                        _ => {
                            write!(f, "join {}", r.group)?;
                            list(f, " from ", &r.sources)?;
                        }
                    }
                }
                if records.len() > SHOWN {
                    write!(f, ", {} more", records.len() - SHOWN)?;
                }
                if *cut { f.write_str(", cut") } else { Ok(()) }
            }
        }
    }
}

fn list<A: fmt::Display>(f: &mut fmt::Formatter<'_>, lead: &str, all: &[A]) -> fmt::Result {
    for (i, a) in all.iter().take(SHOWN).enumerate() {
        write!(f, "{}{a}", if i == 0 { lead } else { " " })?;
    }
    if all.len() > SHOWN { write!(f, " and {} more", all.len() - SHOWN) } else { Ok(()) }
}
