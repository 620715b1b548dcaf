//! Answers: whole and streamed, early and late failures, clients that go away.

use std::time::Duration;

use crate::support::*;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use message::{
    BoxService, Dropped, ErrorKind, Event, EventStream, Failure, Form, Frame, Operation, Reply, Retry,
    service_fn,
};
use server::Config;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// A dialect's plain request, streamed or not.
type Ask = fn(bool) -> Request<Full<Bytes>>;

const DIALECTS: [(&str, Ask); 3] = [("openai", openai), ("anthropic", anthropic), ("converse", converse)];

/// A service whose streams are made of these items.
fn saying(items: Vec<Result<Event, Failure>>) -> BoxService {
    BoxService::new(service_fn(move |_| {
        let events: EventStream = Box::pin(stream::iter(items.clone()));
        std::future::ready(Ok(reply(events)))
    }))
}

fn broken() -> Failure {
    Failure::new(ErrorKind::Upstream, "the model fell over")
}

#[tokio::test]
async fn every_dialect_is_answered_whole_and_streamed() {
    let server = start(config(), hello()).await;
    for (name, ask) in DIALECTS {
        for stream in [false, true] {
            let (status, headers, body) = read(h1(server.clear, ask(stream)).await).await;
            assert_eq!(status, 200, "{name}: {body}");
            assert!(body.contains("Hello") && body.contains(" there"), "{name}: {body}");
            assert_eq!(headers.contains_key("content-length"), !stream, "{name}");
            assert!(headers.contains_key("x-request-id"), "{name}");
        }
    }
}

#[tokio::test]
async fn the_request_id_is_where_each_vendor_puts_it() {
    let server = start(config(), hello()).await;
    let failing = start(config(), failing(broken())).await;
    for address in [server.clear, failing.clear] {
        for ((_, ask), header) in DIALECTS.into_iter().zip(["x-request-id", "request-id", "x-amzn-requestid"])
        {
            for stream in [false, true] {
                let (_, headers, _) = read(h1(address, ask(stream)).await).await;
                assert_eq!(headers[header], headers["x-request-id"]);
            }
        }
    }
}

#[tokio::test]
async fn s19_an_early_failure_has_its_status_also_when_a_stream_was_asked_for() {
    let refused =
        Failure::new(ErrorKind::RateLimited, "slow down").with_retry(Retry::After(Duration::from_secs(7)));
    let at_once = start(config(), failing(refused.clone())).await;
    let first = start(config(), saying(vec![Err(refused)])).await;
    for address in [at_once.clear, first.clear] {
        for (name, ask) in DIALECTS {
            for stream in [false, true] {
                let (status, headers, body) = read(h1(address, ask(stream)).await).await;
                assert_eq!(status, 429, "{name}: {body}");
                assert!(body.contains("slow down"), "{name}: {body}");
                assert!(headers.contains_key("retry-after"), "{name}: {headers:?}");
            }
        }
    }
}

#[tokio::test]
async fn an_answer_that_ends_before_it_is_whole_is_an_error() {
    let mut events: Vec<_> = text_events(&["Hel"]).into_iter().map(Ok).collect();
    events.pop();
    let server = start(config(), saying(events)).await;
    let empty = start(config(), saying(Vec::new())).await;
    for (name, ask) in DIALECTS {
        let (status, _, body) = read(h1(server.clear, ask(false)).await).await;
        assert!(!status.is_success(), "{name}: {status} {body}");
        let (status, _, body) = read(h1(server.clear, ask(true)).await).await;
        assert_eq!(status, 200, "{name}");
        assert!(body.contains("ended before it was whole"), "{name}: {body}");
        for stream in [false, true] {
            let (status, ..) = read(h1(empty.clear, ask(stream)).await).await;
            assert!(!status.is_success(), "{name}: {status}");
        }
    }
}

#[tokio::test]
async fn a_late_failure_is_the_dialects_terminal_event() {
    let mut events: Vec<_> = text_events(&["Hel"]).into_iter().take(3).map(Ok).collect();
    events.push(Err(broken()));
    events.extend(text_events(&["never said"]).into_iter().map(Ok));
    let server = start(config(), saying(events)).await;
    for ((name, ask), ending) in
        DIALECTS.into_iter().zip(["data: {\"error\"", "event: error", ":exception-type"])
    {
        let (status, _, body) = read(h1(server.clear, ask(true)).await).await;
        assert_eq!(status, 200);
        let said = body.find("Hel").unwrap();
        let failed = body.find("the model fell over").unwrap();
        assert!(said < failed && body.contains(ending), "{name}: {body}");
        assert!(!body.contains("never said") && !body.contains("[DONE]"), "{name}: {body}");
        let (status, ..) = read(h1(server.clear, ask(false)).await).await;
        assert!(!status.is_success(), "{name}");
    }
}

#[tokio::test]
async fn deltas_leave_as_they_come() {
    let (service, mut calls) = fed();
    let server = start(config(), service).await;
    for (name, ask) in DIALECTS {
        let sending = tokio::spawn(h1(server.clear, ask(true)));
        let (_, feed) = within(calls.recv()).await.unwrap();
        let mut events = text_events(&["one", "two", "three"]).into_iter();
        for event in events.by_ref().take(2) {
            feed.send(Ok(event)).await.unwrap();
        }
        let mut body = within(sending).await.unwrap().into_body();
        for word in ["one", "two", "three"] {
            feed.send(Ok(events.next().unwrap())).await.unwrap();
            let mut seen = String::new();
            while !seen.contains(word) {
                let frame = within(body.frame()).await.unwrap_or_else(|| panic!("{name}: ended")).unwrap();
                seen.push_str(&String::from_utf8_lossy(frame.data_ref().unwrap()));
            }
        }
    }
}

/// A pause is filled with what the dialect's clients skip, between whole frames; what came
/// and what comes is as it would be without.
#[tokio::test]
async fn s13_a_silent_stream_says_that_it_lives() {
    let (service, mut calls) = fed();
    let server = start(Config { keepalive_ms: 20, ..config() }, service).await;
    let chunk = r#""choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":null}]"#;
    for ((name, ask), sign) in DIALECTS.into_iter().zip([Some(chunk), Some("event: ping\n"), None]) {
        let sending = tokio::spawn(h1(server.clear, ask(true)));
        let (_, feed) = within(calls.recv()).await.unwrap();
        let mut events = text_events(&["one", "two"]).into_iter();
        for event in events.by_ref().take(3) {
            feed.send(Ok(event)).await.unwrap();
        }
        let mut body = within(sending).await.unwrap().into_body();
        let mut seen = String::new();
        while sign.is_some_and(|sign| seen.matches(sign).count() < 2) {
            let frame = within(body.frame()).await.unwrap_or_else(|| panic!("{name}: ended")).unwrap();
            seen.push_str(&String::from_utf8_lossy(frame.data_ref().unwrap()));
        }
        for event in events {
            feed.send(Ok(event)).await.unwrap();
        }
        drop(feed);
        seen.push_str(&String::from_utf8_lossy(&within(body.collect()).await.unwrap().to_bytes()));
        assert!(seen.contains("one") && seen.contains("two"), "{name}: {seen}");
        if sign.is_some() {
            let ended = seen.contains("[DONE]") || seen.contains("event: message_stop");
            assert!(ended && !seen.contains("\n:"), "{name}: {seen}");
        }
    }
}

#[tokio::test]
async fn e7_a_client_that_goes_away_drops_the_stream() {
    let (service, mut calls) = fed();
    let server = start(config(), service).await;
    for stream in [true, false] {
        // Over HTTP/1.1, before and after the first event.
        for said in [0, 3] {
            let request = raw_request(stream);
            let mut socket = TcpStream::connect(server.clear).await.unwrap();
            socket.write_all(request.as_bytes()).await.unwrap();
            let (_, feed) = within(calls.recv()).await.unwrap();
            for event in text_events(&["word"]).into_iter().take(said) {
                feed.send(Ok(event)).await.unwrap();
            }
            drop(socket);
            within(feed.closed()).await;
        }
        // Over HTTP/2, the request alone is reset; its connection lives on.
        let (mut sender, _connection) = h2(server.clear).await;
        let mut second = sender.clone();
        let sending = tokio::spawn(async move { sender.send_request(absolute(openai(stream))).await });
        let (_, feed) = within(calls.recv()).await.unwrap();
        sending.abort();
        within(feed.closed()).await;
        drop(feed);
        let alive = second.send_request(absolute(Request::get("/livez").body(Full::default()).unwrap()));
        assert_eq!(within(alive).await.unwrap().status(), 200);
    }
}

fn raw_request(stream: bool) -> String {
    let body = format!(r#"{{"model":"m","stream":{stream},"messages":[{{"role":"user","content":"hi"}}]}}"#);
    format!(
        "POST {OPENAI} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {BEARER}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A forwarded answer: these frames, a status and headers of the upstream's.
fn home(frames: Vec<Result<&'static str, Failure>>) -> BoxService {
    BoxService::new(service_fn(move |_| {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static("x-test/as-it-came"));
        let events: Vec<_> = frames
            .iter()
            .cloned()
            .map(|frame| {
                frame.map(|text| {
                    Event::Frame(Frame { bytes: Bytes::from_static(text.as_bytes()), seen: None })
                })
            })
            .collect();
        std::future::ready(Ok(Reply {
            priority: message::Priority::Interactive,
            form: Form::Home { status: StatusCode::CREATED, headers },
            model: "m".into(),
            dropped: vec![Dropped { path: "top_k".to_owned(), why: "unknown there" }],
            provider_request_id: Some("req_theirs".into()),
            events: Box::pin(stream::iter(events)),
        }))
    }))
}

#[tokio::test]
async fn frames_of_home_are_forwarded_byte_for_byte() {
    let frames = ["data: one\n\n", "data:  two \n\n", ": odd\r\r", "data: [DONE]\n\n"];
    let server = start(config(), home(frames.map(Ok).to_vec())).await;
    for stream in [true, false] {
        let (status, headers, body) = read(h1(server.clear, openai(stream)).await).await;
        assert_eq!(status, 201);
        assert_eq!(headers["content-type"], "x-test/as-it-came");
        assert_eq!(headers["x-outcrop-dropped"], "top_k (unknown there)");
        assert_eq!(headers["x-outcrop-provider-request-id"], "req_theirs");
        assert_eq!(body, frames.concat());
    }
}

#[tokio::test]
async fn a_forwarded_stream_that_breaks_ends_in_the_dialects_error() {
    let server = start(config(), home(vec![Ok("data: one\n\n"), Err(broken())])).await;
    let (status, _, body) = read(h1(server.clear, openai(true)).await).await;
    assert_eq!(status, 201);
    let rest = body.strip_prefix("data: one\n\n").unwrap();
    assert!(rest.starts_with("data: {\"error\"") && rest.contains("fell over"), "{body}");
    let (status, ..) = read(h1(server.clear, openai(false)).await).await;
    assert!(status.is_server_error());
}

#[tokio::test]
async fn hundreds_of_streams_at_once_are_each_told_their_own() {
    let service = BoxService::new(service_fn(|call: message::Call| async move {
        let name = call.chat()?.messages.len();
        assert_eq!(call.operation, Operation::Chat);
        let word = format!("{name}-{}", call.head.max_tokens.unwrap());
        let mut events = vec![];
        for event in text_events(&["w"; 20]) {
            events.push(match event {
                Event::Delta { index, .. } => {
                    Event::Delta { index, delta: message::Delta::text(format!("<{word}>")) }
                }
                event => event,
            });
        }
        let events = stream::iter(events).then_yielding();
        Ok(reply(Box::pin(events)))
    }));
    let server = start(config(), service).await;
    let connections = [h2(server.clear).await, h2(server.clear).await, h2(server.clear).await];
    let mut asked = tokio::task::JoinSet::new();
    for n in 1..=600 {
        let mut sender = connections[n % 3].0.clone();
        asked.spawn(async move {
            let body = format!(
                r#"{{"model":"m","stream":true,"max_tokens":{n},"messages":[{{"role":"user","content":"hi"}}]}}"#
            );
            sender.ready().await.unwrap();
            let (status, _, body) = read(sender.send_request(absolute(ask(OPENAI, body))).await.unwrap()).await;
            assert_eq!(status, 200);
            assert_eq!(body.matches(&format!("<1-{n}>")).count(), 20, "{body}");
        });
    }
    while let Some(one) = within(asked.join_next()).await {
        one.unwrap();
    }
}

trait ThenYielding: Sized {
    fn then_yielding(self) -> EventStream;
}

impl<S: stream::Stream<Item = Event> + Send + 'static> ThenYielding for S {
    /// Gives other streams a turn after each event.
    fn then_yielding(self) -> EventStream {
        use futures_util::StreamExt;
        Box::pin(self.then(|event| async {
            tokio::task::yield_now().await;
            Ok(event)
        }))
    }
}
