//! [`Chat`] → the body of a Chat Completions request.
//!
//! Used when the call comes from another dialect, or when a layer changed a call of this
//! one; an unchanged call is spliced instead (see `outbound`). At home everything is
//! written back as it was; from elsewhere, what has no place here is refused where an
//! answer without it would be wrong, and reported as [`Dropped`] otherwise.

mod message;
mod options;
mod part;
pub(super) mod quirks;
mod tool;

use ::message::{Chat, Dialect, Dropped, Extra, Failure, Head, said};
use serde_json::{Map, Value, json};

pub(in crate::openai) use self::options::effort_for;
pub(super) use self::options::write_format;
pub(super) use self::tool::write_choice;
use crate::Quirks;
use crate::openai::siblings;
use crate::openai::spelling::{note, unseal};

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
pub fn encode(chat: &Chat, head: &Head, model: &str, quirks: Quirks) -> Result<Encoded, Failure> {
    let home = chat.home == Dialect::OpenAiChat;
    let mut encoder = Encoder { home, home_dialect: chat.home, quirks, dropped: Vec::new() };
    let mut body = Map::new();
    body.insert("model".to_owned(), model.into());
    if !home {
        chat.leave_home()?;
    }
    body.insert("messages".to_owned(), encoder.messages(chat)?.into());
    encoder.tools(chat, &mut body)?;
    encoder.options(chat, &mut body);
    if home {
        for name in ["stream", "stream_options"] {
            if let Some(value) = note(&chat.extra, name) {
                body.insert(name.to_owned(), value.clone());
            }
        }
        unseal(&chat.extra, &mut body);
    } else {
        if head.stream {
            body.insert("stream".to_owned(), true.into());
            body.insert("stream_options".to_owned(), json!({"include_usage": true}));
        }
        let left = siblings::to_chat(chat, &mut body);
        encoder.drop_extra("", &left);
    }
    let mut dropped = encoder.dropped;
    quirks::apply(quirks, &mut body, &mut dropped);
    // One field can be left out for two reasons: the first will do.
    dropped.dedup_by(|later, earlier| later.path == earlier.path);
    Ok(Encoded { body, dropped })
}

/// Writes the settings that the older interface shares; at its home, too, what is noted of
/// them is taken up.
pub(in crate::openai) fn write_settings(chat: &Chat, quirks: Quirks) -> (Map<String, Value>, Vec<Dropped>) {
    let home = chat.home == Dialect::OpenAiCompletions;
    let mut encoder = Encoder { home, home_dialect: chat.home, quirks, dropped: Vec::new() };
    let mut body = Map::new();
    encoder.options(chat, &mut body);
    (body, encoder.dropped)
}

struct Encoder {
    home: bool,
    home_dialect: Dialect,
    quirks: Quirks,
    dropped: Vec<Dropped>,
}

impl Encoder {
    fn drop(&mut self, path: impl Into<String>, why: &'static str) {
        self.dropped.push(Dropped { path: path.into(), why });
    }

    /// Reports the unknown fields of a foreign object.
    fn drop_extra(&mut self, path: &str, extra: &Extra) {
        for name in said(extra) {
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            self.dropped.push(Dropped { path, why: "not known to Chat Completions" });
        }
    }

    /// Unknown fields: written back at home, reported elsewhere.
    fn extra(&mut self, path: impl FnOnce() -> String, extra: &Extra, out: &mut Map<String, Value>) {
        if extra.is_empty() {
            return;
        }
        if self.home { unseal(extra, out) } else { self.drop_extra(&path(), extra) }
    }

    /// Reports a cache marker that only its own dialect can place.
    fn drop_cache(&mut self, path: impl FnOnce() -> String) {
        let name = match self.home_dialect {
            Dialect::BedrockConverse => "cachePoint",
            _ => "cache_control",
        };
        self.drop(format!("{}.{name}", path()), "servers of this dialect cache on their own");
    }
}

/// Something a server of this dialect cannot be asked at all.
fn refuse(path: impl Into<String>, why: &str) -> Failure {
    let path = path.into();
    Failure::unsupported(format!("{path}: {why}")).with_param(path)
}
