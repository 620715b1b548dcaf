//! A [`Chat`] of this dialect → the JSON of a Converse request.
//!
//! The other half of `converse`: what was decoded is written again as the same JSON.
//! Chats of other dialects come here through `adapt`, which makes them chats of this one.
//! Source: `ConverseRequest` and `ConverseTokensRequest`, bedrock-runtime service model of
//! botocore 1.44.5 (read 2026-11-22).

mod content;

use message::{
    Chat, Extra, Failure, Message, Operation, OutputFormat, Role, SPELLING, Tool, ToolChoice, ToolKind,
};
use serde_json::{Map, Value, json};

use self::content::{cache_point, content};
use super::{additional, converse, pointer};

/// The body of a request for `operation`; counting tokens takes fewer members and nests them.
///
/// # Errors
/// [`Unsupported`](message::ErrorKind::Unsupported) for a block of another vendor.
pub(super) fn body(chat: Chat, operation: Operation) -> Result<Value, Failure> {
    let mut request = request(chat)?;
    if operation == Operation::CountTokens {
        request.retain(|name, _| COUNTED.contains(&name.as_str()));
        return Ok(json!({ "input": { "converse": request } }));
    }
    Ok(Value::Object(request))
}

/// What counting takes.
const COUNTED: [&str; 4] = ["messages", "system", "toolConfig", additional::FIELD];

fn request(chat: Chat) -> Result<Map<String, Value>, Failure> {
    let Chat { system, messages, tools, tool_choice, sampling, output, reasoning, mut extra, .. } = chat;
    let mut notes = match extra.shift_remove(SPELLING) {
        Some(Value::Object(notes)) => notes,
        _ => Extra::new(),
    };
    let mut body = Map::new();
    let turns: Result<Vec<Value>, Failure> = messages.into_iter().map(message).collect();
    body.insert("messages".to_owned(), Value::Array(turns?));
    if !system.is_empty() {
        body.insert("system".to_owned(), content(system)?);
    }
    let known = [
        ("maxTokens", sampling.max_tokens.map(Value::from)),
        ("temperature", sampling.temperature.map(Value::Number)),
        ("topP", sampling.top_p.map(Value::Number)),
        ("stopSequences", (!sampling.stop.is_empty()).then(|| Value::from(sampling.stop))),
    ];
    put(&mut body, "inferenceConfig", known, &mut extra);
    let tools: Vec<Value> = tools.into_iter().flat_map(tool).collect();
    let known = [
        ("tools", (!tools.is_empty()).then_some(Value::Array(tools))),
        ("toolChoice", tool_choice.and_then(choice)),
    ];
    put(&mut body, "toolConfig", known, &mut extra);
    let effort =
        reasoning.and_then(|reasoning| reasoning.effort).filter(|_| notes.contains_key(converse::EFFORT));
    let known = [
        ("textFormat", text_format(output, notes.shift_remove(converse::SCHEMA))),
        ("effort", effort.map(|effort| Value::from(effort.word()))),
    ];
    put(&mut body, "outputConfig", known, &mut extra);
    // What was understood of them, and what was not.
    match notes.shift_remove(additional::FIELD) {
        Some(Value::Object(fields)) => {
            let fields = fields.iter().map(|(name, value)| (name.as_str(), Some(value.clone())));
            put(&mut body, additional::FIELD, fields, &mut extra);
        }
        _ => put(&mut body, additional::FIELD, [], &mut extra),
    }
    if let Some(paths) = notes.shift_remove(pointer::PATHS) {
        body.insert(pointer::PATHS.to_owned(), paths);
    }
    body.extend(extra);
    Ok(body)
}

/// Writes an object: what the hub knows of it, and what was kept of it in `extra`.
fn put<'a>(
    body: &mut Map<String, Value>,
    name: &str,
    known: impl IntoIterator<Item = (&'a str, Option<Value>)>,
    extra: &mut Extra,
) {
    let mut object = Value::Object(
        known.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect::<Extra>(),
    );
    let kept = extra.shift_remove(name);
    if kept.is_none() && object.as_object().is_some_and(Map::is_empty) {
        return;
    }
    merge(&mut object, kept.unwrap_or_default());
    body.insert(name.to_owned(), object);
}

/// Adds what was kept of an object, at whatever depth it stood.
fn merge(into: &mut Value, kept: Value) {
    let (Value::Object(into), Value::Object(kept)) = (into, kept) else { return };
    for (key, value) in kept {
        match into.get_mut(&key) {
            Some(known) => merge(known, value),
            None => drop(into.insert(key, value)),
        }
    }
}

fn message(message: Message) -> Result<Value, Failure> {
    let Message { role, content: blocks, mut extra, .. } = message;
    extra.shift_remove(SPELLING);
    let role = match role {
        Role::User | Role::Tool => "user",
        Role::Assistant => "assistant",
        Role::System | Role::Developer => "system",
    };
    let mut members =
        Map::from_iter([("role".to_owned(), Value::from(role)), ("content".to_owned(), content(blocks)?)]);
    members.extend(extra);
    Ok(Value::Object(members))
}

/// A tool, and the cache point behind it.
fn tool(tool: Tool) -> impl Iterator<Item = Value> {
    let Tool { name, description, kind, strict, cache, mut extra } = tool;
    let kept = match extra.shift_remove("cachePoint") {
        Some(Value::Object(kept)) => kept,
        _ => Extra::new(),
    };
    let point = cache.map(|marker| cache_point(marker, kept));
    let tool = match kind {
        ToolKind::Opaque(tool) => tool,
        ToolKind::Function { schema } => {
            let mut spec = Map::new();
            spec.insert("name".to_owned(), Value::from(name));
            spec.extend(description.map(|text| ("description".to_owned(), Value::from(text))));
            let schema = schema.unwrap_or_else(|| json!({"type": "object", "properties": {}}));
            spec.insert("inputSchema".to_owned(), json!({ "json": schema }));
            spec.extend(strict.map(|strict| ("strict".to_owned(), Value::from(strict))));
            extra.shift_remove(SPELLING);
            spec.extend(extra);
            json!({ "toolSpec": spec })
        }
    };
    std::iter::once(tool).chain(point)
}

fn choice(choice: ToolChoice) -> Option<Value> {
    match choice {
        ToolChoice::Auto => Some(json!({ "auto": {} })),
        ToolChoice::Any => Some(json!({ "any": {} })),
        ToolChoice::Named(name) => Some(json!({ "tool": { "name": name } })),
        // There is no word for it; `adapt` leaves the tools out instead.
        ToolChoice::None => None,
    }
}

/// The schema is a string that holds JSON: the client's own, if it was spelt otherwise
/// than it would be here.
fn text_format(output: OutputFormat, spelt: Option<Value>) -> Option<Value> {
    let OutputFormat::JsonSchema { name, description, schema, .. } = output else { return None };
    let mut definition = Map::new();
    definition.insert("schema".to_owned(), spelt.unwrap_or_else(|| Value::from(schema.to_string())));
    definition.extend(name.map(|name| ("name".to_owned(), Value::from(name))));
    definition.extend(description.map(|text| ("description".to_owned(), Value::from(text))));
    Some(json!({ "type": "json_schema", "structure": { "jsonSchema": definition } }))
}
