//! Figures in plain words: where a stream lost something, why it is taken for what it is.

use crate::base::units::count;
use crate::model::counter::Choice;
use crate::model::group::Drops;
use crate::model::rules::Rule;
use crate::model::sequence::SeqCounts;
use crate::model::source::Source;
use crate::wire::verdict::{AGREE, Ground};
use crate::wire::{self, Confidence};

/// One line on what a stream lost and where, and whether that is bad.
pub fn loss(c: Option<SeqCounts>, drops: &Drops, nic_drops: Option<u64>) -> (String, bool) {
    let here = drops.socket_drops.unwrap_or(0) + drops.not_analysed;
    let dropped = match here {
        0 => String::new(),
        n => format!("; {} of this group were dropped here", count(n)),
    };
    let Some(c) = c else {
        return (format!("no counter is known in this payload, so losses cannot be seen{dropped}"), here > 0);
    };
    if c.missing() == 0 {
        return (format!("no number is missing{dropped}"), here > 0);
    }
    let mut parts = Vec::new();
    if c.lost > 0 {
        parts.push(format!("{} lost between sender and this host", count(c.lost)));
    }
    if c.lost_here > 0 {
        parts.push(format!("{} dropped on this host", count(c.lost_here)));
    }
    if c.lost_unclear > 0 {
        parts.push(format!("{} lost here or on the way, which cannot be told", count(c.lost_unclear)));
    }
    let mut text = parts.join(", ");
    if c.lost_here + c.lost_unclear == 0 {
        text.push_str(match (here, nic_drops) {
            (0, None | Some(0)) => "; nothing was dropped here",
            _ => "; drops here were at other times",
        });
    }
    if c.lost_at_start > 0 {
        text.push_str(&format!("; {} of them before it was first seen whole", count(c.lost_at_start)));
    }
    (text, true)
}

/// How sure a recognition is, in a word.
pub fn confidence(sure: Confidence) -> &'static str {
    match sure {
        Confidence::Certain => "certain",
        Confidence::Likely => "likely",
        Confidence::Guess => "guess",
    }
}

/// Why a stream is taken for what it is: what its protocol is told by, and how often that was seen. The
/// rules and the port are those of its row.
pub fn reason(s: &Source, rules: &[Rule], port: u16) -> String {
    let mark = s.verdict.protocol().map_or("its shape", |(p, _)| p.mark);
    // Some marks say the port themselves.
    let told = if mark.contains(" port ") { String::new() } else { format!(", port {port}") };
    match s.verdict.ground() {
        Ground::None => "no mark and no structure that is known".to_owned(),
        Ground::Mark | Ground::Structure => format!("{mark}{told}"),
        Ground::Counting => format!("{mark}, {AGREE} in a row that count up{told}"),
        Ground::Agreement => format!("{mark}, {AGREE} different ones in a row{told}"),
        Ground::Given => "you say so".to_owned(),
        Ground::Rule => match s.rule(rules) {
            Some(rule) => format!("your rule says so ({})", rule.place),
            None => "your rule says so".to_owned(),
        },
    }
}

/// Who says where a stream counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CountedBy {
    /// The protocol.
    Protocol,
    /// mcscope found it.
    Found,
    /// The user.
    User,
}

impl CountedBy {
    /// As a word.
    pub fn word(self) -> &'static str {
        match self {
            CountedBy::Protocol => "protocol",
            CountedBy::Found => "found",
            CountedBy::User => "user",
        }
    }
}

/// Who says where a stream counts; `None` while nobody does.
pub fn counted_by(s: &Source) -> Option<CountedBy> {
    match s.choice {
        Choice::Off => None,
        Choice::At(_) => Some(CountedBy::User),
        Choice::Find if s.counter().is_some() => Some(CountedBy::Found),
        Choice::Find => s.continuity().map(|_| CountedBy::Protocol),
    }
}

/// Where a stream counts and how sure that is, in words.
pub fn counter(s: &Source) -> String {
    match (counted_by(s), s.counter()) {
        (None, _) if s.choice == Choice::Off => "switched off by you".to_owned(),
        (Some(CountedBy::User), Some((c, _))) => format!("{}, named by you", c.words()),
        (Some(CountedBy::Found), Some((c, sure))) => format!("{}, found, {}", c.words(), confidence(sure)),
        (Some(CountedBy::Protocol), _) => "the protocol's own".to_owned(),
        _ => match s.protocol() {
            Some(p) if p.sequence.is_some() => "the protocol's own, not seen yet".to_owned(),
            Some(p) if wire::own::is_known(p) => "this protocol has none".to_owned(),
            _ => "none found in this payload".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_is_put_where_it_was() {
        let none = Drops { socket_drops: Some(0), ..Drops::default() };
        let some = Drops { socket_drops: Some(12), ..Drops::default() };
        let counts = |lost, lost_here, lost_unclear| SeqCounts {
            lost,
            lost_here,
            lost_unclear,
            ..SeqCounts::default()
        };
        let text = |c, d: &Drops| loss(c, d, Some(0)).0;
        assert_eq!(
            text(Some(counts(312, 0, 0)), &none),
            "312 lost between sender and this host; nothing was dropped here"
        );
        assert_eq!(
            text(Some(counts(312, 0, 0)), &some),
            "312 lost between sender and this host; drops here were at other times"
        );
        assert_eq!(text(Some(counts(0, 5, 0)), &some), "5 dropped on this host");
        assert!(
            text(Some(counts(1, 0, 2)), &some).ends_with("2 lost here or on the way, which cannot be told")
        );
        assert_eq!(loss(Some(counts(0, 0, 0)), &none, None), ("no number is missing".to_owned(), false));
        assert!(loss(None, &some, None).1 && !loss(None, &none, None).1);
    }
}
