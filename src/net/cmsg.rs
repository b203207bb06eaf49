//! Control messages: what the kernel says of a datagram beside its bytes.
//!
//! The one place where they are walked. It reads the bytes that the kernel wrote and nothing else,
//! so it is safe code with the layout of `cmsghdr` in three constants; a test compares it with the
//! system's own macros. Messages are told apart by level and type, never by position.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::sys::{self, told};
use crate::base::time::{SECOND_NS, Wall};

/// Room for what is asked for, with some to spare: 112 bytes for IPv4 and 120 for IPv6 on 64-bit
/// Linux, more than any other system needs. If it were too small the kernel would cut the last ones.
pub const CONTROL: usize = 192;

/// The length field of a `cmsghdr`: a `size_t`, on macOS a `u32`.
const LEN_BYTES: usize = if cfg!(target_os = "macos") { 4 } else { size_of::<usize>() };

/// Where the data starts: length, level and type, padded.
const DATA: usize = (LEN_BYTES + 8).next_multiple_of(sys::CMSG_ALIGN);

/// What was said of one datagram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Kernel receive time.
    pub time: Option<Wall>,
    /// The address it was sent to.
    pub destination: Option<IpAddr>,
    /// The interface it arrived on, 0 if unknown.
    pub ifindex: u32,
    /// TTL or hop limit.
    pub ttl: Option<u8>,
    /// TOS or traffic class byte.
    pub tos: Option<u8>,
}

/// Reads the control messages in `control`, as long as the kernel said they are.
pub fn read(control: &[u8]) -> Told {
    let mut out = Told::default();
    for (level, kind, data) in (Messages { rest: control }) {
        match level {
            sys::SOL_SOCKET if told::TIME == Some(kind) => out.time = time(data),
            sys::IPPROTO_IP if kind == told::PKTINFO => {
                let Some(index) = u32_at(data, told::PKTINFO_INDEX) else { continue };
                let Some(ip) = bytes_at::<4>(data, told::PKTINFO_ADDR) else { continue };
                out.ifindex = index;
                out.destination = Some(IpAddr::V4(Ipv4Addr::from(ip)));
            }
            sys::IPPROTO_IP if told::TTL.contains(&kind) => out.ttl = small(data),
            sys::IPPROTO_IP if told::TOS.contains(&kind) => out.tos = small(data),
            sys::IPPROTO_IPV6 if kind == told::PKTINFO6 => {
                let (Some(ip), Some(index)) = (bytes_at::<16>(data, 0), u32_at(data, 16)) else { continue };
                out.ifindex = index;
                out.destination = Some(IpAddr::V6(Ipv6Addr::from(ip)));
            }
            sys::IPPROTO_IPV6 if told::HOPLIMIT.contains(&kind) => out.ttl = small(data),
            sys::IPPROTO_IPV6 if told::TCLASS.contains(&kind) => out.tos = small(data),
            _ => {}
        }
    }
    out
}

/// Level, type and data of each message. Ends at the first that does not fit.
pub struct Messages<'a> {
    rest: &'a [u8],
}

impl<'a> Messages<'a> {
    /// Those in `control`, as long as the kernel said they are.
    #[cfg(target_os = "linux")]
    pub fn of(control: &'a [u8]) -> Self {
        Messages { rest: control }
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = (i32, i32, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let header = self.rest.get(..DATA)?;
        let len = if LEN_BYTES == 4 {
            u32_at(header, 0)? as usize
        } else {
            usize::from_ne_bytes(bytes_at(header, 0)?)
        };
        let level = u32_at(header, LEN_BYTES)? as i32;
        let kind = u32_at(header, LEN_BYTES + 4)? as i32;
        let data = self.rest.get(DATA..len)?;
        let next = len.checked_next_multiple_of(sys::CMSG_ALIGN)?;
        self.rest = self.rest.get(next..).unwrap_or(&[]);
        Some((level, kind, data))
    }
}

/// A `timespec` or `timeval`: seconds and a part of one, each as wide as the message leaves room for.
fn time(data: &[u8]) -> Option<Wall> {
    let half = data.len() / 2;
    let word = |at: usize| -> Option<i64> {
        if half >= 8 {
            bytes_at(data, at).map(i64::from_ne_bytes)
        } else {
            Some(u32_at(data, at)? as i32 as i64)
        }
    };
    let seconds = word(0)?;
    let part = if told::TIME_IS_NS { word(half)? } else { i64::from(u32_at(data, half)? as i32) * 1000 };
    Some(Wall(seconds.checked_mul(SECOND_NS as i64)?.checked_add(part)?))
}

/// A number of one byte or of a C `int`: systems differ, even from option to option.
fn small(data: &[u8]) -> Option<u8> {
    match data.len() {
        0 => None,
        1..4 => Some(data[0]),
        _ => u32_at(data, 0).and_then(|v| u8::try_from(v).ok()),
    }
}

fn u32_at(data: &[u8], at: usize) -> Option<u32> {
    bytes_at(data, at).map(u32::from_ne_bytes)
}

fn bytes_at<const N: usize>(data: &[u8], at: usize) -> Option<[u8; N]> {
    data.get(at..)?.first_chunk().copied()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// Lays messages out by the system's own macros, as the kernel does.
    fn lay_out(messages: &[(i32, i32, &[u8])]) -> Vec<u8> {
        let mut buf = vec![0u64; CONTROL / 8];
        let mut used = 0;
        for (level, kind, data) in messages {
            // SAFETY: CMSG_SPACE only computes.
            let space = unsafe { libc::CMSG_SPACE(data.len() as u32) } as usize;
            assert!(used + space <= CONTROL);
            // SAFETY: `used` is a multiple of 8 within the buffer, `space` bytes remain, and the
            // buffer is aligned for cmsghdr.
            unsafe {
                let header = buf.as_mut_ptr().byte_add(used).cast::<libc::cmsghdr>();
                (*header).cmsg_len = libc::CMSG_LEN(data.len() as u32) as usize;
                (*header).cmsg_level = *level;
                (*header).cmsg_type = *kind;
                std::ptr::copy_nonoverlapping(data.as_ptr(), libc::CMSG_DATA(header), data.len());
            }
            used += space;
        }
        let mut out: Vec<u8> = buf.iter().flat_map(|w| w.to_ne_bytes()).collect();
        out.truncate(used);
        out
    }

    fn timespec() -> Vec<u8> {
        [1_700_000_000i64.to_ne_bytes(), 123_456_789i64.to_ne_bytes()].concat()
    }

    #[test]
    fn ipv4_messages_are_read_in_any_order() {
        let pktinfo = [&7u32.to_ne_bytes()[..], &[10, 0, 0, 2], &[239, 1, 1, 1]].concat();
        let time = timespec();
        let mut messages: Vec<(i32, i32, &[u8])> = vec![
            (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &time),
            (libc::IPPROTO_IP, libc::IP_PKTINFO, &pktinfo),
            (libc::IPPROTO_IP, libc::IP_TOS, &[0xb8]),
            (libc::IPPROTO_IP, libc::IP_TTL, &[64, 0, 0, 0]),
        ];
        let expected = Told {
            time: Some(Wall(1_700_000_000_123_456_789)),
            destination: Some("239.1.1.1".parse().unwrap()),
            ifindex: 7,
            ttl: Some(64),
            tos: Some(0xb8),
        };
        assert_eq!(read(&lay_out(&messages)), expected);
        messages.reverse();
        assert_eq!(read(&lay_out(&messages)), expected);
    }

    #[test]
    fn ipv6_messages_are_read_and_unknown_ones_passed_over() {
        let mut pktinfo = "ff02::123".parse::<Ipv6Addr>().unwrap().octets().to_vec();
        pktinfo.extend(3u32.to_ne_bytes());
        let time = timespec();
        let told = read(&lay_out(&[
            (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &time),
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL, &[1, 0, 0, 0]),
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &pktinfo),
            (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT, &255i32.to_ne_bytes()),
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &0i32.to_ne_bytes()),
        ]));
        assert_eq!(told.destination, Some("ff02::123".parse().unwrap()));
        assert_eq!((told.ifindex, told.ttl, told.tos), (3, Some(255), Some(0)));
    }

    #[test]
    fn cut_or_senseless_messages_say_nothing_and_end_the_walk() {
        let time = timespec();
        let whole = lay_out(&[(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, &time)]);
        for cut in 0..whole.len() {
            assert_eq!(read(&whole[..cut]), Told::default(), "cut at {cut}");
        }
        for len in [0usize, 1, 15, usize::MAX, usize::MAX - 7] {
            let mut bad = whole.clone();
            bad[..8].copy_from_slice(&len.to_ne_bytes());
            assert_eq!(read(&bad), Told::default(), "length {len}");
        }
        assert_eq!(read(&lay_out(&[(libc::IPPROTO_IP, libc::IP_TTL, &[])])).ttl, None);
    }
}
