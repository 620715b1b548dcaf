//! What a model was made for. It does that one thing, and who asks for another is told so.

use message::{Failure, Operation};
use serde::{Deserialize, Serialize};

/// What a model does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Task {
    /// Answers conversations, or goes on with text.
    Chat,
    /// Makes embeddings.
    Embed,
    /// Scores documents against a query.
    Rerank,
}

impl Task {
    /// Whether a model named `name` that does this can be asked for `operation`.
    ///
    /// # Errors
    /// [`Unsupported`](message::ErrorKind::Unsupported): what it does, and whom to ask.
    pub(crate) fn must(self, operation: Operation, name: &str) -> Result<(), Failure> {
        let asked = match operation {
            Operation::Chat | Operation::CountTokens => Self::Chat,
            Operation::Embed => Self::Embed,
            Operation::Rerank => Self::Rerank,
        };
        if asked == self {
            return Ok(());
        }
        let does = match self {
            Self::Chat => "answers conversations",
            Self::Embed => "makes embeddings",
            Self::Rerank => "scores documents against a query",
        };
        let (not, whom) = match asked {
            Self::Chat => ("cannot answer", "a chat model"),
            Self::Embed => ("makes no embeddings", "an embedding model"),
            Self::Rerank => ("does not order documents", "a rerank model"),
        };
        Err(Failure::unsupported(format!("the model {name} {does} and {not}; ask {whom}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_for_another_thing_is_told_whom_to_ask() {
        for (task, operation) in [
            (Task::Chat, Operation::CountTokens),
            (Task::Embed, Operation::Embed),
            (Task::Rerank, Operation::Rerank),
        ] {
            assert!(task.must(operation, "m").is_ok());
        }
        let told = Task::Rerank.must(Operation::Chat, "m").unwrap_err().message.to_string();
        assert_eq!(told, "the model m scores documents against a query and cannot answer; ask a chat model");
    }
}
