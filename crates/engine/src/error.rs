//! Why a model could not be loaded.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Why a model could not be loaded.
#[derive(Debug, thiserror::Error, Serialize, Deserialize)]
pub enum LoadError {
    /// The file cannot be opened or read.
    #[error("cannot read the model file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[serde(with = "in_words")]
        source: std::io::Error,
    },
    /// The file is something else.
    #[error(
        "{path} is not a GGUF file (it does not begin with 'GGUF'); \
         give the path of a model in GGUF format"
    )]
    NotGguf {
        /// The file.
        path: PathBuf,
    },
    /// llama.cpp refused the file: cut short, damaged, or of an unknown architecture.
    #[error("llama.cpp cannot load {path}: {reason}")]
    Model {
        /// The file.
        path: PathBuf,
        /// llama.cpp's last error line.
        reason: String,
    },
    /// An adapter of it cannot be used: no adapter, damaged, or made for another model.
    #[error("the adapter {name} cannot be loaded from {path}: {reason}")]
    Adapter {
        /// The name it is served by.
        name: String,
        /// Its file.
        path: PathBuf,
        /// The system's error, or llama.cpp's last line.
        reason: String,
    },
    /// A portable build lacks the modules with its kernels.
    #[error(
        "no kernels for this processor (libggml-cpu-*.so) in {searched}; unpack the release \
         whole, with lib/outcrop beside bin"
    )]
    Kernels {
        /// The folders.
        searched: String,
    },
    /// The projector cannot be used, or not with this model.
    #[error("the projector {path} cannot be used: {reason}")]
    Projector {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The context (KV cache and compute buffers) could not be made, mostly for want of memory.
    #[error("llama.cpp cannot make a context of {context_tokens} tokens: {reason}; lower `context_tokens`")]
    Context {
        /// The size asked for.
        context_tokens: u32,
        /// llama.cpp's last error line.
        reason: String,
    },
    /// The model's chat template is not valid Jinja.
    #[error("the model's chat template cannot be used: {0}")]
    Template(String),
    /// A setting is out of range.
    #[error("engine setting {name}: {reason}")]
    Config {
        /// The field of [`Config`](crate::Config).
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There never will be room for it.
    #[error(
        "it needs about {need_mib} MiB of memory, and models have {limit_mib} MiB \
         (engine.memory_mib), {pinned_mib} of them pinned by others; raise that, lower \
         engine.context_tokens or engine.saved_mib, or serve a smaller model"
    )]
    Room {
        /// What it takes, as far as its file tells.
        need_mib: u64,
        /// What all models may take.
        limit_mib: u64,
        /// What others have of it and never give back.
        pinned_mib: u64,
    },
    /// No thread could be started.
    #[error("cannot start the model's thread: {0}")]
    Thread(#[serde(with = "in_words")] std::io::Error),
    /// No worker process could be started, or nothing can be said to it.
    #[error("cannot start the model's worker process: {0}")]
    Spawn(#[serde(with = "in_words")] std::io::Error),
    /// The worker ended, or said what it should not have.
    #[error("the model's worker process failed while it loaded the model: {0}")]
    Worker(String),
}

/// System errors cross a socket as what they say.
mod in_words {
    use std::io;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(error: &io::Error, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(error)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<io::Error, D::Error> {
        String::deserialize(from).map(io::Error::other)
    }
}
