//! A client's body → [`Head`] in one pass, and on demand → [`Chat`] or an
//! [`Embed`](::message::Embed).
//!
//! Every name may be spelt in camelCase or snake_case, as protobuf's JSON allows; what has
//! no field in the hub stays in `extra` at its level. Source: `types.py` and the converters
//! of `google-genai` 3.4.0 and <https://ai.google.dev/api/generate-content>, read 2026-11-22.

mod calls;
mod part;
mod settings;
mod tools;

use ::message::{
    Block, Call, Chat, Decode, Dialect, Dropped, Extra, Failure, Head, Message, Operation, Role,
};
use serde_json::{Map, Value};

use self::calls::Calls;
pub(super) use self::part::said;
pub(super) use self::settings::{read_format, read_thinking};
pub(super) use self::tools::{Offered, read as read_tools};
use super::embed;
use crate::json::fields::{At, Fields};
use crate::{Inbound, json, tier};

/// Reads the shallow facts of a body; model and stream are in the path.
///
/// # Errors
/// [`InvalidRequest`](::message::ErrorKind::InvalidRequest) for what is not JSON or lacks what
/// every call needs.
pub fn read(operation: Operation, model: &str, stream: bool, body: &[u8]) -> Result<Inbound, Failure> {
    if model.is_empty() {
        return Err(Failure::invalid_field("model", "the path must name a model: /v1beta/models/NAME:…"));
    }
    let wanted = ["model", "contents", "generationConfig", "generation_config", "generateContentRequest"];
    let [model_span, contents, config, config_snake, wrapped] = json::members(body, wanted)?;
    if operation == Operation::Chat && contents.is_none() && wrapped.is_none() {
        return Err(Failure::invalid_field("contents", "this field is required"));
    }
    let config = config.or(config_snake).and_then(|span| body.get(span));
    let max_tokens = match config.filter(|config| config.starts_with(b"{")) {
        None => None,
        Some(config) => {
            let [camel, snake] = json::members(config, ["maxOutputTokens", "max_output_tokens"])?;
            json::member(config, camel.or(snake), "generationConfig.maxOutputTokens")?
        }
    };
    let head = Head { model: model.to_owned(), model_span, stream, max_tokens };
    let decode = match operation {
        Operation::Embed => Decode::Embed(embed::decode),
        Operation::Chat | Operation::CountTokens | Operation::Rerank => Decode::Chat(decode),
    };
    Ok(Inbound { head, decode })
}

/// Decodes the whole body.
///
/// # Errors
/// [`InvalidRequest`](::message::ErrorKind::InvalidRequest) naming the field.
pub fn decode(call: &Call) -> Result<Chat, Failure> {
    decode_body(&call.body)
}

pub(super) fn decode_body(body: &[u8]) -> Result<Chat, Failure> {
    let mut fields = Fields::new(At::Root, json::decode::<Map<String, Value>>(body)?);
    // A token count may carry a whole request.
    match fields.take("generateContentRequest") {
        None => request(fields),
        Some(value) => {
            let mut chat = request(Fields::of(At::Root, value)?)?;
            let notes = chat.extra.entry(::message::SPELLING).or_insert_with(|| Map::new().into());
            notes["wrapped"] = fields.rest().into();
            Ok(chat)
        }
    }
}

fn request(mut fields: Fields<'_>) -> Result<Chat, Failure> {
    let mut chat = Chat::new(Dialect::Gemini);
    // The call's head has the model's name, from the path.
    if let Some(model) = fields.take("model") {
        fields.note("model", model);
    }
    let at = fields.at;
    let mut calls = Calls::default();
    if let Some(value) = fields.take("systemInstruction") {
        let mut inner = Fields::of(at.field("systemInstruction"), value)?;
        chat.system = parts(&mut inner, &mut calls)?;
        fields.keep_rest("systemInstruction", inner);
    }
    chat.messages = contents(&mut fields, &mut calls)?;
    tools::tools(&mut fields, &mut chat)?;
    settings::settings(&mut fields, &mut chat)?;
    if fields.peek("cachedContent").is_some() {
        let why = "the cached content lies with Google; send the content itself";
        chat.essential.push(Dropped { path: "cachedContent".to_owned(), why });
    }
    chat.extra = fields.rest();
    tier::read(&mut chat, "serviceTier");
    Ok(chat)
}

fn contents(fields: &mut Fields<'_>, calls: &mut Calls) -> Result<Vec<Message>, Failure> {
    let at = fields.at;
    let at = at.field("contents");
    let items = match fields.take("contents") {
        None => return Err(at.fault("this field is required")),
        Some(Value::Array(items)) => items,
        // Google's own examples write one content without a list.
        Some(one @ Value::Object(_)) => {
            fields.note("contents", "one");
            vec![one]
        }
        Some(other) => return Err(at.expected("an array", &other)),
    };
    if items.is_empty() {
        return Err(at.fault("at least one content is required"));
    }
    items.into_iter().enumerate().map(|(index, value)| content(at.item(index), value, calls)).collect()
}

fn content(at: At<'_>, value: Value, calls: &mut Calls) -> Result<Message, Failure> {
    let mut fields = Fields::of(at, value)?;
    let role = match fields.string("role")?.as_deref() {
        Some("user") => Role::User,
        Some("model") => Role::Assistant,
        Some("function") => {
            fields.note("role", "function");
            Role::User
        }
        None => {
            fields.note("role", Value::Null);
            Role::User
        }
        Some(_) => return Err(at.field("role").fault("expected `user` or `model`")),
    };
    let content = parts(&mut fields, calls)?;
    Ok(Message { role, content, plain: false, extra: fields.rest() })
}

/// The parts of a content; one may stand without a list.
fn parts(fields: &mut Fields<'_>, calls: &mut Calls) -> Result<Vec<Block>, Failure> {
    let at = fields.at;
    let at = at.field("parts");
    let items = match fields.take("parts") {
        None => {
            fields.note("parts", Value::Null);
            Vec::new()
        }
        Some(Value::Array(items)) => items,
        Some(one @ Value::Object(_)) => {
            fields.note("parts", "one");
            vec![one]
        }
        Some(other) => return Err(at.expected("an array", &other)),
    };
    let mut blocks = Vec::with_capacity(items.len());
    for (index, value) in items.into_iter().enumerate() {
        part::part(at.item(index), value, calls, &mut blocks)?;
    }
    Ok(blocks)
}

/// The blocks of one content, alone.
pub(super) fn blocks(at: At<'_>, value: Value) -> Result<(Vec<Block>, Extra), Failure> {
    let mut fields = Fields::of(at, value)?;
    let blocks = parts(&mut fields, &mut Calls::default())?;
    Ok((blocks, fields.rest()))
}
