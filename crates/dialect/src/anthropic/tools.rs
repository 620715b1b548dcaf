//! Tool definitions and the choice among them ⇄ the hub's.
//!
//! A tool without a `type`, or of type `custom`, is a function of the client's; every
//! other type (web search, code execution, toolsets …) is the vendor's and carried whole.
//! Source: `tool_union_param.py` and `tool_choice_param.py` of `anthropic` 2.12.0, read 2026-11-22.

use message::{Extra, Failure, Tool, ToolChoice, ToolKind};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};

use super::blocks::{Wire, cache, write_marked};
use super::fields::{Fields, Path, expected};

/// Reads one tool.
pub(super) fn tool(value: Value, at: &Path<'_>) -> Result<Tool, Failure> {
    match value.get("type") {
        None | Some(Value::Null) => {}
        Some(Value::String(kind)) if kind == "custom" => {}
        Some(Value::String(_)) => return opaque(value),
        Some(other) => return Err(expected(&Path::Key(at, "type"), "a string", other)),
    }
    let mut fields = Fields::of(value, at)?;
    Ok(Tool {
        name: fields.required_string("name")?,
        description: fields.string("description")?,
        kind: ToolKind::Function { schema: Some(schema(&mut fields, at)?) },
        strict: fields.boolean("strict")?,
        cache: cache(&mut fields, at)?,
        // An explicit `type: "custom"` stays here.
        extra: fields.rest(),
    })
}

fn schema(fields: &mut Fields<'_>, at: &Path<'_>) -> Result<Value, Failure> {
    match fields.take("input_schema") {
        Some(schema @ Value::Object(_)) => Ok(schema),
        Some(other) => Err(expected(&Path::Key(at, "input_schema"), "a JSON Schema object", &other)),
        None => Err(fields.missing("input_schema")),
    }
}

fn opaque(value: Value) -> Result<Tool, Failure> {
    let name = ["name", "mcp_server_name", "type"].into_iter().find_map(|key| value.get(key)?.as_str());
    Ok(Tool {
        name: name.unwrap_or_default().to_owned(),
        description: None,
        kind: ToolKind::Opaque(value),
        strict: None,
        cache: None,
        extra: Extra::new(),
    })
}

impl Serialize for Wire<&Tool> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Tool { name, description, kind, strict, cache, extra } = self.0;
        let schema = match kind {
            ToolKind::Opaque(value) => return value.serialize(serializer),
            ToolKind::Function { schema } => schema,
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", name)?;
        if let Some(description) = description {
            map.serialize_entry("description", description)?;
        }
        if let Some(schema) = schema {
            map.serialize_entry("input_schema", schema)?;
        }
        if let Some(strict) = strict {
            map.serialize_entry("strict", strict)?;
        }
        write_marked(&mut map, cache.as_ref(), extra, &[])?;
        map.end()
    }
}

impl Serialize for Wire<&[Tool]> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(Wire))
    }
}

/// What `tool_choice` says.
#[derive(Default)]
pub(super) struct Choice {
    /// Which tool; `None` for a type this version does not know.
    pub(super) choice: Option<ToolChoice>,
    /// `disable_parallel_tool_use`, turned round.
    pub(super) parallel: Option<bool>,
    /// The rest of the object.
    pub(super) rest: Option<Value>,
}

/// Reads `tool_choice`.
pub(super) fn choice(value: Value, at: &Path<'_>) -> Result<Choice, Failure> {
    let mut fields = Fields::of(value, at)?;
    let choice = match fields.peek("type").and_then(Value::as_str) {
        Some("auto") => Some(ToolChoice::Auto),
        Some("any") => Some(ToolChoice::Any),
        Some("none") => Some(ToolChoice::None),
        Some("tool") => Some(ToolChoice::Named(fields.required_string("name")?)),
        Some(_) => None,
        None => {
            fields.required_string("type")?;
            None
        }
    };
    if choice.is_some() {
        fields.take("type");
    }
    let parallel = fields.boolean("disable_parallel_tool_use")?.map(|disabled| !disabled);
    Ok(Choice { choice, parallel, rest: fields.remainder() })
}

/// Writes `tool_choice`; `None` if nothing was chosen.
pub(super) fn write_choice(
    choice: Option<&ToolChoice>,
    parallel: Option<bool>,
    rest: Option<&Value>,
) -> Option<Value> {
    let mut value = match choice {
        None if parallel.is_none() && rest.is_none() => return None,
        None => json!({}),
        Some(ToolChoice::Auto) => json!({"type": "auto"}),
        Some(ToolChoice::Any) => json!({"type": "any"}),
        Some(ToolChoice::None) => json!({"type": "none"}),
        Some(ToolChoice::Named(name)) => json!({"type": "tool", "name": name}),
    };
    if let Some(parallel) = parallel {
        value["disable_parallel_tool_use"] = (!parallel).into();
    }
    match (rest, &mut value) {
        (Some(Value::Object(rest)), Value::Object(map)) => {
            map.extend(rest.iter().map(|(key, value)| (key.clone(), value.clone())));
            Some(value)
        }
        // `null` and other oddities, as they came.
        (Some(other), _) if choice.is_none() => Some(other.clone()),
        _ => Some(value),
    }
}
