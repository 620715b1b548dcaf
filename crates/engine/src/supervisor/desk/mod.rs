//! The calls of one model, between the tasks that ask, the thread that writes to the
//! worker and the thread that reads from it. Whoever works here holds the lock for a few
//! lines and waits for nobody.
//!
//! Here are the calls' places; `presence` is whether a worker is there, and `waiting` a
//! call that waits for one.

mod phase;
mod presence;
mod waiting;

use std::collections::{BTreeMap, VecDeque};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use message::{ErrorKind, Event, Failure, Retry};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};

use super::question::Question;
use super::room::Room;
use super::turnover::Turnover;
use crate::LoadError;
use crate::outlet::{Item, is_last};
use crate::protocol::{Figures, Order, Ready, Told, encode};
use crate::reply::stopped;
use phase::Phase;
pub(super) use presence::Departure;

/// What a desk is told once.
#[derive(Debug, Clone)]
pub(crate) struct Terms {
    /// The name that the model is served by.
    pub(crate) name: Arc<str>,
    /// How many items each call may have on their way.
    pub(crate) window: usize,
    /// How long a call waits for a model that is on its way.
    pub(crate) queue_timeout: Duration,
    /// How long without a call the model stays loaded; `None`: for ever.
    pub(crate) keep_alive: Option<Duration>,
    /// How long a worker that has calls may say nothing.
    pub(crate) silence: Duration,
}

/// The calls of one model.
#[derive(Debug)]
pub(crate) struct Desk {
    terms: Terms,
    room: Room,
    state: Mutex<State>,
    /// Tells the writing thread of something to write, and a sleeping or pausing one that
    /// the model is wanted, or that the end has come.
    news: Condvar,
    phase: watch::Sender<Phase>,
}

#[derive(Debug)]
struct State {
    calls: BTreeMap<u64, Seat>,
    /// Calls of which the worker must hear, each once: as many as there are calls.
    unheard: VecDeque<u64>,
    next: u64,
    /// Calls that wait for a worker.
    waiting: usize,
    /// Somebody who does not call wants the model loaded, and waits for the outcome.
    asked: bool,
    /// A worker is there and reads.
    connected: bool,
    /// Since when.
    up_since: Instant,
    /// When the model was last asked something.
    used: Instant,
    /// When the worker last said something, or got its first call.
    heard: Instant,
    /// Why the worker shall end with its last call.
    leaving: Option<String>,
    /// The worker was told to end.
    told: bool,
    stopping: bool,
    socket: Option<UnixStream>,
    /// What is known of the model since it was loaded first.
    ready: Option<Arc<Ready>>,
    load_time: Duration,
    /// Times that the model could not be loaded; the last time's failure, and its error for
    /// whoever asked.
    failures: u64,
    failure: Option<Failure>,
    error: Option<LoadError>,
    turnover: Turnover,
    figures: Figures,
    /// What earlier workers did.
    before: Figures,
    loads: u64,
    restarts: u64,
}

impl State {
    fn new(now: Instant) -> Self {
        Self {
            calls: BTreeMap::new(),
            unheard: VecDeque::new(),
            next: 0,
            waiting: 0,
            asked: false,
            connected: false,
            up_since: now,
            used: now,
            heard: now,
            leaving: None,
            told: false,
            stopping: false,
            socket: None,
            ready: None,
            load_time: Duration::ZERO,
            failures: 0,
            failure: None,
            error: None,
            turnover: Turnover::default(),
            figures: Figures::default(),
            before: Figures::default(),
            loads: 0,
            restarts: 0,
        }
    }
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

/// A call's place at the desk. Dropping it cancels the call.
#[derive(Debug)]
pub(crate) struct Ticket {
    desk: Arc<Desk>,
    number: u64,
}

impl Ticket {
    /// How many items may be on their way.
    pub(crate) fn window(&self) -> usize {
        self.desk.terms.window
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
    /// The desk of a model that is asleep.
    pub(crate) fn new(terms: Terms, room: Room) -> Self {
        let (phase, _) = watch::channel(Phase::Asleep { fault: None });
        Self { terms, room, state: Mutex::new(State::new(Instant::now())), news: Condvar::new(), phase }
    }

    /// The name that the model is served by.
    pub(crate) fn name(&self) -> &str {
        &self.terms.name
    }

    /// Gives a call to the worker; while there is none, waits for the next one, within
    /// bounds. `again`: an earlier worker had it.
    pub(crate) async fn submit(
        self: &Arc<Self>,
        question: &Question,
        permit: &Arc<OwnedSemaphorePermit>,
        again: bool,
    ) -> Result<(Ticket, mpsc::Receiver<Item>), Failure> {
        let mut waiting = None;
        loop {
            if let Some(seated) = self.seat(question, permit, again) {
                return Ok(seated);
            }
            waiting.get_or_insert_with(|| self.wait()).turn().await?;
        }
    }

    /// What is known of the model, which is loaded if it never was.
    pub(crate) async fn ready(self: &Arc<Self>) -> Result<Arc<Ready>, Failure> {
        let mut waiting = None;
        loop {
            if let Some(ready) = self.known() {
                return Ok(ready);
            }
            waiting.get_or_insert_with(|| self.wait()).turn().await?;
        }
    }

    /// What is known of the model, if it was ever loaded.
    pub(crate) fn known(&self) -> Option<Arc<Ready>> {
        self.state().ready.clone()
    }

    fn seat(
        self: &Arc<Self>,
        question: &Question,
        permit: &Arc<OwnedSemaphorePermit>,
        again: bool,
    ) -> Option<(Ticket, mpsc::Receiver<Item>)> {
        let mut state = self.state();
        if !state.connected || state.stopping || state.leaving.is_some() {
            return None;
        }
        let (items, receiver) = mpsc::channel(self.terms.window);
        let now = Instant::now();
        state.used = now;
        if state.calls.is_empty() {
            state.heard = now;
            state.turnover.begun(now);
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
        if seat.question.is_none() {
            // It keeps its place until the worker has let go of it.
            seat.left = true;
            self.note(&mut state, number);
            return;
        }
        // The worker never heard of it.
        state.unheard.retain(|unheard| *unheard != number);
        let idle = self.over(&mut state, number);
        drop(state);
        self.idle(idle);
    }

    /// A call is over; whether it was the last.
    fn over(&self, state: &mut State, number: u64) -> bool {
        let idle = state.calls.remove(&number).is_some() && state.calls.is_empty();
        if idle {
            state.used = Instant::now();
            // Whoever writes counts from now, or says goodbye.
            self.news.notify_all();
        }
        idle
    }

    /// Tells those who wait for memory, without the lock.
    fn idle(&self, idle: bool) {
        if idle {
            self.room.poke();
        }
    }

    /// Waits for something to tell the worker, and appends it to `frames`. `false`: there
    /// will be no more, though `frames` may still hold the last.
    pub(super) fn orders(&self, frames: &mut Vec<u8>) -> bool {
        let mut state = self.state();
        loop {
            if !state.connected {
                return false;
            }
            let (keep_alive, silence) = (self.keep_alive(&state), self.silence(&state));
            if keep_alive == Some(Duration::ZERO) {
                self.vacate_now(&mut state, "nobody called it for its keep-alive".to_owned());
            }
            if silence == Some(Duration::ZERO) {
                // Its end is then like any other's.
                let calls = state.calls.len();
                tracing::error!(model = self.name(), calls, "the model's worker hangs; it is cut off");
                presence::hang_up(&state);
                return false;
            }
            if state.stopping || (state.leaving.is_some() && state.calls.is_empty()) {
                // Once: whoever writes this has nothing to write after it.
                state.connected = false;
                state.told = true;
                return encode(&Order::Stop, frames).is_ok();
            }
            if !state.unheard.is_empty() {
                break;
            }
            state = match keep_alive.or(silence) {
                Some(left) => self.news.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.news.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
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
                let idle = self.over(&mut self.state(), number);
                self.idle(idle);
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
        let mut idle = false;
        let before = state.calls.len();
        state.heard = Instant::now();
        for (number, told) in told {
            let item = match told {
                Told::Said(said) => Ok(said.into_iter().map(Event::from).collect()),
                Told::Failed(failed) => Err(failed.into()),
                Told::Gone => {
                    idle |= self.over(&mut state, number);
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
                idle |= self.over(&mut state, number);
            }
        }
        let left = state.calls.len();
        let ended = u32::try_from(before - left).unwrap_or(u32::MAX);
        state.turnover.ended(Instant::now(), ended, left);
        // After the calls that ended have given up their places.
        state.figures = figures;
        drop(state);
        self.idle(idle);
        Ok(())
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

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
