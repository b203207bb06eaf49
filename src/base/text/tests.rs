use proptest::prelude::*;

use super::*;

#[test]
fn nothing_that_moves_a_terminal_gets_through() {
    for (text, shown) in [
        ("plain, naïve, 日本語, ☃", "plain, naïve, 日本語, ☃"),
        ("a\x1b[31mred\x07", "a␛[31mred␇"),
        ("line\r\n\ttab\0", "line␍␊␉tab␀"),
        ("\x7f", "␡"),
        ("\u{9b}2J\u{85}", "‹U+009B›2J‹U+0085›"),
        ("a\u{202e}b\u{2066}c\u{200f}", "a‹U+202E›b‹U+2066›c‹U+200F›"),
        ("z\u{200b}w\u{feff}j\u{2060}", "z‹U+200B›w‹U+FEFF›j‹U+2060›"),
        ("\u{2028}\u{2029}", "‹U+2028›‹U+2029›"),
        ("\u{e0041}\u{e000}\u{10fffd}", "‹U+E0041›‹U+E000›‹U+10FFFD›"),
        ("\u{3164}\u{fe0f}\u{ad}", "‹U+3164›‹U+FE0F›‹U+00AD›"),
        // One or two marks are writing, a tower of them is not; nor is one on nothing.
        ("e\u{301}", "e\u{301}"),
        ("e\u{301}\u{302}\u{303}", "e\u{301}\u{302}‹U+0303›"),
        ("\u{301}e", "‹U+0301›e"),
    ] {
        assert_eq!(visible(text, 100), shown, "{text:?}");
    }
}

#[test]
fn bytes_that_are_no_text_are_dots() {
    assert_eq!(visible_bytes(b"caf\xc3\xa9 \xff\xfe \xe2\x82", 100), "café ·· ··");
    assert_eq!(visible_bytes(b"\x1b]0;owned\x07", 100), "␛]0;owned␇");
    assert_eq!(visible_bytes(b"", 5), "");
}

#[test]
fn a_long_text_ends_in_an_ellipsis() {
    assert_eq!(visible("hello", 5), "hello");
    assert_eq!(visible("hello!", 5), "hell…");
    // A symbol is never cut in two.
    assert_eq!(visible("ab\u{202e}cd", 6), "ab…");
    assert_eq!(visible("ab\u{202e}", 10), "ab‹U+202E›");
    assert_eq!(visible("ab\u{202e}c", 10), "ab…");
    assert_eq!(visible("x", 0), "");
    let mut line = "RTP ".to_owned();
    push_visible(&mut line, "hello!", 5);
    assert_eq!(line, "RTP hell…");
}

#[test]
fn the_hex_pane_shows_printable_ascii_only() {
    let shown: String = (0..=255).map(ascii_dot).collect();
    assert_eq!(shown.chars().count(), 256);
    assert_eq!(shown.chars().filter(|c| *c != NOT_TEXT).count(), 95);
    assert_eq!((ascii_dot(b'A'), ascii_dot(0x1b), ascii_dot(0xff)), ('A', '·', '·'));
}

#[test]
fn escapes_become_bytes() {
    assert_eq!(unescape(r"a\n\r\t\\\0\x1B\u{e9}\u{1F600}ü").unwrap(), "a\n\r\t\\\0\x1bé😀ü".as_bytes());
    assert_eq!(unescape(r"\xff").unwrap(), [0xff]);
    assert_eq!(unescape("").unwrap(), b"");
}

#[test]
fn a_wrong_escape_is_pointed_at() {
    for (text, span, message) in [
        (r"ab\", 2..3, "nothing follows this backslash"),
        (r"ab\q", 2..4, "there is no such escape"),
        (r"é\é", 2..5, "there is no such escape"),
        (r"\x1", 0..3, r"\x takes two hex digits"),
        (r"\xg1", 0..2, r"\x takes two hex digits"),
        (r"\u{}", 0..4, r"\u takes one to six hex digits in braces"),
        (r"\u41", 0..2, r"\u takes one to six hex digits in braces"),
        (r"\u", 0..2, r"\u takes one to six hex digits in braces"),
        (r"\u{12", 0..5, r"\u takes one to six hex digits in braces"),
        (r"\u{1234567}", 0..11, r"\u takes one to six hex digits in braces"),
        (r"\u{d800}", 0..8, "there is no such character"),
    ] {
        let error = unescape(text).expect_err(text);
        assert_eq!((error.span.clone(), &*error.message), (span, message), "{text}");
    }
}

#[test]
fn hex_is_read_in_the_ways_it_is_pasted() {
    for text in [
        "deadbeef",
        "DE AD BE EF",
        "de:ad:be:ef",
        "de ad be:ef",
        "0xdead, 0xbeef",
        "0xDEADBEEF",
        "dead_beef\n",
    ] {
        assert_eq!(parse_hex(text).unwrap(), [0xde, 0xad, 0xbe, 0xef], "{text}");
    }
    assert_eq!(parse_hex(" ").unwrap(), [] as [u8; 0]);
}

#[test]
fn wrong_hex_is_pointed_at() {
    for (text, span, message) in [
        ("de ax", 4..5, "this is not a hex digit"),
        ("de 0xg0", 5..6, "this is not a hex digit"),
        ("de é0", 3..5, "this is not a hex digit"),
        ("de abc", 3..6, "an odd number of hex digits"),
        ("de 0x", 3..5, "digits are missing after 0x"),
    ] {
        let error = parse_hex(text).expect_err(text);
        assert_eq!((error.span.clone(), &*error.message), (span, message), "{text}");
    }
    assert_eq!(parse_hex("a").unwrap_err().help.unwrap(), "write 0a");
}

#[test]
fn an_error_marks_its_part_by_characters() {
    let error = TextError::new("234.2.2.299", 8..11, "an IPv4 number goes up to 255");
    assert_eq!(error.caret(), "234.2.2.299\n        ^^^ an IPv4 number goes up to 255");
    assert_eq!(error.to_string(), "`234.2.2.299`: `299`: an IPv4 number goes up to 255");
    let error = TextError::new("höst x", 6..7, "wrong").help("leave it out");
    assert_eq!(error.caret(), "höst x\n     ^ wrong\n     leave it out");
    assert_eq!(error.columns(), 5..6);
    // Something missing at the end is still marked; the user's own escapes are not executed.
    let error = TextError::new("a\x1b", 2..2, "more");
    assert_eq!(error.caret(), "a␛\n  ^ more");
    assert_eq!(error.to_string(), "`a␛`: more");
}

#[test]
fn near_words_are_found() {
    let words =
        ["watch", "send", "respond", "interfaces", "groups", "demo", "doctor", "ssdp", "ws-discovery"];
    for (word, first) in [
        ("wach", Some("watch")),
        ("snd", Some("send")),
        ("interfases", Some("interfaces")),
        ("grops", Some("groups")),
        ("Demo", Some("demo")),
        ("ws-dis", Some("ws-discovery")),
        ("sspd", Some("ssdp")),
        ("zebra", None),
        ("x", None),
    ] {
        assert_eq!(nearest(word, words, 3).first().copied(), first, "{word}");
    }
    assert_eq!(edit_distance("kitten", "sitting", 3), Some(3));
    assert_eq!(edit_distance("kitten", "sitting", 2), None);
    assert_eq!(edit_distance("abcd", "acbd", 3), Some(1));
}

proptest! {
    #[test]
    fn what_is_shown_is_bounded_and_harmless(bytes: Vec<u8>, text in "\\PC*|.*", max in 0usize..40) {
        for shown in [visible_bytes(&bytes, max), visible(&text, max)] {
            prop_assert!(shown.chars().count() <= max);
            prop_assert!(!shown.chars().any(|c| c.is_control() || is_trap(c)), "{:?}", shown);
        }
        let full = visible(&text, usize::MAX);
        prop_assert!(full.chars().count() > max || visible(&text, max) == full);
    }

    #[test]
    fn errors_hold_for_any_text_and_span(text in ".{0,20}", a in 0usize..40, b in 0usize..40) {
        let error = TextError::new(&text, a..b, "wrong");
        prop_assert!(error.caret().lines().count() == 2);
        prop_assert!(error.to_string().lines().count() <= 1);
    }

    #[test]
    fn escapes_and_hex_never_panic(text in "(\\\\|[xu{}0-9a-fé :]){0,16}|.{0,16}") {
        let _ = (unescape(&text), parse_hex(&text));
    }

    #[test]
    fn hex_reads_back(bytes: Vec<u8>) {
        let text: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
        prop_assert_eq!(parse_hex(&text.concat()).unwrap(), bytes.clone());
        prop_assert_eq!(parse_hex(&text.join(" ")).unwrap(), bytes);
    }
}
