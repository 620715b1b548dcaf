//! How a model is run: every bound of the engine, with its unit and its reason.

use serde::{Deserialize, Serialize};

use crate::LoadError;

/// How one model is run. All fields have defaults that suit a small model on a CPU.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Threads of computation; `None`: the physical cores this process may use. More
    /// threads than free cores is slower, not faster: they wait for each other.
    pub threads: Option<usize>,
    /// Layers kept on the GPU; `None`: all of them. Without effect on a CPU build.
    pub gpu_layers: Option<u32>,
    /// Tokens the model can hold in mind at once, shared by all calls (the cells of the
    /// KV cache). One call may use at most this or the model's own context length.
    pub context_tokens: u32,
    /// Most calls decoding at once, 1 to 256 (llama.cpp's limit of sequences).
    pub slots: u32,
    /// Most calls waiting for a slot; one more is told to come again later.
    pub queue: usize,
    /// Prompt tokens processed per step when nobody is waiting for a next token. A step
    /// cannot be interrupted, so this is also how long a cancelled call may linger.
    pub prefill_tokens: u32,
    /// Prompt tokens processed per step while other calls decode: their stall. 32 tokens
    /// cost about a third of a second on one slow core, 512 cost six.
    pub shared_prefill_tokens: u32,
    /// Steps whose events may wait for a slow reader before its call pauses.
    pub event_buffer: usize,
    /// How long a call may be paused for its reader before it is given up,
    /// in milliseconds: a reader that never reads must not hold a slot for ever.
    pub stalled_reader_ms: u64,
    /// How tokens are chosen when the client does not say.
    pub sampling: SamplingDefaults,
    /// What an embedding model was trained for.
    pub embedding: EmbeddingDefaults,
    /// Worker processes give up what a model does not need: files, the network, other
    /// programs (Linux).
    pub sandbox: bool,
    /// How much worker processes give way to others, 0 to 19 (`nice`).
    pub niceness: u8,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            threads: None,
            gpu_layers: None,
            context_tokens: 16_384,
            slots: 32,
            queue: 256,
            prefill_tokens: 128,
            shared_prefill_tokens: 32,
            event_buffer: 64,
            stalled_reader_ms: 30_000,
            sampling: SamplingDefaults::default(),
            embedding: EmbeddingDefaults::default(),
            sandbox: true,
            niceness: 0,
        }
    }
}

impl Config {
    /// Refuses what can never work.
    pub(crate) fn check(&self) -> Result<(), LoadError> {
        let wrong = |name: &str, reason: &str| {
            Err(LoadError::Config { name: name.to_owned(), reason: reason.to_owned() })
        };
        match self {
            Self { slots: 0 | 257.., .. } => wrong("slots", "must be between 1 and 256"),
            Self { context_tokens: 0, .. } => wrong("context_tokens", "must be above 0"),
            Self { prefill_tokens: 0 | 8193.., .. } => wrong("prefill_tokens", "must be between 1 and 8192"),
            Self { shared_prefill_tokens: 0 | 8193.., .. } => {
                wrong("shared_prefill_tokens", "must be between 1 and 8192")
            }
            Self { threads: Some(0), .. } => wrong("threads", "must be above 0"),
            Self { event_buffer: 0, .. } => wrong("event_buffer", "must be above 0"),
            Self { event_buffer: 65_537.., .. } => wrong("event_buffer", "must be at most 65536"),
            Self { queue: 100_001.., .. } => wrong("queue", "must be at most 100000"),
            Self { niceness: 20.., .. } => wrong("niceness", "must be at most 19"),
            _ => Ok(()),
        }
    }
}

/// Sampling where the client leaves it to the model: llama.cpp's own defaults, which
/// keep small models on the rails.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct SamplingDefaults {
    /// Softmax temperature; 0 is greedy.
    pub temperature: f32,
    /// Nucleus mass, above 0 to 1; 1 is off.
    pub top_p: f32,
    /// Keep only the k likeliest tokens; 0 is off.
    pub top_k: u32,
    /// Keep tokens at least this fraction as likely as the likeliest; 0 is off.
    pub min_p: f32,
}

impl Default for SamplingDefaults {
    fn default() -> Self {
        Self { temperature: 0.8, top_p: 0.95, top_k: 40, min_p: 0.05 }
    }
}

/// What an embedding model was trained for, and its file does not tell: the words before
/// inputs of each purpose (`search_query: `), and whether its vectors may be cut.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct EmbeddingDefaults {
    /// Before a question put to a collection.
    pub query_prefix: String,
    /// Before a member of the collection.
    pub document_prefix: String,
    /// Before input of a classifier.
    pub classification_prefix: String,
    /// Before what is to be grouped with its like.
    pub clustering_prefix: String,
    /// Before what is to be compared with others of its kind.
    pub similarity_prefix: String,
    /// The fewest numbers a vector may be cut to (Matryoshka training); `None`: a cut
    /// vector would mean nothing.
    pub least_dimensions: Option<u32>,
}
