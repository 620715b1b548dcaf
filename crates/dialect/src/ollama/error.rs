//! A [`Failure`] as Ollama's error: `{"error": "…"}`, by itself or as the last line of a
//! stream. The SDK raises with the text and the status.

use http::{HeaderValue, StatusCode, header};
use message::{ErrorKind, Failure, Retry};
use serde_json::{Value, json};

use crate::{Whole, json};

/// What a client is told to wait when it may retry and nobody knows how long, in seconds.
const RETRY_AFTER_DEFAULT_S: u64 = 1;

/// A failure as a whole response.
pub fn whole(failure: &Failure) -> Whole {
    let mut headers =
        vec![(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"))];
    let wait_s = match failure.retry {
        Retry::After(wait) => Some(wait.as_millis().div_ceil(1_000).max(1) as u64),
        Retry::Yes if failure.kind == ErrorKind::RateLimited => Some(RETRY_AFTER_DEFAULT_S),
        Retry::Yes | Retry::No => None,
    };
    headers.extend(wait_s.map(|seconds| (header::RETRY_AFTER, HeaderValue::from(seconds))));
    Whole { status: status(failure.kind), headers, body: json::bytes(&object(failure)) }
}

/// A failure as the error object.
pub(super) fn object(failure: &Failure) -> Value {
    json!({"error": failure.message})
}

const fn status(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::InvalidRequest | ErrorKind::ContextOverflow | ErrorKind::Unsupported => {
            StatusCode::BAD_REQUEST
        }
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
