//! A [`Failure`] as Cohere's error, and a server's error as a [`Failure`].
//!
//! Shape `{"message": …}`; the SDK chooses its exception by the status alone and shows the
//! body. Source: `errors/` and `v2/raw_client.py` of `cohere` 7.3.1, read 2026-11-22.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use message::{ErrorKind, Failure, Retry};
use serde_json::{Value, json};

use crate::Whole;

/// What a client is told to wait when it may retry and nobody knows how long, in seconds.
const RETRY_AFTER_DEFAULT_S: u64 = 1;

/// The longest wait believed of a server: a day. More is a broken clock.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Longest part of a server's own text shown to a client, in characters.
const FOREIGN_TEXT_CHARS_MAX: usize = 1_000;

/// A failure as a whole response.
pub fn whole(failure: &Failure) -> Whole {
    let mut headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let wait_s = match failure.retry {
        Retry::After(wait) => Some(wait.as_millis().div_ceil(1_000).max(1) as u64),
        Retry::Yes if failure.kind == ErrorKind::RateLimited => Some(RETRY_AFTER_DEFAULT_S),
        Retry::Yes | Retry::No => None,
    };
    headers.extend(wait_s.map(|seconds| (header::RETRY_AFTER, HeaderValue::from(seconds))));
    let body = Bytes::from(json!({"message": failure.message}).to_string());
    Whole { status: status(failure.kind), headers, body }
}

const fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::InvalidRequest | ErrorKind::ContextOverflow => StatusCode::BAD_REQUEST,
        ErrorKind::Unsupported => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
        ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Overloaded | ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorKind::Upstream => StatusCode::BAD_GATEWAY,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A server's unsuccessful answer, understood.
pub(super) fn understand(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
    let parsed: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = parsed.get("message").and_then(Value::as_str).filter(|text| !text.is_empty());
    let text: Option<String> = text.map(|text| text.chars().take(FOREIGN_TEXT_CHARS_MAX).collect());
    if matches!(status.as_u16(), 401 | 403) {
        // The client's key is good, and its owner cannot mend ours.
        let message = format!(
            "the model's server refused this gateway's credential ({status}); its operator must renew it"
        );
        let failure = Failure::new(ErrorKind::Upstream, message).with_retry(Retry::No);
        return failure.with_cause(text.unwrap_or_default());
    }
    let too_long = text.as_deref().is_some_and(|text| text.contains("too many tokens"));
    let kind = match status.as_u16() {
        400 | 422 if too_long => ErrorKind::ContextOverflow,
        404 => ErrorKind::NotFound,
        408 | 504 => ErrorKind::Timeout,
        413 => ErrorKind::TooLarge,
        429 => ErrorKind::RateLimited,
        503 | 529 => ErrorKind::Overloaded,
        400..=498 => ErrorKind::InvalidRequest,
        _ => ErrorKind::Upstream,
    };
    let text = text.unwrap_or_else(|| format!("the model's server answered {status} without an explanation"));
    let failure = Failure::new(kind, text);
    match retry_after(headers).filter(|_| failure.retry == Retry::Yes) {
        Some(wait) => failure.with_retry(Retry::After(wait)),
        None => failure,
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: f64 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok().map(|wait| wait.min(RETRY_AFTER_MAX))
}

/// The answer was cut: it never said why it ended.
pub(super) fn cut() -> Failure {
    Failure::new(ErrorKind::Upstream, "the model's server closed the connection before the answer was whole")
}

/// The answer is not what this dialect says.
pub(super) fn nonsense(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::new(ErrorKind::Upstream, "the model's server sent something that is not a Cohere answer")
        .with_cause(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn e1_errors_keep_their_words_and_waits() {
        for (status, kind) in [
            (400, ErrorKind::InvalidRequest),
            (404, ErrorKind::NotFound),
            (422, ErrorKind::InvalidRequest),
            (429, ErrorKind::RateLimited),
            (500, ErrorKind::Upstream),
            (503, ErrorKind::Overloaded),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_static("7"))]);
            let failure = understand(status, &headers, br#"{"message":"so it is"}"#);
            assert_eq!((failure.kind, failure.message.as_str()), (kind, "so it is"));
            if failure.retry != Retry::No {
                assert_eq!(failure.retry, Retry::After(Duration::from_secs(7)));
                assert_eq!(whole(&failure).headers[1].1, "7");
            }
            assert_eq!(&whole(&failure).body[..], br#"{"message":"so it is"}"#);
        }
        let ours = understand(StatusCode::UNAUTHORIZED, &HeaderMap::new(), br#"{"message":"co-secret"}"#);
        assert!(ours.kind == ErrorKind::Upstream && !ours.message.contains("secret"));
    }
}
