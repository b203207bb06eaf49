use super::*;

const S: u64 = SECOND_NS;

fn at(s: u64) -> Stamp {
    Stamp { mono: Mono(s * S), wall: Wall((1_800_000_000 + s as i64) * S as i64) }
}

/// A SAP packet (RFC 2974 section 3) of this description.
fn sap(deletion: bool, hash: u16, origin: [u8; 4], description: &str) -> Vec<u8> {
    let mut b = vec![0x20 | if deletion { 4 } else { 0 }, 0];
    b.extend(hash.to_be_bytes());
    b.extend(origin);
    b.extend(b"application/sdp\0");
    b.extend(description.as_bytes());
    b
}

fn studio(version: u32, name: &str, group: &str) -> String {
    format!(
        "v=0\r\no=- 77 {version} IN IP4 10.0.0.9\r\ns={name}\r\nt=0 0\r\nc=IN IP4 {group}\r\n\
         m=audio 5004 RTP/AVP 97\r\na=rtpmap:97 L24/48000/2\r\n"
    )
}

struct Lan {
    sessions: Sessions,
    iface: Arc<str>,
}

impl Lan {
    fn new() -> Lan {
        Lan { sessions: Sessions::default(), iface: "eth0".into() }
    }

    fn hear(&mut self, s: u64, from: u8, packet: &[u8]) -> Option<Change> {
        let sender = Endpoint::new([10, 0, 0, from].into(), 9875);
        let a = Announcement::parse(packet).expect("an announcement");
        let change = self.sessions.take(a, sender, &self.iface.clone(), at(s)).map(|(c, _)| c);
        self.sessions.rename();
        change
    }

    fn name(&self, group: &str) -> Option<String> {
        self.sessions.named(group.parse::<std::net::SocketAddr>().unwrap().into()).map(|n| n.name.to_string())
    }

    fn pass(&mut self, s: u64) -> usize {
        let gone = self.sessions.settle(at(s).mono, at(s).wall).len();
        self.sessions.rename();
        gone
    }
}

#[test]
fn a_session_names_its_group_until_it_is_deleted() {
    let mut lan = Lan::new();
    let first = sap(false, 1, [10, 0, 0, 9], &studio(1, "Studio A", "239.69.1.1/32"));
    assert_eq!(lan.hear(0, 9, &first), Some(Change::New));
    assert_eq!(lan.hear(30, 9, &first), None);
    assert_eq!(lan.name("239.69.1.1:5004").as_deref(), Some("Studio A"));
    assert_eq!(lan.name("239.69.1.1:5006"), None);
    // The description changes, and its hash with it: it is the same session.
    let second = sap(false, 2, [10, 0, 0, 9], &studio(2, "Studio B", "239.69.1.2/32"));
    assert_eq!(lan.hear(60, 9, &second), Some(Change::Changed));
    assert_eq!(lan.name("239.69.1.1:5004"), None);
    assert_eq!(lan.name("239.69.1.2:5004").as_deref(), Some("Studio B"));
    // Another host cannot delete it, nor take it over.
    let gone = sap(true, 2, [10, 0, 0, 9], "o=- 77 2 IN IP4 10.0.0.9\r\n");
    assert_eq!(lan.hear(61, 66, &gone), None);
    let forged = sap(false, 3, [10, 0, 0, 9], &studio(3, "Evil", "239.69.1.2/32"));
    assert_eq!(lan.hear(62, 66, &forged), None);
    assert_eq!(lan.name("239.69.1.2:5004").as_deref(), Some("Studio B"));
    assert_eq!(lan.hear(63, 9, &gone), Some(Change::Deleted));
    assert_eq!(lan.name("239.69.1.2:5004"), None);
    assert!(lan.sessions.list().is_empty());
}

#[test]
fn a_session_that_is_not_heard_any_more_is_given_up_after_ten_intervals_or_an_hour() {
    let mut lan = Lan::new();
    let a = sap(false, 1, [10, 0, 0, 9], &studio(1, "Studio A", "239.69.1.1"));
    lan.hear(0, 9, &a);
    lan.hear(30, 9, &a);
    assert_eq!(lan.pass(30 + 3600), 0);
    assert_eq!(lan.pass(30 + 3601), 1);
    assert_eq!(lan.name("239.69.1.1:5004"), None);
    // One that comes every ten minutes has more time.
    lan.hear(10_000, 9, &a);
    lan.hear(10_600, 9, &a);
    assert_eq!(lan.pass(10_600 + 5999), 0);
    assert_eq!(lan.pass(10_600 + 6001), 1);
}

#[test]
fn a_session_ends_when_its_own_time_is_over() {
    let mut lan = Lan::new();
    // NTP counts from 1900: 2 208 988 800 s earlier.
    let end = 2_208_988_800u64 + 1_800_000_000 + 100;
    let text = studio(1, "Concert", "239.69.1.1").replace("t=0 0", &format!("t=1 {end}"));
    lan.hear(0, 9, &sap(false, 1, [10, 0, 0, 9], &text));
    assert_eq!((lan.pass(100), lan.pass(101)), (0, 1));
}

#[test]
fn one_line_names_several_groups_and_two_sessions_one_group() {
    let mut lan = Lan::new();
    lan.hear(0, 9, &sap(false, 1, [10, 0, 0, 9], &studio(1, "Many", "239.69.1.1/32/3")));
    assert_eq!(lan.name("239.69.1.3:5004").as_deref(), Some("Many"));
    assert_eq!(lan.name("239.69.1.4:5004"), None);
    let other = studio(1, "Other", "239.69.1.2/32").replace("- 77", "- 78");
    lan.hear(1, 9, &sap(false, 5, [10, 0, 0, 9], &other));
    let to: std::net::SocketAddr = "239.69.1.2:5004".parse().unwrap();
    let named = lan.sessions.named(to.into()).unwrap();
    assert_eq!((&*named.name, named.others, &*named.what), ("Many", 1, "L24/48000/2"));
}

#[test]
fn a_source_filter_becomes_a_source_specific_join() {
    use crate::base::group::SourceFilter;
    let mut lan = Lan::new();
    let text = studio(1, "Studio A", "232.1.1.1/32") + "a=source-filter: incl IN IP4 232.1.1.1 10.0.0.7\r\n";
    lan.hear(0, 9, &sap(false, 1, [10, 0, 0, 9], &text));
    let s = &lan.sessions.list()[0];
    let (to, media) = s.groups().next().unwrap();
    let m = s.membership(to, media);
    assert_eq!(m.to_string(), "10.0.0.7@232.1.1.1%eth0:5004");
    assert_eq!(m.filter, SourceFilter::Include(vec!["10.0.0.7".parse().unwrap()]));
}

#[test]
fn one_sender_displaces_only_its_own_and_nobody_displaces_without_bound() {
    let mut lan = Lan::new();
    let one = |id: usize, host: [u8; 4]| {
        sap(false, id as u16, host, &studio(1, "S", "239.69.1.1").replace("- 77", &format!("- {id}")))
    };
    lan.hear(0, 9, &one(1, [10, 0, 0, 9]));
    for id in 0..PER_SENDER + 50 {
        lan.hear(1, 66, &one(id, [10, 0, 0, 66]));
    }
    assert_eq!(lan.sessions.list().len(), PER_SENDER + 1);
    assert_eq!(lan.sessions.list()[0].sender.ip, IpAddr::from([10, 0, 0, 9]));
    assert_eq!(lan.sessions.forgotten(), 50);
    for host in 70..80u8 {
        for id in 0..200 {
            lan.hear(2, host, &one(id, [10, 0, 0, host]));
        }
    }
    assert_eq!(lan.sessions.list().len(), SESSIONS_MAX);
}

#[test]
fn what_would_move_a_terminal_is_visible_in_names() {
    let mut lan = Lan::new();
    lan.hear(0, 9, &sap(false, 1, [10, 0, 0, 9], &studio(1, "Stu\x1b[31mdio", "239.69.1.1/32")));
    assert!(!lan.name("239.69.1.1:5004").unwrap().contains('\x1b'));
    assert!(!lan.sessions.list()[0].describe().contains('\x1b'));
}

#[test]
fn the_names_are_bounded_however_many_groups_a_session_claims() {
    let mut lan = Lan::new();
    for id in 0..PER_SENDER {
        let media: String = (0..30).map(|m| format!("m=audio {} RTP/AVP 0\r\n", 2000 + m)).collect();
        let text =
            studio(1, "S", &format!("239.{id}.1.1/32/64")).replace("- 77", &format!("- {id}")) + &media;
        let a = Announcement::parse(&sap(false, id as u16, [10, 0, 0, 9], &text)).unwrap();
        lan.sessions.take(a, Endpoint::new([10, 0, 0, 9].into(), 9875), &lan.iface.clone(), at(0));
    }
    lan.sessions.rename();
    assert!(lan.sessions.names.len() <= NAMES_MAX);
    assert!(lan.name("239.1.1.64:2001").is_some());
}

#[test]
fn what_sessions_contradict_each_other_in_is_not_used_nor_what_is_not_let_through() {
    let mut lan = Lan::new();
    let to = "239.69.1.1:5004".parse::<std::net::SocketAddr>().unwrap().into();
    let formats = |lan: &Lan, from: u8| {
        let named = lan.sessions.named(to).unwrap();
        named.formats_of([10, 0, 0, from].into()).iter().map(|f| f.encoding.clone()).collect::<Vec<_>>()
    };
    let text = studio(1, "A", "239.69.1.1/32") + "a=source-filter: incl IN IP4 239.69.1.1 10.0.0.5\r\n";
    lan.hear(0, 9, &sap(false, 1, [10, 0, 0, 9], &text));
    assert_eq!((formats(&lan, 5), formats(&lan, 6)), (vec!["L24/48000/2".to_owned()], vec![]));
    let other = studio(1, "B", "239.69.1.1/32").replace("L24", "L16");
    lan.hear(1, 8, &sap(false, 2, [10, 0, 0, 8], &other));
    assert_eq!(formats(&lan, 5), [""; 0]);
}
