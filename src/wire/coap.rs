//! CoAP (RFC 7252 section 3).
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 1 | version 1 (2 bits), type (2 bits), token length (4 bits) |
//! | 1 | 1 | code: class (3 bits), detail (5 bits) |
//! | 2 | 2 | message id |
//! | 4 | 0 to 8 | token |
//! | – | – | options: delta and length (4 bits each), their extensions, value; ff and the payload |
//!
//! Message ids only match duplicates and answers: they need not count, so they are no sequence.

use std::ops::Range;

use crate::wire::read::{Hex, Line, Text, Tree, be16, bytes, line, put, u8_at};
use crate::wire::{Confidence, Field, Hint, Protocol};

/// Options read of one message.
const OPTIONS_MAX: usize = 64;

/// The row of the table of protocols.
pub static PROTOCOL: Protocol = Protocol {
    id: "coap",
    name: "CoAP",
    mark: "version 1 and options that add up, on CoAP's port or group",
    detect,
    preview,
    fields,
    sequence: None,
};

struct Opt<'a> {
    number: u32,
    value: &'a [u8],
    range: Range<usize>,
}

/// The options, and where the payload begins; `None` if they break a rule of section 3.1.
fn options(b: &[u8]) -> Option<(Vec<Opt<'_>>, usize)> {
    let mut at = 4 + usize::from(u8_at(b, 0)? & 0x0f);
    let (mut all, mut number) = (Vec::new(), 0u32);
    b.get(..at)?;
    while let Some(head) = u8_at(b, at) {
        if head == 0xff {
            // A marker without a payload is an error.
            return (at + 1 < b.len()).then_some((all, at + 1));
        }
        if all.len() == OPTIONS_MAX {
            return None;
        }
        let start = at;
        at += 1;
        let mut extended = |nibble: u8| {
            Some(match nibble {
                13 => {
                    at += 1;
                    13 + usize::from(u8_at(b, at - 1)?)
                }
                14 => {
                    at += 2;
                    269 + usize::from(be16(b, at - 2)?)
                }
                15 => return None,
                n => usize::from(n),
            })
        };
        let (delta, length) = (extended(head >> 4)?, extended(head & 0x0f)?);
        number += u32::try_from(delta).ok()?;
        let value = bytes(b, at, length)?;
        at += length;
        all.push(Opt { number, value, range: start..at });
    }
    Some((all, b.len()))
}

fn detect(b: &[u8], hint: &Hint) -> Option<Confidence> {
    let (b0, code) = (u8_at(b, 0)?, u8_at(b, 1)?);
    if b0 & 0xc0 != 0x40 || b0 & 0x0f > 8 || !matches!(code >> 5, 0 | 2 | 4 | 5) || b.len() < 4 {
        return None;
    }
    // The empty message is nothing but its header; a reset is empty, an acknowledgement is no
    // request (sections 4.1 and 4.2).
    let (options, _) = options(b)?;
    let fits = match (code >> 5, code & 0x1f, kind(b0)) {
        (0, 0, _) => b.len() == 4,
        (_, _, "RST") | (0, 8.., _) | (0, _, "ACK") => false,
        (2, detail, _) => matches!(detail, 1..=5 | 31),
        (5, detail, _) => detail <= 8,
        _ => true,
    };
    if !fits || !options.iter().all(is_sound) {
        return None;
    }
    let group = hint.to_v4([224, 0, 1, 187]) || hint.to_v6(0xfd);
    let port = hint.either_port(&[5683, 5684]);
    // Answers come from the port, not to it (section 8.2).
    if code >> 5 != 0 && !matches!(hint.from.port, 5683 | 5684) {
        return (group || port).then_some(Confidence::Guess);
    }
    match (group, port) {
        (true, true) => Some(Confidence::Certain),
        (true, false) | (false, true) => Some(Confidence::Likely),
        (false, false) => None,
    }
}

/// Whether an option is one that exists, of a length it may have (section 5.10, RFC 7641, RFC 7959,
/// RFC 7967, RFC 8613).
fn is_sound(o: &Opt<'_>) -> bool {
    let n = o.value.len();
    match o.number {
        1 | 4 => n <= 8,
        3 | 8 | 11 | 15 | 20 | 35 | 39 => {
            n <= 1034 && std::str::from_utf8(o.value).is_ok_and(|s| !s.chars().any(char::is_control))
        }
        5 => n == 0,
        6 | 19 | 23 | 27 => n <= 3,
        7 | 12 | 17 => n <= 2,
        9 => n <= 255,
        14 | 28 | 60 => n <= 4,
        16 | 258 => n <= 1,
        252 | 292 => n <= 40,
        _ => false,
    }
}

fn put_code(l: &mut Line<'_>, code: u8) {
    let methods = ["EMPTY", "GET", "POST", "PUT", "DELETE", "FETCH", "PATCH", "iPATCH"];
    match methods.get(usize::from(code)) {
        Some(method) => put!(l, "{method}"),
        None => put!(l, "{}.{:02}", code >> 5, code & 0x1f),
    }
}

fn kind(b0: u8) -> &'static str {
    ["CON", "NON", "ACK", "RST"][usize::from(b0 >> 4 & 3)]
}

fn preview(b: &[u8], out: &mut String) {
    line(out, |l| {
        let (b0, code) = (u8_at(b, 0)?, u8_at(b, 1)?);
        put!(l, "CoAP {} ", kind(b0));
        put_code(l, code);
        let (options, payload) = options(b)?;
        let of = |number| options.iter().filter(move |o| o.number == number);
        if code >> 5 == 0 && code != 0 {
            put!(l, " ");
            if of(11).next().is_none() {
                put!(l, "/");
            }
            for o in of(11) {
                put!(l, "/{}", Text(o.value));
            }
            for (i, o) in of(15).enumerate() {
                put!(l, "{}{}", if i == 0 { "?" } else { "&" }, Text(o.value));
            }
        }
        put!(l, "  mid {}", be16(b, 2)?);
        if let Some(o) = of(6).next() {
            put!(l, "  observe {}", number(o.value));
        }
        if payload < b.len() {
            put!(l, "  {} B", b.len() - payload);
        }
        Some(())
    });
}

/// An option's value as a number.
fn number(value: &[u8]) -> u64 {
    value.iter().take(8).fold(0, |n, &c| n << 8 | u64::from(c))
}

fn fields(b: &[u8]) -> Vec<Field> {
    Tree::of(b, |t| {
        let (b0, code) = (u8_at(b, 0)?, u8_at(b, 1)?);
        t.add(0..1, "version", b0 >> 6);
        t.add(0..1, "type", kind(b0));
        t.add(0..1, "token length", b0 & 0x0f);
        let mut name = String::new();
        put_code(&mut Line::new(&mut name, 20), code);
        t.add(1..2, "code", name);
        t.be16(2, "message id")?;
        let token = 4..4 + usize::from(b0 & 0x0f);
        if !token.is_empty() {
            t.hex(token, "token")?;
        }
        let (options, payload) = options(b)?;
        for o in options {
            let name = match o.number {
                1 => "If-Match",
                3 => "Uri-Host",
                4 => "ETag",
                5 => "If-None-Match",
                6 => "Observe",
                7 => "Uri-Port",
                8 => "Location-Path",
                11 => "Uri-Path",
                12 => "Content-Format",
                14 => "Max-Age",
                15 => "Uri-Query",
                17 => "Accept",
                20 => "Location-Query",
                23 => "Block2",
                27 => "Block1",
                35 => "Proxy-Uri",
                60 => "Size1",
                258 => "No-Response",
                _ => "option",
            };
            match o.number {
                3 | 8 | 11 | 15 | 20 | 35 => t.add(o.range, name, Text(o.value)),
                6 | 7 | 12 | 14 | 17 | 23 | 27 | 60 | 258 => t.add(o.range, name, number(o.value)),
                n => t.add(o.range, format_args!("{name} {n}"), Hex(o.value, "")),
            }
        }
        t.rest(payload, "payload");
        Some(())
    })
}
