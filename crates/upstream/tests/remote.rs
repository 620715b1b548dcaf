//! Calls sent to a scripted model server: forwarded, translated, refused, cut, late.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::StreamExt;
use http::HeaderMap;
use message::{
    Call, Dialect, ErrorKind, Event, Failure, FinishReason, Form, NewCall, Operation, Principal, RequestId,
    Retry, Service,
};
use tokio::sync::watch;
use upstream::scripted::{Script, Scripted, Step};
use upstream::{Provider, Remote, Transport};

const OPENAI_WHOLE: &str = r#"{"id":"c1","object":"chat.completion","created":1,"model":"theirs","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}"#;

const OPENAI_STREAM: [&str; 4] = [
    "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"theirs\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hel\"},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"theirs\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo\"},\"finish_reason\":null}]}\n\n",
    "data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"theirs\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2,\"total_tokens\":7}}\n\n",
    "data: [DONE]\n\n",
];

const ANTHROPIC_STREAM: [&str; 6] = [
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"theirs\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":5,\"output_tokens\":1}}}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello\"}}\n\n",
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":2}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
];

fn provider(dialect: &str, url: &str, more: &str) -> Provider {
    toml::from_str(&format!(
        "dialect = '{dialect}'\nbase_url = '{url}'\nauth.value = 'upstream-s3cret'\n{more}"
    ))
    .unwrap()
}

fn remote(dialect: &str, url: &str, more: &str) -> Remote {
    let transport = Transport::open("p", &provider(dialect, url, more)).unwrap();
    Remote::new(&transport, "theirs")
}

fn call(dialect: Dialect, stream: bool) -> Call {
    let body = format!(
        r#"{{ "model" : "mine", "stream":{stream}, "max_tokens":9,  "messages":[{{"role":"user","content":"hi"}}]}}"#
    );
    let inbound = dialect::inbound(dialect, Operation::Chat, None, stream, body.as_bytes()).unwrap();
    Call::new(NewCall {
        id: RequestId::new("id"),
        operation: Operation::Chat,
        dialect,
        head: inbound.head,
        body: Bytes::from(body),
        headers: Arc::new(HeaderMap::new()),
        principal: Principal { key_id: "key".into(), name: "key".into() },
        received: Instant::now(),
        strict: false,
        decode: inbound.decode,
    })
}

fn openai(stream: bool) -> Call {
    call(Dialect::OpenAiChat, stream)
}

/// All events, and the failure that ended them, if one did.
async fn gather(remote: &Remote, call: Call) -> (Vec<Event>, Option<Failure>) {
    let reply = match remote.call(call).await {
        Ok(reply) => reply,
        Err(failure) => return (Vec::new(), Some(failure)),
    };
    let mut events = Vec::new();
    let mut stream = reply.events;
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => events.push(event),
            Err(failure) => {
                assert!(stream.next().await.is_none(), "nothing follows a failure");
                return (events, Some(failure));
            }
        }
    }
    (events, None)
}

fn forwarded(events: &[Event]) -> String {
    let bytes: Vec<u8> = events
        .iter()
        .flat_map(|event| match event {
            Event::Frame(frame) => frame.bytes.to_vec(),
            other => panic!("not a frame: {other:?}"),
        })
        .collect();
    String::from_utf8(bytes).unwrap()
}

fn finish(events: &[Event]) -> Option<FinishReason> {
    events.iter().find_map(|event| match event {
        Event::Frame(frame) => frame.seen.as_ref().and_then(|seen| seen.finish.clone()),
        Event::Finish { reason, .. } => Some(reason.clone()),
        _ => None,
    })
}

#[tokio::test]
async fn the_same_dialect_is_forwarded_with_only_the_model_name_changed() {
    let server = Scripted::always(Script::json(200, OPENAI_WHOLE)).await;
    let url = format!("{}/v1", server.url());
    let (events, failure) = gather(&remote("openai", &url, "headers.x-team = 'search'"), openai(false)).await;
    assert_eq!(failure, None);
    assert_eq!(forwarded(&events), OPENAI_WHOLE);
    let received = server.received().remove(0);
    assert_eq!(received.line, "POST /v1/chat/completions");
    assert_eq!(
        received.body,
        r#"{ "model" : "theirs", "stream":false, "max_tokens":9,  "messages":[{"role":"user","content":"hi"}]}"#
    );
    assert_eq!(received.headers["authorization"], "Bearer upstream-s3cret");
    assert_eq!(received.headers["x-team"], "search");
    assert_eq!(received.headers["content-length"], received.body.len().to_string());
    assert!(received.headers["host"].to_str().unwrap().starts_with("127.0.0.1:"));
}

#[tokio::test]
async fn a_stream_is_forwarded_as_it_came_however_it_is_cut() {
    for script in [Script::sse(OPENAI_STREAM), Script::sse(OPENAI_STREAM).byte_by_byte()] {
        let server = Scripted::always(
            script.header("openai-version", "x").header("x-secret", "y").header("x-request-id", "r1"),
        )
        .await;
        let remote = remote("openai", &server.url(), "");
        let reply = remote.call(openai(true)).await.unwrap();
        assert_eq!(reply.provider_request_id.as_deref(), Some("r1"));
        let Form::Home { status, headers } = &reply.form else { panic!("{reply:?}") };
        assert_eq!(*status, 200);
        assert_eq!(headers["openai-version"], "x");
        assert!(!headers.contains_key("x-secret"));
        let events: Vec<_> = reply.events.map(Result::unwrap).collect().await;
        assert_eq!(forwarded(&events), OPENAI_STREAM.concat());
        assert_eq!(finish(&events), Some(FinishReason::EndTurn));
    }
}

#[tokio::test]
async fn another_dialect_is_translated() {
    let server = Scripted::always(Script::sse(ANTHROPIC_STREAM).byte_by_byte()).await;
    let remote = remote("anthropic", &server.url(), "");
    let reply = remote.call(openai(true)).await.unwrap();
    assert_eq!(reply.form, Form::Events);
    assert_eq!(&*reply.model, "theirs");
    let events: Vec<_> = reply.events.map(Result::unwrap).collect().await;
    assert_eq!(finish(&events), Some(FinishReason::EndTurn));
    let received = server.received().remove(0);
    assert_eq!(received.line, "POST /v1/messages");
    assert_eq!(received.headers["x-api-key"], "upstream-s3cret");
    assert!(received.headers.contains_key("anthropic-version"));
    let body: serde_json::Value = serde_json::from_slice(&received.body).unwrap();
    assert_eq!(body["model"], "theirs");
}

#[tokio::test]
async fn refusals_are_understood() {
    let openai_error = |kind: &str| format!(r#"{{"error":{{"message":"because","type":"{kind}"}}}}"#);
    let limited = Script::json(429, openai_error("rate_limit_error"))
        .header("retry-after", "7")
        .header("x-request-id", "req_1");
    let server = Scripted::always(limited).await;
    let (_, failure) = gather(&remote("openai", &server.url(), ""), openai(true)).await;
    let failure = failure.unwrap();
    assert_eq!(failure.kind, ErrorKind::RateLimited);
    assert_eq!(failure.retry, Retry::After(Duration::from_secs(7)));
    assert_eq!(failure.provider_request_id.as_deref(), Some("req_1"));

    let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let server = Scripted::always(Script::json(529, overloaded)).await;
    let (_, failure) = gather(&remote("anthropic", &server.url(), ""), call(Dialect::Anthropic, true)).await;
    assert_eq!(failure.unwrap().kind, ErrorKind::Overloaded);

    let server = Scripted::always(Script::json(400, openai_error("invalid_request_error"))).await;
    let (_, failure) = gather(&remote("openai", &server.url(), ""), openai(false)).await;
    assert_eq!(failure.unwrap().kind, ErrorKind::InvalidRequest);
}

#[tokio::test]
async fn a_refused_credential_of_ours_is_not_the_clients_fault() {
    let echo =
        r#"{"error":{"message":"Incorrect API key provided: upstream-s3cret","code":"invalid_api_key"}}"#;
    for status in [401, 403] {
        let server = Scripted::always(Script::json(status, echo)).await;
        let (_, failure) = gather(&remote("openai", &server.url(), ""), openai(false)).await;
        let failure = failure.unwrap();
        assert_eq!(failure.kind, ErrorKind::Upstream);
        assert_eq!(failure.retry, Retry::No);
        assert!(failure.message.contains("this gateway's credential"), "{failure}");
        assert!(!failure.message.contains("s3cret"), "{failure}");
    }
}

#[tokio::test]
async fn an_error_body_is_read_only_so_far() {
    let endless = Script::json(500, vec![b'x'; 1 << 20]).then(Step::Stall);
    let server = Scripted::always(endless).await;
    let remote = remote("openai", &server.url(), "limits.error_max_bytes = 1000");
    let (_, failure) = gather(&remote, openai(false)).await;
    let failure = failure.unwrap();
    assert_eq!(failure.kind, ErrorKind::Upstream);
    assert!(failure.message.len() < 3000, "{}", failure.message.len());
    server.abandoned(1).await;

    let silent = Script::json(500, "").then(Step::Stall);
    let server = Scripted::always(silent).await;
    let remote = self::remote("openai", &server.url(), "timeouts.error_body_ms = 50");
    let (_, failure) = gather(&remote, openai(false)).await;
    assert_eq!(failure.unwrap().kind, ErrorKind::Upstream);
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let server = Scripted::always(Script::json(307, "").header("location", "http://127.0.0.1:1/")).await;
    let (_, failure) = gather(&remote("openai", &server.url(), ""), openai(false)).await;
    let failure = failure.unwrap();
    assert_eq!(failure.kind, ErrorKind::Upstream);
    assert!(failure.message.contains("redirect"), "{failure}");
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn a_cut_stream_is_a_failure_after_what_came() {
    for pieces in 1..=2 {
        let mut script = Script::sse(OPENAI_STREAM.into_iter().take(pieces));
        let clean_end = script.clone();
        script = script.then(Step::Send(Bytes::from_static(b"data: {\"id\":\"c1\",\"ob"))).then(Step::Cut);
        for script in [script, clean_end] {
            let server = Scripted::always(script).await;
            let (events, failure) = gather(&remote("openai", &server.url(), ""), openai(true)).await;
            assert_eq!(failure.unwrap().kind, ErrorKind::Upstream);
            assert_eq!(forwarded(&events), OPENAI_STREAM[..pieces].concat(), "whole events only");
        }
    }
    let server = Scripted::always(Script::json(200, &OPENAI_WHOLE[..50]).then(Step::Cut)).await;
    let (_, failure) = gather(&remote("openai", &server.url(), ""), openai(false)).await;
    assert_eq!(failure.unwrap().kind, ErrorKind::Upstream);
}

#[tokio::test]
async fn an_error_late_in_a_stream_is_the_providers_own() {
    let late = "data: {\"error\":{\"message\":\"fell over\",\"type\":\"server_error\"}}\n\n";
    let server = Scripted::always(Script::sse([OPENAI_STREAM[0], late, OPENAI_STREAM[1]])).await;
    let (events, failure) = gather(&remote("openai", &server.url(), ""), openai(true)).await;
    assert!(failure.unwrap().message.contains("fell over"));
    assert!(!forwarded(&events).contains("\"lo\""));
}

#[tokio::test]
async fn garbage_is_a_failure_in_words() {
    for garbage in [
        &b"not http at all\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n<html",
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x8b\x08\x00",
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"",
    ] {
        let (url, server) = Scripted::raw(garbage).await;
        for stream in [false, true] {
            let (_, failure) = gather(&remote("openai", &url, ""), openai(stream)).await;
            let failure = failure.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(garbage)));
            assert_eq!(failure.kind, ErrorKind::Upstream, "{failure}");
            assert!(!failure.message.contains("s3cret"));
        }
        server.abort();
    }
}

#[tokio::test]
async fn nobody_there_is_a_failure_worth_a_retry() {
    let (url, server) = Scripted::raw(b"").await;
    server.abort();
    let _ = server.await;
    let (_, failure) = gather(&remote("openai", &url, ""), openai(false)).await;
    let failure = failure.unwrap();
    assert_eq!((failure.kind, failure.retry), (ErrorKind::Upstream, Retry::Yes));
    assert!(failure.message.contains("cannot be reached"), "{failure}");
}

#[tokio::test]
async fn e5_silence_is_bounded_before_and_within_an_answer() {
    let server = Scripted::always(Script::never()).await;
    let never = remote("openai", &server.url(), "timeouts.first_byte_ms = 100");
    let (_, failure) = gather(&never, openai(true)).await;
    let failure = failure.unwrap();
    assert_eq!(failure.kind, ErrorKind::Timeout);
    assert!(failure.message.contains("first_byte_ms"), "{failure}");
    server.abandoned(1).await;

    let server = Scripted::always(Script::sse([OPENAI_STREAM[0]]).then(Step::Stall)).await;
    let stalls = remote("openai", &server.url(), "timeouts.between_ms = 100");
    let (events, failure) = gather(&stalls, openai(true)).await;
    assert_eq!(forwarded(&events), OPENAI_STREAM[0]);
    assert!(failure.unwrap().message.contains("between_ms"));
    server.abandoned(1).await;
}

#[tokio::test]
async fn e7_a_client_that_goes_away_aborts_the_exchange() {
    let server = Scripted::always(Script::sse([OPENAI_STREAM[0]]).then(Step::Stall)).await;
    let remote = remote("openai", &server.url(), "");
    let mut reply = remote.call(openai(true)).await.unwrap();
    reply.events.next().await.unwrap().unwrap();
    drop(reply);
    server.abandoned(1).await;

    let server = Scripted::always(Script::never()).await;
    let remote = self::remote("openai", &server.url(), "");
    let calling = tokio::spawn(async move { remote.call(openai(true)).await });
    while server.connections() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    calling.abort();
    server.abandoned(1).await;
}

#[tokio::test]
async fn a_longer_answer_than_allowed_is_not_taken() {
    let server = Scripted::always(Script::json(200, OPENAI_WHOLE)).await;
    let (_, failure) =
        gather(&remote("openai", &server.url(), "limits.answer_max_bytes = 100"), openai(false)).await;
    assert!(failure.unwrap().message.contains("answer_max_bytes"));
}

#[tokio::test]
async fn connections_are_reused_and_dead_ones_replaced() {
    let server = Scripted::always(Script::json(200, OPENAI_WHOLE)).await;
    let remote = remote("openai", &server.url(), "");
    for _ in 0..5 {
        let (_, failure) = gather(&remote, openai(false)).await;
        assert_eq!(failure, None);
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_pause_is_just_waited_for() {
    let (go, held) = watch::channel(false);
    let script = Script::sse([OPENAI_STREAM[0]]).then(Step::Hold(held));
    let script = OPENAI_STREAM[1..]
        .iter()
        .fold(script, |script, piece| script.then(Step::Send(Bytes::from_static(piece.as_bytes()))));
    let server = Scripted::always(script).await;
    let remote = remote("openai", &server.url(), "");
    let mut events = remote.call(openai(true)).await.unwrap().events;
    let first = events.next().await.unwrap().unwrap();
    assert_eq!(forwarded(&[first]), OPENAI_STREAM[0], "delivered while the rest is not there yet");
    go.send(true).unwrap();
    let rest: Vec<_> = events.map(Result::unwrap).collect().await;
    assert_eq!(forwarded(&rest), OPENAI_STREAM[1..].concat());
}

/// One server, two dialects: each client is spoken to in its own, others in the first.
#[tokio::test]
async fn the_clients_own_dialect_is_spoken_where_the_provider_speaks_it() {
    let server = Scripted::start(|received| match received.line.as_str() {
        "POST /v1/messages" => Script::sse(ANTHROPIC_STREAM),
        "POST /openai/chat/completions" => Script::sse(OPENAI_STREAM),
        line => panic!("{line}"),
    })
    .await;
    let table = format!(
        "dialects = ['anthropic', 'openai-chat']\nbase_url = '{}'\npaths.openai-chat = '/openai'",
        server.url()
    );
    let transport = Transport::open("p", &toml::from_str::<Provider>(&table).unwrap()).unwrap();
    let remote = Remote::new(&transport, "theirs");
    for (dialect, sent, home) in [
        (Dialect::OpenAiChat, "POST /openai/chat/completions", true),
        (Dialect::Anthropic, "POST /v1/messages", true),
    ] {
        let reply = remote.call(call(dialect, true)).await.unwrap();
        assert_eq!(matches!(reply.form, Form::Home { .. }), home, "{dialect}");
        let events: Vec<_> = reply.events.map(Result::unwrap).collect().await;
        assert_eq!(finish(&events), Some(FinishReason::EndTurn));
        assert_eq!(server.received().last().unwrap().line, sent);
    }
}

/// What a target cannot express is refused before anything is sent.
#[tokio::test]
async fn a_strict_call_is_refused_rather_than_answered_to_less() {
    let server = Scripted::always(Script::sse(ANTHROPIC_STREAM)).await;
    let remote = remote("anthropic", &server.url(), "");
    let ask = |strict: bool| {
        let body = r#"{"model":"mine","max_tokens":9,"seed":7,"stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
        let inbound =
            dialect::inbound(Dialect::OpenAiChat, Operation::Chat, None, true, body.as_bytes()).unwrap();
        let plain = openai(true);
        Call::new(NewCall {
            id: plain.id,
            operation: plain.operation,
            dialect: plain.dialect,
            head: inbound.head,
            body: Bytes::from(body),
            headers: plain.headers,
            principal: plain.principal,
            received: plain.received,
            strict,
            decode: inbound.decode,
        })
    };
    let (_, failure) = gather(&remote, ask(true)).await;
    let failure = failure.unwrap();
    assert_eq!((failure.kind, failure.param.as_deref()), (ErrorKind::Unsupported, Some("seed")));
    assert!(server.received().is_empty(), "nothing was sent");
    let reply = remote.call(ask(false)).await.unwrap();
    assert!(reply.dropped.iter().any(|dropped| dropped.path == "seed"), "{:?}", reply.dropped);
    let at_home = self::remote("openai", &server.url(), "");
    assert!(at_home.call(ask(true)).await.is_ok(), "at home nothing is lost");
}

/// The same clock runs for every client's dialect, forwarded or translated.
#[tokio::test]
async fn e5_timeouts_apply_to_every_door() {
    let server = Scripted::always(Script::never()).await;
    for target in ["openai", "anthropic"] {
        let remote = remote(target, &server.url(), "timeouts.first_byte_ms = 60");
        for dialect in [Dialect::OpenAiChat, Dialect::Anthropic] {
            for stream in [false, true] {
                let (_, failure) = gather(&remote, call(dialect, stream)).await;
                let failure = failure.unwrap();
                assert_eq!(failure.kind, ErrorKind::Timeout, "{dialect} to {target}");
            }
        }
    }
}

/// The advice of each refusal is its own: nothing is remembered from one to the next.
#[tokio::test]
async fn e8_a_refusals_wait_is_its_own() {
    let waits = std::sync::Mutex::new(vec![None, Some("9"), None]);
    let server = Scripted::start(move |_| {
        let limited = Script::json(429, r#"{"error":{"message":"slow","type":"rate_limit_error"}}"#);
        match waits.lock().unwrap().pop().unwrap() {
            Some(wait) => limited.header("retry-after", wait),
            None => limited,
        }
    })
    .await;
    let remote = remote("openai", &server.url(), "");
    for expected in [Retry::Yes, Retry::After(Duration::from_secs(9)), Retry::Yes] {
        let (_, failure) = gather(&remote, openai(true)).await;
        assert_eq!(failure.unwrap().retry, expected);
    }
}

/// A key that is rotated in its file is used without a restart.
#[tokio::test]
async fn a_rotated_key_is_sent() {
    let server = Scripted::always(Script::json(200, OPENAI_WHOLE)).await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    std::fs::write(&path, "one").unwrap();
    let table =
        format!("dialect = 'openai-chat'\nbase_url = '{}'\nauth.file = '{}'", server.url(), path.display());
    let transport = Transport::open("p", &toml::from_str::<Provider>(&table).unwrap()).unwrap();
    let remote = Remote::new(&transport, "theirs");
    assert_eq!(gather(&remote, openai(false)).await.1, None);
    assert_eq!(server.received()[0].headers["authorization"], "Bearer one");
    std::fs::write(&path, "two").unwrap();
    let rotated = async {
        while server.received().last().unwrap().headers["authorization"] != "Bearer two" {
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert_eq!(gather(&remote, openai(false)).await.1, None);
        }
    };
    tokio::time::timeout(Duration::from_secs(10), rotated).await.expect("soon");
}
