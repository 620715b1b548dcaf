//! Constrained output: what an answer may say, token by token, so that even a small
//! model's tool call or JSON is valid. The rules are llguidance's (a Lark-like notation
//! with JSON schemas inline; its docs/syntax.md, version 1.9.1, read 2026-11-22).

mod narrow;

use std::fmt::{self, Write};
use std::sync::{Arc, OnceLock};

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{ApproximateTokEnv, SimpleVob, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use message::Failure;
use serde_json::Value;

use crate::tools::Syntax;
use crate::vocabulary::{Token, Vocabulary};
use narrow::narrow;

/// Largest schema taken, in bytes of JSON: what compiles in well under a second.
const MAX_SCHEMA_BYTES: usize = 128 * 1024;

/// What an answer must be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape<'a> {
    /// JSON of this schema.
    Json(&'a Value),
    /// A call of one of these tools.
    Call(Syntax, &'a [CallSchema<'a>]),
    /// Either.
    JsonOrCall(&'a Value, Syntax, &'a [CallSchema<'a>]),
}

/// A tool and the schema of its arguments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallSchema<'a> {
    pub(crate) name: &'a str,
    pub(crate) schema: Option<&'a Value>,
}

/// Compiles constraints for one model. What they share (a trie of the vocabulary) is
/// built at the first use, for some tenths of a second, and kept.
pub(crate) struct Grammars {
    vocabulary: Arc<Vocabulary>,
    factory: OnceLock<Result<ParserFactory, String>>,
}

impl Grammars {
    pub(crate) fn new(vocabulary: Arc<Vocabulary>) -> Self {
        Self { vocabulary, factory: OnceLock::new() }
    }

    /// The constraint of an answer of this shape.
    pub(crate) fn compile(&self, shape: Shape<'_>) -> Result<Constraint, Failure> {
        let lark = lark(shape)?;
        let factory = self.factory.get_or_init(|| factory(&self.vocabulary).map_err(|e| e.to_string()));
        let factory = factory.as_ref().map_err(|error| Failure::internal(error.clone()))?;
        let matcher = Matcher::new(factory.create_parser(TopLevelGrammar::from_lark(lark)));
        match matcher.get_error() {
            None => Ok(Constraint { matcher }),
            Some(error) => Err(Failure::invalid(format!(
                "the JSON schema cannot be followed: {}; simplify it or leave it out",
                first_line(&error)
            ))),
        }
    }
}

fn factory(vocabulary: &Vocabulary) -> Result<ParserFactory, impl fmt::Display + use<>> {
    let count = u32::try_from(vocabulary.len()).unwrap_or(u32::MAX);
    let words: Vec<Vec<u8>> = (0..count).map(|token| word(vocabulary, token)).collect();
    // The first is the one llguidance speaks of; all of them end an answer.
    let mut ends = vec![vocabulary.primary_eos];
    ends.extend(vocabulary.turn_ends().filter(|&token| token != vocabulary.primary_eos));
    let trie = TokTrie::from(&TokRxInfo::new(count, vocabulary.primary_eos), &words).with_eos_tokens(&ends);
    let environment: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
    ParserFactory::new_simple(&environment).map(|mut factory| {
        // Its own log would go to standard error.
        factory.quiet();
        factory
    })
}

/// A token's bytes as llguidance wants them: control tokens behind a byte that no text has.
fn word(vocabulary: &Vocabulary, token: Token) -> Vec<u8> {
    match (vocabulary.piece(token), vocabulary.written(token)) {
        ([], []) => Vec::new(),
        ([], written) => [&[TokTrie::SPECIAL_TOKEN_MARKER], written].concat(),
        (piece, _) => piece.to_vec(),
    }
}

/// The rules of a shape.
fn lark(shape: Shape<'_>) -> Result<String, Failure> {
    let mut rules = String::new();
    match shape {
        Shape::Json(schema) => {
            rules.push_str("start: json\n");
            json_rule(&mut rules, "json", Some(schema))?;
        }
        Shape::Call(syntax, tools) => {
            rules.push_str("start: calls\n");
            call_rules(&mut rules, syntax, tools)?;
        }
        Shape::JsonOrCall(schema, syntax, tools) => {
            rules.push_str("start: json | calls\n");
            json_rule(&mut rules, "json", Some(schema))?;
            call_rules(&mut rules, syntax, tools)?;
        }
    }
    Ok(rules)
}

/// One call, in the model's own notation. Each tool's schema is a document of its own,
/// so that its `$ref`s stay true.
fn call_rules(rules: &mut String, syntax: Syntax, tools: &[CallSchema<'_>]) -> Result<(), Failure> {
    let around = match (syntax.list, syntax.open.is_empty()) {
        (true, _) => (format!("{}[", syntax.open), "]".to_owned()),
        (false, true) => (String::new(), String::new()),
        (false, false) => (format!("{}\n", syntax.open), format!("\n{}", syntax.close)),
    };
    let quoted = |text: &str| if text.is_empty() { String::new() } else { Value::from(text).to_string() };
    let names: Vec<String> = (0..tools.len()).map(|index| format!("call_{index}")).collect();
    let _ = writeln!(rules, "calls: {} ({}) {}", quoted(&around.0), names.join(" | "), quoted(&around.1));
    for (index, tool) in tools.iter().enumerate() {
        let head = format!("{{\"name\": {}, \"{}\": ", Value::from(tool.name), syntax.arguments);
        let _ = writeln!(rules, "call_{index}: {} arguments_{index} \"}}\"", quoted(&head));
        json_rule(rules, &format!("arguments_{index}"), tool.schema).map_err(|failure| {
            let message = format!("tools: the schema of '{}': {}", tool.name, failure.message);
            Failure { message, ..failure }
        })?;
    }
    Ok(())
}

fn json_rule(rules: &mut String, name: &str, schema: Option<&Value>) -> Result<(), Failure> {
    let schema = narrow(schema).to_string();
    if schema.len() > MAX_SCHEMA_BYTES {
        return Err(Failure::invalid(format!(
            "a JSON schema of {} bytes is too large; at most {MAX_SCHEMA_BYTES} bytes can be followed",
            schema.len()
        )));
    }
    let _ = writeln!(rules, "{name}: %json {schema}");
    Ok(())
}

/// What one call may say next.
pub(crate) struct Constraint {
    matcher: Matcher,
}

impl Constraint {
    /// The tokens allowed next.
    pub(crate) fn mask(&mut self) -> Result<SimpleVob, Failure> {
        self.matcher.compute_mask_or_eos().map_err(too_complex)
    }

    /// Takes note of the token chosen.
    pub(crate) fn accept(&mut self, token: Token) -> Result<(), Failure> {
        self.matcher.consume_token(token).map_err(too_complex)
    }

    /// Nothing more may be said.
    pub(crate) fn satisfied(&mut self) -> bool {
        self.matcher.is_stopped()
    }
}

impl fmt::Debug for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Constraint")
    }
}

fn too_complex(error: impl fmt::Display) -> Failure {
    let error = error.to_string();
    Failure::invalid(format!(
        "the answer's JSON schema became too complex to follow: {}; simplify it",
        first_line(&error)
    ))
}

/// llguidance appends the state of its parser, which is long and not for clients.
fn first_line(error: &str) -> &str {
    error.lines().next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
