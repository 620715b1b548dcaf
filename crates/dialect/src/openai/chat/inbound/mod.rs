//! A client's body → [`Head`] in one pass, and on demand → [`Chat`].

mod message;
mod options;
mod part;
mod tool;

use ::message::{Call, Chat, Decode, Dialect, Extra, Failure, Head, Operation, OutputFormat, ToolChoice};
use serde_json::{Map, Value, json};

use crate::openai::custom;
use crate::openai::fields::{At, Fields};
use crate::openai::spelling::seal;
use crate::{Inbound, extensions, tier};

/// Reads the shallow facts of a body. `messages` is asked for so that a body that names
/// it twice is refused: two readers could each see another conversation.
///
/// # Errors
/// [`InvalidRequest`](::message::ErrorKind::InvalidRequest) naming the field.
pub fn read(_: Operation, body: &[u8]) -> Result<Inbound, Failure> {
    let wanted = ["model", "stream", "max_tokens", "max_completion_tokens", "messages"];
    let [model, stream, max_tokens, max_completion_tokens, messages] =
        crate::json::members(body, wanted).map_err(|error| Failure::invalid(error.to_string()))?;
    let name: Option<String> = crate::json::member(body, model.clone(), "model")?;
    let name = name.filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Failure::invalid_field("model", "this field is required"))?;
    if messages.is_none() {
        return Err(Failure::invalid_field("messages", "this field is required"));
    }
    let limit = match crate::json::member(body, max_completion_tokens, "max_completion_tokens")? {
        Some(limit) => Some(limit),
        None => crate::json::member(body, max_tokens, "max_tokens")?,
    };
    let head = Head {
        model: name,
        model_span: model,
        stream: crate::json::member(body, stream, "stream")?.unwrap_or(false),
        max_tokens: limit,
    };
    Ok(Inbound { head, decode: Decode::Chat(decode) })
}

/// Decodes the whole body.
///
/// # Errors
/// [`InvalidRequest`](::message::ErrorKind::InvalidRequest) naming the field.
pub fn decode(call: &Call) -> Result<Chat, Failure> {
    decode_body(&call.body)
}

/// Decodes a body, which needs no `model`: InvokeModel carries such bodies, and there it
/// stands in the path.
///
/// # Errors
/// As [`decode`].
pub fn decode_body(body: &[u8]) -> Result<Chat, Failure> {
    let mut fields = Fields::new(At::Root, crate::json::decode::<Map<String, Value>>(body)?);
    let mut chat = Chat::new(Dialect::OpenAiChat);
    let mut notes = Extra::new();
    // The call's head has the model's name, also after an alias was resolved.
    fields.take_any("model");
    for name in ["stream", "stream_options"] {
        if let Some(value) = fields.take_any(name) {
            notes.insert(name.to_owned(), value);
        }
    }
    chat.messages = conversation(&mut fields)?;
    tool::tools(&mut fields, &mut chat, &mut notes)?;
    options::options(&mut fields, &mut chat, &mut notes)?;
    chat.tool_inputs = custom::inputs(&chat.tools);
    let rest = extended(fields.rest(), &mut chat, &mut notes)?;
    chat.extra = seal(rest, notes);
    tier::read(&mut chat, "service_tier");
    Ok(chat)
}

/// Reads what servers of open models take, among the fields that nobody else has read.
pub(in crate::openai) fn extended(
    mut rest: Extra,
    chat: &mut Chat,
    notes: &mut Extra,
) -> Result<Extra, Failure> {
    chat.sampling.extensions = extensions::sampling(&rest, "")?;
    let Some((name, format)) = extensions::language(&rest)? else { return Ok(rest) };
    if chat.output != OutputFormat::Text {
        let message = "an answer has one form; `response_format` gives it one already";
        return Err(Failure::invalid_field(name, message));
    }
    if matches!(format, OutputFormat::Grammar(_)) {
        // Other dialects cannot say it.
        chat.sampling.extensions.read.push(name.to_owned());
    } else if let Some(value) = rest.shift_remove(name) {
        notes.insert("language".to_owned(), json!({ name: value }));
    }
    chat.output = format;
    Ok(rest)
}

/// Decodes the settings that the older interface shares.
pub(in crate::openai) fn settings(
    fields: &mut Fields<'_>,
    chat: &mut Chat,
    notes: &mut Extra,
) -> Result<(), Failure> {
    options::options(fields, chat, notes)
}

/// Reads a `response_format`, for whoever has one in hand.
pub(super) fn parse_format(value: &Value) -> Result<OutputFormat, Failure> {
    options::format(At::Root.field("response_format"), value)
}

/// Reads a `tool_choice`, for whoever has one in hand.
pub(super) fn parse_choice(value: &Value) -> Result<ToolChoice, Failure> {
    tool::parse_choice(At::Root.field("tool_choice"), value).map(|parsed| parsed.choice)
}

fn conversation(fields: &mut Fields<'_>) -> Result<Vec<::message::Message>, Failure> {
    let at = fields.at;
    let at = at.field("messages");
    let messages = fields.array("messages")?.ok_or_else(|| at.fault("this field is required"))?;
    if messages.is_empty() {
        return Err(at.fault("at least one message is required"));
    }
    let mut legacy_call = None;
    let messages = messages.into_iter().enumerate();
    messages.map(|(index, value)| message::message(at.item(index), value, &mut legacy_call)).collect()
}

/// What the client asked of the reply's form.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ReplyOptions {
    /// `stream_options.include_usage`.
    pub(super) include_usage: bool,
    /// The call was made with `functions`: tool calls are answered as `function_call`.
    pub(super) legacy_functions: bool,
    /// `logprobs`.
    pub(super) logprobs: bool,
}

impl ReplyOptions {
    pub(super) fn of(chat: &Chat) -> Self {
        let note = |name| crate::openai::spelling::note(&chat.extra, name);
        let include_usage = note("stream_options").and_then(|options| options.get("include_usage"));
        Self {
            include_usage: include_usage == Some(&Value::Bool(true)),
            legacy_functions: note("functions").is_some(),
            logprobs: chat.sampling.logprobs.is_some(),
        }
    }
}
