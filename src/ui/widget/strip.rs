//! A strip: packets of the last seconds as blocks. A second without a packet is a dot, one in which
//! nobody was watching yet is blank.

use crate::base::time::Mono;
use crate::base::units;
use crate::model::rate::{STRIP_SECONDS, Strip};

const BLOCKS: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
const NO_PACKET: &str = "·";

/// How a strip is cut into cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Cells.
    pub cells: usize,
    /// Seconds that each stands for.
    pub seconds: usize,
}

impl Cut {
    /// The finest cut that fits into a column; one too narrow for a minute at three seconds a cell
    /// shows 20 seconds, or what fits.
    pub fn fitting(width: usize, whole_minute: bool) -> Cut {
        match width {
            60.. => Cut { cells: 60, seconds: 1 },
            30.. => Cut { cells: 30, seconds: 2 },
            20.. if whole_minute => Cut { cells: 20, seconds: 3 },
            _ => Cut { cells: width.min(20), seconds: 1 },
        }
    }

    /// What it covers, in seconds.
    pub fn span(self) -> usize {
        self.cells * self.seconds
    }

    /// The heading: what the strip covers and its scale.
    pub fn heading(self, scale: Option<f64>) -> String {
        match scale {
            Some(top) => format!("{} s (0–{}/s)", self.span(), units::si(top)),
            None => format!("{} s", self.span()),
        }
    }
}

/// How the strips of a column are scaled.
#[derive(Clone, Copy, Debug)]
pub enum Scaling {
    /// All alike: the highest of them fills it; `None` without a packet.
    Shared(Option<f64>),
    /// Each by itself, its scale written before it: in a pane that is zoomed.
    Own,
}

/// Cells of a strip's own scale before it, with the blank behind.
const OWN: usize = 7;

impl Scaling {
    /// The cut that fits into a column.
    pub fn cut(own: bool, width: usize, whole_minute: bool) -> Cut {
        Cut::fitting(if own { width.saturating_sub(OWN) } else { width }, whole_minute)
    }

    /// The heading: what the strip covers and up to what.
    pub fn heading(self, cut: Cut) -> String {
        match self {
            Scaling::Shared(scale) => cut.heading(scale),
            Scaling::Own => format!("{:>width$} {} s", "MAX/S", cut.span(), width = OWN - 1),
        }
    }

    /// The strip as text.
    pub fn text(self, strip: &Strip, now: Mono, cut: Cut) -> String {
        match self {
            Scaling::Shared(top) => text(cells(strip, now, cut), top),
            Scaling::Own => {
                let top = scale(cells(strip, now, cut).flatten().fold(0.0, f64::max));
                let written = top.map(units::si).unwrap_or_default();
                format!("{written:>width$} {}", text(cells(strip, now, cut), top), width = OWN - 1)
            }
        }
    }
}

/// The mean of packets a second in each cell, oldest first; `None` where nobody was watching. Cells
/// of several seconds begin at multiples of their length, so that they move on without changing.
pub fn cells(strip: &Strip, now: Mono, cut: Cut) -> impl Iterator<Item = Option<f64>> + '_ {
    let newest = now.second().saturating_sub(1) / cut.seconds as u64;
    (0..cut.cells as u64).rev().map(move |back| {
        let from = newest.checked_sub(back)? * cut.seconds as u64;
        let (mut sum, mut n) = (0u64, 0u32);
        for s in from..from + cut.seconds as u64 {
            let Some(age) = now.second().checked_sub(s + 1).map(|a| a as usize) else { continue };
            if age < STRIP_SECONDS
                && let Some((packets, _)) = strip.second(now, age)
            {
                sum += u64::from(packets);
                n += 1;
            }
        }
        (n > 0).then(|| sum as f64 / f64::from(n))
    })
}

/// The scale that a column of strips shares: the next round number above the highest cell, so that
/// it moves seldom. `None` when there is no packet at all.
pub fn scale(highest: f64) -> Option<f64> {
    if highest <= 0.0 || !highest.is_finite() {
        return None;
    }
    let power = 10f64.powf(highest.log10().floor());
    [1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0].iter().map(|m| m * power).find(|s| *s >= highest * 0.999)
}

/// The strip as text under a scale.
pub fn text(cells: impl Iterator<Item = Option<f64>>, scale: Option<f64>) -> String {
    cells
        .map(|c| match c {
            None => " ",
            Some(v) if v <= 0.0 => NO_PACKET,
            Some(v) => {
                let part = v / scale.unwrap_or(v);
                BLOCKS[((part * 8.0).ceil() as usize).clamp(1, 8) - 1]
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(n: u64) -> Mono {
        Mono(n * 1_000_000_000)
    }

    #[test]
    fn no_packet_and_not_watching_look_different_and_the_scale_is_shared() {
        let mut strip = Strip::new(s(100));
        strip.add(s(101), 50, 0);
        strip.add(s(103), 100, 0);
        let cut = Cut { cells: 6, seconds: 1 };
        let line = |top| text(cells(&strip, s(104), cut), scale(top));
        assert_eq!(line(100.0), "  ·▄·█");
        assert_eq!(line(1000.0), "  ·▁·▁");
    }

    #[test]
    fn cells_of_several_seconds_keep_their_bounds_as_time_goes_on() {
        let mut strip = Strip::new(s(0));
        for (at, n) in [(6, 3), (7, 3), (8, 3), (9, 9), (10, 9)] {
            strip.add(s(at), n, 0);
        }
        let cut = Cut { cells: 3, seconds: 3 };
        let at = |now| cells(&strip, s(now), cut).collect::<Vec<_>>();
        assert_eq!(at(11), [Some(0.0), Some(3.0), Some(9.0)]);
        assert_eq!(at(12), [Some(0.0), Some(3.0), Some(6.0)]);
        assert_eq!(at(13), [Some(3.0), Some(6.0), Some(0.0)]);
    }

    #[test]
    fn scales_are_round_and_never_below_the_highest() {
        for (top, want) in [(2_100.0, 3_000.0), (1.0, 1.0), (0.2, 0.2), (44.0, 50.0), (999.0, 1_000.0)] {
            assert_eq!(scale(top).map(|s| (s * 1e6).round() / 1e6), Some(want), "{top}");
        }
        assert_eq!(scale(0.0), None);
    }

    #[test]
    fn by_its_own_scale_a_small_stream_shows_its_shape() {
        let mut strip = Strip::new(s(100));
        strip.add(s(101), 5, 0);
        strip.add(s(103), 10, 0);
        let cut = Cut { cells: 6, seconds: 1 };
        assert_eq!(Scaling::Shared(Some(1000.0)).text(&strip, s(104), cut), "  ·▁·▁");
        assert_eq!(Scaling::Own.text(&strip, s(104), cut), "    10   ·▄·█");
        assert_eq!(Scaling::Own.text(&Strip::new(s(102)), s(104), cut), "           ··");
        assert_eq!(Scaling::Own.heading(cut), " MAX/S 6 s");
    }

    #[test]
    fn the_heading_says_what_is_covered_and_up_to_what() {
        assert_eq!(Cut::fitting(24, true).heading(Some(3000.0)), "60 s (0–3.00 k/s)");
        assert_eq!(Cut::fitting(20, false).heading(None), "20 s");
    }
}
