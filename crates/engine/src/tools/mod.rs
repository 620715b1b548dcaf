//! Tools: how a model writes its calls, and reading them from its answer as they come.
//!
//! Models were taught different notations (`syntax`); which one a model uses is found by
//! asking its own template to write a call (`template/probe`). A model whose template
//! knows no tools is told about them in the system prompt (`describe`), in the notation
//! of NousResearch's Hermes function-calling standard, which most open models have seen.
//!
//! `parser` finds the marks in an answer; what stands within them is read by one scanner
//! per form of body: `scan` (a JSON object), `named`, `xml`. gpt-oss's answers are
//! messages on channels, and are read by `harmony` from beginning to end.

mod describe;
mod harmony;
mod named;
mod object;
mod parser;
mod scan;
mod syntax;
mod xml;

pub(crate) use describe::{describe, written_call};
use harmony::Harmony;
use parser::Parser;
pub(crate) use parser::Part;
pub(crate) use syntax::{Body, MARKS, Named, Syntax, Thought};
pub(crate) use xml::{TextParameters, is_text};

/// Reads an answer that may hold tool calls, in pieces cut anywhere.
#[derive(Debug)]
pub(crate) enum Reader {
    /// Calls stand between marks.
    Marked(Box<Parser>),
    /// The answer is a list of messages on channels.
    Harmony(Harmony),
}

impl Reader {
    /// A reader of answers in this notation. `texts`: which parameters are texts.
    pub(crate) fn new(syntax: Syntax, texts: TextParameters) -> Self {
        match syntax.body {
            Body::Harmony => Self::Harmony(Harmony::new()),
            _ => Self::Marked(Box::new(Parser::new(syntax, texts))),
        }
    }

    /// Takes in a piece of the answer.
    pub(crate) fn push(&mut self, text: &str, parts: &mut Vec<Part>) {
        match self {
            Self::Marked(parser) => parser.push(text, parts),
            Self::Harmony(harmony) => harmony.push(text, parts),
        }
    }

    /// The answer is over.
    pub(crate) fn finish(&mut self, parts: &mut Vec<Part>) {
        match self {
            Self::Marked(parser) => parser.finish(parts),
            Self::Harmony(harmony) => harmony.finish(parts),
        }
    }

    /// Passes over bytes of the raw answer that are not for this reader.
    pub(crate) fn skip(&mut self, bytes: usize) {
        if let Self::Marked(parser) = self {
            parser.skip(bytes);
        }
    }

    /// A call broke off after it had begun.
    pub(crate) fn malformed(&self) -> bool {
        match self {
            Self::Marked(parser) => parser.malformed(),
            Self::Harmony(harmony) => harmony.malformed(),
        }
    }

    /// Times a mark has announced calls.
    pub(crate) fn announced(&self) -> u32 {
        match self {
            Self::Marked(parser) => parser.announced(),
            Self::Harmony(harmony) => harmony.announced(),
        }
    }

    /// What was written since the last such mark.
    pub(crate) fn since_announced(&self) -> &str {
        match self {
            Self::Marked(parser) => parser.since_announced(),
            Self::Harmony(harmony) => harmony.since_announced(),
        }
    }

    /// What is being written is not for the reader of the answer.
    pub(crate) fn thinking(&self) -> bool {
        match self {
            Self::Marked(_) => false,
            Self::Harmony(harmony) => harmony.thinking(),
        }
    }
}

/// A new id, by which a tool's result will name its call.
pub(crate) fn new_call_id() -> String {
    // Without randomness (no system has been seen to run out) ids would only repeat.
    let random = getrandom::u64().unwrap_or_default();
    format!("call_{random:016x}")
}
