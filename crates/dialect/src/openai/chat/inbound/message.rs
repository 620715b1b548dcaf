//! One message → [`Message`].
//!
//! Order of an assistant's blocks: reasoning, content, refusal, tool calls; `encode`
//! writes them back to the members they came from.

use message::{Block, BlockKind, Dialect, Extra, Failure, Message, Role, ToolOrigin};
use serde_json::Value;

use super::part::{content, keep_rest};
use crate::openai::custom;
use crate::openai::fields::{At, Fields};
use crate::openai::spelling::seal;

/// Decodes one message. `legacy_call` is the id given to the last `function_call`, which
/// the dialect pairs with its result by name only.
pub(super) fn message(
    at: At<'_>,
    value: Value,
    legacy_call: &mut Option<String>,
) -> Result<Message, Failure> {
    let mut fields = Fields::of(at, value)?;
    let role = fields.required_string("role")?;
    match role.as_str() {
        "system" => spoken(Role::System, fields),
        "developer" => spoken(Role::Developer, fields),
        "user" => spoken(Role::User, fields),
        "assistant" => assistant(fields, legacy_call),
        "tool" => {
            let id = fields.required_string("tool_call_id")?;
            result(fields, id, Extra::new())
        }
        "function" => {
            if !matches!(fields.peek("name"), Some(Value::String(_))) {
                return Err(fields.missing("name"));
            }
            let id = legacy_call.clone().unwrap_or_else(|| "call_function".to_owned());
            result(fields, id, Extra::from_iter([("role".to_owned(), Value::String(role))]))
        }
        _ => Err(at
            .field("role")
            .fault("expected `system`, `developer`, `user`, `assistant`, `tool` or `function`")),
    }
}

fn spoken(role: Role, mut fields: Fields<'_>) -> Result<Message, Failure> {
    let at = fields.at;
    match fields.peek("content") {
        None => return Err(fields.missing("content")),
        Some(null @ Value::Null) => {
            return Err(at.field("content").expected("a string or an array of content parts", null));
        }
        Some(_) => {}
    }
    let (content, plain) = content(&mut fields)?;
    Ok(Message { role, content, plain, extra: seal(fields.rest(), Extra::new()) })
}

fn assistant(mut fields: Fields<'_>, legacy_call: &mut Option<String>) -> Result<Message, Failure> {
    let at = fields.at;
    let mut notes = Extra::new();
    let mut blocks = Vec::new();
    if let Some((name, text)) = reasoning(&mut fields) {
        if name != "reasoning_content" {
            notes.insert("reasoning".to_owned(), Value::String(name.to_owned()));
        }
        blocks.push(Block::new(BlockKind::Thinking { text, signature: None }));
    }
    let (content, plain) = content(&mut fields)?;
    blocks.extend(content);
    if matches!(fields.peek("refusal"), Some(Value::String(text)) if !text.is_empty()) {
        let text = fields.required_string("refusal")?;
        blocks.push(noted(BlockKind::Refusal(text), Extra::new(), "member"));
    }
    let calls_at = at.field("tool_calls");
    for (index, call) in fields.filled_array("tool_calls")?.into_iter().enumerate() {
        blocks.push(tool_call(calls_at.item(index), call)?);
    }
    if let Some(call) = fields.take("function_call") {
        // The dialect gives it no id; its place in the conversation is one.
        let id = format!("call_function_{at}").replace('.', "_");
        let mut call = Fields::of(at.field("function_call"), call)?;
        let name = call.required_string("name")?;
        let input = call.required_string("arguments")?;
        let kind = BlockKind::ToolUse { id: id.clone(), name, input, origin: ToolOrigin::Client };
        blocks.push(noted(kind, call.rest(), "function_call"));
        *legacy_call = Some(id);
    }
    Ok(Message { role: Role::Assistant, content: blocks, plain, extra: seal(fields.rest(), notes) })
}

/// DeepSeek, vLLM and llama.cpp say `reasoning_content`; OpenRouter and newer vLLM `reasoning`.
fn reasoning(fields: &mut Fields<'_>) -> Option<(&'static str, String)> {
    ["reasoning_content", "reasoning"].into_iter().find_map(|name| match fields.peek(name) {
        Some(Value::String(text)) if !text.is_empty() => match fields.take(name) {
            Some(Value::String(text)) => Some((name, text)),
            _ => None,
        },
        _ => None,
    })
}

fn tool_call(at: At<'_>, value: Value) -> Result<Block, Failure> {
    let mut fields = Fields::of(at, value)?;
    let mut notes = Extra::new();
    match fields.string("type")?.as_deref() {
        Some("function") => {}
        None if fields.has("function") => {
            notes.insert("type".to_owned(), Value::Null);
        }
        None => return Err(fields.missing("function")),
        Some("custom") => return custom_call(fields),
        Some(other) => return Ok(unknown_call(other, fields)),
    }
    let id = fields.required_string("id")?;
    let mut function = Fields::new(at.field("function"), fields.required_object("function")?);
    let name = function.required_string("name")?;
    let input = match function.string("arguments")? {
        Some(input) => input,
        None => {
            notes.insert("arguments".to_owned(), Value::Null);
            String::new()
        }
    };
    keep_rest(&mut fields, "function", function);
    let kind = BlockKind::ToolUse { id, name, input, origin: ToolOrigin::Client };
    Ok(Block { extra: seal(fields.rest(), notes), ..Block::new(kind) })
}

/// A call of a custom tool, whose input is free text.
fn custom_call(mut fields: Fields<'_>) -> Result<Block, Failure> {
    let id = fields.required_string("id")?;
    let at = fields.at;
    let mut custom = Fields::new(at.field("custom"), fields.required_object("custom")?);
    let name = custom.required_string("name")?;
    let input = custom::wrap(&custom.required_string("input")?);
    keep_rest(&mut fields, "custom", custom);
    let kind = BlockKind::ToolUse { id, name, input, origin: ToolOrigin::Client };
    let notes = Extra::from_iter([("custom".to_owned(), Value::Bool(true))]);
    Ok(Block { extra: seal(fields.rest(), notes), ..Block::new(kind) })
}

/// A call of a kind yet to be invented.
fn unknown_call(kind: &str, mut fields: Fields<'_>) -> Block {
    fields.put("type", Value::String(kind.to_owned()));
    let value = Value::Object(fields.rest());
    noted(BlockKind::Opaque { dialect: Dialect::OpenAiChat, value }, Extra::new(), "tool_calls")
}

fn result(mut fields: Fields<'_>, id: String, notes: Extra) -> Result<Message, Failure> {
    let (content, plain) = content(&mut fields)?;
    let block = Block::new(BlockKind::ToolResult { id, content, plain, is_error: None });
    Ok(Message { role: Role::Tool, content: vec![block], plain: false, extra: seal(fields.rest(), notes) })
}

/// A block that did not stand in `content`.
fn noted(kind: BlockKind, rest: Extra, member: &str) -> Block {
    let notes = Extra::from_iter([("in".to_owned(), Value::String(member.to_owned()))]);
    Block { extra: seal(rest, notes), ..Block::new(kind) }
}
