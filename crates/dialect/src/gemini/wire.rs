//! What a server answers: a whole response or one chunk of a stream, which look the same.
//!
//! Lenient where servers differ and deaf to what nobody reads. Requests have no shapes here:
//! they are taken apart field by field in `inbound`, so that nothing unknown is lost.
//! Source: `GenerateContentResponse` and its parts of `google-genai` 3.4.0, read 2026-11-22.

use message::FinishReason;
use serde::Deserialize;
use serde_json::Value;

/// A `GenerateContentResponse`, or one of its siblings for counts and embeddings.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Response {
    /// The answers; one, unless more were asked for.
    pub candidates: Option<Vec<Candidate>>,
    /// Why the prompt got no answer.
    pub prompt_feedback: Option<PromptFeedback>,
    /// Tokens counted so far.
    pub usage_metadata: Option<Usage>,
    /// The server's id for the answer.
    pub response_id: Option<String>,
    /// A failure after the stream began.
    pub error: Option<Value>,
    /// countTokens.
    pub total_tokens: Option<u64>,
    /// countTokens.
    pub cached_content_token_count: Option<u64>,
    /// embedContent.
    pub embedding: Option<Embedding>,
    /// batchEmbedContents.
    pub embeddings: Option<Vec<Embedding>>,
}

/// One answer, or a piece of it.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Candidate {
    /// Which of them.
    pub index: Option<u64>,
    /// What is said.
    pub content: Option<Content>,
    /// Why it ended.
    pub finish_reason: Option<String>,
    /// Log-probabilities of the content.
    pub logprobs_result: Option<Logprobs>,
}

/// What is said: parts of any kind.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Content {
    /// In order.
    pub parts: Option<Vec<Value>>,
}

/// Why the prompt got no answer.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PromptFeedback {
    /// The filter that blocked it.
    pub block_reason: Option<String>,
}

/// Log-probabilities of a piece.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Logprobs {
    /// The tokens chosen.
    pub chosen_candidates: Option<Vec<TokenLogprob>>,
    /// For each, the likeliest.
    pub top_candidates: Option<Vec<TopLogprobs>>,
}

/// The likeliest tokens at one place.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct TopLogprobs {
    /// Likeliest first.
    pub candidates: Option<Vec<TokenLogprob>>,
}

/// A token and how likely it was.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TokenLogprob {
    /// As text.
    pub token: Option<String>,
    /// Natural logarithm of its probability.
    pub log_probability: Option<f32>,
}

/// A vector.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Embedding {
    /// Its numbers.
    pub values: Option<Vec<f32>>,
}

/// Counted tokens.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Usage {
    /// Of the prompt, cached ones included.
    pub prompt_token_count: Option<u64>,
    /// Of the prompt, read from a cache.
    pub cached_content_token_count: Option<u64>,
    /// Of what server-side tools answered; beside the prompt's.
    pub tool_use_prompt_token_count: Option<u64>,
    /// Of the answers, thoughts excluded.
    pub candidates_token_count: Option<u64>,
    /// Of thoughts.
    pub thoughts_token_count: Option<u64>,
}

impl Usage {
    /// Into disjoint buckets.
    pub fn buckets(&self) -> message::Usage {
        let prompt = self.prompt_token_count.unwrap_or(0);
        let cached = self.cached_content_token_count.unwrap_or(0).min(prompt);
        message::Usage {
            input_tokens: (prompt - cached).saturating_add(self.tool_use_prompt_token_count.unwrap_or(0)),
            cache_read_tokens: cached,
            output_tokens: self.candidates_token_count.unwrap_or(0),
            reasoning_tokens: self.thoughts_token_count.unwrap_or(0),
            ..message::Usage::default()
        }
    }
}

impl Response {
    /// Why the answer ended, if it says so.
    pub(super) fn finish(&self) -> Option<FinishReason> {
        let candidate = self.candidates.iter().flatten().find(|one| one.index.unwrap_or(0) == 0);
        let word = candidate.and_then(|candidate| candidate.finish_reason.as_deref());
        if let Some(word) = word.filter(|word| *word != "FINISH_REASON_UNSPECIFIED") {
            return Some(finish_reason(word));
        }
        let blocked = self.prompt_feedback.as_ref().and_then(|feedback| feedback.block_reason.as_deref());
        match blocked {
            Some("MODEL_ARMOR") => Some(FinishReason::Guardrail),
            Some(_) => Some(FinishReason::ContentFilter),
            None => None,
        }
    }
}

/// The server's word → the hub's.
fn finish_reason(word: &str) -> FinishReason {
    match word {
        "STOP" => FinishReason::EndTurn,
        "MAX_TOKENS" => FinishReason::MaxTokens,
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => FinishReason::ContentFilter,
        "MODEL_ARMOR" => FinishReason::Guardrail,
        "MALFORMED_FUNCTION_CALL" | "UNEXPECTED_TOOL_CALL" => FinishReason::MalformedToolUse,
        other => FinishReason::Other(other.to_owned()),
    }
}

/// The hub's reason → the dialect's word; the nearest where it has none.
pub(super) const fn finish_word(reason: &FinishReason) -> &'static str {
    match reason {
        FinishReason::EndTurn
        | FinishReason::StopSequence
        | FinishReason::ToolUse
        | FinishReason::PauseTurn => "STOP",
        FinishReason::MaxTokens | FinishReason::ContextWindow => "MAX_TOKENS",
        FinishReason::Refusal | FinishReason::ContentFilter => "SAFETY",
        FinishReason::Guardrail => "MODEL_ARMOR",
        FinishReason::MalformedToolUse => "MALFORMED_FUNCTION_CALL",
        FinishReason::Other(_) => "OTHER",
    }
}

/// The dialect counts cached tokens into the prompt, and thoughts beside the answer.
pub(super) fn usage(usage: &message::Usage) -> Value {
    let mut counted = serde_json::json!({
        "promptTokenCount": usage.total_input(),
        "candidatesTokenCount": usage.output_tokens,
        "totalTokenCount": usage.total(),
    });
    if usage.cache_read_tokens > 0 {
        counted["cachedContentTokenCount"] = usage.cache_read_tokens.into();
    }
    if usage.reasoning_tokens > 0 {
        counted["thoughtsTokenCount"] = usage.reasoning_tokens.into();
    }
    counted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn u4_buckets_are_disjoint_and_come_back() {
        let counted = serde_json::json!({
            "promptTokenCount": 100, "cachedContentTokenCount": 80, "candidatesTokenCount": 7,
            "thoughtsTokenCount": 5, "totalTokenCount": 112,
        });
        let read: Usage = serde_json::from_value(counted.clone()).expect("usage");
        let buckets = read.buckets();
        assert_eq!((buckets.input_tokens, buckets.cache_read_tokens), (20, 80));
        assert_eq!((buckets.output_tokens, buckets.reasoning_tokens), (7, 5));
        assert_eq!(usage(&buckets), counted);
    }

    #[test]
    fn u2_every_word_of_the_sdk_has_a_meaning() {
        for (word, expected) in [
            ("STOP", FinishReason::EndTurn),
            ("MAX_TOKENS", FinishReason::MaxTokens),
            ("SAFETY", FinishReason::ContentFilter),
            ("MALFORMED_FUNCTION_CALL", FinishReason::MalformedToolUse),
            ("TOO_MANY_TOOL_CALLS", FinishReason::Other("TOO_MANY_TOOL_CALLS".to_owned())),
        ] {
            assert_eq!(finish_reason(word), expected);
        }
        for reason in [
            FinishReason::EndTurn,
            FinishReason::MaxTokens,
            FinishReason::ContentFilter,
            FinishReason::Guardrail,
        ] {
            assert_eq!(finish_reason(finish_word(&reason)), reason);
        }
    }
}
