//! What a server of this dialect answers: a whole completion or one chunk of a stream.
//!
//! One set of shapes for both (`message` and `delta` differ in name only), lenient where
//! servers differ and deaf to what nobody reads. Requests have no shapes here: they are
//! taken apart field by field in `inbound`, so that nothing unknown is lost. What most
//! chunks lack is boxed: one is read, moved and dropped per token.
//!
//! Source: `ChatCompletion` and `ChatCompletionChunk` of `openai` 3.54.0, read 2026-11-22;
//! `reasoning_content`, `reasoning`, `stop_reason` and the cache counters of DeepSeek as
//! those servers document them.

use serde::Deserialize;
use serde_json::Value;

/// A `chat.completion` or a `chat.completion.chunk`.
#[derive(Debug, Deserialize)]
pub struct Completion {
    /// The server's id for the answer.
    pub id: Option<String>,
    /// One answer per wanted alternative; empty in a chunk that only counts.
    pub choices: Option<Vec<Choice>>,
    /// Tokens counted so far.
    pub usage: Option<Usage>,
    /// A failure after the stream began.
    pub error: Option<Box<Value>>,
}

/// One answer, or a piece of it.
#[derive(Debug, Deserialize)]
pub struct Choice {
    /// Which alternative.
    pub index: Option<u64>,
    /// A piece.
    pub delta: Option<Message>,
    /// The whole.
    pub message: Option<Box<Message>>,
    /// Why it ended.
    pub finish_reason: Option<String>,
    /// vLLM: the stop string (or token id) that ended it.
    pub stop_reason: Option<Box<Value>>,
    /// Log-probabilities of the content.
    pub logprobs: Option<Box<Logprobs>>,
}

/// An assistant's message, or a piece of it.
#[derive(Debug, Deserialize)]
pub struct Message {
    /// Text; a list of parts on some servers.
    pub content: Option<Value>,
    /// Reasoning (DeepSeek, vLLM, llama.cpp).
    pub reasoning_content: Option<String>,
    /// Reasoning (OpenRouter, newer vLLM).
    pub reasoning: Option<Box<Value>>,
    /// What the content rests on.
    pub annotations: Option<Box<Value>>,
    /// The words of a refusal.
    pub refusal: Option<String>,
    /// Tool calls, or pieces of them.
    pub tool_calls: Option<Vec<ToolCall>>,
    /// The one call of the older interface.
    pub function_call: Option<Box<Function>>,
}

/// A tool call, or a piece of it.
#[derive(Debug, Deserialize)]
pub struct ToolCall {
    /// Which call of the answer; some servers omit it or always say 0.
    pub index: Option<u64>,
    /// Pairs the call with its result; in the first piece only.
    pub id: Option<String>,
    /// Name and arguments.
    pub function: Option<Function>,
}

/// Name and arguments of a call.
#[derive(Debug, Default, Deserialize)]
pub struct Function {
    /// The tool's name; in the first piece only.
    pub name: Option<String>,
    /// JSON text, cut anywhere. A few servers send the object itself.
    pub arguments: Option<Value>,
}

/// Log-probabilities of a choice.
#[derive(Debug, Deserialize)]
pub struct Logprobs {
    /// Of the tokens of `content`.
    pub content: Option<Vec<TokenLogprob>>,
}

/// A token and its alternatives.
#[derive(Debug, Deserialize)]
pub struct TokenLogprob {
    /// The token as text.
    pub token: String,
    /// Its own bytes, where text cannot show them.
    pub bytes: Option<Vec<u8>>,
    /// Natural logarithm of its probability.
    pub logprob: Option<f32>,
    /// The likeliest tokens at this place.
    pub top_logprobs: Option<Vec<TokenLogprob>>,
}

/// Counted tokens.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct Usage {
    /// Input tokens, cached ones included.
    pub prompt_tokens: Option<u64>,
    /// Output tokens, reasoning included (xAI excludes it).
    pub completion_tokens: Option<u64>,
    /// All of them.
    pub total_tokens: Option<u64>,
    /// Of the input.
    pub prompt_tokens_details: Option<PromptTokensDetails>,
    /// Of the output.
    pub completion_tokens_details: Option<CompletionTokensDetails>,
    /// DeepSeek's word for cached input tokens.
    pub prompt_cache_hit_tokens: Option<u64>,
}

/// Which input tokens were cached.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct PromptTokensDetails {
    /// Read from a cache.
    pub cached_tokens: Option<u64>,
    /// Written to one.
    pub cache_write_tokens: Option<u64>,
}

/// Which output tokens the client does not see.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub struct CompletionTokensDetails {
    /// Spent on reasoning.
    pub reasoning_tokens: Option<u64>,
}

impl Usage {
    /// Into disjoint buckets, whose sum is what the server counted.
    pub fn buckets(&self) -> message::Usage {
        let prompt = self.prompt_tokens.unwrap_or(0);
        let completion = self.completion_tokens.unwrap_or(0);
        let details = self.prompt_tokens_details.unwrap_or_default();
        let cached = details.cached_tokens.or(self.prompt_cache_hit_tokens).unwrap_or(0).min(prompt);
        let written = details.cache_write_tokens.unwrap_or(0).min(prompt - cached);
        let reasoning = self.completion_tokens_details.unwrap_or_default().reasoning_tokens.unwrap_or(0);
        // A server that counts reasoning beside the completion says so in its total.
        let beside = prompt.saturating_add(completion).saturating_add(reasoning);
        let output = if reasoning > 0 && self.total_tokens == Some(beside) {
            completion
        } else {
            completion.saturating_sub(reasoning)
        };
        message::Usage {
            input_tokens: prompt - cached - written,
            cache_read_tokens: cached,
            cache_write_5m_tokens: written,
            cache_write_1h_tokens: 0,
            output_tokens: output,
            reasoning_tokens: if output == completion { reasoning } else { reasoning.min(completion) },
        }
    }
}
