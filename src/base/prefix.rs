//! Address prefixes: `10.1.2.0/24`, `ff15::/16`, or one whole address.

use std::fmt;
use std::net::IpAddr;

use crate::base::text::TextError;

/// All addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefix {
    ip: IpAddr,
    len: u8,
}

/// Bits of an address.
fn full(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

/// The address with all bits behind the prefix set to zero.
fn masked(ip: IpAddr, len: u8) -> IpAddr {
    match ip {
        IpAddr::V4(v) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(len.min(32))).unwrap_or(0);
            IpAddr::from((u32::from(v) & mask).to_be_bytes())
        }
        IpAddr::V6(v) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(len.min(128))).unwrap_or(0);
            IpAddr::from((u128::from(v) & mask).to_be_bytes())
        }
    }
}

impl Prefix {
    /// The addresses that share the first `len` bits of this one; more bits than it has are all.
    pub fn new(ip: IpAddr, len: u8) -> Prefix {
        let len = len.min(full(ip));
        Prefix { ip: masked(ip, len), len }
    }

    /// This address alone.
    pub fn one(ip: IpAddr) -> Prefix {
        Prefix { ip, len: full(ip) }
    }

    /// The address, where it is one alone.
    pub fn single(&self) -> Option<IpAddr> {
        (self.len == full(self.ip)).then_some(self.ip)
    }

    /// Whether an address lies in it.
    pub fn contains(&self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.ip.is_ipv4() && masked(ip, self.len) == self.ip
    }

    /// Reads `10.1.2.3`, `10.1.2.0/24`, `ff15::1`, `[ff15::1]` or `ff15::/16`; bits behind the prefix
    /// do not matter.
    ///
    /// # Errors
    /// When it is none of these.
    pub fn parse(text: &str) -> Result<Prefix, TextError> {
        let inner = text.strip_prefix('[').and_then(|v| v.strip_suffix(']')).unwrap_or(text);
        if let Ok(ip) = inner.parse::<IpAddr>() {
            return Ok(Prefix::one(ip));
        }
        let no_address = || TextError::new(text, 0..text.len(), "this is no address");
        let (head, bits) = text.split_once('/').ok_or_else(no_address)?;
        let ip = head.parse::<IpAddr>().map_err(|_| no_address())?;
        match bits.parse::<u8>() {
            Ok(len) if len <= full(ip) => Ok(Prefix::new(ip, len)),
            _ => {
                let message = format!("a prefix of this family has 0 to {} bits", full(ip));
                Err(TextError::new(text, head.len() + 1..text.len(), message))
            }
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.single() {
            Some(ip) => write!(f, "{ip}"),
            None => write!(f, "{}/{}", self.ip, self.len),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_holds_the_addresses_of_its_family_that_begin_like_it() {
        let holds = |p: &str, ip: &str| Prefix::parse(p).unwrap().contains(ip.parse().unwrap());
        assert!(holds("239.1.0.0/16", "239.1.255.1") && !holds("239.1.0.0/16", "239.2.0.0"));
        assert!(holds("0.0.0.0/0", "1.2.3.4") && !holds("0.0.0.0/0", "::1") && holds("::/0", "ff02::1"));
        assert!(holds("ff15::1", "ff15::1") && !holds("[ff15::1]", "ff15::2"));
        assert_eq!(Prefix::parse("10.1.2.3/24").unwrap().to_string(), "10.1.2.0/24");
        assert_eq!(Prefix::parse("10.1.2.3/32").unwrap().to_string(), "10.1.2.3");
    }

    #[test]
    fn what_is_no_prefix_is_said_at_its_place() {
        let e = Prefix::parse("10.1.2.0/33").unwrap_err();
        assert_eq!((e.span.clone(), e.message.as_str()), (9..11, "a prefix of this family has 0 to 32 bits"));
        for wrong in ["", "10.1.2", "10.1.2/8", "host/8", "10.1.2.3/", "10.1.2.3/x"] {
            assert!(Prefix::parse(wrong).is_err(), "{wrong}");
        }
    }
}
