//! Tools and the choice among them → `tools`, `tool_choice`.

use message::{Chat, Failure, Tool, ToolChoice, ToolKind};
use serde_json::{Map, Value, json};

use super::{Encoder, refuse};
use crate::openai::fields::At;
use crate::openai::responses::inbound::parse_choice;
use crate::openai::spelling::note;

impl Encoder {
    /// Writes the tools, the choice and whether several may be called at once.
    pub(super) fn tools(&mut self, chat: &Chat, body: &mut Map<String, Value>) -> Result<(), Failure> {
        let mut tools: Vec<Value> = Vec::with_capacity(chat.tools.len());
        let mut open: Option<&Value> = None;
        for (index, tool) in chat.tools.iter().enumerate() {
            if self.home && note(&tool.extra, "item").is_some() {
                continue;
            }
            let Some(written) = self.tool(index, tool) else { continue };
            let namespace = note(&tool.extra, "namespace").filter(|_| self.home);
            match (namespace, tools.last_mut()) {
                (None, _) => tools.push(written),
                (Some(_), Some(last)) if open == namespace => {
                    if let Some(Value::Array(members)) = last.get_mut("tools") {
                        members.push(written);
                    }
                }
                (Some(namespace), _) => {
                    let mut namespace = namespace.clone();
                    namespace["tools"] = json!([written]);
                    tools.push(namespace);
                }
            }
            open = namespace;
        }
        let named_is_there = match &chat.tool_choice {
            Some(ToolChoice::Named(name)) => {
                let name = self.tool_name(name);
                tools.iter().any(|tool| tool.get("name").and_then(Value::as_str) == Some(&name))
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
        if !(any_tools || self.home) {
            return Ok(());
        }
        self.choice(chat, body);
        if let Some(parallel) = chat.parallel_tool_calls {
            body.insert("parallel_tool_calls".to_owned(), parallel.into());
        }
        Ok(())
    }

    fn choice(&self, chat: &Chat, body: &mut Map<String, Value>) {
        let Some(choice) = &chat.tool_choice else { return };
        let noted = |name| note(&chat.extra, name).filter(|_| self.home);
        let unchanged =
            |note: &&Value| parse_choice(At::Root, note).is_ok_and(|parsed| parsed.choice == *choice);
        let note = noted("tool_choice").filter(unchanged);
        if let (Some(_), Some(all)) = (note, noted("tools")) {
            body.insert("tools".to_owned(), all.clone());
        }
        let choice = note.cloned().unwrap_or_else(|| match choice {
            ToolChoice::Named(name) => write_choice(&ToolChoice::Named(self.tool_name(name))),
            choice => write_choice(choice),
        });
        body.insert("tool_choice".to_owned(), choice);
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
        let noted = |name| note(&tool.extra, name).filter(|_| self.home);
        let name = match noted("name").and_then(Value::as_str) {
            Some(name) => name.to_owned(),
            None => self.tool_name(&tool.name),
        };
        let mut out = Map::new();
        if let Some(Value::Object(custom)) = noted("custom") {
            out.insert("type".to_owned(), "custom".into());
            out.insert("name".to_owned(), name.into());
            out.extend(custom.clone());
        } else {
            out.insert("type".to_owned(), "function".into());
            out.insert("name".to_owned(), name.into());
            if let Some(description) = &tool.description {
                out.insert("description".to_owned(), description.as_str().into());
            }
            match schema {
                Some(schema) => out.insert("parameters".to_owned(), schema.clone()),
                None if !self.home => {
                    out.insert("parameters".to_owned(), json!({"type": "object", "properties": {}}))
                }
                None => None,
            };
            match tool.strict {
                Some(strict) => out.insert("strict".to_owned(), strict.into()),
                // Strict is the default here, and refuses most schemas written elsewhere.
                None if !self.home => out.insert("strict".to_owned(), false.into()),
                None => None,
            };
        }
        if tool.cache.is_some() {
            self.drop_cache(path);
        }
        self.extra(path, &tool.extra, &mut out);
        Some(out.into())
    }
}

/// The usual spelling of a choice.
pub(in crate::openai::responses) fn write_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::Any => "required".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Named(name) => json!({"type": "function", "name": name}),
    }
}
