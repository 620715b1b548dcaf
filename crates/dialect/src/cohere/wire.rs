//! What a server answers: a whole chat, one event of a stream, and words for why it ended.
//!
//! Lenient where servers differ and deaf to what nobody reads. Source: `V2ChatResponse`,
//! `V2ChatStreamResponse` and `Usage` of `cohere` 7.3.1, read 2026-11-22.

use message::FinishReason;
use serde::Deserialize;
use serde_json::{Value, json};

/// A whole chat, or one event of a stream: their fields differ in place only.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Answer {
    /// Of a stream's event: which.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The server's id for the answer.
    pub id: Option<String>,
    /// Of an event about a block: its place among its kind.
    pub index: Option<u32>,
    /// Of a stream's event: what is new.
    pub delta: Option<Delta>,
    /// The whole.
    pub message: Option<Value>,
    /// Why it ended.
    pub finish_reason: Option<String>,
    /// Tokens counted.
    pub usage: Option<Usage>,
    /// Log-probabilities of the tokens.
    pub logprobs: Option<Value>,
}

/// What is new.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Delta {
    /// A piece of the message.
    pub message: Option<Value>,
    /// Why it ended.
    pub finish_reason: Option<String>,
    /// Tokens counted.
    pub usage: Option<Usage>,
    /// What went wrong, where the reason is `ERROR`.
    pub error: Option<String>,
}

/// Counted tokens; numbers are floats in this dialect.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct Usage {
    /// What was processed.
    pub tokens: Option<Tokens>,
    /// What is paid for.
    pub billed_units: Option<Tokens>,
    /// Of the input, read from a cache.
    pub cached_tokens: Option<f64>,
}

/// Counts.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub struct Tokens {
    /// Of the prompt, cached ones included.
    pub input_tokens: Option<f64>,
    /// Of the answer.
    pub output_tokens: Option<f64>,
}

impl Usage {
    /// Into disjoint buckets.
    pub fn buckets(&self) -> message::Usage {
        let counted = self.tokens.or(self.billed_units).unwrap_or_default();
        // A float that is no count becomes 0, a huge one the largest count.
        let count = |number: Option<f64>| number.unwrap_or(0.0) as u64;
        let input = count(counted.input_tokens);
        let cached = count(self.cached_tokens).min(input);
        message::Usage {
            input_tokens: input - cached,
            cache_read_tokens: cached,
            output_tokens: count(counted.output_tokens),
            ..message::Usage::default()
        }
    }
}

/// The server's word → the hub's; `None`: the answer failed.
pub(super) fn finish_reason(word: &str) -> Option<FinishReason> {
    Some(match word {
        "COMPLETE" => FinishReason::EndTurn,
        "STOP_SEQUENCE" => FinishReason::StopSequence,
        "MAX_TOKENS" => FinishReason::MaxTokens,
        "TOOL_CALL" => FinishReason::ToolUse,
        "ERROR_TOXIC" => FinishReason::ContentFilter,
        "ERROR" | "TIMEOUT" => return None,
        other => FinishReason::Other(other.to_owned()),
    })
}

/// The hub's reason → the dialect's word; the nearest where it has none.
pub(super) const fn finish_word(reason: &FinishReason) -> &'static str {
    match reason {
        FinishReason::EndTurn | FinishReason::PauseTurn | FinishReason::Other(_) => "COMPLETE",
        FinishReason::StopSequence => "STOP_SEQUENCE",
        FinishReason::MaxTokens | FinishReason::ContextWindow => "MAX_TOKENS",
        FinishReason::ToolUse => "TOOL_CALL",
        // There is no word for a refusal; a clean end it was not.
        FinishReason::Refusal
        | FinishReason::ContentFilter
        | FinishReason::Guardrail
        | FinishReason::MalformedToolUse => "ERROR",
    }
}

/// Usage as clients read it.
pub(super) fn usage(usage: &message::Usage) -> Value {
    let counted = json!({"input_tokens": usage.total_input(), "output_tokens": usage.total_output()});
    json!({"billed_units": counted, "tokens": counted, "cached_tokens": usage.cache_read_tokens})
}
