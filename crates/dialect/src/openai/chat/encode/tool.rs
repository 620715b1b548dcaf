//! Tools and the choice among them → `tools`, `tool_choice`.

use message::{Chat, Failure, Tool, ToolChoice, ToolKind};
use serde_json::{Map, Value, json};

use super::{Encoder, refuse};
use crate::openai::chat::inbound::parse_choice;
use crate::openai::spelling::note;

impl Encoder {
    /// Writes the tools, the choice and whether several may be called at once.
    pub(super) fn tools(&mut self, chat: &Chat, body: &mut Map<String, Value>) -> Result<(), Failure> {
        let noted = |name| note(&chat.extra, name);
        if self.home && noted("functions").is_some() {
            for name in ["functions", "function_call", "parallel_tool_calls"] {
                if let Some(value) = noted(name) {
                    body.insert(name.to_owned(), value.clone());
                }
            }
            return Ok(());
        }
        let mut tools = Vec::with_capacity(chat.tools.len());
        for (index, tool) in chat.tools.iter().enumerate() {
            tools.extend(self.tool(index, tool));
        }
        let named_is_there = match &chat.tool_choice {
            Some(ToolChoice::Named(name)) => {
                let name = self.tool_name(name);
                tools.iter().any(|tool| name_of(tool) == Some(&name))
            }
            Some(ToolChoice::Any) => !tools.is_empty(),
            _ => true,
        };
        if !self.home && !named_is_there {
            return Err(refuse(
                "tool_choice",
                "the tool that must be called cannot be offered to this model",
            ));
        }
        let any_tools = !tools.is_empty();
        if any_tools {
            body.insert("tools".to_owned(), tools.into());
        }
        // The service refuses both settings beside no tools.
        if !(any_tools || self.home) {
            return Ok(());
        }
        if let Some(choice) = &chat.tool_choice {
            let note = noted("tool_choice").filter(|note| parse_choice(note).as_ref() == Ok(choice));
            if let (Some(_), Some(all)) = (note, noted("tools")) {
                body.insert("tools".to_owned(), all.clone());
            }
            let choice = note.cloned().unwrap_or_else(|| match choice {
                ToolChoice::Named(name) => named(&self.tool_name(name)),
                choice => write_choice(choice),
            });
            body.insert("tool_choice".to_owned(), choice);
        }
        if let Some(parallel) = chat.parallel_tool_calls {
            body.insert("parallel_tool_calls".to_owned(), parallel.into());
        }
        Ok(())
    }

    fn tool(&mut self, index: usize, tool: &Tool) -> Option<Value> {
        let path = || format!("tools.{index}");
        let schema = match &tool.kind {
            ToolKind::Function { schema } => schema,
            ToolKind::Opaque(value) if self.home => return Some(value.clone()),
            ToolKind::Opaque(_) => {
                self.drop(path(), "a tool only its own vendor can offer");
                return None;
            }
        };
        let mut out = Map::new();
        if let (true, Some(Value::Object(definition))) = (self.home, note(&tool.extra, "custom")) {
            let mut custom = Map::new();
            custom.insert("name".to_owned(), tool.name.as_str().into());
            custom.extend(definition.clone());
            out.insert("type".to_owned(), "custom".into());
            out.insert("custom".to_owned(), custom.into());
            self.cache(path, tool.cache.as_ref(), &mut out);
            self.extra(path, &tool.extra, &mut out);
            return Some(out.into());
        }
        let mut function = Map::new();
        function.insert("name".to_owned(), self.tool_name(&tool.name).into());
        if let Some(description) = &tool.description {
            function.insert("description".to_owned(), description.as_str().into());
        }
        if let Some(schema) = schema {
            function.insert("parameters".to_owned(), schema.clone());
        }
        if let Some(strict) = tool.strict {
            function.insert("strict".to_owned(), strict.into());
        }
        out.insert("type".to_owned(), "function".into());
        out.insert("function".to_owned(), function.into());
        self.cache(path, tool.cache.as_ref(), &mut out);
        self.extra(path, &tool.extra, &mut out);
        Some(out.into())
    }
}

fn name_of(tool: &Value) -> Option<&str> {
    tool.get("function").or_else(|| tool.get("custom"))?.get("name")?.as_str()
}

/// The usual spelling of a choice.
pub(in crate::openai) fn write_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::Any => "required".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Named(name) => named(name),
    }
}

fn named(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name}})
}
