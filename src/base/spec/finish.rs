//! What concerns a whole spec rather than one part: is it a group, do sources and group fit, does a range
//! stay in its space; and the errors for what people write instead of a spec.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;

use super::parse::{Fail, Sources, Suffix, Text, parse_source, pieces};
use super::{GroupSpec, Spec, what_is};

/// Puts the parts together and checks what concerns several of them.
pub(super) fn finish(t: &Text<'_>, group: IpAddr, suffix: Suffix, sources: Sources) -> Result<Spec, Fail> {
    let sources = sources.unwrap_or_default();
    if let Some((source, span)) = sources.iter().find(|(source, _)| source.is_ipv4() != group.is_ipv4()) {
        let (s, g) = if source.is_ipv4() { ("IPv4", "IPv6") } else { ("IPv6", "IPv4") };
        return Err(t.fail(span.clone(), format!("an {s} source cannot send to an {g} group")));
    }
    let count = match suffix.count {
        None => 1,
        Some((count, span)) => {
            let (room, last) = room_from(group);
            if u128::from(count) > room {
                let most = if room == 1 { "it is the last".to_owned() } else { format!("{room} are left") };
                return Err(t.fail(span, format!("this range runs past {last}: from {group} on {most}")));
            }
            count
        }
    };
    Ok(Spec::Group(GroupSpec {
        sources: sources.into_iter().map(|(source, _)| source).collect(),
        group,
        count,
        ifaces: suffix.ifaces.unwrap_or_default(),
        port: suffix.port,
    }))
}

/// How many groups there are from this one to the end of the space a range may cross, and what that end
/// is: the last multicast address, for IPv6 the last one with these flags and this scope.
fn room_from(group: IpAddr) -> (u128, IpAddr) {
    match group {
        IpAddr::V4(ip) => {
            let last = Ipv4Addr::new(239, 255, 255, 255);
            (u128::from(last.to_bits().saturating_sub(ip.to_bits())) + 1, last.into())
        }
        IpAddr::V6(ip) => {
            let last = ip.to_bits() | (u128::MAX >> 16);
            (last - ip.to_bits() + 1, IpAddr::V6(last.into()))
        }
    }
}

/// Refuses an address that is no group. Without an `@` so far it may still become a source.
pub(super) fn require_multicast(
    t: &Text<'_>,
    ip: IpAddr,
    span: Range<usize>,
    sources: &Sources,
) -> Result<(), Fail> {
    if ip.is_multicast() { Ok(()) } else { Err(not_multicast(t, ip, span, sources.is_some())) }
}

/// The error for an address that is no group.
fn not_multicast(t: &Text<'_>, ip: IpAddr, span: Range<usize>, after_at: bool) -> Fail {
    let open = !after_at && t.is_end(span.end);
    let fail = t.fail(span, format!("this is not a multicast group, it is {}", what_is(ip))).open_if(open);
    let space = match ip {
        IpAddr::V4(_) => "IPv4 groups are 224.0.0.0 to 239.255.255.255",
        IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some_and(|v4| v4.is_multicast()) => {
            return fail.help(format!("write {}", ip.to_canonical()));
        }
        IpAddr::V6(_) => "IPv6 groups begin with ff",
    };
    if after_at { fail.help(space) } else { fail.help(format!("{space}; a sender is written SOURCE@GROUP")) }
}

/// The error for addresses with commas and no `@`: sources whose group is missing, or several groups.
pub(super) fn list_without_group(t: &Text<'_>, range: Range<usize>) -> Fail {
    for span in pieces(t, range.clone()) {
        match parse_source(t, span) {
            Err(fail) if fail.error.message.ends_with("multicast") => {
                return fail.help("give several groups apart, with spaces; a sender is written SOURCE@GROUP");
            }
            Err(fail) => return fail,
            Ok(_) => {}
        }
    }
    let fail = t.fail(range.end..range.end, "the group is missing after the sources");
    fail.help("write SOURCE,SOURCE@GROUP").open_if(t.is_end(range.end))
}

/// The error for `239.1.1.0/24`, with the range it means where that is small enough.
pub(super) fn prefix_notation(t: &Text<'_>, address: Range<usize>, prefix: Range<usize>) -> Fail {
    let len =
        t.get(&(prefix.start + 1..prefix.end)).parse::<u32>().ok().filter(|len| (16..=32).contains(len));
    let help = match len {
        Some(len) => format!("write {}+{}", t.get(&address), 1u32 << (32 - len)),
        None => "write ADDR+N".to_owned(),
    };
    t.fail(prefix, "a range of groups is written with their number").help(help)
}
