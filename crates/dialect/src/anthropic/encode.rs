//! A [`Chat`] of this dialect → the JSON of a request body.
//!
//! The other half of `inbound`: what was decoded is written again as the same JSON.
//! Chats of other dialects come here through `adapt`, which makes them chats of this one.

use message::{Chat, Effort, Failure, Message, Operation, OutputFormat, Role, SPELLING};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value, json};

use super::blocks::{Wire, write_content, write_extra};
use super::tools::write_choice;
use super::wire::DISPLAY;

/// A request to be written.
pub(super) struct Request<'a> {
    /// What is asked; a token count takes fewer fields.
    pub(super) operation: Operation,
    /// The target's name for the model.
    pub(super) model: &'a str,
    /// A stream is wanted.
    pub(super) stream: bool,
    /// The conversation, of this dialect.
    pub(super) chat: &'a Chat,
}

impl Request<'_> {
    /// The body.
    ///
    /// # Errors
    /// [`Unsupported`](message::ErrorKind::Unsupported) for a block this dialect has no words for.
    pub(super) fn body(&self) -> Result<Vec<u8>, Failure> {
        serde_json::to_vec(self).map_err(|error| {
            Failure::unsupported("the conversation holds something the Anthropic dialect cannot express")
                .with_cause(error)
        })
    }
}

/// Fields that only generating needs; a token count refuses them.
const GENERATION_ONLY: [&str; 6] =
    ["anthropic_beta", "container", "diagnostics", "inference_geo", "metadata", "service_tier"];

/// Fields of `extra` that are merged into what the hub knows of them, or sent elsewhere
/// (`anthropic_beta` is a header).
const MERGED: [&str; 7] =
    ["anthropic_beta", "metadata", "output_config", "output_format", "thinking", "tool_choice", SPELLING];

impl Serialize for Request<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { operation, model, stream, chat } = self;
        let generate = *operation == Operation::Chat;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("model", model)?;
        if generate {
            write_sampling(&mut map, chat)?;
            if *stream {
                map.serialize_entry("stream", &true)?;
            }
            if let Some(metadata) = metadata(chat) {
                map.serialize_entry("metadata", &metadata)?;
            }
        }
        match chat.system.as_slice() {
            [] => {}
            [block] if chat.system_plain => map.serialize_entry("system", &block.as_text())?,
            blocks => map.serialize_entry("system", &Wire(blocks))?,
        }
        map.serialize_entry("messages", &Wire(chat.messages.as_slice()))?;
        if !chat.tools.is_empty() {
            map.serialize_entry("tools", &Wire(chat.tools.as_slice()))?;
        }
        let rest = chat.extra.get("tool_choice");
        if let Some(choice) = write_choice(chat.tool_choice.as_ref(), chat.parallel_tool_calls, rest) {
            map.serialize_entry("tool_choice", &choice)?;
        }
        if let Some(thinking) = thinking(chat) {
            map.serialize_entry("thinking", &thinking)?;
        }
        write_output(&mut map, chat)?;
        for (key, value) in &chat.extra {
            let skip =
                MERGED.contains(&key.as_str()) || (!generate && GENERATION_ONLY.contains(&key.as_str()));
            if !skip {
                map.serialize_entry(key, value)?;
            }
        }
        map.end()
    }
}

impl Serialize for Wire<&[Message]> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Wire))
    }
}

impl Serialize for Wire<&Message> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Message { role, content, plain, extra } = self.0;
        let mut map = serializer.serialize_map(None)?;
        let role = match role {
            Role::User | Role::Tool => "user",
            Role::Assistant => "assistant",
            Role::System | Role::Developer => "system",
        };
        map.serialize_entry("role", role)?;
        write_content(&mut map, content, *plain)?;
        write_extra(&mut map, extra, &[])?;
        map.end()
    }
}

fn write_sampling<M: SerializeMap>(map: &mut M, chat: &Chat) -> Result<(), M::Error> {
    let sampling = &chat.sampling;
    if let Some(max_tokens) = sampling.max_tokens {
        map.serialize_entry("max_tokens", &max_tokens)?;
    }
    if let Some(temperature) = &sampling.temperature {
        map.serialize_entry("temperature", temperature)?;
    }
    if let Some(top_p) = &sampling.top_p {
        map.serialize_entry("top_p", top_p)?;
    }
    if let Some(top_k) = sampling.top_k {
        map.serialize_entry("top_k", &top_k)?;
    }
    if !sampling.stop.is_empty() {
        map.serialize_entry("stop_sequences", &sampling.stop)?;
    }
    Ok(())
}

/// `metadata`: the user, and what else was there.
fn metadata(chat: &Chat) -> Option<Value> {
    let known = chat.user.as_ref().map(|user| ("user_id", user.as_str().into()));
    merged(known, chat.extra.get("metadata"))
}

fn thinking(chat: &Chat) -> Option<Value> {
    let reasoning = chat.reasoning.as_ref();
    let adaptive = spelt(chat, "thinking") == Some("adaptive");
    let kind = match reasoning.and_then(|reasoning| reasoning.enabled) {
        Some(true) => Some("enabled"),
        Some(false) => Some("disabled"),
        None if adaptive => Some("adaptive"),
        None => None,
    };
    let budget = reasoning.and_then(|reasoning| reasoning.budget_tokens);
    let shown = reasoning.and_then(|reasoning| reasoning.shown);
    let display = DISPLAY.into_iter().find(|(_, means)| Some(*means) == shown).map(|(word, _)| word);
    let known = kind.map(|kind| ("type", kind.into()));
    let known = known.into_iter().chain(budget.map(|budget| ("budget_tokens", budget.into())));
    let known = known.chain(display.map(|word| ("display", word.into())));
    merged(known, chat.extra.get("thinking"))
}

fn write_output<M: SerializeMap>(map: &mut M, chat: &Chat) -> Result<(), M::Error> {
    let format = match &chat.output {
        OutputFormat::JsonSchema { schema, .. } => Some(json!({"type": "json_schema", "schema": schema})),
        OutputFormat::Text | OutputFormat::JsonObject | OutputFormat::Grammar(_) => None,
    };
    let older_place = spelt(chat, "format") == Some("output_format");
    let (older, format) = if older_place { (format, None) } else { (None, format) };
    if let Some(format) = older.as_ref().or(chat.extra.get("output_format")) {
        map.serialize_entry("output_format", format)?;
    }
    let effort = chat.reasoning.as_ref().and_then(|reasoning| reasoning.effort).and_then(effort);
    let known = effort.map(|effort| ("effort", effort.into())).into_iter();
    let known = known.chain(format.map(|format| ("format", format)));
    match merged(known, chat.extra.get("output_config")) {
        Some(config) => map.serialize_entry("output_config", &config),
        None => Ok(()),
    }
}

/// This dialect's word for an effort; it has none for not thinking at all.
const fn effort(effort: Effort) -> Option<&'static str> {
    match effort {
        Effort::None => None,
        Effort::Minimal => Some(Effort::Low.word()),
        _ => Some(effort.word()),
    }
}

/// What the hub knows of an object together with what was kept of it; `None` if neither.
fn merged<'a>(known: impl IntoIterator<Item = (&'a str, Value)>, rest: Option<&Value>) -> Option<Value> {
    let mut map: Map<String, Value> = known.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    match rest {
        Some(Value::Object(rest)) => {
            map.extend(rest.iter().map(|(key, value)| (key.clone(), value.clone())));
            Some(Value::Object(map))
        }
        // Only `null`: the field stood there and said nothing.
        Some(other) if map.is_empty() => Some(other.clone()),
        _ if map.is_empty() => None,
        _ => Some(Value::Object(map)),
    }
}

fn spelt<'a>(chat: &'a Chat, what: &str) -> Option<&'a str> {
    chat.extra.get(SPELLING)?.get(what)?.as_str()
}
