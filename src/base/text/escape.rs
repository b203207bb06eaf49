//! Bytes as the user types them: text with escapes, and hex.

use super::TextError;

/// Reads text with escapes into bytes: `\n`, `\r`, `\t`, `\\`, `\0`, `\xNN` (one byte), `\u{…}` (one
/// character, written as UTF-8); all else stands for itself.
///
/// # Errors
/// The escape that is not one of these.
pub fn unescape(text: &str) -> Result<Vec<u8>, TextError> {
    const FORM: &str = r"escapes are \n \r \t \0 \\ \xNN \u{NNNN}";
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        if c != '\\' {
            out.extend_from_slice(&text.as_bytes()[at..at + c.len_utf8()]);
            at += c.len_utf8();
            continue;
        }
        let wrong = |end: usize, message: &str| TextError::new(text, at..end, message).help(FORM);
        let Some(kind) = text[at + 1..].chars().next() else {
            return Err(wrong(at + 1, "nothing follows this backslash"));
        };
        let after = at + 1 + kind.len_utf8();
        match kind {
            'n' => out.push(b'\n'),
            'r' => out.push(b'\r'),
            't' => out.push(b'\t'),
            '0' => out.push(0),
            '\\' => out.push(b'\\'),
            'x' => {
                let digits = hex_run(&text[after..], 2);
                if digits < 2 {
                    return Err(wrong(after + digits, r"\x takes two hex digits"));
                }
                out.push(u8::from_str_radix(&text[after..after + 2], 16).unwrap_or(0));
                at = after + 2;
                continue;
            }
            'u' => {
                let rest = &text[after..];
                let digits = rest.strip_prefix('{').map_or(0, |r| hex_run(r, 6));
                if digits == 0 || !rest[1 + digits..].starts_with('}') {
                    let end = match rest.find('}') {
                        Some(brace) => after + brace + 1,
                        None => after + if rest.starts_with('{') { 1 + digits } else { 0 },
                    };
                    return Err(wrong(end, r"\u takes one to six hex digits in braces"));
                }
                let end = after + digits + 2;
                let code = u32::from_str_radix(&rest[1..1 + digits], 16).unwrap_or(u32::MAX);
                let Some(c) = char::from_u32(code) else {
                    return Err(wrong(end, "there is no such character"));
                };
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                at = end;
                continue;
            }
            _ => return Err(wrong(after, "there is no such escape")),
        }
        at = after;
    }
    Ok(out)
}

/// How many hex digits `text` starts with, at most `max`.
fn hex_run(text: &str, max: usize) -> usize {
    text.bytes().take(max).take_while(u8::is_ascii_hexdigit).count()
}

/// Reads bytes in hex: digits in pairs, with or without spaces, `:`, `-`, `,`, `_` between bytes, and
/// `0x` before any piece: `deadbeef`, `de ad be:ef`, `0xde, 0xad`.
///
/// # Errors
/// The character that is no hex digit, or the piece whose digits do not come in pairs.
pub fn parse_hex(text: &str) -> Result<Vec<u8>, TextError> {
    const FORM: &str = "bytes are written as pairs of hex digits: de ad be ef";
    let separator = |c: char| c.is_whitespace() || matches!(c, ':' | '-' | ',' | '_');
    let mut out = Vec::with_capacity(text.len() / 2);
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let len = rest.find(separator).unwrap_or(rest.len());
        let piece = &rest[..len];
        let prefix = if piece.starts_with("0x") || piece.starts_with("0X") { 2 } else { 0 };
        let digits = &piece[prefix..];
        if let Some((i, c)) = digits.char_indices().find(|(_, c)| !c.is_ascii_hexdigit()) {
            let start = at + prefix + i;
            return Err(
                TextError::new(text, start..start + c.len_utf8(), "this is not a hex digit").help(FORM)
            );
        }
        if prefix > 0 && digits.is_empty() {
            return Err(TextError::new(text, at..at + len, "digits are missing after 0x").help(FORM));
        }
        if digits.len() % 2 == 1 {
            let message = "an odd number of hex digits";
            let help = match digits.len() {
                1 => format!("write 0{digits}"),
                _ => FORM.to_owned(),
            };
            return Err(TextError::new(text, at..at + len, message).help(help));
        }
        for pair in (0..digits.len()).step_by(2) {
            out.push(u8::from_str_radix(&digits[pair..pair + 2], 16).unwrap_or(0));
        }
        at += len + rest[len..].chars().next().map_or(0, char::len_utf8);
    }
    Ok(out)
}
