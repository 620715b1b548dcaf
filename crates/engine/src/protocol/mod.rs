//! What the gateway and a model's worker process say to each other, over one socket.
//!
//! Both are the same program, so the form needs no history: a version that differs is
//! refused. A frame is a length and a `postcard` value (`frame`); what the client asked is
//! JSON inside it, once per call; what the model says is binary, one frame for each step
//! with the items of all its calls.

mod failure;
mod frame;
mod said;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(crate) use failure::Failed;
pub(crate) use frame::{FrameError, Frames, encode};
pub(crate) use said::Said;

use crate::adapter::AdapterId;
use crate::{Adapter, LoadError, ModelInfo};

/// Raised with every change of a frame's form.
pub(crate) const VERSION: u32 = 4;

/// What the gateway tells a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Order {
    /// The first one: load this model.
    Open {
        /// The gateway's [`VERSION`].
        version: u32,
        /// The model's file.
        path: PathBuf,
        /// The file of the second model, that looks at images for it.
        projector: Option<PathBuf>,
        /// The name it is served by.
        name: String,
        /// The [`Config`](crate::Config), as JSON: it may skip fields, which postcard cannot.
        config: String,
        /// Its adapters; calls name them by their places, from 1.
        adapters: Vec<Adapter>,
    },
    /// Answer this.
    Call {
        /// Names the call from now on; never used twice.
        number: u64,
        /// Id of the key that asks.
        key: String,
        /// What goes first; 0 is usual.
        priority: u8,
        /// What it is computed with.
        adapter: AdapterId,
        /// What is asked.
        ask: Ask,
    },
    /// Its reader has taken so many items more.
    Read {
        /// The call.
        number: u64,
        /// How many.
        items: u32,
    },
    /// Its reader has left.
    Cancel {
        /// The call.
        number: u64,
    },
    /// End all calls after the current step, then yourself.
    Stop,
}

/// What is asked of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Ask {
    /// An answer to a [`Chat`](message::Chat), in JSON.
    Chat(String),
    /// The number of its tokens.
    Count(String),
    /// The vectors of an [`Embed`](message::Embed), in JSON.
    Embed(String),
    /// The documents of a [`Rerank`](message::Rerank), in JSON, in order.
    Rerank(String),
    /// The greedy continuation of bare text.
    Continue {
        /// The text.
        text: String,
        /// Most tokens of it.
        max_tokens: u64,
    },
}

/// What a worker tells the gateway.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The first one.
    Hello {
        /// The worker's [`VERSION`].
        version: u32,
    },
    /// So much of the model is loaded, 0 to 1.
    Loading(f32),
    /// It can answer.
    Ready(Ready),
    /// It cannot; the worker ends.
    Failed(LoadError),
    /// What came of a step.
    Items {
        /// By the calls' numbers, in order.
        told: Vec<(u64, Told)>,
        /// What the worker has done so far.
        figures: Figures,
    },
}

/// What the gateway must know of a loaded model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// What is known of it.
    pub(crate) info: ModelInfo,
    /// It was taught to think before it answers.
    pub(crate) thinks: bool,
}

/// What is told of a call.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Told {
    /// Events for its reader.
    Said(Vec<Said>),
    /// It failed.
    Failed(Failed),
    /// It ended because its reader left.
    Gone,
}

/// What a model's worker is doing and has done since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) busy: u64,
    pub(crate) prefilled: u64,
    pub(crate) decoded: u64,
    pub(crate) completed: u64,
    pub(crate) cancelled: u64,
    pub(crate) failed: u64,
    pub(crate) preempted: u64,
    pub(crate) reused: u64,
    pub(crate) restored: u64,
    pub(crate) guessed: u64,
    pub(crate) confirmed: u64,
    pub(crate) cells: u64,
}

impl Figures {
    /// What two workers have done, one after the other; the later one's calls are running.
    pub(crate) const fn after(self, earlier: Self) -> Self {
        Self {
            busy: self.busy,
            prefilled: self.prefilled + earlier.prefilled,
            decoded: self.decoded + earlier.decoded,
            completed: self.completed + earlier.completed,
            cancelled: self.cancelled + earlier.cancelled,
            failed: self.failed + earlier.failed,
            preempted: self.preempted + earlier.preempted,
            reused: self.reused + earlier.reused,
            restored: self.restored + earlier.restored,
            guessed: self.guessed + earlier.guessed,
            confirmed: self.confirmed + earlier.confirmed,
            cells: self.cells,
        }
    }
}

#[cfg(test)]
mod tests;
