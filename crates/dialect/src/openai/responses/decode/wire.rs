//! What a server of this dialect answers: events of a stream, and the response at its end.
//!
//! Lenient where servers differ and deaf to what nobody reads. Requests have no shapes
//! here: they are taken apart field by field in `inbound`, so that nothing unknown is lost.
//!
//! Source: `Response`, `ResponseOutputItem` and `ResponseStreamEvent` of `openai` 3.54.0,
//! read 2026-11-22.

use serde::Deserialize;
use serde_json::Value;

use crate::openai::chat::wire::TokenLogprob;

/// Any event of a stream.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StreamEvent {
    /// Which event.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// Which item of the answer it is about.
    pub(super) output_index: u64,
    /// Which part of the item's content.
    pub(super) content_index: u64,
    /// Which part of the item's summary.
    pub(super) summary_index: u64,
    /// The piece; not text in events that nobody reads here.
    pub(super) delta: Option<Value>,
    /// The item, begun or whole.
    pub(super) item: Option<Item>,
    /// The whole text of a part.
    pub(super) text: Option<String>,
    /// Its log-probabilities.
    pub(super) logprobs: Option<Vec<TokenLogprob>>,
    /// What a text rests on.
    pub(super) annotation: Option<Value>,
    /// The whole arguments of a call.
    pub(super) arguments: Option<String>,
    /// The whole text of a refusal.
    pub(super) refusal: Option<String>,
    /// The response so far.
    pub(super) response: Option<Response>,
    /// What went wrong; an object of its own, or beside the type.
    pub(super) error: Option<Value>,
    /// What went wrong, in a word.
    pub(super) code: Option<Value>,
    /// What went wrong, in words.
    pub(super) message: Option<Value>,
    /// The field at fault.
    pub(super) param: Option<Value>,
}

/// A `response`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Response {
    /// The server's id for the answer.
    pub(super) id: Option<String>,
    /// `completed`, `incomplete`, `failed` …
    pub(super) status: Option<String>,
    /// Why it failed.
    pub(super) error: Option<Value>,
    /// Why it is incomplete.
    pub(super) incomplete_details: Option<Incomplete>,
    /// The items.
    pub(super) output: Option<Vec<Item>>,
    /// Tokens counted.
    pub(super) usage: Option<Usage>,
}

/// Why a response is incomplete.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Incomplete {
    /// `max_output_tokens`, `content_filter` …
    pub(super) reason: Option<String>,
}

/// One item of an answer, begun or whole.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Item {
    /// Which kind.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// Pairs a call with its output.
    pub(super) call_id: Option<String>,
    /// The item's own id; servers without `call_id` use it for both.
    pub(super) id: Option<String>,
    /// The tool's name.
    pub(super) name: Option<String>,
    /// A function's arguments, as JSON text.
    pub(super) arguments: Option<String>,
    /// A custom tool's free text.
    pub(super) input: Option<String>,
    /// What was said, or the reasoning as it was thought.
    pub(super) content: Option<Vec<Part>>,
    /// The reasoning, summarised.
    pub(super) summary: Option<Vec<Part>>,
    /// The reasoning's seal.
    pub(super) encrypted_content: Option<String>,
}

/// A part of an item.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Part {
    /// Which kind.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// Its text.
    pub(super) text: Option<String>,
    /// What its text rests on.
    pub(super) annotations: Option<Value>,
    /// Its refusal.
    pub(super) refusal: Option<String>,
    /// Log-probabilities of the text.
    pub(super) logprobs: Option<Vec<TokenLogprob>>,
}

/// Counted tokens.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(super) struct Usage {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    input_tokens_details: Option<InputDetails>,
    output_tokens_details: Option<OutputDetails>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct InputDetails {
    cached_tokens: Option<u64>,
    cache_write_tokens: Option<u64>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct OutputDetails {
    reasoning_tokens: Option<u64>,
}

/// A token count.
#[derive(Debug, Deserialize)]
pub(super) struct Count {
    /// Of the whole input.
    pub(super) input_tokens: u64,
}

impl Usage {
    /// Into disjoint buckets, whose sum is what the server counted.
    pub(super) fn buckets(&self) -> message::Usage {
        let input = self.input_tokens.unwrap_or(0);
        let output = self.output_tokens.unwrap_or(0);
        let details = self.input_tokens_details.unwrap_or_default();
        let cached = details.cached_tokens.unwrap_or(0).min(input);
        let written = details.cache_write_tokens.unwrap_or(0).min(input - cached);
        let reasoning =
            self.output_tokens_details.unwrap_or_default().reasoning_tokens.unwrap_or(0).min(output);
        message::Usage {
            input_tokens: input - cached - written,
            cache_read_tokens: cached,
            cache_write_5m_tokens: written,
            cache_write_1h_tokens: 0,
            output_tokens: output - reasoning,
            reasoning_tokens: reasoning,
        }
    }
}
