//! [`Event`]s → what a Gemini client reads: chunks (as events, or as items of one array), a
//! whole response, a token count, vectors.
//!
//! Function calls are whole in this dialect: arguments are gathered and go out when their
//! block ends. Every chunk has the shape of a whole response; the last one says why the
//! answers ended and what they cost.

mod candidate;
mod chunk;

use std::mem;

use http::{HeaderName, HeaderValue, StatusCode, header};
use message::{Call, Completion, Event, Failure, Operation, Usage};
use serde_json::{Value, json};

use self::candidate::{Candidate, whole};
use self::chunk::Chunks;
use super::door::wants_array;
use super::{embed, error, wire};
use crate::{ReplyEncoder, Whole, json};

/// The encoder of a call's reply.
pub fn encoder(call: &Call) -> Box<dyn ReplyEncoder> {
    let id = call.id.as_str().replace('-', "");
    Box::new(Encoder {
        operation: call.operation,
        is_batch: call.operation == Operation::Embed && call.embed().is_ok_and(embed::is_batch),
        chunks: Chunks::new(wants_array(&call.headers), id, call.head.model.clone()),
        candidates: Vec::new(),
        usage: Usage::default(),
    })
}

struct Encoder {
    operation: Operation,
    is_batch: bool,
    chunks: Chunks,
    /// By index; several only if several were asked for.
    candidates: Vec<Candidate>,
    usage: Usage,
}

impl ReplyEncoder for Encoder {
    fn stream_headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let kind = if self.chunks.array { "application/json; charset=UTF-8" } else { "text/event-stream" };
        vec![
            (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ]
    }

    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        self.chunks.begun();
        match event {
            Event::Start { id } => {
                if let Some(id) = id {
                    self.chunks.id = id;
                }
            }
            Event::Usage(usage) => self.usage = usage,
            Event::Choice { index, event } => self.piece(index, *event, out),
            event => self.piece(0, event, out),
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.candidate(0);
        let mut ends = Vec::with_capacity(self.candidates.len());
        for mut candidate in mem::take(&mut self.candidates) {
            candidate.stop_all(&mut self.chunks, out);
            ends.push(candidate.end());
        }
        let chunk = self.response(ends, &self.usage);
        self.chunks.write(out, &chunk);
        self.chunks.close(out);
    }

    fn failure(&mut self, failure: &Failure, out: &mut Vec<u8>) {
        self.chunks.failed(&error::object(failure), out);
        self.chunks.close(out);
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
    fn candidate(&mut self, index: u32) -> &mut Candidate {
        for next in self.candidates.len() as u32..=index {
            self.candidates.push(Candidate::new(next));
        }
        &mut self.candidates[index as usize]
    }

    fn piece(&mut self, index: u32, event: Event, out: &mut Vec<u8>) {
        self.candidate(index);
        self.candidates[index as usize].event(event, &mut self.chunks, out);
    }

    fn message(&mut self, mut completion: Completion) -> Value {
        if let Some(id) = completion.id.take() {
            self.chunks.id = id;
        }
        let usage = completion.usage;
        let others = mem::take(&mut completion.others);
        let answers = (0..).zip(std::iter::once(completion).chain(others));
        let candidates = answers.map(|(index, answer)| whole(index, answer)).collect();
        self.response(candidates, &usage)
    }

    /// A whole response, or the last chunk of a stream.
    fn response(&self, candidates: Vec<Value>, usage: &Usage) -> Value {
        json!({
            "candidates": candidates,
            "usageMetadata": wire::usage(usage),
            "modelVersion": self.chunks.model,
            "responseId": self.chunks.id,
        })
    }
}
