//! The standard AWS chain against a local credential endpoint, and a model server that
//! checks each signature as Amazon would. A process of its own: the chain reads the
//! environment.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use dialect::{RequestHead, sigv4};
use futures_util::StreamExt;
use http::HeaderMap;
use message::{Call, Dialect, NewCall, Operation, Principal, RequestId, Secret, Service};
use upstream::scripted::{Received, Script, Scripted};
use upstream::{Provider, Remote, Transport};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const WHOLE: &str = r#"{"id":"c1","object":"chat.completion","created":1,"model":"theirs","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}]}"#;

/// Whether the signature is by who holds the secret, over this very request.
fn verified(received: &Received) -> Result<(), String> {
    let text = |name: &str| received.headers.get(name).and_then(|value| value.to_str().ok());
    let signed = sigv4::parse(text("authorization").unwrap_or_default(), text("x-amz-date"))
        .map_err(|failure| failure.message)?;
    assert_eq!(
        (&*signed.access_key_id, &*signed.region, &*signed.service),
        ("ASIAEXAMPLE", "eu-west-1", "sagemaker")
    );
    assert!(signed.signed_headers.iter().any(|name| name == "x-amz-security-token"));
    let (method, target) = received.line.split_once(' ').unwrap();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let request = RequestHead { method, path, query, headers: &received.headers };
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let received = sigv4::Received {
        request: &request,
        body_sha256: sigv4::body_sha256(&received.body),
        now_s: i64::try_from(now_s).unwrap(),
    };
    sigv4::verify(&signed, &Secret::new(SECRET), &received).map_err(|failure| failure.message)
}

fn call() -> Call {
    let body = r#"{ "model" : "mine", "messages":[{"role":"user","content":"hi"}]}"#;
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
        received: Instant::now(),
        strict: false,
        decode: inbound.decode,
    })
}

/// As in a container of ECS or EKS: the chain asks the endpoint that the environment
/// names, once, and every call is signed with what it said.
#[test]
fn every_request_is_signed_with_the_chains_credentials() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let credentials = format!(
        r#"{{"AccessKeyId":"ASIAEXAMPLE","SecretAccessKey":"{SECRET}","Token":"session+token/=","Expiration":"2099-01-01T00:00:00Z"}}"#
    );
    let endpoint = runtime.block_on(Scripted::always(Script::json(200, credentials)));
    let absent = std::env::temp_dir().join("outcrop-no-such-aws-file");
    // SAFETY: this is the only test of this process, and no thread of it runs yet but
    // the harness's, which waits.
    unsafe {
        for name in
            ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE"]
        {
            std::env::remove_var(name);
        }
        std::env::set_var("AWS_CONFIG_FILE", &absent);
        std::env::set_var("AWS_SHARED_CREDENTIALS_FILE", &absent);
        std::env::set_var("AWS_EC2_METADATA_DISABLED", "true");
        std::env::set_var("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/credentials", endpoint.url()));
    }
    runtime.block_on(async {
        let server = Scripted::start(|received| match verified(received) {
            Ok(()) => Script::json(200, WHOLE),
            Err(why) => Script::json(403, format!(r#"{{"message":"{why}"}}"#)),
        })
        .await;
        let table = format!(
            "kind = 'sagemaker'\nregion = 'eu-west-1'\nresource = 'my-endpoint'\nbase_url = '{}/endpoints/a%3Ab/openai'",
            server.url()
        );
        let transport = Transport::open("lab", &toml::from_str::<Provider>(&table).unwrap()).unwrap();
        let remote = Remote::new(&transport, "theirs");
        for _ in 0..3 {
            let mut events = remote.call(call()).await.unwrap_or_else(|failure| panic!("{failure}: {:?}", failure.cause)).events;
            while let Some(event) = events.next().await {
                event.unwrap();
            }
        }
        let received = server.received();
        assert_eq!(received[0].line, "POST /endpoints/a%3Ab/openai/v1/chat/completions");
        assert_eq!(received[0].headers["x-amz-security-token"], "session+token/=");
        assert_eq!(endpoint.received().len(), 1, "credentials are kept");
    });
}
