//! A client's body → [`Head`] in one pass, and on demand → a [`Chat`] of one bare prompt.

use message::{Call, Chat, Decode, Dialect, Dropped, Extra, Failure, Head, Message, Role};
use serde_json::{Map, Value};

use crate::openai::chat::inbound::{extended, settings};
use crate::openai::fields::{At, Fields};
use crate::openai::spelling::seal;
use crate::{Inbound, json, tier};

/// Output tokens where the client sets no cap, as the service documents it.
const MAX_TOKENS_DEFAULT: u64 = 16;

/// Most alternatives per token, as the service documents it.
const LOGPROBS_MAX: u64 = 5;

/// Reads the shallow facts of a body.
///
/// # Errors
/// [`InvalidRequest`](message::ErrorKind::InvalidRequest) naming the field.
pub fn read(body: &[u8]) -> Result<Inbound, Failure> {
    let [model, stream, max_tokens, _] = json::members(body, ["model", "stream", "max_tokens", "prompt"])?;
    let name: Option<String> = json::member(body, model.clone(), "model")?;
    let name = name.filter(|name| !name.is_empty());
    let name = name.ok_or_else(|| Failure::invalid_field("model", "this field is required"))?;
    let head = Head {
        model: name,
        model_span: model,
        stream: json::member(body, stream, "stream")?.unwrap_or(false),
        max_tokens: json::member(body, max_tokens, "max_tokens")?,
    };
    Ok(Inbound { head, decode: Decode::Chat(decode) })
}

/// Decodes the whole body.
///
/// # Errors
/// [`InvalidRequest`](message::ErrorKind::InvalidRequest) naming the field.
pub fn decode(call: &Call) -> Result<Chat, Failure> {
    decode_body(&call.body)
}

pub(super) fn decode_body(body: &[u8]) -> Result<Chat, Failure> {
    let mut fields = Fields::new(At::Root, json::decode::<Map<String, Value>>(body)?);
    let mut chat = Chat::new(Dialect::OpenAiCompletions);
    let mut notes = Extra::new();
    chat.raw = true;
    fields.take_any("model");
    for name in ["stream", "stream_options"] {
        if let Some(value) = fields.take_any(name) {
            notes.insert(name.to_owned(), value);
        }
    }
    prompt(&mut fields, &mut chat, &mut notes)?;
    let logprobs = logprobs(&mut fields)?;
    settings(&mut fields, &mut chat, &mut notes)?;
    if chat.sampling.max_tokens.is_none() {
        chat.sampling.max_tokens = Some(MAX_TOKENS_DEFAULT);
        notes.insert("default max_tokens".to_owned(), true.into());
    }
    chat.sampling.logprobs = logprobs;
    essential(&fields, &mut chat);
    let rest = extended(fields.rest(), &mut chat, &mut notes)?;
    chat.extra = seal(rest, notes);
    tier::read(&mut chat, "service_tier");
    Ok(chat)
}

/// The one text to continue. Several, or token ids, only a server of this dialect can.
fn prompt(fields: &mut Fields<'_>, chat: &mut Chat, notes: &mut Extra) -> Result<(), Failure> {
    let at = At::Root;
    let at = at.field("prompt");
    let text = match fields.take("prompt") {
        None => String::new(),
        Some(Value::String(text)) => {
            notes.insert("prompt".to_owned(), "alone".into());
            text
        }
        Some(Value::Array(mut prompts)) => match prompts.as_mut_slice() {
            [Value::String(text)] => {
                let text = std::mem::take(text);
                notes.insert("prompt".to_owned(), "listed".into());
                text
            }
            _ => {
                let texts = prompts.iter().all(Value::is_string);
                let ids = |list: &[Value]| list.iter().all(Value::is_u64);
                let lists = prompts.iter().all(|one| one.as_array().is_some_and(|list| ids(list)));
                if !(texts || ids(&prompts) || lists) {
                    return Err(at.fault("expected a string, an array of strings, or token ids"));
                }
                let why = if texts {
                    "it continues one prompt per call"
                } else {
                    "its tokens are others; send text"
                };
                chat.essential.push(Dropped { path: "prompt".to_owned(), why });
                fields.put("prompt", prompts.into());
                return Ok(());
            }
        },
        Some(other) => return Err(at.expected("a string, an array of strings, or token ids", &other)),
    };
    chat.messages.push(Message::text(Role::User, text));
    Ok(())
}

fn logprobs(fields: &mut Fields<'_>) -> Result<Option<u8>, Failure> {
    match fields.take("logprobs") {
        None => Ok(None),
        Some(value) => match value.as_u64().filter(|top| *top <= LOGPROBS_MAX) {
            Some(top) => Ok(u8::try_from(top).ok()),
            None => {
                let range = format_args!("must be an integer between 0 and {LOGPROBS_MAX}");
                Err(At::Root.field("logprobs").fault(range))
            }
        },
    }
}

/// What changes the answer and only a server of this dialect knows.
fn essential(fields: &Fields<'_>, chat: &mut Chat) {
    let said = |name: &str| fields.peek(name).filter(|value| !value.is_null());
    let wanted = [
        ("suffix", said("suffix").is_some_and(|suffix| suffix != ""), "it cannot fill in before a suffix"),
        ("echo", said("echo").is_some_and(|echo| *echo == true), "it does not repeat the prompt"),
        (
            "best_of",
            said("best_of").is_some_and(|of| of.as_u64() != Some(chat.choices.into())),
            "it gives every answer that it makes; ask for them with n",
        ),
    ];
    for (path, _, why) in wanted.into_iter().filter(|(_, wanted, _)| *wanted) {
        chat.essential.push(Dropped { path: path.to_owned(), why });
    }
}
