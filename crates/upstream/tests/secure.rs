//! TLS to a provider: an authority of one's own, HTTP/2 where both can, and what is
//! not trusted.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, Version};
use message::{Call, Dialect, ErrorKind, NewCall, Operation, Principal, RequestId, Service};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use upstream::scripted::{Script, Scripted};
use upstream::{Provider, Remote, Transport, probe};

const WHOLE: &str = r#"{"id":"c1","object":"chat.completion","created":1,"model":"theirs","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}"#;

/// A server's configuration for 127.0.0.1, its authority's certificate written to `ca`.
fn server_config(ca: &Path, protocols: &[&[u8]]) -> rustls::ServerConfig {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    std::fs::write(ca, authority.self_signed(&authority_key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let leaf =
        CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config
}

fn provider(server: &Scripted, ca: Option<&Path>) -> Provider {
    let ca = ca.map(|ca| format!("ca_file = '{}'", ca.display())).unwrap_or_default();
    toml::from_str(&format!(
        "dialect = 'openai-chat'\nbase_url = 'https://{}/v1'\nauth.value = 'k'\n{ca}",
        server.address()
    ))
    .unwrap()
}

fn call() -> Call {
    let body = r#"{"model":"mine","messages":[{"role":"user","content":"hi"}]}"#;
    let inbound =
        dialect::inbound(Dialect::OpenAiChat, Operation::Chat, None, false, body.as_bytes()).unwrap();
    Call::new(NewCall {
        id: RequestId::new("id"),
        operation: Operation::Chat,
        dialect: Dialect::OpenAiChat,
        head: inbound.head,
        body: Bytes::from(body),
        headers: Arc::new(HeaderMap::new()),
        principal: Principal { key_id: "key".into(), name: "key".into() },
        received: std::time::Instant::now(),
        strict: false,
        decode: inbound.decode,
    })
}

#[tokio::test]
async fn the_newest_http_that_both_speak_is_used() {
    let dir = tempfile::tempdir().unwrap();
    for (protocols, version) in [
        (&[&b"h2"[..], b"http/1.1"][..], Version::HTTP_2),
        (&[b"http/1.1"], Version::HTTP_11),
        (&[], Version::HTTP_11),
    ] {
        let ca = dir.path().join("ca.pem");
        let server = Scripted::secure(server_config(&ca, protocols), |_| Script::json(200, WHOLE)).await;
        let transport = Transport::open("p", &provider(&server, Some(&ca))).unwrap();
        let remote = Arc::new(Remote::new(&transport, "theirs"));
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let remote = Arc::clone(&remote);
            calls.spawn(async move {
                let mut events = remote.call(call()).await.unwrap().events;
                while let Some(event) = events.next().await {
                    event.unwrap();
                }
            });
        }
        calls.join_all().await;
        let received = server.received();
        assert_eq!(received.len(), 8);
        assert!(received.iter().all(|received| received.version == version), "{protocols:?}");
        assert!(received.iter().all(|received| received.line == "POST /v1/chat/completions"));
    }
}

#[tokio::test]
async fn a_stranger_is_not_trusted() {
    let dir = tempfile::tempdir().unwrap();
    let (ca, other) = (dir.path().join("ca.pem"), dir.path().join("other.pem"));
    let server = Scripted::secure(server_config(&ca, &[b"h2"]), |_| Script::json(200, WHOLE)).await;
    server_config(&other, &[]);
    let provider = provider(&server, Some(&other));
    let transport = Transport::open("p", &provider).unwrap();
    let failure = Remote::new(&transport, "theirs").call(call()).await.unwrap_err();
    assert_eq!(failure.kind, ErrorKind::Upstream);
    assert!(failure.message.contains("cannot be reached"), "{failure}");
    assert!(server.received().is_empty());
    let steps = probe("p", &provider, None).await;
    let last = steps.last().unwrap();
    assert_eq!(last.name, "tls");
    assert!(last.outcome.as_ref().unwrap_err().advice.contains("ca_file"), "{last:?}");
}

#[tokio::test]
async fn a_test_tells_the_protocol() {
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    let server = Scripted::secure(server_config(&ca, &[b"h2"]), |_| Script::json(200, "{}")).await;
    let steps = probe("p", &provider(&server, Some(&ca)), None).await;
    let tls = steps.iter().find(|step| step.name == "tls").unwrap();
    assert!(tls.outcome.as_ref().unwrap().ends_with(", h2"), "{tls:?}");
    assert!(steps.last().unwrap().outcome.is_ok(), "{steps:?}");
}
