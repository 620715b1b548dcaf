//! A [`Completion`] as Converse's whole response, and the words that its stream shares.
//!
//! Source: `ConverseResponse`, `TokenUsage`, `StopReason`, bedrock-runtime service model
//! of botocore 1.44.5 (read 2026-11-22).

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use message::{Block, BlockKind, Call, Completion, Dialect, FinishReason, ToolOrigin, Usage};
use serde_json::{Value, json};

use super::citation;
use super::names::tool_use_id;
use super::pointer;
use crate::tier;

/// The response to Converse.
pub(super) fn response(completion: Completion, call: &Call, latency_ms: u64) -> Value {
    let fields = call.chat().ok().and_then(|chat| pointer::fields(chat, completion.stop_sequence.as_deref()));
    let reason = completion.finish.as_ref().map_or("end_turn", stop_reason);
    let content: Vec<Value> = completion.content.into_iter().filter_map(block).collect();
    let mut response = json!({
        "output": { "message": { "role": "assistant", "content": content } },
        "stopReason": reason,
        "usage": usage(&completion.usage),
        "metrics": { "latencyMs": latency_ms },
    });
    if let Some(fields) = fields {
        response["additionalModelResponseFields"] = fields;
    }
    echo(call, &mut response);
    response
}

/// Tells a client that asked for a tier or a latency which it got: no target but Bedrock
/// itself, whose replies are forwarded, has another latency than the usual.
pub(super) fn echo(call: &Call, answer: &mut Value) {
    let Ok(chat) = call.chat() else { return };
    if chat.home == Dialect::BedrockConverse && chat.extra.contains_key("performanceConfig") {
        answer["performanceConfig"] = json!({ "latency": "standard" });
    }
    if let Some(tier) = tier::given(call, "serviceTier").filter(|_| chat.home == Dialect::BedrockConverse) {
        answer["serviceTier"] = json!({ "type": tier });
    }
}

/// A block of the answer; `None` for what says nothing or cannot be said here.
fn block(block: Block) -> Option<Value> {
    match block.kind {
        BlockKind::Text(text) if !block.citations.is_empty() && !text.is_empty() => {
            let citations: Vec<Value> = block.citations.iter().map(citation::write).collect();
            let cited = json!({ "content": [{ "text": text }], "citations": citations });
            Some(json!({ "citationsContent": cited }))
        }
        // Blank text would be refused when the client sends the turn back to real Bedrock.
        BlockKind::Text(text) | BlockKind::Refusal(text) => {
            (!text.is_empty()).then(|| json!({ "text": text }))
        }
        BlockKind::Thinking { text, signature: None } => {
            (!text.is_empty()).then(|| json!({ "reasoningContent": { "reasoningText": { "text": text } } }))
        }
        BlockKind::Thinking { text, signature } => {
            let shown = json!({ "text": text, "signature": signature });
            Some(json!({ "reasoningContent": { "reasoningText": shown } }))
        }
        BlockKind::RedactedThinking(data) => {
            Some(json!({ "reasoningContent": { "redactedContent": redacted(&data) } }))
        }
        BlockKind::ToolUse { id, name, input, origin } => {
            let mut tool = json!({ "toolUseId": tool_use_id(&id), "name": name, "input": tool_input(input) });
            if origin == ToolOrigin::Server {
                tool["type"] = Value::from("server_tool_use");
            }
            Some(json!({ "toolUse": tool }))
        }
        BlockKind::Opaque { dialect: Dialect::BedrockConverse, value } => Some(value),
        // No model answers with these, or they are another vendor's.
        BlockKind::Opaque { .. }
        | BlockKind::Image(_)
        | BlockKind::Document(_)
        | BlockKind::SearchResult(_)
        | BlockKind::Audio(_)
        | BlockKind::Video(_)
        | BlockKind::ToolResult { .. } => None,
    }
}

/// A tool's arguments as the object clients expect. No text means no arguments; what is
/// not an object is wrapped, visibly, rather than lost.
pub(super) fn tool_input(input: String) -> Value {
    if input.trim().is_empty() {
        return json!({});
    }
    match serde_json::from_str(&input) {
        Ok(object @ Value::Object(_)) => object,
        Ok(Value::Null) => json!({}),
        _ => json!({ "INVALID_JSON": input }),
    }
}

/// `redactedContent` is a blob: base64 on the wire. Vendors' sealed reasoning already is;
/// what is not is encoded, lest clients stumble.
pub(super) fn redacted(data: &str) -> Cow<'_, str> {
    match BASE64.decode(data) {
        Ok(_) => Cow::Borrowed(data),
        Err(_) => Cow::Owned(BASE64.encode(data)),
    }
}

/// The nearest documented stop reason.
pub(super) fn stop_reason(reason: &FinishReason) -> &str {
    match reason {
        FinishReason::EndTurn | FinishReason::PauseTurn => "end_turn",
        FinishReason::MaxTokens => "max_tokens",
        FinishReason::StopSequence => "stop_sequence",
        FinishReason::ToolUse => "tool_use",
        FinishReason::Refusal | FinishReason::ContentFilter => "content_filtered",
        FinishReason::Guardrail => "guardrail_intervened",
        FinishReason::ContextWindow => "model_context_window_exceeded",
        FinishReason::MalformedToolUse => "malformed_tool_use",
        FinishReason::Other(word) if word == "malformed_model_output" => "malformed_model_output",
        FinishReason::Other(_) => "end_turn",
    }
}

/// Token counts: `inputTokens` without cached ones, `totalTokens` with all.
pub(super) fn usage(usage: &Usage) -> Value {
    let mut counted = json!({
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.total_output(),
        "totalTokens": usage.total(),
        "cacheReadInputTokens": usage.cache_read_tokens,
        "cacheWriteInputTokens": usage.cache_write_5m_tokens + usage.cache_write_1h_tokens,
    });
    let details: Vec<Value> = [("1h", usage.cache_write_1h_tokens), ("5m", usage.cache_write_5m_tokens)]
        .into_iter()
        .filter(|(_, tokens)| *tokens > 0)
        .map(|(ttl, tokens)| json!({ "ttl": ttl, "inputTokens": tokens }))
        .collect();
    if !details.is_empty() {
        counted["cacheDetails"] = Value::from(details);
    }
    counted
}
