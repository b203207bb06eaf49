//! KNXnet/IP (ISO 22510) with cEMI frames.
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 2 | header length 06, version 10 |
//! | 2 | 2 | service |
//! | 4 | 2 | total length |
//! | 6 | 1 | routing: cEMI message code (29 L_Data.ind) |
//! | 7 | 1 | additional information's length n |
//! | 8+n | 2 | control |
//! | 10+n | 2 | source: area.line.device |
//! | 12+n | 2 | destination: group or device |
//! | 14+n | 1 | data length |
//! | 15+n | – | TPCI, APCI, data |
//!
//! Routing frames carry no sequence number: two telegrams may be equal in every byte.

use std::fmt;

use crate::wire::read::{Hex, Tree, be16, line, put, u8_at};
use crate::wire::{Confidence, Field, Hint, Protocol};

/// The row of the table of protocols.
pub static PROTOCOL: Protocol = Protocol {
    id: "knx",
    name: "KNXnet/IP",
    mark: "06 10 at offset 0 and its own length at offset 4",
    detect,
    preview,
    fields,
    sequence: None,
};

fn service(code: u16) -> Option<&'static str> {
    Some(match code {
        0x0201 => "search request",
        0x0202 => "search response",
        0x0203 => "description request",
        0x0204 => "description response",
        0x0205 => "connect request",
        0x0206 => "connect response",
        0x0207 => "connection state request",
        0x0208 => "connection state response",
        0x0209 => "disconnect request",
        0x020a => "disconnect response",
        0x020b => "extended search request",
        0x020c => "extended search response",
        0x0310 => "configuration request",
        0x0311 => "configuration ack",
        0x0420 => "tunnelling request",
        0x0421 => "tunnelling ack",
        0x0530 => "routing",
        0x0531 => "routing lost",
        0x0532 => "routing busy",
        0x0533 => "system broadcast",
        0x0740 => "diagnostic request",
        0x0741 => "diagnostic response",
        0x0950 => "secure wrapper",
        0x0951 => "session request",
        0x0952 => "session response",
        0x0953 => "session authenticate",
        0x0954 => "session status",
        0x0955 => "timer notify",
        _ => return None,
    })
}

fn detect(b: &[u8], hint: &Hint) -> Option<Confidence> {
    let head = b.starts_with(&[0x06, 0x10]) && be16(b, 4).is_some_and(|n| usize::from(n) == hint.len);
    (head && service(be16(b, 2)?).is_some()).then_some(Confidence::Certain)
}

/// A device's address.
struct Device(u16);

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0 >> 12, self.0 >> 8 & 0x0f, self.0 & 0xff)
    }
}

/// A destination: the address of a group in three levels, or of a device.
struct Destination(u16, bool);

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            true => write!(f, "{}/{}/{}", self.0 >> 11, self.0 >> 8 & 0x07, self.0 & 0xff),
            false => Device(self.0).fmt(f),
        }
    }
}

/// A data frame within a routing indication, with the place where it begins.
struct Frame<'a> {
    base: usize,
    code: u8,
    source: Device,
    destination: Destination,
    action: &'static str,
    data: &'a [u8],
    /// The value where it is packed into the six low bits of the APCI.
    small: Option<u8>,
}

fn frame(b: &[u8]) -> Option<Frame<'_>> {
    let base = 8 + usize::from(u8_at(b, 7)?);
    let length = usize::from(u8_at(b, base + 6)?);
    let (tpci, apci) = (u8_at(b, base + 7)?, u8_at(b, base + 8).unwrap_or(0));
    let action = match (u16::from(tpci & 3) << 8 | u16::from(apci)) & 0x3c0 {
        _ if length == 0 => "control",
        0 => "read",
        0x40 => "response",
        0x80 => "write",
        0xc0 => "address write",
        0x100 => "address read",
        0x140 => "address response",
        0x3c0 => "escape",
        _ => "other",
    };
    let group = u8_at(b, base + 1)? & 0x80 != 0;
    Some(Frame {
        base,
        code: u8_at(b, 6)?,
        source: Device(be16(b, base + 2)?),
        destination: Destination(be16(b, base + 4)?, group),
        action,
        data: b.get(base + 9..b.len().min(base + 8 + length)).unwrap_or_default(),
        small: (length == 1 && matches!(action, "write" | "response")).then_some(apci & 0x3f),
    })
}

fn preview(b: &[u8], out: &mut String) {
    line(out, |l| {
        let code = be16(b, 2)?;
        put!(l, "KNX ");
        match (code, frame(b)) {
            (0x0530 | 0x0533, Some(f)) if f.code == 0x29 => {
                put!(l, "{} -> {} {}", f.source, f.destination, f.action);
                match f.small {
                    Some(value) => put!(l, " {value:02x}"),
                    None if !f.data.is_empty() => put!(l, " {}", Hex(f.data, "")),
                    None => {}
                }
            }
            (0x0531, _) => put!(l, "routing lost: {} messages", be16(b, 8)?),
            (0x0532, _) => put!(l, "routing busy: wait {} ms", be16(b, 8)?),
            _ => match service(code) {
                Some(name) => put!(l, "{name}"),
                None => put!(l, "service 0x{code:04x}"),
            },
        }
        Some(())
    });
}

fn fields(b: &[u8]) -> Vec<Field> {
    Tree::of(b, |t| {
        let code = be16(b, 2)?;
        t.u8(0, "header length")?;
        t.add(1..2, "version", format_args!("{}.{}", u8_at(b, 1)? >> 4, u8_at(b, 1)? & 0x0f));
        t.add(2..4, "service", format_args!("0x{code:04x} {}", service(code).unwrap_or("unknown")));
        t.be16(4, "total length")?;
        match code {
            0x0530 | 0x0533 => t.nest(frame_fields),
            0x0531 => {
                t.u8(7, "device state")?;
                t.be16(8, "messages lost").map(drop)
            }
            0x0532 => {
                t.u8(7, "device state")?;
                t.add(8..10, "wait time", format_args!("{} ms", be16(b, 8)?));
                t.be16(10, "control").map(drop)
            }
            _ => t.rest(6, "body"),
        }
    })
}

fn frame_fields(t: &mut Tree<'_>) -> Option<()> {
    let b = t.b();
    let f = frame(b)?;
    let at = f.base;
    t.add(6..7, "message code", format_args!("0x{:02x}", f.code));
    t.add(7..8, "additional information", format_args!("{} bytes", at - 8));
    t.hex(at..at + 2, "control")?;
    t.add(at + 2..at + 4, "source", &f.source);
    t.add(at + 4..at + 6, "destination", &f.destination);
    t.u8(at + 6, "data length")?;
    t.add(at + 7..at + 9, "APCI", f.action);
    match f.small {
        Some(value) => t.add(at + 8..at + 9, "value", value),
        None if !f.data.is_empty() => t.add(at + 9..at + 9 + f.data.len(), "value", Hex(f.data, "")),
        None => {}
    }
    Some(())
}
