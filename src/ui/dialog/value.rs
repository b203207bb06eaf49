//! What is typed into a field, read: the value, or what is wrong with it and where.

use std::ops::{Range, RangeInclusive};

use crate::base::text::TextError;

/// What is wrong with the text of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// The wrong part, in bytes of the text; empty where something is missing.
    pub span: Range<usize>,
    /// What is wrong with it.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// It is right as far as it goes: while the field is being typed into this is no error.
    pub unfinished: bool,
}

impl Trouble {
    /// The whole of `text` is wrong.
    pub fn whole(text: &str, message: impl Into<String>) -> Self {
        Trouble { span: 0..text.len(), message: message.into(), help: None, unfinished: false }
    }

    /// Nothing is there where something is needed.
    pub fn missing(message: impl Into<String>) -> Self {
        Trouble { span: 0..0, message: message.into(), help: None, unfinished: true }
    }
}

impl From<TextError> for Trouble {
    fn from(e: TextError) -> Self {
        Trouble { span: e.span, message: e.message, help: e.help, unfinished: false }
    }
}

/// Reads `text` by `parse`. It counts as unfinished when one of `endings` behind it makes it right.
///
/// # Errors
/// What is wrong and where.
pub fn read<T>(
    text: &str,
    parse: impl Fn(&str) -> Result<T, TextError>,
    endings: &[&str],
) -> Result<T, Trouble> {
    parse(text).map_err(|e| {
        let unfinished = endings.iter().any(|ending| parse(&format!("{text}{ending}")).is_ok());
        Trouble { unfinished, ..e.into() }
    })
}

/// Reads a whole number within `range`; `what` names it in the message.
///
/// # Errors
/// The wrong part.
pub fn number(text: &str, range: RangeInclusive<u64>, what: &str) -> Result<u64, TextError> {
    let word = text.trim();
    let start = text.len() - text.trim_start().len();
    let wrong = |span: Range<usize>, message: String| {
        Err(TextError::new(text, start + span.start..start + span.end, message))
    };
    let (low, high) = (*range.start(), *range.end());
    let bounds = if high == u64::MAX { format!("from {low} up") } else { format!("{low} to {high}") };
    if word.is_empty() {
        return wrong(0..0, format!("{what} is a number, {bounds}"));
    }
    if let Some((at, c)) = word.char_indices().find(|(_, c)| !c.is_ascii_digit()) {
        return wrong(at..at + c.len_utf8(), format!("{what} is a whole number, {bounds}"));
    }
    match word.parse::<u64>() {
        Ok(n) if range.contains(&n) => Ok(n),
        _ => wrong(0..word.len(), format!("{what} is {bounds}")),
    }
}

/// Reads a field that may be empty: `None` then.
///
/// # Errors
/// Those of `read`.
pub fn optional<T>(text: &str, read: impl FnOnce(&str) -> Result<T, Trouble>) -> Result<Option<T>, Trouble> {
    if text.trim().is_empty() { Ok(None) } else { read(text).map(Some) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::units::parse_duration;

    #[test]
    fn a_number_out_of_range_is_marked_whole_and_a_letter_by_itself() {
        let e = number("299", 0..=255, "TTL").unwrap_err();
        assert_eq!((e.span, e.message.as_str()), (0..3, "TTL is 0 to 255"));
        let e = number(" 1x", 0..=255, "TTL").unwrap_err();
        assert_eq!(e.span, 2..3);
        assert_eq!(
            number("18446744073709551616", 1..=u64::MAX, "count").unwrap_err().message,
            "count is from 1 up"
        );
        assert_eq!(number(" 64 ", 0..=255, "TTL"), Ok(64));
    }

    #[test]
    fn what_can_still_become_right_is_unfinished() {
        assert!(read("10", parse_duration, &["s"]).unwrap_err().unfinished);
        assert!(!read("10x", parse_duration, &["s"]).unwrap_err().unfinished);
        assert!(read("10s", parse_duration, &["s"]).is_ok());
    }
}
