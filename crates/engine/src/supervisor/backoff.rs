//! How long to wait before the next worker is started.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(30);
/// A worker that lived this long was well: its death is a new matter.
const HEALTHY: Duration = Duration::from_secs(60);

/// Counts deaths that came too soon: the first restart is at once, then 0.5 s and twice as
/// long each time, up to 30 s; less by up to a quarter, so that many do not come at once.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    deaths: u32,
}

impl Backoff {
    /// How long to wait after a worker that answered for `lived`.
    pub(super) fn after(&mut self, lived: Duration) -> Duration {
        if lived >= HEALTHY {
            self.deaths = 0;
        }
        self.deaths = self.deaths.saturating_add(1);
        match self.deaths {
            1 => Duration::ZERO,
            deaths => {
                let wait = FIRST.saturating_mul(1u32.checked_shl(deaths - 2).unwrap_or(u32::MAX));
                wait.min(LONGEST).mul_f64(1.0 - fastrand::f64() / 4.0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_bound_and_begin_anew_after_health() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.after(Duration::ZERO), Duration::ZERO);
        for longest in [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000] {
            let wait = backoff.after(Duration::from_secs(59)).as_millis();
            assert!((longest * 3 / 4..=longest).contains(&wait), "{wait} of {longest}");
        }
        for _ in 0..100 {
            assert!(backoff.after(Duration::ZERO) <= LONGEST);
        }
        assert_eq!(backoff.after(HEALTHY), Duration::ZERO);
    }
}
