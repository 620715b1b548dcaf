//! HTTP/1.1, HTTP/2 with prior knowledge and TLS; and clients with bad manners.

use std::sync::Arc;

use crate::support::*;
use http_body_util::BodyExt;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use server::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

#[tokio::test]
async fn http1_answers_and_names_the_request() {
    let server = start(config(), hello()).await;
    let (status, headers, body) = read(h1(server.clear, openai(false)).await).await;
    assert_eq!(status, 200);
    assert_eq!(headers["x-request-id"].len(), 36);
    assert!(body.contains("Hello there"), "{body}");
    assert_eq!(headers["content-length"], body.len().to_string());
}

#[tokio::test]
async fn http2_with_prior_knowledge_is_found_on_the_same_port() {
    let server = start(config(), hello()).await;
    let (mut sender, _) = h2(server.clear).await;
    for stream in [false, true] {
        let (status, headers, body) =
            read(within(sender.send_request(absolute(openai(stream)))).await.unwrap()).await;
        assert_eq!(status, 200);
        assert!(headers.contains_key("x-request-id"));
        assert!(body.contains("Hello"), "{body}");
    }
}

async fn tls(server: &Running, alpn: &[&str]) -> TlsStream<TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    let ca = CertificateDer::from_pem_file(server::tls::ca_path(server.folder.path())).unwrap();
    roots.add(ca).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(server.tls.unwrap()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

#[tokio::test]
async fn tls_speaks_what_alpn_agrees_on() {
    let server = start(Config { tls: true, ..config() }, hello()).await;

    let stream = tls(&server, &["h2", "http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, _) = h2_over(stream).await;
    let (status, ..) = read(within(sender.send_request(absolute(openai(true)))).await.unwrap()).await;
    assert_eq!(status, 200);

    for alpn in [&["http/1.1"][..], &[]] {
        let (status, _, body) = read(h1_over(tls(&server, alpn).await, openai(true)).await).await;
        assert_eq!(status, 200);
        assert!(body.contains("Hello"), "{body}");
    }
}

#[tokio::test]
async fn cleartext_on_the_tls_port_is_hung_up_on() {
    let server = start(Config { tls: true, ..config() }, hello()).await;
    let answer = raw(server.tls.unwrap(), b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(!answer.contains("live"), "{answer}");
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = start(config(), hello()).await;
    let get = "GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
    let last =
        "GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer good-key\r\nconnection: close\r\n\r\n";
    let answer = raw(server.clear, format!("{get}{get}{last}").as_bytes()).await;
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 3, "{answer}");
    assert!(answer.rfind("\"live\"").unwrap() < answer.find("\"data\"").unwrap(), "{answer}");
}

#[tokio::test]
async fn expect_continue_is_honoured_only_for_those_who_may() {
    let server = start(config(), hello()).await;
    let body = r#"{"model":"m","messages":[{"role":"user","content":"hi"}]}"#;
    let head = |key: &str| {
        format!(
            "POST {OPENAI} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\nexpect: 100-continue\r\n\
             connection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
    };
    let mut stream = TcpStream::connect(server.clear).await.unwrap();
    stream.write_all(head(BEARER).as_bytes()).await.unwrap();
    let mut read = [0; 256];
    let count = within(stream.read(&mut read)).await.unwrap();
    assert!(read[..count].starts_with(b"HTTP/1.1 100 "), "{}", String::from_utf8_lossy(&read));
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.contains("200 OK") && answer.contains("Hello"), "{answer}");

    let refused = raw(server.clear, head("wrong").as_bytes()).await;
    assert!(refused.starts_with("HTTP/1.1 401 "), "{refused}");
}

#[tokio::test]
async fn a_goaway_while_a_stream_is_open_does_not_cut_it() {
    let (service, mut calls) = fed();
    let server = start(config(), service).await;
    let (mut sender, connection) = h2(server.clear).await;
    let sending = tokio::spawn(async move { sender.send_request(absolute(openai(true))).await });
    let (_, feed) = within(calls.recv()).await.unwrap();
    let mut events = text_events(&["Hel", "lo"]).into_iter();
    feed.send(Ok(events.next().unwrap())).await.unwrap();
    // The request handle is gone now: the client's side says goodbye while it reads.
    let response = within(sending).await.unwrap().unwrap();
    for event in events {
        feed.send(Ok(event)).await.unwrap();
        tokio::task::yield_now().await;
    }
    drop(feed);
    let body = within(response.into_body().collect()).await.unwrap().to_bytes();
    assert!(body.ends_with(b"data: [DONE]\n\n"), "{body:?}");
    within(connection).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_head_that_trickles_is_hung_up_on() {
    let server = start(Config { head_timeout_ms: 200, ..config() }, hello()).await;
    for begin in ["", "P", "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-slow: "] {
        let answer = raw(server.clear, begin.as_bytes()).await;
        assert_eq!(answer, "", "after {begin:?}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let server = start(Config { idle_timeout_ms: 200, ..config() }, hello()).await;
    let answer = raw(server.clear, b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").await;
    assert!(answer.contains("200 OK"), "{answer}");

    let (mut sender, connection) = h2(server.clear).await;
    read(within(sender.send_request(absolute(openai(false)))).await.unwrap()).await;
    within(connection).await.unwrap().unwrap();
}

#[tokio::test]
async fn nonsense_is_answered_or_hung_up_on_never_a_hang() {
    let server = start(config(), hello()).await;
    for nonsense in ["\0\0\0\0\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\u{16}\u{3}\u{1}\0\0"] {
        let mut stream = TcpStream::connect(server.clear).await.unwrap();
        stream.write_all(nonsense.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        let _ = within(stream.read_to_end(&mut answer)).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{nonsense:?}: {answer}");
    }
}

#[tokio::test]
async fn heads_beyond_the_limits_are_refused() {
    let server = start(config(), hello()).await;
    let long = format!("GET /livez HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "a".repeat(100_000));
    let answer = raw(server.clear, long.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let many = format!("GET /livez HTTP/1.1\r\nhost: x\r\n{}\r\n", "x-a: b\r\n".repeat(500));
    let answer = raw(server.clear, many.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn more_connections_than_allowed_wait_their_turn() {
    let server = start(Config { max_connections: 1, ..config() }, hello()).await;
    let (mut held, connection) = h2(server.clear).await;
    let waiting = tokio::spawn(h1(server.clear, openai(false)));
    // While the one that was let in is answered again and again, the other is not.
    for _ in 0..100 {
        let answer = within(held.send_request(absolute(openai(false)))).await.unwrap();
        assert_eq!(read(answer).await.0, 200);
    }
    assert!(!waiting.is_finished());
    drop(held);
    connection.abort();
    assert_eq!(within(waiting).await.unwrap().status(), 200);
}
