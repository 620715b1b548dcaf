//! One piece of an answer, as it travels up.
//!
//! Order: [`Event::Start`]; then for each block `BlockStart`, `Delta`s, `BlockStop`
//! (blocks may interleave: deltas carry their block's index); then [`Event::Finish`].
//! [`Event::Usage`] may come anywhere, each replacing the one before. A stream that
//! ends without `Finish` was cut, and whoever encodes it must say so.
//!
//! Where a call asked for several answers ([`Chat::choices`](crate::Chat::choices)), the
//! pieces of the first come bare, those of the others as [`Event::Choice`], interleaved as
//! they are made. `Usage` is always that of all together, and such a stream ends without a
//! failure only when all of them are whole.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Citation, Dialect, Ranked, Usage};

/// One piece of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The answer begins. `id` is the answering server's own id for it, if it gave one.
    Start {
        /// The answer's id.
        id: Option<String>,
    },
    /// A block begins.
    BlockStart {
        /// The block's place in the answer: 0, 1, 2 … in order, without gaps.
        index: u32,
        /// What it is.
        block: BlockHead,
    },
    /// A block grows.
    Delta {
        /// The block's place.
        index: u32,
        /// By what.
        delta: Delta,
    },
    /// A block is whole.
    BlockStop {
        /// The block's place.
        index: u32,
    },
    /// One input's vector ([`Operation::Embed`](crate::Operation::Embed)), in the order of the inputs.
    Embedding(Vec<f32>),
    /// The documents, best first ([`Operation::Rerank`](crate::Operation::Rerank)).
    Ranking(Vec<Ranked>),
    /// Tokens counted so far.
    Usage(Usage),
    /// The answer is whole.
    Finish {
        /// Why it ended.
        reason: FinishReason,
        /// The stop string that ended it.
        stop_sequence: Option<String>,
    },
    /// A piece of a further answer, where several were asked for.
    Choice {
        /// Which: 1, 2, 3 …; the first answer, 0, comes bare.
        index: u32,
        /// The piece; never [`Event::Usage`] or another `Choice`.
        event: Box<Event>,
    },
    /// A piece of the wire, forwarded as it came ([`Form::Home`](crate::Form::Home)).
    Frame(Frame),
}

/// What a beginning block is.
#[derive(Debug, Clone, PartialEq)]
pub enum BlockHead {
    /// Text.
    Text,
    /// Shown reasoning.
    Thinking,
    /// Encrypted reasoning, whole at once.
    RedactedThinking(String),
    /// A tool call; its input follows as JSON text in [`Delta::ToolInput`].
    ToolUse {
        /// Pairs the call with its result.
        id: String,
        /// The tool's name.
        name: String,
    },
    /// A refusal; its words follow as [`Delta::Text`].
    Refusal,
    /// A block only its home dialect understands.
    Opaque {
        /// Whose it is.
        dialect: Dialect,
        /// The block.
        value: Value,
    },
}

/// How a block grows.
#[derive(Debug, Clone, PartialEq)]
pub enum Delta {
    /// Text (of a text or refusal block). Log-probabilities only when asked for.
    Text {
        /// Whole characters, never half of one.
        text: String,
        /// Of the tokens that made `text`; empty unless asked for.
        logprobs: Vec<TokenLogprob>,
    },
    /// Reasoning.
    Thinking(String),
    /// The seal of the reasoning.
    Signature(String),
    /// A piece of a tool call's arguments: JSON text, cut anywhere.
    ToolInput(String),
    /// A place that the text so far, or the part of it that the citation names, rests on.
    Citation(Box<Citation>),
    /// Something only its home dialect understands.
    Opaque(Value),
}

impl Delta {
    /// Text without log-probabilities.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into(), logprobs: Vec::new() }
    }
}

/// A chosen token and how likely it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TokenLogprob {
    /// The token's own bytes (may be part of a character).
    pub token: Vec<u8>,
    /// Natural logarithm of its probability.
    pub logprob: f32,
    /// The likeliest tokens at this place, likeliest first.
    pub top: Vec<TopLogprob>,
}

/// A token that could have been chosen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopLogprob {
    /// The token's own bytes.
    pub token: Vec<u8>,
    /// Natural logarithm of its probability.
    pub logprob: f32,
}

/// Why an answer ended: the union of the vendors' words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum FinishReason {
    /// The model was done.
    EndTurn,
    /// `max_tokens` was reached.
    MaxTokens,
    /// A stop string appeared.
    StopSequence,
    /// The model calls a tool and waits for the result.
    ToolUse,
    /// The model declined.
    Refusal,
    /// The vendor's filter cut it.
    ContentFilter,
    /// A guardrail cut it.
    Guardrail,
    /// A long-running turn was paused; send it back to go on (Anthropic).
    PauseTurn,
    /// The context window is full.
    ContextWindow,
    /// The model's tool call could not be read.
    MalformedToolUse,
    /// A reason this version does not know, in the vendor's word.
    Other(String),
}

/// A piece of the wire and what a light scan saw in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// The bytes, untouched.
    pub bytes: Bytes,
    /// What the scan saw, for the layers that count.
    pub seen: Option<Box<Seen>>,
}

/// What a scan of forwarded bytes saw.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// Tokens counted so far.
    pub usage: Option<Usage>,
    /// Why the answer ended.
    pub finish: Option<FinishReason>,
}
