//! Constrained output: what an answer may say, token by token, so that even a small
//! model's tool call or JSON is valid. `rules` says what, llguidance follows it.

mod narrow;
mod rules;

use std::fmt;
use std::sync::{Arc, OnceLock};

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{ApproximateTokEnv, SimpleVob, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use message::Failure;
use serde_json::Value;

use crate::tools::Syntax;
use crate::vocabulary::{Token, Vocabulary};
pub(crate) use rules::Before;
use rules::rules;

/// What an answer must be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Shape<'a> {
    /// JSON of this schema.
    Json(&'a Value),
    /// Calls of these tools.
    Calls {
        tools: &'a [CallSchema<'a>],
        /// More than one may be called.
        several: bool,
    },
    /// Either.
    JsonOrCalls { json: &'a Value, tools: &'a [CallSchema<'a>], several: bool },
    /// What follows the mark that announces calls; nothing is said of what comes after.
    RestOfCalls { tools: &'a [CallSchema<'a>], several: bool },
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
        let lark = rules(ask)?;
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

    /// Takes note of text that was written before it was asked. Tells whether all of it
    /// is allowed; if not, the constraint is of no more use.
    pub(crate) fn accept_text(&mut self, text: &str) -> bool {
        let Ok(environment) = self.matcher.tok_env() else { return false };
        let tokens = environment.tok_trie().greedy_tokenize(text.as_bytes());
        let accepted = self.matcher.try_consume_tokens(&tokens);
        accepted.is_ok_and(|accepted| accepted == tokens.len())
    }

    /// The same constraint, for another place of the answer.
    pub(crate) fn fresh(&self) -> Self {
        Self { matcher: self.matcher.deep_clone() }
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
