//! The stages of a shutdown, and how everything learns of them.
//!
//! A first signal drains: requests in flight finish, new ones are told to go
//! elsewhere. When the drain's time is up, or at a second signal, what is still
//! streaming is cut with its dialect's own error.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Waker};

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// A stage of the server's life. Only ever advances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// Answering.
    Serving = 0,
    /// Finishing what is in flight; new requests are refused.
    Draining = 1,
    /// Cutting what is still in flight.
    Cutting = 2,
    /// Closing what is left.
    Closing = 3,
}

impl Phase {
    const fn from_u8(value: u8) -> Self {
        match value {
            0 => Self::Serving,
            1 => Self::Draining,
            2 => Self::Cutting,
            _ => Self::Closing,
        }
    }
}

struct Shared {
    phase: AtomicU8,
    changed: Arc<Notify>,
}

/// Advances the phase.
#[derive(Clone)]
pub struct Trigger(Arc<Shared>);

impl Trigger {
    /// A server's life, beginning with [`Phase::Serving`].
    pub fn new() -> (Self, Shutdown) {
        let shared = Arc::new(Shared { phase: AtomicU8::new(0), changed: Arc::default() });
        (Self(Arc::clone(&shared)), Shutdown(shared))
    }

    /// Enters `phase`, unless it is already past.
    pub fn advance(&self, phase: Phase) {
        if self.0.phase.fetch_max(phase as u8, Ordering::AcqRel) < phase as u8 {
            self.0.changed.notify_waiters();
        }
    }
}

impl fmt::Debug for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trigger")
    }
}

/// Tells the phase; cheap to clone.
#[derive(Clone)]
pub struct Shutdown(Arc<Shared>);

impl Shutdown {
    /// The phase now.
    pub fn phase(&self) -> Phase {
        Phase::from_u8(self.0.phase.load(Ordering::Acquire))
    }

    /// Waits until `phase` or a later one.
    pub async fn reached(&self, phase: Phase) {
        let mut watch = Watch::new(self.clone(), phase);
        std::future::poll_fn(|cx| watch.poll(cx)).await;
    }

    pub(crate) fn trigger(&self) -> Trigger {
        Trigger(Arc::clone(&self.0))
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shutdown").field(&self.phase()).finish()
    }
}

/// Waits for a phase inside a hand-written future. Polling costs one atomic load,
/// except when the task's waker is new: only then is the shared list locked.
pub(crate) struct Watch {
    shutdown: Shutdown,
    phase: Phase,
    waiting: Option<Waiting>,
}

/// A place in the list of those to wake.
struct Waiting {
    _notified: Pin<Box<OwnedNotified>>,
    waker: Waker,
    /// The phase in which the place was taken: the next one uses it up.
    taken_in: Phase,
}

impl Watch {
    pub(crate) fn new(shutdown: Shutdown, phase: Phase) -> Self {
        Self { shutdown, phase, waiting: None }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let now = self.shutdown.phase();
            if now >= self.phase {
                return Poll::Ready(());
            }
            match &self.waiting {
                Some(place) if place.taken_in == now && place.waker.will_wake(cx.waker()) => {
                    return Poll::Pending;
                }
                _ => self.take_place(now, cx),
            }
        }
    }

    /// Joins the list; the loop then looks once more, so a change in between is not lost.
    fn take_place(&mut self, taken_in: Phase, cx: &mut Context<'_>) {
        let mut notified = Box::pin(Arc::clone(&self.shutdown.0.changed).notified_owned());
        if notified.as_mut().poll(cx).is_pending() {
            self.waiting = Some(Waiting { _notified: notified, waker: cx.waker().clone(), taken_in });
        }
    }
}

/// A shutdown asked for by the operating system: the first SIGTERM or SIGINT drains,
/// the second cuts.
///
/// # Errors
/// When signal handlers cannot be installed.
pub fn signals() -> std::io::Result<Shutdown> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (trigger, shutdown) = Trigger::new();
    tokio::spawn(async move {
        for phase in [Phase::Draining, Phase::Cutting] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            tracing::info!(?phase, "signal received");
            trigger.advance(phase);
        }
    });
    Ok(shutdown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn phases_only_advance() {
        let (trigger, shutdown) = Trigger::new();
        trigger.advance(Phase::Cutting);
        trigger.advance(Phase::Draining);
        assert_eq!(shutdown.phase(), Phase::Cutting);
        shutdown.reached(Phase::Draining).await;
    }

    #[tokio::test]
    async fn every_watcher_wakes() {
        let (trigger, shutdown) = Trigger::new();
        let watchers: Vec<_> = (0..50)
            .map(|_| {
                let shutdown = shutdown.clone();
                tokio::spawn(async move { shutdown.reached(Phase::Draining).await })
            })
            .collect();
        tokio::task::yield_now().await;
        trigger.advance(Phase::Draining);
        for watcher in watchers {
            watcher.await.unwrap();
        }
    }

    #[tokio::test]
    async fn an_earlier_phase_does_not_end_the_wait() {
        let (trigger, shutdown) = Trigger::new();
        let waiting = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { shutdown.reached(Phase::Cutting).await }
        });
        tokio::task::yield_now().await;
        trigger.advance(Phase::Draining);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        trigger.advance(Phase::Cutting);
        waiting.await.unwrap();
    }
}
