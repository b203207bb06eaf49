//! Names of differentiated services code points, as they are written in configurations.
//!
//! | Names | Values | RFC |
//! | --- | --- | --- |
//! | `CS0`–`CS7`, class selectors | 8 × class | RFC 2474 section 4.2.2 |
//! | `BE`, `DF`: the default, the same value as `CS0` | 0 | RFC 2474 section 4.1 |
//! | `AF11`–`AF43`, assured forwarding | 8 × class + 2 × drop precedence | RFC 2597 section 6 |
//! | `EF`, expedited forwarding | 46 | RFC 3246 section 2.7 |
//! | `VA`, voice admit | 44 | RFC 5865 section 2.3 |
//! | `LE`, lower effort | 1 | RFC 8622 section 3 |

use crate::base::text::TextError;

/// The largest code point: the field has six bits.
pub const MAX: u8 = 63;

/// Every name with its value; the first of a value is the one shown.
const NAMES: [(&str, u8); 25] = [
    ("BE", 0),
    ("DF", 0),
    ("CS0", 0),
    ("LE", 1),
    ("CS1", 8),
    ("AF11", 10),
    ("AF12", 12),
    ("AF13", 14),
    ("CS2", 16),
    ("AF21", 18),
    ("AF22", 20),
    ("AF23", 22),
    ("CS3", 24),
    ("AF31", 26),
    ("AF32", 28),
    ("AF33", 30),
    ("CS4", 32),
    ("AF41", 34),
    ("AF42", 36),
    ("AF43", 38),
    ("CS5", 40),
    ("VA", 44),
    ("EF", 46),
    ("CS6", 48),
    ("CS7", 56),
];

/// The name of a code point, `BE` for 0; `None` where it has none.
pub fn name(dscp: u8) -> Option<&'static str> {
    NAMES.iter().find(|(_, value)| *value == dscp).map(|(name, _)| *name)
}

/// What is shown for a code point: its name, otherwise its number.
pub fn label(dscp: u8) -> String {
    name(dscp).map_or_else(|| dscp.to_string(), str::to_owned)
}

/// The name of an ECN field, the two bits beside the code point (RFC 3168 section 5).
pub fn ecn(value: u8) -> &'static str {
    ["not-ECT", "ECT(1)", "ECT(0)", "CE"][usize::from(value & 3)]
}

/// Every name, in the order of the values.
pub fn names() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|(name, _)| *name)
}

/// Reads a code point: a name in either case, a decimal number, or `0x` and hex digits.
///
/// # Errors
/// The wrong part. A number that only makes sense as the whole TOS or traffic-class byte is told as
/// such, with the code point it holds.
pub fn parse(text: &str) -> Result<u8, TextError> {
    const FORM: &str = "a DSCP is 0 to 63, 0x00 to 0x3f, or a name: EF, AF41, CS6, VA, LE, BE";
    let word = text.trim();
    let start = text.len() - text.trim_start().len();
    let wrong = |message: &str| TextError::new(text, start..start + word.len(), message).help(FORM);
    if word.is_empty() {
        return Err(wrong("a DSCP is missing"));
    }
    if let Some((_, value)) = NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)) {
        return Ok(*value);
    }
    let hex = word.strip_prefix("0x").or_else(|| word.strip_prefix("0X"));
    let (digits, radix) = hex.map_or((word, 10), |digits| (digits, 16));
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(wrong("this is not a DSCP"));
    }
    match u32::from_str_radix(digits, radix) {
        Ok(n) if n <= u32::from(MAX) => Ok(n as u8),
        Ok(n) if n <= 255 && n.is_multiple_of(4) => {
            let held = (n / 4) as u8;
            let also = name(held).map_or(String::new(), |name| format!(" ({name})"));
            Err(wrong("a DSCP goes up to 63").help(format!("as a whole TOS byte {word} holds {held}{also}")))
        }
        _ => Err(wrong("a DSCP goes up to 63")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_values_of_their_rfcs() {
        for (text, value) in [
            ("EF", 46),
            ("AF11", 10),
            ("AF43", 38),
            ("af41", 34),
            ("CS0", 0),
            ("cs6", 48),
            ("VA", 44),
            ("LE", 1),
            ("DF", 0),
        ] {
            assert_eq!(parse(text).unwrap(), value, "{text}");
        }
        for class in 0..8u8 {
            assert_eq!(parse(&format!("CS{class}")).unwrap(), 8 * class);
        }
        for class in 1..5u8 {
            for drop in 1..4u8 {
                assert_eq!(parse(&format!("AF{class}{drop}")).unwrap(), 8 * class + 2 * drop);
            }
        }
    }

    #[test]
    fn what_is_shown_reads_back() {
        for value in 0..=MAX {
            assert_eq!(parse(&label(value)).unwrap(), value);
            assert_eq!(parse(&value.to_string()).unwrap(), value);
            assert_eq!(parse(&format!("0x{value:x}")).unwrap(), value);
        }
        assert_eq!((label(0), label(46), label(47)), ("BE".into(), "EF".into(), "47".into()));
    }

    #[test]
    fn a_tos_byte_is_recognised_and_nonsense_is_marked() {
        let e = parse(" 184").unwrap_err();
        assert_eq!((e.span.clone(), e.message.as_str()), (1..4, "a DSCP goes up to 63"));
        assert_eq!(e.help.as_deref(), Some("as a whole TOS byte 184 holds 46 (EF)"));
        for text in ["", "64", "AF44", "0x", "0xg", "-1", "4294967297", "٣"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
