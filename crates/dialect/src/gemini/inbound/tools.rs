//! `tools` and `toolConfig` → [`Tool`]s and the choice among them.

use message::{Chat, Extra, Failure, Tool, ToolChoice, ToolKind};
use serde_json::Value;

use super::super::schema;
use crate::json::fields::{At, Fields};

/// The tools that may be called, and whether one must be.
#[derive(Debug, Default, PartialEq)]
pub(in crate::gemini) struct Offered {
    pub(in crate::gemini) tools: Vec<Tool>,
    pub(in crate::gemini) choice: Option<ToolChoice>,
}

/// Decodes both. Their own spelling is noted: one object may declare many functions.
pub(super) fn tools(fields: &mut Fields<'_>, chat: &mut Chat) -> Result<(), Failure> {
    let at = fields.at;
    let tools = match fields.peek("tools") {
        Some(Value::Array(tools)) if tools.is_empty() => None,
        _ => fields.take("tools"),
    };
    let mut config = None;
    if let Some(value) = fields.take("toolConfig") {
        let mut inner = Fields::of(at.field("toolConfig"), value)?;
        config = inner.take("functionCallingConfig");
        if let Some(config) = &config {
            inner.note("functionCallingConfig", config.clone());
        }
        fields.keep_rest("toolConfig", inner);
    }
    let offered = read(tools.as_ref(), config.as_ref())?;
    chat.tools = offered.tools;
    chat.tool_choice = offered.choice;
    if let Some(tools) = tools {
        fields.note("tools", tools);
    }
    Ok(())
}

/// What `tools` and `functionCallingConfig` mean together.
pub(in crate::gemini) fn read(tools: Option<&Value>, config: Option<&Value>) -> Result<Offered, Failure> {
    let mut offered = Offered::default();
    let at = At::Root.field("tools");
    match tools {
        None => {}
        Some(Value::Array(tools)) => {
            for (index, tool) in tools.iter().enumerate() {
                declared(at.item(index), tool, &mut offered.tools)?;
            }
        }
        Some(other) => return Err(at.expected("an array", other)),
    }
    if let Some(config) = config {
        choice(config, &mut offered)?;
    }
    Ok(offered)
}

/// The functions one tool object declares, then what else it offers.
fn declared(at: At<'_>, value: &Value, tools: &mut Vec<Tool>) -> Result<(), Failure> {
    let Value::Object(fields) = value else { return Err(at.expected("an object", value)) };
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("functionDeclarations" | "function_declarations", Value::Array(all)) => {
                for (index, one) in all.iter().enumerate() {
                    tools.push(function(at.field("functionDeclarations").item(index), one.clone())?);
                }
            }
            ("functionDeclarations" | "function_declarations", other) => {
                return Err(at.field("functionDeclarations").expected("an array", other));
            }
            (_, Value::Null) => {}
            (name, value) => tools.push(Tool {
                name: name.to_owned(),
                description: None,
                kind: ToolKind::Opaque(Extra::from_iter([(name.to_owned(), value.clone())]).into()),
                strict: None,
                cache: None,
                extra: Extra::new(),
            }),
        }
    }
    Ok(())
}

fn function(at: At<'_>, value: Value) -> Result<Tool, Failure> {
    let mut fields = Fields::of(at, value)?;
    let name = fields.required_string("name")?;
    let description = fields.string("description")?;
    let schema = match (fields.take("parametersJsonSchema"), fields.take("parameters")) {
        (Some(schema), _) => Some(schema),
        (None, Some(own)) => Some(schema::to_json_schema(&own)),
        (None, None) => None,
    };
    if let Some(other) = schema.as_ref().filter(|schema| !schema.is_object()) {
        return Err(at.field("parameters").expected("a schema object", other));
    }
    let mut extra = fields.rest();
    // The whole definition is noted beside it.
    extra.shift_remove(message::SPELLING);
    Ok(Tool { name, description, kind: ToolKind::Function { schema }, strict: None, cache: None, extra })
}

fn choice(config: &Value, offered: &mut Offered) -> Result<(), Failure> {
    let root = At::Root.field("toolConfig");
    let at = root.field("functionCallingConfig");
    let mut fields = Fields::of(at, config.clone())?;
    let mut allowed = Vec::new();
    for (index, name) in fields.filled_array("allowedFunctionNames")?.into_iter().enumerate() {
        match name {
            Value::String(name) => allowed.push(name),
            other => return Err(at.field("allowedFunctionNames").item(index).expected("a string", &other)),
        }
    }
    let mode = fields.string("mode")?.map(|mode| mode.to_ascii_uppercase());
    offered.choice = match mode.as_deref() {
        Some("ANY") => Some(match allowed.as_slice() {
            [one] => ToolChoice::Named(one.clone()),
            _ => ToolChoice::Any,
        }),
        Some("AUTO" | "VALIDATED") => Some(ToolChoice::Auto),
        Some("NONE") => Some(ToolChoice::None),
        Some("MODE_UNSPECIFIED") | None => None,
        Some(_) => return Err(at.field("mode").fault("expected `AUTO`, `ANY`, `NONE` or `VALIDATED`")),
    };
    // Held to the schema: the other dialects' word for it stands on each tool.
    if mode.as_deref() == Some("VALIDATED") {
        offered.tools.iter_mut().for_each(|tool| tool.strict = Some(true));
    }
    if allowed.len() > 1 || (allowed.len() == 1 && offered.choice == Some(ToolChoice::Auto)) {
        offered.tools.retain(|tool| allowed.contains(&tool.name));
    }
    Ok(())
}
