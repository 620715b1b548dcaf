//! A [`Failure`] as OpenAI's error object, and a server's error object as a [`Failure`].
//!
//! Shape `{"error": {"message", "type", "param", "code"}}`; the SDKs choose their
//! exception by the status alone (`openai` 3.54.0, `_make_status_error`, read 2026-11-22)
//! and retry 408, 409, 429 and 5xx unless `x-should-retry` says otherwise.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use message::{AuthFault, ErrorKind, Failure, Retry};
use serde_json::{Value, json};

use crate::{Whole, json, retry_after};

/// Longest part of a foreign error text shown to a client, in characters.
const FOREIGN_TEXT_CHARS_MAX: usize = 1_000;

/// A failure as a whole response.
pub fn whole(failure: &Failure) -> Whole {
    let (status, _, _) = face(failure);
    let mut headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    if let Some(seconds) = retry_after::for_client_s(failure) {
        headers.push((header::RETRY_AFTER, HeaderValue::from(seconds)));
    }
    if failure.retry == Retry::No && (status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS) {
        headers.push((HeaderName::from_static("x-should-retry"), HeaderValue::from_static("false")));
    }
    Whole { status, headers, body: json::bytes(&object(failure)) }
}

/// A failure as the error object: the body of a response, or the last event of a stream.
pub(super) fn object(failure: &Failure) -> Value {
    let (_, kind, code) = face(failure);
    json!({"error": {"message": failure.message, "type": kind, "param": failure.param, "code": code}})
}

/// The `code` and the message, for shapes of other names.
pub(super) fn code(failure: &Failure) -> &'static str {
    match face(failure) {
        (_, _, Some(code)) => code,
        _ => "invalid_request",
    }
}

/// Status, `type` and `code`.
fn face(failure: &Failure) -> (StatusCode, &'static str, Option<&'static str>) {
    const INVALID: &str = "invalid_request_error";
    const SERVER: &str = "server_error";
    match failure.kind {
        ErrorKind::InvalidRequest => (StatusCode::BAD_REQUEST, INVALID, None),
        ErrorKind::ContextOverflow => (StatusCode::BAD_REQUEST, INVALID, Some("context_length_exceeded")),
        ErrorKind::Unsupported => (StatusCode::BAD_REQUEST, INVALID, Some("unsupported")),
        ErrorKind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, INVALID, Some("request_too_large")),
        ErrorKind::Unauthenticated(fault) => (StatusCode::UNAUTHORIZED, INVALID, Some(auth_code(fault))),
        ErrorKind::PermissionDenied => (StatusCode::FORBIDDEN, "permission_error", Some("permission_denied")),
        ErrorKind::NotFound => {
            let code = match failure.param.as_deref() {
                Some("model") => "model_not_found",
                Some("previous_response_id") => "previous_response_not_found",
                _ => "not_found",
            };
            (StatusCode::NOT_FOUND, INVALID, Some(code))
        }
        ErrorKind::RateLimited => {
            (StatusCode::TOO_MANY_REQUESTS, "rate_limit_error", Some("rate_limit_exceeded"))
        }
        ErrorKind::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded_error", Some("overloaded")),
        ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, SERVER, Some("unavailable")),
        ErrorKind::Timeout => (StatusCode::GATEWAY_TIMEOUT, SERVER, Some("timeout")),
        ErrorKind::Upstream => (StatusCode::BAD_GATEWAY, SERVER, Some("upstream_error")),
        ErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, SERVER, Some("internal_error")),
    }
}

const fn auth_code(fault: AuthFault) -> &'static str {
    match fault {
        AuthFault::Missing => "missing_api_key",
        AuthFault::Malformed | AuthFault::Unknown => "invalid_api_key",
        AuthFault::Expired => "expired_api_key",
        AuthFault::BadSignature => "invalid_signature",
        AuthFault::ClockSkew => "request_time_skewed",
    }
}

/// A server's unsuccessful answer, understood.
pub(super) fn from_response(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
    let parsed = serde_json::from_slice(body).unwrap_or(Value::Null);
    let error = Foreign::of(&parsed);
    let retry_after = match status.as_u16() {
        429 => retry_after::read_limited(headers),
        _ => retry_after::read(headers),
    };
    let kind = match status.as_u16() {
        // Our own credential was refused: the client's is good, and its owner cannot mend this.
        401 | 403 => {
            let text = error.text().unwrap_or_default();
            return Failure::new(
                ErrorKind::Upstream,
                format!("the model's server refused this gateway's credential ({status}); its operator must renew it"),
            )
            .with_cause(text)
            .with_retry(Retry::No);
        }
        400 | 422 if error.is_context_overflow() => ErrorKind::ContextOverflow,
        404 => ErrorKind::NotFound,
        408 | 504 => ErrorKind::Timeout,
        413 => ErrorKind::TooLarge,
        429 => ErrorKind::RateLimited,
        503 if retry_after.is_some() => ErrorKind::Overloaded,
        503 => ErrorKind::Unavailable,
        529 => ErrorKind::Overloaded,
        400..=499 => ErrorKind::InvalidRequest,
        _ => ErrorKind::Upstream,
    };
    let text = error
        .text()
        .unwrap_or_else(|| format!("the model's server answered {status} without an explanation"));
    let failure = error.fill(Failure::new(kind, text));
    match retry_after {
        Some(wait) if failure.retry != Retry::No => failure.with_retry(Retry::After(wait)),
        _ => failure,
    }
}

/// An error object that came inside a stream.
pub(super) fn from_event(error: &Value) -> Failure {
    let error = Foreign { error: Some(error) };
    let code = error.field("code").or(error.field("status_code"));
    let number = code.and_then(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()));
    let kind = match (error.word("code"), error.word("type"), number) {
        _ if error.is_context_overflow() => ErrorKind::ContextOverflow,
        (Some("rate_limit_exceeded"), ..) | (_, Some("rate_limit_error"), _) | (.., Some(429)) => {
            ErrorKind::RateLimited
        }
        (Some("overloaded"), ..) | (_, Some("overloaded_error"), _) | (.., Some(503 | 529)) => {
            ErrorKind::Overloaded
        }
        (.., Some(408 | 504)) => ErrorKind::Timeout,
        (_, Some("invalid_request_error" | "BadRequestError"), _) | (.., Some(400)) => {
            ErrorKind::InvalidRequest
        }
        _ => ErrorKind::Upstream,
    };
    let text =
        error.text().unwrap_or_else(|| "the model's server broke off without an explanation".to_owned());
    error.fill(Failure::new(kind, text))
}

/// The answer was cut: neither an end nor an error came.
pub(super) fn cut() -> Failure {
    Failure::new(ErrorKind::Upstream, "the model's server closed the connection before the answer was whole")
}

/// The answer is not what this dialect says.
pub(super) fn nonsense(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::new(
        ErrorKind::Upstream,
        "the model's server sent something that is not an answer of this dialect",
    )
    .with_cause(cause)
}

/// An error as servers of this dialect write it: OpenAI's object, a bare string, or
/// FastAPI's `{"detail": …}`.
struct Foreign<'a> {
    error: Option<&'a Value>,
}

impl<'a> Foreign<'a> {
    fn of(body: &'a Value) -> Self {
        // vLLM of old and Mistral put the fields at the top.
        Self { error: body.get("error").or_else(|| body.get("detail")).or(Some(body)) }
    }

    fn field(&self, name: &str) -> Option<&'a Value> {
        self.error?.get(name)
    }

    fn word(&self, name: &str) -> Option<&'a str> {
        self.field(name)?.as_str()
    }

    fn text(&self) -> Option<String> {
        let text = match self.error? {
            Value::String(text) => text.as_str(),
            Value::Object(fields) => match fields.get("message").or_else(|| fields.get("detail"))? {
                Value::String(text) => text.as_str(),
                _ => return None,
            },
            _ => return None,
        };
        (!text.is_empty()).then(|| text.chars().take(FOREIGN_TEXT_CHARS_MAX).collect())
    }

    fn is_context_overflow(&self) -> bool {
        matches!(self.word("code"), Some("context_length_exceeded"))
            // llama.cpp.
            || matches!(self.word("type"), Some("exceed_context_size_error"))
            // vLLM and SGLang say it in words only.
            || self.text().is_some_and(|text| text.contains("maximum context length"))
    }

    fn fill(&self, mut failure: Failure) -> Failure {
        failure.param = self.word("param").map(str::to_owned);
        if failure.kind == ErrorKind::NotFound && self.word("code") == Some("model_not_found") {
            failure.param = Some("model".to_owned());
        }
        if self.word("code") == Some("insufficient_quota") {
            failure.retry = Retry::No;
        }
        failure
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn answered(status: u16, headers: &[(&'static str, &'static str)], body: &str) -> Failure {
        let headers = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let status = StatusCode::from_u16(status).expect("a status");
        from_response(status, &headers.collect(), body.as_bytes())
    }

    #[test]
    fn a_servers_error_keeps_its_words() {
        let openai =
            r#"{"error":{"message":"bad","type":"invalid_request_error","param":"messages.0","code":null}}"#;
        for (status, body, kind, message) in [
            (400, openai, ErrorKind::InvalidRequest, "bad"),
            (422, r#"{"detail":"Unprocessable"}"#, ErrorKind::InvalidRequest, "Unprocessable"),
            (404, r#"{"object":"error","message":"no such model"}"#, ErrorKind::NotFound, "no such model"),
            (
                400,
                r#"{"error":{"message":"too long","code":"context_length_exceeded"}}"#,
                ErrorKind::ContextOverflow,
                "too long",
            ),
            (
                400,
                r#"{"message":"This model's maximum context length is 8 tokens"}"#,
                ErrorKind::ContextOverflow,
                "This model's maximum context length is 8 tokens",
            ),
            (
                400,
                r#"{"error":{"message":"big","type":"exceed_context_size_error"}}"#,
                ErrorKind::ContextOverflow,
                "big",
            ),
            (413, r#"{"error":"too big"}"#, ErrorKind::TooLarge, "too big"),
            (429, r#"{"error":{"message":"slow"}}"#, ErrorKind::RateLimited, "slow"),
            (500, r#"{"error":{"message":"oops"}}"#, ErrorKind::Upstream, "oops"),
            (
                504,
                "",
                ErrorKind::Timeout,
                "the model's server answered 504 Gateway Timeout without an explanation",
            ),
            (
                529,
                "{}",
                ErrorKind::Overloaded,
                "the model's server answered 529 <unknown status code> without an explanation",
            ),
            (
                502,
                "<html>nginx</html>",
                ErrorKind::Upstream,
                "the model's server answered 502 Bad Gateway without an explanation",
            ),
        ] {
            let failure = answered(status, &[], body);
            assert_eq!((failure.kind, failure.message.as_str()), (kind, message));
        }
        assert_eq!(answered(400, &[], openai).param.as_deref(), Some("messages.0"));
    }

    /// Those texts quote parts of the key, and the caller's key is not at fault.
    #[test]
    fn our_own_credential_is_not_the_callers_fault() {
        for status in [401, 403] {
            let failure =
                answered(status, &[], r#"{"error":{"message":"Incorrect API key provided: sk-abc***xyz"}}"#);
            assert_eq!((failure.kind, failure.retry), (ErrorKind::Upstream, Retry::No));
            assert!(!failure.message.contains("sk-"), "{failure}");
        }
    }

    #[test]
    fn e1_retry_after_is_kept() {
        let waits = |headers: &[_]| answered(429, headers, "").retry;
        let seconds = |seconds: f64| Retry::After(Duration::from_secs_f64(seconds));
        assert_eq!(waits(&[("retry-after", "7")]), seconds(7.0));
        assert_eq!(waits(&[("retry-after", "7"), ("retry-after-ms", "250")]), seconds(0.25));
        let dates =
            [("date", "Sun, 06 Nov 1994 08:49:30 GMT"), ("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT")];
        assert_eq!(waits(&dates), seconds(7.0));
        for nonsense in ["soon", "-1", "NaN", "inf", "1e300", ""] {
            assert_eq!(waits(&[("retry-after", nonsense)]), Retry::Yes, "{nonsense}");
        }
        assert_eq!(answered(503, &[("retry-after", "2")], "").kind, ErrorKind::Overloaded);
    }

    #[test]
    fn a_spent_quota_is_not_tried_again() {
        let failure = answered(
            429,
            &[("retry-after", "1")],
            r#"{"error":{"message":"pay","code":"insufficient_quota"}}"#,
        );
        assert_eq!((failure.kind, failure.retry), (ErrorKind::RateLimited, Retry::No));
        assert!(whole(&failure).headers.iter().any(|(name, _)| name == "x-should-retry"));
    }

    #[test]
    fn a_long_error_text_is_cut() {
        let body = json!({"error": {"message": "é".repeat(1 << 20)}}).to_string();
        assert_eq!(answered(400, &[], &body).message.chars().count(), FOREIGN_TEXT_CHARS_MAX);
    }
}
