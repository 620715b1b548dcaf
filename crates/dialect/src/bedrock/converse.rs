//! A Converse body → [`Chat`].
//!
//! Source: `ConverseRequest`, `ConverseStreamRequest` and `ConverseTokensRequest`,
//! bedrock-runtime service model of botocore 1.44.5 (read 2026-11-22). Required members
//! and unions are checked; of the documented maxima only those that guard this server,
//! for what a model can take is its target's to say.

use message::{
    Chat, Dialect, Dropped, Effort, ErrorKind, Extra, Failure, Message, OutputFormat, Reasoning, Role, Tool,
    ToolChoice, ToolKind,
};
use serde_json::{Value, json};

use super::content::{self, cache_point};
use super::wire::{At, Object, leave, list, spell, string, strings, union};
use super::{additional, pointer};
use crate::tier;

/// Under this name the chat's spelling says that the effort stood in `outputConfig`.
pub(super) const EFFORT: &str = "effort";
/// Under this name it keeps the text of a schema that had white space or the like.
pub(super) const SCHEMA: &str = "schema";

/// Highest temperature any vendor takes. (Bedrock's own models stop at 1.)
const TEMPERATURE_MAX: f64 = 2.0;
/// Most stop sequences the service model allows.
const STOP_SEQUENCES_MAX: usize = 2500;

/// Reads a whole Converse request; `at` is where it stands (token counting nests it).
pub(super) fn read(value: Value, at: At<'_>) -> Result<Chat, Failure> {
    let mut body = Object::new(value, at)?;
    let mut chat = Chat::new(Dialect::BedrockConverse);
    if body.take("promptVariables").is_some_and(|variables| variables != json!({})) {
        return Err(Failure::new(
            ErrorKind::Unsupported,
            "promptVariables: this model cannot be given a stored prompt; send the filled-in `messages` instead",
        )
        .with_param("promptVariables"));
    }
    let turns = body.require("messages")?;
    chat.messages = messages(turns, at.key("messages"))?;
    if let Some(system) = body.take("system") {
        chat.system = content::read(system, at.key("system"))?;
        if chat.system.is_empty() {
            chat.extra.insert("system".to_owned(), json!([]));
        }
    }
    if let Some(config) = body.take("inferenceConfig") {
        inference_config(config, at.key("inferenceConfig"), &mut chat)?;
    }
    if let Some(config) = body.take("toolConfig") {
        tool_config(config, at.key("toolConfig"), &mut chat)?;
    }
    if let Some(config) = body.take("outputConfig") {
        output_config(config, at.key("outputConfig"), &mut chat)?;
    }
    if let Some(fields) = body.take("additionalModelRequestFields") {
        additional::read(fields, at.key("additionalModelRequestFields"), &mut chat)?;
    }
    if let Some(paths) = body.take("additionalModelResponseFieldPaths") {
        let pointers = pointer::read(paths, at.key("additionalModelResponseFieldPaths"))?;
        spell(&mut chat.extra, pointer::PATHS, pointers);
    }
    chat.extra.extend(body.rest());
    tier::read(&mut chat, "serviceTier");
    if chat.extra.contains_key("guardrailConfig") {
        // An answer that should have been guarded and was not is worse than none.
        chat.essential
            .push(Dropped { path: "guardrailConfig".to_owned(), why: "it cannot apply a Bedrock guardrail" });
    }
    Ok(chat)
}

fn messages(value: Value, at: At<'_>) -> Result<Vec<Message>, Failure> {
    let turns = list(value, at)?;
    if turns.is_empty() {
        return Err(at.wrong("at least one message is needed"));
    }
    turns.into_iter().enumerate().map(|(index, turn)| message(turn, at.index(index))).collect()
}

fn message(value: Value, at: At<'_>) -> Result<Message, Failure> {
    let mut turn = Object::new(value, at)?;
    let role = match turn.require_string("role")?.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        _ => return Err(at.key("role").wrong("must be `user`, `assistant` or `system`")),
    };
    let content = turn.require("content")?;
    let content = content::read(content, at.key("content"))?;
    Ok(Message { role, content, plain: false, extra: turn.rest() })
}

fn inference_config(value: Value, at: At<'_>, chat: &mut Chat) -> Result<(), Failure> {
    let mut config = Object::new(value, at)?;
    chat.sampling.max_tokens = config.count("maxTokens", 1)?;
    chat.sampling.temperature = config.fraction("temperature", 0.0, TEMPERATURE_MAX)?;
    chat.sampling.top_p = config.fraction("topP", 0.0, 1.0)?;
    if let Some(stop) = config.take("stopSequences") {
        let at = at.key("stopSequences");
        chat.sampling.stop = strings(stop, at)?;
        if chat.sampling.stop.len() > STOP_SEQUENCES_MAX {
            return Err(at.wrong(format_args!("at most {STOP_SEQUENCES_MAX} are allowed")));
        }
        if let Some(empty) = chat.sampling.stop.iter().position(String::is_empty) {
            return Err(at.index(empty).wrong("must not be empty"));
        }
        if chat.sampling.stop.is_empty() {
            leave(&mut chat.extra, &["inferenceConfig"], Some(none_of("stopSequences")));
        }
    }
    leave(&mut chat.extra, &["inferenceConfig"], config.left());
    Ok(())
}

fn tool_config(value: Value, at: At<'_>, chat: &mut Chat) -> Result<(), Failure> {
    let mut config = Object::new(value, at)?;
    let tools = config.require("tools")?;
    let tools_at = at.key("tools");
    for (index, tool) in list(tools, tools_at)?.into_iter().enumerate() {
        add_tool(tool, tools_at.index(index), &mut chat.tools)?;
    }
    if chat.tools.is_empty() {
        leave(&mut chat.extra, &["toolConfig"], Some(none_of("tools")));
    }
    if let Some(choice) = config.take("toolChoice") {
        tool_choice(choice, at.key("toolChoice"), chat)?;
    }
    leave(&mut chat.extra, &["toolConfig"], config.left());
    Ok(())
}

/// An empty list, kept as one: it says nothing and is written again.
fn none_of(member: &str) -> Extra {
    Extra::from_iter([(member.to_owned(), json!([]))])
}

fn add_tool(value: Value, at: At<'_>, tools: &mut Vec<Tool>) -> Result<(), Failure> {
    let (member, value) = union(value, at, "toolSpec, systemTool, cachePoint")?;
    let inner = at.key(&member);
    match member.as_str() {
        "toolSpec" => tools.push(tool_spec(value, inner)?),
        "cachePoint" => match tools.last_mut() {
            Some(tool) if tool.cache.is_none() => {
                let (marker, extra) = cache_point(value, inner)?;
                tool.cache = Some(marker);
                if !extra.is_empty() {
                    tool.extra.insert("cachePoint".to_owned(), Value::Object(extra));
                }
            }
            _ => return Err(at.wrong("a cachePoint must follow a tool")),
        },
        // A tool run by the vendor: a systemTool, or a kind this version does not know.
        _ => {
            let name = value.get("name").and_then(Value::as_str).unwrap_or(&member).to_owned();
            let kind = ToolKind::Opaque(json!({ member.clone(): value }));
            tools.push(Tool {
                name,
                description: None,
                kind,
                strict: None,
                cache: None,
                extra: Extra::new(),
            });
        }
    }
    Ok(())
}

fn tool_spec(value: Value, at: At<'_>) -> Result<Tool, Failure> {
    let mut spec = Object::new(value, at)?;
    let name = spec.require_string("name")?;
    let description = spec.string("description")?;
    let strict = spec.boolean("strict")?;
    let schema = spec.require("inputSchema")?;
    let (member, schema) = union(schema, at.key("inputSchema"), "json")?;
    if member != "json" {
        return Err(at.key("inputSchema").wrong("expected `json`"));
    }
    let kind = ToolKind::Function { schema: Some(schema) };
    Ok(Tool { name, description, kind, strict, cache: None, extra: spec.rest() })
}

fn tool_choice(value: Value, at: At<'_>, chat: &mut Chat) -> Result<(), Failure> {
    let (member, value) = union(value, at, "auto, any, tool")?;
    let mut choice = Object::new(value, at.key(&member))?;
    chat.tool_choice = Some(match member.as_str() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Any,
        "tool" => ToolChoice::Named(choice.require_string("name")?),
        _ => return Err(at.wrong("expected exactly one of auto, any, tool")),
    });
    let rest = choice.rest();
    leave(&mut chat.extra, &["toolConfig", "toolChoice", &member], (!rest.is_empty()).then_some(rest));
    Ok(())
}

fn output_config(value: Value, at: At<'_>, chat: &mut Chat) -> Result<(), Failure> {
    let mut config = Object::new(value, at)?;
    if let Some(format) = config.take("textFormat") {
        chat.output = text_format(format, at.key("textFormat"), &mut chat.extra)?;
    }
    let mut unknown = None;
    if let Some(word) = config.string("effort")? {
        match Effort::from_word(&word) {
            Some(effort) => {
                chat.reasoning = Some(Reasoning { effort: Some(effort), ..Reasoning::default() });
                // Families have words of their own for it, which are read into the same place.
                spell(&mut chat.extra, EFFORT, Value::from("outputConfig"));
            }
            None => unknown = Some(("effort".to_owned(), Value::String(word))),
        }
    }
    leave(&mut chat.extra, &["outputConfig"], config.left());
    leave(&mut chat.extra, &["outputConfig"], unknown.map(|unknown| Extra::from_iter([unknown])));
    Ok(())
}

fn text_format(value: Value, at: At<'_>, extra: &mut Extra) -> Result<OutputFormat, Failure> {
    let mut format = Object::new(value, at)?;
    if format.require_string("type")? != "json_schema" {
        return Err(at.key("type").wrong("must be `json_schema`"));
    }
    let structure = format.require("structure")?;
    leave(extra, &["outputConfig", "textFormat"], format.left());
    let at = at.key("structure");
    let (member, definition) = union(structure, at, "jsonSchema")?;
    let at = at.key(&member);
    if member != "jsonSchema" {
        return Err(at.wrong("expected `jsonSchema`"));
    }
    let mut definition = Object::new(definition, at)?;
    let name = definition.string("name")?;
    let description = definition.string("description")?;
    let schema = definition.require("schema")?;
    leave(extra, &["outputConfig", "textFormat", "structure", "jsonSchema"], definition.left());
    let at = at.key("schema");
    // The schema is a string that holds JSON, unlike that of a tool.
    let text = string(schema, at)?;
    let schema: Value = serde_json::from_str(&text)
        .map_err(|error| at.wrong(format_args!("must hold a JSON Schema as text: {error}")))?;
    let rewritten = schema.to_string();
    if rewritten != text {
        spell(extra, SCHEMA, Value::String(text));
    }
    Ok(OutputFormat::JsonSchema { name, description, schema, strict: None })
}
