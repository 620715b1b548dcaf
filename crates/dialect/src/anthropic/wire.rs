//! The JSON of replies, shared by [`reply`](super::reply) (writing) and
//! [`decode`](super::decode) (reading).
//!
//! Source: `message.py`, `usage.py`, `stop_reason.py` and the `raw_*_event.py` types of
//! the Python SDK `anthropic` 2.12.0, read 2026-11-22.

use message::{FinishReason, Usage};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version header every request to this API carries. The only value since 2023.
pub const VERSION: &str = "2023-06-01";

/// The words of `thinking.display`, and whether the thinking is shown then.
pub(super) const DISPLAY: [(&str, bool); 2] = [("summarized", true), ("omitted", false)];

/// `usage` as it is written. `message_delta` repeats the totals of `message_start`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct WireUsage {
    /// Input tokens that came from no cache and went into none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Input tokens written to a cache, whatever its time to live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_creation_input_tokens: Option<u64>,
    /// Input tokens read from a cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read_input_tokens: Option<u64>,
    /// The cache writes by time to live.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_creation: Option<CacheCreation>,
    /// All output tokens, thinking included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// The thinking among the output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens_details: Option<OutputTokensDetails>,
}

/// Cache writes by time to live.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct CacheCreation {
    pub ephemeral_5m_input_tokens: u64,
    pub ephemeral_1h_input_tokens: u64,
}

/// Output tokens by kind.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct OutputTokensDetails {
    pub thinking_tokens: u64,
}

impl From<&Usage> for WireUsage {
    fn from(usage: &Usage) -> Self {
        let (minutes, hour) = (usage.cache_write_5m_tokens, usage.cache_write_1h_tokens);
        Self {
            input_tokens: Some(usage.input_tokens),
            cache_creation_input_tokens: Some(minutes.saturating_add(hour)),
            cache_read_input_tokens: Some(usage.cache_read_tokens),
            cache_creation: Some(CacheCreation {
                ephemeral_5m_input_tokens: minutes,
                ephemeral_1h_input_tokens: hour,
            }),
            output_tokens: Some(usage.output_tokens.saturating_add(usage.reasoning_tokens)),
            output_tokens_details: (usage.reasoning_tokens > 0)
                .then_some(OutputTokensDetails { thinking_tokens: usage.reasoning_tokens }),
        }
    }
}

impl WireUsage {
    /// Adds what this one says to `usage`: totals replace totals, silence changes nothing.
    pub fn update(&self, usage: &mut Usage) {
        if let Some(tokens) = self.input_tokens {
            usage.input_tokens = tokens;
        }
        if let Some(tokens) = self.cache_read_input_tokens {
            usage.cache_read_tokens = tokens;
        }
        match (self.cache_creation, self.cache_creation_input_tokens) {
            (Some(by_ttl), _) => {
                usage.cache_write_5m_tokens = by_ttl.ephemeral_5m_input_tokens;
                usage.cache_write_1h_tokens = by_ttl.ephemeral_1h_input_tokens;
            }
            // A total alone keeps the split that is known already.
            (None, Some(total)) => {
                usage.cache_write_1h_tokens = usage.cache_write_1h_tokens.min(total);
                usage.cache_write_5m_tokens = total - usage.cache_write_1h_tokens;
            }
            (None, None) => {}
        }
        if let Some(details) = self.output_tokens_details {
            let total = usage.output_tokens.saturating_add(usage.reasoning_tokens);
            usage.reasoning_tokens = details.thinking_tokens;
            usage.output_tokens = total.saturating_sub(details.thinking_tokens);
        }
        if let Some(total) = self.output_tokens {
            usage.output_tokens = total.saturating_sub(usage.reasoning_tokens);
        }
    }
}

/// The documented word for a finish reason, or the nearest one.
pub fn stop_reason(reason: &FinishReason) -> &str {
    match reason {
        FinishReason::EndTurn => "end_turn",
        FinishReason::MaxTokens => "max_tokens",
        FinishReason::StopSequence => "stop_sequence",
        FinishReason::ToolUse => "tool_use",
        FinishReason::Refusal | FinishReason::ContentFilter | FinishReason::Guardrail => "refusal",
        FinishReason::PauseTurn => "pause_turn",
        FinishReason::ContextWindow => "model_context_window_exceeded",
        // The turn is over and no tool can be run.
        FinishReason::MalformedToolUse => "end_turn",
        FinishReason::Other(word) if word == COMPACTION => COMPACTION,
        FinishReason::Other(_) => "end_turn",
    }
}

/// The beta stop reason for which the hub has no word of its own.
const COMPACTION: &str = "compaction";

/// The hub's word for a stop reason.
pub fn finish_reason(word: &str) -> FinishReason {
    match word {
        "end_turn" => FinishReason::EndTurn,
        "max_tokens" => FinishReason::MaxTokens,
        "stop_sequence" => FinishReason::StopSequence,
        "tool_use" => FinishReason::ToolUse,
        "refusal" => FinishReason::Refusal,
        "pause_turn" => FinishReason::PauseTurn,
        "model_context_window_exceeded" => FinishReason::ContextWindow,
        other => FinishReason::Other(other.to_owned()),
    }
}

/// One event of a stream, or a whole reply: every field any of them has. Unknown
/// events have none of these and are skipped.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct WireEvent {
    /// `message_start`, `content_block_delta` …; `message` for a whole reply.
    #[serde(rename = "type")]
    pub kind: String,
    /// Of `message_start`.
    pub message: Option<WireMessage>,
    /// Which block.
    pub index: Option<u64>,
    /// Of `content_block_start`.
    pub content_block: Option<Value>,
    /// Of `content_block_delta` and `message_delta`.
    pub delta: Option<WireDelta>,
    /// Of `message_delta`.
    pub usage: Option<WireUsage>,
}

/// A whole reply, or its beginning.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct WireMessage {
    pub id: Option<String>,
    pub content: Vec<Value>,
    pub stop_reason: Option<String>,
    pub stop_sequence: Option<String>,
    pub usage: Option<WireUsage>,
    /// Of a token count.
    pub input_tokens: Option<u64>,
}

/// How a block or the message grows.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[allow(missing_docs)]
pub struct WireDelta {
    #[serde(rename = "type")]
    pub kind: String,
    pub text: Option<String>,
    pub thinking: Option<String>,
    pub signature: Option<String>,
    pub partial_json: Option<String>,
    pub stop_reason: Option<String>,
    pub stop_sequence: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_goes_round() {
        let usage = Usage {
            input_tokens: 1,
            cache_read_tokens: 2,
            cache_write_5m_tokens: 3,
            cache_write_1h_tokens: 4,
            output_tokens: 5,
            reasoning_tokens: 6,
        };
        let wire = WireUsage::from(&usage);
        assert_eq!((wire.output_tokens, wire.cache_creation_input_tokens), (Some(11), Some(7)));
        let mut back = Usage::default();
        wire.update(&mut back);
        assert_eq!(back, usage);
    }

    #[test]
    fn u4_cached_tokens_are_counted_once() {
        let text = r#"{"input_tokens":10,"cache_read_input_tokens":100,"cache_creation_input_tokens":7,"output_tokens":3}"#;
        let wire: WireUsage = serde_json::from_str(text).expect("usage");
        let mut usage = Usage::default();
        wire.update(&mut usage);
        assert_eq!((usage.input_tokens, usage.cache_read_tokens, usage.cache_write_5m_tokens), (10, 100, 7));
        assert_eq!(usage.total_input(), 117);
    }

    #[test]
    fn totals_replace_totals() {
        let mut usage = Usage::default();
        for text in [
            r#"{"input_tokens":10,"cache_creation_input_tokens":5,"cache_creation":{"ephemeral_1h_input_tokens":5},"output_tokens":1}"#,
            r#"{"output_tokens":9,"cache_creation_input_tokens":5,"output_tokens_details":{"thinking_tokens":4}}"#,
        ] {
            serde_json::from_str::<WireUsage>(text).expect("usage").update(&mut usage);
        }
        assert_eq!(
            (usage.input_tokens, usage.cache_write_1h_tokens, usage.cache_write_5m_tokens),
            (10, 5, 0)
        );
        assert_eq!((usage.output_tokens, usage.reasoning_tokens), (5, 4));
    }

    #[test]
    fn u1_u2_every_reason_has_a_documented_word() {
        for word in [
            "end_turn",
            "max_tokens",
            "stop_sequence",
            "tool_use",
            "refusal",
            "pause_turn",
            "model_context_window_exceeded",
            "compaction",
        ] {
            assert_eq!(stop_reason(&finish_reason(word)), word);
        }
        assert_eq!(stop_reason(&FinishReason::ContentFilter), "refusal");
        assert_eq!(stop_reason(&FinishReason::Guardrail), "refusal");
        assert_eq!(stop_reason(&finish_reason("out_of_electricity")), "end_turn");
    }
}
