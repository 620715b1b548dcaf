//! InvokeModel: a model family's own body inside AWS framing.
//!
//! For now the family is Anthropic's: Messages without `model` and `stream`, with
//! `anthropic_version` (any value) and `anthropic_beta` in the body. The only file here
//! that knows another dialect: it exists to carry one.
//!
//! Sources: Amazon Bedrock user guide, "Anthropic Claude Messages API"; response headers
//! and `amazon-bedrock-invocationMetrics` as clients parse them (`anthropic` 2.12.0,
//! LiteLLM 1.109.1); read 2026-11-22.

use std::ops::Range;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderName, HeaderValue, header};
use message::{Call, Chat, Completion, Dialect, Dropped, ErrorKind, Event, Failure, Usage};
use serde_json::{Value, json};

use super::error::exception;
use super::reply::latency_ms;
use super::wire::At;
use crate::anthropic::inbound::decode_body;
use crate::anthropic::reply::{Frames, StreamWriter, message};
use crate::framing::eventstream;
use crate::{ReplyEncoder, Whole};

/// The header that asks for a guardrail.
const GUARDRAIL: &str = "x-amzn-bedrock-guardrailidentifier";

/// Begins the message of every fault of a body, as the service does; clients look for it.
const MALFORMED: &str = "Malformed input request:";

/// Reads the cap on output tokens, which a request to generate must have.
pub(super) fn head(model: &str, body: &[u8]) -> Result<Option<u64>, Failure> {
    match family(model, body)? {
        None => Err(malformed(Failure::invalid_field("max_tokens", "required, but missing"))),
        // What is no number is reported, with its path, on decoding.
        Some(span) => Ok(body.get(span).and_then(|text| serde_json::from_slice(text).ok())),
    }
}

/// Turns away families that are not built; else tells where `max_tokens` stands.
fn family(model: &str, body: &[u8]) -> Result<Option<Range<usize>>, Failure> {
    let [max_tokens, rest @ ..] = crate::json::members(
        body,
        [
            "max_tokens",
            "anthropic_version",
            "messages",
            "schemaVersion",
            "inferenceConfig",
            "inputText",
            "taskType",
            "texts",
            "images",
            "query",
            "prompt",
            "message",
        ],
    )
    .map_err(malformed)?;
    let [anthropic_version, messages, schema, config, input_text, task, texts, images, query, prompt, chat] =
        rest.map(|span| span.is_some());
    let claude = model.contains("anthropic") || model.contains("claude");
    let family = if messages && (anthropic_version || (claude && !schema && !config)) {
        return Ok(max_tokens);
    } else if task {
        "an image or embedding task"
    } else if schema || config {
        "an Amazon Nova request"
    } else if input_text {
        "an Amazon Titan request"
    } else if messages {
        "a chat completion without `anthropic_version`"
    } else if texts || images {
        "an embedding request"
    } else if query {
        "a reranking request"
    } else if prompt {
        "a text completion"
    } else if chat {
        "a Cohere Command request"
    } else {
        return Err(malformed(Failure::invalid_field("messages", "required, but missing")));
    };
    Err(malformed(Failure::unsupported(format!(
        "this looks like {family}, which InvokeModel cannot carry here yet; send an Anthropic Messages body \
         (`anthropic_version`, `max_tokens`, `messages`), or use Converse, which any model understands"
    ))))
}

/// Decodes an InvokeModel body.
pub(super) fn decode(call: &Call) -> Result<Chat, Failure> {
    let mut chat = decode_body(&call.body).map_err(malformed)?;
    if call.headers.contains_key(GUARDRAIL) {
        // An answer that should have been guarded and was not is worse than none.
        chat.essential
            .push(Dropped { path: GUARDRAIL.to_owned(), why: "it cannot apply a Bedrock guardrail" });
    }
    Ok(chat)
}

/// Decodes an InvokeModel body that came as base64 (to have its tokens counted).
pub(super) fn decode_base64(model: &str, encoded: &str, at: At<'_>) -> Result<Chat, Failure> {
    let body = BASE64.decode(encoded).map_err(|error| at.wrong(format_args!("not base64: {error}")))?;
    family(model, &body)?;
    decode_body(&body).map_err(malformed)
}

fn malformed(failure: impl Into<Failure>) -> Failure {
    let mut failure = failure.into();
    failure.message = format!("{MALFORMED} {}", failure.message);
    failure
}

/// Writes Anthropic messages as InvokeModel answers.
pub(super) struct Encoder {
    writer: StreamWriter,
    id: String,
    model: String,
    received: Instant,
    first_event: Option<Instant>,
    usage: Usage,
    finished: bool,
    broken: bool,
    /// The native event and the frame's payload under construction, kept for their memory.
    native: Vec<u8>,
    payload: String,
}

impl Encoder {
    pub(super) fn new(call: &Call) -> Self {
        let id = format!("msg_bdrk_{}", call.id.as_str().replace('-', ""));
        let model = call.head.model.clone();
        Self {
            writer: StreamWriter::new(id.clone(), model.clone()),
            id,
            model,
            received: call.received,
            first_event: None,
            usage: Usage::default(),
            finished: false,
            broken: false,
            native: Vec::new(),
            payload: String::new(),
        }
    }

    fn chunks<'a>(
        &'a mut self,
        out: &'a mut Vec<u8>,
        metrics: Option<Value>,
    ) -> (&'a mut StreamWriter, Chunks<'a>) {
        let Self { writer, native, payload, .. } = self;
        (writer, Chunks { out, native, payload, last: false, metrics })
    }

    fn metrics(&self) -> Value {
        let first = self.first_event.map_or_else(|| self.received.elapsed(), |first| first - self.received);
        let first_ms = u64::try_from(first.as_millis()).unwrap_or(u64::MAX);
        json!({
            "inputTokenCount": self.usage.input_tokens,
            "outputTokenCount": self.usage.total_output(),
            "cacheReadInputTokenCount": self.usage.cache_read_tokens,
            "cacheWriteInputTokenCount": cache_writes(&self.usage),
            "invocationLatency": latency_ms(self.received),
            "firstByteLatency": first_ms,
        })
    }
}

impl ReplyEncoder for Encoder {
    fn stream_headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        vec![
            (header::CONTENT_TYPE, HeaderValue::from_static(eventstream::CONTENT_TYPE)),
            (
                HeaderName::from_static("x-amzn-bedrock-content-type"),
                HeaderValue::from_static("application/json"),
            ),
        ]
    }

    fn event(&mut self, event: Event, out: &mut Vec<u8>) {
        self.first_event.get_or_insert_with(Instant::now);
        match &event {
            Event::Usage(usage) => self.usage = *usage,
            Event::Finish { .. } => self.finished = true,
            _ => {}
        }
        if !self.broken {
            let (writer, mut chunks) = self.chunks(out, None);
            writer.event(event, &mut chunks);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        if self.broken {
        } else if self.finished {
            let metrics = self.metrics();
            let (writer, mut chunks) = self.chunks(out, Some(metrics));
            writer.end(&mut chunks);
        } else {
            self.failure(&Failure::new(ErrorKind::Upstream, "the answer was cut before its end"), out);
        }
    }

    fn failure(&mut self, failure: &Failure, out: &mut Vec<u8>) {
        if !self.broken {
            self.broken = true;
            let (name, payload) = exception(failure, Dialect::BedrockInvoke);
            eventstream::write_exception(out, name, payload.to_string().as_bytes());
        }
    }

    fn whole(&mut self, completion: Completion) -> Whole {
        let usage = completion.usage;
        let mut headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        headers.extend(
            [
                ("x-amzn-bedrock-input-token-count", usage.input_tokens),
                ("x-amzn-bedrock-output-token-count", usage.total_output()),
                ("x-amzn-bedrock-cache-read-input-token-count", usage.cache_read_tokens),
                ("x-amzn-bedrock-cache-write-input-token-count", cache_writes(&usage)),
                ("x-amzn-bedrock-invocation-latency", latency_ms(self.received)),
            ]
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from(value))),
        );
        let body = message(&self.id, &self.model, completion).into();
        Whole { status: http::StatusCode::OK, headers, body }
    }
}

const fn cache_writes(usage: &Usage) -> u64 {
    usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
}

/// Wraps each native event in a `chunk` frame.
struct Chunks<'a> {
    out: &'a mut Vec<u8>,
    native: &'a mut Vec<u8>,
    payload: &'a mut String,
    last: bool,
    /// What the native stream's last event carries beside its own members.
    metrics: Option<Value>,
}

impl Frames for Chunks<'_> {
    fn begin(&mut self, event: &'static str) -> &mut Vec<u8> {
        self.native.clear();
        self.last = event == "message_stop";
        self.native
    }

    fn finish(&mut self) {
        if self.last
            && let Some(metrics) = self.metrics.take()
            && self.native.pop() == Some(b'}')
        {
            let member = format!(",\"amazon-bedrock-invocationMetrics\":{metrics}}}");
            self.native.extend_from_slice(member.as_bytes());
        }
        self.payload.clear();
        self.payload.push_str("{\"bytes\":\"");
        BASE64.encode_string(&self.native, self.payload);
        self.payload.push_str("\"}");
        eventstream::write_event(self.out, "chunk", self.payload.as_bytes());
    }
}
