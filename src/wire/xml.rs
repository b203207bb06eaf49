//! XML in datagrams: Cursor on Target, device discovery, and whatever else begins with a tag.
//!
//! A tolerant scanner of tags and text, not a parser of documents: it takes what devices really send,
//! goes on to the point where a datagram was cut, keeps the place of everything, and resolves no
//! entity.

use std::ops::Range;

use crate::wire::read::{Text, Tree, line, put};
use crate::wire::{Confidence, Field, Hint, Protocol};

/// Tags and texts read of one document.
const TOKENS_MAX: usize = 4000;
/// Attributes read of one tag.
const ATTRIBUTES_MAX: usize = 32;
/// Elements and attributes named in a preview.
const SHOWN: usize = 4;

/// The row of XML of any kind.
pub static PROTOCOL: Protocol = Protocol {
    id: "xml",
    name: "XML",
    mark: "XML from the first byte to the last",
    detect,
    preview,
    fields,
    sequence: None,
};

/// The row of Cursor on Target.
pub static COT: Protocol = Protocol {
    id: "cot",
    name: "Cursor on Target",
    mark: "an XML <event> with a type and a point",
    detect: detect_cot,
    preview: preview_cot,
    fields,
    sequence: None,
};

/// A piece of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// `<name attributes>`; `empty` if it ends in `/>`.
    Open { name: &'a [u8], attributes: Range<usize>, empty: bool },
    /// `</name>`.
    Close(&'a [u8]),
    /// Text between tags, white space trimmed, never empty. CDATA is text.
    Text(&'a [u8]),
}

/// Reads tag after tag. Declarations and comments are passed over.
pub(crate) struct Scanner<'a> {
    b: &'a [u8],
    at: usize,
    left: usize,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(b: &'a [u8]) -> Self {
        let at = if b.starts_with(&[0xef, 0xbb, 0xbf]) { 3 } else { 0 };
        Scanner { b, at, left: TOKENS_MAX }
    }

    /// Where `end` ends, counted from the start of the document.
    fn end_of(&self, from: usize, end: &[u8]) -> Option<usize> {
        let rest = self.b.get(from..)?;
        rest.windows(end.len()).position(|w| w == end).map(|i| from + i + end.len())
    }

    /// The end of the tag that begins at `at`: the `>` that stands in no quotes.
    fn tag_end(&self, at: usize) -> Option<usize> {
        let mut quote = None;
        for (i, &c) in self.b.get(at..)?.iter().enumerate() {
            match (quote, c) {
                (None, b'"' | b'\'') => quote = Some(c),
                (Some(q), c) if q == c => quote = None,
                (None, b'>') => return Some(at + i + 1),
                (None, b'<') if i > 0 => return None,
                _ => {}
            }
        }
        None
    }
}

/// A token and where it stands.
impl<'a> Iterator for Scanner<'a> {
    type Item = (Range<usize>, Token<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        while self.left > 0 {
            self.left -= 1;
            let (b, start) = (self.b, self.at);
            let rest = b.get(start..).filter(|r| !r.is_empty())?;
            if rest[0] != b'<' {
                let n = rest.iter().position(|&c| c == b'<').unwrap_or(rest.len());
                self.at += n;
                let text = rest[..n].trim_ascii();
                if !text.is_empty() {
                    let lead = n - rest[..n].trim_ascii_start().len();
                    return Some((start + lead..start + lead + text.len(), Token::Text(text)));
                }
            } else if rest.starts_with(b"<!--") {
                self.at = self.end_of(start + 4, b"-->")?;
            } else if rest.starts_with(b"<![CDATA[") {
                self.at = self.end_of(start + 9, b"]]>")?;
                return Some((start..self.at, Token::Text(&b[start + 9..self.at - 3])));
            } else if rest.starts_with(b"<?") || rest.starts_with(b"<!") {
                self.at = self.tag_end(start)?;
            } else {
                let end = self.tag_end(start)?;
                self.at = end;
                let closing = rest.get(1) == Some(&b'/');
                let inner = start + 1 + usize::from(closing)..end - 1;
                let name_len = b[inner.clone()]
                    .iter()
                    .position(|c| c.is_ascii_whitespace() || *c == b'/')
                    .unwrap_or(inner.len());
                let name = &b[inner.start..inner.start + name_len];
                if !is_name(name) {
                    return None;
                }
                if closing {
                    return Some((start..end, Token::Close(name)));
                }
                let empty = b[inner.clone()].ends_with(b"/");
                let attributes = inner.start + name_len..inner.end - usize::from(empty);
                return Some((start..end, Token::Open { name, attributes, empty }));
            }
        }
        None
    }
}

fn is_name(name: &[u8]) -> bool {
    name.first().is_some_and(|c| c.is_ascii_alphabetic() || matches!(c, b'_' | b':' | 0x80..))
        && name.iter().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b':' | b'-' | b'.' | 0x80..))
}

/// The name without its prefix.
pub(crate) fn local(name: &[u8]) -> &[u8] {
    &name[name.iter().position(|&c| c == b':').map_or(0, |i| i + 1)..]
}

/// The attributes in `range` of `b`: name, value, place.
pub(crate) fn attributes(
    b: &[u8],
    range: Range<usize>,
) -> impl Iterator<Item = (&[u8], &[u8], Range<usize>)> {
    let (mut at, end) = (range.start, range.end.min(b.len()));
    std::iter::from_fn(move || {
        let rest = b.get(at..end)?;
        let start = at + rest.len() - rest.trim_ascii_start().len();
        let equals = start + b.get(start..end)?.iter().position(|&c| c == b'=')?;
        let after = b.get(equals + 1..end)?;
        let open = equals + 1 + after.len() - after.trim_ascii_start().len();
        let quote = *b.get(open).filter(|c| matches!(c, b'"' | b'\''))?;
        let close = open + 1 + b.get(open + 1..end)?.iter().position(|&c| c == quote)?;
        at = close + 1;
        Some((b[start..equals].trim_ascii(), &b[open + 1..close], start..close + 1))
    })
    .take(ATTRIBUTES_MAX)
}

/// The root element's name, if the payload begins like a document.
pub(crate) fn root(b: &[u8]) -> Option<&[u8]> {
    if b.trim_ascii_start().first() != Some(&b'<') && !b.starts_with(&[0xef, 0xbb, 0xbf, b'<']) {
        return None;
    }
    match Scanner::new(b).next()? {
        (_, Token::Open { name, .. }) => Some(name),
        _ => None,
    }
}

fn detect(b: &[u8], hint: &Hint) -> Option<Confidence> {
    let name = root(b)?;
    let end = b.strip_suffix(&[0]).unwrap_or(b).trim_ascii_end();
    let closed = end.ends_with(b"/>")
        || end
            .strip_suffix(b">")
            .map(<[u8]>::trim_ascii_end)
            .is_some_and(|e| e.strip_suffix(name).is_some_and(|e| e.ends_with(b"</")));
    if b.starts_with(b"<?xml") {
        return Some(Confidence::Certain);
    }
    (closed || (hint.is_cut(b) && b.len() >= 64)).then_some(Confidence::Likely)
}

fn preview(b: &[u8], out: &mut String) {
    line(out, |l| {
        put!(l, "XML <{}>", Text(root(b)?));
        let (mut shown, mut open): (_, Option<&[u8]>) = (0, None);
        for (i, (_, token)) in Scanner::new(b).enumerate() {
            match token {
                Token::Open { name, attributes: range, .. } => {
                    open = Some(name);
                    let wanted = |name: &[u8]| !name.starts_with(b"xmlns") && !name.starts_with(b"xsi:");
                    for (name, value, _) in attributes(b, range).filter(|(name, ..)| wanted(name)).take(3) {
                        put!(l, "  {}={}", Text(name), Text(value));
                        shown += 1;
                    }
                    if i == 0 {
                        open = None;
                    }
                }
                Token::Text(text) => {
                    if let Some(name) = open.take() {
                        put!(l, "  {} {}", Text(local(name)), Text(text));
                        shown += 1;
                    }
                }
                Token::Close(_) => open = None,
            }
            if shown >= SHOWN {
                break;
            }
        }
        Some(())
    });
}

fn fields(b: &[u8]) -> Vec<Field> {
    Tree::of(b, |t| {
        let mut depth = 0u8;
        for (range, token) in Scanner::new(b) {
            if t.full() {
                break;
            }
            match token {
                Token::Open { name, attributes: inner, empty } => {
                    t.add_at(depth, range, "element", Text(name));
                    for (name, value, range) in attributes(b, inner) {
                        t.add_at(depth.saturating_add(1), range, Text(name), Text(value));
                    }
                    depth = depth.saturating_add(u8::from(!empty));
                }
                Token::Close(_) => depth = depth.saturating_sub(1),
                Token::Text(text) => t.add_at(depth, range, "text", Text(text)),
            }
        }
        Some(())
    })
}

/// The text of the first element of this name, prefix apart.
pub(crate) fn text_of<'a>(b: &'a [u8], element: &str) -> Option<&'a [u8]> {
    let mut inside = false;
    Scanner::new(b).find_map(|(_, token)| match token {
        Token::Open { name, .. } => {
            inside = local(name) == element.as_bytes();
            None
        }
        Token::Text(text) if inside => Some(text),
        _ => {
            inside = false;
            None
        }
    })
}

/// The value of an attribute of the first element of this name.
fn attribute<'a>(b: &'a [u8], element: &[u8], wanted: &[u8]) -> Option<&'a [u8]> {
    Scanner::new(b).find_map(|(_, token)| match token {
        Token::Open { name, attributes: range, .. } if local(name) == element => {
            attributes(b, range).find(|(name, ..)| *name == wanted).map(|(_, value, _)| value)
        }
        _ => None,
    })
}

fn detect_cot(b: &[u8], _: &Hint) -> Option<Confidence> {
    if root(b)? != b"event" {
        return None;
    }
    let sure = attribute(b, b"event", b"uid").is_some() && attribute(b, b"event", b"type").is_some();
    sure.then_some(Confidence::Certain)
}

fn preview_cot(b: &[u8], out: &mut String) {
    line(out, |l| {
        put!(l, "CoT {}", Text(attribute(b, b"event", b"type")?));
        put!(l, "  {}", Text(attribute(b, b"event", b"uid")?));
        if let Some(name) = attribute(b, b"contact", b"callsign") {
            put!(l, " \"{}\"", Text(name));
        }
        let (lat, lon) = (attribute(b, b"point", b"lat")?, attribute(b, b"point", b"lon")?);
        put!(l, "  {}, {}", Text(lat), Text(lon));
        Some(())
    });
}
