//! The hardware: runs one step of the model for many sequences at once.
//!
//! The only folder that names `llama_cpp_2`. The scheduler knows only [`Backend`],
//! so that its tests drive a scripted one.

mod adapters;
mod cells;
mod hardware;
mod holders;
mod llama;
mod log;
mod pieces;
mod pooled;
mod projector;
mod raw;
mod rows;
mod segments;
mod threads;

use std::time::Duration;

pub use hardware::{Device, DeviceKind, GpuSplit, Numa, devices, kernels};
pub(crate) use hardware::{gpus, start};
pub(crate) use holders::Holders;
pub(crate) use llama::{Llama, LoadedModel};
pub(crate) use pooled::{Input, Pooled};
pub(crate) use projector::Mtmd;
pub use threads::default_threads;

use crate::adapter::AdapterId;
use crate::vocabulary::Token;

/// A stretch of one text from this length on is computed in another way than its tokens one
/// by one: attention goes in tiles then (`GGML_FA_TILE_Q` in llama.cpp's ggml-cpu/common.h),
/// several times faster where it looks far back.
pub(crate) const LONG_STRETCH: usize = 64;

/// A sequence of the KV cache: a set of its cells. A cell may be in several.
pub(crate) type SequenceId = u32;

/// The most tokens computed at once: more gain nothing, and llama.cpp keeps room for the
/// logits of all.
const MICRO_BATCH: u32 = 512;

/// Most sequences a context can have (`LLAMA_MAX_SEQ`).
pub(crate) const MAX_SEQUENCES: u32 = 256;

/// A stretch of a sequence's tokens, by their places in it.
pub(crate) type Positions = std::ops::Range<u32>;

/// One token to be processed in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BatchToken {
    /// The token, or a [pseudo-token](crate::vision) for a row of an image.
    pub(crate) token: Token,
    /// Its place in its sequence, from 0.
    pub(crate) position: u32,
    /// Its sequence.
    pub(crate) sequence: SequenceId,
    /// What it is computed with: all tokens of a sequence with the same.
    pub(crate) adapter: AdapterId,
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
    /// The two texts of a pair could not be told apart.
    #[error("llama.cpp's graph of this model gave no place to tell a query from a document")]
    Segments,
}

/// Runs steps.
pub(crate) trait Backend {
    /// How many tokens the KV cache holds, over all sequences.
    fn cells(&self) -> usize;

    /// Processes a batch, and tells how long it took; its logits can be read until the
    /// next step.
    fn step(&mut self, batch: &[BatchToken]) -> Result<Duration, StepError>;

    /// The logits after the batch's token `index`, one per token of the vocabulary.
    /// Only for tokens whose `logits` flag was set.
    fn logits(&self, index: usize) -> &[f32];

    /// Forgets a sequence.
    fn release(&mut self, sequence: SequenceId);

    /// Whether the methods below can be used: whether what the model remembers of a text
    /// is one thing per token. Not so with recurrent models and sliding windows.
    fn shares(&self) -> bool;

    /// Lets `to` have a stretch of `from`'s cells, too. Copies nothing.
    fn copy(&mut self, from: SequenceId, to: SequenceId, positions: Positions);

    /// Takes a stretch of cells out of a sequence; to the end, if it ends at `u32::MAX`.
    fn remove(&mut self, sequence: SequenceId, positions: Positions);

    /// A stretch of a sequence as bytes; `None` if it cannot be had.
    fn save(&mut self, sequence: SequenceId, positions: Positions) -> Option<Vec<u8>>;

    /// Puts back what `save` gave, into new cells of a sequence. Tells whether it could.
    fn restore(&mut self, sequence: SequenceId, positions: Positions, state: &[u8]) -> bool;
}

#[cfg(test)]
mod tests;
