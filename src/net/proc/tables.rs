//! The texts of /proc/net that tell of memberships, as net/ipv4/igmp.c, net/ipv6/mcast.c and
//! net/ipv4/udp.c of Linux write them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::base::group::Endpoint;

/// Ticks of a second in these texts (USER_HZ).
const TICKS: u64 = 100;
/// IPv6: a timer runs (MAF_TIMER_RUNNING), and this host sent the last report (MAF_LAST_REPORTER).
const TIMER_RUNS: u32 = 1;
const LAST_REPORTER: u32 = 2;

/// A line of /proc/net/igmp or igmp6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The interface's index.
    pub ifindex: u32,
    /// Its name.
    pub name: String,
    /// The version in force; IPv4 only.
    pub version: Option<u8>,
    /// The group.
    pub group: IpAddr,
    /// Sockets that joined it.
    pub users: u32,
    /// Time until it is reported, in ns, while a report is due.
    pub timer_ns: Option<u64>,
    /// Whether this host sent the last report of an old version.
    pub last_reporter: bool,
}

/// A line of /proc/net/mcfilter or mcfilter6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filtered {
    /// The interface's index.
    pub ifindex: u32,
    /// The group.
    pub group: IpAddr,
    /// A source that somebody names.
    pub source: IpAddr,
    /// Sockets that let it through.
    pub include: u32,
    /// Sockets that keep it out.
    pub exclude: u32,
}

/// A line of /proc/net/udp or udp6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// What it is bound to.
    pub local: Endpoint,
    /// Connected to a peer, and so deaf to others.
    pub connected: bool,
    /// The user's number.
    pub uid: u32,
    /// The socket's inode.
    pub inode: u64,
    /// Datagrams dropped since it was made.
    pub drops: u64,
}

fn hex32(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 16).ok().filter(|_| text.len() == 8)
}

/// An address that the kernel wrote as the number that it is in its memory.
fn native_v4(text: &str) -> Option<IpAddr> {
    Some(Ipv4Addr::from(hex32(text)?.to_ne_bytes()).into())
}

/// The same for IPv6: four numbers.
fn native_v6(text: &str) -> Option<IpAddr> {
    let mut octets = [0; 16];
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    for (i, word) in octets.chunks_exact_mut(4).enumerate() {
        word.copy_from_slice(&hex32(&text[i * 8..i * 8 + 8])?.to_ne_bytes());
    }
    Some(Ipv6Addr::from(octets).into())
}

/// An IPv6 address as its 32 digits in order.
fn digits_v6(text: &str) -> Option<IpAddr> {
    u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32).map(|n| Ipv6Addr::from(n).into())
}

fn ticks(text: &str, radix: u32) -> Option<u64> {
    Some(u64::from_str_radix(text, radix).ok()?.saturating_mul(1_000_000_000 / TICKS))
}

/// The line of an interface in /proc/net/igmp: index, name, version in force.
fn igmp_head(line: &str) -> Option<(u32, String, Option<u8>)> {
    let (left, right) = line.split_once(':')?;
    let (index, name) = left.split_once('\t')?;
    let version = right.split_whitespace().nth(1).and_then(|v| v.strip_prefix('V')?.parse().ok());
    Some((index.trim().parse().ok()?, name.trim().to_owned(), version))
}

/// Reads /proc/net/igmp: a line for each interface, then one for each of its groups.
pub fn igmp(text: &str) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut iface: Option<(u32, String, Option<u8>)> = None;
    for line in text.lines().skip(1) {
        if !line.starts_with(['\t', ' ']) {
            iface = igmp_head(line);
            continue;
        }
        let row = || {
            let (ifindex, name, version) = iface.as_ref()?;
            let mut words = line.split_whitespace();
            let group = native_v4(words.next()?)?;
            let users = words.next()?.parse().ok()?;
            let (runs, left) = words.next()?.split_once(':')?;
            let reporter = words.next()?;
            Some(Row {
                ifindex: *ifindex,
                name: name.clone(),
                version: *version,
                group,
                users,
                timer_ns: if runs == "1" { ticks(left, 16) } else { None },
                last_reporter: reporter == "1",
            })
        };
        rows.extend(row());
    }
    rows
}

/// Reads /proc/net/igmp6: a line for each group.
pub fn igmp6(text: &str) -> Vec<Row> {
    let row = |line: &str| {
        let mut words = line.split_whitespace();
        let (ifindex, name) = (words.next()?.parse().ok()?, words.next()?.to_owned());
        let group = digits_v6(words.next()?)?;
        let users = words.next()?.parse().ok()?;
        let flags = hex32(words.next()?)?;
        let left = words.next()?;
        Some(Row {
            ifindex,
            name,
            version: None,
            group,
            users,
            timer_ns: if flags & TIMER_RUNS != 0 { ticks(left, 10) } else { None },
            last_reporter: flags & LAST_REPORTER != 0,
        })
    };
    text.lines().filter_map(row).collect()
}

/// Reads /proc/net/mcfilter and mcfilter6. Names are cut there: the index tells the interface.
pub fn filters(text: &str) -> Vec<Filtered> {
    let address = |word: &str| match word.strip_prefix("0x") {
        Some(hex) => Some(IpAddr::from(Ipv4Addr::from(hex32(hex)?))),
        None => digits_v6(word),
    };
    let row = |line: &str| {
        let mut words = line.split_whitespace();
        let ifindex = words.next()?.parse().ok()?;
        let (group, source) = (address(words.nth(1)?)?, address(words.next()?)?);
        let (include, exclude) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        Some(Filtered { ifindex, group, source, include, exclude })
    };
    text.lines().filter_map(row).collect()
}

/// Reads /proc/net/udp and udp6.
pub fn sockets(text: &str) -> impl Iterator<Item = Bound> + '_ {
    let row = |line: &str| {
        let mut words = line.split_whitespace();
        let (local, remote) = (endpoint(words.nth(1)?)?, endpoint(words.next()?)?);
        let uid = words.nth(4)?.parse().ok()?;
        let inode = words.nth(1)?.parse().ok()?;
        let drops = words.nth(2)?.parse().ok()?;
        Some(Bound { local, connected: remote.port != 0, uid, inode, drops })
    };
    text.lines().filter_map(row)
}

/// An address and a port, as sockets have them there.
fn endpoint(text: &str) -> Option<Endpoint> {
    let (address, port) = text.rsplit_once(':')?;
    let address = if address.len() == 8 { native_v4(address) } else { native_v6(address) }?;
    Some(Endpoint::new(address, u16::from_str_radix(port, 16).ok()?))
}

/// Reads the MLD queries received (ICMPv6 type 130) from /proc/net/dev_snmp6/IF. The kernel leaves the
/// line out while the count is 0.
pub fn mld_queries(text: &str) -> u64 {
    let count = |line: &str| line.strip_prefix("Icmp6InType130")?.trim().parse().ok();
    text.lines().find_map(count).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    // The texts are of Linux 6.18 on a little-endian machine.
    #[cfg(target_endian = "little")]
    #[test]
    fn igmp_is_read_with_versions_and_timers() {
        let text = "Idx\tDevice    : Count Querier\tGroup    Users Timer\tReporter\n\
                    1\tlo        :     1      V3\n\t\t\t\t010000E0     1 0:00000000\t\t0\n\
                    7\tnet0      :     2      V2\n\t\t\t\t010101EF     2 1:00000064\t\t1\n\
                    \t\t\t\tFB0000E0     1 0:FFFFF000\t\t0\n";
        let rows = igmp(text);
        assert_eq!(rows.len(), 3);
        let row = |group: &str, users, timer_ns, last_reporter| Row {
            ifindex: 7,
            name: "net0".into(),
            version: Some(2),
            group: ip(group),
            users,
            timer_ns,
            last_reporter,
        };
        assert_eq!(rows[1], row("239.1.1.1", 2, Some(1_000_000_000), true));
        assert_eq!(rows[2], row("224.0.0.251", 1, None, false));
    }

    #[test]
    fn igmp6_is_read_with_timers() {
        let text = "1    lo              ff020000000000000000000000000001     1 0000000C 0\n\
                    9    net0            ff150000000000000000000000000001     3 00000003 250\n";
        let rows = igmp6(text);
        assert_eq!((rows[0].group, rows[0].timer_ns), (ip("ff02::1"), None));
        assert_eq!(
            (&*rows[1].name, rows[1].group, rows[1].users, rows[1].timer_ns, rows[1].last_reporter),
            ("net0", ip("ff15::1"), 3, Some(2_500_000_000), true)
        );
    }

    #[test]
    fn filters_of_both_families_are_read() {
        let text = "Idx Device        MCA        SRC    INC    EXC\n  \
                    7   net0 0xe8010101 0x0a630001      1      0\n";
        let want =
            Filtered { ifindex: 7, group: ip("232.1.1.1"), source: ip("10.99.0.1"), include: 1, exclude: 0 };
        assert_eq!(filters(text), [want]);
        let text = "Idx Device                     Multicast Address                   Source Address    INC    EXC\n  \
                    7   net0 ff3e0000000000000000000000000001 fd990000000000000000000000000001      0      2\n";
        let found = filters(text);
        assert_eq!((found[0].group, found[0].source, found[0].exclude), (ip("ff3e::1"), ip("fd99::1"), 2));
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn sockets_are_read_with_owner_and_inode() {
        let text = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops            \n  \
                    812: 010101EF:138C 00000000:0000 07 00000000:00000000 00:00000000 00000000  1000        0 48213 2 0000000000000000 88       \n";
        let found: Vec<Bound> = sockets(text).collect();
        let local = Endpoint::new(ip("239.1.1.1"), 5004);
        assert_eq!(found, [Bound { local, connected: false, uid: 1000, inode: 48_213, drops: 88 }]);
        let text = "  812: 000015FF000000000000000001000000:138C 00000000000000000000000001000000:1F90 07 00000000:00000000 00:00000000 00000000     0        0 5 2 0000000000000000 0\n";
        let found: Vec<Bound> = sockets(text).collect();
        assert_eq!((found[0].local.ip, found[0].connected), (ip("ff15::1"), true));
    }

    #[test]
    fn a_count_that_is_not_there_is_none_yet() {
        assert_eq!(mld_queries("ifIndex 2\nIcmp6InType130                  \t12\nIcmp6OutType143 \t4\n"), 12);
        assert_eq!(mld_queries("ifIndex 2\nIcmp6InType135 \t12\n"), 0);
    }

    #[test]
    fn nonsense_is_passed_over() {
        for text in ["", "\n\n", "\u{fffd}\n\t\tx", "1\n\t2\n", "a:b:c d e f g h\n\t\t\t\t010101EF 1 1: 0"] {
            let _ = (igmp(text), igmp6(text), filters(text), sockets(text).count(), mld_queries(text));
        }
    }
}
