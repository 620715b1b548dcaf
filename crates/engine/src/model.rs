//! What is known of a loaded model.

use serde::{Deserialize, Serialize};

use crate::Task;

/// What is known of a loaded model, mostly from its own metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelInfo {
    /// The name it is served by (given to [`Engine::load`](crate::Engine::load)).
    pub name: String,
    /// `general.architecture`: `llama`, `qwen3`, `gemma3` …
    pub architecture: String,
    /// `general.name`: its maker's name for it.
    pub title: Option<String>,
    /// `general.license`, such as `apache-2.0`.
    pub license: Option<String>,
    /// Tokens the model was trained to hold in mind.
    pub context_length: u32,
    /// Tokens of prompt and answer one call may use here: the context length, or the
    /// engine's `context_tokens` if that is less.
    pub max_call_tokens: u32,
    /// Tokens in its vocabulary.
    pub vocab_size: u32,
    /// Its weights, in bytes.
    pub size_bytes: u64,
    /// Its number of parameters.
    pub parameters: u64,
    /// It has its own chat template. Without one (a base model) conversations are
    /// written as a plain transcript.
    pub has_template: bool,
    /// Its template shows tools the way the model was taught; otherwise they are
    /// described in the system prompt.
    pub native_tools: bool,
    /// It sees images: it was loaded with a projector.
    pub images: bool,
    /// What it does.
    pub task: Task,
    /// Numbers in an embedding, where it makes them.
    pub embedding_length: Option<u32>,
    /// What computes it, in words: `the processor`, `all 31 layers on Vulkan0 (…)`.
    pub computed_on: String,
}
