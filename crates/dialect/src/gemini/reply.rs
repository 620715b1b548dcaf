//! [`Event`]s → what a Gemini client reads: chunks (as events, or as items of one array), a
//! whole response, a token count, vectors.
//!
//! Function calls are whole in this dialect: arguments are gathered and go out when their
//! block ends. Every chunk has the shape of a whole response; the last one says why the
//! answer ended and what it cost.

use std::collections::HashMap;
use std::mem;

use http::{HeaderName, HeaderValue, StatusCode, header};
use message::{
    Block, BlockHead, BlockKind, Call, Completion, Delta, Dialect, Event, Failure, FinishReason, Operation,
    TokenLogprob, ToolOrigin, Usage,
};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::door::wants_array;
use super::grounding::Grounding;
use super::names::object_args;
use super::{embed, error, seal, wire};
use crate::{ReplyEncoder, Whole, json};

/// The least log-probability written: JSON has no infinity.
const LOGPROB_MIN: f32 = -9999.0;

/// Most citations of one block that are kept until it ends.
const CITATIONS_MAX: usize = 256;

/// The encoder of a call's reply.
pub fn encoder(call: &Call) -> Box<dyn ReplyEncoder> {
    Box::new(Encoder {
        operation: call.operation,
        is_batch: call.operation == Operation::Embed && call.embed().is_ok_and(embed::is_batch),
        array: wants_array(&call.headers),
        identity: Identity { id: call.id.as_str().replace('-', ""), model: call.head.model.clone() },
        encoded: None,
        blocks: HashMap::new(),
        said_bytes: 0,
        grounding: Grounding::default(),
        seal: None,
        usage: Usage::default(),
        finish: None,
    })
}

struct Encoder {
    operation: Operation,
    is_batch: bool,
    /// A stream is one array.
    array: bool,
    identity: Identity,
    /// Chunks written; `None` while this encoder was asked for none.
    encoded: Option<u64>,
    /// Blocks whose end has not come, and where in the text they begin.
    blocks: HashMap<u32, (Block, usize)>,
    /// Text written, in bytes.
    said_bytes: usize,
    /// What it rests on: told at the end.
    grounding: Grounding,
    /// Gemini's own seal on the part that comes next.
    seal: Option<String>,
    usage: Usage,
    finish: Option<FinishReason>,
}

/// What every chunk, or the whole response, says of itself.
struct Identity {
    id: String,
    model: String,
}

impl ReplyEncoder for Encoder {
    fn stream_headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let kind = if self.array { "application/json; charset=UTF-8" } else { "text/event-stream" };
        vec![
            (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ]
    }

    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        self.encoded.get_or_insert(0);
        match event {
            Event::Start { id } => {
                if let Some(id) = id {
                    self.identity.id = id;
                }
            }
            Event::BlockStart { index, block } => {
                self.blocks.insert(index, (begin(block), self.said_bytes));
            }
            Event::Delta { index, delta } => self.delta(index, delta, out),
            Event::BlockStop { index } => {
                if let Some((block, start)) = self.blocks.remove(&index) {
                    self.stop(block, start, out);
                }
            }
            Event::Usage(usage) => self.usage = usage,
            Event::Finish { reason, .. } => self.finish = Some(reason),
            Event::Embedding(_) | Event::Ranking(_) | Event::Frame(_) => {}
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        let mut open: Vec<(u32, (Block, usize))> = self.blocks.drain().collect();
        open.sort_by_key(|(index, _)| *index);
        open.into_iter().for_each(|(_, (block, start))| self.stop(block, start, out));
        let part = match self.seal.take() {
            Some(seal) => json!({"text": "", "thoughtSignature": seal}),
            None => json!({"text": ""}),
        };
        let reason = self.finish.take().unwrap_or(FinishReason::EndTurn);
        let mut chunk = response(&self.identity, vec![part], &reason, &self.usage);
        if let Some(grounding) = mem::take(&mut self.grounding).finish() {
            chunk["candidates"][0]["groundingMetadata"] = grounding;
        }
        self.write(out, &chunk);
        if self.array {
            out.extend_from_slice(b"]");
        }
    }

    fn failure(&mut self, failure: &Failure, out: &mut Vec<u8>) {
        // A forwarded stream has begun without this encoder.
        self.encoded.get_or_insert(1);
        self.write(out, &error::object(failure));
        if self.array {
            out.extend_from_slice(b"]");
        }
    }

    fn whole(&mut self, completion: Completion) -> Whole {
        let body = match self.operation {
            Operation::CountTokens => {
                let usage = completion.usage;
                let mut count = json!({"totalTokens": usage.total_input()});
                if usage.cache_read_tokens > 0 {
                    count["cachedContentTokenCount"] = usage.cache_read_tokens.into();
                }
                json::bytes(&count)
            }
            Operation::Embed => embed::reply(&completion, self.is_batch),
            // This dialect ranks nothing.
            Operation::Chat | Operation::Rerank => json::bytes(&self.message(completion)),
        };
        let headers =
            vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"))];
        Whole { status: StatusCode::OK, headers, body }
    }
}

impl Encoder {
    /// Text and thoughts go out as they come; the rest waits for its end.
    fn delta(&mut self, index: u32, delta: Delta, out: &mut Vec<u8>) {
        let Some((block, _)) = self.blocks.get_mut(&index) else { return };
        match (&mut block.kind, delta) {
            (BlockKind::Text(_), Delta::Citation(citation)) if block.citations.len() < CITATIONS_MAX => {
                block.citations.push(*citation);
            }
            (BlockKind::Text(_) | BlockKind::Refusal(_), Delta::Text { text, logprobs }) => {
                self.said_bytes += text.len();
                let seal = self.seal.take();
                let part = TextPart { text: &text, thought: None, seal: seal.as_deref() };
                self.piece(part, &logprobs, out);
            }
            (BlockKind::Thinking { text, .. }, Delta::Thinking(more)) => {
                // What was shown is only marked: the seal needs to know that there was some.
                text.push('.');
                text.truncate(1);
                self.piece(TextPart { text: &more, thought: Some(true), seal: None }, &[], out);
            }
            (BlockKind::Thinking { signature, .. }, Delta::Signature(more)) => {
                signature.get_or_insert_default().push_str(&more);
            }
            (BlockKind::ToolUse { input, .. }, Delta::ToolInput(more)) => input.push_str(&more),
            _ => {}
        }
    }

    fn piece(&mut self, part: TextPart<'_>, tokens: &[TokenLogprob], out: &mut Vec<u8>) {
        let Identity { id, model } = &self.identity;
        let content = Content { parts: [part], role: "model" };
        let logprobs_result = (!tokens.is_empty()).then(|| logprobs(tokens));
        let candidates = [Candidate { content, index: 0, logprobs_result }];
        let chunk = Chunk { candidates, model_version: model, response_id: id };
        write_chunk(self.array, &mut self.encoded, out, &chunk);
    }

    fn stop(&mut self, block: Block, start: usize, out: &mut Vec<u8>) {
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
            _ => match self.part(block) {
                Some(part) => part,
                None => return,
            },
        };
        let Identity { id, model } = &self.identity;
        let content = json!({"parts": [part], "role": "model"});
        let chunk = json!({
            "candidates": [{"content": content, "index": 0}], "modelVersion": model, "responseId": id,
        });
        self.write(out, &chunk);
    }

    fn write(&mut self, out: &mut Vec<u8>, chunk: &impl Serialize) {
        write_chunk(self.array, &mut self.encoded, out, chunk);
    }

    fn message(&mut self, completion: Completion) -> Value {
        let Completion { id, content, logprobs: tokens, finish, usage, .. } = completion;
        if let Some(id) = id {
            self.identity.id = id;
        }
        let (mut parts, mut grounding) = (Vec::with_capacity(content.len()), Grounding::default());
        for block in content {
            let bytes = block.as_text().map_or(0, str::len);
            grounding.add(&block.citations, 0..bytes, Some(parts.len()));
            parts.extend(self.part(block));
        }
        if let Some(seal) = self.seal.take() {
            parts.push(json!({"text": "", "thoughtSignature": seal}));
        }
        let reason = finish.unwrap_or(FinishReason::EndTurn);
        let mut message = response(&self.identity, parts, &reason, &usage);
        if !tokens.is_empty() {
            message["candidates"][0]["logprobsResult"] = logprobs(&tokens);
        }
        if let Some(grounding) = grounding.finish() {
            message["candidates"][0]["groundingMetadata"] = grounding;
        }
        message
    }

    /// A whole block as a part; `None` for what only other dialects understand.
    fn part(&mut self, block: Block) -> Option<Value> {
        let mut part = match block.kind {
            BlockKind::Text(text) | BlockKind::Refusal(text) => json!({ "text": text }),
            BlockKind::Thinking { text, signature } => {
                if let (true, Some(own)) = (text.is_empty(), signature.as_deref().and_then(seal::for_server))
                {
                    self.seal = Some(own.to_owned());
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
        if let (Some(seal), Some(part)) = (self.seal.take(), part.as_object_mut()) {
            part.insert("thoughtSignature".to_owned(), seal.into());
        }
        Some(part)
    }
}

/// One chunk, framed.
fn write_chunk(array: bool, encoded: &mut Option<u64>, out: &mut Vec<u8>, chunk: &impl Serialize) {
    let count = encoded.get_or_insert(0);
    let (before, after): (&[u8], &[u8]) = match (array, *count) {
        (false, _) => (b"data: ", b"\r\n\r\n"),
        (true, 0) => (b"[", b""),
        (true, _) => (b",\r\n", b""),
    };
    *count += 1;
    out.extend_from_slice(before);
    json::write(out, chunk);
    out.extend_from_slice(after);
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

/// A whole response, or the last chunk of a stream.
fn response(identity: &Identity, parts: Vec<Value>, reason: &FinishReason, usage: &Usage) -> Value {
    let mut candidate = json!({
        "content": {"parts": parts, "role": "model"},
        "finishReason": wire::finish_word(reason),
        "index": 0,
    });
    if let FinishReason::Other(word) = reason {
        candidate["finishMessage"] = word.as_str().into();
    }
    json!({
        "candidates": [candidate],
        "usageMetadata": wire::usage(usage),
        "modelVersion": identity.model,
        "responseId": identity.id,
    })
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

/// A chunk of text, written without a tree.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Chunk<'a> {
    candidates: [Candidate<'a>; 1],
    model_version: &'a str,
    response_id: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Candidate<'a> {
    content: Content<'a>,
    index: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs_result: Option<Value>,
}

#[derive(Serialize)]
struct Content<'a> {
    parts: [TextPart<'a>; 1],
    role: &'static str,
}

#[derive(Serialize)]
struct TextPart<'a> {
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    thought: Option<bool>,
    #[serde(rename = "thoughtSignature", skip_serializing_if = "Option::is_none")]
    seal: Option<&'a str>,
}
