//! How soon a place is likely free, from how fast calls have ended lately.
//!
//! Fed with times, it knows no clock. What counts is the time from one end to the next
//! while the model had work; whoever is refused meanwhile is told to come after those who
//! were refused before, so that they do not all come back at once.

use std::time::{Duration, Instant};

/// Taken for the time of a call while none has ended: about that of a short answer.
const UNKNOWN_S: f64 = 2.0;
/// How much of what is known a new gap replaces.
const WEIGHT: f64 = 1.0 / 8.0;
/// Nobody is told to come back sooner (clients count whole seconds), or later: by then
/// much may have changed.
const SOONEST_S: f64 = 1.0;
const LATEST_S: f64 = 60.0;

/// The pace at which calls end.
#[derive(Debug, Default)]
pub(super) struct Turnover {
    /// Since when the model has been at work without a call having ended.
    since: Option<Instant>,
    /// Seconds from one end to the next, lately.
    gap_s: Option<f64>,
    /// Who was sent away, less the places that came free since.
    refused: u32,
}

impl Turnover {
    /// A call came to a model that had none.
    pub(super) fn begun(&mut self, now: Instant) {
        self.since = Some(now);
    }

    /// So many calls ended at once, and so many are left.
    pub(super) fn ended(&mut self, now: Instant, calls: u32, left: usize) {
        if calls == 0 {
            return;
        }
        if let Some(since) = self.since {
            let gap_s = now.saturating_duration_since(since).as_secs_f64() / f64::from(calls);
            // As if they had ended one after the other.
            let kept = (1.0 - WEIGHT).powi(calls.try_into().unwrap_or(i32::MAX));
            self.gap_s = Some(self.gap_s.map_or(gap_s, |known| known * kept + gap_s * (1.0 - kept)));
        }
        self.since = (left > 0).then_some(now);
        self.refused = if left > 0 { self.refused.saturating_sub(calls) } else { 0 };
    }

    /// When to come back for somebody who is sent away, in whole seconds.
    pub(super) fn refuse(&mut self, now: Instant) -> Duration {
        self.refused = self.refused.saturating_add(1);
        self.wait(now)
    }

    /// When the place after those that others were promised is likely free, in whole seconds.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        let silent_s = self.since.map_or(0.0, |since| now.saturating_duration_since(since).as_secs_f64());
        // Nothing has ended for longer than usual: the pace is no longer what it was.
        let gap_s = self.gap_s.unwrap_or(UNKNOWN_S).max(silent_s);
        let wait_s = gap_s * f64::from(self.refused.max(1));
        // To the millisecond first, lest a rounding error cost a second.
        let wait_ms = (wait_s.clamp(SOONEST_S, LATEST_S) * 1000.0).round() as u64;
        Duration::from_secs(wait_ms.div_ceil(1000))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, seconds: f64) -> Instant {
        start + Duration::from_secs_f64(seconds)
    }

    fn seconds(wait: Duration) -> u64 {
        wait.as_secs()
    }

    #[test]
    fn the_pace_of_late_is_what_counts() {
        let (mut pace, start) = (Turnover::default(), Instant::now());
        assert_eq!(seconds(pace.wait(start)), 2, "nothing is known");
        pace.begun(start);
        (1..=40).for_each(|call| pace.ended(after(start, f64::from(call) * 5.0), 1, 8));
        let now = after(start, 200.0);
        assert_eq!(seconds(pace.wait(now)), 5);
        (1..=40).for_each(|call| pace.ended(after(now, f64::from(call) * 0.5), 1, 8));
        assert_eq!(seconds(pace.wait(after(now, 20.0))), 1, "it became faster, and a second is the least");
    }

    #[test]
    fn who_is_refused_comes_after_those_refused_before() {
        let (mut pace, start) = (Turnover::default(), Instant::now());
        pace.begun(start);
        pace.ended(after(start, 4.0), 1, 8);
        let now = after(start, 4.0);
        let waits: Vec<u64> = (0..3).map(|_| seconds(pace.refuse(now))).collect();
        assert_eq!(waits, [4, 8, 12]);
        pace.ended(after(now, 8.0), 2, 8);
        assert_eq!(seconds(pace.wait(after(now, 8.0))), 4, "two places came free, one is still promised");
        assert_eq!((0..100).map(|_| seconds(pace.refuse(now))).max(), Some(60));
        pace.ended(after(now, 12.0), 9, 0);
        assert_eq!(seconds(pace.refuse(after(now, 12.0))), 2, "nobody is left who was promised a place");
    }

    #[test]
    fn time_without_work_says_nothing_of_the_pace() {
        let (mut pace, start) = (Turnover::default(), Instant::now());
        pace.begun(start);
        pace.ended(after(start, 3.0), 1, 0);
        let later = after(start, 7200.0);
        pace.begun(later);
        pace.ended(after(later, 3.0), 1, 4);
        assert_eq!(seconds(pace.wait(after(later, 3.0))), 3);
        assert_eq!(seconds(pace.wait(after(later, 13.0))), 10, "it has stalled for longer than a call takes");
    }
}
