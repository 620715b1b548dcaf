//! Failures in Google's words, both ways: what a client is told ([`whole`], and [`object`]
//! inside a stream), and what a server's error means ([`understand`]).
//!
//! Shape `{"error": {"code", "message", "status", "details"}}`; `status` is a gRPC name, and
//! details are typed (`RetryInfo`, `BadRequest`, `ErrorInfo`). Source: `errors.py` of
//! `google-genai` 3.4.0 and <https://cloud.google.com/apis/design/errors>, read 2026-11-22.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use message::{ErrorKind, Failure, Retry};
use serde_json::{Value, json};

use crate::{Whole, json};

/// What a client is told to wait when it may retry and nobody knows how long, in seconds.
const RETRY_AFTER_DEFAULT_S: u64 = 1;

/// The longest wait believed of a server: a day. More is a broken clock.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Longest part of a server's own text shown to a client, in characters.
const FOREIGN_TEXT_CHARS_MAX: usize = 1_000;

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";
const BAD_REQUEST: &str = "type.googleapis.com/google.rpc.BadRequest";
const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";

/// A failure as a whole response.
pub fn whole(failure: &Failure) -> Whole {
    let (status, _) = face(failure.kind);
    let mut headers =
        vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"))];
    if let Some(wait) = wait(failure) {
        headers.push((header::RETRY_AFTER, HeaderValue::from(wait.as_millis().div_ceil(1_000) as u64)));
    }
    Whole { status, headers, body: json::bytes(&object(failure)) }
}

/// A failure as the error object: the body of a response, or the last piece of a stream.
pub(super) fn object(failure: &Failure) -> Value {
    let (status, word) = face(failure.kind);
    let mut error = json!({"code": status.as_u16(), "message": failure.message, "status": word});
    let mut details = Vec::new();
    if matches!(failure.kind, ErrorKind::Unauthenticated(_)) {
        details.push(json!({"@type": ERROR_INFO, "reason": "API_KEY_INVALID", "domain": "outcrop"}));
    }
    if let (Some(field), true) = (&failure.param, status == StatusCode::BAD_REQUEST) {
        let violation = json!({"field": field, "description": failure.message});
        details.push(json!({"@type": BAD_REQUEST, "fieldViolations": [violation]}));
    }
    if let Some(wait) = wait(failure) {
        let seconds = wait.as_secs_f64();
        details.push(json!({"@type": RETRY_INFO, "retryDelay": format!("{seconds}s")}));
    }
    if !details.is_empty() {
        error["details"] = details.into();
    }
    json!({ "error": error })
}

/// Status and gRPC name.
const fn face(kind: ErrorKind) -> (StatusCode, &'static str) {
    match kind {
        ErrorKind::InvalidRequest | ErrorKind::ContextOverflow => {
            (StatusCode::BAD_REQUEST, "INVALID_ARGUMENT")
        }
        ErrorKind::Unsupported => (StatusCode::BAD_REQUEST, "FAILED_PRECONDITION"),
        ErrorKind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "INVALID_ARGUMENT"),
        ErrorKind::Unauthenticated(_) => (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"),
        ErrorKind::PermissionDenied => (StatusCode::FORBIDDEN, "PERMISSION_DENIED"),
        ErrorKind::NotFound => (StatusCode::NOT_FOUND, "NOT_FOUND"),
        ErrorKind::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "RESOURCE_EXHAUSTED"),
        ErrorKind::Overloaded | ErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE"),
        ErrorKind::Timeout => (StatusCode::GATEWAY_TIMEOUT, "DEADLINE_EXCEEDED"),
        ErrorKind::Upstream => (StatusCode::BAD_GATEWAY, "UNAVAILABLE"),
        ErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL"),
    }
}

fn wait(failure: &Failure) -> Option<Duration> {
    match failure.retry {
        Retry::After(wait) => Some(wait),
        Retry::Yes if failure.kind == ErrorKind::RateLimited => {
            Some(Duration::from_secs(RETRY_AFTER_DEFAULT_S))
        }
        Retry::Yes | Retry::No => None,
    }
}

/// A server's unsuccessful answer, understood.
pub(super) fn understand(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    // A stream that is an array has its error in one, too.
    let outer = parsed.as_array().and_then(|items| items.first()).unwrap_or(&parsed);
    let failure = told(outer.get("error").unwrap_or(outer), status);
    match retry_after(headers) {
        Some(wait) if failure.retry == Retry::Yes => failure.with_retry(Retry::After(wait)),
        _ => failure,
    }
}

/// An error object that came inside a stream, whose status was 200 and says nothing.
pub(super) fn in_stream(error: &Value) -> Failure {
    let code = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    let status = code.and_then(|code| StatusCode::from_u16(code).ok());
    told(error, status.unwrap_or(StatusCode::BAD_GATEWAY))
}

fn told(error: &Value, status: StatusCode) -> Failure {
    let text = error.get("message").and_then(Value::as_str).filter(|text| !text.is_empty());
    let text: Option<String> = text.map(|text| text.chars().take(FOREIGN_TEXT_CHARS_MAX).collect());
    let bad_key = detail(error, ERROR_INFO).and_then(|info| info.get("reason")).is_some_and(|reason| {
        matches!(
            reason.as_str(),
            Some("API_KEY_INVALID" | "API_KEY_SERVICE_BLOCKED" | "ACCESS_TOKEN_EXPIRED")
        )
    });
    if bad_key || matches!(status.as_u16(), 401 | 403) {
        // The client's key is good, and its owner cannot mend ours.
        let message = format!(
            "the model's server refused this gateway's credential ({status}); its operator must renew it"
        );
        let failure = Failure::new(ErrorKind::Upstream, message).with_retry(Retry::No);
        return failure.with_cause(text.unwrap_or_default());
    }
    let too_long = text.as_deref().is_some_and(|text| {
        text.contains("exceeds the maximum number of tokens") || text.contains("input token count")
    });
    let kind = match status.as_u16() {
        400 if too_long => ErrorKind::ContextOverflow,
        404 => ErrorKind::NotFound,
        408 | 504 => ErrorKind::Timeout,
        413 => ErrorKind::TooLarge,
        429 => ErrorKind::RateLimited,
        503 | 529 => ErrorKind::Overloaded,
        400..=498 => ErrorKind::InvalidRequest,
        _ => ErrorKind::Upstream,
    };
    let text = text.unwrap_or_else(|| format!("the model's server answered {status} without an explanation"));
    let mut failure = Failure::new(kind, text);
    if kind == ErrorKind::InvalidRequest {
        failure.param = violation(error);
    }
    if let Some(wait) = retry_delay(error).filter(|_| failure.retry == Retry::Yes) {
        failure.retry = Retry::After(wait);
    }
    if kind == ErrorKind::RateLimited && is_spent_for_today(error) {
        failure.retry = Retry::No;
    }
    failure
}

fn detail<'a>(error: &'a Value, kind: &str) -> Option<&'a Value> {
    let details = error.get("details")?.as_array()?;
    details.iter().find(|detail| detail.get("@type").and_then(Value::as_str) == Some(kind))
}

fn violation(error: &Value) -> Option<String> {
    let field = detail(error, BAD_REQUEST)?.get("fieldViolations")?.get(0)?.get("field")?.as_str()?;
    Some(field.chars().take(128).collect())
}

/// `"13s"`, `"0.5s"`.
fn retry_delay(error: &Value) -> Option<Duration> {
    let text = detail(error, RETRY_INFO)?.get("retryDelay")?.as_str()?.strip_suffix('s')?;
    believed(text.parse().ok()?)
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    believed(headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?)
}

fn believed(seconds: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds).ok().map(|wait| wait.min(RETRY_AFTER_MAX))
}

/// A daily quota does not come back within any wait a client makes.
fn is_spent_for_today(error: &Value) -> bool {
    let quota = detail(error, "type.googleapis.com/google.rpc.QuotaFailure");
    let violations = quota.and_then(|quota| quota.get("violations")).and_then(Value::as_array);
    violations.is_some_and(|violations| {
        violations.iter().any(|violation| {
            violation.get("quotaId").and_then(Value::as_str).is_some_and(|id| id.contains("PerDay"))
        })
    })
}

/// The answer was cut: it never said why it ended.
pub(super) fn cut() -> Failure {
    Failure::new(ErrorKind::Upstream, "the model's server closed the connection before the answer was whole")
}

/// The answer is not what this dialect says.
pub(super) fn nonsense(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::new(ErrorKind::Upstream, "the model's server sent something that is not a Gemini answer")
        .with_cause(cause)
}

#[cfg(test)]
mod tests {
    use message::AuthFault;

    use super::*;

    fn answered(status: u16, body: &Value) -> Failure {
        let status = StatusCode::from_u16(status).expect("a status");
        understand(status, &HeaderMap::new(), body.to_string().as_bytes())
    }

    #[test]
    fn e1_the_wait_travels_both_ways() {
        let body = json!({"error": {"code": 429, "message": "slow down", "status": "RESOURCE_EXHAUSTED", "details": [
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": "RequestsPerMinute"}]},
            {"@type": RETRY_INFO, "retryDelay": "13.5s"},
        ]}});
        let failure = answered(429, &body);
        assert_eq!(failure.retry, Retry::After(Duration::from_millis(13_500)));
        let whole = whole(&failure);
        assert_eq!(whole.headers.last().map(|(_, value)| value.as_bytes()), Some(&b"14"[..]));
        let again = answered(429, &serde_json::from_slice(&whole.body).expect("JSON"));
        assert_eq!(again, failure);
    }

    #[test]
    fn a_daily_quota_is_not_tried_again() {
        let body = json!({"error": {"message": "spent", "details": [
            {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{"quotaId": "GenerateRequestsPerDayPerProject"}]},
            {"@type": RETRY_INFO, "retryDelay": "5s"},
        ]}});
        assert_eq!(answered(429, &body).retry, Retry::No);
    }

    #[test]
    fn our_own_credential_is_not_the_callers_fault() {
        let bad_key = json!({"error": {"code": 400, "message": "API key not valid: AIza-secret",
            "details": [{"@type": ERROR_INFO, "reason": "API_KEY_INVALID"}]}});
        for (status, body) in [(400, bad_key), (403, json!({"error": {"message": "AIza-secret"}}))] {
            let failure = answered(status, &body);
            assert_eq!((failure.kind, failure.retry), (ErrorKind::Upstream, Retry::No));
            assert!(!failure.message.contains("AIza"), "{failure}");
        }
    }

    #[test]
    fn a_servers_error_keeps_its_words() {
        let message = "The input token count (9) exceeds the maximum number of tokens allowed (8).";
        for (status, message, kind) in [
            (400, message, ErrorKind::ContextOverflow),
            (400, "bad", ErrorKind::InvalidRequest),
            (404, "no such model", ErrorKind::NotFound),
            (500, "oops", ErrorKind::Upstream),
            (503, "The model is overloaded.", ErrorKind::Overloaded),
            (504, "late", ErrorKind::Timeout),
        ] {
            let body = json!([{"error": {"code": status, "message": message}}]);
            let failure = answered(status, &body);
            assert_eq!((failure.kind, failure.message.as_str()), (kind, message));
            let inside = in_stream(&json!({"code": status, "message": message}));
            assert_eq!(inside.kind, kind);
        }
        let empty = understand(StatusCode::BAD_GATEWAY, &HeaderMap::new(), b"<html>");
        assert!(empty.message.contains("502"), "{empty}");
    }

    #[test]
    fn clients_are_told_in_googles_words() {
        let failure = Failure::invalid_field("contents.0.role", "expected `user` or `model`");
        let body = object(&failure);
        assert_eq!(
            (&body["error"]["code"], &body["error"]["status"]),
            (&json!(400), &json!("INVALID_ARGUMENT"))
        );
        assert_eq!(body["error"]["details"][0]["fieldViolations"][0]["field"], "contents.0.role");
        let failure = Failure::unauthenticated(AuthFault::Unknown, "who?");
        assert_eq!(whole(&failure).status, 401);
        assert_eq!(object(&failure)["error"]["details"][0]["reason"], "API_KEY_INVALID");
    }
}
