//! A whole answer, gathered from its events: what a non-streaming reply is made of.

use crate::{
    Block, BlockHead, BlockKind, Delta, Event, Extra, FinishReason, Ranked, TokenLogprob, ToolOrigin, Usage,
};

/// A whole answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Completion {
    /// The answering server's own id for it.
    pub id: Option<String>,
    /// The blocks, by index.
    pub content: Vec<Block>,
    /// Log-probabilities of the text, in order; empty unless asked for.
    pub logprobs: Vec<TokenLogprob>,
    /// The inputs' vectors, in order; empty unless embeddings were asked for.
    pub embeddings: Vec<Vec<f32>>,
    /// The documents, best first; empty unless a ranking was asked for.
    pub ranking: Vec<Ranked>,
    /// Why it ended; `None` while it has not.
    pub finish: Option<FinishReason>,
    /// The stop string that ended it.
    pub stop_sequence: Option<String>,
    /// Tokens counted, those of `others` included.
    pub usage: Usage,
    /// The further answers, where several were asked for; each without a count of its own.
    pub others: Vec<Completion>,
}

impl Completion {
    /// Takes in one event. [`Event::Frame`]s are not for here and are ignored, as are
    /// deltas for a block that never began.
    pub fn push(&mut self, event: Event) {
        match event {
            Event::Start { id } => self.id = id,
            Event::BlockStart { index, block } => {
                debug_assert_eq!(index as usize, self.content.len(), "block indexes have no gaps");
                self.content.push(Block::new(begin(block)));
            }
            Event::Delta { index, delta } => {
                if let Some(block) = self.content.get_mut(index as usize) {
                    grow(block, delta, &mut self.logprobs);
                }
            }
            Event::Embedding(vector) => self.embeddings.push(vector),
            Event::Ranking(ranking) => self.ranking = ranking,
            Event::BlockStop { .. } | Event::Frame(_) => {}
            Event::Usage(usage) => self.usage = usage,
            Event::Choice { index: 0, event } => self.push(*event),
            Event::Choice { index, event } => {
                let others = self.others.len().max(index as usize);
                self.others.resize_with(others, Self::default);
                self.others[index as usize - 1].push(*event);
            }
            Event::Finish { reason, stop_sequence } => {
                self.finish = Some(reason);
                self.stop_sequence = stop_sequence;
            }
        }
    }
}

fn begin(head: BlockHead) -> BlockKind {
    match head {
        BlockHead::Text => BlockKind::Text(String::new()),
        BlockHead::Thinking => BlockKind::Thinking { text: String::new(), signature: None },
        BlockHead::RedactedThinking(data) => BlockKind::RedactedThinking(data),
        BlockHead::ToolUse { id, name } => {
            BlockKind::ToolUse { id, name, input: String::new(), origin: ToolOrigin::Client }
        }
        BlockHead::Refusal => BlockKind::Refusal(String::new()),
        BlockHead::Opaque { dialect, value } => BlockKind::Opaque { dialect, value },
    }
}

fn grow(block: &mut Block, delta: Delta, all_logprobs: &mut Vec<TokenLogprob>) {
    match (&mut block.kind, delta) {
        (BlockKind::Text(text) | BlockKind::Refusal(text), Delta::Text { text: more, logprobs }) => {
            text.push_str(&more);
            all_logprobs.extend(logprobs);
        }
        (BlockKind::Thinking { text, .. }, Delta::Thinking(more)) => text.push_str(&more),
        (BlockKind::Thinking { signature, .. }, Delta::Signature(seal)) => {
            signature.get_or_insert_default().push_str(&seal);
        }
        (BlockKind::ToolUse { input, .. }, Delta::ToolInput(more)) => input.push_str(&more),
        (BlockKind::Text(_), Delta::Citation(citation)) => block.citations.push(*citation),
        (_, Delta::Opaque(value)) => extend(&mut block.extra, value),
        _ => {}
    }
}

/// Opaque deltas of one kind gather in a list under `deltas`.
fn extend(extra: &mut Extra, value: serde_json::Value) {
    if let serde_json::Value::Array(deltas) =
        extra.entry("deltas").or_insert_with(|| serde_json::Value::Array(Vec::new()))
    {
        deltas.push(value);
    }
}
