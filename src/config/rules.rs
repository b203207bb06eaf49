//! The `[[protocol]]` tables of the settings: what streams are, before any recognition.

use serde::Deserialize;
use toml::Spanned;

use crate::base::prefix::Prefix;
use crate::base::text::{TextError, parse_hex};
use crate::model::counter::Choice;
use crate::model::rules::{self, Mark, Rule};
use crate::wire::own;

/// Bytes from the start of a payload that a mark may be away; more than the longest datagram is a
/// mistake.
const AT_MAX: usize = 65_507;

/// A table as it is written.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    group: Option<Spanned<String>>,
    port: Option<Spanned<Port>>,
    source: Option<Spanned<String>>,
    at: Option<Spanned<usize>>,
    hex: Option<Spanned<String>>,
    protocol: Option<Spanned<String>>,
    name: Option<Spanned<String>>,
    seq: Option<Spanned<String>>,
}

/// A port, or a range of them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(untagged, expecting = "expected a port, as in 5004, or a range, as in \"5000-5010\"")]
enum Port {
    One(u16),
    Range(String),
}

/// What is wrong, and where in the text.
type Wrong = (usize, String);

fn said(key: &str, at: &Spanned<String>, e: &TextError) -> Wrong {
    (at.span().start, format!("{key} = \"{}\": {}", at.get_ref(), e.in_a_line()))
}

fn prefix(key: &str, text: Option<&Spanned<String>>) -> Result<Option<Prefix>, Wrong> {
    text.map(|t| Prefix::parse(t.get_ref()).map_err(|e| said(key, t, &e))).transpose()
}

impl Entry {
    /// The rule of a table that begins at `start`.
    fn rule(&self, start: usize) -> Result<Rule, Wrong> {
        let mut rule = Rule {
            group: prefix("group", self.group.as_ref())?,
            source: prefix("source", self.source.as_ref())?,
            ..Rule::default()
        };
        rule.ports = match self.port.as_ref().map(|p| (p.span().start, p.get_ref())) {
            None => None,
            Some((_, Port::One(port))) => Some(*port..=*port),
            Some((at, Port::Range(text))) => {
                let ends = text
                    .split_once('-')
                    .and_then(|(a, b)| Some((a.trim().parse::<u16>().ok()?, b.trim().parse::<u16>().ok()?)));
                match ends {
                    Some((from, to)) if from <= to => Some(from..=to),
                    _ => return Err((at, format!("port = \"{text}\": a range is written \"5000-5010\""))),
                }
            }
        };
        rule.mark = match (&self.at, &self.hex) {
            (None, None) => None,
            (Some(at), None) => {
                return Err((at.span().start, "at says where, but hex is missing".to_owned()));
            }
            (at, Some(hex)) => {
                let bytes = parse_hex(hex.get_ref()).map_err(|e| said("hex", hex, &e))?;
                if bytes.is_empty() {
                    return Err((hex.span().start, "hex has no bytes, as in \"4d 53\"".to_owned()));
                }
                let from = at.as_ref().map_or(0, |at| *at.get_ref());
                if from.saturating_add(bytes.len()) > AT_MAX {
                    let place = at.as_ref().map_or(hex.span().start, |at| at.span().start);
                    return Err((place, format!("no datagram is longer than {AT_MAX} bytes")));
                }
                Some(Mark { at: from, bytes })
            }
        };
        rule.protocol = match (&self.protocol, &self.name) {
            (Some(_), Some(name)) => {
                let text = "protocol and name exclude each other: name is for what mcscope cannot read";
                return Err((name.span().start, text.to_owned()));
            }
            (Some(word), None) => {
                Some(rules::protocol(word.get_ref()).map_err(|e| said("protocol", word, &e))?)
            }
            (None, Some(name)) => Some(
                own::named(name.get_ref())
                    .map_err(|e| (name.span().start, format!("name = \"{}\": {e}", name.get_ref())))?,
            ),
            (None, None) => None,
        };
        if let Some(seq) = &self.seq {
            rule.counter = Choice::parse(seq.get_ref()).map_err(|e| said("seq", seq, &e))?;
        }
        if rule.protocol.is_none() && self.seq.is_none() {
            return Err((start, "this rule says nothing: it needs protocol, name or seq".to_owned()));
        }
        Ok(rule)
    }
}

/// The line of a place, from 1.
pub(super) fn line(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or(text).matches('\n').count() + 1
}

/// The rules of all tables, in their order.
///
/// # Errors
/// What is wrong with the first table that is, with its line.
pub(super) fn read(text: &str, list: &[Spanned<Entry>]) -> Result<Vec<Rule>, String> {
    let wrong = |(at, message): Wrong| format!("line {}: {message}", line(text, at));
    list.iter()
        .map(|e| {
            let start = e.span().start;
            let mut rule = e.get_ref().rule(start).map_err(wrong)?;
            rule.place = format!("settings, line {}", line(text, start)).into();
            Ok(rule)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::model::counter::{Choice, Counter};
    use crate::model::rules::Mark;

    #[test]
    fn a_rule_says_where_and_what() {
        let text = "theme = \"dark\"\n\n[[protocol]]\ngroup = \"239.1.0.0/16\"\nport = 5000\nprotocol = \"rtp\"\n\
            [[protocol]]\nport = \"6000-6010\"\nsource = \"10.1.2.0/24\"\nat = 2\nhex = \"4d 53\"\n\
            name = \"House feed\"\nseq = \"seq:4:4:le\"\n";
        let config = Config::parse(text).unwrap();
        let [first, second] = &config.rules[..] else { panic!("{:?}", config.rules) };
        assert_eq!(first.group.map(|g| g.to_string()).as_deref(), Some("239.1.0.0/16"));
        assert_eq!((first.ports.clone(), first.protocol.map(|p| p.id)), (Some(5000..=5000), Some("rtp")));
        assert_eq!(&*first.place, "settings, line 3");
        assert_eq!(second.ports, Some(6000..=6010));
        assert_eq!(second.mark, Some(Mark { at: 2, bytes: vec![0x4d, 0x53] }));
        assert_eq!(second.protocol.map(|p| (p.id, p.name)), Some(("house-feed", "House feed")));
        let counter = Counter { offset: 4, width: 4, little_endian: true, step: 1 };
        assert_eq!(second.counter, Choice::At(counter));
    }

    #[test]
    fn what_is_wrong_with_a_rule_is_named_with_its_line() {
        let all = [
            ("protocol = \"rtpx\"", "line 3: protocol = \"rtpx\": no protocol of this name", "rtp"),
            ("group = \"239.1.0.0/40\"\nseq = \"seq:off\"", "line 3: group", "0 to 32 bits"),
            ("seq = \"seq:4:9\"", "line 3: seq", "1 to 8 bytes"),
            ("at = 4\nprotocol = \"rtp\"", "line 3: at", "hex is missing"),
            ("hex = \"4d5\"\nprotocol = \"rtp\"", "line 3: hex", "4d5"),
            ("at = 70000\nhex = \"4d\"\nprotocol = \"rtp\"", "line 3: no datagram", "65507"),
            ("port = \"6000-5000\"\nprotocol = \"rtp\"", "line 3: port", "5000-5010"),
            ("protocol = \"rtp\"\nname = \"x\"", "line 4: protocol and name exclude", "cannot read"),
            ("name = \"RTP\"", "line 3: name", "write protocol"),
            ("port = 5004", "line 2: this rule says nothing", "seq"),
            ("colour = 1", "line 3", "unknown field `colour`"),
            ("port = 70000\nprotocol = \"rtp\"", "line 3", "expected a port"),
        ];
        for (table, place, why) in all {
            let e = Config::parse(&format!("# rules\n[[protocol]]\n{table}\n")).expect_err(table);
            assert!(e.contains(place) && e.contains(why), "{table}: {e}");
        }
    }
}
