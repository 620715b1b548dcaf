//! [`Chat`] → the body of a chat request.
//!
//! Used when the call comes from another dialect, or when a layer changed a call of this
//! one. At home everything is written back as it was; from elsewhere, what has no place here
//! is refused where an answer without it would be wrong, and reported as [`Dropped`] otherwise.

use message::{
    Block, BlockKind, Chat, Dialect, Dropped, Effort, Extra, Failure, Head, Media, MediaSource, Message,
    OutputFormat, Reasoning, Role, SearchResult, Tool, ToolChoice, ToolKind, ToolOrigin, said,
};
use serde_json::{Map, Value, json};

use super::inbound;
use crate::json::fields::{note, restore};

/// Tokens to think for an effort, where a client named no number.
const LOW_BUDGET_TOKENS: u64 = 1_024;
const MEDIUM_BUDGET_TOKENS: u64 = 8_192;
const HIGH_BUDGET_TOKENS: u64 = 24_576;

/// Encodes a conversation for a server that names the model `model`.
///
/// # Errors
/// [`Unsupported`](message::ErrorKind::Unsupported), naming the field, when leaving something
/// out would change what the call means.
pub fn encode(chat: &Chat, head: &Head, model: &str) -> Result<(Map<String, Value>, Vec<Dropped>), Failure> {
    let home = chat.home == Dialect::Cohere;
    if !home {
        chat.leave_home()?;
    }
    let mut encoder = Encoder { home, dropped: Vec::new() };
    let mut body = Map::new();
    body.insert("model".to_owned(), model.into());
    body.insert("messages".to_owned(), encoder.messages(chat)?.into());
    encoder.tools(chat, &mut body)?;
    encoder.settings(chat, &mut body);
    if home {
        body.extend(note(&chat.extra, "stream").map(|stream| ("stream".to_owned(), stream.clone())));
        restore(&chat.extra, &mut body);
    } else {
        body.insert("stream".to_owned(), head.stream.into());
        encoder.drop_extra("", &chat.extra);
    }
    Ok((body, encoder.dropped))
}

struct Encoder {
    home: bool,
    dropped: Vec<Dropped>,
}

impl Encoder {
    fn drop(&mut self, path: impl Into<String>, why: &'static str) {
        self.dropped.push(Dropped { path: path.into(), why });
    }

    fn drop_extra(&mut self, path: &str, extra: &Extra) {
        for name in said(extra).filter(|name| *name != "stream_options") {
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            self.dropped.push(Dropped { path, why: "not known to Cohere" });
        }
    }

    /// Unknown fields: written back at home, reported elsewhere.
    fn extra(&mut self, path: &str, extra: &Extra, out: &mut Map<String, Value>) {
        if self.home { restore(extra, out) } else { self.drop_extra(path, extra) }
    }

    fn messages(&mut self, chat: &Chat) -> Result<Vec<Value>, Failure> {
        let mut messages = Vec::with_capacity(chat.messages.len() + 1);
        let system = self.parts("system", &chat.system)?;
        if !system.is_empty() {
            messages.push(json!({"role": "system", "content": system}));
        }
        for (index, message) in chat.messages.iter().enumerate() {
            self.message(&format!("messages.{index}"), message, &mut messages)?;
        }
        if messages.is_empty() {
            return Err(refuse("messages", "at least one message that is not blank is required"));
        }
        Ok(messages)
    }

    /// One message; results of tools become messages of their own, before the rest.
    fn message(&mut self, at: &str, message: &Message, messages: &mut Vec<Value>) -> Result<(), Failure> {
        let content_at = format!("{at}.content");
        let role = match message.role {
            Role::System | Role::Developer => "system",
            Role::User | Role::Tool => "user",
            Role::Assistant => "assistant",
        };
        let mut out = Map::from_iter([("role".to_owned(), role.into())]);
        let (mut parts, mut calls) = (Vec::new(), Vec::new());
        for (index, block) in message.content.iter().enumerate() {
            let at = format!("{content_at}.{index}");
            match &block.kind {
                BlockKind::ToolResult { .. } => messages.push(self.result(&at, block, message)?),
                BlockKind::ToolUse { origin: ToolOrigin::Client, .. } => calls.push(self.call(&at, block)),
                BlockKind::Thinking { text, .. } if note(&block.extra, "in").is_some() && self.home => {
                    out.insert("tool_plan".to_owned(), text.as_str().into());
                }
                _ => parts.extend(self.part(&at, block)?),
            }
        }
        if parts.is_empty() && calls.is_empty() && (!self.home || message.role == Role::Tool) {
            return Ok(());
        }
        match (message.plain, parts.as_slice()) {
            (true, [one]) if one.get("text").is_some() => {
                out.insert("content".to_owned(), one["text"].clone());
            }
            (true, []) if note(&message.extra, "content") == Some(&Value::Null) => {}
            (_, []) if !self.home => {}
            _ => {
                out.insert("content".to_owned(), parts.into());
            }
        }
        if !calls.is_empty() {
            out.insert("tool_calls".to_owned(), calls.into());
        }
        self.extra(at, &message.extra, &mut out);
        messages.push(out.into());
        Ok(())
    }

    fn parts(&mut self, at: &str, blocks: &[Block]) -> Result<Vec<Value>, Failure> {
        let mut parts = Vec::with_capacity(blocks.len());
        for (index, block) in blocks.iter().enumerate() {
            parts.extend(self.part(&format!("{at}.{index}"), block)?);
        }
        Ok(parts)
    }

    fn part(&mut self, at: &str, block: &Block) -> Result<Option<Value>, Failure> {
        let mut part = match &block.kind {
            BlockKind::Text(text) | BlockKind::Refusal(text) => {
                if text.trim().is_empty() && !self.home {
                    return Ok(None);
                }
                json!({"type": "text", "text": text})
            }
            BlockKind::Thinking { text, signature } => {
                if signature.is_some() {
                    self.drop(at, "thinking that only its own vendor can read");
                    return Ok(None);
                }
                json!({"type": "thinking", "thinking": text})
            }
            BlockKind::Image(media) => json!({"type": "image_url", "image_url": {"url": url(at, media)?}}),
            BlockKind::Document(_) | BlockKind::Audio(_) | BlockKind::Video(_) => {
                return Err(refuse(at, "Cohere's models take text and pictures; send the file's text"));
            }
            BlockKind::SearchResult(result) => {
                self.drop(at, SearchResult::AS_TEXT);
                json!({"type": "text", "text": result.to_text()})
            }
            BlockKind::Opaque { dialect: Dialect::Cohere, value } => return Ok(Some(value.clone())),
            BlockKind::RedactedThinking(_)
            | BlockKind::Opaque { .. }
            | BlockKind::ToolUse { .. }
            | BlockKind::ToolResult { .. } => {
                self.drop(at, "content that only its own vendor understands");
                return Ok(None);
            }
        };
        if block.cache.is_some() {
            self.drop(format!("{at}.cache_control"), "Cohere caches on its own");
        }
        for name in block.citing() {
            self.drop(format!("{at}.{name}"), "not known to Cohere");
        }
        if let Value::Object(part) = &mut part {
            self.extra(at, &block.extra, part);
        }
        Ok(Some(part))
    }

    fn call(&mut self, at: &str, block: &Block) -> Value {
        let BlockKind::ToolUse { id, name, input, .. } = &block.kind else { return Value::Null };
        let inner = block.extra.get("function").and_then(Value::as_object);
        let mut function = Map::from_iter([("name".to_owned(), name.as_str().into())]);
        if inner.and_then(|inner| note(inner, "arguments")).is_none() || !input.is_empty() {
            let input = if input.is_empty() && !self.home { "{}" } else { input };
            function.insert("arguments".to_owned(), input.into());
        }
        let mut out = Map::from_iter([("id".to_owned(), id.as_str().into())]);
        if note(&block.extra, "type").is_none() {
            out.insert("type".to_owned(), "function".into());
        }
        out.insert("function".to_owned(), function.into());
        self.extra(at, &block.extra, &mut out);
        out.into()
    }

    fn result(&mut self, at: &str, block: &Block, message: &Message) -> Result<Value, Failure> {
        let BlockKind::ToolResult { id, content, plain, is_error } = &block.kind else {
            return Err(refuse(at, "not a tool's result"));
        };
        if *is_error == Some(true) {
            self.drop(format!("{at}.is_error"), "a tool message has no error flag; its text must say so");
        }
        let noted = note(&message.extra, "content").filter(|_| self.home);
        let content = match (noted, content.as_slice()) {
            (Some(Value::Null), []) => Value::Null,
            (Some(noted), _) if !noted.is_null() => noted.clone(),
            (_, [one]) if *plain && one.as_text().is_some() => one.as_text().unwrap_or_default().into(),
            _ => {
                if let Some(index) =
                    content.iter().position(|block| matches!(block.kind, BlockKind::Image(_)))
                {
                    return Err(refuse(format!("{at}.content.{index}"), "a tool's answer is text here"));
                }
                self.parts(&format!("{at}.content"), content)?.into()
            }
        };
        let mut out = Map::from_iter([
            ("role".to_owned(), "tool".into()),
            ("tool_call_id".to_owned(), id.as_str().into()),
        ]);
        if !content.is_null() {
            out.insert("content".to_owned(), content);
        }
        if message.role == Role::Tool {
            self.extra(at, &message.extra, &mut out);
        }
        Ok(out.into())
    }

    fn tools(&mut self, chat: &Chat, body: &mut Map<String, Value>) -> Result<(), Failure> {
        let mut tools = Vec::with_capacity(chat.tools.len());
        let named = match &chat.tool_choice {
            Some(ToolChoice::Named(name)) => Some(name.as_str()),
            _ => None,
        };
        for (index, tool) in chat.tools.iter().enumerate() {
            // Cohere cannot be told which tool: it is shown that one alone.
            if named.is_some_and(|name| name != tool.name) {
                self.drop(format!("tools.{index}"), "only the tool that must be called was offered");
                continue;
            }
            tools.extend(self.tool(&format!("tools.{index}"), tool));
        }
        let any = !tools.is_empty();
        if any {
            body.insert("tools".to_owned(), tools.into());
        }
        match note(&chat.extra, "strict_tools") {
            Some(strict) => {
                body.insert("strict_tools".to_owned(), strict.clone());
            }
            None if any && chat.tools.iter().any(|tool| tool.strict == Some(true)) => {
                body.insert("strict_tools".to_owned(), true.into());
            }
            None => {}
        }
        if !self.home && chat.parallel_tool_calls == Some(false) && any {
            self.drop("parallel_tool_calls", "Cohere cannot be held to one call at a time");
        }
        let choice = match &chat.tool_choice {
            Some(ToolChoice::Any) if any || self.home => "REQUIRED",
            Some(ToolChoice::Any) => return Err(refuse("tool_choice", "there is no tool to call")),
            Some(ToolChoice::None) => "NONE",
            Some(ToolChoice::Named(name)) => {
                if !any {
                    let why = format!("there is no tool '{name}' that Cohere can be given");
                    return Err(refuse("tool_choice", &why));
                }
                "REQUIRED"
            }
            Some(ToolChoice::Auto) | None => return Ok(()),
        };
        body.insert("tool_choice".to_owned(), choice.into());
        Ok(())
    }

    fn tool(&mut self, at: &str, tool: &Tool) -> Option<Value> {
        let ToolKind::Function { schema } = &tool.kind else {
            self.drop(at, "a tool only its own vendor can offer");
            return None;
        };
        let mut function = Map::from_iter([("name".to_owned(), tool.name.as_str().into())]);
        if let Some(description) = &tool.description {
            function.insert("description".to_owned(), description.as_str().into());
        }
        match schema {
            Some(schema) => {
                function.insert("parameters".to_owned(), schema.clone());
            }
            // Required here.
            None if !self.home => {
                function.insert("parameters".to_owned(), json!({"type": "object", "properties": {}}));
            }
            None => {}
        }
        let mut out = Map::new();
        if note(&tool.extra, "type").is_none() {
            out.insert("type".to_owned(), "function".into());
        }
        out.insert("function".to_owned(), function.into());
        if tool.cache.is_some() {
            self.drop(format!("{at}.cache_control"), "Cohere caches on its own");
        }
        self.extra(at, &tool.extra, &mut out);
        Some(out.into())
    }

    fn settings(&mut self, chat: &Chat, body: &mut Map<String, Value>) {
        let sampling = &chat.sampling;
        let mut put = |name: &str, value: Option<Value>| {
            body.extend(value.map(|value| (name.to_owned(), value)));
        };
        let counted = |name: &str, count: Option<u64>| {
            let noted = note(&chat.extra, name);
            count.map(|count| match noted {
                Some(noted) if noted.as_f64() == Some(count as f64) => noted.clone(),
                _ => count.into(),
            })
        };
        put("max_tokens", counted("max_tokens", sampling.max_tokens));
        put("temperature", sampling.temperature.clone().map(Value::Number));
        put("p", sampling.top_p.clone().map(Value::Number));
        put("k", counted("k", sampling.top_k).or_else(|| note(&chat.extra, "k").cloned()));
        put("presence_penalty", sampling.presence_penalty.clone().map(Value::Number));
        put("frequency_penalty", sampling.frequency_penalty.clone().map(Value::Number));
        put("seed", sampling.seed.map(Value::from));
        put("stop_sequences", (!sampling.stop.is_empty()).then(|| sampling.stop.clone().into()));
        put("logprobs", sampling.logprobs.map(|_| true.into()));
        if sampling.logprobs.is_none() {
            put("logprobs", note(&chat.extra, "logprobs").cloned());
        }
        let noted = note(&chat.extra, "response_format");
        let noted = noted.filter(|noted| inbound::format(noted).as_ref() == Some(&chat.output));
        put("response_format", noted.cloned().or_else(|| format(&chat.output)));
        let noted = note(&chat.extra, "thinking");
        let noted = noted.filter(|noted| inbound::thinking(noted).ok() == chat.reasoning);
        put("thinking", noted.cloned().or_else(|| chat.reasoning.as_ref().and_then(thinking)));
        for (name, given) in [
            ("top_logprobs", sampling.logprobs.is_some_and(|top| top > 0)),
            ("min_p", sampling.min_p.is_some()),
            ("repetition_penalty", sampling.repetition_penalty.is_some()),
            ("user", chat.user.is_some()),
            (
                "thinking.display",
                chat.reasoning.as_ref().is_some_and(|reasoning| reasoning.shown == Some(false)),
            ),
        ] {
            if given {
                self.drop(name, "not known to Cohere");
            }
        }
    }
}

fn format(output: &OutputFormat) -> Option<Value> {
    match output {
        OutputFormat::Text | OutputFormat::Grammar(_) => None,
        OutputFormat::JsonObject => Some(json!({"type": "json_object"})),
        OutputFormat::JsonSchema { schema, .. } => {
            Some(json!({"type": "json_object", "json_schema": schema}))
        }
    }
}

fn thinking(reasoning: &Reasoning) -> Option<Value> {
    let &Reasoning { enabled, effort, budget_tokens, shown: _ } = reasoning;
    if enabled == Some(false) || effort == Some(Effort::None) {
        return Some(json!({"type": "disabled"}));
    }
    let budget = budget_tokens.or(match effort {
        Some(Effort::Minimal | Effort::Low) => Some(LOW_BUDGET_TOKENS),
        Some(Effort::Medium) => Some(MEDIUM_BUDGET_TOKENS),
        Some(_) => Some(HIGH_BUDGET_TOKENS),
        None => None,
    });
    match (budget, enabled) {
        (Some(budget), _) => Some(json!({"type": "enabled", "token_budget": budget})),
        (None, Some(_)) => Some(json!({"type": "enabled"})),
        (None, None) => None,
    }
}

/// A picture as a link, or a `data:` URL.
pub(super) fn url(at: &str, media: &Media) -> Result<String, Failure> {
    match (&media.source, &media.media_type) {
        (MediaSource::Url(url), _) => Ok(url.clone()),
        (MediaSource::Base64(data), Some(kind)) => Ok(format!("data:{kind};base64,{data}")),
        (MediaSource::Base64(_), None) => Err(refuse(at, "the picture does not say its media type")),
        _ => Err(refuse(at, "the file lies where Cohere cannot read it; send its bytes or a URL")),
    }
}

/// Something a server of this dialect cannot be asked at all.
pub(super) fn refuse(path: impl Into<String>, why: &str) -> Failure {
    let path = path.into();
    Failure::unsupported(format!("{path}: {why}")).with_param(path)
}
