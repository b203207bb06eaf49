use super::*;
use crate::base::group::Endpoint;
use crate::wire::input::{Input, input};
use proptest::prelude::*;

const V4: [&str; 2] = ["10.0.0.1:4000", "239.1.1.1:5004"];
const V6: [&str; 2] = ["[fd00::1]:4000", "[ff05::77]:5004"];

fn packet(ends: [&str; 2], len: usize) -> Vec<u8> {
    let [from, to] = ends.map(|e| Endpoint::from(e.parse::<std::net::SocketAddr>().unwrap()));
    let payload: Vec<u8> = (0..len).map(|i| (i * 7 + i / 256) as u8).collect();
    let mut b = Vec::new();
    ip::build(&mut b, (from, to), (9, 2), &payload, len).unwrap();
    b
}

/// A piece of a packet as its sender cuts it.
fn cut(packet: &[u8], range: Range<usize>, id: u16) -> Vec<u8> {
    let v4 = packet[0] >> 4 == 4;
    let header = if v4 { IPV4_HEADER } else { IPV6_HEADER };
    let (body, more) = (&packet[header..], header + range.end < packet.len());
    let mut b = packet[..header].to_vec();
    if v4 {
        b[2..4].copy_from_slice(&((header + range.len()) as u16).to_be_bytes());
        b[4..6].copy_from_slice(&id.to_be_bytes());
        b[6..8].copy_from_slice(&(((range.start / 8) as u16) | u16::from(more) << 13).to_be_bytes());
        b[10..12].fill(0);
        let sum = ip::checksum(&[&b]);
        b[10..12].copy_from_slice(&sum.to_be_bytes());
    } else {
        b[4..6].copy_from_slice(&((8 + range.len()) as u16).to_be_bytes());
        b[6] = 44;
        b.extend([17, 0]);
        b.extend((range.start as u16 | u16::from(more)).to_be_bytes());
        b.extend(u32::from(id).to_be_bytes());
    }
    b.extend_from_slice(&body[range]);
    b
}

/// All pieces of at most `size` bytes.
fn pieces(packet: &[u8], size: usize, id: u16) -> Vec<Vec<u8>> {
    let body = packet.len() - if packet[0] >> 4 == 4 { IPV4_HEADER } else { IPV6_HEADER };
    (0..body).step_by(size).map(|at| cut(packet, at..(at + size).min(body), id)).collect()
}

/// Adds all, and gives what came out last.
fn add_all<'p>(r: &mut Reassembler, all: impl IntoIterator<Item = &'p Vec<u8>>, now: i64) -> Option<Vec<u8>> {
    let mut out = None;
    for b in all {
        if let Some((whole, verified)) = r.add(b, Wall(now), true) {
            assert!(verified);
            out = Some(whole.to_vec());
        }
    }
    out
}

#[test]
fn fragments_in_any_order_become_the_packet_that_was_cut() {
    for ends in [V4, V6] {
        let whole = packet(ends, 4000);
        let mut all = pieces(&whole, 1480, 1);
        let mut r = Reassembler::default();
        for _ in 0..all.len() {
            all.rotate_left(1);
            assert_eq!(add_all(&mut r, &all, 0).as_ref(), Some(&whole));
        }
        all.reverse();
        assert_eq!(add_all(&mut r, &all, 0).as_ref(), Some(&whole));
        assert!(matches!(input(&whole, false), Input::Datagram(d) if d.payload.len() == 4000));
        assert_eq!((r.partial.len(), r.memory, r.given_up()), (0, 0, 0));
    }
}

#[test]
fn packets_are_told_apart_by_their_id_and_what_comes_twice_counts_once() {
    for ends in [V4, V6] {
        let (a, b) = (packet(ends, 3000), packet(ends, 2500));
        let (pa, pb) = (pieces(&a, 1480, 1), pieces(&b, 1480, 2));
        let mut r = Reassembler::default();
        assert_eq!(add_all(&mut r, [&pa[0], &pb[0], &pa[0], &pb[1]], 0).as_ref(), Some(&b));
        assert_eq!(add_all(&mut r, [&pa[2], &pa[2], &pa[1]], 0).as_ref(), Some(&a));
    }
}

#[test]
fn the_largest_packet_is_put_together() {
    for (ends, len, size) in [(V4, 65_507, 1480), (V6, 65_527, 1448)] {
        let whole = packet(ends, len);
        assert_eq!(add_all(&mut Reassembler::default(), &pieces(&whole, size, 1), 0), Some(whole));
    }
}

#[test]
fn overlapping_fragments_make_an_end_of_the_packet_and_of_what_still_comes() {
    for ends in [V4, V6] {
        let whole = packet(ends, 3000);
        let mut r = Reassembler::default();
        let overlapping = cut(&whole, 1472..2960, 1);
        let all = pieces(&whole, 1480, 1);
        assert_eq!(add_all(&mut r, [&all[0], &overlapping, &all[1], &all[2]], 0), None);
        assert_eq!((r.given_up(), r.memory), (1, 0));
        assert_eq!(
            add_all(&mut r, &pieces(&whole, 1480, 2), 0),
            Some(whole),
            "the next packet is not harmed"
        );
    }
}

#[test]
fn ends_that_contradict_each_other_make_an_end_of_the_packet() {
    let whole = packet(V4, 3000);
    let all = pieces(&whole, 1480, 1);
    let shorter = cut(&whole[..20 + 2000], 1480..2000, 1);
    let mut r = Reassembler::default();
    assert_eq!(add_all(&mut r, [&all[2], &shorter, &all[0], &all[1]], 0), None);
    assert_eq!(r.given_up(), 1);
}

#[test]
fn what_is_not_complete_in_time_is_given_up() {
    for (ends, timeout) in [(V4, TIMEOUT_V4_NS as i64), (V6, TIMEOUT_V6_NS as i64)] {
        let all = pieces(&packet(ends, 2000), 1480, 1);
        let mut r = Reassembler::default();
        assert_eq!(add_all(&mut r, [&all[0]], 0), None);
        assert!(add_all(&mut r, [&all[1]], timeout).is_some(), "just in time");
        assert_eq!(add_all(&mut r, [&all[0]], 0), None);
        assert_eq!(add_all(&mut r, [&all[1]], timeout + 1), None);
        assert_eq!(r.given_up(), 1);
        assert!(add_all(&mut r, [&all[0]], timeout + 2).is_some(), "the second is from the next packet");
    }
}

#[test]
fn the_store_is_bounded_and_the_oldest_makes_room() {
    let whole = packet(V4, 60_000);
    let mut r = Reassembler::default();
    for id in 0..1000 {
        for b in &pieces(&whole, 30_000, id)[1..] {
            assert!(r.add(b, Wall(i64::from(id)), true).is_none());
        }
        assert!(r.partial.len() <= PACKETS && r.memory <= MEMORY);
        assert_eq!(r.memory, r.partial.iter().map(|p| p.packet.capacity()).sum::<usize>());
    }
    assert_eq!(r.given_up() as usize, 1000 - r.partial.len());
    let newest = &pieces(&whole, 30_000, 999)[..1];
    assert_eq!(add_all(&mut r, newest, 1000), Some(whole), "the newest is still there");
}

#[test]
fn congestion_that_one_fragment_met_the_packet_met() {
    let whole = packet(V4, 2000);
    let mark = |b: &Vec<u8>, ecn: u8| {
        let mut b = b.clone();
        b[1] = b[1] & !3 | ecn;
        b
    };
    let all = pieces(&whole, 1480, 1);
    let marked = [all[0].clone(), mark(&all[1], 3)];
    let out = add_all(&mut Reassembler::default(), &marked, 0).unwrap();
    assert_eq!(out[1], 3);
    let mixed = [all[0].clone(), mark(&all[1], 0)];
    assert_eq!(add_all(&mut Reassembler::default(), &mixed, 0), None);
}

#[test]
fn one_unverified_fragment_makes_the_packet_unverified() {
    let all = pieces(&packet(V4, 2000), 1480, 1);
    let mut r = Reassembler::default();
    r.add(&all[0], Wall(0), true);
    assert!(r.add(&all[1], Wall(0), false).is_some_and(|(_, verified)| !verified));
}

#[test]
fn options_behind_the_fragment_header_belong_to_the_packet() {
    let mut whole = packet(V6, 2000);
    whole[6] = 60;
    let len = (whole.len() - IPV6_HEADER + 8) as u16;
    whole[4..6].copy_from_slice(&len.to_be_bytes());
    whole.splice(40..40, [17, 0, 1, 4, 0, 0, 0, 0]);
    let mut all = pieces(&whole, 1448, 1);
    all.iter_mut().for_each(|b| b[40] = 60);
    let out = add_all(&mut Reassembler::default(), &all, 0).unwrap();
    assert_eq!(out, whole);
    assert!(matches!(input(&out, false), Input::Datagram(d) if d.payload.len() == 2000));
}

proptest! {
    #[test]
    fn however_it_is_cut_and_mixed_it_comes_out_as_it_was(
        len in 1usize..20_000,
        size in 1usize..200,
        v6: bool,
        swaps in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>()), 0..20),
    ) {
        let whole = packet(if v6 { V6 } else { V4 }, len);
        let mut all = pieces(&whole, size * 8, 1);
        prop_assume!(all.len() > 1);
        for (a, b) in swaps {
            let (a, b) = (a.index(all.len()), b.index(all.len()));
            all.swap(a, b);
        }
        prop_assert_eq!(add_all(&mut Reassembler::default(), &all, 0), Some(whole));
    }

    #[test]
    fn hostile_fragments_never_panic_and_stay_within_the_bounds(
        all in prop::collection::vec((0u8..3, 0usize..9000, 0usize..2000, any::<u8>(), any::<bool>()), 1..200),
        cut_at in any::<prop::sample::Index>(),
        noise in any::<(prop::sample::Index, u8)>(),
    ) {
        let mut r = Reassembler::default();
        let (v4, v6) = (packet(V4, 60_000), packet(V6, 60_000));
        for (id, start, len, which, whole) in all {
            let from = if which & 1 == 0 { &v4 } else { &v6 };
            let start = start * 8 % 59_000;
            let mut b = cut(from, start..start + len % 1000, u16::from(id));
            if !whole {
                b.truncate(cut_at.index(b.len() + 1));
                let (at, value) = noise;
                if !b.is_empty() {
                    let at = at.index(b.len());
                    b[at] = value;
                }
            }
            if let Some((packet, _)) = r.add(&b, Wall(i64::from(which) << 30), true) {
                prop_assert!(packet.len() <= 65_535 + IPV6_HEADER);
                input(packet, false);
            }
            prop_assert!(r.partial.len() <= PACKETS && r.memory <= MEMORY);
        }
    }
}

#[test]
fn the_corpus_of_the_fuzz_target_is_put_together_where_it_can_be() {
    let whole = |name: &str| {
        let path = format!("{}/tests/fuzz/corpus/fragments/{name}.bin", env!("CARGO_MANIFEST_DIR"));
        let b = std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let (mut r, mut rest, mut lengths) = (Reassembler::default(), &b[..], Vec::new());
        while let [high, low, tail @ ..] = rest {
            let (packet, after) = tail.split_at(usize::from(u16::from_be_bytes([*high, *low])));
            lengths.extend(r.add(packet, Wall(0), true).map(|(p, _)| p.len()));
            rest = after;
        }
        lengths
    };
    // 1280 bytes of payload behind 8 of UDP and 20 of IPv4.
    assert_eq!(whole("ipv4-in-order"), [1308]);
    assert_eq!(whole("ipv4-turned-round"), [1308]);
    assert_eq!(whole("ipv4-twice"), [1308]);
    assert_eq!(whole("ipv6-part"), [0; 0]);
    assert_eq!(whole("whole-ones"), [0; 0]);
}
