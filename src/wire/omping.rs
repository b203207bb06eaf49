//! omping (version 2 of draft-ietf-mboned-ssmping, as omping 0.0.5 speaks it): a client introduces itself to a
//! server by unicast, gets a session, and then asks as with [`super::ssmping`], with which it shares port,
//! groups and the form of its messages.
//!
//! | letter | message | options |
//! | --- | --- | --- |
//! | `I` | a client introduces itself | version, client, prefix of groups it would listen to |
//! | `S` | a server's response; without a session it means stop | version, client, group and session, or prefix |
//! | `Q` | query | version, client, number, time, group, session |
//! | `A` | answer, to the client and to the group | those of the query without the session, TTL |
//!
//! | type | length | option |
//! | --- | --- | --- |
//! | 0 | 1 | version, [`VERSION`] |
//! | 1 | any | client, which the server says again |
//! | 2 | 4 | number, from 1 |
//! | 3 | 8 | time of the query, which only the client reads |
//! | 4 | 6 or 18 | group: family (1 IPv4, 2 IPv6) in two bytes, address |
//! | 5 | 2 each | options asked for |
//! | 6 | any | the server's name and version |
//! | 9 | 1 | TTL that the server sends with |
//! | 10 | 3 and more | prefix: family, length in bits, address |
//! | 11 | any | session |
//! | 12 | 8 | the server's time: seconds and microseconds since 1970 |

use std::net::IpAddr;

use super::ssmping::{option, options};

/// The version of the protocol that is spoken here.
pub const VERSION: u8 = 2;
/// Length of a session in bytes: clients send so many back, whatever they were given.
pub const SESSION: usize = 16;

mod kind {
    pub const VERSION: u16 = 0;
    pub const CLIENT: u16 = 1;
    pub const NUMBER: u16 = 2;
    pub const TIME: u16 = 3;
    pub const GROUP: u16 = 4;
    pub const REQUEST: u16 = 5;
    pub const SERVER: u16 = 6;
    pub const TTL: u16 = 9;
    pub const PREFIX: u16 = 10;
    pub const SESSION: u16 = 11;
    pub const SERVER_TIME: u16 = 12;
}

/// What a message is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A client introduces itself.
    Init,
    /// A server's response to that, or its wish to stop.
    Response,
    /// A query.
    Query,
    /// Its answer.
    Answer,
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// What it is.
    pub kind: Kind,
    /// Who the client says it is.
    pub client: Option<&'a [u8]>,
    /// The number of a query.
    pub number: Option<u32>,
    /// When it was asked, by the client's clock.
    pub stamp: Option<u64>,
    /// The group.
    pub group: Option<IpAddr>,
    /// Groups that the client would listen to or the server would send to: addresses of full length.
    pub prefixes: Vec<IpAddr>,
    /// The session.
    pub session: Option<&'a [u8]>,
    /// TTL that the server sends with.
    pub ttl: Option<u8>,
    /// The client asks for the server's time.
    pub wants_time: bool,
    /// The client asks for the server's name.
    pub wants_name: bool,
}

impl<'a> Message<'a> {
    /// Reads one; `None` if it is none of this protocol and version. Options not known, or of another
    /// length than theirs, are passed over, as omping does.
    pub fn parse(b: &'a [u8]) -> Option<Message<'a>> {
        let (letter, rest) = b.split_first()?;
        let kind = match letter {
            b'I' => Kind::Init,
            b'S' => Kind::Response,
            b'Q' => Kind::Query,
            b'A' => Kind::Answer,
            _ => return None,
        };
        let mut m = Message {
            kind,
            client: None,
            number: None,
            stamp: None,
            group: None,
            prefixes: Vec::new(),
            session: None,
            ttl: None,
            wants_time: false,
            wants_name: false,
        };
        let mut version = None;
        for found in options(rest) {
            let (kind, value) = found?;
            match kind {
                kind::VERSION => version = value.first().filter(|_| value.len() == 1),
                kind::CLIENT if !value.is_empty() => m.client = Some(value),
                kind::NUMBER => m.number = value.try_into().ok().map(u32::from_be_bytes),
                kind::TIME => m.stamp = value.try_into().ok().map(u64::from_be_bytes),
                kind::GROUP => m.group = address(value),
                kind::REQUEST => {
                    let asks = |kind: u16| value.chunks_exact(2).any(|c| c == kind.to_be_bytes());
                    (m.wants_time, m.wants_name) = (asks(kind::SERVER_TIME), asks(kind::SERVER));
                }
                kind::TTL if value.len() == 1 => m.ttl = value.first().copied(),
                kind::PREFIX => m.prefixes.extend(full_prefix(value)),
                kind::SESSION if !value.is_empty() => m.session = Some(value),
                _ => {}
            }
        }
        (version == Some(&VERSION)).then_some(m)
    }

    /// Writes the response to an introduction: a session for a group, or the group that the server would
    /// take instead.
    pub fn respond(&self, out: &mut Vec<u8>, with: Result<(IpAddr, &[u8; SESSION]), IpAddr>, name: &str) {
        self.begin_response(out);
        if let Ok((group, _)) = with {
            put_group(out, group);
        }
        if self.wants_name {
            option(out, kind::SERVER, &[name.as_bytes()]);
        }
        match with {
            Ok((_, session)) => option(out, kind::SESSION, &[session]),
            Err(group) => put_prefix(out, group),
        }
    }

    /// Writes a response that tells the client to stop, or to begin anew.
    pub fn stop(&self, out: &mut Vec<u8>) {
        self.begin_response(out);
    }

    fn begin_response(&self, out: &mut Vec<u8>) {
        begin(out, b'S', self.client);
        if let Some(number) = self.number {
            option(out, kind::NUMBER, &[&number.to_be_bytes()]);
        }
    }
}

/// Writes a client's introduction.
pub fn init(out: &mut Vec<u8>, client: &[u8], group: IpAddr) {
    begin(out, b'I', Some(client));
    put_prefix(out, group);
}

/// Writes a query.
pub fn query(out: &mut Vec<u8>, client: &[u8], number: u32, stamp: u64, group: IpAddr, session: &[u8]) {
    begin(out, b'Q', Some(client));
    option(out, kind::NUMBER, &[&number.to_be_bytes()]);
    option(out, kind::TIME, &[&stamp.to_be_bytes()]);
    put_group(out, group);
    option(out, kind::SESSION, &[session]);
}

/// Length of a query for this group, in bytes, of a client that names itself in so many bytes.
pub fn length(group: IpAddr, client: usize) -> usize {
    let address = if group.is_ipv4() { 4 } else { 16 };
    1 + 5 + (4 + client) + 8 + 12 + (6 + address) + (4 + SESSION)
}

/// Writes the answer to a query. `time` is the server's clock, in seconds and microseconds since 1970, for
/// a client that asks for it.
pub fn answer(out: &mut Vec<u8>, query: &[u8], ttl: u8, time: Option<(u32, u32)>) {
    out.push(b'A');
    const OWN: [u16; 5] = [kind::SERVER, kind::PREFIX, kind::SESSION, kind::TTL, kind::SERVER_TIME];
    for (kind, value) in options(query.get(1..).unwrap_or_default()).flatten() {
        if !OWN.contains(&kind) {
            option(out, kind, &[value]);
        }
    }
    option(out, kind::TTL, &[&[ttl]]);
    if let Some((seconds, micros)) = time {
        option(out, kind::SERVER_TIME, &[&seconds.to_be_bytes(), &micros.to_be_bytes()]);
    }
}

fn begin(out: &mut Vec<u8>, letter: u8, client: Option<&[u8]>) {
    out.push(letter);
    option(out, kind::VERSION, &[&[VERSION]]);
    if let Some(client) = client {
        option(out, kind::CLIENT, &[client]);
    }
}

fn put_group(out: &mut Vec<u8>, group: IpAddr) {
    match group {
        IpAddr::V4(ip) => option(out, kind::GROUP, &[&[0, 1], &ip.octets()]),
        IpAddr::V6(ip) => option(out, kind::GROUP, &[&[0, 2], &ip.octets()]),
    }
}

fn put_prefix(out: &mut Vec<u8>, group: IpAddr) {
    match group {
        IpAddr::V4(ip) => option(out, kind::PREFIX, &[&[0, 1, 32], &ip.octets()]),
        IpAddr::V6(ip) => option(out, kind::PREFIX, &[&[0, 2, 128], &ip.octets()]),
    }
}

fn address(value: &[u8]) -> Option<IpAddr> {
    match value.split_first_chunk()? {
        ([0, 1], ip) => Some(<[u8; 4]>::try_from(ip).ok()?.into()),
        ([0, 2], ip) => Some(<[u8; 16]>::try_from(ip).ok()?.into()),
        _ => None,
    }
}

fn full_prefix(value: &[u8]) -> Option<IpAddr> {
    match value.split_first_chunk()? {
        ([0, 1, 32], ip) => Some(<[u8; 4]>::try_from(ip).ok()?.into()),
        ([0, 2, 128], ip) => Some(<[u8; 16]>::try_from(ip).ok()?.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ssmping::{self, SSM_V4};

    // As captured between two omping 0.0.5.
    const INIT: &str =
        "49000000010200010018896600000a620001f7f1219da0d4cfd9627330f53e4b67fc000a0007000120e82bd3ea";
    const RESPONSE: &str = "53000000010200010018896600000a620001f7f1219da0d4cfd9627330f53e4b67fc00040006\
                            0001e82bd3ea000b00108a6600008edbb810681bad111b9513e8";
    const QUERY: &str = "51000000010200010018896600000a620001f7f1219da0d4cfd9627330f53e4b67fc000200040000\
                         0001000300086b0382fe000b3655000400060001e82bd3ea000b00108a6600008edbb810681bad111b9513e8";
    const ANSWER: &str = "41000000010200010018896600000a620001f7f1219da0d4cfd9627330f53e4b67fc000200040000\
                          0001000300086b0382fe000b3655000400060001e82bd3ea0009000140";

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |c: &[u8]| u8::from_str_radix(std::str::from_utf8(c).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    #[test]
    fn what_is_written_is_what_omping_writes() {
        let (i, s, q, a) = (bytes(INIT), bytes(RESPONSE), bytes(QUERY), bytes(ANSWER));
        let group = IpAddr::from(SSM_V4);
        let met = Message::parse(&i).unwrap();
        let client = met.client.unwrap();
        assert_eq!((met.kind, client.len(), &met.prefixes[..]), (Kind::Init, 24, &[group][..]));
        let written = |write: &dyn Fn(&mut Vec<u8>)| {
            let mut out = Vec::new();
            write(&mut out);
            out
        };
        assert_eq!(written(&|o| init(o, client, group)), i);
        let answered = Message::parse(&s).unwrap();
        let session: &[u8; SESSION] = answered.session.unwrap().try_into().unwrap();
        assert_eq!(
            (answered.kind, answered.group, answered.client),
            (Kind::Response, Some(group), met.client)
        );
        assert_eq!(written(&|o| met.respond(o, Ok((group, session)), "")), s);
        let asked = Message::parse(&q).unwrap();
        assert_eq!((asked.kind, asked.number, asked.session), (Kind::Query, Some(1), Some(&session[..])));
        assert_eq!(written(&|o| query(o, client, 1, asked.stamp.unwrap(), group, session)), q);
        assert_eq!(length(group, client.len()), q.len());
        assert_eq!(written(&|o| answer(o, &q, 64, None)), a);
        let heard = Message::parse(&a).unwrap();
        assert_eq!((heard.kind, heard.ttl, heard.stamp), (Kind::Answer, Some(64), asked.stamp));
    }

    #[test]
    fn what_a_client_asks_for_is_told_and_a_group_refused_is_named() {
        let asks = [&bytes(INIT)[..], &[0, 5, 0, 4, 0, 6, 0, 12]].concat();
        let met = Message::parse(&asks).unwrap();
        assert!(met.wants_name && met.wants_time);
        let other = "ff3e::4321:1234".parse().unwrap();
        let mut out = Vec::new();
        met.respond(&mut out, Err(other), "me 1");
        let told = Message::parse(&out).unwrap();
        assert_eq!((told.session, told.group, &told.prefixes[..]), (None, None, &[other][..]));
        assert!(out.windows(8).any(|w| w == [&[0, 6, 0, 4][..], b"me 1"].concat()));
        out.clear();
        answer(&mut out, &bytes(QUERY), 9, Some((1, 2)));
        assert!(out.ends_with(&[0, 9, 0, 1, 9, 0, 12, 0, 8, 0, 0, 0, 1, 0, 0, 0, 2]));
    }

    #[test]
    fn other_versions_and_what_is_cut_are_no_message() {
        assert_eq!(Message::parse(&bytes(&INIT.replacen("0102", "0101", 1))), None);
        for whole in [INIT, RESPONSE, QUERY, ANSWER].map(bytes) {
            for cut in 0..whole.len() {
                // Between two options it is a shorter message.
                let _ = Message::parse(&whole[..cut]);
            }
            assert_eq!(Message::parse(&whole[..whole.len() - 1]), None);
            assert_eq!(ssmping::asked_on(&whole), None, "the two protocols are told apart");
        }
    }
}
