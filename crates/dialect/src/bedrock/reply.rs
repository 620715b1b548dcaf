//! [`Event`]s → the client's bytes: which encoder answers which operation, and the one
//! for Converse and ConverseStream.

use std::time::Instant;

use http::{HeaderName, HeaderValue, StatusCode, header};
use message::{Call, Completion, Dialect, ErrorKind, Event, Failure, Operation};
use serde_json::{Value, json};

use super::error::exception;
use super::invoke;
use super::order::Order;
use super::rerank::Ranking;
use super::stream::Frames;
use super::whole;
use crate::framing::eventstream;
use crate::{ReplyEncoder, Whole, json};

/// The encoder of a call's reply.
pub fn encoder(call: &Call) -> Box<dyn ReplyEncoder> {
    match (call.operation, call.dialect) {
        (Operation::CountTokens, _) => Box::new(TokenCount),
        (_, Dialect::BedrockInvoke) => invoke::encoder(call),
        (Operation::Rerank, _) => Box::new(Ranking),
        (_, _) => Box::new(Converse {
            call: call.clone(),
            order: Order::default(),
            frames: Frames::default(),
            finished: false,
            broken: false,
        }),
    }
}

/// Answers Converse and ConverseStream.
struct Converse {
    /// Kept for what the client said about the answer; decoded by then, or never asked.
    call: Call,
    order: Order,
    frames: Frames,
    finished: bool,
    broken: bool,
}

impl ReplyEncoder for Converse {
    fn stream_headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        vec![(header::CONTENT_TYPE, HeaderValue::from_static(eventstream::CONTENT_TYPE))]
    }

    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        if self.broken {
            return;
        }
        self.finished |= matches!(event, Event::Finish { .. });
        let (frames, call) = (&mut self.frames, &self.call);
        if let Err(full) = self.order.push(event, |event| frames.write(event, call, out)) {
            self.failure(&full.into(), out);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if self.broken {
        } else if self.finished {
            self.frames.metadata(&self.call, latency_ms(self.call.received), out);
        } else {
            self.failure(&Failure::new(ErrorKind::Upstream, "the answer was cut before its end"), out);
        }
    }

    fn failure(&mut self, failure: &Failure, out: &mut Vec<u8>) {
        if !self.broken {
            self.broken = true;
            let (name, payload) = exception(failure, Dialect::BedrockConverse);
            eventstream::write_exception(out, name, payload.to_string().as_bytes());
        }
    }

    fn whole(&mut self, completion: Completion) -> Whole {
        ok(&whole::response(completion, &self.call, latency_ms(self.call.received)))
    }
}

/// Answers CountTokens.
struct TokenCount;

impl ReplyEncoder for TokenCount {
    /// Never asked for: counting has no stream.
    fn stream_headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        Vec::new()
    }

    fn event(&mut self, _: Event, _: &mut Vec<u8>) {}

    fn end(&mut self, _: &mut Vec<u8>) {}

    fn failure(&mut self, _: &Failure, _: &mut Vec<u8>) {}

    fn whole(&mut self, completion: Completion) -> Whole {
        ok(&json!({ "inputTokens": completion.usage.total_input() }))
    }
}

pub(super) fn ok(body: &Value) -> Whole {
    Whole {
        status: StatusCode::OK,
        headers: vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))],
        body: json::bytes(&body),
    }
}

pub(super) fn latency_ms(received: Instant) -> u64 {
    received.elapsed().as_millis().try_into().unwrap_or(u64::MAX)
}
