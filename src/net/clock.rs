//! Reading both clocks together.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::base::time::{Mono, Now, Wall};

/// A reading whose two monotonic ends lie closer than this was not interrupted.
const TIGHT_NS: u64 = 1_000;

/// Readings at most: an interrupted one is tried again.
const TRIES: usize = 4;

/// The monotonic and the wall clock, read together.
///
/// The wall clock is read between two readings of the monotonic one and set against their middle.
/// If the thread was preempted in between, the offset of the two clocks would be torn by as much, so
/// the tightest of a few readings counts.
///
/// Monotonic time starts with the first call in the process.
pub fn now() -> Now {
    tightest(|| (mono(), wall(), mono()))
}

/// The reading with the least monotonic time in it, at once if one is tight.
fn tightest(mut read: impl FnMut() -> (Mono, Wall, Mono)) -> Now {
    let mut best = (u64::MAX, Now::default());
    for _ in 0..TRIES {
        let (before, wall, after) = read();
        let span = after.since(before);
        if span < best.0 {
            best = (span, Now { mono: before.plus(span / 2), wall });
        }
        if span <= TIGHT_NS {
            break;
        }
    }
    best.1
}

fn mono() -> Mono {
    static START: OnceLock<Instant> = OnceLock::new();
    // One second ahead, so that a reading is never 0 and times just before the start can be told.
    let start = START.get_or_init(|| {
        let now = Instant::now();
        now.checked_sub(Duration::from_secs(1)).unwrap_or(now)
    });
    Mono(start.elapsed().as_nanos() as u64)
}

fn wall() -> Wall {
    Wall(match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_nanos() as i64,
        Err(before) => -(before.duration().as_nanos() as i64),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interrupted_reading_does_not_tear_the_offset() {
        let mut readings = [
            (Mono(0), Wall(1_000_050), Mono(9_000_000)),
            (Mono(9_000_000), Wall(1_009_000_050), Mono(9_000_100)),
        ]
        .into_iter();
        let now = tightest(|| readings.next().unwrap());
        assert_eq!(now, Now { mono: Mono(9_000_050), wall: Wall(1_009_000_050) });
    }

    #[test]
    fn with_no_tight_reading_the_tightest_counts() {
        let mut spans = [9_000, 5_000, 7_000, 8_000].into_iter();
        let now = tightest(|| (Mono(0), Wall(1), Mono(spans.next().unwrap())));
        assert_eq!(now.mono, Mono(2_500));
        assert_eq!(spans.next(), None);
    }

    #[test]
    fn both_clocks_run() {
        let (a, b) = (now(), now());
        assert!(b.mono >= a.mono && a.mono > Mono(0));
        assert!(a.wall > Wall(1_500_000_000_000_000_000), "after 2017: {:?}", a.wall);
    }
}
