//! The Session Announcement Protocol (RFC 2974).
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 1 | version 1 (3 bits), IPv6 source, reserved, deletion, encrypted, compressed |
//! | 1 | 1 | length of the authentication data, in words of 4 bytes |
//! | 2 | 2 | message id hash |
//! | 4 | 4 or 16 | originating source |
//! | – | – | authentication data, payload type ending in NUL (optional), payload |

use std::net::{IpAddr, Ipv6Addr};

use crate::wire::read::{Text, Tree, be16, bytes, line, put, u8_at, until_nul};
use crate::wire::sdp::{self, Session};
use crate::wire::{Confidence, Field, Hint, Protocol};

/// Longest payload type looked for.
const TYPE_MAX: usize = 64;

/// The row of the table of protocols.
pub static PROTOCOL: Protocol = Protocol { id: "sap", name: "SAP", detect, preview, fields, sequence: None };

/// An announcement, or the end of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// The session is deleted: its groups lose their name.
    pub deletion: bool,
    /// Changes when the description does (section 6).
    pub hash: u16,
    /// Who announces.
    pub origin: IpAddr,
    /// What is announced. A deletion may carry the `o=` line only.
    pub session: Session,
}

impl Announcement {
    /// Reads an announcement that is neither encrypted nor compressed.
    pub fn parse(b: &[u8]) -> Option<Announcement> {
        let h = Header::read(b)?;
        if h.flags & (ENCRYPTED | COMPRESSED) != 0 {
            return None;
        }
        let payload = b.get(h.payload..)?;
        let session = match Session::parse(payload) {
            Some(session) => session,
            None if payload.starts_with(b"o=") => {
                Session::parse(&[b"v=0\r\n", payload].concat()).unwrap_or_default()
            }
            None => return None,
        };
        Some(Announcement { deletion: h.flags & DELETION != 0, hash: h.hash, origin: h.origin, session })
    }
}

const IPV6: u8 = 0x10;
const RESERVED: u8 = 0x08;
const DELETION: u8 = 0x04;
const ENCRYPTED: u8 = 0x02;
const COMPRESSED: u8 = 0x01;

struct Header {
    flags: u8,
    hash: u16,
    origin: IpAddr,
    /// Where the authentication data begins.
    auth: usize,
    /// Where the payload type begins.
    kind: usize,
    /// Where the payload begins: after its type, if it has one.
    payload: usize,
}

impl Header {
    fn read(b: &[u8]) -> Option<Header> {
        let flags = u8_at(b, 0)?;
        if flags & 0xe0 != 0x20 {
            return None;
        }
        let (origin, auth) = if flags & IPV6 != 0 {
            let ip: [u8; 16] = bytes(b, 4, 16)?.try_into().ok()?;
            (IpAddr::from(Ipv6Addr::from(ip)), 20)
        } else {
            let ip: [u8; 4] = bytes(b, 4, 4)?.try_into().ok()?;
            (IpAddr::from(ip), 8)
        };
        let kind = auth + 4 * usize::from(u8_at(b, 1)?);
        let rest = b.get(kind..)?;
        let named = until_nul(&rest[..rest.len().min(TYPE_MAX)]);
        // A type is a MIME type; without one the description starts at once (section 5).
        let has_type = named.contains(&b'/') && !named.starts_with(b"v=0") && named.len() < rest.len();
        let payload =
            if has_type && flags & (ENCRYPTED | COMPRESSED) == 0 { kind + named.len() + 1 } else { kind };
        Some(Header { flags, hash: be16(b, 2)?, origin, auth, kind, payload })
    }
}

fn detect(b: &[u8], hint: &Hint) -> Option<Confidence> {
    let h = Header::read(b)?;
    let (kind, payload) = (b.get(h.kind..)?, b.get(h.payload..)?);
    let deleted = h.flags & DELETION != 0 && payload.starts_with(b"o=");
    if sdp::starts(payload) || kind.starts_with(b"application/") || deleted {
        return Some(Confidence::Certain);
    }
    // Encrypted or compressed: the port has to say it, and nothing else may stand in the header.
    let plain = h.flags & RESERVED == 0 && h.kind == h.auth && h.hash != 0 && !h.origin.is_multicast();
    let closed = h.flags & (ENCRYPTED | COMPRESSED) != 0 && plain && !payload.is_empty();
    (closed && hint.to_port(&[9875])).then_some(Confidence::Likely)
}

fn preview(b: &[u8], out: &mut String) {
    line(out, |l| {
        let h = Header::read(b)?;
        put!(l, "SAP {}  ", if h.flags & DELETION != 0 { "delete" } else { "announce" });
        match Announcement::parse(b) {
            Some(a) if a.session.name.is_empty() => put!(l, "session {}", a.session.origin.key()),
            Some(a) => a.session.put(l),
            None if h.flags & ENCRYPTED != 0 => put!(l, "encrypted, from {}", h.origin),
            None if h.flags & COMPRESSED != 0 => put!(l, "compressed, from {}", h.origin),
            None => put!(l, "{}  from {}", Text(until_nul(b.get(h.kind..)?)), h.origin),
        }
        Some(())
    });
}

fn fields(b: &[u8]) -> Vec<Field> {
    Tree::of(b, |t| {
        let h = Header::read(b)?;
        let mut flags = String::from("version 1");
        for (bit, word) in
            [(IPV6, "IPv6"), (DELETION, "deletion"), (ENCRYPTED, "encrypted"), (COMPRESSED, "compressed")]
        {
            if h.flags & bit != 0 {
                flags.push_str(", ");
                flags.push_str(word);
            }
        }
        t.add(0..1, "flags", flags);
        t.add(1..2, "authentication length", format_args!("{} bytes", h.kind - h.auth));
        t.add(2..4, "message id hash", format_args!("0x{:04x}", h.hash));
        t.add(4..h.auth, "originating source", h.origin);
        if h.kind > h.auth {
            t.hex(h.auth..h.kind, "authentication data");
        }
        if h.payload > h.kind {
            t.text(h.kind..h.payload, "payload type");
        }
        t.rest(h.payload, "payload");
        t.within(h.payload..b.len(), sdp::tree)
    })
}
