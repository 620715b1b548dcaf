//! Failures in Bedrock's words, both ways: status, `x-amzn-ErrorType`, `{"message"}`, and
//! exceptions inside a stream, written ([`whole`]) and understood ([`understand`]).
//!
//! Clients raise their typed class from the header or from `__type`; both are sent.
//! Inside a stream they want the camelCase member name of the stream's union.
//!
//! Source: exceptions of the bedrock and bedrock-runtime service models, botocore 1.44.5
//! (read 2026-11-22); authentication codes after the user guide's "Troubleshooting
//! Amazon Bedrock API error codes" and AWS "Common errors". Retry advice: botocore's
//! `standard` mode reads `x-amz-retry-after`, in milliseconds.

use std::borrow::Cow;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use message::{AuthFault, Dialect, ErrorKind, Failure, Retry};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Whole, retry_after};

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("x-amz-retry-after");

/// Most characters of an upstream's own message that are shown on.
const MESSAGE_CHARS_MAX: usize = 2000;

/// The whole response for a failure, retry advice included.
pub fn whole(failure: &Failure) -> Whole {
    let (status, code) = class(failure.kind);
    let mut headers = vec![
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (ERROR_TYPE, HeaderValue::from_static(code)),
    ];
    if let Retry::After(delay) = failure.retry {
        headers.push((RETRY_AFTER_MS, number(delay.as_millis().try_into().unwrap_or(u64::MAX))));
    }
    if let Some(seconds) = retry_after::for_client_s(failure) {
        headers.push((header::RETRY_AFTER, number(seconds)));
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

/// An upstream's unsuccessful response, understood.
pub(super) fn understand(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
    let told: Told = serde_json::from_slice(body).unwrap_or_default();
    let header = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let name = header(&ERROR_TYPE).or(told.kind.as_deref()).or(told.code.as_deref()).unwrap_or_default();
    let failure = failure(name, Some(status), told.message.as_deref().unwrap_or_default());
    // A wait on a refused request would only repeat the refusal.
    if failure.retry == Retry::No {
        return failure;
    }
    match retry_after::read(headers) {
        Some(wait) => failure.with_retry(Retry::After(wait)),
        None => failure,
    }
}

/// An exception inside a stream, by the name in its frame's headers.
pub(super) fn in_stream(name: &str, payload: &[u8]) -> Failure {
    let told: Told = serde_json::from_slice(payload).unwrap_or_default();
    let message = told.message.or(told.original_message).unwrap_or_default();
    failure(name, told.original_status_code.and_then(|code| StatusCode::from_u16(code).ok()), &message)
}

/// What errors say of themselves; the service's spellings differ.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Told {
    #[serde(alias = "Message")]
    message: Option<String>,
    #[serde(rename = "__type")]
    kind: Option<String>,
    code: Option<String>,
    #[serde(rename = "originalMessage")]
    original_message: Option<String>,
    #[serde(rename = "originalStatusCode")]
    original_status_code: Option<u16>,
}

fn failure(name: &str, status: Option<StatusCode>, message: &str) -> Failure {
    // `ns#Name` and `Name:http://…` are the same name.
    let name = name.rsplit('#').next().unwrap_or_default();
    let name = name.split(':').next().unwrap_or_default().trim();
    let kind = kind(name, status, message);
    let mut shown: String = message.chars().take(MESSAGE_CHARS_MAX).collect();
    if shown.trim().is_empty() {
        shown = match (name, status) {
            ("", Some(status)) => format!("Bedrock answered {status} without saying why"),
            ("", None) => "Bedrock reported an error without saying which".to_owned(),
            (name, _) => format!("Bedrock answered {name:.64} without saying why"),
        };
    }
    if kind == ErrorKind::Upstream && is_ours(name, status) {
        // The credential, or the account behind it, is this server's: what was said about
        // it is for the log.
        let told = "Bedrock refused this server's own credential or its access to the model; the operator must see to it";
        return Failure::new(kind, told).with_retry(Retry::No).with_cause(shown);
    }
    Failure::new(kind, shown)
}

/// Errors that speak of the credential, not of the request.
fn is_ours(name: &str, status: Option<StatusCode>) -> bool {
    const OURS: [&str; 9] = [
        "accessdeniedexception",
        "unrecognizedclientexception",
        "invalidsignatureexception",
        "incompletesignatureexception",
        "incompletesignature",
        "missingauthenticationtokenexception",
        "expiredtokenexception",
        "invalidclienttokenid",
        "requestexpired",
    ];
    let unnamed = name.is_empty() && matches!(status.map(|status| status.as_u16()), Some(401 | 403));
    unnamed || OURS.contains(&name.to_ascii_lowercase().as_str())
}

/// The name decides where there is one; its case differs between heads and streams.
fn kind(name: &str, status: Option<StatusCode>, message: &str) -> ErrorKind {
    if is_ours(name, status) {
        return ErrorKind::Upstream;
    }
    let invalid =
        || if speaks_of_context(message) { ErrorKind::ContextOverflow } else { ErrorKind::InvalidRequest };
    match name.to_ascii_lowercase().as_str() {
        "validationexception" | "conflictexception" => invalid(),
        "resourcenotfoundexception" | "unknownoperationexception" => ErrorKind::NotFound,
        "throttlingexception" | "toomanyrequestsexception" | "servicequotaexceededexception" => {
            ErrorKind::RateLimited
        }
        "modeltimeoutexception" => ErrorKind::Timeout,
        "modelnotreadyexception" => ErrorKind::Overloaded,
        "serviceunavailableexception" => ErrorKind::Unavailable,
        "internalserverexception" | "modelerrorexception" | "modelstreamerrorexception" => {
            ErrorKind::Upstream
        }
        _ => match status.map(|status| status.as_u16()) {
            Some(400 | 422) => invalid(),
            Some(404) => ErrorKind::NotFound,
            Some(408 | 504) => ErrorKind::Timeout,
            Some(413) => ErrorKind::TooLarge,
            Some(429) => ErrorKind::RateLimited,
            Some(503) => ErrorKind::Unavailable,
            Some(529) => ErrorKind::Overloaded,
            _ => ErrorKind::Upstream,
        },
    }
}

fn speaks_of_context(message: &str) -> bool {
    const WORDS: [&str; 5] = [
        "Input is too long",
        "prompt is too long",
        "too many input tokens",
        "exceed context limit",
        "maximum context length",
    ];
    WORDS.iter().any(|words| message.contains(words))
}

fn number(value: u64) -> HeaderValue {
    HeaderValue::from(value)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
        assert_eq!(header(&plain, "retry-after"), Some("1"), "e2: a busy server always says when");
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
    fn s18_every_exception_written_is_understood_again() {
        for kind in KINDS.into_iter().filter(|kind| !matches!(kind, ErrorKind::Unauthenticated(_))) {
            let failure = Failure::new(kind, "m");
            let mut headers = HeaderMap::new();
            let Whole { status, body, headers: written } = whole(&failure);
            headers.extend(written);
            let read = understand(status, &headers, &body);
            // One name stands for several kinds; Bedrock's own refusals are not the client's.
            let expected = match kind {
                ErrorKind::Unsupported | ErrorKind::TooLarge => ErrorKind::InvalidRequest,
                ErrorKind::PermissionDenied | ErrorKind::Internal => ErrorKind::Upstream,
                ErrorKind::Overloaded => ErrorKind::Unavailable,
                kind => kind,
            };
            assert_eq!(read.kind, expected, "{kind:?}");
            let (name, payload) = exception(&failure, Dialect::BedrockInvoke);
            let read = in_stream(name, payload.to_string().as_bytes());
            assert_eq!(
                read.retry == Retry::Yes,
                failure.retry == Retry::Yes || kind == ErrorKind::Internal,
                "{kind:?}"
            );
        }
    }

    #[test]
    fn e1_retry_advice_is_believed() {
        let mut headers = HeaderMap::new();
        headers.insert("x-amzn-errortype", HeaderValue::from_static("ThrottlingException:http://internal"));
        headers.insert("retry-after", HeaderValue::from_static("3"));
        let read = |headers: &HeaderMap| {
            understand(StatusCode::TOO_MANY_REQUESTS, headers, b"{\"message\":\"slow\"}")
        };
        assert_eq!(read(&headers).retry, Retry::After(Duration::from_secs(3)));
        headers.insert("x-amz-retry-after", HeaderValue::from_static("250"));
        let failure = read(&headers);
        assert_eq!(failure.retry, Retry::After(Duration::from_millis(250)));
        assert_eq!((failure.kind, failure.message.as_str()), (ErrorKind::RateLimited, "slow"));
    }

    #[test]
    fn our_own_credential_is_not_the_clients_fault() {
        let body = br#"{"message":"The security token included in the request is invalid.","__type":"com.amazon.coral.service#UnrecognizedClientException"}"#;
        let failure = understand(StatusCode::FORBIDDEN, &HeaderMap::new(), body);
        assert_eq!((failure.kind, failure.retry), (ErrorKind::Upstream, Retry::No));
        assert!(!failure.message.contains("token"), "{failure}");
    }

    #[test]
    fn what_is_not_said_is_not_made_up() {
        for (status, body, kind) in [
            (400, &b"{}"[..], ErrorKind::InvalidRequest),
            (400, b"{\"message\":\"Input is too long for requested model.\"}", ErrorKind::ContextOverflow),
            (403, b"<html>", ErrorKind::Upstream),
            (503, b"", ErrorKind::Unavailable),
            (500, b"[1]", ErrorKind::Upstream),
        ] {
            let failure = understand(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), body);
            assert_eq!(failure.kind, kind, "{status}");
            assert!(!failure.message.is_empty());
        }
    }

    #[test]
    fn the_private_cause_is_never_shown() {
        let failure = Failure::internal("password=hunter2");
        let body = whole(&failure).body;
        assert!(!String::from_utf8_lossy(&body).contains("hunter2"));
    }
}
