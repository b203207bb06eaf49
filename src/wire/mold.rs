//! MoldUDP64 1.00 (Nasdaq): market data in numbered messages.
//!
//! | offset | bytes | field |
//! | --- | --- | --- |
//! | 0 | 10 | session |
//! | 10 | 8 | number of the first message |
//! | 18 | 2 | messages: 0 heartbeat, ffff end of session |
//! | 20 | – | messages: length (2), data |

use crate::wire::read::{Text, Tree, be16, be64, bytes, line, put, stream_id, u8_at};
use crate::wire::{Confidence, Field, Hint, Protocol, SeqSample};

/// Length of the header in bytes.
const HEADER: usize = 20;
/// The count that ends a session.
const END: u16 = 0xffff;

/// The row of the table of protocols.
pub static PROTOCOL: Protocol = Protocol {
    id: "moldudp64",
    name: "MoldUDP64",
    mark: "a session of 10 letters, and messages that fill it to the last byte",
    detect,
    preview,
    fields,
    sequence: Some(sequence),
};

struct Mold<'a> {
    session: &'a [u8],
    number: u64,
    count: u16,
}

impl<'a> Mold<'a> {
    fn parse(b: &'a [u8]) -> Option<Mold<'a>> {
        let session = bytes(b, 0, 10)?;
        let printable = session.iter().all(|c| c.is_ascii_graphic() || *c == b' ');
        let blank = session.iter().all(|c| *c == b' ');
        (printable && !blank).then_some(())?;
        Some(Mold { session, number: be64(b, 10)?, count: be16(b, 18)? })
    }

    /// Messages in it: a heartbeat and the end of a session have none.
    fn messages(&self) -> u16 {
        if self.count == END { 0 } else { self.count }
    }
}

fn detect(b: &[u8], hint: &Hint) -> Option<Confidence> {
    let m = Mold::parse(b)?;
    // The first byte of a number above 2^56 would take a feed centuries.
    if u8_at(b, 10)? != 0 {
        return None;
    }
    if m.messages() == 0 {
        return (hint.len == HEADER).then_some(Confidence::Guess);
    }
    // The blocks have to fill the datagram exactly.
    let (mut at, mut n) = (HEADER, 0);
    while n < m.count && at + 2 <= b.len() {
        at += 2 + usize::from(be16(b, at)?);
        n += 1;
    }
    if n == m.count && at == hint.len {
        return Some(Confidence::Certain);
    }
    (hint.is_cut(b) && at >= b.len() && n >= 2).then_some(Confidence::Likely)
}

fn preview(b: &[u8], out: &mut String) {
    line(out, |l| {
        let m = Mold::parse(b)?;
        put!(l, "Mold64 {}  seq {}", Text(m.session.trim_ascii()), m.number);
        match m.count {
            0 => put!(l, "  heartbeat"),
            END => put!(l, "  end of session"),
            1 => put!(l, "  1 msg"),
            n => put!(l, "  {n} msgs"),
        }
        Some(())
    });
}

fn fields(b: &[u8]) -> Vec<Field> {
    Tree::of(b, |t| {
        let m = Mold::parse(b)?;
        t.text(0..10, "session")?;
        t.be64(10, "sequence")?;
        t.be16(18, "message count")?;
        let mut at = HEADER;
        for i in 0..m.messages() {
            if t.full() {
                break;
            }
            let length = usize::from(be16(b, at)?);
            let data = b.get(at + 2..(at + 2 + length).min(b.len()))?;
            // ITCH and its like begin each message with a letter that says what it is.
            let kind = data.first().filter(|c| c.is_ascii_alphabetic()).map_or('?', |&c| char::from(c));
            let name = format_args!("message {}", m.number.saturating_add(u64::from(i)));
            t.add(at..at + 2 + length, name, format_args!("type {kind}, {length} bytes"));
            at += 2 + length;
        }
        Some(())
    })
}

fn sequence(b: &[u8], f: &mut dyn FnMut(SeqSample)) {
    if let Some(m) = Mold::parse(b) {
        let count = u32::from(m.messages());
        f(SeqSample { count, ..SeqSample::one(stream_id(&[m.session]), m.number, 64) });
    }
}
