//! A client's body → [`Head`] in one pass, and on demand → [`Chat`].

mod item;
mod options;
mod part;
mod tool;

use ::message::{Call, Chat, Decode, Dialect, Dropped, ErrorKind, Extra, Failure, Head, Operation};
use serde_json::{Map, Value};

pub(super) use self::item::{ADDITIONAL_TOOLS, BOOKKEEPING};
pub(super) use self::options::{parse_format, parse_reasoning};
pub(super) use self::tool::{Spoken, parse_choice};
use crate::openai::custom;
use crate::openai::fields::{At, Fields};
use crate::openai::spelling::seal;
use crate::{Inbound, json, tier};

/// Settings of the request's handling here, or repeated in the answer: a model elsewhere
/// answers the same without them.
pub(super) const HANDLED: [&str; 12] = [
    "stream",
    "stream_options",
    "store",
    "include",
    "metadata",
    "client_metadata",
    "background",
    "background_options",
    "context_management",
    "moderation",
    "generate",
    "prewarm",
];

/// Reads the shallow facts of a body. `input` is asked for so that a body that names it
/// twice is refused: two readers could each see another conversation.
///
/// # Errors
/// [`InvalidRequest`](ErrorKind::InvalidRequest) naming the field.
pub fn read(operation: Operation, body: &[u8]) -> Result<Inbound, Failure> {
    let wanted = ["model", "stream", "max_output_tokens", "input", "previous_response_id", "prompt"];
    let [model, stream, max_output_tokens, input, previous, prompt] = json::members(body, wanted)?;
    let name: Option<String> = json::member(body, model.clone(), "model")?;
    let name = name.filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Failure::invalid_field("model", "this field is required"))?;
    // With a stored prompt or an earlier response there may be nothing to add.
    if input.is_none() && previous.is_none() && prompt.is_none() {
        return Err(Failure::invalid_field("input", "this field is required"));
    }
    let stream = match operation {
        Operation::Chat => json::member(body, stream, "stream")?.unwrap_or(false),
        _ => false,
    };
    let max_tokens = json::member(body, max_output_tokens, "max_output_tokens")?;
    let head = Head { model: name, model_span: model, stream, max_tokens };
    Ok(Inbound { head, decode: Decode::Chat(decode) })
}

/// Decodes the whole body.
///
/// # Errors
/// [`InvalidRequest`](ErrorKind::InvalidRequest) naming the field;
/// [`NotFound`](ErrorKind::NotFound) for an earlier response that is not known here, since
/// what comes before `input` is then not known either.
pub fn decode(call: &Call) -> Result<Chat, Failure> {
    decode_body(&call.body)
}

pub(super) fn decode_body(body: &[u8]) -> Result<Chat, Failure> {
    let mut fields = Fields::new(At::Root, json::decode::<Map<String, Value>>(body)?);
    if let Some(Value::String(id)) = fields.peek("previous_response_id") {
        return Err(previous_not_found(id));
    }
    let mut chat = Chat::new(Dialect::OpenAiResponses);
    let mut notes = Extra::new();
    // The call's head has the model's name, also after an alias was resolved.
    fields.take_any("model");
    for name in HANDLED {
        if let Some(value) = fields.take_any(name) {
            notes.insert(name.to_owned(), value);
        }
    }
    if let Some(instructions) = fields.string("instructions")? {
        chat.system = vec![::message::Block::text(instructions)];
        chat.system_plain = true;
    }
    let choice = tool::tools(&mut fields, &mut chat, &mut notes)?;
    item::conversation(&mut fields, &mut chat, &mut notes)?;
    tool::choose(choice, &mut chat, &mut notes);
    options::options(&mut fields, &mut chat, &mut notes)?;
    for (name, why) in ESSENTIAL {
        if fields.peek(name).is_some_and(|value| !value.is_null()) {
            chat.essential.push(Dropped { path: name.to_owned(), why });
        }
    }
    chat.tool_inputs = custom::inputs(&chat.tools);
    chat.extra = seal(fields.rest(), notes);
    tier::read(&mut chat, "service_tier");
    Ok(chat)
}

/// What only the vendor can look up; without it the conversation is another one.
const ESSENTIAL: [(&str, &str); 2] = [
    ("conversation", "conversations are kept by the vendor; send the items, or previous_response_id"),
    ("prompt", "prompts are kept by the vendor; send the text"),
];

/// An earlier response that is not here (or is another's).
pub fn previous_not_found(id: &str) -> Failure {
    let shown: String = id.chars().take(SHOWN_ID_CHARS).collect();
    Failure::new(
        ErrorKind::NotFound,
        format!("previous response with id `{shown}` was not found; it may have expired, or was not stored: send the whole conversation as `input`"),
    )
    .with_param("previous_response_id")
}

/// Characters of an unknown id that an error repeats.
const SHOWN_ID_CHARS: usize = 80;
