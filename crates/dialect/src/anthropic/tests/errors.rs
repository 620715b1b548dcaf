//! Failures as clients read them, and upstreams' errors as failures.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode};
use message::{AuthFault, ErrorKind, Failure, RequestId, Retry};
use serde_json::{Value, json};

use super::super::error::{understand, whole};

fn told(failure: &Failure) -> (u16, Value, Vec<(String, String)>) {
    let whole = whole(failure, &RequestId::new("req_1"));
    let text = |value: &HeaderValue| value.to_str().expect("text").to_owned();
    let headers = whole.headers.iter().map(|(name, value)| (name.to_string(), text(value))).skip(1).collect();
    (whole.status.as_u16(), serde_json::from_slice(&whole.body).expect("JSON"), headers)
}

#[test]
fn every_kind_has_its_status_and_type() {
    for (kind, status, name) in [
        (ErrorKind::InvalidRequest, 400, "invalid_request_error"),
        (ErrorKind::ContextOverflow, 400, "invalid_request_error"),
        (ErrorKind::Unsupported, 400, "invalid_request_error"),
        (ErrorKind::TooLarge, 413, "request_too_large"),
        (ErrorKind::Unauthenticated(AuthFault::Missing), 401, "authentication_error"),
        (ErrorKind::PermissionDenied, 403, "permission_error"),
        (ErrorKind::NotFound, 404, "not_found_error"),
        (ErrorKind::RateLimited, 429, "rate_limit_error"),
        (ErrorKind::Overloaded, 529, "overloaded_error"),
        (ErrorKind::Unavailable, 503, "api_error"),
        (ErrorKind::Timeout, 504, "timeout_error"),
        (ErrorKind::Upstream, 502, "api_error"),
        (ErrorKind::Internal, 500, "api_error"),
    ] {
        let (told_status, body, _) = told(&Failure::new(kind, "prompt is too long or so"));
        assert_eq!(told_status, status, "{kind:?}");
        let error = json!({"type": name, "message": "prompt is too long or so"});
        assert_eq!(body, json!({"type": "error", "error": error, "request_id": "req_1"}));
    }
}

#[test]
fn an_overflow_says_what_clients_look_for() {
    let (_, body, _) = told(&Failure::new(ErrorKind::ContextOverflow, "9000 tokens > 8192 maximum"));
    assert_eq!(body["error"]["message"], "prompt is too long: 9000 tokens > 8192 maximum");
}

#[test]
fn advice_is_given_in_headers() {
    let header = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let limited = Failure::new(ErrorKind::RateLimited, "slow down");
    assert_eq!(told(&limited).2, header("retry-after", "1"));
    let wait = Retry::After(Duration::from_millis(2500));
    assert_eq!(told(&limited.clone().with_retry(wait)).2, header("retry-after", "3"));
    assert_eq!(told(&limited.with_retry(Retry::No)).2, header("x-should-retry", "false"));
    assert_eq!(told(&Failure::internal("a bug")).2, header("x-should-retry", "false"));
    assert_eq!(told(&Failure::invalid("no")).2, []);
}

#[test]
fn an_upstreams_error_is_understood() {
    for (status, body, kind) in [
        (
            400,
            r#"{"type":"error","error":{"type":"invalid_request_error","message":"m"}}"#,
            ErrorKind::InvalidRequest,
        ),
        (
            400,
            r#"{"error":{"type":"invalid_request_error","message":"prompt is too long: 2 tokens > 1 maximum"}}"#,
            ErrorKind::ContextOverflow,
        ),
        (
            400,
            r#"{"error":{"type":"invalid_request_error","message":"input length and `max_tokens` exceed context limit: 1 + 2 > 2"}}"#,
            ErrorKind::ContextOverflow,
        ),
        (404, r#"{"error":{"type":"not_found_error","message":"model: x"}}"#, ErrorKind::NotFound),
        (413, r#"{"error":{"type":"request_too_large","message":"m"}}"#, ErrorKind::TooLarge),
        (429, r#"{"error":{"type":"rate_limit_error","message":"m"}}"#, ErrorKind::RateLimited),
        (500, r#"{"error":{"type":"api_error","message":"m"}}"#, ErrorKind::Upstream),
        (500, r#"{"error":{"type":"overloaded_error","message":"m"}}"#, ErrorKind::Overloaded),
        (529, r#"{"error":{"type":"overloaded_error","message":"m"}}"#, ErrorKind::Overloaded),
        (504, r#"{"error":{"type":"timeout_error","message":"m"}}"#, ErrorKind::Timeout),
        (503, "<html>busy</html>", ErrorKind::Unavailable),
        (502, "", ErrorKind::Upstream),
        (418, "{}", ErrorKind::Upstream),
        (400, r#"{"error":"m"}"#, ErrorKind::InvalidRequest),
        (422, r#"{"error":{"message":"m"}}"#, ErrorKind::InvalidRequest),
    ] {
        let status = StatusCode::from_u16(status).expect("a status");
        let failure = understand(status, &HeaderMap::new(), body.as_bytes());
        assert_eq!(failure.kind, kind, "{status} {body}");
        assert!(!failure.message.is_empty());
    }
}

#[test]
fn a_refused_credential_is_this_servers_own_and_stays_private() {
    for (status, kind) in [(401, "authentication_error"), (403, "permission_error"), (402, "billing_error")] {
        let body = json!({"error": {"type": kind, "message": "invalid x-api-key sk-ant-123"}}).to_string();
        let status = StatusCode::from_u16(status).expect("a status");
        let failure = understand(status, &HeaderMap::new(), body.as_bytes());
        assert_eq!((failure.kind, failure.retry), (ErrorKind::Upstream, Retry::No));
        assert!(!failure.message.contains("sk-ant"), "{failure}");
        assert!(failure.cause.expect("the cause").to_string().contains("sk-ant"));
    }
}

#[test]
fn advice_is_read_from_headers() {
    let limited = |headers: &[(&'static str, &'static str)]| {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| ((*name).parse().expect("a name"), HeaderValue::from_static(value)))
            .collect();
        understand(StatusCode::TOO_MANY_REQUESTS, &headers, b"").retry
    };
    let after = |seconds: f64| Retry::After(Duration::from_secs_f64(seconds));
    assert_eq!(limited(&[]), Retry::Yes);
    assert_eq!(limited(&[("retry-after", "30")]), after(30.0));
    assert_eq!(limited(&[("retry-after", "0.5")]), after(0.5));
    assert_eq!(limited(&[("retry-after", "9"), ("retry-after-ms", "1500")]), after(1.5));
    let date = ("date", "Wed, 21 Oct 2026 07:28:00 GMT");
    assert_eq!(limited(&[("retry-after", "Wed, 21 Oct 2026 07:28:10 GMT"), date]), after(10.0));
    assert_eq!(limited(&[("retry-after", "Wed, 21 Oct 2026 07:27:00 GMT"), date]), Retry::Yes);
    assert_eq!(limited(&[("retry-after", "1e300")]), Retry::Yes);
    assert_eq!(limited(&[("retry-after", "99999999")]), after(24.0 * 3600.0));
    for nonsense in ["-1", "NaN", "soon", ""] {
        assert_eq!(limited(&[("retry-after", nonsense)]), Retry::Yes, "{nonsense}");
    }
    assert_eq!(limited(&[("x-should-retry", "false"), ("retry-after", "1")]), Retry::No);
}

#[test]
fn a_long_message_is_shortened() {
    let body = json!({"error": {"type": "api_error", "message": "ü".repeat(100_000)}}).to_string();
    let failure = understand(StatusCode::INTERNAL_SERVER_ERROR, &HeaderMap::new(), body.as_bytes());
    assert!(failure.message.chars().count() <= 2000);
}
