//! The `response` object: what was asked for, repeated, and what came of it.

use message::{BlockKind, Call, Completion, FinishReason, Usage};
use serde_json::{Map, Value, json};

use super::Ending;
use super::item::{self, Identity};
use crate::openai::error;
use crate::openai::responses::inbound::Spoken;
use crate::openai::responses::stored::PREVIOUS_RESPONSE;

/// Settings that are repeated as the client wrote them, and what stands there when it
/// wrote none.
fn repeated() -> [(&'static str, Value); 19] {
    [
        ("background", false.into()),
        ("instructions", Value::Null),
        ("max_output_tokens", Value::Null),
        ("max_tool_calls", Value::Null),
        ("metadata", json!({})),
        ("parallel_tool_calls", true.into()),
        ("previous_response_id", Value::Null),
        ("prompt_cache_key", Value::Null),
        ("reasoning", json!({"effort": null, "summary": null})),
        ("safety_identifier", Value::Null),
        ("service_tier", "default".into()),
        ("store", true.into()),
        ("temperature", 1.0.into()),
        ("text", json!({"format": {"type": "text"}, "verbosity": "medium"})),
        ("tool_choice", "auto".into()),
        ("tools", json!([])),
        ("top_logprobs", 0.into()),
        ("top_p", 1.0.into()),
        ("truncation", "disabled".into()),
    ]
}

/// What a response repeats of its request, and who it is.
pub(super) struct Settings {
    /// Everything but what changes while it is answered.
    object: Map<String, Value>,
    pub(super) identity: Identity,
    created_s: u64,
    /// Log-probabilities were asked for.
    pub(super) logprobs: bool,
}

impl Settings {
    pub(super) fn of(call: &Call, created_s: u64) -> Self {
        let mut body: Map<String, Value> = serde_json::from_slice(&call.body).unwrap_or_default();
        let mut object = Map::new();
        object.insert("id".to_owned(), super::response_id(call).into());
        object.insert("object".to_owned(), "response".into());
        object.insert("created_at".to_owned(), created_s.into());
        // In their place among the rest; set by what comes.
        for name in ["status", "completed_at", "error", "incomplete_details"] {
            object.insert(name.to_owned(), Value::Null);
        }
        object.insert("model".to_owned(), call.head.model.as_str().into());
        object.insert("output".to_owned(), json!([]));
        let spoken = Spoken::of(&body);
        let included = body.get("include").and_then(Value::as_array);
        let included =
            included.is_some_and(|all| all.iter().any(|one| one == "message.output_text.logprobs"));
        let top = body.get("top_logprobs").and_then(Value::as_u64).unwrap_or(0);
        for (name, usual) in repeated() {
            let said = body.shift_remove(name).filter(|value| !value.is_null());
            object.insert(name.to_owned(), completed(said, usual));
        }
        if let Some(previous) = call.headers.get(&PREVIOUS_RESPONSE).and_then(|id| id.to_str().ok()) {
            object.insert("previous_response_id".to_owned(), previous.into());
        }
        object.insert("usage".to_owned(), Value::Null);
        object.insert("user".to_owned(), body.shift_remove("user").unwrap_or_default());
        let identity = Identity { base: super::hex_of(call), spoken };
        Self { object, identity, created_s, logprobs: included || top > 0 }
    }

    /// The response while it is answered.
    pub(super) fn in_progress(&self) -> Map<String, Value> {
        let mut object = self.object.clone();
        object.insert("status".to_owned(), "in_progress".into());
        object
    }

    /// The response at its end.
    pub(super) fn ended(&self, ending: Ending, output: Vec<Value>, counted: &Usage) -> Map<String, Value> {
        let mut object = self.object.clone();
        object.insert("status".to_owned(), ending.status().into());
        match ending {
            Ending::Completed => object.insert("completed_at".to_owned(), self.created_s.into()),
            Ending::Incomplete(reason) => {
                object.insert("incomplete_details".to_owned(), json!({ "reason": reason }))
            }
        };
        object.insert("output".to_owned(), output.into());
        object.insert("usage".to_owned(), usage(counted));
        object
    }

    /// The response that failed on the way.
    pub(super) fn failed(&self, failure: &message::Failure, output: Vec<Value>) -> Map<String, Value> {
        let mut object = self.object.clone();
        object.insert("status".to_owned(), "failed".into());
        object.insert("error".to_owned(), json!({"code": failed_code(failure), "message": failure.message}));
        object.insert("output".to_owned(), output.into());
        object
    }

    /// The response of a call that did not ask for a stream.
    pub(super) fn whole(&self, completion: Completion) -> Map<String, Value> {
        let refusal = |kind: &BlockKind| matches!(kind, BlockKind::Refusal(_));
        let refusal_shown = completion.content.iter().any(|block| refusal(&block.kind));
        let reason = completion.finish.as_ref().unwrap_or(&FinishReason::EndTurn);
        let ending = Ending::of(reason, refusal_shown);
        let logprobs = if self.logprobs { &completion.logprobs[..] } else { &[] };
        let mut output = Vec::with_capacity(completion.content.len());
        for block in &completion.content {
            let place = output.len();
            output.extend(item::whole(&self.identity, place, block, logprobs));
        }
        self.ended(ending, output, &completion.usage)
    }
}

/// A setting as the client wrote it, its unsaid members as they usually are.
fn completed(said: Option<Value>, usual: Value) -> Value {
    match (said, usual) {
        (None, usual) => usual,
        (Some(Value::Object(said)), Value::Object(mut usual)) => {
            usual.extend(said);
            usual.into()
        }
        (Some(said), _) => said,
    }
}

/// The word for what went wrong that this dialect's clients look for in a response.
fn failed_code(failure: &message::Failure) -> &'static str {
    use message::ErrorKind;
    match failure.kind {
        ErrorKind::RateLimited => "rate_limit_exceeded",
        ErrorKind::ContextOverflow => "context_length_exceeded",
        ErrorKind::InvalidRequest => "invalid_prompt",
        ErrorKind::Upstream | ErrorKind::Timeout | ErrorKind::Internal | ErrorKind::Unavailable => {
            "server_error"
        }
        _ => error::code(failure),
    }
}

/// The dialect counts cached tokens into the input, and reasoning into the output.
pub(super) fn usage(usage: &Usage) -> Value {
    json!({
        "input_tokens": usage.total_input(),
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
        },
        "output_tokens": usage.total_output(),
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total(),
    })
}
