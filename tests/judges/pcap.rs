//! Capture files, read and written by the plainest means: what is judged shares no code with the judge.

use std::path::Path;

/// Captured IP packet: when, and its bytes from the IP header on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Nanoseconds since 1970.
    pub time_ns: u64,
    /// The IP packet, as much as was captured of it.
    pub bytes: Vec<u8>,
}

/// Nanoseconds, little endian.
const MAGIC_NS: u32 = 0xa1b2_3c4d;
/// Microseconds, little endian.
const MAGIC_US: u32 = 0xa1b2_c3d4;
/// Link types: Ethernet, and IP packets without a link's header.
const ETHERNET: u32 = 1;
const RAW: u32 = 101;

/// Writes IP packets in the order of their times.
///
/// # Panics
/// If the file cannot be written.
pub fn write(path: &Path, packets: &[Packet]) {
    let mut out = Vec::new();
    for word in [MAGIC_NS, 4 << 16 | 2, 0, 0, 65_535, RAW] {
        out.extend(word.to_le_bytes());
    }
    let mut order: Vec<&Packet> = packets.iter().collect();
    order.sort_by_key(|p| p.time_ns);
    for p in order {
        let (s, ns, len) = (p.time_ns / 1_000_000_000, p.time_ns % 1_000_000_000, p.bytes.len() as u32);
        for word in [s as u32, ns as u32, len, len] {
            out.extend(word.to_le_bytes());
        }
        out.extend(&p.bytes);
    }
    std::fs::write(path, out).unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
}

/// Reads the IP packets of a capture; frames that carry none are left out.
///
/// # Panics
/// If it is no pcap file of Ethernet frames or IP packets.
pub fn read(path: &Path) -> Vec<Packet> {
    let b = std::fs::read(path).unwrap_or_else(|e| panic!("read {}: {e}", path.display()));
    let word = |at: usize| b.get(at..at + 4).map(|w| u32::from_le_bytes([w[0], w[1], w[2], w[3]]));
    let unit = match word(0) {
        Some(MAGIC_NS) => 1,
        Some(MAGIC_US) => 1000,
        other => panic!("{}: no pcap file: it begins with {other:x?}", path.display()),
    };
    let link = word(20).expect("a header of 24 bytes") & 0xffff;
    let mut packets = Vec::new();
    let mut at = 24;
    while let (Some(s), Some(part), Some(kept)) = (word(at), word(at + 4), word(at + 8)) {
        let end = at + 16 + kept as usize;
        let frame = b.get(at + 16..end).unwrap_or_else(|| panic!("{} is cut off", path.display()));
        at = end;
        let bytes = match link {
            RAW => frame.to_vec(),
            ETHERNET if matches!(frame.get(12..14), Some([0x08, 0x00] | [0x86, 0xdd])) => {
                frame[14..].to_vec()
            }
            ETHERNET => continue,
            other => panic!("{}: link type {other}", path.display()),
        };
        packets.push(Packet { time_ns: u64::from(s) * 1_000_000_000 + u64::from(part) * unit, bytes });
    }
    packets
}
