//! The one thread that owns an embedding model's context.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;

use message::Failure;

use super::{events, shape};
use crate::backend::{LoadedModel, Pooled};
use crate::outlet::Outlet;
use crate::thread::{Ended, Shared, shutting_down, survive};
use crate::vocabulary::Token;
use crate::worker::Link;
use crate::{Config, LoadError};

/// A call's inputs, and where its vectors go.
pub(crate) struct Job {
    pub(crate) inputs: Vec<Vec<Token>>,
    /// How many numbers each vector shall have, if not all.
    pub(crate) dimensions: Option<usize>,
    /// Vectors shall have length 1.
    pub(crate) normalize: bool,
    pub(crate) events: Outlet,
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

    /// Gives the vectors to who asked.
    fn finish(self) {
        let Job { inputs, dimensions, normalize, events: out } = self.job;
        let input_tokens = inputs.iter().map(|input| input.len() as u64).sum();
        let vectors = self.vectors.into_iter().map(|vector| shape(vector, dimensions, normalize));
        out.send(Ok(events(vectors, input_tokens)));
    }
}

/// The thread's whole life; `begin` is called when the context is made.
pub(crate) fn run(
    model: &LoadedModel,
    config: &Config,
    max_tokens: u32,
    inbox: &Receiver<Job>,
    shared: &Shared,
    link: &Link,
    begin: impl FnOnce() -> Result<(), LoadError>,
) -> Result<(), Ended> {
    let mut pooled = Pooled::new(model, config, max_tokens)?;
    begin()?;
    let mut running = VecDeque::new();
    survive(|| crank(&mut pooled, inbox, shared, link, &mut running))?;
    for job in running.into_iter().map(|running| running.job).chain(inbox.try_iter()) {
        job.events.send(Err(shutting_down()));
    }
    // A gateway that is gone is noticed by who reads the socket.
    let _ = link.flush();
    Ok(())
}

fn crank(
    pooled: &mut Pooled<'_>,
    inbox: &Receiver<Job>,
    shared: &Shared,
    link: &Link,
    running: &mut VecDeque<Running>,
) {
    let counters = &shared.counters;
    let count = |counter: &AtomicU64, more: usize| counter.fetch_add(more as u64, Ordering::Relaxed);
    loop {
        if running.is_empty() {
            // Sleep only when there is nothing to compute.
            let Ok(job) = inbox.recv() else { return };
            running.push_back(Running { job, vectors: Vec::new() });
        }
        running.extend(inbox.try_iter().map(|job| Running { job, vectors: Vec::new() }));
        if shared.stopping() {
            return;
        }
        let before = running.len();
        running.retain(|running| !running.job.events.abandoned());
        count(&counters.cancelled, before - running.len());
        counters.busy.store(running.len() as u64, Ordering::Relaxed);

        let left = || running.iter().flat_map(Running::left);
        let fitting = pooled.fitting(left());
        let inputs: Vec<&[Token]> = left().take(fitting).collect();
        if inputs.is_empty() {
            let _ = link.flush();
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
                    running.job.events.send(Err(Failure::internal(error.clone())));
                }
            }
        }
        while running.front().is_some_and(Running::over) {
            if let Some(running) = running.pop_front() {
                count(&counters.completed, 1);
                running.finish();
            }
        }
        counters.busy.store(running.len() as u64, Ordering::Relaxed);
        let _ = link.flush();
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
