//! What is remembered of a call until its line is written. Nothing here allocates per event.

use std::sync::Arc;
use std::time::{Duration, Instant};

use message::{
    Call, Dialect, ErrorKind, Event, Failure, FinishReason, Operation, Reply, RequestId, Seen, Usage,
};

/// Longest model name logged, in bytes: clients may send anything.
const MODEL_MAX_BYTES: usize = 256;

/// One call, as its log line will tell it. Logs itself when dropped.
pub(super) struct Record {
    id: RequestId,
    key_id: Arc<str>,
    dialect: Dialect,
    operation: Operation,
    model: Box<str>,
    target: Option<Arc<str>>,
    stream: bool,
    received: Instant,
    first_event: Option<Duration>,
    usage: Usage,
    finish: Option<FinishReason>,
    /// Things the target could not express.
    dropped: usize,
    provider_request_id: Option<Box<str>>,
    outcome: Outcome,
}

enum Outcome {
    /// Not over: dropped like this, the client went away.
    UnderWay,
    Ended,
    Failed(Failure),
}

impl Record {
    pub(super) fn new(call: &Call) -> Self {
        Self {
            id: call.id.clone(),
            key_id: Arc::clone(&call.principal.key_id),
            dialect: call.dialect,
            operation: call.operation,
            model: beginning(&call.head.model).into(),
            target: None,
            stream: call.head.stream,
            received: call.received,
            first_event: None,
            usage: Usage::default(),
            finish: None,
            dropped: 0,
            provider_request_id: None,
            outcome: Outcome::UnderWay,
        }
    }

    pub(super) fn answers(&mut self, reply: &Reply) {
        self.target = Some(Arc::clone(&reply.model));
        self.dropped = reply.dropped.len();
        self.provider_request_id.clone_from(&reply.provider_request_id);
    }

    pub(super) fn saw(&mut self, event: &Event) {
        if self.first_event.is_none() {
            self.first_event = Some(self.received.elapsed());
        }
        match event {
            Event::Usage(usage) => self.usage = *usage,
            Event::Finish { reason, .. } => self.finish = Some(reason.clone()),
            Event::Frame(frame) => {
                if let Some(Seen { usage, finish }) = frame.seen.as_deref() {
                    self.usage = usage.unwrap_or(self.usage);
                    self.finish = finish.clone().or(self.finish.take());
                }
            }
            _ => {}
        }
    }

    pub(super) fn failed(&mut self, failure: &Failure) {
        if failure.provider_request_id.is_some() {
            self.provider_request_id.clone_from(&failure.provider_request_id);
        }
        self.outcome = Outcome::Failed(failure.clone());
    }

    pub(super) fn ended(&mut self) {
        self.outcome = Outcome::Ended;
    }

    /// One place for every field, so that every line has the same ones.
    fn log(&self, status: &'static str, error: Option<&'static str>, detail: Option<&Failure>) {
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    request_id = self.id.as_str(),
                    key_id = &*self.key_id,
                    dialect = self.dialect.name(),
                    operation = self.operation.name(),
                    model = &*self.model,
                    target_model = self.target.as_deref(),
                    stream = self.stream,
                    status,
                    finish_reason = self.finish.as_ref().map(finish_reason),
                    input_tokens = self.usage.input_tokens,
                    cache_read_tokens = self.usage.cache_read_tokens,
                    cache_write_tokens = self.usage.cache_write_5m_tokens + self.usage.cache_write_1h_tokens,
                    output_tokens = self.usage.output_tokens,
                    reasoning_tokens = self.usage.reasoning_tokens,
                    dropped_fields = self.dropped,
                    provider_request_id = self.provider_request_id.as_deref(),
                    first_event_ms = self.first_event.map(millis),
                    total_ms = millis(self.received.elapsed()),
                    error_kind = error,
                    error_message = detail.map(|failure| failure.message.as_str()),
                    error_cause =
                        detail.and_then(|failure| failure.cause.as_deref()).map(tracing::field::display),
                    "call"
                )
            };
        }
        match detail.map(|failure| failure.kind) {
            Some(ErrorKind::Internal) => line!(error),
            Some(ErrorKind::Upstream | ErrorKind::Timeout) => line!(warn),
            _ => line!(info),
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        match &self.outcome {
            // An end without a finish reason was a cut: whoever encodes it says so to the client.
            Outcome::Ended if self.finish.is_none() && self.operation == Operation::Chat => {
                self.log("cut", None, None);
            }
            Outcome::Ended => self.log("ok", None, None),
            Outcome::UnderWay => self.log("cancelled", None, None),
            Outcome::Failed(failure) => self.log("failed", Some(error_kind(failure.kind)), Some(failure)),
        }
    }
}

fn beginning(model: &str) -> &str {
    &model[..model.floor_char_boundary(MODEL_MAX_BYTES)]
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn finish_reason(reason: &FinishReason) -> &str {
    match reason {
        FinishReason::EndTurn => "end_turn",
        FinishReason::MaxTokens => "max_tokens",
        FinishReason::StopSequence => "stop_sequence",
        FinishReason::ToolUse => "tool_use",
        FinishReason::Refusal => "refusal",
        FinishReason::ContentFilter => "content_filter",
        FinishReason::Guardrail => "guardrail",
        FinishReason::PauseTurn => "pause_turn",
        FinishReason::ContextWindow => "context_window",
        FinishReason::MalformedToolUse => "malformed_tool_use",
        FinishReason::Other(word) => word,
    }
}

const fn error_kind(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidRequest => "invalid_request",
        ErrorKind::ContextOverflow => "context_overflow",
        ErrorKind::Unsupported => "unsupported",
        ErrorKind::TooLarge => "too_large",
        ErrorKind::Unauthenticated(_) => "unauthenticated",
        ErrorKind::PermissionDenied => "permission_denied",
        ErrorKind::NotFound => "not_found",
        ErrorKind::RateLimited => "rate_limited",
        ErrorKind::Overloaded => "overloaded",
        ErrorKind::Unavailable => "unavailable",
        ErrorKind::Timeout => "timeout",
        ErrorKind::Upstream => "upstream",
        ErrorKind::Internal => "internal",
    }
}
