//! Clusters and machines among themselves: Ganglia, Corosync Totem, Hazelcast, LCM, MAVLink.

use crate::wire::read::{Text, Tree, be16, be32, bytes, le32, line, put, u8_at, until_nul};
use crate::wire::{Confidence, Hint, Protocol, SeqSample};

/// Messages read of one MAVLink datagram.
const MESSAGES_MAX: usize = 256;
/// The shortest run of printable bytes worth showing.
const RUN_MIN: usize = 4;
/// The length of the shortest usual address, `10.0.0.1`.
const ADDRESS_MIN: usize = 8;

/// The row of Ganglia: XDR, id u32 (128 metadata … 136 request), host, metric, spoof, value.
pub static GANGLIA: Protocol = Protocol {
    id: "ganglia",
    name: "Ganglia",
    mark: "a number of gmond's at offset 0 and two names behind it",
    detect: detect_ganglia,
    preview: preview_ganglia,
    fields: |b| Tree::of(b, fields_ganglia),
    sequence: None,
};

/// The row of Corosync's Totem: magic c070 in the host's order, version 3, type, encapsulated,
/// node u32, target u32.
pub static TOTEM: Protocol = Protocol {
    id: "totem",
    name: "Corosync Totem",
    mark: "Totem's mark c070 at offset 0",
    detect: detect_totem,
    preview: preview_totem,
    fields: |b| Tree::of(b, fields_totem),
    sequence: None,
};

/// The row of Hazelcast's discovery: packet version, then a serialised join message.
pub static HAZELCAST: Protocol = Protocol {
    id: "hazelcast",
    name: "Hazelcast",
    mark: "a packet version at offset 0 and text, on port 54327",
    detect: detect_hazelcast,
    preview: preview_hazelcast,
    fields: |b| Tree::of(b, fields_hazelcast),
    sequence: None,
};

/// The row of LCM: `LC02`, sequence u32, channel, data; or `LC03`, sequence u32, size u32, fragment
/// offset u32, fragment u16, fragments u16, and in the first the channel.
pub static LCM: Protocol = Protocol {
    id: "lcm",
    name: "LCM",
    mark: "LC02 or LC03 at offset 0",
    detect: detect_lcm,
    preview: preview_lcm,
    fields: |b| Tree::of(b, fields_lcm),
    sequence: Some(sequence_lcm),
};

/// The row of MAVLink: version 1 `fe`, length, sequence, system, component, message; version 2 `fd`,
/// length, two flag bytes, sequence, system, component, message u24 little endian.
pub static MAVLINK: Protocol = Protocol {
    id: "mavlink",
    name: "MAVLink",
    mark: "fd or fe at offset 0 and lengths that add up",
    detect: detect_mavlink,
    preview: preview_mavlink,
    fields: |b| Tree::of(b, fields_mavlink),
    sequence: Some(sequence_mavlink),
};

/// An XDR string (RFC 4506 section 4.11) that can be printed, and the offset after it.
fn xdr_string(b: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let n = usize::try_from(be32(b, at)?).ok().filter(|n| *n <= 1024)?;
    let s = bytes(b, at + 4, n)?;
    let printable = s.iter().all(|c| (0x20..0x7f).contains(c));
    printable.then_some((s, at + 4 + n.next_multiple_of(4)))
}

struct Ganglia<'a> {
    id: u32,
    host: &'a [u8],
    metric: &'a [u8],
    /// Where the value begins, after the format.
    value: usize,
}

fn ganglia(b: &[u8]) -> Option<Ganglia<'_>> {
    let id = be32(b, 0).filter(|id| (128..=136).contains(id))?;
    let (host, at) = xdr_string(b, 4)?;
    let (metric, at) = xdr_string(b, at)?;
    let spoof = be32(b, at)?;
    if spoof > 1 || host.is_empty() || metric.is_empty() {
        return None;
    }
    Some(Ganglia { id, host, metric, value: at + 4 })
}

/// The value as text; metadata and requests have none.
fn ganglia_value(b: &[u8], g: &Ganglia<'_>) -> Option<String> {
    let (_, at) = xdr_string(b, g.value)?;
    Some(match g.id {
        129 | 131 => be32(b, at)?.to_string(),
        130 | 132 => (be32(b, at)? as i32).to_string(),
        133 => Text(xdr_string(b, at)?.0).to_string(),
        134 => f32::from_bits(be32(b, at)?).to_string(),
        135 => f64::from_bits(crate::wire::read::be64(b, at)?).to_string(),
        _ => return None,
    })
}

fn detect_ganglia(b: &[u8], hint: &Hint) -> Option<Confidence> {
    ganglia(b)?;
    Some(if hint.either_port(&[8649]) { Confidence::Certain } else { Confidence::Likely })
}

fn preview_ganglia(b: &[u8], out: &mut String) {
    line(out, |l| {
        let g = ganglia(b)?;
        put!(l, "ganglia {} {}", Text(g.host), Text(g.metric));
        match (g.id, ganglia_value(b, &g)) {
            (_, Some(value)) => put!(l, " = {value}"),
            (128, _) => put!(l, "  metadata"),
            (136, _) => put!(l, "  request"),
            _ => {}
        }
        Some(())
    });
}

fn fields_ganglia(t: &mut Tree<'_>) -> Option<()> {
    let b = t.b();
    let g = ganglia(b)?;
    t.be32(0, "id")?;
    t.add(4..8 + g.host.len(), "host", Text(g.host));
    let at = 8 + g.host.len().next_multiple_of(4);
    t.add(at..at + 4 + g.metric.len(), "metric", Text(g.metric));
    t.be32(g.value - 4, "spoofed")?;
    match ganglia_value(b, &g) {
        Some(value) => t.add(g.value..b.len(), "value", value),
        None => t.rest(g.value, "data")?,
    }
    Some(())
}

/// Type, whether it is little endian; the whole header has 13 bytes.
fn totem(b: &[u8]) -> Option<(&'static str, bool)> {
    let little = match b.get(..3)? {
        [0x70, 0xc0, 3] => true,
        [0xc0, 0x70, 3] => false,
        _ => return None,
    };
    bytes(b, 0, 13)?;
    let kinds = ["token", "mcast", "merge detect", "join", "commit token", "hold cancel"];
    Some((kinds.get(usize::from(b[3]))?, little))
}

fn detect_totem(b: &[u8], hint: &Hint) -> Option<Confidence> {
    totem(b)?;
    Some(if hint.either_port(&[5404, 5405]) { Confidence::Certain } else { Confidence::Likely })
}

fn node(b: &[u8], at: usize, little: bool) -> Option<u32> {
    if little { le32(b, at) } else { be32(b, at) }
}

fn preview_totem(b: &[u8], out: &mut String) {
    line(out, |l| {
        let (kind, little) = totem(b)?;
        put!(l, "totem node {} {kind}", node(b, 5, little)?);
        Some(())
    });
}

fn fields_totem(t: &mut Tree<'_>) -> Option<()> {
    let b = t.b();
    let (kind, little) = totem(b)?;
    t.add(0..2, "magic", if little { "0xc070, little endian" } else { "0xc070, big endian" });
    t.u8(2, "version")?;
    t.add(3..4, "type", kind);
    t.u8(4, "encapsulated")?;
    t.add(5..9, "node", node(b, 5, little)?);
    t.add(9..13, "target node", node(b, 9, little)?);
    t.rest(13, "data")
}

fn detect_hazelcast(b: &[u8], hint: &Hint) -> Option<Confidence> {
    if !hint.to_port(&[54327]) || u8_at(b, 0)? != 4 {
        return None;
    }
    // The host's address stands in it as text.
    let address = |run: &[u8]| run.iter().filter(|&&c| c == b'.').count() == 3 && run.len() >= ADDRESS_MIN;
    let text = b.split(|c| !c.is_ascii_digit() && *c != b'.').any(address);
    text.then_some(if hint.to_v4([224, 2, 2, 3]) { Confidence::Likely } else { Confidence::Guess })
}

/// The longest run of printable bytes.
fn longest_run(b: &[u8]) -> Option<&[u8]> {
    b.split(|c| !(0x20..0x7f).contains(c)).max_by_key(|run| run.len()).filter(|run| run.len() >= RUN_MIN)
}

fn preview_hazelcast(b: &[u8], out: &mut String) {
    line(out, |l| {
        put!(l, "hazelcast join");
        put!(l, "  {}", Text(longest_run(b)?));
        Some(())
    });
}

fn fields_hazelcast(t: &mut Tree<'_>) -> Option<()> {
    t.u8(0, "packet version")?;
    t.rest(1, "join message")
}

/// What an LCM datagram is.
struct Lcm<'a> {
    number: u32,
    /// Fragment and number of fragments, for long messages.
    fragment: Option<(u16, u16)>,
    /// The channel; later fragments do not tell it.
    channel: Option<&'a [u8]>,
    data: usize,
}

fn lcm(b: &[u8]) -> Option<Lcm<'_>> {
    let number = be32(b, 4)?;
    let channel = |at: usize| {
        let name = until_nul(b.get(at..)?);
        let good = !name.is_empty() && name.len() < 64 && name.iter().all(u8::is_ascii_graphic);
        (good && at + name.len() < b.len()).then_some(name)
    };
    match bytes(b, 0, 4)? {
        b"LC02" => {
            let name = channel(8)?;
            Some(Lcm { number, fragment: None, channel: Some(name), data: 9 + name.len() })
        }
        b"LC03" => {
            let (fragment, all) = (be16(b, 16)?, be16(b, 18)?);
            if fragment >= all {
                return None;
            }
            let name = if fragment == 0 { Some(channel(20)?) } else { None };
            let data = 20 + name.map_or(0, |n| n.len() + 1);
            Some(Lcm { number, fragment: Some((fragment, all)), channel: name, data })
        }
        _ => None,
    }
}

fn detect_lcm(b: &[u8], _: &Hint) -> Option<Confidence> {
    lcm(b).map(|_| Confidence::Certain)
}

fn preview_lcm(b: &[u8], out: &mut String) {
    line(out, |l| {
        let m = lcm(b)?;
        put!(l, "LCM");
        if let Some(channel) = m.channel {
            put!(l, " {}", Text(channel));
        }
        put!(l, "  seq {}", m.number);
        if let Some((i, n)) = m.fragment {
            put!(l, "  fragment {} of {n}", i + 1);
        }
        put!(l, "  {} B", b.len() - m.data);
        Some(())
    });
}

fn fields_lcm(t: &mut Tree<'_>) -> Option<()> {
    let m = lcm(t.b())?;
    t.text(0..4, "magic")?;
    t.be32(4, "sequence")?;
    if m.fragment.is_some() {
        t.be32(8, "message size")?;
        t.be32(12, "fragment offset")?;
        t.be16(16, "fragment")?;
        t.be16(18, "fragments")?;
    }
    if let Some(channel) = m.channel {
        t.add(m.data - 1 - channel.len()..m.data, "channel", Text(channel));
    }
    t.rest(m.data, "data")
}

/// All fragments of a message bear its number: only the first counts.
fn sequence_lcm(b: &[u8], f: &mut dyn FnMut(SeqSample)) {
    if let Some(m) = lcm(b).filter(|m| m.fragment.is_none_or(|(i, _)| i == 0)) {
        f(SeqSample::one(0, u64::from(m.number), 32));
    }
}

/// A MAVLink message and where it stands.
struct Mav {
    at: usize,
    end: usize,
    version: u8,
    number: u8,
    system: u8,
    component: u8,
    message: u32,
}

fn mavlink(b: &[u8]) -> impl Iterator<Item = Mav> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let length = usize::from(u8_at(b, at + 1)?);
        let m = match u8_at(b, at)? {
            0xfe => Mav {
                at,
                end: at + 8 + length,
                version: 1,
                number: u8_at(b, at + 2)?,
                system: u8_at(b, at + 3)?,
                component: u8_at(b, at + 4)?,
                message: u32::from(u8_at(b, at + 5)?),
            },
            // Incompatible flags: 1 is a signature of 13 bytes; others are not known.
            0xfd if u8_at(b, at + 2)? <= 1 => Mav {
                at,
                end: at + 12 + length + if u8_at(b, at + 2)? == 1 { 13 } else { 0 },
                version: 2,
                number: u8_at(b, at + 4)?,
                system: u8_at(b, at + 5)?,
                component: u8_at(b, at + 6)?,
                message: le32(b, at + 6)? >> 8,
            },
            _ => return None,
        };
        at = m.end;
        (at <= b.len()).then_some(m)
    })
    .take(MESSAGES_MAX)
}

/// One step of the CRC-16/MCRF4XX that MAVLink uses.
fn crc_step(crc: u16, byte: u8) -> u16 {
    let t = byte ^ crc as u8;
    let t = u16::from(t ^ t << 4);
    crc >> 8 ^ t << 8 ^ t << 3 ^ t >> 4
}

/// Whether the checksum can be right: it takes in a byte that depends on the message's definition,
/// which is not known here, so any of the 256 will do.
fn mavlink_sound(b: &[u8], m: &Mav) -> bool {
    let head = if m.version == 1 { 6 } else { 10 };
    let body = b.get(m.at + 1..m.at + head + usize::from(b[m.at + 1])).unwrap_or_default();
    let told = crate::wire::read::le16(b, m.at + 1 + body.len());
    let crc = body.iter().fold(0xffff, |crc, c| crc_step(crc, *c));
    (0..=255).any(|extra| Some(crc_step(crc, extra)) == told)
}

fn mavlink_name(message: u32) -> Option<&'static str> {
    Some(match message {
        0 => "HEARTBEAT",
        1 => "SYS_STATUS",
        2 => "SYSTEM_TIME",
        24 => "GPS_RAW_INT",
        30 => "ATTITUDE",
        32 => "LOCAL_POSITION_NED",
        33 => "GLOBAL_POSITION_INT",
        65 => "RC_CHANNELS",
        74 => "VFR_HUD",
        76 => "COMMAND_LONG",
        77 => "COMMAND_ACK",
        147 => "BATTERY_STATUS",
        253 => "STATUSTEXT",
        _ => return None,
    })
}

fn detect_mavlink(b: &[u8], hint: &Hint) -> Option<Confidence> {
    let (mut end, mut n) = (0, 0);
    for m in mavlink(b) {
        if !mavlink_sound(b, &m) {
            return None;
        }
        end = m.end;
        n += 1;
    }
    if n == 0 || end != hint.len {
        return None;
    }
    Some(if hint.either_port(&[14550, 14551, 14555]) { Confidence::Certain } else { Confidence::Guess })
}

fn preview_mavlink(b: &[u8], out: &mut String) {
    line(out, |l| {
        let mut all = mavlink(b);
        let m = all.next()?;
        put!(l, "MAVLink {}", m.version);
        match mavlink_name(m.message) {
            Some(name) => put!(l, " {name}"),
            None => put!(l, " message {}", m.message),
        }
        put!(l, "  system {} component {}  seq {}", m.system, m.component, m.number);
        let more = all.count();
        if more > 0 {
            put!(l, "  +{more} more");
        }
        Some(())
    });
}

fn fields_mavlink(t: &mut Tree<'_>) -> Option<()> {
    for m in mavlink(t.b()) {
        if t.full() {
            break;
        }
        let name = mavlink_name(m.message).unwrap_or("message");
        t.add(m.at..m.end, name, format_args!("{} bytes", m.end - m.at));
        t.nest(|t| {
            // Version 2 has two bytes of flags between length and number.
            let at = m.at + if m.version == 2 { 4 } else { 2 };
            t.add(m.at..m.at + 1, "version", m.version);
            t.u8(m.at + 1, "length")?;
            t.u8(at, "sequence")?;
            t.u8(at + 1, "system")?;
            t.u8(at + 2, "component")?;
            t.add(at + 3..at + if m.version == 2 { 6 } else { 4 }, "message", m.message);
            Some(())
        })?;
    }
    Some(())
}

fn sequence_mavlink(b: &[u8], f: &mut dyn FnMut(SeqSample)) {
    for m in mavlink(b) {
        let stream = u64::from(m.system) << 8 | u64::from(m.component);
        f(SeqSample::one(stream, u64::from(m.number), 8));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_is_the_one_of_the_catalogue() {
        // The check value of CRC-16/MCRF4XX.
        assert_eq!(b"123456789".iter().fold(0xffff, |crc, c| crc_step(crc, *c)), 0x6f91);
    }
}
