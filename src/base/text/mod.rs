//! Text from strangers and text from the user.
//!
//! Nothing that came over the network reaches the terminal raw: it goes through [`visible`] or
//! [`visible_bytes`]. What the user typed is read by [`unescape`] and [`parse_hex`], and what is wrong
//! with it is said by a [`TextError`], which knows the place.

use std::iter;

mod error;
mod escape;
#[cfg(test)]
mod tests;

pub use error::TextError;
pub use escape::{parse_hex, unescape};

/// Stands for a byte that is not UTF-8, and for one that is not printable ASCII in a hex pane.
pub const NOT_TEXT: char = '·';

/// Combining marks let through in a row; stacks of more are used to paint over other lines.
const MAX_MARKS: usize = 2;

/// Bytes of a symbol such as `‹U+E0041›` at most, in characters.
const SYMBOL_CHARS: usize = 10;

/// How one character is shown.
enum Shown {
    /// As it is.
    Plain(char),
    /// By a symbol of one character.
    Picture(char),
    /// As `‹U+202E›`.
    Code(char),
}

/// What a terminal gets to see of a character.
fn shown(c: char) -> Shown {
    match c {
        ' '..='~' => Shown::Plain(c),
        // The Control Pictures block lies in the order of the controls.
        '\0'..='\u{1f}' => Shown::Picture(char::from_u32(0x2400 + c as u32).unwrap_or(NOT_TEXT)),
        '\u{7f}' => Shown::Picture('\u{2421}'),
        _ if is_trap(c) => Shown::Code(c),
        _ => Shown::Plain(c),
    }
}

/// Whether a character above ASCII is invisible, moves text about, is of unknown width, or means
/// something only to the program that sent it.
fn is_trap(c: char) -> bool {
    matches!(c as u32,
        0x80..=0x9f                 // C1 controls: 0x9b begins an escape sequence by itself
        | 0xad                      // soft hyphen
        | 0x34f                     // combining grapheme joiner
        | 0x61c                     // Arabic letter mark
        | 0x115f..=0x1160           // Hangul fillers
        | 0x17b4..=0x17b5           // Khmer inherent vowels
        | 0x180b..=0x180f           // Mongolian selectors and vowel separator
        | 0x200b..=0x200f           // zero width, left-to-right and right-to-left marks
        | 0x2028..=0x202e           // line and paragraph separators, embeddings and overrides
        | 0x2060..=0x206f           // word joiner, invisible operators, isolates
        | 0x3164 | 0xffa0           // Hangul fillers
        | 0xe000..=0xf8ff           // private use
        | 0xfdd0..=0xfdef           // noncharacters
        | 0xfe00..=0xfe0f           // variation selectors
        | 0xfeff                    // byte order mark
        | 0xfff0..=0xfffb           // specials
        | 0xfffe..=0xffff
        | 0x1bca0..=0x1bca3         // shorthand format controls
        | 0x1d173..=0x1d17a         // musical format controls
        | 0x40000..                 // unassigned planes, tags, selectors, private use
    ) || (c as u32) & 0xfffe == 0xfffe
}

/// Whether a character is drawn onto the one before it.
fn is_mark(c: char) -> bool {
    matches!(c as u32,
        0x300..=0x36f | 0x483..=0x489 | 0x591..=0x5bd | 0x64b..=0x65f | 0xe31 | 0xe34..=0xe3a
        | 0xe47..=0xe4e | 0x1ab0..=0x1aff | 0x1dc0..=0x1dff | 0x20d0..=0x20ff | 0x302a..=0x302f
        | 0x3099..=0x309a | 0xfe20..=0xfe2f)
}

/// `text` as a terminal may show it, at most `max` characters, the last an ellipsis if it was cut.
///
/// Control characters become their pictures (ESC is `␛`, DEL `␡`, newline `␊`); C1 controls,
/// bidirectional marks, zero-width and other invisible characters, separators, tags, private use and
/// noncharacters become `‹U+202E›`; so does a combining mark at the start or after two others.
pub fn visible(text: &str, max: usize) -> String {
    let mut out = String::new();
    push_visible(&mut out, text, max);
    out
}

/// The same for bytes that claim to be UTF-8: each byte that is not becomes [`NOT_TEXT`].
pub fn visible_bytes(bytes: &[u8], max: usize) -> String {
    let mut out = String::new();
    // A character has at most four bytes and shows as at least one character: more cannot be seen.
    let bytes = &bytes[..bytes.len().min(max.saturating_add(1).saturating_mul(4))];
    let chars = bytes
        .utf8_chunks()
        .flat_map(|chunk| chunk.valid().chars().map(Some).chain(iter::repeat_n(None, chunk.invalid().len())));
    push(&mut out, chars, max);
    out
}

/// Appends what [`visible`] gives.
pub fn push_visible(out: &mut String, text: &str, max: usize) {
    push(out, text.chars().map(Some), max);
}

/// Appends characters, `None` for one that could not be decoded.
fn push(out: &mut String, chars: impl Iterator<Item = Option<char>>, max: usize) {
    let mut used = 0;
    let mut marks = MAX_MARKS;
    // Where to cut if it turns out too long: after what leaves room for the ellipsis.
    let mut cut = out.len();
    let mut symbol = String::with_capacity(SYMBOL_CHARS + 4);
    for c in chars {
        symbol.clear();
        let width = match c {
            None => {
                symbol.push(NOT_TEXT);
                1
            }
            Some(c) => {
                let as_code = if is_mark(c) {
                    marks += 1;
                    marks > MAX_MARKS
                } else {
                    false
                };
                match shown(c) {
                    Shown::Plain(c) if !as_code => {
                        symbol.push(c);
                        1
                    }
                    Shown::Picture(p) => {
                        symbol.push(p);
                        1
                    }
                    Shown::Plain(c) | Shown::Code(c) => {
                        symbol.push_str(&format!("‹U+{:04X}›", c as u32));
                        symbol.chars().count()
                    }
                }
            }
        };
        if !c.is_some_and(is_mark) {
            marks = 0;
        }
        if used + width > max {
            out.truncate(cut);
            if max > 0 {
                out.push('…');
            }
            return;
        }
        out.push_str(&symbol);
        used += width;
        if used < max {
            cut = out.len();
        }
    }
}

/// A byte in the text column of a hex pane: itself if it is printable ASCII, otherwise [`NOT_TEXT`].
pub fn ascii_dot(byte: u8) -> char {
    if matches!(byte, b' '..=b'~') { byte as char } else { NOT_TEXT }
}

/// The number of single-character edits (insert, delete, replace, swap of neighbours) between two
/// words, no matter the case; stops counting above `limit` and gives `None`.
pub fn edit_distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    let a: Vec<char> = a.chars().flat_map(char::to_lowercase).take(64).collect();
    let b: Vec<char> = b.chars().flat_map(char::to_lowercase).take(64).collect();
    if a.len().abs_diff(b.len()) > limit {
        return None;
    }
    // Optimal string alignment over three rows.
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let mut row: Vec<usize> = vec![0; b.len() + 1];
    for i in 1..=a.len() {
        row[0] = i;
        for j in 1..=b.len() {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            row[j] = (last[j] + 1).min(row[j - 1] + 1).min(last[j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        std::mem::swap(&mut before, &mut last);
        std::mem::swap(&mut last, &mut row);
    }
    (last[b.len()] <= limit).then_some(last[b.len()])
}

/// The words nearest to a mistyped one, at most `max`, best first: those that begin with it, then by
/// edit distance (a third of the word's length, at least 1 and at most 3). Each word comes once.
pub fn nearest<'a>(word: &str, among: impl IntoIterator<Item = &'a str>, max: usize) -> Vec<&'a str> {
    let limit = (word.chars().count() / 3).clamp(1, 3);
    let lower = word.to_lowercase();
    let mut found: Vec<(usize, &str)> = among
        .into_iter()
        .filter_map(|candidate| {
            let begins = lower.chars().count() >= 2 && candidate.to_lowercase().starts_with(&lower);
            let distance = if begins { Some(1) } else { edit_distance(word, candidate, limit) };
            // A word of two letters is one edit from too many others.
            let alike = begins || candidate.chars().count() > 2;
            distance.filter(|_| alike).map(|d| (d, candidate))
        })
        .collect();
    found.sort_by(|a, b| (a.0, a.1.len(), a.1).cmp(&(b.0, b.1.len(), b.1)));
    found.dedup_by(|a, b| a.1 == b.1);
    found.truncate(max);
    found.into_iter().map(|(_, word)| word).collect()
}
