//! Amounts in arguments: durations, sizes, rates. Numbers are decimal and exact: no exponents, no
//! `inf`, no rounding behind the user's back.

use std::time::Duration;

use crate::base::text::TextError;

/// Digits a number may have: enough for every u64, few enough that nothing overflows.
const MAX_DIGITS: usize = 20;

/// Decimals a number may have.
const MAX_DECIMALS: usize = 9;

/// How fast to send.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rate {
    /// Datagrams a second.
    Packets(f64),
    /// Bits of UDP payload a second.
    Bits(f64),
}

/// A decimal number: `mantissa` divided by ten to the power of `decimals`.
#[derive(Clone, Copy)]
struct Decimal {
    mantissa: u128,
    decimals: u32,
}

impl Decimal {
    /// The number times `factor`, if that is whole.
    fn times(self, factor: u64) -> Option<u128> {
        let product = self.mantissa.checked_mul(u128::from(factor))?;
        let divisor = 10u128.pow(self.decimals);
        product.is_multiple_of(divisor).then(|| product / divisor)
    }

    fn to_f64(self) -> f64 {
        self.mantissa as f64 / 10f64.powi(self.decimals as i32)
    }
}

/// Reads a number at the start of `text[at..]`; gives it and where it ends. `form` is the help.
fn decimal(text: &str, at: usize, form: &str) -> Result<(Decimal, usize), TextError> {
    let rest = &text[at..];
    let len = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let number = &rest[..len];
    let wrong = |message: &str| TextError::new(text, at..at + len.max(1), message).help(form);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if len == 0 {
        let message = match rest.chars().next() {
            None => "a number is missing",
            Some('-') => "a negative amount makes no sense here",
            Some(_) => "expected a number",
        };
        let end = rest.chars().next().map_or(at, |c| at + c.len_utf8());
        return Err(TextError::new(text, at..end, message).help(form));
    }
    if fraction.contains('.') {
        return Err(wrong("two decimal points"));
    }
    if whole.is_empty() || (fraction.is_empty() && number.ends_with('.')) {
        return Err(wrong("digits are missing beside the decimal point"));
    }
    if fraction.len() > MAX_DECIMALS {
        return Err(wrong("more than nine decimals"));
    }
    let digits: String = [whole.trim_start_matches('0'), fraction].concat();
    if digits.len() > MAX_DIGITS {
        return Err(wrong("this number is too large"));
    }
    let mantissa = if digits.is_empty() { 0 } else { digits.parse().map_err(|_| wrong("not a number"))? };
    Ok((Decimal { mantissa, decimals: fraction.len() as u32 }, at + len))
}

/// Where the part after optional spaces begins.
fn skip_spaces(text: &str, at: usize) -> usize {
    text.len() - text[at..].trim_start_matches(' ').len()
}

/// Reads a duration: `30s`, `1.5m`, `250ms`, `10m`, `1h`, `1h30m`, `20us`. A unit is required, except
/// for 0: a bare `100` means seconds to one reader and milliseconds to the next.
///
/// # Errors
/// The wrong part and the form expected.
pub fn parse_duration(text: &str) -> Result<Duration, TextError> {
    const FORM: &str = "a duration is written like 30s, 250ms, 1.5m, 1h30m (units: ns us ms s m h d)";
    let end = text.trim_end().len();
    let mut at = skip_spaces(text, 0);
    let mut total: u128 = 0;
    let mut last_unit = u64::MAX;
    loop {
        let (number, after) = decimal(text, at, FORM)?;
        let unit_at = skip_spaces(text, after).min(end);
        let len = text[unit_at..end].find(|c: char| c.is_ascii_digit() || c == ' ').unwrap_or(end - unit_at);
        let unit = &text[unit_at..unit_at + len];
        let factor = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" | "sec" => 1_000_000_000,
            "m" | "min" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            "" if number.mantissa == 0 => 1,
            "" => {
                let number = &text[at..after];
                let message = format!("{number} of what? a unit is missing");
                return Err(TextError::new(text, at..after, message)
                    .help(format!("write {number}s or {number}ms; {FORM}")));
            }
            _ => {
                let message = "this is not a unit of time";
                return Err(TextError::new(text, unit_at..unit_at + len, message).help(FORM));
            }
        };
        if factor >= last_unit {
            let message = "units go from the largest to the smallest, each once";
            return Err(TextError::new(text, at..unit_at + len, message).help(FORM));
        }
        last_unit = factor;
        // Finer than a nanosecond is cut: nobody waits by it.
        total += number.mantissa.saturating_mul(u128::from(factor)) / 10u128.pow(number.decimals);
        at = skip_spaces(text, unit_at + len);
        if at >= end {
            break;
        }
    }
    match u64::try_from(total) {
        Ok(ns) => Ok(Duration::from_nanos(ns)),
        Err(_) => {
            let message = "too long: a duration goes up to 584 years";
            Err(TextError::new(text, skip_spaces(text, 0)..end, message).help(FORM))
        }
    }
}

/// The factor of a prefix, decimal (`k`, `M`, `G`, `T`) or binary (`Ki`, `Mi` …), at the start of a
/// unit; gives it and the rest.
fn prefix(unit: &str) -> (u64, &str) {
    let mut chars = unit.chars();
    let power = match chars.next() {
        Some('k' | 'K') => 1,
        Some('M') => 2,
        Some('G') => 3,
        Some('T') => 4,
        _ => return (1, unit),
    };
    match chars.as_str().strip_prefix('i') {
        Some(rest) => (1024u64.pow(power), rest),
        None => (1000u64.pow(power), chars.as_str()),
    }
}

/// Reads an amount of data in bytes: `1500`, `64k` (64,000), `64Ki` (65,536), `4MiB`, `1.5MB`.
///
/// # Errors
/// The wrong part and the form expected.
pub fn parse_size(text: &str) -> Result<u64, TextError> {
    const FORM: &str = "a size is written like 1500, 64k (64,000 bytes), 64KiB (65,536 bytes), 4MiB";
    let end = text.trim_end().len();
    let at = skip_spaces(text, 0);
    let (number, after) = decimal(text, at, FORM)?;
    let unit_at = skip_spaces(text, after).min(end);
    // A size has no other unit that begins with m or g: take the small letters people type.
    let unit = text[unit_at..end].replacen(['m'], "M", 1).replacen(['g'], "G", 1);
    let (factor, rest) = prefix(&unit);
    if !matches!(rest, "" | "B" | "b") {
        return Err(TextError::new(text, unit_at..end, "this is not a unit of size").help(FORM));
    }
    match number.times(factor) {
        None => Err(TextError::new(text, at..end, "this is not a whole number of bytes").help(FORM)),
        Some(n) => {
            u64::try_from(n).map_err(|_| TextError::new(text, at..end, "this size is too large").help(FORM))
        }
    }
}

/// Reads a rate: packets (`1000/s`, `5k`, `30/min`, `5kpps`) or bits of payload (`20Mbit`,
/// `20Mbit/s`, `2.5MB/s`).
///
/// # Errors
/// The wrong part and the form expected; a rate of 0 is wrong as well.
pub fn parse_rate(text: &str) -> Result<Rate, TextError> {
    const FORM: &str =
        "a rate is written like 1000/s or 5k (packets a second), 30/min, 20Mbit (bits a second)";
    let end = text.trim_end().len();
    let at = skip_spaces(text, 0);
    let (number, after) = decimal(text, at, FORM)?;
    let unit_at = skip_spaces(text, after).min(end);
    let (factor, rest) = prefix(&text[unit_at..end]);
    let value = number.to_f64() * factor as f64;
    let rate = match rest.trim() {
        "" | "/s" | "pps" | "pkt/s" | "packets/s" | "p/s" => Rate::Packets(value),
        "/min" | "/m" | "pkt/min" => Rate::Packets(value / 60.0),
        "/h" => Rate::Packets(value / 3600.0),
        "bit" | "bit/s" | "bits/s" | "bps" | "b/s" => Rate::Bits(value),
        "B/s" | "Bps" => Rate::Bits(value * 8.0),
        _ => return Err(TextError::new(text, unit_at..end, "this is not a unit of rate").help(FORM)),
    };
    if number.mantissa == 0 {
        return Err(TextError::new(text, at..end, "a rate of 0 sends nothing").help(FORM));
    }
    Ok(rate)
}
