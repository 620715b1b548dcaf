//! How a model is run: every bound of the engine, with its unit and its reason.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::LoadError;

use crate::backend::{GpuSplit, MAX_SEQUENCES, Numa, default_threads};

/// How one model is run. All fields have defaults that suit a small model on a CPU.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Threads of computation; `None`: the physical cores this process may use, but one that
    /// is left to the gateway where there are four or more. More threads than free cores is
    /// slower, not faster: they wait for each other.
    pub threads: Option<usize>,
    /// How threads are spread over several memories (NUMA nodes).
    pub numa: Numa,
    /// The GPUs that compute, by their names (`outcrop devices`), the main one first. `None`:
    /// the one that has room for all layers, or all of them; empty: none.
    pub devices: Option<Vec<String>>,
    /// Layers kept on GPUs, counted from the last, the output as one. `None`: as many as fit.
    /// 0: none. Without effect on a CPU build.
    pub gpu_layers: Option<u32>,
    /// Memory of each GPU that one model may take, in MiB, as it is estimated. `None`: all
    /// that is free.
    pub gpu_memory_mib: Option<u64>,
    /// How layers are spread over several GPUs.
    pub gpu_split: GpuSplit,
    /// Tokens the model can hold in mind at once, shared by all calls (the cells of the
    /// KV cache). One call may use at most this or the model's own context length.
    pub context_tokens: u32,
    /// Most calls decoding at once, 1 to 254 (llama.cpp has 256 sequences, and the engine
    /// needs two for itself).
    pub slots: u32,
    /// Most calls waiting for a slot; one more is told to come again later.
    pub queue: usize,
    /// Most prompt tokens processed per step. Fewer are, where they would take too long:
    /// see the next two.
    pub prefill_tokens: u32,
    /// The time between two tokens of an answer, in milliseconds, that a step keeps to by
    /// taking less of the prompts that others send. `None`: twice the time of a step
    /// without any, as it was measured here, or 30 if that is more.
    pub inter_token_ms: Option<u32>,
    /// The longest step while nobody waits for a next token, in milliseconds. A step cannot
    /// be interrupted: this is how long a new call waits, and a cancelled one lingers.
    pub step_ms: u32,
    /// On a CPU, computes every token as if it stood alone, so that nothing changes a bit of an
    /// answer: how its prompt was cut, which depends on the time that steps take, or who else
    /// asks. Without it prompts of thousands of tokens are read faster, and the same greedy
    /// question may now and then be answered in other words. Answers are never changed by
    /// others' prompts.
    ///
    /// It takes weights that are quantized: ggml multiplies F16 and F32 on some processors in
    /// another order for one token than for several, and so what adapters add.
    pub exact: bool,
    /// With whom a call shares what has been computed of its prompt.
    pub sharing: Sharing,
    /// Most tokens kept in the KV cache for later calls with the same beginning, of
    /// `context_tokens`. `None`: half of them. Every step looks through them.
    pub kept_tokens: Option<u32>,
    /// Memory for what was kept and had to make room, in MiB: to put it back is a thousand
    /// times cheaper than to compute it.
    pub saved_mib: u32,
    /// Disk for what that memory has no room for, and for all that is kept when the model is
    /// unloaded or the server ends, in MiB: its next worker goes on with it. 0: nothing is
    /// written. The files hold what was asked, in clear; only their owner may read them.
    pub saved_disk_mib: u32,
    /// The folder for that, one below it for each model. `None`: the server's own, `cache`
    /// in its home.
    pub saved_folder: Option<PathBuf>,
    /// Memory for images that were looked at, in MiB: the next turn of a conversation does not
    /// compute them again, and calls that show more than this together wait for one another.
    /// (One of 256 tokens takes 2 MiB with a model of 2048 numbers a token.) Used only by
    /// models with a projector.
    pub images_mib: u32,
    /// Memory for all models together, in MiB: a model that is called and has no room is
    /// loaded in place of those that were not called for longest. `None`: nine tenths of
    /// what this process may use, or without limit in a build for a GPU, whose memory is
    /// not seen from here.
    pub memory_mib: Option<u64>,
    /// How long a call may wait for a slot, or for its model to be loaded, in milliseconds.
    pub queue_timeout_ms: u64,
    /// Steps whose events may wait for a slow reader before its call pauses.
    pub event_buffer: usize,
    /// How long a call may be paused for its reader before it is given up,
    /// in milliseconds: a reader that never reads must not hold a slot for ever.
    pub stalled_reader_ms: u64,
    /// How long a worker that has calls may say nothing, in milliseconds, before it counts
    /// as hung and another takes its place. Every step says something; the longest, a whole
    /// prompt's on a slow machine, takes a minute or two.
    pub silent_worker_ms: u64,
    /// Guesses what an answer says next from what was said before, where that is measured to
    /// save time: answers that repeat parts of their prompt come sooner. No answer is changed.
    pub speculate: bool,
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
            numa: Numa::Auto,
            devices: None,
            gpu_layers: None,
            gpu_memory_mib: None,
            gpu_split: GpuSplit::Layer,
            context_tokens: 16_384,
            slots: 32,
            queue: 256,
            prefill_tokens: 512,
            inter_token_ms: None,
            step_ms: 500,
            exact: true,
            sharing: Sharing::Key,
            kept_tokens: None,
            saved_mib: 512,
            saved_disk_mib: 0,
            saved_folder: None,
            images_mib: 128,
            memory_mib: None,
            queue_timeout_ms: 600_000,
            event_buffer: 64,
            stalled_reader_ms: 30_000,
            silent_worker_ms: 300_000,
            speculate: true,
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
            Self { slots: 0 | 255.., .. } => wrong("slots", "must be between 1 and 254"),
            Self { context_tokens: 0, .. } => wrong("context_tokens", "must be above 0"),
            Self { prefill_tokens: 0 | 8193.., .. } => wrong("prefill_tokens", "must be between 1 and 8192"),
            Self { step_ms: 0, .. } => wrong("step_ms", "must be above 0"),
            Self { threads: Some(0), .. } => wrong("threads", "must be above 0"),
            Self { event_buffer: 0, .. } => wrong("event_buffer", "must be above 0"),
            Self { event_buffer: 65_537.., .. } => wrong("event_buffer", "must be at most 65536"),
            Self { queue: 100_001.., .. } => wrong("queue", "must be at most 100000"),
            // Calls may all be paused for their readers, which is silence, too.
            Self { silent_worker_ms, stalled_reader_ms, .. } if silent_worker_ms <= stalled_reader_ms => {
                wrong("silent_worker_ms", "must be above stalled_reader_ms")
            }
            Self { gpu_memory_mib: Some(0), .. } => {
                wrong("gpu_memory_mib", "must be above 0; `gpu_layers = 0` uses no GPU")
            }
            Self { memory_mib: Some(0), .. } => wrong("memory_mib", "must be above 0"),
            Self { niceness: 20.., .. } => wrong("niceness", "must be at most 19"),
            _ => Ok(()),
        }
    }
}

impl Config {
    /// Threads of computation.
    pub(crate) fn threads(&self) -> usize {
        self.threads.unwrap_or_else(default_threads)
    }

    /// Sequences of the KV cache: one for each running call, and some for the texts that
    /// are kept; llama.cpp has 256, of which one saves and restores and one
    /// holds what nobody does.
    pub(crate) fn sequences(&self) -> u32 {
        const KEPT: u32 = 64;
        (self.slots + KEPT).min(MAX_SEQUENCES - 2)
    }

    /// Cells of the KV cache beyond `context_tokens`, for those that nobody holds any more:
    /// there are always enough of them then to be worth moving others over them. A
    /// multiple of 256, as llama.cpp's caches are.
    pub(crate) fn spare_tokens(&self) -> u32 {
        (self.context_tokens / 8).next_multiple_of(256)
    }
}

/// Who shares the prefix cache. Whoever shares can tell from the time to a first token
/// whether somebody sent the same beginning before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sharing {
    /// Calls with the same key.
    #[default]
    Key,
    /// All calls.
    Everyone,
    /// No calls: everything is computed afresh.
    Nobody,
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
