//! The hardware: runs one step of the model for many sequences at once.
//!
//! The only folder that names `llama_cpp_2`. The scheduler knows only [`Backend`],
//! so that its tests drive a scripted one.

mod llama;
mod log;
mod pooled;
mod threads;

pub(crate) use llama::{Llama, LoadedModel};
pub(crate) use pooled::Pooled;

use crate::vocabulary::Token;

/// A sequence's place in the KV cache: 0 to `slots` − 1.
pub(crate) type SequenceId = u32;

/// One token to be processed in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchToken {
    /// The token.
    pub(crate) token: Token,
    /// Its place in its sequence, from 0.
    pub(crate) position: u32,
    /// Its sequence.
    pub(crate) sequence: SequenceId,
    /// Whether the logits after it are wanted.
    pub(crate) logits: bool,
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StepError {
    /// The KV cache has no room for the batch; nothing was computed.
    #[error("no room in the KV cache")]
    NoRoom,
    /// Anything else.
    #[error("llama.cpp could not compute a step (code {0})")]
    Failed(i32),
}

/// Runs steps.
pub(crate) trait Backend {
    /// How many tokens the KV cache holds, over all sequences.
    fn cells(&self) -> usize;

    /// Processes a batch; its logits can be read until the next step.
    fn step(&mut self, batch: &[BatchToken]) -> Result<(), StepError>;

    /// The logits after the batch's token `index`, one per token of the vocabulary.
    /// Only for tokens whose `logits` flag was set.
    fn logits(&self, index: usize) -> &[f32];

    /// Forgets a sequence.
    fn release(&mut self, sequence: SequenceId);
}

#[cfg(test)]
mod tests;
