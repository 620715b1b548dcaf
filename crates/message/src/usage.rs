//! Counted tokens.

use serde::{Deserialize, Serialize};

/// Tokens in disjoint buckets: their sum is what was processed, nothing twice.
///
/// Vendors differ: OpenAI's `prompt_tokens` includes cached tokens, Anthropic's
/// `input_tokens` does not. Dialects convert on the way in and out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Input tokens processed afresh.
    pub input_tokens: u64,
    /// Input tokens read from a prompt cache.
    pub cache_read_tokens: u64,
    /// Input tokens written to a five-minute prompt cache.
    pub cache_write_5m_tokens: u64,
    /// Input tokens written to a one-hour prompt cache.
    pub cache_write_1h_tokens: u64,
    /// Output tokens the client sees (text and tool calls).
    pub output_tokens: u64,
    /// Output tokens spent on reasoning, where the vendor tells them apart.
    pub reasoning_tokens: u64,
}

impl Usage {
    /// All input tokens, cached or not.
    pub const fn total_input(&self) -> u64 {
        self.input_tokens + self.cache_read_tokens + self.cache_write_5m_tokens + self.cache_write_1h_tokens
    }

    /// All output tokens, reasoning included.
    pub const fn total_output(&self) -> u64 {
        self.output_tokens + self.reasoning_tokens
    }

    /// Everything.
    pub const fn total(&self) -> u64 {
        self.total_input() + self.total_output()
    }
}
