//! What the doctor says: plain data that a front end shows or writes. Nothing here asks the system
//! anything.

use std::sync::Arc;

use crate::base::group::Membership;

/// How bad a finding is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It keeps packets away.
    Fail,
    /// It may keep packets away, or will.
    Warn,
    /// It could not be looked at; the evidence says what is missing.
    Unknown,
    /// Worth knowing, and harmless so far.
    Note,
    /// Looked at and fine.
    Ok,
}

impl Verdict {
    /// The word for it, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Fail => "fail",
            Verdict::Warn => "warn",
            Verdict::Unknown => "unknown",
            Verdict::Note => "note",
            Verdict::Ok => "ok",
        }
    }
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// Commands that a shell takes as they stand, one a line, to be run as root.
    Command(String),
    /// What no command does.
    Advice(String),
}

impl Remedy {
    /// The words or commands.
    pub fn text(&self) -> &str {
        match self {
            Remedy::Command(text) | Remedy::Advice(text) => text,
        }
    }

    /// The commands, if it is some.
    pub fn command(&self) -> Option<&str> {
        match self {
            Remedy::Command(text) => Some(text),
            Remedy::Advice(_) => None,
        }
    }
}

/// The outcome of one check for one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which check, as in `rp.filter`.
    pub id: &'static str,
    /// How bad.
    pub verdict: Verdict,
    /// What is, in a sentence without its full stop.
    pub title: String,
    /// The values read, and where.
    pub evidence: String,
    /// Why it matters.
    pub why: String,
    /// What to do.
    pub remedy: Option<Remedy>,
    /// What it is about: an interface, a group on an interface, a program, "this host".
    pub object: String,
    /// Whether it explains why the group is silent here.
    pub explains: bool,
}

impl Finding {
    /// The order in which findings are told: what explains the silence, then the worst.
    pub fn rank(&self) -> (bool, Verdict) {
        (!self.explains, self.verdict)
    }
}

/// The stations on a datagram's way into a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Station {
    /// What comes by cable or radio.
    Wire,
    /// The interface and its driver, with what filters there.
    Interface,
    /// The IP layer takes it in.
    Ip,
    /// This host is a member of the group there, and the source is accepted.
    Group,
    /// The packet filter lets it through.
    Firewall,
    /// A socket has the port.
    Port,
    /// The socket's buffer has room.
    Buffer,
    /// A program could read it.
    Here,
}

impl Station {
    /// All, in the order of the way.
    pub const ALL: [Station; 8] = [
        Station::Wire,
        Station::Interface,
        Station::Ip,
        Station::Group,
        Station::Firewall,
        Station::Port,
        Station::Buffer,
        Station::Here,
    ];

    /// The word shown for it.
    pub fn word(self) -> &'static str {
        match self {
            Station::Wire => "wire",
            Station::Interface => "interface",
            Station::Ip => "IP",
            Station::Group => "group",
            Station::Firewall => "firewall",
            Station::Port => "port",
            Station::Buffer => "buffer",
            Station::Here => "here",
        }
    }
}

/// Whether packets pass a station.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// They pass.
    Passes,
    /// They die here.
    Dies,
    /// It cannot be told.
    Unknown,
    /// None gets this far.
    Unreached,
}

impl Passage {
    /// The word for it, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Passage::Passes => "passes",
            Passage::Dies => "dies",
            Passage::Unknown => "unknown",
            Passage::Unreached => "unreached",
        }
    }
}

/// One station with what was counted there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Which.
    pub station: Station,
    /// Packets counted there during the measurement, of whatever `scope` says; `None` where nothing
    /// counts them or it may not be looked at.
    pub count: Option<u64>,
    /// What the count counts.
    pub scope: Scope,
    /// Whether packets of the group pass.
    pub passage: Passage,
    /// What dies here and why, in a few words.
    pub note: Option<String>,
}

/// What a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Packets of this group and port, and nothing else.
    Group,
    /// Everything on the interface.
    Interface,
    /// Everything on this host (in this network namespace).
    Host,
}

impl Scope {
    /// The word for it, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Scope::Group => "group",
            Scope::Interface => "interface",
            Scope::Host => "host",
        }
    }
}

/// How far the packets of a group get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Funnel {
    /// The stations in order.
    pub stages: Vec<Stage>,
    /// What became of them.
    pub fate: Fate,
    /// What this measurement cannot tell apart, and what would; empty when all is clear.
    pub cannot_separate: String,
}

impl Funnel {
    /// Where packets die.
    pub fn dies_at(&self) -> Option<Station> {
        self.stages.iter().find(|s| s.passage == Passage::Dies).map(|s| s.station)
    }
}

/// What becomes of the packets of a group on an interface of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// They arrive.
    Arrives,
    /// The group could not be joined, or its port not taken.
    NotJoined,
    /// The interface is down.
    Down,
    /// The interface has no carrier.
    NoCarrier,
    /// IPv6 is off on the interface.
    Ipv6Off,
    /// Nothing reaches the interface.
    NothingComes,
    /// They are longer than the interface takes.
    TooLong,
    /// The frames are addressed to another station.
    OtherStation,
    /// The frames carry a VLAN tag that no interface here has.
    OtherVlan,
    /// Dropped between the driver and the IP layer.
    Ingress,
    /// Reverse path filter.
    ReversePath,
    /// The source is an address of this host.
    OwnSource,
    /// The source is no address that a host may send from.
    BadSource,
    /// The membership's own filter keeps the source away.
    SourceFilter,
    /// A fragment of each datagram is missing.
    Fragments,
    /// A packet filter before routing.
    Prerouting,
    /// A packet filter before delivery.
    Input,
    /// The UDP checksum is wrong.
    Checksum,
    /// The UDP length contradicts the IP length.
    Length,
    /// They come for another port.
    OtherPort,
    /// The socket's buffer is full.
    Buffer,
    /// They arrive at the interface and die somewhere before a socket.
    Unclear,
}

impl Fate {
    /// Where that happens; `None` if they arrive.
    pub fn station(self) -> Option<Station> {
        Some(match self {
            Fate::Arrives => return None,
            Fate::NothingComes => Station::Wire,
            Fate::Down | Fate::NoCarrier | Fate::TooLong | Fate::OtherStation | Fate::OtherVlan => {
                Station::Interface
            }
            Fate::Ingress => Station::Interface,
            Fate::Ipv6Off | Fate::Fragments => Station::Ip,
            Fate::NotJoined
            | Fate::ReversePath
            | Fate::OwnSource
            | Fate::BadSource
            | Fate::SourceFilter
            | Fate::Unclear => Station::Group,
            Fate::Prerouting | Fate::Input => Station::Firewall,
            Fate::Checksum | Fate::Length | Fate::OtherPort => Station::Port,
            Fate::Buffer => Station::Buffer,
        })
    }
}

/// What was found for one group on one interface, or for the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The group and interface; `None` for the host's own checks.
    pub membership: Option<Arc<Membership>>,
    /// How long was measured, in nanoseconds; 0 if nothing was.
    pub window_ns: u64,
    /// Datagrams that a socket received during that time.
    pub packets: u64,
    /// How far the packets get.
    pub funnel: Option<Funnel>,
    /// Every check's outcome: what explains the silence first, then the worst.
    pub findings: Vec<Finding>,
}

impl Report {
    /// The worst verdict; `None` without findings.
    pub fn worst(&self) -> Option<Verdict> {
        self.findings.iter().map(|f| f.verdict).min()
    }
}
