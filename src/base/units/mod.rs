//! How numbers look, and how they are read: every figure on the screen and in text output is formatted
//! here, every amount in an argument is parsed here.
//!
//! The rules: k, M, G are powers of 1000; a scaled number has three significant digits and so at most
//! four characters (`2.04 k`, `18.4 M`, `230 k`); rounding never shows a fourth digit before the point
//! (999.96 is `1.00 k`); what is above nothing never reads as 0; absent is [`ABSENT`], never 0. Every
//! function here takes every value, also NaN and the infinities, and returns.

use humansize::{BaseUnit, DECIMAL, FixedAt, FormatSizeOptions, ISizeFormatter};

mod parse;
#[cfg(test)]
mod tests;

pub use parse::{Rate, parse_duration, parse_rate, parse_size};

/// What stands where there is no figure: an en dash.
pub const ABSENT: &str = "–";

/// Characters of [`si_column`].
pub const SI_COLUMN: usize = 6;

/// Most characters of [`duration_short`].
pub const DURATION_COLUMN: usize = 7;

/// Prefixes of the powers of 1000.
const PREFIXES: [&str; 9] = ["", "k", "M", "G", "T", "P", "E", "Z", "Y"];

/// The same, as humansize calls them.
const SCALES: [FixedAt; 9] = [
    FixedAt::Base,
    FixedAt::Kilo,
    FixedAt::Mega,
    FixedAt::Giga,
    FixedAt::Tera,
    FixedAt::Peta,
    FixedAt::Exa,
    FixedAt::Zetta,
    FixedAt::Yotta,
];

const US: u64 = 1_000;
const MS: u64 = 1_000_000;
const S: u64 = 1_000_000_000;
const MIN: u64 = 60 * S;
const HOUR: u64 = 60 * MIN;
const DAY: u64 = 24 * HOUR;

/// A figure where there is one, otherwise [`ABSENT`].
pub fn or_dash<T>(value: Option<T>, format: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| ABSENT.to_owned(), format)
}

/// How a number is to be written: its text without a sign, and the index of its prefix.
enum Scaled {
    /// Not a number.
    Absent,
    /// Beyond every prefix, or infinite: a text of its own.
    Beyond(&'static str, usize),
    /// To be divided by 1000 to the power of `scale` and written with `decimals` decimals.
    At { scale: usize, decimals: usize },
}

/// Chooses prefix and decimals for a number of three significant digits; unscaled numbers are whole
/// from 10 on, and below that have one decimal (two under 0.1) unless they are whole.
fn scaled(value: f64) -> Scaled {
    if value.is_nan() {
        return Scaled::Absent;
    }
    let v = value.abs();
    if v.is_infinite() {
        return Scaled::Beyond("∞", 0);
    }
    if v < 999.5 {
        let decimals = match v {
            _ if v == v.trunc() || v >= 9.95 => 0,
            _ if v >= 0.095 => 1,
            _ if v >= 0.005 => 2,
            _ => return Scaled::Beyond("<.01", 0),
        };
        return Scaled::At { scale: 0, decimals };
    }
    let mut rest = v / 1000.0;
    let mut scale = 1;
    // 999.5 and more would be rounded to four digits: the next prefix takes it.
    while rest >= 999.5 {
        if scale + 1 == PREFIXES.len() {
            return Scaled::Beyond(">999", scale);
        }
        rest /= 1000.0;
        scale += 1;
    }
    let decimals = match rest {
        _ if rest < 9.995 => 2,
        _ if rest < 99.95 => 1,
        _ => 0,
    };
    Scaled::At { scale, decimals }
}

/// Number and prefix of a value, apart: `("2.04", "k")`, `("44", "")`, `("0.5", "")`.
pub fn si_parts(value: f64) -> (String, &'static str) {
    let (text, scale) = match scaled(value) {
        Scaled::Absent => return (ABSENT.to_owned(), ""),
        Scaled::Beyond(text, scale) => (text.to_owned(), scale),
        Scaled::At { scale, decimals } => {
            // The same divisions as in `scaled`, so that both round alike.
            let v = (0..scale).fold(value.abs(), |v, _| v / 1000.0);
            (format!("{v:.decimals$}"), scale)
        }
    };
    (if value < 0.0 { format!("-{text}") } else { text }, PREFIXES[scale])
}

/// A number with its prefix: `2.04 k`, `18.4 M`, `44`, `0.5`. The unit stands in the heading.
pub fn si(value: f64) -> String {
    let (number, prefix) = si_parts(value);
    if prefix.is_empty() { number } else { format!("{number} {prefix}") }
}

/// The same as a column of [`SI_COLUMN`] characters that never dances: the number right-aligned on
/// four, a space, the prefix or a blank. A negative number may stand out by one.
pub fn si_column(value: f64) -> String {
    let (number, prefix) = si_parts(value);
    format!("{number:>4} {prefix:1}")
}

/// A figure with humansize's unit, at the scale and with the decimals that [`scaled`] chose: humansize
/// by itself would divide an infinity forever, run past its table, and round to `1000.0 kB`.
fn sized(value: f64, unit: BaseUnit, suffix: &'static str) -> String {
    let base = match unit {
        BaseUnit::Byte => "B",
        BaseUnit::Bit => "bit",
    };
    match scaled(value) {
        Scaled::Absent => ABSENT.to_owned(),
        // humansize writes `bits` without a prefix; a unit has no plural.
        Scaled::Beyond(..) | Scaled::At { scale: 0, .. } => {
            let (number, prefix) = si_parts(value);
            format!("{number} {prefix}{base}{suffix}")
        }
        Scaled::At { scale, decimals } => {
            let options = FormatSizeOptions::from(DECIMAL)
                .base_unit(unit)
                .fixed_at(Some(SCALES[scale]))
                .decimal_places(decimals)
                .decimal_zeroes(decimals)
                .suffix(suffix);
            ISizeFormatter::new(value, options).to_string()
        }
    }
}

/// An amount of data: `512 B`, `1.47 kB`, `64.0 MB`.
pub fn bytes(n: u64) -> String {
    sized(n as f64, BaseUnit::Byte, "")
}

/// A rate in bits a second: `18.6 Mbit/s`, `230 kbit/s`, `0 bit/s`.
pub fn bits_per_s(value: f64) -> String {
    sized(value, BaseUnit::Bit, "/s")
}

/// A rate in packets a second: `2.05 k pkt/s`, `44 pkt/s`.
pub fn packets_per_s(value: f64) -> String {
    format!("{} pkt/s", si(value))
}

/// A number of packets, exact: `1 packet`, `12 345 packets`.
pub fn packets(n: u64) -> String {
    counted(n, "packet", "packets")
}

/// A number of things, exact, with their noun: `1 query`, `12 345 queries`.
pub fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// An exact counter in groups of three with plain spaces, from five digits on: `1152`, `12 345`.
/// A plain space and not a thin one: it is as wide as a digit in every terminal font, and copies well.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    if digits.len() < 5 {
        return digits;
    }
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(c);
    }
    out
}

/// The share of a part in a whole, in percent; `None` of nothing.
pub fn share_pct(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 * 100.0 / whole as f64)
}

/// A percentage: `0 %`, `<0.01 %`, `0.04 %`, `12.3 %`, `99.9 %`, `100 %`. More than nothing never reads
/// as 0, less than everything never as 100: one lost packet of a million is a loss.
pub fn percent(pct: f64) -> String {
    let v = pct.abs();
    let text = match v {
        _ if v.is_nan() => return ABSENT.to_owned(),
        _ if v.is_infinite() => "∞".to_owned(),
        _ if v == 0.0 || v == 100.0 => format!("{v:.0}"),
        _ if v < 0.005 => "<0.01".to_owned(),
        _ if v < 0.995 => format!("{v:.2}"),
        _ if v < 99.95 => format!("{v:.1}"),
        _ if v < 100.0 => "99.9".to_owned(),
        _ if v < 9999.5 => format!("{v:.0}"),
        _ => ">9999".to_owned(),
    };
    format!("{}{text} %", if pct < 0.0 { "-" } else { "" })
}

/// `value` units of `unit_ns` in three significant digits; `None` when rounding reaches `limit` units.
fn three_digits(ns: u64, unit_ns: u64, limit: f64) -> Option<String> {
    let v = ns as f64 / unit_ns as f64;
    let decimals = match v {
        _ if v < 9.995 => 2,
        _ if v < 99.95 => 1,
        _ => 0,
    };
    let text = format!("{v:.decimals$}");
    // What would read as 1000 µs or 60.0 s is left to the next unit.
    (text.parse::<f64>().unwrap_or(limit) < limit).then_some(text)
}

/// The sub-minute part that both duration forms share: number and unit.
fn sub_minute(ns: u64) -> Option<(String, &'static str)> {
    if ns < US {
        return Some((ns.to_string(), "ns"));
    }
    [(US, "µs", 1000.0), (MS, "ms", 1000.0), (S, "s", 60.0)]
        .into_iter()
        .filter(|&(unit, ..)| unit == S || ns < unit * 1000)
        .find_map(|(unit, name, limit)| Some((three_digits(ns, unit, limit)?, name)))
}

/// A duration for a person: `820 ns`, `41.3 µs`, `1.02 ms`, `1.50 s`, `41 s`, `2 min 07 s`,
/// `3 h 05 min`, `12 d 04 h`. Whole units are written without decimals (`1 s`, `250 ms`), seconds from
/// 10 on rounded to whole ones.
pub fn duration(ns: u64) -> String {
    for (unit, name, below) in [(MS, "ms", S), (S, "s", MIN), (US, "µs", MS)] {
        if ns >= unit && ns < below && ns.is_multiple_of(unit) {
            return format!("{} {name}", ns / unit);
        }
    }
    if ns < 9_995 * MS
        && let Some((number, unit)) = sub_minute(ns)
    {
        return format!("{number} {unit}");
    }
    let rounded = |unit: u64| ns.saturating_add(unit / 2) / unit;
    let (s, min) = (rounded(S), rounded(MIN));
    match () {
        _ if s < 60 => format!("{s} s"),
        _ if s < 3600 => format!("{} min {:02} s", s / 60, s % 60),
        _ if min < 24 * 60 => format!("{} h {:02} min", min / 60, min % 60),
        _ => {
            let h = rounded(HOUR);
            format!("{} d {:02} h", h / 24, h % 24)
        }
    }
}

/// A duration for a column of [`DURATION_COLUMN`] characters: `820 ns`, `41.3 µs`, `1.02 ms`,
/// `41.3 s`, `2m07s`, `3h05m`, `12d04h`, `584 y`.
pub fn duration_short(ns: u64) -> String {
    if ns < MIN
        && let Some((number, unit)) = sub_minute(ns)
    {
        return format!("{number} {unit}");
    }
    let rounded = |unit: u64| ns.saturating_add(unit / 2) / unit;
    let (s, min, h) = (rounded(S), rounded(MIN), rounded(HOUR));
    match () {
        _ if s < 3600 => format!("{}m{:02}s", s / 60, s % 60),
        _ if min < 24 * 60 => format!("{}h{:02}m", min / 60, min % 60),
        _ if h < 1000 * 24 => format!("{}d{:02}h", h / 24, h % 24),
        _ => format!("{} y", ns / (365 * DAY)),
    }
}

/// How long ago: `now` (under a second), `4 s`, `2 min`, `3 h`, `12 d`. Cut, not rounded: an age grows
/// only when the unit is full.
pub fn age(ns: u64) -> String {
    match ns {
        _ if ns < S => "now".to_owned(),
        _ if ns < MIN => format!("{} s", ns / S),
        _ if ns < HOUR => format!("{} min", ns / MIN),
        _ if ns < DAY => format!("{} h", ns / HOUR),
        _ => format!("{} d", ns / DAY),
    }
}
