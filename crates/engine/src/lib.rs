//! A Call answered here, by open weights, on llama.cpp kernels.
//!
//! [`Engine`] is a handle: calls go in through bounded admission, and each gets its own
//! stream of events. The model is behind a socket, in a worker of its own: a process under
//! `outcrop serve`, threads for tests and tools. On the way of one call:
//!
//! 1. `supervisor`: the gateway's side of the socket. Loads the model when it is called,
//!    unloads it when others need the memory; keeps a worker running, gives it calls and
//!    brings their items back; when it dies, sends calls to the next one.
//! 2. `protocol`: what the two say to each other. `worker`: the other side, and its sandbox.
//! 3. `request`: in the worker, the conversation is checked, written out by the model's
//!    own chat template (`template/`, `tools/`) and cut into tokens; its constraints are
//!    compiled (`grammar/`). This happens off the model's thread, before any of its work.
//!    Images are looked at there, too (`vision/`), if the model has a projector.
//! 4. `thread`: one thread owns the model's context and turns the crank of the
//!    `scheduler/`, which lets many calls share each step.
//! 5. `backend/` runs a step on the hardware: the only folder that knows llama.cpp.
//! 6. `sampler/` chooses a token for each call; `output/` turns tokens into text,
//!    watches for stop strings and tool calls, and makes events, which leave by `outlet`.
//!
//! Several answers to one call are as many calls within, merged: `choices`. Embedding
//! models and rerankers go a shorter way: `embed/`, `rerank/`.
//!
//! llama.cpp's kernels are embedded through `llama-cpp-2`; everything above them is ours.

mod adapter;
mod backend;
mod choices;
mod config;
mod dropped;
mod embed;
mod engine;
mod error;
mod grammar;
mod model;
mod outlet;
mod output;
mod protocol;
mod reply;
mod request;
mod rerank;
mod residence;
mod sampler;
mod scheduler;
mod supervisor;
mod task;
mod template;
mod thread;
mod tools;
mod vision;
mod vocabulary;
mod worker;

pub use adapter::Adapter;
pub use backend::{Device, DeviceKind, GpuSplit, Numa, default_threads, devices, kernels};
pub use config::{Config, EmbeddingDefaults, SamplingDefaults, Sharing};
pub use engine::{Engine, ModelSpec, Stats};
pub use error::LoadError;
pub use model::ModelInfo;
pub use residence::{Footprint, Load, Residence};
pub use supervisor::Room;
pub use task::Task;
pub use worker::{WorkerError, run as run_worker};
