//! A client's body → [`Head`] in one pass, and on demand → [`Chat`] or an [`Embed`].
//!
//! `/api/chat` and `/api/generate` are told apart by `messages`; `/api/embed` and
//! `/api/embeddings` by `input`. Calls have no ids here: they are paired with their results
//! by name and order. No server is asked in this dialect, so nothing is kept to write it
//! again. Source: `_types.py` of `ollama` 0.6.3, read 2026-11-22.

use message::{
    Block, BlockKind, Call, Chat, Decode, Dialect, Dropped, Effort, Embed, EmbedInput, Failure, Head, Media,
    MediaSource, Message, Operation, OutputFormat, Reasoning, Role, Tool, ToolKind, ToolOrigin, Truncate,
};
use serde_json::{Map, Value};

use crate::json::fields::{At, Fields, note};
use crate::{Inbound, extensions, json};

/// Reads the shallow facts of a body. A stream is what clients get who say nothing.
///
/// # Errors
/// [`InvalidRequest`](message::ErrorKind::InvalidRequest) for what is not JSON or names no model.
pub fn read(operation: Operation, body: &[u8]) -> Result<Inbound, Failure> {
    // Each asked for so that a body that names it twice is refused.
    let [model_span, stream, options, _, _] =
        json::members(body, ["model", "stream", "options", "messages", "prompt"])?;
    let model: Option<String> = json::member(body, model_span.clone(), "model")?;
    let model = model.filter(|model| !model.is_empty());
    let model = model.ok_or_else(|| Failure::invalid_field("model", "this field is required"))?;
    // The name of a model without a tag.
    let model = model.strip_suffix(":latest").map(str::to_owned).unwrap_or(model);
    let is_chat = operation == Operation::Chat;
    let options: Option<Map<String, Value>> = json::member(body, options, "options")?;
    let limit = options.and_then(|options| options.get("num_predict")?.as_u64());
    let stream = is_chat && json::member(body, stream, "stream")?.unwrap_or(true);
    let head = Head { model, model_span, stream, max_tokens: limit.filter(|_| is_chat) };
    let decode = match operation {
        Operation::Embed => Decode::Embed(decode_embed),
        Operation::Chat | Operation::CountTokens | Operation::Rerank => Decode::Chat(decode),
    };
    Ok(Inbound { head, decode })
}

/// Decodes a chat or a prompt.
///
/// # Errors
/// [`InvalidRequest`](message::ErrorKind::InvalidRequest) naming the field.
pub fn decode(call: &Call) -> Result<Chat, Failure> {
    let mut fields = Fields::new(At::Root, json::decode::<Map<String, Value>>(&call.body)?);
    let mut chat = Chat::new(Dialect::Ollama);
    for name in ["model", "stream", "keep_alive"] {
        if let Some(value) = fields.take(name) {
            fields.note(name, value);
        }
    }
    match fields.array("messages")? {
        Some(messages) => {
            let at = At::Root.field("messages");
            let mut calls = Calls::default();
            for (index, value) in messages.into_iter().enumerate() {
                chat.messages.push(message(at.item(index), value, &mut calls)?);
            }
            if chat.messages.is_empty() {
                return Err(at.fault("at least one message is required; models load by themselves here"));
            }
        }
        None => prompt(&mut fields, &mut chat)?,
    }
    for (index, value) in fields.filled_array("tools")?.into_iter().enumerate() {
        chat.tools.push(tool(At::Root.field("tools").item(index), value)?);
    }
    options(&mut fields, &mut chat)?;
    format(&mut fields, &mut chat)?;
    think(&mut fields, &mut chat)?;
    let top = fields.count("top_logprobs")?;
    if fields.bool("logprobs")? == Some(true) {
        let wrong = |_| At::Root.field("top_logprobs").fault("must be between 0 and 20");
        chat.sampling.logprobs = Some(u8::try_from(top.unwrap_or(0)).map_err(wrong)?);
    }
    chat.extra = fields.rest();
    Ok(chat)
}

/// Whether the client reads its answer as a continued prompt's.
pub(super) fn is_prompt(chat: &Chat) -> bool {
    note(&chat.extra, "prompt").is_some()
}

/// `/api/generate`: one turn, or text to go on from as it stands.
fn prompt(fields: &mut Fields<'_>, chat: &mut Chat) -> Result<(), Failure> {
    let text = fields.string("prompt")?.unwrap_or_default();
    let images = images(fields)?;
    if text.is_empty() && images.is_empty() {
        let at = At::Root.field("prompt");
        return Err(at.fault("a prompt is required; models load by themselves here"));
    }
    if !fields.filled_array("context")?.is_empty() {
        let at = At::Root.field("context");
        return Err(at.fault("this server keeps no token history; send the conversation to /api/chat"));
    }
    for name in ["suffix", "template"] {
        if fields.peek(name).and_then(Value::as_str).is_some_and(|text| !text.is_empty()) {
            let why = "only Ollama's own server can; write it into the prompt, with raw set";
            chat.essential.push(Dropped { path: name.to_owned(), why });
        }
    }
    chat.raw = fields.bool("raw")?.unwrap_or(false);
    if let Some(system) = fields.string("system")?.filter(|system| !system.is_empty() && !chat.raw) {
        chat.system = vec![Block::text(system)];
        chat.system_plain = true;
    }
    let mut content = vec![Block::text(text)];
    content.extend(images);
    let plain = content.len() == 1;
    chat.messages = vec![Message { role: Role::User, content, plain, extra: Default::default() }];
    fields.note("prompt", true);
    Ok(())
}

/// Calls that have no result yet, oldest first: id and name.
#[derive(Default)]
struct Calls {
    open: Vec<(String, String)>,
    count: usize,
}

impl Calls {
    fn asked(&mut self, id: Option<String>, name: &str) -> String {
        let id = id.unwrap_or_else(|| format!("call_{}", self.count));
        self.count += 1;
        self.open.push((id.clone(), name.to_owned()));
        id
    }

    /// Without a name a result belongs to the oldest call.
    fn answered(&mut self, id: Option<String>, name: Option<&str>) -> Option<String> {
        let place = match (&id, name) {
            (Some(id), _) => self.open.iter().position(|(open, _)| open == id),
            (None, Some(name)) => self.open.iter().position(|(_, open)| open == name),
            (None, None) => (!self.open.is_empty()).then_some(0),
        };
        place.map(|place| self.open.remove(place).0).or(id)
    }
}

fn message(at: At<'_>, value: Value, calls: &mut Calls) -> Result<Message, Failure> {
    let mut fields = Fields::of(at, value)?;
    let role = fields.required_string("role")?;
    let text = fields.string("content")?.unwrap_or_default();
    let mut content = Vec::new();
    let role = match role.as_str() {
        "system" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => {
            // `name` is the field's older name.
            let name = fields.string("tool_name")?;
            let name = name.or(fields.string("name")?);
            let id = calls.answered(fields.string("tool_call_id")?, name.as_deref());
            let id = id.ok_or_else(|| at.fault("it answers no tool call of the conversation"))?;
            let content = vec![Block::text(text)];
            let kind = BlockKind::ToolResult { id, content, plain: true, is_error: None };
            let content = vec![Block::new(kind)];
            return Ok(Message { role: Role::Tool, content, plain: false, extra: fields.rest() });
        }
        _ => return Err(at.field("role").fault("expected `system`, `user`, `assistant` or `tool`")),
    };
    if let Some(text) = fields.string("thinking")?.filter(|text| !text.is_empty()) {
        content.push(Block::new(BlockKind::Thinking { text, signature: None }));
    }
    content.push(Block::text(text));
    content.extend(images(&mut fields)?);
    for (index, value) in fields.filled_array("tool_calls")?.into_iter().enumerate() {
        content.push(tool_call(at.field("tool_calls").item(index), value, calls)?);
    }
    let plain = content.len() == 1;
    Ok(Message { role, content, plain, extra: fields.rest() })
}

/// Pictures, base64; their type is in their first bytes.
fn images(fields: &mut Fields<'_>) -> Result<Vec<Block>, Failure> {
    let at = fields.at;
    let at = at.field("images");
    let mut blocks = Vec::new();
    for (index, value) in fields.filled_array("images")?.into_iter().enumerate() {
        let Value::String(data) = value else { return Err(at.item(index).expected("base64 text", &value)) };
        let known = [
            ("iVBORw0KGgo", "image/png"),
            ("/9j/", "image/jpeg"),
            ("R0lGOD", "image/gif"),
            ("UklGR", "image/webp"),
        ];
        let media_type = known.iter().find(|(start, _)| data.starts_with(start));
        let media_type = media_type.map(|(_, kind)| (*kind).to_owned());
        let source = MediaSource::Base64(data);
        blocks.push(Block::new(BlockKind::Image(Media { media_type, name: None, source })));
    }
    Ok(blocks)
}

fn tool_call(at: At<'_>, value: Value, calls: &mut Calls) -> Result<Block, Failure> {
    let mut fields = Fields::of(at, value)?;
    let id = fields.string("id")?;
    let inner = fields.take("function").ok_or_else(|| fields.missing("function"))?;
    let mut inner = Fields::of(at.field("function"), inner)?;
    let name = inner.required_string("name")?;
    let input = match inner.take("arguments") {
        None => "{}".to_owned(),
        // Some clients send the text of it.
        Some(Value::String(text)) => text,
        Some(arguments) => arguments.to_string(),
    };
    let id = calls.asked(id, &name);
    Ok(Block::new(BlockKind::ToolUse { id, name, input, origin: ToolOrigin::Client }))
}

fn tool(at: At<'_>, value: Value) -> Result<Tool, Failure> {
    let mut fields = Fields::of(at, value)?;
    fields.take("type");
    let inner = fields.take("function").ok_or_else(|| fields.missing("function"))?;
    let mut inner = Fields::of(at.field("function"), inner)?;
    let name = inner.required_string("name")?;
    let description = inner.string("description")?;
    let schema = inner.take("parameters");
    if let Some(other) = schema.as_ref().filter(|schema| !schema.is_object()) {
        return Err(at.field("function").expected("parameters that are a JSON Schema object", other));
    }
    let kind = ToolKind::Function { schema };
    Ok(Tool { name, description, kind, strict: None, cache: None, extra: inner.rest() })
}

/// `options`: how tokens are chosen. What tunes Ollama's own server is left over.
fn options(fields: &mut Fields<'_>, chat: &mut Chat) -> Result<(), Failure> {
    let Some(value) = fields.take("options") else { return Ok(()) };
    let root = At::Root;
    let at = root.field("options");
    let mut options = Fields::of(at, value)?;
    let sampling = &mut chat.sampling;
    // −1 and −2 are no limit.
    if let Some(limit) = options.number("num_predict")? {
        sampling.max_tokens = limit.as_u64();
    }
    sampling.temperature = options.number("temperature")?;
    sampling.top_p = options.number("top_p")?;
    sampling.min_p = options.number("min_p")?;
    sampling.top_k = options.count("top_k")?.filter(|k| *k > 0);
    sampling.repetition_penalty = options.number("repeat_penalty")?;
    sampling.presence_penalty = options.number("presence_penalty")?;
    sampling.frequency_penalty = options.number("frequency_penalty")?;
    sampling.seed = options.number("seed")?.and_then(|seed| seed.as_i64());
    match options.take("stop") {
        None => {}
        Some(Value::String(stop)) => sampling.stop = vec![stop],
        Some(Value::Array(stops)) => {
            for (index, stop) in stops.into_iter().enumerate() {
                match stop {
                    Value::String(stop) => sampling.stop.push(stop),
                    other => return Err(at.field("stop").item(index).expected("a string", &other)),
                }
            }
        }
        Some(other) => return Err(at.field("stop").expected("a string or an array of strings", &other)),
    }
    let mut rest = options.rest();
    sampling.extensions = extensions::sampling(&rest, "options.")?;
    // No server is asked in this dialect: what was read need not be kept.
    for name in std::mem::take(&mut sampling.extensions.read) {
        rest.shift_remove(&name);
    }
    // Left out by Ollama's clients too: nobody said it.
    fields.keep_rest("options", Fields::new(at, rest));
    Ok(())
}

/// `json`, or a schema.
fn format(fields: &mut Fields<'_>, chat: &mut Chat) -> Result<(), Failure> {
    chat.output = match fields.take("format") {
        None => OutputFormat::Text,
        Some(Value::String(word)) if word.is_empty() => OutputFormat::Text,
        Some(Value::String(word)) if word == "json" => OutputFormat::JsonObject,
        Some(schema @ Value::Object(_)) => {
            OutputFormat::JsonSchema { name: None, description: None, schema, strict: None }
        }
        Some(other) => {
            return Err(At::Root.field("format").expected("`json` or a JSON Schema object", &other));
        }
    };
    Ok(())
}

/// On, off, or how hard.
fn think(fields: &mut Fields<'_>, chat: &mut Chat) -> Result<(), Failure> {
    let (enabled, effort) = match fields.take("think") {
        None => return Ok(()),
        Some(Value::Bool(enabled)) => (enabled, None),
        Some(Value::String(word)) => match Effort::from_word(&word) {
            Some(effort) => (effort != Effort::None, Some(effort)),
            None => {
                return Err(At::Root.field("think").fault("expected true, false, `low`, `medium` or `high`"));
            }
        },
        Some(other) => return Err(At::Root.field("think").expected("a boolean or a word", &other)),
    };
    chat.reasoning = Some(Reasoning { enabled: Some(enabled), effort, ..Reasoning::default() });
    Ok(())
}

/// Decodes inputs to embed.
///
/// # Errors
/// [`InvalidRequest`](message::ErrorKind::InvalidRequest) naming the field.
pub fn decode_embed(call: &Call) -> Result<Embed, Failure> {
    let mut fields = Fields::new(At::Root, json::decode::<Map<String, Value>>(&call.body)?);
    for name in ["model", "keep_alive", "stream"] {
        fields.take(name);
    }
    let mut embed = Embed::new(Dialect::Ollama, Vec::new());
    let at = At::Root.field("input");
    let inputs = match (fields.take("input"), fields.take("prompt")) {
        (Some(Value::Array(inputs)), _) => inputs,
        (Some(one), _) => vec![one],
        (None, Some(one)) => {
            fields.note("prompt", true);
            vec![one]
        }
        (None, None) => return Err(fields.missing("input")),
    };
    for (index, input) in inputs.into_iter().enumerate() {
        match input {
            Value::String(text) => embed.inputs.push(EmbedInput::Text(text)),
            other => return Err(at.item(index).expected("a string", &other)),
        }
    }
    if embed.inputs.is_empty() {
        return Err(at.fault("something to embed is required"));
    }
    if let Some(count) = fields.count("dimensions")? {
        let wrong = || At::Root.field("dimensions").fault("must be a small positive number");
        let count = u32::try_from(count).ok().filter(|count| *count > 0);
        embed.dimensions = Some(count.ok_or_else(wrong)?);
    }
    embed.truncate = fields.bool("truncate")?.map(|cut| if cut { Truncate::End } else { Truncate::None });
    embed.extra = fields.rest();
    Ok(embed)
}
