//! Request bodies: large, lying, slow, chunked, cut off; and who may send one at all.

use std::time::Duration;

use crate::support::*;
use bytes::Bytes;
use dialect::{RequestHead, sigv4};
use http::Request;
use http_body_util::Full;
use message::{BoxService, Secret, service_fn};
use server::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;

/// A service that tells the test each body's size.
fn sizes() -> (BoxService, mpsc::UnboundedReceiver<usize>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let service = service_fn(move |call: message::Call| {
        let _ = sender.send(call.body.len());
        async move {
            let events = text_events(&["ok"]).into_iter().map(Ok);
            Ok(reply(Box::pin(futures_util::stream::iter(events))))
        }
    });
    (BoxService::new(service), receiver)
}

fn prompt(bytes: usize) -> String {
    let head = r#"{"model":"m","messages":[{"role":"user","content":""#;
    let tail = r#""}]}"#;
    format!("{head}{}{tail}", "x".repeat(bytes - head.len() - tail.len()))
}

#[tokio::test]
async fn a_body_of_any_allowed_size_arrives_whole() {
    let (service, mut sizes) = sizes();
    let server = start(config(), service).await;
    for bytes in [100, 8 << 10, 200_000, 5 << 20] {
        let (status, ..) = read(h1(server.clear, ask(OPENAI, prompt(bytes))).await).await;
        assert_eq!(status, 200);
        assert_eq!(sizes.recv().await, Some(bytes));
        let (mut sender, _) = h2(server.clear).await;
        let request = absolute(ask(OPENAI, prompt(bytes)));
        let (status, ..) = read(within(sender.send_request(request)).await.unwrap()).await;
        assert_eq!(status, 200);
        assert_eq!(sizes.recv().await, Some(bytes));
    }
}

#[tokio::test]
async fn a_chunked_body_is_put_together() {
    let (service, mut sizes) = sizes();
    let server = start(config(), service).await;
    let body = prompt(1000);
    let mut request = format!(
        "POST {OPENAI} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {BEARER}\r\nconnection: close\r\n\
         transfer-encoding: chunked\r\n\r\n"
    );
    for chunk in body.as_bytes().chunks(7) {
        request.push_str(&format!("{:x}\r\n{}\r\n", chunk.len(), std::str::from_utf8(chunk).unwrap()));
    }
    request.push_str("0\r\nx-trailer: ignored\r\n\r\n");
    let answer = raw(server.clear, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(sizes.recv().await, Some(1000));
}

/// 100 MB, sent by a client that does not read before it has written all.
#[tokio::test]
async fn a_huge_body_is_refused_and_the_refusal_arrives() {
    let (service, mut sizes) = sizes();
    let server = start(config(), service).await;
    for framing in ["content-length: 104857600", "transfer-encoding: chunked"] {
        let mut stream = TcpStream::connect(server.clear).await.unwrap();
        let head = format!(
            "POST {OPENAI} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {BEARER}\r\n{framing}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..100 {
            let sent = async {
                if framing.starts_with("transfer") {
                    stream.write_all(b"100000\r\n").await?;
                }
                stream.write_all(&piece).await?;
                if framing.starts_with("transfer") {
                    stream.write_all(b"\r\n").await?;
                }
                std::io::Result::Ok(())
            };
            if within(sent).await.is_err() {
                break;
            }
        }
        let mut answer = String::new();
        let _ = within(stream.read_to_string(&mut answer)).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{framing}: {answer}");
        assert!(answer.contains("larger than 33554432 bytes"), "{answer}");
    }
    assert!(sizes.try_recv().is_err(), "no call was made");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_over_http2_too() {
    let (service, _sizes) = sizes();
    let server = start(Config { body_max_bytes: 1000, ..config() }, service).await;
    let (mut sender, _) = h2(server.clear).await;
    let request = absolute(ask(OPENAI, prompt(2000)));
    let (status, _, body) = read(within(sender.send_request(request)).await.unwrap()).await;
    assert_eq!(status, 413, "{body}");
    let request = absolute(ask(OPENAI, prompt(1000)));
    let (status, ..) = read(within(sender.send_request(request)).await.unwrap()).await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_stranger_is_turned_away_before_the_body_is_read() {
    let (service, mut sizes) = sizes();
    let server = start(config(), service).await;
    // The body never comes, and the answer does not wait for it.
    for credential in ["", "authorization: Bearer wrong\r\n", "x-api-key: wrong\r\n"] {
        let mut stream = TcpStream::connect(server.clear).await.unwrap();
        let head =
            format!("POST {OPENAI} HTTP/1.1\r\nhost: x\r\n{credential}content-length: 1000000\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 64];
        let count = within(stream.read(&mut answer)).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..count]);
        assert!(answer.starts_with("HTTP/1.1 401 "), "{credential:?}: {answer}");
    }
    assert!(sizes.try_recv().is_err(), "no call was made");
}

#[tokio::test]
async fn a_body_that_stops_coming_times_out_in_the_dialect() {
    let (service, _sizes) = sizes();
    let server = start(Config { body_idle_timeout_ms: 150, ..config() }, service).await;
    let head = format!(
        "POST {OPENAI} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {BEARER}\r\ncontent-length: 100\r\n\r\n{{\"mo"
    );
    let answer = raw(server.clear, head.as_bytes()).await;
    assert!(answer.contains("paused for more than 150 ms"), "{answer}");
    assert!(answer.contains("\"error\""), "{answer}");
}

#[tokio::test]
async fn a_body_that_trickles_is_waited_for() {
    let (service, mut sizes) = sizes();
    let server = start(Config { body_idle_timeout_ms: 5_000, ..config() }, service).await;
    let body = prompt(60);
    let mut stream = TcpStream::connect(server.clear).await.unwrap();
    let head = format!(
        "POST {OPENAI} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {BEARER}\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    for byte in body.as_bytes() {
        stream.write_all(&[*byte]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert_eq!(sizes.recv().await, Some(60));
}

#[tokio::test]
async fn a_body_that_is_cut_off_reaches_no_model() {
    let (service, mut sizes) = sizes();
    let server = start(config(), service).await;
    let mut stream = TcpStream::connect(server.clear).await.unwrap();
    let head = format!(
        "POST {OPENAI} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {BEARER}\r\ncontent-length: 100\r\n\r\n{{\"mo"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    drop(stream);
    // The next request is answered: by then the cut one has been dealt with.
    let (status, ..) = read(h1(server.clear, ask(OPENAI, prompt(100))).await).await;
    assert_eq!(status, 200);
    assert_eq!(sizes.recv().await, Some(100));
    assert!(sizes.try_recv().is_err());
}

#[tokio::test]
async fn an_empty_body_is_told_so() {
    let server = start(config(), hello()).await;
    let (status, _, body) = read(h1(server.clear, ask(OPENAI, "")).await).await;
    assert_eq!(status, 400, "{body}");
}

#[tokio::test]
async fn a_signature_is_checked_over_the_body() {
    let server = start(config(), hello()).await;
    for (body, good) in [("{\"messages\":[]}", true), ("{\"messages\":[ ]}", false)] {
        let (status, headers, text) = read(h1(server.clear, signed("{\"messages\":[]}", body)).await).await;
        // A good signature gets as far as the body's content; a bad one does not.
        let kind = headers.get("x-amzn-errortype").map(|kind| kind.to_str().unwrap().to_owned());
        let refused = kind.as_deref() == Some("InvalidSignatureException");
        assert_eq!(refused, !good, "{status} {kind:?} {text}");
    }
}

/// A Converse request signed for one body and sent with another.
fn signed(signed_body: &str, body: &str) -> Request<Full<Bytes>> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let date = sigv4::timestamp(i64::try_from(now).unwrap());
    let mut request = Request::post(CONVERSE)
        .header("host", "localhost")
        .header("content-type", "application/json")
        .header("x-amz-date", &date)
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap();
    let secret = Secret::new(SECRET);
    let signer =
        sigv4::Signer { access_key_id: ACCESS_KEY, secret: &secret, region: "us-east-1", service: "bedrock" };
    let head = RequestHead { method: "POST", path: CONVERSE, query: "", headers: request.headers() };
    let authorization = signer.sign(&head, &date, &sigv4::body_sha256(signed_body.as_bytes()));
    request.headers_mut().insert("authorization", authorization.parse().unwrap());
    request
}
