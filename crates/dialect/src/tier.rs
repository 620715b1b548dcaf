//! Service tiers: how vendors sell an answer that comes soon, or one that is cheap and may
//! wait. What the client said stays in `extra`, too, for targets that sell them.
//!
//! Sources: OpenAI's and Amazon Bedrock's API references, `google-genai` 3.4.0, read
//! 2026-11-23.

use message::{Call, Chat, Priority};
use serde_json::Value;

/// Reads the tier that stands in a field of the request: a word, or an object of a `type`.
pub(crate) fn read(chat: &mut Chat, field: &str) {
    let word = chat.extra.get(field).and_then(|value| value.as_str().or_else(|| value.get("type")?.as_str()));
    if let Some(priority) = word.and_then(priority) {
        chat.priority = Some(priority);
        chat.sampling.extensions.read.push(field.to_owned());
    }
}

/// What a vendor's word means; `None` for one that this version does not know.
pub(crate) fn priority(tier: &str) -> Option<Priority> {
    match tier {
        "flex" | "batch" => Some(Priority::Batch),
        "auto" | "default" | "standard" | "standard_only" | "priority" | "scale" | "reserved" => {
            Some(Priority::Interactive)
        }
        _ => None,
    }
}

/// The tier a call was answered in, for a client that said in `field` which it wants.
pub(crate) fn given(call: &Call, field: &str) -> Option<&'static str> {
    let asked = call.chat().is_ok_and(|chat| !chat.extra.get(field).is_none_or(Value::is_null));
    asked.then_some(word(call.given))
}

/// The tier of a priority, in the words that OpenAI and Bedrock share.
pub(crate) const fn word(given: Priority) -> &'static str {
    match given {
        Priority::Interactive => "default",
        Priority::Batch => "flex",
    }
}
