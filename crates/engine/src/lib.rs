//! A Call answered here, by open weights, on llama.cpp kernels.
//!
//! [`Engine`] is a handle: calls go in through a bounded queue, and each gets its own
//! stream of events. Behind it, on the way of one call:
//!
//! 1. `request`: the conversation is checked, written out by the model's own chat
//!    template (`template/`, `tools/`) and cut into tokens; its constraints are compiled
//!    (`grammar/`). This happens off the model's thread, before any of its work.
//! 2. `thread`: one thread owns the model's context and turns the crank of the
//!    `scheduler/`, which lets many calls share each step.
//! 3. `backend/` runs a step on the hardware: the only folder that knows llama.cpp.
//! 4. `sampler/` chooses a token for each call; `output/` turns tokens into text,
//!    watches for stop strings and tool calls, and makes events.
//!
//! Embedding models go a shorter way: `embed/`.
//!
//! llama.cpp's kernels are embedded through `llama-cpp-2`; everything above them is ours.

mod backend;
mod config;
mod dropped;
mod embed;
mod engine;
mod error;
mod grammar;
mod model;
mod output;
mod reply;
mod request;
mod sampler;
mod scheduler;
mod template;
mod thread;
mod tools;
mod vocabulary;

pub use config::{Config, EmbeddingDefaults, SamplingDefaults, Sharing};
pub use engine::{Engine, Stats};
pub use error::LoadError;
pub use model::ModelInfo;
