//! The Session Announcement Protocol (RFC 2974).
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 1 | version 1 (3 bits), IPv6 source, reserved, deletion, encrypted, compressed |
//! | 1 | 1 | length of the authentication data, in words of 4 bytes |
//! | 2 | 2 | message id hash |
//! | 4 | 4 or 16 | originating source |
//! | – | – | authentication data, payload type ending in NUL (optional), payload |
//!
//! A compressed payload is a zlib stream (RFC 1950); the payload type is compressed with it (section
//! 5). It is opened up to [`OPENED_MAX`] bytes; one that holds more is not read.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;

use crate::wire::read::{Text, Tree, be16, bytes, line, put, u8_at, until_nul};
use crate::wire::sdp::{self, Session};
use crate::wire::{Confidence, Field, Hint, Protocol};

/// Longest payload type looked for.
const TYPE_MAX: usize = 64;
/// Bytes that a compressed description may have: 32 times what section 6 recommends for a packet.
pub const OPENED_MAX: usize = 32 << 10;
/// Bytes opened to see what a compressed payload is.
const PEEKED: usize = 128;

/// The row of the table of protocols.
pub static PROTOCOL: Protocol = Protocol {
    id: "sap",
    name: "SAP",
    mark: "version 1 at offset 0 and a session description behind the header",
    detect,
    preview,
    fields,
    sequence: None,
};

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
    /// Reads an announcement that is not encrypted.
    pub fn parse(b: &[u8]) -> Option<Announcement> {
        let h = Header::read(b)?;
        let opened = h.open(b).ok()?;
        let payload = &opened[typed(&opened)..];
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
        // Compressed or encrypted, the type is part of what is: but for senders that leave it out there.
        let clear = flags & (ENCRYPTED | COMPRESSED) == 0 || rest.starts_with(b"application/");
        let payload = if clear { kind + typed(rest) } else { kind };
        Some(Header { flags, hash: be16(b, 2)?, origin, auth, kind, payload })
    }

    /// The payload in the clear, with its type where that is compressed as well.
    fn open<'a>(&self, b: &'a [u8]) -> Result<Cow<'a, [u8]>, Closed> {
        let payload = b.get(self.payload..).unwrap_or_default();
        match self.flags & (ENCRYPTED | COMPRESSED) {
            0 => Ok(Cow::Borrowed(payload)),
            COMPRESSED => inflate(payload, OPENED_MAX).map(Cow::Owned),
            _ => Err(Closed::Encrypted),
        }
    }
}

/// Why a payload cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closed {
    Encrypted,
    /// It is no zlib stream, or a part is missing.
    Broken,
    /// There is more in it than [`OPENED_MAX`].
    TooLong,
}

impl Closed {
    fn words(self) -> String {
        match self {
            Closed::Encrypted => "encrypted".into(),
            Closed::Broken => "compressed, unreadable".into(),
            Closed::TooLong => format!("compressed, not opened: more than {} KiB", OPENED_MAX >> 10),
        }
    }
}

/// Opens a zlib stream of at most `most` bytes.
fn inflate(b: &[u8], most: usize) -> Result<Vec<u8>, Closed> {
    use miniz_oxide::inflate::TINFLStatus::HasMoreOutput;
    decompress_to_vec_zlib_with_limit(b, most)
        .map_err(|e| if e.status == HasMoreOutput { Closed::TooLong } else { Closed::Broken })
}

/// The first bytes of a zlib stream, as far as they are there.
fn peek(b: &[u8]) -> Vec<u8> {
    decompress_to_vec_zlib_with_limit(b, PEEKED).unwrap_or_else(|e| e.output)
}

/// The length of the payload type with its NUL; 0 without one. A type is a MIME type; without one the
/// description starts at once (section 5).
fn typed(b: &[u8]) -> usize {
    let named = until_nul(&b[..b.len().min(TYPE_MAX)]);
    let has_type = named.contains(&b'/') && !named.starts_with(b"v=0") && named.len() < b.len();
    if has_type { named.len() + 1 } else { 0 }
}

/// Whether the bytes begin as an announcement's payload does.
fn begins(payload: &[u8], deletion: bool) -> bool {
    let described = &payload[typed(payload)..];
    sdp::starts(described) || payload.starts_with(b"application/") || deletion && described.starts_with(b"o=")
}

/// Whether the announcement has to be decompressed to be read, which takes longer than all else here.
pub fn is_compressed(b: &[u8]) -> bool {
    Header::read(b).is_some_and(|h| h.flags & (ENCRYPTED | COMPRESSED) == COMPRESSED)
}

fn detect(b: &[u8], hint: &Hint) -> Option<Confidence> {
    let h = Header::read(b)?;
    let (kind, payload) = (b.get(h.kind..)?, b.get(h.payload..)?);
    let deletion = h.flags & DELETION != 0;
    if begins(kind, deletion) {
        return Some(Confidence::Certain);
    }
    // Compressed, it must begin as one does when it is opened.
    let compressed = h.flags & (ENCRYPTED | COMPRESSED) == COMPRESSED;
    if compressed && begins(&peek(payload), deletion) {
        return Some(Confidence::Certain);
    }
    // Encrypted or unreadable: the port has to say it, and nothing else may stand in the header.
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
            None => match h.open(b) {
                Ok(opened) => put!(l, "{}  from {}", Text(until_nul(&opened)), h.origin),
                Err(closed) => put!(l, "{}, from {}", closed.words(), h.origin),
            },
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
        if h.flags & (ENCRYPTED | COMPRESSED) == 0 {
            return t.within(h.payload..b.len(), sdp::tree);
        }
        let all = h.payload..b.len();
        match h.open(b) {
            Ok(opened) => {
                t.add(all.clone(), "decompressed", format_args!("{} bytes", opened.len()));
                t.unpacked(all, &opened, |t| {
                    let described = typed(t.b());
                    if described > 0 {
                        t.text(0..described, "payload type");
                    }
                    t.within(described..t.b().len(), sdp::tree)
                });
            }
            Err(closed) => t.add(all, "description", closed.words()),
        }
        Some(())
    })
}
