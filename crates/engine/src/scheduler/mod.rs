//! Decides what each step of the model computes: three verbs, [`Scheduler::add`],
//! [`Scheduler::schedule`], [`Scheduler::step`].
//!
//! Continuous batching: every step takes one token of each call that is decoding and a
//! chunk of the prompts that are not done, so that a long prompt slows the others down
//! and does not stop them. All calls share one KV cache; when it is full, the youngest
//! call gives its place up and is computed again later.
//!
//! Knows no clock (the time is handed in), no thread and no llama.cpp.

mod sequence;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use message::{ErrorKind, Failure};

use crate::backend::{Backend, BatchToken, SequenceId, StepError};
use crate::sampler::Scratch;
use crate::vocabulary::Vocabulary;
use sequence::Sequence;
pub(crate) use sequence::{NewSequence, ThinkingLimit};

/// The bounds of scheduling; see [`Config`](crate::Config).
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    pub(crate) slots: u32,
    pub(crate) prefill_tokens: usize,
    pub(crate) shared_prefill_tokens: usize,
    pub(crate) stalled_reader: Duration,
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
    /// Calls answered to their end.
    pub(crate) completed: AtomicU64,
    /// Calls whose client went away.
    pub(crate) cancelled: AtomicU64,
    /// Calls that failed after they were accepted.
    pub(crate) failed: AtomicU64,
    /// Times a call gave its place up to others.
    pub(crate) preempted: AtomicU64,
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
    /// In order of arrival.
    waiting: VecDeque<Sequence>,
    /// In order of admission: the last is the youngest.
    running: Vec<Sequence>,
    free_slots: Vec<SequenceId>,
    batch: Vec<BatchToken>,
    /// For each entry of `running` in the batch: its index and its last token's place in the batch.
    planned: Vec<(usize, usize)>,
    scratch: Scratch,
}

impl<B: Backend> Scheduler<B> {
    pub(crate) fn new(
        backend: B,
        vocabulary: Arc<Vocabulary>,
        limits: Limits,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            backend,
            vocabulary,
            free_slots: (0..limits.slots).rev().collect(),
            limits,
            counters,
            waiting: VecDeque::new(),
            running: Vec::new(),
            batch: Vec::new(),
            planned: Vec::new(),
            scratch: Scratch::default(),
        }
    }

    /// Takes a call in.
    pub(crate) fn add(&mut self, new: NewSequence) {
        self.waiting.push_back(Sequence::new(new));
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
        self.give_up_on_stalled(now);
        self.sweep();
        self.admit();
        self.plan();
    }

    /// Plans and computes one step, and sends each call what came of it.
    pub(crate) fn step(&mut self, now: Instant) -> Progress {
        self.schedule(now);
        if self.batch.is_empty() {
            return if self.is_idle() { Progress::Idle } else { Progress::Stalled };
        }
        match self.backend.step(&self.batch) {
            Ok(()) => self.advance(),
            // The plan fits by our count of cells; should llama.cpp count differently
            // (sliding windows, padding), the youngest gives way.
            Err(StepError::NoRoom) if self.running.len() > 1 => self.preempt_youngest(),
            Err(error) => self.fail_planned(&error),
        }
        self.sweep();
        Progress::Worked
    }

    /// Takes out the calls that have ended or whose client is gone.
    fn sweep(&mut self) {
        let gone = |sequence: &Sequence| sequence.over() || sequence.abandoned();
        let counters = Arc::clone(&self.counters);
        let tally = |sequence: &Sequence| {
            if !sequence.over() {
                count(&counters.cancelled, 1);
            }
        };
        self.waiting.retain(|sequence| {
            let gone = gone(sequence);
            if gone {
                tally(sequence);
            }
            !gone
        });
        let mut at = 0;
        while at < self.running.len() {
            if gone(&self.running[at]) {
                let mut sequence = self.running.remove(at);
                tally(&sequence);
                self.free(&mut sequence);
            } else {
                at += 1;
            }
        }
        self.counters.busy.store(self.running.len() as u64, Ordering::Relaxed);
    }

    fn free(&mut self, sequence: &mut Sequence) {
        sequence.computed = 0;
        if let Some(slot) = sequence.slot.take() {
            self.backend.release(slot);
            self.free_slots.push(slot);
        }
    }

    fn give_up_on_stalled(&mut self, now: Instant) {
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
    }

    /// Gives slots to the calls that have waited longest. First come, first served: a
    /// short call does not overtake a long one that waits for room.
    fn admit(&mut self) {
        while let Some(next) = self.waiting.front() {
            let promised: usize = self.running.iter().map(|sequence| sequence.tokens().len()).sum();
            let fits = self.running.is_empty() || promised + next.tokens().len() < self.backend.cells();
            if !fits {
                break;
            }
            let Some(slot) = self.free_slots.pop() else { break };
            let Some(mut sequence) = self.waiting.pop_front() else { break };
            sequence.slot = Some(slot);
            self.running.push(sequence);
        }
        self.counters.busy.store(self.running.len() as u64, Ordering::Relaxed);
    }

    /// Fills the batch: one token for each call that decodes, then prompts in order.
    fn plan(&mut self) {
        self.make_room();
        self.batch.clear();
        self.planned.clear();
        let ready = |sequence: &Sequence| sequence.has_room();
        for index in 0..self.running.len() {
            if self.running[index].remaining() == 1 && ready(&self.running[index]) {
                self.put(index, 1);
            }
        }
        let mut budget = if self.batch.is_empty() {
            self.limits.prefill_tokens
        } else {
            self.limits.shared_prefill_tokens
        };
        for index in 0..self.running.len() {
            let remaining = self.running[index].remaining();
            if budget > 0 && remaining > 1 && ready(&self.running[index]) {
                let chunk = remaining.min(budget);
                budget -= chunk;
                self.put(index, chunk);
            }
        }
    }

    /// Preempts the youngest calls until one more step of every decoding call fits.
    fn make_room(&mut self) {
        loop {
            let needed: usize = self.running.iter().map(|sequence| sequence.tokens().len()).sum();
            if needed <= self.backend.cells() || self.running.len() <= 1 {
                return;
            }
            self.preempt_youngest();
        }
    }

    fn preempt_youngest(&mut self) {
        if let Some(mut sequence) = self.running.pop() {
            count(&self.counters.preempted, 1);
            self.free(&mut sequence);
            self.waiting.push_front(sequence);
        }
    }

    /// Puts the next `count` tokens of a call into the batch.
    fn put(&mut self, index: usize, count: usize) {
        let sequence = &self.running[index];
        let Some(slot) = sequence.slot else { return };
        let (from, to) = (sequence.computed, sequence.computed + count);
        let last = sequence.tokens().len() - 1;
        let tokens = sequence.tokens()[from..to].iter().zip(from..);
        self.batch.extend(tokens.map(|(&token, position)| BatchToken {
            token,
            position: position as u32,
            sequence: slot,
            logits: position == last,
        }));
        self.planned.push((index, self.batch.len() - 1));
    }

    /// The step went well: every call whose last token was in it gets its next one.
    fn advance(&mut self) {
        for &(index, last) in &self.planned {
            let sequence = &mut self.running[index];
            let before = sequence.computed;
            sequence.computed = self.batch[last].position as usize + 1;
            let done = (sequence.computed - before) as u64;
            if !self.batch[last].logits {
                count(&self.counters.prefilled, done);
                continue;
            }
            count(&self.counters.prefilled, done - 1);
            count(&self.counters.decoded, 1);
            sequence.advance(self.backend.logits(last), &self.vocabulary, &mut self.scratch);
            if sequence.over() {
                count(&self.counters.completed, 1);
            }
        }
    }

    /// The step failed: the calls in it end, the others go on.
    fn fail_planned(&mut self, error: &StepError) {
        tracing::warn!(%error, calls = self.planned.len(), "a step failed; its calls are ended");
        for &(index, _) in &self.planned {
            count(&self.counters.failed, 1);
            self.running[index].fail(Failure::internal(error.clone()));
        }
    }
}

#[cfg(test)]
mod tests;
