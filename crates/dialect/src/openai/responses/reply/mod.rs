//! [`Event`]s → what a Responses client reads: events of its own, or one whole response.

mod event;
mod item;
mod object;
mod stream;

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use message::{Call, Completion, Event, Failure, FinishReason, Operation};
use serde_json::{Value, json};

use self::object::{Settings, State};
use self::stream::Stream;
use crate::{ReplyEncoder, Whole, json};

/// The encoder of a call's reply.
pub fn encoder(call: &Call) -> Box<dyn ReplyEncoder> {
    Box::new(Encoder::new(call.clone(), created_s(call)))
}

/// When the response was created: when its request was received. So whoever keeps a copy
/// of what a client reads gives it the same time, however much later.
fn created_s(call: &Call) -> u64 {
    let received = SystemTime::now().checked_sub(call.received.elapsed());
    received.and_then(|at| at.duration_since(UNIX_EPOCH).ok()).map_or(0, |since| since.as_secs())
}

/// The id under which the response to a call is known to its client.
pub fn response_id(call: &Call) -> String {
    format!("resp_{}", hex_of(call))
}

/// The call's own id, without dashes: the unique part of every id in its response.
fn hex_of(call: &Call) -> String {
    call.id.as_str().replace('-', "")
}

/// Encodes the reply to one call.
pub(super) struct Encoder {
    call: Call,
    created_s: u64,
    /// Made at the first event: a forwarded reply never needs it, nor the parsed body.
    stream: Option<Stream>,
}

impl Encoder {
    pub(super) fn new(call: Call, created_s: u64) -> Self {
        Self { call, created_s, stream: None }
    }

    fn stream(&mut self) -> &mut Stream {
        let Self { call, created_s, stream } = self;
        stream.get_or_insert_with(|| Stream::new(Settings::of(call, *created_s)))
    }
}

impl ReplyEncoder for Encoder {
    fn stream_headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        vec![
            (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8")),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ]
    }

    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        self.stream().event(event, out);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.stream().end(out);
    }

    fn failure(&mut self, failure: &Failure, out: &mut Vec<u8>) {
        self.stream().failure(failure, out);
    }

    fn whole(&mut self, completion: Completion) -> Whole {
        let body = match self.call.operation {
            Operation::CountTokens => {
                let input_tokens = completion.usage.total_input();
                json!({"object": "response.input_tokens", "input_tokens": input_tokens}).to_string().into()
            }
            _ => Settings::of(&self.call, self.created_s).whole(&completion),
        };
        let headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        Whole { status: StatusCode::OK, headers, body: Bytes::from(body) }
    }
}

/// The response to a call that nothing has come of yet.
///
/// # Errors
/// [`InvalidRequest`](message::ErrorKind::InvalidRequest) if a setting that it repeats is
/// JSON by its grammar and no value: half of a character, a number beyond all bounds.
pub(super) fn queued(call: &Call) -> Result<Value, Failure> {
    let mut response = Vec::new();
    Settings::of(call, created_s(call)).write(&State::begun("queued"), &mut response);
    json::decode(&response)
}

/// How a response ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Completed,
    /// For this reason, in the dialect's word.
    Incomplete(&'static str),
}

impl Ending {
    /// The hub's reason → completed, or one of the dialect's reasons why it is not.
    fn of(reason: &FinishReason, refusal_shown: bool) -> Self {
        match reason {
            FinishReason::MaxTokens | FinishReason::ContextWindow => Self::Incomplete("max_output_tokens"),
            // The dialect ends normally where the refusal itself was shown.
            FinishReason::Refusal if refusal_shown => Self::Completed,
            FinishReason::Refusal | FinishReason::ContentFilter | FinishReason::Guardrail => {
                Self::Incomplete("content_filter")
            }
            FinishReason::EndTurn
            | FinishReason::StopSequence
            | FinishReason::ToolUse
            | FinishReason::PauseTurn
            | FinishReason::MalformedToolUse
            | FinishReason::Other(_) => Self::Completed,
        }
    }

    const fn status(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Incomplete(_) => "incomplete",
        }
    }
}
