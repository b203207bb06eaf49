use super::*;
use crate::base::time::{Mono, Wall};

fn at(s: u64) -> Stamp {
    Stamp { mono: Mono(s * SECOND_NS), wall: Wall(s as i64 * SECOND_NS as i64) }
}

fn announce(id: u8, priority1: u8, class: u8) -> Announce {
    Announce {
        domain: 0,
        grandmaster: ClockId([id; 8]),
        class,
        accuracy: 0x21,
        variance: 0x4e5d,
        priority1,
        priority2: 128,
        steps_removed: 0,
        utc_offset: 37,
        log_interval: 0,
    }
}

struct Lan(Clocks);

impl Lan {
    fn hear(&mut self, s: u64, port: u8, a: Announce) -> Option<String> {
        let from = Endpoint::new([10, 0, 0, port].into(), 320);
        self.0.take(a, (ClockId([port; 8]), 1), from, &"eth0".into(), at(s))
    }

    fn master(&self) -> &Grandmaster {
        self.0.on("eth0").next().expect("a grandmaster")
    }
}

#[test]
fn the_grandmaster_and_its_changes_are_told_once_each() {
    let mut lan = Lan(Clocks::default());
    let told = lan.hear(0, 1, announce(1, 128, 6)).unwrap();
    let want = "PTP domain 0 on eth0: grandmaster 01-01-01-01-01-01-01-01  class 6  accuracy 100 ns  \
                priority 128/128  steps 0";
    assert_eq!(told, want);
    assert_eq!(lan.hear(1, 1, announce(1, 128, 6)), None);
    // It loses its reference.
    let told = lan.hear(2, 1, announce(1, 128, 7)).unwrap();
    assert!(told.contains("class 7") && told.ends_with("(was class 6)"), "{told}");
    // A better one appears: the first goes on for a moment, then yields.
    let told = lan.hear(3, 2, announce(2, 100, 6)).unwrap();
    assert!(told.contains("changed from 01-01-01-01-01-01-01-01 to 02-02"), "{told}");
    let told = lan.hear(3, 1, announce(1, 128, 7));
    assert_eq!(told, None, "the two of a change are one story");
    assert_eq!((lan.master().changes, lan.master().rival), (1, Some(ClockId([1; 8]))));
    for s in 4..9 {
        lan.hear(s, 2, announce(2, 100, 6));
    }
    assert_eq!(lan.master().rival, None);
    assert_eq!(lan.master().since, at(3));
}

#[test]
fn a_grandmaster_that_falls_silent_is_lost_and_comes_back() {
    let mut lan = Lan(Clocks::default());
    lan.hear(0, 1, announce(1, 128, 6));
    assert!(lan.0.settle(at(3)).is_empty());
    let told = lan.0.settle(at(4));
    assert!(told.len() == 1 && told[0].2.ends_with("is announced no longer"), "{told:?}");
    assert!(lan.master().lost);
    assert!(lan.0.settle(at(5)).is_empty(), "told once");
    assert!(lan.hear(9, 1, announce(1, 128, 6)).unwrap().ends_with("is announced again"));
    assert!(!lan.master().lost);
}

#[test]
fn the_best_of_two_stands_whoever_speaks_last() {
    let mut lan = Lan(Clocks::default());
    lan.hear(0, 1, announce(1, 128, 6));
    let told = lan.hear(0, 2, announce(2, 128, 248)).unwrap();
    assert!(told.contains("two grandmasters are announced"), "{told}");
    assert_eq!(lan.master().announce.grandmaster, ClockId([1; 8]));
    // The domains and the interfaces are apart from each other.
    lan.hear(0, 3, Announce { domain: 5, ..announce(3, 1, 6) });
    assert_eq!(lan.0.on("eth0").map(|m| m.domain).collect::<Vec<_>>(), [0, 5]);
    assert_eq!(lan.0.on("eth1").count(), 0);
}

#[test]
fn the_list_of_clocks_is_bounded() {
    let mut lan = Lan(Clocks::default());
    for i in 0..=255u8 {
        lan.hear(0, i, Announce { domain: i, ..announce(i, 1, 6) });
    }
    assert!(lan.0.ports.len() <= PORTS_MAX && lan.0.masters.len() <= PORTS_MAX);
}
