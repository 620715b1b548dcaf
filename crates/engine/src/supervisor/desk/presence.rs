//! Whether a model's worker is there: what the supervisor tells, and what it is told of
//! whether the model is wanted, or shall make room.

use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use message::{ErrorKind, Failure, Retry};

use super::phase::Phase;
use super::{Desk, State};
use crate::LoadError;
use crate::protocol::{Figures, Ready};
use crate::supervisor::evict::Standing;
use crate::supervisor::room::TURN;

/// What the end of a worker's connection did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::supervisor) struct Departure {
    /// Calls that had heard nothing, and are sent to the next worker.
    pub(in crate::supervisor) again: usize,
    /// Calls that end.
    pub(in crate::supervisor) ended: usize,
    /// Why the worker was told to end, if it was.
    pub(in crate::supervisor) left: Option<String>,
}

/// What is wanted of the model.
impl Desk {
    /// Loads the model without a call, and waits for it. Whether it is loaded: there may
    /// be no room for it now.
    pub(crate) fn load(&self) -> Result<bool, LoadError> {
        let mut state = self.state();
        if state.connected {
            return Ok(true);
        }
        state.asked = true;
        let loads = state.loads;
        self.news.notify_all();
        let state = self.news.wait_while(state, |state| state.asked && !state.stopping);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        match state.error.take() {
            Some(error) => Err(error),
            None if state.stopping => Err(LoadError::Worker("it was told to stop".to_owned())),
            None => Ok(state.loads > loads),
        }
    }

    /// Sleeps until the model is wanted. `false`: the end came first.
    pub(in crate::supervisor) fn sleep(&self) -> bool {
        let sleeps = |state: &mut State| !state.stopping && !state.wanted();
        let state = self.news.wait_while(self.state(), sleeps);
        !state.unwrap_or_else(PoisonError::into_inner).stopping
    }

    /// Whether somebody wants the model loaded.
    pub(in crate::supervisor) fn wanted(&self) -> bool {
        let state = self.state();
        state.wanted() && !state.stopping
    }

    /// Whether these are calls.
    pub(in crate::supervisor) fn called(&self) -> bool {
        self.state().waiting > 0
    }

    /// Whether the model can make room for others, and when it was last asked something.
    pub(in crate::supervisor) fn standing(&self) -> (Standing, Instant) {
        let state = self.state();
        let standing = if state.leaving.is_some() {
            Standing::Leaving
        } else if state.calls.is_empty() && !state.wanted() {
            Standing::Idle
        } else if !state.connected {
            Standing::Stays(None)
        } else {
            match TURN.saturating_sub(state.up_since.elapsed()) {
                Duration::ZERO => Standing::Busy,
                left => Standing::Stays(Some(left)),
            }
        };
        (standing, state.used)
    }

    /// Lets no call in any more; when the last one has ended, so does the worker.
    pub(in crate::supervisor) fn vacate(&self, why: String) {
        self.vacate_now(&mut self.state(), why);
    }

    pub(super) fn vacate_now(&self, state: &mut State, why: String) {
        if state.leaving.is_none() {
            state.leaving = Some(why);
            self.phase.send_if_modified(|phase| {
                let up = matches!(phase, Phase::Up);
                if up {
                    *phase = Phase::Leaving;
                }
                up
            });
            self.news.notify_all();
        }
    }

    /// Its room is not needed after all: lets calls in again, if the worker was not told.
    pub(in crate::supervisor) fn stay(&self) {
        let mut state = self.state();
        if state.connected && state.leaving.take().is_some() {
            state.used = Instant::now();
            self.phase.send_replace(Phase::Up);
            self.news.notify_all();
        }
    }

    /// How long it is kept without a call from now on; `None`: it has calls, or stays.
    pub(super) fn keep_alive(&self, state: &State) -> Option<Duration> {
        let idle = state.calls.is_empty() && state.waiting == 0 && state.leaving.is_none();
        let keep = self.terms.keep_alive.filter(|_| idle)?;
        Some(keep.saturating_sub(state.used.elapsed()))
    }

    /// How long the worker may still say nothing; `None`: nothing is asked of it.
    pub(super) fn silence(&self, state: &State) -> Option<Duration> {
        (!state.calls.is_empty()).then(|| self.terms.silence.saturating_sub(state.heard.elapsed()))
    }

    /// The end was asked for.
    pub(in crate::supervisor) fn stopping(&self) -> bool {
        self.state().stopping
    }

    /// Asks the worker to end, and lets nothing in any more. One that still loads is cut off.
    pub(crate) fn stop(&self) {
        let mut state = self.state();
        state.stopping = true;
        if !state.connected && !state.told {
            hang_up(&state);
        }
        self.phase.send_replace(Phase::Stopped);
        drop(state);
        self.news.notify_all();
        self.room.poke();
    }

    /// Cuts a worker off that does not end as asked.
    pub(crate) fn cut_off(&self) {
        hang_up(&self.state());
    }
}

/// What became of the model.
impl Desk {
    /// Others have the memory it needs.
    pub(in crate::supervisor) fn crowded(&self, by: &str) {
        self.set(Phase::Crowded { by: by.into() });
    }

    /// There is no room for it, or nobody wants it any more.
    pub(in crate::supervisor) fn put_off(&self) {
        self.state().asked = false;
        self.news.notify_all();
        self.set(Phase::Asleep { fault: None });
    }

    /// So much of it is loaded, 0 to 1. After a death it is down until it can answer again.
    pub(in crate::supervisor) fn progress(&self, done: f32) {
        if !matches!(*self.phase.borrow(), Phase::Down { .. }) {
            self.set(Phase::Loading { percent: (done * 100.0) as u8 });
        }
    }

    /// A worker loads the model: whoever stops this hangs up on it.
    pub(in crate::supervisor) fn loading(&self, stream: &UnixStream) {
        let mut state = self.state();
        state.socket = stream.try_clone().ok();
        state.told = false;
        if state.stopping {
            hang_up(&state);
        }
    }

    /// A worker is there. `false`: it is not wanted any more.
    pub(in crate::supervisor) fn connect(
        &self,
        stream: &UnixStream,
        ready: Arc<Ready>,
        load_time: Duration,
    ) -> bool {
        let mut state = self.state();
        if state.stopping {
            return false;
        }
        state.socket = stream.try_clone().ok();
        state.ready = Some(ready);
        state.load_time = load_time;
        state.connected = true;
        state.told = false;
        state.asked = false;
        state.loads += 1;
        state.up_since = Instant::now();
        state.used = state.up_since;
        self.phase.send_replace(if state.leaving.is_some() { Phase::Leaving } else { Phase::Up });
        self.news.notify_all();
        true
    }

    /// It could not be loaded: who waits hears it, once, and the next call tries again.
    /// `retry`: when that may help.
    pub(in crate::supervisor) fn failed(&self, error: LoadError, in_public: &str, retry: Retry) {
        let message = format!("the model could not be loaded: {in_public}");
        let mut state = self.state();
        state.failures += 1;
        state.failure = Some(Failure::new(ErrorKind::Unavailable, message).with_retry(retry));
        state.waiting = 0;
        state.leaving = None;
        if std::mem::take(&mut state.asked) {
            state.error = Some(error);
        }
        drop(state);
        self.news.notify_all();
        self.set(Phase::Asleep { fault: Some(in_public.into()) });
    }

    /// Ends what is left of a connection, so that who writes to it ends, too.
    pub(in crate::supervisor) fn hang_up(&self) {
        let mut state = self.state();
        state.connected = false;
        hang_up(&state);
        state.socket = None;
        self.news.notify_all();
        if !state.stopping && !state.told {
            let now = Instant::now();
            let back = now + state.load_time;
            self.phase.send_replace(Phase::Down { since: now, back, why: "its death".into() });
        }
    }

    /// Waits until the worker has hung up, which it was told to; cuts it off after `grace`.
    pub(in crate::supervisor) fn farewell(&self, grace: Duration) -> bool {
        let lives = |state: &mut State| state.told && state.socket.is_some();
        let waited = self.news.wait_timeout_while(self.state(), grace, lives);
        let (state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            hang_up(&state);
        }
        !waited.timed_out()
    }

    /// The worker is gone: its calls hear no more from it.
    pub(in crate::supervisor) fn disconnect(&self) -> Departure {
        let mut state = self.state();
        state.connected = false;
        state.socket = None;
        state.unheard.clear();
        state.before = Figures { busy: 0, cells: 0, ..state.figures.after(state.before) };
        state.figures = Figures::default();
        let mut departure = Departure::default();
        for seat in std::mem::take(&mut state.calls).into_values().filter(|seat| !seat.left) {
            match seat.begun || seat.again {
                true => departure.ended += 1,
                false => departure.again += 1,
            }
        }
        if std::mem::take(&mut state.told) {
            departure.left = state.leaving.take();
        }
        departure
    }

    /// It sleeps until it is wanted.
    pub(in crate::supervisor) fn asleep(&self) {
        self.state().leaving = None;
        self.set(Phase::Asleep { fault: None });
    }

    /// The next worker is started after `wait`.
    pub(in crate::supervisor) fn down(&self, why: &str, wait: Duration) {
        let mut state = self.state();
        state.restarts += 1;
        let back = Instant::now() + wait + state.load_time;
        self.phase.send_modify(|phase| {
            let since = match phase {
                Phase::Down { since, .. } => *since,
                _ => Instant::now(),
            };
            *phase = Phase::Down { since, back, why: why.into() };
        });
    }

    /// Waits, unless the end comes first, or others need the room. `false`: the model is
    /// not to be loaded now.
    pub(in crate::supervisor) fn pause(&self, wait: Duration) -> bool {
        let pauses = |state: &mut State| !state.stopping && state.leaving.is_none();
        let waited = self.news.wait_timeout_while(self.state(), wait, pauses);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !state.stopping && state.leaving.is_none()
    }

    /// There will be no worker any more.
    pub(in crate::supervisor) fn stopped(&self) {
        self.set(Phase::Stopped);
    }

    fn set(&self, next: Phase) {
        let state = self.state();
        self.phase.send_replace(if state.stopping { Phase::Stopped } else { next });
    }
}

/// What is told of it.
impl Desk {
    /// Its state in words, as in "loading (43 %)".
    pub(crate) fn phase(&self) -> String {
        self.phase.borrow().to_string()
    }

    /// Why it cannot answer now; `None`: it can, though it may have to be loaded first.
    pub(crate) fn not_ready(&self) -> Option<String> {
        match &*self.phase.borrow() {
            phase @ Phase::Down { .. } => Some(format!("is {phase}")),
            Phase::Stopped => Some("has stopped".to_owned()),
            _ => None,
        }
    }

    /// How many workers were loaded.
    pub(crate) fn loads(&self) -> u64 {
        self.state().loads
    }

    /// How many workers died, and had to be started again.
    pub(crate) fn restarts(&self) -> u64 {
        self.state().restarts
    }

    pub(super) fn unavailable(&self) -> Failure {
        let why = "the model's worker process died and is not back yet; try again in a moment";
        Failure::new(ErrorKind::Unavailable, why).with_retry(Retry::After(self.retry_after()))
    }

    /// When the next worker is expected to answer, in whole seconds and at least one.
    pub(super) fn retry_after(&self) -> Duration {
        let left = match &*self.phase.borrow() {
            Phase::Down { back, .. } => back.saturating_duration_since(Instant::now()),
            _ => Duration::ZERO,
        };
        Duration::from_secs(left.as_secs() + 1)
    }
}

impl State {
    fn wanted(&self) -> bool {
        self.waiting > 0 || self.asked
    }
}

pub(super) fn hang_up(state: &State) {
    if let Some(socket) = &state.socket {
        // It may be closed already.
        let _ = socket.shutdown(Shutdown::Both);
    }
}
