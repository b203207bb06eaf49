//! Figures in plain words: where a stream lost something, why it is taken for what it is.

use crate::base::units::count;
use crate::model::group::Drops;
use crate::model::sequence::SeqCounts;
use crate::model::source::Source;
use crate::wire::Confidence;

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

/// Why a stream is taken for what it is.
pub fn recognition(s: &Source) -> String {
    let Some((p, confidence)) = s.verdict.protocol() else {
        return "not recognised: no mark, no structure that is known".to_owned();
    };
    if s.verdict.is_given() {
        return "given by you".to_owned();
    }
    match confidence {
        Confidence::Certain if p.sequence.is_some() => {
            "certain: fixed bytes, or numbers that count up".to_owned()
        }
        Confidence::Certain => "certain: fixed bytes that nothing else has".to_owned(),
        Confidence::Likely => "likely: the structure adds up, or the port says so".to_owned(),
        Confidence::Guess => "a guess: the shape fits, as much else would".to_owned(),
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
