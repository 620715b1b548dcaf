//! A client's body → what the gateway must know at once, and, on demand, a [`Chat`].
//!
//! [`read`] runs on every request and only scans; [`decode`] runs when the target speaks
//! another dialect or a layer wants the content. What has no field in the hub stays in
//! `extra` at its level (`service_tier`, `context_management`, `mcp_servers`, …).
//! Source: `message_create_params.py` and its beta sibling of `anthropic` 2.12.0, read 2026-11-22.

use message::{
    Call, Chat, Decode, Dialect, Effort, Extra, Failure, Head, Message, Operation, OutputFormat, Role,
    SPELLING,
};
use serde_json::{Value, json};

use super::blocks::{self, Content};
use super::fields::{Fields, Path, each, expected, string};
use super::tools;
use super::wire::DISPLAY;
use crate::{Inbound, json, tier};

/// Reads the shallow facts of a body and checks that what every call needs is there.
///
/// # Errors
/// [`InvalidRequest`](message::ErrorKind::InvalidRequest) for what is not JSON, names the
/// model twice, or lacks `model`, `messages` or (but for token counts) `max_tokens`.
pub fn read(operation: Operation, body: &[u8]) -> Result<Inbound, Failure> {
    let [model_span, stream, max_tokens, messages] =
        json::members(body, ["model", "stream", "max_tokens", "messages"])?;
    let required = |name: &str| Failure::invalid_field(name, "field required");
    let model =
        json::member::<String>(body, model_span.clone(), "model")?.ok_or_else(|| required("model"))?;
    if model.is_empty() {
        return Err(Failure::invalid_field("model", "must not be empty"));
    }
    let max_tokens = json::member::<u64>(body, max_tokens, "max_tokens")?;
    if operation == Operation::Chat && max_tokens.is_none() {
        return Err(required("max_tokens"));
    }
    match messages.and_then(|span| body.get(span.start)) {
        Some(b'[') => {}
        Some(b'n') | None => return Err(required("messages")),
        Some(_) => return Err(Failure::invalid_field("messages", "expected an array")),
    }
    let stream = json::member::<bool>(body, stream, "stream")?.unwrap_or(false);
    let head = Head { model, model_span, stream: stream && operation == Operation::Chat, max_tokens };
    Ok(Inbound { head, decode: Decode::Chat(decode) })
}

/// Decodes a call's body; the [`message::Decode`] of this dialect.
///
/// # Errors
/// As [`decode_body`].
pub fn decode(call: &Call) -> Result<Chat, Failure> {
    decode_body(&call.body)
}

/// Decodes a body, which needs no `model` and no `max_tokens`: on Bedrock, where
/// `InvokeModel` carries Anthropic bodies, they stand elsewhere. `anthropic_version`
/// is dropped, `anthropic_beta` (the beta header's place there) stays in `extra`.
///
/// # Errors
/// [`InvalidRequest`](message::ErrorKind::InvalidRequest) naming the path of the field.
pub fn decode_body(body: &[u8]) -> Result<Chat, Failure> {
    let mut fields = Fields::of(json::decode::<Value>(body)?, &Path::Root)?;
    let mut chat = Chat::new(Dialect::Anthropic);
    for elsewhere in ["model", "stream", "anthropic_version"] {
        fields.take(elsewhere);
    }
    system(&mut chat, &mut fields)?;
    messages(&mut chat, &mut fields)?;
    if let Some(items) = fields.array("tools")? {
        chat.tools = each(items, &Path::Key(&Path::Root, "tools"), tools::tool)?;
    }
    if let Some(value) = fields.take("tool_choice") {
        let read = tools::choice(value, &Path::Key(&Path::Root, "tool_choice"))?;
        chat.tool_choice = read.choice;
        chat.parallel_tool_calls = read.parallel;
        keep(&mut fields, "tool_choice", read.rest);
    }
    sampling(&mut chat, &mut fields)?;
    thinking(&mut chat, &mut fields)?;
    output(&mut chat, &mut fields)?;
    user(&mut chat, &mut fields)?;
    chat.extra.extend(fields.rest());
    tier::read(&mut chat, "service_tier");
    Ok(chat)
}

fn system(chat: &mut Chat, fields: &mut Fields<'_>) -> Result<(), Failure> {
    let at = Path::Key(&Path::Root, "system");
    if matches!(fields.peek("system"), Some(Value::Array(blocks)) if blocks.is_empty()) {
        return Ok(());
    }
    if let Some(value) = fields.take("system") {
        let Content { blocks, plain } = blocks::content(Some(value), &at)?;
        chat.system = blocks;
        chat.system_plain = plain;
    }
    Ok(())
}

fn messages(chat: &mut Chat, fields: &mut Fields<'_>) -> Result<(), Failure> {
    let at = Path::Key(&Path::Root, "messages");
    match fields.take("messages") {
        Some(Value::Array(items)) if items.is_empty() => Err(at.fail("at least one message is required")),
        Some(Value::Array(items)) => {
            chat.messages = each(items, &at, message)?;
            Ok(())
        }
        Some(other) => Err(expected(&at, "an array", &other)),
        None => Err(fields.missing("messages")),
    }
}

fn message(value: Value, at: &Path<'_>) -> Result<Message, Failure> {
    let mut fields = Fields::of(value, at)?;
    let role = match fields.required_string("role")?.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        // Mid-conversation instructions; Claude Code sends them after the first user turn.
        "system" => Role::System,
        _ => {
            let here = Path::Key(at, "role");
            return Err(here.fail("expected \"user\", \"assistant\" or \"system\""));
        }
    };
    let content = fields.take("content");
    if content.is_none() && role != Role::System {
        return Err(fields.missing("content"));
    }
    let Content { blocks, plain } = blocks::content(content, &Path::Key(at, "content"))?;
    Ok(Message { role, content: blocks, plain, extra: fields.rest() })
}

fn sampling(chat: &mut Chat, fields: &mut Fields<'_>) -> Result<(), Failure> {
    chat.sampling.max_tokens = fields.count("max_tokens")?;
    chat.sampling.temperature = fields.number("temperature")?;
    chat.sampling.top_p = fields.number("top_p")?;
    chat.sampling.top_k = fields.count("top_k")?;
    if let Some(items) = fields.array("stop_sequences")? {
        chat.sampling.stop = each(items, &Path::Key(&Path::Root, "stop_sequences"), string)?;
    }
    Ok(())
}

/// `thinking`: on with a budget, off, or left to the model (`adaptive`, which is how
/// the hub's `enabled: None` is spelt here).
fn thinking(chat: &mut Chat, fields: &mut Fields<'_>) -> Result<(), Failure> {
    let Some(value) = fields.take("thinking") else { return Ok(()) };
    let at = Path::Key(&Path::Root, "thinking");
    let mut config = Fields::of(value, &at)?;
    let kind = config.required_string("type")?;
    let reasoning = chat.reasoning.get_or_insert_default();
    match kind.as_str() {
        "enabled" => {
            reasoning.enabled = Some(true);
            reasoning.budget_tokens = config.count("budget_tokens")?;
        }
        "disabled" => reasoning.enabled = Some(false),
        "adaptive" => spell(&mut chat.extra, "thinking", "adaptive"),
        // `between_tools`, and what is yet to come.
        _ => config.keep("type", kind.into()),
    }
    let display = config.peek("display").and_then(Value::as_str);
    reasoning.shown = DISPLAY.into_iter().find(|(word, _)| Some(*word) == display).map(|(_, shown)| shown);
    if reasoning.shown.is_some() {
        config.take("display");
    }
    keep(fields, "thinking", config.remainder());
    Ok(())
}

/// `output_config`: effort and format; and `output_format`, where the format stood before.
fn output(chat: &mut Chat, fields: &mut Fields<'_>) -> Result<(), Failure> {
    if let Some(value) = fields.take("output_config") {
        let at = Path::Key(&Path::Root, "output_config");
        let mut config = Fields::of(value, &at)?;
        if let Some(word) = config.string("effort")? {
            match effort(&word) {
                Some(effort) => chat.reasoning.get_or_insert_default().effort = Some(effort),
                None => config.keep("effort", word.into()),
            }
        }
        if let Some(value) = config.take("format") {
            match format(value) {
                Ok(format) => chat.output = format,
                Err(unknown) => config.keep("format", unknown),
            }
        }
        keep(fields, "output_config", config.remainder());
    }
    if chat.output == OutputFormat::Text
        && let Some(value) = fields.take("output_format")
    {
        match format(value) {
            Ok(format) => {
                chat.output = format;
                spell(&mut chat.extra, "format", "output_format");
            }
            Err(unknown) => fields.keep("output_format", unknown),
        }
    }
    Ok(())
}

/// A format that says a schema and nothing else; anything else comes back.
fn format(mut value: Value) -> Result<OutputFormat, Value> {
    let known = value.as_object().is_some_and(|format| {
        format.len() == 2
            && format.get("type").is_some_and(|kind| kind == "json_schema")
            && format.get("schema").is_some_and(Value::is_object)
    });
    if !known {
        return Err(value);
    }
    let schema = value["schema"].take();
    Ok(OutputFormat::JsonSchema { name: None, description: None, schema, strict: None })
}

/// The hub's word for `output_config.effort`; this dialect's scale begins at low.
fn effort(word: &str) -> Option<Effort> {
    Effort::from_word(word).filter(|effort| *effort >= Effort::Low)
}

fn user(chat: &mut Chat, fields: &mut Fields<'_>) -> Result<(), Failure> {
    let Some(value) = fields.take("metadata") else { return Ok(()) };
    let at = Path::Key(&Path::Root, "metadata");
    let mut metadata = Fields::of(value, &at)?;
    chat.user = metadata.string("user_id")?;
    keep(fields, "metadata", metadata.remainder());
    Ok(())
}

fn keep(fields: &mut Fields<'_>, key: &str, rest: Option<Value>) {
    if let Some(rest) = rest {
        fields.keep(key, rest);
    }
}

/// Notes how something was written; see [`SPELLING`].
fn spell(extra: &mut Extra, what: &str, how: &str) {
    extra.entry(SPELLING).or_insert_with(|| json!({}))[what] = how.into();
}
