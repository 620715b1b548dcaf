//! A language that a text must be of, as servers of open models are asked for it.

use serde::{Deserialize, Serialize};

/// A language that a text must be of, from its first character to its last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Grammar {
    /// A regular expression, in Rust's notation (without look-around or back-references).
    Regex(String),
    /// A context-free grammar as the Lark parser writes it; it begins at `start`.
    Lark(String),
    /// A context-free grammar as llama.cpp writes it (GBNF); it begins at `root`.
    Gbnf(String),
    /// One of these texts.
    Choice(Vec<String>),
}

impl Grammar {
    /// A context-free grammar in whichever of the two notations it is: only GBNF writes `::=`.
    pub fn context_free(definition: String) -> Self {
        if definition.contains("::=") { Self::Gbnf(definition) } else { Self::Lark(definition) }
    }
}
