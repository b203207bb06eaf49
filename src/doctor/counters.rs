//! The kernel's counters under /proc/net, and what else only the doctor reads there: text to values. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::facts::Softnet;

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
