//! Addresses with errors that know the place, and what an address is that is not a group.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use super::parse::{Fail, Text};

/// What kind of address this is, in words that follow "it is".
pub fn what_is(ip: IpAddr) -> &'static str {
    match ip {
        IpAddr::V4(ip) => what_is_v4(ip),
        IpAddr::V6(ip) => what_is_v6(ip),
    }
}

/// By the IANA IPv4 special-purpose address registry (RFC 6890).
fn what_is_v4(ip: Ipv4Addr) -> &'static str {
    match ip.octets() {
        [0, 0, 0, 0] => "the unspecified address",
        [0, ..] => "an address of \"this network\" (RFC 791)",
        [127, ..] => "a loopback address",
        [10, ..] | [192, 168, ..] => "a private unicast address",
        [172, b, ..] if b & 0xf0 == 16 => "a private unicast address",
        [169, 254, ..] => "a link-local unicast address",
        [100, b, ..] if b & 0xc0 == 64 => "a shared unicast address (carrier NAT)",
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => "a documentation address",
        [198, 18 | 19, ..] => "a benchmarking address",
        [255, 255, 255, 255] => "the limited broadcast address",
        [240..=255, ..] => "a reserved address",
        [224..=239, ..] => "a multicast group",
        _ => "a public unicast address",
    }
}

/// By the IANA IPv6 special-purpose address registry (RFC 6890) and RFC 4291 section 2.4.
fn what_is_v6(ip: Ipv6Addr) -> &'static str {
    match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => "the unspecified address",
        [0, 0, 0, 0, 0, 0, 0, 1] => "the loopback address",
        [0, 0, 0, 0, 0, 0xffff, ..] => "an IPv4 address written as IPv6",
        [0x64, 0xff9b, ..] => "a translated IPv4 address (NAT64)",
        [0x2001, 0xdb8, ..] => "a documentation address",
        [0x3fff, b, ..] if b < 0x1000 => "a documentation address",
        [0x2002, ..] => "a 6to4 address",
        [a, ..] if a & 0xffc0 == 0xfe80 => "a link-local unicast address",
        [a, ..] if a & 0xffc0 == 0xfec0 => "a site-local unicast address (deprecated)",
        [a, ..] if a & 0xfe00 == 0xfc00 => "a private (unique local) unicast address",
        [a, ..] if a & 0xff00 == 0xff00 => "a multicast group",
        [a, ..] if a & 0xe000 == 0x2000 => "a global unicast address",
        _ => "a reserved address",
    }
}

/// Reads an IPv4 address: four decimal numbers, nothing else (no octal, no short forms). What is only
/// the beginning of an address leaves the failure open.
pub(super) fn parse_v4(text: &Text<'_>, range: Range<usize>) -> Result<Ipv4Addr, Fail> {
    let mut octets = [0u8; 4];
    let mut at = range.start;
    let mut count = 0;
    for piece in text.get(&range).split('.') {
        let span = at..at + piece.len();
        at = span.end + 1;
        if count == 4 {
            return Err(text.fail(span.start - 1..range.end, "an IPv4 address has four numbers"));
        }
        octets[count] = parse_octet(text, piece, span, &range)?;
        count += 1;
    }
    if count < 4 {
        let message = format!("an IPv4 address has four numbers, this has {count}");
        return Err(text.fail(range.clone(), message).open_if(text.is_end(range.end)));
    }
    Ok(octets.into())
}

/// One number of an IPv4 address.
fn parse_octet(text: &Text<'_>, piece: &str, span: Range<usize>, all: &Range<usize>) -> Result<u8, Fail> {
    let last = text.is_end(span.end);
    if piece.is_empty() {
        return Err(text.fail(span, "a number is missing here").open_if(last));
    }
    // Up to four hex digits alone may still become an IPv6 address.
    let open = last && span == *all && super::is_hex_word(piece);
    if let Some((i, c)) = piece.char_indices().find(|(_, c)| !c.is_ascii_digit()) {
        let at = span.start + i;
        let fail = text.fail(at..at + c.len_utf8(), "this is not part of an IPv4 address").open_if(open);
        return Err(if matches!(c, ' ' | ';') {
            fail.help("the port follows a colon: ADDR:PORT")
        } else {
            fail
        });
    }
    if piece.len() > 1 && piece.starts_with('0') {
        let plain = piece.trim_start_matches('0');
        let plain = if plain.is_empty() { "0" } else { plain };
        let fail = text.fail(span, "a leading zero could mean octal");
        return Err(fail.help(format!("write {plain}")).open_if(open));
    }
    piece.parse().map_err(|_| text.fail(span, "an IPv4 number goes up to 255").open_if(open))
}

/// Reads an IPv6 address without a zone. What is only the beginning of an address leaves the failure
/// open.
pub(super) fn parse_v6(text: &Text<'_>, range: Range<usize>) -> Result<Ipv6Addr, Fail> {
    let address = text.get(&range);
    address.parse().map_err(|_| what_is_wrong_v6(text, address, &range))
}

/// Finds the wrong part of an IPv6 address that does not parse.
fn what_is_wrong_v6(text: &Text<'_>, address: &str, range: &Range<usize>) -> Fail {
    let last = text.is_end(range.end);
    let stray = address.char_indices().find(|(_, c)| !c.is_ascii_hexdigit() && !matches!(c, ':' | '.'));
    if let Some((i, c)) = stray {
        let at = range.start + i;
        return text.fail(at..at + c.len_utf8(), "this is not part of an IPv6 address");
    }
    if let Some(i) = address.find(":::") {
        let at = range.start + i;
        return text.fail(at..at + 3, "three colons: :: stands for the parts left out");
    }
    let double = address.find("::");
    if let Some(first) = double
        && let Some(second) = address[first + 2..].find("::")
    {
        let at = range.start + first + 2 + second;
        return text.fail(at..at + 2, ":: may stand only once in an address");
    }
    if address.starts_with(':') && double != Some(0) {
        let at = range.start;
        return text
            .fail(at..at + 1, "an IPv6 address does not begin with one colon")
            .open_if(last && address == ":");
    }
    let pieces = address.split(':').count();
    let mut at = range.start;
    let mut parts = 0;
    for (i, piece) in address.split(':').enumerate() {
        let span = at..at + piece.len();
        at = span.end + 1;
        if piece.is_empty() {
            continue;
        }
        if parts == 8 {
            return text.fail(span.start..range.end, "an IPv6 address has eight parts");
        }
        parts += 1;
        if piece.contains('.') {
            if i + 1 < pieces {
                return text.fail(span, "an IPv4 address may only stand at the end of an IPv6 address");
            }
            if let Err(fail) = parse_v4(text, span.clone()) {
                return fail;
            }
            parts += 1;
        } else if piece.len() > 4 {
            return text.fail(span, "a part of an IPv6 address has at most four hex digits");
        }
    }
    if double.is_some() && parts >= 8 {
        let message = "an IPv6 address has eight parts: nothing is left for :: to stand for";
        return text.fail(range.clone(), message);
    }
    if address.ends_with(':') && double.is_none_or(|i| i + 2 < address.len()) {
        return text.fail(range.end..range.end, "a part of the address is missing here").open_if(last);
    }
    let message = format!("an IPv6 address has eight parts (or :: for some), this has {parts}");
    text.fail(range.clone(), message).open_if(last && parts < 8)
}
