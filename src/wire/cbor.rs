//! CBOR (RFC 8949): read item after item with a stack of counts, so that no nesting can exhaust it.

use std::ops::Range;

use crate::wire::read::{Hex, Line, Text, Tree, be16, be32, be64, bytes, line, put, u8_at};
use crate::wire::{Confidence, Field, Hint, Protocol};

/// Nesting that is followed.
const DEPTH_MAX: usize = 32;
/// Items read of one payload.
const ITEMS_MAX: usize = 8192;
/// Values named in a preview.
const SHOWN: usize = 3;
/// The tag that says "this is CBOR" (section 3.4.6).
const SELF_DESCRIBED: [u8; 3] = [0xd9, 0xd9, 0xf7];

/// The row of the table of protocols.
pub static PROTOCOL: Protocol = Protocol {
    id: "cbor",
    name: "CBOR",
    mark: "CBOR from the first byte to the last",
    detect,
    preview,
    fields,
    sequence: None,
};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Value<'a> {
    Unsigned(u64),
    /// −1 − n.
    Negative(u64),
    Bytes(&'a [u8]),
    Text(&'a [u8]),
    Array,
    Map,
    Tag(u64),
    Simple(u8),
    Float(f64),
}

#[derive(Clone, Debug, PartialEq)]
struct Item<'a> {
    value: Value<'a>,
    depth: usize,
    /// Whether it is the key of a map.
    key: bool,
    range: Range<usize>,
}

/// An open array or map: items left (`None` if it ends with a break), map, items read.
type Level = (Option<u64>, bool, u64);

struct Reader<'a> {
    b: &'a [u8],
    at: usize,
    stack: Vec<Level>,
    items: usize,
    /// A tag was read: what comes next belongs to it.
    tagged: bool,
    done: bool,
}

/// A half-precision number (appendix D).
fn half(h: u16) -> f64 {
    let (exp, mant) = (i32::from(h >> 10 & 0x1f), f64::from(h & 0x3ff));
    let value = match exp {
        0 => mant * 2f64.powi(-24),
        31 if mant == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (mant + 1024.0) * 2f64.powi(exp - 25),
    };
    if h & 0x8000 != 0 { -value } else { value }
}

impl<'a> Reader<'a> {
    fn new(b: &'a [u8]) -> Self {
        Reader { b, at: 0, stack: Vec::new(), items: 0, tagged: false, done: false }
    }

    /// The next item; `None` at the end, or where the bytes are no CBOR or stop.
    fn next(&mut self) -> Option<Item<'a>> {
        loop {
            if self.done || self.items == ITEMS_MAX {
                return None;
            }
            // Containers that are full end by themselves.
            if let Some((Some(0), ..)) = self.stack.last() {
                self.end()?;
                continue;
            }
            let (start, head) = (self.at, u8_at(self.b, self.at)?);
            if head == 0xff {
                // A break ends the innermost container of open length, not after a key or a tag.
                match self.stack.last() {
                    Some((None, map, n)) if !(self.tagged || *map && n % 2 == 1) => {
                        self.at += 1;
                        self.end()?;
                        continue;
                    }
                    _ => return None,
                }
            }
            return self.item(start, head);
        }
    }

    /// Ends the innermost container.
    fn end(&mut self) -> Option<()> {
        self.stack.pop()?;
        self.done = self.stack.is_empty();
        Some(())
    }

    fn item(&mut self, start: usize, head: u8) -> Option<Item<'a>> {
        let (b, info) = (self.b, head & 0x1f);
        let (size, argument) = match info {
            0..=23 => (0, Some(u64::from(info))),
            24 => (1, Some(u64::from(u8_at(b, start + 1)?))),
            25 => (2, Some(u64::from(be16(b, start + 1)?))),
            26 => (4, Some(u64::from(be32(b, start + 1)?))),
            27 => (8, Some(be64(b, start + 1)?)),
            31 => (0, None),
            _ => return None,
        };
        self.at = start + 1 + size;
        let depth = self.stack.len();
        let key = !self.tagged && self.stack.last().is_some_and(|(_, map, n)| *map && n % 2 == 0);
        let string = |at: usize| bytes(b, at, usize::try_from(argument?).ok()?);
        let value = match (head >> 5, argument) {
            (0, Some(n)) => Value::Unsigned(n),
            (1, Some(n)) => Value::Negative(n),
            // Strings in chunks are rare in datagrams and not read.
            (2, _) => Value::Bytes(string(self.at)?),
            (3, _) => Value::Text(string(self.at)?),
            (4, _) => Value::Array,
            (5, _) => Value::Map,
            (6, Some(n)) => Value::Tag(n),
            (7, Some(n)) if info <= 24 => Value::Simple(n as u8),
            (7, Some(n)) => Value::Float(match size {
                2 => half(n as u16),
                4 => f64::from(f32::from_bits(n as u32)),
                _ => f64::from_bits(n),
            }),
            _ => return None,
        };
        if let Value::Bytes(s) | Value::Text(s) = value {
            self.at += s.len();
        }
        if let Value::Text(s) = value
            && std::str::from_utf8(s).is_err()
        {
            return None;
        }
        self.items += 1;
        self.tagged = matches!(value, Value::Tag(_));
        if !self.tagged {
            if let Some((left, _, n)) = self.stack.last_mut() {
                *left = left.map(|l| l - 1);
                *n += 1;
            }
            if matches!(value, Value::Array | Value::Map) {
                if self.stack.len() == DEPTH_MAX {
                    return None;
                }
                let map = value == Value::Map;
                let left = match argument {
                    Some(n) if map => Some(n.checked_mul(2)?),
                    n => n,
                };
                self.stack.push((left, map, 0));
            } else if self.stack.is_empty() {
                self.done = true;
            }
        }
        Some(Item { value, depth, key, range: start..self.at })
    }
}

fn put_value(l: &mut Line<'_>, v: Value<'_>) {
    match v {
        Value::Unsigned(n) => put!(l, "{n}"),
        Value::Negative(n) => put!(l, "{}", -1 - i128::from(n)),
        Value::Bytes(s) => put!(l, "h'{}'", Hex(s, "")),
        Value::Text(s) => put!(l, "\"{}\"", Text(s)),
        Value::Array => put!(l, "[…]"),
        Value::Map => put!(l, "{{…}}"),
        Value::Tag(n) => put!(l, "tag {n}"),
        Value::Simple(20) => put!(l, "false"),
        Value::Simple(21) => put!(l, "true"),
        Value::Simple(22) => put!(l, "null"),
        Value::Simple(23) => put!(l, "undefined"),
        Value::Simple(n) => put!(l, "simple {n}"),
        Value::Float(x) => put!(l, "{x}"),
    }
}

/// A key without the quotes of a text.
fn put_key(l: &mut Line<'_>, v: Value<'_>) {
    match v {
        Value::Text(s) => put!(l, "{}", Text(s)),
        v => put_value(l, v),
    }
}

fn detect(b: &[u8], hint: &Hint) -> Option<Confidence> {
    let described = b.starts_with(&SELF_DESCRIBED);
    let top = u8_at(b, if described { 3 } else { 0 })?;
    // Numbers and strings alone could be anything: only arrays and maps are taken.
    if !matches!(top >> 5, 4 | 5) {
        return None;
    }
    let mut r = Reader::new(b);
    let (mut keys, mut texts) = (0, 0);
    while let Some(item) = r.next() {
        keys += usize::from(item.key);
        texts += usize::from(item.key && matches!(item.value, Value::Text(s) if !s.is_empty()));
    }
    let exact = r.done && r.at == b.len() && !hint.is_cut(b);
    if described {
        return (exact || hint.is_cut(b)).then_some(Confidence::Certain);
    }
    // A map whose keys are texts and that fills the datagram exactly is no accident.
    match (exact, keys > 0 && keys == texts) {
        (true, true) if b.len() >= 8 => Some(Confidence::Certain),
        (true, true) => Some(Confidence::Likely),
        (true, false) if r.items >= 4 => Some(Confidence::Guess),
        (false, true) if hint.is_cut(b) && keys >= 3 && r.at + 300 > b.len() => Some(Confidence::Likely),
        _ => None,
    }
}

fn preview(b: &[u8], out: &mut String) {
    line(out, |l| {
        put!(l, "CBOR");
        let mut r = Reader::new(b);
        let (mut shown, mut items, mut key) = (0, 0usize, None);
        while let Some(item) = r.next() {
            match item {
                Item { depth: 1, key: true, value, .. } => key = Some(value),
                Item { depth: 1, value, .. } if !matches!(value, Value::Tag(_)) => {
                    items += 1;
                    if let Some(key) = key.take().filter(|_| shown < SHOWN) {
                        put!(l, "  ");
                        put_key(l, key);
                        put!(l, " ");
                        put_value(l, value);
                        shown += 1;
                    }
                }
                _ => {}
            }
        }
        if shown == 0 {
            put!(l, "  array of {items}");
        } else if items > shown {
            put!(l, "  +{} more", items - shown);
        }
        Some(())
    });
}

fn fields(b: &[u8]) -> Vec<Field> {
    Tree::of(b, |t| {
        let mut r = Reader::new(b);
        let mut key: Option<Item<'_>> = None;
        while let Some(item) = r.next() {
            if t.full() {
                break;
            }
            if item.key {
                key = Some(item);
                continue;
            }
            let (mut name, mut value) = (String::new(), String::new());
            let start = match (&item.value, key.as_ref()) {
                (Value::Tag(_), _) | (_, None) => {
                    name.push_str(if item.depth == 0 { "CBOR" } else { "item" });
                    item.range.start
                }
                (_, Some(k)) => {
                    put_key(&mut Line::new(&mut name, 100), k.value);
                    let start = k.range.start;
                    key = None;
                    start
                }
            };
            put_value(&mut Line::new(&mut value, 250), item.value);
            let depth = u8::try_from(item.depth).unwrap_or(u8::MAX);
            t.add_at(depth, start..item.range.end, name, value);
        }
        Some(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The items of RFC 8949 appendix A that hold one number.
    #[test]
    fn numbers_are_those_of_the_rfc() {
        fn one(hex: &[u8]) -> Option<Value<'_>> {
            Reader::new(hex).next().map(|i| i.value)
        }
        assert_eq!(one(&[0x18, 0x64]), Some(Value::Unsigned(100)));
        assert_eq!(one(&[0x39, 0x03, 0xe7]), Some(Value::Negative(999)));
        assert_eq!(one(&[0xf9, 0x3e, 0x00]), Some(Value::Float(1.5)));
        assert_eq!(one(&[0xf9, 0x00, 0x01]), Some(Value::Float(5.960_464_477_539_063e-8)));
        assert_eq!(one(&[0xf9, 0xfc, 0x00]), Some(Value::Float(f64::NEG_INFINITY)));
        assert_eq!(one(&[0xfa, 0x47, 0xc3, 0x50, 0x00]), Some(Value::Float(100_000.0)));
        assert_eq!(one(&[0xfb, 0xc0, 0x10, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66]), Some(Value::Float(-4.1)));
        assert_eq!(one(&[0xf5]), Some(Value::Simple(21)));
    }

    #[test]
    fn containers_end_where_the_rfc_says() {
        let whole = |hex: &[u8]| {
            let mut r = Reader::new(hex);
            while r.next().is_some() {}
            r.done && r.at == hex.len()
        };
        // [_ 1, [2, 3], [_ 4, 5]], {_ "Fun": true, "Amt": -2}, [], {"a": {}}
        assert!(whole(&[0x9f, 1, 0x82, 2, 3, 0x9f, 4, 5, 0xff, 0xff]));
        assert!(whole(b"\xbf\x63Fun\xf5\x63Amt\x21\xff"));
        assert!(whole(&[0x80]));
        assert!(whole(b"\xa1\x61a\xa0"));
        // A break after a key, in a container of fixed length, and one item too few.
        assert!(!whole(b"\xbf\x63Fun\xff"));
        assert!(!whole(&[0x82, 1, 0xff]));
        assert!(!whole(&[0x83, 1, 2]));
        assert!(!whole(&[0x81; 100]));
    }
}
