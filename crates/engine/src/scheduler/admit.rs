//! Who gets a place among the running calls, and who gives one up.
//!
//! First the interactive, then the batch; among these, calls of the principal who has been
//! served least; among these, the oldest. A call that needs what another is computing waits
//! for it. Whoever gives way keeps its tokens in the cache as long as there is room.

use super::sequence::Sequence;
use super::{Scheduler, count};
use crate::backend::Backend;

impl<B: Backend> Scheduler<B> {
    /// Lets calls in as long as there are slots and cells for them.
    pub(super) fn admit(&mut self) {
        while let Some(at) = self.next_waiting() {
            let full = self.running.len() >= self.limits.slots as usize;
            if full && !self.give_way_to(at) {
                return;
            }
            let mut sequence = self.waiting.swap_remove(at);
            // Room for what the running ones have still to compute, and a token of each.
            let spare = self.running.iter().map(Sequence::remaining).sum::<usize>() + self.running.len();
            let (root, tokens) = (&sequence.origin().root, sequence.tokens());
            match self.cache.begin(&mut self.backend, root, tokens, spare) {
                Some(lease) => {
                    sequence.let_in(lease);
                    self.running.push(sequence);
                }
                None => {
                    self.waiting.push(sequence);
                    if !self.give_way_to(self.waiting.len() - 1) {
                        return;
                    }
                }
            }
        }
    }

    /// The waiting call whose turn it is. A call does not overtake another of its kind
    /// because it is shorter; it does, while the other waits for what is being computed.
    fn next_waiting(&self) -> Option<usize> {
        let mut order: Vec<usize> = (0..self.waiting.len()).collect();
        order.sort_by_cached_key(|&at| self.standing(&self.waiting[at]));
        order.into_iter().find(|&at| !self.follows(&self.waiting[at]))
    }

    /// The lower, the sooner it is served.
    pub(super) fn standing(&self, sequence: &Sequence) -> (bool, u64, u64) {
        let origin = sequence.origin();
        (origin.batch, self.fair.served(&origin.principal), sequence.arrival)
    }

    /// Another call, no less urgent, is about to compute what this one needs.
    fn follows(&self, sequence: &Sequence) -> bool {
        let Some(leader) = self.cache.in_flight(&sequence.origin().root, sequence.tokens()) else {
            return false;
        };
        let leads = |other: &Sequence| other.lease.as_ref().is_some_and(|lease| lease.id == leader);
        let leader = self.running.iter().find(|other| leads(other));
        leader.is_some_and(|leader| leader.origin().batch <= sequence.origin().batch)
    }

    /// Takes a place from the least deserving of the running calls, if it deserves less
    /// than the waiting one.
    fn give_way_to(&mut self, waiting: usize) -> bool {
        let Some(at) = self.least() else { return false };
        let (ours, theirs) = (self.waiting[waiting].origin(), self.running[at].origin());
        let yields = theirs.batch && !ours.batch
            || theirs.batch == ours.batch && self.fair.is_owed(&ours.principal, &theirs.principal);
        if yields {
            self.preempt(at);
        }
        yields
    }

    /// Takes a place from the least deserving of the running calls.
    pub(super) fn preempt_least(&mut self) {
        if let Some(at) = self.least() {
            self.preempt(at);
        }
    }

    fn least(&self) -> Option<usize> {
        (0..self.running.len()).max_by_key(|&at| self.standing(&self.running[at]))
    }

    fn preempt(&mut self, at: usize) {
        count(&self.counters.preempted, 1);
        let mut sequence = self.running.remove(at);
        if let Some(lease) = sequence.lease.take() {
            self.cache.end(&mut self.backend, lease, true);
        }
        self.waiting.push(sequence);
    }
}
