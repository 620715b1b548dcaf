//! Custom tools, whose input is free text, as the hub knows them: functions of one string.
//!
//! A model of another vendor is offered a function with the argument `input`; what it
//! calls it with is turned back into the bare text that the client's tool takes, piece by
//! piece as it streams.
//!
//! Source: `CustomTool`, `ResponseCustomToolCall` and `ChatCompletionCustomToolParam` of
//! `openai` 3.54.0, read 2026-11-22.

use message::{Grammar, Tool};
use serde_json::{Value, json};

use super::spelling::note;

/// Most bytes held back while the argument has not begun. A call of another form is given
/// to the client as it is.
const PRELUDE_BYTES_MAX: usize = 4 << 10;

/// The schema of a custom tool's arguments.
pub(super) fn schema() -> Value {
    json!({"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]})
}

/// What a model of another vendor is told of the form that the text must have.
pub(super) fn described(description: Option<&str>, format: Option<&Value>) -> Option<String> {
    let grammar = format.filter(|format| format.get("type").and_then(Value::as_str) == Some("grammar"));
    // The grammar stands inside it in Chat Completions, beside the type in Responses.
    let field = |name| {
        let grammar = grammar?;
        grammar.get("grammar").unwrap_or(grammar).get(name)?.as_str()
    };
    let rule = field("definition").map(|definition| {
        let syntax = field("syntax").unwrap_or("given");
        format!("`input` must match this {syntax} grammar:\n{definition}")
    });
    match (description, rule) {
        (Some(description), Some(rule)) => Some(format!("{description}\n\n{rule}")),
        (description, rule) => description.map(str::to_owned).or(rule),
    }
}

/// The languages of free-text tools' inputs, as they are noted with the tools.
pub(super) fn inputs(tools: &[Tool]) -> Vec<(String, Grammar)> {
    let input = |tool: &Tool| {
        let format = note(&tool.extra, "custom")?.get("format")?;
        let field = |name| format.get("grammar").unwrap_or(format).get(name)?.as_str();
        let definition = field("definition")?.to_owned();
        let grammar = match field("syntax")? {
            "regex" => Grammar::Regex(definition),
            "lark" => Grammar::Lark(definition),
            _ => return None,
        };
        Some((tool.name.clone(), grammar))
    };
    tools.iter().filter_map(input).collect()
}

/// Free text → the arguments of the function.
pub(super) fn wrap(input: &str) -> String {
    json!({ "input": input }).to_string()
}

/// The arguments of the function → free text. Arguments of another form are the text.
pub(super) fn unwrap(arguments: &str) -> String {
    match serde_json::from_str::<Value>(arguments) {
        Ok(Value::Object(mut fields)) => match fields.get_mut("input").map(Value::take) {
            Some(Value::String(input)) => input,
            Some(other) => other.to_string(),
            None if fields.is_empty() => String::new(),
            None => arguments.to_owned(),
        },
        _ => arguments.to_owned(),
    }
}

/// Takes the text out of arguments that come in pieces.
#[derive(Debug, Default)]
pub(super) struct Unwrapper {
    /// The arguments before the text began, or an escape sequence cut in two.
    held: String,
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Before,
    Inside,
    After,
    /// Not the form that was asked for: everything is text.
    Bare,
}

impl Unwrapper {
    /// The text that a piece of the arguments brings.
    pub(super) fn feed(&mut self, piece: &str) -> String {
        self.held.push_str(piece);
        if self.state == State::Before {
            match begin(&self.held) {
                Some(at) => {
                    self.held.drain(..at);
                    self.state = State::Inside;
                }
                None if self.held.len() > PRELUDE_BYTES_MAX => self.state = State::Bare,
                None => return String::new(),
            }
        }
        match self.state {
            State::Inside => self.inside(),
            State::Bare => std::mem::take(&mut self.held),
            State::Before | State::After => {
                self.held.clear();
                String::new()
            }
        }
    }

    /// What is left when the arguments are whole.
    pub(super) fn finish(&mut self) -> String {
        let held = std::mem::take(&mut self.held);
        match std::mem::replace(&mut self.state, State::After) {
            State::Before if !held.is_empty() => unwrap(&held),
            _ => String::new(),
        }
    }

    fn inside(&mut self) -> String {
        let (end, closed) = whole_characters(&self.held);
        let text = serde_json::from_str(&format!("\"{}\"", &self.held[..end])).unwrap_or_else(|_| {
            // Not JSON (a raw line break, a lone surrogate): better as it stands than lost.
            self.held[..end].to_owned()
        });
        self.held.drain(..end);
        if closed {
            self.state = State::After;
            self.held.clear();
        }
        text
    }
}

/// Where the text begins: behind `{"input":"`.
fn begin(held: &str) -> Option<usize> {
    let mut rest = held.trim_start();
    for token in ["{", "\"input\"", ":", "\""] {
        rest = rest.trim_start().strip_prefix(token)?;
    }
    Some(held.len() - rest.len())
}

/// How far the text holds whole characters, and whether its closing quote follows.
fn whole_characters(text: &str) -> (usize, bool) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return (at, true),
            b'\\' => {
                let Some(length) = escape_length(&bytes[at..]) else { return (at, false) };
                at += length;
            }
            _ => at += 1,
        }
    }
    (at, false)
}

/// The length of the escape sequence that text begins with; `None` while its end may not
/// have come. A high surrogate waits for its partner.
fn escape_length(text: &[u8]) -> Option<usize> {
    const UNIT: usize = 6;
    if *text.get(1)? != b'u' {
        return Some(2);
    }
    let unit = std::str::from_utf8(text.get(2..UNIT)?).ok();
    let unit = unit.and_then(|digits| u16::from_str_radix(digits, 16).ok());
    let is_high = unit.is_some_and(|unit| (0xd800..0xdc00).contains(&unit));
    if !is_high {
        return Some(UNIT);
    }
    match (text.get(UNIT), text.get(UNIT + 1)) {
        (None, _) | (Some(b'\\'), None) => None,
        (Some(b'\\'), Some(b'u')) => (text.len() >= 2 * UNIT).then_some(2 * UNIT),
        _ => Some(UNIT),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn in_pieces(pieces: &[&str]) -> String {
        let mut unwrapper = Unwrapper::default();
        let mut text: String = pieces.iter().map(|piece| unwrapper.feed(piece)).collect();
        text.push_str(&unwrapper.finish());
        text
    }

    #[test]
    fn other_forms_are_the_text() {
        for (arguments, text) in [
            ("*** Begin Patch", "*** Begin Patch"),
            ("{}", ""),
            ("", ""),
            (r#"{"patch":"x"}"#, r#"{"patch":"x"}"#),
            (r#"{"input":7}"#, "7"),
            (r#"{ "input" : "a\nb" }"#, "a\nb"),
        ] {
            assert_eq!(in_pieces(&[arguments]), text, "{arguments}");
            assert_eq!(unwrap(arguments), text, "{arguments}");
        }
        let long = "x".repeat(PRELUDE_BYTES_MAX + 1);
        assert_eq!(in_pieces(&[&long, "y"]), format!("{long}y"));
    }

    #[test]
    fn a_surrogate_pair_is_one_character_however_it_is_cut() {
        let arguments = r#"{"input":"\ud83e\udea8!"}"#;
        for cut in 0..=arguments.len() {
            let (first, second) = arguments.split_at(cut);
            assert_eq!(in_pieces(&[first, second]), "\u{1faa8}!", "cut at {cut}");
        }
        // A lone one is no character at all; nothing is lost and nothing panics.
        assert!(!in_pieces(&[r#"{"input":"\ud83ex"}"#]).is_empty());
    }

    proptest! {
        #[test]
        fn t8_text_survives_the_function_it_travels_as(text in ".{0,20}", cut in 0..60_usize) {
            let arguments = wrap(&text);
            prop_assert_eq!(unwrap(&arguments), text.as_str());
            let cut = (0..=cut.min(arguments.len())).rev().find(|at| arguments.is_char_boundary(*at));
            let (first, second) = arguments.split_at(cut.unwrap_or(0));
            prop_assert_eq!(in_pieces(&[first, second]), text);
        }
    }
}
