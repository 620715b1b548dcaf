//! [`Chat`] → the body of a Responses request.
//!
//! Used when the call comes from another dialect, or when a layer changed a call of this
//! one; an unchanged call is spliced instead (see `outbound`). At home everything is
//! written back as it was; from elsewhere, what has no place here is refused where an
//! answer without it would be wrong, and reported as [`Dropped`] otherwise.

mod item;
mod options;
mod part;
mod tool;

use ::message::{Chat, Dialect, Dropped, Extra, Failure, Head, said};
use serde_json::{Map, Value};

pub(super) use self::options::write_format;
pub(super) use self::tool::write_choice;
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
pub fn encode(chat: &Chat, head: &Head, model: &str) -> Result<Encoded, Failure> {
    let home = chat.home == Dialect::OpenAiResponses;
    let mut encoder = Encoder { home, home_dialect: chat.home, dropped: Vec::new() };
    let mut body = Map::new();
    body.insert("model".to_owned(), model.into());
    if !home {
        chat.leave_home()?;
    }
    encoder.conversation(chat, &mut body)?;
    encoder.tools(chat, &mut body)?;
    encoder.options(chat, head, &mut body);
    if home {
        let notes =
            super::inbound::HANDLED.into_iter().filter_map(|name| Some((name, note(&chat.extra, name)?)));
        body.extend(notes.map(|(name, value)| (name.to_owned(), value.clone())));
        unseal(&chat.extra, &mut body);
    } else {
        let left = siblings::to_responses(chat, &mut body);
        encoder.drop_extra("", &left);
    }
    let mut dropped = encoder.dropped;
    // One field can be left out for two reasons: the first will do.
    dropped.dedup_by(|later, earlier| later.path == earlier.path);
    Ok(Encoded { body, dropped })
}

struct Encoder {
    home: bool,
    home_dialect: Dialect,
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
            self.dropped.push(Dropped { path, why: "not known to Responses" });
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
