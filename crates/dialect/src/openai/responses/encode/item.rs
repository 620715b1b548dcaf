//! Turns → `instructions` and `input` items.
//!
//! The model's turns fall apart into items again: each call and each piece of reasoning is
//! one, neighbouring text is one. Reasoning goes back only under this vendor's own seal.

use message::{Block, BlockKind, Chat, Dialect, Failure, Message, Role, Sealer};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::Encoder;
use crate::openai::responses::inbound::{ADDITIONAL_TOOLS, BOOKKEEPING};
use crate::openai::responses::stored::COMPACTION;
use crate::openai::responses::{ANTHROPIC_SEAL, REDACTED};
use crate::openai::spelling::note;
use crate::openai::{custom, names};

/// Stands between system blocks that become one string.
const TEXT_JOIN: &str = "\n\n";

impl Encoder {
    /// Writes the whole conversation.
    pub(super) fn conversation(&mut self, chat: &Chat, body: &mut Map<String, Value>) -> Result<(), Failure> {
        if !chat.system.is_empty() {
            let texts: Vec<&str> = chat.system.iter().filter_map(Block::as_text).collect();
            for (index, block) in chat.system.iter().enumerate() {
                let path = || format!("system.{index}");
                if block.as_text().is_none() {
                    self.drop(path(), "instructions are text here");
                }
                if block.cache.is_some() {
                    self.drop_cache(path);
                }
                if !self.home {
                    self.drop_extra(&path(), &block.extra);
                }
            }
            body.insert("instructions".to_owned(), texts.join(TEXT_JOIN).into());
        }
        if let ([Message { role: Role::User, content, .. }], true) =
            (chat.messages.as_slice(), note(&chat.extra, "input").is_some())
            && let [Block { kind: BlockKind::Text(text), .. }] = content.as_slice()
        {
            body.insert("input".to_owned(), text.as_str().into());
            return Ok(());
        }
        let mut items = Vec::with_capacity(chat.messages.len());
        for (index, message) in chat.messages.iter().enumerate() {
            let path = format!("messages.{index}");
            match message.role {
                Role::Assistant => self.models(&path, message, &mut items)?,
                _ => self.spoken(&path, message, &mut items)?,
            }
        }
        let offers = note(&chat.extra, ADDITIONAL_TOOLS).filter(|_| self.home).and_then(Value::as_array);
        for offer in offers.into_iter().flatten() {
            let place = offer[0].as_u64().and_then(|place| usize::try_from(place).ok());
            items.insert(place.unwrap_or(0).min(items.len()), offer[1].clone());
        }
        let was_there = !items.is_empty() || !self.home || note(&chat.extra, "empty input").is_some();
        if was_there {
            body.insert("input".to_owned(), items.into());
        }
        Ok(())
    }

    /// A turn of anybody but the model: results first, they answer the calls before.
    fn spoken(&mut self, path: &str, message: &Message, items: &mut Vec<Value>) -> Result<(), Failure> {
        let mut parts = Vec::new();
        let mut any_result = false;
        for (index, block) in message.content.iter().enumerate() {
            let path = format!("{path}.content.{index}");
            if matches!(block.kind, BlockKind::ToolResult { .. }) {
                any_result = true;
                items.push(self.result(&path, block)?);
            } else {
                parts.extend(self.part(&path, block, false)?);
            }
        }
        if parts.is_empty() && any_result {
            return Ok(());
        }
        if let (Some(id), Some(text)) = (
            note(&message.extra, "compaction").filter(|_| self.home),
            message.content.first().and_then(Block::as_text),
        ) {
            let sealed = format!("{COMPACTION}{text}");
            items.push(json!({"type": "compaction", "id": id, "encrypted_content": sealed}));
            return Ok(());
        }
        let role = match message.role {
            Role::System => "system",
            Role::Developer => "developer",
            _ => "user",
        };
        let mut item = Map::new();
        if !self.home {
            item.insert("type".to_owned(), "message".into());
        }
        item.insert("role".to_owned(), role.into());
        item.insert("content".to_owned(), written(message.plain && self.home, parts));
        self.bookkeeping(message.extra.get(::message::SPELLING), &mut item);
        self.extra(|| path.to_owned(), &message.extra, &mut item);
        items.push(item.into());
        Ok(())
    }

    fn result(&mut self, path: &str, block: &Block) -> Result<Value, Failure> {
        let BlockKind::ToolResult { id, content, plain, is_error } = &block.kind else {
            return Ok(Value::Null);
        };
        let mut parts = Vec::new();
        for (index, block) in content.iter().enumerate() {
            let path = format!("{path}.content.{index}");
            match &block.kind {
                // Data only its vendor's format has a block for becomes JSON text.
                BlockKind::Opaque { value, .. } if !self.home => {
                    let text = value.get("json").unwrap_or(value).to_string();
                    parts.push(json!({"type": "input_text", "text": text}));
                }
                _ => parts.extend(self.part(&path, block, false)?),
            }
        }
        if *is_error == Some(true) {
            self.drop(format!("{path}.is_error"), "a tool's output has no error flag; its text must say so");
        }
        let is_custom = self.home && note(&block.extra, "custom").is_some();
        let id = if self.home { id.into() } else { names::tool_id(id) };
        let mut item = Map::new();
        let kind = if is_custom { "custom_tool_call_output" } else { "function_call_output" };
        item.insert("type".to_owned(), kind.into());
        item.insert("call_id".to_owned(), id.into());
        let plain = if self.home { *plain } else { is_one_text(&parts) };
        item.insert("output".to_owned(), written(plain, parts));
        self.finish(path, block, &mut item);
        Ok(item.into())
    }

    fn models(&mut self, path: &str, message: &Message, items: &mut Vec<Value>) -> Result<(), Failure> {
        let mut open: Option<Said> = None;
        for (index, block) in message.content.iter().enumerate() {
            let path = format!("{path}.content.{index}");
            let item = match &block.kind {
                BlockKind::Thinking { text, signature } => {
                    self.reasoning(&path, block, text, signature.as_deref())
                }
                BlockKind::RedactedThinking(data) if self.home => {
                    Some(self.sealed(&path, block, "", Some(format!("{REDACTED}{data}"))))
                }
                BlockKind::RedactedThinking(_) => {
                    self.drop(&*path, "thinking that only its own vendor can read");
                    None
                }
                BlockKind::ToolUse { id, name, input, .. } => {
                    Some(self.call(&path, block, [id, name, input]))
                }
                BlockKind::Opaque { dialect: Dialect::OpenAiResponses, value }
                    if note(&block.extra, "part").is_none() =>
                {
                    Some(value.clone())
                }
                _ => {
                    if open.is_none() || note(&block.extra, "item").is_some() {
                        items.extend(open.take().map(|said| said.item(self.home)));
                        open = Some(Said::new(block));
                    }
                    let part = self.part(&path, block, true)?;
                    if let Some(open) = &mut open {
                        open.parts.extend(part);
                    }
                    continue;
                }
            };
            items.extend(open.take().map(|said| said.item(self.home)));
            items.extend(item);
        }
        items.extend(open.map(|said| said.item(self.home)));
        if !self.home {
            self.drop_extra(path, &message.extra);
        }
        Ok(())
    }

    /// Reasoning, if its seal is this vendor's; without one there is nothing to check it by.
    fn reasoning(&mut self, path: &str, block: &Block, text: &str, signature: Option<&str>) -> Option<Value> {
        let seal = match signature.map(Sealer::read) {
            None if self.home => None,
            None => {
                self.drop(path, "reasoning without its vendor's seal cannot be sent back");
                return None;
            }
            Some((Sealer::OpenAi, seal)) => Some(seal.to_owned()),
            Some((Sealer::Anthropic, seal)) if self.home => Some(format!("{ANTHROPIC_SEAL}{seal}")),
            Some((Sealer::Gemini, _)) if self.home => signature.map(str::to_owned),
            Some(_) => {
                self.drop(path, "thinking that only its own vendor can read");
                return None;
            }
        };
        Some(self.sealed(path, block, text, seal))
    }

    fn sealed(&mut self, path: &str, block: &Block, text: &str, seal: Option<String>) -> Value {
        let mut item = Map::new();
        item.insert("type".to_owned(), "reasoning".into());
        if !self.home {
            // The service wants an id; the seal is what it goes by.
            let digest = hex::encode(Sha256::digest(seal.as_deref().unwrap_or(text)));
            item.insert("id".to_owned(), format!("rs_{}", &digest[..ID_DIGITS]).into());
        }
        let noted = |name| note(&block.extra, name).cloned();
        let unchanged = self.home && noted("text").is_some_and(|noted| noted == text);
        if unchanged {
            for name in ["summary", "content"] {
                item.extend(noted(name).map(|value| (name.to_owned(), value)));
            }
        } else {
            let summary =
                if text.is_empty() { json!([]) } else { json!([{"type": "summary_text", "text": text}]) };
            item.insert("summary".to_owned(), summary);
        }
        if let Some(seal) = seal {
            item.insert("encrypted_content".to_owned(), seal.into());
        }
        self.finish(path, block, &mut item);
        item.into()
    }

    fn call(&mut self, path: &str, block: &Block, [id, name, input]: [&String; 3]) -> Value {
        let mut item = Map::new();
        let noted = |name| note(&block.extra, name).filter(|_| self.home);
        let is_custom = noted("custom").is_some();
        let kind = if is_custom { "custom_tool_call" } else { "function_call" };
        item.insert("type".to_owned(), kind.into());
        let sent_id = if self.home { id.into() } else { names::tool_id(id) };
        item.insert("call_id".to_owned(), sent_id.into());
        match noted("namespace").and_then(Value::as_array).map(Vec::as_slice) {
            Some([namespace, name]) => {
                item.insert("namespace".to_owned(), namespace.clone());
                item.insert("name".to_owned(), name.clone());
            }
            _ => {
                item.insert("name".to_owned(), self.tool_name(name).into());
            }
        }
        if is_custom {
            item.insert("input".to_owned(), custom::unwrap(input).into());
        } else if input.is_empty() && !self.home {
            item.insert("arguments".to_owned(), "{}".into());
        } else {
            item.insert("arguments".to_owned(), input.as_str().into());
        }
        self.finish(path, block, &mut item);
        item.into()
    }

    /// What may stand on any item of one block.
    fn finish(&mut self, path: &str, block: &Block, item: &mut Map<String, Value>) {
        if block.cache.is_some() {
            self.drop_cache(|| path.to_owned());
        }
        self.bookkeeping(block.extra.get(::message::SPELLING), item);
        self.extra(|| path.to_owned(), &block.extra, item);
    }

    /// Ids and states, as the client wrote them.
    fn bookkeeping(&self, notes: Option<&Value>, item: &mut Map<String, Value>) {
        if !self.home {
            return;
        }
        for name in BOOKKEEPING {
            if let Some(value) = notes.and_then(|notes| notes.get(name)) {
                item.insert(name.to_owned(), value.clone());
            }
        }
    }

    /// At home names are the client's own.
    pub(super) fn tool_name(&self, name: &str) -> String {
        if self.home { name.to_owned() } else { names::tool_name(name).into_owned() }
    }
}

/// Hexadecimal digits of an id made here.
const ID_DIGITS: usize = 48;

/// A `message` item of the model under way.
struct Said {
    own: Map<String, Value>,
    parts: Vec<Value>,
}

impl Said {
    fn new(first: &Block) -> Self {
        let own = note(&first.extra, "item").and_then(Value::as_object).cloned().unwrap_or_default();
        Self { own, parts: Vec::new() }
    }

    fn item(self, home: bool) -> Value {
        let Self { mut own, mut parts } = self;
        let flag = |own: &mut Map<String, Value>, name| own.shift_remove(name).is_some();
        let (plain, empty) = (flag(&mut own, "plain"), flag(&mut own, "empty"));
        let rest = own.shift_remove("rest");
        if empty {
            parts.clear();
        }
        let mut item = Map::new();
        if !home {
            item.insert("type".to_owned(), "message".into());
        }
        item.insert("role".to_owned(), "assistant".into());
        item.insert("content".to_owned(), written(plain && home, parts));
        if home {
            item.extend(own);
            if let Some(Value::Object(rest)) = rest {
                item.extend(rest);
            }
        }
        item.into()
    }
}

/// A bare string stays one.
fn written(plain: bool, mut parts: Vec<Value>) -> Value {
    match parts.as_mut_slice() {
        [part] if plain => part.get_mut("text").map(Value::take).unwrap_or(Value::Array(parts)),
        [] if plain => Value::Null,
        _ => Value::Array(parts),
    }
}

fn is_one_text(parts: &[Value]) -> bool {
    matches!(parts, [part] if part.get("text").is_some())
}
