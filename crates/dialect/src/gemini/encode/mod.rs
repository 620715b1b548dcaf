//! [`Chat`] → the body of a generateContent (or countTokens) request.
//!
//! Used when the call comes from another dialect, or when a layer changed a call of this
//! one; an unchanged call is forwarded instead (see `outbound`). At home everything is
//! written back as it was; from elsewhere, what has no place here is refused where an answer
//! without it would be wrong, and reported as [`Dropped`] otherwise.

mod part;
mod settings;
mod tools;
mod turns;

use ::message::{Block, Chat, Dialect, Dropped, Extra, Failure, Operation, SPELLING, said};
use serde_json::{Map, Value, json};

use super::names::generation;
use crate::json::fields::{note, restore};

/// A request body, and what it leaves out.
#[derive(Debug, PartialEq)]
pub struct Encoded {
    /// The body.
    pub body: Map<String, Value>,
    /// What could not be expressed, in the order met.
    pub dropped: Vec<Dropped>,
}

/// Encodes a conversation for a server that names the model `model`.
///
/// # Errors
/// [`Unsupported`](::message::ErrorKind::Unsupported), naming the field, when leaving
/// something out would change what the call means.
pub fn encode(chat: &Chat, operation: Operation, model: &str) -> Result<Encoded, Failure> {
    let home = chat.home == Dialect::Gemini;
    if !home {
        chat.leave_home()?;
    }
    let mut encoder = Encoder { home, from: chat.home, generation: generation(model), dropped: Vec::new() };
    let mut body = Map::new();
    encoder.conversation(chat, &mut body)?;
    encoder.tools(chat, &mut body)?;
    if home || operation == Operation::Chat {
        encoder.settings(chat, &mut body);
    }
    let body = if home {
        encoder.at_home(chat, model, body)
    } else {
        encoder.drop_extra("", &chat.extra);
        body
    };
    let mut dropped = encoder.dropped;
    // One field can be left out for two reasons: the first will do.
    dropped.dedup_by(|later, earlier| later.path == earlier.path);
    Ok(Encoded { body, dropped })
}

/// What the parts of a request need to know of it.
struct Encoder {
    /// The client speaks this dialect.
    home: bool,
    /// The dialect it speaks.
    from: Dialect,
    /// The model's generation.
    generation: u32,
    dropped: Vec<Dropped>,
}

impl Encoder {
    fn drop(&mut self, path: impl Into<String>, why: &'static str) {
        self.dropped.push(Dropped { path: path.into(), why });
    }

    /// Reports a cache marker, in the words of the dialect it came in.
    fn drop_cache(&mut self, at: &str) {
        let name = match self.from {
            Dialect::BedrockConverse => "cachePoint",
            _ => "cache_control",
        };
        self.drop(format!("{at}.{name}"), "Gemini caches on its own");
    }

    /// Reports what a block says about citing sources.
    fn drop_citing(&mut self, at: &str, block: &Block) {
        for name in block.citing() {
            self.drop(format!("{at}.{name}"), "Gemini cites only what it finds itself");
        }
    }

    /// Reports the unknown fields of a foreign object.
    fn drop_extra(&mut self, path: &str, extra: &Extra) {
        for name in said(extra) {
            // How the reply is written is done here, whatever the target.
            if name == "stream_options" {
                continue;
            }
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            self.dropped.push(Dropped { path, why: "not known to Gemini" });
        }
    }

    /// Unknown fields: written back at home, reported elsewhere.
    fn extra(&mut self, path: impl FnOnce() -> String, extra: &Extra, out: &mut Map<String, Value>) {
        if extra.is_empty() {
            return;
        }
        if self.home { restore(extra, out) } else { self.drop_extra(&path(), extra) }
    }

    /// What was noted of the whole request.
    fn at_home(&self, chat: &Chat, model: &str, mut body: Map<String, Value>) -> Map<String, Value> {
        if note(&chat.extra, "model").is_some() {
            body.insert("model".to_owned(), format!("models/{model}").into());
        }
        restore(&chat.extra, &mut body);
        let Some(Value::Object(outer)) = note(&chat.extra, "wrapped") else { return body };
        let mut whole = Map::from_iter([("generateContentRequest".to_owned(), body.into())]);
        restore(outer, &mut whole);
        whole
    }
}

/// Something a server of this dialect cannot be asked at all.
pub(super) fn refuse(path: impl Into<String>, why: &str) -> Failure {
    let path = path.into();
    Failure::unsupported(format!("{path}: {why}")).with_param(path)
}

/// A content: parts as they were spelt.
fn content(parts: Vec<Value>, extra: &Extra) -> Map<String, Value> {
    let mut out = Map::new();
    match (note(extra, "parts"), parts.as_slice()) {
        (Some(Value::Null), []) => {}
        (Some(Value::String(_)), [one]) => {
            out.insert("parts".to_owned(), one.clone());
        }
        _ => {
            out.insert("parts".to_owned(), parts.into());
        }
    }
    out
}

/// The notes and the rest of an inner object.
fn inner<'a>(extra: &'a Extra, name: &str) -> Option<&'a Extra> {
    debug_assert_ne!(name, SPELLING);
    extra.get(name)?.as_object()
}

/// Wraps a member.
fn member(name: &str, value: impl Into<Value>) -> Value {
    json!({ name: value.into() })
}
