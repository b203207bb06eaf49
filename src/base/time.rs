//! Two kinds of time that cannot be mixed up: [`Mono`] for gaps and rates, [`Wall`] for what is
//! shown and written.

use std::fmt;

/// Nanoseconds in a second.
pub const SECOND_NS: u64 = 1_000_000_000;

/// A reading of the monotonic clock, in nanoseconds since an arbitrary start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

/// A reading of the wall clock, in nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wall(pub i64);

/// Both clocks, read together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The monotonic reading.
    pub mono: Mono,
    /// The wall-clock reading.
    pub wall: Wall,
}

impl Now {
    /// Wall minus monotonic time, in nanoseconds: add it to a [`Mono`] to get a [`Wall`].
    pub fn offset_ns(self) -> i64 {
        self.wall.0.wrapping_sub(self.mono.0 as i64)
    }
}

impl Mono {
    /// Nanoseconds from `earlier` to `self`, 0 if `earlier` is later.
    pub fn since(self, earlier: Mono) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// This time plus `ns` nanoseconds.
    #[must_use]
    pub fn plus(self, ns: u64) -> Mono {
        Mono(self.0.saturating_add(ns))
    }

    /// The number of whole seconds since the clock's start.
    pub fn second(self) -> u64 {
        self.0 / SECOND_NS
    }

    /// The wall-clock time of this reading, by the offset of [`Now::offset_ns`].
    pub fn to_wall(self, offset_ns: i64) -> Wall {
        Wall((self.0 as i64).wrapping_add(offset_ns))
    }
}

impl Wall {
    /// The monotonic time of this reading, by the offset of [`Now::offset_ns`]; never below 0.
    pub fn to_mono(self, offset_ns: i64) -> Mono {
        Mono(u64::try_from(self.0.wrapping_sub(offset_ns)).unwrap_or(0))
    }

    /// The date and time of day, `utc_offset_s` seconds east of UTC.
    pub fn civil(self, utc_offset_s: i32) -> Civil {
        let shifted = self.0 as i128 + i128::from(utc_offset_s) * i128::from(SECOND_NS);
        let seconds = shifted.div_euclid(i128::from(SECOND_NS)) as i64;
        let ns = shifted.rem_euclid(i128::from(SECOND_NS)) as u32;
        let (days, in_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400) as u32);
        let (year, month, day) = civil_from_days(days);
        Civil { year, month, day, hour: in_day / 3600, minute: in_day / 60 % 60, second: in_day % 60, ns }
    }

    /// RFC 3339 in UTC with nanoseconds, as in `2026-11-22T15:04:05.123456789Z`.
    pub fn rfc3339(self) -> Rfc3339 {
        Rfc3339(self)
    }
}

/// A broken-down date and time of day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    /// Year of the proleptic Gregorian calendar.
    pub year: i64,
    /// Month, 1 to 12.
    pub month: u32,
    /// Day of the month, 1 to 31.
    pub day: u32,
    /// Hour, 0 to 23.
    pub hour: u32,
    /// Minute, 0 to 59.
    pub minute: u32,
    /// Second, 0 to 59.
    pub second: u32,
    /// Nanoseconds within the second.
    pub ns: u32,
}

/// Prints a [`Wall`] as RFC 3339 in UTC with nine decimals.
#[derive(Clone, Copy, Debug)]
pub struct Rfc3339(Wall);

impl fmt::Display for Rfc3339 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let c = self.0.civil(0);
        write!(
            f,
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z",
            c.year, c.month, c.day, c.hour, c.minute, c.second, c.ns
        )
    }
}

/// Days since 1970-01-01 to (year, month, day): Howard Hinnant's algorithm for the proleptic
/// Gregorian calendar, with eras of 400 years starting in March.
fn civil_from_days(days: i64) -> (i64, u32, u32) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = (doy - (153 * mp + 2) / 5 + 1) as u32;
    let month = if mp < 10 { mp + 3 } else { mp - 9 } as u32;
    (yoe + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_times_are_rfc3339_utc_with_nanoseconds() {
        assert_eq!(Wall(0).rfc3339().to_string(), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(Wall(951_782_400_000_000_001).rfc3339().to_string(), "2000-02-29T00:00:00.000000001Z");
        assert_eq!(Wall(-1).rfc3339().to_string(), "1969-12-31T23:59:59.999999999Z");
        assert_eq!(Wall(4_102_444_799_999_999_999).rfc3339().to_string(), "2099-12-31T23:59:59.999999999Z");
    }

    #[test]
    fn local_time_follows_the_offset() {
        let c = Wall(0).civil(-3600);
        assert_eq!((c.year, c.month, c.day, c.hour), (1969, 12, 31, 23));
    }

    #[test]
    fn the_two_clocks_convert_back_and_forth() {
        let now = Now { mono: Mono(5_000), wall: Wall(1_700_000_000_000_000_000) };
        assert_eq!(now.mono.to_wall(now.offset_ns()), now.wall);
        assert_eq!(now.wall.to_mono(now.offset_ns()), now.mono);
        assert_eq!(Wall(3).to_mono(now.offset_ns()), Mono(0));
    }
}
