//! Replies of the SDK in the JSON that boto3 shows of the same.

use aws_sdk_bedrockruntime::operation::converse::ConverseOutput;
use aws_sdk_bedrockruntime::types::{
    ContentBlock, ContentBlockDelta, ContentBlockStart, ConverseOutput as Output, ConverseStreamOutput,
    TokenUsage,
};
use aws_smithy_types::{Document, Number, base64};
use serde_json::{Value, json};

pub fn converse(reply: &ConverseOutput, request_id: Option<&str>) -> Value {
    let message = match reply.output() {
        Some(Output::Message(message)) => json!({
            "role": message.role().as_str(),
            "content": message.content().iter().map(block).collect::<Vec<_>>(),
        }),
        _ => Value::Null,
    };
    let found = json!({
        "output": {"message": message},
        "stopReason": reply.stop_reason().as_str(),
        "usage": reply.usage().map(usage),
        "metrics": reply.metrics().map(|metrics| json!({"latencyMs": metrics.latency_ms()})),
    });
    with_metadata(found, request_id)
}

fn block(block: &ContentBlock) -> Value {
    match block {
        ContentBlock::Text(text) => json!({"text": text}),
        ContentBlock::ToolUse(r#use) => json!({"toolUse": {
            "toolUseId": r#use.tool_use_id(),
            "name": r#use.name(),
            "input": value(r#use.input()),
        }}),
        _ => json!({"unknown": {}}),
    }
}

pub fn event(event: &ConverseStreamOutput) -> Value {
    match event {
        ConverseStreamOutput::MessageStart(start) => json!({"messageStart": {"role": start.role().as_str()}}),
        ConverseStreamOutput::ContentBlockStart(start) => {
            let started = match start.start() {
                Some(ContentBlockStart::ToolUse(tool)) => {
                    json!({"toolUse": {"toolUseId": tool.tool_use_id(), "name": tool.name()}})
                }
                _ => json!({"unknown": {}}),
            };
            json!({"contentBlockStart": {"start": started, "contentBlockIndex": start.content_block_index()}})
        }
        ConverseStreamOutput::ContentBlockDelta(delta) => {
            let piece = match delta.delta() {
                Some(ContentBlockDelta::Text(text)) => json!({"text": text}),
                Some(ContentBlockDelta::ToolUse(tool)) => json!({"toolUse": {"input": tool.input()}}),
                _ => json!({"unknown": {}}),
            };
            json!({"contentBlockDelta": {"delta": piece, "contentBlockIndex": delta.content_block_index()}})
        }
        ConverseStreamOutput::ContentBlockStop(stop) => {
            json!({"contentBlockStop": {"contentBlockIndex": stop.content_block_index()}})
        }
        ConverseStreamOutput::MessageStop(stop) => {
            json!({"messageStop": {"stopReason": stop.stop_reason().as_str()}})
        }
        ConverseStreamOutput::Metadata(metadata) => json!({"metadata": {
            "usage": metadata.usage().map(usage),
            "metrics": metadata.metrics().map(|metrics| json!({"latencyMs": metrics.latency_ms()})),
        }}),
        _ => json!({"unknown": {}}),
    }
}

fn usage(usage: &TokenUsage) -> Value {
    json!({
        "inputTokens": usage.input_tokens(),
        "cacheReadInputTokens": usage.cache_read_input_tokens(),
        "outputTokens": usage.output_tokens(),
        "totalTokens": usage.total_tokens(),
    })
}

/// As the AWS SDK for JavaScript shows it.
pub fn metadata(request_id: Option<&str>) -> Value {
    with_metadata(json!({}), request_id)
}

pub fn with_metadata(mut output: Value, request_id: Option<&str>) -> Value {
    output["$metadata"] = json!({"requestId": request_id});
    output
}

pub fn bytes(bytes: &[u8]) -> Value {
    json!({"$bytes": base64::encode(bytes)})
}

fn value(document: &Document) -> Value {
    match document {
        Document::Null => Value::Null,
        Document::Bool(value) => json!(value),
        Document::String(value) => json!(value),
        Document::Array(items) => items.iter().map(value).collect(),
        Document::Object(fields) => fields.iter().map(|(name, item)| (name.clone(), value(item))).collect(),
        Document::Number(Number::PosInt(number)) => json!(number),
        Document::Number(Number::NegInt(number)) => json!(number),
        Document::Number(Number::Float(number)) => json!(number),
    }
}
