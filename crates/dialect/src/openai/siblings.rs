//! Settings that Chat Completions and Responses both have and nobody else: they cross
//! between the two as they are.
//!
//! A setting with a field in the hub is none of these. `store` and `metadata` are answered
//! by this server where the client speaks Responses, and cross in the other direction only.
//! Source: `completion_create_params.py` and `response_create_params.py` of `openai` 3.54.0,
//! read 2026-11-22.

use message::{Chat, Dialect, Extra};
use serde_json::{Map, Value};

/// Those under one name in both.
const SAME: [&str; 6] = [
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "moderation",
];

/// Those that this server answers itself for clients of Responses.
const ANSWERED_HERE: [&str; 2] = ["store", "metadata"];

/// Moves what Chat Completions shares from a Responses request's unknown fields to `body`;
/// what is left is not known there.
pub(super) fn to_chat(chat: &Chat, body: &mut Map<String, Value>) -> Extra {
    let mut left = chat.extra.clone();
    if chat.home != Dialect::OpenAiResponses {
        return left;
    }
    // A longer life and warming up are options that only Responses has.
    let known = |options: &Value| {
        let mut options = options.as_object().into_iter().flatten();
        options.all(|(name, value)| name == "mode" || (name == "ttl" && value == "30m"))
    };
    let kept = left.get("prompt_cache_options").filter(|options| !known(options)).cloned();
    shift(&SAME, &mut left, body);
    if let Some(options) = kept {
        body.shift_remove("prompt_cache_options");
        left.insert("prompt_cache_options".to_owned(), options);
    }
    if let Some(Value::Object(text)) = left.get_mut("text") {
        body.extend(text.shift_remove("verbosity").map(|verbosity| ("verbosity".to_owned(), verbosity)));
    }
    left
}

/// Moves what Responses shares from a Chat Completions request's unknown fields to `body`;
/// what is left is not known there.
pub(super) fn to_responses(chat: &Chat, body: &mut Map<String, Value>) -> Extra {
    let mut left = chat.extra.clone();
    if chat.home != Dialect::OpenAiChat {
        return left;
    }
    // Who the user is may stand in both places.
    if left.contains_key("safety_identifier")
        && let Some(user) = body.shift_remove("safety_identifier")
    {
        body.insert("user".to_owned(), user);
    }
    shift(&SAME, &mut left, body);
    shift(&ANSWERED_HERE, &mut left, body);
    if let Some(verbosity) = left.shift_remove("verbosity")
        && let Value::Object(text) = body.entry("text").or_insert_with(|| Map::new().into())
    {
        text.insert("verbosity".to_owned(), verbosity);
    }
    left
}

fn shift(names: &[&str], from: &mut Extra, to: &mut Map<String, Value>) {
    for name in names {
        if let Some(value) = from.get(*name).filter(|value| !value.is_null()) {
            to.insert((*name).to_owned(), value.clone());
            from.shift_remove(*name);
        }
    }
}
