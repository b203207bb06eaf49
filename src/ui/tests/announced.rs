//! What announces itself: sessions to be joined with a key, names of groups, PTP grandmasters, and what
//! does not fit together.

use insta::assert_snapshot;

use crate::base::group::MembershipId;
use crate::ui::action::Action;
use crate::ui::fixture::{Desk, Say, World, endpoint, rtp, steady};

/// A SAP packet (RFC 2974 section 3).
fn sap(deletion: bool, id: u32, name: &str, group: &str, media: &str) -> Vec<u8> {
    let mut b = vec![0x20 | if deletion { 4 } else { 0 }, 0, 0, id as u8, 10, 1, 2, 40];
    b.extend(b"application/sdp\0");
    b.extend(
        format!(
            "v=0\r\no=- {id} 1 IN IP4 10.1.2.40\r\ns={name}\r\nt=0 0\r\nc=IN IP4 {group}/32\r\n{media}\r\n\
             a=ts-refclk:ptp=IEEE1588-2008:00-1D-C1-FF-FE-12-34-57:0\r\n"
        )
        .bytes(),
    );
    b
}

/// A PTP Announce of domain 0 (IEEE 1588-2019 clause 13.5).
fn announce(n: u64, last: u8, class: u8) -> Vec<u8> {
    let mut b = vec![0x0b, 2, 0, 64, 0, 0, 0, 0x3c];
    b.resize(20, 0);
    b.extend([0, 0x1d, 0xc1, 0xff, 0xfe, 0x12, 0x34, last, 0, 1]);
    b.extend((n as u16).to_be_bytes());
    b.extend([5, 0]);
    b.resize(44, 0);
    b.extend([0, 37, 0, 128, class, 0x21, 0x4e, 0x5d, 128]);
    b.extend([0, 0x1d, 0xc1, 0xff, 0xfe, 0x12, 0x34, last, 0, 0, 0x20]);
    b
}

/// Three sessions, of which one group is joined; two senders with one SSRC; a changing grandmaster.
fn announced() -> World {
    let mut w = World::new();
    let sap_row = w.join("224.2.127.254:9875", "eth0", Some("SAP"));
    let audio = w.join("239.69.1.1:5004", "eth0", None);
    let ptp = w.join("224.0.1.129:320", "eth0", Some("ptp"));
    let mdns = w.join("224.0.0.251:5353", "eth0", Some("mDNS"));
    let say = |name: &'static str, id, group: &'static str, media: &'static str, ms| Say {
        to: sap_row,
        from: endpoint("10.1.2.40:9875"),
        ms,
        payload: sap(false, id, name, group, media),
        ttl: 32,
        dscp: 0,
    };
    let l24 = "m=audio 5004 RTP/AVP 97\r\na=rtpmap:97 L24/48000/2";
    let mut list = Vec::new();
    for ms in [1_000, 31_000, 61_000] {
        list.push(say("Studio A left/right", 1, "239.69.1.1", l24, ms));
        list.push(say("Bells", 2, "239.69.1.2", l24, ms + 200));
        let video = "m=video 5010 RTP/AVP 96\r\na=rtpmap:96 raw/90000";
        list.push(say("Camera \u{1b}[31m7", 3, "239.69.2.7", video, ms + 300));
    }
    list.extend(steady(audio, "10.1.2.20:5004", 40_000, 65_000, 20, |n| rtp(n, 0x5a01, 332)));
    list.extend(steady(audio, "10.1.2.21:5004", 41_000, 65_000, 20, |n| rtp(n + 300, 0x5a01, 332)));
    list.extend(steady(mdns, "10.1.2.9:5004", 40_000, 65_000, 100, |n| rtp(n, 7, 200)));
    list.extend(steady(ptp, "10.1.2.50:320", 20_000, 40_000, 1_000, |n| announce(n, 0x56, 6)));
    list.extend(steady(ptp, "10.1.2.51:320", 48_000, 65_000, 1_000, |n| announce(n, 0x58, 7)));
    w.feed(list, 65_000);
    w
}

fn screen(width: u16, height: u16, keys: &str) -> String {
    let mut d = Desk::new(announced(), width, height);
    d.keys(keys);
    d.text()
}

#[test]
fn an_announced_group_has_its_name_everywhere() {
    assert_snapshot!("announced_live_80x24", screen(80, 24, ""));
    assert_snapshot!("announced_live_120x36", screen(120, 36, ""));
    assert_snapshot!("announced_stream_120x36", screen(120, 36, "2"));
    let mut d = Desk::new(announced(), 200, 60);
    d.expect("“Studio A left/right” · RTP");
    d.keys("/studio<enter>");
    d.expect("1 of 4 match");
}

#[test]
fn the_sessions_are_listed_and_joined_with_a_key() {
    assert_snapshot!("sessions_80x24", screen(80, 24, "a"));
    assert_snapshot!("sessions_120x36", screen(120, 36, "aj"));
    assert_snapshot!("sessions_200x60", screen(200, 60, "a"));
    let mut d = Desk::new(announced(), 80, 24);
    // Sorted by name: Bells comes first.
    let joined = d.keys("a<enter>");
    let [Action::Join { memberships, typed, keep: false }] = &joined[..] else { panic!("{joined:?}") };
    assert_eq!(memberships[0].to_string(), "239.69.1.2%eth0:5004");
    assert_eq!(typed, "239.69.1.2%eth0:5004");
    assert_eq!(d.keys("jc"), [Action::Copy("239.69.2.7%eth0:5010".into())]);
    assert!(!d.text().contains('\u{1b}'));
    d.keys("<esc>");
    d.expect_not("Sessions  3");
    let mut d = Desk::new(World::new(), 80, 24);
    assert_eq!(d.keys("a<enter>"), []);
    d.expect("no session is announced on the groups that are joined");
    d.expect("J joins sap");
}

#[test]
fn a_deleted_session_loses_its_name() {
    let mut w = announced();
    let gone = sap(true, 1, "Studio A left/right", "239.69.1.1", "m=audio 5004 RTP/AVP 97");
    let from = endpoint("10.1.2.40:9875");
    w.feed(vec![Say { to: MembershipId(0), from, ms: 65_500, payload: gone, ttl: 32, dscp: 0 }], 66_000);
    let mut d = Desk::new(w, 200, 60);
    d.expect_not("“Studio A");
    d.keys("a");
    d.expect("Sessions  2");
    d.keys("<esc>6");
    d.expect("is announced no longer: deleted");
}

#[test]
fn what_does_not_fit_together_is_said() {
    let mut d = Desk::new(announced(), 120, 36);
    // The two senders of the selected group.
    d.expect("! two senders on one group: same SSRC 0x5a01, same payload type");
    d.expect("╰ two senders on one group: same SSRC 0x5a01, same payload type ─");
    d.keys("2");
    d.expect("the session names clock 00-1D-C1-FF-FE-12-34-57, seen is 00-1d-c1-ff-fe-12-34-58");
    d.keys("1jj");
    d.keys("/mdns<enter>");
    d.expect("! registered as mdns, but 10.1.2.9:5004 sends RTP");
}

#[test]
fn the_grandmaster_stands_on_the_stream_and_its_changes_among_the_events() {
    let mut d = Desk::new(announced(), 200, 60);
    d.keys("/ptp<enter>2");
    d.expect("domain 0  00-1d-c1-ff-fe-12-34-58  class 7  accuracy 100 ns");
    d.expect("priority 128/128  steps 0  for 17.0 s  changed once");
    d.keys("6");
    d.expect("grandmaster 00-1d-c1-ff-fe-12-34-56 is announced no longer");
    d.expect("grandmaster changed from 00-1d-c1-ff-fe-12-34-56 to 00-1d-c1-ff-fe-12-34-58");
}

#[test]
fn from_the_empty_list_of_sessions_the_join_dialog_is_a_key_away() {
    let mut d = Desk::new(crate::ui::fixture::studio(), 80, 24);
    d.keys("a");
    d.expect("J joins sap");
    d.keys("J");
    d.expect("<the join dialog>");
}
