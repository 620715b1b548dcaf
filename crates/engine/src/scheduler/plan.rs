//! What a step holds: one token of each call that decodes, and of the prompts as much as
//! leaves the others their pace.

use std::time::Duration;

use super::Scheduler;
use super::pace::{Guesses, Stretch};
use crate::backend::{Backend, BatchToken};

/// A call's part of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Planned {
    /// Its index among the running calls.
    pub(super) index: usize,
    /// Where its last token stands in the batch.
    pub(super) last: usize,
    /// Tokens of it.
    pub(super) tokens: usize,
    /// Where these begin in it.
    pub(super) position: usize,
    /// They are the next token of an answer, and no prompt.
    pub(super) decodes: bool,
    /// The last so many of them are a guess at what comes after it.
    pub(super) guessed: usize,
}

impl<B: Backend> Scheduler<B> {
    /// Fills the batch; somebody gives way until it fits into the cache.
    pub(super) fn plan(&mut self) {
        let shares = loop {
            let shares = self.shares();
            let tokens = shares.iter().map(|(_, tokens)| tokens).sum();
            if self.cache.make_room(&mut self.backend, tokens) || self.running.len() <= 1 {
                break shares;
            }
            self.preempt_least();
        };
        self.batch.clear();
        self.planned.clear();
        self.steps += 1;
        let mut guesses = self.guesses(&shares);
        for (index, tokens) in self.by_adapter(shares) {
            self.put(index, tokens, &mut guesses);
        }
    }

    /// How many tokens each running call gets computed, in the order of turns:
    ///
    /// 1. the prompts of whoever is far behind those who decode, in their stead if need be;
    /// 2. a token of every call that decodes;
    /// 3. prompts, with what is left of the step's time.
    ///
    /// The interactive calls first. What they leave, the batch calls get in the same order.
    fn shares(&self) -> Vec<(usize, usize)> {
        let ready = |&index: &usize| self.running[index].has_room();
        let mut turns: Vec<usize> = (0..self.running.len()).filter(ready).collect();
        turns.sort_by_cached_key(|&index| {
            let sequence = &self.running[index];
            let (batch, served, arrival) = self.standing(sequence);
            // Of one principal's calls, those who stood back in the last step come first.
            (batch, served, sequence.last_step, arrival)
        });
        let decodes = |at: usize| self.running[at].remaining() == 1;
        let batch = |at: usize| self.running[at].origin().batch;
        let decoding = |kind: bool| turns.iter().filter(|&&at| decodes(at) && batch(at) == kind).count();
        let decoding = Some(decoding(false)).filter(|&calls| calls > 0).unwrap_or_else(|| decoding(true));
        let mut budget = self.pace.budget(decoding, self.limits.prefill_tokens);
        let most_served =
            turns.iter().rev().find(|&&at| decodes(at)).map(|&at| &*self.running[at].origin().principal);
        let owed = |at: usize| {
            let principal = &self.running[at].origin().principal;
            most_served.is_some_and(|most| self.fair.is_owed(principal, most))
        };
        let mut shares = vec![0; self.running.len()];
        for kind in [false, true] {
            let of_kind = || turns.iter().copied().filter(|&at| batch(at) == kind);
            for at in of_kind().filter(|&at| !decodes(at) && owed(at)) {
                shares[at] = budget.prompt(self.running[at].computed(), self.running[at].remaining());
            }
            for at in of_kind().filter(|&at| decodes(at)) {
                shares[at] = usize::from(budget.decode());
            }
            for at in of_kind().filter(|&at| !decodes(at) && !owed(at)) {
                shares[at] = budget.prompt(self.running[at].computed(), self.running[at].remaining());
            }
        }
        turns.into_iter().map(|index| (index, shares[index])).filter(|(_, tokens)| *tokens > 0).collect()
    }

    /// Calls of one adapter one after the other, since those of several cannot be computed
    /// at once. There and back: what a step ends with, the next one begins with.
    fn by_adapter(&self, mut shares: Vec<(usize, usize)>) -> Vec<(usize, usize)> {
        shares.sort_by_key(|&(index, _)| self.running[index].origin().adapter);
        if self.steps % 2 == 1 {
            shares.reverse();
        }
        shares
    }

    /// What there is for guesses in a step: only what nobody else has a use for. No room is
    /// made for them, and no prompt waits.
    fn guesses(&mut self, shares: &[(usize, usize)]) -> Guesses {
        let decodes = |&(index, _): &(usize, usize)| self.running[index].remaining() == 1;
        let may = self.limits.speculate && self.backend.shares() && shares.iter().all(decodes);
        if !may {
            return Guesses { price: f64::INFINITY, rows: 0 };
        }
        let rows = self.cache.free().saturating_sub(shares.len()).min(self.limits.prefill_tokens);
        self.pace.guesses(shares.len(), rows)
    }

    /// Puts the next `tokens` tokens of a call into the batch, and what may come after them.
    fn put(&mut self, index: usize, tokens: usize, guesses: &mut Guesses) {
        let sequence = &mut self.running[index];
        let decodes = sequence.remaining() == 1;
        sequence.last_step = self.steps;
        let adapter = sequence.origin().adapter;
        let Some(lease) = &sequence.lease else { return };
        let (id, from) = (lease.id, lease.computed);
        let all = sequence.tokens();
        let last = all.len() - 1;
        let entry = |token, position: usize| BatchToken {
            token,
            position: position as u32,
            sequence: id,
            adapter,
            logits: position >= last,
        };
        self.batch.extend((from..from + tokens).map(|position| entry(all[position], position)));
        let guess = if guesses.rows > 0 { sequence.guess(guesses.price, guesses.rows) } else { &[] };
        let guessed = guess.len();
        self.batch.extend(guess.iter().zip(last + 1..).map(|(&token, position)| entry(token, position)));
        if guesses.rows == 0 {
            sequence.speculation.rest();
        }
        guesses.rows -= guessed;
        let (last, tokens) = (self.batch.len() - 1, tokens + guessed);
        self.planned.push(Planned { index, last, tokens, position: from, decodes, guessed });
    }

    /// The planned step took so long.
    pub(super) fn learn_pace(&mut self, took: Duration) {
        let prompts = self.planned.iter().filter(|part| !part.decodes);
        let prompts: Vec<Stretch> =
            prompts.map(|&Planned { position, tokens, .. }| Stretch { position, tokens }).collect();
        let decoded = self.planned.iter().filter(|part| part.decodes).map(|part| part.tokens).sum();
        self.pace.observe(decoded, &prompts, took);
    }
}
