//! A conversation in the shape chat templates expect: a list of turns with roles and
//! plain content, tool calls and results where the template knows them, and words for
//! them where it does not.

use message::{
    Block, BlockKind, Chat, Dialect, Effort, ErrorKind, Failure, Media, MediaSource, Message, Role, Tool,
    ToolChoice, ToolKind,
};
use serde_json::{Map, Value, json};

use super::guard::Guard;
use super::jinja::python_json;
use super::{Traits, tool_value, typed_content, wants_thinking};
use crate::tools::{self, Syntax};
use crate::vision::{Given, MAX_IMAGES, slots};

/// The turns of a conversation, as JSON for a template.
#[derive(Debug, Clone)]
pub(super) struct Turns<'a> {
    messages: Vec<Value>,
    /// Contents are lists of typed parts.
    typed: bool,
    /// The images that the messages have slots for.
    images: Vec<Shown<'a>>,
    tools: Value,
    /// What the client says of thinking, in the words templates ask for.
    thinking: Map<String, Value>,
    /// The client's own beginning of the answer.
    continued: Option<String>,
}

impl<'a> Turns<'a> {
    /// Reads a conversation for a template of these traits.
    pub(super) fn read(chat: &'a Chat, traits: &'a Traits, guard: &'a Guard) -> Result<Self, Failure> {
        let mut reader =
            Reader { traits, guard, messages: Vec::new(), names: Vec::new(), images: Vec::new() };
        let mut system = Vec::new();
        if !chat.system.is_empty() {
            system.push(reader.text(&chat.system, "system")?);
        }
        let instructs = |message: &&Message| matches!(message.role, Role::System | Role::Developer);
        let opening = chat.messages.iter().take_while(instructs).count();
        for (index, message) in chat.messages[..opening].iter().enumerate() {
            system.push(reader.text(&message.content, &format!("messages.{index}.content"))?);
        }
        let tools: Vec<Value> = shown_tools(chat)?.iter().map(|tool| guard.mark_json(tool)).collect();
        if !tools.is_empty() && traits.tools.is_none() {
            system.push(tools::describe(&tools));
        }
        let system = system.join("\n\n");
        if !system.is_empty() && traits.system {
            reader.say("system", system.clone());
        }
        for (index, message) in chat.messages.iter().enumerate().skip(opening) {
            reader.message(index, message)?;
        }
        let native = !tools.is_empty() && traits.tools.is_some();
        let tools = if native { tools.iter().map(tool_value).collect() } else { Value::Null };
        let mut turns = Self {
            messages: reader.messages,
            typed: traits.typed,
            images: reader.images,
            tools,
            thinking: thinking(chat),
            continued: None,
        };
        if !system.is_empty() && !traits.system {
            turns.open_with(&system);
        }
        turns.continued = continued(chat, turns.messages.last());
        Ok(turns)
    }

    /// What a template is given.
    pub(super) fn context(&self) -> Value {
        let mut context = json!({
            "messages": self.written(),
            "tools": self.tools,
            "add_generation_prompt": self.continued.is_none(),
        });
        for (name, value) in &self.thinking {
            context[name] = value.clone();
        }
        context
    }

    /// The messages, in the form that the template reads.
    fn written(&self) -> Value {
        let mut messages = self.messages.clone();
        messages.iter_mut().filter(|_| self.typed).for_each(typed_content);
        Value::Array(messages)
    }

    /// The images, by the numbers of their slots.
    pub(super) fn into_images(self) -> Vec<Shown<'a>> {
        self.images
    }

    /// The text with which the client began the answer, if it did.
    pub(super) fn continued(&self) -> Option<&str> {
        self.continued.as_deref()
    }

    /// The same words in the plainest form: no system turn, no two turns of one role, and
    /// what a user says beside a tool's result as part of it.
    pub(super) fn plainer(&self) -> Self {
        let mut plain = Self { messages: Vec::new(), ..self.clone() };
        let mut system = Vec::new();
        for message in &self.messages {
            let content = message["content"].as_str().unwrap_or_default();
            if message["role"] == "system" && plain.messages.is_empty() {
                system.push(content);
                continue;
            }
            let mut message = message.clone();
            if let Some(fields) = message.as_object_mut() {
                fields.retain(|name, _| !matches!(name.as_str(), "thinking" | "reasoning_content"));
            }
            if message["role"] == "system" {
                message["role"] = json!("user");
            }
            let simple = |message: &Value| message.get("tool_calls").is_none() && message["role"] != "tool";
            match plain.messages.last_mut() {
                Some(last) if last["role"] == message["role"] && simple(last) && simple(&message) => {
                    let before = last["content"].as_str().unwrap_or_default();
                    last["content"] = json!(format!("{before}\n\n{content}"));
                }
                Some(last) if last["role"] == "tool" && message["role"] == "user" => {
                    let before = last["content"].as_str().unwrap_or_default();
                    last["content"] = json!(format!("{before}\n\n{content}"));
                }
                _ => plain.messages.push(message),
            }
        }
        if !system.is_empty() {
            plain.open_with(&system.join("\n\n"));
        }
        plain
    }

    /// Puts instructions before the first user turn.
    fn open_with(&mut self, system: &str) {
        match self.messages.first_mut().filter(|message| message["role"] == "user") {
            Some(first) => {
                let content = first["content"].as_str().unwrap_or_default();
                first["content"] = json!(format!("{system}\n\n{content}"));
            }
            None => self.messages.insert(0, json!({ "role": "user", "content": system })),
        }
    }
}

/// An image that stands in a conversation.
#[derive(Debug, Clone)]
pub(crate) struct Shown<'a> {
    /// What the client gave.
    pub(crate) given: Given<'a>,
    /// Where, for its errors.
    pub(crate) path: String,
}

/// The tools the model is shown: none if it must not call any.
fn shown_tools(chat: &Chat) -> Result<Vec<Value>, Failure> {
    if chat.tool_choice == Some(ToolChoice::None) {
        return Ok(Vec::new());
    }
    chat.tools.iter().enumerate().map(|(index, tool)| tool_definition(index, tool)).collect()
}

fn tool_definition(index: usize, tool: &Tool) -> Result<Value, Failure> {
    let ToolKind::Function { schema } = &tool.kind else {
        return Err(Failure::unsupported(format!(
            "tools.{index}: the tool '{}' is run by another vendor; models served here can call \
             only tools that you run (with a JSON schema)",
            tool.name
        ))
        .with_param(format!("tools.{index}")));
    };
    let empty = || json!({ "type": "object", "properties": {} });
    Ok(json!({
        "name": tool.name,
        "description": tool.description.as_deref().unwrap_or_default(),
        "parameters": schema.clone().unwrap_or_else(empty),
    }))
}

/// The variables by which templates are told about thinking: Qwen and SmolLM read
/// `enable_thinking`, Granite and DeepSeek `thinking`, gpt-oss `reasoning_effort`.
fn thinking(chat: &Chat) -> Map<String, Value> {
    let mut variables = Map::new();
    if let Some(wanted) = wants_thinking(chat) {
        variables.insert("enable_thinking".to_owned(), json!(wanted));
        variables.insert("thinking".to_owned(), json!(wanted));
    }
    let effort = match chat.reasoning.as_ref().and_then(|reasoning| reasoning.effort) {
        Some(Effort::None | Effort::Minimal | Effort::Low) => Some("low"),
        Some(Effort::Medium) => Some("medium"),
        Some(Effort::High | Effort::XHigh | Effort::Max) => Some("high"),
        None => (wants_thinking(chat) == Some(false)).then_some("low"),
    };
    if let Some(effort) = effort {
        variables.insert("reasoning_effort".to_owned(), json!(effort));
    }
    variables
}

/// Anthropic and Converse let the client begin the answer: the last turn is the
/// assistant's. OpenAI's dialect has no such meaning.
fn continued(chat: &Chat, last: Option<&Value>) -> Option<String> {
    let last = last.filter(|last| chat.home != Dialect::OpenAiChat && last["role"] == "assistant")?;
    let text = last["content"].as_str()?.trim_end();
    (!text.is_empty() && last.get("tool_calls").is_none()).then(|| text.to_owned())
}

struct Reader<'a> {
    traits: &'a Traits,
    guard: &'a Guard,
    messages: Vec<Value>,
    /// Names of tools by the ids of their calls.
    names: Vec<(String, String)>,
    images: Vec<Shown<'a>>,
}

impl<'a> Reader<'a> {
    fn say(&mut self, role: &str, content: String) {
        self.messages.push(json!({ "role": role, "content": content }));
    }

    fn message(&mut self, index: usize, message: &'a Message) -> Result<(), Failure> {
        let path = format!("messages.{index}.content");
        match message.role {
            Role::System | Role::Developer => {
                let text = self.text(&message.content, &path)?;
                self.say("system", text);
            }
            Role::Assistant => self.assistant(message, &path)?,
            Role::User | Role::Tool => self.user(message, &path)?,
        }
        Ok(())
    }

    /// A user's turn: results of tools first, each its own turn, then the words.
    fn user(&mut self, message: &'a Message, path: &str) -> Result<(), Failure> {
        let mut words = Vec::new();
        let mut any_result = false;
        for (index, block) in message.content.iter().enumerate() {
            let path = format!("{path}.{index}");
            if let BlockKind::ToolResult { id, content, is_error, .. } = &block.kind {
                any_result = true;
                self.result(id, content, is_error.unwrap_or(false), &path)?;
            } else {
                words.push(self.block(block, &path)?);
            }
        }
        let words = words.join("\n");
        if !words.is_empty() || !any_result {
            self.say("user", words);
        }
        Ok(())
    }

    fn result(&mut self, id: &str, content: &'a [Block], is_error: bool, path: &str) -> Result<(), Failure> {
        let mut text = self.text(content, &format!("{path}.content"))?;
        if is_error {
            text = format!("Error: {text}");
        }
        if self.traits.tools.is_none() {
            let response = format!("<tool_response>\n{text}\n</tool_response>");
            // Results of one turn stand in one turn.
            match self.messages.last_mut().filter(|last| last["role"] == "user") {
                Some(last) => {
                    let before = last["content"].as_str().unwrap_or_default();
                    last["content"] = json!(format!("{before}\n{response}"));
                }
                None => self.say("user", response),
            }
            return Ok(());
        }
        let name = self.names.iter().rev().find(|(other, _)| other == id).map(|(_, name)| name.clone());
        self.messages.push(json!({
            "role": "tool",
            "tool_call_id": self.id(id),
            "name": self.guard.mark(&name.unwrap_or_default()),
            "content": text,
        }));
        Ok(())
    }

    fn assistant(&mut self, message: &'a Message, path: &str) -> Result<(), Failure> {
        let mut words = Vec::new();
        let mut calls = Vec::new();
        let mut thoughts = Vec::new();
        for (index, block) in message.content.iter().enumerate() {
            match &block.kind {
                BlockKind::ToolUse { id, name, input, .. } => {
                    self.names.push((id.clone(), name.clone()));
                    calls.push(self.call(id, name, input));
                }
                BlockKind::Thinking { text, .. } if !text.is_empty() => thoughts.push(self.guard.mark(text)),
                BlockKind::Thinking { .. } | BlockKind::RedactedThinking(_) => {}
                _ => words.push(self.block(block, &format!("{path}.{index}"))?),
            }
        }
        let mut text = words.join("\n");
        if !calls.is_empty() && (self.traits.tools.is_none() || !self.traits.calls) {
            let written: Vec<(&Value, &Value)> = calls
                .iter()
                .map(|call: &Value| (&call["function"]["name"], &call["function"]["arguments"]))
                .collect();
            let syntax = self.traits.tools.unwrap_or(Syntax::HERMES);
            let written = tools::written_call(syntax, &written);
            let between = if text.is_empty() { "" } else { "\n" };
            text = format!("{text}{between}{written}");
            calls.clear();
        }
        let mut turn = json!({ "role": "assistant", "content": text });
        if !calls.is_empty() {
            turn["tool_calls"] = Value::Array(calls);
        }
        if !thoughts.is_empty() && self.traits.thought.is_some() {
            // Which of earlier turns' thinking is shown again is the template's to say:
            // Qwen and most others read the first name, gpt-oss the second.
            let thoughts = thoughts.join("\n");
            turn["thinking"] = json!(thoughts);
            turn["reasoning_content"] = json!(thoughts);
        }
        self.messages.push(turn);
        Ok(())
    }

    fn call(&self, id: &str, name: &str, input: &str) -> Value {
        // Clients may send text that is no JSON; the model sees what it was.
        let input = if input.trim().is_empty() { "{}" } else { input };
        let arguments = match serde_json::from_str::<Value>(input) {
            Ok(value) if self.traits.arguments_as_text => json!(python_json(&self.guard.mark_json(&value))),
            Ok(value) => self.guard.mark_json(&value),
            Err(_) => json!(self.guard.mark(input)),
        };
        json!({
            "type": "function",
            "id": self.id(id),
            "function": { "name": self.guard.mark(name), "arguments": arguments },
        })
    }

    /// A call's id as the template wants it.
    fn id(&self, id: &str) -> String {
        if !self.traits.short_ids {
            return self.guard.mark(id).into_owned();
        }
        // FNV-1a in base 36: the same id always becomes the same nine characters.
        let hash = id.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        let digits = b"0123456789abcdefghijklmnopqrstuvwxyz";
        (0..9)
            .scan(hash, |rest, _| {
                let digit = digits[(*rest % 36) as usize];
                *rest /= 36;
                Some(char::from(digit))
            })
            .collect()
    }

    fn text(&mut self, blocks: &'a [Block], path: &str) -> Result<String, Failure> {
        let texts: Result<Vec<String>, Failure> = blocks
            .iter()
            .enumerate()
            .map(|(index, block)| self.block(block, &format!("{path}.{index}")))
            .collect();
        Ok(texts?.join("\n"))
    }

    /// The words of a block, guarded.
    fn block(&mut self, block: &'a Block, path: &str) -> Result<String, Failure> {
        let what = match &block.kind {
            BlockKind::Text(text) | BlockKind::Refusal(text) => {
                return Ok(self.guard.mark(text).into_owned());
            }
            BlockKind::SearchResult(result) => return Ok(self.guard.mark(&result.to_text()).into_owned()),
            BlockKind::Document(document) => match &document.media.source {
                MediaSource::Text(text) => return Ok(self.guard.mark(text).into_owned()),
                _ => "documents other than plain text",
            },
            BlockKind::Thinking { .. } | BlockKind::RedactedThinking(_) => return Ok(String::new()),
            BlockKind::Image(media) if self.traits.images => return self.image(media, path),
            BlockKind::Image(_) => "images",
            BlockKind::Audio(_) => "sound",
            BlockKind::Video(_) => "video",
            BlockKind::ToolUse { .. } => "tool calls outside of assistant turns",
            BlockKind::ToolResult { .. } => "tool results outside of user turns",
            BlockKind::Opaque { .. } => "this kind of block",
        };
        let takes = if self.traits.images { "text and images" } else { "text" };
        let message = format!("{path}: this model takes {takes} only, not {what}");
        Err(Failure::new(ErrorKind::Unsupported, message).with_param(path))
    }

    /// The slot of an image.
    fn image(&mut self, media: &'a Media, path: &str) -> Result<String, Failure> {
        if self.images.len() >= MAX_IMAGES {
            let message = format!("{path}: at most {MAX_IMAGES} images can be in one call");
            return Err(Failure::new(ErrorKind::InvalidRequest, message).with_param(path.to_owned()));
        }
        let slot = slots::slot(self.images.len());
        self.images.push(Shown { given: Given::read(media, path)?, path: path.to_owned() });
        Ok(slot)
    }
}
