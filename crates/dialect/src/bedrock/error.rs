//! A [`Failure`] as Bedrock says it: status, `x-amzn-ErrorType`, `{"message"}`; and as
//! an exception inside a stream.
//!
//! Clients raise their typed class from the header or from `__type`; both are sent.
//! Inside a stream they want the camelCase member name of the stream's union.
//!
//! Source: exceptions of the bedrock and bedrock-runtime service models, botocore 1.44.5
//! (read 2026-11-22); authentication codes after the user guide's "Troubleshooting
//! Amazon Bedrock API error codes" and AWS "Common errors". Retry advice: botocore's
//! `standard` mode reads `x-amz-retry-after`, in milliseconds.

use std::borrow::Cow;
use std::time::Duration;

use http::{HeaderName, HeaderValue, StatusCode, header};
use message::{AuthFault, Dialect, ErrorKind, Failure, Retry};
use serde_json::{Value, json};

use crate::Whole;

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("x-amz-retry-after");

/// The whole response for a failure, retry advice included.
pub fn whole(failure: &Failure) -> Whole {
    let (status, code) = class(failure.kind);
    let mut headers = vec![
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (ERROR_TYPE, HeaderValue::from_static(code)),
    ];
    if let Retry::After(delay) = failure.retry {
        headers.push((RETRY_AFTER_MS, number(delay.as_millis().try_into().unwrap_or(u64::MAX))));
        headers.push((header::RETRY_AFTER, number(whole_seconds(delay))));
    }
    let body = json!({ "message": message(failure), "__type": code });
    Whole { status, headers, body: body.to_string().into() }
}

/// A failure inside a stream: its `:exception-type` and its payload.
pub(super) fn exception(failure: &Failure, dialect: Dialect) -> (&'static str, Value) {
    let name = match failure.kind {
        ErrorKind::InvalidRequest
        | ErrorKind::ContextOverflow
        | ErrorKind::Unsupported
        | ErrorKind::TooLarge
        | ErrorKind::Unauthenticated(_)
        | ErrorKind::PermissionDenied
        | ErrorKind::NotFound => "validationException",
        ErrorKind::RateLimited => "throttlingException",
        ErrorKind::Overloaded | ErrorKind::Unavailable => "serviceUnavailableException",
        // ConverseStream's union has no time-out.
        ErrorKind::Timeout if dialect == Dialect::BedrockInvoke => "modelTimeoutException",
        ErrorKind::Timeout | ErrorKind::Upstream => "modelStreamErrorException",
        ErrorKind::Internal => "internalServerException",
    };
    (name, json!({ "message": message(failure) }))
}

/// Status and shape name.
fn class(kind: ErrorKind) -> (StatusCode, &'static str) {
    match kind {
        ErrorKind::InvalidRequest | ErrorKind::ContextOverflow | ErrorKind::Unsupported => {
            (StatusCode::BAD_REQUEST, "ValidationException")
        }
        ErrorKind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "ValidationException"),
        ErrorKind::Unauthenticated(fault) => auth_class(fault),
        ErrorKind::PermissionDenied => (StatusCode::FORBIDDEN, "AccessDeniedException"),
        ErrorKind::NotFound => (StatusCode::NOT_FOUND, "ResourceNotFoundException"),
        ErrorKind::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "ThrottlingException"),
        ErrorKind::Overloaded | ErrorKind::Unavailable => {
            (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailableException")
        }
        ErrorKind::Timeout => (StatusCode::REQUEST_TIMEOUT, "ModelTimeoutException"),
        ErrorKind::Upstream => (StatusCode::FAILED_DEPENDENCY, "ModelErrorException"),
        ErrorKind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "InternalServerException"),
    }
}

fn auth_class(fault: AuthFault) -> (StatusCode, &'static str) {
    match fault {
        AuthFault::Missing => (StatusCode::FORBIDDEN, "MissingAuthenticationTokenException"),
        AuthFault::Malformed => (StatusCode::BAD_REQUEST, "IncompleteSignatureException"),
        AuthFault::Unknown => (StatusCode::FORBIDDEN, "UnrecognizedClientException"),
        AuthFault::Expired => (StatusCode::FORBIDDEN, "ExpiredTokenException"),
        AuthFault::BadSignature => (StatusCode::FORBIDDEN, "InvalidSignatureException"),
        // One of the codes at which the AWS SDK for JavaScript takes the time from our
        // `date` header and signs again; botocore corrects no clock.
        AuthFault::ClockSkew => (StatusCode::BAD_REQUEST, "RequestExpired"),
    }
}

/// The public message, begun with the service's own sentence where clients look for it.
fn message(failure: &Failure) -> Cow<'_, str> {
    let sentence = match failure.kind {
        ErrorKind::ContextOverflow => "Input is too long for requested model.",
        ErrorKind::RateLimited => "Too many requests, please wait before trying again.",
        ErrorKind::NotFound if failure.param.as_deref() == Some("model") => {
            "The provided model identifier is invalid."
        }
        _ => return Cow::Borrowed(&failure.message),
    };
    if failure.message.contains(sentence) {
        Cow::Borrowed(&failure.message)
    } else {
        Cow::Owned(format!("{sentence} {}", failure.message))
    }
}

/// HTTP's `retry-after` has no fractions: rounded up, lest a client comes too early.
fn whole_seconds(delay: Duration) -> u64 {
    delay.as_secs() + u64::from(delay.subsec_nanos() > 0)
}

fn number(value: u64) -> HeaderValue {
    HeaderValue::from(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [ErrorKind; 18] = [
        ErrorKind::InvalidRequest,
        ErrorKind::ContextOverflow,
        ErrorKind::Unsupported,
        ErrorKind::TooLarge,
        ErrorKind::Unauthenticated(AuthFault::Missing),
        ErrorKind::Unauthenticated(AuthFault::Malformed),
        ErrorKind::Unauthenticated(AuthFault::Unknown),
        ErrorKind::Unauthenticated(AuthFault::Expired),
        ErrorKind::Unauthenticated(AuthFault::BadSignature),
        ErrorKind::Unauthenticated(AuthFault::ClockSkew),
        ErrorKind::PermissionDenied,
        ErrorKind::NotFound,
        ErrorKind::RateLimited,
        ErrorKind::Overloaded,
        ErrorKind::Unavailable,
        ErrorKind::Timeout,
        ErrorKind::Upstream,
        ErrorKind::Internal,
    ];

    fn header<'a>(whole: &'a Whole, name: &str) -> Option<&'a str> {
        whole.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.to_str().unwrap())
    }

    #[test]
    fn every_kind_has_its_class() {
        let table: Vec<String> = KINDS
            .iter()
            .map(|kind| {
                let failure = Failure::new(*kind, "m");
                let whole = whole(&failure);
                let body: Value = serde_json::from_slice(&whole.body).unwrap();
                assert_eq!(header(&whole, "x-amzn-errortype"), body["__type"].as_str());
                assert_eq!(header(&whole, "content-type"), Some("application/json"));
                let stream = [Dialect::BedrockConverse, Dialect::BedrockInvoke]
                    .map(|dialect| exception(&failure, dialect).0)
                    .join(" ");
                format!("{kind:?}: {} {} | {stream}", whole.status.as_u16(), body["__type"])
            })
            .collect();
        insta::assert_snapshot!(table.join("\n"));
    }

    #[test]
    fn retry_advice_is_in_milliseconds_and_in_seconds() {
        let failure =
            Failure::new(ErrorKind::RateLimited, "x").with_retry(Retry::After(Duration::from_millis(1500)));
        let whole = whole(&failure);
        assert_eq!(header(&whole, "x-amz-retry-after"), Some("1500"));
        assert_eq!(header(&whole, "retry-after"), Some("2"));
        let plain = super::whole(&Failure::new(ErrorKind::RateLimited, "x"));
        assert_eq!(header(&plain, "retry-after"), None);
    }

    #[test]
    fn sentences_that_clients_match_on_come_first_and_once() {
        let text = |failure: &Failure| message(failure).into_owned();
        assert_eq!(
            text(&Failure::new(ErrorKind::ContextOverflow, "9 tokens, the model takes 8")),
            "Input is too long for requested model. 9 tokens, the model takes 8"
        );
        assert_eq!(
            text(&Failure::new(ErrorKind::NotFound, "did you mean `a`?").with_param("model")),
            "The provided model identifier is invalid. did you mean `a`?"
        );
        assert_eq!(text(&Failure::new(ErrorKind::NotFound, "no such operation")), "no such operation");
        let upstream = "Too many requests, please wait before trying again.";
        assert_eq!(text(&Failure::new(ErrorKind::RateLimited, upstream)), upstream);
    }

    #[test]
    fn the_private_cause_is_never_shown() {
        let failure = Failure::internal("password=hunter2");
        let body = whole(&failure).body;
        assert!(!String::from_utf8_lossy(&body).contains("hunter2"));
    }
}
