//! When to receive: at once on quiet groups, gathered on busy ones.
//!
//! At medium rates much of the cost of receiving is the wake-up for each datagram. A listener that
//! has seen several datagrams within a short time stops waiting for the next one and lets them
//! gather; kernel time stamps keep the timing exact. How long is bounded by three things: the delay
//! that a reader of the figures may see, the number of listeners (their wake-ups add up), and the
//! socket buffer, which must never be in danger.

use std::time::Duration;

use crate::engine::gatherer::BUSY;

/// Longest gathering with few listeners.
const SHORT: Duration = Duration::from_millis(2);
/// Longest gathering with very many.
const LONG: Duration = Duration::from_millis(75);
/// Listeners up to which [`SHORT`] holds.
const FEW: usize = 20;
/// Gathering begins when this many datagrams would come within it.
const WORTH: f64 = 2.0;

/// Listeners of less than this many datagrams a second are gathered together.
const SHARED_PPS: f64 = (BUSY * 500 / LONG.as_millis() as u64) as f64;

/// The state of one listener.
#[derive(Clone, Copy, Debug)]
pub struct Gather {
    /// How long to gather at present; shrinks when the buffer fills.
    span: Duration,
    gathering: bool,
    /// Datagrams a second at the last turn.
    rate: f64,
    /// Turns for which the listener gathers by itself whatever the rate.
    alone: u32,
}

impl Default for Gather {
    fn default() -> Self {
        Gather { span: SHORT, gathering: false, rate: 0.0, alone: 0 }
    }
}

/// Turns alone after a socket came back from being gathered with others.
const ALONE: u32 = 16;

/// More listeners gather longer by this for each.
const EACH: Duration = Duration::from_micros(800);

/// The longest gathering for this number of listeners.
pub fn longest(listeners: usize) -> Duration {
    if listeners <= FEW { SHORT } else { EACH.saturating_mul(listeners.min(1 << 20) as u32).min(LONG) }
}

impl Gather {
    /// After a turn that brought `packets` in the `elapsed` since the turn before, with the buffer
    /// filled to `fill` (0 to 1; `None` where the system does not say): how long to gather before
    /// the next turn, or `None` to wait for the next datagram.
    pub fn next(
        &mut self,
        packets: u64,
        elapsed: Duration,
        fill: Option<f64>,
        listeners: usize,
    ) -> Option<Duration> {
        let longest = longest(listeners);
        match fill {
            Some(f) if f > 0.25 => self.span /= 2,
            Some(f) if f > 0.125 => {}
            Some(_) => self.span = (self.span * 2).min(longest),
            // Without knowledge of the buffer a millisecond is safe for any default size.
            None => self.span = longest.min(Duration::from_millis(1)),
        }
        self.span = self.span.clamp(Duration::from_micros(100), longest);
        self.rate = packets as f64 / elapsed.as_secs_f64().max(1e-6);
        self.gathering = packets > 0 && self.rate * longest.as_secs_f64() >= WORTH;
        self.alone = self.alone.saturating_sub(1);
        self.gathering.then_some(self.span)
    }

    /// Whether its traffic had better be gathered together with that of others: there are many
    /// listeners, and this one is not so busy that it fills batches alone.
    pub fn is_shared(&self, listeners: usize) -> bool {
        listeners > FEW && self.alone == 0 && self.rate < SHARED_PPS
    }

    /// The socket is back from being gathered with others: its group fell quiet or became busy.
    pub fn back(&mut self) {
        self.alone = ALONE;
    }

    /// Nobody gathers for it.
    pub fn alone(&mut self) {
        self.alone = u32::MAX;
    }

    /// Whether the listener gathers.
    pub fn is_gathering(&self) -> bool {
        self.gathering
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_quiet_group_is_received_at_once_and_a_busy_one_is_gathered() {
        let mut g = Gather::default();
        assert_eq!(g.next(1, 20 * MS, Some(0.0), 1), None);
        assert_eq!(g.next(2, MS, Some(0.01), 1), Some(2 * MS));
        assert_eq!(g.next(200, 2 * MS, Some(0.1), 1), Some(2 * MS));
        assert_eq!(g.next(0, 2 * MS, Some(0.0), 1), None);
    }

    #[test]
    fn a_filling_buffer_shortens_the_gathering_and_an_empty_one_lengthens_it_again() {
        let mut g = Gather::default();
        assert_eq!(g.next(900, 2 * MS, Some(0.5), 1), Some(MS));
        assert_eq!(g.next(450, MS, Some(0.5), 1), Some(MS / 2));
        assert_eq!(g.next(225, MS / 2, Some(0.05), 1), Some(MS));
    }

    #[test]
    fn many_listeners_gather_longer_so_that_wake_ups_stay_bounded() {
        assert_eq!(longest(20), 2 * MS);
        assert_eq!(longest(50), 40 * MS);
        assert_eq!(longest(1000), 75 * MS);
    }
}
