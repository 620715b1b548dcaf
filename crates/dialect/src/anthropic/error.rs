//! Failures in this dialect's words, both ways: what a client is told ([`whole`], and
//! [`body`] inside a stream), and what an upstream's error means ([`understand`]).
//!
//! The SDKs choose their exception by status, and read `error.type`, `retry-after` and
//! `x-should-retry`. Source: `_exceptions.py`, `_error_classes.py` and `_base_client.py`
//! of the Python SDK `anthropic` 2.12.0 and <https://platform.claude.com/docs/en/api/errors>, read 2026-11-22.

use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use message::{ErrorKind, Failure, RequestId, Retry};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Whole, json, retry_after};

/// Most characters of an upstream's own message that are shown on.
const MESSAGE_CHARS_MAX: usize = 2000;

const SHOULD_RETRY: HeaderName = HeaderName::from_static("x-should-retry");

/// The words Claude Code looks for to know that it must shorten the conversation.
const TOO_LONG: &str = "prompt is too long";

/// A failure as a whole response.
pub fn whole(failure: &Failure, id: &RequestId) -> Whole {
    let (status, _) = status_and_type(failure.kind);
    let mut headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    if let Some(seconds) = retry_after::for_client_s(failure) {
        headers.push((RETRY_AFTER, seconds.into()));
    } else if failure.retry == Retry::No
        && (status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS)
    {
        // The SDKs would retry these statuses unasked.
        headers.push((SHOULD_RETRY, HeaderValue::from_static("false")));
    }
    Whole { status, headers, body: json::bytes(&body(failure, id)) }
}

/// A failure as the JSON of a response body or an `error` event.
pub fn body(failure: &Failure, id: &RequestId) -> Value {
    let (_, kind) = status_and_type(failure.kind);
    let message = match failure.kind {
        ErrorKind::ContextOverflow if !failure.message.contains(TOO_LONG) => {
            format!("{TOO_LONG}: {}", failure.message)
        }
        _ => failure.message.clone(),
    };
    json!({
        "type": "error",
        "error": {"type": kind, "message": message},
        "request_id": id.as_str(),
    })
}

fn status_and_type(kind: ErrorKind) -> (StatusCode, &'static str) {
    match kind {
        ErrorKind::InvalidRequest | ErrorKind::ContextOverflow | ErrorKind::Unsupported => {
            (StatusCode::BAD_REQUEST, "invalid_request_error")
        }
        ErrorKind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "request_too_large"),
        ErrorKind::Unauthenticated(_) => (StatusCode::UNAUTHORIZED, "authentication_error"),
        ErrorKind::PermissionDenied => (StatusCode::FORBIDDEN, "permission_error"),
        ErrorKind::NotFound => (StatusCode::NOT_FOUND, "not_found_error"),
        ErrorKind::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "rate_limit_error"),
        ErrorKind::Overloaded => (overloaded(), "overloaded_error"),
        ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "api_error"),
        ErrorKind::Timeout => (StatusCode::GATEWAY_TIMEOUT, "timeout_error"),
        ErrorKind::Upstream => (StatusCode::BAD_GATEWAY, "api_error"),
        ErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "api_error"),
    }
}

/// 529, Anthropic's own: the service as a whole is overloaded.
fn overloaded() -> StatusCode {
    StatusCode::from_u16(529).expect("529 lies between 100 and 999")
}

/// An upstream's unsuccessful response, understood.
pub fn understand(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
    let told = serde_json::from_slice::<ErrorBody>(body).ok().and_then(|body| body.error);
    let Some(told) = told else {
        let message = format!("the upstream answered {status} without saying why");
        let failure = Failure::new(kind(status, "", ""), message);
        return advise(failure, headers).with_cause(shorten(&String::from_utf8_lossy(body)));
    };
    advise(told.failure(status), headers)
}

/// An `error` event inside a stream, whose status was 200 and says nothing.
pub(super) fn in_stream(data: &[u8]) -> Failure {
    let told = serde_json::from_slice::<ErrorBody>(data).ok().and_then(|body| body.error);
    told.map_or_else(
        || Failure::new(ErrorKind::Upstream, "the upstream reported an error inside its stream"),
        |told| told.failure(StatusCode::OK),
    )
}

#[derive(Deserialize)]
struct ErrorBody {
    error: Option<Told>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Told {
    #[serde(rename = "type")]
    kind: String,
    message: String,
}

impl Told {
    fn failure(&self, status: StatusCode) -> Failure {
        let kind = kind(status, &self.kind, &self.message);
        let message = match shorten(&self.message) {
            message if message.is_empty() => format!("the upstream answered {status} without saying why"),
            message => message,
        };
        // A 4xx that became our fault: the credential or the account behind it is this
        // server's, and what was said about it is for the log.
        if kind == ErrorKind::Upstream && (status.is_client_error() || OURS.contains(&self.kind.as_str())) {
            let shown = "the upstream refused this server's own credential; the operator must see to it";
            return Failure::new(kind, shown).with_retry(Retry::No).with_cause(message);
        }
        Failure::new(kind, message)
    }
}

/// Error types that speak of the credential, not of the request.
const OURS: [&str; 3] = ["authentication_error", "permission_error", "billing_error"];

/// The type decides where there is one: inside a stream, and behind proxies that flatten
/// statuses, it is all there is.
fn kind(status: StatusCode, kind: &str, message: &str) -> ErrorKind {
    match kind {
        "invalid_request_error" if speaks_of_context(message) => ErrorKind::ContextOverflow,
        "invalid_request_error" => ErrorKind::InvalidRequest,
        "not_found_error" => ErrorKind::NotFound,
        "request_too_large" => ErrorKind::TooLarge,
        "rate_limit_error" => ErrorKind::RateLimited,
        "overloaded_error" => ErrorKind::Overloaded,
        "timeout_error" => ErrorKind::Timeout,
        _ if OURS.contains(&kind) => ErrorKind::Upstream,
        _ => match status.as_u16() {
            400 | 409 | 422 if speaks_of_context(message) => ErrorKind::ContextOverflow,
            400 | 409 | 422 => ErrorKind::InvalidRequest,
            404 => ErrorKind::NotFound,
            408 | 504 => ErrorKind::Timeout,
            413 => ErrorKind::TooLarge,
            429 => ErrorKind::RateLimited,
            503 => ErrorKind::Unavailable,
            529 => ErrorKind::Overloaded,
            _ => ErrorKind::Upstream,
        },
    }
}

fn speaks_of_context(message: &str) -> bool {
    [TOO_LONG, "exceed context limit", "context window", "maximum context length"]
        .iter()
        .any(|words| message.contains(words))
}

/// Adds what the headers say about trying again.
fn advise(failure: Failure, headers: &HeaderMap) -> Failure {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if header("x-should-retry") == Some("false") {
        return failure.with_retry(Retry::No);
    }
    // A wait on a refused request would only repeat the refusal.
    if failure.retry == Retry::No {
        return failure;
    }
    let wait = match failure.kind {
        ErrorKind::RateLimited => retry_after::read_limited(headers),
        _ => retry_after::read(headers),
    };
    match wait {
        Some(wait) => failure.with_retry(Retry::After(wait)),
        None => failure,
    }
}

fn shorten(message: &str) -> String {
    message.chars().take(MESSAGE_CHARS_MAX).collect()
}
