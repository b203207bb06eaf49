//! What every parser here reads and writes with: bounds-checked numbers, a line that cannot grow
//! beyond its bound, a field tree that cannot either.

use std::fmt::{self, Display, Write};
use std::ops::Range;

use crate::wire::Field;

/// Bytes that one preview may append, with the mark that says it was cut.
pub const PREVIEW_MAX: usize = 200;
/// Fields in one tree; beyond them one last field says that there is more.
pub const FIELDS_MAX: usize = 400;
/// Bytes of one field's name or value.
pub const VALUE_MAX: usize = 300;
/// Bytes of the payload that a lossy text looks at: what is longer is cut by the line anyway.
const TEXT_MAX: usize = 400;

const CUT: &str = "…";

/// `len` bytes from `at` on, if all of them are there.
pub fn bytes(b: &[u8], at: usize, len: usize) -> Option<&[u8]> {
    b.get(at..at.checked_add(len)?)
}

fn array<const N: usize>(b: &[u8], at: usize) -> Option<[u8; N]> {
    bytes(b, at, N)?.try_into().ok()
}

/// The byte at `at`.
pub fn u8_at(b: &[u8], at: usize) -> Option<u8> {
    b.get(at).copied()
}

/// Two bytes, big endian.
pub fn be16(b: &[u8], at: usize) -> Option<u16> {
    array(b, at).map(u16::from_be_bytes)
}

/// Three bytes, big endian.
pub fn be24(b: &[u8], at: usize) -> Option<u32> {
    array::<3>(b, at).map(|a| u32::from_be_bytes([0, a[0], a[1], a[2]]))
}

/// Four bytes, big endian.
pub fn be32(b: &[u8], at: usize) -> Option<u32> {
    array(b, at).map(u32::from_be_bytes)
}

/// Six bytes, big endian.
pub fn be48(b: &[u8], at: usize) -> Option<u64> {
    array::<6>(b, at).map(|a| u64::from_be_bytes([0, 0, a[0], a[1], a[2], a[3], a[4], a[5]]))
}

/// Eight bytes, big endian.
pub fn be64(b: &[u8], at: usize) -> Option<u64> {
    array(b, at).map(u64::from_be_bytes)
}

/// Two bytes, little endian.
pub fn le16(b: &[u8], at: usize) -> Option<u16> {
    array(b, at).map(u16::from_le_bytes)
}

/// Four bytes, little endian.
pub fn le32(b: &[u8], at: usize) -> Option<u32> {
    array(b, at).map(u32::from_le_bytes)
}

/// The bytes up to the first NUL, or all of them.
pub fn until_nul(b: &[u8]) -> &[u8] {
    &b[..b.iter().position(|&c| c == 0).unwrap_or(b.len())]
}

/// A number that tells streams apart, made of what names them (FNV-1a, 64 bit).
pub fn stream_id(parts: &[&[u8]]) -> u64 {
    let mut h = 0xcbf2_9ce4_8422_2325u64;
    for part in parts {
        for &c in *part {
            h = (h ^ u64::from(c)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        // The boundary counts, so that ("ab", "c") is not ("a", "bc").
        h = (h ^ part.len() as u64).wrapping_mul(0x0000_0100_0000_01b3);
    }
    h
}

/// Bytes as text: UTF-8 where it is, U+FFFD where it is not.
pub struct Text<'a>(pub &'a [u8]);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0[..self.0.len().min(TEXT_MAX)].utf8_chunks() {
            f.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                f.write_char(char::REPLACEMENT_CHARACTER)?;
            }
        }
        Ok(())
    }
}

/// Bytes in hex, with a text between them.
pub struct Hex<'a>(pub &'a [u8], pub &'static str);

impl Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, c) in self.0.iter().take(TEXT_MAX).enumerate() {
            if i > 0 {
                f.write_str(self.1)?;
            }
            write!(f, "{c:02x}")?;
        }
        Ok(())
    }
}

/// Appends to a string, up to a number of bytes; what does not fit is replaced by an ellipsis.
pub struct Line<'a> {
    out: &'a mut String,
    left: usize,
    full: bool,
}

impl<'a> Line<'a> {
    /// A line of at most `max` bytes, the ellipsis included.
    pub fn new(out: &'a mut String, max: usize) -> Self {
        Line { out, left: max.saturating_sub(CUT.len()), full: false }
    }

    /// Appends what `put!` formats.
    pub fn put(&mut self, args: fmt::Arguments<'_>) {
        // The only error is "full", which stops the formatting early and is marked in the text.
        let _ = self.write_fmt(args);
    }
}

impl Write for Line<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        if self.full {
            return Err(fmt::Error);
        }
        if s.len() <= self.left {
            self.out.push_str(s);
            self.left -= s.len();
            return Ok(());
        }
        let end = (0..=self.left).rev().find(|&i| s.is_char_boundary(i)).unwrap_or(0);
        self.out.push_str(&s[..end]);
        self.out.push_str(CUT);
        self.full = true;
        Err(fmt::Error)
    }
}

/// Formats into a [`Line`].
macro_rules! put {
    ($line:expr, $($arg:tt)*) => { $line.put(format_args!($($arg)*)) };
}
pub(crate) use put;

/// Writes a preview of at most [`PREVIEW_MAX`] bytes. `f` may stop with `?` where bytes are missing:
/// what it wrote until then stays.
pub fn line(out: &mut String, f: impl FnOnce(&mut Line<'_>) -> Option<()>) {
    let mut line = Line::new(out, PREVIEW_MAX);
    let _ = f(&mut line);
}

/// A field tree in the making. Every range is clipped to the payload.
pub struct Tree<'a> {
    b: &'a [u8],
    list: Vec<Field>,
    depth: u8,
    /// Added to every range: where `b` begins within the payload.
    base: usize,
}

impl<'a> Tree<'a> {
    /// The tree of a payload. `f` may stop with `?` where bytes are missing: what it added until
    /// then stays.
    pub fn of(b: &'a [u8], f: impl FnOnce(&mut Tree<'a>) -> Option<()>) -> Vec<Field> {
        let mut tree = Tree { b, list: Vec::new(), depth: 0, base: 0 };
        let _ = f(&mut tree);
        tree.list
    }

    /// The bytes the offsets count from.
    pub fn b(&self) -> &'a [u8] {
        self.b
    }

    /// Whether no more fields are taken: loops end here.
    pub fn full(&self) -> bool {
        self.list.len() > FIELDS_MAX
    }

    /// Adds a field.
    pub fn add(&mut self, range: Range<usize>, name: impl Display, value: impl Display) {
        let end = range.end.min(self.b.len());
        if range.start > end || self.full() {
            return;
        }
        let range = self.base + range.start..self.base + end;
        let mut field = Field { depth: self.depth, name: String::new(), value: String::new(), range };
        if self.list.len() == FIELDS_MAX {
            field.name.push_str(CUT);
            field.value.push_str("more fields are not shown");
            field.depth = 0;
        } else {
            put!(Line::new(&mut field.name, VALUE_MAX), "{name}");
            put!(Line::new(&mut field.value, VALUE_MAX), "{value}");
        }
        self.list.push(field);
    }

    /// Adds a field `depth` levels below the present one.
    pub fn add_at(&mut self, depth: u8, range: Range<usize>, name: impl Display, value: impl Display) {
        let here = self.depth;
        self.depth = here.saturating_add(depth);
        self.add(range, name, value);
        self.depth = here;
    }

    /// Adds the fields of `f` one level deeper.
    pub fn nest(&mut self, f: impl FnOnce(&mut Tree<'a>) -> Option<()>) -> Option<()> {
        self.depth = self.depth.saturating_add(1);
        let done = f(self);
        self.depth -= 1;
        done
    }

    /// Adds the fields of a payload within this one, which lies in `range`: another protocol's
    /// parser can be used, its offsets count from there.
    pub fn within(&mut self, range: Range<usize>, f: impl FnOnce(&mut Tree<'a>) -> Option<()>) -> Option<()> {
        let inner = self.b.get(range.start..range.end.min(self.b.len()))?;
        let (outer, base) = (self.b, self.base);
        (self.b, self.base) = (inner, base + range.start);
        let done = self.nest(f);
        (self.b, self.base) = (outer, base);
        done
    }

    /// Adds the fields of bytes that were unpacked from `range`, one level deeper. They have no place of
    /// their own in the payload: each stands for all of the range.
    pub fn unpacked(
        &mut self,
        range: Range<usize>,
        inner: &[u8],
        f: impl FnOnce(&mut Tree<'_>) -> Option<()>,
    ) {
        let range = self.base + range.start..self.base + range.end.min(self.b.len());
        let depth = self.depth.saturating_add(1);
        for field in Tree::of(inner, f) {
            if self.full() {
                break;
            }
            self.list.push(Field { depth: field.depth.saturating_add(depth), range: range.clone(), ..field });
        }
    }

    /// A byte, in decimal.
    pub fn u8(&mut self, at: usize, name: impl Display) -> Option<u8> {
        let v = u8_at(self.b, at)?;
        self.add(at..at + 1, name, v);
        Some(v)
    }

    /// Two bytes, big endian, in decimal.
    pub fn be16(&mut self, at: usize, name: impl Display) -> Option<u16> {
        let v = be16(self.b, at)?;
        self.add(at..at + 2, name, v);
        Some(v)
    }

    /// Four bytes, big endian, in decimal.
    pub fn be32(&mut self, at: usize, name: impl Display) -> Option<u32> {
        let v = be32(self.b, at)?;
        self.add(at..at + 4, name, v);
        Some(v)
    }

    /// Eight bytes, big endian, in decimal.
    pub fn be64(&mut self, at: usize, name: impl Display) -> Option<u64> {
        let v = be64(self.b, at)?;
        self.add(at..at + 8, name, v);
        Some(v)
    }

    /// Bytes in hex.
    pub fn hex(&mut self, range: Range<usize>, name: impl Display) -> Option<&'a [u8]> {
        let v = self.b.get(range.clone())?;
        self.add(range, name, Hex(v, ""));
        Some(v)
    }

    /// Bytes as text, up to the first NUL.
    pub fn text(&mut self, range: Range<usize>, name: impl Display) -> Option<&'a [u8]> {
        let v = until_nul(self.b.get(range.clone())?);
        self.add(range, name, Text(v));
        Some(v)
    }

    /// What is left from `at` on, if anything: its size.
    pub fn rest(&mut self, at: usize, name: impl Display) -> Option<()> {
        if at < self.b.len() {
            self.add(at..self.b.len(), name, format_args!("{} bytes", self.b.len() - at));
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_within_its_bound_and_shows_that_it_was_cut() {
        let mut out = String::from("before ");
        line(&mut out, |l| {
            put!(l, "{}", "ü".repeat(500));
            put!(l, "never");
            Some(())
        });
        let added = &out["before ".len()..];
        assert!(added.len() <= PREVIEW_MAX && added.len() > PREVIEW_MAX - 4, "{}", added.len());
        assert!(added.ends_with("ü…"));
    }

    #[test]
    fn a_tree_is_clipped_to_the_payload_and_bounded() {
        let fields = Tree::of(&[1, 2, 3, 4], |t| {
            t.add(2..99, "long", "");
            t.add(9..10, "beyond", "");
            t.within(1..4, |t| t.be16(0, "inner").map(drop))
        });
        assert_eq!(
            fields.iter().map(|f| (f.depth, f.range.clone())).collect::<Vec<_>>(),
            [(0, 2..4), (1, 1..3)]
        );
        assert_eq!(fields[1].value, "515");
        let many = Tree::of(&[0], |t| {
            for i in 0..10 * FIELDS_MAX {
                t.add(0..1, i, "");
            }
            Some(())
        });
        assert_eq!((many.len(), many[FIELDS_MAX].name.as_str()), (FIELDS_MAX + 1, "…"));
    }

    #[test]
    fn numbers_are_read_only_where_they_are_whole() {
        let b = [0x01, 0x02, 0x03, 0x04];
        assert_eq!((be16(&b, 2), be16(&b, 3), be24(&b, 1)), (Some(0x0304), None, Some(0x020304)));
        assert_eq!((le16(&b, 0), le32(&b, 0), be32(&b, usize::MAX)), (Some(0x0201), Some(0x04030201), None));
    }

    #[test]
    fn the_boundaries_of_a_streams_name_count() {
        assert_ne!(stream_id(&[b"ab", b"c"]), stream_id(&[b"a", b"bc"]));
    }
}
