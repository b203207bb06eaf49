//! Where a payload counts: a field of it, as found or as the user says.

use std::fmt;

use crate::base::text::TextError;

/// A counter field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// Its first byte, from the start of the payload.
    pub offset: u16,
    /// Its width in bytes, 1 to 8.
    pub width: u8,
    /// Whether the low byte comes first.
    pub little_endian: bool,
    /// By how much it rises from one datagram to the next, at least 1.
    pub step: u32,
}

/// What the user says about the counter of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// Nothing: the protocol's own, or what is found.
    #[default]
    Find,
    /// It is this field.
    At(Counter),
    /// There is none.
    Off,
}

impl Counter {
    pub(crate) fn bits(&self) -> u8 {
        self.width * 8
    }

    pub(crate) fn mask(&self) -> u64 {
        if self.width >= 8 { u64::MAX } else { (1 << self.bits()) - 1 }
    }

    /// The field's value; `None` if the payload is too short.
    pub fn read(&self, payload: &[u8]) -> Option<u64> {
        let (at, n) = (usize::from(self.offset), usize::from(self.width));
        // Nearly always there are eight bytes: then it is one read.
        if let Some(word) = payload.get(at..).and_then(|p| p.first_chunk::<8>()) {
            let unused = 64 - 8 * u32::from(self.width.clamp(1, 8));
            return Some(if self.little_endian {
                u64::from_le_bytes(*word) << unused >> unused
            } else {
                u64::from_be_bytes(*word) >> unused
            });
        }
        let field = payload.get(at..at + n)?;
        let fold = |v: u64, b: &u8| v << 8 | u64::from(*b);
        Some(if self.little_endian { field.iter().rev().fold(0, fold) } else { field.iter().fold(0, fold) })
    }

    /// In words: `4 bytes at 8, big endian`.
    pub fn words(&self) -> String {
        let order = match (self.width, self.little_endian) {
            (1, _) => "",
            (_, true) => ", little endian",
            (_, false) => ", big endian",
        };
        let bytes = if self.width == 1 { "1 byte".to_owned() } else { format!("{} bytes", self.width) };
        let step = if self.step == 1 { String::new() } else { format!(", in steps of {}", self.step) };
        format!("{bytes} at {}{order}{step}", self.offset)
    }
}

/// `seq:OFFSET:WIDTH:be`, as [`Choice::parse`] reads it; with the step behind where it is not 1.
impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let order = if self.little_endian { "le" } else { "be" };
        write!(f, "seq:{}:{}:{order}", self.offset, self.width)?;
        if self.step != 1 {
            write!(f, ":{}", self.step)?;
        }
        Ok(())
    }
}

impl Choice {
    /// Reads `seq:OFFSET:WIDTH`, with `:le` or `:be` behind (big endian without), and with `:STEP`
    /// where the counter rises by more than one; `seq:off`; or `seq:auto`, which lets it be found.
    ///
    /// # Errors
    /// The part that is wrong.
    pub fn parse(text: &str) -> Result<Choice, TextError> {
        let form = "seq:OFFSET:WIDTH[:le|be][:STEP] in bytes, as in seq:4:2:le; seq:off; or seq:auto";
        let fail = |from: usize, part: &str, message: &str| {
            TextError::new(text, from..from + part.len(), message).help(form)
        };
        let mut at = 0;
        let mut parts = text.split(':').map(|part| {
            let from = at;
            at += part.len() + 1;
            (from, part)
        });
        match parts.next() {
            Some((_, "seq")) => {}
            _ => return Err(fail(0, text, "this is no counter")),
        }
        let end = text.len();
        let (from, offset) = parts.next().unwrap_or((end, ""));
        match offset {
            "off" | "auto" if parts.next().is_none() => {
                return Ok(if offset == "off" { Choice::Off } else { Choice::Find });
            }
            _ => {}
        }
        let offset = offset.parse().map_err(|_| fail(from, offset, "the offset is a number of bytes"))?;
        let (from, width) = parts.next().unwrap_or((end, ""));
        let width = match width.parse() {
            Ok(n @ 1..=8) => n,
            _ => return Err(fail(from, width, "the width is 1 to 8 bytes")),
        };
        let mut counter = Counter { offset, width, little_endian: false, step: 1 };
        let mut next = parts.next();
        if let Some((_, order @ ("le" | "be"))) = next {
            counter.little_endian = order == "le";
            next = parts.next();
        }
        if let Some((from, step)) = next {
            counter.step = match step.parse() {
                Ok(n) if n > 0 && u64::from(n) <= counter.mask() / 2 => n,
                _ => return Err(fail(from, step, "here stands le, be or the step")),
            };
        }
        match parts.next() {
            Some((from, _)) => Err(fail(from, &text[from..], "nothing stands behind that")),
            None => Ok(Choice::At(counter)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_read_as_it_is_written() {
        let at =
            |offset, width, little_endian, step| Choice::At(Counter { offset, width, little_endian, step });
        for (text, want) in [
            ("seq:4:4", at(4, 4, false, 1)),
            ("seq:0:2:le", at(0, 2, true, 1)),
            ("seq:12:8:be:2", at(12, 8, false, 2)),
            ("seq:3:3:5", at(3, 3, false, 5)),
            ("seq:off", Choice::Off),
            ("seq:auto", Choice::Find),
        ] {
            assert_eq!(Choice::parse(text).unwrap(), want, "{text}");
            if let Choice::At(c) = want {
                assert_eq!(Choice::parse(&c.to_string()).unwrap(), want, "{c}");
            }
        }
    }

    #[test]
    fn what_is_no_counter_is_said_at_its_place() {
        for (text, place) in [
            ("sek:4:4", "sek:4:4"),
            ("seq", ""),
            ("seq:x:4", "x"),
            ("seq:4", ""),
            ("seq:4:9", "9"),
            ("seq:4:0", "0"),
            ("seq:4:4:xe", "xe"),
            ("seq:4:1:be:200", "200"),
            ("seq:4:4:le:2:7", "7"),
            ("seq:off:4", "off"),
        ] {
            let e = Choice::parse(text).expect_err(text);
            assert_eq!(&text[e.span.clone()], place, "{text}: {}", e.message);
            assert!(e.help.is_some());
        }
    }

    #[test]
    fn any_width_is_read_in_both_orders() {
        let c = |width, little_endian| Counter { offset: 1, width, little_endian, step: 1 };
        let b = [9, 1, 2, 3];
        assert_eq!([c(3, false).read(&b), c(3, true).read(&b)], [Some(0x01_02_03), Some(0x03_02_01)]);
        assert_eq!(c(4, false).read(&b), None);
        assert_eq!(c(3, true).words(), "3 bytes at 1, little endian");
    }
}
