//! InvokeModel's frames and counts, the same for every family: native events wrapped as
//! `chunk`s, `amazon-bedrock-invocationMetrics` in the last of them, and the headers of a
//! whole answer.
//!
//! Sources: bedrock-runtime service model of botocore 1.44.5; headers and metrics as
//! clients parse them (`anthropic` 2.12.0, LiteLLM 1.109.1); read 2026-11-22.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use message::{Call, Completion, Dialect, ErrorKind, Event, Failure, Usage};
use serde::Serialize;
use serde_json::{Value, json};

use crate::bedrock::error::exception;
use crate::bedrock::reply::latency_ms;
use crate::framing::eventstream;
use crate::{ReplyEncoder, Whole, json, tier};

/// A family's way of answering.
pub(super) trait Writer: Send {
    /// Takes in one event and writes what it completes.
    ///
    /// # Errors
    /// What ends the stream: more than the family's order can hold back.
    fn event(&mut self, event: Event, chunks: &mut Chunks<'_>) -> Result<(), Failure>;

    /// Writes the closing events, the last of them by [`Chunks::last`].
    fn end(&mut self, chunks: &mut Chunks<'_>);

    /// The whole answer.
    fn whole(&mut self, completion: Completion) -> Vec<u8>;
}

/// Answers InvokeModel and its stream, in the words of a family.
pub(super) struct Encoder<W> {
    writer: W,
    received: Instant,
    first_event: Option<Instant>,
    usage: Usage,
    finished: bool,
    broken: bool,
    /// Headers that answer those of the request.
    echoed: Vec<(HeaderName, HeaderValue)>,
    /// The native event and the frame's payload under construction, kept for their memory.
    native: Vec<u8>,
    payload: String,
}

impl<W: Writer> Encoder<W> {
    pub(super) fn new(call: &Call, writer: W) -> Self {
        Self {
            writer,
            received: call.received,
            first_event: None,
            usage: Usage::default(),
            finished: false,
            broken: false,
            echoed: echoed(call),
            native: Vec::new(),
            payload: String::new(),
        }
    }

    fn chunks<'a>(&'a mut self, out: &'a mut Vec<u8>, metrics: Option<Value>) -> (&'a mut W, Chunks<'a>) {
        let Self { writer, native, payload, .. } = self;
        (writer, Chunks { out, native, payload, metrics })
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

impl<W: Writer> ReplyEncoder for Encoder<W> {
    fn stream_headers(&self) -> Vec<(HeaderName, HeaderValue)> {
        let mut headers = vec![
            (header::CONTENT_TYPE, HeaderValue::from_static(eventstream::CONTENT_TYPE)),
            (
                HeaderName::from_static("x-amzn-bedrock-content-type"),
                HeaderValue::from_static("application/json"),
            ),
        ];
        headers.extend(self.echoed.iter().cloned());
        headers
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
            if let Err(failure) = writer.event(event, &mut chunks) {
                self.failure(&failure, out);
            }
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
        let mut headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
        let usage = completion.usage;
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
        headers.extend(self.echoed.iter().cloned());
        Whole { status: StatusCode::OK, headers, body: Bytes::from(self.writer.whole(completion)) }
    }
}

/// What a client that asked for a tier or a latency reads of the one it got: no target
/// but Bedrock itself, whose replies are forwarded, has another latency.
fn echoed(call: &Call) -> Vec<(HeaderName, HeaderValue)> {
    let tier = tier::word(call.given);
    [("x-amzn-bedrock-performanceconfig-latency", "standard"), ("x-amzn-bedrock-service-tier", tier)]
        .into_iter()
        .filter(|(name, _)| call.headers.contains_key(*name))
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

const fn cache_writes(usage: &Usage) -> u64 {
    usage.cache_write_5m_tokens.saturating_add(usage.cache_write_1h_tokens)
}

/// Wraps each native event in a `chunk` frame.
pub(super) struct Chunks<'a> {
    out: &'a mut Vec<u8>,
    native: &'a mut Vec<u8>,
    payload: &'a mut String,
    /// What the last native event carries beside its own members.
    metrics: Option<Value>,
}

impl Chunks<'_> {
    /// Opens a native event, and gives the buffer to write it to.
    pub(super) fn begin(&mut self) -> &mut Vec<u8> {
        self.native.clear();
        self.native
    }

    /// Closes it.
    pub(super) fn finish(&mut self) {
        self.payload.clear();
        self.payload.push_str("{\"bytes\":\"");
        BASE64.encode_string(&self.native, self.payload);
        self.payload.push_str("\"}");
        eventstream::write_event(self.out, "chunk", self.payload.as_bytes());
    }

    /// Closes the stream's last native event, an object: the metrics become its member.
    pub(super) fn finish_last(&mut self) {
        if let Some(metrics) = self.metrics.take()
            && self.native.pop() == Some(b'}')
        {
            let comma = if self.native.last() == Some(&b'{') { "" } else { "," };
            let member = format!("{comma}\"amazon-bedrock-invocationMetrics\":{metrics}}}");
            self.native.extend_from_slice(member.as_bytes());
        }
        self.finish();
    }

    /// Writes a native event.
    pub(super) fn write(&mut self, event: &impl Serialize) {
        json::write(self.begin(), event);
        self.finish();
    }

    /// Writes the last one.
    pub(super) fn last(&mut self, event: &impl Serialize) {
        json::write(self.begin(), event);
        self.finish_last();
    }
}
