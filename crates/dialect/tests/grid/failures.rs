//! Failures: what a server refuses with, as every client hears it, before and within an answer.

use std::fmt::Write as _;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode};
use message::{Dialect, ErrorKind, Failure, RequestId, Retry};
use serde_json::{Value, json};

use crate::wire::{call, target, timeless, unframe};
use crate::{CLIENTS, DIALECTS};

/// How a server of each dialect words a refusal: its body.
fn refusal(server: Dialect, status: u16) -> Value {
    let (anthropic, aws, google, openai) = match status {
        400 => ("invalid_request_error", "ValidationException", "INVALID_ARGUMENT", "invalid_request_error"),
        401 => ("authentication_error", "UnrecognizedClientException", "UNAUTHENTICATED", "invalid_api_key"),
        403 => ("permission_error", "AccessDeniedException", "PERMISSION_DENIED", "permission_denied"),
        404 => ("not_found_error", "ResourceNotFoundException", "NOT_FOUND", "model_not_found"),
        413 => {
            ("request_too_large", "RequestEntityTooLargeException", "INVALID_ARGUMENT", "request_too_large")
        }
        429 => ("rate_limit_error", "ThrottlingException", "RESOURCE_EXHAUSTED", "rate_limit_exceeded"),
        500 => ("api_error", "InternalServerException", "INTERNAL", "server_error"),
        503 => ("api_error", "ServiceUnavailableException", "UNAVAILABLE", "server_error"),
        _ => ("overloaded_error", "ModelNotReadyException", "UNAVAILABLE", "overloaded"),
    };
    match server {
        Dialect::Anthropic => json!({"type": "error", "error": {"type": anthropic, "message": "so it is"}}),
        Dialect::BedrockConverse | Dialect::BedrockInvoke => json!({"message": "so it is", "__type": aws}),
        Dialect::Gemini => json!({"error": {"code": status, "message": "so it is", "status": google}}),
        _ => json!({"error": {"message": "so it is", "type": openai, "param": null, "code": openai}}),
    }
}

const STATUSES: [u16; 9] = [400, 401, 403, 404, 413, 429, 500, 503, 529];

/// The hub's word for a status, whoever says it. A refused credential is ours, not the
/// client's: it must not look like the client's own.
fn kind(status: u16) -> &'static [ErrorKind] {
    match status {
        400 => &[ErrorKind::InvalidRequest],
        401 | 403 => &[ErrorKind::Upstream, ErrorKind::PermissionDenied],
        404 => &[ErrorKind::NotFound],
        413 => &[ErrorKind::TooLarge, ErrorKind::InvalidRequest],
        429 => &[ErrorKind::RateLimited],
        500 => &[ErrorKind::Upstream],
        503 => &[ErrorKind::Unavailable, ErrorKind::Overloaded, ErrorKind::Upstream],
        _ => &[ErrorKind::Overloaded],
    }
}

#[test]
fn e1_refusals_are_understood_and_told_in_the_clients_own_words() {
    let mut table = String::new();
    for server in DIALECTS {
        for status in STATUSES {
            let mut headers = HeaderMap::new();
            if matches!(status, 429 | 503 | 529) {
                headers.insert("retry-after", HeaderValue::from_static("7"));
            }
            let body = refusal(server, status).to_string();
            let code = StatusCode::from_u16(status).unwrap();
            let failure = target(server).failure(code, &headers, body.as_bytes());
            assert!(kind(status).contains(&failure.kind), "{server} {status}: {:?}", failure.kind);
            if status != 401 && status != 403 {
                assert!(failure.message.contains("so it is"), "{server} {status}: {failure}");
            }
            if matches!(status, 429 | 503 | 529) {
                assert_eq!(failure.retry, Retry::After(Duration::from_secs(7)), "{server} {status}");
            }
            writeln!(table, "{server} {status} = {:?}: {failure}", failure.kind).unwrap();
            for client in CLIENTS {
                let told = dialect::failure(client, &failure, &RequestId::new("r"));
                if matches!(status, 429 | 503 | 529) {
                    let wait = told.headers.iter().find(|(name, _)| name == "retry-after");
                    assert_eq!(
                        wait.map(|(_, value)| value.as_bytes()),
                        Some(&b"7"[..]),
                        "{server} {status} {client}"
                    );
                }
                let body = String::from_utf8_lossy(&told.body);
                writeln!(table, "    {client} {} {body}", told.status.as_u16()).unwrap();
            }
        }
    }
    insta::assert_snapshot!(table);
}

/// A time-out and a cut, before and within a stream.
#[test]
fn s14_s18_failures_within_a_stream_end_it_in_the_clients_own_words() {
    let requests: Value = serde_json::from_str(include_str!("requests/text.json")).expect("JSON");
    let mut table = String::new();
    for kind in [
        ErrorKind::Timeout,
        ErrorKind::Upstream,
        ErrorKind::Overloaded,
        ErrorKind::RateLimited,
        ErrorKind::Internal,
    ] {
        let failure = Failure::new(kind, "so it is");
        for client in CLIENTS {
            let asked = call(client, &requests[client.name()], true).expect("a good request");
            let mut encoder = dialect::reply_encoder(&asked);
            let mut out = Vec::new();
            encoder.failure(&failure, &mut out);
            let whole = dialect::failure(client, &failure, &RequestId::new("r"));
            writeln!(
                table,
                "{kind:?} {client}: {} | {}",
                whole.status.as_u16(),
                timeless(unframe(client, &out))
            )
            .unwrap();
        }
    }
    insta::assert_snapshot!(table);
}
