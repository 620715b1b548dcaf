//! A scripted model whose KV cache is kept as llama.cpp keeps its own: cells that belong to
//! several sequences. What it says next depends on every token that a sequence holds, so
//! that a cell too many, too few or of another text is heard in the answer.

use std::collections::{BTreeSet, VecDeque};

use super::*;
use crate::adapter::AdapterId;
use crate::backend::{Positions, SequenceId};
use crate::vocabulary::Token;

/// The letters, and a token that ends a turn.
pub(super) const VOCABULARY: usize = 27;

/// What comes after these tokens.
pub(super) type Rule = fn(&[Token]) -> Token;

/// After `a` comes `b`, after `z` the end.
pub(super) fn alphabet(tokens: &[Token]) -> Token {
    (tokens[tokens.len() - 1] + 1).min(26)
}

/// A letter that depends on all tokens and their order. There is no end.
pub(super) fn of_everything(tokens: &[Token]) -> Token {
    tokens.iter().fold(7u32, |sum, &token| sum.wrapping_mul(31).wrapping_add(token + 1)) >> 3 & 15
}

#[derive(Debug, Clone)]
struct Cell {
    position: u32,
    token: Token,
    /// What it was computed by; not known of one that was saved.
    adapter: Option<AdapterId>,
    holders: BTreeSet<SequenceId>,
}

/// The model. Remembers its batches, and fails when told to.
pub(super) struct Model {
    rule: Rule,
    size: usize,
    cells: Vec<Cell>,
    pub(super) batches: Vec<Vec<BatchToken>>,
    pub(super) outcomes: VecDeque<StepError>,
    logits: Vec<Vec<f32>>,
    shares: bool,
    /// Whether a step takes as long whatever is in it.
    flat: bool,
}

impl Model {
    pub(super) fn new(size: usize, rule: Rule) -> Self {
        let (cells, batches, logits) = (Vec::new(), Vec::new(), Vec::new());
        Self { rule, size, cells, batches, outcomes: VecDeque::new(), logits, shares: true, flat: false }
    }

    /// Cells in use.
    pub(super) fn used(&self) -> usize {
        self.cells.len()
    }

    /// The same, with layers that remember texts and not tokens.
    pub(super) fn that_cannot_share(self) -> Self {
        Self { shares: false, ..self }
    }

    /// The same on hardware that computes many rows as fast as one.
    pub(super) fn that_is_flat(self) -> Self {
        Self { flat: true, ..self }
    }

    fn history(&self, sequence: SequenceId) -> Vec<Token> {
        let mut held: Vec<&Cell> =
            self.cells.iter().filter(|cell| cell.holders.contains(&sequence)).collect();
        held.sort_by_key(|cell| cell.position);
        let positions = held.iter().map(|cell| cell.position);
        assert!(positions.eq(0..held.len() as u32), "each place once, none missing");
        let adapters: BTreeSet<AdapterId> = held.iter().filter_map(|cell| cell.adapter).collect();
        assert!(adapters.len() <= 1, "all computed by the same");
        held.into_iter().map(|cell| cell.token).collect()
    }

    fn held(&mut self, sequence: SequenceId, positions: Positions) -> impl Iterator<Item = &mut Cell> {
        let held =
            move |cell: &&mut Cell| cell.holders.contains(&sequence) && positions.contains(&cell.position);
        self.cells.iter_mut().filter(held)
    }

    fn put(&mut self, position: u32, token: Token, adapter: Option<AdapterId>, sequence: SequenceId) {
        self.cells.push(Cell { position, token, adapter, holders: BTreeSet::from([sequence]) });
        assert!(self.cells.len() <= self.size, "the cache holds no more");
    }
}

impl Backend for Model {
    fn cells(&self) -> usize {
        self.size
    }

    fn step(&mut self, batch: &[BatchToken]) -> Result<Duration, StepError> {
        if let Some(error) = self.outcomes.pop_front() {
            return Err(error);
        }
        self.logits.clear();
        let turns = batch.chunk_by(|a, b| a.adapter == b.adapter).count();
        let adapters: BTreeSet<AdapterId> = batch.iter().map(|entry| entry.adapter).collect();
        assert_eq!(turns, adapters.len(), "an adapter is applied once a step");
        for entry in batch {
            self.put(entry.position, entry.token, Some(entry.adapter), entry.sequence);
            let mut logits = vec![0.0; VOCABULARY];
            if entry.logits {
                let history = self.history(entry.sequence);
                assert_eq!(history.len(), entry.position as usize + 1);
                logits[(self.rule)(&history) as usize] = 9.0;
            }
            self.logits.push(logits);
        }
        self.batches.push(batch.to_vec());
        Ok(Duration::from_millis(10 * if self.flat { 1 } else { batch.len() as u64 }))
    }

    fn logits(&self, index: usize) -> &[f32] {
        &self.logits[index]
    }

    fn release(&mut self, sequence: SequenceId) {
        self.remove(sequence, 0..u32::MAX);
    }

    fn shares(&self) -> bool {
        self.shares
    }

    fn copy(&mut self, from: SequenceId, to: SequenceId, positions: Positions) {
        self.held(from, positions).for_each(|cell| {
            assert!(cell.holders.insert(to), "it has this cell already");
        });
    }

    fn remove(&mut self, sequence: SequenceId, positions: Positions) {
        self.held(sequence, positions).for_each(|cell| {
            cell.holders.remove(&sequence);
        });
        self.cells.retain(|cell| !cell.holders.is_empty());
    }

    fn save(&mut self, sequence: SequenceId, positions: Positions) -> Option<Vec<u8>> {
        let mut held: Vec<Cell> = self.held(sequence, positions).map(|cell| cell.clone()).collect();
        held.sort_by_key(|cell| cell.position);
        Some(held.iter().map(|cell| cell.token as u8).collect())
    }

    fn restore(&mut self, sequence: SequenceId, positions: Positions, state: &[u8]) -> bool {
        if self.cells.len() + state.len() > self.size {
            return false;
        }
        assert_eq!(positions.len(), state.len());
        positions.zip(state).for_each(|(position, &token)| self.put(position, token.into(), None, sequence));
        true
    }
}
