use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::base::text::TextError;

#[test]
fn numbers_have_at_most_four_characters_and_a_prefix() {
    for (value, text) in [
        (0.0, "0"),
        (44.0, "44"),
        (0.5, "0.5"),
        (0.017, "0.02"),
        (0.0049, "<.01"),
        (9.94, "9.9"),
        (9.96, "10"),
        (43.7, "44"),
        (999.4, "999"),
        (999.96, "1.00 k"),
        (2_040.0, "2.04 k"),
        (9_994.9, "9.99 k"),
        (9_995.1, "10.0 k"),
        (18_400_000.0, "18.4 M"),
        (230_000.0, "230 k"),
        (999_499.0, "999 k"),
        (999_500.0, "1.00 M"),
        (1e24, "1.00 Y"),
        (1e27, ">999 Y"),
        (1e300, ">999 Y"),
        (f64::INFINITY, "∞"),
        (f64::NEG_INFINITY, "-∞"),
        (f64::NAN, "–"),
        (-2_040.0, "-2.04 k"),
    ] {
        assert_eq!(si(value), text, "{value}");
    }
    assert_eq!(si_column(2_040.0), "2.04 k");
    assert_eq!(si_column(44.0), "  44  ");
    assert_eq!(si_column(f64::NAN), "   –  ");
}

#[test]
fn amounts_carry_their_unit() {
    assert_eq!(bytes(0), "0 B");
    assert_eq!(bytes(999), "999 B");
    assert_eq!(bytes(1_473), "1.47 kB");
    assert_eq!(bytes(64_000_000), "64.0 MB");
    assert_eq!(bytes(u64::MAX), "18.4 EB");
    assert_eq!(bits_per_s(0.0), "0 bit/s");
    assert_eq!(bits_per_s(1.0), "1 bit/s");
    assert_eq!(bits_per_s(18_600_000.0), "18.6 Mbit/s");
    assert_eq!(bits_per_s(1_000.0), "1.00 kbit/s");
    assert_eq!(bits_per_s(999_960.0), "1.00 Mbit/s");
    assert_eq!(bits_per_s(f64::NAN), ABSENT);
    assert_eq!(bits_per_s(f64::INFINITY), "∞ bit/s");
    assert_eq!(bits_per_s(1e30), ">999 Ybit/s");
    assert_eq!(packets_per_s(2_050.0), "2.05 k pkt/s");
    assert_eq!((packets(1), packets(0)), ("1 packet".into(), "0 packets".into()));
}

#[test]
fn counters_are_exact_and_grouped_from_five_digits_on() {
    for (n, text) in [(0, "0"), (1152, "1152"), (12_345, "12 345"), (1_234_567, "1 234 567")] {
        assert_eq!(count(n), text);
    }
    assert_eq!(count(u64::MAX), "18 446 744 073 709 551 615");
}

#[test]
fn some_loss_never_reads_as_none_nor_most_as_all() {
    for (pct, text) in [
        (0.0, "0 %"),
        (0.0001, "<0.01 %"),
        (0.04, "0.04 %"),
        (0.996, "1.0 %"),
        (12.34, "12.3 %"),
        (99.96, "99.9 %"),
        (100.0, "100 %"),
        (100.2, "100 %"),
        (250.0, "250 %"),
        (-3.0, "-3.0 %"),
        (f64::NAN, "–"),
        (f64::INFINITY, "∞ %"),
    ] {
        assert_eq!(percent(pct), text, "{pct}");
    }
    assert_eq!(share_pct(1, 0), None);
    assert_eq!(share_pct(1, 4), Some(25.0));
    assert_eq!(or_dash(share_pct(1, 0), percent), "–");
}

#[test]
fn durations_read_as_people_say_them() {
    for (ns, long, short) in [
        (0, "0 ns", "0 ns"),
        (820, "820 ns", "820 ns"),
        (41_300, "41.3 µs", "41.3 µs"),
        (999_996, "1.00 ms", "1.00 ms"),
        (1_020_000, "1.02 ms", "1.02 ms"),
        (250 * MS, "250 ms", "250 ms"),
        (S, "1 s", "1.00 s"),
        (1_500 * MS, "1.50 s", "1.50 s"),
        (9_999 * MS, "10 s", "10.0 s"),
        (41_300 * MS, "41 s", "41.3 s"),
        (59_970 * MS, "1 min 00 s", "1m00s"),
        (127 * S, "2 min 07 s", "2m07s"),
        (3_599_700 * MS, "1 h 00 min", "1h00m"),
        (3 * HOUR + 5 * MIN, "3 h 05 min", "3h05m"),
        (12 * DAY + 4 * HOUR, "12 d 04 h", "12d04h"),
        (u64::MAX, "213503 d 23 h", "584 y"),
    ] {
        assert_eq!(duration(ns), long, "{ns}");
        assert_eq!(duration_short(ns), short, "{ns}");
    }
}

#[test]
fn an_age_is_cut_not_rounded() {
    for (ns, text) in [
        (0, "now"),
        (999_999_999, "now"),
        (4_900 * MS, "4 s"),
        (119 * S, "1 min"),
        (3 * HOUR, "3 h"),
        (50 * HOUR, "2 d"),
    ] {
        assert_eq!(age(ns), text);
    }
}

proptest! {
    #[test]
    fn every_number_fits_its_column(bits: u64) {
        let value = f64::from_bits(bits);
        let (number, _) = si_parts(value);
        let unsigned = number.strip_prefix('-').unwrap_or(&number);
        prop_assert!((1..=4).contains(&unsigned.chars().count()), "{value}: {number}");
        let wide = usize::from(number.len() > unsigned.len() && unsigned.chars().count() == 4);
        prop_assert_eq!(si_column(value).chars().count(), SI_COLUMN + wide);
        for text in [si(value), bits_per_s(value), packets_per_s(value), percent(value)] {
            prop_assert!(!text.is_empty() && text.chars().count() < 20, "{}", text);
            prop_assert!(!text.contains("NaN") && !text.contains("inf"), "{}", text);
        }
    }

    #[test]
    fn a_scaled_number_is_true_to_three_digits(exponent in -2f64..26.9) {
        let value = 10f64.powf(exponent);
        let (number, prefix) = si_parts(value);
        let scale = PREFIXES.iter().position(|p| *p == prefix).unwrap();
        let shown = number.parse::<f64>().unwrap() * 1000f64.powi(scale as i32);
        let within = match value {
            _ if value < 0.095 => 0.0051,
            _ if value < 9.95 => 0.051,
            _ if value < 1000.0 => 0.51,
            _ => value * 0.00501,
        };
        prop_assert!((shown - value).abs() <= within, "{} shown as {} {}", value, number, prefix);
    }

    #[test]
    fn durations_fit_their_column(ns: u64, shift in 0u32..64) {
        let ns = ns >> shift;
        prop_assert!(duration_short(ns).chars().count() <= DURATION_COLUMN, "{}", duration_short(ns));
        for text in [duration(ns), duration_short(ns)] {
            // Nothing reads 60 s, 60 min, 24 h or 1000 of a smaller unit.
            for number in text.split(|c: char| !c.is_ascii_digit() && c != '.') {
                let value: f64 = number.parse().unwrap_or(0.0);
                let (_, unit) = text.split_once(number).unwrap_or_default();
                let limit = match unit.trim_start().chars().next() {
                    Some('n' | 'µ') => 1000.0,
                    Some('m') if unit.trim_start().starts_with("ms") => 1000.0,
                    Some('s' | 'm') => 60.0,
                    Some('h') => 24.0,
                    _ => continue,
                };
                prop_assert!(value < limit, "{}: {}", ns, text);
            }
        }
    }

    #[test]
    fn bytes_and_counts_take_every_value(n: u64) {
        prop_assert!(bytes(n).chars().count() <= 7);
        prop_assert_eq!(count(n).replace(' ', ""), n.to_string());
    }

    #[test]
    fn parsers_never_panic(text in "[0-9.kKMGTibBsmhdpu/ µ-]{0,12}|.{0,12}") {
        let _ = (parse_duration(&text), parse_size(&text), parse_rate(&text));
    }

    #[test]
    fn a_whole_duration_reads_back(n in 1u64..10_000, unit in 0usize..4) {
        let (name, factor) = [("ms", MS), ("s", S), ("m", MIN), ("h", HOUR)][unit];
        prop_assert_eq!(parse_duration(&format!("{n}{name}")), Ok(Duration::from_nanos(n * factor)));
    }
}

#[test]
fn durations_are_read() {
    for (text, ns) in [
        ("30s", 30 * S),
        ("1.5m", 90 * S),
        ("250ms", 250 * MS),
        ("10m", 600 * S),
        ("1h", HOUR),
        ("1h30m", 90 * MIN),
        ("1h 30 m", 90 * MIN),
        (" 20us ", 20 * US),
        ("0", 0),
        ("2d", 2 * DAY),
        ("0.5ns", 0),
    ] {
        assert_eq!(parse_duration(text), Ok(Duration::from_nanos(ns)), "{text}");
    }
}

#[test]
fn sizes_are_read() {
    for (text, n) in [
        ("1500", 1500),
        ("1500B", 1500),
        ("4MiB", 4 << 20),
        ("64k", 64_000),
        ("64KiB", 65_536),
        ("1.5kB", 1500),
        ("2 GB", 2_000_000_000),
        ("8m", 8_000_000),
        ("18446744073709551615", u64::MAX),
    ] {
        assert_eq!(parse_size(text), Ok(n), "{text}");
    }
}

#[test]
fn rates_are_read() {
    for (text, rate) in [
        ("1000/s", Rate::Packets(1000.0)),
        ("5k", Rate::Packets(5000.0)),
        ("0.5", Rate::Packets(0.5)),
        ("30/min", Rate::Packets(0.5)),
        ("5kpps", Rate::Packets(5000.0)),
        ("5k pkt/s", Rate::Packets(5000.0)),
        ("20Mbit", Rate::Bits(20e6)),
        ("20Mbit/s", Rate::Bits(20e6)),
        ("2.5MB/s", Rate::Bits(20e6)),
    ] {
        assert_eq!(parse_rate(text), Ok(rate), "{text}");
    }
}

#[test]
fn a_wrong_amount_is_pointed_at() {
    type Parse = fn(&str) -> Result<(), TextError>;
    let duration: Parse = |t| parse_duration(t).map(drop);
    let size: Parse = |t| parse_size(t).map(drop);
    let rate: Parse = |t| parse_rate(t).map(drop);
    for (parse, text, part, message) in [
        (duration, "", "", "a number is missing"),
        (duration, "30", "30", "30 of what? a unit is missing"),
        (duration, "30x", "x", "this is not a unit of time"),
        (duration, "1.5.2s", "1.5.2", "two decimal points"),
        (duration, "-3s", "-", "a negative amount makes no sense here"),
        (duration, "1m2h", "2h", "units go from the largest to the smallest, each once"),
        (duration, "1s1s", "1s", "units go from the largest to the smallest, each once"),
        (duration, "1e3s", "e", "this is not a unit of time"),
        (duration, "inf", "i", "expected a number"),
        (duration, "99999999999d", "99999999999d", "too long: a duration goes up to 584 years"),
        (duration, "999999999999999999999s", "999999999999999999999", "this number is too large"),
        (size, "4XB", "XB", "this is not a unit of size"),
        (size, "0.5", "0.5", "this is not a whole number of bytes"),
        (size, "99999999TiB", "99999999TiB", "this size is too large"),
        (size, "1.", "1.", "digits are missing beside the decimal point"),
        (rate, "5k/x", "k/x", "this is not a unit of rate"),
        (rate, "0/s", "0/s", "a rate of 0 sends nothing"),
        (rate, "fast", "f", "expected a number"),
        (rate, "10 µs", "µs", "this is not a unit of rate"),
    ] {
        let error = parse(text).expect_err(text);
        assert_eq!((error.part(), &*error.message), (part, message), "{text}");
        assert!(error.help.is_some(), "{text} shows the form");
    }
    // The second of two equal parts is meant.
    assert_eq!(parse_duration("1s1s").unwrap_err().span, 2..4);
}
