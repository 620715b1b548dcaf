//! Responses that are answered while their clients are away.
//!
//! Each has a log of its events, which any number of clients may read from any place while
//! it grows and for a while after. The task that answers owns the writing end; dropping a
//! reader stops nothing.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use message::{ErrorKind, Failure};
use tokio::sync::watch;
use tokio::task::AbortHandle;

/// Most responses answered in the background at once: each holds a model's attention.
pub const RUNNING_MAX: usize = 256;

/// Logs kept after their response ended, for clients that come back: the newest.
const ENDED_MAX: usize = 64;

/// Most bytes of one log. A longer answer is still kept whole; its events are not.
const LOG_BYTES_MAX: usize = 8 << 20;

/// The responses under way. Cheap to clone.
#[derive(Clone, Default)]
pub struct Running(Arc<Mutex<Jobs>>);

#[derive(Default)]
struct Jobs {
    jobs: HashMap<Key, Arc<Job>>,
    /// Ended, oldest first.
    ended: VecDeque<Key>,
}

/// Whose it is, and its id.
type Key = (Arc<str>, String);

/// One response under way, or just ended.
pub struct Job {
    log: Mutex<Log>,
    /// Counts events; told of each.
    grown: watch::Sender<Progress>,
    task: Mutex<Option<AbortHandle>>,
}

#[derive(Default)]
struct Log {
    events: Vec<Bytes>,
    bytes: usize,
    too_long: bool,
}

/// How far a log has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Events so far.
    pub events: usize,
    /// There will be no more.
    pub ended: bool,
}

impl Running {
    /// Adds a response that begins to be answered.
    ///
    /// # Errors
    /// [`Overloaded`](ErrorKind::Overloaded) when too many are under way.
    pub fn begin(&self, principal: &Arc<str>, id: &str) -> Result<Arc<Job>, Failure> {
        let mut jobs = self.lock();
        if jobs.jobs.len() - jobs.ended.len() >= RUNNING_MAX {
            let message =
                format!("{RUNNING_MAX} responses are answered in the background already; try again later");
            return Err(Failure::new(ErrorKind::Overloaded, message));
        }
        let job =
            Arc::new(Job { log: Mutex::default(), grown: watch::Sender::default(), task: Mutex::default() });
        jobs.jobs.insert((Arc::clone(principal), id.to_owned()), Arc::clone(&job));
        Ok(job)
    }

    /// A response under way, or just ended.
    pub fn find(&self, principal: &Arc<str>, id: &str) -> Option<Arc<Job>> {
        self.lock().jobs.get(&(Arc::clone(principal), id.to_owned())).cloned()
    }

    /// The response has ended: its log is complete, and makes room in time.
    pub fn end(&self, principal: &Arc<str>, id: &str) {
        let key = (Arc::clone(principal), id.to_owned());
        let mut jobs = self.lock();
        let Some(job) = jobs.jobs.get(&key) else { return };
        let was_running = !job.grown.borrow().ended;
        job.grown.send_modify(|progress| progress.ended = true);
        if was_running {
            jobs.ended.push_back(key);
        }
        while jobs.ended.len() > ENDED_MAX {
            if let Some(oldest) = jobs.ended.pop_front() {
                jobs.jobs.remove(&oldest);
            }
        }
    }

    /// The response is to be forgotten, its events too.
    pub fn forget(&self, principal: &Arc<str>, id: &str) {
        let key = (Arc::clone(principal), id.to_owned());
        self.end(principal, id);
        let mut jobs = self.lock();
        if let Some(job) = jobs.jobs.remove(&key) {
            job.abort();
        }
        jobs.ended.retain(|ended| *ended != key);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Jobs> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("jobs", &self.lock().jobs.len()).finish()
    }
}

impl Job {
    /// The task that answers: aborted when the response is cancelled.
    pub fn answered_by(&self, task: AbortHandle) {
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    /// Stops answering.
    pub fn abort(&self) {
        if let Some(task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }

    /// Adds an event.
    pub fn log(&self, event: Bytes) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.bytes += event.len();
        if log.too_long || log.bytes > LOG_BYTES_MAX {
            log.too_long = true;
            log.events.clear();
        } else {
            log.events.push(event);
        }
        drop(log);
        self.grown.send_modify(|progress| progress.events += 1);
    }

    /// Whether the response has ended.
    pub fn has_ended(&self) -> bool {
        self.grown.borrow().ended
    }

    /// Follows the log.
    pub fn follow(&self) -> watch::Receiver<Progress> {
        self.grown.subscribe()
    }

    /// The event at a place; `None` if it has not come, or the log is too long to be kept.
    pub fn event(&self, place: usize) -> Option<Bytes> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).events.get(place).cloned()
    }

    /// The answer is so long that its events are not kept.
    pub fn is_too_long(&self) -> bool {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).too_long
    }
}
