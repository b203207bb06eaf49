//! JSON (RFC 8259), also several values one after the other, as JSON Lines have them.
//!
//! Read by a scanner with a stack of bits instead of a tree: it keeps the place of every value, goes
//! on to the point where a datagram was cut, and no nesting can exhaust it.

use std::ops::Range;

use crate::wire::read::{Text, Tree, line, put};
use crate::wire::{Confidence, Field, Hint, Protocol};

/// Nesting that is followed: one bit each.
const DEPTH_MAX: u32 = 128;
/// Bytes of a cut text that must have been read well.
const PREFIX_MIN: usize = 64;
/// Values named in a preview.
const SHOWN: usize = 3;

/// The row of the table of protocols.
pub static PROTOCOL: Protocol = Protocol {
    id: "json",
    name: "JSON",
    mark: "JSON from the first byte to the last",
    detect,
    preview,
    fields,
    sequence: None,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `{` or `[`: true for an object.
    Open(bool),
    Close,
    Key,
    Scalar,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    kind: Kind,
    /// Containers around it; for `{` and `[` without itself.
    depth: u32,
    range: Range<usize>,
}

/// Why the scanner stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// The last value is complete and nothing follows.
    Done,
    /// The text ends in the middle of a value.
    Cut,
    /// It is not JSON.
    Bad,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    ValueOrClose,
    KeyOrClose,
    Key,
    Colon,
    CommaOrClose,
}

struct Scanner<'a> {
    b: &'a [u8],
    at: usize,
    /// One bit a container, the innermost lowest: 1 for an object.
    stack: u128,
    depth: u32,
    expect: Expect,
    values: usize,
}

impl<'a> Scanner<'a> {
    fn new(b: &'a [u8]) -> Self {
        Scanner { b, at: 0, stack: 0, depth: 0, expect: Expect::Value, values: 0 }
    }

    fn space(&mut self) {
        while matches!(self.b.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// What is expected after a value.
    fn after(&mut self) {
        self.expect = if self.depth == 0 { Expect::Value } else { Expect::CommaOrClose };
        self.values += usize::from(self.depth == 0);
    }

    fn next(&mut self) -> Result<Token, Stop> {
        loop {
            self.space();
            let Some(&c) = self.b.get(self.at) else {
                return Err(if self.depth == 0 && self.values > 0 { Stop::Done } else { Stop::Cut });
            };
            let (start, object) = (self.at, self.stack & 1 == 1);
            match (c, self.expect) {
                (b'{' | b'[', Expect::Value | Expect::ValueOrClose) => {
                    if self.depth == DEPTH_MAX {
                        return Err(Stop::Bad);
                    }
                    self.at += 1;
                    self.stack = self.stack << 1 | u128::from(c == b'{');
                    self.depth += 1;
                    self.expect = if c == b'{' { Expect::KeyOrClose } else { Expect::ValueOrClose };
                    let kind = Kind::Open(c == b'{');
                    return Ok(Token { kind, depth: self.depth - 1, range: start..self.at });
                }
                (b'}', Expect::KeyOrClose | Expect::CommaOrClose) if object && self.depth > 0 => {
                    return Ok(self.close(start));
                }
                (b']', Expect::ValueOrClose | Expect::CommaOrClose) if !object && self.depth > 0 => {
                    return Ok(self.close(start));
                }
                (b',', Expect::CommaOrClose) => {
                    self.at += 1;
                    self.expect = if object { Expect::Key } else { Expect::Value };
                }
                (b':', Expect::Colon) => {
                    self.at += 1;
                    self.expect = Expect::Value;
                }
                (b'"', Expect::Key | Expect::KeyOrClose) => {
                    self.string()?;
                    self.expect = Expect::Colon;
                    return Ok(Token { kind: Kind::Key, depth: self.depth, range: start..self.at });
                }
                (_, Expect::Value | Expect::ValueOrClose) => {
                    match c {
                        b'"' => self.string()?,
                        b'-' | b'0'..=b'9' => self.number()?,
                        b't' => self.word(b"true")?,
                        b'f' => self.word(b"false")?,
                        b'n' => self.word(b"null")?,
                        _ => return Err(Stop::Bad),
                    }
                    self.after();
                    return Ok(Token { kind: Kind::Scalar, depth: self.depth, range: start..self.at });
                }
                _ => return Err(Stop::Bad),
            }
        }
    }

    fn close(&mut self, start: usize) -> Token {
        self.at += 1;
        self.stack >>= 1;
        self.depth -= 1;
        self.after();
        Token { kind: Kind::Close, depth: self.depth, range: start..self.at }
    }

    fn string(&mut self) -> Result<(), Stop> {
        self.at += 1;
        loop {
            match *self.b.get(self.at).ok_or(Stop::Cut)? {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => match *self.b.get(self.at + 1).ok_or(Stop::Cut)? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 2,
                    b'u' => {
                        let hex = self.b.get(self.at + 2..self.at + 6).ok_or(Stop::Cut)?;
                        if !hex.iter().all(u8::is_ascii_hexdigit) {
                            return Err(Stop::Bad);
                        }
                        self.at += 6;
                    }
                    _ => return Err(Stop::Bad),
                },
                0..=0x1f => return Err(Stop::Bad),
                _ => self.at += 1,
            }
        }
    }

    fn digits(&mut self) -> Result<(), Stop> {
        let start = self.at;
        while self.b.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        match (self.at > start, self.at < self.b.len()) {
            (true, _) => Ok(()),
            (false, true) => Err(Stop::Bad),
            (false, false) => Err(Stop::Cut),
        }
    }

    fn number(&mut self) -> Result<(), Stop> {
        self.at += usize::from(self.b[self.at] == b'-');
        if self.b.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.b.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.b.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.b.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(())
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Stop> {
        let rest = &self.b[self.at..];
        if rest.starts_with(word) {
            self.at += word.len();
            return Ok(());
        }
        Err(if word.starts_with(rest) { Stop::Cut } else { Stop::Bad })
    }
}

fn detect(b: &[u8], hint: &Hint) -> Option<Confidence> {
    // Only containers: a bare number or word is text, not a message.
    let body = b.trim_ascii_start();
    if !matches!(body.first(), Some(b'{' | b'[')) {
        return None;
    }
    let mut scanner = Scanner::new(b);
    let (mut keys, mut tokens) = (0, 0);
    let stop = loop {
        match scanner.next() {
            Ok(t) => {
                keys += usize::from(t.kind == Kind::Key);
                tokens += 1;
            }
            Err(stop) => break stop,
        }
    };
    let utf8 = match std::str::from_utf8(b) {
        Ok(_) => true,
        Err(e) => e.error_len().is_none() && hint.is_cut(b),
    };
    match stop {
        _ if !utf8 => None,
        Stop::Done if keys > 0 => Some(Confidence::Certain),
        Stop::Done if tokens > 3 => Some(Confidence::Likely),
        Stop::Done => Some(Confidence::Guess),
        Stop::Cut if hint.is_cut(b) && b.len() >= PREFIX_MIN && tokens > 3 => Some(Confidence::Likely),
        _ => None,
    }
}

fn preview(b: &[u8], out: &mut String) {
    line(out, |l| {
        put!(l, "JSON");
        let mut scanner = Scanner::new(b);
        let (mut shown, mut items, mut array) = (0, 0, false);
        let mut key: Option<Range<usize>> = None;
        // Keys of containers, shown if there is no scalar to show.
        let mut containers: Vec<Range<usize>> = Vec::new();
        while let Ok(t) = scanner.next() {
            match t.kind {
                Kind::Open(object) if t.depth == 0 => array = !object,
                Kind::Key if t.depth == 1 => key = Some(t.range),
                Kind::Open(_) if t.depth == 1 => {
                    items += 1;
                    if let Some(key) = key.take().filter(|_| containers.len() < SHOWN) {
                        containers.push(key);
                    }
                }
                Kind::Scalar if t.depth == 1 => {
                    items += 1;
                    if let Some(key) = key.take() {
                        put!(l, "  {} {}", Text(inside(b, &key)), Text(&b[t.range]));
                        shown += 1;
                    }
                }
                _ => {}
            }
            if shown == SHOWN {
                break;
            }
        }
        if shown == 0 && array {
            put!(l, "  array of {items}");
        } else if shown == 0 {
            for key in containers {
                put!(l, "  {} {{…}}", Text(inside(b, &key)));
            }
        }
        Some(())
    });
}

/// A string without its quotes.
fn inside<'a>(b: &'a [u8], r: &Range<usize>) -> &'a [u8] {
    b.get(r.start + 1..r.end - 1).unwrap_or_default()
}

fn fields(b: &[u8]) -> Vec<Field> {
    Tree::of(b, |t| {
        let mut scanner = Scanner::new(b);
        let mut key: Option<Range<usize>> = None;
        while let Ok(token) = scanner.next() {
            if t.full() {
                break;
            }
            let value = match token.kind {
                Kind::Close => continue,
                Kind::Key => {
                    key = Some(token.range);
                    continue;
                }
                Kind::Open(true) => "{…}".as_bytes(),
                Kind::Open(false) => "[…]".as_bytes(),
                Kind::Scalar => &b[token.range.clone()],
            };
            let depth = u8::try_from(token.depth).unwrap_or(u8::MAX);
            match key.take() {
                Some(k) => t.add_at(depth, k.start..token.range.end, Text(inside(b, &k)), Text(value)),
                None => t.add_at(depth, token.range, "item", Text(value)),
            }
        }
        Some(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stop(text: &str) -> Stop {
        let mut s = Scanner::new(text.as_bytes());
        loop {
            if let Err(stop) = s.next() {
                return stop;
            }
        }
    }

    #[test]
    fn what_another_parser_takes_is_taken_and_what_it_refuses_is_refused() {
        for text in [
            "{}",
            "[]",
            "[1,2]",
            "{\"a\":[{\"b\":null}],\"c\":-1.5e+3}",
            "[true,false]",
            "[\"\\u00e4\\n\"]",
            "[0.1]",
            "{\"a\":1,}",
            "[1,]",
            "{a:1}",
            "[01]",
            "[1.]",
            "[+1]",
            "[\"\\x\"]",
            "[\"\n\"]",
            "{\"a\" 1}",
            "[1}",
            "]",
            "{,}",
            "[,1]",
            "[tru]",
            "[nul",
            "{\"a\":",
            "[1 2]",
            "[-]",
            "[1e]",
            "{\"a\":1}}",
        ] {
            let other = serde_json::from_str::<serde_json::Value>(text);
            match (stop(text), &other) {
                (Stop::Done, Ok(_)) => {}
                (Stop::Cut, Err(e)) => assert!(e.is_eof(), "{text}: {e}"),
                (Stop::Bad, Err(e)) => assert!(!e.is_eof(), "{text}: {e}"),
                (ours, theirs) => panic!("{text}: {ours:?}, but {theirs:?}"),
            }
        }
    }

    #[test]
    fn nesting_beyond_the_bound_is_refused() {
        assert_eq!(stop(&"[".repeat(128)), Stop::Cut);
        assert_eq!(stop(&"[".repeat(129)), Stop::Bad);
    }
}
