//! Plain text, and the line for payloads that nothing else explains.

use crate::wire::read::{Hex, Text, Tree, line, put};
use crate::wire::{Confidence, Field, Hint, Protocol};

/// Bytes looked at: enough to be sure, little enough for jumbo datagrams.
const LOOK_MAX: usize = 4096;
/// The shortest text: eight random bytes are printable once in 2,200 times.
const MIN: usize = 8;
/// From here on it is likely: sixteen random bytes are printable once in five million times.
const SURE: usize = 16;
/// Lines listed as fields.
const LINES_MAX: usize = 200;
/// Bytes at the head of an unknown payload that are shown.
const HEAD: usize = 16;
/// Payloads of this length and on can be judged by their entropy.
const ENTROPY_MIN: usize = 256;

/// The row of the table of protocols.
pub static PROTOCOL: Protocol = Protocol {
    id: "text",
    name: "text",
    mark: "text that can be read from the first byte to the last",
    detect,
    preview,
    fields,
    sequence: None,
};

/// Whether all of it is UTF-8, save a character cut at the end, and at least 95 % can be seen.
fn is_text(b: &[u8]) -> bool {
    // Programs in C often send the NUL along.
    let b = b.strip_suffix(&[0]).unwrap_or(b);
    let cut = b.len() > LOOK_MAX;
    let b = &b[..b.len().min(LOOK_MAX)];
    let text = match std::str::from_utf8(b) {
        Ok(text) => text,
        Err(e) if e.error_len().is_none() && (cut || e.valid_up_to() + 3 >= b.len()) => {
            std::str::from_utf8(&b[..e.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return false,
    };
    let seen = |c: char| !c.is_control() || matches!(c, '\t' | '\r' | '\n');
    let (mut all, mut good) = (0usize, 0usize);
    for c in text.chars() {
        all += 1;
        good += usize::from(seen(c));
    }
    all > 0 && good * 100 >= all * 95
}

/// Whether every byte is the same: filling, not text.
fn is_constant(b: &[u8]) -> bool {
    b.windows(2).all(|w| w[0] == w[1])
}

/// Without what ends a text and says nothing.
fn readable(b: &[u8]) -> &[u8] {
    b.strip_suffix(&[0]).unwrap_or(b).trim_ascii_end()
}

fn detect(b: &[u8], _: &Hint) -> Option<Confidence> {
    if readable(b).len() < MIN || !is_text(b) {
        return None;
    }
    Some(if b.len() < SURE || is_constant(&b[..b.len().min(LOOK_MAX)]) {
        Confidence::Guess
    } else {
        Confidence::Likely
    })
}

fn preview(b: &[u8], out: &mut String) {
    line(out, |l| {
        put!(l, "{}", Text(readable(b)));
        Some(())
    });
}

fn fields(b: &[u8]) -> Vec<Field> {
    Tree::of(b, |t| {
        let mut at = 0;
        for (i, text) in b.split(|&c| c == b'\n').take(LINES_MAX).enumerate() {
            if !text.is_empty() {
                t.add(at..at + text.len(), format_args!("line {}", i + 1), Text(text.trim_ascii_end()));
            }
            at += text.len() + 1;
        }
        Some(())
    })
}

/// Shannon entropy of the bytes, in bits a byte.
fn entropy(b: &[u8]) -> f64 {
    let mut counts = [0u32; 256];
    for &c in b {
        counts[usize::from(c)] += 1;
    }
    let all = b.len() as f64;
    counts.iter().filter(|&&n| n > 0).map(|&n| f64::from(n) / all).map(|p| -p * p.log2()).sum()
}

/// One line on a payload that no protocol explains: text if it can be read, else its first bytes in
/// hex and its size.
pub fn preview_unknown(b: &[u8], out: &mut String) {
    line(out, |l| {
        if b.is_empty() {
            put!(l, "empty");
            return Some(());
        }
        if is_text(b) && !readable(b).is_empty() {
            put!(l, "{}", Text(readable(b)));
            return Some(());
        }
        if b.len() > 4 && is_constant(b) {
            put!(l, "{:02x} × {} B", b[0], b.len());
            return Some(());
        }
        let head = &b[..b.len().min(HEAD)];
        put!(l, "{}{}  ", Hex(head, " "), if b.len() > HEAD { " …" } else { "" });
        for &c in head {
            put!(l, "{}", if c.is_ascii_graphic() { char::from(c) } else { '·' });
        }
        put!(l, "  {} B", b.len());
        if b.len() >= ENTROPY_MIN && entropy(b) >= random_entropy(b.len()) {
            put!(l, "  compressed or encrypted");
        }
        Some(())
    });
}

/// The entropy above which so many bytes look random. The estimate from few bytes falls short of 8 by
/// about 255 / (2 n ln 2) (Miller and Madow), so a fixed mark would miss the short ones.
fn random_entropy(n: usize) -> f64 {
    7.9 - 255.0 / (2.0 * n as f64 * std::f64::consts::LN_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unknown(b: &[u8]) -> String {
        let mut out = String::new();
        preview_unknown(b, &mut out);
        out
    }

    #[test]
    fn what_is_unknown_is_shown_as_text_where_it_can_be_read() {
        assert_eq!(unknown(b"hi\n\0"), "hi");
        assert_eq!(unknown(b""), "empty");
        assert_eq!(unknown("grüße".as_bytes()), "grüße");
    }

    #[test]
    fn what_is_unknown_and_binary_is_shown_in_hex_with_its_size() {
        assert_eq!(unknown(&[0, 1, 0x41, 0xff]), "00 01 41 ff  ··A·  4 B");
        assert_eq!(unknown(&[0; 1316]), "00 × 1316 B");
        let long: Vec<u8> = (0..40).map(|i| i * 6).collect();
        assert!(unknown(&long).starts_with("00 06 0c 12 18 1e 24 2a 30 36 3c 42 48 4e 54 5a …  "));
        assert!(unknown(&long).ends_with("  40 B"));
    }

    #[test]
    fn noise_is_told_from_structure_by_its_entropy() {
        let mut x = 1u64;
        let noise: Vec<u8> = (0..300)
            .map(|_| {
                x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (x >> 56) as u8
            })
            .collect();
        assert!(unknown(&noise).ends_with("compressed or encrypted"), "{}", unknown(&noise));
        let table: Vec<u8> = (0..300u32).map(|i| if i % 4 == 0 { i as u8 } else { 0 }).collect();
        assert!(unknown(&table).ends_with("300 B"));
    }
}
