//! A client's body → [`Head`] in one pass, and on demand → [`Chat`], an
//! [`Embed`](message::Embed) or a [`Rerank`](message::Rerank).
//!
//! What has no field in the hub stays in `extra` at its level. Source: `v2/raw_client.py` and
//! the message types of `cohere` 7.3.1, read 2026-11-22.

use message::{
    Block, BlockKind, Call, Chat, Decode, Dialect, Dropped, Extra, Failure, Head, Media, MediaSource,
    Message, Operation, OutputFormat, Reasoning, Role, Tool, ToolChoice, ToolKind, ToolOrigin,
};
use serde_json::{Map, Value, json};

use super::{embed, rerank};
use crate::json::fields::{At, Fields};
use crate::{Inbound, json};

/// Reads the shallow facts of a body.
///
/// # Errors
/// [`InvalidRequest`](message::ErrorKind::InvalidRequest) for what is not JSON or lacks what
/// every call needs.
pub fn read(operation: Operation, body: &[u8]) -> Result<Inbound, Failure> {
    let [model_span, stream, max_tokens, messages] =
        json::members(body, ["model", "stream", "max_tokens", "messages"])?;
    let required = |name| Failure::invalid_field(name, "this field is required");
    let model: Option<String> = json::member(body, model_span.clone(), "model")?;
    let model = model.filter(|model| !model.is_empty()).ok_or_else(|| required("model"))?;
    let is_chat = operation == Operation::Chat;
    if is_chat && messages.is_none() {
        return Err(required("messages"));
    }
    let head = Head {
        model,
        model_span,
        stream: is_chat && json::member(body, stream, "stream")?.unwrap_or(false),
        max_tokens: if is_chat { json::member(body, max_tokens, "max_tokens")? } else { None },
    };
    let decode = match operation {
        Operation::Embed => Decode::Embed(embed::decode),
        Operation::Rerank => Decode::Rerank(rerank::decode),
        Operation::Chat | Operation::CountTokens => Decode::Chat(decode),
    };
    Ok(Inbound { head, decode })
}

/// Decodes a chat.
///
/// # Errors
/// [`InvalidRequest`](message::ErrorKind::InvalidRequest) naming the field.
pub fn decode(call: &Call) -> Result<Chat, Failure> {
    let mut fields = Fields::new(At::Root, json::decode::<Map<String, Value>>(&call.body)?);
    let mut chat = Chat::new(Dialect::Cohere);
    // The call's head has the model's name, also after an alias was resolved.
    fields.take("model");
    if let Some(stream) = fields.take("stream") {
        fields.note("stream", stream);
    }
    let at = At::Root.field("messages");
    let messages = fields.array("messages")?.ok_or_else(|| fields.missing("messages"))?;
    for (index, value) in messages.into_iter().enumerate() {
        chat.messages.push(message(at.item(index), value)?);
    }
    if chat.messages.is_empty() {
        return Err(at.fault("at least one message is required"));
    }
    tools(&mut fields, &mut chat)?;
    settings(&mut fields, &mut chat)?;
    if matches!(fields.peek("documents"), Some(Value::Array(documents)) if !documents.is_empty()) {
        let why = "only Cohere's models ground on documents beside the messages; put them into a message";
        chat.essential.push(Dropped { path: "documents".to_owned(), why });
    }
    chat.extra = fields.rest();
    Ok(chat)
}

fn message(at: At<'_>, value: Value) -> Result<Message, Failure> {
    let mut fields = Fields::of(at, value)?;
    let role = match fields.required_string("role")?.as_str() {
        "system" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => return result(fields),
        _ => return Err(at.field("role").fault("expected `system`, `user`, `assistant` or `tool`")),
    };
    let mut blocks = Vec::new();
    if role == Role::Assistant
        && let Some(text) = fields.string("tool_plan")?
    {
        let notes = json!({"in": "tool_plan"});
        let extra = Extra::from_iter([(message::SPELLING.to_owned(), notes)]);
        blocks.push(Block { extra, ..Block::new(BlockKind::Thinking { text, signature: None }) });
    }
    let (content, plain) = content(&mut fields)?;
    blocks.extend(content);
    if role == Role::Assistant {
        let calls_at = at.field("tool_calls");
        for (index, value) in fields.filled_array("tool_calls")?.into_iter().enumerate() {
            blocks.push(tool_call(calls_at.item(index), value)?);
        }
    }
    Ok(Message { role, content: blocks, plain, extra: fields.rest() })
}

/// A message's content: blocks, and whether it was a bare string (or not there at all).
fn content(fields: &mut Fields<'_>) -> Result<(Vec<Block>, bool), Failure> {
    let at = fields.at;
    let at = at.field("content");
    match fields.take("content") {
        None => {
            fields.note("content", Value::Null);
            Ok((Vec::new(), true))
        }
        Some(Value::String(text)) => Ok((vec![Block::text(text)], true)),
        Some(Value::Array(parts)) => {
            let parts = parts.into_iter().enumerate();
            Ok((parts.map(|(index, value)| part(at.item(index), value)).collect::<Result<_, _>>()?, false))
        }
        Some(other) => Err(at.expected("a string or an array of content parts", &other)),
    }
}

fn part(at: At<'_>, value: Value) -> Result<Block, Failure> {
    let mut fields = Fields::of(at, value)?;
    let kind = match fields.peek("type").and_then(Value::as_str) {
        Some("text") => BlockKind::Text(fields.required_string("text")?),
        Some("thinking") => {
            BlockKind::Thinking { text: fields.required_string("thinking")?, signature: None }
        }
        Some("image_url") => BlockKind::Image(image(&mut fields)?),
        Some(_) => {
            let value = fields.whole();
            return Ok(Block::new(BlockKind::Opaque { dialect: Dialect::Cohere, value }));
        }
        None => return Err(fields.missing("type")),
    };
    fields.take("type");
    Ok(Block { extra: fields.rest(), ..Block::new(kind) })
}

/// `{"url": a link or a data: URL, …}`.
fn image(fields: &mut Fields<'_>) -> Result<Media, Failure> {
    let at = fields.at;
    let at = at.field("image_url");
    let value = fields.take("image_url").ok_or_else(|| fields.missing("image_url"))?;
    let mut inner = Fields::of(at, value)?;
    let url = inner.required_string("url")?;
    fields.keep_rest("image_url", inner);
    media(&at, url)
}

/// A link, or the bytes in a `data:` URL.
pub(super) fn media(at: &At<'_>, url: String) -> Result<Media, Failure> {
    let Some(data) = url.strip_prefix("data:") else {
        return Ok(Media { media_type: None, name: None, source: MediaSource::Url(url) });
    };
    let split = data.split_once(',').and_then(|(head, data)| Some((head.strip_suffix(";base64")?, data)));
    let (kind, data) =
        split.ok_or_else(|| at.fault("a data: URL must be `data:<media type>;base64,<data>`"))?;
    let media_type = Some(kind.to_owned());
    Ok(Media { media_type, name: None, source: MediaSource::Base64(data.to_owned()) })
}

fn tool_call(at: At<'_>, value: Value) -> Result<Block, Failure> {
    let mut fields = Fields::of(at, value)?;
    if fields.string("type")?.is_none() {
        fields.note("type", Value::Null);
    }
    let id = fields.required_string("id")?;
    let inner = fields.take("function").ok_or_else(|| fields.missing("function"))?;
    let mut inner = Fields::of(at.field("function"), inner)?;
    let name = inner.required_string("name")?;
    let input = inner.string("arguments")?;
    if input.is_none() {
        inner.note("arguments", Value::Null);
    }
    fields.keep_rest("function", inner);
    let input = input.unwrap_or_default();
    let kind = BlockKind::ToolUse { id, name, input, origin: ToolOrigin::Client };
    Ok(Block { extra: fields.rest(), ..Block::new(kind) })
}

/// A tool's answer: text, or documents whose data is text or an object.
fn result(mut fields: Fields<'_>) -> Result<Message, Failure> {
    let id = fields.required_string("tool_call_id")?;
    if let Some(Value::Array(parts)) = fields.peek("content") {
        let said: Vec<Block> = parts.iter().filter_map(document).map(Block::text).collect();
        if said.len() == parts.len() {
            let noted = fields.take("content").unwrap_or_default();
            fields.note("content", noted);
            let kind = BlockKind::ToolResult { id, content: said, plain: false, is_error: None };
            let content = vec![Block::new(kind)];
            return Ok(Message { role: Role::Tool, content, plain: false, extra: fields.rest() });
        }
    }
    let (content, plain) = content(&mut fields)?;
    let kind = BlockKind::ToolResult { id, content, plain, is_error: None };
    Ok(Message { role: Role::Tool, content: vec![Block::new(kind)], plain: false, extra: fields.rest() })
}

/// What a part of a tool's answer says.
pub(super) fn document(part: &Value) -> Option<String> {
    match (part.get("type")?.as_str()?, part.get("text"), part.get("document")) {
        ("text", Some(Value::String(text)), _) => Some(text.clone()),
        ("document", _, Some(document)) => Some(match document.get("data") {
            Some(Value::String(text)) => text.clone(),
            Some(data) => data.to_string(),
            None => document.to_string(),
        }),
        _ => None,
    }
}

fn tools(fields: &mut Fields<'_>, chat: &mut Chat) -> Result<(), Failure> {
    let strict = fields.bool("strict_tools")?;
    if let Some(strict) = strict {
        fields.note("strict_tools", strict);
    }
    let at = At::Root.field("tools");
    for (index, value) in fields.filled_array("tools")?.into_iter().enumerate() {
        let at = at.item(index);
        let mut tool = Fields::of(at, value)?;
        if tool.string("type")?.is_none() {
            tool.note("type", Value::Null);
        }
        let inner = tool.take("function").ok_or_else(|| tool.missing("function"))?;
        let mut inner = Fields::of(at.field("function"), inner)?;
        let name = inner.required_string("name")?;
        let description = inner.string("description")?;
        let schema = inner.take("parameters");
        if let Some(other) = schema.as_ref().filter(|schema| !schema.is_object()) {
            return Err(at.field("function").expected("parameters that are a JSON Schema object", other));
        }
        tool.keep_rest("function", inner);
        let kind = ToolKind::Function { schema };
        let strict = strict.filter(|strict| *strict);
        chat.tools.push(Tool { name, description, kind, strict, cache: None, extra: tool.rest() });
    }
    chat.tool_choice = match fields.string("tool_choice")?.as_deref() {
        None => None,
        Some("REQUIRED") => Some(ToolChoice::Any),
        Some("NONE") => Some(ToolChoice::None),
        Some(_) => return Err(At::Root.field("tool_choice").fault("expected `REQUIRED` or `NONE`")),
    };
    Ok(())
}

fn settings(fields: &mut Fields<'_>, chat: &mut Chat) -> Result<(), Failure> {
    let sampling = &mut chat.sampling;
    sampling.max_tokens = fields.count("max_tokens")?;
    sampling.temperature = fields.number("temperature")?;
    sampling.top_p = fields.number("p")?;
    let top_k = fields.peek("k").cloned().unwrap_or_default();
    match fields.count("k")? {
        // Off, as the dialect has it.
        Some(0) => fields.note("k", top_k),
        k => sampling.top_k = k,
    }
    sampling.presence_penalty = fields.number("presence_penalty")?;
    sampling.frequency_penalty = fields.number("frequency_penalty")?;
    if let Some(seed) = fields.number("seed")? {
        let wrong = || At::Root.field("seed").fault("expected an integer");
        sampling.seed = Some(seed.as_i64().ok_or_else(wrong)?);
    }
    for (index, stop) in fields.filled_array("stop_sequences")?.into_iter().enumerate() {
        match stop {
            Value::String(stop) => sampling.stop.push(stop),
            other => return Err(At::Root.field("stop_sequences").item(index).expected("a string", &other)),
        }
    }
    match fields.bool("logprobs")? {
        Some(true) => sampling.logprobs = Some(0),
        Some(false) => fields.note("logprobs", false),
        None => {}
    }
    if let Some(value) = fields.take("response_format") {
        match format(&value) {
            Some(format) => chat.output = format,
            None => {
                return Err(At::Root.field("response_format").fault("expected type `text` or `json_object`"));
            }
        }
        fields.note("response_format", value);
    }
    if let Some(value) = fields.take("thinking") {
        chat.reasoning = Some(thinking(&value)?);
        fields.note("thinking", value);
    }
    Ok(())
}

/// The form of the answer; `None`: one the dialect does not have.
pub(super) fn format(value: &Value) -> Option<OutputFormat> {
    match value.get("type")?.as_str()? {
        "text" => Some(OutputFormat::Text),
        // `schema` is its older name.
        "json_object" => Some(match value.get("json_schema").or_else(|| value.get("schema")) {
            Some(schema @ Value::Object(_)) => OutputFormat::JsonSchema {
                name: None,
                description: None,
                schema: schema.clone(),
                strict: None,
            },
            _ => OutputFormat::JsonObject,
        }),
        _ => None,
    }
}

/// What is wanted of reasoning.
///
/// # Errors
/// [`InvalidRequest`](message::ErrorKind::InvalidRequest) naming the field.
pub(super) fn thinking(value: &Value) -> Result<Reasoning, Failure> {
    let root = At::Root;
    let at = root.field("thinking");
    let mut fields = Fields::of(at, value.clone())?;
    let enabled = match fields.required_string("type")?.as_str() {
        "enabled" => Some(true),
        "disabled" => Some(false),
        _ => return Err(at.field("type").fault("expected `enabled` or `disabled`")),
    };
    Ok(Reasoning { enabled, budget_tokens: fields.count("token_budget")?, ..Reasoning::default() })
}
