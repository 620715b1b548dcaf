//! `tools`, `tool_choice`, `parallel_tool_calls`.
//!
//! A namespace is a tool that holds tools. The hub's list is flat: each member stands in
//! it under a name that begins with the namespace's, with a note of where it came from.
//! The same names are parted again when the model calls them ([`Spoken`]).

use std::collections::HashMap;

use message::{Chat, Extra, Failure, Tool, ToolChoice, ToolKind};
use serde_json::Value;

use super::item::ADDITIONAL_TOOLS;
use crate::openai::custom;
use crate::openai::fields::{At, Fields};
use crate::openai::responses::encode::write_choice;
use crate::openai::spelling::seal;

/// Stands between a namespace and a name.
const JOINT: &str = "__";

/// The one name of a tool inside a namespace.
pub(super) fn flat_name(namespace: &str, name: &str) -> String {
    let joint = if namespace.ends_with(JOINT) { "" } else { JOINT };
    format!("{namespace}{joint}{name}")
}

/// How the client knows the tools that the hub knows as flat functions.
#[derive(Debug, Default, PartialEq)]
pub(in crate::openai::responses) struct Spoken(HashMap<String, Known>);

/// A tool as its client knows it.
#[derive(Debug, Default, Clone, PartialEq)]
pub(in crate::openai::responses) struct Known {
    /// Its namespace and its name there.
    pub(in crate::openai::responses) within: Option<(String, String)>,
    /// It takes free text.
    pub(in crate::openai::responses) custom: bool,
}

impl Spoken {
    /// Reads the `tools` of a request and of its input's items; what is not as it should
    /// be is nobody's tool.
    pub(in crate::openai::responses) fn of(body: &Extra) -> Self {
        let mut known = HashMap::new();
        let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
        let items = body.get("input").and_then(Value::as_array).into_iter().flatten();
        let offers = items.filter(|item| item.get("type").is_some_and(|kind| kind == ADDITIONAL_TOOLS));
        let lists = offers.map(|item| item.get("tools")).chain([body.get("tools")]);
        for tool in lists.flat_map(list) {
            let word = |tool: &Value, field| tool.get(field).and_then(Value::as_str).map(str::to_owned);
            let kind = word(&tool, "type").unwrap_or_default();
            let Some(name) = word(&tool, "name") else { continue };
            match kind.as_str() {
                "custom" => {
                    known.insert(name, Known { within: None, custom: true });
                }
                "namespace" => {
                    for member in list(tool.get("tools")) {
                        let Some(inner) = word(&member, "name") else { continue };
                        let custom = word(&member, "type").as_deref() == Some("custom");
                        let within = Some((name.clone(), inner.clone()));
                        known.insert(flat_name(&name, &inner), Known { within, custom });
                    }
                }
                _ => {}
            }
        }
        Self(known)
    }

    /// The tool that the hub calls `name`; `None` for an ordinary function.
    pub(in crate::openai::responses) fn get(&self, name: &str) -> Option<&Known> {
        self.0.get(name)
    }
}

/// Decodes the tools, and reads the choice among them.
pub(super) fn tools(
    fields: &mut Fields<'_>,
    chat: &mut Chat,
    notes: &mut Extra,
) -> Result<Option<(Choice, Value)>, Failure> {
    let at = fields.at;
    chat.parallel_tool_calls = fields.bool("parallel_tool_calls")?;
    let definitions = fields.filled_array("tools")?;
    let choice = match fields.take("tool_choice") {
        None => None,
        Some(choice) => Some((parse_choice(at.field("tool_choice"), &choice)?, choice)),
    };
    if choice.as_ref().is_some_and(|(parsed, _)| parsed.allowed.is_some()) {
        notes.insert("tools".to_owned(), definitions.clone().into());
    }
    let tools_at = at.field("tools");
    for (index, definition) in definitions.into_iter().enumerate() {
        tool(tools_at.item(index), definition, index, &mut chat.tools)?;
    }
    Ok(choice)
}

/// Tools that an item of the input offers; `encode` finds them there again.
pub(super) fn additional(at: At<'_>, item: &Value, index: usize, chat: &mut Chat) -> Result<(), Failure> {
    let at = at.field("tools");
    let Some(Value::Array(definitions)) = item.get("tools") else {
        return Err(at.fault("an array of tools is required"));
    };
    let before = chat.tools.len();
    for (place, definition) in definitions.iter().enumerate() {
        tool(at.item(place), definition.clone(), place, &mut chat.tools)?;
    }
    for tool in &mut chat.tools[before..] {
        let notes = tool.extra.entry(message::SPELLING).or_insert_with(|| Value::Object(Extra::new()));
        notes["item"] = index.into();
    }
    Ok(())
}

/// Applies a choice, once all tools are known.
pub(super) fn choose(choice: Option<(Choice, Value)>, chat: &mut Chat, notes: &mut Extra) {
    let Some((parsed, written)) = choice else { return };
    if let Some(allowed) = &parsed.allowed {
        chat.tools.retain(|tool| allowed.iter().any(|name| is_named(tool, name)));
    }
    if write_choice(&parsed.choice) != written {
        notes.insert("tool_choice".to_owned(), written);
    }
    chat.tool_choice = Some(parsed.choice);
}

/// Whether an allowance of `name` means this tool: by its name, or its namespace's.
fn is_named(tool: &Tool, name: &str) -> bool {
    let namespace = crate::openai::spelling::note(&tool.extra, "namespace");
    let namespace = namespace.and_then(|namespace| namespace.get("name")?.as_str());
    tool.name == name || namespace == Some(name)
}

fn tool(at: At<'_>, value: Value, index: usize, tools: &mut Vec<Tool>) -> Result<(), Failure> {
    let mut fields = Fields::of(at, value)?;
    let kind = fields.required_string("type")?;
    if kind != "namespace" {
        tools.push(single(kind, fields, None)?);
        return Ok(());
    }
    let name = fields.required_string("name")?;
    let members = fields.array("tools")?.unwrap_or_default();
    let mut rest = fields.rest();
    rest.insert("type".to_owned(), kind.into());
    rest.insert("name".to_owned(), name.clone().into());
    if members.is_empty() {
        rest.insert("tools".to_owned(), Value::Array(Vec::new()));
        tools.push(opaque(name, rest));
        return Ok(());
    }
    // Two of the same name are still two.
    rest.insert("tools".to_owned(), index.into());
    let members_at = at.field("tools");
    for (place, member) in members.into_iter().enumerate() {
        let mut fields = Fields::of(members_at.item(place), member)?;
        let kind = fields.required_string("type")?;
        tools.push(single(kind, fields, Some((&name, &rest)))?);
    }
    Ok(())
}

/// One tool; `within` is the namespace it stands in.
fn single(kind: String, mut fields: Fields<'_>, within: Option<(&str, &Extra)>) -> Result<Tool, Failure> {
    let mut notes = Extra::new();
    let mut tool = match kind.as_str() {
        "function" => function(&mut fields)?,
        "custom" => custom(&mut fields, &mut notes)?,
        _ => {
            fields.put("type", kind.clone().into());
            let tool =
                opaque(kind, std::mem::replace(&mut fields, Fields::new(At::Root, Extra::new())).rest());
            return Ok(placed(tool, Extra::new(), notes, within));
        }
    };
    let rest = fields.rest();
    if let Some((namespace, _)) = within {
        notes.insert("name".to_owned(), tool.name.clone().into());
        tool.name = flat_name(namespace, &tool.name);
    }
    Ok(placed(tool, rest, notes, within))
}

fn placed(mut tool: Tool, rest: Extra, mut notes: Extra, within: Option<(&str, &Extra)>) -> Tool {
    if let Some((_, namespace)) = within {
        notes.insert("namespace".to_owned(), namespace.clone().into());
    }
    tool.extra = seal(rest, notes);
    tool
}

fn opaque(name: String, definition: Extra) -> Tool {
    let kind = ToolKind::Opaque(Value::Object(definition));
    Tool { name, description: None, kind, strict: None, cache: None, extra: Extra::new() }
}

fn function(fields: &mut Fields<'_>) -> Result<Tool, Failure> {
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
    Ok(Tool { name, description, kind, strict, cache: None, extra: Extra::new() })
}

/// A tool whose input is free text: a function of one string to everybody else.
fn custom(fields: &mut Fields<'_>, notes: &mut Extra) -> Result<Tool, Failure> {
    let name = fields.required_string("name")?;
    let description = fields.take_any("description");
    let format = fields.take_any("format");
    let told = custom::described(description.as_ref().and_then(Value::as_str), format.as_ref());
    let mut own = Extra::new();
    for (name, value) in [("description", description), ("format", format)] {
        if let Some(value) = value {
            own.insert(name.to_owned(), value);
        }
    }
    notes.insert("custom".to_owned(), own.into());
    let kind = ToolKind::Function { schema: Some(custom::schema()) };
    Ok(Tool { name, description: told, kind, strict: None, cache: None, extra: Extra::new() })
}

pub(in crate::openai::responses) struct Choice {
    pub(in crate::openai::responses) choice: ToolChoice,
    /// Only these tools may be called.
    allowed: Option<Vec<String>>,
}

/// Reads a `tool_choice`.
pub(in crate::openai::responses) fn parse_choice(at: At<'_>, value: &Value) -> Result<Choice, Failure> {
    let among_all = |choice| Ok(Choice { choice, allowed: None });
    if let Value::String(word) = value {
        return match word.as_str() {
            "auto" => among_all(ToolChoice::Auto),
            "none" => among_all(ToolChoice::None),
            "required" => among_all(ToolChoice::Any),
            _ => Err(at.fault("expected `auto`, `none`, `required` or an object")),
        };
    }
    match value.get("type").and_then(Value::as_str) {
        Some("function" | "custom") => among_all(ToolChoice::Named(name_of(at, value)?)),
        Some("allowed_tools") => allowed_tools(at, value),
        // A tool its vendor runs, known by its kind alone.
        Some(kind) => among_all(ToolChoice::Named(kind.to_owned())),
        None => Err(at.fault("expected `auto`, `none`, `required` or an object with a `type`")),
    }
}

fn allowed_tools(at: At<'_>, value: &Value) -> Result<Choice, Failure> {
    let choice = match value.get("mode").and_then(Value::as_str) {
        Some("auto") => ToolChoice::Auto,
        Some("required") => ToolChoice::Any,
        _ => return Err(at.field("mode").fault("expected `auto` or `required`")),
    };
    let Some(Value::Array(tools)) = value.get("tools") else {
        return Err(at.field("tools").fault("an array of tools is required"));
    };
    let at = at.field("tools");
    let names = tools.iter().enumerate().map(|(index, tool)| match tool.get("name") {
        Some(_) => name_of(at.item(index), tool),
        None => Ok(tool.get("type").and_then(Value::as_str).unwrap_or_default().to_owned()),
    });
    Ok(Choice { choice, allowed: Some(names.collect::<Result<_, _>>()?) })
}

fn name_of(at: At<'_>, value: &Value) -> Result<String, Failure> {
    match (value.get("name"), value.get("namespace")) {
        (Some(Value::String(name)), Some(Value::String(namespace))) => Ok(flat_name(namespace, name)),
        (Some(Value::String(name)), _) => Ok(name.clone()),
        (Some(other), _) => Err(at.field("name").expected("a string", other)),
        (None, _) => Err(at.field("name").fault("this field is required")),
    }
}
