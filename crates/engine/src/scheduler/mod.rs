//! Decides what each step of the model computes: three verbs, [`Scheduler::add`],
//! [`Scheduler::schedule`], [`Scheduler::step`].
//!
//! Continuous batching: every step takes one token of each call that is decoding and as
//! much of the prompts that are not done as leaves the others their pace (`pace`). Whose
//! turn it is, `fair` knows; who gets in and who gives way, `admit`; what a step holds,
//! `plan`. All calls share one KV cache and whatever is in it (`cache/`): a call that gives
//! way finds its tokens again, and a prompt that another call has computed is not computed.
//!
//! Knows no clock (the time is handed in, the backend measures its steps), no thread and no
//! llama.cpp.

mod admit;
mod cache;
mod fair;
mod origin;
mod pace;
mod plan;
mod sequence;
mod speculate;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use message::{ErrorKind, Failure};

use crate::backend::{Backend, BatchToken, StepError};
use crate::sampler::Scratch;
use crate::vocabulary::Vocabulary;
use cache::PrefixCache;
pub(crate) use cache::{CacheLimits, Disk, Root};
use fair::Fair;
pub(crate) use origin::{Origin, Origins};
use pace::Pace;
use plan::Planned;
use sequence::Sequence;
pub(crate) use sequence::{NewSequence, ThinkingLimit};

/// The bounds of scheduling; see [`Config`](crate::Config).
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) slots: u32,
    pub(crate) prefill_tokens: usize,
    pub(crate) inter_token: Option<Duration>,
    pub(crate) longest_step: Duration,
    pub(crate) stalled_reader: Duration,
    /// Whether answers are guessed at.
    pub(crate) speculate: bool,
    pub(crate) cache: CacheLimits,
}

/// What the scheduler has done, readable from any thread.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Calls that hold a slot.
    pub(crate) busy: AtomicU64,
    /// Prompt tokens computed.
    pub(crate) prefilled: AtomicU64,
    /// Tokens generated.
    pub(crate) decoded: AtomicU64,
    /// Tokens guessed and computed, right or wrong.
    pub(crate) guessed: AtomicU64,
    /// Of these, those that were right.
    pub(crate) confirmed: AtomicU64,
    /// Calls answered to their end.
    pub(crate) completed: AtomicU64,
    /// Calls whose client went away.
    pub(crate) cancelled: AtomicU64,
    /// Calls that failed after they were accepted.
    pub(crate) failed: AtomicU64,
    /// Times a call gave its place up to others.
    pub(crate) preempted: AtomicU64,
    /// Prompt tokens that were in the cache.
    pub(crate) reused: AtomicU64,
    /// Of these, tokens that had been evicted and came back from memory.
    pub(crate) restored: AtomicU64,
    /// Cells of the KV cache in use, those kept for later calls included.
    pub(crate) cells: AtomicU64,
}

fn count(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}

/// What came of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// Something was computed.
    Worked,
    /// All calls wait for their readers.
    Stalled,
    /// There are no calls.
    Idle,
}

/// Schedules the calls of one model.
pub(crate) struct Scheduler<B> {
    backend: B,
    vocabulary: Arc<Vocabulary>,
    limits: Limits,
    counters: Arc<Counters>,
    cache: PrefixCache,
    fair: Fair,
    pace: Pace,
    waiting: Vec<Sequence>,
    running: Vec<Sequence>,
    batch: Vec<BatchToken>,
    planned: Vec<Planned>,
    scratch: Scratch,
    /// Calls added so far.
    arrivals: u64,
    /// Steps planned so far.
    steps: u64,
}

impl<B: Backend> Scheduler<B> {
    pub(crate) fn new(
        backend: B,
        vocabulary: Arc<Vocabulary>,
        limits: Limits,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            cache: PrefixCache::new(&backend, limits.cache.clone()),
            fair: Fair::default(),
            pace: Pace::new(limits.inter_token, limits.longest_step),
            backend,
            vocabulary,
            limits,
            counters,
            waiting: Vec::new(),
            running: Vec::new(),
            batch: Vec::new(),
            planned: Vec::new(),
            scratch: Scratch::default(),
            arrivals: 0,
            steps: 0,
        }
    }

    /// Keeps prompts on disk, too, and finds those that an earlier worker left there.
    pub(crate) fn attach(&mut self, disk: Disk) {
        self.cache.attach(disk);
    }

    /// Leaves what was computed of prompts to the next worker; takes about so long at most.
    pub(crate) fn leave(&mut self, most: Duration) {
        let began = Instant::now();
        self.cache.leave(&mut self.backend, || began.elapsed() >= most);
    }

    /// Takes a call in.
    pub(crate) fn add(&mut self, new: NewSequence) {
        self.arrivals += 1;
        let sequence = Sequence::new(new, self.arrivals);
        self.fair.arrive(&sequence.origin().principal);
        self.waiting.push(sequence);
    }

    /// Whether there is nothing to do.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.running.is_empty()
    }

    /// Ends every call with a failure.
    pub(crate) fn fail_all(&mut self, failure: &Failure) {
        for sequence in self.waiting.iter_mut().chain(&mut self.running) {
            sequence.fail(failure.clone());
        }
        self.sweep();
    }

    /// Plans the next step: frees what has ended, admits what has room, and fills the batch.
    pub(crate) fn schedule(&mut self, now: Instant) {
        self.give_up_late(now);
        self.sweep();
        self.admit();
        self.plan();
        self.tell();
    }

    /// Plans and computes one step, and sends each call what came of it.
    pub(crate) fn step(&mut self, now: Instant) -> Progress {
        self.schedule(now);
        if self.batch.is_empty() {
            return if self.is_idle() { Progress::Idle } else { Progress::Stalled };
        }
        match self.backend.step(&self.batch) {
            Ok(took) => {
                self.learn_pace(took);
                self.advance();
            }
            // The plan fits by our count of cells; should llama.cpp count differently
            // (sliding windows, padding), somebody gives way.
            Err(StepError::NoRoom) if self.running.len() > 1 => self.preempt_least(),
            Err(error) => self.fail_planned(&error),
        }
        self.sweep();
        self.tell();
        Progress::Worked
    }

    /// Takes out the calls that have ended or whose client is gone.
    fn sweep(&mut self) {
        let gone = |sequence: &mut Sequence| sequence.over() || sequence.abandoned();
        let waiting = self.waiting.extract_if(.., gone);
        for mut sequence in waiting.chain(self.running.extract_if(.., gone)) {
            if !sequence.over() {
                count(&self.counters.cancelled, 1);
            }
            self.fair.leave(&sequence.origin().principal);
            if let Some(lease) = sequence.lease.take() {
                self.cache.end(&mut self.backend, lease, !sequence.failed());
            }
        }
    }

    /// Ends the calls whose readers have stopped, and those that waited too long.
    fn give_up_late(&mut self, now: Instant) {
        for sequence in &mut self.running {
            if sequence.has_room() {
                sequence.stalled_since = None;
            } else if now.duration_since(*sequence.stalled_since.get_or_insert(now))
                >= self.limits.stalled_reader
            {
                count(&self.counters.failed, 1);
                sequence.fail(Failure::new(
                    ErrorKind::Timeout,
                    "the answer was given up: its reader stopped reading; read the stream as it comes",
                ));
            }
        }
        for sequence in &mut self.waiting {
            if sequence.origin().deadline.is_some_and(|deadline| now >= deadline) {
                count(&self.counters.failed, 1);
                sequence.fail(Failure::new(
                    ErrorKind::Timeout,
                    "the model is busy, and the call waited for its turn as long as any may (engine.queue_timeout_ms)",
                ));
            }
        }
    }

    /// The step went well: every call whose last token was in it gets its next one, and more
    /// if it was guessed right.
    fn advance(&mut self) {
        for &Planned { index, last, tokens, guessed, .. } in &self.planned {
            let sequence = &mut self.running[index];
            self.fair.charge(&sequence.origin().principal, tokens as u64);
            let known = sequence.computed() + tokens - guessed;
            let mut upto = known;
            if self.batch[last].logits {
                let rows = (last - guessed..=last).map(|row| self.backend.logits(row));
                let said = sequence.advance(rows, &self.vocabulary, &mut self.scratch);
                // The last one that it said is still to be computed.
                upto += said.saturating_sub(1);
                count(&self.counters.prefilled, (tokens - guessed) as u64 - 1);
                count(&self.counters.decoded, said.max(1) as u64);
                count(&self.counters.guessed, guessed as u64);
                count(&self.counters.confirmed, (upto - known) as u64);
                if sequence.over() {
                    count(&self.counters.completed, 1);
                }
            } else {
                count(&self.counters.prefilled, tokens as u64);
            }
            if let Some((lease, all)) = sequence.lease_and_tokens() {
                if upto < known + guessed {
                    self.backend.remove(lease.id, upto as u32..u32::MAX);
                }
                self.cache.computed(&mut self.backend, lease, all, upto);
            }
        }
    }

    /// The step failed: the calls in it end, the others go on.
    fn fail_planned(&mut self, error: &StepError) {
        tracing::warn!(%error, calls = self.planned.len(), "a step failed; its calls are ended");
        for &Planned { index, .. } in &self.planned {
            count(&self.counters.failed, 1);
            self.running[index].fail(Failure::internal(error.clone()));
        }
    }

    /// Writes down how things stand, for whoever asks.
    fn tell(&self) {
        let set = |counter: &AtomicU64, value: u64| counter.store(value, Ordering::Relaxed);
        set(&self.counters.busy, self.running.len() as u64);
        set(&self.counters.cells, self.cache.used() as u64);
        set(&self.counters.reused, self.cache.tally.reused);
        set(&self.counters.restored, self.cache.tally.restored);
    }
}

#[cfg(test)]
mod tests;
