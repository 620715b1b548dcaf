//! A server's [`Quirk`]s → changes to a body that is otherwise ready.
//!
//! They work on the JSON, so that one transform serves a body written here and a body
//! that a client of this very dialect wrote: the client speaks to us and cannot know
//! which server answers. A forwarded body is only opened if it says something that a
//! quirk is about ([`concerns`]); otherwise it goes on as it came.

use memchr::memmem;
use message::Dropped;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::{Quirk, Quirks};

/// Length of an id of a tool call under [`Quirk::ToolCallId9`] (Mistral's own rule).
const SHORT_ID_CHARS: usize = 9;

/// What goes under [`Quirk::NoOpenAiSettings`].
const OPENAI_SETTINGS: [&str; 6] = [
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "verbosity",
    "moderation",
];

/// How these, or their beginnings, stand in a body.
const OPENAI_SETTINGS_QUOTED: [&str; 4] =
    ["\"prompt_cache_", "\"safety_identifier\"", "\"verbosity\"", "\"moderation\""];

/// Whether a client's own body says something that a quirk is about. Looks for words
/// only: a false alarm costs one parse, and changes nothing.
pub(in crate::openai::chat) fn concerns(quirks: Quirks, body: &[u8]) -> bool {
    quirks.iter().any(|quirk| words(quirk).iter().any(|word| memmem::find(body, word.as_bytes()).is_some()))
}

/// What must stand in a body for a quirk to matter to it. None for those that only
/// concern what is translated: the server's own clients mean what they say.
const fn words(quirk: Quirk) -> &'static [&'static str] {
    match quirk {
        Quirk::MaxTokensField => &["\"max_completion_tokens\""],
        Quirk::NoDeveloperRole => &["\"developer\""],
        Quirk::ReasoningContent => &["\"tool_calls\""],
        Quirk::ReasoningField => &["\"reasoning_content\""],
        Quirk::NoReasoningReplay => &["\"reasoning_content\"", "\"reasoning\""],
        Quirk::NoReasoningEffort => &["\"reasoning_effort\""],
        Quirk::NoStreamOptions => &["\"stream_options\""],
        Quirk::NoParallelToolCalls => &["\"parallel_tool_calls\""],
        Quirk::NoJsonSchema => &["\"json_schema\""],
        Quirk::ToolCallId9 => &["\"tool_calls\"", "\"tool_call_id\""],
        Quirk::NoN => &["\"n\""],
        Quirk::NoLogprobs => &["\"logprobs\"", "\"top_logprobs\"", "\"logit_bias\""],
        Quirk::NoUser => &["\"user\":", "\"user\" "],
        Quirk::RandomSeedField => &["\"seed\""],
        Quirk::NoOpenAiSettings => &OPENAI_SETTINGS_QUOTED,
        Quirk::SamplingExtensions | Quirk::StrictRoleAlternation | Quirk::VertexPaths => &[],
    }
}

/// Applies every quirk. What is lost by it is added to `dropped`.
pub(in crate::openai::chat) fn apply(
    quirks: Quirks,
    body: &mut Map<String, Value>,
    dropped: &mut Vec<Dropped>,
) {
    for quirk in quirks.iter() {
        match quirk {
            Quirk::MaxTokensField => rename(body, "max_completion_tokens", "max_tokens"),
            Quirk::RandomSeedField => rename(body, "seed", "random_seed"),
            Quirk::NoDeveloperRole => each_message(body, developer_is_system),
            Quirk::ReasoningContent => each_message(body, reason_beside_calls),
            Quirk::ReasoningField => {
                each_message(body, |message| rename(message, "reasoning_content", "reasoning"));
            }
            Quirk::NoReasoningReplay => forget_reasoning(body, dropped),
            Quirk::NoReasoningEffort => remove(body, "reasoning_effort", dropped),
            // Usage is told unasked: nothing is lost.
            Quirk::NoStreamOptions => {
                body.shift_remove("stream_options");
            }
            Quirk::NoParallelToolCalls => no_parallel_tool_calls(body, dropped),
            Quirk::NoJsonSchema => schema_in_words(body, dropped),
            Quirk::StrictRoleAlternation => alternate(body),
            Quirk::ToolCallId9 => each_message(body, shorten_ids),
            Quirk::NoN if body.get("n").is_some_and(|n| *n == 1) => {
                body.shift_remove("n");
            }
            Quirk::NoLogprobs => {
                for name in ["logprobs", "top_logprobs", "logit_bias"] {
                    remove(body, name, dropped);
                }
            }
            Quirk::NoUser => remove(body, "user", dropped),
            Quirk::NoOpenAiSettings => {
                for name in OPENAI_SETTINGS {
                    remove(body, name, dropped);
                }
            }
            Quirk::NoN | Quirk::SamplingExtensions | Quirk::VertexPaths => {}
        }
    }
}

fn rename(object: &mut Map<String, Value>, from: &str, to: &str) {
    // `null` means "not given", and would hide what the other name says.
    match object.shift_remove(from) {
        None | Some(Value::Null) => {}
        Some(value) => {
            object.entry(to).or_insert(value);
        }
    }
}

fn remove(body: &mut Map<String, Value>, name: &'static str, dropped: &mut Vec<Dropped>) {
    let said = body.shift_remove(name);
    if said.is_some_and(|value| !value.is_null() && value != false) {
        dropped.push(Dropped { path: name.to_owned(), why: "this server refuses it" });
    }
}

fn messages(body: &mut Map<String, Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    let messages = body.get_mut("messages").and_then(Value::as_array_mut);
    messages.into_iter().flatten().filter_map(Value::as_object_mut)
}

fn each_message(body: &mut Map<String, Value>, change: impl FnMut(&mut Map<String, Value>)) {
    messages(body).for_each(change);
}

fn developer_is_system(message: &mut Map<String, Value>) {
    if let Some(role) = message.get_mut("role").filter(|role| *role == "developer") {
        *role = "system".into();
    }
}

fn reason_beside_calls(message: &mut Map<String, Value>) {
    if message.contains_key("tool_calls") {
        message.entry("reasoning_content").or_insert_with(|| "".into());
    }
}

fn forget_reasoning(body: &mut Map<String, Value>, dropped: &mut Vec<Dropped>) {
    for (place, message) in messages(body).enumerate() {
        for name in ["reasoning_content", "reasoning"] {
            if message.shift_remove(name).is_some_and(|value| !value.is_null()) {
                let path = format!("messages.{place}.{name}");
                dropped.push(Dropped { path, why: "this server takes no earlier reasoning" });
            }
        }
    }
}

/// Allowing what is the default loses nothing.
fn no_parallel_tool_calls(body: &mut Map<String, Value>, dropped: &mut Vec<Dropped>) {
    if body.shift_remove("parallel_tool_calls") == Some(Value::Bool(false)) {
        let path = "parallel_tool_calls".to_owned();
        dropped.push(Dropped { path, why: "this server cannot be kept to one tool call a turn" });
    }
}

/// The schema is written into the system prompt, and any JSON object is asked for.
fn schema_in_words(body: &mut Map<String, Value>, dropped: &mut Vec<Dropped>) {
    let Some(format) = body.get_mut("response_format") else { return };
    if format.get("type").and_then(Value::as_str) != Some("json_schema") {
        return;
    }
    let schema = format.pointer("/json_schema/schema").cloned().unwrap_or_else(|| json!({}));
    *format = json!({"type": "json_object"});
    let words = format!("Answer with nothing but one JSON object that satisfies this JSON schema:\n{schema}");
    let path = "response_format.json_schema".to_owned();
    dropped.push(Dropped { path, why: "asked for in words: this server enforces no schema" });
    let Some(Value::Array(messages)) = body.get_mut("messages") else { return };
    let system = messages.first_mut().filter(|message| message["role"] == "system");
    match system.and_then(|message| message.get_mut("content")) {
        Some(Value::String(text)) => {
            text.push_str("\n\n");
            text.push_str(&words);
        }
        Some(Value::Array(parts)) => parts.push(json!({"type": "text", "text": words})),
        _ => messages.insert(0, json!({"role": "system", "content": words})),
    }
}

/// Merges messages of one role that follow each other, where both only speak. Tool
/// calls and results are left as they are: their order has its own rules.
fn alternate(body: &mut Map<String, Value>) {
    let Some(Value::Array(messages)) = body.get_mut("messages") else { return };
    let mut merged: Vec<Value> = Vec::with_capacity(messages.len());
    for message in messages.drain(..) {
        match merged.last_mut() {
            Some(before)
                if only_speaks(before) && only_speaks(&message) && before["role"] == message["role"] =>
            {
                let mut message = message;
                let next = message.get_mut("content").map(Value::take).unwrap_or_default();
                let first = before.get_mut("content").map(Value::take).unwrap_or_default();
                before["content"] = joined(first, next);
            }
            _ => merged.push(message),
        }
    }
    *messages = merged;
}

fn only_speaks(message: &Value) -> bool {
    message.is_object() && message["role"] != "tool" && message.get("tool_calls").is_none()
}

fn joined(first: Value, next: Value) -> Value {
    match (first, next) {
        (Value::Null, only) | (only, Value::Null) => only,
        (Value::String(first), Value::String(next)) => format!("{first}\n\n{next}").into(),
        (first, next) => {
            let mut all = parts(first);
            all.extend(parts(next));
            all.into()
        }
    }
}

fn parts(content: Value) -> Vec<Value> {
    match content {
        Value::Array(parts) => parts,
        text => vec![json!({"type": "text", "text": text})],
    }
}

/// A call and its result have the same id, so both become the same short one.
fn shorten_ids(message: &mut Map<String, Value>) {
    if let Some(Value::String(id)) = message.get_mut("tool_call_id") {
        shorten(id);
    }
    let calls = message.get_mut("tool_calls").and_then(Value::as_array_mut);
    for call in calls.into_iter().flatten() {
        if let Some(Value::String(id)) = call.get_mut("id") {
            shorten(id);
        }
    }
}

fn shorten(id: &mut String) {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    if id.len() == SHORT_ID_CHARS && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return;
    }
    let hash = Sha256::digest(id.as_bytes());
    let letter = |byte: &u8| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]);
    *id = hash.iter().take(SHORT_ID_CHARS).map(letter).collect();
}
