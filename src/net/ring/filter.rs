//! The program that decides in the kernel what goes into the ring: classic BPF.
//!
//! It sees packets from the IP header on (the socket is `SOCK_DGRAM`), so one program does for every
//! kind of link.

use std::net::IpAddr;

use crate::base::tap::Depth;

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

/// Where offsets count from the network header (`SKF_NET_OFF`).
const NETWORK: u32 = 0xfff0_0000;

/// The packet types up to here were received for this host: to itself, broadcast, multicast.
const MULTICAST: u32 = 2;
/// Sent by this host.
pub const OUTGOING: u32 = 4;
/// Looped back by the kernel.
const LOOPBACK: u32 = 5;

/// Groups of one family that are looked for one by one; with more, every multicast group of the family
/// passes and the demultiplexer decides.
const GROUPS_MAX: usize = 100;

/// More than any packet.
const WHOLE: u32 = 0x4_0000;

/// Places that jumps go to, until they are counted out.
const NEXT: u8 = 0;
const ACCEPT: u8 = 1;
const REJECT: u8 = 2;
const IP: u8 = 3;
const V6: u8 = 4;
const V6_GROUP: u8 = 5;

/// A program that is being written.
#[derive(Default)]
struct Program {
    ops: Vec<Op>,
    /// Where each place turned out to be.
    places: [usize; 6],
}

impl Program {
    fn op(&mut self, code: u16, k: u32) {
        self.ops.push(Op { code, jt: NEXT, jf: NEXT, k });
    }

    /// Compares what was loaded.
    fn jump(&mut self, code: u16, k: u32, jt: u8, jf: u8) {
        self.ops.push(Op { code, jt, jf, k });
    }

    fn place(&mut self, place: u8) {
        self.places[usize::from(place)] = self.ops.len();
    }

    /// Accepts if the loaded word is one of these, and rejects otherwise; false, and nothing written, if
    /// there are too many.
    fn one_of(&mut self, mut words: Vec<u32>) -> bool {
        words.sort_unstable();
        words.dedup();
        if words.len() > GROUPS_MAX {
            return false;
        }
        let Some(last) = words.pop() else {
            self.op(RET, 0);
            return true;
        };
        for word in words {
            self.jump(JEQ, word, ACCEPT, NEXT);
        }
        self.jump(JEQ, last, ACCEPT, REJECT);
        true
    }

    fn v4_group(&mut self, at: u32, groups: Vec<u32>) {
        self.op(LD, at);
        if !self.one_of(groups) {
            self.op(AND, 0xf000_0000);
            self.jump(JEQ, 0xe000_0000, ACCEPT, REJECT);
        }
    }

    fn v6_group(&mut self, at: u32, groups: Vec<u32>) {
        self.op(LDB, at);
        self.jump(JEQ, 0xff, NEXT, REJECT);
        self.op(LD, at + 12);
        if !self.one_of(groups) {
            self.op(RET, WHOLE);
        }
    }

    /// Counts the jumps out. The longest goes over both lists, and is short enough for its byte.
    fn finish(mut self) -> Vec<Op> {
        self.place(REJECT);
        self.op(RET, 0);
        self.place(ACCEPT);
        self.op(RET, WHOLE);
        let places = self.places;
        for (i, o) in self.ops.iter_mut().enumerate().filter(|(_, o)| matches!(o.code, JEQ | JGT)) {
            for to in [&mut o.jt, &mut o.jf] {
                if *to != NEXT {
                    *to = (places[usize::from(*to)] - i - 1) as u8;
                }
            }
        }
        self.ops
    }
}

/// The words that groups are told by: the address, of IPv6 its last four bytes. What that lets pass too
/// much is sorted out later.
fn words(groups: &[IpAddr]) -> (Vec<u32>, Vec<u32>) {
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for g in groups {
        match g {
            IpAddr::V4(a) => v4.push(u32::from(*a)),
            IpAddr::V6(a) => v6.push(u128::from(*a) as u32),
        }
    }
    (v4, v6)
}

/// Passes UDP and its fragments to these groups, IPv6 also behind extension headers, as this host
/// received it on the interface itself: nothing outgoing, nothing for another station, nothing of a VLAN.
pub fn received(groups: &[IpAddr]) -> Vec<Op> {
    let (v4, v6) = words(groups);
    let mut p = Program::default();
    p.op(LD, PACKET_TYPE);
    p.jump(JGT, MULTICAST, REJECT, NEXT);
    p.op(LD, VLAN_TAG_PRESENT);
    p.jump(JEQ, 0, IP, NEXT);
    p.op(LD, VLAN_TAG);
    p.op(AND, 0xfff);
    // A priority tag is no VLAN.
    p.jump(JEQ, 0, NEXT, REJECT);
    p.place(IP);
    p.op(LD, PROTOCOL);
    p.jump(JEQ, 0x86dd, V6, NEXT);
    p.jump(JEQ, 0x0800, NEXT, REJECT);
    p.op(LDB, 9);
    p.jump(JEQ, 17, NEXT, REJECT);
    p.v4_group(16, v4);
    p.place(V6);
    p.op(LDB, 6);
    // UDP, or headers that may precede it (RFC 8200 section 4.1, RFC 4302).
    for header in [17, 44, 0, 43, 60] {
        p.jump(JEQ, header, V6_GROUP, NEXT);
    }
    p.jump(JEQ, 51, V6_GROUP, REJECT);
    p.place(V6_GROUP);
    p.v6_group(24, v6);
    p.finish()
}

/// Passes what a tap of this depth looks at: IGMP and MLD, then UDP to any multicast group with its
/// fragments. Frames of VLANs pass with the tag beside them; what this host sends passes unless it comes
/// back as received anyway (`loopback`).
pub fn tapped(depth: Depth, loopback: bool) -> Vec<Op> {
    let mut p = Program::default();
    if depth == Depth::Off {
        p.op(RET, 0);
        return p.finish();
    }
    p.op(LD, PACKET_TYPE);
    if !loopback {
        p.jump(JEQ, OUTGOING, IP, NEXT);
    }
    p.jump(JGT, MULTICAST, REJECT, NEXT);
    p.place(IP);
    p.op(LD, PROTOCOL);
    p.jump(JEQ, 0x86dd, V6, NEXT);
    p.jump(JEQ, 0x0800, NEXT, REJECT);
    p.op(LDB, 9);
    p.jump(JEQ, 2, ACCEPT, NEXT);
    if depth.shows_groups() {
        p.jump(JEQ, 17, NEXT, REJECT);
        p.op(LD, 16);
        p.op(AND, 0xf000_0000);
        p.jump(JEQ, 0xe000_0000, ACCEPT, REJECT);
    } else {
        p.op(RET, 0);
    }
    p.place(V6);
    p.op(LDB, 24);
    p.jump(JEQ, 0xff, NEXT, REJECT);
    p.op(LDB, 6);
    if depth.shows_groups() {
        // As in `received`.
        for header in [17, 44, 43, 60, 51] {
            p.jump(JEQ, header, ACCEPT, NEXT);
        }
    }
    // Hop-by-hop options: of MLD always (RFC 9777 section 5), of UDP now and then.
    p.jump(JEQ, 0, V6_GROUP, REJECT);
    p.place(V6_GROUP);
    p.op(LDB, 40);
    p.jump(JEQ, 58, ACCEPT, NEXT);
    p.op(RET, if depth.shows_groups() { WHOLE } else { 0 });
    p.finish()
}

/// Passes what the kernel loops back to these groups of one family, and nothing else. For raw sockets,
/// which see IPv6 packets from the transport header on: addresses are looked for from the network header.
pub fn looped(groups: &[IpAddr], v4: bool) -> Vec<Op> {
    let words = words(groups);
    let mut p = Program::default();
    p.op(LD, PACKET_TYPE);
    p.jump(JEQ, LOOPBACK, NEXT, REJECT);
    if v4 {
        p.v4_group(NETWORK + 16, words.0)
    } else {
        p.v6_group(NETWORK + 24, words.1)
    }
    p.finish()
}

/// Passes UDP to these groups with its fragments, and IGMP, MLD (with all of ICMPv6 to groups) and PIM,
/// however the frame was addressed and tagged: for a look, not for counting.
#[cfg(target_os = "linux")]
pub fn look(groups: &[IpAddr]) -> Vec<Op> {
    let words = words(groups);
    let mut p = Program::default();
    p.op(LD, PROTOCOL);
    p.jump(JEQ, 0x86dd, V6, NEXT);
    p.jump(JEQ, 0x0800, NEXT, REJECT);
    p.op(LDB, 9);
    p.jump(JEQ, 2, ACCEPT, NEXT);
    p.jump(JEQ, 103, ACCEPT, NEXT);
    p.jump(JEQ, 17, NEXT, REJECT);
    p.v4_group(16, words.0);
    p.place(V6);
    p.op(LDB, 6);
    p.jump(JEQ, 103, ACCEPT, NEXT);
    p.jump(JEQ, 58, ACCEPT, NEXT);
    // A hop-by-hop header with ICMPv6 behind it: MLD (RFC 9777 section 5).
    p.jump(JEQ, 0, NEXT, V6_GROUP);
    p.op(LDB, 40);
    p.jump(JEQ, 58, ACCEPT, V6_GROUP);
    p.place(V6_GROUP);
    p.v6_group(24, words.1);
    p.finish()
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
                        k => match p.bytes.get((k & 0xffff) as usize..).and_then(|b| b.first_chunk::<4>()) {
                            Some(b) => u32::from_be_bytes(*b),
                            None => return false,
                        },
                    }
                }
                LDB => match p.bytes.get((o.k & 0xffff) as usize) {
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
    #[cfg(target_os = "linux")]
    fn a_look_has_the_groups_and_what_manages_them() {
        for n in [0, 1, GROUPS_MAX + 1] {
            let program = look(&groups(n));
            for kind in [0, 2, 3, 4] {
                assert_eq!(run(&program, &Packet { kind, ..v4("239.1.1.1", 17) }), n > 0, "{n} groups");
            }
            assert_eq!(run(&program, &v6("ff05::77", 17)), n > 0);
            assert_eq!(run(&program, &v6("ff05::77", 44)), n > 0);
            assert!(run(&program, &v4("224.0.0.22", 2)) && run(&program, &v4("224.0.0.13", 103)));
            let mut mld = v6("ff02::16", 0);
            mld.bytes[40] = 58;
            assert!(run(&program, &mld) && run(&program, &v6("ff02::1", 58)));
            assert!(!run(&program, &v4("10.1.1.1", 6)) && !run(&program, &v4("239.200.0.9", 6)));
            assert_eq!(run(&program, &v4("239.200.0.9", 17)), n > GROUPS_MAX);
        }
    }

    #[test]
    fn a_tap_hears_memberships_and_looks_at_groups_only_as_deep_as_it_is_asked_to() {
        let mut mld = v6("ff02::16", 0);
        mld.bytes[40] = 58;
        for (depth, groups) in
            [(Depth::Off, false), (Depth::Ears, false), (Depth::Wire, true), (Depth::All, true)]
        {
            let program = tapped(depth, false);
            let on = depth != Depth::Off;
            for kind in 0..8 {
                let taken = matches!(kind, 0..=2 | OUTGOING);
                let igmp = Packet { kind, ..v4("224.0.0.22", 2) };
                assert_eq!(run(&program, &igmp), on && taken, "IGMP of type {kind}, {depth:?}");
                let udp = Packet { kind, ..v4("239.9.9.9", 17) };
                assert_eq!(run(&program, &udp), groups && taken, "UDP of type {kind}, {depth:?}");
            }
            assert_eq!(run(&program, &mld), on, "MLD, {depth:?}");
            for next in [17, 44, 43, 60, 51, 0] {
                assert_eq!(run(&program, &v6("ff05::77", next)), groups, "header {next}, {depth:?}");
            }
            assert_eq!(run(&program, &Packet { vlan: Some(5), ..v4("239.9.9.9", 17) }), groups, "tagged");
            for no in [v4("10.0.0.1", 17), v4("239.9.9.9", 6), v6("fd00::1", 17), v6("ff02::1", 58)] {
                assert!(!run(&program, &no), "{depth:?}");
            }
        }
        let sent = Packet { kind: OUTGOING, ..v4("239.9.9.9", 17) };
        assert!(!run(&tapped(Depth::Wire, true), &sent), "the loopback gives it back as received");
    }

    #[test]
    fn of_the_looped_only_the_looped_to_joined_groups_pass() {
        for n in [1, GROUPS_MAX + 1] {
            let (program4, program6) = (looped(&groups(n), true), looped(&groups(n), false));
            for kind in 0..8 {
                let passes = kind == LOOPBACK;
                assert_eq!(run(&program4, &Packet { kind, ..v4("239.1.1.1", 17) }), passes);
                assert_eq!(run(&program6, &Packet { kind, ..v6("ff05::77", 17) }), passes);
            }
            let kind = LOOPBACK;
            assert_eq!(run(&program4, &Packet { kind, ..v4("239.9.9.9", 17) }), n > GROUPS_MAX);
            assert_eq!(run(&program6, &Packet { kind, ..v6("ff05::9999", 17) }), n > GROUPS_MAX);
        }
    }
}
