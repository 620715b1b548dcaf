//! [`Event`]s → what an Ollama client reads: lines of JSON, or one object.
//!
//! Calls of tools are whole in this dialect: arguments are gathered and go out when their
//! block ends. The last line counts tokens and time. Source: `ChatResponse`,
//! `GenerateResponse` and `EmbedResponse` of `ollama` 0.6.3, read 2026-11-22.

use std::collections::HashMap;
use std::time::{Instant, SystemTime};

use http::{HeaderName, HeaderValue, StatusCode, header};
use message::{
    BlockHead, BlockKind, Call, Completion, Delta, Event, Failure, FinishReason, Operation, TokenLogprob,
    Usage,
};
use serde_json::{Map, Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::error;
use super::inbound::is_prompt;
use crate::json::fields::note;
use crate::{ReplyEncoder, Whole, json};

/// The encoder of a call's reply.
pub fn encoder(call: &Call) -> Box<dyn ReplyEncoder> {
    let is_chat = call.operation == Operation::Chat;
    Box::new(Encoder {
        model: call.head.model.clone(),
        operation: call.operation,
        one: match is_chat {
            // A body that cannot be decoded has failed before there is anything to encode.
            true => call.chat().is_ok_and(is_prompt),
            false => call.embed().is_ok_and(|embed| note(&embed.extra, "prompt").is_some()),
        },
        received: call.received,
        first: None,
        created_at: now(),
        calls: HashMap::new(),
        count: 0,
        usage: Usage::default(),
        finish: None,
    })
}

struct Encoder {
    model: String,
    operation: Operation,
    /// The client asked for a prompt to be continued, or one vector.
    one: bool,
    received: Instant,
    /// When the answer began.
    first: Option<Instant>,
    created_at: String,
    /// Calls whose end has not come.
    calls: HashMap<u32, PendingCall>,
    count: u32,
    usage: Usage,
    finish: Option<FinishReason>,
}

struct PendingCall {
    id: String,
    name: String,
    input: String,
}

/// A piece of an answer, or all of it.
#[derive(Default)]
struct Piece {
    text: String,
    thinking: String,
    calls: Vec<Value>,
    logprobs: Vec<TokenLogprob>,
}

impl ReplyEncoder for Encoder {
    fn stream_headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        vec![
            (header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson")),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ]
    }

    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        match event {
            Event::BlockStart { index, block: BlockHead::ToolUse { id, name } } => {
                self.calls.insert(index, PendingCall { id, name, input: String::new() });
            }
            Event::Delta { index, delta } => self.delta(index, delta, out),
            Event::BlockStop { index } => {
                if let Some(call) = self.calls.remove(&index) {
                    let calls = vec![self.call(call)];
                    self.line(Piece { calls, ..Piece::default() }, None, out);
                }
            }
            Event::Usage(usage) => self.usage = usage,
            Event::Finish { reason, .. } => self.finish = Some(reason),
            _ => {}
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        let mut open: Vec<(u32, PendingCall)> = self.calls.drain().collect();
        open.sort_by_key(|(index, _)| *index);
        for (_, call) in open {
            let calls = vec![self.call(call)];
            self.line(Piece { calls, ..Piece::default() }, None, out);
        }
        let reason = self.finish.take().unwrap_or(FinishReason::EndTurn);
        self.line(Piece::default(), Some(&reason), out);
    }

    fn failure(&mut self, failure: &Failure, out: &mut Vec<u8>) {
        write(out, &error::object(failure));
    }

    fn whole(&mut self, completion: Completion) -> Whole {
        let body = match self.operation {
            Operation::Embed => self.vectors(completion),
            Operation::Chat | Operation::CountTokens | Operation::Rerank => self.answer(completion),
        };
        let headers =
            vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"))];
        Whole { status: StatusCode::OK, headers, body: json::bytes(&body) }
    }
}

impl Encoder {
    fn delta(&mut self, index: u32, delta: Delta, out: &mut Vec<u8>) {
        match delta {
            Delta::Text { text, logprobs } => {
                self.line(Piece { text, logprobs, ..Piece::default() }, None, out);
            }
            Delta::Thinking(thinking) => self.line(Piece { thinking, ..Piece::default() }, None, out),
            Delta::ToolInput(more) => {
                if let Some(call) = self.calls.get_mut(&index) {
                    call.input.push_str(&more);
                }
            }
            Delta::Signature(_) | Delta::Citation(_) | Delta::Opaque(_) => {}
        }
    }

    fn call(&mut self, call: PendingCall) -> Value {
        let PendingCall { id, name, input } = call;
        let index = self.count;
        self.count += 1;
        json!({"id": id, "function": {"index": index, "name": name, "arguments": arguments(&input)}})
    }

    fn line(&mut self, piece: Piece, end: Option<&FinishReason>, out: &mut Vec<u8>) {
        self.first.get_or_insert_with(Instant::now);
        let line = self.object(piece, end);
        write(out, &line.into());
    }

    /// One line, or the whole answer.
    fn object(&self, piece: Piece, end: Option<&FinishReason>) -> Map<String, Value> {
        let Piece { text, thinking, calls, logprobs } = piece;
        let mut line = Map::new();
        line.insert("model".to_owned(), self.model.as_str().into());
        line.insert("created_at".to_owned(), self.created_at.as_str().into());
        let mut said = Map::new();
        let text_name = if self.one { "response" } else { "content" };
        said.insert(text_name.to_owned(), text.into());
        if !thinking.is_empty() {
            said.insert("thinking".to_owned(), thinking.into());
        }
        if !calls.is_empty() {
            said.insert("tool_calls".to_owned(), calls.into());
        }
        if self.one {
            line.extend(said);
        } else {
            said.insert("role".to_owned(), "assistant".into());
            line.insert("message".to_owned(), said.into());
        }
        if !logprobs.is_empty() {
            line.insert("logprobs".to_owned(), logprobs.iter().map(logprob).collect());
        }
        line.insert("done".to_owned(), end.is_some().into());
        if let Some(reason) = end {
            line.insert("done_reason".to_owned(), done_reason(reason).into());
            self.counts(&mut line);
        }
        line
    }

    /// Tokens, and times in nanoseconds.
    fn counts(&self, line: &mut Map<String, Value>) {
        let nanos = |from: Instant, to: Instant| {
            u64::try_from(to.saturating_duration_since(from).as_nanos()).unwrap_or(u64::MAX)
        };
        let now = Instant::now();
        let first = self.first.unwrap_or(now);
        for (name, count) in [
            ("total_duration", nanos(self.received, now)),
            ("load_duration", 0),
            ("prompt_eval_count", self.usage.total_input()),
            ("prompt_eval_duration", nanos(self.received, first)),
            ("eval_count", self.usage.total_output()),
            ("eval_duration", nanos(first, now)),
        ] {
            line.insert(name.to_owned(), count.into());
        }
    }

    fn answer(&mut self, completion: Completion) -> Value {
        self.usage = completion.usage;
        let mut piece = Piece { logprobs: completion.logprobs, ..Piece::default() };
        for block in completion.content {
            match block.kind {
                BlockKind::Text(text) | BlockKind::Refusal(text) => piece.text.push_str(&text),
                BlockKind::Thinking { text, .. } => piece.thinking.push_str(&text),
                BlockKind::ToolUse { id, name, input, .. } => {
                    piece.calls.push(self.call(PendingCall { id, name, input }));
                }
                _ => {}
            }
        }
        let reason = completion.finish.unwrap_or(FinishReason::EndTurn);
        self.object(piece, Some(&reason)).into()
    }

    fn vectors(&mut self, completion: Completion) -> Value {
        self.usage = completion.usage;
        if self.one {
            return json!({"embedding": completion.embeddings.first()});
        }
        let mut body = json!({"model": self.model, "embeddings": completion.embeddings});
        if let Value::Object(body) = &mut body {
            self.counts(body);
            body.shift_remove("eval_count");
            body.shift_remove("eval_duration");
            body.shift_remove("prompt_eval_duration");
        }
        body
    }
}

/// The dialect's words: it has none for answers that were cut by a filter.
const fn done_reason(reason: &FinishReason) -> &'static str {
    match reason {
        FinishReason::MaxTokens | FinishReason::ContextWindow => "length",
        FinishReason::Refusal | FinishReason::ContentFilter | FinishReason::Guardrail => "content_filter",
        _ => "stop",
    }
}

/// Arguments as an object, the only thing this dialect can say.
fn arguments(input: &str) -> Value {
    /// Levels of a line around a call's arguments.
    const LEVELS_AROUND: usize = 8;
    if input.trim().is_empty() {
        return json!({});
    }
    let nested = format!("{}{input}{}", "[".repeat(LEVELS_AROUND), "]".repeat(LEVELS_AROUND));
    let parsed =
        crate::json::validate(nested.as_bytes()).ok().and_then(|()| serde_json::from_str(input).ok());
    match parsed {
        Some(object @ Value::Object(_)) => object,
        Some(other) => json!({ "input": other }),
        None => json!({ "input": input }),
    }
}

fn logprob(token: &TokenLogprob) -> Value {
    let one = |token: &[u8], logprob: f32| json!({"token": String::from_utf8_lossy(token), "logprob": logprob.max(-9999.0), "bytes": token});
    let mut entry = one(&token.token, token.logprob);
    entry["top_logprobs"] = token.top.iter().map(|top| one(&top.token, top.logprob)).collect();
    entry
}

fn write(out: &mut Vec<u8>, line: &Value) {
    json::write(out, line);
    out.push(b'\n');
}

fn now() -> String {
    OffsetDateTime::from(SystemTime::now()).format(&Rfc3339).unwrap_or_default()
}
