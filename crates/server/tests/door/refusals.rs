//! What is refused, in whose words; and the paths that need no key.

use crate::support::*;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use message::{ErrorKind, Failure};
use serde_json::Value;
use server::{Auth, Config, Gateway, Listeners, Ready, ServeError, Trigger};

#[tokio::test]
async fn health_needs_no_key() {
    let server = start(config(), hello()).await;
    for (path, word) in [("/livez", "live"), ("/readyz", "ready"), ("/", "outcrop")] {
        for method in ["GET", "HEAD"] {
            let request = Request::builder().method(method).uri(path).header("host", "x");
            let request = request.body(Full::default()).unwrap();
            let (status, headers, body) = read(h1(server.clear, request).await).await;
            assert_eq!(status, 200, "{method} {path}");
            assert!(headers.contains_key("x-request-id"));
            assert_eq!(body.contains(word), method == "GET", "{method} {path}: {body}");
        }
    }
}

#[tokio::test]
async fn readyz_says_what_is_missing() {
    let config = config();
    let listeners = Listeners::bind(&config, None).await.unwrap();
    let address = listeners.address();
    let gateway = Gateway {
        service: hello(),
        auth: Auth::Dev,
        cards: std::sync::Arc::new(|| std::sync::Arc::from([])),
        readiness: std::sync::Arc::new(|| Ready {
            waiting_for: vec!["model `m` is loading".to_owned()],
            models: vec![("n".to_owned(), "asleep".to_owned())],
        }),
        responses: None,
    };
    let (_trigger, shutdown) = Trigger::new();
    tokio::spawn(server::serve(config, listeners, gateway, shutdown));
    let request = Request::get("/readyz").header("host", "x").body(Full::default()).unwrap();
    let (status, _, body) = read(h1(address, request).await).await;
    assert_eq!(status, 503);
    assert!(body.contains("model `m` is loading"), "{body}");
    assert!(body.contains(r#""models":{"n":"asleep"}"#), "{body}");
}

#[tokio::test]
async fn strange_requests_are_answered_in_json_never_a_hang() {
    let server = start(config(), hello()).await;
    for (method, path) in [
        ("OPTIONS", "/v1/chat/completions"),
        ("OPTIONS", "*"),
        ("HEAD", "/v1/chat/completions"),
        ("GET", "/v1/chat/completions"),
        ("DELETE", "/v1/messages"),
        ("PUT", "/model/m/converse"),
        ("GET", "/favicon.ico"),
        ("POST", "/"),
        ("BREW", "/coffee"),
        ("GET", "//v1//models"),
        ("POST", "/model/%2e%2e/converse/../../x"),
        ("GET", "/%00%ff?a=%zz"),
    ] {
        let request = Request::builder().method(method).uri(path).header("host", "x");
        let request = request.header("authorization", format!("Bearer {BEARER}")).body(Full::default());
        let (status, headers, body) = read(h1(server.clear, request.unwrap()).await).await;
        assert!(status.is_client_error() || status == 501, "{method} {path}: {status} {body}");
        assert!(headers.contains_key("x-request-id"), "{method} {path}");
        if method != "HEAD" {
            serde_json::from_str::<Value>(&body).unwrap_or_else(|_| panic!("{method} {path}: {body}"));
        }
    }
}

/// One failure of each kind, and the status and words with which each dialect's SDK
/// raises its typed exception.
#[tokio::test]
async fn each_failure_is_told_in_each_dialect() {
    let kinds: [(ErrorKind, [&str; 3]); 8] = [
        (
            ErrorKind::InvalidRequest,
            ["invalid_request_error", "invalid_request_error", "ValidationException"],
        ),
        (
            ErrorKind::ContextOverflow,
            ["context_length_exceeded", "invalid_request_error", "ValidationException"],
        ),
        (ErrorKind::PermissionDenied, ["permission", "permission_error", "AccessDeniedException"]),
        (ErrorKind::NotFound, ["not_found", "not_found_error", "ResourceNotFoundException"]),
        (ErrorKind::RateLimited, ["rate_limit", "rate_limit_error", "ThrottlingException"]),
        (ErrorKind::Overloaded, ["error", "overloaded_error", "ServiceUnavailableException"]),
        (ErrorKind::Unavailable, ["error", "error", "ServiceUnavailableException"]),
        (ErrorKind::Internal, ["error", "api_error", "InternalServerException"]),
    ];
    for (kind, words) in kinds {
        let server = start(config(), failing(Failure::new(kind, "because so"))).await;
        for (ask, word) in [openai, anthropic, converse].into_iter().zip(words) {
            let (status, headers, body) = read(h1(server.clear, ask(false)).await).await;
            assert!(status.is_client_error() || status.is_server_error(), "{kind:?} {status}");
            let told = format!("{body}{:?}", headers.get("x-amzn-errortype"));
            assert!(told.contains(word) && body.contains("because so"), "{kind:?}: {status} {told}");
        }
    }
}

#[tokio::test]
async fn bad_keys_are_told_apart_in_each_dialect() {
    let server = start(config(), hello()).await;
    for (ask, word) in [
        (openai as fn(bool) -> Request<Full<Bytes>>, "invalid_api_key"),
        (anthropic, "authentication_error"),
        (converse, "UnrecognizedClientException"),
    ] {
        let mut request = ask(false);
        request.headers_mut().insert("authorization", "Bearer wrong".parse().unwrap());
        let (status, headers, body) = read(h1(server.clear, request).await).await;
        let told = format!("{body}{:?}", headers.get("x-amzn-errortype"));
        assert!(status == 401 || status == 403, "{status}");
        assert!(told.contains(word), "{told}");
        assert!(!body.contains("Bearer wrong"), "{body}");

        let mut request = ask(false);
        request.headers_mut().remove("authorization");
        let (status, _, body) = read(h1(server.clear, request).await).await;
        assert!((status == 401 || status == 403) && body.contains("no credential"), "{status} {body}");
    }
}

#[tokio::test]
async fn bad_bodies_name_the_field() {
    let server = start(config(), reading()).await;
    for (path, body, word) in [
        (OPENAI, r#"{"model":"m","messages":[}"#, "JSON"),
        (OPENAI, r#"{"model":"m","messages":[{"role":"user","content":7}]}"#, "messages.0.content"),
        (ANTHROPIC, r#"{"model":"m","max_tokens":5,"messages":[{"role":"user","content":7}]}"#, "messages.0"),
        (CONVERSE, r#"{"messages":[{"role":"user","content":"text"}]}"#, "messages.0.content"),
    ] {
        let (status, _, text) = read(h1(server.clear, ask(path, body)).await).await;
        assert_eq!(status, 400, "{path}: {text}");
        assert!(text.contains(word), "{path}: {text}");
    }
}

/// A service that decodes what it is asked, as the engine does.
fn reading() -> message::BoxService {
    message::BoxService::new(message::service_fn(|call: message::Call| async move {
        call.chat()?;
        Ok(reply(Box::pin(futures_util::stream::iter(text_events(&["ok"]).into_iter().map(Ok)))))
    }))
}

#[tokio::test]
async fn nesting_without_end_is_refused() {
    let server = start(config(), reading()).await;
    for open in ["[", "{\"a\":"] {
        let body = format!(r#"{{"model":"m","messages":{}"#, open.repeat(1_000_000));
        let (status, ..) = read(h1(server.clear, ask(OPENAI, body)).await).await;
        assert_eq!(status, 400);
    }
}

#[tokio::test]
async fn models_are_listed() {
    let server = start(config(), hello()).await;
    for path in ["/v1/models", "/v1/models/m", "/foundation-models", "/openai/v1/models"] {
        let mut request = ask(path, "");
        *request.method_mut() = http::Method::GET;
        let (status, _, body) = read(h1(server.clear, request).await).await;
        assert_eq!(status, 200, "{path}: {body}");
        assert!(body.contains("\"m\""), "{path}: {body}");
    }
}

#[tokio::test]
async fn dev_mode_takes_anybody() {
    let server = start_as(config(), Auth::Dev, hello()).await;
    for credential in [None, Some("Bearer whatever"), Some("AWS4-HMAC-SHA256 nonsense")] {
        let mut request = openai(false);
        request.headers_mut().remove("authorization");
        if let Some(credential) = credential {
            request.headers_mut().insert("authorization", credential.parse().unwrap());
        }
        assert_eq!(h1(server.clear, request).await.status(), 200, "{credential:?}");
    }
}

#[tokio::test]
async fn dev_mode_refuses_addresses_others_can_reach() {
    let config = Config { listen: "0.0.0.0:0".parse().unwrap(), ..config() };
    let listeners = Listeners::bind(&config, None).await.unwrap();
    let gateway = Gateway {
        service: hello(),
        auth: Auth::Dev,
        cards: std::sync::Arc::new(|| std::sync::Arc::from([])),
        readiness: std::sync::Arc::new(Ready::default),
        responses: None,
    };
    let (_trigger, shutdown) = Trigger::new();
    let refused = server::serve(config, listeners, gateway, shutdown).await.unwrap_err();
    assert!(matches!(refused, ServeError::DevNotLoopback(_)), "{refused}");
}

#[tokio::test]
async fn a_taken_port_is_told() {
    let first = Listeners::bind(&config(), None).await.unwrap();
    let config = Config { listen: first.address(), ..config() };
    let Err(refused) = Listeners::bind(&config, None).await else { panic!("bound twice") };
    assert!(refused.to_string().contains("is another server running"), "{refused}");
}

#[tokio::test]
async fn credentials_go_no_further_than_the_door() {
    let (service, mut calls) = fed();
    let server = start(config(), service).await;
    let mut request = openai(true);
    for name in ["x-api-key", "cookie", "proxy-authorization", "x-amz-security-token"] {
        request.headers_mut().insert(name, "s3cret".parse().unwrap());
    }
    request.headers_mut().insert("x-kept", "kept".parse().unwrap());
    let asking = tokio::spawn(h1(server.clear, request));
    let (call, _feed) = within(calls.recv()).await.unwrap();
    assert_eq!(call.headers["x-kept"], "kept");
    assert!(!format!("{:?}", call.headers).contains("s3cret"));
    assert!(!format!("{:?}", call.headers).contains(BEARER));
    assert_eq!(&*call.principal.key_id, "key_test");
    asking.abort();
}

/// A service that cannot express one field: it asks the call, as every target does.
fn losing() -> message::BoxService {
    message::BoxService::new(message::service_fn(|call: message::Call| async move {
        let dropped = vec![message::Dropped { path: "top_k".to_owned(), why: "unknown there" }];
        call.accept(&dropped)?;
        let events = text_events(&["Hello"]).into_iter().map(Ok);
        Ok(message::Reply { dropped, ..reply(Box::pin(futures_util::stream::iter(events))) })
    }))
}

#[tokio::test]
async fn a_strict_caller_is_refused_at_every_door() {
    let server = start(config(), losing()).await;
    let messages = r#""messages":[{"role":"user","content":"hi"}]"#;
    let doors = [
        ("/v1/chat/completions", format!(r#"{{"model":"m",{messages}}}"#)),
        ("/v1/messages", format!(r#"{{"model":"m","max_tokens":5,{messages}}}"#)),
        ("/model/m/converse", r#"{"messages":[{"role":"user","content":[{"text":"hi"}]}]}"#.to_owned()),
        ("/v1/responses", r#"{"model":"m","input":"hi"}"#.to_owned()),
    ];
    for (path, body) in &doors {
        for (strict, expected) in [(None, 200), (Some("0"), 200), (Some("1"), 400)] {
            let mut request = Request::post(*path)
                .header("host", "x")
                .header("content-type", "application/json")
                .header("authorization", format!("Bearer {BEARER}"));
            if let Some(strict) = strict {
                request = request.header("x-outcrop-strict", strict);
            }
            let request = request.body(Full::from(Bytes::from(body.clone()))).unwrap();
            let (status, headers, body) = read(h1(server.clear, request).await).await;
            assert_eq!(status, expected, "{path} {strict:?}: {body}");
            match expected {
                200 => assert_eq!(headers["x-outcrop-dropped"], "top_k (unknown there)", "{path}"),
                _ => assert!(body.contains("top_k: unknown there"), "{path}: {body}"),
            }
        }
    }
}
