//! The program that decides in the kernel what goes into the ring: classic BPF.
//!
//! It sees packets from the IP header on (the socket is `SOCK_DGRAM`), so one program does for every
//! kind of link.

use std::net::IpAddr;

/// One instruction (linux/filter.h): code, jumps if true and if false, operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Op {
    pub code: u16,
    pub jt: u8,
    pub jf: u8,
    pub k: u32,
}

/// Loads a word.
const LD: u16 = 0x20;
/// Loads a byte.
const LDB: u16 = 0x30;
const AND: u16 = 0x54;
const JEQ: u16 = 0x15;
const JGT: u16 = 0x25;
const RET: u16 = 0x06;

/// Where the kernel answers questions about the packet (`SKF_AD_OFF`).
const AD: u32 = 0xffff_f000;
const PROTOCOL: u32 = AD;
const PACKET_TYPE: u32 = AD + 4;
const VLAN_TAG: u32 = AD + 44;
const VLAN_TAG_PRESENT: u32 = AD + 48;

/// The packet types up to here were received for this host: to itself, broadcast, multicast.
const MULTICAST: u32 = 2;
/// Looped back by the kernel.
const LOOPBACK: u32 = 5;

/// Groups of one family that are looked for one by one; with more, every multicast group of the family
/// passes and the demultiplexer decides.
const GROUPS_MAX: usize = 100;

/// More than any packet.
const WHOLE: u32 = 0x4_0000;

const fn op(code: u16, k: u32) -> Op {
    Op { code, jt: 0, jf: 0, k }
}

/// Passes UDP and its fragments to these groups, IPv6 also behind extension headers, as this host
/// received it on the interface itself: nothing outgoing, nothing for another station, nothing of a VLAN.
///
/// IPv6 groups are told by their last four bytes: what passes too much is sorted out later.
pub fn received(groups: &[IpAddr]) -> Vec<Op> {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for g in groups {
        match g {
            IpAddr::V4(a) => v4.push(u32::from(*a)),
            IpAddr::V6(a) => v6.push(u128::from(*a) as u32),
        }
    }
    // Jumps are written as the number of the label they go to, and counted out at the end.
    const NEXT: u8 = 0;
    const ACCEPT: u8 = 1;
    const REJECT: u8 = 2;
    const IP: u8 = 3;
    const V6: u8 = 4;
    const V6_GROUP: u8 = 5;
    let mut labels = [usize::MAX; 6];
    let mut p: Vec<Op> = Vec::new();
    let jump = |p: &mut Vec<Op>, code, k, jt, jf| p.push(Op { code, jt, jf, k });
    p.push(op(LD, PACKET_TYPE));
    jump(&mut p, JGT, MULTICAST, REJECT, NEXT);
    p.push(op(LD, VLAN_TAG_PRESENT));
    jump(&mut p, JEQ, 0, IP, NEXT);
    p.push(op(LD, VLAN_TAG));
    p.push(op(AND, 0xfff));
    // A priority tag is no VLAN.
    jump(&mut p, JEQ, 0, NEXT, REJECT);
    labels[IP as usize] = p.len();
    p.push(op(LD, PROTOCOL));
    jump(&mut p, JEQ, 0x86dd, V6, NEXT);
    jump(&mut p, JEQ, 0x0800, NEXT, REJECT);
    p.push(op(LDB, 9));
    jump(&mut p, JEQ, 17, NEXT, REJECT);
    p.push(op(LD, 16));
    list(&mut p, &mut v4, |p| {
        p.push(op(AND, 0xf000_0000));
        p.push(Op { code: JEQ, jt: ACCEPT, jf: REJECT, k: 0xe000_0000 });
    });
    labels[V6 as usize] = p.len();
    p.push(op(LDB, 6));
    // UDP, or headers that may precede it (RFC 8200 section 4.1, RFC 4302).
    for header in [17, 44, 0, 43, 60] {
        jump(&mut p, JEQ, header, V6_GROUP, NEXT);
    }
    jump(&mut p, JEQ, 51, V6_GROUP, REJECT);
    labels[V6_GROUP as usize] = p.len();
    p.push(op(LDB, 24));
    jump(&mut p, JEQ, 0xff, NEXT, REJECT);
    p.push(op(LD, 36));
    list(&mut p, &mut v6, |p| p.push(op(RET, WHOLE)));
    labels[REJECT as usize] = p.len();
    p.push(op(RET, 0));
    labels[ACCEPT as usize] = p.len();
    p.push(op(RET, WHOLE));
    for (i, o) in p.iter_mut().enumerate() {
        if matches!(o.code, JEQ | JGT) {
            for to in [&mut o.jt, &mut o.jf] {
                if *to != NEXT {
                    *to = (labels[*to as usize] - i - 1) as u8;
                }
            }
        }
    }

    /// Compares the loaded word with each of the list and rejects the rest; `all` when it is too long.
    fn list(p: &mut Vec<Op>, words: &mut Vec<u32>, all: impl FnOnce(&mut Vec<Op>)) {
        words.sort_unstable();
        words.dedup();
        if words.len() > GROUPS_MAX {
            return all(p);
        }
        let n = p.len();
        p.extend(words.iter().map(|&k| Op { code: JEQ, jt: ACCEPT, jf: NEXT, k }));
        if p.len() == n {
            p.push(op(RET, 0));
        } else if let Some(last) = p.last_mut() {
            last.jf = REJECT;
        }
    }
    p
}

/// Passes what the kernel loops back and nothing else.
pub fn looped() -> Vec<Op> {
    vec![op(LD, PACKET_TYPE), Op { code: JEQ, jt: 0, jf: 1, k: LOOPBACK }, op(RET, WHOLE), op(RET, 0)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    struct Packet {
        kind: u32,
        vlan: Option<u32>,
        bytes: Vec<u8>,
    }

    /// Runs a program as the kernel does; a load beyond the packet refuses it.
    fn run(program: &[Op], p: &Packet) -> bool {
        let (mut at, mut a) = (0, 0u32);
        loop {
            let o = program[at];
            at += 1;
            match o.code {
                LD => {
                    a = match o.k {
                        PROTOCOL => [0x0800, 0x86dd][usize::from(p.bytes[0] >> 4 == 6)],
                        PACKET_TYPE => p.kind,
                        VLAN_TAG => p.vlan.unwrap_or(0),
                        VLAN_TAG_PRESENT => u32::from(p.vlan.is_some()),
                        k => match p.bytes.get(k as usize..k as usize + 4) {
                            Some(b) => u32::from_be_bytes(b.try_into().unwrap()),
                            None => return false,
                        },
                    }
                }
                LDB => match p.bytes.get(o.k as usize) {
                    Some(b) => a = u32::from(*b),
                    None => return false,
                },
                AND => a &= o.k,
                JEQ => at += usize::from(if a == o.k { o.jt } else { o.jf }),
                JGT => at += usize::from(if a > o.k { o.jt } else { o.jf }),
                RET => return o.k > 0,
                code => panic!("instruction {code:#x}"),
            }
        }
    }

    fn v4(group: &str, protocol: u8) -> Packet {
        let mut bytes = vec![0; 28];
        bytes[0] = 0x45;
        bytes[9] = protocol;
        bytes[16..20].copy_from_slice(&group.parse::<Ipv4Addr>().unwrap().octets());
        Packet { kind: 2, vlan: None, bytes }
    }

    fn v6(group: &str, next: u8) -> Packet {
        let mut bytes = vec![0; 48];
        bytes[0] = 0x60;
        bytes[6] = next;
        bytes[24..40].copy_from_slice(&group.parse::<Ipv6Addr>().unwrap().octets());
        Packet { kind: 2, vlan: None, bytes }
    }

    fn groups(n: usize) -> Vec<IpAddr> {
        (0..n as u32)
            .map(|i| IpAddr::V4((0xef01_0101 + i).into()))
            .chain((0..n as u128).map(|i| IpAddr::V6((0xff05_u128 << 112 | (0x77 + i)).into())))
            .collect()
    }

    #[test]
    fn joined_groups_pass_and_nothing_else() {
        for n in [1, 2, GROUPS_MAX, GROUPS_MAX + 1] {
            let program = received(&groups(n));
            assert!(program.len() < 4096);
            assert!(run(&program, &v4("239.1.1.1", 17)), "{n} groups");
            for next in [17, 44, 0, 60] {
                assert!(run(&program, &v6("ff05::77", next)), "{n} groups, header {next}");
            }
            assert_eq!(run(&program, &v4("239.200.0.1", 17)), n > GROUPS_MAX);
            assert_eq!(run(&program, &v6("ff05::9999", 17)), n > GROUPS_MAX);
            assert!(!run(&program, &v4("10.1.1.1", 17)), "unicast");
            assert!(!run(&program, &v6("fd05::77", 17)), "unicast");
            assert!(!run(&program, &v4("239.1.1.1", 6)), "TCP");
            assert!(!run(&program, &v6("ff05::77", 58)), "ICMPv6");
            assert!(!run(&program, &Packet { bytes: vec![0x45; 12], ..v4("239.1.1.1", 17) }), "cut");
        }
        let nothing = received(&[]);
        assert!(!run(&nothing, &v4("239.1.1.1", 17)) && !run(&nothing, &v6("ff05::77", 17)));
    }

    #[test]
    fn only_what_this_host_received_on_the_interface_itself_passes() {
        let program = received(&groups(1));
        for (kind, passes) in [(0, true), (1, true), (2, true), (3, false), (4, false)] {
            assert_eq!(run(&program, &Packet { kind, ..v4("239.1.1.1", 17) }), passes, "packet type {kind}");
        }
        for (vlan, passes) in [(0, true), (0xe000, true), (1, false), (0x2fff, false)] {
            let p = Packet { vlan: Some(vlan), ..v4("239.1.1.1", 17) };
            assert_eq!(run(&program, &p), passes, "VLAN tag {vlan:#x}");
        }
    }

    #[test]
    fn of_the_looped_only_the_looped_pass() {
        for kind in 0..8 {
            assert_eq!(run(&looped(), &Packet { kind, ..v4("239.1.1.1", 17) }), kind == LOOPBACK);
        }
    }
}
