//! Whole screens at the sizes that matter.

use insta::assert_snapshot;
use ratatui::style::{Color, Modifier};

use crate::model::event::EventKind;
use crate::ui::fixture::{Desk, World, at, rtp, steady, studio};
use crate::ui::theme::Theme;

fn screen(width: u16, height: u16, keys: &str) -> String {
    let mut d = Desk::new(studio(), width, height);
    d.keys(keys);
    d.text()
}

#[test]
fn live_at_three_sizes() {
    assert_snapshot!("live_80x24", screen(80, 24, ""));
    assert_snapshot!("live_120x36", screen(120, 36, ""));
    assert_snapshot!("live_200x60", screen(200, 60, ""));
}

#[test]
fn the_other_views() {
    assert_snapshot!("packets_80x24", screen(80, 24, "3jj"));
    assert_snapshot!("packets_120x36", screen(120, 36, "3jj<tab>jj"));
    assert_snapshot!("packets_200x60", screen(200, 60, "3"));
    assert_snapshot!("stream_80x24", screen(80, 24, "<enter>j<enter>"));
    assert_snapshot!("stream_120x36", screen(120, 36, "<enter>j<enter>"));
    assert_snapshot!("stream_200x60", screen(200, 60, "<enter>j<enter>"));
    assert_snapshot!("network_80x24", screen(80, 24, "4j"));
    assert_snapshot!("network_120x36", screen(120, 36, "4jj"));
    assert_snapshot!("events_80x24", screen(80, 24, "6jj"));
}

#[test]
fn a_failed_row_says_why_and_what_to_do() {
    assert_snapshot!("failed_80x24", screen(80, 24, "jjjj"));
}

#[test]
fn a_silent_row_says_how_long_and_what_to_try() {
    assert_snapshot!("silent_120x36", screen(120, 36, "jjj"));
    let mut w = World::new();
    let id = w.join("239.1.1.1:5004", "eth0", None);
    w.feed(steady(id, "10.0.0.9:5004", 0, 10_000, 10, |n| rtp(n, 1, 200)), 22_000);
    let d = Desk::new(w, 80, 24);
    // It had traffic: the strip stays, for it shows since when.
    d.expect("silent 12 s");
    d.expect("████████····");
    d.expect("nothing for 12 s");
}

#[test]
fn pop_ups() {
    assert_snapshot!("help_80x24", screen(80, 24, "?"));
    assert_snapshot!("palette_120x36", screen(120, 36, ":sort"));
    assert_snapshot!("columns_80x24", screen(80, 24, "wj<space>"));
}

#[test]
fn a_filter_shows_what_it_leaves_and_what_to_do_when_that_is_nothing() {
    assert_snapshot!("filter_120x36", screen(120, 36, "/cam-b<enter>"));
    let mut d = Desk::new(studio(), 80, 24);
    d.keys("/zebra<enter>");
    d.expect("nothing here matches “zebra” · Esc clears the filter");
}

#[test]
fn too_small_a_terminal_says_what_it_needs_and_has() {
    assert_snapshot!("small_79x23", screen(79, 23, ""));
}

#[test]
fn with_nothing_joined_every_pane_says_what_to_do() {
    let mut d = Desk::new(World::new(), 80, 24);
    assert_snapshot!("empty_80x24", d.text());
    d.keys("3");
    d.expect("select a group to see its packets");
    d.keys("6");
    d.expect("nothing has happened yet");
}

#[test]
fn the_first_frame_lists_what_was_asked_for_as_joining() {
    let mut w = World::new();
    w.ask("239.1.1.1:5004", "eth0", None);
    w.ask("[ff05::1:3]:7000", "eth1", None);
    let d = Desk::new(w, 80, 24);
    assert_eq!(d.text().matches("joining …").count(), 3, "{}", d.text());
    d.expect("ff05::1:3");
}

#[test]
fn a_small_terminal_has_every_column_that_matters_and_no_line_is_too_long() {
    for (w, h) in [(80, 24), (81, 25), (99, 24), (100, 30), (119, 36), (160, 50), (199, 61), (250, 80)] {
        for keys in ["", "2", "3", "4", "6", "z", "<tab>z", "?", ":", "w"] {
            let mut d = Desk::new(studio(), w, h);
            d.keys(keys);
            for line in d.lines() {
                assert!(unicode_width::UnicodeWidthStr::width(line.as_str()) <= w as usize);
            }
        }
    }
    let text = screen(80, 24, "");
    for head in ["GROUP", "PORT", "IFACE", "PKT/S", "BIT/S", "NET", "20 s (0–", "SOURCE", "TTL", "DSCP"] {
        assert!(text.contains(head), "{head}:\n{text}");
    }
}

#[test]
fn paused_the_screen_stands_still_and_says_since_when() {
    let mut d = Desk::new(studio(), 120, 36);
    let before = d.lines();
    d.keys("<space>");
    d.expect("❚❚ paused 16:01:05, counting goes on");
    let id = d.world.model.groups().next().unwrap().id;
    d.world.feed(steady(id, "10.1.2.22:5004", 66_000, 69_000, 10, |n| rtp(n, 7, 100)), 69_000);
    d.draw();
    assert_eq!(d.lines()[2..35], before[2..35], "{}", d.text());
    assert!(d.lines()[0].ends_with("16:01:09"), "the clock goes on");
    d.keys("<space>");
    d.expect("10.1.2.22:5004");
    d.expect("● watching");
}

#[test]
fn without_colour_every_state_and_the_selection_have_a_sign() {
    let mut d = Desk::new(studio(), 120, 36);
    d.theme = Theme::mono();
    d.draw();
    for sign in ["▌●", "◌", "✕", "◔"] {
        d.expect(sign);
    }
    let b = d.buffer();
    assert!(b.content.iter().all(|c| c.fg == Color::Reset && c.bg == Color::Reset));
    let row = d.lines().iter().position(|l| l.contains("▌●")).unwrap() as u16;
    assert!(b[(20, row)].modifier.contains(Modifier::REVERSED));
    assert!(!b[(20, row + 1)].modifier.contains(Modifier::REVERSED));
}

#[test]
fn idle_is_a_sign_of_its_own_and_own_packets_are_marked() {
    let mut d = Desk::new(studio(), 120, 36);
    d.keys("j");
    d.expect("▌● 10.1.2.30:33000");
    d.expect("→ 10.1.2.3:40000");
    d.expect("this host");
    d.world.to(68_000);
    d.draw();
    let mut w = World::new();
    let id = w.join("239.1.1.1:5004", "eth0", None);
    w.feed(steady(id, "10.0.0.9:1", 0, 30, 10, |_| vec![1]), 4_000);
    Desk::new(w, 80, 24).expect("▌○ 239.1.1.1");
}

#[test]
fn text_of_strangers_cannot_reach_the_terminal_raw() {
    let mut w = studio();
    w.model.note(EventKind::Note, None, "\u{1b}]0;title\u{7} and \u{202e}rtl".into(), at(65_000));
    let mut d = Desk::new(w, 120, 36);
    d.names.insert("10.1.2.30".parse().unwrap(), Some("evil\u{1b}[2J\u{202e}.local".into()));
    for keys in ["", "j", "3", "6"] {
        d.keys(keys);
        let bad = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
        for line in d.lines() {
            assert!(!line.contains(bad), "{line:?}");
        }
    }
}

#[test]
fn losses_stand_side_by_side_and_a_dash_is_never_a_zero() {
    let d = Desk::new(studio(), 120, 36);
    d.expect("NET 24  NIC 0   SOCK 12  OURS 3");
    let mut w = World::new();
    w.join("239.1.1.1:5004", "eth0", None);
    Desk::new(w, 120, 36).expect("NET –   NIC 0   SOCK –   OURS 0");
}

#[test]
fn rates_fall_to_nothing_when_the_traffic_stops() {
    let mut d = Desk::new(studio(), 120, 36);
    d.expect("263 kbit/s");
    d.world.to(69_000);
    d.draw();
    d.expect("0 pkt/s");
    d.expect("0 bit/s");
}

#[test]
fn in_a_zoomed_pane_each_strip_has_its_own_scale() {
    let mut d = Desk::new(studio(), 120, 36);
    d.expect("/s)");
    d.expect_not("MAX/S");
    d.keys("z");
    d.expect("MAX/S");
    d.expect_not("/s)");
    d.keys("z");
    d.expect("/s)");
}

#[test]
fn the_zoomed_sources_show_a_whole_minute_of_each() {
    let mut d = Desk::new(studio(), 120, 36);
    d.keys("<tab>");
    assert!(!d.text().contains("MAX/S"));
    d.keys("z");
    d.expect("MAX/S 60 s");
    d.expect("HOST");
}

#[test]
fn a_narrow_screen_says_which_counter_was_found_where_loss_is_read_from_it() {
    let mut world = World::new();
    let id = world.join("239.1.1.1:7777", "eth0", None);
    let payload = |n: u64| {
        let counter = (n + n / 100) as u32;
        let mut noise = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut bytes = vec![0xa7, 0x11];
        bytes.extend(counter.to_le_bytes());
        bytes.extend((0..90).map(|_| {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            noise as u8
        }));
        bytes
    };
    world.feed(steady(id, "10.1.2.20:7777", 0, 12_000, 4, payload), 12_000);
    let mut d = Desk::new(world, 80, 24);
    d.keys("<enter><enter>");
    d.expect("unknown payload");
    d.expect("lost between sender and this host");
    d.expect("counter 4 bytes at 2, little endian, found");
}

#[test]
fn a_transport_stream_says_what_it_carries() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus/payload/mpegts-tables.bin");
    let payload = std::fs::read(path).unwrap();
    let mut world = World::new();
    let id = world.join("239.1.1.1:1234", "eth0", None);
    world.feed(steady(id, "10.1.2.20:5004", 0, 300, 100, |_| payload.clone()), 1000);
    let mut d = Desk::new(world, 120, 36);
    d.keys("<enter><enter>");
    d.expect("carries   \"News HD\" 100: video MPEG-2 pid 256, audio AAC pid 257");
}
