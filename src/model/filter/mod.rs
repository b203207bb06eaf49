//! The filter language: what is shown on the screen and printed by `watch --filter`.
//!
//! ```text
//! rtp and lost > 0                      words stand for themselves: all of them must occur
//! source 10.1.2.0/24 or iface eth1      a property and a value: `=` may be left out
//! size >= 1000 not port 5353            side by side means `and`, which binds closer than `or`
//! hex "de ad" (rate > 1.5Mbit or pps > 2k)
//! ```
//!
//! Properties: `group`, `source` (address, prefix, address:port, or part of address or name), `port`
//! (the group's), `source-port`, `interface`, `protocol` (`unknown` for what was not recognised),
//! `state`, `event`, `size` (payload bytes), `ttl`, `dscp`, `lost`, `duplicates`, `reordered`,
//! `packets`, `rate` (bit/s, or with `pps` packets a second), `bps`, `pps`, `gap`; `text` and `hex` look
//! into the payload. A word that is also a property or `and`, `or`, `not` is quoted to be looked for.
//!
//! What they mean of different things:
//! - A comparison is false of a thing that lacks the property, `!=` too; so `not` of it is true. An event
//!   has no size: neither `size > 5` nor `size != 5` finds it, `not size > 5` does.
//! - A source has the sizes of all its datagrams: `size > 1000` finds it when one was larger. Its TTL
//!   and DSCP are the last seen, its payload is the last one, as far as it is kept.
//! - A group matches when one of its sources does; a figure (`lost`, `rate` …) may be that source's or
//!   the group's own. A group without sources is taken by itself.
//! - A packet has its own size, marking, gap and payload; `lost`, `rate` and the other figures are those
//!   of its source at the moment.

use std::cell::OnceCell;
use std::fmt;
use std::ops::Range;

use crate::base::group::Endpoint;
use crate::base::prefix::Prefix;
use crate::base::text::TextError;
use crate::wire;

mod parse;
pub mod subject;
#[cfg(test)]
mod tests;

pub use subject::{GroupWords, Happening, Interface, Names, Packeted, Row, Subject, group_passes};

/// Bytes that a filter may have.
pub const TEXT_MAX: usize = 2_000;
/// Parentheses and `not` within each other.
pub const DEPTH_MAX: usize = 40;

/// A filter, read. Without anything in it everything passes.
#[derive(Clone, Debug, PartialEq)]
pub enum Expr {
    /// All of these pass.
    All(Vec<Expr>),
    /// One of these passes.
    Any(Vec<Expr>),
    /// This one does not pass.
    Not(Box<Expr>),
    /// One test.
    Test(Test),
}

impl Default for Expr {
    fn default() -> Self {
        Expr::All(Vec::new())
    }
}

/// One test.
#[derive(Clone, Debug, PartialEq)]
pub enum Test {
    /// The word, in lower case, occurs in what the thing is found by.
    Word(String),
    /// The payload contains this text, ASCII letters in either case.
    Text(String),
    /// The payload contains these bytes.
    Hex(Vec<u8>),
    /// An address is, or is not, of this place.
    Place(Who, bool, Place),
    /// A name is, or is not, this one.
    Name(Name, bool, String),
    /// A figure compares like this.
    Number(Figure, Op, f64),
}

/// Whose address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The group's.
    Group,
    /// The sender's.
    Source,
}

/// Where an address lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In this prefix.
    Net(Prefix),
    /// This address and port.
    Endpoint(Endpoint),
    /// Address, port or host name contain this, in lower case.
    Text(String),
}

/// A property that has a name for its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// The interface; a `*` at the end stands for anything.
    Iface,
    /// The payload protocol: its word or a part of its name.
    Protocol,
    /// The state: live, idle, silent, failed, joining.
    State,
    /// The kind of an event, or a part of it.
    Event,
}

/// A property that has a number for its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// The group's port.
    Port,
    /// The sender's port.
    SourcePort,
    /// UDP payload in bytes.
    Size,
    /// TTL or hop limit.
    Ttl,
    /// DSCP, 0 to 63.
    Dscp,
    /// Numbers missing (NET).
    Lost,
    /// Numbers seen again.
    Duplicates,
    /// Numbers that came late.
    Reordered,
    /// Datagrams counted.
    Packets,
    /// UDP payload in bit/s.
    Bps,
    /// Datagrams a second.
    Pps,
    /// Time since the datagram before, in nanoseconds; of a source the usual one.
    Gap,
}

/// How a figure is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Is.
    Eq,
    /// Is not.
    Ne,
    /// Is below.
    Lt,
    /// Is not above.
    Le,
    /// Is above.
    Gt,
    /// Is not below.
    Ge,
}

impl Op {
    fn sign(self) -> &'static str {
        match self {
            Op::Eq => "=",
            Op::Ne => "!=",
            Op::Lt => "<",
            Op::Le => "<=",
            Op::Gt => ">",
            Op::Ge => ">=",
        }
    }

    /// Whether something from `low` to `high` compares like this.
    fn holds(self, (low, high): (f64, f64), value: f64) -> bool {
        match self {
            Op::Eq => low <= value && value <= high,
            Op::Ne => low != value || high != value,
            Op::Lt => low < value,
            Op::Le => low <= value,
            Op::Gt => high > value,
            Op::Ge => high >= value,
        }
    }
}

/// What a word at the head of a comparison stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Property {
    Place(Who),
    Name(Name),
    Number(Figure),
    /// `rate`: the unit says which.
    Rate,
    Text,
    Hex,
}

/// The words of the properties; the first of each kind is the one that is printed.
const PROPERTIES: &[(&str, Property)] = &[
    ("group", Property::Place(Who::Group)),
    ("dst", Property::Place(Who::Group)),
    ("source", Property::Place(Who::Source)),
    ("src", Property::Place(Who::Source)),
    ("interface", Property::Name(Name::Iface)),
    ("iface", Property::Name(Name::Iface)),
    ("protocol", Property::Name(Name::Protocol)),
    ("proto", Property::Name(Name::Protocol)),
    ("state", Property::Name(Name::State)),
    ("event", Property::Name(Name::Event)),
    ("port", Property::Number(Figure::Port)),
    ("source-port", Property::Number(Figure::SourcePort)),
    ("size", Property::Number(Figure::Size)),
    ("ttl", Property::Number(Figure::Ttl)),
    ("dscp", Property::Number(Figure::Dscp)),
    ("lost", Property::Number(Figure::Lost)),
    ("duplicates", Property::Number(Figure::Duplicates)),
    ("reordered", Property::Number(Figure::Reordered)),
    ("packets", Property::Number(Figure::Packets)),
    ("bps", Property::Number(Figure::Bps)),
    ("pps", Property::Number(Figure::Pps)),
    ("gap", Property::Number(Figure::Gap)),
    ("rate", Property::Rate),
    ("text", Property::Text),
    ("hex", Property::Hex),
];

/// The property of this word, in either case.
fn property(word: &str) -> Option<Property> {
    PROPERTIES.iter().find(|(w, _)| w.eq_ignore_ascii_case(word)).map(|(_, p)| *p)
}

fn word_of(property: Property) -> &'static str {
    PROPERTIES.iter().find(|(_, p)| *p == property).map_or("", |(w, _)| w)
}

/// Reads a filter.
///
/// # Errors
/// The part that cannot be read, why, and what to write instead.
pub fn parse(text: &str) -> Result<Expr, TextError> {
    parse::parse(text)
}

impl Expr {
    /// All of these; what is nested without need is taken out.
    pub fn all(list: Vec<Expr>) -> Expr {
        let mut flat = Vec::with_capacity(list.len());
        for e in list {
            match e {
                Expr::All(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.len() == 1 { flat.remove(0) } else { Expr::All(flat) }
    }

    /// One of these; what is nested without need is taken out.
    pub fn any(list: Vec<Expr>) -> Expr {
        let mut flat = Vec::with_capacity(list.len());
        for e in list {
            match e {
                Expr::Any(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.len() == 1 { flat.remove(0) } else { Expr::Any(flat) }
    }

    /// Whether it narrows anything.
    pub fn is_set(&self) -> bool {
        !matches!(self, Expr::All(list) if list.is_empty())
    }

    /// Whether a thing passes.
    pub fn passes(&self, subject: &dyn Subject) -> bool {
        Look { subject, words: OnceCell::new() }.expr(self)
    }

    /// Calls back with each test that is not negated.
    fn wanted<'a>(&'a self, told: &mut dyn FnMut(&'a Test)) {
        match self {
            Expr::All(list) | Expr::Any(list) => list.iter().for_each(|e| e.wanted(told)),
            Expr::Not(_) => {}
            Expr::Test(t) => told(t),
        }
    }

    /// The texts, in lower case, that are to be lit up where they stand on the screen.
    pub fn lights(&self) -> Vec<String> {
        let mut list = Vec::new();
        self.wanted(&mut |t| {
            list.push(match t {
                Test::Word(w) | Test::Place(_, true, Place::Text(w)) => w.clone(),
                Test::Text(w) | Test::Name(_, true, w) => w.to_lowercase(),
                Test::Place(_, true, Place::Net(net)) if net.single().is_some() => net.to_string(),
                Test::Place(_, true, Place::Endpoint(e)) => e.to_string(),
                _ => return,
            });
        });
        list
    }

    /// The parts of a payload that made it pass, the first of each kind.
    pub fn found_in(&self, payload: &[u8]) -> Vec<Range<usize>> {
        let mut list = Vec::new();
        self.wanted(&mut |t| {
            list.extend(match t {
                Test::Hex(bytes) => find(payload, bytes),
                Test::Text(text) | Test::Word(text) => find_text(payload, text),
                _ => None,
            });
        });
        list
    }
}

/// Where `needle` stands in `hay`.
fn find(hay: &[u8], needle: &[u8]) -> Option<Range<usize>> {
    let at = hay.windows(needle.len().max(1)).position(|w| w == needle)?;
    Some(at..at + needle.len())
}

/// Where a text stands, ASCII letters in either case.
fn find_text(hay: &[u8], needle: &str) -> Option<Range<usize>> {
    let n = needle.as_bytes();
    let at = hay.windows(n.len().max(1)).position(|w| w.eq_ignore_ascii_case(n))?;
    Some(at..at + n.len())
}

/// A look at one thing: what it is found by is written down once.
struct Look<'a> {
    subject: &'a dyn Subject,
    words: OnceCell<String>,
}

impl Look<'_> {
    fn expr(&self, e: &Expr) -> bool {
        match e {
            Expr::All(list) => list.iter().all(|e| self.expr(e)),
            Expr::Any(list) => list.iter().any(|e| self.expr(e)),
            Expr::Not(e) => !self.expr(e),
            Expr::Test(t) => self.test(t),
        }
    }

    fn words(&self) -> &str {
        self.words.get_or_init(|| {
            let mut text = String::new();
            self.subject.describe(&mut text);
            if text.is_ascii() {
                text.make_ascii_lowercase();
                text
            } else {
                text.to_lowercase()
            }
        })
    }

    fn test(&self, t: &Test) -> bool {
        let s = self.subject;
        match t {
            Test::Word(w) => {
                let told = if w.contains('\n') { None } else { s.has_word(w) };
                told.unwrap_or_else(|| self.words().contains(w.as_str()))
            }
            Test::Text(text) => s.payload().is_some_and(|p| find_text(p, text).is_some()),
            Test::Hex(bytes) => s.payload().is_some_and(|p| find(p, bytes).is_some()),
            Test::Place(who, is, place) => s.endpoint(*who).is_some_and(|e| self.lies(*who, e, place) == *is),
            Test::Name(Name::Protocol, is, name) => s.protocol().is_some_and(|p| {
                let fits = match p {
                    Some(p) => wire_names(p, name),
                    None => name == UNKNOWN,
                };
                fits == *is
            }),
            Test::Name(which, is, name) => s.name(*which).is_some_and(|n| named(*which, n, name) == *is),
            Test::Number(figure, op, value) => {
                s.figures(*figure).into_iter().flatten().any(|span| op.holds(span, *value))
            }
        }
    }

    fn lies(&self, who: Who, e: Endpoint, place: &Place) -> bool {
        match place {
            Place::Net(net) => net.contains(e.ip),
            Place::Endpoint(wanted) => e == *wanted,
            Place::Text(text) => {
                e.to_string().contains(text.as_str())
                    || (who == Who::Source
                        && self.subject.host().is_some_and(|h| h.to_lowercase().contains(text.as_str())))
            }
        }
    }
}

/// Stands for a payload that was not recognised.
const UNKNOWN: &str = "unknown";

/// Whether a protocol goes by this name, given in lower case.
fn wire_names(p: &wire::Protocol, name: &str) -> bool {
    p.id == name || p.name.to_lowercase().contains(name)
}

fn named(which: Name, has: &str, wanted: &str) -> bool {
    let has = has.to_lowercase();
    match (which, wanted.strip_suffix('*')) {
        (Name::Iface, Some(head)) => has.starts_with(head),
        (Name::Event, _) => has.contains(wanted),
        _ => has == wanted,
    }
}

impl fmt::Display for Expr {
    /// The filter as it can be read again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, list: &[Expr], word: &str| {
            for (i, e) in list.iter().enumerate() {
                if i > 0 {
                    f.write_str(word)?;
                }
                match e {
                    Expr::All(_) | Expr::Any(_) => write!(f, "({e})")?,
                    _ => write!(f, "{e}")?,
                }
            }
            Ok(())
        };
        match self {
            Expr::All(list) => joined(f, list, " and "),
            Expr::Any(list) => joined(f, list, " or "),
            Expr::Not(e) if matches!(**e, Expr::All(_) | Expr::Any(_)) => write!(f, "not ({e})"),
            Expr::Not(e) => write!(f, "not {e}"),
            Expr::Test(t) => write!(f, "{t}"),
        }
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is = |is: &bool| if *is { "=" } else { "!=" };
        match self {
            Test::Word(w) => f.write_str(&parse::quoted_if_needed(w)),
            Test::Text(t) => write!(f, "text {}", parse::quoted(t)),
            Test::Hex(bytes) => {
                f.write_str("hex ")?;
                bytes.iter().try_for_each(|b| write!(f, "{b:02x}"))
            }
            Test::Place(who, eq, place) => {
                write!(f, "{} {} ", word_of(Property::Place(*who)), is(eq))?;
                match place {
                    Place::Net(net) => write!(f, "{net}"),
                    Place::Endpoint(e) => write!(f, "{e}"),
                    Place::Text(t) => f.write_str(&parse::quoted(t)),
                }
            }
            Test::Name(name, eq, value) => {
                let word = word_of(Property::Name(*name));
                write!(f, "{word} {} {}", is(eq), parse::quoted_if_needed(value))
            }
            Test::Number(figure, op, value) => {
                let unit = if *figure == Figure::Gap { "ns" } else { "" };
                write!(f, "{} {} {value}{unit}", word_of(Property::Number(*figure)), op.sign())
            }
        }
    }
}
