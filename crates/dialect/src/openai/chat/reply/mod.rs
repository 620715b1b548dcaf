//! [`Event`]s → what a Chat Completions client reads: chunks, or one whole completion.

mod chunk;
mod stream;
mod whole;

use std::ops::Range;
use std::time::{SystemTime, UNIX_EPOCH};

use http::{HeaderName, HeaderValue, header};
use message::{Call, Citation, Completion, Event, Failure, FinishReason, TokenLogprob};
use serde_json::{Value, json};

use self::stream::Stream;
use super::error;
use super::inbound::ReplyOptions;
use crate::framing::sse;
use crate::openai::annotation;
use crate::openai::spelling::note;
use crate::{ReplyEncoder, Whole, tier};

/// Which build answers: the dialect's clients compare it between calls with a seed.
const SYSTEM_FINGERPRINT: &str = concat!("fp_outcrop_", env!("CARGO_PKG_VERSION"));

/// The least probability the dialect can write: JSON has no infinity.
const LOGPROB_MIN: f32 = -9999.0;

/// The encoder of a call's reply.
pub fn encoder(call: &Call) -> Box<dyn ReplyEncoder> {
    let created_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    Box::new(Encoder::new(call.clone(), created_s))
}

/// Encodes the reply to one call.
pub(super) struct Encoder {
    call: Call,
    created_s: u64,
    /// The answers, by index. Made at their first event: a forwarded reply never needs
    /// them, nor the decoded call.
    choices: Vec<Stream>,
}

/// What every chunk, or the whole completion, says of itself.
struct Identity<'a> {
    id: String,
    created_s: u64,
    model: &'a str,
    /// Tools whose input is free text.
    custom: Vec<&'a str>,
    /// The service tier, for a client that asked for one.
    tier: Option<&'static str>,
}

impl Encoder {
    pub(super) fn new(call: Call, created_s: u64) -> Self {
        Self { call, created_s, choices: Vec::new() }
    }

    fn choice(&mut self, index: u32) -> &mut Stream {
        let Self { call, created_s, choices } = self;
        for next in choices.len() as u32..=index {
            choices.push(Stream::new(&identity(call, *created_s), options(call), next));
        }
        &mut choices[index as usize]
    }
}

fn identity(call: &Call, created_s: u64) -> Identity<'_> {
    let id = format!("chatcmpl-{}", call.id.as_str().replace('-', ""));
    let tools = call.chat().map(|chat| chat.tools.as_slice()).unwrap_or_default();
    let custom = tools.iter().filter(|tool| note(&tool.extra, "custom").is_some());
    let custom = custom.map(|tool| &*tool.name).collect();
    let tier = tier::given(call, "service_tier");
    Identity { id, created_s, model: &call.head.model, custom, tier }
}

/// A body that cannot be decoded has failed before there is anything to encode.
fn options(call: &Call) -> ReplyOptions {
    call.chat().map(ReplyOptions::of).unwrap_or_default()
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
            Event::Choice { index, event } => self.choice(index).event(*event, out),
            event => self.choice(0).event(event, out),
        }
    }

    /// A chunk that adds nothing: comments, the other way, break common parsers.
    fn keepalive(&mut self, out: &mut Vec<u8>) {
        self.choice(0).keepalive(out);
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.choice(0).end(out);
    }

    fn failure(&mut self, failure: &Failure, out: &mut Vec<u8>) {
        sse::write_event(out, None, error::object(failure).to_string().as_bytes());
    }

    fn whole(&mut self, completion: Completion) -> Whole {
        whole::whole(completion, &identity(&self.call, self.created_s), options(&self.call))
    }
}

/// The hub's reason → one of the dialect's five words; the nearest where it has none.
fn finish_word(reason: &FinishReason, refusal_shown: bool, options: ReplyOptions) -> &'static str {
    match reason {
        FinishReason::MaxTokens | FinishReason::ContextWindow => "length",
        FinishReason::ToolUse if options.legacy_functions => "function_call",
        FinishReason::ToolUse => "tool_calls",
        // The dialect ends normally where the refusal itself was shown.
        FinishReason::Refusal if refusal_shown => "stop",
        FinishReason::Refusal | FinishReason::ContentFilter | FinishReason::Guardrail => "content_filter",
        FinishReason::EndTurn
        | FinishReason::StopSequence
        | FinishReason::PauseTurn
        | FinishReason::MalformedToolUse
        | FinishReason::Other(_) => "stop",
    }
}

/// An annotation of the text at `place` in the content; `None` for what is no page.
fn url_citation(citation: &Citation, place: Range<u64>) -> Option<Value> {
    let page = annotation::page(citation, place)?;
    Some(json!({"type": "url_citation", "url_citation": page}))
}

fn logprobs(tokens: &[TokenLogprob]) -> Value {
    let one = |token: &[u8], logprob: f32| json!({"token": String::from_utf8_lossy(token), "bytes": token, "logprob": logprob.max(LOGPROB_MIN)});
    let content = tokens.iter().map(|token| {
        let mut entry = one(&token.token, token.logprob);
        entry["top_logprobs"] = token.top.iter().map(|top| one(&top.token, top.logprob)).collect();
        entry
    });
    json!({"content": content.collect::<Value>(), "refusal": null})
}
