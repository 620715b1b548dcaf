//! A call that waits for its model to be there. As long as there is one, the model is
//! wanted; a caller that leaves is forgotten.

use std::sync::Arc;
use std::time::{Duration, Instant};

use message::{ErrorKind, Failure, Retry};
use tokio::sync::watch;

use super::phase::Phase;
use super::{Desk, State};
use crate::reply::stopped;
use crate::supervisor::room::TURN;

/// How long calls wait for what may not come: a worker after one died, or room in memory.
/// Clients wait longer than that, and may go elsewhere.
const PATIENCE: Duration = Duration::from_secs(30);

/// A call that waits.
pub(super) struct Waiting {
    desk: Arc<Desk>,
    phases: watch::Receiver<Phase>,
    since: Instant,
    /// The failures before it came do not concern it.
    failures: u64,
}

impl Desk {
    /// Begins to wait, which wakes the model.
    pub(super) fn wait(self: &Arc<Self>) -> Waiting {
        let phases = self.phase.subscribe();
        let mut state = self.state();
        state.waiting += 1;
        self.news.notify_all();
        let failures = state.failures;
        drop(state);
        Waiting { desk: Arc::clone(self), phases, since: Instant::now(), failures }
    }
}

impl Waiting {
    /// Waits until it is worth another try.
    ///
    /// # Errors
    /// It has waited long enough, or there is nothing to wait for.
    pub(super) async fn turn(&mut self) -> Result<(), Failure> {
        let phase = self.phases.borrow_and_update().clone();
        if let Some(failure) = self.desk.state().failure_after(self.failures) {
            return Err(failure);
        }
        let patience = match &phase {
            Phase::Up => return Ok(()),
            Phase::Stopped => return Err(stopped()),
            Phase::Down { since, .. } => PATIENCE.saturating_sub(since.elapsed()),
            Phase::Crowded { .. } => PATIENCE.saturating_sub(self.since.elapsed()),
            // It comes: a place in a queue like any other.
            Phase::Asleep { .. } | Phase::Loading { .. } | Phase::Leaving => {
                self.desk.terms.queue_timeout.saturating_sub(self.since.elapsed())
            }
        };
        if patience.is_zero() {
            return Err(match phase {
                Phase::Crowded { by } => crowded(&by),
                Phase::Down { .. } => self.desk.unavailable(),
                other => slow(&other),
            });
        }
        // Whether it changed or the time is up, the next look tells.
        let _ = tokio::time::timeout(patience, self.phases.changed()).await;
        Ok(())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.desk.state();
        if state.failures != self.failures {
            // It was told with all the others, and is not counted any more.
            return;
        }
        state.waiting -= 1;
        let last = state.waiting == 0;
        drop(state);
        if last {
            self.desk.news.notify_all();
            self.desk.room.poke();
        }
    }
}

impl State {
    /// The failure of the last load, if it came after so many others.
    fn failure_after(&self, failures: u64) -> Option<Failure> {
        self.failure.clone().filter(|_| self.failures > failures)
    }
}

/// Others have the memory.
fn crowded(by: &str) -> Failure {
    let message = format!(
        "the model is not loaded, and the memory for models is full: {by}; try again when \
         they have answered, or have engine.memory_mib raised"
    );
    Failure::new(ErrorKind::Overloaded, message).with_retry(Retry::After(TURN))
}

/// It is not there after the longest wait in a queue.
fn slow(phase: &Phase) -> Failure {
    let message = format!("the model is {phase} and not there yet; try again later");
    Failure::new(ErrorKind::Timeout, message)
}
