//! [`Event`]s → what a Cohere client reads: a stream of events, a whole chat, vectors, a
//! ranking.
//!
//! Content and tool calls are counted apart in this dialect, and each event carries its
//! place, so blocks may interleave. Source: the `Chat…Event` types and `V2ChatResponse` of
//! `cohere` 7.3.1, read 2026-11-22.

use std::collections::HashMap;

use http::{HeaderName, HeaderValue, StatusCode, header};
use message::{
    BlockHead, BlockKind, Call, Completion, Delta, EmbedInput, Event, Failure, FinishReason, Operation,
    TokenLogprob, Usage,
};
use serde_json::{Map, Value, json};

use super::{embed, rerank, wire};
use crate::framing::sse;
use crate::{ReplyEncoder, Whole, json};

/// The encoder of a call's reply.
pub fn encoder(call: &Call) -> Box<dyn ReplyEncoder> {
    Box::new(Encoder {
        call: call.clone(),
        id: call.id.to_string(),
        started: false,
        open: HashMap::new(),
        contents: 0,
        calls: 0,
        usage: Usage::default(),
        finish: None,
    })
}

struct Encoder {
    call: Call,
    id: String,
    started: bool,
    /// The hub's place of a block → its kind and place here.
    open: HashMap<u32, (Kind, u32)>,
    contents: u32,
    calls: u32,
    usage: Usage,
    finish: Option<FinishReason>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Call,
}

impl ReplyEncoder for Encoder {
    fn stream_headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        vec![
            (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8")),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ]
    }

    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id } => {
                if let Some(id) = id {
                    self.id = id;
                }
                self.start(out);
            }
            Event::BlockStart { index, block } => self.begin(index, block, out),
            Event::Delta { index, delta } => self.delta(index, delta, out),
            Event::BlockStop { index } => self.stop(index, out),
            Event::Usage(usage) => self.usage = usage,
            Event::Finish { reason, .. } => self.finish = Some(reason),
            Event::Embedding(_) | Event::Ranking(_) | Event::Choice { .. } | Event::Frame(_) => {}
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.start(out);
        let mut open: Vec<u32> = self.open.keys().copied().collect();
        open.sort_unstable();
        open.into_iter().for_each(|index| self.stop(index, out));
        let reason = self.finish.take().unwrap_or(FinishReason::EndTurn);
        let delta = json!({"finish_reason": wire::finish_word(&reason), "usage": wire::usage(&self.usage)});
        write(out, "message-end", json!({"id": self.id, "delta": delta}));
        sse::write_event(out, None, b"[DONE]");
    }

    fn failure(&mut self, failure: &Failure, out: &mut Vec<u8>) {
        let delta = json!({"finish_reason": "ERROR", "error": failure.message});
        write(out, "message-end", json!({"id": self.id, "delta": delta}));
        sse::write_event(out, None, b"[DONE]");
    }

    fn whole(&mut self, completion: Completion) -> Whole {
        let body = match self.call.operation {
            Operation::Embed => embed::reply(&self.id, &completion, self.texts()),
            Operation::Rerank => rerank::reply(&self.call, &self.id, &completion),
            // This dialect counts nothing.
            Operation::Chat | Operation::CountTokens => json::bytes(&self.chat(completion)),
        };
        let headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        Whole { status: StatusCode::OK, headers, body }
    }
}

impl Encoder {
    fn start(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let message =
            json!({"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []});
        write(out, "message-start", json!({"id": self.id, "delta": {"message": message}}));
    }

    fn begin(&mut self, index: u32, block: BlockHead, out: &mut Vec<u8>) {
        self.start(out);
        let (kind, head) = match block {
            BlockHead::Text | BlockHead::Refusal => (Kind::Text, json!({"type": "text", "text": ""})),
            BlockHead::Thinking => (Kind::Thinking, json!({"type": "thinking", "thinking": ""})),
            BlockHead::ToolUse { id, name } => {
                let place = self.calls;
                self.calls += 1;
                self.open.insert(index, (Kind::Call, place));
                let call = json!({"id": id, "type": "function", "function": {"name": name, "arguments": ""}});
                let delta = json!({"message": {"tool_calls": call}});
                write(out, "tool-call-start", json!({"index": place, "delta": delta}));
                return;
            }
            BlockHead::RedactedThinking(_) | BlockHead::Opaque { .. } => return,
        };
        let place = self.contents;
        self.contents += 1;
        self.open.insert(index, (kind, place));
        let delta = json!({"message": {"content": head}});
        write(out, "content-start", json!({"index": place, "delta": delta}));
    }

    fn delta(&mut self, index: u32, delta: Delta, out: &mut Vec<u8>) {
        let Some(&(kind, place)) = self.open.get(&index) else { return };
        match (kind, delta) {
            (Kind::Text, Delta::Text { text, logprobs }) => {
                let delta = json!({"message": {"content": {"text": text}}});
                let mut event = json!({"index": place, "delta": delta});
                if let Some(token) = logprobs.first() {
                    event["logprobs"] = logprob(token);
                }
                write(out, "content-delta", event);
            }
            (Kind::Thinking, Delta::Thinking(text)) => {
                let delta = json!({"message": {"content": {"thinking": text}}});
                write(out, "content-delta", json!({"index": place, "delta": delta}));
            }
            (Kind::Call, Delta::ToolInput(piece)) => {
                let delta = json!({"message": {"tool_calls": {"function": {"arguments": piece}}}});
                write(out, "tool-call-delta", json!({"index": place, "delta": delta}));
            }
            _ => {}
        }
    }

    fn stop(&mut self, index: u32, out: &mut Vec<u8>) {
        match self.open.remove(&index) {
            Some((Kind::Call, place)) => write(out, "tool-call-end", json!({ "index": place })),
            Some((_, place)) => write(out, "content-end", json!({ "index": place })),
            None => {}
        }
    }

    fn chat(&self, completion: Completion) -> Value {
        let (mut content, mut calls) = (Vec::new(), Vec::new());
        for block in completion.content {
            match block.kind {
                BlockKind::Text(text) | BlockKind::Refusal(text) => {
                    content.push(json!({"type": "text", "text": text}));
                }
                BlockKind::Thinking { text, .. } if !text.is_empty() => {
                    content.push(json!({"type": "thinking", "thinking": text}));
                }
                BlockKind::ToolUse { id, name, input, .. } => {
                    let arguments = if input.is_empty() { "{}" } else { &input };
                    let function = json!({"name": name, "arguments": arguments});
                    calls.push(json!({"id": id, "type": "function", "function": function}));
                }
                _ => {}
            }
        }
        let mut message = Map::from_iter([("role".to_owned(), "assistant".into())]);
        if !calls.is_empty() {
            message.insert("tool_calls".to_owned(), calls.into());
        }
        message.insert("content".to_owned(), content.into());
        let reason = completion.finish.unwrap_or(FinishReason::EndTurn);
        let mut body = json!({
            "id": completion.id.as_deref().unwrap_or(&self.id),
            "finish_reason": wire::finish_word(&reason),
            "message": message,
            "usage": wire::usage(&completion.usage),
        });
        if !completion.logprobs.is_empty() {
            body["logprobs"] = completion.logprobs.iter().map(logprob).collect();
        }
        body
    }

    /// The client is told again what it asked.
    fn texts(&self) -> Vec<String> {
        let inputs = self.call.embed().map(|embed| embed.inputs.as_slice()).unwrap_or_default();
        let texts = inputs.iter().filter_map(|input| match input {
            EmbedInput::Text(text) => Some(text.clone()),
            _ => None,
        });
        texts.collect()
    }
}

/// Token ids are the engine's own affair; the SDK wants the field.
fn logprob(token: &TokenLogprob) -> Value {
    json!({"text": String::from_utf8_lossy(&token.token), "token_ids": [], "logprobs": [token.logprob.max(-9999.0)]})
}

/// One event: its type is both its name and a field.
fn write(out: &mut Vec<u8>, kind: &'static str, mut event: Value) {
    event["type"] = kind.into();
    sse::write_event(out, Some(kind), event.to_string().as_bytes());
}
