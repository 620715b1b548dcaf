//! The one thread that owns a model's context and turns the scheduler's crank.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::time::{Duration, Instant};

use message::{ErrorKind, Failure};

use crate::backend::{Backend, Llama, LoadedModel};
use crate::config::Sharing;
use crate::scheduler::{CacheLimits, Counters, Limits, NewSequence, Progress, Scheduler};
use crate::{Config, LoadError};

/// How long the thread naps when all calls wait for their readers: short for a reader,
/// long for a processor.
const STALLED_NAP: Duration = Duration::from_millis(5);

/// What the thread shares with the handles.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) counters: Arc<Counters>,
    /// Set to end the thread after its current step.
    pub(crate) stop: AtomicBool,
    /// The thread runs and has not failed.
    pub(crate) ready: AtomicBool,
}

/// The thread's whole life; `loaded` hears whether the context could be made.
pub(crate) fn run(
    model: &LoadedModel,
    config: &Config,
    inbox: &Receiver<NewSequence>,
    shared: &Shared,
    loaded: &SyncSender<Result<(), LoadError>>,
) {
    let backend = match Llama::new(model, config) {
        Ok(backend) => backend,
        Err(error) => {
            let _ = loaded.send(Err(error));
            return;
        }
    };
    let limits = limits(config);
    let mut scheduler =
        Scheduler::new(backend, Arc::clone(model.vocabulary()), limits, Arc::clone(&shared.counters));
    shared.ready.store(true, Ordering::Release);
    let _ = loaded.send(Ok(()));

    let outcome = catch_unwind(AssertUnwindSafe(|| crank(&mut scheduler, inbox, shared)));
    shared.ready.store(false, Ordering::Release);
    let failure = match outcome {
        Ok(()) => Failure::new(ErrorKind::Unavailable, "the server is shutting down"),
        Err(panic) => {
            let what = panic.downcast_ref::<&str>().map(ToString::to_string);
            let what = what.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            tracing::error!(panic = %what, "the model's thread panicked; the model is no longer ready");
            Failure::internal(format!("the model's thread panicked: {what}"))
        }
    };
    // A panic may have left the scheduler in any state; its calls are told all the same.
    let _ = catch_unwind(AssertUnwindSafe(|| {
        inbox.try_iter().for_each(|new| scheduler.add(new));
        scheduler.fail_all(&failure);
    }));
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
        cache: CacheLimits {
            sequences: config.sequences(),
            kept_cells: kept as usize,
            saved_bytes: (config.saved_mib as usize) << 20,
            sharing: config.sharing != Sharing::Nobody,
        },
    }
}

fn crank<B: Backend>(scheduler: &mut Scheduler<B>, inbox: &Receiver<NewSequence>, shared: &Shared) {
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
        if shared.stop.load(Ordering::Acquire) {
            return;
        }
        progress = scheduler.step(Instant::now());
    }
}
