//! Reads Qwen3 Coder's calls: `<function=NAME>`, a `<parameter=KEY>` for each argument
//! with its value on lines of its own, `</function>`. Values are bare text; which of
//! them are texts, and which are JSON, only the tool's schema knows.

use std::collections::HashMap;

use serde_json::Value;

use super::scan::{Found, MAX_WORD_BYTES};

/// The parameters of each tool that are texts.
#[derive(Debug, Clone, Default)]
pub(crate) struct TextParameters(HashMap<String, Vec<String>>);

impl TextParameters {
    /// Takes note of a tool.
    pub(crate) fn add(&mut self, tool: &str, schema: Option<&Value>) {
        let properties = schema.and_then(|schema| schema.get("properties")).and_then(Value::as_object);
        let texts = properties.into_iter().flatten().filter(|(_, schema)| is_text(schema));
        self.0.insert(tool.to_owned(), texts.map(|(name, _)| name.clone()).collect());
    }

    fn is_text(&self, tool: &str, parameter: &str) -> bool {
        self.0.get(tool).is_some_and(|texts| texts.iter().any(|text| text == parameter))
    }
}

/// Whether a value of this schema is always a text.
pub(crate) fn is_text(schema: &Value) -> bool {
    let values = schema.get("enum").and_then(Value::as_array);
    schema.get("type").is_some_and(|kind| kind == "string")
        || values.is_some_and(|values| !values.is_empty() && values.iter().all(Value::is_string))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before or in `<function=NAME>`.
    Function,
    /// Before or in `<parameter=KEY>` or `</function>`.
    Parameter,
    /// In a value that is a text.
    Text,
    /// In a value that is not.
    Json,
}

const VALUE_END: &str = "</parameter>";
const CALL_END: &str = "</function>";

/// Reads one call.
#[derive(Debug)]
pub(super) struct XmlScanner {
    at: At,
    texts: TextParameters,
    tool: String,
    held: Vec<u8>,
    /// The value's first line break has been passed over, or there was none.
    inside: bool,
    parameters: usize,
}

impl XmlScanner {
    pub(super) fn new(texts: TextParameters) -> Self {
        let (tool, held) = (String::new(), Vec::new());
        Self { at: At::Function, texts, tool, held, inside: false, parameters: 0 }
    }

    /// Takes in a byte.
    pub(super) fn push(&mut self, byte: u8, found: &mut Vec<Found>) {
        self.held.push(byte);
        match self.at {
            At::Function | At::Parameter if byte == b'>' => self.tag(found),
            At::Function | At::Parameter if self.held.len() > MAX_WORD_BYTES => found.push(Found::Broken),
            At::Text | At::Json if byte == b'>' && self.held.ends_with(VALUE_END.as_bytes()) => {
                self.held.truncate(self.held.len() - VALUE_END.len());
                self.value_ends(found);
            }
            _ => {}
        }
    }

    /// Passes on what was read of a text.
    pub(super) fn flush(&mut self, found: &mut Vec<Found>) {
        if self.at != At::Text {
            return;
        }
        self.enter();
        let safe = safe_length(&self.held);
        let rest = self.held.split_off(safe);
        let text = std::mem::replace(&mut self.held, rest);
        if !text.is_empty() {
            found.push(Found::Arguments(within_quotes(&text)));
        }
    }

    fn tag(&mut self, found: &mut Vec<Found>) {
        let tag = String::from_utf8_lossy(&std::mem::take(&mut self.held)).trim().to_owned();
        let named = |prefix: &str| Some(tag.strip_prefix(prefix)?.strip_suffix('>')?.trim().to_owned());
        match self.at {
            At::Function => match named("<function=").filter(|name| !name.is_empty()) {
                Some(name) => {
                    found.push(Found::Name(name.clone()));
                    self.tool = name;
                    self.at = At::Parameter;
                }
                None => found.push(Found::Broken),
            },
            _ if tag == CALL_END => {
                let end = if self.parameters == 0 { "{}" } else { "}" };
                found.push(Found::Arguments(end.to_owned()));
                found.push(Found::End);
            }
            _ => match named("<parameter=") {
                Some(key) => self.parameter(&key, found),
                None => found.push(Found::Broken),
            },
        }
    }

    fn parameter(&mut self, key: &str, found: &mut Vec<Found>) {
        let before = if self.parameters == 0 { "{" } else { ", " };
        let text = self.texts.is_text(&self.tool, key);
        let quote = if text { "\"" } else { "" };
        found.push(Found::Arguments(format!("{before}{}: {quote}", Value::from(key))));
        self.parameters += 1;
        self.inside = false;
        self.at = if text { At::Text } else { At::Json };
    }

    fn value_ends(&mut self, found: &mut Vec<Found>) {
        self.enter();
        let mut value = std::mem::take(&mut self.held);
        if value.last() == Some(&b'\n') {
            value.pop();
        }
        found.push(Found::Arguments(match self.at {
            At::Text => within_quotes(&value) + "\"",
            _ => json(&value),
        }));
        self.at = At::Parameter;
    }

    /// Passes over the line break before a value.
    fn enter(&mut self) {
        if !self.inside && !self.held.is_empty() {
            self.inside = true;
            if self.held.first() == Some(&b'\n') {
                self.held.remove(0);
            }
        }
    }
}

/// How much of a text cannot be the beginning of its end, or of half a character.
fn safe_length(text: &[u8]) -> usize {
    let whole = match std::str::from_utf8(text) {
        Ok(text) => text.len(),
        Err(error) => error.valid_up_to(),
    };
    let end = [b"\n", VALUE_END.as_bytes()].concat();
    let from = whole.saturating_sub(end.len());
    (from..whole)
        .find(|&at| {
            let rest = &text[at..whole];
            end.starts_with(rest) || VALUE_END.as_bytes().starts_with(rest)
        })
        .unwrap_or(whole)
}

/// A piece of text as it stands within a JSON string.
fn within_quotes(text: &[u8]) -> String {
    let quoted = Value::from(String::from_utf8_lossy(text)).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

/// A value that is JSON, as models write it, or a text after all.
fn json(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let text = text.trim();
    let python = match text {
        "True" => "true",
        "False" => "false",
        "None" => "null",
        other => other,
    };
    match serde_json::from_str::<Value>(python) {
        Ok(value) => value.to_string(),
        Err(_) => Value::from(text).to_string(),
    }
}
