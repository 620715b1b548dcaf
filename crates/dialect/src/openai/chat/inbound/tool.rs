//! `tools`, `tool_choice` and their forerunners `functions`, `function_call`.

use message::{Chat, Extra, Failure, Tool, ToolChoice, ToolKind};
use serde_json::Value;

use super::part::{cache_marker, keep_rest};
use crate::openai::chat::encode::write_choice;
use crate::openai::custom;
use crate::openai::fields::{At, Fields};
use crate::openai::spelling::seal;

/// Decodes the tools and the choice among them.
pub(super) fn tools(fields: &mut Fields<'_>, chat: &mut Chat, notes: &mut Extra) -> Result<(), Failure> {
    let at = fields.at;
    chat.parallel_tool_calls = fields.bool("parallel_tool_calls")?;
    if fields.peek("functions").is_some_and(|functions| !functions.is_null()) {
        return legacy(fields, chat, notes);
    }
    let tools_at = at.field("tools");
    let definitions = fields.filled_array("tools")?;
    let choice = fields.take("tool_choice");
    let Some(choice) = choice else {
        chat.tools = each(tools_at, definitions, tool)?;
        return Ok(());
    };
    let choice_at = at.field("tool_choice");
    let parsed = parse_choice(choice_at, &choice)?;
    if parsed.allowed.is_some() {
        notes.insert("tools".to_owned(), Value::Array(definitions.clone()));
    }
    chat.tools = each(tools_at, definitions, tool)?;
    if let Some(allowed) = &parsed.allowed {
        chat.tools.retain(|tool| allowed.contains(&tool.name));
    }
    if write_choice(&parsed.choice) != choice {
        notes.insert("tool_choice".to_owned(), choice);
    }
    chat.tool_choice = Some(parsed.choice);
    Ok(())
}

/// `functions` and `function_call`, replaced by tools in 2023 and still sent. At most one
/// is called at a time: the reply has room for one.
fn legacy(fields: &mut Fields<'_>, chat: &mut Chat, notes: &mut Extra) -> Result<(), Failure> {
    let at = fields.at;
    if fields.peek("tools").is_some_and(|tools| !tools.is_null()) {
        return Err(at.field("functions").fault("cannot be combined with `tools`"));
    }
    let functions = fields.array("functions")?.unwrap_or_default();
    notes.insert("functions".to_owned(), Value::Array(functions.clone()));
    let functions_at = at.field("functions");
    chat.tools = each(functions_at, functions, |at, value| function(Fields::of(at, value)?))?;
    if let Some(parallel) = chat.parallel_tool_calls.replace(false) {
        notes.insert("parallel_tool_calls".to_owned(), Value::Bool(parallel));
    }
    if let Some(choice) = fields.take("function_call") {
        let choice_at = at.field("function_call");
        chat.tool_choice = Some(match &choice {
            Value::String(word) if word == "auto" => ToolChoice::Auto,
            Value::String(word) if word == "none" => ToolChoice::None,
            Value::Object(named) => ToolChoice::Named(name_in(choice_at, named.get("name"))?),
            _ => return Err(choice_at.fault("expected `auto`, `none` or {\"name\": …}")),
        });
        notes.insert("function_call".to_owned(), choice);
    }
    Ok(())
}

fn each<T>(
    at: At<'_>,
    values: Vec<Value>,
    one: impl Fn(At<'_>, Value) -> Result<T, Failure>,
) -> Result<Vec<T>, Failure> {
    values.into_iter().enumerate().map(|(index, value)| one(at.item(index), value)).collect()
}

fn tool(at: At<'_>, value: Value) -> Result<Tool, Failure> {
    let mut fields = Fields::of(at, value)?;
    let kind = fields.required_string("type")?;
    match kind.as_str() {
        "function" => {}
        "custom" => return custom(fields),
        _ => return Ok(opaque(kind, fields)),
    }
    let inner = fields.required_object("function")?;
    let mut tool = function(Fields::new(at.field("function"), inner))?;
    keep_rest(&mut fields, "function", Fields::new(at, tool.extra));
    tool.cache = cache_marker(&mut fields);
    tool.extra = fields.rest();
    Ok(tool)
}

/// A tool whose input is free text: a function of one string to everybody else.
fn custom(mut fields: Fields<'_>) -> Result<Tool, Failure> {
    let at = fields.at;
    let mut inner = Fields::new(at.field("custom"), fields.required_object("custom")?);
    let name = inner.required_string("name")?;
    let definition = inner.rest();
    let description = definition.get("description").and_then(Value::as_str);
    let description = custom::described(description, definition.get("format"));
    let notes = Extra::from_iter([("custom".to_owned(), Value::Object(definition))]);
    let kind = ToolKind::Function { schema: Some(custom::schema()) };
    let cache = cache_marker(&mut fields);
    Ok(Tool { name, description, kind, strict: None, cache, extra: seal(fields.rest(), notes) })
}

/// A tool that its server runs, or of a kind yet to be invented.
fn opaque(kind: String, mut fields: Fields<'_>) -> Tool {
    let name = kind.clone();
    fields.put("type", Value::String(kind));
    let kind = ToolKind::Opaque(Value::Object(fields.rest()));
    Tool { name, description: None, kind, strict: None, cache: None, extra: Extra::new() }
}

fn function(mut fields: Fields<'_>) -> Result<Tool, Failure> {
    let name = fields.required_string("name")?;
    let description = fields.string("description")?;
    let schema = match fields.take("parameters") {
        Some(other) if !other.is_object() => {
            return Err(fields.at.field("parameters").expected("a JSON Schema object", &other));
        }
        schema => schema,
    };
    let strict = fields.bool("strict")?;
    let kind = ToolKind::Function { schema };
    Ok(Tool { name, description, kind, strict, cache: None, extra: fields.rest() })
}

pub(super) struct Choice {
    pub(super) choice: ToolChoice,
    /// Only these tools may be called.
    allowed: Option<Vec<String>>,
}

pub(super) fn parse_choice(at: At<'_>, value: &Value) -> Result<Choice, Failure> {
    let among_all = |choice| Ok(Choice { choice, allowed: None });
    if let Value::String(word) = value {
        return match word.as_str() {
            "auto" => among_all(ToolChoice::Auto),
            "none" => among_all(ToolChoice::None),
            // `any` is Mistral's word.
            "required" | "any" => among_all(ToolChoice::Any),
            _ => Err(at.fault("expected `auto`, `none`, `required` or an object")),
        };
    }
    match value.get("type").and_then(Value::as_str) {
        Some(kind @ "function") => {
            let name = value.get(kind).and_then(|named| named.get("name"));
            among_all(ToolChoice::Named(name_in(at.field("function"), name)?))
        }
        Some(kind @ "custom") => {
            let name = value.get(kind).and_then(|named| named.get("name"));
            among_all(ToolChoice::Named(name_in(at.field("custom"), name)?))
        }
        Some("allowed_tools") => allowed_tools(at.field("allowed_tools"), value.get("allowed_tools")),
        _ => Err(at.field("type").fault("expected `function`, `custom` or `allowed_tools`")),
    }
}

fn allowed_tools(at: At<'_>, value: Option<&Value>) -> Result<Choice, Failure> {
    let field = |name| value.and_then(|value| value.get(name));
    let choice = match field("mode").and_then(Value::as_str) {
        Some("auto") => ToolChoice::Auto,
        Some("required") => ToolChoice::Any,
        _ => return Err(at.field("mode").fault("expected `auto` or `required`")),
    };
    let Some(Value::Array(tools)) = field("tools") else {
        return Err(at.field("tools").fault("an array of tools is required"));
    };
    let at = at.field("tools");
    let names = tools.iter().enumerate().map(|(index, tool)| {
        let kind = tool.get("type").and_then(Value::as_str).unwrap_or_default();
        match tool.get(kind).and_then(|named| named.get("name")) {
            Some(name) => name_in(at.item(index), Some(name)),
            None => Ok(kind.to_owned()),
        }
    });
    Ok(Choice { choice, allowed: Some(names.collect::<Result<_, _>>()?) })
}

fn name_in(at: At<'_>, name: Option<&Value>) -> Result<String, Failure> {
    match name {
        Some(Value::String(name)) => Ok(name.clone()),
        Some(other) => Err(at.field("name").expected("a string", other)),
        None => Err(at.field("name").fault("this field is required")),
    }
}
