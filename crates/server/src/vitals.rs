//! What is known of one connection while it lives: shared by its socket, the requests
//! on it, and its keeper, which closes it when it idles, stalls or never begins.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use crate::config::Config;

/// Signs of life of one connection. Times are milliseconds after `opened`.
#[derive(Debug)]
pub(crate) struct Vitals {
    opened: Instant,
    in_flight: AtomicUsize,
    /// A request has come at all.
    begun: AtomicBool,
    /// When the last request ended; 0: none has.
    idle_since_ms: AtomicU64,
    /// When a write first found the client not reading; 0: it reads.
    stalled_since_ms: AtomicU64,
    /// The client may still be sending what nobody will read: so it is from the start,
    /// while no whole request has been answered.
    unread: AtomicBool,
}

/// What the keeper is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All is well: look again after this long.
    LookAgain(Duration),
    /// Nothing has been asked for long enough: close in good manner.
    Idle,
    /// The client takes nothing, or sent no request in time: close.
    Gone,
}

impl Vitals {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            opened: Instant::now(),
            in_flight: AtomicUsize::new(0),
            begun: AtomicBool::new(false),
            idle_since_ms: AtomicU64::new(0),
            stalled_since_ms: AtomicU64::new(0),
            unread: AtomicBool::new(true),
        })
    }

    /// A request begins.
    pub(crate) fn request_began(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        self.begun.store(true, Ordering::Relaxed);
        self.unread.store(false, Ordering::Relaxed);
    }

    /// A request and its answer are done with.
    pub(crate) fn request_ended(&self) {
        self.idle_since_ms.store(self.now_ms(), Ordering::Relaxed);
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// An answer goes out while part of the request's body has not been read.
    pub(crate) fn leave_body_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    /// Whether the client may still be sending what nobody will read.
    pub(crate) fn unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    /// Notes whether the client takes what is written.
    pub(crate) fn wrote<T>(&self, written: &Poll<T>) {
        let stalled = self.stalled_since_ms.load(Ordering::Relaxed) != 0;
        if written.is_pending() != stalled {
            self.stalled_since_ms.store(if stalled { 0 } else { self.now_ms() }, Ordering::Relaxed);
        }
    }

    /// What to do about the connection now.
    pub(crate) fn judge(&self, config: &Config) -> Verdict {
        let now = Duration::from_millis(self.now_ms());
        if !self.begun.load(Ordering::Relaxed) {
            return match config.head_timeout().checked_sub(now) {
                Some(left) if !left.is_zero() => Verdict::LookAgain(left),
                _ => Verdict::Gone,
            };
        }
        let stalled_since = self.stalled_since_ms.load(Ordering::Relaxed);
        if stalled_since != 0 {
            let due = Duration::from_millis(stalled_since) + config.write_stall_timeout();
            return due.checked_sub(now).map_or(Verdict::Gone, Verdict::LookAgain);
        }
        if self.in_flight.load(Ordering::Relaxed) > 0 {
            return Verdict::LookAgain(config.idle_timeout().min(config.write_stall_timeout()));
        }
        let due = Duration::from_millis(self.idle_since_ms.load(Ordering::Relaxed)) + config.idle_timeout();
        match due.checked_sub(now) {
            Some(left) if !left.is_zero() => Verdict::LookAgain(left),
            _ => Verdict::Idle,
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config { head_timeout_ms: 60_000, idle_timeout_ms: 60_000, ..Config::default() }
    }

    #[test]
    fn a_silent_connection_is_given_its_head_timeout() {
        let vitals = Vitals::new();
        assert!(matches!(vitals.judge(&config()), Verdict::LookAgain(_)));
        let hasty = Config { head_timeout_ms: 1, ..config() };
        assert_eq!(vitals.judge(&hasty), Verdict::Gone);
    }

    #[test]
    fn a_request_in_flight_is_left_alone_and_an_idle_connection_is_not() {
        let vitals = Vitals::new();
        let hasty = Config { idle_timeout_ms: 0, ..config() };
        vitals.request_began();
        assert!(matches!(vitals.judge(&hasty), Verdict::LookAgain(_)));
        vitals.request_ended();
        assert_eq!(vitals.judge(&hasty), Verdict::Idle);
        assert!(matches!(vitals.judge(&config()), Verdict::LookAgain(_)));
    }

    #[test]
    fn a_client_that_does_not_read_is_gone_until_it_reads() {
        let vitals = Vitals::new();
        vitals.request_began();
        vitals.wrote(&Poll::<()>::Pending);
        std::thread::sleep(Duration::from_millis(2));
        let hasty = Config { write_stall_timeout_ms: 0, ..config() };
        assert_eq!(vitals.judge(&hasty), Verdict::Gone);
        vitals.wrote(&Poll::Ready(()));
        assert!(matches!(vitals.judge(&hasty), Verdict::LookAgain(_)));
    }
}
