//! ConverseStream's frames, in the order real Bedrock sends them: `messageStart`; per
//! block `contentBlockStart` (tools only), `contentBlockDelta`s, `contentBlockStop`;
//! `messageStop`; `metadata`.
//!
//! Source: `ConverseStreamOutput`, bedrock-runtime service model of botocore 1.44.5
//! (read 2026-11-22).

use message::{BlockHead, Call, Delta, Dialect, Event, FinishReason, Usage};
use serde::Serialize;
use serde_json::{Value, json};

use super::citation;
use super::names::tool_use_id;
use super::pointer;
use super::whole::{echo, redacted, stop_reason, usage};
use crate::framing::eventstream;
use crate::json;

/// Where the stream's events go: frames of ConverseStream, or InvokeModel's chunks.
pub(super) trait Emit {
    /// Takes one event's name and its JSON.
    fn emit(&mut self, name: &str, payload: &[u8]);
}

impl Emit for Vec<u8> {
    fn emit(&mut self, name: &str, payload: &[u8]) {
        eventstream::write_event(self, name, payload);
    }
}

/// Writes frames for events whose blocks come one after the other.
#[derive(Default)]
pub(super) struct Frames {
    started: bool,
    /// Indexes given out: blocks that Converse cannot express get none.
    blocks: u32,
    open: Option<Open>,
    usage: Usage,
    /// The payload under construction, kept for its memory.
    payload: Vec<u8>,
}

struct Open {
    index: u32,
    /// A tool call none of whose input has been sent.
    tool_without_input: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BlockDelta<'a> {
    content_block_index: u32,
    delta: DeltaBody<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum DeltaBody<'a> {
    Text(&'a str),
    ToolUse { input: &'a str },
    ReasoningContent(ReasoningDelta<'a>),
    Citation(Value),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum ReasoningDelta<'a> {
    Text(&'a str),
    Signature(&'a str),
    RedactedContent(&'a str),
}

impl Frames {
    /// Writes what an event is on the wire: often one frame, sometimes none.
    pub(super) fn write(&mut self, event: Event, call: &Call, out: &mut impl Emit) {
        match event {
            Event::Start { .. } => self.start(out),
            Event::BlockStart { block, .. } => {
                self.start(out);
                self.block_start(block, out);
            }
            Event::Delta { delta, .. } => self.delta(&delta, out),
            Event::BlockStop { .. } => self.block_stop(out),
            Event::Usage(usage) => self.usage = usage,
            Event::Finish { reason, stop_sequence } => {
                self.start(out);
                self.stop(&reason, stop_sequence.as_deref(), call, out);
            }
            Event::Embedding(_) | Event::Ranking(_) | Event::Choice { .. } | Event::Frame(_) => {}
        }
    }

    /// The last frame: what the answer cost.
    pub(super) fn metadata(&mut self, call: &Call, latency_ms: u64, out: &mut impl Emit) {
        let mut payload = json!({ "usage": usage(&self.usage), "metrics": { "latencyMs": latency_ms } });
        echo(call, &mut payload);
        self.frame("metadata", &payload, out);
    }

    fn start(&mut self, out: &mut impl Emit) {
        if !self.started {
            self.started = true;
            self.frame("messageStart", &json!({ "role": "assistant" }), out);
        }
    }

    fn block_start(&mut self, block: BlockHead, out: &mut impl Emit) {
        let index = self.blocks;
        let mut open = Open { index, tool_without_input: false };
        match block {
            // Their first delta tells what they are.
            BlockHead::Text | BlockHead::Thinking | BlockHead::Refusal => {}
            BlockHead::RedactedThinking(data) => {
                let data = redacted(&data);
                self.block_delta(
                    index,
                    DeltaBody::ReasoningContent(ReasoningDelta::RedactedContent(&data)),
                    out,
                );
            }
            BlockHead::ToolUse { id, name } => {
                open.tool_without_input = true;
                let tool = json!({ "toolUseId": tool_use_id(&id), "name": name });
                self.start_frame(index, &json!({ "toolUse": tool }), out);
            }
            BlockHead::Opaque { dialect: Dialect::BedrockConverse, value } => {
                self.start_frame(index, &value, out)
            }
            // Another vendor's block: there is no word for it here.
            BlockHead::Opaque { .. } => return,
        }
        self.blocks += 1;
        self.open = Some(open);
    }

    fn start_frame(&mut self, index: u32, start: &Value, out: &mut impl Emit) {
        self.frame("contentBlockStart", &json!({ "start": start, "contentBlockIndex": index }), out);
    }

    fn delta(&mut self, delta: &Delta, out: &mut impl Emit) {
        let Some(open) = &mut self.open else { return };
        let index = open.index;
        let body = match delta {
            Delta::Text { text, .. } if text.is_empty() => return,
            Delta::Text { text, .. } => DeltaBody::Text(text),
            Delta::Thinking(text) => DeltaBody::ReasoningContent(ReasoningDelta::Text(text)),
            Delta::Signature(seal) => DeltaBody::ReasoningContent(ReasoningDelta::Signature(seal)),
            Delta::ToolInput(input) if input.is_empty() => return,
            Delta::ToolInput(input) => {
                open.tool_without_input = false;
                DeltaBody::ToolUse { input }
            }
            Delta::Citation(citation) => DeltaBody::Citation(citation::write(citation)),
            // Another vendor's: there is no word for it here.
            Delta::Opaque(_) => return,
        };
        self.block_delta(index, body, out);
    }

    fn block_delta(&mut self, index: u32, delta: DeltaBody<'_>, out: &mut impl Emit) {
        self.frame("contentBlockDelta", &BlockDelta { content_block_index: index, delta }, out);
    }

    fn block_stop(&mut self, out: &mut impl Emit) {
        let Some(open) = self.open.take() else { return };
        if open.tool_without_input {
            // Clients parse what they gathered, and nothing is not JSON.
            self.block_delta(open.index, DeltaBody::ToolUse { input: "{}" }, out);
        }
        self.frame("contentBlockStop", &json!({ "contentBlockIndex": open.index }), out);
    }

    fn stop(&mut self, reason: &FinishReason, stop_sequence: Option<&str>, call: &Call, out: &mut impl Emit) {
        let mut payload = json!({ "stopReason": stop_reason(reason) });
        if let Some(fields) = call.chat().ok().and_then(|chat| pointer::fields(chat, stop_sequence)) {
            payload["additionalModelResponseFields"] = fields;
        }
        self.frame("messageStop", &payload, out);
    }

    fn frame(&mut self, name: &str, payload: &impl Serialize, out: &mut impl Emit) {
        self.payload.clear();
        json::write(&mut self.payload, payload);
        out.emit(name, &self.payload);
    }
}
