//! What the user knows of streams beforehand: rules that come before any recognition.
//!
//! A rule says where it holds (group, port, sender, bytes at a place of the payload) and what is there
//! (a protocol, a name of the user's own, the counter). Of several that hold the first one counts. Where
//! the bytes do not fit the first payload of a stream, those that follow are looked at as well, as
//! recognition does.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::base::group::Membership;
use crate::base::prefix::Prefix;
use crate::base::text::{TextError, nearest};
use crate::model::counter::Choice;
use crate::wire::{self, Protocol};

/// How the place of a rule is written.
const WHERE: &str = "before = stands a group, a range of them, a port, or a group and a port: 239.1.1.1=, 239.1.0.0/16=, :5004=, \
     [ff15::1]:5004=";

/// Bytes that must stand at a place of the payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The place of the first, from the start of the payload.
    pub at: usize,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// A rule. What is absent does not matter to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// The group.
    pub group: Option<Prefix>,
    /// Its port.
    pub ports: Option<RangeInclusive<u16>>,
    /// The sender's address.
    pub source: Option<Prefix>,
    /// What the payload holds.
    pub mark: Option<Mark>,
    /// What it then is.
    pub protocol: Option<&'static Protocol>,
    /// Where it counts.
    pub counter: Choice,
    /// Where the rule is written, for people: `config.toml line 12`.
    pub place: Arc<str>,
}

impl Rule {
    /// Whether it can hold for a row.
    pub fn concerns(&self, m: &Membership) -> bool {
        self.group.is_none_or(|p| p.contains(m.group))
            && self.ports.as_ref().is_none_or(|p| p.contains(&m.port))
    }

    /// Whether it holds for a payload of this sender, on a row that it concerns.
    pub fn holds(&self, from: IpAddr, payload: &[u8]) -> bool {
        let marked = |m: &Mark| payload.get(m.at..).is_some_and(|rest| rest.starts_with(&m.bytes));
        self.source.is_none_or(|p| p.contains(from)) && self.mark.as_ref().is_none_or(marked)
    }

    /// Reads `[WHERE=]WHAT` as the command line has it: WHERE is `239.1.1.1`, `239.1.0.0/16`,
    /// `239.1.1.1:5004`, `[ff15::1]:5004` or `:5004`, everywhere without it; WHAT is the word of a
    /// protocol, a counter ([`Choice::parse`]), or both with a comma between.
    ///
    /// # Errors
    /// The part that is wrong.
    pub fn parse(text: &str) -> Result<Rule, TextError> {
        // What is said of a part stands at its place in the whole.
        let moved = |e: TextError, by: usize| TextError {
            text: text.to_owned(),
            span: e.span.start + by..e.span.end + by,
            ..e
        };
        let mut rule = Rule { place: format!("--protocol {text}").into(), ..Rule::default() };
        let (place, what) = text.split_once('=').map_or(("", text), |(p, w)| (p, w));
        let no_group = |e: TextError| match e.help {
            Some(_) => moved(e, 0),
            None => moved(e, 0).help(WHERE),
        };
        if place.ends_with(']') || !place.contains(']') && place.matches(':').count() != 1 {
            if !place.is_empty() {
                rule.group = Some(Prefix::parse(place).map_err(no_group)?);
            }
        } else if let Some((group, port)) = place.rsplit_once(':') {
            if !group.is_empty() {
                rule.group = Some(Prefix::parse(group).map_err(no_group)?);
            }
            let at = group.len() + 1;
            let port: u16 = port
                .parse()
                .map_err(|_| TextError::new(text, at..at + port.len(), "a port is a number up to 65535"))?;
            rule.ports = Some(port..=port);
        }
        let mut at = text.len() - what.len();
        for part in what.split(',') {
            if part.starts_with("seq") {
                rule.counter = Choice::parse(part).map_err(|e| moved(e, at))?;
            } else {
                rule.protocol = Some(protocol(part).map_err(|e| moved(e, at))?);
            }
            at += part.len() + 1;
        }
        Ok(rule)
    }
}

/// The protocol of a word.
///
/// # Errors
/// When there is none, with those of nearly that word.
pub fn protocol(word: &str) -> Result<&'static Protocol, TextError> {
    wire::by_id(&word.to_lowercase()).ok_or_else(|| {
        let ids: Vec<&str> = wire::own::protocols().map(|p| p.id).collect();
        let near = nearest(word, ids.iter().copied(), 4);
        let list = if near.is_empty() { ids } else { near };
        TextError::new(word, 0..word.len(), "no protocol of this name is known")
            .help(format!("there is {}", list.join(", ")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::group::SourceFilter;
    use crate::model::counter::Counter;

    fn row(group: &str, port: u16) -> Membership {
        Membership { group: group.parse().unwrap(), port, iface: "eth0".into(), filter: SourceFilter::Any }
    }

    #[test]
    fn the_command_line_says_where_and_what() {
        let rule = |text: &str| Rule::parse(text).unwrap_or_else(|e| panic!("{text}: {}", e.message));
        for (text, yes, no) in [
            ("239.1.1.1:5004=rtp", ("239.1.1.1", 5004), ("239.1.1.1", 5005)),
            ("239.1.0.0/16=rtp", ("239.1.9.9", 1), ("239.2.0.1", 1)),
            (":5004=rtp", ("239.9.9.9", 5004), ("239.9.9.9", 5005)),
            ("[ff15::1]:5004=rtp", ("ff15::1", 5004), ("ff15::2", 5004)),
            ("ff15::/16=rtp", ("ff15::1", 5004), ("ff02::1", 5004)),
        ] {
            assert!(rule(text).concerns(&row(yes.0, yes.1)), "{text}");
            assert!(!rule(text).concerns(&row(no.0, no.1)), "{text}");
            assert_eq!(rule(text).protocol.map(|p| p.id), Some("rtp"));
        }
        assert!(rule("rtp").concerns(&row("ff02::1", 1)));
        let both = rule("=rtp,seq:4:4:le");
        let counter = Counter { offset: 4, width: 4, little_endian: true, step: 1 };
        assert_eq!((both.protocol.map(|p| p.id), both.counter), (Some("rtp"), Choice::At(counter)));
        assert_eq!(rule("seq:off").counter, Choice::Off);
    }

    #[test]
    fn what_is_wrong_is_said_at_its_place_in_the_whole() {
        for (text, place) in [
            ("239.1.1.1:5004=rtpx", "rtpx"),
            ("239.1.1.1:99999=rtp", "99999"),
            ("239.1.1=rtp", "239.1.1"),
            ("239.1.1.0/40:1=rtp", "40"),
            ("239.1.1.1=rtp,seq:4:9", "9"),
            ("", ""),
        ] {
            let e = Rule::parse(text).expect_err(text);
            assert_eq!((e.text.as_str(), &text[e.span.clone()]), (text, place), "{}", e.message);
        }
        assert!(Rule::parse("rpt").unwrap_err().help.is_some_and(|h| h.contains("rtp")));
    }

    #[test]
    fn the_bytes_of_a_mark_must_stand_at_their_place() {
        let mark = Mark { at: 2, bytes: vec![0x4d, 0x53] };
        let rule = Rule { mark: Some(mark), source: Prefix::parse("10.0.0.0/8").ok(), ..Rule::default() };
        let from = |ip: &str| ip.parse().unwrap();
        assert!(rule.holds(from("10.1.1.1"), &[0, 0, 0x4d, 0x53, 9]));
        assert!(!rule.holds(from("10.1.1.1"), &[0x4d, 0x53, 0, 0]));
        assert!(!rule.holds(from("10.1.1.1"), &[0, 0, 0x4d]));
        assert!(!rule.holds(from("11.1.1.1"), &[0, 0, 0x4d, 0x53]));
    }
}
