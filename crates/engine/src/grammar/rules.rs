//! The rules of an answer, as llguidance reads them: a Lark-like notation with JSON
//! schemas inline (llguidance 1.9.1, its docs/syntax.md, read 2026-11-22).

use std::fmt::Write;

use llguidance::api::GrammarWithLexer;
use message::Failure;
use serde_json::{Map, Value, json};

use super::narrow::narrow;
use super::{Ask, CallSchema, Form, Shape, language, supported};
use crate::tools::{Body, Named, Syntax, Thought, is_text};

/// Largest schema taken, in bytes of JSON: what compiles in well under a second.
const MAX_SCHEMA_BYTES: usize = 128 * 1024;

/// What may stand before the answer itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// Nothing.
    Nothing,
    /// Thinking, if the model likes.
    MayThink(Thought),
    /// The rest of the thinking that the prompt has begun.
    Thinks(Thought),
}

/// The rules of an answer, as they are compiled.
pub(super) struct Rules {
    /// The outer ones.
    pub(super) text: String,
    /// Clients' grammars, which they refer to by name.
    pub(super) languages: Vec<GrammarWithLexer>,
    /// Tokens that were taken can be given back.
    pub(super) can_close: bool,
}

/// The rules of what is asked for.
pub(super) fn rules(ask: Ask<'_>) -> Result<Rules, Failure> {
    let text = String::from("BLANK: /[ \\t\\r\\n]{1,4}/\n");
    let mut rules = Rules { text, languages: Vec::new(), can_close: true };
    let before = rules.before(ask.before);
    match ask.shape {
        Shape::Text(form) => {
            let _ = writeln!(rules.text, "start: {before}{}", rules_of_text(ask.syntax));
            rules.form(form)?;
        }
        Shape::Calls { tools, several } => {
            let _ = writeln!(rules.text, "start: {before}calls");
            rules.calls(ask.syntax, tools, several)?;
        }
        Shape::TextOrCalls { text, tools, several } => {
            let _ = writeln!(rules.text, "start: {before}({} | calls)", rules_of_text(ask.syntax));
            rules.form(text)?;
            rules.calls(ask.syntax, tools, several)?;
        }
        Shape::RestOfCalls { tools, several } => {
            let _ = writeln!(rules.text, "start: rest");
            rules.rest(ask.syntax, tools, several)?;
        }
    }
    Ok(rules)
}

/// What is for the reader: on its channel, where there are channels.
fn rules_of_text(syntax: Syntax) -> String {
    match syntax.body {
        Body::Harmony => format!("{} text", quoted("<|channel|>final<|message|>")),
        _ => "text".to_owned(),
    }
}

impl Rules {
    fn before(&mut self, before: Before) -> &'static str {
        let (thought, uses) = match before {
            Before::Nothing => return "",
            Before::MayThink(thought) => {
                let _ = writeln!(self.text, "thinking: {} thought", quoted(thought.open));
                (thought, "(thinking BLANK?)? ")
            }
            Before::Thinks(thought) => (thought, "thought BLANK? "),
        };
        let _ = writeln!(self.text, "thought[suffix={}]: /(?s:.*)/", quoted(thought.close));
        uses
    }

    fn form(&mut self, form: Form<'_>) -> Result<(), Failure> {
        match form {
            Form::Json(schema) => self.json("text", Some(schema)),
            Form::Grammar(grammar) => {
                self.can_close &= language::can_close(grammar);
                self.languages.push(language::text("language", grammar)?);
                self.text.push_str("text: @language\n");
                Ok(())
            }
        }
    }

    /// Calls, from their first mark on.
    fn calls(&mut self, syntax: Syntax, tools: &[CallSchema<'_>], several: bool) -> Result<(), Failure> {
        let open = match syntax.body {
            Body::Harmony => quoted("<|channel|>commentary to=functions."),
            Body::Object { list: false, .. } if !syntax.open.is_empty() => {
                quoted(&format!("{}\n", syntax.open))
            }
            Body::Xml => quoted(&format!("{}\n", syntax.open)),
            _ => quoted(syntax.open),
        };
        // Where one pair of marks holds one call, several calls are several pairs.
        let pairs = matches!(
            syntax.body,
            Body::Object { list: false, .. } | Body::Named(Named { several: false, .. }) | Body::Xml
        );
        let more = if several && pairs && !syntax.open.is_empty() {
            format!(" (BLANK? {open} rest)*")
        } else {
            String::new()
        };
        let _ = writeln!(self.text, "calls: {open} rest{more}");
        self.rest(syntax, tools, several)
    }

    /// What follows the mark that announces calls.
    fn rest(&mut self, syntax: Syntax, tools: &[CallSchema<'_>], several: bool) -> Result<(), Failure> {
        let names: Vec<String> = (0..tools.len()).map(|index| format!("call_{index}")).collect();
        let _ = writeln!(self.text, "call: {}", names.join(" | "));
        let close = quoted(syntax.close);
        let rest = match syntax.body {
            Body::Object { list: true, .. } => {
                let more = if several { " (\", \" call)*" } else { "" };
                format!("BLANK? \"[\" call{more} \"]\" {close}")
            }
            Body::Object { list: false, .. } if syntax.open.is_empty() => "call".to_owned(),
            Body::Object { list: false, .. } | Body::Xml => format!("BLANK? call BLANK? {close}"),
            Body::Named(named) if named.several => {
                let more = if several { " (BLANK? call)*" } else { "" };
                format!("BLANK? call{more} BLANK? {close}")
            }
            Body::Named(_) => format!("call {close}"),
            Body::Harmony => "call".to_owned(),
        };
        let _ = writeln!(self.text, "rest: {rest}");
        for (index, tool) in tools.iter().enumerate() {
            self.call(syntax, index, tool).map_err(|failure| {
                let message = format!("tools: the schema of '{}': {}", tool.name, failure.message);
                Failure { message, ..failure }
            })?;
        }
        Ok(())
    }

    /// One call. Each tool's schema is a document of its own, so that its `$ref`s stay true.
    fn call(&mut self, syntax: Syntax, index: usize, tool: &CallSchema<'_>) -> Result<(), Failure> {
        let (head, tail) = match syntax.body {
            Body::Object { arguments, .. } => {
                (format!("{{\"name\": {}, \"{arguments}\": ", Value::from(tool.name)), "}")
            }
            Body::Named(named) => (format!("{}{}{}", named.before, tool.name, named.between), named.after),
            Body::Harmony => (tool.name.to_owned(), ""),
            Body::Xml => return self.xml(index, tool),
        };
        let head = match syntax.body {
            Body::Harmony => {
                let _ = writeln!(
                    self.text,
                    "call_{index}: {} call_{index}_kind \"<|message|>\" arguments_{index}\n\
                     call_{index}_kind: \" <|constrain|>json\" | \"<|channel|>commentary json\" | \"<|channel|>commentary <|constrain|>json\"",
                    quoted(&head)
                );
                return self.arguments(index, tool);
            }
            _ => quoted(&head),
        };
        let _ = writeln!(self.text, "call_{index}: {head} arguments_{index} {}", quoted(tail));
        self.arguments(index, tool)
    }

    /// A call's arguments, in JSON.
    fn arguments(&mut self, index: usize, tool: &CallSchema<'_>) -> Result<(), Failure> {
        let Some(input) = tool.input else {
            return self.json(&format!("arguments_{index}"), tool.schema);
        };
        self.can_close &= language::can_close(input);
        self.languages.push(language::json_string(&format!("input_{index}"), input)?);
        let _ = writeln!(self.text, "arguments_{index}: \"{{\\\"input\\\": \" @input_{index} \"}}\"");
        Ok(())
    }

    /// One call with a tag for each argument: the required ones and any of the others,
    /// in the schema's order. Texts are free: their schemas' finer rules are not kept.
    fn xml(&mut self, index: usize, tool: &CallSchema<'_>) -> Result<(), Failure> {
        let none = Map::new();
        let properties = tool.schema.and_then(|schema| schema["properties"].as_object()).unwrap_or(&none);
        let required: Vec<&str> = tool
            .schema
            .and_then(|schema| schema["required"].as_array())
            .map_or_else(Vec::new, |names| names.iter().filter_map(Value::as_str).collect());
        let mut sequence = String::new();
        for (place, (key, schema)) in properties.iter().enumerate() {
            let rule = format!("argument_{index}_{place}");
            let optional = if required.contains(&key.as_str()) { "" } else { "?" };
            let _ = write!(sequence, "{rule}{optional} ");
            let head = quoted(&format!("<parameter={key}>\n"));
            let end = quoted("\n</parameter>\n");
            let values = schema["enum"].as_array();
            if let (Some(input), "input") = (tool.input, key.as_str()) {
                self.can_close &= language::can_close(input);
                self.languages.push(language::text(&format!("input_{index}"), input)?);
                let _ = writeln!(self.text, "{rule}: {head} @input_{index} {end}");
            } else if let (true, Some(values)) = (is_text(schema), values) {
                let values: Vec<String> = values.iter().filter_map(Value::as_str).map(quoted).collect();
                let _ = writeln!(self.text, "{rule}: {head} ({}) {end}", values.join(" | "));
            } else if is_text(schema) {
                let _ = writeln!(self.text, "{rule}: {head} {rule}_value");
                let _ = writeln!(self.text, "{rule}_value[suffix={end}]: /(?s:.*)/");
            } else {
                let _ = writeln!(self.text, "{rule}: {head} {rule}_value {end}");
                self.json(&format!("{rule}_value"), Some(&with_definitions(schema, tool.schema)))?;
            }
        }
        let head = quoted(&format!("<function={}>\n", tool.name));
        let _ = writeln!(self.text, "call_{index}: {head} {sequence}\"</function>\"");
        Ok(())
    }

    fn json(&mut self, name: &str, schema: Option<&Value>) -> Result<(), Failure> {
        let mut schema = schema.cloned();
        if let Some(schema) = &mut schema {
            let size = schema.to_string().len();
            if size > MAX_SCHEMA_BYTES {
                return Err(Failure::invalid(format!(
                    "a JSON schema of {size} bytes is too large; at most {MAX_SCHEMA_BYTES} bytes can be followed"
                )));
            }
            supported::clean(schema)?;
        }
        let schema = narrow(schema.as_ref()).to_string();
        let _ = writeln!(self.text, "{name}: %json {schema}");
        Ok(())
    }
}

/// A part of a schema that still finds what it refers to.
fn with_definitions(part: &Value, whole: Option<&Value>) -> Value {
    let mut part = match part {
        Value::Object(_) => part.clone(),
        // `true`: anything.
        _ => json!({}),
    };
    for key in ["$defs", "definitions"] {
        if let Some(definitions) = whole.and_then(|whole| whole.get(key)) {
            part[key] = definitions.clone();
        }
    }
    part
}

/// A literal, or nothing.
fn quoted(text: &str) -> String {
    if text.is_empty() { String::new() } else { Value::from(text).to_string() }
}
