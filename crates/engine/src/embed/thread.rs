//! The one thread that owns an embedding model's context.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};

use message::{ErrorKind, Failure};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::backend::{LoadedModel, Pooled};
use crate::thread::Shared;
use crate::vocabulary::Token;
use crate::{Config, LoadError};

/// A call's inputs, and where its vectors go.
pub(crate) struct Job {
    pub(crate) inputs: Vec<Vec<Token>>,
    pub(crate) reply: oneshot::Sender<Result<Vec<Vec<f32>>, Failure>>,
    /// Its place in the engine, given back when it ends.
    #[allow(dead_code, reason = "held, not read: dropping it lets the next call in")]
    pub(crate) permit: OwnedSemaphorePermit,
}

/// A job under way.
struct Running {
    job: Job,
    vectors: Vec<Vec<f32>>,
}

impl Running {
    fn left(&self) -> impl Iterator<Item = &[Token]> {
        self.job.inputs[self.vectors.len()..].iter().map(Vec::as_slice)
    }

    fn over(&self) -> bool {
        self.vectors.len() == self.job.inputs.len()
    }
}

/// The thread's whole life; `loaded` hears whether the context could be made.
pub(crate) fn run(
    model: &LoadedModel,
    config: &Config,
    max_tokens: u32,
    inbox: &Receiver<Job>,
    shared: &Shared,
    loaded: &SyncSender<Result<(), LoadError>>,
) {
    let mut pooled = match Pooled::new(model, config, max_tokens) {
        Ok(pooled) => pooled,
        Err(error) => {
            let _ = loaded.send(Err(error));
            return;
        }
    };
    shared.ready.store(true, Ordering::Release);
    let _ = loaded.send(Ok(()));
    let mut running = VecDeque::new();
    let outcome = catch_unwind(AssertUnwindSafe(|| crank(&mut pooled, inbox, shared, &mut running)));
    shared.ready.store(false, Ordering::Release);
    let failure = match outcome {
        Ok(()) => Failure::new(ErrorKind::Unavailable, "the server is shutting down"),
        Err(_) => {
            tracing::error!("the embedding model's thread panicked; the model is no longer ready");
            Failure::internal("the embedding model's thread panicked")
        }
    };
    let waiting = inbox.try_iter().map(|job| Running { job, vectors: Vec::new() });
    for running in running.into_iter().chain(waiting) {
        let _ = running.job.reply.send(Err(failure.clone()));
    }
}

fn crank(pooled: &mut Pooled<'_>, inbox: &Receiver<Job>, shared: &Shared, running: &mut VecDeque<Running>) {
    let counters = &shared.counters;
    let count = |counter: &AtomicU64, more: usize| counter.fetch_add(more as u64, Ordering::Relaxed);
    loop {
        if running.is_empty() {
            // Sleep only when there is nothing to compute.
            let Ok(job) = inbox.recv() else { return };
            running.push_back(Running { job, vectors: Vec::new() });
        }
        running.extend(inbox.try_iter().map(|job| Running { job, vectors: Vec::new() }));
        if shared.stop.load(Ordering::Acquire) {
            return;
        }
        let before = running.len();
        running.retain(|running| !running.job.reply.is_closed());
        count(&counters.cancelled, before - running.len());
        counters.busy.store(running.len() as u64, Ordering::Relaxed);

        let left = || running.iter().flat_map(Running::left);
        let fitting = pooled.fitting(left());
        let inputs: Vec<&[Token]> = left().take(fitting).collect();
        if inputs.is_empty() {
            continue;
        }
        let tokens = inputs.iter().map(|input| input.len()).sum();
        match pooled.embed(&inputs) {
            Ok(vectors) => {
                count(&counters.prefilled, tokens);
                hand_out(vectors, running);
            }
            Err(error) => {
                tracing::warn!(%error, calls = running.len(), "a batch of embeddings failed; its calls are ended");
                count(&counters.failed, running.len());
                for running in running.drain(..) {
                    let _ = running.job.reply.send(Err(Failure::internal(error.clone())));
                }
            }
        }
        while running.front().is_some_and(Running::over) {
            if let Some(Running { job, vectors }) = running.pop_front() {
                count(&counters.completed, 1);
                let _ = job.reply.send(Ok(vectors));
            }
        }
        counters.busy.store(running.len() as u64, Ordering::Relaxed);
    }
}

/// Gives each call the vectors of its inputs, in order.
fn hand_out(vectors: Vec<Vec<f32>>, running: &mut VecDeque<Running>) {
    let mut vectors = vectors.into_iter();
    for running in running {
        let wanted = running.job.inputs.len() - running.vectors.len();
        running.vectors.extend(vectors.by_ref().take(wanted));
    }
}
