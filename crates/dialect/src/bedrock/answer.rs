//! Converse's replies, whole or streamed → [`Event`]s, when the client speaks another
//! dialect.
//!
//! Strict about the grammar: a delta that its block does not take is an error and not a
//! guess, since a guess would put text into a tool call. Unlike others, Converse announces
//! only tool calls: a block of text or reasoning begins with its first delta. Kinds that
//! this version does not know pass as opaque. Source: `ConverseStreamOutput` and
//! `ConverseResponse`, bedrock-runtime service model of botocore 1.44.5 (read 2026-11-22).

use std::collections::HashMap;
use std::mem;

use message::{BlockHead, Delta, Dialect, Event, Failure, FinishReason, Usage};
use serde::Deserialize;
use serde_json::Value;

use super::citation;
use super::decode::{nonsense, parse};

/// The answer so far.
#[derive(Default)]
pub(super) struct Answer {
    /// Tool names as they were sent → as the client knows them.
    renamed: HashMap<String, String>,
    started: bool,
    finished: bool,
    /// Blocks begun and not ended.
    open: Vec<Open>,
    next_index: u32,
    /// Why it ended; told after `metadata`, which comes last.
    stop: Option<(FinishReason, Option<String>)>,
}

/// A block that is growing. The server's index is mapped to the hub's, which has no gaps.
struct Open {
    wire_index: u64,
    index: u32,
    form: Form,
}

/// Which deltas a block takes.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    Text,
    Thinking,
    Redacted,
    /// Whether any input came.
    ToolUse {
        input: bool,
    },
    Opaque,
}

/// Every member that any of the stream's events has.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WireEvent {
    content_block_index: Option<u64>,
    start: Option<Value>,
    delta: Option<WireDelta>,
    stop_reason: Option<String>,
    additional_model_response_fields: Option<Value>,
    usage: Option<WireUsage>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WireDelta {
    text: Option<String>,
    tool_use: Option<ToolUseDelta>,
    reasoning_content: Option<ReasoningDelta>,
    citation: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ToolUseDelta {
    input: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ReasoningDelta {
    text: Option<String>,
    signature: Option<String>,
    redacted_content: Option<String>,
}

/// Counted tokens: `inputTokens` are those that came from no cache and went into none.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct WireUsage {
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
    #[serde(alias = "cacheReadInputTokenCount")]
    pub(super) cache_read_input_tokens: u64,
    #[serde(alias = "cacheWriteInputTokenCount")]
    pub(super) cache_write_input_tokens: u64,
    cache_details: Vec<CacheDetail>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct CacheDetail {
    ttl: String,
    input_tokens: u64,
}

impl From<WireUsage> for Usage {
    fn from(wire: WireUsage) -> Self {
        let hour = wire.cache_details.iter().filter(|detail| detail.ttl == "1h");
        let hour = hour.map(|detail| detail.input_tokens).fold(0, u64::saturating_add);
        let hour = hour.min(wire.cache_write_input_tokens);
        Self {
            input_tokens: wire.input_tokens,
            cache_read_tokens: wire.cache_read_input_tokens,
            cache_write_5m_tokens: wire.cache_write_input_tokens - hour,
            cache_write_1h_tokens: hour,
            output_tokens: wire.output_tokens,
            reasoning_tokens: 0,
        }
    }
}

/// The whole reply.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WireResponse {
    output: WireOutput,
    stop_reason: Option<String>,
    usage: Option<WireUsage>,
    additional_model_response_fields: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireOutput {
    message: Option<WireMessage>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WireMessage {
    content: Vec<Value>,
}

impl Answer {
    pub(super) fn new(renamed: HashMap<String, String>) -> Self {
        Self { renamed, ..Self::default() }
    }

    /// Takes in one event of a stream.
    pub(super) fn read(
        &mut self,
        name: &str,
        payload: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        match name {
            "messageStart" => self.start(events),
            "contentBlockStart" => {
                let event: WireEvent = parse(payload)?;
                let index = place(name, &event)?;
                self.begin(index, event.start.unwrap_or_default(), events)?;
            }
            "contentBlockDelta" => {
                let event: WireEvent = parse(payload)?;
                let index = place(name, &event)?;
                self.delta(index, event.delta.unwrap_or_default(), payload, events)?;
            }
            "contentBlockStop" => {
                let index = place(name, &parse(payload)?)?;
                if let Some(at) = self.open.iter().position(|open| open.wire_index == index) {
                    close(self.open.remove(at), events);
                }
            }
            "messageStop" => {
                let event: WireEvent = parse(payload)?;
                self.stop(event.stop_reason.as_deref(), event.additional_model_response_fields.as_ref());
            }
            "metadata" => {
                let event: WireEvent = parse(payload)?;
                events.extend(event.usage.map(|usage| Event::Usage(usage.into())));
                self.finish(events);
            }
            // What is yet to come.
            _ => {}
        }
        Ok(())
    }

    /// Takes in a whole reply.
    pub(super) fn whole(&mut self, body: &[u8], events: &mut Vec<Event>) -> Result<(), Failure> {
        let response: WireResponse = parse(body)?;
        let Some(reason) = response.stop_reason else {
            return Err(nonsense("an answer without a stopReason"));
        };
        let Some(message) = response.output.message else {
            return Err(nonsense("an answer without a message"));
        };
        self.start(events);
        for (index, block) in (0..).zip(message.content) {
            self.block(index, block, events)?;
        }
        events.extend(response.usage.map(|usage| Event::Usage(usage.into())));
        self.stop(Some(&reason), response.additional_model_response_fields.as_ref());
        self.finish(events);
        Ok(())
    }

    /// Whether the answer said why it ended. A stream whose last event, the metadata, is
    /// missing is whole but for its cost.
    pub(super) fn is_over(&self) -> bool {
        self.finished || self.stop.is_some()
    }

    /// Tells why it ended, and closes what is open.
    pub(super) fn finish(&mut self, events: &mut Vec<Event>) {
        let Some((reason, stop_sequence)) = self.stop.take() else { return };
        self.finished = true;
        self.start(events);
        for open in self.open.drain(..) {
            close(open, events);
        }
        events.push(Event::Finish { reason, stop_sequence });
    }

    fn start(&mut self, events: &mut Vec<Event>) {
        if !mem::replace(&mut self.started, true) {
            // Converse's answers have no id but the request's, in a header.
            events.push(Event::Start { id: None });
        }
    }

    fn stop(&mut self, reason: Option<&str>, fields: Option<&Value>) {
        let sequence = fields.and_then(|fields| fields.get("stop_sequence")).and_then(Value::as_str);
        let reason = reason.map_or(FinishReason::EndTurn, finish_reason);
        self.stop = Some((reason, sequence.map(str::to_owned)));
    }

    fn open(
        &mut self,
        wire_index: u64,
        form: Form,
        block: BlockHead,
        events: &mut Vec<Event>,
    ) -> Result<u32, Failure> {
        self.start(events);
        let index = self.next_index;
        self.next_index = index.checked_add(1).ok_or_else(|| nonsense("too many blocks"))?;
        events.push(Event::BlockStart { index, block });
        self.open.push(Open { wire_index, index, form });
        Ok(index)
    }

    fn begin(&mut self, wire_index: u64, start: Value, events: &mut Vec<Event>) -> Result<(), Failure> {
        if self.open.iter().any(|open| open.wire_index == wire_index) {
            return Err(nonsense(format_args!("block {wire_index} began twice")));
        }
        let (form, head) = match start.get("toolUse") {
            Some(tool) if tool.get("type").is_none_or(Value::is_null) => {
                (Form::ToolUse { input: false }, self.tool_head(tool)?)
            }
            // The vendor's own tools, their results, pictures, and what is yet to come.
            _ => (Form::Opaque, BlockHead::Opaque { dialect: Dialect::BedrockConverse, value: start }),
        };
        self.open(wire_index, form, head, events).map(drop)
    }

    fn tool_head(&self, tool: &Value) -> Result<BlockHead, Failure> {
        let text = |name| tool.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let (Some(id), Some(name)) = (text("toolUseId"), text("name")) else {
            return Err(nonsense("a tool call without an id or a name"));
        };
        let name = self.renamed.get(name).map_or(name, String::as_str);
        Ok(BlockHead::ToolUse { id: id.to_owned(), name: name.to_owned() })
    }

    fn delta(
        &mut self,
        wire_index: u64,
        delta: WireDelta,
        payload: &[u8],
        events: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        if let Some(text) = delta.text {
            let index = self.grow(wire_index, Form::Text, events)?;
            push(index, Delta::text(text), events);
        } else if let Some(ToolUseDelta { input }) = delta.tool_use {
            let index = self.grow(wire_index, Form::ToolUse { input: true }, events)?;
            push(index, Delta::ToolInput(input), events);
        } else if let Some(reasoning) = delta.reasoning_content {
            self.reasoning(wire_index, reasoning, events)?;
        } else if let Some(citation) = delta.citation {
            if let Some(citation) = citation::read(&citation) {
                let index = self.grow(wire_index, Form::Text, events)?;
                push(index, Delta::Citation(Box::new(citation)), events);
            }
        } else if let Some(open) =
            self.open.iter().find(|open| open.wire_index == wire_index && open.form == Form::Opaque)
        {
            let mut event: Value = parse(payload)?;
            let delta = event.get_mut("delta").map(Value::take).unwrap_or_default();
            push(open.index, Delta::Opaque(delta), events);
        }
        // Deltas that this version does not know, of blocks it does.
        Ok(())
    }

    fn reasoning(
        &mut self,
        wire_index: u64,
        delta: ReasoningDelta,
        events: &mut Vec<Event>,
    ) -> Result<(), Failure> {
        if let Some(data) = delta.redacted_content {
            // Whole at once: a second one is a block of its own.
            if let Some(at) =
                self.open.iter().position(|open| open.wire_index == wire_index && open.form == Form::Redacted)
            {
                close(self.open.remove(at), events);
            }
            if self.open.iter().any(|open| open.wire_index == wire_index) {
                return Err(mixed(wire_index));
            }
            return self
                .open(wire_index, Form::Redacted, BlockHead::RedactedThinking(data), events)
                .map(drop);
        }
        let index = self.grow(wire_index, Form::Thinking, events)?;
        if let Some(text) = delta.text {
            push(index, Delta::Thinking(text), events);
        }
        if let Some(seal) = delta.signature {
            push(index, Delta::Signature(seal), events);
        }
        Ok(())
    }

    /// The block a delta belongs to, which begins with it if it may.
    fn grow(&mut self, wire_index: u64, form: Form, events: &mut Vec<Event>) -> Result<u32, Failure> {
        if let Some(open) = self.open.iter_mut().find(|open| open.wire_index == wire_index) {
            return match (&mut open.form, form) {
                (Form::ToolUse { input }, Form::ToolUse { .. }) => {
                    *input = true;
                    Ok(open.index)
                }
                (own, form) if *own == form => Ok(open.index),
                // The text of a server tool's result.
                (Form::Opaque, _) => Ok(open.index),
                _ => Err(mixed(wire_index)),
            };
        }
        match form {
            Form::Text => self.open(wire_index, form, BlockHead::Text, events),
            Form::Thinking => self.open(wire_index, form, BlockHead::Thinking, events),
            _ => Err(nonsense(format_args!("input for block {wire_index}, which is not open"))),
        }
    }

    /// A block of a whole reply: begun, grown and closed.
    fn block(&mut self, wire_index: u64, mut block: Value, events: &mut Vec<Event>) -> Result<(), Failure> {
        let cited =
            block.pointer_mut("/citationsContent/content").and_then(Value::as_array_mut).map(mem::take);
        if let Some(pieces) = cited {
            self.grow(wire_index, Form::Text, events)?;
            for piece in &pieces {
                if let Some(text) = piece.get("text").and_then(Value::as_str) {
                    let delta = WireDelta { text: Some(text.to_owned()), ..WireDelta::default() };
                    self.delta(wire_index, delta, b"{}", events)?;
                }
            }
            let citations = block.pointer_mut("/citationsContent/citations").and_then(Value::as_array_mut);
            for citation in citations.map(mem::take).unwrap_or_default() {
                let delta = WireDelta { citation: Some(citation), ..WireDelta::default() };
                self.delta(wire_index, delta, b"{}", events)?;
            }
        } else if let Some(Value::String(text)) = block.get_mut("text").map(Value::take) {
            let delta = WireDelta { text: Some(text), ..WireDelta::default() };
            self.delta(wire_index, delta, b"{}", events)?;
        } else if let Some(reasoning) = block.get_mut("reasoningContent").map(Value::take) {
            let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
            let reasoning = ReasoningDelta {
                text: text(reasoning.pointer("/reasoningText/text")),
                signature: text(reasoning.pointer("/reasoningText/signature")),
                redacted_content: text(reasoning.get("redactedContent")),
            };
            self.reasoning(wire_index, reasoning, events)?;
        } else if let Some(tool) =
            block.get("toolUse").filter(|tool| tool.get("type").is_none_or(Value::is_null))
        {
            let input = tool.get("input").filter(|input| !input.is_null()).map(Value::to_string);
            let head = self.tool_head(tool)?;
            let index = self.open(wire_index, Form::ToolUse { input: true }, head, events)?;
            push(index, Delta::ToolInput(input.unwrap_or_else(|| "{}".to_owned())), events);
        } else {
            let head = BlockHead::Opaque { dialect: Dialect::BedrockConverse, value: block };
            self.open(wire_index, Form::Opaque, head, events)?;
        }
        for open in self.open.drain(..) {
            close(open, events);
        }
        Ok(())
    }
}

fn place(name: &str, event: &WireEvent) -> Result<u64, Failure> {
    event.content_block_index.ok_or_else(|| nonsense(format_args!("{name} without a contentBlockIndex")))
}

fn mixed(wire_index: u64) -> Failure {
    nonsense(format_args!("a delta of another kind inside block {wire_index}"))
}

fn push(index: u32, delta: Delta, events: &mut Vec<Event>) {
    let empty = match &delta {
        Delta::Text { text, .. } => text.is_empty(),
        Delta::Thinking(text) | Delta::ToolInput(text) | Delta::Signature(text) => text.is_empty(),
        Delta::Citation(_) | Delta::Opaque(_) => false,
    };
    if !empty {
        events.push(Event::Delta { index, delta });
    }
}

fn close(open: Open, events: &mut Vec<Event>) {
    let index = open.index;
    // A call without arguments streams no input at all; its input is still `{}`.
    if open.form == (Form::ToolUse { input: false }) {
        events.push(Event::Delta { index, delta: Delta::ToolInput("{}".to_owned()) });
    }
    events.push(Event::BlockStop { index });
}

/// The hub's word for a stop reason.
pub(super) fn finish_reason(word: &str) -> FinishReason {
    match word {
        "end_turn" => FinishReason::EndTurn,
        "tool_use" => FinishReason::ToolUse,
        "max_tokens" => FinishReason::MaxTokens,
        "stop_sequence" => FinishReason::StopSequence,
        "guardrail_intervened" => FinishReason::Guardrail,
        "content_filtered" => FinishReason::ContentFilter,
        "malformed_tool_use" => FinishReason::MalformedToolUse,
        "model_context_window_exceeded" => FinishReason::ContextWindow,
        other => FinishReason::Other(other.to_owned()),
    }
}
