//! What a step holds: one token of each call that decodes, and of the prompts as much as
//! leaves the others their pace.

use super::Scheduler;
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
        for (index, tokens) in shares {
            self.put(index, tokens);
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
        let decodes = |&&index: &&usize| self.running[index].remaining() == 1;
        let batch = |&&index: &&usize| self.running[index].origin().batch;
        let decoding = match turns.iter().filter(decodes).filter(|at| !batch(at)).count() {
            0 => turns.iter().filter(decodes).count(),
            interactive => interactive,
        };
        let mut left = match decoding {
            0 => self.pace.alone().min(self.limits.prefill_tokens),
            decoding => decoding + self.pace.beside(decoding).min(self.limits.prefill_tokens),
        };
        let most_served = turns.iter().rev().find(decodes).map(|&at| &*self.running[at].origin().principal);
        let mut shares = vec![0; self.running.len()];
        let mut give = |index: usize| {
            let more = (self.running[index].remaining() - shares[index]).min(left);
            shares[index] += more;
            left -= more;
        };
        for kind in [false, true] {
            let of_kind = || turns.iter().copied().filter(|&at| self.running[at].origin().batch == kind);
            let decodes = |at: usize| self.running[at].remaining() == 1;
            let owed = |at: usize| {
                let principal = &self.running[at].origin().principal;
                most_served.is_some_and(|most| self.fair.is_owed(principal, most))
            };
            of_kind().filter(|&at| !decodes(at) && owed(at)).for_each(&mut give);
            of_kind().filter(|&at| decodes(at)).for_each(&mut give);
            of_kind().filter(|&at| !decodes(at)).for_each(&mut give);
        }
        turns.into_iter().map(|index| (index, shares[index])).filter(|(_, tokens)| *tokens > 0).collect()
    }

    /// Puts the next `tokens` tokens of a call into the batch.
    fn put(&mut self, index: usize, tokens: usize) {
        let sequence = &mut self.running[index];
        sequence.last_step = self.steps;
        let Some(lease) = &sequence.lease else { return };
        let (id, from) = (lease.id, lease.computed);
        let all = sequence.tokens();
        let last = all.len() - 1;
        self.batch.extend((from..from + tokens).map(|position| BatchToken {
            token: all[position],
            position: position as u32,
            sequence: id,
            logits: position == last,
        }));
        self.planned.push(Planned { index, last: self.batch.len() - 1, tokens });
    }
}
