//! How soon an answer is wanted.

use serde::{Deserialize, Serialize};

/// Whether somebody waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
pub enum Priority {
    /// Somebody does: it goes before batch calls.
    #[default]
    Interactive,
    /// Nobody does: it is computed with what the others leave.
    Batch,
}

impl Priority {
    /// The request header that says it for any dialect; it goes before what the body says.
    pub const HEADER: &'static str = "x-outcrop-priority";

    /// The word for it in that header.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Batch => "batch",
        }
    }

    /// What a word in that header means; `None` for another.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Interactive, Self::Batch].into_iter().find(|priority| priority.word() == word)
    }
}
