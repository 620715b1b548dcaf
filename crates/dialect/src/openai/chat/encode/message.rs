//! [`Message`]s → `messages`.
//!
//! One foreign turn may become several messages: tool results are messages of their own
//! here and must follow the call at once, and pictures in them move to the user message
//! behind (a `tool` message holds text only).

use std::borrow::Cow;

use message::{Block, BlockKind, Chat, Failure, Message, Role, SearchResult};
use serde_json::{Map, Value, json};

use super::Encoder;
use crate::openai::spelling::note;
use crate::openai::{custom, names};

/// Stands between text blocks that become one string: many servers of this dialect take
/// nothing else where no picture is involved.
const TEXT_JOIN: &str = "\n\n";

impl Encoder {
    /// Writes the whole conversation, the system prompt first.
    pub(super) fn messages(&mut self, chat: &Chat) -> Result<Vec<Value>, Failure> {
        let mut out = Vec::with_capacity(chat.messages.len() + 1);
        if !chat.system.is_empty() {
            let parts = self.parts("system", chat.system.iter().enumerate())?;
            out.push(json!({"role": "system", "content": content(parts)}));
        }
        for (index, message) in chat.messages.iter().enumerate() {
            let path = format!("messages.{index}");
            match message.role {
                Role::Assistant => out.push(self.assistant(&path, message)?),
                _ => self.spoken(&path, message, &mut out)?,
            }
        }
        Ok(out)
    }

    /// A turn of anybody but the model.
    fn spoken(&mut self, path: &str, message: &Message, out: &mut Vec<Value>) -> Result<(), Failure> {
        let is_result = |block: &Block| matches!(block.kind, BlockKind::ToolResult { .. });
        let blocks = || message.content.iter().enumerate();
        let mut parts = Vec::new();
        for (index, block) in blocks().filter(|(_, block)| is_result(block)) {
            let path = format!("{path}.content.{index}");
            out.push(self.tool_message(&path, message, block, &mut parts)?);
        }
        let path_of_content = format!("{path}.content");
        let rest = blocks().filter(|(_, block)| !is_result(block));
        parts.extend(self.parts(&path_of_content, rest)?);
        let only_results = message.content.iter().any(is_result) && parts.is_empty();
        if only_results {
            return Ok(());
        }
        let role = match message.role {
            Role::System => "system",
            Role::Developer => "developer",
            _ => "user",
        };
        let mut object = Map::new();
        object.insert("role".to_owned(), role.into());
        if let Some(content) = self.content(message, parts) {
            object.insert("content".to_owned(), content);
        }
        self.extra(|| path.to_owned(), &message.extra, &mut object);
        out.push(object.into());
        Ok(())
    }

    /// One tool result; what only a user message can hold goes to `attachments`.
    fn tool_message(
        &mut self,
        path: &str,
        message: &Message,
        block: &Block,
        attachments: &mut Vec<Value>,
    ) -> Result<Value, Failure> {
        let BlockKind::ToolResult { id, content: blocks, plain, is_error } = &block.kind else {
            return Ok(Value::Null);
        };
        let mut object = Map::new();
        if note(&message.extra, "role").is_some() {
            object.insert("role".to_owned(), "function".into());
        } else {
            object.insert("role".to_owned(), "tool".into());
            object.insert("tool_call_id".to_owned(), self.tool_id(id).into());
        }
        if self.home {
            let parts = self.parts(path, blocks.iter().enumerate())?;
            if let Some(content) = written(*plain, parts) {
                object.insert("content".to_owned(), content);
            }
            self.extra(|| path.to_owned(), &message.extra, &mut object);
        } else {
            let text = self.result_text(path, id, blocks, attachments)?;
            object.insert("content".to_owned(), text.into());
            if *is_error == Some(true) {
                self.drop(
                    format!("{path}.is_error"),
                    "a tool message has no error flag; its text must say so",
                );
            }
        }
        self.cache(|| path.to_owned(), block.cache.as_ref(), &mut object);
        self.extra(|| path.to_owned(), &block.extra, &mut object);
        Ok(object.into())
    }

    /// A result's text. Data only its vendor's format has a block for becomes JSON text.
    fn result_text(
        &mut self,
        path: &str,
        id: &str,
        blocks: &[Block],
        attachments: &mut Vec<Value>,
    ) -> Result<String, Failure> {
        let mut texts: Vec<Cow<'_, str>> = Vec::new();
        let before = attachments.len();
        for (index, block) in blocks.iter().enumerate() {
            match &block.kind {
                BlockKind::Text(text) => texts.push(text.into()),
                BlockKind::SearchResult(result) => {
                    self.drop(format!("{path}.content.{index}"), SearchResult::AS_TEXT);
                    texts.push(result.to_text().into());
                }
                BlockKind::Opaque { value, .. } => {
                    texts.push(value.get("json").unwrap_or(value).to_string().into());
                }
                _ => {
                    if attachments.len() == before {
                        let label = format!("Attached to the result of tool call {}:", self.tool_id(id));
                        attachments.push(json!({"type": "text", "text": label}));
                    }
                    attachments.extend(self.part(&format!("{path}.content.{index}"), block)?);
                }
            }
        }
        if texts.is_empty() && attachments.len() > before {
            texts.push("(attached to the next message)".into());
        }
        Ok(texts.join(TEXT_JOIN))
    }

    fn assistant(&mut self, path: &str, message: &Message) -> Result<Value, Failure> {
        let mut object = Map::new();
        object.insert("role".to_owned(), "assistant".into());
        let (mut said, mut calls) = (Vec::new(), Vec::new());
        for (index, block) in message.content.iter().enumerate() {
            let path = || format!("{path}.content.{index}");
            let member = note(&block.extra, "in").and_then(Value::as_str);
            match &block.kind {
                BlockKind::Thinking { text, signature } if is_unsigned(signature.as_deref()) => {
                    let name = note(&message.extra, "reasoning").and_then(Value::as_str);
                    append(&mut object, name.unwrap_or("reasoning_content"), text);
                }
                BlockKind::Refusal(text) if !self.home || member.is_some() => {
                    append(&mut object, "refusal", text)
                }
                BlockKind::ToolUse { id, name, input, .. } => {
                    let function = json!({"name": self.tool_name(name), "arguments": input});
                    if member == Some("function_call") {
                        let Value::Object(mut function) = function else { continue };
                        self.extra(path, &block.extra, &mut function);
                        object.insert("function_call".to_owned(), function.into());
                    } else if self.home && note(&block.extra, "custom").is_some() {
                        let custom = json!({"name": name, "input": custom::unwrap(input)});
                        let mut call = Map::new();
                        call.insert("id".to_owned(), id.as_str().into());
                        call.insert("type".to_owned(), "custom".into());
                        call.insert("custom".to_owned(), custom);
                        self.extra(path, &block.extra, &mut call);
                        calls.push(call.into());
                    } else {
                        let id = self.tool_id(id);
                        calls.push(self.tool_call(path, block, &id, function));
                    }
                }
                BlockKind::Opaque { value, .. } if member == Some("tool_calls") => calls.push(value.clone()),
                _ => match (self.part(&path(), block)?, said.last_mut()) {
                    (Some(part), Some(before)) if !self.home && goes_on(&message.content, index) => {
                        lengthen(before, &part);
                    }
                    (part, _) => said.extend(part),
                },
            }
        }
        match self.content(message, said) {
            Some(content) => object.insert("content".to_owned(), content),
            // Older servers insist on the member being there.
            None if !self.home && calls.is_empty() => object.insert("content".to_owned(), "".into()),
            None if !self.home => object.insert("content".to_owned(), Value::Null),
            None => None,
        };
        if !calls.is_empty() {
            object.insert("tool_calls".to_owned(), calls.into());
        }
        self.extra(|| path.to_owned(), &message.extra, &mut object);
        Ok(object.into())
    }

    fn tool_call(
        &mut self,
        path: impl Fn() -> String,
        block: &Block,
        id: &str,
        mut function: Value,
    ) -> Value {
        let noted = |name| self.home && note(&block.extra, name).is_some();
        let no_input = function["arguments"] == "";
        if noted("arguments") && no_input {
            function = json!({"name": function["name"]});
        } else if no_input && !self.home {
            // A call without arguments is an empty object in this dialect.
            function["arguments"] = "{}".into();
        }
        let mut call = Map::new();
        call.insert("id".to_owned(), id.into());
        if !noted("type") {
            call.insert("type".to_owned(), "function".into());
        }
        call.insert("function".to_owned(), function);
        self.cache(&path, block.cache.as_ref(), &mut call);
        self.extra(&path, &block.extra, &mut call);
        call.into()
    }

    fn parts<'b>(
        &mut self,
        path: &str,
        blocks: impl Iterator<Item = (usize, &'b Block)>,
    ) -> Result<Vec<Value>, Failure> {
        let mut parts = Vec::new();
        for (index, block) in blocks {
            parts.extend(self.part(&format!("{path}.{index}"), block)?);
        }
        Ok(parts)
    }

    /// A message's `content`: as it was written at home, as plain as possible elsewhere.
    fn content(&self, message: &Message, parts: Vec<Value>) -> Option<Value> {
        if self.home { written(message.plain, parts) } else { (!parts.is_empty()).then(|| content(parts)) }
    }

    /// At home ids are the client's own.
    fn tool_id<'i>(&self, id: &'i str) -> Cow<'i, str> {
        if self.home { Cow::Borrowed(id) } else { names::tool_id(id) }
    }

    /// At home names are the client's own.
    pub(super) fn tool_name<'n>(&self, name: &'n str) -> Cow<'n, str> {
        if self.home { Cow::Borrowed(name) } else { names::tool_name(name) }
    }
}

fn is_unsigned(signature: Option<&str>) -> bool {
    signature.is_none_or(str::is_empty)
}

/// Whether a text goes on where the one before it stopped: an answer that cites is cut
/// wherever its citations change, within a sentence even.
fn goes_on(content: &[Block], index: usize) -> bool {
    let before = index.checked_sub(1).and_then(|index| content.get(index));
    let (Some(before), Some(here)) = (before, content.get(index)) else { return false };
    let cites = |block: &Block| !block.citations.is_empty();
    before.as_text().is_some() && here.as_text().is_some() && (cites(before) || cites(here))
}

/// Adds the text of a part to that of the one before it.
fn lengthen(before: &mut Value, part: &Value) {
    if let (Some(Value::String(text)), Some(more)) = (before.get_mut("text"), part["text"].as_str()) {
        text.push_str(more);
    }
}

/// Adds text to a string member.
fn append(object: &mut Map<String, Value>, name: &str, text: &str) {
    match object.get_mut(name) {
        Some(Value::String(before)) => {
            before.push_str(TEXT_JOIN);
            before.push_str(text);
        }
        _ => {
            object.insert(name.to_owned(), text.into());
        }
    }
}

/// At home: a bare string stays one, and what was not there stays away.
fn written(plain: bool, mut parts: Vec<Value>) -> Option<Value> {
    match parts.as_mut_slice() {
        [] if plain => None,
        [part] if plain => Some(match part.get_mut("text") {
            Some(text) => text.take(),
            None => Value::Array(parts),
        }),
        _ => Some(Value::Array(parts)),
    }
}

/// Text alone becomes one string, anything else a list of parts.
fn content(parts: Vec<Value>) -> Value {
    let texts: Option<Vec<&str>> = parts
        .iter()
        .map(|part| part.get("text").and_then(Value::as_str).filter(|_| part["type"] == "text"))
        .collect();
    match texts {
        Some(texts) => texts.join(TEXT_JOIN).into(),
        None => Value::Array(parts),
    }
}
