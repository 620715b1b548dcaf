//! The calls of one model, between the tasks that ask, the thread that writes to the
//! worker and the thread that reads from it. Whoever works here holds the lock for a few
//! lines and waits for nobody.

use std::collections::{BTreeMap, VecDeque};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use message::{ErrorKind, Event, Failure, Retry};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};

use super::question::Question;
use super::turnover::Turnover;
use crate::outlet::{Item, is_last};
use crate::protocol::{Figures, Order, Told, encode};
use crate::reply::stopped;

/// How long after a worker's death calls wait for the next one, before they are told to
/// come again: most models are loaded by then, and clients wait longer than that.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whether calls can be answered.
#[derive(Debug, Clone)]
enum Phase {
    /// A worker is there.
    Up,
    /// None is, since then; the next is expected at `back`.
    Down { since: Instant, back: Instant, why: Arc<str> },
    /// None will be.
    Stopped,
}

/// The calls of one model.
#[derive(Debug)]
pub(crate) struct Desk {
    window: usize,
    state: Mutex<State>,
    /// Tells the writing thread of something to write, and a pausing one of the end.
    news: Condvar,
    phase: watch::Sender<Phase>,
}

#[derive(Debug, Default)]
struct State {
    calls: BTreeMap<u64, Seat>,
    /// Calls of which the worker must hear, each once: as many as there are calls.
    unheard: VecDeque<u64>,
    next: u64,
    /// A worker is there and reads.
    connected: bool,
    stopping: bool,
    socket: Option<UnixStream>,
    load_time: Duration,
    turnover: Turnover,
    figures: Figures,
    /// What earlier workers did.
    before: Figures,
    restarts: u64,
}

/// One call.
#[derive(Debug)]
struct Seat {
    /// Until the worker has it.
    question: Option<Question>,
    items: mpsc::Sender<Item>,
    /// Items its reader took that the worker does not know of.
    read: usize,
    left: bool,
    /// It is among the unheard.
    noted: bool,
    /// Something was told to its reader.
    begun: bool,
    /// It was sent to an earlier worker, which died.
    again: bool,
    #[allow(dead_code, reason = "held, not read: dropping it lets the next call in")]
    permit: Arc<OwnedSemaphorePermit>,
}

/// What a worker's death did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Losses {
    /// Calls that had heard nothing, and are sent to the next worker.
    pub(super) again: usize,
    /// Calls that end.
    pub(super) ended: usize,
}

/// A call's place at the desk. Dropping it cancels the call.
#[derive(Debug)]
pub(crate) struct Ticket {
    desk: Arc<Desk>,
    number: u64,
}

impl Ticket {
    /// How many items may be on their way.
    pub(crate) fn window(&self) -> usize {
        self.desk.window
    }

    /// Its reader has taken so many items more.
    pub(crate) fn read(&self, items: usize) {
        let mut state = self.desk.state();
        if let Some(seat) = state.calls.get_mut(&self.number) {
            seat.read += items;
            self.desk.note(&mut state, self.number);
        }
    }

    /// Why a stream ends whose worker died.
    pub(crate) fn cut(&self) -> Failure {
        if self.desk.state().stopping {
            return stopped();
        }
        Failure::new(
            ErrorKind::Unavailable,
            "the model's worker process died in the middle of this answer, which is not whole; \
             send the request again",
        )
        .with_retry(Retry::After(self.desk.retry_after()))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.desk.leave(self.number);
    }
}

impl Desk {
    /// A desk whose calls may each have `window` items on their way.
    pub(crate) fn new(window: usize) -> Self {
        let now = Instant::now();
        let (phase, _) = watch::channel(Phase::Down { since: now, back: now, why: "its start".into() });
        Self { window, state: Mutex::default(), news: Condvar::new(), phase }
    }

    /// Gives a call to the worker; while there is none, waits for the next one, within
    /// bounds. `again`: an earlier worker had it.
    pub(crate) async fn submit(
        self: &Arc<Self>,
        question: &Question,
        permit: &Arc<OwnedSemaphorePermit>,
        again: bool,
    ) -> Result<(Ticket, mpsc::Receiver<Item>), Failure> {
        let mut phases = self.phase.subscribe();
        loop {
            let phase = phases.borrow_and_update().clone();
            match phase {
                Phase::Up => {
                    if let Some(seated) = self.seat(question, permit, again) {
                        return Ok(seated);
                    }
                }
                Phase::Stopped => return Err(stopped()),
                Phase::Down { since, .. } => {
                    let left = PATIENCE.saturating_sub(since.elapsed());
                    if left.is_zero() {
                        return Err(self.unavailable());
                    }
                    // Whether it changed or the time is up, the next look tells.
                    let _ = tokio::time::timeout(left, phases.changed()).await;
                }
            }
        }
    }

    fn seat(
        self: &Arc<Self>,
        question: &Question,
        permit: &Arc<OwnedSemaphorePermit>,
        again: bool,
    ) -> Option<(Ticket, mpsc::Receiver<Item>)> {
        let (items, receiver) = mpsc::channel(self.window);
        let mut state = self.state();
        if !state.connected || state.stopping {
            return None;
        }
        if state.calls.is_empty() {
            state.turnover.begun(Instant::now());
        }
        let number = state.next;
        state.next += 1;
        let seat = Seat {
            question: Some(question.clone()),
            items,
            read: 0,
            left: false,
            noted: false,
            begun: false,
            again,
            permit: Arc::clone(permit),
        };
        state.calls.insert(number, seat);
        self.note(&mut state, number);
        Some((Ticket { desk: Arc::clone(self), number }, receiver))
    }

    fn note(&self, state: &mut State, number: u64) {
        if let Some(seat) = state.calls.get_mut(&number)
            && !std::mem::replace(&mut seat.noted, true)
        {
            state.unheard.push_back(number);
            self.news.notify_all();
        }
    }

    fn leave(&self, number: u64) {
        let mut state = self.state();
        let Some(seat) = state.calls.get_mut(&number) else { return };
        if seat.question.is_some() {
            // The worker never heard of it.
            state.calls.remove(&number);
            state.unheard.retain(|unheard| *unheard != number);
            return;
        }
        // It keeps its place until the worker has let go of it.
        seat.left = true;
        self.note(&mut state, number);
    }

    /// Waits for something to tell the worker, and appends it to `frames`. `false`: there
    /// will be no more, though `frames` may still hold the last.
    pub(super) fn orders(&self, frames: &mut Vec<u8>) -> bool {
        let idle = |state: &mut State| state.connected && !state.stopping && state.unheard.is_empty();
        let state = self.news.wait_while(self.state(), idle);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        if !state.connected {
            return false;
        }
        if state.stopping {
            // Once: whoever writes this has nothing to write after it.
            state.connected = false;
            return encode(&Order::Stop, frames).is_ok();
        }
        let mut unsent = Vec::new();
        while let Some(number) = state.unheard.pop_front() {
            let Some(seat) = state.calls.get_mut(&number) else { continue };
            seat.noted = false;
            if let Some(question) = seat.question.take() {
                unsent.push((number, question, seat.items.clone()));
            }
            if seat.left {
                // Cannot fail: it is a few bytes.
                let _ = encode(&Order::Cancel { number }, frames);
            } else if seat.read > 0 {
                let items = u32::try_from(std::mem::take(&mut seat.read)).unwrap_or(u32::MAX);
                let _ = encode(&Order::Read { number, items }, frames);
            }
        }
        drop(state);
        // A conversation may be long: nobody waits while it is written out.
        for (number, question, items) in unsent {
            if let Err(failure) = question.write(number, frames) {
                self.state().calls.remove(&number);
                // The first item: there is room. A reader that left does not care.
                let _ = items.try_send(Err(failure));
            }
        }
        true
    }

    /// Brings items to their calls.
    ///
    /// # Errors
    /// What the worker did that it must not.
    pub(super) fn deliver(&self, told: Vec<(u64, Told)>, figures: Figures) -> Result<(), &'static str> {
        let mut state = self.state();
        let before = state.calls.len();
        for (number, told) in told {
            let item = match told {
                Told::Said(said) => Ok(said.into_iter().map(Event::from).collect()),
                Told::Failed(failed) => Err(failed.into()),
                Told::Gone => {
                    state.calls.remove(&number);
                    continue;
                }
            };
            let last = is_last(&item);
            let seat = state.calls.get_mut(&number).ok_or("it answered a call that is over")?;
            seat.begun = true;
            if let Err(mpsc::error::TrySendError::Full(_)) = seat.items.try_send(item) {
                return Err("it sent more than a call's window");
            }
            if last {
                state.calls.remove(&number);
            }
        }
        let left = state.calls.len();
        state.turnover.ended(Instant::now(), u32::try_from(before - left).unwrap_or(u32::MAX), left);
        // After the calls that ended have given up their places.
        state.figures = figures;
        Ok(())
    }

    /// A worker loads the model: whoever stops this hangs up on it.
    pub(super) fn loading(&self, stream: &UnixStream) {
        let mut state = self.state();
        state.socket = stream.try_clone().ok();
        if state.stopping {
            hang_up(&state);
        }
    }

    /// A worker is there. `false`: it is not wanted any more.
    pub(super) fn connect(&self, stream: &UnixStream, load_time: Duration) -> bool {
        let mut state = self.state();
        if state.stopping {
            return false;
        }
        state.socket = stream.try_clone().ok();
        state.load_time = load_time;
        state.connected = true;
        self.phase.send_replace(Phase::Up);
        true
    }

    /// Ends what is left of a connection, so that who writes to it ends, too.
    pub(super) fn hang_up(&self) {
        let mut state = self.state();
        state.connected = false;
        hang_up(&state);
        self.news.notify_all();
        if !state.stopping {
            let now = Instant::now();
            self.phase.send_replace(Phase::Down {
                since: now,
                back: now + state.load_time,
                why: "its death".into(),
            });
        }
    }

    /// The worker is gone: its calls hear no more from it.
    pub(super) fn disconnect(&self) -> Losses {
        let mut state = self.state();
        state.connected = false;
        state.socket = None;
        state.unheard.clear();
        state.before = Figures { busy: 0, ..state.figures.after(state.before) };
        state.figures = Figures::default();
        let mut losses = Losses::default();
        for seat in std::mem::take(&mut state.calls).into_values().filter(|seat| !seat.left) {
            match seat.begun || seat.again {
                true => losses.ended += 1,
                false => losses.again += 1,
            }
        }
        losses
    }

    /// The next worker is started after `wait`.
    pub(super) fn down(&self, why: &str, wait: Duration) {
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

    /// Waits, unless the end comes first. `false`: it came.
    pub(super) fn pause(&self, wait: Duration) -> bool {
        let waited = self.news.wait_timeout_while(self.state(), wait, |state| !state.stopping);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !state.stopping
    }

    /// There will be no worker any more.
    pub(super) fn stopped(&self) {
        self.phase.send_replace(Phase::Stopped);
    }

    /// The end was asked for.
    pub(super) fn stopping(&self) -> bool {
        self.state().stopping
    }

    /// Asks the worker to end, and lets nothing in any more. One that still loads is cut off.
    pub(crate) fn stop(&self) {
        let mut state = self.state();
        state.stopping = true;
        if !state.connected {
            hang_up(&state);
        }
        self.news.notify_all();
        self.phase.send_replace(Phase::Stopped);
    }

    /// Cuts a worker off that does not end as asked.
    pub(crate) fn cut_off(&self) {
        hang_up(&self.state());
    }

    /// What the worker does, and all of them have done.
    pub(crate) fn figures(&self) -> Figures {
        let state = self.state();
        state.figures.after(state.before)
    }

    /// When somebody who finds no place should come back.
    pub(crate) fn refuse(&self) -> Duration {
        self.state().turnover.refuse(Instant::now())
    }

    /// What there is to add to a failure that came from the worker: when a call whose turn
    /// did not come in time should be sent again.
    pub(crate) fn advise(&self, mut failure: Failure) -> Failure {
        if failure.kind == ErrorKind::Timeout {
            let wait = self.state().turnover.wait(Instant::now());
            failure.message = format!("{}; try again in {} s", failure.message, wait.as_secs());
            failure = failure.with_retry(Retry::After(wait));
        }
        failure
    }

    /// How many workers were started after the first one.
    pub(crate) fn restarts(&self) -> u64 {
        self.state().restarts
    }

    /// Why it cannot answer now; `None`: it can.
    pub(crate) fn not_ready(&self) -> Option<String> {
        match &*self.phase.borrow() {
            Phase::Up => None,
            Phase::Down { why, .. } => Some(format!("is restarting after {why}")),
            Phase::Stopped => Some("has stopped".to_owned()),
        }
    }

    fn unavailable(&self) -> Failure {
        let why = "the model's worker process died and is not back yet; try again in a moment";
        Failure::new(ErrorKind::Unavailable, why).with_retry(Retry::After(self.retry_after()))
    }

    /// When the next worker is expected to answer, in whole seconds and at least one.
    fn retry_after(&self) -> Duration {
        let left = match &*self.phase.borrow() {
            Phase::Down { back, .. } => back.saturating_duration_since(Instant::now()),
            Phase::Up | Phase::Stopped => Duration::ZERO,
        };
        Duration::from_secs(left.as_secs() + 1)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hang_up(state: &State) {
    if let Some(socket) = &state.socket {
        // It may be closed already.
        let _ = socket.shutdown(Shutdown::Both);
    }
}
