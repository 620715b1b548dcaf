//! One answer of a reply: the only one, or one of those that were asked for.

use std::collections::HashMap;
use std::mem;

use message::{
    Block, BlockHead, BlockKind, Completion, Delta, Dialect, Event, FinishReason, TokenLogprob, ToolOrigin,
};
use serde_json::{Map, Value, json};

use super::super::grounding::Grounding;
use super::super::names::object_args;
use super::super::{seal, wire};
use super::chunk::{Chunks, TextPart};

/// The least log-probability written: JSON has no infinity.
const LOGPROB_MIN: f32 = -9999.0;

/// Most citations of one block that are kept until it ends.
const CITATIONS_MAX: usize = 256;

/// An answer under way.
pub(super) struct Candidate {
    index: u32,
    /// Blocks whose end has not come, and where in the text they begin.
    blocks: HashMap<u32, (Block, usize)>,
    /// Text written, in bytes.
    said_bytes: usize,
    /// What it rests on: told at the end.
    grounding: Grounding,
    /// Gemini's own seal on the part that comes next.
    seal: Option<String>,
    finish: Option<FinishReason>,
}

impl Candidate {
    pub(super) fn new(index: u32) -> Self {
        Self {
            index,
            blocks: HashMap::new(),
            said_bytes: 0,
            grounding: Grounding::default(),
            seal: None,
            finish: None,
        }
    }

    pub(super) fn event(&mut self, event: Event, chunks: &mut Chunks, out: &mut Vec<u8>) {
        match event {
            Event::BlockStart { index, block } => {
                self.blocks.insert(index, (begin(block), self.said_bytes));
            }
            Event::Delta { index, delta } => self.delta(index, delta, chunks, out),
            Event::BlockStop { index } => {
                if let Some((block, start)) = self.blocks.remove(&index) {
                    self.stop(block, start, chunks, out);
                }
            }
            Event::Finish { reason, .. } => self.finish = Some(reason),
            Event::Start { .. }
            | Event::Usage(_)
            | Event::Embedding(_)
            | Event::Ranking(_)
            | Event::Choice { .. }
            | Event::Frame(_) => {}
        }
    }

    /// Text and thoughts go out as they come; the rest waits for its end.
    fn delta(&mut self, index: u32, delta: Delta, chunks: &mut Chunks, out: &mut Vec<u8>) {
        let Some((block, _)) = self.blocks.get_mut(&index) else { return };
        match (&mut block.kind, delta) {
            (BlockKind::Text(_), Delta::Citation(citation)) if block.citations.len() < CITATIONS_MAX => {
                block.citations.push(*citation);
            }
            (BlockKind::Text(_) | BlockKind::Refusal(_), Delta::Text { text, logprobs: tokens }) => {
                self.said_bytes += text.len();
                let seal = self.seal.take();
                let part = TextPart { text: &text, thought: None, seal: seal.as_deref() };
                let logprobs = (!tokens.is_empty()).then(|| logprobs(&tokens));
                chunks.write_text(self.index, part, logprobs, out);
            }
            (BlockKind::Thinking { text, .. }, Delta::Thinking(more)) => {
                // What was shown is only marked: the seal needs to know that there was some.
                text.push('.');
                text.truncate(1);
                let part = TextPart { text: &more, thought: Some(true), seal: None };
                chunks.write_text(self.index, part, None, out);
            }
            (BlockKind::Thinking { signature, .. }, Delta::Signature(more)) => {
                signature.get_or_insert_default().push_str(&more);
            }
            (BlockKind::ToolUse { input, .. }, Delta::ToolInput(more)) => input.push_str(&more),
            _ => {}
        }
    }

    /// Ends what is still open, in order.
    pub(super) fn stop_all(&mut self, chunks: &mut Chunks, out: &mut Vec<u8>) {
        let mut open: Vec<(u32, (Block, usize))> = self.blocks.drain().collect();
        open.sort_by_key(|(index, _)| *index);
        open.into_iter().for_each(|(_, (block, start))| self.stop(block, start, chunks, out));
    }

    fn stop(&mut self, block: Block, start: usize, chunks: &mut Chunks, out: &mut Vec<u8>) {
        self.grounding.add(&block.citations, start..self.said_bytes, None);
        let part = match block.kind {
            BlockKind::Thinking { text, signature: Some(travelled) } => {
                if let (true, Some(own)) = (text.is_empty(), seal::for_server(&travelled)) {
                    self.seal = Some(own.to_owned());
                    return;
                }
                thought("", Some(&travelled))
            }
            BlockKind::Text(_) | BlockKind::Refusal(_) | BlockKind::Thinking { .. } => return,
            _ => match part(block, &mut self.seal) {
                Some(part) => part,
                None => return,
            },
        };
        let content = json!({"parts": [part], "role": "model"});
        let chunk = json!({
            "candidates": [{"content": content, "index": self.index}],
            "modelVersion": chunks.model,
            "responseId": chunks.id,
        });
        chunks.write(out, &chunk);
    }

    /// What the stream's last chunk says of it.
    pub(super) fn end(&mut self) -> Value {
        let part = match self.seal.take() {
            Some(seal) => json!({"text": "", "thoughtSignature": seal}),
            None => json!({"text": ""}),
        };
        let reason = self.finish.take().unwrap_or(FinishReason::EndTurn);
        let mut candidate = candidate(self.index, vec![part], &reason);
        if let Some(grounding) = mem::take(&mut self.grounding).finish() {
            candidate["groundingMetadata"] = grounding;
        }
        candidate
    }
}

/// A whole answer.
pub(super) fn whole(index: u32, completion: Completion) -> Value {
    let Completion { content, logprobs: tokens, finish, .. } = completion;
    let (mut parts, mut grounding) = (Vec::with_capacity(content.len()), Grounding::default());
    let mut seal = None;
    for block in content {
        let bytes = block.as_text().map_or(0, str::len);
        grounding.add(&block.citations, 0..bytes, Some(parts.len()));
        parts.extend(part(block, &mut seal));
    }
    if let Some(seal) = seal {
        parts.push(json!({"text": "", "thoughtSignature": seal}));
    }
    let reason = finish.unwrap_or(FinishReason::EndTurn);
    let mut candidate = candidate(index, parts, &reason);
    if !tokens.is_empty() {
        candidate["logprobsResult"] = logprobs(&tokens);
    }
    if let Some(grounding) = grounding.finish() {
        candidate["groundingMetadata"] = grounding;
    }
    candidate
}

fn candidate(index: u32, parts: Vec<Value>, reason: &FinishReason) -> Value {
    let mut candidate = json!({
        "content": {"parts": parts, "role": "model"},
        "finishReason": wire::finish_word(reason),
        "index": index,
    });
    if let FinishReason::Other(word) = reason {
        candidate["finishMessage"] = word.as_str().into();
    }
    candidate
}

/// A whole block as a part; `None` for what only other dialects understand. Gemini's own
/// seal waits in `next_seal` for the part that it belongs to.
fn part(block: Block, next_seal: &mut Option<String>) -> Option<Value> {
    let mut part = match block.kind {
        BlockKind::Text(text) | BlockKind::Refusal(text) => json!({ "text": text }),
        BlockKind::Thinking { text, signature } => {
            if let (true, Some(own)) = (text.is_empty(), signature.as_deref().and_then(seal::for_server)) {
                *next_seal = Some(own.to_owned());
                return None;
            }
            return Some(thought(&text, signature.as_deref()));
        }
        BlockKind::RedactedThinking(data) => {
            return Some(json!({
                "text": "", "thought": true, "thoughtSignature": seal::redacted_for_client(&data),
            }));
        }
        BlockKind::ToolUse { id, name, input, .. } => {
            json!({"functionCall": {"id": id, "name": name, "args": object_args(&input)}})
        }
        BlockKind::Opaque { dialect: Dialect::Gemini, value } => value,
        _ => return None,
    };
    if let (Some(seal), Some(part)) = (next_seal.take(), part.as_object_mut()) {
        part.insert("thoughtSignature".to_owned(), seal.into());
    }
    Some(part)
}

fn begin(head: BlockHead) -> Block {
    Block::new(match head {
        BlockHead::Text => BlockKind::Text(String::new()),
        BlockHead::Refusal => BlockKind::Refusal(String::new()),
        BlockHead::Thinking => BlockKind::Thinking { text: String::new(), signature: None },
        BlockHead::RedactedThinking(data) => BlockKind::RedactedThinking(data),
        BlockHead::ToolUse { id, name } => {
            BlockKind::ToolUse { id, name, input: String::new(), origin: ToolOrigin::Client }
        }
        BlockHead::Opaque { dialect, value } => BlockKind::Opaque { dialect, value },
    })
}

fn thought(text: &str, signature: Option<&str>) -> Value {
    let mut part = Map::new();
    part.insert("text".to_owned(), text.into());
    part.insert("thought".to_owned(), true.into());
    if let Some(travelled) = signature.filter(|seal| !seal.is_empty()) {
        part.insert("thoughtSignature".to_owned(), seal::for_client(travelled).into());
    }
    part.into()
}

fn logprobs(tokens: &[TokenLogprob]) -> Value {
    let one = |token: &[u8], logprob: f32| json!({"token": String::from_utf8_lossy(token), "logProbability": logprob.max(LOGPROB_MIN)});
    let chosen: Vec<Value> = tokens.iter().map(|token| one(&token.token, token.logprob)).collect();
    let top = tokens.iter().map(|token| {
        let all: Vec<Value> = token.top.iter().map(|top| one(&top.token, top.logprob)).collect();
        json!({ "candidates": all })
    });
    json!({"topCandidates": top.collect::<Vec<_>>(), "chosenCandidates": chosen})
}
