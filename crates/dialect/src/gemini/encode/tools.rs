//! Tools and the choice among them → `tools`, `toolConfig`.

use ::message::{Chat, Failure, Tool, ToolChoice, ToolKind};
use serde_json::{Map, Value, json};

use super::{Encoder, inner, member, refuse};
use crate::gemini::inbound::{Offered, read_tools};
use crate::gemini::names::function_name;
use crate::gemini::schema;
use crate::json::fields::note;

impl Encoder {
    /// Writes the tools and the choice.
    pub(super) fn tools(&mut self, chat: &Chat, body: &mut Map<String, Value>) -> Result<(), Failure> {
        let tools = note(&chat.extra, "tools");
        let config = inner(&chat.extra, "toolConfig");
        let config = config.and_then(|inner| note(inner, "functionCallingConfig"));
        let unchanged = self.home
            && read_tools(tools, config)
                .is_ok_and(|Offered { tools, choice }| tools == chat.tools && choice == chat.tool_choice);
        if unchanged {
            body.extend(tools.map(|tools| ("tools".to_owned(), tools.clone())));
            let config = config.map(|config| member("functionCallingConfig", config.clone()));
            body.extend(config.map(|config| ("toolConfig".to_owned(), config)));
            return Ok(());
        }
        let (mut functions, mut others) = (Vec::new(), Vec::new());
        for (index, tool) in chat.tools.iter().enumerate() {
            match &tool.kind {
                ToolKind::Function { schema } => functions.push(self.function(index, tool, schema.as_ref())),
                ToolKind::Opaque(value) if self.home => others.push(value.clone()),
                ToolKind::Opaque(_) => {
                    self.drop(format!("tools.{index}"), "a tool only its own vendor can offer");
                }
            }
        }
        let names: Vec<&str> = functions.iter().filter_map(|function| function["name"].as_str()).collect();
        let config = self.choice(chat, &names)?;
        let mut tools = Vec::new();
        if !functions.is_empty() {
            tools.push(member("functionDeclarations", functions));
        }
        tools.extend(others);
        if !tools.is_empty() {
            body.insert("tools".to_owned(), tools.into());
        }
        if let Some(config) = config {
            body.insert("toolConfig".to_owned(), member("functionCallingConfig", config));
        }
        Ok(())
    }

    fn function(&mut self, index: usize, tool: &Tool, schema: Option<&Value>) -> Value {
        let path = || format!("tools.{index}");
        let mut out = Map::new();
        let name = if self.home { tool.name.as_str().into() } else { function_name(&tool.name) };
        out.insert("name".to_owned(), name.into());
        if let Some(description) = &tool.description {
            out.insert("description".to_owned(), description.as_str().into());
        }
        if let Some(schema) = schema.filter(|schema| schema.is_object()) {
            out.insert("parametersJsonSchema".to_owned(), schema::adapt(schema));
        }
        if tool.cache.is_some() {
            self.drop_cache(&path());
        }
        self.extra(path, &tool.extra, &mut out);
        out.into()
    }

    /// `VALIDATED` is the mode that holds calls to their schema without forcing one.
    fn choice(&mut self, chat: &Chat, names: &[&str]) -> Result<Option<Value>, Failure> {
        let is_strict = chat.tools.iter().any(|tool| tool.strict == Some(true));
        if !self.home && chat.parallel_tool_calls == Some(false) && !names.is_empty() {
            self.drop("parallel_tool_calls", "Gemini cannot be held to one call at a time");
        }
        let config = match &chat.tool_choice {
            Some(ToolChoice::Named(_) | ToolChoice::Any) if names.is_empty() && !self.home => {
                let why = "the tool that must be called cannot be offered to this model";
                return Err(refuse("tool_choice", why));
            }
            Some(ToolChoice::Named(name)) => {
                let name = if self.home { name.into() } else { function_name(name) };
                if !names.contains(&&*name) && !self.home {
                    let why = "the tool that must be called cannot be offered to this model";
                    return Err(refuse("tool_choice", why));
                }
                json!({"mode": "ANY", "allowedFunctionNames": [name]})
            }
            _ if names.is_empty() => return Ok(None),
            Some(ToolChoice::Any) => member("mode", "ANY"),
            Some(ToolChoice::None) => member("mode", "NONE"),
            Some(ToolChoice::Auto) | None if is_strict => member("mode", "VALIDATED"),
            Some(ToolChoice::Auto) => member("mode", "AUTO"),
            None => return Ok(None),
        };
        Ok(Some(config))
    }
}
