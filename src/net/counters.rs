//! What interfaces counted: receive drops.

use std::sync::Arc;

/// Cumulative receive drops of each interface: datagrams and frames that the driver or the kernel
/// dropped before any socket (`drop` and `fifo` of /proc/net/dev). `None` where the system does not
/// say.
pub fn nic_drops() -> Option<Vec<(Arc<str>, u64)>> {
    #[cfg(target_os = "linux")]
    {
        // A thread may live in another network namespace than its process.
        std::fs::read_to_string("/proc/thread-self/net/dev").ok().map(|text| parse(&text))
    }
    #[cfg(not(target_os = "linux"))]
    None
}

/// Reads the table of /proc/net/dev: name, then bytes, packets, errs, drop, fifo … received.
#[cfg(any(target_os = "linux", test))]
fn parse(text: &str) -> Vec<(Arc<str>, u64)> {
    let row = |line: &str| {
        let (name, figures) = line.split_once(':')?;
        let mut figures = figures.split_whitespace().skip(3).map(str::parse::<u64>);
        let (drop, fifo) = (figures.next()?.ok()?, figures.next()?.ok()?);
        Some((Arc::from(name.trim()), drop + fifo))
    };
    text.lines().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_read_from_the_table() {
        let text = "Inter-|   Receive                                                |  Transmit\n \
                    face |bytes    packets errs drop fifo frame compressed multicast|bytes\n    \
                    lo: 1 2 0 0 0 0 0 0 1 2 0 0 0 0 0 0\n  \
                    eth0: 1 2 3 40 5 0 0 0 1 2 0 0 0 0 0 0\n";
        let want: Vec<(Arc<str>, u64)> = vec![("lo".into(), 0), ("eth0".into(), 45)];
        assert_eq!(parse(text), want);
    }
}
