//! The one thread that owns the context of a model that computes whole texts.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Receiver;

use message::Failure;

use super::Wanted;
use crate::backend::{Input, LoadedModel, Pooled};
use crate::outlet::Outlet;
use crate::thread::{Ended, Shared, shutting_down, survive};
use crate::worker::Link;
use crate::{Config, LoadError};

/// A call's inputs, and where what comes of them goes.
pub(crate) struct Job {
    pub(crate) inputs: Vec<Input>,
    pub(crate) wanted: Wanted,
    pub(crate) events: Outlet,
}

/// A job under way.
struct Running {
    job: Job,
    /// What came of its first inputs.
    outputs: Vec<Vec<f32>>,
}

impl Running {
    fn new(job: Job) -> Self {
        Self { job, outputs: Vec::new() }
    }

    fn left(&self) -> &[Input] {
        &self.job.inputs[self.outputs.len()..]
    }

    fn over(&self) -> bool {
        self.left().is_empty()
    }

    /// Answers who asked.
    fn finish(self) {
        let Job { inputs, wanted, events: out } = self.job;
        let input_tokens = inputs.iter().map(|input| input.tokens.len() as u64).sum();
        out.send(Ok(wanted.events(self.outputs, input_tokens)));
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
            running.push_back(Running::new(job));
        }
        running.extend(inbox.try_iter().map(Running::new));
        if shared.stopping() {
            return;
        }
        let before = running.len();
        running.retain(|running| !running.job.events.abandoned());
        count(&counters.cancelled, before - running.len());
        counters.busy.store(running.len() as u64, Ordering::Relaxed);

        let left = || running.iter().flat_map(Running::left);
        let fitting = pooled.fitting(left());
        let inputs: Vec<&Input> = left().take(fitting).collect();
        if inputs.is_empty() {
            let _ = link.flush();
            continue;
        }
        let tokens = inputs.iter().map(|input| input.tokens.len()).sum();
        match pooled.compute(&inputs) {
            Ok(outputs) => {
                count(&counters.prefilled, tokens);
                hand_out(outputs, running);
            }
            Err(error) => {
                tracing::warn!(%error, calls = running.len(), "a batch failed; its calls are ended");
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

/// Gives each call what came of its inputs, in order.
fn hand_out(outputs: Vec<Vec<f32>>, running: &mut VecDeque<Running>) {
    let mut outputs = outputs.into_iter();
    for running in running {
        let wanted = running.left().len();
        running.outputs.extend(outputs.by_ref().take(wanted));
    }
}
