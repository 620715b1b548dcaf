//! The one thread that owns a model's context and turns the scheduler's crank.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use message::{ErrorKind, Failure};

use crate::backend::{Backend, Llama, LoadedModel};
use crate::config::Sharing;
use crate::scheduler::{CacheLimits, Counters, Disk, Limits, NewSequence, Progress, Scheduler};
use crate::worker::Link;
use crate::{Config, LoadError};

/// How long the thread naps when all calls wait for their readers: short for a reader,
/// long for a processor.
const STALLED_NAP: Duration = Duration::from_millis(5);

/// How long a worker that ends may write what the next one can use: others may wait for its
/// memory.
const LEAVING: Duration = Duration::from_secs(3);

/// What the thread shares with the rest of its worker.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) counters: Arc<Counters>,
    /// Set to end the thread after its current step.
    stop: AtomicBool,
}

impl Shared {
    /// Ends the thread after its current step.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Whether it shall end.
    pub(crate) fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

/// Why a model's thread ended before it was told to.
#[derive(Debug)]
pub(crate) enum Ended {
    /// The model could not be loaded.
    Load(LoadError),
    /// It panicked, which the log tells: its worker must end, and its calls with it.
    Panic,
}

impl From<LoadError> for Ended {
    fn from(error: LoadError) -> Self {
        Self::Load(error)
    }
}

/// The thread's whole life; `begin` is called when the context is made.
pub(crate) fn run(
    model: &LoadedModel,
    config: &Config,
    disk: Option<Disk>,
    inbox: &Receiver<NewSequence>,
    shared: &Shared,
    link: &Link,
    begin: impl FnOnce() -> Result<(), LoadError>,
) -> Result<(), Ended> {
    let backend = Llama::new(model, config)?;
    let limits = limits(config);
    let mut scheduler =
        Scheduler::new(backend, Arc::clone(model.vocabulary()), limits, Arc::clone(&shared.counters));
    disk.into_iter().for_each(|disk| scheduler.attach(disk));
    begin()?;
    survive(|| crank(&mut scheduler, inbox, shared, link))?;
    inbox.try_iter().for_each(|new| scheduler.add(new));
    scheduler.fail_all(&shutting_down());
    // A gateway that is gone is noticed by who reads the socket.
    let _ = link.flush();
    scheduler.leave(LEAVING);
    Ok(())
}

/// The configuration in the scheduler's terms.
fn limits(config: &Config) -> Limits {
    let kept = config.kept_tokens.unwrap_or(config.context_tokens / 2);
    Limits {
        slots: config.slots,
        prefill_tokens: config.prefill_tokens as usize,
        inter_token: config.inter_token_ms.map(|ms| Duration::from_millis(ms.into())),
        longest_step: Duration::from_millis(config.step_ms.into()),
        stalled_reader: Duration::from_millis(config.stalled_reader_ms),
        speculate: config.speculate,
        cache: CacheLimits {
            sequences: config.sequences(),
            kept_cells: kept as usize,
            saved_bytes: (config.saved_mib as usize) << 20,
            sharing: config.sharing != Sharing::Nobody,
        },
    }
}

/// What calls hear when their worker is told to end.
pub(crate) fn shutting_down() -> Failure {
    Failure::new(ErrorKind::Unavailable, "the server is shutting down")
}

/// Runs a model's thread. After a panic its state may be anything: the worker ends and
/// another takes its place, as after a fault of native code.
pub(crate) fn survive(run: impl FnOnce()) -> Result<(), Ended> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let what = panic.downcast_ref::<&str>().map(ToString::to_string);
        let what = what.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        tracing::error!(panic = %what, "the model's thread panicked");
        Ended::Panic
    })
}

fn crank<B: Backend>(
    scheduler: &mut Scheduler<B>,
    inbox: &Receiver<NewSequence>,
    shared: &Shared,
    link: &Link,
) {
    let mut progress = Progress::Idle;
    loop {
        // Sleep only when there is nothing to compute.
        let waited = match progress {
            Progress::Worked => None,
            Progress::Stalled => Some(inbox.recv_timeout(STALLED_NAP)),
            Progress::Idle => Some(inbox.recv().map_err(|_| RecvTimeoutError::Disconnected)),
        };
        match waited {
            Some(Ok(new)) => scheduler.add(new),
            Some(Err(RecvTimeoutError::Disconnected)) => return,
            Some(Err(RecvTimeoutError::Timeout)) | None => {}
        }
        loop {
            match inbox.try_recv() {
                Ok(new) => scheduler.add(new),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return,
            }
        }
        if shared.stopping() {
            return;
        }
        progress = scheduler.step(Instant::now());
        let _ = link.flush();
    }
}
