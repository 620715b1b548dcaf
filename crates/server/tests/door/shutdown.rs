//! The end of a server: what is in flight finishes, what is new is told so, what takes
//! too long is cut in its dialect.

use std::time::Duration;

use crate::support::*;
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use server::{Config, Phase};
use tokio::net::TcpStream;

/// Asks for a stream and reads until its first word.
async fn begin(
    server: &Running,
    calls: &mut tokio::sync::mpsc::UnboundedReceiver<(message::Call, Feed)>,
) -> (Incoming, Feed) {
    let sending = tokio::spawn(h1(server.clear, openai(true)));
    let (_, feed) = within(calls.recv()).await.unwrap();
    for event in text_events(&["word"]).into_iter().take(3) {
        feed.send(Ok(event)).await.unwrap();
    }
    (within(sending).await.unwrap().into_body(), feed)
}

async fn rest(body: Incoming) -> String {
    let bytes = within(body.collect()).await.unwrap().to_bytes();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn without_work_it_ends_at_once() {
    let server = start(config(), hello()).await;
    let idle = TcpStream::connect(server.clear).await.unwrap();
    let (mut h2_idle, connection) = h2(server.clear).await;
    within(h2_idle.ready()).await.unwrap();
    server.drain();
    server.ended().await;
    drop(idle);
    within(connection).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_stream_in_flight_finishes_and_new_requests_are_turned_away() {
    let (service, mut calls) = fed();
    let server = start(config(), service).await;
    let (body, feed) = begin(&server, &mut calls).await;
    let (mut h2, _connection) = h2(server.clear).await;
    within(h2.ready()).await.unwrap();
    server.drain();

    // New connections and live ones alike, in each dialect, with the advice to retry.
    for ask in [openai, anthropic, converse] {
        let (status, headers, text) = read(h1(server.clear, ask(false)).await).await;
        assert_eq!(status, 503, "{text}");
        assert!(text.contains("shutting down"), "{text}");
        assert!(headers.contains_key("retry-after"), "{headers:?}");
        assert_eq!(headers["connection"], "close");
    }
    let (status, headers, _) = read(within(h2.send_request(absolute(openai(true)))).await.unwrap()).await;
    assert_eq!(status, 503);
    assert!(!headers.contains_key("connection"));
    for (path, expected) in [("/livez", 200), ("/readyz", 503)] {
        let request = Request::get(path).header("host", "x").body(Full::default()).unwrap();
        assert_eq!(h1(server.clear, request).await.status(), expected, "{path}");
    }

    for event in text_events(&["word"]).into_iter().skip(3) {
        feed.send(Ok(event)).await.unwrap();
    }
    drop(feed);
    assert!(rest(body).await.ends_with("data: [DONE]\n\n"));
    server.ended().await;
}

#[tokio::test]
async fn a_stream_that_takes_too_long_is_cut_in_its_dialect() {
    let (service, mut calls) = fed();
    let server = start(Config { drain_timeout_ms: 100, ..config() }, service).await;
    let (body, feed) = begin(&server, &mut calls).await;
    server.drain();
    let text = rest(body).await;
    assert!(text.contains("data: {\"error\"") && text.contains("shutting down"), "{text}");
    within(feed.closed()).await;
    server.ended().await;
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let (service, mut calls) = fed();
    let server = start(Config { drain_timeout_ms: 3_600_000, ..config() }, service).await;
    let (body, _feed) = begin(&server, &mut calls).await;
    // One that has not been answered at all yet:
    let waiting = tokio::spawn(h1(server.clear, anthropic(false)));
    let (_, unanswered) = within(calls.recv()).await.unwrap();
    server.drain();
    server.trigger.advance(Phase::Cutting);
    assert!(rest(body).await.contains("shutting down"));
    let (status, _, text) = read(within(waiting).await.unwrap()).await;
    assert_eq!(status, 503, "{text}");
    within(unanswered.closed()).await;
    server.ended().await;
}

#[tokio::test]
async fn a_client_that_reads_nothing_does_not_hold_the_server() {
    let (service, mut calls) = fed();
    let server = start(Config { drain_timeout_ms: 50, ..config() }, service).await;
    let (body, feed) = begin(&server, &mut calls).await;
    // Fill every buffer on the way until nothing more is taken.
    let flood = message::Event::Delta { index: 0, delta: message::Delta::text("x".repeat(1 << 20)) };
    while let Ok(taken) = tokio::time::timeout(Duration::from_millis(300), feed.send(Ok(flood.clone()))).await
    {
        taken.unwrap();
    }
    server.drain();
    server.ended().await;
    drop(body);
}
