//! A small OpenAI-dialect client for the terminal chat.

use bytes::Bytes;
use dialect::framing::sse;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use message::Secret;
use serde_json::{Value, json};

use crate::chat::session::Session;
use crate::exit::{Code, Exit};

/// Largest answer to a question about models, or error body, read: 1 MiB.
const SMALL_BODY_BYTES: usize = 1 << 20;

type Connector = hyper_rustls::HttpsConnector<HttpConnector>;

/// One server, and the key to it.
pub(crate) struct Client {
    http: HttpClient<Connector, Full<Bytes>>,
    base: String,
    key: Option<Secret>,
}

/// How answers are to be made.
pub(crate) struct Options {
    /// Most tokens of one answer.
    pub(crate) max_tokens: u32,
    /// Randomness.
    pub(crate) temperature: Option<f32>,
}

/// What an answer cost.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
}

impl Client {
    /// A client of the server at `base` (`http://host:port`). `ca` is a certificate
    /// authority to trust besides the system's.
    pub(crate) fn new(base: &str, key: Option<String>, ca: Option<&std::path::Path>) -> Result<Self, Exit> {
        let base = base.trim_end_matches('/').trim_end_matches("/v1").to_owned();
        base.parse::<Uri>().map_err(|error| Exit::usage(format!("--url {base}: {error}")))?;
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls(ca))
            .https_or_http()
            .enable_http1()
            .build();
        let http = HttpClient::builder(TokioExecutor::new()).build(connector);
        Ok(Self { http, base, key: key.map(Secret::new) })
    }

    /// Whether a server answers there at all.
    pub(crate) async fn is_up(&self) -> bool {
        let request = Request::get(format!("{}/livez", self.base)).body(Full::default());
        match request {
            Ok(request) => self.http.request(request).await.is_ok(),
            Err(_) => false,
        }
    }

    /// The names of the models served.
    pub(crate) async fn models(&self) -> Result<Vec<String>, Exit> {
        let body = self.send(Method::GET, "/v1/models", None).await?;
        let body: Value = serde_json::from_slice(&gather(body).await?).map_err(|error| {
            Exit::failed(format!("{} answered something else than JSON: {error}", self.base))
        })?;
        let names = body["data"].as_array().into_iter().flatten();
        Ok(names.filter_map(|model| model["id"].as_str().map(str::to_owned)).collect())
    }

    /// Asks, and gives each piece of the answer to `say` as it comes.
    pub(crate) async fn ask(
        &self,
        session: &Session,
        options: &Options,
        say: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Cost, Exit> {
        let mut request = json!({
            "model": session.model,
            "messages": session.messages(),
            "stream": true,
            "stream_options": {"include_usage": true},
            "max_tokens": options.max_tokens,
        });
        if let Some(temperature) = options.temperature {
            request["temperature"] = json!(temperature);
        }
        let mut body = self.send(Method::POST, "/v1/chat/completions", Some(request)).await?;
        let mut parser = sse::Parser::new();
        let mut cost = Cost::default();
        let mut done = false;
        while let Some(frame) = body.frame().await {
            let frame =
                frame.map_err(|error| Exit::new(Code::Network, format!("the answer was cut: {error}")))?;
            let Ok(piece) = frame.into_data() else { continue };
            parser.push(piece);
            while let Some(event) = parser.next().map_err(unreadable)? {
                done |= take_in(&event.data, &mut cost, say)?;
            }
        }
        if done { Ok(cost) } else { Err(Exit::new(Code::Network, "the answer was cut before its end")) }
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Result<Incoming, Exit> {
        let body = body.map(|value| Bytes::from(value.to_string())).unwrap_or_default();
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(key) = &self.key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", key.expose()));
        }
        let request = request
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(|error| Exit::usage(format!("the key or the URL cannot be sent: {error}")))?;
        let answer = self.http.request(request).await.map_err(|error| {
            Exit::new(Code::Network, format!("cannot reach {}: {}", self.base, root_cause(&error)))
        })?;
        let (head, body) = answer.into_parts();
        if head.status.is_success() { Ok(body) } else { Err(refusal(head.status, &gather(body).await?)) }
    }
}

/// Takes in one event's data; true for the last one.
fn take_in(data: &[u8], cost: &mut Cost, say: &mut (dyn FnMut(&str) + Send)) -> Result<bool, Exit> {
    if data == b"[DONE]" {
        return Ok(true);
    }
    let chunk: Value = serde_json::from_slice(data).map_err(unreadable)?;
    if let Some(message) = chunk["error"]["message"].as_str() {
        return Err(Exit::failed(message));
    }
    if let Some(text) = chunk["choices"][0]["delta"]["content"].as_str() {
        say(text);
    }
    if let Some(usage) = chunk["usage"].as_object() {
        let count = |name| usage.get(name).and_then(Value::as_u64).unwrap_or_default();
        *cost = Cost { input_tokens: count("prompt_tokens"), output_tokens: count("completion_tokens") };
    }
    Ok(false)
}

fn unreadable(error: impl std::fmt::Display) -> Exit {
    Exit::failed(format!("the answer cannot be read: {error}"))
}

fn refusal(status: StatusCode, body: &[u8]) -> Exit {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let message = body["error"]["message"].as_str().unwrap_or("the server gave no reason");
    let code = if status == StatusCode::NOT_FOUND { Code::NotFound } else { Code::Failed };
    let hint = if status == StatusCode::UNAUTHORIZED {
        "\nGive the key with --key or OUTCROP_API_KEY; `outcrop keys create` makes one."
    } else {
        ""
    };
    Exit::new(code, format!("{message}{hint}"))
}

async fn gather(body: Incoming) -> Result<Bytes, Exit> {
    let body = Limited::new(body, SMALL_BODY_BYTES).collect().await;
    body.map(|body| body.to_bytes())
        .map_err(|error| Exit::new(Code::Network, format!("the answer was cut: {error}")))
}

fn tls(ca: Option<&std::path::Path>) -> rustls::ClientConfig {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if let Some(certificates) = ca.and_then(|ca| CertificateDer::pem_file_iter(ca).ok()) {
        roots.add_parsable_certificates(certificates.flatten());
    }
    rustls::ClientConfig::builder_with_provider(rustls::crypto::ring::default_provider().into())
        .with_safe_default_protocol_versions()
        .expect("the ring provider supports the default TLS versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// The innermost reason: "connection refused" says more than "client error".
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
