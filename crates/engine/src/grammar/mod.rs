//! Constrained output: what an answer may say, token by token, so that even a small
//! model's tool call or JSON is valid. `rules` says what, llguidance follows it.

mod closing;
mod constraint;
mod gbnf;
mod language;
mod narrow;
mod quote;
mod rules;
mod supported;

use std::fmt;
use std::sync::{Arc, OnceLock};

use llguidance::api::{GrammarWithLexer, TopLevelGrammar};
use llguidance::toktrie::{ApproximateTokEnv, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use message::{Failure, Grammar};
use serde_json::Value;

use crate::tools::Syntax;
use crate::vocabulary::{Token, Vocabulary};
pub(crate) use constraint::Constraint;
pub(crate) use rules::Before;
use rules::rules;

/// Stack of the thread that compiles: grammars nest as deep as their writers like, within
/// their largest size. Only what is used of it is ever memory.
const STACK_BYTES: usize = 64 << 20;
/// States of the automaton that reads an answer's words, each 1 to 2 kB of memory.
const MAX_LEXER_STATES: usize = 50_000;

/// What an answer must be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape<'a> {
    /// Text of this form.
    Text(Form<'a>),
    /// Calls of these tools.
    Calls {
        tools: &'a [CallSchema<'a>],
        /// More than one may be called.
        several: bool,
    },
    /// Either.
    TextOrCalls { text: Form<'a>, tools: &'a [CallSchema<'a>], several: bool },
    /// What follows the mark that announces calls; nothing is said of what comes after.
    RestOfCalls { tools: &'a [CallSchema<'a>], several: bool },
}

/// The form of a text.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form<'a> {
    /// JSON of this schema.
    Json(&'a Value),
    /// What this grammar describes.
    Grammar(&'a Grammar),
}

/// How an answer is constrained.
#[derive(Debug, Default)]
pub(crate) enum Rules {
    /// Not at all.
    #[default]
    Free,
    /// From its first token to its last.
    Whole(Constraint),
    /// Wherever a tool call begins, from its mark to its end.
    Calls {
        /// Followed afresh by each call.
        call: Constraint,
        /// A call ends the answer.
        last: bool,
    },
}

/// All that decides on an answer's rules.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub(crate) shape: Shape<'a>,
    /// How the model writes calls.
    pub(crate) syntax: Syntax,
    /// What may come first.
    pub(crate) before: Before,
}

/// A tool and the schema of its arguments.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallSchema<'a> {
    pub(crate) name: &'a str,
    pub(crate) schema: Option<&'a Value>,
    /// The language of its one argument, a text named `input`.
    pub(crate) input: Option<&'a Grammar>,
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

    /// The constraint of an answer.
    pub(crate) fn compile(&self, ask: Ask<'_>) -> Result<Constraint, Failure> {
        let written = rules(ask)?;
        let factory = self.factory.get_or_init(|| factory(&self.vocabulary).map_err(|e| e.to_string()));
        let factory = factory.as_ref().map_err(|error| Failure::internal(error.clone()))?;
        let mut grammars = vec![GrammarWithLexer::from_lark(written.text)];
        grammars.extend(written.languages);
        let top = TopLevelGrammar { grammars, max_tokens: None };
        let matcher = std::thread::scope(|scope| {
            let compile = || Matcher::new(factory.create_parser(top));
            let thread = std::thread::Builder::new().name("grammar".to_owned()).stack_size(STACK_BYTES);
            let thread = thread.spawn_scoped(scope, compile).map_err(Failure::internal)?;
            thread.join().map_err(|_| Failure::internal("the compiler of grammars panicked"))
        })?;
        match matcher.get_error() {
            None => Ok(Constraint::new(matcher, written.can_close)),
            Some(error) => Err(Failure::invalid(format!(
                "the JSON schema or grammar cannot be followed: {}; simplify it or leave it out",
                in_short(&error)
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
        let limits = factory.limits_mut();
        limits.max_lexer_states = MAX_LEXER_STATES;
        limits.verbose_errors = false;
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

/// The first line of an error, and the last of a regular expression's: what stands
/// between draws where it is.
fn in_short(error: &str) -> String {
    let first = error.lines().next().unwrap_or_default();
    match error.lines().rfind(|line| line.starts_with("error: ")) {
        Some(last) => format!("{first} {last}"),
        None => first.to_owned(),
    }
}

#[cfg(test)]
mod languages;
#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;
