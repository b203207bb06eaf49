//! The kernel's counters and tables under /proc/net: text to values. Pure.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use super::facts::{Member, Softnet, UdpSocket};
use crate::base::group::Endpoint;

/// Counters by name: "Udp InDatagrams", "IpExt InMcastPkts", "Ip6InReceives".
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    values: BTreeMap<String, u64>,
}

impl Counters {
    /// Adds what /proc/net/snmp or /proc/net/netstat has: pairs of lines with the same prefix, the first
    /// with names, the second with values. Columns are told by name; they are appended over the versions.
    pub fn read_pairs(&mut self, text: &str) {
        let mut lines = text.lines();
        while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
            let (Some((prefix, names)), Some((again, values))) =
                (names.split_once(':'), values.split_once(':'))
            else {
                continue;
            };
            if prefix != again {
                continue;
            }
            for (name, value) in names.split_whitespace().zip(values.split_whitespace()) {
                // Some are -1 for "no limit".
                if let Ok(value) = value.parse() {
                    self.values.insert(format!("{prefix} {name}"), value);
                }
            }
        }
    }

    /// Adds what /proc/net/snmp6 or /proc/net/dev_snmp6/IF has: a name and a value a line.
    pub fn read_lines(&mut self, text: &str) {
        for line in text.lines() {
            let mut words = line.split_whitespace();
            if let (Some(name), Some(Ok(value))) = (words.next(), words.next().map(str::parse)) {
                self.values.insert(name.to_owned(), value);
            }
        }
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<u64> {
        self.values.get(name).copied()
    }

    /// Increases since an earlier reading. What was not there earlier counted from 0: the kernel leaves
    /// some out while they are 0.
    #[must_use]
    pub fn since(&self, earlier: &Counters) -> Counters {
        let increase =
            |(name, now): (&String, &u64)| (name.clone(), now.saturating_sub(earlier.get(name).unwrap_or(0)));
        Counters { values: self.values.iter().map(increase).collect() }
    }

    /// Made up, for tests.
    #[cfg(test)]
    pub fn made_up(values: &[(&str, u64)]) -> Counters {
        Counters { values: values.iter().map(|(n, v)| ((*n).to_owned(), *v)).collect() }
    }
}

/// Reads /proc/net/softnet_stat: hexadecimal, a line a processor. Cumulative.
pub fn softnet(text: &str) -> Vec<Softnet> {
    let row = |(n, line): (usize, &str)| {
        let columns: Vec<u64> =
            line.split_whitespace().map_while(|w| u64::from_str_radix(w, 16).ok()).collect();
        Some(Softnet {
            // Older kernels do not say which processor a line is of.
            cpu: columns.get(12).map_or(n as u32, |&c| c as u32),
            dropped: *columns.get(1)?,
            squeezed: *columns.get(2)?,
        })
    };
    text.lines().enumerate().filter_map(row).collect()
}

/// Reads /proc/net/udp or /proc/net/udp6. `drops` is cumulative in both fields.
pub fn udp(text: &str) -> Vec<UdpSocket> {
    let row = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let drops = words.get(12)?.parse().ok()?;
        Some(UdpSocket {
            local: endpoint(words.get(1)?)?,
            connected: endpoint(words.get(2)?)?.port != 0,
            uid: words.get(7)?.parse().ok()?,
            inode: words.get(9)?.parse().ok()?,
            drops,
            drops_ever: drops,
            program: None,
        })
    };
    text.lines().skip(1).filter_map(row).collect()
}

/// An address as /proc has it: 32-bit words in host order, hexadecimal, and the port.
fn endpoint(text: &str) -> Option<Endpoint> {
    let (address, port) = text.split_once(':')?;
    Some(Endpoint::new(host_order(address)?, u16::from_str_radix(port, 16).ok()?))
}

/// The address in words of host order.
fn host_order(hex: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(hex.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut octets = [0; 16];
            for (n, chunk) in octets.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(n * 8)?);
            }
            Some(Ipv6Addr::from(octets).into())
        }
        _ => None,
    }
}

/// Reads /proc/net/igmp: memberships, and the IGMP version of each interface.
pub fn igmp(text: &str) -> (Vec<Member>, Vec<(Arc<str>, u8)>) {
    let (mut members, mut versions) = (Vec::new(), Vec::new());
    let mut iface: Arc<str> = "".into();
    for line in text.lines().skip(1) {
        let mut words = line.split_whitespace();
        if line.starts_with(|c: char| c.is_ascii_digit()) {
            // Idx Device : Count Querier; a long name runs into its colon.
            let Some(name) = words.nth(1) else { continue };
            iface = name.trim_end_matches(':').into();
            let version = line.split_whitespace().last().and_then(|v| v.strip_prefix('V'));
            if let Some(version) = version.and_then(|v| v.parse().ok()) {
                versions.push((iface.clone(), version));
            }
        } else if let (Some(group), Some(users)) = (words.next().and_then(host_order), words.next()) {
            members.push(Member { iface: iface.clone(), group, users: users.parse().unwrap_or(0) });
        }
    }
    (members, versions)
}

/// Reads /proc/net/igmp6: index, name, group in network order, users.
pub fn igmp6(text: &str) -> Vec<Member> {
    let row = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let iface = words.next()?.into();
        let group = Ipv6Addr::from(u128::from_str_radix(words.next()?, 16).ok()?).into();
        Some(Member { iface, group, users: words.next()?.parse().ok()? })
    };
    text.lines().filter_map(row).collect()
}

/// Reads /proc/net/route: whether one of them is a default route that is up.
pub fn has_default_route(text: &str) -> bool {
    text.lines().skip(1).any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let up = words.get(3).and_then(|f| u32::from_str_radix(f, 16).ok()).is_some_and(|f| f & 1 == 1);
        up && words.get(1) == Some(&"00000000") && words.get(7) == Some(&"00000000")
    })
}

/// Reads /proc/net/if_inet6: the flags of each interface's link-local addresses.
pub fn link_locals(text: &str) -> Vec<(Arc<str>, u32)> {
    let row = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let flags = u32::from_str_radix(words.get(4)?, 16).ok()?;
        (words.get(3)? == &"20").then(|| (Arc::from(*words.get(5).unwrap_or(&"")), flags))
    };
    text.lines().filter_map(row).collect()
}

/// Reads /proc/net/ip_mr_vif: the interfaces that multicast is routed by.
pub fn multicast_vifs(text: &str) -> Vec<String> {
    text.lines().skip(1).filter_map(|l| l.split_whitespace().nth(1)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_of_lines_are_matched_by_name_and_increases_taken() {
        let (mut a, mut b) = (Counters::default(), Counters::default());
        a.read_pairs("Udp: InDatagrams NoPorts\nUdp: 10 1\nIp: MaxConn\nIp: -1\n");
        b.read_pairs("Udp: New InDatagrams NoPorts\nUdp: 7 25 1\n");
        b.read_lines("Ip6InReceives                   \t12\nIcmp6InType130 3\n");
        let d = b.since(&a);
        assert_eq!(d.get("Udp InDatagrams"), Some(15));
        assert_eq!(d.get("Udp NoPorts"), Some(0));
        assert_eq!(d.get("Udp New"), Some(7));
        assert_eq!(d.get("Icmp6InType130"), Some(3));
        assert_eq!((a.get("Ip MaxConn"), d.get("Udp Other")), (None, None));
    }

    #[test]
    fn sockets_are_read_with_their_drops() {
        let group = u32::from_ne_bytes([239, 1, 1, 1]);
        let text = format!(
            "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n \
             1234: {group:08X}:138C 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 57321 2 0000000000000000 88\n \
             junk\n"
        );
        let all = udp(&text);
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].local, Endpoint::new("239.1.1.1".parse().unwrap(), 5004));
        assert_eq!((all[0].uid, all[0].inode, all[0].drops_ever, all[0].connected), (1000, 57321, 88, false));
        let ip: Ipv6Addr = "ff15::7".parse().unwrap();
        let hex: String = ip
            .octets()
            .chunks(4)
            .map(|c| format!("{:08X}", u32::from_ne_bytes(c.try_into().unwrap())))
            .collect();
        assert_eq!(endpoint(&format!("{hex}:0050")), Some(Endpoint::new(ip.into(), 80)));
    }

    #[test]
    fn memberships_and_versions_are_read() {
        let group = u32::from_ne_bytes([239, 1, 1, 1]);
        let text = format!(
            "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n\
             1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n\
             12\tenp0s31f6dx:     2      V2\n\t\t\t\t{group:08X}     3 1:00000123\t\t1\n"
        );
        let (members, versions) = igmp(&text);
        assert_eq!(versions, [("lo".into(), 3), ("enp0s31f6dx".into(), 2)]);
        let want = Member { iface: "enp0s31f6dx".into(), group: "239.1.1.1".parse().unwrap(), users: 3 };
        assert_eq!(members[1], want);
        let v6 = igmp6("2    eth0            ff0200000000000000000000000000fb     2 0000000C 0\n");
        assert_eq!(v6, [Member { iface: "eth0".into(), group: "ff02::fb".parse().unwrap(), users: 2 }]);
    }

    #[test]
    fn small_tables_are_read() {
        let line = "0000000a 00000003 00000002 0 0 0 0 0 0 0 0 0 00000001";
        assert_eq!(softnet(line), [Softnet { cpu: 1, dropped: 3, squeezed: 2 }]);
        let head = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n";
        assert!(has_default_route(&format!("{head}eth0 00000000 0100000A 0003 0 0 0 00000000 0 0 0\n")));
        assert!(!has_default_route(&format!("{head}eth0 0000000A 00000000 0001 0 0 0 000000FF 0 0 0\n")));
        let text = "fe800000000000000000000000000001 02 40 20 c0     eth0\n00000000000000000000000000000001 01 80 10 80 lo\n";
        assert_eq!(link_locals(text), [("eth0".into(), 0xc0)]);
        assert_eq!(multicast_vifs("Interface      BytesIn\n 0 eth0 1 2\n"), ["eth0"]);
    }
}
