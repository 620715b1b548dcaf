//! Cohere Command: by a bare prompt, and Command R by a message with its history.
//!
//! Command R pairs tool calls and results by their order and names, not by ids: those
//! made up here never leave. Sources: Amazon Bedrock user guide, "Cohere Command models"
//! and "Cohere Command R and Command R+ models"; read 2026-11-22.

use std::collections::VecDeque;

use message::{
    Block, BlockHead, BlockKind, Call, Chat, Completion, Delta, Dialect, Event, Extra, Failure, FinishReason,
    Media, MediaSource, Message, Role, Tool, ToolKind, ToolOrigin, Usage,
};
use serde_json::{Map, Value, json};

use super::chunk::{self, Chunks};
use super::text::{Ending, Prompt, Words, plain};
use crate::bedrock::whole::tool_input;
use crate::bedrock::wire::{At, Object, list};
use crate::json;

/// Reads a body with a bare prompt.
pub(super) fn read_text(body: &[u8]) -> Result<Chat, Failure> {
    let mut prompt = Prompt::read(body, "prompt")?;
    prompt.body.take("stream");
    prompt.chat.sampling.max_tokens = prompt.body.count("max_tokens", 0)?;
    prompt.sampling("p", "k")?;
    prompt.stop("stop_sequences")?;
    if prompt.body.count("num_generations", 1)?.is_some_and(|number| number > 1) {
        return Err(Failure::unsupported("num_generations: one answer a call; ask again for another")
            .with_param("num_generations"));
    }
    Ok(prompt.done())
}

/// The words for a bare prompt's continuation, which repeat it.
pub(super) struct Command {
    prompt: String,
}

impl Command {
    pub(super) fn new(call: &Call) -> Self {
        let first = call.chat().ok().and_then(|chat| chat.messages.first());
        let prompt = first.and_then(|message| message.content.first()).and_then(Block::as_text);
        Self { prompt: prompt.unwrap_or_default().to_owned() }
    }
}

impl Words for Command {
    fn piece(&self, text: &str) -> Value {
        json!({ "is_finished": false, "text": text })
    }

    fn last(&self, ending: &Ending<'_>) -> Value {
        json!({ "is_finished": true, "finish_reason": finish_reason(ending.reason) })
    }

    fn whole(&self, text: String, ending: &Ending<'_>) -> Value {
        let generation =
            json!({ "id": ending.id, "text": text, "finish_reason": finish_reason(ending.reason) });
        json!({ "id": ending.id, "generations": [generation], "prompt": self.prompt })
    }
}

fn finish_reason(reason: &FinishReason) -> &'static str {
    match reason {
        FinishReason::MaxTokens | FinishReason::ContextWindow => "MAX_TOKENS",
        FinishReason::StopSequence => "STOP_SEQUENCE",
        FinishReason::ContentFilter | FinishReason::Refusal | FinishReason::Guardrail => "ERROR_TOXIC",
        FinishReason::MalformedToolUse => "ERROR",
        _ => "COMPLETE",
    }
}

/// Reads a body with a message and its history.
pub(super) fn read_chat(body: &[u8]) -> Result<Chat, Failure> {
    let mut body = Object::new(json::decode::<Value>(body)?, At::Body)?;
    let mut turns = Turns::default();
    if let Some(history) = body.take("chat_history") {
        let at = At::Body.key("chat_history");
        for (index, turn) in list(history, at)?.into_iter().enumerate() {
            turns.earlier(turn, at.index(index))?;
        }
    }
    if let Some(results) = body.take("tool_results") {
        turns.results(results, At::Body.key("tool_results"))?;
    }
    let mut said = Vec::new();
    if let Some(documents) = body.take("documents") {
        let at = At::Body.key("documents");
        for (index, file) in list(documents, at)?.into_iter().enumerate() {
            said.push(document(file, at.index(index))?);
        }
    }
    let text = body.require_string("message")?;
    if !text.is_empty() {
        said.push(Block::text(text));
    }
    turns.say(Role::User, said);

    let mut chat = Chat::new(Dialect::BedrockInvoke);
    chat.messages = turns.messages;
    if let Some(preamble) = body.string("preamble")? {
        chat.system.push(Block::text(preamble));
    }
    if let Some(tools) = body.take("tools") {
        let at = At::Body.key("tools");
        for (index, item) in list(tools, at)?.into_iter().enumerate() {
            chat.tools.push(tool(item, at.index(index))?);
        }
    }
    parameters(&mut body, &mut chat)?;
    chat.extra = body.rest();
    Ok(chat)
}

fn parameters(body: &mut Object<'_>, chat: &mut Chat) -> Result<(), Failure> {
    let sampling = &mut chat.sampling;
    sampling.max_tokens = body.count("max_tokens", 0)?;
    sampling.temperature = body.number("temperature")?;
    sampling.top_p = body.number("p")?;
    sampling.top_k = body.count("k", 0)?.filter(|top_k| *top_k > 0);
    sampling.presence_penalty = body.number("presence_penalty")?;
    sampling.frequency_penalty = body.number("frequency_penalty")?;
    sampling.seed = body.number("seed")?.and_then(|seed| seed.as_i64());
    if let Some(stop) = body.take("stop_sequences") {
        sampling.stop = crate::bedrock::wire::strings(stop, At::Body.key("stop_sequences"))?;
    }
    Ok(())
}

/// The conversation so far, and the calls whose results are still to come.
#[derive(Default)]
struct Turns {
    messages: Vec<Message>,
    calls: usize,
    open: VecDeque<(String, String)>,
}

impl Turns {
    fn say(&mut self, role: Role, content: Vec<Block>) {
        if !content.is_empty() {
            self.messages.push(Message { role, content, plain: false, extra: Extra::new() });
        }
    }

    fn earlier(&mut self, turn: Value, at: At<'_>) -> Result<(), Failure> {
        let mut turn = Object::new(turn, at)?;
        let role = turn.require_string("role")?;
        let mut content: Vec<Block> = turn.string("message")?.map(Block::text).into_iter().collect();
        match role.as_str() {
            "USER" => self.say(Role::User, content),
            "SYSTEM" => self.say(Role::System, content),
            "CHATBOT" => {
                if let Some(calls) = turn.take("tool_calls") {
                    let at = at.key("tool_calls");
                    for (index, call) in list(calls, at)?.into_iter().enumerate() {
                        content.push(self.call(call, at.index(index))?);
                    }
                }
                self.say(Role::Assistant, content);
            }
            "TOOL" => {
                let results = turn.require("tool_results")?;
                self.results(results, at.key("tool_results"))?;
            }
            _ => return Err(at.key("role").wrong("must be USER, CHATBOT, SYSTEM or TOOL")),
        }
        Ok(())
    }

    fn call(&mut self, call: Value, at: At<'_>) -> Result<Block, Failure> {
        let mut call = Object::new(call, at)?;
        let name = call.require_string("name")?;
        let input = call.take("parameters").unwrap_or_else(|| json!({})).to_string();
        self.calls += 1;
        let id = format!("call_{}", self.calls);
        self.open.push_back((name.clone(), id.clone()));
        Ok(Block::new(BlockKind::ToolUse { id, name, input, origin: ToolOrigin::Client }))
    }

    /// Results of calls; a call that the history does not have is added before them.
    fn results(&mut self, results: Value, at: At<'_>) -> Result<(), Failure> {
        let (mut missing, mut told) = (Vec::new(), Vec::new());
        for (index, result) in list(results, at)?.into_iter().enumerate() {
            let at = at.index(index);
            let mut result = Object::new(result, at)?;
            let call = result.require("call")?;
            let name = call.get("name").and_then(Value::as_str).unwrap_or_default();
            if !self.open.iter().any(|(open, _)| open == name) {
                missing.push(self.call(call.clone(), at.key("call"))?);
            }
            let place = self.open.iter().position(|(open, _)| open == name);
            let (_, id) = place.and_then(|place| self.open.remove(place)).unwrap_or_default();
            let outputs = result.take("outputs").unwrap_or_else(|| json!([]));
            let content = vec![Block::text(outputs.to_string())];
            told.push(Block::new(BlockKind::ToolResult { id, content, plain: false, is_error: None }));
        }
        self.say(Role::Assistant, missing);
        self.say(Role::User, told);
        Ok(())
    }
}

/// A document to ground the answer on: a map of text fields.
fn document(value: Value, at: At<'_>) -> Result<Block, Failure> {
    let fields = Object::new(value, at)?.rest();
    let name = ["title", "id"].iter().find_map(|name| fields.get(*name)?.as_str()).map(str::to_owned);
    let text = ["snippet", "text"].iter().find_map(|name| fields.get(*name)?.as_str()).map(str::to_owned);
    let text = text.unwrap_or_else(|| Value::Object(fields).to_string());
    let media_type = Some("text/plain".to_owned());
    let media = Media { media_type, name, source: MediaSource::Text(text) };
    Ok(Block::new(BlockKind::Document(media.into())))
}

/// A tool, its parameters described one by one in Python's names for types.
fn tool(value: Value, at: At<'_>) -> Result<Tool, Failure> {
    let mut tool = Object::new(value, at)?;
    let name = tool.require_string("name")?;
    let description = tool.string("description")?;
    let (mut properties, mut required) = (Map::new(), Vec::new());
    if let Some(definitions) = tool.take("parameter_definitions") {
        let at = at.key("parameter_definitions");
        for (name, definition) in Object::new(definitions, at)?.rest() {
            let mut definition = Object::new(definition, at.key(&name))?;
            if definition.boolean("required")? == Some(true) {
                required.push(name.clone());
            }
            let mut schema = Map::new();
            let kind = definition.string("type")?;
            schema.extend(
                kind.as_deref().and_then(json_type).map(|kind| ("type".to_owned(), Value::from(kind))),
            );
            schema.extend(
                definition.string("description")?.map(|text| ("description".to_owned(), Value::from(text))),
            );
            properties.insert(name, Value::Object(schema));
        }
    }
    let schema = json!({"type": "object", "properties": properties, "required": required});
    let kind = ToolKind::Function { schema: Some(schema) };
    Ok(Tool { name, description, kind, strict: None, cache: None, extra: tool.rest() })
}

fn json_type(python: &str) -> Option<&'static str> {
    let outer = python.split('[').next().unwrap_or_default();
    match outer.to_ascii_lowercase().as_str() {
        "str" | "string" => Some("string"),
        "int" | "integer" => Some("integer"),
        "float" | "number" => Some("number"),
        "bool" | "boolean" => Some("boolean"),
        "list" | "array" => Some("array"),
        "dict" | "object" => Some("object"),
        _ => None,
    }
}

/// Answers as Command R does.
pub(super) struct Writer {
    id: String,
    begun: bool,
    text: String,
    calls: Vec<OpenCall>,
    usage: Usage,
    reason: FinishReason,
}

/// A tool call: it is told whole, its parameters an object.
struct OpenCall {
    index: u32,
    name: String,
    input: String,
}

impl Writer {
    pub(super) fn new(id: String) -> Self {
        let (text, calls, usage) = (String::new(), Vec::new(), Usage::default());
        Self { id, begun: false, text, calls, usage, reason: FinishReason::EndTurn }
    }

    fn begin(&mut self, chunks: &mut Chunks<'_>) {
        if !std::mem::replace(&mut self.begun, true) {
            chunks.write(
                &json!({"event_type": "stream-start", "is_finished": false, "generation_id": self.id}),
            );
        }
    }

    fn tool_calls(&mut self) -> Vec<Value> {
        let calls = std::mem::take(&mut self.calls);
        calls
            .into_iter()
            .map(|call| json!({"name": call.name, "parameters": tool_input(call.input)}))
            .collect()
    }

    fn response(&self, text: &str, calls: &[Value]) -> Value {
        let mut response = json!({
            "response_id": self.id,
            "generation_id": self.id,
            "text": text,
            "finish_reason": finish_reason(&self.reason),
            "meta": {
                "api_version": {"version": "1"},
                "billed_units": {
                    "input_tokens": self.usage.total_input(),
                    "output_tokens": self.usage.total_output(),
                },
            },
        });
        if !calls.is_empty() {
            response["tool_calls"] = Value::from(calls);
        }
        response
    }
}

impl chunk::Writer for Writer {
    fn event(&mut self, event: Event, chunks: &mut Chunks<'_>) -> Result<(), Failure> {
        match event {
            Event::BlockStart { index, block: BlockHead::ToolUse { name, .. } } => {
                self.calls.push(OpenCall { index, name, input: String::new() });
            }
            Event::Delta { delta: Delta::Text { text, .. }, .. } if !text.is_empty() => {
                self.begin(chunks);
                chunks.write(&json!({"event_type": "text-generation", "is_finished": false, "text": text}));
                self.text.push_str(&text);
            }
            Event::Delta { index, delta: Delta::ToolInput(input) } => {
                if let Some(call) = self.calls.iter_mut().find(|call| call.index == index) {
                    call.input.push_str(&input);
                }
            }
            Event::Usage(usage) => self.usage = usage,
            Event::Finish { reason, .. } => self.reason = reason,
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, chunks: &mut Chunks<'_>) {
        self.begin(chunks);
        let calls = self.tool_calls();
        if !calls.is_empty() {
            chunks.write(
                &json!({"event_type": "tool-calls-generation", "is_finished": false, "tool_calls": calls}),
            );
        }
        let text = std::mem::take(&mut self.text);
        let response = self.response(&text, &calls);
        chunks.last(&json!({
            "event_type": "stream-end",
            "is_finished": true,
            "finish_reason": finish_reason(&self.reason),
            "response": response,
        }));
    }

    fn whole(&mut self, mut completion: Completion) -> Vec<u8> {
        self.usage = completion.usage;
        self.reason = completion.finish.take().unwrap_or(FinishReason::EndTurn);
        for (index, block) in (0..).zip(&mut completion.content) {
            if let BlockKind::ToolUse { name, input, .. } = &mut block.kind {
                let (name, input) = (std::mem::take(name), std::mem::take(input));
                self.calls.push(OpenCall { index, name, input });
            }
        }
        let calls = self.tool_calls();
        self.response(&plain(completion.content), &calls).to_string().into_bytes()
    }
}
