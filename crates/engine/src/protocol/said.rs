//! The events that the engine makes, in the form they cross the socket: the vocabulary's
//! own type also holds what only hosted models say, some of it JSON.

use message::{BlockHead, Delta, Event, Failure, FinishReason, Ranked, TokenLogprob, Usage};
use serde::{Deserialize, Serialize};

/// One piece of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Said {
    Start { id: Option<String> },
    TextStart { index: u32 },
    ThinkingStart { index: u32 },
    ToolUseStart { index: u32, id: String, name: String },
    Text { index: u32, text: String, logprobs: Vec<TokenLogprob> },
    Thinking { index: u32, text: String },
    ToolInput { index: u32, text: String },
    BlockStop { index: u32 },
    Embedding(Vec<f32>),
    Ranking(Vec<Ranked>),
    Usage(Usage),
    Finish { reason: FinishReason, stop_sequence: Option<String> },
}

impl Said {
    /// The events of an item.
    ///
    /// # Errors
    /// `Internal`: an event is none of those that the engine makes.
    pub(crate) fn all(events: Vec<Event>) -> Result<Vec<Self>, Failure> {
        events.into_iter().map(Self::try_from).collect()
    }
}

impl TryFrom<Event> for Said {
    type Error = Failure;

    fn try_from(event: Event) -> Result<Self, Failure> {
        Ok(match event {
            Event::Start { id } => Self::Start { id },
            Event::BlockStart { index, block: BlockHead::Text } => Self::TextStart { index },
            Event::BlockStart { index, block: BlockHead::Thinking } => Self::ThinkingStart { index },
            Event::BlockStart { index, block: BlockHead::ToolUse { id, name } } => {
                Self::ToolUseStart { index, id, name }
            }
            Event::Delta { index, delta: Delta::Text { text, logprobs } } => {
                Self::Text { index, text, logprobs }
            }
            Event::Delta { index, delta: Delta::Thinking(text) } => Self::Thinking { index, text },
            Event::Delta { index, delta: Delta::ToolInput(text) } => Self::ToolInput { index, text },
            Event::BlockStop { index } => Self::BlockStop { index },
            Event::Embedding(vector) => Self::Embedding(vector),
            Event::Ranking(ranking) => Self::Ranking(ranking),
            Event::Usage(usage) => Self::Usage(usage),
            Event::Finish { reason, stop_sequence } => Self::Finish { reason, stop_sequence },
            Event::BlockStart {
                block: BlockHead::RedactedThinking(_) | BlockHead::Refusal | BlockHead::Opaque { .. },
                ..
            }
            | Event::Delta { delta: Delta::Signature(_) | Delta::Citation(_) | Delta::Opaque(_), .. }
            | Event::Choice { .. }
            | Event::Frame(_) => {
                return Err(Failure::internal("the engine made an event that is not its own"));
            }
        })
    }
}

impl From<Said> for Event {
    fn from(said: Said) -> Self {
        let begins = |index, block| Self::BlockStart { index, block };
        match said {
            Said::Start { id } => Self::Start { id },
            Said::TextStart { index } => begins(index, BlockHead::Text),
            Said::ThinkingStart { index } => begins(index, BlockHead::Thinking),
            Said::ToolUseStart { index, id, name } => begins(index, BlockHead::ToolUse { id, name }),
            Said::Text { index, text, logprobs } => {
                Self::Delta { index, delta: Delta::Text { text, logprobs } }
            }
            Said::Thinking { index, text } => Self::Delta { index, delta: Delta::Thinking(text) },
            Said::ToolInput { index, text } => Self::Delta { index, delta: Delta::ToolInput(text) },
            Said::BlockStop { index } => Self::BlockStop { index },
            Said::Embedding(vector) => Self::Embedding(vector),
            Said::Ranking(ranking) => Self::Ranking(ranking),
            Said::Usage(usage) => Self::Usage(usage),
            Said::Finish { reason, stop_sequence } => Self::Finish { reason, stop_sequence },
        }
    }
}
