//! ssmping and asmping (draft-ietf-mboned-ssmping, as ssmping 0.9 speaks it): a client asks a server by
//! unicast, and the server answers to the client and to a group.
//!
//! A message is a letter, `Q` for a query and `A` for its answer, and options of two bytes type, two bytes
//! length and a value. The answer is the query with the other letter, sent to the client and to the group
//! that the query names, both times to the port that the client asked from and with TTL [`TTL`]. A message
//! that says its version is of the later protocol ([`super::omping`]).
//!
//! | type | length | option |
//! | --- | --- | --- |
//! | 1 | 4 | client id |
//! | 2 | 4 | number, from 1 |
//! | 3 | 8 | time of the query, which only the client reads |
//! | 4 | 5 or 17 | group: 1 and an IPv4 address, or 2 and an IPv6 address |

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The server's UDP port.
pub const PORT: u16 = 4321;
/// TTL or hop limit that servers answer with.
pub const TTL: u8 = 64;
/// The source-specific groups that servers answer on.
pub const SSM_V4: Ipv4Addr = Ipv4Addr::new(232, 43, 211, 234);
/// The same for IPv6.
pub const SSM_V6: Ipv6Addr = Ipv6Addr::new(0xff3e, 0, 0, 0, 0, 0, 0x4321, 0x1234);

const QUERY: u8 = b'Q';
const ANSWER: u8 = b'A';

/// What a query says, and its answer says again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Tells one client from another.
    pub client: u32,
    /// The number, from 1.
    pub number: u32,
    /// When it was asked, by whatever clock the client likes.
    pub stamp: u64,
    /// Where the answer is wanted as well.
    pub group: IpAddr,
}

/// Length of a query for this group, in bytes.
pub fn length(group: IpAddr) -> usize {
    if group.is_ipv4() { 38 } else { 50 }
}

/// Whether servers answer on this group: they take no others, lest they be used against a network.
pub fn answers_on(group: IpAddr) -> bool {
    match group {
        IpAddr::V4(ip) => ip.is_multicast() && ip.octets()[3] == SSM_V4.octets()[3],
        IpAddr::V6(ip) => ip.is_multicast() && ip.segments()[6..] == SSM_V6.segments()[6..],
    }
}

impl Message {
    /// Writes the query.
    pub fn query(&self, out: &mut Vec<u8>) {
        out.push(QUERY);
        option(out, 1, &[&self.client.to_be_bytes()]);
        option(out, 2, &[&self.number.to_be_bytes()]);
        option(out, 3, &[&self.stamp.to_be_bytes()]);
        match self.group {
            IpAddr::V4(ip) => option(out, 4, &[&[1], &ip.octets()]),
            IpAddr::V6(ip) => option(out, 4, &[&[2], &ip.octets()]),
        }
    }

    /// Reads an answer; `None` if it is none, or lacks an option. Options not known are passed over.
    pub fn answer(b: &[u8]) -> Option<Message> {
        let (&ANSWER, rest) = b.split_first()? else { return None };
        let (mut client, mut number, mut stamp, mut group) = (None, None, None, None);
        for found in options(rest) {
            let (kind, value) = found?;
            match kind {
                1 => client = Some(u32::from_be_bytes(value.try_into().ok()?)),
                2 => number = Some(u32::from_be_bytes(value.try_into().ok()?)),
                3 => stamp = Some(u64::from_be_bytes(value.try_into().ok()?)),
                4 => group = address(value),
                _ => {}
            }
        }
        Some(Message { client: client?, number: number?, stamp: stamp?, group: group? })
    }
}

/// The group that a query wants its answer on as well; `None` if it is no query of this protocol. What else
/// a client puts there is its own affair: the answer says it again.
pub fn asked_on(b: &[u8]) -> Option<IpAddr> {
    let (&QUERY, rest) = b.split_first()? else { return None };
    let mut group = None;
    for found in options(rest) {
        match found? {
            (0, _) => return None,
            (4, value) => group = address(value),
            _ => {}
        }
    }
    group
}

/// Makes a query its answer.
pub fn turn(query: &mut [u8]) {
    if let Some(letter) = query.first_mut() {
        *letter = ANSWER;
    }
}

/// Appends an option.
pub(super) fn option(out: &mut Vec<u8>, kind: u16, value: &[&[u8]]) {
    let length: usize = value.iter().map(|v| v.len()).sum();
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&(length as u16).to_be_bytes());
    value.iter().for_each(|v| out.extend_from_slice(v));
}

/// The options, type and value, of what follows the letter. One that is cut short is `None`, and the last;
/// fewer than four bytes at the end are no option.
pub(super) fn options(mut rest: &[u8]) -> impl Iterator<Item = Option<(u16, &[u8])>> {
    std::iter::from_fn(move || {
        let (head, after) = rest.split_first_chunk::<4>()?;
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let Some((value, next)) = after.split_at_checked(length) else {
            rest = &[];
            return Some(None);
        };
        rest = next;
        Some(Some((u16::from_be_bytes([head[0], head[1]]), value)))
    })
}

fn address(value: &[u8]) -> Option<IpAddr> {
    match value.split_first()? {
        (1, ip) => Some(<[u8; 4]>::try_from(ip).ok()?.into()),
        (2, ip) => Some(<[u8; 16]>::try_from(ip).ok()?.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A query of ssmping 0.9.1, as captured.
    const CAPTURED: [u8; 38] = [
        0x51, 0, 1, 0, 4, 0, 0, 0x38, 0x3d, 0, 2, 0, 4, 0, 0, 0, 1, 0, 3, 0, 8, 0x6b, 3, 0x69, 0x0d, 0, 9,
        0xd5, 0xbc, 0, 4, 0, 5, 1, 0xe8, 0x2b, 0xd3, 0xea,
    ];

    #[test]
    fn what_is_written_is_what_ssmping_writes_and_its_answer_is_read() {
        let m = Message { client: 0x383d, number: 1, stamp: 0x6b03_690d_0009_d5bc, group: SSM_V4.into() };
        let mut out = Vec::new();
        m.query(&mut out);
        assert_eq!((&out[..], out.len()), (&CAPTURED[..], length(m.group)));
        assert_eq!(Message::answer(&out), None, "a query is no answer");
        assert_eq!(asked_on(&out), Some(m.group));
        turn(&mut out);
        assert_eq!(asked_on(&out), None, "an answer is no query");
        assert_eq!(Message::answer(&out), Some(m));
        let six = Message { group: SSM_V6.into(), ..m };
        out.clear();
        six.query(&mut out);
        assert_eq!(out.len(), length(six.group));
        out[0] = b'A';
        assert_eq!(Message::answer(&out), Some(six));
        for cut in 0..out.len() {
            assert_eq!(Message::answer(&out[..cut]), None, "cut to {cut}");
        }
        out[0] = b'Q';
        for cut in 0..out.len() {
            assert_eq!(asked_on(&out[..cut]), None, "cut to {cut}");
        }
        // A version makes it the later protocol's.
        out.extend([0, 0, 0, 1, 2]);
        assert_eq!(asked_on(&out), None);
    }

    #[test]
    fn servers_answer_on_their_own_groups_only() {
        for (group, yes) in [
            ("232.43.211.234", true),
            ("239.1.1.234", true),
            ("239.1.1.1", false),
            ("10.0.0.234", false),
            ("ff3e::4321:1234", true),
            ("ff15::4321:1234", true),
            ("ff15::1", false),
        ] {
            assert_eq!(answers_on(group.parse().unwrap()), yes, "{group}");
        }
    }
}
